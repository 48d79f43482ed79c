/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic in GF(2^255 - 19): what elligator.c needs and no more. Constant time: no branch and no
 * address depends on a value. Every function takes and returns "weakly reduced" elements (each of
 * the five 51-bit limbs below 2^52), so calls compose freely; outputs may alias inputs.
 */
#ifndef HS_FE25519_H
#define HS_FE25519_H

#include <stdint.h>

struct hs_fe {
	uint64_t v[5];
};

extern const struct hs_fe hs_fe_zero, hs_fe_one, hs_fe_sqrtm1;

/* Bit 255 is ignored; values from p to 2^255 - 1 are taken modulo p (RFC 7748 5). */
void hs_fe_from_bytes(struct hs_fe *r, const uint8_t b[32]);
/* The canonical encoding. */
void hs_fe_to_bytes(uint8_t b[32], const struct hs_fe *a);

void hs_fe_add(struct hs_fe *r, const struct hs_fe *a, const struct hs_fe *b);
void hs_fe_sub(struct hs_fe *r, const struct hs_fe *a, const struct hs_fe *b);
void hs_fe_neg(struct hs_fe *r, const struct hs_fe *a);
void hs_fe_mul(struct hs_fe *r, const struct hs_fe *a, const struct hs_fe *b);
void hs_fe_sqr(struct hs_fe *r, const struct hs_fe *a);
void hs_fe_mul_small(struct hs_fe *r, const struct hs_fe *a, uint32_t k);
/* 1/a; 0 for 0. */
void hs_fe_inv(struct hs_fe *r, const struct hs_fe *a);
/*
 * Inverse square root. Returns 1 and r^2 = 1/a if @a is a nonzero square; 0 and r^2 = sqrt(-1)/a if it
 * is no square; 1 and r = 0 for zero. Which of the two roots is unspecified.
 */
unsigned int hs_fe_invsqrt(struct hs_fe *r, const struct hs_fe *a);

/* 0 or 1. Odd means: the canonical encoding is. */
unsigned int hs_fe_is_zero(const struct hs_fe *a);
unsigned int hs_fe_is_odd(const struct hs_fe *a);
unsigned int hs_fe_equal(const struct hs_fe *a, const struct hs_fe *b);
/* @bit (0 or 1) set: r = a, or exchange a and b. */
void hs_fe_cmov(struct hs_fe *r, const struct hs_fe *a, unsigned int bit);
void hs_fe_cswap(struct hs_fe *a, struct hs_fe *b, unsigned int bit);

#endif /* HS_FE25519_H */
