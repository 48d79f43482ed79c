// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the network to the TUN. A reader follows a datagram downwards:
 *
 *   dp_rx_socket()   receives GRO buffers, several per call
 *   rx_buffer()      splits one into QUIC packets and finds the session of each by its DCID
 *   rx_packet()      gathers the packets of one session
 *   open_batch()     opens them in one call of the engine, in place
 *   deliver()        checks the inner packet against the session's prefixes, carries a CE mark
 *   inside dp_co_add()      joins what belongs together; one write per run
 *   close_run()      no more of this session, or of these buffers: what is joined is written
 *
 * A packet of ours that cannot be opened is silence: counted, never answered.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "dp.h"

#define RX_MSGS 16
/* An odd stride keeps equal offsets of neighbours out of the same cache sets. */
#define RX_BUF_BYTES (65536 + 4096 + 192)
#define RX_ROUNDS 4
#define MIN_PACKET (1 + NQ_CID_LOOKUP_LEN + NQ_PN_LEN)

/* Scratch of the receive path: one thread, so one of each. */
static struct rx_state {
	u8 *bufs;
	struct mmsghdr msgs[RX_MSGS];
	struct iovec iov[RX_MSGS];
	union nqd_addr from[RX_MSGS];
	_Alignas(struct cmsghdr) u8 control[RX_MSGS][192];
	/* Where the buffer in hand was sent to; family 0 = the kernel has not said. */
	union nqd_addr local;
	/* The run in progress: packets of one session, those not opened yet in @pkts, what was in
	 * the others in its device's coalescer. NULL between calls: sessions may go then.
	 */
	struct dp_session *session;
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	struct nq_rx_datagram datagrams[NQ_BURST_MAX];
	unsigned int n;
	/* Room for punted frames, lent to each session in turn: hardly any ever has some. */
	void *punt;
} rx;

int dp_rx_init(void)
{
	unsigned int i;

	if (rx.bufs)
		return 0;
	rx.bufs = malloc((size_t)RX_MSGS * RX_BUF_BYTES);
	if (!rx.bufs)
		return -ENOMEM;
	/* A page is touched first by the largest burst until then: all of them now. */
	memset(rx.bufs, 0, (size_t)RX_MSGS * RX_BUF_BYTES);
	for (i = 0; i < RX_MSGS; i++) {
		rx.iov[i] = (struct iovec){ rx.bufs + (size_t)i * RX_BUF_BYTES, 65536 };
		rx.msgs[i].msg_hdr.msg_iov = &rx.iov[i];
		rx.msgs[i].msg_hdr.msg_iovlen = 1;
	}
	return 0;
}

static void flush_device(struct dp *dp, struct dp_session *s)
{
	struct dp_coalesce *co = &s->dev->co;
	unsigned int packets, n;
	const struct iovec *iov;

	if (!co->n)
		return;
	if (co->n > 1)
		s->counters.gro_rx_coalesced += co->n;
	packets = co->n;
	n = dp_co_finish(co, &iov);
	if (!dp_device_write(s->dev, iov, n))
		s->counters.rx_queue_drops += packets;
}

/* May this session send this packet? Counted if not. */
static bool inner_allowed(struct dp_session *s, const u8 *pkt, u32 len)
{
	struct dp_session *other;

	if (!dp_inner_sane(pkt, len)) {
		s->counters.malformed_drops++;
		return false;
	}
	if (dp_route_src(s->dev, pkt) != s) {
		s->counters.source_prefix_drops++;
		return false;
	}
	if (s->role != NQD_ROLE_SERVER)
		return true;
	other = dp_route_dst(s->dev, pkt);
	if (other && other != s && (!s->peer_group || other->peer_group != s->peer_group)) {
		s->counters.peer_group_drops++;
		return false;
	}
	return true;
}

static void deliver(struct dp *dp, struct dp_session *s, u8 *pkt, u32 len, u8 ecn)
{
	if (s->line.replaced)
		s = dp_heir(s);
	/* One without content only says that the peer's data plane is there. */
	if (!s || s->down || !len || !inner_allowed(s, pkt, len))
		return;
	/* RFC 6040 for a tunnel whose own controller already reacts to CE: a CE mark outside goes
	 * inside if the inner packet is ECN-capable; one that is not stays as it is instead of
	 * being dropped.
	 */
	if (ecn == DP_ECN_CE)
		dp_mark_ce(pkt);
	s->counters.l3_rx_packets++;
	s->counters.l3_rx_bytes += len;
	if (dp_co_add(&s->dev->co, pkt, len))
		return;
	flush_device(dp, s);
	dp_co_add(&s->dev->co, pkt, len);
}

void dp_rx_inner(struct dp *dp, struct dp_session *s, u8 *pkt, u32 len)
{
	if (s->line.unheard)
		nqd_take_over(&dp->lines, &s->line);
	deliver(dp, s, pkt, len, 0);
	flush_device(dp, s);
}

/* Without memory the peer sends again what would have been punted. */
static bool lend_punt(struct dp_session *s)
{
	if (!rx.punt)
		rx.punt = malloc(NQ_PUNT_BYTES);
	return rx.punt && nq_lend_punt(s->conn, rx.punt);
}

/* What was in them may still wait to be joined with what comes next. */
static void open_batch(struct dp *dp)
{
	struct dp_session *s = rx.session;
	unsigned int done = 0, n, i;
	bool lent;

	if (!rx.n)
		return;
	lent = lend_punt(s);
	while (done < rx.n) {
		unsigned int used = nq_rx_open(s->conn, rx.pkts + done, rx.n - done, rx.datagrams,
					       NQ_BURST_MAX, &n, dp->now_us);

		if (n && s->line.unheard)
			nqd_take_over(&dp->lines, &s->line);
		for (i = 0; i < n; i++)
			deliver(dp, s, rx.datagrams[i].data, rx.datagrams[i].len,
				rx.pkts[done + rx.datagrams[i].pkt].ecn);
		if (!used)
			break;
		done += used;
	}
	/* Where frames wait they keep it. */
	if (lent)
		rx.punt = nq_take_unused_punt(s->conn);
	rx.n = 0;
	dp_mark_dirty(dp, s);
}

/*
 * A super-packet of TCP is a little longer than a burst: joined over bursts it stays one for the
 * stack, too.
 */
static void close_run(struct dp *dp)
{
	open_batch(dp);
	if (rx.session)
		flush_device(dp, rx.session);
	rx.session = NULL;
}

static void batch_packet(struct dp *dp, struct dp_session *s, u8 path, u8 ecn, u8 *data, u32 len)
{
	if (rx.session != s)
		close_run(dp);
	else if (rx.n == NQ_BURST_MAX)
		open_batch(dp);
	rx.session = s;
	rx.pkts[rx.n++] = (struct nq_rx_pkt){ .data = data, .len = len, .ecn = ecn, .path = path };
}

/*
 * From an address that its session has not: the client has moved, or somebody forges. The packet is
 * opened alone, and only if it is good the address becomes one of the session's. A short ID may by
 * chance also be that of a handshake in nexus-hsd: both get it, until a good packet has told.
 */
static void stray_packet(struct dp *dp, struct dp_session *s, struct nqd_socket *sock,
			 const union nqd_addr *from, u8 path, u8 ecn, u8 *data, u32 len,
			 bool punted)
{
	bool follows = nqd_follows(s->role, s->flags);
	struct nqd_path addresses;

	if (!follows)
		s->counters.address_drops++;
	if (!punted && s->cid_len < NQD_CID_CERTAIN_LEN)
		dp_punt_to_hsd(dp, sock, from, &rx.local, ecn, HS_PUNT_F_IF_YOURS, data, len);
	if (!follows || !s->conn)
		return;
	nqd_path_init(&addresses, sock, &sock->bound, &rx.local, from);
	close_run(dp);
	batch_packet(dp, s, path, ecn, data, len);
	close_run(dp);
	if (rx.pkts[0].path < NQ_PATHS_MAX)
		dp_path_set(dp, s, rx.pkts[0].path, &addresses);
}

/* No session has such an ID. */
static void unknown_packet(struct dp *dp, struct nqd_socket *sock, const union nqd_addr *from,
			   u8 ecn, const u8 *data, u32 len, bool punted)
{
	if (punted)
		dp->unknown_drops++;
	else
		dp_punt_to_hsd(dp, sock, from, &rx.local, ecn, 0, data, len);
}

/* One QUIC packet. @punted: from nexus-hsd, which has already said that it is not its own. */
static void rx_packet(struct dp *dp, struct nqd_socket *sock, const union nqd_addr *from, u8 ecn,
		      u8 *data, u32 len, bool punted)
{
	struct dp_session *s;
	u8 path;

	s = len < MIN_PACKET || data[0] & 0x80 ? NULL
					       : dp_cid_find(dp, sock, data + 1, len - 1, from);
	if (!s) {
		if (!dp_reset_received(dp, from, data, len))
			unknown_packet(dp, sock, from, ecn, data, len, punted);
		return;
	}
	path = dp_path_number(s, sock, from);
	if (path >= NQ_PATHS_MAX)
		stray_packet(dp, s, sock, from, path, ecn, data, len, punted);
	else if (s->conn)
		batch_packet(dp, s, path, ecn, data, len);
}

static void set_local_v4(const struct cmsghdr *cm, u16 port)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(cm), sizeof(info));
	rx.local.in = (struct sockaddr_in){ .sin_family = AF_INET,
					    .sin_port = port,
					    .sin_addr = info.ipi_addr };
}

static void set_local_v6(const struct cmsghdr *cm, u16 port)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(cm), sizeof(info));
	rx.local.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					      .sin6_port = port,
					      .sin6_addr = info.ipi6_addr };
	if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
		rx.local.in6.sin6_scope_id = info.ipi6_ifindex;
}

static void parse_control(struct msghdr *msg, u16 port, u8 *ecn, u32 *segment)
{
	struct cmsghdr *cm;
	int v = 0;

	rx.local.sa.sa_family = AF_UNSPEC;
	for (cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		if (cm->cmsg_level == IPPROTO_UDP && cm->cmsg_type == UDP_GRO) {
			memcpy(&v, CMSG_DATA(cm), sizeof(v));
			*segment = v > 0 ? v : 0;
		} else if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_TOS) {
			*ecn = *CMSG_DATA(cm) & DP_ECN_MASK;
		} else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_TCLASS) {
			memcpy(&v, CMSG_DATA(cm), sizeof(v));
			*ecn = v & DP_ECN_MASK;
		} else if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_PKTINFO) {
			set_local_v4(cm, port);
		} else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_PKTINFO) {
			set_local_v6(cm, port);
		}
	}
}

static void rx_buffer(struct dp *dp, struct nqd_socket *sock, unsigned int i)
{
	u32 len = rx.msgs[i].msg_len, segment = 0, at;
	u8 *buf = rx.iov[i].iov_base, ecn = 0;

	parse_control(&rx.msgs[i].msg_hdr, sock->port, &ecn, &segment);
	if (!segment)
		segment = len;
	for (at = 0; at < len; at += segment)
		rx_packet(dp, sock, &rx.from[i], ecn, buf + at,
			  len - at < segment ? len - at : segment, false);
}

void dp_rx_socket(struct dp *dp, struct nqd_socket *sock)
{
	unsigned int round, i;
	int n;

	for (round = 0; round < RX_ROUNDS; round++) {
		for (i = 0; i < RX_MSGS; i++) {
			struct msghdr *msg = &rx.msgs[i].msg_hdr;

			memset(&rx.from[i], 0, sizeof(rx.from[i]));
			msg->msg_name = &rx.from[i];
			msg->msg_namelen = sizeof(rx.from[i]);
			msg->msg_control = rx.control[i];
			msg->msg_controllen = sizeof(rx.control[i]);
		}
		n = recvmmsg(sock->watch.fd, rx.msgs, RX_MSGS, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return;
		dp_tick(dp);
		for (i = 0; i < (unsigned int)n; i++)
			rx_buffer(dp, sock, i);
		close_run(dp);
		if (n < RX_MSGS)
			return;
	}
}

/* The socket is named by its port only; the DCID tells which of several it is. */
void dp_rx_punted(struct dp *dp, const struct hs_punt_hdr *hdr, u8 *data, u32 len)
{
	struct nqd_socket *sock, *best = NULL;
	struct dp_session *s;
	union nqd_addr from;

	memcpy(&from, &hdr->remote, sizeof(from));
	TAILQ_FOREACH (sock, &dp->sockets, entry) {
		if (sock->port != hdr->local_port || len < MIN_PACKET)
			continue;
		s = dp_cid_find(dp, sock, data + 1, len - 1, &from);
		if (!s)
			continue;
		if (!best || dp_path_number(s, sock, &from) < NQ_PATHS_MAX)
			best = sock;
	}
	if (!best) {
		dp->unknown_drops++;
		return;
	}
	/* nexus-hsd does not say, and it is not that of the last buffer. */
	rx.local.sa.sa_family = AF_UNSPEC;
	rx_packet(dp, best, &from, hdr->ecn & DP_ECN_MASK, data, len, true);
	close_run(dp);
}
