// SPDX-License-Identifier: GPL-2.0-only
/*
 * Advancing and filling the duplicate window. See window.h.
 */
#include "window.h"

static void advance(struct nq_window *w, u64 end)
{
	if (end - w->end >= NQ_WINDOW_PACKETS) {
		memset(w->bits, 0, sizeof(w->bits));
		w->end = end;
		return;
	}
	for (; w->end < end && w->end % 64; w->end++)
		w->bits[w->end / 64 % NQ_WINDOW_WORDS] &= ~(1ULL << (w->end % 64));
	for (; end - w->end >= 64; w->end += 64)
		w->bits[w->end / 64 % NQ_WINDOW_WORDS] = 0;
	for (; w->end < end; w->end++)
		w->bits[w->end / 64 % NQ_WINDOW_WORDS] &= ~(1ULL << (w->end % 64));
}

void nq_window_add(struct nq_window *w, u64 pn)
{
	if (pn >= w->end)
		advance(w, pn + 1);
	w->bits[pn / 64 % NQ_WINDOW_WORDS] |= 1ULL << (pn % 64);
}

void nq_window_add_range(struct nq_window *w, u64 first, u64 last)
{
	if (last >= w->end)
		advance(w, last + 1);
	if (first + NQ_WINDOW_PACKETS < w->end)
		first = w->end - NQ_WINDOW_PACKETS;
	for (; first <= last; first++)
		w->bits[first / 64 % NQ_WINDOW_WORDS] |= 1ULL << (first % 64);
}
