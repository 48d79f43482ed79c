/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests with sequence numbers and their answers, over a transport that carries netlink
 * messages. The clients of nexus-hsd and of the data planes share it. A transport is what it takes
 * to send one message: a channel to a process of ours, or a generic netlink socket.
 */
#ifndef NX_REQUESTS_H
#define NX_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "chan.h"

struct nx_transport {
	int (*send)(void *ctx, const void *buf, size_t len, const int *fds, unsigned int n_fds);
	void *ctx;
};

/*
 * Called for every data message of the answer (@msg set, @err 0), then once at the end with @msg
 * NULL and the result: 0 or negative errno with @text. Always called at least once, -EPIPE if the
 * peer goes away.
 */
typedef void (*nx_reply_fn)(void *userdata, const struct nx_chan_msg *msg, int err,
			    const char *text);

struct nx_request;
struct nx_requests {
	struct nx_transport transport;
	uint16_t family;
	uint32_t next_seq;
	TAILQ_HEAD(, nx_request) pending;
};

void nx_requests_init(struct nx_requests *rq, uint16_t family);
/* Start a message in @buf. */
void nx_request_begin(struct nx_requests *rq, struct nxm *m, void *buf, size_t cap, uint8_t cmd,
		      uint16_t flags);
/*
 * Finish and send it with @fds. The buffer is wiped. 0: @fn (may be NULL) will be called;
 * otherwise -errno and it will not.
 */
int nx_request_send(struct nx_requests *rq, struct nxm *m, const int *fds, unsigned int n_fds,
		    nx_reply_fn fn, void *userdata);
/* Is @msg an answer to one of our requests? Then it has been dealt with. */
bool nx_requests_handle(struct nx_requests *rq, const struct nx_chan_msg *msg);
/* Forget callbacks for @userdata without calling them (the object goes away). */
void nx_requests_forget(struct nx_requests *rq, const void *userdata);
/* There will be no answers: all requests pending now end with @err, -EPIPE if the peer is gone. */
void nx_requests_fail_all(struct nx_requests *rq, int err, const char *text);

#endif /* NX_REQUESTS_H */
