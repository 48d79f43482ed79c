/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a client waits before it tries again: 1 s, doubling to 60 s, each time varied by a
 * quarter so that the clients of a restarted server do not come all at once. A refused credential
 * will hardly be accepted a second later: then the wait starts at 10 s.
 */
#ifndef NX_BACKOFF_H
#define NX_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define NX_BACKOFF_FIRST_US 1000000ull
#define NX_BACKOFF_REFUSED_US 10000000ull
#define NX_BACKOFF_MAX_US 60000000ull

/* @failures in a row, at least 1; @random: any number. */
static inline uint64_t nx_backoff_us(unsigned int failures, bool refused, uint32_t random)
{
	uint64_t base = refused ? NX_BACKOFF_REFUSED_US : NX_BACKOFF_FIRST_US;

	for (; failures > 1 && base < NX_BACKOFF_MAX_US; failures--)
		base *= 2;
	if (base > NX_BACKOFF_MAX_US)
		base = NX_BACKOFF_MAX_US;
	/* 3/4 of it, and up to 1/2 more. */
	return base - base / 4 + (base / 2) * (random & 0xffff) / 0xffff;
}

/*
 * When a session of that interval (> 0) is renewed: up to an eighth earlier, so that the clients a
 * server has had since it started do not come together for ever. @random: any number.
 */
static inline uint64_t nx_renew_due_us(uint64_t interval_us, uint32_t random)
{
	return interval_us - interval_us / 8 * (random & 0xffff) / 0xffff;
}

/*
 * A first flight can be refused though its credential is right: one of its datagrams was lost or late,
 * so that the server could not judge it, or it had no budget left to do so. A refusal is therefore
 * believed when it has come so many times in a row; a new flight follows the first almost at once and
 * the second after a second, as the connections of a visitor do.
 */
#define NX_REFUSALS_BELIEVED 3

/* The wait after refusal @refusals (1 ...), not believed yet; @random: any number. */
static inline uint64_t nx_doubt_us(unsigned int refusals, uint32_t random)
{
	return refusals == 1 ? 50000 + random % 100000 : 900000 + random % 300000;
}

#endif /* NX_BACKOFF_H */
