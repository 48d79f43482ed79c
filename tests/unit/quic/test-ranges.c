// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Edges of the range set and the duplicate window; test-model.c has the rest.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

static void test_ranges_edges(void **state)
{
	struct nq_ranges s = { 0 };
	u64 i;

	assert_true(nq_ranges_add(&s, NQ_PN_MAX - 1, NQ_PN_MAX));
	assert_true(nq_ranges_contains(&s, NQ_PN_MAX));
	assert_true(nq_ranges_add(&s, 0, 0));
	assert_int_equal(s.n, 2);
	assert_true(nq_ranges_add(&s, 1, NQ_PN_MAX - 2));
	assert_int_equal(s.n, 1);
	assert_int_equal(s.r[0].first, 0);
	nq_ranges_drop_below(&s, NQ_PN_MAX + 1);
	assert_int_equal(s.n, 0);
	/* Full: one below all is refused, one above pushes out the lowest. */
	for (i = 0; i < NQ_RANGES_MAX; i++)
		assert_true(nq_ranges_add(&s, 100 + 2 * i, 100 + 2 * i));
	assert_false(nq_ranges_add(&s, 10, 10));
	assert_true(nq_ranges_add(&s, 1000, 1000));
	assert_int_equal(s.n, NQ_RANGES_MAX);
	assert_false(nq_ranges_contains(&s, 100));
}

static void test_window_jump(void **state)
{
	struct nq_window w = { 0 };

	nq_window_add(&w, 5);
	nq_window_add(&w, 5 + NQ_WINDOW_PACKETS);
	assert_int_equal(nq_window_check(&w, 5), NQ_WINDOW_OLD);
	assert_int_equal(nq_window_check(&w, 6), NQ_WINDOW_NEW);
	nq_window_add(&w, NQ_PN_MAX);
	assert_int_equal(nq_window_check(&w, NQ_PN_MAX), NQ_WINDOW_SEEN);
	assert_int_equal(nq_window_check(&w, NQ_PN_MAX - 1), NQ_WINDOW_NEW);
	assert_int_equal(nq_window_check(&w, 6), NQ_WINDOW_OLD);
}

static void test_window_range(void **state)
{
	struct nq_window w = { 0 };

	nq_window_add_range(&w, 0, 100000);
	assert_int_equal(nq_window_check(&w, 100000), NQ_WINDOW_SEEN);
	assert_int_equal(nq_window_check(&w, 100001 - NQ_WINDOW_PACKETS), NQ_WINDOW_SEEN);
	assert_int_equal(nq_window_check(&w, 100000 - NQ_WINDOW_PACKETS), NQ_WINDOW_OLD);
	assert_int_equal(nq_window_check(&w, 100001), NQ_WINDOW_NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_edges),
		cmocka_unit_test(test_window_jump),
		cmocka_unit_test(test_window_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
