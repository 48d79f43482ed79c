// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device of a tunnel and its place in the network: addresses, MTU, routes, and for a client
 * that sends everything through the tunnel the rules that keep the tunnel's own packets out of it.
 * Works by difference, so that a reconnect with the same answer changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/log.h"
#include "lib/texts.h"
#include "net-link.h"
#include "prefix.h"
#include "tunnel-internal.h"

/* Below the main table's rule (32766), above what people usually add. */
#define RULE_PRIORITY_BASE 31000
#define RULE_PRIORITIES 512

uint32_t nx_tunnel_default_mark(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return 0x6e780000u | ((h ^ h >> 16) & 0xffff);
}

static uint32_t rule_priority(const struct nx_tunnel *t)
{
	return RULE_PRIORITY_BASE + 2 * (t->priv->mark % RULE_PRIORITIES);
}

static void fail_device(struct nx_tunnel *t, int err, const char *what)
{
	char text[160];

	snprintf(text, sizeof(text), "interface %s: %s: %s", t->config->interface, what,
		 err == -EBUSY || err == -EINVAL ? "the name is taken by another device"
						 : strerror(-err));
	nx_tunnel_fail(t, NX_REASON_CONFIGURATION, text);
}

int nx_tunnel_attach_device(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	int r;

	/* The module makes its own when it is asked for one. */
	if (t->ifindex || p->dp->kernel) {
		nx_tunnel_create_dp_device(t);
		return 0;
	}
	r = nx_tun_attach(p->tun_fd, t->config->interface, &t->ifindex);
	if (r) {
		t->ifindex = 0;
		fail_device(t, r, "cannot be made");
		return r;
	}
	snprintf(t->ifname, sizeof(t->ifname), "%s", t->config->interface);
	if (t->config->role == NX_ROLE_SERVER && t->manager->config->dco_mode == NX_DCO_PREFERRED)
		(void)nx_steer_prepare(t->manager->priv->nl, t->ifindex);
	if (p->net_lost)
		nx_tunnel_restore_net(t);
	nx_tunnel_create_dp_device(t);
	return 0;
}

static void on_device_created(void *userdata, const struct nx_chan_msg *msg, int err,
			      const char *text)
{
	struct nx_tunnel *t = userdata;
	struct nx_tunnel_private *p = t->priv;
	char why[224];

	if (p->dp_phase != NX_DP_CREATING)
		return;
	if (msg) {
		if (p->dp->kernel)
			nx_tunnel_take_device(msg, &t->ifindex, t->ifname);
		return;
	}
	/* A restarted control process meets the device of its predecessor. */
	if (err == -EEXIST && t->ifindex)
		err = 0;
	if (!err && !t->ifindex)
		err = -EBADMSG;
	p->dp_phase = err ? NX_DP_NONE : NX_DP_READY;
	if (err == -EPIPE)
		return;
	if (err) {
		snprintf(why, sizeof(why), "the data plane refused the interface: %s",
			 text[0] ? text : strerror(-err));
		if (nx_tunnel_fall_back(t, why))
			nx_tunnel_step(t);
		else
			nx_tunnel_fail(t, NX_REASON_DATA_PLANE_LOST, why);
		return;
	}
	if (p->dp->kernel)
		nx_device_record_store(t);
	/* A server that is to be on another data plane could not begin to move without it. */
	if (t->config->role == NX_ROLE_SERVER)
		nx_tunnel_recheck_plane(t);
	nx_tunnel_step(t);
}

void nx_tunnel_create_dp_device(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if ((!t->ifindex && !p->dp->kernel) || p->dp_phase != NX_DP_NONE || !p->wanted)
		return;
	if (nx_tunnel_ask_device(t, p->dp, t->ifindex ? t->ifname : t->config->interface,
				 t->ifindex, p->tun_fd, on_device_created, t) == 0)
		p->dp_phase = NX_DP_CREATING;
}

/* ---- addresses ---- */

static int replace_list(struct nx_prefix **list, size_t *n, const struct nx_prefix *src,
			size_t n_src)
{
	struct nx_prefix *copy = calloc(n_src + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (n_src)
		memcpy(copy, src, n_src * sizeof(*copy));
	free(*list);
	*list = copy;
	*n = n_src;
	return 0;
}

/* What the device has must be what is wanted: a predecessor may have left others. */
static int set_addresses(struct nl_sock *nl, int ifindex, const struct nx_prefix *addresses,
			 size_t n)
{
	struct nx_prefix *present;
	size_t n_present;
	int r = nx_address_list(nl, ifindex, &present, &n_present);

	for (size_t i = 0; !r && i < n_present; i++)
		if (!nx_prefix_list_has(addresses, n, &present[i]))
			(void)nx_address_delete(nl, ifindex, &present[i]);
	for (size_t i = 0; !r && i < n; i++)
		if (!nx_prefix_list_has(present, n_present, &addresses[i]))
			r = nx_address_add(nl, ifindex, &addresses[i]);
	free(present);
	return r;
}

/* ---- MTU ---- */

/* A path is given so long to be found larger. */
#define MTU_WARN_US 3000000

static bool has_ipv6(const struct nx_prefix *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (addresses[i].family == AF_INET6)
			return true;
	return false;
}

uint32_t nx_device_mtu(const struct nx_prefix *addresses, size_t n, uint32_t carried,
		       uint32_t limit)
{
	if (limit && limit <= carried)
		return limit;
	if (carried < NX_IPV6_MTU_MIN && has_ipv6(addresses, n))
		return limit && limit < NX_IPV6_MTU_MIN ? limit : NX_IPV6_MTU_MIN;
	return carried;
}

/* Somebody wants it so; say what it means before somebody else wonders. */
static void warn_configured_mtu(struct nx_tunnel *t)
{
	if (t->mtu < NX_IPV6_MTU_MIN && has_ipv6(t->addresses, t->n_addresses))
		nx_log_full(
			LOG_WARNING, "MtuTooSmall", t->config->name,
			"the interface MTU of %u bytes is below the 1280 bytes IPv6 needs: IPv6 will not work in this tunnel",
			t->mtu);
}

/* A session with inner IPv6 over a path that does not carry what IPv6 needs; or NULL. */
static const struct nx_session *narrow_session(const struct nx_tunnel *t)
{
	bool server = t->config->role == NX_ROLE_SERVER;
	const struct nx_session *s;

	if (t->mtu < NX_IPV6_MTU_MIN)
		return NULL;
	TAILQ_FOREACH (s, &t->sessions, entry)
		if (s->mtu && s->mtu < NX_IPV6_MTU_MIN &&
		    (server ? has_ipv6(s->addresses, s->n_addresses)
			    : has_ipv6(t->addresses, t->n_addresses)))
			return s;
	return NULL;
}

static int on_mtu_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;
	const struct nx_session *s = narrow_session(t);
	char addr[NX_ADDR_STRLEN];

	t->priv->mtu_timer = sd_event_source_disable_unref(t->priv->mtu_timer);
	if (!s)
		return 0;
	t->priv->mtu_warned = true;
	nx_log_full(
		LOG_WARNING, "PathTooSmallForIpv6", t->config->name,
		"the path to %s carries inner packets of %u bytes, but IPv6 expects 1280 of every link (RFC 8200): "
		"larger ones are dropped and answered with Packet Too Big, which senders need not heed below 1280, "
		"so IPv6 connections may stall; IPv4 is not affected",
		nx_endpoint_format(&s->remote, addr), s->mtu);
	return 0;
}

static void watch_narrow_paths(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (!narrow_session(t)) {
		p->mtu_warned = false;
		p->mtu_timer = sd_event_source_disable_unref(p->mtu_timer);
	} else if (!p->mtu_warned && !p->mtu_timer) {
		(void)sd_event_add_time_relative(t->manager->event, &p->mtu_timer, CLOCK_MONOTONIC,
						 MTU_WARN_US, 0, on_mtu_timer, t);
	}
}

/* What the best path carries; each session's own limit is the data plane's business. */
static uint32_t carried_mtu(struct nx_tunnel *t)
{
	const struct nx_session *s;
	uint32_t mtu = 0;

	TAILQ_FOREACH (s, &t->sessions, entry)
		if (!s->waits && s->mtu > mtu)
			mtu = s->mtu;
	return mtu;
}

static void follow_mtu(struct nx_tunnel *t)
{
	static char *names[] = { "Mtu", NULL };
	bool server = t->config->role == NX_ROLE_SERVER;
	uint32_t limit = server ? nx_server_mtu(t) : t->priv->mtu_limit;
	uint32_t mtu = carried_mtu(t), was = t->mtu;
	int r;

	if (!t->ifindex || !t->mtu || (!mtu && !server))
		return;
	mtu = nx_device_mtu(t->addresses, t->n_addresses, mtu ? mtu : limit, limit);
	if (mtu != t->mtu) {
		r = nx_link_set_mtu(t->manager->priv->nl, t->ifindex, mtu);
		if (r) {
			nx_log_full(LOG_ERR, NULL, t->config->name,
				    "the MTU of the interface cannot be set to %u: %s", mtu,
				    strerror(-r));
			return;
		}
		if (nx_server_moving(t))
			(void)nx_link_set_mtu(t->manager->priv->nl, t->priv->coming.ifindex, mtu);
		t->mtu = mtu;
		nx_log_full(LOG_NOTICE, "MtuChanged", t->config->name,
			    "the MTU of the interface is %u bytes, was %u", mtu, was);
		nx_tunnel_bus_properties_changed(t, names);
	}
	watch_narrow_paths(t);
}

static int on_follow(sd_event_source *s, void *userdata)
{
	struct nx_tunnel *t = userdata;

	t->priv->mtu_due = sd_event_source_disable_unref(t->priv->mtu_due);
	follow_mtu(t);
	return 0;
}

/* A server looks at all its sessions: once for all that has come to it. */
static int follow_mtu_later(struct nx_tunnel *t)
{
	sd_event_source **s = &t->priv->mtu_due;

	if (*s)
		return 0;
	if (sd_event_add_defer(t->manager->event, s, on_follow, t) < 0)
		return -ENOMEM;
	(void)sd_event_source_set_priority(*s, SD_EVENT_PRIORITY_IDLE);
	return 0;
}

void nx_tunnel_follow_mtu(struct nx_tunnel *t)
{
	if (t->config->role != NX_ROLE_SERVER || follow_mtu_later(t) < 0)
		follow_mtu(t);
}

void nx_tunnel_path_mtu(struct nx_tunnel *t, struct nx_session *s, uint32_t payload_bytes)
{
	s->mtu = payload_bytes > s->overhead ? payload_bytes - s->overhead : 0;
	nx_tunnel_follow_mtu(t);
}

/* ---- configuration ---- */

int nx_tunnel_configure_device(struct nx_tunnel *t, const struct nx_prefix *addresses, size_t n,
			       uint32_t mtu)
{
	int r = nx_link_configure(t->manager->priv->nl, t->ifindex, mtu);

	if (r) {
		fail_device(t, r, "cannot be set up");
		return r;
	}
	t->mtu = mtu;
	r = set_addresses(t->manager->priv->nl, t->ifindex, addresses, n);
	if (r && mtu < NX_IPV6_MTU_MIN)
		r = 0; /* the warning tells */
	if (!r)
		r = replace_list(&t->addresses, &t->n_addresses, addresses, n);
	if (r) {
		fail_device(t, r, "an address cannot be added");
		return r;
	}
	warn_configured_mtu(t);
	return 0;
}

int nx_device_configure(struct nx_manager *m, int ifindex, const struct nx_prefix *addresses,
			size_t n, uint32_t mtu)
{
	int r = nx_link_configure(m->priv->nl, ifindex, mtu);

	if (!r)
		r = set_addresses(m->priv->nl, ifindex, addresses, n);
	return r && mtu < NX_IPV6_MTU_MIN ? 0 : r;
}

/* ---- routes ---- */

static bool planned_has(const struct nx_planned_route *list, size_t n,
			const struct nx_planned_route *r)
{
	for (size_t i = 0; i < n; i++)
		if (nx_prefix_equal(&list[i].prefix, &r->prefix) &&
		    list[i].own_table == r->own_table)
			return true;
	return false;
}

static bool wants_rules(const struct nx_planned_route *list, size_t n, int family)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].own_table && list[i].prefix.family == family)
			return true;
	return false;
}

static void set_rules(struct nx_tunnel *t, int family, bool want, bool *have)
{
	struct nl_sock *nl = t->manager->priv->nl;
	uint32_t mark = t->priv->mark;
	int r = 0;

	if (want && family == AF_INET)
		(void)nx_allow_marked_replies();
	if (want)
		r = nx_rules_add(nl, family, mark, rule_priority(t));
	else if (*have)
		r = nx_rules_delete(nl, family, mark, rule_priority(t));
	if (r)
		nx_log_full(LOG_ERR, NULL, t->config->name, "routing rules for %s: %s",
			    family == AF_INET ? "IPv4" : "IPv6", strerror(-r));
	*have = want;
}

/* @from: the device it may lead through until now, or 0. */
static void add_route(struct nx_tunnel *t, const struct nx_planned_route *route, int from)
{
	uint32_t table = route->own_table ? t->priv->mark : 0;
	struct nl_sock *nl = t->manager->priv->nl;
	char buf[NX_ADDR_STRLEN];
	int r;

	r = from ? nx_route_move(nl, from, t->ifindex, &route->prefix, table)
		 : nx_route_add(nl, t->ifindex, &route->prefix, table);
	if (r)
		nx_log_full(LOG_WARNING, "RouteFailed", t->config->name, "route to %s: %s",
			    nx_prefix_format(&route->prefix, buf),
			    r == -EEXIST ? "already reached through another interface"
					 : strerror(-r));
}

/* The routes D-Bus shows. */
static void publish_routes(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_prefix *list = calloc(p->n_planned + 1, sizeof(*list));

	if (!list)
		return;
	for (size_t i = 0; i < p->n_planned; i++)
		list[i] = p->planned[i].prefix;
	free(t->routes);
	t->routes = list;
	t->n_routes = p->n_planned;
}

/* @old: the device of the routes until now. */
static void set_routes(struct nx_tunnel *t, struct nx_planned_route *routes, size_t n, int old)
{
	struct nx_tunnel_private *p = t->priv;

	for (size_t i = 0; i < n; i++)
		add_route(t, &routes[i], old == t->ifindex ? 0 : old);
	/* Rules only when the table behind them is filled, and off before it is emptied. */
	set_rules(t, AF_INET, wants_rules(routes, n, AF_INET), &p->rules4);
	set_rules(t, AF_INET6, wants_rules(routes, n, AF_INET6), &p->rules6);
	for (size_t i = 0; i < p->n_planned; i++)
		if (!planned_has(routes, n, &p->planned[i]))
			(void)nx_route_delete(t->manager->priv->nl, old, &p->planned[i].prefix,
					      p->planned[i].own_table ? p->mark : 0);
	free(p->planned);
	p->planned = routes;
	p->n_planned = n;
	publish_routes(t);
}

void nx_tunnel_set_routes(struct nx_tunnel *t, struct nx_planned_route *routes, size_t n)
{
	set_routes(t, routes, n, t->ifindex);
}

/* ---- another device ---- */

void nx_tunnel_change_device(struct nx_tunnel *t, int ifindex, const char *ifname,
			     struct nx_planned_route *routes, size_t n)
{
	struct nl_sock *nl = t->manager->priv->nl;
	int old = t->ifindex;

	t->ifindex = ifindex;
	memcpy(t->ifname, ifname, sizeof(t->ifname));
	set_routes(t, routes, n, old);
	/* With them go the routes that the kernel has made of them. */
	for (size_t i = 0; i < t->n_addresses; i++)
		(void)nx_address_delete(nl, old, &t->addresses[i]);
}

void nx_tunnel_device_lost(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	p->mtu_timer = sd_event_source_disable_unref(p->mtu_timer);
	p->dp_phase = NX_DP_NONE;
	t->ifindex = 0;
	t->ifname[0] = '\0';
	nx_device_record_forget(t);
	p->net_lost = t->config->role == NX_ROLE_CLIENT && t->mtu;
	/* A server's is set up from its configuration. */
	if (!p->net_lost) {
		t->mtu = 0;
		(void)replace_list(&t->addresses, &t->n_addresses, NULL, 0);
	}
}

void nx_tunnel_restore_net(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	p->net_lost = false;
	if (nx_device_configure(t->manager, t->ifindex, t->addresses, t->n_addresses, t->mtu) < 0)
		nx_log_full(LOG_ERR, NULL, t->config->name,
			    "the addresses of the lost interface cannot be given to another");
	/* The rules have stayed. */
	for (size_t i = 0; i < p->n_planned; i++)
		add_route(t, &p->planned[i], 0);
	nx_tunnel_net_changed(t);
}

void nx_tunnel_remove_device(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	/* Before the routes they lead to. */
	set_rules(t, AF_INET, false, &p->rules4);
	set_rules(t, AF_INET6, false, &p->rules6);
	if (t->ifindex) {
		if (p->dp_phase != NX_DP_NONE)
			(void)nx_dp_delete_device(p->dp, t->ifindex, NULL, NULL);
		/* Routes and addresses go with it. */
		(void)nx_link_delete(t->manager->priv->nl, t->ifindex);
	}
	p->net_lost = false;
	nx_device_record_forget(t);
	p->mtu_timer = sd_event_source_disable_unref(p->mtu_timer);
	p->mtu_warned = false;
	p->dp_phase = NX_DP_NONE;
	if (p->tun_fd >= 0) {
		nx_manager_unstore(t->manager, "tun:%s", t->config->name);
		close(p->tun_fd);
		p->tun_fd = -1;
	}
	p->tun_requested = false;
	t->ifindex = 0;
	t->ifname[0] = '\0';
	t->mtu = 0;
	free(p->planned);
	p->planned = NULL;
	p->n_planned = 0;
	(void)replace_list(&t->addresses, &t->n_addresses, NULL, 0);
	(void)replace_list(&t->routes, &t->n_routes, NULL, 0);
	nx_texts_free(t->dns);
	nx_texts_free(t->dns_domains);
	t->dns = t->dns_domains = NULL;
}
