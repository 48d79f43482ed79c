// SPDX-License-Identifier: GPL-2.0-or-later
/* Strangers' datagrams to the cover and back, see relay.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "control.h"
#include "hsd.h"
#include "initial.h"
#include "lib/log.h"
#include "relay.h"

/* A GRO buffer of the cover, and how many are read at a time. */
#define COVER_BUF_BYTES 65536
#define COVER_BATCH 4

/* RFC 9000 14.1, and the form bit of a long header: what a web server answers. */
#define MIN_INITIAL_DGRAM 1200
#define FORM_LONG 0x80
/* RFC 9000 7.2 */
#define MIN_FIRST_DCID 8

/* ---- tables ---- */

static unsigned int addr_bucket(const struct hs_relay *r, const union hs_addr *a)
{
	return hs_addr_hash(r->lately.key, a) % HS_RELAY_BUCKETS;
}

static unsigned int site_bucket(const struct hs_relay *r, const union hs_addr *a)
{
	return hs_site_hash(r->lately.key, a) % HS_RELAY_BUCKETS;
}

static struct hs_relay_flow *find(struct hs_relay *r, const struct hs_dgram *d)
{
	struct hs_relay_flow *f;

	LIST_FOREACH(f, &r->by_addr[addr_bucket(r, &d->remote)], by_addr)
	{
		if (f->sock == d->sock && hs_addr_equal(&f->remote, &d->remote) &&
		    hs_addr_may_equal(&f->local, &d->local))
			return f;
	}
	return NULL;
}

/* Flows of a site; *@oldest: of these the half-open one that is there longest, or NULL. */
static unsigned int count_site(struct hs_relay *r, const union hs_addr *remote,
			       struct hs_relay_flow **oldest)
{
	struct hs_relay_flow *f;
	unsigned int n = 0;

	*oldest = NULL;
	LIST_FOREACH(f, &r->by_site[site_bucket(r, remote)], by_site)
	{
		if (!hs_addr_same_site(&f->remote, remote))
			continue;
		n++;
		if (!f->confirmed)
			*oldest = f;
	}
	return n;
}

/* ---- the cover's health ---- */

static void set_state(struct hs_relay *r, enum hs_cover_state state)
{
	if (r->state == state)
		return;
	r->state = state;
	hs_control_cover_state(r->hsd, r->tunnel->config->name, state);
}

static void heard(struct hs_relay_flow *f)
{
	f->answered = true;
	f->relay->silent_flows = 0;
	set_state(f->relay, HS_COVER_ALIVE);
}

/* An error of the flow's socket: does it say that the cover cannot be reached? */
static void failed(struct hs_relay_flow *f, int err)
{
	if (err == ECONNREFUSED || err == EHOSTUNREACH || err == ENETUNREACH || err == EHOSTDOWN ||
	    err == ENETDOWN)
		set_state(f->relay, HS_COVER_DEAD);
}

/*
 * Would a web server answer that? A part of a ClientHello, or another version. Not what does not open: with
 * that anybody could make the cover look dead. Looked at once for a flow, as opening costs something.
 */
static bool is_question(const struct hs_dgram *d)
{
	static struct hs_reassembly hello;
	struct hs_long_header h;
	size_t len;
	int r = hs_long_header_parse(d->data, d->len, &h);

	if (r < 0)
		return r == -EPROTONOSUPPORT && h.version != 0 && h.dcid_len <= HS_CID_LEN &&
		       h.scid_len <= HS_CID_LEN;
	hello.n_pieces = 0;
	return h.type == 0 && h.dcid_len >= MIN_FIRST_DCID &&
	       hs_initial_feed(&hello, d->data, d->len, h.dcid, h.dcid_len, &len) !=
		       HS_INITIAL_BAD &&
	       hello.n_pieces > 0;
}

static void judge_ended(struct hs_relay_flow *f)
{
	if (f->answered || !f->asked)
		return;
	if (++f->relay->silent_flows >= HS_RELAY_SILENT_FLOWS)
		set_state(f->relay, HS_COVER_DEAD);
}

/* ---- sockets ---- */

static void close_pool(struct hs_relay *r)
{
	while (r->n_pool > 0)
		close(r->pool[--r->n_pool]);
}

/* As many as flows may begin at once, and what is kept. */
static unsigned int pool_size(const struct hs_relay *r)
{
	unsigned int size = r->limits.max_flows + r->limits.max_flows / HS_RELAY_RESERVE_PART;

	return size < HS_RELAY_POOL ? size : HS_RELAY_POOL;
}

/* In portions, while those asked for before are under way, so that a burst is followed at once. */
static void want_sockets(struct hs_relay *r, uint64_t now_ns)
{
	const unsigned int size = pool_size(r);
	unsigned int missing;

	if (r->state == HS_COVER_NONE)
		return;
	if (r->n_asked && now_ns - r->asked_ns >= HS_RELAY_ASK_AGAIN_MS * HS_NS_PER_MS)
		r->n_asked = 0;
	if (r->n_pool + r->n_asked >= size)
		return;
	missing = size - r->n_pool - r->n_asked;
	if (missing < HS_RELAY_POOL_MISSING && missing < size / HS_RELAY_RESERVE_PART)
		return;
	r->asked_ns = now_ns;
	r->n_asked += missing;
	hs_control_relay_wanted(r->hsd, r->tunnel->config->name, missing);
}

/* All sockets of a message lead to one address, that of @fd. Was it another one before? */
static bool note_cover(struct hs_relay *r, int fd)
{
	const bool known = r->cover.sa.sa_family != AF_UNSPEC;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	union hs_addr cover;
	bool moved;

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 ||
	    hs_addr_set(&cover, &peer, len) < 0)
		return false;
	moved = known && !hs_addr_equal(&cover, &r->cover);
	r->cover = cover;
	return moved;
}

bool hs_relay_add_sockets(struct hs_relay *r, int *fds, unsigned int n, bool replace)
{
	const bool moved = n > 0 && note_cover(r, fds[0]);
	unsigned int i;

	if (replace) {
		close_pool(r);
		r->silent_flows = 0;
		/* A whole pool is on its way, as if we had asked. */
		r->n_asked = pool_size(r);
		r->asked_ns = hs_now_ns();
		r->state = HS_COVER_UNKNOWN;
	}
	if (r->state == HS_COVER_NONE)
		r->state = HS_COVER_UNKNOWN;
	r->n_asked -= n < r->n_asked ? n : r->n_asked;
	for (i = 0; i < n && r->n_pool < HS_RELAY_POOL; i++) {
		r->pool[r->n_pool++] = fds[i];
		fds[i] = -1;
	}
	nx_close_fds(fds + i, n - i);
	return moved;
}

int hs_relay_spare_socket(struct hs_relay *r)
{
	unsigned int half = pool_size(r) / 2;
	int fd = -1;

	if (r->n_pool > (half < HS_RELAY_SPARE_ABOVE ? half : HS_RELAY_SPARE_ABOVE))
		fd = r->pool[--r->n_pool];
	/* Where no stranger comes, nothing else asks. */
	want_sockets(r, hs_now_ns());
	return fd;
}

/* ---- flows ---- */

static void end_flow(struct hs_relay_flow *f)
{
	struct hs_relay *r = f->relay;

	if (r->hsd->relay_batch.flow == f)
		hs_relay_flush(r->hsd);
	judge_ended(f);
	hs_source_close(&r->hsd->loop, &f->cover);
	LIST_REMOVE(f, by_addr);
	LIST_REMOVE(f, by_site);
	TAILQ_REMOVE(&r->lru, f, lru);
	if (!f->confirmed)
		TAILQ_REMOVE(&r->half_open[f->busy_site], f, half_open);
	r->n_busy -= f->busy_site;
	r->n_flows--;
	free(f);
}

static uint64_t rate_bytes_per_s(const struct hs_relay *r)
{
	return (uint64_t)r->limits.max_rate_mbit * 1000000 / 8;
}

static uint64_t burst_bytes(const struct hs_relay *r)
{
	uint64_t b = rate_bytes_per_s(r) / HS_RELAY_BURST_PART;

	return b < HS_RELAY_BURST_MIN ? HS_RELAY_BURST_MIN : b;
}

bool hs_relay_take_tokens(struct hs_relay_flow *f, uint64_t bytes, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns - f->refilled_ns, burst = burst_bytes(f->relay), gain;

	/* A second fills every bucket; the product stays far below 2^64. */
	if (elapsed_ns > HS_NS_PER_S)
		elapsed_ns = HS_NS_PER_S;
	gain = elapsed_ns / 1000 * rate_bytes_per_s(f->relay) / 1000000;
	/* Fractions of a byte are kept as time. */
	if (gain > 0) {
		f->tokens = f->tokens + gain > burst ? burst : f->tokens + gain;
		f->refilled_ns = now_ns;
	}
	if (f->tokens < bytes)
		return false;
	f->tokens -= bytes;
	return true;
}

static void touch(struct hs_relay_flow *f, uint64_t now_ns)
{
	f->used_ns = now_ns;
	TAILQ_REMOVE(&f->relay->lru, f, lru);
	TAILQ_INSERT_TAIL(&f->relay->lru, f, lru);
}

static void on_cover(struct hs_source *s, uint32_t events);

/* ---- room for a newcomer ---- */

static bool end_half_open(struct hs_relay_flow *f, uint64_t now_ns)
{
	if (!f || now_ns - f->made_ns < HS_RELAY_HALF_OPEN_MS * HS_NS_PER_MS)
		return false;
	end_flow(f);
	return true;
}

static bool is_preferred(struct hs_relay *r, const union hs_addr *remote, uint64_t now_ns)
{
	return hs_lately_quiet(&r->lately, remote, now_ns) ||
	       hs_budget_is_known(r->tunnel->budget, remote, now_ns);
}

static bool end_oldest_half_open(struct hs_relay *r, bool busy_site, uint64_t now_ns)
{
	return end_half_open(TAILQ_FIRST(&r->half_open[busy_site]), now_ns);
}

/*
 * What is kept for the others is theirs even when a flood has come in as one of them at first: above its
 * part a newcomer of a busy site takes the place of such a one only.
 */
static bool make_room(struct hs_relay *r, const union hs_addr *remote, bool busy_site,
		      uint64_t now_ns)
{
	unsigned int max_flows = r->limits.max_flows, kept_sockets = 0;
	struct hs_relay_flow *oldest;

	if (busy_site)
		kept_sockets = pool_size(r) / HS_RELAY_RESERVE_PART;
	if (r->n_pool <= kept_sockets)
		return false;
	if (count_site(r, remote, &oldest) >= r->limits.max_flows_per_site &&
	    !end_half_open(oldest, now_ns))
		return false;
	if (busy_site && r->n_busy >= max_flows - max_flows / HS_RELAY_RESERVE_PART)
		return end_oldest_half_open(r, true, now_ns);
	return r->n_flows < max_flows || end_oldest_half_open(r, true, now_ns) ||
	       end_oldest_half_open(r, false, now_ns);
}

static struct hs_relay_flow *new_flow(struct hs_relay *r, const struct hs_dgram *d, uint64_t now_ns)
{
	const bool busy_site = !is_preferred(r, &d->remote, now_ns);
	struct hs_relay_flow *f;
	int fd;

	if (!make_room(r, &d->remote, busy_site, now_ns))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	fd = r->pool[--r->n_pool];
	f->cover.fd = -1;
	f->cover_family = r->cover.sa.sa_family;
	if (hs_source_open(&r->hsd->loop, &f->cover, fd, on_cover, f) < 0) {
		free(f);
		return NULL;
	}
	f->relay = r;
	f->sock = d->sock;
	f->remote = d->remote;
	f->local = d->local;
	f->made_ns = f->used_ns = f->refilled_ns = now_ns;
	f->busy_site = busy_site;
	f->tokens = burst_bytes(r);
	LIST_INSERT_HEAD(&r->by_addr[addr_bucket(r, &d->remote)], f, by_addr);
	LIST_INSERT_HEAD(&r->by_site[site_bucket(r, &d->remote)], f, by_site);
	TAILQ_INSERT_TAIL(&r->lru, f, lru);
	TAILQ_INSERT_TAIL(&r->half_open[busy_site], f, half_open);
	r->n_busy += busy_site;
	r->n_flows++;
	return f;
}

/* ---- is the client where he says he is? ---- */

/* The ID that the cover wants to be called. Version Negotiation only repeats what the client said. */
static void learn_cover_id(struct hs_relay_flow *f, const uint8_t *data, size_t len)
{
	struct hs_long_header h;
	int r = hs_long_header_parse(data, len, &h);

	if ((r < 0 && r != -EPROTONOSUPPORT) || h.version == 0 || h.scid_len > HS_CID_LEN)
		return;
	f->has_cover_id = true;
	f->cover_id_len = (uint8_t)h.scid_len;
	memcpy(f->cover_id, h.scid, h.scid_len);
}

static bool uses_cover_id(const struct hs_relay_flow *f, const uint8_t *data, size_t len)
{
	size_t at = 1;

	if (!f->has_cover_id || len == 0)
		return false;
	if (data[0] & FORM_LONG) {
		at += sizeof(uint32_t) + 1;
		if (len < at || data[at - 1] != f->cover_id_len)
			return false;
	}
	return len >= at + f->cover_id_len && memcmp(data + at, f->cover_id, f->cover_id_len) == 0;
}

static void confirm(struct hs_relay_flow *f)
{
	f->confirmed = true;
	TAILQ_REMOVE(&f->relay->half_open[f->busy_site], f, half_open);
}

/* ---- to the cover ---- */

/* A socket reports an error of an earlier datagram instead of sending: then once more. */
static int send_batch(struct hs_relay_flow *f, struct mmsghdr *msgs, unsigned int n)
{
	int sent = sendmmsg(f->cover.fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent >= 0)
		return sent;
	failed(f, errno);
	if (errno != ECONNREFUSED && errno != EHOSTUNREACH)
		return -errno;
	sent = sendmmsg(f->cover.fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

/* What is larger than a packet came in fragments, and goes on so. */
static int send_fragments(struct hs_relay_flow *f, struct mmsghdr *msg)
{
	int sent;

	hs_udp_allow_fragments(f->cover.fd, f->cover_family, true);
	sent = send_batch(f, msg, 1);
	hs_udp_allow_fragments(f->cover.fd, f->cover_family, false);
	return sent;
}

void hs_relay_flush(struct hsd *h)
{
	struct hs_relay_batch *b = &h->relay_batch;
	union hs_ecn_control control[HS_UDP_BATCH];
	struct mmsghdr msgs[HS_UDP_BATCH];
	struct iovec iov[HS_UDP_BATCH];
	struct hs_relay_flow *f = b->flow;
	unsigned int i, at = 0, n = b->n;
	int sent;

	b->flow = NULL;
	b->n = 0;
	if (!f)
		return;
	memset(msgs, 0, sizeof(msgs[0]) * n);
	for (i = 0; i < n; i++) {
		iov[i].iov_base = (void *)b->dgrams[i].data;
		iov[i].iov_len = b->dgrams[i].len;
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		hs_udp_mark(&msgs[i].msg_hdr, &control[i], f->cover_family, b->dgrams[i].ecn);
	}
	while (at < n) {
		sent = send_batch(f, msgs + at, n - at);
		if (sent == -EMSGSIZE)
			sent = send_fragments(f, msgs + at);
		if (sent == -EMSGSIZE || sent == 0) {
			at++;
			continue;
		}
		/* At a full queue all the rest is lost. */
		if (sent < 0)
			return;
		for (i = at; i < at + (unsigned int)sent; i++)
			f->relay->stats.to_bytes += iov[i].iov_len;
		f->relay->stats.to_packets += (unsigned int)sent;
		at += (unsigned int)sent;
	}
}

static void add_to_batch(struct hs_relay_flow *f, const struct hs_dgram *d)
{
	struct hs_relay_batch *b = &f->relay->hsd->relay_batch;

	if (b->flow != f || b->n == HS_UDP_BATCH)
		hs_relay_flush(f->relay->hsd);
	b->flow = f;
	b->dgrams[b->n].data = d->data;
	b->dgrams[b->n].ecn = d->ecn;
	b->dgrams[b->n++].len = d->len;
}

void hs_relay_pass(struct hs_relay *r, const struct hs_dgram *d)
{
	uint64_t now_ns = hs_now_ns();
	struct hs_relay_flow *f;

	if (r->state == HS_COVER_NONE)
		return;
	f = find(r, d);
	if (!f) {
		f = new_flow(r, d, now_ns);
		want_sockets(r, now_ns);
	}
	if (!f) {
		r->stats.flows_refused++;
		return;
	}
	touch(f, now_ns);
	if (!hs_relay_take_tokens(f, d->len, now_ns)) {
		r->stats.rate_drops++;
		return;
	}
	if (!f->looked_at && d->len >= MIN_INITIAL_DGRAM && d->data[0] & FORM_LONG) {
		f->looked_at = true;
		f->asked = is_question(d);
	}
	if (!f->confirmed && uses_cover_id(f, d->data, d->len))
		confirm(f);
	add_to_batch(f, d);
}

void hs_relay_note_begun(struct hs_relay *r, const struct hs_dgram *d, const uint8_t *dcid)
{
	struct hs_relay_flow *f = find(r, d);

	if (!f)
		return;
	f->has_begun = true;
	memcpy(f->begun_dcid, dcid, sizeof(f->begun_dcid));
}

bool hs_relay_has_begun(struct hs_relay *r, const struct hs_dgram *d, const uint8_t *dcid)
{
	const struct hs_relay_flow *f = find(r, d);

	return f && f->has_begun && memcmp(f->begun_dcid, dcid, sizeof(f->begun_dcid)) == 0;
}

/* ---- from the cover ---- */

/* Length of a segment and mark; a buffer has one of each (the kernel merges nothing else). */
union cover_control {
	char buf[2 * CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void datagram_to_client(struct hs_relay_flow *f, const uint8_t *data, size_t len,
			       uint8_t ecn)
{
	int fd = f->sock->src.fd, family = f->remote.sa.sa_family;

	if (hs_udp_send_segments(fd, &f->local, &f->remote, data, len, 0, ecn) != -EMSGSIZE)
		return;
	hs_udp_allow_fragments(fd, family, true);
	hs_udp_send_segments(fd, &f->local, &f->remote, data, len, 0, ecn);
	hs_udp_allow_fragments(fd, family, false);
}

/* One buffer to the client: as one super-datagram, or one by one where that cannot be. */
static void to_client(struct hs_relay_flow *f, const uint8_t *data, size_t len, size_t segment,
		      uint8_t ecn)
{
	int fd = f->sock->src.fd;
	size_t at, part;

	if (segment < len &&
	    hs_udp_send_segments(fd, &f->local, &f->remote, data, len, segment, ecn) == 0)
		return;
	for (at = 0; at < len || len == 0; at += part) {
		part = len - at < segment ? len - at : segment;
		datagram_to_client(f, data + at, part, ecn);
		if (len == 0)
			return;
	}
}

static void cover_said(struct hs_relay_flow *f, const uint8_t *data, struct mmsghdr *msg,
		       uint64_t now_ns)
{
	size_t len = msg->msg_len, segment = hs_udp_segment_of(&msg->msg_hdr), packets;
	struct hs_relay *r = f->relay;

	if (!segment || segment > len)
		segment = len;
	packets = segment ? (len + segment - 1) / segment : 1;
	heard(f);
	if (!f->has_cover_id)
		learn_cover_id(f, data, len < segment ? len : segment);
	if (!hs_relay_take_tokens(f, len, now_ns)) {
		r->stats.rate_drops += packets;
		return;
	}
	r->stats.from_packets += packets;
	r->stats.from_bytes += len;
	to_client(f, data, len, segment, hs_udp_ecn_of(&msg->msg_hdr));
}

static void on_cover(struct hs_source *s, uint32_t events)
{
	static uint8_t data[COVER_BATCH][COVER_BUF_BYTES];
	union cover_control control[COVER_BATCH];
	struct mmsghdr msgs[COVER_BATCH];
	struct iovec iov[COVER_BATCH];
	struct hs_relay_flow *f = s->owner;
	uint64_t now_ns = hs_now_ns();
	int i, n;

	memset(msgs, 0, sizeof(msgs));
	for (i = 0; i < COVER_BATCH; i++) {
		iov[i].iov_base = data[i];
		iov[i].iov_len = COVER_BUF_BYTES;
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_control = &control[i];
		msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(s->fd, msgs, COVER_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0) {
		failed(f, errno);
		return;
	}
	touch(f, now_ns);
	for (i = 0; i < n; i++)
		cover_said(f, data[i], &msgs[i], now_ns);
}

/* ---- the object ---- */

struct hs_relay *hs_relay_new(struct hs_tunnel *t)
{
	struct hs_relay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	if (hs_lately_init(&r->lately) < 0) {
		free(r);
		return NULL;
	}
	r->hsd = t->hsd;
	r->tunnel = t;
	TAILQ_INIT(&r->lru);
	TAILQ_INIT(&r->half_open[false]);
	TAILQ_INIT(&r->half_open[true]);
	r->limits = (struct hs_relay_limits){ HS_RELAY_MAX_FLOWS, HS_RELAY_MAX_FLOWS_PER_SITE,
					      HS_RELAY_IDLE_TIMEOUT_MS, HS_RELAY_MAX_RATE_MBIT };
	return r;
}

void hs_relay_free(struct hs_relay *r)
{
	if (!r)
		return;
	while (!TAILQ_EMPTY(&r->lru)) {
		TAILQ_FIRST(&r->lru)->asked = false; /* not the cover's fault */
		end_flow(TAILQ_FIRST(&r->lru));
	}
	close_pool(r);
	free(r);
}

void hs_relay_set_limits(struct hs_relay *r, const struct hs_relay_limits *l)
{
	r->limits = *l;
}

void hs_relay_drop_sock(struct hs_relay *r, const struct hs_sock *sock)
{
	struct hs_relay_flow *f, *next;

	for (f = TAILQ_FIRST(&r->lru); f; f = next) {
		next = TAILQ_NEXT(f, lru);
		if (f->sock != sock)
			continue;
		f->asked = false;
		end_flow(f);
	}
}

static uint64_t run_timers(struct hs_relay *r, uint64_t now_ns)
{
	const uint64_t idle_ns = r->limits.idle_timeout_ms * HS_NS_PER_MS;
	struct hs_relay_flow *f;

	while ((f = TAILQ_FIRST(&r->lru))) {
		if (f->used_ns + idle_ns > now_ns)
			return f->used_ns + idle_ns;
		end_flow(f);
	}
	return UINT64_MAX;
}

uint64_t hs_relays_run_timers(struct hsd *h)
{
	uint64_t now_ns = hs_now_ns(), next = UINT64_MAX, t_next;
	struct hs_tunnel *t;

	TAILQ_FOREACH (t, &h->tunnels, entry) {
		if (!t->relay)
			continue;
		t_next = run_timers(t->relay, now_ns);
		if (t_next < next)
			next = t_next;
	}
	return next;
}
