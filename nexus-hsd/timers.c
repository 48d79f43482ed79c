// SPDX-License-Identifier: GPL-2.0-or-later
/* A heap of timers, see timers.h. */
#include <errno.h>
#include <stdlib.h>
#include "timers.h"

#define CAP_MIN 64

static void put(struct hs_timers *h, size_t at, struct hs_timer *t)
{
	h->heap[at] = t;
	t->place = at + 1;
}

/* @t belongs at @at or nearer to the root. Returns where it is now. */
static size_t sift_up(struct hs_timers *h, size_t at, struct hs_timer *t)
{
	size_t parent;

	for (; at > 0; at = parent) {
		parent = (at - 1) / 2;
		if (h->heap[parent]->at_ns <= t->at_ns)
			break;
		put(h, at, h->heap[parent]);
	}
	put(h, at, t);
	return at;
}

/* @t belongs at @at or further from the root. */
static void sift_down(struct hs_timers *h, size_t at, struct hs_timer *t)
{
	size_t child;

	for (; (child = 2 * at + 1) < h->n; at = child) {
		if (child + 1 < h->n && h->heap[child + 1]->at_ns < h->heap[child]->at_ns)
			child++;
		if (t->at_ns <= h->heap[child]->at_ns)
			break;
		put(h, at, h->heap[child]);
	}
	put(h, at, t);
}

int hs_timers_add(struct hs_timers *h, struct hs_timer *t, uint64_t at_ns)
{
	size_t cap = h->cap ? 2 * h->cap : CAP_MIN;
	struct hs_timer **heap;

	if (h->n == h->cap) {
		heap = realloc(h->heap, cap * sizeof(struct hs_timer *));
		if (!heap)
			return -ENOMEM;
		h->heap = heap;
		h->cap = cap;
	}
	t->at_ns = at_ns;
	sift_up(h, h->n++, t);
	return 0;
}

void hs_timers_set(struct hs_timers *h, struct hs_timer *t, uint64_t at_ns)
{
	t->at_ns = at_ns;
	sift_down(h, sift_up(h, t->place - 1, t), t);
}

void hs_timers_del(struct hs_timers *h, struct hs_timer *t)
{
	struct hs_timer *last;
	size_t at = t->place - 1;

	if (t->place == 0)
		return;
	t->place = 0;
	last = h->heap[--h->n];
	if (last != t)
		sift_down(h, sift_up(h, at, last), last);
}

void hs_timers_free(struct hs_timers *h)
{
	free(h->heap);
	h->heap = NULL;
	h->n = h->cap = 0;
}
