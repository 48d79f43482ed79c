/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events that a peer can cause with every packet, were he so minded: one is told at once, the next a
 * second later at the earliest, with what is the newest by then. So the last is always told, and no
 * peer keeps the owner of his session busy. Freestanding.
 */
#ifndef NQD_LIMIT_H
#define NQD_LIMIT_H

#include "../quic/nq.h"

#define NQD_LIMIT_US 1000000

/* Of one kind of event of one session, zeroed at first. */
struct nqd_limit {
	u64 told_us;
	bool waits; /* something happened that has not been told */
};

/* When it is to be told; NQ_TIME_NEVER: nothing is. */
static inline u64 nqd_limit_due_us(const struct nqd_limit *l)
{
	return l->waits ? l->told_us + NQD_LIMIT_US : NQ_TIME_NEVER;
}

/* Is it to be told now? Then it has been. @happened: once more, since the last call. */
static inline bool nqd_limit_tell(struct nqd_limit *l, bool happened, u64 now_us)
{
	l->waits |= happened;
	if (now_us < nqd_limit_due_us(l))
		return false;
	l->waits = false;
	l->told_us = now_us;
	return true;
}

/* What happens next is told at once: it is not the peer's doing. */
static inline void nqd_limit_lift(struct nqd_limit *l)
{
	l->told_us = 0;
}

#endif /* NQD_LIMIT_H */
