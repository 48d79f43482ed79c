/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's proof that it knows the client's and its own static key: a per-connection Ed25519
 * certificate, DER built by hand, whose signature field is HMAC-SHA512(cert key, TBSCertificate).
 * CertificateVerify still proves the certificate's key over the transcript (GnuTLS does that).
 */
#ifndef HS_CERTPROOF_H
#define HS_CERTPROOF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HS_CERT_MAX	16384

/*
 * Build the certificate for @public_key (32 bytes) and @name into @out, padded (by an extension) to
 * about @target_len bytes; 0 = no padding. Serial number and validity look ordinary. Bytes or -errno.
 */
ssize_t hs_cert_build(uint8_t *out, size_t cap, const uint8_t public_key[32], const char *name,
		      const uint8_t key[64], uint64_t unix_time_s, size_t target_len);
/* Is @der such a certificate under @key? 0, -EBADMSG (not our shape: an ordinary certificate),
 * -EKEYREJECTED (our shape, wrong proof). Constant-time comparison.
 */
int hs_cert_verify(const uint8_t *der, size_t len, const uint8_t key[64]);

#endif /* HS_CERTPROOF_H */
