/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process inside: what control.c, manager.c and the tunnel files share.
 */
#ifndef NX_MANAGER_INTERNAL_H
#define NX_MANAGER_INTERNAL_H

#include "dp-client-genl.h"
#include "hsd-client.h"
#include "manager.h"
#include "revoked.h"
#include "mon-client.h"
#include "net-watch.h"
#include "sleep-clock.h"

struct nl_sock;

enum nx_plane { NX_PLANE_USER, NX_PLANE_KERNEL, NX_PLANES };

/* A descriptor that an earlier control process had stored and that no tunnel has claimed yet. */
struct nx_stored {
	TAILQ_ENTRY(nx_stored) entry;
	int fd;
	char name[96];
};

struct nx_manager_private {
	struct nx_mon mon;
	struct nx_hsd hsd;
	struct nx_dp planes[NX_PLANES];
	struct nx_genl *genl; /* the way to planes[NX_PLANE_KERNEL] */
	bool looking; /* for the kernel module */
	struct nl_sock *nl;
	TAILQ_HEAD(, nx_stored) stored;
	const char *state_dir; /* NULL: nothing lasts */
	struct nx_revoked revoked;
	unsigned int insecure; /* enum nx_insecure */
	bool started; /* configuration applied */
	unsigned int adopting; /* data planes whose sessions are not known yet */
	bool kernel_asked; /* while adopting: the module for its sessions, if it is there */
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

/* ---- planes.c ---- */
/* At the start of the process. 0 or -errno. */
int nx_planes_init(struct nx_manager *m, const struct nx_genl_io *io);
void nx_planes_free(struct nx_manager *m);
/* Look for the kernel module, unless dco_mode forbids it. True: nx_adopt_looked() or events follow. */
bool nx_planes_look(struct nx_manager *m);
/* dco_mode has another value than before. */
void nx_planes_mode_changed(struct nx_manager *m);
/* @d can be talked to, or no more; what the tunnels make of it is control.c's to tell them. */
void nx_planes_up(struct nx_manager *m, struct nx_dp *d);
void nx_planes_down(struct nx_manager *m, struct nx_dp *d);
/*
 * The data plane for sessions from now on, or NULL if dco_mode = "required" cannot be met. @reason:
 * why not the module, or why none; "" for the module.
 */
struct nx_dp *nx_planes_choose(struct nx_manager *m, char *reason, size_t cap);
/* control.c: events of the data planes; another plane may be the wanted one now. */
extern const struct nx_dp_ops nx_control_dp_ops;
void nx_tunnels_plane_changed(struct nx_manager *m);

/* recount.c: nx_dp_ops.again: sessions that are gone without a word. @userdata: the manager. */
void nx_sessions_recount(void *userdata, struct nx_dp *d);

/* adopt.c: compare what the data plane carries with the configuration, then let the tunnels go. */
void nx_manager_adopt(struct nx_manager *m);
/* It is known now whether the kernel module can be used. */
void nx_adopt_looked(struct nx_manager *m);

/* A random number that is not 0. */
uint64_t nx_random_id(void);
uint64_t nx_now_us(void); /* CLOCK_MONOTONIC */

#endif /* NX_MANAGER_INTERNAL_H */
