// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several flows on one link: tunnels beside each other, beside TCP, and TCP inside a tunnel.
 */
#include "scenario.h"

#include <stdio.h>

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
	{ "tcp-alone", "the reference TCP is fair to itself and fills the link", tcp_alone },
	{ "inner-tcp", "TCP inside a tunnel fills the link", inner_tcp },
	{ "app-limited", "an unused window does not grow", app_limited },
	{ 0 },
};
