// SPDX-License-Identifier: GPL-2.0-or-later
/* Paths of sessions: see path.h. */
#include "path.h"

void nqd_path_init(struct nqd_path *p, struct nqd_socket *sock, const union nqd_addr *bound,
		   const union nqd_addr *local, const union nqd_addr *remote)
{
	memset(p, 0, sizeof(*p));
	p->sock = sock;
	p->remote = *remote;
	if (!nqd_addr_is_set(bound) && nqd_addr_is_set(local))
		p->local = *local;
}

bool nqd_path_leads_to(const struct nqd_path *p, const struct nqd_socket *sock,
		       const union nqd_addr *remote)
{
	return p->sock == sock && nqd_addr_equal(&p->remote, remote);
}

bool nqd_path_equal(const struct nqd_path *a, const struct nqd_path *b)
{
	return nqd_path_leads_to(a, b->sock, &b->remote) &&
	       nqd_addr_same_host(&a->local, &b->local);
}

u8 nqd_path_find(const struct nqd_path *paths, u8 active, const struct nqd_socket *sock,
		 const union nqd_addr *from)
{
	u8 i;

	if (nqd_path_leads_to(&paths[active], sock, from))
		return active;
	for (i = 0; i < NQ_PATHS_MAX; i++)
		if (nqd_path_leads_to(&paths[i], sock, from))
			return i;
	return nqd_addr_same_host(&paths[active].remote, from) ? NQ_PATH_NEW_PORT : NQ_PATH_NEW;
}

unsigned int nqd_path_move_flags(const struct nqd_path *active, const union nqd_addr *active_local,
				 const struct nqd_path *to, const union nqd_addr *to_local)
{
	unsigned int how = 0;

	/* A wildcard says nothing of where packets leave from. */
	if (nqd_addr_is_set(to_local) && nqd_addr_same_host(to_local, active_local)) {
		how |= NQ_MIGRATE_SAME_LOCAL;
		if (nqd_addr_same_host(&to->remote, &active->remote))
			how |= NQ_MIGRATE_SAME_HOSTS;
	}
	if (active->unreachable)
		how |= NQ_MIGRATE_AT_ONCE;
	return how;
}

bool nqd_path_news(struct nqd_path_report *r, struct nqd_limit *l, const struct nq_conn *conn,
		   u64 now_us)
{
	u8 path = nq_confirmed_path(conn);
	bool ended = r->migrating_to < NQ_PATHS_MAX &&
		     (path == r->migrating_to || !nq_path_used(conn, r->migrating_to));
	/* A migration that failed is told as well: the path is the one it was. */
	bool news = path != r->reported || ended;

	if (ended) {
		r->migrating_to = NQ_PATHS_MAX;
		nqd_limit_lift(l);
	}
	r->reported = path;
	return nqd_limit_tell(l, news, now_us);
}
