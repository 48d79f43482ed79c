/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packet numbers on the wire (RFC 9000 17.1, Appendix A.3). We send all four bytes of ours.
 */
#ifndef NQ_PN_H
#define NQ_PN_H

#include "nq_types.h"

#define NQ_PN_MAX ((1ULL << 62) - 1)

/* The number nearest to @expected (largest received + 1) that ends in the @bytes of @truncated. */
u64 nq_pn_decode(u64 expected, u32 truncated, u32 bytes);

#endif /* NQ_PN_H */
