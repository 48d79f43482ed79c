// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client of a data plane. Messages that carry keys are built in a buffer that nx_request_send()
 * wipes; the attributes of nexus-hsd are copied byte for byte and never looked into.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "lib/hs_proto.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "dp-client.h"
#include "prefix.h"

#define STAND_IN_CID_LEN 20

static int transport_send(void *ctx, const void *buf, size_t len, const int *fds,
			  unsigned int n_fds)
{
	struct nx_dp *d = ctx;

	return d->transport ? d->transport->send(d, buf, len, fds, n_fds) : -EPIPE;
}

void nx_dp_init(struct nx_dp *d, sd_event *event, const char *name, bool kernel,
		const struct nx_dp_ops *ops, void *userdata)
{
	memset(d, 0, sizeof(*d));
	d->event = event;
	d->name = name;
	d->kernel = kernel;
	d->ops = ops;
	d->userdata = userdata;
	nx_requests_init(&d->requests, NXM_FAMILY_DCO);
	d->requests.transport = (struct nx_transport){ transport_send, d };
}

/* Does it tell how things are, not only that something happened? */
static bool tells_state(uint8_t type)
{
	return type == NQD_EVENT_SESSION_DOWN || type == NQD_EVENT_PATH_MTU_CHANGED ||
	       type == NQD_EVENT_PATH_CHANGED;
}

/* @again: the answer to a question, which may tell what is known. */
static void handle_event(struct nx_dp *d, const struct nx_chan_msg *msg, bool again)
{
	struct nxa tb[NQD_A_MAX + 1], ev[NQD_A_EVENT_MAX + 1];
	struct nxa ses[NQD_A_SESSION_MAX + 1] = {};
	struct nxm_error e = {};
	int r;

	r = nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e);
	if (!r)
		r = nxa_require(tb, &nqd_top_set, NQD_A_EVENT, &e);
	if (!r)
		r = nxa_parse_nest(&tb[NQD_A_EVENT], &nqd_event_set, ev, msg->buf, &e);
	if (!r)
		r = nxa_require(ev, &nqd_event_set, NQD_A_EVENT_TYPE, &e);
	if (!r && tb[NQD_A_SESSION].present)
		r = nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, msg->buf, &e);
	if (r)
		nx_err("event of %s refused: %s", d->name, e.text);
	else if (!again || tells_state(nxa_u8(&ev[NQD_A_EVENT_TYPE])))
		d->ops->event(d->userdata, d, ev, ses);
}

void nx_dp_receive(struct nx_dp *d, const struct nx_chan_msg *msg)
{
	if (nx_requests_handle(&d->requests, msg))
		return;
	if (msg->hdr.type == NXM_FAMILY_DCO && msg->hdr.cmd == NQD_CMD_EVENT)
		handle_event(d, msg, false);
	else if (msg->hdr.type == NLMSG_OVERRUN)
		nx_dp_events_lost(d);
}

void nx_dp_up(struct nx_dp *d, const struct nx_dp_transport *t, void *carrier)
{
	d->transport = t;
	d->carrier = carrier;
	d->ops->up(d->userdata, d);
}

void nx_dp_close(struct nx_dp *d)
{
	const struct nx_dp_transport *t = d->transport;

	d->transport = NULL;
	if (t)
		t->close(d);
	nx_requests_fail_all(&d->requests, -EPIPE, "the data plane went away");
}

void nx_dp_lost(struct nx_dp *d)
{
	nx_dp_close(d);
	d->ops->down(d->userdata, d);
}

bool nx_dp_connected(const struct nx_dp *d)
{
	return d->transport != NULL;
}

int nx_dp_get_caps(struct nx_dp *d, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[64];
	struct nxm m;

	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_GET_CAPS, 0);
	return nx_request_send(&d->requests, &m, NULL, 0, fn, userdata);
}

/* What an attribute says of descriptor @i of the message. */
static void put_fd(const struct nx_dp *d, struct nxm *m, uint16_t attr, const int *fds,
		   unsigned int i)
{
	nxm_put_u32(m, attr, d->kernel ? (uint32_t)fds[i] : i);
}

int nx_dp_create_device(struct nx_dp *d, const char *ifname, int ifindex, int tun_fd,
			const int *socks, unsigned int n_socks, nx_reply_fn fn, void *userdata)
{
	unsigned int n = 0, first = d->kernel ? 0 : 1;
	int fds[NQD_FDS_MAX];
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	if (n_socks + first > NQD_FDS_MAX)
		return -EMSGSIZE;
	if (first)
		fds[n++] = tun_fd;
	while (n < n_socks + first) {
		fds[n] = socks[n - first];
		n++;
	}
	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	if (ifindex)
		nxm_put_u32(&m, NQD_A_DEVICE_IFINDEX, (uint32_t)ifindex);
	if (ifname && (!ifindex || !d->kernel))
		nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
	if (first)
		put_fd(d, &m, NQD_A_DEVICE_TUN_FD, fds, 0);
	for (unsigned int i = first; i < n; i++)
		put_fd(d, &m, NQD_A_DEVICE_SOCKET_FD, fds, i);
	nxm_nest_end(&m, nest);
	return nx_request_send(&d->requests, &m, fds, n, fn, userdata);
}

static void put_device(struct nxm *m, int ifindex)
{
	size_t nest = nxm_nest_begin(m, NQD_A_DEVICE);

	nxm_put_u32(m, NQD_A_DEVICE_IFINDEX, (uint32_t)ifindex);
	nxm_nest_end(m, nest);
}

int nx_dp_delete_device(struct nx_dp *d, int ifindex, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[64];
	struct nxm m;

	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_DELETE_DEVICE, NLM_F_ACK);
	put_device(&m, ifindex);
	return nx_request_send(&d->requests, &m, NULL, 0, fn, userdata);
}

/* ---- sessions ---- */

/* Attributes that are the owner's to say, whatever nexus-hsd sent. */
static bool is_owners(uint16_t type)
{
	switch (type) {
	case NQD_A_SESSION_ID:
	case NQD_A_SESSION_TUNNEL:
	case NQD_A_SESSION_FLAGS:
	case NQD_A_SESSION_SOCKET_FD:
	case NQD_A_SESSION_PATH_MTU_BYTES:
	case NQD_A_SESSION_PEER_GROUP:
	case NQD_A_SESSION_CONGESTION:
	case NQD_A_SESSION_GENERATION:
	case NQD_A_SESSION_STATE:
		return true;
	default:
		return false;
	}
}

/* Copy the attributes of an accepted nest, except the owner's; returns the flags that stood there. */
static uint32_t copy_session(struct nxm *m, const struct nxa *nest)
{
	size_t pos = 0;
	uint32_t flags = 0;

	while (pos + NLA_HDRLEN <= nest->len) {
		struct nlattr a;
		uint16_t type;

		memcpy(&a, nest->data + pos, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > nest->len - pos)
			break;
		type = a.nla_type & NLA_TYPE_MASK;
		if (type == NQD_A_SESSION_FLAGS && a.nla_len == NLA_HDRLEN + sizeof(flags))
			memcpy(&flags, nest->data + pos + NLA_HDRLEN, sizeof(flags));
		if (!is_owners(type))
			nxm_put(m, a.nla_type, nest->data + pos + NLA_HDRLEN,
				a.nla_len - (size_t)NLA_HDRLEN);
		pos += NLA_ALIGN(a.nla_len);
	}
	return flags;
}

static void put_route(struct nxm *m, const struct nx_prefix *p)
{
	struct nx_prefix net = nx_prefix_network(p);
	size_t nest = nxm_nest_begin(m, NQD_A_ROUTE);

	nxm_put(m, NQD_A_ROUTE_ADDR, net.addr, nx_family_bytes(net.family));
	nxm_put_u8(m, NQD_A_ROUTE_PREFIX_LEN, net.len);
	nxm_nest_end(m, nest);
}

/* A request about session @id, whose nest stays open: the caller ends the one returned. */
static size_t begin_session(struct nx_dp *d, struct nxm *m, uint8_t *buf, size_t cap, uint8_t cmd,
			    uint64_t id)
{
	size_t nest;

	nx_request_begin(&d->requests, m, buf, cap, cmd, NLM_F_ACK);
	nest = nxm_nest_begin(m, NQD_A_SESSION);
	nxm_put_u64(m, NQD_A_SESSION_ID, id);
	return nest;
}

/* The data plane takes no session of the test controller unless a rate was set before. */
static int set_fixed_rate(struct nx_dp *d, uint64_t bytes_per_s)
{
	uint8_t buf[64];
	struct nxm m;
	size_t nest;

	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_SET_DEBUG, NLM_F_ACK);
	nest = nxm_nest_begin(&m, NQD_A_DEBUG);
	nxm_put_u64(&m, NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S, bytes_per_s);
	nxm_nest_end(&m, nest);
	return nx_request_send(&d->requests, &m, NULL, 0, NULL, NULL);
}

int nx_dp_add_session(struct nx_dp *d, const struct nx_dp_session *s, const struct nxa *hs,
		      nx_reply_fn fn, void *userdata)
{
	uint8_t buf[NX_IPC_MAX_LEN];
	uint32_t flags;
	struct nxm m;
	size_t nest;
	int r;

	r = s->fixed_rate_bytes_per_s ? set_fixed_rate(d, s->fixed_rate_bytes_per_s) : 0;
	if (r)
		return r;
	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_ADD_SESSION, NLM_F_ACK);
	put_device(&m, s->ifindex);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, s->id);
	nxm_put_str(&m, NQD_A_SESSION_TUNNEL, s->tunnel);
	flags = copy_session(&m, &hs[HS_A_SESSION]);
	nxm_put_u32(&m, NQD_A_SESSION_FLAGS, flags | s->flags);
	put_fd(d, &m, NQD_A_SESSION_SOCKET_FD, &s->socket_fd, 0);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, s->path_mtu_bytes);
	if (s->peer_group)
		nxm_put_u32(&m, NQD_A_SESSION_PEER_GROUP, s->peer_group);
	nxm_put_str(&m, NQD_A_SESSION_CONGESTION, s->congestion);
	nxm_nest_end(&m, nest);
	nxm_put_nest(&m, NQD_A_KEYS, &hs[HS_A_KEYS]);
	for (size_t i = 0; i < s->n_routes; i++)
		put_route(&m, &s->routes[i]);
	return nx_request_send(&d->requests, &m, &s->socket_fd, 1, fn, userdata);
}

/* One connection ID. */
static void put_cid(struct nxm *m, uint16_t attr, const uint8_t id[STAND_IN_CID_LEN])
{
	size_t nest = nxm_nest_begin(m, attr), cid = nxm_nest_begin(m, NQD_A_CIDS_CID);

	nxm_put_u64(m, NQD_A_CID_SEQ, 0);
	nxm_put(m, NQD_A_CID_ID, id, STAND_IN_CID_LEN);
	nxm_nest_end(m, cid);
	nxm_nest_end(m, nest);
}

int nx_dp_add_stand_in(struct nx_dp *d, const struct nx_dp_session *s, uint64_t user,
		       const struct nx_endpoint *remote, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[NX_IPC_MAX_LEN], ids[2][STAND_IN_CID_LEN];
	struct nxm m;
	size_t nest;

	/* So that nobody knows them. */
	if (getrandom(ids, sizeof(ids), 0) != sizeof(ids))
		return -EAGAIN;
	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_ADD_SESSION, NLM_F_ACK);
	put_device(&m, s->ifindex);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, s->id);
	nxm_put_str(&m, NQD_A_SESSION_TUNNEL, s->tunnel);
	nxm_put_u64(&m, NQD_A_SESSION_USER, user);
	nxm_put_u8(&m, NQD_A_SESSION_ROLE, NQD_ROLE_SERVER);
	nxm_put_u32(&m, NQD_A_SESSION_FLAGS, NQD_SESSION_F_REPLACE);
	put_fd(d, &m, NQD_A_SESSION_SOCKET_FD, &s->socket_fd, 0);
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, remote, nx_endpoint_len(remote));
	put_cid(&m, NQD_A_SESSION_LOCAL_CIDS, ids[0]);
	put_cid(&m, NQD_A_SESSION_REMOTE_CIDS, ids[1]);
	nxm_put_u16(&m, NQD_A_SESSION_CIPHER, NQD_CIPHER_AES_128_GCM);
	nxm_put_u64(&m, NQD_A_SESSION_NEXT_PN, 0);
	nxm_put_u32(&m, NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES, UINT16_MAX);
	if (s->peer_group)
		nxm_put_u32(&m, NQD_A_SESSION_PEER_GROUP, s->peer_group);
	nxm_nest_end(&m, nest);
	for (size_t i = 0; i < s->n_routes; i++)
		put_route(&m, &s->routes[i]);
	return nx_request_send(&d->requests, &m, &s->socket_fd, 1, fn, userdata);
}

/* One number of a session changes. */
static int update_session(struct nx_dp *d, uint64_t id, uint16_t attr, uint32_t value)
{
	uint8_t buf[128];
	struct nxm m;
	size_t nest;

	nest = begin_session(d, &m, buf, sizeof(buf), NQD_CMD_UPDATE_SESSION, id);
	nxm_put_u32(&m, attr, value);
	nxm_nest_end(&m, nest);
	return nx_request_send(&d->requests, &m, NULL, 0, NULL, NULL);
}

int nx_dp_set_peer_group(struct nx_dp *d, uint64_t id, uint32_t group)
{
	return update_session(d, id, NQD_A_SESSION_PEER_GROUP, group);
}

int nx_dp_set_path_mtu(struct nx_dp *d, uint64_t id, uint32_t bytes)
{
	return update_session(d, id, NQD_A_SESSION_PATH_MTU_BYTES, bytes);
}

int nx_dp_migrate(struct nx_dp *d, uint64_t id, int fd, const struct nx_endpoint *local,
		  const struct nx_endpoint *remote, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	nest = begin_session(d, &m, buf, sizeof(buf), NQD_CMD_UPDATE_SESSION, id);
	put_fd(d, &m, NQD_A_SESSION_SOCKET_FD, &fd, 0);
	nxm_put(&m, NQD_A_SESSION_LOCAL_ADDR, local, nx_endpoint_len(local));
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, remote, nx_endpoint_len(remote));
	nxm_nest_end(&m, nest);
	return nx_request_send(&d->requests, &m, &fd, 1, fn, userdata);
}

static void put_close(struct nxm *m, uint64_t code, const char *reason)
{
	if (!reason)
		return;
	nxm_put_u64(m, NQD_A_SESSION_CLOSE_CODE, code);
	nxm_put_str(m, NQD_A_SESSION_CLOSE_REASON, reason);
}

int nx_dp_delete_session(struct nx_dp *d, uint64_t id, uint64_t code, const char *reason,
			 nx_reply_fn fn, void *userdata)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	nest = begin_session(d, &m, buf, sizeof(buf), NQD_CMD_DELETE_SESSION, id);
	put_close(&m, code, reason);
	nxm_nest_end(&m, nest);
	return nx_request_send(&d->requests, &m, NULL, 0, fn, userdata);
}

int nx_dp_delete_user(struct nx_dp *d, int ifindex, uint64_t user, uint64_t code,
		      const char *reason)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_DELETE_SESSION, NLM_F_ACK);
	put_device(&m, ifindex);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_USER, user);
	put_close(&m, code, reason);
	nxm_nest_end(&m, nest);
	return nx_request_send(&d->requests, &m, NULL, 0, NULL, NULL);
}

int nx_dp_get_stats(struct nx_dp *d, uint64_t id, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[128];
	struct nxm m;
	size_t nest;

	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_GET_STATS,
			 id ? 0 : NLM_F_DUMP);
	if (id) {
		nest = nxm_nest_begin(&m, NQD_A_SESSION);
		nxm_put_u64(&m, NQD_A_SESSION_ID, id);
		nxm_nest_end(&m, nest);
	}
	return nx_request_send(&d->requests, &m, NULL, 0, fn, userdata);
}

/* ---- lost events ---- */

static void on_events(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_dp *d = userdata;

	if (msg) {
		handle_event(d, msg, true);
		return;
	}
	if (!err) {
		d->ops->again(d->userdata, d);
		return;
	}
	d->asking = d->lost_again = false;
	/* Its end was among what was lost. */
	if (err == -ENOENT && d->transport && d->transport->unknown)
		d->transport->unknown(d);
	else if (err != -EPIPE)
		nx_err("lost events of %s cannot be asked for again: %s", d->name, text);
}

static void get_events(struct nx_dp *d)
{
	uint8_t buf[64];
	struct nxm m;
	int r;

	/* Nobody unloads what is not loaded: asking does not bring it back. */
	if (!nx_dp_connected(d))
		return;
	nx_request_begin(&d->requests, &m, buf, sizeof(buf), NQD_CMD_GET_EVENTS, NLM_F_DUMP);
	r = nx_request_send(&d->requests, &m, NULL, 0, on_events, d);
	d->asking = !r;
	if (r)
		nx_err("lost events of %s cannot be asked for again: %s", d->name, strerror(-r));
}

void nx_dp_events_lost(struct nx_dp *d)
{
	nx_log_full(LOG_WARNING, "EventsLost", NULL,
		    "events of %s were lost: asking for the last ones again", d->name);
	/* One after the other: the answers themselves may be what leaves no room for events. */
	if (d->asking)
		d->lost_again = true;
	else
		get_events(d);
}

void nx_dp_looked_again(struct nx_dp *d)
{
	bool again = d->lost_again;

	d->asking = d->lost_again = false;
	if (again)
		get_events(d);
}

void nx_dp_forget(struct nx_dp *d, const void *userdata)
{
	nx_requests_forget(&d->requests, userdata);
}
