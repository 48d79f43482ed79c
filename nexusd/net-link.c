// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TUN device, addresses and routes through libnl-route; rules as plain netlink messages, because
 * libnl knows neither inverted rules nor suppress_prefixlength. Needs CAP_NET_ADMIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "lib/log.h"
#include "net-link.h"
#include "prefix.h"

/* libnl's numbers as errno. */
static int nl_errno(int r)
{
	switch (r < 0 ? -r : r) {
	case 0:
		return 0;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_OBJ_NOTFOUND:
	case NLE_NODEV:
		return -ENODEV;
	case NLE_NOADDR:
		return -EADDRNOTAVAIL;
	case NLE_PERM:
		return -EPERM;
	case NLE_BUSY:
		return -EBUSY;
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	case NLE_OPNOTSUPP:
		return -EOPNOTSUPP;
	case NLE_RANGE:
	case NLE_INVAL:
		return -EINVAL;
	default:
		return -EIO;
	}
}

int nx_netlink_open(struct nl_sock **sk)
{
	int r;

	*sk = nl_socket_alloc();
	if (!*sk)
		return -ENOMEM;
	r = nl_connect(*sk, NETLINK_ROUTE);
	if (r < 0) {
		nl_socket_free(*sk);
		*sk = NULL;
		return nl_errno(r);
	}
	return 0;
}

void nx_netlink_close(struct nl_sock *sk)
{
	nl_socket_free(sk);
}

/* ---- device ---- */

int nx_tun_attach(int fd, const char *name, int *ifindex)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	int flags = fcntl(fd, F_GETFL);

	memcpy(ifr.ifr_name, name, strnlen(name, sizeof(ifr.ifr_name) - 1));
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return -errno;
	*ifindex = (int)if_nametoindex(ifr.ifr_name);
	return *ifindex > 0 ? 0 : -ENODEV;
}

int nx_tun_identify(int fd, char name[16], int *ifindex)
{
	struct ifreq ifr = {};

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return -errno;
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	name[IFNAMSIZ - 1] = '\0';
	*ifindex = (int)if_nametoindex(name);
	return *ifindex > 0 ? 0 : -ENODEV;
}

static int change_link(struct nl_sock *sk, int ifindex, struct rtnl_link *changes)
{
	struct rtnl_link *orig = rtnl_link_alloc();
	int r;

	if (!orig || !changes) {
		rtnl_link_put(orig);
		return -ENOMEM;
	}
	rtnl_link_set_ifindex(orig, ifindex);
	r = nl_errno(rtnl_link_change(sk, orig, changes, 0));
	rtnl_link_put(orig);
	return r;
}

/* An automatic link-local address would send router solicitations into the tunnel. */
static void no_link_local(struct nl_sock *sk, int ifindex)
{
	struct rtnl_link *changes = rtnl_link_alloc();

	if (changes && rtnl_link_inet6_set_addr_gen_mode(changes, IN6_ADDR_GEN_MODE_NONE) == 0)
		(void)change_link(sk, ifindex, changes);
	rtnl_link_put(changes);
}

int nx_link_configure(struct nl_sock *sk, int ifindex, uint32_t mtu)
{
	struct rtnl_link *changes = rtnl_link_alloc();
	int r;

	no_link_local(sk, ifindex);
	if (changes) {
		rtnl_link_set_mtu(changes, mtu);
		rtnl_link_set_flags(changes, IFF_UP);
	}
	r = change_link(sk, ifindex, changes);
	rtnl_link_put(changes);
	return r;
}

int nx_link_set_mtu(struct nl_sock *sk, int ifindex, uint32_t mtu)
{
	struct rtnl_link *changes = rtnl_link_alloc();
	int r;

	if (changes)
		rtnl_link_set_mtu(changes, mtu);
	r = change_link(sk, ifindex, changes);
	rtnl_link_put(changes);
	return r;
}

int nx_link_delete(struct nl_sock *sk, int ifindex)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int r;

	if (!link)
		return -ENOMEM;
	rtnl_link_set_ifindex(link, ifindex);
	r = nl_errno(rtnl_link_delete(sk, link));
	rtnl_link_put(link);
	return r == -ENODEV ? 0 : r;
}

uint32_t nx_link_mtu(struct nl_sock *sk, int ifindex)
{
	struct rtnl_link *link;
	uint32_t mtu;

	if (rtnl_link_get_kernel(sk, ifindex, NULL, &link) < 0)
		return 0;
	mtu = rtnl_link_get_mtu(link);
	rtnl_link_put(link);
	return mtu;
}

int nx_link_identify(struct nl_sock *sk, int ifindex, const char *kind, char name[16])
{
	struct rtnl_link *link;
	const char *type;
	int r;

	r = nl_errno(rtnl_link_get_kernel(sk, ifindex, NULL, &link));
	if (r)
		return r;
	type = rtnl_link_get_type(link);
	if (type && !strcmp(type, kind))
		strncpy(name, rtnl_link_get_name(link), IFNAMSIZ - 1);
	else
		r = -ENODEV;
	name[IFNAMSIZ - 1] = '\0';
	rtnl_link_put(link);
	return r;
}

static int add_altname(struct nl_sock *sk, int ifindex, const char *name)
{
	struct ifinfomsg hdr = { .ifi_index = ifindex };
	struct nl_msg *msg =
		nlmsg_alloc_simple(RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND);
	struct nlattr *nest;
	int r;

	if (!msg)
		return -ENOMEM;
	r = nlmsg_append(msg, &hdr, sizeof(hdr), NLMSG_ALIGNTO);
	nest = r ? NULL : nla_nest_start(msg, IFLA_PROP_LIST);
	if (!nest || nla_put_string(msg, IFLA_ALT_IFNAME, name) < 0) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	nla_nest_end(msg, nest);
	return nl_errno(nl_send_sync(sk, msg));
}

int nx_link_rename(struct nl_sock *sk, int ifindex, const char *name)
{
	struct rtnl_link *changes = rtnl_link_alloc();
	int r;

	if (changes)
		rtnl_link_set_name(changes, name);
	r = change_link(sk, ifindex, changes);
	rtnl_link_put(changes);
	if (r != -EBUSY)
		return r;
	r = add_altname(sk, ifindex, name);
	return r ? r : 1;
}

int nx_link_loosen(const char *ifname, bool loose)
{
	char path[64], was = 0;
	int fd, r = 0;

	if (snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", ifname) >=
	    (int)sizeof(path))
		return -EINVAL;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, &was, 1) != 1)
		r = -EIO;
	else if (was == (loose ? '1' : '2'))
		r = pwrite(fd, loose ? "2" : "1", 1, 0) == 1 ? 1 : -errno;
	close(fd);
	return r;
}

/* ---- addresses ---- */

static struct nl_addr *nl_addr_of(const struct nx_prefix *p)
{
	struct nl_addr *a = nl_addr_build(p->family, p->addr, nx_family_bytes(p->family));

	if (a)
		nl_addr_set_prefixlen(a, p->len);
	return a;
}

static struct rtnl_addr *address_object(int ifindex, const struct nx_prefix *p)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local = nl_addr_of(p);

	if (!a || !local) {
		rtnl_addr_put(a);
		nl_addr_put(local);
		return NULL;
	}
	rtnl_addr_set_ifindex(a, ifindex);
	rtnl_addr_set_family(a, p->family);
	rtnl_addr_set_local(a, local);
	rtnl_addr_set_prefixlen(a, p->len);
	if (p->family == AF_INET6)
		rtnl_addr_set_flags(a, IFA_F_NODAD);
	nl_addr_put(local);
	return a;
}

int nx_address_add(struct nl_sock *sk, int ifindex, const struct nx_prefix *p)
{
	struct rtnl_addr *a = address_object(ifindex, p);
	int r;

	if (!a)
		return -ENOMEM;
	r = nl_errno(rtnl_addr_add(sk, a, 0));
	rtnl_addr_put(a);
	return r == -EEXIST ? 0 : r;
}

int nx_address_delete(struct nl_sock *sk, int ifindex, const struct nx_prefix *p)
{
	struct rtnl_addr *a = address_object(ifindex, p);
	int r;

	if (!a)
		return -ENOMEM;
	r = nl_errno(rtnl_addr_delete(sk, a, 0));
	rtnl_addr_put(a);
	return r == -EADDRNOTAVAIL || r == -ENODEV ? 0 : r;
}

struct address_search {
	int ifindex;
	struct nx_prefix *list;
	size_t n, cap;
};

static void collect_address(struct nl_object *obj, void *arg)
{
	struct rtnl_addr *a = (struct rtnl_addr *)obj;
	struct nl_addr *local = rtnl_addr_get_local(a);
	struct address_search *s = arg;

	if (rtnl_addr_get_ifindex(a) != s->ifindex || !local || s->n == s->cap)
		return;
	if (nx_prefix_from_bytes(nl_addr_get_binary_addr(local), nl_addr_get_len(local),
				 (unsigned int)rtnl_addr_get_prefixlen(a), &s->list[s->n]) == 0)
		s->n++;
}

int nx_address_list(struct nl_sock *sk, int ifindex, struct nx_prefix **list, size_t *n)
{
	struct address_search s = { .ifindex = ifindex };
	struct nl_cache *cache;
	int r = rtnl_addr_alloc_cache(sk, &cache);

	*list = NULL;
	*n = 0;
	if (r < 0)
		return nl_errno(r);
	s.cap = (size_t)nl_cache_nitems(cache);
	s.list = calloc(s.cap + 1, sizeof(*s.list));
	if (s.list)
		nl_cache_foreach(cache, collect_address, &s);
	nl_cache_free(cache);
	*list = s.list;
	*n = s.n;
	return s.list ? 0 : -ENOMEM;
}

/* ---- routes ---- */

static struct rtnl_route *route_object(int ifindex, const struct nx_prefix *p, uint32_t table)
{
	struct nx_prefix net = nx_prefix_network(p);
	struct rtnl_route *r = rtnl_route_alloc();
	struct rtnl_nexthop *nh = rtnl_route_nh_alloc();
	struct nl_addr *dst = nl_addr_of(&net);

	if (!r || !nh || !dst) {
		rtnl_route_put(r);
		if (nh)
			rtnl_route_nh_free(nh);
		nl_addr_put(dst);
		return NULL;
	}
	rtnl_route_set_family(r, p->family);
	rtnl_route_set_table(r, table ? table : RT_TABLE_MAIN);
	rtnl_route_set_scope(r, p->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
	rtnl_route_set_type(r, RTN_UNICAST);
	rtnl_route_set_protocol(r, RTPROT_STATIC);
	rtnl_route_set_dst(r, dst);
	rtnl_route_nh_set_ifindex(nh, ifindex);
	rtnl_route_add_nexthop(r, nh);
	nl_addr_put(dst);
	return r;
}

struct route_search {
	struct nl_addr *dst;
	uint32_t table;
	int ifindex;
	bool found;
};

static void match_route(struct nl_object *obj, void *arg)
{
	struct rtnl_route *r = (struct rtnl_route *)obj;
	struct route_search *s = arg;
	int n = rtnl_route_get_nnexthops(r);

	if (rtnl_route_get_table(r) != s->table || nl_addr_cmp(rtnl_route_get_dst(r), s->dst))
		return;
	for (int i = 0; i < n; i++)
		if (rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(r, i)) == s->ifindex)
			s->found = true;
}

static bool route_exists(struct nl_sock *sk, int ifindex, struct rtnl_route *route)
{
	struct route_search s = {
		.dst = rtnl_route_get_dst(route),
		.table = rtnl_route_get_table(route),
		.ifindex = ifindex,
	};
	struct nl_cache *cache;

	if (rtnl_route_alloc_cache(sk, rtnl_route_get_family(route), 0, &cache) < 0)
		return false;
	nl_cache_foreach(cache, match_route, &s);
	nl_cache_free(cache);
	return s.found;
}

int nx_route_add(struct nl_sock *sk, int ifindex, const struct nx_prefix *p, uint32_t table)
{
	struct rtnl_route *route = route_object(ifindex, p, table);
	int r;

	if (!route)
		return -ENOMEM;
	r = nl_errno(rtnl_route_add(sk, route, NLM_F_EXCL));
	if (r == -EEXIST && route_exists(sk, ifindex, route))
		r = 0;
	rtnl_route_put(route);
	return r;
}

int nx_route_move(struct nl_sock *sk, int from, int to, const struct nx_prefix *p, uint32_t table)
{
	struct rtnl_route *old = route_object(from, p, table), *new = route_object(to, p, table);
	int r = -ENOMEM;

	/* One that leads elsewhere is somebody else's. */
	if (old && new)
		r = nl_errno(rtnl_route_add(
			sk, new, route_exists(sk, from, old) ? NLM_F_REPLACE : NLM_F_EXCL));
	if (r == -EEXIST && route_exists(sk, to, new))
		r = 0;
	rtnl_route_put(old);
	rtnl_route_put(new);
	return r;
}

int nx_route_delete(struct nl_sock *sk, int ifindex, const struct nx_prefix *p, uint32_t table)
{
	struct rtnl_route *route = route_object(ifindex, p, table);
	int r;

	if (!route)
		return -ENOMEM;
	r = nl_errno(rtnl_route_delete(sk, route, 0));
	rtnl_route_put(route);
	return r == -ENODEV ? 0 : r;
}

/* ---- the way of a packet ---- */

/* The one answer to a question for a route. */
static int take_route(struct nl_msg *msg, void *arg)
{
	struct rtnl_route **route = arg;

	if (!*route && rtnl_route_parse(nlmsg_hdr(msg), route) < 0)
		*route = NULL;
	return NL_OK;
}

/* The kernel's error is an answer as well: there is no route. */
static int receive_route(struct nl_sock *sk, struct rtnl_route **route)
{
	struct nl_cb *base = nl_socket_get_cb(sk), *cb = nl_cb_clone(base);
	int r = -NLE_NOMEM;

	*route = NULL;
	if (cb)
		r = nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, take_route, route);
	if (r >= 0)
		r = nl_recvmsgs(sk, cb);
	if (r >= 0)
		r = nl_wait_for_ack(sk);
	nl_cb_put(cb);
	nl_cb_put(base);
	if (r >= 0 && *route)
		return 0;
	rtnl_route_put(*route);
	return -ENETUNREACH;
}

/* The question of nx_way_find(); rtnl_route_lookup() knows no mark. */
static struct nl_msg *route_question(const struct nx_endpoint *remote, uint32_t mark)
{
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, 0);
	struct nx_prefix to = nx_prefix_of_endpoint(remote);
	struct rtmsg hdr = { .rtm_family = to.family, .rtm_dst_len = to.len };

	if (!msg)
		return NULL;
	if (nlmsg_append(msg, &hdr, sizeof(hdr), NLMSG_ALIGNTO) < 0 ||
	    nla_put(msg, RTA_DST, (int)nx_family_bytes(to.family), to.addr) < 0 ||
	    (mark && nla_put_u32(msg, RTA_MARK, mark) < 0)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int read_way(struct rtnl_route *route, struct nx_way *way)
{
	struct nl_addr *local = rtnl_route_get_pref_src(route);
	uint8_t type = rtnl_route_get_type(route);

	if ((type != RTN_UNICAST && type != RTN_LOCAL) || !local ||
	    rtnl_route_get_nnexthops(route) < 1)
		return -ENETUNREACH;
	way->ifindex = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, 0));
	return nx_prefix_from_bytes(nl_addr_get_binary_addr(local), nl_addr_get_len(local),
				    8 * nl_addr_get_len(local), &way->local);
}

static bool link_carries(struct nl_sock *sk, int ifindex)
{
	struct rtnl_link *link;
	bool carries;

	if (rtnl_link_get_kernel(sk, ifindex, NULL, &link) < 0)
		return false;
	carries = rtnl_link_get_flags(link) & IFF_UP && rtnl_link_get_carrier(link);
	rtnl_link_put(link);
	return carries;
}

int nx_way_find(struct nl_sock *sk, const struct nx_endpoint *remote, uint32_t mark,
		struct nx_way *way)
{
	struct nl_msg *msg = route_question(remote, mark);
	struct rtnl_route *route;
	int r;

	if (!msg)
		return -ENOMEM;
	r = nl_send_auto(sk, msg);
	nlmsg_free(msg);
	if (r < 0)
		return nl_errno(r);
	r = receive_route(sk, &route);
	if (r)
		return r;
	r = read_way(route, way);
	rtnl_route_put(route);
	if (!r && !link_carries(sk, way->ifindex))
		r = -ENETUNREACH;
	return r;
}

/* ---- rules ---- */

/* One rule as a message. @suppress: look at table main, but not at its default route. */
static int change_rule(struct nl_sock *sk, int cmd, int family, uint32_t mark, uint32_t priority,
		       bool suppress)
{
	struct fib_rule_hdr hdr = {
		.family = (uint8_t)family,
		.action = FR_ACT_TO_TBL,
		.table = RT_TABLE_UNSPEC,
		.flags = suppress ? 0 : FIB_RULE_INVERT,
	};
	struct nl_msg *msg;
	int r;

	msg = nlmsg_alloc_simple(cmd, cmd == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0);
	if (!msg)
		return -ENOMEM;
	r = nlmsg_append(msg, &hdr, sizeof(hdr), NLMSG_ALIGNTO);
	if (!r)
		r = nla_put_u32(msg, FRA_PRIORITY, priority);
	if (!r)
		r = nla_put_u32(msg, FRA_TABLE, suppress ? RT_TABLE_MAIN : mark);
	if (!r && suppress)
		r = nla_put_u32(msg, FRA_SUPPRESS_PREFIXLEN, 0);
	if (!r && !suppress)
		r = nla_put_u32(msg, FRA_FWMARK, mark);
	if (r) {
		nlmsg_free(msg);
		return nl_errno(r);
	}
	return nl_errno(nl_send_sync(sk, msg));
}

int nx_rules_add(struct nl_sock *sk, int family, uint32_t mark, uint32_t priority)
{
	int r = change_rule(sk, RTM_NEWRULE, family, mark, priority, true);

	if (r && r != -EEXIST)
		return r;
	r = change_rule(sk, RTM_NEWRULE, family, mark, priority + 1, false);
	return r == -EEXIST ? 0 : r;
}

int nx_rules_delete(struct nl_sock *sk, int family, uint32_t mark, uint32_t priority)
{
	int a = change_rule(sk, RTM_DELRULE, family, mark, priority + 1, false);
	int b = change_rule(sk, RTM_DELRULE, family, mark, priority, true);

	if (a && a != -ENODEV)
		return a;
	return b == -ENODEV ? 0 : b;
}

int nx_allow_marked_replies(void)
{
	int fd = open("/proc/sys/net/ipv4/conf/all/src_valid_mark", O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, "1", 1) != 1)
		r = -errno;
	close(fd);
	return r;
}
