/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many connections of each source site (IPv4 /24, IPv6 /56) a server has in handshake. Only who
 * has authenticated makes an entry, so a plain hash will do.
 */
#ifndef HS_PENDING_H
#define HS_PENDING_H

#include <sys/queue.h>
#include "addr.h"

#define HS_PENDING_BUCKETS 256

struct hs_pending_site {
	LIST_ENTRY(hs_pending_site) entry;
	union hs_addr addr; /* one of the site */
	unsigned int n;
};

struct hs_pending {
	LIST_HEAD(, hs_pending_site) buckets[HS_PENDING_BUCKETS];
};

void hs_pending_init(struct hs_pending *s);
unsigned int hs_pending_count(const struct hs_pending *s, const union hs_addr *addr);
/* One more; for hs_pending_put(). NULL: no memory. */
struct hs_pending_site *hs_pending_get(struct hs_pending *s, const union hs_addr *addr);
/* One less; NULL is none. */
void hs_pending_put(struct hs_pending_site *site);

#endif /* HS_PENDING_H */
