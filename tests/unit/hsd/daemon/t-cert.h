/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A certificate as any web server may have one: ECDSA, signed by itself, valid now. */
#ifndef T_CERT_H
#define T_CERT_H

#include <gnutls/x509.h>

/* For @name; the caller frees both. */
void t_make_certificate(const char *name, gnutls_x509_privkey_t *key, gnutls_x509_crt_t *crt);

#endif /* T_CERT_H */
