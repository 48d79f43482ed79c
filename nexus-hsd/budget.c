// SPDX-License-Identifier: GPL-2.0-or-later
/* Token buckets in front of the gate, see budget.h. */
#include <errno.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "budget.h"
#include "clock.h"

/* A site's places in a table. */
#define WAYS 4
/* A bucket holds what a second brings, and that part of it is not for busy sites. */
#define BURST_NS HS_NS_PER_S
#define QUIET_RESERVE_NS (BURST_NS / 2)

int hs_budget_init(struct hs_budget *b)
{
	memset(b, 0, sizeof(*b));
	hs_budget_set_limits(b, HS_BUDGET_MAX_PER_S, HS_BUDGET_MAX_PER_SITE_PER_S);
	if (gnutls_rnd(GNUTLS_RND_KEY, b->key, sizeof(b->key)) < 0)
		return -EIO;
	return hs_lately_init(&b->lately);
}

void hs_budget_set_limits(struct hs_budget *b, uint32_t max_per_s, uint32_t max_per_site_per_s)
{
	b->max_per_s = max_per_s;
	b->max_per_site_per_s = max_per_site_per_s;
}

/* A token beyond what @reserve_ns would bring. */
static bool has_token(const struct hs_bucket *k, uint32_t per_s, uint64_t reserve_ns,
		      uint64_t now_ns)
{
	const uint64_t full_ns = k->full_ns > now_ns ? k->full_ns : now_ns;

	return full_ns + BURST_NS / per_s + reserve_ns <= now_ns + BURST_NS;
}

static void take_token(struct hs_bucket *k, uint32_t per_s, uint64_t now_ns)
{
	k->full_ns = (k->full_ns > now_ns ? k->full_ns : now_ns) + BURST_NS / per_s;
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

/* NULL: not known, or not any more. */
static struct hs_budget_site *known_place(struct hs_budget *b, uint64_t site, uint64_t now_ns)
{
	struct hs_budget_site *s = find(set_of(b->known, HS_BUDGET_KNOWN_SITES, site), site);

	return s && s->until_ns > now_ns ? s : NULL;
}

bool hs_budget_is_known(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns)
{
	return known_place(b, hs_site_hash(b->key, from), now_ns) != NULL;
}

bool hs_budget_take(struct hs_budget *b, const union hs_addr *from, bool behind, uint64_t now_ns)
{
	const uint64_t site = hs_site_hash(b->key, from);
	struct hs_budget_site *s = known_place(b, site, now_ns);
	struct hs_bucket *all = s ? &b->known_sites : &b->strangers;
	uint64_t reserve_ns = 0;

	if (!s && !hs_lately_quiet(&b->lately, from, now_ns)) {
		if (behind)
			return false;
		/* A bucket of one token has no half. */
		reserve_ns = b->max_per_s > 1 ? QUIET_RESERVE_NS : 0;
	}
	/* Most of a flood ends here and does not touch the table. */
	if (!has_token(all, b->max_per_s, reserve_ns, now_ns))
		return false;
	if (!s)
		s = site_place(b, site);
	if (!has_token(&s->bucket, b->max_per_site_per_s, 0, now_ns))
		return false;
	take_token(all, b->max_per_s, now_ns);
	take_token(&s->bucket, b->max_per_site_per_s, now_ns);
	return true;
}

void hs_budget_remember(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns)
{
	const uint64_t site = hs_site_hash(b->key, from);
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
