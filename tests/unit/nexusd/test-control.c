// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control process and a client's attempts and sessions: the order of its requests, what it makes
 * of failures, refusals, renewals, of restarts of the others, and of messages that are no such thing.
 */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "backoff.h"
#include "t-control.h"

static const char config_text[] =
	"tunnel = { office = { role = \"client\"; endpoint = \"127.0.0.1:443\";\n"
	"server_name = \"www.example.org\"; server_public_key = \"" T_KEY "\";\n"
	"short_id = \"0123456789abcdef\"; private_key_file = \"/k/office.key\";\n"
	"interface = \"nxtest0\"; autoconnect = true; }; };\n";

static int setup(void **state)
{
	return t_setup_with(state, config_text, false);
}

static void test_session(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t attempt, id;

	T_NEED(f);
	attempt = t_start(f);
	t_report_session(f, attempt, true);
	id = t_expect_add_session(f);
	t_acknowledge(f, f->dp, 0);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	assert_true(t_attempt_of(f) == attempt);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	t = nx_manager_find_tunnel(f->m, "office");
	assert_int_equal(t->mtu, 1300);
	assert_int_equal(t->n_addresses, 1);
	assert_int_equal(t->n_routes, 1);
	assert_true(if_nametoindex("nxtest0") == (unsigned int)t->ifindex);

	/* It ends: device and addresses stay, a new attempt follows by itself. */
	t_send_down(f, id, NQD_DOWN_IDLE_TIMEOUT);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_IDLE_TIMEOUT);
	assert_int_equal(t->n_addresses, 1);
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	assert_true(t_attempt_of(f) != attempt);
	t_acknowledge(f, f->hsd, 0);

	/* A late report of the old attempt is cancelled, not installed. */
	t_report_session(f, attempt, true);
	t_expect(f, f->hsd, HS_CMD_CANCEL);
	assert_true(t_attempt_of(f) == attempt);
	assert_true(TAILQ_EMPTY(&t->sessions) && TAILQ_EMPTY(&t->priv->installing));

	assert_int_equal(nx_tunnel_disconnect(t), 0);
	assert_int_equal(nx_tunnel_disconnect(t), -EALREADY);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);

	/* Up and down again while it says goodbye: the last word counts. */
	assert_int_equal(nx_tunnel_connect(t), 0);
	assert_int_equal(nx_tunnel_connect(t), -EALREADY);
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	t_acknowledge(f, f->hsd, 0);
	t_expect(f, f->dp, NQD_CMD_DELETE_DEVICE);
	t_acknowledge(f, f->dp, 0);
	t_expect_state(f, NX_TUNNEL_DISCONNECTED);
	assert_int_equal(if_nametoindex("nxtest0"), 0);
}

static void test_refusals(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint8_t buf[256];
	uint64_t attempt;
	struct nxm m;

	T_NEED(f);
	attempt = t_start(f);
	t = nx_manager_find_tunnel(f->m, "office");

	/* No address: the attempt is cancelled and counts as a configuration error. */
	t_report_session(f, attempt, false);
	t_expect(f, f->hsd, HS_CMD_CANCEL);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_CONFIGURATION);
	assert_true(TAILQ_EMPTY(&t->priv->installing));

	/* Reports about nobody, and bytes that are no message, change nothing. */
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_FAILED, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "nobody");
	t_send_to(f->hsd, &m, NULL);
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_SESSION, 0);
	nxm_put_u64(&m, HS_A_ATTEMPT, 1);
	t_send_to(f->hsd, &m, NULL);
	assert_int_equal(nx_ipc_send(f->hsd, "garbage", 7, NULL, 0), 0);
	assert_int_equal(nx_ipc_send(f->dp, "garbage", 7, NULL, 0), 0);
	t_send_down(f, 12345, NQD_DOWN_PEER_CLOSED);
	assert_true(sd_event_run(f->event, 20000) >= 0);
	assert_int_equal(t->state, NX_TUNNEL_RECONNECTING);
}

static void report_refusal(struct fake *f, uint64_t attempt)
{
	uint8_t buf[256];
	struct nxm m;

	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_FAILED, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u8(&m, HS_A_REASON, HS_REASON_AUTH_REFUSED);
	t_send_to(f->hsd, &m, NULL);
}

/* The tunnel tries again by itself, without a word to anybody; the number of the attempt. */
static uint64_t expect_another(struct fake *f, uint64_t attempt)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	uint64_t next;

	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	next = t_attempt_of(f);
	assert_true(next != attempt);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTING);
	assert_int_equal(t->reason, NX_REASON_NONE);
	return next;
}

/* A refusal is believed the third time; then the pause is long. */
static void test_refused(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t attempt, next, began;

	T_NEED(f);
	attempt = t_start(f);
	t = nx_manager_find_tunnel(f->m, "office");
	began = nx_now_us();
	report_refusal(f, attempt);
	next = expect_another(f, attempt);
	assert_true(nx_now_us() - began >= 50000);
	report_refusal(f, next);
	began = nx_now_us();
	attempt = expect_another(f, next);
	assert_true(nx_now_us() - began >= 900000);
	report_refusal(f, attempt);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_AUTH_REFUSED);
	assert_int_equal(t->priv->attempt, 0);

	/* Whoever asks again is not answered from memory. */
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	t_acknowledge(f, f->hsd, 0);
	t_expect(f, f->dp, NQD_CMD_DELETE_DEVICE);
	t_acknowledge(f, f->dp, 0);
	t_expect_state(f, NX_TUNNEL_DISCONNECTED);
	assert_int_equal(t->priv->refusals, NX_REFUSALS_BELIEVED);
	assert_int_equal(nx_tunnel_connect(t), 0);
	assert_int_equal(t->priv->refusals, 0);
}

/* The second attempt is let in: nobody has heard of the refusal. */
static void test_refused_once(void **state)
{
	struct fake *f = *state;
	uint64_t attempt;

	T_NEED(f);
	attempt = t_start(f);
	report_refusal(f, attempt);
	t_report_session(f, expect_another(f, attempt), true);
	t_expect_add_session(f);
	t_acknowledge(f, f->dp, 0);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	assert_int_equal(nx_manager_find_tunnel(f->m, "office")->priv->refusals, 0);
}

/* Installed after @attempt; its number. */
static uint64_t install(struct fake *f, uint64_t attempt)
{
	uint64_t id;

	t_report_session(f, attempt, true);
	id = t_expect_add_session(f);
	t_acknowledge(f, f->dp, 0);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	return id;
}

static void expect_sessions(struct fake *f, unsigned int want)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	struct nx_session *s;
	unsigned int n = 0;

	for (int i = 0; i < T_STEPS_MAX; i++) {
		n = 0;
		TAILQ_FOREACH (s, &t->sessions, entry)
			n++;
		if (n == want)
			return;
		assert_true(sd_event_run(f->event, 20000) >= 0);
	}
	fail_msg("%u sessions instead of %u", n, want);
}

/* The server is silent: a new attempt, and the state does not change. */
static uint64_t expect_renewal(struct fake *f, uint64_t id)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");

	t_send_event(f, id, NQD_EVENT_PEER_SILENT, 0);
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_true(t->priv->renewing);
	return t_attempt_of(f);
}

static void report_timeout(struct fake *f, uint64_t attempt)
{
	uint8_t buf[256];
	struct nxm m;

	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_FAILED, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u8(&m, HS_A_REASON, HS_REASON_TIMEOUT);
	t_send_to(f->hsd, &m, NULL);
}

/* A session takes the place of another; an attempt or a session that fails leaves the old one. */
static void test_renewal(void **state)
{
	struct fake *f = *state;
	struct nx_session *s;
	uint64_t id, next, attempt, began;
	struct nx_tunnel *t;

	T_NEED(f);
	id = install(f, t_start(f));
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	t = nx_manager_find_tunnel(f->m, "office");
	assert_non_null(t->priv->renew_timer);
	TAILQ_FIRST(&t->sessions)->connected_since_s = 1000;
	TAILQ_FIRST(&t->sessions)->last_handshake_s = 1000;

	/* No answer: again after about a second, all the while connected. */
	began = nx_now_us();
	report_timeout(f, expect_renewal(f, id));
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	assert_true(nx_now_us() - began >= 700000);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_int_equal(t->reason, NX_REASON_NONE);

	/* Both ends have it; until the data plane says so, the old one counts. */
	next = install(f, t_attempt_of(f));
	expect_sessions(f, 2);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	t_send_down(f, id, NQD_DOWN_REPLACED);
	expect_sessions(f, 1);
	s = TAILQ_FIRST(&t->sessions);
	assert_true(s->id == next && !s->waits);
	assert_int_equal(s->connected_since_s, 1000);
	assert_true(s->last_handshake_s > 1000);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_non_null(t->priv->renew_timer);
	assert_int_equal(t->priv->renew_failures, 0);
	id = next;

	/* The data plane moves over before it answers. */
	t_report_session(f, expect_renewal(f, id), true);
	next = t_expect_add_session(f);
	t_send_down(f, id, NQD_DOWN_REPLACED);
	t_acknowledge(f, f->dp, 0);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	expect_sessions(f, 1);
	s = TAILQ_FIRST(&t->sessions);
	assert_true(s->id == next && !s->waits);
	assert_int_equal(s->connected_since_s, 1000);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	id = next;

	/* The server's data plane never took it. */
	next = install(f, expect_renewal(f, id));
	t_send_down(f, next, NQD_DOWN_UNCONFIRMED);
	expect_sessions(f, 1);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_int_equal(t->priv->renew_failures, 1);

	/* The old one ends before the attempt does: that one connects. */
	attempt = expect_renewal(f, id);
	t_send_down(f, id, NQD_DOWN_PEER_CLOSED);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_PEER_CLOSED);
	assert_true(t->priv->attempt == attempt);
	id = install(f, attempt);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->connected_since_s > 1000);

	/* Down in the middle of it. */
	expect_renewal(f, id);
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	assert_null(t->priv->renew_timer);
	assert_false(t->priv->renewing);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
}

static void test_renew_times(void **state)
{
	assert_int_equal(nx_renew_due_us(8000, 0), 8000);
	assert_int_equal(nx_renew_due_us(8000, 0xffff), 7000);
	assert_int_equal(nx_renew_due_us(604800000000ull, 0xffffffff), 529200000000ull);
}

static void test_restarts(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t attempt;

	T_NEED(f);
	attempt = t_start(f);
	t = nx_manager_find_tunnel(f->m, "office");
	t_report_session(f, attempt, true);
	t_expect_add_session(f);
	t_acknowledge(f, f->dp, 0);
	t_expect_state(f, NX_TUNNEL_CONNECTED);

	/* nexus-hsd: the session goes on, the new process is configured at once. */
	close(f->hsd);
	f->hsd = t_connect_peer(f, MON_PEER_HSD);
	t_expect(f, f->mon, MON_CMD_OPEN_SECRET);
	t_mon_send(f, MON_CMD_SECRET_RESULT, -1, "secret:office:private-key", 0, -1);
	t_expect(f, f->hsd, HS_CMD_SET_TUNNEL);
	nx_close_fds(f->fds, f->n_fds);
	t_acknowledge(f, f->hsd, 0);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);

	/* nexus-dp: the device is made again and the client reconnects. */
	close(f->dp);
	f->dp = t_connect_peer(f, MON_PEER_DP);
	t_expect(f, f->dp, NQD_CMD_CREATE_DEVICE);
	nx_close_fds(f->fds, f->n_fds);
	assert_int_equal(t->state, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_DATA_PLANE_LOST);
	t_acknowledge(f, f->dp, 0);
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	attempt = t_attempt_of(f);

	/* The data plane refuses: nothing is installed, nexus-hsd is told, the next attempt waits. */
	t_report_session(f, attempt, true);
	t_expect_add_session(f);
	t_acknowledge(f, f->dp, -EINVAL);
	t_expect(f, f->hsd, HS_CMD_CANCEL);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_true(TAILQ_EMPTY(&t->sessions) && TAILQ_EMPTY(&t->priv->installing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_session, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_refused_once, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_renewal, setup, t_teardown),
		cmocka_unit_test(test_renew_times),
		cmocka_unit_test_setup_teardown(test_restarts, setup, t_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
