/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells when links, addresses, routes or rules of this network namespace change, whoever changed them.
 * Which ones is not said: whoever wants to know what a change means for him asks the kernel again
 * (nx_way_find()), so a message that is lost in a flood costs nothing.
 */
#ifndef NX_NET_WATCH_H
#define NX_NET_WATCH_H

#include <systemd/sd-event.h>

struct nx_net_watch {
	struct nl_sock *sk;
	sd_event_source *source;
	void (*changed)(void *userdata);
	void *userdata;
};

/* @changed is called from the event loop, once for all messages that have come until then. 0 or -errno. */
int nx_net_watch_start(struct nx_net_watch *w, sd_event *event, void (*changed)(void *userdata),
		       void *userdata);
void nx_net_watch_stop(struct nx_net_watch *w);

#endif /* NX_NET_WATCH_H */
