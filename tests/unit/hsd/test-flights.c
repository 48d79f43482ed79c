// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * First flights of real HTTP/3 clients, recorded on their way to a web server: they are read to the
 * last byte, in every order of their datagrams and with repetitions, and the gate sends them away.
 * The records are seeds of the fuzz target "initial" as well. Clients: Chromium 156 and curl 8.14 with
 * OpenSSL 3.5 (two datagrams, X25519MLKEM768), gtlsclient of ngtcp2 1.11 and libcurl 8.14 with GnuTLS
 * 3.7 (one).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "clienthello.h"
#include "elligator.h"
#include "hsd-test.h"
#include "initial.h"
#include "reality.h"
#include "reassembly.h"

struct client {
	const char *name;
	unsigned int n_dgrams;
	size_t dcid_len, scid_len;
	bool hybrid_share, x25519_share;
	enum hs_verdict verdict;
};

static const struct client clients[] = {
	{ "chromium", 2, 8, 0, true, true, HS_REJECT_FORMAT },
	{ "curl-openssl", 2, 8, 0, true, true, HS_REJECT_FORMAT },
	{ "gtlsclient", 1, 18, 17, false, true, HS_REJECT_FORMAT },
	{ "libcurl-gnutls", 1, 20, 20, false, true, HS_REJECT_KEY },
};
#define N_CLIENTS (sizeof(clients) / sizeof(clients[0]))

static void load(const struct client *c, struct t_flight *f, struct hs_long_header *h)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", T_FLIGHTS, c->name);
	t_read_flight(path, f);
	assert_int_equal(f->n_dgrams, c->n_dgrams);
	assert_int_equal(hs_long_header_parse(f->dgrams[0], f->lens[0], h), 0);
	assert_int_equal(h->dcid_len, c->dcid_len);
	assert_int_equal(h->scid_len, c->scid_len);
}

static enum hs_initial_result feed(struct hs_reassembly *r, const struct t_flight *f,
				   unsigned int i, const struct hs_long_header *h, size_t *ch_len)
{
	return hs_initial_feed(r, f->dgrams[i], f->lens[i], h->dcid, h->dcid_len, ch_len);
}

/* Each order: complete with the last of them and not before, and the same message every time. */
static void test_every_order(void **state)
{
	static const unsigned int orders[][3] = {
		{ 0, 1, 1 }, { 1, 0, 0 }, { 0, 0, 1 }, { 1, 1, 0 }
	};
	static uint8_t message[HS_CH_MAX];
	struct hs_reassembly r;
	struct hs_long_header h;
	struct t_flight f;
	size_t len, first_len;

	for (size_t c = 0; c < N_CLIENTS; c++) {
		load(&clients[c], &f, &h);
		first_len = 0;
		for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
			unsigned int seen = 0, all = (1u << f.n_dgrams) - 1;

			memset(&r, 0, sizeof(r));
			for (size_t i = 0; i < 3; i++) {
				const unsigned int n = orders[o][i] % f.n_dgrams;

				seen |= 1u << n;
				assert_int_equal(feed(&r, &f, n, &h, &len),
						 seen == all ? HS_INITIAL_COMPLETE
							     : HS_INITIAL_MORE);
			}
			if (first_len == 0) {
				first_len = len;
				memcpy(message, r.data, len);
			}
			assert_int_equal(len, first_len);
			assert_memory_equal(r.data, message, len);
		}
	}
}

static void read_hello(const struct client *c, struct t_flight *f, struct hs_long_header *h,
		       struct hs_reassembly *r, size_t *len)
{
	load(c, f, h);
	memset(r, 0, sizeof(*r));
	for (unsigned int i = 0; i < f->n_dgrams; i++)
		(void)feed(r, f, i, h, len);
	assert_int_equal(hs_reassembly_state(r, len), HS_INITIAL_COMPLETE);
}

static void test_contents(void **state)
{
	struct hs_client_hello ch;
	struct hs_reassembly r;
	struct hs_long_header h;
	struct t_flight f;
	const uint8_t *scid;
	size_t len, scid_len;

	for (size_t c = 0; c < N_CLIENTS; c++) {
		read_hello(&clients[c], &f, &h, &r, &len);
		assert_int_equal(hs_client_hello_parse(r.data, len, &ch), 0);
		assert_true(ch.tls13 && ch.alpn_h3);
		assert_int_equal(ch.session_id_len, 0);
		assert_int_equal(ch.server_name_len, strlen("www.example.org"));
		assert_memory_equal(ch.server_name, "www.example.org", ch.server_name_len);
		assert_int_equal(ch.hybrid_share, clients[c].hybrid_share);
		assert_int_equal(ch.x25519_share, clients[c].x25519_share);
		assert_non_null(ch.transport_params);
		assert_int_equal(hs_tp_initial_scid(ch.transport_params, ch.transport_params_len,
						    &scid, &scid_len),
				 0);
		assert_int_equal(scid_len, h.scid_len);
		assert_memory_equal(scid, h.scid, scid_len);
	}
}

/* None of them carries a credential of ours. */
static void test_gate(void **state)
{
	struct hs_reality_user user = { .short_id = 1 };
	uint8_t secret[32];
	struct hs_gate *gate;

	t_random(secret, sizeof(secret));
	gate = hs_gate_new(secret, 90, 64);
	assert_non_null(gate);
	hs_x25519_base(user.public_key, (const uint8_t[32]){ 7 });
	assert_int_equal(hs_gate_add_user(gate, &user), 0);
	for (size_t c = 0; c < N_CLIENTS; c++) {
		struct hs_first_flight flight = { .quic_version = 1 };
		struct hs_gate_result result;
		struct hs_reassembly r;
		struct hs_long_header h;
		struct t_flight f;

		read_hello(&clients[c], &f, &h, &r, &flight.client_hello_len);
		flight.dcid = h.dcid;
		flight.dcid_len = h.dcid_len;
		flight.scid = h.scid;
		flight.scid_len = h.scid_len;
		flight.client_hello = r.data;
		flight.random = r.data + 6;
		assert_int_equal(hs_gate_check(gate, &flight, 1700000000, &result),
				 clients[c].verdict);
	}
	hs_gate_free(gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
