// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The portable cipher provider: GnuTLS's AEAD interface, which uses the CPU's AES and carry-less
 * multiplication wherever GnuTLS has code for them. The context holds one GnuTLS handle, allocated
 * in aead_init() and released in aead_wipe(); seal and open allocate nothing.
 */
#include "crypto-internal.h"

#include <gnutls/crypto.h>

struct aead_ctx {
	gnutls_aead_cipher_hd_t hd;
};

static gnutls_cipher_algorithm_t gnutls_cipher_of(u16 cipher)
{
	switch (cipher) {
	case NQ_AES_128_GCM:
		return GNUTLS_CIPHER_AES_128_GCM;
	case NQ_AES_256_GCM:
		return GNUTLS_CIPHER_AES_256_GCM;
	case NQ_CHACHA20_POLY1305:
		return GNUTLS_CIPHER_CHACHA20_POLY1305;
	default:
		return GNUTLS_CIPHER_UNKNOWN;
	}
}

static int gnutls_aead_ctx_init(void *ctx, u16 cipher, const u8 *key)
{
	gnutls_datum_t datum = { .data = (u8 *)key, .size = nq_key_len(cipher) };
	gnutls_cipher_algorithm_t algorithm = gnutls_cipher_of(cipher);
	struct aead_ctx *aead = ctx;
	int err;

	if (algorithm == GNUTLS_CIPHER_UNKNOWN)
		return -EOPNOTSUPP;
	err = gnutls_aead_cipher_init(&aead->hd, algorithm, &datum);
	if (!err)
		return 0;
	aead->hd = NULL;
	return err == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EOPNOTSUPP;
}

static void gnutls_aead_ctx_wipe(void *ctx)
{
	struct aead_ctx *aead = ctx;

	/* GnuTLS zeroes the key schedule before it frees it. */
	if (aead->hd)
		gnutls_aead_cipher_deinit(aead->hd);
	nq_memzero(aead, sizeof(*aead));
}

static void gnutls_seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	const struct aead_ctx *aead = ctx;
	struct nq_aead_op *op;
	size_t out_len;
	int err;

	for (op = ops; op < ops + n; op++) {
		out_len = op->text_len + NQ_TAG_LEN;
		err = gnutls_aead_cipher_encrypt(aead->hd, op->nonce, NQ_IV_LEN, op->aad,
						 op->aad_len, NQ_TAG_LEN, op->text, op->text_len,
						 op->text, &out_len);
		op->status = err ? -EIO : 0;
	}
}

static void gnutls_open(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	const struct aead_ctx *aead = ctx;
	struct nq_aead_op *op;
	size_t out_len;
	int err;

	for (op = ops; op < ops + n; op++) {
		out_len = op->text_len;
		/* GnuTLS compares the tag in constant time. */
		err = gnutls_aead_cipher_decrypt(aead->hd, op->nonce, NQ_IV_LEN, op->aad,
						 op->aad_len, NQ_TAG_LEN, op->text,
						 op->text_len + NQ_TAG_LEN, op->text, &out_len);
		op->status = err ? -EBADMSG : 0;
	}
}

const struct nq_crypto_ops *nx_crypto_gnutls(void)
{
	static struct nq_crypto_ops ops = {
		.name = "gnutls",
		.aead_init = gnutls_aead_ctx_init,
		.hp_init = nx_hp_init,
		.aead_wipe = gnutls_aead_ctx_wipe,
		.hp_wipe = nx_hp_wipe,
		.seal = gnutls_seal,
		.open = gnutls_open,
		.hp_mask = nx_hp_mask,
	};

	ops.aead_ctx_bytes = nx_round64(sizeof(struct aead_ctx));
	ops.hp_ctx_bytes = nx_hp_ctx_bytes();
	return &ops;
}
