// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the monitor does with descriptors and files: the store replaces and is bounded, secret files are opened
 * only below their directory and only when nobody else can read them. Needs root for chown; the rest
 * runs as anybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "fd-store.h"
#include "lib/hs_proto.h"
#include "replay-memory.h"
#include "secrets.h"

static char dir[] = "/tmp/nexus-test-XXXXXX";

static void put_file(const char *name, mode_t mode)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
{
	if (!mkdtemp(dir) || mkdir(path_of("keys"), 0700) < 0 ||
	    mkdir(path_of("keys/sub"), 0700) < 0)
		return -1;
	put_file("outside.key", 0600);
	put_file("keys/good.key", 0600);
	put_file("keys/readonly.key", 0400);
	put_file("keys/sub/deep.key", 0600);
	put_file("keys/group.key", 0640);
	put_file("keys/world.key", 0604);
	put_file("keys/writable.key", 0602);
	if (symlink("good.key", path_of("keys/link.key")) < 0 ||
	    symlink("../outside.key", path_of("keys/out.key")) < 0 ||
	    symlink("..", path_of("keys/up")) < 0)
		return -1;
	return mkfifo(path_of("keys/fifo"), 0600);
}

static int teardown(void **state)
{
	static const char *const files[] = {
		"keys/good.key",  "keys/readonly.key", "keys/sub/deep.key", "keys/group.key",
		"keys/world.key", "keys/writable.key", "keys/link.key",	    "keys/out.key",
		"keys/up",	  "keys/fifo",	       "keys/log",	    "outside.key",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)unlink(path_of(files[i]));
	(void)rmdir(path_of("keys/sub"));
	(void)rmdir(path_of("keys"));
	return rmdir(dir);
}

static int try_open(const char *path, char *text)
{
	char secret_dir[256];
	int fd;

	snprintf(secret_dir, sizeof(secret_dir), "%s/keys", dir);
	fd = nx_secret_open(secret_dir, path, text, 320);
	if (fd < 0)
		return fd;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	return 0;
}

static void test_secret_good(void **state)
{
	char text[320];

	assert_int_equal(try_open(path_of("keys/good.key"), text), 0);
	assert_string_equal(text, "");
	assert_int_equal(try_open(path_of("keys//good.key"), text), 0);
	assert_int_equal(try_open(path_of("keys/readonly.key"), text), 0);
	assert_int_equal(try_open(path_of("keys/sub/deep.key"), text), 0);
	assert_int_equal(try_open("good.key", text), 0);
	assert_int_equal(try_open("sub/../good.key", text), 0);
}

static void test_secret_refused(void **state)
{
	static const struct {
		const char *path;
		int err;
		const char *text;
	} cases[] = {
		{ "group.key", -EPERM,
		  "can be read or written by other users; right is chmod 600" },
		{ "world.key", -EPERM,
		  "can be read or written by other users; right is chmod 600" },
		{ "writable.key", -EPERM,
		  "can be read or written by other users; right is chmod 600" },
		{ "none.key", -ENOENT, "does not exist" },
		{ "link.key", -ELOOP, "symbolic link" },
		{ "out.key", -ELOOP, "symbolic link" },
		{ "up/outside.key", -ELOOP, "symbolic link" },
		{ "../outside.key", -EXDEV, "leads outside the secret directory" },
		{ "fifo", -EINVAL, "is not a regular file" },
		{ "sub", -EINVAL, "is not a regular file" },
		{ "/etc/passwd", -EXDEV, "lies outside the secret directory" },
	};
	char text[320];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(try_open(cases[i].path, text), cases[i].err);
		assert_non_null(strstr(text, cases[i].text));
		assert_int_equal(strncmp(text, cases[i].path, strlen(cases[i].path)), 0);
	}
	assert_int_equal(try_open(path_of("keys/../outside.key"), text), -EXDEV);
	/* A folder whose name merely begins alike. */
	assert_int_equal(try_open(path_of("keys2/good.key"), text), -EXDEV);
	assert_int_equal(try_open(path_of("keys"), text), -EXDEV);
}

static void test_secret_owner(void **state)
{
	char text[320];

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(path_of("keys/readonly.key"), 12345, 12345), 0);
	assert_int_equal(try_open("readonly.key", text), -EPERM);
	assert_non_null(strstr(text, "does not belong to root"));
	assert_int_equal(chown(path_of("keys/readonly.key"), 0, 0), 0);
}

static void test_keylog(void **state)
{
	char secret_dir[256], text[320];
	struct stat st;
	int fd;

	snprintf(secret_dir, sizeof(secret_dir), "%s/keys", dir);
	fd = nx_keylog_open(secret_dir, path_of("keys/log"), text, sizeof(text));
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(fd, F_GETFL) & O_APPEND);
	assert_int_equal(write(fd, "a", 1), 1);
	close(fd);
	fd = nx_keylog_open(secret_dir, path_of("keys/log"), text, sizeof(text));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "b", 1), 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 2);
	close(fd);
	assert_int_equal(nx_keylog_open(secret_dir, path_of("keylog"), text, sizeof(text)), -EXDEV);
	assert_int_equal(nx_keylog_open(secret_dir, path_of("keys/link.key"), text, sizeof(text)),
			 -ELOOP);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_fd_store(void **state)
{
	struct nx_fd_store s;
	char name[120];
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC),
	    b = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int c = open("/dev/null", O_RDONLY | O_CLOEXEC);

	nx_fd_store_init(&s);
	assert_int_equal(nx_fd_store_put(&s, "tun:x", a), 0);
	assert_int_equal(nx_fd_store_put(&s, "tun:x", b), 0);
	assert_false(is_open(a));
	assert_int_equal(s.n, 1);
	assert_int_equal(nx_fd_store_put(&s, "", c), -EINVAL);
	assert_false(is_open(c));
	memset(name, 'n', sizeof(name));
	name[96] = '\0';
	assert_int_equal(nx_fd_store_put(&s, name, open("/dev/null", O_RDONLY | O_CLOEXEC)),
			 -EINVAL);
	nx_fd_store_remove(&s, "other");
	assert_true(is_open(b));
	nx_fd_store_remove(&s, "tun:x");
	assert_false(is_open(b));
	assert_int_equal(s.n, 0);
	assert_int_equal(nx_fd_store_put(&s, "y", open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	nx_fd_store_clear(&s);
	assert_int_equal(s.n, 0);
}

/* ---- replay caches over a stop ---- */

static int put_memory(struct nx_fd_store *s, const char *name, uint8_t mark)
{
	int fd = nx_replay_memory_new();

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(pwrite(fd, &mark, 1, HS_REPLAY_MEMORY_LEN - 1), 1);
	return nx_fd_store_put(s, name, fd);
}

static void test_replay_files(void **state)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	char run[256], file[300];
	struct nx_fd_store s;
	struct stat st;
	uint8_t mark;
	int fd;

	snprintf(run, sizeof(run), "%s", path_of("run"));
	snprintf(file, sizeof(file), "%s/replay-a_b-1", run);
	nx_fd_store_init(&s);
	/* Nothing was kept, nothing is to be kept. */
	nx_replay_load(run, &s);
	nx_replay_save(run, &s);
	assert_int_equal(stat(run, &st), -1);
	/* Names that lead elsewhere, and what is no such memory. */
	assert_int_equal(put_memory(&s, "replay:../outside", 1), 0);
	assert_int_equal(put_memory(&s, "replay:", 1), 0);
	assert_int_equal(put_memory(&s, "tun:x", 1), 0);
	assert_int_equal(nx_fd_store_put(&s, "replay:null", open("/dev/zero", O_RDONLY)), 0);
	assert_int_equal(put_memory(&s, "replay:a_b-1", 7), 0);
	nx_replay_save(run, &s);
	nx_fd_store_clear(&s);
	assert_int_equal(stat(run, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* Once only, sealed as before, and nothing but that one. */
	nx_replay_load(run, &s);
	assert_int_equal(s.n, 1);
	assert_string_equal(TAILQ_FIRST(&s.entries)->name, "replay:a_b-1");
	fd = TAILQ_FIRST(&s.entries)->fd;
	assert_int_equal(fcntl(fd, F_GET_SEALS), seals);
	assert_int_equal(pread(fd, &mark, 1, HS_REPLAY_MEMORY_LEN - 1), 1);
	assert_int_equal(mark, 7);
	assert_int_equal(stat(file, &st), -1);
	/* Cut, or a link: not used, and gone. */
	nx_replay_save(run, &s);
	nx_fd_store_clear(&s);
	assert_int_equal(truncate(file, HS_REPLAY_MEMORY_LEN - 1), 0);
	nx_replay_load(run, &s);
	assert_int_equal(s.n, 0);
	assert_int_equal(stat(file, &st), -1);
	assert_int_equal(symlink("/dev/zero", file), 0);
	nx_replay_load(run, &s);
	assert_int_equal(s.n, 0);
	assert_int_equal(unlink(file), 0);
	/* A folder that others can write to. */
	assert_int_equal(put_memory(&s, "replay:x", 1), 0);
	assert_int_equal(chmod(run, 0770), 0);
	nx_replay_save(run, &s);
	nx_fd_store_clear(&s);
	assert_int_equal(rmdir(run), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret_good),  cmocka_unit_test(test_secret_refused),
		cmocka_unit_test(test_secret_owner), cmocka_unit_test(test_keylog),
		cmocka_unit_test(test_fd_store),     cmocka_unit_test(test_replay_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
