/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the way out share: tx-read.c, tx.c, device.c. */
#ifndef DP_TX_INTERNAL_H
#define DP_TX_INTERNAL_H

#include "dp.h"

/*
 * Reading goes on until this many bytes wait. A super-packet of TCP is a little longer than a burst:
 * of one alone the rest leaves as a burst of its own and costs as much as a full one, of four in a row
 * only the last one's does.
 */
#define DP_READ_FILL	(256 << 10)

void dp_device_dead(struct dp *dp, struct dp_device *dev);
/* Tell the sender of @pkt, which came from @dev, that at most @mtu bytes fit. */
void dp_tx_too_big(struct dp *dp, struct dp_device *dev, const u8 *pkt, u32 len, u32 mtu);
/* What was just read and dp_tx_flush() has left waits in the session's queue. */
void dp_tx_settle(struct dp *dp, struct dp_session *s);
/* So many segments could not be kept. */
static inline void dp_tx_count_overflow(struct dp_session *s, u32 segments)
{
	s->counters.tx_queue_overflow_drops += segments;
	s->counters.tx_queue_drops += segments;
}

/* @pkt, which is nobody's, waits. */
void dp_tx_wait(struct dp *dp, struct dp_session *s, struct dp_pkt *pkt);

#endif /* DP_TX_INTERNAL_H */
