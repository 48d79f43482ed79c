// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the network to the stack. A reader follows a datagram downwards:
 *
 *   data_ready()     something is in the socket's queue: NAPI
 *   poll()           takes GRO buffers off the queue
 *   rx_skb()         splits one into QUIC packets, each in one piece of memory that is ours alone
 *   rx_packet()      finds the session by the DCID and gathers the packets of one
 *   open_batch()     opens them in place, then the engine accepts them, under the session's lock
 *   deliver()        checks the inner packet against the session's prefixes, carries a CE mark
 *   flush_run()      what dp_co_add() has joined becomes one skb, of the pages it came in
 *   deliver_all()    all of a batch goes to the stack
 *
 * There is no encap_rcv: the UDP layer would take GRO buffers apart for it. A packet of ours that
 * cannot be opened is silence: counted, never answered. What is nobody's is left to the socket's
 * owner (owner.c): a buffer as it came, or a copy of each packet of one in which others are ours.
 *
 * Lanes. A socket has several polls, each a thread of its own if there are several CPUs, which the
 * scheduler moves to where there is time: so opening goes on beside sealing, and sessions of one
 * socket beside one another. What comes from one address always goes to the same lane, so it stays
 * in order.
 *
 * Packets are opened where they lie, and a forged one is written to as well. So nobody else may see
 * that memory: a buffer that is cloned (a packet socket looks on) or whose pages are shared (its
 * sender, on this machine, has sent a file's) is copied first.
 */
#include <linux/if_arp.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/udp.h>
#include <net/gro.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/udp.h>

#include "../dataplane/coalesce.h"
#include "burst.h"
#include "compat/napi.h"
#include "crypto.h"
#include "owner.h"
#include "run.h"
#include "rx.h"
#include "trace.h"

#define MIN_PACKET (1 + NQ_CID_LOOKUP_LEN + NQ_PN_LEN)
/* Where packets are copied that do not lie in one piece, or not in memory of ours. */
#define BOUNCE_ORDER 4
#define BOUNCE_BYTES (PAGE_SIZE << BOUNCE_ORDER)
/* So many packets count as one of the NAPI budget. */
#define PACKETS_PER_WORK 8
/* Inner packets up to this are linear, of those that stay alone and of joined ones. */
#define LINEAR_MAX 2048
/* Payload of smaller packets is copied: it would hold memory many times its size. */
#define KEEP_MIN 512

/* More threads of one socket than this are seldom all busy. */
#define LANES_MAX 8

/* What the engine refuses, by its own counters. */
static const struct {
	u16 counter;
	u8 reason;
} refusals[] = {
	{ offsetof(struct nq_counters, open_failures), NQD_DROP_AEAD_OPEN },
	{ offsetof(struct nq_counters, header_failures), NQD_DROP_HEADER_PROTECTION },
	{ offsetof(struct nq_counters, pn_failures), NQD_DROP_PN_DECODE },
	{ offsetof(struct nq_counters, frame_errors), NQD_DROP_FRAME },
	{ offsetof(struct nq_counters, duplicates), NQD_DROP_DUPLICATE },
	{ offsetof(struct nq_counters, replay_window_drops), NQD_DROP_REPLAY_WINDOW },
};

#define N_REFUSALS ARRAY_SIZE(refusals)

/* Where a packet came from: its memory may be kept for what was in it. */
struct rx_origin {
	struct page *page; /* a fragment of the buffer in it; NULL: it lies elsewhere */
	u32 truesize; /* its part of the buffer's */
};

/* Where one is: in memory of ours. */
struct rx_place {
	u8 *data;
	struct page *page; /* as in its origin */
};

/* One lane. All but @napi, @work and @todo belongs to the poll, which runs on one CPU at a time. */
struct nqd_rx {
	struct napi_struct napi;
	struct work_struct work;
	struct nqd_socket *sock;
	u8 *bounce;
	u32 bounce_used;
	struct sk_buff_head todo
		____cacheline_aligned_in_smp; /* off the socket's queue; own lock */
	int charged; /* to the socket, for what was taken off todo, but its owner's */
	struct sk_buff_head held; /* whose packets are in the batch */
	/* The buffer in hand. */
	union nqd_addr from, local;
	u8 ecn;
	u32 truesize; /* for each packet in it */
	struct nqd_session *last; /* whose the packet before is, by this connection ID; or NULL */
	const u8 *last_id;
	u32 last_id_len;
	/* The batch in progress: packets of one session from one address. */
	struct nqd_session *session;
	union nqd_addr batch_from, batch_local;
	unsigned int n;
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	struct rx_origin origins[NQ_BURST_MAX]; /* of pkts */
	struct nq_rx_datagram datagrams[NQ_BURST_MAX];
	struct nq_opener opener; /* while they are opened */
	void *punt; /* room for frames, lent to each session in turn: hardly any ever has some */
	struct nqd_counters counters; /* of the batch, until the lock is held again */
	u64 refused[N_REFUSALS]; /* while drops are traced */
	/* The run that is being joined, and for which device. */
	struct dp_coalesce co;
	struct net_device *dev;
	const struct rx_origin *run[DP_CO_MAX_SEGS];
	bool keeps; /* it becomes an skb of the pages its packets lie in */
	struct list_head inner; /* skbs for the stack */
};

/* Of a socket, while it is attached. */
struct nqd_rx_lanes {
	struct net_device *netdev; /* NAPI wants one */
	unsigned int n;
	u32 key; /* of the hash that chooses a lane */
	struct nqd_rx lane[];
};

static struct workqueue_struct *poll_wq;

/* ---- to the stack ---- */

static void count_rx(struct net_device *dev, unsigned int packets, unsigned int bytes)
{
	struct pcpu_sw_netstats *t = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&t->syncp);
	u64_stats_add(&t->rx_packets, packets);
	u64_stats_add(&t->rx_bytes, bytes);
	u64_stats_update_end(&t->syncp);
}

/* What the stack wants to know of an inner packet that begins at skb->data. */
static void dress(struct sk_buff *skb, struct net_device *dev)
{
	skb->dev = dev;
	skb->protocol = skb->data[0] >> 4 == 4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
}

/* One packet, which the receiver judges for itself. */
static struct sk_buff *build_single(struct napi_struct *napi, const u8 *pkt, u32 len)
{
	u32 linear = len <= LINEAR_MAX ? len : DP_HDR_MAX_LEN;
	struct sk_buff *skb = napi_alloc_skb(napi, linear);

	if (!skb)
		return NULL;
	skb_put_data(skb, pkt, linear);
	if (linear == len || !nqd_skb_append(skb, pkt + linear, len - linear))
		return skb;
	kfree_skb(skb);
	return NULL;
}

/* The payload stays where it was opened. Whose page it is sees that it is in use by its count. */
static void keep_page(struct sk_buff *skb, const struct rx_origin *origin, const struct kvec *iov)
{
	get_page(origin->page);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, origin->page,
			(u8 *)iov->iov_base - (u8 *)page_address(origin->page), iov->iov_len,
			origin->truesize);
}

/*
 * A super-packet of @len bytes: iov[0] is its description, then come the headers and each packet's
 * payload. A small one is linear: a fragment keeps a whole page from being used again, and what its
 * receiver is charged for it must not be next to nothing.
 */
static struct sk_buff *build_super(struct nqd_rx *rx, const struct kvec *iov, unsigned int n,
				   u32 len)
{
	const struct virtio_net_hdr *vh = iov[0].iov_base;
	u32 linear = len <= LINEAR_MAX ? len : iov[1].iov_len;
	struct sk_buff *skb = napi_alloc_skb(&rx->napi, linear);
	unsigned int i;

	if (!skb)
		return NULL;
	skb_put_data(skb, iov[1].iov_base, iov[1].iov_len);
	for (i = 2; i < n; i++) {
		if (linear == len) {
			skb_put_data(skb, iov[i].iov_base, iov[i].iov_len);
		} else if (rx->keeps) {
			keep_page(skb, rx->run[i - 2], &iov[i]);
		} else if (unlikely(nqd_skb_append(skb, iov[i].iov_base, iov[i].iov_len))) {
			kfree_skb(skb);
			return NULL;
		}
	}
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + vh->csum_start;
	skb->csum_offset = vh->csum_offset;
	skb_shinfo(skb)->gso_size = vh->gso_size;
	skb_shinfo(skb)->gso_segs = n - 2;
	skb_shinfo(skb)->gso_type = vh->gso_type == VIRTIO_NET_HDR_GSO_TCPV4   ? SKB_GSO_TCPV4
				    : vh->gso_type == VIRTIO_NET_HDR_GSO_TCPV6 ? SKB_GSO_TCPV6
									       : SKB_GSO_UDP_L4;
	return skb;
}

static void flush_run(struct nqd_rx *rx)
{
	struct net_device *dev = rx->dev;
	u32 len = rx->co.hdr_len + rx->co.payload_len;
	unsigned int packets = rx->co.n, n;
	const struct kvec *iov;
	struct sk_buff *skb;

	if (!packets)
		return;
	n = dp_co_finish(&rx->co, &iov);
	if (packets > 1) {
		rx->counters.gro_rx_coalesced += packets;
		skb = build_super(rx, iov, n, len);
	} else {
		skb = build_single(&rx->napi, iov[1].iov_base, iov[1].iov_len);
	}
	if (unlikely(!skb)) {
		rx->counters.rx_queue_drops += packets;
		trace_nqd_drop(dev->ifindex, 0, NQD_DROP_NO_MEMORY);
		return;
	}
	dress(skb, dev);
	count_rx(dev, packets, skb->len);
	list_add_tail(&skb->list, &rx->inner);
}

/* Is it an IP packet? Counted if not. */
static bool inner_sane(const struct nqd_session *s, const u8 *pkt, u32 len,
		       struct nqd_counters *counters)
{
	if (likely(dp_inner_sane(pkt, len)))
		return true;
	counters->malformed_drops++;
	nqd_trace_drop(s, NQD_DROP_MALFORMED);
	return false;
}

/* May this session send from and to the addresses of this packet? Counted if not. */
static bool inner_allowed(const struct nqd_session *s, struct nqd_device *nd, const u8 *pkt,
			  struct nqd_counters *counters)
{
	const struct nqd_session *other = nqd_session_by_src(nd, pkt);

	/* Its heir has them first, then it is seen that what comes here is the heir's. */
	if (unlikely(other != s && (!other || other != READ_ONCE(s->heir)))) {
		counters->source_prefix_drops++;
		nqd_trace_drop(s, NQD_DROP_SOURCE_PREFIX);
		return false;
	}
	if (s->role != NQD_ROLE_SERVER)
		return true;
	other = nqd_session_by_dst(nd, pkt);
	if (other && other != s &&
	    (!READ_ONCE(s->peer_group) ||
	     READ_ONCE(other->peer_group) != READ_ONCE(s->peer_group))) {
		counters->peer_group_drops++;
		nqd_trace_drop(s, NQD_DROP_PEER_GROUP);
		return false;
	}
	return true;
}

/* May a packet of @origin for @dev be part of the run, if its content fits? */
static bool may_join(const struct nqd_rx *rx, const struct net_device *dev,
		     const struct rx_origin *origin)
{
	return rx->co.n && rx->dev == dev &&
	       (!rx->keeps || (origin->page && rx->co.n < MAX_SKB_FRAGS));
}

static void deliver(struct nqd_rx *rx, struct nqd_session *s, u8 *pkt, u32 len, unsigned int number)
{
	const struct rx_origin *origin = &rx->origins[number];
	struct nqd_device *nd;

	/* Replaced since the caller looked: pairs with nqd_session_down(). */
	if (unlikely(smp_load_acquire(&s->down)) && READ_ONCE(s->replaced))
		s = READ_ONCE(s->heir);
	nd = s ? READ_ONCE(s->nd) : NULL;
	/* One without content only says that the peer's data plane is there. */
	if (!len || !nd || READ_ONCE(s->down) || !netif_running(nd->dev) ||
	    !inner_sane(s, pkt, len, &rx->counters))
		return;
	if (rx->pkts[number].ecn == INET_ECN_CE)
		dp_mark_ce(pkt);
	/* What joins has the addresses of the first, of the same session and batch. */
	if (!may_join(rx, nd->dev, origin) || !dp_co_add(&rx->co, pkt, len)) {
		if (!inner_allowed(s, nd, pkt, &rx->counters))
			return;
		flush_run(rx);
		rx->dev = nd->dev;
		rx->keeps = origin->page && len >= KEEP_MIN;
		dp_co_add(&rx->co, pkt, len);
	}
	rx->run[rx->co.n - 1] = origin;
	rx->counters.l3_rx_packets++;
	rx->counters.l3_rx_bytes += len;
}

void nqd_dp_rx_inner(struct nqd_session *s, const u8 *data, u32 len)
{
	struct nqd_counters counters = {};
	struct nqd_device *nd;
	struct sk_buff *skb;

	rcu_read_lock();
	nd = READ_ONCE(s->nd);
	if (!len || !nd || !netif_running(nd->dev) || !inner_sane(s, data, len, &counters) ||
	    !inner_allowed(s, nd, data, &counters))
		goto out;
	skb = alloc_skb(len, GFP_ATOMIC);
	if (!skb) {
		counters.rx_queue_drops++;
		goto out;
	}
	skb_put_data(skb, data, len);
	dress(skb, nd->dev);
	counters.l3_rx_packets++;
	counters.l3_rx_bytes += len;
	local_bh_disable();
	count_rx(nd->dev, 1, len);
	netif_rx(skb);
	local_bh_enable();
out:
	rcu_read_unlock();
	spin_lock_bh(&s->lock);
	nqd_add_counters(&s->counters, &counters);
	spin_unlock_bh(&s->lock);
}

/* ---- sessions ---- */

/*
 * From an address that the session has not: the client has moved, or somebody forges. Only a packet
 * that is good makes the address one of the session's.
 */
static bool follows(const struct nqd_session *s)
{
	return s->role == NQD_ROLE_SERVER && s->flags & NQD_SESSION_F_MIGRATION;
}

/* What the batch is opened with. False: it is not to be opened. */
static bool lend(struct nqd_rx *rx, struct nqd_session *s)
{
	bool lent = false;

	spin_lock(&s->lock);
	if (unlikely(!s->conn)) {
		/* It has ended. */
	} else if (unlikely(!follows(s) &&
			    nqd_path_number(s, rx->sock, &rx->batch_from) >= NQ_PATHS_MAX)) {
		s->counters.address_drops += rx->n;
		nqd_trace_drop(s, NQD_DROP_ADDRESS);
	} else {
		nq_rx_lend(s->conn, &rx->opener);
		lent = true;
	}
	spin_unlock(&s->lock);
	return lent;
}

/* Without memory the peer sends again what would have been punted. */
static bool lend_punt(struct nqd_rx *rx, struct nq_conn *conn)
{
	if (unlikely(!rx->punt))
		rx->punt = kmalloc(NQ_PUNT_BYTES, GFP_ATOMIC | __GFP_NOWARN);
	return likely(rx->punt) && nq_lend_punt(conn, rx->punt);
}

/*
 * The engine takes packets of the batch from @at on: all, or one from an address that is not known
 * yet. Returns how many, and *@n datagrams.
 */
static unsigned int accept_packets(struct nqd_rx *rx, struct nqd_session *s, unsigned int at,
				   unsigned int *n)
{
	u8 path = nqd_path_number(s, rx->sock, &rx->batch_from);
	bool known = path < NQ_PATHS_MAX;
	unsigned int i, some = known ? rx->n - at : 1;
	struct nq_rx_pkt *pkts = rx->pkts + at;
	bool lent;

	*n = 0;
	/* It let go of the socket meanwhile. */
	if (unlikely(!known && !nqd_session_on(s, rx->sock)))
		return some;
	for (i = 0; i < some; i++)
		pkts[i].path = path;
	lent = lend_punt(rx, s->conn);
	some = nq_rx_accept(s->conn, &rx->opener, pkts, some, rx->datagrams, NQ_BURST_MAX, n,
			    nqd_now_us());
	/* Where frames wait they keep it, until the session's worker has told of them. */
	if (likely(lent))
		rx->punt = nq_take_unused_punt(s->conn);
	if (unlikely(!known && pkts->path < NQ_PATHS_MAX))
		nqd_path_learn(s, pkts->path, rx->sock, &rx->batch_local, &rx->batch_from);
	return some;
}

/* The engine has counted what it refused; @tell: trace what has come since the last look. */
static noinline_for_stack void look_at_refusals(struct nqd_rx *rx, struct nqd_session *s, bool tell)
{
	struct nq_stats st;
	unsigned int i;
	u64 count;

	nq_get_stats(s->conn, &st, nqd_now_us());
	for (i = 0; i < N_REFUSALS; i++) {
		count = *(const u64 *)((const u8 *)&st.count + refusals[i].counter);
		for (; tell && rx->refused[i] < count; rx->refused[i]++)
			nqd_trace_drop(s, refusals[i].reason);
		rx->refused[i] = count;
	}
}

static unsigned int accept(struct nqd_rx *rx, struct nqd_session *s, unsigned int at,
			   unsigned int *n)
{
	bool traced = trace_nqd_drop_enabled();
	unsigned int some = rx->n - at;

	*n = 0;
	spin_lock(&s->lock);
	if (likely(s->conn)) {
		if (unlikely(traced))
			look_at_refusals(rx, s, false);
		some = accept_packets(rx, s, at, n);
		if (unlikely(traced))
			look_at_refusals(rx, s, true);
		if (unlikely(*n && s->unheard))
			WRITE_ONCE(s->heard, true);
	}
	spin_unlock(&s->lock);
	return some;
}

/*
 * @n datagrams of packets from @at on to the stack, as one list. Nothing is left to GRO: what would
 * join has been joined.
 */
static void deliver_all(struct nqd_rx *rx, struct nqd_session *s, unsigned int at, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		deliver(rx, s, rx->datagrams[i].data, rx->datagrams[i].len,
			at + rx->datagrams[i].pkt);
	flush_run(rx);
	nqd_run_delivering(s);
	netif_receive_skb_list(&rx->inner);
	nqd_run_delivering(NULL);
	INIT_LIST_HEAD(&rx->inner);
	spin_lock(&s->lock);
	nqd_add_counters(&s->counters, &rx->counters);
	spin_unlock(&s->lock);
	memset(&rx->counters, 0, sizeof(rx->counters));
}

/* The batch is opened and delivered, its packets are no longer needed. */
static void open_batch(struct nqd_rx *rx)
{
	struct nqd_session *s = rx->session, *to;
	unsigned int at, some, n;

	if (!rx->n)
		return;
	if (likely(lend(rx, s))) {
		nq_open(&rx->opener, rx->pkts, rx->n);
		for (at = 0; at < rx->n; at += some) {
			some = accept(rx, s, at, &n);
			to = READ_ONCE(s->replaced) ? READ_ONCE(s->heir) : s;
			if (unlikely(!to || !n))
				continue;
			deliver_all(rx, to, at, n);
			if (to != s)
				nqd_dp_session_wake(to);
		}
		nq_opener_wipe(&rx->opener);
	}
	rx->n = 0;
	nqd_dp_session_wake(s);
}

/*
 * The packets of a buffer come from one address, nearly always to one connection ID. A short one
 * may be the beginning of another's, so that is looked for again.
 */
static struct nqd_session *find_session(struct nqd_rx *rx, const u8 *data, u32 len)
{
	struct nqd_session *s;
	u32 id_len;

	if (unlikely(len < MIN_PACKET || data[0] & 0x80))
		return NULL;
	if (rx->last && len > rx->last_id_len && !memcmp(rx->last_id, data + 1, rx->last_id_len))
		return rx->last;
	s = nqd_session_by_cid(rx->sock, data + 1, len - 1, &rx->from, &id_len);
	rx->last = id_len >= NQD_CID_CERTAIN_LEN ? s : NULL;
	rx->last_id = data + 1;
	rx->last_id_len = id_len;
	return s;
}

static void rx_packet(struct nqd_rx *rx, struct nqd_session *s, const struct rx_place *place,
		      u32 len)
{
	struct nq_rx_pkt *pkt;

	if (rx->n && (rx->session != s || rx->n == NQ_BURST_MAX ||
		      !nqd_addr_equal(&rx->batch_from, &rx->from)))
		open_batch(rx);
	if (!rx->n) {
		rx->session = s;
		rx->batch_from = rx->from;
		rx->batch_local = rx->local;
	}
	/* The stack relies on it that a fragment is charged with no less than its size. */
	rx->origins[rx->n] = (struct rx_origin){ place->page, max(rx->truesize, len) };
	pkt = &rx->pkts[rx->n++];
	*pkt = (struct nq_rx_pkt){ .data = place->data, .len = len, .ecn = rx->ecn };
}

/* ---- buffers ---- */

/* All packets are done with: the buffers they lie in may go. They are no drops. */
static void finish(struct nqd_rx *rx)
{
	struct sk_buff *skb;

	open_batch(rx);
	while ((skb = __skb_dequeue(&rx->held)))
		consume_skb(skb);
	rx->bounce_used = 0;
}

static void set_addresses(struct nqd_rx *rx, const struct sk_buff *skb)
{
	const struct sock *sk = rx->sock->sk;
	__be16 sport = udp_hdr(skb)->source, dport = udp_hdr(skb)->dest;

	memset(&rx->from, 0, sizeof(rx->from));
	memset(&rx->local, 0, sizeof(rx->local));
	if (skb->protocol == htons(ETH_P_IP) && sk->sk_family == AF_INET) {
		rx->from.in.sin_family = AF_INET;
		rx->from.in.sin_port = sport;
		rx->from.in.sin_addr.s_addr = ip_hdr(skb)->saddr;
		rx->local.in.sin_family = AF_INET;
		rx->local.in.sin_port = dport;
		rx->local.in.sin_addr.s_addr = ip_hdr(skb)->daddr;
		rx->ecn = ip_hdr(skb)->tos & INET_ECN_MASK;
		return;
	}
	rx->from.in6.sin6_family = AF_INET6;
	rx->from.in6.sin6_port = sport;
	rx->local.in6.sin6_family = AF_INET6;
	rx->local.in6.sin6_port = dport;
	if (skb->protocol == htons(ETH_P_IP)) {
		ipv6_addr_set_v4mapped(ip_hdr(skb)->saddr, &rx->from.in6.sin6_addr);
		ipv6_addr_set_v4mapped(ip_hdr(skb)->daddr, &rx->local.in6.sin6_addr);
		rx->ecn = ip_hdr(skb)->tos & INET_ECN_MASK;
		return;
	}
	rx->from.in6.sin6_addr = ipv6_hdr(skb)->saddr;
	rx->local.in6.sin6_addr = ipv6_hdr(skb)->daddr;
	rx->from.in6.sin6_scope_id = ipv6_iface_scope_id(&ipv6_hdr(skb)->saddr, inet6_iif(skb));
	rx->local.in6.sin6_scope_id = ipv6_iface_scope_id(&ipv6_hdr(skb)->daddr, inet6_iif(skb));
	rx->ecn = ipv6_get_dsfield(ipv6_hdr(skb)) & INET_ECN_MASK;
}

/* May its memory be written to? */
static bool is_ours(struct sk_buff *skb)
{
	return !skb_cloned(skb) && !skb_has_shared_frag(skb) && !skb_zcopy(skb);
}

/*
 * [*@at, *@at + @len) as far as @skb has it without those it chains: true, if it begins there, and
 * @place without data, if it is not in one piece. False: *@at counts from what follows.
 */
static bool look_in(const struct sk_buff *skb, u32 *at, u32 len, struct rx_place *place)
{
	const skb_frag_t *frag;
	unsigned int i;

	if (*at < skb_headlen(skb)) {
		if (*at + len <= skb_headlen(skb))
			place->data = skb->data + *at;
		return true;
	}
	*at -= skb_headlen(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		frag = &skb_shinfo(skb)->frags[i];
		if (*at < skb_frag_size(frag)) {
			if (*at + len <= skb_frag_size(frag) && !PageHighMem(skb_frag_page(frag))) {
				place->data = (u8 *)skb_frag_address(frag) + *at;
				place->page = skb_frag_page(frag);
			}
			return true;
		}
		*at -= skb_frag_size(frag);
	}
	return false;
}

/* The @len bytes of @skb from @at on, if they lie in one piece of memory of ours. */
static bool in_place(struct sk_buff *skb, u32 at, u32 len, struct rx_place *place)
{
	struct sk_buff *part;

	if (unlikely(!is_ours(skb)))
		return false;
	if (look_in(skb, &at, len, place))
		return place->data;
	skb_walk_frags(skb, part) {
		if (!is_ours(part))
			return false;
		if (look_in(part, &at, len, place))
			return place->data;
	}
	return false;
}

static bool bounce(struct nqd_rx *rx, const struct sk_buff *skb, u32 at, u32 len,
		   struct rx_place *place)
{
	place->data = rx->bounce + rx->bounce_used;
	if (skb_copy_bits(skb, at, place->data, len))
		return false;
	rx->bounce_used += len;
	return true;
}

/* @skb, of whose charge @charge is a part, is for whoever has the socket. */
static void leave_to_owner(struct nqd_rx *rx, struct sk_buff *skb, u32 charge)
{
	rx->charged -= charge;
	if (likely(nqd_owner_take(rx->sock, skb, rx->charged)))
		return;
	trace_nqd_drop(0, 0, NQD_DROP_UNKNOWN_CID);
	rx->charged += charge;
	kfree_skb(skb);
}

/* The same with one packet of a buffer that has others. */
static void leave_packet(struct nqd_rx *rx, const struct sk_buff *skb, const u8 *data, u32 len)
{
	struct sk_buff *copy = nqd_owner_copy(skb, data, len, rx->truesize);

	if (likely(copy))
		leave_to_owner(rx, copy, rx->truesize);
	else
		trace_nqd_drop(0, 0, NQD_DROP_NO_MEMORY);
}

/* Is a packet of @skb behind its first, which is nobody's, a session's? */
static bool others_known(struct nqd_rx *rx, const struct sk_buff *skb, u32 segment)
{
	struct nqd_session *s = NULL;
	u8 head[1 + NQ_CID_MAX_LEN];
	u32 at, n;

	for (at = segment; at < skb->len && !s; at += segment) {
		n = min_t(u32, min(segment, skb->len - at), sizeof(head));
		if (!skb_copy_bits(skb, at, head, n))
			s = find_session(rx, head, n);
	}
	rx->last = NULL;
	return s;
}

/*
 * False: all of it is nobody's, and as it was. A client that renews on its port while its server's
 * sessions move here from nexus-dp has packets of either in one buffer.
 */
static bool rx_packets(struct nqd_rx *rx, struct sk_buff *skb)
{
	u32 len = skb->len, segment = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : len, at, n;
	struct nqd_session *s;

	rx->last = NULL;
	rx->truesize = skb->truesize / DIV_ROUND_UP(len, segment);
	for (at = 0; at < len; at += n) {
		struct rx_place place = {};

		n = min(segment, len - at);
		if (unlikely(!in_place(skb, at, n, &place) && !bounce(rx, skb, at, n, &place)))
			continue;
		s = find_session(rx, place.data, n);
		if (likely(s)) {
			rx_packet(rx, s, &place, n);
			continue;
		}
		if (nqd_reset_received(rx->sock->nn, &rx->from, place.data, n))
			continue;
		if (!at && !others_known(rx, skb, segment))
			return false;
		leave_packet(rx, skb, place.data, n);
	}
	return true;
}

static void rx_skb(struct nqd_rx *rx, struct sk_buff *skb)
{
	bool valid = skb->csum_valid, by_software = skb->csum_complete_sw;
	u8 ip_summed = skb->ip_summed;
	__wsum csum = skb->csum;

	rx->charged += skb->truesize;
	if (unlikely(!skb->len || udp_lib_checksum_complete(skb))) {
		kfree_skb(skb);
		return;
	}
	/* No datagram is longer than what fits there. */
	if (rx->bounce_used + skb->len > BOUNCE_BYTES)
		finish(rx);
	set_addresses(rx, skb);
	if (likely(rx_packets(rx, skb))) {
		__skb_queue_tail(&rx->held, skb);
		return;
	}
	/* The UDP layer has noted that it is not verified, and begins with these. */
	skb->csum = csum;
	skb->ip_summed = ip_summed;
	skb->csum_valid = valid;
	skb->csum_complete_sw = by_software;
	leave_to_owner(rx, skb, skb->truesize);
}

/* ---- the socket ---- */

/* Always the same of one address and port. Not their order: the hash is keyed. */
static struct nqd_rx *lane_of(struct nqd_rx_lanes *lanes, const struct sk_buff *skb)
{
	u32 from, port = (__force u16)udp_hdr(skb)->source;

	if (skb->protocol == htons(ETH_P_IP))
		from = (__force u32)ip_hdr(skb)->saddr;
	else
		from = ipv6_addr_hash(&ipv6_hdr(skb)->saddr);
	return &lanes->lane[reciprocal_scale(jhash_2words(from, port, lanes->key), lanes->n)];
}

void nqd_rx_take(struct nqd_socket *sock, struct sk_buff *skb)
{
	struct nqd_rx *rx = lane_of(sock->dp.rx, skb);

	spin_lock(&rx->todo.lock);
	__skb_queue_tail(&rx->todo, skb);
	spin_unlock(&rx->todo.lock);
	napi_schedule(&rx->napi);
}

static void take_all(struct nqd_socket *sock, struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(queue)))
		nqd_rx_take(sock, skb);
}

/*
 * What the UDP layer has queued is ours now. A reader who was there first has moved it to what is
 * left to him, under this lock.
 */
static void take_queue(struct nqd_socket *sock)
{
	struct sk_buff_head *queue = &sock->sk->sk_receive_queue;
	struct sk_buff_head *left = &udp_sk(sock->sk)->reader_queue;

	spin_lock_bh(&queue->lock);
	if (likely(skb_queue_empty_lockless(left))) {
		take_all(sock, queue);
		spin_unlock_bh(&queue->lock);
		return;
	}
	spin_unlock_bh(&queue->lock);
	spin_lock_bh(&left->lock);
	spin_lock(&queue->lock);
	nqd_owner_sweep(sock);
	take_all(sock, queue);
	spin_unlock(&queue->lock);
	spin_unlock_bh(&left->lock);
}

static void data_ready(struct sock *sk)
{
	struct nqd_socket *sock;

	rcu_read_lock();
	sock = rcu_dereference_sk_user_data(sk);
	if (likely(sock))
		take_queue(sock);
	rcu_read_unlock();
}

/* As the UDP layer does when a reader has taken an skb. */
static void uncharge(struct nqd_rx *rx)
{
	struct sock *sk = rx->sock->sk;

	if (!rx->charged)
		return;
	spin_lock(&sk->sk_receive_queue.lock);
	atomic_sub(rx->charged, &sk->sk_rmem_alloc);
	sk_mem_uncharge(sk, rx->charged);
	spin_unlock(&sk->sk_receive_queue.lock);
	rx->charged = 0;
}

static struct sk_buff *next_skb(struct nqd_rx *rx)
{
	struct sk_buff *skb;

	if (skb_queue_empty_lockless(&rx->todo))
		return NULL;
	spin_lock(&rx->todo.lock);
	skb = __skb_dequeue(&rx->todo);
	spin_unlock(&rx->todo.lock);
	return skb;
}

static int poll(struct napi_struct *napi, int budget)
{
	struct nqd_rx *rx = container_of(napi, struct nqd_rx, napi);
	struct sk_buff *skb;
	int work = 0;

	if (unlikely(!nqd_crypto_usable())) {
		napi_complete_done(napi, 0);
		queue_work_on(smp_processor_id(), poll_wq, &rx->work);
		return 0;
	}
	rcu_read_lock();
	while (work < budget && (skb = next_skb(rx))) {
		work += 1 + (skb_is_gso(skb) ? skb_shinfo(skb)->gso_segs / PACKETS_PER_WORK : 0);
		rx_skb(rx, skb);
		/* What comes meanwhile is not turned away. */
		if (unlikely(rx->charged > READ_ONCE(rx->sock->sk->sk_rcvbuf) / 4))
			uncharge(rx);
	}
	finish(rx);
	rcu_read_unlock();
	uncharge(rx);
	if (work >= budget)
		return budget;
	/* What comes from now on schedules the poll again. */
	napi_complete_done(napi, work);
	return work;
}

/* In process context vector registers are ours: the poll runs as bottom halves come on again. */
static void poll_again(struct work_struct *work)
{
	struct nqd_rx *rx = container_of(work, struct nqd_rx, work);

	local_bh_disable();
	napi_schedule(&rx->napi);
	local_bh_enable();
}

static void free_lanes(struct nqd_rx_lanes *lanes)
{
	unsigned int i;

	for (i = 0; i < lanes->n; i++) {
		free_pages((unsigned long)lanes->lane[i].bounce, BOUNCE_ORDER);
		/* What packets that were not accepted have left in it. */
		kfree_sensitive(lanes->lane[i].punt);
	}
	if (lanes->netdev)
		nqd_free_dummy_netdev(lanes->netdev);
	kvfree(lanes);
}

static struct nqd_rx_lanes *alloc_lanes(void)
{
	unsigned int i, n = min_t(unsigned int, num_online_cpus(), LANES_MAX);
	struct nqd_rx_lanes *lanes = kvzalloc(struct_size(lanes, lane, n), GFP_KERNEL_ACCOUNT);

	if (!lanes)
		return NULL;
	lanes->n = n;
	lanes->key = get_random_u32();
	lanes->netdev = nqd_alloc_dummy_netdev("nexusq");
	if (!lanes->netdev)
		goto free;
	for (i = 0; i < n; i++) {
		lanes->lane[i].bounce = (u8 *)__get_free_pages(GFP_KERNEL_ACCOUNT, BOUNCE_ORDER);
		if (!lanes->lane[i].bounce)
			goto free;
	}
	return lanes;

free:
	free_lanes(lanes);
	return NULL;
}

static void init_lane(struct nqd_rx *rx, struct nqd_socket *sock, struct net_device *netdev)
{
	rx->sock = sock;
	INIT_WORK(&rx->work, poll_again);
	skb_queue_head_init(&rx->todo);
	__skb_queue_head_init(&rx->held);
	INIT_LIST_HEAD(&rx->inner);
	dp_co_init(&rx->co, true);
	netif_napi_add(netdev, &rx->napi, poll);
}

/* GRO looks for a socket that wants buffers of several packets. */
static void accept_gro(struct nqd_socket *sock)
{
	struct sock *sk = sock->sk;

	sock->dp.gro_enabled = udp_test_bit(GRO_ENABLED, sk);
	sock->dp.accept_l4 = udp_test_bit(ACCEPT_L4, sk);
	udp_set_bit(GRO_ENABLED, sk);
	udp_set_bit(ACCEPT_L4, sk);
}

/*
 * As it was, so that an owner who has not asked for it reads each datagram for itself. What is in
 * the queue by then stays as it came, as when an owner turns UDP_GRO off.
 */
static void restore_gro(struct nqd_socket *sock)
{
	struct sock *sk = sock->sk;

	udp_assign_bit(GRO_ENABLED, sk, sock->dp.gro_enabled);
	udp_assign_bit(ACCEPT_L4, sk, sock->dp.accept_l4);
}

int nqd_dp_socket_attach(struct nqd_socket *sock)
{
	struct nqd_rx_lanes *lanes = alloc_lanes();
	struct sock *sk = sock->sk;
	unsigned int i;
	int err;

	if (!lanes)
		return -ENOMEM;
	err = nqd_owner_attach(sk);
	if (err) {
		free_lanes(lanes);
		return err;
	}
	for (i = 0; i < lanes->n; i++)
		init_lane(&lanes->lane[i], sock, lanes->netdev);
	/* If there can be no threads, softirqs do it. */
	if (lanes->n > 1)
		nqd_napi_threads(lanes->netdev);
	for (i = 0; i < lanes->n; i++)
		napi_enable(&lanes->lane[i].napi);
	sock->dp.rx = lanes;
	accept_gro(sock);
	write_lock_bh(&sk->sk_callback_lock);
	sock->dp.data_ready = sk->sk_data_ready;
	sk->sk_data_ready = data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	/* What has come before. */
	local_bh_disable();
	take_queue(sock);
	local_bh_enable();
	return 0;
}

static void stop_lanes(struct nqd_rx_lanes *lanes)
{
	unsigned int i;

	for (i = 0; i < lanes->n; i++) {
		napi_disable(&lanes->lane[i].napi);
		cancel_work_sync(&lanes->lane[i].work);
	}
}

/* None is polled any more, or may find what is another's: what was not come to is the owner's. */
static void empty_lanes(struct nqd_rx_lanes *lanes, struct sk_buff_head *queue)
{
	unsigned int i;

	for (i = 0; i < lanes->n; i++) {
		__netif_napi_del(&lanes->lane[i].napi);
		spin_lock_bh(&queue->lock);
		skb_queue_splice_init(&lanes->lane[i].todo, queue);
		spin_unlock_bh(&queue->lock);
	}
}

void nqd_dp_socket_detach(struct nqd_socket *sock)
{
	struct nqd_rx_lanes *lanes = sock->dp.rx;
	struct sock *sk = sock->sk;

	restore_gro(sock);
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = sock->dp.data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	/* Whoever has read the other one has scheduled the poll by then. */
	synchronize_net();
	/* All that comes is the owner's, and what is in the lanes as well. */
	nqd_owner_detach(sk);
	stop_lanes(lanes);
	empty_lanes(lanes, &sk->sk_receive_queue);
	/* One for all that __netif_napi_del() has taken off, instead of one each. */
	synchronize_net();
	/* Nobody has told him yet of what there is; and who waits does so at the wrong place. */
	if (!sock_flag(sk, SOCK_DEAD))
		sock->dp.data_ready(sk);
	free_lanes(lanes);
	sock->dp.rx = NULL;
}

/* ---- module ---- */

void nqd_rx_init(struct workqueue_struct *wq)
{
	poll_wq = wq;
}
