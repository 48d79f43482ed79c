/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * UDP sockets where IPv6 may be compiled out; and functions of a protocol: recvmsg(), which until
 * 7.1 also gave the length of the address, and pre_connect(), whose address has a type of its own
 * since 6.19.
 */
#ifndef NQD_COMPAT_UDP_H
#define NQD_COMPAT_UDP_H

#include <linux/version.h>
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

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define nqd_sockaddr sockaddr
#else
#define nqd_sockaddr sockaddr_unsized
#endif

/* A call of recvmsg(). */
struct nqd_read {
	struct sock *sk;
	struct msghdr *msg;
	size_t len;
	int flags;
	int *addr_len;
};

static inline int nqd_read_by(const struct proto *prot, const struct nqd_read *r)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
	return prot->recvmsg(r->sk, r->msg, r->len, r->flags, r->addr_len);
#else
	return prot->recvmsg(r->sk, r->msg, r->len, r->flags);
#endif
}

/* Defines a recvmsg() that has @read do it, int @read(const struct nqd_read *). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define NQD_DEFINE_RECVMSG(name, read)                                              \
	static int name(struct sock *sk, struct msghdr *msg, size_t len, int flags, \
			int *addr_len)                                              \
	{                                                                           \
		return read(&(struct nqd_read){ sk, msg, len, flags, addr_len });   \
	}
#else
#define NQD_DEFINE_RECVMSG(name, read)                                              \
	static int name(struct sock *sk, struct msghdr *msg, size_t len, int flags) \
	{                                                                           \
		return read(&(struct nqd_read){ sk, msg, len, flags, NULL });       \
	}
#endif

#endif /* NQD_COMPAT_UDP_H */
