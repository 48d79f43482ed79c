/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two clocks of nexus-hsd: monotonic for timers, wall clock for the REALITY time stamp. */
#ifndef HS_CLOCK_H
#define HS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define HS_NS_PER_MS 1000000ULL
#define HS_NS_PER_S 1000000000ULL

static inline uint64_t hs_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * HS_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline uint64_t hs_unix_time_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

#endif /* HS_CLOCK_H */
