// SPDX-License-Identifier: GPL-2.0-only
/*
 * What dataplane/replace.c asks of the module: its sessions, their locks, queues and routes. All of
 * it is done under nqd_net.lock; packets see heir, unheard and replaced as they were published.
 */
#include "nqd.h"

static struct nqd_session *session_of(const struct nqd_line *l)
{
	return container_of(l, struct nqd_session, line);
}

struct nqd_account nqd_account_of(struct nqd_session *s)
{
	return (struct nqd_account){ &s->line, s->conn, &s->counters, &s->path_mtu };
}

static u64 now_us(struct nqd_lines *all)
{
	return nqd_now_us();
}

static struct nqd_line *next(struct nqd_lines *all, struct nqd_line *l)
{
	struct nqd_net *nn = container_of(all, struct nqd_net, lines);
	struct list_head *at = l ? &session_of(l)->entry : &nn->sessions;

	lockdep_assert_held(&nn->lock);
	if (list_is_last(at, &nn->sessions))
		return NULL;
	return &list_entry(at->next, struct nqd_session, entry)->line;
}

static void view(const struct nqd_line *l, struct nqd_line_view *v)
{
	const struct nqd_session *s = session_of(l);

	*v = (struct nqd_line_view){
		.device = s->nd,
		.user = s->user,
		.flags = s->flags,
		.role = s->role,
		.has_engine = s->conn,
		.is_default = s->nd && s->nd->default_session == s,
		.down = s->down,
		.gone = s->gone,
	};
}

static void publish(struct nqd_line *l)
{
	struct nqd_session *s = session_of(l);

	spin_lock_bh(&s->lock);
	WRITE_ONCE(s->heir, l->heir ? session_of(l->heir) : NULL);
	WRITE_ONCE(s->unheard, l->unheard);
	WRITE_ONCE(s->replaced, l->replaced);
	spin_unlock_bh(&s->lock);
}

static void set_deadline(struct nqd_lines *all, struct nqd_line *l, u64 at_us)
{
	nqd_session_set_deadline(session_of(l), at_us);
}

static void kick(struct nqd_lines *all, struct nqd_line *l)
{
	nqd_session_kick(session_of(l));
}

/* Claims are in the table, reserved or another's: this allocates only for what went meanwhile. */
static void take_claims(struct nqd_session *s)
{
	if (nqd_claims_take(&s->nd->routes, &s->line.claims, s))
		net_warn_ratelimited("nexusq: session %llu: no memory for its routes\n", s->id);
	kfree(s->line.claims.p);
	s->line.claims = (struct nqd_claims){};
}

void nqd_session_begin(struct nqd_session *s)
{
	take_claims(s);
	if (s->flags & NQD_SESSION_F_DEFAULT_ROUTE)
		WRITE_ONCE(s->nd->default_session, s);
	s->sends = true;
	WRITE_ONCE(s->nd->n_sessions, s->nd->n_sessions + 1);
}

static void begin(struct nqd_lines *all, struct nqd_line *l)
{
	nqd_session_begin(session_of(l));
}

static void stop(struct nqd_lines *all, struct nqd_line *l)
{
	struct nqd_session *s = session_of(l);

	s->sends = false;
	WRITE_ONCE(s->nd->n_sessions, s->nd->n_sessions - 1);
}

/* Of a session and the one it replaces: in this order, and only under nqd_net.lock. */
static void lock_both(struct nqd_session *s, struct nqd_session *old)
{
	lockdep_assert_held(&s->nn->lock);
	spin_lock_bh(&s->lock);
	spin_lock_nested(&old->lock, SINGLE_DEPTH_NESTING);
}

static void unlock_both(struct nqd_session *s, struct nqd_session *old)
{
	spin_unlock(&old->lock);
	spin_unlock_bh(&s->lock);
}

static bool on_one_path(struct nqd_session *a, struct nqd_session *b)
{
	const struct nqd_path *p = nqd_active_path(a), *q = nqd_active_path(b);

	return nqd_path_leads_to(p, q->sock, &q->remote);
}

/* Are both on one path? Then @s may need a ring as large as @old's. */
static u32 ring_to_inherit(struct nqd_session *s, struct nqd_session *old)
{
	u32 packets = 0;

	lock_both(s, old);
	if (s->conn && on_one_path(old, s) && nq_ring_packets(old->conn) > nq_ring_packets(s->conn))
		packets = nq_ring_packets(old->conn);
	unlock_both(s, old);
	return packets;
}

static void inherit(struct nqd_lines *all, struct nqd_line *to, struct nqd_line *from)
{
	struct nqd_session *s = session_of(to), *old = session_of(from);
	struct nqd_account a = nqd_account_of(s), b = nqd_account_of(old);
	u32 packets = ring_to_inherit(s, old);

	if (packets)
		nqd_ring_grow(s, packets);
	lock_both(s, old);
	nqd_account_inherit(&a, &b, on_one_path(s, old), nqd_now_us());
	unlock_both(s, old);
	nqd_dp_session_move_queue(s, old);
}

static void move_counters(struct nqd_lines *all, struct nqd_line *to, struct nqd_line *from)
{
	struct nqd_session *s = session_of(to), *old = session_of(from);
	struct nqd_account a = nqd_account_of(s), b = nqd_account_of(old);

	lock_both(s, old);
	if (old->conn)
		nqd_account_move(&a, &b, nqd_now_us());
	unlock_both(s, old);
}

static void greet(struct nqd_lines *all, struct nqd_line *l)
{
	struct nqd_session *s = session_of(l);

	spin_lock_bh(&s->lock);
	/* The first frame of a session that has just begun: there is room. */
	(void)nq_tx_queue_empty_datagram(s->conn);
	spin_unlock_bh(&s->lock);
}

static bool greeted(struct nqd_line *l)
{
	struct nqd_session *s = session_of(l);
	bool pending;

	if (!s->conn)
		return false;
	spin_lock_bh(&s->lock);
	pending = nq_tx_frames_pending(s->conn);
	spin_unlock_bh(&s->lock);
	return !pending;
}

static void silence(struct nqd_lines *all, struct nqd_line *l, u64 *pto_us, u64 *last_rx_us)
{
	struct nqd_session *s = session_of(l);
	struct nq_stats st;

	spin_lock_bh(&s->lock);
	*pto_us = nq_pto_us(s->conn);
	nq_get_stats(s->conn, &st, nqd_now_us());
	spin_unlock_bh(&s->lock);
	*last_rx_us = st.count.last_rx_us;
}

static void down_line(struct nqd_lines *all, struct nqd_line *l, u8 reason, const char *why)
{
	nqd_session_down(session_of(l), reason, 0, why);
}

static void close_line(struct nqd_lines *all, struct nqd_line *l, const char *why)
{
	struct nqd_session *s = session_of(l);

	if (s->conn) {
		spin_lock_bh(&s->lock);
		nq_close(s->conn, true, 0, why, nqd_now_us());
		spin_unlock_bh(&s->lock);
		nqd_dp_session_wake(s);
	} else {
		s->gone = true;
	}
	nqd_session_kick(s);
}

static void free_line(struct nqd_lines *all, struct nqd_line *l)
{
	nqd_session_free(session_of(l));
}

const struct nqd_line_ops nqd_line_ops = {
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
