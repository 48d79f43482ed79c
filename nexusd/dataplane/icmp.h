/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "Packet too big" answers to the inner sender. Pure; called by tx.c. */
#ifndef DP_ICMP_H
#define DP_ICMP_H

#include "../../dataplane/inet.h"

/* What an ICMPv6 error may quote at most, with its headers. */
#define DP_ICMP_MAX_LEN	1280

/*
 * Build the ICMP or ICMPv6 error for @pkt (@len bytes, as read from the TUN) in @out
 * (DP_ICMP_MAX_LEN bytes). Returns its length, 0 if no error may be sent (an ICMP error itself, a
 * fragment behind the first, a multicast or unspecified source).
 */
u32 dp_icmp_too_big(const u8 *pkt, u32 len, u32 mtu, u8 *out);

#endif /* DP_ICMP_H */
