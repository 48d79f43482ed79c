// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packets through a running data plane, whose peers and users this process is (t-traffic.h). How rarely
 * their doings are told: test-rare.c.
 *
 * Usage: test-traffic NEXUS_DP|module
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <net/if.h>
#include <unistd.h>
#include <cmocka.h>

#include "hs_proto.h"
#include "packets.h"
#include "t-traffic.h"

/* Whose server IDs are the same four bytes, and of those the longer one's first. */
enum { SHORT = 2, LONG, SHORT_TOO, MOVING, FOLLOWED, SERVER, PEERS };
static const struct peer_kind kinds[PEERS] = {
	{ 1, 20, 0 },
	{ 2, 20, 0 },
	{ 3, 4, 0 },
	{ 3, 6, 0 },
	{ 3, 4, 0 },
	{ 4, 4, NQD_SESSION_F_MIGRATION },
	{ 5, 20, NQD_SESSION_F_MIGRATION },
	{ 6, 20, 0, true },
};

static int group_setup(void **state)
{
	return traffic_setup(kinds, PEERS);
}

static bool inner_receives(void *buf, u32 len, int timeout_ms)
{
	struct pollfd p = { .fd = inner, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 && recv(inner, buf, 65536, 0) == len;
}

static void good_packets_arrive(void **state)
{
	static u8 got[65536];
	u8 pkt[1500];
	u32 len;

	NEED_ROOT();
	len = udp_packet(pkt, 5, 1, 300);
	send_inner(&peers[0], pkt, len);
	assert_true(inner_receives(got, 300, TIMEOUT_MS));
	assert_memory_equal(got, pkt + 28, 300);
	expect_stat(1, NQD_A_STATS_L3_RX_PACKETS, 1);
	expect_stat(1, NQD_A_STATS_L3_RX_BYTES, len);
	/* The same wire packet again is a duplicate, delivered never. */
	send_wire(peers[0].fd, peers[0].buf, len + 25 + 2 + 16);
	expect_stat(1, NQD_A_STATS_DUPLICATE_DROPS, 1);
	assert_false(inner_receives(got, 300, 0));
}

static void bad_packets_do_not(void **state)
{
	static u8 got[65536];
	u8 pkt[1500];
	u32 len, n;

	NEED_ROOT();
	assert_int_equal(0, abi_stat(&abi, 2, NQD_A_STATS_L3_RX_PACKETS));
	/* A source that is another session's, and one that is nobody's. */
	send_inner(&peers[1], pkt, udp_packet(pkt, 5, 1, 100));
	send_inner(&peers[1], pkt, udp_packet(pkt, 99, 1, 100));
	expect_stat(2, NQD_A_STATS_SOURCE_PREFIX_DROPS, 2);
	/* To another client, without a common group. */
	send_inner(&peers[1], pkt, udp_packet(pkt, 6, 5, 100));
	expect_stat(2, NQD_A_STATS_PEER_GROUP_DROPS, 1);
	/* Lengths and version that do not fit. */
	len = udp_packet(pkt, 6, 1, 100);
	send_inner(&peers[1], pkt, len - 1);
	send_inner(&peers[1], pkt, 19);
	pkt[0] = 0x55;
	send_inner(&peers[1], pkt, len);
	pkt[0] = 0x4f;
	send_inner(&peers[1], pkt, 40);
	pkt[0] = 0x60;
	send_inner(&peers[1], pkt, len);
	expect_stat(2, NQD_A_STATS_FRAME_ERRORS, 5);
	/* Of a context that nobody knows. */
	n = seal_context(&peers[1], 1, pkt, udp_packet(pkt, 6, 1, 100));
	send_wire(peers[1].fd, peers[1].buf, n);
	expect_stat(2, NQD_A_STATS_DATAGRAM_DROPS, 1);
	/* Damaged on the wire; then the same one from an address that is not the session's. */
	n = seal(&peers[1], pkt, udp_packet(pkt, 6, 1, 100));
	peers[1].buf[n - 1] ^= 1;
	send_wire(peers[1].fd, peers[1].buf, n);
	expect_stat(2, NQD_A_STATS_AEAD_OPEN_FAILURES, 1);
	peers[1].buf[n - 1] ^= 1;
	send_wire(peers[0].fd, peers[1].buf, n);
	expect_stat(2, NQD_A_STATS_ADDRESS_DROPS, 1);
	assert_int_equal(abi_stat(&abi, 2, NQD_A_STATS_L3_RX_PACKETS), 0);
	assert_false(inner_receives(got, 100, 0));
	/* And the session is unharmed. */
	send_wire(peers[1].fd, peers[1].buf, n);
	assert_true(inner_receives(got, 100, TIMEOUT_MS));
}

/* Open what nexus-dp sends to @p until @want datagrams came; each is checked. */
static void take_datagrams(struct peer *p, unsigned int want, u32 len, const u8 *payload)
{
	struct nq_rx_datagram d[NQ_BURST_MAX];
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	unsigned int got = 0, n;

	while (got < want) {
		struct nq_rx_pkt pkt = { .data = p->buf };
		ssize_t r;

		assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
		r = recv(p->fd, p->buf, sizeof(p->buf), 0);
		assert_true(r > 0);
		/* What follows a client that moved here in another test. */
		if (p->buf[1] >> 2 != (0x10 + 4 * kinds[p - peers].number) >> 2)
			continue;
		pkt.len = r;
		nq_rx_open(p->conn, &pkt, 1, d, NQ_BURST_MAX, &n, now_us());
		assert_int_equal(pkt.status, NQ_RX_OK);
		if (!n)
			continue;
		assert_int_equal(n, 1);
		if (d[0].len != len || d[0].data[19] != payload[0])
			continue; /* what the kernel says on its own */
		assert_true(naive_good(d[0].data, len));
		assert_memory_equal(d[0].data + 28, payload + 1 + got * (len - 28), len - 28);
		got++;
	}
}

static void packets_leave(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int segment = 500, off = 0;
	u8 payload[1 + 5000] = { 5 };
	unsigned int i;

	NEED_ROOT();
	for (i = 1; i < sizeof(payload); i++)
		payload[i] = i * 13;
	inet_pton(AF_INET, "10.7.0.5", &to.sin_addr);
	assert_int_equal(sendto(inner, payload + 1, 200, 0, (void *)&to, sizeof(to)), 200);
	take_datagrams(&peers[0], 1, 228, payload);
	/* Ten in one call: a super-packet where the kernel makes one. */
	assert_int_equal(setsockopt(inner, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(int)), 0);
	assert_int_equal(sendto(inner, payload + 1, 5000, 0, (void *)&to, sizeof(to)), 5000);
	take_datagrams(&peers[0], 10, 528, payload);
	assert_int_equal(setsockopt(inner, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(int)), 0);
}

/* Two echo requests from 10.7.0.5 leave @p as one datagram each, in one call. */
static void send_pings(struct peer *p)
{
	u8 pkt[1500], wire[3000];
	u32 len, one = 0, all = 0;
	int i, segment, off = 0;

	for (i = 0; i < 2; i++) {
		len = udp_packet(pkt, 5, 1, 100);
		pkt[9] = IPPROTO_ICMP;
		memset(pkt + 10, 0, 2);
		put16(pkt + 10, ~naive_sum(0, pkt, 20));
		memcpy(pkt + 20, (u8[]){ 8, 0, 0, 0, 0, 1, 0, i }, 8);
		put16(pkt + 22, ~naive_sum(0, pkt + 20, len - 20));
		one = seal(p, pkt, len);
		memcpy(wire + all, p->buf, one);
		all += one;
	}
	segment = one;
	assert_int_equal(setsockopt(p->fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(int)), 0);
	send_wire(p->fd, wire, all);
	assert_int_equal(setsockopt(p->fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(int)), 0);
}

static u64 in_flight(struct peer *p)
{
	struct nq_stats stats;

	nq_get_stats(p->conn, &stats, now_us());
	return stats.bytes_in_flight;
}

/* Take one packet: is an echo reply in it? */
static bool take_reply(struct peer *p)
{
	struct nq_rx_datagram d[NQ_BURST_MAX];
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	struct nq_rx_pkt pkt = { .data = p->buf };
	unsigned int n;

	assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
	pkt.len = recv(p->fd, p->buf, sizeof(p->buf), 0);
	nq_rx_open(p->conn, &pkt, 1, d, NQ_BURST_MAX, &n, now_us());
	return n && d[0].len > 20 && d[0].data[9] == IPPROTO_ICMP && !d[0].data[20];
}

/* What the stack answers at once leaves before the acknowledgement of what it answers, not after. */
static void answers_and_acks(void **state)
{
	struct peer *p = &peers[0];
	int round, replies;

	NEED_PROCESS();
	for (round = 0; round < 5; round++) {
		send_pings(p);
		for (replies = 0; replies < 2; replies += take_reply(p))
			assert_true(!round || in_flight(p));
		/* Of earlier tests nothing is open after the first round. */
		while (in_flight(p))
			take_reply(p);
	}
}

/* A peer that acknowledges nothing fills its own queue and stops nobody else. */
static void silent_peer_holds_up_nobody(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull, drops;
	u8 payload[1 + 1200] = { 5 };

	NEED_ROOT();
	inet_pton(AF_INET, "10.7.0.6", &to.sin_addr);
	do {
		int i;

		for (i = 0; i < 200; i++)
			sendto(inner, payload + 1, 1200, 0, (void *)&to, sizeof(to));
		drops = abi_stat(&abi, 2, NQD_A_STATS_TX_QUEUE_DROPS);
	} while (!drops && now_us() < deadline);
	assert_true(drops > 0);
	inet_pton(AF_INET, "10.7.0.5", &to.sin_addr);
	assert_int_equal(sendto(inner, payload + 1, 222, 0, (void *)&to, sizeof(to)), 222);
	take_datagrams(&peers[0], 1, 250, payload);
	assert_int_equal(abi_stat(&abi, 1, NQD_A_STATS_TX_QUEUE_DROPS), 0);
}

/* Three live sessions whose IDs begin with the same four bytes each get what is theirs. */
static void same_beginnings(void **state)
{
	static u8 got[65536];
	u8 pkt[1500];
	int i, round;

	NEED_ROOT();
	for (round = 1; round <= 2; round++) {
		for (i = SHORT; i <= SHORT_TOO; i++) {
			send_inner(&peers[i], pkt, udp_packet(pkt, 5 + i, 1, 100));
			assert_true(inner_receives(got, 100, TIMEOUT_MS));
			expect_stat(i + 1, NQD_A_STATS_L3_RX_PACKETS, round);
		}
	}
	for (i = SHORT; i <= SHORT_TOO; i++)
		assert_int_equal(abi_stat(&abi, i + 1, NQD_A_STATS_AEAD_OPEN_FAILURES), 0);
	/* From nobody's address: the longer ID is meant. */
	send_wire(peers[0].fd, peers[LONG].buf, seal(&peers[LONG], pkt, udp_packet(pkt, 8, 1, 9)));
	expect_stat(LONG + 1, NQD_A_STATS_ADDRESS_DROPS, 1);
}

/* Is a copy of these bytes on its way to the handshake daemon, and nothing else? */
static bool copied(const u8 *wire, u32 len)
{
	u8 msg[sizeof(struct hs_punt_hdr) + 2000];
	struct hs_punt_hdr hdr;
	ssize_t n = recv(abi.punt_fd, msg, sizeof(msg), MSG_DONTWAIT);

	if (n < 0)
		return false;
	assert_int_equal(n, sizeof(hdr) + len);
	memcpy(&hdr, msg, sizeof(hdr));
	assert_int_equal(hdr.to_dp, 0);
	assert_int_equal(hdr.flags, HS_PUNT_F_IF_YOURS);
	assert_memory_equal(msg + sizeof(hdr), wire, len);
	return true;
}

/*
 * A short ID from a new address may be that of a handshake: nexus-hsd sees it too, until the
 * session has proved that it is the one that moved.
 */
static void copies_of_doubtful_packets(void **state)
{
	u8 pkt[1500];
	u32 n;
	u8 *wire = peers[MOVING].buf;

	NEED_PROCESS();
	while (recv(abi.punt_fd, pkt, sizeof(pkt), MSG_DONTWAIT) > 0)
		;
	n = seal(&peers[MOVING], pkt, udp_packet(pkt, 5 + MOVING, 1, 100));
	wire[n - 1] ^= 1;
	send_wire(peers[0].fd, wire, n);
	expect_stat(MOVING + 1, NQD_A_STATS_AEAD_OPEN_FAILURES, 1);
	assert_true(copied(wire, n));
	wire[n - 1] ^= 1;
	send_wire(peers[0].fd, wire, n);
	expect_stat(MOVING + 1, NQD_A_STATS_L3_RX_PACKETS, 1);
	assert_true(copied(wire, n));
	n = seal(&peers[MOVING], pkt, udp_packet(pkt, 5 + MOVING, 1, 100));
	send_wire(peers[0].fd, wire, n);
	expect_stat(MOVING + 1, NQD_A_STATS_L3_RX_PACKETS, 2);
	assert_false(copied(wire, n));
	/* Of its own address, and of a long ID, there was never a doubt. */
	send_inner(&peers[MOVING], pkt, udp_packet(pkt, 5 + MOVING, 1, 100));
	expect_stat(MOVING + 1, NQD_A_STATS_L3_RX_PACKETS, 3);
	send_wire(peers[SHORT].fd, peers[1].buf, seal(&peers[1], pkt, udp_packet(pkt, 6, 1, 100)));
	expect_stat(2, NQD_A_STATS_ADDRESS_DROPS, 2);
	assert_false(copied(wire, n));
}

/* ---- buffers that the receiving machine has joined ---- */

/* As many packets as @whose has letters leave @p in one call: 's' is of its session, 'n' nobody's. */
static u32 send_joined(struct peer *p, const char *whose, u8 *nobodys)
{
	u8 pkt[200], wire[16 * 400];
	int segment, off = 0;
	u32 len = 0, all = 0;

	segment = seal(p, pkt, udp_packet(pkt, 5, 1, 100));
	for (; *whose; whose++, all += len) {
		len = seal(p, pkt, udp_packet(pkt, 5, 1, 100));
		assert_int_equal(len, segment);
		if (*whose == 's') {
			memcpy(wire + all, p->buf, len);
			continue;
		}
		memset(wire + all, ++*nobodys, len);
		wire[all] = 0x40;
	}
	assert_int_equal(setsockopt(p->fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(int)), 0);
	send_wire(p->fd, wire, all);
	assert_int_equal(setsockopt(p->fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(int)), 0);
	return len;
}

/* The next that is nobody's is one datagram of @len bytes of @value, from @p. */
static void expect_nobodys(const struct peer *p, u8 value, u32 len)
{
	struct sockaddr_storage from;
	u8 got[2000], want[2000];

	memset(want, value, len);
	want[0] = 0x40;
	assert_int_equal(abi.ops->punted(&abi, udp, got, sizeof(got), &from, TIMEOUT_MS), len);
	assert_memory_equal(got, want, len);
	assert_int_equal(((struct sockaddr_in *)&from)->sin_port,
			 ((const struct sockaddr_in *)&p->addr)->sin_port);
}

/* One buffer with packets of a session and others, in whatever order: everybody has his own. */
static void joined_with_others(void **state)
{
	static const char *const buffers[] = { "sns", "nss", "ssn", "nsnn", "nnns", "nsnsnsns" };
	struct peer *p = &peers[0];
	static u8 got[65536];
	u8 sent = 0xe0, seen = 0xe0; /* no ID begins with these */
	struct sockaddr_storage from;
	const char *kind;
	u64 received;
	u32 i, len;

	NEED_ROOT();
	received = abi_stat(&abi, 1, NQD_A_STATS_L3_RX_PACKETS);
	while (abi.ops->punted(&abi, udp, got, sizeof(got), &from, 0) > 0)
		;
	for (i = 0; i < sizeof(buffers) / sizeof(*buffers); i++) {
		len = send_joined(p, buffers[i], &sent);
		for (kind = buffers[i]; *kind; kind++) {
			if (*kind == 'n')
				expect_nobodys(p, ++seen, len);
			else
				received++;
		}
		expect_stat(1, NQD_A_STATS_L3_RX_PACKETS, received);
	}
	assert_true(abi.ops->punted(&abi, udp, got, sizeof(got), &from, 0) < 0);
	while (inner_receives(got, 100, 0))
		;
}

/* ---- paths: peers that answer ---- */

/* A client whose NAT gives it another port: it is asked, followed, and reported. */
static void client_is_followed(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct peer *p = &peers[FOLLOWED];
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	struct sockaddr_storage addr;
	int events, fd, i;
	u8 pkt[1500];
	u64 got;

	NEED_ROOT();
	serve(p, p->fd);
	events = abi.events[NQD_EVENT_PATH_CHANGED];
	got = abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS);
	fd = abi_open_udp("127.0.0.1", 0, &addr);
	send_wire(fd, p->buf, seal(p, pkt, udp_packet(pkt, 5 + FOLLOWED, 1, 100)));
	/* As yet it may be somebody who copies what he sees: nobody is told that the user is there. */
	expect_stat(FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS, got + 1);
	for (i = 0; i < 3; i++)
		abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS);
	assert_int_equal(abi.events[NQD_EVENT_PATH_CHANGED], events);
	serve_until(p, fd, FOLLOWED + 1, NQD_A_STATS_MIGRATIONS, 1);
	expect_stat(FOLLOWED + 1, NQD_A_STATS_ADDRESS_DROPS, 0);
	wait_event(NQD_EVENT_PATH_CHANGED, events + 1);
	inet_pton(AF_INET, "10.7.0.11", &to.sin_addr);
	do {
		assert_int_equal(sendto(inner, pkt, 300, 0, (void *)&to, sizeof(to)), 300);
		assert_true(now_us() < deadline);
	} while (!serve(p, fd));
	close(fd);
}

/*
 * A packet that nexus-hsd hands back, from an address that its client moved to: it is answered from
 * the address that the kernel chooses, whatever an earlier packet was sent to.
 */
static void client_is_followed_behind_hsd(void **state)
{
	struct abi_session s = { .id = 50,
				 .server = true,
				 .number = 16,
				 .flags = NQD_SESSION_F_MIGRATION,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = MTU,
				 .ifname = ifname };
	struct sockaddr_in from;
	u8 pkt[1500], msg[sizeof(struct hs_punt_hdr) + 1500];
	struct hs_punt_hdr hdr = { .to_dp = 1 };
	struct sockaddr_storage any, moved;
	socklen_t len = sizeof(from);
	static struct peer p;
	struct pollfd pfd = { .events = POLLIN };
	struct nxm_error e;
	int on = 1;

	NEED_PROCESS();
	make_peer(&p, 16, 20, false);
	s.socket = abi_open_udp("0.0.0.0", 0, &any);
	assert_int_equal(setsockopt(s.socket, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	s.remote = p.addr;
	add_route(&s, 50, 32);
	if (abi_add_session(&abi, &s, &e))
		fail_msg("%s", e.text);
	p.paths[0].sin_port = ((struct sockaddr_in *)&any)->sin_port;
	inet_pton(AF_INET, "127.0.0.9", &p.paths[0].sin_addr);
	send_path(&p, p.fd, 0, p.buf, seal(&p, pkt, udp_packet(pkt, 50, 1, 100)));
	expect_stat(50, NQD_A_STATS_L3_RX_PACKETS, 1);
	pfd.fd = abi_open_udp("127.0.0.1", 0, &moved);
	memcpy(&hdr.remote.in, &moved, sizeof(hdr.remote.in));
	hdr.local_port = p.paths[0].sin_port;
	hdr.len = seal(&p, pkt, udp_packet(pkt, 50, 1, 100));
	memcpy(msg, &hdr, sizeof(hdr));
	memcpy(msg + sizeof(hdr), p.buf, hdr.len);
	assert_int_equal(send(abi.punt_fd, msg, sizeof(hdr) + hdr.len, 0), sizeof(hdr) + hdr.len);
	expect_stat(50, NQD_A_STATS_L3_RX_PACKETS, 2);
	assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
	assert_true(recvfrom(pfd.fd, pkt, sizeof(pkt), 0, (void *)&from, &len) > 0);
	assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK);
	close(pfd.fd);
	close(s.socket);
	nq_conn_fini(p.conn);
	free(p.mem);
}

/* Ask nexus-dp to move session @id to the socket @fd, or with -1 to where it is; @to: its peer. */
static int move_session(uint64_t id, int fd, const struct sockaddr_storage *to, struct nxm_error *e)
{
	size_t nest;
	struct nxm m;

	abi_begin(&abi, &m, NQD_CMD_UPDATE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	if (fd >= 0)
		abi_put_fd(&abi, &m, NQD_A_SESSION_SOCKET_FD, fd);
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, to, sizeof(struct sockaddr_in));
	nxm_nest_end(&m, nest);
	return abi_call(&abi, &m, e, NULL, NULL);
}

/* nexus-dp as a client goes to another address of this machine, and answers stop nowhere. */
static void client_migrates(void **state)
{
	struct sockaddr_storage second, third;
	u64 deadline = now_us() + 2 * TIMEOUT_MS * 1000ull;
	struct peer *p = &peers[SERVER];
	int events, fds[2], i;
	struct nxm_error e;
	struct nq_stats s;
	u8 pkt[1500];

	NEED_ROOT();
	assert_int_equal(move_session(FOLLOWED + 1, -1, &peers[FOLLOWED].addr, &e), -EPERM);
	fds[0] = abi_open_udp("127.0.0.2", 0, &second);
	fds[1] = abi_open_udp("127.0.0.3", 0, &third);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	serve(p, p->fd);
	for (i = 0; i < 2; i++) {
		events = abi.events[NQD_EVENT_PATH_CHANGED];
		/* The second time its spare ID may be on the way yet. */
		while (move_session(SERVER + 1, fds[i], &p->addr, &e) == -ENOBUFS && i) {
			serve(p, p->fd);
			assert_true(now_us() < deadline);
		}
		assert_int_equal(e.err, 0);
		serve_until(p, p->fd, SERVER + 1, NQD_A_STATS_MIGRATIONS, i + 1);
		wait_event(NQD_EVENT_PATH_CHANGED, events + 1);
		/* The peer has followed, and has what it needs for the next time. */
		do {
			serve(p, p->fd);
			nq_get_stats(p->conn, &s, now_us());
			assert_true(now_us() < deadline);
		} while (s.count.migrations < (u64)i + 1);
		assert_int_equal(path_of(p, (struct sockaddr_in *)(i ? &third : &second)),
				 nq_active_path(p->conn));
		send_path(p, p->fd, nq_active_path(p->conn), p->buf,
			  seal(p, pkt, udp_packet(pkt, 5 + SERVER, 1, 100)));
		serve_until(p, p->fd, SERVER + 1, NQD_A_STATS_L3_RX_PACKETS, i + 1);
	}
	/* To where it is: it only asks. */
	assert_int_equal(move_session(SERVER + 1, -1, &p->addr, &e), 0);
	expect_stat(SERVER + 1, NQD_A_STATS_MIGRATIONS, 2);
	close(fds[0]);
	close(fds[1]);
}

/* ---- one session takes the place of another ---- */

#define USER 77
#define OLD 20
#define NEW 21
/* Both have the first two as one prefix; the newer one has a closer one of the second, and more. */
#define HOST 30
#define OF_BOTH (HOST + 1)
#define OF_NEW (HOST + 2)

static struct abi_session add_line_member(struct peer *p, uint64_t id, uint8_t number, u32 flags,
					  bool no_keys)
{
	struct abi_session s = { .id = id,
				 .user = USER,
				 .server = true,
				 .number = number,
				 .flags = flags,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = MTU,
				 .ifname = ifname,
				 .socket = udp,
				 .no_keys = no_keys };
	struct nxm_error e;

	make_peer(p, number, 20, false);
	s.remote = p->addr;
	add_route(&s, HOST, 31);
	if (flags & NQD_SESSION_F_REPLACE) {
		add_route(&s, OF_BOTH, 32);
		add_route(&s, OF_NEW, 32);
	}
	if (abi_add_session(&abi, &s, &e))
		fail_msg("%s", e.text);
	return s;
}

/* Whatever the engine of @p has to say goes out. */
static void say(struct peer *p)
{
	u8 buf[2048];
	int n;

	while ((n = nq_tx_control(p->conn, buf, sizeof(buf), now_us())) > 0)
		send_wire(p->fd, buf, n);
}

/* The next DATAGRAM that comes to @p: its length; -1 if the connection was closed instead. */
static int next_datagram(struct peer *p)
{
	struct nq_rx_datagram d[NQ_BURST_MAX];
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	struct nq_close_info info;
	unsigned int n;

	while (now_us() < deadline) {
		struct nq_rx_pkt pkt = { .data = p->buf };
		ssize_t r;

		nq_close_info(p->conn, &info);
		if (info.cause != NQ_CLOSE_NONE)
			return -1;
		nq_on_timeout(p->conn, now_us());
		say(p);
		/* A delayed acknowledgement falls due meanwhile. */
		if (poll(&pfd, 1, 10) != 1)
			continue;
		r = recv(p->fd, p->buf, sizeof(p->buf), 0);
		assert_true(r > 0);
		pkt.len = r;
		nq_rx_open(p->conn, &pkt, 1, d, NQ_BURST_MAX, &n, now_us());
		assert_int_equal(pkt.status, NQ_RX_OK);
		if (n)
			return d[0].len;
	}
	fail_msg("nothing came");
	return -1;
}

static void send_to(u8 host, u32 payload)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	static u8 zero[1200];

	memcpy(&to.sin_addr, (u8[]){ 10, 7, 0, host }, 4);
	assert_int_equal(sendto(inner, zero, payload, 0, (void *)&to, sizeof(to)), payload);
}

static bool session_is_gone(uint64_t id)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;

	while (abi_stat(&abi, id, NQD_A_STATS_UPTIME_MS) != UINT64_MAX)
		if (now_us() > deadline)
			return false;
	return true;
}

static void make_before_break(void **state)
{
	static struct peer old, new;
	static u8 got[65536];
	u64 handshake_ago_ms;
	u8 pkt[1500];
	u32 len;

	NEED_ROOT();
	while (recv(inner, got, sizeof(got), MSG_DONTWAIT) >= 0)
		;
	add_line_member(&old, OLD, 10, 0, false);
	len = udp_packet(pkt, HOST, 1, 100);
	send_inner(&old, pkt, len);
	assert_true(inner_receives(got, 100, TIMEOUT_MS));
	add_line_member(&new, NEW, 11, NQD_SESSION_F_REPLACE, false);
	/* It greets its peer, and the older one carries on in both directions. */
	assert_int_equal(next_datagram(&new), 0);
	send_to(HOST, 200);
	assert_int_equal(next_datagram(&old), 228);
	send_inner(&old, pkt, udp_packet(pkt, HOST, 1, 104));
	assert_true(inner_receives(got, 104, TIMEOUT_MS));
	/* Also with what the newer one has a closer prefix of; what only that has is nobody's. */
	send_to(OF_NEW, 203);
	send_to(OF_BOTH, 205);
	assert_int_equal(next_datagram(&old), 233);
	send_inner(&old, pkt, udp_packet(pkt, OF_BOTH, 1, 105));
	assert_true(inner_receives(got, 105, TIMEOUT_MS));
	assert_int_equal(abi_stat(&abi, NEW, NQD_A_STATS_L3_TX_PACKETS), 0);
	assert_int_equal(abi_stat(&abi, OLD, NQD_A_STATS_NO_ROUTE_DROPS), 0);
	/* Acknowledgements are not enough: the peer's handshake daemon sends them, too. */
	say(&new);
	send_to(HOST, 201);
	assert_int_equal(next_datagram(&old), 229);
	/* The peer's data plane greets: from now on the newer one sends. */
	assert_int_equal(nq_tx_queue_empty_datagram(new.conn), 0);
	say(&new);
	expect_stat(NEW, NQD_A_STATS_L3_RX_PACKETS, 3);
	while (abi.events[NQD_EVENT_SESSION_DOWN] == 0)
		abi_stat(&abi, NEW, NQD_A_STATS_UPTIME_MS);
	send_to(HOST, 202);
	assert_int_equal(next_datagram(&new), 230);
	send_to(OF_NEW, 206);
	assert_int_equal(next_datagram(&new), 234);
	send_to(OF_BOTH, 207);
	assert_int_equal(next_datagram(&new), 235);
	/* What was late on the older one still comes in, and counts for the line. */
	send_inner(&old, pkt, udp_packet(pkt, HOST, 1, 102));
	assert_true(inner_receives(got, 102, TIMEOUT_MS));
	send_inner(&new, pkt, udp_packet(pkt, HOST, 1, 106));
	assert_true(inner_receives(got, 106, TIMEOUT_MS));
	expect_stat(NEW, NQD_A_STATS_L3_RX_PACKETS, 5);
	expect_stat(NEW, NQD_A_STATS_L3_TX_PACKETS, 6);
	assert_int_equal(abi_stat(&abi, NEW, NQD_A_STATS_DATAGRAM_TX_FRAMES), 6);
	assert_int_equal(abi_stat(&abi, NEW, NQD_A_STATS_FRAME_ERRORS), 0);
	/* The older of the two is asked for last: time goes on between the questions. */
	handshake_ago_ms = abi_stat(&abi, NEW, NQD_A_STATS_HANDSHAKE_AGO_MS);
	assert_true(abi_stat(&abi, NEW, NQD_A_STATS_UPTIME_MS) >= handshake_ago_ms);
	/* Silence ends it, with a word. */
	assert_int_equal(next_datagram(&old), -1);
	assert_true(session_is_gone(OLD));
	send_to(HOST, 204);
	assert_int_equal(next_datagram(&new), 232);
	nq_conn_fini(old.conn);
	nq_conn_fini(new.conn);
	free(old.mem);
	free(new.mem);
}

/* A request about a session, with its keys or with nothing. */
static void command(u8 cmd, uint64_t id, const struct abi_session *keys)
{
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, cmd, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	if (keys)
		abi_put_keys(&m, keys);
	if (abi_call(&abi, &m, &e, NULL, NULL))
		fail_msg("%s", e.text);
}

/* The older one ends while the newer one has no keys: what it had to send waits for them. */
static void heir_without_keys(void **state)
{
	static struct peer old, new;
	struct abi_session s;
	unsigned int n;
	u64 sent;
	int len;

	NEED_ROOT();
	command(NQD_CMD_DELETE_SESSION, NEW, NULL);
	add_line_member(&old, OLD, 13, 0, false);
	s = add_line_member(&new, NEW, 14, NQD_SESSION_F_REPLACE, true);
	/* More than the first window, to a peer that does not answer; then one read last. */
	sent = abi_stat(&abi, 1, NQD_A_STATS_L3_TX_PACKETS);
	for (n = 0; n < 40; n++)
		send_to(HOST, 1000);
	send_to(5, 10);
	expect_stat(1, NQD_A_STATS_L3_TX_PACKETS, sent + 1);
	command(NQD_CMD_DELETE_SESSION, OLD, NULL);
	sent = abi_stat(&abi, NEW, NQD_A_STATS_L3_TX_PACKETS);
	assert_in_range(sent, 1, 39);
	assert_true(abi_stat(&abi, NEW, NQD_A_STATS_CWND_DELAYS) > 0);
	command(NQD_CMD_SET_KEYS, NEW, &s);
	while (sent < 40) {
		len = next_datagram(&new);
		if (!len)
			continue;
		assert_int_equal(len, 1028);
		sent++;
	}
	expect_stat(NEW, NQD_A_STATS_L3_TX_PACKETS, 40);
	assert_int_equal(abi_stat(&abi, NEW, NQD_A_STATS_TX_QUEUE_DROPS), 0);
	nq_conn_fini(old.conn);
	nq_conn_fini(new.conn);
	free(old.mem);
	free(new.mem);
}

/* ---- sockets that do not send ---- */

#define ROAMER 40
#define SOURCE "fd99::1"

/* @n packets that the data plane finds all at once: a burst. */
static void send_burst(u8 host, unsigned int n, u32 payload)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int status, segment = payload, off = 0;
	static u8 zero[8000];

	memcpy(&to.sin_addr, (u8[]){ 10, 7, 0, host }, 4);
	if (module) {
		assert_int_equal(setsockopt(inner, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(int)),
				 0);
		assert_int_equal(sendto(inner, zero, n * payload, 0, (void *)&to, sizeof(to)),
				 n * payload);
		setsockopt(inner, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(int));
		return;
	}
	assert_int_equal(kill(abi.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(abi.pid, &status, WUNTRACED), abi.pid);
	while (n--)
		assert_int_equal(sendto(inner, zero, payload, 0, (void *)&to, sizeof(to)), payload);
	assert_int_equal(kill(abi.pid, SIGCONT), 0);
}

/* Does a super-packet come to @fd, which takes them whole? */
static bool super_packet_comes(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static u8 got[65536];

	while (poll(&p, 1, 1000) == 1)
		if (recv(fd, got, sizeof(got), 0) > 1500)
			return true;
	return false;
}

/* It may be used when this returns: the kernel looks for duplicates of it first, also on lo. */
static void add_source(void)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	struct sockaddr_storage source;
	int fd;

	assert_int_equal(system("ip addr add " SOURCE "/128 dev lo"), 0);
	while ((fd = abi_open_udp(SOURCE, 0, &source)) < 0)
		assert_true(now_us() < deadline);
	close(fd);
}

/* A source address that goes and comes back is no reason to send packets one by one for ever. */
static void source_vanishes(void **state)
{
	struct abi_session s = { .id = ROAMER,
				 .server = true,
				 .number = 12,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = MTU,
				 .ifname = ifname,
				 .n_routes = 1,
				 .routes = { { AF_INET, { 10, 7, 0, 40 }, 32 } } };
	struct sockaddr_storage any;
	struct nxm_error e;
	int on = 1, fd;

	NEED_ROOT();
	add_source();
	s.socket = abi_open_udp("::", 0, &any);
	fd = abi_open_udp("::1", 0, &s.remote);
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)), 0);
	s.local.ss_family = AF_INET6;
	inet_pton(AF_INET6, SOURCE, &((struct sockaddr_in6 *)&s.local)->sin6_addr);
	if (abi_add_session(&abi, &s, &e))
		fail_msg("%s", e.text);
	send_burst(40, 5, 320);
	assert_true(super_packet_comes(fd));
	assert_int_equal(system("ip addr del " SOURCE "/128 dev lo"), 0);
	send_burst(40, 5, 320);
	expect_stat(ROAMER, NQD_A_STATS_L3_TX_PACKETS, 10);
	add_source();
	send_burst(40, 5, 320);
	assert_true(super_packet_comes(fd));
	close(s.socket);
	close(fd);
}

/* nexus-dp has read what was sent to the TUN before. */
static void wait_read(void)
{
	u64 before = abi_stat(&abi, 1, NQD_A_STATS_L3_TX_PACKETS);

	send_to(5, 10);
	expect_stat(1, NQD_A_STATS_L3_TX_PACKETS, before + 1);
}

/*
 * A client's session @id whose socket is full, because its server is a neighbour that does not
 * answer ARP, for as long as the kernel asks: 10.99.0.@id. The number of packets that it has sent;
 * one more waits. Its socket is left in *@fd.
 */
static u64 add_stuck_session(uint64_t id, int *fd)
{
	struct abi_session s = { .id = id,
				 .number = id,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = MTU,
				 .ifname = ifname };
	struct sockaddr_in *remote = (struct sockaddr_in *)&s.remote;
	struct sockaddr_storage local;
	u64 sent = 0, before;
	int size = 1, outq = 0;
	struct nxm_error e;

	if (!if_nametoindex("nxup"))
		assert_int_equal(
			system("ip link add nxup type veth peer name nxdown && "
			       "ip link set nxdown up && ip link set nxup up && "
			       "ip addr add 10.99.0.1/24 dev nxup && "
			       "ip ntable change name arp_cache dev nxup mcast_probes 600"),
			0);
	s.socket = *fd = abi_open_udp("10.99.0.1", 0, &local);
	assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	*remote = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(9) };
	memcpy(&remote->sin_addr, (u8[]){ 10, 99, 0, id }, 4);
	add_route(&s, id, 32);
	if (abi_add_session(&abi, &s, &e))
		fail_msg("%s", e.text);
	do {
		before = sent;
		send_to(id, 1000);
		wait_read();
		sent = abi_stat(&abi, id, NQD_A_STATS_L3_TX_PACKETS);
	} while (sent > before);
	assert_int_equal(ioctl(*fd, SIOCOUTQ, &outq), 0);
	assert_true(outq > 4000);
	return sent;
}

/* What a full socket holds back costs no time, and leaves when there is an answer. */
static void full_socket(void **state)
{
	u64 sent, deadline = now_us() + TIMEOUT_MS * 1000ull;
	unsigned long ticks;
	struct pollfd none;
	int fd;

	NEED_PROCESS();
	sent = add_stuck_session(41, &fd);
	/* Then it has something to say itself. */
	while (!abi_stat(&abi, 41, NQD_A_STATS_PTOS))
		assert_true(now_us() < deadline);
	ticks = abi_cpu_ticks(&abi);
	/* Time has to pass to see that nothing happens in it. */
	poll(&none, 0, 1000);
	assert_true(abi_cpu_ticks(&abi) - ticks < 15);
	assert_int_equal(abi_stat(&abi, 41, NQD_A_STATS_L3_TX_PACKETS), sent);
	assert_int_equal(system("ip neigh replace 10.99.0.41 lladdr 02:00:00:00:00:02 dev nxup "
				"nud permanent"),
			 0);
	expect_stat(41, NQD_A_STATS_L3_TX_PACKETS, sent + 1);
	close(fd);
}

/* To leave the path whose socket is full, a client must be able to ask on another. */
static void way_round_full_socket(void **state)
{
	struct sockaddr_storage local, remote;
	struct pollfd p = { .events = POLLIN };
	struct nxm_error e;
	int fd, second;

	NEED_PROCESS();
	add_stuck_session(42, &fd);
	second = abi_open_udp("127.0.0.4", 0, &local);
	p.fd = abi_open_udp("127.0.0.1", 0, &remote);
	assert_int_equal(move_session(42, second, &remote, &e), 0);
	assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
	close(fd);
	close(second);
	close(p.fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_packets_arrive),
		cmocka_unit_test(bad_packets_do_not),
		cmocka_unit_test(same_beginnings),
		cmocka_unit_test(copies_of_doubtful_packets),
		cmocka_unit_test(joined_with_others),
		cmocka_unit_test(make_before_break),
		cmocka_unit_test(heir_without_keys),
		cmocka_unit_test(packets_leave),
		cmocka_unit_test(answers_and_acks),
		cmocka_unit_test(silent_peer_holds_up_nobody),
		cmocka_unit_test(client_is_followed),
		cmocka_unit_test(client_is_followed_behind_hsd),
		cmocka_unit_test(client_migrates),
		cmocka_unit_test(source_vanishes),
		cmocka_unit_test(full_socket),
		cmocka_unit_test(way_round_full_socket),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-traffic NEXUS_DP|module\n");
		return 1;
	}
	program = argv[1];
	module = abi_transport_for(program)->module;
	return cmocka_run_group_tests(tests, group_setup, traffic_teardown);
}
