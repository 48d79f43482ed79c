// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One timer per session in a binary heap, earliest first. The heap holds DP_MAX_SESSIONS entries,
 * so setting a timer cannot fail.
 */
#include "dp.h"

static void place(struct dp *dp, size_t i, struct dp_session *s)
{
	dp->heap[i] = s;
	s->timer_slot = i + 1;
}

static void sift_up(struct dp *dp, size_t i)
{
	struct dp_session *s = dp->heap[i];

	while (i && dp->heap[(i - 1) / 2]->timer_us > s->timer_us) {
		place(dp, i, dp->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(dp, i, s);
}

static void sift_down(struct dp *dp, size_t i)
{
	struct dp_session *s = dp->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < dp->heap_len &&
		    dp->heap[child + 1]->timer_us < dp->heap[child]->timer_us)
			child++;
		if (child >= dp->heap_len || dp->heap[child]->timer_us >= s->timer_us)
			break;
		place(dp, i, dp->heap[child]);
		i = child;
	}
	place(dp, i, s);
}

static void take_off(struct dp *dp, struct dp_session *s)
{
	size_t i = s->timer_slot - 1;
	struct dp_session *last = dp->heap[--dp->heap_len];

	s->timer_slot = 0;
	if (last == s)
		return;
	place(dp, i, last);
	sift_up(dp, i);
	sift_down(dp, last->timer_slot - 1);
}

void dp_timer_set(struct dp *dp, struct dp_session *s, u64 at_us)
{
	if (s->timer_slot && s->timer_us == at_us)
		return;
	if (s->timer_slot)
		take_off(dp, s);
	if (at_us == NQ_TIME_NEVER)
		return;
	s->timer_us = at_us;
	dp->heap[dp->heap_len] = s;
	sift_up(dp, dp->heap_len++);
}

struct dp_session *dp_timer_due(struct dp *dp, u64 now_us)
{
	struct dp_session *s = dp->heap_len ? dp->heap[0] : NULL;

	if (!s || s->timer_us > now_us)
		return NULL;
	take_off(dp, s);
	return s;
}

u64 dp_timer_next(const struct dp *dp)
{
	return dp->heap_len ? dp->heap[0]->timer_us : NQ_TIME_NEVER;
}
