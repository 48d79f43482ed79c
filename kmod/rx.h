/* SPDX-License-Identifier: GPL-2.0-only */
/* Receiving, beside what datapath.h says of it. */
#ifndef NQD_RX_H
#define NQD_RX_H

#include <linux/workqueue.h>

/* The worker that polls where a softirq may not: @wq is per CPU. */
void nqd_rx_init(struct workqueue_struct *wq);

#endif /* NQD_RX_H */
