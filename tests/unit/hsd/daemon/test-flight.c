// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ClientHellos of two datagrams, as those with X25519MLKEM768 are: a genuine client is let in however the
 * two arrive, and a flight whose only key share is X25519MLKEM768 is judged like any other.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "elligator.h"
#include "flow.h"
#include "hsd-test.h"
#include "reality.h"
#include "t-hsd.h"
#include "t-net.h"

#define MS 1000u /* microseconds */
#define TRIES 100

struct scene {
	struct t_hsd server, client;
	struct t_net net;
	uint64_t attempt;
	struct {
		uint8_t data[2048];
		size_t len;
	} dgrams[2]; /* the first flight */
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void start(struct scene *s)
{
	struct sockaddr_storage addr, ignored;
	int sock;

	memset(s, 0, sizeof(*s));
	t_hsd_start(&s->server, 0);
	t_hsd_start_long_hello(&s->client);
	sock = t_udp(AF_INET, false, &addr);
	assert_int_equal(t_set_server(&s->server, &t_default_config, sock), 0);
	close(sock);
	t_net_open(&s->net, &addr);
	sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&s->client, &t_default_config, sock), 0);
	close(sock);
}

static void stop(struct scene *s)
{
	t_hsd_stop(&s->client);
	t_hsd_stop(&s->server);
	t_net_close(&s->net);
}

/* Let the client begin, and keep its first flight here. */
static void take_flight(struct scene *s)
{
	struct pollfd p = { .fd = s->net.front, .events = POLLIN };
	socklen_t size = sizeof(s->net.client);
	unsigned int i;
	ssize_t n;

	assert_int_equal(t_connect(&s->client, ++s->attempt, &s->net.front_name), 0);
	for (i = 0; i < 2; i++) {
		assert_true(poll(&p, 1, T_WAIT_MS) > 0);
		n = recvfrom(s->net.front, s->dgrams[i].data, sizeof(s->dgrams[i].data), 0,
			     (struct sockaddr *)&s->net.client, &size);
		assert_int_equal(n, 1200);
		/* Both are Initials. */
		assert_int_equal(s->dgrams[i].data[0] & 0xf0, 0xc0);
		s->dgrams[i].len = (size_t)n;
	}
	s->net.has_client = true;
}

static void put(struct scene *s, unsigned int i)
{
	assert_int_equal(send(s->net.back, s->dgrams[i].data, s->dgrams[i].len, 0),
			 s->dgrams[i].len);
}

/* The network is whole from now on: this very attempt becomes a session. */
static void expect_session(struct scene *s)
{
	uint64_t limit = t_now_ms() + T_WAIT_MS;
	struct t_session session;
	struct pollfd p[3] = {
		{ .fd = s->client.ctl, .events = POLLIN },
		{ .fd = s->net.front, .events = POLLIN },
		{ .fd = s->net.back, .events = POLLIN },
	};

	while (!(p[0].revents & POLLIN)) {
		assert_true(t_now_ms() < limit);
		poll(p, 3, 5);
		t_net_pump(&s->net);
	}
	t_wait_session(&s->client, &session);
	assert_int_equal(session.attempt, s->attempt);
	t_session_free(&session);
}

static void forget_attempt(struct scene *s)
{
	struct nxm *m = t_begin(&s->client, HS_CMD_CANCEL);
	char text[256];

	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	nxm_put_u64(m, HS_A_ATTEMPT, s->attempt);
	assert_int_equal(t_request(&s->client, NULL, 0), 0);
	assert_int_equal(t_wait_failed(&s->client, text), HS_REASON_CANCELLED);
}

/*
 * The datagrams in the order of @order, each @gap_us behind the one before. A loaded machine may need longer
 * for that than the server waits: such a try does not count.
 */
static void arrives(const char *order, unsigned int gap_us)
{
	unsigned int tries;
	uint64_t began, next;
	const char *o;
	struct scene s;

	start(&s);
	for (tries = 0; tries < TRIES; tries++) {
		take_flight(&s);
		began = next = now_us();
		for (o = order; *o; o++, next += gap_us) {
			while (now_us() < next)
				;
			put(&s, (unsigned int)(*o - '0'));
		}
		if (now_us() < began + (HS_FLOW_TIMEOUT_MS - 1) * MS)
			break;
		forget_attempt(&s);
	}
	assert_true(tries < TRIES);
	expect_session(&s);
	stop(&s);
}

static void in_order(void **state)
{
	arrives("01", 0);
}

static void reversed(void **state)
{
	arrives("10", 0);
}

static void repeated(void **state)
{
	arrives("001", 0);
	arrives("110", 0);
	arrives("0101", 0);
}

static void apart(void **state)
{
	arrives("01", 5 * MS);
	arrives("10", 5 * MS);
	arrives("001", 3 * MS);
}

static void wait_stat(struct t_hsd *h, uint16_t attr, uint64_t value)
{
	uint64_t limit = t_now_ms() + T_WAIT_MS;

	while (t_stat(h, attr) < value)
		assert_true(t_now_ms() < limit);
}

/*
 * The server does not get the processor for longer than it waits; the second datagram came in time and
 * lies in its socket.
 */
static void server_is_late(void **state)
{
	unsigned int tries;
	uint64_t began, seen;
	struct scene s;
	bool in_time;

	start(&s);
	for (tries = 0; tries < TRIES; tries++) {
		seen = t_stat(&s.server, HS_A_STATS_INITIALS);
		take_flight(&s);
		began = now_us();
		put(&s, 0);
		wait_stat(&s.server, HS_A_STATS_INITIALS, seen + 1);
		kill(s.server.pid, SIGSTOP);
		put(&s, 1);
		in_time = now_us() < began + (HS_FLOW_TIMEOUT_MS - 1) * MS;
		while (now_us() < began + 3 * HS_FLOW_TIMEOUT_MS * MS)
			;
		kill(s.server.pid, SIGCONT);
		if (in_time)
			break;
		forget_attempt(&s);
	}
	assert_true(tries < TRIES);
	expect_session(&s);
	stop(&s);
}

/* ---- flights of our making ---- */

struct crafted {
	struct hs_reality_attempt attempt;
	uint8_t hello[HS_CH_MAX], dcid[HS_CID_LEN];
	size_t len;
};

static size_t get_be16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static void add_be16(uint8_t *p, size_t n)
{
	n += get_be16(p);
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

/* Where the extension list of a ClientHello begins, its length in front. */
static uint8_t *extensions(uint8_t *hello)
{
	uint8_t *at = hello + 4 + 2 + 32;

	at += 1 + at[0];
	at += 2 + get_be16(at);
	return at + 1 + at[0];
}

/* In the place of the key shares one of @group, @share_len bytes. */
static void replace_shares(struct crafted *c, uint16_t group, size_t share_len)
{
	uint8_t *list = extensions(c->hello), *ext = list + 2, *end = c->hello + c->len;
	const size_t want = 2 + 4 + share_len;
	size_t have;

	while (get_be16(ext) != 51)
		ext += 4 + get_be16(ext + 2);
	have = get_be16(ext + 2);
	assert_true(want > have && c->len + want - have <= sizeof(c->hello));
	memmove(ext + 4 + want, ext + 4 + have, (size_t)(end - ext) - 4 - have);
	memset(ext + 4, 0, want);
	add_be16(ext + 2, want - have);
	add_be16(list, want - have);
	add_be16(c->hello + 2, want - have);
	add_be16(ext + 4, want - 2);
	add_be16(ext + 6, group);
	add_be16(ext + 8, share_len);
	t_random(ext + 10, share_len);
	c->len += want - have;
}

/* A flight of the configured client, with this one key share. */
static void craft(struct crafted *c, uint16_t group, size_t share_len)
{
	struct hs_reality_client credential = { .short_id = T_SHORT_ID };
	uint8_t unused[32];

	t_key(t_default_config.server_key, unused, credential.server_public);
	t_key(t_default_config.client_key, credential.secret, unused);
	assert_int_equal(hs_reality_attempt_init(&c->attempt, &credential, (uint64_t)time(NULL)),
			 0);
	c->len = t_client_hello(c->hello, sizeof(c->hello), c->attempt.random, c->attempt.scid,
				HS_CID_LEN, T_NAME);
	replace_shares(c, group, share_len);
	assert_int_equal(hs_reality_attempt_dcid(&c->attempt, 1, c->hello, c->len, c->dcid), 0);
}

static void send_crafted(int fd, const struct crafted *c)
{
	const struct t_initial p = { .dcid = c->dcid,
				     .dcid_len = HS_CID_LEN,
				     .scid = c->attempt.scid,
				     .scid_len = HS_CID_LEN,
				     .pn_len = 1 };
	uint8_t frames[1140], packet[1500];
	struct t_initial next = p;
	size_t at, n, len;

	for (at = 0; at < c->len; at += n, next.pn++) {
		n = c->len - at < 1000 ? c->len - at : 1000;
		memset(frames, 0, sizeof(frames));
		t_crypto_frame(frames, (uint32_t)at, c->hello + at, n);
		len = t_seal_initial(packet, sizeof(packet), &next, frames, sizeof(frames));
		assert_int_equal(send(fd, packet, len, 0), len);
	}
	assert_true(next.pn == 2);
}

/*
 * X25519MLKEM768 without any other share: the gate knows the client. What follows depends on the
 * server's GnuTLS: it takes the share (which is random here), or asks for another one.
 */
static void hybrid_share_alone(void **state)
{
	struct sockaddr_storage ignored, server;
	struct pollfd p = { .events = POLLIN };
	struct crafted c;
	struct t_hsd h;
	int sock;

	t_hsd_start(&h, 0);
	sock = t_udp(AF_INET, false, &server);
	assert_int_equal(t_set_server(&h, &t_default_config, sock), 0);
	p.fd = t_udp(AF_INET, false, &ignored);
	assert_int_equal(connect(p.fd, (struct sockaddr *)&server, sizeof(struct sockaddr_in)), 0);
	craft(&c, 0x11ec, 1216);
	send_crafted(p.fd, &c);
	assert_int_equal(poll(&p, 1, T_WAIT_MS), 1);
	assert_int_equal(t_stat(&h, HS_A_STATS_AUTHENTICATED), 1);
	/* Of a length that no such share has, and of a group that is no share of ours. */
	craft(&c, 0x11ec, 1217);
	send_crafted(p.fd, &c);
	wait_stat(&h, HS_A_STATS_REJECTED_FORMAT, 1);
	craft(&c, 0x11eb, 1249);
	send_crafted(p.fd, &c);
	wait_stat(&h, HS_A_STATS_REJECTED_FORMAT, 2);
	assert_int_equal(t_stat(&h, HS_A_STATS_AUTHENTICATED), 1);
	close(p.fd);
	close(sock);
	t_hsd_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),	  cmocka_unit_test(reversed),
		cmocka_unit_test(repeated),	  cmocka_unit_test(apart),
		cmocka_unit_test(server_is_late), cmocka_unit_test(hybrid_share_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
