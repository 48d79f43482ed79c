// SPDX-License-Identifier: GPL-2.0-or-later
/* nexus-dp as a child process, the ABI and the punt socket on socketpairs. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../dir-entries.h"
#include "abi-transport.h"
#include "hs_proto.h"
#include "ipc.h"

static int dp_open(struct abi *abi, const char *program)
{
	int control[2], punt[2], err;
	char a[16], b[16];

	memset(abi, 0, sizeof(*abi));
	abi->ops = &abi_dp;
	err = nx_ipc_pair(control);
	if (err)
		return err;
	err = nx_ipc_pair(punt);
	if (err)
		return err;
	abi->pid = fork();
	if (abi->pid < 0)
		return -errno;
	if (!abi->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* dup() clears close-on-exec. */
		snprintf(a, sizeof(a), "%d", dup(control[1]));
		snprintf(b, sizeof(b), "%d", dup(punt[1]));
		execl(program, program, "--socket", a, "--punt", b, NULL);
		_exit(127);
	}
	close(control[1]);
	close(punt[1]);
	abi->fd = control[0];
	abi->punt_fd = punt[0];
	return 0;
}

static void dp_close(struct abi *abi)
{
	int status;

	close(abi->fd);
	close(abi->punt_fd);
	/* It leaves when its control socket does. */
	waitpid(abi->pid, &status, 0);
}

static uint16_t dp_family(struct abi *abi)
{
	return NXM_FAMILY_DCO;
}

static uint32_t dp_attach_fd(struct abi *abi, int fd)
{
	abi->fds[abi->n_fds] = fd;
	return abi->n_fds++;
}

static int dp_send(struct abi *abi, const void *msg, size_t len)
{
	unsigned int n = abi->n_fds;

	abi->n_fds = 0;
	return nx_ipc_send(abi->fd, msg, len, abi->fds, n);
}

static ssize_t dp_recv(struct abi *abi, void *buf, size_t cap, int timeout_ms)
{
	struct pollfd p = { .fd = abi->fd, .events = POLLIN };
	int n = poll(&p, 1, timeout_ms);

	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	return nx_ipc_recv(abi->fd, buf, cap, NULL, NULL);
}

static int dp_held(struct abi *abi)
{
	return t_open_fds(abi->pid);
}

static unsigned long dp_memory_kib(struct abi *abi)
{
	unsigned long pages = 0;
	char path[64];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/statm", abi->pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	n = fscanf(f, "%*u %lu", &pages);
	fclose(f);
	return n == 1 ? pages * sysconf(_SC_PAGESIZE) / 1024 : 0;
}

static ssize_t dp_punted(struct abi *abi, int udp, void *buf, size_t cap,
			 struct sockaddr_storage *from, int timeout_ms)
{
	struct pollfd p = { .fd = abi->punt_fd, .events = POLLIN };
	struct sockaddr_in bound;
	socklen_t len = sizeof(bound);
	struct hs_punt_hdr hdr;
	uint8_t in[65536];
	ssize_t n;

	if (poll(&p, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	n = nx_ipc_recv(abi->punt_fd, in, sizeof(in), NULL, NULL);
	if (n < (ssize_t)sizeof(hdr) || getsockname(udp, (void *)&bound, &len) < 0)
		return -EBADMSG;
	memcpy(&hdr, in, sizeof(hdr));
	n -= sizeof(hdr);
	/* It says of itself what the socket would have said. */
	if (hdr.to_dp || hdr.len != n || hdr.local_port != bound.sin_port || n > (ssize_t)cap)
		return -EBADMSG;
	memcpy(from, &hdr.remote, sizeof(hdr.remote));
	memcpy(buf, in + sizeof(hdr), n);
	return n;
}

const struct abi_transport *abi_transport_for(const char *program)
{
	return strcmp(program, "module") ? &abi_dp : &abi_genl;
}

const struct abi_transport abi_dp = {
	.name = "nexus-dp",
	.open = dp_open,
	.close = dp_close,
	.family = dp_family,
	.attach_fd = dp_attach_fd,
	.send = dp_send,
	.recv = dp_recv,
	.held = dp_held,
	.memory_kib = dp_memory_kib,
	.punted = dp_punted,
};
