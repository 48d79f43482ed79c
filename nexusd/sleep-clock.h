/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has the machine slept? CLOCK_BOOTTIME goes on in a suspended machine, CLOCK_MONOTONIC stands still; what
 * their difference has grown by since the last look is time slept. Works without logind, and also where
 * the machine is a guest that its host has suspended.
 */
#ifndef NX_SLEEP_CLOCK_H
#define NX_SLEEP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct nx_sleep_clock {
	int (*gettime)(clockid_t id, struct timespec *ts); /* NULL: clock_gettime() */
	bool started;
	uint64_t offset_us;
};

/* Microseconds slept since the last call; 0 at the first. Below 100 ms it is no sleep but counted in. */
uint64_t nx_sleep_clock_slept(struct nx_sleep_clock *c);

#endif /* NX_SLEEP_CLOCK_H */
