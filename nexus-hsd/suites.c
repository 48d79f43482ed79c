// SPDX-License-Identifier: GPL-2.0-or-later
/* Cipher suites and groups, see suites.h. */
#include <linux/nexus_quic_dco.h>
#include <stddef.h>
#include "suites.h"

const struct hs_suite hs_suites[HS_N_SUITES] = {
	{ NQD_CIPHER_AES_128_GCM, "TLS_AES_128_GCM_SHA256", "aes-128-gcm", "+AES-128-GCM",
	  GNUTLS_CIPHER_AES_128_GCM },
	{ NQD_CIPHER_AES_256_GCM, "TLS_AES_256_GCM_SHA384", "aes-256-gcm", "+AES-256-GCM",
	  GNUTLS_CIPHER_AES_256_GCM },
	{ NQD_CIPHER_CHACHA20_POLY1305, "TLS_CHACHA20_POLY1305_SHA256", "chacha20-poly1305",
	  "+CHACHA20-POLY1305", GNUTLS_CIPHER_CHACHA20_POLY1305 },
};

const struct hs_group hs_groups[HS_N_GROUPS] = {
	{ 0x0017, "secp256r1", "SECP256R1" },
	{ 0x0018, "secp384r1", "SECP384R1" },
	{ 0x0019, "secp521r1", "SECP521R1" },
	{ 0x001d, "x25519", "X25519" },
	{ 0x11ec, "X25519MLKEM768", "X25519-MLKEM768" },
};

const struct hs_suite *hs_suite_find(uint16_t number)
{
	for (size_t i = 0; i < HS_N_SUITES; i++) {
		if (hs_suites[i].number == number)
			return &hs_suites[i];
	}
	return NULL;
}

const struct hs_group *hs_group_find(uint16_t number)
{
	for (size_t i = 0; i < HS_N_GROUPS; i++) {
		if (hs_groups[i].number == number)
			return &hs_groups[i];
	}
	return NULL;
}
