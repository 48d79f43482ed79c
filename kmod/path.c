// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paths of the module's sessions (dataplane/path.h): their sockets, and what the owner is told.
 *
 * A path changes in softirq, where no reference can be taken: so a session holds its sockets, not
 * its paths, and packets only make paths on a socket that is one of them.
 */
#include "nqd.h"

const union nqd_addr *nqd_path_local(const struct nqd_path *p)
{
	return p->local.sa.sa_family || !p->sock ? &p->local : &p->sock->bound;
}

u8 nqd_path_number(struct nqd_session *s, const struct nqd_socket *sock, const union nqd_addr *from)
{
	return nqd_path_find(s->paths, nqd_active_path(s) - s->paths, sock, from);
}

bool nqd_session_on(const struct nqd_session *s, const struct nqd_socket *sock)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (READ_ONCE(s->socks[i]) == sock)
			return true;
	return false;
}

void nqd_path_learn(struct nqd_session *s, u8 number, struct nqd_socket *sock,
		    const union nqd_addr *local, const union nqd_addr *remote)
{
	lockdep_assert_held(&s->lock);
	if (!WARN_ON_ONCE(!nqd_session_on(s, sock)))
		nqd_path_init(&s->paths[number], sock, &sock->bound, local, remote);
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
	bool news;
	u8 i;

	spin_lock_bh(&s->lock);
	news = nqd_path_news(&s->path_report, &s->line.limits[NQD_LIMITED_PATH], s->conn,
			     nqd_now_us());
	p = &s->paths[s->path_report.reported];
	info.local = *nqd_path_local(p);
	info.remote = p->remote;
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock && !nq_path_used(s->conn, i))
			memset(&s->paths[i], 0, sizeof(s->paths[i]));
	spin_unlock_bh(&s->lock);
	if (news)
		nqd_event(s, NQD_EVENT_PATH_CHANGED, &info, NULL, 0);
	nqd_session_prune_sockets(s);
}

int nqd_session_migrate(struct nqd_request *r, struct nqd_session *s, const struct nqd_path *path)
{
	static const char no_id[] = "the peer has given no connection ID for another address";
	struct nqd_path *active;
	unsigned int how;
	int number;

	if (nqd_session_add_socket(s, path->sock))
		return nqd_fail(r, -ENOBUFS, "NQD_A_SESSION_SOCKET_FD: too many moves under way");
	spin_lock_bh(&s->lock);
	active = nqd_active_path(s);
	if (nqd_path_equal(active, path)) {
		nq_path_recheck(s->conn);
		number = NQ_PATHS_MAX;
	} else {
		how = nqd_path_move_flags(active, nqd_path_local(active), path,
					  nqd_path_local(path));
		number = nq_path_migrate(s->conn, how, nqd_now_us());
		if (number >= 0)
			s->paths[number] = *path;
	}
	spin_unlock_bh(&s->lock);
	if (number >= 0 && number < NQ_PATHS_MAX)
		s->path_report.migrating_to = number;
	nqd_session_prune_sockets(s);
	if (number == -ENOBUFS)
		return nqd_fail(r, number, "NQD_A_SESSION_LOCAL_ADDR: %s", no_id);
	if (number < 0)
		return nqd_fail(r, number, "NQD_A_SESSION_ID: %pe", ERR_PTR(number));
	return 0;
}
