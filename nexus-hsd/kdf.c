// SPDX-License-Identifier: GPL-2.0-or-later
/* HMAC and HKDF over nettle: see kdf.h. The only file that knows nettle's hash interface. */
#include <string.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>

#include "kdf.h"

void hs_hmac_sha256(uint8_t out[HS_SHA256_LEN], const uint8_t *key, size_t key_len,
		    const struct hs_bytes *parts, size_t n)
{
	struct hmac_sha256_ctx ctx;

	hmac_sha256_set_key(&ctx, key_len, key);
	for (size_t i = 0; i < n; i++)
		hmac_sha256_update(&ctx, parts[i].len, parts[i].data);
	hmac_sha256_digest(&ctx, HS_SHA256_LEN, out);
	explicit_bzero(&ctx, sizeof(ctx));
}

void hs_hmac_sha512(uint8_t out[HS_SHA512_LEN], const uint8_t *key, size_t key_len,
		    const struct hs_bytes *parts, size_t n)
{
	struct hmac_sha512_ctx ctx;

	hmac_sha512_set_key(&ctx, key_len, key);
	for (size_t i = 0; i < n; i++)
		hmac_sha512_update(&ctx, parts[i].len, parts[i].data);
	hmac_sha512_digest(&ctx, HS_SHA512_LEN, out);
	explicit_bzero(&ctx, sizeof(ctx));
}

void hs_sha256(uint8_t out[HS_SHA256_LEN], const uint8_t *data, size_t len)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, data);
	sha256_digest(&ctx, HS_SHA256_LEN, out);
}

void hs_hkdf_extract(uint8_t prk[HS_SHA256_LEN], const uint8_t *salt, size_t salt_len,
		     const struct hs_bytes *ikm, size_t n)
{
	hs_hmac_sha256(prk, salt, salt_len, ikm, n);
}

void hs_hkdf_expand(uint8_t *out, size_t len, const uint8_t prk[HS_SHA256_LEN], const void *info,
		    size_t info_len)
{
	uint8_t block[HS_SHA256_LEN], counter = 1;

	for (size_t done = 0; done < len; counter++) {
		const size_t chunk = len - done < sizeof(block) ? len - done : sizeof(block);
		const struct hs_bytes parts[] = {
			{ block, done ? sizeof(block) : 0 },
			{ info, info_len },
			{ &counter, 1 },
		};

		hs_hmac_sha256(block, prk, HS_SHA256_LEN, parts, 3);
		memcpy(out + done, block, chunk);
		done += chunk;
	}
	explicit_bzero(block, sizeof(block));
}

void hs_hkdf_expand_label(uint8_t *out, size_t len, const uint8_t prk[HS_SHA256_LEN],
			  const char *label)
{
	static const char prefix[6] = { 't', 'l', 's', '1', '3', ' ' };
	const size_t label_len = strnlen(label, HS_HKDF_LABEL_MAX);
	uint8_t info[2 + 1 + sizeof(prefix) + HS_HKDF_LABEL_MAX + 1], *at = info;

	*at++ = (uint8_t)(len >> 8);
	*at++ = (uint8_t)len;
	*at++ = (uint8_t)(sizeof(prefix) + label_len);
	memcpy(at, prefix, sizeof(prefix));
	at += sizeof(prefix);
	memcpy(at, label, label_len);
	at += label_len;
	*at++ = 0; /* the empty context */
	hs_hkdf_expand(out, len, prk, info, (size_t)(at - info));
}
