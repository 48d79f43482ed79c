/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMAC and HKDF (RFC 2104, RFC 5869) over nettle, without allocation, contexts wiped. Used by the
 * REALITY carrier, the Initial opener and the certificate proof.
 */
#ifndef HS_KDF_H
#define HS_KDF_H

#include <stddef.h>
#include <stdint.h>

#define HS_SHA256_LEN 32
#define HS_SHA512_LEN 64
#define HS_HKDF_LABEL_MAX 16

struct hs_bytes {
	const void *data;
	size_t len;
};

/* MAC or hash of the concatenation of @n parts. */
void hs_hmac_sha256(uint8_t out[HS_SHA256_LEN], const uint8_t *key, size_t key_len,
		    const struct hs_bytes *parts, size_t n);
void hs_hmac_sha512(uint8_t out[HS_SHA512_LEN], const uint8_t *key, size_t key_len,
		    const struct hs_bytes *parts, size_t n);
void hs_sha256(uint8_t out[HS_SHA256_LEN], const uint8_t *data, size_t len);

/* HKDF with SHA-256. */
void hs_hkdf_extract(uint8_t prk[HS_SHA256_LEN], const uint8_t *salt, size_t salt_len,
		     const struct hs_bytes *ikm, size_t n);
/* @len is at most 255 * 32. */
void hs_hkdf_expand(uint8_t *out, size_t len, const uint8_t prk[HS_SHA256_LEN], const void *info,
		    size_t info_len);
/* RFC 8446 7.1 with an empty context; @label without "tls13 ", at most HS_HKDF_LABEL_MAX. */
void hs_hkdf_expand_label(uint8_t *out, size_t len, const uint8_t prk[HS_SHA256_LEN],
			  const char *label);

#endif /* HS_KDF_H */
