/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names to addresses without blocking the event loop: getaddrinfo() runs in a thread of its own.
 * Literal addresses are answered at once, without a thread.
 */
#ifndef NX_RESOLVE_H
#define NX_RESOLVE_H

#include <systemd/sd-event.h>
#include "net.h"

#define NX_RESOLVE_MAX 16

struct nx_resolve;

/* @err 0 with 1..NX_RESOLVE_MAX addresses in the order of RFC 6724, or -EHOSTUNREACH with @text. */
typedef void (*nx_resolve_fn)(void *userdata, int err, const char *text,
			      const struct nx_endpoint *list, size_t n);

/* "host:port". Calls @fn once from the event loop, unless cancelled. 0 or -errno. */
int nx_resolve_start(sd_event *event, const char *hostport, nx_resolve_fn fn, void *userdata,
		     struct nx_resolve **out);
void nx_resolve_cancel(struct nx_resolve *r);
/* Is @hostport an address? Then no resolver is needed. */
int nx_resolve_literal(const char *hostport, struct nx_endpoint *e);

#endif /* NX_RESOLVE_H */
