// SPDX-License-Identifier: GPL-2.0-or-later
/* The certificate verifier; what it accepts, GnuTLS must take for a certificate as well. */
#include <errno.h>
#include <gnutls/x509.h>

#include "certproof.h"
#include "fuzz-hsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int err = hs_cert_verify(data, size, fuzz_cert_key);
	const gnutls_datum_t der = { (void *)data, (unsigned int)size };
	gnutls_x509_crt_t crt;

	promise(err == 0 || err == -EBADMSG || err == -EKEYREJECTED);
	if (err)
		return 0;
	promise(!gnutls_x509_crt_init(&crt));
	promise(!gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER));
	gnutls_x509_crt_deinit(crt);
	return 0;
}
