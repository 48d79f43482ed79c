/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine as peer of a session whose keys and IDs abi-client.c has made up: its mirror. For tests
 * and fuzzers that talk with a data plane and know everything.
 */
#ifndef HAND_PEER_H
#define HAND_PEER_H

#include "../../../quic/nq.h"

struct hand_peer {
	u8 number; /* abi_session.number */
	u8 cid_len; /* of the server's IDs */
	bool server; /* the peer is */
	u32 path_mtu;
	u64 fixed_rate_bytes_per_s; /* 0: "cubic" */
};

/* A connection in *@mem, which is to be freed after nq_conn_fini(); NULL: no memory, or refused. */
struct nq_conn *hand_peer_make(const struct hand_peer *how, u64 now_us, void **mem);
/* CLOCK_MONOTONIC: a live peer's time. */
u64 hand_peer_now_us(void);
/*
 * Seal the @len bytes of @payload as a DATAGRAM with context @context in @buf, which has room for
 * 128 bytes more. Returns the bytes on the wire, 0 if the connection may not send now.
 */
u32 hand_peer_seal(struct nq_conn *c, u8 *buf, u8 context, const void *payload, u32 len);
/* The same with @frames as they are. */
u32 hand_peer_seal_frames(struct nq_conn *c, u8 *buf, const void *frames, u32 len);

#endif /* HAND_PEER_H */
