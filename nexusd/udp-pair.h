/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One UDP address, two sockets: the selector gives datagrams with the header-form bit to the
 * handshake socket and all others to the data socket (docs/architecture.md).
 */
#ifndef NX_UDP_PAIR_H
#define NX_UDP_PAIR_H

#include "net.h"

struct nx_udp_pair {
	int hs_fd, dp_fd; /* -1 = none */
	struct nx_endpoint local; /* as bound */
};

/*
 * Bind both sockets to @local (port 0: one ephemeral port for both) with @mark on both (0 = none). 0 or -errno;
 * -EADDRINUSE also when somebody else of the same uid already shares the port.
 */
int nx_udp_pair_open(const struct nx_endpoint *local, uint32_t mark, struct nx_udp_pair *pair);
/* Take descriptors that an earlier control process had opened. They are consumed only on success. */
int nx_udp_pair_adopt(int hs_fd, int dp_fd, struct nx_udp_pair *pair);
void nx_udp_pair_close(struct nx_udp_pair *pair);

/* MTU of the route towards @remote, bytes of an IP packet, as the kernel knows it now; -errno without
 * a route.
 */
int nx_udp_path_mtu(const struct nx_endpoint *remote, uint32_t mark);

#endif /* NX_UDP_PAIR_H */
