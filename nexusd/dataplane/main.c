// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nexus-dp: the user-space data plane. Started by the monitor with its channel as descriptor 3, or
 * with --socket as a server of the data-plane ABI on an inherited descriptor (tests).
 *
 * Everything that needs a system call outside the allow-list happens in start(): choosing the
 * cipher provider, probing the kernel, making the epoll descriptor. Afterwards the process can
 * neither open a file nor make a socket; all it uses was given to it.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "../../lib/sandbox.h"
#include "dp.h"
#include "nx-config.h"

static const char usage[] =
	"Usage: nexus-dp [OPTION]...\n"
	"User-space data plane of Nexus. Started by nexusd.\n"
	"\n"
	"  --socket FD    serve the data-plane ABI on descriptor FD instead of the monitor's\n"
	"  --punt FD      with --socket: the punt socket to the handshake daemon\n"
	"  --crypto NAME  cipher provider: ipsec-mb or gnutls (default: the fastest that works)\n"
	"  -d, --debug    log more\n"
	"  -h, --help     show this text\n"
	"  -V, --version  show the version\n";

struct options {
	int socket, punt;
	const char *crypto;
	int log_level;
};

/*
 * Sessions with large rings come and go with every renewal. Left alone, malloc moves them into its heap
 * after the first that was freed, where they leave holes of their size between small things; a mapping
 * goes back whole. What the queues take and give back under load (DP_STORE_CHUNK_BYTES) stays in the
 * heap: a mapping for each would be a page fault for every third packet.
 */
#define MAPPED_BYTES (320 << 10)
#define TRIM_BYTES (1 << 20)
_Static_assert(MAPPED_BYTES > DP_STORE_CHUNK_BYTES + 4096, "chunks would be mapped each time");

static void keep_heap_small(void)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
	mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

static int parse_fd(const char *text, int *fd)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || end == text || *end || v < 0 || v > 65535)
		return -EINVAL;
	*fd = v;
	return 0;
}

/* 0: go on; otherwise the process ends with *status. */
static int parse_options(int argc, char **argv, struct options *o, int *status)
{
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "punt", required_argument, NULL, 'p' },
		{ "crypto", required_argument, NULL, 'c' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	*o = (struct options){ .socket = -1, .punt = -1, .log_level = LOG_INFO };
	*status = EXIT_SUCCESS;
	while ((c = getopt_long(argc, argv, "dhV", longs, NULL)) != -1) {
		switch (c) {
		case 's':
		case 'p':
			if (parse_fd(optarg, c == 's' ? &o->socket : &o->punt)) {
				fprintf(stderr, "nexus-dp: %s is not a descriptor\n", optarg);
				goto wrong;
			}
			break;
		case 'c':
			o->crypto = optarg;
			break;
		case 'd':
			o->log_level = LOG_DEBUG;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'V':
			puts("nexus-dp " NX_VERSION);
			return 1;
		default:
			goto wrong;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "nexus-dp: unexpected argument %s\n", argv[optind]);
wrong:
	fputs("Try nexus-dp --help.\n", stderr);
	*status = EXIT_FAILURE;
	return 1;
}

static int sandbox(void)
{
	/* clang-format off */
	static const char *const calls[] = {
		"epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "fcntl", "getsockname",
		"getsockopt", "ioctl", "mlock", "munlock", "readv", "recvfrom", "recvmmsg",
		"recvmsg", "sendmmsg", "sendto", "setsockopt", NULL,
	};
	/* clang-format on */
	int err = nx_harden_process();

	return err ?: nx_seccomp_allow(calls);
}

static int start(struct dp *dp, const struct options *o)
{
	int err;

	dp->crypto = nx_crypto_provider(o->crypto);
	if (!dp->crypto) {
		nx_err("no cipher provider%s%s works here", o->crypto ? " " : "",
		       o->crypto ? o->crypto : "");
		return -EOPNOTSUPP;
	}
	err = dp_init(dp);
	if (err) {
		nx_err("cannot start: %s", strerror(-err));
		return err;
	}
	err = sandbox();
	if (err)
		nx_err("cannot enter the sandbox: %s", strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	struct options o;
	struct dp *dp;
	int status, err;

	if (parse_options(argc, argv, &o, &status))
		return status;
	nx_log_init("nexus-dp", o.log_level);
	/* The end of the monitor's channel tells as much, and leaves time for goodbyes. */
	signal(SIGTERM, SIG_IGN);
	keep_heap_small();
	dp = calloc(1, sizeof(*dp));
	if (!dp)
		return EXIT_FAILURE;
	err = start(dp, &o);
	if (err)
		return EXIT_FAILURE;
	nx_debug("ciphers by %s", dp->crypto->name);
	if (o.socket >= 0) {
		dp->test_mode = true;
		dp_set_control(dp, o.socket);
		if (o.punt >= 0)
			dp_set_hsd(dp, o.punt);
	} else {
		err = dp_monitor_start(dp, NX_MONITOR_FD);
		if (err) {
			nx_err("descriptor %d is not the monitor's channel: start nexusd instead",
			       NX_MONITOR_FD);
			return EXIT_FAILURE;
		}
	}
	while (!dp->stop || dp_in_limbo(dp))
		dp_round(dp, DP_WAIT_FOREVER);
	dp_fini(dp);
	free(dp);
	fflush(NULL);
	/* Without the handlers of exit(): the sanitizers' need calls that the sandbox refuses. */
	_exit(EXIT_SUCCESS);
}
