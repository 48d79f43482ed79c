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
		ONE(test_at_once),
		ONE(test_not_for_acks),
		ONE(test_delay_is_that_of_the_largest),
		ONE(test_forgets_what_is_confirmed),
		ONE(test_mark_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
