// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connection IDs (RFC 9000 5.1, 19.15, 19.16): the peer's that we may use, ours that it may use,
 * and the frames that give and take them, repeated until they are acknowledged.
 *
 * remote[0] is the active path's. remote_paths[] tells for each of the peer's IDs which paths send
 * with it (RFC 9000 9.5: one ID serves several only if they differ by the peer's doing). An ID that
 * was used and is no longer is retired; until its RETIRE_CONNECTION_ID has room it is SPENT.
 * Everything is bounded by NQ_CIDS_MAX and NQ_RETIRE_MAX: a peer that demands more breaks the limit
 * and the connection.
 */
#include "conn.h"

#define SPENT 0x80

static void set_header_len(struct nq_conn *c)
{
	u32 len = 1 + c->cids.remote[0].len + NQ_PN_LEN;

	if (c->hdr_len && c->hdr_len != len)
		c->events |= NQ_EV_MTU;
	c->hdr_len = len;
}

static bool valid_cids(const struct nq_cid *cids, u32 n)
{
	u32 i;

	if (!n || n > NQ_CIDS_MAX)
		return false;
	for (i = 0; i < n; i++) {
		if (cids[i].len > NQ_CID_MAX_LEN || cids[i].seq > NQ_VARINT_MAX)
			return false;
	}
	return true;
}

/* Has this number come before? A late copy must not bring back an ID that was retired. */
static bool seen(const struct nq_cids *s, u64 seq)
{
	if (seq >= s->seen_end)
		return false;
	return s->seen_end - seq > 64 || s->seen >> (s->seen_end - 1 - seq) & 1;
}

static void set_seen(struct nq_cids *s, u64 seq)
{
	u64 up = seq >= s->seen_end ? seq + 1 - s->seen_end : 0;

	s->seen = up < 64 ? s->seen << up : 0;
	s->seen_end += up;
	if (s->seen_end - seq <= 64)
		s->seen |= 1ULL << (s->seen_end - 1 - seq);
}

int nq_cids_init(struct nq_conn *c, const struct nq_conn_params *p)
{
	struct nq_cids *s = &c->cids;
	u32 i;

	if (!valid_cids(p->local_cids, p->n_local_cids) ||
	    !valid_cids(p->remote_cids, p->n_remote_cids))
		return -EINVAL;
	s->local_len = p->local_cids[0].len;
	for (i = 0; i < p->n_local_cids; i++) {
		if (p->local_cids[i].len != s->local_len)
			return -EINVAL;
		s->local[i].cid = p->local_cids[i];
		s->local_state[i] = NQ_LOCAL_USED;
		if (p->local_cids[i].seq >= s->next_local_seq)
			s->next_local_seq = p->local_cids[i].seq + 1;
	}
	memcpy(s->remote, p->remote_cids, p->n_remote_cids * sizeof(s->remote[0]));
	s->n_remote = p->n_remote_cids;
	s->remote_paths[0] = 1;
	for (i = 0; i < s->n_remote; i++)
		set_seen(s, s->remote[i].seq);
	s->peer_limit = p->peer_active_cid_limit < 2 ? 2 : p->peer_active_cid_limit;
	set_header_len(c);
	if (nq_local_cids_wanted(c))
		c->events |= NQ_EV_CID_WANTED;
	return 0;
}

/* A frame's fate becomes @to. Whether any waits is asked with every packet, so they are counted. */
static enum nq_frame_fate turn(struct nq_cids *s, enum nq_frame_fate from, enum nq_frame_fate to)
{
	s->n_wanted -= from == NQ_FATE_WANTED;
	s->n_wanted += to == NQ_FATE_WANTED;
	return to;
}

/* ---- the peer's ---- */

static bool want_retire(struct nq_cids *s, u64 seq)
{
	struct nq_pending *free_slot = NULL, *r;

	for (r = s->retire; r < s->retire + NQ_RETIRE_MAX; r++) {
		if (r->fate != NQ_FATE_NONE && r->seq == seq)
			return true;
		if (r->fate == NQ_FATE_NONE && !free_slot)
			free_slot = r;
	}
	if (!free_slot)
		return false;
	free_slot->seq = seq;
	free_slot->fate = turn(s, NQ_FATE_NONE, NQ_FATE_WANTED);
	return true;
}

static u32 retire_room(const struct nq_cids *s)
{
	const struct nq_pending *r;
	u32 n = 0;

	for (r = s->retire; r < s->retire + NQ_RETIRE_MAX; r++)
		n += r->fate == NQ_FATE_NONE;
	return n;
}

static void keep_remote(struct nq_cids *s, u32 from, u32 to)
{
	s->remote[to] = s->remote[from];
	s->remote_paths[to] = s->remote_paths[from];
}

static void forget_remote(struct nq_cids *s, u32 at)
{
	for (s->n_remote--; at < s->n_remote; at++)
		keep_remote(s, at + 1, at);
}

/*
 * All or nothing: the header is written with remote[0] even when this breaks the connection. Paths
 * that lose their ID get another in nq_path_on_cids().
 */
static bool retire_below(struct nq_cids *s, u64 seq)
{
	u32 i, kept = 0, going = 0;

	for (i = 0; i < s->n_remote; i++)
		going += s->remote[i].seq < seq;
	if (going > retire_room(s))
		return false;
	for (i = 0; i < s->n_remote; i++) {
		if (s->remote[i].seq < seq)
			want_retire(s, s->remote[i].seq);
		else if (kept++ != i)
			keep_remote(s, i, kept - 1);
	}
	s->n_remote = kept;
	s->retire_prior_to = seq;
	return true;
}

static bool same_bytes(const u8 *a, const u8 *b, u32 n)
{
	return !memcmp(a, b, n);
}

/* Compare with what is known: 0 new, 1 known already, -1 contradiction. */
static int known_cid(const struct nq_cids *s, const struct nq_frame *f)
{
	const struct nq_cid *r;
	bool same_id;

	for (r = s->remote; r < s->remote + s->n_remote; r++) {
		same_id = r->len == f->new_cid.id_len && same_bytes(r->id, f->new_cid.id, r->len);
		if (r->seq == f->new_cid.seq)
			return same_id ? 1 : -1;
		if (same_id)
			return -1;
	}
	return 0;
}

u64 nq_cid_on_new(struct nq_conn *c, const struct nq_frame *f)
{
	struct nq_cids *s = &c->cids;
	struct nq_cid *r;
	int known;

	if (!s->remote[0].len)
		return NQ_PROTOCOL_VIOLATION;
	known = known_cid(s, f);
	if (known < 0)
		return NQ_PROTOCOL_VIOLATION;
	if (!known && seen(s, f->new_cid.seq))
		return 0;
	set_seen(s, f->new_cid.seq);
	if (f->new_cid.retire_prior_to > s->retire_prior_to &&
	    !retire_below(s, f->new_cid.retire_prior_to))
		return NQ_CONNECTION_ID_LIMIT_ERROR;
	if (f->new_cid.seq < s->retire_prior_to)
		return want_retire(s, f->new_cid.seq) ? 0 : NQ_CONNECTION_ID_LIMIT_ERROR;
	if (!known) {
		if (s->n_remote == NQ_CIDS_MAX)
			return NQ_CONNECTION_ID_LIMIT_ERROR;
		s->remote_paths[s->n_remote] = 0;
		r = &s->remote[s->n_remote++];
		memset(r, 0, sizeof(*r));
		r->seq = f->new_cid.seq;
		r->len = f->new_cid.id_len;
		memcpy(r->id, f->new_cid.id, r->len);
		memcpy(r->token, f->new_cid.token, NQ_RESET_TOKEN_LEN);
		r->has_token = true;
	}
	nq_path_on_cids(c);
	set_header_len(c);
	return 0;
}

/* Only IDs in use count: tokens of unused and of retired ones are not looked at (10.3.1). */
bool nq_check_stateless_reset(struct nq_conn *c, const u8 *token, u64 now_us)
{
	const struct nq_cids *s = &c->cids;
	bool found = false;
	u32 i;

	for (i = 0; i < s->n_remote; i++) {
		if (s->remote_paths[i] && s->remote[i].has_token)
			found |= !nq_differ(s->remote[i].token, token, NQ_RESET_TOKEN_LEN);
	}
	if (!found)
		return false;
	nq_conn_error(c, NQ_CLOSE_RESET, NQ_NO_ERROR, "", now_us);
	return true;
}

/* ---- the paths' share ---- */

static int index_of_path(const struct nq_cids *s, u8 path)
{
	u32 i;

	for (i = 0; i < s->n_remote; i++) {
		if (s->remote_paths[i] & 1u << path)
			return (int)i;
	}
	return -1;
}

const struct nq_cid *nq_cid_of_path(const struct nq_conn *c, u8 path)
{
	int i = index_of_path(&c->cids, path);

	return i < 0 ? NULL : &c->cids.remote[i];
}

bool nq_cid_take(struct nq_conn *c, u8 path)
{
	struct nq_cids *s = &c->cids;
	u32 i;

	for (i = 0; i < s->n_remote; i++) {
		/* Without an ID of ours the peer tells nobody apart by it: it serves all. */
		if (s->remote_paths[i] && s->remote[i].len)
			continue;
		s->remote_paths[i] |= 1u << path;
		return true;
	}
	return false;
}

void nq_cid_share(struct nq_conn *c, u8 path, u8 other)
{
	int i = index_of_path(&c->cids, other);

	if (i >= 0)
		c->cids.remote_paths[i] |= 1u << path;
}

static void retire_spent(struct nq_cids *s)
{
	u32 i = 1;

	while (i < s->n_remote) {
		if (s->remote_paths[i] == SPENT && want_retire(s, s->remote[i].seq))
			forget_remote(s, i);
		else
			i++;
	}
}

void nq_cid_release(struct nq_conn *c, u8 path)
{
	struct nq_cids *s = &c->cids;
	int i = index_of_path(s, path);

	if (i < 0)
		return;
	s->remote_paths[i] &= ~(1u << path);
	if (!s->remote_paths[i] && s->remote[i].len)
		s->remote_paths[i] = SPENT;
	retire_spent(s);
}

void nq_cid_set_active(struct nq_conn *c, u8 path)
{
	struct nq_cids *s = &c->cids;
	int i = index_of_path(s, path);
	struct nq_cid first = s->remote[0];
	u8 first_paths = s->remote_paths[0];

	/* The active path has one before any other: a path being probed can wait. */
	if (i < 0) {
		i = 0;
		first_paths = (u8)(1u << path);
	}
	keep_remote(s, (u32)i, 0);
	s->remote[i] = first;
	s->remote_paths[i] = first_paths;
	set_header_len(c);
}

const u8 *nq_active_reset_token(const struct nq_conn *c, u64 *seq)
{
	const struct nq_cid *r = &c->cids.remote[0];

	if (c->state != NQ_ACTIVE || !r->has_token)
		return NULL;
	*seq = r->seq;
	return r->token;
}

/* ---- ours ---- */

static u32 active_local(const struct nq_cids *s)
{
	u32 i, n = 0;

	for (i = 0; i < NQ_CIDS_MAX; i++)
		n += s->local_state[i] == NQ_LOCAL_USED;
	return n;
}

u32 nq_local_cids_wanted(const struct nq_conn *c)
{
	u32 most = (u32)nq_min(c->cids.peer_limit, NQ_CIDS_MAX), n = active_local(&c->cids);

	return c->cids.local_len && n < most ? most - n : 0;
}

u8 nq_cid_local(const struct nq_conn *c, const u8 *dcid)
{
	const struct nq_local_cid *l;
	u8 i;

	for (i = 0; i < NQ_CIDS_MAX; i++) {
		l = &c->cids.local[i];
		if (c->cids.local_state[i] == NQ_LOCAL_USED &&
		    same_bytes(l->cid.id, dcid, l->cid.len))
			return i;
	}
	return NQ_LOCAL_UNKNOWN;
}

int nq_add_local_cid(struct nq_conn *c, const struct nq_cid *cid)
{
	struct nq_cids *s = &c->cids;
	struct nq_local_cid *l;
	u32 i;

	if (cid->len != s->local_len || !cid->len || !cid->has_token)
		return -EINVAL;
	for (i = 0; i < NQ_CIDS_MAX && s->local_state[i] != NQ_LOCAL_FREE; i++)
		;
	if (i == NQ_CIDS_MAX || active_local(s) >= s->peer_limit)
		return -ENOBUFS;
	l = &s->local[i];
	l->cid = *cid;
	l->cid.seq = s->next_local_seq++;
	l->fate = turn(s, NQ_FATE_NONE, NQ_FATE_WANTED);
	s->local_state[i] = NQ_LOCAL_USED;
	return 0;
}

u64 nq_cid_on_retire(struct nq_conn *c, u64 seq, const u8 *dcid)
{
	struct nq_cids *s = &c->cids;
	struct nq_local_cid *l;
	u8 i;

	if (seq >= s->next_local_seq || !s->local_len)
		return NQ_PROTOCOL_VIOLATION;
	for (i = 0; i < NQ_CIDS_MAX; i++) {
		l = &s->local[i];
		if (s->local_state[i] != NQ_LOCAL_USED || l->cid.seq != seq)
			continue;
		if (same_bytes(l->cid.id, dcid, l->cid.len))
			return NQ_PROTOCOL_VIOLATION;
		s->local_state[i] = NQ_LOCAL_RETIRED;
		l->fate = turn(s, l->fate, NQ_FATE_NONE);
		nq_path_on_local_retired(c, i);
		c->events |= NQ_EV_CID_WANTED | NQ_EV_CID_RETIRED;
	}
	return 0;
}

int nq_take_retired_cid(struct nq_conn *c, struct nq_cid *cid)
{
	struct nq_cids *s = &c->cids;
	u32 i;

	for (i = 0; i < NQ_CIDS_MAX; i++) {
		if (s->local_state[i] != NQ_LOCAL_RETIRED)
			continue;
		*cid = s->local[i].cid;
		nq_memzero(&s->local[i], sizeof(s->local[i]));
		s->local_state[i] = NQ_LOCAL_FREE;
		return 1;
	}
	return 0;
}

/* ---- frames ---- */

u32 nq_cid_write(struct nq_conn *c, u8 *p, u32 cap, u64 pn)
{
	struct nq_cids *s = &c->cids;
	u32 i, len, at = 0;

	for (i = 0; i < NQ_RETIRE_MAX; i++) {
		if (s->retire[i].fate != NQ_FATE_WANTED)
			continue;
		len = nq_put_retire_cid(p + at, cap - at, s->retire[i].seq);
		if (!len)
			return at;
		at += len;
		s->retire[i].fate = turn(s, NQ_FATE_WANTED, NQ_FATE_SENT);
		s->retire[i].pn = pn;
	}
	for (i = 0; i < NQ_CIDS_MAX; i++) {
		if (s->local[i].fate != NQ_FATE_WANTED)
			continue;
		len = nq_put_new_cid(p + at, cap - at, &s->local[i].cid, 0);
		if (!len)
			return at;
		at += len;
		s->local[i].fate = turn(s, NQ_FATE_WANTED, NQ_FATE_SENT);
		s->local[i].pn = pn;
	}
	return at;
}

static void set_fate(struct nq_cids *s, u64 pn, enum nq_frame_fate fate)
{
	u32 i;

	for (i = 0; i < NQ_RETIRE_MAX; i++) {
		if (s->retire[i].fate == NQ_FATE_SENT && s->retire[i].pn == pn)
			s->retire[i].fate = turn(s, NQ_FATE_SENT, fate);
	}
	for (i = 0; i < NQ_CIDS_MAX; i++) {
		if (s->local[i].fate == NQ_FATE_SENT && s->local[i].pn == pn)
			s->local[i].fate = turn(s, NQ_FATE_SENT, fate);
	}
}

void nq_cid_on_acked(struct nq_conn *c, u64 pn)
{
	set_fate(&c->cids, pn, NQ_FATE_NONE);
	retire_spent(&c->cids);
}

void nq_cid_on_lost(struct nq_conn *c, u64 pn)
{
	set_fate(&c->cids, pn, NQ_FATE_WANTED);
}
