// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The network of the scenarios. See net.h.
 */
#include "net.h"

static u64 ns(double ms)
{
	return (u64)(ms * SIM_MS + 0.5);
}

u64 net_bdp_bytes(const struct net *n)
{
	return (u64)(n->conf.mbit * 1e6 / 8 * n->conf.rtt_ms / 1e3);
}

static struct sim_node *build_losses(struct sim *s, const struct net_conf *c, struct sim_node *at)
{
	if (c->remark)
		at = sim_remark(s, c->remark == 1 ? 0 : 3, at);
	if (c->corrupt > 0)
		at = sim_corrupt(s, c->corrupt, at);
	if (c->duplicate > 0)
		at = sim_duplicate(s, c->duplicate, at);
	if (c->loss > 0)
		at = sim_loss(s, c->loss, at);
	if (c->bad_loss > 0)
		at = sim_burst_loss(s, c->to_bad, c->to_good, c->bad_loss, at);
	if (c->periodic_loss)
		at = sim_periodic_loss(s, c->periodic_loss, at);
	if (c->reorder > 0)
		at = sim_reorder(s, c->reorder, ns(c->reorder_least_ms), ns(c->reorder_most_ms),
				 at);
	if (c->jitter_ms > 0)
		at = sim_jitter(s, ns(c->jitter_ms), at);
	return at;
}

static struct sim_bottleneck *build_bottleneck(struct net *n, double mbit, double queue_bytes,
					       struct sim_node *at)
{
	struct sim_bottleneck_conf b = { .bits_per_s = (u64)(mbit * 1e6), .aqm = n->conf.aqm };
	double target_ms = n->conf.codel_target_ms > 0 ? n->conf.codel_target_ms : 5;

	b.queue_bytes = (u64)queue_bytes;
	if (b.queue_bytes < NET_QUEUE_MIN_PKTS * NET_PKT_BYTES)
		b.queue_bytes = NET_QUEUE_MIN_PKTS * NET_PKT_BYTES;
	b.codel_target_ns = ns(target_ms);
	b.codel_interval_ns = 20 * b.codel_target_ns;
	b.mark_bytes = (u64)(mbit * 1e6 / 8 * n->conf.mark_ms / 1e3);
	return sim_bottleneck(&n->sim, &b, at);
}

/* What is sent back: built from the senders' end. */
static void build_reverse(struct net *n)
{
	const struct net_conf *c = &n->conf;
	struct sim_node *at = &n->near->node;
	struct sim *s = &n->sim;

	if (c->corrupt > 0)
		at = sim_corrupt(s, c->corrupt, at);
	if (c->duplicate > 0)
		at = sim_duplicate(s, c->duplicate, at);
	if (c->reverse_loss > 0)
		at = sim_loss(s, c->reverse_loss, at);
	at = n->reverse_delay = sim_delay(s, n->rtt_ns - n->rtt_ns / 2, at);
	if (c->reverse_mbit > 0)
		at = &build_bottleneck(n, c->reverse_mbit, 0, at)->node;
	n->reverse_gate = sim_gate(s, at);
	n->reverse = &n->reverse_gate->node;
}

void net_start(struct net *n, const struct net_conf *conf, u64 seed)
{
	struct sim *s = &n->sim;
	struct sim_node *at;
	double queue;

	memset(n, 0, sizeof(*n));
	sim_init(s, seed);
	n->conf = *conf;
	n->rtt_ns = ns(conf->rtt_ms);
	n->far = sim_demux(s);
	n->near = sim_demux(s);
	at = build_losses(s, conf, &n->far->node);
	queue = (double)net_bdp_bytes(n) * (conf->queue_bdp > 0 ? conf->queue_bdp : 1);
	n->delay = sim_delay(s, n->rtt_ns / 2, at);
	n->bottleneck = build_bottleneck(n, conf->mbit, queue, n->delay);
	n->gate = sim_gate(s, &n->bottleneck->node);
	n->mtu = sim_mtu(s, SIM_PKT_MAX, &n->gate->node);
	n->forward = &n->mtu->node;
	build_reverse(n);
}

u32 net_stop(struct net *n)
{
	sim_fini(&n->sim);
	return n->sim.failures;
}

struct tunnel_conf net_tunnel_conf(const struct net *n)
{
	return (struct tunnel_conf){
		.mtu = TUNNEL_MTU,
		.rtt_ns = n->rtt_ns,
		.idle_ms = 120000,
		.queue_bytes = 1 << 20,
	};
}

static struct flow *next_flow(struct net *n, enum flow_kind kind, struct sim_node *near,
			      struct sim_node *far)
{
	struct flow *f = &n->flow[n->n_flows];

	f->kind = kind;
	n->near->to[n->n_flows] = near;
	n->far->to[n->n_flows++] = far;
	return f;
}

struct flow *net_tunnel(struct net *n, const struct tunnel_conf *conf)
{
	struct sim_node *out = n->forward, *in;
	struct sim_nat *nat = NULL;
	struct tunnel t;
	struct flow *f;

	if (n->conf.nat) {
		nat = sim_nat(&n->sim, n->forward);
		out = &nat->node;
	}
	tunnel_start(&t, &n->sim, conf, (u8)n->n_flows, out, n->reverse);
	in = &t.a->node;
	if (nat) {
		nat->in->next = in;
		in = nat->in;
	}
	f = next_flow(n, FLOW_ENGINE, in, &t.b->node);
	f->tunnel = t;
	f->nat = nat;
	return f;
}

struct flow *net_flow(struct net *n, enum flow_kind kind, const char *congestion)
{
	struct tunnel_conf conf = net_tunnel_conf(n);
	struct flow *f;

	switch (kind) {
	case FLOW_ENGINE:
		conf.congestion = congestion;
		return net_tunnel(n, &conf);
	case FLOW_TCP: {
		struct tcp *t =
			tcp_competitor(&n->sim, (u8)n->n_flows, TUNNEL_MTU, n->forward, n->reverse);

		f = next_flow(n, kind, &t->node, t->receiver);
		f->tcp = t;
		return f;
	}
	default: {
		struct sim_peer_conf pc = {
			.congestion = congestion,
			.stream = kind == FLOW_NGTCP2_STREAM,
			.rtt_ns = n->rtt_ns,
		};
		struct sim_peer *p = sim_peer(&n->sim, &pc, (u8)n->n_flows, n->forward, n->reverse);

		f = next_flow(n, kind, sim_peer_end(p, 0), sim_peer_end(p, 1));
		f->peer = p;
		return f;
	}
	}
}

void flow_go(struct flow *f)
{
	struct tunnel_source greedy = { 0 };

	switch (f->kind) {
	case FLOW_ENGINE:
		tunnel_send(f->tunnel.a, &greedy);
		break;
	case FLOW_TCP:
		tcp_run(f->tcp);
		break;
	default:
		sim_peer_go(f->peer);
	}
}

bool flow_failed(const struct flow *f)
{
	return f->peer && sim_peer_error(f->peer);
}

u64 flow_wire_bytes(const struct flow *f)
{
	const struct tunnel_end *b = f->tunnel.b;

	switch (f->kind) {
	case FLOW_ENGINE:
		return b->delivered_bytes +
		       b->delivered * (nq_tx_overhead_bytes(b->conn) + SIM_IP_UDP_BYTES);
	case FLOW_TCP:
		return f->tcp->delivered_bytes / TUNNEL_MTU * NET_PKT_BYTES;
	default:
		return sim_peer_wire_bytes(f->peer);
	}
}

void net_run_ms(struct net *n, double ms)
{
	sim_run(&n->sim, n->sim.now_ns + ns(ms));
}

void net_set_rtt(struct net *n, double rtt_ms)
{
	n->rtt_ns = ns(rtt_ms);
	sim_delay_set(n->delay, n->rtt_ns / 2);
	sim_delay_set(n->reverse_delay, n->rtt_ns - n->rtt_ns / 2);
}

double net_now_s(const struct net *n)
{
	return (double)n->sim.now_ns / SIM_S;
}

double net_share(const struct net *n, u64 bytes, double seconds)
{
	return (double)bytes * 8 / (n->conf.mbit * 1e6 * seconds);
}
