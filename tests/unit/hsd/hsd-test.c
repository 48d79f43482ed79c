// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared helpers of the tests: see hsd-test.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <nettle/aes.h>
#include <nettle/gcm.h>

#include "hsd-test.h"
#include "kdf.h"

#define EXT_TRANSPORT_PARAMS 57

static void require(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "test helper: %s\n", what);
	abort();
}

void t_unhex(const char *hex, uint8_t *out, size_t len)
{
	require(strlen(hex) == 2 * len, "length of a hex string");
	for (size_t i = 0; i < len; i++) {
		unsigned int v;

		require(sscanf(hex + 2 * i, "%2x", &v) == 1, "hex digits");
		out[i] = (uint8_t)v;
	}
}

void t_random(void *out, size_t len)
{
	static uint8_t key[32];
	static uint64_t counter;
	const char *seed;

	if (!counter) {
		seed = getenv("NEXUS_TEST_SEED");
		seed = seed ? seed : "nexus";
		hs_sha256(key, (const uint8_t *)seed, strlen(seed));
	}
	for (uint8_t *p = out; len;) {
		const size_t n = len < 4096 ? len : 4096;

		counter++;
		hs_hkdf_expand(p, n, key, &counter, sizeof(counter));
		p += n;
		len -= n;
	}
}

uint32_t t_random_below(uint32_t n)
{
	uint32_t v;

	t_random(&v, sizeof(v));
	return v % n;
}

static size_t put_varint2(uint8_t *out, size_t v)
{
	require(v < 1 << 14, "varint of two bytes");
	out[0] = (uint8_t)(0x40 | v >> 8);
	out[1] = (uint8_t)v;
	return 2;
}

size_t t_crypto_frame(uint8_t *out, uint32_t offset, const uint8_t *data, size_t len)
{
	size_t n = 0;

	out[n++] = 0x06;
	n += put_varint2(out + n, offset);
	n += put_varint2(out + n, len);
	memcpy(out + n, data, len);
	return n + len;
}

static size_t put_header(uint8_t *out, const struct t_initial *p, size_t payload_len)
{
	size_t n = 0;

	out[n++] = (uint8_t)((0xc0 | (p->pn_len - 1)) ^ p->first_bits);
	memcpy(out + n, "\0\0\0\1", 4);
	n += 4;
	out[n++] = (uint8_t)p->dcid_len;
	if (p->dcid_len)
		memcpy(out + n, p->dcid, p->dcid_len);
	n += p->dcid_len;
	out[n++] = (uint8_t)p->scid_len;
	if (p->scid_len)
		memcpy(out + n, p->scid, p->scid_len);
	n += p->scid_len;
	require(p->token_len < 64, "token length");
	out[n++] = (uint8_t)p->token_len;
	if (p->token_len)
		memcpy(out + n, p->token, p->token_len);
	n += p->token_len;
	return n + put_varint2(out + n, p->pn_len + payload_len + 16);
}

size_t t_seal_initial(uint8_t *out, size_t cap, const struct t_initial *p, const uint8_t *payload,
		      size_t len)
{
	const struct hs_bytes cid = { p->key_cid ? p->key_cid : p->dcid,
				      p->key_cid ? p->key_cid_len : p->dcid_len };
	uint8_t salt[20], secret[32], client[32], key[16], hp_key[16], iv[12], mask[16];
	struct gcm_aes128_ctx gcm;
	struct aes128_ctx hp;
	size_t pn_at, n;

	require(cap >= 64 + p->dcid_len + p->scid_len + p->token_len + len, "room for an Initial");
	t_unhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", salt, sizeof(salt));
	hs_hkdf_extract(secret, salt, sizeof(salt), &cid, 1);
	hs_hkdf_expand_label(client, 32, secret, "client in");
	hs_hkdf_expand_label(key, 16, client, "quic key");
	hs_hkdf_expand_label(iv, 12, client, "quic iv");
	hs_hkdf_expand_label(hp_key, 16, client, "quic hp");

	pn_at = put_header(out, p, len);
	n = pn_at;
	for (unsigned int i = p->pn_len; i-- > 0;)
		out[n++] = (uint8_t)(p->pn >> (8 * i));
	for (int i = 0; i < 4; i++)
		iv[8 + i] ^= (uint8_t)(p->pn >> (24 - 8 * i));
	gcm_aes128_set_key(&gcm, key);
	gcm_aes128_set_iv(&gcm, 12, iv);
	gcm_aes128_update(&gcm, n, out);
	gcm_aes128_encrypt(&gcm, len, out + n, payload);
	n += len;
	gcm_aes128_digest(&gcm, 16, out + n);
	n += 16;
	aes128_set_encrypt_key(&hp, hp_key);
	aes128_encrypt(&hp, 16, mask, out + pn_at + 4);
	out[0] ^= mask[0] & 0x0f;
	for (unsigned int i = 0; i < p->pn_len; i++)
		out[pn_at + i] ^= mask[1 + i];
	return n;
}

void t_read_flight(const char *path, struct t_flight *f)
{
	FILE *file = fopen(path, "rb");
	size_t left;
	uint8_t *at;

	require(file != NULL, path);
	left = fread(f->data, 1, sizeof(f->data), file);
	require(!ferror(file) && left < sizeof(f->data), path);
	fclose(file);
	f->n_dgrams = 0;
	for (at = f->data; left; f->n_dgrams++) {
		size_t len = left < 2 ? 0 : (size_t)at[0] << 8 | at[1];

		require(len && len <= left - 2 && f->n_dgrams < T_FLIGHT_DGRAMS_MAX, path);
		f->dgrams[f->n_dgrams] = at + 2;
		f->lens[f->n_dgrams] = len;
		at += 2 + len;
		left -= 2 + len;
	}
}

/* ---- a ClientHello from GnuTLS, as ngtcp2 drives it ---- */
struct capture {
	uint8_t *out;
	size_t len, cap;
	const uint8_t *scid;
	size_t scid_len;
};

static int on_handshake_data(gnutls_session_t session, gnutls_record_encryption_level_t level,
			     gnutls_handshake_description_t type, const void *data, size_t len)
{
	struct capture *c = gnutls_session_get_ptr(session);

	if (type != GNUTLS_HANDSHAKE_CLIENT_HELLO)
		return 0;
	require(len <= c->cap - c->len, "room for a ClientHello");
	memcpy(c->out + c->len, data, len);
	c->len += len;
	return 0;
}

static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
		     const void *rx, const void *tx, size_t len)
{
	return 0;
}

static int put_tp(gnutls_session_t session, gnutls_buffer_t ext)
{
	static const uint8_t before[] = { 0x04, 0x04, 0x80, 0x10, 0x00, 0x00,
					  0x01, 0x02, 0x75, 0x30, 0x0f };
	static const uint8_t after[] = { 0x0e, 0x01, 0x02, 0x08, 0x01, 0x01 };
	struct capture *c = gnutls_session_get_ptr(session);
	const uint8_t len = (uint8_t)c->scid_len;

	gnutls_buffer_append_data(ext, before, sizeof(before));
	gnutls_buffer_append_data(ext, &len, 1);
	gnutls_buffer_append_data(ext, c->scid, c->scid_len);
	gnutls_buffer_append_data(ext, after, sizeof(after));
	return 0;
}

static int take_tp(gnutls_session_t session, const unsigned char *data, size_t len)
{
	return 0;
}

static ssize_t pull_nothing(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
	errno = EAGAIN;
	return -1;
}

size_t t_client_hello(uint8_t *out, size_t cap, const uint8_t random[32], const uint8_t *scid,
		      size_t scid_len, const char *server_name)
{
	struct capture c = { .out = out, .cap = cap, .scid = scid, .scid_len = scid_len };
	const gnutls_datum_t rnd = { (void *)random, 32 }, h3 = { (void *)"h3", 2 };
	gnutls_certificate_credentials_t cred;
	gnutls_session_t s;
	int rc;

	require(!gnutls_certificate_allocate_credentials(&cred), "credentials");
	require(!gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NONBLOCK), "session");
	gnutls_session_set_ptr(s, &c);
	rc = gnutls_priority_set_direct(s,
					"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
					"+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:"
					"+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE",
					NULL);
	require(!rc, "priority");
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_server_name_set(s, GNUTLS_NAME_DNS, server_name, strlen(server_name));
	gnutls_alpn_set_protocols(s, &h3, 1, 0);
	gnutls_handshake_set_random(s, &rnd);
	gnutls_handshake_set_secret_function(s, on_secret);
	gnutls_handshake_set_read_function(s, on_handshake_data);
	gnutls_transport_set_pull_function(s, pull_nothing);
	rc = gnutls_session_ext_register(s, "QUIC Transport Parameters", EXT_TRANSPORT_PARAMS,
					 GNUTLS_EXT_TLS, take_tp, put_tp, NULL, NULL, NULL,
					 GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO |
						 GNUTLS_EXT_FLAG_EE);
	require(!rc, "extension");
	rc = gnutls_handshake(s);
	require(rc == GNUTLS_E_AGAIN && c.len > 100, "ClientHello");
	gnutls_deinit(s);
	gnutls_certificate_free_credentials(cred);
	return c.len;
}

void t_pieces_with(struct t_pieces *f, const char *server_name, const uint8_t random[32],
		   const uint8_t scid[20])
{
	memcpy(f->scid, scid, sizeof(f->scid));
	f->hello_len = t_client_hello(f->hello, sizeof(f->hello), random, f->scid, sizeof(f->scid),
				      server_name);
}

void t_pieces_make(struct t_pieces *f, const char *server_name)
{
	uint8_t random[32], scid[20];

	t_random(random, sizeof(random));
	t_random(scid, sizeof(scid));
	t_pieces_with(f, server_name, random, scid);
}

size_t t_piece(const struct t_pieces *f, uint8_t packet[1500], size_t first, size_t end,
	       uint32_t pn)
{
	const struct t_initial p = { .dcid = f->dcid,
				     .dcid_len = 20,
				     .scid = f->scid,
				     .scid_len = 20,
				     .pn = pn,
				     .pn_len = 2 };
	uint8_t payload[1140] = { 0 };

	t_crypto_frame(payload, (uint32_t)first, f->hello + first, end - first);
	return t_seal_initial(packet, 1500, &p, payload, sizeof(payload));
}
