// SPDX-License-Identifier: GPL-2.0-or-later
/* A data plane with very many sessions is asked which of them it still has. */
#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tunnel-internal.h"

/* As many as a data plane takes. */
#define MANY 16384

static struct nx_session sessions[MANY];
static struct nx_tunnel tunnel;
static struct nx_manager manager;
static struct nx_dp dp;
static uint32_t asked; /* sequence number of GET_STATS; 0: it was not */

static int take_request(struct nx_dp *d, const void *buf, size_t len, const int *fds,
			unsigned int n_fds)
{
	asked = ((const struct nlmsghdr *)buf)->nlmsg_seq;
	return 0;
}

static const struct nx_dp_transport transport = { .send = take_request };

static void up(void *userdata, struct nx_dp *d)
{
}

static const struct nx_dp_ops ops = { .up = up };

/* Numbers in no order that means anything. */
static uint64_t id_of(unsigned int i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static void begin(unsigned int n)
{
	unsigned int i;

	memset(sessions, 0, sizeof(sessions));
	TAILQ_INIT(&manager.tunnels);
	TAILQ_INIT(&tunnel.sessions);
	TAILQ_INSERT_TAIL(&manager.tunnels, &tunnel, entry);
	nx_dp_init(&dp, NULL, "nexus-dp", false, &ops, &manager);
	nx_dp_up(&dp, &transport, NULL);
	for (i = 0; i < n; i++) {
		sessions[i].id = id_of(i);
		sessions[i].dp = &dp;
		sessions[i].tunnel = &tunnel;
		TAILQ_INSERT_TAIL(&tunnel.sessions, &sessions[i], entry);
	}
	asked = 0;
	nx_sessions_recount(&manager, &dp);
	assert_true(asked);
}

static void answer(uint16_t type, uint64_t id)
{
	struct nxm_hdr hdr = { .type = type,
			       .flags = NLM_F_MULTI,
			       .seq = asked,
			       .cmd = NQD_CMD_GET_STATS,
			       .version = 1 };
	struct nx_chan_msg msg = { 0 };
	struct nxm_error e;
	uint8_t buf[128];
	struct nxm m;
	size_t nest;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	if (id) {
		nest = nxm_nest_begin(&m, NQD_A_SESSION);
		nxm_put_u64(&m, NQD_A_SESSION_ID, id);
		nxm_nest_end(&m, nest);
	}
	msg.buf = buf;
	msg.len = (size_t)nxm_end(&m);
	assert_int_equal(nxm_parse_hdr(msg.buf, msg.len, &msg.hdr, &e), 0);
	nx_dp_receive(&dp, &msg);
}

/* All are listed, the last one first: each is found. */
static void very_many(void **state)
{
	unsigned int i;

	begin(MANY);
	for (i = MANY; i; i--)
		answer(NXM_FAMILY_DCO, id_of(i - 1));
	answer(NLMSG_DONE, 0);
	for (i = 0; i < MANY; i++)
		assert_null(sessions[i].recount);
	assert_ptr_equal(TAILQ_FIRST(&tunnel.sessions), &sessions[0]);
}

/* The data plane refuses in the middle, or is gone: nothing is known of those that are left. */
static void no_answer(void **state)
{
	unsigned int i;

	begin(3);
	answer(NXM_FAMILY_DCO, id_of(1));
	nx_requests_fail_all(&dp.requests, -EPIPE, "gone");
	for (i = 0; i < 3; i++)
		assert_null(sessions[i].recount);
	assert_ptr_equal(TAILQ_FIRST(&tunnel.sessions), &sessions[0]);
}

/* What ends while they are listed is no longer among them. */
static void one_ends_meanwhile(void **state)
{
	begin(2);
	TAILQ_REMOVE(&tunnel.sessions, &sessions[0], entry);
	nx_recount_leave(&sessions[0]);
	memset(&sessions[0], 0xa5, sizeof(sessions[0]));
	answer(NXM_FAMILY_DCO, id_of(1));
	answer(NLMSG_DONE, 0);
	assert_null(sessions[1].recount);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(very_many),
		cmocka_unit_test(no_answer),
		cmocka_unit_test(one_ends_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
