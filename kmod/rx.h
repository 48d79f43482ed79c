/* SPDX-License-Identifier: GPL-2.0-only */
/* Receiving, beside what datapath.h says of it. */
#ifndef NQD_RX_H
#define NQD_RX_H

#include <linux/workqueue.h>

struct nqd_socket;
struct sk_buff;

/* A datagram that is in no queue any more goes to its lane. Bottom halves off. */
void nqd_rx_take(struct nqd_socket *sock, struct sk_buff *skb);
/* The worker that polls where a softirq may not: @wq is per CPU. */
void nqd_rx_init(struct workqueue_struct *wq);

#endif /* NQD_RX_H */
