// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests of the control process and the answers to them, see control.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "control.h"
#include "hsd.h"
#include "learn.h"
#include "lib/log.h"
#include "monitor.h"
#include "secrets.h"

/* Answers that a slow control process has not taken yet; beyond that it has to start over. */
#define OUTBOX_MAX 4096

struct hs_outbox_msg {
	TAILQ_ENTRY(hs_outbox_msg) entry;
	size_t len;
	uint8_t data[];
};

struct request {
	struct hsd *h;
	struct nxm_hdr hdr;
	const uint8_t *msg;
	struct nxa tb[HS_A_MAX + 1];
	int *fds;
	unsigned int n_fds;
	struct nxm_error e;
};

/* ---- out ---- */

static void clear_outbox(struct hsd *h)
{
	struct hs_outbox_msg *o;

	while ((o = TAILQ_FIRST(&h->outbox))) {
		TAILQ_REMOVE(&h->outbox, o, entry);
		free(o);
	}
	h->n_outbox = 0;
}

void hs_control_close(struct hsd *h)
{
	hs_source_close(&h->loop, &h->control);
	clear_outbox(h);
}

static void lost(struct hsd *h)
{
	nx_info("the control process is gone");
	hs_control_close(h);
}

static void flush_outbox(struct hsd *h)
{
	struct hs_outbox_msg *o;
	int err;

	while ((o = TAILQ_FIRST(&h->outbox))) {
		err = nx_ipc_send(h->control.fd, o->data, o->len, NULL, 0);
		if (err == -EAGAIN)
			return;
		if (err < 0) {
			lost(h);
			return;
		}
		TAILQ_REMOVE(&h->outbox, o, entry);
		h->n_outbox--;
		free(o);
	}
	hs_source_want_write(&h->loop, &h->control, false);
}

/* Behind what waits, and wait for the other side to read. */
static void queue(struct hsd *h, const void *msg, size_t len)
{
	struct hs_outbox_msg *o = NULL;

	if (h->n_outbox < OUTBOX_MAX)
		o = malloc(sizeof(*o) + len);
	if (!o) {
		lost(h);
		return;
	}
	o->len = len;
	memcpy(o->data, msg, len);
	if (TAILQ_EMPTY(&h->outbox))
		hs_source_want_write(&h->loop, &h->control, true);
	TAILQ_INSERT_TAIL(&h->outbox, o, entry);
	h->n_outbox++;
}

/* In order, now or as soon as the other side reads. Nothing secret. */
static void post(struct hsd *h, const void *msg, ssize_t len)
{
	int err = -EAGAIN;

	if (h->control.fd < 0 || len <= 0)
		return;
	if (TAILQ_EMPTY(&h->outbox))
		err = nx_ipc_send(h->control.fd, msg, (size_t)len, NULL, 0);
	if (err == -EAGAIN)
		queue(h, msg, (size_t)len);
	else if (err < 0)
		lost(h);
}

int hs_control_send_session(struct hsd *h, const void *msg, size_t len)
{
	int err;

	/* After what waits, so that the order holds. */
	if (h->control.fd < 0 || !TAILQ_EMPTY(&h->outbox))
		return -EAGAIN;
	err = nx_ipc_send(h->control.fd, msg, len, NULL, 0);
	if (err < 0 && err != -EMSGSIZE)
		return -EAGAIN;
	return err;
}

void hs_control_failed(struct hsd *h, const char *tunnel, uint64_t attempt, enum hs_reason reason,
		       const char *text)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_FAILED, .version = 1 };
	uint8_t buf[1024];
	struct nxm m;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u8(&m, HS_A_REASON, (uint8_t)reason);
	nxm_put_str(&m, HS_A_TEXT, text);
	post(h, buf, nxm_end(&m));
}

void hs_control_relay_wanted(struct hsd *h, const char *tunnel, uint32_t count)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_RELAY_WANTED, .version = 1 };
	uint8_t buf[128];
	struct nxm m;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	nxm_put_u32(&m, HS_A_COUNT, count);
	post(h, buf, nxm_end(&m));
}

void hs_control_cover_state(struct hsd *h, const char *tunnel, enum hs_cover_state state)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_COVER_STATE, .version = 1 };
	uint8_t buf[128];
	struct nxm m;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	nxm_put_u8(&m, HS_A_COVER_STATE, (uint8_t)state);
	post(h, buf, nxm_end(&m));
}

void hs_control_cover_profile(struct hsd *h, const struct hs_tunnel *t)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_COVER_PROFILE, .version = 1 };
	uint8_t buf[12288], blob[HS_PROFILE_BLOB_MAX];
	char text[HS_PROFILE_TEXT_LEN];
	unsigned int i;
	struct nxm m;
	ssize_t n;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, t->config->name);
	n = t->profile.learned_s ? hs_profile_encode(&t->profile, blob, sizeof(blob)) : 0;
	if (n > 0)
		nxm_put(&m, HS_A_COVER_PROFILE, blob, (size_t)n);
	for (i = 0; hs_profile_line(&t->profile, i, text); i++)
		nxm_put_str(&m, HS_A_TEXT, text);
	for (i = 0; hs_tunnel_difference(t, i, text); i++)
		nxm_put_str(&m, HS_A_DIFFERENCE, text);
	post(h, buf, nxm_end(&m));
}

/* ---- in ---- */

__attribute__((format(printf, 3, 4))) static int refuse(struct request *r, int err, const char *fmt,
							...)
{
	va_list ap;

	r->e.err = err;
	va_start(ap, fmt);
	vsnprintf(r->e.text, sizeof(r->e.text), fmt, ap);
	va_end(ap);
	return err;
}

static int need(struct request *r, uint16_t attr)
{
	return nxa_require(r->tb, &hs_set, attr, &r->e);
}

/* The tunnel the request names, or NULL with the error set. */
static struct hs_tunnel *named_tunnel(struct request *r)
{
	struct hs_tunnel *t;

	if (need(r, HS_A_TUNNEL) < 0)
		return NULL;
	t = hs_tunnel_find(r->h, nxa_str(&r->tb[HS_A_TUNNEL]));
	if (!t)
		refuse(r, -ENOENT, "HS_A_TUNNEL: no tunnel %s", nxa_str(&r->tb[HS_A_TUNNEL]));
	return t;
}

static int set_tunnel(struct request *r)
{
	struct hs_config *cfg;
	int err;

	/* The monitor sent the secrets before it told the control process: they are there. */
	hs_monitor_drain(r->h);
	err = hs_config_parse(r->hdr.attrs, r->hdr.attrs_len, &cfg, &r->e);
	if (err < 0)
		return err;
	err = hs_tunnel_set(r->h, cfg, r->fds, r->n_fds, &r->e);
	r->n_fds = 0;
	return err;
}

static int del_tunnel(struct request *r)
{
	struct hs_tunnel *t;

	if (need(r, HS_A_TUNNEL) < 0)
		return r->e.err;
	t = hs_tunnel_find(r->h, nxa_str(&r->tb[HS_A_TUNNEL]));
	if (t)
		hs_tunnel_delete(t);
	hs_secret_forget(nxa_str(&r->tb[HS_A_TUNNEL]));
	return 0;
}

static int connect_tunnel(struct request *r)
{
	struct hs_tunnel *t = named_tunnel(r);
	union hs_addr remote;
	uint32_t index;
	int err;

	if (!t)
		return r->e.err;
	if (need(r, HS_A_ATTEMPT) < 0 || need(r, HS_A_REMOTE_ADDR) < 0 || need(r, HS_A_SOCKET) < 0)
		return r->e.err;
	if (t->config->server)
		return refuse(r, -EINVAL, "HS_A_TUNNEL: %s is a server", t->config->name);
	index = nxa_u32(&r->tb[HS_A_SOCKET]);
	if (index >= t->n_socks)
		return refuse(r, -EINVAL, "HS_A_SOCKET: the tunnel has %u sockets", t->n_socks);
	if (hs_addr_set(&remote, r->tb[HS_A_REMOTE_ADDR].data, r->tb[HS_A_REMOTE_ADDR].len) < 0 ||
	    hs_addr_port(&remote) == 0)
		return refuse(r, -EINVAL, "HS_A_REMOTE_ADDR: no IPv4 or IPv6 address with a port");
	if (remote.sa.sa_family != t->socks[index]->name.sa.sa_family)
		return refuse(r, -EAFNOSUPPORT,
			      "HS_A_REMOTE_ADDR: not of the address family of the socket");
	if (hs_conns_find_attempt(r->h, t, nxa_u64(&r->tb[HS_A_ATTEMPT])))
		return refuse(r, -EEXIST, "HS_A_ATTEMPT: is running already");
	err = hs_client_connect(t->socks[index], nxa_u64(&r->tb[HS_A_ATTEMPT]), &remote);
	if (err < 0)
		return refuse(r, err, "cannot start a handshake: %s", strerror(-err));
	return 0;
}

static int cancel(struct request *r)
{
	struct hs_tunnel *t = named_tunnel(r);
	struct hs_conn *c;

	if (!t)
		return r->e.err;
	if (need(r, HS_A_ATTEMPT) < 0)
		return r->e.err;
	c = hs_conns_find_attempt(r->h, t, nxa_u64(&r->tb[HS_A_ATTEMPT]));
	if (c)
		hs_conn_fail(c, HS_REASON_CANCELLED, "cancelled");
	return 0;
}

static int installed(struct request *r)
{
	if (need(r, HS_A_ATTEMPT) < 0)
		return r->e.err;
	hs_tomb_installed(r->h, r->tb[HS_A_TUNNEL].present ? nxa_str(&r->tb[HS_A_TUNNEL]) : NULL,
			  nxa_u64(&r->tb[HS_A_ATTEMPT]));
	return 0;
}

static int relay_sockets(struct request *r)
{
	struct hs_tunnel *t = named_tunnel(r);
	bool moved;

	if (!t)
		return r->e.err;
	if (!t->relay)
		return refuse(r, -EINVAL, "HS_A_TUNNEL: %s is a client", t->config->name);
	moved = hs_relay_add_sockets(t->relay, r->fds, r->n_fds, r->tb[HS_A_REPLACE].present);
	r->n_fds = 0;
	/* Every start and every reload replaces them. */
	if (moved)
		hs_learner_moved(t->learner);
	else if (r->tb[HS_A_REPLACE].present)
		hs_learner_retry(t->learner);
	return 0;
}

static void put_relay_stats(struct nxm *m, const struct hs_relay *r)
{
	nxm_put_u64(m, HS_A_STATS_RELAY_FLOWS, r->n_flows);
	nxm_put_u64(m, HS_A_STATS_RELAY_FLOWS_REFUSED, r->stats.flows_refused);
	nxm_put_u64(m, HS_A_STATS_RELAY_TO_COVER_PACKETS, r->stats.to_packets);
	nxm_put_u64(m, HS_A_STATS_RELAY_TO_COVER_BYTES, r->stats.to_bytes);
	nxm_put_u64(m, HS_A_STATS_RELAY_FROM_COVER_PACKETS, r->stats.from_packets);
	nxm_put_u64(m, HS_A_STATS_RELAY_FROM_COVER_BYTES, r->stats.from_bytes);
	nxm_put_u64(m, HS_A_STATS_RELAY_RATE_DROPS, r->stats.rate_drops);
	nxm_put_u64(m, HS_A_STATS_COVER_STATE, r->state);
}

static uint64_t count_pending(const struct hsd *h, const struct hs_tunnel *t)
{
	struct hs_conn *c;
	uint64_t n = 0;

	TAILQ_FOREACH (c, &h->conns, entry)
		n += c->tunnel == t && !c->visit;
	return n;
}

static int get_stats(struct request *r)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_STATS, .version = 1 };
	struct hs_tunnel *t = named_tunnel(r);
	const struct hs_stats *s;
	uint8_t buf[1024];
	struct nxm m;
	size_t nest;

	if (!t)
		return r->e.err;
	s = &t->stats;
	hdr.seq = r->hdr.seq;
	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, t->config->name);
	nest = nxm_nest_begin(&m, HS_A_STATS);
	nxm_put_u64(&m, HS_A_STATS_INITIALS, s->initials);
	nxm_put_u64(&m, HS_A_STATS_AUTHENTICATED, s->authenticated);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_FORMAT, s->rejected[HS_REJECT_FORMAT]);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_KEY, s->rejected[HS_REJECT_KEY]);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_TIME, s->rejected[HS_REJECT_TIME]);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_SHORT_ID, s->rejected[HS_REJECT_SHORT_ID]);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_TAG, s->rejected[HS_REJECT_TAG]);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_REPLAY, s->rejected[HS_REJECT_REPLAY]);
	nxm_put_u64(&m, HS_A_STATS_HANDSHAKES_OK, s->handshakes_ok);
	nxm_put_u64(&m, HS_A_STATS_HANDSHAKES_FAILED, s->handshakes_failed);
	nxm_put_u64(&m, HS_A_STATS_PENDING, count_pending(r->h, t));
	if (t->relay)
		put_relay_stats(&m, t->relay);
	nxm_put_u64(&m, HS_A_STATS_REJECTED_BUDGET, s->rejected[HS_REJECT_BUDGET]);
	nxm_put_u64(&m, HS_A_STATS_AUTHENTICATED_OLD_KEY, s->authenticated_old_key);
	nxm_put_u64(&m, HS_A_STATS_OLD_KEY_UNTIL_S, t->gate ? hs_gate_old_key_until(t->gate) : 0);
	nxm_nest_end(&m, nest);
	post(r->h, buf, nxm_end(&m));
	return 0;
}

static int dispatch(struct request *r)
{
	static int (*const handlers[])(struct request *) = {
		[HS_CMD_SET_TUNNEL] = set_tunnel,	[HS_CMD_DEL_TUNNEL] = del_tunnel,
		[HS_CMD_CONNECT] = connect_tunnel,	[HS_CMD_CANCEL] = cancel,
		[HS_CMD_INSTALLED] = installed,		[HS_CMD_GET_STATS] = get_stats,
		[HS_CMD_RELAY_SOCKETS] = relay_sockets,
	};
	int err;

	if (r->hdr.type != NXM_FAMILY_HS)
		return refuse(r, -EPROTONOSUPPORT, "message of another family");
	if (r->hdr.cmd >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[r->hdr.cmd])
		return refuse(r, -EOPNOTSUPP, "unknown command %u", r->hdr.cmd);
	err = nxa_parse(r->hdr.attrs, r->hdr.attrs_len, &hs_set, r->tb, r->msg, &r->e);
	return err ? err : handlers[r->hdr.cmd](r);
}

static void handle(struct hsd *h, const uint8_t *msg, size_t len, int *fds, unsigned int n_fds)
{
	struct request r = { .h = h, .msg = msg, .fds = fds, .n_fds = n_fds };
	uint8_t buf[1024];
	int err;

	err = nxm_parse_hdr(msg, len, &r.hdr, &r.e);
	if (err == 0)
		err = dispatch(&r);
	r.e.err = err;
	if (err < 0)
		nx_warn("refused request %u of the control process: %s", r.hdr.cmd,
			r.e.text[0] ? r.e.text : strerror(-err));
	nx_close_fds(fds, r.n_fds);
	post(h, buf, nxm_build_ack(buf, sizeof(buf), &r.hdr, &r.e));
}

static void on_event(struct hs_source *s, uint32_t events)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	struct hsd *h = s->owner;
	int fds[NX_IPC_MAX_FDS];
	unsigned int n_fds = 0;
	ssize_t n;

	if (!TAILQ_EMPTY(&h->outbox))
		flush_outbox(h);
	if (s->fd < 0)
		return;
	n = nx_ipc_recv(s->fd, buf, sizeof(buf), fds, &n_fds);
	if (n == -EAGAIN)
		return;
	if (n == -EMSGSIZE) {
		nx_warn("a message of the control process is too large");
		return;
	}
	if (n <= 0)
		lost(h);
	else
		handle(h, buf, (size_t)n, fds, n_fds);
}

void hs_control_open(struct hsd *h, int fd)
{
	clear_outbox(h);
	if (hs_source_open(&h->loop, &h->control, fd, on_event, h) < 0)
		nx_err("cannot watch the socket of the control process");
}
