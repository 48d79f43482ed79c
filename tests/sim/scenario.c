// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What scenarios have in common. See scenario.h.
 */
#include "scenario.h"

#include <stdio.h>

static void judge(struct scenario_run *r, const char *what, double value, const char *must,
		  double limit, bool good)
{
	printf("  %-58s %12.4g  %s %-8.4g %s\n", what, value, must, limit, good ? "" : "FAILED");
	fflush(stdout);
	r->failed += !good;
}

void at_least(struct scenario_run *r, const char *what, double value, double limit)
{
	judge(r, what, value, ">=", limit, value >= limit);
}

void at_most(struct scenario_run *r, const char *what, double value, double limit)
{
	judge(r, what, value, "<=", limit, value <= limit);
}

void note(const char *what, double value)
{
	printf("  %-58s %12.4g\n", what, value);
}

void finish(struct scenario_run *r, struct net *n)
{
	u32 broken = net_stop(n);

	r->events += n->sim.events;
	r->digest = (r->digest ^ n->sim.digest) * 0x9e3779b97f4a7c15ULL;
	if (broken)
		at_most(r, "violations of what must always hold", broken, 0);
}

void measure_on(struct net *net, const struct net_conf *conf, u64 seed, struct measure *m)
{
	struct tunnel_conf tc;
	struct flow *f;
	u64 before;

	net_start(net, conf, seed);
	if (m->kind == FLOW_ENGINE) {
		tc = net_tunnel_conf(net);
		tc.congestion = m->congestion;
		tc.ecn = m->ecn;
		tc.rx_batch_ns = (u64)(m->rx_batch_ms * SIM_MS);
		f = net_tunnel(net, &tc);
	} else {
		f = net_flow(net, m->kind, m->congestion);
	}
	flow_go(f);
	net_run_ms(net, m->warm_ms);
	sim_bottleneck_reset(net->bottleneck);
	before = flow_wire_bytes(f);
	net_run_ms(net, m->run_ms);
	m->share = net_share(net, flow_wire_bytes(f) - before, m->run_ms / 1e3);
	m->packets = net->bottleneck->passed_packets;
	m->sojourn_ms = (double)net->bottleneck->max_sojourn_ns / SIM_MS;
	m->mean_sojourn_ms =
		(double)net->bottleneck->sum_sojourn_ns / SIM_MS / (double)(m->packets + 1);
	m->loss = (double)net->bottleneck->dropped /
		  (double)(m->packets + net->bottleneck->dropped + 1);
	m->failed = flow_failed(f);
	if (m->kind == FLOW_ENGINE) {
		nq_get_stats(f->tunnel.a->conn, &m->stats, net->sim.now_ns / SIM_US);
		m->delivered = f->tunnel.b->delivered;
	}
}

void measure(struct scenario_run *r, const struct net_conf *conf, struct measure *m)
{
	struct net net;

	measure_on(&net, conf, r->seed, m);
	finish(r, &net);
}

double jain(const double *rate, u32 n)
{
	double sum = 0, squares = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		sum += rate[i];
		squares += rate[i] * rate[i];
	}
	return squares > 0 ? sum * sum / (n * squares) : 0;
}
