/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TCP flow written from the RFCs for the simulator alone: CUBIC (9438) with HyStart++ (9406) in
 * floating point, selective acknowledgements, loss detection by order and time (6675, 8985),
 * retransmission timeout (6298), delayed acknowledgements. It shares no line with the engine, and is
 * used in two ways: beside a tunnel as its competitor, and inside one as what it carries.
 *
 * The window is kept in segments of equal size; data without end. Not paced.
 */
#ifndef SIM_TCP_H
#define SIM_TCP_H

#include "sim.h"
#include "tunnel.h"

#define TCP_SACKS 3
#define TCP_RING 65536
#define TCP_BLOCKS 32

struct tcp_block {
	u32 first, end;
};

struct tcp_seg {
	bool is_ack;
	u8 flow; /* inside a tunnel */
	u8 n_sack;
	u32 seq, ack;
	u64 ts_ns; /* of the sender; an ACK returns it */
	struct tcp_block sack[TCP_SACKS];
};

enum tcp_state {
	TCP_NONE,
	TCP_OUT,
	TCP_SACKED,
	TCP_LOST,
};

struct tcp_sent {
	u64 at_ns;
	u8 state;
	bool again; /* a retransmission */
};

struct tcp_fifo {
	u32 seq[TCP_RING];
	u32 head, tail;
};

struct tcp {
	struct sim_node node; /* timers; as a competitor also what ACKs arrive at */
	struct sim_node *receiver; /* as a competitor: what data arrives at */
	u8 flow; /* of the network, or of those inside one tunnel */
	struct tcp *others; /* inside the same tunnel, started before */
	u32 packet_bytes; /* of a data segment, as @put is told */
	bool running;
	/* how segments leave: through the network or through a tunnel */
	void (*put)(struct tcp *t, const struct tcp_seg *seg, u32 len);
	struct tunnel_end *from, *to;
	/* sender */
	u32 una, nxt, pipe, judge, high_sacked, recover;
	double cwnd, ssthresh;
	double w_max, w_est, cwnd_prior, k;
	u64 epoch_ns; /* 0: none */
	bool limited;
	u64 newest_ns, min_rtt_ns, srtt_ns, rttvar_ns, rto_at_ns;
	u32 backoff;
	struct tcp_sent sent[TCP_RING];
	struct tcp_fifo lost, again;
	/* HyStart++ */
	u32 round_end, round_samples, css_rounds;
	u64 round_min_ns, last_min_ns, css_base_ns;
	bool css;
	/* receiver */
	u32 rcv_nxt, unacked;
	u64 delack_at_ns, ts_recent_ns;
	bool got[TCP_RING];
	struct tcp_block block[TCP_BLOCKS];
	u32 n_blocks;
	/* counters */
	u64 delivered_bytes, losses, timeouts, retransmissions;
	u64 last_rtt_ns, max_rtt_ns;
};

/* A competitor: data goes to @data_next, ACKs to @ack_next. */
struct tcp *tcp_competitor(struct sim *s, u8 flow, u32 packet_bytes, struct sim_node *data_next,
			   struct sim_node *ack_next);
/* One more flow inside @t from end a to end b. */
struct tcp *tcp_inside(struct sim *s, struct tunnel *t, u32 packet_bytes);
void tcp_run(struct tcp *t);

#endif /* SIM_TCP_H */
