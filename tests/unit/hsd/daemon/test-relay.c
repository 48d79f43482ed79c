// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The relay to the cover: a real nexus-hsd process between a client and a cover that the test plays
 * itself. Bytes are the same in both directions, in order, from the
 * address the client talked to; bounds hold; a cover that refuses is reported.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "clock.h"
#include "hsd-test.h"
#include "hsd.h"
#include "server.h"
#include "t-hsd.h"
#include "t-net.h"

#define SEGMENT 1100
/* Of the pool, for quiet sites. */
#define KEPT_SOCKETS (HS_RELAY_POOL / HS_RELAY_RESERVE_PART)

struct scene {
	struct t_hsd h;
	struct sockaddr_storage server, cover_name;
	int cover;
};

static int give_sockets(struct scene *s, const struct sockaddr_storage *to, unsigned int n,
			bool replace)
{
	struct nxm *m = t_begin(&s->h, HS_CMD_RELAY_SOCKETS);
	int fds[NX_IPC_MAX_FDS], r;
	unsigned int i;

	for (i = 0; i < n; i++)
		fds[i] = t_cover_socket(to);
	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	if (replace)
		nxm_put_flag(m, HS_A_REPLACE);
	r = t_request(&s->h, fds, n);
	nx_close_fds(fds, n);
	return r;
}

static void start_as(struct scene *s, const struct t_config *c, int family, unsigned int pool)
{
	int sock;

	memset(s, 0, sizeof(*s));
	t_hsd_start(&s->h, 0);
	sock = t_udp(family, true, &s->server);
	assert_int_equal(t_set_server(&s->h, c, sock), 0);
	close(sock);
	t_loopback(&s->server);
	s->cover = t_udp(family, false, &s->cover_name);
	for (; pool >= 8; pool -= 8)
		assert_int_equal(give_sockets(s, &s->cover_name, 8, false), 0);
	if (pool)
		assert_int_equal(give_sockets(s, &s->cover_name, pool, false), 0);
}

/* A server that knows its cover and does not visit it: every datagram and socket here is a client's. */
static void start(struct scene *s, int family, unsigned int pool)
{
	struct hs_profile p = { .learned_s = (uint64_t)time(NULL),
				.n_flights = 1,
				.flights = { { 1, { { 1, { { HS_PACKET_INITIAL, 1200 } } } } } } };
	struct t_config c = t_default_config;
	uint8_t blob[HS_PROFILE_BLOB_MAX];

	hs_profile_hash_name(p.name_hash, T_NAME);
	c.profile = blob;
	c.profile_len = (size_t)hs_profile_encode(&p, blob, sizeof(blob));
	start_as(s, &c, family, pool);
}

static void stop(struct scene *s)
{
	t_hsd_stop(&s->h);
	close(s->cover);
}

/* A client's socket; connected, so that answers of any other address are not seen. */
static int client_socket(const struct sockaddr_storage *server)
{
	int fd = socket(server->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)server, t_addr_len(server)), 0);
	return fd;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void expect_bytes(int fd, const void *data, size_t len, struct sockaddr_storage *from)
{
	static uint8_t in[65536];
	socklen_t from_len = sizeof(*from);
	ssize_t n;

	assert_true(readable(fd, T_WAIT_MS));
	n = recvfrom(fd, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)from,
		     from ? &from_len : NULL);
	assert_int_equal(n, len);
	assert_memory_equal(in, data, len);
}

static void say(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, 0), len);
}

/* There and back: the cover echoes. */
static void exchange(struct scene *s, int client, const uint8_t *data, size_t len)
{
	struct sockaddr_storage from;

	say(client, data, len);
	expect_bytes(s->cover, data, len, &from);
	assert_int_equal(
		sendto(s->cover, data, len, 0, (struct sockaddr *)&from, t_addr_len(&from)), len);
	expect_bytes(client, data, len, NULL);
}

/* ---- tests ---- */

static void every_kind_of_datagram(int family)
{
	static const size_t sizes[] = { 0,  1,	  2,	5,    19,   20,	  21,  22,
					64, 1199, 1200, 1452, 2048, 2049, 9000 };
	static const uint8_t heads[][6] = {
		{ 0xc0, 0, 0, 0, 1, 20 }, /* an Initial, or what claims to be one */
		{ 0xd0, 0, 0, 0, 1, 20 },
		{ 0xe0, 0, 0, 0, 1, 8 }, /* 0-RTT, Handshake */
		{ 0xf0, 0, 0, 0, 1, 8 },
		{ 0xff, 0x1a, 0x2a, 0x3a, 0x4a, 20 }, /* Retry, a version */
		{ 0xc0, 0, 0, 0, 0, 255 },
		{ 0x40, 1, 2, 3, 4, 5 },
		{ 0, 0, 0, 0, 0, 0 },
	};
	static uint8_t data[9000];
	struct scene s;
	size_t i, k;
	int client;

	start(&s, family, 8);
	client = client_socket(&s.server);
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			t_random(data, sizeof(data));
			memcpy(data, heads[i], sizeof(heads[i]));
			exchange(&s, client, data, sizes[k]);
		}
	}
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS), 1);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_TO_COVER_PACKETS), i * k);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FROM_COVER_PACKETS), i * k);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_TO_COVER_BYTES),
			 t_stat(&s.h, HS_A_STATS_RELAY_FROM_COVER_BYTES));
	assert_int_equal(t_stat(&s.h, HS_A_STATS_COVER_STATE), HS_COVER_ALIVE);
	close(client);
	stop(&s);
}

static void datagrams_v4(void **state)
{
	every_kind_of_datagram(AF_INET);
}

static void datagrams_v6(void **state)
{
	every_kind_of_datagram(AF_INET6);
}

/* A run of datagrams arrives in its order in both directions. */
static void order(void **state)
{
	struct sockaddr_storage from;
	uint8_t data[300] = { 0xc0 };
	struct scene s;
	unsigned int i;
	int client;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	for (i = 0; i < 100; i++) {
		data[1] = (uint8_t)i;
		say(client, data, 200 + i);
	}
	for (i = 0; i < 100; i++) {
		data[1] = (uint8_t)i;
		expect_bytes(s.cover, data, 200 + i, &from);
	}
	for (i = 0; i < 100; i++) {
		data[1] = (uint8_t)i;
		sendto(s.cover, data, 200 + i, 0, (struct sockaddr *)&from, t_addr_len(&from));
	}
	for (i = 0; i < 100; i++) {
		data[1] = (uint8_t)i;
		expect_bytes(client, data, 200 + i, NULL);
	}
	close(client);
	stop(&s);
}

/* The answer of a wildcard socket leaves from the address that was asked. */
static void source_address(void **state)
{
	struct scene s;
	int client;

	start(&s, AF_INET, 8);
	((struct sockaddr_in *)&s.server)->sin_addr.s_addr = htonl(0x7f030405);
	client = client_socket(&s.server);
	exchange(&s, client, (const uint8_t *)"\xc0 hello", 7);
	close(client);
	stop(&s);
}

/* Two addresses of ours are two servers to whoever talks to both from one port of his. */
static void two_addresses(void **state)
{
	struct sockaddr_storage asked[2], cover_saw[2], from;
	socklen_t len = sizeof(from);
	uint8_t data[16];
	struct scene s;
	int client, i;

	start(&s, AF_INET, 8);
	asked[0] = asked[1] = s.server;
	((struct sockaddr_in *)&asked[1])->sin_addr.s_addr = htonl(0x7f030405);
	client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(client >= 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(sendto(client, "\xc0 hello", 7, 0, (struct sockaddr *)&asked[i],
					t_addr_len(&asked[i])),
				 7);
		expect_bytes(s.cover, "\xc0 hello", 7, &cover_saw[i]);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(sendto(s.cover, "answer", 6, 0, (struct sockaddr *)&cover_saw[i],
					t_addr_len(&cover_saw[i])),
				 6);
		assert_true(readable(client, T_WAIT_MS));
		assert_int_equal(
			recvfrom(client, data, sizeof(data), 0, (struct sockaddr *)&from, &len), 6);
		assert_memory_equal(&from, &asked[i], sizeof(struct sockaddr_in));
	}
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS), 2);
	close(client);
	stop(&s);
}

/* What comes over the punt socket is answered from the address nexus-dp names. */
static void punted(void **state)
{
	struct sockaddr_in *local, me;
	socklen_t len = sizeof(me);
	struct sockaddr_storage from;
	struct hs_punt_hdr hdr = { .len = 3 };
	uint8_t msg[sizeof(hdr) + 3];
	struct scene s;
	int client;

	start(&s, AF_INET, 8);
	local = (struct sockaddr_in *)&s.server;
	local->sin_addr.s_addr = htonl(0x7f010203);
	client = client_socket(&s.server);
	assert_int_equal(getsockname(client, (struct sockaddr *)&me, &len), 0);
	hdr.local_port = local->sin_port;
	hdr.remote.in = me;
	hdr.local.in = *local;
	/* A copy that turns out not to be ours goes nowhere: the data plane has it. */
	hdr.flags = HS_PUNT_F_IF_YOURS;
	memcpy(msg, &hdr, sizeof(hdr));
	memcpy(msg + sizeof(hdr), "\x40 y", 3);
	assert_int_equal(nx_ipc_send(s.h.punt, msg, sizeof(msg), NULL, 0), 0);
	hdr.flags = 0;
	memcpy(msg, &hdr, sizeof(hdr));
	memcpy(msg + sizeof(hdr), "\x40 x", 3);
	assert_int_equal(nx_ipc_send(s.h.punt, msg, sizeof(msg), NULL, 0), 0);
	expect_bytes(s.cover, "\x40 x", 3, &from);
	sendto(s.cover, "reset", 5, 0, (struct sockaddr *)&from, t_addr_len(&from));
	expect_bytes(client, "reset", 5, NULL);
	close(client);
	stop(&s);
}

/* A super-datagram of the cover stays one. */
static void segments(void **state)
{
	static uint8_t burst[10 * SEGMENT + 77], in[65536];
	struct sockaddr_storage from;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { burst, sizeof(burst) };
	struct msghdr msg = { .msg_name = &from, .msg_iov = &iov, .msg_iovlen = 1 };
	int client, on = 1, segment = SEGMENT, got = 0;
	struct scene s;
	ssize_t n;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	assert_int_equal(setsockopt(client, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(s.cover, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)),
			 0);
	say(client, "\xc0 go", 4);
	expect_bytes(s.cover, "\xc0 go", 4, &from);
	msg.msg_namelen = t_addr_len(&from);
	t_random(burst, sizeof(burst));
	assert_int_equal(sendmsg(s.cover, &msg, 0), sizeof(burst));
	assert_true(readable(client, T_WAIT_MS));
	iov = (struct iovec){ in, sizeof(in) };
	msg = (struct msghdr){ .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = control,
			       .msg_controllen = sizeof(control) };
	n = recvmsg(client, &msg, 0);
	assert_int_equal(n, sizeof(burst));
	assert_memory_equal(in, burst, sizeof(burst));
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	assert_int_equal(got, SEGMENT);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FROM_COVER_PACKETS), 11);
	close(client);
	stop(&s);
}

/* ---- first flights in pieces ---- */

static struct t_pieces flight = { .dcid = "destination-cid-0123" };

static void pieces_keep_their_order(void **state)
{
	uint8_t one[1500], two[1500];
	size_t one_len, two_len;
	struct scene s;
	int client;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	t_pieces_make(&flight, T_NAME);
	one_len = t_piece(&flight, one, 0, 200, 0);
	two_len = t_piece(&flight, two, 200, flight.hello_len, 1);
	assert_true(one_len >= 1200 && two_len >= 1200);
	say(client, one, one_len);
	say(client, "\xd0 behind the first piece", 24);
	say(client, two, two_len);
	say(client, "\xd0 behind all", 12);
	expect_bytes(s.cover, one, one_len, NULL);
	expect_bytes(s.cover, "\xd0 behind the first piece", 24, NULL);
	expect_bytes(s.cover, two, two_len, NULL);
	expect_bytes(s.cover, "\xd0 behind all", 12, NULL);
	close(client);
	/* One that is never completed goes too, with what came behind it. */
	client = client_socket(&s.server);
	say(client, two, two_len);
	say(client, "\xd0 behind", 8);
	expect_bytes(s.cover, two, two_len, NULL);
	expect_bytes(s.cover, "\xd0 behind", 8, NULL);
	close(client);
	assert_false(readable(s.cover, 0));
	stop(&s);
}

/* More than the flight may keep: nothing is lost, nothing overtakes. */
static void full_flight(void **state)
{
	uint8_t one[1500], other[100] = { 0xd0 };
	struct scene s;
	size_t one_len;
	int client, i;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	t_pieces_make(&flight, T_NAME);
	one_len = t_piece(&flight, one, 0, flight.hello_len / 2, 0);
	say(client, one, one_len);
	for (i = 0; i < 2 * HS_FLOW_DGRAMS_MAX; i++) {
		other[1] = (uint8_t)i;
		say(client, other, sizeof(other));
	}
	expect_bytes(s.cover, one, one_len, NULL);
	for (i = 0; i < 2 * HS_FLOW_DGRAMS_MAX; i++) {
		other[1] = (uint8_t)i;
		expect_bytes(s.cover, other, sizeof(other), NULL);
	}
	close(client);
	stop(&s);
}

/* Flights of real clients, in both orders of their datagrams, reach the cover as they came. */
static void recorded_flights(void **state)
{
	static const char *const names[] = { "chromium", "curl-openssl", "gtlsclient",
					     "libcurl-gnutls" };
	char path[512];
	struct t_flight f;
	unsigned int order, flip, i, k;
	struct scene s;
	int client;

	start(&s, AF_INET, 8);
	for (order = 0; order < 2; order++) {
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			snprintf(path, sizeof(path), "%s/%s", T_FLIGHTS, names[i]);
			t_read_flight(path, &f);
			client = client_socket(&s.server);
			flip = order && f.n_dgrams == 2;
			for (k = 0; k < f.n_dgrams; k++)
				say(client, f.dgrams[k ^ flip], f.lens[k ^ flip]);
			for (k = 0; k < f.n_dgrams; k++)
				expect_bytes(s.cover, f.dgrams[k ^ flip], f.lens[k ^ flip], NULL);
			close(client);
		}
	}
	assert_int_equal(t_stat(&s.h, HS_A_STATS_AUTHENTICATED), 0);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_PENDING), 0);
	stop(&s);
}

/* ---- ECN ---- */

/* What of the byte in the IP header is a DSCP must not get through. */
#define DSCP 0xb8

static void set_tos(int fd, int family, int tos)
{
	int r = family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos))
				  : setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));

	assert_int_equal(r, 0);
}

/* The next datagram is this one: its whole byte, ECN and DSCP. */
static int expect_tos(int fd, const void *data, size_t len, struct sockaddr_storage *from)
{
	char control[CMSG_SPACE(sizeof(int)) * 2];
	static uint8_t in[65536];
	struct iovec iov = { in, sizeof(in) };
	struct msghdr msg = { .msg_name = from,
			      .msg_namelen = from ? sizeof(*from) : 0,
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int tos = -1;

	assert_true(readable(fd, T_WAIT_MS));
	assert_int_equal(recvmsg(fd, &msg, MSG_DONTWAIT), len);
	assert_memory_equal(in, data, len);
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			tos = *CMSG_DATA(c);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			memcpy(&tos, CMSG_DATA(c), sizeof(tos));
	}
	return tos;
}

static void marks_both_ways(int family)
{
	static const int marks[] = { 0, 1, 2, 3, 3, 0, 2, 2, 1, 0 };
	enum { N = sizeof(marks) / sizeof(marks[0]) };
	uint8_t data[1300] = { 0xc0 }, one[1500], two[1500];
	struct sockaddr_storage from;
	size_t one_len, two_len, i;
	struct scene s;
	int client;

	start(&s, family, 8);
	client = client_socket(&s.server);
	t_ask_for_marks(client, family);
	t_ask_for_marks(s.cover, family);
	/* One after another, so that several are read and sent at a time. */
	for (i = 0; i < N; i++) {
		set_tos(client, family, DSCP | marks[i]);
		data[1] = (uint8_t)i;
		say(client, data, 1200 + i);
	}
	for (i = 0; i < N; i++) {
		data[1] = (uint8_t)i;
		assert_int_equal(expect_tos(s.cover, data, 1200 + i, &from), marks[i]);
	}
	for (i = 0; i < N; i++) {
		set_tos(s.cover, family, DSCP | marks[i]);
		data[1] = (uint8_t)i;
		assert_int_equal(sendto(s.cover, data, 1200 + i, 0, (struct sockaddr *)&from,
					t_addr_len(&from)),
				 1200 + i);
	}
	for (i = 0; i < N; i++) {
		data[1] = (uint8_t)i;
		assert_int_equal(expect_tos(client, data, 1200 + i, NULL), marks[i]);
	}
	/* Pieces of a first flight keep theirs while they wait. */
	t_pieces_make(&flight, T_NAME);
	one_len = t_piece(&flight, one, 0, 200, 0);
	two_len = t_piece(&flight, two, 200, flight.hello_len, 1);
	set_tos(client, family, 2);
	say(client, one, one_len);
	set_tos(client, family, 3);
	say(client, two, two_len);
	assert_int_equal(expect_tos(s.cover, one, one_len, NULL), 2);
	assert_int_equal(expect_tos(s.cover, two, two_len, NULL), 3);
	close(client);
	stop(&s);
}

static void marks_v4(void **state)
{
	marks_both_ways(AF_INET);
}

static void marks_v6(void **state)
{
	marks_both_ways(AF_INET6);
}

/* A super-datagram of one mark stays one and keeps it. */
static void marked_segments(void **state)
{
	static uint8_t burst[4 * SEGMENT];
	struct sockaddr_storage from;
	int client, on = 1, segment = SEGMENT;
	struct scene s;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	t_ask_for_marks(client, AF_INET);
	assert_int_equal(setsockopt(client, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(s.cover, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)),
			 0);
	set_tos(s.cover, AF_INET, 2);
	say(client, "\xc0 go", 4);
	expect_bytes(s.cover, "\xc0 go", 4, &from);
	t_random(burst, sizeof(burst));
	assert_int_equal(sendto(s.cover, burst, sizeof(burst), 0, (struct sockaddr *)&from,
				t_addr_len(&from)),
			 sizeof(burst));
	assert_int_equal(expect_tos(client, burst, sizeof(burst), NULL), 2);
	close(client);
	stop(&s);
}

/* Short headers come with their mark over the punt socket. */
static void marks_of_punted(void **state)
{
	struct hs_punt_hdr hdr = { .len = 3, .ecn = 1 };
	uint8_t msg[sizeof(hdr) + 3];
	struct sockaddr_in me;
	socklen_t len = sizeof(me);
	struct scene s;
	int client;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	t_ask_for_marks(s.cover, AF_INET);
	assert_int_equal(getsockname(client, (struct sockaddr *)&me, &len), 0);
	hdr.local_port = ((struct sockaddr_in *)&s.server)->sin_port;
	hdr.remote.in = me;
	memcpy(msg, &hdr, sizeof(hdr));
	memcpy(msg + sizeof(hdr), "\x40 x", 3);
	assert_int_equal(nx_ipc_send(s.h.punt, msg, sizeof(msg), NULL, 0), 0);
	assert_int_equal(expect_tos(s.cover, "\x40 x", 3, NULL), 1);
	close(client);
	stop(&s);
}

/* ---- bounds ---- */

static void bounded_per_site(void **state)
{
	int clients[HS_RELAY_MAX_FLOWS_PER_SITE + 1], i;
	struct scene s;

	start(&s, AF_INET, 8 + KEPT_SOCKETS);
	for (i = 0; i < HS_RELAY_MAX_FLOWS_PER_SITE; i++) {
		if (i % 8 == 0)
			assert_int_equal(give_sockets(&s, &s.cover_name, 8, false), 0);
		clients[i] = client_socket(&s.server);
		exchange(&s, clients[i], (const uint8_t *)"\xc0 one", 5);
	}
	clients[i] = client_socket(&s.server);
	say(clients[i], "\xc0 one too many", 14);
	/* The one before still talks, so the last was handled. */
	exchange(&s, clients[0], (const uint8_t *)"\xc0 two", 5);
	assert_false(readable(clients[i], 0));
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS), HS_RELAY_MAX_FLOWS_PER_SITE);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS_REFUSED), 1);
	for (; i >= 0; i--)
		close(clients[i]);
	stop(&s);
}

/* A forged source never sees the ID that the cover wants to be called: its flow makes room. */
static void half_open_makes_room(void **state)
{
	static const uint8_t first[] = "\xc0\x6b\x33\x43\xcf\x01i\x01me";
	static const uint8_t answer[] = "\xc0\x6b\x33\x43\xcf\x01m\x04us!!";
	static const uint8_t proof[] = "\xc0\x6b\x33\x43\xcf\x04us!!\x01m";
	int clients[HS_RELAY_MAX_FLOWS_PER_SITE], newcomer, i;
	const uint64_t start_ms = t_now_ms();
	struct sockaddr_storage from[HS_RELAY_MAX_FLOWS_PER_SITE], now;
	struct scene s;

	memset(&now, 0, sizeof(now));
	memset(from, 0, sizeof(from));
	start(&s, AF_INET, 8 + KEPT_SOCKETS);
	for (i = 0; i < HS_RELAY_MAX_FLOWS_PER_SITE; i++) {
		if (i % 8 == 0)
			assert_int_equal(give_sockets(&s, &s.cover_name, 8, false), 0);
		clients[i] = client_socket(&s.server);
		say(clients[i], first, sizeof(first));
		expect_bytes(s.cover, first, sizeof(first), &from[i]);
		assert_int_equal(sendto(s.cover, answer, sizeof(answer), 0,
					(struct sockaddr *)&from[i], t_addr_len(&from[i])),
				 sizeof(answer));
		expect_bytes(clients[i], answer, sizeof(answer), NULL);
	}
	/* The oldest shows where he is; the second only says the same again. */
	exchange(&s, clients[0], proof, sizeof(proof));
	exchange(&s, clients[1], first, sizeof(first));
	newcomer = client_socket(&s.server);
	do {
		assert_true(t_now_ms() < start_ms + HS_RELAY_HALF_OPEN_MS + T_WAIT_MS);
		say(newcomer, first, sizeof(first));
	} while (!readable(s.cover, 20));
	assert_true(t_now_ms() >= start_ms + HS_RELAY_HALF_OPEN_MS);
	expect_bytes(s.cover, first, sizeof(first), NULL);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS), HS_RELAY_MAX_FLOWS_PER_SITE);
	/* The flow of the first is still the same, that of the second is not. */
	say(clients[0], proof, sizeof(proof));
	expect_bytes(s.cover, proof, sizeof(proof), &now);
	assert_memory_equal(&now, &from[0], sizeof(now));
	say(clients[1], first, sizeof(first));
	expect_bytes(s.cover, first, sizeof(first), &now);
	assert_memory_not_equal(&now, &from[1], sizeof(now));
	for (i = 0; i < HS_RELAY_MAX_FLOWS_PER_SITE; i++)
		close(clients[i]);
	close(newcomer);
	stop(&s);
}

/* The last sockets are for sites that have not asked for many. */
static void kept_for_quiet_sites(void **state)
{
	struct sockaddr_in quiet = { .sin_family = AF_INET };
	int clients[HS_LATELY_QUIET_MAX + 2], i;
	struct scene s;

	start(&s, AF_INET, HS_LATELY_QUIET_MAX + KEPT_SOCKETS);
	for (i = 0; i < HS_LATELY_QUIET_MAX; i++) {
		clients[i] = client_socket(&s.server);
		exchange(&s, clients[i], (const uint8_t *)"\xc0 one", 5);
	}
	clients[i] = client_socket(&s.server);
	say(clients[i], "\xc0 too many", 10);
	exchange(&s, clients[0], (const uint8_t *)"\xc0 two", 5);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS_REFUSED), 1);
	clients[++i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, "127.5.5.5", &quiet.sin_addr);
	assert_int_equal(bind(clients[i], (struct sockaddr *)&quiet, sizeof(quiet)), 0);
	assert_int_equal(connect(clients[i], (struct sockaddr *)&s.server, t_addr_len(&s.server)),
			 0);
	exchange(&s, clients[i], (const uint8_t *)"\xc0 one", 5);
	for (; i >= 0; i--)
		close(clients[i]);
	stop(&s);
}

static void next_is(struct scene *s, uint8_t cmd, uint16_t attr, uint32_t value)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;
	struct nxm_hdr hdr;
	struct t_msg m;

	assert_true(t_next_msg(&s->h, &m, T_WAIT_MS));
	assert_int_equal(t_msg_cmd(&m), cmd);
	assert_int_equal(nxm_parse_hdr(m.data, m.len, &hdr, &e), 0);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, tb, m.data, &e), 0);
	assert_string_equal(nxa_str(&tb[HS_A_TUNNEL]), T_TUNNEL);
	assert_int_equal(attr == HS_A_COUNT ? nxa_u32(&tb[attr]) : nxa_u8(&tb[attr]), value);
	free(m.data);
}

/* Without a socket nobody gets through; the pool asks to be filled. */
static void empty_pool(void **state)
{
	struct scene s;
	int a, b;

	start(&s, AF_INET, 1);
	a = client_socket(&s.server);
	b = client_socket(&s.server);
	say(a, "\xc0 a", 3);
	expect_bytes(s.cover, "\xc0 a", 3, NULL);
	next_is(&s, HS_CMD_RELAY_WANTED, HS_A_COUNT, HS_RELAY_POOL);
	say(b, "\xc0 b", 3);
	say(a, "\xc0 c", 3);
	expect_bytes(s.cover, "\xc0 c", 3, NULL);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS_REFUSED), 1);
	assert_int_equal(give_sockets(&s, &s.cover_name, 1, false), 0);
	say(b, "\xc0 b", 3);
	expect_bytes(s.cover, "\xc0 b", 3, NULL);
	close(a);
	close(b);
	stop(&s);
}

/* Visits to the cover need sockets as well, where nobody comes for whom more are asked for. */
static void visit_asks(void **state)
{
	struct scene s;

	start_as(&s, &t_default_config, AF_INET, 8);
	next_is(&s, HS_CMD_RELAY_WANTED, HS_A_COUNT, HS_RELAY_POOL - 8);
	stop(&s);
}

/* From another site for every 32. */
static int client_of_site(const struct sockaddr_storage *server, unsigned int i)
{
	struct sockaddr_in me = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	me.sin_addr.s_addr = htonl(0x7f010001 + (i / 32 << 8));
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)server, t_addr_len(server)), 0);
	return fd;
}

/* A burst is followed at once: the next portion is asked for before the last one has come. */
static void asks_in_portions(void **state)
{
	enum { FLOWS = 2 * HS_RELAY_POOL_MISSING };
	int clients[FLOWS];
	struct scene s;
	unsigned int i;

	start(&s, AF_INET, HS_RELAY_POOL);
	for (i = 0; i < FLOWS; i++) {
		clients[i] = client_of_site(&s.server, i);
		exchange(&s, clients[i], (const uint8_t *)"\xc0 hello", 7);
		if (i == 0)
			next_is(&s, HS_CMD_COVER_STATE, HS_A_COVER_STATE, HS_COVER_ALIVE);
		if (i == HS_RELAY_POOL_MISSING - 1)
			next_is(&s, HS_CMD_RELAY_WANTED, HS_A_COUNT, HS_RELAY_POOL_MISSING);
	}
	next_is(&s, HS_CMD_RELAY_WANTED, HS_A_COUNT, HS_RELAY_POOL_MISSING);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS), FLOWS);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS_REFUSED), 0);
	for (i = 0; i < FLOWS; i++)
		close(clients[i]);
	stop(&s);
}

/* A tunnel that was given no socket says nothing to anybody. */
static void without_cover(void **state)
{
	struct scene s;
	int client;

	start(&s, AF_INET, 0);
	client = client_socket(&s.server);
	say(client, "\xc0 anybody?", 10);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS), 0);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_RELAY_FLOWS_REFUSED), 0);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_COVER_STATE), HS_COVER_NONE);
	assert_false(readable(client, 100));
	close(client);
	stop(&s);
}

/* ---- dead and moved covers ---- */

static void dead_cover(void **state)
{
	struct sockaddr_storage name, dead_name;
	struct scene s;
	int client, other;

	start(&s, AF_INET, 8);
	client = client_socket(&s.server);
	exchange(&s, client, (const uint8_t *)"\xc0 alive", 7);
	next_is(&s, HS_CMD_RELAY_WANTED, HS_A_COUNT, HS_RELAY_POOL - 7);
	next_is(&s, HS_CMD_COVER_STATE, HS_A_COVER_STATE, HS_COVER_ALIVE);
	close(s.cover);
	say(client, "\xc0 anybody?", 10);
	next_is(&s, HS_CMD_COVER_STATE, HS_A_COVER_STATE, HS_COVER_DEAD);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_COVER_STATE), HS_COVER_DEAD);
	dead_name = s.cover_name;
	/* It has moved: new flows go there, the old one keeps its socket. */
	s.cover = t_udp(AF_INET, false, &name);
	assert_int_equal(give_sockets(&s, &name, 8, true), 0);
	assert_int_equal(t_stat(&s.h, HS_A_STATS_COVER_STATE), HS_COVER_UNKNOWN);
	other = client_socket(&s.server);
	exchange(&s, other, (const uint8_t *)"\xc0 moved", 7);
	/* No more sockets are asked for: a whole pool is expected. */
	next_is(&s, HS_CMD_COVER_STATE, HS_A_COVER_STATE, HS_COVER_ALIVE);
	close(s.cover);
	/* The old flow is alive as soon as the old cover is. */
	s.cover = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s.cover, (struct sockaddr *)&dead_name, sizeof(struct sockaddr_in)),
			 0);
	exchange(&s, client, (const uint8_t *)"\xc0 again", 7);
	close(client);
	close(other);
	stop(&s);
}

static void refusals(void **state)
{
	struct sockaddr_storage ignored;
	struct scene s;
	struct nxm *m;
	int sock;

	start(&s, AF_INET, 0);
	t_begin(&s.h, HS_CMD_RELAY_SOCKETS);
	assert_int_equal(t_request(&s.h, NULL, 0), -EINVAL);
	m = t_begin(&s.h, HS_CMD_RELAY_SOCKETS);
	nxm_put_str(m, HS_A_TUNNEL, "nobody");
	assert_int_equal(t_request(&s.h, NULL, 0), -ENOENT);
	stop(&s);
	t_hsd_start(&s.h, 0);
	sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&s.h, &t_default_config, sock), 0);
	m = t_begin(&s.h, HS_CMD_RELAY_SOCKETS);
	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	assert_int_equal(t_request(&s.h, NULL, 0), -EINVAL);
	assert_non_null(strstr(s.h.text, "is a client"));
	close(sock);
	t_hsd_stop(&s.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_v4),
		cmocka_unit_test(datagrams_v6),
		cmocka_unit_test(order),
		cmocka_unit_test(source_address),
		cmocka_unit_test(two_addresses),
		cmocka_unit_test(punted),
		cmocka_unit_test(segments),
		cmocka_unit_test(pieces_keep_their_order),
		cmocka_unit_test(full_flight),
		cmocka_unit_test(recorded_flights),
		cmocka_unit_test(marks_v4),
		cmocka_unit_test(marks_v6),
		cmocka_unit_test(marked_segments),
		cmocka_unit_test(marks_of_punted),
		cmocka_unit_test(asks_in_portions),
		cmocka_unit_test(bounded_per_site),
		cmocka_unit_test(half_open_makes_room),
		cmocka_unit_test(kept_for_quiet_sites),
		cmocka_unit_test(empty_pool),
		cmocka_unit_test(visit_asks),
		cmocka_unit_test(without_cover),
		cmocka_unit_test(dead_cover),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
