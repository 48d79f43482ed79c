/* SPDX-License-Identifier: GPL-2.0-only */
/* A network device that is none, for a NAPI of a socket: it is allocated as such since 6.10. */
#ifndef NQD_COMPAT_NAPI_H
#define NQD_COMPAT_NAPI_H

#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/version.h>

static inline struct net_device *nqd_alloc_dummy_netdev(void)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	struct net_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (dev)
		init_dummy_netdev(dev);
	return dev;
#else
	return alloc_netdev_dummy(0);
#endif
}

static inline void nqd_free_dummy_netdev(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	kfree(dev);
#else
	free_netdev(dev);
#endif
}

#endif /* NQD_COMPAT_NAPI_H */
