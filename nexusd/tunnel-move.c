// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client's session moves from one data plane to the other: make before break. Keys do not travel:
 * there is a fresh handshake as in tunnel-renew.c, on sockets of its own, because a data socket has one
 * reader. For a while the tunnel has two devices, and no inner packet is lost between them:
 *
 *   coming    the new data plane makes its device; the session is established for it, and gets the
 *             same addresses. Packets still leave through the old one.
 *   heard     both data planes greet with an empty DATAGRAM. The server changes over when it has ours,
 *             so from then on packets come in on either device (their reverse path filters are loose
 *             meanwhile); we change over when we have the server's, which means that it has our session.
 *             Every route is replaced in one step, then the old device's addresses go: sockets of
 *             applications stay, because the addresses are on the new one.
 *   leaving   what the server had sent before still comes in on the old device, until it closes that
 *             session or LEAVE_MAX_US have passed. Then the old device goes, and its name passes to the
 *             new one (nx_link_rename()).
 *
 * The attempt and its failures are those of a renewal: until "heard" nothing has changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/log.h"
#include "lib/texts.h"
#include "net-link.h"
#include "tunnel-internal.h"

#define ASK_US 20000
/* As long as the server's data plane waits for ours (NQD_SESSION_F_REPLACE). */
#define HEAR_MAX_US 5000000
/* A server closes what was replaced when it has been silent for three PTOs, after 10 s at the latest. */
#define LEAVE_MAX_US 11000000

static void forget_net(struct nx_tunnel *t)
{
	struct nx_move_net *n = &t->priv->move_net;

	free(n->addresses);
	free(n->routes);
	nx_texts_free(n->dns);
	nx_texts_free(n->dns_domains);
	memset(n, 0, sizeof(*n));
}

static int arm(struct nx_tunnel *t, uint64_t delay_us, sd_event_time_handler_t fn)
{
	struct nx_tunnel_private *p = t->priv;

	p->move_timer = sd_event_source_disable_unref(p->move_timer);
	return sd_event_add_time_relative(t->manager->event, &p->move_timer, CLOCK_MONOTONIC,
					  delay_us, 1000, fn, t);
}

/* Sessions, device, sockets and records of one that is not used (any more). */
static void remove_device(struct nx_tunnel *t, struct nx_device *d)
{
	struct nx_dp *dp = d->dp;

	if (!dp)
		return;
	if (d->session)
		(void)nx_dp_delete_session(dp, d->session, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	if (d->phase != NX_DP_NONE && d->ifindex)
		(void)nx_dp_delete_device(dp, d->ifindex, NULL, NULL);
	if (d->ifindex)
		(void)nx_link_delete(t->manager->priv->nl, d->ifindex);
	if (d->tun_fd >= 0) {
		nx_manager_unstore(t->manager, "tun:%s", t->config->name);
		close(d->tun_fd);
	}
	*d = (struct nx_device){ .tun_fd = -1 };
	if (dp->kernel)
		nx_device_record_forget(t);
	nx_tunnel_close_pairs_of(t, dp);
}

static void drop_coming(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s, *next;

	if (!p->coming.dp)
		return;
	for (s = TAILQ_FIRST(&t->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->dp != p->coming.dp)
			continue;
		(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
		if (t->config->role == NX_ROLE_SERVER)
			nx_server_drop_session(t, s);
		else
			nx_session_free(s);
	}
	forget_net(t);
	p->move_timer = sd_event_source_disable_unref(p->move_timer);
	nx_server_move_stop(t);
	remove_device(t, &p->coming);
}

void nx_move_cancel(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	drop_coming(t);
	p->move_timer = sd_event_source_disable_unref(p->move_timer);
	remove_device(t, &p->leaving);
}

void nx_move_free(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	forget_net(t);
	free(p->found);
	nx_steer_forget(&p->steer);
	p->move_timer = sd_event_source_disable_unref(p->move_timer);
}

/* ---- coming ---- */

struct nx_dp *nx_move_target(const struct nx_tunnel *t)
{
	const struct nx_device *d = &t->priv->coming;

	/* A server's old device will do until the new one is there. */
	if (!d->dp || (t->config->role == NX_ROLE_SERVER && !nx_server_moving(t)))
		return t->priv->dp;
	return d->dp;
}

void nx_move_begin(struct nx_tunnel *t, struct nx_dp *to)
{
	struct nx_tunnel_private *p = t->priv;

	/* One thing after the other: whoever ends it asks again. */
	if (p->coming.dp || p->leaving.dp || p->renewing || !TAILQ_EMPTY(&p->installing))
		return;
	p->coming = (struct nx_device){ .dp = to, .tun_fd = -1 };
	nx_client_renew(t, "the session moves to another data plane");
}

/* The old one carries on. */
void nx_move_refused(struct nx_tunnel *t, const char *text)
{
	struct nx_tunnel_private *p = t->priv;
	char why[sizeof(p->refusal)];

	snprintf(why, sizeof(why), "%s", text);
	p->plane_refused = true;
	memcpy(p->refusal, why, sizeof(why));
	drop_coming(t);
	nx_client_stop_renewal(t);
	nx_log_full(LOG_WARNING, "MoveRefused", t->config->name, "the session stays with %s: %s",
		    p->dp->name, why);
	nx_tunnel_plane_changed(t);
}

static void coming_made(struct nx_tunnel *t, int err, const char *text)
{
	struct nx_device *d = &t->priv->coming;

	if (err == -EPIPE) {
		d->phase = NX_DP_NONE;
		return;
	}
	if (!err && !d->ifindex)
		text = "no interface was made";
	if (t->config->role == NX_ROLE_SERVER) {
		nx_server_move_made(t, d->ifindex ? NULL : text);
		return;
	}
	d->phase = d->ifindex ? NX_DP_READY : NX_DP_NONE;
	if (!d->ifindex) {
		nx_move_refused(t, text);
		return;
	}
	nx_device_record_store(t);
	nx_tunnel_step(t);
}

/* The module was asked for a device. It outlives the tunnel, if that goes before the answer comes. */
struct asked {
	struct nx_manager *manager;
	struct nx_dp *dp;
	char tunnel[32];
	uint64_t serial; /* of struct nx_device */
	int ifindex;
	char ifname[16];
};

static void on_coming(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct asked *a = userdata;
	struct nx_tunnel *t;

	if (msg) {
		nx_tunnel_take_device(msg, &a->ifindex, a->ifname);
		return;
	}
	t = nx_manager_find_tunnel(a->manager, a->tunnel);
	if (t && t->priv->coming.phase == NX_DP_CREATING && t->priv->coming.serial == a->serial) {
		t->priv->coming.ifindex = err ? 0 : a->ifindex;
		memcpy(t->priv->coming.ifname, a->ifname, sizeof(a->ifname));
		coming_made(t, err, text[0] ? text : strerror(-err));
	} else if (a->ifindex) {
		/* Nobody wants it any more. */
		(void)nx_dp_delete_device(a->dp, a->ifindex, NULL, NULL);
	}
	free(a);
}

int nx_move_ask(struct nx_tunnel *t)
{
	struct nx_device *d = &t->priv->coming;
	struct asked *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	d->serial = nx_random_id();
	*a = (struct asked){ .manager = t->manager, .dp = d->dp, .serial = d->serial };
	snprintf(a->tunnel, sizeof(a->tunnel), "%s", t->config->name);
	/* The configured name is still the other one's. */
	r = nx_tunnel_ask_device(t, d->dp, NULL, d->ifindex, -1, on_coming, a);
	if (r) {
		free(a);
		return r;
	}
	d->phase = NX_DP_CREATING;
	return 0;
}

bool nx_move_ready(struct nx_tunnel *t)
{
	struct nx_device *d = &t->priv->coming;

	if (d->phase == NX_DP_NONE)
		(void)nx_move_ask(t);
	return d->phase == NX_DP_READY;
}

int nx_move_prepare(struct nx_tunnel *t, struct nx_net_offer *o, const struct nx_endpoint *remote,
		    uint32_t mtu)
{
	struct nx_move_net *n = &t->priv->move_net;
	struct nx_device *d = &t->priv->coming;
	int r;

	forget_net(t);
	if (o->n_addresses == 0)
		return -EADDRNOTAVAIL;
	d->loosened = nx_link_loosen(d->ifname, true) == 1;
	(void)nx_link_loosen(t->ifname, true);
	r = nx_device_configure(t->manager, d->ifindex, o->addresses, o->n_addresses, mtu);
	if (!r)
		r = nx_route_plan(o->routes, o->n_routes, t->config->allowed_ips,
				  t->config->n_allowed_ips, remote, &n->routes, &n->n_routes);
	if (r)
		return r;
	n->mtu = mtu;
	n->addresses = o->addresses;
	n->n_addresses = o->n_addresses;
	n->dns = o->dns;
	n->dns_domains = o->dns_domains;
	o->addresses = NULL;
	o->dns = o->dns_domains = NULL;
	return 0;
}

/* ---- leaving ---- */

/* The old device's name is free. */
static void take_name(struct nx_tunnel *t)
{
	const char *name = t->config->interface;
	int r;

	if (!strcmp(t->ifname, name))
		return;
	r = nx_link_rename(t->manager->priv->nl, t->ifindex, name);
	if (r == 0)
		snprintf(t->ifname, sizeof(t->ifname), "%s", name);
	else if (r == 1)
		nx_log_full(
			LOG_INFO, NULL, t->config->name,
			"this kernel does not rename a device that is up: %s is another name of %s",
			name, t->ifname);
	else
		nx_log_full(LOG_WARNING, NULL, t->config->name, "%s cannot be named %s: %s",
			    t->ifname, name, strerror(-r));
}

static void left(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	bool loosened = p->leaving.loosened;

	p->move_timer = sd_event_source_disable_unref(p->move_timer);
	remove_device(t, &p->leaving);
	if (loosened)
		(void)nx_link_loosen(t->ifname, false);
	take_name(t);
	if (p->dp->kernel)
		nx_device_record_store(t);
	nx_log_plane(LOG_NOTICE, "Moved", t->config->name, p->dp->name,
		     "the session has moved to %s", p->dp->name);
	nx_tunnel_net_changed(t);
	nx_tunnel_step(t);
}

void nx_move_finish(struct nx_tunnel *t)
{
	if (t->priv->leaving.dp)
		left(t);
}

static int on_leave_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	left(userdata);
	return 0;
}

void nx_move_session_down(struct nx_manager *m, uint64_t id)
{
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry) {
		if (nx_server_moving(t) && nx_server_move_left(t, id))
			return;
		if (!t->priv->leaving.dp || t->priv->leaving.session != id)
			continue;
		t->priv->leaving.session = 0;
		left(t);
		return;
	}
}

/* ---- heard ---- */

/* The device to move to is the one in use from here on. */
static void swap(struct nx_tunnel *t, uint64_t old_session)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_move_net *n = &p->move_net;

	p->leaving = (struct nx_device){
		.dp = p->dp,
		.phase = p->dp_phase,
		.ifindex = t->ifindex,
		.tun_fd = p->tun_fd,
		.session = old_session,
		.loosened = p->coming.loosened,
	};
	memcpy(p->leaving.ifname, t->ifname, sizeof(t->ifname));
	nx_tunnel_change_device(t, p->coming.ifindex, p->coming.ifname, n->routes, n->n_routes);
	n->routes = NULL;
	free(t->addresses);
	t->addresses = n->addresses;
	t->n_addresses = n->n_addresses;
	n->addresses = NULL;
	nx_texts_free(t->dns);
	nx_texts_free(t->dns_domains);
	t->dns = n->dns;
	t->dns_domains = n->dns_domains;
	n->dns = n->dns_domains = NULL;
	t->mtu = n->mtu;
	forget_net(t);
	p->tun_fd = p->coming.tun_fd;
	p->dp_phase = p->coming.phase;
	nx_tunnel_set_plane(t, p->coming.dp, "");
	p->coming = (struct nx_device){ .tun_fd = -1 };
}

static void change_over(struct nx_tunnel *t, struct nx_session *old, bool old_ended)
{
	uint64_t id = old_ended ? 0 : old->id;

	swap(t, id);
	memset(&t->priv->rate, 0, sizeof(t->priv->rate));
	/* The rest is what a renewal ends with. */
	nx_client_session_down(t, old, NQD_DOWN_REPLACED, "");
	if (!id || arm(t, LEAVE_MAX_US, on_leave_timeout) < 0)
		left(t);
}

bool nx_move_took_over(struct nx_tunnel *t, struct nx_session *s)
{
	struct nx_session *other = nx_session_other(s);

	if (!t->priv->coming.dp || !other || other->dp != t->priv->coming.dp || s->dp == other->dp)
		return false;
	/* The server has closed what it had replaced, before we had asked again. */
	change_over(t, s, true);
	return true;
}

static int on_ask(sd_event_source *source, uint64_t usec, void *userdata);

static void not_heard(struct nx_tunnel *t, struct nx_session *s)
{
	(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	nx_session_free(s);
	forget_net(t);
	nx_client_renew_failed(t, "the server was not heard on it");
}

static void on_heard(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nxa tb[NQD_A_MAX + 1], st[NQD_A_STATS_MAX + 1];
	struct nx_session *s = userdata, *old = nx_session_other(s);
	struct nx_tunnel *t = s->tunnel;
	struct nxm_error e;

	if (!msg) {
		/* Still of interest, if change_over() has not been called. */
		if (s->waits && nx_now_us() >= t->priv->move_deadline_us)
			not_heard(t, s);
		else if (s->waits && arm(t, ASK_US, on_ask) < 0)
			not_heard(t, s);
		return;
	}
	if (!s->waits || !old ||
	    nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) < 0 ||
	    !tb[NQD_A_STATS].present ||
	    nxa_parse_nest(&tb[NQD_A_STATS], &nqd_stats_set, st, msg->buf, &e) < 0)
		return;
	if (st[NQD_A_STATS_DATAGRAM_RX_FRAMES].present &&
	    nxa_u64(&st[NQD_A_STATS_DATAGRAM_RX_FRAMES]))
		change_over(t, old, false);
}

static void ask(struct nx_tunnel *t, struct nx_session *s)
{
	if (nx_dp_get_stats(s->dp, s->id, on_heard, s) < 0 && arm(t, ASK_US, on_ask) < 0)
		not_heard(t, s);
}

static int on_ask(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;
	struct nx_session *s;

	t->priv->move_timer = sd_event_source_disable_unref(t->priv->move_timer);
	TAILQ_FOREACH (s, &t->sessions, entry) {
		if (s->dp != t->priv->coming.dp)
			continue;
		ask(t, s);
		break;
	}
	return 0;
}

void nx_move_installed(struct nx_tunnel *t, struct nx_session *s)
{
	t->priv->move_deadline_us = nx_now_us() + HEAR_MAX_US;
	ask(t, s);
}

/* ---- ends of others ---- */

bool nx_move_plane_lost(struct nx_tunnel *t, struct nx_dp *d)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s = TAILQ_FIRST(&t->sessions);
	bool server = t->config->role == NX_ROLE_SERVER;

	/* The one in use, and another is there already. */
	if (p->dp == d && nx_server_moving(t))
		return nx_server_move_front_lost(t);
	if (p->dp == d && p->coming.dp && s && nx_move_took_over(t, s))
		return p->dp != d;
	/* Requests to it go nowhere, but what was opened for it is to be closed. */
	if (p->coming.dp == d) {
		drop_coming(t);
		if (!server)
			nx_client_stop_renewal(t);
		nx_tunnel_step(t);
	}
	if (p->leaving.dp == d) {
		p->leaving.session = 0;
		left(t);
	}
	return p->dp != d;
}

void nx_move_adopt(struct nx_tunnel *t, bool has_session)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s, *next;

	if (!has_session) {
		drop_coming(t);
		return;
	}
	for (s = TAILQ_FIRST(&t->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->dp == p->coming.dp)
			continue;
		(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
		nx_session_free(s);
	}
	p->leaving = (struct nx_device){
		.dp = p->dp,
		.phase = NX_DP_READY,
		.ifindex = t->ifindex,
		.tun_fd = p->tun_fd,
	};
	t->ifindex = p->coming.ifindex;
	memcpy(t->ifname, p->coming.ifname, sizeof(t->ifname));
	p->tun_fd = -1;
	p->dp_phase = NX_DP_NONE;
	p->dp = p->coming.dp;
	p->coming = (struct nx_device){ .tun_fd = -1 };
	remove_device(t, &p->leaving);
	take_name(t);
	nx_device_record_store(t);
}
