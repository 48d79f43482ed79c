/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scenario: a network, what happens on it, and what must come out. Each stands in one of the
 * files scenarios-*.c and in the table of main.c.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "net.h"

struct scenario_run {
	u64 seed;
	bool quick; /* under sanitizers: less of everything that is only more of the same */
	u32 failed;
	u64 events, digest; /* of all its networks */
};

struct scenario {
	const char *name;
	const char *claim;
	void (*run)(struct scenario_run *r);
};

/* What came out, printed and judged. */
void at_least(struct scenario_run *r, const char *what, double value, double limit);
void at_most(struct scenario_run *r, const char *what, double value, double limit);
/* Printed only. */
void note(const char *what, double value);
/* End the network: nothing that must always hold was broken; adds to events and digest. */
void finish(struct scenario_run *r, struct net *n);

/* One greedy flow on a network of its own: the common measurement. */
struct measure {
	enum flow_kind kind;
	const char *congestion;
	bool ecn;
	double rx_batch_ms; /* the receiver opens what gathers in this time at once */
	double warm_ms, run_ms;
	/* out, of the measuring interval */
	double share; /* of the link, arrived in good order */
	double sojourn_ms, mean_sojourn_ms; /* in the bottleneck's queue */
	double loss; /* share of packets that the queue dropped */
	u64 packets;
	bool failed; /* ngtcp2 gave up */
	struct nq_stats stats; /* FLOW_ENGINE: of the sender, from the start */
	u64 delivered;
};

/* @net is started with @conf and @seed and is not yet ended. */
void measure_on(struct net *net, const struct net_conf *conf, u64 seed, struct measure *m);
void measure(struct scenario_run *r, const struct net_conf *conf, struct measure *m);

/* Jain's index of @n rates. */
double jain(const double *rate, u32 n);

/* Two flows, the second 5 to 10 s later; their shares of the link over the last @run_s of @all_s. */
void share_link(struct scenario_run *r, const struct net_conf *c, const enum flow_kind *kind,
		const char *congestion, double all_s, double run_s, double *rate);

/* After an outage of both directions. */
struct outage {
	bool failed; /* ngtcp2 gave up */
	double first_ms; /* from its end to the first packet that arrives */
	double least_packets; /* FLOW_ENGINE: smallest congestion window within two round trips */
	double full_ms; /* and from there until 80 % of the link are used in a tenth of a second */
};

void outage(struct scenario_run *r, const struct net_conf *c, enum flow_kind kind, double seconds,
	    struct outage *o);

extern const struct scenario scenarios_link[], scenarios_share[], scenarios_path[];

/* The same conditions for the engine, ngtcp2 and the reference TCP, in one table. */
int compare(u64 seed, bool quick);

#endif /* SIM_SCENARIO_H */
