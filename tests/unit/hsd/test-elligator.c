// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Elligator2 and the field below it: published vectors, algebra, and the two statistical claims that
 * the carrier rests on: a representative is 32 uniform bytes, and the points behind it are spread over
 * the whole curve. Each claim has a control that must fail the same statistic.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "elligator.h"
#include "elligator-vectors.h"
#include "fe25519.h"
#include "hsd-test.h"

#define N_UNIFORM 3000
#define N_COSETS 1600

static void reverse(uint8_t out[32], const uint8_t in[32])
{
	for (int i = 0; i < 32; i++)
		out[i] = in[31 - i];
}

/* ---- the field ---- */
static void fe_random(struct hs_fe *r)
{
	uint8_t b[32];

	t_random(b, sizeof(b));
	hs_fe_from_bytes(r, b);
}

static void test_fe_encoding(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "0000000000000000000000000000000000000000000000000000000000000000" }, /* p */
		{ "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" },
		{ "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "0100000000000000000000000000000000000000000000000000000000000000" },
		{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		  "1200000000000000000000000000000000000000000000000000000000000000" },
		{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		  "1200000000000000000000000000000000000000000000000000000000000000" },
		{ "0000000000000000000000000000000000000000000000000000000000000080",
		  "0000000000000000000000000000000000000000000000000000000000000000" },
	};
	uint8_t in[32], want[32], got[32];
	struct hs_fe a, b;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		t_unhex(cases[i].in, in, 32);
		t_unhex(cases[i].out, want, 32);
		hs_fe_from_bytes(&a, in);
		hs_fe_to_bytes(got, &a);
		assert_memory_equal(got, want, 32);
	}
	/* Largest weakly reduced element, and the results of subtraction around zero. */
	for (int i = 0; i < 5; i++)
		a.v[i] = (1ULL << 52) - 1;
	hs_fe_sub(&b, &a, &a);
	assert_true(hs_fe_is_zero(&b));
	hs_fe_sub(&b, &hs_fe_zero, &hs_fe_one);
	hs_fe_to_bytes(got, &b);
	t_unhex(cases[1].out, want, 32);
	assert_memory_equal(got, want, 32);
}

static void test_fe_algebra(void **state)
{
	struct hs_fe a, b, c, l, r, max;

	for (int i = 0; i < 5; i++)
		max.v[i] = (1ULL << 52) - 1;
	for (int i = 0; i < 500; i++) {
		fe_random(&a);
		fe_random(&b);
		fe_random(&c);
		if (i % 10 == 0)
			a = max;
		hs_fe_add(&l, &a, &b);
		hs_fe_mul(&l, &l, &c);
		hs_fe_mul(&r, &a, &c);
		hs_fe_mul(&b, &b, &c);
		hs_fe_add(&r, &r, &b);
		assert_true(hs_fe_equal(&l, &r));
		hs_fe_sqr(&l, &a);
		hs_fe_mul(&r, &a, &a);
		assert_true(hs_fe_equal(&l, &r));
		hs_fe_inv(&l, &a);
		hs_fe_mul(&l, &l, &a);
		assert_true(hs_fe_equal(&l, &hs_fe_one));
		hs_fe_mul_small(&l, &a, 486662);
		r = hs_fe_zero;
		r.v[0] = 486662;
		hs_fe_mul(&r, &r, &a);
		assert_true(hs_fe_equal(&l, &r));
	}
	hs_fe_sqr(&l, &hs_fe_sqrtm1);
	hs_fe_neg(&r, &hs_fe_one);
	assert_true(hs_fe_equal(&l, &r));
}

static void test_fe_invsqrt(void **state)
{
	unsigned int squares = 0, square;
	struct hs_fe a, r;

	for (int i = 0; i < 500; i++) {
		fe_random(&a);
		square = hs_fe_invsqrt(&r, &a);
		squares += square;
		hs_fe_sqr(&r, &r);
		hs_fe_mul(&r, &r, &a);
		assert_true(hs_fe_equal(&r, square ? &hs_fe_one : &hs_fe_sqrtm1));
	}
	assert_in_range(squares, 150, 350);
	assert_true(hs_fe_invsqrt(&r, &hs_fe_zero) && hs_fe_is_zero(&r));
}

/* ---- X25519 ---- */
static void test_x25519_rfc7748(void **state)
{
	static const struct {
		const char *scalar, *point, *out;
	} v[] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	};
	uint8_t k[32] = { 9 }, u[32] = { 9 }, out[32], want[32];

	for (size_t i = 0; i < 2; i++) {
		uint8_t s[32], p[32];

		t_unhex(v[i].scalar, s, 32);
		t_unhex(v[i].point, p, 32);
		t_unhex(v[i].out, want, 32);
		assert_int_equal(hs_x25519(out, s, p), 0);
		assert_memory_equal(out, want, 32);
	}
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(hs_x25519(out, k, u), 0);
		memcpy(u, k, 32);
		memcpy(k, out, 32);
	}
	t_unhex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", want, 32);
	assert_memory_equal(k, want, 32);
}

static void test_x25519_low_order(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	};
	uint8_t s[32], p[32], out[32];

	t_random(s, 32);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		t_unhex(points[i], p, 32);
		assert_int_equal(hs_x25519(out, s, p), -EINVAL);
	}
}

/* ---- the map ---- */
static void test_map_rfc9380(void **state)
{
	uint8_t be[32], rep[32], want[32], u[32];
	struct hs_fe r;

	for (size_t i = 0; i < sizeof(rfc9380) / sizeof(rfc9380[0]); i++) {
		t_unhex(rfc9380[i].u, be, 32);
		reverse(rep, be);
		/* A representative has 254 bits: of r and -r, which map alike, the smaller. */
		if (rep[31] & 0xc0) {
			hs_fe_from_bytes(&r, rep);
			hs_fe_neg(&r, &r);
			hs_fe_to_bytes(rep, &r);
		}
		assert_false(rep[31] & 0xc0);
		t_unhex(rfc9380[i].x, be, 32);
		reverse(want, be);
		hs_elligator_map(u, rep);
		assert_memory_equal(u, want, 32);
	}
}

static void test_map_direct(void **state)
{
	uint8_t rep[32], want[32], u[32];

	for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++) {
		t_unhex(direct[i].rep, rep, 32);
		t_unhex(direct[i].u, want, 32);
		for (unsigned int top = 0; top < 4; top++) {
			rep[31] = (uint8_t)((rep[31] & 0x3f) | top << 6);
			hs_elligator_map(u, rep);
			assert_memory_equal(u, want, 32);
		}
	}
}

static void test_inverse_vectors(void **state)
{
	uint8_t u[32], rep[32], want[32];
	bool has;

	for (size_t i = 0; i < sizeof(inverse) / sizeof(inverse[0]); i++) {
		t_unhex(inverse[i].u, u, 32);
		has = hs_elligator_inverse(rep, u, inverse[i].tweak);
		assert_int_equal(has, inverse[i].rep != NULL);
		if (!has)
			continue;
		t_unhex(inverse[i].rep, want, 32);
		assert_memory_equal(rep, want, 32);
		assert_true(hs_elligator_inverse(rep, u, inverse[i].tweak | 0xc0));
		want[31] |= 0xc0;
		assert_memory_equal(rep, want, 32);
	}
}

/* map(inverse(u)) = u for both signs, half of the points have an inverse, no twist point has. */
static void test_inverse_round_trip(void **state)
{
	unsigned int has = 0, claimed = 0;
	uint8_t b[32], u[32], rep[32], back[32], other[32];

	for (int i = 0; i < 400; i++) {
		t_random(b, 32);
		hs_elligator_map(u, b);
		for (unsigned int sign = 0; sign < 2; sign++) {
			assert_true(hs_elligator_inverse(rep, u, (uint8_t)sign));
			hs_elligator_map(back, rep);
			assert_memory_equal(back, u, 32);
			if (sign)
				assert_memory_not_equal(rep, other, 32);
			memcpy(other, rep, 32);
		}
		/* One of the two is what we started with. */
		b[31] &= 0x3f;
		assert_true(!memcmp(b, rep, 32) ||
			    (hs_elligator_inverse(other, u, 0) && !memcmp(b, other, 32)));
		hs_x25519_base(u, b);
		has += hs_elligator_inverse(rep, u, 0);
		/* Any u: where an inverse is claimed, it must be one (not for points of the twist). */
		t_random(u, 32);
		u[31] &= 0x7f;
		if (hs_elligator_inverse(rep, u, 0)) {
			hs_elligator_map(back, rep);
			assert_memory_equal(back, u, 32);
			claimed++;
		}
	}
	assert_in_range(has, 120, 280);
	assert_in_range(claimed, 50, 150); /* a quarter: half on the curve, half of those */
}

/* ---- dirty keys ---- */
static void test_dirty_vectors(void **state)
{
	uint8_t secret[32], want[32], u[32];

	for (size_t i = 0; i < sizeof(dirty) / sizeof(dirty[0]); i++) {
		t_unhex(dirty[i].secret, secret, 32);
		t_unhex(dirty[i].u, want, 32);
		hs_x25519_dirty_public(u, secret);
		assert_memory_equal(u, want, 32);
	}
}

static void test_dirty_agreement(void **state)
{
	uint8_t e[32], s[32], clean[32], u[32], server[32], a[32], b[32];

	for (int i = 0; i < 64; i++) {
		t_random(e, 32);
		t_random(s, 32);
		e[0] = (uint8_t)((e[0] & 0xf8) | i % 8);
		hs_x25519_dirty_public(u, e);
		hs_x25519_base(clean, e);
		assert_int_equal(!memcmp(u, clean, 32), i % 8 == 0);
		hs_x25519_base(server, s);
		assert_int_equal(hs_x25519(a, s, u), 0);
		assert_int_equal(hs_x25519(b, e, server), 0);
		assert_memory_equal(a, b, 32);
	}
}

static void test_keypair(void **state)
{
	uint8_t e[32], rep[32], u[32], want[32];

	for (int i = 0; i < 50; i++) {
		assert_int_equal(hs_elligator_keypair(e, rep), 0);
		hs_elligator_map(u, rep);
		hs_x25519_dirty_public(want, e);
		assert_memory_equal(u, want, 32);
	}
}

/* Sum over 256 bits of (ones - n/2)^2 / (n/4): chi-square with 256 degrees of freedom if uniform. */
static double bit_statistic(const unsigned int ones[256], unsigned int n, double *worst)
{
	double sum = 0;

	*worst = 0;
	for (int i = 0; i < 256; i++) {
		const double d = ones[i] - n / 2.0, z2 = d * d / (n / 4.0);

		sum += z2;
		if (z2 > *worst)
			*worst = z2;
	}
	return sum;
}

static void count_bits(unsigned int ones[256], const uint8_t b[32])
{
	for (int i = 0; i < 256; i++)
		ones[i] += b[i / 8] >> (i % 8) & 1;
}

/*
 * Mean 256, standard deviation 22.6: 450 is 8.6 of them away; one bit alone: 6.6 deviations. Both are
 * missed by chance less than once in 10^8 runs, so the keys may come from the real generator.
 */
static void test_uniform(void **state)
{
	unsigned int ones[256] = { 0 }, raw[256] = { 0 }, pairs[256] = { 0 };
	uint8_t e[32], rep[32], gray[32];
	double worst;

	for (int i = 0; i < N_UNIFORM; i++) {
		assert_int_equal(hs_elligator_keypair(e, rep), 0);
		count_bits(ones, rep);
		/* Neighbouring bits are independent. */
		for (int j = 0; j < 32; j++)
			gray[j] = (uint8_t)(rep[j] ^ (rep[j] >> 1 | rep[(j + 1) % 32] << 7));
		count_bits(pairs, gray);
		hs_x25519_dirty_public(e, e);
		count_bits(raw, e);
	}
	assert_true(bit_statistic(ones, N_UNIFORM, &worst) < 450 && worst < 44);
	assert_true(bit_statistic(pairs, N_UNIFORM, &worst) < 450 && worst < 44);
	/* Control: a public key itself, whose top bit is always 0. */
	assert_true(bit_statistic(raw, N_UNIFORM, &worst) > 450 && worst > 44);
}

/* x-only ladder in the open: X:Z of (order of the subgroup) * point. */
static void mul_order(struct hs_fe *x2, struct hs_fe *z2, const uint8_t u[32])
{
	struct hs_fe x1, x3, z3 = hs_fe_one, a, b, c, d;
	uint8_t order[32];

	t_unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, 32);
	hs_fe_from_bytes(&x1, u);
	x3 = x1;
	*x2 = hs_fe_one;
	*z2 = hs_fe_zero;
	for (int i = 255; i >= 0; i--) {
		const unsigned int bit = order[i / 8] >> (i % 8) & 1;

		hs_fe_cswap(x2, &x3, bit);
		hs_fe_cswap(z2, &z3, bit);
		hs_fe_add(&a, x2, z2);
		hs_fe_sub(&b, x2, z2);
		hs_fe_add(&c, &x3, &z3);
		hs_fe_sub(&d, &x3, &z3);
		hs_fe_mul(&d, &d, &a);
		hs_fe_mul(&c, &c, &b);
		hs_fe_add(&x3, &d, &c);
		hs_fe_sqr(&x3, &x3);
		hs_fe_sub(&z3, &d, &c);
		hs_fe_sqr(&z3, &z3);
		hs_fe_mul(&z3, &z3, &x1);
		hs_fe_sqr(&a, &a);
		hs_fe_sqr(&b, &b);
		hs_fe_mul(x2, &a, &b);
		hs_fe_sub(&c, &a, &b);
		hs_fe_mul_small(&d, &c, 121665);
		hs_fe_add(&d, &d, &a);
		hs_fe_mul(z2, &c, &d);
		hs_fe_cswap(x2, &x3, bit);
		hs_fe_cswap(z2, &z3, bit);
	}
}

/*
 * Which coset of the prime-order subgroup u lies in, up to sign: 0 the subgroup itself, 1 that of the
 * point of order two, 2 of order four, 3 and 4 of order eight. A u coordinate is the same for P and
 * -P, so the eight cosets appear as five classes of 1, 1, 2, 2, 2.
 */
static int coset(const uint8_t u[32])
{
	static const char *const order8[] = {
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	};
	uint8_t got[32], want[32];
	struct hs_fe x, z;

	mul_order(&x, &z, u);
	if (hs_fe_is_zero(&z))
		return 0;
	if (hs_fe_is_zero(&x))
		return 1;
	hs_fe_inv(&z, &z);
	hs_fe_mul(&x, &x, &z);
	if (hs_fe_equal(&x, &hs_fe_one))
		return 2;
	hs_fe_to_bytes(got, &x);
	for (int i = 0; i < 2; i++) {
		t_unhex(order8[i], want, 32);
		if (!memcmp(got, want, 32))
			return 3 + i;
	}
	fail_msg("no low-order point");
	return -1;
}

static double coset_statistic(const unsigned int n[5], unsigned int total)
{
	static const double share[5] = { 1 / 8.0, 1 / 8.0, 2 / 8.0, 2 / 8.0, 2 / 8.0 };
	double sum = 0;

	for (int i = 0; i < 5; i++) {
		const double want = total * share[i], d = n[i] - want;

		sum += d * d / want;
	}
	return sum;
}

/* Chi-square, 4 degrees of freedom: beyond 60 once in 10^11 runs. */
static void test_cosets(void **state)
{
	unsigned int n[5] = { 0 }, clean[5] = { 0 };
	uint8_t e[32], rep[32], u[32];

	for (int i = 0; i < N_COSETS; i++) {
		assert_int_equal(hs_elligator_keypair(e, rep), 0);
		hs_elligator_map(u, rep);
		n[coset(u)]++;
		if (i >= 100)
			continue;
		/* Control: ordinary public keys. */
		hs_x25519_base(u, e);
		clean[coset(u)]++;
	}
	print_message("cosets: %u %u %u %u %u\n", n[0], n[1], n[2], n[3], n[4]);
	assert_true(coset_statistic(n, N_COSETS) < 60);
	assert_int_equal(clean[0], 100);
	assert_true(coset_statistic(clean, 100) > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fe_encoding),
		cmocka_unit_test(test_fe_algebra),
		cmocka_unit_test(test_fe_invsqrt),
		cmocka_unit_test(test_x25519_rfc7748),
		cmocka_unit_test(test_x25519_low_order),
		cmocka_unit_test(test_map_rfc9380),
		cmocka_unit_test(test_map_direct),
		cmocka_unit_test(test_inverse_vectors),
		cmocka_unit_test(test_inverse_round_trip),
		cmocka_unit_test(test_dirty_vectors),
		cmocka_unit_test(test_dirty_agreement),
		cmocka_unit_test(test_keypair),
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_cosets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
