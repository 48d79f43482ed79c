// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of the state folder, see state-file.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "state-file.h"

static int path_of(const char *dir, const char *name, const char *suffix, char path[PATH_MAX])
{
	if (!dir)
		return -ENOENT;
	return snprintf(path, PATH_MAX, "%s/%s%s", dir, name, suffix) < PATH_MAX ? 0
										 : -ENAMETOOLONG;
}

static int write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int nx_state_file_write(const char *dir, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int err, fd;

	err = path_of(dir, name, "", path);
	if (!err)
		err = path_of(dir, name, ".new", fresh);
	if (err)
		return err;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, data, len);
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(fresh, path) < 0)
		err = -errno;
	if (err)
		(void)unlink(fresh);
	return err;
}

ssize_t nx_state_file_read(const char *dir, const char *name, void *buf, size_t cap)
{
	char path[PATH_MAX], more;
	size_t len = 0;
	ssize_t n = 1;
	int err, fd;

	err = path_of(dir, name, "", path);
	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	while (len < cap && n > 0) {
		n = read(fd, (char *)buf + len, cap - len);
		len += n > 0 ? (size_t)n : 0;
	}
	err = n < 0 ? -errno : 0;
	if (!err && len == cap && read(fd, &more, 1) > 0)
		err = -EFBIG;
	close(fd);
	return err ? err : (ssize_t)len;
}

int nx_state_file_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int err = path_of(dir, name, "", path);

	if (!err && unlink(path) < 0)
		err = -errno;
	return err == -ENOENT ? 0 : err;
}
