// SPDX-License-Identifier: GPL-2.0-or-later
/* Peers of a running data plane: see t-traffic.h. */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "t-traffic.h"

const char *program;
bool module;
struct abi abi;
char ifname[IFNAMSIZ];
int udp, inner;
struct sockaddr_storage bound;
struct peer peers[PEERS_MAX];

u64 now_us(void)
{
	return hand_peer_now_us();
}

static void set_addr(int fd, unsigned long what, const char *addr)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;

	memcpy(ifr.ifr_name, ifname, IFNAMSIZ);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, addr, &in->sin_addr);
	assert_int_equal(ioctl(fd, what, &ifr), 0);
}

static void bring_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

void make_peer(struct peer *p, unsigned int number, u8 cid_len, bool server)
{
	const struct hand_peer how = {
		.number = number, .cid_len = cid_len, .server = server, .path_mtu = MTU
	};

	p->conn = hand_peer_make(&how, now_us(), &p->mem);
	assert_non_null(p->conn);
	p->fd = abi_open_udp("127.0.0.1", 0, &p->addr);
	assert_true(p->fd >= 0);
	memcpy(&p->paths[0], &bound, sizeof(p->paths[0]));
}

void add_route(struct abi_session *s, u8 host, u8 len)
{
	s->routes[s->n_routes].family = AF_INET;
	s->routes[s->n_routes].len = len;
	memcpy(s->routes[s->n_routes++].addr, (u8[]){ 10, 7, 0, host }, 4);
}

int traffic_setup(const struct peer_kind *kinds, unsigned int n)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(2000) };
	struct nxm_error e;
	unsigned int i;
	int tun;

	if (geteuid() || unshare(CLONE_NEWNET))
		return 0;
	bring_up("lo");
	strcpy(ifname, "nxt0");
	tun = module ? -1 : abi_open_tun(ifname);
	if (!module && tun < 0)
		return 0;
	assert_int_equal(abi_transport_for(program)->open(&abi, program), 0);
	assert_int_equal(abi_create_device(&abi, tun, ifname, &e), 0);
	udp = abi_open_udp("127.0.0.1", 0, &bound);
	inner = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bring_up(ifname);
	set_addr(inner, SIOCSIFADDR, "10.7.0.1");
	set_addr(inner, SIOCSIFNETMASK, "255.255.255.0");
	inet_pton(AF_INET, "10.7.0.1", &local.sin_addr);
	assert_int_equal(bind(inner, (struct sockaddr *)&local, sizeof(local)), 0);
	for (i = 0; i < n; i++) {
		struct abi_session s = { .id = i + 1,
					 .server = !kinds[i].server,
					 .number = kinds[i].number,
					 .server_cid_len = kinds[i].cid_len,
					 .flags = kinds[i].flags,
					 .cipher = NQD_CIPHER_AES_128_GCM,
					 .mtu = MTU,
					 .ifname = ifname,
					 .socket = udp };

		make_peer(&peers[i], kinds[i].number, kinds[i].cid_len, kinds[i].server);
		s.remote = peers[i].addr;
		add_route(&s, 5 + i, 32);
		assert_int_equal(abi_add_session(&abi, &s, &e), 0);
	}
	return 0;
}

int traffic_teardown(void **state)
{
	unsigned int i;

	if (!peers[0].conn)
		return 0;
	abi.ops->close(&abi);
	for (i = 0; i < PEERS_MAX && peers[i].conn; i++) {
		nq_conn_fini(peers[i].conn);
		free(peers[i].mem);
	}
	return 0;
}

u32 seal_context(struct peer *p, u8 context, const u8 *pkt, u32 len)
{
	len = hand_peer_seal(p->conn, p->buf, context, pkt, len);
	assert_true(len > 0);
	return len;
}

u32 seal(struct peer *p, const u8 *pkt, u32 len)
{
	return seal_context(p, 0, pkt, len);
}

void send_wire(int fd, const u8 *wire, u32 len)
{
	assert_int_equal(
		sendto(fd, wire, len, 0, (struct sockaddr *)&bound, sizeof(struct sockaddr_in)),
		len);
}

void send_inner(struct peer *p, const u8 *pkt, u32 len)
{
	send_wire(p->fd, p->buf, seal(p, pkt, len));
}

void expect_stat(uint64_t session, uint16_t stat, uint64_t want)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull, v;

	do {
		v = abi_stat(&abi, session, stat);
	} while (v < want && now_us() < deadline);
	if (v != want)
		fail_msg("%s is %llu instead of %llu", nqd_stats_set.policy[stat].name,
			 (unsigned long long)v, (unsigned long long)want);
}

u8 path_of(const struct peer *p, const struct sockaddr_in *from)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (p->paths[i].sin_port == from->sin_port &&
		    p->paths[i].sin_addr.s_addr == from->sin_addr.s_addr)
			return i;
	return NQ_PATH_NEW;
}

void send_path(struct peer *p, int fd, u8 path, const u8 *wire, u32 len)
{
	sendto(fd, wire, len, 0, (void *)&p->paths[path], sizeof(p->paths[path]));
}

/* Replace the IDs that nexus-dp has retired. */
static void refill(struct peer *p)
{
	struct nq_cid cid = { 0 };
	static u8 next = 0xc0;

	while (nq_take_retired_cid(p->conn, &cid)) {
		memset(cid.id, next++, cid.len);
		assert_int_equal(nq_add_local_cid(p->conn, &cid), 0);
	}
}

unsigned int serve(struct peer *p, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct nq_rx_datagram d[NQ_BURST_MAX];
	unsigned int n = 0, datagrams = 0;
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	u8 buf[1500], path;
	ssize_t r;
	int size;

	poll(&pfd, 1, 20);
	while ((r = recvfrom(fd, p->buf, sizeof(p->buf), 0, (void *)&from, &len)) > 0) {
		struct nq_rx_pkt pkt = { .data = p->buf, .len = r, .path = path_of(p, &from) };

		if (p->takes && r > p->takes)
			continue;
		nq_rx_open(p->conn, &pkt, 1, d, NQ_BURST_MAX, &n, now_us());
		if (pkt.path < NQ_PATHS_MAX)
			p->paths[pkt.path] = from;
		datagrams += n;
	}
	if (nq_next_timeout_us(p->conn) <= now_us())
		nq_on_timeout(p->conn, now_us());
	refill(p);
	while ((size = nq_tx_control(p->conn, buf, sizeof(buf), now_us())) > 0)
		send_path(p, fd, nq_active_path(p->conn), buf, size);
	while ((size = nq_tx_alone(p->conn, buf, sizeof(buf), now_us(), &path)) > 0)
		send_path(p, fd, path, buf, size);
	return datagrams;
}

void serve_until(struct peer *p, int fd, uint64_t session, uint16_t stat, uint64_t want)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;

	while (abi_stat(&abi, session, stat) < want) {
		serve(p, fd);
		assert_true(now_us() < deadline);
	}
	expect_stat(session, stat, want);
}

void wait_event(u8 type, int want)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;

	while (abi.events[type] < want) {
		abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
		assert_true(now_us() < deadline);
	}
}
