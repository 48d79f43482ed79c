// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ADD, UPDATE and DELETE of sessions and routes. A new session is built completely aside (struct
 * new_session) and only then linked into tables; what fails before that leaves no trace.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control-internal.h"

/* ---- finding ---- */

struct dp_session *dp_request_session(struct dp *dp, struct dp_request *r, struct nxa *attrs)
{
	struct dp_session *s;
	u64 id;

	if (nqd_parse_session_name(&r->top[NQD_A_SESSION], r->msg, attrs, &id, &r->e))
		return NULL;
	s = dp_session_find(dp, id);
	if (!s)
		dp_fail(&r->e, -ENOENT, "NQD_A_SESSION_ID: no such session");
	else if (nqd_check_generation(attrs, s->generation, &r->e))
		s = NULL;
	return s;
}

/* ---- routes ---- */

/* Every NQD_A_ROUTE of the request. The caller frees @routes->p. */
static int parse_routes(struct dp_request *r, struct nqd_claims *routes)
{
	int n;

	*routes = (struct nqd_claims){ 0 };
	if (!r->top[NQD_A_ROUTE].present)
		return 0;
	routes->p = calloc(NQD_ROUTES_MAX, sizeof(*routes->p));
	if (!routes->p)
		return -ENOMEM;
	n = nqd_parse_routes(r->hdr.attrs, r->hdr.attrs_len, r->msg, routes->p, &r->e);
	if (n < 0) {
		free(routes->p);
		routes->p = NULL;
		return n;
	}
	routes->n = n;
	return 0;
}

/* Is a prefix held by another session? @replacing: those that give it up to @s do not count. */
static int check_conflicts(struct dp *dp, struct dp_request *r, const struct nqd_claims *routes,
			   struct dp_session *s, bool replacing)
{
	struct dp_session *holder;
	unsigned int i = 0;

	while ((holder = nqd_claims_rival(&s->dev->routes, routes, s, &i)))
		if (!replacing || !nqd_may_replace(&dp->lines, &s->line, &holder->line))
			return dp_fail(&r->e, -EEXIST, "NQD_A_ROUTE: held by session %llu",
				       (unsigned long long)holder->id);
	return 0;
}

int dp_cmd_add_route(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, attrs);
	struct nqd_claims routes;
	int err;

	if (!s)
		return r->e.err;
	if (s->down)
		return dp_fail(&r->e, -ESHUTDOWN, "NQD_A_SESSION_ID: the session is closing");
	err = nqd_check_settled(&s->line, &r->e);
	if (err)
		return err;
	err = parse_routes(r, &routes);
	if (!err)
		err = check_conflicts(dp, r, &routes, s, false);
	if (!err)
		err = nqd_claims_install(&s->dev->routes, &routes, s, false);
	if (!err)
		s->generation++;
	free(routes.p);
	return err;
}

int dp_cmd_delete_route(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, attrs);
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
	r->e = (struct nxm_error){ 0 };
	for (i = 0; s && i < routes.n; i++)
		nqd_route_del(&s->dev->routes, &routes.p[i], s);
	if (s)
		s->generation++;
	free(routes.p);
	return 0;
}

/* ---- ADD_SESSION ---- */

struct new_session {
	struct dp_session *s;
	struct nqd_new_session req;
	struct nqd_secrets secrets;
	struct nqd_claims routes;
};

static int take_identity(struct dp *dp, struct dp_request *r, struct new_session *ns)
{
	const struct nqd_new_session *req = &ns->req;
	struct dp_session *s = ns->s, *old;

	old = dp_session_find(dp, req->id);
	/* A closing one only waits for late packets and makes room. */
	if (old && !old->down)
		return dp_fail(&r->e, -EEXIST, "NQD_A_SESSION_ID: it exists");
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
	ns->req.params.crypto = dp->crypto;
	return 0;
}

/*
 * Socket and addresses; what is not named is as in @now. The socket is the last thing taken, so
 * that it is given back on error only in one place: p->sock is a reference even then, or NULL.
 */
static int parse_path(struct dp *dp, struct dp_request *r, const struct nxa *a,
		      const struct nqd_path *now, struct nqd_path *p)
{
	union nqd_addr local = now->local, remote = now->remote;
	struct nqd_socket *sock;
	int fd, err;

	*p = (struct nqd_path){ .sock = now->sock };
	if (a[NQD_A_SESSION_SOCKET_FD].present) {
		fd = dp_take_fd(r, &a[NQD_A_SESSION_SOCKET_FD], "NQD_A_SESSION_SOCKET_FD");
		p->sock = fd < 0 ? NULL : dp_socket_get(dp, fd, &err);
		if (fd < 0)
			return fd;
		if (!p->sock)
			return dp_fail(&r->e, err,
				       "NQD_A_SESSION_SOCKET_FD: not a bound UDP socket");
		memset(&local, 0, sizeof(local));
	} else {
		p->sock->refs++;
	}
	sock = p->sock;
	err = nqd_parse_addrs(sock->bound.sa.sa_family, a, &local, &remote, &r->e);
	if (!err)
		nqd_path_init(p, sock, &sock->bound, &local, &remote);
	return err;
}

static int add_cids(struct dp *dp, struct dp_request *r, struct new_session *ns)
{
	u32 i;

	ns->s->cid_len = ns->req.params.local_cids[0].len;
	for (i = 0; i < ns->req.params.n_local_cids; i++) {
		int err = dp_cid_add(dp, ns->s, &ns->req.params.local_cids[i]);

		if (err)
			return dp_fail(&r->e, err, "NQD_A_SESSION_LOCAL_CIDS: in use");
		if (ns->req.params.local_cids[i].seq >= ns->s->next_cid_seq)
			ns->s->next_cid_seq = ns->req.params.local_cids[i].seq + 1;
	}
	return 0;
}

/* Without keys: keep what the engine will need. */
static int keep_params(struct new_session *ns)
{
	struct dp_session *s = ns->s;

	s->waiting = malloc(sizeof(*s->waiting));
	s->waiting_ranges = malloc(sizeof(ns->req.ranges));
	if (!s->waiting || !s->waiting_ranges)
		return -ENOMEM;
	*s->waiting = ns->req.params;
	memcpy(s->waiting_ranges, ns->req.ranges, sizeof(ns->req.ranges));
	s->waiting->rx_ranges = s->waiting_ranges;
	return 0;
}

/* DATAGRAMs that arrived before the hand-over. */
static void inject_datagrams(struct dp *dp, struct dp_request *r, struct new_session *ns)
{
	const struct nq_conn_params *p = &ns->req.params;
	const u8 *pos = NULL;
	struct nxa d;

	while (nqd_next_early_datagram(&r->top[NQD_A_SESSION], p->prefix, p->prefix_len, &pos, &d))
		dp_rx_inner(dp, ns->s, (u8 *)d.data, d.len);
}

void dp_session_installed(struct dp *dp, struct dp_session *s)
{
	s->generation++;
	dp_event(dp, s, NQD_EVENT_SESSION_UP, NULL, NULL, 0);
	nqd_replace_installed(&dp->lines, &s->line);
	dp_mark_dirty(dp, s);
}

/* Nothing below fails halfway: there is room for all routes or for none, the rest cannot fail. */
static int link_session(struct dp *dp, struct new_session *ns)
{
	struct dp_session *s = ns->s;
	int err;

	err = nqd_claims_install(&s->dev->routes, &ns->routes, s, true);
	if (err)
		return err;
	nqd_replace_link(&dp->lines, &s->line);
	/* One that gave up has left what it had reserved; without memory it is not kept for us. */
	(void)nqd_claims_install(&s->dev->routes, &ns->routes, s, true);
	s->line.claims = ns->routes;
	ns->routes = (struct nqd_claims){ 0 };
	if (!s->line.unheard)
		dp_session_begin(s);
	dp_session_link(dp, s);
	return 0;
}

static int build_session(struct dp *dp, struct dp_request *r, struct new_session *ns)
{
	struct dp_session *s = ns->s;
	int err;

	err = nqd_parse_new_session(&r->top[NQD_A_SESSION], r->msg, dp->fixed_rate_bytes_per_s,
				    &ns->req, &r->e);
	if (!err)
		err = take_identity(dp, r, ns);
	if (!err)
		err = parse_routes(r, &ns->routes);
	if (!err)
		err = check_conflicts(dp, r, &ns->routes, s, true);
	if (!err && s->flags & NQD_SESSION_F_DEFAULT_ROUTE && s->dev->default_session &&
	    !nqd_may_replace(&dp->lines, &s->line, &s->dev->default_session->line))
		err = dp_fail(&r->e, -EEXIST,
			      "NQD_A_SESSION_FLAGS: the device has a default session");
	if (!err && r->top[NQD_A_KEYS].present)
		err = nqd_parse_keys(&r->top[NQD_A_KEYS], r->msg, nx_quic_derive, &ns->req.params,
				     &ns->secrets, &r->e);
	if (!err)
		err = parse_path(dp, r, ns->req.a, &s->paths[0], &s->paths[0]);
	if (err)
		return err;
	s->path_mtu = ns->req.params.path_mtu_bytes;
	s->line.started_us = dp->now_us;
	if (!r->top[NQD_A_KEYS].present)
		return keep_params(ns);
	err = dp_session_start(dp, s, &ns->req.params, &ns->secrets);
	if (err)
		dp_fail(&r->e, err, "NQD_A_SESSION: the engine refuses: %s", strerror(-err));
	return err;
}

/* Undo build_session(): nothing else knows the session yet. */
static void discard(struct dp *dp, struct dp_session *s)
{
	struct dp_cid *c;

	while ((c = SLIST_FIRST(&s->cids)))
		dp_cid_free(dp, c);
	if (s->conn) {
		nq_conn_fini(s->conn);
		explicit_bzero(s->conn_mem, s->conn_bytes);
	}
	free(s->conn_mem);
	free(s->waiting);
	free(s->waiting_ranges);
	dp_paths_free(dp, s);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

static int add_session(struct dp *dp, struct dp_request *r, struct new_session *ns)
{
	struct dp_session *old;
	int err;

	err = build_session(dp, r, ns);
	if (err)
		return err;
	old = dp_session_find(dp, ns->s->id);
	if (old)
		dp_session_free(dp, old);
	err = add_cids(dp, r, ns);
	if (!err)
		err = link_session(dp, ns);
	if (err)
		return err;
	if (ns->s->conn) {
		dp_session_installed(dp, ns->s);
		inject_datagrams(dp, r, ns);
	}
	return 0;
}

int dp_cmd_add_session(struct dp *dp, struct dp_request *r)
{
	struct dp_device *dev = dp_request_device(dp, r);
	struct new_session *ns;
	int err;

	if (!dev)
		return r->e.err;
	if (dp->n_sessions == DP_MAX_SESSIONS)
		return dp_fail(&r->e, -ENOSPC, "NQD_A_SESSION: %d sessions exist", DP_MAX_SESSIONS);
	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	ns->s = calloc(1, sizeof(*ns->s));
	if (!ns->s) {
		free(ns);
		return -ENOMEM;
	}
	SLIST_INIT(&ns->s->cids);
	TAILQ_INIT(&ns->s->fresh);
	ns->s->retry_us = NQ_TIME_NEVER;
	ns->s->path_report.migrating_to = NQ_PATHS_MAX;
	ns->s->deadline_us = NQ_TIME_NEVER;
	ns->s->dev = dev;
	err = add_session(dp, r, ns);
	if (err)
		discard(dp, ns->s);
	free(ns->routes.p);
	explicit_bzero(ns, sizeof(*ns));
	free(ns);
	return err;
}

/* ---- UPDATE_SESSION ---- */

static int check_update(struct dp *dp, struct dp_request *r, struct dp_session *s,
			const struct nxa *a)
{
	struct nqd_update_state state = {
		.down = s->down, .has_conn = s->conn, .role = s->role, .route_epoch = s->route_epoch
	};
	int err = nqd_check_update(a, &state, &r->e);

	if (err == -ESTALE)
		dp_event(dp, s, NQD_EVENT_ROUTE_EPOCH_MISMATCH, NULL, NULL, 0);
	return err;
}

static int move(struct dp *dp, struct dp_request *r, struct dp_session *s, const struct nxa *a)
{
	struct nqd_path path;
	int err = parse_path(dp, r, a, dp_active_path(s), &path);

	if (!err)
		err = dp_session_migrate(dp, s, &path, &r->e);
	dp_socket_put(dp, path.sock);
	return err;
}

int dp_cmd_update_session(struct dp *dp, struct dp_request *r)
{
	struct nxa a[NQD_A_SESSION_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, a);
	int err;

	if (!s)
		return r->e.err;
	err = check_update(dp, r, s, a);
	if (err)
		return err;
	/* The only steps that can fail come first, and never both. */
	if (nqd_update_moves(a)) {
		err = move(dp, r, s, a);
		if (err)
			return err;
	}
	if (a[NQD_A_SESSION_TX_FRAMES].present) {
		err = nq_tx_queue_frames(s->conn, a[NQD_A_SESSION_TX_FRAMES].data,
					 a[NQD_A_SESSION_TX_FRAMES].len);
		if (err)
			return dp_fail(&r->e, err, "NQD_A_SESSION_TX_FRAMES: %s", strerror(-err));
	}
	if (a[NQD_A_SESSION_KEEPALIVE_MS].present)
		nq_set_keepalive(s->conn, nxa_u32(&a[NQD_A_SESSION_KEEPALIVE_MS]), dp->now_us);
	if (a[NQD_A_SESSION_PATH_MTU_BYTES].present) {
		s->path_mtu = nxa_u32(&a[NQD_A_SESSION_PATH_MTU_BYTES]);
		nq_set_path_mtu(s->conn, s->path_mtu);
	}
	if (a[NQD_A_SESSION_PEER_GROUP].present)
		s->peer_group = nxa_u32(&a[NQD_A_SESSION_PEER_GROUP]);
	if (a[NQD_A_SESSION_ROUTE_EPOCH].present)
		s->route_epoch = nxa_u32(&a[NQD_A_SESSION_ROUTE_EPOCH]);
	s->generation++;
	dp_mark_dirty(dp, s);
	return 0;
}

/* ---- DELETE_SESSION ---- */

/* With a close code the peer is told and the drain period runs; without one it is gone at once. */
static void delete_session(struct dp *dp, struct dp_session *s, const struct nxa *a)
{
	const struct nxa *code = &a[NQD_A_SESSION_CLOSE_CODE];
	const struct nxa *reason = &a[NQD_A_SESSION_CLOSE_REASON];

	if (s->down && code->present) {
		nqd_replace_end_drain(&dp->lines, &s->line);
		return;
	}
	dp_session_down(dp, s, NQD_DOWN_DELETED, code->present ? nxa_u64(code) : 0, "deleted");
	if (!code->present || !s->conn) {
		dp_session_free(dp, s);
		return;
	}
	nq_close(s->conn, true, nxa_u64(code), reason->present ? nxa_str(reason) : "", dp->now_us);
	/* The frame leaves before the ACK does. */
	dp_tx_flush(dp, s);
	dp_mark_dirty(dp, s);
}

static void delete_matching(struct dp *dp, const struct dp_device *dev,
			    const struct nqd_deletion *d)
{
	struct dp_session *s, *next;

	for (s = TAILQ_FIRST(&dp->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if ((!dev || s->dev == dev) && (d->which == NQD_DELETE_ALL || s->user == d->user))
			delete_session(dp, s, d->a);
	}
}

int dp_cmd_delete_session(struct dp *dp, struct dp_request *r)
{
	struct dp_device *dev = NULL;
	struct nqd_deletion d;
	struct dp_session *s;
	int err;

	if (r->top[NQD_A_DEVICE].present) {
		dev = dp_request_device(dp, r);
		if (!dev && r->e.err != -ENODEV)
			return r->e.err;
		if (!dev)
			goto done;
	}
	err = nqd_parse_deletion(&r->top[NQD_A_SESSION], r->msg, dev, &d, &r->e);
	if (err)
		return err;
	if (d.which == NQD_DELETE_ONE) {
		s = dp_request_session(dp, r, d.a);
		if (s)
			delete_session(dp, s, d.a);
		else if (r->e.err != -ENOENT)
			return r->e.err;
	} else {
		delete_matching(dp, dev, &d);
	}
done:
	/* What is not there, the device included, is already deleted. */
	r->e = (struct nxm_error){ 0 };
	return 0;
}
