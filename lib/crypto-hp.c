// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Header-protection masks (RFC 9001 5.4) with nettle. The samples of a burst are gathered into one
 * buffer, so AES runs as one ECB call over all of them. Nothing is allocated; no file is opened.
 */
#include "crypto-internal.h"

#include <nettle/aes.h>
#include <nettle/chacha.h>

struct hp_ctx {
	u16 cipher;
	union {
		struct aes128_ctx aes128;
		struct aes256_ctx aes256;
		u8 chacha_key[NQ_KEY_MAX_LEN];
	};
};

u32 nx_hp_ctx_bytes(void)
{
	return nx_round64(sizeof(struct hp_ctx));
}

int nx_hp_init(void *ctx, u16 cipher, const u8 *key)
{
	struct hp_ctx *hp = ctx;

	switch (cipher) {
	case NQ_AES_128_GCM:
		aes128_set_encrypt_key(&hp->aes128, key);
		break;
	case NQ_AES_256_GCM:
		aes256_set_encrypt_key(&hp->aes256, key);
		break;
	case NQ_CHACHA20_POLY1305:
		memcpy(hp->chacha_key, key, sizeof(hp->chacha_key));
		break;
	default:
		return -EOPNOTSUPP;
	}
	hp->cipher = cipher;
	return 0;
}

void nx_hp_wipe(void *ctx)
{
	nq_memzero(ctx, sizeof(struct hp_ctx));
}

/* The sample is the little-endian block counter followed by the nonce (RFC 9001 5.4.4). */
static void mask_chacha(const struct hp_ctx *hp, const u8 *sample, u8 *mask)
{
	static const u8 zero[NQ_HP_MASK_LEN];
	struct chacha_ctx chacha;

	chacha_set_key(&chacha, hp->chacha_key);
	chacha_set_nonce96(&chacha, sample + 4);
	chacha_set_counter32(&chacha, sample);
	chacha_crypt32(&chacha, NQ_HP_MASK_LEN, mask, zero);
	nq_memzero(&chacha, sizeof(chacha));
}

static void mask_aes(const struct hp_ctx *hp, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
		     unsigned int n)
{
	u8 blocks[NQ_BURST_MAX][NQ_HP_SAMPLE_LEN];
	unsigned int i;

	for (i = 0; i < n; i++)
		memcpy(blocks[i], samples[i], NQ_HP_SAMPLE_LEN);
	if (hp->cipher == NQ_AES_128_GCM)
		aes128_encrypt(&hp->aes128, n * NQ_HP_SAMPLE_LEN, blocks[0], blocks[0]);
	else
		aes256_encrypt(&hp->aes256, n * NQ_HP_SAMPLE_LEN, blocks[0], blocks[0]);
	for (i = 0; i < n; i++)
		memcpy(masks[i], blocks[i], NQ_HP_MASK_LEN);
}

void nx_hp_mask(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN], unsigned int n)
{
	const struct hp_ctx *hp = ctx;
	unsigned int i, some;

	if (hp->cipher == NQ_CHACHA20_POLY1305) {
		for (i = 0; i < n; i++)
			mask_chacha(hp, samples[i], masks[i]);
		return;
	}
	for (i = 0; i < n; i += some) {
		some = n - i < NQ_BURST_MAX ? n - i : NQ_BURST_MAX;
		mask_aes(hp, samples + i, masks + i, some);
	}
}
