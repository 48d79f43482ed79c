// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When the engine acknowledges, and what it reports.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

static struct pair p;

static int setup(void **state)
{
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	pair_start(&p);
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

static void receive(u64 pn, bool eliciting, u8 ecn)
{
	struct nq_rx_meta m = { .pn = pn, .eliciting = eliciting, .ecn = ecn };

	nq_ack_on_received(p.end[0].conn, &m, p.now_us);
}

static struct nq_ack_frame take_ack(void)
{
	static u8 buf[1500];
	struct nq_conn *c = p.end[0].conn;
	struct nq_frame f = { 0 };
	u32 len = nq_ack_write(c, buf, sizeof(buf), p.now_us);

	assert_true(len > 0);
	assert_int_equal(nq_frame_parse(buf, buf + len, &f), 0);
	nq_ack_on_sent(c);
	return f.ack;
}

static void test_every_second(void **state)
{
	struct nq_conn *c = p.end[0].conn;

	receive(0, true, 0);
	assert_false(nq_ack_due(c, p.now_us));
	assert_true(nq_ack_due(c, p.now_us + 25000));
	assert_int_equal(nq_next_timeout_us(c), p.now_us + 25000);
	receive(1, true, 0);
	assert_true(nq_ack_due(c, p.now_us));
	take_ack();
	assert_false(nq_ack_due(c, p.now_us + 1000000));
}

/* What the promise of ack.c allows: ACKs of @n packets in order at @gap_us of each other. */
static unsigned int receive_run(u64 *pn, unsigned int n, u64 gap_us)
{
	struct nq_conn *c = p.end[0].conn;
	unsigned int acks = 0;

	while (n--) {
		p.now_us += gap_us;
		receive((*pn)++, true, 0);
		if (!nq_ack_due(c, p.now_us))
			continue;
		assert_true(c->ack.eliciting <= 64);
		acks++;
		take_ack();
	}
	return acks;
}

static void with_rtt(u32 rtt_us)
{
	struct nq_conn *c = p.end[0].conn;

	c->rtt.has_sample = true;
	c->rtt.min_us = c->rtt.srtt_us = rtt_us;
}

static void test_decimates(void **state)
{
	u64 pn = 0;

	with_rtt(40000);
	/* 10000 packets per second are 400 per round trip. A short run says nothing yet. */
	assert_int_equal(receive_run(&pn, 128, 100), 64);
	/* In slow start a sender has sent about twice its window: 16 ACKs of it, or more. */
	assert_true(receive_run(&pn, 800, 100) >= 800 / 14);
	receive_run(&pn, 5000, 100);
	/* Then one for an eighth of the window, not for 64. */
	assert_in_range(receive_run(&pn, 5000, 100), 100, 110);
	/* A larger window: 64. Faster than that nothing is acknowledged. */
	receive_run(&pn, 10000, 10);
	assert_in_range(receive_run(&pn, 64000, 10), 1000, 1010);
	/* A small window again: every second packet, from the next round trip on. */
	receive_run(&pn, 20, 5000);
	assert_int_equal(receive_run(&pn, 100, 5000), 50);
}

static void test_decimation_needs_a_round_trip(void **state)
{
	u64 pn = 0;

	p.end[0].conn->rtt.has_sample = false;
	receive_run(&pn, 10000, 10);
	assert_int_equal(receive_run(&pn, 1000, 10), 500);
}

/* A quarter of a round trip, though max_ack_delay is 25 ms. */
static void test_decimated_delay(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u64 pn = 0;

	with_rtt(40000);
	receive_run(&pn, 10000, 10);
	if (c->ack.eliciting)
		take_ack();
	receive(pn++, true, 0);
	assert_false(nq_ack_due(c, p.now_us + 9999));
	assert_true(nq_ack_due(c, p.now_us + 10000));
	take_ack();
	with_rtt(400000);
	receive(pn++, true, 0);
	assert_false(nq_ack_due(c, p.now_us + 24999));
	assert_true(nq_ack_due(c, p.now_us + 25000));
}

/* At once after a gap, its fill and a mark; then every second until any threshold is passed. */
static void test_decimation_stops_at_a_gap(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u64 pn = 0;
	int i;

	with_rtt(40000);
	receive_run(&pn, 20000, 10);
	if (c->ack.eliciting)
		take_ack();
	receive(pn++, true, 0);
	assert_false(nq_ack_due(c, p.now_us));
	pn++;
	receive(pn++, true, 0);
	assert_true(nq_ack_due(c, p.now_us));
	take_ack();
	assert_int_equal(c->ack.ranges.n, 2);
	assert_in_range(receive_run(&pn, 64, 10), 31, 32);
	assert_true(receive_run(&pn, 640, 10) <= 30);
	if (c->ack.eliciting)
		take_ack();
	receive(pn - 1 - 64 - 640 - 1, true, 0); /* the fill */
	assert_true(nq_ack_due(c, p.now_us));
	take_ack();
	receive(pn++, true, 3);
	assert_true(nq_ack_due(c, p.now_us));
	take_ack();
	/* Gap upon gap: as before decimation. */
	pn = c->ack.ranges.r[0].last;
	for (i = 0; i < 7; i++) {
		pn += 2;
		receive(pn, true, 0);
		assert_true(nq_ack_due(c, p.now_us));
		take_ack();
	}
	pn++;
	assert_true(receive_run(&pn, 100, 10) >= 49);
}

/* The packets of one call share an ACK. */
static void test_one_for_a_burst(void **state)
{
	u64 before;

	before = p.end[1].conn->stats.ack_tx;
	assert_int_equal(pair_send(&p, 0, 8, 1000), 8);
	pair_run(&p, p.now_us + 6000);
	assert_int_equal(p.end[1].delivered, 8);
	assert_int_equal(p.end[1].conn->stats.ack_tx, before + 1);
}

static void test_at_once(void **state)
{
	struct nq_conn *c = p.end[0].conn;

	receive(0, true, 0);
	take_ack();
	receive(2, true, 0); /* a gap */
	assert_true(nq_ack_due(c, p.now_us));
	take_ack();
	receive(1, true, 0); /* late */
	assert_true(nq_ack_due(c, p.now_us));
	take_ack();
	receive(3, true, 3); /* CE */
	assert_true(nq_ack_due(c, p.now_us));
	assert_int_equal(take_ack().ce, 1);
}

static void test_not_for_acks(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u64 pn;

	for (pn = 0; pn < 20; pn++)
		receive(pn * 2, false, 0);
	assert_false(nq_ack_due(c, p.now_us + 10000000));
	/* But they are reported once there is a reason. */
	receive(100, true, 0);
	assert_true(take_ack().n_ranges > 10);
}

static void test_delay_is_that_of_the_largest(void **state)
{
	receive(5, true, 0);
	p.now_us += 8000;
	receive(4, true, 0);
	assert_int_equal(take_ack().delay, 8000 >> 3);
}

static void test_forgets_what_is_confirmed(void **state)
{
	struct nq_conn *c = p.end[0].conn;

	receive(1, true, 0);
	receive(3, true, 0);
	receive(10, true, 0);
	nq_ack_on_acked(c, 3);
	assert_int_equal(c->ack.ranges.n, 1);
	assert_int_equal(c->ack.ranges.r[0].first, 10);
	/* The largest stays, also when it is confirmed itself. */
	nq_ack_on_acked(c, 10);
	assert_int_equal(c->ack.ranges.n, 1);
	assert_int_equal(take_ack().largest, 10);
}

static void test_mark_wraps(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u64 pn = (1ULL << 33) + 5;

	receive(pn - 10, true, 0);
	receive(pn, true, 0);
	nq_ack_on_acked(c, (u32)(pn - 10));
	assert_int_equal(c->ack.ranges.n, 1);
	assert_true(nq_ranges_contains(&c->ack.ranges, pn));
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(test_every_second),
		ONE(test_decimates),
		ONE(test_decimation_needs_a_round_trip),
		ONE(test_decimated_delay),
		ONE(test_decimation_stops_at_a_gap),
		ONE(test_one_for_a_burst),
		ONE(test_at_once),
		ONE(test_not_for_acks),
		ONE(test_delay_is_that_of_the_largest),
		ONE(test_forgets_what_is_confirmed),
		ONE(test_mark_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
