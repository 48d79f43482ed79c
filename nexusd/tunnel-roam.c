// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client tunnel and the network below it. Whenever something changes there, the kernel is asked how
 * packets to the server leave now:
 *
 *   from another address   the session moves there (RFC 9000 9), the data plane validates the path;
 *   again, after absence   the server is asked at once, whatever the probe timeouts have grown to;
 *   not at all             nothing: the session waits for the network. But if only another address of
 *                          the server can be reached, that is connected to.
 *
 * After a sleep of the machine the server is asked as well. If the new path does not come to life or the
 * server does not answer for ANSWER_US, a fresh handshake begins while the session stays; whichever
 * carries first is kept. Where the server must have dropped the session meanwhile, it begins at once.
 *
 * Changes come in flocks: they are looked at once, SETTLE_US after the first of them, and a session does
 * not move again before HOLD_US are over.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "lib/log.h"
#include "prefix.h"
#include "tunnel-internal.h"

#define SETTLE_US 50000
#define HOLD_US 500000
#define ANSWER_US 1000000
#define ASK_AGAIN_US 250000
/* While a fresh handshake is under way the old session may still come back. */
#define ASK_RARELY_US 1000000

static int on_check(sd_event_source *source, uint64_t usec, void *userdata);
static int on_look(sd_event_source *source, uint64_t usec, void *userdata);

/* A clock that does not stop while the machine sleeps. */
static uint64_t boottime_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct nx_session *session_of(struct nx_tunnel *t)
{
	return TAILQ_FIRST(&t->sessions);
}

/* After so long without a packet the server has dropped the session. */
static uint64_t idle_us(const struct nx_tunnel *t, const struct nx_session *s)
{
	return s->idle_timeout_ms ? s->idle_timeout_ms * UINT64_C(1000)
				  : t->config->idle_timeout_s * UINT64_C(1000000);
}

/*
 * May end in the loss of the session, if the device or the sockets fail: whoever calls it looks again.
 *
 * First to the address that served until now: a name would perhaps be resolved through the tunnel. If
 * that does not answer, the name is resolved again.
 */
static void renew(struct nx_tunnel *t, const struct nx_endpoint *remote, const char *why)
{
	struct nx_endpoint to = *remote;

	/* One that failed is tried again in its time. */
	if (t->priv->renewing || t->priv->renew_failures)
		return;
	nx_client_prefer(t, &to);
	nx_client_renew(t, why);
}

static void arm(struct nx_tunnel *t, sd_event_source **source, uint64_t delay_us,
		sd_event_time_handler_t fn)
{
	*source = sd_event_source_disable_unref(*source);
	if (sd_event_add_time_relative(t->manager->event, source, CLOCK_MONOTONIC, delay_us, 5000,
				       fn, t) < 0)
		nx_log_full(LOG_ERR, NULL, t->config->name, "no timer to watch the network with");
}

/* ---- telling the data plane ---- */

/* Its word on a migration, or on the question whether the server is there. */
static void on_told(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_session *s = userdata;
	struct nx_tunnel *t = s->tunnel;
	char why[160];

	/* Without a data plane there is no session either, and that is noticed elsewhere. */
	if (msg || !err || err == -EPIPE || !t->priv->wanted)
		return;
	snprintf(why, sizeof(why), "the session cannot move (%s)", text[0] ? text : strerror(-err));
	renew(t, &s->remote, why);
}

static const struct nx_udp_pair *pair_of(const struct nx_tunnel *t, const struct nx_session *s)
{
	const struct nx_tunnel_private *p = t->priv;

	for (size_t i = 0; i < p->n_pairs; i++)
		if (p->pairs[i].local.sa.sa_family == s->remote.sa.sa_family &&
		    p->pair_dp[i] == s->dp)
			return &p->pairs[i];
	return NULL;
}

/* Be at @address: go there, or if it is there already ask the server for a sign of life. */
static void tell(struct nx_tunnel *t, struct nx_session *s, const struct nx_prefix *address)
{
	const struct nx_udp_pair *pair = pair_of(t, s);
	struct nx_endpoint local;
	int r = -EBADF;

	if (pair) {
		local = pair->local;
		nx_endpoint_set_address(&local, address);
		r = nx_dp_migrate(s->dp, s->id, pair->dp_fd, &local, &s->remote, on_told, s);
	}
	if (r && r != -EPIPE)
		renew(t, &s->remote, "the data plane cannot be told");
}

/* ---- is the server there? ---- */

static void settled(struct nx_tunnel *t)
{
	struct nx_roam *r = &t->priv->roam;

	r->check = sd_event_source_disable_unref(r->check);
	r->asked_us = 0;
	if (t->priv->renewing || t->priv->renew_failures)
		nx_client_stop_renewal(t);
	nx_log_full(LOG_INFO, "ServerAnswers", t->config->name, "the server answers");
}

/* What the data plane has received tells whether the question was answered. */
static void on_received(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nxa tb[NQD_A_MAX + 1], st[NQD_A_STATS_MAX + 1];
	struct nx_session *s = userdata;
	struct nx_roam *r = &s->tunnel->priv->roam;
	struct nxm_error e;

	if (!msg) {
		r->query_us = 0;
		return;
	}
	if (r->moving || !r->asked_us || r->query_us < r->asked_us ||
	    nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) < 0 ||
	    !tb[NQD_A_STATS].present ||
	    nxa_parse_nest(&tb[NQD_A_STATS], &nqd_stats_set, st, msg->buf, &e) < 0 ||
	    !st[NQD_A_STATS_LAST_RX_AGO_MS].present)
		return;
	/* Rounded against us: what came before the question is no answer. */
	if ((nxa_u64(&st[NQD_A_STATS_LAST_RX_AGO_MS]) + 1) * 1000 <= r->query_us - r->asked_us)
		settled(s->tunnel);
}

static void query(struct nx_tunnel *t, struct nx_session *s)
{
	struct nx_roam *r = &t->priv->roam;

	if (r->query_us)
		return;
	r->query_us = nx_now_us();
	if (nx_dp_get_stats(s->dp, s->id, on_received, s) < 0)
		r->query_us = 0;
}

static void ask(struct nx_tunnel *t, struct nx_session *s)
{
	struct nx_prefix here = nx_prefix_of_endpoint(&s->local);

	t->priv->roam.moving = false;
	t->priv->roam.asked_us = nx_now_us();
	tell(t, s, &here);
	arm(t, &t->priv->roam.check, ASK_AGAIN_US, on_check);
}

static int on_check(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;
	struct nx_session *s = session_of(t);
	struct nx_roam *r = &t->priv->roam;
	struct nx_prefix here;

	r->check = sd_event_source_disable_unref(r->check);
	if (!s)
		return 0;
	query(t, s);
	/* A path that is being validated is asked by the data plane. */
	here = nx_prefix_of_endpoint(&s->local);
	if (!r->moving)
		tell(t, s, &here);
	s = session_of(t);
	if (s && nx_now_us() - r->asked_us >= ANSWER_US)
		renew(t, &s->remote,
		      r->moving ? "the new path does not carry" : "the server does not answer");
	if (!session_of(t))
		return 0;
	arm(t, &r->check, t->priv->renewing ? ASK_RARELY_US : ASK_AGAIN_US, on_check);
	return 0;
}

/* ---- moving ---- */

static bool is_at(const struct nx_session *s, const struct nx_prefix *address)
{
	struct nx_prefix local = nx_prefix_of_endpoint(&s->local);

	return nx_prefix_equal(&local, address);
}

static void move(struct nx_tunnel *t, struct nx_session *s, const struct nx_prefix *address)
{
	struct nx_roam *r = &t->priv->roam;
	char from[NX_ADDR_STRLEN], at[NX_ADDR_STRLEN];
	struct nx_endpoint to = s->local;

	nx_endpoint_set_address(&to, address);
	nx_log_full(LOG_NOTICE, "Moving", t->config->name,
		    "the network changed: moving from %s to %s",
		    nx_endpoint_format(&s->local, from), nx_endpoint_format(&to, at));
	r->moving = true;
	r->to = *address;
	r->asked_us = r->moved_us = nx_now_us();
	tell(t, s, address);
	arm(t, &r->check, ASK_AGAIN_US, on_check);
}

/* ---- looking at the network ---- */

static bool find_way(struct nx_tunnel *t, const struct nx_endpoint *remote, struct nx_way *way)
{
	/* A way through the tunnel itself leads nowhere. */
	return nx_way_find(t->manager->priv->nl, remote, t->priv->mark, way) == 0 &&
	       way->ifindex != t->ifindex && way->ifindex != t->priv->coming.ifindex &&
	       way->ifindex != t->priv->leaving.ifindex;
}

/* As long as no address of the server is known: is there a way to anywhere? No packet is sent. */
static bool find_any_way(struct nx_tunnel *t, struct nx_way *way)
{
	static const char *const documentation[] = { "192.0.2.1:443", "[2001:db8::1]:443" };
	struct nx_endpoint e;

	for (size_t i = 0; i < 2; i++)
		if (nx_endpoint_parse(documentation[i], &e) == 0 && find_way(t, &e, way))
			return true;
	return false;
}

/* For people who look at a tunnel that is connected and carries nothing. */
static void set_text(struct nx_tunnel *t, const char *text)
{
	static char *names[] = { "StateText", NULL };

	if (t->state != NX_TUNNEL_CONNECTED)
		return;
	snprintf(t->text, sizeof(t->text), "%s", text);
	nx_tunnel_bus_properties_changed(t, names);
}

static void note_absence(struct nx_tunnel *t, struct nx_session *s)
{
	struct nx_tunnel_private *p = t->priv;
	struct nx_way way;

	for (size_t i = 0; s && i < p->n_remotes; i++) {
		if (p->remotes[i].sa.sa_family != s->remote.sa.sa_family &&
		    find_way(t, &p->remotes[i], &way)) {
			renew(t, &p->remotes[i], "only another address of the server is reachable");
			break;
		}
	}
	if (p->roam.absent)
		return;
	p->roam.absent = true;
	p->roam.absent_since_us = boottime_us();
	nx_log_full(LOG_NOTICE, "NetworkLost", t->config->name, "no network leads to the server");
	set_text(t, "no network leads to the server");
}

/* How long the server may have heard nothing; the absence is over. */
static uint64_t end_absence(struct nx_tunnel *t)
{
	struct nx_roam *r = &t->priv->roam;
	uint64_t away_us = r->slept_us;

	if (r->absent) {
		away_us = boottime_us() - r->absent_since_us;
		nx_log_full(LOG_NOTICE, "NetworkBack", t->config->name,
			    "the network leads to the server again");
		set_text(t, "");
	}
	r->absent = r->unsure = false;
	r->slept_us = 0;
	return away_us;
}

/* No session: an attempt that waits, or that went into the void, is made again now. */
static void try_now(struct nx_tunnel *t)
{
	if ((t->state != NX_TUNNEL_RECONNECTING && t->state != NX_TUNNEL_CONNECTING) ||
	    !TAILQ_EMPTY(&t->priv->installing) || t->reason == NX_REASON_CONFIGURATION)
		return;
	t->priv->failures = 0;
	nx_client_reset(t);
	nx_tunnel_step(t);
}

/*
 * The network is as @way says. @due: the session is to be asked even if it can stay where it is.
 */
static void follow(struct nx_tunnel *t, struct nx_session *s, const struct nx_way *way, bool due)
{
	struct nx_roam *r = &t->priv->roam;
	bool stays = is_at(s, &way->local),
	     going = r->moving && nx_prefix_equal(&r->to, &way->local);
	uint64_t now = nx_now_us(), away_us;

	if (!stays && !going && r->moved_us && now - r->moved_us < HOLD_US) {
		r->unsure |= due;
		arm(t, &r->look, HOLD_US - (now - r->moved_us), on_look);
		return;
	}
	away_us = end_absence(t);
	/* What was sent before went into the void. */
	if (due && (t->priv->renewing || t->priv->renew_failures))
		nx_client_stop_renewal(t);
	if (away_us >= idle_us(t, s))
		renew(t, &s->remote, "the server has dropped the session meanwhile");
	s = session_of(t);
	if (!s)
		return;
	if (!stays && (due || !going))
		move(t, s, &way->local);
	else if (stays && (due || r->moving))
		ask(t, s);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;
	struct nx_roam *r = &t->priv->roam;
	struct nx_session *s = session_of(t);
	struct nx_way way;
	bool due;

	r->look = sd_event_source_disable_unref(r->look);
	if (!t->priv->wanted || t->manager->priv->adopting)
		return 0;
	if (s)
		r->remote = s->remote;
	if (r->remote.sa.sa_family ? !find_way(t, &r->remote, &way) : !find_any_way(t, &way)) {
		note_absence(t, s);
		return 0;
	}
	due = r->absent || r->unsure || (r->ifindex && r->ifindex != way.ifindex);
	r->ifindex = way.ifindex;
	/* A session from before a restart of this process does not tell its address. */
	if (s && nx_endpoint_is_wildcard(&s->local))
		nx_endpoint_set_address(&s->local, &way.local);
	if (s) {
		follow(t, s, &way, due);
		s = session_of(t);
		if (s && !r->moving)
			nx_client_limit_path(t, s);
	} else {
		(void)end_absence(t);
		if (due)
			try_now(t);
	}
	return 0;
}

/* ---- what happens ---- */

void nx_roam_network_changed(struct nx_tunnel *t)
{
	struct nx_roam *r = &t->priv->roam;

	if (t->config->role == NX_ROLE_CLIENT && t->priv->wanted && !r->look)
		arm(t, &r->look, SETTLE_US, on_look);
}

void nx_roam_resumed(struct nx_tunnel *t, uint64_t slept_us)
{
	if (t->config->role != NX_ROLE_CLIENT || !t->priv->wanted)
		return;
	t->priv->roam.unsure = true;
	t->priv->roam.slept_us += slept_us;
	arm(t, &t->priv->roam.look, 0, on_look);
}

void nx_roam_path_changed(struct nx_tunnel *t, struct nx_session *s)
{
	struct nx_roam *r = &t->priv->roam;

	/* Validated or not, packets leave there now: do they come back? */
	if (r->moving && is_at(s, &r->to))
		ask(t, s);
	else if (r->moving)
		renew(t, &s->remote, "the new path does not carry");
	nx_roam_network_changed(t);
}

void nx_roam_session_gone(struct nx_tunnel *t)
{
	struct nx_roam *r = &t->priv->roam;

	r->check = sd_event_source_disable_unref(r->check);
	r->asked_us = r->query_us = r->moved_us = 0;
	r->moving = false;
}

void nx_roam_stop(struct nx_tunnel *t)
{
	struct nx_roam *r = &t->priv->roam;

	nx_roam_session_gone(t);
	r->look = sd_event_source_disable_unref(r->look);
	memset(r, 0, sizeof(*r));
}
