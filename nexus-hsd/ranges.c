// SPDX-License-Identifier: GPL-2.0-or-later
/* Received packet numbers, see ranges.h. */
#include <string.h>
#include "ranges.h"

static void remove_at(struct hs_ranges *s, size_t i)
{
	memmove(&s->r[i], &s->r[i + 1], (s->n - i - 1) * sizeof(s->r[0]));
	s->n--;
}

/* Full: the two lowest become one that covers the gap between them as well. */
static void fold_lowest(struct hs_ranges *s)
{
	s->r[s->n - 2].first = s->r[s->n - 1].first;
	s->n--;
}

void hs_ranges_add(struct hs_ranges *s, uint64_t pn)
{
	size_t i;

	/* The first range that is not wholly above @pn. */
	for (i = 0; i < s->n && s->r[i].first > pn; i++)
		;
	if (i < s->n && pn <= s->r[i].last)
		return;
	if (i > 0 && s->r[i - 1].first == pn + 1) {
		s->r[i - 1].first = pn;
		if (i < s->n && s->r[i].last + 1 == pn) {
			s->r[i - 1].first = s->r[i].first;
			remove_at(s, i);
		}
		return;
	}
	if (i < s->n && s->r[i].last + 1 == pn) {
		s->r[i].last = pn;
		return;
	}
	if (s->n == NQD_RX_RANGES_MAX) {
		if (i == s->n) {
			s->r[s->n - 1].first = pn;
			return;
		}
		fold_lowest(s);
		/* It lay in the gap that is now covered. */
		if (i == s->n)
			return;
	}
	memmove(&s->r[i + 1], &s->r[i], (s->n - i) * sizeof(s->r[0]));
	s->r[i].first = pn;
	s->r[i].last = pn;
	s->n++;
}
