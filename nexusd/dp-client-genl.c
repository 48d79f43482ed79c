// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Generic netlink to the kernel module: see dp-client-genl.h. Messages are those of the socketpair
 * but for nlmsg_type, which holds the number that the kernel has given the family.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "lib/ipc.h"
#include "lib/log.h"
#include "dp-client-genl.h"
#include "thread.h"

/* The group of the controller's messages about families coming and going: always this one. */
#define CTRL_NOTIFY_GROUP GENL_ID_CTRL
/* No request of nx_requests has it. */
#define CTRL_SEQ UINT32_MAX
#define RECEIVE_BYTES (4 << 20)
#define DUMPS_MAX 64
/* Messages taken per wake-up, so that a flood of events does not starve the loop. */
#define BATCH 64
/* Loading the module takes a fraction of that; whoever waits for the answer then goes on without. */
#define FIND_MAX_US 30000000
/* Answers before events: what happened to a session may be told before its installation is. */
#define ANSWERS_FIRST (-10)

struct dump {
	STAILQ_ENTRY(dump) entry;
	uint32_t seq;
	size_t len;
	uint8_t data[];
};

struct nx_genl {
	struct nx_dp *dp;
	struct nx_genl_io io;
	const struct nx_genl_ops *ops;
	void *userdata;
	int fd, ev_fd;
	sd_event_source *source, *ev_source, *find_timer;
	uint16_t family; /* 0: not there */
	uint32_t group, version;
	uint32_t dump_seq; /* under way; 0 = none */
	unsigned int n_dumps;
	STAILQ_HEAD(, dump) dumps; /* waiting */
	uint8_t rx[NX_IPC_MAX_LEN];
};

/* ---- sockets ---- */

static int kernel_open(void *ctx, bool events)
{
	static const int on = 1, receive_bytes = RECEIVE_BYTES;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int r = 0;

	if (fd < 0)
		return -errno;
	/* Why a request was refused; and never the request itself, which may carry keys. */
	if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		r = -errno;
	/* Without the capability the system's limit holds. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof(receive_bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

static int kernel_join(void *ctx, int fd, uint32_t group)
{
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

static ssize_t kernel_receive(void *ctx, int fd, struct msghdr *msg)
{
	return recvmsg(fd, msg, MSG_DONTWAIT);
}

/* One message of two parts to the kernel. 0 or -errno. */
static int send_parts(int fd, const void *head, size_t head_len, const void *rest, size_t rest_len)
{
	struct iovec iov[2] = { { (void *)head, head_len }, { (void *)rest, rest_len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	/* Without an address it goes to port 0, which is the kernel. */
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- requests ---- */

static int send_now(struct nx_genl *g, const uint8_t *buf, size_t len)
{
	struct nlmsghdr nlh;

	memcpy(&nlh, buf, sizeof(nlh));
	nlh.nlmsg_type = g->family;
	return send_parts(g->fd, &nlh, sizeof(nlh), buf + sizeof(nlh), len - sizeof(nlh));
}

static int queue_dump(struct nx_genl *g, const void *buf, size_t len, uint32_t seq)
{
	struct dump *q;

	if (g->n_dumps == DUMPS_MAX)
		return -ENOBUFS;
	q = malloc(sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	q->seq = seq;
	q->len = len;
	memcpy(q->data, buf, len);
	STAILQ_INSERT_TAIL(&g->dumps, q, entry);
	g->n_dumps++;
	return 0;
}

static int genl_send(struct nx_dp *d, const void *buf, size_t len, const int *fds,
		     unsigned int n_fds)
{
	struct nx_genl *g = d->carrier;
	struct nlmsghdr nlh;
	bool dump;
	int r;

	memcpy(&nlh, buf, sizeof(nlh));
	dump = (nlh.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	if (dump && g->dump_seq)
		return queue_dump(g, buf, len, nlh.nlmsg_seq);
	r = send_now(g, buf, len);
	if (!r && dump)
		g->dump_seq = nlh.nlmsg_seq;
	return r;
}

/* The answer to a request that could not be sent. */
static void answer(struct nx_genl *g, uint32_t seq, int err)
{
	struct nxm_error e = { .err = err };
	struct nxm_hdr req = { .type = NXM_FAMILY_DCO, .seq = seq };
	uint8_t buf[256];
	struct nx_chan_msg msg = { .buf = buf };
	ssize_t len;

	strncpy(e.text, strerror(-err), sizeof(e.text) - 1);
	len = nxm_build_ack(buf, sizeof(buf), &req, &e);
	if (len < 0)
		return;
	msg.len = (size_t)len;
	if (nxm_parse_hdr(buf, msg.len, &msg.hdr, &e) == 0)
		nx_dp_receive(g->dp, &msg);
}

/* The dump under way has ended. */
static void next_dump(struct nx_genl *g)
{
	struct dump *q;
	int r;

	g->dump_seq = 0;
	while (!g->dump_seq && (q = STAILQ_FIRST(&g->dumps))) {
		STAILQ_REMOVE_HEAD(&g->dumps, entry);
		g->n_dumps--;
		r = send_now(g, q->data, q->len);
		if (!r)
			g->dump_seq = q->seq;
		else
			answer(g, q->seq, r);
		free(q);
	}
}

static void drop_dumps(struct nx_genl *g)
{
	struct dump *q;

	while ((q = STAILQ_FIRST(&g->dumps))) {
		STAILQ_REMOVE_HEAD(&g->dumps, entry);
		free(q);
	}
	g->n_dumps = 0;
	g->dump_seq = 0;
}

static void genl_close(struct nx_dp *d)
{
	drop_dumps(d->carrier);
}

/* ---- the family ---- */

/* It is not there any more. */
static void lost(struct nx_genl *g)
{
	if (!g->family)
		return;
	g->family = 0;
	if (nx_dp_connected(g->dp))
		nx_dp_lost(g->dp);
	g->ops->gone(g->userdata);
}

static void genl_unknown(struct nx_dp *d)
{
	lost(d->carrier);
}

static uint32_t events_group(struct nlattr *groups)
{
	static struct nla_policy policy[CTRL_ATTR_MCAST_GRP_MAX + 1] = {
		[CTRL_ATTR_MCAST_GRP_NAME] = { .type = NLA_STRING },
		[CTRL_ATTR_MCAST_GRP_ID] = { .type = NLA_U32 },
	};
	struct nlattr *tb[CTRL_ATTR_MCAST_GRP_MAX + 1], *nest;
	int left;

	nla_for_each_nested(nest, groups, left)
	{
		if (nla_parse_nested(tb, CTRL_ATTR_MCAST_GRP_MAX, nest, policy) < 0 ||
		    !tb[CTRL_ATTR_MCAST_GRP_NAME] || !tb[CTRL_ATTR_MCAST_GRP_ID])
			continue;
		if (!nla_strcmp(tb[CTRL_ATTR_MCAST_GRP_NAME], NQD_MCGRP_EVENTS))
			return nla_get_u32(tb[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return 0;
}

/* A message of the controller: about a family that is there, or was. */
static void handle_ctrl(struct nx_genl *g, const struct nxm_hdr *hdr)
{
	static struct nla_policy policy[CTRL_ATTR_MCAST_GROUPS + 1] = {
		[CTRL_ATTR_FAMILY_ID] = { .type = NLA_U16 },
		[CTRL_ATTR_FAMILY_NAME] = { .type = NLA_STRING },
		[CTRL_ATTR_VERSION] = { .type = NLA_U32 },
		[CTRL_ATTR_MCAST_GROUPS] = { .type = NLA_NESTED },
	};
	struct nlattr *tb[CTRL_ATTR_MCAST_GROUPS + 1];
	uint16_t family;

	if (nla_parse(tb, CTRL_ATTR_MCAST_GROUPS, (struct nlattr *)(void *)hdr->attrs,
		      (int)hdr->attrs_len, policy) < 0 ||
	    !tb[CTRL_ATTR_FAMILY_NAME] || !tb[CTRL_ATTR_FAMILY_ID] ||
	    nla_strcmp(tb[CTRL_ATTR_FAMILY_NAME], NQD_GENL_NAME))
		return;
	family = nla_get_u16(tb[CTRL_ATTR_FAMILY_ID]);
	if (hdr->cmd == CTRL_CMD_DELFAMILY) {
		if (family == g->family)
			lost(g);
		return;
	}
	g->find_timer = sd_event_source_disable_unref(g->find_timer);
	if (hdr->cmd != CTRL_CMD_NEWFAMILY || !family || family == g->family)
		return;
	lost(g);
	g->family = family;
	g->version = tb[CTRL_ATTR_VERSION] ? nla_get_u32(tb[CTRL_ATTR_VERSION]) : 0;
	g->group = tb[CTRL_ATTR_MCAST_GROUPS] ? events_group(tb[CTRL_ATTR_MCAST_GROUPS]) : 0;
	g->ops->found(g->userdata, g->version);
}

struct question {
	int fd; /* a copy: the answer comes on the socket */
	size_t len;
	uint8_t buf[64];
};

/* The kernel may load the module while we send, which takes its time. */
static void *ask_controller(void *arg)
{
	struct question *q = arg;
	int r = send_parts(q->fd, q->buf, q->len, NULL, 0);

	if (r)
		nx_err("the kernel cannot be asked for its module: %s", strerror(-r));
	close(q->fd);
	free(q);
	return NULL;
}

static int on_no_answer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_genl *g = userdata;

	g->find_timer = sd_event_source_disable_unref(g->find_timer);
	nx_warn("the kernel does not say whether its module is there");
	if (!g->family)
		g->ops->absent(g->userdata);
	return 0;
}

int nx_genl_find(struct nx_genl *g)
{
	struct nxm_hdr hdr = {
		.type = GENL_ID_CTRL,
		.flags = NLM_F_REQUEST,
		.seq = CTRL_SEQ,
		.cmd = CTRL_CMD_GETFAMILY,
		.version = 1,
	};
	struct question *q;
	struct nxm m;
	ssize_t len;
	int r;

	if (g->family)
		return -EALREADY;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	nxm_begin(&m, q->buf, sizeof(q->buf), &hdr);
	nxm_put_str(&m, CTRL_ATTR_FAMILY_NAME, NQD_GENL_NAME);
	len = nxm_end(&m);
	q->len = len < 0 ? 0 : (size_t)len;
	q->fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 3);
	r = len < 0 ? (int)len : q->fd < 0 ? -EMFILE : 0;
	g->find_timer = sd_event_source_disable_unref(g->find_timer);
	if (!r)
		r = sd_event_add_time_relative(g->dp->event, &g->find_timer, CLOCK_MONOTONIC,
					       FIND_MAX_US, 0, on_no_answer, g);
	if (r >= 0)
		r = nx_thread_start(ask_controller, q);
	if (!r)
		return 0;
	g->find_timer = sd_event_source_disable_unref(g->find_timer);
	if (q->fd >= 0)
		close(q->fd);
	free(q);
	return r;
}

const char *nx_genl_device_kind(const struct nx_genl *g)
{
	return g->io.kind;
}

int nx_genl_use(struct nx_genl *g)
{
	static const struct nx_dp_transport transport = { genl_send, genl_close, genl_unknown };
	int r;

	if (!g->family || !g->group)
		return -ENOENT;
	r = g->io.join(g->io.ctx, g->ev_fd, g->group);
	if (r)
		return r;
	nx_dp_up(g->dp, &transport, g);
	return 0;
}

/* ---- what the kernel says ---- */

/* @data is one whole message; its type is changed to what the rest of us knows it by. */
static void handle_message(struct nx_genl *g, uint8_t *data, size_t len)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)(void *)data;
	struct nx_chan_msg msg = { .buf = data, .len = len };
	bool ends_dump;
	struct nxm_error e;

	if (nxm_parse_hdr(data, len, &msg.hdr, &e) < 0)
		return;
	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		handle_ctrl(g, &msg.hdr);
		return;
	}
	if (msg.hdr.seq == CTRL_SEQ) {
		g->find_timer = sd_event_source_disable_unref(g->find_timer);
		if (nlh->nlmsg_type == NLMSG_ERROR && !g->family)
			g->ops->absent(g->userdata);
		return;
	}
	if (!nx_dp_connected(g->dp))
		return;
	if (nlh->nlmsg_type == g->family)
		msg.hdr.type = NXM_FAMILY_DCO;
	else if (nlh->nlmsg_type >= NLMSG_MIN_TYPE)
		return;
	ends_dump = g->dump_seq && msg.hdr.seq == g->dump_seq &&
		    (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR);
	nx_dp_receive(g->dp, &msg);
	if (ends_dump)
		next_dump(g);
}

/* 1: there may be more, 0: nothing now, or -errno. */
static int receive(struct nx_genl *g, int fd)
{
	struct sockaddr_nl from = {};
	struct iovec iov = { g->rx, sizeof(g->rx) };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	size_t left, at = 0;
	ssize_t n = g->io.receive(g->io.ctx, fd, &msg);

	if (n < 0)
		return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
	if (n == 0)
		return -EPIPE;
	/* Any process may write to us; only what has no port is the kernel. */
	if ((msg.msg_namelen == sizeof(from) && from.nl_pid) || msg.msg_flags & MSG_TRUNC)
		return 1;
	for (left = (size_t)n; left >= NLMSG_HDRLEN;) {
		size_t len = ((struct nlmsghdr *)(void *)(g->rx + at))->nlmsg_len, step;

		if (len < NLMSG_HDRLEN || len > left)
			break;
		handle_message(g, g->rx + at, len);
		step = NLMSG_ALIGN(len) < left ? NLMSG_ALIGN(len) : left;
		at += step;
		left -= step;
	}
	return 1;
}

static int on_answers(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct nx_genl *g = userdata;
	int r = 1;

	for (int i = 0; i < BATCH && r > 0; i++)
		r = receive(g, fd);
	if (r == -ENOBUFS) {
		nx_warn("answers of the kernel module were lost");
		drop_dumps(g);
		nx_requests_fail_all(&g->dp->requests, -ENOBUFS,
				     "the answer of the kernel was lost");
	} else if (r < 0) {
		g->source = sd_event_source_disable_unref(g->source);
		lost(g);
	}
	return 0;
}

static int on_events(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct nx_genl *g = userdata;
	bool overrun = false;
	int r = 1;

	for (int i = 0; i < BATCH && r; i++) {
		r = receive(g, fd);
		if (r == -ENOBUFS)
			overrun = true;
		else if (r < 0)
			break;
	}
	if (overrun)
		nx_dp_events_lost(g->dp);
	if (r < 0 && r != -ENOBUFS)
		g->ev_source = sd_event_source_disable_unref(g->ev_source);
	return 0;
}

/* ---- life ---- */

int nx_genl_new(struct nx_dp *d, const struct nx_genl_io *io, const struct nx_genl_ops *ops,
		void *userdata, struct nx_genl **out)
{
	static const struct nx_genl_io kernel = {
		.open = kernel_open,
		.join = kernel_join,
		.receive = kernel_receive,
		.kind = "nexusq",
	};
	struct nx_genl *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->dp = d;
	g->io = io ? *io : kernel;
	g->ops = ops;
	g->userdata = userdata;
	STAILQ_INIT(&g->dumps);
	g->ev_fd = -1;
	g->fd = r = g->io.open(g->io.ctx, false);
	if (r >= 0)
		g->ev_fd = r = g->io.open(g->io.ctx, true);
	if (r >= 0)
		r = g->io.join(g->io.ctx, g->ev_fd, CTRL_NOTIFY_GROUP);
	if (r >= 0)
		r = sd_event_add_io(d->event, &g->source, g->fd, EPOLLIN, on_answers, g);
	if (r >= 0)
		r = sd_event_source_set_priority(g->source, ANSWERS_FIRST);
	if (r >= 0)
		r = sd_event_add_io(d->event, &g->ev_source, g->ev_fd, EPOLLIN, on_events, g);
	if (r < 0) {
		nx_genl_free(g);
		return r;
	}
	*out = g;
	return 0;
}

void nx_genl_free(struct nx_genl *g)
{
	if (!g)
		return;
	drop_dumps(g);
	sd_event_source_disable_unref(g->source);
	sd_event_source_disable_unref(g->ev_source);
	sd_event_source_disable_unref(g->find_timer);
	if (g->fd >= 0)
		close(g->fd);
	if (g->ev_fd >= 0)
		close(g->ev_fd);
	free(g);
}
