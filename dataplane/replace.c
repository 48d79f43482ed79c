// SPDX-License-Identifier: GPL-2.0-or-later
/* How one session takes the place of another: see replace.h. */
#include "replace.h"

/* As long as nexus-hsd keeps packets for a session that is being installed. */
#define WAIT_US 5000000
/* A path of microseconds has hardly a PTO; an interrupted process is not a silent peer. */
#define SILENCE_MIN_US 200000
/* A peer that goes on sending here is no reason to keep the keys. */
#define DRAIN_MAX_US 10000000

static struct nqd_line_view view_of(const struct nqd_lines *all, const struct nqd_line *l)
{
	struct nqd_line_view v = { 0 };

	all->ops->view(l, &v);
	return v;
}

static void set_heir(struct nqd_lines *all, struct nqd_line *l, struct nqd_line *heir)
{
	l->heir = heir;
	all->ops->publish(l);
}

static void set_unheard(struct nqd_lines *all, struct nqd_line *l, bool unheard)
{
	l->unheard = unheard;
	all->ops->publish(l);
}

/* ---- ADD_SESSION ---- */

/* User 0 is nobody: there the default session is meant. */
bool nqd_may_replace(const struct nqd_lines *all, const struct nqd_line *s,
		     const struct nqd_line *old)
{
	struct nqd_line_view v = view_of(all, s), o = view_of(all, old);

	if (!(v.flags & NQD_SESSION_F_REPLACE) || s == old || !o.device || o.device != v.device ||
	    o.role != v.role || o.user != v.user || o.down)
		return false;
	return v.user || (v.flags & NQD_SESSION_F_DEFAULT_ROUTE && o.is_default);
}

int nqd_check_settled(const struct nqd_line *s, struct nxm_error *e)
{
	if (s->unheard || (s->heir && !s->replaced))
		return nxm_fail(e, -EBUSY, 0, "NQD_A_SESSION_ID: a replacement is under way");
	return 0;
}

static void abandon(struct nqd_lines *all, struct nqd_line *s, const char *why)
{
	all->ops->down(all, s, NQD_DOWN_UNCONFIRMED, why);
	all->ops->close(all, s, why);
}

/* @old gives its place to @s: at once if it has never had keys, else when the peer is heard. */
static void promise(struct nqd_lines *all, struct nqd_line *s, struct nqd_line *old)
{
	if (old->heir)
		abandon(all, old->heir, "another one came");
	if (!view_of(all, old).has_engine) {
		all->ops->down(all, old, NQD_DOWN_REPLACED, "replaced");
		all->ops->free(all, old);
	} else if (!old->unheard) {
		set_heir(all, old, s);
		s->n_old++;
		set_unheard(all, s, true);
	}
}

void nqd_replace_link(struct nqd_lines *all, struct nqd_line *s)
{
	struct nqd_line *old, *next;

	s->connected_us = s->started_us;
	if (!(view_of(all, s).flags & NQD_SESSION_F_REPLACE))
		return;
	for (old = all->ops->next(all, NULL); old; old = next) {
		next = all->ops->next(all, old);
		if (nqd_may_replace(all, s, old) && !view_of(all, old).gone)
			promise(all, s, old);
	}
}

void nqd_replace_installed(struct nqd_lines *all, struct nqd_line *s)
{
	if (!(view_of(all, s).flags & NQD_SESSION_F_REPLACE))
		return;
	all->ops->greet(all, s);
	if (s->unheard)
		all->ops->set_deadline(all, s, all->ops->now_us(all) + WAIT_US);
}

/* ---- the peer was heard ---- */

static void retire(struct nqd_lines *all, struct nqd_line *old, struct nqd_line *s)
{
	old->replaced_us = all->ops->now_us(all);
	all->ops->stop(all, old);
	old->replaced = true;
	all->ops->publish(old);
	all->ops->inherit(all, s, old);
	all->ops->down(all, old, NQD_DOWN_REPLACED, "replaced");
	all->ops->set_deadline(all, old, old->replaced_us + SILENCE_MIN_US);
}

void nqd_take_over(struct nqd_lines *all, struct nqd_line *s)
{
	struct nqd_line *old;

	set_unheard(all, s, false);
	all->ops->set_deadline(all, s, NQ_TIME_NEVER);
	all->ops->begin(all, s);
	/* What drains into those we replace drains into us from now on. */
	for (old = all->ops->next(all, NULL); old; old = all->ops->next(all, old)) {
		if (!old->replaced || !old->heir || old->heir->heir != s)
			continue;
		old->heir->n_old--;
		set_heir(all, old, s);
		s->n_old++;
	}
	for (old = all->ops->next(all, NULL); old; old = all->ops->next(all, old))
		if (old->heir == s && !old->replaced)
			retire(all, old, s);
	/* What waited for the older one may leave on this one. */
	all->ops->kick(all, s);
}

/* ---- ends ---- */

/* @old no longer belongs to its heir. */
static void leave_heir(struct nqd_lines *all, struct nqd_line *old)
{
	all->ops->move_counters(all, old->heir, old);
	old->heir->n_old--;
	set_heir(all, old, NULL);
}

static void finish_drain(struct nqd_lines *all, struct nqd_line *old)
{
	if (old->heir)
		leave_heir(all, old);
	all->ops->set_deadline(all, old, NQ_TIME_NEVER);
	all->ops->close(all, old, "replaced");
}

void nqd_replace_down(struct nqd_lines *all, struct nqd_line *s)
{
	struct nqd_line *old;

	all->ops->set_deadline(all, s, NQ_TIME_NEVER);
	if (!s->n_old)
		return;
	for (old = all->ops->next(all, NULL); old; old = all->ops->next(all, old)) {
		if (old->heir != s)
			continue;
		if (old->replaced) {
			finish_drain(all, old);
			continue;
		}
		/* It never came to be: as if it had not been added. */
		s->n_old--;
		set_heir(all, old, NULL);
	}
	set_unheard(all, s, false);
}

void nqd_replace_free(struct nqd_lines *all, struct nqd_line *s)
{
	if (s->heir)
		leave_heir(all, s);
	nqd_replace_down(all, s);
}

void nqd_replace_end_drain(struct nqd_lines *all, struct nqd_line *s)
{
	if (s->heir)
		finish_drain(all, s);
}

/* ---- time ---- */

static void check_drain(struct nqd_lines *all, struct nqd_line *old)
{
	u64 now_us = all->ops->now_us(all), pto_us, last_rx_us, since, wait, at_us;
	bool greeted = old->heir && all->ops->greeted(old->heir);

	all->ops->silence(all, old, &pto_us, &last_rx_us);
	wait = nq_max(3 * pto_us, SILENCE_MIN_US);
	since = nq_max(old->replaced_us, last_rx_us);
	at_us = since + wait;
	if (now_us - old->replaced_us >= DRAIN_MAX_US || (greeted && at_us <= now_us))
		finish_drain(all, old);
	else
		all->ops->set_deadline(all, old, at_us > now_us ? at_us : now_us + SILENCE_MIN_US);
}

void nqd_replace_timeout(struct nqd_lines *all, struct nqd_line *s)
{
	if (s->unheard)
		abandon(all, s, "the peer's data plane was not heard");
	else if (s->replaced)
		check_drain(all, s);
}
