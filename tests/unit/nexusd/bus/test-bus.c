// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The D-Bus face against a real dbus-daemon: objects, methods, signals, delayed replies, and a bus
 * that comes late, goes away and comes back. Daemon and client live in one event loop; every wait
 * is for a condition, with a limit that is reached only when the test has failed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "fake.h"
#include "private-bus.h"

#define TUNNEL(label) NX_BUS_TUNNEL_PREFIX "/" label
#define OFFICE TUNNEL("office")
#define WAIT_US UINT64_C(20000000)

struct fixture {
	struct private_bus bus;
	sd_event *event;
	struct nx_manager *m;
	struct nx_tunnel *office, *public;
	sd_bus *client;
	char signals[4096]; /* "Member[:string args];" in the order of arrival */
};

/* ---- waiting ---- */

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

#define wait_for(f, condition)                                              \
	do {                                                                \
		uint64_t end_us = now_us() + WAIT_US;                       \
		while (!(condition)) {                                      \
			assert_true(now_us() < end_us);                     \
			assert_true(sd_event_run((f)->event, 100000) >= 0); \
		}                                                           \
	} while (0)

/* ---- a client ---- */

struct call {
	sd_bus_message *reply;
	sd_bus_slot *slot;
};

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct call *c = userdata;

	c->reply = sd_bus_message_ref(m);
	return 0;
}

static void call_start(struct fixture *f, struct call *c, const char *path, const char *interface,
		       const char *member)
{
	memset(c, 0, sizeof(*c));
	assert_true(sd_bus_call_method_async(f->client, &c->slot, NX_BUS_NAME, path, interface,
					     member, on_reply, c, NULL) >= 0);
}

static void call_free(struct call *c)
{
	sd_bus_message_unref(c->reply);
	sd_bus_slot_unref(c->slot);
}

static const char *call_error(const struct call *c)
{
	const sd_bus_error *e = sd_bus_message_get_error(c->reply);

	return e ? e->name : "";
}

/* Call and compare the error's name, "" for success. */
static void expect_reply(struct fixture *f, const char *path, const char *interface,
			 const char *member, const char *error)
{
	struct call c;

	call_start(f, &c, path, interface, member);
	wait_for(f, c.reply);
	assert_string_equal(call_error(&c), error);
	call_free(&c);
}

/* The reply to a call with one string argument. */
static void call_string(struct fixture *f, struct call *c, const char *member, const char *arg)
{
	memset(c, 0, sizeof(*c));
	assert_true(sd_bus_call_method_async(f->client, &c->slot, NX_BUS_NAME, NX_BUS_PATH,
					     NX_BUS_IFACE_MANAGER, member, on_reply, c, "s",
					     arg) >= 0);
	wait_for(f, c->reply);
}

static void get_property(struct fixture *f, struct call *c, const char *path, const char *interface,
			 const char *property, const char *type)
{
	memset(c, 0, sizeof(*c));
	assert_true(sd_bus_call_method_async(f->client, &c->slot, NX_BUS_NAME, path,
					     "org.freedesktop.DBus.Properties", "Get", on_reply, c,
					     "ss", interface, property) >= 0);
	wait_for(f, c->reply);
	assert_string_equal(call_error(c), "");
	assert_true(sd_bus_message_enter_container(c->reply, 'v', type) > 0);
}

static void expect_property(struct fixture *f, const char *path, const char *interface,
			    const char *property, const char *value)
{
	const char *found;
	struct call c;

	get_property(f, &c, path, interface, property, "s");
	assert_true(sd_bus_message_read(c.reply, "s", &found) > 0);
	assert_string_equal(found, value);
	call_free(&c);
}

static void expect_boolean(struct fixture *f, const char *path, const char *interface,
			   const char *property, bool value)
{
	struct call c;
	int found;

	get_property(f, &c, path, interface, property, "b");
	assert_true(sd_bus_message_read(c.reply, "b", &found) > 0);
	assert_int_equal(found, value);
	call_free(&c);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct fixture *f = userdata;
	size_t len = strlen(f->signals);
	const char *text;

	len += snprintf(f->signals + len, sizeof(f->signals) - len, "%s",
			sd_bus_message_get_member(m));
	while (sd_bus_message_read_basic(m, 's', &text) > 0)
		len += snprintf(f->signals + len, sizeof(f->signals) - len, ":%s", text);
	snprintf(f->signals + len, sizeof(f->signals) - len, ";");
	return 0;
}

static void client_open(struct fixture *f)
{
	assert_true(sd_bus_open_system(&f->client) >= 0);
	assert_true(sd_bus_set_exit_on_disconnect(f->client, 0) >= 0);
	assert_true(sd_bus_attach_event(f->client, f->event, 0) >= 0);
	assert_true(sd_bus_match_signal(f->client, NULL, NX_BUS_NAME, NULL, NULL, NULL, on_signal,
					f) >= 0);
}

/* ---- fixture ---- */

static void setup_without_bus(struct fixture *f)
{
	assert_int_equal(private_bus_init(&f->bus), 0);
	assert_true(sd_event_new(&f->event) >= 0);
	f->m = fake_manager_new(f->event);
	f->office = fake_tunnel_add(f->m, "office", NX_ROLE_CLIENT, FAKE_CONNECTS);
	f->public = fake_tunnel_add(f->m, "public", NX_ROLE_SERVER, FAKE_CONNECTS);
}

static void teardown(struct fixture *f)
{
	f->client = sd_bus_close_unref(f->client);
	nx_manager_bus_stop(f->m);
	fake_manager_free(f->m);
	sd_event_unref(f->event);
	private_bus_remove(&f->bus);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	setup_without_bus(f);
	assert_int_equal(private_bus_start(&f->bus), 0);
	assert_int_equal(nx_manager_bus_start(f->m), 0);
	wait_for(f, f->m->bus);
	client_open(f);
}

/* ---- tests ---- */

static void test_properties(void **state)
{
	struct fixture f;

	setup(&f);
	expect_property(&f, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, "DcoMode", "preferred");
	expect_property(&f, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, "ConfigFile",
			"/etc/nexus/nexus.conf");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Name", "office");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Role", "client");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "State", "disconnected");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Endpoint", "vpn.example.org:443");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "LocalEndpoint", "");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "DataPlane", "");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Cipher", "");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "KeyExchange", "");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Congestion", "cubic");
	expect_property(&f, TUNNEL("public"), NX_BUS_IFACE_TUNNEL, "Role", "server");
	expect_property(&f, TUNNEL("public"), NX_BUS_IFACE_TUNNEL, "LocalEndpoint",
			"0.0.0.0:443 [::]:443");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "CoverAddress", "");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "CoverState", "");

	assert_int_equal(nx_tunnel_connect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_CONNECTED);
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Endpoint", "192.0.2.7:443");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "LocalEndpoint", "198.51.100.9:40000");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Cipher", "aes-128-gcm");
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "KeyExchange", "X25519MLKEM768");
	expect_boolean(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "PresharedKey", false);
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Interface", "nexus0");
	teardown(&f);
}

/* The bus would refuse the whole message. */
static void test_text_that_is_not_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} texts[] = {
		{ "closed: \xff\xfe", "closed: ??" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "cut \xc3", "cut ?" },
		{ "\xe2\x82", "??" },
		{ "\xc0\xaf", "??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92" },
	};
	char long_text[600], buf[NX_BUS_TEXT_LEN];
	struct fixture f;

	setup(&f);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char expected[300];

		f.signals[0] = '\0';
		fake_tunnel_set_state(f.office, NX_TUNNEL_FAILED, NX_REASON_PEER_CLOSED,
				      texts[i].in);
		expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "StateText", texts[i].out);
		snprintf(expected, sizeof(expected), "peer-closed:%s;", texts[i].out);
		wait_for(&f, strstr(f.signals, expected));
	}
	/* Two-byte characters do not fit evenly: the last one is left out whole. */
	for (size_t i = 0; i < sizeof(long_text) - 2; i += 2)
		memcpy(long_text + i, "\xc3\xbc", 3);
	assert_int_equal(strlen(nx_bus_text(long_text, buf)), 510);
	teardown(&f);
}

static void test_lists(void **state)
{
	struct fixture f;
	struct call c;
	struct {
		const char *name, *path, *role, *state;
	} t;

	setup(&f);
	fake_tunnel_add(f.m, "my-vpn_2", NX_ROLE_CLIENT, FAKE_CONNECTS);
	memset(&c, 0, sizeof(c));
	call_start(&f, &c, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, "ListTunnels");
	wait_for(&f, c.reply);
	assert_true(sd_bus_message_enter_container(c.reply, 'a', "(soss)") > 0);
	for (int i = 0; i < 3; i++)
		assert_true(sd_bus_message_read(c.reply, "(soss)", &t.name, &t.path, &t.role,
						&t.state) > 0);
	assert_int_equal(
		sd_bus_message_read(c.reply, "(soss)", &t.name, &t.path, &t.role, &t.state), 0);
	assert_string_equal(t.name, "my-vpn_2");
	assert_string_equal(t.path, TUNNEL("my_2dvpn_5f2"));
	call_free(&c);

	call_string(&f, &c, "GetTunnel", "my-vpn_2");
	assert_true(sd_bus_message_read(c.reply, "o", &t.path) > 0);
	assert_string_equal(t.path, TUNNEL("my_2dvpn_5f2"));
	expect_property(&f, t.path, NX_BUS_IFACE_TUNNEL, "Name", "my-vpn_2");
	call_free(&c);

	call_string(&f, &c, "GetTunnel", "nowhere");
	assert_string_equal(call_error(&c), NX_BUS_ERROR_NO_SUCH_TUNNEL);
	call_free(&c);
	call_string(&f, &c, "GetTunnel", "");
	assert_string_equal(call_error(&c), NX_BUS_ERROR_NO_SUCH_TUNNEL);
	call_free(&c);
	teardown(&f);
}

static void expect_cover(struct fixture *f, uint64_t learnt, const char *line,
			 const char *difference)
{
	char **lines = NULL, **differences = NULL;
	uint64_t found;
	struct call c;

	call_start(f, &c, TUNNEL("public"), NX_BUS_IFACE_TUNNEL, "GetCoverProfile");
	wait_for(f, c.reply);
	assert_string_equal(call_error(&c), "");
	assert_true(sd_bus_message_read(c.reply, "t", &found) > 0);
	assert_true(sd_bus_message_read_strv(c.reply, &lines) >= 0);
	assert_true(sd_bus_message_read_strv(c.reply, &differences) >= 0);
	assert_int_equal(found, learnt);
	assert_string_equal(lines && lines[0] ? lines[0] : "", line);
	assert_string_equal(differences && differences[0] ? differences[0] : "", difference);
	for (char **s = lines; s && *s; s++)
		free(*s);
	for (char **s = differences; s && *s; s++)
		free(*s);
	free(lines);
	free(differences);
	call_free(&c);
}

static void test_cover_profile(void **state)
{
	static char *lines[] = { (char *)"cut \xc3", NULL }, *differences[] = { (char *)"d", NULL };
	const char *changed = "PropertiesChanged:" NX_BUS_IFACE_TUNNEL;
	struct fixture f;
	uint64_t learnt;
	struct call c;

	setup(&f);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "GetCoverProfile", NX_BUS_ERROR_FAILED);
	expect_cover(&f, 0, "", "");
	f.signals[0] = '\0';
	fake_cover_learnt(f.public, 1700000000, lines, NULL);
	expect_cover(&f, 1700000000, "cut ?", "");
	wait_for(&f, strstr(f.signals, changed));
	/* The same time, another difference: that is a change as well. */
	f.signals[0] = '\0';
	fake_cover_learnt(f.public, 1700000000, lines, differences);
	expect_cover(&f, 1700000000, "cut ?", "d");
	wait_for(&f, strstr(f.signals, changed));
	get_property(&f, &c, TUNNEL("public"), NX_BUS_IFACE_TUNNEL, "CoverLearnt", "t");
	assert_true(sd_bus_message_read(c.reply, "t", &learnt) > 0);
	assert_int_equal(learnt, 1700000000);
	call_free(&c);
	teardown(&f);
}

/* Collect what ObjectManager says: "path interface;" for our interfaces. */
static void managed_objects(struct fixture *f, char *out, size_t cap)
{
	const char *path, *interface;
	size_t len = 0;
	struct call c;

	call_start(f, &c, NX_BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
	wait_for(f, c.reply);
	assert_string_equal(call_error(&c), "");
	assert_true(sd_bus_message_enter_container(c.reply, 'a', "{oa{sa{sv}}}") > 0);
	while (sd_bus_message_enter_container(c.reply, 'e', "oa{sa{sv}}") > 0) {
		assert_true(sd_bus_message_read(c.reply, "o", &path) > 0);
		assert_true(sd_bus_message_enter_container(c.reply, 'a', "{sa{sv}}") > 0);
		while (sd_bus_message_enter_container(c.reply, 'e', "sa{sv}") > 0) {
			assert_true(sd_bus_message_read(c.reply, "s", &interface) > 0);
			if (!strncmp(interface, NX_BUS_NAME, strlen(NX_BUS_NAME)))
				len += snprintf(out + len, cap - len, "%s %s;", path, interface);
			assert_true(sd_bus_message_skip(c.reply, "a{sv}") >= 0);
			sd_bus_message_exit_container(c.reply);
		}
		sd_bus_message_exit_container(c.reply);
		sd_bus_message_exit_container(c.reply);
	}
	call_free(&c);
}

static void test_object_manager(void **state)
{
	char text[2048];
	struct fixture f;

	setup(&f);
	/* A session of a client is not a peer. */
	fake_session_add(f.office, 1, "", "10.66.0.2/32");
	fake_session_add(f.public, 7, "alice", "10.66.0.2/32");
	fake_session_add(f.public, UINT64_MAX, "bob", "10.66.0.3/32");
	managed_objects(&f, text, sizeof(text));
	assert_non_null(strstr(text, OFFICE " " NX_BUS_IFACE_TUNNEL ";"));
	assert_non_null(strstr(text, TUNNEL("public") " " NX_BUS_IFACE_TUNNEL ";"));
	assert_non_null(strstr(text, TUNNEL("public/peer/_37") " " NX_BUS_IFACE_PEER ";"));
	assert_non_null(strstr(text, "/peer/_318446744073709551615 " NX_BUS_IFACE_PEER ";"));
	assert_null(strstr(text, OFFICE "/peer"));

	expect_property(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "User", "alice");
	expect_property(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "KeyExchange",
			"X25519MLKEM768");
	expect_boolean(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "PresharedKey", true);
	expect_property(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "Endpoint",
			"192.0.2.7:443");
	expect_reply(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "GetStatistics", "");
	teardown(&f);
}

static void test_no_such_object(void **state)
{
	static const char *const paths[] = {
		TUNNEL("nowhere"),	    TUNNEL("office/x"),	       TUNNEL("office/peer"),
		TUNNEL("office/peer/_31"),  TUNNEL("public/peer/_38"), TUNNEL("public/peer/_37/x"),
		TUNNEL("public/peer/_307"),
	};
	struct fixture f;

	setup(&f);
	fake_session_add(f.office, 1, "", "10.66.0.2/32");
	fake_session_add(f.public, 7, "alice", "10.66.0.2/32");
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		expect_reply(&f, paths[i], NX_BUS_IFACE_TUNNEL, "Connect",
			     SD_BUS_ERROR_UNKNOWN_OBJECT);
		expect_reply(&f, paths[i], NX_BUS_IFACE_PEER, "Disconnect",
			     SD_BUS_ERROR_UNKNOWN_OBJECT);
	}
	/* The folder of the tunnels is a node without methods; an object has its own only. */
	expect_reply(&f, NX_BUS_TUNNEL_PREFIX, NX_BUS_IFACE_TUNNEL, "Connect",
		     SD_BUS_ERROR_UNKNOWN_METHOD);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_PEER, "Disconnect", SD_BUS_ERROR_UNKNOWN_METHOD);
	expect_reply(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_TUNNEL, "Connect",
		     SD_BUS_ERROR_UNKNOWN_METHOD);
	assert_int_equal(f.office->state, NX_TUNNEL_DISCONNECTED);
	teardown(&f);
}

static void test_connect(void **state)
{
	struct fixture f;

	setup(&f);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Disconnect", NX_BUS_ERROR_NOT_CONNECTED);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Connect", "");
	wait_for(&f, strstr(f.signals, "StateChanged:connecting:connected"));
	assert_non_null(strstr(f.signals, "PropertiesChanged:" NX_BUS_IFACE_TUNNEL
					  ";StateChanged:disconnected:connecting:requested:;"));
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Connect", NX_BUS_ERROR_ALREADY_CONNECTED);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Disconnect", "");
	wait_for(&f, strstr(f.signals, "StateChanged:disconnecting:disconnected:requested:;"));

	f.office->priv->outcome = FAKE_BROKEN;
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Connect",
		     NX_BUS_ERROR_CONFIGURATION_INVALID);
	f.office->priv->outcome = FAKE_NO_DATA_PLANE;
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Connect",
		     NX_BUS_ERROR_DATA_PLANE_UNAVAILABLE);
	teardown(&f);
}

static void test_reload(void **state)
{
	struct fixture f;

	setup(&f);
	expect_reply(&f, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, "Reload", "");
	wait_for(&f, strstr(f.signals, "TunnelAdded:extra;"));
	expect_reply(&f, TUNNEL("extra"), NX_BUS_IFACE_TUNNEL, "Connect", "");
	expect_reply(&f, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, "Reload", "");
	wait_for(&f, strstr(f.signals, "TunnelRemoved:extra;"));
	assert_non_null(strstr(f.signals, "InterfacesAdded;TunnelAdded:extra;"));
	assert_non_null(strstr(f.signals, "InterfacesRemoved;TunnelRemoved:extra;"));
	expect_reply(&f, TUNNEL("extra"), NX_BUS_IFACE_TUNNEL, "Connect",
		     SD_BUS_ERROR_UNKNOWN_OBJECT);

	f.m->priv->reload_error = "nexus.conf:7: mtu: 70000 is out of range";
	expect_reply(&f, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, "Reload",
		     NX_BUS_ERROR_CONFIGURATION_INVALID);
	assert_int_equal(f.m->priv->reloads, 3);
	teardown(&f);
}

static void test_peers(void **state)
{
	struct fixture f;

	setup(&f);
	fake_session_add(f.public, 7, "alice", "10.66.0.2/32");
	wait_for(&f, strstr(f.signals, "InterfacesAdded;"));
	expect_reply(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "Disconnect", "");
	wait_for(&f, strstr(f.signals, "InterfacesRemoved;"));
	assert_true(TAILQ_EMPTY(&f.public->sessions));
	expect_reply(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "Disconnect",
		     SD_BUS_ERROR_UNKNOWN_OBJECT);
	teardown(&f);
}

/* A client that has moved. */
static void test_peer_moves(void **state)
{
	struct nx_session *s;
	struct fixture f;

	setup(&f);
	s = fake_session_add(f.public, 7, "alice", "10.66.0.2/32");
	wait_for(&f, strstr(f.signals, "InterfacesAdded;"));
	assert_int_equal(nx_endpoint_parse("198.51.100.1:5000", &s->remote), 0);
	nx_session_bus_moved(s);
	wait_for(&f, strstr(f.signals, "PropertiesChanged:" NX_BUS_IFACE_PEER ";"));
	expect_property(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "Endpoint",
			"198.51.100.1:5000");
	teardown(&f);
}

static void say_sleep(struct fixture *f, sd_bus *bus, const char *to, int start)
{
	sd_bus_message *m = NULL;

	assert_true(sd_bus_message_new_signal(bus, &m, "/org/freedesktop/login1",
					      "org.freedesktop.login1.Manager",
					      "PrepareForSleep") >= 0);
	assert_true(sd_bus_message_append(m, "b", start) >= 0);
	assert_true(sd_bus_send_to(bus, m, to, NULL) >= 0);
	sd_bus_message_unref(m);
	assert_true(sd_bus_flush(bus) >= 0);
	/* What was sent before has been handled when a later call is answered. */
	expect_property(f, OFFICE, NX_BUS_IFACE_TUNNEL, "State", "disconnected");
}

/* logind says that the machine is awake again; nobody else can. */
static void test_sleep(void **state)
{
	struct fixture f;
	sd_bus *logind;

	setup(&f);
	logind = f.client;
	say_sleep(&f, logind, NULL, false);
	say_sleep(&f, logind, NX_BUS_NAME, false);
	assert_int_equal(f.m->priv->resumes, 0);
	assert_true(sd_bus_request_name(logind, "org.freedesktop.login1", 0) >= 0);
	say_sleep(&f, logind, NULL, true);
	assert_int_equal(f.m->priv->resumes, 0);
	say_sleep(&f, logind, NULL, false);
	assert_int_equal(f.m->priv->resumes, 1);
	teardown(&f);
}

/* The first entry of the dictionary. */
static uint64_t first_counter(struct call *c, const char **name)
{
	uint64_t value;

	assert_true(sd_bus_message_enter_container(c->reply, 'a', "{sv}") > 0);
	assert_true(sd_bus_message_enter_container(c->reply, 'e', "sv") > 0);
	assert_true(sd_bus_message_read(c->reply, "s", name) > 0);
	assert_true(sd_bus_message_read(c->reply, "v", "t", &value) > 0);
	return value;
}

static void test_statistics(void **state)
{
	const char *name;
	struct fixture f;
	struct call c;

	setup(&f);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics", NX_BUS_ERROR_NOT_CONNECTED);
	assert_int_equal(nx_tunnel_connect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_CONNECTED);

	f.office->priv->hold_stats = true;
	call_start(&f, &c, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics");
	wait_for(&f, f.office->priv->n_stats == 1);
	/* The daemon serves others meanwhile. */
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "State", "connected");
	assert_null(c.reply);
	fake_release_stats(f.office, 0);
	wait_for(&f, c.reply);
	assert_int_equal(first_counter(&c, &name), 1000);
	assert_string_equal(name, "l3-tx-packets");
	call_free(&c);
	assert_int_equal(f.m->bus_face->n_pending, 0);
	teardown(&f);
}

static void test_statistics_tunnel_vanishes(void **state)
{
	struct fixture f;
	struct call c;

	setup(&f);
	assert_int_equal(nx_tunnel_connect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_CONNECTED);
	f.office->priv->hold_stats = true;
	call_start(&f, &c, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics");
	wait_for(&f, f.office->priv->n_stats == 1);
	fake_tunnel_remove(f.office);
	wait_for(&f, c.reply);
	assert_string_equal(call_error(&c), NX_BUS_ERROR_FAILED);
	call_free(&c);
	teardown(&f);
}

/* The caller leaves, then the whole bus: answers that come later go nowhere and leak nothing. */
static void test_statistics_bus_vanishes(void **state)
{
	struct fixture f;
	struct call c;

	setup(&f);
	assert_int_equal(nx_tunnel_connect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_CONNECTED);
	f.office->priv->hold_stats = true;
	call_start(&f, &c, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics");
	wait_for(&f, f.office->priv->n_stats == 1);
	call_free(&c);
	f.client = sd_bus_close_unref(f.client);
	fake_release_stats(f.office, 0);

	client_open(&f);
	call_start(&f, &c, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics");
	wait_for(&f, f.office->priv->n_stats == 1);
	nx_manager_bus_stop(f.m);
	fake_release_stats(f.office, 0);
	call_free(&c);
	teardown(&f);
}

static void test_too_many_pending(void **state)
{
	struct fixture f;

	setup(&f);
	f.m->bus_face->n_pending += NX_BUS_PENDING_MAX;
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Connect", NX_BUS_ERROR_BUSY);
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics", NX_BUS_ERROR_BUSY);
	f.m->bus_face->n_pending -= NX_BUS_PENDING_MAX;
	expect_reply(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "Connect", "");
	teardown(&f);
}

/* Tunnels work without a bus; it is found when it appears, and again after it was restarted. */
static void test_bus_comes_and_goes(void **state)
{
	struct fixture f;

	memset(&f, 0, sizeof(f));
	setup_without_bus(&f);
	assert_int_equal(nx_manager_bus_start(f.m), 0);
	assert_null(f.m->bus);
	assert_int_equal(nx_tunnel_connect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_CONNECTED);
	assert_null(f.m->bus);

	assert_int_equal(private_bus_start(&f.bus), 0);
	wait_for(&f, f.m->bus);
	client_open(&f);
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "State", "connected");
	f.client = sd_bus_close_unref(f.client);

	private_bus_stop(&f.bus);
	wait_for(&f, !f.m->bus);
	fake_session_add(f.public, 7, "alice", "10.66.0.2/32");
	assert_int_equal(nx_tunnel_disconnect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_DISCONNECTED);

	assert_int_equal(private_bus_start(&f.bus), 0);
	wait_for(&f, f.m->bus);
	client_open(&f);
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "State", "disconnected");
	expect_property(&f, TUNNEL("public/peer/_37"), NX_BUS_IFACE_PEER, "User", "alice");
	teardown(&f);
}

/* A bus that dies under an unanswered question and an unanswered call. */
static void test_bus_dies_while_pending(void **state)
{
	struct fixture f;
	struct call c;

	setup(&f);
	assert_int_equal(nx_tunnel_connect(f.office), 0);
	wait_for(&f, f.office->state == NX_TUNNEL_CONNECTED);
	f.office->priv->hold_stats = true;
	call_start(&f, &c, OFFICE, NX_BUS_IFACE_TUNNEL, "GetStatistics");
	wait_for(&f, f.office->priv->n_stats == 1);
	call_free(&c);
	call_start(&f, &c, TUNNEL("public"), NX_BUS_IFACE_TUNNEL, "Connect");
	wait_for(&f, f.m->bus_face->n_pending == 2);
	private_bus_stop(&f.bus);
	wait_for(&f, !f.m->bus);
	assert_int_equal(private_bus_start(&f.bus), 0);
	wait_for(&f, f.m->bus);
	assert_int_equal(f.m->bus_face->n_pending, 0);
	fake_release_stats(f.office, 0);
	call_free(&c);
	teardown(&f);
}

/* Somebody else has the name: it is ours as soon as they let go. */
static void test_name_taken(void **state)
{
	struct fixture f;

	memset(&f, 0, sizeof(f));
	setup_without_bus(&f);
	assert_int_equal(private_bus_start(&f.bus), 0);
	client_open(&f);
	assert_true(sd_bus_request_name(f.client, NX_BUS_NAME, 0) >= 0);
	assert_int_equal(nx_manager_bus_start(f.m), 0);
	wait_for(&f, f.m->bus_face->failure_logged);
	assert_null(f.m->bus);
	assert_true(sd_bus_release_name(f.client, NX_BUS_NAME) >= 0);
	wait_for(&f, f.m->bus);
	expect_property(&f, OFFICE, NX_BUS_IFACE_TUNNEL, "State", "disconnected");
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_text_that_is_not_utf8),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_object_manager),
		cmocka_unit_test(test_no_such_object),
		cmocka_unit_test(test_cover_profile),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_peer_moves),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_statistics_tunnel_vanishes),
		cmocka_unit_test(test_statistics_bus_vanishes),
		cmocka_unit_test(test_too_many_pending),
		cmocka_unit_test(test_bus_comes_and_goes),
		cmocka_unit_test(test_bus_dies_while_pending),
		cmocka_unit_test(test_name_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
