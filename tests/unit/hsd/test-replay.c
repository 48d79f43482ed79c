// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replay cache against a model: a plain list that never forgets. Whatever the clock does, the
 * cache may refuse more than the model, but never accept what the model has seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hsd-test.h"
#include "replay.h"

static void number_random(uint8_t random[32], uint32_t n)
{
	memset(random, 0, 32);
	memcpy(random, &n, sizeof(n));
}

static bool enter(struct hs_replay *c, uint32_t n, int64_t made, int64_t now, uint32_t window)
{
	uint8_t random[32];

	number_random(random, n);
	return hs_replay_enter(c, random, made, now, window);
}

static void test_bounds(void **state)
{
	struct hs_replay *c;

	assert_null(hs_replay_new(0));
	assert_null(hs_replay_new((1U << 24) + 1));
	c = hs_replay_new(1);
	assert_non_null(c);
	assert_true(enter(c, 1, 100, 100, 10));
	assert_false(enter(c, 1, 100, 100, 10));
	assert_false(enter(c, 2, 100, 100, 10)); /* full */
	assert_false(enter(c, 2, 110, 110, 10)); /* still needed */
	assert_true(enter(c, 2, 111, 111, 10));
	assert_int_equal(hs_replay_count(c), 1);
	hs_replay_free(c);
	hs_replay_free(NULL);
}

/* Steady load in a small ring: it goes around many times. */
static void test_ring(void **state)
{
	struct hs_replay *c = hs_replay_new(100);

	assert_non_null(c);
	for (uint32_t n = 0; n < 5000; n++) {
		const int64_t now = 1000 + n / 4;

		assert_true(enter(c, n, now, now, 10));
		assert_false(enter(c, n, now, now, 10));
		if (n > 8)
			assert_false(enter(c, n - 8, now - 2, now, 10));
		assert_in_range(hs_replay_count(c), 1, 100);
	}
	hs_replay_free(c);
}

/* A credential from a clock that is ahead stays until its own time has left the window. */
static void test_ahead(void **state)
{
	struct hs_replay *c = hs_replay_new(8);

	assert_non_null(c);
	assert_true(enter(c, 1, 1010, 1000, 10));
	assert_true(enter(c, 2, 1000, 1000, 10));
	assert_false(enter(c, 1, 1010, 1020, 10));
	assert_true(enter(c, 3, 1021, 1021, 10));
	assert_int_equal(hs_replay_count(c), 1);
	assert_false(enter(c, 1, 1010, 1015, 10));
	assert_false(enter(c, 2, 1000, 1005, 10));
	hs_replay_free(c);
}

static void test_inherit(void **state)
{
	struct hs_replay *a = hs_replay_new(16), *b = hs_replay_new(64), *small = hs_replay_new(4);

	assert_true(a && b && small);
	for (uint32_t n = 0; n < 10; n++)
		assert_true(enter(a, n, 1000, 1000, 10));
	assert_true(enter(b, 100, 1000, 1000, 10));
	hs_replay_inherit(&b, &a);
	assert_int_equal(hs_replay_count(b), 11);
	assert_int_equal(hs_replay_count(a), 0);
	for (uint32_t n = 0; n < 10; n++)
		assert_false(enter(b, n, 1000, 1000, 10));
	assert_true(enter(b, 10, 1000, 1000, 10));
	/* Does not fit: they exchange places. */
	hs_replay_inherit(&small, &b);
	assert_int_equal(hs_replay_count(small), 12);
	assert_int_equal(hs_replay_count(b), 0);
	assert_false(enter(small, 3, 1000, 1000, 10));
	/* What was forgotten stays forgotten through an inheritance. */
	assert_true(enter(small, 11, 1100, 1100, 10));
	hs_replay_inherit(&a, &small);
	assert_false(enter(a, 4, 1000, 1000, 200));
	hs_replay_free(a);
	hs_replay_free(b);
	hs_replay_free(small);
}

/* Random clocks, windows, repeats, reloads. */
static void test_model(void **state)
{
	enum { ROUNDS = 20000 };
	static bool seen[ROUNDS];
	static int64_t made_at[ROUNDS];
	struct hs_replay *c = hs_replay_new(64), *next;
	unsigned int accepted = 0;
	int64_t now = 100000;

	assert_non_null(c);
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		const uint32_t window = 1 + t_random_below(50);
		uint32_t n = i;
		int64_t made = now + t_random_below(2 * window + 1) - window;

		if (i && t_random_below(2)) { /* a repeat: with its own time, which is signed */
			n = i - 1 - t_random_below(i < 40 ? i : 40);
			made = made_at[n];
		}
		made_at[n] = made;
		if (made >= now - window && made <= now + window &&
		    enter(c, n, made, now, window)) {
			assert_false(seen[n]);
			seen[n] = true;
			accepted++;
		}
		now += t_random_below(4);
		if (t_random_below(50) == 0)
			now -= t_random_below(30);
		if (t_random_below(500) == 0) {
			next = hs_replay_new(32 + t_random_below(64));
			assert_non_null(next);
			hs_replay_inherit(&next, &c);
			hs_replay_free(c);
			c = next;
		}
	}
	assert_in_range(accepted, ROUNDS / 20, ROUNDS);
	hs_replay_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_ring),
		cmocka_unit_test(test_ahead),  cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
