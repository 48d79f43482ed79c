// SPDX-License-Identifier: GPL-2.0-or-later
/* The index by numbers finds what a plain list finds, in the same order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <cmocka.h>

#include "id-index.h"

#define THINGS 20000
#define STEPS 200000
/* Numbers that things share, a few each. */
#define SHARED 5000

struct thing {
	struct nx_id_node unique, shared;
	uint64_t id;
	unsigned int of; /* number that it shares */
	bool in;
	TAILQ_ENTRY(thing) entry; /* the plain list of those that share it, as they came */
};

static struct thing things[THINGS];
static TAILQ_HEAD(list, thing) lists[SHARED];
static struct nx_id_index by_id, by_shared;
static unsigned int calls_left; /* of calloc() that succeed */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (!calls_left)
		return NULL;
	calls_left--;
	return __real_calloc(n, size);
}

/* The same numbers every time. */
static uint64_t rnd(void)
{
	static uint64_t state = 1;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void check_shared(unsigned int of)
{
	struct nx_id_node *node = nx_id_first(&by_shared, of);
	struct thing *t;

	TAILQ_FOREACH (t, &lists[of], entry) {
		assert_ptr_equal(node, &t->shared);
		node = nx_id_next(node);
	}
	assert_null(node);
}

static void check(const struct thing *t)
{
	struct nx_id_node *node = nx_id_first(&by_id, t->id);

	assert_ptr_equal(node, t->in ? &t->unique : NULL);
	assert_null(node ? nx_id_next(node) : NULL);
	check_shared(t->of);
}

static void add(struct thing *t)
{
	t->in = true;
	nx_id_add(&by_id, &t->unique, t->id);
	nx_id_add(&by_shared, &t->shared, t->of);
	TAILQ_INSERT_TAIL(&lists[t->of], t, entry);
}

static void take_out(struct thing *t)
{
	t->in = false;
	nx_id_remove(&by_id, &t->unique);
	nx_id_remove(&by_shared, &t->shared);
	TAILQ_REMOVE(&lists[t->of], t, entry);
	/* It may be freed. */
	memset(&t->unique, 0xa5, sizeof(t->unique));
	memset(&t->shared, 0xa5, sizeof(t->shared));
}

/* Things come and go, of @among, until none is left. */
static void come_and_go(unsigned int among, unsigned int shared, unsigned int steps)
{
	unsigned int i, n = 0;
	struct thing *t;

	for (i = 0; i < SHARED; i++)
		TAILQ_INIT(&lists[i]);
	for (i = 0; i < among; i++)
		things[i] = (struct thing){ .id = rnd(), .of = rnd() % shared };
	for (i = 0; i < steps; i++) {
		t = &things[rnd() % among];
		check(t);
		if (t->in)
			take_out(t);
		else
			add(t);
		n += t->in ? 1 : -1;
		check(t);
		assert_int_equal(by_id.n, n);
		assert_int_equal(by_shared.n, n);
	}
	for (i = 0; i < among; i++)
		check(&things[i]);
	for (i = 0; i < among; i++) {
		if (things[i].in)
			take_out(&things[i]);
		check(&things[i]);
	}
	assert_int_equal(by_id.n, 0);
	assert_null(by_id.buckets);
	assert_null(by_shared.buckets);
}

static void finds_what_a_list_finds(void **state)
{
	calls_left = -1;
	come_and_go(THINGS, SHARED, STEPS);
	come_and_go(THINGS, 7, 1000);
	come_and_go(9, 3, 1000);
}

/* The table can not grow, at any of its sizes. */
static void without_memory(void **state)
{
	unsigned int i;

	for (i = 0; i < 12; i++) {
		calls_left = i;
		come_and_go(500, 100, 2000);
	}
}

/* Numbers that differ by their lower bits, by their upper ones, or hardly: none gets too many neighbours. */
static void spreads(void **state)
{
	static const unsigned int shifts[] = { 0, 1, 8, 16, 32, 48 };
	unsigned int i, k, longest = 0, len;
	struct nx_id_node *node;

	calls_left = -1;
	for (k = 0; k < sizeof(shifts) / sizeof(*shifts); k++) {
		memset(&by_id, 0, sizeof(by_id));
		for (i = 0; i < 16384; i++)
			nx_id_add(&by_id, &things[i].unique, (uint64_t)i << shifts[k]);
		for (i = 0; i < 1u << by_id.bits; i++) {
			for (len = 0, node = by_id.buckets[i]; node; node = node->next)
				len++;
			longest = len > longest ? len : longest;
		}
		for (i = 0; i < 16384; i++)
			nx_id_remove(&by_id, &things[i].unique);
	}
	assert_in_range(longest, 1, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_a_list_finds),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
