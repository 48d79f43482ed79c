// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a sandboxed child can no longer do, tried in forked children; and what its log says. A child
 * reports by its exit status: 0, or the line number of the check that failed, modulo 251, plus 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/capability.h>

#include "log.h"
#include "sandbox.h"

#define CHECK(cond)                                \
	do {                                       \
		if (!(cond))                       \
			_exit(__LINE__ % 251 + 1); \
	} while (0)

static void run_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("child ended with status %#x (line %d modulo 251)", status,
			 WEXITSTATUS(status) - 1);
}

/* The value of a line of the already opened /proc/self/status. */
static void status_value(int fd, const char *key, char *out, size_t cap)
{
	char buf[8192];
	ssize_t n;
	char *at;

	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	n = read(fd, buf, sizeof(buf) - 1);
	CHECK(n > 0);
	buf[n] = 0;
	at = strstr(buf, key);
	CHECK(at);
	at += strlen(key);
	at += strspn(at, " \t");
	snprintf(out, cap, "%.*s", (int)strcspn(at, "\n"), at);
}

static void hardened_child(void)
{
	struct rlimit core;

	CHECK(!nx_harden_process());
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(!getrlimit(RLIMIT_CORE, &core) && !core.rlim_cur && !core.rlim_max);
}

static void seccomp_child(void)
{
	static const char *const names[] = { "lseek", "no_such_system_call", NULL };
	int status = open("/proc/self/status", O_RDONLY);
	char value[64];

	CHECK(status >= 0);
	CHECK(!nx_harden_process());
	CHECK(!nx_seccomp_allow(names));
	errno = 0;
	CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM);
	errno = 0;
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == EPERM);
	errno = 0;
	CHECK(execl("/bin/true", "true", NULL) < 0 && errno == EPERM);
	errno = 0;
	CHECK(fork() < 0 && errno == EPERM);
	status_value(status, "Seccomp:", value, sizeof(value));
	CHECK(!strcmp(value, "2"));
	status_value(status, "NoNewPrivs:", value, sizeof(value));
	CHECK(!strcmp(value, "1"));
	free(malloc(1 << 20));
}

static void unprivileged_child(void)
{
	int status = open("/proc/self/status", O_RDONLY);
	char value[64];

	CHECK(status >= 0);
	CHECK(nx_drop_to_user("nobody", 1ull << CAP_NET_ADMIN) == 0);
	CHECK(getuid() != 0 && geteuid() != 0 && setuid(0) < 0);
	status_value(status, "CapEff:", value, sizeof(value));
	CHECK(strtoull(value, NULL, 16) == 1ull << CAP_NET_ADMIN);
	status_value(status, "CapAmb:", value, sizeof(value));
	CHECK(strtoull(value, NULL, 16) == 1ull << CAP_NET_ADMIN);
	status_value(status, "CapBnd:", value, sizeof(value));
	CHECK(strtoull(value, NULL, 16) == 1ull << CAP_NET_ADMIN);
	status_value(status, "Groups:", value, sizeof(value));
	CHECK(value[strspn(value, " \t")] == 0);
}

static void powerless_child(void)
{
	int status = open("/proc/self/status", O_RDONLY);
	char value[64];

	CHECK(status >= 0);
	CHECK(nx_drop_to_user("no-such-user-nexus", 0) == -ENOENT);
	CHECK(nx_drop_to_user("nobody", 0) == 0);
	status_value(status, "CapPrm:", value, sizeof(value));
	CHECK(strtoull(value, NULL, 16) == 0);
	status_value(status, "CapBnd:", value, sizeof(value));
	CHECK(strtoull(value, NULL, 16) == 0);
}

static void hardening(void **state)
{
	run_child(hardened_child);
}

static void system_calls(void **state)
{
	run_child(seccomp_child);
}

static void users(void **state)
{
	if (geteuid())
		skip();
	run_child(unprivileged_child);
	run_child(powerless_child);
}

static void log_to_stderr_child(void)
{
	int p[2];
	char line[256] = { 0 };

	CHECK(!pipe(p));
	CHECK(dup2(p[1], STDERR_FILENO) == STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	unsetenv("NX_JOURNAL_FD");
	nx_log_init("nexus-dp", LOG_INFO);
	nx_debug("not wanted");
	nx_log_full(LOG_INFO, "SessionUp", "office", "peer said \"a\nb\x1b[31m\"");
	CHECK(read(p[0], line, sizeof(line) - 1) > 0);
	CHECK(!strcmp(line, "nexus-dp[office]: peer said \"a?b?[31m\"\n"));
}

static void log_to_journal_child(void)
{
	static const char want[] = "MESSAGE=up 7\nPRIORITY=4\nSYSLOG_IDENTIFIER=nexusd\n"
				   "NEXUS_EVENT=SessionUp\nNEXUS_TUNNEL=office\n";
	char number[16], got[512] = { 0 };
	int sv[2];

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	snprintf(number, sizeof(number), "%d", sv[0]);
	setenv("NX_JOURNAL_FD", number, 1);
	nx_log_init("nexusd", LOG_INFO);
	nx_log_full(LOG_WARNING, "SessionUp", "office", "up %d", 7);
	CHECK(recv(sv[1], got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
	CHECK(!strcmp(got, want));
	/* Also behind a filter that allows nothing more. */
	CHECK(!nx_harden_process());
	CHECK(!nx_seccomp_allow((const char *const[]){ "recvfrom", NULL }));
	nx_log_full(LOG_WARNING, "SessionUp", "office", "up %d", 7);
	CHECK(recv(sv[1], got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
	CHECK(!strcmp(got, want));
}

static void logging(void **state)
{
	run_child(log_to_stderr_child);
	run_child(log_to_journal_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hardening),
		cmocka_unit_test(system_calls),
		cmocka_unit_test(users),
		cmocka_unit_test(logging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
