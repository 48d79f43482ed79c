/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two devices that look like one, while the sessions of a server move from the first to the second:
 * what comes in on the second comes in on the first for everybody else, and what leaves through the
 * first for one of the networks that are named leaves through the second. So neither routes, nor
 * addresses, nor a firewall that knows the first one's name need to know of the second.
 *
 * Done by filters of the kernel's traffic control (clsact, u32, mirred), which cost a packet one
 * lookup: single addresses are found by a hash. Filters of others on the same devices stay as they are.
 */
#ifndef NX_NET_STEER_H
#define NX_NET_STEER_H

#include "id-index.h"
#include "net.h"

struct nl_sock;
struct nx_steered;

struct nx_steer {
	int front, behind; /* the first device and the second; 0: nothing is steered */
	struct nx_steered *networks; /* behind the second */
	struct nx_id_index index; /* of them, by what nx_steer_add() makes of one */
};

/*
 * The device may once be a first one. The kernel drops what waits on a device when it gets its place for
 * filters: so it gets it before there is anything. 0 or -errno.
 */
int nx_steer_prepare(struct nl_sock *sk, int ifindex);
/*
 * From now on what comes in on @behind comes in on @front; what an earlier process has left of its own
 * is taken away. 0, or -errno and nothing is steered.
 */
int nx_steer_begin(struct nx_steer *st, struct nl_sock *sk, int front, int behind);
/* What leaves through the first device for @p leaves through the second. Idempotent. 0 or -errno. */
int nx_steer_add(struct nx_steer *st, struct nl_sock *sk, const struct nx_prefix *p);
/* What an earlier process has left on @front: the second device is gone. */
void nx_steer_clear(struct nl_sock *sk, int front);
/* As before. Frees what @st holds; either device may be gone. */
void nx_steer_end(struct nx_steer *st, struct nl_sock *sk);
/* Frees what @st holds: another process goes on with what is in the kernel. */
void nx_steer_forget(struct nx_steer *st);

#endif /* NX_NET_STEER_H */
