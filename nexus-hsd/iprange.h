/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between prefixes and the address ranges of ROUTE_ADVERTISEMENT (RFC 9484 4.7.3). Used by capsule.c.
 */
#ifndef HS_IPRANGE_H
#define HS_IPRANGE_H

#include <stdbool.h>

#include "capsule.h"

/* Bytes of an address: 4 or 16; 0 for an unknown family. */
size_t hs_addr_len(uint8_t family);
/* Clear the bits of @p behind its length. False: unknown family or too long. */
bool hs_prefix_normalize(struct hs_prefix *p);
/* First and last address of a normalized prefix, hs_addr_len() bytes each. */
void hs_prefix_bounds(const struct hs_prefix *p, uint8_t first[16], uint8_t last[16]);
/*
 * The fewest prefixes that make up first..last (first <= last), in order. How many, or -E2BIG beyond
 * @max. Never more than 2 * 128 steps.
 */
int hs_range_split(uint8_t family, const uint8_t *first, const uint8_t *last, struct hs_prefix *out,
		   size_t max);

#endif /* HS_IPRANGE_H */
