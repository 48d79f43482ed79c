// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pair of UDP sockets of one address. Both are bound and never connected: the kernel bypasses
 * the SO_REUSEPORT selector for connected sockets. The order of binding is the selector's index: 0
 * is the handshake socket, 1 the data socket.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "prefix.h"
#include "udp-pair.h"

/* Room for about 40 ms of a 1.4 Gbit/s burst. */
#define SOCKET_BUFFER_BYTES (7 << 20)
/*
 * A flood fills it when nexus-hsd has to wait for a core, and then its drops hit everybody: room for 100 ms
 * of as many Initials as it can refuse.
 */
#define HANDSHAKE_RECEIVE_BYTES (16 << 20)

/* Buffers and the like: the tunnel works without, only worse. */
static void set_optional(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Never fragment: DF on every packet, sizes are the tunnel's business. */
static int set_family_options(int fd, int family)
{
	int r;

	if (family == AF_INET) {
		r = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
		set_optional(fd, IPPROTO_IP, IP_RECVTOS, 1);
		set_optional(fd, IPPROTO_IP, IP_PKTINFO, 1);
		return r;
	}
	r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!r)
		r = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	if (!r)
		r = set_int(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	set_optional(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set_optional(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return r;
}

static int open_socket(int family, uint32_t mark, bool data)
{
	const int receive_bytes = data ? SOCKET_BUFFER_BYTES : HANDSHAKE_RECEIVE_BYTES;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = set_family_options(fd, family);
	if (!r && mark)
		r = set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
	set_optional(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
	set_optional(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_BYTES);
	set_optional(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive_bytes);
	set_optional(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
	if (data)
		set_optional(fd, IPPROTO_UDP, UDP_GRO, 1);
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

/* Header form bit (0x80 of the first byte of the UDP payload) set: index 0, clear: index 1. */
static int attach_selector(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) < 0)
		return -errno;
	return 0;
}

static int bind_to(int fd, const struct nx_endpoint *local)
{
	return bind(fd, &local->sa, nx_endpoint_len(local)) < 0 ? -errno : 0;
}

static int local_of(int fd, struct nx_endpoint *local)
{
	socklen_t len = sizeof(*local);

	memset(local, 0, sizeof(*local));
	return getsockname(fd, &local->sa, &len) < 0 ? -errno : 0;
}

int nx_udp_pair_open(const struct nx_endpoint *local, uint32_t mark, struct nx_udp_pair *pair)
{
	int family = local->sa.sa_family;
	int r;

	pair->hs_fd = pair->dp_fd = -1;
	pair->hs_fd = open_socket(family, mark, false);
	if (pair->hs_fd < 0)
		return pair->hs_fd;
	pair->dp_fd = open_socket(family, mark, true);
	if (pair->dp_fd < 0) {
		r = pair->dp_fd;
		goto err;
	}
	r = bind_to(pair->hs_fd, local);
	if (r)
		goto err;
	r = local_of(pair->hs_fd, &pair->local);
	if (r)
		goto err;
	/* The first bind is without SO_REUSEPORT: it fails if anybody holds the port, our own uid
	 * included, whose group would shift the indices of the selector. The option may follow.
	 */
	r = set_int(pair->hs_fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!r)
		r = set_int(pair->dp_fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!r)
		r = bind_to(pair->dp_fd, &pair->local);
	if (!r)
		r = attach_selector(pair->hs_fd);
	if (r)
		goto err;
	return 0;
err:
	nx_udp_pair_close(pair);
	return r;
}

int nx_udp_pair_adopt(int hs_fd, int dp_fd, struct nx_udp_pair *pair)
{
	struct nx_endpoint other;
	int r;

	r = local_of(hs_fd, &pair->local);
	if (!r)
		r = local_of(dp_fd, &other);
	if (r)
		return r;
	if (!nx_endpoint_equal(&pair->local, &other))
		return -EINVAL;
	pair->hs_fd = hs_fd;
	pair->dp_fd = dp_fd;
	return 0;
}

void nx_udp_pair_close(struct nx_udp_pair *pair)
{
	if (pair->hs_fd >= 0)
		close(pair->hs_fd);
	if (pair->dp_fd >= 0)
		close(pair->dp_fd);
	pair->hs_fd = pair->dp_fd = -1;
}

int nx_udp_path_mtu(const struct nx_endpoint *remote, uint32_t mark)
{
	int family = remote->sa.sa_family;
	int mtu = 0, r;
	socklen_t len = sizeof(mtu);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (mark)
		set_optional(fd, SOL_SOCKET, SO_MARK, (int)mark);
	if (connect(fd, &remote->sa, nx_endpoint_len(remote)) < 0)
		r = -errno;
	else if (getsockopt(fd, family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
			    family == AF_INET6 ? IPV6_MTU : IP_MTU, &mtu, &len) < 0)
		r = -errno;
	else
		r = mtu;
	close(fd);
	return r;
}
