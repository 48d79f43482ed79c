// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet-number recovery: the pseudocode of RFC 9000 Appendix A.3, in integers.
 */
#include "pn.h"

u64 nq_pn_decode(u64 expected, u32 truncated, u32 bytes)
{
	u64 window = 1ULL << (8 * bytes);
	u64 half = window / 2;
	u64 candidate = (expected & ~(window - 1)) | truncated;

	if (candidate + half <= expected && candidate <= NQ_PN_MAX - window)
		return candidate + window;
	if (candidate > expected + half && candidate >= window)
		return candidate - window;
	return candidate;
}
