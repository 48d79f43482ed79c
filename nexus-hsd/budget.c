// SPDX-License-Identifier: GPL-2.0-or-later
/* Token buckets in front of the gate, see budget.h. */
#include <errno.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "budget.h"
#include "clock.h"

/* A site's places in a table. */
#define WAYS 4
/* A bucket holds what a second brings. */
#define BURST_NS HS_NS_PER_S

int hs_budget_init(struct hs_budget *b)
{
	memset(b, 0, sizeof(*b));
	hs_budget_set_limits(b, HS_BUDGET_MAX_PER_S, HS_BUDGET_MAX_PER_SITE_PER_S);
	return gnutls_rnd(GNUTLS_RND_KEY, b->key, sizeof(b->key)) < 0 ? -EIO : 0;
}

void hs_budget_set_limits(struct hs_budget *b, uint32_t max_per_s, uint32_t max_per_site_per_s)
{
	b->max_per_s = max_per_s;
	b->max_per_site_per_s = max_per_site_per_s;
}

static bool has_token(const struct hs_bucket *k, uint32_t per_s, uint64_t now_ns)
{
	const uint64_t full_ns = k->full_ns > now_ns ? k->full_ns : now_ns;

	return full_ns + BURST_NS / per_s <= now_ns + BURST_NS;
}

static void take_token(struct hs_bucket *k, uint32_t per_s, uint64_t now_ns)
{
	k->full_ns = (k->full_ns > now_ns ? k->full_ns : now_ns) + BURST_NS / per_s;
}

static uint64_t rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

/* SipHash-2-4 of one word, never 0. */
static uint64_t keyed_hash(const uint8_t key[16], uint64_t word)
{
	uint64_t k[2], v[4], h;

	memcpy(k, key, sizeof(k));
	v[0] = k[0] ^ 0x736f6d6570736575ULL;
	v[1] = k[1] ^ 0x646f72616e646f6dULL;
	v[2] = k[0] ^ 0x6c7967656e657261ULL;
	v[3] = k[1] ^ 0x7465646279746573ULL;
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
	v[3] ^= 8ULL << 56;
	sip_rounds(v, 2);
	v[0] ^= 8ULL << 56;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h ? h : 1;
}

static uint64_t site_of(const struct hs_budget *b, const union hs_addr *from)
{
	uint64_t word = 0;

	if (from->sa.sa_family == AF_INET) {
		memcpy(&word, &from->in.sin_addr, 3);
		word |= 4ULL << 56;
	} else {
		memcpy(&word, &from->in6.sin6_addr, 7);
		word |= 6ULL << 56;
	}
	return keyed_hash(b->key, word);
}

static struct hs_budget_site *set_of(struct hs_budget_site *table, size_t n, uint64_t site)
{
	return &table[(site >> 32) % (n / WAYS) * WAYS];
}

static struct hs_budget_site *find(struct hs_budget_site *set, uint64_t site)
{
	for (int i = 0; i < WAYS; i++)
		if (set[i].site == site)
			return &set[i];
	return NULL;
}

/* Its place, or that of the site that has asked least lately. */
static struct hs_budget_site *site_place(struct hs_budget *b, uint64_t site)
{
	struct hs_budget_site *set = set_of(b->sites, HS_BUDGET_SITES, site), *s = find(set, site);

	if (s)
		return s;
	s = set;
	for (int i = 1; i < WAYS; i++)
		if (set[i].bucket.full_ns < s->bucket.full_ns)
			s = &set[i];
	*s = (struct hs_budget_site){ .site = site };
	return s;
}

bool hs_budget_take(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns)
{
	const uint64_t site = site_of(b, from);
	struct hs_bucket *all = &b->known_sites;
	struct hs_budget_site *s;

	s = find(set_of(b->known, HS_BUDGET_KNOWN_SITES, site), site);
	if (!s || s->until_ns <= now_ns) {
		all = &b->strangers;
		/* Most of a flood ends here and does not touch the table. */
		if (!has_token(all, b->max_per_s, now_ns))
			return false;
		s = site_place(b, site);
	}
	if (!has_token(all, b->max_per_s, now_ns) ||
	    !has_token(&s->bucket, b->max_per_site_per_s, now_ns))
		return false;
	take_token(all, b->max_per_s, now_ns);
	take_token(&s->bucket, b->max_per_site_per_s, now_ns);
	return true;
}

void hs_budget_remember(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns)
{
	const uint64_t site = site_of(b, from);
	struct hs_budget_site *set = set_of(b->known, HS_BUDGET_KNOWN_SITES, site);
	struct hs_budget_site *s = find(set, site);

	if (!s) {
		s = set;
		for (int i = 1; i < WAYS; i++)
			if (set[i].until_ns < s->until_ns)
				s = &set[i];
		*s = (struct hs_budget_site){ .site = site };
	}
	s->until_ns = now_ns + HS_BUDGET_KNOWN_S * HS_NS_PER_S;
}
