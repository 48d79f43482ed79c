// SPDX-License-Identifier: GPL-2.0-or-later
/* A netlink socket in the multicast groups of rtnetlink; see net-watch.h. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "net-link.h"
#include "net-watch.h"

static const int groups[] = {
	RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
};

static int on_readable(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct nx_net_watch *w = userdata;
	char byte;

	/* The rest of each message is cut off. ENOBUFS: some were lost, which is a change as well. */
	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
	w->changed(w->userdata);
	return 0;
}

int nx_net_watch_start(struct nx_net_watch *w, sd_event *event, void (*changed)(void *userdata),
		       void *userdata)
{
	int r = nx_netlink_open(&w->sk);

	if (r)
		return r;
	w->changed = changed;
	w->userdata = userdata;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) && r >= 0; i++)
		r = nl_socket_add_membership(w->sk, groups[i]) < 0 ? -EIO : 0;
	if (r >= 0)
		r = sd_event_add_io(event, &w->source, nl_socket_get_fd(w->sk), EPOLLIN,
				    on_readable, w);
	if (r < 0)
		nx_net_watch_stop(w);
	return r < 0 ? r : 0;
}

void nx_net_watch_stop(struct nx_net_watch *w)
{
	w->source = sd_event_source_disable_unref(w->source);
	if (w->sk)
		nx_netlink_close(w->sk);
	w->sk = NULL;
}
