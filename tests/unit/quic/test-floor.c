// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The loss floor alone: which rounds count, when it is believed, how far chance goes.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../../quic/floor.h"

#define MSS 1400
#define ROUND_PACKETS 100

/* Rounds in which @lost of a hundred packets are lost. */
static void rounds(struct nq_floor *f, unsigned int n, unsigned int lost, bool calm)
{
	while (n--) {
		nq_floor_on_acked(f, (ROUND_PACKETS - lost) * MSS);
		nq_floor_on_lost(f, lost * MSS);
		nq_floor_on_round(f, calm, true, MSS);
	}
}

static unsigned int permille(const struct nq_floor *f)
{
	return (unsigned int)(nq_floor_mean(f, 1000000) / 1000);
}

static void test_learns(void **state)
{
	struct nq_floor f = { .open = true };

	/* Four blocks of eight rounds, not one less. */
	rounds(&f, 4 * NQ_FLOOR_BLOCK_ROUNDS - 1, 2, true);
	assert_int_equal(permille(&f), 0);
	rounds(&f, 1, 2, true);
	assert_in_range(permille(&f), 19, 20);
	/* A block without losses is believed at once. */
	rounds(&f, NQ_FLOOR_BLOCK_ROUNDS, 0, true);
	assert_int_equal(permille(&f), 0);
}

/* The lowest of four: a queue that overflows now and then leaves none. */
static void test_takes_the_lowest(void **state)
{
	struct nq_floor f = { .open = true };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		rounds(&f, NQ_FLOOR_BLOCK_ROUNDS, 8, true);
		rounds(&f, NQ_FLOOR_BLOCK_ROUNDS, 1, true);
	}
	assert_in_range(permille(&f), 9, 10);
}

static void test_leaves_out(void **state)
{
	struct nq_floor f = { 0 };

	/* Not open before; not calm; few packets. */
	nq_floor_on_lost(&f, 50 * MSS);
	nq_floor_on_round(&f, true, true, MSS);
	assert_int_equal(f.bytes, 0);
	rounds(&f, 100, 5, false);
	assert_int_equal(f.bytes, 0);
	while (f.rounds < 5 * NQ_FLOOR_BLOCK_ROUNDS) {
		nq_floor_on_lost(&f, MSS);
		nq_floor_on_round(&f, true, true, MSS);
	}
	assert_int_equal(f.share, 0);
	assert_int_equal(f.block[NQ_FLOOR_BLOCKS - 1], 0);
}

static void test_has_an_end(void **state)
{
	struct nq_floor f = { .open = true };

	rounds(&f, 8 * NQ_FLOOR_BLOCK_ROUNDS, 50, true);
	assert_int_equal(f.share, NQ_FLOOR_MAX);
}

static void test_chance(void **state)
{
	struct nq_floor f = { .share = NQ_FLOOR_ONE / 50 };

	/* 4 of 200 packets on the average, three times the root of it by chance. */
	assert_in_range(nq_floor_mean(&f, 200 * MSS), 39 * MSS / 10, 4 * MSS);
	assert_in_range(nq_floor_chance(&f, 200 * MSS, MSS), 59 * MSS / 10, 6 * MSS);
	f.share = 0;
	assert_int_equal(nq_floor_chance(&f, 200 * MSS, MSS), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learns),	   cmocka_unit_test(test_takes_the_lowest),
		cmocka_unit_test(test_leaves_out), cmocka_unit_test(test_has_an_end),
		cmocka_unit_test(test_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
