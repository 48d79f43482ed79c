// SPDX-License-Identifier: GPL-2.0-or-later
/* The fake manager: see fake.h. Allocation failures end the test program. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "linux/nexus_quic_dco.h"

static void *must(void *p)
{
	assert(p);
	return p;
}

const char *nx_tunnel_state_str(enum nx_tunnel_state state)
{
	static const char *const names[] = { "disconnected", "connecting",    "connected",
					     "reconnecting", "disconnecting", "listening",
					     "failed" };

	return names[state];
}

const char *nx_reason_str(enum nx_reason reason)
{
	static const char *const names[] = {
		"none",		"requested",   "timeout",	  "authentication-refused",
		"server-proof", "protocol",    "configuration",	  "socket",
		"idle-timeout", "peer-closed", "stateless-reset", "data-plane-lost",
		"key-limit",	"revoked"
	};

	return names[reason];
}

/* ---- manager ---- */

void nx_manager_resumed(struct nx_manager *m)
{
	m->priv->resumes++;
}

struct nx_manager *fake_manager_new(sd_event *event)
{
	struct nx_manager *m = must(calloc(1, sizeof(*m)));

	m->event = sd_event_ref(event);
	m->config_file = must(strdup("/etc/nexus/nexus.conf"));
	m->config = must(calloc(1, sizeof(*m->config)));
	m->config->dco_mode = NX_DCO_PREFERRED;
	m->priv = must(calloc(1, sizeof(*m->priv)));
	TAILQ_INIT(&m->tunnels);
	m->data_planes[0] = (struct nx_data_plane_info){
		.name = "nexus-dp",
		.available = true,
		.abi_version = 1,
		.release = "0.1.0",
		.provider = "gnutls",
		.ciphers = { NQD_CIPHER_AES_128_GCM, NQD_CIPHER_CHACHA20_POLY1305 },
		.n_ciphers = 2,
		.udp_gso = true,
	};
	m->data_planes[1] = (struct nx_data_plane_info){
		.name = "nexus_quic_dco",
		.reason = "the kernel module is not loaded",
	};
	m->n_data_planes = 2;
	return m;
}

void fake_manager_free(struct nx_manager *m)
{
	struct nx_tunnel *t;

	while ((t = TAILQ_FIRST(&m->tunnels)) != NULL)
		fake_tunnel_remove(t);
	free(m->priv);
	free(m->config);
	free(m->config_file);
	sd_event_unref(m->event);
	free(m);
}

struct nx_tunnel *nx_manager_find_tunnel(struct nx_manager *m, const char *name)
{
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry) {
		if (!strcmp(t->config->name, name))
			return t;
	}
	return NULL;
}

/* Every good reload adds or removes the tunnel "extra". */
int nx_manager_reload(struct nx_manager *m, char *error, size_t error_len)
{
	struct nx_tunnel *extra = nx_manager_find_tunnel(m, "extra");

	m->priv->reloads++;
	if (m->priv->reload_error) {
		snprintf(error, error_len, "%s", m->priv->reload_error);
		return -EINVAL;
	}
	if (extra)
		fake_tunnel_remove(extra);
	else
		fake_tunnel_add(m, "extra", NX_ROLE_CLIENT, FAKE_CONNECTS);
	return 0;
}

/* ---- tunnels ---- */

static struct nx_prefix *prefix(const char *text)
{
	struct nx_prefix *p = must(calloc(1, sizeof(*p)));

	assert(nx_prefix_parse(text, p) == 0);
	return p;
}

struct nx_tunnel *fake_tunnel_add(struct nx_manager *m, const char *name, enum nx_role role,
				  enum fake_outcome outcome)
{
	struct nx_tunnel *t = must(calloc(1, sizeof(*t)));

	t->manager = m;
	t->priv = must(calloc(1, sizeof(*t->priv)));
	t->priv->outcome = outcome;
	t->config = must(calloc(1, sizeof(*t->config)));
	t->config->congestion = must(strdup("cubic"));
	t->config->name = must(strdup(name));
	t->config->role = role;
	if (role == NX_ROLE_CLIENT) {
		t->config->endpoint = must(strdup("vpn.example.org:443"));
	} else {
		t->config->n_listen = 2;
		t->config->listen = must(calloc(2, sizeof(*t->config->listen)));
		assert(nx_endpoint_parse("0.0.0.0:443", &t->config->listen[0]) == 0);
		assert(nx_endpoint_parse("[::]:443", &t->config->listen[1]) == 0);
	}
	TAILQ_INIT(&t->sessions);
	TAILQ_INSERT_TAIL(&m->tunnels, t, entry);
	nx_tunnel_bus_added(t);
	return t;
}

static void session_free(struct nx_session *s)
{
	TAILQ_REMOVE(&s->tunnel->sessions, s, entry);
	nx_session_bus_removed(s);
	free(s->addresses);
	free(s);
}

static void drop_sessions(struct nx_tunnel *t)
{
	struct nx_session *s;

	while ((s = TAILQ_FIRST(&t->sessions)) != NULL)
		session_free(s);
	free(t->addresses);
	t->addresses = NULL;
	t->n_addresses = 0;
}

/* Off the list first: the bus face must not need to find it. */
void fake_tunnel_remove(struct nx_tunnel *t)
{
	TAILQ_REMOVE(&t->manager->tunnels, t, entry);
	fake_release_stats(t, -ECANCELED);
	drop_sessions(t);
	nx_tunnel_bus_removed(t);
	sd_event_source_disable_unref(t->priv->step);
	free(t->config->listen);
	free(t->config->endpoint);
	free(t->config->congestion);
	free(t->config->name);
	free(t->config);
	free(t->priv);
	free(t);
}

void fake_tunnel_set_state(struct nx_tunnel *t, enum nx_tunnel_state state, enum nx_reason reason,
			   const char *text)
{
	enum nx_tunnel_state old = t->state;

	t->state = state;
	t->reason = reason;
	snprintf(t->text, sizeof(t->text), "%s", text);
	nx_tunnel_bus_state_changed(t, old);
}

struct nx_session *fake_session_add(struct nx_tunnel *t, uint64_t id, const char *user,
				    const char *address)
{
	struct nx_session *s = must(calloc(1, sizeof(*s)));

	s->tunnel = t;
	s->id = s->peer_id = id;
	snprintf(s->user_name, sizeof(s->user_name), "%s", user);
	s->cipher = NQD_CIPHER_AES_128_GCM;
	/* Sessions with odd numbers are post-quantum, those with a name have a preshared key. */
	s->key_exchange = id % 2 ? 0x11ec : 0x001d;
	s->has_psk = user[0] != '\0';
	s->connected_since_s = 1700000000;
	s->last_handshake_s = 1700003600;
	s->old_key = strcmp(user, "bob") != 0;
	s->addresses = prefix(address);
	s->n_addresses = 1;
	assert(nx_endpoint_parse("192.0.2.7:443", &s->remote) == 0);
	assert(nx_endpoint_parse("198.51.100.9:40000", &s->local) == 0);
	TAILQ_INSERT_TAIL(&t->sessions, s, entry);
	nx_session_bus_added(s);
	return s;
}

static void connected(struct nx_tunnel *t)
{
	t->data_plane = "nexus-dp";
	snprintf(t->data_plane_reason, sizeof(t->data_plane_reason), "%s",
		 "the kernel module is not loaded");
	snprintf(t->ifname, sizeof(t->ifname), "nexus0");
	t->mtu = 1400;
	t->addresses = prefix("10.66.0.2/32");
	t->n_addresses = 1;
	if (t->config->role == NX_ROLE_SERVER) {
		fake_tunnel_set_state(t, NX_TUNNEL_LISTENING, NX_REASON_NONE, "");
		return;
	}
	fake_session_add(t, 1, "", "10.66.0.2/32");
	fake_tunnel_set_state(t, NX_TUNNEL_CONNECTED, NX_REASON_NONE, "");
}

static int on_step(sd_event_source *source, void *userdata)
{
	struct nx_tunnel *t = userdata;

	t->priv->step = sd_event_source_disable_unref(t->priv->step);
	if (t->state == NX_TUNNEL_DISCONNECTING)
		fake_tunnel_set_state(t, NX_TUNNEL_DISCONNECTED, NX_REASON_REQUESTED, "");
	else if (t->priv->outcome == FAKE_REFUSED)
		fake_tunnel_set_state(t, NX_TUNNEL_RECONNECTING, NX_REASON_AUTH_REFUSED,
				      "the server did not know this key");
	else if (t->priv->outcome == FAKE_CONNECTS)
		connected(t);
	return 0;
}

static void next_step(struct nx_tunnel *t)
{
	sd_event_source_disable_unref(t->priv->step);
	t->priv->step = NULL;
	assert(sd_event_add_defer(t->manager->event, &t->priv->step, on_step, t) >= 0);
}

int nx_tunnel_connect(struct nx_tunnel *t)
{
	if (t->state != NX_TUNNEL_DISCONNECTED && t->state != NX_TUNNEL_FAILED)
		return -EALREADY;
	if (t->priv->outcome == FAKE_BROKEN) {
		fake_tunnel_set_state(t, NX_TUNNEL_FAILED, NX_REASON_CONFIGURATION,
				      "/etc/nexus/office.key: no such file");
		return -ENOENT;
	}
	if (t->priv->outcome == FAKE_NO_DATA_PLANE) {
		fake_tunnel_set_state(t, NX_TUNNEL_FAILED, NX_REASON_DATA_PLANE_LOST,
				      "the kernel module is required and not loaded");
		return -ENODEV;
	}
	fake_tunnel_set_state(t, NX_TUNNEL_CONNECTING, NX_REASON_REQUESTED, "");
	next_step(t);
	return 0;
}

int nx_tunnel_disconnect(struct nx_tunnel *t)
{
	if (t->state == NX_TUNNEL_DISCONNECTED || t->state == NX_TUNNEL_DISCONNECTING)
		return -EALREADY;
	drop_sessions(t);
	t->ifname[0] = '\0';
	fake_tunnel_set_state(t, NX_TUNNEL_DISCONNECTING, NX_REASON_REQUESTED, "");
	next_step(t);
	return 0;
}

int nx_tunnel_revoke(struct nx_tunnel *t, const char *user, bool revoked)
{
	if (t->config->role != NX_ROLE_SERVER)
		return -EINVAL;
	return strcmp(user, "alice") ? -ENOENT : 0;
}

int nx_session_disconnect(struct nx_session *s)
{
	session_free(s);
	return 0;
}

void fake_cover_learnt(struct nx_tunnel *t, uint64_t learnt_s, char **lines, char **differences)
{
	static char *changed[] = { (char *)"CoverLearnt", NULL };

	t->cover_profile.learnt_s = learnt_s;
	t->cover_profile.lines = lines;
	t->cover_profile.differences = differences;
	nx_tunnel_bus_properties_changed(t, changed);
}

/* ---- statistics ---- */

static void answer(struct nx_tunnel *t, nx_stats_fn done, void *userdata)
{
	uint64_t n = ++t->priv->polls;
	const struct nx_stat stats[] = {
		{ "l3-tx-packets", 1000 * n },
		{ "hs-initials", 9 },
		{ "hs-handshakes-ok", 4 },
		{ "hs-rejected-time", 2 },
		{ "hs-handshakes-failed", 1 },
		{ "l3-tx-bytes", 1000000 * n },
		{ "l3-rx-packets", 2000 * n },
		{ "l3-rx-bytes", 2000000 * n },
		{ "quic-tx-packets", 1000 * n },
		{ "packets-lost", 5 * n },
		{ "srtt-us", 12345 },
		{ "min-rtt-us", 11000 },
		{ "rttvar-us", 500 },
		{ "cwnd-bytes", 147456 },
		{ "bytes-in-flight", 2400 },
		{ "source-prefix-drops", 3 },
		{ "uptime-ms", 3600000 },
		{ "aead-open-failures", UINT64_MAX },
	};

	done(userdata, 0, stats, sizeof(stats) / sizeof(stats[0]));
}

int nx_tunnel_get_stats(struct nx_tunnel *t, nx_stats_fn done, void *userdata)
{
	if (t->state != NX_TUNNEL_CONNECTED && t->state != NX_TUNNEL_LISTENING)
		return -ENOTCONN;
	if (!t->priv->hold_stats) {
		answer(t, done, userdata);
		return 0;
	}
	if (t->priv->n_stats == sizeof(t->priv->stats_fn) / sizeof(t->priv->stats_fn[0]))
		return -EAGAIN;
	t->priv->stats_fn[t->priv->n_stats] = done;
	t->priv->stats_userdata[t->priv->n_stats++] = userdata;
	return 0;
}

int nx_session_get_stats(struct nx_session *s, nx_stats_fn done, void *userdata)
{
	answer(s->tunnel, done, userdata);
	return 0;
}

void fake_release_stats(struct nx_tunnel *t, int err)
{
	size_t n = t->priv->n_stats;

	t->priv->n_stats = 0;
	for (size_t i = 0; i < n; i++) {
		if (err < 0)
			t->priv->stats_fn[i](t->priv->stats_userdata[i], err, NULL, 0);
		else
			answer(t, t->priv->stats_fn[i], t->priv->stats_userdata[i]);
	}
}
