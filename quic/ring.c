// SPDX-License-Identifier: GPL-2.0-only
/*
 * The size of the ring of sent packets. The engine cannot allocate: it says when a larger ring would
 * let more leave, and its owner gives it one.
 *
 * The ring bounds the congestion window to half as many full packets; a quarter of it is kept free
 * of data. So it is short if the window has reached its bound, or, with small packets, if data has
 * filled its three quarters but for a burst.
 */
#include "conn.h"

/* For controllers that cannot grow: the memory of a model is sized by the ring. */
#define RING_WHOLE 16384

u32 nq_ring_first(const char *congestion)
{
	const struct nq_cc_ops *ops = nq_cc_find(congestion);

	return ops && ops->has_model ? RING_WHOLE : NQ_RING_MIN;
}

u32 nq_ring_packets(const struct nq_conn *c)
{
	return c->ring_mask + 1;
}

size_t nq_ring_bytes(u32 packets)
{
	return (size_t)packets * sizeof(struct nq_sent);
}

u32 nq_ring_wanted(const struct nq_conn *c)
{
	u64 size = c->ring_mask + 1ULL, used = c->next_pn - c->loss.base_pn;

	if (size == NQ_RING_MAX || c->state != NQ_ACTIVE || c->cc.ops->has_model)
		return 0;
	if (c->cc.cwnd < c->cc.max_cwnd && used + NQ_BURST_MAX < size / 4 * 3)
		return 0;
	return (u32)size * 2;
}

int nq_conn_grow(struct nq_conn *c, void *mem, u32 packets)
{
	u64 size = c->ring_mask + 1ULL, pn;
	struct nq_sent *ring = mem;

	if (packets <= size || packets > NQ_RING_MAX || packets & (packets - 1) ||
	    c->cc.ops->has_model)
		return -EINVAL;
	/* What the old ring no longer knew stays unknown: loss.known_pn never falls. */
	for (pn = c->next_pn > size ? c->next_pn - size : 0; pn < c->next_pn; pn++)
		ring[pn & (packets - 1)] = *nq_sent_at(c, pn);
	c->ring = ring;
	c->ring_mask = packets - 1;
	c->cc.max_cwnd = (u64)packets / 2 * c->cc.mss;
	return 0;
}
