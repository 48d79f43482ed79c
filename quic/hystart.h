/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HyStart++ (RFC 9406): when to leave the first slow start before the queue overflows.
 *
 * A round ends when a packet sent after its beginning is acknowledged. If the least round trip of a
 * round lies clearly above that of the round before, the window grows by a quarter of what is
 * acknowledged (conservative slow start); if the delay falls back, slow start goes on; if it does
 * not for five rounds, slow start is over. Used by congestion.c for every window-based controller.
 */
#ifndef NQ_HYSTART_H
#define NQ_HYSTART_H

#include "nq_types.h"

#define NQ_HYSTART_GROWTH_DIVISOR 4

struct nq_hystart {
	u64 end_pn; /* the round ends with this number */
	u32 last_min_us, min_us; /* of the round before and this one; 0: unknown */
	u32 baseline_us; /* least round trip when conservative slow start began */
	u8 samples; /* of this round */
	u8 css_rounds; /* rounds of conservative slow start left */
	bool css;
};

/*
 * An ACK of slow start: @largest_pn newly acknowledged, @next_pn next to be sent, @rtt_us its
 * sample (0: none). True when slow start should end.
 */
bool nq_hystart_on_ack(struct nq_hystart *h, u64 largest_pn, u64 next_pn, u32 rtt_us);

#endif /* NQ_HYSTART_H */
