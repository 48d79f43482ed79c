/* SPDX-License-Identifier: GPL-2.0-only */
/* Outer packets on their way out: route, size, IP and UDP headers. */
#ifndef NQD_UDP_H
#define NQD_UDP_H

#include "nqd.h"

/* Where packets go, as it was when they were made. */
struct nqd_way {
	struct nqd_path to;
	u8 path;
	bool active;			/* its route is cached */
	bool ecn;			/* marked ECT(0) */
};

/* The way of path number @path. Under s->lock. */
void nqd_way_get(struct nqd_way *way, const struct nqd_session *s, u8 path, bool ecn);

/*
 * Send @skb (packets of @s, back to back); consumes it. @largest: bytes of its largest packet. With
 * the session's turn, in the RCU read-side section that the way was got in, which keeps its socket.
 *
 * 0: the stack has it. -EMSGSIZE: the interface takes no such packets. -ENETUNREACH and the like:
 * no way out of this machine. -ELOOP: the way leads into the tunnel itself.
 */
int nqd_udp_send(struct nqd_session *s, const struct nqd_way *way, struct sk_buff *skb,
		 u32 largest);

#endif /* NQD_UDP_H */
