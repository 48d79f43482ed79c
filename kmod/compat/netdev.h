/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network devices: what became a bit of struct net_device was a feature flag before (6.12), and
 * newlink() got its arguments as a struct (6.15).
 */
#ifndef NQD_COMPAT_NETDEV_H
#define NQD_COMPAT_NETDEV_H

#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/rtnetlink.h>

/* Transmits without the queue's lock; stays in the network namespace it was made in. */
static inline void nqd_dev_set_lockless_local(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	dev->features |= NETIF_F_LLTX | NETIF_F_NETNS_LOCAL;
#else
	dev->lltx = true;
	dev->netns_immutable = true;
#endif
}

/* Defines @name, an rtnl_link_ops.newlink that calls @body(dev, extack). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
#define NQD_DEFINE_NEWLINK(name, body)                                                \
	static int name(struct net *src_net, struct net_device *dev, struct nlattr **tb, \
			struct nlattr **data, struct netlink_ext_ack *extack)         \
	{                                                                             \
		return body(dev, extack);                                             \
	}
#else
#define NQD_DEFINE_NEWLINK(name, body)                                                \
	static int name(struct net_device *dev, struct rtnl_newlink_params *params,   \
			struct netlink_ext_ack *extack)                               \
	{                                                                             \
		return body(dev, extack);                                             \
	}
#endif

#endif /* NQD_COMPAT_NETDEV_H */
