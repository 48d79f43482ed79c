// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nodes that decide about a packet at once: loss, duplication, damage, marks, gates, NAT. See
 * models.h.
 */
#include "models.h"

static void drop(struct sim_node *n, struct sim_pkt *p)
{
	sim_note(n->sim, 4, p->len);
	sim_pkt_free(n->sim, p);
}

/* ---- what happens to a share of the packets ---- */

struct share {
	struct sim_node node;
	double p;
	u8 ecn;
};

static struct sim_node *new_share(struct sim *s, const char *name, double p,
				  void (*forward)(struct sim_node *, struct sim_pkt *),
				  struct sim_node *next)
{
	struct share *n = sim_node_new(s, name, sizeof(*n), next);

	n->node.forward = forward;
	n->p = p;
	return &n->node;
}

static void loss_forward(struct sim_node *n, struct sim_pkt *p)
{
	if (sim_chance(n, ((struct share *)n)->p))
		drop(n, p);
	else
		sim_forward(n->next, p);
}

struct sim_node *sim_loss(struct sim *s, double p, struct sim_node *next)
{
	return new_share(s, "loss", p, loss_forward, next);
}

static void duplicate_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct sim_pkt *q = sim_chance(n, ((struct share *)n)->p) ? sim_pkt_copy(n->sim, p) : NULL;

	sim_forward(n->next, p);
	if (q)
		sim_forward(n->next, q);
}

struct sim_node *sim_duplicate(struct sim *s, double p, struct sim_node *next)
{
	return new_share(s, "duplicate", p, duplicate_forward, next);
}

static void corrupt_forward(struct sim_node *n, struct sim_pkt *p)
{
	if (sim_chance(n, ((struct share *)n)->p)) {
		p->flip_at = (u32)(sim_random(n) % p->len);
		p->flip_mask = (u8)(1 + sim_random(n) % 255);
	}
	sim_forward(n->next, p);
}

struct sim_node *sim_corrupt(struct sim *s, double p, struct sim_node *next)
{
	return new_share(s, "corrupt", p, corrupt_forward, next);
}

static void remark_forward(struct sim_node *n, struct sim_pkt *p)
{
	if (p->ecn)
		p->ecn = ((struct share *)n)->ecn;
	sim_forward(n->next, p);
}

struct sim_node *sim_remark(struct sim *s, u8 ecn, struct sim_node *next)
{
	struct sim_node *n = new_share(s, "remark", 0, remark_forward, next);

	((struct share *)n)->ecn = ecn;
	return n;
}

/* ---- losses that are not independent ---- */

struct pattern {
	struct sim_node node;
	double to_bad, to_good, bad_loss;
	bool bad;
	u32 period, count;
};

static void burst_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct pattern *x = (struct pattern *)n;

	if (sim_chance(n, x->bad ? x->to_good : x->to_bad))
		x->bad = !x->bad;
	if (x->bad && sim_chance(n, x->bad_loss))
		drop(n, p);
	else
		sim_forward(n->next, p);
}

struct sim_node *sim_burst_loss(struct sim *s, double to_bad, double to_good, double bad_loss,
				struct sim_node *next)
{
	struct pattern *x = sim_node_new(s, "burst-loss", sizeof(*x), next);

	x->node.forward = burst_forward;
	x->to_bad = to_bad;
	x->to_good = to_good;
	x->bad_loss = bad_loss;
	return &x->node;
}

static void periodic_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct pattern *x = (struct pattern *)n;

	if (++x->count < x->period) {
		sim_forward(n->next, p);
		return;
	}
	x->count = 0;
	drop(n, p);
}

struct sim_node *sim_periodic_loss(struct sim *s, u32 period, struct sim_node *next)
{
	struct pattern *x = sim_node_new(s, "periodic-loss", sizeof(*x), next);

	x->node.forward = periodic_forward;
	x->period = period;
	return &x->node;
}

/* ---- gate, MTU, NAT ---- */

static void gate_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct sim_gate *g = (struct sim_gate *)n;

	if (!g->closed) {
		sim_forward(n->next, p);
		return;
	}
	g->dropped++;
	drop(n, p);
}

struct sim_gate *sim_gate(struct sim *s, struct sim_node *next)
{
	struct sim_gate *g = sim_node_new(s, "gate", sizeof(*g), next);

	g->node.forward = gate_forward;
	return g;
}

static void mtu_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct sim_mtu *m = (struct sim_mtu *)n;

	if (p->len <= m->max_bytes) {
		sim_forward(n->next, p);
		return;
	}
	m->dropped++;
	drop(n, p);
	if (m->too_big)
		m->too_big(m->arg, m->max_bytes);
}

struct sim_mtu *sim_mtu(struct sim *s, u32 max_bytes, struct sim_node *next)
{
	struct sim_mtu *m = sim_node_new(s, "mtu", sizeof(*m), next);

	m->node.forward = mtu_forward;
	m->max_bytes = max_bytes;
	return m;
}

struct nat_in {
	struct sim_node node;
	struct sim_nat *nat;
};

static void nat_out(struct sim_node *n, struct sim_pkt *p)
{
	p->addr = ((struct sim_nat *)n)->addr;
	sim_forward(n->next, p);
}

static void nat_in(struct sim_node *n, struct sim_pkt *p)
{
	struct sim_nat *nat = ((struct nat_in *)n)->nat;

	if (p->addr == nat->addr) {
		p->addr = 0; /* now the source: the peer has one address */
		sim_forward(n->next, p);
		return;
	}
	nat->dropped++;
	drop(n, p);
}

struct sim_nat *sim_nat(struct sim *s, struct sim_node *next)
{
	struct sim_nat *n = sim_node_new(s, "nat-out", sizeof(*n), next);
	struct nat_in *in = sim_node_new(s, "nat-in", sizeof(*in), NULL);

	n->node.forward = nat_out;
	n->in = &in->node;
	in->node.forward = nat_in;
	in->nat = n;
	return n;
}

void sim_nat_rebind(struct sim_nat *n)
{
	n->addr++;
}

/* ---- the end of a shared path ---- */

static void demux_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct sim_demux *d = (struct sim_demux *)n;

	sim_forward(d->to[p->flow], p);
}

struct sim_demux *sim_demux(struct sim *s)
{
	struct sim_demux *d = sim_node_new(s, "demux", sizeof(*d), NULL);

	d->node.forward = demux_forward;
	return d;
}
