// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ngtcp2 endpoints as nodes. See peer.h.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "../vectors/ngtcp2-peer.h"

#define PACKET 1400
/* Header with 20 bytes of connection ID, frame with a length, tag: such a packet is 1400 bytes. */
#define DATAGRAM (PACKET - 1 - 20 - 4 - 3 - NQ_TAG_LEN)
/* Of a full packet of a stream: the offset takes what a DATAGRAM does not need. */
#define STREAM_PAYLOAD (DATAGRAM - 3)
#define STREAM_WINDOW (256ULL << 20)
#define IDLE_S 600

struct peer_end {
	struct sim_node node;
	struct sim_peer *of;
	struct peer *peer;
	const char *failed;
};

struct sim_peer {
	struct peer_pair pair;
	struct peer_end *end[2];
	u8 flow;
	bool going, stream;
	s64 stream_id;
	s64 ahead_us; /* of ngtcp2's clock: the handshake took no time of the simulation */
	u64 next_id;
	u64 wire_bytes; /* of the packets that brought the server a datagram */
};

static void set_clock(struct peer_end *e)
{
	e->of->pair.now_us = (u64)((s64)(e->node.sim->now_ns / SIM_US) + e->of->ahead_us);
}

static long write_one(struct peer_end *e, u8 *buf)
{
	static const u8 zeros[PACKET];
	struct sim_peer *p = e->of;
	ngtcp2_ssize taken;
	int accepted;
	long n;

	if (!p->going || e != p->end[0])
		return peer_write(e->peer, buf, PACKET);
	if (p->stream)
		return peer_write_stream(e->peer, buf, PACKET, p->stream_id, zeros, sizeof(zeros),
					 &taken);
	n = peer_write_datagram(e->peer, buf, PACKET, p->next_id, zeros, DATAGRAM, &accepted);
	p->next_id += (u64)accepted;
	return n;
}

static void write_all(struct peer_end *e)
{
	u8 buf[PACKET];
	struct sim_pkt *pkt;
	long n;

	while ((n = write_one(e, buf)) > 0) {
		pkt = sim_pkt_new(e->node.sim, (u32)n, (u32)n, 0);
		memcpy(pkt->data, buf, (size_t)n);
		pkt->flow = e->of->flow;
		sim_forward(e->node.next, pkt);
	}
	if (n < 0)
		e->failed = ngtcp2_strerror((int)n);
}

static void end_run(struct sim_node *n)
{
	struct peer_end *e = (struct peer_end *)n;
	u64 due, now;
	int rv;

	n->next_run_ns = SIM_NEVER;
	if (e->failed)
		return;
	set_clock(e);
	now = e->of->pair.now_us * 1000;
	if (ngtcp2_conn_get_expiry(e->peer->conn) <= now) {
		rv = ngtcp2_conn_handle_expiry(e->peer->conn, now);
		if (rv) {
			e->failed = ngtcp2_strerror((int)rv);
			return;
		}
	}
	write_all(e);
	due = ngtcp2_conn_get_expiry(e->peer->conn);
	if (due == UINT64_MAX || e->failed)
		return;
	/* Up to the microsecond: that is what its clock shows. */
	due = (due + 999) / 1000 * 1000;
	n->next_run_ns = due > now ? n->sim->now_ns / SIM_US * SIM_US + due - now
				   : n->sim->now_ns + SIM_US;
}

static void end_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct peer_end *e = (struct peer_end *)n;
	u8 buf[SIM_PKT_MAX];
	u64 before;
	int rv;

	before = e->peer->received;
	set_clock(e);
	sim_pkt_read(p, buf);
	rv = e->failed ? 0 : peer_read(e->peer, buf, p->len, p->ecn);
	if (rv && rv != NGTCP2_ERR_DRAINING)
		e->failed = ngtcp2_strerror((int)rv);
	if (e == e->of->end[1] && e->peer->received > before)
		e->of->wire_bytes += p->len + SIM_IP_UDP_BYTES;
	sim_pkt_free(n->sim, p);
	n->next_run_ns = n->sim->now_ns;
}

static void end_fini(struct sim_node *n)
{
	struct peer_end *e = (struct peer_end *)n;

	if (e != e->of->end[1])
		return;
	peer_pair_stop(&e->of->pair);
	free(e->of);
}

static struct peer_end *new_end(struct sim_peer *p, struct sim *s, int i, struct sim_node *to)
{
	struct peer_end *e = sim_node_new(s, i ? "ngtcp2-b" : "ngtcp2-a", sizeof(*e), to);

	e->node.forward = end_forward;
	e->node.run = end_run;
	e->node.fini = end_fini;
	e->of = p;
	e->peer = i ? &p->pair.server : &p->pair.client;
	p->end[i] = e;
	return e;
}

struct sim_peer *sim_peer(struct sim *s, const struct sim_peer_conf *conf, u8 flow,
			  struct sim_node *from_client, struct sim_node *from_server)
{
	struct peer_options o = {
		.delay_us = conf->rtt_ns / SIM_US / 2,
		.has_congestion = true,
		.idle_s = IDLE_S,
	};
	struct sim_peer *p = calloc(1, sizeof(*p));
	const char *cc = conf->congestion ? conf->congestion : "cubic";

	o.congestion = !strcmp(cc, "bbr")     ? NGTCP2_CC_ALGO_BBR
		       : !strcmp(cc, "cubic") ? NGTCP2_CC_ALGO_CUBIC
					      : NGTCP2_CC_ALGO_RENO;
	o.stream_window = conf->stream ? STREAM_WINDOW : 0;
	if (!p || peer_pair_start_with(&p->pair, NQ_AES_128_GCM, false, &o)) {
		fprintf(stderr, "sim: ngtcp2 does not shake hands\n");
		exit(2);
	}
	p->flow = flow;
	p->stream = conf->stream;
	p->ahead_us = (s64)p->pair.now_us - (s64)(s->now_ns / SIM_US);
	if (p->stream && ngtcp2_conn_open_uni_stream(p->pair.client.conn, &p->stream_id, NULL)) {
		fprintf(stderr, "sim: ngtcp2 opens no stream\n");
		exit(2);
	}
	new_end(p, s, 0, from_client)->node.next_run_ns = s->now_ns;
	new_end(p, s, 1, from_server)->node.next_run_ns = s->now_ns;
	return p;
}

struct sim_node *sim_peer_end(struct sim_peer *p, int end)
{
	return &p->end[end]->node;
}

void sim_peer_go(struct sim_peer *p)
{
	p->going = true;
	p->end[0]->node.next_run_ns = p->end[0]->node.sim->now_ns;
}

u64 sim_peer_wire_bytes(const struct sim_peer *p)
{
	/* A stream comes out in order, so its packets are not those that just came. */
	if (p->stream)
		return p->pair.server.stream_bytes * (PACKET + SIM_IP_UDP_BYTES) / STREAM_PAYLOAD;
	return p->wire_bytes;
}

const char *sim_peer_error(const struct sim_peer *p)
{
	return p->end[0]->failed ? p->end[0]->failed : p->end[1]->failed;
}
