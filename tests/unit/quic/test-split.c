// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bursts that are sealed and opened outside the connection: whatever happens to it meanwhile, what
 * was sealed opens, and what was opened is accepted as it would have been at once.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

#define N 8
#define BYTES 200

static struct pair p;
static unsigned int phase[2];

struct burst {
	u8 bufs[N][400];
	struct nq_tx_pkt tx[N];
	struct nq_rx_pkt rx[N];
	struct nq_tx_burst b;
	struct nq_sealer sealer;
};

/* A burst from end 0 to end 1, and one behind it. */
static struct burst one, two;
static struct nq_opener opener;
static struct nq_rx_datagram datagrams[NQ_BURST_MAX];

static int setup(void **state)
{
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	pair_start(&p);
	phase[0] = phase[1] = 1;
	pair_send(&p, 0, 1, BYTES);
	pair_send(&p, 1, 1, BYTES);
	pair_run(&p, p.now_us + 1000000);
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

/* Both ends know the keys of the phase after the current one. */
static void install_next(void)
{
	struct nq_key_material tx, rx;
	int i;

	for (i = 0; i < 2; i++) {
		if (!(nq_take_events(p.end[i].conn) & NQ_EV_KEY_UPDATED))
			continue;
		phase[i]++;
		pair_keys(&tx, i, phase[i]);
		pair_keys(&rx, !i, phase[i]);
		assert_int_equal(nq_set_next_keys(p.end[i].conn, &tx, &rx), 0);
	}
}

/* End 0 goes to the next phase, whether that is due or not. */
static void update(void)
{
	struct nq_conn *c = p.end[0].conn;

	c->keys.rx_prev.valid = false;
	c->keys.rx_seen = true;
	c->loss.largest_acked = c->keys.tx_first_pn = 0;
	assert_int_equal(nq_key_update(c, p.now_us), 0);
	install_next();
}

/* Reserve, lay out, take, commit: what happens under a lock. */
static void take(struct burst *b)
{
	struct nq_conn *c = p.end[0].conn;
	u32 at, sizes = BYTES + nq_tx_overhead_bytes(c);
	unsigned int i;

	assert_int_equal(nq_tx_reserve(c, &b->b, N, sizes, p.now_us), N);
	for (i = 0; i < N; i++) {
		at = b->b.hdr_len;
		at += nq_tx_datagram_header(c, b->bufs[i] + at);
		memset(b->bufs[i] + at, (int)i, BYTES);
		b->tx[i] = (struct nq_tx_pkt){ .buf = b->bufs[i], .len = at + BYTES };
	}
	assert_int_equal(nq_tx_take(c, &b->b, b->tx, N, &b->sealer), 0);
	nq_tx_commit(c, &b->b, b->tx, N, p.now_us);
}

static void seal(struct burst *b, unsigned int from, unsigned int n)
{
	unsigned int i;

	assert_int_equal(nq_seal(&b->sealer, b->tx, from, n), 0);
	for (i = from; i < from + n; i++)
		b->rx[i] = (struct nq_rx_pkt){ .data = b->tx[i].buf, .len = b->tx[i].len };
}

static unsigned int accept(struct burst *b)
{
	unsigned int n;

	assert_int_equal(nq_rx_accept(p.end[1].conn, &opener, b->rx, N, datagrams, NQ_BURST_MAX, &n,
				      p.now_us),
			 N);
	return n;
}

static void all_are(const struct burst *b, u8 status)
{
	unsigned int i;

	for (i = 0; i < N; i++)
		assert_int_equal(b->rx[i].status, status);
}

/* Two bursts at a time, each in parts and out of order; order is that of accepting. */
static void test_in_parts(void **state)
{
	struct nq_conn *from = p.end[0].conn, *to = p.end[1].conn;
	u64 sent = from->stats.tx_packets, before = to->stats.rx_packets;
	unsigned int i;

	take(&one);
	take(&two);
	assert_int_equal(from->stats.tx_packets, sent + 2 * N);
	seal(&two, 3, N - 3);
	seal(&one, 0, N);
	seal(&two, 0, 3);
	nq_rx_lend(to, &opener);
	nq_open(&opener, two.rx, N);
	nq_open(&opener, one.rx + 5, N - 5);
	nq_open(&opener, one.rx, 5);
	assert_int_equal(to->stats.rx_packets, before);
	assert_int_equal(accept(&one), N);
	for (i = 0; i < N; i++) {
		assert_int_equal(datagrams[i].pkt, i);
		assert_int_equal(datagrams[i].len, BYTES);
		assert_int_equal(datagrams[i].data[BYTES - 1], i);
	}
	assert_int_equal(accept(&two), N);
	all_are(&one, NQ_RX_OK);
	all_are(&two, NQ_RX_OK);
	assert_int_equal(to->stats.rx_packets, before + 2 * N);
}

/* A copy that was opened before the first one was accepted is still a copy. */
static void test_copies(void **state)
{
	struct nq_conn *to = p.end[1].conn;

	take(&one);
	seal(&one, 0, N);
	two = one;
	for (unsigned int i = 0; i < N; i++)
		two.rx[i].data = two.bufs[i];
	nq_rx_lend(to, &opener);
	nq_open(&opener, one.rx, N);
	nq_open(&opener, two.rx, N);
	assert_int_equal(accept(&two), N);
	assert_int_equal(accept(&one), 0);
	all_are(&one, NQ_RX_DUPLICATE);
	assert_int_equal(to->stats.duplicates, N);
}

/* What was taken is sealed with the keys of then, and goes before what is sealed with the next. */
static void test_sealed_after_an_update(void **state)
{
	struct nq_conn *to = p.end[1].conn;

	take(&one);
	update();
	take(&two);
	seal(&two, 0, N);
	seal(&one, 0, N);
	nq_rx_lend(to, &opener);
	nq_open(&opener, one.rx, N);
	nq_open(&opener, two.rx, N);
	assert_int_equal(accept(&one), N);
	assert_int_equal(to->stats.key_updates, 0);
	assert_int_equal(accept(&two), N);
	assert_int_equal(to->stats.key_updates, 1);
	assert_int_equal(to->stats.open_failures, 0);
}

/* A burst before an update and one behind it are opened; that behind it is accepted, so far. */
static void accept_across_an_update(void)
{
	take(&one);
	update();
	take(&two);
	seal(&one, 0, N);
	seal(&two, 0, N);
	nq_rx_lend(p.end[1].conn, &opener);
	nq_open(&opener, two.rx, N);
	nq_open(&opener, one.rx, N);
	assert_int_equal(accept(&two), N);
}

/* Opened before an update and accepted after it, and the update's own packets come first. */
static void test_accepted_after_an_update(void **state)
{
	struct nq_conn *to = p.end[1].conn;

	accept_across_an_update();
	install_next();
	assert_int_equal(to->stats.key_updates, 1);
	assert_int_equal(accept(&one), N);
	all_are(&one, NQ_RX_OK);
	assert_int_equal(to->stats.key_updates, 1);
	/* What was lent before the update still opens what comes after it. */
	p.now_us += 100000;
	take(&one);
	seal(&one, 0, N);
	nq_open(&opener, one.rx, N);
	assert_int_equal(accept(&one), N);
	assert_int_equal(to->stats.key_updates, 1);
}

/* The key has gone meanwhile: its packets are too old, as if they came now. */
static void test_accepted_too_late(void **state)
{
	struct nq_conn *to = p.end[1].conn;
	u64 old = to->stats.replay_window_drops;

	accept_across_an_update();
	pair_run(&p, p.now_us + 10 * nq_pto_us(to));
	assert_false(to->keys.rx_prev.valid);
	assert_int_equal(accept(&one), 0);
	all_are(&one, NQ_RX_OLD);
	assert_int_equal(to->stats.replay_window_drops, old + N);
}

/* Damage is counted when it is accepted, and costs the damaged packet only. */
static void test_damage(void **state)
{
	struct nq_conn *to = p.end[1].conn;

	take(&one);
	seal(&one, 0, N);
	one.bufs[1][one.tx[1].len - 1] ^= 1;
	one.rx[2].len = 10;
	one.bufs[3][0] |= 0x80;
	one.bufs[4][0] &= ~0x40;
	nq_rx_lend(to, &opener);
	nq_open(&opener, one.rx, N);
	assert_int_equal(to->stats.open_failures + to->stats.header_failures, 0);
	assert_int_equal(accept(&one), N - 4);
	assert_int_equal(one.rx[1].status, NQ_RX_AEAD);
	assert_int_equal(one.rx[2].status, NQ_RX_TOO_SHORT);
	assert_int_equal(one.rx[3].status, NQ_RX_TOO_SHORT);
	assert_int_equal(one.rx[4].status, NQ_RX_BAD_HEADER);
	assert_int_equal(to->stats.open_failures, 1);
	assert_int_equal(to->stats.header_failures, 3);
}

/* The connection ends while a burst is sealed and another opened. */
static void test_closed_meanwhile(void **state)
{
	struct nq_conn *to = p.end[1].conn;

	take(&one);
	nq_close(p.end[0].conn, false, 0, "bye", p.now_us);
	seal(&one, 0, N);
	nq_rx_lend(to, &opener);
	nq_open(&opener, one.rx, N);
	nq_close(to, false, 0, "bye", p.now_us);
	assert_int_equal(accept(&one), 0);
	all_are(&one, NQ_RX_CLOSED);
}

/* The connection ends while a burst is laid out: nothing of it may leave. */
static void test_ended_before_taken(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u64 sealed = c->keys.tx_sealed;
	unsigned int i;

	assert_int_equal(nq_tx_reserve(c, &one.b, N, 400, p.now_us), N);
	for (i = 0; i < N; i++)
		one.tx[i] = (struct nq_tx_pkt){ .buf = one.bufs[i], .len = 100 };
	nq_close(c, false, 0, "bye", p.now_us);
	assert_int_equal(nq_tx_take(c, &one.b, one.tx, N, &one.sealer), -ENOTCONN);
	nq_tx_commit(c, &one.b, one.tx, 0, p.now_us);
	assert_int_equal(c->keys.tx_sealed, sealed);
	assert_int_equal(c->loss.bytes_in_flight, 0);
}

static void test_wiped(void **state)
{
	static const u8 no_token[NQ_RESET_TOKEN_LEN];
	static const struct nq_keys nothing;
	unsigned int i;

	take(&one);
	assert_memory_equal(one.sealer.own_dcid.token, no_token, sizeof(no_token));
	seal(&one, 0, N);
	nq_sealer_wipe(&one.sealer);
	assert_memory_equal(&one.sealer.own_keys, &nothing, sizeof(nothing));
	nq_rx_lend(p.end[1].conn, &opener);
	nq_opener_wipe(&opener);
	for (i = 0; i < NQ_RX_KEYS; i++)
		assert_memory_equal(&opener.own[i], &nothing, sizeof(nothing));
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(test_in_parts),
		ONE(test_copies),
		ONE(test_sealed_after_an_update),
		ONE(test_accepted_after_an_update),
		ONE(test_accepted_too_late),
		ONE(test_damage),
		ONE(test_closed_meanwhile),
		ONE(test_ended_before_taken),
		ONE(test_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
