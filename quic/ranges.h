/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bounded set of packet numbers as disjoint, non-adjacent ranges, highest first.
 *
 * Every operation is total and O(NQ_RANGES_MAX) at worst; adding the number after the highest one,
 * the usual case, is O(1). When the set is full the lowest range gives way: the set is what an ACK
 * frame reports, and forgetting there costs at most a needless retransmission by the peer.
 */
#ifndef NQ_RANGES_H
#define NQ_RANGES_H

#include "nq.h"

#define NQ_RANGES_MAX 32

struct nq_ranges {
	u32 n;
	struct nq_range r[NQ_RANGES_MAX];
};

/* Add @first..@last. False if there was no room and it lies below everything in the set. */
bool nq_ranges_add(struct nq_ranges *s, u64 first, u64 last);
/* Remove everything below @pn. */
void nq_ranges_drop_below(struct nq_ranges *s, u64 pn);
bool nq_ranges_contains(const struct nq_ranges *s, u64 pn);

#endif /* NQ_RANGES_H */
