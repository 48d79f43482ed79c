/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to the kernel module: generic netlink. It knows when the family comes and goes, and whose
 * ABI version it speaks; whether it is used is the owner's decision (nx_genl_use()).
 *
 * Two sockets: one for requests and their answers, one for events, so that a flood of events costs no
 * answer. Lost events are asked for again; a request whose answer is lost ends with -ENOBUFS. The
 * kernel takes one dump at a time of a socket: others wait here.
 *
 * Asking for the family by name lets the kernel load the module (CTRL_CMD_GETFAMILY). So nobody asks
 * after it was unloaded, nor at all with dco_mode = "disabled". The question is sent by a thread, because
 * the kernel answers when the module is loaded, and loads it in the system call.
 */
#ifndef NX_DP_CLIENT_GENL_H
#define NX_DP_CLIENT_GENL_H

#include <sys/socket.h>
#include "dp-client.h"

struct nx_genl;

/* Where sockets come from; a test puts itself in the kernel's place. */
struct nx_genl_io {
	/* A socket for requests, or for the events that come by themselves. -errno. */
	int (*open)(void *ctx, bool events);
	/* Also receive multicast group @group. 0 or -errno. */
	int (*join)(void *ctx, int fd, uint32_t group);
	/* As recvmsg(), without waiting. */
	ssize_t (*receive)(void *ctx, int fd, struct msghdr *msg);
	const char *kind; /* of the module's devices, as rtnetlink calls it */
	void *ctx;
};

struct nx_genl_ops {
	/* It is there, with @version of the ABI. */
	void (*found)(void *userdata, uint32_t version);
	/* The answer to nx_genl_find(): it is not there. */
	void (*absent)(void *userdata);
	/* It was there and is not any more. If it was in use, nx_dp_ops.down was called before. */
	void (*gone)(void *userdata);
};

/* @io NULL: the kernel's. 0 or -errno. */
int nx_genl_new(struct nx_dp *d, const struct nx_genl_io *io, const struct nx_genl_ops *ops,
		void *userdata, struct nx_genl **out);
void nx_genl_free(struct nx_genl *g);
/*
 * Ask whether it is there; the kernel may load it. 0: found() or absent() follows; -EALREADY: it is
 * known to be there; other -errno.
 */
int nx_genl_find(struct nx_genl *g);
const char *nx_genl_device_kind(const struct nx_genl *g);
/* Talk to what was found: nx_dp_ops.up follows. 0 or -errno. */
int nx_genl_use(struct nx_genl *g);

#endif /* NX_DP_CLIENT_GENL_H */
