/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet numbers received so far, as at most NQD_RX_RANGES_MAX merged ranges in descending
 * order. When there are more, the lowest range is forgotten and everything below the lowest kept
 * range counts as received: the data plane must never take an old packet for a new one.
 */
#ifndef HS_RANGES_H
#define HS_RANGES_H

#include <stddef.h>
#include <stdint.h>
#include <linux/nexus_quic_dco.h>

struct hs_ranges {
	size_t n;
	struct nqd_range r[NQD_RX_RANGES_MAX];
};

void hs_ranges_add(struct hs_ranges *s, uint64_t pn);

#endif /* HS_RANGES_H */
