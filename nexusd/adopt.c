// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a fresh control process does first: take over the sockets and devices that its predecessor
 * left with the monitor, ask the data plane which sessions it carries, keep those the
 * configuration still knows and delete the others. Traffic goes on all the while. On a first start
 * there is nothing to find and this takes one round trip.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "config-internal.h"
#include "lib/log.h"
#include "net-link.h"
#include "prefix.h"
#include "tunnel-internal.h"

/* ---- descriptors ---- */

/* The data socket of pair @i, and by whom it is read. */
static int claim_data_socket(struct nx_tunnel *t, size_t i, struct nx_dp **dp)
{
	struct nx_manager *m = t->manager;
	int fd = nx_manager_claim(m, "sock:%s:%zu:dp", t->config->name, i);

	*dp = &m->priv->planes[NX_PLANE_USER];
	if (fd >= 0)
		return fd;
	*dp = &m->priv->planes[NX_PLANE_KERNEL];
	return nx_manager_claim(m, "sock:%s:%zu:ko", t->config->name, i);
}

static void adopt_pairs(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	for (size_t i = 0; i < NX_PAIRS_MAX; i++) {
		int hs = nx_manager_claim(t->manager, "sock:%s:%zu:hs", t->config->name, i);
		struct nx_dp *reader;
		int dp = claim_data_socket(t, i, &reader);

		if (hs >= 0 && dp >= 0 && p->n_pairs == i &&
		    nx_udp_pair_adopt(hs, dp, &p->pairs[i]) == 0) {
			p->pair_dp[p->n_pairs++] = reader;
			continue;
		}
		if (hs >= 0)
			close(hs);
		if (dp >= 0)
			close(dp);
	}
}

/* Do the sockets of a predecessor still stand for what is configured now? */
static bool pairs_match(const struct nx_tunnel *t)
{
	const struct nx_tunnel_private *p = t->priv;

	if (t->config->role == NX_ROLE_CLIENT)
		return true;
	if (p->n_pairs != t->config->n_listen)
		return false;
	for (size_t i = 0; i < p->n_pairs; i++)
		if (!nx_endpoint_equal(&p->pairs[i].local, &t->config->listen[i]))
			return false;
	return true;
}

/* The module's device, which may be one to move to: then there is nexus-dp's as well. */
static void adopt_kernel_device(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_manager *m = t->manager;
	int fd = nx_manager_claim(m, "nexusq:%s", t->config->name);
	struct nx_device d = { .dp = &m->priv->planes[NX_PLANE_KERNEL],
			       .phase = NX_DP_READY,
			       .tun_fd = -1 };
	int r;

	if (fd < 0)
		return;
	r = nx_device_record_load(m, fd, &d.ifindex, d.ifname);
	close(fd);
	if (r) {
		nx_manager_unstore(m, "nexusq:%s", t->config->name);
		return;
	}
	if (t->ifindex) {
		p->coming = d;
		return;
	}
	p->dp = d.dp;
	t->ifindex = d.ifindex;
	memcpy(t->ifname, d.ifname, sizeof(t->ifname));
}

static void adopt_device(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	p->dp = &t->manager->priv->planes[NX_PLANE_USER];
	p->tun_fd = nx_manager_claim(t->manager, "tun:%s", t->config->name);
	/* Opened, but no device yet: as good as new. */
	if (p->tun_fd >= 0 && nx_tun_identify(p->tun_fd, t->ifname, &t->ifindex) < 0) {
		t->ifname[0] = '\0';
		t->ifindex = 0;
	}
	adopt_kernel_device(t);
	/* A server's device is configured again from the file, which changes nothing if it is right. */
	if (!t->ifindex || t->config->role == NX_ROLE_SERVER)
		return;
	t->mtu = nx_link_mtu(t->manager->priv->nl, t->ifindex);
	(void)nx_address_list(t->manager->priv->nl, t->ifindex, &t->addresses, &t->n_addresses);
}

/* The routes and names of a client, from the record its predecessor made. */
static int adopt_state(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_planned_route *plan;
	struct nx_net_offer offer;
	struct nx_endpoint remote;
	size_t n;
	int r;

	p->state_fd = nx_manager_claim(t->manager, "state:%s", t->config->name);
	if (p->state_fd < 0)
		return -ENOENT;
	r = nx_state_load(p->state_fd, &remote, &offer);
	if (r)
		return r;
	nx_client_take_limits(t, &offer);
	r = nx_route_plan(offer.routes, offer.n_routes, t->config->allowed_ips,
			  t->config->n_allowed_ips, &remote, &plan, &n);
	if (!r) {
		nx_tunnel_set_routes(t, plan, n);
		t->dns = offer.dns;
		t->dns_domains = offer.dns_domains;
		offer.dns = offer.dns_domains = NULL;
	}
	nx_net_offer_free(&offer);
	return r;
}

/* The device of a tunnel that is configured no more. */
static void drop_device(struct nx_manager *m, int fd)
{
	char name[16];
	int ifindex;

	if (nx_tun_identify(fd, name, &ifindex) < 0)
		return;
	(void)nx_dp_delete_device(&m->priv->planes[NX_PLANE_USER], ifindex, NULL, NULL);
	(void)nx_link_delete(m->priv->nl, ifindex);
}

/* Its sessions go with it. */
static void drop_kernel_device(struct nx_manager *m, int fd)
{
	char name[16];
	int ifindex;

	if (nx_device_record_load(m, fd, &ifindex, name) == 0)
		(void)nx_link_delete(m->priv->nl, ifindex);
}

static void drop_unclaimed(struct nx_manager *m)
{
	struct nx_stored *s;

	while ((s = TAILQ_FIRST(&m->priv->stored))) {
		TAILQ_REMOVE(&m->priv->stored, s, entry);
		if (!strncmp(s->name, "tun:", 4))
			drop_device(m, s->fd);
		else if (!strncmp(s->name, "nexusq:", 7))
			drop_kernel_device(m, s->fd);
		(void)nx_mon_unstore(&m->priv->mon, s->name);
		close(s->fd);
		free(s);
	}
}

/* ---- sessions ---- */

/*
 * Is it of the device in use, or of the one to move to? A client has one on each; which of the data
 * planes answers first is open.
 */
static bool acceptable(const struct nx_tunnel *t, const struct nx_session *s)
{
	const struct nx_session *known;

	if (!t->ifindex || !t->priv->n_pairs)
		return false;
	if (s->dp != t->priv->dp && s->dp != t->priv->coming.dp)
		return false;
	if (t->config->role == NX_ROLE_SERVER)
		return nx_server_user(t, s->user) && !nx_server_user(t, s->user)->revoked;
	if (s->dp == t->priv->coming.dp)
		return true;
	TAILQ_FOREACH (known, &t->sessions, entry)
		if (known->dp == s->dp)
			return false;
	return true;
}

/* Whether it follows its client was decided when it was installed. */
static bool roams_as_configured(const struct nx_tunnel *t, const struct nx_session *s,
				const struct nxa *ses)
{
	const struct nxa *flags = &ses[NQD_A_SESSION_FLAGS];
	bool roams = flags->present && nxa_u32(flags) & NQD_SESSION_F_MIGRATION;

	return t->config->role == NX_ROLE_CLIENT ||
	       roams == nx_user_roams(t->config, nx_server_user(t, s->user));
}

static void fill_user(struct nx_tunnel *t, struct nx_session *s)
{
	const struct nx_user_config *u = nx_server_user(t, s->user);

	if (!u)
		return;
	snprintf(s->user_name, sizeof(s->user_name), "%s", u->name);
	s->addresses = calloc(u->n_addresses + 1, sizeof(*s->addresses));
	if (!s->addresses)
		return;
	memcpy(s->addresses, u->addresses, u->n_addresses * sizeof(*s->addresses));
	s->n_addresses = u->n_addresses;
}

struct history {
	uint64_t uptime_ms, handshake_ms;
	bool heard; /* a DATAGRAM of the peer's has come */
};

/* Of a server that moves: for a session of the other data plane. */
static bool stands_in(const struct nx_tunnel *t, const struct nxa *ses)
{
	return t->priv->coming.dp && t->config->role == NX_ROLE_SERVER &&
	       ses[NQD_A_SESSION_STATE].present &&
	       nxa_u8(&ses[NQD_A_SESSION_STATE]) == NQD_SESSION_NO_KEYS;
}

/* One session of the dump: keep it, or delete it. */
static void adopt_session(struct nx_dp *d, const struct nxa *ses, const struct history *h)
{
	struct nx_manager *m = d->userdata;
	const struct nxa *name = &ses[NQD_A_SESSION_TUNNEL];
	uint64_t id = nxa_u64(&ses[NQD_A_SESSION_ID]);
	struct nx_tunnel *t = name->present ? nx_manager_find_tunnel(m, nxa_str(name)) : NULL;
	struct nx_session *s;

	if (t && stands_in(t, ses)) {
		nx_server_move_found(t, d, id);
		return;
	}
	s = t ? nx_session_new(t, id) : NULL;
	if (s)
		s->dp = d;
	/* It ends by itself, and may still take what the peer sends to it. */
	if (s && ses[NQD_A_SESSION_STATE].present &&
	    nxa_u8(&ses[NQD_A_SESSION_STATE]) >= NQD_SESSION_CLOSING) {
		nx_session_free(s);
		return;
	}
	if (!s || nx_session_fill(s, ses) < 0 || !acceptable(t, s) ||
	    !roams_as_configured(t, s, ses)) {
		if (s)
			nx_session_free(s);
		(void)nx_dp_delete_session(d, id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
		return;
	}
	if (t->config->role == NX_ROLE_SERVER) {
		fill_user(t, s);
		(void)nx_dp_set_peer_group(d, id, nx_group_id(nx_server_user(t, s->user)->group));
	}
	s->heard = h->heard;
	nx_session_set_installed(s);
	s->connected_since_s = (uint64_t)time(NULL) - h->uptime_ms / 1000;
	s->last_handshake_s = (uint64_t)time(NULL) - h->handshake_ms / 1000;
	nx_log_full(LOG_NOTICE, "SessionAdopted", t->config->name, "session of %s goes on",
		    s->user_name[0] ? s->user_name : "the server");
}

static struct history history_of(const struct nxa *stats, const void *base)
{
	struct nxa st[NQD_A_STATS_MAX + 1];
	struct history h = { 0 };
	struct nxm_error e;

	if (!stats->present || nxa_parse_nest(stats, &nqd_stats_set, st, base, &e) < 0)
		return h;
	if (st[NQD_A_STATS_UPTIME_MS].present)
		h.uptime_ms = nxa_u64(&st[NQD_A_STATS_UPTIME_MS]);
	if (st[NQD_A_STATS_HANDSHAKE_AGO_MS].present)
		h.handshake_ms = nxa_u64(&st[NQD_A_STATS_HANDSHAKE_AGO_MS]);
	h.heard = st[NQD_A_STATS_DATAGRAM_RX_FRAMES].present &&
		  nxa_u64(&st[NQD_A_STATS_DATAGRAM_RX_FRAMES]);
	return h;
}

static void known(struct nx_manager *m);

static void on_dump(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nx_dp *d = userdata;
	struct history h;
	struct nxm_error e;

	if (!msg) {
		if (err && err != -EPIPE)
			nx_err("%s does not list its sessions: %s", d->name, text);
		known(d->userdata);
		return;
	}
	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) == 0 &&
	    tb[NQD_A_SESSION].present &&
	    nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, msg->buf, &e) == 0 &&
	    ses[NQD_A_SESSION_ID].present) {
		h = history_of(&tb[NQD_A_STATS], msg->buf);
		adopt_session(d, ses, &h);
	}
}

/* ---- start ---- */

static void adopt_tunnel(struct nx_tunnel *t)
{
	adopt_pairs(t);
	adopt_device(t);
	if (t->config->role == NX_ROLE_SERVER)
		t->priv->replay_fd = nx_manager_claim(t->manager, "replay:%s", t->config->name);
	/* The name may be an alternative one. */
	if (t->priv->n_pairs && pairs_match(t) &&
	    (!t->ifindex || (int)if_nametoindex(t->config->interface) == t->ifindex))
		return;
	/* The configuration has changed since: start over, sessions of the old device end. */
	nx_move_cancel(t);
	for (unsigned int i = 0; i < NX_PLANES; i++)
		nx_tunnel_close_pairs_of(t, &t->manager->priv->planes[i]);
	if (t->ifindex)
		nx_tunnel_remove_device(t);
}

/* Which of the devices is in use; and it is no use without its data plane. */
static void settle_device(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s;
	bool moved = false;

	/* One that the server may not have is no use while there is another. */
	TAILQ_FOREACH (s, &t->sessions, entry)
		moved |= p->coming.dp && s->dp == p->coming.dp &&
			 (s->heard || !nx_session_other(s));
	if (p->coming.dp && t->config->role == NX_ROLE_SERVER)
		nx_server_move_adopt(t);
	else if (p->coming.dp)
		nx_move_adopt(t, moved);
	else if (t->config->role == NX_ROLE_SERVER && t->ifindex)
		nx_steer_clear(t->manager->priv->nl, t->ifindex);
	/* Its data sockets are read by one data plane; a client opens others when it needs them. */
	for (size_t i = 0; i < p->n_pairs; i++)
		if (t->config->role == NX_ROLE_SERVER)
			p->pair_dp[i] = p->dp;
	for (unsigned int i = 0; i < NX_PLANES; i++)
		if (&t->manager->priv->planes[i] != p->dp)
			nx_tunnel_close_pairs_of(t, &t->manager->priv->planes[i]);
	nx_tunnel_set_plane(t, p->dp, "");
	if (p->dp->kernel && !t->manager->data_planes[NX_PLANE_KERNEL].available) {
		if (t->ifindex)
			(void)nx_link_delete(t->manager->priv->nl, t->ifindex);
		(void)nx_tunnel_plane_lost(t, "the kernel module is not what it was");
	}
}

/* The state a tunnel with adopted parts is in. */
static void resume(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *s;

	p->wanted = true;
	settle_device(t);
	s = TAILQ_FIRST(&t->sessions);
	if (t->config->role == NX_ROLE_SERVER) {
		TAILQ_FOREACH (s, &t->sessions, entry) {
			nx_server_limit_age(s, (uint64_t)time(NULL) - s->last_handshake_s);
			if (!s->waits)
				nx_session_bus_added(s);
		}
		nx_tunnel_set_state(t, NX_TUNNEL_CONNECTING, NX_REASON_NONE, "%s", "");
	} else if (s) {
		if (adopt_state(t) < 0)
			nx_log_full(LOG_WARNING, NULL, t->config->name,
				    "the routes of this session are not known any more");
		nx_tunnel_set_state(t, NX_TUNNEL_CONNECTED, NX_REASON_NONE, "%s", "");
		nx_client_renew_arm(t, (uint64_t)time(NULL) - s->last_handshake_s);
		/* The network may have changed while nobody looked. */
		nx_roam_network_changed(t);
	} else if (adopt_state(t) == 0) {
		nx_tunnel_set_state(t, NX_TUNNEL_RECONNECTING, NX_REASON_DATA_PLANE_LOST, "%s",
				    "there was no session any more when nexusd restarted");
	} else {
		nx_tunnel_set_state(t, NX_TUNNEL_CONNECTING, NX_REASON_NONE, "%s", "");
	}
	nx_tunnel_create_dp_device(t);
	nx_tunnel_net_changed(t);
	/* Is it where it should be? The configuration or the module may be another. */
	nx_tunnel_plane_changed(t);
}

static bool wants_start(struct nx_tunnel *t)
{
	int fd = nx_manager_claim(t->manager, "down:%s", t->config->name);

	if (fd >= 0) {
		close(fd);
		return false;
	}
	return t->config->role == NX_ROLE_SERVER || t->config->autoconnect;
}

/* The dumps are through: every tunnel goes its way. */
static void release(struct nx_manager *m)
{
	struct nx_tunnel *t, *next;

	for (t = TAILQ_FIRST(&m->tunnels); t; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->priv->n_pairs || t->ifindex)
			resume(t);
		else if (!t->priv->wanted && wants_start(t))
			(void)nx_tunnel_connect(t);
		/* Somebody may have called Connect on D-Bus while the dump was under way. */
		nx_tunnel_step(t);
	}
	drop_unclaimed(m);
}

/* The sessions of one more data plane are known. */
static void known(struct nx_manager *m)
{
	if (m->priv->adopting && --m->priv->adopting == 0)
		release(m);
}

static void ask(struct nx_manager *m, struct nx_dp *d)
{
	if (nx_dp_get_stats(d, 0, on_dump, d) < 0)
		known(m);
}

void nx_adopt_looked(struct nx_manager *m)
{
	struct nx_dp *d = &m->priv->planes[NX_PLANE_KERNEL];

	if (!m->priv->adopting || m->priv->kernel_asked)
		return;
	m->priv->kernel_asked = true;
	if (m->data_planes[NX_PLANE_KERNEL].available)
		ask(m, d);
	else
		known(m);
}

void nx_manager_adopt(struct nx_manager *m)
{
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry)
		adopt_tunnel(t);
	m->priv->adopting = NX_PLANES;
	ask(m, &m->priv->planes[NX_PLANE_USER]);
	if (!nx_planes_look(m))
		nx_adopt_looked(m);
}
