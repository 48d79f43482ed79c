// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Range set, duplicate window and packet-number recovery against naive models.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

#define MODEL 512

static u64 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* The set must equal the model where the set claims to know: from its lowest range up. */
static void compare(const struct nq_ranges *s, const bool *model, u64 forgotten)
{
	u64 pn;
	u32 i;

	assert_true(s->n <= NQ_RANGES_MAX);
	for (i = 0; i < s->n; i++) {
		assert_true(s->r[i].first <= s->r[i].last);
		if (i)
			assert_true(s->r[i].last + 1 < s->r[i - 1].first);
	}
	for (pn = forgotten; pn < MODEL; pn++)
		assert_int_equal(nq_ranges_contains(s, pn), model[pn]);
}

static void test_ranges_random(void **state)
{
	u64 seed = 7, first, last, forgotten, pn;
	struct nq_ranges s;
	bool model[MODEL];
	int round, op;

	for (round = 0; round < 300; round++) {
		memset(&s, 0, sizeof(s));
		memset(model, 0, sizeof(model));
		forgotten = 0;
		for (op = 0; op < 400; op++) {
			first = next_random(&seed) % MODEL;
			last = first + next_random(&seed) % 4;
			if (last >= MODEL)
				last = MODEL - 1;
			if (next_random(&seed) % 50 == 0) {
				nq_ranges_drop_below(&s, first);
				forgotten = forgotten > first ? forgotten : first;
			} else {
				for (pn = first; pn <= last; pn++)
					model[pn] = true;
				/* A full set forgets from the bottom. */
				if (s.n == NQ_RANGES_MAX &&
				    forgotten < s.r[NQ_RANGES_MAX - 1].last + 1)
					forgotten = s.r[NQ_RANGES_MAX - 1].last + 1;
				nq_ranges_add(&s, first, last);
			}
			compare(&s, model, forgotten);
		}
	}
}

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

static void test_window_random(void **state)
{
	static u8 model[200000];
	u64 seed = 3, base = 0, pn, end = 0;
	struct nq_window w = { 0 };
	int op;

	memset(model, 0, sizeof(model));
	for (op = 0; op < 200000; op++) {
		pn = base + next_random(&seed) % 9000;
		if (next_random(&seed) % 400 == 0)
			base += next_random(&seed) % 300;
		if (pn >= sizeof(model))
			break;
		if (pn + NQ_WINDOW_PACKETS < end)
			assert_int_equal(nq_window_check(&w, pn), NQ_WINDOW_OLD);
		else
			assert_int_equal(nq_window_check(&w, pn),
					 model[pn] ? NQ_WINDOW_SEEN : NQ_WINDOW_NEW);
		if (nq_window_check(&w, pn) != NQ_WINDOW_NEW)
			continue;
		nq_window_add(&w, pn);
		model[pn] = 1;
		end = pn + 1 > end ? pn + 1 : end;
	}
	assert_true(end > 20000);
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

/* Every number within half a window of the expected one is recovered, at all lengths and places. */
static void test_pn_exhaustive(void **state)
{
	static const u64 expected[] = { 0,
					1,
					127,
					128,
					255,
					256,
					257,
					65535,
					65536,
					1 << 24,
					0x123456789aULL,
					NQ_PN_MAX - 70000 };
	u32 bytes, i;
	u64 window, pn, from, to;

	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		for (bytes = 1; bytes <= 4; bytes++) {
			window = 1ULL << (8 * bytes);
			/* RFC 9000 A.3: (expected - half, expected + half] */
			from = expected[i] >= window / 2 ? expected[i] - window / 2 + 1 : 0;
			to = expected[i] + window / 2;
			if (to > NQ_PN_MAX)
				to = NQ_PN_MAX;
			for (pn = from; pn <= to; pn++) {
				if (pn - from > 70000 && to - pn > 70000)
					pn = to - 70000;
				assert_int_equal(
					nq_pn_decode(expected[i], (u32)(pn & (window - 1)), bytes),
					pn);
			}
		}
	}
}

static void test_pn_bytes(void **state)
{
	assert_int_equal(nq_pn_bytes(1), 1);
	assert_int_equal(nq_pn_bytes(128), 1);
	assert_int_equal(nq_pn_bytes(129), 2);
	assert_int_equal(nq_pn_bytes(32768), 2);
	assert_int_equal(nq_pn_bytes(32769), 3);
	assert_int_equal(nq_pn_bytes(1 << 30), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_random), cmocka_unit_test(test_ranges_edges),
		cmocka_unit_test(test_window_random), cmocka_unit_test(test_window_jump),
		cmocka_unit_test(test_window_range),  cmocka_unit_test(test_pn_exhaustive),
		cmocka_unit_test(test_pn_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
