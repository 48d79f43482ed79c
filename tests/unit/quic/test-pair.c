// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Engine to engine over a bad link: loss, duplication, reordering, ECN, small windows.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

static struct pair *setup_pair(const struct nq_crypto_ops *crypto, u16 cipher)
{
	struct pair *p = malloc(sizeof(*p));

	assert_non_null(p);
	pair_params(p, crypto, cipher);
	return p;
}

static void teardown_pair(struct pair *p)
{
	pair_stop(p);
	free(p);
}

static void pump(struct pair *p, int rounds, u32 bytes)
{
	int k;

	for (k = 0; k < rounds; k++) {
		pair_send(p, 0, 20, bytes);
		pair_send(p, 1, 20, bytes);
		pair_run(p, p->now_us + 500);
		pair_check(p->end[0].conn);
		pair_check(p->end[1].conn);
	}
	pair_run(p, p->now_us + 2000000);
}

/* Everything sent is delivered once or was dropped by the link; both sides end with empty hands. */
static void check_books(struct pair *p)
{
	struct nq_stats s[2];
	int i;

	for (i = 0; i < 2; i++)
		nq_get_stats(p->end[i].conn, &s[i], p->now_us);
	for (i = 0; i < 2; i++) {
		assert_int_equal(p->end[i].duplicates, 0);
		assert_int_equal(s[i].count.datagram_tx, p->end[i].next_index);
		assert_int_equal(s[!i].count.datagram_rx, p->end[!i].delivered);
		assert_true(p->end[!i].delivered <= p->end[i].next_index);
		assert_true(p->end[i].next_index - p->end[!i].delivered <= p->link[i].dropped);
		assert_int_equal(s[i].bytes_in_flight, 0);
		assert_int_equal(s[i].count.open_failures + s[i].count.frame_errors, 0);
		assert_int_equal(p->end[i].conn->state, NQ_ACTIVE);
	}
}

static void run_bad_link(const struct nq_crypto_ops *crypto, u16 cipher)
{
	struct pair *p = setup_pair(crypto, cipher);
	int i;

	for (i = 0; i < 2; i++) {
		p->link[i].loss_permille = 20;
		p->link[i].dup_permille = 10;
		p->link[i].swap_permille = 50;
	}
	pair_start(p);
	pump(p, 4000, 1200);
	check_books(p);
	assert_true(p->end[0].next_index > 1000);
	assert_true(p->end[0].conn->stats.duplicates > 0);
	assert_true(p->end[0].conn->stats.packets_lost > 0);
	teardown_pair(p);
}

static void test_bad_link(void **state)
{
	const struct nq_crypto_ops *ipsec = nx_crypto_provider("ipsec-mb");

	run_bad_link(&null_crypto, NQ_AES_128_GCM);
	run_bad_link(nx_crypto_provider("gnutls"), NQ_AES_256_GCM);
	run_bad_link(nx_crypto_provider("gnutls"), NQ_CHACHA20_POLY1305);
	if (ipsec) {
		run_bad_link(ipsec, NQ_AES_128_GCM);
		run_bad_link(ipsec, NQ_CHACHA20_POLY1305);
	}
}

/* Without loss nothing is ever declared lost, and the window opens up to the ring. */
static void test_clean_link(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	int k;

	p->params[0].ring_packets = 1024;
	pair_start(p);
	for (k = 0; k < 20000; k++) {
		while (pair_send(p, 0, 44, 1200) == 44)
			;
		pair_run(p, p->now_us + 100);
	}
	pair_run(p, p->now_us + 1000000);
	check_books(p);
	assert_int_equal(p->end[0].conn->stats.packets_lost, 0);
	assert_int_equal(p->end[1].delivered, p->end[0].next_index);
	/* 512 packets per 10 ms at most: the pacer and the window let most of it through. */
	assert_true(p->end[0].next_index > 20000 / 100 * 512 * 7 / 10);
	assert_true(p->end[0].conn->cc.cwnd <= 512ULL * PAIR_MTU);
	teardown_pair(p);
}

/* Give end @i the ring it asks for; the former one, if it is not the first, is freed. */
static void grow_ring(struct pair *p, int i, void **ring)
{
	u32 packets = nq_ring_wanted(p->end[i].conn);
	void *mem;

	if (!packets)
		return;
	mem = calloc(1, nq_ring_bytes(packets));
	assert_non_null(mem);
	assert_int_equal(nq_conn_grow(p->end[i].conn, mem, packets), 0);
	free(*ring);
	*ring = mem;
}

/* A ring that starts small follows the window, in both directions and under loss. */
static void test_ring_grows(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	void *ring[2] = { NULL, NULL };
	int k;

	p->params[0].ring_packets = p->params[1].ring_packets = NQ_RING_MIN;
	p->link[0].delay_us = p->link[1].delay_us = 2000;
	pair_start(p);
	for (k = 0; k < 5000; k++) {
		while (pair_send(p, 0, 44, 1200) == 44)
			;
		/* Small ones fill the ring long before the window. */
		while (pair_send(p, 1, 44, 20) == 44)
			;
		pair_check(p->end[0].conn);
		pair_check(p->end[1].conn);
		grow_ring(p, 0, &ring[0]);
		grow_ring(p, 1, &ring[1]);
		pair_run(p, p->now_us + 20);
		if (k == 4000)
			p->link[0].loss_permille = p->link[1].loss_permille = 10;
	}
	p->link[0].loss_permille = p->link[1].loss_permille = 0;
	pair_run(p, p->now_us + 2000000);
	check_books(p);
	assert_true(nq_ring_packets(p->end[0].conn) >= 4096);
	assert_true(nq_ring_packets(p->end[1].conn) >= 4096);
	assert_true(p->end[0].conn->stats.packets_lost > 0);
	teardown_pair(p);
	free(ring[0]);
	free(ring[1]);
}

static void test_ring_sizes(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	static u8 mem[2 * NQ_RING_MAX * sizeof(struct nq_sent)];

	p->params[0].ring_packets = NQ_RING_MAX / 2;
	pair_start(p);
	assert_int_equal(nq_ring_wanted(p->end[0].conn), 0);
	assert_int_equal(nq_conn_grow(p->end[0].conn, mem, NQ_RING_MAX / 2), -EINVAL);
	assert_int_equal(nq_conn_grow(p->end[0].conn, mem, NQ_RING_MAX - 1), -EINVAL);
	assert_int_equal(nq_conn_grow(p->end[0].conn, mem, 2 * NQ_RING_MAX), -EINVAL);
	p->end[0].conn->cc.cwnd = p->end[0].conn->cc.max_cwnd;
	assert_int_equal(nq_ring_wanted(p->end[0].conn), NQ_RING_MAX);
	assert_int_equal(nq_conn_grow(p->end[0].conn, mem, NQ_RING_MAX), 0);
	p->end[0].conn->cc.cwnd = p->end[0].conn->cc.max_cwnd;
	assert_int_equal(nq_ring_wanted(p->end[0].conn), 0);
	teardown_pair(p);
	/* A model is sized by the first ring. */
	p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	p->params[0].congestion = "bbr";
	pair_start(p);
	assert_int_equal(nq_conn_grow(p->end[0].conn, mem, NQ_RING_MAX), -EINVAL);
	teardown_pair(p);
}

/* A sender that is paced still uses its window: rate * RTT is above it. */
static void test_pacer_does_not_throttle(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	u64 before;
	int k;

	p->link[0].delay_us = p->link[1].delay_us = 100;
	p->params[0].ring_packets = 1024;
	pair_start(p);
	for (k = 0; k < 5000; k++) {
		while (pair_send(p, 0, 44, 1300) == 44)
			;
		pair_run(p, p->now_us + 10);
	}
	before = p->end[0].next_index;
	p->end[0].conn->cc.ssthresh = p->end[0].conn->cc.cwnd;
	for (k = 0; k < 5000; k++) {
		while (pair_send(p, 0, 44, 1300) == 44)
			;
		pair_run(p, p->now_us + 10);
	}
	/* 50 ms, RTT 200 us and a bit: 250 windows, or nearly. */
	assert_true((p->end[0].next_index - before) * PAIR_MTU > p->end[0].conn->cc.cwnd * 180);
	assert_true(p->end[0].conn->stats.cwnd_delays > 100);
	pair_run(p, p->now_us + 1000000);
	check_books(p);
	teardown_pair(p);
}

static void test_ecn_end_to_end(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);

	p->params[0].ecn = p->params[1].ecn = true;
	pair_start(p);
	pump(p, 200, 1000);
	check_books(p);
	assert_int_equal(p->end[0].conn->ecn.state, NQ_ECN_CAPABLE);
	assert_int_equal(p->end[1].conn->ecn.state, NQ_ECN_CAPABLE);
	/* The path starts to mark: the window falls, nothing is lost. */
	p->link[0].bleach_ecn = 2;
	pump(p, 200, 1000);
	assert_true(p->end[0].conn->stats.ecn_ce > 0);
	assert_int_equal(p->end[0].conn->stats.packets_lost, 0);
	assert_true(p->end[0].conn->cc.had_recovery);
	/* It starts to bleach: marking stops. */
	p->link[0].bleach_ecn = 1;
	pump(p, 200, 1000);
	assert_int_equal(p->end[0].conn->ecn.state, NQ_ECN_FAILED);
	check_books(p);
	teardown_pair(p);
}

/* One-way traffic with losses: the receiver still forgets what the sender knows it has. */
static void test_one_way_ranges_stay_small(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	int k;

	p->link[0].loss_permille = 20;
	pair_start(p);
	for (k = 0; k < 20000; k++) {
		pair_send(p, 0, 10, 1000);
		pair_run(p, p->now_us + 1000);
	}
	pair_run(p, p->now_us + 1000000);
	check_books(p);
	assert_true(p->end[1].conn->ack.ranges.n < 24);
	teardown_pair(p);
}

/* One-way traffic without losses: the receiver sends nothing but ACKs, far more than its ring holds. */
static void test_one_way_acks_do_not_fill_the_ring(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);
	int k;

	p->params[1].ring_packets = 1024;
	pair_start(p);
	for (k = 0; k < 10000; k++) {
		assert_int_equal(pair_send(p, 0, 2, 1000), 2);
		pair_run(p, p->now_us + 2000);
	}
	pair_run(p, p->now_us + 1000000);
	check_books(p);
	assert_int_equal(p->end[1].conn->stats.ack_tx, 10000);
	assert_int_equal(p->end[0].conn->stats.packets_lost, 0);
	teardown_pair(p);
}

static void test_blackout(void **state)
{
	struct pair *p = setup_pair(&null_crypto, NQ_AES_128_GCM);

	pair_start(p);
	pump(p, 100, 1000);
	p->link[0].loss_permille = p->link[1].loss_permille = 1000;
	pump(p, 100, 1000);
	assert_true(p->end[0].conn->stats.ptos >= 3);
	p->link[0].loss_permille = p->link[1].loss_permille = 0;
	pump(p, 3000, 1000);
	check_books(p);
	assert_true(p->end[0].conn->cc.cwnd > 2 * PAIR_MTU);
	teardown_pair(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_link),
		cmocka_unit_test(test_clean_link),
		cmocka_unit_test(test_ring_grows),
		cmocka_unit_test(test_ring_sizes),
		cmocka_unit_test(test_pacer_does_not_throttle),
		cmocka_unit_test(test_ecn_end_to_end),
		cmocka_unit_test(test_one_way_ranges_stay_small),
		cmocka_unit_test(test_one_way_acks_do_not_fill_the_ring),
		cmocka_unit_test(test_blackout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
