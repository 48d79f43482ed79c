/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One SOCK_SEQPACKET end on the event loop: whole messages in, whole messages out. What the socket
 * does not take at once waits in a bounded queue; every buffer is wiped after use, because some
 * carry keys. Used for the monitor's channel, nexus-hsd and nexus-dp.
 */
#ifndef NX_CHAN_H
#define NX_CHAN_H

#include <stdbool.h>
#include <systemd/sd-event.h>
#include "lib/nlcodec.h"

struct nx_chan;

/* One parsed message. @fds belong to the callee, which closes or keeps them (sets them to -1). */
struct nx_chan_msg {
	struct nxm_hdr hdr;
	const uint8_t *buf;
	size_t len;
	int *fds;
	unsigned int n_fds;
};

struct nx_chan_ops {
	/* May close the channel. */
	void (*message)(void *userdata, const struct nx_chan_msg *msg);
	/* The peer is gone; the channel is closed already. */
	void (*closed)(void *userdata);
};

/* @fd is consumed, also on error. 0 or -errno. */
int nx_chan_new(sd_event *event, int fd, const struct nx_chan_ops *ops, void *userdata,
		struct nx_chan **out);
/* Safe with NULL and from inside a callback; no callback follows. */
void nx_chan_free(struct nx_chan *c);
/* Send or queue; descriptors are duplicated if the message has to wait. 0, -EPIPE, -ENOBUFS (the
 * queue is full) ...
 */
int nx_chan_send(struct nx_chan *c, const void *buf, size_t len, const int *fds,
		 unsigned int n_fds);

#endif /* NX_CHAN_H */
