/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors kept by name, so that a restarted control process finds its sockets and devices.
 * Bounded.
 */
#ifndef NX_FD_STORE_H
#define NX_FD_STORE_H

#include <sys/queue.h>

#define NX_FD_STORE_MAX 1024

struct nx_fd_entry {
	TAILQ_ENTRY(nx_fd_entry) entry;
	int fd;
	char name[96];
};

struct nx_fd_store {
	TAILQ_HEAD(, nx_fd_entry) entries;
	unsigned int n;
};

void nx_fd_store_init(struct nx_fd_store *s);
/* @fd is consumed; an older one of the same name is closed. 0, -ENOSPC, -ENOMEM, -EINVAL (name). */
int nx_fd_store_put(struct nx_fd_store *s, const char *name, int fd);
void nx_fd_store_remove(struct nx_fd_store *s, const char *name);
void nx_fd_store_clear(struct nx_fd_store *s);

#endif /* NX_FD_STORE_H */
