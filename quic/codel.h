/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CoDel (RFC 8289): when a queue is to lose a packet so that its senders slow down.
 *
 * It judges times, not packets: the owner of the queue keeps when each packet came, asks with the
 * one at the head, and drops it or, if its sender understands that, marks it instead.
 *
 *	for (;;) {
 *		look at the head;
 *		if (!nq_codel_drop(c, now - came, bytes behind it, now) || it could be marked)
 *			send it;
 *		else
 *			drop it;
 *	}
 *
 * Guarantee: nothing is dropped unless every packet of a whole interval waited for longer than the
 * target; then packets are dropped, the n-th one interval / sqrt(n) after the one before, until a
 * packet has waited for less or no more than one full packet is left. The decisions are those of
 * the pseudo-code of RFC 8289 5, whose names the fields have.
 */
#ifndef NQ_CODEL_H
#define NQ_CODEL_H

#include "nq_types.h"

/*
 * 10 % of the interval, the upper end of what RFC 8289 4.4 names: acknowledgements come in groups,
 * so that a window that is full opens in steps. With 5 ms a single TCP stream on a line of 20 Mbit/s
 * and 50 ms lost ten times as many packets here, for the same delay of others.
 */
#define NQ_CODEL_TARGET_US 10000
#define NQ_CODEL_INTERVAL_US 100000
/* A queue that was bad so many intervals ago is met with the drop rate that helped then. */
#define NQ_CODEL_MEMORY 16

struct nq_codel {
	u64 first_above_us; /* when it is too long above the target; 0: it is not above */
	u64 drop_next_us;
	u32 count; /* drops of this bad time */
	u32 lastcount; /* what count began with */
	bool dropping;
	bool step; /* the time of the next drop is still to be moved */
};

static inline u32 nq_codel_sqrt(u64 x)
{
	u64 bit = 1ULL << 62, root = 0;

	while (bit > x)
		bit >>= 2;
	for (; bit; bit >>= 2) {
		if (x >= root + bit) {
			x -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return (u32)root;
}

/* control_law: interval / sqrt(count), rounded down. */
static inline u64 nq_codel_pause_us(u32 count)
{
	u64 square = (u64)NQ_CODEL_INTERVAL_US * NQ_CODEL_INTERVAL_US;

	return nq_codel_sqrt(div64_u64(square, count));
}

/* May the packet be dropped: too long above the target? @full_bytes: a full packet's. */
static inline bool nq_codel_above(struct nq_codel *c, u64 sojourn_us, u64 behind_bytes,
				  u32 full_bytes, u64 now_us)
{
	if (sojourn_us < NQ_CODEL_TARGET_US || behind_bytes <= full_bytes) {
		c->first_above_us = 0;
		return false;
	}
	if (!c->first_above_us) {
		c->first_above_us = now_us + NQ_CODEL_INTERVAL_US;
		return false;
	}
	return now_us >= c->first_above_us;
}

static inline void nq_codel_enter(struct nq_codel *c, u64 now_us)
{
	u32 delta = c->count - c->lastcount;

	c->dropping = true;
	c->step = false;
	c->count = 1;
	if (delta > 1 && now_us - c->drop_next_us < NQ_CODEL_MEMORY * NQ_CODEL_INTERVAL_US)
		c->count = delta;
	c->drop_next_us = now_us + nq_codel_pause_us(c->count);
	c->lastcount = c->count;
}

/* Is the packet at the head to be dropped (or marked), with @behind_bytes waiting behind it? */
static inline bool nq_codel_drop(struct nq_codel *c, u64 sojourn_us, u64 behind_bytes,
				 u32 full_bytes, u64 now_us)
{
	bool above = nq_codel_above(c, sojourn_us, behind_bytes, full_bytes, now_us);

	if (!c->dropping) {
		if (above)
			nq_codel_enter(c, now_us);
		return above;
	}
	if (!above) {
		c->dropping = false;
		return false;
	}
	if (c->step)
		c->drop_next_us += nq_codel_pause_us(c->count);
	c->step = false;
	if (now_us < c->drop_next_us)
		return false;
	c->count++;
	c->step = true;
	return true;
}

/* The queue is empty: nobody waits. */
static inline void nq_codel_empty(struct nq_codel *c)
{
	c->first_above_us = 0;
}

#endif /* NQ_CODEL_H */
