/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a network does to packets, one node each. They are built from the far end: every
 * constructor takes the node that comes after it.
 *
 * Only the bottleneck, the delay and the hold keep packets; the others decide at once. All but the
 * ends of a network can stand in any order and number.
 */
#ifndef SIM_MODELS_H
#define SIM_MODELS_H

#include "sim.h"

/* ---- bottleneck.c: a link of limited rate and its queue ---- */

enum sim_aqm {
	SIM_DROP_TAIL,
	SIM_CODEL, /* RFC 8289: drops, or marks what is ECN-capable */
	SIM_STEP_MARK, /* marks what is ECN-capable when it finds more than mark_bytes queued */
};

struct sim_bottleneck_conf {
	u64 bits_per_s;
	u64 queue_bytes; /* drop-tail limit; IP and UDP headers count */
	enum sim_aqm aqm;
	u64 codel_target_ns, codel_interval_ns;
	u64 mark_bytes;
};

struct sim_bottleneck {
	struct sim_node node;
	struct sim_bottleneck_conf conf;
	struct sim_pkt *head, **tail;
	struct sim_pkt *sending;
	u64 queued_bytes;
	/* CoDel */
	u64 first_above_ns, drop_next_ns;
	u32 count, last_count;
	bool dropping;
	/* counters; the caller may reset them */
	u64 passed_packets, passed_bytes, dropped, marked;
	u64 max_sojourn_ns, sum_sojourn_ns, max_queued_bytes;
};

struct sim_bottleneck *sim_bottleneck(struct sim *s, const struct sim_bottleneck_conf *conf,
				      struct sim_node *next);
/* Zero the counters: a measuring interval begins. */
void sim_bottleneck_reset(struct sim_bottleneck *b);

/* ---- delay.c ---- */

/* Every packet comes out @delay_ns later, in order. */
struct sim_node *sim_delay(struct sim *s, u64 delay_ns, struct sim_node *next);
/* From now on it is another; what is on its way is still not overtaken. */
void sim_delay_set(struct sim_node *n, u64 delay_ns);
/* A share of @p of the packets is held back for @least_ns to @most_ns; the others overtake it. */
struct sim_node *sim_reorder(struct sim *s, double p, u64 least_ns, u64 most_ns,
			     struct sim_node *next);
/* Every packet is held back for 0 to @most_ns; order is kept. */
struct sim_node *sim_jitter(struct sim *s, u64 most_ns, struct sim_node *next);

/* ---- impair.c ---- */

/* Each packet is lost with probability @p. */
struct sim_node *sim_loss(struct sim *s, double p, struct sim_node *next);
/*
 * Gilbert-Elliott: in the good state nothing is lost, in the bad one @bad_loss of the packets.
 * @to_bad and @to_good are the probabilities, per packet, to change the state.
 */
struct sim_node *sim_burst_loss(struct sim *s, double to_bad, double to_good, double bad_loss,
				struct sim_node *next);
/* Every @period-th packet is lost. */
struct sim_node *sim_periodic_loss(struct sim *s, u32 period, struct sim_node *next);
/* A share of @p comes out twice. */
struct sim_node *sim_duplicate(struct sim *s, double p, struct sim_node *next);
/* A share of @p gets one byte changed, anywhere in the packet. */
struct sim_node *sim_corrupt(struct sim *s, double p, struct sim_node *next);
/* The ECN field is changed: 0 cleared, 3 marked CE. */
struct sim_node *sim_remark(struct sim *s, u8 ecn, struct sim_node *next);

/* Passes everything, or nothing: a blackout. */
struct sim_gate {
	struct sim_node node;
	bool closed;
	u64 dropped;
};

struct sim_gate *sim_gate(struct sim *s, struct sim_node *next);

/*
 * Drops packets of more than @max_bytes of UDP payload. @too_big, if set, is told of each, as a
 * router tells the sender by ICMP; without it the link is a black hole.
 */
struct sim_mtu {
	struct sim_node node;
	u32 max_bytes;
	u64 dropped;
	void (*too_big)(void *arg, u32 max_bytes);
	void *arg;
};

struct sim_mtu *sim_mtu(struct sim *s, u32 max_bytes, struct sim_node *next);

/*
 * One address of a NAT. Outgoing packets get its present outer address; incoming ones pass only if
 * they are for that address (sim_pkt.addr is then the destination). sim_nat_rebind() forgets it:
 * the next outgoing packet gets another.
 */
struct sim_nat {
	struct sim_node node; /* outgoing */
	struct sim_node *in; /* incoming packets are forwarded to this node */
	u16 addr;
	u64 dropped;
};

/* @next is where outgoing packets go; where incoming ones do, the caller sets in in->next. */
struct sim_nat *sim_nat(struct sim *s, struct sim_node *next);
void sim_nat_rebind(struct sim_nat *n);

/* ---- the end of a shared path: to the node of the packet's flow ---- */
#define SIM_FLOWS_MAX 16

struct sim_demux {
	struct sim_node node;
	struct sim_node *to[SIM_FLOWS_MAX];
};

struct sim_demux *sim_demux(struct sim *s);

#endif /* SIM_MODELS_H */
