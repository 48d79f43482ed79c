// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cipher providers agree with each other on every length, in bursts, and refuse what is forged.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

static const u16 ciphers[] = { NQ_AES_128_GCM, NQ_AES_256_GCM, NQ_CHACHA20_POLY1305 };

static void *open_aead(const struct nq_crypto_ops *ops, u16 cipher, const u8 *key)
{
	void *ctx = aligned_alloc(64, ops->aead_ctx_bytes);

	assert_non_null(ctx);
	memset(ctx, 0, ops->aead_ctx_bytes);
	assert_int_equal(ops->aead_init(ctx, cipher, key), 0);
	return ctx;
}

static void test_names(void **state)
{
	assert_non_null(nx_crypto_provider(NULL));
	assert_string_equal(nx_crypto_provider("gnutls")->name, "gnutls");
	errno = 0;
	assert_null(nx_crypto_provider("rot13"));
	assert_int_equal(errno, ENOENT);
}

static void test_agreement(void **state)
{
	const struct nq_crypto_ops *a = nx_crypto_provider("gnutls");
	const struct nq_crypto_ops *b = nx_crypto_provider("ipsec-mb");
	u8 key[NQ_KEY_MAX_LEN], aad[30], x[1500], y[1500];
	struct nq_aead_op ox = { .aad = aad }, oy = { .aad = aad };
	void *ca, *cb;
	u32 len, i;

	if (!b)
		skip();
	for (i = 0; i < sizeof(key); i++)
		key[i] = (u8)(i * 29);
	memset(aad, 0x3c, sizeof(aad));
	for (i = 0; i < 3; i++) {
		ca = open_aead(a, ciphers[i], key);
		cb = open_aead(b, ciphers[i], key);
		for (len = 0; len <= 1450; len += len < 300 ? 1 : 37) {
			memset(x, (int)len, sizeof(x));
			memset(y, (int)len, sizeof(y));
			ox.nonce[3] = oy.nonce[3] = (u8)len;
			ox.aad_len = oy.aad_len = 5 + len % 21;
			ox.text = x;
			oy.text = y;
			ox.text_len = oy.text_len = len;
			a->seal(ca, &ox, 1);
			b->seal(cb, &oy, 1);
			assert_memory_equal(x, y, len + NQ_TAG_LEN);
			b->open(cb, &ox, 1);
			assert_int_equal(ox.status, 0);
			a->open(ca, &oy, 1);
			assert_int_equal(oy.status, 0);
			assert_memory_equal(x, y, len);
		}
		a->aead_wipe(ca);
		b->aead_wipe(cb);
		free(ca);
		free(cb);
	}
}

static void check_bursts(const struct nq_crypto_ops *ops, u16 cipher)
{
	static u8 text[NQ_BURST_MAX][200];
	struct nq_aead_op op[NQ_BURST_MAX];
	u8 key[NQ_KEY_MAX_LEN] = { 9 }, aad[25] = { 1 };
	void *ctx = open_aead(ops, cipher, key);
	unsigned int i;

	memset(op, 0, sizeof(op));
	for (i = 0; i < NQ_BURST_MAX; i++) {
		memset(text[i], (int)i, sizeof(text[i]));
		op[i].nonce[11] = (u8)i;
		op[i].aad = aad;
		op[i].aad_len = sizeof(aad);
		op[i].text = text[i];
		op[i].text_len = 100 + i;
	}
	ops->seal(ctx, op, NQ_BURST_MAX);
	/* Every third is damaged: only those are refused. */
	for (i = 0; i < NQ_BURST_MAX; i += 3)
		text[i][100 + i + i % 16] ^= 0x80;
	ops->open(ctx, op, NQ_BURST_MAX);
	for (i = 0; i < NQ_BURST_MAX; i++) {
		assert_int_equal(op[i].status, i % 3 ? 0 : -EBADMSG);
		if (i % 3)
			assert_int_equal(text[i][99], i);
	}
	ops->aead_wipe(ctx);
	ops->aead_wipe(ctx); /* a zeroed context */
	free(ctx);
}

static void test_bursts(void **state)
{
	const struct nq_crypto_ops *ipsec = nx_crypto_provider("ipsec-mb");
	u32 i;

	for (i = 0; i < 3; i++) {
		check_bursts(nx_crypto_provider("gnutls"), ciphers[i]);
		if (ipsec)
			check_bursts(ipsec, ciphers[i]);
	}
}

static void test_mask_bursts(void **state)
{
	const struct nq_crypto_ops *ops = nx_crypto_provider(NULL);
	u8 key[NQ_KEY_MAX_LEN] = { 5 }, samples[200][NQ_HP_SAMPLE_LEN];
	u8 masks[200][NQ_HP_MASK_LEN], one[1][NQ_HP_MASK_LEN];
	const u8 *ptrs[200];
	unsigned int i, k;
	void *ctx;

	ctx = aligned_alloc(64, ops->hp_ctx_bytes);
	assert_non_null(ctx);
	for (k = 0; k < 3; k++) {
		memset(ctx, 0, ops->hp_ctx_bytes);
		assert_int_equal(ops->hp_init(ctx, ciphers[k], key), 0);
		for (i = 0; i < 200; i++) {
			memset(samples[i], (int)i + 1, NQ_HP_SAMPLE_LEN);
			ptrs[i] = samples[i];
		}
		ops->hp_mask(ctx, ptrs, masks, 200);
		for (i = 0; i < 200; i++) {
			ops->hp_mask(ctx, ptrs + i, one, 1);
			assert_memory_equal(one[0], masks[i], NQ_HP_MASK_LEN);
		}
		ops->hp_wipe(ctx);
	}
	free(ctx);
}

static void test_unknown_cipher(void **state)
{
	const struct nq_crypto_ops *ops = nx_crypto_provider("gnutls");
	u8 key[NQ_KEY_MAX_LEN] = { 0 };
	void *ctx = aligned_alloc(64, ops->aead_ctx_bytes);

	assert_non_null(ctx);
	memset(ctx, 0, ops->aead_ctx_bytes);
	assert_int_equal(ops->aead_init(ctx, 0x1304, key), -EOPNOTSUPP);
	ops->aead_wipe(ctx);
	free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	       cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_bursts),	       cmocka_unit_test(test_mask_bursts),
		cmocka_unit_test(test_unknown_cipher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
