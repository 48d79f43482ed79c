/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry points of the two processes that the program nexusd is. */
#ifndef NX_CONTROL_H
#define NX_CONTROL_H

#include <stdbool.h>
#include <systemd/sd-event.h>
#include "config.h"

/* The configuration is invalid: no restart would help (EX_CONFIG of sysexits.h). */
#define NX_EXIT_CONFIG 78

struct nx_genl_io;

struct nx_options {
	const char *config_file, *libexec_dir, *secret_dir, *state_dir, *runtime_dir;
	const char *user_control, *user_hsd, *user_dp;
	unsigned int insecure; /* enum nx_insecure */
	bool debug;
	const struct nx_genl_io *genl; /* tests: in the kernel's place; NULL = the kernel */
};

/* The monitor; returns the exit status. */
int nx_monitor_run(const struct nx_options *o);
/* The control process on descriptor NX_MONITOR_FD; returns the exit status. */
int nx_control_run(const struct nx_options *o);

/* The control process without its sandbox, on an own loop and channel (tests). */
struct nx_manager;
struct nx_manager *nx_control_new(sd_event *event, int monitor_fd, const struct nx_options *o);
void nx_control_free(struct nx_manager *m);

#endif /* NX_CONTROL_H */
