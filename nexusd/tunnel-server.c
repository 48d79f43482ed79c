// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server tunnel: listens, and turns every session nexus-hsd reports into one of the data plane
 * with the prefixes of its user. A change of users touches only the sessions of users that
 * changed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config-internal.h"
#include "lib/log.h"
#include "net-link.h"
#include "prefix.h"
#include "replay-memory.h"
#include "tunnel-internal.h"

#define UDP_OVERHEAD_V4 28
#define UDP_OVERHEAD_V6 48
#define OPEN_AGAIN_US 2000000
#define OPEN_INTERVAL_US 20000

static int on_open_again(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;

	nx_tunnel_disarm_timer(t);
	nx_tunnel_step(t);
	return 0;
}

static void close_opened(struct nx_tunnel_private *p)
{
	while (p->n_pairs)
		nx_udp_pair_close(&p->pairs[--p->n_pairs]);
}

/*
 * After a stop the other processes still hold the old sockets for a moment: a busy port is tried
 * again for a while before it counts.
 */
static int open_failed(struct nx_tunnel *t, const struct nx_endpoint *e, int err)
{
	struct nx_tunnel_private *p = t->priv;

	close_opened(p);
	if (err == -EADDRINUSE && !p->open_deadline_us)
		p->open_deadline_us = nx_now_us() + OPEN_AGAIN_US;
	if (err == -EADDRINUSE && nx_now_us() < p->open_deadline_us &&
	    nx_tunnel_arm_timer(t, OPEN_INTERVAL_US, on_open_again) >= 0)
		return -EAGAIN;
	nx_tunnel_socket_failed(t, e, err);
	return err;
}

int nx_server_open_sockets(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	const struct nx_tunnel_config *c = t->config;
	int r;

	if (p->timer)
		return -EAGAIN;
	for (size_t i = 0; i < c->n_listen; i++) {
		r = nx_udp_pair_open(&c->listen[i], p->mark, &p->pairs[p->n_pairs]);
		/* A machine without IPv6 still serves IPv4. */
		if (r == -EAFNOSUPPORT && c->n_listen > 1) {
			nx_log_full(LOG_WARNING, NULL, c->name, "this machine has no IPv6");
			continue;
		}
		if (r)
			return open_failed(t, &c->listen[i], r);
		p->pair_dp[p->n_pairs++] = p->dp;
	}
	p->open_deadline_us = 0;
	nx_tunnel_store_pairs(t);
	return 0;
}

/*
 * It lives as long as the tunnel is configured: neither a restart of the other processes nor of the
 * tunnel, nor a stop of the service, may let a captured first flight in again.
 */
int nx_server_replay_fd(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (p->replay_fd >= 0)
		return p->replay_fd;
	p->replay_fd = nx_replay_memory_new();
	if (p->replay_fd < 0) {
		nx_log_full(LOG_WARNING, NULL, t->config->name,
			    "no memory for a lasting replay cache: %s", strerror(-p->replay_fd));
		p->replay_fd = -1;
	} else {
		nx_manager_store(t->manager, p->replay_fd, "replay:%s", t->config->name);
	}
	return p->replay_fd;
}

/* What fits an outer packet of 1500 bytes to any client, unless configured. */
uint32_t nx_server_mtu(struct nx_tunnel *t)
{
	uint32_t headers = UDP_OVERHEAD_V4;

	if (t->config->mtu)
		return t->config->mtu;
	for (size_t i = 0; i < t->priv->n_pairs; i++)
		if (t->priv->pairs[i].local.sa.sa_family == AF_INET6)
			headers = UDP_OVERHEAD_V6;
	return NX_PATH_MTU_MAX - headers - NX_OVERHEAD_FIXED - NX_CLIENT_CID_LEN -
	       NX_CONTEXT_PREFIX_LEN;
}

void nx_server_step(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (!t->ifindex) {
		if (nx_tunnel_attach_device(t) < 0)
			return;
	}
	/* The module has not made it yet. */
	if (!t->ifindex)
		return;
	if (t->n_addresses == 0 &&
	    nx_tunnel_configure_device(t, t->config->addresses, t->config->n_addresses,
				       nx_server_mtu(t)) < 0)
		return;
	/* Of sessions that were adopted. */
	nx_tunnel_follow_mtu(t);
	nx_tunnel_create_dp_device(t);
	if (p->dp_phase == NX_DP_READY && t->state == NX_TUNNEL_CONNECTING) {
		nx_tunnel_set_state(t, NX_TUNNEL_LISTENING, NX_REASON_NONE, "%s", "");
		nx_tunnel_net_changed(t);
	} else if (t->state == NX_TUNNEL_LISTENING && t->reason) {
		nx_tunnel_set_state(t, NX_TUNNEL_LISTENING, NX_REASON_NONE, "%s", "");
	}
}

const struct nx_user_config *nx_server_user(const struct nx_tunnel *t, uint64_t short_id)
{
	return nx_config_user(t->config, short_id);
}

/* ---- kernel routes behind the device's own subnets ---- */

static bool in_own_subnet(const struct nx_tunnel *t, const struct nx_prefix *p)
{
	for (size_t i = 0; i < t->config->n_addresses; i++)
		if (nx_prefix_contains(&t->config->addresses[i], p))
			return true;
	return false;
}

static void user_route(struct nx_tunnel *t, const struct nx_prefix *p, bool add)
{
	struct nl_sock *nl = t->manager->priv->nl;
	char buf[NX_ADDR_STRLEN];
	int r;

	if (in_own_subnet(t, p))
		return;
	r = add ? nx_route_add(nl, t->ifindex, p, 0) : nx_route_delete(nl, t->ifindex, p, 0);
	if (r && add)
		nx_log_full(LOG_WARNING, "RouteFailed", t->config->name, "route to %s: %s",
			    nx_prefix_format(p, buf),
			    r == -EEXIST ? "already reached through another interface"
					 : strerror(-r));
}

void nx_server_user_routes(struct nx_tunnel *t, const struct nx_user_config *u, bool add)
{
	for (size_t i = 0; i < u->n_addresses; i++)
		user_route(t, &u->addresses[i], add);
	for (size_t i = 0; i < u->n_allowed_ips; i++)
		user_route(t, &u->allowed_ips[i], add);
}

/* ---- sessions ---- */

void nx_server_drop_session(struct nx_tunnel *t, struct nx_session *s)
{
	const struct nx_user_config *u = nx_server_user(t, s->user);
	uint64_t user = s->user;

	nx_session_free(s);
	nx_tunnel_follow_mtu(t);
	if (nx_session_of_user(t, user))
		return;
	if (u && t->ifindex)
		nx_server_user_routes(t, u, false);
	/* The module may have waited for the last one to leave. */
	if (t->priv->wanted && TAILQ_EMPTY(&t->sessions) && TAILQ_EMPTY(&t->priv->installing))
		nx_tunnel_recheck_plane(t);
}

struct nx_prefix *nx_server_user_prefixes(const struct nx_user_config *u, size_t *n)
{
	struct nx_prefix *list = calloc(u->n_addresses + u->n_allowed_ips + 1, sizeof(*list));

	*n = 0;
	if (!list)
		return NULL;
	for (size_t i = 0; i < u->n_addresses; i++)
		list[(*n)++] = u->addresses[i];
	for (size_t i = 0; i < u->n_allowed_ips; i++)
		list[(*n)++] = u->allowed_ips[i];
	return list;
}

static int copy_addresses(struct nx_session *s, const struct nx_user_config *u)
{
	s->addresses = calloc(u->n_addresses + 1, sizeof(*s->addresses));
	if (!s->addresses)
		return -ENOMEM;
	memcpy(s->addresses, u->addresses, u->n_addresses * sizeof(*s->addresses));
	s->n_addresses = u->n_addresses;
	snprintf(s->user_name, sizeof(s->user_name), "%s", u->name);
	return 0;
}

/* Bytes a packet to this client may have, from our route and from what the client says it can take. */
static uint32_t session_path_mtu(struct nx_tunnel *t, const struct nx_session *s,
				 const struct nxa *ses, const struct nxa *net)
{
	uint32_t payload = nx_path_payload(&s->remote, t->priv->mark);
	uint32_t overhead = nx_session_overhead(ses), wanted = 0;
	struct nx_net_offer offer;

	if (net->present && nx_net_offer_parse(net->data, net->len, &offer) == 0) {
		wanted = offer.mtu;
		nx_net_offer_free(&offer);
	}
	if (wanted && wanted + overhead < payload)
		payload = wanted + overhead;
	return payload < NX_UDP_PAYLOAD_MIN ? NX_UDP_PAYLOAD_MIN : payload;
}

static int install(struct nx_tunnel *t, struct nx_session *s, const struct nxa *tb,
		   const struct nxa *ses)
{
	struct nx_tunnel_private *p = t->priv;
	uint32_t pair = nxa_u32(&tb[HS_A_SOCKET]);
	const struct nx_user_config *u;
	struct nx_dp_session args = {};
	struct nx_prefix *routes;
	int r = nx_session_fill(s, ses);

	if (r)
		return r;
	s->old_key = tb[HS_A_OLD_KEY].present;
	u = nx_server_user(t, s->user);
	if (!u || u->revoked || pair >= p->n_pairs)
		return -ENOENT;
	nx_server_move_expect(t, s->user);
	r = copy_addresses(s, u);
	if (r)
		return r;
	routes = nx_server_user_prefixes(u, &args.n_routes);
	if (!routes)
		return -ENOMEM;
	args.routes = routes;
	args.socket_fd = p->pairs[pair].dp_fd;
	args.ifindex = s->dp == p->dp ? t->ifindex : p->coming.ifindex;
	args.peer_group = nx_group_id(u->group);
	args.flags = NQD_SESSION_F_REPLACE;
	if (nx_user_roams(t->config, u))
		args.flags |= NQD_SESSION_F_MIGRATION;
	args.path_mtu_bytes = session_path_mtu(t, s, ses, &tb[HS_A_NET]);
	r = nx_session_install(s, nxa_u64(&tb[HS_A_ATTEMPT]), tb, &args);
	free(routes);
	return r;
}

void nx_server_session(struct nx_tunnel *t, const struct nx_chan_msg *msg, const struct nxa *tb)
{
	uint64_t attempt = nxa_u64(&tb[HS_A_ATTEMPT]);
	struct nxa ses[NQD_A_SESSION_MAX + 1];
	struct nx_session *s = NULL;
	struct nxm_error e;
	int r = -ECANCELED;

	if ((t->priv->wanted || t->priv->draining) && t->ifindex)
		r = nxa_parse_nest(&tb[HS_A_SESSION], &nqd_session_set, ses, msg->buf, &e);
	if (!r) {
		s = nx_session_new(t, nx_random_id());
		if (s)
			s->dp = nx_move_target(t);
		r = s ? install(t, s, tb, ses) : -ENOMEM;
	}
	if (!r)
		return;
	nx_log_full(LOG_WARNING, NULL, t->config->name, "a finished handshake was dropped: %s",
		    r == -ENOENT ? "the user is not let in any more" : strerror(-r));
	if (s)
		nx_session_free(s);
	(void)nx_hsd_cancel(&t->manager->priv->hsd, t->config->name, attempt);
}

static int on_too_old(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_session *s = userdata;
	struct nx_tunnel *t = s->tunnel;

	nx_log_full(LOG_NOTICE, "SessionTooOld", t->config->name,
		    "session of %s ended: it is older than max_session_age_s", s->user_name);
	(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	/* If another waits to take its place, it does so now, and the data plane says so. */
	if (!nx_session_other(s))
		nx_server_drop_session(t, s);
	return 0;
}

void nx_server_limit_age(struct nx_session *s, uint64_t age_s)
{
	struct nx_tunnel *t = s->tunnel;
	uint64_t max_s = t->config->max_session_age_s;

	if (max_s && sd_event_add_time_relative(t->manager->event, &s->age_timer, CLOCK_MONOTONIC,
						max_s > age_s ? (max_s - age_s) * 1000000 : 0, 0,
						on_too_old, s) < 0)
		nx_log_full(LOG_ERR, NULL, t->config->name,
			    "no timer: the session of %s will not end by its age", s->user_name);
}

void nx_server_installed(struct nx_tunnel *t, struct nx_session *s)
{
	const struct nx_user_config *u = nx_server_user(t, s->user);
	char addr[NX_ADDR_STRLEN];

	if (!s->age_timer)
		nx_server_limit_age(s, 0);
	nx_server_move_installed(t, s);
	if (s->waits)
		return;
	if (u)
		nx_server_user_routes(t, u, true);
	nx_log_full(LOG_NOTICE, "SessionUp", t->config->name, "%s connected from %s%s",
		    s->user_name, nx_endpoint_format(&s->remote, addr),
		    s->old_key ? " with the old server key" : "");
	nx_tunnel_follow_mtu(t);
	nx_session_bus_added(s);
}

/* Has @other the place of @s, which is down? On the other data plane it goes on whatever ended this one. */
static bool has_its_place(const struct nx_session *s, const struct nx_session *other,
			  enum nqd_down_reason reason)
{
	return s->dp == other->dp ? reason == NQD_DOWN_REPLACED : other->waits && !s->waits;
}

/*
 * @s has taken the place of @old. From the same address it is the same connection with fresh keys,
 * and the same object on D-Bus.
 */
static void replaced(struct nx_tunnel *t, struct nx_session *old, struct nx_session *s)
{
	bool waited = s->waits;

	s->waits = false;
	nx_server_move_carries(t, s);
	if (waited && nx_endpoint_equal(&old->remote, &s->remote)) {
		s->connected_since_s = old->connected_since_s;
		s->peer_id = old->peer_id;
		old->waits = true; /* its object is not its own any more */
		nx_session_free(old);
		nx_log_full(LOG_INFO, "SessionRenewed", t->config->name,
			    "the session of %s has fresh keys", s->user_name);
		nx_session_bus_changed(s);
		return;
	}
	nx_session_free(old);
	if (waited)
		nx_server_installed(t, s);
}

void nx_server_session_down(struct nx_tunnel *t, struct nx_session *s, enum nqd_down_reason reason,
			    const char *text)
{
	struct nx_session *other = nx_session_other(s);

	if (other && has_its_place(s, other, reason)) {
		replaced(t, s, other);
		return;
	}
	if (s->waits) {
		nx_log_full(LOG_INFO, "RenewalFailed", t->config->name,
			    "no fresh keys for %s, the session goes on as it is: %s", s->user_name,
			    text);
		nx_server_drop_session(t, s);
		return;
	}
	nx_log_full(LOG_NOTICE, "SessionDown", t->config->name, "session of %s ended: %s%s%s",
		    s->user_name, nx_reason_str(nx_reason_of_down(reason)), text[0] ? ": " : "",
		    text);
	nx_server_drop_session(t, s);
}

/* ---- reload ---- */

static void end_user(struct nx_tunnel *t, const struct nx_user_config *u)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s, *next;
	bool any = false;

	if (t->ifindex)
		(void)nx_dp_delete_user(p->dp, t->ifindex, u->short_id, NX_CLOSE_NO_ERROR, "");
	if (nx_server_moving(t))
		(void)nx_dp_delete_user(p->coming.dp, p->coming.ifindex, u->short_id,
					NX_CLOSE_NO_ERROR, "");
	while ((s = nx_session_of_user(t, u->short_id))) {
		any = true;
		nx_server_drop_session(t, s);
	}
	for (s = TAILQ_FIRST(&p->installing); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->user == u->short_id)
			nx_session_free(s);
	}
	if (any)
		nx_log_full(LOG_NOTICE, "SessionRevoked", t->config->name,
			    "session of %s ended: %s", u->name, nx_reason_str(NX_REASON_REVOKED));
}

/* Same but for the group: the session may stay. Where it may be counts, however that was written. */
static bool same_but_group(const struct nx_tunnel_config *t, const struct nx_user_config *a,
			   const struct nx_tunnel_config *u, const struct nx_user_config *b)
{
	struct nx_user_config x = *a, y = *b;

	x.group = y.group = NULL;
	x.roaming = y.roaming = NX_CHOICE_NONE;
	return nx_user_config_equal(&x, &y) && nx_user_roams(t, a) == nx_user_roams(u, b);
}

static void move_to_group(struct nx_tunnel *t, const struct nx_user_config *u)
{
	struct nx_session *first = nx_session_of_user(t, u->short_id), *s;
	struct nx_session *both[] = { first, first ? nx_session_other(first) : NULL };
	uint32_t group = nx_group_id(u->group);

	for (size_t i = 0; i < 2 && both[i]; i++) {
		(void)nx_dp_set_peer_group(both[i]->dp, both[i]->id, group);
		nx_server_move_group(t, both[i], group);
	}
	TAILQ_FOREACH (s, &t->priv->installing, entry)
		if (s->user == u->short_id)
			(void)nx_dp_set_peer_group(s->dp, s->id, group);
}

void nx_server_mark_revoked(const struct nx_manager *m, struct nx_tunnel_config *c)
{
	for (size_t i = 0; i < c->n_users; i++)
		c->users[i].revoked = nx_revoked_has(&m->priv->revoked, c->name, c->users[i].name);
}

int nx_tunnel_revoke(struct nx_tunnel *t, const char *user, bool revoked)
{
	static char *changed[] = { "RevokedUsers", NULL };
	struct nx_user_config *u = NULL;
	int r;

	if (t->config->role != NX_ROLE_SERVER)
		return -EINVAL;
	for (size_t i = 0; i < t->config->n_users; i++)
		if (!strcmp(t->config->users[i].name, user))
			u = &t->config->users[i];
	if (!u)
		return -ENOENT;
	u->revoked = revoked;
	if (revoked)
		end_user(t, u);
	r = nx_revoked_set(&t->manager->priv->revoked, t->config->name, user, revoked);
	nx_log_full(LOG_NOTICE, revoked ? "UserRevoked" : "UserRestored", t->config->name,
		    "user %s is %s", u->name, revoked ? "revoked" : "restored");
	nx_tunnel_bus_properties_changed(t, changed);
	/* nexus-hsd learns it with the whole configuration. */
	t->priv->hsd_phase = NX_HSD_NONE;
	nx_tunnel_step(t);
	return r;
}

void nx_server_change_users(struct nx_tunnel *t, struct nx_tunnel_config *c)
{
	struct nx_tunnel_config *old = t->config;

	nx_server_mark_revoked(t->manager, c);
	/* Users are known by their short id; whoever lost it, its key or its addresses is out now. */
	for (size_t i = 0; i < old->n_users; i++) {
		const struct nx_user_config *now = nx_config_user(c, old->users[i].short_id);

		if (!now || !same_but_group(old, &old->users[i], c, now))
			end_user(t, &old->users[i]);
		else if (nx_group_id(now->group) != nx_group_id(old->users[i].group))
			move_to_group(t, now);
	}
	t->config = c;
	nx_tunnel_config_free(old);
	t->priv->hsd_phase = NX_HSD_NONE;
	nx_tunnel_step(t);
}
