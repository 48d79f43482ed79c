// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the session to the network, the second half of the way out (tx-read.c is the first):
 *
 *   dp_tx_flush()   as long as the engine admits packets: plan -> reserve -> write segments
 *                   into the burst -> seal -> control packet behind it -> send -> commit
 *   dp_tx_settle()  what is not admitted waits in the session's queue
 *
 * Packets come from one of two places, never from both: as long as nothing waits, in the order they
 * were read; else from the queue, which chooses (queue.h). They stand where they were read (store.h).
 */
#include "tx-internal.h"

/* Of a session with much to send before others get their turn. */
#define BURSTS_MAX 8

static void drop_pkt(struct dp *dp, struct dp_session *s, struct dp_pkt *pkt)
{
	TAILQ_REMOVE(&s->fresh, pkt, entry);
	dp_pkt_free(&dp->store, pkt);
}

void dp_tx_drop_queue(struct dp *dp, struct dp_session *s)
{
	struct dp_pkt *pkt;

	while ((pkt = TAILQ_FIRST(&s->fresh)))
		drop_pkt(dp, s, pkt);
	dp_fq_free(s->fq);
	s->fq = NULL;
}

void dp_tx_wait(struct dp *dp, struct dp_session *s, struct dp_pkt *pkt)
{
	if (!s->fq)
		s->fq = dp_fq_new(&dp->fq_pool);
	if (!s->fq) {
		dp_tx_count_overflow(s, pkt->segs.left);
		dp_pkt_free(&dp->store, pkt);
		return;
	}
	dp_fq_set_round_trip(s->fq, nq_pto_us(s->conn));
	dp_fq_add(s->fq, pkt, dp_flow_hash(dp->flow_key, pkt->segs.pkt, pkt->segs.len),
		  &s->counters, dp->now_us);
}

/* ---- what the next burst is made of ---- */

struct plan {
	unsigned int n; /* segments */
	u32 pkt_bytes; /* of the largest on the wire */
};

static void gave_up(struct dp *dp, struct dp_session *s, const struct dp_segs *segs, u32 mtu)
{
	s->counters.mtu_drops += segs->left;
	dp_tx_too_big(dp, s->dev, segs->pkt, segs->len, mtu);
}

/* Of what was just read: exactly so many. */
static struct plan plan_fresh(struct dp *dp, struct dp_session *s)
{
	u32 overhead = nq_tx_overhead_bytes(s->conn), bytes = 0;
	struct dp_pkt *pkt;
	struct plan p = { 0 };

	TAILQ_FOREACH (pkt, &s->fresh, entry) {
		u32 len = dp_segs_max_len(&pkt->segs) + overhead, k;

		k = (DP_GSO_MAX_BYTES - bytes) / len;
		if (k > pkt->segs.left)
			k = pkt->segs.left;
		if (k > NQ_BURST_MAX - p.n)
			k = NQ_BURST_MAX - p.n;
		p.n += k;
		bytes += k * len;
		if (k && len > p.pkt_bytes)
			p.pkt_bytes = len;
		if (k < pkt->segs.left)
			break;
	}
	return p;
}

/* Of what waits: which packets they are is decided when they leave, so all may be of the largest size. */
static struct plan plan_waiting(struct dp_session *s)
{
	u32 largest = dp_fq_largest_bytes(s->fq), mtu = nq_max_payload_bytes(s->conn);
	struct plan p = { .n = dp_fq_segments(s->fq) };

	p.pkt_bytes = (largest < mtu ? largest : mtu) + nq_tx_overhead_bytes(s->conn);
	if (p.n > NQ_BURST_MAX)
		p.n = NQ_BURST_MAX;
	if (p.n > DP_GSO_MAX_BYTES / p.pkt_bytes)
		p.n = DP_GSO_MAX_BYTES / p.pkt_bytes;
	return p;
}

/* The path shrank while something waited, or was read. */
static void fit_fresh(struct dp *dp, struct dp_session *s)
{
	u32 mtu = nq_max_payload_bytes(s->conn);
	struct dp_pkt *pkt, *next;

	for (pkt = TAILQ_FIRST(&s->fresh); pkt; pkt = next) {
		next = TAILQ_NEXT(pkt, entry);
		if (dp_segs_max_len(&pkt->segs) <= mtu || dp_segs_fragment(&pkt->segs, mtu))
			continue;
		gave_up(dp, s, &pkt->segs, mtu);
		drop_pkt(dp, s, pkt);
	}
}

static struct plan make_plan(struct dp *dp, struct dp_session *s)
{
	if (s->down)
		return (struct plan){ 0 };
	if (dp_fq_segments(s->fq))
		return plan_waiting(s);
	fit_fresh(dp, s);
	return plan_fresh(dp, s);
}

/* ---- the burst ---- */

/* The packet of which the next segment leaves; NULL: nothing is left. */
static struct dp_segs *next_waiting(struct dp *dp, struct dp_session *s)
{
	u32 mtu = nq_max_payload_bytes(s->conn);
	struct dp_segs *segs;

	while ((segs = dp_fq_next(s->fq, &s->counters, dp->now_us)) &&
	       dp_segs_max_len(segs) > mtu && !dp_fq_fragment(s->fq, mtu)) {
		gave_up(dp, s, segs, mtu);
		dp_fq_give_up(s->fq);
	}
	return segs;
}

static void count_super_packet(struct dp_session *s, const struct dp_segs *segs)
{
	if (segs->left || segs->kind < DP_SEG_TCP)
		return;
	s->counters.gso_tx_packets++;
	s->counters.gso_tx_segments += segs->index;
}

/* Write the next segment at @out; its length, 0: CoDel has left none. */
static u32 next_segment(struct dp *dp, struct dp_session *s, u8 *out)
{
	struct dp_pkt *pkt = TAILQ_FIRST(&s->fresh);
	struct dp_segs *segs = pkt ? &pkt->segs : next_waiting(dp, s);
	u32 len;

	if (!segs)
		return 0;
	len = dp_segs_next(segs, out);
	count_super_packet(s, segs);
	if (!pkt)
		dp_fq_sent(s->fq, len);
	else if (!segs->left)
		drop_pkt(dp, s, pkt);
	return len;
}

/* Write the frames of @n segments into the burst; returns how many there were. */
static unsigned int fill_burst(struct dp *dp, struct dp_session *s, struct dp_out *out,
			       struct nq_tx_pkt *pkts, unsigned int n, u32 hdr_len)
{
	u32 inner_bytes = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		u8 *buf = out->data + out->len;
		u32 at = hdr_len + nq_tx_datagram_header(s->conn, buf + hdr_len), len;

		len = next_segment(dp, s, buf + at);
		if (!len)
			break;
		inner_bytes += len;
		pkts[i] = (struct nq_tx_pkt){ buf, at + len };
		out->size[out->n++] = at + len + NQ_TAG_LEN;
		out->len += at + len + NQ_TAG_LEN;
	}
	s->counters.l3_tx_packets += i;
	s->counters.l3_tx_bytes += inner_bytes;
	return i;
}

/* The largest packet that may leave. */
static u32 packet_bytes(const struct dp_session *s)
{
	return nq_max_payload_bytes(s->conn) + nq_tx_overhead_bytes(s->conn);
}

/* Packets the engine wants to send on its own go behind the burst, or alone. */
static void add_control(struct dp *dp, struct dp_session *s, struct dp_out *out)
{
	u32 cap = packet_bytes(s);

	if (cap < NQ_MIN_UDP_PAYLOAD)
		cap = NQ_MIN_UDP_PAYLOAD;
	while (out->n < DP_OUT_PACKETS && out->len + cap <= DP_OUT_BYTES &&
	       nq_tx_control_wanted(s->conn, dp->now_us)) {
		int n = nq_tx_control(s->conn, out->data + out->len, cap, dp->now_us);

		if (n <= 0)
			break;
		out->size[out->n++] = n;
		out->len += n;
	}
}

static void send_out(struct dp *dp, struct dp_session *s, struct dp_out *out)
{
	if (!out->n) {
		dp_out_put(dp, out);
		return;
	}
	out->ecn = nq_tx_ecn(s->conn);
	/* The local interface refuses the size: the engine falls back at once and raises NQ_EV_MTU,
	 * which becomes NQD_EVENT_PATH_MTU_CHANGED.
	 */
	if (dp_udp_send(dp, dp_active_path(s), out) == -EMSGSIZE)
		nq_mtu_refused(s->conn, packet_bytes(s), dp->now_us);
}

/* Packets that must be datagrams of their own: to other paths, and probes of the packet size. */
static void send_alone(struct dp *dp, struct dp_session *s)
{
	struct dp_out *out;
	u8 path;
	int n;

	while (nq_tx_alone_wanted(s->conn, dp->now_us) && (out = dp_out_get(dp))) {
		n = nq_tx_alone(s->conn, out->data, DP_OUT_BYTES, dp->now_us, &path);
		if (n <= 0 || !s->paths[path].sock) {
			dp_out_put(dp, out);
			return;
		}
		out->size[out->n++] = n;
		out->len = n;
		out->ecn = false;
		if (dp_udp_send(dp, &s->paths[path], out) == -EMSGSIZE &&
		    path == nq_active_path(s->conn))
			nq_mtu_refused(s->conn, n, dp->now_us);
	}
}

/*
 * One burst: true if there may be more to send now. The engine counts in packets of the largest size;
 * if smaller ones left, it may have room for more.
 */
static bool flush_burst(struct dp *dp, struct dp_session *s, const struct plan *plan)
{
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	struct nq_tx_burst b = { 0 };
	struct dp_out *out = dp_out_get(dp);
	unsigned int n, admitted;
	u32 bytes;

	if (!out)
		return false;
	admitted = nq_tx_reserve(s->conn, &b, plan->n, plan->pkt_bytes, dp->now_us);
	if (admitted < plan->n && b.limit == NQ_TX_PACED)
		s->retry_us = b.retry_us;
	n = admitted ? fill_burst(dp, s, out, pkts, admitted, b.hdr_len) : 0;
	bytes = out->len;
	if (admitted && nq_tx_seal(s->conn, &b, pkts, n)) {
		/* Counted by the engine; nothing of it may leave. */
		nq_tx_commit(s->conn, &b, pkts, 0, dp->now_us);
		dp_out_put(dp, out);
		return false;
	}
	add_control(dp, s, out);
	if (admitted)
		nq_tx_commit(s->conn, &b, pkts, n, dp->now_us);
	send_out(dp, s, out);
	if (admitted < plan->n && b.limit == NQ_TX_CLOSED)
		dp_tx_drop_queue(dp, s);
	return n && (admitted == plan->n || bytes + plan->pkt_bytes <= admitted * plan->pkt_bytes);
}

void dp_tx_flush(struct dp *dp, struct dp_session *s)
{
	struct dp_out *out;
	unsigned int bursts;

	s->retry_us = NQ_TIME_NEVER;
	/* Probes of the packet size go first: data that always waits would leave them no room, and
	 * full packets that vanish would be followed by more of them for ever.
	 */
	if (s->conn)
		send_alone(dp, s);
	for (bursts = 0; s->conn; bursts++) {
		struct plan plan;

		dp_tick(dp);
		if (dp_active_path(s)->sock->n_pending) {
			dp_socket_wait(s, dp_active_path(s)->sock);
			goto alone;
		}
		plan = make_plan(dp, s);
		if (!plan.n)
			break;
		if (bursts == BURSTS_MAX) {
			/* The others' turn. */
			s->retry_us = dp->now_us;
			break;
		}
		if (!flush_burst(dp, s, &plan))
			break;
	}
	if (s->conn && nq_tx_control_wanted(s->conn, dp->now_us)) {
		out = dp_out_get(dp);
		if (!out)
			return;
		add_control(dp, s, out);
		send_out(dp, s, out);
	}
alone:
	/* Other paths may have sockets of their own. */
	if (s->conn)
		send_alone(dp, s);
}

void dp_tx_settle(struct dp *dp, struct dp_session *s)
{
	struct dp_pkt *pkt;

	while ((pkt = TAILQ_FIRST(&s->fresh))) {
		TAILQ_REMOVE(&s->fresh, pkt, entry);
		dp_tx_wait(dp, s, pkt);
	}
}
