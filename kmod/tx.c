// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the stack to the network. A reader follows a packet downwards:
 *
 *   nqd_dp_xmit()    finds the session by the destination address, queues, asks for a round
 *   nqd_tx_flush()   the round: as long as the engine admits packets
 *   stage()          takes what CoDel lets pass
 *   plan()           how many segments make the next burst; what is too large goes back by ICMP
 *   flush_burst()    reserves packet numbers
 *   fill()           writes them into the burst, with their own headers and checksums
 *   leave()          takes and commits them, control packets behind; seals; sends
 *
 * All of it has the session's turn, so bursts leave in the order of their numbers; s->lock is held
 * where the engine is used, but not while packets are written, sealed and sent.
 *
 * What congestion control does not admit waits here, in a bounded queue. If the device has one
 * session, its transmit queue is stopped instead of packets being dropped: a qdisc above keeps them
 * and the senders' sockets are held up, which are charged for what waits here as well (TCP small
 * queues).
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_arp.h>
#include <net/codel.h>
#include <net/codel_impl.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "burst.h"
#include "run.h"
#include "trace.h"
#include "udp.h"

#define ICMP_PER_SECOND 100
/* What tests want; nobody else has a use for a hundredth of it. */
#define GATHER_MAX_US 1000000
/* How long a packet waits for others at most. */
static unsigned int gather_us = 50;

static int set_gather_us(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, GATHER_MAX_US);
}

static const struct kernel_param_ops gather_ops = {
	.set = set_gather_us,
	.get = param_get_uint,
};

module_param_cb(gather_us, &gather_ops, &gather_us, 0644);
MODULE_PARM_DESC(gather_us,
		 "Microseconds a packet behind a burst waits for others, up to 1 s (50; 0: none)");

/* When there was no memory for a burst. */
#define NO_MEMORY_RETRY_US 1000
/* Two probes and two challenges (RFC 9002 6.2.4, RFC 9000 8.2.1): no burst is so small for long. */
#define EXEMPT_BYTES (4 * NQ_MIN_UDP_PAYLOAD)

static struct codel_params codel_params;

/* ---- from the stack ---- */

/*
 * Of a super-packet what stands before every segment, which is cut into pieces. No byte more is
 * pulled: its head is shared with the one that TCP keeps, and would have to be copied.
 */
static bool pull_headers(struct sk_buff *skb)
{
	u32 len = skb_checksum_start_offset(skb) + DP_TCP_HDR_LEN;

	if (!pskb_may_pull(skb, min(len, skb->len)))
		return false;
	if (len > skb->len || !(skb_shinfo(skb)->gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)))
		return true;
	len += 4 * (skb->data[len - DP_TCP_HDR_LEN + 12] >> 4) - DP_TCP_HDR_LEN;
	return pskb_may_pull(skb, min(len, skb->len));
}

/* Is it an IP packet? The headers we look at are linear then. */
static bool sane(struct sk_buff *skb)
{
	skb_reset_network_header(skb);
	if (skb->protocol == htons(ETH_P_IP)) {
		if (!pskb_may_pull(skb, sizeof(struct iphdr)) || ip_hdr(skb)->version != 4)
			return false;
	} else if (skb->protocol == htons(ETH_P_IPV6)) {
		if (!pskb_may_pull(skb, sizeof(struct ipv6hdr)) || ipv6_hdr(skb)->version != 6)
			return false;
	} else {
		return false;
	}
	return !skb_is_gso(skb) || skb->ip_summed != CHECKSUM_PARTIAL || pull_headers(skb);
}

/* Describe @skb as the virtio header of a TUN would, which is what the segmenter takes. */
static int init_segs(struct dp_segs *segs, struct sk_buff *skb)
{
	struct virtio_net_hdr vh = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	int err;

	if (skb_is_gso(skb)) {
		unsigned int type = skb_shinfo(skb)->gso_type;

		if (skb->ip_summed != CHECKSUM_PARTIAL)
			return -EINVAL;
		vh.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vh.gso_type = type & SKB_GSO_TCPV4    ? VIRTIO_NET_HDR_GSO_TCPV4
			      : type & SKB_GSO_TCPV6  ? VIRTIO_NET_HDR_GSO_TCPV6
			      : type & SKB_GSO_UDP_L4 ? VIRTIO_NET_HDR_GSO_UDP_L4
						      : 0xff;
		vh.gso_size = skb_shinfo(skb)->gso_size;
		vh.csum_start = skb_checksum_start_offset(skb);
	}
	err = dp_segs_init(segs, &vh, skb->data, skb->len);
	segs->skb = skb;
	return err;
}

static void drop(const struct nqd_session *s, struct sk_buff *skb, enum nqd_drop_reason why)
{
	struct net_device *dev = nqd_session_dev(s);

	nqd_trace_drop(s, why);
	if (dev)
		dev_core_stats_tx_dropped_inc(dev);
	kfree_skb(skb);
}

/* Tell the inner sender what fits; a sender that does not listen costs at most this rate. */
static void send_too_big(struct nqd_device *nd, struct sk_buff *skb, u32 mtu)
{
	struct nqd_device_dp *dp = &nd->dp;

	if (time_after64(get_jiffies_64(), READ_ONCE(dp->icmp_window) + HZ)) {
		WRITE_ONCE(dp->icmp_window, get_jiffies_64());
		WRITE_ONCE(dp->icmp_sent, 0);
	}
	if (READ_ONCE(dp->icmp_sent) >= ICMP_PER_SECOND)
		return;
	WRITE_ONCE(dp->icmp_sent, dp->icmp_sent + 1);
	/* What is in the control block is ours; icmp_send() takes it for IP options. */
	memset(skb->cb, 0, sizeof(skb->cb));
	if (skb->protocol == htons(ETH_P_IP))
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, htonl(mtu));
	else
		icmpv6_ndo_send(skb, ICMPV6_PKT_TOOBIG, 0, mtu);
}

/*
 * Cut an IPv4 packet that may be. Nobody completes a checksum in fragments, so one that was left
 * open is completed before. False: the packet has to go.
 */
static bool fragment(struct dp_segs *segs, struct sk_buff *skb, u32 mtu)
{
	if (!dp_segs_fragment(segs, mtu))
		return false;
	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return true;
	/* Its headers may be elsewhere afterwards. */
	if (skb_checksum_help(skb))
		return false;
	segs->pkt = skb->data;
	return true;
}

/*
 * Normally the stack has cut to the device's MTU; but the path of a session may take less. Then an
 * IPv4 packet without DF is fragmented when it leaves, of everything else the sender is told now.
 */
static bool fits(struct nqd_session *s, struct nqd_device *nd, struct sk_buff *skb,
		 struct dp_segs *segs)
{
	u32 mtu = READ_ONCE(s->dp.mtu);

	if (likely(!mtu || dp_segs_max_len(segs) <= mtu || fragment(segs, skb, mtu)))
		return true;
	atomic64_add(segs->left, &s->dp.mtu_drops);
	send_too_big(nd, skb, mtu);
	return false;
}

/*
 * Shall the packet that has just been queued wait for others? Behind a burst that has just left,
 * unless there is another burst full of them. What is answered while packets are delivered leaves
 * with all other answers anyway. Under queue.lock.
 */
static bool gathers(const struct nqd_session *s, codel_time_t now)
{
	codel_time_t wait = (u64)READ_ONCE(gather_us) * NSEC_PER_USEC >> CODEL_SHIFT;

	return wait && s->dp.queue_segs < NQ_BURST_MAX &&
	       codel_time_before(now, READ_ONCE(s->dp.sent_at) + wait) && !nqd_run_is_delivering(s);
}

/* Under queue.lock, so not behind the end of the session. */
static void gather(struct nqd_session_dp *dp)
{
	if (dp->gathering)
		return;
	dp->gathering = true;
	hrtimer_start(&dp->gather, ns_to_ktime((u64)READ_ONCE(gather_us) * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_PINNED_SOFT);
}

bool nqd_tx_gathered(struct nqd_session *s)
{
	bool any;

	spin_lock(&s->dp.queue.lock);
	s->dp.gathering = false;
	any = !skb_queue_empty(&s->dp.queue);
	spin_unlock(&s->dp.queue.lock);
	return any;
}

/*
 * @alone: its device has no other. 1: it waits for others, and a timer. -ENOBUFS: the queue is
 * full. -ESTALE: what waits is another's by now, or nobody's.
 */
static int enqueue(struct nqd_session *s, struct sk_buff *skb, bool alone)
{
	struct nqd_session_dp *dp = &s->dp;
	int err = 0;

	spin_lock_bh(&dp->queue.lock);
	if (unlikely(test_bit(NQD_DP_STOPPED, &dp->state) || test_bit(NQD_DP_LEFT, &dp->state))) {
		err = -ESTALE;
	} else if (unlikely(atomic_read(&dp->held_bytes) >= NQD_QUEUE_MAX_BYTES)) {
		err = -ENOBUFS;
	} else {
		if (atomic_read(&dp->held_bytes) > NQD_QUEUE_ORPHAN_BYTES && !alone)
			skb_orphan(skb);
		__skb_queue_tail(&dp->queue, skb);
		dp->queue_bytes += skb->len;
		dp->queue_segs += nqd_skb_cb(skb)->segs;
		atomic_add(skb->len, &dp->held_bytes);
		if (gathers(s, nqd_skb_cb(skb)->queued)) {
			gather(dp);
			err = 1;
		}
	}
	spin_unlock_bh(&dp->queue.lock);
	return err;
}

/* The only session of a device holds its queue up, instead of dropping. */
static void hold_back(struct nqd_session *s, struct net_device *dev)
{
	if (atomic_read(&s->dp.held_bytes) < NQD_QUEUE_STOP_BYTES)
		return;
	netif_stop_queue(dev);
	/* A round may have emptied the queue before it could see that this is stopped. */
	smp_mb();
	nqd_tx_resume(s);
}

void nqd_tx_resume(struct nqd_session *s)
{
	struct nqd_device *nd = READ_ONCE(s->nd);

	if (likely(!nd || !netif_queue_stopped(nd->dev)))
		return;
	if (READ_ONCE(nd->n_sessions) != 1 ||
	    atomic_read(&s->dp.held_bytes) < NQD_QUEUE_STOP_BYTES / 2)
		netif_wake_queue(nd->dev);
}

/*
 * 0: it waits in the queue of @s for a round, or was dropped, which a round counts; 1: it waits for
 * others first. -ESTALE: nothing waits there now.
 */
static int to_session(struct nqd_session *s, struct nqd_device *nd, struct sk_buff *skb,
		      struct dp_segs *segs)
{
	bool alone = READ_ONCE(nd->n_sessions) == 1;
	struct nqd_skb_cb *cb = nqd_skb_cb(skb);
	int err;

	/* Pairs with nqd_session_down(): the routes of who replaces it are seen then. */
	if (unlikely(smp_load_acquire(&s->down)))
		return -ESTALE;
	if (unlikely(!fits(s, nd, skb, segs))) {
		drop(s, skb, NQD_DROP_MTU);
		return 0;
	}
	cb->queued = codel_get_time();
	cb->max_len = dp_segs_max_len(segs);
	cb->segs = segs->left;
	/* It may wait longer than the route is looked at. */
	skb_dst_force(skb);
	err = enqueue(s, skb, alone);
	if (unlikely(err == -ENOBUFS)) {
		atomic64_add(segs->left, &s->dp.queue_drops);
		drop(s, skb, NQD_DROP_TX_QUEUE);
		return 0;
	}
	if (err >= 0 && alone)
		hold_back(s, nd->dev);
	return err;
}

netdev_tx_t nqd_dp_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct nqd_device *nd = netdev_priv(dev);
	struct nqd_session *s;
	struct dp_segs segs;
	bool again = false;
	int err;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (unlikely(!skb))
		return NETDEV_TX_OK;
	rcu_read_lock();
find:
	if (unlikely(!sane(skb) || init_segs(&segs, skb))) {
		trace_nqd_drop(dev->ifindex, 0, NQD_DROP_MALFORMED);
		goto drop;
	}
	s = nqd_session_by_dst(nd, skb->data);
	/* Pairs with nqd_session_start(): what is set up before is seen. */
	if (likely(s && smp_load_acquire(&s->conn))) {
		err = to_session(s, nd, skb, &segs);
		if (likely(err >= 0)) {
			if (!err)
				nqd_dp_session_wake(s);
			rcu_read_unlock();
			return NETDEV_TX_OK;
		}
		/* It was replaced while we looked: its routes lead elsewhere now. */
		if (!again) {
			again = true;
			goto find;
		}
	}
	trace_nqd_drop(dev->ifindex, 0, NQD_DROP_NO_ROUTE);

drop:
	rcu_read_unlock();
	dev_core_stats_tx_dropped_inc(dev);
	kfree_skb(skb);
	return NETDEV_TX_OK;
}

/* ---- the queue ---- */

static u32 codel_len(const struct sk_buff *skb)
{
	return skb->len;
}

static codel_time_t codel_time(const struct sk_buff *skb)
{
	return ((const struct nqd_skb_cb *)skb->cb)->queued;
}

static void codel_drop(struct sk_buff *skb, void *ctx)
{
	struct nqd_session *s = ctx;

	s->dp.tally.congestion_drops += nqd_skb_cb(skb)->segs;
	s->dp.tally.queue_drops += nqd_skb_cb(skb)->segs;
	atomic_sub(skb->len, &s->dp.held_bytes);
	drop(s, skb, NQD_DROP_CONGESTION);
}

static struct sk_buff *codel_next(struct codel_vars *vars, void *ctx)
{
	struct nqd_session *s = ctx;
	struct sk_buff *skb = __skb_dequeue(&s->dp.waiting);

	if (skb)
		s->dp.waiting_bytes -= skb->len;
	return skb;
}

static void take_queue(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;

	if (skb_queue_empty_lockless(&dp->queue))
		return;
	spin_lock_bh(&dp->queue.lock);
	skb_queue_splice_tail_init(&dp->queue, &dp->waiting);
	dp->waiting_bytes += dp->queue_bytes;
	dp->queue_bytes = 0;
	dp->queue_segs = 0;
	spin_unlock_bh(&dp->queue.lock);
}

/* As much as one burst takes. */
static void stage(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	struct sk_buff *skb;
	u32 marked;

	while (dp->staged_segs < NQ_BURST_MAX) {
		marked = dp->codel_stats.ecn_mark;
		skb = codel_dequeue(s, &dp->waiting_bytes, &codel_params, &dp->codel,
				    &dp->codel_stats, codel_len, codel_time, codel_drop,
				    codel_next);
		if (!skb)
			return;
		/* It is the last packet looked at, and the only one that can have been marked. */
		if (unlikely(dp->codel_stats.ecn_mark != marked))
			dp->tally.ce_marks += nqd_skb_cb(skb)->segs;
		if (dp->codel.ldelay > READ_ONCE(dp->delay_max))
			WRITE_ONCE(dp->delay_max, dp->codel.ldelay);
		__skb_queue_tail(&dp->staged, skb);
		dp->staged_segs += nqd_skb_cb(skb)->segs;
	}
}

/* The first staged packet is done with: the caller owns it. */
static struct sk_buff *unstage(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	struct sk_buff *skb = __skb_dequeue(&dp->staged);

	dp->staged_segs -= nqd_skb_cb(skb)->segs;
	dp->segs.left = 0;
	atomic_sub(skb->len, &dp->held_bytes);
	return skb;
}

/* What rounds have counted belongs to the session's counters. Under s->lock. */
static void add_tally(struct nqd_session *s)
{
	struct nqd_tx_tally *t = &s->dp.tally;

	s->counters.l3_tx_packets += t->packets;
	s->counters.l3_tx_bytes += t->bytes;
	s->counters.gso_tx_packets += t->super_packets;
	s->counters.gso_tx_segments += t->super_segments;
	s->counters.congestion_drops += t->congestion_drops;
	s->counters.tx_queue_drops += t->queue_drops;
	s->counters.tx_queue_ce_marks += t->ce_marks;
	s->counters.mtu_drops += t->mtu_drops;
	memset(t, 0, sizeof(*t));
}

static void purge_list(struct nqd_session *s, struct sk_buff_head *list)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(list))) {
		s->dp.tally.queue_drops += nqd_skb_cb(skb)->segs;
		atomic_sub(skb->len, &s->dp.held_bytes);
		drop(s, skb, NQD_DROP_CLOSED);
	}
}

void nqd_tx_purge(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;

	take_queue(s);
	purge_list(s, &dp->staged);
	purge_list(s, &dp->waiting);
	dp->staged_segs = 0;
	dp->waiting_bytes = 0;
	dp->segs.left = 0;
	spin_lock(&s->lock);
	add_tally(s);
	spin_unlock(&s->lock);
	nqd_tx_resume(s);
}

void nqd_tx_move(struct nqd_session *to, struct nqd_session *from)
{
	struct nqd_session_dp *f = &from->dp, *t = &to->dp;
	struct sk_buff *skb;

	/* Who is on his way into this queue looks for another one. */
	spin_lock(&f->queue.lock);
	set_bit(NQD_DP_LEFT, &f->state);
	spin_unlock(&f->queue.lock);
	take_queue(from);
	/* What is left of a super-packet that left in part begins anew: its receiver knows TCP. */
	skb_queue_splice_tail_init(&f->staged, &t->waiting);
	skb_queue_splice_tail_init(&f->waiting, &t->waiting);
	f->staged_segs = 0;
	f->waiting_bytes = 0;
	f->segs.left = 0;
	t->waiting_bytes = 0;
	skb_queue_walk(&t->waiting, skb)
		t->waiting_bytes += skb->len;
	atomic_add(atomic_xchg(&f->held_bytes, 0), &t->held_bytes);
}

/* ---- bursts ---- */

/*
 * Make the first staged packet ready to be written: of those that no longer fit, because the path
 * takes less than when they came, the sender is told. False: there is none.
 */
static bool begin_first(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	struct nqd_device *nd = READ_ONCE(s->nd);
	struct sk_buff *skb;
	u32 mtu = dp->mtu;

	while ((skb = skb_peek(&dp->staged))) {
		/* One that has left in part is looked at again: the path may have narrowed. */
		if (likely(dp->segs.left || !init_segs(&dp->segs, skb)) &&
		    likely(dp_segs_max_len(&dp->segs) <= mtu || fragment(&dp->segs, skb, mtu)))
			return true;
		dp->tally.mtu_drops += dp->segs.left ?: nqd_skb_cb(skb)->segs;
		skb = unstage(s);
		if (nd)
			send_too_big(nd, skb, mtu);
		drop(s, skb, NQD_DROP_MTU);
	}
	return false;
}

/*
 * How many segments make the next burst, and the largest packet among them. Not under s->lock: an
 * ICMP message to a sender may leave through another session.
 */
static unsigned int plan(struct nqd_session *s, u32 *pkt_bytes)
{
	struct nqd_session_dp *dp = &s->dp;
	u32 overhead = dp->overhead, bytes = 0, largest = 0, len, k;
	unsigned int n = 0, left;
	struct sk_buff *skb;

	stage(s);
	if (!begin_first(s))
		return 0;
	len = dp_segs_max_len(&dp->segs);
	left = dp->segs.left;
	skb = skb_peek(&dp->staged);
	while (n < NQ_BURST_MAX) {
		len += overhead;
		k = min3((NQD_GSO_MAX_BYTES - bytes) / len, left, NQ_BURST_MAX - n);
		n += k;
		bytes += k * len;
		if (k)
			largest = max(largest, len);
		if (k < left || skb_queue_is_last(&dp->staged, skb))
			break;
		skb = skb_queue_next(&dp->staged, skb);
		len = nqd_skb_cb(skb)->max_len;
		left = nqd_skb_cb(skb)->segs;
		/* When it is the first it will be seen to. */
		if (len > dp->mtu)
			break;
	}
	*pkt_bytes = largest;
	return n;
}

/*
 * The first staged packet is wholly in a burst. Its sender waits no longer (TCP small queues): were
 * the burst charged to an inner socket, sch_fq at the outer device would sort the packets of a
 * session by these sockets and let them overtake one another.
 */
static void finish_first(struct nqd_session *s)
{
	struct dp_segs *segs = &s->dp.segs;

	if (segs->kind >= DP_SEG_TCP) {
		s->dp.tally.super_packets++;
		s->dp.tally.super_segments += segs->index;
	}
	consume_skb(unstage(s));
}

/*
 * Write the frames of @n segments into the burst. Returns how many it was. The engine is asked for
 * what never changes.
 */
static unsigned int fill(struct nqd_session *s, struct nqd_burst *b, unsigned int n, u32 hdr_len)
{
	struct nqd_device *nd = READ_ONCE(s->nd);
	struct nqd_session_dp *dp = &s->dp;
	u32 at, len, inner_bytes = 0;
	unsigned int i;
	u8 *buf;

	for (i = 0; i < n; i++) {
		if (!dp->segs.left && !begin_first(s))
			break;
		buf = nqd_burst_room(b, dp->overhead + dp_segs_max_len(&dp->segs));
		if (unlikely(!buf))
			break;
		at = hdr_len + nq_tx_datagram_header(s->conn, buf + hdr_len);
		len = dp_segs_next(&dp->segs, buf + at);
		inner_bytes += len;
		nqd_burst_add(b, buf, at + len + NQ_TAG_LEN);
		/* The engine counts the tag. */
		b->pkts[i].len -= NQ_TAG_LEN;
		if (!dp->segs.left)
			finish_first(s);
	}
	dp->tally.packets += i;
	dp->tally.bytes += inner_bytes;
	if (nd)
		dev_sw_netstats_tx_add(nd->dev, i, inner_bytes);
	return i;
}

/* The largest packet that may leave. */
static u32 packet_bytes(const struct nqd_session *s)
{
	return nq_max_payload_bytes(s->conn) + nq_tx_overhead_bytes(s->conn);
}

/* Packets the engine wants to send on its own go behind the burst, or alone. */
static void add_control(struct nqd_session *s, struct nqd_burst *b, u64 now_us)
{
	u32 cap = max_t(u32, packet_bytes(s), NQ_MIN_UDP_PAYLOAD);
	u8 *buf;
	int len;

	while (nq_tx_control_wanted(s->conn, now_us) && (buf = nqd_burst_room(b, cap))) {
		len = nq_tx_control(s->conn, buf, cap, now_us);
		if (len <= 0)
			return;
		nqd_burst_add(b, buf, len);
	}
}

/* What became of packets on @way. So that a client knows at once that its path is dead. */
static void note_sent(struct nqd_session *s, const struct nqd_way *way, u32 largest, int err,
		      u64 now_us)
{
	bool unreachable = err && err != -EMSGSIZE;

	if (likely(!err && !way->to.unreachable))
		return;
	spin_lock(&s->lock);
	s->paths[way->path].unreachable = unreachable;
	/* The engine falls back at once and raises NQ_EV_MTU. */
	if (err == -EMSGSIZE && way->path == nq_active_path(s->conn))
		nq_mtu_refused(s->conn, largest, now_us);
	spin_unlock(&s->lock);
	if (unreachable)
		nqd_trace_drop(s, NQD_DROP_NO_OUTER_ROUTE);
}

/* What is in the burst leaves. */
static void send_burst(struct nqd_session *s, struct nqd_burst *b, const struct nqd_way *way,
		       u64 now_us)
{
	struct sk_buff_head out;
	struct sk_buff *skb;
	u32 largest;
	int err;

	__skb_queue_head_init(&out);
	nqd_burst_build(b, &out);
	while ((skb = __skb_dequeue(&out))) {
		largest = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : skb->len;
		err = nqd_udp_send(s, way, skb, largest);
		note_sent(s, way, largest, err, now_us);
	}
}

/* Packets that must be datagrams of their own: to other paths, and probes of the packet size. */
static void send_alone(struct nqd_session *s, u64 now_us) __must_hold(&s->lock)
{
	struct nqd_burst *b;
	struct nqd_way way;
	u8 *buf, path;
	int len;

	while (nq_tx_alone_wanted(s->conn, now_us)) {
		b = nqd_burst_begin();
		buf = nqd_burst_room(b, NQD_PACKET_MAX);
		len = buf ? nq_tx_alone(s->conn, buf, NQD_PACKET_MAX, now_us, &path) : 0;
		if (len <= 0) {
			nqd_burst_drop(b);
			return;
		}
		nqd_burst_add(b, buf, len);
		nqd_way_get(&way, s, path, false);
		spin_unlock(&s->lock);
		send_burst(s, b, &way, now_us);
		spin_lock(&s->lock);
	}
}

/*
 * Kernels with CONFIG_DEBUG_NET look after every burst whether it has put more on the way than the
 * congestion window allowed when it was reserved. Probes and challenges are exempt. Under s->lock.
 */
static noinline_for_stack u64 in_flight(struct nqd_session *s, u64 *cwnd, u64 now_us)
{
	struct nq_stats stats;

	nq_get_stats(s->conn, &stats, now_us);
	*cwnd = stats.cwnd_bytes;
	return stats.bytes_in_flight;
}

static void note_allowance(struct nqd_session *s, u64 now_us)
{
	if (IS_ENABLED(CONFIG_DEBUG_NET))
		in_flight(s, &s->dp.allowed_bytes, now_us);
}

static u64 before_burst(struct nqd_session *s, u64 now_us)
{
	u64 cwnd, bytes;

	if (!IS_ENABLED(CONFIG_DEBUG_NET))
		return 0;
	bytes = in_flight(s, &cwnd, now_us);
	/* The window may have shrunk since; without a reservation it is today's. */
	s->dp.allowed_bytes = max(s->dp.allowed_bytes, cwnd);
	return bytes;
}

static void after_burst(struct nqd_session *s, u64 before, u64 now_us)
{
	u64 cwnd, now;

	if (!IS_ENABLED(CONFIG_DEBUG_NET))
		return;
	now = in_flight(s, &cwnd, now_us);
	DEBUG_NET_WARN_ON_ONCE(now > s->dp.allowed_bytes && now > before + EXEMPT_BYTES);
	s->dp.allowed_bytes = 0;
}

/*
 * The first @n packets of the burst are written: number them, put behind them what the engine has
 * to say, seal them and send it all. The numbers are the engine's as soon as they are taken, so
 * what goes wrong from then on is lost as on the wire. Not under s->lock.
 */
static void leave(struct nqd_session *s, struct nqd_burst *b, struct nq_tx_burst *burst,
		  unsigned int n, u64 now_us)
{
	struct nqd_way way;
	u64 before;
	int err = 0;

	spin_lock(&s->lock);
	before = before_burst(s, now_us);
	add_tally(s);
	if (n)
		err = nq_tx_take(s->conn, burst, b->pkts, n, &b->sealer);
	/* The session has ended or its path has shrunk while they were written. */
	if (unlikely(err == -ENOTCONN))
		s->counters.tx_queue_drops += n;
	else if (unlikely(err))
		s->counters.mtu_drops += n;
	else
		add_control(s, b, now_us);
	if (burst->n)
		nq_tx_commit(s->conn, burst, b->pkts, err ? 0 : n, now_us);
	after_burst(s, before, now_us);
	nqd_way_get(&way, s, nq_active_path(s->conn), nq_tx_ecn(s->conn));
	spin_unlock(&s->lock);
	if (n && !err) {
		err = nq_seal(&b->sealer, b->pkts, 0, n);
		nq_sealer_wipe(&b->sealer);
		if (unlikely(err)) {
			spin_lock(&s->lock);
			nq_tx_seal_failed(s->conn);
			spin_unlock(&s->lock);
			nqd_trace_drop(s, NQD_DROP_AEAD_SEAL);
		}
	}
	if (unlikely(err))
		nqd_burst_drop(b);
	else
		send_burst(s, b, &way, now_us);
	if (n)
		WRITE_ONCE(s->dp.sent_at, codel_get_time());
}

/* What bursts are planned with, until the next look. */
static void note_shape(struct nqd_session *s)
{
	WRITE_ONCE(s->dp.mtu, nq_max_payload_bytes(s->conn));
	s->dp.overhead = nq_tx_overhead_bytes(s->conn);
}

/*
 * One burst of @want packets: true if there may be more to send now. Where there was no memory for
 * one packet, there is none at once either: the timer tries again.
 */
static bool flush_burst(struct nqd_session *s, unsigned int want, u32 pkt_bytes, u64 now_us)
	__must_hold(&s->lock)
{
	struct nq_tx_burst burst = {};
	unsigned int n, filled = 0;
	struct nqd_burst *b;

	/* It was planned for another size: once more. */
	if (unlikely(s->dp.mtu != nq_max_payload_bytes(s->conn) ||
		     s->dp.overhead != nq_tx_overhead_bytes(s->conn)))
		return true;
	n = nq_tx_reserve(s->conn, &burst, want, pkt_bytes, now_us);
	note_allowance(s, now_us);
	if (n < want && burst.limit == NQ_TX_PACED)
		s->dp.retry_us = burst.retry_us;
	spin_unlock(&s->lock);
	if (unlikely(n < want && burst.limit == NQ_TX_CLOSED))
		nqd_tx_purge(s);
	if (n) {
		b = nqd_burst_begin();
		filled = fill(s, b, n, burst.hdr_len);
		if (unlikely(!filled))
			s->dp.retry_us = now_us + NO_MEMORY_RETRY_US;
		leave(s, b, &burst, filled, now_us);
	}
	spin_lock(&s->lock);
	return n == want && filled;
}

static bool nothing_waits(const struct nqd_session_dp *dp)
{
	return skb_queue_empty(&dp->staged) && skb_queue_empty(&dp->waiting);
}

static void flush_bursts(struct nqd_session *s, u64 now_us) __must_hold(&s->lock)
{
	bool more = !s->down;
	unsigned int want;
	u32 pkt_bytes;

	note_shape(s);
	while (more && !nothing_waits(&s->dp)) {
		spin_unlock(&s->lock);
		want = plan(s, &pkt_bytes);
		spin_lock(&s->lock);
		more = want && !s->down && flush_burst(s, want, pkt_bytes, now_us);
		note_shape(s);
	}
}

void nqd_tx_flush(struct nqd_session *s, u64 now_us)
{
	struct nq_tx_burst none = {};
	u64 overflow;

	s->dp.retry_us = NQ_TIME_NEVER;
	overflow = atomic64_xchg(&s->dp.queue_drops, 0);
	s->counters.tx_queue_drops += overflow;
	s->counters.tx_queue_overflow_drops += overflow;
	s->counters.mtu_drops += atomic64_xchg(&s->dp.mtu_drops, 0);
	/* Probes of the packet size go first: data that always waits would leave them no room. */
	send_alone(s, now_us);
	take_queue(s);
	flush_bursts(s, now_us);
	add_tally(s);
	if (nq_tx_control_wanted(s->conn, now_us)) {
		spin_unlock(&s->lock);
		leave(s, nqd_burst_begin(), &none, 0, now_us);
		spin_lock(&s->lock);
	}
	send_alone(s, now_us);
	nqd_tx_resume(s);
}

/* ---- devices ---- */

void nqd_dp_setup_link(struct net_device *dev)
{
	/* What dataplane/segment.c does; ids of IPv4 segments always count up. */
	netdev_features_t features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA |
				     NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_TSO6 |
				     NETIF_F_TSO_ECN | NETIF_F_GSO_UDP_L4;

	dev->features |= features;
	dev->hw_features |= features;
	/* A queue above, which waits while the device's is stopped. */
	dev->priv_flags &= ~IFF_NO_QUEUE;
	dev->tx_queue_len = 1000;
	netif_set_tso_max_size(dev, NQD_TSO_MAX_BYTES);
}

void nqd_tx_start(struct nqd_session_dp *dp)
{
	skb_queue_head_init(&dp->queue);
	__skb_queue_head_init(&dp->waiting);
	__skb_queue_head_init(&dp->staged);
	codel_vars_init(&dp->codel);
	codel_stats_init(&dp->codel_stats);
	dp->retry_us = NQ_TIME_NEVER;
}

void nqd_tx_init(void)
{
	codel_params_init(&codel_params);
	codel_params.mtu = NQD_TSO_MAX_BYTES;
	codel_params.ecn = true;
}
