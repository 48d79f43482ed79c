/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the cipher providers share among themselves: header protection and the provider tables.
 * Included by lib/crypto*.c only.
 */
#ifndef NX_CRYPTO_INTERNAL_H
#define NX_CRYPTO_INTERNAL_H

#include "crypto.h"

/* Header protection through nettle: one AES-ECB call per burst, ChaCha20 block by block. Both
 * providers use it; at 1-4 ns per AES block nothing else is faster.
 */
u32 nx_hp_ctx_bytes(void);
int nx_hp_init(void *ctx, u16 cipher, const u8 *key);
void nx_hp_wipe(void *ctx);
void nx_hp_mask(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN], unsigned int n);

/* Each returns its table, or NULL with errno set where the machine or the build lacks it. */
const struct nq_crypto_ops *nx_crypto_gnutls(void);
const struct nq_crypto_ops *nx_crypto_ipsec_mb(void);

/* The sizes that struct nq_crypto_ops asks for. */
static inline u32 nx_round64(u32 n)
{
	return (n + 63) & ~63u;
}

#endif /* NX_CRYPTO_INTERNAL_H */
