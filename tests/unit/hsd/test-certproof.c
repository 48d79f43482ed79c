// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The certificate proof: GnuTLS must take our DER for an ordinary certificate and use its key, the
 * verifier must take nothing else. Ends with TLS 1.3 handshakes in memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "certproof.h"
#include "hsd-test.h"

#define NOW 1763600000ULL

static uint8_t der[HS_CERT_MAX], key[64];
static gnutls_privkey_t private_key, other_private_key;
static uint8_t public_key[32];

static gnutls_privkey_t new_key(uint8_t public[32])
{
	gnutls_privkey_t k;
	gnutls_datum_t x;

	assert_int_equal(gnutls_privkey_init(&k), 0);
	assert_int_equal(gnutls_privkey_generate(k, GNUTLS_PK_EDDSA_ED25519,
						 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519), 0),
			 0);
	assert_int_equal(gnutls_privkey_export_ecc_raw2(k, NULL, &x, NULL, NULL, 0), 0);
	assert_int_equal(x.size, 32);
	memcpy(public, x.data, 32);
	gnutls_free(x.data);
	return k;
}

static int setup(void **state)
{
	uint8_t unused[32];

	t_random(key, sizeof(key));
	private_key = new_key(public_key);
	other_private_key = new_key(unused);
	return 0;
}

static int teardown(void **state)
{
	gnutls_privkey_deinit(private_key);
	gnutls_privkey_deinit(other_private_key);
	return 0;
}

static size_t build(const char *name, uint64_t now, size_t target)
{
	ssize_t n = hs_cert_build(der, sizeof(der), public_key, name, key, now, target);

	assert_true(n > 0);
	return (size_t)n;
}

static void check_import(size_t len, const char *name, uint64_t now)
{
	const gnutls_datum_t data = { der, (unsigned int)len };
	gnutls_ecc_curve_t curve;
	gnutls_datum_t x = { 0 };
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_DER), 0);
	assert_int_equal(gnutls_x509_crt_get_version(crt), 3);
	assert_int_equal(gnutls_x509_crt_get_pk_ecc_raw(crt, &curve, &x, NULL), 0);
	assert_int_equal(curve, GNUTLS_ECC_CURVE_ED25519);
	assert_memory_equal(x.data, public_key, 32);
	gnutls_free(x.data);
	assert_int_equal(gnutls_x509_crt_get_signature_algorithm(crt), GNUTLS_SIGN_EDDSA_ED25519);
	assert_true(gnutls_x509_crt_check_hostname(crt, name));
	assert_true((uint64_t)gnutls_x509_crt_get_activation_time(crt) < now);
	assert_true((uint64_t)gnutls_x509_crt_get_expiration_time(crt) > now);
	gnutls_x509_crt_deinit(crt);
}

static void test_ordinary(void **state)
{
	static const uint64_t times[] = { 1000000000, NOW, 2524607000, 2530000000, 4000000000 };
	char longest[254];
	size_t len;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		len = build("www.example.org", times[i], 0);
		check_import(len, "www.example.org", times[i]);
		assert_int_equal(hs_cert_verify(der, len, key), 0);
	}
	memset(longest, 'a', 253);
	longest[253] = '\0';
	for (int i = 63; i < 253; i += 64)
		longest[i] = '.';
	len = build(longest, NOW, 0);
	check_import(len, longest, NOW);
	assert_int_equal(hs_cert_verify(der, len, key), 0);
	check_import(build("a", NOW, 0), "a", NOW);
}

/* Two certificates of one key and one second have nothing in common that need not be. */
static void test_fresh(void **state)
{
	static uint8_t first[HS_CERT_MAX];
	size_t a = build("www.example.org", NOW, 0), b;

	memcpy(first, der, a);
	b = build("www.example.org", NOW, 0);
	assert_int_equal(a, b);
	assert_memory_not_equal(first + 10, der + 10, 20); /* serial number */
	assert_memory_not_equal(first + a - 64, der + a - 64, 64);
}

static void test_padding(void **state)
{
	const size_t plain = build("www.example.org", NOW, 0);

	for (size_t target = 0; target <= HS_CERT_MAX; target += 1 + target / 8) {
		const size_t len = build("www.example.org", NOW, target);

		assert_int_equal(hs_cert_verify(der, len, key), 0);
		check_import(len, "www.example.org", NOW);
		if (target >= plain + 256)
			assert_int_equal(len, target);
		else if (target >= plain + 40)
			assert_in_range(len, target - 12, target);
		else
			assert_in_range(len, plain, plain + 40);
	}
	build("www.example.org", NOW, HS_CERT_MAX);
}

static void test_arguments(void **state)
{
	char name[255];
	size_t len;

	memset(name, 'a', 254);
	name[254] = '\0';
	assert_int_equal(hs_cert_build(der, sizeof(der), public_key, name, key, NOW, 0), -EINVAL);
	assert_int_equal(hs_cert_build(der, sizeof(der), public_key, "", key, NOW, 0), -EINVAL);
	assert_int_equal(
		hs_cert_build(der, sizeof(der), public_key, "a", key, NOW, HS_CERT_MAX + 1),
		-EINVAL);
	len = build("www.example.org", NOW, 0);
	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(
			hs_cert_build(der, cap, public_key, "www.example.org", key, NOW, 0),
			-EMSGSIZE);
	assert_int_equal(hs_cert_build(der, len, public_key, "www.example.org", key, NOW, 0), len);
	assert_int_equal(hs_cert_build(der, 600, public_key, "www.example.org", key, NOW, 601),
			 -EMSGSIZE);
}

static void test_wrong(void **state)
{
	size_t len = build("www.example.org", NOW, 900);
	uint8_t wrong[64];

	memcpy(wrong, key, 64);
	for (int i = 0; i < 512; i += 7) {
		wrong[i / 8] ^= (uint8_t)(1U << i % 8);
		assert_int_equal(hs_cert_verify(der, len, wrong), -EKEYREJECTED);
		wrong[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	for (size_t i = 0; i < len; i++) {
		uint8_t *cut = malloc(i ? i : 1);

		assert_non_null(cut);
		memcpy(cut, der, i);
		assert_int_equal(hs_cert_verify(cut, i, key), -EBADMSG);
		free(cut);
	}
	der[len] = 0;
	assert_int_equal(hs_cert_verify(der, len + 1, key), -EBADMSG);
	for (size_t i = 0; i < 8 * len; i++) {
		int err;

		der[i / 8] ^= (uint8_t)(1U << i % 8);
		err = hs_cert_verify(der, len, key);
		assert_true(err == -EBADMSG || err == -EKEYREJECTED);
		der[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	assert_int_equal(hs_cert_verify(der, len, key), 0);
	/* The length of the signature in two bytes instead of one: no second form of a certificate. */
	assert_int_equal(der[len - 66], 65);
	memmove(der + len - 65, der + len - 66, 66);
	der[len - 66] = 0x81;
	der[3]++; /* of the outer sequence, 82 xx xx */
	assert_int_not_equal(der[3], 0);
	assert_int_equal(hs_cert_verify(der, len + 1, key), -EBADMSG);
}

/* A certificate of a cover site is told from a wrong proof. */
static void test_genuine(void **state)
{
	gnutls_x509_privkey_t k;
	gnutls_x509_crt_t crt;
	gnutls_datum_t out;

	assert_int_equal(gnutls_x509_privkey_init(&k), 0);
	assert_int_equal(
		gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA,
					     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(crt, "\1\2\3", 3), 0);
	assert_int_equal(gnutls_x509_crt_set_activation_time(crt, (time_t)NOW), 0);
	assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, (time_t)NOW + 1000), 0);
	assert_int_equal(gnutls_x509_crt_set_dn(crt, "CN=cover.example.net", NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, k), 0);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, k, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &out), 0);
	assert_int_equal(hs_cert_verify(out.data, out.size, key), -EBADMSG);
	gnutls_free(out.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(k);
	assert_int_equal(hs_cert_verify((const uint8_t *)"", 0, key), -EBADMSG);
}

/* ---- handshakes ---- */
struct pipe {
	uint8_t data[65536];
	size_t head, tail;
};

struct side {
	struct pipe *in, *out;
	const uint8_t *client_key; /* what the client verifies with */
	int verdict;
	gnutls_privkey_t private_key;
	gnutls_pcert_st pcert;
};

static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	struct side *s = ptr;

	assert_true(len <= sizeof(s->out->data) - s->out->tail);
	memcpy(s->out->data + s->out->tail, data, len);
	s->out->tail += len;
	return (ssize_t)len;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
	struct side *s = ptr;
	const size_t n = s->in->tail - s->in->head;

	if (!n) {
		errno = EAGAIN;
		return -1;
	}
	len = len < n ? len : n;
	memcpy(data, s->in->data + s->in->head, len);
	s->in->head += len;
	return (ssize_t)len;
}

static int retrieve(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca,
		    const gnutls_pk_algorithm_t *pk, int n_pk, gnutls_pcert_st **pcert,
		    unsigned int *n_pcert, gnutls_privkey_t *pkey)
{
	struct side *s = gnutls_session_get_ptr(session);

	*pcert = &s->pcert;
	*n_pcert = 1;
	*pkey = s->private_key;
	return 0;
}

static int verify(gnutls_session_t session)
{
	struct side *s = gnutls_session_get_ptr(session);
	const gnutls_datum_t *list;
	unsigned int n;

	list = gnutls_certificate_get_peers(session, &n);
	s->verdict = list && n == 1 ? hs_cert_verify(list[0].data, list[0].size, s->client_key)
				    : -EBADMSG;
	return s->verdict ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

static gnutls_session_t new_session(struct side *s, unsigned int flags,
				    gnutls_certificate_credentials_t cred)
{
	gnutls_session_t session;

	assert_int_equal(gnutls_init(&session, flags | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(session,
						    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:"
						    "+GROUP-X25519",
						    NULL),
			 0);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_session_set_ptr(session, s);
	gnutls_transport_set_ptr(session, s);
	gnutls_transport_set_push_function(session, push);
	gnutls_transport_set_pull_function(session, pull);
	return session;
}

/* Both until neither moves: 0 if both ended well. */
static int shake(gnutls_session_t client, gnutls_session_t server)
{
	int c = GNUTLS_E_AGAIN, s = GNUTLS_E_AGAIN;

	for (int i = 0; i < 20; i++) {
		if (c == GNUTLS_E_AGAIN || c == GNUTLS_E_INTERRUPTED)
			c = gnutls_handshake(client);
		if (s == GNUTLS_E_AGAIN || s == GNUTLS_E_INTERRUPTED)
			s = gnutls_handshake(server);
	}
	return c ? c : s;
}

static int handshake(gnutls_privkey_t server_key, const uint8_t client_key[64], size_t target,
		     int *verdict)
{
	static struct pipe up, down;
	struct side c = { .in = &down, .out = &up, .client_key = client_key, .verdict = 1 };
	struct side s = { .in = &up, .out = &down, .private_key = server_key };
	gnutls_certificate_credentials_t client_cred, server_cred;
	gnutls_datum_t data = { der, (unsigned int)build("www.example.org", NOW, target) };
	gnutls_session_t client, server;
	int err;

	memset(&up, 0, sizeof(up));
	memset(&down, 0, sizeof(down));
	assert_int_equal(gnutls_pcert_import_x509_raw(&s.pcert, &data, GNUTLS_X509_FMT_DER, 0), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&client_cred), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&server_cred), 0);
	gnutls_certificate_set_retrieve_function2(server_cred, retrieve);
	client = new_session(&c, GNUTLS_CLIENT, client_cred);
	server = new_session(&s, GNUTLS_SERVER | GNUTLS_NO_TICKETS, server_cred);
	gnutls_session_set_verify_function(client, verify);
	err = shake(client, server);
	if (!err)
		assert_int_equal(gnutls_protocol_get_version(client), GNUTLS_TLS1_3);
	*verdict = c.verdict;
	gnutls_deinit(client);
	gnutls_deinit(server);
	gnutls_certificate_free_credentials(client_cred);
	gnutls_certificate_free_credentials(server_cred);
	gnutls_pcert_deinit(&s.pcert);
	return err;
}

static void test_handshake(void **state)
{
	uint8_t wrong[64];
	int verdict;

	assert_int_equal(handshake(private_key, key, 0, &verdict), 0);
	assert_int_equal(verdict, 0);
	assert_int_equal(handshake(private_key, key, 2500, &verdict), 0);
	assert_int_equal(verdict, 0);
	/* A server without our static keys. */
	memcpy(wrong, key, 64);
	wrong[0] ^= 1;
	assert_int_not_equal(handshake(private_key, wrong, 0, &verdict), 0);
	assert_int_equal(verdict, -EKEYREJECTED);
	/* One that shows a good certificate without having its key. */
	assert_int_not_equal(handshake(other_private_key, key, 0, &verdict), 0);
	assert_int_not_equal(verdict, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),  cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_padding),	  cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_wrong),	  cmocka_unit_test(test_genuine),
		cmocka_unit_test(test_handshake),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
