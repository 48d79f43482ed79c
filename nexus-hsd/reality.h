/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * REALITY for QUIC, version 1: the credential in ClientHello.random, SCID and DCID, and the gate that
 * judges it. docs/wire-format.md describes the bytes. No I/O, no clock: time is an argument.
 *
 * Keys: server static (s,S), client static (c,C), optional 32-byte preshared key, client ephemeral (e,E).
 *   random = Elligator2 representative of E
 *   k0     = HKDF-Extract(salt "nexus reality 1", X25519(e,S))
 *   SCID   = HKDF-Expand(k0,"scid",20) XOR (version 1 | flags 1 | unix time BE 4 | short id 8 | zero 6)
 *   k1     = HKDF-Extract(salt k0, X25519(c,S) | psk)
 *   DCID   = HMAC-SHA256(HKDF-Expand(k1,"dcid",32), version BE 4 | SCID | ClientHello)[0..20)
 *   cert   = HKDF-Expand(k1, "cert" | SHA-256(ClientHello), 64)
 */
#ifndef HS_REALITY_H
#define HS_REALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HS_REALITY_CID_LEN	20
#define HS_REALITY_VERSION	1

/* ---- client ---- */
struct hs_reality_client {
	uint8_t server_public[32], secret[32], psk[32];
	bool has_psk;
	uint64_t short_id;
};

/* One attempt; wipe with hs_reality_attempt_wipe(). */
struct hs_reality_attempt {
	uint8_t random[32];
	uint8_t scid[HS_REALITY_CID_LEN];
	uint8_t k1[32];
};

/* Steps 1-4: choose E, make random and SCID. 0 or -errno. */
int hs_reality_attempt_init(struct hs_reality_attempt *a, const struct hs_reality_client *c,
			    uint64_t unix_time_s);
/* Step 5: the tag over the finished ClientHello (handshake message with its 4-byte header). */
int hs_reality_attempt_dcid(const struct hs_reality_attempt *a, uint32_t quic_version,
			    const uint8_t *client_hello, size_t len, uint8_t dcid[HS_REALITY_CID_LEN]);
/* Step 7: the key of the server's certificate proof. */
int hs_reality_cert_key(const uint8_t k1[32], const uint8_t *client_hello, size_t len,
			uint8_t key[64]);
void hs_reality_attempt_wipe(struct hs_reality_attempt *a);

/* ---- server ---- */
enum hs_verdict {
	HS_ACCEPT,
	HS_REJECT_FORMAT,	/* not 20-byte CIDs, no TLS 1.3 ClientHello, name not ours ... */
	HS_REJECT_KEY,		/* version byte or zero pad: not made for our key */
	HS_REJECT_TIME,
	HS_REJECT_SHORT_ID,
	HS_REJECT_TAG,
	HS_REJECT_REPLAY,	/* seen, or the cache is full */
	HS_REJECT_BUDGET,	/* not judged: too many at this moment (the caller's verdict) */
};

struct hs_reality_user {
	char name[64];
	uint64_t short_id;
	uint8_t public_key[32];
	bool has_psk;
	uint8_t psk[32];
	uint8_t shared[32];	/* X25519(s,C), computed by hs_gate_add_user() */
	uint8_t old_shared[32];	/* the same with the server's former key, while it is accepted */
	void *owner;		/* of the caller */
};

struct hs_gate;

/* @replay_entries bounds the cache. NULL without memory. */
struct hs_gate *hs_gate_new(const uint8_t server_secret[32], uint32_t time_window_s,
			    size_t replay_entries);
/*
 * Accept credentials for the server's former key as well, while the time is before @until_s. Before the
 * first user is added. -EINVAL: too late, no time, or it is the very same key.
 */
int hs_gate_set_old_key(struct hs_gate *g, const uint8_t server_secret[32], uint64_t until_s);
/* Wipe the former key if its time is over. True once, when that happens. */
bool hs_gate_expire_old_key(struct hs_gate *g, uint64_t unix_time_s);
/* Until when the former key is accepted; 0: there is none. */
uint64_t hs_gate_old_key_until(const struct hs_gate *g);
/* Copies @u. 0, -EEXIST (short id), -EINVAL (short id 0, low-order key), -ENOMEM. */
int hs_gate_add_user(struct hs_gate *g, const struct hs_reality_user *u);
/* Take the replay cache of an older gate along (a reload must not open the window again). */
void hs_gate_inherit(struct hs_gate *g, struct hs_gate *old);
/*
 * Keep the replay cache in the shared memory @fd (hs_replay_attach(); not consumed) from now on, with
 * what is in there and what the gate has seen itself. 0; 1: it was damaged; -errno: all stays as it was.
 */
int hs_gate_keep_replay(struct hs_gate *g, int fd, uint64_t unix_time_s);
void hs_gate_free(struct hs_gate *g); /* wipes */

/* What the parsers found in the first flight. */
struct hs_first_flight {
	uint32_t quic_version;
	const uint8_t *dcid, *scid;
	size_t dcid_len, scid_len;
	const uint8_t *client_hello;	/* handshake message with header */
	size_t client_hello_len;
	const uint8_t *random;		/* 32 bytes, inside the ClientHello */
};

struct hs_gate_result {
	const struct hs_reality_user *user;
	uint8_t k1[32];			/* the caller wipes */
	bool old_key;			/* made for the server's former key */
};

/*
 * Step 6: one scalar multiplication at most, two while a former key is accepted; the tag is compared
 * in constant time; an accepted random enters the replay cache, which is one for both keys.
 */
enum hs_verdict hs_gate_check(struct hs_gate *g, const struct hs_first_flight *f,
			      uint64_t unix_time_s, struct hs_gate_result *r);

/*
 * A flight of which only the beginning of the ClientHello is there (f->client_hello; f->random is not
 * looked at): can it still be let in? HS_ACCEPT or why not; no client of ours begins with less than the
 * random. The same work as above, and nothing is remembered.
 */
enum hs_verdict hs_gate_check_begin(const struct hs_gate *g, const struct hs_first_flight *f,
				    uint64_t unix_time_s);

#endif /* HS_REALITY_H */
