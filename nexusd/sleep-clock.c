// SPDX-License-Identifier: GPL-2.0-or-later
/* See sleep-clock.h. */
#include "sleep-clock.h"

#define SLEEP_MIN_US 100000

static uint64_t read_us(const struct nx_sleep_clock *c, clockid_t id)
{
	struct timespec ts = {};

	(void)(c->gettime ? c->gettime : clock_gettime)(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t nx_sleep_clock_slept(struct nx_sleep_clock *c)
{
	/* In this order a pause between the two readings makes the sleep shorter, never longer. */
	uint64_t boot = read_us(c, CLOCK_BOOTTIME);
	uint64_t offset = boot - read_us(c, CLOCK_MONOTONIC), slept = offset - c->offset_us;

	if (!c->started) {
		c->started = true;
		c->offset_us = offset;
		return 0;
	}
	if ((int64_t)slept < SLEEP_MIN_US)
		return 0;
	c->offset_us = offset;
	return slept;
}
