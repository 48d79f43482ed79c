/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one client of the data-plane ABI (kmod/uapi/linux/nexus_quic_dco.h). A data plane is reached by a
 * transport: dp-client-socket.c for nexus-dp on a socketpair, dp-client-genl.c for the kernel module
 * on generic netlink. All else is the same, so nobody above this knows which one a tunnel has.
 */
#ifndef NX_DP_CLIENT_H
#define NX_DP_CLIENT_H

#include <linux/nexus_quic_dco.h>
#include "net.h"
#include "requests.h"

struct nx_dp;

struct nx_dp_ops {
	/* @tb: top level attributes; @ev: those of NQD_A_EVENT; @ses: those of NQD_A_SESSION. */
	void (*event)(void *userdata, struct nx_dp *d, const struct nxa *ev, const struct nxa *ses);
	void (*up)(void *userdata, struct nx_dp *d);
	/* All pending requests have been answered with -EPIPE. */
	void (*down)(void *userdata, struct nx_dp *d);
	/* Events were lost, the last ones have been told again: look which sessions are left. */
	void (*again)(void *userdata, struct nx_dp *d);
};

struct nx_dp_transport {
	/* 0 or -errno. */
	int (*send)(struct nx_dp *d, const void *buf, size_t len, const int *fds,
		    unsigned int n_fds);
	void (*close)(struct nx_dp *d);
	/* The data plane does not know the family any more. NULL: that cannot be. */
	void (*unknown)(struct nx_dp *d);
};

struct nx_dp {
	sd_event *event;
	const struct nx_dp_transport *transport; /* NULL: not connected */
	void *carrier; /* of the transport */
	struct nx_requests requests;
	const struct nx_dp_ops *ops;
	void *userdata;
	const char *name; /* "nexus-dp", "nexus_quic_dco" */
	/* The module: a descriptor attribute holds a number of ours, and the device is made there. */
	bool kernel;
	bool asking, lost_again; /* for lost events; more were lost since */
};

/* What the owner adds to a session that nexus-hsd exported. */
struct nx_dp_session {
	uint64_t id;
	const char *tunnel;
	int ifindex;
	int socket_fd;
	uint32_t path_mtu_bytes; /* UDP payload */
	uint32_t peer_group;
	uint32_t flags; /* added to those nexus-hsd set */
	const char *congestion;
	uint64_t fixed_rate_bytes_per_s; /* of NX_FIXED_RATE alone, else 0 */
	const struct nx_prefix *routes;
	size_t n_routes;
};

void nx_dp_init(struct nx_dp *d, sd_event *event, const char *name, bool kernel,
		const struct nx_dp_ops *ops, void *userdata);
/* nexus-dp, at the other end of @fd, which is consumed. An earlier one counts as gone. 0 or -errno. */
int nx_dp_attach(struct nx_dp *d, int fd);
void nx_dp_close(struct nx_dp *d);
bool nx_dp_connected(const struct nx_dp *d);

/* ---- for transports ---- */
/* From now on @t carries. */
void nx_dp_up(struct nx_dp *d, const struct nx_dp_transport *t, void *carrier);
void nx_dp_receive(struct nx_dp *d, const struct nx_chan_msg *msg);
/* The data plane is gone. */
void nx_dp_lost(struct nx_dp *d);
/*
 * Events were lost: ask for the last of each kind of each session, take those that tell how things are
 * now, then call ops->again(), whose owner says when it has looked.
 */
void nx_dp_events_lost(struct nx_dp *d);
void nx_dp_looked_again(struct nx_dp *d);

int nx_dp_get_caps(struct nx_dp *d, nx_reply_fn fn, void *userdata);
/*
 * @socks: the data sockets; of a device that exists they are replaced. nexus-dp: @ifindex with @tun_fd;
 * the module makes the device @ifname (NULL: of a name that is free) if @ifindex is 0 and answers with
 * its number and name.
 */
int nx_dp_create_device(struct nx_dp *d, const char *ifname, int ifindex, int tun_fd,
			const int *socks, unsigned int n_socks, nx_reply_fn fn, void *userdata);
int nx_dp_delete_device(struct nx_dp *d, int ifindex, nx_reply_fn fn, void *userdata);
/* @hs: the top level attributes of an HS_CMD_SESSION message (HS_A_SESSION, HS_A_KEYS). */
int nx_dp_add_session(struct nx_dp *d, const struct nx_dp_session *s, const struct nxa *hs,
		      nx_reply_fn fn, void *userdata);
/*
 * A session without keys, that no packet belongs to: @s->routes are known to be a peer's, and of which
 * group, though the peer is reached by other ways. If @user has a session there already, it takes its
 * place when that ends; it gives its own to one that comes. Of @s, what concerns keys and paths is not used.
 */
int nx_dp_add_stand_in(struct nx_dp *d, const struct nx_dp_session *s, uint64_t user,
		       const struct nx_endpoint *remote, nx_reply_fn fn, void *userdata);
int nx_dp_set_peer_group(struct nx_dp *d, uint64_t id, uint32_t group);
/*
 * Move a client's session to the path between these addresses, through data socket @fd; NQD_EVENT_PATH_CHANGED
 * says when. With the addresses it has, the server is asked at once whether it is still there.
 */
int nx_dp_migrate(struct nx_dp *d, uint64_t id, int fd, const struct nx_endpoint *local,
		  const struct nx_endpoint *remote, nx_reply_fn fn, void *userdata);
/* The largest UDP payload the path may be tried with. */
int nx_dp_set_path_mtu(struct nx_dp *d, uint64_t id, uint32_t bytes);
/* With CONNECTION_CLOSE of @code if @reason is set. */
int nx_dp_delete_session(struct nx_dp *d, uint64_t id, uint64_t code, const char *reason,
			 nx_reply_fn fn, void *userdata);
int nx_dp_delete_user(struct nx_dp *d, int ifindex, uint64_t user, uint64_t code,
		      const char *reason);
/* Of one session, or (@id 0) a dump of all. */
int nx_dp_get_stats(struct nx_dp *d, uint64_t id, nx_reply_fn fn, void *userdata);
/* Stop waiting for answers meant for @userdata. */
void nx_dp_forget(struct nx_dp *d, const void *userdata);

#endif /* NX_DP_CLIENT_H */
