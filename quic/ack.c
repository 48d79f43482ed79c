// SPDX-License-Identifier: GPL-2.0-only
/*
 * Acknowledging what arrives (RFC 9000 13.2): which numbers, when, with which ECN counts.
 *
 * An ACK is due at once after a gap, a late packet or a CE mark, after every second packet that
 * asks for one, and otherwise no later than max_ack_delay. ack_wanted_now() is the only place that
 * decides. Received numbers are forgotten once the peer confirms an ACK that reported them.
 */
#include "conn.h"

#define ACK_EVERY 2
/* ACK-only packets in a row that report so many ranges ask for a confirmation now and then. */
#define ACK_LONELY_MAX 32
#define ACK_LONELY_RANGES 4

static bool ack_wanted_now(const struct nq_ack *a, const struct nq_rx_meta *m, u64 expected)
{
	if (m->pn != expected || m->ecn == 3)
		return true;
	return a->eliciting >= ACK_EVERY;
}

void nq_ack_on_received(struct nq_conn *c, const struct nq_rx_meta *m, u64 now_us)
{
	struct nq_ack *a = &c->ack;
	u64 expected = a->ranges.n ? a->ranges.r[0].last + 1 : m->pn;

	nq_ranges_add(&a->ranges, m->pn, m->pn);
	if (m->pn >= expected)
		a->largest_us = now_us;
	/* ECN field: 2 is ECT(0), 1 is ECT(1), 3 is CE. */
	if (m->ecn)
		c->ecn.rx_counts[m->ecn == 2 ? 0 : m->ecn == 1 ? 1 : 2]++;
	if (!m->eliciting)
		return;
	a->eliciting++;
	if (ack_wanted_now(a, m, expected))
		a->now = true;
	if (a->deadline_us == NQ_TIME_NEVER)
		a->deadline_us = now_us + c->max_ack_delay_us;
}

bool nq_ack_due(const struct nq_conn *c, u64 now_us)
{
	return c->ack.now || now_us >= c->ack.deadline_us;
}

u32 nq_ack_write(struct nq_conn *c, u8 *p, u32 cap, u64 now_us)
{
	const u64 *counts = c->ecn.rx_counts;
	u64 delay = now_us > c->ack.largest_us ? now_us - c->ack.largest_us : 0;

	return nq_put_ack(p, cap, &c->ack.ranges, delay >> c->ack_delay_exponent,
			  counts[0] || counts[1] || counts[2] ? counts : NULL);
}

void nq_ack_on_sent(struct nq_conn *c)
{
	c->ack.eliciting = 0;
	c->ack.now = false;
	c->ack.deadline_us = NQ_TIME_NEVER;
	c->stats.ack_tx++;
	nq_keys_on_ack_sent(c);
}

void nq_ack_on_acked(struct nq_conn *c, u32 mark)
{
	struct nq_ranges *r = &c->ack.ranges;
	u64 largest, pn;

	if (!r->n)
		return;
	largest = r->r[0].last;
	pn = largest - (u32)((u32)largest - mark);
	/* The largest stays: an ACK frame cannot be without it. */
	nq_ranges_drop_below(r, pn < largest ? pn + 1 : largest);
}

bool nq_ack_lonely(const struct nq_conn *c)
{
	return c->ack.lonely >= ACK_LONELY_MAX && c->ack.ranges.n >= ACK_LONELY_RANGES;
}
