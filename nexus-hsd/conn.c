// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections in handshake: datagrams in, datagrams out, time, and their end. See conn.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "control.h"
#include "export.h"
#include "hsd.h"
#include "learn.h"
#include "lib/log.h"
#include "tls.h"

/* When the control process can not take a session now, ask again after this. */
#define EXPORT_RETRY_NS (20 * HS_NS_PER_MS)
/* When all is said and still something counts as in flight, ask with a PING after this. */
#define PROBE_NS (100 * HS_NS_PER_MS)

struct hs_conn *hs_conn_new(struct hs_sock *sock, const union hs_addr *local,
			    const union hs_addr *remote, bool server)
{
	struct hs_tunnel *t = sock->tunnel;
	struct hs_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->hsd = t->hsd;
	c->tunnel = t;
	c->sock = sock;
	c->server = server;
	c->local = *local;
	c->remote = *remote;
	c->deadline_ns = hs_now_ns() + t->config->handshake_timeout_ms * HS_NS_PER_MS;
	if (hs_timers_add(&c->hsd->conn_timers, &c->timer, c->deadline_ns) < 0) {
		free(c);
		return NULL;
	}
	if (c->server) {
		c->site = hs_pending_get(&c->hsd->pending, remote);
		if (!c->site) {
			hs_timers_del(&c->hsd->conn_timers, &c->timer);
			free(c);
			return NULL;
		}
	}
	TAILQ_INSERT_TAIL(&c->hsd->conns, c, entry);
	c->hsd->n_server_conns += c->server;
	return c;
}

void hs_conn_wake_at(struct hs_conn *c, uint64_t at_ns)
{
	hs_timers_set(&c->hsd->conn_timers, &c->timer,
		      at_ns < c->deadline_ns ? at_ns : c->deadline_ns);
}

void hs_conn_free(struct hs_conn *c)
{
	struct hs_conn *previous = hs_quic_enter(c);
	size_t i;

	TAILQ_REMOVE(&c->hsd->conns, c, entry);
	hs_timers_del(&c->hsd->conn_timers, &c->timer);
	hs_pending_put(c->site);
	c->hsd->n_server_conns -= c->server;
	hs_cidtable_del(&c->original_dcid);
	for (i = 0; i < c->n_local_cids; i++)
		hs_cidtable_del(&c->local_cids[i].entry);
	if (c->quic)
		ngtcp2_conn_del(c->quic);
	hs_tls_free(c);
	hs_quic_leave(previous);
	if (c->visit)
		hs_visit_ended(c->visit);
	free(c->follow);
	free(c->held_tls);
	for (i = 0; i < c->n_early; i++)
		free(c->early[i].data);
	free(c->stream.tx);
	free(c->stream.rx);
	free(c->net);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

uint64_t hs_conn_now(const struct hs_conn *c)
{
	return hs_now_ns() + c->clock_ahead_ns;
}

/* When ngtcp2 has something to do, by our clock. */
static uint64_t quic_expiry(const struct hs_conn *c)
{
	uint64_t expiry = ngtcp2_conn_get_expiry(c->quic);

	if (expiry == UINT64_MAX)
		return expiry;
	return expiry > c->clock_ahead_ns ? expiry - c->clock_ahead_ns : 0;
}

struct hs_conn_cid *hs_conn_add_local_cid(struct hs_conn *c, const uint8_t *id, size_t len,
					  const uint8_t *token)
{
	struct hs_conn_cid *cid;

	if (c->n_local_cids == NQD_LOCAL_CIDS_MAX)
		return NULL;
	cid = &c->local_cids[c->n_local_cids];
	if (hs_cidtable_add(&c->hsd->cids, &cid->entry, HS_CID_CONN, c, id, len) < 0)
		return NULL;
	c->n_local_cids++;
	cid->seq = c->next_local_seq++;
	cid->len = (uint8_t)len;
	memcpy(cid->id, id, len);
	cid->has_token = token != NULL;
	if (token)
		memcpy(cid->token, token, sizeof(cid->token));
	return cid;
}

/* ---- failure ---- */

void hs_conn_note_failure(struct hs_conn *c, enum hs_reason reason, const char *fmt, ...)
{
	va_list ap;

	if (c->fail_reason != HS_REASON_NONE)
		return;
	c->fail_reason = reason;
	va_start(ap, fmt);
	vsnprintf(c->fail_text, sizeof(c->fail_text), fmt, ap);
	va_end(ap);
}

/* Tell the peer, if there is one that we could speak to. */
static void send_close(struct hs_conn *c, int liberr)
{
	struct hs_conn *previous = hs_quic_enter(c);
	uint8_t buf[HS_UDP_PAYLOAD];
	ngtcp2_ccerr ccerr;
	ngtcp2_pkt_info pi;
	ngtcp2_ssize n = 0;

	ngtcp2_ccerr_default(&ccerr);
	if (liberr == NGTCP2_ERR_CRYPTO)
		ngtcp2_ccerr_set_tls_alert(&ccerr, ngtcp2_conn_get_tls_alert(c->quic), NULL, 0);
	else if (liberr)
		ngtcp2_ccerr_set_liberr(&ccerr, liberr, NULL, 0);
	if (c->heard && !ngtcp2_conn_in_draining_period(c->quic))
		n = ngtcp2_conn_write_connection_close(c->quic, NULL, &pi, buf, sizeof(buf), &ccerr,
						       hs_conn_now(c));
	if (n > 0)
		hs_udp_send(c->sock->src.fd, &c->local, &c->remote, buf, (size_t)n);
	hs_quic_leave(previous);
}

/*
 * Whoever has not answered a server's first flight hears what the cover would say: nothing. So does
 * whoever has sent no more than Initials, which everybody on the path can make, at an end that is
 * none of his doing.
 */
static bool may_hear_of_end(const struct hs_conn *c, int liberr)
{
	if (hs_follow_rules(c))
		return false;
	return liberr || !c->server || c->validated;
}

static void end(struct hs_conn *c, int liberr)
{
	struct hs_tunnel *t = c->tunnel;
	char addr[HS_ADDR_STRLEN];

	if (c->quic && may_hear_of_end(c, liberr))
		send_close(c, liberr);
	if (c->visit) {
		nx_debug("tunnel %s: a visit to the cover failed: %s", t->config->name,
			 c->fail_text);
	} else if (c->server) {
		t->stats.handshakes_failed++;
		nx_log_full(LOG_NOTICE, "HandshakeFailed", t->config->name,
			    "handshake of user %s from %s failed: %s", c->user_name,
			    hs_addr_str(&c->remote, addr), c->fail_text);
	} else {
		hs_control_failed(c->hsd, t->config->name, c->attempt, c->fail_reason,
				  c->fail_text);
	}
	hs_conn_free(c);
}

void hs_conn_say_goodbye(struct hs_conn *c)
{
	send_close(c, 0);
}

void hs_conn_fail(struct hs_conn *c, enum hs_reason reason, const char *fmt, ...)
{
	char text[sizeof(c->fail_text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hs_conn_note_failure(c, reason, "%s", text);
	end(c, 0);
}

/* A certificate that was not what we want, in words that help. */
static bool note_certificate(struct hs_conn *c)
{
	if (c->server || c->visit || !c->cert_checked || c->cert_verdict == 0)
		return false;
	if (c->cert_verdict == -EBADMSG)
		hs_conn_note_failure(
			c, HS_REASON_AUTH_REFUSED,
			"authentication refused: an ordinary web server answered (wrong "
			"client key, wrong server key, unknown short id, or a clock that "
			"is off)");
	else
		hs_conn_note_failure(c, HS_REASON_SERVER_PROOF,
				     "the answer does not prove the configured server key");
	return true;
}

/* ngtcp2 gave up with @rv. Frees @c. */
static void fail_quic(struct hs_conn *c, int rv)
{
	const ngtcp2_ccerr *peer;

	if (rv == NGTCP2_ERR_CRYPTO && !note_certificate(c))
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "TLS failed: alert %u",
				     ngtcp2_conn_get_tls_alert(c->quic));
	if (rv == NGTCP2_ERR_DRAINING) {
		peer = ngtcp2_conn_get_ccerr(c->quic);
		hs_conn_note_failure(c, HS_REASON_PROTOCOL,
				     "the peer closed the connection, error 0x%llx",
				     (unsigned long long)peer->error_code);
	}
	hs_conn_note_failure(c, HS_REASON_PROTOCOL, "QUIC failed: %s", ngtcp2_strerror(rv));
	end(c, rv);
}

static void fail_timeout(struct hs_conn *c)
{
	char addr[HS_ADDR_STRLEN];

	if (c->heard)
		hs_conn_fail(c, HS_REASON_TIMEOUT,
			     "%s answered, but the handshake was not finished in time",
			     hs_addr_str(&c->remote, addr));
	else
		hs_conn_fail(c, HS_REASON_TIMEOUT,
			     "no answer from %s: UDP blocked or wrong address, wrong client key, "
			     "wrong server key, unknown short id, or a clock off by more than the "
			     "server's window",
			     hs_addr_str(&c->remote, addr));
}

/* ---- packets ---- */

bool hs_conn_feed(struct hs_conn *c, const uint8_t *data, size_t len)
{
	struct hs_conn *previous = hs_quic_enter(c);
	ngtcp2_pkt_info pi = { 0 };
	int rv;

	hs_follow_heard(c, len);
	/* One path only: hs_conn_receive() lets no other address in. */
	rv = ngtcp2_conn_read_pkt(c->quic, ngtcp2_conn_get_path(c->quic), &pi, data, len,
				  hs_conn_now(c));
	hs_quic_leave(previous);
	if (rv == 0)
		return true;
	fail_quic(c, rv);
	return false;
}

void hs_conn_receive(struct hs_conn *c, const struct hs_dgram *d)
{
	/* No migration before the hand-over: the data plane does that. */
	if (!hs_addr_equal(&d->remote, &c->remote) || d->len == 0)
		return;
	/* A client on a wildcard socket learns its address from the first answer. */
	if (hs_addr_is_any(&c->local))
		c->local = d->local;
	if (hs_conn_feed(c, d->data, d->len))
		hs_conn_drive(c);
}

/* One packet from ngtcp2, with stream data if there is some. Bytes, 0 = nothing, or an error. */
static ngtcp2_ssize write_one(struct hs_conn *c, uint8_t *buf, size_t cap)
{
	struct hs_conn_stream *s = &c->stream;
	ngtcp2_ssize n, accepted = -1;
	ngtcp2_pkt_info pi;
	ngtcp2_vec vec;

	if (s->opened && !s->fin_sent) {
		vec.base = s->tx + s->tx_sent;
		vec.len = s->tx_len - s->tx_sent;
		n = ngtcp2_conn_writev_stream(c->quic, NULL, &pi, buf, cap, &accepted,
					      NGTCP2_WRITE_STREAM_FLAG_FIN, 0, &vec, 1,
					      hs_conn_now(c));
		if (accepted >= 0) {
			s->tx_sent += (size_t)accepted;
			s->fin_sent = s->tx_sent == s->tx_len;
		}
		if (n != NGTCP2_ERR_STREAM_DATA_BLOCKED)
			return n;
	}
	return ngtcp2_conn_write_pkt(c->quic, NULL, &pi, buf, cap, hs_conn_now(c));
}

/* Everything ngtcp2 wants to send now. 0, an ngtcp2 error, or 1: the socket refuses. */
static int flush(struct hs_conn *c)
{
	uint8_t buf[HS_UDP_PAYLOAD];
	char addr[HS_ADDR_STRLEN];
	ngtcp2_ssize n = 0;
	int err;

	while (hs_follow_may_send(c, sizeof(buf)) && (n = write_one(c, buf, sizeof(buf))) > 0) {
		hs_follow_sent(c, (size_t)n);
		err = hs_udp_send(c->sock->src.fd, &c->local, &c->remote, buf, (size_t)n);
		if (err == 0 || err == -EAGAIN || err == -ENOBUFS || err == -EINTR || c->server)
			continue;
		hs_conn_note_failure(c, HS_REASON_SOCKET, "cannot send to %s: %s",
				     hs_addr_str(&c->remote, addr), strerror(-err));
		return 1;
	}
	return (int)n;
}

/*
 * Confirmed, said and heard everything, and nothing in flight. A lost packet that only carried an
 * ACK and padding counts as in flight, but nobody would ever acknowledge it: the PING settles that.
 */
static bool ready_for_hand_over(struct hs_conn *c)
{
	ngtcp2_conn_info info;

	if (!c->confirmed || !c->stream.closed || !c->net || !c->sent_1rtt)
		return false;
	ngtcp2_conn_get_conn_info(c->quic, &info);
	if (info.bytes_in_flight == 0)
		return true;
	ngtcp2_conn_set_keep_alive_timeout(c->quic, PROBE_NS);
	hs_conn_wake_at(c, quic_expiry(c));
	return false;
}

void hs_conn_drive(struct hs_conn *c)
{
	struct hs_conn *previous = hs_quic_enter(c);
	int rv = 0;

	if (!c->server && !c->visit && c->completed && !c->stream.opened && hs_stream_open(c) < 0)
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "the server allows no stream");
	if (!c->fail_reason && hs_follow_rules(c))
		rv = hs_follow_drive(c);
	if (!c->fail_reason && rv == 0 && !hs_follow_rules(c))
		rv = flush(c);
	hs_conn_wake_at(c, hs_follow_rules(c) ? hs_follow_expiry(c) : quic_expiry(c));
	hs_quic_leave(previous);
	if (c->fail_reason != HS_REASON_NONE) {
		end(c, 0);
		return;
	}
	if (rv < 0) {
		fail_quic(c, rv);
		return;
	}
	if (!ready_for_hand_over(c))
		return;
	switch (hs_export(c)) {
	case 0:
		return; /* the connection is gone */
	case -EAGAIN:
		hs_conn_wake_at(c, hs_now_ns() + EXPORT_RETRY_NS);
		return;
	default:
		hs_conn_fail(c, HS_REASON_PROTOCOL, "the session cannot be handed over");
	}
}

static void run_timer(struct hs_conn *c, uint64_t now)
{
	struct hs_conn *previous;
	int rv;

	if (c->deadline_ns <= now) {
		fail_timeout(c);
		return;
	}
	previous = hs_quic_enter(c);
	rv = 0;
	if (!hs_follow_rules(c) && quic_expiry(c) <= now)
		rv = ngtcp2_conn_handle_expiry(c->quic, hs_conn_now(c));
	hs_quic_leave(previous);
	if (rv != 0)
		fail_quic(c, rv);
	else
		hs_conn_drive(c);
}

uint64_t hs_conns_run_timers(struct hsd *h)
{
	struct hs_timers *timers = &h->conn_timers;
	uint64_t now = hs_now_ns();
	size_t left = timers->n;
	struct hs_timer *t;

	/* Each once: what is due again has to wait for the other events of this turn. */
	while ((t = hs_timers_first(timers)) && t->at_ns <= now && left-- > 0)
		run_timer((struct hs_conn *)((char *)t - offsetof(struct hs_conn, timer)), now);
	return t ? t->at_ns : UINT64_MAX;
}

/* ---- sets of connections ---- */

void hs_conns_end(struct hsd *h, struct hs_tunnel *t, uint64_t short_id, const char *why)
{
	struct hs_conn *c, *following;

	for (c = TAILQ_FIRST(&h->conns); c; c = following) {
		following = TAILQ_NEXT(c, entry);
		if (c->tunnel == t && (short_id == 0 || c->short_id == short_id))
			hs_conn_fail(c, HS_REASON_CANCELLED, "%s", why);
	}
}

struct hs_conn *hs_conns_find_attempt(struct hsd *h, const struct hs_tunnel *t, uint64_t attempt)
{
	struct hs_conn *c;

	TAILQ_FOREACH (c, &h->conns, entry) {
		if (c->tunnel == t && c->attempt == attempt)
			return c;
	}
	return NULL;
}
