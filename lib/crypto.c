// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Choosing a cipher provider, and the key derivation of RFC 9001.
 *
 * A provider is handed out only after it has sealed and opened a known packet with every cipher:
 * a library that miscomputes on this CPU is never used. Called once, before the sandbox closes;
 * afterwards no provider opens a file or maps a library.
 */
#include "crypto-internal.h"

#include <stdlib.h>

#include <gnutls/crypto.h>

/* Key 00 01 02..., nonce zero, header and text of 16 and 32 zero bytes: the tag that comes out. */
static const struct {
	u16 cipher;
	u8 tag[NQ_TAG_LEN];
} self_tests[] = {
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

static bool seals_and_opens(const struct nq_crypto_ops *ops, void *ctx, const u8 *tag)
{
	u8 aad[16] = { 0 }, text[32 + NQ_TAG_LEN] = { 0 };
	struct nq_aead_op op = { .aad = aad, .aad_len = 16, .text = text, .text_len = 32 };
	static const u8 zero[32];

	ops->seal(ctx, &op, 1);
	if (op.status || memcmp(text + 32, tag, NQ_TAG_LEN))
		return false;
	ops->open(ctx, &op, 1);
	if (op.status || memcmp(text, zero, sizeof(zero)))
		return false;
	/* What was just opened is no cipher text any more: it must be refused. */
	ops->open(ctx, &op, 1);
	return op.status == -EBADMSG;
}

static bool works(const struct nq_crypto_ops *ops)
{
	u8 key[NQ_KEY_MAX_LEN];
	bool good = true;
	unsigned int i;
	void *ctx;

	for (i = 0; i < sizeof(key); i++)
		key[i] = (u8)i;
	ctx = aligned_alloc(64, ops->aead_ctx_bytes);
	if (!ctx)
		return false;
	for (i = 0; i < sizeof(self_tests) / sizeof(self_tests[0]) && good; i++) {
		memset(ctx, 0, ops->aead_ctx_bytes);
		good = !ops->aead_init(ctx, self_tests[i].cipher, key) &&
		       seals_and_opens(ops, ctx, self_tests[i].tag);
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

/* struct HkdfLabel of RFC 8446 7.1, with an empty context. Returns its bytes. */
static u32 hkdf_label(u8 *info, const char *label, u32 label_len, u32 out_len)
{
	info[0] = (u8)(out_len >> 8);
	info[1] = (u8)out_len;
	info[2] = (u8)(6 + label_len);
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, label_len);
	info[9 + label_len] = 0;
	return 10 + label_len;
}

int nx_quic_derive(u16 cipher, const u8 *secret, u32 secret_len, const char *label, u8 *out,
		   u32 out_len)
{
	gnutls_mac_algorithm_t mac = cipher == NQ_AES_256_GCM ? GNUTLS_MAC_SHA384
							      : GNUTLS_MAC_SHA256;
	gnutls_datum_t key = { .data = (u8 *)secret, .size = secret_len };
	gnutls_datum_t info;
	u8 label_bytes[64];
	u32 label_len;

	if (!nq_key_len(cipher))
		return -EOPNOTSUPP;
	label_len = (u32)strlen(label);
	if (label_len > sizeof(label_bytes) - 10 || !out_len || out_len > 64 ||
	    secret_len != gnutls_hmac_get_len(mac))
		return -EINVAL;
	info.data = label_bytes;
	info.size = hkdf_label(label_bytes, label, label_len, out_len);
	return gnutls_hkdf_expand(mac, &key, &info, out, out_len) ? -EIO : 0;
}
