// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The filters behind net-steer.h, as plain netlink messages: libnl knows no redirection to the
 * receiving side of a device.
 *
 *   second device, ingress   one filter for everything: redirect to the first one's ingress
 *   first device, egress     a list for each IP version. Its first entry leads to a hash table of 256
 *                            by the last byte of the destination, with an entry for each address that
 *                            stands alone; larger networks stand in the list behind it. Every entry
 *                            redirects to the second device's egress.
 *
 * A list is known by its priority, which is nobody else's, and goes as a whole.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include "net-steer.h"
#include "prefix.h"

/* "nx"; the second IP version takes the next one. */
#define PRIORITY 0x6e78
#define BUCKETS 256
#define IPV4_DST_OFFSET 16
#define IPV6_DST_OFFSET 24

/* A network that is steered. */
struct nx_steered {
	struct nx_id_node node; /* first: what the index finds is it */
	struct nx_steered *next;
	struct nx_prefix network;
};

/* One list of filters. */
struct list {
	int ifindex;
	uint32_t parent; /* ingress or egress */
	uint16_t priority, protocol;
};

static uint32_t table_handle(int family)
{
	return (family == AF_INET ? 1u : 2u) << 20;
}

static struct list egress(const struct nx_steer *st, int family)
{
	return (struct list){
		.ifindex = st->front,
		.parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
		.priority = family == AF_INET ? PRIORITY : PRIORITY + 1,
		.protocol = family == AF_INET ? ETH_P_IP : ETH_P_IPV6,
	};
}

static struct list ingress(const struct nx_steer *st)
{
	return (struct list){
		.ifindex = st->behind,
		.parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		.priority = PRIORITY,
		.protocol = ETH_P_ALL,
	};
}

/* ---- messages ---- */

static struct nl_msg *begin(int type, int flags, const struct tcmsg *tc)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, (void *)tc, sizeof(*tc), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static struct nl_msg *begin_filter(const struct list *l, uint32_t handle)
{
	struct tcmsg tc = {
		.tcm_ifindex = l->ifindex,
		.tcm_parent = l->parent,
		.tcm_handle = handle,
		.tcm_info = TC_H_MAKE((uint32_t)l->priority << 16, htons(l->protocol)),
	};
	struct nl_msg *msg = begin(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc);

	if (msg && nla_put_string(msg, TCA_KIND, "u32") < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* @msg is consumed. libnl's number for what is there already, or is not, is the caller's to judge. */
static int finish(struct nl_sock *sk, struct nl_msg *msg, bool complete)
{
	int r;

	if (!complete) {
		nlmsg_free(msg);
		return -NLE_NOMEM;
	}
	r = nl_send_sync(sk, msg);
	return r < 0 ? r : 0;
}

static int as_errno(int r)
{
	switch (-r) {
	case 0:
		return 0;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
		return -EPERM;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_NODEV:
		return -ENODEV;
	default:
		/* Whatever it says: this kernel has not what it takes. */
		return -EOPNOTSUPP;
	}
}

static bool put_redirect(struct nl_msg *msg, int ifindex, int direction)
{
	struct tc_mirred parms = { .action = TC_ACT_STOLEN,
				   .eaction = direction,
				   .ifindex = (uint32_t)ifindex };
	struct nlattr *actions = nla_nest_start(msg, TCA_U32_ACT);
	struct nlattr *first = actions ? nla_nest_start(msg, 1) : NULL;
	struct nlattr *options;

	if (!first || nla_put_string(msg, TCA_ACT_KIND, "mirred") < 0)
		return false;
	options = nla_nest_start(msg, TCA_ACT_OPTIONS);
	if (!options || nla_put(msg, TCA_MIRRED_PARMS, sizeof(parms), &parms) < 0)
		return false;
	nla_nest_end(msg, options);
	nla_nest_end(msg, first);
	nla_nest_end(msg, actions);
	return true;
}

/* Room for the words of an IPv6 address. */
union selector {
	struct tc_u32_sel sel;
	uint8_t room[sizeof(struct tc_u32_sel) + 4 * sizeof(struct tc_u32_key)];
};

static bool put_selector(struct nl_msg *msg, const union selector *s)
{
	return nla_put(msg, TCA_U32_SEL,
		       (int)(sizeof(s->sel) + s->sel.nkeys * sizeof(s->sel.keys[0])), s) >= 0;
}

/* ---- filters ---- */

int nx_steer_prepare(struct nl_sock *sk, int ifindex)
{
	struct tcmsg tc = {
		.tcm_ifindex = ifindex,
		.tcm_parent = TC_H_CLSACT,
		.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
	};
	struct nl_msg *msg = begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &tc);
	int r;

	if (!msg)
		return -ENOMEM;
	r = finish(sk, msg, nla_put_string(msg, TCA_KIND, "clsact") >= 0);
	return r == -NLE_EXIST ? 0 : as_errno(r);
}

/* Everything. */
static int redirect_ingress(struct nl_sock *sk, const struct nx_steer *st)
{
	union selector s = { .room = { 0 } };
	struct list l = ingress(st);
	struct nl_msg *msg = begin_filter(&l, 0);
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;
	bool complete;

	if (!msg)
		return -ENOMEM;
	s.sel.flags = TC_U32_TERMINAL;
	s.sel.nkeys = 1;
	complete = options && put_selector(msg, &s) &&
		   put_redirect(msg, st->front, TCA_INGRESS_REDIR);
	if (complete)
		nla_nest_end(msg, options);
	return as_errno(finish(sk, msg, complete));
}

static int add_table(struct nl_sock *sk, const struct list *l, int family)
{
	struct nl_msg *msg = begin_filter(l, table_handle(family));
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;
	bool complete;

	if (!msg)
		return -ENOMEM;
	complete = options && nla_put_u32(msg, TCA_U32_DIVISOR, BUCKETS) >= 0;
	if (complete)
		nla_nest_end(msg, options);
	return as_errno(finish(sk, msg, complete));
}

/* The first entry of a list: look into the table. */
static int add_link(struct nl_sock *sk, const struct list *l, int family)
{
	union selector s = { .room = { 0 } };
	struct nl_msg *msg = begin_filter(l, 0);
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;
	bool complete;

	if (!msg)
		return -ENOMEM;
	s.sel.nkeys = 1;
	/* The last byte of the address, which the mask counts from the word's first. */
	s.sel.hmask = htonl(0xff);
	s.sel.hoff = family == AF_INET ? IPV4_DST_OFFSET : IPV6_DST_OFFSET + 12;
	complete = options && put_selector(msg, &s) &&
		   nla_put_u32(msg, TCA_U32_LINK, table_handle(family)) >= 0;
	if (complete)
		nla_nest_end(msg, options);
	return as_errno(finish(sk, msg, complete));
}

static union selector to_prefix(const struct nx_prefix *p)
{
	unsigned int offset = p->family == AF_INET ? IPV4_DST_OFFSET : IPV6_DST_OFFSET;
	struct nx_prefix net = nx_prefix_network(p);
	union selector s = { .room = { 0 } };
	unsigned int bits = net.len;

	s.sel.flags = TC_U32_TERMINAL;
	/* One key at least: the default route of an IP version is a network like others. */
	do {
		struct tc_u32_key *key = &s.sel.keys[s.sel.nkeys];
		unsigned int here = bits < 32 ? bits : 32;

		key->mask = htonl(here ? 0xffffffffu << (32 - here) : 0);
		memcpy(&key->val, net.addr + 4 * s.sel.nkeys, sizeof(key->val));
		key->off = (int)(offset + 4 * s.sel.nkeys);
		s.sel.nkeys++;
		bits -= here;
	} while (bits);
	return s;
}

static int add_filter(struct nl_sock *sk, const struct nx_steer *st, const struct nx_prefix *p)
{
	unsigned int bytes = nx_family_bytes(p->family);
	struct list l = egress(st, p->family);
	union selector s = to_prefix(p);
	struct nl_msg *msg = begin_filter(&l, 0);
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;
	uint32_t bucket = table_handle(p->family) | (uint32_t)p->addr[bytes - 1] << 12;
	bool complete;

	if (!msg)
		return -ENOMEM;
	complete = options && put_selector(msg, &s) &&
		   (p->len < 8 * bytes || nla_put_u32(msg, TCA_U32_HASH, bucket) >= 0) &&
		   put_redirect(msg, st->behind, TCA_EGRESS_REDIR);
	if (complete)
		nla_nest_end(msg, options);
	return as_errno(finish(sk, msg, complete));
}

/* A list that is not there is as good as removed. */
static void remove_list(struct nl_sock *sk, const struct list *l)
{
	struct tcmsg tc = {
		.tcm_ifindex = l->ifindex,
		.tcm_parent = l->parent,
		.tcm_info = TC_H_MAKE((uint32_t)l->priority << 16, htons(l->protocol)),
	};
	struct nl_msg *msg = begin(RTM_DELTFILTER, 0, &tc);

	if (msg)
		(void)finish(sk, msg, true);
}

static void remove_all(struct nl_sock *sk, const struct nx_steer *st)
{
	struct list lists[] = { egress(st, AF_INET), egress(st, AF_INET6), ingress(st) };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (lists[i].ifindex)
			remove_list(sk, &lists[i]);
}

/* ---- interface ---- */

int nx_steer_begin(struct nx_steer *st, struct nl_sock *sk, int front, int behind)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int r;

	nx_steer_end(st, sk);
	st->front = front;
	st->behind = behind;
	remove_all(sk, st);
	r = nx_steer_prepare(sk, front);
	if (!r)
		r = nx_steer_prepare(sk, behind);
	for (size_t i = 0; !r && i < sizeof(families) / sizeof(families[0]); i++) {
		struct list l = egress(st, families[i]);

		r = add_table(sk, &l, families[i]);
		if (!r)
			r = add_link(sk, &l, families[i]);
	}
	if (!r)
		r = redirect_ingress(sk, st);
	if (r)
		nx_steer_end(st, sk);
	return r;
}

static uint64_t number_of(const struct nx_prefix *p)
{
	uint64_t n = (uint64_t)p->family << 8 | p->len;

	for (unsigned int i = 0; i < nx_family_bytes(p->family); i++)
		n = (n ^ p->addr[i]) * 0x100000001b3;
	return n;
}

static bool is_steered(const struct nx_steer *st, const struct nx_prefix *p)
{
	struct nx_id_node *node;

	for (node = nx_id_first(&st->index, number_of(p)); node; node = nx_id_next(node)) {
		const struct nx_steered *s = (const void *)node;

		if (nx_prefix_equal(&s->network, p))
			return true;
	}
	return false;
}

int nx_steer_add(struct nx_steer *st, struct nl_sock *sk, const struct nx_prefix *p)
{
	struct nx_steered *s;
	int r;

	if (is_steered(st, p))
		return 0;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	r = add_filter(sk, st, p);
	if (r) {
		free(s);
		return r;
	}
	s->network = *p;
	s->next = st->networks;
	st->networks = s;
	nx_id_add(&st->index, &s->node, number_of(p));
	return 0;
}

void nx_steer_clear(struct nl_sock *sk, int front)
{
	struct nx_steer st = { .front = front };

	remove_all(sk, &st);
}

void nx_steer_forget(struct nx_steer *st)
{
	struct nx_steered *s;

	while ((s = st->networks)) {
		st->networks = s->next;
		nx_id_remove(&st->index, &s->node);
		free(s);
	}
	st->front = st->behind = 0;
}

void nx_steer_end(struct nx_steer *st, struct nl_sock *sk)
{
	if (st->front)
		remove_all(sk, st);
	nx_steer_forget(st);
}
