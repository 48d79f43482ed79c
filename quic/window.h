/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The duplicate window: which of the last NQ_WINDOW_PACKETS packet numbers were received.
 *
 * A number is accepted once. What lies below the window can no longer be judged and is refused as
 * old. The bitmap is circular: bit (pn mod size) belongs to the one number in (largest - size,
 * largest] that maps to it, and advancing the window clears the bits it passes over.
 */
#ifndef NQ_WINDOW_H
#define NQ_WINDOW_H

#include "nq_types.h"

#define NQ_WINDOW_PACKETS 4096
#define NQ_WINDOW_WORDS (NQ_WINDOW_PACKETS / 64)

struct nq_window {
	u64 end; /* largest received + 1; 0: nothing yet */
	u64 bits[NQ_WINDOW_WORDS];
};

enum nq_window_verdict {
	NQ_WINDOW_NEW,
	NQ_WINDOW_SEEN,
	NQ_WINDOW_OLD,
};

static inline enum nq_window_verdict nq_window_check(const struct nq_window *w, u64 pn)
{
	if (pn >= w->end)
		return NQ_WINDOW_NEW;
	if (w->end - pn > NQ_WINDOW_PACKETS)
		return NQ_WINDOW_OLD;
	return w->bits[pn / 64 % NQ_WINDOW_WORDS] >> (pn % 64) & 1 ? NQ_WINDOW_SEEN : NQ_WINDOW_NEW;
}

/* Record @pn, which nq_window_check() called new. */
void nq_window_add(struct nq_window *w, u64 pn);
/* Record @first..@last at once (start of a session): costs at most one pass over the window. */
void nq_window_add_range(struct nq_window *w, u64 first, u64 last);

#endif /* NQ_WINDOW_H */
