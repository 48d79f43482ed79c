/* SPDX-License-Identifier: GPL-2.0-only */
/* Outer packets on their way out: route, size, IP and UDP headers. */
#ifndef NQD_UDP_H
#define NQD_UDP_H

#include <linux/skbuff.h>
#include <linux/types.h>

struct nqd_session;

/*
 * Send @skb (packets of @s, back to back) to path number @path; consumes it. @largest: bytes of its
 * largest packet, @ecn: marked ECT(0). Under s->lock, in an RCU read-side section.
 *
 * 0: the stack has it. -EMSGSIZE: the interface takes no such packets. -ENETUNREACH and the like:
 * no way out of this machine. -ELOOP: the way leads into the tunnel itself.
 */
int nqd_udp_send(struct nqd_session *s, u8 path, struct sk_buff *skb, u32 largest, bool ecn);

#endif /* NQD_UDP_H */
