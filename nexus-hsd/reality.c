// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * REALITY's client side, and the derivations it shares with the gate (reality-keys.h). The formulas
 * are in reality.h; docs/wire-format.md says why they are so.
 */
#include <errno.h>
#include <string.h>

#include "elligator.h"
#include "kdf.h"
#include "reality-keys.h"

void hs_reality_k0(uint8_t k0[32], const uint8_t ephemeral_shared[32])
{
	static const char salt[] = "nexus reality 1";
	const struct hs_bytes ikm = { ephemeral_shared, 32 };

	hs_hkdf_extract(k0, (const uint8_t *)salt, sizeof(salt) - 1, &ikm, 1);
}

void hs_reality_mask_scid(uint8_t out[HS_REALITY_CID_LEN], const uint8_t in[HS_REALITY_CID_LEN],
			  const uint8_t k0[32])
{
	uint8_t mask[HS_REALITY_CID_LEN];

	hs_hkdf_expand(mask, sizeof(mask), k0, "scid", 4);
	for (int i = 0; i < HS_REALITY_CID_LEN; i++)
		out[i] = in[i] ^ mask[i];
	explicit_bzero(mask, sizeof(mask));
}

void hs_reality_k1(uint8_t k1[32], const uint8_t k0[32], const uint8_t static_shared[32],
		   const uint8_t *psk)
{
	const struct hs_bytes ikm[] = { { static_shared, 32 }, { psk, 32 } };

	hs_hkdf_extract(k1, k0, 32, ikm, psk ? 2 : 1);
}

void hs_reality_tag(uint8_t tag[HS_REALITY_CID_LEN], const uint8_t k1[32], uint32_t quic_version,
		    const uint8_t scid[HS_REALITY_CID_LEN], const uint8_t *client_hello, size_t len)
{
	const uint8_t version[4] = { quic_version >> 24, quic_version >> 16, quic_version >> 8,
				     quic_version };
	const struct hs_bytes parts[] = {
		{ version, sizeof(version) },
		{ scid, HS_REALITY_CID_LEN },
		{ client_hello, len },
	};
	uint8_t key[32], mac[HS_SHA256_LEN];

	hs_hkdf_expand(key, sizeof(key), k1, "dcid", 4);
	hs_hmac_sha256(mac, key, sizeof(key), parts, 3);
	memcpy(tag, mac, HS_REALITY_CID_LEN);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(mac, sizeof(mac));
}

static void build_claim(uint8_t claim[HS_REALITY_CID_LEN], uint64_t unix_time_s, uint64_t short_id)
{
	memset(claim, 0, HS_REALITY_CID_LEN);
	claim[HS_CLAIM_VERSION] = HS_REALITY_VERSION;
	for (int i = 0; i < 4; i++)
		claim[HS_CLAIM_TIME + i] = (uint8_t)(unix_time_s >> (24 - 8 * i));
	for (int i = 0; i < 8; i++)
		claim[HS_CLAIM_SHORT_ID + i] = (uint8_t)(short_id >> (56 - 8 * i));
}

int hs_reality_attempt_init(struct hs_reality_attempt *a, const struct hs_reality_client *c,
			    uint64_t unix_time_s)
{
	uint8_t e[32], shared[32], k0[32], claim[HS_REALITY_CID_LEN];
	int err;

	err = hs_elligator_keypair(e, a->random);
	if (err)
		goto wipe;
	err = hs_x25519(shared, e, c->server_public);
	if (err)
		goto wipe;
	hs_reality_k0(k0, shared);
	build_claim(claim, unix_time_s, c->short_id);
	hs_reality_mask_scid(a->scid, claim, k0);
	err = hs_x25519(shared, c->secret, c->server_public);
	if (err)
		goto wipe;
	hs_reality_k1(a->k1, k0, shared, c->has_psk ? c->psk : NULL);
wipe:
	explicit_bzero(e, sizeof(e));
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(k0, sizeof(k0));
	explicit_bzero(claim, sizeof(claim));
	if (err)
		hs_reality_attempt_wipe(a);
	return err;
}

int hs_reality_attempt_dcid(const struct hs_reality_attempt *a, uint32_t quic_version,
			    const uint8_t *client_hello, size_t len,
			    uint8_t dcid[HS_REALITY_CID_LEN])
{
	/* The hello must be the one that carries our random, else the gate could not find E. */
	if (len < HS_CH_RANDOM + 32 || memcmp(client_hello + HS_CH_RANDOM, a->random, 32))
		return -EINVAL;
	hs_reality_tag(dcid, a->k1, quic_version, a->scid, client_hello, len);
	return 0;
}

int hs_reality_cert_key(const uint8_t k1[32], const uint8_t *client_hello, size_t len,
			uint8_t key[64])
{
	uint8_t info[4 + HS_SHA256_LEN] = "cert";

	if (!len)
		return -EINVAL;
	hs_sha256(info + 4, client_hello, len);
	hs_hkdf_expand(key, 64, k1, info, sizeof(info));
	return 0;
}

void hs_reality_attempt_wipe(struct hs_reality_attempt *a)
{
	explicit_bzero(a, sizeof(*a));
}
