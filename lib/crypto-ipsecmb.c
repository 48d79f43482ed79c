// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fast cipher provider on x86-64: libipsec-mb's direct functions, which keep no state outside
 * the key context and the stack, so any number of threads may use one library handle. The handle is
 * allocated once, when the provider is chosen, and lives as long as the process.
 */
#include "crypto-internal.h"

#ifdef NX_HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>

struct aead_ctx {
	struct gcm_key_data gcm; /* first: wants 64-byte alignment */
	u8 chacha_key[NQ_KEY_MAX_LEN];
	u16 cipher;
};

static IMB_MGR *mgr;

static int imb_aead_init(void *ctx, u16 cipher, const u8 *key)
{
	struct aead_ctx *aead = ctx;

	switch (cipher) {
	case NQ_AES_128_GCM:
		IMB_AES128_GCM_PRE(mgr, key, &aead->gcm);
		break;
	case NQ_AES_256_GCM:
		IMB_AES256_GCM_PRE(mgr, key, &aead->gcm);
		break;
	case NQ_CHACHA20_POLY1305:
		memcpy(aead->chacha_key, key, sizeof(aead->chacha_key));
		break;
	default:
		return -EOPNOTSUPP;
	}
	aead->cipher = cipher;
	return 0;
}

static void imb_aead_wipe(void *ctx)
{
	nq_memzero(ctx, sizeof(struct aead_ctx));
}

static void seal_chacha(const struct aead_ctx *aead, struct nq_aead_op *op, u8 *tag)
{
	struct chacha20_poly1305_context_data data;

	IMB_CHACHA20_POLY1305_INIT(mgr, aead->chacha_key, &data, op->nonce, op->aad, op->aad_len);
	IMB_CHACHA20_POLY1305_ENC_UPDATE(mgr, aead->chacha_key, &data, op->text, op->text,
					 op->text_len);
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(mgr, &data, tag, NQ_TAG_LEN);
	nq_memzero(&data, sizeof(data));
}

static void open_chacha(const struct aead_ctx *aead, struct nq_aead_op *op, u8 *tag)
{
	struct chacha20_poly1305_context_data data;

	IMB_CHACHA20_POLY1305_INIT(mgr, aead->chacha_key, &data, op->nonce, op->aad, op->aad_len);
	IMB_CHACHA20_POLY1305_DEC_UPDATE(mgr, aead->chacha_key, &data, op->text, op->text,
					 op->text_len);
	IMB_CHACHA20_POLY1305_DEC_FINALIZE(mgr, &data, tag, NQ_TAG_LEN);
	nq_memzero(&data, sizeof(data));
}

static void imb_seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	const struct aead_ctx *aead = ctx;
	struct gcm_context_data gcm;
	struct nq_aead_op *op;

	for (op = ops; op < ops + n; op++) {
		if (aead->cipher == NQ_AES_128_GCM)
			IMB_AES128_GCM_ENC(mgr, &aead->gcm, &gcm, op->text, op->text, op->text_len,
					   op->nonce, op->aad, op->aad_len, op->text + op->text_len,
					   NQ_TAG_LEN);
		else if (aead->cipher == NQ_AES_256_GCM)
			IMB_AES256_GCM_ENC(mgr, &aead->gcm, &gcm, op->text, op->text, op->text_len,
					   op->nonce, op->aad, op->aad_len, op->text + op->text_len,
					   NQ_TAG_LEN);
		else
			seal_chacha(aead, op, op->text + op->text_len);
		op->status = 0;
	}
	/* It holds a hash state and a block of key stream. */
	nq_memzero(&gcm, sizeof(gcm));
}

static void imb_open(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	const struct aead_ctx *aead = ctx;
	struct gcm_context_data gcm;
	struct nq_aead_op *op;
	u8 tag[NQ_TAG_LEN];

	for (op = ops; op < ops + n; op++) {
		if (aead->cipher == NQ_AES_128_GCM)
			IMB_AES128_GCM_DEC(mgr, &aead->gcm, &gcm, op->text, op->text, op->text_len,
					   op->nonce, op->aad, op->aad_len, tag, NQ_TAG_LEN);
		else if (aead->cipher == NQ_AES_256_GCM)
			IMB_AES256_GCM_DEC(mgr, &aead->gcm, &gcm, op->text, op->text, op->text_len,
					   op->nonce, op->aad, op->aad_len, tag, NQ_TAG_LEN);
		else
			open_chacha(aead, op, tag);
		op->status = nq_differ(tag, op->text + op->text_len, NQ_TAG_LEN) ? -EBADMSG : 0;
	}
	nq_memzero(&gcm, sizeof(gcm));
	/* The tag that a forger lacks. */
	nq_memzero(tag, sizeof(tag));
}

static const struct nq_crypto_ops *imb_start(void)
{
	static struct nq_crypto_ops ops = {
		.name = "ipsec-mb",
		.aead_init = imb_aead_init,
		.hp_init = nx_hp_init,
		.aead_wipe = imb_aead_wipe,
		.hp_wipe = nx_hp_wipe,
		.seal = imb_seal,
		.open = imb_open,
		.hp_mask = nx_hp_mask,
	};

	mgr = alloc_mb_mgr(0);
	if (!mgr) {
		errno = ENOMEM;
		return NULL;
	}
	init_mb_mgr_auto(mgr, NULL);
	/* Without AES-NI the library emulates it, slower than GnuTLS. */
	if (!(mgr->features & IMB_FEATURE_AESNI) || !(mgr->features & IMB_FEATURE_PCLMULQDQ)) {
		free_mb_mgr(mgr);
		mgr = NULL;
		errno = EOPNOTSUPP;
		return NULL;
	}
	ops.aead_ctx_bytes = nx_round64(sizeof(struct aead_ctx));
	ops.hp_ctx_bytes = nx_hp_ctx_bytes();
	return &ops;
}

const struct nq_crypto_ops *nx_crypto_ipsec_mb(void)
{
	static const struct nq_crypto_ops *ops;

	if (!ops)
		ops = imb_start();
	return ops;
}

#else

const struct nq_crypto_ops *nx_crypto_ipsec_mb(void)
{
	errno = EOPNOTSUPP;
	return NULL;
}

#endif
