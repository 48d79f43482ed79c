/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel as the simulator sees it: two engines that were just handed over, each a node. An end
 * drives its engine as nexus-dp does: bursts of up to 44 packets while congestion window and pacer
 * admit them, the engine's own packets behind a burst, one timer.
 *
 * After every call into an engine is checked: its bytes in flight do not exceed the congestion
 * window, unless they did before and did not grow, or a probe was due (RFC 9002 7.5). Every
 * datagram that is delivered must have been sent, unchanged, and only once.
 */
#ifndef SIM_TUNNEL_H
#define SIM_TUNNEL_H

#include "../../quic/nq.h"
#include "sim.h"

#define TUNNEL_MTU 1400
#define TUNNEL_BURST 44
/* What an inner packet can carry in the simulator: a segment of tcp.h. */
#define TUNNEL_INNER_MAX 112

struct tunnel_conf {
	const char *congestion;
	bool ecn;
	u32 mtu; /* UDP payload */
	u64 rtt_ns; /* the handshake's sample; 0: none */
	u32 keepalive_ms, idle_ms;
	u64 rx_batch_ns; /* packets are opened in bursts that gather for this long */
	u64 queue_bytes; /* own queue for inner packets: drop-tail */
};

/* What an end sends of its own: packets of full size. */
struct tunnel_source {
	bool on;
	u64 bits_per_s; /* of payload; 0: as fast as the tunnel takes it */
	u64 on_ns, off_ns; /* alternates; 0: always on */
	u64 since_ns; /* of the present phase */
	u64 made; /* packets in the present phase */
};

struct inner {
	struct inner *next;
	u64 at_ns;
	u32 len; /* of the IP packet it stands for */
	u32 stored;
	u8 data[TUNNEL_INNER_MAX];
};

struct tunnel_end {
	struct sim_node node;
	struct nq_conn *conn;
	void *mem;
	struct nq_conn_params params;
	u8 flow;
	u16 path_addr[NQ_PATHS_MAX]; /* of the peer, by the engine's numbers */
	u64 rx_batch_ns;
	/* arrived, not yet opened */
	struct sim_pkt *inbox, **inbox_tail;
	u32 n_inbox;
	u64 rx_total; /* packets, all so far */
	u64 inbox_due_ns;
	/* inner packets that wait */
	struct inner *queue, **queue_tail, *spare;
	u64 queue_bytes, queue_limit, queue_drops;
	u64 queue_max_sojourn_ns;
	struct tunnel_source source;
	u64 retry_us;
	u32 engine_events; /* enum nq_event, all so far */
	u32 phase; /* of its keys */
	/* datagrams: one bit per index tells what was delivered here */
	u64 sent;
	u64 delivered, delivered_bytes;
	u64 *seen;
	u64 seen_size;
	u64 last_delivered_ns;
	struct tunnel_end *peer;
	/* where inner packets go when they come out */
	void (*deliver)(void *arg, const u8 *inner, u32 stored);
	void *deliver_arg;
	u64 calls;
};

struct tunnel {
	struct tunnel_end *a, *b;
};

extern const struct nq_crypto_ops sim_check_crypto;

/* Two ends; what end a sends goes to @from_a, and so on. Exits if the engine refuses. */
void tunnel_start(struct tunnel *t, struct sim *s, const struct tunnel_conf *conf, u8 flow,
		  struct sim_node *from_a, struct sim_node *from_b);
/* Begin or change what @e sends of its own. */
void tunnel_send(struct tunnel_end *e, const struct tunnel_source *source);
void tunnel_stop(struct tunnel_end *e);
/* One inner packet of @len bytes, of which @stored are carried. False: the queue was full. */
bool tunnel_put(struct tunnel_end *e, const u8 *inner, u32 stored, u32 len);
/* The path takes no more than @bytes of UDP payload (ICMP, EMSGSIZE). */
void tunnel_path_mtu(struct tunnel_end *e, u32 bytes);

/* Begin a key update, if one is allowed now. */
void tunnel_update_keys(struct tunnel_end *e);

u64 tunnel_cwnd(const struct tunnel_end *e);
u64 tunnel_flight(const struct tunnel_end *e);

#endif /* SIM_TUNNEL_H */
