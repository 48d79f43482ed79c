// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two data planes with one hand-made session between them, each in its network namespace: without
 * handshake or control process, for measurements and experiments.
 *
 * Usage: dp-pair PLANE[,PLANE] NS_A ADDR_A NS_B ADDR_B [CIPHER [MTU]]
 * A PLANE is the path of nexus-dp, or "module"; the second is B's if it is another. The namespaces
 * and the path between ADDR_A and ADDR_B exist; the devices get the name nxp0 and stay without
 * addresses. It prints "ready" and runs until SIGINT, SIGTERM or the end of its
 * input; then it prints the counters that are not 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi-client.h"

struct end {
	struct abi abi;
	struct abi_session session;
	struct sockaddr_storage bound;
	char ifname[IFNAMSIZ];
	int tun;
};

static struct end ends[2];

static void enter(const char *ns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
		fprintf(stderr, "dp-pair: namespace %s: %s\n", ns, strerror(errno));
		exit(1);
	}
	close(fd);
}

static void check(int err, const char *what, const char *text)
{
	if (err >= 0)
		return;
	fprintf(stderr, "dp-pair: %s: %s %s\n", what, strerror(-err), text);
	exit(1);
}

static void open_end(struct end *e, const char *plane, const char *ns, const char *addr)
{
	const struct abi_transport *transport = abi_transport_for(plane);
	struct nxm_error err = { 0 };

	enter(ns);
	strcpy(e->ifname, "nxp0");
	e->tun = -1;
	if (!transport->module) {
		e->tun = abi_open_tun(e->ifname);
		check(e->tun, "TUN", "");
	}
	e->session.socket = abi_open_udp(addr, 4433, &e->bound);
	check(e->session.socket, "UDP socket", addr);
	check(transport->open(&e->abi, plane), "data plane", plane);
	check(abi_create_device(&e->abi, e->tun, e->ifname, &err), "device", err.text);
}

static void print_counters(struct end *e, const char *name)
{
	int i;

	for (i = 1; i <= NQD_A_STATS_MAX; i++) {
		uint64_t v = abi_stat(&e->abi, 1, i);

		if (v)
			printf("%s %-44s %llu\n", name, nqd_stats_set.policy[i].name + 12,
			       (unsigned long long)v);
	}
}

static void on_signal(int sig)
{
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	char *planes[2], c;
	int i;

	if (argc < 6) {
		fprintf(stderr,
			"Usage: dp-pair PLANE[,PLANE] NS_A ADDR_A NS_B ADDR_B [CIPHER [MTU]]\n");
		return 1;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	planes[0] = strtok(argv[1], ",");
	planes[1] = strtok(NULL, ",") ?: planes[0];
	for (i = 0; i < 2; i++)
		open_end(&ends[i], planes[i], argv[2 + 2 * i], argv[3 + 2 * i]);
	for (i = 0; i < 2; i++) {
		struct abi_session *s = &ends[i].session;
		struct nxm_error err = { 0 };

		s->id = 1;
		s->server = i;
		s->cipher = argc > 6 ? strtoul(argv[6], NULL, 0) : NQD_CIPHER_AES_128_GCM;
		s->mtu = argc > 7 ? strtoul(argv[7], NULL, 0) : 1452;
		s->flags = NQD_SESSION_F_DEFAULT_ROUTE;
		/* A cipher's limit is reached within seconds: updates must be possible. */
		s->secrets = true;
		s->ifname = ends[i].ifname;
		s->remote = ends[!i].bound;
		check(abi_add_session(&ends[i].abi, s, &err), "session", err.text);
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	print_counters(&ends[0], "a");
	print_counters(&ends[1], "b");
	for (i = 0; i < 2; i++)
		ends[i].abi.ops->close(&ends[i].abi);
	return 0;
}
