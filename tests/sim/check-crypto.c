// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A provider that does not encrypt but checks every byte: the tag is a sum over key, nonce, header
 * and text, in four lanes so that it costs little beside the engine. One changed byte always
 * changes it. Not a MAC: nothing here is secret.
 */
#include "tunnel.h"

#include "../../quic/varint.h"

#define LANES 4
#define ODD 0x9e3779b97f4a7c15ULL

struct check_ctx {
	u64 key;
};

static u64 load64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Every step is invertible in the word that is added, so a single changed word is always seen. */
static u64 sum(const u8 *p, u32 len, u64 start)
{
	u64 lane[LANES] = { start, start + 1, start + 2, start + 3 }, last = 0;
	u32 i;

	for (; len >= 8 * LANES; len -= 8 * LANES, p += 8 * LANES) {
		for (i = 0; i < LANES; i++)
			lane[i] = (lane[i] + load64(p + 8 * i)) * ODD;
	}
	for (; len >= 8; len -= 8, p += 8)
		lane[0] = (lane[0] + load64(p)) * ODD;
	for (i = 0; i < len; i++)
		last = last << 8 | p[i];
	lane[0] = (lane[0] + last) * ODD + len;
	for (i = 1; i < LANES; i++)
		lane[0] = (lane[0] ^ lane[i]) * ODD;
	return lane[0] ^ lane[0] >> 29;
}

static int check_init(void *ctx, u16 cipher, const u8 *key)
{
	u32 len = nq_key_len(cipher);

	if (!len)
		return -EOPNOTSUPP;
	((struct check_ctx *)ctx)->key = sum(key, len, 1);
	return 0;
}

static void check_wipe(void *ctx)
{
	nq_memzero(ctx, sizeof(struct check_ctx));
}

static void make_tag(const struct check_ctx *c, const struct nq_aead_op *op, u8 *tag)
{
	u64 v = sum(op->nonce, NQ_IV_LEN, c->key);

	v = sum(op->aad, op->aad_len, v);
	v = sum(op->text, op->text_len, v);
	nq_put_be64(tag, v);
	nq_put_be64(tag + 8, v * ODD);
}

static void check_seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		make_tag(ctx, &ops[i], ops[i].text + ops[i].text_len);
		ops[i].status = 0;
	}
}

static void check_open(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	u8 tag[NQ_TAG_LEN];
	unsigned int i;

	for (i = 0; i < n; i++) {
		make_tag(ctx, &ops[i], tag);
		ops[i].status = nq_differ(tag, ops[i].text + ops[i].text_len, NQ_TAG_LEN) ? -EBADMSG
											  : 0;
	}
}

static void check_mask(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
		       unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		memcpy(masks[i], samples[i], NQ_HP_MASK_LEN);
}

const struct nq_crypto_ops sim_check_crypto = {
	.name = "check",
	.aead_ctx_bytes = 64,
	.hp_ctx_bytes = 64,
	.aead_init = check_init,
	.hp_init = check_init,
	.aead_wipe = check_wipe,
	.hp_wipe = check_wipe,
	.seal = check_seal,
	.open = check_open,
	.hp_mask = check_mask,
};
