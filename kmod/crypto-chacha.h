/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packet protection with ChaCha20-Poly1305 (RFC 8439; RFC 9001 5.3 and 5.4.4), for crypto.c. There
 * are no transforms: a key is its eight words. To be called with bottom halves off and where vector
 * registers may be used (nqd_crypto_usable()); nothing sleeps, and nothing of a key is left behind.
 *
 * @stride: memory of this CPU to compute in, NQD_CHACHA_STRIDE bytes.
 */
#ifndef NQD_CRYPTO_CHACHA_H
#define NQD_CRYPTO_CHACHA_H

#include "../quic/nq_crypto.h"
#include "compat/chacha.h"

/* What the vector code of ChaCha20 makes at once. */
#define NQD_CHACHA_STRIDE (8 * CHACHA_BLOCK_SIZE)

/* 0 */
int nqd_chacha_seal(const u32 *key, struct nq_aead_op *op, u8 *stride);
/* 0, or -EBADMSG: the text is as it was. */
int nqd_chacha_open(const u32 *key, struct nq_aead_op *op, u8 *stride);
void nqd_chacha_mask(const u32 *key, const u8 *const *samples, u8 masks[][NQ_HP_MASK_LEN],
		     unsigned int n);

#endif /* NQD_CRYPTO_CHACHA_H */
