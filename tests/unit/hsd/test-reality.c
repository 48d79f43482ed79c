// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * REALITY end to end without a network: a client's attempt over a real GnuTLS ClientHello is judged
 * by the gate; then everything that can be wrong about it, one thing at a time.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "clienthello.h"
#include "elligator.h"
#include "hsd-test.h"
#include "kdf.h"
#include "reality-keys.h"
#include "reality.h"

#define NOW 1763600000ULL
#define WINDOW_S 90
#define ID_ALICE 0x0123456789abcdefULL
#define ID_BOB 0xfedcba9876543210ULL

struct world {
	struct hs_gate *gate;
	uint8_t server_secret[32], server_public[32];
	struct hs_reality_client alice, bob; /* bob has a preshared key */
};

/* One first flight, with the storage its pointers lead to. */
struct flight {
	struct hs_reality_attempt attempt;
	uint8_t hello[2048], dcid[20], scid[20];
	size_t hello_len;
	struct hs_first_flight f;
};

static void make_client(struct hs_reality_client *c, const uint8_t server_public[32], uint64_t id,
			bool psk)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->server_public, server_public, 32);
	t_random(c->secret, 32);
	c->short_id = id;
	c->has_psk = psk;
	if (psk)
		t_random(c->psk, 32);
}

static void add_user(struct hs_gate *g, const struct hs_reality_client *c, const char *name)
{
	struct hs_reality_user u = { .short_id = c->short_id, .has_psk = c->has_psk };

	snprintf(u.name, sizeof(u.name), "%s", name);
	memcpy(u.psk, c->psk, 32);
	hs_x25519_base(u.public_key, c->secret);
	assert_int_equal(hs_gate_add_user(g, &u), 0);
}

static int setup(void **state)
{
	static struct world w;

	t_random(w.server_secret, 32);
	hs_x25519_base(w.server_public, w.server_secret);
	w.gate = hs_gate_new(w.server_secret, WINDOW_S, 1000);
	assert_non_null(w.gate);
	make_client(&w.alice, w.server_public, ID_ALICE, false);
	make_client(&w.bob, w.server_public, ID_BOB, true);
	add_user(w.gate, &w.alice, "alice");
	add_user(w.gate, &w.bob, "bob");
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	hs_gate_free(w->gate);
	return 0;
}

/* Point the flight's view at its own storage, and tag it anew. */
static void seal(struct flight *fl)
{
	assert_int_equal(
		hs_reality_attempt_dcid(&fl->attempt, 1, fl->hello, fl->hello_len, fl->dcid), 0);
	memcpy(fl->scid, fl->attempt.scid, 20);
	fl->f = (struct hs_first_flight){
		.quic_version = 1,
		.dcid = fl->dcid,
		.scid = fl->scid,
		.dcid_len = 20,
		.scid_len = 20,
		.client_hello = fl->hello,
		.client_hello_len = fl->hello_len,
		.random = fl->hello + 6,
	};
}

static void make_flight(struct flight *fl, const struct hs_reality_client *c, uint64_t time_s)
{
	assert_int_equal(hs_reality_attempt_init(&fl->attempt, c, time_s), 0);
	fl->hello_len = t_client_hello(fl->hello, sizeof(fl->hello), fl->attempt.random,
				       fl->attempt.scid, 20, "www.example.org");
	seal(fl);
}

static enum hs_verdict check_at(struct hs_gate *g, const struct flight *fl, uint64_t now)
{
	static const struct hs_gate_result zero;
	struct hs_gate_result r;
	enum hs_verdict v = hs_gate_check(g, &fl->f, now, &r);

	if (v == HS_ACCEPT) {
		assert_non_null(r.user);
		assert_memory_equal(r.k1, fl->attempt.k1, 32);
	} else {
		assert_memory_equal(&r, &zero, sizeof(r));
	}
	return v;
}

static void test_accept(void **state)
{
	struct world *w = *state;
	struct hs_client_hello ch;
	struct hs_gate_result r;
	const uint8_t *scid;
	struct flight fl;
	size_t scid_len;

	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(hs_client_hello_parse(fl.hello, fl.hello_len, &ch), 0);
	assert_ptr_equal(ch.random, fl.f.random);
	assert_true(ch.tls13 && ch.alpn_h3 && ch.x25519_share);
	assert_int_equal(
		hs_tp_initial_scid(ch.transport_params, ch.transport_params_len, &scid, &scid_len),
		0);
	assert_int_equal(scid_len, 20);
	assert_memory_equal(scid, fl.scid, 20);
	assert_int_equal(hs_gate_check(w->gate, &fl.f, NOW, &r), HS_ACCEPT);
	assert_string_equal(r.user->name, "alice");
	assert_memory_equal(r.k1, fl.attempt.k1, 32);

	make_flight(&fl, &w->bob, NOW);
	assert_int_equal(hs_gate_check(w->gate, &fl.f, NOW, &r), HS_ACCEPT);
	assert_string_equal(r.user->name, "bob");
}

static enum hs_verdict check_begin(const struct world *w, const struct flight *fl, size_t len)
{
	struct hs_first_flight f = fl->f;

	f.client_hello_len = len;
	f.random = NULL;
	return hs_gate_check_begin(w->gate, &f, NOW);
}

/* Random and SCID tell strangers from users before the rest of the ClientHello is there. */
static void test_begin(void **state)
{
	struct world *w = *state;
	struct hs_reality_client c;
	struct flight fl;

	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(check_begin(w, &fl, 0), HS_REJECT_FORMAT);
	assert_int_equal(check_begin(w, &fl, 37), HS_REJECT_FORMAT);
	assert_int_equal(check_begin(w, &fl, 38), HS_ACCEPT);
	assert_int_equal(check_begin(w, &fl, fl.hello_len), HS_ACCEPT);
	/* Nothing was remembered: all of it is let in. */
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
	fl.hello[6] ^= 1;
	assert_int_equal(check_begin(w, &fl, 38), HS_REJECT_KEY);
	fl.hello[6] ^= 1;
	fl.scid[19] ^= 1;
	assert_int_equal(check_begin(w, &fl, 38), HS_REJECT_KEY);
	make_flight(&fl, &w->alice, NOW - WINDOW_S - 1);
	assert_int_equal(check_begin(w, &fl, 38), HS_REJECT_TIME);
	make_client(&c, w->server_public, 0x9999, false);
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_begin(w, &fl, 38), HS_REJECT_SHORT_ID);
	fl.f.scid_len = 19;
	assert_int_equal(check_begin(w, &fl, 38), HS_REJECT_FORMAT);
}

static void test_replay(void **state)
{
	struct world *w = *state;
	struct flight fl, other;

	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_REPLAY);
	assert_int_equal(check_at(w->gate, &fl, NOW + WINDOW_S), HS_REJECT_REPLAY);
	assert_int_equal(check_at(w->gate, &fl, NOW + WINDOW_S + 1), HS_REJECT_TIME);
	/* The entry is forgotten now; a clock that steps back does not open the door again. */
	make_flight(&other, &w->alice, NOW + WINDOW_S + 1);
	assert_int_equal(check_at(w->gate, &other, NOW + WINDOW_S + 1), HS_ACCEPT);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_REPLAY);
}

static void test_clock(void **state)
{
	static const int64_t off[] = { -3600, -91, -90, 0, 90, 91, 3600 };
	struct world *w = *state;
	struct flight fl;

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		const bool inside = off[i] >= -WINDOW_S && off[i] <= WINDOW_S;

		make_flight(&fl, &w->alice, NOW + off[i]);
		assert_int_equal(check_at(w->gate, &fl, NOW), inside ? HS_ACCEPT : HS_REJECT_TIME);
	}
	/* Across the wrap of the 32 bits that travel. */
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		const uint64_t wrap = (1ULL << 32) + 10;
		const bool inside = off[i] >= -WINDOW_S && off[i] <= WINDOW_S;

		make_flight(&fl, &w->alice, wrap + off[i]);
		assert_int_equal(check_at(w->gate, &fl, wrap), inside ? HS_ACCEPT : HS_REJECT_TIME);
	}
	/* The same 32 bits, half an epoch away. */
	make_flight(&fl, &w->alice, (1ULL << 32) + (1ULL << 31));
	assert_int_equal(check_at(w->gate, &fl, 1ULL << 32), HS_REJECT_TIME);
}

static void test_wrong_keys(void **state)
{
	struct hs_reality_client c;
	struct world *w = *state;
	struct flight fl;

	/* Another client key under a known short id. */
	c = w->alice;
	t_random(c.secret, 32);
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_TAG);
	/* Made for another server. */
	c = w->alice;
	t_random(c.psk, 32);
	hs_x25519_base(c.server_public, c.psk);
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_KEY);
	/* Unknown short id, also 0. */
	c = w->alice;
	c.short_id ^= 1;
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_SHORT_ID);
	c.short_id = 0;
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_SHORT_ID);
	/* Somebody else's short id. */
	c = w->alice;
	c.short_id = ID_BOB;
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_TAG);
}

static void test_psk(void **state)
{
	struct hs_reality_client c;
	struct world *w = *state;
	struct flight fl;

	c = w->bob;
	c.psk[31] ^= 1;
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_TAG);
	c = w->bob;
	c.has_psk = false;
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_TAG);
	c = w->alice;
	c.has_psk = true;
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_TAG);
}

/* A censor's probe: the captured random and CIDs with a key share of its own. */
static void test_altered_key_share(void **state)
{
	struct world *w = *state;
	uint8_t *share = NULL;
	struct flight fl;

	make_flight(&fl, &w->alice, NOW);
	for (size_t i = 0; i + 36 < fl.hello_len && !share; i++) {
		if (!memcmp(fl.hello + i, "\x00\x1d\x00\x20", 4))
			share = fl.hello + i + 4;
	}
	assert_non_null(share);
	share[5] ^= 0x10;
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_TAG);
	share[5] ^= 0x10;
	/* Nothing of it entered the replay cache. */
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
}

static void test_format(void **state)
{
	struct world *w = *state;
	struct flight fl;
	uint8_t copy[32];

	make_flight(&fl, &w->alice, NOW);
	fl.f.quic_version = 0x6b3343cf;
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_FORMAT);
	fl.f.quic_version = 1;
	fl.f.dcid_len = 19;
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_FORMAT);
	fl.f.dcid_len = 20;
	fl.f.scid_len = 0;
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_FORMAT);
	fl.f.scid_len = 20;
	for (size_t len = 0; len < 38; len++) {
		fl.f.client_hello_len = len;
		assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_FORMAT);
	}
	fl.f.client_hello_len = fl.hello_len;
	memcpy(copy, fl.f.random, 32);
	fl.f.random = copy;
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_FORMAT);
	fl.f.random = fl.hello + 6;
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
}

static void test_truncated(void **state)
{
	struct world *w = *state;
	struct flight fl;

	make_flight(&fl, &w->alice, NOW);
	for (size_t len = 0; len < fl.hello_len; len++) {
		fl.f.client_hello_len = len;
		assert_int_equal(check_at(w->gate, &fl, NOW),
				 len < 38 ? HS_REJECT_FORMAT : HS_REJECT_TAG);
	}
}

/* Every single bit of random, SCID, DCID and ClientHello counts. */
static void test_bit_flips(void **state)
{
	struct world *w = *state;
	struct flight fl;
	struct {
		uint8_t *at;
		size_t len;
	} parts[] = { { fl.dcid, 20 }, { fl.scid, 20 }, { fl.hello, 0 } };

	make_flight(&fl, &w->alice, NOW);
	parts[2].len = fl.hello_len;
	for (size_t p = 0; p < 3; p++) {
		for (size_t i = 0; i < parts[p].len; i++) {
			const uint8_t bit = (uint8_t)(1U << t_random_below(8));

			parts[p].at[i] ^= bit;
			assert_int_not_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
			parts[p].at[i] ^= bit;
		}
	}
	for (unsigned int i = 0; i < 256; i++) {
		fl.hello[6 + i / 8] ^= (uint8_t)(1U << i % 8);
		assert_int_not_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
		fl.hello[6 + i / 8] ^= (uint8_t)(1U << i % 8);
	}
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
}

/*
 * random = a representative of a low-order point: the shared secret is zero, known to everybody, and
 * so a claim can be made without any key. It must not get as far as the tag.
 */
static void test_low_order_random(void **state)
{
	static const uint8_t shared[32];
	uint8_t claim[20] = { 1 }, k0[32];
	struct world *w = *state;
	struct flight fl;

	make_flight(&fl, &w->alice, NOW);
	memset(fl.hello + 6, 0, 32);
	for (int i = 0; i < 4; i++)
		claim[HS_CLAIM_TIME + i] = (uint8_t)(NOW >> (24 - 8 * i));
	for (int i = 0; i < 8; i++)
		claim[HS_CLAIM_SHORT_ID + i] = (uint8_t)(ID_ALICE >> (56 - 8 * i));
	hs_reality_k0(k0, shared);
	hs_reality_mask_scid(fl.scid, claim, k0);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_REJECT_KEY);
}

static void test_version_and_pad(void **state)
{
	struct world *w = *state;
	struct flight fl;

	/* The SCID is a mask: flipping a bit of it flips that bit of the claim. */
	make_flight(&fl, &w->alice, NOW);
	for (size_t i = 0; i < 20; i++) {
		const enum hs_verdict want[20] = {
			HS_REJECT_KEY,	    HS_REJECT_TAG,	HS_REJECT_TIME,
			HS_REJECT_TIME,	    HS_REJECT_TIME,	HS_REJECT_TIME,
			HS_REJECT_SHORT_ID, HS_REJECT_SHORT_ID, HS_REJECT_SHORT_ID,
			HS_REJECT_SHORT_ID, HS_REJECT_SHORT_ID, HS_REJECT_SHORT_ID,
			HS_REJECT_SHORT_ID, HS_REJECT_SHORT_ID, HS_REJECT_KEY,
			HS_REJECT_KEY,	    HS_REJECT_KEY,	HS_REJECT_KEY,
			HS_REJECT_KEY,	    HS_REJECT_KEY,
		};

		fl.scid[i] ^= 0x80;
		assert_int_equal(check_at(w->gate, &fl, NOW), want[i]);
		fl.scid[i] ^= 0x80;
	}
}

static void test_users(void **state)
{
	static const uint8_t low_order[32] = { 1 };
	struct hs_reality_client c[40];
	struct world *w = *state;
	struct hs_reality_user u = { .short_id = 0 };
	struct hs_gate_result r;
	struct flight fl;

	hs_x25519_base(u.public_key, w->alice.secret);
	assert_int_equal(hs_gate_add_user(w->gate, &u), -EINVAL);
	u.short_id = ID_ALICE;
	assert_int_equal(hs_gate_add_user(w->gate, &u), -EEXIST);
	u.short_id = 77;
	memcpy(u.public_key, low_order, 32);
	assert_int_equal(hs_gate_add_user(w->gate, &u), -EINVAL);
	/* Enough to make the table grow, with ids that share low bits. */
	for (unsigned int i = 0; i < 40; i++) {
		char name[16];

		make_client(&c[i], w->server_public, (uint64_t)(i + 1) << 40, i % 2);
		snprintf(name, sizeof(name), "user%u", i);
		add_user(w->gate, &c[i], name);
	}
	for (unsigned int i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "user%u", i);
		make_flight(&fl, &c[i], NOW);
		assert_int_equal(hs_gate_check(w->gate, &fl.f, NOW, &r), HS_ACCEPT);
		assert_string_equal(r.user->name, name);
	}
}

static void test_reload(void **state)
{
	struct world *w = *state;
	struct flight fl, fresh;
	struct hs_gate *g;

	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(check_at(w->gate, &fl, NOW), HS_ACCEPT);
	/* Smaller cache, wider window, no bob. */
	g = hs_gate_new(w->server_secret, 3600, 10);
	assert_non_null(g);
	add_user(g, &w->alice, "alice");
	hs_gate_inherit(g, w->gate);
	hs_gate_free(w->gate);
	w->gate = g;
	assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_REPLAY);
	assert_int_equal(check_at(g, &fl, NOW + 3600), HS_REJECT_REPLAY);
	make_flight(&fresh, &w->alice, NOW + 100);
	assert_int_equal(check_at(g, &fresh, NOW), HS_ACCEPT);
	make_flight(&fresh, &w->bob, NOW);
	assert_int_equal(check_at(g, &fresh, NOW), HS_REJECT_SHORT_ID);
}

/* A gate with a new key that accepts the world's key as well, for ten more seconds. */
static struct hs_gate *rotate(struct world *w, struct hs_reality_client *moved)
{
	uint8_t secret[32];
	struct hs_gate *g;

	t_random(secret, 32);
	*moved = w->alice;
	hs_x25519_base(moved->server_public, secret);
	g = hs_gate_new(secret, WINDOW_S, 1000);
	assert_non_null(g);
	assert_int_equal(hs_gate_set_old_key(g, secret, NOW + 10), -EINVAL);
	assert_int_equal(hs_gate_set_old_key(g, w->server_secret, 0), -EINVAL);
	assert_true(hs_gate_old_key_until(g) == 0);
	assert_int_equal(hs_gate_set_old_key(g, w->server_secret, NOW + 10), 0);
	add_user(g, &w->alice, "alice");
	add_user(g, &w->bob, "bob");
	assert_int_equal(hs_gate_set_old_key(g, w->server_secret, NOW + 10), -EINVAL);
	return g;
}

/* With an old key too. */
static void test_begin_old_key(void **state)
{
	struct world *w = *state, rotated = *w;
	struct hs_reality_client moved;
	struct flight fl;

	rotated.gate = rotate(w, &moved);
	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(check_begin(&rotated, &fl, 38), HS_ACCEPT);
	make_flight(&fl, &moved, NOW);
	assert_int_equal(check_begin(&rotated, &fl, 38), HS_ACCEPT);
	fl.scid[19] ^= 1;
	assert_int_equal(check_begin(&rotated, &fl, 38), HS_REJECT_KEY);
	hs_gate_free(rotated.gate);
}

static void test_old_key(void **state)
{
	struct hs_reality_client moved;
	struct world *w = *state;
	struct hs_gate *g = rotate(w, &moved);
	struct hs_gate_result r;
	struct flight fl;

	/* The proof is under k1 of the key that the client knows. */
	make_flight(&fl, &moved, NOW);
	assert_int_equal(hs_gate_check(g, &fl.f, NOW, &r), HS_ACCEPT);
	assert_memory_equal(r.k1, fl.attempt.k1, 32);
	assert_false(r.old_key);
	assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_REPLAY);
	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(hs_gate_check(g, &fl.f, NOW, &r), HS_ACCEPT);
	assert_memory_equal(r.k1, fl.attempt.k1, 32);
	assert_true(r.old_key);
	assert_string_equal(r.user->name, "alice");
	/* One replay cache for both. */
	assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_REPLAY);
	make_flight(&fl, &w->bob, NOW);
	assert_int_equal(check_at(g, &fl, NOW), HS_ACCEPT);
	hs_gate_free(g);
}

/* The verdict is that of the key the flight was made for. */
static void test_old_key_verdicts(void **state)
{
	struct hs_reality_client moved, c;
	struct world *w = *state;
	struct hs_gate *g = rotate(w, &moved);
	struct flight fl;

	for (int i = 0; i < 2; i++) {
		const struct hs_reality_client *base = i ? &moved : &w->alice;

		make_flight(&fl, base, NOW - WINDOW_S - 1);
		assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_TIME);
		c = *base;
		c.short_id ^= 1;
		make_flight(&fl, &c, NOW);
		assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_SHORT_ID);
		c = *base;
		t_random(c.secret, 32);
		make_flight(&fl, &c, NOW);
		assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_TAG);
	}
	c = w->alice;
	t_random(c.psk, 32);
	hs_x25519_base(c.server_public, c.psk);
	make_flight(&fl, &c, NOW);
	assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_KEY);
	hs_gate_free(g);
}

static void test_old_key_expires(void **state)
{
	struct hs_reality_client moved;
	struct world *w = *state;
	struct hs_gate *g = rotate(w, &moved);
	struct flight fl;

	make_flight(&fl, &w->alice, NOW);
	/* At judgement, whether or not anybody has wiped it yet. */
	assert_int_equal(check_at(g, &fl, NOW + 10), HS_REJECT_KEY);
	assert_int_equal(check_at(g, &fl, NOW + 9), HS_ACCEPT);
	assert_false(hs_gate_expire_old_key(g, NOW + 9));
	assert_true(hs_gate_old_key_until(g) == NOW + 10);
	assert_true(hs_gate_expire_old_key(g, NOW + 10));
	assert_false(hs_gate_expire_old_key(g, NOW + 10));
	assert_true(hs_gate_old_key_until(g) == 0);
	/* A clock that steps back does not bring it back. */
	make_flight(&fl, &w->alice, NOW);
	assert_int_equal(check_at(g, &fl, NOW), HS_REJECT_KEY);
	make_flight(&fl, &moved, NOW);
	assert_int_equal(check_at(g, &fl, NOW), HS_ACCEPT);
	hs_gate_free(g);
}

/* How often the gate has calculated. */
static unsigned int n_x25519, n_tags;

int __real_hs_x25519(uint8_t out[32], const uint8_t secret[32], const uint8_t point[32]);
int __wrap_hs_x25519(uint8_t out[32], const uint8_t secret[32], const uint8_t point[32]);
int __wrap_hs_x25519(uint8_t out[32], const uint8_t secret[32], const uint8_t point[32])
{
	n_x25519++;
	return __real_hs_x25519(out, secret, point);
}

void __real_hs_reality_tag(uint8_t tag[20], const uint8_t k1[32], uint32_t version,
			   const uint8_t scid[20], const uint8_t *hello, size_t len);
void __wrap_hs_reality_tag(uint8_t tag[20], const uint8_t k1[32], uint32_t version,
			   const uint8_t scid[20], const uint8_t *hello, size_t len);
void __wrap_hs_reality_tag(uint8_t tag[20], const uint8_t k1[32], uint32_t version,
			   const uint8_t scid[20], const uint8_t *hello, size_t len)
{
	n_tags++;
	__real_hs_reality_tag(tag, k1, version, scid, hello, len);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#define ROUNDS 301

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* One refusal: counts what was calculated, returns the time it took. */
static uint64_t measure(struct hs_gate *g, const struct flight *fl, unsigned int multiplications)
{
	struct hs_gate_result r;
	uint64_t start;

	n_x25519 = n_tags = 0;
	start = cpu_ns();
	assert_int_not_equal(hs_gate_check(g, &fl->f, NOW, &r), HS_ACCEPT);
	start = cpu_ns() - start;
	assert_int_equal(n_x25519, multiplications);
	assert_int_equal(n_tags, multiplications);
	return start;
}

/*
 * Every refusal costs the same, whichever key the flight was made for and whatever is wrong with it;
 * with an old key that is twice what it is without. What is calculated is checked; the medians of the
 * time are there to read, as a busy machine measures what it likes.
 */
static void test_constant_work(void **state)
{
	static const char *const what[] = { "other key", "old time",   "old replay", "old tag",
					    "new time",	 "new replay", "new tag",    "no old key" };
	static uint64_t ns[8][ROUNDS];
	struct hs_reality_client moved, c;
	struct world *w = *state;
	struct hs_gate *g = rotate(w, &moved);
	struct flight fl[7];

	c = w->alice;
	t_random(c.psk, 32);
	hs_x25519_base(c.server_public, c.psk);
	make_flight(&fl[0], &c, NOW);
	for (int i = 0; i < 2; i++) {
		const struct hs_reality_client *base = i ? &moved : &w->alice;

		make_flight(&fl[3 * i + 1], base, NOW - WINDOW_S - 1);
		make_flight(&fl[3 * i + 2], base, NOW);
		assert_int_equal(check_at(g, &fl[3 * i + 2], NOW), HS_ACCEPT);
		c = *base;
		t_random(c.secret, 32);
		make_flight(&fl[3 * i + 3], &c, NOW);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 7; i++)
			ns[i][round] = measure(g, &fl[i], 2);
		ns[7][round] = measure(w->gate, &fl[0], 1);
	}
	for (int i = 0; i < 8; i++) {
		qsort(ns[i], ROUNDS, sizeof(ns[i][0]), by_value);
		print_message("%-10s %lu ns\n", what[i], (unsigned long)ns[i][ROUNDS / 2]);
	}
	/* Past its time the old key costs nothing. */
	assert_true(hs_gate_expire_old_key(g, NOW + 10));
	measure(g, &fl[0], 1);
	hs_gate_free(g);
}

static void test_full_cache(void **state)
{
	struct world *w = *state;
	struct flight fl;
	struct hs_gate *g = hs_gate_new(w->server_secret, WINDOW_S, 3);

	assert_non_null(g);
	add_user(g, &w->alice, "alice");
	for (unsigned int i = 0; i < 5; i++) {
		make_flight(&fl, &w->alice, NOW);
		assert_int_equal(check_at(g, &fl, NOW), i < 3 ? HS_ACCEPT : HS_REJECT_REPLAY);
	}
	make_flight(&fl, &w->alice, NOW + WINDOW_S + 1);
	assert_int_equal(check_at(g, &fl, NOW + WINDOW_S + 1), HS_ACCEPT);
	hs_gate_free(g);
	assert_null(hs_gate_new(w->server_secret, WINDOW_S, 0));
	hs_gate_free(NULL);
}

static void test_client_refuses(void **state)
{
	struct hs_reality_attempt zero = { 0 }, a;
	struct world *w = *state;
	struct hs_reality_client c = w->alice;
	uint8_t dcid[20], key[64];
	struct flight fl;

	/* A server key of low order leaves nothing behind. */
	memset(c.server_public, 0, 32);
	memset(&a, 1, sizeof(a));
	assert_int_equal(hs_reality_attempt_init(&a, &c, NOW), -EINVAL);
	assert_memory_equal(&a, &zero, sizeof(a));
	/* A hello without our random cannot be tagged. */
	make_flight(&fl, &w->alice, NOW);
	fl.hello[6] ^= 1;
	assert_int_equal(hs_reality_attempt_dcid(&fl.attempt, 1, fl.hello, fl.hello_len, dcid),
			 -EINVAL);
	assert_int_equal(hs_reality_attempt_dcid(&fl.attempt, 1, fl.hello, 37, dcid), -EINVAL);
	assert_int_equal(hs_reality_cert_key(fl.attempt.k1, fl.hello, 0, key), -EINVAL);
	hs_reality_attempt_wipe(&fl.attempt);
	assert_memory_equal(&fl.attempt, &zero, sizeof(zero));
}

/* The certificate key depends on k1 and on every byte of the hello. */
static void test_cert_key(void **state)
{
	uint8_t k1[32] = { 1 }, hello[100] = { 2 }, a[64], b[64];

	assert_int_equal(hs_reality_cert_key(k1, hello, sizeof(hello), a), 0);
	assert_int_equal(hs_reality_cert_key(k1, hello, sizeof(hello), b), 0);
	assert_memory_equal(a, b, 64);
	hello[99] ^= 1;
	assert_int_equal(hs_reality_cert_key(k1, hello, sizeof(hello), b), 0);
	assert_memory_not_equal(a, b, 64);
	hello[99] ^= 1;
	k1[31] ^= 1;
	assert_int_equal(hs_reality_cert_key(k1, hello, sizeof(hello), b), 0);
	assert_memory_not_equal(a, b, 64);
}

/* What travels looks random: no byte of random, SCID and DCID is constant over attempts. */
static void test_no_constant_byte(void **state)
{
	struct world *w = *state;
	struct flight fl;
	uint8_t first[72], differs[72] = { 0 };

	for (int n = 0; n < 24; n++) {
		uint8_t wire[72];

		make_flight(&fl, &w->alice, NOW);
		memcpy(wire, fl.attempt.random, 32);
		memcpy(wire + 32, fl.scid, 20);
		memcpy(wire + 52, fl.dcid, 20);
		if (!n)
			memcpy(first, wire, 72);
		for (int i = 0; i < 72; i++)
			differs[i] |= wire[i] ^ first[i];
	}
	for (int i = 0; i < 72; i++)
		assert_int_not_equal(differs[i], 0);
}

/* RFC 5869 A.1 and A.3, RFC 4231 case 2. */
static void test_kdf(void **state)
{
	uint8_t ikm[22], salt[13], info[10], prk[32], okm[42], want[64];
	const struct hs_bytes part = { ikm, sizeof(ikm) };
	const struct hs_bytes mac[] = { { "what do ya ", 11 }, { "want for nothing?", 17 } };

	memset(ikm, 0x0b, sizeof(ikm));
	t_unhex("000102030405060708090a0b0c", salt, 13);
	t_unhex("f0f1f2f3f4f5f6f7f8f9", info, 10);
	hs_hkdf_extract(prk, salt, 13, &part, 1);
	t_unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", want, 32);
	assert_memory_equal(prk, want, 32);
	hs_hkdf_expand(okm, 42, prk, info, 10);
	t_unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf3400720"
		"8d5b887185865",
		want, 42);
	assert_memory_equal(okm, want, 42);
	hs_hkdf_extract(prk, NULL, 0, &part, 1);
	hs_hkdf_expand(okm, 42, prk, NULL, 0);
	t_unhex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d20139"
		"5faa4b61a96c8",
		want, 42);
	assert_memory_equal(okm, want, 42);
	hs_hmac_sha512(want, (const uint8_t *)"Jefe", 4, mac, 2);
	t_unhex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554", okm, 32);
	assert_memory_equal(want, okm, 32);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_accept),
		T(test_begin),
		T(test_begin_old_key),
		T(test_replay),
		T(test_clock),
		T(test_wrong_keys),
		T(test_psk),
		T(test_altered_key_share),
		T(test_format),
		T(test_truncated),
		T(test_bit_flips),
		T(test_low_order_random),
		T(test_version_and_pad),
		T(test_users),
		T(test_reload),
		T(test_old_key),
		T(test_old_key_verdicts),
		T(test_old_key_expires),
		T(test_constant_work),
		T(test_full_cache),
		T(test_client_refuses),
		T(test_no_constant_byte),
		cmocka_unit_test(test_cert_key),
		cmocka_unit_test(test_kdf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
