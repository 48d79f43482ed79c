// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet size of the active path (RFC 8899, RFC 9000 14.3), between 1200 bytes, which every path
 * carries, and what route and peer take.
 *
 * A path begins with the size its route takes, since the inner IPv6 needs 1280 bytes and most paths
 * carry what the first link does; at once a probe, PING and PADDING, asks whether that is true. If
 * three of a size are lost, or two after full packets were lost in a row, the size does not pass:
 * the connection falls to 1200 bytes and searches upwards by halves. After ten minutes it tries
 * larger ones again. ICMP is not listened to: anybody can send it. Lost probes say nothing about
 * congestion. They need room in the window, so callers send them before data (nq.h).
 *
 * path_mtu is what is used: low, or larger while a probe of just that size is out.
 */
#include "conn.h"

#define PROBES 3
#define FULL_LOST 3
/* The search ends when it can gain no more than this. */
#define GRAIN 8
#define RAISE_US (600ULL * 1000000)
#define NEVER_FULL 0xffff

static void use(struct nq_conn *c, u32 mtu)
{
	u32 before = nq_max_payload_bytes(c);

	c->path_mtu = mtu;
	/* The last quarter above what always passes counts as full. */
	c->pmtud.full = mtu > NQ_MIN_UDP_PAYLOAD ? mtu - (mtu - NQ_MIN_UDP_PAYLOAD) / 4
						 : NEVER_FULL;
	c->pmtud.full_lost = 0;
	nq_cc_set_mss(&c->cc, nq_packet_max(c));
	if (nq_max_payload_bytes(c) != before)
		c->events |= NQ_EV_MTU;
}

/* What to ask next. */
static void next(struct nq_conn *c, u64 now_us)
{
	struct nq_pmtud *m = &c->pmtud;

	m->tries = 0;
	if (c->path_mtu > m->low)
		m->size = c->path_mtu;
	else if (m->low == m->limit || m->high - m->low <= GRAIN)
		m->size = 0;
	else
		m->size = m->high > m->limit ? m->limit : (m->low + m->high) / 2;
	m->wanted = m->size;
	if (m->size || m->low == m->limit)
		m->raise_us = NQ_TIME_NEVER;
	else if (m->raise_us == NQ_TIME_NEVER)
		m->raise_us = now_us + RAISE_US;
}

void nq_mtu_start(struct nq_conn *c, u32 mtu)
{
	struct nq_pmtud *m = &c->pmtud;

	m->limit = (u32)nq_min(mtu, c->peer_max_udp);
	m->low = NQ_MIN_UDP_PAYLOAD;
	m->high = m->limit + 1;
	m->raise_us = NQ_TIME_NEVER;
	use(c, m->limit);
	next(c, 0);
}

void nq_mtu_on_new_path(struct nq_conn *c, u32 known)
{
	if (!known) {
		nq_mtu_start(c, c->pmtud.limit);
		return;
	}
	/* The route may take less than when the path was left. */
	known = (u32)nq_min(known, c->pmtud.limit);
	c->pmtud.low = known;
	c->pmtud.high = c->pmtud.limit + 1;
	use(c, known);
	next(c, 0);
}

void nq_mtu_continue(struct nq_conn *c, const struct nq_conn *old, u64 now_us)
{
	c->pmtud.limit = (u32)nq_min(old->pmtud.limit, c->peer_max_udp);
	c->pmtud.low = (u32)nq_min(old->pmtud.low, c->pmtud.limit);
	c->pmtud.high = (u32)nq_min(old->pmtud.high, c->pmtud.limit + 1);
	c->pmtud.raise_us = old->pmtud.raise_us;
	use(c, (u32)nq_min(old->path_mtu, c->pmtud.limit));
	next(c, now_us);
}

/* ---- probes ---- */

u32 nq_mtu_probe_bytes(const struct nq_conn *c)
{
	return c->pmtud.wanted ? c->pmtud.size : 0;
}

void nq_mtu_on_sent(struct nq_conn *c)
{
	c->pmtud.wanted = false;
	c->stats.pmtu_probes++;
}

void nq_mtu_on_acked(struct nq_conn *c, u32 bytes, u64 now_us)
{
	struct nq_pmtud *m = &c->pmtud;

	if (bytes <= m->low || bytes > m->limit)
		return;
	m->low = bytes;
	if (m->high <= bytes)
		m->high = m->limit + 1;
	if (c->path_mtu <= bytes)
		use(c, bytes);
	if (m->size <= bytes)
		next(c, now_us);
}

/* Packets of @bytes do not pass. */
static void does_not_pass(struct nq_conn *c, u32 bytes, u64 now_us)
{
	struct nq_pmtud *m = &c->pmtud;

	if (bytes < m->high)
		m->high = bytes;
	if (m->low >= m->high)
		m->low = NQ_MIN_UDP_PAYLOAD;
	if (c->path_mtu >= m->high)
		use(c, m->low);
	next(c, now_us);
}

void nq_mtu_on_lost(struct nq_conn *c, u32 bytes, u64 now_us)
{
	if (bytes != c->pmtud.size)
		return;
	if (++c->pmtud.tries < PROBES)
		c->pmtud.wanted = true;
	else
		does_not_pass(c, bytes, now_us);
}

void nq_mtu_refused(struct nq_conn *c, u32 udp_payload_bytes, u64 now_us)
{
	if (c->state == NQ_ACTIVE && udp_payload_bytes > NQ_MIN_UDP_PAYLOAD)
		does_not_pass(c, udp_payload_bytes, now_us);
}

/* ---- black holes ---- */

/* Is the size that is in use still right? */
static void suspect(struct nq_conn *c, u8 tries)
{
	struct nq_pmtud *m = &c->pmtud;

	if (c->path_mtu == NQ_MIN_UDP_PAYLOAD || m->size == c->path_mtu)
		return;
	m->low = NQ_MIN_UDP_PAYLOAD;
	m->size = c->path_mtu;
	m->tries = tries;
	m->wanted = true;
}

void nq_mtu_on_full_acked(struct nq_conn *c, u64 pn)
{
	if (pn <= c->pmtud.full_acked_pn)
		return;
	c->pmtud.full_acked_pn = pn;
	c->pmtud.full_lost = 0;
}

void nq_mtu_on_full_lost(struct nq_conn *c, u64 pn)
{
	if (pn < c->pmtud.full_acked_pn || ++c->pmtud.full_lost < FULL_LOST)
		return;
	c->pmtud.full_lost = 0;
	/* They are evidence: one probe less. */
	suspect(c, 1);
}

void nq_mtu_on_pto(struct nq_conn *c)
{
	/* What is waited for may be a probe of the search. */
	if (!c->pmtud.size)
		suspect(c, 0);
}

/* ---- time ---- */

void nq_mtu_on_timeout(struct nq_conn *c, u64 now_us)
{
	if (now_us < c->pmtud.raise_us)
		return;
	c->pmtud.raise_us = NQ_TIME_NEVER;
	c->pmtud.high = c->pmtud.limit + 1;
	next(c, now_us);
}
