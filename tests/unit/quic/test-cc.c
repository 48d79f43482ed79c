// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Congestion controllers and pacer: growth, reduction, limits; the pacer's guarantee as a formula.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

#define MSS 1400
#define MAX_CWND (100ULL << 20)

static void start(struct nq_cc *cc, const char *name)
{
	nq_cc_init(cc, nq_cc_find(name), MSS, MAX_CWND);
}

static void test_names(void **state)
{
	assert_ptr_equal(nq_cc_find(NULL), &nq_cc_cubic);
	assert_ptr_equal(nq_cc_find(""), &nq_cc_cubic);
	assert_ptr_equal(nq_cc_find("newreno"), &nq_cc_newreno);
	assert_null(nq_cc_find("newren"));
	assert_null(nq_cc_find("cubic2"));
}

static void test_initial_window(void **state)
{
	struct nq_cc cc;

	start(&cc, "cubic");
	assert_int_equal(cc.cwnd, 14000);
	nq_cc_init(&cc, &nq_cc_cubic, 1472, MAX_CWND);
	assert_int_equal(cc.cwnd, 14720);
	nq_cc_init(&cc, &nq_cc_cubic, 9000, MAX_CWND);
	assert_int_equal(cc.cwnd, 18000);
}

static void test_slow_start(void **state)
{
	struct nq_cc cc;
	u64 before;

	start(&cc, "newreno");
	before = cc.cwnd;
	nq_cc_on_ack(&cc, before, true, 1, 1000);
	assert_int_equal(cc.cwnd, 2 * before);
	/* Not in use: no growth. */
	nq_cc_on_ack(&cc, before, false, 2, 1000);
	assert_int_equal(cc.cwnd, 2 * before);
	/* Never above what can be accounted for. */
	nq_cc_on_ack(&cc, 2 * MAX_CWND, true, 3, 1000);
	assert_int_equal(cc.cwnd, MAX_CWND);
}

static void test_newreno(void **state)
{
	struct nq_cc cc;
	u64 after, acked;

	start(&cc, "newreno");
	nq_cc_on_ack(&cc, 86000, true, 1, 1000);
	assert_int_equal(cc.cwnd, 100000);
	assert_true(nq_cc_on_congestion(&cc, 50, 100));
	assert_int_equal(cc.cwnd, 50000);
	/* Sent before the reduction: the same event. */
	assert_false(nq_cc_on_congestion(&cc, 100, 120));
	assert_int_equal(cc.cwnd, 50000);
	assert_true(nq_cc_in_recovery(&cc, 100));
	assert_false(nq_cc_in_recovery(&cc, 101));
	/* One packet per window. */
	after = cc.cwnd;
	for (acked = 0; acked < after; acked += 1000)
		nq_cc_on_ack(&cc, 1000, true, 200, 1000);
	assert_int_equal(cc.cwnd, after + MSS);
	while (cc.cwnd > 2 * MSS)
		assert_true(nq_cc_on_congestion(&cc, cc.recovery_start_us + 1,
						cc.recovery_start_us + 2));
	assert_true(nq_cc_on_congestion(&cc, cc.recovery_start_us + 1, cc.recovery_start_us + 2));
	assert_int_equal(cc.cwnd, 2 * MSS);
	nq_cc_on_persistent(&cc);
	assert_int_equal(cc.cwnd, 2 * MSS);
	assert_int_equal(cc.state, NQ_CC_PERSISTENT);
}

/* After a reduction CUBIC is back at W_max after K = cbrt(W_max * 0.3 / 0.4 / MSS) seconds. */
static void test_cubic_reaches_wmax(void **state)
{
	const u64 rtt_us = 100000;
	u64 now = 1000000, w_max, k_us, end;
	struct nq_cc cc;

	start(&cc, "cubic");
	nq_cc_on_ack(&cc, 1400000 - cc.cwnd, true, now, (u32)rtt_us);
	w_max = cc.cwnd;
	assert_true(nq_cc_on_congestion(&cc, now, now));
	assert_int_equal(cc.cwnd, w_max * 7 / 10);
	/* 1000 packets: K = cbrt(750) = 9.086 s */
	k_us = 9086000;
	end = now + k_us;
	while (now < end) {
		now += rtt_us;
		nq_cc_on_ack(&cc, cc.cwnd, true, now, (u32)rtt_us);
		/* Concave: below the old maximum until then. */
		if (now < end - 2 * rtt_us)
			assert_true(cc.cwnd < w_max + 2 * MSS);
	}
	assert_in_range(cc.cwnd, w_max * 97 / 100, w_max * 103 / 100);
	/* Then convex: it grows faster and faster. */
	end = now + 5000000;
	while (now < end) {
		now += rtt_us;
		nq_cc_on_ack(&cc, cc.cwnd, true, now, (u32)rtt_us);
	}
	assert_true(cc.cwnd > w_max * 103 / 100);
}

/* At short round trips the Reno-friendly estimate leads: 9/17 packet per round trip. */
static void test_cubic_friendly(void **state)
{
	u64 now = 1000000, before;
	struct nq_cc cc;
	int i;

	start(&cc, "cubic");
	nq_cc_on_ack(&cc, 280000 - cc.cwnd, true, now, 200);
	nq_cc_on_congestion(&cc, now, now);
	before = cc.cwnd;
	for (i = 0; i < 34; i++) {
		now += 200;
		nq_cc_on_ack(&cc, cc.cwnd, true, now, 200);
	}
	assert_in_range(cc.cwnd, before + 16 * MSS, before + 20 * MSS);
}

static void test_cubic_idle(void **state)
{
	u64 now = 1000000, cwnd;
	struct nq_cc cc;
	int i;

	start(&cc, "cubic");
	nq_cc_on_ack(&cc, 1400000 - cc.cwnd, true, now, 100000);
	nq_cc_on_congestion(&cc, now, now);
	nq_cc_on_ack(&cc, 1400, true, now + 1, 100000);
	cwnd = cc.cwnd;
	/* A minute in which the window is not used: nothing grows, and nothing leaps afterwards. */
	for (i = 0; i < 600; i++) {
		now += 100000;
		nq_cc_on_ack(&cc, 1400, false, now, 100000);
	}
	assert_int_equal(cc.cwnd, cwnd);
	nq_cc_on_ack(&cc, 1400, true, now + 1, 100000);
	assert_true(cc.cwnd < cwnd + 2 * MSS);
}

static void test_cubic_fast_convergence(void **state)
{
	struct nq_cc cc;

	start(&cc, "cubic");
	nq_cc_on_ack(&cc, 1000000 - cc.cwnd, true, 1, 1000);
	nq_cc_on_congestion(&cc, 1, 10);
	assert_int_equal(cc.cubic.w_max, 1000000);
	nq_cc_on_congestion(&cc, 11, 20);
	assert_int_equal(cc.cubic.w_max, 700000 * 17 / 20);
}

static void test_pacing_rate(void **state)
{
	struct nq_cc cc;

	start(&cc, "cubic");
	cc.cwnd = 100000;
	assert_int_equal(nq_cc_pacing_rate(&cc, 0), 0);
	assert_int_equal(nq_cc_pacing_rate(&cc, 10000), 2 * 10000000);
	cc.ssthresh = 100000;
	assert_int_equal(nq_cc_pacing_rate(&cc, 10000), 12500000);
	cc.cwnd = MAX_CWND;
	assert_true(nq_cc_pacing_rate(&cc, 1) <= 100000000000ULL);
}

/*
 * A greedy sender that wakes when it is told: in every interval
 *	rate * t - burst <= bytes <= rate * t + burst + one packet
 */
static void check_pacer(u64 rate, u32 pkt, unsigned int chunk)
{
	struct nq_pacer p = { .at_us = 1000 };
	u64 now = 1000, start_us = now, sent = 0, burst, limit, t;
	unsigned int n;

	nq_pacer_set(&p, rate, pkt, now);
	burst = p.burst / NQ_PACER_SCALE;
	while (now < start_us + 2000000) {
		n = nq_pacer_allows(&p, chunk, pkt, now);
		sent += (u64)n * pkt;
		nq_pacer_spend(&p, (u64)n * pkt);
		limit = rate * (now - start_us) / 1000000 + burst + pkt;
		assert_true(sent <= limit);
		if (n == chunk)
			continue;
		assert_true(sent + burst >= rate * (now - start_us) / 1000000);
		t = nq_pacer_when(&p, chunk, pkt);
		assert_true(t > now);
		assert_false(nq_pacer_ready(&p, pkt, t - 1) && rate < 1000000);
		now = t;
		assert_true(nq_pacer_ready(&p, pkt, now));
	}
	assert_true(sent >= rate * 2 - burst);
}

static void test_pacer_formula(void **state)
{
	check_pacer(20000, 1400, 1);
	check_pacer(1000000, 1400, 44);
	check_pacer(125000000, 1400, 44);
	check_pacer(1250000000, 1400, 64);
	check_pacer(12500000000ULL, 9000, 64);
}

static void test_pacer_bursts(void **state)
{
	struct nq_pacer p = { 0 };

	/* At 1 Gbit/s a whole GSO burst passes at once, and idling does not save up more than one. */
	nq_pacer_set(&p, 125000000, 1400, 1000);
	assert_int_equal(nq_pacer_allows(&p, 44, 1400, 1000), 44);
	assert_true(nq_pacer_allows(&p, 1000, 1400, 100000000) <= NQ_PACER_BURST_MAX);
	/* Unpaced. */
	nq_pacer_set(&p, 0, 1400, 2000);
	assert_int_equal(nq_pacer_allows(&p, 1000, 1400, 2000), 1000);
	/* Exempt packets leave a debt that is paid first. */
	nq_pacer_set(&p, 1400000, 1400, 200000000);
	nq_pacer_spend(&p, 1400 * 30);
	assert_int_equal(nq_pacer_allows(&p, 1, 1400, 200000000), 0);
	assert_true(nq_pacer_when(&p, 1, 1400) > 200010000);
}

/* One packet in 14 s, as with a window of two packets at a round trip of half a minute. */
static void test_pacer_slow(void **state)
{
	struct nq_pacer p = { 0 };
	u64 now_us = 1000000, t;
	int i;

	nq_pacer_set(&p, 100, 1400, now_us);
	assert_int_equal(nq_pacer_allows(&p, 64, 1400, now_us), NQ_PACER_BURST_MIN);
	nq_pacer_spend(&p, 1400 * NQ_PACER_BURST_MIN);
	for (i = 0; i < 5; i++) {
		t = nq_pacer_when(&p, 1, 1400);
		assert_int_equal(t, now_us + 14000000);
		now_us = t;
		assert_int_equal(nq_pacer_allows(&p, 1, 1400, now_us), 1);
		nq_pacer_spend(&p, 1400);
	}
	/* The longest pause at the highest rate does not overflow. */
	nq_pacer_set(&p, 100000000000ULL, 65527, now_us);
	assert_true(nq_pacer_allows(&p, 1000, 65527, ~0ULL) <= NQ_PACER_BURST_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_initial_window),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_newreno),
		cmocka_unit_test(test_cubic_reaches_wmax),
		cmocka_unit_test(test_cubic_friendly),
		cmocka_unit_test(test_cubic_idle),
		cmocka_unit_test(test_cubic_fast_convergence),
		cmocka_unit_test(test_pacing_rate),
		cmocka_unit_test(test_pacer_formula),
		cmocka_unit_test(test_pacer_bursts),
		cmocka_unit_test(test_pacer_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
