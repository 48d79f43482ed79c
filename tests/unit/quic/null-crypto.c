// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A provider that does not encrypt: the tag is a checksum over key, nonce, header and text, so
 * that damage and wrong keys are still noticed. For tests, fuzzing and benchmarks of the engine.
 */
#include "pair.h"

struct null_ctx {
	u64 sum;
	bool used;
};

static int null_init(void *ctx, u16 cipher, const u8 *key)
{
	struct null_ctx *c = ctx;
	u32 i;

	if (!nq_key_len(cipher))
		return -EOPNOTSUPP;
	c->sum = 0;
	for (i = 0; i < nq_key_len(cipher); i++)
		c->sum = c->sum * 31 + key[i];
	c->used = true;
	return 0;
}

static void null_wipe(void *ctx)
{
	memset(ctx, 0, sizeof(struct null_ctx));
}

/* A copy, good until as many more were lent. */
static void *null_lend(void *ctx)
{
	static struct null_ctx lent[64];
	static unsigned int next;
	struct null_ctx *copy = &lent[next++ % 64];

	*copy = *(struct null_ctx *)ctx;
	return copy;
}

static void null_tag(const struct null_ctx *c, const struct nq_aead_op *op, u8 *tag)
{
	u64 sum = c->sum, last = 0;

	/* Lengths, nonce and the ends of the text: enough to tell packets apart, cheap. */
	sum = sum * 31 + nq_get_be64(op->nonce + 4);
	sum = sum * 31 + op->aad[0];
	if (op->text_len >= 8)
		last = nq_get_be64(op->text + op->text_len - 8);
	sum = sum * 31 + last + op->text_len;
	nq_put_be64(tag, sum);
	nq_put_be64(tag + 8, sum * 0x9e3779b97f4a7c15ULL);
}

static void null_seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	struct nq_aead_op *op;

	for (op = ops; op < ops + n; op++) {
		null_tag(ctx, op, op->text + op->text_len);
		op->status = 0;
	}
}

static void null_open(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	struct nq_aead_op *op;
	u8 tag[NQ_TAG_LEN];

	for (op = ops; op < ops + n; op++) {
		null_tag(ctx, op, tag);
		op->status = memcmp(tag, op->text + op->text_len, NQ_TAG_LEN) ? -EBADMSG : 0;
	}
}

static void null_mask(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
		      unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		memcpy(masks[i], samples[i], NQ_HP_MASK_LEN);
}

const struct nq_crypto_ops null_crypto = {
	.name = "null",
	.aead_ctx_bytes = 64,
	.hp_ctx_bytes = 64,
	.aead_init = null_init,
	.hp_init = null_init,
	.aead_wipe = null_wipe,
	.hp_wipe = null_wipe,
	.lend = null_lend,
	.seal = null_seal,
	.open = null_open,
	.hp_mask = null_mask,
};
