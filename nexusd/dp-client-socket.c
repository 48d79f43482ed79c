// SPDX-License-Identifier: GPL-2.0-or-later
/* The way to nexus-dp: a channel on a socketpair, descriptors beside the messages. */
#include "dp-client.h"

static void on_message(void *userdata, const struct nx_chan_msg *msg)
{
	nx_dp_receive(userdata, msg);
}

static void on_closed(void *userdata)
{
	nx_dp_lost(userdata);
}

static int socket_send(struct nx_dp *d, const void *buf, size_t len, const int *fds,
		       unsigned int n_fds)
{
	return nx_chan_send(d->carrier, buf, len, fds, n_fds);
}

static void socket_close(struct nx_dp *d)
{
	nx_chan_free(d->carrier);
}

int nx_dp_attach(struct nx_dp *d, int fd)
{
	static const struct nx_dp_transport transport = { socket_send, socket_close, NULL };
	static const struct nx_chan_ops chan_ops = { on_message, on_closed };
	struct nx_chan *chan;
	int r;

	if (nx_dp_connected(d))
		nx_dp_lost(d);
	r = nx_chan_new(d->event, fd, &chan_ops, d, &chan);
	if (!r)
		nx_dp_up(d, &transport, chan);
	return r;
}
