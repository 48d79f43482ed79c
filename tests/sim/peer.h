/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ngtcp2 as a sender, for comparison: two of its endpoints, shaken hands in memory by
 * tests/vectors/ngtcp2-peer.c, become two nodes. It sends DATAGRAMs of the size a tunnel sends, or
 * one stream. Its randomness is constant, but its certificate is not: runs are alike, not equal.
 */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include "sim.h"

struct sim_peer;

struct sim_peer_conf {
	const char *congestion; /* "cubic" (default), "newreno", "bbr" */
	bool stream;
	u64 rtt_ns; /* of the handshake */
};

struct sim_peer *sim_peer(struct sim *s, const struct sim_peer_conf *conf, u8 flow,
			  struct sim_node *from_client, struct sim_node *from_server);
/* What packets for the client (0) or the server (1) are forwarded to. */
struct sim_node *sim_peer_end(struct sim_peer *p, int end);
void sim_peer_go(struct sim_peer *p);
u64 sim_peer_wire_bytes(const struct sim_peer *p);
/* Why one of the two gave up, or NULL. */
const char *sim_peer_error(const struct sim_peer *p);

#endif /* SIM_PEER_H */
