// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections by source site, see pending.h. */
#include <stdlib.h>
#include <string.h>
#include "pending.h"

static unsigned int bucket_of(const union hs_addr *addr)
{
	return (unsigned int)(hs_addr_site(addr) * 0x9e3779b97f4a7c15ULL >> 32) %
	       HS_PENDING_BUCKETS;
}

static struct hs_pending_site *find(const struct hs_pending *s, const union hs_addr *addr)
{
	struct hs_pending_site *site;

	LIST_FOREACH(site, &s->buckets[bucket_of(addr)], entry)
	{
		if (hs_addr_same_site(&site->addr, addr))
			return site;
	}
	return NULL;
}

void hs_pending_init(struct hs_pending *s)
{
	size_t i;

	for (i = 0; i < HS_PENDING_BUCKETS; i++)
		LIST_INIT(&s->buckets[i]);
}

unsigned int hs_pending_count(const struct hs_pending *s, const union hs_addr *addr)
{
	const struct hs_pending_site *site = find(s, addr);

	return site ? site->n : 0;
}

struct hs_pending_site *hs_pending_get(struct hs_pending *s, const union hs_addr *addr)
{
	struct hs_pending_site *site = find(s, addr);

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

void hs_pending_put(struct hs_pending_site *site)
{
	if (!site || --site->n > 0)
		return;
	LIST_REMOVE(site, entry);
	free(site);
}
