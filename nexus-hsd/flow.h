/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * First flights that take more than one datagram: until the ClientHello is complete nobody knows
 * whether it carries a credential, so the datagrams wait here, unless its beginning already says that it does
 * not (hs_gate_check_begin()). Those of a flight that was refused leave as far apart as they came: what a
 * server makes of a datagram depends on whether it has finished with the one before. Everything is bounded,
 * because everybody can make us do this: datagrams and bytes of a flow, flows of a source site (IPv4 /24,
 * IPv6 /56), flows in total, time.
 */
#ifndef HS_FLOW_H
#define HS_FLOW_H

#include <stdint.h>
#include <sys/queue.h>
#include "cidtable.h"
#include "initial.h"
#include "udp.h"

#define HS_FLOWS_MAX 512
#define HS_FLOWS_SITE_MAX 16
#define HS_FLOW_DGRAMS_MAX 3
#define HS_FLOW_BYTES_MAX 3840
/*
 * The cover acknowledges a piece of a ClientHello at once, so every millisecond here can be measured by
 * whoever compares; the pieces of one flight leave a client together. When one of them is lost the flight
 * goes to the cover, whose acknowledgement ends the client's retransmission of the others: that connection
 * can not be had back, and a client of ours begins another (nexusd/backoff.h).
 */
#define HS_FLOW_TIMEOUT_MS 10

struct hs_flow {
	TAILQ_ENTRY(hs_flow) entry;
	bool linked, last_look, refused;
	uint64_t gone_ns; /* its time is over; of one that was refused: its next datagram is due */
	uint64_t delay_ns; /* so much later than they came its datagrams leave, */
	uint64_t at_ns[HS_FLOW_DGRAMS_MAX]; /* which is this */
	struct hs_sock *sock;
	union hs_addr remote, local;
	uint8_t dcid[HS_CID_LEN], scid[HS_CID_LEN];
	unsigned int n_dgrams, n_relayed;
	size_t used;
	uint16_t lens[HS_FLOW_DGRAMS_MAX];
	/* Not of this first flight: it came behind it and keeps its place. */
	bool follows[HS_FLOW_DGRAMS_MAX];
	uint8_t ecn[HS_FLOW_DGRAMS_MAX];
	uint8_t data[HS_FLOW_BYTES_MAX];
};

_Static_assert(sizeof(struct hs_flow) <= 4096, "what a stranger's flow may cost");

struct hs_flows {
	TAILQ_HEAD(, hs_flow) list; /* oldest first */
	unsigned int n;
};

void hs_flows_init(struct hs_flows *f);
/*
 * The flow of this source and pair of IDs, or NULL; not one that was refused. A source is an address
 * and port, and the address of ours that it talks to.
 */
struct hs_flow *hs_flow_find(struct hs_flows *f, const struct hs_dgram *d,
			     const struct hs_long_header *h);
/* A new one, or NULL if a bound is reached. */
struct hs_flow *hs_flow_new(struct hs_flows *f, const struct hs_dgram *d,
			    const struct hs_long_header *h);
/* The oldest flow of this source, whatever its IDs, or NULL. */
struct hs_flow *hs_flow_find_source(struct hs_flows *f, const struct hs_dgram *d);
/* Keep a copy of the datagram; false if the flow is full. */
bool hs_flow_keep(struct hs_flow *fl, const struct hs_dgram *d, bool follows);
/* Take it off the list; hs_flow_free() then only frees. */
void hs_flow_unlink(struct hs_flows *f, struct hs_flow *fl);
void hs_flow_free(struct hs_flows *f, struct hs_flow *fl);
/* A flow whose time is over at @now_ns, else NULL and *@next_ns the time the first one's will be. */
struct hs_flow *hs_flows_expired(struct hs_flows *f, uint64_t now_ns, uint64_t *next_ns);
/* The socket goes away. */
void hs_flows_drop_sock(struct hs_flows *f, const struct hs_sock *sock);
void hs_flows_clear(struct hs_flows *f);

#endif /* HS_FLOW_H */
