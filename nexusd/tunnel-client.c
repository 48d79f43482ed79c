// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client tunnel: resolve the endpoint, try its addresses in turn, install the session that comes
 * of it, and start again with growing pauses when it fails or ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "backoff.h"
#include "lib/log.h"
#include "net-link.h"
#include "prefix.h"
#include "tunnel-internal.h"

/* nexus-hsd gives up by itself long before. */
#define ATTEMPT_GUARD_US 30000000

enum nx_reason nx_reason_of_down(enum nqd_down_reason r)
{
	switch (r) {
	case NQD_DOWN_IDLE_TIMEOUT:
		return NX_REASON_IDLE_TIMEOUT;
	case NQD_DOWN_PEER_CLOSED:
		return NX_REASON_PEER_CLOSED;
	case NQD_DOWN_STATELESS_RESET:
		return NX_REASON_STATELESS_RESET;
	case NQD_DOWN_PROTOCOL_ERROR:
		return NX_REASON_PROTOCOL;
	case NQD_DOWN_KEY_LIMIT:
		return NX_REASON_KEY_LIMIT;
	case NQD_DOWN_SOCKET_ERROR:
		return NX_REASON_SOCKET;
	case NQD_DOWN_DELETED:
	case NQD_DOWN_REPLACED:
		return NX_REASON_REQUESTED;
	case NQD_DOWN_UNCONFIRMED:
		return NX_REASON_TIMEOUT;
	}
	return NX_REASON_NONE;
}

static enum nx_reason reason_of_hs(enum hs_reason r)
{
	switch (r) {
	case HS_REASON_TIMEOUT:
		return NX_REASON_TIMEOUT;
	case HS_REASON_AUTH_REFUSED:
		return NX_REASON_AUTH_REFUSED;
	case HS_REASON_SERVER_PROOF:
		return NX_REASON_SERVER_PROOF;
	case HS_REASON_PROTOCOL:
		return NX_REASON_PROTOCOL;
	case HS_REASON_REFUSED_CONFIG:
		return NX_REASON_CONFIGURATION;
	case HS_REASON_SOCKET:
		return NX_REASON_SOCKET;
	case HS_REASON_CANCELLED:
	case HS_REASON_NONE:
		break;
	}
	return NX_REASON_REQUESTED;
}

/* Trying again soon would not help. */
static bool is_refusal(enum nx_reason r)
{
	return r == NX_REASON_AUTH_REFUSED || r == NX_REASON_SERVER_PROOF ||
	       r == NX_REASON_CONFIGURATION;
}

/* No attempt, no pause before one. */
static void stop_trying(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	nx_resolve_cancel(p->resolve);
	p->resolve = NULL;
	if (p->attempt)
		(void)nx_hsd_cancel(&t->manager->priv->hsd, t->config->name, p->attempt);
	p->attempt = 0;
	nx_tunnel_disarm_timer(t);
	nx_client_renew_stop(t);
}

void nx_client_reset(struct nx_tunnel *t)
{
	stop_trying(t);
	t->priv->n_remotes = t->priv->next_remote = 0;
}

void nx_client_stop_renewal(struct nx_tunnel *t)
{
	const struct nx_session *s = TAILQ_FIRST(&t->sessions);

	stop_trying(t);
	if (s)
		nx_client_renew_arm(t, (uint64_t)time(NULL) - s->last_handshake_s);
	if (s && t->priv->coming.dp)
		nx_client_renew_soon(t);
}

/* ---- failure and retry ---- */

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;

	nx_tunnel_disarm_timer(t);
	nx_tunnel_step(t);
	return 0;
}

uint32_t nx_jitter(void)
{
	uint32_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)getpid();
	return random;
}

void nx_client_retry(struct nx_tunnel *t, enum nx_reason reason, const char *text)
{
	struct nx_tunnel_private *p = t->priv;
	unsigned int renew_failures = p->renew_failures;
	uint32_t random = nx_jitter();
	uint64_t delay;

	nx_client_reset(t);
	if (!TAILQ_EMPTY(&t->sessions)) {
		p->renew_failures = renew_failures;
		nx_client_renew_failed(t, text);
		return;
	}
	/* A session that was up is replaced at once; only what fails again has to wait. */
	delay = p->failures ? nx_backoff_us(p->failures, is_refusal(reason), random)
			    : 10000 + random % 100000;
	p->failures++;
	nx_tunnel_set_state(t, NX_TUNNEL_RECONNECTING, reason, "%s", text);
	if (nx_tunnel_arm_timer(t, delay, on_retry) < 0)
		nx_tunnel_fail(t, reason, text);
}

/* Refused, but that may have been bad luck: true if another attempt was arranged. */
static bool doubt_refusal(struct nx_tunnel *t, enum nx_reason reason, const char *text)
{
	struct nx_tunnel_private *p = t->priv;

	if (reason != NX_REASON_AUTH_REFUSED) {
		p->refusals = 0;
		return false;
	}
	if (p->refusals < NX_REFUSALS_BELIEVED)
		p->refusals++;
	if (p->refusals == NX_REFUSALS_BELIEVED ||
	    nx_tunnel_arm_timer(t, nx_doubt_us(p->refusals, nx_jitter()), on_retry) < 0)
		return false;
	nx_log_full(LOG_INFO, NULL, t->config->name, "%s; trying once more", text);
	return true;
}

static const char *default_text(enum nx_reason reason)
{
	switch (reason) {
	case NX_REASON_TIMEOUT:
		return "no answer from the server: it is down, UDP is blocked on the way, or the key, short id or clock is wrong";
	case NX_REASON_AUTH_REFUSED:
		return "authentication refused: the client key, the short id or the clock is wrong";
	case NX_REASON_SERVER_PROOF:
		return "the server did not prove that it holds server_public_key";
	default:
		return "the attempt failed";
	}
}

void nx_tunnel_attempt_failed(struct nx_tunnel *t, uint64_t attempt, enum hs_reason hs_reason,
			      const char *text)
{
	struct nx_tunnel_private *p = t->priv;
	enum nx_reason reason = reason_of_hs(hs_reason);
	char copy[256];

	if (!p->wanted || !p->attempt || attempt != p->attempt)
		return;
	snprintf(copy, sizeof(copy), "%s", text[0] ? text : default_text(reason));
	p->attempt = 0;
	nx_tunnel_disarm_timer(t);
	if (doubt_refusal(t, reason, copy))
		return;
	/* Whoever answered with a refusal answers the same on its other addresses. */
	if (!is_refusal(reason) && p->next_remote + 1 < p->n_remotes) {
		p->next_remote++;
		nx_log_full(LOG_INFO, NULL, t->config->name, "%s; trying the next address", copy);
		nx_tunnel_step(t);
		return;
	}
	if (!p->failures)
		p->failures = 1;
	nx_client_retry(t, reason, copy);
}

static int on_attempt_guard(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;
	uint64_t attempt = t->priv->attempt;

	(void)nx_hsd_cancel(&t->manager->priv->hsd, t->config->name, attempt);
	nx_tunnel_attempt_failed(t, attempt, HS_REASON_TIMEOUT, "");
	return 0;
}

void nx_client_prefer(struct nx_tunnel *t, const struct nx_endpoint *remote)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_endpoint first = p->remotes[0];
	size_t i = 0;

	while (i < p->n_remotes && !nx_endpoint_equal(&p->remotes[i], remote))
		i++;
	if (i < p->n_remotes)
		p->remotes[i] = first;
	else
		p->n_remotes = 1;
	p->remotes[0] = *remote;
	p->next_remote = 0;
}

/* ---- attempts ---- */

static void on_connect(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_tunnel *t = userdata;

	if (!msg && err && err != -EPIPE)
		nx_tunnel_attempt_failed(t, t->priv->attempt, HS_REASON_SOCKET,
					 text[0] ? text : strerror(-err));
}

/* The pair of the remote's family and of this data plane; opened when first needed. -1 after a failure. */
static int pair_for(struct nx_tunnel *t, int family, struct nx_dp *dp, bool *opened)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_endpoint any = {};
	int r;

	for (size_t i = 0; i < p->n_pairs; i++)
		if (p->pairs[i].local.sa.sa_family == family && p->pair_dp[i] == dp)
			return (int)i;
	any.sa.sa_family = (sa_family_t)family;
	r = nx_udp_pair_open(&any, p->mark, &p->pairs[p->n_pairs]);
	if (r) {
		nx_log_full(LOG_ERR, NULL, t->config->name, "cannot open %s sockets: %s",
			    family == AF_INET6 ? "IPv6" : "IPv4", strerror(-r));
		return -1;
	}
	p->pair_dp[p->n_pairs++] = dp;
	*opened = true;
	return (int)p->n_pairs - 1;
}

static void on_resolved(void *userdata, int err, const char *text, const struct nx_endpoint *list,
			size_t n)
{
	struct nx_tunnel *t = userdata;
	struct nx_tunnel_private *p = t->priv;

	p->resolve = NULL;
	/* Perhaps the name server is beyond the tunnel that is to be renewed. */
	if (err && p->renewing) {
		list = &p->roam.remote;
		n = 1;
	} else if (err) {
		if (!p->failures)
			p->failures = 1;
		nx_client_retry(t, NX_REASON_TIMEOUT, text);
		return;
	}
	memcpy(p->remotes, list, n * sizeof(*list));
	p->n_remotes = n;
	p->next_remote = 0;
	nx_tunnel_step(t);
}

/* Do we know where to go? */
static bool have_remotes(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	int r;

	if (p->n_remotes)
		return true;
	if (p->resolve)
		return false;
	if (nx_resolve_literal(t->config->endpoint, &p->remotes[0]) == 0) {
		p->n_remotes = 1;
		p->next_remote = 0;
		return true;
	}
	r = nx_resolve_start(t->manager->event, t->config->endpoint, on_resolved, t, &p->resolve);
	if (r < 0)
		nx_client_retry(t, NX_REASON_SOCKET, strerror(-r));
	return false;
}

uint32_t nx_client_wanted_mtu(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	uint32_t mtu;

	if (!p->n_remotes)
		return t->config->mtu;
	mtu = nx_path_payload(&p->remotes[p->next_remote], p->mark) - NX_OVERHEAD_FIXED -
	      NX_CLIENT_CID_LEN - NX_CONTEXT_PREFIX_LEN;
	return t->config->mtu && t->config->mtu < mtu ? t->config->mtu : mtu;
}

static void start_attempt(struct nx_tunnel *t, int pair)
{
	struct nx_tunnel_private *p = t->priv;
	const struct nx_endpoint *remote = &p->remotes[p->next_remote];
	char addr[NX_ADDR_STRLEN];
	int r;

	p->attempt = ++t->manager->priv->last_attempt;
	p->roam.remote = *remote;
	nx_log_full(LOG_INFO, "Connecting", t->config->name, "connecting to %s",
		    nx_endpoint_format(remote, addr));
	r = nx_hsd_connect(&t->manager->priv->hsd, t->config->name, p->attempt, remote,
			   (uint32_t)pair, on_connect, t);
	if (r < 0)
		p->attempt = 0; /* nexus-hsd is away and will come back */
	else if (nx_tunnel_arm_timer(t, ATTEMPT_GUARD_US, on_attempt_guard) < 0)
		nx_tunnel_fail(t, NX_REASON_SOCKET, "no timer");
}

/* The device of the next session; true when the data plane has it. */
static bool device_ready(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	if (p->coming.dp)
		return nx_move_ready(t);
	if (nx_tunnel_attach_device(t) < 0)
		return false;
	nx_tunnel_create_dp_device(t);
	return p->dp_phase == NX_DP_READY;
}

void nx_client_step(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_dp *dp = nx_move_target(t);
	bool opened = false, ready;
	int pair;

	if (!TAILQ_EMPTY(&t->sessions) && !p->renewing)
		return;
	if (!TAILQ_EMPTY(&p->installing) || p->attempt || p->timer)
		return;
	if (!nx_dp_connected(dp) || !have_remotes(t))
		return;
	pair = pair_for(t, p->remotes[p->next_remote].sa.sa_family, dp, &opened);
	if (pair < 0) {
		if (p->next_remote + 1 < p->n_remotes) {
			p->next_remote++;
			nx_client_step(t);
			return;
		}
		if (!p->failures)
			p->failures = 1;
		nx_client_retry(t, NX_REASON_SOCKET, "cannot open UDP sockets");
		return;
	}
	if (opened) {
		nx_tunnel_store_pairs(t);
		/* It does not know the new sockets. */
		*(p->coming.dp ? &p->coming.phase : &p->dp_phase) = NX_DP_NONE;
	}
	/* 1-RTT packets of the handshake come to the data socket: somebody must read it. */
	ready = device_ready(t);
	if (!p->wanted || p->attempt)
		return;
	/* nexus-hsd must know all sockets and the MTU this path carries. */
	if (p->hsd_phase == NX_HSD_READY && (opened || p->hsd_mtu != nx_client_wanted_mtu(t))) {
		p->hsd_phase = NX_HSD_HAVE_SECRETS;
		nx_tunnel_step(t);
		return;
	}
	if (p->hsd_phase == NX_HSD_READY && ready)
		start_attempt(t, pair);
}

/* ---- an established session ---- */

/* Move the names of an offer into the tunnel. */
static void take_dns(struct nx_tunnel *t, struct nx_net_offer *o)
{
	char **dns = t->dns, **domains = t->dns_domains;

	t->dns = o->dns;
	t->dns_domains = o->dns_domains;
	o->dns = dns;
	o->dns_domains = domains;
}

static int apply_offer(struct nx_tunnel *t, struct nx_net_offer *o,
		       const struct nx_endpoint *remote, uint32_t mtu)
{
	struct nx_planned_route *plan;
	size_t n;
	int r;

	if (o->n_addresses == 0)
		return -EADDRNOTAVAIL;
	r = nx_tunnel_attach_device(t);
	if (!r)
		r = nx_tunnel_configure_device(t, o->addresses, o->n_addresses, mtu);
	if (!r)
		r = nx_route_plan(o->routes, o->n_routes, t->config->allowed_ips,
				  t->config->n_allowed_ips, remote, &plan, &n);
	if (r)
		return r;
	nx_tunnel_set_routes(t, plan, n);
	take_dns(t, o);
	return 0;
}

static uint32_t min_nonzero(uint32_t a, uint32_t b)
{
	if (!a || !b)
		return a | b;
	return a < b ? a : b;
}

void nx_client_take_limits(struct nx_tunnel *t, const struct nx_net_offer *o)
{
	t->priv->mtu_limit = min_nonzero(o->mtu, t->config->mtu);
	t->priv->max_age_s = o->max_age_s;
}

/* The largest UDP payload worth trying towards the server. */
static uint32_t path_limit(const struct nx_tunnel *t, const struct nx_session *s)
{
	const struct nx_tunnel_private *p = t->priv;
	uint32_t bytes = nx_path_payload(&s->remote, p->mark);

	if (p->mtu_limit && p->mtu_limit + s->overhead < bytes)
		bytes = p->mtu_limit + s->overhead;
	return bytes < NX_UDP_PAYLOAD_MIN ? NX_UDP_PAYLOAD_MIN : bytes;
}

void nx_client_limit_path(struct nx_tunnel *t, struct nx_session *s)
{
	uint32_t bytes = path_limit(t, s);

	if (s->path_limit && s->path_limit != bytes)
		(void)nx_dp_set_path_mtu(s->dp, s->id, bytes);
	s->path_limit = bytes;
}

/* Everything that can go wrong with a report; the attempt is cancelled then. */
static int establish(struct nx_tunnel *t, const struct nx_chan_msg *msg, const struct nxa *tb)
{
	struct nx_tunnel_private *p = t->priv;
	uint32_t pair = nxa_u32(&tb[HS_A_SOCKET]), mtu;
	struct nxa ses[NQD_A_SESSION_MAX + 1];
	struct nx_dp_session args = {};
	struct nx_net_offer offer;
	struct nx_session *s;
	struct nxm_error e;
	int r;

	r = nxa_parse_nest(&tb[HS_A_SESSION], &nqd_session_set, ses, msg->buf, &e);
	if (r || pair >= p->n_pairs || p->pair_dp[pair] != nx_move_target(t))
		return -EINVAL;
	s = nx_session_new(t, nx_random_id());
	if (!s)
		return -ENOMEM;
	r = nx_session_fill(s, ses);
	if (!r)
		r = nx_net_offer_parse(tb[HS_A_NET].data, tb[HS_A_NET].len, &offer);
	if (r) {
		nx_session_free(s);
		return r;
	}
	s->user = 0;
	s->dp = nx_move_target(t);
	nx_client_take_limits(t, &offer);
	args.path_mtu_bytes = path_limit(t, s);
	mtu = nx_device_mtu(offer.addresses, offer.n_addresses, args.path_mtu_bytes - s->overhead,
			    p->mtu_limit);
	/* The session in use knows its path, this one only the route to it. */
	if (!TAILQ_EMPTY(&t->sessions) && t->mtu && t->mtu < mtu)
		mtu = t->mtu;
	if (p->coming.dp)
		r = nx_move_prepare(t, &offer, &s->remote, mtu);
	else
		r = apply_offer(t, &offer, &s->remote, mtu);
	nx_net_offer_free(&offer);
	if (r || !p->wanted) {
		/* A failed device took the tunnel and its sessions down. */
		if (p->wanted)
			nx_session_free(s);
		return r ? r : -ECANCELED;
	}
	args.socket_fd = p->pairs[pair].dp_fd;
	args.ifindex = p->coming.dp ? p->coming.ifindex : t->ifindex;
	args.flags = NQD_SESSION_F_DEFAULT_ROUTE | NQD_SESSION_F_REPLACE;
	r = nx_session_install(s, nxa_u64(&tb[HS_A_ATTEMPT]), tb, &args);
	if (r)
		nx_session_free(s);
	else
		(void)nx_state_store(t, &s->remote, &tb[HS_A_NET]);
	return r;
}

void nx_client_session(struct nx_tunnel *t, const struct nx_chan_msg *msg, const struct nxa *tb)
{
	struct nx_tunnel_private *p = t->priv;
	uint64_t attempt = nxa_u64(&tb[HS_A_ATTEMPT]);
	int r = -ECANCELED;

	if (p->wanted && p->attempt && attempt == p->attempt)
		r = establish(t, msg, tb);
	if (!r) {
		p->attempt = 0;
		nx_tunnel_disarm_timer(t);
		return;
	}
	(void)nx_hsd_cancel(&t->manager->priv->hsd, t->config->name, attempt);
	if (!p->wanted || attempt != p->attempt)
		return;
	nx_tunnel_attempt_failed(t, attempt, HS_REASON_REFUSED_CONFIG,
				 r == -EADDRNOTAVAIL ? "the server assigned no address"
						     : strerror(-r));
}

void nx_client_installed(struct nx_tunnel *t, struct nx_session *s)
{
	struct nx_tunnel_private *p = t->priv;
	char addr[NX_ADDR_STRLEN];

	p->failures = p->refusals = 0;
	nx_client_renew_arm(t, 0);
	/* The network may have changed during the handshake. */
	nx_roam_network_changed(t);
	if (s->waits && s->dp != p->dp)
		nx_move_installed(t, s);
	if (s->waits)
		return;
	memset(&p->rate, 0, sizeof(p->rate));
	nx_tunnel_set_state(t, NX_TUNNEL_CONNECTED, NX_REASON_NONE, "%s", "");
	nx_log_full(LOG_NOTICE, "Connected", t->config->name, "connected to %s",
		    nx_endpoint_format(&s->remote, addr));
	nx_tunnel_net_changed(t);
	/* The module may have come while there was nothing to move. */
	nx_tunnel_plane_changed(t);
}

static void replaced(struct nx_tunnel *t, struct nx_session *old, struct nx_session *s)
{
	s->waits = false;
	s->connected_since_s = old->connected_since_s;
	/* On the same path the data plane goes on with what was found of it. */
	if (nx_endpoint_equal(&old->local, &s->local) &&
	    nx_endpoint_equal(&old->remote, &s->remote))
		s->mtu = old->mtu;
	nx_session_free(old);
	nx_log_full(LOG_INFO, "Renewed", t->config->name, "the session has fresh keys");
	nx_tunnel_follow_mtu(t);
	nx_tunnel_net_changed(t);
	nx_tunnel_plane_changed(t);
}

void nx_client_session_down(struct nx_tunnel *t, struct nx_session *s, enum nqd_down_reason reason,
			    const char *text)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_session *other = nx_session_other(s);

	if (nx_move_took_over(t, s))
		return;
	if (other && reason == NQD_DOWN_REPLACED) {
		replaced(t, s, other);
		return;
	}
	nx_log_full(LOG_NOTICE, "SessionDown", t->config->name,
		    "session of the server ended: %s%s%s", nx_reason_str(nx_reason_of_down(reason)),
		    text[0] ? ": " : "", text);
	nx_session_free(s);
	if (other) {
		nx_client_renew_failed(t, text);
		return;
	}
	p->failures = 0;
	if (!p->renewing || !p->attempt) {
		nx_client_retry(t, nx_reason_of_down(reason), text);
		return;
	}
	/* The attempt that was to renew it now connects. */
	p->renewing = false;
	nx_tunnel_set_state(t, NX_TUNNEL_RECONNECTING, nx_reason_of_down(reason), "%s", text);
}
