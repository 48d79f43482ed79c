// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events of a data plane were lost, and it remembers only the last sessions that have ended: those it
 * does not list any more are gone as well.
 */
#include <errno.h>
#include <string.h>
#include "lib/log.h"
#include "tunnel-internal.h"

/* The next session of @d, or that with number @id, that has not been named. */
static struct nx_session *unlisted(struct nx_manager *m, const struct nx_dp *d, uint64_t id)
{
	struct nx_session *s;
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry)
		TAILQ_FOREACH (s, &t->sessions, entry)
			if (s->unlisted && s->dp == d && (!id || s->id == id))
				return s;
	return NULL;
}

static void gone(struct nx_session *s)
{
	enum nqd_down_reason reason = NQD_DOWN_DELETED;

	if (s->waits)
		reason = NQD_DOWN_UNCONFIRMED;
	else if (nx_session_other(s))
		reason = NQD_DOWN_REPLACED;
	nx_tunnel_session_down(s->tunnel, s, reason, "the data plane does not have it any more");
}

static void listed(struct nx_dp *d, const struct nx_chan_msg *msg)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nx_session *s;
	struct nxm_error e;

	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) ||
	    !tb[NQD_A_SESSION].present ||
	    nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, msg->buf, &e) ||
	    !ses[NQD_A_SESSION_ID].present)
		return;
	s = unlisted(d->userdata, d, nxa_u64(&ses[NQD_A_SESSION_ID]));
	if (s)
		s->unlisted = false;
}

static void on_listed(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_dp *d = userdata;
	struct nx_session *s;

	if (msg) {
		listed(d, msg);
		return;
	}
	if (err && err != -EPIPE)
		nx_err("%s does not list its sessions: %s", d->name, text);
	/* One may take others with it. */
	while ((s = unlisted(d->userdata, d, 0))) {
		s->unlisted = false;
		if (!err)
			gone(s);
	}
	nx_dp_looked_again(d);
}

void nx_sessions_recount(void *userdata, struct nx_dp *d)
{
	struct nx_manager *m = userdata;
	struct nx_session *s;
	struct nx_tunnel *t;
	int r;

	/* Not those that are added from now on. */
	TAILQ_FOREACH (t, &m->tunnels, entry)
		TAILQ_FOREACH (s, &t->sessions, entry)
			s->unlisted = s->dp == d;
	r = nx_dp_get_stats(d, 0, on_listed, d);
	if (r)
		on_listed(d, NULL, r, strerror(-r));
}
