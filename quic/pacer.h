/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pacer: a token bucket in bytes.
 *
 * Guarantee: in any interval of t microseconds, whatever was asked,
 *	bytes sent <= rate * t / 1000000 + burst + one packet
 * and a sender that always has something to send and wakes when told gets at least
 *	rate * t / 1000000 - burst
 * A rate of 0 means: not paced. Used by tx.c; the rate comes from congestion.c.
 *
 * Bursts stay whole: what was asked for leaves at once or, as far as it is worth the time, not yet:
 *	packets at a time >= min(asked, rate * NQ_PACER_QUANTUM_US, burst)
 * so that a GSO burst of 44 is one at 1 Gbit/s and one packet leaves at a time at 10 Mbit/s. What
 * was not used stays in the bucket, up to the burst.
 */
#ifndef NQ_PACER_H
#define NQ_PACER_H

#include "nq_types.h"

/* Tokens are counted in byte-microseconds-per-second (bytes * 1e6): no division when refilling. */
#define NQ_PACER_SCALE 1000000ULL
/* A burst: what the rate yields in this time, within the limits below. */
#define NQ_PACER_BURST_US 1000
#define NQ_PACER_BURST_MIN 4
#define NQ_PACER_BURST_MAX 128
/* Leave, and wake up, for this much time's worth rather than for single packets. */
#define NQ_PACER_QUANTUM_US 500
/*
 * The cap keeps rate * time within 63 bits at the highest rate (congestion.c). It must exceed what
 * one packet takes at the lowest: a window of two packets at a round trip of a minute.
 */
#define NQ_PACER_IDLE_US 60000000ULL

struct nq_pacer {
	u64 at_us;
	s64 tokens; /* scaled; below 0 after exempt packets */
	u64 rate; /* bytes per second */
	u64 burst; /* scaled */
};

static inline void nq_pacer_refill(struct nq_pacer *p, u64 now_us)
{
	u64 dt = now_us - p->at_us;

	if (now_us <= p->at_us)
		return;
	p->at_us = now_us;
	if (dt > NQ_PACER_IDLE_US)
		dt = NQ_PACER_IDLE_US;
	p->tokens += (s64)(p->rate * dt);
	if (p->tokens > (s64)p->burst)
		p->tokens = (s64)p->burst;
}

/* Set the rate; @pkt_bytes scales the burst. */
static inline void nq_pacer_set(struct nq_pacer *p, u64 rate, u32 pkt_bytes, u64 now_us)
{
	bool first = !p->burst;
	u64 burst = rate * NQ_PACER_BURST_US;

	nq_pacer_refill(p, now_us);
	if (burst < NQ_PACER_BURST_MIN * NQ_PACER_SCALE * pkt_bytes)
		burst = NQ_PACER_BURST_MIN * NQ_PACER_SCALE * pkt_bytes;
	if (burst > NQ_PACER_BURST_MAX * NQ_PACER_SCALE * pkt_bytes)
		burst = NQ_PACER_BURST_MAX * NQ_PACER_SCALE * pkt_bytes;
	p->rate = rate;
	p->burst = burst;
	if (first || p->tokens > (s64)burst)
		p->tokens = (s64)burst;
}

/* Tokens that are worth to leave with, for @n packets of @pkt_bytes. */
static inline u64 nq_pacer_worth(const struct nq_pacer *p, unsigned int n, u32 pkt_bytes)
{
	u64 one = NQ_PACER_SCALE * pkt_bytes;
	u64 quantum = p->rate * NQ_PACER_QUANTUM_US;
	u64 want = one * (n ? n : 1);

	if (quantum < one)
		quantum = one;
	if (want > quantum)
		want = quantum;
	return want > p->burst ? p->burst : want;
}

/* How many packets of @pkt_bytes may leave now, at most @n. */
static inline unsigned int nq_pacer_allows(struct nq_pacer *p, unsigned int n, u32 pkt_bytes,
					   u64 now_us)
{
	u64 cost = NQ_PACER_SCALE * pkt_bytes;

	if (!p->rate)
		return n;
	nq_pacer_refill(p, now_us);
	if (p->tokens < (s64)nq_pacer_worth(p, n, pkt_bytes))
		return 0;
	if ((u64)p->tokens >= cost * n)
		return n;
	return (unsigned int)div64_u64((u64)p->tokens, cost);
}

/* Bytes in the bucket, as of the last nq_pacer_allows(). */
static inline u64 nq_pacer_bytes(const struct nq_pacer *p)
{
	if (!p->rate)
		return ~(u64)0;
	return p->tokens > 0 ? div64_u64((u64)p->tokens, NQ_PACER_SCALE) : 0;
}

/* Might one packet of @pkt_bytes leave at @now_us? */
static inline bool nq_pacer_ready(const struct nq_pacer *p, u32 pkt_bytes, u64 now_us)
{
	struct nq_pacer copy = *p;

	return nq_pacer_allows(&copy, 1, pkt_bytes, now_us) == 1;
}

static inline void nq_pacer_spend(struct nq_pacer *p, u64 bytes)
{
	if (p->rate)
		p->tokens -= (s64)(bytes * NQ_PACER_SCALE);
}

/* When a worthwhile number, at most @n packets, may leave. */
static inline u64 nq_pacer_when(const struct nq_pacer *p, unsigned int n, u32 pkt_bytes)
{
	u64 want = nq_pacer_worth(p, n, pkt_bytes);

	if (!p->rate)
		return p->at_us;
	if (p->tokens >= (s64)want)
		return p->at_us;
	return p->at_us + div64_u64(want - (u64)p->tokens + p->rate - 1, p->rate);
}

#endif /* NQ_PACER_H */
