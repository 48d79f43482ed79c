/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sender that always has something to send over a pair's link, and what came of it: for tests of
 * congestion controllers.
 */
#ifndef TEST_GREEDY_H
#define TEST_GREEDY_H

#include "pair.h"

#define GREEDY_BYTES 1300
#define GREEDY_BURST 44

/* Send what may leave now; when to try again, if a timer of the engine is not sooner. */
static inline u64 greedy_send(struct pair *p)
{
	struct nq_conn *c = p->end[0].conn;
	struct nq_tx_burst b;
	unsigned int n;

	while (pair_send(p, 0, GREEDY_BURST, GREEDY_BYTES))
		;
	n = nq_tx_reserve(c, &b, GREEDY_BURST, GREEDY_BYTES + nq_tx_overhead_bytes(c), p->now_us);
	nq_tx_commit(c, &b, NULL, 0, p->now_us);
	return !n && b.limit == NQ_TX_PACED ? b.retry_us : NQ_TIME_NEVER;
}

/* Send greedily until @until_us. */
static inline void greedy_run(struct pair *p, u64 until_us)
{
	u64 next_us;

	while (p->now_us < until_us) {
		next_us = greedy_send(p);
		pair_step(p, next_us < until_us ? next_us : until_us);
	}
}

/* Bytes of packets with @n datagrams. */
static inline u64 greedy_wire_bytes(const struct pair *p, u64 n)
{
	return n * (GREEDY_BYTES + nq_tx_overhead_bytes(p->end[0].conn));
}

/* The bottleneck: @mbit of rate, @rtt_us without a queue, which holds @queue_us. */
static inline void greedy_link(struct pair *p, u32 mbit, u64 rtt_us, u64 queue_us)
{
	p->link[0].delay_us = p->link[1].delay_us = rtt_us / 2;
	p->link[0].bytes_per_s = mbit * 125000ULL;
	p->link[0].queue_us = queue_us;
}

/* Percent of the bottleneck that datagrams used while time passed from now to @until_us. */
static inline u64 greedy_utilisation(struct pair *p, u64 until_us)
{
	u64 start_us = p->now_us, before = p->end[1].delivered, bytes;

	greedy_run(p, until_us);
	bytes = greedy_wire_bytes(p, p->end[1].delivered - before);
	return bytes * 100000000 / (p->link[0].bytes_per_s * (p->now_us - start_us));
}

#endif /* TEST_GREEDY_H */
