// SPDX-License-Identifier: GPL-2.0-only
/*
 * Acknowledging what arrives (RFC 9000 13.2): which numbers, when, with which ECN counts.
 *
 * An ACK is due at once after a gap, a late packet (the fill of a gap too) or a CE mark; otherwise
 * after every second packet that asks for one, and no later than max_ack_delay. Packets of one
 * nq_rx_open() share an ACK: it is written when the caller asks for it.
 *
 * Promise of decimation: only after a run in order, and while the sender's window is large, are
 * there fewer, one for at most
 *	run / 64, window / 8 and 64 packets, and no later than a quarter of a round trip.
 * Why these: a sender in slow start has sent about twice its window, so a run / 64 leaves it 32
 * ACKs in a window or more; a window / 8 leaves eight ACKs a round trip, the samples that
 * HyStart++ wants and more often than a delivery rate changes; 64 packets are a burst of the
 * receiver, which costs one ACK anyway; a quarter of a round trip bounds what a sender may wait
 * for at the end of its data. Behind a gap every second packet is acknowledged for a while, so
 * that losses are found as soon as ever. The window is not known here; packets received in a
 * least round trip stand for it, and are fewer.
 *
 * ack_wanted_now() is the only place that decides. Received numbers are forgotten once the peer
 * confirms an ACK that reported them.
 */
#include "conn.h"

#define ACK_EVERY_MAX 64
#define ACK_RUN_PART 64
#define ACK_WINDOW_PART 8
#define ACK_RTT_PART 4
/* Packets behind a gap, more than any reordering threshold. */
#define ACK_QUICK NQ_PACKET_THRESHOLD_MAX
/* ACK-only packets in a row that report so many ranges ask for a confirmation now and then. */
#define ACK_LONELY_MAX 32
#define ACK_LONELY_RANGES 4

/* One ACK for @every packets, within the promise above. */
static void limit_every(struct nq_ack *a, u64 every)
{
	every = nq_min(nq_min(every, a->run / ACK_RUN_PART), ACK_EVERY_MAX);
	a->every = (u32)nq_max(every, NQ_ACK_EVERY);
}

static void count_run(struct nq_conn *c, bool in_order, u64 now_us)
{
	struct nq_ack *a = &c->ack;
	u64 window;

	a->span_packets++;
	if (unlikely(!in_order)) {
		/* Not to naught: one packet in some thousands is left out on purpose (tx.c). */
		a->run /= 2;
		a->quick = ACK_QUICK;
		limit_every(a, a->every);
		return;
	}
	if (a->run < ACK_EVERY_MAX * ACK_RUN_PART)
		a->run++;
	if (a->quick)
		a->quick--;
	if (!c->rtt.has_sample || now_us - a->span_us <= c->rtt.min_us)
		return;
	/* A round trip is over. One that took longer to fill counts with its mean rate. */
	window = div64_u64((u64)a->span_packets * c->rtt.min_us, now_us - a->span_us);
	limit_every(a, window / ACK_WINDOW_PART);
	a->span_us = now_us;
	a->span_packets = 0;
}

static bool ack_wanted_now(const struct nq_ack *a, bool in_order)
{
	return !in_order || a->eliciting >= (a->quick ? NQ_ACK_EVERY : a->every);
}

static u64 ack_delay_us(const struct nq_conn *c)
{
	u64 part = c->rtt.min_us / ACK_RTT_PART;

	if (c->ack.every <= NQ_ACK_EVERY)
		return c->max_ack_delay_us;
	return nq_min(c->max_ack_delay_us, nq_max(part, NQ_GRANULARITY_US));
}

void nq_ack_on_received(struct nq_conn *c, const struct nq_rx_meta *m, u64 now_us)
{
	struct nq_ack *a = &c->ack;
	u64 expected = a->ranges.n ? a->ranges.r[0].last + 1 : m->pn;
	bool in_order = m->pn == expected && m->ecn != 3;

	nq_ranges_add(&a->ranges, m->pn, m->pn);
	if (m->pn >= expected)
		a->largest_us = now_us;
	/* ECN field: 2 is ECT(0), 1 is ECT(1), 3 is CE. */
	if (m->ecn)
		c->ecn.rx_counts[m->ecn == 2 ? 0 : m->ecn == 1 ? 1 : 2]++;
	count_run(c, in_order, now_us);
	if (!m->eliciting)
		return;
	a->eliciting++;
	if (ack_wanted_now(a, in_order))
		a->now = true;
	if (a->deadline_us == NQ_TIME_NEVER)
		a->deadline_us = now_us + ack_delay_us(c);
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
