// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking and reading points of the delivery. See rate.h.
 */
#include "rate.h"

void nq_rate_init(struct nq_rate *r, void *mem, u32 n)
{
	memset(r, 0, sizeof(*r));
	r->points = mem;
	r->mask = n - 1;
	r->moved = true;
}

u32 nq_rate_on_sent(struct nq_rate *r, u64 pn, u64 in_flight, u64 now_us)
{
	struct nq_rate_point *p;

	if (!in_flight) {
		/* Time in which nothing was on its way is no time of delivery. */
		r->first_sent_us = r->delivered_us = now_us;
		r->moved = true;
	}
	if (!r->moved)
		return r->next - 1;
	r->moved = false;
	p = &r->points[r->next & r->mask];
	p->first_pn = pn;
	p->delivered = r->delivered;
	p->lost = r->lost;
	p->delivered_us = r->delivered_us;
	p->first_sent_us = r->first_sent_us;
	p->in_flight = in_flight;
	p->app_limited = r->app_limited != 0;
	p->id = r->next;
	return r->next++;
}

void nq_rate_on_acked(struct nq_rate *r, u64 bytes, u64 now_us)
{
	r->delivered += bytes;
	r->delivered_us = now_us;
	r->moved = true;
	if (r->app_limited && r->delivered > r->app_limited)
		r->app_limited = 0;
}

void nq_rate_on_lost(struct nq_rate *r, u64 bytes)
{
	r->lost += bytes;
	r->moved = true;
}

static const struct nq_rate_point *find(const struct nq_rate *r, const struct nq_rate_packet *p)
{
	const struct nq_rate_point *point = &r->points[p->id & r->mask];

	return point->id == p->id && p->id != r->next && p->pn >= point->first_pn ? point : NULL;
}

static void fill(const struct nq_rate *r, const struct nq_rate_point *at,
		 const struct nq_rate_packet *p, struct nq_rate_sample *s)
{
	s->prior_delivered = at->delivered;
	s->delivered = r->delivered - at->delivered;
	s->lost = r->lost - at->lost;
	/* Packets of one point are as good as equal in size. */
	s->tx_in_flight = at->in_flight + (p->pn - at->first_pn + 1) * p->bytes;
	s->bytes_per_s = 0;
	s->app_limited = at->app_limited;
}

bool nq_rate_sample_acked(struct nq_rate *r, const struct nq_rate_packet *p, u32 min_rtt_us,
			  struct nq_rate_sample *s)
{
	const struct nq_rate_point *at = find(r, p);
	u64 send_us, ack_us, interval_us;

	if (!at)
		return false;
	fill(r, at, p, s);
	send_us = p->sent_us > at->first_sent_us ? p->sent_us - at->first_sent_us : 0;
	ack_us = r->delivered_us - at->delivered_us;
	interval_us = send_us > ack_us ? send_us : ack_us;
	if (interval_us && interval_us >= min_rtt_us)
		s->bytes_per_s = div64_u64(s->delivered * 1000000, interval_us);
	if (p->sent_us > r->first_sent_us)
		r->first_sent_us = p->sent_us;
	return true;
}

bool nq_rate_sample_lost(const struct nq_rate *r, const struct nq_rate_packet *p,
			 struct nq_rate_sample *s)
{
	const struct nq_rate_point *at = find(r, p);

	if (!at)
		return false;
	fill(r, at, p, s);
	return true;
}

void nq_rate_app_limited(struct nq_rate *r, u64 in_flight)
{
	r->app_limited = r->delivered + in_flight;
	if (!r->app_limited)
		r->app_limited = 1;
	r->moved = true;
}
