/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reassembly of CRYPTO frames into one ClientHello (struct hs_reassembly of initial.h): pieces are
 * kept sorted, disjoint and not touching. Bytes that were received once never change.
 */
#ifndef HS_REASSEMBLY_H
#define HS_REASSEMBLY_H

#include "initial.h"

/* False: beyond HS_CH_MAX, too many pieces, or other bytes than were there before. */
bool hs_reassembly_add(struct hs_reassembly *r, uint64_t offset, const uint8_t *data, uint64_t len);
/* Is the ClientHello whole (*@ch_len bytes), still possible, or something else? */
enum hs_initial_result hs_reassembly_state(const struct hs_reassembly *r, size_t *ch_len);

#endif /* HS_REASSEMBLY_H */
