/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SOCK_SEQPACKET socketpairs between the processes: one message per packet, descriptors beside it.
 * Received descriptors are always close-on-exec; on a truncated message or too many descriptors all
 * are closed and -EMSGSIZE is returned: nothing leaks into the receiver.
 */
#ifndef NX_IPC_H
#define NX_IPC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Seven addresses of a tunnel with two sockets each, a key log and a replay cache, and room. */
#define NX_IPC_MAX_FDS	18
/* Largest message on any internal socket (= NQD_MSG_MAX_LEN). */
#define NX_IPC_MAX_LEN	65536
/* The monitor's channel in every child. */
#define NX_MONITOR_FD	3

/* A non-blocking, close-on-exec pair with buffers large enough for NX_IPC_MAX_LEN. 0 or -errno. */
int nx_ipc_pair(int sv[2]);
/* Send one message with descriptors (not consumed). 0, -EAGAIN (peer is slow), -EPIPE, ... */
int nx_ipc_send(int fd, const void *buf, size_t len, const int *fds, unsigned int n_fds);
/* Receive one message: its length, 0 = peer is gone, -EAGAIN, -EMSGSIZE. */
ssize_t nx_ipc_recv(int fd, void *buf, size_t cap, int *fds, unsigned int *n_fds);
void nx_close_fds(int *fds, unsigned int n);

#endif /* NX_IPC_H */
