/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may make us calculate: reading a first flight and judging it sits behind token buckets, one for
 * all strangers together and one for each source site (IPv4 /24, IPv6 /56). Fixed size, no allocation,
 * constant time; server.c asks once for each flight that has the shape of one of ours, before it opens
 * anything, so that a flight above the budget costs next to nothing.
 *
 * Two kinds of sites are served while a flood empties the bucket of all. Those from which somebody has
 * authenticated within the last ten minutes have buckets of their own. And the last half of the bucket
 * of all is kept for quiet sites (site.h), which have sent little lately: a flood, however many sites it
 * forges, makes them busy with its first few datagrams, unless it has more sites than datagrams. Where
 * the machine leaves us less time than the bucket is worth, only these two kinds are served until the
 * socket has been read empty: what the socket drops is dropped without regard to where it comes from.
 *
 * Sites share places in the table by a keyed hash: a site that loses its place starts with a full
 * bucket, so the site's limit is fairness; what bounds the work is the limit of all.
 */
#ifndef HS_BUDGET_H
#define HS_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "site.h"

#define HS_BUDGET_SITES 4096
#define HS_BUDGET_KNOWN_SITES 1024
#define HS_BUDGET_KNOWN_S 600
/* At 90 us for each, a good third of a core. */
#define HS_BUDGET_MAX_PER_S 4000
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
	struct hs_lately lately;
	struct hs_budget_site sites[HS_BUDGET_SITES];
	struct hs_budget_site known[HS_BUDGET_KNOWN_SITES];
};

/* All buckets are full. 0, or -EIO without randomness. */
int hs_budget_init(struct hs_budget *b);
/* Both at least 1. */
void hs_budget_set_limits(struct hs_budget *b, uint32_t max_per_s, uint32_t max_per_site_per_s);
/*
 * May a first flight from there be read now? If so, that is paid for. @behind: there is more to read than
 * we can; then busy sites of strangers are not served at all.
 */
bool hs_budget_take(struct hs_budget *b, const union hs_addr *from, bool behind, uint64_t now_ns);
/* Has somebody authenticated from there lately? */
bool hs_budget_is_known(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns);
/* Somebody has authenticated from there, and has proved to be there. */
void hs_budget_remember(struct hs_budget *b, const union hs_addr *from, uint64_t now_ns);

#endif /* HS_BUDGET_H */
