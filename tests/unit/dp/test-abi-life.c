// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions and devices behind the data-plane ABI that come and go: replaced, closed, reset by the
 * peer, deleted under their users, ten thousand at a time; and what belongs to none of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/netlink.h>

#include "t-abi.h"

#define MANY 10000
/* 18 of them are the connection with its keys and its ring. */
#define MANY_KIB 24

static int delete_user(uint64_t user, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(&t_abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_USER, user);
	nxm_nest_end(&m, nest);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

/*
 * Who may take whose place. The peers here never answer, so that it does not come to that: the older
 * session stays. (With peers that do: test-traffic.c.)
 */
static void replacement(void **state)
{
	struct abi_session a = t_session(1), b = t_session(2), c = t_session(3);
	struct nxm_error e;
	struct t_found f;

	T_NEED_ROOT();
	a.user = b.user = 77;
	c.user = 78;
	t_add_route(&a, "10.7.0.5", 32);
	t_add_route(&b, "10.7.0.5", 32);
	t_add_route(&c, "10.7.0.5", 32);
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &b, &e), -EEXIST, &e, "NQD_A_ROUTE");
	b.flags = c.flags = NQD_SESSION_F_REPLACE;
	t_expect(abi_add_session(&t_abi, &c, &e), -EEXIST, &e, "NQD_A_ROUTE");
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 0);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 2);
	/* A second one in waiting makes the first give up. */
	c.user = 77;
	t_expect(abi_add_session(&t_abi, &c, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 1);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	/* The older one ends: its place is taken at once. */
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	f = t_dump(NQD_CMD_GET_EVENTS);
	assert_true(f.n >= 3);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).id, 3);
	/* By user: all of them go. */
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	t_expect(delete_user(77, &e), 0, &e, NULL);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	/* The peer's data plane was heard before the hand-over: at once. */
	t_abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	b.greeted = true;
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 1);
	assert_int_equal(abi_stat(&t_abi, 2, NQD_A_STATS_FRAME_ERRORS), 0);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 1, 0, &e), -ESHUTDOWN, &e, NULL);
	t_expect(delete_user(77, &e), 0, &e, NULL);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	b.greeted = false;
	/* The default session of nobody in particular. */
	a.user = b.user = 0;
	a.n_routes = b.n_routes = 0;
	a.flags = b.flags = NQD_SESSION_F_DEFAULT_ROUTE;
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &b, &e), -EEXIST, &e, "NQD_A_SESSION_FLAGS");
	b.flags |= NQD_SESSION_F_REPLACE;
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	/* Of two in waiting the newer one remains. */
	t_abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	c.user = 0;
	c.n_routes = 0;
	c.flags = b.flags;
	t_expect(abi_add_session(&t_abi, &c, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 1);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 2, 0, &e), -ESHUTDOWN, &e, NULL);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 3, 0, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	/* Not heard of: the older one stays, and has not noticed. */
	t_abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	while (!t_abi.events[NQD_EVENT_SESSION_DOWN])
		abi_stat(&t_abi, 1, NQD_A_STATS_UPTIME_MS);
	assert_true(t_dump(NQD_CMD_GET_STATS).n >= 1);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 1, 0, &e), 0, &e, NULL);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 2, 0, &e), -ESHUTDOWN, &e, NULL);
}

/* Without keys nothing is under way: it is replaced at once, and can wait itself. */
static void replacement_without_keys(void **state)
{
	struct abi_session a = t_session(1), b = t_session(2), c = t_session(3);
	struct nxm_error e;

	T_NEED_ROOT();
	a.user = b.user = 77;
	t_add_route(&a, "10.7.0.5", 32);
	t_add_route(&b, "10.7.0.5", 32);
	t_add_route(&c, "10.7.0.5", 32);
	b.flags = NQD_SESSION_F_REPLACE;
	a.no_keys = true;
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 1);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).id, 2);
	t_expect(abi_add_session(&t_abi, &c, &e), -EEXIST, &e, "NQD_A_ROUTE");
	a.flags = NQD_SESSION_F_REPLACE;
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	c.user = 77;
	c.flags = NQD_SESSION_F_REPLACE;
	t_expect(abi_add_session(&t_abi, &c, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 2);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	/* The one that gave up goes with the next round. */
	while (abi_stat(&t_abi, 1, NQD_A_STATS_UPTIME_MS) != UINT64_MAX)
		;
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 1);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).id, 3);
}

/* While one session waits to replace another the routes of both are settled. */
static void routes_of_a_replacement(void **state)
{
	static const uint8_t cmds[] = { NQD_CMD_ADD_ROUTE, NQD_CMD_DELETE_ROUTE };
	static const uint8_t held[] = { 10, 7, 0, 5 }, other[] = { 10, 7, 0, 6 };
	struct abi_session a = t_session(1), b = t_session(2), c = t_session(3), d = t_session(4);
	struct nxm_error e;
	int i;

	T_NEED_ROOT();
	a.user = b.user = c.user = 77;
	t_add_route(&a, "10.7.0.5", 32);
	t_add_route(&b, "10.7.0.5", 32);
	t_add_route(&c, "10.7.0.6", 32);
	t_add_route(&d, "10.7.0.7", 32);
	b.flags = NQD_SESSION_F_REPLACE;
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	for (i = 0; i < 4; i++)
		t_expect(t_route_command(cmds[i / 2], 1 + i % 2, held, 4, 32, &e), -EBUSY, &e,
			 "NQD_A_SESSION_ID");
	/* What it has reserved is its own, and then that of the next that waits. */
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	t_add_route(&b, "10.7.0.7", 32);
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &d, &e), -EEXIST, &e, "NQD_A_ROUTE");
	b.id = b.number = 5;
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &d, &e), -EEXIST, &e, "NQD_A_ROUTE");
	/* It gave up: the older one is as before. */
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 5, 0, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &d, &e), 0, &e, NULL);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 4, 0, &e), 0, &e, NULL);
	b.id = b.number = 2;
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 1, held, 4, 32, &e), 0, &e, NULL);
	/* It has taken over: so is the newer one. */
	b.greeted = true;
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 1, held, 4, 32, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, held, 4, 32, &e), 0, &e, NULL);
	/* What it might have replaced when it was added is not its own for that. */
	t_expect(abi_add_session(&t_abi, &c, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, other, 4, 32, &e), -EEXIST, &e,
		 "NQD_A_ROUTE");
	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 3, other, 4, 32, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, other, 4, 32, &e), 0, &e, NULL);
}

static void closing(void **state)
{
	struct abi_session s = t_session(1);
	uint8_t packet[2048];
	struct sockaddr_storage peer;
	int sink = abi_open_udp("127.0.0.1", 0, &peer);
	struct pollfd p = { .fd = sink, .events = POLLIN };
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	T_NEED_ROOT();
	s.remote = peer;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	nest = t_begin_session(&m, NQD_CMD_DELETE_SESSION, 1);
	nxm_put_u64(&m, NQD_A_SESSION_CLOSE_CODE, 0x100);
	nxm_put_str(&m, NQD_A_SESSION_CLOSE_REASON, "bye");
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	/* A short-header packet to the peer's CID. */
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_true(recv(sink, packet, sizeof(packet), 0) > 21 + 4 + 16);
	assert_int_equal(packet[0] & 0xc0, 0x40);
	assert_int_equal(packet[1], 0x10 + 4);
	close(sink);
}

static void devices(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	int held, before, i;
	struct nxm m;
	size_t nest;

	T_NEED_ROOT();
	before = t_held();
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* Sockets are replaced, not added to. */
	for (i = 0; i < 3; i++) {
		nest = t_begin_device(&m, NQD_CMD_CREATE_DEVICE);
		abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, t_udp);
		nxm_nest_end(&m, nest);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	}
	assert_int_equal(t_held(), before + 1);
	abi_begin(&t_abi, &m, NQD_CMD_CREATE_DEVICE, NLM_F_EXCL);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, t_ifname);
	if (!t_abi.ops->module)
		abi_put_fd(&t_abi, &m, NQD_A_DEVICE_TUN_FD, t_tun);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EEXIST, &e, "NQD_A_DEVICE");
	for (i = 0; i < 2; i++) {
		nest = t_begin_device(&m, NQD_CMD_DELETE_DEVICE);
		nxm_nest_end(&m, nest);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	}
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	held = t_held();
	assert_int_equal(held, before - 1);
	t_expect(abi_add_session(&t_abi, &s, &e), -ENODEV, &e, "NQD_A_DEVICE");
	assert_int_equal(t_held(), held);
}

/* The interface disappears under a session: reported once, and no busy loop. */
static void device_is_deleted(void **state)
{
	struct abi_session s = t_session(1);
	char name[IFNAMSIZ] = "nxgone";
	unsigned long ticks;
	struct nxm_error e;
	struct pollfd none;
	int fd;

	T_ONLY_DP();
	fd = abi_open_tun(name);
	assert_true(fd >= 0);
	t_expect(abi_create_device(&t_abi, fd, name, &e), 0, &e, NULL);
	s.ifname = name;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_int_equal(system("ip link delete nxgone"), 0);
	while (!t_abi.events[NQD_EVENT_FATAL_ERROR])
		abi_stat(&t_abi, 1, NQD_A_STATS_UPTIME_MS);
	ticks = abi_cpu_ticks(&t_abi);
	/* Time has to pass to see that nothing happens in it. */
	poll(&none, 0, 300);
	assert_true(abi_cpu_ticks(&t_abi) - ticks < 10);
	assert_int_equal(t_abi.events[NQD_EVENT_FATAL_ERROR], 1);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	close(fd);
}

/* Every one is found, and together they fit into the memory of a small server. */
static void many_sessions(void **state)
{
	uint32_t many = getenv("T_MANY") ? atoi(getenv("T_MANY")) : MANY;
	unsigned long before, each_kib;
	struct nxm_error e;
	uint32_t i;

	T_NEED_ROOT();
	before = t_abi.ops->memory_kib(&t_abi);
	for (i = 1; i <= many; i++) {
		struct abi_session s = t_session(i);

		s.number = 0;
		s.serial = i;
		s.user = i;
		s.n_routes = 1;
		s.routes[0].family = AF_INET;
		s.routes[0].len = 32;
		memcpy(s.routes[0].addr, (uint8_t[]){ 10, i >> 16, i >> 8, i }, 4);
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	}
	each_kib = (t_abi.ops->memory_kib(&t_abi) - before) / many;
	print_message("  %lu KiB each\n", each_kib);
#ifndef __SANITIZE_ADDRESS__
	/* A kernel that is watched closely is given fewer, and takes more for each. */
	if (many == MANY)
		assert_true(each_kib <= MANY_KIB);
#endif
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, many);
	for (i = 1; i <= many; i++) {
		t_expect(t_simple(NQD_CMD_UPDATE_SESSION, i, 2, &e), 0, &e, NULL);
		if (i % 2)
			t_expect(t_simple(NQD_CMD_DELETE_SESSION, i, 3, &e), 0, &e, NULL);
	}
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, many / 2);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 1, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
}

/* What belongs to no session goes to who has the handshakes, with where it came from. */
static void punting(void **state)
{
	struct sockaddr_storage from, sender;
	struct nxm_error e;
	uint8_t in[2048];
	struct nxm m;
	size_t nest;
	int peer;

	T_NEED_ROOT();
	nest = t_begin_device(&m, NQD_CMD_CREATE_DEVICE);
	abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, t_udp);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	peer = abi_open_udp("127.0.0.1", 0, &from);
	assert_int_equal(sendto(peer, "\x40 0123456789 unknown", 20, 0, (void *)&t_bound,
				sizeof(struct sockaddr_in)),
			 20);
	assert_int_equal(t_abi.ops->punted(&t_abi, t_udp, in, sizeof(in), &sender, ABI_TIMEOUT_MS),
			 20);
	assert_int_equal(((struct sockaddr_in *)&sender)->sin_port,
			 ((struct sockaddr_in *)&from)->sin_port);
	assert_memory_equal(in, "\x40 0123456789 unknown", 20);
	close(peer);
}

/* A datagram of random bytes that ends with @token, from @fd to the session's socket. */
static void send_reset(int fd, uint8_t token, uint32_t len)
{
	uint8_t buf[64];
	uint32_t i;

	for (i = 0; i < len; i++)
		buf[i] = 0x40 + (i * 7) % 0x30;
	memset(buf + len - 16, token, 16);
	assert_int_equal(sendto(fd, buf, len, 0, (void *)&t_bound, sizeof(struct sockaddr_in)),
			 len);
}

static bool is_punted(void)
{
	struct sockaddr_storage from;
	uint8_t in[2048];

	return t_abi.ops->punted(&t_abi, t_udp, in, sizeof(in), &from, ABI_TIMEOUT_MS) > 0;
}

/*
 * The token that the peer gave with the ID in use ends the session, from the peer's address only.
 * Everything else is somebody else's, and goes to the handshake daemon.
 */
static void stateless_resets(void **state)
{
	struct sockaddr_storage from, elsewhere;
	struct abi_session s = t_session(1);
	struct nxm_error e;
	struct t_found f;
	uint8_t token;
	int peer, other;

	T_NEED_ROOT();
	peer = abi_open_udp("127.0.0.1", 0, &from);
	other = abi_open_udp("127.0.0.1", 0, &elsewhere);
	s.remote = from;
	s.server = false;
	/* As abi-client.c makes it. */
	token = 0x80 + 4 * s.number + 8;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	send_reset(other, token, 40);
	assert_true(is_punted());
	send_reset(peer, token + 1, 40);
	assert_true(is_punted());
	send_reset(peer, token, 20);
	assert_true(is_punted());
	assert_int_equal(abi_stat(&t_abi, 1, NQD_A_STATS_L3_RX_PACKETS), 0);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 0);
	send_reset(peer, token, 21);
	while (!t_abi.events[NQD_EVENT_SESSION_DOWN])
		abi_stat(&t_abi, 1, NQD_A_STATS_UPTIME_MS);
	f = t_dump(NQD_CMD_GET_EVENTS);
	assert_int_equal(f.type, NQD_EVENT_SESSION_DOWN);
	assert_int_equal(f.reason, NQD_DOWN_STATELESS_RESET);
	/* Once ended, it is nobody's. */
	send_reset(peer, token, 40);
	assert_true(is_punted());
	close(peer);
	close(other);
}

/* CONNECTION_CLOSE packets that come to @fd within @timeout_ms. */
static unsigned int packets_to(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t packet[2048];
	unsigned int n = 0;

	while (poll(&p, 1, timeout_ms) == 1 && recv(fd, packet, sizeof(packet), 0) > 0)
		n++;
	return n;
}

/* The device goes at once, the goodbye is said a second time all the same; then nothing is left. */
static void goodbye_without_device(void **state)
{
	struct abi_session s = t_session(1);
	struct sockaddr_storage peer;
	int sink = abi_open_udp("127.0.0.1", 0, &peer), held;
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	T_NEED_ROOT();
	held = t_held();
	s.remote = peer;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* The IDs it gives its peer at once. */
	packets_to(sink, 200);
	nest = t_begin_session(&m, NQD_CMD_DELETE_SESSION, 1);
	nxm_put_u64(&m, NQD_A_SESSION_CLOSE_CODE, 0x100);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	nest = t_begin_device(&m, NQD_CMD_DELETE_DEVICE);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	assert_int_equal(packets_to(sink, 1500), 2);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(t_held(), held - 1);
	close(sink);
}

int main(int argc, char **argv)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, t_setup, t_teardown)
	const struct CMUnitTest tests[] = {
		CASE(replacement),
		CASE(closing),
		CASE(devices),
		CASE(device_is_deleted),
		CASE(many_sessions),
		CASE(punting),
		CASE(replacement_without_keys),
		CASE(routes_of_a_replacement),
		CASE(stateless_resets),
		CASE(goodbye_without_device),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: %s NEXUS_DP|module\n", argv[0]);
		return 1;
	}
	t_program = argv[1];
	return cmocka_run_group_tests(tests, t_group_setup, NULL);
}
