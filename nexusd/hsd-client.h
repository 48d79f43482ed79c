/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process's client of nexus-hsd (lib/hs_proto.h): requests, and what nexus-hsd reports
 * by itself. The socket comes from the monitor and again after every restart of nexus-hsd.
 */
#ifndef NX_HSD_CLIENT_H
#define NX_HSD_CLIENT_H

#include "config.h"
#include "cover-profile.h"
#include "lib/hs_proto.h"
#include "requests.h"

struct nx_hsd_ops {
	/* @msg holds keys: nothing of it may be kept. */
	void (*session)(void *userdata, const struct nx_chan_msg *msg, const struct nxa *tb);
	void (*failed)(void *userdata, const struct nxa *tb);
	/* HS_CMD_RELAY_WANTED and HS_CMD_COVER_STATE */
	void (*relay_wanted)(void *userdata, const struct nxa *tb);
	void (*cover_state)(void *userdata, const struct nxa *tb);
	/* HS_CMD_COVER_PROFILE */
	void (*cover_profile)(void *userdata, const struct nx_chan_msg *msg, const struct nxa *tb);
	void (*up)(void *userdata);
	void (*down)(void *userdata);
};

struct nx_hsd {
	sd_event *event;
	struct nx_chan *chan;
	struct nx_requests requests;
	const struct nx_hsd_ops *ops;
	void *userdata;
};

void nx_hsd_init(struct nx_hsd *h, sd_event *event, const struct nx_hsd_ops *ops, void *userdata);
/* A fresh socket; what was pending on an older one fails first. */
int nx_hsd_attach(struct nx_hsd *h, int fd);
void nx_hsd_close(struct nx_hsd *h);
bool nx_hsd_connected(const struct nx_hsd *h);

/* Is there an old server key that is still accepted? Then its secret is to arrive before the tunnel. */
bool nx_old_key_wanted(const struct nx_tunnel_config *c);
/* Of a SET_TUNNEL what is not in the configuration. */
struct nx_hsd_setup {
	const int *fds; /* the handshake sockets, data sockets, the key log if configured, then the replay cache */
	unsigned int n_fds;
	uint32_t mtu; /* inner MTU offered or wanted */
	uint32_t data_sockets; /* bit i: that of pair i is among them */
	bool replay; /* the last descriptor is the replay cache's */
	const struct nx_cover_profile *profile; /* server: what is known of its cover */
};
int nx_hsd_set_tunnel(struct nx_hsd *h, const struct nx_tunnel_config *c,
		      const struct nx_hsd_setup *s, nx_reply_fn fn, void *userdata);
/* Sessions reported before the answer are still to be dealt with. */
int nx_hsd_del_tunnel(struct nx_hsd *h, const char *tunnel, nx_reply_fn fn, void *userdata);
int nx_hsd_connect(struct nx_hsd *h, const char *tunnel, uint64_t attempt,
		   const struct nx_endpoint *remote, uint32_t socket, nx_reply_fn fn,
		   void *userdata);
int nx_hsd_cancel(struct nx_hsd *h, const char *tunnel, uint64_t attempt);
int nx_hsd_installed(struct nx_hsd *h, uint64_t attempt);
/* @fds: connected to the cover. @replace: those of before lead to an older address. */
int nx_hsd_relay_sockets(struct nx_hsd *h, const char *tunnel, const int *fds, unsigned int n_fds,
			 bool replace);
/* The answer is one HS_CMD_STATS message. */
int nx_hsd_get_stats(struct nx_hsd *h, const char *tunnel, nx_reply_fn fn, void *userdata);

#endif /* NX_HSD_CLIENT_H */
