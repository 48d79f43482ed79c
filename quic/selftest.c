// SPDX-License-Identifier: GPL-2.0-only
/* The self-test of a cipher provider: see selftest.h. */
#include "selftest.h"

#define HEADER_LEN 16
#define TEXT_LEN 32

/* Nonce zero, header and text all zero: the tag that comes out. */
static const struct {
	u16 cipher;
	u8 tag[NQ_TAG_LEN];
} known[] = {
	{ NQ_AES_128_GCM,
	  { 0x53, 0xaa, 0xa3, 0xd8, 0xbc, 0x52, 0xe3, 0x7f, 0x5a, 0x6d, 0x92, 0x1f, 0xb2, 0xf4,
	    0x30, 0x6c } },
	{ NQ_AES_256_GCM,
	  { 0xfb, 0xda, 0xc3, 0xcc, 0xaa, 0xe5, 0xee, 0x5d, 0x1a, 0xb9, 0xc7, 0x53, 0xba, 0x11,
	    0x29, 0x37 } },
	{ NQ_CHACHA20_POLY1305,
	  { 0x4d, 0xd3, 0x92, 0xbe, 0x7a, 0xb0, 0x6d, 0xca, 0x63, 0x53, 0x78, 0x35, 0x81, 0x87,
	    0xc6, 0x3c } },
};

void nq_selftest_key(u8 *key)
{
	unsigned int i;

	for (i = 0; i < NQ_KEY_MAX_LEN; i++)
		key[i] = (u8)i;
}

static const u8 *tag_of(u16 cipher)
{
	unsigned int i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].cipher == cipher)
			return known[i].tag;
	return NULL;
}

bool nq_selftest(const struct nq_crypto_ops *ops, void *ctx, u16 cipher, u8 *scratch)
{
	u8 *text = scratch + HEADER_LEN;
	struct nq_aead_op op = {
		.aad = scratch, .aad_len = HEADER_LEN, .text = text, .text_len = TEXT_LEN
	};
	const u8 *tag = tag_of(cipher);
	unsigned int i;

	if (!tag)
		return false;
	memset(scratch, 0, NQ_SELFTEST_BYTES);
	ops->seal(ctx, &op, 1);
	if (op.status || memcmp(text + TEXT_LEN, tag, NQ_TAG_LEN))
		return false;
	ops->open(ctx, &op, 1);
	if (op.status)
		return false;
	for (i = 0; i < TEXT_LEN; i++)
		if (text[i])
			return false;
	/* What was just opened is no cipher text any more: it must be refused. */
	ops->open(ctx, &op, 1);
	return op.status == -EBADMSG;
}
