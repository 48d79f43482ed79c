// SPDX-License-Identifier: GPL-2.0-or-later
/* The paths of nexus-dp's sessions (dataplane/path.h): their sockets, and what the owner is told. */
#include <errno.h>
#include <string.h>

#include "control-internal.h"

const union nqd_addr *dp_path_local(const struct nqd_path *p)
{
	return p->local.sa.sa_family ? &p->local : &p->sock->bound;
}

u8 dp_path_number(struct dp_session *s, const struct nqd_socket *sock, const union nqd_addr *from)
{
	return nqd_path_find(s->paths, dp_active_path(s) - s->paths, sock, from);
}

bool dp_session_on(const struct dp_session *s, const struct nqd_socket *sock)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock == sock)
			return true;
	return false;
}

void dp_path_set(struct dp *dp, struct dp_session *s, u8 number, const struct nqd_path *path)
{
	struct nqd_path *p = &s->paths[number];
	struct nqd_socket *before = p->sock;

	path->sock->refs++;
	*p = *path;
	dp_socket_put_later(dp, before);
}

static void forget(struct dp *dp, struct nqd_path *p)
{
	dp_socket_put(dp, p->sock);
	*p = (struct nqd_path){ 0 };
}

void dp_paths_free(struct dp *dp, struct dp_session *s)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++)
		forget(dp, &s->paths[i]);
}

static void report(struct dp *dp, struct dp_session *s)
{
	struct nqd_path *p = &s->paths[s->path_report.reported];
	struct dp_last_event info = { .local = *dp_path_local(p), .remote = p->remote };

	dp_event(dp, s, NQD_EVENT_PATH_CHANGED, &info, NULL, 0);
}

void dp_session_paths(struct dp *dp, struct dp_session *s)
{
	u8 i;

	if (nqd_path_news(&s->path_report, &s->line.limits[NQD_LIMITED_PATH], s->conn, dp->now_us))
		report(dp, s);
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (s->paths[i].sock && !nq_path_used(s->conn, i))
			forget(dp, &s->paths[i]);
}

int dp_session_migrate(struct dp *dp, struct dp_session *s, const struct nqd_path *path,
		       struct nxm_error *e)
{
	struct nqd_path *active = dp_active_path(s);
	unsigned int how;
	int number;

	if (nqd_path_equal(active, path)) {
		nq_path_recheck(s->conn);
		return 0;
	}
	how = nqd_path_move_flags(active, dp_path_local(active), path, dp_path_local(path));
	number = nq_path_migrate(s->conn, how, dp->now_us);
	if (number == -ENOBUFS)
		return dp_fail(e, number,
			       "NQD_A_SESSION_LOCAL_ADDR: the peer has given no "
			       "connection ID for another address");
	if (number < 0)
		return dp_fail(e, number, "NQD_A_SESSION_ID: %s", strerror(-number));
	dp_path_set(dp, s, number, path);
	s->path_report.migrating_to = number;
	return 0;
}
