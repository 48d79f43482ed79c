/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many entries a folder has: descriptors below /proc, objects below /sys. */
#ifndef T_DIR_ENTRIES_H
#define T_DIR_ENTRIES_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/types.h>

/* Their number, "." and ".." included, or -errno. */
static inline int t_dir_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (!d)
		return -errno;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* The same of the open descriptors of process @pid. */
static inline int t_open_fds(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return t_dir_entries(path);
}

#endif /* T_DIR_ENTRIES_H */
