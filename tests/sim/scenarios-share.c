// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several flows on one link: tunnels beside each other, beside TCP, and TCP inside a tunnel.
 */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>

void share_link(struct scenario_run *r, const struct net_conf *c, const enum flow_kind *kind,
		const char *congestion, double all_s, double run_s, double *rate)
{
	struct flow *f[2];
	double start_ms;
	struct net net;
	u64 before[2];
	int i;

	net_start(&net, c, r->seed);
	for (i = 0; i < 2; i++)
		f[i] = net_flow(&net, kind[i], congestion);
	flow_go(f[0]);
	/* Not always at the same point of the first one's cycle. */
	start_ms = 5e3 + (double)(sim_random(&net.far->node) % 5000);
	net_run_ms(&net, start_ms);
	flow_go(f[1]);
	net_run_ms(&net, (all_s - run_s) * 1e3 - start_ms);
	for (i = 0; i < 2; i++)
		before[i] = flow_wire_bytes(f[i]);
	net_run_ms(&net, run_s * 1e3);
	for (i = 0; i < 2; i++)
		rate[i] = net_share(&net, flow_wire_bytes(f[i]) - before[i], run_s);
	finish(r, &net);
}

static const struct net_conf links[] = {
	{ .mbit = 10, .rtt_ms = 20 },
	{ .mbit = 20, .rtt_ms = 100 },
	{ .mbit = 100, .rtt_ms = 40 },
};

static void share_all(struct scenario_run *r, const enum flow_kind *kind, const char *congestion,
		      double fair)
{
	char what[96];
	double rate[2];
	u32 i;

	for (i = 0; i < sizeof(links) / sizeof(*links) - r->quick; i++) {
		share_link(r, &links[i], kind, congestion, 300, 240, rate);
		snprintf(what, sizeof(what), "%g Mbit/s, %g ms: %.2f and %.2f of the link, Jain",
			 links[i].mbit, links[i].rtt_ms, rate[0], rate[1]);
		at_least(r, what, jain(rate, 2), fair);
		snprintf(what, sizeof(what), "%g Mbit/s, %g ms: both together", links[i].mbit,
			 links[i].rtt_ms);
		at_least(r, what, rate[0] + rate[1], 0.9);
	}
}

static void two_tunnels(struct scenario_run *r)
{
	static const enum flow_kind kind[] = { FLOW_ENGINE, FLOW_ENGINE };

	share_all(r, kind, "cubic", 0.9);
}

static void two_newreno(struct scenario_run *r)
{
	static const enum flow_kind kind[] = { FLOW_ENGINE, FLOW_ENGINE };

	share_all(r, kind, "newreno", 0.9);
}

/* Whoever comes second. */
static void beside_tcp(struct scenario_run *r)
{
	static const enum flow_kind first[] = { FLOW_ENGINE, FLOW_TCP };
	static const enum flow_kind second[] = { FLOW_TCP, FLOW_ENGINE };

	share_all(r, first, "cubic", 0.8);
	share_all(r, second, "cubic", 0.8);
}

/* BBR leaves a CUBIC flow what version 3 leaves it. */
static void bbr_beside_tcp(struct scenario_run *r)
{
	static const enum flow_kind kind[] = { FLOW_TCP, FLOW_ENGINE };
	static const struct {
		double queue_bdp, tcp;
	} cases[] = { { 1, 0.16 }, { 2, 0.33 }, { 4, 0.35 } };
	char what[80];
	double rate[2];
	u32 i, k;

	for (i = 0; i < sizeof(links) / sizeof(*links) - r->quick; i++) {
		for (k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
			struct net_conf c = links[i];

			c.queue_bdp = cases[k].queue_bdp;
			share_link(r, &c, kind, "bbr", 120, 90, rate);
			snprintf(what, sizeof(what), "%g Mbit/s, %g ms, queue of %g: share of TCP",
				 c.mbit, c.rtt_ms, c.queue_bdp);
			at_least(r, what, rate[0], cases[k].tcp);
		}
	}
}

/* Losses that many flows cause together in a small queue are none of the path's own. */
static void bbr_many(struct scenario_run *r)
{
	const struct net_conf c = { .mbit = 100, .rtt_ms = 40, .queue_bdp = 0.2 };
	const double seconds = r->quick ? 10 : 40;
	double rate[8], sum = 0;
	struct flow *f[8];
	struct net net;
	u64 before[8];
	u32 i;

	net_start(&net, &c, r->seed);
	for (i = 0; i < 8; i++) {
		f[i] = net_flow(&net, FLOW_ENGINE, "bbr");
		flow_go(f[i]);
		net_run_ms(&net, 1e3);
	}
	net_run_ms(&net, 20e3);
	sim_bottleneck_reset(net.bottleneck);
	for (i = 0; i < 8; i++)
		before[i] = flow_wire_bytes(f[i]);
	net_run_ms(&net, seconds * 1e3);
	for (i = 0; i < 8; i++) {
		rate[i] = net_share(&net, flow_wire_bytes(f[i]) - before[i], seconds);
		sum += rate[i];
	}
	at_least(r, "8 tunnels, a queue of 8 ms: all together", sum, 0.9);
	at_least(r, "Jain's index", jain(rate, 8), 0.8);
	at_most(r, "packets that the queue dropped, per cent",
		100.0 * (double)net.bottleneck->dropped /
			(double)(net.bottleneck->dropped + net.bottleneck->passed_packets),
		2);
	finish(r, &net);
}

/* The reference itself: what it must do before it may judge others. */
static void tcp_alone(struct scenario_run *r)
{
	static const enum flow_kind kind[] = { FLOW_TCP, FLOW_TCP };

	share_all(r, kind, "cubic", 0.9);
}

/* TCP in a tunnel: the link is used, and what TCP sees beyond the path's round trip is bounded. */
static void inner_tcp(struct scenario_run *r)
{
	const struct net_conf c = { .mbit = 20, .rtt_ms = 50 };
	double base_ms = c.rtt_ms, link_queue_ms = c.rtt_ms, own_queue_ms;
	struct tunnel_conf tc;
	struct flow *f;
	struct net net;
	struct tcp *t;
	u64 before;

	net_start(&net, &c, r->seed);
	tc = net_tunnel_conf(&net);
	f = net_tunnel(&net, &tc);
	t = tcp_inside(&net.sim, &f->tunnel, nq_max_payload_bytes(f->tunnel.a->conn));
	tcp_run(t);
	net_run_ms(&net, 20e3);
	before = t->delivered_bytes;
	t->max_rtt_ns = 0;
	f->tunnel.a->queue_max_sojourn_ns = 0;
	net_run_ms(&net, 30e3);
	at_least(r, "goodput of the inner TCP, share of the link",
		 net_share(&net, t->delivered_bytes - before, 30), 0.85);
	own_queue_ms = (double)tc.queue_bytes * 8 / (c.mbit * 1e3);
	at_most(r, "round trip of the inner TCP, ms", (double)t->max_rtt_ns / SIM_MS,
		base_ms + link_queue_ms + 1.5 * own_queue_ms);
	at_most(r, "of that in the tunnel's own queue, ms",
		(double)f->tunnel.a->queue_max_sojourn_ns / SIM_MS, 1.5 * own_queue_ms);
	at_most(r, "timeouts of the inner TCP", (double)t->timeouts, 0);
	finish(r, &net);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * The window of a TCP inside fills the tunnel's own queue, and while BBR probes it moves into that of
 * the path, where nothing manages it: probing must end although nothing more is there to be sent.
 * Counted is how long the queue of the path is, most of the time.
 */
static void bbr_inner_tcp(struct scenario_run *r)
{
	const struct net_conf c = { .mbit = 20, .rtt_ms = 60, .queue_bdp = 0.5 };
	static double queue_ms[3600];
	const u32 n = sizeof(queue_ms) / sizeof(*queue_ms);
	struct tunnel_conf tc;
	struct flow *f;
	struct net net;
	struct tcp *t;
	u64 before;
	u32 i;

	net_start(&net, &c, r->seed);
	tc = net_tunnel_conf(&net);
	tc.congestion = "bbr";
	f = net_tunnel(&net, &tc);
	t = tcp_inside(&net.sim, &f->tunnel, nq_max_payload_bytes(f->tunnel.a->conn));
	tcp_run(t);
	net_run_ms(&net, 2e3);
	before = t->delivered_bytes;
	for (i = 0; i < n; i++) {
		net_run_ms(&net, 5);
		queue_ms[i] = (double)net.bottleneck->queued_bytes * 8 / (c.mbit * 1e3);
	}
	qsort(queue_ms, n, sizeof(*queue_ms), compare_doubles);
	at_least(r, "goodput of the inner TCP, share of the link",
		 net_share(&net, t->delivered_bytes - before, n * 5e-3), 0.9);
	at_most(r, "queue of the path in nine tenths of the time, ms", queue_ms[n * 9 / 10], 15);
	at_most(r, "in three quarters", queue_ms[n * 3 / 4], 5);
	finish(r, &net);
}

/* Megabits per second of @n TCP flows, together, beside a tunnel (@congestion NULL) or in one. */
static double tcp_flows(struct scenario_run *r, const struct net_conf *c, u32 n,
			const char *congestion, double run_s)
{
	struct tcp *t[8];
	struct tunnel_conf tc;
	struct flow *f;
	struct net net;
	u64 bytes = 0;
	u32 i;

	net_start(&net, c, r->seed);
	tc = net_tunnel_conf(&net);
	tc.congestion = congestion;
	f = congestion ? net_tunnel(&net, &tc) : NULL;
	for (i = 0; i < n; i++) {
		if (f)
			t[i] = tcp_inside(&net.sim, &f->tunnel,
					  nq_max_payload_bytes(f->tunnel.a->conn));
		else
			t[i] = net_flow(&net, FLOW_TCP, NULL)->tcp;
		tcp_run(t[i]);
	}
	net_run_ms(&net, 10e3);
	for (i = 0; i < n; i++)
		bytes -= t[i]->delivered_bytes;
	net_run_ms(&net, run_s * 1e3);
	for (i = 0; i < n; i++)
		bytes += t[i]->delivered_bytes;
	finish(r, &net);
	return (double)bytes * 8 / 1e6 / run_s;
}

/*
 * TCP on a path that loses packets, through a tunnel and beside it. To a tunnel with CUBIC applies
 * what applies to one CUBIC flow, whatever the number inside: it carries one flow as well as the
 * path does, and eight as well as one. With BBR the flows inside set the pace.
 */
static void inner_lossy(struct scenario_run *r)
{
	const struct net_conf c = { .mbit = 100, .rtt_ms = 50, .loss = 0.01, .reverse_loss = 0.01 };
	double run_s = r->quick ? 60 : 240, one, eight;

	one = tcp_flows(r, &c, 1, NULL, run_s);
	eight = tcp_flows(r, &c, 8, NULL, run_s);
	note("1 % lost: one TCP beside the tunnel, Mbit/s", one);
	note("eight", eight);
	at_least(r, "through the tunnel with CUBIC, of that: one TCP",
		 tcp_flows(r, &c, 1, "cubic", run_s) / one, 0.85);
	at_least(r, "eight, of what one reaches beside it",
		 tcp_flows(r, &c, 8, "cubic", run_s) / one, 0.85);
	at_least(r, "with BBR: one TCP", tcp_flows(r, &c, 1, "bbr", run_s) / one, 0.9);
	at_least(r, "eight", tcp_flows(r, &c, 8, "bbr", run_s) / eight, 0.9);
}

/*
 * A sender that is limited by what it has to send does not grow a window that it does not use
 * (RFC 9002 7.8); when it has more to send it fills the link.
 */
static void app_limited(struct scenario_run *r)
{
	const struct net_conf c = { .mbit = 100, .rtt_ms = 50 };
	struct tunnel_source slow = { .bits_per_s = 5000000 };
	struct tunnel_source on_off = { .on_ns = 300 * SIM_MS, .off_ns = 700 * SIM_MS };
	struct tunnel_source slow_bursts = { .bits_per_s = 5000000,
					     .on_ns = 500 * SIM_MS,
					     .off_ns = 1500 * SIM_MS };
	double used = 5e6 / 8 * 0.05;
	struct flow *f;
	struct net net;
	u64 before;

	net_start(&net, &c, r->seed);
	f = net_flow(&net, FLOW_ENGINE, "cubic");
	tunnel_send(f->tunnel.a, &slow);
	net_run_ms(&net, 20e3);
	at_most(r, "5 Mbit/s offered: window, of what is used",
		(double)tunnel_cwnd(f->tunnel.a) / used, 4);
	at_least(r, "share of what was offered that arrived",
		 (double)f->tunnel.b->delivered_bytes * 8 / 5e6 / 20, 0.99);
	tunnel_send(f->tunnel.a, &slow_bursts);
	net_run_ms(&net, 20e3);
	at_most(r, "the same in bursts: window, of what is used",
		(double)tunnel_cwnd(f->tunnel.a) / used, 4);
	tunnel_send(f->tunnel.a, &on_off);
	sim_bottleneck_reset(net.bottleneck);
	before = flow_wire_bytes(f);
	net_run_ms(&net, 60e3);
	at_least(r, "0.3 s of each second at full rate: share of that time's capacity",
		 net_share(&net, flow_wire_bytes(f) - before, 60) / 0.3, 0.7);
	finish(r, &net);
}

const struct scenario scenarios_share[] = {
	{ "two-tunnels", "two tunnels share a link evenly", two_tunnels },
	{ "two-newreno", "so do two with NewReno", two_newreno },
	{ "beside-tcp", "a tunnel and a TCP CUBIC flow leave each other a share", beside_tcp },
	{ "bbr-beside-tcp", "a tunnel with BBR leaves a TCP CUBIC flow a share", bbr_beside_tcp },
	{ "bbr-many", "BBR does not take losses of a full queue for the path's own", bbr_many },
	{ "tcp-alone", "the reference TCP is fair to itself and fills the link", tcp_alone },
	{ "inner-tcp", "TCP inside a tunnel fills the link", inner_tcp },
	{ "bbr-inner-tcp", "what a TCP inside a tunnel keeps ready stays in the tunnel's queue",
	  bbr_inner_tcp },
	{ "inner-lossy", "TCP inside a tunnel on a path that loses 1 %", inner_lossy },
	{ "app-limited", "an unused window does not grow", app_limited },
	{ 0 },
};
