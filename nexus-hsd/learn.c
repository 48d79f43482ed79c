// SPDX-License-Identifier: GPL-2.0-or-later
/* Visits to the cover, see learn.h. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "hsd.h"
#include "learn.h"
#include "lib/log.h"
#include "reader.h"
#include "tls.h"

#define PAUSE_NS (HS_LEARN_PAUSE_MS * HS_NS_PER_MS)
/* The visit that answers nothing: not the first, so that a dead cover is known at once. */
#define SILENT_VISIT 1

_Static_assert(HS_LEARN_DGRAMS_MAX *HS_PROFILE_DGRAM_BYTES_MAX <= UINT16_MAX,
	       "the Handshake bytes of a visit fit into the profile");

enum visit_state {
	VISIT_ASKED, /* the first flight is out */
	VISIT_HEARD, /* the cover's flight comes in */
	VISIT_ANSWERED,
};

struct hs_visit {
	struct hs_learner *learner;
	struct hs_sock sock;
	struct hs_conn *conn; /* NULL: it has ended */
	enum visit_state state;
	bool silent, odd; /* odd: something was no QUIC, or too much */
	uint64_t begun_ns, first_ns, last_ns;
	unsigned int n_dgrams; /* of the cover, whatever they are */
	uint8_t scid_len;
	size_t handshake_bytes;
	bool heard_initial;
	struct hs_profile_style style;
	struct hs_profile_flight flight, finished;
	unsigned int n_repeats;
	struct hs_profile_repeat repeats[HS_PROFILE_REPEATS_MAX];
	/* not given to ngtcp2 yet */
	unsigned int n_kept;
	struct {
		uint16_t len;
		uint8_t data[HS_PROFILE_DGRAM_BYTES_MAX];
	} kept[HS_PROFILE_DGRAMS_MAX];
};

struct hs_learner {
	struct hs_tunnel *tunnel;
	struct hs_visit *visit; /* the one that runs */
	uint64_t next_ns; /* when the next one may begin */
	unsigned int n_visits, failures; /* of this round; in a row */
	uint8_t name_hash[HS_PROFILE_NAME_HASH_LEN];
	struct hs_profile draft;
};

/* ---- the end of a visit ---- */

static void free_visit(struct hs_visit *v)
{
	struct hsd *h = v->learner->tunnel->hsd;

	v->learner->visit = NULL;
	if (v->conn) {
		v->conn->visit = NULL;
		hs_conn_free(v->conn);
	}
	hs_source_close(&h->loop, &v->sock.src);
	free(v);
}

void hs_visit_ended(struct hs_visit *v)
{
	v->conn = NULL;
}

static void start_round(struct hs_learner *l, uint64_t at_ns)
{
	memset(&l->draft, 0, sizeof(l->draft));
	l->n_visits = 0;
	l->next_ns = at_ns;
}

static void failed(struct hs_learner *l)
{
	uint64_t pause_ms = HS_LEARN_RETRY_MAX_MS;

	if (l->failures < 10)
		pause_ms = (uint64_t)HS_LEARN_RETRY_MIN_MS << l->failures;
	if (pause_ms > HS_LEARN_RETRY_MAX_MS)
		pause_ms = HS_LEARN_RETRY_MAX_MS;
	if (l->failures++ == 0)
		nx_log_full(LOG_WARNING, "CoverNotLearnt", l->tunnel->config->name,
			    "the cover's handshake cannot be learnt: it did not answer as a web "
			    "server with HTTP/3 does");
	start_round(l, hs_now_ns() + pause_ms * HS_NS_PER_MS);
}

/* All visits were made: this is how the cover is. */
static void round_done(struct hs_learner *l)
{
	struct hs_profile *p = &l->draft;

	l->failures = 0;
	p->learned_s = hs_unix_time_s();
	memcpy(p->name_hash, l->name_hash, sizeof(p->name_hash));
	hs_tunnel_set_profile(l->tunnel, p);
	start_round(l, hs_now_ns() + HS_LEARN_REFRESH_S * HS_NS_PER_S);
}

static void take(struct hs_learner *l, const struct hs_visit *v)
{
	struct hs_profile *p = &l->draft;

	p->flights[p->n_flights++] = v->flight;
	p->scid_len = v->scid_len;
	if (v->silent) {
		p->n_repeats = (uint8_t)v->n_repeats;
		memcpy(p->repeats, v->repeats, sizeof(p->repeats));
	} else {
		p->cipher = hs_tls_cipher(v->conn);
		p->group = hs_tls_group(v->conn);
		p->finished = v->finished;
		p->style = v->style;
		if (v->handshake_bytes > p->handshake_bytes)
			p->handshake_bytes = (uint16_t)v->handshake_bytes;
	}
	if (++l->n_visits == HS_LEARN_VISITS)
		round_done(l);
	else
		l->next_ns = hs_now_ns() + HS_LEARN_INTERVAL_MS * HS_NS_PER_MS;
}

/* @ok: what it saw counts. Frees the visit. */
static void end_visit(struct hs_visit *v, bool ok)
{
	struct hs_learner *l = v->learner;

	if (ok && !v->odd && v->flight.n_dgrams > 0 && (v->silent || v->conn)) {
		take(l, v);
		if (!v->silent)
			hs_conn_say_goodbye(v->conn);
	} else {
		failed(l);
	}
	free_visit(v);
}

/* ---- datagrams of the cover ---- */

static void note_flight(struct hs_visit *v, struct hs_profile_flight *f,
			const struct hs_profile_dgram *d)
{
	if (f->n_dgrams == HS_PROFILE_DGRAMS_MAX)
		v->odd = f == &v->flight;
	else
		f->dgrams[f->n_dgrams++] = *d;
}

static void note_repeat(struct hs_visit *v, const struct hs_profile_dgram *d, uint64_t now_ns)
{
	struct hs_profile_repeat *r;

	if (v->n_repeats == HS_PROFILE_REPEATS_MAX)
		return;
	r = &v->repeats[v->n_repeats++];
	r->after_ms = (uint16_t)((now_ns - v->first_ns) / HS_NS_PER_MS);
	r->dgram = *d;
}

/* Of a visit that has not answered yet: to be answered later, or to be counted only. */
static void keep(struct hs_visit *v, const struct hs_dgram *d, const struct hs_profile_dgram *cut,
		 uint64_t now_ns)
{
	struct hs_long_header h;

	if (v->state == VISIT_ASKED) {
		v->state = VISIT_HEARD;
		v->first_ns = v->last_ns = now_ns;
		if (hs_long_header_parse(d->data, d->len, &h) == 0)
			v->scid_len = (uint8_t)h.scid_len;
	}
	if (now_ns - v->last_ns > PAUSE_NS || v->n_repeats > 0) {
		note_repeat(v, cut, now_ns);
		return;
	}
	v->last_ns = now_ns;
	note_flight(v, &v->flight, cut);
	if (v->n_kept == HS_PROFILE_DGRAMS_MAX)
		return;
	v->kept[v->n_kept].len = (uint16_t)d->len;
	memcpy(v->kept[v->n_kept++].data, d->data, d->len);
}

static void on_dgram(void *arg, const struct hs_dgram *d)
{
	struct hs_visit *v = arg;
	uint64_t now_ns = hs_now_ns();
	struct hs_profile_dgram cut;

	if (!v->conn || !hs_addr_equal(&d->remote, &v->conn->remote))
		return;
	if (v->n_dgrams == HS_LEARN_DGRAMS_MAX)
		return;
	v->n_dgrams++;
	if (!hs_profile_cut(d->data, d->len, &cut)) {
		v->odd |= v->state != VISIT_ANSWERED;
		return;
	}
	if (v->state != VISIT_ANSWERED) {
		keep(v, d, &cut, now_ns);
		return;
	}
	v->last_ns = now_ns;
	note_flight(v, &v->finished, &cut);
	hs_conn_receive(v->conn, d);
}

static void on_readable(struct hs_source *s, uint32_t events)
{
	struct hs_visit *v = s->owner;

	hs_udp_receive(s->fd, &v->sock, &v->sock.name, on_dgram, v);
}

/* @header: up to its packet number. A server's Initial has no token (RFC 9000 17.2.2). */
static bool has_long_length(const uint8_t *header, size_t len)
{
	struct hs_reader r = hs_reader(header, len);

	hs_read(&r, 1 + 4);
	hs_read(&r, hs_read_be(&r, 1)); /* DCID */
	hs_read(&r, hs_read_be(&r, 1)); /* SCID */
	hs_read(&r, hs_read_varint(&r)); /* token */
	return !r.bad && r.left == 4;
}

void hs_visit_initial(struct hs_visit *v, const uint8_t *header, size_t header_len,
		      const uint8_t *plain, size_t len)
{
	size_t pn_len = (header[0] & 3) + 1, i;

	if (v->heard_initial || header_len < pn_len)
		return;
	v->heard_initial = true;
	hs_shape_find_padding(plain, len, &v->style);
	v->style.long_length = has_long_length(header, header_len - pn_len);
	for (i = header_len - pn_len; i < header_len; i++)
		v->style.random_pn |= header[i] != 0;
}

void hs_visit_crypto(struct hs_visit *v, size_t bytes)
{
	v->handshake_bytes += bytes;
}

/* ---- a visit ---- */

static int shake_hands(struct hs_visit *v)
{
	struct hs_conn *c = v->conn;
	uint8_t random[32], dcid[HS_CID_LEN], scid[HS_CID_LEN];
	int err;

	if (gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0 ||
	    gnutls_rnd(GNUTLS_RND_NONCE, dcid, sizeof(dcid)) < 0 ||
	    gnutls_rnd(GNUTLS_RND_NONCE, scid, sizeof(scid)) < 0)
		return -EIO;
	err = hs_quic_client_params(c, scid);
	if (err == 0)
		err = hs_tls_new_client(c, c->tunnel->config->server_names[0], random);
	if (err == 0)
		err = hs_tls_client_hello(c);
	if (err == 0)
		err = hs_quic_new_client(c, dcid, scid);
	return err;
}

static int open_socket(struct hs_visit *v, int fd, union hs_addr *remote)
{
	socklen_t len = sizeof(*remote);
	int err, off = 0;

	memset(remote, 0, sizeof(*remote));
	err = hs_source_open(&v->learner->tunnel->hsd->loop, &v->sock.src, fd, on_readable, v);
	if (err < 0)
		return err;
	err = hs_udp_prepare(fd, &v->sock.name);
	if (err < 0)
		return err;
	/* One datagram for each that was sent: their sizes are what is learnt. */
	if (getpeername(fd, &remote->sa, &len) < 0 ||
	    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &off, sizeof(off)) < 0)
		return -errno;
	return 0;
}

/* The first flight leaves; nothing is sent again, whatever happens. */
static void begin_visit(struct hs_learner *l, int fd)
{
	struct hs_visit *v = calloc(1, sizeof(*v));
	union hs_addr remote;
	int err;

	if (!v) {
		close(fd);
		failed(l);
		return;
	}
	v->learner = l;
	v->sock.src.fd = -1;
	v->sock.tunnel = l->tunnel;
	v->silent = l->n_visits == SILENT_VISIT;
	v->begun_ns = hs_now_ns();
	l->visit = v;
	err = open_socket(v, fd, &remote);
	if (err == 0) {
		v->conn = hs_conn_new(&v->sock, &v->sock.name, &remote, false);
		err = v->conn ? 0 : -ENOMEM;
	}
	if (err == 0) {
		v->conn->visit = v;
		err = shake_hands(v);
	}
	if (err < 0) {
		nx_debug("tunnel %s: no visit to the cover: %s", l->tunnel->config->name,
			 strerror(-err));
		end_visit(v, false);
		return;
	}
	v->conn->deadline_ns = UINT64_MAX; /* the visit has its own */
	hs_conn_drive(v->conn);
	if (v->conn)
		hs_conn_wake_at(v->conn, UINT64_MAX);
}

/* Everything that was kept, at once; then the client's second flight. */
static void answer(struct hs_visit *v)
{
	unsigned int i;

	v->state = VISIT_ANSWERED;
	v->last_ns = hs_now_ns();
	for (i = 0; i < v->n_kept && v->conn; i++)
		hs_conn_feed(v->conn, v->kept[i].data, v->kept[i].len);
	if (v->conn)
		hs_conn_drive(v->conn);
}

/* Something is still to come: its word on our Finished takes as long as the way there and back. */
static bool is_half_done(const struct hs_visit *v)
{
	return v->conn && v->conn->heard && !v->conn->confirmed;
}

/* How long it is waited for what the cover says next. */
static uint64_t visit_ends_ns(const struct hs_visit *v)
{
	switch (v->state) {
	case VISIT_ASKED:
		return v->begun_ns + HS_LEARN_ANSWER_MS * HS_NS_PER_MS;
	case VISIT_HEARD:
		return v->silent ? v->first_ns + HS_LEARN_SILENCE_MS * HS_NS_PER_MS
				 : v->last_ns + PAUSE_NS;
	default:
		return v->last_ns +
		       (is_half_done(v) ? HS_LEARN_ANSWER_MS * HS_NS_PER_MS : 2 * PAUSE_NS);
	}
}

/* Run what is due of a visit; the next time, or 0 if it is over. */
static uint64_t run_visit(struct hs_visit *v, uint64_t now_ns)
{
	if (v->conn && now_ns < visit_ends_ns(v))
		return visit_ends_ns(v);
	if (v->conn && v->state == VISIT_HEARD && !v->silent && !v->odd) {
		answer(v);
		return visit_ends_ns(v);
	}
	end_visit(v, v->state == VISIT_HEARD ||
			     (v->state == VISIT_ANSWERED && v->conn && v->conn->confirmed));
	return 0;
}

static uint64_t run(struct hs_learner *l, uint64_t now_ns)
{
	uint64_t next_ns;
	int fd;

	if (l->visit) {
		next_ns = run_visit(l->visit, now_ns);
		if (next_ns)
			return next_ns;
	}
	if (l->next_ns > now_ns)
		return l->next_ns;
	/* The relay has none to spare: new ones wake us. */
	fd = hs_relay_spare_socket(l->tunnel->relay);
	if (fd < 0)
		return UINT64_MAX;
	begin_visit(l, fd);
	return l->visit ? run_visit(l->visit, now_ns) : l->next_ns;
}

uint64_t hs_learners_run_timers(struct hsd *h)
{
	uint64_t now_ns = hs_now_ns(), next_ns = UINT64_MAX, at_ns;
	struct hs_tunnel *t;

	TAILQ_FOREACH (t, &h->tunnels, entry) {
		at_ns = t->learner ? run(t->learner, now_ns) : UINT64_MAX;
		if (at_ns < next_ns)
			next_ns = at_ns;
	}
	return next_ns;
}

/* ---- the object ---- */

struct hs_learner *hs_learner_new(struct hs_tunnel *t)
{
	struct hs_learner *l = calloc(1, sizeof(*l));

	if (l)
		l->tunnel = t;
	return l;
}

void hs_learner_free(struct hs_learner *l)
{
	if (!l)
		return;
	if (l->visit)
		free_visit(l->visit);
	free(l);
}

void hs_learner_postpone(struct hs_learner *l, uint64_t age_s)
{
	uint64_t left_s = age_s < HS_LEARN_REFRESH_S ? HS_LEARN_REFRESH_S - age_s : 0;

	if (!l->visit)
		start_round(l, hs_now_ns() + left_s * HS_NS_PER_S);
}

/* What has been seen so far does not count. */
static void restart(struct hs_learner *l)
{
	if (l->visit)
		free_visit(l->visit);
	l->failures = 0;
	start_round(l, 0);
}

void hs_learner_moved(struct hs_learner *l)
{
	uint64_t now_s = hs_unix_time_s(), good_until_s;

	good_until_s = l->tunnel->profile.learned_s + HS_LEARN_MOVED_S;
	if (good_until_s <= now_s)
		restart(l);
	else if (!l->visit)
		start_round(l, hs_now_ns() + (good_until_s - now_s) * HS_NS_PER_S);
}

void hs_learner_retry(struct hs_learner *l)
{
	if (l->failures && !l->visit)
		start_round(l, 0);
}

void hs_learner_set_name(struct hs_learner *l, const uint8_t hash[HS_PROFILE_NAME_HASH_LEN])
{
	if (memcmp(l->name_hash, hash, sizeof(l->name_hash)) == 0)
		return;
	memcpy(l->name_hash, hash, sizeof(l->name_hash));
	restart(l);
}
