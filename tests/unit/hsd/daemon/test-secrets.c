// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * After the hand-over no key of the session is in the memory of either nexus-hsd: searches
 * /proc/PID/mem for everything the export carried. Needs the right to read it (root).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-dp.h"
#include "t-hsd.h"

#define CHUNK (1 << 20)

/* Every place of @needle in the readable memory of @pid, printed; returns how many. */
static unsigned int search_range(int mem, unsigned long from, unsigned long to,
				 const uint8_t *needle, size_t len, const char *what)
{
	static uint8_t buf[CHUNK + 64];
	unsigned int found = 0;
	unsigned long at;
	uint8_t *hit;
	ssize_t n;

	for (at = from; at < to; at += CHUNK) {
		n = pread(mem, buf, CHUNK + len < to - at ? CHUNK + len : to - at, (off_t)at);
		if (n <= 0)
			break;
		for (hit = buf; (hit = memmem(hit, (size_t)(buf + n - hit), needle, len)); hit++) {
			print_message("%s at %#lx of %#lx-%#lx\n", what,
				      at + (unsigned long)(hit - buf), from, to);
			found++;
		}
	}
	return found;
}

static unsigned int search(pid_t pid, const uint8_t *needle, size_t len, const char *what)
{
	char path[64], line[512], perms[8];
	unsigned long from, to;
	unsigned int found = 0;
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3 && perms[0] == 'r')
			found += search_range(mem, from, to, needle, len, what);
	}
	close(mem);
	fclose(maps);
	return found;
}

/* In full, and by its first half: a partial overwrite is no wipe. */
static unsigned int search_keys(pid_t pid, const struct t_session *s, const char *who)
{
	unsigned int found = 0;
	char what[64];
	int i;

	for (i = NQD_A_KEYS_TX_KEY; i <= NQD_A_KEYS_RX_SECRET; i++) {
		assert_true(s->k[i].present);
		/* An iv is no secret once the key is gone, and short enough to be found anywhere. */
		if (s->k[i].len < 16)
			continue;
		snprintf(what, sizeof(what), "%s: key attribute %d", who, i);
		found += search(pid, s->k[i].data, s->k[i].len, what);
		found += search(pid, s->k[i].data, 12, what);
	}
	return found;
}

static void no_key_stays(void **state)
{
	struct t_session ss, cs;
	struct sockaddr_storage addr, ignored;
	struct t_hsd server, client;
	uint8_t secret[32], pub[32];
	unsigned int i;
	int sock;

	t_hsd_start(&server, 0);
	t_hsd_start(&client, 0);
	sock = t_udp(AF_INET, false, &addr);
	assert_int_equal(t_set_server(&server, &t_default_config, sock), 0);
	close(sock);
	sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&client, &t_default_config, sock), 0);
	/* More than one, so that memory is reused under the search. */
	for (i = 1; i <= 5; i++) {
		assert_int_equal(t_connect(&client, i, &addr), 0);
		t_wait_both(&client, &cs, sock, &server, &ss);
		/* Once each has answered something else, its export is over. */
		t_stat(&client, HS_A_STATS_PENDING);
		t_stat(&server, HS_A_STATS_PENDING);
		assert_int_equal(search_keys(client.pid, &cs, "client"), 0);
		assert_int_equal(search_keys(server.pid, &ss, "server"), 0);
		t_session_free(&cs);
		t_session_free(&ss);
	}
	/*
	 * The search can find: the server's long-term key is in the store and in the gate, and nowhere
	 * else, until the tunnel goes.
	 */
	t_key(1, secret, pub);
	assert_int_equal(search(server.pid, secret, 32, "long-term key (expected twice)"), 2);
	nxm_put_str(t_begin(&server, HS_CMD_DEL_TUNNEL), HS_A_TUNNEL, T_TUNNEL);
	assert_int_equal(t_request(&server, NULL, 0), 0);
	assert_int_equal(search(server.pid, secret, 32, "long-term key after the end"), 0);
	close(sock);
	t_hsd_stop(&client);
	t_hsd_stop(&server);
}

static int skip_without_root(void **state)
{
	if (geteuid() == 0)
		return 0;
	print_message("skipped: needs root to read another process\n");
	exit(77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_key_stays),
	};

	return cmocka_run_group_tests(tests, (CMFixtureFunction)skip_without_root, NULL);
}
