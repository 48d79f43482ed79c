// SPDX-License-Identifier: GPL-2.0-or-later
/* Accounts of sessions: see line.h. */
#include "line.h"

/* Events that others on the path, or its losses, cause as often as they like. */
#define EVENT_US NQD_LIMIT_US
#define COLLAPSED 2

/* All but the time of the last packet. */
#define N_COUNTERS (offsetof(struct nq_counters, last_rx_us) / sizeof(u64))

static void add_u64(void *to, const void *from, size_t n)
{
	const u64 *b = from;
	u64 *a = to;

	while (n--)
		*a++ += *b++;
}

static void add_counters(struct nq_counters *to, const struct nq_counters *from)
{
	add_u64(to, from, N_COUNTERS);
}

void nqd_account_stats(const struct nqd_account *a, u64 *v, u64 now_us)
{
	struct nq_stats q = { 0 };
	u64 last_rx_us;

	if (a->conn)
		nq_get_stats(a->conn, &q, now_us);
	add_counters(&q.count, &a->line->inherited);
	nqd_fill_counters(v, a->counters, &q.count);
	last_rx_us = q.count.last_rx_us;
	v[NQD_A_STATS_SRTT_US] = q.srtt_us;
	v[NQD_A_STATS_RTTVAR_US] = q.rttvar_us;
	v[NQD_A_STATS_MIN_RTT_US] = q.min_rtt_us;
	v[NQD_A_STATS_CWND_BYTES] = q.cwnd_bytes;
	v[NQD_A_STATS_BYTES_IN_FLIGHT] = q.bytes_in_flight;
	v[NQD_A_STATS_PACING_RATE_BYTES_PER_S] = q.pacing_rate_bytes_per_s;
	v[NQD_A_STATS_LAST_RX_AGO_MS] = last_rx_us ? div64_u64(now_us - last_rx_us, 1000) : 0;
	v[NQD_A_STATS_UPTIME_MS] = div64_u64(now_us - a->line->connected_us, 1000);
	v[NQD_A_STATS_HANDSHAKE_AGO_MS] = div64_u64(now_us - a->line->started_us, 1000);
}

void nqd_account_flush(const struct nqd_account *a)
{
	memset(a->counters, 0, sizeof(*a->counters));
	memset(&a->line->inherited, 0, sizeof(a->line->inherited));
	a->line->duplicates_reported = 0;
	if (a->conn)
		nq_flush_stats(a->conn);
}

void nqd_account_move(const struct nqd_account *to, const struct nqd_account *from, u64 now_us)
{
	struct nq_stats st;

	add_u64(to->counters, from->counters, sizeof(*to->counters) / sizeof(u64));
	add_counters(&to->line->inherited, &from->line->inherited);
	nq_get_stats(from->conn, &st, now_us);
	add_counters(&to->line->inherited, &st.count);
	nqd_account_flush(from);
}

void nqd_account_inherit(const struct nqd_account *to, const struct nqd_account *from,
			 bool one_path, u64 now_us)
{
	if (to->conn && one_path) {
		nq_continue_path(to->conn, from->conn, now_us);
		*to->path_mtu = *from->path_mtu;
		/* From elsewhere it is the same user, but another connection. */
		to->line->connected_us = nq_min(to->line->connected_us, from->line->connected_us);
	}
	nqd_account_move(to, from, now_us);
	nq_set_keepalive(from->conn, 0, now_us);
}

u64 nqd_duplicates_to_report(struct nqd_line *l, const struct nq_stats *st, u64 now_us)
{
	u64 all = st->count.duplicates + st->count.replay_window_drops;
	u64 count = all - l->duplicates_reported;

	if (all <= l->duplicates_reported || now_us - l->duplicate_event_us < EVENT_US)
		return 0;
	l->duplicates_reported = all;
	l->duplicate_event_us = now_us;
	return count;
}

u8 nqd_congestion_state(const struct nq_stats *st, u32 path_mtu)
{
	/* Persistent congestion collapses the window; otherwise it is a recovery period. */
	if (st->cwnd_bytes <= 2 * (u64)path_mtu)
		return COLLAPSED;
	return st->congestion_state ? 1 : 0;
}

bool nqd_congestion_to_report(struct nqd_line *l, u8 state, u64 now_us)
{
	bool collapsed = state == COLLAPSED;

	if (now_us - l->congestion_event_us < EVENT_US && (!collapsed || l->collapse_reported))
		return false;
	l->congestion_event_us = now_us;
	l->collapse_reported = collapsed;
	return true;
}

u64 nqd_limits_due_us(const struct nqd_line *l)
{
	u64 at_us = NQ_TIME_NEVER;
	unsigned int i;

	for (i = 0; i < NQD_LIMITED_KINDS; i++)
		at_us = nq_min(at_us, nqd_limit_due_us(&l->limits[i]));
	return at_us;
}

u8 nqd_session_state_of(const struct nq_conn *conn, bool down)
{
	struct nq_close_info info;

	if (!conn)
		return NQD_SESSION_NO_KEYS;
	nq_close_info(conn, &info);
	if (info.cause == NQ_CLOSE_NONE)
		return down ? NQD_SESSION_CLOSING : NQD_SESSION_ACTIVE;
	return info.cause == NQ_CLOSE_LOCAL || info.cause == NQ_CLOSE_PROTOCOL
		       ? NQD_SESSION_CLOSING
		       : NQD_SESSION_DRAINING;
}

bool nqd_says_goodbye(const struct nq_conn *conn)
{
	struct nq_close_info info;

	if (!conn)
		return false;
	nq_close_info(conn, &info);
	return info.cause == NQ_CLOSE_LOCAL;
}
