// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nexus-hsd: the handshake daemon. Every hostile handshake byte and all TLS is handled here, in a
 * process without privileges that can open neither a file nor a socket. The monitor starts it with
 * its channel as descriptor 3 and everything else comes through that (lib/mon_proto.h); the control
 * process configures it (lib/hs_proto.h). It ends when the monitor does.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control.h"
#include "hsd.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "monitor.h"
#include "secrets.h"
#include "tls.h"

/* Beyond what every process needs (lib/sandbox.c). No open, no socket, no connect, no exec. */
static const char *const allowed_syscalls[] = {
	"epoll_ctl", "epoll_pwait", "epoll_wait", "getsockname", "lseek",      "pread64",
	"recvfrom",  "recvmmsg",    "recvmsg",	  "sendto",	 "setsockopt", NULL,
};

static int init(struct hsd *h)
{
	uint64_t random;
	int err;

	h->monitor.fd = h->control.fd = h->punt.fd = -1;
	TAILQ_INIT(&h->outbox);
	TAILQ_INIT(&h->tunnels);
	TAILQ_INIT(&h->conns);
	hs_cidtable_init(&h->cids);
	hs_flows_init(&h->flows);
	hs_tombs_init(&h->tombs);
	err = hs_tls_global_init();
	if (err < 0)
		return err;
	if (gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof(random)) < 0)
		return -EIO;
	/* Attempts of a server have the high bit set; an earlier process' numbers do not come back. */
	h->next_attempt = 1ULL << 63 | random >> 16;
	err = hs_loop_init(&h->loop);
	return err < 0 ? err : hs_monitor_open(h);
}

static uint64_t run_timers(struct hsd *h)
{
	uint64_t conns = hs_conns_run_timers(h), flows = hs_flows_run_timers(&h->flows),
		 tombs = hs_tombs_run_timers(h), next = conns;

	if (flows < next)
		next = flows;
	return tombs < next ? tombs : next;
}

static void finish(struct hsd *h)
{
	struct hs_tunnel *t;

	while ((t = TAILQ_FIRST(&h->tunnels)))
		hs_tunnel_delete(t);
	hs_secret_forget(NULL);
}

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
		err = init(&h);
	if (err == 0)
		err = nx_seccomp_allow(allowed_syscalls);
	if (err < 0) {
		nx_err("cannot start: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	while (!h.stop && err == 0)
		err = hs_loop_turn(&h.loop, run_timers(&h));
	finish(&h);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
