// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The addresses of a session's paths. The engine decides which paths there are, by number
 * (quic/nq.h); here stands for each number which socket and addresses it means, and who is told.
 */
#include <errno.h>
#include <string.h>

#include "control-internal.h"

const union nqd_addr *dp_path_local(const struct dp_path *p)
{
	return p->local.sa.sa_family ? &p->local : &p->sock->bound;
}

static bool is_path(const struct dp_path *p, const struct dp_socket *sock,
		    const union nqd_addr *remote)
{
	return p->sock == sock && nqd_addr_equal(&p->remote, remote);
}

u8 dp_path_number(struct dp_session *s, const struct dp_socket *sock, const union nqd_addr *from)
{
	struct dp_path *active = dp_active_path(s);
	u8 i;

	if (is_path(active, sock, from))
		return active - s->paths;
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (is_path(&s->paths[i], sock, from))
			return i;
	return nqd_addr_same_host(&active->remote, from) ? NQ_PATH_NEW_PORT : NQ_PATH_NEW;
}

bool dp_session_on(const struct dp_session *s, const struct dp_socket *sock)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock == sock)
			return true;
	return false;
}

struct dp_path dp_path_of(struct dp_socket *sock, const union nqd_addr *local,
			  const union nqd_addr *remote)
{
	struct dp_path p = { .sock = sock, .remote = *remote };

	if (sock->any && nqd_addr_is_set(local))
		p.local = *local;
	return p;
}

void dp_path_set(struct dp *dp, struct dp_session *s, u8 number, const struct dp_path *path)
{
	struct dp_path *p = &s->paths[number];
	struct dp_socket *before = p->sock;

	path->sock->refs++;
	*p = *path;
	dp_socket_put_later(dp, before);
}

static void forget(struct dp *dp, struct dp_path *p)
{
	dp_socket_put(dp, p->sock);
	*p = (struct dp_path){ 0 };
}

void dp_paths_free(struct dp *dp, struct dp_session *s)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		forget(dp, &s->paths[i]);
}

static void report(struct dp *dp, struct dp_session *s)
{
	struct dp_path *p = dp_active_path(s);
	struct dp_last_event info = { .local = *dp_path_local(p), .remote = p->remote };

	s->reported_path = p - s->paths;
	dp_event(dp, s, NQD_EVENT_PATH_CHANGED, &info, NULL, 0);
}

void dp_session_paths(struct dp *dp, struct dp_session *s)
{
	u8 active = nq_active_path(s->conn), i;
	bool ended = s->migrating_to < NQ_PATHS_MAX &&
		     (active == s->migrating_to || !nq_path_used(s->conn, s->migrating_to));

	if (ended)
		s->migrating_to = NQ_PATHS_MAX;
	/* A migration that failed is told as well: the path is the one it was. */
	if (active != s->reported_path || ended)
		report(dp, s);
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock && !nq_path_used(s->conn, i))
			forget(dp, &s->paths[i]);
}

int dp_session_migrate(struct dp *dp, struct dp_session *s, const struct dp_path *path,
		       struct nxm_error *e)
{
	struct dp_path *active = dp_active_path(s);
	bool same_local = nqd_addr_same_host(dp_path_local(path), dp_path_local(active)) &&
			  (!path->sock->any || path->local.sa.sa_family);
	unsigned int how = 0;
	int number;

	if (is_path(active, path->sock, &path->remote) &&
	    nqd_addr_same_host(&path->local, &active->local)) {
		nq_path_recheck(s->conn);
		return 0;
	}
	if (same_local)
		how |= NQ_MIGRATE_SAME_LOCAL;
	if (same_local && nqd_addr_same_host(&path->remote, &active->remote))
		how |= NQ_MIGRATE_SAME_HOSTS;
	if (active->unreachable)
		how |= NQ_MIGRATE_AT_ONCE;
	number = nq_path_migrate(s->conn, how, dp->now_us);
	if (number == -ENOBUFS)
		return dp_fail(e, number,
			       "NQD_A_SESSION_LOCAL_ADDR: the peer has given no "
			       "connection ID for another address");
	if (number < 0)
		return dp_fail(e, number, "NQD_A_SESSION_ID: %s", strerror(-number));
	dp_path_set(dp, s, number, path);
	s->migrating_to = number;
	return 0;
}
