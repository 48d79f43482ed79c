/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tunnel's own queue: what a session may not send yet, because congestion control, the pacer or a
 * full socket holds it back. What can leave at once never comes here.
 *
 * It is FQ-CoDel (RFC 8290). Packets are sorted into flows by a keyed hash; flows take turns by
 * deficit round robin, new ones first, so that a ping does not wait behind a download. Each flow is
 * managed by CoDel (RFC 8289): if packets have waited longer than the target for a whole interval,
 * some are marked CE or, if they cannot be, dropped, so that a sender that listens keeps no queue.
 * Who does not listen fills the bounds; then the flow that holds most loses.
 *
 * An element is one TUN read, packet or super-packet, where it was read (store.h). Its segments leave
 * one by one: a turn may end within a super-packet, and CoDel drops one segment of it, not 64 KiB.
 *
 * What counts as standing queue. Time counts from dp_fq_add(), so never the time before the packet was
 * read. Two delays are no sign of a sender that is too fast, but look like it:
 *  - nexus-dp did not run. What came meanwhile is read in one go, and waits here until the pile is
 *    worn down. The reader notices and tells: dp_fq_excuse().
 *  - nothing could leave for an eighth of an interval although it waited: the path was silent, its end
 *    did not run, the socket was full. dp_fq_next() notices.
 * After a gap of D, flows forget what CoDel held against them, and nothing is marked or dropped for an
 * interval and 2 D (D at most a second): a path of which the senders use two thirds wears the pile
 * down in that time. What still stands then is a standing queue. All excuses together are good for four
 * seconds, until the queue has once been empty: on a very slow path every packet follows a gap. And a
 * full socket that takes something now and then is a bottleneck like any other.
 *
 * Counted are segments, as they would have left: congestion_drops and tx_queue_overflow_drops, both also
 * in tx_queue_drops, and tx_queue_ce_marks.
 *
 * No clock, no I/O, no lock, no allocation but of the queue. Used by tx.c; @now_us is monotonic.
 */
#ifndef DP_QUEUE_H
#define DP_QUEUE_H

#include "../../dataplane/request.h"
#include "store.h"

#define DP_FQ_FLOWS		128
/* Bytes of a flow's turn. */
#define DP_FQ_QUANTUM_BYTES	3000
/*
 * The round trip of most paths beyond the tunnel. A sender's interval is that and the tunnel's own
 * round trip: it can not have reacted before.
 */
#define DP_FQ_INTERVAL_US	100000
/* CoDel's target and the gap that is excused, in parts of that interval. */
#define DP_FQ_TARGET_PART	10
#define DP_FQ_GAP_PART		8
/* Bounds of one queue, for senders that do not listen. Packets and super-packets. */
#define DP_FQ_MAX_PACKETS	8192
#define DP_FQ_MAX_BYTES		(4 << 20)
/* Of all queues of a pool. Beyond it a queue may still have the second. */
#define DP_FQ_POOL_BYTES	(256ull << 20)
#define DP_FQ_POOL_SHARE_BYTES	16384

struct dp_fq;

/* What all queues of a process have in common. */
struct dp_fq_pool {
	struct dp_store *store;	/* where the packets stand */
	u64 bytes;		/* waiting in all of them */
};

/*
 * Which flow a packet belongs to: a hash of addresses, protocol and ports (fragments: without ports).
 * @pkt has at least its IP header; @len bytes are looked at, not more.
 */
u32 dp_flow_hash(u64 key, const u8 *pkt, u32 len);

/* An empty queue. @pool outlives it. NULL: no memory. */
struct dp_fq *dp_fq_new(struct dp_fq_pool *pool);
/* With all that waits, uncounted. NULL is fine. */
void dp_fq_free(struct dp_fq *q);

/* Segments that wait, and an upper bound of the bytes of one. */
u32 dp_fq_segments(const struct dp_fq *q);
u32 dp_fq_largest_bytes(const struct dp_fq *q);
/* How long something has waited at most, since dp_fq_reset_delay_max(). */
u64 dp_fq_delay_max_us(const struct dp_fq *q);
void dp_fq_reset_delay_max(struct dp_fq *q);
/* The tunnel's round trip, which may change. */
void dp_fq_set_round_trip(struct dp_fq *q, u64 us);

/*
 * What is left of @pkt waits; it is the queue's from now on. @hash: dp_flow_hash(). If that exceeds a
 * bound, the flow that holds most is cut, which may be this one; what is lost is counted in @c.
 */
void dp_fq_add(struct dp_fq *q, struct dp_pkt *pkt, u32 hash, struct nqd_counters *c, u64 now_us);

/*
 * Something can leave: the packet whose turn it is, at least one segment of it to come. NULL: nothing
 * waits. CoDel's marks and drops happen here and are counted in @c. The caller takes one segment
 * with dp_segs_next() and says so with dp_fq_sent(), or cuts it (dp_fq_fragment()) or gives the whole
 * packet up (dp_fq_give_up()). The packet is the queue's, and gone with its last segment.
 */
struct dp_segs *dp_fq_next(struct dp_fq *q, struct nqd_counters *c, u64 now_us);
void dp_fq_sent(struct dp_fq *q, u32 bytes);
/* dp_segs_fragment() of what dp_fq_next() has returned. */
bool dp_fq_fragment(struct dp_fq *q, u32 mtu);
void dp_fq_give_up(struct dp_fq *q);

/* Packets have piled up for @gap_us before they were read: see above. */
void dp_fq_excuse(struct dp_fq *q, u64 gap_us, u64 now_us);

/* All that waits in @from waits in @to, as long as it has already. */
void dp_fq_move(struct dp_fq *to, struct dp_fq *from, struct nqd_counters *c);

#endif /* DP_QUEUE_H */
