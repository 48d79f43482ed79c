/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may make us calculate: the scalar multiplication of the gate sits behind token buckets, one for
 * all strangers together and one for each source site (IPv4 /24, IPv6 /56). Sites from which somebody
 * has authenticated within the last ten minutes have buckets of their own, which a flood from
 * elsewhere does not empty. Fixed size, no allocation, constant time; server.c asks, for each
 * complete ClientHello that looks like one of ours.
 *
 * Sites share places in the table by a keyed hash: a site that loses its place starts with a full
 * bucket, so the site's limit is fairness; what bounds the work is the limit of all.
 */
#ifndef HS_BUDGET_H
#define HS_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

#define HS_BUDGET_SITES 4096
#define HS_BUDGET_KNOWN_SITES 1024
#define HS_BUDGET_KNOWN_S 600
#define HS_BUDGET_MAX_PER_S 2000
#define HS_BUDGET_MAX_PER_SITE_PER_S 200

/* Tokens as the time it took to gain them. */
struct hs_bucket {
	uint64_t full_ns; /* when it will be full again */
};

struct hs_budget_site {
	uint64_t site; /* keyed hash, 0 = free */
	uint64_t until_ns; /* known sites: no longer known from then on */
	struct hs_bucket bucket;
};

struct hs_budget {
	uint8_t key[16];
	uint32_t max_per_s, max_per_site_per_s;
	struct hs_bucket strangers, known_sites;
	struct hs_budget_site sites[HS_BUDGET_SITES];
	struct hs_budget_site known[HS_BUDGET_KNOWN_SITES];
};

/* All buckets are full. 0, or -EIO without randomness. */
int hs_budget_init(struct hs_budget *b);
/* Both at least 1. */
void hs_budget_set_limits(struct hs_budget *b, uint32_t max_per_s, uint32_t max_per_site_per_s);
/* May this source be judged now? If so, that is paid for. */
bool hs_budget_take(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns);
/* Somebody has authenticated from there, and has proved to be there. */
void hs_budget_remember(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns);

#endif /* HS_BUDGET_H */
