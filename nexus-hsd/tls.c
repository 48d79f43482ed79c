// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GnuTLS for both ends, see tls.h.
 *
 * The ClientHello is that of libcurl with GnuTLS as far as it can be: its priority string, its ALPN
 * list and its transport parameters (quic.c). max_datagram_frame_size is therefore not in our
 * ClientHello, which everybody can read; the server knows from the authentication that this client
 * takes DATAGRAM frames of any size. The server's own parameters are encrypted and carry it.
 *
 * One thing is put above the likeness: where GnuTLS has X25519MLKEM768, it is offered first.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "certproof.h"
#include "clock.h"
#include "suites.h"
#include "tls.h"
#include "tunnel.h"

#define TP_EXTENSION 0x39

#define PRIORITY_HEAD "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL"
#define PRIORITY_TAIL                                                       \
	"+GROUP-SECP256R1:+GROUP-X25519:+GROUP-SECP384R1:+GROUP-SECP521R1:" \
	"%DISABLE_TLS13_COMPAT_MODE"
/* A server takes X25519 if it is offered, as web servers do. */
#define PRIORITY_TAIL_SERVER                                                \
	"+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:" \
	"%DISABLE_TLS13_COMPAT_MODE:%SERVER_PRECEDENCE"

/* In every priority, in front of the groups. */
#define GROUPS_MARK "-GROUP-ALL:"

static gnutls_certificate_credentials_t server_cred, client_cred;

static const char *append_cipher(const char *name, size_t len, char *list, size_t cap)
{
	size_t used = strlen(list);
	const struct hs_suite *s;

	for (s = hs_suites; s < hs_suites + HS_N_SUITES; s++) {
		if (strlen(s->setting) != len || strncasecmp(s->setting, name, len) != 0)
			continue;
		if (strstr(list, s->gnutls))
			return "a cipher is listed twice";
		snprintf(list + used, cap - used, ":%s", s->gnutls);
		return NULL;
	}
	return "unknown cipher (known: aes-128-gcm, aes-256-gcm, chacha20-poly1305)";
}

bool hs_tls_offers_group(const char *group)
{
	const unsigned int *list;
	gnutls_priority_t p;
	char text[128];
	bool offered;

	snprintf(text, sizeof(text), "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+%s", group);
	if (gnutls_priority_init(&p, text, NULL) < 0)
		return false;
	/* Known, but switched off in this system's configuration: then the list is empty. */
	offered = gnutls_priority_group_list(p, &list) > 0;
	gnutls_priority_deinit(p);
	return offered;
}

const char *hs_tls_priority(const char *names, bool server, const char *hybrid_group, char *out,
			    size_t cap)
{
	const bool hybrid = hs_tls_offers_group(hybrid_group);
	static const char separators[] = " ,:";
	char list[128] = "";
	const char *bad;
	size_t len;

	for (; names += strspn(names, separators), *names; names += len) {
		len = strcspn(names, separators);
		bad = append_cipher(names, len, list, sizeof(list));
		if (bad)
			return bad;
	}
	/*
	 * A client's default is libcurl's list, which ends with AES-128-CCM; no server of ours has
	 * it.
	 */
	if (!*list)
		snprintf(list, sizeof(list), ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305%s",
			 server ? "" : ":+AES-128-CCM");
	snprintf(out, cap, "%s%s:-GROUP-ALL:%s%s%s%s", PRIORITY_HEAD, list, hybrid ? "+" : "",
		 hybrid ? hybrid_group : "", hybrid ? ":" : "",
		 server ? PRIORITY_TAIL_SERVER : PRIORITY_TAIL);
	return NULL;
}

gnutls_priority_t hs_tls_priority_new(const char *priority)
{
	gnutls_priority_t p;

	return gnutls_priority_init(&p, priority, NULL) < 0 ? NULL : p;
}

/* The word of GnuTLS, if the list has it at all. */
static const char *listed_cipher(const char *list, uint16_t number)
{
	const struct hs_suite *s = hs_suite_find(number);

	return s && strstr(list, s->gnutls) ? s->gnutls : NULL;
}

/* Where in @list a group of the cover goes: behind one that is above the likeness. */
static const char *groups_of(const char *list)
{
	const char *at = strstr(list, GROUPS_MARK) + strlen(GROUPS_MARK);
	static const char hybrid[] = "+" HS_TLS_HYBRID_GROUP ":";

	return strncmp(at, hybrid, strlen(hybrid)) == 0 ? at + strlen(hybrid) : at;
}

/* The group as a word of a priority, "" if @list does not have it. */
static void listed_group(const char *list, uint16_t number, char word[32])
{
	const struct hs_group *g = hs_group_find(number);

	word[0] = '\0';
	if (g)
		snprintf(word, 32, "+GROUP-%s:", g->gnutls);
	if (!strstr(list, word))
		word[0] = '\0';
}

void hs_tls_prefer(const char *priority, uint16_t suite, uint16_t group, char *out, size_t cap)
{
	const char *rest = priority + strlen(PRIORITY_HEAD), *behind = groups_of(rest);
	const char *cipher = listed_cipher(rest, suite);
	char word[32];

	listed_group(behind, group, word);
	/* What is named first counts; that it is named again changes nothing. */
	snprintf(out, cap, "%s%s%s%.*s%s%s", PRIORITY_HEAD, cipher ? ":" : "", cipher ? cipher : "",
		 (int)(behind - rest), rest, word, behind);
}

uint16_t hs_tls_cipher(const struct hs_conn *c)
{
	gnutls_cipher_algorithm_t id = gnutls_cipher_get(c->tls);
	size_t i;

	for (i = 0; i < HS_N_SUITES; i++) {
		if (hs_suites[i].cipher == id)
			return hs_suites[i].number;
	}
	return 0;
}

uint16_t hs_tls_group(const struct hs_conn *c)
{
	const char *name = gnutls_group_get_name(gnutls_group_get(c->tls));
	size_t i;

	for (i = 0; name && i < HS_N_GROUPS; i++) {
		if (strcmp(hs_groups[i].gnutls, name) == 0)
			return hs_groups[i].number;
	}
	return 0;
}

/* ---- callbacks of a session; its pointer is the connection ---- */

static int note_keys(struct hs_conn *c, ngtcp2_encryption_level level, const uint8_t *secret,
		     size_t len, bool tx)
{
	struct hs_conn_keys *k = tx ? &c->tx_keys : &c->rx_keys, scratch;
	int rv;

	if (level != NGTCP2_ENCRYPTION_LEVEL_1RTT)
		k = &scratch;
	if (len > sizeof(k->secret))
		return -1;
	if (tx)
		rv = ngtcp2_crypto_derive_and_install_tx_key(c->quic, k->key, k->iv, k->hp, level,
							     secret, len);
	else
		rv = ngtcp2_crypto_derive_and_install_rx_key(c->quic, k->key, k->iv, k->hp, level,
							     secret, len);
	if (rv == 0 && k != &scratch) {
		memcpy(k->secret, secret, len);
		k->secret_len = len;
		k->key_len = gnutls_cipher_get_key_size(gnutls_cipher_get(c->tls));
		k->ready = true;
	}
	explicit_bzero(&scratch, sizeof(scratch));
	return rv == 0 ? 0 : -1;
}

/* ---- what a server whose first flight follows a profile holds back ---- */

static int hold_message(struct hs_conn *c, const uint8_t *data, size_t len)
{
	uint8_t *more = realloc(c->held_tls, c->held_tls_len + len);

	if (!more)
		return -1;
	memcpy(more + c->held_tls_len, data, len);
	c->held_tls = more;
	c->held_tls_len += len;
	return 0;
}

static int hold_secret(struct hs_conn *c, const uint8_t *secret, size_t len)
{
	if (len > sizeof(c->held_secret))
		return -1;
	memcpy(c->held_secret, secret, len);
	c->held_secret_len = len;
	return 0;
}

void hs_tls_release_handshake(struct hs_conn *c)
{
	int rv = 0;

	if (c->held_tls_len > 0)
		rv = ngtcp2_conn_submit_crypto_data(c->quic, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE,
						    c->held_tls, c->held_tls_len);
	if (rv != 0)
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "QUIC failed: %s", ngtcp2_strerror(rv));
	c->held_tls_len = 0;
}

void hs_tls_release_1rtt(struct hs_conn *c)
{
	if (c->held_secret_len > 0 && note_keys(c, NGTCP2_ENCRYPTION_LEVEL_1RTT, c->held_secret,
						c->held_secret_len, true) < 0)
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "the 1-RTT keys are not usable");
	explicit_bzero(c->held_secret, sizeof(c->held_secret));
	c->held_secret_len = 0;
}

static int on_secret(gnutls_session_t s, gnutls_record_encryption_level_t gtls_level,
		     const void *rx, const void *tx, size_t len)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);
	ngtcp2_encryption_level level;

	level = ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(gtls_level);
	if (rx && note_keys(c, level, rx, len, false) < 0)
		return -1;
	if (tx && hs_follow_rules(c) && level == NGTCP2_ENCRYPTION_LEVEL_1RTT)
		return hold_secret(c, tx, len);
	if (tx && note_keys(c, level, tx, len, true) < 0)
		return -1;
	return 0;
}

/*
 * TLS has bytes for the peer: the ClientHello of the first pass is kept, the rest goes to ngtcp2.
 */
static int on_tls_message(gnutls_session_t s, gnutls_record_encryption_level_t gtls_level,
			  gnutls_handshake_description_t type, const void *data, size_t len)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);
	ngtcp2_encryption_level level;
	int rv;

	if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC)
		return 0;
	if (!c->server && !c->quic_started) {
		if (type != GNUTLS_HANDSHAKE_CLIENT_HELLO || c->client_hello_len + len > HS_CH_MAX)
			return -1;
		memcpy(c->client_hello + c->client_hello_len, data, len);
		c->client_hello_len += len;
		return 0;
	}
	level = ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(gtls_level);
	if (hs_follow_rules(c) && level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE)
		return hold_message(c, data, len);
	rv = ngtcp2_conn_submit_crypto_data(c->quic, level, data, len);
	if (rv != 0) {
		ngtcp2_conn_set_tls_error(c->quic, rv);
		return -1;
	}
	return 0;
}

static int on_alert(gnutls_session_t s, gnutls_record_encryption_level_t level,
		    gnutls_alert_level_t alert_level, gnutls_alert_description_t alert)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);

	if (c->quic)
		ngtcp2_conn_set_tls_alert(c->quic, (uint8_t)alert);
	return 0;
}

static int on_peer_params(gnutls_session_t s, const uint8_t *data, size_t len)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);
	int rv;

	rv = ngtcp2_conn_decode_and_set_remote_transport_params(c->quic, data, len);
	if (rv != 0) {
		ngtcp2_conn_set_tls_error(c->quic, rv);
		return -1;
	}
	return 0;
}

static int on_want_params(gnutls_session_t s, gnutls_buffer_t out)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);
	uint8_t buf[HS_TP_MAX];
	ngtcp2_ssize n;

	if (!c->server)
		return gnutls_buffer_append_data(out, c->tp, c->tp_len) ? -1 : 0;
	n = ngtcp2_conn_encode_local_transport_params(c->quic, buf, sizeof(buf));
	if (n < 0)
		return -1;
	return gnutls_buffer_append_data(out, buf, (size_t)n) ? -1 : 0;
}

/* One line of the NSS key log format, to the descriptor the control process gave for it. */
static int on_keylog(gnutls_session_t s, const char *label, const gnutls_datum_t *secret)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);
	char line[64 + 2 * (32 + NQD_SECRET_MAX_LEN) + 4];
	gnutls_datum_t client_random, server_random;
	size_t i, n;

	gnutls_session_get_random(s, &client_random, &server_random);
	if (secret->size > NQD_SECRET_MAX_LEN || strlen(label) > 60 || client_random.size != 32)
		return 0;
	n = (size_t)snprintf(line, sizeof(line), "%s ", label);
	for (i = 0; i < 32; i++)
		n += (size_t)sprintf(line + n, "%02x", client_random.data[i]);
	line[n++] = ' ';
	for (i = 0; i < secret->size; i++)
		n += (size_t)sprintf(line + n, "%02x", secret->data[i]);
	line[n++] = '\n';
	/* A full disk costs the log, not the connection. */
	if (write(c->tunnel->keylog_fd, line, n) < 0)
		errno = 0;
	explicit_bzero(line, sizeof(line));
	return 0;
}

/* The server must prove our server key in its certificate; names and issuers say nothing to us. */
static int on_verify(gnutls_session_t s)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);
	const gnutls_datum_t *chain;
	unsigned int n = 0;

	/* Whoever answers at the cover's address is the cover: nothing is told to it. */
	if (c->visit)
		return 0;
	chain = gnutls_certificate_get_peers(s, &n);
	if (gnutls_certificate_type_get2(s, GNUTLS_CTYPE_SERVER) != GNUTLS_CRT_X509 || n == 0)
		c->cert_verdict = -EBADMSG;
	else
		c->cert_verdict = hs_cert_verify(chain[0].data, chain[0].size, c->cert_key);
	c->cert_checked = true;
	return c->cert_verdict == 0 ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static int on_want_cert(gnutls_session_t s, const gnutls_datum_t *req_ca_rdn, int nreqs,
			const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
			gnutls_pcert_st **pcert, unsigned int *pcert_length,
			gnutls_privkey_t *privkey)
{
	struct hs_conn *c = gnutls_session_get_ptr(s);

	if (!c->has_cert)
		return -1;
	*pcert = &c->cert;
	*pcert_length = 1;
	*privkey = c->cert_private->key;
	return 0;
}

/* ---- sessions ---- */

int hs_tls_global_init(void)
{
	if (gnutls_global_init() < 0 || gnutls_certificate_allocate_credentials(&server_cred) < 0 ||
	    gnutls_certificate_allocate_credentials(&client_cred) < 0)
		return -ENOMEM;
	gnutls_certificate_set_retrieve_function2(server_cred, on_want_cert);
	return 0;
}

void hs_tls_global_deinit(void)
{
	gnutls_certificate_free_credentials(server_cred);
	gnutls_certificate_free_credentials(client_cred);
	gnutls_global_deinit();
}

/* A server chooses what its cover would; a visitor asks what any client of ours asks by default. */
static int set_priority(const struct hs_conn *c)
{
	const struct hs_tunnel *t = c->tunnel;
	char text[HS_PRIORITY_MAX];

	if (c->visit) {
		hs_tls_priority("", false, HS_TLS_HYBRID_GROUP, text, sizeof(text));
		return gnutls_priority_set_direct(c->tls, text, NULL);
	}
	return gnutls_priority_set(c->tls, t->priority ? t->priority : t->config->priority);
}

static int new_session(struct hs_conn *c, unsigned int flags)
{
	static const gnutls_datum_t alpn[] = { { (unsigned char *)"h3", 2 },
					       { (unsigned char *)"h3-29", 5 } };
	gnutls_session_t s;

	if (gnutls_init(&s, flags) < 0)
		return -ENOMEM;
	c->tls = s;
	gnutls_session_set_ptr(s, c);
	gnutls_handshake_set_secret_function(s, on_secret);
	gnutls_handshake_set_read_function(s, on_tls_message);
	gnutls_alert_set_read_function(s, on_alert);
	if (c->tunnel->keylog_fd >= 0)
		gnutls_session_set_keylog_function(s, on_keylog);
	if (set_priority(c) < 0)
		return -EINVAL;
	if (gnutls_alpn_set_protocols(s, alpn, c->server ? 1 : 2, GNUTLS_ALPN_MANDATORY) < 0)
		return -EINVAL;
	if (gnutls_session_ext_register(
		    s, "QUIC Transport Parameters", TP_EXTENSION, GNUTLS_EXT_TLS, on_peer_params,
		    on_want_params, NULL, NULL, NULL,
		    GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE) < 0)
		return -EINVAL;
	return 0;
}

int hs_tls_new_client(struct hs_conn *c, const char *server_name, const uint8_t random[32])
{
	gnutls_datum_t r = { (unsigned char *)random, 32 };
	int err;

	err = new_session(c, GNUTLS_CLIENT);
	if (err < 0)
		return err;
	if (gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, client_cred) < 0 ||
	    gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, server_name, strlen(server_name)) < 0 ||
	    gnutls_handshake_set_random(c->tls, &r) < 0)
		return -EINVAL;
	gnutls_session_set_verify_function(c->tls, on_verify);
	return 0;
}

int hs_tls_new_server(struct hs_conn *c)
{
	int err;

	err = new_session(c, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
	if (err < 0)
		return err;
	if (gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, server_cred) < 0)
		return -EINVAL;
	gnutls_certificate_server_set_request(c->tls, GNUTLS_CERT_IGNORE);
	return 0;
}

int hs_tls_client_hello(struct hs_conn *c)
{
	int rv = gnutls_handshake(c->tls);

	if (rv != GNUTLS_E_AGAIN || c->client_hello_len == 0)
		return -EPROTO;
	return 0;
}

/* ---- the certificate ---- */

void hs_cert_private_put(struct hs_cert_private *p)
{
	if (!p || --p->refs > 0)
		return;
	gnutls_privkey_deinit(p->key);
	free(p);
}

static int export_public(struct hs_cert_private *p)
{
	gnutls_datum_t x = { NULL, 0 };
	gnutls_ecc_curve_t curve;
	gnutls_pubkey_t pub;
	int err = -EIO;

	if (gnutls_pubkey_init(&pub) < 0)
		return -ENOMEM;
	if (gnutls_pubkey_import_privkey(pub, p->key, 0, 0) == 0 &&
	    gnutls_pubkey_export_ecc_raw2(pub, &curve, &x, NULL, 0) == 0) {
		if (x.size == sizeof(p->public_key)) {
			memcpy(p->public_key, x.data, x.size);
			err = 0;
		}
		gnutls_free(x.data);
	}
	gnutls_pubkey_deinit(pub);
	return err;
}

static struct hs_cert_private *new_private(void)
{
	struct hs_cert_private *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->refs = 1;
	p->made_s = hs_now_ns() / HS_NS_PER_S;
	if (gnutls_privkey_init(&p->key) < 0) {
		free(p);
		return NULL;
	}
	if (gnutls_privkey_generate(p->key, GNUTLS_PK_EDDSA_ED25519,
				    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519), 0) < 0 ||
	    export_public(p) < 0) {
		hs_cert_private_put(p);
		return NULL;
	}
	return p;
}

/* The tunnel's key, a new one if it is old, with a reference for the caller. NULL: no memory. */
static struct hs_cert_private *get_private(struct hs_tunnel *t)
{
	struct hs_cert_private *p = t->cert_private;

	if (!p || hs_now_ns() / HS_NS_PER_S - p->made_s >= HS_CERT_KEY_S) {
		hs_cert_private_put(p);
		t->cert_private = p = new_private();
	}
	if (p)
		p->refs++;
	return p;
}

/*
 * What gnutls_pcert_import_x509_raw() would make of @der, without parsing what was built a moment ago.
 */
static int fill_pcert(gnutls_pcert_st *cert, const uint8_t *der, size_t len,
		      const uint8_t public_key[32])
{
	gnutls_datum_t x = { (unsigned char *)public_key, 32 };

	cert->type = GNUTLS_CRT_X509;
	if (gnutls_pubkey_init(&cert->pubkey) < 0)
		return -ENOMEM;
	cert->cert.data = gnutls_malloc(len);
	if (!cert->cert.data ||
	    gnutls_pubkey_import_ecc_raw(cert->pubkey, GNUTLS_ECC_CURVE_ED25519, &x, NULL) < 0) {
		gnutls_pcert_deinit(cert);
		return -ENOMEM;
	}
	memcpy(cert->cert.data, der, len);
	cert->cert.size = (unsigned int)len;
	return 0;
}

int hs_tls_make_cert(struct hs_conn *c, const char *name, uint64_t unix_time_s)
{
	uint8_t der[HS_CERT_MAX];
	ssize_t n;
	int err;

	c->cert_private = get_private(c->tunnel);
	if (!c->cert_private)
		return -ENOMEM;
	n = hs_cert_build(der, sizeof(der), c->cert_private->public_key, name, c->cert_key,
			  unix_time_s, hs_follow_cert_len(c));
	if (n < 0)
		return (int)n;
	err = fill_pcert(&c->cert, der, (size_t)n, c->cert_private->public_key);
	c->has_cert = err == 0;
	return err;
}

void hs_tls_free(struct hs_conn *c)
{
	if (c->tls)
		gnutls_deinit(c->tls);
	c->tls = NULL;
	if (c->has_cert)
		gnutls_pcert_deinit(&c->cert);
	c->has_cert = false;
	hs_cert_private_put(c->cert_private);
	c->cert_private = NULL;
}

/* ---- key schedule ---- */

/* HKDF-Expand-Label (RFC 8446 7.1) with an empty context. */
static int expand_label(gnutls_mac_algorithm_t mac, const uint8_t *secret, size_t secret_len,
			const char *label, uint8_t *out, size_t out_len)
{
	gnutls_datum_t key = { (unsigned char *)secret, (unsigned int)secret_len };
	uint8_t buf[64] = { (uint8_t)(out_len >> 8), (uint8_t)out_len };
	gnutls_datum_t info = { buf, 0 };
	size_t n = strlen(label);

	buf[2] = (uint8_t)(6 + n);
	memcpy(buf + 3, "tls13 ", 6);
	memcpy(buf + 9, label, n);
	buf[9 + n] = 0;
	info.size = (unsigned int)(10 + n);
	return gnutls_hkdf_expand(mac, &key, &info, out, out_len) < 0 ? -EIO : 0;
}

int hs_tls_next_keys(const struct hs_conn *c, const struct hs_conn_keys *now,
		     struct hs_conn_keys *next)
{
	gnutls_mac_algorithm_t mac = now->secret_len == 48 ? GNUTLS_MAC_SHA384 : GNUTLS_MAC_SHA256;

	next->secret_len = now->secret_len;
	next->key_len = now->key_len;
	if (expand_label(mac, now->secret, now->secret_len, "quic ku", next->secret,
			 next->secret_len) < 0 ||
	    expand_label(mac, next->secret, next->secret_len, "quic key", next->key,
			 next->key_len) < 0 ||
	    expand_label(mac, next->secret, next->secret_len, "quic iv", next->iv,
			 sizeof(next->iv)) < 0)
		return -EIO;
	next->ready = true;
	return 0;
}
