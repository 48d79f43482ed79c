/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One session takes the place of another (NQD_SESSION_F_REPLACE) without a lost packet. It promises:
 * at any moment exactly one of them sends inner packets, and whatever the peer sends on either, in
 * order or not, is delivered.
 *
 * The rule: nothing is sent on the new session until the peer's data plane has it, because before
 * that its packets would pile up in the peer's handshake daemon. How each end knows: the first thing
 * said on a session that replaces is an empty DATAGRAM, repeated until acknowledged, which only a
 * data plane says. So:
 *
 *   ADD_SESSION     nqd_replace_link(): the new session waits, the older one carries on; prefixes
 *                   that nobody has are reserved, and lead where they led before
 *   a DATAGRAM      nqd_take_over(): routes, queue, counters and what is known of the path move; the
 *                   older one sends no more, but what comes on it is treated as if it came here
 *   silence         when the peer has our empty DATAGRAM and three PTOs brought nothing more, the
 *                   older one is closed with CONNECTION_CLOSE; its keys go with it
 *
 * If the older one ends before that, its heir takes over at once. If the peer's data plane is never
 * heard, the new one is closed and the older one stays.
 *
 * All of it is control: one thread at a time for all sessions of a struct nqd_lines (nexus-dp has one,
 * the module holds nqd_net.lock). Packets see only what publish() has told them.
 */
#ifndef NQD_REPLACE_H
#define NQD_REPLACE_H

#include "line.h"

struct nqd_lines;

/* What decides whether one may take another's place. */
struct nqd_line_view {
	const void *device;		/* NULL: it closes after its device */
	u64 user;
	u32 flags;			/* NQD_SESSION_F_* */
	u8 role;
	bool has_engine;
	bool is_default;		/* the default session of @device */
	bool down, gone;
};

/* What only a data plane can do: its locks, its timers, its queues. None may fail. */
struct nqd_line_ops {
	u64 (*now_us)(struct nqd_lines *all);
	/* Every session: the one behind @l, the first for NULL. */
	struct nqd_line *(*next)(struct nqd_lines *all, struct nqd_line *l);
	void (*view)(const struct nqd_line *l, struct nqd_line_view *v);
	/* heir, unheard or replaced of @l has changed: packets shall know. */
	void (*publish)(struct nqd_line *l);
	/* Its round at @at_us (NQ_TIME_NEVER: not for that) shall call nqd_replace_timeout(). */
	void (*set_deadline)(struct nqd_lines *all, struct nqd_line *l, u64 at_us);
	/* Its round, soon. */
	void (*kick)(struct nqd_lines *all, struct nqd_line *l);
	/* It sends from now on: it takes its claims and is counted; the reverse. */
	void (*begin)(struct nqd_lines *all, struct nqd_line *l);
	void (*stop)(struct nqd_lines *all, struct nqd_line *l);
	/* Under both sessions' locks: nqd_account_inherit(); and what waits to be sent moves. */
	void (*inherit)(struct nqd_lines *all, struct nqd_line *to, struct nqd_line *from);
	/* Under both sessions' locks: nqd_account_move(), if @from has an engine. */
	void (*move_counters)(struct nqd_lines *all, struct nqd_line *to, struct nqd_line *from);
	/* The engine says an empty DATAGRAM. */
	void (*greet)(struct nqd_lines *all, struct nqd_line *l);
	/* Has the peer acknowledged it? */
	bool (*greeted)(struct nqd_line *l);
	/* The engine's PTO, and when the last packet came. */
	void (*silence)(struct nqd_lines *all, struct nqd_line *l, u64 *pto_us, u64 *last_rx_us);
	/* SESSION_DOWN; then this file's nqd_replace_down(). */
	void (*down)(struct nqd_lines *all, struct nqd_line *l, u8 reason, const char *why);
	/* The engine says CONNECTION_CLOSE; a session without one is gone. Its round, soon. */
	void (*close)(struct nqd_lines *all, struct nqd_line *l, const char *why);
	/* A session without engine, at once. */
	void (*free)(struct nqd_lines *all, struct nqd_line *l);
};

/* All sessions of a data plane (of a network namespace in the kernel). */
struct nqd_lines {
	const struct nqd_line_ops *ops;
};

/* Will @s, which is being added, take the place of @old? */
bool nqd_may_replace(const struct nqd_lines *all, const struct nqd_line *s,
		     const struct nqd_line *old);
/*
 * What a session takes over from another was settled when it was added: 0, or -EBUSY while that is
 * still to come.
 */
int nqd_check_settled(const struct nqd_line *s, struct nxm_error *e);
/*
 * @s is being added: note whose place it will take. If that is nobody's (it is not unheard after
 * this), the caller lets it begin.
 */
void nqd_replace_link(struct nqd_lines *all, struct nqd_line *s);
/* @s has keys: greet the peer, wait to hear its greeting. */
void nqd_replace_installed(struct nqd_lines *all, struct nqd_line *s);
/* @s waits and its peer was heard, or the one it waits for ends: now. */
void nqd_take_over(struct nqd_lines *all, struct nqd_line *s);
/* @s is down: those it replaced drain no longer, those it would have replaced stay. */
void nqd_replace_down(struct nqd_lines *all, struct nqd_line *s);
/* @s is going: no other one points to it afterwards. */
void nqd_replace_free(struct nqd_lines *all, struct nqd_line *s);
/* If @s still drains: close it now. */
void nqd_replace_end_drain(struct nqd_lines *all, struct nqd_line *s);
/* In a round of @s whose deadline has passed. */
void nqd_replace_timeout(struct nqd_lines *all, struct nqd_line *s);

#endif /* NQD_REPLACE_H */
