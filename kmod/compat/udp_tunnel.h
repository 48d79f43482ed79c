/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sending through the stack's UDP tunnel functions, which got one more argument (6.17); and the
 * flow's type of service, which became a DSCP (6.18).
 */
#ifndef NQD_COMPAT_UDP_TUNNEL_H
#define NQD_COMPAT_UDP_TUNNEL_H

#include <linux/version.h>
#include <net/udp_tunnel.h>

static inline void nqd_udp4_xmit(struct rtable *rt, struct sock *sk, struct sk_buff *skb,
				 __be32 src, __be32 dst, u8 tos, __be16 sport, __be16 dport)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
	udp_tunnel_xmit_skb(rt, sk, skb, src, dst, tos, ip4_dst_hoplimit(&rt->dst), htons(IP_DF),
			    sport, dport, false, false);
#else
	udp_tunnel_xmit_skb(rt, sk, skb, src, dst, tos, ip4_dst_hoplimit(&rt->dst), htons(IP_DF),
			    sport, dport, false, false, 0);
#endif
}

static inline void nqd_udp6_xmit(struct dst_entry *dst, struct sock *sk, struct sk_buff *skb,
				 struct in6_addr *src, struct in6_addr *dst_addr, u8 tclass,
				 __be16 sport, __be16 dport)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
	udp_tunnel6_xmit_skb(dst, sk, skb, NULL, src, dst_addr, tclass, ip6_dst_hoplimit(dst), 0,
			     sport, dport, false);
#else
	udp_tunnel6_xmit_skb(dst, sk, skb, NULL, src, dst_addr, tclass, ip6_dst_hoplimit(dst), 0,
			     sport, dport, false, 0);
#endif
}

#endif /* NQD_COMPAT_UDP_TUNNEL_H */
