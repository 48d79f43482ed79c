/* SPDX-License-Identifier: GPL-2.0-only */
/* UDP sockets where IPv6 may be compiled out. */
#ifndef NQD_COMPAT_UDP_H
#define NQD_COMPAT_UDP_H

#include <net/ipv6.h>
#include <net/sock.h>

static inline void nqd_sk_v6_rcv_saddr(const struct sock *sk, struct in6_addr *addr)
{
#if IS_ENABLED(CONFIG_IPV6)
	*addr = sk->sk_v6_rcv_saddr;
#else
	*addr = in6addr_any;
#endif
}

#endif /* NQD_COMPAT_UDP_H */
