// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One session takes the place of another (NQD_SESSION_F_REPLACE) without a lost packet. It promises:
 * at any moment exactly one of them sends inner packets, and whatever the peer sends on either, in
 * order or not, is delivered.
 *
 * The rule: nothing is sent on the new session until the peer's data plane has it, because before
 * that its packets would pile up in the peer's handshake daemon. How each end knows: the first thing
 * said on a session that replaces is an empty DATAGRAM, repeated until acknowledged, which only a
 * data plane says. So:
 *
 *   ADD_SESSION     dp_replace_link(): the new session waits, the older one carries on; prefixes
 *                   that nobody has are reserved, and lead where they led before
 *   a DATAGRAM      dp_take_over(): routes, queue, counters and what is known of the path move; the
 *                   older one sends no more, but what comes on it is treated as if it came here
 *   silence         when the peer has our empty DATAGRAM and three PTOs brought nothing more, the
 *                   older one is closed with CONNECTION_CLOSE; its keys go with it
 *
 * If the older one ends before that, its heir takes over at once. If the peer's data plane is never
 * heard, the new one is closed and the older one stays.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/log.h"
#include "dp.h"

/* As long as nexus-hsd keeps packets for a session that is being installed. */
#define WAIT_US 5000000
/* A path of microseconds has hardly a PTO; an interrupted process is not a silent peer. */
#define SILENCE_MIN_US 200000
/* A peer that goes on sending here is no reason to keep the keys. */
#define DRAIN_MAX_US 10000000

/* ---- counters: those of the line of sessions, so that their sum never falls ---- */

/* All but the time of the last packet. */
#define N_COUNTERS (offsetof(struct nq_counters, last_rx_us) / sizeof(u64))

static void add_u64(void *to, const void *from, size_t n)
{
	const u64 *b = from;
	u64 *a = to;

	while (n--)
		*a++ += *b++;
}

void dp_stats_add(struct nq_counters *to, const struct nq_counters *from)
{
	add_u64(to, from, N_COUNTERS);
}

/* Everything @from has counted until now is @to's. */
static void move_counters(struct dp *dp, struct dp_session *to, struct dp_session *from)
{
	struct nq_stats st;

	add_u64(&to->counters, &from->counters, sizeof(to->counters) / sizeof(u64));
	memset(&from->counters, 0, sizeof(from->counters));
	dp_stats_add(&to->inherited, &from->inherited);
	memset(&from->inherited, 0, sizeof(from->inherited));
	nq_get_stats(from->conn, &st, dp->now_us);
	dp_stats_add(&to->inherited, &st.count);
	nq_flush_stats(from->conn);
	from->duplicates_reported = 0;
}

/* ---- ADD_SESSION ---- */

/* Would @s take the place of @old? User 0 is nobody: there the default session is meant. */
static bool replaces(const struct dp_session *s, const struct dp_session *old)
{
	if (old == s || old->dev != s->dev || old->role != s->role || old->user != s->user ||
	    old->down)
		return false;
	return s->user ||
	       (s->flags & NQD_SESSION_F_DEFAULT_ROUTE && s->dev->default_session == old);
}

bool dp_may_replace(const struct dp_session *s, const struct dp_session *old)
{
	return s->flags & NQD_SESSION_F_REPLACE && replaces(s, old);
}

static void abandon(struct dp *dp, struct dp_session *s, const char *why)
{
	dp_session_down(dp, s, NQD_DOWN_UNCONFIRMED, 0, why);
	if (s->conn)
		nq_close(s->conn, true, 0, why, dp->now_us);
	else
		s->gone = true;
	dp_mark_dirty(dp, s);
}

void dp_replace_link(struct dp *dp, struct dp_session *s)
{
	struct dp_session *old, *next;

	s->connected_us = s->started_us;
	if (!(s->flags & NQD_SESSION_F_REPLACE))
		return;
	for (old = TAILQ_FIRST(&dp->sessions); old; old = next) {
		next = TAILQ_NEXT(old, entry);
		if (!replaces(s, old) || old->gone)
			continue;
		if (old->heir)
			abandon(dp, old->heir, "another one came");
		if (!old->conn) {
			dp_session_down(dp, old, NQD_DOWN_REPLACED, 0, "replaced");
			dp_session_free(dp, old);
		} else if (!old->unheard) {
			old->heir = s;
			s->n_old++;
			s->unheard = true;
		}
	}
}

/* The session has keys: the time runs, and the peer is told. */
void dp_replace_installed(struct dp *dp, struct dp_session *s)
{
	if (!(s->flags & NQD_SESSION_F_REPLACE))
		return;
	/* The first frame of a session that has just begun: there is room. */
	(void)nq_tx_queue_empty_datagram(s->conn);
	if (s->unheard)
		s->deadline_us = dp->now_us + WAIT_US;
}

/* ---- the peer was heard ---- */

static void move_queue(struct dp_session *to, struct dp_session *from)
{
	if (to->fq && from->fq)
		dp_fq_move(to->fq, from->fq, &to->counters);
	if (to->fq)
		return;
	to->fq = from->fq;
	from->fq = NULL;
}

static bool on_one_path(struct dp_session *a, struct dp_session *b)
{
	const struct dp_path *p = dp_active_path(a), *q = dp_active_path(b);

	return p->sock == q->sock && nqd_addr_equal(&p->remote, &q->remote);
}

static void retire(struct dp *dp, struct dp_session *old, struct dp_session *s)
{
	old->replaced = true;
	old->replaced_us = dp->now_us;
	old->sends = false;
	s->dev->n_sessions--;
	if (s->conn && old->conn && on_one_path(old, s)) {
		dp_ring_grow(dp, s, nq_ring_packets(old->conn));
		nq_continue_path(s->conn, old->conn, dp->now_us);
		s->path_mtu = old->path_mtu;
		/* From elsewhere it is the same user, but another connection. */
		if (old->connected_us < s->connected_us)
			s->connected_us = old->connected_us;
	}
	move_queue(s, old);
	move_counters(dp, s, old);
	nq_set_keepalive(old->conn, 0, dp->now_us);
	dp_session_down(dp, old, NQD_DOWN_REPLACED, 0, "replaced");
	old->deadline_us = dp->now_us + SILENCE_MIN_US;
	dp_mark_dirty(dp, old);
}

/* Claims are in the table, reserved or another's: this allocates only for what went meanwhile. */
void dp_take_routes(struct dp_session *s)
{
	unsigned int i;

	for (i = 0; i < s->n_claims; i++)
		if (nqd_route_replace(&s->dev->routes, &s->claims[i], s))
			nx_warn("session %llu: out of memory for a route",
				(unsigned long long)s->id);
	free(s->claims);
	s->claims = NULL;
	s->n_claims = 0;
}

void dp_take_over(struct dp *dp, struct dp_session *s)
{
	struct dp_session *old;

	s->unheard = false;
	s->deadline_us = NQ_TIME_NEVER;
	s->sends = true;
	s->dev->n_sessions++;
	dp_take_routes(s);
	if (s->flags & NQD_SESSION_F_DEFAULT_ROUTE)
		s->dev->default_session = s;
	/* What drains into those we replace drains into us from now on. */
	TAILQ_FOREACH (old, &dp->sessions, entry) {
		if (!old->replaced || !old->heir || old->heir->heir != s)
			continue;
		old->heir->n_old--;
		old->heir = s;
		s->n_old++;
	}
	TAILQ_FOREACH (old, &dp->sessions, entry)
		if (old->heir == s && !old->replaced)
			retire(dp, old, s);
	dp_mark_dirty(dp, s);
}

/* ---- ends ---- */

/* @old no longer belongs to its heir. */
static void leave_heir(struct dp *dp, struct dp_session *old)
{
	if (old->conn)
		move_counters(dp, old->heir, old);
	old->heir->n_old--;
	old->heir = NULL;
}

static void finish_drain(struct dp *dp, struct dp_session *old)
{
	if (old->heir)
		leave_heir(dp, old);
	old->deadline_us = NQ_TIME_NEVER;
	nq_close(old->conn, true, 0, "replaced", dp->now_us);
	dp_mark_dirty(dp, old);
}

void dp_replace_down(struct dp *dp, struct dp_session *s)
{
	struct dp_session *old;

	s->deadline_us = NQ_TIME_NEVER;
	if (!s->n_old)
		return;
	TAILQ_FOREACH (old, &dp->sessions, entry) {
		if (old->heir != s)
			continue;
		if (old->replaced) {
			finish_drain(dp, old);
			continue;
		}
		/* It never came to be: as if it had not been added. */
		s->n_old--;
		old->heir = NULL;
	}
	s->unheard = false;
}

void dp_replace_free(struct dp *dp, struct dp_session *s)
{
	if (s->heir)
		leave_heir(dp, s);
	dp_replace_down(dp, s);
	free(s->claims);
}

void dp_replace_end_drain(struct dp *dp, struct dp_session *s)
{
	if (s->heir)
		finish_drain(dp, s);
}

/* ---- time ---- */

static void check_drain(struct dp *dp, struct dp_session *old)
{
	u64 wait = 3 * nq_pto_us(old->conn), since = old->replaced_us;
	struct nq_stats st;
	bool greeted;

	nq_get_stats(old->conn, &st, dp->now_us);
	if (wait < SILENCE_MIN_US)
		wait = SILENCE_MIN_US;
	if (st.count.last_rx_us > since)
		since = st.count.last_rx_us;
	greeted = old->heir && old->heir->conn && !nq_tx_frames_pending(old->heir->conn);
	if (dp->now_us - old->replaced_us >= DRAIN_MAX_US ||
	    (greeted && dp->now_us - since >= wait))
		finish_drain(dp, old);
	else
		old->deadline_us = since + wait > dp->now_us ? since + wait
							     : dp->now_us + SILENCE_MIN_US;
}

void dp_replace_timeout(struct dp *dp, struct dp_session *s)
{
	if (dp->now_us < s->deadline_us)
		return;
	if (s->unheard)
		abandon(dp, s, "the peer's data plane was not heard");
	else if (s->replaced)
		check_drain(dp, s);
}
