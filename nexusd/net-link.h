/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TUN device and what belongs to it in the kernel: link, addresses, routes, policy rules.
 * Every call is synchronous and idempotent: what is there already, or gone already, is success.
 */
#ifndef NX_NET_LINK_H
#define NX_NET_LINK_H

#include <stdbool.h>
#include "net.h"

struct nl_sock;

/* 0 or -errno. */
int nx_netlink_open(struct nl_sock **sk);
void nx_netlink_close(struct nl_sock *sk);

/* Make the device @name of an open /dev/net/tun (one queue, vnet header). 0 or -errno. */
int nx_tun_attach(int fd, const char *name, int *ifindex);
/* Which device belongs to an adopted descriptor? -EBADFD if none any more. */
int nx_tun_identify(int fd, char name[16], int *ifindex);

/* MTU, no automatic link-local address, up. */
int nx_link_configure(struct nl_sock *sk, int ifindex, uint32_t mtu);
/* Remove the device even while descriptors of it are open elsewhere. */
int nx_link_delete(struct nl_sock *sk, int ifindex);
/* 0 or -errno. */
int nx_link_set_mtu(struct nl_sock *sk, int ifindex, uint32_t mtu);
uint32_t nx_link_mtu(struct nl_sock *sk, int ifindex);
/* Is there a device @ifindex of this kind ("nexusq")? Its name. 0 or -errno. */
int nx_link_identify(struct nl_sock *sk, int ifindex, const char *kind, char name[16]);
/*
 * Another name for a device that is up, without taking it down: kernels from 6.2 on rename it; before
 * that it gets @name as an alternative one, and 1 is returned. 0, 1 or -errno.
 */
int nx_link_rename(struct nl_sock *sk, int ifindex, const char *name);
/*
 * Accept on @ifname what would be answered through another device ("loose" reverse path filtering), if
 * it was strict. 1: it was; 0; or -errno. @loose false takes it back.
 */
int nx_link_loosen(const char *ifname, bool loose);

int nx_address_add(struct nl_sock *sk, int ifindex, const struct nx_prefix *p);
int nx_address_delete(struct nl_sock *sk, int ifindex, const struct nx_prefix *p);
/* The addresses the device has, to be freed by the caller. */
int nx_address_list(struct nl_sock *sk, int ifindex, struct nx_prefix **list, size_t *n);

/* @table 0 is the main table. -EEXIST: the network is already reached through another device. */
int nx_route_add(struct nl_sock *sk, int ifindex, const struct nx_prefix *p, uint32_t table);
/* In one step, the route that leads through device @from leads through @to. */
int nx_route_move(struct nl_sock *sk, int from, int to, const struct nx_prefix *p, uint32_t table);
int nx_route_delete(struct nl_sock *sk, int ifindex, const struct nx_prefix *p, uint32_t table);

/* How a packet to somewhere leaves now: from which address, through which device. */
struct nx_way {
	struct nx_prefix local; /* an address, of full length */
	int ifindex;
};

/*
 * The way of packets marked @mark to @remote, by all rules and tables. -ENETUNREACH: there is none,
 * or its device is down or has no carrier; other -errno.
 */
int nx_way_find(struct nl_sock *sk, const struct nx_endpoint *remote, uint32_t mark,
		struct nx_way *way);

/*
 * Send what is not marked @mark to table @mark, after all but the default route of the main table
 * had their say (the recipe of wg-quick). @priority and @priority + 1 are used.
 */
int nx_rules_add(struct nl_sock *sk, int family, uint32_t mark, uint32_t priority);
int nx_rules_delete(struct nl_sock *sk, int family, uint32_t mark, uint32_t priority);
/* Let the reverse path filter honour the mark (net.ipv4.conf.all.src_valid_mark). */
int nx_allow_marked_replies(void);

#endif /* NX_NET_LINK_H */
