// SPDX-License-Identifier: GPL-2.0-only
/*
 * One session takes the place of another (NQD_SESSION_F_REPLACE) without a lost packet. It
 * promises: at any moment exactly one of them sends inner packets, and whatever the peer sends on
 * either, in order or not, is delivered.
 *
 * The rule: nothing is sent on the new session until the peer's data plane has it, because before
 * that its packets would pile up in the peer's handshake daemon. How each end knows: the first
 * thing said on a session that replaces is an empty DATAGRAM, repeated until acknowledged, which
 * only a data plane says. So:
 *
 *   ADD_SESSION     nqd_replace_link(): the new session waits, the older one carries on; prefixes
 *                   that nobody has are reserved, and lead where they led before
 *   a DATAGRAM      nqd_take_over(), by the worker: routes, queue, counters and what is known of
 *                   the path move; the older one sends no more, but what comes on it is treated as
 *                   if it came here
 *   silence         when the peer has our empty DATAGRAM and three PTOs brought nothing more, the
 *                   older one is closed with CONNECTION_CLOSE; its keys go with it
 *
 * If the older one ends before that, its heir takes over at once. If the peer's data plane is never
 * heard, the new one is closed and the older one stays.
 */
#include "nqd.h"

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

void nqd_stats_add(struct nq_counters *to, const struct nq_counters *from)
{
	add_u64(to, from, N_COUNTERS);
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

/* Everything @from has counted until now is @to's. Both are locked. */
static void move_counters(struct nqd_session *to, struct nqd_session *from)
{
	struct nq_stats st;

	add_u64(&to->counters, &from->counters, sizeof(to->counters) / sizeof(u64));
	memset(&from->counters, 0, sizeof(from->counters));
	nqd_stats_add(&to->inherited, &from->inherited);
	memset(&from->inherited, 0, sizeof(from->inherited));
	nq_get_stats(from->conn, &st, nqd_now_us());
	nqd_stats_add(&to->inherited, &st.count);
	nq_flush_stats(from->conn);
	from->duplicates_reported = 0;
}

static void close_engine(struct nqd_session *s, const char *why)
{
	spin_lock_bh(&s->lock);
	nq_close(s->conn, true, 0, why, nqd_now_us());
	spin_unlock_bh(&s->lock);
	nqd_dp_session_wake(s);
}

/* What packets read. */
static void set_heir(struct nqd_session *old, struct nqd_session *heir)
{
	spin_lock_bh(&old->lock);
	WRITE_ONCE(old->heir, heir);
	spin_unlock_bh(&old->lock);
}

static void set_unheard(struct nqd_session *s, bool unheard)
{
	spin_lock_bh(&s->lock);
	WRITE_ONCE(s->unheard, unheard);
	spin_unlock_bh(&s->lock);
}

/* ---- ADD_SESSION ---- */

/* Would @s take the place of @old? User 0 is nobody: there the default session is meant. */
static bool replaces(const struct nqd_session *s, const struct nqd_session *old)
{
	if (old == s || !old->nd || old->nd != s->nd || old->role != s->role ||
	    old->user != s->user || old->down)
		return false;
	return s->user || (s->flags & NQD_SESSION_F_DEFAULT_ROUTE && s->nd->default_session == old);
}

bool nqd_may_replace(const struct nqd_session *s, const struct nqd_session *old)
{
	return s->flags & NQD_SESSION_F_REPLACE && replaces(s, old);
}

static void abandon(struct nqd_session *s, const char *why)
{
	nqd_session_down(s, NQD_DOWN_UNCONFIRMED, 0, why);
	if (s->conn)
		close_engine(s, why);
	else
		s->gone = true;
	nqd_session_kick(s);
}

void nqd_replace_link(struct nqd_session *s)
{
	struct nqd_session *old, *next;

	s->connected_us = s->started_us;
	if (!(s->flags & NQD_SESSION_F_REPLACE))
		return;
	list_for_each_entry_safe(old, next, &s->nn->sessions, entry) {
		if (!replaces(s, old) || old->gone)
			continue;
		if (old->heir)
			abandon(old->heir, "another one came");
		if (!old->conn) {
			nqd_session_down(old, NQD_DOWN_REPLACED, 0, "replaced");
			nqd_session_free(old);
		} else if (!old->unheard) {
			set_heir(old, s);
			s->n_old++;
			s->unheard = true;
		}
	}
}

/* The session has keys: the time runs, and the peer is told. */
void nqd_replace_installed(struct nqd_session *s)
{
	if (!(s->flags & NQD_SESSION_F_REPLACE))
		return;
	spin_lock_bh(&s->lock);
	/* The first frame of a session that has just begun: there is room. */
	(void)nq_tx_queue_empty_datagram(s->conn);
	spin_unlock_bh(&s->lock);
	if (s->unheard)
		nqd_session_set_deadline(s, nqd_now_us() + WAIT_US);
}

/* ---- the peer was heard ---- */

static bool on_one_path(struct nqd_session *a, struct nqd_session *b)
{
	const struct nqd_path *p = nqd_active_path(a), *q = nqd_active_path(b);

	return p->sock == q->sock && nqd_addr_equal(&p->remote, &q->remote);
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

static void retire(struct nqd_session *old, struct nqd_session *s)
{
	u32 packets = ring_to_inherit(s, old);

	if (packets)
		nqd_ring_grow(s, packets);
	old->replaced_us = nqd_now_us();
	old->sends = false;
	s->nd->n_sessions--;
	lock_both(s, old);
	WRITE_ONCE(old->replaced, true);
	if (s->conn && on_one_path(old, s)) {
		nq_continue_path(s->conn, old->conn, old->replaced_us);
		s->path_mtu = old->path_mtu;
		/* From elsewhere it is the same user, but another connection. */
		if (old->connected_us < s->connected_us)
			s->connected_us = old->connected_us;
	}
	move_counters(s, old);
	nq_set_keepalive(old->conn, 0, old->replaced_us);
	unlock_both(s, old);
	if (s->conn)
		nqd_dp_session_move_queue(s, old);
	nqd_session_down(old, NQD_DOWN_REPLACED, 0, "replaced");
	nqd_session_set_deadline(old, old->replaced_us + SILENCE_MIN_US);
}

/* Claims are in the table, reserved or another's: this allocates only for what went meanwhile. */
void nqd_take_routes(struct nqd_session *s)
{
	unsigned int i;

	for (i = 0; i < s->n_claims; i++)
		if (nqd_route_replace(&s->nd->routes, &s->claims[i], s))
			net_warn_ratelimited("nexusq: session %llu: no memory for a route\n",
					     s->id);
	kfree(s->claims);
	s->claims = NULL;
	s->n_claims = 0;
}

void nqd_take_over(struct nqd_session *s)
{
	struct nqd_session *old;

	lockdep_assert_held(&s->nn->lock);
	set_unheard(s, false);
	s->deadline_us = NQ_TIME_NEVER;
	s->sends = true;
	s->nd->n_sessions++;
	nqd_take_routes(s);
	if (s->flags & NQD_SESSION_F_DEFAULT_ROUTE)
		WRITE_ONCE(s->nd->default_session, s);
	/* What drains into those we replace drains into us from now on. */
	list_for_each_entry(old, &s->nn->sessions, entry) {
		if (!old->replaced || !old->heir || old->heir->heir != s)
			continue;
		old->heir->n_old--;
		set_heir(old, s);
		s->n_old++;
	}
	list_for_each_entry(old, &s->nn->sessions, entry)
		if (old->heir == s && !old->replaced)
			retire(old, s);
	nqd_session_kick(s);
}

/* ---- ends ---- */

/* @old no longer belongs to its heir. */
static void leave_heir(struct nqd_session *old)
{
	struct nqd_session *heir = old->heir;

	lock_both(heir, old);
	if (old->conn)
		move_counters(heir, old);
	WRITE_ONCE(old->heir, NULL);
	unlock_both(heir, old);
	heir->n_old--;
}

static void finish_drain(struct nqd_session *old)
{
	if (old->heir)
		leave_heir(old);
	old->deadline_us = NQ_TIME_NEVER;
	close_engine(old, "replaced");
	nqd_session_kick(old);
}

void nqd_replace_down(struct nqd_session *s)
{
	struct nqd_session *old;

	s->deadline_us = NQ_TIME_NEVER;
	if (!s->n_old)
		return;
	list_for_each_entry(old, &s->nn->sessions, entry) {
		if (old->heir != s)
			continue;
		if (old->replaced) {
			finish_drain(old);
			continue;
		}
		/* It never came to be: as if it had not been added. */
		s->n_old--;
		set_heir(old, NULL);
	}
	set_unheard(s, false);
}

void nqd_replace_free(struct nqd_session *s)
{
	if (s->heir)
		leave_heir(s);
	nqd_replace_down(s);
}

void nqd_replace_end_drain(struct nqd_session *s)
{
	if (s->heir)
		finish_drain(s);
}

/* ---- time ---- */

static void check_drain(struct nqd_session *old)
{
	u64 since = old->replaced_us, now_us = nqd_now_us(), wait;
	struct nqd_session *heir = old->heir;
	struct nq_stats st;
	bool greeted = false;

	spin_lock_bh(&old->lock);
	wait = max_t(u64, 3 * nq_pto_us(old->conn), SILENCE_MIN_US);
	nq_get_stats(old->conn, &st, now_us);
	spin_unlock_bh(&old->lock);
	since = max(since, st.count.last_rx_us);
	if (heir && heir->conn) {
		spin_lock_bh(&heir->lock);
		greeted = !nq_tx_frames_pending(heir->conn);
		spin_unlock_bh(&heir->lock);
	}
	if (now_us - old->replaced_us >= DRAIN_MAX_US || (greeted && now_us - since >= wait))
		finish_drain(old);
	else
		nqd_session_set_deadline(old, since + wait > now_us ? since + wait
								    : now_us + SILENCE_MIN_US);
}

void nqd_replace_timeout(struct nqd_session *s)
{
	if (nqd_now_us() < s->deadline_us)
		return;
	if (s->unheard)
		abandon(s, "the peer's data plane was not heard");
	else if (s->replaced)
		check_drain(s);
}
