// SPDX-License-Identifier: GPL-2.0-or-later
/* FQ-CoDel over packets and super-packets: see queue.h. */
#include <stdlib.h>

#include "../../quic/isqrt.h"
#include "queue.h"

/* The longest gap that is excused for its length, and all excuses of a queue that never ends. */
#define GAP_MAX_US 1000000
#define EXCUSES_MAX_US 4000000
/* CoDel remembers its rate for this many intervals (RFC 8289 5.5). */
#define REMEMBER_INTERVALS 16
/* A flow with no more than one packet has no standing queue (RFC 8289 4.4). */
#define ONE_PACKET_BYTES 1514
/* Cut so many at once, or half of the flow: searching the fattest is not free (RFC 8290 4.1). */
#define CUT_MAX 64

enum where { NOWHERE, NEW, OLD };

struct flow {
	TAILQ_ENTRY(flow) entry;
	struct dp_pkt_list pkts;
	u32 bytes;
	s32 deficit;
	enum where where;
	/* CoDel's, with the names of RFC 8289 5. */
	bool dropping;
	u32 count, last_count;
	u64 first_above_us; /* 0: not above the target */
	u64 drop_next_us;
};
TAILQ_HEAD(flow_list, flow);

struct dp_fq {
	struct dp_fq_pool *pool;
	u32 packets, bytes, segments, largest;
	struct flow *current; /* of the packet that dp_fq_next() returned */
	struct flow_list lists[OLD + 1];
	u64 interval_us, delay_max_us;
	u64 moved_us; /* when something could leave last, or began to wait */
	u64 excused_us; /* nothing is marked or dropped before */
	u64 excuses_us; /* so much of it since the queue began */
	struct flow flows[DP_FQ_FLOWS];
};

static void count_drops(struct nqd_counters *c, u64 *why, u32 segments)
{
	*why += segments;
	c->tx_queue_drops += segments;
}

/* ---- flows ---- */

static u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static u64 mix_bytes(u64 h, const u8 *p, u32 len)
{
	u64 v;

	for (; len >= sizeof(v); len -= sizeof(v), p += sizeof(v)) {
		memcpy(&v, p, sizeof(v));
		h = mix(h, v);
	}
	return h;
}

static bool has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

u32 dp_flow_hash(u64 key, const u8 *pkt, u32 len)
{
	bool v4 = pkt[0] >> 4 == 4;
	u8 protocol = v4 ? pkt[9] : pkt[6];
	u32 l4 = v4 ? (pkt[0] & 15) * 4 : DP_IP6_HDR_LEN;
	u64 h = v4 ? mix_bytes(key, pkt + 12, 8) : mix_bytes(key, pkt + 8, 32);

	h = mix(h, protocol);
	if (v4 && dp_get16(pkt + 6) & (DP_IP4_MF | DP_IP4_OFFSET))
		return h;
	if (has_ports(protocol) && l4 + 4 <= len)
		h = mix(h, dp_get32(pkt + l4));
	return h;
}

static void list_flow(struct dp_fq *q, struct flow *f, enum where where)
{
	if (f->where != NOWHERE)
		TAILQ_REMOVE(&q->lists[f->where], f, entry);
	f->where = where;
	if (where != NOWHERE)
		TAILQ_INSERT_TAIL(&q->lists[where], f, entry);
}

static void forgive(struct flow *f)
{
	f->dropping = false;
	f->first_above_us = 0;
}

static void remove_pkt(struct dp_fq *q, struct flow *f, struct dp_pkt *pkt)
{
	TAILQ_REMOVE(&f->pkts, pkt, entry);
	f->bytes -= pkt->segs.len;
	q->bytes -= pkt->segs.len;
	q->pool->bytes -= pkt->segs.len;
	q->segments -= pkt->segs.left;
	if (!--q->packets) {
		q->largest = 0;
		q->excuses_us = 0;
	}
	if (TAILQ_EMPTY(&f->pkts))
		forgive(f);
	dp_pkt_free(q->pool->store, pkt);
}

/* ---- CoDel ---- */

/* The next drop of @f comes after interval / sqrt(count). */
static u64 control_law(const struct dp_fq *q, const struct flow *f, u64 from_us)
{
	u32 count = f->count < 65535 ? f->count : 65535;

	return from_us + (q->interval_us << 8) / nq_isqrt((u64)count << 16);
}

/* Has a packet of @f, now at its head, been waiting for too long, as all did for an interval? */
static bool is_standing(struct dp_fq *q, struct flow *f, u64 now_us)
{
	struct dp_pkt *pkt = TAILQ_FIRST(&f->pkts);
	u64 begin;

	if (!pkt || now_us - pkt->queued_us < q->interval_us / DP_FQ_TARGET_PART ||
	    f->bytes <= ONE_PACKET_BYTES) {
		f->first_above_us = 0;
		return false;
	}
	if (!f->first_above_us) {
		begin = now_us + q->interval_us;
		f->first_above_us = begin > q->excused_us ? begin : q->excused_us;
	}
	return now_us >= f->first_above_us;
}

/* Tell the sender of the packet at the head of @f. True: by a mark. */
static bool signal_sender(struct dp_fq *q, struct flow *f, struct nqd_counters *c)
{
	struct dp_pkt *pkt = TAILQ_FIRST(&f->pkts);

	if (dp_segs_mark_ce(&pkt->segs)) {
		c->tx_queue_ce_marks += pkt->segs.left;
		return true;
	}
	/* Without one of its fragments a packet is nothing. */
	if (pkt->segs.kind == DP_SEG_FRAGMENT || pkt->segs.left == 1) {
		count_drops(c, &c->congestion_drops, pkt->segs.left);
		remove_pkt(q, f, pkt);
		return false;
	}
	dp_segs_skip(&pkt->segs);
	q->segments--;
	count_drops(c, &c->congestion_drops, 1);
	return false;
}

/* RFC 8289 5.5: the time has come again while packets still wait too long. */
static void go_on_dropping(struct dp_fq *q, struct flow *f, struct nqd_counters *c, u64 now_us)
{
	while (f->dropping && now_us >= f->drop_next_us) {
		bool marked = signal_sender(q, f, c);

		f->count++;
		f->drop_next_us = control_law(q, f, f->drop_next_us);
		if (marked)
			return;
		f->dropping = is_standing(q, f, now_us);
	}
}

static void begin_dropping(struct dp_fq *q, struct flow *f, struct nqd_counters *c, u64 now_us)
{
	u32 more = f->count - f->last_count;
	bool lately = now_us < f->drop_next_us + REMEMBER_INTERVALS * q->interval_us;

	signal_sender(q, f, c);
	f->dropping = true;
	f->count = f->count && lately && more > 1 ? more : 1;
	f->last_count = f->count;
	f->drop_next_us = control_law(q, f, now_us);
}

/* The packet of @f that may leave, after what CoDel has to say; NULL: none is left. */
static struct dp_pkt *judge(struct dp_fq *q, struct flow *f, struct nqd_counters *c, u64 now_us)
{
	struct dp_pkt *pkt = TAILQ_FIRST(&f->pkts);

	if (!pkt || pkt->judged)
		return pkt;
	if (now_us - pkt->queued_us > q->delay_max_us)
		q->delay_max_us = now_us - pkt->queued_us;
	if (!is_standing(q, f, now_us))
		f->dropping = false;
	else if (f->dropping)
		go_on_dropping(q, f, c, now_us);
	else
		begin_dropping(q, f, c, now_us);
	pkt = TAILQ_FIRST(&f->pkts);
	if (pkt)
		pkt->judged = true;
	return pkt;
}

void dp_fq_excuse(struct dp_fq *q, u64 gap_us, u64 now_us)
{
	u64 from = now_us > q->excused_us ? now_us : q->excused_us, until;
	int i;

	if (gap_us > GAP_MAX_US)
		gap_us = GAP_MAX_US;
	until = now_us + q->interval_us + 2 * gap_us;
	if (until <= from || q->excuses_us >= EXCUSES_MAX_US)
		return;
	q->excuses_us += until - from;
	q->excused_us = until;
	for (i = 0; i < DP_FQ_FLOWS; i++)
		forgive(&q->flows[i]);
}

/* ---- in ---- */

struct dp_fq *dp_fq_new(struct dp_fq_pool *pool)
{
	struct dp_fq *q = calloc(1, sizeof(*q));
	int i;

	if (!q)
		return NULL;
	q->pool = pool;
	q->interval_us = DP_FQ_INTERVAL_US;
	TAILQ_INIT(&q->lists[NEW]);
	TAILQ_INIT(&q->lists[OLD]);
	for (i = 0; i < DP_FQ_FLOWS; i++)
		TAILQ_INIT(&q->flows[i].pkts);
	return q;
}

void dp_fq_free(struct dp_fq *q)
{
	struct dp_pkt *pkt;
	int i;

	for (i = 0; q && i < DP_FQ_FLOWS; i++)
		while ((pkt = TAILQ_FIRST(&q->flows[i].pkts)))
			remove_pkt(q, &q->flows[i], pkt);
	free(q);
}

static struct flow *fattest(struct dp_fq *q)
{
	struct flow *f = &q->flows[0];
	int i;

	for (i = 1; i < DP_FQ_FLOWS; i++)
		if (q->flows[i].bytes > f->bytes)
			f = &q->flows[i];
	return f;
}

static bool too_much(const struct dp_fq *q)
{
	return q->packets > DP_FQ_MAX_PACKETS || q->bytes > DP_FQ_MAX_BYTES ||
	       (q->pool->bytes > DP_FQ_POOL_BYTES && q->bytes > DP_FQ_POOL_SHARE_BYTES);
}

static void cut(struct dp_fq *q, struct nqd_counters *c)
{
	struct flow *f = fattest(q);
	u32 half = f->bytes / 2;
	int i;

	for (i = 0; i < CUT_MAX && f->bytes > half; i++) {
		struct dp_pkt *pkt = TAILQ_FIRST(&f->pkts);

		count_drops(c, &c->tx_queue_overflow_drops, pkt->segs.left);
		remove_pkt(q, f, pkt);
	}
}

static void put(struct dp_fq *q, struct dp_pkt *pkt, struct nqd_counters *c)
{
	struct flow *f = &q->flows[pkt->hash % DP_FQ_FLOWS];
	u32 largest = dp_segs_max_len(&pkt->segs);

	TAILQ_INSERT_TAIL(&f->pkts, pkt, entry);
	f->bytes += pkt->segs.len;
	if (f->where == NOWHERE) {
		f->deficit = DP_FQ_QUANTUM_BYTES;
		list_flow(q, f, NEW);
	}
	q->packets++;
	q->segments += pkt->segs.left;
	q->bytes += pkt->segs.len;
	q->pool->bytes += pkt->segs.len;
	if (largest > q->largest)
		q->largest = largest;
	while (too_much(q))
		cut(q, c);
}

void dp_fq_add(struct dp_fq *q, struct dp_pkt *pkt, u32 hash, struct nqd_counters *c, u64 now_us)
{
	pkt->queued_us = now_us;
	pkt->hash = hash;
	pkt->judged = false;
	if (!q->packets)
		q->moved_us = now_us;
	put(q, pkt, c);
}

void dp_fq_move(struct dp_fq *to, struct dp_fq *from, struct nqd_counters *c)
{
	int i;

	if (!to->packets)
		to->moved_us = from->moved_us;
	for (i = 0; i < DP_FQ_FLOWS; i++) {
		struct flow *f = &from->flows[i];
		struct dp_pkt *pkt;

		while ((pkt = TAILQ_FIRST(&f->pkts))) {
			TAILQ_REMOVE(&f->pkts, pkt, entry);
			from->pool->bytes -= pkt->segs.len;
			put(to, pkt, c);
		}
		f->bytes = 0;
		forgive(f);
		list_flow(from, f, NOWHERE);
	}
	from->packets = from->bytes = from->segments = from->largest = 0;
}

/* ---- out ---- */

/* Something can leave. It could not for long, though it waited? */
static void notice_gap(struct dp_fq *q, u64 now_us)
{
	u64 gap_us = now_us - q->moved_us;

	q->moved_us = now_us;
	if (gap_us > q->interval_us / DP_FQ_GAP_PART)
		dp_fq_excuse(q, gap_us, now_us);
}

/* RFC 8290 4.2: new flows first; one that was empty in its turn waits for one turn of the others. */
static struct flow *next_flow(struct dp_fq *q)
{
	struct flow *f = TAILQ_FIRST(&q->lists[NEW]);

	return f ? f : TAILQ_FIRST(&q->lists[OLD]);
}

struct dp_segs *dp_fq_next(struct dp_fq *q, struct nqd_counters *c, u64 now_us)
{
	struct flow *f;

	if (q->packets)
		notice_gap(q, now_us);
	while ((f = next_flow(q))) {
		struct dp_pkt *pkt;

		if (f->deficit <= 0) {
			f->deficit += DP_FQ_QUANTUM_BYTES;
			list_flow(q, f, OLD);
			continue;
		}
		pkt = judge(q, f, c, now_us);
		if (pkt) {
			q->current = f;
			return &pkt->segs;
		}
		list_flow(q, f, f->where == NEW && !TAILQ_EMPTY(&q->lists[OLD]) ? OLD : NOWHERE);
	}
	return NULL;
}

void dp_fq_sent(struct dp_fq *q, u32 bytes)
{
	struct flow *f = q->current;
	struct dp_pkt *pkt = TAILQ_FIRST(&f->pkts);

	f->deficit -= bytes;
	q->segments--;
	if (!pkt->segs.left)
		remove_pkt(q, f, pkt);
}

bool dp_fq_fragment(struct dp_fq *q, u32 mtu)
{
	struct dp_segs *segs = &TAILQ_FIRST(&q->current->pkts)->segs;
	u32 before = segs->left;

	if (!dp_segs_fragment(segs, mtu))
		return false;
	q->segments += segs->left - before;
	return true;
}

void dp_fq_give_up(struct dp_fq *q)
{
	remove_pkt(q, q->current, TAILQ_FIRST(&q->current->pkts));
}

/* ---- state ---- */

u32 dp_fq_segments(const struct dp_fq *q)
{
	return q ? q->segments : 0;
}

u32 dp_fq_largest_bytes(const struct dp_fq *q)
{
	return q->largest;
}

u64 dp_fq_delay_max_us(const struct dp_fq *q)
{
	return q ? q->delay_max_us : 0;
}

void dp_fq_reset_delay_max(struct dp_fq *q)
{
	if (q)
		q->delay_max_us = 0;
}

void dp_fq_set_round_trip(struct dp_fq *q, u64 us)
{
	q->interval_us = DP_FQ_INTERVAL_US + us;
}
