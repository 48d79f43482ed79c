/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses of a session's paths. The engine decides which paths there are, by number
 * (quic/nq.h); here stands for each number which socket and addresses it means. Freestanding; the
 * caller has locked the session.
 */
#ifndef NQD_PATH_H
#define NQD_PATH_H

#include "../quic/nq.h"
#include "addr.h"
#include "limit.h"

/* Each data plane's own. */
struct nqd_socket;

/* The addresses of one of the engine's paths. */
struct nqd_path {
	struct nqd_socket *sock;	/* one of the session's; NULL: the engine has no such path */
	union nqd_addr local, remote;	/* local: family 0 = the socket's */
	bool unreachable;		/* the last packets found no way out of this machine */
};

/* As packets have them: the source is named only where the socket, bound to @bound, does not fix it. */
void nqd_path_init(struct nqd_path *p, struct nqd_socket *sock, const union nqd_addr *bound,
		   const union nqd_addr *local, const union nqd_addr *remote);
/* The same socket, source and destination? */
bool nqd_path_equal(const struct nqd_path *a, const struct nqd_path *b);
/* The same socket and destination? */
bool nqd_path_leads_to(const struct nqd_path *p, const struct nqd_socket *sock,
		       const union nqd_addr *remote);
/*
 * The path of packets that arrive on @sock from @from: its number among the NQ_PATHS_MAX @paths,
 * of which @active is in use, or NQ_PATH_NEW*.
 */
u8 nqd_path_find(const struct nqd_path *paths, u8 active, const struct nqd_socket *sock,
		 const union nqd_addr *from);
/*
 * NQ_MIGRATE_* of a move from @active to @to. @active_local and @to_local: where packets leave from,
 * as far as it is known.
 */
unsigned int nqd_path_move_flags(const struct nqd_path *active, const union nqd_addr *active_local,
				 const struct nqd_path *to, const union nqd_addr *to_local);

/* What the owner of a session knows of its paths. */
struct nqd_path_report {
	u8 reported;			/* the confirmed one: he knows of it, or will soon */
	u8 migrating_to;		/* what he asked for, NQ_PATHS_MAX = nothing */
};

/*
 * The engine's paths may have changed (NQ_EV_PATH), or @l is due: has the owner to be told of @r->reported
 * now? Then he has been. An address that is only claimed is not told: it may be anybody's, and another
 * with each packet. Nor does a peer with two that are his own change between them for his owner as often
 * as he does (@l); the end of a move that the owner asked for is told at once.
 */
bool nqd_path_news(struct nqd_path_report *r, struct nqd_limit *l, const struct nq_conn *conn,
		   u64 now_us);

#endif /* NQD_PATH_H */
