// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GF(2^255 - 19) in five limbs of 51 bits, products in 128 bits (fe25519.h has the promises).
 *
 * Bounds: inputs have limbs below 2^52. A product column is at most 5 * 2^104 * 19 < 2^111; the carry
 * out of a column is below 2^60, and after the final wrap (times 19) and one more carry every limb is
 * below 2^51 + 2^14. add and sub carry too, so that the invariant holds without counting.
 */
#include <string.h>

#include "fe25519.h"

typedef unsigned __int128 u128;

#define MASK51 ((1ULL << 51) - 1)

const struct hs_fe hs_fe_zero = { { 0 } };
const struct hs_fe hs_fe_one = { { 1 } };
/* 2^((p-1)/4) */
const struct hs_fe hs_fe_sqrtm1 = { { 1718705420411056ULL, 234908883556509ULL, 2233514472574048ULL,
				      2117202627021982ULL, 765476049583133ULL } };

static uint64_t load64(const uint8_t *b)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | b[i];
	return v;
}

/* 0 -> 0, 1 -> all ones; opaque, so that no compiler turns a selection back into a branch. */
static uint64_t mask_of(unsigned int bit)
{
	uint64_t m = 0 - (uint64_t)bit;

	__asm__("" : "+r"(m));
	return m;
}

static void carry(struct hs_fe *r)
{
	uint64_t c = 0;

	for (int i = 0; i < 5; i++) {
		r->v[i] += c;
		c = r->v[i] >> 51;
		r->v[i] &= MASK51;
	}
	r->v[0] += 19 * c;
}

void hs_fe_from_bytes(struct hs_fe *r, const uint8_t b[32])
{
	r->v[0] = load64(b) & MASK51;
	r->v[1] = load64(b + 6) >> 3 & MASK51;
	r->v[2] = load64(b + 12) >> 6 & MASK51;
	r->v[3] = load64(b + 19) >> 1 & MASK51;
	r->v[4] = load64(b + 24) >> 12 & MASK51;
}

void hs_fe_to_bytes(uint8_t b[32], const struct hs_fe *a)
{
	struct hs_fe t = *a;
	uint64_t q, w[4];

	/* After the second carry all limbs are below 2^51. */
	carry(&t);
	carry(&t);
	/* q = 1 if t >= p: does t + 19 reach 2^255? */
	q = (t.v[0] + 19) >> 51;
	for (int i = 1; i < 5; i++)
		q = (t.v[i] + q) >> 51;
	t.v[0] += 19 * q;
	carry(&t);
	/* carry() wrapped the bit 255 into 19 once more when q was set: take it out again. */
	t.v[0] -= 19 * q;
	w[0] = t.v[0] | t.v[1] << 51;
	w[1] = t.v[1] >> 13 | t.v[2] << 38;
	w[2] = t.v[2] >> 26 | t.v[3] << 25;
	w[3] = t.v[3] >> 39 | t.v[4] << 12;
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(w[i / 8] >> (8 * (i % 8)));
}

void hs_fe_add(struct hs_fe *r, const struct hs_fe *a, const struct hs_fe *b)
{
	for (int i = 0; i < 5; i++)
		r->v[i] = a->v[i] + b->v[i];
	carry(r);
}

void hs_fe_sub(struct hs_fe *r, const struct hs_fe *a, const struct hs_fe *b)
{
	/* 4p, limb by limb: larger than any limb of b. */
	r->v[0] = a->v[0] + 0x1fffffffffffb4ULL - b->v[0];
	for (int i = 1; i < 5; i++)
		r->v[i] = a->v[i] + 0x1ffffffffffffcULL - b->v[i];
	carry(r);
}

void hs_fe_neg(struct hs_fe *r, const struct hs_fe *a)
{
	hs_fe_sub(r, &hs_fe_zero, a);
}

static void reduce_wide(struct hs_fe *r, u128 t[5])
{
	uint64_t c = 0;

	for (int i = 0; i < 5; i++) {
		t[i] += c;
		c = (uint64_t)(t[i] >> 51);
		r->v[i] = (uint64_t)t[i] & MASK51;
	}
	t[0] = (u128)c * 19 + r->v[0];
	r->v[0] = (uint64_t)t[0] & MASK51;
	r->v[1] += (uint64_t)(t[0] >> 51);
}

void hs_fe_mul(struct hs_fe *r, const struct hs_fe *a, const struct hs_fe *b)
{
	const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
	const uint64_t b0 = b->v[0], b1 = b->v[1], b2 = b->v[2], b3 = b->v[3], b4 = b->v[4];
	const uint64_t c1 = 19 * b1, c2 = 19 * b2, c3 = 19 * b3, c4 = 19 * b4;
	u128 t[5];

	t[0] = (u128)a0 * b0 + (u128)a1 * c4 + (u128)a2 * c3 + (u128)a3 * c2 + (u128)a4 * c1;
	t[1] = (u128)a0 * b1 + (u128)a1 * b0 + (u128)a2 * c4 + (u128)a3 * c3 + (u128)a4 * c2;
	t[2] = (u128)a0 * b2 + (u128)a1 * b1 + (u128)a2 * b0 + (u128)a3 * c4 + (u128)a4 * c3;
	t[3] = (u128)a0 * b3 + (u128)a1 * b2 + (u128)a2 * b1 + (u128)a3 * b0 + (u128)a4 * c4;
	t[4] = (u128)a0 * b4 + (u128)a1 * b3 + (u128)a2 * b2 + (u128)a3 * b1 + (u128)a4 * b0;
	reduce_wide(r, t);
}

void hs_fe_sqr(struct hs_fe *r, const struct hs_fe *a)
{
	const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
	const uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, d3 = 2 * a3;
	const uint64_t e3 = 19 * a3, e4 = 19 * a4;
	u128 t[5];

	t[0] = (u128)a0 * a0 + (u128)d1 * e4 + (u128)d2 * e3;
	t[1] = (u128)d0 * a1 + (u128)d2 * e4 + (u128)a3 * e3;
	t[2] = (u128)d0 * a2 + (u128)a1 * a1 + (u128)d3 * e4;
	t[3] = (u128)d0 * a3 + (u128)d1 * a2 + (u128)a4 * e4;
	t[4] = (u128)d0 * a4 + (u128)d1 * a3 + (u128)a2 * a2;
	reduce_wide(r, t);
}

void hs_fe_mul_small(struct hs_fe *r, const struct hs_fe *a, uint32_t k)
{
	u128 t[5];

	for (int i = 0; i < 5; i++)
		t[i] = (u128)a->v[i] * k;
	reduce_wide(r, t);
}

static void sqr_times(struct hs_fe *r, const struct hs_fe *a, unsigned int n)
{
	hs_fe_sqr(r, a);
	while (--n)
		hs_fe_sqr(r, r);
}

/* r = a^(2^250 - 1), and a11 = a^11 on the way: the common part of the two exponents below. */
static void pow_2_250_1(struct hs_fe *r, struct hs_fe *a11, const struct hs_fe *a)
{
	struct hs_fe t, b5, b10, b20, b50, b100;

	hs_fe_sqr(&t, a); /* 2 */
	sqr_times(&b5, &t, 2); /* 8 */
	hs_fe_mul(&b5, &b5, a); /* 9 */
	hs_fe_mul(a11, &b5, &t); /* 11 */
	hs_fe_sqr(&t, a11); /* 22 */
	hs_fe_mul(&b5, &t, &b5); /* 2^5 - 1 */
	sqr_times(&t, &b5, 5);
	hs_fe_mul(&b10, &t, &b5); /* 2^10 - 1 */
	sqr_times(&t, &b10, 10);
	hs_fe_mul(&b20, &t, &b10); /* 2^20 - 1 */
	sqr_times(&t, &b20, 20);
	hs_fe_mul(&t, &t, &b20); /* 2^40 - 1 */
	sqr_times(&t, &t, 10);
	hs_fe_mul(&b50, &t, &b10); /* 2^50 - 1 */
	sqr_times(&t, &b50, 50);
	hs_fe_mul(&b100, &t, &b50); /* 2^100 - 1 */
	sqr_times(&t, &b100, 100);
	hs_fe_mul(&t, &t, &b100); /* 2^200 - 1 */
	sqr_times(&t, &t, 50);
	hs_fe_mul(r, &t, &b50);
	explicit_bzero(&t, sizeof(t));
	explicit_bzero(&b5, sizeof(b5));
	explicit_bzero(&b10, sizeof(b10));
	explicit_bzero(&b20, sizeof(b20));
	explicit_bzero(&b50, sizeof(b50));
	explicit_bzero(&b100, sizeof(b100));
}

void hs_fe_inv(struct hs_fe *r, const struct hs_fe *a)
{
	struct hs_fe t, a11;

	/* p - 2 = 2^255 - 21 = (2^250 - 1) * 2^5 + 11 */
	pow_2_250_1(&t, &a11, a);
	sqr_times(&t, &t, 5);
	hs_fe_mul(r, &t, &a11);
	explicit_bzero(&t, sizeof(t));
	explicit_bzero(&a11, sizeof(a11));
}

unsigned int hs_fe_invsqrt(struct hs_fe *r, const struct hs_fe *a)
{
	unsigned int zero, one, minus_one, minus_i;
	struct hs_fe t, q, x;

	/* t = a^((p-5)/8); (p - 5) / 8 = 2^252 - 3 = (2^250 - 1) * 4 + 1 */
	pow_2_250_1(&t, &q, a);
	sqr_times(&t, &t, 2);
	hs_fe_mul(&t, &t, a);
	/* q = a * t^2 = a^((p-1)/4), a fourth root of one (or 0): 1 and -1 for squares. As t^2 = q / a,
	 * t is the answer for q = 1 and q = i, and i * t is (its square is -q / a) for -1 and -i.
	 */
	hs_fe_sqr(&q, &t);
	hs_fe_mul(&q, &q, a);
	zero = hs_fe_is_zero(&q);
	one = hs_fe_equal(&q, &hs_fe_one);
	hs_fe_neg(&x, &hs_fe_one);
	minus_one = hs_fe_equal(&q, &x);
	hs_fe_neg(&x, &hs_fe_sqrtm1);
	minus_i = hs_fe_equal(&q, &x);
	hs_fe_mul(&x, &t, &hs_fe_sqrtm1);
	hs_fe_cmov(&t, &x, minus_one | minus_i);
	*r = t;
	explicit_bzero(&t, sizeof(t));
	explicit_bzero(&q, sizeof(q));
	explicit_bzero(&x, sizeof(x));
	return zero | one | minus_one;
}

unsigned int hs_fe_is_zero(const struct hs_fe *a)
{
	uint32_t acc = 0;
	uint8_t b[32];

	hs_fe_to_bytes(b, a);
	for (int i = 0; i < 32; i++)
		acc |= b[i];
	explicit_bzero(b, sizeof(b));
	return (acc - 1) >> 31;
}

unsigned int hs_fe_is_odd(const struct hs_fe *a)
{
	unsigned int bit;
	uint8_t b[32];

	hs_fe_to_bytes(b, a);
	bit = b[0] & 1;
	explicit_bzero(b, sizeof(b));
	return bit;
}

unsigned int hs_fe_equal(const struct hs_fe *a, const struct hs_fe *b)
{
	unsigned int equal;
	struct hs_fe d;

	hs_fe_sub(&d, a, b);
	equal = hs_fe_is_zero(&d);
	explicit_bzero(&d, sizeof(d));
	return equal;
}

void hs_fe_cmov(struct hs_fe *r, const struct hs_fe *a, unsigned int bit)
{
	const uint64_t m = mask_of(bit);

	for (int i = 0; i < 5; i++)
		r->v[i] ^= m & (r->v[i] ^ a->v[i]);
}

void hs_fe_cswap(struct hs_fe *a, struct hs_fe *b, unsigned int bit)
{
	const uint64_t m = mask_of(bit);

	for (int i = 0; i < 5; i++) {
		const uint64_t x = m & (a->v[i] ^ b->v[i]);

		a->v[i] ^= x;
		b->v[i] ^= x;
	}
}
