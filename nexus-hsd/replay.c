// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replay cache (replay.h): a ring of entries in order of arrival, indexed by chains in a hash
 * table. Only the ring's head is ever dropped, once its time has left the window; an entry outlives
 * its use by at most one window (those that arrived early from a fast clock hold up the rest).
 */
#include <stdlib.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "kdf.h"
#include "replay.h"

#define CAPACITY_MAX (1U << 24)
#define NONE UINT32_MAX

struct entry {
	uint8_t random[32];
	int64_t made_s;
	uint32_t next; /* in the chain of its bucket, or NONE */
	uint32_t bucket;
};

struct hs_replay {
	struct entry *ring;
	uint32_t *buckets;
	uint32_t capacity, n_buckets; /* n_buckets: a power of two */
	uint32_t head, count;
	int64_t forgotten_s; /* latest made_s that was ever dropped */
	uint8_t key[32];
};

struct hs_replay *hs_replay_new(size_t capacity)
{
	struct hs_replay *c;

	if (!capacity || capacity > CAPACITY_MAX)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->capacity = (uint32_t)capacity;
	c->forgotten_s = INT64_MIN;
	for (c->n_buckets = 16; c->n_buckets < c->capacity;)
		c->n_buckets *= 2;
	c->ring = calloc(c->capacity, sizeof(*c->ring));
	c->buckets = malloc(c->n_buckets * sizeof(*c->buckets));
	if (!c->ring || !c->buckets || gnutls_rnd(GNUTLS_RND_KEY, c->key, sizeof(c->key)) < 0) {
		hs_replay_free(c);
		return NULL;
	}
	for (uint32_t i = 0; i < c->n_buckets; i++)
		c->buckets[i] = NONE;
	return c;
}

void hs_replay_free(struct hs_replay *c)
{
	if (!c)
		return;
	free(c->ring);
	free(c->buckets);
	explicit_bzero(c->key, sizeof(c->key));
	free(c);
}

static uint32_t bucket_of(const struct hs_replay *c, const uint8_t random[32])
{
	const struct hs_bytes part = { random, 32 };
	uint8_t mac[HS_SHA256_LEN];
	uint32_t h;

	hs_hmac_sha256(mac, c->key, sizeof(c->key), &part, 1);
	memcpy(&h, mac, sizeof(h));
	return h & (c->n_buckets - 1);
}

static void drop_head(struct hs_replay *c)
{
	const struct entry *e = &c->ring[c->head];
	uint32_t *link = &c->buckets[e->bucket];

	while (*link != c->head)
		link = &c->ring[*link].next;
	*link = e->next;
	if (e->made_s > c->forgotten_s)
		c->forgotten_s = e->made_s;
	c->head = (c->head + 1) % c->capacity;
	c->count--;
}

/* There must be room. */
static void append(struct hs_replay *c, const uint8_t random[32], int64_t made_s, uint32_t bucket)
{
	const uint32_t at = (uint32_t)(((uint64_t)c->head + c->count) % c->capacity);
	struct entry *e = &c->ring[at];

	memcpy(e->random, random, 32);
	e->made_s = made_s;
	e->bucket = bucket;
	e->next = c->buckets[bucket];
	c->buckets[bucket] = at;
	c->count++;
}

bool hs_replay_enter(struct hs_replay *c, const uint8_t random[32], int64_t made_s, int64_t now_s,
		     uint32_t window_s)
{
	const uint32_t bucket = bucket_of(c, random);

	while (c->count && c->ring[c->head].made_s < now_s - (int64_t)window_s)
		drop_head(c);
	if (made_s <= c->forgotten_s || c->count == c->capacity)
		return false;
	for (uint32_t i = c->buckets[bucket]; i != NONE; i = c->ring[i].next) {
		if (!memcmp(c->ring[i].random, random, 32))
			return false;
	}
	append(c, random, made_s, bucket);
	return true;
}

void hs_replay_inherit(struct hs_replay **c, struct hs_replay **old)
{
	struct hs_replay *to = *c, *from = *old;

	if (from->count > to->capacity - to->count) {
		*c = from;
		*old = to;
		return;
	}
	if (from->forgotten_s > to->forgotten_s)
		to->forgotten_s = from->forgotten_s;
	for (uint32_t i = 0; i < from->count; i++) {
		const struct entry *e = &from->ring[((uint64_t)from->head + i) % from->capacity];

		append(to, e->random, e->made_s, bucket_of(to, e->random));
	}
	from->count = 0;
	for (uint32_t i = 0; i < from->n_buckets; i++)
		from->buckets[i] = NONE;
}

size_t hs_replay_count(const struct hs_replay *c)
{
	return c->count;
}
