// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Secret files. The path comes from the control process, which the monitor does not trust:
 * openat2() with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS keeps it inside the secret directory, and
 * the checks are made on the open descriptor, not on the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "secrets.h"

/* The part of @path behind @dir; NULL if it does not lie below. */
static const char *below(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (path[0] != '/')
		return path;
	while (n > 0 && dir[n - 1] == '/')
		n--;
	if (strncmp(path, dir, n) || path[n] != '/')
		return NULL;
	path += n;
	while (*path == '/')
		path++;
	return *path ? path : NULL;
}

static int fail(int err, char *text, size_t text_len, const char *path, const char *why)
{
	snprintf(text, text_len, "%s: %s", path, why);
	return err;
}

static int open_beneath(const char *dir, const char *rel, int flags)
{
	struct open_how how = {
		.flags = (unsigned int)flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK,
		.mode = flags & O_CREAT ? 0600 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dirfd < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dirfd, rel, &how, sizeof(how));
	if (fd < 0)
		fd = -errno;
	close(dirfd);
	return fd;
}

static int check_open_file(int fd, const char *path, char *text, size_t text_len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(-errno, text, text_len, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(-EINVAL, text, text_len, path, "is not a regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(-EPERM, text, text_len, path,
			    "does not belong to root; right is chown root");
	if (st.st_mode & 077)
		return fail(-EPERM, text, text_len, path,
			    "can be read or written by other users; right is chmod 600");
	return 0;
}

static int open_checked(const char *dir, const char *path, int flags, char *text, size_t text_len)
{
	const char *rel = below(dir, path);
	char why[320];
	int fd, r;

	text[0] = '\0';
	if (!rel) {
		snprintf(why, sizeof(why), "lies outside the secret directory %s", dir);
		return fail(-EXDEV, text, text_len, path, why);
	}
	fd = open_beneath(dir, rel, flags);
	if (fd == -EXDEV || fd == -ELOOP) {
		snprintf(why, sizeof(why),
			 "is a symbolic link or leads outside the secret directory %s", dir);
		return fail(fd, text, text_len, path, why);
	}
	if (fd < 0)
		return fail(fd, text, text_len, path,
			    fd == -ENOENT ? "does not exist" : strerror(-fd));
	r = check_open_file(fd, path, text, text_len);
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

int nx_secret_open(const char *dir, const char *path, char *text, size_t text_len)
{
	return open_checked(dir, path, O_RDONLY, text, text_len);
}

int nx_keylog_open(const char *dir, const char *path, char *text, size_t text_len)
{
	return open_checked(dir, path, O_WRONLY | O_APPEND | O_CREAT, text, text_len);
}
