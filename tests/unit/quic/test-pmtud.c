// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The search for the packet size: paths that take all, less than the route, or suddenly less.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

#define SECOND 1000000
#define ROUTE 1452
/* How close the search comes. */
#define GRAIN 8

static struct pair p;

static int setup(void **state)
{
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	p.probe_mtu = true;
	p.params[0].path_mtu_bytes = p.params[1].path_mtu_bytes = ROUTE;
	p.params[1].migration = true;
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

static u32 mtu(int i)
{
	return p.end[i].conn->path_mtu;
}

/* Each round @n packets each way, as large as each end thinks they may be. */
static void traffic(u64 us, unsigned int n)
{
	u64 end_us = p.now_us + us;
	int i;

	while (p.now_us < end_us) {
		for (i = 0; i < 2; i++)
			pair_send(&p, i, n, nq_max_payload_bytes(p.end[i].conn));
		pair_run(&p, p.now_us + 1000);
		pair_check(p.end[0].conn);
		pair_check(p.end[1].conn);
	}
}

/* Only probes, and what belongs to them. */
static void quiet(u64 us)
{
	pair_control(&p, 0);
	pair_control(&p, 1);
	pair_run(&p, p.now_us + us);
}

static void narrow(u32 bytes)
{
	p.link[0].mtu = p.link[1].mtu = bytes;
}

static void assert_found(u32 bytes)
{
	int i;

	for (i = 0; i < 2; i++) {
		assert_true(mtu(i) <= bytes);
		assert_true(mtu(i) + GRAIN >= bytes);
	}
}

/* What the route takes passes: one probe says so, and nothing changes. */
static void test_wide_path(void **state)
{
	pair_start(&p);
	quiet(SECOND);
	assert_int_equal(pair_counters(&p, 0).pmtu_probes, 1);
	assert_int_equal(mtu(0), ROUTE);
	assert_int_equal(p.end[0].conn->pmtud.low, ROUTE);
	assert_int_equal(p.end[0].events & NQ_EV_MTU, 0);
	traffic(SECOND, 4);
	assert_int_equal(pair_counters(&p, 0).pmtu_probes, 1);
}

/* It does not: 1200 bytes first, then upwards, by probes alone and without any reduction. */
static void test_narrow_path(void **state)
{
	static const u32 sizes[] = { 1201, 1207, 1208, 1280, 1300, 1372, 1420, 1444, 1451 };
	unsigned int i;
	u64 cwnd;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		if (i) {
			pair_stop(&p);
			setup(NULL);
		}
		narrow(sizes[i]);
		pair_start(&p);
		cwnd = p.end[0].conn->cc.cwnd;
		quiet(20 * SECOND);
		assert_found(sizes[i]);
		assert_true(p.end[0].events & NQ_EV_MTU);
		assert_true(pair_counters(&p, 0).pmtu_probes <= 30);
		assert_int_equal(pair_counters(&p, 0).packets_lost, 0);
		assert_true(p.end[0].conn->cc.cwnd >= cwnd);
		/* It is left at that. */
		cwnd = pair_counters(&p, 0).pmtu_probes;
		traffic(SECOND, 4);
		assert_int_equal(pair_counters(&p, 0).pmtu_probes, cwnd);
		assert_int_equal(pair_counters(&p, 0).packets_lost, 0);
	}
}

/* A path that shrinks says nothing; bulk traffic is through again within a second. */
static void black_hole(unsigned int n)
{
	u64 before[2], start_us;
	int i;

	pair_start(&p);
	traffic(SECOND, n);
	assert_int_equal(mtu(0), ROUTE);
	narrow(1300);
	for (i = 0; i < 2; i++)
		before[i] = p.end[i].delivered;
	start_us = p.now_us;
	while (p.end[0].delivered < before[0] + 10 || p.end[1].delivered < before[1] + 10) {
		traffic(5000, n);
		assert_true(p.now_us - start_us < SECOND);
	}
	traffic(3 * SECOND, n);
	assert_found(1300);
	before[0] = pair_counters(&p, 0).packets_lost;
	traffic(SECOND, n);
	assert_int_equal(pair_counters(&p, 0).packets_lost, before[0]);
}

static void test_black_hole_bulk(void **state)
{
	black_hole(16);
}

static void test_black_hole_trickle(void **state)
{
	black_hole(1);
}

/* Loss as such is no black hole. */
static void test_lossy_path(void **state)
{
	u64 end_us;

	p.link[0].loss_permille = p.link[1].loss_permille = 20;
	pair_start(&p);
	for (end_us = p.now_us + 60 * SECOND; p.now_us < end_us;) {
		traffic(100000, 16);
		assert_int_equal(mtu(0), ROUTE);
		assert_int_equal(mtu(1), ROUTE);
	}
	assert_true(pair_counters(&p, 0).packets_lost > 500);
	assert_true(pair_counters(&p, 0).pmtu_probes < pair_counters(&p, 0).packets_lost / 4);
}

/* Nor is a path that is down for a while. */
static void test_blackout(void **state)
{
	pair_start(&p);
	traffic(SECOND, 16);
	p.link[0].loss_permille = p.link[1].loss_permille = 1000;
	traffic(8 * SECOND, 16);
	p.link[0].loss_permille = p.link[1].loss_permille = 0;
	traffic(8 * SECOND, 16);
	assert_int_equal(mtu(0), ROUTE);
	assert_int_equal(mtu(1), ROUTE);
}

static void test_raised_again(void **state)
{
	p.params[0].keepalive_ms = 10000;
	narrow(1300);
	pair_start(&p);
	quiet(10 * SECOND);
	assert_found(1300);
	narrow(0);
	quiet(580ULL * SECOND);
	assert_found(1300);
	quiet(30ULL * SECOND);
	assert_found(ROUTE);
	assert_int_equal(mtu(0), ROUTE);
}

/* The local system refuses a size. */
static void test_refused(void **state)
{
	struct nq_conn *c;

	pair_start(&p);
	quiet(SECOND);
	c = p.end[0].conn;
	narrow(1400);
	nq_take_events(c);
	nq_mtu_refused(c, ROUTE, p.now_us);
	assert_int_equal(c->path_mtu, 1200);
	assert_true(nq_take_events(c) & NQ_EV_MTU);
	quiet(5 * SECOND);
	assert_true(mtu(0) <= 1400 && mtu(0) + GRAIN >= 1400);
	/* 1200 bytes are QUIC's minimum: nothing to fall back to. */
	nq_mtu_refused(c, 1200, p.now_us);
	assert_true(mtu(0) + GRAIN >= 1400);
	nq_mtu_refused(c, 1201, p.now_us);
	assert_int_equal(mtu(0), 1200);
	/* The route changed: its size is taken at its word, until probes say otherwise. */
	nq_set_path_mtu(c, 1350);
	assert_int_equal(mtu(0), 1350);
	quiet(SECOND);
	assert_int_equal(c->pmtud.low, 1350);
}

static void test_peer_limit(void **state)
{
	p.params[0].peer_max_udp_payload_bytes = 1320;
	p.params[1].peer_max_udp_payload_bytes = 1200;
	pair_start(&p);
	quiet(SECOND);
	assert_int_equal(mtu(0), 1320);
	assert_int_equal(mtu(1), 1200);
	assert_int_equal(pair_counters(&p, 1).pmtu_probes, 0);
}

/* Each path has its size: a new one is probed, one that is known is not. */
static void test_other_path(void **state)
{
	struct nq_conn *c;
	u64 probes;
	int path;

	narrow(1300);
	pair_start(&p);
	pair_issue_cids(&p, 0);
	pair_issue_cids(&p, 1);
	quiet(10 * SECOND);
	assert_found(1300);
	c = p.end[0].conn;
	probes = pair_counters(&p, 0).pmtu_probes;
	narrow(0);
	path = pair_migrate(&p, PAIR_HOME + 0x10000, 0);
	assert_true(path > 0);
	while (nq_active_path(c) != path)
		assert_true(pair_step(&p, p.now_us + SECOND));
	assert_int_equal(mtu(0), ROUTE);
	quiet(20000);
	assert_int_equal(pair_counters(&p, 0).pmtu_probes, probes + 1);
	assert_int_equal(c->pmtud.low, ROUTE);
	/* The former path is not forgotten yet. */
	assert_true(nq_path_used(c, 0));
	assert_in_range(c->paths.p[0].mtu, 1300 - GRAIN, 1300);
}

/* What was known of a path is no more than the route takes now. */
static void test_known_above_the_route(void **state)
{
	struct nq_conn *c;

	pair_start(&p);
	c = p.end[0].conn;
	nq_set_path_mtu(c, 1300);
	nq_mtu_on_new_path(c, 1400);
	assert_int_equal(mtu(0), 1300);
	assert_true(c->pmtud.low <= c->pmtud.limit);
	quiet(SECOND);
	assert_int_equal(mtu(0), 1300);
	assert_int_equal(nq_mtu_probe_bytes(c), 0);
}

/* The bound of the window is half the ring in full packets, of whatever size these are. */
static void test_window_bound(void **state)
{
	struct nq_conn *c;
	u64 bound;

	pair_start(&p);
	c = p.end[0].conn;
	nq_set_path_mtu(c, 1200);
	bound = c->cc.max_cwnd;
	assert_int_equal(bound, (u64)nq_ring_packets(c) / 2 * c->cc.mss);
	nq_set_path_mtu(c, ROUTE);
	assert_int_equal(c->cc.max_cwnd, (u64)nq_ring_packets(c) / 2 * c->cc.mss);
	assert_true(c->cc.max_cwnd > bound);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wide_path),
		TEST(test_narrow_path),
		TEST(test_black_hole_bulk),
		TEST(test_black_hole_trickle),
		TEST(test_lossy_path),
		TEST(test_blackout),
		TEST(test_raised_again),
		TEST(test_refused),
		TEST(test_peer_limit),
		TEST(test_other_path),
		TEST(test_known_above_the_route),
		TEST(test_window_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
