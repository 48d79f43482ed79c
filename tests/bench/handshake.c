// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Handshakes per second and core: CPU seconds of a server process for each finished handshake, of
 * nexus-hsd and of ngtcp2's own server, one after the other in every round. See tests/bench/handshake.
 *	bench-handshake ROUNDS HANDSHAKES FOLDER	(FOLDER: ed25519.key, .crt, p256.key, .crt)
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-load.h"

/* Handshakes at a time. */
#define BATCH 16
#define LIMIT_MS 120000
#define ROUNDS_MAX 64
/* A server has finished a round when it takes no CPU time for so long. */
#define QUIET_MS 300

struct contender {
	const char *name;
	pid_t pid;
	struct sockaddr_storage addr;
	void (*run)(struct contender *c, unsigned int handshakes);
	double us[ROUNDS_MAX]; /* of CPU time for each handshake */
};

static struct t_hsd nexus, client, any_client;
static struct t_load load;
static uint64_t next_attempt = 1;
static unsigned int done;

static uint64_t cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_ns_when_quiet(pid_t pid)
{
	const struct timespec pause = { 0, QUIET_MS * 1000000 };
	uint64_t before, now = cpu_ns(pid);

	do {
		before = now;
		nanosleep(&pause, NULL);
		now = cpu_ns(pid);
	} while (now != before);
	return now;
}

static void run_nexus(struct contender *c, unsigned int handshakes)
{
	unsigned int i, n;

	for (; handshakes > 0; handshakes -= n) {
		n = handshakes < BATCH ? handshakes : BATCH;
		for (i = 0; i < n; i++)
			assert_int_equal(t_connect(&client, next_attempt++, &c->addr), 0);
		t_load_settle(&load, done += n, LIMIT_MS);
	}
}

static void run_any(struct contender *c, unsigned int handshakes)
{
	char text[256];
	unsigned int i, n;

	for (; handshakes > 0; handshakes -= n) {
		n = handshakes < BATCH ? handshakes : BATCH;
		for (i = 0; i < n; i++)
			assert_int_equal(t_connect(&any_client, next_attempt++, &c->addr), 0);
		for (i = 0; i < n; i++) {
			if (t_wait_failed(&any_client, text) != HS_REASON_CANCELLED)
				fail_msg("%s: %s", c->name, text);
		}
	}
}

/* A free port of the loopback address; it stays free for the moment. */
static void choose_port(struct sockaddr_storage *addr)
{
	close(t_udp(AF_INET, false, addr));
}

static void start_ngtcp2(struct contender *c, const char *folder, const char *kind)
{
	char key[512], crt[512], port[16];

	choose_port(&c->addr);
	snprintf(key, sizeof(key), "%s/%s.key", folder, kind);
	snprintf(crt, sizeof(crt), "%s/%s.crt", folder, kind);
	snprintf(port, sizeof(port), "%u", ntohs(((struct sockaddr_in *)&c->addr)->sin_port));
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		execlp("gtlsserver", "gtlsserver", "--quiet", "--no-pmtud", "--groups",
		       "-GROUP-ALL:+GROUP-X25519", "127.0.0.1", port, key, crt, (char *)NULL);
		_exit(127);
	}
	c->run = run_any;
}

static int open_client(struct t_hsd *h)
{
	struct sockaddr_storage ignored;
	int sock = t_udp(AF_INET, false, &ignored);

	assert_int_equal(t_set_client(h, &t_default_config, sock), 0);
	return sock;
}

static void start_nexus(struct contender *c)
{
	struct t_config config = t_default_config;

	t_hsd_start(&nexus, 0);
	t_hsd_start(&client, 0);
	config.max_auth_per_s = 1000000;
	load.server.hsd = &nexus;
	load.server.sock = t_udp(AF_INET, false, &c->addr);
	assert_int_equal(t_set_server(&nexus, &config, load.server.sock), 0);
	load.client.hsd = &client;
	load.client.sock = open_client(&client);
	c->pid = nexus.pid;
	c->run = run_nexus;
}

static void one_round(struct contender *c, unsigned int round, unsigned int handshakes)
{
	uint64_t before = cpu_ns_when_quiet(c->pid);

	c->run(c, handshakes);
	c->us[round] = (double)(cpu_ns_when_quiet(c->pid) - before) / 1000 / handshakes;
}

static int compare(const void *a, const void *b)
{
	const double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static double median(struct contender *c, unsigned int rounds)
{
	qsort(c->us, rounds, sizeof(c->us[0]), compare);
	return rounds % 2 ? c->us[rounds / 2] : (c->us[rounds / 2 - 1] + c->us[rounds / 2]) / 2;
}

static void report(struct contender *c, unsigned int n, unsigned int rounds)
{
	const double ours = median(&c[0], rounds);
	unsigned int i;
	double us;

	printf("%-28s %12s %12s %20s\n", "server", "us/handshake", "per s, core", "nexus-hsd/this");
	for (i = 0; i < n; i++) {
		us = median(&c[i], rounds);
		printf("%-28s %12.0f %12.0f %20.2f  (%.0f to %.0f us)\n", c[i].name, us, 1e6 / us,
		       us / ours, c[i].us[0], c[i].us[rounds - 1]);
	}
}

int main(int argc, char **argv)
{
	static const char *const any_argv[] = { T_ANY_CLIENT, NULL };
	struct contender c[] = {
		{ .name = "nexus-hsd, Ed25519" },
		{ .name = "ngtcp2 gtlsserver, Ed25519" },
		{ .name = "ngtcp2 gtlsserver, P-256" },
	};
	const unsigned int n = sizeof(c) / sizeof(c[0]);
	unsigned int rounds, handshakes, r, i;

	if (argc != 4)
		return EXIT_FAILURE;
	rounds = (unsigned int)atoi(argv[1]);
	handshakes = (unsigned int)atoi(argv[2]);
	if (rounds < 1 || rounds > ROUNDS_MAX || handshakes < 1)
		return EXIT_FAILURE;
	start_nexus(&c[0]);
	start_ngtcp2(&c[1], argv[3], "ed25519");
	start_ngtcp2(&c[2], argv[3], "p256");
	t_hsd_start_program(&any_client, any_argv);
	open_client(&any_client);
	/* Not counted: caches, first allocations. */
	for (i = 0; i < n; i++)
		c[i].run(&c[i], 4 * BATCH);
	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++)
			one_round(&c[i], r, handshakes);
	}
	report(c, n, rounds);
	for (i = 1; i < n; i++) {
		kill(c[i].pid, SIGTERM);
		waitpid(c[i].pid, NULL, 0);
	}
	t_hsd_stop(&any_client);
	t_hsd_stop(&client);
	t_hsd_stop(&nexus);
	return EXIT_SUCCESS;
}
