/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GnuTLS for both ends of the handshake: sessions shaped like libcurl-gnutls', the per-connection
 * certificate with the REALITY proof, transport parameters, key log.
 */
#ifndef HS_TLS_H
#define HS_TLS_H

#include <stddef.h>
#include <stdint.h>
#include "conn.h"

/* Once, before the sandbox. 0 or negative errno. */
int hs_tls_global_init(void);
void hs_tls_global_deinit(void);

/* X25519 and ML-KEM-768 in one, X25519MLKEM768 of the registry, as GnuTLS calls it. */
#define HS_TLS_HYBRID_GROUP "GROUP-X25519-MLKEM768"

/* Does the GnuTLS in use offer this group? */
bool hs_tls_offers_group(const char *group);
/*
 * The priority string for a list of cipher names ("aes-128-gcm aes-256-gcm chacha20-poly1305",
 * separated by space, comma or colon; empty = default), with @hybrid_group first if GnuTLS offers
 * it (HS_TLS_HYBRID_GROUP but in tests). NULL, or what is wrong with the list.
 */
const char *hs_tls_priority(const char *ciphers, bool server, const char *hybrid_group, char *out,
			    size_t cap);

/*
 * The private key of certificates. A tunnel's serves many connections, each with a certificate of its
 * own: what proves the server is the certificate's signature field (certproof.h), not this key. It is
 * replaced after HS_CERT_KEY_S; connections that began with it keep it.
 */
#define HS_CERT_KEY_S 60
struct hs_cert_private {
	unsigned int refs;
	uint64_t made_s; /* monotonic */
	gnutls_privkey_t key;
	uint8_t public_key[32];
};
/* Give up a reference; NULL is none. */
void hs_cert_private_put(struct hs_cert_private *p);

/* A parsed priority string, or NULL. */
gnutls_priority_t hs_tls_priority_new(const char *priority);
/* A server's @priority with that suite and that group in front, where it has them at all. */
void hs_tls_prefer(const char *priority, uint16_t suite, uint16_t group, char *out, size_t cap);

/* Make c->tls. 0 or negative errno. */
int hs_tls_new_client(struct hs_conn *c, const char *server_name, const uint8_t random[32]);
int hs_tls_new_server(struct hs_conn *c);
/* Client, first pass: produce the ClientHello into c->client_hello. */
int hs_tls_client_hello(struct hs_conn *c);
/* Server: make the certificate for @name with the proof under c->cert_key. */
int hs_tls_make_cert(struct hs_conn *c, const char *name, uint64_t unix_time_s);
/*
 * A server whose first flight follows a profile (follow.c) makes one packet at a time: ngtcp2 gets the
 * Handshake messages and the 1-RTT key when it is their turn.
 */
void hs_tls_release_handshake(struct hs_conn *c);
void hs_tls_release_1rtt(struct hs_conn *c);
void hs_tls_free(struct hs_conn *c);

/* The negotiated suite as in RFC 8446 B.4, 0 if the data plane does not have it. */
uint16_t hs_tls_cipher(const struct hs_conn *c);
/* The negotiated group as in RFC 8446 4.2.7, 0 if it has no number here. */
uint16_t hs_tls_group(const struct hs_conn *c);
/* Keys of the next phase (RFC 9001 6.1) from the current secret. 0 or negative errno. */
int hs_tls_next_keys(const struct hs_conn *c, const struct hs_conn_keys *now,
		     struct hs_conn_keys *next);

#endif /* HS_TLS_H */
