/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BBR version 3 (draft-ietf-ccwg-bbr-06) in integers: rates in bytes per second, volumes in bytes,
 * gains in percent.
 *
 * It models the path by the highest rate at which it delivered (two probing cycles) and the least
 * round trip (10 s), paces at that rate and keeps about twice their product in flight. What losses
 * or CE marks show while it probes bounds the volume for long (inflight_longterm), what they show
 * otherwise bounds rate and volume until it probes again (_shortterm). For long fat paths and for
 * those that lose packets without being full: losses that are always there are known (floor.h). Its
 * state stands behind the connection: only those that use it have it.
 */
#ifndef NQ_BBR_H
#define NQ_BBR_H

#include "congestion.h"
#include "floor.h"

enum nq_bbr_state {
	NQ_BBR_STARTUP,
	NQ_BBR_DRAIN,
	NQ_BBR_DOWN, /* the four of ProbeBW */
	NQ_BBR_CRUISE,
	NQ_BBR_REFILL,
	NQ_BBR_UP,
	NQ_BBR_PROBE_RTT,
	NQ_BBR_NONE, /* for undo_state */
};

/* What the ACKs of this time tell about probing for bandwidth. */
enum nq_bbr_ack_phase {
	NQ_BBR_ACKS_INIT,
	NQ_BBR_ACKS_REFILLING,
	NQ_BBR_ACKS_STARTING,
	NQ_BBR_ACKS_FEEDBACK,
	NQ_BBR_ACKS_STOPPING,
};

struct nq_bbr {
	struct nq_rate rate;

	/* the model */
	u64 max_bw, bw, bw_shortterm, bw_latest;
	u64 bw_filter[2]; /* highest of the previous and of this cycle */
	u64 inflight_latest, inflight_longterm, inflight_shortterm;
	u64 bdp;
	u64 extra_acked[2]; /* highest of two halves of the last ten rounds */
	u64 extra_start_us, extra_delivered;
	u64 min_rtt_stamp_us, probe_rtt_stamp_us;
	u32 min_rtt_us, probe_rtt_min_us; /* ~0: unknown */
	u32 round_rtt_us; /* least of this round, ~0: none yet */
	struct nq_floor floor;

	/* rounds */
	u64 next_round_delivered, loss_round_delivered;
	u32 round_count, rounds_since_probe, drain_start_round;
	u32 loss_ranges; /* of this round */
	u64 lost; /* bytes of this round */
	u32 calm_rounds; /* since it last probed */
	u32 raised_rounds; /* in a row, longer than its window explains */
	u64 rise_after_us; /* not again before */
	u64 last_lost_pn;

	/* the full pipe */
	u64 full_bw;
	u32 full_bw_count;

	/* probing */
	u64 cycle_us; /* when it began */
	u64 up_acked, up_acked_per_mss;
	u64 probe_rtt_done_us;
	u32 probe_wait_us;
	u32 up_rounds;
	u32 extra_rounds;

	/* what is controlled */
	u64 pacing_rate, send_quantum, initial_cwnd, prior_cwnd;

	u64 undo_bw_shortterm, undo_inflight_shortterm, undo_inflight_longterm;
	u8 state, undo_state; /* enum nq_bbr_state */
	u8 ack_phase; /* enum nq_bbr_ack_phase */
	u8 extra_half;
	bool round_start, loss_round_start;
	bool loss_in_round, ce_in_round;
	bool full_bw_reached, full_bw_now;
	bool probe_sample; /* ACKs are of packets that probed */
	bool prev_too_high, prev_precautionary;
	bool probe_rtt_expired, probe_rtt_round_done;
	bool idle_restart;
	bool rise; /* the round trip is probed because it seems to have grown */
};

size_t nq_bbr_bytes(u32 ring_packets);
/* Give @cc its state and the points of its samples in @mem, nq_bbr_bytes() zeroed. */
void nq_bbr_attach(struct nq_cc *cc, void *mem, u32 ring_packets);

#endif /* NQ_BBR_H */
