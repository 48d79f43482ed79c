// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the TUN to the network. A reader follows a packet downwards:
 *
 *   dp_tx_readable()  reads packets and super-packets one behind the other into the device's arena
 *   route_packet()    finds the session, checks the size, queues
 *   dp_tx_flush()     as long as the engine admits packets: plan -> reserve -> write segments
 *                     into the burst -> seal -> control packet behind it -> send -> commit
 *   dp_tx_settle()    what congestion control does not admit waits: in the arena, with reading
 *                     stopped, if the device has one session (backpressure reaches the sender);
 *                     else in a copy on the session's bounded queue
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tx-internal.h"

#define READS_MAX 128
/* Full bursts per event before others get their turn. */
#define ROUNDS_MAX 4
#define ICMP_PER_SECOND 100
#define US_PER_SECOND 1000000

static void drop_item(struct dp *dp, struct dp_session *s, struct dp_tx_item *item)
{
	TAILQ_REMOVE(&s->txq, item, entry);
	s->txq_packets--;
	if (item->owned) {
		s->txq_bytes -= item->segs.len;
		free(item->segs.pkt);
	} else {
		s->dev->arena_refs--;
	}
	dp_item_put(dp, item);
}

void dp_tx_drop_queue(struct dp *dp, struct dp_session *s)
{
	struct dp_tx_item *item;

	while ((item = TAILQ_FIRST(&s->txq)))
		drop_item(dp, s, item);
	if (s->dev->blocked && !s->dev->arena_refs)
		dp_device_resume(dp, s->dev);
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
 * Normally the kernel has cut to the device's MTU; but the path of a session may take less. Then an
 * IPv4 packet without DF is fragmented here, of everything else the sender is told.
 */
static void queue_packet(struct dp *dp, struct dp_session *s, struct dp_segs *segs)
{
	u32 mtu = nq_max_payload_bytes(s->conn);
	struct dp_tx_item *item;

	if (dp_segs_max_len(segs) > mtu && !dp_segs_fragment(segs, mtu)) {
		s->counters.mtu_drops += segs->left;
		send_too_big(dp, s->dev, segs->pkt, segs->len, mtu);
		return;
	}
	item = s->txq_packets < DP_TXQ_PACKETS && s->txq_bytes < DP_TXQ_BYTES ? dp_item_get(dp)
									      : NULL;
	if (!item) {
		s->counters.tx_queue_drops += segs->left;
		s->counters.congestion_drops += segs->left;
		return;
	}
	item->segs = *segs;
	item->owned = false;
	s->dev->arena_refs++;
	s->txq_packets++;
	TAILQ_INSERT_TAIL(&s->txq, item, entry);
}

/* One TUN read at @at: virtio header and packet. The session it was queued for, or NULL. */
static struct dp_session *route_packet(struct dp *dp, struct dp_device *dev, u8 *at, u32 len)
{
	struct virtio_net_hdr vnet;
	struct dp_session *s;
	struct dp_segs segs;

	if (len <= sizeof(vnet))
		return NULL;
	memcpy(&vnet, at, sizeof(vnet));
	if (dp_segs_init(&segs, &vnet, at + sizeof(vnet), len - sizeof(vnet)))
		return NULL;
	s = dp_route_dst(dev, segs.pkt);
	if (!s || !s->conn || s->down) {
		dev->no_route_drops++;
		if (s)
			s->counters.no_route_drops++;
		return NULL;
	}
	queue_packet(dp, s, &segs);
	return s;
}

/* Fill the arena. *@drained: the TUN has no more. Sessions that got packets are marked. */
static void read_packets(struct dp *dp, struct dp_queue *q, bool *drained)
{
	struct dp_device *dev = q->dev;
	unsigned int i;

	for (i = 0; i < READS_MAX && dev->arena_len < DP_ARENA_FILL; i++) {
		u8 *at = dev->arena + dev->arena_len;
		ssize_t n = read(q->watch.fd, at, DP_TUN_READ_MAX);
		struct dp_session *s;

		if (n < 0) {
			if (errno == EINTR)
				continue;
			*drained = true;
			if (errno == EBADFD || errno == ENODEV)
				dp_device_dead(dp, dev);
			return;
		}
		s = route_packet(dp, dev, at, n);
		if (!s)
			continue;
		/* Keep every packet's start aligned. */
		dev->arena_len += (n + 63) & ~63;
		dp_mark_dirty(dp, s);
	}
}

void dp_tx_readable(struct dp *dp, struct dp_queue *q)
{
	struct dp_device *dev = q->dev;
	struct dp_session *s;
	bool drained = false;
	unsigned int round;

	for (round = 0; round < ROUNDS_MAX && !drained && !dev->blocked; round++) {
		if (!dev->arena_refs)
			dev->arena_len = 0;
		read_packets(dp, q, &drained);
		/* Every session with packets is on the dirty list; it stays there for its timer. */
		TAILQ_FOREACH (s, &dp->dirty, dirty_entry) {
			if (s->dev != dev || !s->txq_packets)
				continue;
			dp_tx_flush(dp, s);
			dp_tx_settle(dp, s);
		}
	}
}

/* How many segments of the queue make the next burst, and the largest packet among them. */
static unsigned int plan_burst(struct dp *dp, struct dp_session *s, u32 *pkt_bytes)
{
	u32 overhead = nq_tx_overhead_bytes(s->conn), mtu = nq_max_payload_bytes(s->conn);
	struct dp_tx_item *item, *next;
	u32 bytes = 0, largest = 0;
	unsigned int n = 0;

	for (item = TAILQ_FIRST(&s->txq); item && n < NQ_BURST_MAX; item = next) {
		u32 len = dp_segs_max_len(&item->segs) + overhead, k;

		next = TAILQ_NEXT(item, entry);
		/* The path shrank while it waited. */
		if (len > mtu + overhead && dp_segs_fragment(&item->segs, mtu))
			len = dp_segs_max_len(&item->segs) + overhead;
		if (len > mtu + overhead) {
			s->counters.mtu_drops += item->segs.left;
			send_too_big(dp, s->dev, item->segs.pkt, item->segs.len, mtu);
			drop_item(dp, s, item);
			continue;
		}
		k = (DP_GSO_MAX_BYTES - bytes) / len;
		if (k > item->segs.left)
			k = item->segs.left;
		if (k > NQ_BURST_MAX - n)
			k = NQ_BURST_MAX - n;
		n += k;
		bytes += k * len;
		if (k && len > largest)
			largest = len;
		if (k < item->segs.left)
			break;
	}
	*pkt_bytes = largest;
	return n;
}

/* Write the frames of @n segments into the burst. */
static void fill_burst(struct dp *dp, struct dp_session *s, struct dp_out *out,
		       struct nq_tx_pkt *pkts, unsigned int n, u32 hdr_len)
{
	u32 inner_bytes = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct dp_tx_item *item = TAILQ_FIRST(&s->txq);
		u8 *buf = out->data + out->len;
		u32 at = hdr_len + nq_tx_datagram_header(s->conn, buf + hdr_len), len;

		len = dp_segs_next(&item->segs, buf + at);
		inner_bytes += len;
		pkts[i] = (struct nq_tx_pkt){ buf, at + len };
		out->size[out->n++] = at + len + NQ_TAG_LEN;
		out->len += at + len + NQ_TAG_LEN;
		if (item->segs.left)
			continue;
		if (item->segs.kind >= DP_SEG_TCP) {
			s->counters.gso_tx_packets++;
			s->counters.gso_tx_segments += item->segs.index;
		}
		drop_item(dp, s, item);
	}
	s->counters.l3_tx_packets += n;
	s->counters.l3_tx_bytes += inner_bytes;
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

/* One burst: true if there may be more to send now. */
static bool flush_burst(struct dp *dp, struct dp_session *s, unsigned int want, u32 pkt_bytes)
{
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	struct nq_tx_burst b = { 0 };
	struct dp_out *out = dp_out_get(dp);
	unsigned int n;

	if (!out)
		return false;
	n = nq_tx_reserve(s->conn, &b, want, pkt_bytes, dp->now_us);
	if (n < want && b.limit == NQ_TX_PACED)
		s->retry_us = b.retry_us;
	if (n) {
		fill_burst(dp, s, out, pkts, n, b.hdr_len);
		if (nq_tx_seal(s->conn, &b, pkts, n)) {
			/* Counted by the engine; nothing of it may leave. */
			nq_tx_commit(s->conn, &b, pkts, 0, dp->now_us);
			dp_out_put(dp, out);
			return false;
		}
	}
	add_control(dp, s, out);
	if (n)
		nq_tx_commit(s->conn, &b, pkts, n, dp->now_us);
	send_out(dp, s, out);
	if (n < want && b.limit == NQ_TX_CLOSED)
		dp_tx_drop_queue(dp, s);
	return n == want;
}

void dp_tx_flush(struct dp *dp, struct dp_session *s)
{
	struct dp_out *out;
	bool more = true;
	u32 pkt_bytes;

	s->retry_us = NQ_TIME_NEVER;
	while (more) {
		unsigned int want;

		dp_tick(dp);
		if (dp_active_path(s)->sock->n_pending) {
			s->socket_blocked = true;
			goto alone;
		}
		want = s->down ? 0 : plan_burst(dp, s, &pkt_bytes);
		if (!want)
			break;
		more = flush_burst(dp, s, want, pkt_bytes);
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
	if (s->dev->blocked && !s->dev->arena_refs)
		dp_device_resume(dp, s->dev);
}

/* Give a waiting packet memory of its own. */
static bool own_packet(struct dp_session *s, struct dp_tx_item *item)
{
	u8 *copy = malloc(item->segs.len);

	if (!copy)
		return false;
	memcpy(copy, item->segs.pkt, item->segs.len);
	item->segs.pkt = copy;
	item->owned = true;
	s->txq_bytes += item->segs.len;
	s->dev->arena_refs--;
	return true;
}

void dp_tx_settle(struct dp *dp, struct dp_session *s)
{
	struct dp_tx_item *item, *next;
	unsigned int i;

	if (!s->dev->arena_refs || !s->txq_packets)
		return;
	if (s->dev->n_sessions == 1) {
		s->dev->blocked = true;
		for (i = 0; i < s->dev->n_queues; i++)
			dp_watch_mod(dp, &s->dev->queues[i].watch, 0);
		return;
	}
	for (item = TAILQ_FIRST(&s->txq); item; item = next) {
		next = TAILQ_NEXT(item, entry);
		if (item->owned || (s->txq_bytes < DP_TXQ_BYTES && own_packet(s, item)))
			continue;
		s->counters.tx_queue_drops += item->segs.left;
		s->counters.congestion_drops += item->segs.left;
		drop_item(dp, s, item);
	}
}
