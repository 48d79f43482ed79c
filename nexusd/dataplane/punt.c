// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is not ours goes to nexus-hsd, one datagram per message, never blocking: when nexus-hsd is
 * slow or gone the datagram is dropped, as a full socket queue would drop it. What nexus-hsd hands
 * back takes the same way as a datagram from the network, except that it is never handed over
 * again.
 */
#include <errno.h>

#include "dp.h"

void dp_punt_to_hsd(struct dp *dp, const struct nqd_socket *sock, const union nqd_addr *from,
		    const union nqd_addr *local, u8 ecn, u16 flags, const u8 *data, u32 len)
{
	struct hs_punt_hdr hdr = {
		.ecn = ecn, .flags = flags, .local_port = sock->port, .len = len
	};
	struct iovec iov[2] = { { &hdr, sizeof(hdr) }, { (u8 *)data, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (dp->hsd.fd < 0 || len > UINT16_MAX - sizeof(hdr)) {
		dp->unknown_drops++;
		return;
	}
	memcpy(&hdr.remote, from, sizeof(*from));
	if (local->sa.sa_family != AF_UNSPEC)
		memcpy(&hdr.local, local, sizeof(*local));
	if (sendmsg(dp->hsd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		dp->punt_drops++;
}
