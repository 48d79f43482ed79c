/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One network for all scenarios: senders share a bottleneck, behind it the path's delay and
 * whatever else befalls packets, then each flow's receiver. Acknowledgements come back over a path
 * of the same delay and, unless told otherwise, without a limit of rate.
 *
 *	senders -> mtu -> gate -> bottleneck -> delay -> jitter -> reorder -> losses ->
 *		duplicate -> corrupt -> remark -> receivers
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "models.h"
#include "peer.h"
#include "tcp.h"
#include "tunnel.h"

#define NET_PKT_BYTES (TUNNEL_MTU + SIM_IP_UDP_BYTES)
/* A queue of less holds no burst; real ones are not so small. */
#define NET_QUEUE_MIN_PKTS 50

struct net_conf {
	double mbit;
	double reverse_mbit; /* 0: the way back has no limit */
	double rtt_ms;
	double queue_bdp; /* 0: one */
	enum sim_aqm aqm;
	double codel_target_ms; /* 0: 5, with an interval of 100 */
	double mark_ms; /* SIM_STEP_MARK: this much queue */
	/* 0: none of it */
	double loss, reverse_loss;
	double to_bad, to_good, bad_loss;
	u32 periodic_loss;
	double duplicate, corrupt; /* both directions */
	double reorder, reorder_least_ms, reorder_most_ms;
	double jitter_ms;
	bool nat; /* end a of every tunnel is behind one of its own */
	u8 remark; /* 1: clear the ECN field, 3: mark CE */
};

enum flow_kind {
	FLOW_ENGINE,
	FLOW_TCP,
	FLOW_NGTCP2,
	FLOW_NGTCP2_STREAM,
};

struct flow {
	enum flow_kind kind;
	struct tunnel tunnel;
	struct sim_nat *nat;
	struct tcp *tcp;
	struct sim_peer *peer;
};

struct net {
	struct sim sim;
	struct net_conf conf;
	u64 rtt_ns;
	struct sim_bottleneck *bottleneck;
	struct sim_gate *gate, *reverse_gate;
	struct sim_mtu *mtu;
	struct sim_node *delay, *reverse_delay;
	struct sim_node *forward, *reverse; /* where senders and receivers put packets */
	struct sim_demux *far, *near;
	struct flow flow[SIM_FLOWS_MAX];
	u32 n_flows;
};

void net_start(struct net *n, const struct net_conf *conf, u64 seed);
/* Ends it; returns how often something that must always hold did not. */
u32 net_stop(struct net *n);

/* A tunnel with the usual parameters for this path, to be changed before net_tunnel(). */
struct tunnel_conf net_tunnel_conf(const struct net *n);
struct flow *net_tunnel(struct net *n, const struct tunnel_conf *conf);
/* A sender of the kind, not yet sending. @congestion as the kind knows it, NULL: cubic. */
struct flow *net_flow(struct net *n, enum flow_kind kind, const char *congestion);
/* Send without end. */
void flow_go(struct flow *f);
/* Did an ngtcp2 endpoint give up? */
bool flow_failed(const struct flow *f);
/* Bytes that arrived in good order, headers of every layer included. */
u64 flow_wire_bytes(const struct flow *f);

void net_run_ms(struct net *n, double ms);
/* The path becomes another; bottleneck and queue stay. */
void net_set_rtt(struct net *n, double rtt_ms);
double net_now_s(const struct net *n);
/* The share of the link's capacity that @bytes are in @seconds. */
double net_share(const struct net *n, u64 bytes, double seconds);
u64 net_bdp_bytes(const struct net *n);

#endif /* SIM_NET_H */
