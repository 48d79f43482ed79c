// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control process and the network below a client: uplinks that change, vanish and come back, a
 * sleep, and the packet size of the device and of the path.
 */
#include <errno.h>
#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "t-control.h"

static const char roaming_text[] =
	"tunnel = { office = { role = \"client\"; endpoint = \"198.51.100.1:443\";\n"
	"server_name = \"www.example.org\"; server_public_key = \"" T_KEY "\";\n"
	"short_id = \"0123456789abcdef\"; private_key_file = \"/k/office.key\";\n"
	"interface = \"nxtest0\"; autoconnect = true; }; };\n";

static void ip(const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "ip %s", arguments);
	assert_int_equal(system(command), 0);
}

static int setup_roaming(void **state)
{
	struct fake *f;
	int r = t_setup_with(state, roaming_text, false);

	f = *state;
	if (!r && f->m) {
		f->remote = "198.51.100.1:443";
		f->local = "192.0.2.10:4000";
		ip("link add up1 type veth peer name far1");
		ip("link add up2 type veth peer name far2");
		ip("address add 192.0.2.10/24 dev up1");
		ip("address add 203.0.113.5/24 dev up2");
		for (int i = 1; i <= 2; i++) {
			ip(i == 1 ? "link set up1 up" : "link set up2 up");
			ip(i == 1 ? "link set far1 up" : "link set far2 up");
		}
		ip("route add default via 192.0.2.1");
	}
	return r;
}

/* Connected with session @id, and the way to the server is known. */
static struct nx_tunnel *connect_roaming(struct fake *f, uint64_t *id)
{
	struct nx_tunnel *t;

	t_report_session(f, t_start(f), true);
	*id = t_expect_add_session(f);
	t_acknowledge(f, f->dp, 0);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	t = nx_manager_find_tunnel(f->m, "office");
	t_run_until(f, t->priv->roam.ifindex);
	return t;
}

/* The data plane is told to be somewhere with session @id, with a socket. Not answered yet. */
static void take_told(struct fake *f, uint64_t id, char text[NX_ADDR_STRLEN])
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nx_endpoint e;

	t_expect_session(f, NQD_CMD_UPDATE_SESSION, tb, ses);
	assert_int_equal(f->n_fds, 1);
	nx_close_fds(f->fds, f->n_fds);
	assert_true(nxa_u64(&ses[NQD_A_SESSION_ID]) == id);
	assert_true(ses[NQD_A_SESSION_SOCKET_FD].present);
	assert_int_equal(nx_endpoint_from_bytes(ses[NQD_A_SESSION_REMOTE_ADDR].data,
						ses[NQD_A_SESSION_REMOTE_ADDR].len, &e),
			 0);
	assert_string_equal(nx_endpoint_format(&e, text), f->remote);
	assert_int_equal(nx_endpoint_from_bytes(ses[NQD_A_SESSION_LOCAL_ADDR].data,
						ses[NQD_A_SESSION_LOCAL_ADDR].len, &e),
			 0);
	assert_int_equal(
		nx_endpoint_port(&e),
		nx_endpoint_port(&nx_manager_find_tunnel(f->m, "office")->priv->pairs[0].local));
	nx_endpoint_set_port(&e, 4000);
	nx_endpoint_format(&e, text);
}

/* At @local, after what was said before of another address. */
static void expect_told(struct fake *f, uint64_t id, const char *local)
{
	char text[NX_ADDR_STRLEN], first[NX_ADDR_STRLEN];

	take_told(f, id, first);
	memcpy(text, first, sizeof(text));
	while (strcmp(text, local)) {
		assert_string_equal(text, first);
		t_acknowledge(f, f->dp, 0);
		take_told(f, id, text);
	}
}

static void send_path_changed(struct fake *f, uint64_t id, const char *local, const char *remote)
{
	struct nx_endpoint l, r;
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	assert_int_equal(nx_endpoint_parse(local, &l), 0);
	assert_int_equal(nx_endpoint_parse(remote, &r), 0);
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_DCO, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, NQD_EVENT_PATH_CHANGED);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_put(&m, NQD_A_SESSION_LOCAL_ADDR, &l, sizeof(l.in));
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, &r, sizeof(r.in));
	nxm_nest_end(&m, nest);
	t_send_to(f->dp, &m, NULL);
}

/* The next question for statistics: the last packet came so long ago. */
static void answer_stats(struct fake *f, uint64_t ago_ms)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_DCO };
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	t_expect(f, f->dp, NQD_CMD_GET_STATS);
	hdr.cmd = f->hdr.cmd;
	hdr.seq = f->hdr.seq;
	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nest = nxm_nest_begin(&m, NQD_A_STATS);
	nxm_put_u64(&m, NQD_A_STATS_LAST_RX_AGO_MS, ago_ms);
	nxm_nest_end(&m, nest);
	t_send_to(f->dp, &m, NULL);
}

/* The route to the server changes: the session moves, and is asked there. */
static void test_move(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	char text[NX_ADDR_STRLEN];
	uint64_t id;

	T_NEED(f);
	t = connect_roaming(f, &id);
	assert_false(t->priv->roam.moving);
	ip("route replace default via 203.0.113.1");
	expect_told(f, id, "203.0.113.5:4000");
	t_acknowledge(f, f->dp, 0);
	send_path_changed(f, id, "203.0.113.5:4000", f->remote);
	expect_told(f, id, "203.0.113.5:4000");
	t_acknowledge(f, f->dp, 0);
	assert_string_equal(nx_endpoint_format(&TAILQ_FIRST(&t->sessions)->local, text),
			    "203.0.113.5:4000");
	assert_true(t->priv->roam.asked_us);
	/* What came before the question is no answer. */
	answer_stats(f, 100000);
	answer_stats(f, 0);
	t_run_until(f, !t->priv->roam.asked_us);
	assert_false(t->priv->renewing);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);

	/* Back within the time that a session stays where it is: later, not never. */
	t->priv->roam.moved_us = nx_now_us();
	ip("route replace default via 192.0.2.1");
	expect_told(f, id, "192.0.2.10:4000");
	assert_true(nx_now_us() - t->priv->roam.moved_us < 400000);
	t_acknowledge(f, f->dp, 0);
	send_path_changed(f, id, "192.0.2.10:4000", f->remote);
	t_run_until(f, !t->priv->roam.moving);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
}

/* Somebody gives the tunnel's packets, by their mark, a way of their own. */
static void test_policy_route(void **state)
{
	struct fake *f = *state;
	char command[64];
	uint64_t id;

	T_NEED(f);
	snprintf(command, sizeof(command), "rule add fwmark %u table 77",
		 connect_roaming(f, &id)->priv->mark);
	ip("route add default via 203.0.113.1 table 77");
	ip(command);
	expect_told(f, id, "203.0.113.5:4000");
}

/* The new session takes the place of the old one, and nobody sees a moment without. */
static void expect_replaced(struct fake *f, uint64_t old)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	uint64_t attempt, id;

	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	attempt = t_attempt_of(f);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == old);
	t_report_session(f, attempt, true);
	id = t_expect_add_session(f);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	t_acknowledge(f, f->dp, 0);
	t_run_until(f, TAILQ_EMPTY(&t->priv->installing));
	assert_true(TAILQ_FIRST(&t->sessions)->id == old);
	t_send_down(f, old, NQD_DOWN_REPLACED);
	t_run_until(f, TAILQ_FIRST(&t->sessions)->id != old);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id && id != old);
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&t->sessions), entry));
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_false(t->priv->renewing);
}

/* The network goes and comes back; the server does not answer any more. */
static void test_return(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id, began;

	T_NEED(f);
	t = connect_roaming(f, &id);
	ip("link set far1 down");
	t_run_until(f, t->priv->roam.absent);
	assert_true(t->text[0]);
	ip("link set far1 up");
	expect_told(f, id, "192.0.2.10:4000");
	assert_false(t->priv->roam.absent || t->text[0]);
	t_acknowledge(f, f->dp, 0);
	began = nx_now_us();
	answer_stats(f, 20000);
	assert_false(t->priv->renewing);
	expect_replaced(f, id);
	assert_true(nx_now_us() - began > 500000);
}

/* The old session answers while a new one is being made: it is kept. */
static void test_late_answer(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id, attempt;

	T_NEED(f);
	t = connect_roaming(f, &id);
	nx_manager_resumed(f->m);
	expect_told(f, id, "192.0.2.10:4000");
	t_acknowledge(f, f->dp, 0);
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	attempt = t_attempt_of(f);
	while (t->priv->renewing) {
		answer_stats(f, 0);
		t_run_until(f, !t->priv->roam.query_us);
	}
	t_expect(f, f->hsd, HS_CMD_CANCEL);
	assert_true(t_attempt_of(f) == attempt);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
}

/* The data plane cannot move the session: no time is lost. */
static void test_move_refused(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t = connect_roaming(f, &id);
	ip("route replace default via 203.0.113.1");
	expect_told(f, id, "203.0.113.5:4000");
	f->local = "203.0.113.5:4000";
	t_acknowledge(f, f->dp, -ENOBUFS);
	t_run_until(f, t->priv->renewing);
	assert_true(nx_now_us() - t->priv->roam.moved_us < 900000);
	expect_replaced(f, id);
}

/* It has tried, and the path does not carry: no time is lost either. */
static void test_move_failed(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t = connect_roaming(f, &id);
	ip("route replace default via 203.0.113.1");
	expect_told(f, id, "203.0.113.5:4000");
	t_acknowledge(f, f->dp, 0);
	assert_false(t->priv->renewing);
	send_path_changed(f, id, f->local, f->remote);
	t_run_until(f, t->priv->renewing);
	assert_true(nx_now_us() - t->priv->roam.moved_us < 900000);
	f->local = "203.0.113.5:4000";
	expect_replaced(f, id);
}

static uint64_t slept_s;

static int sleeping_clock(clockid_t id, struct timespec *ts)
{
	int r = clock_gettime(id, ts);

	if (id == CLOCK_BOOTTIME)
		ts->tv_sec += (time_t)slept_s;
	return r;
}

/* The clocks tell of a sleep. After a long one the session is not worth a question alone. */
static void test_sleep(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	f->m->priv->sleep_clock.gettime = sleeping_clock;
	slept_s = 0;
	t = connect_roaming(f, &id);
	slept_s = 60;
	expect_told(f, id, "192.0.2.10:4000");
	t_acknowledge(f, f->dp, 0);
	while (t->priv->roam.asked_us) {
		answer_stats(f, 0);
		t_run_until(f, !t->priv->roam.query_us);
	}
	assert_false(t->priv->renewing);
	slept_s = 61 + t->config->idle_timeout_s;
	t_run_until(f, t->priv->renewing);
	assert_true(nx_now_us() - t->priv->roam.asked_us < 900000);
	expect_replaced(f, id);
}

/* Without a session: the pause before the next attempt ends when the network returns. */
static void test_return_without_session(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t = connect_roaming(f, &id);
	t->priv->failures = 7;
	ip("link set far1 down");
	t_run_until(f, t->priv->roam.absent);
	nx_session_free(TAILQ_FIRST(&t->sessions));
	nx_client_retry(t, NX_REASON_IDLE_TIMEOUT, "");
	assert_int_equal(t->state, NX_TUNNEL_RECONNECTING);
	ip("link set far1 up");
	t_expect(f, f->hsd, HS_CMD_CONNECT);
}

/* ---- the MTU of the device ---- */

static void send_path_mtu(struct fake *f, uint64_t id, uint32_t bytes)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_DCO, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, NQD_EVENT_PATH_MTU_CHANGED);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, bytes);
	nxm_nest_end(&m, nest);
	t_send_to(f->dp, &m, NULL);
}

/* The path carries @bytes: then the device has @mtu, in the kernel too. */
static void expect_mtu(struct fake *f, uint64_t id, uint32_t bytes, uint32_t mtu)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");

	send_path_mtu(f, id, bytes);
	t_run_until(f, t->mtu == mtu);
	assert_int_equal(nx_link_mtu(f->m->priv->nl, t->ifindex), mtu);
}

/* It follows the path down and up, not above what the server offered (1300) or below what IPv6 needs. */
static void test_device_mtu(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t = connect_roaming(f, &id);
	assert_int_equal(t->mtu, 1300);
	expect_mtu(f, id, 1200, 1157);
	assert_null(t->priv->mtu_timer);
	expect_mtu(f, id, 1300, 1257);
	expect_mtu(f, id, 1472, 1300);
	assert_int_equal(nx_device_mtu(NULL, 0, 1100, 1000), 1000);
	assert_int_equal(nx_device_mtu(NULL, 0, 1100, 0), 1100);
}

/* The server is silent: another session, whose end of the way is the same. */
static uint64_t install_another(struct fake *f, uint64_t id)
{
	t_send_event(f, id, NQD_EVENT_PEER_SILENT, 0);
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	t_report_session(f, t_attempt_of(f), true);
	id = t_expect_add_session(f);
	t_acknowledge(f, f->dp, 0);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	return id;
}

/* What was found of the path outlives a renewal, and one that fails. */
static void test_device_mtu_renewed(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id, next;

	T_NEED(f);
	t = connect_roaming(f, &id);
	expect_mtu(f, id, 1243, 1200);
	next = install_another(f, id);
	assert_int_equal(t->mtu, 1200);
	t_send_down(f, next, NQD_DOWN_UNCONFIRMED);
	t_run_until(f, !TAILQ_NEXT(TAILQ_FIRST(&t->sessions), entry));
	assert_int_equal(t->mtu, 1200);
	next = install_another(f, id);
	t_send_down(f, id, NQD_DOWN_REPLACED);
	t_run_until(f, TAILQ_FIRST(&t->sessions)->id == next);
	assert_int_equal(t->mtu, 1200);
	assert_int_equal(nx_link_mtu(f->m->priv->nl, t->ifindex), 1200);
	expect_mtu(f, next, 1300, 1257);
}

static void test_device_mtu_ipv6(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	f->inner_ipv6 = true;
	t = connect_roaming(f, &id);
	expect_mtu(f, id, 1200, 1280);
	assert_non_null(t->priv->mtu_timer);
	assert_int_equal(t->n_addresses, 2);
	expect_mtu(f, id, 1333, 1290);
	assert_null(t->priv->mtu_timer);
	/* A smaller one that was configured is kept. */
	assert_int_equal(nx_device_mtu(t->addresses, 2, 1400, 1000), 1000);
	assert_int_equal(nx_device_mtu(t->addresses, 2, 1100, 1200), 1200);
	assert_int_equal(nx_device_mtu(t->addresses, 2, 1100, 1400), 1280);
}

/* The uplink takes smaller packets now: the data plane must not try larger ones. */
static void test_path_limit(void **state)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct fake *f = *state;
	uint64_t id;

	T_NEED(f);
	connect_roaming(f, &id);
	ip("link set up1 mtu 1300");
	t_expect_session(f, NQD_CMD_UPDATE_SESSION, tb, ses);
	assert_int_equal(nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]), 1272);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_move, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_policy_route, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_return, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_late_answer, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_move_refused, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_move_failed, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_sleep, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_return_without_session, setup_roaming,
						t_teardown),
		cmocka_unit_test_setup_teardown(test_device_mtu, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_device_mtu_renewed, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_device_mtu_ipv6, setup_roaming, t_teardown),
		cmocka_unit_test_setup_teardown(test_path_limit, setup_roaming, t_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
