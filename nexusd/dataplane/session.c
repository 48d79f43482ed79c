// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions: the table, the connection-ID hash, the life of a session and its round of the loop.
 *
 * Life: control-session.c makes one; dp_session_start() gives it keys and with them an engine; the
 * engine ends it (dp_session_down(): routes go, the event is sent, the drain period runs) and then
 * lets it go (NQ_EV_GONE: dp_session_free()). A delete without CONNECTION_CLOSE skips the drain.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../lib/log.h"
#include "dp.h"

/* A new ID of 4 bytes is taken already once in 2^32 / IDs in use: never so often in a row. */
#define NEW_CID_TRIES 16
/* While its UDP socket is full a session has nothing to do for what is due. */
#define BLOCKED_US 10000

/* IDs are chosen by the control process, mostly in sequence. */
static struct dp_session_bucket *id_bucket(struct dp *dp, u64 id)
{
	return &dp->by_id[(id ^ id >> 32) % DP_ID_BUCKETS];
}

struct dp_session *dp_session_find(struct dp *dp, u64 id)
{
	struct dp_session *s;

	LIST_FOREACH(s, id_bucket(dp, id), by_id)
	if (s->id == id)
		return s;
	return NULL;
}

void dp_session_link(struct dp *dp, struct dp_session *s)
{
	TAILQ_INSERT_TAIL(&dp->sessions, s, entry);
	LIST_INSERT_HEAD(id_bucket(dp, s->id), s, by_id);
	dp->n_sessions++;
}

void dp_session_unlink(struct dp *dp, struct dp_session *s)
{
	TAILQ_REMOVE(&dp->sessions, s, entry);
	LIST_REMOVE(s, by_id);
	dp->n_sessions--;
}

/* ---- routes ---- */

struct dp_session *dp_route_dst(const struct dp_device *dev, const u8 *pkt)
{
	struct dp_session *s = pkt[0] >> 4 == 4 ? nqd_route_lookup4(&dev->routes, pkt + 16)
						: nqd_route_lookup6(&dev->routes, pkt + 24);

	return s ?: dev->default_session;
}

struct dp_session *dp_route_src(const struct dp_device *dev, const u8 *pkt)
{
	struct dp_session *s = pkt[0] >> 4 == 4 ? nqd_route_lookup4(&dev->routes, pkt + 12)
						: nqd_route_lookup6(&dev->routes, pkt + 8);

	return s ?: dev->default_session;
}

/* ---- connection IDs ---- */

/* Our own random bytes: whoever sends a packet cannot choose which buckets fill. */
static unsigned int cid_bucket(const u8 *id)
{
	u32 v;

	memcpy(&v, id, NQ_CID_LOOKUP_LEN);
	return (v ^ v >> 16) % DP_CID_BUCKETS;
}

/* The next one after @c (NULL: the first) of which @cid is the beginning or the other way round. */
static struct dp_cid *next_rival(struct dp *dp, const struct nqd_socket *sock,
				 const struct nq_cid *cid, struct dp_cid *c)
{
	c = c ? SLIST_NEXT(c, hash) : SLIST_FIRST(&dp->cids[cid_bucket(cid->id)]);
	for (; c; c = SLIST_NEXT(c, hash)) {
		u32 len = c->cid.len < cid->len ? c->cid.len : cid->len;

		if (dp_session_on(c->session, sock) && !memcmp(c->cid.id, cid->id, len))
			return c;
	}
	return NULL;
}

/*
 * Short IDs meet by chance. The client that was given a taken one can not help it, and the two are
 * told apart by their addresses; with long ones it is an error of the caller.
 */
int dp_cid_add(struct dp *dp, struct dp_session *s, const struct nq_cid *cid)
{
	struct dp_cid *c = NULL;

	if (cid->len < NQ_CID_LOOKUP_LEN)
		return -EINVAL;
	while ((c = next_rival(dp, dp_active_path(s)->sock, cid, c)))
		if (c->session == s ||
		    (c->cid.len >= NQD_CID_CERTAIN_LEN && cid->len >= NQD_CID_CERTAIN_LEN))
			return -EEXIST;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->session = s;
	c->cid = *cid;
	SLIST_INSERT_HEAD(&dp->cids[cid_bucket(cid->id)], c, hash);
	SLIST_INSERT_HEAD(&s->cids, c, of_session);
	return 0;
}

void dp_cid_free(struct dp *dp, struct dp_cid *c)
{
	SLIST_REMOVE(&dp->cids[cid_bucket(c->cid.id)], c, dp_cid, hash);
	SLIST_REMOVE(&c->session->cids, c, dp_cid, of_session);
	free(c);
}

struct dp_session *dp_cid_find(struct dp *dp, const struct nqd_socket *sock, const u8 *id, u32 len,
			       const union nqd_addr *from)
{
	struct dp_session *best = NULL;
	struct dp_cid *c;
	u32 longest = 0;

	SLIST_FOREACH(c, &dp->cids[cid_bucket(id)], hash)
	{
		if (c->cid.len > len || memcmp(c->cid.id, id, c->cid.len) ||
		    !dp_session_on(c->session, sock))
			continue;
		if (c->cid.len >= NQD_CID_CERTAIN_LEN ||
		    dp_path_number(c->session, sock, from) < NQ_PATHS_MAX)
			return c->session;
		/* From elsewhere: the beginning of a longer one is a shorter one's by chance. */
		if (c->cid.len > longest) {
			longest = c->cid.len;
			best = c->session;
		}
	}
	return best;
}

/* Random, and unlike every other of the socket. */
static bool make_cid(struct dp *dp, struct dp_session *s, struct nq_cid *cid)
{
	unsigned int i;

	for (i = 0; i < NEW_CID_TRIES; i++) {
		if (getrandom(cid->id, cid->len, 0) != cid->len)
			return false;
		if (!next_rival(dp, dp_active_path(s)->sock, cid, NULL))
			return true;
	}
	return false;
}

/* Give the engine a connection ID to issue. */
static void issue_cid(struct dp *dp, struct dp_session *s)
{
	struct nq_cid cid = { .seq = s->next_cid_seq, .len = s->cid_len, .has_token = true };

	if (!make_cid(dp, s, &cid) ||
	    getrandom(cid.token, sizeof(cid.token), 0) != sizeof(cid.token) ||
	    dp_cid_add(dp, s, &cid))
		return;
	if (nq_add_local_cid(s->conn, &cid)) {
		dp_cid_free(dp, SLIST_FIRST(&s->cids));
		return;
	}
	s->next_cid_seq++;
}

/* The peer retired some of ours, or takes more: it has always as many as it can hold. */
void dp_session_cids(struct dp *dp, struct dp_session *s)
{
	struct nq_cid cid;
	struct dp_cid *c;
	u32 n;

	while (nq_take_retired_cid(s->conn, &cid)) {
		SLIST_FOREACH(c, &s->cids, of_session)
		if (c->cid.seq == cid.seq)
			break;
		if (c)
			dp_cid_free(dp, c);
	}
	/* The reset token of the last one. */
	explicit_bzero(&cid, sizeof(cid));
	for (n = nq_local_cids_wanted(s->conn); n; n--)
		issue_cid(dp, s);
}

/* ---- keys ---- */

/* Derive the keys of the phase behind the secrets we hold, install them, and step the secrets. */
int dp_session_next_keys(struct dp_session *s)
{
	struct nq_key_material tx = { 0 }, rx = { 0 };
	int err = nqd_step_secrets(s->cipher, nx_quic_derive, &s->secrets, &tx, &rx);

	if (!err)
		err = nq_set_next_keys(s->conn, &tx, &rx);
	explicit_bzero(&tx, sizeof(tx));
	explicit_bzero(&rx, sizeof(rx));
	return err;
}

/* ---- life ---- */

int dp_session_start(struct dp *dp, struct dp_session *s, struct nq_conn_params *p,
		     const struct nqd_secrets *secrets)
{
	int err;

	if (getrandom(p->path_secret, sizeof(p->path_secret), 0) != sizeof(p->path_secret))
		return -EIO;
	s->conn_bytes = nq_conn_bytes(p);
	s->conn_mem = aligned_alloc(64, (s->conn_bytes + 63) & ~(size_t)63);
	if (!s->conn_mem)
		return -ENOMEM;
	memset(s->conn_mem, 0, s->conn_bytes);
	s->conn = nq_conn_init(s->conn_mem, p, dp->now_us, &err);
	if (!s->conn) {
		explicit_bzero(s->conn_mem, s->conn_bytes);
		free(s->conn_mem);
		s->conn_mem = NULL;
		return err;
	}
	s->secrets = *secrets;
	return 0;
}

/* No more inner packets either way; its routes may belong to the next session. */
void dp_session_down(struct dp *dp, struct dp_session *s, u8 reason, u64 code, const char *text)
{
	struct dp_last_event info = { .reason = reason, .code = code };

	if (s->down)
		return;
	if (s->line.heir && !s->line.replaced) {
		/* Which ends it. */
		nqd_take_over(&dp->lines, s->line.heir);
		return;
	}
	s->down = true;
	snprintf(info.text, sizeof(info.text), "%s", text);
	nqd_route_del_value(&s->dev->routes, s);
	if (s->dev->default_session == s)
		s->dev->default_session = NULL;
	dp_tx_drop_queue(dp, s);
	dp_event(dp, s, NQD_EVENT_SESSION_DOWN, &info, NULL, 0);
	nqd_replace_down(&dp->lines, &s->line);
}

static void remember_ended(struct dp *dp, const struct dp_session *s)
{
	struct dp_ended *e = &dp->ended[dp->n_ended++ % DP_ENDED_MAX];

	*e = (struct dp_ended){ .id = s->id,
				.user = s->user,
				.generation = s->generation,
				.down = s->last[NQD_EVENT_SESSION_DOWN] };
	memcpy(e->tunnel, s->tunnel, sizeof(e->tunnel));
}

/* Wipes every secret. The session is in no list, hash or trie afterwards. */
void dp_session_free(struct dp *dp, struct dp_session *s)
{
	u32 n;

	if (dp->dump.next == s) {
		dp->dump.next = TAILQ_NEXT(s, entry);
		dp->dump.event_next = 0;
	}
	if (s->last[NQD_EVENT_SESSION_DOWN].present)
		remember_ended(dp, s);
	nqd_replace_free(&dp->lines, &s->line);
	free(s->line.claims.p);
	dp_reset_forget(s);
	dp_tx_drop_queue(dp, s);
	dp_timer_set(dp, s, NQ_TIME_NEVER);
	dp_socket_wait_no_more(s);
	if (s->dirty)
		TAILQ_REMOVE(&dp->dirty, s, dirty_entry);
	while (!SLIST_EMPTY(&s->cids))
		dp_cid_free(dp, SLIST_FIRST(&s->cids));
	nqd_route_del_value(&s->dev->routes, s);
	if (s->dev->default_session == s)
		s->dev->default_session = NULL;
	if (s->sends)
		s->dev->n_sessions--;
	dp_session_unlink(dp, s);
	if (s->conn) {
		free(nq_take_punt(s->conn, &n));
		nq_conn_fini(s->conn);
		explicit_bzero(s->conn_mem, s->conn_bytes);
	}
	dp_ring_free(dp, s);
	free(s->conn_mem);
	free(s->waiting);
	free(s->waiting_ranges);
	dp_paths_free(dp, s);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

void dp_mark_dirty(struct dp *dp, struct dp_session *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	TAILQ_INSERT_TAIL(&dp->dirty, s, dirty_entry);
}

static void run_session(struct dp *dp, struct dp_session *s)
{
	u32 packets;
	u64 at;

	if (!s->conn)
		return;
	if (s->dev == &dp->limbo)
		s->gone = dp->now_us >= s->deadline_us;
	else if (dp->now_us >= s->deadline_us)
		nqd_replace_timeout(&dp->lines, &s->line);
	packets = nq_ring_wanted(s->conn);
	if (packets)
		dp_ring_grow(dp, s, packets);
	dp_tx_flush(dp, s);
	dp_session_events(dp, s);
	/* Reactions to events (new CIDs, keys) may have something to say. */
	if (nq_tx_control_wanted(s->conn, dp->now_us) || nq_tx_alone_wanted(s->conn, dp->now_us))
		dp_tx_flush(dp, s);
	dp_reset_update(dp, s);
	at = nq_next_timeout_us(s->conn);
	if (s->retry_us < at)
		at = s->retry_us;
	/* A socket that takes data again says so: what is due would only be due again at once. */
	if (dp_active_path(s)->sock->n_pending) {
		dp_socket_wait(s, dp_active_path(s)->sock);
		if (at < dp->now_us + BLOCKED_US)
			at = dp->now_us + BLOCKED_US;
	}
	at = nq_min(at, nqd_limits_due_us(&s->line));
	dp_timer_set(dp, s, nq_min(at, s->deadline_us));
}

void dp_run_dirty(struct dp *dp)
{
	struct dp_session *s;

	while ((s = TAILQ_FIRST(&dp->dirty))) {
		TAILQ_REMOVE(&dp->dirty, s, dirty_entry);
		s->dirty = false;
		run_session(dp, s);
		if (s->gone)
			dp_session_free(dp, s);
	}
	if (dp->idle_sockets)
		dp_sockets_reap(dp);
}
