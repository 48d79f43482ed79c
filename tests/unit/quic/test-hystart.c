// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HyStart++: when slow start turns conservative, resumes, ends; and what it saves on a long queue.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "greedy.h"

#define RTT_US 40000

/* A round of @n ACKs, each of one packet, with samples of @rtt_us. True if slow start ended. */
static bool play_round(struct nq_hystart *h, u64 *pn, unsigned int n, u32 rtt_us)
{
	bool end = false;
	unsigned int i;

	for (i = 0; i < n; i++, (*pn)++)
		end |= nq_hystart_on_ack(h, *pn, *pn + n, rtt_us);
	return end;
}

static void test_stays_out(void **state)
{
	struct nq_hystart h = { 0 };
	u64 pn = 1;
	int i;

	/* Below an eighth of a round trip nothing happens. */
	for (i = 0; i < 20; i++)
		assert_false(play_round(&h, &pn, 10, RTT_US + (i % 2 ? 4900 : 0)));
	assert_false(h.css);
}

static void test_needs_samples(void **state)
{
	struct nq_hystart h = { 0 };
	u64 pn = 1;
	int i;

	for (i = 0; i < 20; i++)
		assert_false(play_round(&h, &pn, 7, RTT_US << i % 2));
	assert_false(h.css);
}

static void test_five_rounds(void **state)
{
	struct nq_hystart h = { 0 };
	int rounds = 0;
	u64 pn = 1;

	play_round(&h, &pn, 10, RTT_US);
	play_round(&h, &pn, 10, RTT_US);
	assert_false(h.css);
	assert_false(play_round(&h, &pn, 10, RTT_US + 6000));
	assert_true(h.css);
	while (!play_round(&h, &pn, 10, RTT_US + 8000))
		assert_true(++rounds < 10);
	/* The round in which it began counts. */
	assert_in_range(rounds, 3, 4);
}

static void test_resumes(void **state)
{
	struct nq_hystart h = { 0 };
	u64 pn = 1;
	int i;

	play_round(&h, &pn, 10, RTT_US);
	play_round(&h, &pn, 10, RTT_US);
	play_round(&h, &pn, 10, RTT_US + 6000);
	assert_true(h.css);
	for (i = 0; i < 10; i++)
		assert_false(play_round(&h, &pn, 10, RTT_US));
	assert_false(h.css);
}

/* The threshold is at least 4 ms and at most 16 ms. */
static void test_threshold(void **state)
{
	static const struct {
		u32 rtt_us, below_us, above_us;
	} t[] = { { 1000, 3900, 4100 }, { 40000, 4900, 5100 }, { 300000, 15900, 16100 } };
	unsigned int i;

	for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct nq_hystart h = { 0 };
		u64 pn = 1;

		play_round(&h, &pn, 10, t[i].rtt_us);
		play_round(&h, &pn, 10, t[i].rtt_us + t[i].below_us);
		assert_false(h.css);
		h = (struct nq_hystart){ 0 };
		pn = 1;
		play_round(&h, &pn, 10, t[i].rtt_us);
		play_round(&h, &pn, 10, t[i].rtt_us);
		play_round(&h, &pn, 10, t[i].rtt_us + t[i].above_us);
		assert_true(h.css);
	}
}

/* Growth by a quarter, a gentler pace, and the threshold set where it ends. */
static void test_window(void **state)
{
	struct nq_cc cc;
	struct nq_cc_ack a = { .now_us = 1, .srtt_us = RTT_US, .in_use = true };
	u64 before;

	nq_cc_init(&cc, &nq_cc_cubic, 1400, 65536, NULL, 1);
	a.bytes = a.open_bytes = 1400;
	before = nq_cc_pacing_rate(&cc, RTT_US);
	assert_int_equal(before, cc.cwnd * 2 * 1000000 / RTT_US);
	cc.hystart.css = true;
	cc.hystart.css_rounds = 2;
	cc.hystart.end_pn = 100;
	assert_int_equal(nq_cc_pacing_rate(&cc, RTT_US), before * 5 / 8);
	before = cc.cwnd;
	nq_cc_on_ack(&cc, &a);
	assert_int_equal(cc.cwnd, before + 350);
	a.largest_pn = 100;
	a.next_pn = 200;
	nq_cc_on_ack(&cc, &a);
	assert_true(nq_cc_slow_start(&cc));
	a.largest_pn = 200;
	nq_cc_on_ack(&cc, &a);
	assert_int_equal(cc.cwnd, before + 3 * 350);
	assert_int_equal(cc.ssthresh, cc.cwnd);
	assert_false(nq_cc_slow_start(&cc));
}

/*
 * A queue of several round trips: without HyStart++ half of what is in flight is lost when it
 * overflows. With it slow start is over before that happens.
 */
static void run_long_queue(const char *name)
{
	static struct pair p;
	struct nq_conn *c;

	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	p.params[0].congestion = name;
	p.params[0].srtt_us = p.params[0].min_rtt_us = RTT_US;
	p.params[0].rttvar_us = RTT_US / 2;
	p.params[0].ring_packets = p.params[1].ring_packets = 16384;
	pair_start(&p);
	greedy_link(&p, 50, RTT_US, 400000);
	c = p.end[0].conn;
	while (nq_cc_slow_start(&c->cc) && p.now_us < 10000000)
		greedy_run(&p, p.now_us + 10000);
	assert_false(nq_cc_slow_start(&c->cc));
	assert_true(c->cc.hystart.css);
	assert_int_equal(c->stats.packets_lost, 0);
	assert_true(c->cc.ssthresh <= c->cc.cwnd && c->cc.ssthresh * 11 / 10 > c->cc.cwnd);
	/* And the link has been full since. */
	assert_true(greedy_utilisation(&p, p.now_us + 1000000) >= 95);
	pair_check(c);
	pair_stop(&p);
}

static void test_long_queue(void **state)
{
	run_long_queue("cubic");
	run_long_queue("newreno");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stays_out),   cmocka_unit_test(test_needs_samples),
		cmocka_unit_test(test_five_rounds), cmocka_unit_test(test_resumes),
		cmocka_unit_test(test_threshold),   cmocka_unit_test(test_window),
		cmocka_unit_test(test_long_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
