// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's side of a first flight: open the Initial, read the ClientHello, ask the gate, and
 * only then make a TLS session. Cheap checks come first: shape, budget, opening, form; then the gate
 * does the expensive one. See server.h.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "clienthello.h"
#include "clock.h"
#include "hsd.h"
#include "lib/log.h"
#include "server.h"
#include "tls.h"

/* RFC 9000 14.1: a client's Initial comes in a datagram of at least this size. */
#define MIN_INITIAL_DGRAM 1200
#define BEHIND_MS 5
/* What came closer together than this leaves together: so would a network card or the scheduler have it. */
#define TOGETHER_NS (100 * 1000)

/* A first flight: the datagrams it came in and what was read from them. */
struct first_flight {
	const uint8_t *data; /* datagrams back to back */
	const uint16_t *lens;
	const bool *follows; /* not of the flight but behind it */
	unsigned int n_dgrams;
	const uint8_t *client_hello;
	size_t client_hello_len;
	const struct hs_long_header *hdr;
};

/* ---- to the cover ---- */

/*
 * What is left of a flight, in order, as far as it is due at @now_ns; the next time otherwise. Frees @fl with
 * the last.
 */
static void relay_due(struct hsd *h, struct hs_flow *fl, uint64_t now_ns)
{
	struct hs_dgram d = { .sock = fl->sock, .local = fl->local, .remote = fl->remote };
	const uint8_t *at = fl->data;
	uint64_t due_ns = 0;
	unsigned int i;

	for (i = 0; i < fl->n_dgrams; at += fl->lens[i++]) {
		if (i < fl->n_relayed)
			continue;
		due_ns = fl->at_ns[i] + fl->delay_ns;
		if (due_ns > now_ns + TOGETHER_NS)
			break;
		d.data = at;
		d.len = fl->lens[i];
		d.ecn = fl->ecn[i];
		hs_relay_pass(fl->sock->tunnel->relay, &d);
		fl->n_relayed++;
	}
	hs_relay_flush(h);
	if (fl->n_relayed == fl->n_dgrams)
		hs_flow_free(&h->flows, fl);
	else
		fl->gone_ns = due_ns;
}

/* One datagram: behind the flights of the same source that still wait, if there are any. */
static void relay_datagram(struct hsd *h, const struct hs_dgram *d)
{
	struct hs_flow *fl;

	while ((fl = hs_flow_find_source(&h->flows, d))) {
		if (hs_flow_keep(fl, d, true))
			return;
		relay_due(h, fl, UINT64_MAX - TOGETHER_NS);
	}
	hs_relay_pass(d->sock->tunnel->relay, d);
}

/* Behind another flight of its source, which decides when. Frees @fl. */
static void relay_behind(struct hsd *h, struct hs_flow *fl)
{
	struct hs_dgram d = {
		.sock = fl->sock, .local = fl->local, .remote = fl->remote, .data = fl->data
	};
	unsigned int i;

	hs_flow_unlink(&h->flows, fl);
	for (i = 0; i < fl->n_dgrams; d.data += fl->lens[i++]) {
		d.len = fl->lens[i];
		d.ecn = fl->ecn[i];
		relay_datagram(h, &d);
	}
	hs_relay_flush(h);
	hs_flow_free(&h->flows, fl);
}

/* A flight that has waited and was refused, or has waited for too long. @fl is the relay's from here on. */
static void relay_flight(struct hsd *h, struct hs_flow *fl)
{
	const struct hs_dgram d = { .sock = fl->sock, .local = fl->local, .remote = fl->remote };
	struct hs_relay *relay = fl->sock->tunnel->relay;
	const uint64_t now_ns = hs_now_ns();
	uint8_t dcid[HS_CID_LEN];

	memcpy(dcid, fl->dcid, sizeof(dcid));
	if (hs_flow_find_source(&h->flows, &d) != fl) {
		relay_behind(h, fl);
	} else {
		fl->refused = true;
		fl->delay_ns = now_ns - fl->at_ns[0];
		relay_due(h, fl, now_ns);
	}
	hs_relay_note_begun(relay, &d, dcid);
}

uint64_t hs_server_run_timers(struct hsd *h)
{
	uint64_t now_ns = hs_now_ns(), next_ns;
	struct hs_flow *fl;

	while ((fl = hs_flows_expired(&h->flows, now_ns, &next_ns))) {
		if (fl->refused) {
			relay_due(h, fl, now_ns);
		} else if (fl->last_look) {
			relay_flight(h, fl);
		} else {
			/* Late is whoever sends late: not what waits in the socket because we were busy. */
			fl->last_look = true;
			hs_sock_read(fl->sock);
		}
	}
	return next_ns;
}

/* The sender is not one of ours: count. The caller relays the datagrams. */
static void count_refused(struct hs_tunnel *t, enum hs_verdict verdict, const struct hs_dgram *d)
{
	t->stats.rejected[verdict]++;
	nx_debug("tunnel %s: %zu bytes refused, verdict %d", t->config->name, d->len, verdict);
}

static bool is_our_name(const struct hs_config *cfg, const struct hs_client_hello *ch)
{
	size_t i;

	for (i = 0; i < cfg->n_server_names; i++) {
		if (strlen(cfg->server_names[i]) == ch->server_name_len &&
		    strncasecmp(cfg->server_names[i], (const char *)ch->server_name,
				ch->server_name_len) == 0)
			return true;
	}
	return false;
}

/* Is the ClientHello one that a client of ours would send? */
static bool well_formed(const struct hs_config *cfg, const struct first_flight *f,
			struct hs_client_hello *ch)
{
	const uint8_t *scid;
	size_t scid_len;

	if (hs_client_hello_parse(f->client_hello, f->client_hello_len, ch) < 0)
		return false;
	if (!ch->tls13 || !ch->alpn_h3 || ch->session_id_len != 0 || !ch->server_name ||
	    !ch->transport_params)
		return false;
	if (!ch->x25519_share && !ch->hybrid_share)
		return false;
	if (hs_tp_initial_scid(ch->transport_params, ch->transport_params_len, &scid, &scid_len) <
		    0 ||
	    scid_len != f->hdr->scid_len || memcmp(scid, f->hdr->scid, scid_len) != 0)
		return false;
	return is_our_name(cfg, ch);
}

static bool too_many_pending(struct hsd *h, const union hs_addr *remote)
{
	return h->n_server_conns >= HS_PENDING_MAX ||
	       hs_pending_count(&h->pending, remote) >= HS_PENDING_SITE_MAX;
}

/*
 * TLS, QUIC, and the certificate, whose length depends on both. The name in the ClientHello is one of
 * ours: take our spelling for the certificate.
 */
static int make_session(struct hs_conn *c, const struct first_flight *f, const uint8_t k1[32],
			const struct hs_client_hello *ch)
{
	char name[256];
	int err;

	memcpy(name, ch->server_name, ch->server_name_len);
	name[ch->server_name_len] = '\0';
	err = hs_reality_cert_key(k1, f->client_hello, f->client_hello_len, c->cert_key);
	if (err == 0)
		err = hs_follow_start(c);
	if (err == 0)
		err = hs_tls_new_server(c);
	if (err == 0)
		err = hs_quic_new_server(c, f->hdr->dcid, f->hdr->dcid_len, f->hdr->scid,
					 f->hdr->scid_len);
	if (err == 0)
		err = hs_tls_make_cert(c, name, hs_unix_time_s());
	return err;
}

/* Does this datagram hold the beginning of the ClientHello? */
static bool is_first(const struct first_flight *f, const uint8_t *data, size_t len)
{
	static struct hs_reassembly r;
	size_t unused;

	r.n_pieces = 0;
	hs_initial_feed(&r, data, len, f->hdr->dcid, f->hdr->dcid_len, &unused);
	return r.n_pieces > 0 && r.pieces[0].first == 0;
}

/*
 * Give the flight to ngtcp2, which wants a Retry from a client whose first packet does not begin at
 * the beginning: so that one comes first. False: the connection is gone.
 */
static bool feed_flight(struct hs_conn *c, const struct first_flight *f)
{
	const uint8_t *at = f->data, *first_at = f->data;
	unsigned int i, first = 0;

	for (i = 0; i < f->n_dgrams && f->n_dgrams > 1; at += f->lens[i++]) {
		if (!f->follows[i] && is_first(f, at, f->lens[i])) {
			first = i;
			first_at = at;
			break;
		}
	}
	if (!hs_conn_feed(c, first_at, f->lens[first]))
		return false;
	for (i = 0, at = f->data; i < f->n_dgrams; at += f->lens[i++]) {
		if (i != first && !f->follows[i] && !hs_conn_feed(c, at, f->lens[i]))
			return false;
	}
	return true;
}

static void accept_client(const struct hs_dgram *d, const struct first_flight *f,
			  const struct hs_gate_result *r, const struct hs_client_hello *ch)
{
	struct hs_tunnel *t = d->sock->tunnel;
	struct hsd *h = t->hsd;
	struct hs_conn *c;
	int err;

	c = hs_conn_new(d->sock, &d->local, &d->remote, true);
	if (!c)
		return;
	c->attempt = h->next_attempt++;
	c->short_id = r->user->short_id;
	c->has_psk = r->user->has_psk;
	c->old_key = r->old_key;
	memcpy(c->user_name, r->user->name, sizeof(c->user_name));
	err = make_session(c, f, r->k1, ch);
	if (err == 0)
		err = hs_cidtable_add(&h->cids, &c->original_dcid, HS_CID_CONN, c, f->hdr->dcid,
				      f->hdr->dcid_len);
	if (err < 0) {
		nx_err("tunnel %s: no connection for user %s: %s", t->config->name, c->user_name,
		       strerror(-err));
		hs_conn_free(c);
		return;
	}
	if (feed_flight(c, f))
		hs_conn_drive(c);
}

/* The ClientHello is complete: let it in (true) or not. */
static bool judge(const struct hs_dgram *d, const struct first_flight *f)
{
	struct hs_tunnel *t = d->sock->tunnel;
	struct hs_gate_result result;
	struct hs_first_flight flight;
	struct hs_client_hello ch;
	enum hs_verdict verdict;

	if (!well_formed(t->config, f, &ch) || too_many_pending(t->hsd, &d->remote)) {
		count_refused(t, HS_REJECT_FORMAT, d);
		return false;
	}
	flight = (struct hs_first_flight){
		.quic_version = f->hdr->version,
		.dcid = f->hdr->dcid,
		.dcid_len = f->hdr->dcid_len,
		.scid = f->hdr->scid,
		.scid_len = f->hdr->scid_len,
		.client_hello = f->client_hello,
		.client_hello_len = f->client_hello_len,
		.random = ch.random,
	};
	verdict = hs_gate_check(t->gate, &flight, hs_unix_time_s(), &result);
	if (verdict != HS_ACCEPT) {
		count_refused(t, verdict, d);
		return false;
	}
	t->stats.authenticated++;
	t->stats.authenticated_old_key += result.old_key;
	accept_client(d, f, &result, &ch);
	explicit_bzero(&result, sizeof(result));
	return true;
}

/*
 * All datagrams of the flight from the start: a flow keeps nothing but these, and opening a few of
 * them again costs less than 4 KiB more for each.
 */
static enum hs_initial_result reassemble(const struct hs_flow *fl, struct hs_reassembly *re,
					 size_t *len)
{
	enum hs_initial_result r = HS_INITIAL_MORE;
	const uint8_t *at = fl->data;

	re->n_pieces = 0;
	for (unsigned int i = 0; i < fl->n_dgrams; at += fl->lens[i++]) {
		if (fl->follows[i])
			continue;
		r = hs_initial_feed(re, at, fl->lens[i], fl->dcid, HS_CID_LEN, len);
		if (r == HS_INITIAL_BAD)
			break;
	}
	return r;
}

/* A datagram of a flight that is in pieces. */
static void continue_flow(struct hsd *h, struct hs_flow *fl, const struct hs_dgram *d,
			  const struct hs_long_header *hdr)
{
	struct first_flight f = { .hdr = hdr };
	static struct hs_reassembly reassembly;
	enum hs_initial_result r;

	if (!hs_flow_keep(fl, d, false)) {
		count_refused(d->sock->tunnel, HS_REJECT_FORMAT, d);
		relay_flight(h, fl);
		relay_datagram(h, d);
		return;
	}
	r = reassemble(fl, &reassembly, &f.client_hello_len);
	if (r == HS_INITIAL_MORE)
		return;
	f.data = fl->data;
	f.lens = fl->lens;
	f.follows = fl->follows;
	f.n_dgrams = fl->n_dgrams;
	f.client_hello = reassembly.data;
	if (r == HS_INITIAL_BAD)
		count_refused(d->sock->tunnel, HS_REJECT_FORMAT, d);
	if (r == HS_INITIAL_COMPLETE && judge(d, &f))
		hs_flow_free(&h->flows, fl);
	else
		relay_flight(h, fl);
}

/* Has there been more to read than we could, for longer than a burst of clients lasts? */
static bool is_behind(const struct hs_sock *sock, uint64_t now_ns)
{
	return sock->full_since_ns && now_ns - sock->full_since_ns > BEHIND_MS * HS_NS_PER_MS;
}

/*
 * Of a flight in pieces: what random and SCID say is enough to send a stranger's to the cover without
 * making it wait. A first datagram without any piece is no client's of ours.
 */
static bool is_hopeless(const struct hs_dgram *d, const struct hs_long_header *hdr,
			const struct hs_reassembly *re)
{
	struct hs_first_flight flight = {
		.quic_version = hdr->version,
		.dcid = hdr->dcid,
		.dcid_len = hdr->dcid_len,
		.scid = hdr->scid,
		.scid_len = hdr->scid_len,
		.client_hello = re->data,
	};
	enum hs_verdict verdict = HS_REJECT_FORMAT;

	if (re->n_pieces > 0) {
		/* Another datagram has the beginning: the cover has it, or the two may have changed places. */
		if (re->pieces[0].first > 0)
			return hs_relay_has_begun(d->sock->tunnel->relay, d, hdr->dcid);
		flight.client_hello_len = re->pieces[0].end;
		verdict = hs_gate_check_begin(d->sock->tunnel->gate, &flight, hs_unix_time_s());
	}
	if (verdict == HS_ACCEPT)
		return false;
	count_refused(d->sock->tunnel, verdict, d);
	return true;
}

/* The first datagram of a flight: mostly all of it. */
static void begin_flow(struct hsd *h, const struct hs_dgram *d, const struct hs_long_header *hdr)
{
	struct first_flight f = { .data = d->data, .n_dgrams = 1, .hdr = hdr };
	static struct hs_reassembly reassembly;
	static const bool follows = false;
	const uint64_t now_ns = hs_now_ns();
	uint16_t len = (uint16_t)d->len;
	struct hs_flow *fl;

	/* Paid for before it is opened: also the pieces of flights are bounded by that. */
	if (!hs_budget_take(d->sock->tunnel->budget, &d->remote, is_behind(d->sock, now_ns),
			    now_ns)) {
		count_refused(d->sock->tunnel, HS_REJECT_BUDGET, d);
		relay_datagram(h, d);
		return;
	}
	reassembly.n_pieces = 0;
	f.lens = &len;
	f.follows = &follows;
	f.client_hello = reassembly.data;
	switch (hs_initial_feed(&reassembly, d->data, d->len, hdr->dcid, hdr->dcid_len,
				&f.client_hello_len)) {
	case HS_INITIAL_COMPLETE:
		if (!judge(d, &f))
			relay_datagram(h, d);
		return;
	case HS_INITIAL_MORE:
		if (is_hopeless(d, hdr, &reassembly)) {
			relay_datagram(h, d);
			hs_relay_note_begun(d->sock->tunnel->relay, d, hdr->dcid);
			return;
		}
		fl = hs_flow_new(&h->flows, d, hdr);
		if (fl && hs_flow_keep(fl, d, false))
			return;
		if (fl)
			hs_flow_free(&h->flows, fl);
		break;
	case HS_INITIAL_BAD:
		break;
	}
	count_refused(d->sock->tunnel, HS_REJECT_FORMAT, d);
	relay_datagram(h, d);
}

static void stranger(struct hsd *h, const struct hs_dgram *d, const struct hs_long_header *hdr)
{
	struct hs_tunnel *t = d->sock->tunnel;
	struct hs_flow *fl;

	if (!t->config->server)
		return;
	if (!hdr || hdr->type != 0 || d->len < MIN_INITIAL_DGRAM || d->len > HS_DGRAM_MAX ||
	    hdr->dcid_len != HS_CID_LEN || hdr->scid_len != HS_CID_LEN) {
		count_refused(t, HS_REJECT_FORMAT, d);
		relay_datagram(h, d);
		return;
	}
	t->stats.initials++;
	fl = hs_flow_find(&h->flows, d, hdr);
	if (fl)
		continue_flow(h, fl, d, hdr);
	else
		begin_flow(h, d, hdr);
}

/* A long header tells the length of its ID, a short one does not. */
static struct hs_cid_entry *find_owner(struct hsd *h, const struct hs_dgram *d,
				       struct hs_long_header *hdr, bool *is_long, bool *parsed)
{
	*parsed = *is_long = false;
	if (d->len == 0 || d->len > HS_DGRAM_MAX)
		return NULL;
	*is_long = d->data[0] & 0x80;
	if (!*is_long)
		return hs_cidtable_find_prefix(&h->cids, d->data + 1, d->len - 1);
	if (hs_long_header_parse(d->data, d->len, hdr) < 0)
		return NULL;
	*parsed = true;
	return hs_cidtable_find(&h->cids, hdr->dcid, hdr->dcid_len);
}

void hs_server_datagram(struct hsd *h, const struct hs_dgram *d)
{
	struct hs_cid_entry *owner;
	struct hs_long_header hdr;
	bool is_long, parsed;

	owner = find_owner(h, d, &hdr, &is_long, &parsed);
	if (!owner)
		stranger(h, d, parsed ? &hdr : NULL);
	else if (owner->kind == HS_CID_CONN)
		hs_conn_receive(owner->owner, d);
	else
		hs_tomb_receive(h, owner->owner, d);
}

void hs_server_copy(struct hsd *h, const struct hs_dgram *d)
{
	struct hs_cid_entry *owner;
	struct hs_long_header hdr;
	bool is_long, parsed;

	owner = find_owner(h, d, &hdr, &is_long, &parsed);
	if (owner && owner->kind == HS_CID_CONN)
		hs_conn_receive(owner->owner, d);
	else if (owner && !hs_tomb_is_installed(owner->owner))
		hs_tomb_receive(h, owner->owner, d);
}
