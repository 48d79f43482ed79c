// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * REALITY's gate, the server side of reality.h: judges one first flight against the configured users.
 * Called by the handshake daemon for every complete ClientHello, before any TLS object exists, and for the
 * beginning of one that comes in pieces.
 *
 * What does not even look like a credential (CID lengths, version) is refused at once. From the
 * scalar multiplication on every flight takes the same steps, whatever the verdict: an unknown user
 * is judged with a random secret in place of his own, and the replay cache is asked last. So a prober
 * who sends a captured or an altered hello learns nothing from the time until the cover answers.
 *
 * While the former key is accepted as well, every flight that the present key refuses, for whatever
 * reason, is judged with the former one too: all refusals then cost two multiplications. Only who is
 * let in with the present key pays one, and who is let in shows that anyway.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "elligator.h"
#include "reality-keys.h"
#include "replay.h"

struct hs_gate {
	uint8_t secret[32];
	uint8_t old_secret[32];
	uint64_t old_until_s; /* 0 = there is no former key, or no more */
	uint32_t time_window_s;
	struct hs_replay *replay;
	struct hs_reality_user **slots; /* open addressing by short id, at most half full */
	size_t n_slots, n_users; /* n_slots: a power of two */
	struct hs_reality_user nobody; /* its random shared secret fits no client */
};

struct claim {
	bool ours; /* version byte and zero pad */
	int64_t made_s;
	uint64_t short_id;
};

struct hs_gate *hs_gate_new(const uint8_t server_secret[32], uint32_t time_window_s,
			    size_t replay_entries)
{
	struct hs_gate *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	memcpy(g->secret, server_secret, 32);
	g->time_window_s = time_window_s;
	g->n_slots = 16;
	g->slots = calloc(g->n_slots, sizeof(*g->slots));
	g->replay = hs_replay_new(replay_entries);
	if (!g->slots || !g->replay ||
	    gnutls_rnd(GNUTLS_RND_KEY, g->nobody.shared, sizeof(g->nobody.shared)) < 0 ||
	    gnutls_rnd(GNUTLS_RND_KEY, g->nobody.old_shared, sizeof(g->nobody.old_shared)) < 0) {
		hs_gate_free(g);
		return NULL;
	}
	return g;
}

void hs_gate_free(struct hs_gate *g)
{
	if (!g)
		return;
	for (size_t i = 0; g->slots && i < g->n_slots; i++) {
		if (!g->slots[i])
			continue;
		explicit_bzero(g->slots[i], sizeof(*g->slots[i]));
		free(g->slots[i]);
	}
	free(g->slots);
	hs_replay_free(g->replay);
	explicit_bzero(g, sizeof(*g));
	free(g);
}

int hs_gate_set_old_key(struct hs_gate *g, const uint8_t server_secret[32], uint64_t until_s)
{
	if (g->n_users || !until_s || gnutls_memcmp(g->secret, server_secret, 32) == 0)
		return -EINVAL;
	memcpy(g->old_secret, server_secret, 32);
	g->old_until_s = until_s;
	return 0;
}

bool hs_gate_expire_old_key(struct hs_gate *g, uint64_t unix_time_s)
{
	if (!g->old_until_s || unix_time_s < g->old_until_s)
		return false;
	g->old_until_s = 0;
	explicit_bzero(g->old_secret, sizeof(g->old_secret));
	explicit_bzero(g->nobody.old_shared, sizeof(g->nobody.old_shared));
	for (size_t i = 0; i < g->n_slots; i++) {
		if (g->slots[i])
			explicit_bzero(g->slots[i]->old_shared, sizeof(g->slots[i]->old_shared));
	}
	return true;
}

uint64_t hs_gate_old_key_until(const struct hs_gate *g)
{
	return g->old_until_s;
}

void hs_gate_inherit(struct hs_gate *g, struct hs_gate *old)
{
	hs_replay_inherit(&g->replay, &old->replay);
}

int hs_gate_keep_replay(struct hs_gate *g, int fd, uint64_t unix_time_s)
{
	struct hs_replay *kept;
	int r;

	if (hs_replay_is_at(g->replay, fd))
		return 0;
	r = hs_replay_attach(fd, (int64_t)unix_time_s, g->time_window_s, &kept);
	if (r < 0)
		return r;
	hs_replay_inherit(&kept, &g->replay);
	hs_replay_free(g->replay);
	g->replay = kept;
	return r;
}

/* The slot that holds @short_id, or the free one where it belongs. */
static struct hs_reality_user **slot_of(struct hs_reality_user **slots, size_t n_slots,
					uint64_t short_id)
{
	size_t i = (size_t)((short_id * 0x9e3779b97f4a7c15ULL) >> 32);

	for (;; i++) {
		struct hs_reality_user **slot = &slots[i & (n_slots - 1)];

		if (!*slot || (*slot)->short_id == short_id)
			return slot;
	}
}

static int grow(struct hs_gate *g)
{
	const size_t n = g->n_slots * 2;
	struct hs_reality_user **slots;

	if (2 * (g->n_users + 1) <= g->n_slots)
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_slots; i++) {
		if (g->slots[i])
			*slot_of(slots, n, g->slots[i]->short_id) = g->slots[i];
	}
	free(g->slots);
	g->slots = slots;
	g->n_slots = n;
	return 0;
}

int hs_gate_add_user(struct hs_gate *g, const struct hs_reality_user *u)
{
	struct hs_reality_user **slot, *copy;
	int err;

	if (!u->short_id)
		return -EINVAL;
	if (*slot_of(g->slots, g->n_slots, u->short_id))
		return -EEXIST;
	err = grow(g);
	if (err)
		return err;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *u;
	err = hs_x25519(copy->shared, g->secret, u->public_key);
	if (!err && g->old_until_s)
		err = hs_x25519(copy->old_shared, g->old_secret, u->public_key);
	if (err) {
		explicit_bzero(copy, sizeof(*copy));
		free(copy);
		return err;
	}
	slot = slot_of(g->slots, g->n_slots, u->short_id);
	*slot = copy;
	g->n_users++;
	return 0;
}

static bool looks_like_credential(const struct hs_first_flight *f)
{
	return f->quic_version == 1 && f->dcid_len == HS_REALITY_CID_LEN &&
	       f->scid_len == HS_REALITY_CID_LEN && f->client_hello_len >= HS_CH_RANDOM + 32 &&
	       f->random == f->client_hello + HS_CH_RANDOM;
}

static uint64_t get_be(const uint8_t *b, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *b++;
	return v;
}

static void read_claim(struct claim *c, const uint8_t b[HS_REALITY_CID_LEN], uint64_t unix_time_s)
{
	uint8_t wrong = b[HS_CLAIM_VERSION] ^ HS_REALITY_VERSION;

	for (int i = HS_CLAIM_ZERO; i < HS_REALITY_CID_LEN; i++)
		wrong |= b[i];
	c->ours = !wrong;
	/* Only the low 32 bits travel: the time nearest to ours that has them. */
	c->made_s = (int64_t)unix_time_s +
		    (int32_t)((uint32_t)get_be(b + HS_CLAIM_TIME, 4) - (uint32_t)unix_time_s);
	c->short_id = get_be(b + HS_CLAIM_SHORT_ID, 8);
}

static bool equal_ct(const uint8_t *a, const uint8_t *b, size_t len)
{
	return gnutls_memcmp(a, b, len) == 0;
}

/* From E to k0 and what the SCID claims. */
static int open_scid(const struct hs_gate *g, const uint8_t random[32],
		     const uint8_t scid[HS_REALITY_CID_LEN], bool old_key, uint64_t unix_time_s,
		     uint8_t k0[32], struct claim *claim)
{
	uint8_t point[32], shared[32], plain[HS_REALITY_CID_LEN];
	int err;

	hs_elligator_map(point, random);
	err = hs_x25519(shared, old_key ? g->old_secret : g->secret, point);
	hs_reality_k0(k0, shared);
	hs_reality_mask_scid(plain, scid, k0);
	read_claim(claim, plain, unix_time_s);
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(plain, sizeof(plain));
	return err;
}

/* Never NULL. */
static const struct hs_reality_user *user_of(const struct hs_gate *g, const struct claim *c)
{
	const struct hs_reality_user *u = *slot_of(g->slots, g->n_slots, c->short_id);

	return u ? u : &g->nobody;
}

/*
 * From E to k1 and the tag's verdict, without a branch on what the flight claims. r->old_key says
 * which of the server's keys the flight is judged with.
 */
static int open_claim(const struct hs_gate *g, const struct hs_first_flight *f,
		      uint64_t unix_time_s, struct claim *claim, struct hs_gate_result *r,
		      bool *tag_valid)
{
	uint8_t k0[32], tag[HS_REALITY_CID_LEN];
	int err;

	err = open_scid(g, f->random, f->scid, r->old_key, unix_time_s, k0, claim);
	r->user = user_of(g, claim);
	hs_reality_k1(r->k1, k0, r->old_key ? r->user->old_shared : r->user->shared,
		      r->user->has_psk ? r->user->psk : NULL);
	hs_reality_tag(tag, r->k1, f->quic_version, f->scid, f->client_hello, f->client_hello_len);
	*tag_valid = equal_ct(tag, f->dcid, sizeof(tag));
	explicit_bzero(k0, sizeof(k0));
	explicit_bzero(tag, sizeof(tag));
	return err;
}

/* What can be said without the ClientHello. */
static enum hs_verdict verdict_of_claim(const struct hs_gate *g, const struct claim *c,
					uint64_t unix_time_s)
{
	const int64_t off_s = c->made_s - (int64_t)unix_time_s;

	if (!c->ours)
		return HS_REJECT_KEY;
	if (off_s > g->time_window_s || -off_s > g->time_window_s)
		return HS_REJECT_TIME;
	return user_of(g, c) == &g->nobody ? HS_REJECT_SHORT_ID : HS_ACCEPT;
}

static enum hs_verdict verdict_of(struct hs_gate *g, const struct hs_first_flight *f,
				  const struct claim *c, uint64_t unix_time_s, bool tag_valid)
{
	enum hs_verdict verdict = verdict_of_claim(g, c, unix_time_s);

	if (verdict != HS_ACCEPT)
		return verdict;
	if (!tag_valid)
		return HS_REJECT_TAG;
	if (!hs_replay_enter(g->replay, f->random, c->made_s, (int64_t)unix_time_s,
			     g->time_window_s))
		return HS_REJECT_REPLAY;
	return HS_ACCEPT;
}

/* With one of the server's keys; @r holds something only after HS_ACCEPT. */
static enum hs_verdict judge(struct hs_gate *g, const struct hs_first_flight *f,
			     uint64_t unix_time_s, bool old_key, struct hs_gate_result *r)
{
	enum hs_verdict verdict;
	struct claim claim;
	bool tag_valid;

	memset(r, 0, sizeof(*r));
	r->old_key = old_key;
	if (open_claim(g, f, unix_time_s, &claim, r, &tag_valid))
		verdict = HS_REJECT_KEY;
	else
		verdict = verdict_of(g, f, &claim, unix_time_s, tag_valid);
	explicit_bzero(&claim, sizeof(claim));
	if (verdict != HS_ACCEPT)
		explicit_bzero(r, sizeof(*r));
	return verdict;
}

static bool has_old_key(const struct hs_gate *g, uint64_t unix_time_s)
{
	return g->old_until_s && unix_time_s < g->old_until_s;
}

/* A claim that the present key opens was made for it: its own verdict says more. */
static enum hs_verdict of_both_keys(enum hs_verdict verdict, enum hs_verdict old_verdict)
{
	return old_verdict == HS_ACCEPT || verdict == HS_REJECT_KEY ? old_verdict : verdict;
}

enum hs_verdict hs_gate_check(struct hs_gate *g, const struct hs_first_flight *f,
			      uint64_t unix_time_s, struct hs_gate_result *r)
{
	enum hs_verdict verdict;

	memset(r, 0, sizeof(*r));
	if (!looks_like_credential(f))
		return HS_REJECT_FORMAT;
	verdict = judge(g, f, unix_time_s, false, r);
	if (verdict == HS_ACCEPT || !has_old_key(g, unix_time_s))
		return verdict;
	return of_both_keys(verdict, judge(g, f, unix_time_s, true, r));
}

/* With one of the server's keys. */
static enum hs_verdict judge_scid(const struct hs_gate *g, const struct hs_first_flight *f,
				  uint64_t unix_time_s, bool old_key)
{
	enum hs_verdict verdict = HS_REJECT_KEY;
	struct claim claim;
	uint8_t k0[32];

	if (!open_scid(g, f->client_hello + HS_CH_RANDOM, f->scid, old_key, unix_time_s, k0,
		       &claim))
		verdict = verdict_of_claim(g, &claim, unix_time_s);
	explicit_bzero(&claim, sizeof(claim));
	explicit_bzero(k0, sizeof(k0));
	return verdict;
}

enum hs_verdict hs_gate_check_begin(const struct hs_gate *g, const struct hs_first_flight *f,
				    uint64_t unix_time_s)
{
	enum hs_verdict verdict;

	if (f->dcid_len != HS_REALITY_CID_LEN || f->scid_len != HS_REALITY_CID_LEN ||
	    f->client_hello_len < HS_CH_RANDOM + 32)
		return HS_REJECT_FORMAT;
	verdict = judge_scid(g, f, unix_time_s, false);
	if (verdict == HS_ACCEPT || !has_old_key(g, unix_time_s))
		return verdict;
	return of_both_keys(verdict, judge_scid(g, f, unix_time_s, true));
}
