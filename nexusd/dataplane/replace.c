// SPDX-License-Identifier: GPL-2.0-or-later
/* What dataplane/replace.c asks of nexus-dp: its sessions, their engines, queues and routes. */
#include <stdlib.h>

#include "../../lib/log.h"
#include "dp.h"

static struct dp *dp_of(struct nqd_lines *all)
{
	return (struct dp *)((char *)all - offsetof(struct dp, lines));
}

static u64 now_us(struct nqd_lines *all)
{
	return dp_of(all)->now_us;
}

static struct nqd_line *next(struct nqd_lines *all, struct nqd_line *l)
{
	struct dp_session *s = l ? TAILQ_NEXT(dp_session_of(l), entry)
				 : TAILQ_FIRST(&dp_of(all)->sessions);

	return s ? &s->line : NULL;
}

static void view(const struct nqd_line *l, struct nqd_line_view *v)
{
	const struct dp_session *s = dp_session_of((struct nqd_line *)l);

	*v = (struct nqd_line_view){
		.device = s->dev,
		.user = s->user,
		.flags = s->flags,
		.role = s->role,
		.has_engine = s->conn,
		.is_default = s->dev->default_session == s,
		.down = s->down,
		.gone = s->gone,
	};
}

/* Packets are read by the same thread, from the line itself. */
static void publish(struct nqd_line *l)
{
	(void)l;
}

/* Whatever sets one is part of a round, or marks the session: its timer is set in the round's end. */
static void set_deadline(struct nqd_lines *all, struct nqd_line *l, u64 at_us)
{
	dp_session_of(l)->deadline_us = at_us;
	dp_mark_dirty(dp_of(all), dp_session_of(l));
}

static void kick(struct nqd_lines *all, struct nqd_line *l)
{
	dp_mark_dirty(dp_of(all), dp_session_of(l));
}

/* Claims are in the table, reserved or another's: this allocates only for what went meanwhile. */
static void take_claims(struct dp_session *s)
{
	if (nqd_claims_take(&s->dev->routes, &s->line.claims, s))
		nx_warn("session %llu: out of memory for its routes", (unsigned long long)s->id);
	free(s->line.claims.p);
	s->line.claims = (struct nqd_claims){ 0 };
}

void dp_session_begin(struct dp_session *s)
{
	take_claims(s);
	if (s->flags & NQD_SESSION_F_DEFAULT_ROUTE)
		s->dev->default_session = s;
	s->sends = true;
	s->dev->n_sessions++;
}

static void begin(struct nqd_lines *all, struct nqd_line *l)
{
	(void)all;
	dp_session_begin(dp_session_of(l));
}

static void stop(struct nqd_lines *all, struct nqd_line *l)
{
	struct dp_session *s = dp_session_of(l);

	(void)all;
	s->sends = false;
	s->dev->n_sessions--;
}

static void move_queue(struct dp_session *to, struct dp_session *from)
{
	if (to->fq && from->fq)
		dp_fq_move(to->fq, from->fq, &to->counters);
	if (to->fq)
		return;
	to->fq = from->fq;
	from->fq = NULL;
}

static void inherit(struct nqd_lines *all, struct nqd_line *to, struct nqd_line *from)
{
	struct dp_session *s = dp_session_of(to), *old = dp_session_of(from);
	const struct nqd_path *p = dp_active_path(s), *q = dp_active_path(old);
	struct nqd_account a = dp_account_of(s), b = dp_account_of(old);
	bool one_path = nqd_path_leads_to(p, q->sock, &q->remote);

	if (s->conn && one_path)
		dp_ring_grow(dp_of(all), s, nq_ring_packets(old->conn));
	nqd_account_inherit(&a, &b, one_path, dp_of(all)->now_us);
	move_queue(s, old);
}

static void move_counters(struct nqd_lines *all, struct nqd_line *to, struct nqd_line *from)
{
	struct nqd_account a = dp_account_of(dp_session_of(to));
	struct nqd_account b = dp_account_of(dp_session_of(from));

	if (b.conn)
		nqd_account_move(&a, &b, dp_of(all)->now_us);
}

static void greet(struct nqd_lines *all, struct nqd_line *l)
{
	(void)all;
	/* The first frame of a session that has just begun: there is room. */
	(void)nq_tx_queue_empty_datagram(dp_session_of(l)->conn);
}

static bool greeted(struct nqd_line *l)
{
	struct dp_session *s = dp_session_of(l);

	return s->conn && !nq_tx_frames_pending(s->conn);
}

static void silence(struct nqd_lines *all, struct nqd_line *l, u64 *pto_us, u64 *last_rx_us)
{
	struct dp_session *s = dp_session_of(l);
	struct nq_stats st;

	nq_get_stats(s->conn, &st, dp_of(all)->now_us);
	*pto_us = nq_pto_us(s->conn);
	*last_rx_us = st.count.last_rx_us;
}

static void down_line(struct nqd_lines *all, struct nqd_line *l, u8 reason, const char *why)
{
	dp_session_down(dp_of(all), dp_session_of(l), reason, 0, why);
}

static void close_line(struct nqd_lines *all, struct nqd_line *l, const char *why)
{
	struct dp_session *s = dp_session_of(l);

	if (s->conn)
		nq_close(s->conn, true, 0, why, dp_of(all)->now_us);
	else
		s->gone = true;
	dp_mark_dirty(dp_of(all), s);
}

static void free_line(struct nqd_lines *all, struct nqd_line *l)
{
	dp_session_free(dp_of(all), dp_session_of(l));
}

const struct nqd_line_ops dp_line_ops = {
	.now_us = now_us,
	.next = next,
	.view = view,
	.publish = publish,
	.set_deadline = set_deadline,
	.kick = kick,
	.begin = begin,
	.stop = stop,
	.inherit = inherit,
	.move_counters = move_counters,
	.greet = greet,
	.greeted = greeted,
	.silence = silence,
	.down = down_line,
	.close = close_line,
	.free = free_line,
};
