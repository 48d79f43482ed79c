// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One flow on one link: is the link used, is the queue short, does loss do what it may.
 */
#include "scenario.h"

#include <stdio.h>

static const double rates[] = { 1, 10, 100, 1000 };
static const double rtts[] = { 1, 10, 50, 100, 200 };

/*
 * Steady state: slow start and the first congestion event are over. The measuring interval begins
 * 20 s and 20 round trips after the start (10 s at 1 Gbit/s, where it is only a matter of cost) and
 * is 10 s and 20 round trips long.
 */
static void steady(struct measure *m, const struct net_conf *c)
{
	m->warm_ms = (c->mbit > 500 ? 10e3 : 20e3) + 20 * c->rtt_ms;
	m->run_ms = 10e3 + 20 * c->rtt_ms;
}

static void matrix_row(struct scenario_run *r, double mbit, const char *congestion)
{
	char what[64];
	u32 i;

	for (i = 0; i < sizeof(rtts) / sizeof(*rtts); i++) {
		struct net_conf c = { .mbit = mbit, .rtt_ms = rtts[i] };
		struct measure m = { .congestion = congestion };

		steady(&m, &c);
		if (r->quick && mbit > 50) {
			if (rtts[i] > 10)
				break;
			m.warm_ms = m.run_ms = 1.5e3;
		}
		measure(r, &c, &m);
		snprintf(what, sizeof(what), "%g Mbit/s, %g ms: share of the link", mbit, rtts[i]);
		at_least(r, what, m.share, 0.9);
	}
}

static void matrix_1(struct scenario_run *r)
{
	matrix_row(r, 1, "cubic");
}

static void matrix_10(struct scenario_run *r)
{
	matrix_row(r, 10, "cubic");
}

static void matrix_100(struct scenario_run *r)
{
	matrix_row(r, 100, "cubic");
}

static void matrix_1000(struct scenario_run *r)
{
	matrix_row(r, 1000, "cubic");
}

static void newreno(struct scenario_run *r)
{
	matrix_row(r, rates[1], "newreno");
}

/*
 * Loss that is no congestion must not slow BBR down, and without loss it must fill the link. What
 * the path loses anyway it has to learn first, the longer the more it is.
 */
static void bbr(struct scenario_run *r)
{
	static const struct {
		double mbit, rtt_ms, loss, warm_s, share;
	} cases[] = {
		{ 50, 100, 0, 10, 0.9 },     { 50, 100, 0.01, 10, 0.9 },
		{ 50, 100, 0.02, 15, 0.9 },  { 100, 40, 0.02, 15, 0.88 },
		{ 20, 200, 0.02, 15, 0.88 }, { 50, 100, 0.05, 30, 0.8 },
		{ 10, 100, 0.05, 30, 0.8 },
	};
	char what[128];
	u32 i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		double p = cases[i].loss;
		struct net_conf c = { .mbit = cases[i].mbit, .rtt_ms = cases[i].rtt_ms, .loss = p };
		struct measure m = { .congestion = "bbr",
				     .warm_ms = cases[i].warm_s * 1e3,
				     .run_ms = 30e3 };

		measure(r, &c, &m);
		snprintf(what, sizeof(what),
			 "%g Mbit/s, %g ms, %g %% lost: share of what it leaves", c.mbit, c.rtt_ms,
			 p * 100);
		at_least(r, what, m.share / (1 - p), cases[i].share);
		snprintf(what, sizeof(what), "mean queueing delay, round trips");
		at_most(r, what, m.mean_sojourn_ms / c.rtt_ms, 0.5);
	}
}

/* The route changes in mid-session: the least round trip so far does not come back. */
static void bbr_rtt_rise(struct scenario_run *r)
{
	static const struct {
		double mbit, from_ms, to_ms, loss;
	} cases[] = {
		{ 50, 10, 150, 0 }, { 50, 20, 60, 0 },	   { 50, 50, 80, 0 },
		{ 10, 10, 100, 0 }, { 200, 5, 200, 0 },	   { 50, 10, 150, 0.02 },
		{ 50, 150, 10, 0 }, { 50, 10, 150, 0.01 },
	};
	struct flow *f;
	struct net net;
	char what[128];
	u64 before;
	u32 i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		double p = cases[i].loss;
		struct net_conf c = { .mbit = cases[i].mbit,
				      .rtt_ms = cases[i].from_ms,
				      .loss = p };

		if (r->quick && c.mbit > 50)
			continue;
		net_start(&net, &c, r->seed);
		f = net_flow(&net, FLOW_ENGINE, "bbr");
		flow_go(f);
		net_run_ms(&net, 12e3);
		net_set_rtt(&net, cases[i].to_ms);
		net_run_ms(&net, 5e3);
		before = flow_wire_bytes(f);
		net_run_ms(&net, 10e3);
		snprintf(what, sizeof(what),
			 "%g Mbit/s, %g to %g ms, %g %% lost: share 5-15 s after", c.mbit,
			 cases[i].from_ms, cases[i].to_ms, p * 100);
		at_least(r, what, net_share(&net, flow_wire_bytes(f) - before, 10) / (1 - p), 0.85);
		finish(r, &net);
	}
}

/* The share of the third that is sent in the two seconds from one second after a low rate on. */
static double after_low(struct scenario_run *r, const struct net_conf *c, double low_mbit, u64 seed)
{
	struct tunnel_source low = { .bits_per_s = (u64)(low_mbit * 1e6) };
	struct flow *f;
	struct net net;
	double share;
	u64 before;

	net_start(&net, c, seed);
	f = net_flow(&net, FLOW_ENGINE, "bbr");
	flow_go(f);
	net_run_ms(&net, 12e3);
	tunnel_send(f->tunnel.a, &low);
	net_run_ms(&net, 20e3 + (double)(sim_random(&net.far->node) % 1000));
	flow_go(f);
	net_run_ms(&net, 1e3);
	before = flow_wire_bytes(f);
	net_run_ms(&net, 2e3);
	share = net_share(&net, flow_wire_bytes(f) - before, 2);
	finish(r, &net);
	return share;
}

/* A low rate of what there is to send is no measure of the path, with losses in it or without. */
static void bbr_after_low(struct scenario_run *r)
{
	static const double losses[] = { 0, 0.01, 0.02 };
	const u32 seeds = r->quick ? 2 : 4;
	char what[128];
	u32 i, k;

	for (i = 0; i < sizeof(losses) / sizeof(*losses); i++) {
		struct net_conf c = { .mbit = 100, .rtt_ms = 100, .loss = losses[i] };
		double share = 0;

		for (k = 0; k < seeds; k++)
			share += after_low(r, &c, 2, r->seed + k) / seeds;
		snprintf(what, sizeof(what),
			 "100 Mbit/s after 20 s of 2, %g %% lost: share 1-3 s after",
			 losses[i] * 100);
		at_least(r, what, share / (1 - losses[i]), losses[i] > 0 ? 0.8 : 0.95);
	}
}

static void bbr_matrix(struct scenario_run *r)
{
	matrix_row(r, rates[1], "bbr");
	matrix_row(r, rates[2], "bbr");
}

/* A receiver that opens whole GRO buffers acknowledges in lumps. */
static void batched(struct scenario_run *r)
{
	struct net_conf c[] = { { .mbit = 100, .rtt_ms = 2 },
				{ .mbit = 100, .rtt_ms = 50 },
				{ .mbit = 10, .rtt_ms = 20 } };
	char what[64];
	u32 i;

	for (i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct measure m = { .warm_ms = 10e3, .run_ms = 10e3, .rx_batch_ms = 1 };

		if (r->quick)
			m.warm_ms = m.run_ms = 3e3;
		measure(r, &c[i], &m);
		snprintf(what, sizeof(what), "%g Mbit/s, %g ms: share of the link", c[i].mbit,
			 c[i].rtt_ms);
		at_least(r, what, m.share, 0.9);
	}
}

const struct scenario scenarios_link[] = {
	{ "matrix-1", "1 Mbit/s x 1-200 ms: CUBIC fills the link", matrix_1 },
	{ "matrix-10", "10 Mbit/s x 1-200 ms: CUBIC fills the link", matrix_10 },
	{ "matrix-100", "100 Mbit/s x 1-200 ms: CUBIC fills the link", matrix_100 },
	{ "matrix-1000", "1 Gbit/s x 1-200 ms: CUBIC fills the link", matrix_1000 },
	{ "newreno", "10 Mbit/s x 1-200 ms: NewReno fills the link", newreno },
	{ "bbr", "BBR keeps its rate at 1 and 2 % random loss, most of it at 5 %", bbr },
	{ "bbr-rtt-rise", "BBR follows a path whose delay changes in mid-session", bbr_rtt_rise },
	{ "bbr-after-low", "BBR is back at once after a phase of a low rate", bbr_after_low },
	{ "bbr-matrix", "10 and 100 Mbit/s x 1-200 ms: BBR fills the link", bbr_matrix },
	{ "batched", "a receiver that works in bursts of 1 ms costs nothing", batched },
	{ 0 },
};
