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
	nq_cc_init(cc, nq_cc_find(name), MSS, 65536, NULL, 1);
	cc->max_cwnd = MAX_CWND;
}

/* All of it sent outside recovery, without a round trip sample: HyStart++ learns nothing. */
static void ack(struct nq_cc *cc, u64 bytes, bool in_use, u64 now_us, u32 srtt_us)
{
	struct nq_cc_ack a = {
		.now_us = now_us,
		.bytes = bytes,
		.open_bytes = bytes,
		.srtt_us = srtt_us,
		.in_use = in_use,
	};

	nq_cc_on_ack(cc, &a);
}

static bool congestion(struct nq_cc *cc, u64 sent_us, u64 now_us)
{
	return nq_cc_on_loss_event(cc, 0, 1, 1, sent_us, now_us);
}

static void test_names(void **state)
{
	assert_ptr_equal(nq_cc_find(NULL), &nq_cc_cubic);
	assert_ptr_equal(nq_cc_find(""), &nq_cc_cubic);
	assert_ptr_equal(nq_cc_find("newreno"), &nq_cc_newreno);
	assert_ptr_equal(nq_cc_find("bbr"), &nq_cc_bbr);
	assert_ptr_equal(nq_cc_find("fixed_rate_test"), &nq_cc_fixed);
	assert_string_equal(nq_congestion_find("bbr"), "bbr");
	assert_string_equal(nq_congestion_find(NULL), "cubic");
	assert_null(nq_congestion_find("reno-2000"));
	assert_null(nq_cc_find("newren"));
	assert_null(nq_cc_find("cubic2"));
}

static void test_initial_window(void **state)
{
	struct nq_cc cc;

	start(&cc, "cubic");
	assert_int_equal(cc.cwnd, 14000);
	nq_cc_init(&cc, &nq_cc_cubic, 1472, 1024, NULL, 1);
	assert_int_equal(cc.cwnd, 14720);
	nq_cc_init(&cc, &nq_cc_cubic, 9000, 1024, NULL, 1);
	assert_int_equal(cc.cwnd, 18000);
}

static void test_slow_start(void **state)
{
	struct nq_cc cc;
	u64 before;

	start(&cc, "newreno");
	before = cc.cwnd;
	ack(&cc, before, true, 1, 1000);
	assert_int_equal(cc.cwnd, 2 * before);
	/* Not in use: no growth. */
	ack(&cc, before, false, 2, 1000);
	assert_int_equal(cc.cwnd, 2 * before);
	/* Never above what can be accounted for. */
	ack(&cc, 2 * MAX_CWND, true, 3, 1000);
	assert_int_equal(cc.cwnd, MAX_CWND);
}

static void test_newreno(void **state)
{
	struct nq_cc cc;
	u64 after, acked;

	start(&cc, "newreno");
	ack(&cc, 86000, true, 1, 1000);
	assert_int_equal(cc.cwnd, 100000);
	assert_true(congestion(&cc, 50, 100));
	assert_int_equal(cc.cwnd, 50000);
	/* Sent before the reduction: the same event. */
	assert_false(congestion(&cc, 100, 120));
	assert_int_equal(cc.cwnd, 50000);
	assert_true(nq_cc_in_recovery(&cc, 100));
	assert_false(nq_cc_in_recovery(&cc, 101));
	/* One packet per window. */
	after = cc.cwnd;
	for (acked = 0; acked < after; acked += 1000)
		ack(&cc, 1000, true, 200, 1000);
	assert_int_equal(cc.cwnd, after + MSS);
	while (cc.cwnd > 2 * MSS)
		assert_true(congestion(&cc, cc.recovery_start_us + 1, cc.recovery_start_us + 2));
	assert_true(congestion(&cc, cc.recovery_start_us + 1, cc.recovery_start_us + 2));
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
	ack(&cc, 1400000 - cc.cwnd, true, now, (u32)rtt_us);
	w_max = cc.cwnd;
	assert_true(congestion(&cc, now, now));
	assert_int_equal(cc.cwnd, w_max * 7 / 10);
	/* 1000 packets: K = cbrt(750) = 9.086 s */
	k_us = 9086000;
	end = now + k_us;
	while (now < end) {
		now += rtt_us;
		ack(&cc, cc.cwnd, true, now, (u32)rtt_us);
		/* Concave: below the old maximum until then. */
		if (now < end - 2 * rtt_us)
			assert_true(cc.cwnd < w_max + 2 * MSS);
	}
	assert_in_range(cc.cwnd, w_max * 97 / 100, w_max * 103 / 100);
	/* Then convex: it grows faster and faster. */
	end = now + 5000000;
	while (now < end) {
		now += rtt_us;
		ack(&cc, cc.cwnd, true, now, (u32)rtt_us);
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
	ack(&cc, 280000 - cc.cwnd, true, now, 200);
	congestion(&cc, now, now);
	before = cc.cwnd;
	for (i = 0; i < 34; i++) {
		now += 200;
		ack(&cc, cc.cwnd, true, now, 200);
	}
	assert_in_range(cc.cwnd, before + 16 * MSS, before + 20 * MSS);
}

static void test_cubic_idle(void **state)
{
	u64 now = 1000000, cwnd;
	struct nq_cc cc;
	int i;

	start(&cc, "cubic");
	ack(&cc, 1400000 - cc.cwnd, true, now, 100000);
	congestion(&cc, now, now);
	ack(&cc, 1400, true, now + 1, 100000);
	cwnd = cc.cwnd;
	/* A minute in which the window is not used: nothing grows, and nothing leaps afterwards. */
	for (i = 0; i < 600; i++) {
		now += 100000;
		ack(&cc, 1400, false, now, 100000);
	}
	assert_int_equal(cc.cwnd, cwnd);
	ack(&cc, 1400, true, now + 1, 100000);
	assert_true(cc.cwnd < cwnd + 2 * MSS);
}

static void test_cubic_fast_convergence(void **state)
{
	struct nq_cc cc;

	start(&cc, "cubic");
	ack(&cc, 1000000 - cc.cwnd, true, 1, 1000);
	congestion(&cc, 1, 10);
	assert_int_equal(cc.cubic.w_max, 1000000);
	congestion(&cc, 11, 20);
	assert_int_equal(cc.cubic.w_max, 700000 * 17 / 20);
}

/* RFC 9438 4.9: every loss of the event was none, so the window and its curve are back. */
static void test_undo(void **state)
{
	u64 now = 1000000, before, w_max;
	struct nq_cubic curve;
	struct nq_cc cc;
	int i;

	start(&cc, "cubic");
	ack(&cc, 1400000 - cc.cwnd, true, now, 100000);
	assert_true(nq_cc_on_loss_event(&cc, 0, 1, 1000, now, now));
	for (i = 0; i < 120; i++) {
		now += 100000;
		ack(&cc, cc.cwnd, true, now, 100000);
	}
	before = cc.cwnd;
	w_max = cc.cubic.w_max;
	curve = cc.cubic;
	assert_true(before > w_max);
	/* Three lost, one of them later: packets 2000 and up, next is 2100. */
	assert_true(nq_cc_on_loss_event(&cc, 2000, 2, 2100, now, now));
	assert_false(nq_cc_on_loss_event(&cc, 2050, 1, 2150, now, now + 1000));
	assert_int_equal(cc.cwnd, before * 7 / 10);
	assert_false(nq_cc_on_spurious(&cc, 2000, now + 2000));
	/* Not of this event. */
	assert_false(nq_cc_on_spurious(&cc, 1999, now + 2000));
	assert_false(nq_cc_on_spurious(&cc, 2100, now + 2000));
	assert_false(nq_cc_on_spurious(&cc, 2003, now + 2000));
	assert_int_equal(cc.cwnd, before * 7 / 10);
	assert_true(nq_cc_on_spurious(&cc, 2050, now + 3000));
	assert_int_equal(cc.cwnd, before);
	assert_memory_equal(&cc.cubic, &curve, sizeof(curve));
	assert_int_equal(cc.state, NQ_CC_OPEN);
	/* The next loss is an event of its own, also of a packet from before. */
	assert_true(nq_cc_on_loss_event(&cc, 2060, 1, 2150, now - 1, now + 4000));
	/* Never twice. */
	assert_true(nq_cc_on_spurious(&cc, 2060, now + 5000));
	assert_false(nq_cc_on_spurious(&cc, 2060, now + 5000));
}

static void test_undo_of_slow_start(void **state)
{
	struct nq_cc cc;
	u64 before;

	start(&cc, "newreno");
	ack(&cc, 86000, true, 1, 1000);
	before = cc.cwnd;
	assert_true(nq_cc_on_loss_event(&cc, 5, 1, 50, 50, 100));
	assert_false(nq_cc_slow_start(&cc));
	assert_true(nq_cc_on_spurious(&cc, 5, 200));
	assert_int_equal(cc.cwnd, before);
	assert_true(nq_cc_slow_start(&cc));
}

/* A mark stands, whatever became of the losses; so does the collapse of the path. */
static void test_no_undo(void **state)
{
	struct nq_cc cc;

	start(&cc, "cubic");
	ack(&cc, 86000, true, 1, 1000);
	assert_true(nq_cc_on_loss_event(&cc, 5, 1, 50, 50, 100));
	assert_false(nq_cc_on_ce(&cc, 60, 110));
	assert_false(nq_cc_on_spurious(&cc, 5, 200));
	assert_int_equal(cc.cwnd, 70000);
	assert_true(nq_cc_on_ce(&cc, 150, 300));
	assert_int_equal(cc.cwnd, 49000);
	assert_false(nq_cc_on_spurious(&cc, 5, 310));
	assert_true(nq_cc_on_loss_event(&cc, 100, 1, 150, 400, 500));
	nq_cc_on_persistent(&cc);
	assert_false(nq_cc_on_spurious(&cc, 100, 600));
	assert_int_equal(cc.cwnd, 2 * MSS);
}

/* After a collapse the curve begins where slow start ends, not when the last epoch began. */
static void test_cubic_after_collapse(void **state)
{
	u64 now = 1000000, cwnd;
	struct nq_cc cc;

	start(&cc, "cubic");
	ack(&cc, 1400000 - cc.cwnd, true, now, 100000);
	congestion(&cc, now, now);
	ack(&cc, 1400, true, now + 100000, 100000);
	assert_true(cc.cubic.in_epoch);
	nq_cc_on_persistent(&cc);
	now += 30000000;
	ack(&cc, 2000000, true, now, 100000);
	assert_int_equal(cc.cwnd, cc.ssthresh);
	cwnd = cc.cwnd;
	ack(&cc, cwnd, true, now + 1000, 100000);
	assert_true(cc.cwnd < cwnd + cwnd / 10);
}

/* The test controller: its rate and nothing else, whatever is lost. */
static void test_fixed(void **state)
{
	struct nq_cc cc;

	start(&cc, "fixed_rate_test");
	cc.fixed.bytes_per_s = 1250000;
	ack(&cc, 1400, true, 1, 1000);
	assert_int_equal(cc.cwnd, MAX_CWND);
	assert_true(nq_cc_on_loss_event(&cc, 5, 100, 200, 50, 100));
	assert_true(nq_cc_on_ce(&cc, 150, 300));
	assert_int_equal(cc.cwnd, MAX_CWND);
	assert_int_equal(nq_cc_pacing_rate(&cc, 0), 1250000);
	assert_int_equal(nq_cc_pacing_rate(&cc, 300000), 1250000);
	nq_cc_on_persistent(&cc);
	ack(&cc, 1400, true, 1, 1000);
	assert_int_equal(cc.cwnd, MAX_CWND);
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

/*
 * Bursts stay whole: 44 at 1 Gbit/s, though the sender wakes for each; what a late sender did not
 * use is carried over, up to the burst, and with it the guarantee.
 */
static void check_whole_bursts(u64 rate, unsigned int least, u64 late_us)
{
	struct nq_pacer p = { 0 };
	u64 now = 1000, start_us = now, sent = 0, burst, wakes = 0;
	unsigned int n;

	nq_pacer_set(&p, rate, 1400, now);
	burst = p.burst / NQ_PACER_SCALE;
	for (n = 1; n; sent += (u64)n * 1400) {
		n = nq_pacer_allows(&p, 44, 1400, now);
		nq_pacer_spend(&p, (u64)n * 1400);
	}
	while (now < start_us + 1000000) {
		now = nq_pacer_when(&p, 44, 1400) + late_us;
		wakes++;
		n = nq_pacer_allows(&p, 44, 1400, now);
		assert_true(n >= least);
		while (n) {
			sent += (u64)n * 1400;
			nq_pacer_spend(&p, (u64)n * 1400);
			n = nq_pacer_allows(&p, 44, 1400, now);
		}
		assert_true(sent <= rate * (now - start_us) / 1000000 + burst + 1400);
	}
	/* Never less than the rate, if it is late by less than a burst lasts. */
	assert_true(sent + burst >= rate * (now - start_us) / 1000000);
	assert_true(wakes <= rate / 1400 / least + 1);
}

static void test_pacer_whole_bursts(void **state)
{
	check_whole_bursts(1250000, 1, 0); /* 10 Mbit/s */
	check_whole_bursts(12500000, 4, 0);
	check_whole_bursts(125000000, 44, 0); /* 1 Gbit/s */
	check_whole_bursts(125000000, 44, 300);
	check_whole_bursts(625000000, 44, 50);
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
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_undo_of_slow_start),
		cmocka_unit_test(test_no_undo),
		cmocka_unit_test(test_cubic_after_collapse),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_pacing_rate),
		cmocka_unit_test(test_pacer_formula),
		cmocka_unit_test(test_pacer_bursts),
		cmocka_unit_test(test_pacer_whole_bursts),
		cmocka_unit_test(test_pacer_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
