// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Elligator2 for Curve25519 and the ephemeral keys that go with it (elligator.h).
 *
 * The curve is v^2 = g(u) = u^3 + A u^2 + u. For every r exactly one of u1 = -A / (1 + 2 r^2) and
 * u2 = -u1 - A is on it: that one is map(r). 1 + 2 r^2 is never zero, as 2 is no square and -1 is.
 *
 * An honest X25519 public key lies in the subgroup of prime order L, which a censor can test. So the
 * ephemeral public key is e B + T with T random among the eight low-order points: the whole curve.
 * X25519 multiplies by a multiple of eight, which removes T again.
 */
#include <errno.h>
#include <string.h>
#include <gnutls/crypto.h>
#include <nettle/curve25519.h>

#include "elligator.h"
#include "fe25519.h"

#define CURVE_A 486662
#define CURVE_A24 121665 /* (A - 2) / 4 */
/* Half of the curve has a representative: 2^-128 is the chance to run out of attempts. */
#define MAX_ATTEMPTS 128

static const struct hs_fe curve_a = { { CURVE_A } };

void hs_elligator_map(uint8_t u[32], const uint8_t rep[32])
{
	struct hs_fe r2, d, n, w, t, x;
	unsigned int on_curve;
	uint8_t r[32];

	memcpy(r, rep, 32);
	r[31] &= 0x3f;
	hs_fe_from_bytes(&t, r);
	hs_fe_sqr(&r2, &t);
	hs_fe_add(&r2, &r2, &r2); /* 2 r^2 */
	hs_fe_add(&d, &r2, &hs_fe_one); /* u1 = -A / d */
	/* g(u1) = n / d^3 with n = -A (d^2 - A^2 d + A^2), a square iff n d is; neither is ever 0. */
	hs_fe_mul_small(&t, &r2, CURVE_A);
	hs_fe_mul_small(&t, &t, CURVE_A); /* A^2 (d - 1) */
	hs_fe_sqr(&n, &d);
	hs_fe_sub(&n, &t, &n);
	hs_fe_mul_small(&n, &n, CURVE_A);
	hs_fe_mul(&w, &n, &d);
	on_curve = hs_fe_invsqrt(&t, &w);
	/* 1 / d = n / w, and 1 / w = t^2, or -i t^2 if w is no square. */
	hs_fe_sqr(&t, &t);
	hs_fe_mul(&t, &t, &n);
	hs_fe_neg(&x, &hs_fe_sqrtm1);
	hs_fe_mul(&x, &x, &t);
	hs_fe_cmov(&t, &x, on_curve ^ 1);
	hs_fe_mul_small(&t, &t, CURVE_A); /* A / d */
	hs_fe_sub(&x, &t, &curve_a); /* u2 */
	hs_fe_neg(&t, &t); /* u1 */
	hs_fe_cmov(&t, &x, on_curve ^ 1);
	hs_fe_to_bytes(u, &t);
	explicit_bzero(r, sizeof(r));
}

/* Is @u the coordinate of a curve point (1), or of one on the twist (0)? */
static unsigned int on_curve(const struct hs_fe *u)
{
	unsigned int square;
	struct hs_fe t;

	hs_fe_add(&t, u, &curve_a);
	hs_fe_mul(&t, &t, u);
	hs_fe_add(&t, &t, &hs_fe_one);
	hs_fe_mul(&t, &t, u);
	square = hs_fe_invsqrt(&t, &t);
	explicit_bzero(&t, sizeof(t));
	return square;
}

/*
 * r^2 = -u / (2 (u + A)), or its inverse times 1/4 for the other sign of v. Whether a point has a
 * representative is the only thing that time may tell: such a key is thrown away.
 */
bool hs_elligator_inverse(uint8_t rep[32], const uint8_t u[32], uint8_t tweak)
{
	struct hs_fe x, xa, t, neg;
	unsigned int square;

	hs_fe_from_bytes(&x, u);
	hs_fe_add(&xa, &x, &curve_a);
	hs_fe_mul(&t, &x, &xa);
	hs_fe_add(&t, &t, &t);
	hs_fe_neg(&t, &t);
	square = hs_fe_invsqrt(&t, &t); /* t^2 = 1 / (-2 u (u + A)) */
	square &= on_curve(&x);
	/* u t squares to -u / (2 (u + A)), (u + A) t to -(u + A) / (2 u). */
	hs_fe_cmov(&x, &xa, tweak & 1);
	hs_fe_mul(&t, &x, &t);
	/* Of r and -r, the one in 0..(p-1)/2: the one whose double is even. */
	hs_fe_add(&x, &t, &t);
	hs_fe_neg(&neg, &t);
	hs_fe_cmov(&t, &neg, hs_fe_is_odd(&x));
	hs_fe_to_bytes(rep, &t);
	rep[31] |= tweak & 0xc0;
	explicit_bzero(&x, sizeof(x));
	explicit_bzero(&xa, sizeof(xa));
	explicit_bzero(&t, sizeof(t));
	explicit_bzero(&neg, sizeof(neg));
	return square;
}

/* RFC 7748 5, one step: x2:z2 doubled, x3:z3 = sum of both; x1 is their difference. */
static void ladder_step(struct hs_fe *x2, struct hs_fe *z2, struct hs_fe *x3, struct hs_fe *z3,
			const struct hs_fe *x1)
{
	struct hs_fe a, b, c, d;

	hs_fe_add(&a, x2, z2);
	hs_fe_sub(&b, x2, z2);
	hs_fe_add(&c, x3, z3);
	hs_fe_sub(&d, x3, z3);
	hs_fe_mul(&d, &d, &a);
	hs_fe_mul(&c, &c, &b);
	hs_fe_add(x3, &d, &c);
	hs_fe_sqr(x3, x3);
	hs_fe_sub(z3, &d, &c);
	hs_fe_sqr(z3, z3);
	hs_fe_mul(z3, z3, x1);
	hs_fe_sqr(&a, &a);
	hs_fe_sqr(&b, &b);
	hs_fe_mul(x2, &a, &b);
	hs_fe_sub(&c, &a, &b);
	hs_fe_mul_small(&d, &c, CURVE_A24);
	hs_fe_add(&d, &d, &a);
	hs_fe_mul(z2, &c, &d);
	explicit_bzero(&a, sizeof(a));
	explicit_bzero(&b, sizeof(b));
	explicit_bzero(&c, sizeof(c));
	explicit_bzero(&d, sizeof(d));
}

/* All 256 bits of @scalar count: no clamping, so the low-order part survives. */
static void ladder(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32])
{
	struct hs_fe x1, x2 = hs_fe_one, z2 = hs_fe_zero, x3, z3 = hs_fe_one;
	unsigned int swap = 0;

	hs_fe_from_bytes(&x1, point);
	x3 = x1;
	for (int i = 255; i >= 0; i--) {
		const unsigned int bit = scalar[i / 8] >> (i % 8) & 1;

		hs_fe_cswap(&x2, &x3, swap ^ bit);
		hs_fe_cswap(&z2, &z3, swap ^ bit);
		swap = bit;
		ladder_step(&x2, &z2, &x3, &z3, &x1);
	}
	hs_fe_cswap(&x2, &x3, swap);
	hs_fe_cswap(&z2, &z3, swap);
	hs_fe_inv(&z2, &z2);
	hs_fe_mul(&x2, &x2, &z2);
	hs_fe_to_bytes(out, &x2);
	explicit_bzero(&x2, sizeof(x2));
	explicit_bzero(&z2, sizeof(z2));
	explicit_bzero(&x3, sizeof(x3));
	explicit_bzero(&z3, sizeof(z3));
}

/*
 * @dirty_base = B + Q with Q of order eight. The clamped secret e is a multiple of eight, so
 * (e + k L) dirty_base = e B + k L Q: k = the three bits that clamping removes picks the low-order point.
 */
void hs_x25519_dirty_public(uint8_t u[32], const uint8_t secret[32])
{
	static const uint8_t dirty_base[32] = {
		0xd8, 0x86, 0x1a, 0xa2, 0x78, 0x7a, 0xd9, 0x26, 0x8b, 0x74, 0x74,
		0xb6, 0x82, 0xe3, 0xbe, 0xc3, 0xce, 0x36, 0x9a, 0x1e, 0x5e, 0x31,
		0x47, 0xa2, 0x6d, 0x37, 0x7c, 0xfd, 0x20, 0xb5, 0xdf, 0x75,
	};
	/* L = 2^252 + 27742317777372353535851937790883648493 */
	static const uint8_t order[32] = {
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
		0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,	  0,	0,    0,    0,
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0x10,
	};
	const unsigned int k = secret[0] & 7;
	unsigned int c = 0;
	uint8_t scalar[32];

	memcpy(scalar, secret, 32);
	scalar[0] &= 0xf8;
	scalar[31] = (scalar[31] & 0x7f) | 0x40;
	for (int i = 0; i < 32; i++) {
		c += scalar[i] + k * order[i];
		scalar[i] = (uint8_t)c;
		c >>= 8;
	}
	ladder(u, scalar, dirty_base);
	explicit_bzero(scalar, sizeof(scalar));
}

int hs_elligator_keypair(uint8_t secret[32], uint8_t rep[32])
{
	uint8_t random[33], u[32];
	int err = -EIO;

	for (int i = 0; i < MAX_ATTEMPTS && err; i++) {
		if (gnutls_rnd(GNUTLS_RND_KEY, random, sizeof(random)) < 0)
			break;
		hs_x25519_dirty_public(u, random);
		if (hs_elligator_inverse(rep, u, random[32]))
			err = 0;
	}
	if (!err)
		memcpy(secret, random, 32);
	explicit_bzero(random, sizeof(random));
	explicit_bzero(u, sizeof(u));
	return err;
}

int hs_x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32])
{
	uint8_t any = 0;

	curve25519_mul(out, scalar, point);
	for (int i = 0; i < 32; i++)
		any |= out[i];
	return any ? 0 : -EINVAL;
}

void hs_x25519_base(uint8_t out[32], const uint8_t scalar[32])
{
	curve25519_mul_g(out, scalar);
}
