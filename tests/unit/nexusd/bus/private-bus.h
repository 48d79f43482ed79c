/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dbus-daemon of the test's own that everybody may do everything on, at a fixed address below a
 * temporary directory, so that it can be stopped and come back. DBUS_SYSTEM_BUS_ADDRESS points
 * there.
 */
#ifndef PRIVATE_BUS_H
#define PRIVATE_BUS_H

#include <sys/types.h>

struct private_bus {
	char dir[64];
	char config[96];
	char socket[96];
	pid_t pid; /* 0 = not running */
};

/* Make the directory and set the environment; does not start the daemon. 0 or -errno. */
int private_bus_init(struct private_bus *b);
/* Returns when the daemon listens. 0 or -errno. */
int private_bus_start(struct private_bus *b);
void private_bus_stop(struct private_bus *b);
void private_bus_remove(struct private_bus *b);

#endif /* PRIVATE_BUS_H */
