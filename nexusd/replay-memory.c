// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replay caches on their way over a stop of the service, see replay-memory.h. The descriptors come from the
 * control process and their content from nexus-hsd: neither name nor size is believed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/hs_proto.h"
#include "lib/log.h"
#include "replay-memory.h"

#define STORE_PREFIX "replay:"
#define FILE_PREFIX "replay-"
#define TEMPORARY "new"
#define TUNNEL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
#define TUNNEL_NAME_MAX 31
/* Files of three MiB each, in a file system of memory: the control process may not fill that. */
#define REPLAYS_MAX 64

int nx_replay_memory_new(void)
{
	int fd = memfd_create("nexus-replay", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, HS_REPLAY_MEMORY_LEN) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* The tunnel's name behind @prefix, or NULL if there is none. */
static const char *tunnel_of(const char *name, const char *prefix)
{
	size_t n = strlen(prefix), len;

	if (strncmp(name, prefix, n))
		return NULL;
	name += n;
	len = strlen(name);
	return len >= 1 && len <= TUNNEL_NAME_MAX && !name[strspn(name, TUNNEL_CHARS)] ? name
										       : NULL;
}

/* Root's alone, or somebody else could put an empty one in a file's place. */
static int open_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (st.st_uid != geteuid() || (st.st_mode & 022))
		err = -EPERM;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static bool has_right_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == HS_REPLAY_MEMORY_LEN;
}

static int copy(int from, int to)
{
	char buf[65536];
	off_t at = 0;
	ssize_t n;

	if (!has_right_size(from))
		return -EBADMSG;
	while (at < HS_REPLAY_MEMORY_LEN) {
		n = pread(from, buf, sizeof(buf), at);
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		if (pwrite(to, buf, (size_t)n, at) != n)
			return -EIO;
		at += n;
	}
	return 0;
}

/* ---- load ---- */

static int load_file(int dir, const char *file, const char *tunnel, struct nx_fd_store *store)
{
	int from = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), to, r;
	char name[sizeof(STORE_PREFIX) + TUNNEL_NAME_MAX];

	if (from < 0)
		return -errno;
	to = nx_replay_memory_new();
	r = to < 0 ? to : copy(from, to);
	close(from);
	if (unlinkat(dir, file, 0) < 0 && !r)
		r = -errno;
	if (!r) {
		snprintf(name, sizeof(name), STORE_PREFIX "%s", tunnel);
		return nx_fd_store_put(store, name, to);
	}
	if (to >= 0)
		close(to);
	return r;
}

void nx_replay_load(const char *dir, struct nx_fd_store *store)
{
	int fd = open_dir(dir), r;
	const char *tunnel;
	unsigned int n = 0;
	struct dirent *e;
	DIR *d;

	if (fd < 0) {
		if (fd != -ENOENT)
			nx_err("%s: replay caches are not taken from there: %s", dir,
			       strerror(-fd));
		return;
	}
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	while ((e = readdir(d))) {
		tunnel = tunnel_of(e->d_name, FILE_PREFIX);
		if (!tunnel)
			continue;
		if (n++ < REPLAYS_MAX)
			r = load_file(fd, e->d_name, tunnel, store);
		else
			r = unlinkat(fd, e->d_name, 0) < 0 ? -errno : -ENOSPC;
		if (r)
			nx_log_full(LOG_ERR, NULL, tunnel, "%s/%s: is not used: %s", dir, e->d_name,
				    strerror(-r));
	}
	closedir(d);
}

/* ---- save ---- */

/* Under its name only when it is whole. */
static int save_file(int dir, const char *tunnel, int from)
{
	char file[sizeof(FILE_PREFIX) + TUNNEL_NAME_MAX];
	int to, r;

	(void)unlinkat(dir, TEMPORARY, 0);
	to = openat(dir, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	r = copy(from, to);
	close(to);
	snprintf(file, sizeof(file), FILE_PREFIX "%s", tunnel);
	if (!r && renameat(dir, TEMPORARY, dir, file) < 0)
		r = -errno;
	if (r)
		(void)unlinkat(dir, TEMPORARY, 0);
	return r;
}

void nx_replay_save(const char *dir, const struct nx_fd_store *store)
{
	const struct nx_fd_entry *e;
	unsigned int n = 0;
	const char *tunnel;
	int fd = -1, r;

	TAILQ_FOREACH (e, &store->entries, entry) {
		tunnel = tunnel_of(e->name, STORE_PREFIX);
		if (!tunnel)
			continue;
		if (fd < 0) {
			(void)mkdir(dir, 0700);
			fd = open_dir(dir);
		}
		if (n++ == REPLAYS_MAX) {
			nx_err("%s: more than %d replay caches, the others are not kept", dir,
			       REPLAYS_MAX);
			break;
		}
		r = fd < 0 ? fd : save_file(fd, tunnel, e->fd);
		if (r)
			nx_log_full(LOG_ERR, NULL, tunnel,
				    "%s: the replay cache is not kept there: %s", dir,
				    strerror(-r));
	}
	if (fd >= 0)
		close(fd);
}
