// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control process between nexus-dp and a kernel module that comes, goes, refuses, and speaks other
 * versions: which one carries a tunnel, how a session moves, and what is left behind.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "t-planes.h"

#define CLIENT(mode)                                                               \
	"dco_mode = \"" mode "\";\n"                                               \
	"tunnel = { office = { role = \"client\"; endpoint = \"127.0.0.1:443\";\n" \
	"server_name = \"www.example.org\"; server_public_key = \"" T_KEY "\";\n"  \
	"short_id = \"0123456789abcdef\"; private_key_file = \"/k/office.key\";\n" \
	"interface = \"nxtest0\"; autoconnect = true; }; };\n"
#define SERVER                                                                        \
	"dco_mode = \"preferred\";\n"                                                 \
	"tunnel = { office = { role = \"server\"; listen = [ \"127.0.0.1:4433\" ];\n" \
	"cover = \"127.0.0.1:8443\"; server_names = [ \"www.example.org\" ];\n"       \
	"interface = \"nxtest0\"; addresses = [ \"10.9.0.1/24\" ];\n"                 \
	"private_key_file = \"/k/server.key\"; users = ( { name = \"alice\";\n"       \
	"short_id = \"0123456789abcdef\"; public_key = \"" T_KEY "\";\n"              \
	"addresses = [ \"10.9.0.2/32\" ]; } ); }; };\n"
#define ALICE 0x0123456789abcdefull

static int setup_preferred(void **state)
{
	return t_planes_setup(state, CLIENT("preferred"), NQD_GENL_VERSION);
}

static int setup_absent(void **state)
{
	return t_planes_setup(state, CLIENT("preferred"), T_ABSENT);
}

static int setup_disabled(void **state)
{
	return t_planes_setup(state, CLIENT("disabled"), NQD_GENL_VERSION);
}

static int setup_newer(void **state)
{
	return t_planes_setup(state, CLIENT("preferred"), NQD_GENL_VERSION + 1);
}

static int setup_older(void **state)
{
	return t_planes_setup(state, CLIENT("preferred"), NQD_GENL_VERSION - 1);
}

static int setup_required_newer(void **state)
{
	return t_planes_setup(state, CLIENT("required"), NQD_GENL_VERSION + 1);
}

static int setup_required(void **state)
{
	return t_planes_setup(state, CLIENT("required"), T_ABSENT);
}

static int setup_server(void **state)
{
	return t_planes_setup(state, SERVER, T_ABSENT);
}

/* A session is established on @plane and reported; the tunnel is connected. */
static struct nx_tunnel *connect_on(struct fake *f, struct t_plane *plane)
{
	size_t before = plane->n_sessions;

	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, plane->n_sessions == before + 1);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	return t_office(f);
}

static uint64_t start_on(struct fake *f, struct t_plane *plane)
{
	t_planes_start(f);
	connect_on(f, plane);
	return plane->sessions[0].id;
}

/* The number of the device that packets to @text leave through; 0 = none. */
static int device_to(struct fake *f, const char *text)
{
	struct nx_endpoint to;
	struct nx_way way;

	assert_int_equal(nx_endpoint_parse(text, &to), 0);
	return nx_way_find(f->m->priv->nl, &to, 0, &way) == 0 ? way.ifindex : 0;
}

static int port_of(const struct nx_tunnel *t, size_t pair)
{
	return ntohs(t->priv->pairs[pair].local.in.sin_port);
}

/* ---- the choice ---- */

static void test_there_at_start(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;

	T_NEED(f);
	start_on(f, &k->module);
	t = t_office(f);
	assert_string_equal(t->data_plane, "nexus_quic_dco");
	assert_string_equal(t->data_plane_reason, "");
	assert_string_equal(t->ifname, "nxtest0");
	assert_int_equal(t->ifindex, if_nametoindex("nxtest0"));
	assert_int_equal(k->module.sessions[0].ifindex, t->ifindex);
	assert_int_equal(k->module.local_port, port_of(t, 0));
	assert_true(t_has_address(f, t->ifindex, "10.66.0.2/32"));
	assert_int_equal(device_to(f, "10.66.0.9:1"), t->ifindex);
	/* nexus-dp is told nothing, and has no device. */
	assert_int_equal(k->user.asked[NQD_CMD_CREATE_DEVICE], 0);
	assert_int_equal(k->user.asked[NQD_CMD_ADD_SESSION], 0);
	assert_false(t_stored(f, "tun:office"));
	assert_true(t_stored(f, "nexusq:office"));
	assert_true(f->m->data_planes[NX_PLANE_KERNEL].available);

	/* Down: with a goodbye, and nothing stays. */
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	t_acknowledge(f, f->hsd, 0);
	t_expect_state(f, NX_TUNNEL_DISCONNECTED);
	assert_true(k->module.closes);
	assert_int_equal(if_nametoindex("nxtest0"), 0);
	t_run_until(f, !t_stored(f, "nexusq:office"));
}

static void test_disabled(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	start_on(f, &k->user);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
	assert_string_equal(t_office(f)->data_plane_reason, "dco_mode is \"disabled\"");
	/* Nobody has asked the kernel, which would load it; nobody cares that it comes. */
	t_module_unload(f);
	t_module_load(f, NQD_GENL_VERSION);
	t_turn(f);
	t_turn(f);
	assert_int_equal(k->looked, 0);
	assert_int_equal(k->module.asked[NQD_CMD_GET_CAPS], 0);

	/* Now it is wanted. */
	assert_int_equal(t_write_config(f, CLIENT("preferred")), 0);
	k->module.heard = true;
	f->socket = 1;
	assert_int_equal(nx_manager_reload(f->m, (char[256]){ 0 }, 256), 0);
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, !strcmp(t_office(f)->data_plane, "nexus_quic_dco"));
	/* And no more. */
	assert_int_equal(t_write_config(f, CLIENT("disabled")), 0);
	assert_int_equal(nx_manager_reload(f->m, (char[256]){ 0 }, 256), 0);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	t_acknowledge(f, f->hsd, 0);
	t_run_until(f, !k->user.n_sessions && !k->module.n_sessions);
	f->socket = 0;
	connect_on(f, &k->user);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
}

/* Of another ABI version: named, and left alone. */
static void check_not_used(struct fake *f, const char *text)
{
	const struct nx_data_plane_info *info = &f->m->data_planes[NX_PLANE_KERNEL];
	struct t_planes *k = f->planes;

	start_on(f, &k->user);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
	assert_string_equal(t_office(f)->data_plane_reason, text);
	assert_string_equal(info->reason, text);
	assert_false(info->available);
	for (unsigned int cmd = 0; cmd <= NQD_CMD_MAX; cmd++)
		if (cmd != NQD_CMD_GET_CAPS)
			assert_int_equal(k->module.asked[cmd], 0);
	assert_int_equal(k->joined && k->version != NQD_GENL_VERSION, 0);
}

static void test_newer(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	check_not_used(
		f, "kernel module speaks ABI version 2, this nexusd 1: use those of one release");
	assert_int_equal(f->m->data_planes[NX_PLANE_KERNEL].abi_version, 2);
	/* The right one takes its place. */
	t_module_unload(f);
	t_module_load(f, NQD_GENL_VERSION);
	f->planes->module.heard = true;
	f->socket = 1;
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, !strcmp(t_office(f)->data_plane, "nexus_quic_dco"));
}

static void test_older(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	check_not_used(
		f, "kernel module speaks ABI version 0, this nexusd 1: use those of one release");
}

/* The family's version is ours, but not that of the capabilities. */
static void test_newer_caps(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	f->planes->caps_version = 7;
	check_not_used(
		f, "kernel module speaks ABI version 7, this nexusd 1: use those of one release");
}

static void check_failed(struct fake *f, const char *text)
{
	t_expect_state(f, NX_TUNNEL_FAILED);
	assert_int_equal(t_office(f)->reason, NX_REASON_DATA_PLANE_LOST);
	assert_string_equal(t_office(f)->text, text);
	assert_string_equal(t_office(f)->data_plane, "");
	assert_int_equal(if_nametoindex("nxtest0"), 0);
}

static void test_required(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	t_planes_start(f);
	check_failed(f, "dco_mode is \"required\", but: kernel module not loaded");
	/* Closed before anything was opened. */
	assert_int_equal(k->user.asked[NQD_CMD_CREATE_DEVICE], 0);
	assert_false(t_stored(f, "tun:office"));
	assert_int_equal(t_office(f)->priv->n_pairs, 0);

	/* It comes, goes, and comes. */
	t_module_load(f, NQD_GENL_VERSION);
	connect_on(f, &k->module);
	t_module_unload(f);
	check_failed(f, "dco_mode is \"required\", but: kernel module was unloaded");
	assert_int_equal(k->looked, 1);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	t_acknowledge(f, f->hsd, 0);
	t_module_load(f, NQD_GENL_VERSION);
	connect_on(f, &k->module);
	assert_int_equal(k->user.asked[NQD_CMD_ADD_SESSION], 0);
}

static void test_required_newer(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	t_planes_start(f);
	check_failed(
		f,
		"dco_mode is \"required\", but: kernel module speaks ABI version 2, this nexusd 1: "
		"use those of one release");
}

/* ---- moving ---- */

/* Connected through nexus-dp; the module is loaded, and a session is established for it. */
static struct nx_tunnel *begin_move(struct fake *f, uint64_t *old_id)
{
	struct t_planes *k = f->planes;

	*old_id = start_on(f, &k->user);
	t_module_load(f, NQD_GENL_VERSION);
	f->socket = 1;
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, k->module.n_sessions == 1);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	return t_office(f);
}

static void test_loaded_later(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t since, id;
	int old, new;

	T_NEED(f);
	t = begin_move(f, &id);
	since = TAILQ_FIRST(&t->sessions)->connected_since_s;
	old = t->ifindex;
	new = k->module.sessions[0].ifindex;
	assert_true(new != old);
	/* Sockets of its own: nexus-dp still reads the others. */
	assert_int_equal(t->priv->n_pairs, 2);
	assert_true(port_of(t, 0) != port_of(t, 1));
	assert_int_equal(k->user.local_port, port_of(t, 0));
	assert_int_equal(k->module.local_port, port_of(t, 1));

	/* Not heard yet: the new device is ready, everything leaves through the old one. */
	for (int i = 0; i < 5; i++)
		t_turn(f);
	assert_int_equal(device_to(f, "10.66.0.9:1"), old);
	assert_true(t_has_address(f, new, "10.66.0.2/32"));
	assert_string_equal(t->data_plane, "nexus-dp");
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);

	/* Heard: everything leaves through the new one; the old session still takes what comes. */
	k->module.heard = true;
	t_run_until(f, t->ifindex == new);
	assert_int_equal(device_to(f, "10.66.0.9:1"), new);
	assert_false(t_has_address(f, old, "10.66.0.2/32"));
	assert_string_equal(t->data_plane, "nexus_quic_dco");
	assert_string_equal(t->data_plane_reason, "");
	assert_int_equal(k->user.n_sessions, 1);
	assert_int_equal(if_nametoindex("nxtest0"), old);
	assert_int_equal(t->n_addresses, 1);
	assert_true(TAILQ_FIRST(&t->sessions)->id == k->module.sessions[0].id);
	assert_true(TAILQ_FIRST(&t->sessions)->connected_since_s == since);
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&t->sessions), entry));

	/* The server has closed it: the old device goes, its name is the new one's. */
	k->user.n_sessions = 0;
	t_send_down(f, id, NQD_DOWN_PEER_CLOSED);
	t_run_until(f, !t->priv->leaving.dp);
	assert_int_equal(if_nametoindex("nxtest0"), new);
	assert_string_equal(t->ifname, "nxtest0");
	assert_int_equal(t->priv->n_pairs, 1);
	assert_int_equal(port_of(t, 0), k->module.local_port);
	t_run_until(f, !t_stored(f, "tun:office"));
	assert_true(t_stored(f, "nexusq:office"));
	assert_true(t_stored(f, "sock:office:0:ko"));
	assert_false(t_stored(f, "sock:office:1:ko"));
	assert_int_equal(k->user.asked[NQD_CMD_DELETE_DEVICE], 1);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	/* nexus-hsd is told of the one pair that is left, with its data socket. */
	t_expect(f, f->hsd, HS_CMD_SET_TUNNEL);
	assert_int_equal(f->n_fds, 2);
	nx_close_fds(f->fds, f->n_fds);
}

/* nexus-dp says nothing of the old session: it is ended in time. */
static void test_leaving_ends(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	f->planes->module.heard = true;
	t = begin_move(f, &id);
	t_run_until(f, t->priv->leaving.dp);
	assert_true(t->priv->leaving.session == id);
	assert_true(sd_event_source_set_time_relative(t->priv->move_timer, 0) >= 0);
	t_run_until(f, f->planes->user.n_sessions == 0);
	assert_true(f->planes->user.closes);
	assert_null(t->priv->leaving.dp);
	assert_string_equal(t->ifname, "nxtest0");
}

static void test_not_heard(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;
	int old;

	T_NEED(f);
	t = begin_move(f, &id);
	old = t->ifindex;
	t->priv->move_deadline_us = 0;
	t_run_until(f, k->module.n_sessions == 0);
	assert_true(k->module.closes);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_int_equal(device_to(f, "10.66.0.9:1"), old);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_int_equal(t->priv->renew_failures, 1);
	/* Again, later, on the same sockets. */
	k->module.heard = true;
	assert_true(sd_event_source_set_time_relative(t->priv->renew_timer, 0) >= 0);
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco"));
}

/* The server has changed over and closed the old session before we asked. */
static void test_old_closed_first(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t = begin_move(f, &id);
	k->user.n_sessions = 0;
	t_send_down(f, id, NQD_DOWN_PEER_CLOSED);
	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco"));
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_int_equal(if_nametoindex("nxtest0"), k->module.sessions[0].ifindex);
	assert_int_equal(device_to(f, "10.66.0.9:1"), k->module.sessions[0].ifindex);
}

/* The module goes while a session moves to it: nothing has happened. */
static void test_gone_while_moving(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;
	int old;

	T_NEED(f);
	t = begin_move(f, &id);
	old = t->ifindex;
	t_module_unload(f);
	t_run_until(f, !t->priv->coming.dp);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&t->sessions), entry));
	assert_int_equal(device_to(f, "10.66.0.9:1"), old);
	assert_int_equal(t->priv->n_pairs, 1);
	assert_string_equal(t->data_plane_reason, "kernel module was unloaded");
	t_run_until(f, !t_stored(f, "nexusq:office"));
}

/* It does not take the session that was to move: no second attempt until it is loaded anew. */
static void test_move_refused(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	id = start_on(f, &k->user);
	t = t_office(f);
	k->module.refuse = NQD_CMD_ADD_SESSION;
	t_module_load(f, NQD_GENL_VERSION);
	f->socket = 1;
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, strstr(t->data_plane_reason, "no room"));
	assert_null(t->priv->coming.dp);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_string_equal(t->data_plane, "nexus-dp");
	assert_int_equal(k->module.asked[NQD_CMD_ADD_SESSION], 1);
	k->module.refuse = 0;
	k->module.heard = true;
	t_module_unload(f);
	t_module_load(f, NQD_GENL_VERSION);
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco"));
}

/* ---- losing it ---- */

static void test_unloaded(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;

	T_NEED(f);
	start_on(f, &k->module);
	t = t_office(f);
	t_module_unload(f);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_DATA_PLANE_LOST);
	assert_string_equal(t->text, "the kernel module was unloaded");
	assert_string_equal(t->data_plane, "nexus-dp");
	assert_string_equal(t->data_plane_reason, "kernel module was unloaded");
	/* Addresses and routes are there before any session: nothing leaves beside the tunnel. */
	t_run_until(f, t->ifindex);
	assert_int_equal(if_nametoindex("nxtest0"), t->ifindex);
	assert_true(t_has_address(f, t->ifindex, "10.66.0.2/32"));
	assert_int_equal(device_to(f, "10.66.0.9:1"), t->ifindex);
	assert_int_equal(k->user.n_sessions, 0);
	connect_on(f, &k->user);
	/* The kernel was not asked for it, which would have loaded it again. */
	assert_int_equal(k->looked, 1);
	t_run_until(f, !t_stored(f, "nexusq:office"));

	/* And back. */
	k->module.heard = true;
	f->socket = 1;
	t_module_load(f, NQD_GENL_VERSION);
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco"));
}

static void test_vanishes_in_add(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	k->module.vanish_at = NQD_CMD_ADD_SESSION;
	t_planes_start(f);
	t_report_session(f, t_planes_attempt(f), true);
	t_expect(f, f->hsd, HS_CMD_CANCEL);
	connect_on(f, &k->user);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
	assert_true(TAILQ_EMPTY(&t_office(f)->priv->installing));
}

static void test_refused(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	k->module.refuse = NQD_CMD_CREATE_DEVICE;
	start_on(f, &k->user);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
	assert_string_equal(t_office(f)->data_plane_reason,
			    "kernel module: the data plane refused the interface: no room");
	assert_int_equal(k->module.asked[NQD_CMD_CREATE_DEVICE], 1);
}

static void test_session_refused(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	k->module.refuse = NQD_CMD_ADD_SESSION;
	t_planes_start(f);
	t_report_session(f, t_planes_attempt(f), true);
	connect_on(f, &k->user);
	assert_string_equal(t_office(f)->data_plane_reason,
			    "kernel module: the data plane refused the session: no room");
	assert_int_equal(k->devices[0].ifindex | k->devices[1].ifindex | k->devices[2].ifindex |
				 k->devices[3].ifindex,
			 0);
}

/* The answer to ADD_SESSION is lost: what may be there is deleted, and there is another attempt. */
static void test_answer_lost(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	k->module.swallow = NQD_CMD_ADD_SESSION;
	t_planes_start(f);
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, k->module.asked[NQD_CMD_DELETE_SESSION]);
	assert_int_equal(k->module.n_sessions, 0);
	k->module.swallow = 0;
	connect_on(f, &k->module);
	assert_string_equal(t_office(f)->data_plane, "nexus_quic_dco");
}

/* Events of @p are lost, among them the end of the only session, or none that matters. */
static void lose_events(struct fake *f, struct t_plane *p)
{
	struct t_planes *k = f->planes;
	uint64_t id = start_on(f, p);

	/* Nothing happened to the session: both questions are asked, and it stays. */
	memset(p->asked, 0, sizeof(p->asked));
	t_events_lost(f, p);
	t_run_until(f, p->asked[NQD_CMD_GET_STATS] == 1);
	t_turn(f);
	t_turn(f);
	assert_int_equal(p->asked[NQD_CMD_GET_EVENTS], 1);
	assert_int_equal(t_office(f)->state, NX_TUNNEL_CONNECTED);

	/* It ended. */
	p->n_sessions = 0;
	k->ended[0] = id;
	t_events_lost(f, p);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t_office(f)->reason, NX_REASON_IDLE_TIMEOUT);
	assert_int_equal(p->asked[NQD_CMD_GET_EVENTS], 2);
	connect_on(f, p);

	/* So long ago that the data plane has forgotten it. */
	p->n_sessions = 0;
	k->ended[0] = 0;
	t_events_lost(f, p);
	t_run_until(f, p->asked[NQD_CMD_GET_EVENTS] == 3);
	/* And more are lost while the first are asked for. */
	t_events_lost(f, p);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_string_equal(t_office(f)->text, "the data plane does not have it any more");
	t_run_until(f, p->asked[NQD_CMD_GET_EVENTS] == 4);
	connect_on(f, p);
}

static void test_events_lost_user(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	lose_events(f, &f->planes->user);
}

static void test_events_lost(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;

	T_NEED(f);
	lose_events(f, &k->module);

	/* The end of the module is what was lost. */
	k->overrun_ev = true;
	t_module_unload(f);
	k->family++;
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
	assert_int_equal(k->looked, 1);
}

static void test_event(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	uint64_t id;

	T_NEED(f);
	id = start_on(f, &k->module);
	/* Of nobody's session, and of one that is not nexus-dp's. */
	t_module_event(f, id + 1, NQD_EVENT_SESSION_DOWN, NQD_DOWN_PEER_CLOSED);
	t_send_down(f, id, NQD_DOWN_PEER_CLOSED);
	t_turn(f);
	t_turn(f);
	assert_int_equal(t_office(f)->state, NX_TUNNEL_CONNECTED);
	k->module.n_sessions = 0;
	t_module_event(f, id, NQD_EVENT_SESSION_DOWN, NQD_DOWN_PEER_CLOSED);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t_office(f)->reason, NX_REASON_PEER_CLOSED);
	connect_on(f, &k->module);
}

/* ---- a restart of the control process ---- */

static void test_restart(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;
	int ifindex;

	T_NEED(f);
	id = start_on(f, &k->module);
	ifindex = t_office(f)->ifindex;
	t_planes_restart(f);
	t = t_office(f);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_int_equal(t->ifindex, ifindex);
	assert_string_equal(t->data_plane, "nexus_quic_dco");
	assert_int_equal(t->n_routes, 1);
	assert_int_equal(k->module.n_sessions, 1);
	assert_int_equal(k->module.asked[NQD_CMD_DELETE_SESSION], 0);
	t_run_until(f, k->module.asked[NQD_CMD_CREATE_DEVICE] == 2);
	assert_int_equal(if_nametoindex("nxtest0"), ifindex);
	/* Its events come here. */
	k->module.n_sessions = 0;
	t_module_event(f, id, NQD_EVENT_SESSION_DOWN, NQD_DOWN_PEER_CLOSED);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	connect_on(f, &k->module);
}

/* Meanwhile the module was unloaded, or another one loaded. */
static void restart_without(struct fake *f, uint32_t version)
{
	struct t_planes *k = f->planes;

	start_on(f, &k->module);
	t_module_unload(f);
	k->version = version;
	t_planes_restart(f);
	t_expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_string_equal(t_office(f)->data_plane, "nexus-dp");
	connect_on(f, &k->user);
	assert_int_equal(if_nametoindex("nxtest0"), t_office(f)->ifindex);
	assert_false(t_stored(f, "nexusq:office"));
}

static void test_restart_unloaded(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	restart_without(f, T_ABSENT);
}

static void test_restart_newer(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	restart_without(f, NQD_GENL_VERSION + 1);
	assert_non_null(strstr(t_office(f)->data_plane_reason, "ABI version 2"));
}

/* In the middle of a move, before the server was heard: all is as before, and the move begins anew. */
static void restart_not_heard(struct fake *f)
{
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;

	begin_move(f, &id);
	t_planes_restart(f);
	t = t_office(f);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_string_equal(t->data_plane, "nexus-dp");
	assert_int_equal(device_to(f, "10.66.0.9:1"), t->ifindex);
	t_run_until(f, k->module.n_sessions == 0);
	k->module.heard = true;
	t_report_session(f, t_planes_attempt(f), true);
	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco"));
}

static void test_restart_not_heard(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	restart_not_heard(f);
}

/* The data planes list their sessions in either order. */
static void test_restart_module_first(void **state)
{
	struct fake *f = *state;

	T_NEED(f);
	f->planes->module_first = true;
	restart_not_heard(f);
}

/* And after, but before this process knew. */
static void test_restart_moving(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t = begin_move(f, &id);
	id = k->module.sessions[0].id;
	k->module.heard = true;
	t_planes_restart(f);
	t = t_office(f);
	t_expect_state(f, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&t->sessions), entry));
	assert_string_equal(t->data_plane, "nexus_quic_dco");
	assert_int_equal(t->ifindex, k->module.sessions[0].ifindex);
	assert_int_equal(if_nametoindex("nxtest0"), t->ifindex);
	assert_int_equal(device_to(f, "10.66.0.9:1"), t->ifindex);
	t_run_until(f, k->user.n_sessions == 0 && !t_stored(f, "tun:office"));
	assert_int_equal(t->priv->n_pairs, 1);
	assert_int_equal(port_of(t, 0), k->module.local_port);
}

/* ---- a server ---- */

static void test_server(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t id;

	T_NEED(f);
	t_planes_start(f);
	t_listen_on(f, "nexus-dp");
	t = t_office(f);
	id = t_user_connects(f, &k->user, ALICE);

	/* Nobody is thrown out for it (test-server-move.c). */
	t_module_load(f, NQD_GENL_VERSION);
	t_run_until(f, strstr(t->data_plane_reason, "1 left"));
	assert_string_equal(t->data_plane, "nexus-dp");
	assert_int_equal(k->user.n_sessions, 1);
	k->user.n_sessions = 0;
	t_send_down(f, id, NQD_DOWN_PEER_CLOSED);
	t_expect_setup(f, 3);
	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco") && t->n_addresses);
	assert_int_equal(t->state, NX_TUNNEL_LISTENING);
	assert_int_equal(if_nametoindex("nxtest0"), t->ifindex);
	assert_true(t_has_address(f, t->ifindex, "10.9.0.1/24"));
	assert_int_equal(k->user.asked[NQD_CMD_DELETE_DEVICE], 1);
	t_user_connects(f, &k->module, ALICE);
	assert_int_equal(k->module.local_port, 4433);

	/* It goes: the same port is served by nexus-dp. */
	t_module_unload(f);
	t_expect_setup(f, 2);
	t_run_until(f, !strcmp(t->data_plane, "nexus-dp") && t->n_addresses);
	assert_true(TAILQ_EMPTY(&t->sessions));
	assert_true(t_has_address(f, t->ifindex, "10.9.0.1/24"));
	assert_int_equal(t->state, NX_TUNNEL_LISTENING);
	t_user_connects(f, &k->user, ALICE);
	assert_int_equal(k->user.local_port, 4433);
}

static void test_server_restart(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	uint64_t id;

	T_NEED(f);
	k->version = k->caps_version = NQD_GENL_VERSION;
	t_planes_start(f);
	t_listen_on(f, "nexus_quic_dco");
	id = t_user_connects(f, &k->module, ALICE);
	t_planes_restart(f);
	t_listen_on(f, "nexus_quic_dco");
	assert_true(TAILQ_FIRST(&t_office(f)->sessions)->id == id);
	assert_int_equal(k->module.n_sessions, 1);
	assert_int_equal(t_office(f)->ifindex, k->module.sessions[0].ifindex);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, t_planes_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_there_at_start, setup_preferred),
		TEST(test_disabled, setup_disabled),
		TEST(test_newer, setup_newer),
		TEST(test_older, setup_older),
		TEST(test_newer_caps, setup_preferred),
		TEST(test_required, setup_required),
		TEST(test_required_newer, setup_required_newer),
		TEST(test_loaded_later, setup_absent),
		TEST(test_leaving_ends, setup_absent),
		TEST(test_not_heard, setup_absent),
		TEST(test_old_closed_first, setup_absent),
		TEST(test_gone_while_moving, setup_absent),
		TEST(test_move_refused, setup_absent),
		TEST(test_unloaded, setup_preferred),
		TEST(test_vanishes_in_add, setup_preferred),
		TEST(test_refused, setup_preferred),
		TEST(test_session_refused, setup_preferred),
		TEST(test_answer_lost, setup_preferred),
		TEST(test_events_lost, setup_preferred),
		TEST(test_events_lost_user, setup_absent),
		TEST(test_event, setup_preferred),
		TEST(test_restart, setup_preferred),
		TEST(test_restart_unloaded, setup_preferred),
		TEST(test_restart_newer, setup_preferred),
		TEST(test_restart_not_heard, setup_absent),
		TEST(test_restart_module_first, setup_absent),
		TEST(test_restart_moving, setup_absent),
		TEST(test_server, setup_server),
		TEST(test_server_restart, setup_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
