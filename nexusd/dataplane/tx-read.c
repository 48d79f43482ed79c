// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the TUN to the session, the first half of the way out. A reader follows a packet downwards:
 *
 *   dp_tx_readable()  reads packets and super-packets one behind the other (store.h)
 *   route_packet()    finds the session, checks the size
 *   queue_packet()    behind what waits already, or first to leave
 *   tx.c              sends; what may not leave yet waits in the session's queue (queue.h)
 *
 * The TUN is always read, whatever waits: in its own queue everything would wait for everything else.
 */
#include <errno.h>
#include <unistd.h>

#include "tx-internal.h"

/* Three full bursts of single packets. */
#define READS_MAX (3 * NQ_BURST_MAX)
/* Full turns of reading per event before others get theirs. */
#define ROUNDS_MAX 2
/* If the TUN was not looked at for so long and then holds so much, it has piled up. */
#define PILE_US 20000
#define PILE_PACKETS 32
#define PILE_BYTES 60000
#define ICMP_PER_SECOND 100
#define US_PER_SECOND 1000000

/* A sender that does not listen costs at most this rate. */
void dp_tx_too_big(struct dp *dp, struct dp_device *dev, const u8 *pkt, u32 len, u32 mtu)
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
static void queue_packet(struct dp *dp, struct dp_session *s, u32 len, struct dp_segs *segs)
{
	u32 mtu = nq_max_payload_bytes(s->conn);
	struct dp_pkt *pkt;

	if (dp_segs_max_len(segs) > mtu && !dp_segs_fragment(segs, mtu)) {
		s->counters.mtu_drops += segs->left;
		dp_tx_too_big(dp, s->dev, segs->pkt, segs->len, mtu);
		return;
	}
	pkt = dp_store_keep(&dp->store, len, segs);
	if (!pkt) {
		dp_tx_count_overflow(s, segs->left);
		return;
	}
	if (dp_fq_segments(s->fq))
		dp_tx_wait(dp, s, pkt);
	else
		TAILQ_INSERT_TAIL(&s->fresh, pkt, entry);
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
	queue_packet(dp, s, len, &segs);
	return s;
}

/* What one turn of reading has brought. */
struct filling {
	unsigned int packets; /* and super-packets */
	u32 bytes;
	bool drained; /* the TUN has no more */
};

/* Sessions that get packets are marked. */
static struct filling read_packets(struct dp *dp, struct dp_queue *q)
{
	struct dp_device *dev = q->dev;
	struct filling f = { 0 };

	while (f.packets < READS_MAX && f.bytes < DP_READ_FILL) {
		u8 *at = dp_store_room(&dp->store);
		struct dp_session *s;
		ssize_t n;

		if (!at)
			break;
		n = read(q->watch.fd, at, DP_STORE_READ_MAX);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			f.drained = true;
			if (errno == EBADFD || errno == ENODEV)
				dp_device_dead(dp, dev);
			break;
		}
		f.packets++;
		s = route_packet(dp, dev, at, n);
		if (!s)
			continue;
		f.bytes += n;
		dp_mark_dirty(dp, s);
	}
	return f;
}

static bool has_packets(const struct dp_session *s)
{
	return !TAILQ_EMPTY(&s->fresh) || dp_fq_segments(s->fq);
}

/* Much waited in the TUN although nobody was slow but this process. */
static void excuse_pile(struct dp *dp, struct dp_device *dev, u64 gap_us)
{
	struct dp_session *s;

	TAILQ_FOREACH (s, &dp->dirty, dirty_entry) {
		if (s->dev != dev || !has_packets(s))
			continue;
		if (!s->fq)
			s->fq = dp_fq_new(&dp->fq_pool);
		if (s->fq)
			dp_fq_excuse(s->fq, gap_us, dp->now_us);
	}
}

void dp_tx_readable(struct dp *dp, struct dp_queue *q)
{
	struct dp_device *dev = q->dev;
	u64 gap_us = dp->now_us - dev->read_us;
	struct filling f = { 0 };
	struct dp_session *s;
	unsigned int round;

	dev->answers = false;
	for (round = 0; round < ROUNDS_MAX && !f.drained; round++) {
		f = read_packets(dp, q);
		if (!round && gap_us > PILE_US &&
		    (f.packets > PILE_PACKETS || f.bytes > PILE_BYTES))
			excuse_pile(dp, dev, gap_us);
		/* Every session with packets is on the dirty list; it stays there for its timer. */
		TAILQ_FOREACH (s, &dp->dirty, dirty_entry) {
			if (s->dev != dev || !has_packets(s))
				continue;
			dp_tx_flush(dp, s);
			dp_tx_settle(dp, s);
		}
	}
	dev->read_us = dp->now_us;
}

void dp_tx_answers(struct dp *dp)
{
	struct dp_device *dev;
	unsigned int i;

	TAILQ_FOREACH (dev, &dp->devices, entry) {
		if (!dev->answers)
			continue;
		for (i = 0; i < dev->n_queues && !dev->dead; i++)
			dp_tx_readable(dp, &dev->queues[i]);
	}
}
