// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paths (RFC 9000 8.2, 9): which addresses are the peer's, and where packets go.
 *
 * Server: the newest packet that is more than a probe decides where the peer is. Packets go there at
 * once, but only three times the bytes that came from there until the address has answered a
 * challenge; the former address is challenged as well, so that a peer whose packets were copied from
 * elsewhere (9.3.3) wins back by answering. If the new address does not answer, the last valid one
 * is taken again. Client: probes a path with an ID of its own, then moves.
 *
 * What is known of congestion, round trip, ECN and packet size belongs to one path (last_valid). It
 * is forgotten when the move to another is confirmed, unless only ports changed (9.4). A path left
 * behind is kept for three probe timeouts.
 *
 * Packets from the quiet path, the active one in all but the moments of a move, cost one comparison.
 */
#include "conn.h"

#define RELEASE_PTOS 3
/* RFC 9000 8.1 */
#define AMPLIFICATION 3
/* More than is sent to an address before it is validated, and far from the end of 32 bits. */
#define CREDIT_MAX (1u << 30)

/* ---- challenges ---- */

static u64 rotate(u64 x, u32 bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(u64 *v)
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 of eight bytes: challenges that nobody can tell who has not received them. */
static void challenge_data(const struct nq_paths *s, u32 validation, u8 try, u8 *data)
{
	const u64 words[2] = { (u64)validation << 8 | try, 8ULL << 56 };
	u64 v[4];
	u32 i;

	v[0] = s->secret[0] ^ 0x736f6d6570736575ULL;
	v[1] = s->secret[1] ^ 0x646f72616e646f6dULL;
	v[2] = s->secret[0] ^ 0x6c7967656e657261ULL;
	v[3] = s->secret[1] ^ 0x7465646279746573ULL;
	for (i = 0; i < 2; i++) {
		v[3] ^= words[i];
		sip_round(v);
		sip_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	nq_put_be64(data, v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* Three probe timeouts, and never less than those of a path nothing is known about (8.2.4). */
static u64 validation_us(const struct nq_conn *c)
{
	return 3 * nq_max(nq_pto_us(c), 3ULL * NQ_DEFAULT_RTT_US);
}

static void start_validation(struct nq_conn *c, u8 path, u64 now_us)
{
	struct nq_path *p = &c->paths.p[path];

	p->validating = true;
	p->challenge_wanted = true;
	p->small = false;
	p->tries = 0;
	p->validation = c->paths.validations++;
	p->next_us = NQ_TIME_NEVER;
	p->end_us = now_us + validation_us(c);
}

/* ---- the active path ---- */

u8 nq_active_path(const struct nq_conn *c)
{
	return c->paths.active;
}

u8 nq_confirmed_path(const struct nq_conn *c)
{
	return c->paths.last_valid;
}

bool nq_path_used(const struct nq_conn *c, u8 path)
{
	return path < NQ_PATHS_MAX && c->paths.p[path].used;
}

static void update_quiet(struct nq_paths *s)
{
	const struct nq_path *p = &s->p[s->active];

	s->quiet = p->valid && (p->local != NQ_LOCAL_UNKNOWN || !s->follow) ? s->active
									    : NQ_PATH_NONE;
}

static void release(struct nq_conn *c, u8 path)
{
	struct nq_paths *s = &c->paths;
	u32 i, kept = 0;

	for (i = 0; i < s->n_responses; i++) {
		if (s->responses[i].path != path)
			s->responses[kept++] = s->responses[i];
	}
	s->n_responses = (u8)kept;
	nq_cid_release(c, path);
	s->p[path].used = false;
	s->others--;
	c->events |= NQ_EV_PATH;
}

static void set_active(struct nq_conn *c, u8 path)
{
	struct nq_paths *s = &c->paths;

	s->active = path;
	s->p[path].release_us = NQ_TIME_NEVER;
	nq_cid_set_active(c, path);
	update_quiet(s);
	c->events |= NQ_EV_PATH;
}

/* The active path is the peer's beyond doubt: what is known of another path goes, if it is one. */
static void confirm(struct nq_conn *c, u64 now_us)
{
	struct nq_paths *s = &c->paths;
	struct nq_path *p = &s->p[s->active];
	u64 release_us = now_us + RELEASE_PTOS * nq_pto_us(c);
	u8 before = s->last_valid, i;

	s->last_valid = s->active;
	update_quiet(s);
	if (before == s->active)
		return;
	c->stats.migrations++;
	c->events |= NQ_EV_PATH;
	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (s->p[i].used && i != s->active && i != s->migrating)
			s->p[i].release_us = release_us;
	}
	s->p[before].mtu = (u16)c->pmtud.low;
	if (s->p[before].host == p->host)
		return;
	nq_mtu_on_new_path(c, p->mtu);
	nq_loss_on_new_path(c, p->rtt_us ? p->rtt_us : NQ_DEFAULT_RTT_US, now_us);
}

/* ---- the end of a validation ---- */

static void on_valid(struct nq_conn *c, u8 path, u64 now_us)
{
	struct nq_paths *s = &c->paths;
	struct nq_path *p = &s->p[path];
	bool again = p->small && !p->valid;

	c->stats.path_validations++;
	p->valid = true;
	p->validating = false;
	p->challenge_wanted = false;
	/* It is the peer's, but whether it takes packets of 1200 bytes is open (8.2.1). */
	if (again)
		start_validation(c, path, now_us);
	if (path == s->migrating) {
		s->migrating = NQ_PATH_NONE;
		set_active(c, path);
		/* The peer follows what is more than a probe. */
		c->ping_wanted = true;
	}
	if (path == s->active)
		confirm(c, now_us);
	else if (path != s->last_valid && !again)
		p->release_us = now_us + validation_us(c);
}

static void on_failed(struct nq_conn *c, u8 path)
{
	struct nq_paths *s = &c->paths;
	struct nq_path *p = &s->p[path];

	p->validating = false;
	p->challenge_wanted = false;
	/* Silent, but there is none better. */
	if (path == s->last_valid)
		return;
	if (path == s->migrating)
		s->migrating = NQ_PATH_NONE;
	if (path == s->active)
		set_active(c, s->last_valid);
	release(c, path);
}

void nq_path_on_response(struct nq_conn *c, const u8 *data, u64 now_us)
{
	u8 expected[NQ_PATH_DATA_LEN], i, k;
	struct nq_path *p;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		p = &c->paths.p[i];
		for (k = 0; p->validating && k < p->tries; k++) {
			challenge_data(&c->paths, p->validation, k, expected);
			if (nq_differ(expected, data, NQ_PATH_DATA_LEN))
				continue;
			/* Of the others it is not known when they left. */
			if (k + 1 == p->tries)
				p->rtt_us = (u32)nq_min(now_us - p->sent_us, NQ_RTT_MAX_US);
			on_valid(c, i, now_us);
			return;
		}
	}
}

/* ---- packets from elsewhere ---- */

/* A slot for another pair of addresses: a free one, else that of the oldest candidate. */
static u8 find_slot(const struct nq_paths *s)
{
	u8 i, best = NQ_PATH_NONE;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (i == s->active || i == s->last_valid || i == s->migrating)
			continue;
		if (!s->p[i].used)
			return i;
		if (best == NQ_PATH_NONE || s->p[i].release_us < s->p[best].release_us ||
		    (s->p[i].release_us == s->p[best].release_us &&
		     s->p[i].end_us < s->p[best].end_us))
			best = i;
	}
	return best;
}

static struct nq_path new_path(u32 host)
{
	return (struct nq_path){
		.used = true, .host = host, .release_us = NQ_TIME_NEVER, .local = NQ_LOCAL_UNKNOWN
	};
}

static void open_slot(struct nq_conn *c, u8 path, u32 host)
{
	if (c->paths.p[path].used)
		release(c, path);
	c->paths.others++;
	c->paths.p[path] = new_path(host);
}

/* RFC 9000 9.5: the peer that changed its ID along with its address wants ours changed as well. */
static void give_cid(struct nq_conn *c, u8 path)
{
	const struct nq_path *active = &c->paths.p[c->paths.active];
	const struct nq_path *p = &c->paths.p[path];

	if (nq_cid_of_path(c, path))
		return;
	if (p->local != NQ_LOCAL_UNKNOWN && p->local == active->local)
		nq_cid_share(c, path, c->paths.active);
	else
		nq_cid_take(c, path);
}

bool nq_path_enter(struct nq_conn *c, struct nq_rx_pkt *pkt, const u8 *dcid, u64 now_us)
{
	struct nq_paths *s = &c->paths;
	struct nq_path *p;
	bool port_only = pkt->path == NQ_PATH_NEW_PORT;
	u8 path = pkt->path;

	if (path >= NQ_PATHS_MAX || !s->p[path].used) {
		/* A server does not move, and a peer only where it is allowed to. */
		if (!s->follow)
			return false;
		if (path >= NQ_PATHS_MAX)
			path = find_slot(s);
		if (pkt->path == path)
			open_slot(c, path, s->p[path].host);
		else
			open_slot(c, path, port_only ? s->p[s->active].host : ++s->hosts);
	}
	pkt->path = path;
	p = &s->p[path];
	p->local = nq_cid_local(c, dcid);
	if (p->credit_bytes < CREDIT_MAX)
		p->credit_bytes += AMPLIFICATION * pkt->len;
	if (s->follow)
		give_cid(c, path);
	return true;
}

void nq_path_settle(struct nq_conn *c, u8 path, bool moved, u64 now_us)
{
	struct nq_paths *s = &c->paths;
	u8 before = s->active;

	/* The connection ended, or the slot went, by a frame of this packet. */
	if (c->state != NQ_ACTIVE || !s->p[path].used)
		return;
	if (s->follow && !s->p[path].valid && !s->p[path].validating)
		start_validation(c, path, now_us);
	if (s->follow && moved && path != before && nq_cid_of_path(c, path)) {
		set_active(c, path);
		if (s->p[path].valid)
			confirm(c, now_us);
		else if (s->p[before].valid && !s->p[before].validating)
			start_validation(c, before, now_us);
	}
	update_quiet(s);
}

void nq_path_on_challenge(struct nq_conn *c, u8 path, const u8 *data)
{
	struct nq_paths *s = &c->paths;
	struct nq_response *r;

	/* More than that before an answer has left is abuse: those go unanswered. */
	if (s->n_responses == NQ_RESPONSES_MAX)
		return;
	r = &s->responses[s->n_responses++];
	r->path = path;
	memcpy(r->data, data, NQ_PATH_DATA_LEN);
}

void nq_path_on_cids(struct nq_conn *c)
{
	struct nq_paths *s = &c->paths;
	u8 i;

	if (!nq_cid_of_path(c, s->active))
		nq_cid_take(c, s->active);
	nq_cid_set_active(c, s->active);
	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (s->p[i].used && !nq_cid_of_path(c, i))
			nq_cid_take(c, i);
	}
}

void nq_path_on_local_retired(struct nq_conn *c, u8 local)
{
	struct nq_path *p;

	for (p = c->paths.p; p < c->paths.p + NQ_PATHS_MAX; p++) {
		if (p->local == local)
			p->local = NQ_LOCAL_UNKNOWN;
	}
	update_quiet(&c->paths);
}

/* ---- the client moves ---- */

int nq_path_migrate(struct nq_conn *c, unsigned int how, u64 now_us)
{
	struct nq_paths *s = &c->paths;
	u8 path, active = s->active;

	if (c->is_server)
		return -EPERM;
	if (c->state != NQ_ACTIVE)
		return -ENOTCONN;
	path = find_slot(s);
	open_slot(c, path, how & NQ_MIGRATE_SAME_HOSTS ? s->p[active].host : ++s->hosts);
	if (!nq_cid_take(c, path)) {
		if (!(how & NQ_MIGRATE_SAME_LOCAL)) {
			release(c, path);
			return -ENOBUFS;
		}
		nq_cid_share(c, path, active);
	}
	/* Where it was about to go is no longer of interest. */
	if (s->migrating != NQ_PATH_NONE) {
		release(c, s->migrating);
		s->migrating = NQ_PATH_NONE;
	}
	start_validation(c, path, now_us);
	if (!(how & NQ_MIGRATE_AT_ONCE) && !c->loss.pto_count) {
		s->migrating = path;
		return path;
	}
	/* Nothing to lose on the old path; where the server is has not changed. */
	s->p[path].valid = true;
	set_active(c, path);
	confirm(c, now_us);
	c->ping_wanted = true;
	return path;
}

void nq_path_recheck(struct nq_conn *c)
{
	if (c->state != NQ_ACTIVE)
		return;
	c->loss.pto_count = 0;
	if (!c->loss.probes)
		c->loss.probes = 1;
}

/* ---- sending ---- */

u64 nq_path_room(const struct nq_conn *c, u8 path)
{
	const struct nq_path *p = &c->paths.p[path];
	/* What a burst has reserved leaves after the control packets that are built meanwhile. */
	u64 reserved = path == c->paths.active ? c->reserved_bytes : 0;

	if (p->valid || !c->is_server)
		return ~0ULL;
	return p->credit_bytes - nq_min(p->credit_bytes, reserved);
}

bool nq_path_wanted(const struct nq_conn *c, u8 path)
{
	const struct nq_paths *s = &c->paths;
	u32 i;

	if (!s->p[path].used || !nq_cid_of_path(c, path) ||
	    nq_path_room(c, path) < NQ_PATH_ROOM_MIN)
		return false;
	for (i = 0; i < s->n_responses; i++) {
		if (s->responses[i].path == path)
			return true;
	}
	return s->p[path].challenge_wanted;
}

static u32 write_responses(struct nq_paths *s, u8 path, u8 *at, u32 cap)
{
	u32 i, kept = 0, len = 0, one;

	for (i = 0; i < s->n_responses; i++) {
		one = s->responses[i].path == path
			      ? nq_put_path(at + len, cap - len, NQ_FRAME_PATH_RESPONSE,
					    s->responses[i].data)
			      : 0;
		len += one;
		if (!one)
			s->responses[kept++] = s->responses[i];
	}
	s->n_responses = (u8)kept;
	return len;
}

u32 nq_path_write(struct nq_conn *c, u8 path, u8 *at, u32 cap, bool padded, u64 now_us)
{
	struct nq_path *p = &c->paths.p[path];
	u32 len = write_responses(&c->paths, path, at, cap), one;
	u8 data[NQ_PATH_DATA_LEN];

	if (!p->challenge_wanted)
		return len;
	challenge_data(&c->paths, p->validation, p->tries, data);
	one = nq_put_path(at + len, cap - len, NQ_FRAME_PATH_CHALLENGE, data);
	if (!one)
		return len;
	p->challenge_wanted = false;
	p->sent_us = now_us;
	p->next_us = now_us + (nq_pto_us(c) << p->tries);
	p->small |= !padded;
	p->tries++;
	return len + one;
}

void nq_path_on_sent(struct nq_conn *c, u8 path, u32 bytes)
{
	struct nq_path *p = &c->paths.p[path];

	p->credit_bytes -= (u32)nq_min(p->credit_bytes, bytes);
}

/* ---- time ---- */

static u64 timeout_us(const struct nq_path *p)
{
	u64 t = p->release_us;

	if (!p->used)
		return NQ_TIME_NEVER;
	if (p->validating) {
		t = nq_min(t, p->end_us);
		if (!p->challenge_wanted && p->tries < NQ_PATH_TRIES)
			t = nq_min(t, p->next_us);
	}
	return t;
}

u64 nq_path_timeout_us(const struct nq_conn *c)
{
	u64 t = NQ_TIME_NEVER;
	u32 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		t = nq_min(t, timeout_us(&c->paths.p[i]));
	return t;
}

void nq_path_on_timeout(struct nq_conn *c, u64 now_us)
{
	struct nq_path *p;
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		p = &c->paths.p[i];
		if (now_us < timeout_us(p))
			continue;
		if (p->release_us <= now_us)
			release(c, i);
		else if (p->end_us <= now_us)
			on_failed(c, i);
		else
			p->challenge_wanted = true;
	}
}

void nq_paths_init(struct nq_conn *c, const struct nq_conn_params *p)
{
	struct nq_paths *s = &c->paths;

	s->follow = p->is_server && p->migration;
	memcpy(s->secret, p->path_secret, sizeof(s->secret));
	s->migrating = NQ_PATH_NONE;
	s->p[0] = new_path(0);
	s->p[0].valid = true;
	update_quiet(s);
}
