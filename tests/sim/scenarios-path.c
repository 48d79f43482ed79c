// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Paths that do more than delay: queues that mark, loss, reordering, duplicates, damage, outages.
 */
#include "scenario.h"

#include <math.h>
#include <stdio.h>

/* ---- queueing delay ---- */

static void queue_delay(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 50, .rtt_ms = 40 };
	struct measure m = { .warm_ms = 20e3, .run_ms = 30e3 };

	if (r->quick)
		m.warm_ms = m.run_ms = 10e3;
	measure(r, &c, &m);
	at_most(r, "drop-tail of one BDP: queueing delay, round trips", m.sojourn_ms / c.rtt_ms,
		1.01);
	/* The first cannot be more, whatever the sender does; that it is not always so is its doing. */
	at_most(r, "mean queueing delay, round trips", m.mean_sojourn_ms / c.rtt_ms, 0.8);
	c.aqm = SIM_CODEL;
	measure(r, &c, &m);
	at_least(r, "CoDel, target 5 ms: share of the link", m.share, 0.85);
	at_most(r, "mean queueing delay, ms", m.mean_sojourn_ms, 2 * 5);
	at_most(r, "longest, ms", m.sojourn_ms, 8 * 5);
	m.ecn = true;
	measure(r, &c, &m);
	at_least(r, "CoDel that marks: share of the link", m.share, 0.85);
	at_most(r, "mean queueing delay, ms", m.mean_sojourn_ms, 2 * 5);
	at_most(r, "share of packets dropped", m.loss, 0);
	at_least(r, "marks that the sender learnt of", (double)m.stats.count.ecn_ce, 5);
	c.aqm = SIM_STEP_MARK;
	c.mark_ms = 10;
	measure(r, &c, &m);
	at_least(r, "marks above 10 ms of queue: share of the link", m.share, 0.85);
	at_most(r, "mean queueing delay, ms", m.mean_sojourn_ms, 10 * 1.2);
	at_most(r, "share of packets dropped", m.loss, 0);
}

/* A path that clears the field gives no signal: marking stops, loss still does its work. */
static void ecn_bleached(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 50, .rtt_ms = 40, .remark = 1 };
	struct measure m = { .warm_ms = 10e3, .run_ms = 10e3, .ecn = true };
	struct net net;

	measure_on(&net, &c, r->seed, &m);
	at_least(r, "share of the link", m.share, 0.9);
	at_most(r, "packets are still marked", nq_tx_ecn(net.flow[0].tunnel.a->conn), 0);
	at_most(r, "marks that the sender believed", (double)m.stats.count.ecn_ce, 0);
	finish(r, &net);
}

/* ---- loss ---- */

/*
 * What a window that grows like Reno's yields (RFC 9438 5.1), of which 60 % are asked for. At 10 %
 * the window is at its minimum: two packets, whose ACK may be delayed by 25 ms.
 */
static double expected_share(const struct net_conf *c, double p)
{
	double reno = 1.2 / sqrt(p) / c->rtt_ms, least = 2 / (c->rtt_ms + 25);
	double packets_per_ms = p < 0.1 ? 0.6 * reno : least;

	return fmin(packets_per_ms * NET_PKT_BYTES * 8 / 1e3 / c->mbit, 0.9);
}

static void one_loss(struct scenario_run *r, const char *how, const struct net_conf *c, double p)
{
	struct measure m = { .warm_ms = 10e3, .run_ms = r->quick ? 20e3 : 60e3 };
	char what[64];

	measure(r, c, &m);
	snprintf(what, sizeof(what), "%s %g %%: share of the link", how, p * 100);
	at_least(r, what, m.share, expected_share(c, p));
	snprintf(what, sizeof(what), "%s %g %%: share of losses that were none", how, p * 100);
	at_most(r, what,
		(double)m.stats.count.spurious_losses / (double)(m.stats.count.packets_lost + 1),
		0.01);
}

static void loss(struct scenario_run *r)
{
	static const double ps[] = { 0.001, 0.005, 0.01, 0.02, 0.05, 0.1 };
	u32 i;

	for (i = 0; i < sizeof(ps) / sizeof(*ps); i++) {
		struct net_conf random = { .mbit = 20, .rtt_ms = 40, .loss = ps[i] };
		struct net_conf periodic = random;
		struct net_conf bursty = random;

		one_loss(r, "random", &random, ps[i]);
		periodic.loss = 0;
		periodic.periodic_loss = (u32)(1 / ps[i]);
		one_loss(r, "periodic", &periodic, ps[i]);
		/* Bursts of 8 packets on average, half of them lost. */
		bursty.loss = 0;
		bursty.to_good = 1.0 / 8;
		bursty.bad_loss = 0.5;
		bursty.to_bad = ps[i] * 2 / 8 / (1 - ps[i] * 2);
		one_loss(r, "bursty", &bursty, ps[i]);
	}
}

/* Losing ACKs costs next to nothing: the next one says it all. */
static void ack_loss(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 50, .rtt_ms = 40, .reverse_loss = 0.1 };
	struct measure m = { .warm_ms = 10e3, .run_ms = 20e3 };

	measure(r, &c, &m);
	at_least(r, "10 % of ACKs lost: share of the link", m.share, 0.9);
	c.reverse_loss = 0.5;
	measure(r, &c, &m);
	at_least(r, "50 % of ACKs lost: share of the link", m.share, 0.9);
}

/* The way back is narrow: what ACKs cost must not throttle what they acknowledge. */
static void asymmetric(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 100, .reverse_mbit = 1, .rtt_ms = 40 };
	struct measure m = { .warm_ms = 10e3, .run_ms = r->quick ? 5e3 : 20e3 };

	measure(r, &c, &m);
	at_least(r, "100 Mbit/s, 1 Mbit/s back: share of the link", m.share, 0.9);
}

/* ---- order, duplicates, damage ---- */

static void reorder(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 50,
			      .rtt_ms = 40,
			      .reorder = 0.02,
			      .reorder_least_ms = 1,
			      .reorder_most_ms = 4 };
	struct measure m = { .warm_ms = 10e3, .run_ms = 30e3 };

	measure(r, &c, &m);
	at_least(r, "2 % held back for 1-4 ms: share of the link", m.share, 0.9);
	note("losses that were none", (double)m.stats.count.spurious_losses);
	c.reorder = 0.3;
	c.reorder_least_ms = 0.1;
	c.reorder_most_ms = 2;
	measure(r, &c, &m);
	at_least(r, "30 % held back for 0.1-2 ms: share of the link", m.share, 0.9);
	note("losses that were none", (double)m.stats.count.spurious_losses);
	c.reorder = 0;
	c.jitter_ms = 20;
	measure(r, &c, &m);
	at_least(r, "jitter of 20 ms, in order: share of the link", m.share, 0.9);
	at_most(r, "losses that were none", (double)m.stats.count.spurious_losses, 0);
}

static void duplicate(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 50, .rtt_ms = 40, .duplicate = 0.1 };
	struct measure m = { .warm_ms = 10e3, .run_ms = 20e3 };
	struct nq_stats s;
	struct net net;

	measure_on(&net, &c, r->seed, &m);
	at_least(r, "10 % twice, both ways: share of the link", m.share, 0.9);
	nq_get_stats(net.flow[0].tunnel.b->conn, &s, net.sim.now_ns / SIM_US);
	at_least(r, "duplicates refused, of all packets",
		 (double)s.count.duplicates / (double)s.count.rx_packets, 0.095);
	finish(r, &net);
}

static void corrupt(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 50, .rtt_ms = 40, .corrupt = 0.01 };
	struct net_conf lost = { .mbit = 50, .rtt_ms = 40, .loss = 0.01 };
	struct measure m = { .warm_ms = 10e3, .run_ms = 30e3 }, plain = m;
	struct nq_stats s;
	struct net net;

	measure(r, &lost, &plain);
	measure_on(&net, &c, r->seed, &m);
	at_least(r, "1 % damaged: share of the link, of that with 1 % lost", m.share / plain.share,
		 0.8);
	nq_get_stats(net.flow[0].tunnel.b->conn, &s, net.sim.now_ns / SIM_US);
	at_least(r, "damaged packets refused, of all",
		 (double)(s.count.open_failures + s.count.header_failures) /
			 (double)s.count.rx_packets,
		 0.009);
	at_most(r, "ends the connection", net.flow[0].tunnel.b->engine_events & NQ_EV_CLOSED, 0);
	finish(r, &net);
}

/* ---- the path goes away, or changes ---- */

static void cut(void *arg)
{
	struct net *n = arg;

	n->gate->closed = n->reverse_gate->closed = true;
}

static void mend(void *arg)
{
	struct net *n = arg;

	n->gate->closed = n->reverse_gate->closed = false;
}

/* Time from now until the link is used to 80 % in a tenth of a second; at most @limit_ms. */
static double until_full_ms(struct net *n, struct flow *f, double limit_ms)
{
	double ms = 0, share = 0;
	u64 before;

	while (ms < limit_ms && share < 0.8) {
		before = flow_wire_bytes(f);
		net_run_ms(n, 100);
		share = net_share(n, flow_wire_bytes(f) - before, 0.1);
		ms += 100;
	}
	return ms;
}

static double least_cwnd(struct net *n, const struct tunnel_end *e)
{
	u64 end_ns = n->sim.now_ns + 2 * n->rtt_ns, least = tunnel_cwnd(e);

	while (sim_step(&n->sim, end_ns))
		least = tunnel_cwnd(e) < least ? tunnel_cwnd(e) : least;
	return (double)least;
}

void outage(struct scenario_run *r, const struct net_conf *c, enum flow_kind kind, double seconds,
	    struct outage *o)
{
	u64 back_ns, before;
	struct flow *f;
	struct net net;

	net_start(&net, c, r->seed);
	f = net_flow(&net, kind, "cubic");
	flow_go(f);
	net_run_ms(&net, 10e3);
	cut(&net);
	net_run_ms(&net, seconds * 1e3);
	mend(&net);
	back_ns = net.sim.now_ns;
	before = flow_wire_bytes(f);
	while (flow_wire_bytes(f) == before && net.sim.now_ns < back_ns + 2 * 60 * SIM_S)
		net_run_ms(&net, 1);
	o->first_ms = (double)(net.sim.now_ns - back_ns) / SIM_MS;
	if (kind == FLOW_ENGINE)
		o->least_packets = least_cwnd(&net, f->tunnel.a) / TUNNEL_MTU;
	o->full_ms = until_full_ms(&net, f, 30e3);
	o->failed = flow_failed(f);
	finish(r, &net);
}

static void blackout(struct scenario_run *r)
{
	static const struct {
		double seconds, rtt_ms;
	} all[] = { { 1, 50 }, { 30, 20 }, { 30, 50 }, { 30, 200 } };
	struct outage o;
	char what[96];
	u32 i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct net_conf c = { .mbit = 20, .rtt_ms = all[i].rtt_ms };

		outage(r, &c, FLOW_ENGINE, all[i].seconds, &o);
		snprintf(what, sizeof(what), "%g s of nothing, %g ms: first datagram after, ms",
			 all[i].seconds, c.rtt_ms);
		at_most(r, what, o.first_ms, 1000 + 5 * c.rtt_ms);
		snprintf(what, sizeof(what),
			 "%g s of nothing, %g ms: window it begins with, packets", all[i].seconds,
			 c.rtt_ms);
		/* Two packets, and what probes that were answered since have added. */
		at_most(r, what, o.least_packets, 4);
		snprintf(what, sizeof(what), "%g s of nothing, %g ms: then 80 %% of the link, ms",
			 all[i].seconds, c.rtt_ms);
		at_most(r, what, o.full_ms, 500 + 20 * c.rtt_ms);
	}
}

static void learn_mtu(void *arg, u32 max_bytes)
{
	struct tunnel_end *e = arg;

	/* ICMP may come for every packet; only the first says anything new. */
	if (nq_max_payload_bytes(e->conn) + nq_tx_overhead_bytes(e->conn) > max_bytes)
		tunnel_path_mtu(e, max_bytes);
}

static void mtu_change(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 20, .rtt_ms = 40 };
	struct flow *f;
	struct net net;
	u64 before;

	net_start(&net, &c, r->seed);
	f = net_flow(&net, FLOW_ENGINE, "cubic");
	net.mtu->too_big = learn_mtu;
	net.mtu->arg = f->tunnel.a;
	flow_go(f);
	net_run_ms(&net, 10e3);
	net.mtu->max_bytes = 1252;
	before = flow_wire_bytes(f);
	net_run_ms(&net, 10e3);
	at_least(r, "MTU falls by 148, ICMP tells: share of the link",
		 net_share(&net, flow_wire_bytes(f) - before, 10), 0.85);
	at_most(r, "packets that were too large", (double)net.mtu->dropped, 44);
	at_least(r, "the owner was told (NQ_EV_MTU)", !!(f->tunnel.a->engine_events & NQ_EV_MTU),
		 1);
	finish(r, &net);
}

/* Nobody tells: the engine has to notice that large packets vanish, and to find what passes. */
static void mtu_black_hole(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 20, .rtt_ms = 40 };
	struct flow *f;
	struct net net;
	u64 before;

	net_start(&net, &c, r->seed);
	f = net_flow(&net, FLOW_ENGINE, "cubic");
	flow_go(f);
	net_run_ms(&net, 10e3);
	at_least(r, "size found, bytes",
		 nq_max_payload_bytes(f->tunnel.a->conn) + nq_tx_overhead_bytes(f->tunnel.a->conn),
		 TUNNEL_MTU);
	net.mtu->max_bytes = 1252;
	at_most(r, "MTU falls by 148, nobody tells: 80 % of the link after, ms",
		until_full_ms(&net, f, 10e3), 4000);
	net_run_ms(&net, 20e3);
	at_least(r, "size found then, bytes",
		 nq_max_payload_bytes(f->tunnel.a->conn) + nq_tx_overhead_bytes(f->tunnel.a->conn),
		 1240);
	before = flow_wire_bytes(f);
	net_run_ms(&net, 10e3);
	at_least(r, "share of the link", net_share(&net, flow_wire_bytes(f) - before, 10), 0.9);
	finish(r, &net);
}

static void rebind_one(void *arg)
{
	sim_nat_rebind(((struct flow *)arg)->nat);
}

/* The client's NAT forgets it every two seconds; both ends send. */
static void rebind(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 20, .rtt_ms = 40, .nat = true };
	struct tunnel_source slow = { .bits_per_s = 2000000 };
	struct flow *f;
	struct net net;
	u64 before;
	int i;

	net_start(&net, &c, r->seed);
	f = net_flow(&net, FLOW_ENGINE, "cubic");
	flow_go(f);
	tunnel_send(f->tunnel.b, &slow);
	net_run_ms(&net, 10e3);
	for (i = 0; i < 5; i++)
		sim_at(&net.sim, net.sim.now_ns + (2 * (u64)i + 1) * SIM_S, rebind_one, f);
	before = flow_wire_bytes(f);
	net_run_ms(&net, 10e3);
	at_least(r, "a new address every 2 s: share of the link",
		 net_share(&net, flow_wire_bytes(f) - before, 10), 0.85);
	/* What was under way when the address changed: a round trip, at most with a full queue. */
	at_most(r, "to the old addresses: of what was sent back",
		(double)f->nat->dropped / (double)f->tunnel.a->rx_total, 5 * 0.08 / 20 * 1.5);
	at_least(r, "changes of address the server has followed",
		 (double)f->tunnel.b->path_addr[nq_active_path(f->tunnel.b->conn)], 5);
	finish(r, &net);
}

/* ---- all of it ---- */

static void rough(struct net_conf *c)
{
	*c = (struct net_conf){
		.mbit = 20,
		.rtt_ms = 30,
		.aqm = SIM_CODEL,
		.to_bad = 0.001,
		.to_good = 0.2,
		.bad_loss = 0.5,
		.reverse_loss = 0.02,
		.duplicate = 0.02,
		.corrupt = 0.005,
		.reorder = 0.01,
		.reorder_least_ms = 0.2,
		.reorder_most_ms = 3,
		.jitter_ms = 2,
	};
}

static void update_keys(void *arg)
{
	tunnel_update_keys(arg);
}

/* Two tunnels and a TCP flow over the worst of everything. */
static void run_rough(struct scenario_run *r, u64 seed, u64 *digest)
{
	struct tunnel_source bursts = { .on_ns = 700 * SIM_MS, .off_ns = 450 * SIM_MS };
	struct flow *f[3];
	struct net_conf c;
	struct net net;
	u32 i;

	rough(&c);
	net_start(&net, &c, seed);
	f[0] = net_flow(&net, FLOW_ENGINE, "cubic");
	f[1] = net_flow(&net, FLOW_ENGINE, "newreno");
	f[2] = net_flow(&net, FLOW_TCP, NULL);
	flow_go(f[0]);
	tunnel_send(f[1]->tunnel.a, &bursts);
	tunnel_send(f[1]->tunnel.b, &bursts);
	flow_go(f[2]);
	sim_at(&net.sim, 8 * SIM_S, cut, &net);
	sim_at(&net.sim, 9 * SIM_S, mend, &net);
	for (i = 0; i < 25; i++)
		sim_at(&net.sim, (3 + i) * SIM_S, update_keys,
		       i % 3 ? f[i % 2]->tunnel.a : f[i % 2]->tunnel.b);
	net_run_ms(&net, 30e3);
	at_least(r, "datagrams delivered, all directions",
		 (double)(f[0]->tunnel.b->delivered + f[1]->tunnel.b->delivered +
			  f[1]->tunnel.a->delivered),
		 5000);
	at_least(r, "key updates", f[0]->tunnel.a->phase, 5);
	note("calls after which the allowance was checked",
	     (double)(f[0]->tunnel.a->calls + f[0]->tunnel.b->calls + f[1]->tunnel.a->calls +
		      f[1]->tunnel.b->calls));
	*digest = net.sim.digest;
	finish(r, &net);
}

static void allowance(struct scenario_run *r)
{
	u64 seed, digest;

	for (seed = r->seed; seed < r->seed + (r->quick ? 2 : 10); seed++)
		run_rough(r, seed, &digest);
}

static void repeat(struct scenario_run *r)
{
	u64 once, again, other;

	run_rough(r, r->seed, &once);
	run_rough(r, r->seed, &again);
	run_rough(r, r->seed + 1, &other);
	at_least(r, "the same seed gives the same digest", once == again, 1);
	at_least(r, "another seed gives another", once != other, 1);
}

static void million(struct scenario_run *r)
{
	struct net_conf c = { .mbit = 1000, .rtt_ms = 20, .loss = 1e-6 };
	struct measure m = { .run_ms = 13e3 };

	if (r->quick)
		m.run_ms /= 10;
	measure(r, &c, &m);
	at_least(r, "datagrams delivered", (double)m.delivered, r->quick ? 1e4 : 1e6);
}

const struct scenario scenarios_path[] = {
	{ "queue-delay", "queueing delay stays within buffer, CoDel target, mark", queue_delay },
	{ "ecn-bleached", "a path that clears ECN is noticed", ecn_bleached },
	{ "loss", "0.1-10 % of loss, random, periodic, bursty", loss },
	{ "ack-loss", "lost ACKs cost nothing", ack_loss },
	{ "asymmetric", "a narrow way back does not throttle", asymmetric },
	{ "reorder", "reordering and jitter do not look like congestion", reorder },
	{ "duplicate", "duplicates do no harm", duplicate },
	{ "corrupt", "damaged packets are dropped and do no other harm", corrupt },
	{ "blackout", "traffic flows soon after an outage", blackout },
	{ "mtu-change", "a smaller MTU costs one round trip", mtu_change },
	{ "mtu-black-hole", "a smaller MTU is found though nobody tells", mtu_black_hole },
	{ "rebind", "a NAT that forgets costs one round trip", rebind },
	{ "allowance", "never more in flight than allowed, on a rough path", allowance },
	{ "repeat", "a seed gives one run, always the same", repeat },
	{ "million", "a million packets; the time is printed", million },
	{ 0 },
};
