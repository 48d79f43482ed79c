/* SPDX-License-Identifier: GPL-2.0-only */
/* Timers are set up in one step with their function since 6.13. */
#ifndef NQD_COMPAT_HRTIMER_H
#define NQD_COMPAT_HRTIMER_H

#include <linux/hrtimer.h>
#include <linux/version.h>

static inline void nqd_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *),
				     enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fn;
#else
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, mode);
#endif
}

#endif /* NQD_COMPAT_HRTIMER_H */
