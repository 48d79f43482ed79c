// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a connection (RFC 9000 10): idle, closing, draining, gone.
 *
 * Closing: CONNECTION_CLOSE is sent at once, a second time after a PTO (or 300 ms) in case the first
 * was lost and the peer has nothing to say, and again after 1, 2, 4, ... further datagrams, for three
 * PTOs. Draining: nothing is sent for three PTOs. After that NQ_EV_GONE says that the connection
 * IDs may be forgotten. An idle connection goes at once: the peer's state is gone as well.
 */
#include "conn.h"

/* Whoever closes does not want to wait long for the second time. */
#define CLOSE_AGAIN_MAX_US 300000

static void set_reason(struct nq_close_info *info, const char *reason, u32 len)
{
	u32 i;

	if (len > sizeof(info->reason) - 1)
		len = sizeof(info->reason) - 1;
	for (i = 0; i < len; i++)
		info->reason[i] = reason[i] >= 0x20 && reason[i] < 0x7f ? reason[i] : '?';
	info->reason[len] = 0;
}

static void leave(struct nq_conn *c, enum nq_conn_state state, u64 now_us)
{
	c->state = state;
	c->close_end_us = now_us + 3 * nq_pto_us(c);
	c->close_wanted = state == NQ_CLOSING;
	c->close_again_us = state == NQ_CLOSING ? now_us + nq_min(nq_pto_us(c), CLOSE_AGAIN_MAX_US)
						: NQ_TIME_NEVER;
	c->close_rx = 0;
	c->close_rx_next = 1;
	c->events |= NQ_EV_CLOSED;
}

static u32 text_len(const char *s)
{
	u32 n = 0;

	while (s[n])
		n++;
	return n;
}

void nq_close(struct nq_conn *c, bool application, u64 code, const char *reason, u64 now_us)
{
	if (c->state != NQ_ACTIVE)
		return;
	c->close.cause = NQ_CLOSE_LOCAL;
	c->close.application = application;
	c->close.code = code > NQ_VARINT_MAX ? NQ_INTERNAL_ERROR : code;
	if (reason)
		set_reason(&c->close, reason, text_len(reason));
	leave(c, NQ_CLOSING, now_us);
}

void nq_conn_error(struct nq_conn *c, enum nq_close_cause cause, u64 code, const char *reason,
		   u64 now_us)
{
	/* A reset while closing: the peer is gone, there is nobody left to tell. */
	if (c->state == NQ_CLOSING && cause == NQ_CLOSE_RESET) {
		c->state = NQ_DRAINING;
		c->close_wanted = false;
		c->close_again_us = NQ_TIME_NEVER;
	}
	if (c->state != NQ_ACTIVE)
		return;
	c->close.cause = cause;
	c->close.code = code;
	set_reason(&c->close, reason, text_len(reason));
	leave(c, cause == NQ_CLOSE_RESET ? NQ_DRAINING : NQ_CLOSING, now_us);
}

void nq_close_on_peer(struct nq_conn *c, const struct nq_frame *f, u64 now_us)
{
	if (c->state != NQ_ACTIVE)
		return;
	c->close.cause = NQ_CLOSE_PEER;
	c->close.application = f->type != NQ_FRAME_CONNECTION_CLOSE;
	c->close.code = f->close.code;
	set_reason(&c->close, (const char *)f->close.reason, f->close.reason_len);
	leave(c, NQ_DRAINING, now_us);
}

void nq_close_idle(struct nq_conn *c)
{
	c->close.cause = NQ_CLOSE_IDLE;
	c->state = NQ_GONE;
	c->events |= NQ_EV_CLOSED | NQ_EV_GONE;
}

void nq_close_on_received(struct nq_conn *c, unsigned int n)
{
	if (c->state != NQ_CLOSING)
		return;
	c->close_rx += n;
	if (c->close_rx < c->close_rx_next)
		return;
	while (c->close_rx_next <= c->close_rx)
		c->close_rx_next *= 2;
	c->close_wanted = true;
}

void nq_close_info(const struct nq_conn *c, struct nq_close_info *info)
{
	*info = c->close;
}
