/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Internet checksum (RFC 1071) over long runs, alone and fused with a copy.
 *
 * A sum is a 64-bit accumulator of native-order words: it may be added to another one as long as
 * every part but the last has an even length. dp_csum_fold() turns it into the 16 bits as they
 * stand in memory, so no byte order appears anywhere.
 */
#ifndef DP_CHECKSUM_H
#define DP_CHECKSUM_H

#include "../quic/nq_types.h"

u64 dp_csum(const void *data, size_t len);
u64 dp_csum_copy(void *dst, const void *src, size_t len);

/* Carries folded to 16 bits; not complemented. */
static inline u16 dp_csum_fold(u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

/* Add without losing the carry out of 64 bits. */
static inline u64 dp_csum_add(u64 a, u64 b)
{
	a += b;
	return a + (a < b);
}

/* Of a header: @len is a multiple of 4, and so small that a call would cost more. */
static inline u64 dp_csum_words(const u8 *p, u32 len)
{
	u64 sum = 0;
	u32 i, w;

	for (i = 0; i < len; i += 4) {
		memcpy(&w, p + i, 4);
		sum += w;
	}
	return sum;
}

/* Reference variant, used by tests and on processors without AVX2. */
u64 dp_csum_portable(const void *data, size_t len);
u64 dp_csum_copy_portable(void *dst, const void *src, size_t len);

#endif /* DP_CHECKSUM_H */
