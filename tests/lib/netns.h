/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces that "ip netns add" has made, for programs of tests and benches. */
#ifndef TEST_NETNS_H
#define TEST_NETNS_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* This thread is in namespace @name from now on. False: it is not, see errno. Wants _GNU_SOURCE. */
static inline bool netns_enter(const char *name)
{
	char path[256];
	bool entered;
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	entered = !setns(fd, CLONE_NEWNET);
	close(fd);
	return entered;
}

#endif /* TEST_NETNS_H */
