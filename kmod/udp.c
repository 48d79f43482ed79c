// SPDX-License-Identifier: GPL-2.0-only
/*
 * Outer packets on their way out: see udp.h.
 *
 * The active path's route is cached. Packets are never fragmented: DF is set, and what the
 * interface does not take is refused here, before the stack would segment a GSO skb into packets
 * that are each too large. The path's own MTU is the engine's to find out, so what routes have
 * learnt of ICMP does not count, where the stack asks the socket about that (IPv4). IPv6 asks the
 * skb's, which is none or an inner one: so there it counts, or packets would be dropped behind us.
 */
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/dst_cache.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "compat/udp_tunnel.h"
#include "nqd.h"
#include "udp.h"

void nqd_way_get(struct nqd_way *way, const struct nqd_session *s, u8 path, bool ecn)
{
	lockdep_assert_held(&s->lock);
	way->to = s->paths[path];
	way->path = path;
	way->active = path == nq_active_path(s->conn);
	way->ecn = ecn;
}

/*
 * The cache, if it is for this path: then it may be used, and filled. The socket's owner may give
 * it another mark or device at any time: what was looked up with the one before says nothing then.
 */
static struct dst_cache *cache_of(struct nqd_session *s, const struct nqd_way *way,
				  const struct flowi_common *fl)
{
	struct nqd_session_dp *dp = &s->dp;

	if (!way->active)
		return NULL;
	if (unlikely(dp->dst_path != way->path || dp->dst_mark != fl->flowic_mark ||
		     dp->dst_oif != fl->flowic_oif)) {
		dst_cache_reset(&dp->dst);
		dp->dst_path = way->path;
		dp->dst_mark = fl->flowic_mark;
		dp->dst_oif = fl->flowic_oif;
	}
	return &dp->dst;
}

static u8 tos(const struct nqd_way *way)
{
	return way->ecn ? INET_ECN_ECT_0 : INET_ECN_NOT_ECT;
}

/* May packets of @len bytes with their headers take this route, where @mtu bytes pass? */
static int check_route(const struct nqd_session *s, const struct dst_entry *dst, u32 len, u32 mtu)
{
	const struct nqd_device *nd = READ_ONCE(s->nd);

	if (unlikely(nd && dst->dev == nd->dev))
		return -ELOOP;
	return len > mtu ? -EMSGSIZE : 0;
}

static struct rtable *route4(struct nqd_session *s, const struct nqd_way *way, struct sock *sk,
			     struct flowi4 *fl)
{
	struct dst_cache *cache = cache_of(s, way, flowi4_to_flowi_common(fl));
	struct rtable *rt = NULL;

	if (cache)
		rt = dst_cache_get_ip4(cache, &fl->saddr);
	if (likely(rt))
		return rt;
	security_sk_classify_flow(sk, flowi4_to_flowi_common(fl));
	rt = ip_route_output_flow(sock_net(sk), fl, sk);
	if (!IS_ERR(rt) && cache)
		dst_cache_set_ip4(cache, &rt->dst, fl->saddr);
	return rt;
}

static int send4(struct nqd_session *s, const struct nqd_way *way, struct sock *sk,
		 struct sk_buff *skb, __be32 src, __be32 dst, u32 largest)
{
	/* The port stands at the same place in an IPv6 address. */
	__be16 dport = way->to.remote.in.sin_port;
	struct flowi4 fl = {
		.saddr = src,
		.daddr = dst,
		.fl4_sport = inet_sk(sk)->inet_sport,
		.fl4_dport = dport,
		.flowi4_proto = IPPROTO_UDP,
		.flowi4_mark = READ_ONCE(sk->sk_mark),
		.flowi4_oif = READ_ONCE(sk->sk_bound_dev_if),
		.flowi4_uid = sock_net_uid(sock_net(sk), sk),
	};
	struct rtable *rt = route4(s, way, sk, &fl);
	int err;

	if (IS_ERR(rt))
		return PTR_ERR(rt);
	err = check_route(s, &rt->dst, largest + sizeof(struct iphdr) + sizeof(struct udphdr),
			  READ_ONCE(rt->dst.dev->mtu));
	if (unlikely(err)) {
		ip_rt_put(rt);
		return err;
	}
	skb->mark = fl.flowi4_mark;
	skb->protocol = htons(ETH_P_IP);
	nqd_udp4_xmit(rt, sk, skb, fl.saddr, dst, tos(way), fl.fl4_sport, dport);
	return 0;
}

#if IS_ENABLED(CONFIG_IPV6)
static struct dst_entry *route6(struct nqd_session *s, const struct nqd_way *way, struct sock *sk,
				struct flowi6 *fl)
{
	struct dst_cache *cache = cache_of(s, way, flowi6_to_flowi_common(fl));
	struct dst_entry *dst = NULL;

	if (cache)
		dst = dst_cache_get_ip6(cache, &fl->saddr);
	if (likely(dst))
		return dst;
	security_sk_classify_flow(sk, flowi6_to_flowi_common(fl));
	dst = ip6_dst_lookup_flow(sock_net(sk), sk, fl, NULL);
	if (!IS_ERR(dst) && cache)
		dst_cache_set_ip6(cache, dst, &fl->saddr);
	return dst;
}

static int send6(struct nqd_session *s, const struct nqd_way *way, struct sock *sk,
		 struct sk_buff *skb, const struct in6_addr *src, u32 largest)
{
	const struct sockaddr_in6 *to = &way->to.remote.in6;
	struct flowi6 fl = {
		.daddr = to->sin6_addr,
		.fl6_sport = inet_sk(sk)->inet_sport,
		.fl6_dport = to->sin6_port,
		.flowi6_proto = IPPROTO_UDP,
		.flowi6_mark = READ_ONCE(sk->sk_mark),
		.flowi6_oif = to->sin6_scope_id ?: READ_ONCE(sk->sk_bound_dev_if),
		.flowi6_uid = sock_net_uid(sock_net(sk), sk),
	};
	struct dst_entry *dst;
	int err;

	if (src)
		fl.saddr = *src;
	dst = route6(s, way, sk, &fl);
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	err = check_route(s, dst, largest + sizeof(struct ipv6hdr) + sizeof(struct udphdr),
			  dst_mtu(dst));
	if (unlikely(err)) {
		dst_release(dst);
		return err;
	}
	skb->mark = fl.flowi6_mark;
	skb->protocol = htons(ETH_P_IPV6);
	nqd_udp6_xmit(dst, sk, skb, &fl.saddr, &fl.daddr, tos(way), fl.fl6_sport, fl.fl6_dport);
	return 0;
}
#endif

/* An address of a path as IPv4, which on an IPv6 socket is a mapped one. */
static bool as_v4(const union nqd_addr *a, __be32 *v4)
{
	if (a->sa.sa_family == AF_INET)
		*v4 = a->in.sin_addr.s_addr;
	else if (a->sa.sa_family == AF_INET6 && ipv6_addr_v4mapped(&a->in6.sin6_addr))
		*v4 = a->in6.sin6_addr.s6_addr32[3];
	else
		return false;
	return true;
}

int nqd_udp_send(struct nqd_session *s, const struct nqd_way *way, struct sk_buff *skb, u32 largest)
{
	const struct nqd_path *p = &way->to;
	const union nqd_addr *local = nqd_path_local(p);
	struct sock *sk = p->sock ? READ_ONCE(p->sock->sk) : NULL;
	__be32 src = 0, dst;
	int err;

	if (unlikely(!sk)) {
		err = -ENOTCONN;
	} else if (as_v4(&p->remote, &dst)) {
		as_v4(local, &src);
		err = send4(s, way, sk, skb, src, dst, largest);
#if IS_ENABLED(CONFIG_IPV6)
	} else if (p->remote.sa.sa_family == AF_INET6) {
		err = send6(s, way, sk, skb,
			    local->sa.sa_family == AF_INET6 ? &local->in6.sin6_addr : NULL,
			    largest);
#endif
	} else {
		err = -EAFNOSUPPORT;
	}
	if (unlikely(err))
		kfree_skb(skb);
	return err;
}
