// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nexus-dp as the monitor's child: it says READY after START, serves whichever control socket came
 * last, outlives its peers, and ends with the monitor.
 *
 * Usage: test-monitor NEXUS_DP
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/netlink.h>

#include "ipc.h"
#include "mon_proto.h"
#include <linux/nexus_quic_dco.h>

#define TIMEOUT_MS 10000

static const char *program;

static ssize_t receive(int fd, uint8_t *buf, size_t cap)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
	return nx_ipc_recv(fd, buf, cap, NULL, NULL);
}

static pid_t spawn(int *monitor)
{
	int sv[2];
	pid_t pid;

	assert_int_equal(nx_ipc_pair(sv), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (sv[1] == NX_MONITOR_FD)
			fcntl(sv[1], F_SETFD, 0);
		else
			dup2(sv[1], NX_MONITOR_FD);
		execl(program, program, NULL);
		_exit(127);
	}
	close(sv[1]);
	*monitor = sv[0];
	return pid;
}

static void tell(int monitor, uint8_t cmd, int peer, int fd)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_MON, .cmd = cmd, .version = 1 };
	uint8_t buf[128];
	struct nxm m;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	if (fd >= 0)
		nxm_put_u8(&m, MON_A_PEER, peer);
	assert_int_equal(nx_ipc_send(monitor, buf, nxm_end(&m), &fd, fd >= 0), 0);
}

/* Give it a control socket and ask something over it. */
static int new_control(int monitor)
{
	int sv[2];

	assert_int_equal(nx_ipc_pair(sv), 0);
	tell(monitor, MON_CMD_PEER, MON_PEER_CONTROL, sv[1]);
	close(sv[1]);
	return sv[0];
}

static void expect_answer(int control)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_DCO,
			       .flags = NLM_F_REQUEST | NLM_F_ACK,
			       .seq = 3,
			       .cmd = NQD_CMD_GET_CAPS };
	uint8_t buf[4096];
	struct nxm_error e;
	struct nxm m;
	ssize_t n;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	assert_int_equal(nx_ipc_send(control, buf, nxm_end(&m), NULL, 0), 0);
	n = receive(control, buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(nxm_parse_hdr(buf, n, &hdr, &e), 0);
	assert_int_equal(hdr.cmd, NQD_CMD_GET_CAPS);
	n = receive(control, buf, sizeof(buf));
	assert_int_equal(nxm_parse_ack(buf, n, &hdr.seq, &e), 0);
}

static void expect_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void life(void **state)
{
	int monitor, control, next, punt[2];
	struct nxm_error e;
	struct nxm_hdr hdr;
	uint8_t buf[512];
	pid_t pid = spawn(&monitor);
	ssize_t n;

	assert_int_equal(nx_ipc_pair(punt), 0);
	control = new_control(monitor);
	tell(monitor, MON_CMD_PEER, MON_PEER_HSD, punt[1]);
	close(punt[1]);
	tell(monitor, MON_CMD_START, 0, -1);
	n = receive(monitor, buf, sizeof(buf));
	assert_int_equal(nxm_parse_hdr(buf, n, &hdr, &e), 0);
	assert_int_equal(hdr.type, NXM_FAMILY_MON);
	assert_int_equal(hdr.cmd, MON_CMD_READY);
	expect_answer(control);
	/* The peers die and come back; what the monitor says wrongly is not obeyed. */
	close(control);
	close(punt[0]);
	assert_int_equal(nx_ipc_send(monitor, "garbage", 7, NULL, 0), 0);
	tell(monitor, MON_CMD_PEER, MON_PEER_DP, STDERR_FILENO);
	control = new_control(monitor);
	expect_answer(control);
	/* A new one takes over even while the old one is open: that one sees its end. */
	next = new_control(monitor);
	expect_answer(next);
	assert_int_equal(receive(control, buf, sizeof(buf)), 0);
	close(control);
	close(monitor);
	expect_exit(pid);
	close(next);
}

static void without_a_monitor(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, NX_MONITOR_FD);
		dup2(null, STDERR_FILENO);
		execl(program, program, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(without_a_monitor),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-monitor NEXUS_DP\n");
		return 1;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
