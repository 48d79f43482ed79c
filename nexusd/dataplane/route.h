/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Longest-prefix match: a path-compressed binary trie, one per address family of a device. A value
 * is an opaque pointer (the session); lookups visit one node per prefix nested on the way.
 */
#ifndef DP_ROUTE_H
#define DP_ROUTE_H

#include "../../quic/nq_types.h"

struct dp_route_node;

struct dp_route_table {
	struct dp_route_node *v4, *v6;
	unsigned int n_routes;
};

/* An address or prefix; host bits beyond @len are ignored. */
struct dp_prefix {
	u8 addr[16];
	u8 family_bits;	/* 32 or 128 */
	u8 len;
};

/* 0, -EEXIST if the prefix has another value (kept), -ENOMEM. Adding what is there succeeds. */
int dp_route_add(struct dp_route_table *t, const struct dp_prefix *p, void *value);
/* As dp_route_add(), but until dp_route_replace() lookups find what they would without it. */
int dp_route_reserve(struct dp_route_table *t, const struct dp_prefix *p, void *value);
/* The prefix is @value's whoever had it: 0, or -ENOMEM if nobody did. */
int dp_route_replace(struct dp_route_table *t, const struct dp_prefix *p, void *value);
/* The value of exactly this prefix, NULL if none. */
void *dp_route_get(const struct dp_route_table *t, const struct dp_prefix *p);
/* Remove the prefix if its value is @value. */
void dp_route_del(struct dp_route_table *t, const struct dp_prefix *p, const void *value);
/* Remove every prefix of @value. */
void dp_route_del_value(struct dp_route_table *t, const void *value);
/* Of an address: 4 or 16 bytes. */
void *dp_route_lookup4(const struct dp_route_table *t, const u8 *addr);
void *dp_route_lookup6(const struct dp_route_table *t, const u8 *addr);

#endif /* DP_ROUTE_H */
