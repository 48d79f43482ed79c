// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events of a data plane were lost, and it remembers only the last sessions that have ended: those it
 * does not list any more are gone as well.
 *
 * There may be thousands. So the numbers it lists are only gathered, and looked for when all are there
 * and in order. Sessions that end meanwhile leave the recount by themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/log.h"
#include "tunnel-internal.h"

#define FIRST_IDS 256

struct nx_recount {
	struct nx_dp *dp;
	TAILQ_HEAD(, nx_session) unlisted; /* those it had when it was asked */
	uint64_t *ids; /* that it has listed */
	size_t n, room;
	int err;
};

static void gone(struct nx_session *s)
{
	enum nqd_down_reason reason = NQD_DOWN_DELETED;

	if (s->waits)
		reason = NQD_DOWN_UNCONFIRMED;
	else if (nx_session_other(s))
		reason = NQD_DOWN_REPLACED;
	nx_tunnel_session_down(s->tunnel, s, reason, "the data plane does not have it any more");
}

void nx_recount_leave(struct nx_session *s)
{
	if (!s->recount)
		return;
	TAILQ_REMOVE(&s->recount->unlisted, s, unlisted);
	s->recount = NULL;
}

static void note_id(struct nx_recount *rc, uint64_t id)
{
	size_t room = rc->room ? 2 * rc->room : FIRST_IDS;
	uint64_t *ids;

	if (rc->n == rc->room) {
		ids = reallocarray(rc->ids, room, sizeof(*ids));
		if (!ids) {
			rc->err = -ENOMEM;
			return;
		}
		rc->ids = ids;
		rc->room = room;
	}
	rc->ids[rc->n++] = id;
}

static void listed(struct nx_recount *rc, const struct nx_chan_msg *msg)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nxm_error e;

	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) ||
	    !tb[NQD_A_SESSION].present ||
	    nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, msg->buf, &e) ||
	    !ses[NQD_A_SESSION_ID].present)
		return;
	note_id(rc, nxa_u64(&ses[NQD_A_SESSION_ID]));
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Only those that were not listed are left. */
static void cross_off(struct nx_recount *rc)
{
	struct nx_session *s, *next;

	if (!rc->n)
		return;
	qsort(rc->ids, rc->n, sizeof(*rc->ids), compare_ids);
	for (s = TAILQ_FIRST(&rc->unlisted); s; s = next) {
		next = TAILQ_NEXT(s, unlisted);
		if (bsearch(&s->id, rc->ids, rc->n, sizeof(*rc->ids), compare_ids))
			nx_recount_leave(s);
	}
}

static void finish(struct nx_recount *rc, int err, const char *text)
{
	struct nx_dp *d = rc->dp;
	struct nx_session *s;

	if (err && err != -EPIPE)
		nx_err("%s does not list its sessions: %s", d->name, text);
	if (!err)
		cross_off(rc);
	/* One may take others with it. */
	while ((s = TAILQ_FIRST(&rc->unlisted))) {
		nx_recount_leave(s);
		if (!err)
			gone(s);
	}
	free(rc->ids);
	free(rc);
	nx_dp_looked_again(d);
}

static void on_listed(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_recount *rc = userdata;

	if (msg)
		listed(rc, msg);
	else if (!err && rc->err)
		finish(rc, rc->err, strerror(-rc->err));
	else
		finish(rc, err, text);
}

void nx_sessions_recount(void *userdata, struct nx_dp *d)
{
	struct nx_recount *rc = calloc(1, sizeof(*rc));
	struct nx_manager *m = userdata;
	struct nx_session *s;
	struct nx_tunnel *t;
	int r;

	if (!rc) {
		nx_err("the sessions of %s can not be counted: %s", d->name, strerror(ENOMEM));
		nx_dp_looked_again(d);
		return;
	}
	rc->dp = d;
	TAILQ_INIT(&rc->unlisted);
	/* Not those that are added from now on. */
	TAILQ_FOREACH (t, &m->tunnels, entry) {
		TAILQ_FOREACH (s, &t->sessions, entry) {
			if (s->dp != d)
				continue;
			s->recount = rc;
			TAILQ_INSERT_TAIL(&rc->unlisted, s, unlisted);
		}
	}
	r = nx_dp_get_stats(d, 0, on_listed, rc);
	if (r)
		finish(rc, r, strerror(-r));
}
