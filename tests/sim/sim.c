// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clock, packets and script of the simulator. See sim.h.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALL_BYTES 192
/* Far more runs at one instant than any node can have a reason for. */
#define STUCK_MAX 1000000
#define REPORTS_MAX 5

struct todo {
	u64 at_ns;
	sim_action action;
	void *arg;
};

struct script {
	struct sim_node node;
	struct todo *todo; /* by time, the next one last */
	u32 n;
};

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
	return p;
}

/* ---- random ---- */

static u64 mix(u64 z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 sim_random(struct sim_node *n)
{
	return mix(n->random += 0x9e3779b97f4a7c15ULL);
}

bool sim_chance(struct sim_node *n, double p)
{
	return p > 0 && (double)(sim_random(n) >> 11) < p * 9007199254740992.0;
}

/* ---- packets ---- */

struct sim_pkt *sim_pkt_new(struct sim *s, u32 len, u32 head, u32 tail)
{
	bool big = head + tail > SMALL_BYTES;
	struct sim_pkt **list = big ? &s->free_big : &s->free_small;
	struct sim_pkt *p = *list;

	if (p)
		*list = p->next;
	else
		p = must(malloc(sizeof(*p) + (big ? SIM_PKT_MAX : SMALL_BYTES)));
	memset(p, 0, sizeof(*p));
	p->len = len;
	p->head = head;
	p->tail = tail;
	p->big = big;
	s->pkts_out++;
	return p;
}

struct sim_pkt *sim_pkt_copy(struct sim *s, const struct sim_pkt *p)
{
	struct sim_pkt *q = sim_pkt_new(s, p->len, p->head, p->tail);

	memcpy(q, p, sizeof(*q) + p->head + p->tail);
	q->next = NULL;
	return q;
}

void sim_pkt_free(struct sim *s, struct sim_pkt *p)
{
	struct sim_pkt **list = p->big ? &s->free_big : &s->free_small;

	p->next = *list;
	*list = p;
	s->pkts_out--;
}

void sim_pkt_read(const struct sim_pkt *p, u8 *buf)
{
	memcpy(buf, p->data, p->head);
	memset(buf + p->head, 0, p->len - p->head - p->tail);
	memcpy(buf + p->len - p->tail, p->data + p->head, p->tail);
	if (p->flip_mask)
		buf[p->flip_at] ^= p->flip_mask;
}

/* ---- nodes ---- */

void *sim_node_new(struct sim *s, const char *name, size_t bytes, struct sim_node *next)
{
	struct sim_node *n = must(calloc(1, bytes));

	if (s->n_nodes == SIM_NODES_MAX) {
		fprintf(stderr, "sim: more than %d nodes\n", SIM_NODES_MAX);
		exit(2);
	}
	n->sim = s;
	n->name = name;
	n->next = next;
	n->next_run_ns = SIM_NEVER;
	n->random = mix(s->seed + (s->n_nodes + 1) * 0xd1342543de82ef95ULL);
	s->node[s->n_nodes++] = n;
	return n;
}

static void script_run(struct sim_node *n)
{
	struct script *sc = (struct script *)n;
	struct todo t = sc->todo[--sc->n];

	n->next_run_ns = sc->n ? sc->todo[sc->n - 1].at_ns : SIM_NEVER;
	t.action(t.arg);
}

static void script_fini(struct sim_node *n)
{
	free(((struct script *)n)->todo);
}

void sim_at(struct sim *s, u64 at_ns, sim_action action, void *arg)
{
	struct script *sc = (struct script *)s->node[0];
	u32 i;

	sc->todo = must(realloc(sc->todo, (sc->n + 1) * sizeof(*sc->todo)));
	for (i = sc->n++; i && sc->todo[i - 1].at_ns <= at_ns; i--)
		sc->todo[i] = sc->todo[i - 1];
	sc->todo[i] = (struct todo){ at_ns, action, arg };
	sc->node.next_run_ns = sc->todo[sc->n - 1].at_ns;
}

void sim_init(struct sim *s, u64 seed)
{
	struct script *sc;

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	/* The engine takes 0 for "no time yet" in places. */
	s->now_ns = SIM_S;
	sc = sim_node_new(s, "script", sizeof(*sc), NULL);
	sc->node.run = script_run;
	sc->node.fini = script_fini;
}

static void free_list(struct sim_pkt *p)
{
	struct sim_pkt *next;

	for (; p; p = next) {
		next = p->next;
		free(p);
	}
}

void sim_fini(struct sim *s)
{
	u32 i;

	for (i = 0; i < s->n_nodes; i++) {
		if (s->node[i]->fini)
			s->node[i]->fini(s->node[i]);
		free(s->node[i]);
	}
	if (s->pkts_out)
		sim_broken(s, "%llu packets were neither delivered nor freed",
			   (unsigned long long)s->pkts_out);
	free_list(s->free_small);
	free_list(s->free_big);
}

/* ---- the clock ---- */

void sim_note(struct sim *s, u64 what, u64 value)
{
	s->digest = mix(s->digest ^ s->now_ns ^ what << 48) + value;
}

void sim_broken(struct sim *s, const char *format, ...)
{
	va_list ap;

	if (s->failures++ >= REPORTS_MAX)
		return;
	fprintf(stderr, "sim: at %.6f s: ", (double)s->now_ns / SIM_S);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

bool sim_step(struct sim *s, u64 until_ns)
{
	struct sim_node *n = s->node[0];
	u32 i;

	for (i = 1; i < s->n_nodes; i++) {
		if (s->node[i]->next_run_ns < n->next_run_ns)
			n = s->node[i];
	}
	if (n->next_run_ns > until_ns) {
		s->now_ns = until_ns;
		return false;
	}
	if (n->next_run_ns > s->now_ns) {
		s->now_ns = n->next_run_ns;
		s->stuck = 0;
	}
	s->events++;
	n->run(n);
	if (s->stuck++ < STUCK_MAX)
		return true;
	sim_broken(s, "%s runs again and again at one instant", n->name);
	return false;
}

void sim_run(struct sim *s, u64 until_ns)
{
	while (sim_step(s, until_ns))
		;
}
