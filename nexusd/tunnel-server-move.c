// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server's sessions move from nexus-dp to the module while clients are connected: make before break,
 * one client after the other, each when it shakes hands anyhow (tunnel-renew.c: within two hours).
 *
 *   two devices   The module makes its device and reads the same data sockets, where it leaves to nexus-dp
 *                 what is not its own. Every session that is established from then on is the module's.
 *                 To the rest of the machine there is one device, the old one: what comes in on the new one
 *                 comes in on that, and packets to a client that has moved go on to the new one
 *                 (net-steer.h). Routes, addresses and firewalls notice nothing.
 *   stand-ins     Each session is known on the other device too, by a session of the same id without keys:
 *                 which networks are its client's and of which group, so that clients of different groups
 *                 do not reach each other by way of the two devices.
 *   heard         A new session of a client that has one on nexus-dp waits until the client is heard on it,
 *                 which then has it; packets go there from then on. What is under way on the old session
 *                 is taken for LEFT_US, then it is closed.
 *   all moved     The old device stays in front of the new one while anybody is connected: neither its name nor
 *                 what an administrator has set up for it can pass to another without a moment in which
 *                 packets meet a firewall that does not know them. When nobody is, or the tunnel is restarted,
 *                 there is one device again, the module's.
 *
 * A client that comes for the first time, or again, is heard already. If the module or nexus-dp goes in
 * the middle, its sessions end, and the tunnel is on the other one.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config-internal.h"
#include "lib/log.h"
#include "net-link.h"
#include "prefix.h"
#include "tunnel-internal.h"

#define ASK_US 20000
/* As long as the client waits for our greeting (NQD_SESSION_F_REPLACE). */
#define HEAR_MAX_US 5000000
/* As long as a data plane lets a session that was replaced drain. */
#define LEFT_US 10000000

bool nx_server_moving(const struct nx_tunnel *t)
{
	return t->config->role == NX_ROLE_SERVER && t->priv->coming.phase == NX_DP_READY;
}

static bool on_new(const struct nx_session *s)
{
	return s->dp == s->tunnel->priv->coming.dp;
}

static struct nx_dp *other_plane(const struct nx_session *s)
{
	return on_new(s) ? s->tunnel->priv->dp : s->tunnel->priv->coming.dp;
}

void nx_server_move_stop(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s;

	nx_steer_end(&p->steer, t->manager->priv->nl);
	TAILQ_FOREACH (s, &t->sessions, entry)
		s->settling = s->settled = false;
	free(p->found);
	p->found = NULL;
	p->n_found = 0;
}

/*
 * The module will not do: the old one carries on, until it is loaded anew. The callers are in the middle
 * of sessions that end with it, so that is left to the recheck.
 */
static void give_up(struct nx_tunnel *t, const char *text)
{
	struct nx_tunnel_private *p = t->priv;

	p->plane_refused = true;
	snprintf(p->refusal, sizeof(p->refusal), "%s", text);
	nx_log_full(LOG_WARNING, "MoveRefused", t->config->name, "the sessions stay with %s: %s",
		    p->dp->name, p->refusal);
	nx_tunnel_recheck_plane(t);
}

/* ---- stand-ins ---- */

/* A data socket of the address family of @s, which has one of them. */
static int socket_like(const struct nx_session *s)
{
	const struct nx_tunnel_private *p = s->tunnel->priv;

	for (size_t i = 0; i < p->n_pairs; i++)
		if (p->pairs[i].local.sa.sa_family == s->remote.sa.sa_family)
			return p->pairs[i].dp_fd;
	return -1;
}

/* What leaves for the networks of @s leaves through the new device from now on. */
static int steer(struct nx_session *s)
{
	struct nx_tunnel *t = s->tunnel;
	const struct nx_user_config *u = nx_server_user(t, s->user);
	struct nx_prefix *list;
	size_t n;
	int r = 0;

	list = u ? nx_server_user_prefixes(u, &n) : NULL;
	if (!list)
		return u ? -ENOMEM : -ENOENT;
	for (size_t i = 0; !r && i < n; i++)
		r = nx_steer_add(&t->priv->steer, t->manager->priv->nl, &list[i]);
	free(list);
	return r;
}

static void end_session(struct nx_session *s, const char *why)
{
	nx_log_full(LOG_WARNING, "SessionRefused", s->tunnel->config->name,
		    "the session of %s ends: %s", s->user_name, why);
	(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	nx_server_drop_session(s->tunnel, s);
}

static void on_stand_in(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_session *s = userdata;
	struct nx_tunnel *t = s->tunnel;

	if (msg || err == -EPIPE || !nx_server_moving(t))
		return;
	if (!err && on_new(s))
		err = steer(s);
	if (!err) {
		s->settled = true;
		nx_tunnel_recheck_plane(t);
	} else if (on_new(s)) {
		end_session(s, text[0] ? text : strerror(-err));
	} else {
		give_up(t, text[0] ? text : strerror(-err));
	}
}

/* Let the other data plane know of @s. 0 or -errno; then on_stand_in(). */
static int add_stand_in(struct nx_session *s)
{
	struct nx_tunnel *t = s->tunnel;
	const struct nx_user_config *u = nx_server_user(t, s->user);
	struct nx_dp_session args = {
		.id = s->id,
		.tunnel = t->config->name,
		.ifindex = on_new(s) ? t->ifindex : t->priv->coming.ifindex,
		.socket_fd = socket_like(s),
	};
	struct nx_prefix *list;
	int r;

	if (!u || args.socket_fd < 0)
		return -ENOENT;
	list = nx_server_user_prefixes(u, &args.n_routes);
	if (!list)
		return -ENOMEM;
	args.routes = list;
	args.peer_group = nx_group_id(u->group);
	r = nx_dp_add_stand_in(other_plane(s), &args, s->user, &s->remote, on_stand_in, s);
	free(list);
	return r;
}

static void settle(struct nx_session *s)
{
	int r;

	if (s->settling)
		return;
	s->settling = true;
	/* Nobody is there any more whom it would have to be kept apart from. */
	s->settled = !nx_dp_connected(other_plane(s));
	r = s->settled ? steer(s) : add_stand_in(s);
	if (!r)
		return;
	/* Its callers still use it: nx_server_move_step() ends it. */
	s->refused = on_new(s) ? -r : 0;
	if (s->refused)
		nx_tunnel_recheck_plane(s->tunnel);
	else
		give_up(s->tunnel, strerror(-r));
}

void nx_server_move_group(struct nx_tunnel *t, struct nx_session *s, uint32_t group)
{
	if (nx_server_moving(t))
		(void)nx_dp_set_peer_group(other_plane(s), s->id, group);
}

/* ---- what was left ---- */

/* What the client of @s had before is gone. */
static void nothing_left(struct nx_session *s)
{
	s->left_timer = sd_event_source_disable_unref(s->left_timer);
	if (s->left)
		nx_id_remove(&s->tunnel->priv->by_left, &s->by_left);
	s->left = 0;
}

static void end_left(struct nx_session *s)
{
	if (s->left)
		(void)nx_dp_delete_session(s->tunnel->priv->dp, s->left, NX_CLOSE_NO_ERROR, "",
					   NULL, NULL);
	nothing_left(s);
}

static int on_left_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_session *s = userdata;

	end_left(s);
	nx_tunnel_recheck_plane(s->tunnel);
	return 0;
}

bool nx_server_move_left(struct nx_tunnel *t, uint64_t id)
{
	struct nx_id_node *node = nx_id_first(&t->priv->by_left, id);

	if (!node)
		return false;
	nothing_left((void *)((char *)node - offsetof(struct nx_session, by_left)));
	nx_tunnel_recheck_plane(t);
	return true;
}

void nx_server_move_forget(struct nx_session *s)
{
	struct nx_tunnel *t = s->tunnel;

	if (!nx_server_moving(t)) {
		nothing_left(s);
		return;
	}
	end_left(s);
	nx_dp_forget(other_plane(s), s);
	(void)nx_dp_delete_session(other_plane(s), s->id, 0, NULL, NULL, NULL);
	nx_tunnel_recheck_plane(t);
}

/* ---- heard ---- */

static bool listens_for(const struct nx_session *s)
{
	return s->waits && s->hear_until_us;
}

/* @s takes the place of @old, which is on nexus-dp and may have ended. */
static void change_over(struct nx_session *s, struct nx_session *old)
{
	struct nx_tunnel *t = s->tunnel;

	s->left = old->id;
	nx_id_add(&t->priv->by_left, &s->by_left, s->left);
	if (sd_event_add_time_relative(t->manager->event, &s->left_timer, CLOCK_MONOTONIC, LEFT_US,
				       0, on_left_timeout, s) < 0)
		end_left(s);
	nx_server_session_down(t, old, NQD_DOWN_REPLACED, "");
}

static void not_heard(struct nx_session *s)
{
	nx_log_full(
		LOG_INFO, "RenewalFailed", s->tunnel->config->name,
		"no fresh keys for %s, the session goes on as it is: the client was not heard on it",
		s->user_name);
	(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	nx_server_drop_session(s->tunnel, s);
}

static bool tells_of_datagram(const struct nx_chan_msg *msg)
{
	struct nxa tb[NQD_A_MAX + 1], st[NQD_A_STATS_MAX + 1];
	struct nxm_error e;

	return nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) == 0 &&
	       tb[NQD_A_STATS].present &&
	       nxa_parse_nest(&tb[NQD_A_STATS], &nqd_stats_set, st, msg->buf, &e) == 0 &&
	       st[NQD_A_STATS_DATAGRAM_RX_FRAMES].present &&
	       nxa_u64(&st[NQD_A_STATS_DATAGRAM_RX_FRAMES]);
}

static void on_heard(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_session *s = userdata, *old = nx_session_other(s);

	if (!listens_for(s))
		return;
	if (msg && old && tells_of_datagram(msg))
		change_over(s, old);
	else if (!msg && nx_now_us() >= s->hear_until_us)
		not_heard(s);
}

static void listen_again(struct nx_tunnel *t);

static int on_ask(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;
	struct nx_session *s;
	bool any = false;

	t->priv->move_timer = sd_event_source_disable_unref(t->priv->move_timer);
	TAILQ_FOREACH (s, &t->sessions, entry) {
		if (!listens_for(s))
			continue;
		any = true;
		(void)nx_dp_get_stats(s->dp, s->id, on_heard, s);
	}
	if (any)
		listen_again(t);
	return 0;
}

static void listen_again(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (!p->move_timer &&
	    sd_event_add_time_relative(t->manager->event, &p->move_timer, CLOCK_MONOTONIC, ASK_US,
				       1000, on_ask, t) < 0)
		give_up(t, "no timer");
}

/* ---- sessions come ---- */

void nx_server_move_expect(struct nx_tunnel *t, uint64_t user)
{
	struct nx_session *first = nx_session_of_user(t, user);
	struct nx_session *other = first ? nx_session_other(first) : NULL;

	if (other && listens_for(other))
		not_heard(other);
	else if (other && listens_for(first))
		not_heard(first);
}

void nx_server_move_installed(struct nx_tunnel *t, struct nx_session *s)
{
	const struct nx_session *other = nx_session_other(s);

	if (!nx_server_moving(t))
		return;
	if (s->waits && other->dp != s->dp) {
		s->hear_until_us = nx_now_us() + HEAR_MAX_US;
		listen_again(t);
	} else if (!s->waits) {
		settle(s);
	}
}

void nx_server_move_carries(struct nx_tunnel *t, struct nx_session *s)
{
	s->hear_until_us = 0;
	if (nx_server_moving(t))
		settle(s);
}

/* ---- coming ---- */

/* The module's device is there: both are one from now on. */
static int join_devices(struct nx_tunnel *t)
{
	struct nx_device *d = &t->priv->coming;
	struct nl_sock *nl = t->manager->priv->nl;
	int r = nx_device_configure(t->manager, d->ifindex, NULL, 0, nx_link_mtu(nl, t->ifindex));

	return r ? r : nx_steer_begin(&t->priv->steer, nl, t->ifindex, d->ifindex);
}

static void begin(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s, *next;
	int r = join_devices(t);

	if (r) {
		give_up(t, r == -EOPNOTSUPP
				   ? "this kernel has no traffic control to steer packets by"
				   : strerror(-r));
		return;
	}
	p->coming.phase = NX_DP_READY;
	nx_device_record_store(t);
	nx_log_full(LOG_NOTICE, "Moving", t->config->name,
		    "sessions move to %s, each when its client shakes hands again",
		    p->coming.dp->name);
	for (s = TAILQ_FIRST(&t->sessions); s && nx_server_moving(t); s = next) {
		next = TAILQ_NEXT(s, entry);
		settle(s);
	}
	nx_tunnel_recheck_plane(t);
}

void nx_server_move_made(struct nx_tunnel *t, const char *text)
{
	if (text)
		give_up(t, text);
	else
		begin(t);
}

void nx_server_move_begin(struct nx_tunnel *t, struct nx_dp *to)
{
	struct nx_tunnel_private *p = t->priv;

	/* It has no device yet: nobody is connected, or it is being adopted. */
	if (!t->ifindex || p->dp_phase != NX_DP_READY)
		return;
	p->coming = (struct nx_device){ .dp = to, .tun_fd = -1 };
	if (nx_move_ask(t) < 0)
		p->coming.dp = NULL;
}

/* ---- how far it is ---- */

/* Sessions that are not, or not only, on the new data plane. */
static unsigned int left_behind(const struct nx_tunnel *t)
{
	const struct nx_session *s;
	unsigned int n = 0;

	TAILQ_FOREACH (s, &t->sessions, entry)
		n += !on_new(s) || s->left || !s->settled;
	TAILQ_FOREACH (s, &t->priv->installing, entry)
		n += !on_new(s);
	return n;
}

static void end_refused(struct nx_tunnel *t)
{
	struct nx_session *s, *next;

	for (s = TAILQ_FIRST(&t->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->refused)
			end_session(s, strerror(s->refused));
	}
}

void nx_server_move_step(struct nx_tunnel *t)
{
	char reason[sizeof(t->data_plane_reason)];
	unsigned int n;

	if (!nx_server_moving(t))
		return;
	end_refused(t);
	n = left_behind(t);
	if (n)
		snprintf(reason, sizeof(reason),
			 "moving to the kernel module as clients shake hands: %u left", n);
	else
		snprintf(reason, sizeof(reason), "%s stays nexus-dp's until no client is connected",
			 t->ifname);
	nx_tunnel_show_plane(t, n ? t->priv->dp : t->priv->coming.dp, reason);
}

bool nx_server_move_front_lost(struct nx_tunnel *t)
{
	struct nx_session *s, *next;

	if (!t->priv->wanted)
		return false;
	for (s = TAILQ_FIRST(&t->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		nothing_left(s);
		/* Whoever waited for its place is next. */
		if (!on_new(s))
			nx_server_session_down(t, s, NQD_DOWN_DELETED, "nexus-dp has ended");
	}
	for (s = TAILQ_FIRST(&t->priv->installing); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!on_new(s))
			nx_session_free(s);
	}
	nx_server_move_step(t);
	return true;
}

/* ---- after a restart of this process ---- */

void nx_server_move_found(struct nx_tunnel *t, struct nx_dp *dp, uint64_t id)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_stand_in *list = reallocarray(p->found, p->n_found + 1, sizeof(*list));

	if (!list) {
		(void)nx_dp_delete_session(dp, id, 0, NULL, NULL, NULL);
		return;
	}
	p->found = list;
	list[p->n_found++] = (struct nx_stand_in){ dp, id };
}

/* Those of sessions that go on are what they have to be; others have ended meanwhile. */
static void adopt_stand_ins(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	for (size_t i = 0; i < p->n_found; i++) {
		const struct nx_stand_in *f = &p->found[i];
		struct nx_session *s = nx_tunnel_find_session(t, f->id);

		if (s && s->dp != f->dp)
			s->settling = s->settled = !on_new(s) || steer(s) == 0;
		else
			(void)nx_dp_delete_session(f->dp, f->id, 0, NULL, NULL, NULL);
	}
	free(p->found);
	p->found = NULL;
	p->n_found = 0;
}

/* Is it on the new data plane, and has its client another on the old one? */
static bool is_pair(struct nx_session *s)
{
	const struct nx_session *old = on_new(s) && !s->waits ? nx_session_other(s) : NULL;

	return old && !on_new(old);
}

/* It waits for the other's place, or that was left for it. */
static void adopt_pair(struct nx_session *s)
{
	s->waits = true;
	if (s->heard) {
		change_over(s, nx_session_other(s));
		return;
	}
	s->hear_until_us = nx_now_us() + HEAR_MAX_US;
	listen_again(s->tunnel);
}

void nx_server_move_adopt(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s, *next;
	int r = nx_dp_connected(p->coming.dp) ? join_devices(t) : -ENODEV;

	if (r) {
		give_up(t, strerror(-r));
		return;
	}
	adopt_stand_ins(t);
	/* It ends the other one, at most. */
	TAILQ_FOREACH (s, &t->sessions, entry)
		if (is_pair(s))
			adopt_pair(s);
	for (s = TAILQ_FIRST(&t->sessions); s && nx_server_moving(t); s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!s->waits)
			settle(s);
	}
	nx_tunnel_recheck_plane(t);
}
