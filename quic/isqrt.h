/* SPDX-License-Identifier: GPL-2.0-only */
/* The square root of an integer, rounded down, without division: any context, total. */
#ifndef NQ_ISQRT_H
#define NQ_ISQRT_H

#include "nq_types.h"

static inline u64 nq_isqrt(u64 x)
{
	u64 r = 0, bit;

	for (bit = 1ULL << 31; bit; bit >>= 1) {
		if ((r + bit) * (r + bit) <= x)
			r += bit;
	}
	return r;
}

#endif /* NQ_ISQRT_H */
