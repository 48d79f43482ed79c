// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine against a live ngtcp2 endpoint: after a real handshake one side is taken over by the
 * engine, and both send 100000 DATAGRAMs over a link that loses and reorders, on a virtual clock, in
 * every cipher and in both roles: 1 % without key updates and with some; 5 %, more reordering and
 * duplicates with a key update every 1000 packets, from either side in turn. Nothing may be delivered
 * twice, nothing sent again, and at the end every packet is accounted for on both sides. In some runs
 * the client changes its address every 10000 DATAGRAMs, by migration and by the doing of a NAT in turn.
 *
 * usage: test-ngtcp2-peer [SEED [TEST]]: other chances than those of every run, one test.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../../lib/crypto.h"
#include "../../../quic/varint.h"
#include "../../vectors/ngtcp2-peer.h"

#define DATAGRAMS 100000
#define DATAGRAM_BYTES 1000
#define QUEUE 4096
#define MTU 1400
#define BURST 16
/*
 * What is overtaken by 128 packets cannot be told by ngtcp2's shortest packet numbers (RFC 9000 17.1:
 * twice what is unacknowledged), and would be given up as forged. Some of those that overtake are lost.
 */
#define OVERTAKEN_MAX 64
#define MOVE_EVERY 10000
/* Packets on the way to it at a move. */
#define LEFT_BEHIND 64

/* What the link does, and how many datagrams pass between key updates (0: none). */
struct conditions {
	u32 delay_us, loss_permille, swap_permille, swap_us, dup_permille;
	u64 update_every, updates_min;
};

static const struct conditions plain = { 5000, 10, 20, 400, 0, 0, 0 };
static const struct conditions updating = { 5000, 10, 20, 400, 0, 5000, 8 };
static const struct conditions harsh = { 2000, 50, 100, 400, 20, 1000, 40 };

struct packet {
	u64 at_us;
	u64 seq; /* on its link */
	u32 len;
	u32 addr; /* the client's, as the server sees it */
	bool full; /* carries a DATAGRAM */
	u8 data[MTU];
};

struct link {
	struct packet q[QUEUE];
	u32 n;
	u64 seq;
	u64 full_lost, duplicated;
};

struct run {
	struct peer_pair pp;
	struct peer *live;
	struct nq_conn *engine;
	void *mem;
	u64 random;
	const struct conditions *how;
	struct link to_engine, to_live;
	u64 engine_sent, live_sent;
	u64 engine_received, engine_duplicates;
	u8 *seen;
	/* key updates */
	u64 next_update; /* at this many datagrams sent */
	u64 by_engine, by_live;
	u8 tx_secret[PEER_SECRET_MAX], rx_secret[PEER_SECRET_MAX];
	struct peer *from;
	/* moves */
	bool moving;
	u64 next_move; /* at this many datagrams sent */
	u32 moves, nat_shift, hosts;
	u32 addr[NQ_PATHS_MAX]; /* of the engine's paths: its own if it is the client */
	u64 next_cid;
};

static u64 seed;

static u32 draw(struct run *r)
{
	r->random = r->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(r->random >> 33);
}

/* What @last is too far behind of waits no longer than it. */
static void bound_overtaking(struct link *l, const struct packet *last)
{
	struct packet *p;

	for (p = l->q; p < last; p++) {
		if (p->seq + OVERTAKEN_MAX <= last->seq && p->at_us > last->at_us)
			p->at_us = last->at_us;
	}
}

/* @addr: the address the sender knows of the client. */
static void put_copy(struct run *r, struct link *l, const u8 *data, u32 len, bool full, u32 addr)
{
	bool by_client = (l == &r->to_engine) == !r->live->server;
	struct packet *p;

	assert_true(l->n < QUEUE);
	p = &l->q[l->n++];
	p->at_us = r->pp.now_us + r->how->delay_us;
	if (draw(r) % 1000 < r->how->swap_permille)
		p->at_us += draw(r) % r->how->swap_us;
	p->len = len;
	p->full = full;
	p->addr = addr + (by_client ? r->nat_shift : 0);
	memcpy(p->data, data, len);
	p->seq = l->seq++;
	bound_overtaking(l, p);
}

static void put(struct run *r, struct link *l, const u8 *data, u32 len, bool full, u32 addr)
{
	if (draw(r) % 1000 < r->how->loss_permille) {
		l->full_lost += full;
		return;
	}
	put_copy(r, l, data, len, full, addr);
	if (draw(r) % 1000 < r->how->dup_permille) {
		l->duplicated++;
		put_copy(r, l, data, len, full, addr);
	}
}

/* ---- the live side ---- */

static void live_send(struct run *r)
{
	static u8 payload[1 + DATAGRAM_BYTES];
	u8 buf[MTU];
	int accepted, i;
	long n;

	for (i = 0; i < BURST && r->live_sent < DATAGRAMS; i++) {
		nq_put_be64(payload + 1, r->live_sent);
		n = peer_write_datagram(r->live, buf, sizeof(buf), r->live_sent, payload,
					sizeof(payload), &accepted);
		assert_true(n >= 0);
		r->live_sent += accepted;
		if (!n)
			return;
		put(r, &r->to_engine, buf, (u32)n, accepted, r->live->addr);
	}
}

static void live_talk(struct run *r)
{
	u8 buf[MTU];
	long n;

	while ((n = peer_write(r->live, buf, sizeof(buf))) > 0)
		put(r, &r->to_engine, buf, (u32)n, false, r->live->addr);
	assert_int_equal(n, 0);
}

static void live_expire(struct run *r)
{
	if (ngtcp2_conn_get_expiry(r->live->conn) <= r->pp.now_us * 1000)
		assert_int_equal(ngtcp2_conn_handle_expiry(r->live->conn, r->pp.now_us * 1000), 0);
}

/* ---- the engine's side ---- */

static void engine_send(struct run *r)
{
	static u8 bufs[BURST][MTU];
	struct nq_tx_pkt pkts[BURST];
	struct nq_tx_burst b;
	unsigned int i, n = BURST;
	u32 at;

	if (DATAGRAMS - r->engine_sent < n)
		n = (unsigned int)(DATAGRAMS - r->engine_sent);
	if (!n)
		return;
	n = nq_tx_reserve(r->engine, &b, n, DATAGRAM_BYTES + nq_tx_overhead_bytes(r->engine),
			  r->pp.now_us);
	for (i = 0; i < n; i++) {
		at = b.hdr_len;
		at += nq_tx_datagram_header(r->engine, bufs[i] + at);
		nq_put_be64(bufs[i] + at, r->engine_sent++);
		pkts[i].buf = bufs[i];
		pkts[i].len = at + DATAGRAM_BYTES;
	}
	assert_int_equal(nq_tx_seal(r->engine, &b, pkts, n), 0);
	for (i = 0; i < n; i++)
		put(r, &r->to_live, pkts[i].buf, pkts[i].len, true,
		    r->addr[nq_active_path(r->engine)]);
	nq_tx_commit(r->engine, &b, pkts, n, r->pp.now_us);
}

static void engine_talk(struct run *r)
{
	u8 buf[MTU], path;
	int n;

	if (nq_next_timeout_us(r->engine) <= r->pp.now_us)
		nq_on_timeout(r->engine, r->pp.now_us);
	while (nq_tx_control_wanted(r->engine, r->pp.now_us)) {
		n = nq_tx_control(r->engine, buf, sizeof(buf), r->pp.now_us);
		assert_true(n > 0);
		put(r, &r->to_live, buf, (u32)n, false, r->addr[nq_active_path(r->engine)]);
	}
	while (r->moving && nq_tx_alone_wanted(r->engine, r->pp.now_us)) {
		n = nq_tx_alone(r->engine, buf, sizeof(buf), r->pp.now_us, &path);
		assert_true(n > 0);
		put(r, &r->to_live, buf, (u32)n, false, r->addr[path]);
	}
}

/* The engine's path that @addr is, NQ_PATH_NEW* for a server, NQ_PATHS_MAX for nobody's. */
static u8 path_of(const struct run *r, u32 addr)
{
	u32 shift = r->live->server ? r->nat_shift : 0;
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		/* A client has closed the socket of a path it has given up. */
		if ((!i || r->addr[i]) && r->addr[i] + shift == addr &&
		    (!r->live->server || nq_path_used(r->engine, i)))
			return i;
	}
	if (r->live->server)
		return NQ_PATHS_MAX;
	return addr >> 16 == r->addr[nq_active_path(r->engine)] >> 16 ? NQ_PATH_NEW_PORT
								      : NQ_PATH_NEW;
}

static void engine_receive(struct run *r, struct packet *q, unsigned int n)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	unsigned int i, n_dg;
	u64 index;

	for (i = 0; i < n; i++)
		pkts[i] = (struct nq_rx_pkt){ .data = q[i].data,
					      .len = q[i].len,
					      .path = path_of(r, q[i].addr) };
	assert_int_equal(nq_rx_open(r->engine, pkts, n, dg, NQ_BURST_MAX, &n_dg, r->pp.now_us), n);
	for (i = 0; i < n; i++)
		assert_true(pkts[i].status == NQ_RX_OK ||
			    (pkts[i].status == NQ_RX_DUPLICATE && r->how->dup_permille));
	for (i = 0; i < n_dg; i++) {
		assert_int_equal(dg[i].len, DATAGRAM_BYTES);
		index = nq_get_be64(dg[i].data);
		assert_true(index < DATAGRAMS);
		r->engine_duplicates += r->seen[index];
		r->seen[index] = 1;
		r->engine_received++;
	}
	if (!r->live->server && pkts[0].path < NQ_PATHS_MAX)
		r->addr[pkts[0].path] = q[0].addr;
}

/* One by one while the addresses change; what comes for a former one is lost. */
static void engine_receive_each(struct run *r, struct packet *q, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (path_of(r, q[i].addr) == NQ_PATHS_MAX)
			r->to_engine.full_lost += q[i].full;
		else
			engine_receive(r, &q[i], 1);
	}
}

/* ---- moves ---- */

static u32 client_addr(u32 host)
{
	return host ? host << 16 | 9 : 0;
}

static void issue_cids(struct run *r)
{
	struct nq_cid cid;

	while (nq_take_retired_cid(r->engine, &cid))
		;
	while (nq_local_cids_wanted(r->engine)) {
		cid = (struct nq_cid){ .len = PEER_CID_LEN, .has_token = true };
		memset(cid.id, 0x20 + (int)r->next_cid++, PEER_CID_LEN);
		assert_int_equal(nq_add_local_cid(r->engine, &cid), 0);
	}
}

static bool migrate(struct run *r)
{
	int path;

	if (!r->live->server)
		return !peer_migrate(r->live, client_addr(r->hosts + 1));
	path = nq_path_migrate(r->engine, 0, r->pp.now_us);
	if (path < 0)
		return false;
	r->addr[path] = client_addr(r->hosts + 1);
	return true;
}

/* Either may have to wait for a connection ID. */
static void move(struct run *r)
{
	issue_cids(r);
	if (r->engine_sent < r->next_move)
		return;
	if (r->moves % 2)
		/* Another port, and every other time another host as well. */
		r->nat_shift += r->moves % 4 == 1 ? 1 : 0x500000;
	else if (migrate(r))
		r->hosts++;
	else
		return;
	r->moves++;
	r->next_move += MOVE_EVERY;
}

/* ---- key updates ---- */

static void next_keys(struct run *r, u8 *secret, struct nq_key_material *m)
{
	u8 next[PEER_SECRET_MAX];
	u16 cipher = r->from->cipher;
	u32 n = r->from->secret_len;

	assert_int_equal(nx_quic_derive(cipher, secret, n, "quic ku", next, n), 0);
	memcpy(secret, next, n);
	assert_int_equal(nx_quic_derive(cipher, next, n, "quic key", m->key, nq_key_len(cipher)),
			 0);
	assert_int_equal(nx_quic_derive(cipher, next, n, "quic iv", m->iv, NQ_IV_LEN), 0);
}

/* Updates in turn from either side; the engine is given the keys of the phase after. */
static void update_keys(struct run *r)
{
	struct nq_key_material tx, rx;

	if (nq_take_events(r->engine) & NQ_EV_KEY_UPDATED) {
		next_keys(r, r->tx_secret, &tx);
		next_keys(r, r->rx_secret, &rx);
		assert_int_equal(nq_set_next_keys(r->engine, &tx, &rx), 0);
	}
	if (!r->how->update_every || r->engine_sent < r->next_update)
		return;
	if ((r->by_engine + r->by_live) % 2) {
		if (!ngtcp2_conn_initiate_key_update(r->live->conn, r->pp.now_us * 1000)) {
			r->by_live++;
			r->next_update += r->how->update_every;
		}
	} else if (!nq_key_update(r->engine, r->pp.now_us)) {
		r->by_engine++;
		r->next_update += r->how->update_every;
	}
}

/* ---- the link ---- */

static unsigned int take(struct run *r, struct link *l, struct packet *out)
{
	unsigned int n = 0;
	u32 i, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (l->q[i].at_us <= r->pp.now_us && n < NQ_BURST_MAX)
			out[n++] = l->q[i];
		else if (kept++ != i)
			l->q[kept - 1] = l->q[i];
	}
	l->n = kept;
	return n;
}

static void live_receive(struct run *r, const struct packet *p)
{
	u32 addr = p->addr - (r->live->server ? 0 : r->nat_shift);

	/* To a port that the NAT has given up. */
	if (!r->live->server && addr != client_addr(addr >> 16)) {
		r->to_live.full_lost += p->full;
		return;
	}
	assert_int_equal(peer_read_at(r->live, p->data, p->len, 0, addr), 0);
}

static void arrive(struct run *r)
{
	static struct packet burst[NQ_BURST_MAX];
	unsigned int i, n;

	while ((n = take(r, &r->to_live, burst)) > 0) {
		for (i = 0; i < n; i++)
			live_receive(r, &burst[i]);
	}
	while ((n = take(r, &r->to_engine, burst)) > 0) {
		if (r->moving)
			engine_receive_each(r, burst, n);
		else
			engine_receive(r, burst, n);
	}
}

static u64 next_event_us(struct run *r)
{
	u64 t = ngtcp2_conn_get_expiry(r->live->conn), e = nq_next_timeout_us(r->engine);
	u32 i;

	t = t == UINT64_MAX ? t : (t + 999) / 1000;
	t = e < t ? e : t;
	for (i = 0; i < r->to_engine.n; i++)
		t = r->to_engine.q[i].at_us < t ? r->to_engine.q[i].at_us : t;
	for (i = 0; i < r->to_live.n; i++)
		t = r->to_live.q[i].at_us < t ? r->to_live.q[i].at_us : t;
	return t;
}

static bool finished(const struct run *r)
{
	struct nq_stats s;

	nq_get_stats(r->engine, &s, r->pp.now_us);
	/* ngtcp2 reports a packet that it gave up too early twice: as lost, then as acknowledged. */
	return r->engine_sent == DATAGRAMS && r->live_sent == DATAGRAMS && !s.bytes_in_flight &&
	       r->live->acked + r->live->lost >= DATAGRAMS && !r->to_engine.n && !r->to_live.n;
}

static void exchange(struct run *r)
{
	u64 t, deadline_us = r->pp.now_us + 3600ULL * 1000000;

	for (;;) {
		update_keys(r);
		if (r->moving)
			move(r);
		live_send(r);
		live_talk(r);
		engine_send(r);
		engine_talk(r);
		/* Here, not before: a timer may just have settled the last packet. */
		if (finished(r))
			return;
		/* Senders look again at least every 200 us: neither side tells when its pacer opens. */
		t = next_event_us(r);
		if (r->engine_sent < DATAGRAMS || r->live_sent < DATAGRAMS)
			t = t < r->pp.now_us + 200 ? t : r->pp.now_us + 200;
		r->pp.now_us = t > r->pp.now_us ? t : r->pp.now_us + 1;
		assert_true(r->pp.now_us < deadline_us);
		arrive(r);
		live_expire(r);
	}
}

/* ---- a run ---- */

/* What the live end has given beyond the first. */
static void add_spare_ids(const struct run *r, struct nq_conn_params *params)
{
	u32 i;

	params->migration = true;
	for (i = 0; i < r->live->n_local; i++) {
		if (memcmp(r->live->local[i].id, params->remote_cids[0].id, PEER_CID_LEN))
			params->remote_cids[params->n_remote_cids++] = r->live->local[i];
		else
			params->remote_cids[0].seq = r->live->local[i].seq;
	}
}

static void take_over(struct run *r, struct peer *from)
{
	struct nq_range ranges[64];
	struct nq_conn_params params;
	size_t bytes;
	int err;

	assert_int_equal(peer_export(from, nx_crypto_provider(NULL), &params, ranges, 64), 0);
	if (r->moving)
		add_spare_ids(r, &params);
	bytes = nq_conn_bytes(&params);
	r->mem = aligned_alloc(64, bytes + NQ_PUNT_BYTES);
	assert_non_null(r->mem);
	memset(r->mem, 0, bytes);
	r->engine = nq_conn_init(r->mem, &params, r->pp.now_us, &err);
	assert_non_null(r->engine);
	assert_true(nq_lend_punt(r->engine, (u8 *)r->mem + bytes));
	r->from = from;
	r->next_update = r->how->update_every;
	/* The export has given the keys of the first update. */
	memcpy(r->tx_secret, from->tx_secret, PEER_SECRET_MAX);
	memcpy(r->rx_secret, from->rx_secret, PEER_SECRET_MAX);
	next_keys(r, r->tx_secret, &params.tx_next);
	next_keys(r, r->rx_secret, &params.rx_next);
}

static void check(struct run *r)
{
	struct nq_close_info info;
	struct nq_stats s;

	nq_get_stats(r->engine, &s, r->pp.now_us);
	nq_close_info(r->engine, &info);
	assert_int_equal(info.cause, NQ_CLOSE_NONE);
	assert_int_equal(ngtcp2_conn_in_draining_period(r->live->conn), 0);
	assert_int_equal(ngtcp2_conn_in_closing_period(r->live->conn), 0);
	/* What the link let through arrived, once. */
	assert_int_equal(r->engine_duplicates, 0);
	assert_int_equal(r->live->duplicates, 0);
	assert_int_equal(r->engine_received, DATAGRAMS - r->to_engine.full_lost);
	/* ngtcp2 takes nothing more from a path that it has left. */
	assert_true(r->live->received <= DATAGRAMS - r->to_live.full_lost);
	assert_true(r->live->received + (r->moving ? r->hosts * LEFT_BEHIND : 0) >=
		    DATAGRAMS - r->to_live.full_lost);
	assert_int_equal(s.count.datagram_rx, r->engine_received);
	assert_int_equal(s.count.datagram_tx, DATAGRAMS);
	/* What the link dropped was found to be lost, and nothing else stayed lost. */
	assert_true(r->to_live.full_lost > DATAGRAMS / 200);
	/* At a move to another path the engine forgets what was out. */
	assert_true(r->moving || s.count.datagram_lost >= r->to_live.full_lost);
	/* Also what reached ngtcp2 over a path it had left, and so is never acknowledged. */
	assert_true(s.count.packets_lost - s.count.spurious_losses <=
		    DATAGRAMS - r->live->received + s.count.ptos + 16);
	assert_true(r->live->lost >= r->to_engine.full_lost);
	assert_true(r->live->acked <= r->engine_received);
	assert_true(s.count.ack_tx > DATAGRAMS / 100 && s.count.ack_rx > DATAGRAMS / 100);
	assert_int_equal(s.count.open_failures + s.count.frame_errors + s.count.header_failures, 0);
	assert_int_equal(s.count.duplicates, r->to_engine.duplicated);
	assert_int_equal(s.count.replay_window_drops, 0);
	assert_int_equal(s.count.key_updates, r->by_engine + r->by_live);
	if (r->moving) {
		assert_int_equal(r->moves, DATAGRAMS / MOVE_EVERY);
		/* A client does not notice what a NAT does. */
		assert_int_equal(s.count.migrations, r->live->server ? r->moves / 2 : r->moves);
	}
	assert_true(r->by_engine >= r->how->updates_min && r->by_live >= r->how->updates_min);
	print_message(
		"  lost by the link %u/%u, engine: lost %u, of it spurious %u, PTO %u, srtt %u "
		"us, cwnd %u, key updates %u + %u\n",
		(unsigned int)r->to_live.full_lost, (unsigned int)r->to_engine.full_lost,
		(unsigned int)s.count.packets_lost, (unsigned int)s.count.spurious_losses,
		(unsigned int)s.count.ptos, (unsigned int)s.srtt_us, (unsigned int)s.cwnd_bytes,
		(unsigned int)r->by_engine, (unsigned int)r->by_live);
}

static void run_one(u16 cipher, bool engine_is_server, const struct conditions *how, bool moving)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->random = cipher * 2u + engine_is_server + seed * 1000003;
	r->how = how;
	r->moving = moving;
	r->next_move = MOVE_EVERY / 2;
	assert_int_equal(peer_pair_start(&r->pp, cipher, false), 0);
	r->live = engine_is_server ? &r->pp.client : &r->pp.server;
	r->live->seen_size = DATAGRAMS;
	r->live->seen = calloc(1, DATAGRAMS);
	r->seen = calloc(1, DATAGRAMS);
	assert_non_null(r->live->seen);
	assert_non_null(r->seen);
	take_over(r, engine_is_server ? &r->pp.server : &r->pp.client);
	/* Behind a NAT nobody may be silent: nothing would tell the server of another address. */
	if (moving)
		ngtcp2_conn_set_keep_alive_timeout(r->live->conn, NGTCP2_SECONDS);
	exchange(r);
	check(r);
	nq_conn_fini(r->engine);
	free(r->mem);
	free(r->seen);
	peer_pair_stop(&r->pp);
	free(r);
}

static void test_aes128_client(void **state)
{
	run_one(NQ_AES_128_GCM, false, &plain, false);
}

static void test_aes128_server(void **state)
{
	run_one(NQ_AES_128_GCM, true, &plain, false);
}

static void test_aes256_client(void **state)
{
	run_one(NQ_AES_256_GCM, false, &plain, false);
}

static void test_aes256_server(void **state)
{
	run_one(NQ_AES_256_GCM, true, &plain, false);
}

static void test_chacha_client(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, false, &plain, false);
}

static void test_chacha_server(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, true, &plain, false);
}

static void test_moves_client(void **state)
{
	run_one(NQ_AES_128_GCM, false, &updating, true);
}

static void test_moves_server(void **state)
{
	run_one(NQ_AES_128_GCM, true, &updating, true);
}

static void test_key_updates_client(void **state)
{
	run_one(NQ_AES_128_GCM, false, &updating, false);
}

static void test_key_updates_server(void **state)
{
	run_one(NQ_AES_256_GCM, true, &updating, false);
}

static void test_harsh_aes128_client(void **state)
{
	run_one(NQ_AES_128_GCM, false, &harsh, false);
}

static void test_harsh_aes128_server(void **state)
{
	run_one(NQ_AES_128_GCM, true, &harsh, false);
}

static void test_harsh_aes256_client(void **state)
{
	run_one(NQ_AES_256_GCM, false, &harsh, false);
}

static void test_harsh_aes256_server(void **state)
{
	run_one(NQ_AES_256_GCM, true, &harsh, false);
}

static void test_harsh_chacha_client(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, false, &harsh, false);
}

static void test_harsh_chacha_server(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, true, &harsh, false);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aes128_client),
		cmocka_unit_test(test_aes128_server),
		cmocka_unit_test(test_aes256_client),
		cmocka_unit_test(test_aes256_server),
		cmocka_unit_test(test_chacha_client),
		cmocka_unit_test(test_chacha_server),
		cmocka_unit_test(test_moves_client),
		cmocka_unit_test(test_moves_server),
		cmocka_unit_test(test_key_updates_client),
		cmocka_unit_test(test_key_updates_server),
		cmocka_unit_test(test_harsh_aes128_client),
		cmocka_unit_test(test_harsh_aes128_server),
		cmocka_unit_test(test_harsh_aes256_client),
		cmocka_unit_test(test_harsh_aes256_server),
		cmocka_unit_test(test_harsh_chacha_client),
		cmocka_unit_test(test_harsh_chacha_server),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
