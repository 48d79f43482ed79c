// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client's packets come all the time, and each arrives, whatever else is done at that moment on another processor:
 * the client takes fresh sessions, one after the other, and its packets come on the older one until some time after
 * the newer one has its place; or the owner of the socket reads what is his as often as he can.
 *
 * Usage: test-stream NEXUS_DP|module
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
#define OWNERS_PACKETS 600

/* The client's packets, by a thread of their own. */
static struct {
	pthread_t thread;
	_Atomic(struct peer *) by, used; /* the session it shall send on, and does */
	atomic_bool stop;
	atomic_uint sent, arrived;
	_Atomic(const char *) wrong; /* it has ended for that */
} flow;

static struct peer line[ROUNDS]; /* the client's, as many as have a connection */

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

static void begin_flow(void)
{
	flow.by = &line[0];
	flow.stop = false;
	flow.sent = flow.arrived = 0;
	assert_int_equal(pthread_create(&flow.thread, NULL, flow_runs, NULL), 0);
}

static void end_flow(void)
{
	flow.stop = true;
	assert_int_equal(pthread_join(flow.thread, NULL), 0);
}

/* All has arrived, and been counted by the client's session @id. */
static void check_flow(u64 id)
{
	if (flow.wrong)
		fail_msg("%s: session %llu, %u sent, %u arrived", flow.wrong,
			 (unsigned long long)id, flow.sent, flow.arrived);
	assert_int_equal(abi_stat(&abi, id, NQD_A_STATS_SOURCE_PREFIX_DROPS), 0);
	expect_stat(id, NQD_A_STATS_L3_RX_PACKETS, flow.sent);
}

static void sessions_change(void **state)
{
	unsigned int i;

	NEED_ROOT();
	begin_flow();
	for (i = 1; i < ROUNDS && !flow.wrong; i++) {
		add_session(i);
		until_sent(flow.sent + AFTERWARDS);
		greet(i);
		until_sent(flow.sent + AFTERWARDS);
		flow.by = &line[i];
		while (!flow.wrong && flow.used != &line[i])
			abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
	}
	end_flow();
	check_flow(FIRST_ID + i - 1);
}

/* ---- the owner ---- */

static struct {
	pthread_t thread;
	atomic_bool stop;
	atomic_uint his, others;
} owner;

#define OWNERS "\x40 what is the owner's"

static void *owner_reads(void *arg)
{
	u8 buf[2048];
	ssize_t n;

	while (!owner.stop) {
		n = recv(udp, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == sizeof(OWNERS) && !memcmp(buf, OWNERS, n))
			owner.his++;
		else if (n > 0)
			owner.others++;
	}
	return NULL;
}

/* Of @sent packets no more than @left are not his yet, in good time. */
static bool owner_has(unsigned int sent, unsigned int left)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;

	while (sent - owner.his > left && now_us() < deadline)
		until_sent(flow.sent + 1);
	return sent - owner.his <= left;
}

/* He has all that is nobody's, and nothing of a session's. */
static void owner_reads_all_the_time(void **state)
{
	unsigned int i;

	/* nexus-dp has the socket to itself. */
	if (!module)
		skip();
	NEED_ROOT();
	begin_flow();
	assert_int_equal(pthread_create(&owner.thread, NULL, owner_reads, NULL), 0);
	for (i = 0; i < OWNERS_PACKETS && !flow.wrong && owner_has(i, AT_ONCE); i++) {
		send_wire(peers[0].fd, (const u8 *)OWNERS, sizeof(OWNERS));
		until_sent(flow.sent + 1);
	}
	owner_has(i, 0);
	end_flow();
	owner.stop = true;
	assert_int_equal(pthread_join(owner.thread, NULL), 0);
	assert_int_equal(owner.others, 0);
	check_flow(FIRST_ID);
	assert_int_equal(owner.his, OWNERS_PACKETS);
}

static int one_session(void **state)
{
	if (peers[0].conn)
		add_session(0);
	return 0;
}

/* The client is gone. */
static int no_session(void **state)
{
	unsigned int i;
	struct nxm m;
	size_t nest;

	if (!line[0].conn)
		return 0;
	abi_begin(&abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_USER, USER);
	nxm_nest_end(&m, nest);
	assert_int_equal(abi_call(&abi, &m, NULL, NULL, NULL), 0);
	for (i = 0; i < ROUNDS && line[i].conn; i++) {
		nq_conn_fini(line[i].conn);
		free(line[i].mem);
		close(line[i].fd);
		line[i].conn = NULL;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(owner_reads_all_the_time, one_session, no_session),
		cmocka_unit_test_setup_teardown(sessions_change, one_session, no_session),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-stream NEXUS_DP|module\n");
		return 1;
	}
	program = argv[1];
	module = abi_transport_for(program)->module;
	return cmocka_run_group_tests(tests, group_setup, traffic_teardown);
}
