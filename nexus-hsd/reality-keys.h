/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What client (reality.c) and gate (gate.c) of REALITY derive alike, and the layout of the claim: the
 * 20 bytes that travel masked as SCID. Private to the two.
 */
#ifndef HS_REALITY_KEYS_H
#define HS_REALITY_KEYS_H

#include "reality.h"

#define HS_CLAIM_VERSION 0
#define HS_CLAIM_FLAGS 1 /* senders write 0, receivers ignore it */
#define HS_CLAIM_TIME 2
#define HS_CLAIM_SHORT_ID 6
#define HS_CLAIM_ZERO 14
/* Of ClientHello.random in the handshake message: type 1, length 3, legacy_version 2. */
#define HS_CH_RANDOM 6

void hs_reality_k0(uint8_t k0[32], const uint8_t ephemeral_shared[32]);
/* Masks and unmasks. */
void hs_reality_mask_scid(uint8_t out[HS_REALITY_CID_LEN], const uint8_t in[HS_REALITY_CID_LEN],
			  const uint8_t k0[32]);
/* @psk may be NULL. */
void hs_reality_k1(uint8_t k1[32], const uint8_t k0[32], const uint8_t static_shared[32],
		   const uint8_t *psk);
void hs_reality_tag(uint8_t tag[HS_REALITY_CID_LEN], const uint8_t k1[32], uint32_t quic_version,
		    const uint8_t scid[HS_REALITY_CID_LEN], const uint8_t *client_hello,
		    size_t len);

#endif /* HS_REALITY_KEYS_H */
