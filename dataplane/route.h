/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Longest-prefix match: a path-compressed binary trie, one per address family of a device. A value
 * is an opaque pointer (the session); lookups visit one node per prefix nested on the way.
 *
 * Changes are for one thread at a time. In the kernel lookups may run beside them under RCU: they
 * find the prefixes of before or after each change, and nodes are freed when nobody can be there.
 */
#ifndef NQD_ROUTE_H
#define NQD_ROUTE_H

#include "../quic/nq_types.h"

struct nqd_route_node;

struct nqd_route_table {
	struct nqd_route_node *v4, *v6;
	unsigned int n_routes;
};

/* An address or prefix; host bits beyond @len are ignored. */
struct nqd_prefix {
	u8 addr[16];
	u8 family_bits;	/* 32 or 128 */
	u8 len;
	bool held;	/* nqd_claims_install(): somebody had it before */
};

/* The prefixes that a value is to have. The memory is the caller's. */
struct nqd_claims {
	struct nqd_prefix *p;
	unsigned int n;
};

/* 0, -EEXIST if the prefix has another value (kept), -ENOMEM. Adding what is there succeeds. */
int nqd_route_add(struct nqd_route_table *t, const struct nqd_prefix *p, void *value);
/* As nqd_route_add(), but until nqd_route_replace() lookups find what they would without it. */
int nqd_route_reserve(struct nqd_route_table *t, const struct nqd_prefix *p, void *value);
/* The prefix is @value's whoever had it: 0, or -ENOMEM if nobody did. */
int nqd_route_replace(struct nqd_route_table *t, const struct nqd_prefix *p, void *value);
/* The value of exactly this prefix, NULL if none. */
void *nqd_route_get(const struct nqd_route_table *t, const struct nqd_prefix *p);
/* Remove the prefix if its value is @value. */
void nqd_route_del(struct nqd_route_table *t, const struct nqd_prefix *p, const void *value);
/* Remove every prefix of @value. */
void nqd_route_del_value(struct nqd_route_table *t, const void *value);
/*
 * The next holder of a prefix of @c that is not @value, from prefix *@i on, which moves behind it;
 * NULL: no more.
 */
void *nqd_claims_rival(const struct nqd_route_table *t, const struct nqd_claims *c,
		       const void *value, unsigned int *i);
/*
 * Add (or with @reserve reserve) those of @c that nobody has: all, or none with -ENOMEM. What others
 * have stays theirs.
 */
int nqd_claims_install(struct nqd_route_table *t, struct nqd_claims *c, void *value, bool reserve);
/* All of @c become @value's, whoever had them. The number of those that failed for lack of memory. */
unsigned int nqd_claims_take(struct nqd_route_table *t, const struct nqd_claims *c, void *value);
/* Of an address: 4 or 16 bytes. */
void *nqd_route_lookup4(const struct nqd_route_table *t, const u8 *addr);
void *nqd_route_lookup6(const struct nqd_route_table *t, const u8 *addr);

#endif /* NQD_ROUTE_H */
