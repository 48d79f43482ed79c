// SPDX-License-Identifier: GPL-2.0-or-later
/* The socket to nexus-dp, see punt.h. */
#include <errno.h>
#include <string.h>
#include "hsd.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "punt.h"
#include "relay.h"
#include "server.h"

/* A turn of the loop reads this many, then others have theirs. */
#define BATCH 64
/* What is relayed waits for those that come meanwhile, like that of the sockets (hs_udp_receive()). */
#define KEPT HS_UDP_BATCH

static void received(struct hsd *h, const uint8_t *buf, size_t len)
{
	struct hs_punt_hdr hdr;
	struct hs_dgram d;

	if (len < sizeof(hdr))
		return;
	memcpy(&hdr, buf, sizeof(hdr));
	if (hdr.to_dp || hdr.len != len - sizeof(hdr))
		return;
	if (hdr.remote.sa.sa_family == AF_INET)
		d.remote.in = hdr.remote.in;
	else if (hdr.remote.sa.sa_family == AF_INET6)
		d.remote.in6 = hdr.remote.in6;
	else
		return;
	memcpy(&d.local, &hdr.local, sizeof(d.local));
	d.sock = hs_tunnel_sock_by_port(h, d.remote.sa.sa_family, hdr.local_port, &d.local);
	if (!d.sock)
		return;
	/* Without the address the kernel chooses one; a connection knows its own. */
	if (d.local.sa.sa_family != d.remote.sa.sa_family)
		d.local = d.sock->name;
	d.data = buf + sizeof(hdr);
	d.len = hdr.len;
	d.ecn = hdr.ecn & 3;
	if (hdr.flags & HS_PUNT_F_IF_YOURS)
		hs_server_copy(h, &d);
	else
		hs_server_datagram(h, &d);
}

static void on_readable(struct hs_source *s, uint32_t events)
{
	static uint8_t bufs[KEPT][NX_IPC_MAX_LEN];
	struct hsd *h = s->owner;
	int fds[NX_IPC_MAX_FDS], i;
	unsigned int n_fds;
	ssize_t n;

	for (i = 0; i < BATCH; i++) {
		if (i % KEPT == 0)
			hs_relay_flush(h);
		n_fds = NX_IPC_MAX_FDS;
		n = nx_ipc_recv(s->fd, bufs[i % KEPT], sizeof(bufs[0]), fds, &n_fds);
		if (n == -EAGAIN)
			break;
		if (n == -EMSGSIZE)
			continue;
		if (n <= 0) {
			nx_info("nexus-dp is gone");
			hs_source_close(&h->loop, s);
			break;
		}
		nx_close_fds(fds, n_fds);
		received(h, bufs[i % KEPT], (size_t)n);
	}
	hs_relay_flush(h);
}

void hs_punt_open(struct hsd *h, int fd)
{
	if (hs_source_open(&h->loop, &h->punt, fd, on_readable, h) < 0)
		nx_err("cannot watch the socket of nexus-dp");
}

void hs_punt_send(struct hsd *h, uint16_t local_port, const union hs_addr *remote, uint8_t ecn,
		  const uint8_t *data, size_t len)
{
	uint8_t buf[sizeof(struct hs_punt_hdr) + HS_DGRAM_MAX];
	struct hs_punt_hdr hdr;

	if (h->punt.fd < 0 || len > HS_DGRAM_MAX)
		return;
	memset(&hdr, 0, sizeof(hdr));
	hdr.to_dp = 1;
	hdr.ecn = ecn;
	hdr.local_port = local_port;
	hdr.len = (uint16_t)len;
	memcpy(&hdr.remote, remote, hs_addr_size(remote));
	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), data, len);
	nx_ipc_send(h->punt.fd, buf, sizeof(hdr) + len, NULL, 0);
}
