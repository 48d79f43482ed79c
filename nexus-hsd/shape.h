/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of ngtcp2 in another size. While a connection is being shaped, every packet that ngtcp2
 * seals is kept in clear (its cipher callbacks hand it over); hs_shape_build() seals it again under
 * the same packet number with as much PADDING as asked for. What leaves is what ngtcp2 knows it has
 * sent, in another dress; the packet that ngtcp2 sealed itself is thrown away and never sent.
 */
#ifndef HS_SHAPE_H
#define HS_SHAPE_H

#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "profile.h"

#define HS_SHAPE_PACKETS_MAX 8
#define HS_SHAPE_PACKET_MAX 1500
#define HS_SHAPE_HEADER_MAX 64
#define HS_SHAPE_TAG_LEN 16

struct hs_shape_packet {
	bool kept, complete;
	uint8_t type; /* enum hs_packet_type */
	uint8_t header[HS_SHAPE_HEADER_MAX]; /* its Length, if it has one, is rewritten */
	size_t header_len, pn_len;
	uint8_t plain[HS_SHAPE_PACKET_MAX];
	size_t plain_len;
	uint8_t nonce[12];
	ngtcp2_crypto_aead aead;
	ngtcp2_crypto_aead_ctx aead_ctx;
	ngtcp2_crypto_cipher hp;
	ngtcp2_crypto_cipher_ctx hp_ctx;
};

struct hs_shape {
	struct hs_shape_packet *last; /* noted, perhaps not complete yet */
	struct hs_shape_packet packets[HS_SHAPE_PACKETS_MAX];
};

/* From the cipher callbacks: a packet before it is sealed, then its header protection. */
void hs_shape_note_packet(struct hs_shape *s, const ngtcp2_crypto_aead *aead,
			  const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain, size_t plain_len,
			  const uint8_t *nonce, size_t nonce_len, const uint8_t *header,
			  size_t header_len);
void hs_shape_note_mask(struct hs_shape *s, const ngtcp2_crypto_cipher *hp,
			const ngtcp2_crypto_cipher_ctx *ctx);

/* The first packet kept of that type, or NULL; it stays as it is until the next one is noted. */
struct hs_shape_packet *hs_shape_take(struct hs_shape *s, uint8_t type);
/*
 * @p with @bytes bytes in all, or with as many as it needs if they are more; PADDING goes to the end,
 * or in front of the first CRYPTO frame if there is one and @style says so. The bytes of it, or
 * -EMSGSIZE (not within @cap), -EBADMSG (not a packet of ours), -EIO.
 */
ssize_t hs_shape_build(const struct hs_shape_packet *p, size_t bytes,
		       const struct hs_profile_style *style, uint8_t *out, size_t cap);
/* Forget all, plaintext included. */
void hs_shape_wipe(struct hs_shape *s);

/*
 * The frames of a packet of ours without its PADDING, into @out (as long as @len). Their length, or
 * -EBADMSG: no frames.
 */
ssize_t hs_shape_strip_padding(const uint8_t *plain, size_t len, uint8_t *out);

/* Is there PADDING, and is it in front of the first CRYPTO frame? Of any payload. */
void hs_shape_find_padding(const uint8_t *plain, size_t len, struct hs_profile_style *style);

#endif /* HS_SHAPE_H */
