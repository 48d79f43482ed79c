// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine against a live ngtcp2 endpoint: after a real handshake one side is taken over by the
 * engine, and both send 100000 DATAGRAMs over a link that loses and reorders, on a virtual clock, in
 * every cipher and in both roles: 1 % without key updates and with some; 5 %, more reordering and
 * duplicates with a key update every 1000 packets, from either side in turn. Nothing may be delivered
 * twice, nothing sent again, and at the end every packet is accounted for on both sides.
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
/* Anything longer than this carries a DATAGRAM. */
#define LARGE 600
#define QUEUE 4096
#define MTU 1400
#define BURST 16

/* What the link does, and how many datagrams pass between key updates (0: none). */
struct conditions {
	u32 delay_us, loss_permille, swap_permille, swap_us, dup_permille;
	u64 update_every, updates_min;
};

static const struct conditions plain = { 5000, 10, 20, 400, 0, 0, 0 };
static const struct conditions updating = { 5000, 10, 20, 400, 0, 5000, 8 };
/* Later than this and a packet could be overtaken by 128 of its burst: more than ngtcp2's shortest
 * packet numbers tell apart.
 */
static const struct conditions harsh = { 2000, 50, 100, 400, 20, 1000, 40 };

struct packet {
	u64 at_us;
	u32 len;
	u8 data[MTU];
};

struct link {
	struct packet q[QUEUE];
	u32 n;
	u64 large_lost, duplicated;
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
};

static u32 draw(struct run *r)
{
	r->random = r->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(r->random >> 33);
}

static void put_copy(struct run *r, struct link *l, const u8 *data, u32 len)
{
	struct packet *p;

	assert_true(l->n < QUEUE);
	p = &l->q[l->n++];
	p->at_us = r->pp.now_us + r->how->delay_us;
	if (draw(r) % 1000 < r->how->swap_permille)
		p->at_us += draw(r) % r->how->swap_us;
	p->len = len;
	memcpy(p->data, data, len);
}

static void put(struct run *r, struct link *l, const u8 *data, u32 len)
{
	if (draw(r) % 1000 < r->how->loss_permille) {
		l->large_lost += len > LARGE;
		return;
	}
	put_copy(r, l, data, len);
	if (draw(r) % 1000 < r->how->dup_permille) {
		l->duplicated++;
		put_copy(r, l, data, len);
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
		put(r, &r->to_engine, buf, (u32)n);
	}
}

static void live_talk(struct run *r)
{
	u8 buf[MTU];
	long n;

	while ((n = peer_write(r->live, buf, sizeof(buf))) > 0)
		put(r, &r->to_engine, buf, (u32)n);
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
		put(r, &r->to_live, pkts[i].buf, pkts[i].len);
	nq_tx_commit(r->engine, &b, pkts, n, r->pp.now_us);
}

static void engine_talk(struct run *r)
{
	u8 buf[MTU];
	int n;

	if (nq_next_timeout_us(r->engine) <= r->pp.now_us)
		nq_on_timeout(r->engine, r->pp.now_us);
	while (nq_tx_control_wanted(r->engine, r->pp.now_us)) {
		n = nq_tx_control(r->engine, buf, sizeof(buf), r->pp.now_us);
		assert_true(n > 0);
		put(r, &r->to_live, buf, (u32)n);
	}
}

static void engine_receive(struct run *r, struct packet *q, unsigned int n)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	unsigned int i, n_dg;
	u64 index;

	for (i = 0; i < n; i++)
		pkts[i] = (struct nq_rx_pkt){ .data = q[i].data, .len = q[i].len };
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

static void arrive(struct run *r)
{
	static struct packet burst[NQ_BURST_MAX];
	unsigned int i, n;

	while ((n = take(r, &r->to_live, burst)) > 0) {
		for (i = 0; i < n; i++)
			assert_int_equal(peer_read(r->live, burst[i].data, burst[i].len, 0), 0);
	}
	while ((n = take(r, &r->to_engine, burst)) > 0)
		engine_receive(r, burst, n);
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

static void take_over(struct run *r, struct peer *from)
{
	struct nq_range ranges[64];
	struct nq_conn_params params;
	int err;

	assert_int_equal(peer_export(from, nx_crypto_provider(NULL), &params, ranges, 64), 0);
	r->mem = aligned_alloc(64, nq_conn_bytes(&params));
	assert_non_null(r->mem);
	memset(r->mem, 0, nq_conn_bytes(&params));
	r->engine = nq_conn_init(r->mem, &params, r->pp.now_us, &err);
	assert_non_null(r->engine);
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
	assert_int_equal(r->engine_received, DATAGRAMS - r->to_engine.large_lost);
	assert_int_equal(r->live->received, DATAGRAMS - r->to_live.large_lost);
	assert_int_equal(s.datagram_rx, r->engine_received);
	assert_int_equal(s.datagram_tx, DATAGRAMS);
	/* What the link dropped was found to be lost, and nothing else stayed lost. */
	assert_true(r->to_live.large_lost > DATAGRAMS / 200);
	assert_true(s.datagram_lost >= r->to_live.large_lost);
	assert_true(s.packets_lost - s.spurious_losses <= r->to_live.large_lost + s.ptos + 16);
	assert_true(r->live->lost >= r->to_engine.large_lost);
	assert_true(r->live->acked <= r->engine_received);
	assert_true(s.ack_tx > DATAGRAMS / 100 && s.ack_rx > DATAGRAMS / 100);
	assert_int_equal(s.open_failures + s.frame_errors + s.header_failures, 0);
	assert_int_equal(s.duplicates, r->to_engine.duplicated);
	assert_int_equal(s.replay_window_drops, 0);
	assert_int_equal(s.key_updates, r->by_engine + r->by_live);
	assert_true(r->by_engine >= r->how->updates_min && r->by_live >= r->how->updates_min);
	print_message(
		"  lost by the link %u/%u, engine: lost %u, of it spurious %u, PTO %u, srtt %u "
		"us, cwnd %u, key updates %u + %u\n",
		(unsigned int)r->to_live.large_lost, (unsigned int)r->to_engine.large_lost,
		(unsigned int)s.packets_lost, (unsigned int)s.spurious_losses, (unsigned int)s.ptos,
		(unsigned int)s.srtt_us, (unsigned int)s.cwnd_bytes, (unsigned int)r->by_engine,
		(unsigned int)r->by_live);
}

static void run_one(u16 cipher, bool engine_is_server, const struct conditions *how)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->random = cipher * 2u + engine_is_server;
	r->how = how;
	assert_int_equal(peer_pair_start(&r->pp, cipher, false), 0);
	r->live = engine_is_server ? &r->pp.client : &r->pp.server;
	r->live->seen_size = DATAGRAMS;
	r->live->seen = calloc(1, DATAGRAMS);
	r->seen = calloc(1, DATAGRAMS);
	assert_non_null(r->live->seen);
	assert_non_null(r->seen);
	take_over(r, engine_is_server ? &r->pp.server : &r->pp.client);
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
	run_one(NQ_AES_128_GCM, false, &plain);
}

static void test_aes128_server(void **state)
{
	run_one(NQ_AES_128_GCM, true, &plain);
}

static void test_aes256_client(void **state)
{
	run_one(NQ_AES_256_GCM, false, &plain);
}

static void test_aes256_server(void **state)
{
	run_one(NQ_AES_256_GCM, true, &plain);
}

static void test_chacha_client(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, false, &plain);
}

static void test_chacha_server(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, true, &plain);
}

static void test_key_updates_client(void **state)
{
	run_one(NQ_AES_128_GCM, false, &updating);
}

static void test_key_updates_server(void **state)
{
	run_one(NQ_AES_256_GCM, true, &updating);
}

static void test_harsh_aes128_client(void **state)
{
	run_one(NQ_AES_128_GCM, false, &harsh);
}

static void test_harsh_aes128_server(void **state)
{
	run_one(NQ_AES_128_GCM, true, &harsh);
}

static void test_harsh_aes256_client(void **state)
{
	run_one(NQ_AES_256_GCM, false, &harsh);
}

static void test_harsh_aes256_server(void **state)
{
	run_one(NQ_AES_256_GCM, true, &harsh);
}

static void test_harsh_chacha_client(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, false, &harsh);
}

static void test_harsh_chacha_server(void **state)
{
	run_one(NQ_CHACHA20_POLY1305, true, &harsh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aes128_client),
		cmocka_unit_test(test_aes128_server),
		cmocka_unit_test(test_aes256_client),
		cmocka_unit_test(test_aes256_server),
		cmocka_unit_test(test_chacha_client),
		cmocka_unit_test(test_chacha_server),
		cmocka_unit_test(test_key_updates_client),
		cmocka_unit_test(test_key_updates_server),
		cmocka_unit_test(test_harsh_aes128_client),
		cmocka_unit_test(test_harsh_aes128_server),
		cmocka_unit_test(test_harsh_aes256_client),
		cmocka_unit_test(test_harsh_aes256_server),
		cmocka_unit_test(test_harsh_chacha_client),
		cmocka_unit_test(test_harsh_chacha_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
