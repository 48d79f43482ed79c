// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections by source site, see sites.h. */
#include <stdlib.h>
#include <string.h>
#include "sites.h"

static unsigned int bucket_of(const union hs_addr *addr)
{
	uint64_t word = 0;

	if (addr->sa.sa_family == AF_INET)
		memcpy(&word, &addr->in.sin_addr, 3);
	else
		memcpy(&word, &addr->in6.sin6_addr, 7);
	return (unsigned int)(word * 0x9e3779b97f4a7c15ULL >> 32) % HS_SITE_BUCKETS;
}

static struct hs_site *find(const struct hs_sites *s, const union hs_addr *addr)
{
	struct hs_site *site;

	LIST_FOREACH(site, &s->buckets[bucket_of(addr)], entry)
	{
		if (hs_addr_same_site(&site->addr, addr))
			return site;
	}
	return NULL;
}

void hs_sites_init(struct hs_sites *s)
{
	size_t i;

	for (i = 0; i < HS_SITE_BUCKETS; i++)
		LIST_INIT(&s->buckets[i]);
}

unsigned int hs_sites_count(const struct hs_sites *s, const union hs_addr *addr)
{
	const struct hs_site *site = find(s, addr);

	return site ? site->n : 0;
}

struct hs_site *hs_sites_get(struct hs_sites *s, const union hs_addr *addr)
{
	struct hs_site *site = find(s, addr);

	if (!site) {
		site = calloc(1, sizeof(*site));
		if (!site)
			return NULL;
		site->addr = *addr;
		LIST_INSERT_HEAD(&s->buckets[bucket_of(addr)], site, entry);
	}
	site->n++;
	return site;
}

void hs_site_put(struct hs_site *site)
{
	if (!site || --site->n > 0)
		return;
	LIST_REMOVE(site, entry);
	free(site);
}
