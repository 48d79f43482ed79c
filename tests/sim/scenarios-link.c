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

/* Loss that is no congestion must not slow BBR down, and without loss it must fill the link. */
static void bbr(struct scenario_run *r)
{
	static const double ps[] = { 0, 0.01 };
	char what[64];
	u32 i;

	for (i = 0; i < sizeof(ps) / sizeof(*ps); i++) {
		struct net_conf c = { .mbit = 50, .rtt_ms = 100, .loss = ps[i] };
		struct measure m = { .congestion = "bbr", .warm_ms = 10e3, .run_ms = 30e3 };

		if (r->quick)
			m.warm_ms = m.run_ms = 8e3;
		measure(r, &c, &m);
		snprintf(what, sizeof(what), "50 Mbit/s, 100 ms, %g %% lost: share of the link",
			 ps[i] * 100);
		at_least(r, what, m.share, ps[i] > 0 ? 0.7 : 0.9);
		snprintf(what, sizeof(what), "mean queueing delay, round trips");
		at_most(r, what, m.mean_sojourn_ms / c.rtt_ms, 1);
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
	{ "bbr", "BBR: 1 % random loss at 100 ms leaves 70 % of the link", bbr },
	{ "bbr-matrix", "10 and 100 Mbit/s x 1-200 ms: BBR fills the link", bbr_matrix },
	{ "batched", "a receiver that works in bursts of 1 ms costs nothing", batched },
	{ 0 },
};
