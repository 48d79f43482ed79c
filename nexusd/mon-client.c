// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages between the control process and the monitor, as the control process sends and reads
 * them.
 */
#include <errno.h>
#include <linux/netlink.h>
#include "lib/log.h"
#include "mon-client.h"

static int take_fd(const struct nx_chan_msg *msg)
{
	int fd = msg->n_fds ? msg->fds[0] : -1;

	if (fd >= 0)
		msg->fds[0] = -1;
	return fd;
}

static void on_message(void *userdata, const struct nx_chan_msg *msg)
{
	struct nxa tb[MON_A_MAX + 1];
	struct nx_mon *m = userdata;
	struct nxm_error e = {};
	const char *name;

	if (msg->hdr.type != NXM_FAMILY_MON ||
	    nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &mon_set, tb, msg->buf, &e) < 0) {
		nx_err("message of the monitor refused: %s", e.text);
		return;
	}
	name = tb[MON_A_NAME].present ? nxa_str(&tb[MON_A_NAME]) : "";
	switch (msg->hdr.cmd) {
	case MON_CMD_PEER:
		if (tb[MON_A_PEER].present && msg->n_fds == 1)
			m->ops->peer(m->userdata, nxa_u8(&tb[MON_A_PEER]), take_fd(msg));
		break;
	case MON_CMD_STORED:
		if (msg->n_fds == 1)
			m->ops->stored(m->userdata, name, take_fd(msg));
		break;
	case MON_CMD_START:
		m->ops->start(m->userdata);
		break;
	case MON_CMD_SECRET_RESULT:
		m->ops->secret_result(m->userdata, name,
				      tb[MON_A_ERRNO].present ? -(int)nxa_u32(&tb[MON_A_ERRNO])
							      : -EBADMSG,
				      tb[MON_A_TEXT].present ? nxa_str(&tb[MON_A_TEXT]) : "");
		break;
	case MON_CMD_RELOAD:
		m->ops->reload(m->userdata);
		break;
	case MON_CMD_STOP:
		m->ops->stop(m->userdata);
		break;
	default:
		break;
	}
}

static void on_closed(void *userdata)
{
	struct nx_mon *m = userdata;

	m->ops->gone(m->userdata);
}

int nx_mon_open(struct nx_mon *m, sd_event *event, int fd, const struct nx_mon_ops *ops,
		void *userdata)
{
	static const struct nx_chan_ops chan_ops = { on_message, on_closed };

	m->ops = ops;
	m->userdata = userdata;
	return nx_chan_new(event, fd, &chan_ops, m, &m->chan);
}

void nx_mon_close(struct nx_mon *m)
{
	nx_chan_free(m->chan);
	m->chan = NULL;
}

static int send_message(struct nx_mon *m, enum mon_cmd cmd, const char *name, const char *path,
			const int *fd)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_MON, .flags = NLM_F_REQUEST, .cmd = cmd };
	uint8_t buf[1024];
	struct nxm msg;
	ssize_t len;

	nxm_begin(&msg, buf, sizeof(buf), &hdr);
	if (name)
		nxm_put_str(&msg, MON_A_NAME, name);
	if (path)
		nxm_put_str(&msg, MON_A_PATH, path);
	len = nxm_end(&msg);
	if (len < 0)
		return (int)len;
	return nx_chan_send(m->chan, buf, (size_t)len, fd, fd ? 1 : 0);
}

int nx_mon_store(struct nx_mon *m, const char *name, int fd)
{
	return send_message(m, MON_CMD_STORE, name, NULL, &fd);
}

int nx_mon_unstore(struct nx_mon *m, const char *name)
{
	return send_message(m, MON_CMD_UNSTORE, name, NULL, NULL);
}

int nx_mon_open_secret(struct nx_mon *m, const char *name, const char *path)
{
	return send_message(m, MON_CMD_OPEN_SECRET, name, path, NULL);
}

int nx_mon_open_tun(struct nx_mon *m, const char *name)
{
	return send_message(m, MON_CMD_OPEN_TUN, name, NULL, NULL);
}

int nx_mon_notify(struct nx_mon *m, enum mon_cmd cmd)
{
	return send_message(m, cmd, NULL, NULL, NULL);
}
