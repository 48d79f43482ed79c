/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the monitor: its children, and starting them (monitor-child.c). monitor.c wires and
 * watches them.
 */
#ifndef NX_MONITOR_H
#define NX_MONITOR_H

#include <limits.h>
#include <sys/types.h>
#include "chan.h"
#include "control.h"
#include "fd-store.h"
#include "lib/mon_proto.h"

#define NX_CHILDREN 3

struct nx_monitor;

struct nx_child {
	struct nx_monitor *monitor;
	enum mon_peer id;
	const char *name; /* for the log */
	const char *user;
	uint64_t caps;
	char path[PATH_MAX];
	pid_t pid; /* 0 = not running */
	struct nx_chan *chan;
	sd_event_source *exit_source, *restart_timer;
	uint64_t started_us;
	unsigned int quick_deaths; /* in a row */
	bool was_ready;
};

struct nx_monitor {
	sd_event *event;
	const struct nx_options *options;
	struct nx_child children[NX_CHILDREN]; /* indexed by enum mon_peer */
	struct nx_fd_store store;
	sd_event_source *stop_timer;
	uint64_t last_alive_us;
	bool stopping;
	int exit_status;
};

/* Where the programs are: DIR itself or a build folder. 0 or -ENOENT with a message. */
int nx_child_find_programs(struct nx_monitor *m);
/* Fork and exec; the child has only descriptors 0-3, its user, its capabilities. The other end of
 * its channel comes in *@fd.
 */
int nx_child_spawn(struct nx_child *c, int *fd);
/* How long to wait before the next start of a child that has just died. */
uint64_t nx_child_restart_delay_us(struct nx_child *c, uint64_t now_us);
/* No new privileges, only the capabilities the children need, no dangerous system calls. */
int nx_monitor_confine(void);

#endif /* NX_MONITOR_H */
