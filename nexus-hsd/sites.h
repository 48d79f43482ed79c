/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many connections of each source site (IPv4 /24, IPv6 /56) a server has in handshake. Only who
 * has authenticated makes an entry, so a plain hash will do.
 */
#ifndef HS_SITES_H
#define HS_SITES_H

#include <sys/queue.h>
#include "addr.h"

#define HS_SITE_BUCKETS 256

struct hs_site {
	LIST_ENTRY(hs_site) entry;
	union hs_addr addr; /* one of the site */
	unsigned int n;
};

struct hs_sites {
	LIST_HEAD(, hs_site) buckets[HS_SITE_BUCKETS];
};

void hs_sites_init(struct hs_sites *s);
unsigned int hs_sites_count(const struct hs_sites *s, const union hs_addr *addr);
/* One more; for hs_site_put(). NULL: no memory. */
struct hs_site *hs_sites_get(struct hs_sites *s, const union hs_addr *addr);
/* One less; NULL is none. */
void hs_site_put(struct hs_site *site);

#endif /* HS_SITES_H */
