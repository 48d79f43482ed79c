// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model, the states and the control of BBR. See bbr.h; names are those of the draft, and parts
 * stand in the order in which an ACK passes them (bbr_on_ack()).
 *
 * Where the draft leaves a choice: a CE mark counts as losses above the threshold, since marks
 * are as rare as a classic queue makes them; a packet-timed round in which a packet left with
 * the window full is what is called limited by the window; send quanta are those of the pacer.
 *
 * Beyond the draft:
 * - Losses count as congestion as far as they exceed the loss floor of the path (floor.h), by more
 *   than chance. While none is known, which is so on a path whose losses come from its queue, all
 *   of this is the draft's.
 * - If the round trip has grown so much that the window keeps the rate far below the bandwidth,
 *   the least one is probed now, with the least in flight, and a rise found so holds at once; the
 *   draft waits for ten seconds, and forgets the bandwidth meanwhile (rtt_raised(), adopt_rise()).
 * - Losses of several rounds that were limited by what there was to send are one reduction.
 * - A sample of a sender with too little to send tells what the path can carry if there was clearly
 *   more in flight than the path holds, and then probing upward ends: there is nothing more to probe
 *   with. That is how a TCP inside a tunnel looks once all it has moved from the tunnel's queue, which
 *   is managed, to that of the path: there it would stay until the least round trip is probed.
 */
#include "bbr.h"

#define UNKNOWN (~(u32)0)

#define STARTUP_PACING 277
#define DRAIN_PACING 50
#define DOWN_PACING 90
#define UP_PACING 125
#define CWND_GAIN 200
#define UP_CWND_GAIN 225
#define PROBE_RTT_CWND_GAIN 50
/* Of the bandwidth, below it on the average. */
#define PACING_MARGIN 1
#define BETA 70
#define HEADROOM 15
#define LOSS_THRESH 2
#define MIN_PIPE_PACKETS 4
#define STARTUP_LOSS_RANGES 6
#define FULL_BW_ROUNDS 3
#define DRAIN_ROUNDS 3
#define EXTRA_ROUNDS 5 /* in each of two halves */
#define MIN_RTT_FILTER_US 10000000
#define PROBE_RTT_INTERVAL_US 5000000
#define PROBE_RTT_US 200000
#define PROBE_WAIT_US 2000000
#define PROBE_WAIT_RANDOM_US 1000000
#define RENO_ROUNDS 63
#define UP_ROUNDS_MAX 30
#define SEND_QUANTUM_MAX 65536
/* A round trip of a quarter and this more is still calm. */
#define CALM_RTT_DIVISOR 16
#define CALM_RTT_US 1000
#define CALM_AFTER_ROUNDS 2
#define RISE_PERCENT 125
#define RISE_ROUNDS 2

/* Volumes and rates stay below 2^56: a percentage of them does not overflow. */
static u64 percent(u64 x, u32 n)
{
	return div64_u64(x * n, 100);
}

/* Spreads decisions of connections: a clock is all there is to draw from. */
static u32 draw(const struct nq_bbr *b, u64 now_us)
{
	return (u32)(((now_us + b->rate.delivered) * 0x9e3779b97f4a7c15ULL) >> 32);
}

static bool in_probe_bw(const struct nq_bbr *b)
{
	return b->state >= NQ_BBR_DOWN && b->state <= NQ_BBR_UP;
}

static bool probing_bw(const struct nq_bbr *b)
{
	return b->state == NQ_BBR_STARTUP || b->state == NQ_BBR_REFILL || b->state == NQ_BBR_UP;
}

static u32 pacing_gain(const struct nq_bbr *b)
{
	switch (b->state) {
	case NQ_BBR_STARTUP:
		return STARTUP_PACING;
	case NQ_BBR_DRAIN:
		return DRAIN_PACING;
	case NQ_BBR_DOWN:
		return DOWN_PACING;
	case NQ_BBR_UP:
		return UP_PACING;
	default:
		return 100;
	}
}

static u32 cwnd_gain(const struct nq_bbr *b)
{
	if (b->state == NQ_BBR_PROBE_RTT)
		return PROBE_RTT_CWND_GAIN;
	return b->state == NQ_BBR_UP ? UP_CWND_GAIN : CWND_GAIN;
}

/* ---- volumes ---- */

static u64 min_pipe(const struct nq_cc *cc)
{
	return (u64)MIN_PIPE_PACKETS * cc->mss;
}

static u64 bdp_multiple(const struct nq_bbr *b, u64 bw, u32 gain)
{
	if (b->min_rtt_us == UNKNOWN)
		return b->initial_cwnd;
	return percent(div64_u64(bw * b->min_rtt_us, 1000000), gain);
}

static u64 quantization_budget(const struct nq_cc *cc, u64 inflight)
{
	const struct nq_bbr *b = cc->bbr;

	inflight = nq_max(inflight, b->send_quantum);
	inflight = nq_max(inflight, min_pipe(cc));
	return b->state == NQ_BBR_UP ? inflight + 2ULL * cc->mss : inflight;
}

static u64 inflight_at(const struct nq_cc *cc, u64 bw, u32 gain)
{
	return quantization_budget(cc, bdp_multiple(cc->bbr, bw, gain));
}

static u64 inflight_with_headroom(const struct nq_cc *cc)
{
	u64 bound = cc->bbr->inflight_longterm, headroom;

	if (bound == NQ_CC_INFINITE)
		return bound;
	headroom = nq_max(cc->mss, percent(bound, HEADROOM));
	return nq_max(bound > headroom ? bound - headroom : 0, min_pipe(cc));
}

static u64 target_inflight(const struct nq_cc *cc)
{
	return nq_min(cc->bbr->bdp, cc->cwnd);
}

static u64 probe_rtt_cwnd(const struct nq_cc *cc)
{
	/* Which bandwidth there is may be as wrong as the round trip. */
	if (cc->bbr->rise)
		return min_pipe(cc);
	return nq_max(bdp_multiple(cc->bbr, cc->bbr->bw, PROBE_RTT_CWND_GAIN), min_pipe(cc));
}

/* ---- entering states ---- */

static void start_round(struct nq_bbr *b)
{
	b->next_round_delivered = b->rate.delivered;
}

static void reset_congestion_signals(struct nq_bbr *b)
{
	b->loss_in_round = false;
	b->ce_in_round = false;
	b->loss_ranges = 0;
	b->lost = 0;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

static void reset_shortterm(struct nq_bbr *b)
{
	b->bw_shortterm = NQ_CC_INFINITE;
	b->inflight_shortterm = NQ_CC_INFINITE;
}

static void reset_full_bw(struct nq_bbr *b)
{
	b->full_bw = 0;
	b->full_bw_count = 0;
	b->full_bw_now = false;
}

static void start_down(struct nq_bbr *b, u64 now_us)
{
	u32 random = draw(b, now_us);

	reset_congestion_signals(b);
	b->up_acked_per_mss = NQ_CC_INFINITE;
	b->rounds_since_probe = random & 1;
	b->probe_wait_us = PROBE_WAIT_US + (random >> 1) % PROBE_WAIT_RANDOM_US;
	b->cycle_us = now_us;
	b->ack_phase = NQ_BBR_ACKS_STOPPING;
	start_round(b);
	b->state = NQ_BBR_DOWN;
}

static void start_refill(struct nq_bbr *b)
{
	reset_shortterm(b);
	b->up_rounds = 0;
	b->up_acked = 0;
	b->prev_precautionary = false;
	b->ack_phase = NQ_BBR_ACKS_REFILLING;
	start_round(b);
	b->state = NQ_BBR_REFILL;
}

/* In each round trip the bound may grow by twice as many packets as in the one before. */
static void raise_slope(struct nq_cc *cc)
{
	struct nq_bbr *b = cc->bbr;

	b->up_acked_per_mss = nq_max(cc->cwnd >> b->up_rounds, cc->mss);
	if (b->up_rounds < UP_ROUNDS_MAX)
		b->up_rounds++;
}

static void start_up(struct nq_cc *cc, const struct nq_rate_sample *rs)
{
	struct nq_bbr *b = cc->bbr;

	b->ack_phase = NQ_BBR_ACKS_STARTING;
	start_round(b);
	reset_full_bw(b);
	b->full_bw = rs ? rs->bytes_per_s : 0;
	b->ce_in_round = false;
	b->state = NQ_BBR_UP;
	raise_slope(cc);
}

static void enter_drain(struct nq_bbr *b)
{
	b->state = NQ_BBR_DRAIN;
	b->drain_start_round = b->round_count;
}

/* ---- windows kept over a bad time ---- */

static void save_cwnd(struct nq_cc *cc)
{
	struct nq_bbr *b = cc->bbr;

	if (cc->state == NQ_CC_OPEN && b->state != NQ_BBR_PROBE_RTT)
		b->prior_cwnd = cc->cwnd;
	else
		b->prior_cwnd = nq_max(b->prior_cwnd, cc->cwnd);
}

static void restore_cwnd(struct nq_cc *cc)
{
	cc->cwnd = nq_max(cc->cwnd, cc->bbr->prior_cwnd);
}

/* ---- losses ---- */

/* More of @sent bytes are lost than @allowed and than what the path loses anyway, by chance too. */
static bool lost_above(const struct nq_cc *cc, u64 lost, u64 sent, u64 allowed)
{
	const struct nq_floor *f = &cc->bbr->floor;

	allowed = nq_max(allowed, nq_floor_mean(f, sent));
	return lost > allowed && lost > allowed + nq_floor_chance(f, sent, cc->mss);
}

/* The same of the losses of the round that ends with @rs. */
static bool round_lost_above(const struct nq_cc *cc, const struct nq_rate_sample *rs)
{
	const struct nq_bbr *b = cc->bbr;

	return b->loss_in_round && lost_above(cc, b->lost, rs->delivered + b->lost, 0);
}

static bool too_high(const struct nq_cc *cc, const struct nq_rate_sample *rs)
{
	return lost_above(cc, rs->lost, rs->tx_in_flight, percent(rs->tx_in_flight, LOSS_THRESH));
}

static void handle_too_high(struct nq_cc *cc, u64 tx_in_flight, bool app_limited, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;

	b->prev_too_high = true;
	b->probe_sample = false;
	if (!app_limited)
		b->inflight_longterm = nq_max(tx_in_flight, percent(target_inflight(cc), BETA));
	if (b->state != NQ_BBR_UP)
		return;
	b->undo_state = NQ_BBR_UP;
	start_down(b, now_us);
}

/* The volume in flight at which losses crossed the threshold, within packet @l. */
static u64 inflight_at_loss(const struct nq_cc *cc, const struct nq_cc_loss *l)
{
	u64 inflight = l->rate->tx_in_flight, lost = l->rate->lost, allowed;
	const struct nq_floor *f = &cc->bbr->floor;

	inflight = inflight > l->bytes ? inflight - l->bytes : 0;
	lost = lost > l->bytes ? lost - l->bytes : 0;
	allowed = nq_max(percent(inflight, LOSS_THRESH), nq_floor_mean(f, inflight)) +
		  nq_floor_chance(f, inflight, cc->mss);
	if (allowed <= lost)
		return inflight;
	return inflight + div64_u64((allowed - lost) * 100, 100 - LOSS_THRESH);
}

static void note_loss(struct nq_cc *cc)
{
	struct nq_bbr *b = cc->bbr;

	if (!b->loss_in_round) {
		b->loss_round_delivered = b->rate.delivered;
		save_cwnd(cc);
		b->undo_state = NQ_BBR_NONE;
		b->undo_bw_shortterm = b->bw_shortterm;
		b->undo_inflight_shortterm = b->inflight_shortterm;
		b->undo_inflight_longterm = b->inflight_longterm;
	}
	b->loss_in_round = true;
}

static void bbr_on_lost(struct nq_cc *cc, const struct nq_cc_loss *l)
{
	struct nq_bbr *b = cc->bbr;

	note_loss(cc);
	if (!b->loss_ranges || l->pn != b->last_lost_pn + 1)
		b->loss_ranges++;
	b->last_lost_pn = l->pn;
	b->lost += l->bytes;
	nq_floor_on_lost(&b->floor, l->bytes);
	if (b->probe_sample && l->rate && too_high(cc, l->rate))
		handle_too_high(cc, inflight_at_loss(cc, l), l->rate->app_limited, l->now_us);
}

static void bbr_on_congestion(struct nq_cc *cc, enum nq_cc_cause cause, u64 now_us)
{
	if (cause != NQ_CC_CE)
		return;
	note_loss(cc);
	cc->bbr->ce_in_round = true;
}

/* ---- model: signals of the latest round ---- */

static void update_latest_signals(struct nq_bbr *b, const struct nq_rate_sample *rs)
{
	b->loss_round_start = false;
	if (!rs)
		return;
	b->bw_latest = nq_max(b->bw_latest, rs->bytes_per_s);
	b->inflight_latest = nq_max(b->inflight_latest, rs->delivered);
	if (rs->prior_delivered >= b->loss_round_delivered) {
		b->loss_round_delivered = b->rate.delivered;
		b->loss_round_start = true;
	}
}

/*
 * Losses of a round tell of the path alone if it kept to the rate that was delivered, what probed
 * before is gone, and hardly a queue stands.
 */
static void end_calm_round(struct nq_cc *cc)
{
	struct nq_bbr *b = cc->bbr;
	bool keeps_down = b->state == NQ_BBR_DOWN || b->state == NQ_BBR_CRUISE;
	u64 calm_us = (u64)b->min_rtt_us + b->min_rtt_us / CALM_RTT_DIVISOR + CALM_RTT_US;

	b->calm_rounds = keeps_down ? b->calm_rounds + 1 : 0;
	nq_floor_on_round(&b->floor, keeps_down && b->round_rtt_us <= calm_us,
			  b->calm_rounds >= CALM_AFTER_ROUNDS, cc->mss);
}

/*
 * Is the bandwidth times this round trip clearly more than the window that the model allows? Then
 * the window is what limits, because a path of a longer delay is taken for a queue.
 */
static bool rtt_raised(const struct nq_cc *cc)
{
	const struct nq_bbr *b = cc->bbr;
	u64 volume = bdp_multiple(b, b->max_bw, CWND_GAIN);

	if (b->round_rtt_us == UNKNOWN || b->min_rtt_us == UNKNOWN)
		return false;
	volume = quantization_budget(cc, volume + nq_max(b->extra_acked[0], b->extra_acked[1]));
	return div64_u64(b->max_bw * b->round_rtt_us, 1000000) > percent(volume, RISE_PERCENT);
}

/* So many rounds speak for it, unless it was just found not to be so. */
static u32 rise_rounds(const struct nq_bbr *b, u64 now_us)
{
	return now_us > b->rise_after_us ? b->raised_rounds : 0;
}

static void update_round(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	const struct nq_rate_sample *rs = a->rate;
	struct nq_bbr *b = cc->bbr;

	nq_floor_on_acked(&b->floor, a->bytes);
	if (a->rtt_us)
		b->round_rtt_us = (u32)nq_min(b->round_rtt_us, a->rtt_us);
	b->round_start = rs && rs->prior_delivered >= b->next_round_delivered;
	if (!b->round_start)
		return;
	end_calm_round(cc);
	b->raised_rounds = rtt_raised(cc) ? b->raised_rounds + 1 : 0;
	start_round(b);
	b->round_rtt_us = UNKNOWN;
	b->round_count++;
	b->rounds_since_probe++;
}

/*
 * Does the sample tell what the path can carry? That of a sender with too little to send does if there
 * was clearly more in flight than the path holds.
 */
static bool shows_bandwidth(const struct nq_bbr *b, const struct nq_rate_sample *rs)
{
	return !rs->app_limited || rs->tx_in_flight > bdp_multiple(b, b->max_bw, UP_PACING);
}

static void update_max_bw(struct nq_bbr *b, const struct nq_rate_sample *rs)
{
	if (!rs || !rs->bytes_per_s || (rs->bytes_per_s < b->max_bw && !shows_bandwidth(b, rs)))
		return;
	b->bw_filter[1] = nq_max(b->bw_filter[1], nq_min(rs->bytes_per_s, NQ_RATE_MAX_BYTES_PER_S));
	b->max_bw = nq_max(b->bw_filter[0], b->bw_filter[1]);
}

static void advance_max_bw(struct nq_bbr *b)
{
	if (!b->bw_filter[1])
		return;
	b->bw_filter[0] = b->bw_filter[1];
	b->bw_filter[1] = 0;
	b->max_bw = b->bw_filter[0];
}

static void adapt_lower_bounds(struct nq_cc *cc, const struct nq_rate_sample *rs)
{
	struct nq_bbr *b = cc->bbr;
	u64 least_bw = b->bw_latest, least_inflight = b->inflight_latest;

	if (probing_bw(b) || !(b->ce_in_round || round_lost_above(cc, rs)))
		return;
	if (b->bw_shortterm == NQ_CC_INFINITE)
		b->bw_shortterm = b->max_bw;
	if (b->inflight_shortterm == NQ_CC_INFINITE)
		b->inflight_shortterm = cc->cwnd;
	/* Rounds that hardly use the path are not one reduction each: what they reach says little. */
	if (rs->app_limited) {
		least_bw = nq_max(least_bw, percent(b->max_bw, BETA));
		least_inflight = nq_max(least_inflight,
					percent(inflight_at(cc, b->max_bw, CWND_GAIN), BETA));
	}
	b->bw_shortterm = nq_max(least_bw, percent(b->bw_shortterm, BETA));
	b->inflight_shortterm = nq_max(least_inflight, percent(b->inflight_shortterm, BETA));
}

/* ---- model: aggregation of ACKs ---- */

static void update_aggregation(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;
	u64 expected, extra;

	if (b->round_start && ++b->extra_rounds >= (b->full_bw_reached ? EXTRA_ROUNDS : 1)) {
		b->extra_rounds = 0;
		b->extra_half ^= 1;
		b->extra_acked[b->extra_half] = 0;
	}
	/* Longer than a minute is an end of the episode, whatever the rate. */
	expected = div64_u64(b->bw * nq_min(a->now_us - b->extra_start_us, 60000000), 1000000);
	if (b->extra_delivered <= expected) {
		b->extra_delivered = 0;
		b->extra_start_us = a->now_us;
		expected = 0;
	}
	b->extra_delivered += a->bytes;
	extra = nq_min(b->extra_delivered - expected, cc->cwnd);
	b->extra_acked[b->extra_half] = nq_max(b->extra_acked[b->extra_half], extra);
}

/* ---- states ---- */

static void check_full_bw(struct nq_bbr *b, const struct nq_rate_sample *rs)
{
	if (b->full_bw_now || !b->round_start || !rs || rs->app_limited)
		return;
	if (rs->bytes_per_s >= percent(b->full_bw, 125)) {
		reset_full_bw(b);
		b->full_bw = rs->bytes_per_s;
		return;
	}
	b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
	b->full_bw_reached |= b->full_bw_now;
}

/* A round full of losses, not one burst of them, or marks: the queue is full. */
static bool startup_loss_high(const struct nq_cc *cc, const struct nq_rate_sample *rs)
{
	const struct nq_bbr *b = cc->bbr;

	if (!b->loss_round_start || !b->loss_in_round || !rs)
		return false;
	return b->ce_in_round || (b->loss_ranges >= STARTUP_LOSS_RANGES && too_high(cc, rs));
}

static void check_startup(struct nq_cc *cc, bool loss_high)
{
	struct nq_bbr *b = cc->bbr;

	if (b->state != NQ_BBR_STARTUP)
		return;
	if (loss_high) {
		b->undo_state = NQ_BBR_STARTUP;
		b->full_bw_reached = true;
		b->inflight_longterm = nq_max(bdp_multiple(b, b->max_bw, 100), b->inflight_latest);
	}
	if (b->full_bw_reached)
		enter_drain(b);
}

static void check_drain(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;

	if (b->state == NQ_BBR_DRAIN && (a->in_flight <= inflight_at(cc, b->bw, 100) ||
					 b->round_count > b->drain_start_round + DRAIN_ROUNDS))
		start_down(b, a->now_us);
}

/* While the bound is what limits it, the volume may grow. */
static void probe_upward(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;
	u64 steps;

	if (!a->in_use || cc->cwnd < b->inflight_longterm)
		return;
	b->up_acked += a->bytes;
	if (b->up_acked >= b->up_acked_per_mss) {
		steps = div64_u64(b->up_acked, b->up_acked_per_mss);
		b->up_acked -= steps * b->up_acked_per_mss;
		b->inflight_longterm = nq_min(b->inflight_longterm + steps * cc->mss, cc->max_cwnd);
	}
	if (b->round_start)
		raise_slope(cc);
}

/* True if it decided about the state. */
static bool adapt_longterm(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	const struct nq_rate_sample *rs = a->rate;
	struct nq_bbr *b = cc->bbr;

	if (b->ack_phase == NQ_BBR_ACKS_STARTING && b->round_start)
		b->ack_phase = NQ_BBR_ACKS_FEEDBACK;
	if (b->ack_phase == NQ_BBR_ACKS_STOPPING && b->round_start) {
		b->probe_sample = false;
		b->ack_phase = NQ_BBR_ACKS_INIT;
		if (in_probe_bw(b) && shows_bandwidth(b, rs) && !rise_rounds(b, a->now_us))
			advance_max_bw(b);
		/* A cautious probe went well: at once one that persists. */
		if (in_probe_bw(b) && b->prev_precautionary && !b->prev_too_high) {
			start_refill(b);
			return true;
		}
	}
	if (!rs || too_high(cc, rs) || b->inflight_longterm == NQ_CC_INFINITE)
		return false;
	b->inflight_longterm = nq_max(b->inflight_longterm, rs->tx_in_flight);
	if (b->state == NQ_BBR_UP)
		probe_upward(cc, a);
	return false;
}

static bool time_to_probe(struct nq_cc *cc, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;
	u64 reno_rounds = div64_u64(target_inflight(cc), cc->mss);

	if (now_us <= b->cycle_us + b->probe_wait_us &&
	    b->rounds_since_probe < nq_min(reno_rounds, RENO_ROUNDS))
		return false;
	start_refill(b);
	return true;
}

static bool time_to_go_down(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;

	if (b->prev_too_high && a->in_flight >= b->inflight_longterm) {
		b->prev_precautionary = true;
		return true;
	}
	/* All there is to send is on its way, and more of it than the path holds: no more to learn. */
	if (b->ack_phase == NQ_BBR_ACKS_FEEDBACK && a->rate && a->rate->app_limited &&
	    shows_bandwidth(b, a->rate))
		return true;
	if (a->in_use && cc->cwnd >= b->inflight_longterm) {
		/* The bound hides what the path could do. */
		reset_full_bw(b);
		b->full_bw = a->rate ? a->rate->bytes_per_s : 0;
		return false;
	}
	return b->full_bw_now;
}

/* After the least round trip has grown the window takes some rounds to follow. */
static bool refilled(const struct nq_cc *cc, const struct nq_rate_sample *rs)
{
	const struct nq_bbr *b = cc->bbr;
	u64 wanted = nq_min(bdp_multiple(b, b->max_bw, 100), b->inflight_longterm);

	return cc->cwnd >= nq_min(wanted, cc->max_cwnd) || b->ce_in_round ||
	       round_lost_above(cc, rs);
}

static void update_cycle(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;

	if (!b->full_bw_reached || adapt_longterm(cc, a))
		return;
	switch (b->state) {
	case NQ_BBR_DOWN:
		if (!time_to_probe(cc, a->now_us) && a->in_flight <= inflight_with_headroom(cc) &&
		    a->in_flight <= inflight_at(cc, b->max_bw, 100))
			b->state = NQ_BBR_CRUISE;
		break;
	case NQ_BBR_CRUISE:
		time_to_probe(cc, a->now_us);
		break;
	case NQ_BBR_REFILL:
		if (!b->round_start || !refilled(cc, a->rate))
			break;
		b->probe_sample = true;
		start_up(cc, a->rate);
		break;
	case NQ_BBR_UP:
		if (!time_to_go_down(cc, a))
			break;
		b->prev_too_high = false;
		start_down(b, a->now_us);
		break;
	default:
		break;
	}
}

/* A mark while probing is one time too much in flight. */
static void check_ce(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;

	if (b->ce_in_round && b->probe_sample && a->rate)
		handle_too_high(cc, a->rate->tx_in_flight, a->rate->app_limited, a->now_us);
}

/* ---- the least round trip ---- */

static void update_min_rtt(struct nq_bbr *b, const struct nq_cc_ack *a)
{
	b->probe_rtt_expired = a->now_us > b->probe_rtt_stamp_us + PROBE_RTT_INTERVAL_US;
	if (rise_rounds(b, a->now_us) >= RISE_ROUNDS && in_probe_bw(b) && !b->idle_restart &&
	    a->rtt_us) {
		b->rise = true;
		b->probe_rtt_expired = true;
	}
	if (a->rtt_us && (a->rtt_us < b->probe_rtt_min_us || b->probe_rtt_expired)) {
		b->probe_rtt_min_us = a->rtt_us;
		b->probe_rtt_stamp_us = a->now_us;
	}
	if (b->probe_rtt_min_us < b->min_rtt_us ||
	    a->now_us > b->min_rtt_stamp_us + MIN_RTT_FILTER_US) {
		b->min_rtt_us = b->probe_rtt_min_us;
		b->min_rtt_stamp_us = b->probe_rtt_stamp_us;
	}
}

/*
 * With next to nothing in flight the round trip stayed long: so the path is. What it could carry is
 * known, what it could hold grows with the delay, and whether both is still so is tried at once.
 */
static bool adopt_rise(struct nq_cc *cc, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;

	b->rise = false;
	b->raised_rounds = 0;
	b->rise_after_us = now_us + PROBE_RTT_INTERVAL_US;
	if (b->probe_rtt_min_us < b->min_rtt_us * 2ULL)
		return false;
	if (b->inflight_longterm != NQ_CC_INFINITE)
		b->inflight_longterm =
			nq_min(div64_u64(b->inflight_longterm * b->probe_rtt_min_us, b->min_rtt_us),
			       cc->max_cwnd);
	b->min_rtt_us = b->probe_rtt_min_us;
	b->min_rtt_stamp_us = now_us;
	start_refill(b);
	return true;
}

static void check_probe_rtt_done(struct nq_cc *cc, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;

	if (!b->probe_rtt_done_us || now_us <= b->probe_rtt_done_us)
		return;
	b->probe_rtt_stamp_us = now_us;
	restore_cwnd(cc);
	reset_shortterm(b);
	b->state = NQ_BBR_STARTUP;
	if (!b->full_bw_reached || (b->rise && adopt_rise(cc, now_us)))
		return;
	start_down(b, now_us);
	b->state = NQ_BBR_CRUISE;
}

static void handle_probe_rtt(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;

	/* Low rates are wanted now and say nothing. */
	nq_rate_app_limited(&b->rate, a->in_flight);
	if (!b->probe_rtt_done_us) {
		if (a->in_flight > probe_rtt_cwnd(cc))
			return;
		b->probe_rtt_done_us = a->now_us + PROBE_RTT_US;
		b->probe_rtt_round_done = false;
		start_round(b);
		return;
	}
	b->probe_rtt_round_done |= b->round_start;
	if (b->probe_rtt_round_done)
		check_probe_rtt_done(cc, a->now_us);
}

static void check_probe_rtt(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;

	if (b->state != NQ_BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
		save_cwnd(cc);
		b->state = NQ_BBR_PROBE_RTT;
		b->probe_rtt_done_us = 0;
		b->ack_phase = NQ_BBR_ACKS_STOPPING;
		start_round(b);
	}
	if (b->state == NQ_BBR_PROBE_RTT)
		handle_probe_rtt(cc, a);
	if (a->rate && a->rate->delivered)
		b->idle_restart = false;
}

/* ---- control ---- */

/* Before there is a bandwidth the window tells, over a round trip or what stands for one. */
static u64 nominal_rate(const struct nq_bbr *b, u32 srtt_us)
{
	u64 rate = div64_u64(b->initial_cwnd * 1000000, srtt_us ? srtt_us : 1000);

	return nq_min(percent(rate, STARTUP_PACING), NQ_RATE_MAX_BYTES_PER_S);
}

static void set_pacing_rate(struct nq_bbr *b, u32 gain)
{
	u64 rate = percent(percent(b->bw, gain), 100 - PACING_MARGIN);

	rate = nq_min(rate, NQ_RATE_MAX_BYTES_PER_S);
	if (b->bw && (b->full_bw_reached || rate > b->pacing_rate))
		b->pacing_rate = rate;
}

static void set_send_quantum(struct nq_cc *cc)
{
	struct nq_bbr *b = cc->bbr;
	u64 quantum = nq_min(div64_u64(b->pacing_rate, 1000), SEND_QUANTUM_MAX);

	b->send_quantum = nq_max(quantum, 2ULL * cc->mss);
}

static void bound_cwnd(struct nq_cc *cc)
{
	struct nq_bbr *b = cc->bbr;
	u64 cap = NQ_CC_INFINITE;

	if (b->state == NQ_BBR_PROBE_RTT)
		cc->cwnd = nq_min(cc->cwnd, probe_rtt_cwnd(cc));
	if (b->state == NQ_BBR_CRUISE || b->state == NQ_BBR_PROBE_RTT)
		cap = inflight_with_headroom(cc);
	else if (in_probe_bw(b))
		cap = b->inflight_longterm;
	cap = nq_max(nq_min(cap, b->inflight_shortterm), min_pipe(cc));
	cc->cwnd = nq_min(cc->cwnd, cap);
}

static void set_cwnd(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	struct nq_bbr *b = cc->bbr;
	u64 most = bdp_multiple(b, b->bw, cwnd_gain(b));

	most = quantization_budget(cc, most + nq_max(b->extra_acked[0], b->extra_acked[1]));
	if (b->full_bw_reached)
		cc->cwnd = nq_min(cc->cwnd + a->bytes, most);
	else if (cc->cwnd < most || b->rate.delivered < b->initial_cwnd)
		cc->cwnd += a->bytes;
	cc->cwnd = nq_max(cc->cwnd, min_pipe(cc));
	bound_cwnd(cc);
}

/* ---- the table ---- */

static void update_model(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	const struct nq_rate_sample *rs = a->rate;
	struct nq_bbr *b = cc->bbr;
	bool loss_high;

	update_latest_signals(b, rs);
	update_round(cc, a);
	update_max_bw(b, rs);
	check_ce(cc, a);
	loss_high = startup_loss_high(cc, rs);
	if (b->loss_round_start)
		adapt_lower_bounds(cc, rs);
	update_aggregation(cc, a);
	check_full_bw(b, rs);
	check_startup(cc, loss_high);
	check_drain(cc, a);
	update_cycle(cc, a);
	update_min_rtt(b, a);
	check_probe_rtt(cc, a);
	if (b->loss_round_start) {
		b->loss_in_round = false;
		b->ce_in_round = false;
		b->loss_ranges = 0;
		b->lost = 0;
		b->bw_latest = rs->bytes_per_s;
		b->inflight_latest = rs->delivered;
	}
	b->bw = nq_min(b->max_bw, b->bw_shortterm);
	b->bdp = bdp_multiple(b, b->bw, 100);
}

static void bbr_on_ack(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	if (!a->bytes)
		return;
	update_model(cc, a);
	if (!cc->bbr->pacing_rate)
		cc->bbr->pacing_rate = nominal_rate(cc->bbr, a->srtt_us);
	set_pacing_rate(cc->bbr, pacing_gain(cc->bbr));
	set_send_quantum(cc);
	set_cwnd(cc, a);
}

static void bbr_on_restart(struct nq_cc *cc, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;

	if (!b->rate.app_limited)
		return;
	b->idle_restart = true;
	b->extra_start_us = now_us;
	b->extra_delivered = 0;
	if (in_probe_bw(b))
		set_pacing_rate(b, 100);
	else if (b->state == NQ_BBR_PROBE_RTT)
		check_probe_rtt_done(cc, now_us);
}

static void bbr_on_undo(struct nq_cc *cc, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;
	u8 was = b->undo_state;

	restore_cwnd(cc);
	b->loss_in_round = false;
	b->loss_ranges = 0;
	b->lost = 0;
	reset_full_bw(b);
	b->bw_shortterm = nq_max(b->bw_shortterm, b->undo_bw_shortterm);
	b->inflight_shortterm = nq_max(b->inflight_shortterm, b->undo_inflight_shortterm);
	b->inflight_longterm = nq_max(b->inflight_longterm, b->undo_inflight_longterm);
	b->undo_state = NQ_BBR_NONE;
	if (was == NQ_BBR_STARTUP && b->state != NQ_BBR_STARTUP) {
		b->full_bw_reached = false;
		if (b->state != NQ_BBR_PROBE_RTT)
			b->state = NQ_BBR_STARTUP;
	} else if (was == NQ_BBR_UP && b->state != NQ_BBR_UP && b->state != NQ_BBR_PROBE_RTT) {
		start_refill(b);
	}
}

static u64 bbr_pacing_rate(const struct nq_cc *cc, u32 srtt_us)
{
	return cc->bbr->pacing_rate ? cc->bbr->pacing_rate : nominal_rate(cc->bbr, srtt_us);
}

static void bbr_init(struct nq_cc *cc, u64 now_us)
{
	struct nq_bbr *b = cc->bbr;

	b->min_rtt_us = b->probe_rtt_min_us = b->round_rtt_us = UNKNOWN;
	b->min_rtt_stamp_us = b->probe_rtt_stamp_us = now_us;
	b->extra_start_us = now_us;
	b->inflight_longterm = NQ_CC_INFINITE;
	b->up_acked_per_mss = NQ_CC_INFINITE;
	b->undo_state = NQ_BBR_NONE;
	b->initial_cwnd = cc->cwnd;
	reset_shortterm(b);
	set_send_quantum(cc);
}

size_t nq_bbr_bytes(u32 ring_packets)
{
	return nq_round64(sizeof(struct nq_bbr)) +
	       (size_t)nq_rate_points(ring_packets) * sizeof(struct nq_rate_point);
}

void nq_bbr_attach(struct nq_cc *cc, void *mem, u32 ring_packets)
{
	/* Not only once: a new path begins with a model of its own. */
	memset(mem, 0, sizeof(struct nq_bbr));
	cc->bbr = mem;
	nq_rate_init(&cc->bbr->rate, (u8 *)mem + nq_round64(sizeof(struct nq_bbr)),
		     nq_rate_points(ring_packets));
}

const struct nq_cc_ops nq_cc_bbr = {
	.name = "bbr",
	.has_model = true,
	.init = bbr_init,
	.on_ack = bbr_on_ack,
	.on_congestion = bbr_on_congestion,
	.on_lost = bbr_on_lost,
	.on_restart = bbr_on_restart,
	.on_undo = bbr_on_undo,
	.pacing_rate = bbr_pacing_rate,
};
