// SPDX-License-Identifier: GPL-2.0-or-later
/* How often the owner of a session is told what others can make happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "line.h"

#define SECOND 1000000ull
#define START (100 * SECOND)

enum { OPEN, RECOVERY, COLLAPSED };

/* A loss with every round trip of a millisecond: an event a second. */
static void congestion_is_told_once_a_second(void **state)
{
	struct nqd_line l = { 0 };
	unsigned int told = 0, i;

	for (i = 0; i < 10000; i++)
		told += nqd_congestion_to_report(&l, i % 2 ? OPEN : RECOVERY, START + i * 1000);
	assert_int_equal(told, 10);
}

/* What matters most does not wait, but neither is it said again and again. */
static void collapse_is_told_at_once(void **state)
{
	struct nqd_line l = { 0 };

	assert_true(nqd_congestion_to_report(&l, RECOVERY, START));
	assert_false(nqd_congestion_to_report(&l, RECOVERY, START + 1));
	assert_true(nqd_congestion_to_report(&l, COLLAPSED, START + 2));
	assert_false(nqd_congestion_to_report(&l, COLLAPSED, START + 3));
	assert_false(nqd_congestion_to_report(&l, OPEN, START + 4));
	assert_false(nqd_congestion_to_report(&l, COLLAPSED, START + 5));
	assert_true(nqd_congestion_to_report(&l, OPEN, START + 2 + SECOND));
	assert_true(nqd_congestion_to_report(&l, COLLAPSED, START + 3 + SECOND));
}

/* None is left out of the sum, however many come. */
static void duplicates_are_told_once_a_second(void **state)
{
	struct nqd_line l = { 0 };
	struct nq_stats st = { 0 };
	u64 told = 0, n;
	unsigned int events = 0, i;

	assert_int_equal(nqd_duplicates_to_report(&l, &st, START), 0);
	for (i = 0; i < 10000; i++) {
		st.count.duplicates += 2;
		st.count.replay_window_drops++;
		n = nqd_duplicates_to_report(&l, &st, START + i * 1000);
		events += n != 0;
		told += n;
	}
	assert_int_equal(events, 10);
	told += nqd_duplicates_to_report(&l, &st, START + 11 * SECOND);
	assert_int_equal(told, 30000);
	assert_int_equal(nqd_duplicates_to_report(&l, &st, START + 13 * SECOND), 0);
}

/* A peer that does with every packet what is worth an event: one a second, and the last is told. */
static void what_a_peer_can_cause_is_limited(void **state)
{
	unsigned int told = 0, i;
	struct nqd_limit l = { 0 };
	u64 at = START;

	assert_false(nqd_limit_tell(&l, false, START));
	assert_int_equal(nqd_limit_due_us(&l), NQ_TIME_NEVER);
	for (i = 0; i < 9999; i++, at += 1000)
		told += nqd_limit_tell(&l, true, at);
	assert_int_equal(told, 10);
	assert_int_equal(nqd_limit_due_us(&l), START + 10 * SECOND);
	assert_false(nqd_limit_tell(&l, false, START + 10 * SECOND - 1));
	assert_true(nqd_limit_tell(&l, false, START + 10 * SECOND));
	/* Nothing has happened since. */
	assert_int_equal(nqd_limit_due_us(&l), NQ_TIME_NEVER);
	assert_false(nqd_limit_tell(&l, false, START + 20 * SECOND));
	/* What is not the peer's doing is told at once. */
	assert_true(nqd_limit_tell(&l, true, START + 20 * SECOND));
	nqd_limit_lift(&l);
	assert_true(nqd_limit_tell(&l, true, START + 20 * SECOND + 1));
}

/* A session looks again when the first of them is due. */
static void limits_are_due_in_their_order(void **state)
{
	struct nqd_line l = { 0 };

	assert_int_equal(nqd_limits_due_us(&l), NQ_TIME_NEVER);
	nqd_limit_tell(&l.limits[NQD_LIMITED_PATH], true, START + 2);
	nqd_limit_tell(&l.limits[NQD_LIMITED_FRAMES], true, START);
	assert_int_equal(nqd_limits_due_us(&l), NQ_TIME_NEVER);
	nqd_limit_tell(&l.limits[NQD_LIMITED_PATH], true, START + 3);
	assert_int_equal(nqd_limits_due_us(&l), START + 2 + SECOND);
	nqd_limit_tell(&l.limits[NQD_LIMITED_FRAMES], true, START + 3);
	assert_int_equal(nqd_limits_due_us(&l), START + SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(congestion_is_told_once_a_second),
		cmocka_unit_test(collapse_is_told_at_once),
		cmocka_unit_test(duplicates_are_told_once_a_second),
		cmocka_unit_test(what_a_peer_can_cause_is_limited),
		cmocka_unit_test(limits_are_due_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
