// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reference TCP flow. See tcp.h.
 */
#include "tcp.h"

#include <math.h>

#define CUBIC_C 0.4
#define CUBIC_BETA 0.7
#define INITIAL_WINDOW 10
#define DUP_THRESHOLD 3
#define RTO_MIN_NS (200 * SIM_MS)
#define RTO_MAX_NS (60 * SIM_S)
#define DELACK_NS (40 * SIM_MS)
#define ACK_BYTES 60
/* RFC 9406 4.3 */
#define HYSTART_MIN_NS (4 * SIM_MS)
#define HYSTART_MAX_NS (16 * SIM_MS)
#define HYSTART_SAMPLES 8
#define HYSTART_CSS_DIVISOR 4
#define HYSTART_CSS_ROUNDS 5

static struct tcp_sent *at(struct tcp *t, u32 seq)
{
	return &t->sent[seq % TCP_RING];
}

static void push(struct tcp_fifo *f, u32 seq)
{
	f->seq[f->tail++ % TCP_RING] = seq;
}

static void set_timer(struct tcp *t)
{
	t->node.next_run_ns = t->rto_at_ns < t->delack_at_ns ? t->rto_at_ns : t->delack_at_ns;
}

/* ---- HyStart++ (RFC 9406) ---- */

static void start_round(struct tcp *t)
{
	t->last_min_ns = t->round_min_ns;
	t->round_min_ns = SIM_NEVER;
	t->round_samples = 0;
	t->round_end = t->nxt;
	if (t->css && ++t->css_rounds > HYSTART_CSS_ROUNDS)
		t->ssthresh = t->cwnd;
}

static void hystart_sample(struct tcp *t, u64 rtt_ns)
{
	u64 thresh;

	if (rtt_ns < t->round_min_ns)
		t->round_min_ns = rtt_ns;
	if (++t->round_samples < HYSTART_SAMPLES || t->last_min_ns == SIM_NEVER)
		return;
	if (t->css) {
		if (t->round_min_ns < t->css_base_ns)
			t->css = false;
		return;
	}
	thresh = t->last_min_ns / 8;
	if (thresh < HYSTART_MIN_NS)
		thresh = HYSTART_MIN_NS;
	if (thresh > HYSTART_MAX_NS)
		thresh = HYSTART_MAX_NS;
	if (t->round_min_ns < t->last_min_ns + thresh)
		return;
	t->css = true;
	t->css_rounds = 0;
	t->css_base_ns = t->round_min_ns;
}

/* ---- CUBIC (RFC 9438) ---- */

static void reduce(struct tcp *t)
{
	t->w_max = t->cwnd < t->w_max ? t->cwnd * (1 + CUBIC_BETA) / 2 : t->cwnd;
	t->cwnd_prior = t->cwnd;
	t->ssthresh = fmax(t->cwnd * CUBIC_BETA, 2);
	t->cwnd = t->ssthresh;
	t->epoch_ns = 0;
	t->recover = t->nxt;
	t->losses++;
}

static void start_epoch(struct tcp *t)
{
	t->epoch_ns = t->node.sim->now_ns;
	t->w_est = t->cwnd;
	if (t->w_max < t->cwnd)
		t->w_max = t->cwnd;
	t->k = cbrt((t->w_max - t->cwnd) / CUBIC_C);
}

static void grow(struct tcp *t, u32 acked)
{
	double alpha = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA), target, s;

	if (t->una < t->recover || !t->limited)
		return;
	if (t->cwnd < t->ssthresh) {
		t->cwnd += t->css ? (double)acked / HYSTART_CSS_DIVISOR : acked;
		return;
	}
	if (!t->epoch_ns)
		start_epoch(t);
	if (t->w_est >= t->cwnd_prior)
		alpha = 1;
	t->w_est += alpha * acked / t->cwnd;
	s = (double)(t->node.sim->now_ns - t->epoch_ns + t->srtt_ns) / SIM_S - t->k;
	target = CUBIC_C * s * s * s + t->w_max;
	target = fmin(fmax(target, t->cwnd), 1.5 * t->cwnd);
	t->cwnd = fmax(t->cwnd + (target - t->cwnd) / t->cwnd * acked, t->w_est);
}

/* ---- sending ---- */

static u64 rto_ns(const struct tcp *t)
{
	u64 rto = t->srtt_ns ? t->srtt_ns + 4 * t->rttvar_ns : SIM_S;

	if (rto < RTO_MIN_NS)
		rto = RTO_MIN_NS;
	rto <<= t->backoff < 8 ? t->backoff : 8;
	return rto < RTO_MAX_NS ? rto : RTO_MAX_NS;
}

static void transmit(struct tcp *t, u32 seq, bool again)
{
	struct tcp_seg seg = { .flow = t->flow, .seq = seq, .ts_ns = t->node.sim->now_ns };
	struct tcp_sent *s = at(t, seq);

	s->at_ns = t->node.sim->now_ns;
	s->state = TCP_OUT;
	s->again = again;
	t->pipe++;
	if (again) {
		t->retransmissions++;
		push(&t->again, seq);
	}
	if (t->rto_at_ns == SIM_NEVER)
		t->rto_at_ns = t->node.sim->now_ns + rto_ns(t);
	t->put(t, &seg, t->packet_bytes);
}

static bool retransmit_one(struct tcp *t)
{
	u32 seq;

	while (t->lost.head != t->lost.tail) {
		seq = t->lost.seq[t->lost.head++ % TCP_RING];
		if (seq < t->una || at(t, seq)->state != TCP_LOST)
			continue;
		transmit(t, seq, true);
		return true;
	}
	return false;
}

static void send_window(struct tcp *t)
{
	t->limited = true;
	while (t->running && (double)t->pipe + 1 <= t->cwnd) {
		if (retransmit_one(t))
			continue;
		if (t->nxt - t->una >= TCP_RING / 2) {
			t->limited = false;
			break;
		}
		transmit(t, t->nxt++, false);
	}
	set_timer(t);
}

/* ---- losses ---- */

static void mark_lost(struct tcp *t, u32 seq)
{
	at(t, seq)->state = TCP_LOST;
	t->pipe--;
	push(&t->lost, seq);
	if (seq >= t->recover)
		reduce(t);
}

static void find_losses(struct tcp *t)
{
	u64 reorder = t->min_rtt_ns / 4;
	struct tcp_sent *s;
	u32 seq;

	if (t->judge < t->una)
		t->judge = t->una;
	for (; t->judge < t->nxt; t->judge++) {
		s = at(t, t->judge);
		if (s->state != TCP_OUT || s->again)
			continue;
		if (t->judge + DUP_THRESHOLD > t->high_sacked && s->at_ns + reorder > t->newest_ns)
			break;
		mark_lost(t, t->judge);
	}
	while (t->again.head != t->again.tail) {
		seq = t->again.seq[t->again.head % TCP_RING];
		s = at(t, seq);
		if (seq >= t->una && s->state == TCP_OUT) {
			if (s->at_ns + reorder >= t->newest_ns)
				break;
			mark_lost(t, seq);
		}
		t->again.head++;
	}
}

static void on_rto(struct tcp *t)
{
	u32 seq;

	t->timeouts++;
	t->backoff++;
	t->rto_at_ns = SIM_NEVER;
	if (t->recover <= t->una)
		reduce(t);
	t->recover = t->nxt;
	t->cwnd = 1;
	for (seq = t->una; seq < t->nxt; seq++) {
		if (at(t, seq)->state == TCP_OUT)
			mark_lost(t, seq);
	}
	t->again.head = t->again.tail;
	t->judge = t->nxt;
	send_window(t);
}

/* ---- acknowledgements ---- */

static u32 take(struct tcp *t, u32 seq, u8 state)
{
	struct tcp_sent *s = at(t, seq);
	u8 was = s->state;

	if (was == TCP_SACKED || was == TCP_NONE) {
		s->state = state;
		return 0;
	}
	if (was == TCP_OUT)
		t->pipe--;
	if (s->at_ns > t->newest_ns)
		t->newest_ns = s->at_ns;
	s->state = state;
	return 1;
}

static void on_rtt(struct tcp *t, u64 rtt_ns)
{
	u64 diff = rtt_ns > t->srtt_ns ? rtt_ns - t->srtt_ns : t->srtt_ns - rtt_ns;

	t->last_rtt_ns = rtt_ns;
	if (rtt_ns > t->max_rtt_ns)
		t->max_rtt_ns = rtt_ns;
	if (!t->srtt_ns) {
		t->srtt_ns = t->min_rtt_ns = rtt_ns;
		t->rttvar_ns = rtt_ns / 2;
	}
	if (rtt_ns < t->min_rtt_ns)
		t->min_rtt_ns = rtt_ns;
	t->rttvar_ns = (3 * t->rttvar_ns + diff) / 4;
	t->srtt_ns = (7 * t->srtt_ns + rtt_ns) / 8;
	if (t->cwnd < t->ssthresh)
		hystart_sample(t, rtt_ns);
}

static void on_ack(struct tcp *t, const struct tcp_seg *seg)
{
	u32 acked = 0, seq, i;

	for (; t->una < seg->ack; t->una++)
		acked += take(t, t->una, TCP_NONE);
	for (i = 0; i < seg->n_sack; i++) {
		for (seq = seg->sack[i].first; seq < seg->sack[i].end; seq++) {
			if (seq >= t->una)
				acked += take(t, seq, TCP_SACKED);
		}
		if (seg->sack[i].end > t->high_sacked)
			t->high_sacked = seg->sack[i].end;
	}
	if (!acked)
		return;
	on_rtt(t, t->node.sim->now_ns - seg->ts_ns);
	if (t->una >= t->round_end)
		start_round(t);
	t->backoff = 0;
	grow(t, acked);
	find_losses(t);
	t->rto_at_ns = t->una < t->nxt ? t->node.sim->now_ns + rto_ns(t) : SIM_NEVER;
	send_window(t);
}

/* ---- receiver ---- */

static void send_ack(struct tcp *t)
{
	struct tcp_seg seg = {
		.is_ack = true, .flow = t->flow, .ack = t->rcv_nxt, .ts_ns = t->ts_recent_ns
	};
	u32 i;

	for (i = 0; i < t->n_blocks && i < TCP_SACKS; i++)
		seg.sack[i] = t->block[i];
	seg.n_sack = (u8)i;
	t->unacked = 0;
	t->ts_recent_ns = 0;
	t->delack_at_ns = SIM_NEVER;
	set_timer(t);
	t->put(t, &seg, ACK_BYTES);
}

/* The block that @seq is in comes first (RFC 2018 4); blocks it joins become one with it. */
static void add_block(struct tcp *t, u32 seq)
{
	struct tcp_block b = { seq, seq + 1 };
	u32 i, n = 0;

	for (i = 0; i < t->n_blocks; i++) {
		struct tcp_block x = t->block[i];

		if (x.end < b.first || x.first > b.end) {
			t->block[n++] = x;
			continue;
		}
		b.first = x.first < b.first ? x.first : b.first;
		b.end = x.end > b.end ? x.end : b.end;
	}
	if (n == TCP_BLOCKS)
		n--;
	memmove(&t->block[1], &t->block[0], n * sizeof(b));
	t->block[0] = b;
	t->n_blocks = n + 1;
}

static void drop_blocks(struct tcp *t)
{
	u32 i, n = 0;

	for (i = 0; i < t->n_blocks; i++) {
		if (t->block[i].end > t->rcv_nxt)
			t->block[n++] = t->block[i];
	}
	t->n_blocks = n;
}

static void on_data(struct tcp *t, const struct tcp_seg *seg)
{
	bool in_order = seg->seq == t->rcv_nxt, whole = !t->n_blocks;

	if (!t->ts_recent_ns || !in_order)
		t->ts_recent_ns = seg->ts_ns;
	if (seg->seq < t->rcv_nxt || t->got[seg->seq % TCP_RING]) {
		send_ack(t);
		return;
	}
	t->got[seg->seq % TCP_RING] = true;
	for (; t->got[t->rcv_nxt % TCP_RING]; t->rcv_nxt++) {
		t->got[t->rcv_nxt % TCP_RING] = false;
		t->delivered_bytes += t->packet_bytes;
	}
	if (in_order)
		drop_blocks(t);
	else
		add_block(t, seg->seq);
	if (!in_order || !whole || ++t->unacked >= 2) {
		send_ack(t);
		return;
	}
	t->delack_at_ns = t->node.sim->now_ns + DELACK_NS;
	set_timer(t);
}

/* ---- ways in and out ---- */

static void on_timer(struct sim_node *n)
{
	struct tcp *t = (struct tcp *)n;

	if (t->delack_at_ns <= n->sim->now_ns)
		send_ack(t);
	if (t->rto_at_ns <= n->sim->now_ns)
		on_rto(t);
	set_timer(t);
}

static void on_segment(void *arg, const u8 *bytes, u32 stored)
{
	struct tcp_seg seg;
	struct tcp *t = arg;

	memcpy(&seg, bytes, sizeof(seg));
	while (t->flow != seg.flow)
		t = t->others;
	if (seg.is_ack)
		on_ack(t, &seg);
	else
		on_data(t, &seg);
}

static struct tcp *new_tcp(struct sim *s, u32 packet_bytes, struct sim_node *next)
{
	struct tcp *t = sim_node_new(s, "tcp", sizeof(*t), next);

	t->node.run = on_timer;
	t->packet_bytes = packet_bytes;
	t->cwnd = INITIAL_WINDOW;
	t->ssthresh = INFINITY;
	t->rto_at_ns = t->delack_at_ns = SIM_NEVER;
	t->round_min_ns = t->last_min_ns = SIM_NEVER;
	return t;
}

void tcp_run(struct tcp *t)
{
	t->running = true;
	t->round_end = INITIAL_WINDOW;
	send_window(t);
}

struct tcp_receiver {
	struct sim_node node;
	struct tcp *tcp;
};

static void put_network(struct tcp *t, const struct tcp_seg *seg, u32 len)
{
	struct sim_pkt *p = sim_pkt_new(t->node.sim, len, sizeof(*seg), 0);

	memcpy(p->data, seg, sizeof(*seg));
	p->flow = t->flow;
	sim_note(t->node.sim, 7, seg->is_ack ? seg->ack : seg->seq);
	sim_forward(seg->is_ack ? t->receiver->next : t->node.next, p);
}

/* TCP's checksum: a damaged segment is dropped. */
static void segment_arrived(struct tcp *t, struct sim_pkt *p)
{
	if (!p->flip_mask)
		on_segment(t, p->data, p->head);
	sim_pkt_free(t->node.sim, p);
}

static void sender_forward(struct sim_node *n, struct sim_pkt *p)
{
	segment_arrived((struct tcp *)n, p);
}

static void receiver_forward(struct sim_node *n, struct sim_pkt *p)
{
	segment_arrived(((struct tcp_receiver *)n)->tcp, p);
}

struct tcp *tcp_competitor(struct sim *s, u8 flow, u32 packet_bytes, struct sim_node *data_next,
			   struct sim_node *ack_next)
{
	struct tcp_receiver *r = sim_node_new(s, "tcp-receiver", sizeof(*r), ack_next);
	struct tcp *t = new_tcp(s, packet_bytes, data_next);

	t->node.forward = sender_forward;
	t->flow = flow;
	t->put = put_network;
	t->receiver = &r->node;
	r->node.forward = receiver_forward;
	r->tcp = t;
	return t;
}

static void put_tunnel(struct tcp *t, const struct tcp_seg *seg, u32 len)
{
	tunnel_put(seg->is_ack ? t->to : t->from, (const u8 *)seg, sizeof(*seg), len);
}

struct tcp *tcp_inside(struct sim *s, struct tunnel *tunnel, u32 packet_bytes)
{
	struct tcp *t = new_tcp(s, packet_bytes, NULL);

	_Static_assert(sizeof(struct tcp_seg) <= TUNNEL_INNER_MAX, "a segment does not fit");
	t->put = put_tunnel;
	t->from = tunnel->a;
	t->to = tunnel->b;
	t->others = tunnel->a->deliver_arg;
	t->flow = t->others ? (u8)(t->others->flow + 1) : 0;
	tunnel->a->deliver = tunnel->b->deliver = on_segment;
	tunnel->a->deliver_arg = tunnel->b->deliver_arg = t;
	return t;
}
