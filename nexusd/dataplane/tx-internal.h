/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What device.c and tx.c share about reading. */
#ifndef DP_TX_INTERNAL_H
#define DP_TX_INTERNAL_H

#include "dp.h"

/* Reading goes on until this many bytes wait, which is one full burst. */
#define DP_ARENA_FILL	60000
#define DP_ARENA_BYTES	(DP_ARENA_FILL + DP_TUN_READ_MAX)

void dp_device_dead(struct dp *dp, struct dp_device *dev);

#endif /* DP_TX_INTERNAL_H */
