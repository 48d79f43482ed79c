// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages with descriptors over SOCK_SEQPACKET: see ipc.h. Whatever the kernel installs in this
 * process is either handed to the caller or closed before the call returns.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc.h"

/* Room to receive more than is allowed, so that an excess is seen and closed here. */
#define RECV_FDS_ROOM (2 * NX_IPC_MAX_FDS)
#define SOCKET_BUFFER (4 * NX_IPC_MAX_LEN)

int nx_ipc_pair(int sv[2])
{
	int size = SOCKET_BUFFER;
	int i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	/* Best effort: the default of 208 KiB holds one message of NX_IPC_MAX_LEN as well. */
	for (i = 0; i < 2; i++)
		setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

int nx_ipc_send(int fd, const void *buf, size_t len, const int *fds, unsigned int n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * NX_IPC_MAX_FDS)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	ssize_t n;

	if (!len || len > NX_IPC_MAX_LEN || n_fds > NX_IPC_MAX_FDS)
		return -EMSGSIZE;
	if (n_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Collect the descriptors of every SCM_RIGHTS header. */
static unsigned int take_fds(struct msghdr *msg, int *fds)
{
	unsigned int n = 0;
	struct cmsghdr *cm;

	for (cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		size_t bytes;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		bytes = cm->cmsg_len - CMSG_LEN(0);
		memcpy(fds + n, CMSG_DATA(cm), bytes);
		n += bytes / sizeof(int);
	}
	return n;
}

ssize_t nx_ipc_recv(int fd, void *buf, size_t cap, int *fds, unsigned int *n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * RECV_FDS_ROOM)];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	unsigned int got, allowed = fds ? NX_IPC_MAX_FDS : 0;
	int taken[RECV_FDS_ROOM];
	ssize_t n;

	if (n_fds)
		*n_fds = 0;
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	/* A peer that died with our messages unread shows as a reset. */
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	got = take_fds(&msg, taken);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || got > allowed) {
		nx_close_fds(taken, got);
		return -EMSGSIZE;
	}
	if (got) {
		memcpy(fds, taken, got * sizeof(int));
		*n_fds = got;
	}
	return n;
}

void nx_close_fds(int *fds, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}
