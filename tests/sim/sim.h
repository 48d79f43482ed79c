/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network on a virtual clock: nodes that pass packets on.
 *
 * A node does three things: forward() takes a packet (and owns it from then on), next_run_ns says
 * when it wants to act without one, run() acts. sim_step() goes to the earliest such time and runs
 * that node; between two steps nothing happens. Nodes compose: each hands its packets to node->next.
 *
 * It promises: the same seed gives the same run. Every node draws from a generator of its own, so
 * one more lossy link does not change what another one does. Each event is mixed into sim->digest;
 * two runs with equal digests did the same things at the same times.
 *
 * Time is in nanoseconds: at 1 Gbit/s a packet takes 11 us, so microseconds would not do.
 */
#ifndef SIM_H
#define SIM_H

#include "../../quic/nq_types.h"

#define SIM_NEVER (~(u64)0)
#define SIM_US 1000ULL
#define SIM_MS 1000000ULL
#define SIM_S 1000000000ULL
/* No packet is larger; what IP and UDP put in front of it counts at the bottleneck. */
#define SIM_PKT_MAX 1536
#define SIM_IP_UDP_BYTES 28
#define SIM_NODES_MAX 64

/*
 * A packet: @len bytes of UDP payload, of which only the first @head and the last @tail are stored,
 * one behind the other. What lies between is zero: the payload of most packets is never looked at.
 */
struct sim_pkt {
	struct sim_pkt *next; /* of whoever has it */
	u64 at_ns; /* for whoever has it: when it came or is due */
	u32 len, head, tail;
	u32 flip_at; /* damaged here if flip_mask is not 0 */
	u8 flip_mask;
	u8 ecn; /* the two bits of the IP header */
	u8 flow; /* the route at the far side */
	u8 big; /* size class of data[] */
	u16 addr; /* source address as the receiver sees it */
	u8 data[];
};

struct sim;

struct sim_node {
	struct sim *sim;
	const char *name;
	u64 next_run_ns;
	u64 random; /* state of its generator */
	struct sim_node *next;
	void (*forward)(struct sim_node *n, struct sim_pkt *p);
	void (*run)(struct sim_node *n);
	void (*fini)(struct sim_node *n); /* may be NULL */
};

struct sim {
	u64 now_ns;
	u64 seed;
	u64 digest, events;
	u64 stuck; /* runs without progress of the clock */
	u32 n_nodes;
	u32 failures; /* of what must always hold */
	u64 pkts_out; /* allocated and not yet freed */
	struct sim_pkt *free_small, *free_big;
	struct sim_node *node[SIM_NODES_MAX];
};

void sim_init(struct sim *s, u64 seed);
void sim_fini(struct sim *s);

/* A zeroed node of @bytes that begins with struct sim_node; freed by sim_fini(). Never NULL. */
void *sim_node_new(struct sim *s, const char *name, size_t bytes, struct sim_node *next);

/* Run the earliest node that is due by @until_ns. False: none was, and the clock stands there. */
bool sim_step(struct sim *s, u64 until_ns);
void sim_run(struct sim *s, u64 until_ns);

/* Mix an event into the digest. */
void sim_note(struct sim *s, u64 what, u64 value);

/* Something that must hold at every moment did not. Reported on standard error, counted. */
void sim_broken(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A packet with room for @head + @tail bytes; the caller fills them. Never NULL. */
struct sim_pkt *sim_pkt_new(struct sim *s, u32 len, u32 head, u32 tail);
struct sim_pkt *sim_pkt_copy(struct sim *s, const struct sim_pkt *p);
void sim_pkt_free(struct sim *s, struct sim_pkt *p);
/* Write the @len bytes of @p into @buf, damage included. */
void sim_pkt_read(const struct sim_pkt *p, u8 *buf);

/* Hand @p to @to, which must not be NULL. */
static inline void sim_forward(struct sim_node *to, struct sim_pkt *p)
{
	to->forward(to, p);
}

/* Of the node's generator (splitmix64). */
u64 sim_random(struct sim_node *n);
/* True once in 1/@p calls. */
bool sim_chance(struct sim_node *n, double p);

/* A sorted list of things to do at set times, such as cutting a link. */
typedef void (*sim_action)(void *arg);
void sim_at(struct sim *s, u64 at_ns, sim_action action, void *arg);

#endif /* SIM_H */
