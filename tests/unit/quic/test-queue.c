// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CoDel against the pseudo-code of RFC 8289 5, written down once more with its own queue, clock and
 * floating point; deficit round robin against what it promises.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "codel.h"
#include "drr.h"

static u64 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* ---- CoDel ---- */

#define FULL_BYTES 1500
#define QUEUE_MAX 4096

struct fifo {
	u64 came_us[QUEUE_MAX];
	u32 size[QUEUE_MAX];
	unsigned int first, n;
	u64 bytes;
};

static void fifo_push(struct fifo *q, u32 size, u64 now_us)
{
	unsigned int at = (q->first + q->n) % QUEUE_MAX;

	if (q->n == QUEUE_MAX)
		return;
	q->came_us[at] = now_us;
	q->size[at] = size;
	q->bytes += size;
	q->n++;
}

static u64 fifo_pop(struct fifo *q)
{
	u64 came_us = q->came_us[q->first];

	q->bytes -= q->size[q->first];
	q->first = (q->first + 1) % QUEUE_MAX;
	q->n--;
	return came_us;
}

/* The RFC's, name by name. */
struct reference {
	double first_above_time, drop_next;
	u32 count, lastcount;
	bool dropping;
};

static bool ref_dodequeue(struct reference *r, struct fifo *q, u64 now, bool *ok_to_drop)
{
	u64 came;

	*ok_to_drop = false;
	if (!q->n) {
		r->first_above_time = 0;
		return false;
	}
	came = fifo_pop(q);
	if (now - came < NQ_CODEL_TARGET_US || q->bytes <= FULL_BYTES) {
		r->first_above_time = 0;
	} else if (r->first_above_time == 0) {
		r->first_above_time = now + NQ_CODEL_INTERVAL_US;
	} else if (now >= r->first_above_time) {
		*ok_to_drop = true;
	}
	return true;
}

static double ref_control_law(double t, u32 count)
{
	return t + floor(NQ_CODEL_INTERVAL_US / sqrt(count));
}

/* One packet out; how many were dropped before it. */
static unsigned int ref_dequeue(struct reference *r, struct fifo *q, u64 now)
{
	unsigned int drops = 0;
	bool ok, some = ref_dodequeue(r, q, now, &ok);
	u32 delta;

	if (!some) {
		r->dropping = false;
		return 0;
	}
	if (r->dropping) {
		if (!ok)
			r->dropping = false;
		while (now >= r->drop_next && r->dropping) {
			drops++;
			r->count++;
			ref_dodequeue(r, q, now, &ok);
			if (!ok)
				r->dropping = false;
			else
				r->drop_next = ref_control_law(r->drop_next, r->count);
		}
	} else if (ok) {
		drops++;
		ref_dodequeue(r, q, now, &ok);
		r->dropping = true;
		delta = r->count - r->lastcount;
		r->count = 1;
		if (delta > 1 && now - r->drop_next < NQ_CODEL_MEMORY * NQ_CODEL_INTERVAL_US)
			r->count = delta;
		r->drop_next = ref_control_law(now, r->count);
		r->lastcount = r->count;
	}
	return drops;
}

static unsigned int our_dequeue(struct nq_codel *c, struct fifo *q, u64 now)
{
	unsigned int drops = 0;

	while (q->n) {
		u64 behind = q->bytes - q->size[q->first];

		if (!nq_codel_drop(c, now - q->came_us[q->first], behind, FULL_BYTES, now)) {
			fifo_pop(q);
			return drops;
		}
		fifo_pop(q);
		drops++;
	}
	nq_codel_empty(c);
	return drops;
}

/* Load that swings around what leaves, for a minute each: both decide the same, packet by packet. */
static void test_codel_is_the_rfc(void **state)
{
	static struct fifo ours, theirs;
	u64 seed = 1, all = 0;
	int run;

	for (run = 0; run < 40; run++) {
		struct reference r = { 0 };
		struct nq_codel c = { 0 };
		u64 now = 1000000, end = now + 60000000, load = 100;

		memset(&ours, 0, sizeof(ours));
		memset(&theirs, 0, sizeof(theirs));
		for (; now < end; now += 500 + next_random(&seed) % 1000) {
			unsigned int drops;

			if (next_random(&seed) % 500 == 0)
				load = 60 + next_random(&seed) % 80;
			for (u64 n = next_random(&seed) % (2 * load); n >= 50; n -= 50) {
				u32 size = 40 + next_random(&seed) % 1460;

				fifo_push(&ours, size, now);
				fifo_push(&theirs, size, now);
			}
			drops = our_dequeue(&c, &ours, now);
			assert_int_equal(drops, ref_dequeue(&r, &theirs, now));
			assert_int_equal(ours.n, theirs.n);
			all += drops;
		}
	}
	/* Not about nothing. */
	assert_true(all > 1000);
}

static void test_codel_leaves_bursts_alone(void **state)
{
	struct nq_codel c = { 0 };
	u64 now = 1;

	/* Up to an interval above the target, then once below it, again and again. */
	for (int i = 0; i < 100; i++) {
		u64 until = now + NQ_CODEL_INTERVAL_US;

		for (; now < until; now += 1000)
			assert_false(nq_codel_drop(&c, 50000, 100000, FULL_BYTES, now));
		assert_false(nq_codel_drop(&c, NQ_CODEL_TARGET_US - 1, 100000, FULL_BYTES, now));
	}
	/* However slow: the last packet is not dropped. */
	for (; now < 1000000000; now += 10000)
		assert_false(nq_codel_drop(&c, 5000000, FULL_BYTES, FULL_BYTES, now));
}

/* One drop after the first interval, the n-th 1 / sqrt(n) of it after the one before. */
static void test_codel_control_law(void **state)
{
	static const u64 after_ms[] = { 100, 200, 270, 328, 378 };
	struct nq_codel c = { 0 };
	unsigned int n = 0;
	u64 now = 0;

	for (now = 1; n < 5; now += 100)
		if (nq_codel_drop(&c, 20000, 100000, FULL_BYTES, now))
			assert_in_range(now, after_ms[n] * 1000, after_ms[n] * 1000 + 1500), n++;
	assert_int_equal(nq_codel_sqrt(0), 0);
	assert_int_equal(nq_codel_sqrt(~(u64)0), 0xffffffff);
	for (u32 i = 1; i < 100000; i++)
		assert_int_equal(nq_codel_pause_us(i), (u64)floor(1e5 / sqrt(i)));
}

/* ---- turns ---- */

#define TAKERS 8
#define QUANTUM 3000

struct taker {
	struct nq_drr_taker turn;
	u32 min, max; /* sizes of its packets */
	u64 sent;
	u64 left; /* bytes to come */
};

static struct taker *next_taker(struct nq_drr *d)
{
	return (struct taker *)nq_drr_next(d, QUANTUM);
}

/* Always busy, each with packets of another size: equal bytes, up to a quantum and a packet. */
static void test_drr_bytes_are_equal(void **state)
{
	struct taker t[TAKERS] = { { .min = 40, .max = 40 },	   { .min = 1500, .max = 1500 },
				   { .min = 40, .max = 1500 },	   { .min = 9000, .max = 9000 },
				   { .min = 65000, .max = 65000 }, { .min = 100, .max = 65000 },
				   { .min = 1200, .max = 1200 },   { .min = 1, .max = 10 } };
	struct nq_drr d = { 0 };
	u64 seed = 3, all = 0, low, high;

	for (int i = 0; i < TAKERS; i++)
		nq_drr_add(&d, &t[i].turn, QUANTUM);
	while (all < 50000000) {
		struct taker *x = next_taker(&d);
		u32 size = x->min + next_random(&seed) % (x->max - x->min + 1);

		nq_drr_charge(&x->turn, size);
		x->sent += size;
		all += size;
	}
	low = high = t[0].sent;
	for (int i = 1; i < TAKERS; i++) {
		low = t[i].sent < low ? t[i].sent : low;
		high = t[i].sent > high ? t[i].sent : high;
	}
	assert_true(high - low <= 2 * (65000 + QUANTUM));
}

/* Somebody with a packet now and then waits for no more than the turn that is being had. */
static void test_drr_sparse_first(void **state)
{
	struct taker bulk[3] = { 0 }, sparse = { 0 };
	struct nq_drr d = { 0 };
	u64 seed = 5;

	for (int i = 0; i < 3; i++)
		nq_drr_add(&d, &bulk[i].turn, QUANTUM);
	for (int round = 0; round < 1000; round++) {
		for (u64 n = 50 + next_random(&seed) % 50; n; n--) {
			struct taker *x = next_taker(&d);

			if (x == &sparse) {
				/* Its last packet left long ago. */
				nq_drr_done(&d);
				continue;
			}
			nq_drr_charge(&x->turn, 1500);
		}
		assert_false(sparse.turn.listed);
		nq_drr_add(&d, &sparse.turn, QUANTUM);
		assert_ptr_equal(next_taker(&d), &sparse);
		nq_drr_charge(&sparse.turn, 100);
		nq_drr_done(&d);
	}
}

/* Who comes back at once each time it is done gains nothing by it. */
static void test_drr_no_gain_by_coming_back(void **state)
{
	struct taker bulk = { 0 }, sly = { 0 };
	struct nq_drr d = { 0 };

	nq_drr_add(&d, &bulk.turn, QUANTUM);
	for (int i = 0; i < 100000; i++) {
		struct taker *x;

		if (!sly.left) {
			sly.left = QUANTUM;
			nq_drr_add(&d, &sly.turn, QUANTUM);
		}
		x = next_taker(&d);
		if (x == &sly && !sly.left) {
			nq_drr_done(&d);
			continue;
		}
		nq_drr_charge(&x->turn, 1500);
		x->sent += 1500;
		if (x == &sly) {
			sly.left -= 1500;
			if (!sly.left)
				nq_drr_done(&d);
		}
	}
	assert_in_range(sly.sent * 100 / bulk.sent, 50, 101);
}

static void test_drr_remove(void **state)
{
	struct taker t[4] = { 0 };
	struct nq_drr d = { 0 };

	assert_null(next_taker(&d));
	for (int i = 0; i < 4; i++)
		nq_drr_add(&d, &t[i].turn, QUANTUM);
	nq_drr_charge(&next_taker(&d)->turn, 5000);
	next_taker(&d);
	/* One old, three fresh: the last, the old one, the first, the last of all. */
	nq_drr_remove(&d, &t[3].turn);
	nq_drr_remove(&d, &t[0].turn);
	nq_drr_remove(&d, &t[1].turn);
	nq_drr_remove(&d, &t[1].turn);
	assert_ptr_equal(next_taker(&d), &t[2]);
	nq_drr_add(&d, &t[3].turn, QUANTUM);
	nq_drr_remove(&d, &t[2].turn);
	assert_ptr_equal(next_taker(&d), &t[3]);
	nq_drr_remove(&d, &t[3].turn);
	assert_null(next_taker(&d));
	assert_false(nq_drr_any(&d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codel_is_the_rfc),
		cmocka_unit_test(test_codel_leaves_bursts_alone),
		cmocka_unit_test(test_codel_control_law),
		cmocka_unit_test(test_drr_bytes_are_equal),
		cmocka_unit_test(test_drr_sparse_first),
		cmocka_unit_test(test_drr_no_gain_by_coming_back),
		cmocka_unit_test(test_drr_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
