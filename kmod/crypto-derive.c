// SPDX-License-Identifier: GPL-2.0-only
/*
 * HKDF-Expand-Label (RFC 5869 2.3, RFC 8446 7.1) with the kernel's HMAC. No output of RFC 9001 is
 * longer than the hash, so one round of HMAC is all there is.
 */
#include <crypto/hash.h>
#include <crypto/sha2.h>

#include "../quic/label.h"
#include "crypto.h"

static int expand(struct crypto_shash *tfm, const u8 *info, u32 info_len, u8 *out, u32 out_len)
{
	SHASH_DESC_ON_STACK(desc, tfm);
	u8 block[SHA384_DIGEST_SIZE];
	int err;

	desc->tfm = tfm;
	err = crypto_shash_digest(desc, info, info_len, block);
	if (!err)
		memcpy(out, block, out_len);
	memzero_explicit(block, sizeof(block));
	shash_desc_zero(desc);
	return err;
}

int nqd_quic_derive(u16 cipher, const u8 *secret, u32 secret_len, const char *label, u8 *out,
		    u32 out_len)
{
	u8 info[NQ_LABEL_MAX_LEN + 1];
	struct crypto_shash *tfm;
	u32 info_len;
	int err;

	if (!nq_key_len(cipher))
		return -EOPNOTSUPP;
	tfm = crypto_alloc_shash(cipher == NQ_AES_256_GCM ? "hmac(sha384)" : "hmac(sha256)", 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	info_len = nq_hkdf_label(info, label, out_len);
	err = -EINVAL;
	if (!info_len || !out_len || out_len > crypto_shash_digestsize(tfm) ||
	    secret_len != crypto_shash_digestsize(tfm))
		goto free;
	err = crypto_shash_setkey(tfm, secret, secret_len);
	if (err)
		goto free;
	/* T(1) = HMAC(PRK, info | 0x01) */
	info[info_len] = 1;
	err = expand(tfm, info, info_len + 1, out, out_len);
free:
	crypto_free_shash(tfm);
	return err;
}
