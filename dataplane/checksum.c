// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Internet checksums: see checksum.h. Called for every inner byte that is segmented or coalesced,
 * so x86-64 has a variant with 32-byte steps; which one runs is decided once. The kernel has its own.
 */
#include "checksum.h"

/* The rest of a run: fewer than 8 bytes, zero-extended as RFC 1071 wants it. */
static u64 csum_tail(const u8 *p, size_t len)
{
	u64 w = 0;

	memcpy(&w, p, len);
	return (w >> 32) + (w & 0xffffffff);
}

/* 64 KiB of 32-bit words need 46 bits: the accumulator cannot overflow. */
u64 dp_csum_portable(const void *data, size_t len)
{
	const u8 *p = data;
	u64 sum = 0, w;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&w, p, 8);
		sum += (w >> 32) + (w & 0xffffffff);
	}
	return len ? sum + csum_tail(p, len) : sum;
}

u64 dp_csum_copy_portable(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	return dp_csum_portable(src, len);
}

#if defined(__KERNEL__)
#include <net/checksum.h>

u64 dp_csum(const void *data, size_t len)
{
	return (__force u32)csum_partial(data, (int)len, 0);
}

u64 dp_csum_copy(void *dst, const void *src, size_t len)
{
	return (__force u32)csum_partial_copy_nocheck(src, dst, (int)len);
}
#elif defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

static inline AVX2 __m256i csum_step(__m256i acc, __m256i v)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);

	acc = _mm256_add_epi64(acc, _mm256_and_si256(v, low));
	return _mm256_add_epi64(acc, _mm256_srli_epi64(v, 32));
}

static inline AVX2 u64 csum_lanes(__m256i acc)
{
	__m128i x = _mm_add_epi64(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));

	return (u64)_mm_cvtsi128_si64(x) + (u64)_mm_extract_epi64(x, 1);
}

static AVX2 u64 csum_avx2(const void *data, size_t len)
{
	__m256i a = _mm256_setzero_si256(), b = a;
	const u8 *p = data;

	for (; len >= 64; p += 64, len -= 64) {
		a = csum_step(a, _mm256_loadu_si256((const __m256i *)p));
		b = csum_step(b, _mm256_loadu_si256((const __m256i *)(p + 32)));
	}
	return csum_lanes(_mm256_add_epi64(a, b)) + dp_csum_portable(p, len);
}

static AVX2 u64 csum_copy_avx2(void *dst, const void *src, size_t len)
{
	__m256i a = _mm256_setzero_si256(), b = a, v, w;
	const u8 *p = src;
	u8 *q = dst;

	for (; len >= 64; p += 64, q += 64, len -= 64) {
		v = _mm256_loadu_si256((const __m256i *)p);
		w = _mm256_loadu_si256((const __m256i *)(p + 32));
		_mm256_storeu_si256((__m256i *)q, v);
		_mm256_storeu_si256((__m256i *)(q + 32), w);
		a = csum_step(a, v);
		b = csum_step(b, w);
	}
	return csum_lanes(_mm256_add_epi64(a, b)) + dp_csum_copy_portable(q, p, len);
}

static bool have_avx2(void)
{
	static int known = -1;

	if (known < 0)
		known = __builtin_cpu_supports("avx2") ? 1 : 0;
	return known;
}

u64 dp_csum(const void *data, size_t len)
{
	return len >= 64 && have_avx2() ? csum_avx2(data, len) : dp_csum_portable(data, len);
}

u64 dp_csum_copy(void *dst, const void *src, size_t len)
{
	return len >= 64 && have_avx2() ? csum_copy_avx2(dst, src, len)
					: dp_csum_copy_portable(dst, src, len);
}
#else
u64 dp_csum(const void *data, size_t len)
{
	return dp_csum_portable(data, len);
}

u64 dp_csum_copy(void *dst, const void *src, size_t len)
{
	return dp_csum_copy_portable(dst, src, len);
}
#endif
