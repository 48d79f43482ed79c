// SPDX-License-Identifier: GPL-2.0-or-later
/* Certificates of ordinary servers: see t-cert.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "t-cert.h"

void t_make_certificate(const char *name, gnutls_x509_privkey_t *key, gnutls_x509_crt_t *crt)
{
	assert_int_equal(gnutls_x509_privkey_init(key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA, 256, 0), 0);
	assert_int_equal(gnutls_x509_crt_init(crt), 0);
	gnutls_x509_crt_set_version(*crt, 3);
	gnutls_x509_crt_set_serial(*crt, "\x01", 1);
	gnutls_x509_crt_set_activation_time(*crt, time(NULL) - 1000);
	gnutls_x509_crt_set_expiration_time(*crt, time(NULL) + 100000);
	gnutls_x509_crt_set_dn_by_oid(*crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
				      (unsigned int)strlen(name));
	gnutls_x509_crt_set_key(*crt, *key);
	assert_int_equal(gnutls_x509_crt_sign2(*crt, *crt, *key, GNUTLS_DIG_SHA256, 0), 0);
}
