/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the engine asks of a cipher implementation. A provider is a table of functions that work on
 * key contexts in memory the caller owns; it neither allocates nor locks in seal, open and hp_mask.
 * User-space providers: lib/crypto.h. The operations come in bursts so that a provider can keep
 * several blocks in flight.
 */
#ifndef NQ_CRYPTO_H
#define NQ_CRYPTO_H

#include "nq_types.h"

#define NQ_TAG_LEN		16
#define NQ_IV_LEN		12
#define NQ_HP_SAMPLE_LEN	16
#define NQ_HP_MASK_LEN		5
#define NQ_KEY_MAX_LEN		32
/* A burst never has more packets than this: 64 is what UDP GRO may deliver. */
#define NQ_BURST_MAX		64

/* TLS cipher suite numbers. */
#define NQ_AES_128_GCM		0x1301
#define NQ_AES_256_GCM		0x1302
#define NQ_CHACHA20_POLY1305	0x1303

/* One packet: @text (@text_len bytes) is sealed or opened in place, the tag stands behind it. */
struct nq_aead_op {
	u8 nonce[NQ_IV_LEN];
	u8 *aad;
	u8 *text;
	u32 aad_len;
	u32 text_len;		/* without the tag */
	int status;		/* out, open: 0 or -EBADMSG; seal: 0 or another negative errno */
};

struct nq_crypto_ops {
	const char *name;
	/* Bytes of an AEAD key context and of a header-protection context, multiples of 8.
	 * Contexts stand one behind the other from a multiple of 64 on, the AEAD's first: with
	 * multiples of 64 each is aligned like that.
	 */
	u32 aead_ctx_bytes;
	u32 hp_ctx_bytes;
	/* Expand @key (length by @cipher). 0, -EOPNOTSUPP for a cipher it lacks, -ENOMEM. */
	int (*aead_init)(void *ctx, u16 cipher, const u8 *key);
	int (*hp_init)(void *ctx, u16 cipher, const u8 *key);
	/* Release and zero; accepts a zeroed context. */
	void (*aead_wipe)(void *ctx);
	void (*hp_wipe)(void *ctx);
	/*
	 * A context with the key that @ctx holds now, for seal, open and hp_mask: init and wipe of
	 * @ctx leave it as it is. How long it may be used is the provider's word. NULL: @ctx itself
	 * is all there is, so packets are sealed and opened by who uses the connection (see nq.h).
	 */
	void *(*lend)(void *ctx);
	/*
	 * Packets are about to be opened, some of them perhaps with @ctx, which is a secret (RFC
	 * 9001 9.5): what it takes to be as fast with it as with any other. NULL: nothing.
	 */
	void (*ready)(void *ctx);
	void (*seal)(void *ctx, struct nq_aead_op *ops, unsigned int n);
	void (*open)(void *ctx, struct nq_aead_op *ops, unsigned int n);
	/* @samples: n pointers to 16 bytes; masks out (RFC 9001 5.4). */
	void (*hp_mask)(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
			unsigned int n);
};

/* Length of the AEAD and of the header-protection key of @cipher; 0 if unknown. */
static inline u32 nq_key_len(u16 cipher)
{
	return cipher == NQ_AES_128_GCM ? 16 :
	       cipher == NQ_AES_256_GCM || cipher == NQ_CHACHA20_POLY1305 ? 32 : 0;
}

#endif /* NQ_CRYPTO_H */
