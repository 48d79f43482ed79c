// SPDX-License-Identifier: GPL-2.0-or-later
/* See queue.h. */
#include "queue.h"

/* Weight of a new value in the smoothed waiting time: 1/8. */
#define SOJOURN_SHIFT 3

/* ---- which flow ---- */

static u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static u64 load(const u8 *p, size_t n)
{
	u64 v = 0;

	memcpy(&v, p, n);
	return v;
}

static bool has_ports(u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

u32 dp_flow_hash(const u8 *pkt, u32 len, u64 seed)
{
	u32 l4 = DP_IP6_HDR_LEN;
	u64 h = seed;
	u8 proto;

	if (pkt[0] >> 4 == 4) {
		h = mix(h, load(pkt + 12, 8));
		proto = pkt[9];
		l4 = (pkt[0] & 15) * 4;
		/* Only the first fragment has ports: all go by address. */
		if (dp_get16(pkt + 6) & 0x3fff)
			proto = 0;
	} else {
		h = mix(h, load(pkt + 8, 8));
		h = mix(h, load(pkt + 16, 8));
		h = mix(h, load(pkt + 24, 8));
		h = mix(h, load(pkt + 32, 8));
		proto = pkt[6];
	}
	h = mix(h, proto);
	if (has_ports(proto) && l4 + 4 <= len)
		h = mix(h, load(pkt + l4, 4));
	return h >> 32;
}

/* Its own place, else an empty one, else one it shares. */
static struct dp_flow *find_flow(struct dp_txq *q, u32 hash)
{
	struct dp_flow *set = &q->flows[hash % (DP_TXQ_FLOWS / DP_TXQ_WAYS) * DP_TXQ_WAYS];
	struct dp_flow *empty = NULL;
	unsigned int i;

	for (i = 0; i < DP_TXQ_WAYS; i++) {
		if (set[i].hash == hash)
			return &set[i];
		if (!set[i].turn.listed && !empty)
			empty = &set[i];
	}
	if (!empty)
		return &set[(hash >> 16) % DP_TXQ_WAYS];
	empty->hash = hash;
	empty->codel = (struct nq_codel){ 0 };
	return empty;
}

/* ---- in and out ---- */

void dp_txq_init(struct dp_txq *q)
{
	unsigned int i;

	memset(q, 0, sizeof(*q));
	for (i = 0; i < DP_TXQ_FLOWS; i++)
		TAILQ_INIT(&q->flows[i].items);
}

/* Bytes of all segments to come. */
static u32 bytes_left(const struct dp_segs *s)
{
	return s->payload_len - s->pos + (s->kind != DP_SEG_PLAIN ? s->left * s->hdr_len : 0);
}

void dp_txq_push(struct dp_txq *q, struct dp_item *item, u32 hash, u32 quantum, u64 now_us)
{
	struct dp_flow *f = find_flow(q, hash);

	item->flow = f;
	item->came_us = now_us;
	item->judged = false;
	item->bytes = bytes_left(&item->segs);
	TAILQ_INSERT_TAIL(&f->items, item, entry);
	f->bytes += item->bytes;
	f->room += item->room;
	q->bytes += item->bytes;
	q->room += item->room;
	q->segs += item->segs.left;
	nq_drr_add(&q->turns, &f->turn, quantum);
}

static void unlink_item(struct dp_txq *q, struct dp_item *item)
{
	struct dp_flow *f = item->flow;

	TAILQ_REMOVE(&f->items, item, entry);
	f->room -= item->room;
	q->room -= item->room;
}

static void take_bytes(struct dp_txq *q, struct dp_item *item, u32 bytes)
{
	item->bytes -= bytes;
	item->flow->bytes -= bytes;
	q->bytes -= bytes;
	q->segs--;
}

void dp_txq_took(struct dp_txq *q, struct dp_item *item, u32 bytes)
{
	nq_drr_charge(&item->flow->turn, bytes);
	take_bytes(q, item, bytes);
}

void dp_txq_remove(struct dp_txq *q, struct dp_item *item)
{
	item->flow->bytes -= item->bytes;
	q->bytes -= item->bytes;
	q->segs -= item->segs.left;
	unlink_item(q, item);
}

bool dp_txq_fragment(struct dp_txq *q, struct dp_item *item, u32 mtu)
{
	u32 bytes = item->bytes, segs = item->segs.left;

	if (!dp_segs_fragment(&item->segs, mtu))
		return false;
	item->bytes = bytes_left(&item->segs);
	item->flow->bytes += item->bytes - bytes;
	q->bytes += item->bytes - bytes;
	q->segs += item->segs.left - segs;
	return true;
}

void dp_txq_move(struct dp_txq *to, struct dp_txq *from, u32 quantum)
{
	struct dp_item *item;
	struct dp_flow *f;

	for (f = from->flows; f < from->flows + DP_TXQ_FLOWS; f++) {
		while ((item = TAILQ_FIRST(&f->items))) {
			dp_txq_remove(from, item);
			dp_txq_push(to, item, f->hash, quantum, item->came_us);
		}
	}
	to->sojourn_us = from->sojourn_us;
}

/* ---- CoDel ---- */

/* Mark or drop as CoDel says. False: nothing of the item is left. */
static bool judge(struct dp_txq *q, struct dp_item *item, u32 full_bytes, u64 now_us,
		  struct dp_item_list *dropped)
{
	u64 sojourn_us = now_us - item->came_us;
	struct dp_flow *f = item->flow;

	while (nq_codel_drop(&f->codel, sojourn_us, f->bytes - dp_segs_next_len(&item->segs),
			     full_bytes, now_us)) {
		if (dp_segs_mark_ce(&item->segs)) {
			q->codel_marks++;
			break;
		}
		q->codel_drops++;
		/* Of a packet that is cut into fragments the others are of no use. */
		do {
			take_bytes(q, item, dp_segs_next_len(&item->segs));
			dp_segs_skip(&item->segs);
		} while (item->segs.kind == DP_SEG_FRAGMENT && item->segs.left);
		if (item->segs.left)
			continue;
		unlink_item(q, item);
		TAILQ_INSERT_TAIL(dropped, item, entry);
		return false;
	}
	item->judged = true;
	q->sojourn_us += (sojourn_us >> SOJOURN_SHIFT) - (q->sojourn_us >> SOJOURN_SHIFT);
	return true;
}

struct dp_item *dp_txq_next(struct dp_txq *q, u32 quantum, u32 full_bytes, u64 now_us,
			    struct dp_item_list *dropped)
{
	struct nq_drr_taker *t;
	struct dp_item *item;
	struct dp_flow *f;

	while ((t = nq_drr_next(&q->turns, quantum))) {
		f = (struct dp_flow *)t;
		item = TAILQ_FIRST(&f->items);
		if (!item) {
			nq_codel_empty(&f->codel);
			nq_drr_done(&q->turns);
			continue;
		}
		if (item->judged || judge(q, item, full_bytes, now_us, dropped))
			return item;
	}
	return NULL;
}

struct dp_item *dp_txq_fattest(struct dp_txq *q)
{
	struct dp_flow *fattest = &q->flows[0];
	unsigned int i;

	for (i = 1; i < DP_TXQ_FLOWS; i++)
		if (q->flows[i].room > fattest->room)
			fattest = &q->flows[i];
	return TAILQ_FIRST(&fattest->items);
}
