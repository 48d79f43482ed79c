// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dp-hostile SECONDS [SEED]: a flood of hostile packets for the kernel module, as fast as they go. It is
 * the peer of three sessions and has their keys, so it reaches what lies behind packet protection:
 * inner packets of every kind, whole and damaged, alone and as super-packets; frames in any order
 * and of any content; genuine packets that are altered, cut, joined or repeated. As a stranger it sends
 * forged connection IDs, long headers, rubbish, resets, from forged addresses and in IP fragments.
 * Meanwhile the module sends, keys are updated, sessions and devices come and go.
 *
 * For guests whose kernel is full of checks. At the end a session must work as ever. Prints
 * "SENT DELIVERED SESSIONS": datagrams sent, inner packets that the module has let through, sessions made.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi-client.h"
#include "hand-peer.h"
#include "packets.h"

#define MTU 1400
#define PACKET_MAX 2048
#define BURST 32
#define PEERS 3
#define DEVICE "nxh0"
/* Of packets.h, and behind the second session. */
#define HERE "10.1.0.2"
#define HERE6 "3030:3030:3030:3030:3030:3030:3030:3030"
#define BEHIND "10.9.0.2"

struct peer {
	struct nq_conn *conn;
	void *mem;
	int fd;
	struct sockaddr_storage addr;
};

static const struct {
	struct hand_peer how;
	uint32_t flags;
} kinds[PEERS] = {
	/* Whose sources are everybody's. */
	{ { 1, 20, false, MTU, 100000000 }, NQD_SESSION_F_DEFAULT_ROUTE },
	{ { 2, 4, false, MTU, 100000000 }, NQD_SESSION_F_MIGRATION },
	{ { 3, 20, true, MTU, 100000000 }, NQD_SESSION_F_MIGRATION },
};

static struct peer peers[PEERS];
static struct abi abi;
static int udp, inner, raw;
static struct sockaddr_storage bound;
static uint64_t sent, delivered, made;
/* The last burst, for those who repeat it. */
static uint8_t wires[BURST][PACKET_MAX];
static uint32_t lens[BURST];
static unsigned int n_wires;

static void die(const char *what)
{
	fprintf(stderr, "dp-hostile: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- chance ---- */

static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

static void fill(uint8_t *p, uint32_t n)
{
	while (n--)
		*p++ = draw(256);
}

/* A few changes in the first @within bytes, and now and then another length, up to @cap. */
static uint32_t damage(uint8_t *p, uint32_t len, uint32_t within, uint32_t cap)
{
	unsigned int i, n = 1 + draw(4);

	for (i = 0; i < n && len; i++)
		p[draw(within < len ? within : len)] = draw(3) ? draw(256) : draw(2) * 255;
	if (!draw(3))
		len = draw(2) ? draw(len + 1) : len + draw(cap - len + 1);
	return len;
}

/* ---- sessions ---- */

static void run(const char *command)
{
	if (system(command))
		die(command);
}

static void drop_peer(struct peer *p)
{
	if (!p->conn)
		return;
	nq_conn_fini(p->conn);
	free(p->mem);
	p->conn = NULL;
}

static void delete_session(unsigned int i)
{
	struct nxm m;
	size_t nest;
	uint64_t n = abi_stat(&abi, i + 1, NQD_A_STATS_L3_RX_PACKETS);

	delivered += n == UINT64_MAX ? 0 : n;
	abi_begin(&abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, i + 1);
	nxm_nest_end(&m, nest);
	if (abi_call(&abi, &m, NULL, NULL, NULL))
		die("DELETE_SESSION");
}

/* Session @i anew, at both ends. */
static void renew(unsigned int i)
{
	struct abi_session s = { .id = i + 1,
				 .server = !kinds[i].how.server,
				 .number = kinds[i].how.number,
				 .server_cid_len = kinds[i].how.cid_len,
				 .flags = kinds[i].flags,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = MTU,
				 .ifname = DEVICE,
				 .peer_group = 1,
				 .socket = udp,
				 .remote = peers[i].addr,
				 .n_routes = 1,
				 .routes = { { AF_INET, { 10, i == 1 ? 9 : 20 + i, 0, 0 }, 16 } } };
	struct nxm_error e;

	delete_session(i);
	drop_peer(&peers[i]);
	peers[i].conn = hand_peer_make(&kinds[i].how, hand_peer_now_us(), &peers[i].mem);
	if (!peers[i].conn)
		die("peer");
	if (abi_add_session(&abi, &s, &e)) {
		fprintf(stderr, "%s\n", e.text);
		die("ADD_SESSION");
	}
	made++;
}

static void make_device(void)
{
	struct nxm_error e;

	if (abi_create_device(&abi, -1, DEVICE, &e))
		die("CREATE_DEVICE");
	run("ip link set " DEVICE " up && ip address add " HERE "/24 dev " DEVICE
	    " && ip address add " HERE6 "/64 dev " DEVICE
	    " nodad && ip route add 10.9.0.0/16 dev " DEVICE);
}

static int listen_at(int type)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(2000) };
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    (type == SOCK_STREAM && listen(fd, 5)))
		die("port 2000");
	return fd;
}

static void setup(void)
{
	unsigned int i;

	if (unshare(CLONE_NEWNET))
		die("network namespace");
	run("ip link set lo up && sysctl -qw net.ipv4.ip_forward=1");
	if (abi_genl.open(&abi, "module"))
		die("the module");
	make_device();
	udp = abi_open_udp("127.0.0.1", 443, &bound);
	raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	inner = listen_at(SOCK_DGRAM);
	listen_at(SOCK_STREAM);
	if (udp < 0 || raw < 0)
		die("sockets");
	for (i = 0; i < PEERS; i++) {
		peers[i].fd = abi_open_udp("127.0.0.1", 5000 + i, &peers[i].addr);
		if (peers[i].fd < 0)
			die("a peer's socket");
		renew(i);
	}
}

/* ---- what goes out ---- */

static void send_wire(int fd, const uint8_t *wire, uint32_t len)
{
	sendto(fd, wire, len, 0, (struct sockaddr *)&bound, sizeof(struct sockaddr_in));
	sent++;
}

/* The burst, as one super-packet where it can be one. */
static void send_wires(int fd)
{
	static uint8_t joined[BURST * PACKET_MAX];
	int segment = lens[0], off = 0;
	uint32_t at = 0;
	unsigned int i;

	if (!n_wires)
		return;
	for (i = 0; i < n_wires; i++) {
		if ((lens[i] != lens[0] && i + 1 < n_wires) || lens[i] > lens[0] || !lens[i])
			break;
		memcpy(joined + at, wires[i], lens[i]);
		at += lens[i];
	}
	if (i == n_wires && at < 60000 && draw(4)) {
		setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
		send_wire(fd, joined, at);
		setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(off));
		sent += n_wires - 1;
		return;
	}
	for (i = 0; i < n_wires; i++)
		send_wire(fd, wires[i], lens[i]);
}

static void fix_sums(uint8_t *pkt, uint32_t len)
{
	size_t l4 = l4_at(pkt), at = l4 + (pkt[9] == 17 ? 6 : 16);

	memset(pkt + 10, 0, 2);
	put16(pkt + 10, ~naive_sum(0, pkt, l4));
	memset(pkt + at, 0, 2);
	put16(pkt + at, ~naive_l4_sum(pkt, len));
}

/* Packets of one flow, to here or through here; some of them damaged. */
static void inner_burst(unsigned int i)
{
	struct flow f = { .v6 = !draw(3), .udp = draw(2), .seq = draw(1 << 30), .flags = 0x10 };
	uint32_t payload = draw(3) ? 1 + draw(1200) : draw(64), len;
	bool through = !f.v6 && !draw(4), bad = !draw(3);
	unsigned int k, n = 1 + draw(BURST);
	uint8_t pkt[PACKET_MAX];

	f.options = f.udp || draw(2) ? 0 : 4 * draw(11);
	f.tos = draw(256);
	for (k = n_wires = 0; k < n; k++) {
		f.flags = draw(8) ? 0x10 : draw(256);
		len = make_packet(&f, pkt, k + 1 < n || draw(2) ? payload : payload / 2);
		f.seq += payload;
		f.id++;
		if (through) {
			memcpy(pkt + 16, (uint8_t[]){ 10, 9, 0, 2 }, 4);
			fix_sums(pkt, len);
		}
		if (bad && !draw(4))
			len = damage(pkt, len, 80, MTU - 100);
		len = hand_peer_seal(peers[i].conn, wires[n_wires], draw(100) == 0, pkt, len);
		if (!len)
			break;
		lens[n_wires++] = len;
	}
	send_wires(peers[i].fd);
}

static uint32_t put_varint(uint8_t *p)
{
	uint32_t n = 1u << draw(4);

	fill(p, n);
	p[0] = (p[0] & 63) | (n == 8 ? 3 : n / 2) << 6;
	/* Large numbers are mostly refused at once. */
	if (n > 1 && draw(2))
		memset(p + 1, 0, n - 2);
	return n;
}

/* A frame of some type with numbers and bytes behind it, as many as such a frame may have. */
static uint32_t put_frame(uint8_t *p)
{
	static const uint8_t types[] = { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
					 0x0c, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x14, 0x16, 0x18,
					 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x30, 0x31, 0x40 };
	uint32_t at = 1, i, numbers = draw(6), bytes = draw(40);

	p[0] = types[draw(sizeof(types))];
	for (i = 0; i < numbers; i++)
		at += put_varint(p + at);
	fill(p + at, bytes);
	return at + bytes;
}

static void frames(unsigned int i)
{
	uint8_t buf[1024];
	uint32_t at = 0, n = 1 + draw(8);

	while (n-- && at < sizeof(buf) - 128)
		at += put_frame(buf + at);
	if (!draw(4))
		fill(buf, at = 1 + draw(sizeof(buf)));
	n_wires = 0;
	lens[0] = hand_peer_seal_frames(peers[i].conn, wires[0], buf, at);
	if (!lens[0])
		return;
	n_wires = 1;
	send_wires(peers[i].fd);
}

/* The last burst once more: repeated, altered, cut, longer, two in one, or from somebody else. */
static void altered(unsigned int i)
{
	unsigned int k;

	for (k = 0; k < n_wires; k++) {
		if (!draw(3))
			lens[k] = damage(wires[k], lens[k], draw(2) ? 30 : PACKET_MAX, PACKET_MAX);
		if (k && !draw(8) && lens[k - 1] + lens[k] < PACKET_MAX) {
			memcpy(wires[k] + lens[k], wires[k - 1], lens[k - 1]);
			lens[k] += lens[k - 1];
		}
	}
	send_wires(peers[i].fd);
}

/* ---- a stranger's ---- */

/* Sessions' IDs, whole, in part or nearly; long headers; anything. Returns the length. */
static uint32_t stranger(uint8_t *p, uint32_t cap)
{
	static const uint8_t firsts[] = {
		0x40, 0x41, 0x43, 0x5f, 0x7f, 0x00, 0x80, 0xc0, 0xd0, 0xff
	};
	uint32_t len = draw(4) ? draw(80) : draw(cap);
	unsigned int i = draw(PEERS);
	uint8_t id = (kinds[i].how.server ? 0x10 : 0x80) + 4 * kinds[i].how.number + draw(2);

	fill(p, len < 200 ? len : 200);
	if (!len)
		return 0;
	p[0] = firsts[draw(sizeof(firsts))];
	if (draw(3))
		memset(p + 1, id,
		       draw(2) ? len - 1 < 20 ? len - 1 : 20 : draw(len < 24 ? len : 24));
	/* Sometimes a reset token that was given, and with luck an ID that was not. */
	if (len > 40 && !draw(64))
		memset(p + len - 16,
		       (kinds[i].how.server ? 0x80 : 0x10) + 4 * kinds[i].how.number + 8, 16);
	return len;
}

static void rubbish(void)
{
	static uint8_t buf[65000];

	send_wire(peers[draw(PEERS)].fd, buf, stranger(buf, draw(50) ? 1500 : sizeof(buf)));
}

/* With a forged source, possibly a wrong checksum or length, possibly in fragments. */
static void forged(void)
{
	static uint8_t buf[4096];
	struct iphdr *ip = (struct iphdr *)buf;
	struct udphdr *u = (struct udphdr *)(ip + 1);
	uint8_t *data = (uint8_t *)(u + 1);
	uint32_t len = draw(3) || !n_wires ? stranger(data, 3000) : lens[0], at, part;

	if (len == lens[0] && n_wires)
		memcpy(data, wires[0], len);
	*ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	ip->id = htons(draw(65536));
	ip->tos = draw(4);
	ip->saddr = htonl(INADDR_LOOPBACK + (draw(2) ? draw(1 << 16) : 0));
	ip->daddr = htonl(INADDR_LOOPBACK);
	u->source = htons(draw(2) ? 5000 + draw(PEERS) : draw(65536));
	u->dest = htons(443);
	len += sizeof(*u);
	u->len = htons(draw(16) ? len : draw(len + 20));
	u->check = draw(8) ? 0 : draw(65536);
	part = draw(4) ? len : 8 * (1 + draw(100));
	for (at = 0; at < len; at += part) {
		uint8_t out[4096];
		uint32_t n = part < len - at ? part : len - at;

		ip->frag_off = htons(at / 8 | (at + n < len ? IP_MF : 0));
		memcpy(out, ip, sizeof(*ip));
		memcpy(out + sizeof(*ip), (uint8_t *)u + at, n);
		sendto(raw, out, sizeof(*ip) + n, 0, (struct sockaddr *)&bound,
		       sizeof(struct sockaddr_in));
		sent++;
	}
}

/* ---- the other direction, and control ---- */

/* Take what the module sends, and answer it. */
static void listen_to(struct peer *p)
{
	struct nq_rx_datagram d[NQ_BURST_MAX];
	static uint8_t buf[65536];
	struct nq_close_info info;
	unsigned int n;
	ssize_t len;
	uint8_t path;
	int out;

	while ((len = recv(p->fd, buf, sizeof(buf), 0)) > 0) {
		struct nq_rx_pkt pkt = { .data = buf, .len = len };

		nq_rx_open(p->conn, &pkt, 1, d, NQ_BURST_MAX, &n, hand_peer_now_us());
	}
	nq_on_timeout(p->conn, hand_peer_now_us());
	nq_take_events(p->conn);
	while ((out = nq_tx_control(p->conn, buf, 1500, hand_peer_now_us())) > 0 ||
	       (out = nq_tx_alone(p->conn, buf, 1500, hand_peer_now_us(), &path)) > 0)
		send_wire(p->fd, buf, out);
	nq_close_info(p->conn, &info);
	if (info.cause != NQ_CLOSE_NONE)
		renew(p - peers);
}

static void send_inner(void)
{
	static const uint8_t zero[20000];
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	int segment = draw(2) ? 1 + draw(1400) : 0;
	uint32_t len = segment ? segment * (1 + draw(10)) : draw(3000);

	inet_pton(AF_INET6, "::ffff:" BEHIND, &to.sin6_addr);
	setsockopt(inner, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	sendto(inner, zero, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

static void drain_inner(void)
{
	static uint8_t buf[65536];

	while (recv(inner, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		;
}

/* Somebody works at the module's controls. */
static void control(void)
{
	unsigned int i;

	switch (draw(8)) {
	case 0:
		run("ip link set " DEVICE " down && ip link set " DEVICE " up && ip route replace "
		    "10.9.0.0/16 dev " DEVICE);
		break;
	case 1:
		for (i = 0; i < PEERS; i++)
			delete_session(i);
		run("ip link delete " DEVICE);
		make_device();
		for (i = 0; i < PEERS; i++)
			renew(i);
		break;
	default:
		renew(draw(PEERS));
	}
}

static void step(void)
{
	unsigned int i = draw(PEERS);

	switch (draw(16)) {
	case 0 ... 4:
		inner_burst(i);
		break;
	case 5:
		frames(i);
		break;
	case 6 ... 8:
		altered(i);
		break;
	case 9 ... 10:
		rubbish();
		break;
	case 11 ... 12:
		forged();
		break;
	case 13:
		send_inner();
		break;
	default:
		listen_to(&peers[i]);
		drain_inner();
	}
	if (!draw(3000))
		control();
}

/*
 * All that was sent is through: a fresh session has the keys of the one before, and would take its packets for its
 * own. What is nobody's is read; then the socket is charged with nothing.
 */
static bool all_is_through(void)
{
	uint64_t deadline = hand_peer_now_us() + 60000000;
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);
	uint8_t buf[PACKET_MAX];

	do {
		while (recv(udp, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
			;
		if (getsockopt(udp, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
			return false;
	} while (info[SK_MEMINFO_RMEM_ALLOC] && hand_peer_now_us() < deadline);
	return !info[SK_MEMINFO_RMEM_ALLOC];
}

/* A fresh session carries a good packet to its socket, after all that. */
static int still_works(void)
{
	struct pollfd p = { .fd = inner, .events = POLLIN };
	struct flow f = { .udp = true };
	uint8_t pkt[PACKET_MAX], got[PACKET_MAX];
	uint32_t len;

	if (!all_is_through()) {
		fprintf(stderr, "dp-hostile: something stays in the socket\n");
		return 1;
	}
	renew(0);
	drain_inner();
	len = make_packet(&f, pkt, 321);
	len = hand_peer_seal(peers[0].conn, wires[0], 0, pkt, len);
	send_wire(peers[0].fd, wires[0], len);
	while (poll(&p, 1, 10000) == 1)
		if (recv(inner, got, sizeof(got), 0) == 321)
			return 0;
	fprintf(stderr, "dp-hostile: a good packet does not arrive\n");
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t end;
	unsigned int i;
	int bad;

	if (argc < 2) {
		fprintf(stderr, "Usage: dp-hostile SECONDS [SEED]\n");
		return 1;
	}
	state = argc > 2 ? strtoull(argv[2], NULL, 0) : hand_peer_now_us();
	fprintf(stderr, "seed %llu\n", (unsigned long long)state);
	setup();
	end = hand_peer_now_us() + strtoul(argv[1], NULL, 0) * 1000000ull;
	while (hand_peer_now_us() < end)
		step();
	bad = still_works();
	for (i = 0; i < PEERS; i++) {
		delete_session(i);
		drop_peer(&peers[i]);
	}
	printf("%llu %llu %llu\n", (unsigned long long)sent, (unsigned long long)delivered,
	       (unsigned long long)made);
	return bad;
}
