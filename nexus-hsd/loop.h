/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop of nexus-hsd: descriptors in one epoll set, one event per turn, so that a handler
 * may close any descriptor or free any object without leaving a stale event behind. Timers are not
 * here: each turn asks the owners for the earliest time.
 */
#ifndef HS_LOOP_H
#define HS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct hs_source;
typedef void (*hs_source_fn)(struct hs_source *s, uint32_t events);

/* A watched descriptor; embedded in its owner. fd is -1 while it is not watched. */
struct hs_source {
	int fd;
	hs_source_fn fn;
	void *owner;
};

struct hs_loop {
	int epoll_fd;
};

/* 0 or -errno. */
int hs_loop_init(struct hs_loop *l);
/* Watch @fd for input; takes it over. On failure @fd is closed. 0 or -errno. */
int hs_source_open(struct hs_loop *l, struct hs_source *s, int fd, hs_source_fn fn, void *owner);
void hs_source_want_write(struct hs_loop *l, struct hs_source *s, bool on);
/* Stop watching and close. */
void hs_source_close(struct hs_loop *l, struct hs_source *s);
/* Wait until an event or @deadline_ns (monotonic; UINT64_MAX = none) and handle at most one. */
int hs_loop_turn(struct hs_loop *l, uint64_t deadline_ns);

#endif /* HS_LOOP_H */
