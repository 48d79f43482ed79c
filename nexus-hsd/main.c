// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nexus-hsd: the handshake daemon. Every hostile handshake byte and all TLS is handled here, in a
 * process without privileges that can open neither a file nor a socket. The monitor starts it with
 * its channel as descriptor 3 and everything else comes through that (lib/mon_proto.h); the control
 * process configures it (lib/hs_proto.h). It ends when the monitor does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hsd.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/sandbox.h"

/* Beyond what every process needs (lib/sandbox.c). No open, no socket, no connect, no exec. */
static const char *const allowed_syscalls[] = {
	"epoll_ctl",   "epoll_pwait", "epoll_wait", "fcntl",	  "getpeername",
	"getsockname", "lseek",	      "pread64",    "recvfrom",	  "recvmmsg",
	"recvmsg",     "sendmmsg",    "sendto",	    "setsockopt", NULL,
};

int main(int argc, char **argv)
{
	static struct hsd h;
	int err;

	nx_log_init("nexus-hsd", getenv("NEXUS_DEBUG") ? LOG_DEBUG : LOG_INFO);
	if (argc > 1) {
		fprintf(stderr, "nexus-hsd is started by nexusd and takes no arguments.\n");
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	err = nx_harden_process();
	if (err == 0)
		err = hs_init(&h, NX_MONITOR_FD);
	if (err == 0)
		err = nx_seccomp_allow(allowed_syscalls);
	if (err < 0) {
		nx_err("cannot start: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	while (!h.stop && err == 0)
		err = hs_turn(&h);
	hs_finish(&h);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
