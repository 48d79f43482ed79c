/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine under fuzzing: cheap to reset, keyed with the null cipher, some packets in flight.
 */
#ifndef FUZZ_ENGINE_H
#define FUZZ_ENGINE_H

#include <stdlib.h>

#include "../../../quic/conn.h"
#include "../../unit/quic/pair.h"

#define FUZZ_RING 1024
#define FUZZ_NOW_US 1000000

static inline void fuzz_params(struct nq_conn_params *p, bool server)
{
	memset(p, 0, sizeof(*p));
	p->crypto = &null_crypto;
	p->cipher = NQ_AES_128_GCM;
	p->is_server = server;
	p->has_next = true;
	memset(p->tx_next.key, 1, sizeof(p->tx_next.key));
	memset(p->rx_next.key, 1, sizeof(p->rx_next.key));
	p->local_cids[0].len = p->remote_cids[0].len = 4;
	p->remote_cids[0].has_token = true;
	memset(p->remote_cids[0].token, 0x77, NQ_RESET_TOKEN_LEN);
	p->remote_cids[1] = p->remote_cids[0];
	p->remote_cids[1].seq = p->remote_cids[1].id[0] = 1;
	p->n_local_cids = 1;
	p->n_remote_cids = 2;
	p->max_idle_timeout_ms = 30000;
	p->peer_max_datagram_frame_bytes = 65535;
	p->peer_max_udp_payload_bytes = 65527;
	p->path_mtu_bytes = 1400;
	p->prefix_len = 1;
	p->ring_packets = FUZZ_RING;
	p->ecn = true;
	p->migration = true;
	p->peer_active_cid_limit = 4;
}

/* A fresh engine with @in_flight packets out. One block is used over and over. */
static inline struct nq_conn *fuzz_engine(bool server, unsigned int in_flight)
{
	static u8 buf[NQ_BURST_MAX][100], punt[NQ_PUNT_BYTES];
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	struct nq_conn_params p;
	struct nq_tx_burst b;
	struct nq_conn *c;
	static void *mem;
	unsigned int i;
	int err;

	fuzz_params(&p, server);
	if (!mem)
		mem = aligned_alloc(64, nq_conn_bytes(&p));
	if (!mem)
		abort();
	memset(mem, 0, nq_conn_bytes(&p));
	c = nq_conn_init(mem, &p, FUZZ_NOW_US, &err);
	if (!c || !nq_lend_punt(c, punt))
		abort();
	if (nq_tx_reserve(c, &b, in_flight, 100, FUZZ_NOW_US) != in_flight)
		abort();
	for (i = 0; i < in_flight; i++) {
		pkts[i].buf = buf[i];
		pkts[i].len = 60;
	}
	if (nq_tx_seal(c, &b, pkts, in_flight))
		abort();
	nq_tx_commit(c, &b, pkts, in_flight, FUZZ_NOW_US);
	return c;
}

/* One active path, with an ID; no path with two; no ID in two places. */
static inline void fuzz_check_paths(const struct nq_conn *c)
{
	const struct nq_cids *s = &c->cids;
	u8 seen = 0, others = 0;
	u32 i;

	for (i = 0; i < s->n_remote; i++) {
		if (s->remote_paths[i] & 0x7f & seen)
			abort();
		seen |= s->remote_paths[i];
	}
	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (!c->paths.p[i].used && seen >> i & 1)
			abort();
		others += c->paths.p[i].used && i != c->paths.active;
	}
	if (!c->paths.p[c->paths.active].used || others != c->paths.others)
		abort();
	if (c->state == NQ_ACTIVE && !(s->remote_paths[0] >> c->paths.active & 1))
		abort();
	if (!c->paths.p[c->paths.last_valid].used || !c->paths.p[c->paths.last_valid].valid)
		abort();
	if (c->pmtud.low > c->path_mtu || c->pmtud.low >= c->pmtud.high ||
	    c->path_mtu > c->pmtud.limit)
		abort();
}

/* What must hold whatever was received. */
static inline void fuzz_check(struct nq_conn *c)
{
	u64 flight = 0, pn;

	for (pn = c->loss.base_pn; pn < c->next_pn; pn++) {
		const struct nq_sent *s = &c->ring[pn & c->ring_mask];

		if (s->state == NQ_SENT_OUT && s->flags & NQ_SENT_ELICITING)
			flight += s->bytes;
	}
	if (flight != c->loss.bytes_in_flight || c->ack.ranges.n > NQ_RANGES_MAX ||
	    c->punt_len > NQ_PUNT_BYTES || !c->cids.n_remote || c->cids.n_remote > NQ_CIDS_MAX ||
	    c->paths.n_responses > NQ_RESPONSES_MAX || c->cc.cwnd < 2ULL * c->cc.mss)
		abort();
	fuzz_check_paths(c);
}

/* Let it say all it wants, then let its timers run out. */
static inline void fuzz_drain(struct nq_conn *c)
{
	static u8 buf[1500];
	u64 now = FUZZ_NOW_US + 20000, next;
	int i, k;
	u32 len;
	u8 path;

	for (i = 0; i < 20; i++) {
		for (k = 0; k < 20 && nq_tx_control_wanted(c, now); k++) {
			if (nq_tx_control(c, buf, sizeof(buf), now) <= 0)
				abort();
		}
		for (; k < 20 && nq_tx_alone_wanted(c, now); k++) {
			if (nq_tx_alone(c, buf, sizeof(buf), now, &path) <= 0 ||
			    path >= NQ_PATHS_MAX)
				abort();
		}
		if (k == 20)
			abort();
		next = nq_next_timeout_us(c);
		if (next == NQ_TIME_NEVER)
			break;
		now = next > now ? next : now + 1;
		nq_on_timeout(c, now);
		fuzz_check(c);
	}
	if (!nq_take_punt(c, &len) || len > NQ_PUNT_BYTES)
		abort();
}

#endif /* FUZZ_ENGINE_H */
