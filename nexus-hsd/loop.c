// SPDX-License-Identifier: GPL-2.0-or-later
/* The event loop of nexus-hsd, see loop.h. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "clock.h"
#include "loop.h"

int hs_loop_init(struct hs_loop *l)
{
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll_fd < 0 ? -errno : 0;
}

int hs_source_open(struct hs_loop *l, struct hs_source *s, int fd, hs_source_fn fn, void *owner)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	int err;

	hs_source_close(l, s);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	s->fd = fd;
	s->fn = fn;
	s->owner = owner;
	return 0;
}

void hs_source_want_write(struct hs_loop *l, struct hs_source *s, bool on)
{
	struct epoll_event ev = { .events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = s };

	if (s->fd >= 0)
		epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
}

void hs_source_close(struct hs_loop *l, struct hs_source *s)
{
	if (s->fd < 0)
		return;
	/* A duplicate of the description may live in another process: closing is not removing. */
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
}

/* Milliseconds until @deadline_ns, rounded up so that a timer is never early. */
static int timeout_ms(uint64_t deadline_ns)
{
	uint64_t now = hs_now_ns(), ms;

	if (deadline_ns == UINT64_MAX)
		return -1;
	if (deadline_ns <= now)
		return 0;
	ms = (deadline_ns - now + 999999) / 1000000;
	return ms > 60000 ? 60000 : (int)ms;
}

int hs_loop_turn(struct hs_loop *l, uint64_t deadline_ns)
{
	struct epoll_event ev;
	struct hs_source *s;
	int n;

	n = epoll_wait(l->epoll_fd, &ev, 1, timeout_ms(deadline_ns));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 0;
	s = ev.data.ptr;
	s->fn(s, ev.events);
	return 0;
}
