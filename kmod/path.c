// SPDX-License-Identifier: GPL-2.0-only
/*
 * The addresses of a session's paths. The engine decides which paths there are, by number
 * (quic/nq.h); here stands for each number which socket and addresses it means, and who is told.
 *
 * A path changes in softirq, where no reference can be taken: so a session holds its sockets, not
 * its paths, and packets only make paths on a socket that is one of them.
 */
#include "nqd.h"

const union nqd_addr *nqd_path_local(const struct nqd_path *p)
{
	return p->local.sa.sa_family || !p->sock ? &p->local : &p->sock->bound;
}

static bool is_path(const struct nqd_path *p, const struct nqd_socket *sock,
		    const union nqd_addr *remote)
{
	return p->sock == sock && nqd_addr_equal(&p->remote, remote);
}

u8 nqd_path_number(struct nqd_session *s, const struct nqd_socket *sock, const union nqd_addr *from)
{
	struct nqd_path *active = nqd_active_path(s);
	u8 i;

	if (is_path(active, sock, from))
		return active - s->paths;
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (is_path(&s->paths[i], sock, from))
			return i;
	return nqd_addr_same_host(&active->remote, from) ? NQ_PATH_NEW_PORT : NQ_PATH_NEW;
}

bool nqd_session_on(const struct nqd_session *s, const struct nqd_socket *sock)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (READ_ONCE(s->socks[i]) == sock)
			return true;
	return false;
}

void nqd_path_init(struct nqd_path *p, struct nqd_socket *sock, const union nqd_addr *local,
		   const union nqd_addr *remote)
{
	memset(p, 0, sizeof(*p));
	p->sock = sock;
	p->remote = *remote;
	if (sock->any && nqd_addr_is_set(local))
		p->local = *local;
}

void nqd_path_learn(struct nqd_session *s, u8 number, struct nqd_socket *sock,
		    const union nqd_addr *local, const union nqd_addr *remote)
{
	lockdep_assert_held(&s->lock);
	if (!WARN_ON_ONCE(!nqd_session_on(s, sock)))
		nqd_path_init(&s->paths[number], sock, local, remote);
}

static bool is_used(const struct nqd_session *s, const struct nqd_socket *sock)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock == sock)
			return true;
	return false;
}

void nqd_session_prune_sockets(struct nqd_session *s)
{
	struct nqd_socket *unused[NQ_PATHS_MAX] = {};
	u8 i;

	lockdep_assert_held(&s->nn->lock);
	spin_lock_bh(&s->lock);
	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (!s->socks[i] || is_used(s, s->socks[i]))
			continue;
		unused[i] = s->socks[i];
		WRITE_ONCE(s->socks[i], NULL);
	}
	spin_unlock_bh(&s->lock);
	for (i = 0; i < NQ_PATHS_MAX; i++)
		nqd_socket_put(unused[i]);
}

int nqd_session_add_socket(struct nqd_session *s, struct nqd_socket *sock)
{
	int err = -ENOBUFS;
	u8 i;

	lockdep_assert_held(&s->nn->lock);
	if (nqd_session_on(s, sock))
		return 0;
	spin_lock_bh(&s->lock);
	for (i = 0; i < NQ_PATHS_MAX && err; i++) {
		if (s->socks[i])
			continue;
		nqd_socket_hold(sock);
		WRITE_ONCE(s->socks[i], sock);
		err = 0;
	}
	spin_unlock_bh(&s->lock);
	return err;
}

void nqd_paths_free(struct nqd_session *s)
{
	spin_lock_bh(&s->lock);
	memset(s->paths, 0, sizeof(s->paths));
	spin_unlock_bh(&s->lock);
	nqd_session_prune_sockets(s);
}

void nqd_session_paths(struct nqd_session *s)
{
	struct nqd_last_event info = {};
	struct nqd_path *p;
	bool ended, report;
	u8 active, i;

	spin_lock_bh(&s->lock);
	active = nq_active_path(s->conn);
	p = &s->paths[active];
	ended = s->migrating_to < NQ_PATHS_MAX &&
		(active == s->migrating_to || !nq_path_used(s->conn, s->migrating_to));
	/* A migration that failed is told as well: the path is the one it was. */
	report = active != s->reported_path || ended;
	info.local = *nqd_path_local(p);
	info.remote = p->remote;
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock && !nq_path_used(s->conn, i))
			memset(&s->paths[i], 0, sizeof(s->paths[i]));
	spin_unlock_bh(&s->lock);
	if (ended)
		s->migrating_to = NQ_PATHS_MAX;
	s->reported_path = active;
	if (report)
		nqd_event(s, NQD_EVENT_PATH_CHANGED, &info, NULL, 0);
	nqd_session_prune_sockets(s);
}

/* What the engine wants to know of a move from @active to @path. */
static unsigned int describe_move(const struct nqd_path *active, const struct nqd_path *path)
{
	bool same_local = nqd_addr_same_host(nqd_path_local(path), nqd_path_local(active)) &&
			  (!path->sock->any || path->local.sa.sa_family);
	unsigned int how = 0;

	if (same_local)
		how |= NQ_MIGRATE_SAME_LOCAL;
	if (same_local && nqd_addr_same_host(&path->remote, &active->remote))
		how |= NQ_MIGRATE_SAME_HOSTS;
	if (active->unreachable)
		how |= NQ_MIGRATE_AT_ONCE;
	return how;
}

int nqd_session_migrate(struct nqd_request *r, struct nqd_session *s, const struct nqd_path *path)
{
	static const char no_id[] = "the peer has given no connection ID for another address";
	struct nqd_path *active;
	int number;

	if (nqd_session_add_socket(s, path->sock))
		return nqd_fail(r, -ENOBUFS, "NQD_A_SESSION_SOCKET_FD: too many moves under way");
	spin_lock_bh(&s->lock);
	active = nqd_active_path(s);
	if (is_path(active, path->sock, &path->remote) &&
	    nqd_addr_same_host(&path->local, &active->local)) {
		nq_path_recheck(s->conn);
		number = NQ_PATHS_MAX;
	} else {
		number = nq_path_migrate(s->conn, describe_move(active, path), nqd_now_us());
		if (number >= 0)
			s->paths[number] = *path;
	}
	spin_unlock_bh(&s->lock);
	if (number >= 0 && number < NQ_PATHS_MAX)
		s->migrating_to = number;
	nqd_session_prune_sockets(s);
	if (number == -ENOBUFS)
		return nqd_fail(r, number, "NQD_A_SESSION_LOCAL_ADDR: %s", no_id);
	if (number < 0)
		return nqd_fail(r, number, "NQD_A_SESSION_ID: %pe", ERR_PTR(number));
	return 0;
}
