// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A path that loses, reorders, duplicates and damages: both ends still hand over, and the engine at
 * both ends carries DATAGRAMs on, whatever the other nexus-hsd still has to say.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-dp.h"
#include "t-hsd.h"
#include "t-net.h"

#define ROUNDS 12

struct end {
	struct t_hsd hsd;
	struct t_session session;
	bool exported;
	struct t_dp dp;
	int sock;
};

static void take_result(struct end *e)
{
	struct pollfd p = { .fd = e->hsd.ctl, .events = POLLIN };
	struct t_msg m;

	if (e->exported || (e->hsd.n_queue == 0 && poll(&p, 1, 0) <= 0))
		return;
	assert_true(t_next_msg(&e->hsd, &m, 0));
	t_parse_session(&m, &e->session);
	e->exported = true;
	t_dp_install(&e->dp, &e->hsd, &e->session, e->sock);
}

static void step(struct t_net *net, struct end *a, struct end *b)
{
	struct pollfd p[] = {
		{ .fd = net->front, .events = POLLIN },	 { .fd = net->back, .events = POLLIN },
		{ .fd = a->hsd.ctl, .events = POLLIN },	 { .fd = b->hsd.ctl, .events = POLLIN },
		{ .fd = a->hsd.punt, .events = POLLIN }, { .fd = b->hsd.punt, .events = POLLIN },
	};

	poll(p, sizeof(p) / sizeof(p[0]), 2);
	t_net_pump(net);
	take_result(a);
	take_result(b);
	t_dp_pump(&a->dp);
	t_dp_pump(&b->dp);
}

static void open_ends(struct end *server, struct end *client, struct t_net *net)
{
	struct t_config c = t_default_config;
	struct sockaddr_storage addr, ignored;

	c.handshake_timeout_ms = 60000;
	memset(server, 0, sizeof(*server));
	memset(client, 0, sizeof(*client));
	t_hsd_start(&server->hsd, 0);
	t_hsd_start(&client->hsd, 0);
	server->sock = t_udp(AF_INET, false, &addr);
	client->sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_server(&server->hsd, &c, server->sock), 0);
	assert_int_equal(t_set_client(&client->hsd, &c, client->sock), 0);
	t_net_open(net, &addr);
}

static void close_end(struct end *e)
{
	t_session_free(&e->session);
	t_dp_free(&e->dp);
	t_hsd_stop(&e->hsd);
	close(e->sock);
}

/* One connection over @fault, then one DATAGRAM each way over the healed path. */
static void round_trip(const struct t_net_fault *fault, uint32_t seed, bool talk_early)
{
	static const char ping[] = "from the client", pong[] = "from the server";
	uint64_t limit = t_now_ms() + 60000;
	struct end server, client;
	struct t_net net;

	open_ends(&server, &client, &net);
	net.fault = *fault;
	net.seed = seed;
	assert_int_equal(t_connect(&client.hsd, 42, &net.front_name), 0);
	while (!server.exported || !client.exported) {
		if (t_now_ms() > limit)
			fail_msg("seed %u: server %d client %d exported", seed, server.exported,
				 client.exported);
		step(&net, &server, &client);
		/* The first end to have it talks while the other still shakes hands. */
		if (talk_early && client.exported && !server.exported)
			t_dp_send(&client.dp, ping, sizeof(ping));
	}
	memset(&net.fault, 0, sizeof(net.fault));
	while (client.dp.datagrams == 0 || server.dp.datagrams == 0) {
		assert_true(t_now_ms() < limit);
		if (server.dp.datagrams == 0)
			t_dp_send(&client.dp, ping, sizeof(ping));
		if (client.dp.datagrams == 0)
			t_dp_send(&server.dp, pong, sizeof(pong));
		step(&net, &server, &client);
	}
	assert_string_equal((char *)server.dp.last, ping);
	assert_string_equal((char *)client.dp.last, pong);
	assert_false(server.dp.closed);
	assert_false(client.dp.closed);
	close_end(&client);
	close_end(&server);
	t_net_close(&net);
}

static void clean_path(void **state)
{
	round_trip(&(struct t_net_fault){ 0 }, 1, true);
}

static void lossy(void **state)
{
	uint32_t seed;

	for (seed = 1; seed <= ROUNDS; seed++)
		round_trip(&(struct t_net_fault){ .drop_percent = 20 }, seed, seed % 2);
}

static void reordering(void **state)
{
	uint32_t seed;

	for (seed = 1; seed <= ROUNDS; seed++)
		round_trip(&(struct t_net_fault){ .delay_percent = 40,
						  .delay_ms = 15,
						  .duplicate_percent = 20 },
			   seed, seed % 2);
}

static void damaging(void **state)
{
	uint32_t seed;

	for (seed = 1; seed <= ROUNDS; seed++)
		round_trip(&(struct t_net_fault){ .damage_percent = 20, .drop_percent = 5 }, seed,
			   seed % 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_path),
		cmocka_unit_test(lossy),
		cmocka_unit_test(reordering),
		cmocka_unit_test(damaging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
