// SPDX-License-Identifier: GPL-2.0-only
/*
 * ADD, UPDATE and DELETE of sessions and routes, keys. A new session is built completely aside
 * (struct new_session) and only then linked into tables; what fails before that leaves no trace.
 * Everything here runs under nqd_net.lock.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "crypto.h"
#include "nqd.h"

/* A session that says goodbye after its device is gone: its owner may want the port again. */
#define LIMBO_US 1000000

/* ---- finding ---- */

struct nqd_session *nqd_request_session(struct nqd_request *r, struct nxa *attrs)
{
	struct nqd_session *s;
	u64 id;

	if (nqd_parse_session_name(&r->top[NQD_A_SESSION], r->msg, attrs, &id, &r->e))
		return NULL;
	s = nqd_session_find(r->nn, id);
	if (!s)
		nqd_fail(r, -ENOENT, "NQD_A_SESSION_ID: no such session");
	else if (nqd_check_generation(attrs, s->generation, &r->e))
		s = NULL;
	return s;
}

/* ---- routes ---- */

/* Every NQD_A_ROUTE of the request. The caller frees @routes->p. */
static int parse_routes(struct nqd_request *r, struct nqd_claims *routes)
{
	struct nqd_prefix *fit;
	int n;

	memset(routes, 0, sizeof(*routes));
	if (!r->top[NQD_A_ROUTE].present)
		return 0;
	routes->p = kvcalloc(NQD_ROUTES_MAX, sizeof(*routes->p), GFP_KERNEL);
	if (!routes->p)
		return -ENOMEM;
	n = nqd_parse_routes(r->attrs, r->attrs_len, r->msg, routes->p, &r->e);
	/* Kept as long as the session waits to replace another. */
	fit = n > 0 ? kmemdup(routes->p, n * sizeof(*fit), GFP_KERNEL_ACCOUNT) : NULL;
	kvfree(routes->p);
	routes->p = fit;
	if (n < 0)
		return n;
	if (!fit)
		return -ENOMEM;
	routes->n = n;
	return 0;
}

/* Is a prefix held by another session? @replacing: those that give it up to @s do not count. */
static int check_conflicts(struct nqd_request *r, const struct nqd_claims *routes,
			   struct nqd_session *s, bool replacing)
{
	struct nqd_session *holder;
	unsigned int i = 0;

	while ((holder = nqd_claims_rival(&s->nd->routes, routes, s, &i)))
		if (!replacing || !nqd_may_replace(&r->nn->lines, &s->line, &holder->line))
			return nqd_fail(r, -EEXIST, "NQD_A_ROUTE: held by session %llu",
					holder->id);
	return 0;
}

int nqd_cmd_add_route(struct nqd_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s = nqd_request_session(r, attrs);
	struct nqd_claims routes;
	int err;

	if (!s)
		return r->e.err;
	if (s->down)
		return nqd_fail(r, -ESHUTDOWN, "NQD_A_SESSION_ID: the session is closing");
	err = nqd_check_settled(&s->line, &r->e);
	if (err)
		return err;
	err = parse_routes(r, &routes);
	if (!err)
		err = check_conflicts(r, &routes, s, false);
	if (!err)
		err = nqd_claims_install(&s->nd->routes, &routes, s, false);
	if (!err)
		s->generation++;
	kfree(routes.p);
	return err;
}

int nqd_cmd_delete_route(struct nqd_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s = nqd_request_session(r, attrs);
	struct nqd_claims routes;
	unsigned int i;
	int err;

	if (!s && r->e.err != -ENOENT)
		return r->e.err;
	err = s ? nqd_check_settled(&s->line, &r->e) : 0;
	if (err)
		return err;
	err = parse_routes(r, &routes);
	if (err)
		return err;
	/* What is not there, the session included, is already deleted. */
	r->e = (struct nxm_error){};
	for (i = 0; s && s->nd && i < routes.n; i++)
		nqd_route_del(&s->nd->routes, &routes.p[i], s);
	if (s)
		s->generation++;
	kfree(routes.p);
	return 0;
}

/* ---- ADD_SESSION ---- */

struct new_session {
	struct nqd_session *s;
	struct nqd_new_session *req; /* may become s->waiting */
	struct nqd_secrets secrets;
	struct nqd_claims routes;
};

static int take_identity(struct nqd_request *r, struct new_session *ns)
{
	const struct nqd_new_session *req = ns->req;
	struct nqd_session *s = ns->s, *old;

	old = nqd_session_find(r->nn, req->id);
	/* A closing one only waits for late packets and makes room. */
	if (old && !old->down)
		return nqd_fail(r, -EEXIST, "NQD_A_SESSION_ID: it exists");
	s->id = req->id;
	s->generation = 1;
	s->user = req->user;
	memcpy(s->tunnel, req->tunnel, sizeof(s->tunnel));
	s->role = req->role;
	s->flags = req->flags;
	s->route_epoch = req->route_epoch;
	s->peer_group = req->peer_group;
	s->cipher = req->cipher;
	s->key_exchange = req->key_exchange;
	s->path_mtu = req->params.path_mtu_bytes;
	s->line.started_us = nqd_now_us();
	return 0;
}

/*
 * Socket and addresses; what is not named is as in @now. On success the caller has a reference on
 * p->sock.
 */
static int parse_path(struct nqd_request *r, const struct nxa *a, const struct nqd_path *now,
		      struct nqd_path *p)
{
	union nqd_addr local = now->local, remote = now->remote;
	struct nqd_socket *sock = now->sock;
	int err;

	if (a[NQD_A_SESSION_SOCKET_FD].present) {
		sock = nqd_socket_get(r, nxa_u32(&a[NQD_A_SESSION_SOCKET_FD]),
				      "NQD_A_SESSION_SOCKET_FD");
		if (IS_ERR(sock))
			return PTR_ERR(sock);
		memset(&local, 0, sizeof(local));
	} else {
		nqd_socket_hold(sock);
	}
	err = nqd_parse_addrs(sock->bound.sa.sa_family, a, &local, &remote, &r->e);
	if (err) {
		nqd_socket_put(sock);
		return err;
	}
	nqd_path_init(p, sock, &sock->bound, &local, &remote);
	return 0;
}

static int take_path(struct nqd_request *r, struct new_session *ns)
{
	static const struct nqd_path none;
	struct nqd_path path;
	int err;

	err = parse_path(r, ns->req->a, &none, &path);
	if (err)
		return err;
	/* A new session has room for it. */
	err = nqd_session_add_socket(ns->s, path.sock);
	if (!err)
		ns->s->paths[0] = path;
	nqd_socket_put(path.sock);
	return err;
}

static int add_cids(struct nqd_request *r, struct new_session *ns)
{
	const struct nq_conn_params *p = &ns->req->params;
	struct nqd_session *s = ns->s;
	u32 i;

	s->cid_len = p->local_cids[0].len;
	for (i = 0; i < p->n_local_cids; i++) {
		int err = nqd_cid_add(s, &p->local_cids[i]);

		if (err == -EEXIST)
			nqd_fail(r, err, "NQD_A_SESSION_LOCAL_CIDS: in use");
		if (err)
			return err;
		if (p->local_cids[i].seq >= s->next_cid_seq)
			s->next_cid_seq = p->local_cids[i].seq + 1;
	}
	return 0;
}

static int check_default(struct nqd_request *r, struct nqd_session *s)
{
	const struct nqd_session *now = s->nd->default_session;

	if (s->flags & NQD_SESSION_F_DEFAULT_ROUTE && now &&
	    !nqd_may_replace(&r->nn->lines, &s->line, &now->line))
		return nqd_fail(r, -EEXIST,
				"NQD_A_SESSION_FLAGS: the device has a default session");
	return 0;
}

/* Start the engine; the session is not known to packets, or has had no engine so far. */
static int start(struct nqd_request *r, struct nqd_session *s, struct nqd_new_session *req,
		 const struct nqd_secrets *secrets)
{
	int err = nqd_session_start(s, req, secrets);

	if (err && err != -ENOMEM)
		nqd_fail(r, err, "NQD_A_SESSION: the engine refuses: %pe", ERR_PTR(err));
	return err;
}

static int build_session(struct nqd_request *r, struct new_session *ns)
{
	const struct nxa *keys = &r->top[NQD_A_KEYS];
	struct nqd_session *s = ns->s;
	int err;

	err = nqd_parse_new_session(&r->top[NQD_A_SESSION], r->msg, r->nn->fixed_rate_bytes_per_s,
				    ns->req, &r->e);
	if (!err)
		err = take_identity(r, ns);
	if (!err)
		err = parse_routes(r, &ns->routes);
	if (!err)
		err = check_conflicts(r, &ns->routes, s, true);
	if (!err)
		err = check_default(r, s);
	if (!err && keys->present)
		err = nqd_parse_keys(keys, r->msg, nqd_quic_derive, &ns->req->params, &ns->secrets,
				     &r->e);
	if (!err)
		err = take_path(r, ns);
	if (!err && keys->present)
		err = start(r, s, ns->req, &ns->secrets);
	if (err || keys->present)
		return err;
	/* What the engine will need. */
	s->waiting = ns->req;
	ns->req = NULL;
	return 0;
}

/* Nothing below fails halfway: there is room for all routes or for none, the rest cannot fail. */
static int link_session(struct new_session *ns)
{
	struct nqd_session *s = ns->s;
	int err;

	err = nqd_claims_install(&s->nd->routes, &ns->routes, s, true);
	if (err)
		return err;
	err = nqd_session_link(s);
	if (err)
		return err;
	nqd_replace_link(&s->nn->lines, &s->line);
	/* One that gave up has left what it had reserved; without memory it is not kept for us. */
	(void)nqd_claims_install(&s->nd->routes, &ns->routes, s, true);
	s->line.claims = ns->routes;
	ns->routes = (struct nqd_claims){};
	if (!s->line.unheard)
		nqd_session_begin(s);
	return 0;
}

/* Generation, SESSION_UP, first words: after ADD_SESSION with keys, or SET_KEYS. */
static void installed(struct nqd_session *s)
{
	s->generation++;
	nqd_event(s, NQD_EVENT_SESSION_UP, NULL, NULL, 0);
	nqd_replace_installed(&s->nn->lines, &s->line);
	nqd_reset_update(s);
	nqd_dp_session_wake(s);
	nqd_session_kick(s);
}

/* DATAGRAMs that arrived before the hand-over. */
static void inject_datagrams(struct nqd_request *r, struct nqd_session *s, const u8 *prefix,
			     u8 prefix_len)
{
	const u8 *pos = NULL;
	struct nxa d;

	while (nqd_next_early_datagram(&r->top[NQD_A_SESSION], prefix, prefix_len, &pos, &d)) {
		if (s->line.unheard)
			nqd_take_over(&s->nn->lines, &s->line);
		nqd_dp_rx_inner(s, d.data, d.len);
	}
}

static int add_session(struct nqd_request *r, struct new_session *ns)
{
	u8 prefix[NQ_PREFIX_MAX_LEN], prefix_len;
	struct nqd_session *old;
	int err;

	err = build_session(r, ns);
	if (err)
		return err;
	old = nqd_session_find(r->nn, ns->s->id);
	if (old)
		nqd_session_free(old);
	if (ns->s->waiting) {
		/* The IDs are where build_session() put what was parsed. */
		ns->req = ns->s->waiting;
		err = add_cids(r, ns);
		ns->req = NULL;
	} else {
		err = add_cids(r, ns);
	}
	if (!err)
		err = link_session(ns);
	if (err || !ns->s->conn)
		return err;
	prefix_len = ns->req->params.prefix_len;
	memcpy(prefix, ns->req->params.prefix, sizeof(prefix));
	installed(ns->s);
	inject_datagrams(r, ns->s, prefix, prefix_len);
	return 0;
}

int nqd_cmd_add_session(struct nqd_request *r)
{
	struct nqd_device *nd = nqd_request_device(r);
	struct new_session ns = {};
	int err = -ENOMEM;

	if (!nd)
		return r->e.err;
	if (r->nn->n_sessions == NQD_MAX_SESSIONS)
		return nqd_fail(r, -ENOSPC, "NQD_A_SESSION: %d sessions exist", NQD_MAX_SESSIONS);
	ns.req = kzalloc(sizeof(*ns.req), GFP_KERNEL);
	if (!ns.req)
		return err;
	ns.s = nqd_session_alloc(r->nn);
	if (!ns.s)
		goto free_req;
	ns.s->nd = nd;
	err = add_session(r, &ns);
	if (err)
		nqd_session_free(ns.s);
	kfree(ns.routes.p);
	memzero_explicit(&ns.secrets, sizeof(ns.secrets));
free_req:
	kfree_sensitive(ns.req);
	return err;
}

/* ---- keys ---- */

int nqd_cmd_set_keys(struct nqd_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s = nqd_request_session(r, attrs);
	struct nqd_new_session *req;
	struct nqd_secrets secrets;
	int err;

	if (!s)
		return r->e.err;
	if (s->conn)
		return nqd_fail(r, -EALREADY, "NQD_A_KEYS: the session has its keys");
	if (s->down)
		return nqd_fail(r, -ESHUTDOWN, "NQD_A_SESSION_ID: the session is closing");
	req = kmemdup(s->waiting, sizeof(*req), GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	req->params.rx_ranges = req->ranges;
	err = nqd_parse_keys(&r->top[NQD_A_KEYS], r->msg, nqd_quic_derive, &req->params, &secrets,
			     &r->e);
	if (!err)
		err = start(r, s, req, &secrets);
	kfree_sensitive(req);
	memzero_explicit(&secrets, sizeof(secrets));
	if (err)
		return err;
	kfree_sensitive(s->waiting);
	s->waiting = NULL;
	installed(s);
	return 0;
}

static int set_next_keys(struct nqd_request *r, struct nqd_session *s)
{
	struct nq_key_material tx = {}, rx = {};
	int err;

	err = nqd_parse_next_keys(&r->top[NQD_A_KEYS], r->msg, s->cipher, &tx, &rx, &r->e);
	if (err)
		goto wipe;
	err = nqd_session_set_next_keys(s, &tx, &rx);
	if (err)
		nqd_fail(r, err, "NQD_A_KEYS: next keys refused: %pe", ERR_PTR(err));
wipe:
	memzero_explicit(&tx, sizeof(tx));
	memzero_explicit(&rx, sizeof(rx));
	return err;
}

int nqd_cmd_key_update(struct nqd_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s = nqd_request_session(r, attrs);
	int err;

	if (!s)
		return r->e.err;
	if (!s->conn)
		return nqd_fail(r, -ENOKEY, "NQD_A_SESSION_ID: the session has no keys");
	if (r->top[NQD_A_KEYS].present) {
		err = set_next_keys(r, s);
		if (err)
			return err;
	}
	spin_lock_bh(&s->lock);
	err = nq_key_update(s->conn, nqd_now_us());
	spin_unlock_bh(&s->lock);
	if (err)
		return nqd_fail(r, err, "key update not possible now: %pe", ERR_PTR(err));
	s->generation++;
	nqd_dp_session_wake(s);
	nqd_session_kick(s);
	return 0;
}

/* ---- UPDATE_SESSION ---- */

static int check_update(struct nqd_request *r, struct nqd_session *s, const struct nxa *a)
{
	struct nqd_update_state state = {
		.down = s->down,
		.has_conn = s->conn,
		.role = s->role,
		.route_epoch = s->route_epoch,
	};
	int err = nqd_check_update(a, &state, &r->e);

	if (err == -ESTALE)
		nqd_event(s, NQD_EVENT_ROUTE_EPOCH_MISMATCH, NULL, NULL, 0);
	return err;
}

static int move(struct nqd_request *r, struct nqd_session *s, const struct nxa *a)
{
	struct nqd_path now, path;
	int err;

	spin_lock_bh(&s->lock);
	now = *nqd_active_path(s);
	spin_unlock_bh(&s->lock);
	err = parse_path(r, a, &now, &path);
	if (err)
		return err;
	err = nqd_session_migrate(r, s, &path);
	nqd_socket_put(path.sock);
	return err;
}

static void apply_update(struct nqd_session *s, const struct nxa *a)
{
	spin_lock_bh(&s->lock);
	if (a[NQD_A_SESSION_KEEPALIVE_MS].present)
		nq_set_keepalive(s->conn, nxa_u32(&a[NQD_A_SESSION_KEEPALIVE_MS]), nqd_now_us());
	if (a[NQD_A_SESSION_PATH_MTU_BYTES].present) {
		s->path_mtu = nxa_u32(&a[NQD_A_SESSION_PATH_MTU_BYTES]);
		nq_set_path_mtu(s->conn, min_t(u32, s->path_mtu, NQD_PACKET_MAX));
	}
	if (a[NQD_A_SESSION_PEER_GROUP].present)
		WRITE_ONCE(s->peer_group, nxa_u32(&a[NQD_A_SESSION_PEER_GROUP]));
	spin_unlock_bh(&s->lock);
	if (a[NQD_A_SESSION_ROUTE_EPOCH].present)
		s->route_epoch = nxa_u32(&a[NQD_A_SESSION_ROUTE_EPOCH]);
	s->generation++;
}

int nqd_cmd_update_session(struct nqd_request *r)
{
	struct nxa a[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s = nqd_request_session(r, a);
	const struct nxa *frames;
	int err;

	if (!s)
		return r->e.err;
	err = check_update(r, s, a);
	if (err)
		return err;
	/* The only steps that can fail come first, and never both. */
	if (nqd_update_moves(a)) {
		err = move(r, s, a);
		if (err)
			return err;
	}
	frames = &a[NQD_A_SESSION_TX_FRAMES];
	if (frames->present) {
		spin_lock_bh(&s->lock);
		err = nq_tx_queue_frames(s->conn, frames->data, frames->len);
		spin_unlock_bh(&s->lock);
		if (err)
			return nqd_fail(r, err, "NQD_A_SESSION_TX_FRAMES: %pe", ERR_PTR(err));
	}
	apply_update(s, a);
	if (s->conn)
		nqd_dp_session_wake(s);
	nqd_session_kick(s);
	return 0;
}

/* ---- DELETE_SESSION ---- */

/* With a close code the peer is told and the drain period runs; without one it is gone at once. */
static void delete_session(struct nqd_session *s, const struct nxa *a)
{
	const struct nxa *code = &a[NQD_A_SESSION_CLOSE_CODE];
	const struct nxa *reason = &a[NQD_A_SESSION_CLOSE_REASON];

	if (s->down && code->present) {
		nqd_replace_end_drain(&s->nn->lines, &s->line);
		return;
	}
	nqd_session_down(s, NQD_DOWN_DELETED, code->present ? nxa_u64(code) : 0, "deleted");
	if (!code->present || !s->conn) {
		nqd_session_free(s);
		return;
	}
	spin_lock_bh(&s->lock);
	nq_close(s->conn, true, nxa_u64(code), reason->present ? nxa_str(reason) : "",
		 nqd_now_us());
	spin_unlock_bh(&s->lock);
	/* The frame leaves before the ACK does. */
	nqd_dp_session_flush(s);
	nqd_session_kick(s);
}

/* None of those that remain is freed by the deletion of another. */
static void delete_matching(struct nqd_net *nn, const struct nqd_device *nd,
			    const struct nqd_deletion *d)
{
	struct nqd_session *s, *next;

	list_for_each_entry_safe(s, next, &nn->sessions, entry)
		if ((!nd || s->nd == nd) && (d->which == NQD_DELETE_ALL || s->user == d->user))
			delete_session(s, d->a);
}

int nqd_cmd_delete_session(struct nqd_request *r)
{
	struct nqd_device *nd = NULL;
	struct nqd_deletion d;
	struct nqd_session *s;
	int err;

	if (r->top[NQD_A_DEVICE].present) {
		nd = nqd_request_device(r);
		if (!nd && r->e.err != -ENODEV)
			return r->e.err;
		if (!nd)
			goto done;
	}
	err = nqd_parse_deletion(&r->top[NQD_A_SESSION], r->msg, nd, &d, &r->e);
	if (err)
		return err;
	if (d.which == NQD_DELETE_ONE) {
		s = nqd_request_session(r, d.a);
		if (s)
			delete_session(s, d.a);
		else if (r->e.err != -ENOENT)
			return r->e.err;
	} else {
		delete_matching(r->nn, nd, &d);
	}
done:
	/* What is not there, the device included, is already deleted. */
	r->e = (struct nxm_error){};
	return 0;
}

/* ---- the end of a device ---- */

/* Is CONNECTION_CLOSE on its way to the peer, once or twice? */
static bool says_goodbye(struct nqd_session *s)
{
	bool does;

	spin_lock_bh(&s->lock);
	does = !s->gone && nqd_says_goodbye(s->conn);
	spin_unlock_bh(&s->lock);
	return does;
}

/* It needs its socket, no device. */
static void enter_limbo(struct nqd_session *s)
{
	spin_lock_bh(&s->lock);
	WRITE_ONCE(s->nd, NULL);
	spin_unlock_bh(&s->lock);
	s->sends = false;
	nqd_session_set_deadline(s, nqd_now_us() + LIMBO_US);
}

void nqd_device_end_sessions(struct nqd_device *nd)
{
	struct nqd_session *s, *next;

	list_for_each_entry_safe(s, next, &nd->nn->sessions, entry) {
		if (s->nd != nd)
			continue;
		nqd_session_down(s, NQD_DOWN_DELETED, 0, "device deleted");
		if (says_goodbye(s))
			enter_limbo(s);
		else
			nqd_session_free(s);
	}
}

/* ---- the rest ---- */

int nqd_cmd_flush_stats(struct nqd_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s, *only = NULL;
	struct nqd_account account;

	if (r->top[NQD_A_SESSION].present) {
		only = nqd_request_session(r, attrs);
		if (!only)
			return r->e.err;
	}
	list_for_each_entry(s, &r->nn->sessions, entry) {
		if (only && s != only)
			continue;
		account = nqd_account_of(s);
		spin_lock_bh(&s->lock);
		nqd_account_flush(&account);
		WRITE_ONCE(s->dp.delay_max, 0);
		spin_unlock_bh(&s->lock);
	}
	return 0;
}

int nqd_cmd_set_debug(struct nqd_request *r)
{
	struct nxa d[NQD_A_DEBUG_MAX + 1];
	const struct nxa *rate = &d[NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S];
	int err = nxa_parse_nest(&r->top[NQD_A_DEBUG], &nqd_debug_set, d, r->msg, &r->e);

	if (!err && !rate->present)
		err = nxa_require(d, &nqd_debug_set, NQD_A_DEBUG_LEVEL, &r->e);
	if (err)
		return err;
	if (rate->present && nxa_u64(rate) > NQ_RATE_MAX_BYTES_PER_S)
		return nqd_fail(r, -ERANGE, "NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S: above %llu",
				NQ_RATE_MAX_BYTES_PER_S);
	/* Sessions that exist keep theirs. */
	if (rate->present)
		r->nn->fixed_rate_bytes_per_s = nxa_u64(rate);
	if (d[NQD_A_DEBUG_LEVEL].present)
		WRITE_ONCE(r->nn->debug_level, nxa_u8(&d[NQD_A_DEBUG_LEVEL]));
	return 0;
}
