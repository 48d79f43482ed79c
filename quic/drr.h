/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Deficit round robin by bytes with the two lists of RFC 8290: who takes the next turn.
 *
 * Takers are embedded in what they stand for: the flows of a session, the sessions of a data plane.
 * A taker is listed as long as it has something to send.
 *
 * Guarantee: of takers that always have something to send, each gets the same number of bytes, up to
 * one quantum and one packet; whoever newly comes is served before those that have waited, but for
 * one quantum only. With n takers the next turn of each comes after at most n - 1 quanta and
 * packets. Nothing here allocates or takes longer than the takers it passes.
 *
 *	nq_drr_add()		it has something to send now
 *	nq_drr_next()		whose turn it is; then send, and nq_drr_charge() what was sent
 *	nq_drr_done()		the one whose turn it is has nothing left, or may not send on
 *	nq_drr_remove()		it ends
 */
#ifndef NQ_DRR_H
#define NQ_DRR_H

#include "nq_types.h"

struct nq_drr_taker {
	struct nq_drr_taker *next;
	s64 deficit; /* bytes it may still send in this turn */
	bool listed;
};

struct nq_drr_list {
	struct nq_drr_taker *head, *tail;
};

struct nq_drr {
	struct nq_drr_list fresh, old;
};

static inline void nq_drr_push(struct nq_drr_list *l, struct nq_drr_taker *t)
{
	t->next = NULL;
	if (l->head)
		l->tail->next = t;
	else
		l->head = t;
	l->tail = t;
}

static inline struct nq_drr_taker *nq_drr_pop(struct nq_drr_list *l)
{
	struct nq_drr_taker *t = l->head;

	l->head = t->next;
	return t;
}

static inline bool nq_drr_any(const struct nq_drr *d)
{
	return d->fresh.head || d->old.head;
}

static inline void nq_drr_add(struct nq_drr *d, struct nq_drr_taker *t, u32 quantum)
{
	if (t->listed)
		return;
	t->listed = true;
	t->deficit = quantum;
	nq_drr_push(&d->fresh, t);
}

/* NULL if there is nobody. */
static inline struct nq_drr_taker *nq_drr_next(struct nq_drr *d, u32 quantum)
{
	struct nq_drr_list *l;

	while (nq_drr_any(d)) {
		l = d->fresh.head ? &d->fresh : &d->old;
		if (l->head->deficit > 0)
			return l->head;
		l->head->deficit += quantum;
		nq_drr_push(&d->old, nq_drr_pop(l));
	}
	return NULL;
}

static inline void nq_drr_charge(struct nq_drr_taker *t, u32 bytes)
{
	t->deficit -= bytes;
}

/*
 * The one that nq_drr_next() named sends no more. A fresh one must pass the others before it can be
 * fresh again (RFC 8290 4.2), or small packets at the right moments would starve them.
 */
static inline void nq_drr_done(struct nq_drr *d)
{
	struct nq_drr_taker *t;

	if (d->fresh.head) {
		t = nq_drr_pop(&d->fresh);
		if (d->old.head) {
			nq_drr_push(&d->old, t);
			return;
		}
	} else {
		t = nq_drr_pop(&d->old);
	}
	t->listed = false;
}

static inline bool nq_drr_unlink(struct nq_drr_list *l, struct nq_drr_taker *t)
{
	struct nq_drr_taker *prev = NULL, *at;

	for (at = l->head; at && at != t; at = at->next)
		prev = at;
	if (!at)
		return false;
	if (prev)
		prev->next = t->next;
	else
		l->head = t->next;
	if (l->tail == t)
		l->tail = prev;
	return true;
}

static inline void nq_drr_remove(struct nq_drr *d, struct nq_drr_taker *t)
{
	if (t->listed && !nq_drr_unlink(&d->fresh, t))
		nq_drr_unlink(&d->old, t);
	t->listed = false;
}

#endif /* NQ_DRR_H */
