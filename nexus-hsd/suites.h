/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cipher suites and groups of TLS 1.3 that a handshake of ours may have: numbers of the wire, and the
 * names that the registry, our settings and GnuTLS have for them. Pure data.
 */
#ifndef HS_SUITES_H
#define HS_SUITES_H

#include <gnutls/gnutls.h>
#include <stdint.h>

#define HS_N_SUITES 3
#define HS_N_GROUPS 5

struct hs_suite {
	uint16_t number; /* RFC 8446 B.4, and enum nqd_cipher: the data plane has all of them */
	const char *name;
	const char *setting; /* in `ciphers` */
	const char *gnutls; /* in a priority string */
	gnutls_cipher_algorithm_t cipher;
};

struct hs_group {
	uint16_t number; /* RFC 8446 4.2.7 */
	const char *name;
	const char *gnutls; /* as GnuTLS prints it: older headers have no numbers of newer groups */
};

extern const struct hs_suite hs_suites[HS_N_SUITES];
extern const struct hs_group hs_groups[HS_N_GROUPS];

/* NULL: none of ours. */
const struct hs_suite *hs_suite_find(uint16_t number);
const struct hs_group *hs_group_find(uint16_t number);

#endif /* HS_SUITES_H */
