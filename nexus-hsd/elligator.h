/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Elligator2 for Curve25519 (RFC 9380 6.7.1 map; inverse after Bernstein et al. 2013): public keys
 * that look like 32 random bytes. Constant time in everything secret.
 */
#ifndef HS_ELLIGATOR_H
#define HS_ELLIGATOR_H

#include <stdbool.h>
#include <stdint.h>

/* Montgomery u coordinate of representative @rep; its two top bits are ignored. */
void hs_elligator_map(uint8_t u[32], const uint8_t rep[32]);
/* Representative of @u; @tweak: bit 0 picks the sign of v, bits 6-7 fill the unused top bits.
 * False if @u has none (half of the curve).
 */
bool hs_elligator_inverse(uint8_t rep[32], const uint8_t u[32], uint8_t tweak);
/* Public key of @secret plus a low-order point chosen by bits of @secret that clamping removes, so
 * that it is uniform over the whole curve; X25519(s, it) is what X25519(s, clean key) would be.
 */
void hs_x25519_dirty_public(uint8_t u[32], const uint8_t secret[32]);
/* A fresh ephemeral key whose (dirty) public key has the representative @rep. 0 or -errno (random). */
int hs_elligator_keypair(uint8_t secret[32], uint8_t rep[32]);

/* X25519 (RFC 7748), by nettle. hs_x25519() is -EINVAL for an all-zero result. */
int hs_x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]);
void hs_x25519_base(uint8_t out[32], const uint8_t scalar[32]);

#endif /* HS_ELLIGATOR_H */
