// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A link of limited rate with one queue. See models.h.
 *
 * The packet that is being sent has left the queue. Sojourn times are those of the queue alone.
 */
#include "models.h"

/* RFC 8289 4.4: a standing queue of less than a packet is none. */
#define CODEL_MIN_BYTES SIM_PKT_MAX

enum ecn {
	ECN_NONE = 0,
	ECN_CE = 3,
};

static u32 wire_bytes(const struct sim_pkt *p)
{
	return p->len + SIM_IP_UDP_BYTES;
}

static void drop(struct sim_bottleneck *b, struct sim_pkt *p)
{
	b->dropped++;
	sim_note(b->node.sim, 1, p->len);
	sim_pkt_free(b->node.sim, p);
}

static struct sim_pkt *pop(struct sim_bottleneck *b)
{
	struct sim_pkt *p = b->head;

	if (!p)
		return NULL;
	b->head = p->next;
	if (!b->head)
		b->tail = &b->head;
	p->next = NULL;
	b->queued_bytes -= wire_bytes(p);
	return p;
}

/* ---- CoDel (RFC 8289 5) ---- */

static u64 root(u64 x)
{
	u64 r = 0, bit;

	for (bit = 1ULL << 31; bit; bit >>= 1) {
		if ((r + bit) * (r + bit) <= x)
			r += bit;
	}
	return r;
}

/* interval / sqrt(count), in 16 bits of fraction. */
static u64 control_law(const struct sim_bottleneck *b, u64 t_ns)
{
	return t_ns + (b->conf.codel_interval_ns << 16) / root((u64)b->count << 32);
}

/* Has the sojourn time been above target for an interval? */
static bool ok_to_drop(struct sim_bottleneck *b, const struct sim_pkt *p)
{
	u64 now = b->node.sim->now_ns;

	if (now - p->at_ns < b->conf.codel_target_ns || b->queued_bytes <= CODEL_MIN_BYTES) {
		b->first_above_ns = 0;
		return false;
	}
	if (!b->first_above_ns) {
		b->first_above_ns = now + b->conf.codel_interval_ns;
		return false;
	}
	return now >= b->first_above_ns;
}

/* Mark the packet, or drop it and take the next; *@ok as ok_to_drop() says of what is returned. */
static struct sim_pkt *signal_congestion(struct sim_bottleneck *b, struct sim_pkt *p, bool *ok)
{
	if (p->ecn != ECN_NONE) {
		p->ecn = ECN_CE;
		b->marked++;
		*ok = true;
		return p;
	}
	drop(b, p);
	p = pop(b);
	*ok = p && ok_to_drop(b, p);
	if (!p)
		b->first_above_ns = 0;
	return p;
}

static struct sim_pkt *codel_pop(struct sim_bottleneck *b)
{
	u64 now = b->node.sim->now_ns;
	struct sim_pkt *p = pop(b);
	bool ok, marked = false;
	u32 delta;

	if (!p) {
		b->first_above_ns = 0;
		b->dropping = false;
		return NULL;
	}
	ok = ok_to_drop(b, p);
	if (b->dropping) {
		if (!ok)
			b->dropping = false;
		while (p && b->dropping && !marked && now >= b->drop_next_ns) {
			marked = p->ecn != ECN_NONE;
			b->count++;
			p = signal_congestion(b, p, &ok);
			if (!ok)
				b->dropping = false;
			else
				b->drop_next_ns = control_law(b, b->drop_next_ns);
		}
		return p;
	}
	if (!ok)
		return p;
	p = signal_congestion(b, p, &ok);
	b->dropping = true;
	delta = b->count - b->last_count;
	b->count = delta > 1 && now - b->drop_next_ns < 16 * b->conf.codel_interval_ns ? delta : 1;
	b->last_count = b->count;
	b->drop_next_ns = control_law(b, now);
	return p;
}

/* ---- the link ---- */

static void start_next(struct sim_bottleneck *b)
{
	struct sim *s = b->node.sim;
	struct sim_pkt *p = b->conf.aqm == SIM_CODEL ? codel_pop(b) : pop(b);
	u64 sojourn;

	b->sending = p;
	b->node.next_run_ns = SIM_NEVER;
	if (!p)
		return;
	sojourn = s->now_ns - p->at_ns;
	b->sum_sojourn_ns += sojourn;
	if (sojourn > b->max_sojourn_ns)
		b->max_sojourn_ns = sojourn;
	b->node.next_run_ns = s->now_ns + wire_bytes(p) * 8 * SIM_S / b->conf.bits_per_s;
}

static void bottleneck_run(struct sim_node *n)
{
	struct sim_bottleneck *b = (struct sim_bottleneck *)n;
	struct sim_pkt *p = b->sending;

	b->passed_packets++;
	b->passed_bytes += wire_bytes(p);
	sim_note(n->sim, 2, p->len);
	start_next(b);
	sim_forward(n->next, p);
}

static void bottleneck_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct sim_bottleneck *b = (struct sim_bottleneck *)n;

	if (b->queued_bytes + wire_bytes(p) > b->conf.queue_bytes) {
		drop(b, p);
		return;
	}
	if (b->conf.aqm == SIM_STEP_MARK && b->queued_bytes > b->conf.mark_bytes &&
	    p->ecn != ECN_NONE) {
		p->ecn = ECN_CE;
		b->marked++;
	}
	p->next = NULL;
	p->at_ns = n->sim->now_ns;
	*b->tail = p;
	b->tail = &p->next;
	b->queued_bytes += wire_bytes(p);
	if (b->queued_bytes > b->max_queued_bytes)
		b->max_queued_bytes = b->queued_bytes;
	if (!b->sending)
		start_next(b);
}

static void bottleneck_fini(struct sim_node *n)
{
	struct sim_bottleneck *b = (struct sim_bottleneck *)n;
	struct sim_pkt *p;

	if (b->sending)
		sim_pkt_free(n->sim, b->sending);
	while ((p = pop(b)))
		sim_pkt_free(n->sim, p);
}

struct sim_bottleneck *sim_bottleneck(struct sim *s, const struct sim_bottleneck_conf *conf,
				      struct sim_node *next)
{
	struct sim_bottleneck *b = sim_node_new(s, "bottleneck", sizeof(*b), next);

	b->node.forward = bottleneck_forward;
	b->node.run = bottleneck_run;
	b->node.fini = bottleneck_fini;
	b->conf = *conf;
	b->tail = &b->head;
	return b;
}

void sim_bottleneck_reset(struct sim_bottleneck *b)
{
	b->passed_packets = b->passed_bytes = b->dropped = b->marked = 0;
	b->max_sojourn_ns = b->sum_sojourn_ns = 0;
	b->max_queued_bytes = b->queued_bytes;
}
