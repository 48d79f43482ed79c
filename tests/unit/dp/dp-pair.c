// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two data planes with hand-made sessions between them, each in its network namespace: without
 * handshake or control process, for measurements and experiments.
 *
 * Usage: dp-pair PLANE[,PLANE] NS_A ADDR_A NS_B ADDR_B [CIPHER [MTU [KEYS [SESSIONS]]]]
 * A PLANE is the path of nexus-dp, or "module"; the second is B's if it is another. The namespaces
 * and the path between ADDR_A and ADDR_B exist; the devices get the name nxp0 and stay without
 * addresses. KEYS is a file of dp-keys, of which no byte stays in this process, or "-". Session 1 has what
 * no other has; session i + 1, if there are more, has 10.65.0.0 + i inside A and 10.64.0.0 + i inside B. All
 * may reach each other. It prints "ready" and runs until SIGINT, SIGTERM or the end of its input; then it
 * prints the counters of session 1 that are not 0.
 *
 * Lines of its input: "update" starts a key update at A, "delete" deletes session 1 at both ends,
 * "close" does so at A with CONNECTION_CLOSE, "revoke" deletes all sessions of its user at B, "mark N" sets
 * SO_MARK of A's socket. Each is answered with "done" or "refused", and the microseconds that it took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/netns.h"
#include "abi-client.h"
#include "masked-keys.h"

#define USER 7

struct end {
	struct abi abi;
	struct abi_session session;
	struct sockaddr_storage bound;
	char ifname[IFNAMSIZ];
	int tun;
};

static struct end ends[2];

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

	if (!netns_enter(ns))
		check(-errno, ns, "");
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

/* The secrets of a file, to be wiped soon. */
static void read_secrets(const char *path, struct abi_secrets *secrets)
{
	static struct masked_keys keys;
	FILE *f = fopen(path, "r");

	if (!f || fread(&keys, sizeof(keys), 1, f) != 1)
		check(-errno, "keys", path);
	fclose(f);
	*secrets = keys.secrets;
	masked_flip((uint8_t *)secrets, sizeof(*secrets));
}

static void add_at(struct end *e, const struct abi_secrets *own)
{
	struct nxm_error err = { 0 };

	e->session.own = own;
	check(abi_add_session(&e->abi, &e->session, &err), "session", err.text);
	e->session.own = NULL;
	explicit_bzero(e->abi.out, sizeof(e->abi.out));
}

/* One of many has its peer's address inside for a route, the first is for everything else. */
static void set_route(struct abi_session *s, uint32_t number)
{
	/* B is the server. */
	uint32_t inner = htonl((s->server ? 0x0a410000 : 0x0a400000) + number);

	s->flags = number ? 0 : NQD_SESSION_F_DEFAULT_ROUTE;
	s->n_routes = number ? 1 : 0;
	s->routes[0].family = AF_INET;
	s->routes[0].len = 32;
	memcpy(s->routes[0].addr, &inner, sizeof(inner));
}

/* Session @number, counted from 0, at both ends. */
static void add_session(uint32_t number, uint16_t cipher, uint32_t mtu,
			const struct abi_secrets *own)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct abi_session *s = &ends[i].session;

		s->id = number + 1;
		s->serial = number;
		s->user = USER;
		/* B's own addresses match no route but the first session's, which are then a peer's. */
		s->peer_group = 1;
		s->server = i;
		s->cipher = cipher;
		s->mtu = mtu;
		set_route(s, number);
		/* A cipher's limit is reached within seconds: updates must be possible. */
		s->secrets = true;
		s->ifname = ends[i].ifname;
		s->remote = ends[!i].bound;
		add_at(&ends[i], own);
	}
}

/* @attr: what else the command says of the session, 0: its number is all. */
static int command(struct end *e, uint8_t cmd, uint16_t attr, uint64_t value)
{
	struct nxm m;
	size_t nest;

	abi_begin(&e->abi, &m, cmd, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	if (attr != NQD_A_SESSION_USER)
		nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	if (attr)
		nxm_put_u64(&m, attr, value);
	nxm_nest_end(&m, nest);
	return abi_call(&e->abi, &m, NULL, NULL, NULL);
}

static int set_mark(int fd, unsigned int mark)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? -errno : 0;
}

static int obey(const char *line)
{
	unsigned int mark;

	if (!strcmp(line, "update\n"))
		return command(&ends[0], NQD_CMD_KEY_UPDATE, 0, 0);
	if (!strcmp(line, "close\n"))
		return command(&ends[0], NQD_CMD_DELETE_SESSION, NQD_A_SESSION_CLOSE_CODE, 0);
	if (!strcmp(line, "revoke\n"))
		return command(&ends[1], NQD_CMD_DELETE_SESSION, NQD_A_SESSION_USER, USER);
	if (sscanf(line, "mark %u\n", &mark) == 1)
		return set_mark(ends[0].session.socket, mark);
	if (strcmp(line, "delete\n"))
		return -EINVAL;
	return command(&ends[0], NQD_CMD_DELETE_SESSION, 0, 0)
		       ?: command(&ends[1], NQD_CMD_DELETE_SESSION, 0, 0);
}

static void obey_input(void)
{
	struct timespec before, after;
	char line[64];
	int err;

	while (fgets(line, sizeof(line), stdin)) {
		clock_gettime(CLOCK_MONOTONIC, &before);
		err = obey(line);
		clock_gettime(CLOCK_MONOTONIC, &after);
		printf("%s %lld\n", err ? "refused" : "done",
		       (after.tv_sec - before.tv_sec) * 1000000LL +
			       (after.tv_nsec - before.tv_nsec) / 1000);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	static struct abi_secrets secrets;
	uint32_t number, sessions, mtu;
	bool own = argc > 8 && strcmp(argv[8], "-");
	char *planes[2];
	uint16_t cipher;
	int i;

	if (argc < 6) {
		fprintf(stderr, "Usage: dp-pair PLANE[,PLANE] NS_A ADDR_A NS_B ADDR_B [CIPHER [MTU "
				"[KEYS [SESSIONS]]]]\n");
		return 1;
	}
	cipher = argc > 6 ? strtoul(argv[6], NULL, 0) : NQD_CIPHER_AES_128_GCM;
	mtu = argc > 7 ? strtoul(argv[7], NULL, 0) : 1452;
	sessions = argc > 9 ? strtoul(argv[9], NULL, 0) : 1;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	planes[0] = strtok(argv[1], ",");
	planes[1] = strtok(NULL, ",") ?: planes[0];
	for (i = 0; i < 2; i++)
		open_end(&ends[i], planes[i], argv[2 + 2 * i], argv[3 + 2 * i]);
	if (own)
		read_secrets(argv[8], &secrets);
	for (number = 0; number < sessions; number++)
		add_session(number, cipher, mtu, own ? &secrets : NULL);
	explicit_bzero(&secrets, sizeof(secrets));
	setlinebuf(stdout);
	puts("ready");
	obey_input();
	print_counters(&ends[0], "a");
	print_counters(&ends[1], "b");
	for (i = 0; i < 2; i++)
		ends[i].abi.ops->close(&ends[i].abi);
	return 0;
}
