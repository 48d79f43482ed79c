// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests and their answers: see requests.h. An answer ends with NLMSG_ERROR (ACK or refusal),
 * NLMSG_DONE of a dump, or with its one data message when no ACK was asked for.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include "requests.h"

struct nx_request {
	TAILQ_ENTRY(nx_request) entry;
	uint32_t seq;
	bool single; /* one data message is the whole answer */
	nx_reply_fn fn;
	void *userdata;
};

void nx_requests_init(struct nx_requests *rq, uint16_t family)
{
	memset(rq, 0, sizeof(*rq));
	rq->family = family;
	rq->next_seq = 1;
	TAILQ_INIT(&rq->pending);
}

void nx_request_begin(struct nx_requests *rq, struct nxm *m, void *buf, size_t cap, uint8_t cmd,
		      uint16_t flags)
{
	struct nxm_hdr hdr = {
		.type = rq->family,
		.flags = (uint16_t)(NLM_F_REQUEST | flags),
		.seq = rq->next_seq,
		.cmd = cmd,
		.version = 1,
	};

	nxm_begin(m, buf, cap, &hdr);
}

int nx_request_send(struct nx_requests *rq, struct nxm *m, const int *fds, unsigned int n_fds,
		    nx_reply_fn fn, void *userdata)
{
	uint8_t *buf = m->buf;
	struct nx_request *req = NULL;
	ssize_t len = nxm_end(m);
	uint16_t flags;
	int r;

	if (len < 0) {
		explicit_bzero(buf, m->cap);
		return (int)len;
	}
	flags = ((struct nlmsghdr *)(void *)buf)->nlmsg_flags;
	if (fn) {
		req = calloc(1, sizeof(*req));
		if (!req) {
			explicit_bzero(buf, (size_t)len);
			return -ENOMEM;
		}
		req->seq = rq->next_seq;
		req->single = !(flags & NLM_F_ACK) && (flags & NLM_F_DUMP) != NLM_F_DUMP;
		req->fn = fn;
		req->userdata = userdata;
	}
	r = rq->transport.send ? rq->transport.send(rq->transport.ctx, buf, (size_t)len, fds, n_fds)
			       : -EPIPE;
	explicit_bzero(buf, (size_t)len);
	if (r) {
		free(req);
		return r;
	}
	if (++rq->next_seq == 0)
		rq->next_seq = 1;
	if (req)
		TAILQ_INSERT_TAIL(&rq->pending, req, entry);
	return 0;
}

static void finish(struct nx_requests *rq, struct nx_request *req, int err, const char *text)
{
	nx_reply_fn fn = req->fn;
	void *userdata = req->userdata;

	TAILQ_REMOVE(&rq->pending, req, entry);
	free(req);
	fn(userdata, NULL, err, text);
}

static struct nx_request *find(struct nx_requests *rq, uint32_t seq)
{
	struct nx_request *req;

	TAILQ_FOREACH (req, &rq->pending, entry)
		if (req->seq == seq)
			return req;
	return NULL;
}

/* The kernel ends a dump that failed in the middle with the error as the payload. */
static int done_error(const struct nx_chan_msg *msg)
{
	int32_t err = 0;

	if (msg->len >= NLMSG_HDRLEN + sizeof(err))
		memcpy(&err, msg->buf + NLMSG_HDRLEN, sizeof(err));
	return err < 0 && err >= -4095 ? err : 0;
}

bool nx_requests_handle(struct nx_requests *rq, const struct nx_chan_msg *msg)
{
	struct nxm_error e = {};
	struct nx_request *req;
	uint32_t seq = msg->hdr.seq;
	bool control = msg->hdr.type == NLMSG_ERROR || msg->hdr.type == NLMSG_DONE;
	bool single;
	int err;

	/* Unsolicited messages carry sequence number 0. */
	if (!control && seq == 0)
		return false;
	req = find(rq, seq);
	if (!req)
		return control;
	if (msg->hdr.type == NLMSG_ERROR) {
		err = nxm_parse_ack(msg->buf, msg->len, &seq, &e);
		finish(rq, req, err, e.text);
		return true;
	}
	if (msg->hdr.type == NLMSG_DONE) {
		err = done_error(msg);
		finish(rq, req, err, err ? strerror(-err) : "");
		return true;
	}
	single = req->single;
	req->fn(req->userdata, msg, 0, "");
	/* The callback may have forgotten its requests. */
	req = single ? find(rq, seq) : NULL;
	if (req)
		finish(rq, req, 0, "");
	return true;
}

void nx_requests_forget(struct nx_requests *rq, const void *userdata)
{
	struct nx_request *req, *next;

	for (req = TAILQ_FIRST(&rq->pending); req; req = next) {
		next = TAILQ_NEXT(req, entry);
		if (req->userdata != userdata)
			continue;
		TAILQ_REMOVE(&rq->pending, req, entry);
		free(req);
	}
}

void nx_requests_fail_all(struct nx_requests *rq, int err, const char *text)
{
	struct nx_request *req;
	uint32_t last = rq->next_seq - 1;

	/* Not those that are sent by the callbacks. */
	while ((req = TAILQ_FIRST(&rq->pending)) && (int32_t)(req->seq - last) <= 0)
		finish(rq, req, err, text);
}
