// SPDX-License-Identifier: GPL-2.0-or-later
/* The channel to the monitor, see monitor.h. */
#include <errno.h>
#include <string.h>
#include "control.h"
#include "hsd.h"
#include "lib/log.h"
#include "lib/mon_proto.h"
#include "monitor.h"
#include "punt.h"
#include "secrets.h"

static void send_ready(struct hsd *h)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_MON, .cmd = MON_CMD_READY, .version = 1 };
	uint8_t buf[64];
	struct nxm m;
	ssize_t n;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	n = nxm_end(&m);
	if (n > 0)
		nx_ipc_send(h->monitor.fd, buf, (size_t)n, NULL, 0);
}

static int take_peer(struct hsd *h, const struct nxa *tb, int *fd)
{
	if (!tb[MON_A_PEER].present || *fd < 0)
		return -EINVAL;
	switch (nxa_u8(&tb[MON_A_PEER])) {
	case MON_PEER_CONTROL:
		hs_control_open(h, *fd);
		break;
	case MON_PEER_DP:
		hs_punt_open(h, *fd);
		break;
	default:
		return -EINVAL;
	}
	*fd = -1;
	return 0;
}

static int take_secret(const struct nxa *tb, int fd)
{
	int err;

	if (!tb[MON_A_NAME].present || fd < 0)
		return -EINVAL;
	err = hs_secret_store(nxa_str(&tb[MON_A_NAME]), fd);
	if (err < 0)
		nx_err("%s: no usable key: %s", nxa_str(&tb[MON_A_NAME]), strerror(-err));
	return 0;
}

static int act(struct hsd *h, const uint8_t *msg, size_t len, int *fd)
{
	struct nxa tb[MON_A_MAX + 1];
	struct nxm_error e = { 0 };
	struct nxm_hdr hdr;
	int err;

	err = nxm_parse_hdr(msg, len, &hdr, &e);
	if (err == 0 && hdr.type != NXM_FAMILY_MON)
		err = -EPROTONOSUPPORT;
	if (err == 0)
		err = nxa_parse(hdr.attrs, hdr.attrs_len, &mon_set, tb, msg, &e);
	if (err < 0)
		return err;
	switch (hdr.cmd) {
	case MON_CMD_PEER:
		return take_peer(h, tb, fd);
	case MON_CMD_SECRET:
		return take_secret(tb, *fd);
	case MON_CMD_START:
		send_ready(h);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

void hs_monitor_drain(struct hsd *h)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	int fds[NX_IPC_MAX_FDS], err;
	unsigned int n_fds;
	ssize_t n;

	while (!h->stop) {
		n_fds = 0;
		fds[0] = -1;
		n = nx_ipc_recv(h->monitor.fd, buf, sizeof(buf), fds, &n_fds);
		if (n == -EAGAIN)
			return;
		if (n <= 0 && n != -EMSGSIZE) {
			h->stop = true;
			return;
		}
		err = n > 0 ? act(h, buf, (size_t)n, &fds[0]) : (int)n;
		if (err < 0)
			nx_warn("a message of the monitor is not understood: %s", strerror(-err));
		nx_close_fds(fds, n_fds);
	}
}

static void on_readable(struct hs_source *s, uint32_t events)
{
	hs_monitor_drain(s->owner);
}

int hs_monitor_open(struct hsd *h, int fd)
{
	return hs_source_open(&h->loop, &h->monitor, fd, on_readable, h);
}
