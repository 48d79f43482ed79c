// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client takes fresh sessions, one after the other, while its packets come all the time: on the older session
 * until some time after the newer one has its place. Whenever that happens, whatever else is done with a packet
 * at that moment on another processor, each arrives, and none is taken for somebody else's.
 *
 * Usage: test-renew NEXUS_DP|module
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "packets.h"
#include "t-traffic.h"

#define ROUNDS 28 /* IDs differ for so many */
#define USER 900
#define HOST 40
#define FIRST_ID 100
#define FIRST_NUMBER 3
/* Under way at a time, and so many still on the older session after the change. */
#define AT_ONCE 24
#define AFTERWARDS 40

/* The client's packets, by a thread of their own. */
static struct {
	pthread_t thread;
	_Atomic(struct peer *) by, used; /* the session it shall send on, and does */
	atomic_bool stop;
	atomic_uint sent, arrived;
	_Atomic(const char *) wrong; /* it has ended for that */
} flow;

static struct peer line[ROUNDS];

static int group_setup(void **state)
{
	static const struct peer_kind kinds[] = { { 1, 20, 0 } };

	return traffic_setup(kinds, 1);
}

/* What has come to @p, if it is there or comes within @wait_ms, and what there is to say to it. */
static void attend(struct peer *p, int wait_ms)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	struct nq_rx_datagram d[NQ_BURST_MAX];
	u8 buf[2048];
	unsigned int n;
	ssize_t r;
	int out;

	poll(&pfd, 1, wait_ms);
	while ((r = recv(p->fd, p->buf, sizeof(p->buf), MSG_DONTWAIT)) > 0) {
		struct nq_rx_pkt pkt = { .data = p->buf, .len = r };

		nq_rx_open(p->conn, &pkt, 1, d, NQ_BURST_MAX, &n, now_us());
	}
	nq_on_timeout(p->conn, now_us());
	while ((out = nq_tx_control(p->conn, buf, sizeof(buf), now_us())) > 0)
		sendto(p->fd, buf, out, 0, (struct sockaddr *)&bound, sizeof(struct sockaddr_in));
}

/* Until no more than @left of the flow's packets are under way: NULL, or what is wrong. */
static const char *collect(unsigned int left)
{
	struct pollfd pfd = { .fd = inner, .events = POLLIN };
	u8 got[200];

	while (flow.sent - flow.arrived > left) {
		if (poll(&pfd, 1, TIMEOUT_MS) != 1)
			return "a packet is missing";
		if (recv(inner, got, sizeof(got), 0) != 100)
			return "not one of these packets";
		flow.arrived++;
	}
	return NULL;
}

static const char *send_one(struct peer *p, const u8 *pkt, u32 len)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	u32 n;

	while (!(n = hand_peer_seal(p->conn, p->buf, 0, pkt, len))) {
		if (now_us() > deadline)
			return "it may not send";
		attend(p, 1);
	}
	if (sendto(p->fd, p->buf, n, 0, (struct sockaddr *)&bound, sizeof(struct sockaddr_in)) != n)
		return "sendto";
	flow.sent++;
	return collect(AT_ONCE);
}

static void *flow_runs(void *arg)
{
	const char *wrong = NULL;
	struct peer *p;
	u8 pkt[200];
	u32 len = udp_packet(pkt, HOST, 1, 100);

	while (!wrong && !flow.stop) {
		flow.used = p = flow.by;
		wrong = send_one(p, pkt, len);
		attend(p, 0);
	}
	if (!wrong)
		wrong = collect(0);
	flow.wrong = wrong;
	return NULL;
}

/* Session number @i of the client; it waits for its peer's greeting if it is not the first. */
static void add_session(unsigned int i)
{
	struct abi_session s = { .id = FIRST_ID + i,
				 .user = USER,
				 .server = true,
				 .number = FIRST_NUMBER + i,
				 .flags = i ? NQD_SESSION_F_REPLACE : 0,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = MTU,
				 .ifname = ifname,
				 .socket = udp };
	struct nxm_error e;

	make_peer(&line[i], s.number, 20, false);
	s.remote = line[i].addr;
	add_route(&s, HOST, 32);
	if (abi_add_session(&abi, &s, &e))
		fail_msg("%s", e.text);
}

static void until_sent(unsigned int n)
{
	while (!flow.wrong && flow.sent < n)
		abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
}

/* The client is heard on session number @i, which takes the place of the one before. */
static void greet(unsigned int i)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	int ended = abi.events[NQD_EVENT_SESSION_DOWN];

	assert_int_equal(nq_tx_queue_empty_datagram(line[i].conn), 0);
	while (abi.events[NQD_EVENT_SESSION_DOWN] == ended) {
		attend(&line[i], 1);
		abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
		assert_true(now_us() < deadline);
	}
}

static void packets_while_sessions_change(void **state)
{
	unsigned int i;

	NEED_ROOT();
	add_session(0);
	flow.by = &line[0];
	assert_int_equal(pthread_create(&flow.thread, NULL, flow_runs, NULL), 0);
	for (i = 1; i < ROUNDS && !flow.wrong; i++) {
		add_session(i);
		until_sent(flow.sent + AFTERWARDS);
		greet(i);
		until_sent(flow.sent + AFTERWARDS);
		flow.by = &line[i];
		while (!flow.wrong && flow.used != &line[i])
			abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
	}
	flow.stop = true;
	assert_int_equal(pthread_join(flow.thread, NULL), 0);
	if (flow.wrong)
		fail_msg("%s: %u sent, %u arrived, %u sessions", flow.wrong, flow.sent,
			 flow.arrived, i);
	assert_int_equal(abi_stat(&abi, FIRST_ID + i - 1, NQD_A_STATS_SOURCE_PREFIX_DROPS), 0);
	expect_stat(FIRST_ID + i - 1, NQD_A_STATS_L3_RX_PACKETS, flow.sent);
}

static int group_teardown(void **state)
{
	unsigned int i;

	for (i = 0; i < ROUNDS && line[i].conn; i++) {
		nq_conn_fini(line[i].conn);
		free(line[i].mem);
		close(line[i].fd);
	}
	return traffic_teardown(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_while_sessions_change),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-renew NEXUS_DP|module\n");
		return 1;
	}
	program = argv[1];
	module = abi_transport_for(program)->module;
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
