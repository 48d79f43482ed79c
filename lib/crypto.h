/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine's cipher providers in user space: libipsec-mb where the CPU has AES-NI, GnuTLS/nettle
 * everywhere. Both produce the same bytes; tests run every vector on both.
 */
#ifndef NX_CRYPTO_H
#define NX_CRYPTO_H

#include "../quic/nq_crypto.h"

/* "ipsec-mb", "gnutls", or NULL for the fastest that works here (checked by a self-test). NULL with
 * errno set if there is none of that name.
 */
const struct nq_crypto_ops *nx_crypto_provider(const char *name);

/* RFC 9001 5.1 / 6.1 with HKDF-Expand-Label: "quic key", "quic iv", "quic hp", "quic ku". @cipher
 * picks hash and length. 0 or -errno.
 */
int nx_quic_derive(u16 cipher, const u8 *secret, u32 secret_len, const char *label, u8 *out,
		   u32 out_len);

#endif /* NX_CRYPTO_H */
