/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of many times comes next: a binary heap of timers that their owners embed. Adding can fail for
 * want of memory, changing and deleting can not.
 */
#ifndef HS_TIMERS_H
#define HS_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct hs_timer {
	uint64_t at_ns; /* UINT64_MAX = never */
	size_t place; /* in the heap, from 1; 0 = not in it */
};

struct hs_timers {
	struct hs_timer **heap; /* [0] is the earliest */
	size_t n, cap;
};

/* 0 or -ENOMEM. */
int hs_timers_add(struct hs_timers *h, struct hs_timer *t, uint64_t at_ns);
void hs_timers_set(struct hs_timers *h, struct hs_timer *t, uint64_t at_ns);
/* Nothing if it is not in the heap. */
void hs_timers_del(struct hs_timers *h, struct hs_timer *t);
/* The earliest, or NULL. */
static inline struct hs_timer *hs_timers_first(const struct hs_timers *h)
{
	return h->n > 0 ? h->heap[0] : NULL;
}
/* When it is empty. */
void hs_timers_free(struct hs_timers *h);

#endif /* HS_TIMERS_H */
