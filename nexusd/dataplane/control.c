// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control side: one request in, one answer out (and an ACK where asked for). A request is
 * parsed and judged completely before anything changes; descriptors it carries are closed here
 * unless the handler took them; its bytes are wiped, whatever they were.
 *
 * This file: dispatch, devices, debug level. Sessions: control-session.c. Keys: control-keys.c.
 * Answers to queries: control-dump.c.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "control-internal.h"

int dp_fail(struct nxm_error *e, int err, const char *fmt, ...)
{
	va_list ap;

	e->err = err;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return err;
}

int dp_take_fd(struct dp_request *r, const struct nxa *a, const char *name)
{
	u32 index = nxa_u32(a);
	int fd;

	if (index >= r->n_fds || r->fds[index] < 0)
		return dp_fail(&r->e, -EBADF, "%s: no descriptor %u in this message", name, index);
	fd = r->fds[index];
	r->fds[index] = -1;
	return fd;
}

int dp_reply(struct dp *dp, const void *buf, ssize_t len)
{
	if (len <= 0 || dp->control.fd < 0)
		return len < 0 ? len : -ENOTCONN;
	return nx_ipc_send(dp->control.fd, buf, len, NULL, 0);
}

/* ---- devices ---- */

/* The device of NQD_A_DEVICE by index or name; NULL with r->e filled (-ENODEV: not there). */
struct dp_device *dp_request_device(struct dp *dp, struct dp_request *r)
{
	struct nxa d[NQD_A_DEVICE_MAX + 1];
	struct dp_device *dev;

	if (nxa_require(r->top, &nqd_top_set, NQD_A_DEVICE, &r->e) ||
	    nxa_parse_nest(&r->top[NQD_A_DEVICE], &nqd_device_set, d, r->msg, &r->e))
		return NULL;
	if (!d[NQD_A_DEVICE_IFINDEX].present && !d[NQD_A_DEVICE_IFNAME].present) {
		dp_fail(&r->e, -EINVAL, "missing NQD_A_DEVICE_IFINDEX or NQD_A_DEVICE_IFNAME");
		return NULL;
	}
	dev = dp_device_find(
		dp, d[NQD_A_DEVICE_IFINDEX].present ? nxa_u32(&d[NQD_A_DEVICE_IFINDEX]) : 0,
		d[NQD_A_DEVICE_IFNAME].present ? nxa_str(&d[NQD_A_DEVICE_IFNAME]) : NULL);
	if (!dev)
		dp_fail(&r->e, -ENODEV, "NQD_A_DEVICE: no such device");
	return dev;
}

/* Take the descriptors of every attribute @type of the device nest. Their number, or -errno with
 * those taken closed.
 */
static int take_fds(struct dp_request *r, u16 type, int *fds)
{
	const struct nxa *nest = &r->top[NQD_A_DEVICE];
	const u8 *pos = NULL;
	struct nxa a;
	int n = 0;

	while (nxa_next(nest->data, nest->len, type, &pos, &a)) {
		int fd = n < NQD_FDS_MAX ? dp_take_fd(r, &a, nqd_device_set.policy[type].name)
					 : dp_fail(&r->e, -E2BIG, "%s: more than %d",
						   nqd_device_set.policy[type].name, NQD_FDS_MAX);

		if (fd < 0) {
			nx_close_fds(fds, n);
			return fd;
		}
		fds[n++] = fd;
	}
	return n;
}

/* Sockets of the descriptors of NQD_A_DEVICE_SOCKET_FD: all or none. */
static int take_sockets(struct dp *dp, struct dp_request *r, struct nqd_socket **socks)
{
	int fds[NQD_FDS_MAX], n, i, err;

	n = take_fds(r, NQD_A_DEVICE_SOCKET_FD, fds);
	for (i = 0; i < n; i++) {
		socks[i] = dp_socket_get(dp, fds[i], &err);
		if (socks[i])
			continue;
		dp_fail(&r->e, err, "NQD_A_DEVICE_SOCKET_FD: not a bound UDP socket");
		nx_close_fds(fds + i + 1, n - i - 1);
		while (i)
			dp_socket_put(dp, socks[--i]);
		return err;
	}
	return n;
}

static void set_sockets(struct dp *dp, struct dp_device *dev, struct nqd_socket **socks,
			unsigned int n)
{
	unsigned int i;

	for (i = 0; i < dev->n_sockets; i++)
		dp_socket_put(dp, dev->sockets[i]);
	memcpy(dev->sockets, socks, n * sizeof(*socks));
	dev->n_sockets = n;
}

static void reply_device(struct dp *dp, struct dp_request *r, const struct dp_device *dev)
{
	struct nxm_hdr hdr = r->hdr;
	struct nxm m;
	size_t nest;

	hdr.flags = 0;
	nxm_begin(&m, dp->reply, NQD_MSG_MAX_LEN, &hdr);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	if (dev->ifindex)
		nxm_put_u32(&m, NQD_A_DEVICE_IFINDEX, dev->ifindex);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, dev->ifname);
	nxm_put_u32(&m, NQD_A_DEVICE_SESSIONS, dev->n_sessions);
	nxm_nest_end(&m, nest);
	dp_reply(dp, dp->reply, nxm_end(&m));
}

static int new_device(struct dp *dp, struct dp_request *r, const struct nxa *d,
		      struct dp_device **dev)
{
	int fds[NQD_FDS_MAX], n, err;

	if (dp->n_devices == DP_MAX_DEVICES)
		return dp_fail(&r->e, -ENOSPC, "NQD_A_DEVICE: %d devices exist", DP_MAX_DEVICES);
	n = take_fds(r, NQD_A_DEVICE_TUN_FD, fds);
	if (n <= 0)
		return n ?: dp_fail(&r->e, -EINVAL, "missing NQD_A_DEVICE_TUN_FD");
	err = dp_device_create(
		dp, fds, n,
		d[NQD_A_DEVICE_IFNAME].present ? nxa_str(&d[NQD_A_DEVICE_IFNAME]) : NULL,
		d[NQD_A_DEVICE_IFINDEX].present ? nxa_u32(&d[NQD_A_DEVICE_IFINDEX]) : 0, dev,
		&r->e);
	if (err)
		nx_close_fds(fds, n);
	return err;
}

int dp_cmd_create_device(struct dp *dp, struct dp_request *r)
{
	struct nqd_socket *socks[NQD_FDS_MAX];
	struct nxa d[NQD_A_DEVICE_MAX + 1];
	struct dp_device *dev = NULL;
	int n, err;

	err = nxa_parse_nest(&r->top[NQD_A_DEVICE], &nqd_device_set, d, r->msg, &r->e);
	if (err)
		return err;
	if (d[NQD_A_DEVICE_IFINDEX].present || d[NQD_A_DEVICE_IFNAME].present)
		dev = dp_request_device(dp, r);
	if (dev && r->hdr.flags & NLM_F_EXCL)
		return dp_fail(&r->e, -EEXIST, "NQD_A_DEVICE: it exists");
	r->e = (struct nxm_error){ 0 };
	n = take_sockets(dp, r, socks);
	if (n < 0)
		return n;
	if (!dev) {
		err = new_device(dp, r, d, &dev);
		if (err) {
			while (n)
				dp_socket_put(dp, socks[--n]);
			return err;
		}
	}
	set_sockets(dp, dev, socks, n);
	reply_device(dp, r, dev);
	return 0;
}

int dp_cmd_delete_device(struct dp *dp, struct dp_request *r)
{
	struct dp_device *dev = dp_request_device(dp, r);

	if (dev)
		dp_device_destroy(dp, dev);
	else if (r->e.err != -ENODEV)
		return r->e.err;
	r->e = (struct nxm_error){ 0 };
	return 0;
}

/* Sessions that exist keep theirs. */
static int set_fixed_rate(struct dp *dp, struct dp_request *r, u64 bytes_per_s)
{
	if (bytes_per_s > NQ_RATE_MAX_BYTES_PER_S)
		return dp_fail(&r->e, -ERANGE, "NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S: above %llu",
			       NQ_RATE_MAX_BYTES_PER_S);
	dp->fixed_rate_bytes_per_s = bytes_per_s;
	return 0;
}

static int cmd_set_debug(struct dp *dp, struct dp_request *r)
{
	struct nxa d[NQD_A_DEBUG_MAX + 1];
	int err = nxa_parse_nest(&r->top[NQD_A_DEBUG], &nqd_debug_set, d, r->msg, &r->e);

	if (err)
		return err;
	if (d[NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S].present)
		err = set_fixed_rate(dp, r, nxa_u64(&d[NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S]));
	else
		err = nxa_require(d, &nqd_debug_set, NQD_A_DEBUG_LEVEL, &r->e);
	if (!err && d[NQD_A_DEBUG_LEVEL].present)
		nx_log_set_level(nxa_u8(&d[NQD_A_DEBUG_LEVEL]) ? LOG_DEBUG : LOG_INFO);
	return err;
}

static int cmd_flush_stats(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s, *only = NULL;
	struct nqd_account account;

	if (r->top[NQD_A_SESSION].present) {
		only = dp_request_session(dp, r, attrs);
		if (!only)
			return r->e.err;
	}
	TAILQ_FOREACH (s, &dp->sessions, entry) {
		if (only && s != only)
			continue;
		account = dp_account_of(s);
		nqd_account_flush(&account);
		dp_fq_reset_delay_max(s->fq);
	}
	return 0;
}

/* ---- dispatch ---- */

static int (*const commands[NQD_CMD_MAX + 1])(struct dp *dp, struct dp_request *r) = {
	[NQD_CMD_GET_CAPS] = dp_cmd_get_caps,
	[NQD_CMD_CREATE_DEVICE] = dp_cmd_create_device,
	[NQD_CMD_DELETE_DEVICE] = dp_cmd_delete_device,
	[NQD_CMD_ADD_SESSION] = dp_cmd_add_session,
	[NQD_CMD_UPDATE_SESSION] = dp_cmd_update_session,
	[NQD_CMD_DELETE_SESSION] = dp_cmd_delete_session,
	[NQD_CMD_ADD_ROUTE] = dp_cmd_add_route,
	[NQD_CMD_DELETE_ROUTE] = dp_cmd_delete_route,
	[NQD_CMD_SET_KEYS] = dp_cmd_set_keys,
	[NQD_CMD_KEY_UPDATE] = dp_cmd_key_update,
	[NQD_CMD_GET_STATS] = dp_cmd_get_stats,
	[NQD_CMD_FLUSH_STATS] = cmd_flush_stats,
	[NQD_CMD_SET_DEBUG] = cmd_set_debug,
	[NQD_CMD_GET_EVENTS] = dp_cmd_get_events,
};

static int dispatch(struct dp *dp, struct dp_request *r)
{
	int err;

	if (r->hdr.type != NXM_FAMILY_DCO)
		return dp_fail(&r->e, -EPROTO, "family %u is not served here", r->hdr.type);
	if (r->hdr.cmd > NQD_CMD_MAX || !commands[r->hdr.cmd])
		return dp_fail(&r->e, -EOPNOTSUPP, "unknown command %u", r->hdr.cmd);
	err = nxa_parse(r->hdr.attrs, r->hdr.attrs_len, &nqd_top_set, r->top, r->msg, &r->e);
	if (!err)
		err = nqd_check_command(r->hdr.cmd, r->top, &r->e);
	return err ?: commands[r->hdr.cmd](dp, r);
}

void dp_control_message(struct dp *dp, u8 *msg, size_t len, int *fds, unsigned int n_fds)
{
	struct dp_request r = { .msg = msg, .fds = fds, .n_fds = n_fds };
	u8 ack[512];
	int err;

	err = nxm_parse_hdr(msg, len, &r.hdr, &r.e);
	if (!err)
		err = dispatch(dp, &r);
	if (err) {
		if (!r.e.err)
			dp_fail(&r.e, err, "%s", strerror(-err));
		nx_debug("command %u refused: %s", r.hdr.cmd, r.e.text);
	}
	/* Before the answer: who has it may count on both. */
	nx_close_fds(fds, n_fds);
	explicit_bzero(msg, len);
	if (err || (r.hdr.flags & NLM_F_ACK && !(r.hdr.flags & NLM_F_DUMP)))
		dp_reply(dp, ack, nxm_build_ack(ack, sizeof(ack), &r.hdr, err ? &r.e : NULL));
}
