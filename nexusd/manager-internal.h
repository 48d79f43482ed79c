/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process inside: what control.c, manager.c and the tunnel files share.
 */
#ifndef NX_MANAGER_INTERNAL_H
#define NX_MANAGER_INTERNAL_H

#include "dp-client.h"
#include "hsd-client.h"
#include "manager.h"
#include "revoked.h"
#include "mon-client.h"
#include "net-watch.h"
#include "sleep-clock.h"

struct nl_sock;

/* A descriptor that an earlier control process had stored and that no tunnel has claimed yet. */
struct nx_stored {
	TAILQ_ENTRY(nx_stored) entry;
	int fd;
	char name[96];
};

struct nx_manager_private {
	struct nx_mon mon;
	struct nx_hsd hsd;
	struct nx_dp dp;
	struct nl_sock *nl;
	TAILQ_HEAD(, nx_stored) stored;
	const char *state_dir; /* NULL: nothing lasts */
	struct nx_revoked revoked;
	unsigned int insecure; /* enum nx_insecure */
	bool started; /* configuration applied */
	bool adopting; /* waiting for the dump of the data plane */
	bool stopping;
	uint64_t last_attempt; /* numbers of client attempts */
	sd_event_source *alive;
	struct nx_net_watch net_watch;
	struct nx_sleep_clock sleep_clock;
};

/* The descriptor stored under @name, now the caller's; -1 if there is none. */
int nx_manager_claim(struct nx_manager *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Tell monitor: keep @fd under the name / forget it. */
void nx_manager_store(struct nx_manager *m, int fd, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void nx_manager_unstore(struct nx_manager *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* manager.c: create, change and remove tunnels so that they match @c, which is consumed. */
void nx_manager_apply_config(struct nx_manager *m, struct nx_config *c);
/* A tunnel has come to rest; the last one lets a stopping manager go. */
void nx_manager_tunnel_stopped(struct nx_manager *m);
/* May sessions be established with the configured data plane? Fills the tunnel's data_plane fields. */
int nx_manager_choose_data_plane(struct nx_manager *m, struct nx_tunnel *t);
/* Look for the data planes; asks nexus-dp for its capabilities. */
void nx_manager_probe_data_planes(struct nx_manager *m);

/* adopt.c: compare what the data plane carries with the configuration, then let the tunnels go. */
void nx_manager_adopt(struct nx_manager *m);

/* A random number that is not 0. */
uint64_t nx_random_id(void);
uint64_t nx_now_us(void); /* CLOCK_MONOTONIC */

#endif /* NX_MANAGER_INTERNAL_H */
