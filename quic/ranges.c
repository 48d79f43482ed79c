// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range set behind ACK frames. See ranges.h for what it promises.
 */
#include "ranges.h"

/* Make room for a range at index @i; the lowest one falls out of a full set. */
static void insert_at(struct nq_ranges *s, u32 i, u64 first, u64 last)
{
	if (s->n == NQ_RANGES_MAX)
		s->n--;
	memmove(&s->r[i + 1], &s->r[i], (s->n - i) * sizeof(s->r[0]));
	s->r[i].first = first;
	s->r[i].last = last;
	s->n++;
}

bool nq_ranges_add(struct nq_ranges *s, u64 first, u64 last)
{
	u32 i = 0, j;

	if (likely(s->n && first == s->r[0].last + 1)) {
		s->r[0].last = last;
		return true;
	}
	/* i: the first range that is not wholly above the new one, with a hole between. */
	while (i < s->n && s->r[i].first > last && s->r[i].first - last > 1)
		i++;
	if (i == NQ_RANGES_MAX)
		return false;
	if (i == s->n || (s->r[i].last < first && first - s->r[i].last > 1)) {
		insert_at(s, i, first, last);
		return true;
	}
	/* r[i] touches or overlaps: widen it and swallow what it now reaches. */
	if (s->r[i].last < last)
		s->r[i].last = last;
	if (s->r[i].first > first)
		s->r[i].first = first;
	for (j = i + 1; j < s->n && s->r[j].last + 1 >= s->r[i].first; j++) {
		if (s->r[j].first < s->r[i].first)
			s->r[i].first = s->r[j].first;
	}
	memmove(&s->r[i + 1], &s->r[j], (s->n - j) * sizeof(s->r[0]));
	s->n -= j - i - 1;
	return true;
}

void nq_ranges_drop_below(struct nq_ranges *s, u64 pn)
{
	while (s->n && s->r[s->n - 1].last < pn)
		s->n--;
	if (s->n && s->r[s->n - 1].first < pn)
		s->r[s->n - 1].first = pn;
}

bool nq_ranges_contains(const struct nq_ranges *s, u64 pn)
{
	u32 i;

	for (i = 0; i < s->n && s->r[i].first > pn; i++)
		;
	return i < s->n && s->r[i].last >= pn;
}
