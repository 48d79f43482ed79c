// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A message channel on the event loop: see chan.h. Freed channels stay allocated until no callback
 * runs inside them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>
#include "lib/ipc.h"
#include "lib/log.h"
#include "chan.h"

/* A peer that is this far behind is broken. */
#define QUEUE_MAX_MESSAGES 4096
#define QUEUE_MAX_BYTES (8u << 20)
/* Messages handled per wake-up, so that one busy peer does not starve the loop. */
#define BATCH 32

struct queued {
	TAILQ_ENTRY(queued) entry;
	size_t len;
	int fds[NX_IPC_MAX_FDS];
	unsigned int n_fds;
	uint8_t data[];
};

struct nx_chan {
	int fd;
	sd_event_source *source;
	const struct nx_chan_ops *ops;
	void *userdata;
	TAILQ_HEAD(, queued) queue;
	size_t queued_bytes, n_queued;
	unsigned int busy; /* callbacks running */
	bool dead; /* free when not busy */
	uint8_t *rx;
};

static void free_queued(struct queued *q)
{
	nx_close_fds(q->fds, q->n_fds);
	explicit_bzero(q->data, q->len);
	free(q);
}

static void disconnect(struct nx_chan *c)
{
	struct queued *q;

	c->source = sd_event_source_disable_unref(c->source);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	while ((q = TAILQ_FIRST(&c->queue))) {
		TAILQ_REMOVE(&c->queue, q, entry);
		free_queued(q);
	}
	c->n_queued = c->queued_bytes = 0;
}

void nx_chan_free(struct nx_chan *c)
{
	if (!c)
		return;
	disconnect(c);
	c->dead = true;
	if (c->busy)
		return;
	free(c->rx);
	free(c);
}

static void leave(struct nx_chan *c)
{
	if (--c->busy == 0 && c->dead)
		nx_chan_free(c);
}

static int flush(struct nx_chan *c)
{
	struct queued *q;
	int r;

	while ((q = TAILQ_FIRST(&c->queue))) {
		r = nx_ipc_send(c->fd, q->data, q->len, q->fds, q->n_fds);
		if (r == -EAGAIN)
			return 0;
		if (r)
			return r;
		TAILQ_REMOVE(&c->queue, q, entry);
		c->n_queued--;
		c->queued_bytes -= q->len;
		free_queued(q);
	}
	return sd_event_source_set_io_events(c->source, EPOLLIN);
}

/* 1: there may be more, 0: nothing now, negative: the peer is gone. */
static int receive_one(struct nx_chan *c)
{
	int fds[NX_IPC_MAX_FDS];
	struct nx_chan_msg m = { .buf = c->rx, .fds = fds };
	struct nxm_error e;
	ssize_t n;

	n = nx_ipc_recv(c->fd, c->rx, NX_IPC_MAX_LEN, fds, &m.n_fds);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return -EPIPE;
	m.len = (size_t)n;
	if (nxm_parse_hdr(c->rx, m.len, &m.hdr, &e) == 0)
		c->ops->message(c->userdata, &m);
	else
		nx_warn("malformed message from a process of ours: %s", e.text);
	nx_close_fds(fds, m.n_fds);
	explicit_bzero(c->rx, m.len);
	return 1;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct nx_chan *c = userdata;
	int r = 1;

	c->busy++;
	if (revents & EPOLLOUT && flush(c) < 0)
		r = -EPIPE;
	for (int i = 0; i < BATCH && r > 0 && !c->dead && c->fd >= 0; i++)
		r = receive_one(c);
	if (r < 0 && !c->dead && c->fd >= 0) {
		disconnect(c);
		c->ops->closed(c->userdata);
	}
	leave(c);
	return 0;
}

int nx_chan_new(sd_event *event, int fd, const struct nx_chan_ops *ops, void *userdata,
		struct nx_chan **out)
{
	struct nx_chan *c = calloc(1, sizeof(*c));
	int flags, r;

	if (c)
		c->rx = malloc(NX_IPC_MAX_LEN);
	if (!c || !c->rx) {
		free(c);
		close(fd);
		return -ENOMEM;
	}
	TAILQ_INIT(&c->queue);
	c->fd = fd;
	c->ops = ops;
	c->userdata = userdata;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		r = -errno;
		goto err;
	}
	r = sd_event_add_io(event, &c->source, fd, EPOLLIN, on_io, c);
	if (r < 0)
		goto err;
	*out = c;
	return 0;
err:
	nx_chan_free(c);
	return r;
}

static int enqueue(struct nx_chan *c, const void *buf, size_t len, const int *fds,
		   unsigned int n_fds)
{
	struct queued *q;

	if (c->n_queued >= QUEUE_MAX_MESSAGES || c->queued_bytes + len > QUEUE_MAX_BYTES)
		return -ENOBUFS;
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	q->len = len;
	memcpy(q->data, buf, len);
	for (unsigned int i = 0; i < n_fds; i++) {
		q->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		q->n_fds = i + 1;
		if (q->fds[i] < 0) {
			free_queued(q);
			return -EMFILE;
		}
	}
	TAILQ_INSERT_TAIL(&c->queue, q, entry);
	c->n_queued++;
	c->queued_bytes += len;
	return sd_event_source_set_io_events(c->source, EPOLLIN | EPOLLOUT);
}

int nx_chan_send(struct nx_chan *c, const void *buf, size_t len, const int *fds, unsigned int n_fds)
{
	int r;

	if (!c || c->fd < 0)
		return -EPIPE;
	if (n_fds > NX_IPC_MAX_FDS)
		return -EMSGSIZE;
	if (TAILQ_EMPTY(&c->queue)) {
		r = nx_ipc_send(c->fd, buf, len, fds, n_fds);
		if (r != -EAGAIN)
			return r;
	}
	return enqueue(c, buf, len, fds, n_fds);
}
