/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue of one session on its way out (RFC 8290 inside the tunnel): what congestion control and
 * pacing do not admit yet waits here, and nowhere else.
 *
 * Packets are spread over flows by a hash of their addresses and ports. Flows take turns by bytes
 * (quic/drr.h), so a ping does not wait behind a download; each flow has a CoDel (quic/codel.h), so
 * a download does not keep more waiting than its sender needs.
 *
 * An item is one read of the TUN, a packet or a super-packet. It stays whole in memory, but turns
 * are counted in segments: a super-packet of 64 KB is 50 ms of a line of 10 Mbit/s, and nobody
 * should wait for that. CoDel is asked once per item, when it comes to the head, because all its
 * segments came at the same time. Where it says drop, one segment is dropped and not the item: a
 * loss is a signal, and one is enough for a round trip, while a whole super-packet may be all that a
 * sender has in flight.
 *
 * No allocation; the caller keeps the memory bounded by dropping from the fattest flow
 * (dp_txq_fattest()) when a queue has become too large. Called by tx.c.
 */
#ifndef DP_QUEUE_H
#define DP_QUEUE_H

#include <sys/queue.h>

#include "../../quic/codel.h"
#include "../../quic/drr.h"
#include "segment.h"

#define DP_TXQ_FLOWS	64
/* Places a flow may have; two share one only if all are taken. */
#define DP_TXQ_WAYS	8

struct dp_flow;

struct dp_item {
	TAILQ_ENTRY(dp_item) entry;
	struct dp_segs segs;
	struct dp_flow *flow;
	u64 came_us;
	u32 bytes;		/* of all segments to come */
	u32 room;		/* bytes of @data */
	bool judged;		/* CoDel has had its say */
	u8 data[];		/* as read: virtio header and packet */
};
TAILQ_HEAD(dp_item_list, dp_item);

struct dp_flow {
	struct nq_drr_taker turn;
	struct nq_codel codel;
	struct dp_item_list items;
	u32 hash;
	u32 bytes;		/* of its packets */
	u32 room;		/* of memory they stand in */
};

struct dp_txq {
	struct nq_drr turns;
	u32 segs, bytes, room;	/* of all flows */
	u64 sojourn_us;		/* how long packets waited, smoothed */
	u64 codel_drops, codel_marks;
	struct dp_flow flows[DP_TXQ_FLOWS];
};

/* What tells flows apart in an inner packet that dp_segs_init() has accepted. */
u32 dp_flow_hash(const u8 *pkt, u32 len, u64 seed);

void dp_txq_init(struct dp_txq *q);

/* Queue @item, whose segs are set. @quantum: bytes of one turn. */
void dp_txq_push(struct dp_txq *q, struct dp_item *item, u32 hash, u32 quantum, u64 now_us);

/*
 * The item whose next segment is to be sent now, NULL if there is none. What CoDel drops goes to
 * @dropped, items with nothing left. @full_bytes: the largest packet.
 */
struct dp_item *dp_txq_next(struct dp_txq *q, u32 quantum, u32 full_bytes, u64 now_us,
			    struct dp_item_list *dropped);

/* Cut an item into fragments of at most @mtu bytes. False: it must not be (dp_segs_fragment()). */
bool dp_txq_fragment(struct dp_txq *q, struct dp_item *item, u32 mtu);

/* A segment of @bytes of the item was taken. After the last: dp_txq_remove(). */
void dp_txq_took(struct dp_txq *q, struct dp_item *item, u32 bytes);

/* Take out an item with all that is left of it; it is the caller's. */
void dp_txq_remove(struct dp_txq *q, struct dp_item *item);

/* All items of @from go into @to, with the time they have waited. */
void dp_txq_move(struct dp_txq *to, struct dp_txq *from, u32 quantum);

/* The oldest item of the flow that takes most memory; NULL if the queue is empty. */
struct dp_item *dp_txq_fattest(struct dp_txq *q);

#endif /* DP_QUEUE_H */
