/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session in the line of those that took each other's place (replace.h), and the accounts of that
 * line: what one has counted is its heir's, so that no sum ever falls. Freestanding; the caller has
 * locked what he passes.
 */
#ifndef NQD_LINE_H
#define NQD_LINE_H

#include "limit.h"
#include "request.h"

/* What waits for its time in a session (nqd_line.limits). */
enum nqd_limited {
	NQD_LIMITED_PATH,		/* NQD_EVENT_PATH_CHANGED */
	NQD_LIMITED_FRAMES,		/* NQD_EVENT_FRAMES_PUNTED */
	NQD_LIMITED_KEYS,		/* NQD_EVENT_KEY_UPDATE_DONE */
	NQD_LIMITED_MTU,		/* NQD_EVENT_PATH_MTU_CHANGED */
	NQD_LIMITED_KINDS,
};

/* A part of both data planes' sessions, zeroed at first. What belongs to replace.c is so marked. */
struct nqd_line {
	u64 started_us;			/* ADD_SESSION; set by the data plane */
	u64 connected_us;		/* started_us of the first of the line on this path */
	struct nq_counters inherited;	/* of the engines of those it replaced */
	u64 duplicates_reported, duplicate_event_us;
	u64 congestion_event_us;
	bool collapse_reported;
	struct nqd_limit limits[NQD_LIMITED_KINDS];

	/* replace.c: */
	struct nqd_line *heir;		/* who will take or has taken its place */
	bool unheard;			/* waits to take the place of others */
	bool replaced;			/* what still comes here is its heir's */
	unsigned int n_old;		/* whose heir it is */
	u64 replaced_us;
	struct nqd_claims claims;	/* what it will route; memory of the data plane */
};

/* What of a session has a part in its accounts. */
struct nqd_account {
	struct nqd_line *line;
	struct nq_conn *conn;		/* may be NULL where nothing else is said */
	struct nqd_counters *counters;
	u32 *path_mtu;
};

/* Counters, gauges and times of NQD_A_STATS into @v, by attribute number. */
void nqd_account_stats(const struct nqd_account *a, u64 *v, u64 now_us);
/* All counters become 0. */
void nqd_account_flush(const struct nqd_account *a);
/* Everything @from has counted until now is @to's. from->conn is there. */
void nqd_account_move(const struct nqd_account *to, const struct nqd_account *from, u64 now_us);
/*
 * @to has taken @from's place: it gets the counters and, if both are on @one_path, what is known of
 * the path; @from is kept alive no longer. from->conn is there.
 */
void nqd_account_inherit(const struct nqd_account *to, const struct nqd_account *from,
			 bool one_path, u64 now_us);
/*
 * Duplicates that no NQD_EVENT_REPLAY_OR_DUPLICATE_DROP has told of, to be told now; 0: none, or one
 * was sent within the last second.
 */
u64 nqd_duplicates_to_report(struct nqd_line *l, const struct nq_stats *st, u64 now_us);
/* NQD_A_EVENT_CONGESTION: 0 open, 1 recovery, 2 persistent congestion. */
u8 nqd_congestion_state(const struct nq_stats *st, u32 path_mtu);
/*
 * Is NQD_EVENT_CONGESTION_STATE to be sent now that it is @state? Once a second, since every round trip
 * may bring a loss; but that the path has collapsed is told at once.
 */
bool nqd_congestion_to_report(struct nqd_line *l, u8 state, u64 now_us);
/* When one of its limits has something to tell; NQ_TIME_NEVER: none. */
u64 nqd_limits_due_us(const struct nqd_line *l);
/* NQD_SESSION_* of a session; @conn may be NULL. */
u8 nqd_session_state_of(const struct nq_conn *conn, bool down);
/* Is CONNECTION_CLOSE of this end on its way? */
bool nqd_says_goodbye(const struct nq_conn *conn);

#endif /* NQD_LINE_H */
