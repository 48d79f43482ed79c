// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages with descriptors: whole or refused, and no descriptor stays behind in either case. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "../dir-entries.h"
#include "ipc.h"

static void messages_keep_their_borders(void **state)
{
	static uint8_t big[NX_IPC_MAX_LEN], in[NX_IPC_MAX_LEN];
	unsigned int n_fds;
	int sv[2], fds[NX_IPC_MAX_FDS];

	assert_int_equal(nx_ipc_pair(sv), 0);
	assert_true(fcntl(sv[0], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(sv[1], F_GETFL) & O_NONBLOCK);
	assert_int_equal(nx_ipc_recv(sv[1], in, sizeof(in), fds, &n_fds), -EAGAIN);
	memset(big, 0x5a, sizeof(big));
	assert_int_equal(nx_ipc_send(sv[0], "ab", 2, NULL, 0), 0);
	assert_int_equal(nx_ipc_send(sv[0], big, sizeof(big), NULL, 0), 0);
	assert_int_equal(nx_ipc_recv(sv[1], in, sizeof(in), fds, &n_fds), 2);
	assert_int_equal(n_fds, 0);
	assert_int_equal(nx_ipc_recv(sv[1], in, sizeof(in), fds, &n_fds), sizeof(big));
	assert_memory_equal(in, big, sizeof(big));
	assert_int_equal(nx_ipc_send(sv[0], big, sizeof(big) + 1, NULL, 0), -EMSGSIZE);
	assert_int_equal(nx_ipc_send(sv[0], big, 0, NULL, 0), -EMSGSIZE);
	/* A peer that does not read: -EAGAIN, never a block. */
	while (!nx_ipc_send(sv[0], big, sizeof(big), NULL, 0))
		;
	assert_int_equal(nx_ipc_send(sv[0], big, sizeof(big), NULL, 0), -EAGAIN);
	close(sv[0]);
	while (nx_ipc_recv(sv[1], in, sizeof(in), fds, &n_fds) > 0)
		;
	assert_int_equal(nx_ipc_recv(sv[1], in, sizeof(in), fds, &n_fds), 0);
	assert_int_equal(nx_ipc_send(sv[1], "a", 1, NULL, 0), -EPIPE);
	close(sv[1]);
}

static void gone_peer_with_unread_data(void **state)
{
	uint8_t in[16];
	int sv[2];

	assert_int_equal(nx_ipc_pair(sv), 0);
	assert_int_equal(nx_ipc_send(sv[1], "x", 1, NULL, 0), 0);
	close(sv[0]);
	assert_int_equal(nx_ipc_recv(sv[1], in, sizeof(in), NULL, NULL), 0);
	close(sv[1]);
}

static void descriptors_arrive(void **state)
{
	int before, sv[2], p[2], fds[NX_IPC_MAX_FDS];
	unsigned int n_fds, i;
	char c[4];

	assert_int_equal(nx_ipc_pair(sv), 0);
	assert_int_equal(pipe(p), 0);
	before = t_open_fds(getpid());
	assert_int_equal(nx_ipc_send(sv[0], "fd", 2, p, 2), 0);
	assert_int_equal(t_open_fds(getpid()), before);
	assert_int_equal(nx_ipc_recv(sv[1], c, sizeof(c), fds, &n_fds), 2);
	assert_int_equal(n_fds, 2);
	assert_int_equal(t_open_fds(getpid()), before + 2);
	for (i = 0; i < n_fds; i++)
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(p[1], "q", 1), 1);
	assert_int_equal(read(fds[0], c, 1), 1);
	assert_int_equal(c[0], 'q');
	nx_close_fds(fds, n_fds);
	assert_int_equal(fds[0], -1);
	assert_int_equal(t_open_fds(getpid()), before);
	close(p[0]);
	close(p[1]);
	close(sv[0]);
	close(sv[1]);
}

/* Send more descriptors than nx_ipc_send() would. */
static void send_many(int fd, unsigned int n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
	} control = { 0 };
	struct iovec iov = { .iov_base = "m", .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
	struct cmsghdr *cm;
	unsigned int i;

	msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	cm = CMSG_FIRSTHDR(&msg);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (i = 0; i < n; i++)
		memcpy(CMSG_DATA(cm) + i * sizeof(int), &(int){ 0 }, sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
}

static void refused_descriptors_are_closed(void **state)
{
	static const unsigned int counts[] = { NX_IPC_MAX_FDS, NX_IPC_MAX_FDS + 1,
					       2 * NX_IPC_MAX_FDS, 2 * NX_IPC_MAX_FDS + 1, 64 };
	int before, sv[2], fds[NX_IPC_MAX_FDS];
	unsigned int n_fds, i;
	char c[4];

	assert_int_equal(nx_ipc_pair(sv), 0);
	before = t_open_fds(getpid());
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		send_many(sv[0], counts[i]);
		if (counts[i] <= NX_IPC_MAX_FDS) {
			assert_int_equal(nx_ipc_recv(sv[1], c, sizeof(c), fds, &n_fds), 1);
			assert_int_equal(n_fds, counts[i]);
			nx_close_fds(fds, n_fds);
		} else {
			assert_int_equal(nx_ipc_recv(sv[1], c, sizeof(c), fds, &n_fds), -EMSGSIZE);
			assert_int_equal(n_fds, 0);
		}
		assert_int_equal(t_open_fds(getpid()), before);
	}
	/* A receiver that wants none, and a message cut short. */
	assert_int_equal(nx_ipc_send(sv[0], "fd", 2, sv, 2), 0);
	assert_int_equal(nx_ipc_recv(sv[1], c, sizeof(c), NULL, NULL), -EMSGSIZE);
	assert_int_equal(t_open_fds(getpid()), before);
	assert_int_equal(nx_ipc_send(sv[0], "too long", 8, sv, 2), 0);
	assert_int_equal(nx_ipc_recv(sv[1], c, sizeof(c), fds, &n_fds), -EMSGSIZE);
	assert_int_equal(t_open_fds(getpid()), before);
	assert_int_equal(nx_ipc_send(sv[0], "x", 1, sv, NX_IPC_MAX_FDS + 1), -EMSGSIZE);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_keep_their_borders),
		cmocka_unit_test(gone_peer_with_unread_data),
		cmocka_unit_test(descriptors_arrive),
		cmocka_unit_test(refused_descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
