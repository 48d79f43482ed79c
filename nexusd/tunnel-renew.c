// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fresh handshake of a client while its session goes on: after rekey_interval_s, so that what was
 * recorded cannot be opened with keys found later, and when the server no longer answers. The
 * attempt is an ordinary one, on the same sockets; the data plane moves to the new session when both
 * ends have it (NQD_SESSION_F_REPLACE). An attempt that fails changes nothing but the time of the next.
 */
#include "backoff.h"
#include "lib/log.h"
#include "tunnel-internal.h"

#define US_PER_S 1000000ull
/* A move to another data plane that was interrupted goes on after so long. */
#define MOVE_AGAIN_US 2000000

static int on_due(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;

	nx_client_renew(t, t->priv->renew_failures ? "once more" : "its keys are old enough");
	return 0;
}

static int arm(struct nx_tunnel *t, uint64_t delay_us)
{
	struct nx_tunnel_private *p = t->priv;

	p->renew_timer = sd_event_source_disable_unref(p->renew_timer);
	return sd_event_add_time_relative(t->manager->event, &p->renew_timer, CLOCK_MONOTONIC,
					  delay_us, 10000, on_due, t);
}

void nx_client_renew_arm(struct nx_tunnel *t, uint64_t age_s)
{
	struct nx_tunnel_private *p = t->priv;
	uint64_t interval_us = t->config->rekey_interval_s * US_PER_S, age_us = age_s * US_PER_S;
	uint64_t latest_us = p->max_age_s * US_PER_S / 4 * 3, due_us;

	/* A server that ends old sessions says so; there is time for a second attempt. */
	if (latest_us && (!interval_us || latest_us < interval_us))
		interval_us = latest_us;
	due_us = nx_renew_due_us(interval_us, nx_jitter());
	p->renewing = false;
	p->renew_failures = 0;
	p->renew_timer = sd_event_source_disable_unref(p->renew_timer);
	if (interval_us && arm(t, due_us > age_us ? due_us - age_us : 0) < 0)
		nx_log_full(LOG_ERR, NULL, t->config->name,
			    "no timer: the keys will not be renewed");
}

void nx_client_renew_soon(struct nx_tunnel *t)
{
	if (arm(t, MOVE_AGAIN_US) < 0)
		nx_log_full(LOG_ERR, NULL, t->config->name, "no timer: the session does not move");
}

void nx_client_renew_stop(struct nx_tunnel *t)
{
	struct nx_tunnel_private *p = t->priv;

	p->renewing = false;
	p->renew_failures = 0;
	p->renew_timer = sd_event_source_disable_unref(p->renew_timer);
}

void nx_client_renew(struct nx_tunnel *t, const char *why)
{
	struct nx_tunnel_private *p = t->priv;

	if (!p->wanted || t->state != NX_TUNNEL_CONNECTED || p->renewing ||
	    !TAILQ_EMPTY(&p->installing) || p->attempt)
		return;
	nx_move_finish(t);
	p->renew_timer = sd_event_source_disable_unref(p->renew_timer);
	p->renewing = true;
	nx_log_full(LOG_INFO, "Renewing", t->config->name, "a fresh handshake: %s", why);
	nx_tunnel_step(t);
}

void nx_client_renew_failed(struct nx_tunnel *t, const char *text)
{
	struct nx_tunnel_private *p = t->priv;
	unsigned int failures = p->renew_failures + 1;

	nx_client_renew_stop(t);
	p->failures = p->refusals = 0;
	p->renew_failures = failures;
	nx_log_full(LOG_WARNING, "RenewalFailed", t->config->name,
		    "no fresh handshake, the session goes on as it is: %s", text);
	/* The device may have been made ready for a path with less. */
	nx_tunnel_follow_mtu(t);
	if (arm(t, nx_backoff_us(failures, false, nx_jitter())) < 0)
		nx_log_full(LOG_ERR, NULL, t->config->name,
			    "no timer: the keys will not be renewed");
}
