/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network device that is none, for the NAPIs of a socket: it is allocated as such since 6.10;
 * that they are threads is said with an enumeration since 6.17.
 */
#ifndef NQD_COMPAT_NAPI_H
#define NQD_COMPAT_NAPI_H

#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/version.h>

/* @name: of its threads. */
static inline struct net_device *nqd_alloc_dummy_netdev(const char *name)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	struct net_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (dev)
		init_dummy_netdev(dev);
#else
	struct net_device *dev = alloc_netdev_dummy(0);
#endif
	if (dev)
		strscpy(dev->name, name, IFNAMSIZ);
	return dev;
}

static inline void nqd_free_dummy_netdev(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	kfree(dev);
#else
	free_netdev(dev);
#endif
}

/* All NAPIs of @dev are threads from now on, if those can be made. None is enabled. */
static inline void nqd_napi_threads(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
	dev_set_threaded(dev, true);
#else
	/* Not netif_threaded_enable(), for which it is a warning if they can not. */
	dev_set_threaded(dev, NETDEV_NAPI_THREADED_ENABLED);
#endif
}

#endif /* NQD_COMPAT_NAPI_H */
