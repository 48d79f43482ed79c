// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The resolver thread: see resolve.h. Thread and event loop share one object with two references;
 * the thread writes the answer before it signals the eventfd, the loop reads it after.
 */
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "prefix.h"
#include "resolve.h"
#include "thread.h"

struct nx_resolve {
	atomic_int references;
	int event_fd;
	char host[254];
	uint16_t port;
	/* written by the thread before it signals */
	int gai_error;
	struct nx_endpoint list[NX_RESOLVE_MAX];
	size_t n;
	/* of the loop alone */
	sd_event_source *source;
	nx_resolve_fn fn;
	void *userdata;
};

static void unref(struct nx_resolve *r)
{
	if (atomic_fetch_sub(&r->references, 1) != 1)
		return;
	close(r->event_fd);
	free(r);
}

static void *resolver_thread(void *arg)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG };
	struct nx_resolve *r = arg;
	struct addrinfo *res = NULL;
	uint64_t one = 1;

	r->gai_error = getaddrinfo(r->host, NULL, &hints, &res);
	for (struct addrinfo *a = res; a && !r->gai_error && r->n < NX_RESOLVE_MAX; a = a->ai_next)
		if (nx_endpoint_from_bytes(a->ai_addr, a->ai_addrlen, &r->list[r->n]) == 0)
			nx_endpoint_set_port(&r->list[r->n++], r->port);
	if (res)
		freeaddrinfo(res);
	/* Cannot fail: the counter is 0 and nobody else writes. */
	(void)!write(r->event_fd, &one, sizeof(one));
	unref(r);
	return NULL;
}

static int on_answer(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct nx_resolve *r = userdata;
	char text[320] = "";
	int err = 0;

	r->source = sd_event_source_disable_unref(r->source);
	if (r->gai_error || r->n == 0) {
		err = -EHOSTUNREACH;
		snprintf(text, sizeof(text), "%s: %s", r->host,
			 r->gai_error ? gai_strerror(r->gai_error) : "has no address");
	}
	r->fn(r->userdata, err, text, r->list, r->n);
	unref(r);
	return 0;
}

int nx_resolve_start(sd_event *event, const char *hostport, nx_resolve_fn fn, void *userdata,
		     struct nx_resolve **out)
{
	struct nx_resolve *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	atomic_init(&r->references, 2);
	r->fn = fn;
	r->userdata = userdata;
	err = nx_hostport_split(hostport, r->host, &r->port);
	if (err) {
		free(r);
		return err;
	}
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->event_fd < 0) {
		err = -errno;
		free(r);
		return err;
	}
	err = sd_event_add_io(event, &r->source, r->event_fd, EPOLLIN, on_answer, r);
	if (err >= 0)
		err = nx_thread_start(resolver_thread, r);
	if (err < 0) {
		sd_event_source_disable_unref(r->source);
		close(r->event_fd);
		free(r);
		return err;
	}
	*out = r;
	return 0;
}

void nx_resolve_cancel(struct nx_resolve *r)
{
	if (!r)
		return;
	r->source = sd_event_source_disable_unref(r->source);
	unref(r);
}

int nx_resolve_literal(const char *hostport, struct nx_endpoint *e)
{
	return nx_endpoint_parse(hostport, e);
}
