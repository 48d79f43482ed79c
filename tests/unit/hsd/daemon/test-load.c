// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One server process under load: many handshakes one after the other, many at once, more than the
 * bounds allow, and a mixture with clients that have a wrong key, vanish or give up. Every handshake
 * is installed at both ends; memory and descriptors stay flat; nothing is pending at the end. In a
 * build with sanitizers the processes run without their sandbox, and LeakSanitizer's verdict is part
 * of their exit status.
 *
 * NX_LOAD_HANDSHAKES (2000) is the number of those one after the other, NX_LOAD_AT_ONCE (500) of those at
 * once; with less than that the tests of the bounds are left out. NX_LOAD_PROGRAM is another
 * nexus-hsd, and NX_LOAD_WRAPPER, words separated by spaces, starts the server's (valgrind ...).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../dir-entries.h"
#include "server.h"
#include "t-load.h"

/* Generous: under valgrind and on a machine with other work. What waits longer has stopped. */
#define LIMIT_MS 300000
/* The longest that there is. */
#define HANDSHAKE_MS 120000
#define HANDSHAKES 2000
#define AT_ONCE 500
#define AT_ONCE_SITES 10
#define FULL_SITES (HS_PENDING_MAX / HS_PENDING_SITE_MAX)
#define BEYOND 16
#define VANISHING 20
#define CANCELLED 20
#define GOOD 30
/*
 * What the server may grow between the first tenth of the handshakes one after the other and the
 * last: at most 4096 tombstones of less than 700 bytes, which live for five seconds.
 */
/* AddressSanitizer keeps what is freed for a while; it finds leaks by itself. */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_MAX_BYTES (16 << 20)
#else
#define GROWTH_MAX_BYTES (4 << 20)
#endif

static struct {
	struct t_hsd server, client;
	struct t_load load;
	int cover;
	struct sockaddr_storage addr, cover_addr;
	uint64_t next_attempt;
	uint64_t done; /* handshakes that the server must have finished */
} w;

/* ---- the server seen from outside ---- */

/* @wrapper: words that come before the program, or NULL. */
static void start_program(struct t_hsd *h, const char *wrapper)
{
	const char *program = getenv("NX_LOAD_PROGRAM"), *argv[16];
	unsigned int n = 0;
	char *words = NULL, *word, *rest;

	if (wrapper) {
		words = strdup(wrapper);
		assert_non_null(words);
		for (word = strtok_r(words, " ", &rest); word && n < 14;
		     word = strtok_r(NULL, " ", &rest))
			argv[n++] = word;
	}
	argv[n++] = program ? program : T_PROGRAM;
	argv[n] = NULL;
	t_hsd_start_program(h, argv);
	free(words);
}

static unsigned long resident_bytes(void)
{
	unsigned long size, resident;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", w.server.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
	fclose(f);
	return resident * (unsigned long)sysconf(_SC_PAGESIZE);
}

/* Open descriptors of the server; 0 = only root may look into a process that is not dumpable. */
static unsigned int descriptors(void)
{
	int n = t_open_fds(w.server.pid);

	if (n < 0)
		assert_int_equal(n, -EACCES);
	return n < 0 ? 0 : n;
}

/* Step until the server's statistic @attr is @value. */
static void wait_stat(uint16_t attr, uint64_t value)
{
	uint64_t limit = t_now_ms() + LIMIT_MS, now;

	while ((now = t_stat(&w.server, attr)) != value) {
		if (t_now_ms() > limit)
			fail_msg("statistic %u is %llu, not %llu", attr, (unsigned long long)now,
				 (unsigned long long)value);
		t_load_step(&w.load, 10);
	}
}

static void set_server(uint32_t handshake_timeout_ms)
{
	struct t_config c = t_default_config;

	c.handshake_timeout_ms = handshake_timeout_ms;
	c.max_auth_per_s = c.max_auth_per_site_per_s = 1000000;
	assert_int_equal(t_set_server(&w.server, &c, w.load.server.sock), 0);
}

static void give_cover(unsigned int n)
{
	struct nxm *m = t_begin(&w.server, HS_CMD_RELAY_SOCKETS);
	struct sockaddr_storage ignored;
	int fds[NX_IPC_MAX_FDS];
	unsigned int i;

	for (i = 0; i < n; i++) {
		fds[i] = t_udp(AF_INET, false, &ignored);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&w.cover_addr,
					 sizeof(struct sockaddr_in)),
				 0);
	}
	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	assert_int_equal(t_request(&w.server, fds, n), 0);
	nx_close_fds(fds, n);
}

static unsigned int read_cover(void)
{
	unsigned int n = 0;
	uint8_t buf[2048];

	while (recv(w.cover, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

/* ---- clients ---- */

/* A client of the server's user, or (@key) one without the right key. */
static void open_client(struct t_hsd *h, int *sock, unsigned int key)
{
	struct sockaddr_storage ignored;
	struct t_config c = t_default_config;

	c.handshake_timeout_ms = HANDSHAKE_MS;
	c.client_key = key;
	start_program(h, NULL);
	*sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(h, &c, *sock), 0);
}

static void kill_client(struct t_hsd *h, int sock)
{
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	close(h->mon);
	close(h->ctl);
	close(h->punt);
	close(sock);
}

static void close_sites(void)
{
	struct t_load *l = &w.load;

	while (l->n_nets > 0)
		t_net_close(&l->nets[--l->n_nets]);
}

static void let_go(unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		w.load.nets[from].hold_down = false;
}

/* One site shortly after the other: what was held back is no burst that a socket cannot take. */
static void let_go_gently(unsigned int n)
{
	unsigned int i, k;

	for (i = 0; i < n; i++) {
		let_go(i, i + 1);
		for (k = 0; k < 8; k++)
			t_load_step(&w.load, 5);
	}
}

/* @n attempts of @h from site number @site. Returns the first. */
static uint64_t connect_many(struct t_hsd *h, unsigned int site, unsigned int n)
{
	uint64_t first = w.next_attempt;

	while (n-- > 0) {
		assert_int_equal(t_connect(h, w.next_attempt++, &w.load.nets[site].front_name), 0);
		/* So that no queue of the kernel fills. */
		t_load_step(&w.load, 0);
	}
	return first;
}

static void settle(unsigned int n)
{
	w.done += n;
	t_load_settle(&w.load, (unsigned int)w.done, LIMIT_MS);
}

/*
 * The server sees the client at @n sites; what it says waits. Each has had a client before: sites that
 * are not known are not judged while more arrives than a busy machine reads (budget.h).
 */
static void open_sites(unsigned int n)
{
	struct t_load *l = &w.load;

	assert_true(l->n_nets + n <= T_LOAD_NETS_MAX);
	for (; n > 0; n--, l->n_nets++) {
		t_net_open_site(&l->nets[l->n_nets], &w.addr, (uint8_t)(l->n_nets + 1));
		connect_many(&w.client, l->n_nets, 1);
	}
	settle(l->n_nets);
	for (n = 0; n < l->n_nets; n++)
		l->nets[n].hold_down = true;
}

static unsigned int number(const char *variable, unsigned int otherwise)
{
	const char *text = getenv(variable);

	return text ? (unsigned int)atoi(text) : otherwise;
}

static void skip_if_small(void)
{
	if (number("NX_LOAD_AT_ONCE", AT_ONCE) < AT_ONCE)
		skip();
}

/* ---- tests ---- */

static void one_after_another(void **state)
{
	unsigned int n = number("NX_LOAD_HANDSHAKES", HANDSHAKES), i, fds = 0;
	unsigned long rss = 0, growth;

	assert_true(n >= 10);
	for (i = 1; i <= n; i++) {
		assert_int_equal(t_connect(&w.client, w.next_attempt++, &w.addr), 0);
		settle(1);
		if (i == n / 10) {
			rss = resident_bytes();
			fds = descriptors();
		}
	}
	growth = resident_bytes() > rss ? resident_bytes() - rss : 0;
	print_message("%u handshakes: %lu KiB resident after %u, %lu KiB more at the end\n", n,
		      rss >> 10, n / 10, growth >> 10);
	/* valgrind's own memory is none of ours. */
	if (!getenv("NX_LOAD_WRAPPER"))
		assert_true(growth < GROWTH_MAX_BYTES);
	assert_int_equal(descriptors(), fds);
	wait_stat(HS_A_STATS_PENDING, 0);
}

/* The server has begun with all of them before the first one hears from it. */
static void five_hundred_at_once(void **state)
{
	unsigned int n = number("NX_LOAD_AT_ONCE", AT_ONCE), i;

	assert_true(n <= AT_ONCE_SITES * HS_PENDING_SITE_MAX);
	open_sites(AT_ONCE_SITES);
	for (i = 0; i < n; i++)
		connect_many(&w.client, i % AT_ONCE_SITES, 1);
	wait_stat(HS_A_STATS_PENDING, n);
	let_go_gently(AT_ONCE_SITES);
	settle(n);
	wait_stat(HS_A_STATS_PENDING, 0);
	close_sites();
}

/* What one site may not begin goes to the cover; asked again later, it is let in. */
static void more_than_a_site_may(void **state)
{
	uint64_t refused = t_stat(&w.server, HS_A_STATS_REJECTED_FORMAT);
	uint64_t limit = t_now_ms() + LIMIT_MS;
	unsigned int covered = read_cover();

	skip_if_small();
	open_sites(2);
	connect_many(&w.client, 0, HS_PENDING_SITE_MAX);
	wait_stat(HS_A_STATS_PENDING, HS_PENDING_SITE_MAX);
	assert_int_equal(t_stat(&w.server, HS_A_STATS_REJECTED_FORMAT), refused);
	connect_many(&w.client, 0, BEYOND);
	for (covered = 0; covered < BEYOND; covered += read_cover()) {
		assert_true(t_now_ms() < limit);
		t_load_step(&w.load, 10);
	}
	assert_true(t_stat(&w.server, HS_A_STATS_REJECTED_FORMAT) >= refused + BEYOND);
	assert_int_equal(t_stat(&w.server, HS_A_STATS_PENDING), HS_PENDING_SITE_MAX);
	/* The neighbours are not concerned. */
	let_go(1, 2);
	connect_many(&w.client, 1, 1);
	settle(1);
	let_go(0, 1);
	settle(HS_PENDING_SITE_MAX + BEYOND);
	wait_stat(HS_A_STATS_PENDING, 0);
	close_sites();
}

static void more_than_the_server_may(void **state)
{
	uint64_t refused = t_stat(&w.server, HS_A_STATS_REJECTED_FORMAT);
	unsigned int i;

	skip_if_small();
	open_sites(FULL_SITES + 1);
	for (i = 0; i < FULL_SITES; i++)
		connect_many(&w.client, i, HS_PENDING_SITE_MAX);
	wait_stat(HS_A_STATS_PENDING, HS_PENDING_MAX);
	assert_int_equal(t_stat(&w.server, HS_A_STATS_REJECTED_FORMAT), refused);
	connect_many(&w.client, i, BEYOND);
	while (t_stat(&w.server, HS_A_STATS_REJECTED_FORMAT) < refused + BEYOND)
		t_load_step(&w.load, 10);
	assert_int_equal(t_stat(&w.server, HS_A_STATS_PENDING), HS_PENDING_MAX);
	let_go_gently(FULL_SITES + 1);
	settle(HS_PENDING_MAX + BEYOND);
	wait_stat(HS_A_STATS_PENDING, 0);
	close_sites();
}

/* Some never come back: the process is gone, or its control process has cancelled. */
static void begin_and_leave(void)
{
	uint64_t begun = t_stat(&w.server, HS_A_STATS_AUTHENTICATED), first;
	struct t_hsd gone;
	unsigned int i;
	int sock;

	set_server(2000);
	open_client(&gone, &sock, t_default_config.client_key);
	connect_many(&gone, 0, VANISHING);
	first = connect_many(&w.client, 1, CANCELLED);
	/* Not those that are pending: on a slow machine the first may be over already. */
	wait_stat(HS_A_STATS_AUTHENTICATED, begun + VANISHING + CANCELLED);
	kill_client(&gone, sock);
	for (i = 0; i < CANCELLED; i++)
		assert_int_equal(t_cancel(&w.client, first + i), 0);
	set_server(HANDSHAKE_MS);
}

static void mixed_with_failures(void **state)
{
	uint64_t failed = t_stat(&w.server, HS_A_STATS_HANDSHAKES_FAILED);
	uint64_t refused = t_stat(&w.server, HS_A_STATS_REJECTED_TAG);
	struct t_hsd stranger;
	unsigned int i;
	int sock;

	open_sites(4);
	open_client(&stranger, &sock, t_default_config.client_key + 1);
	begin_and_leave();
	let_go(2, 4);
	for (i = 0; i < GOOD; i++) {
		connect_many(&stranger, 2, 1);
		connect_many(&w.client, 3, 1);
	}
	settle(GOOD);
	wait_stat(HS_A_STATS_HANDSHAKES_FAILED, failed + VANISHING + CANCELLED);
	wait_stat(HS_A_STATS_PENDING, 0);
	assert_true(t_stat(&w.server, HS_A_STATS_REJECTED_TAG) >= refused + GOOD);
	assert_int_equal(t_stat(&w.server, HS_A_STATS_HANDSHAKES_OK), w.done);
	assert_int_equal(w.load.failures, CANCELLED);
	assert_int_equal(w.load.reason, HS_REASON_CANCELLED);
	t_hsd_stop(&stranger);
	close(sock);
	close_sites();
}

static int set_up(void **state)
{
	const int room = 1 << 20;

	w.next_attempt = 1;
	w.load.server.hsd = &w.server;
	w.load.client.hsd = &w.client;
	start_program(&w.server, getenv("NX_LOAD_WRAPPER"));
	w.load.server.sock = t_udp(AF_INET, false, &w.addr);
	setsockopt(w.load.server.sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	w.cover = t_udp(AF_INET, false, &w.cover_addr);
	set_server(HANDSHAKE_MS);
	give_cover(8);
	open_client(&w.client, &w.load.client.sock, t_default_config.client_key);
	return 0;
}

/* With a leak checker this is where it has its say. */
static int tear_down(void **state)
{
	if (!w.client.pid)
		return -1;
	t_hsd_stop(&w.client);
	t_hsd_stop(&w.server);
	close(w.load.client.sock);
	close(w.cover);
	close(w.load.server.sock);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_after_another),	cmocka_unit_test(five_hundred_at_once),
		cmocka_unit_test(more_than_a_site_may), cmocka_unit_test(more_than_the_server_may),
		cmocka_unit_test(mixed_with_failures),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
