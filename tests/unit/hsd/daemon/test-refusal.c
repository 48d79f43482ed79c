// SPDX-License-Identifier: GPL-2.0-or-later
/* Whoever has no valid credential gets not one byte from the server, and a client says why it may be. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-hsd.h"
#include "t-net.h"

struct scene {
	struct t_hsd server, client;
	struct t_net net;
};

static void start(struct scene *s, const struct t_config *sc, const struct t_config *cc,
		  long client_clock_s)
{
	struct sockaddr_storage addr, ignored;
	int sock;

	t_hsd_start(&s->server, 0);
	t_hsd_start(&s->client, client_clock_s);
	sock = t_udp(AF_INET, false, &addr);
	assert_int_equal(t_set_server(&s->server, sc, sock), 0);
	close(sock);
	t_net_open(&s->net, &addr);
	sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&s->client, cc, sock), 0);
	close(sock);
}

static void stop(struct scene *s)
{
	t_hsd_stop(&s->client);
	t_hsd_stop(&s->server);
	t_net_close(&s->net);
}

/* Run the path until a message of @h is there. */
static void pump_until_msg(struct scene *s, struct t_hsd *h)
{
	uint64_t limit = t_now_ms() + T_WAIT_MS;
	struct pollfd p[3] = {
		{ .fd = h->ctl, .events = POLLIN },
		{ .fd = s->net.front, .events = POLLIN },
		{ .fd = s->net.back, .events = POLLIN },
	};

	while (!(p[0].revents & POLLIN)) {
		assert_true(t_now_ms() < limit);
		poll(p, 3, 5);
		t_net_pump(&s->net);
	}
}

static void refused(const struct t_config *cc, long clock_s, uint16_t counter)
{
	struct t_config client = *cc;
	struct scene s;
	char text[256];

	client.handshake_timeout_ms = 800;
	start(&s, &t_default_config, &client, clock_s);
	assert_int_equal(t_connect(&s.client, 1, &s.net.front_name), 0);
	pump_until_msg(&s, &s.client);
	assert_int_equal(t_wait_failed(&s.client, text), HS_REASON_TIMEOUT);
	assert_non_null(strstr(text, "wrong client key"));
	assert_non_null(strstr(text, "wrong server key"));
	assert_non_null(strstr(text, "unknown short id"));
	assert_non_null(strstr(text, "clock"));
	assert_non_null(strstr(text, "UDP blocked"));
	t_net_pump(&s.net);
	assert_true(s.net.up > 0);
	assert_int_equal(s.net.down, 0);
	assert_true(t_stat(&s.server, counter) >= 1);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_AUTHENTICATED), 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_PENDING), 0);
	stop(&s);
}

static void wrong_client_key(void **state)
{
	struct t_config c = t_default_config;

	c.client_key = 9;
	refused(&c, 0, HS_A_STATS_REJECTED_TAG);
}

static void wrong_server_key(void **state)
{
	struct t_config c = t_default_config;

	c.server_key = 9;
	refused(&c, 0, HS_A_STATS_REJECTED_KEY);
}

static void unknown_short_id(void **state)
{
	struct t_config c = t_default_config;

	c.short_id++;
	refused(&c, 0, HS_A_STATS_REJECTED_SHORT_ID);
}

static void clock_late(void **state)
{
	refused(&t_default_config, -3600, HS_A_STATS_REJECTED_TIME);
}

static void clock_early(void **state)
{
	refused(&t_default_config, 3600, HS_A_STATS_REJECTED_TIME);
}

static void psk_missing(void **state)
{
	static const uint8_t psk[32] = "a preshared key of 32 bytes, ok";
	struct t_config c = t_default_config;

	c.psk = psk;
	refused(&c, 0, HS_A_STATS_REJECTED_TAG);
}

/* The seam works: with the same clock shift at both ends there is a session. */
static void both_clocks_off(void **state)
{
	struct sockaddr_storage addr, ignored;
	struct t_hsd server, client;
	struct t_session session;
	int sock;

	t_hsd_start(&server, 3600);
	t_hsd_start(&client, 3600);
	sock = t_udp(AF_INET, false, &addr);
	assert_int_equal(t_set_server(&server, &t_default_config, sock), 0);
	close(sock);
	sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&client, &t_default_config, sock), 0);
	close(sock);
	assert_int_equal(t_connect(&client, 1, &addr), 0);
	t_wait_session(&client, &session);
	t_session_free(&session);
	t_hsd_stop(&client);
	t_hsd_stop(&server);
}

/* Take the client's first flight by hand, without letting it through. */
static size_t first_flight(struct scene *s, uint8_t *buf, size_t cap)
{
	struct pollfd p = { .fd = s->net.front, .events = POLLIN };
	socklen_t size = sizeof(s->net.client);
	ssize_t n;

	assert_int_equal(t_connect(&s->client, 1, &s->net.front_name), 0);
	assert_true(poll(&p, 1, T_WAIT_MS) > 0);
	n = recvfrom(s->net.front, buf, cap, 0, (struct sockaddr *)&s->net.client, &size);
	assert_true(n >= 1200);
	s->net.has_client = true;
	return (size_t)n;
}

static void wait_stat(struct t_hsd *h, uint16_t attr, uint64_t value)
{
	uint64_t limit = t_now_ms() + T_WAIT_MS;

	while (t_stat(h, attr) != value)
		assert_true(t_now_ms() < limit);
}

/* From an address of its own, as somebody who recorded it would send it. */
static void replay_from_elsewhere(struct scene *s, const uint8_t *flight, size_t len,
				  uint64_t expected)
{
	struct sockaddr_storage server, ignored;
	socklen_t size = sizeof(server);
	uint8_t buf[2048];
	int fd;

	fd = t_udp(AF_INET, false, &ignored);
	assert_int_equal(getpeername(s->net.back, (struct sockaddr *)&server, &size), 0);
	assert_int_equal(sendto(fd, flight, len, 0, (struct sockaddr *)&server, size), len);
	wait_stat(&s->server, HS_A_STATS_REJECTED_REPLAY, expected);
	assert_true(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) < 0);
	close(fd);
}

/* A recorded first flight works once; neither time nor a reload makes it work again. */
static void replay(void **state)
{
	struct t_config sc = t_default_config;
	struct sockaddr_storage addr;
	uint8_t flight[2048];
	struct pollfd p;
	struct scene s;
	size_t len;
	int sock;

	sc.handshake_timeout_ms = 200;
	start(&s, &sc, &t_default_config, 0);
	len = first_flight(&s, flight, sizeof(flight));
	send(s.net.back, flight, len, 0);
	p = (struct pollfd){ .fd = s.net.back, .events = POLLIN };
	assert_true(poll(&p, 1, T_WAIT_MS) > 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_AUTHENTICATED), 1);
	wait_stat(&s.server, HS_A_STATS_HANDSHAKES_FAILED, 1);
	replay_from_elsewhere(&s, flight, len, 1);
	/* The same configuration again, and another one: both keep the cache. */
	sock = t_udp(AF_INET, false, &addr);
	assert_int_equal(t_set_server(&s.server, &sc, sock), 0);
	assert_int_equal(connect(s.net.back, (struct sockaddr *)&addr, sizeof(struct sockaddr_in)),
			 0);
	replay_from_elsewhere(&s, flight, len, 2);
	sc.mtu = 1300;
	assert_int_equal(t_set_server(&s.server, &sc, sock), 0);
	close(sock);
	replay_from_elsewhere(&s, flight, len, 3);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_AUTHENTICATED), 1);
	stop(&s);
}

static uint64_t rejected(struct t_hsd *h)
{
	return t_stat(h, HS_A_STATS_REJECTED_FORMAT) + t_stat(h, HS_A_STATS_REJECTED_KEY) +
	       t_stat(h, HS_A_STATS_REJECTED_TAG);
}

/* Damaged and cut copies of a good flight get no byte; the genuine one still works afterwards. */
static void damage_and_garbage(void **state)
{
	uint8_t flight[2048], bad[2048];
	struct t_config sc = t_default_config;
	struct t_session session;
	uint64_t done = 0, limit;
	struct scene s;
	size_t len, i;

	/* All of it is to be read. */
	sc.max_auth_per_s = sc.max_auth_per_site_per_s = 1000000;
	start(&s, &sc, &t_default_config, 0);
	len = first_flight(&s, flight, sizeof(flight));
	for (i = 0; i < 400; i++) {
		memcpy(bad, flight, len);
		bad[i * len / 400] ^= 1 << i % 8;
		send(s.net.back, bad, len, 0);
		send(s.net.back, flight, 1 + i * (len - 1) / 400, 0);
		done += 2;
		/* Lockstep, so that the socket's buffer drops none of them. */
		for (limit = t_now_ms() + T_WAIT_MS; rejected(&s.server) < done;)
			assert_true(t_now_ms() < limit);
	}
	/* Garbage of every length, both header forms, and right long headers with a wrong rest. */
	for (i = 0; i < 1000; i++) {
		assert_int_equal(getrandom(bad, sizeof(bad), 0), sizeof(bad));
		if (i % 2)
			memcpy(bad, flight, i % 60);
		send(s.net.back, bad, 1 + i * 2, 0);
		for (limit = t_now_ms() + T_WAIT_MS; rejected(&s.server) < done + i + 1;)
			assert_true(t_now_ms() < limit);
	}
	t_net_pump(&s.net);
	assert_int_equal(s.net.down, 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_AUTHENTICATED), 0);
	send(s.net.back, flight, len, 0);
	pump_until_msg(&s, &s.client);
	t_wait_session(&s.client, &session);
	t_session_free(&session);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_client_key),   cmocka_unit_test(wrong_server_key),
		cmocka_unit_test(unknown_short_id),   cmocka_unit_test(clock_late),
		cmocka_unit_test(clock_early),	      cmocka_unit_test(psk_missing),
		cmocka_unit_test(both_clocks_off),    cmocka_unit_test(replay),
		cmocka_unit_test(damage_and_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
