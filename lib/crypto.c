// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Choosing a cipher provider, and the key derivation of RFC 9001.
 *
 * A provider is handed out only after it has sealed and opened a known packet with every cipher:
 * a library that miscomputes on this CPU is never used. Called once, before the sandbox closes;
 * afterwards no provider opens a file or maps a library.
 */
#include "../quic/label.h"
#include "../quic/selftest.h"
#include "crypto-internal.h"

#include <stdlib.h>

#include <gnutls/crypto.h>

static bool works(const struct nq_crypto_ops *ops)
{
	static const u16 ciphers[] = { NQ_AES_128_GCM, NQ_AES_256_GCM, NQ_CHACHA20_POLY1305 };
	u8 key[NQ_KEY_MAX_LEN], scratch[NQ_SELFTEST_BYTES];
	bool good = true;
	unsigned int i;
	void *ctx;

	nq_selftest_key(key);
	ctx = aligned_alloc(64, ops->aead_ctx_bytes);
	if (!ctx)
		return false;
	for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]) && good; i++) {
		memset(ctx, 0, ops->aead_ctx_bytes);
		good = !ops->aead_init(ctx, ciphers[i], key) &&
		       nq_selftest(ops, ctx, ciphers[i], scratch);
		ops->aead_wipe(ctx);
	}
	free(ctx);
	return good;
}

static const struct nq_crypto_ops *checked(const struct nq_crypto_ops *ops)
{
	if (!ops)
		return NULL;
	if (works(ops))
		return ops;
	errno = EIO;
	return NULL;
}

const struct nq_crypto_ops *nx_crypto_provider(const char *name)
{
	const struct nq_crypto_ops *ops;

	if (name && !strcmp(name, "ipsec-mb"))
		return checked(nx_crypto_ipsec_mb());
	if (name && !strcmp(name, "gnutls"))
		return checked(nx_crypto_gnutls());
	if (name) {
		errno = ENOENT;
		return NULL;
	}
	ops = checked(nx_crypto_ipsec_mb());
	return ops ? ops : checked(nx_crypto_gnutls());
}

int nx_quic_derive(u16 cipher, const u8 *secret, u32 secret_len, const char *label, u8 *out,
		   u32 out_len)
{
	gnutls_mac_algorithm_t mac = cipher == NQ_AES_256_GCM ? GNUTLS_MAC_SHA384
							      : GNUTLS_MAC_SHA256;
	gnutls_datum_t key = { .data = (u8 *)secret, .size = secret_len };
	u8 label_bytes[NQ_LABEL_MAX_LEN];
	gnutls_datum_t info = { .data = label_bytes };

	if (!nq_key_len(cipher))
		return -EOPNOTSUPP;
	info.size = nq_hkdf_label(label_bytes, label, out_len);
	if (!info.size || !out_len || out_len > 64 || secret_len != gnutls_hmac_get_len(mac))
		return -EINVAL;
	return gnutls_hkdf_expand(mac, &key, &info, out, out_len) ? -EIO : 0;
}
