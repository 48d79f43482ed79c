// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An owner that does not read: every request is answered all the same, once and in order, and of events
 * that were lost it hears.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <linux/netlink.h>

#include "t-abi.h"

/* Several times what the sockets hold. */
#define REQUESTS 4000
/* More than the events leave room for. */
#define SESSIONS 1500
#define REMEMBERED 64
/* Of each so many requests one asks for all sessions. */
#define DUMP_EVERY 50
#define DUMPED 40

/* Until the data plane has done what it will do for now. */
static void settle(void)
{
	char path[32], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", t_abi.pid);
	while (state != 'S') {
		sched_yield();
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
		fclose(f);
		assert_int_not_equal(state, 'Z');
	}
}

static void add_sessions(uint32_t n, uint64_t user)
{
	struct nxm_error e;
	uint32_t i;

	for (i = 1; i <= n; i++) {
		struct abi_session s = t_session(i);

		s.number = 0;
		s.serial = i;
		s.user = user;
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	}
}

static bool is_dump(uint32_t nth)
{
	return nth % DUMP_EVERY == DUMP_EVERY - 1;
}

/* The request that comes as number @nth; false: the socket is full. */
static bool send_request(uint32_t nth)
{
	struct nxm m;
	int err;

	abi_begin(&t_abi, &m, is_dump(nth) ? NQD_CMD_GET_STATS : NQD_CMD_GET_CAPS,
		  is_dump(nth) ? NLM_F_DUMP : 0);
	err = t_abi.ops->send(&t_abi, t_abi.out, nxm_end(&m));
	if (!err)
		return true;
	assert_int_equal(err, -EAGAIN);
	t_abi.seq--;
	return false;
}

/* As many requests as the data plane takes. */
static uint32_t send_requests(uint32_t sent)
{
	bool again = true;

	while (sent < REQUESTS) {
		if (send_request(sent)) {
			sent++;
			again = true;
		} else if (again) {
			settle();
			again = false;
		} else {
			break;
		}
	}
	return sent;
}

/* The next message that is no event and tells of none. */
static void next_answer(struct nxm_hdr *hdr)
{
	struct nxm_error e;
	ssize_t n;

	do {
		n = t_abi.ops->recv(&t_abi, t_abi.in, sizeof(t_abi.in), ABI_TIMEOUT_MS);
		if (n <= 0)
			fail_msg("no answer: %zd", n);
		assert_int_equal(nxm_parse_hdr(t_abi.in, n, hdr, &e), 0);
	} while (!hdr->seq);
}

static void expect_answer(uint32_t nth, uint32_t seq)
{
	struct nxm_hdr hdr;
	unsigned int n = 0;

	for (;;) {
		next_answer(&hdr);
		assert_int_equal(hdr.seq, seq);
		if (hdr.type < NLMSG_MIN_TYPE)
			break;
		n++;
	}
	assert_int_equal(hdr.type, is_dump(nth) ? NLMSG_DONE : NLMSG_ERROR);
	assert_int_equal(n, is_dump(nth) ? DUMPED : 1);
}

static void answers(void **state)
{
	uint32_t first, sent, i;

	T_ONLY_DP();
	add_sessions(DUMPED, 1);
	first = t_abi.seq + 1;
	sent = send_requests(0);
	assert_true(sent < REQUESTS);
	for (i = 0; i < REQUESTS; i++) {
		expect_answer(i, first + i);
		while (sent < REQUESTS && send_request(sent))
			sent++;
	}
	settle();
	while (t_abi.ops->recv(&t_abi, t_abi.in, sizeof(t_abi.in), 0) > 0)
		assert_int_equal(((struct nlmsghdr *)t_abi.in)->nlmsg_seq, 0);
}

/* All sessions end with one request, which is answered whatever becomes of the events. */
static void events(void **state)
{
	unsigned int n_events = 0, acks = 0;
	struct nxm_hdr hdr = { 0 };
	struct nxm_error e;
	struct t_found f;
	struct nxm m;
	size_t nest;
	ssize_t n;

	T_ONLY_DP();
	add_sessions(SESSIONS, 77);
	abi_begin(&t_abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_USER, 77);
	nxm_nest_end(&m, nest);
	assert_int_equal(t_abi.ops->send(&t_abi, t_abi.out, nxm_end(&m)), 0);
	settle();
	while (hdr.type != NLMSG_OVERRUN) {
		n = t_abi.ops->recv(&t_abi, t_abi.in, sizeof(t_abi.in), ABI_TIMEOUT_MS);
		if (n <= 0)
			fail_msg("%u events, %u answers, then %zd", n_events, acks, n);
		assert_int_equal(nxm_parse_hdr(t_abi.in, n, &hdr, &e), 0);
		if (hdr.cmd == NQD_CMD_EVENT)
			n_events++;
		else if (hdr.type == NLMSG_ERROR)
			acks++;
	}
	assert_int_equal(acks, 1);
	assert_in_range(n_events, 1, SESSIONS - 1);
	f = t_dump(NQD_CMD_GET_EVENTS);
	assert_true(f.n >= REMEMBERED);
	assert_int_equal(f.type, NQD_EVENT_SESSION_DOWN);
	/* It was said once, and events come again. */
	t_abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	add_sessions(1, 78);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 1);
	while ((n = t_abi.ops->recv(&t_abi, t_abi.in, sizeof(t_abi.in), 0)) > 0)
		assert_int_not_equal(((struct nlmsghdr *)t_abi.in)->nlmsg_type, NLMSG_OVERRUN);
}

int main(int argc, char **argv)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, t_setup, t_teardown)
	const struct CMUnitTest tests[] = {
		CASE(answers),
		CASE(events),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: %s NEXUS_DP\n", argv[0]);
		return 1;
	}
	t_program = argv[1];
	return cmocka_run_group_tests(tests, t_group_setup, NULL);
}
