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
#define DP_ARENA_FILL	(256 << 10)
#define DP_ARENA_BYTES	(DP_ARENA_FILL + DP_TUN_READ_MAX)

void dp_device_dead(struct dp *dp, struct dp_device *dev);
/* Tell the sender of @pkt, which came from @dev, that at most @mtu bytes fit. */
void dp_tx_too_big(struct dp *dp, struct dp_device *dev, const u8 *pkt, u32 len, u32 mtu);
/* What dp_tx_flush() has left in the arena waits in the session's queue. */
void dp_tx_settle(struct dp *dp, struct dp_session *s);
/* The packet waits, in a copy. */
void dp_tx_wait(struct dp *dp, struct dp_session *s, const struct dp_segs *segs);

#endif /* DP_TX_INTERNAL_H */
