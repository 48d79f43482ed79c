// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state machine of a tunnel: what both roles share. See tunnel-internal.h for how the files
 * divide it.
 *
 * States of a client: DISCONNECTED -> CONNECTING -> CONNECTED <-> RECONNECTING -> DISCONNECTING ->
 * DISCONNECTED; of a server: DISCONNECTED -> CONNECTING -> LISTENING -> DISCONNECTING ->
 * DISCONNECTED; FAILED from anywhere when going on makes no sense. While a client reconnects its
 * device, addresses and routes stay, so that nothing leaks out beside the tunnel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config-internal.h"
#include "lib/log.h"
#include "lib/texts.h"
#include "net-link.h"
#include "prefix.h"
#include "tunnel-internal.h"

/* How long CONNECTION_CLOSE may take before a tunnel is taken down regardless. */
#define CLOSE_TIMEOUT_US 1500000

static void finish_stop(struct nx_tunnel *t);

const char *nx_tunnel_state_str(enum nx_tunnel_state state)
{
	static const char *const names[] = {
		[NX_TUNNEL_DISCONNECTED] = "disconnected",
		[NX_TUNNEL_CONNECTING] = "connecting",
		[NX_TUNNEL_CONNECTED] = "connected",
		[NX_TUNNEL_RECONNECTING] = "reconnecting",
		[NX_TUNNEL_DISCONNECTING] = "disconnecting",
		[NX_TUNNEL_LISTENING] = "listening",
		[NX_TUNNEL_FAILED] = "failed",
	};

	return names[state];
}

const char *nx_reason_str(enum nx_reason reason)
{
	static const char *const names[] = {
		[NX_REASON_NONE] = "none",
		[NX_REASON_REQUESTED] = "requested",
		[NX_REASON_TIMEOUT] = "timeout",
		[NX_REASON_AUTH_REFUSED] = "authentication-refused",
		[NX_REASON_SERVER_PROOF] = "server-proof",
		[NX_REASON_PROTOCOL] = "protocol",
		[NX_REASON_CONFIGURATION] = "configuration",
		[NX_REASON_SOCKET] = "socket",
		[NX_REASON_IDLE_TIMEOUT] = "idle-timeout",
		[NX_REASON_PEER_CLOSED] = "peer-closed",
		[NX_REASON_STATELESS_RESET] = "stateless-reset",
		[NX_REASON_DATA_PLANE_LOST] = "data-plane-lost",
		[NX_REASON_KEY_LIMIT] = "key-limit",
		[NX_REASON_REVOKED] = "revoked",
	};

	return names[reason];
}

/* ---- life ---- */

struct nx_tunnel *nx_tunnel_new(struct nx_manager *m, struct nx_tunnel_config *c)
{
	struct nx_tunnel *t = calloc(1, sizeof(*t));
	struct nx_tunnel_private *p = calloc(1, sizeof(*p));

	if (!t || !p) {
		free(t);
		free(p);
		nx_tunnel_config_free(c);
		return NULL;
	}
	t->manager = m;
	t->config = c;
	nx_server_mark_revoked(m, c);
	t->priv = p;
	t->data_plane = "";
	TAILQ_INIT(&t->sessions);
	TAILQ_INIT(&p->installing);
	p->tun_fd = -1;
	p->coming.tun_fd = p->leaving.tun_fd = -1;
	p->replay_fd = -1;
	p->state_fd = -1;
	p->keylog_fd = -1;
	for (size_t i = 0; i < NX_PAIRS_MAX; i++)
		p->pairs[i].hs_fd = p->pairs[i].dp_fd = -1;
	p->mark = c->fwmark;
	if (!p->mark && c->role == NX_ROLE_CLIENT)
		p->mark = nx_tunnel_default_mark(c->name);
	nx_cover_load_profile(t);
	TAILQ_INSERT_TAIL(&m->tunnels, t, entry);
	nx_tunnel_bus_added(t);
	return t;
}

void nx_tunnel_free(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	TAILQ_REMOVE(&t->manager->tunnels, t, entry);
	nx_tunnel_bus_removed(t);
	nx_requests_forget(&t->manager->priv->hsd.requests, t);
	nx_tunnel_forget_requests(t);
	nx_tunnel_disarm_timer(t);
	nx_roam_stop(t);
	nx_move_free(t);
	p->recheck = sd_event_source_disable_unref(p->recheck);
	p->mtu_due = sd_event_source_disable_unref(p->mtu_due);
	p->mtu_timer = sd_event_source_disable_unref(p->mtu_timer);
	nx_client_renew_stop(t);
	nx_cover_stop(t);
	nx_resolve_cancel(p->resolve);
	if (p->replay_fd >= 0)
		close(p->replay_fd);
	nx_cover_profile_free(&t->cover_profile);
	nx_tunnel_config_free(p->next_config);
	nx_tunnel_config_free(t->config);
	free(p->planned);
	free(t->addresses);
	free(t->routes);
	nx_texts_free(t->dns);
	nx_texts_free(t->dns_domains);
	free(p);
	free(t);
}

/* It is configured no more. The end of this process is another matter: then the monitor keeps it. */
static void forget_replay(struct nx_tunnel *t)
{
	if (t->priv->replay_fd >= 0)
		nx_manager_unstore(t->manager, "replay:%s", t->config->name);
}

bool nx_tunnel_at_rest(const struct nx_tunnel *t)
{
	return t->state == NX_TUNNEL_DISCONNECTED || t->state == NX_TUNNEL_FAILED;
}

static int log_level_of(enum nx_tunnel_state state)
{
	if (state == NX_TUNNEL_FAILED)
		return LOG_ERR;
	return state == NX_TUNNEL_RECONNECTING ? LOG_WARNING : LOG_NOTICE;
}

void nx_tunnel_set_state(struct nx_tunnel *t, enum nx_tunnel_state state, enum nx_reason reason,
			 const char *fmt, ...)
{
	enum nx_tunnel_state old = t->state;
	char text[sizeof(t->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (state == old && reason == t->reason && !strcmp(text, t->text))
		return;
	t->state = state;
	t->reason = reason;
	memcpy(t->text, text, sizeof(text));
	nx_log_full(log_level_of(state), "TunnelState", t->config->name, "%s%s%s%s",
		    nx_tunnel_state_str(state), reason ? " (" : "",
		    reason ? nx_reason_str(reason) : "", reason ? ")" : "");
	if (text[0])
		nx_log_full(LOG_NOTICE, "TunnelStateText", t->config->name, "%s", text);
	nx_tunnel_bus_state_changed(t, old);
}

void nx_tunnel_net_changed(struct nx_tunnel *t)
{
	static char *names[] = { "Interface",	  "Addresses",	 "Routes",	 "Dns",
				 "DnsDomains",	  "Mtu",	 "Endpoint",	 "LocalEndpoint",
				 "Cipher",	  "KeyExchange", "PresharedKey", "ConnectedSince",
				 "LastHandshake", "Congestion",	 "CoverAddress", "CoverState",
				 "CoverLearnt",	  NULL };

	nx_tunnel_bus_properties_changed(t, names);
}

int nx_tunnel_arm_timer(struct nx_tunnel *t, uint64_t delay_us, sd_event_time_handler_t fn)
{
	nx_tunnel_disarm_timer(t);
	return sd_event_add_time_relative(t->manager->event, &t->priv->timer, CLOCK_MONOTONIC,
					  delay_us, 10000, fn, t);
}

void nx_tunnel_disarm_timer(struct nx_tunnel *t)
{
	t->priv->timer = sd_event_source_disable_unref(t->priv->timer);
}

/* ---- sockets ---- */

/* Who reads a data socket is part of its name, so that a restarted control process knows it. */
static void store_pair(struct nx_tunnel *t, size_t i)
{
	struct nx_tunnel_private *p = t->priv;
	const char *name = t->config->name;
	bool kernel = p->pair_dp[i]->kernel;

	nx_manager_store(t->manager, p->pairs[i].hs_fd, "sock:%s:%zu:hs", name, i);
	nx_manager_store(t->manager, p->pairs[i].dp_fd, "sock:%s:%zu:%s", name, i,
			 kernel ? "ko" : "dp");
	nx_manager_unstore(t->manager, "sock:%s:%zu:%s", name, i, kernel ? "dp" : "ko");
}

static void unstore_pair(struct nx_tunnel *t, size_t i)
{
	static const char *const kinds[] = { "hs", "dp", "ko" };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		nx_manager_unstore(t->manager, "sock:%s:%zu:%s", t->config->name, i, kinds[k]);
}

void nx_tunnel_store_pairs(struct nx_tunnel *t)
{
	for (size_t i = 0; i < t->priv->n_pairs; i++)
		store_pair(t, i);
}

static void close_pairs(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	for (size_t i = 0; i < p->n_pairs; i++) {
		unstore_pair(t, i);
		nx_udp_pair_close(&p->pairs[i]);
	}
	p->n_pairs = 0;
}

void nx_tunnel_close_pairs_of(struct nx_tunnel *t, struct nx_dp *dp)
{
	struct nx_tunnel_private *p = t->priv;
	size_t kept = 0, n = p->n_pairs;

	for (size_t i = 0; i < n; i++) {
		if (p->pair_dp[i] == dp) {
			nx_udp_pair_close(&p->pairs[i]);
			continue;
		}
		p->pairs[kept] = p->pairs[i];
		p->pair_dp[kept++] = p->pair_dp[i];
	}
	p->n_pairs = kept;
	if (kept == n)
		return;
	for (size_t i = kept; i < n; i++)
		unstore_pair(t, i);
	nx_tunnel_store_pairs(t);
	/* nexus-hsd knows them by number: the next step tells it. */
	if (p->hsd_phase == NX_HSD_SETTING || p->hsd_phase == NX_HSD_READY)
		p->hsd_phase = NX_HSD_HAVE_SECRETS;
}

void nx_tunnel_socket_failed(struct nx_tunnel *t, const struct nx_endpoint *e, int err)
{
	char addr[NX_ADDR_STRLEN], text[160];

	snprintf(text, sizeof(text), "cannot open UDP sockets on %s: %s",
		 nx_endpoint_format(e, addr), strerror(-err));
	nx_tunnel_fail(t, NX_REASON_SOCKET, text);
}

/* ---- nexus-hsd: secrets, then SET_TUNNEL ---- */

static void request_secret(struct nx_tunnel *t, const char *path, const char *what,
			   const char *user)
{
	struct nx_tunnel_private *p = t->priv;
	char name[96];
	int n;

	if (!path)
		return;
	n = snprintf(name, sizeof(name), "%s:%s%s%s%s%s",
		     strcmp(what, "keylog") ? "secret" : "keylog", t->config->name,
		     strcmp(what, "keylog") ? ":" : "", strcmp(what, "keylog") ? what : "",
		     user ? ":" : "", user ? user : "");
	if (n >= (int)sizeof(name) || nx_mon_open_secret(&t->manager->priv->mon, name, path) < 0) {
		p->secret_failed = true;
		return;
	}
	p->secrets_pending++;
}

static void request_secrets(struct nx_tunnel *t)
{
	const struct nx_tunnel_config *c = t->config;
	struct nx_tunnel_private *p = t->priv;

	/* Answers to an earlier round are still under way, in order. */
	p->secrets_stale += p->secrets_pending;
	p->secrets_pending = 0;
	p->secret_failed = false;
	p->hsd_phase = NX_HSD_SECRETS;
	request_secret(t, c->private_key_file, "private-key", NULL);
	if (nx_old_key_wanted(c))
		request_secret(t, c->old_private_key_file, "old-private-key", NULL);
	else if (c->old_private_key_file)
		nx_log_full(LOG_NOTICE, NULL, c->name,
			    "old_key_until is over: old_private_key_file is not used any more");
	request_secret(t, c->preshared_key_file, "psk", NULL);
	for (size_t i = 0; i < c->n_users; i++)
		request_secret(t, c->users[i].preshared_key_file, "psk", c->users[i].name);
	request_secret(t, c->insecure_keylog_file, "keylog", NULL);
}

/*
 * nexus-hsd cannot be configured. What is established does not need it and goes on; the next
 * reload tries again.
 */
static void refused(struct nx_tunnel *t, const char *text)
{
	t->priv->hsd_phase = NX_HSD_NONE;
	if (t->state == NX_TUNNEL_LISTENING || t->state == NX_TUNNEL_CONNECTED)
		nx_tunnel_set_state(t, t->state, NX_REASON_CONFIGURATION, "%s", text);
	else
		nx_tunnel_fail(t, NX_REASON_CONFIGURATION, text);
}

void nx_tunnel_secret_result(struct nx_tunnel *t, const char *name, int err, const char *text)
{
	struct nx_tunnel_private *p = t->priv;

	if (p->secrets_stale) {
		p->secrets_stale--;
		return;
	}
	if (!p->secrets_pending)
		return;
	p->secrets_pending--;
	if (p->hsd_phase != NX_HSD_SECRETS)
		return;
	/* nexus-hsd is away: it will be told everything again. */
	if (err == -ENOTCONN || err == -EPIPE) {
		p->secret_failed = true;
	} else if (err) {
		p->secrets_stale += p->secrets_pending;
		p->secrets_pending = 0;
		refused(t, text[0] ? text : strerror(-err));
		return;
	}
	if (p->secrets_pending)
		return;
	p->hsd_phase = p->secret_failed ? NX_HSD_NONE : NX_HSD_HAVE_SECRETS;
	if (!p->secret_failed)
		nx_tunnel_step(t);
}

/* The monitor sends it just before the result. */
void nx_tunnel_keylog_opened(struct nx_tunnel *t, int fd)
{
	if (t->priv->keylog_fd >= 0)
		close(t->priv->keylog_fd);
	t->priv->keylog_fd = fd;
}

static void on_set_tunnel(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_tunnel *t = userdata;
	struct nx_tunnel_private *p = t->priv;

	if (msg || p->hsd_phase != NX_HSD_SETTING)
		return;
	if (err == -EPIPE) {
		p->hsd_phase = NX_HSD_NONE;
		return;
	}
	if (err) {
		refused(t, text[0] ? text : strerror(-err));
		return;
	}
	p->hsd_phase = NX_HSD_READY;
	if (t->config->role == NX_ROLE_SERVER)
		nx_cover_start(t);
	nx_tunnel_step(t);
}

static void set_tunnel(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	bool server = t->config->role == NX_ROLE_SERVER;
	struct nx_hsd_setup setup = { .profile = server ? &t->cover_profile : NULL };
	int fds[2 * NX_PAIRS_MAX + 2];
	int replay = -1, r;

	for (size_t i = 0; i < p->n_pairs; i++)
		fds[setup.n_fds++] = p->pairs[i].hs_fd;
	/* The module leaves there what is not its own, which nexus-dp would hand over. */
	for (size_t i = 0; i < p->n_pairs; i++) {
		if (!p->pair_dp[i]->kernel)
			continue;
		setup.data_sockets |= 1u << i;
		fds[setup.n_fds++] = p->pairs[i].dp_fd;
	}
	if (t->config->insecure_keylog_file && p->keylog_fd >= 0)
		fds[setup.n_fds++] = p->keylog_fd;
	if (server)
		replay = nx_server_replay_fd(t);
	if (replay >= 0)
		fds[setup.n_fds++] = replay;
	p->hsd_mtu = server ? nx_server_mtu(t) : nx_client_wanted_mtu(t);
	p->hsd_phase = NX_HSD_SETTING;
	setup.fds = fds;
	setup.mtu = p->hsd_mtu;
	setup.replay = replay >= 0;
	r = nx_hsd_set_tunnel(&t->manager->priv->hsd, t->config, &setup, on_set_tunnel, t);
	if (r == -EMSGSIZE)
		refused(t, "too many users for one tunnel: split them among several");
	else if (r)
		p->hsd_phase = NX_HSD_NONE;
}

/* Anything to tell nexus-hsd? */
static void step_hsd(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (!nx_hsd_connected(&t->manager->priv->hsd) || !p->n_pairs)
		return;
	if (p->hsd_phase == NX_HSD_NONE)
		request_secrets(t);
	if (p->hsd_phase == NX_HSD_HAVE_SECRETS)
		set_tunnel(t);
}

void nx_tunnel_hsd_up(struct nx_tunnel *t)
{
	t->priv->hsd_phase = NX_HSD_NONE;
	nx_tunnel_step(t);
}

void nx_tunnel_hsd_down(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	p->hsd_phase = NX_HSD_NONE;
	/* Its attempt is gone; the next one starts when the new process is configured. */
	if (p->attempt) {
		p->attempt = 0;
		nx_tunnel_disarm_timer(t);
	}
}

/* ---- data plane ---- */

void nx_tunnel_dp_up(struct nx_tunnel *t, struct nx_dp *d)
{
	if (t->priv->dp != d)
		return;
	t->priv->dp_phase = NX_DP_NONE;
	nx_tunnel_create_dp_device(t);
	nx_tunnel_step(t);
}

void nx_tunnel_dp_down(struct nx_tunnel *t, struct nx_dp *d)
{
	struct nx_tunnel_private *p = t->priv;
	bool had = !TAILQ_EMPTY(&t->sessions) || !TAILQ_EMPTY(&p->installing);
	const char *why = d->kernel ? "the kernel module was unloaded"
				    : "the data plane was restarted";

	if (nx_move_plane_lost(t, d))
		return;
	p->dp_phase = NX_DP_NONE;
	if (t->state == NX_TUNNEL_DISCONNECTING) {
		finish_stop(t);
		return;
	}
	/* The module takes its devices with it; not later than now, so that the name is free. */
	if (d->kernel && t->ifindex) {
		(void)nx_link_delete(t->manager->priv->nl, t->ifindex);
		t->ifindex = 0;
	}
	nx_move_cancel(t);
	nx_client_renew_stop(t);
	nx_tunnel_drop_sessions(t);
	if (d->kernel && p->wanted && !nx_tunnel_plane_lost(t, why))
		return;
	if (had && p->wanted && t->config->role == NX_ROLE_CLIENT) {
		p->failures = 0;
		nx_tunnel_set_state(t, NX_TUNNEL_RECONNECTING, NX_REASON_DATA_PLANE_LOST, "%s",
				    why);
	}
	if (d->kernel && p->wanted) {
		nx_tunnel_net_changed(t);
		nx_tunnel_step(t);
	}
}

void nx_tunnel_session_down(struct nx_tunnel *t, struct nx_session *s, enum nqd_down_reason reason,
			    const char *text)
{
	if (!t->priv->wanted) {
		nx_session_free(s);
		return;
	}
	/* The peer's greeting came with the handshake: this event is faster than the answer. */
	if (reason == NQD_DOWN_REPLACED && !nx_session_other(s) &&
	    nx_session_installing(t, s->user)) {
		s->superseded = true;
		return;
	}
	if (t->config->role == NX_ROLE_SERVER)
		nx_server_session_down(t, s, reason, text);
	else
		nx_client_session_down(t, s, reason, text);
}

void nx_tunnel_path_changed(struct nx_tunnel *t, struct nx_session *s,
			    const struct nx_endpoint *local, const struct nx_endpoint *remote)
{
	static char *names[] = { "Endpoint", "LocalEndpoint", NULL };
	bool server = t->config->role == NX_ROLE_SERVER;
	char was[NX_ADDR_STRLEN], is[NX_ADDR_STRLEN];

	/* Of a move that failed the data plane says that all is as it was. */
	if (!nx_endpoint_equal(local, &s->local) || !nx_endpoint_equal(remote, &s->remote)) {
		nx_log_full(LOG_NOTICE, "PathChanged", t->config->name,
			    "%s is now at %s, was at %s", server ? s->user_name : "this end",
			    nx_endpoint_format(server ? remote : local, is),
			    nx_endpoint_format(server ? &s->remote : &s->local, was));
		s->local = *local;
		s->remote = *remote;
		if (server)
			nx_session_bus_moved(s);
		else
			nx_tunnel_bus_properties_changed(t, names);
	}
	if (!server)
		nx_roam_path_changed(t, s);
}

/* ---- up ---- */

static int tun_ready(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (p->tun_fd >= 0 || p->dp->kernel)
		return true;
	if (!p->tun_requested) {
		char name[64];

		snprintf(name, sizeof(name), "tun:%s", t->config->name);
		p->tun_requested = nx_mon_open_tun(&t->manager->priv->mon, name) == 0;
	}
	return false;
}

void nx_tunnel_tun_opened(struct nx_tunnel *t, int fd)
{
	struct nx_tunnel_private *p = t->priv;

	p->tun_requested = false;
	if (!p->wanted || p->tun_fd >= 0 || p->dp->kernel) {
		close(fd);
		return;
	}
	p->tun_fd = fd;
	/* One that takes the place of a lost one: nothing may leave beside the tunnel meanwhile. */
	if (p->net_lost && nx_tunnel_attach_device(t) < 0)
		return;
	nx_tunnel_step(t);
}

void nx_tunnel_step(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (!p->wanted || t->manager->priv->adopting || t->manager->priv->stopping)
		return;
	if (t->config->role == NX_ROLE_SERVER && !p->n_pairs && nx_server_open_sockets(t) < 0)
		return;
	if (!tun_ready(t))
		return;
	if (t->config->role == NX_ROLE_CLIENT)
		nx_client_step(t);
	step_hsd(t);
	if (p->hsd_phase != NX_HSD_READY || !p->wanted)
		return;
	if (t->config->role == NX_ROLE_SERVER)
		nx_server_step(t);
	else
		nx_client_step(t);
}

int nx_tunnel_connect(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	int r;

	/* Still saying goodbye: it comes up again after that. */
	if (t->state == NX_TUNNEL_DISCONNECTING && !p->removing && !p->restart) {
		p->restart = true;
		nx_manager_unstore(t->manager, "down:%s", t->config->name);
		return 0;
	}
	if (p->wanted || !nx_tunnel_at_rest(t))
		return -EALREADY;
	p->plane_refused = false;
	r = nx_tunnel_choose_plane(t);
	if (r) {
		nx_tunnel_set_state(t, NX_TUNNEL_FAILED, NX_REASON_DATA_PLANE_LOST, "%s",
				    t->data_plane_reason);
		return r;
	}
	p->wanted = true;
	p->failures = p->refusals = 0;
	nx_manager_unstore(t->manager, "down:%s", t->config->name);
	nx_tunnel_set_state(t, NX_TUNNEL_CONNECTING, NX_REASON_NONE, "%s", "");
	p->open_deadline_us = 0;
	nx_tunnel_step(t);
	return t->state == NX_TUNNEL_FAILED ? -ECANCELED : 0;
}

/* ---- down ---- */

/* Forget everything but the object. */
static void take_down(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_manager_private *mp = t->manager->priv;

	nx_tunnel_disarm_timer(t);
	nx_cover_stop(t);
	nx_requests_forget(&mp->hsd.requests, t);
	nx_tunnel_forget_requests(t);
	nx_client_reset(t);
	nx_move_cancel(t);
	nx_tunnel_drop_sessions(t);
	nx_roam_stop(t);
	if (p->hsd_phase != NX_HSD_NONE || p->n_pairs)
		(void)nx_hsd_del_tunnel(&mp->hsd, t->config->name, NULL, NULL);
	p->hsd_phase = NX_HSD_NONE;
	p->draining = false;
	nx_tunnel_remove_device(t);
	close_pairs(t);
	if (p->state_fd >= 0)
		close(p->state_fd);
	p->state_fd = -1;
	if (p->keylog_fd >= 0)
		close(p->keylog_fd);
	p->keylog_fd = -1;
	nx_manager_unstore(t->manager, "state:%s", t->config->name);
	memset(&p->rate, 0, sizeof(p->rate));
	p->wanted = false;
}

void nx_tunnel_fail(struct nx_tunnel *t, enum nx_reason reason, const char *text)
{
	char copy[sizeof(t->text)];
	struct nx_session *s;

	/* @text may live in what is taken down. */
	snprintf(copy, sizeof(copy), "%s", text);
	TAILQ_FOREACH (s, &t->sessions, entry)
		(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	take_down(t);
	nx_tunnel_set_state(t, NX_TUNNEL_FAILED, reason, "%s", copy);
	nx_tunnel_net_changed(t);
	nx_manager_tunnel_stopped(t->manager);
}

static void restart_with(struct nx_tunnel *t, struct nx_tunnel_config *c)
{
	struct nx_tunnel_private *p = t->priv;

	nx_tunnel_config_free(t->config);
	t->config = c;
	nx_server_mark_revoked(t->manager, c);
	nx_cover_load_profile(t);
	p->mark = c->fwmark;
	if (!p->mark && c->role == NX_ROLE_CLIENT)
		p->mark = nx_tunnel_default_mark(c->name);
	nx_tunnel_net_changed(t);
}

static void finish_stop(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_tunnel_config *next = p->next_config;
	struct nx_manager *m = t->manager;

	take_down(t);
	if (p->removing) {
		t->state = NX_TUNNEL_DISCONNECTED;
		forget_replay(t);
		nx_tunnel_free(t);
		nx_manager_tunnel_stopped(m);
		return;
	}
	p->next_config = NULL;
	if (next)
		restart_with(t, next);
	nx_tunnel_set_state(t, NX_TUNNEL_DISCONNECTED, NX_REASON_REQUESTED, "%s", "");
	nx_tunnel_net_changed(t);
	if (p->restart && !m->priv->stopping) {
		p->restart = false;
		(void)nx_tunnel_connect(t);
	}
	nx_manager_tunnel_stopped(m);
}

static int on_close_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;

	nx_log_full(LOG_WARNING, NULL, t->config->name,
		    "the data plane did not confirm the end of the sessions in time");
	finish_stop(t);
	return 0;
}

static void on_device_deleted(void *userdata, const struct nx_chan_msg *msg, int err,
			      const char *text)
{
	struct nx_tunnel *t = userdata;

	if (!msg && t->state == NX_TUNNEL_DISCONNECTING)
		finish_stop(t);
}

/* CONNECTION_CLOSE for every session, then the device; the answer to the last one ends it. */
static void close_sessions(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s;

	p->draining = false;
	nx_move_cancel(t);
	TAILQ_FOREACH (s, &t->sessions, entry)
		(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	TAILQ_FOREACH (s, &p->installing, entry)
		(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	if (p->dp_phase == NX_DP_NONE || !t->ifindex ||
	    nx_dp_delete_device(p->dp, t->ifindex, on_device_deleted, t) < 0)
		finish_stop(t);
}

static void on_tunnel_deleted(void *userdata, const struct nx_chan_msg *msg, int err,
			      const char *text)
{
	struct nx_tunnel *t = userdata;

	if (!msg && t->state == NX_TUNNEL_DISCONNECTING && t->priv->draining)
		close_sessions(t);
}

/*
 * First nexus-hsd ends its handshakes; a session it had already reported is installed all the same,
 * so that it can be closed like the others.
 */
static void stop(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	p->wanted = false;
	p->draining = true;
	p->hsd_phase = NX_HSD_NONE;
	nx_client_reset(t);
	nx_tunnel_set_state(t, NX_TUNNEL_DISCONNECTING, NX_REASON_REQUESTED, "%s", "");
	if (nx_tunnel_arm_timer(t, CLOSE_TIMEOUT_US, on_close_timeout) < 0) {
		finish_stop(t);
		return;
	}
	if (nx_hsd_del_tunnel(&t->manager->priv->hsd, t->config->name, on_tunnel_deleted, t) < 0)
		close_sessions(t);
}

int nx_tunnel_disconnect(struct nx_tunnel *t)
{
	if (t->state == NX_TUNNEL_DISCONNECTED ||
	    (t->state == NX_TUNNEL_DISCONNECTING && !t->priv->restart))
		return -EALREADY;
	if (t->config->autoconnect && !t->manager->priv->stopping) {
		/* A restarted control process must not bring up what the user has taken down. */
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			nx_manager_store(t->manager, fd, "down:%s", t->config->name);
			close(fd);
		}
	}
	t->priv->restart = false;
	if (t->state != NX_TUNNEL_DISCONNECTING)
		stop(t);
	return 0;
}

int nx_session_disconnect(struct nx_session *s)
{
	struct nx_tunnel *t = s->tunnel;
	struct nx_session *other;
	int r;

	if (t->config->role == NX_ROLE_CLIENT)
		return nx_tunnel_disconnect(t);
	/* Who waits to take its place goes first. */
	while ((other = nx_session_other(s))) {
		r = nx_dp_delete_session(other->dp, other->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
		if (r)
			return r;
		nx_server_drop_session(t, other);
	}
	r = nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	if (r)
		return r;
	nx_server_drop_session(t, s);
	return 0;
}

void nx_tunnel_restart(struct nx_tunnel *t)
{
	t->priv->restart = true;
	if (t->state != NX_TUNNEL_DISCONNECTING)
		stop(t);
}

void nx_tunnel_remove(struct nx_tunnel *t)
{
	t->priv->removing = true;
	nx_cover_forget_profile(t);
	t->priv->restart = false;
	if (nx_tunnel_at_rest(t)) {
		forget_replay(t);
		nx_tunnel_free(t);
	} else if (t->state != NX_TUNNEL_DISCONNECTING) {
		stop(t);
	}
}

void nx_tunnel_reconfigure(struct nx_tunnel *t, struct nx_tunnel_config *c)
{
	struct nx_tunnel_private *p = t->priv;

	if (nx_tunnel_config_equal(t->config, c) && !p->next_config) {
		/* A tunnel that failed may have been waiting for a file to be put right. */
		nx_tunnel_config_free(c);
		if (t->state == NX_TUNNEL_FAILED &&
		    (t->config->autoconnect || t->config->role == NX_ROLE_SERVER))
			(void)nx_tunnel_connect(t);
		/* Likewise one that goes on with what nexus-hsd was told before. */
		else if (p->hsd_phase == NX_HSD_NONE)
			nx_tunnel_step(t);
		return;
	}
	if (nx_tunnel_at_rest(t)) {
		bool start = c->role == NX_ROLE_SERVER ||
			     (t->state == NX_TUNNEL_FAILED && c->autoconnect);

		restart_with(t, c);
		if (start)
			(void)nx_tunnel_connect(t);
		return;
	}
	if (c->role == NX_ROLE_SERVER && t->state != NX_TUNNEL_DISCONNECTING && !p->next_config &&
	    nx_tunnel_config_equal_but_users(t->config, c)) {
		nx_server_change_users(t, c);
		return;
	}
	nx_tunnel_config_free(p->next_config);
	p->next_config = c;
	p->restart = p->restart || p->wanted;
	if (t->state != NX_TUNNEL_DISCONNECTING)
		stop(t);
}
