/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process's side of its channel to the monitor (lib/mon_proto.h).
 */
#ifndef NX_MON_CLIENT_H
#define NX_MON_CLIENT_H

#include "chan.h"
#include "lib/mon_proto.h"

struct nx_mon_ops {
	/* Descriptors belong to the callee. */
	void (*peer)(void *userdata, enum mon_peer peer, int fd);
	void (*stored)(void *userdata, const char *name, int fd);
	void (*start)(void *userdata);
	/* @err: 0 or negative errno. */
	void (*secret_result)(void *userdata, const char *name, int err, const char *text);
	void (*reload)(void *userdata);
	void (*stop)(void *userdata);
	void (*gone)(void *userdata);
};

struct nx_mon {
	struct nx_chan *chan;
	const struct nx_mon_ops *ops;
	void *userdata;
};

int nx_mon_open(struct nx_mon *m, sd_event *event, int fd, const struct nx_mon_ops *ops,
		void *userdata);
void nx_mon_close(struct nx_mon *m);
int nx_mon_store(struct nx_mon *m, const char *name, int fd);
int nx_mon_unstore(struct nx_mon *m, const char *name);
int nx_mon_open_secret(struct nx_mon *m, const char *name, const char *path);
int nx_mon_open_tun(struct nx_mon *m, const char *name);
int nx_mon_notify(struct nx_mon *m, enum mon_cmd cmd); /* READY, ALIVE */

#endif /* NX_MON_CLIENT_H */
