// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the TUN to the network. A reader follows a packet downwards:
 *
 *   dp_tx_readable()  reads packets and super-packets, each into memory of its own
 *   route_packet()    finds the session, checks the size
 *   queue_packet()    into the session's queue (queue.h); if memory runs out, the fattest loses
 *   dp_tx_turns()     sessions take turns by bytes, a burst each (quic/drr.h)
 *   send_burst()      as many segments as the engine admits: write -> reserve -> seal -> control
 *                     packet behind them -> send -> commit
 *
 * The TUN is read whether a session may send or not: what stands in the kernel's queue can neither
 * be told apart nor judged by its age.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dp.h"

/*
 * One full burst is read before anything is sent. If there is more, twice as much the next time:
 * what arrives faster than it can be sent must wait where it is told apart and judged.
 */
#define READ_BYTES 60000
#define READS_MAX 128
/* So often before others get their turn. */
#define ROUNDS_MAX 4
/* Bursts sent between two of these: more than was read. */
#define TURNS_PER_READ 4
#define ICMP_PER_SECOND 100
#define US_PER_SECOND 1000000
/* A flow's turn is what leaves in a millisecond: short when it matters, whole super-packets when
 * the line is fast.
 */
#define TURNS_PER_SECOND 1000
/* A full queue loses this part at a time: searching the fattest is not for every packet. */
#define OVERFLOW_PART 64

/* ---- the queue and its memory ---- */

static void free_item(struct dp *dp, struct dp_item *item)
{
	dp->txq_bytes -= item->room;
	dp_item_put(dp, item);
}

/* Out of the queue, with whatever is left of it. */
static void drop_item(struct dp *dp, struct dp_session *s, struct dp_item *item)
{
	dp_txq_remove(&s->txq, item);
	free_item(dp, item);
}

void dp_tx_drop_queue(struct dp *dp, struct dp_session *s)
{
	struct dp_item *item;

	while ((item = dp_txq_fattest(&s->txq)))
		drop_item(dp, s, item);
}

static struct dp_session *fattest_session(struct dp *dp)
{
	struct dp_session *s, *fattest = TAILQ_FIRST(&dp->sessions);

	TAILQ_FOREACH (s, &dp->sessions, entry)
		if (s->txq.room > fattest->txq.room)
			fattest = s;
	return fattest;
}

static void drop_fattest(struct dp *dp, struct dp_session *s, u32 keep)
{
	struct dp_item *item;

	while (s->txq.room > keep && (item = dp_txq_fattest(&s->txq))) {
		s->counters.tx_queue_drops += item->segs.left;
		s->counters.congestion_drops += item->segs.left;
		drop_item(dp, s, item);
	}
}

static void bound_memory(struct dp *dp, struct dp_session *s)
{
	if (s->txq.room > DP_TXQ_SESSION_BYTES)
		drop_fattest(dp, s, DP_TXQ_SESSION_BYTES - DP_TXQ_SESSION_BYTES / OVERFLOW_PART);
	while (dp->txq_bytes > DP_TXQ_BYTES) {
		s = fattest_session(dp);
		drop_fattest(dp, s, s->txq.room - s->txq.room / OVERFLOW_PART - 1);
	}
}

/* Bytes of one flow's turn. */
static u32 flow_quantum(const struct dp_session *s)
{
	u64 quantum = nq_pacing_rate_bytes_per_s(s->conn) / TURNS_PER_SECOND;
	u32 least = nq_max_payload_bytes(s->conn);

	if (quantum > DP_GSO_MAX_BYTES)
		return DP_GSO_MAX_BYTES;
	return quantum < least ? least : quantum;
}

void dp_tx_move_queue(struct dp *dp, struct dp_session *to, struct dp_session *from)
{
	/* Without keys it has no rate yet. */
	dp_txq_move(&to->txq, &from->txq, to->conn ? flow_quantum(to) : DP_GSO_MAX_BYTES);
	bound_memory(dp, to);
}

/* Tell the inner sender what fits; a sender that does not listen costs at most this rate. */
static void send_too_big(struct dp *dp, struct dp_device *dev, const u8 *pkt, u32 len, u32 mtu)
{
	static const struct virtio_net_hdr vnet;
	u8 icmp[DP_ICMP_MAX_LEN];
	struct iovec iov[2] = { { (void *)&vnet, sizeof(vnet) }, { icmp, 0 } };

	if (dp->now_us - dev->icmp_window_us >= US_PER_SECOND) {
		dev->icmp_window_us = dp->now_us;
		dev->icmp_sent = 0;
	}
	if (dev->icmp_sent >= ICMP_PER_SECOND)
		return;
	iov[1].iov_len = dp_icmp_too_big(pkt, len, mtu, icmp);
	if (!iov[1].iov_len)
		return;
	dev->icmp_sent++;
	dp_device_write(dev, iov, 2);
}

/*
 * Into the session's queue: true if the item is used. Normally the kernel has cut to the device's
 * MTU; but the path of a session may take less. Then an IPv4 packet without DF is fragmented here, of
 * everything else the sender is told.
 */
static bool queue_packet(struct dp *dp, struct dp_session *s, struct dp_item *item)
{
	struct dp_segs *segs = &item->segs;
	u32 mtu = nq_max_payload_bytes(s->conn);

	if (dp_segs_max_len(segs) > mtu && !dp_segs_fragment(segs, mtu)) {
		s->counters.mtu_drops += segs->left;
		send_too_big(dp, s->dev, segs->pkt, segs->len, mtu);
		return false;
	}
	dp->txq_bytes += item->room;
	dp_txq_push(&s->txq, item, dp_flow_hash(segs->pkt, segs->len, dp->flow_seed),
		    flow_quantum(s), dp->now_us);
	bound_memory(dp, s);
	dp_mark_dirty(dp, s);
	dp_tx_join(dp, s);
	return true;
}

/* One TUN read of @len bytes: virtio header and packet. True if the item is used. */
static bool route_packet(struct dp *dp, struct dp_device *dev, struct dp_item *item, u32 len)
{
	struct virtio_net_hdr vnet;
	struct dp_session *s;

	if (len <= sizeof(vnet))
		return false;
	memcpy(&vnet, item->data, sizeof(vnet));
	if (dp_segs_init(&item->segs, &vnet, item->data + sizeof(vnet), len - sizeof(vnet)))
		return false;
	s = dp_route_dst(dev, item->segs.pkt);
	if (!s || !s->conn || s->down) {
		dev->no_route_drops++;
		if (s)
			s->counters.no_route_drops++;
		return false;
	}
	return queue_packet(dp, s, item);
}

/* ---- reading ---- */

/*
 * Its size is not known before: the first bytes go into a small item, what is more into a big one,
 * behind the place where those belong.
 */
static ssize_t read_item(int fd, struct dp_item *small, struct dp_item *big, bool *is_big)
{
	struct iovec iov[2] = {
		{ small->data, DP_ITEM_SMALL },
		{ big->data + DP_ITEM_SMALL, DP_TUN_READ_MAX - DP_ITEM_SMALL },
	};
	ssize_t n = readv(fd, iov, 2);

	*is_big = n > DP_ITEM_SMALL;
	if (*is_big)
		memcpy(big->data, small->data, DP_ITEM_SMALL);
	return n;
}

/* Read about @max bytes, or @reads packets. False: the TUN has no more. */
static bool read_packets(struct dp *dp, struct dp_queue *q, u32 max, unsigned int reads)
{
	struct dp_item *small = NULL, *big = NULL;
	u32 bytes = 0, i;
	bool more = true;

	for (i = 0; i < reads && bytes < max; i++) {
		bool is_big;
		ssize_t n;

		small = small ?: dp_item_get(dp, false);
		big = big ?: dp_item_get(dp, true);
		if (!small || !big)
			break;
		n = read_item(q->watch.fd, small, big, &is_big);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EBADFD || errno == ENODEV)
				dp_device_dead(dp, q->dev);
			more = false;
			break;
		}
		bytes += n;
		if (!route_packet(dp, q->dev, is_big ? big : small, n))
			continue;
		if (is_big)
			big = NULL;
		else
			small = NULL;
	}
	if (small)
		dp_item_put(dp, small);
	if (big)
		dp_item_put(dp, big);
	return more;
}

void dp_tx_readable(struct dp *dp, struct dp_queue *q)
{
	bool more = true;
	unsigned int round;

	for (round = 0; round < ROUNDS_MAX && more; round++) {
		more = read_packets(dp, q, READ_BYTES << round, READS_MAX << round);
		dp_tx_turns(dp, TURNS_PER_READ);
	}
}

/* ---- a burst ---- */

struct burst {
	struct dp_out *out;
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	unsigned int n, max; /* packets, and as many as may leave */
	u64 room; /* bytes that may leave */
	u32 bytes; /* on the wire */
	bool limited; /* more is there, but may not leave */
};

static void free_dropped(struct dp *dp, struct dp_session *s, struct dp_item_list *dropped)
{
	struct dp_item *item;

	while ((item = TAILQ_FIRST(dropped))) {
		TAILQ_REMOVE(dropped, item, entry);
		free_item(dp, item);
	}
	s->counters.codel_drops += s->txq.codel_drops;
	s->counters.congestion_drops += s->txq.codel_drops;
	s->counters.codel_marks += s->txq.codel_marks;
	s->txq.codel_drops = 0;
	s->txq.codel_marks = 0;
}

/* Write the frame of the item's next segment into the burst. */
static void put_segment(struct dp_session *s, struct burst *b, struct dp_item *item)
{
	struct dp_out *out = b->out;
	u8 *buf = out->data + out->len;
	u32 at = nq_tx_header_bytes(s->conn), len;

	at += nq_tx_datagram_header(s->conn, buf + at);
	len = dp_segs_next(&item->segs, buf + at);
	b->pkts[b->n++] = (struct nq_tx_pkt){ buf, at + len };
	out->size[out->n++] = at + len + NQ_TAG_LEN;
	out->len += at + len + NQ_TAG_LEN;
	b->bytes = out->len;
	s->counters.l3_tx_packets++;
	s->counters.l3_tx_bytes += len;
	dp_txq_took(&s->txq, item, len);
}

/* Segments of one item, until it or the turn of its flow is over. False: the burst is. */
static bool put_item(struct dp *dp, struct dp_session *s, struct burst *b, struct dp_item *item)
{
	u32 overhead = nq_tx_overhead_bytes(s->conn);

	do {
		u32 len = dp_segs_next_len(&item->segs) + overhead;

		if (b->n == NQ_BURST_MAX || b->bytes + len > DP_GSO_MAX_BYTES)
			return false;
		/* A byte for each before it: nq_tx_reserve() is asked with the mean size. */
		b->limited = b->n == b->max || b->bytes + len + b->n > b->room;
		if (b->limited)
			return false;
		put_segment(s, b, item);
	} while (item->segs.left && item->flow->turn.deficit > 0);
	if (item->segs.left)
		return true;
	if (item->segs.kind >= DP_SEG_TCP) {
		s->counters.gso_tx_packets++;
		s->counters.gso_tx_segments += item->segs.index;
	}
	drop_item(dp, s, item);
	return true;
}

/* As many segments as may leave and fit. */
static void fill_burst(struct dp *dp, struct dp_session *s, struct burst *b)
{
	struct dp_item_list dropped = TAILQ_HEAD_INITIALIZER(dropped);
	u32 quantum = flow_quantum(s), mtu = nq_max_payload_bytes(s->conn);
	struct dp_item *item;

	while ((item = dp_txq_next(&s->txq, quantum, mtu, dp->now_us, &dropped))) {
		if (dp_segs_max_len(&item->segs) > mtu && !dp_txq_fragment(&s->txq, item, mtu)) {
			/* The path shrank while it waited. */
			s->counters.mtu_drops += item->segs.left;
			send_too_big(dp, s->dev, item->segs.pkt, item->segs.len, mtu);
			drop_item(dp, s, item);
		} else if (!put_item(dp, s, b, item)) {
			break;
		}
	}
	free_dropped(dp, s, &dropped);
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

static void send_each_alone(struct dp *dp, struct dp_session *s)
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

/* Packets that must be datagrams of their own: to other paths, and probes of the packet size. */
static inline void send_alone(struct dp *dp, struct dp_session *s)
{
	if (unlikely(nq_tx_alone_wanted(s->conn, dp->now_us)))
		send_each_alone(dp, s);
}

/* Reserve and seal what stands in the burst. False: nothing of it may leave. */
static bool seal_burst(struct dp *dp, struct dp_session *s, struct burst *b,
		       struct nq_tx_burst *reserved)
{
	if (nq_tx_reserve(s->conn, reserved, b->n, (b->bytes + b->n - 1) / b->n, dp->now_us) ==
		    b->n &&
	    !nq_tx_seal(s->conn, reserved, b->pkts, b->n))
		return true;
	nq_tx_commit(s->conn, reserved, b->pkts, 0, dp->now_us);
	s->counters.congestion_drops += b->n;
	b->n = 0;
	b->out->n = 0;
	b->out->len = 0;
	return false;
}

/* Why may it not send on, and until when? True: it may. */
static bool ask_limit(struct dp *dp, struct dp_session *s, unsigned int want, u32 full_bytes)
{
	struct nq_tx_burst b;

	if (nq_tx_reserve(s->conn, &b, want, full_bytes, dp->now_us))
		nq_tx_commit(s->conn, &b, NULL, 0, dp->now_us);
	if (b.limit == NQ_TX_PACED)
		s->retry_us = b.retry_us;
	else if (b.limit == NQ_TX_CLOSED)
		dp_tx_drop_queue(dp, s);
	return b.limit == NQ_TX_FREE;
}

static unsigned int wanted(const struct dp_session *s)
{
	return s->txq.segs < NQ_BURST_MAX ? s->txq.segs : NQ_BURST_MAX;
}

/* One burst; its bytes. *@more: there is more and it may be sent. */
static u32 send_burst(struct dp *dp, struct dp_session *s, bool *more)
{
	u32 full = packet_bytes(s);
	struct nq_tx_burst reserved;
	struct burst b;

	*more = false;
	b.out = dp_out_get(dp);
	if (!b.out)
		return 0;
	b.n = 0;
	b.bytes = 0;
	b.limited = false;
	b.max = nq_tx_room(s->conn, wanted(s), full, &b.room, dp->now_us);
	fill_burst(dp, s, &b);
	if (b.n)
		seal_burst(dp, s, &b, &reserved);
	add_control(dp, s, b.out);
	if (b.n)
		nq_tx_commit(s->conn, &reserved, b.pkts, b.n, dp->now_us);
	send_out(dp, s, b.out);
	if (!s->txq.segs)
		return b.bytes;
	*more = (!b.limited || ask_limit(dp, s, wanted(s), full)) && b.n;
	nq_tx_backlog(s->conn);
	return b.bytes;
}

/* ---- turns ---- */

static u32 send_turn(struct dp *dp, struct dp_session *s, bool *more)
{
	/* Before the burst, which leaves the window of a busy session closed: so they would never
	 * leave, and who sends most would not notice that a path has become narrow.
	 */
	send_alone(dp, s);
	return send_burst(dp, s, more);
}

void dp_tx_join(struct dp *dp, struct dp_session *s)
{
	if (!s->txq.segs || !s->conn || s->down || s->socket_blocked)
		return;
	if (s->retry_us != NQ_TIME_NEVER && dp->now_us < s->retry_us)
		return;
	nq_drr_add(&dp->turns, &s->turn, DP_TURN_BYTES);
}

void dp_tx_turns(struct dp *dp, unsigned int max)
{
	struct nq_drr_taker *t;

	for (; max && (t = nq_drr_next(&dp->turns, DP_TURN_BYTES)); max--) {
		struct dp_session *s =
			(struct dp_session *)((u8 *)t - offsetof(struct dp_session, turn));
		bool more = false;

		dp_mark_dirty(dp, s);
		s->retry_us = NQ_TIME_NEVER;
		if (dp_active_path(s)->sock->n_pending)
			s->socket_blocked = true;
		else if (s->txq.segs && !s->down)
			nq_drr_charge(t, send_turn(dp, s, &more));
		if (!more)
			nq_drr_done(&dp->turns);
	}
}

static void send_control(struct dp *dp, struct dp_session *s)
{
	struct dp_out *out = dp_out_get(dp);

	if (!out)
		return;
	add_control(dp, s, out);
	send_out(dp, s, out);
}

void dp_tx_control(struct dp *dp, struct dp_session *s)
{
	bool control = nq_tx_control_wanted(s->conn, dp->now_us);

	if (!control && likely(!nq_tx_alone_wanted(s->conn, dp->now_us)))
		return;
	if (dp_active_path(s)->sock->n_pending) {
		s->socket_blocked = true;
		return;
	}
	if (control)
		send_control(dp, s);
	send_alone(dp, s);
}
