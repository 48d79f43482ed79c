/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay to the cover: whoever is not authenticated talks to the real web site, datagram for
 * datagram, in both directions and in order. A flow is a listening socket, the address of ours that is
 * talked to, and a client's address and port; it has a socket of its own that is connected to the cover.
 * Those sockets come ready from the control process, so that this process can reach the cover and nothing
 * else.
 *
 * Bounded, because everybody can make us do this: flows in total and of a source site, bytes per
 * second of a flow, idle time. At a bound a new flow is dropped without a word, the others live on,
 * with one exception: a flow is half-open until its client has used the connection ID that the cover
 * chose, which a forged source never sees. The oldest half-open flow makes room for a new one once it
 * has had time for that. A part of the flows and of the sockets is kept for sites from which a user has
 * authenticated and for quiet sites (site.h), so that a visitor finds room during a flood from others.
 * ECN bits are carried over in both directions; what arrives with one mark and as one buffer leaves so.
 */
#ifndef HS_RELAY_H
#define HS_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "lib/hs_proto.h"
#include "cidtable.h"
#include "loop.h"
#include "site.h"
#include "udp.h"

/*
 * Unused sockets kept ready are HS_RELAY_POOL, but no more than there may be flows and a quarter. So many
 * may be missing before more are asked for; what was asked for and has not come after this time will not.
 */
#define HS_RELAY_POOL_MISSING 128
/* With more than these, or half of the pool, there is one to spare for a visit (learn.h). */
#define HS_RELAY_SPARE_ABOVE 32
#define HS_RELAY_ASK_AGAIN_MS 1000
/* This part of flows and sockets is not for busy sites of strangers. */
#define HS_RELAY_RESERVE_PART 4

#define HS_RELAY_MAX_FLOWS 1024
#define HS_RELAY_MAX_FLOWS_PER_SITE 32
#define HS_RELAY_IDLE_TIMEOUT_MS 60000
/* What a half-open flow may have at least: three times the way to the cover and its first timeout. */
#define HS_RELAY_HALF_OPEN_MS 3000
#define HS_RELAY_MAX_RATE_MBIT 100
/* A flow may send this part of a second's bytes at once, but at least HS_RELAY_BURST_MIN. */
#define HS_RELAY_BURST_PART 8
#define HS_RELAY_BURST_MIN (256 * 1024)

/* So many flows in a row asked what a web server answers and ended without an answer: the cover is dead. */
#define HS_RELAY_SILENT_FLOWS 16

#define HS_RELAY_BUCKETS 1024

struct hsd;
struct hs_tunnel;
struct hs_sock;
struct hs_relay;

struct hs_relay_limits {
	uint32_t max_flows, max_flows_per_site, idle_timeout_ms, max_rate_mbit;
};

struct hs_relay_flow {
	TAILQ_ENTRY(hs_relay_flow) lru, half_open;
	LIST_ENTRY(hs_relay_flow) by_addr, by_site;
	struct hs_relay *relay;
	struct hs_sock *sock;
	struct hs_source cover;
	int cover_family;
	union hs_addr remote, local;
	uint64_t made_ns, used_ns;
	uint64_t tokens; /* bytes */
	uint64_t refilled_ns;
	bool looked_at, asked; /* has sent what a web server answers; one datagram is looked at */
	bool answered;
	bool busy_site; /* of a stranger, when it began */
	bool confirmed; /* no longer half-open */
	bool has_begun, has_cover_id;
	uint8_t begun_dcid[HS_CID_LEN]; /* of the last first flight in pieces */
	uint8_t cover_id_len, cover_id[HS_CID_LEN]; /* the source ID of the cover's first answer */
};

struct hs_relay {
	struct hsd *hsd;
	struct hs_tunnel *tunnel;
	struct hs_relay_limits limits;
	LIST_HEAD(, hs_relay_flow) by_addr[HS_RELAY_BUCKETS], by_site[HS_RELAY_BUCKETS];
	TAILQ_HEAD(, hs_relay_flow) lru; /* longest idle first */
	TAILQ_HEAD(, hs_relay_flow) half_open[2]; /* by busy_site, oldest first */
	unsigned int n_flows, n_busy;
	int pool[HS_RELAY_POOL];
	unsigned int n_pool, n_asked; /* asked for: still to come */
	union hs_addr cover; /* where the sockets in the pool lead; AF_UNSPEC: not known */
	uint64_t asked_ns;
	enum hs_cover_state state;
	unsigned int silent_flows;
	struct hs_lately lately; /* who has asked for new flows; by_addr and by_site have its key */
	struct {
		uint64_t flows_refused, to_packets, to_bytes, from_packets, from_bytes, rate_drops;
	} stats;
};

/* Datagrams to one flow's cover that go out with one call; part of struct hsd. */
struct hs_relay_batch {
	struct hs_relay_flow *flow;
	unsigned int n;
	struct {
		const uint8_t *data;
		size_t len;
		uint8_t ecn;
	} dgrams[HS_UDP_BATCH];
};

/* NULL: no memory or no randomness. */
struct hs_relay *hs_relay_new(struct hs_tunnel *t);
void hs_relay_free(struct hs_relay *r);
void hs_relay_set_limits(struct hs_relay *r, const struct hs_relay_limits *l);
/*
 * The control process's sockets (consumed). @replace: those not in use yet may lead elsewhere now, and
 * these are the first of a whole pool. True: the cover is known to have another address than before.
 */
bool hs_relay_add_sockets(struct hs_relay *r, int *fds, unsigned int n, bool replace);

/*
 * Pass a datagram on to the cover, or drop it at a bound. Its bytes must stay until
 * hs_relay_flush(), which every caller owes before it gives them up.
 */
void hs_relay_pass(struct hs_relay *r, const struct hs_dgram *d);
void hs_relay_flush(struct hsd *h);

/*
 * A first flight in pieces to @dcid (of HS_CID_LEN bytes), of which the flow of @d has passed on the beginning or
 * what was there of it: the rest need not wait for anything. Only the last such flight of a flow is known.
 */
void hs_relay_note_begun(struct hs_relay *r, const struct hs_dgram *d, const uint8_t *dcid);
bool hs_relay_has_begun(struct hs_relay *r, const struct hs_dgram *d, const uint8_t *dcid);

/*
 * An unused socket for a visit to the cover, the caller's now; -1 while strangers may need them. Asks for
 * more like a flow does.
 */
int hs_relay_spare_socket(struct hs_relay *r);

/* End the flows of a listening socket that goes away. */
void hs_relay_drop_sock(struct hs_relay *r, const struct hs_sock *sock);
/* Idle flows of all tunnels; returns the next time one will be. */
uint64_t hs_relays_run_timers(struct hsd *h);

/* Take @bytes from a flow's token bucket at @now_ns; false: too many. For tests by itself. */
bool hs_relay_take_tokens(struct hs_relay_flow *f, uint64_t bytes, uint64_t now_ns);

#endif /* HS_RELAY_H */
