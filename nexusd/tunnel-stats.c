// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Statistics for D-Bus: the counters of the data plane under their ABI names, lower-cased with
 * dashes; for a server the sum over its sessions and the handshake counters "hs-..."; and the
 * rates of the last seconds.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tunnel-internal.h"

#define NAME_MAX_LEN 48
#define RATES 2
#define ENTRIES_MAX (NQD_A_STATS_MAX + HS_A_STATS_MAX + RATES + 3)
/* Shorter intervals say nothing. */
#define RATE_INTERVAL_US 1000000

static char dp_names[NQD_A_STATS_MAX + 1][NAME_MAX_LEN];
static char hs_names[HS_A_STATS_MAX + 1][NAME_MAX_LEN];

/* "NQD_A_STATS_L3_TX_PACKETS" -> "l3-tx-packets". */
static void make_name(char *out, const char *prefix, const char *policy_name, size_t skip)
{
	size_t n = strlen(prefix);

	memcpy(out, prefix, n);
	for (const char *s = policy_name + skip; *s && n < NAME_MAX_LEN - 1; s++)
		out[n++] = *s == '_' ? '-' : (char)tolower((unsigned char)*s);
	out[n] = '\0';
}

static void make_names(void)
{
	if (dp_names[1][0])
		return;
	for (unsigned int i = 1; i <= NQD_A_STATS_MAX; i++)
		make_name(dp_names[i], "", nqd_stats_set.policy[i].name, strlen("NQD_A_STATS_"));
	for (unsigned int i = 1; i <= HS_A_STATS_MAX; i++)
		make_name(hs_names[i], "hs-", hs_stats_set.policy[i].name, strlen("HS_A_STATS_"));
}

/* One query. Three answers may be outstanding: the data planes and nexus-hsd. */
struct query {
	struct nx_manager *manager;
	char tunnel[32]; /* the tunnel may go away meanwhile */
	bool sum; /* over all sessions of the tunnel */
	unsigned int pending;
	int err;
	uint64_t dp[NQD_A_STATS_MAX + 1], hs[HS_A_STATS_MAX + 1];
	uint64_t sessions;
	bool has_dp, has_hs, with_rate;
	nx_stats_fn done;
	void *userdata;
};

static bool is_gauge(unsigned int i)
{
	return (i >= NQD_A_STATS_SRTT_US && i <= NQD_A_STATS_HANDSHAKE_AGO_MS) ||
	       i == NQD_A_STATS_TX_QUEUE_DELAY_MAX_US;
}

/* Sums of counters; of the gauges a server has only those that add up, or whose largest tells. */
static void add_stats(struct query *q, const struct nxa *st, bool ends)
{
	for (unsigned int i = 1; i <= NQD_A_STATS_MAX; i++) {
		if (!st[i].present)
			continue;
		if (i == NQD_A_STATS_TX_QUEUE_DELAY_MAX_US) {
			if (q->dp[i] < nxa_u64(&st[i]))
				q->dp[i] = nxa_u64(&st[i]);
			continue;
		}
		if (q->sum && is_gauge(i) && i != NQD_A_STATS_CWND_BYTES &&
		    i != NQD_A_STATS_BYTES_IN_FLIGHT && i != NQD_A_STATS_PACING_RATE_BYTES_PER_S)
			continue;
		q->dp[i] += nxa_u64(&st[i]);
	}
	q->has_dp = true;
	q->sessions += !ends;
}

static void update_rate(struct query *q, struct nx_rate *rate)
{
	uint64_t now = nx_now_us(), dt = now - rate->at_us;
	uint64_t tx = q->dp[NQD_A_STATS_L3_TX_BYTES], rx = q->dp[NQD_A_STATS_L3_RX_BYTES];

	if (rate->at_us && dt < RATE_INTERVAL_US)
		return;
	/* Sums shrink when a session ends: no rate then. */
	rate->tx_per_s = rate->at_us && tx >= rate->tx_bytes ? (tx - rate->tx_bytes) * 1000000 / dt
							     : 0;
	rate->rx_per_s = rate->at_us && rx >= rate->rx_bytes ? (rx - rate->rx_bytes) * 1000000 / dt
							     : 0;
	rate->at_us = now;
	rate->tx_bytes = tx;
	rate->rx_bytes = rx;
}

static size_t put(struct nx_stat *out, size_t n, const char *name, uint64_t value)
{
	out[n].name = name;
	out[n].value = value;
	return n + 1;
}

static void finish(struct query *q)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(q->manager, q->tunnel);
	struct nx_stat out[ENTRIES_MAX];
	size_t n = 0;

	if (--q->pending)
		return;
	if (!q->err && q->has_dp && q->with_rate && t)
		update_rate(q, &t->priv->rate);
	for (unsigned int i = 1; i <= NQD_A_STATS_MAX; i++)
		if (q->has_dp && !(q->sum && is_gauge(i) && !q->dp[i]))
			n = put(out, n, dp_names[i], q->dp[i]);
	for (unsigned int i = 1; q->has_hs && i <= HS_A_STATS_MAX; i++)
		n = put(out, n, hs_names[i], q->hs[i]);
	if (q->sum)
		n = put(out, n, "sessions", q->sessions);
	/* What is measured without congestion control says so. */
	if (t && t->config->fixed_rate_mbit)
		n = put(out, n, "fixed-rate-test-bytes-per-s",
			t->config->fixed_rate_mbit * 125000ULL);
	if (q->with_rate && t) {
		n = put(out, n, "l3-tx-bytes-per-s", t->priv->rate.tx_per_s);
		n = put(out, n, "l3-rx-bytes-per-s", t->priv->rate.rx_per_s);
	}
	q->done(q->userdata, q->err, out, q->err ? 0 : n);
	free(q);
}

/* *@ends: it is closing, or what is left of one that was replaced, or one in whose place another stands. */
static bool is_ours(struct query *q, const struct nxa *tb, const void *base, bool *ends)
{
	struct nxa ses[NQD_A_SESSION_MAX + 1];
	struct nxm_error e;

	*ends = false;
	if (!q->sum)
		return true;
	if (!tb[NQD_A_SESSION].present ||
	    nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, base, &e) < 0)
		return false;
	*ends = ses[NQD_A_SESSION_STATE].present &&
		nxa_u8(&ses[NQD_A_SESSION_STATE]) != NQD_SESSION_ACTIVE;
	return ses[NQD_A_SESSION_TUNNEL].present &&
	       !strcmp(nxa_str(&ses[NQD_A_SESSION_TUNNEL]), q->tunnel);
}

static void on_dp(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nxa tb[NQD_A_MAX + 1], st[NQD_A_STATS_MAX + 1];
	struct query *q = userdata;
	struct nxm_error e;
	bool ends;

	if (!msg) {
		if (err)
			q->err = err;
		finish(q);
		return;
	}
	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) == 0 &&
	    tb[NQD_A_STATS].present && is_ours(q, tb, msg->buf, &ends) &&
	    nxa_parse_nest(&tb[NQD_A_STATS], &nqd_stats_set, st, msg->buf, &e) == 0)
		add_stats(q, st, ends);
}

static void on_hsd(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nxa tb[HS_A_MAX + 1], st[HS_A_STATS_MAX + 1];
	struct query *q = userdata;
	struct nxm_error e;

	/* Without nexus-hsd the rest is still worth having. */
	if (!msg) {
		finish(q);
		return;
	}
	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &hs_set, tb, msg->buf, &e) < 0 ||
	    !tb[HS_A_STATS].present ||
	    nxa_parse_nest(&tb[HS_A_STATS], &hs_stats_set, st, msg->buf, &e) < 0)
		return;
	for (unsigned int i = 1; i <= HS_A_STATS_MAX; i++)
		if (st[i].present)
			q->hs[i] = nxa_u64(&st[i]);
	q->has_hs = true;
}

/* A server that moves has sessions on both. */
static void ask_other_plane(struct nx_tunnel *t, struct query *q)
{
	if (nx_server_moving(t) && !nx_dp_get_stats(t->priv->coming.dp, 0, on_dp, q))
		q->pending++;
}

static int start(struct nx_tunnel *t, struct nx_dp *dp, uint64_t session, bool with_rate,
		 nx_stats_fn done, void *userdata)
{
	struct query *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	make_names();
	q->manager = t->manager;
	strncpy(q->tunnel, t->config->name, sizeof(q->tunnel) - 1);
	q->sum = session == 0;
	q->with_rate = with_rate;
	q->done = done;
	q->userdata = userdata;
	r = nx_dp_get_stats(dp, session, on_dp, q);
	if (r) {
		free(q);
		return r;
	}
	q->pending = 1;
	q->has_dp = q->sum;
	if (q->sum)
		ask_other_plane(t, q);
	/* Until it listens nexus-hsd may not know the tunnel. */
	if (q->sum && t->state == NX_TUNNEL_LISTENING &&
	    !nx_hsd_get_stats(&t->manager->priv->hsd, t->config->name, on_hsd, q))
		q->pending++;
	return 0;
}

int nx_tunnel_get_stats(struct nx_tunnel *t, nx_stats_fn done, void *userdata)
{
	const struct nx_session *s = TAILQ_FIRST(&t->sessions);

	if (t->config->role == NX_ROLE_SERVER)
		return t->priv->wanted ? start(t, t->priv->dp, 0, true, done, userdata) : -ENOTCONN;
	return s ? start(t, s->dp, s->id, true, done, userdata) : -ENOTCONN;
}

int nx_session_get_stats(struct nx_session *s, nx_stats_fn done, void *userdata)
{
	return start(s->tunnel, s->dp, s->id, false, done, userdata);
}
