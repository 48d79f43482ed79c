/* SPDX-License-Identifier: GPL-2.0-only */
/* That a workqueue is per CPU must be said since 6.17; before, it was unless said otherwise. */
#ifndef NQD_COMPAT_WORKQUEUE_H
#define NQD_COMPAT_WORKQUEUE_H

#include <linux/version.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define NQD_WQ_PERCPU	0
#else
#define NQD_WQ_PERCPU	WQ_PERCPU
#endif

#endif /* NQD_COMPAT_WORKQUEUE_H */
