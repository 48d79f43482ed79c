// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The relay to the cover without a process around it, where time and tables can be looked at: the token
 * bucket, which silence says that a cover is dead, first flights in pieces (what waits, for how long, and
 * how far apart it leaves), the spread of its tables. With a process: test-relay.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

static struct t_pieces flight = { .dcid = "destination-cid-0123" };

static void token_bucket(void **state)
{
	struct hs_relay r = { .limits = { .max_rate_mbit = 8 } }; /* 1 MB/s, burst 256 KiB */
	struct hs_relay_flow f = { .relay = &r, .tokens = HS_RELAY_BURST_MIN, .refilled_ns = 1 };
	uint64_t now = 1;
	unsigned int i;

	assert_true(hs_relay_take_tokens(&f, HS_RELAY_BURST_MIN, now));
	assert_false(hs_relay_take_tokens(&f, 1, now));
	now += HS_NS_PER_MS;
	assert_true(hs_relay_take_tokens(&f, 1000, now));
	assert_false(hs_relay_take_tokens(&f, 1, now));
	/* Asking often is no loss: less than a byte of time is kept. */
	for (i = 0; i < 10000; i++)
		assert_false(hs_relay_take_tokens(&f, 1001, now += 100));
	assert_true(hs_relay_take_tokens(&f, 1000, now));
	/* Never more than the burst. */
	now += 3600 * HS_NS_PER_S;
	assert_false(hs_relay_take_tokens(&f, HS_RELAY_BURST_MIN + 1, now));
	assert_true(hs_relay_take_tokens(&f, HS_RELAY_BURST_MIN, now));
	/* The largest rate does not overflow. */
	r.limits.max_rate_mbit = 100000;
	now += 3600 * HS_NS_PER_S;
	assert_true(hs_relay_take_tokens(&f, 1000000000, now));
}

/* A relay without a process around it; nobody reads at the cover. */
struct alone {
	struct hs_config config;
	struct hsd h;
	struct hs_tunnel t;
	struct hs_sock sock;
	struct hs_relay *r;
	int cover;
};

static void alone_start(struct alone *a, unsigned int n)
{
	struct sockaddr_storage cover;
	int fds[64];
	unsigned int i;

	memset(a, 0, sizeof(*a));
	strcpy(a->config.name, T_TUNNEL);
	a->h.control.fd = -1;
	a->sock.src.fd = -1;
	a->sock.tunnel = &a->t;
	a->t.hsd = &a->h;
	a->t.config = &a->config;
	a->t.budget = malloc(sizeof(*a->t.budget));
	assert_non_null(a->t.budget);
	assert_int_equal(hs_budget_init(a->t.budget), 0);
	assert_int_equal(hs_loop_init(&a->h.loop), 0);
	TAILQ_INIT(&a->h.tunnels);
	a->r = a->t.relay = hs_relay_new(&a->t);
	assert_non_null(a->r);
	TAILQ_INSERT_TAIL(&a->h.tunnels, &a->t, entry);
	a->cover = t_udp(AF_INET, false, &cover);
	assert_true(n <= 64);
	for (i = 0; i < n; i++)
		fds[i] = t_cover_socket(&cover);
	hs_relay_add_sockets(a->r, fds, n, true);
}

static void alone_stop(struct alone *a)
{
	hs_relay_free(a->r);
	free(a->t.budget);
	close(a->h.loop.epoll_fd);
	close(a->cover);
}

/* As many strangers as may go unanswered say this, and their flows end. */
static void unanswered(struct alone *a, const uint8_t *data, size_t len)
{
	struct hs_dgram d = { .sock = &a->sock, .data = data, .len = len };
	unsigned int i;

	d.remote.in6.sin6_family = d.local.in6.sin6_family = AF_INET6;
	for (i = 0; i < HS_RELAY_SILENT_FLOWS; i++) {
		d.remote.in6.sin6_addr.s6_addr[0] = (uint8_t)i;
		hs_relay_pass(a->r, &d);
	}
	hs_relay_flush(&a->h);
	assert_int_equal(a->r->n_flows, HS_RELAY_SILENT_FLOWS);
	a->r->limits.idle_timeout_ms = 0;
	hs_relays_run_timers(&a->h);
	a->r->limits.idle_timeout_ms = HS_RELAY_IDLE_TIMEOUT_MS;
	assert_int_equal(a->r->n_flows, 0);
}

/* A cover that says nothing is dead only if it was asked something that web servers answer. */
static void silent_cover(void **state)
{
	uint8_t packet[1500], garbage[1200] = { 0xc0, 0, 0, 0, 1, 20 }, version[1200] = { 0xc0, 1 };
	struct alone a;
	size_t len;

	t_pieces_make(&flight, T_NAME);
	len = t_piece(&flight, packet, 0, flight.hello_len, 0);
	t_random(garbage + 6, sizeof(garbage) - 6);
	alone_start(&a, 4 * HS_RELAY_SILENT_FLOWS);
	unanswered(&a, garbage, sizeof(garbage));
	assert_int_equal(a.r->state, HS_COVER_UNKNOWN);
	packet[len - 1] ^= 1; /* does not open */
	unanswered(&a, packet, len);
	assert_int_equal(a.r->state, HS_COVER_UNKNOWN);
	packet[len - 1] ^= 1;
	unanswered(&a, packet, len);
	assert_int_equal(a.r->state, HS_COVER_DEAD);
	alone_stop(&a);
	alone_start(&a, HS_RELAY_SILENT_FLOWS);
	unanswered(&a, version, sizeof(version));
	assert_int_equal(a.r->state, HS_COVER_DEAD);
	alone_stop(&a);
}

/* With a gate that knows one user, who is @c. */
static void alone_start_server(struct alone *a, struct hs_reality_client *c)
{
	struct hs_reality_user user = { .name = "alice", .short_id = T_SHORT_ID };
	uint8_t secret[32];

	*c = (struct hs_reality_client){ .short_id = T_SHORT_ID };
	t_key(1, secret, c->server_public);
	t_key(2, c->secret, user.public_key);
	alone_start(a, 8);
	a->config.server = true;
	hs_flows_init(&a->h.flows);
	hs_cidtable_init(&a->h.cids);
	a->t.gate = hs_gate_new(secret, HS_TIME_WINDOW_S, 16);
	assert_non_null(a->t.gate);
	assert_int_equal(hs_gate_add_user(a->t.gate, &user), 0);
}

static void alone_stop_server(struct alone *a)
{
	hs_flows_clear(&a->h.flows);
	hs_gate_free(a->t.gate);
	alone_stop(a);
}

static void arrives(struct alone *a, const uint8_t *packet, size_t len)
{
	struct hs_dgram d = { .sock = &a->sock, .data = packet, .len = len };

	d.remote.in.sin_family = d.local.in.sin_family = AF_INET;
	hs_server_datagram(&a->h, &d);
	hs_relay_flush(&a->h);
}

/* The beginning of the ClientHello, as it comes in a first datagram. */
static void begin(struct alone *a)
{
	uint8_t packet[1500];

	arrives(a, packet, t_piece(&flight, packet, 0, flight.hello_len / 2, 0));
}

/* The other half. */
static void end(struct alone *a)
{
	uint8_t packet[1500];

	arrives(a, packet, t_piece(&flight, packet, flight.hello_len / 2, flight.hello_len, 1));
}

static void stranger_begins(struct alone *a)
{
	t_pieces_make(&flight, T_NAME);
	begin(a);
}

/* An Initial without a piece of a ClientHello. */
static void ping(struct alone *a)
{
	const struct t_initial p = { .dcid = flight.dcid,
				     .dcid_len = 20,
				     .scid = flight.scid,
				     .scid_len = 20,
				     .pn_len = 1 };
	uint8_t packet[1500], frames[1140] = { 1 };

	arrives(a, packet, t_seal_initial(packet, sizeof(packet), &p, frames, sizeof(frames)));
}

/* Half a ClientHello of a stranger does not wait for the other half: the cover answers it at once. */
static void strangers_halves_do_not_wait(void **state)
{
	struct hs_reality_attempt attempt;
	struct hs_reality_client c;
	struct alone a;

	alone_start_server(&a, &c);
	stranger_begins(&a);
	assert_int_equal(a.h.flows.n, 0);
	assert_int_equal(a.r->stats.to_packets, 1);
	assert_int_equal(a.t.stats.rejected[HS_REJECT_KEY], 1);
	ping(&a);
	assert_int_equal(a.h.flows.n, 0);
	assert_int_equal(a.r->stats.to_packets, 2);
	assert_int_equal(a.t.stats.rejected[HS_REJECT_FORMAT], 1);
	/* That of a user does. */
	assert_int_equal(hs_reality_attempt_init(&attempt, &c, (uint64_t)time(NULL)), 0);
	t_pieces_with(&flight, T_NAME, attempt.random, attempt.scid);
	begin(&a);
	assert_int_equal(a.h.flows.n, 1);
	assert_int_equal(a.r->stats.to_packets, 2);
	alone_stop_server(&a);
}

/* Nor does the other half wait for anything, once the cover has the first. */
static void second_halves_do_not_wait(void **state)
{
	struct hs_reality_client c;
	struct alone a;

	alone_start_server(&a, &c);
	stranger_begins(&a);
	end(&a);
	assert_int_equal(a.h.flows.n, 0);
	assert_int_equal(a.r->stats.to_packets, 2);
	end(&a); /* and again */
	assert_int_equal(a.r->stats.to_packets, 3);
	/* One of another connection does. */
	flight.dcid[0] ^= 1;
	end(&a);
	flight.dcid[0] ^= 1;
	assert_int_equal(a.h.flows.n, 1);
	assert_int_equal(a.r->stats.to_packets, 3);
	alone_stop_server(&a);
}

static void wait_until_ns(uint64_t until_ns)
{
	while (hs_now_ns() < until_ns)
		;
}

/* What had to wait leaves as far apart as it came: a server may lose what comes while it is busy. */
static void refused_halves_keep_their_distance(void **state)
{
	const uint64_t apart_ns = 3 * HS_NS_PER_MS;
	struct hs_reality_client c;
	uint64_t end_ns, begin_ns, due_ns;
	struct alone a;

	alone_start_server(&a, &c);
	t_pieces_make(&flight, T_NAME);
	end(&a);
	end_ns = hs_now_ns();
	assert_int_equal(a.r->stats.to_packets, 0);
	wait_until_ns(end_ns + apart_ns);
	begin_ns = hs_now_ns();
	begin(&a);
	assert_int_equal(a.t.stats.rejected[HS_REJECT_FORMAT], 1); /* the name */
	assert_int_equal(a.r->stats.to_packets, 1);
	assert_int_equal(a.h.flows.n, 1);
	assert_true(hs_server_run_timers(&a.h) >= begin_ns + apart_ns || a.h.flows.n == 0);
	/* What comes behind them stays behind them. */
	ping(&a);
	while ((due_ns = hs_server_run_timers(&a.h)) != UINT64_MAX) {
		assert_true(a.r->stats.to_packets == 1 || hs_now_ns() >= begin_ns + apart_ns);
		wait_until_ns(due_ns);
	}
	assert_true(hs_now_ns() >= begin_ns + apart_ns);
	assert_int_equal(a.r->stats.to_packets, 3);
	alone_stop_server(&a);
}

#define SITES 64

/*
 * Sites that agree in most of their bits do not share a place of the table: nobody who has many networks
 * can make the search through it long.
 */
static void sites_are_spread(void **state)
{
	struct hs_dgram d = { .data = (const uint8_t *)"\xc0", .len = 1 };
	struct hs_relay_flow *f;
	unsigned int i, n;
	struct alone a;

	alone_start(&a, SITES);
	d.sock = &a.sock;
	d.remote.in6.sin6_family = d.local.in6.sin6_family = AF_INET6;
	for (i = 0; i < SITES; i++) {
		d.remote.in6.sin6_addr.s6_addr[0] = (uint8_t)i;
		hs_relay_pass(a.r, &d);
	}
	hs_relay_flush(&a.h);
	assert_int_equal(a.r->n_flows, SITES);
	for (i = 0; i < HS_RELAY_BUCKETS; i++) {
		n = 0;
		LIST_FOREACH(f, &a.r->by_site[i], by_site)
		n++;
		assert_in_range(n, 0, SITES / 8 - 1);
		n = 0;
		LIST_FOREACH(f, &a.r->by_addr[i], by_addr)
		n++;
		assert_in_range(n, 0, SITES / 8 - 1);
	}
	alone_stop(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_bucket),
		cmocka_unit_test(silent_cover),
		cmocka_unit_test(strangers_halves_do_not_wait),
		cmocka_unit_test(second_halves_do_not_wait),
		cmocka_unit_test(refused_halves_keep_their_distance),
		cmocka_unit_test(sites_are_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
