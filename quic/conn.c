// SPDX-License-Identifier: GPL-2.0-only
/*
 * A connection as a whole: memory, construction, timers, events, statistics.
 */
#include "conn.h"

#define ACK_EXPONENT_MAX 20
/* RFC 9000 18.2: max_ack_delay is below 2^14 ms. */
#define ACK_DELAY_MAX_US (16384u * 1000)
/* RFC 9000 10.1: an idle timeout is at least this many probe timeouts. */
#define IDLE_PTOS 3

static bool valid_rate(const struct nq_conn_params *p)
{
	bool fixed = nq_cc_find(p->congestion) == &nq_cc_fixed;

	return fixed ? p->fixed_rate_bytes_per_s &&
			       p->fixed_rate_bytes_per_s <= NQ_RATE_MAX_BYTES_PER_S
		     : !p->fixed_rate_bytes_per_s;
}

static bool valid_params(const struct nq_conn_params *p)
{
	return p->crypto && p->ring_packets >= NQ_RING_MIN && p->ring_packets <= NQ_RING_MAX &&
	       !(p->ring_packets & (p->ring_packets - 1)) && p->key_phase <= 1 &&
	       p->prefix_len <= NQ_PREFIX_MAX_LEN && p->next_pn <= NQ_PN_MAX / 2 &&
	       p->peer_ack_delay_exponent <= ACK_EXPONENT_MAX &&
	       p->ack_delay_exponent <= ACK_EXPONENT_MAX &&
	       p->peer_max_ack_delay_us < ACK_DELAY_MAX_US &&
	       p->max_ack_delay_us < ACK_DELAY_MAX_US && p->path_mtu_bytes >= NQ_MIN_UDP_PAYLOAD &&
	       p->path_mtu_bytes <= 65527 && p->peer_max_udp_payload_bytes >= NQ_MIN_UDP_PAYLOAD &&
	       (!p->has_largest_acked || p->largest_acked < p->next_pn) && valid_rate(p);
}

static size_t cc_bytes(const struct nq_conn_params *p)
{
	const struct nq_cc_ops *ops = nq_cc_find(p->congestion);

	return ops ? nq_round64(nq_cc_bytes(ops, p->ring_packets)) : 0;
}

size_t nq_first_ring_bytes(const struct nq_conn_params *p)
{
	return nq_ring_bytes(p->ring_packets) + cc_bytes(p);
}

size_t nq_conn_bytes(const struct nq_conn_params *p)
{
	return nq_round64(sizeof(struct nq_conn)) + (p->ring ? 0 : nq_first_ring_bytes(p)) +
	       NQ_OUT_BYTES + nq_keys_bytes(p->crypto);
}

/* What was received before the hand-over: never to be accepted again, still to be reported. */
static int take_ranges(struct nq_conn *c, const struct nq_conn_params *p)
{
	u32 i;

	for (i = p->n_rx_ranges; i-- > 0;) {
		if (p->rx_ranges[i].first > p->rx_ranges[i].last ||
		    p->rx_ranges[i].last > NQ_PN_MAX ||
		    (i && p->rx_ranges[i].last >= p->rx_ranges[i - 1].first))
			return -EINVAL;
		nq_window_add_range(&c->ack.window, p->rx_ranges[i].first, p->rx_ranges[i].last);
		nq_ranges_add(&c->ack.ranges, p->rx_ranges[i].first, p->rx_ranges[i].last);
	}
	return 0;
}

static void init_path(struct nq_conn *c, const struct nq_conn_params *p, u64 now_us)
{
	u32 mss;

	c->peer_max_udp = p->peer_max_udp_payload_bytes;
	c->peer_max_datagram = p->peer_max_datagram_frame_bytes;
	c->peer_max_ack_delay_us = p->peer_max_ack_delay_us;
	c->peer_ack_delay_exponent = p->peer_ack_delay_exponent;
	c->max_ack_delay_us = p->max_ack_delay_us;
	c->ack_delay_exponent = p->ack_delay_exponent;
	c->prefix_len = p->prefix_len;
	memcpy(c->prefix, p->prefix, p->prefix_len);
	c->rtt.initial_us = NQ_DEFAULT_RTT_US;
	if (p->srtt_us) {
		c->rtt.has_sample = true;
		c->rtt.srtt_us = c->rtt.latest_us = (u32)nq_min(p->srtt_us, NQ_RTT_MAX_US);
		c->rtt.rttvar_us = (u32)nq_min(p->rttvar_us, NQ_RTT_MAX_US);
		c->rtt.min_us = c->rtt.srtt_us;
		if (p->min_rtt_us)
			c->rtt.min_us = (u32)nq_min(p->min_rtt_us, NQ_RTT_MAX_US);
		c->rtt.first_sample_us = now_us;
	}
	if (p->ecn)
		c->ecn.state = NQ_ECN_TESTING;
	c->path_mtu = p->path_mtu_bytes;
	mss = nq_packet_max(c);
	nq_cc_init(&c->cc, nq_cc_find(p->congestion), mss, p->ring_packets,
		   c->ring + p->ring_packets, now_us);
	if (c->cc.ops == &nq_cc_fixed)
		c->cc.fixed.bytes_per_s = p->fixed_rate_bytes_per_s;
	nq_mtu_start(c, p->path_mtu_bytes);
	nq_update_pacing(c, now_us);
}

static void init_numbers(struct nq_conn *c, const struct nq_conn_params *p)
{
	c->next_pn = c->first_pn = p->next_pn;
	c->loss.base_pn = p->next_pn;
	c->loss.has_largest_acked = p->has_largest_acked;
	c->loss.largest_acked = p->largest_acked;
	c->loss.loss_time_us = NQ_TIME_NEVER;
	c->loss.packet_threshold = NQ_PACKET_THRESHOLD;
	c->ack.deadline_us = NQ_TIME_NEVER;
	c->ack.every = NQ_ACK_EVERY;
	c->ack.now = p->ack_pending && p->n_rx_ranges;
}

/* What every session costs before it has sent anything; ring and keys come on top. */
_Static_assert(sizeof(struct nq_conn) + NQ_OUT_BYTES + 64 <= 4096,
	       "a connection fits a page, with references to keys that stand elsewhere");
_Static_assert(sizeof(struct nq_sent) == 16, "16 bytes for each packet of the ring");

struct nq_conn *nq_conn_init(void *mem, const struct nq_conn_params *p, u64 now_us, int *err)
{
	struct nq_conn *c = mem;
	u8 *after = (u8 *)mem + nq_round64(sizeof(*c));

	*err = -EINVAL;
	if (!valid_params(p))
		return NULL;
	*err = -EOPNOTSUPP;
	if (!nq_key_len(p->cipher) || !nq_cc_find(p->congestion))
		return NULL;
	c->crypto = p->crypto;
	c->is_server = p->is_server;
	c->ring = p->ring ? p->ring : (void *)after;
	c->ring_mask = p->ring_packets - 1;
	c->out = after + (p->ring ? 0 : nq_first_ring_bytes(p));
	init_numbers(c, p);
	*err = take_ranges(c, p);
	if (!*err)
		*err = nq_cids_init(c, p);
	if (*err)
		return NULL;
	init_path(c, p, now_us);
	nq_paths_init(c, p);
	c->ack.largest_us = c->ack.span_us = now_us;
	c->idle_from_us = now_us;
	c->idle_us = 1000ULL * p->max_idle_timeout_ms;
	c->keepalive_us = 1000ULL * p->keepalive_ms;
	c->loss.last_eliciting_us = now_us;
	c->stats.last_rx_us = now_us;
	*err = nq_keys_init(c, p, c->out + NQ_OUT_BYTES);
	if (*err) {
		nq_keys_wipe(c);
		return NULL;
	}
	return c;
}

void nq_conn_fini(struct nq_conn *c)
{
	nq_keys_wipe(c);
	nq_memzero(c, sizeof(*c));
}

/* ---- time ---- */

static u64 idle_deadline_us(const struct nq_conn *c)
{
	u64 least = IDLE_PTOS * nq_pto_us(c);

	if (!c->idle_us)
		return NQ_TIME_NEVER;
	return c->idle_from_us + (c->idle_us > least ? c->idle_us : least);
}

/*
 * Of the first ack-eliciting packet since something came. The probe timer would not do: it starts
 * again with every packet sent (RFC 9002 6.2.1), and so never fires under steady traffic.
 */
static u64 silent_deadline_us(const struct nq_conn *c)
{
	u64 wait = NQ_SILENT_PTOS * nq_pto_us(c);

	if (!c->idle_restarted || c->silent_from_us == c->idle_from_us)
		return NQ_TIME_NEVER;
	return c->idle_from_us + (wait > NQ_SILENT_US ? wait : NQ_SILENT_US);
}

static u64 keepalive_deadline_us(const struct nq_conn *c)
{
	if (!c->keepalive_us || c->ping_wanted)
		return NQ_TIME_NEVER;
	return c->loss.last_eliciting_us + c->keepalive_us;
}

u64 nq_next_timeout_us(const struct nq_conn *c)
{
	u64 t;

	if (c->state == NQ_GONE)
		return NQ_TIME_NEVER;
	if (c->state != NQ_ACTIVE)
		return nq_min(c->close_end_us, c->close_again_us);
	t = nq_min(nq_loss_timeout_us(c), idle_deadline_us(c));
	t = nq_min(t, keepalive_deadline_us(c));
	t = nq_min(t, silent_deadline_us(c));
	t = nq_min(t, nq_keys_timeout_us(c));
	t = nq_min(t, nq_path_timeout_us(c));
	t = nq_min(t, c->pmtud.raise_us);
	/* With the ring full nothing can be said: only an ACK or a loss changes that. */
	if (!nq_ring_has_room(c, 1))
		return t;
	t = nq_min(t, nq_control_timeout_us(c));
	/* Nor to an address that has used up what came from it. */
	if (nq_path_room(c, c->paths.active) < NQ_PATH_ROOM_MIN)
		return t;
	return nq_min(t, c->ack.deadline_us);
}

void nq_on_timeout(struct nq_conn *c, u64 now_us)
{
	if (c->state == NQ_GONE)
		return;
	if (c->state != NQ_ACTIVE) {
		if (now_us >= c->close_again_us) {
			c->close_wanted = true;
			c->close_again_us = NQ_TIME_NEVER;
		}
		if (now_us >= c->close_end_us) {
			c->state = NQ_GONE;
			c->events |= NQ_EV_GONE;
		}
		return;
	}
	if (now_us >= idle_deadline_us(c)) {
		nq_close_idle(c);
		return;
	}
	if (now_us >= silent_deadline_us(c)) {
		c->silent_from_us = c->idle_from_us;
		c->events |= NQ_EV_SILENT;
	}
	nq_loss_on_timeout(c, now_us);
	nq_keys_on_timeout(c, now_us);
	nq_path_on_timeout(c, now_us);
	nq_mtu_on_timeout(c, now_us);
	if (now_us >= keepalive_deadline_us(c))
		c->ping_wanted = true;
}

void nq_set_keepalive(struct nq_conn *c, u32 keepalive_ms, u64 now_us)
{
	c->keepalive_us = 1000ULL * keepalive_ms;
	c->loss.last_eliciting_us = c->loss.out_packets ? c->loss.last_eliciting_us : now_us;
}

/* ---- events, path, statistics ---- */

bool nq_has_events(const struct nq_conn *c)
{
	return c->events;
}

u32 nq_take_events(struct nq_conn *c)
{
	u32 events = c->events;

	c->events = 0;
	return events;
}

void nq_set_path_mtu(struct nq_conn *c, u32 udp_payload_bytes)
{
	if (udp_payload_bytes < NQ_MIN_UDP_PAYLOAD || udp_payload_bytes > 65527)
		return;
	nq_mtu_start(c, udp_payload_bytes);
}

const char *nq_congestion_name(const struct nq_conn *c)
{
	return c->cc.ops->name;
}

const char *nq_congestion_find(const char *name)
{
	const struct nq_cc_ops *ops = nq_cc_find(name);

	return ops ? ops->name : NULL;
}

void nq_continue_path(struct nq_conn *c, const struct nq_conn *old, u64 now_us)
{
	if (old->rtt.has_sample)
		c->rtt = old->rtt;
	nq_mtu_continue(c, old, now_us);
	nq_cc_continue(&c->cc, &old->cc);
	nq_update_pacing(c, now_us);
}

void nq_get_stats(const struct nq_conn *c, struct nq_stats *s, u64 now_us)
{
	s->count = c->stats;
	s->srtt_us = c->rtt.srtt_us;
	s->rttvar_us = c->rtt.rttvar_us;
	s->min_rtt_us = c->rtt.min_us;
	s->cwnd_bytes = c->cc.cwnd;
	s->bytes_in_flight = c->loss.bytes_in_flight;
	s->pacing_rate_bytes_per_s = c->pacer.rate;
	s->congestion_state = c->cc.state;
}

void nq_flush_stats(struct nq_conn *c)
{
	u64 last_rx_us = c->stats.last_rx_us;

	memset(&c->stats, 0, sizeof(c->stats));
	c->stats.last_rx_us = last_rx_us;
}
