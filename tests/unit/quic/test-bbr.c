// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BBR over a bottleneck: what it learns of the path, its states, what losses and marks do to it;
 * and the samples of the delivery rate alone.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../../quic/bbr.h"
#include "greedy.h"

#define MBIT 20
#define RATE (MBIT * 125000ULL)
#define RTT_US 40000
/* Bytes of the path: 100000. */
#define BDP (RATE * RTT_US / 1000000)

static struct pair p;
static struct nq_conn *c;
static struct nq_bbr *b;

static void start_with(u64 queue_us, void (*change)(void))
{
	int i;

	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	for (i = 0; i < 2; i++) {
		p.params[i].congestion = "bbr";
		p.params[i].srtt_us = p.params[i].min_rtt_us = RTT_US;
		p.params[i].rttvar_us = RTT_US / 2;
	}
	greedy_link(&p, MBIT, RTT_US, queue_us);
	if (change)
		change();
	pair_start(&p);
	c = p.end[0].conn;
	b = c->cc.bbr;
}

static void start(u64 queue_us)
{
	start_with(queue_us, NULL);
}

static void stop(void)
{
	pair_check(c);
	pair_stop(&p);
}

/* Send greedily until @state, at most @us. */
static void until_state(u8 state, u64 us)
{
	u64 end_us = p.now_us + us;

	while (b->state != state && p.now_us < end_us)
		greedy_run(&p, p.now_us + 1000);
	assert_int_equal(b->state, state);
}

/* ---- samples of the delivery rate ---- */

static struct nq_rate_point points[NQ_RATE_POINTS_MIN];

static void test_rate_of_send_and_ack(void **state)
{
	struct nq_rate_packet first = { .pn = 1, .sent_us = 1000, .bytes = 1000 };
	struct nq_rate_packet second = { .pn = 2, .sent_us = 1000, .bytes = 1000 };
	struct nq_rate_packet third = { .pn = 3, .sent_us = 21000, .bytes = 1000 };
	struct nq_rate_sample s;
	struct nq_rate r;

	nq_rate_init(&r, points, NQ_RATE_POINTS_MIN);
	first.id = nq_rate_on_sent(&r, 1, 0, 1000);
	second.id = nq_rate_on_sent(&r, 2, 1000, 1000);
	/* Nothing changed between: one point. */
	assert_int_equal(first.id, second.id);
	nq_rate_on_acked(&r, 1000, 11000);
	assert_true(nq_rate_sample_acked(&r, &first, 5000, &s));
	assert_int_equal(s.bytes_per_s, 100000);
	assert_int_equal(s.tx_in_flight, 1000);
	third.id = nq_rate_on_sent(&r, 3, 1000, 21000);
	assert_int_not_equal(third.id, second.id);
	nq_rate_on_acked(&r, 1000, 21000);
	assert_true(nq_rate_sample_acked(&r, &second, 5000, &s));
	/* 2000 bytes in the 20 ms that their ACKs took. */
	assert_int_equal(s.bytes_per_s, 100000);
	assert_int_equal(s.tx_in_flight, 2000);
	/* 2000 bytes in 20 ms of sending, though both ACKs came within 1 ms. */
	nq_rate_on_acked(&r, 1000, 22000);
	assert_true(nq_rate_sample_acked(&r, &third, 5000, &s));
	assert_int_equal(s.delivered, 2000);
	assert_int_equal(s.bytes_per_s, 100000);
	/* Shorter than any round trip: nothing can be said. */
	assert_true(nq_rate_sample_acked(&r, &third, 50000, &s));
	assert_int_equal(s.bytes_per_s, 0);
}

static void test_rate_losses(void **state)
{
	struct nq_rate_packet q = { .pn = 10, .bytes = 1000 };
	struct nq_rate_sample s;
	struct nq_rate r;

	nq_rate_init(&r, points, NQ_RATE_POINTS_MIN);
	q.id = nq_rate_on_sent(&r, 10, 7000, 1000);
	q.pn = 12;
	nq_rate_on_lost(&r, 2000);
	assert_true(nq_rate_sample_lost(&r, &q, &s));
	assert_int_equal(s.lost, 2000);
	assert_int_equal(s.tx_in_flight, 10000);
}

static void test_rate_app_limited(void **state)
{
	struct nq_rate_packet q = { .pn = 1, .sent_us = 1000, .bytes = 1000 };
	struct nq_rate_sample s;
	struct nq_rate r;

	nq_rate_init(&r, points, NQ_RATE_POINTS_MIN);
	nq_rate_app_limited(&r, 3000);
	q.id = nq_rate_on_sent(&r, 1, 0, 1000);
	nq_rate_on_acked(&r, 3000, 11000);
	assert_true(nq_rate_sample_acked(&r, &q, 1, &s));
	assert_true(s.app_limited);
	/* What was in flight then is delivered and gone. */
	nq_rate_on_acked(&r, 1000, 12000);
	assert_int_equal(r.app_limited, 0);
}

/* A point whose place was taken gives no sample. */
static void test_rate_forgets(void **state)
{
	struct nq_rate_packet old = { .pn = 1, .sent_us = 1000, .bytes = 1000 };
	struct nq_rate_sample s;
	struct nq_rate r;
	u32 i;

	memset(points, 0, sizeof(points));
	nq_rate_init(&r, points, NQ_RATE_POINTS_MIN);
	assert_false(nq_rate_sample_lost(&r, &old, &s));
	old.id = nq_rate_on_sent(&r, 1, 0, 1000);
	for (i = 1; i < NQ_RATE_POINTS_MIN; i++) {
		nq_rate_on_lost(&r, 1);
		nq_rate_on_sent(&r, 1 + i, 1000, 1000);
	}
	assert_true(nq_rate_sample_acked(&r, &old, 1, &s));
	nq_rate_on_lost(&r, 1);
	nq_rate_on_sent(&r, 1 + i, 1000, 1000);
	assert_false(nq_rate_sample_acked(&r, &old, 1, &s));
}

/* ---- over a bottleneck ---- */

/* It finds bandwidth and round trip, and then the queue stays nearly empty. */
static void test_finds_the_path(void **state)
{
	start(100000);
	assert_int_equal(b->state, NQ_BBR_STARTUP);
	until_state(NQ_BBR_DRAIN, 2000000);
	assert_true(b->full_bw_reached);
	until_state(NQ_BBR_CRUISE, 2000000);
	assert_in_range(b->max_bw, RATE * 97 / 100, RATE * 105 / 100);
	assert_in_range(b->min_rtt_us, RTT_US, RTT_US + 1000);
	assert_in_range(c->pacer.rate, RATE * 95 / 100, RATE * 101 / 100);
	assert_true(greedy_utilisation(&p, p.now_us + 1000000) >= 95);
	assert_true(c->rtt.srtt_us < RTT_US * 12 / 10);
	stop();
}

/* In ProbeBW it goes round: refill, up, down, cruise, within the three seconds of the draft. */
static void test_probes_for_bandwidth(void **state)
{
	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	until_state(NQ_BBR_REFILL, 3200000);
	until_state(NQ_BBR_UP, 200000);
	assert_true(c->pacer.rate > RATE * 115 / 100);
	until_state(NQ_BBR_DOWN, 1000000);
	assert_true(c->pacer.rate < RATE);
	until_state(NQ_BBR_CRUISE, 1000000);
	stop();
}

/* Ten times the rate: found within a few probes. */
static void test_follows_upward(void **state)
{
	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	p.link[0].bytes_per_s = 10 * RATE;
	greedy_run(&p, p.now_us + 10000000);
	assert_true(b->max_bw > 8 * RATE);
	stop();
}

/* A fifth of the rate: two probing cycles later the old rate is forgotten. */
static void test_follows_downward(void **state)
{
	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	p.link[0].bytes_per_s = RATE / 5;
	greedy_run(&p, p.now_us + 12000000);
	assert_true(b->max_bw < RATE / 5 * 12 / 10);
	assert_true(greedy_utilisation(&p, p.now_us + 2000000) >= 90);
	stop();
}

/* The queue hides the round trip: every few seconds little is in flight for a while. */
static void test_probes_the_round_trip(void **state)
{
	u64 least = ~0ULL, end_us;

	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	/* The path is longer now: the old least round trip must not live for ever. */
	p.link[1].delay_us += 20000;
	until_state(NQ_BBR_PROBE_RTT, 6000000);
	end_us = p.now_us + 1000000;
	while (b->state == NQ_BBR_PROBE_RTT && p.now_us < end_us) {
		greedy_run(&p, p.now_us + 1000);
		least = nq_min(least, c->loss.bytes_in_flight);
		/* Low rates are wanted now and say nothing. */
		assert_true(b->rate.app_limited || b->state != NQ_BBR_PROBE_RTT);
	}
	assert_true(least <= nq_max(BDP * 6 / 10, 4 * PAIR_MTU));
	assert_int_not_equal(b->state, NQ_BBR_PROBE_RTT);
	greedy_run(&p, p.now_us + 10000000);
	assert_in_range(b->min_rtt_us, RTT_US + 20000, RTT_US + 25000);
	stop();
}

/* Far longer than a window for the old round trip lasts: soon known, and the rate is kept. */
static void test_path_grows_longer(void **state)
{
	u64 least_bw = ~0ULL, end_us;

	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	p.link[1].delay_us += 160000;
	end_us = p.now_us + 4000000;
	while (p.now_us < end_us && b->min_rtt_us < RTT_US + 160000) {
		greedy_run(&p, p.now_us + 1000);
		least_bw = nq_min(least_bw, b->max_bw);
	}
	assert_in_range(b->min_rtt_us, RTT_US + 160000, RTT_US + 165000);
	assert_true(least_bw >= RATE * 95 / 100);
	greedy_run(&p, p.now_us + 2000000);
	assert_true(greedy_utilisation(&p, p.now_us + 5000000) >= 85);
	stop();
}

/* A round trip that own data causes, because the path is slower now, is not taken for longer. */
static void test_slower_is_not_longer(void **state)
{
	u64 end_us;

	start(1000000);
	until_state(NQ_BBR_CRUISE, 3000000);
	p.link[0].bytes_per_s = RATE / 4;
	end_us = p.now_us + 6000000;
	while (p.now_us < end_us) {
		greedy_run(&p, p.now_us + 10000);
		assert_in_range(b->min_rtt_us, RTT_US, RTT_US + 10000);
	}
	stop();
}

/* One packet in a hundred lost, no queue: a window-based controller is down to a few packets. */
static void test_random_loss(void **state)
{
	u64 bbr, cubic;

	start(50000);
	p.link[0].loss_permille = 10;
	greedy_run(&p, p.now_us + 3000000);
	bbr = greedy_utilisation(&p, p.now_us + 10000000);
	stop();
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	pair_start(&p);
	greedy_link(&p, MBIT, RTT_US, 50000);
	p.link[0].loss_permille = 10;
	greedy_run(&p, p.now_us + 3000000);
	cubic = greedy_utilisation(&p, p.now_us + 10000000);
	pair_stop(&p);
	assert_true(bbr >= 90);
	assert_true(cubic < bbr / 3);
}

/* What is lost anyway becomes known, and is forgotten when the path gets better. */
static void test_loss_floor(void **state)
{
	start(50000);
	p.link[0].loss_permille = 30;
	greedy_run(&p, p.now_us + 15000000);
	assert_in_range(nq_floor_mean(&b->floor, 1000), 10, 35);
	assert_true(greedy_utilisation(&p, p.now_us + 10000000) >= 85);
	p.link[0].loss_permille = 0;
	greedy_run(&p, p.now_us + 5000000);
	assert_int_equal(b->floor.share, 0);
	stop();
}

/* A short queue: the volume in flight is bounded by what overflowed it. */
static void test_short_queue(void **state)
{
	u64 sent, lost;

	start(8000);
	greedy_run(&p, p.now_us + 2000000);
	assert_true(b->full_bw_reached);
	sent = c->stats.tx_packets;
	lost = c->stats.packets_lost;
	assert_true(greedy_utilisation(&p, p.now_us + 15000000) >= 85);
	assert_true(b->inflight_longterm < 2 * BDP);
	assert_true((c->stats.packets_lost - lost) * 100 < (c->stats.tx_packets - sent) * 2);
	stop();
}

static void with_ecn(void)
{
	p.params[0].ecn = p.params[1].ecn = true;
}

/* Marks instead of losses end Startup and bound the volume. */
static void test_marks(void **state)
{
	start_with(400000, with_ecn);
	p.link[0].mark_us = 10000;
	until_state(NQ_BBR_DRAIN, 2000000);
	assert_true(p.link[0].marked > 0);
	/* A plateau would have left no bound. */
	assert_int_not_equal(b->inflight_longterm, NQ_CC_INFINITE);
	greedy_run(&p, p.now_us + 4000000);
	assert_int_equal(c->stats.packets_lost, 0);
	assert_true(greedy_utilisation(&p, p.now_us + 8000000) >= 85);
	assert_true(b->inflight_longterm < 2 * BDP);
	stop();
}

/* A sender that has little to say: low samples neither lower the bandwidth nor end Startup. */
static void test_app_limited(void **state)
{
	u64 end_us;

	start(100000);
	end_us = p.now_us + 3000000;
	while (p.now_us < end_us) {
		pair_send(&p, 0, 2, GREEDY_BYTES);
		pair_run(&p, p.now_us + 20000);
	}
	assert_int_equal(b->state, NQ_BBR_STARTUP);
	assert_false(b->full_bw_reached);
	until_state(NQ_BBR_CRUISE, 3000000);
	end_us = p.now_us + 1500000;
	while (p.now_us < end_us) {
		pair_send(&p, 0, 2, GREEDY_BYTES);
		pair_run(&p, p.now_us + 20000);
	}
	assert_true(b->max_bw >= RATE * 97 / 100);
	stop();
}

/* After a pause it goes on at the bandwidth it knows. */
static void test_restart(void **state)
{
	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	pair_run(&p, p.now_us + 1000000);
	assert_int_equal(c->loss.bytes_in_flight, 0);
	/* What is in flight after the next ACK does not show what the path can. */
	b->rate.app_limited = 1;
	pair_send(&p, 0, 1, GREEDY_BYTES);
	assert_true(b->idle_restart);
	assert_in_range(c->pacer.rate, RATE * 95 / 100, RATE * 101 / 100);
	assert_true(greedy_utilisation(&p, p.now_us + 500000) >= 85);
	stop();
}

/* Losses that were none: bounds, window and state are back. */
static void test_undo(void **state)
{
	struct nq_cc_loss l = { .bytes = 1400 };
	u64 cwnd;

	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	cwnd = c->cc.cwnd;
	l.pn = c->next_pn - 1;
	l.now_us = p.now_us;
	nq_cc_on_lost(&c->cc, &l);
	assert_true(nq_cc_on_loss_event(&c->cc, l.pn, 1, l.pn + 1, p.now_us, p.now_us));
	greedy_run(&p, p.now_us + 2 * RTT_US);
	assert_int_not_equal(b->bw_shortterm, NQ_CC_INFINITE);
	assert_int_not_equal(b->inflight_shortterm, NQ_CC_INFINITE);
	assert_true(nq_cc_on_spurious(&c->cc, l.pn, p.now_us));
	assert_int_equal(b->bw_shortterm, NQ_CC_INFINITE);
	assert_int_equal(b->inflight_shortterm, NQ_CC_INFINITE);
	assert_true(c->cc.cwnd >= cwnd);
	/* Out of Startup by mistake: back to it. */
	b->undo_state = NQ_BBR_STARTUP;
	b->undo_inflight_longterm = NQ_CC_INFINITE;
	assert_true(nq_cc_on_loss_event(&c->cc, l.pn, 1, l.pn + 1, p.now_us, p.now_us));
	assert_true(nq_cc_on_spurious(&c->cc, l.pn, p.now_us));
	assert_int_equal(b->state, NQ_BBR_STARTUP);
	assert_false(b->full_bw_reached);
	until_state(NQ_BBR_CRUISE, 3000000);
	stop();
}

/* Nothing of a packet or two per round trip stalls it. */
static void test_tiny_path(void **state)
{
	start(500000);
	p.link[0].bytes_per_s = 30000;
	greedy_run(&p, p.now_us + 10000000);
	assert_true(c->cc.cwnd >= 4 * PAIR_MTU);
	assert_true(greedy_utilisation(&p, p.now_us + 10000000) >= 80);
	stop();
}

/* A blackout of thirty seconds, then it is back at full rate. */
static void test_blackout(void **state)
{
	start(100000);
	until_state(NQ_BBR_CRUISE, 3000000);
	p.params[0].max_idle_timeout_ms = 0;
	c->idle_us = p.end[1].conn->idle_us = 0;
	p.link[0].loss_permille = p.link[1].loss_permille = 1000;
	greedy_run(&p, p.now_us + 30000000);
	p.link[0].loss_permille = p.link[1].loss_permille = 0;
	greedy_run(&p, p.now_us + 35000000);
	assert_true(greedy_utilisation(&p, p.now_us + 2000000) >= 85);
	stop();
}

/* The memory that it takes is there for it alone. */
static void test_memory(void **state)
{
	size_t cubic, bbr;

	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	cubic = nq_conn_bytes(&p.params[0]);
	p.params[0].congestion = "bbr";
	bbr = nq_conn_bytes(&p.params[0]);
	assert_int_equal(bbr - cubic, nq_bbr_bytes(p.params[0].ring_packets));
	assert_true(bbr - cubic <= 64 * (1024 + p.params[0].ring_packets / 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate_of_send_and_ack),
		cmocka_unit_test(test_rate_losses),
		cmocka_unit_test(test_rate_app_limited),
		cmocka_unit_test(test_rate_forgets),
		cmocka_unit_test(test_finds_the_path),
		cmocka_unit_test(test_probes_for_bandwidth),
		cmocka_unit_test(test_follows_upward),
		cmocka_unit_test(test_follows_downward),
		cmocka_unit_test(test_probes_the_round_trip),
		cmocka_unit_test(test_path_grows_longer),
		cmocka_unit_test(test_slower_is_not_longer),
		cmocka_unit_test(test_random_loss),
		cmocka_unit_test(test_loss_floor),
		cmocka_unit_test(test_short_queue),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_app_limited),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_tiny_path),
		cmocka_unit_test(test_blackout),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
