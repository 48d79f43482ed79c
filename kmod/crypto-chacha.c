// SPDX-License-Identifier: GPL-2.0-only
/*
 * ChaCha20-Poly1305 (RFC 8439 2.8) of the kernel's library functions: see crypto-chacha.h. Not by
 * the library's own AEAD, which takes nonces of 64 bits.
 */
#include <linux/types.h>
#include <crypto/algapi.h>
#include <crypto/poly1305.h>
#include <linux/string.h>

#include "crypto-chacha.h"

/* So much of a packet's text comes out of the call that makes its authentication key. */
#define HEAD_MAX (NQD_CHACHA_STRIDE - CHACHA_BLOCK_SIZE)

/* A packet that is being sealed or opened. */
struct work {
	struct nqd_chacha state;
	struct poly1305_desc_ctx mac;
	u8 *head; /* of the text, sealed or opened */
	u32 head_len;
};

/*
 * The authentication key is the key stream's first block, the text begins with the second. A call
 * for a single block would not use the vector registers at all, so the block comes with the text's
 * head: both lie in a row in @stride.
 */
static void begin(const u32 *key, const struct nq_aead_op *op, struct work *w, u8 *stride)
{
	u8 iv[CHACHA_IV_SIZE] = {};

	memcpy(iv + 4, op->nonce, NQ_IV_LEN);
	w->head = stride + CHACHA_BLOCK_SIZE;
	w->head_len = min_t(u32, op->text_len, HEAD_MAX);
	memset(stride, 0, CHACHA_BLOCK_SIZE);
	memcpy(w->head, op->text, w->head_len);
	nqd_chacha_init(&w->state, key, iv);
	nqd_chacha20_crypt(&w->state, stride, stride, CHACHA_BLOCK_SIZE + w->head_len);
	poly1305_init(&w->mac, stride);
	memzero_explicit(stride, CHACHA_BLOCK_SIZE);
}

/* The text becomes what it is to be. */
static void text(const struct nq_aead_op *op, struct work *w)
{
	u8 *rest = op->text + w->head_len;

	memcpy(op->text, w->head, w->head_len);
	if (op->text_len > w->head_len)
		nqd_chacha20_crypt(&w->state, rest, rest, op->text_len - w->head_len);
}

/* All whole blocks of @data. The rest goes to @block, filled with zeros: its length with them. */
static u32 mac_blocks(struct poly1305_desc_ctx *mac, const u8 *data, u32 len, u8 *block)
{
	u32 rest = len % POLY1305_BLOCK_SIZE;

	if (len != rest)
		poly1305_update(mac, data, len - rest);
	if (!rest)
		return 0;
	memset(block, 0, POLY1305_BLOCK_SIZE);
	memcpy(block, data + len - rest, rest);
	return POLY1305_BLOCK_SIZE;
}

/* Whole blocks throughout: what is left over between calls costs more than it is. */
static void make_tag(struct poly1305_desc_ctx *mac, const struct nq_aead_op *op, u8 *tag)
{
	__le64 lens[2] = { cpu_to_le64(op->aad_len), cpu_to_le64(op->text_len) };
	u8 block[2 * POLY1305_BLOCK_SIZE];
	u32 n;

	n = mac_blocks(mac, op->aad, op->aad_len, block);
	poly1305_update(mac, block, n);
	n = mac_blocks(mac, op->text, op->text_len, block);
	memcpy(block + n, lens, sizeof(lens));
	poly1305_update(mac, block, n + sizeof(lens));
	poly1305_final(mac, tag);
}

int nqd_chacha_seal(const u32 *key, struct nq_aead_op *op, u8 *stride)
{
	struct work w;

	begin(key, op, &w, stride);
	text(op, &w);
	make_tag(&w.mac, op, op->text + op->text_len);
	memzero_explicit(&w.state, sizeof(w.state));
	return 0;
}

int nqd_chacha_open(const u32 *key, struct nq_aead_op *op, u8 *stride)
{
	struct work w;
	u8 tag[NQ_TAG_LEN];
	int err = 0;

	begin(key, op, &w, stride);
	make_tag(&w.mac, op, tag);
	if (crypto_memneq(tag, op->text + op->text_len, NQ_TAG_LEN))
		err = -EBADMSG;
	else
		text(op, &w);
	memzero_explicit(&w.state, sizeof(w.state));
	/* The tag that a forger lacks. */
	memzero_explicit(tag, sizeof(tag));
	return err;
}

/*
 * The sample is the little-endian block counter and the nonce: what the state ends with. Of the
 * block only the beginning is wanted, which HChaCha20 has but for the addition of the state at the
 * end (RFC 8439 2.3), and it uses the vector registers, which a call for a single block does not.
 */
void nqd_chacha_mask(const u32 *key, const u8 *const *samples, u8 masks[][NQ_HP_MASK_LEN],
		     unsigned int n)
{
	u32 words[CHACHA_KEY_SIZE / sizeof(u32)];
	struct nqd_chacha state;
	unsigned int i;

	for (i = 0; i < n; i++) {
		nqd_chacha_init(&state, key, samples[i]);
		nqd_hchacha20(&state, words);
		put_unaligned_le32(words[0] + state.x[0], masks[i]);
		masks[i][4] = words[1] + state.x[1];
	}
	memzero_explicit(&state, sizeof(state));
	memzero_explicit(words, sizeof(words));
}
