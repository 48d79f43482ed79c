// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nodes that keep packets for a time: a constant delay, reordering, jitter. See models.h.
 */
#include "models.h"

/* ---- a constant delay: a list, because nobody overtakes ---- */

struct delay {
	struct sim_node node;
	u64 delay_ns;
	u64 jitter_ns; /* each packet later by up to this; still in order */
	u64 last_ns;
	struct sim_pkt *head, **tail;
};

static void delay_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct delay *d = (struct delay *)n;

	p->at_ns = n->sim->now_ns + d->delay_ns;
	if (d->jitter_ns)
		p->at_ns += sim_random(n) % (d->jitter_ns + 1);
	if (p->at_ns < d->last_ns)
		p->at_ns = d->last_ns;
	d->last_ns = p->at_ns;
	p->next = NULL;
	*d->tail = p;
	d->tail = &p->next;
	if (d->head == p)
		n->next_run_ns = p->at_ns;
}

static void delay_run(struct sim_node *n)
{
	struct delay *d = (struct delay *)n;
	struct sim_pkt *p = d->head;

	d->head = p->next;
	if (!d->head)
		d->tail = &d->head;
	n->next_run_ns = d->head ? d->head->at_ns : SIM_NEVER;
	sim_forward(n->next, p);
}

static void delay_fini(struct sim_node *n)
{
	struct delay *d = (struct delay *)n;
	struct sim_pkt *p, *next;

	for (p = d->head; p; p = next) {
		next = p->next;
		sim_pkt_free(n->sim, p);
	}
}

static struct sim_node *new_delay(struct sim *s, const char *name, u64 delay_ns, u64 jitter_ns,
				  struct sim_node *next)
{
	struct delay *d = sim_node_new(s, name, sizeof(*d), next);

	d->node.forward = delay_forward;
	d->node.run = delay_run;
	d->node.fini = delay_fini;
	d->delay_ns = delay_ns;
	d->jitter_ns = jitter_ns;
	d->tail = &d->head;
	return &d->node;
}

struct sim_node *sim_delay(struct sim *s, u64 delay_ns, struct sim_node *next)
{
	return new_delay(s, "delay", delay_ns, 0, next);
}

void sim_delay_set(struct sim_node *n, u64 delay_ns)
{
	((struct delay *)n)->delay_ns = delay_ns;
}

struct sim_node *sim_jitter(struct sim *s, u64 most_ns, struct sim_node *next)
{
	return new_delay(s, "jitter", 0, most_ns, next);
}

/* ---- reordering: a sorted list of the few that are held back ---- */

struct reorder {
	struct sim_node node;
	double p;
	u64 least_ns, most_ns;
	struct sim_pkt *held;
};

static void reorder_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct reorder *r = (struct reorder *)n;
	struct sim_pkt **at;

	if (!sim_chance(n, r->p)) {
		sim_forward(n->next, p);
		return;
	}
	p->at_ns = n->sim->now_ns + r->least_ns + sim_random(n) % (r->most_ns - r->least_ns + 1);
	for (at = &r->held; *at && (*at)->at_ns <= p->at_ns; at = &(*at)->next)
		;
	p->next = *at;
	*at = p;
	n->next_run_ns = r->held->at_ns;
}

static void reorder_run(struct sim_node *n)
{
	struct reorder *r = (struct reorder *)n;
	struct sim_pkt *p = r->held;

	r->held = p->next;
	n->next_run_ns = r->held ? r->held->at_ns : SIM_NEVER;
	sim_note(n->sim, 3, p->len);
	sim_forward(n->next, p);
}

static void reorder_fini(struct sim_node *n)
{
	struct reorder *r = (struct reorder *)n;
	struct sim_pkt *p, *next;

	for (p = r->held; p; p = next) {
		next = p->next;
		sim_pkt_free(n->sim, p);
	}
}

struct sim_node *sim_reorder(struct sim *s, double p, u64 least_ns, u64 most_ns,
			     struct sim_node *next)
{
	struct reorder *r = sim_node_new(s, "reorder", sizeof(*r), next);

	r->node.forward = reorder_forward;
	r->node.run = reorder_run;
	r->node.fini = reorder_fini;
	r->p = p;
	r->least_ns = least_ns;
	r->most_ns = most_ns;
	return &r->node;
}
