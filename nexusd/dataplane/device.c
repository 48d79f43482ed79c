// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TUN devices: taken over as descriptors with IFF_NO_PI | IFF_VNET_HDR, one per queue. All queues
 * are read, the first is written to. Offloads are asked for here; the control process made the
 * device.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "dp.h"
#include "tx-internal.h"

/* The port is not free before. */
#define LIMBO_US 1000000
#define TSO_OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

static void queue_events(struct dp *dp, struct dp_watch *w, u32 events)
{
	struct dp_queue *q = (struct dp_queue *)w;

	if (events & EPOLLIN)
		dp_tx_readable(dp, q);
	else if (events & (EPOLLERR | EPOLLHUP))
		dp_device_dead(dp, q->dev);
}

/* The interface was deleted under us: stop listening (epoll reports the error even
 * when asked for nothing); its sessions hear about it. */
void dp_device_dead(struct dp *dp, struct dp_device *dev)
{
	struct dp_last_event info = { .code = ENODEV, .text = "TUN device is gone" };
	struct dp_session *s;
	unsigned int i;

	if (dev->dead)
		return;
	dev->dead = true;
	nx_warn("%s: TUN device is gone", dev->ifname);
	for (i = 0; i < dev->n_queues; i++)
		dp_watch_del(dp, &dev->queues[i].watch);
	TAILQ_FOREACH (s, &dp->sessions, entry)
		if (s->dev == dev)
			dp_event(dp, s, NQD_EVENT_FATAL_ERROR, &info, NULL, 0);
}

/* Is it a TUN queue in the right mode? Its name; offloads are set. */
static int prepare_queue(int fd, char *ifname, bool *uso)
{
	int hdr_len = DP_VNET_HDR_LEN, flags;
	struct ifreq ifr = { 0 };

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return -ENOTTY;
	if (!(ifr.ifr_flags & IFF_TUN) || !(ifr.ifr_flags & IFF_NO_PI) ||
	    !(ifr.ifr_flags & IFF_VNET_HDR))
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0)
		return -errno;
	*uso = !ioctl(fd, TUNSETOFFLOAD, TSO_OFFLOADS | TUN_F_USO4 | TUN_F_USO6);
	if (!*uso && ioctl(fd, TUNSETOFFLOAD, TSO_OFFLOADS) < 0)
		return -errno;
	memcpy(ifname, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

struct dp_device *dp_device_find(struct dp *dp, u32 ifindex, const char *ifname)
{
	struct dp_device *dev;

	TAILQ_FOREACH (dev, &dp->devices, entry) {
		if (ifindex ? dev->ifindex == ifindex
			    : ifname && !strncmp(dev->ifname, ifname, IFNAMSIZ))
			return dev;
	}
	return NULL;
}

static u32 look_up_ifindex(struct dp *dp, const char *ifname)
{
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, ifname, IFNAMSIZ);
	if (dp->spare_socket < 0 || ioctl(dp->spare_socket, SIOCGIFINDEX, &ifr) < 0)
		return 0;
	return ifr.ifr_ifindex;
}

/* Consumes @fds on success only. */
int dp_device_create(struct dp *dp, const int *fds, unsigned int n_fds, const char *ifname,
		     u32 ifindex, struct dp_device **out, struct nxm_error *e)
{
	struct dp_device *dev = calloc(1, sizeof(*dev));
	unsigned int i;
	int err;

	if (!dev)
		return -ENOMEM;
	for (i = 0; i < n_fds; i++) {
		char name[IFNAMSIZ];

		err = prepare_queue(fds[i], name, &dev->uso);
		if (err) {
			dp_fail(e, err,
				"NQD_A_DEVICE_TUN_FD: not a TUN queue without packet "
				"information and with virtio header");
			goto fail;
		}
		if ((ifname && strncmp(name, ifname, IFNAMSIZ)) ||
		    (i && strncmp(name, dev->ifname, IFNAMSIZ))) {
			err = dp_fail(e, -EINVAL, "NQD_A_DEVICE_IFNAME: the queue belongs to %.15s",
				      name);
			goto fail;
		}
		memcpy(dev->ifname, name, IFNAMSIZ);
	}
	dev->ifindex = ifindex ?: look_up_ifindex(dp, dev->ifname);
	for (i = 0; i < n_fds; i++) {
		struct dp_queue *q = &dev->queues[i];

		*q = (struct dp_queue){ .watch = { queue_events, fds[i] }, .dev = dev };
		err = dp_watch_add(dp, &q->watch, EPOLLIN);
		if (err)
			goto fail_watch;
		dev->n_queues++;
	}
	dp_co_init(&dev->co, dev->uso);
	TAILQ_INSERT_TAIL(&dp->devices, dev, entry);
	dp->n_devices++;
	*out = dev;
	return 0;

fail_watch:
	while (dev->n_queues)
		dp_watch_del(dp, &dev->queues[--dev->n_queues].watch);
fail:
	free(dev);
	return err;
}

/* Is CONNECTION_CLOSE on its way to the peer, once or twice? */
static bool says_goodbye(const struct dp_session *s)
{
	return !s->gone && nqd_says_goodbye(s->conn);
}

/* It needs its socket, no device. */
static void enter_limbo(struct dp *dp, struct dp_session *s)
{
	s->dev = &dp->limbo;
	s->sends = false;
	s->deadline_us = dp->now_us + LIMBO_US;
	dp_mark_dirty(dp, s);
}

bool dp_in_limbo(const struct dp *dp)
{
	const struct dp_session *s;

	TAILQ_FOREACH (s, &dp->sessions, entry)
		if (s->dev == &dp->limbo)
			return true;
	return false;
}

void dp_device_destroy(struct dp *dp, struct dp_device *dev)
{
	struct dp_session *s, *next;
	unsigned int i;

	for (s = TAILQ_FIRST(&dp->sessions); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->dev != dev)
			continue;
		dp_session_down(dp, s, NQD_DOWN_DELETED, 0, "device deleted");
		if (says_goodbye(s))
			enter_limbo(dp, s);
		else
			dp_session_free(dp, s);
	}
	for (i = 0; i < dev->n_queues; i++)
		dp_watch_close(dp, &dev->queues[i].watch);
	for (i = 0; i < dev->n_sockets; i++)
		dp_socket_put(dp, dev->sockets[i]);
	TAILQ_REMOVE(&dp->devices, dev, entry);
	dp->n_devices--;
	free(dev);
}

/* One packet or super-packet to the stack. A refusal is final: the interface is down or gone. */
bool dp_device_write(struct dp_device *dev, const struct iovec *iov, unsigned int n)
{
	ssize_t r;

	do {
		r = writev(dev->queues[0].watch.fd, iov, n);
	} while (r < 0 && errno == EINTR);
	dev->answers = true;
	return r >= 0;
}
