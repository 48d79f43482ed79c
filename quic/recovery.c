// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loss detection (RFC 9002): round-trip time, acknowledgements, packet and time threshold, probe
 * timeout, persistent congestion.
 *
 * Cost: an ACK is worked off in time proportional to the packets it newly acknowledges and the
 * ranges it has. Two rules make it so. An acknowledged record knows how long the acknowledged run
 * below it is, so a range that grew at its top is entered only there; wherever else a range is cut,
 * records that were walked over take the longer run, as in a union-find. And every packet more than
 * the packet threshold below the largest acknowledged one is settled at once, so the search for
 * losses never looks further than that.
 */
#include "conn.h"

/* ---- round-trip time (RFC 9002 5) ---- */

u32 nq_rtt_update(struct nq_rtt *r, u32 latest_us, u32 ack_delay_us, u64 now_us)
{
	u32 adjusted, diff;

	if (!latest_us)
		latest_us = 1;
	r->latest_us = latest_us;
	if (!r->has_sample) {
		r->has_sample = true;
		r->min_us = r->srtt_us = latest_us;
		r->rttvar_us = latest_us / 2;
		r->first_sample_us = now_us;
		return latest_us;
	}
	if (latest_us < r->min_us)
		r->min_us = latest_us;
	adjusted = latest_us;
	if ((u64)latest_us >= (u64)r->min_us + ack_delay_us)
		adjusted -= ack_delay_us;
	diff = r->srtt_us > adjusted ? r->srtt_us - adjusted : adjusted - r->srtt_us;
	r->rttvar_us = (u32)((3ULL * r->rttvar_us + diff) / 4);
	r->srtt_us = (u32)((7ULL * r->srtt_us + adjusted) / 8);
	return adjusted;
}

static u32 pto_base_us(const struct nq_conn *c)
{
	u32 var = 4 * c->rtt.rttvar_us;

	if (!c->rtt.has_sample)
		return 3 * c->rtt.initial_us;
	return c->rtt.srtt_us + (var > NQ_GRANULARITY_US ? var : NQ_GRANULARITY_US);
}

u64 nq_pto_us(const struct nq_conn *c)
{
	return (u64)pto_base_us(c) + c->peer_max_ack_delay_us;
}

void nq_update_pacing(struct nq_conn *c, u64 now_us)
{
	u32 srtt_us = c->rtt.has_sample ? c->rtt.srtt_us : 0;

	nq_pacer_set(&c->pacer, nq_cc_pacing_rate(&c->cc, srtt_us), c->path_mtu, now_us);
}

/* ---- sending ---- */

void nq_loss_on_sent(struct nq_conn *c, u64 pn, u32 bytes, u8 flags, u32 mark, u64 now_us)
{
	struct nq_sent *s = nq_sent_at(c, pn);

	s->time_us = now_us;
	s->mark = mark;
	s->bytes = (u16)bytes;
	s->state = NQ_SENT_OUT;
	s->flags = flags;
	if (!(flags & NQ_SENT_ELICITING)) {
		/* Nothing waits for an answer, so none may come: a stream of ACK-only packets must
		 * not fill the ring.
		 */
		if (!c->loss.out_packets && !c->reserved_n)
			c->loss.base_pn = pn + 1;
		return;
	}
	c->loss.bytes_in_flight += bytes;
	c->loss.out_packets++;
	c->loss.last_eliciting_us = now_us;
	if (!c->idle_restarted) {
		c->idle_restarted = true;
		c->idle_from_us = now_us;
	}
}

/* ---- losses ---- */

static struct nq_rate_packet rate_packet(const struct nq_sent *s, u64 pn)
{
	return (struct nq_rate_packet){
		.pn = pn, .sent_us = s->time_us, .bytes = s->bytes, .id = s->mark
	};
}

/* A controller with a model hears of every packet. */
static void tell_lost(struct nq_conn *c, u64 pn, const struct nq_sent *s, u64 now_us)
{
	struct nq_cc_loss l = { .now_us = now_us, .pn = pn, .bytes = s->bytes };
	struct nq_rate *rate = nq_cc_rate(&c->cc);
	struct nq_rate_packet p = rate_packet(s, pn);
	struct nq_rate_sample sample;

	if (!rate)
		return;
	nq_rate_on_lost(rate, s->bytes);
	if (s->flags & NQ_SENT_SAMPLED && nq_rate_sample_lost(rate, &p, &sample))
		l.rate = &sample;
	nq_cc_on_lost(&c->cc, &l);
}

static void declare_lost(struct nq_conn *c, u64 pn, struct nq_sent *s, u64 now_us)
{
	s->state = NQ_SENT_LOST;
	if (!(s->flags & NQ_SENT_MTU_PROBE))
		tell_lost(c, pn, s, now_us);
	c->loss.bytes_in_flight -= s->bytes;
	c->loss.out_packets--;
	if (s->flags & NQ_SENT_MTU_PROBE) {
		nq_mtu_on_lost(c, s->bytes, now_us);
		return;
	}
	if (s->bytes >= c->pmtud.full)
		nq_mtu_on_full_lost(c, pn);
	c->stats.packets_lost++;
	if (s->flags & NQ_SENT_DATAGRAM)
		c->stats.datagram_lost++;
	if (s->flags & NQ_SENT_ECT0)
		nq_ecn_on_lost(&c->ecn);
	if (s->flags & NQ_SENT_RELIABLE) {
		nq_cid_on_lost(c, pn);
		nq_out_on_lost(c, pn);
	}
}

/* RFC 9002 7.6: losses in a row that span this long mean the path has collapsed. */
static u64 persistent_us(const struct nq_conn *c)
{
	return 3 * nq_pto_us(c);
}

/* The run of losses without an acknowledged packet between them reaches @s. True: too long. */
static bool extend_run(struct nq_conn *c, const struct nq_sent *s)
{
	if (!c->rtt.has_sample || s->time_us <= c->rtt.first_sample_us)
		return false;
	if (!c->loss.in_run) {
		c->loss.in_run = true;
		c->loss.run_start_us = s->time_us;
	}
	return s->time_us - c->loss.run_start_us > persistent_us(c);
}

/* RFC 9002 5.2: what was the least round trip before such a change may never come again. */
static void collapse(struct nq_conn *c)
{
	nq_cc_on_persistent(&c->cc);
	c->rtt.min_us = c->rtt.latest_us;
	c->loss.in_run = false;
	c->events |= NQ_EV_CONGESTION;
}

/*
 * Move base_pn over everything that is settled, declaring lost what must be. It passes every packet
 * exactly once and stops at the first that may still be acknowledged; send times rise with packet
 * numbers, so no later packet can be due before that one. What lies below @give_up_pn is lost
 * whatever its age. True: congestion was found to be persistent.
 */
static bool settle(struct nq_conn *c, u64 give_up_pn, u64 now_us)
{
	u64 end = nq_settled_end(c), pn, lost_us = 0, lost_pn = 0;
	bool persistent = false;
	struct nq_loss *l = &c->loss;
	struct nq_sent *s;
	u64 delay_us;
	u32 lost = 0;

	delay_us = c->rtt.latest_us > c->rtt.srtt_us ? c->rtt.latest_us : c->rtt.srtt_us;
	if (!c->rtt.has_sample)
		delay_us = c->rtt.initial_us;
	delay_us += delay_us / 8;
	if (delay_us < NQ_GRANULARITY_US)
		delay_us = NQ_GRANULARITY_US;
	l->loss_time_us = NQ_TIME_NEVER;
	for (pn = l->base_pn; pn < end; pn++) {
		s = nq_sent_at(c, pn);
		if (s->state == NQ_SENT_ACKED)
			l->in_run = false;
		if (s->state != NQ_SENT_OUT || !(s->flags & NQ_SENT_ELICITING))
			continue;
		if (pn >= give_up_pn) {
			if (!l->has_largest_acked || pn > l->largest_acked)
				break;
			if (l->largest_acked - pn < l->packet_threshold &&
			    s->time_us + delay_us > now_us) {
				l->loss_time_us = s->time_us + delay_us;
				break;
			}
		}
		declare_lost(c, pn, s, now_us);
		if (s->flags & NQ_SENT_MTU_PROBE)
			continue;
		if (!lost++)
			lost_pn = pn;
		lost_us = s->time_us;
		persistent |= extend_run(c, s);
	}
	l->base_pn = pn;
	if (!lost)
		return false;
	if (nq_cc_on_loss_event(&c->cc, lost_pn, lost, c->next_pn, lost_us, now_us))
		c->events |= NQ_EV_CONGESTION;
	if (persistent)
		collapse(c);
	return persistent;
}

/*
 * Behind a packet that is never acknowledged, ACK-only packets may fill the ring; then neither ACK
 * nor probe could leave, and with both ends in that state nothing ever would. So the older half of
 * a ring that full is given up.
 */
void nq_loss_make_room(struct nq_conn *c, u64 now_us)
{
	u64 half = (c->ring_mask + 1ULL) / 2;

	if (nq_ring_has_room(c, NQ_BURST_MAX))
		return;
	settle(c, c->next_pn - half, now_us);
	nq_update_pacing(c, now_us);
}

/*
 * Frames that must arrive are sent again; the rest is neither lost nor in flight, and what is
 * acknowledged of it yet counts as an ACK-only packet does.
 */
void nq_loss_on_new_path(struct nq_conn *c, u32 initial_rtt_us, u64 now_us)
{
	struct nq_loss *l = &c->loss;
	u64 end = nq_settled_end(c), pn;
	u32 ring_packets = c->ring_mask + 1;
	struct nq_sent *s;

	for (pn = l->base_pn; pn < end; pn++) {
		s = nq_sent_at(c, pn);
		if (s->state != NQ_SENT_OUT)
			continue;
		if (s->flags & NQ_SENT_RELIABLE) {
			nq_cid_on_lost(c, pn);
			nq_out_on_lost(c, pn);
		}
		s->flags &= NQ_SENT_HAS_ACK;
	}
	l->base_pn = end;
	l->bytes_in_flight = 0;
	l->out_packets = 0;
	l->in_use_pn = 0;
	l->loss_time_us = NQ_TIME_NEVER;
	l->packet_threshold = NQ_PACKET_THRESHOLD;
	l->pto_count = 0;
	l->probes = 0;
	l->in_run = false;
	c->rtt = (struct nq_rtt){ .initial_us = initial_rtt_us };
	nq_ecn_restart(&c->ecn);
	nq_cc_on_new_path(&c->cc, nq_packet_max(c), ring_packets, c->ring + ring_packets, now_us);
	c->pacer = (struct nq_pacer){ .at_us = now_us };
	nq_update_pacing(c, now_us);
}

/* ---- acknowledgements ---- */

struct acked {
	u64 bytes;
	u64 open_bytes; /* sent outside recovery */
	u64 packets;
	u64 ect0;
	u64 largest_pn, largest_us;
	u64 here_pn; /* the largest of those sent to the active path */
	bool has_here;
	struct nq_rate_packet sampled; /* the latest with a point */
	bool has_sampled;
	u64 full_pn; /* highest of those that tell about the packet size */
	u32 probe_bytes;
	bool eliciting;
	bool in_use, collapsed;
};

static void on_acked(struct nq_conn *c, u64 pn, struct nq_sent *s, struct acked *a)
{
	if (!a->packets++) {
		a->largest_pn = pn;
		a->largest_us = s->time_us;
	}
	if (s->flags && !a->has_here) {
		a->has_here = true;
		a->here_pn = pn;
	}
	if (s->flags & NQ_SENT_HAS_ACK)
		nq_ack_on_acked(c, s->mark);
	if (s->flags & NQ_SENT_ECT0)
		a->ect0++;
	if (!(s->flags & NQ_SENT_ELICITING))
		return;
	a->eliciting = true;
	c->loss.bytes_in_flight -= s->bytes;
	c->loss.out_packets--;
	if (s->flags & NQ_SENT_RELIABLE) {
		nq_cid_on_acked(c, pn);
		nq_out_on_acked(c, pn);
	}
	a->bytes += s->bytes;
	if (!nq_cc_in_recovery(&c->cc, s->time_us))
		a->open_bytes += s->bytes;
	if (s->flags & NQ_SENT_SAMPLED && !a->has_sampled) {
		a->sampled = rate_packet(s, pn);
		a->has_sampled = true;
	}
	if (pn < c->loss.in_use_pn)
		a->in_use = true;
	if (s->bytes >= c->pmtud.full && pn > a->full_pn)
		a->full_pn = pn;
	if (unlikely(s->flags & NQ_SENT_MTU_PROBE))
		a->probe_bytes = s->bytes;
}

/* A packet that was given up arrived after all: the path reorders that much. */
static void on_spurious_loss(struct nq_conn *c, u64 pn, u64 now_us)
{
	u64 distance = c->loss.largest_acked - pn + 1;

	c->stats.spurious_losses++;
	/* An acknowledged packet between losses: the path has not collapsed. */
	c->loss.in_run = false;
	if (nq_cc_on_spurious(&c->cc, pn, now_us)) {
		c->stats.congestion_undos++;
		c->events |= NQ_EV_CONGESTION;
	}
	if (pn >= c->loss.largest_acked || distance <= c->loss.packet_threshold)
		return;
	c->loss.packet_threshold = (u32)nq_min(distance, NQ_PACKET_THRESHOLD_MAX);
}

/* Note in the record of @last, or in @all that ack_range() saw, how far down the run reaches. */
static void mark_run(struct nq_conn *c, u64 first, u64 last, bool all)
{
	struct nq_sent *s;
	u64 pn = last;
	u32 run;

	do {
		s = nq_sent_at(c, pn);
		run = s->mark;
		if (pn - first >= run)
			s->mark = (u32)(pn - first + 1);
		if (pn - first < run)
			break;
		pn -= run;
	} while (all);
}

static int ack_range(struct nq_conn *c, u64 first, u64 last, struct acked *a, u64 now_us)
{
	u64 pn = last;
	struct nq_sent *s;
	u32 run, old = 0;

	for (;;) {
		s = nq_sent_at(c, pn);
		run = 1;
		switch (s->state) {
		case NQ_SENT_UNUSED:
			return -EPROTO;
		case NQ_SENT_ACKED:
			run = s->mark;
			old++;
			break;
		case NQ_SENT_LOST:
			/* The loss of a probe was none that anybody was told of. */
			if (!(s->flags & NQ_SENT_MTU_PROBE))
				on_spurious_loss(c, pn, now_us);
			break;
		default:
			on_acked(c, pn, s, a);
		}
		if (s->state != NQ_SENT_ACKED)
			s->mark = 1;
		s->state = NQ_SENT_ACKED;
		if (pn - first < run)
			break;
		pn -= run;
	}
	/* One old run below the new packets is the rule. More: all of them get the longer mark, or
	 * a peer could make us walk the same records again by lowering the top of its range.
	 */
	mark_run(c, first, last, old > 1);
	return 0;
}

/* The round trip this ACK shows, 0: none (RFC 9002 5.1). */
static u32 rtt_sample(struct nq_conn *c, const struct nq_ack_frame *f, const struct acked *a,
		      u64 now_us)
{
	u64 delay_us = NQ_DEFAULT_RTT_US * 100ULL;

	if (a->largest_pn != f->largest || !a->eliciting || a->largest_pn != a->here_pn)
		return 0;
	if (f->delay < delay_us >> c->peer_ack_delay_exponent)
		delay_us = f->delay << c->peer_ack_delay_exponent;
	delay_us = nq_min(delay_us, c->peer_max_ack_delay_us);
	return nq_rtt_update(&c->rtt, (u32)nq_min(now_us - a->largest_us, NQ_RTT_MAX_US),
			     (u32)delay_us, now_us);
}

/* The sample of the delivery rate, before losses are told. NULL: none. */
static const struct nq_rate_sample *rate_sample(struct nq_conn *c, const struct acked *a,
						struct nq_rate_sample *s, u64 now_us)
{
	struct nq_rate *rate = nq_cc_rate(&c->cc);

	if (!rate || !a->bytes)
		return NULL;
	nq_rate_on_acked(rate, a->bytes, now_us);
	if (!a->has_sampled || !nq_rate_sample_acked(rate, &a->sampled, c->rtt.min_us, s))
		return NULL;
	return s;
}

static void on_newly_acked(struct nq_conn *c, const struct nq_ack_frame *f, const struct acked *a,
			   bool advanced, u64 flight_before, u64 now_us)
{
	struct nq_rate_sample sample;
	struct nq_cc_ack ack = {
		.now_us = now_us,
		.bytes = a->bytes,
		.open_bytes = a->open_bytes,
		.largest_pn = a->largest_pn,
		.next_pn = nq_settled_end(c),
	};
	bool collapsed;

	ack.rtt_us = rtt_sample(c, f, a, now_us);
	ack.srtt_us = c->rtt.srtt_us;
	ack.rate = rate_sample(c, a, &sample, now_us);
	/* An ACK that was overtaken has old counts: nothing to learn from it (13.4.2.1). */
	if (advanced && nq_ecn_on_ack(c, f, a->ect0)) {
		if (nq_cc_on_ce(&c->cc, a->largest_us, now_us))
			c->events |= NQ_EV_CONGESTION;
		c->stats.ecn_ce = c->ecn.peer_ce;
	}
	if (a->full_pn)
		nq_mtu_on_full_acked(c, a->full_pn);
	if (unlikely(a->probe_bytes))
		nq_mtu_on_acked(c, a->probe_bytes, now_us);
	collapsed = settle(c, 0, now_us);
	/* What this very ACK showed to be lost may have begun a recovery, or brought the window down to
	 * its minimum: then nothing grows. It may report a whole window of the time before.
	 */
	ack.in_recovery = collapsed || nq_cc_in_recovery(&c->cc, a->largest_us);
	ack.in_use = a->in_use || (nq_cc_slow_start(&c->cc) && flight_before * 2 >= c->cc.cwnd);
	ack.in_flight = c->loss.bytes_in_flight;
	nq_cc_on_ack(&c->cc, &ack);
	if (a->eliciting)
		c->loss.pto_count = 0;
	nq_update_pacing(c, now_us);
}

/* What is in flight when the caller has nothing more to send does not show what the path can. */
static void note_app_limited(struct nq_conn *c)
{
	struct nq_rate *rate = nq_cc_rate(&c->cc);

	if (rate && !c->loss.tx_limited && c->loss.bytes_in_flight < c->cc.cwnd)
		nq_rate_app_limited(rate, c->loss.bytes_in_flight);
}

static bool advance(struct nq_loss *l, u64 largest_acked)
{
	if (l->has_largest_acked && largest_acked <= l->largest_acked)
		return false;
	l->has_largest_acked = true;
	l->largest_acked = largest_acked;
	return true;
}

int nq_loss_on_ack(struct nq_conn *c, const struct nq_ack_frame *f, u64 now_us)
{
	u64 known = nq_max(c->loss.known_pn, c->first_pn);
	u64 flight_before = c->loss.bytes_in_flight;
	struct nq_ack_iter it = { 0 };
	struct acked a = { 0 };
	struct nq_range r;
	bool advanced = false;

	/* Below known_pn the records are gone, below first_pn they never were ours. */
	if (f->largest >= c->next_pn)
		return -EPROTO;
	note_app_limited(c);
	/* The number of a packet to another path says nothing about losses on this (RFC 9000 9.4). */
	if (f->largest < known || nq_sent_at(c, f->largest)->flags)
		advanced = advance(&c->loss, f->largest);
	while (nq_ack_next(f, &it, &r) && r.last >= known) {
		if (ack_range(c, r.first < known ? known : r.first, r.last, &a, now_us))
			return -EPROTO;
	}
	if (a.has_here)
		advanced |= advance(&c->loss, a.here_pn);
	if (a.packets)
		on_newly_acked(c, f, &a, advanced, flight_before, now_us);
	return 0;
}

/* ---- timers (RFC 9002 6.2) ---- */

/*
 * The backoff ends at a second or, on paths where the probe timeout itself is that long, at twice
 * it: RFC 9002 6.2.1 doubles without end, and a path that was away for half a minute would be found
 * again up to half a minute after its return. Two probes in this time are less than any keepalive
 * could worry a network with.
 */
static u64 backed_off_us(const struct nq_conn *c)
{
	u32 shift = c->loss.pto_count < 16 ? c->loss.pto_count : 16;
	u64 pto = nq_pto_us(c);

	return nq_min(pto << shift, nq_max(2 * pto, NQ_PTO_BACKOFF_US));
}

u64 nq_loss_timeout_us(const struct nq_conn *c)
{
	if (c->loss.loss_time_us != NQ_TIME_NEVER)
		return c->loss.loss_time_us;
	if (!c->loss.out_packets)
		return NQ_TIME_NEVER;
	return c->loss.last_eliciting_us + backed_off_us(c);
}

void nq_loss_on_timeout(struct nq_conn *c, u64 now_us)
{
	if (now_us < nq_loss_timeout_us(c))
		return;
	if (c->loss.loss_time_us != NQ_TIME_NEVER) {
		settle(c, 0, now_us);
		nq_update_pacing(c, now_us);
		return;
	}
	/* The probes may have to wait, for the credit of a new path: the next one is due after this. */
	c->loss.last_eliciting_us = now_us;
	if (!c->loss.pto_count++)
		nq_mtu_on_pto(c);
	c->stats.ptos++;
	/* Two from the second time on: a single probe may be lost like what it asks about. */
	c->loss.probes = c->loss.pto_count > 1 ? 2 : 1;
}
