/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only header of the engine that knows where it is compiled: kernel types and the memory
 * functions; and the arithmetic that all of it uses. Everything else in quic/ includes this and no
 * system header.
 */
#ifndef NQ_TYPES_H
#define NQ_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/string.h>
#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/build_bug.h>
#include <crypto/algapi.h>
#define nq_memzero(p, n)	memzero_explicit(p, n)
#define nq_differ(a, b, n)	crypto_memneq(a, b, n)
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

#ifndef likely
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#endif

/* memset that the compiler may not drop. */
static inline void nq_memzero(void *p, size_t n)
{
	memset(p, 0, n);
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

/* memcmp in a time that does not depend on where the bytes differ. */
static inline bool nq_differ(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;
	u8 diff = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		diff |= x[i] ^ y[i];
		__asm__ __volatile__("" : "+r"(diff));
	}
	return diff;
}
#endif

static inline u64 nq_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 nq_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* Up to a cache line. */
static inline u64 nq_round64(u64 n)
{
	return (n + 63) & ~63ULL;
}

#endif /* NQ_TYPES_H */
