// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How rarely the owner of a session is told what its peer can cause with every packet: at once, then once a
 * second, and never without the last (dataplane/limit.h). Key updates: test-ngtcp2.c. Without a data plane:
 * test-line.c.
 *
 * Usage: test-rare NEXUS_DP|module
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "packets.h"
#include "t-traffic.h"

enum { PLAIN, FOLLOWED, PEERS };
static const struct peer_kind kinds[PEERS] = {
	{ 1, 20, 0 },
	{ 2, 20, NQD_SESSION_F_MIGRATION },
};

static int group_setup(void **state)
{
	return traffic_setup(kinds, PEERS);
}

/* How many events of a kind, of which there were @before at @since_us, may have come by now. */
static void expect_rare(u8 type, unsigned int before, u64 since_us)
{
	assert_in_range(abi.events[type] - before, 1, 1 + (now_us() - since_us) / 1000000);
}

/* Until the last that was told of the followed client is that it is at @addr. */
static void wait_told(const struct sockaddr_storage *addr)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;

	while (memcmp(&abi.path_remote, addr, sizeof(struct sockaddr_in))) {
		abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_UPTIME_MS);
		assert_true(now_us() < deadline);
	}
}

/* A client that is here and there with every packet: once a second, and in the end where it stayed. */
static void restless_client_is_told_of_rarely(void **state)
{
	struct sockaddr_storage addr[2];
	struct peer *p = &peers[FOLLOWED];
	u64 moves, got, since_us, deadline;
	unsigned int events, i;
	u8 pkt[1500];
	int fd[2];

	NEED_ROOT();
	for (i = 0; i < 2; i++) {
		moves = abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_MIGRATIONS);
		fd[i] = abi_open_udp("127.0.0.1", 0, &addr[i]);
		send_wire(fd[i], p->buf, seal(p, pkt, udp_packet(pkt, 5 + FOLLOWED, 1, 100)));
		serve_until(p, fd[i], FOLLOWED + 1, NQD_A_STATS_MIGRATIONS, moves + 1);
	}
	wait_told(&addr[1]);
	moves = abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_MIGRATIONS);
	got = abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS);
	events = abi.events[NQD_EVENT_PATH_CHANGED];
	since_us = now_us();
	deadline = since_us + TIMEOUT_MS * 1000ull;
	for (i = 0; i < 40 || abi.events[NQD_EVENT_PATH_CHANGED] == events; i++) {
		send_wire(fd[i % 2], p->buf, seal(p, pkt, udp_packet(pkt, 5 + FOLLOWED, 1, 100)));
		expect_stat(FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS, ++got);
		serve(p, fd[i % 2]);
		assert_true(now_us() < deadline);
	}
	assert_true(abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_MIGRATIONS) >= moves + i / 2);
	wait_told(&addr[(i - 1) % 2]);
	expect_rare(NQD_EVENT_PATH_CHANGED, events, since_us);
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* A packet of @p from @fd, which is the other host's, and what follows until @mtu is what passes. */
static void visit(struct peer *p, int fd, u64 *got, u32 mtu)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	u8 pkt[1500];

	send_wire(fd, p->buf, seal(p, pkt, udp_packet(pkt, 5 + FOLLOWED, 1, 100)));
	expect_stat(FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS, ++*got);
	do {
		serve(p, fd);
		assert_true(now_us() < deadline);
	} while (abi_path_mtu(&abi, FOLLOWED + 1) != mtu);
}

/*
 * A client that is in a wide and in a narrow network with every packet: what passes changes as often, and
 * is told of once a second, in the end what it stayed with.
 */
static void restless_mtu_is_told_of_rarely(void **state)
{
	static const struct {
		const char *host;
		u32 takes;
	} nets[2] = { { "127.0.0.5", MTU }, { "127.0.0.6", NQ_MIN_UDP_PAYLOAD } };
	struct peer *p = &peers[FOLLOWED];
	struct sockaddr_storage addr;
	unsigned int events, i;
	u64 got, since_us, deadline;
	int fd[2];

	NEED_ROOT();
	got = abi_stat(&abi, FOLLOWED + 1, NQD_A_STATS_L3_RX_PACKETS);
	for (i = 0; i < 2; i++) {
		fd[i] = abi_open_udp(nets[i].host, 0, &addr);
		assert_true(fd[i] >= 0);
	}
	/* Of both it is known what passes when it goes on. */
	for (i = 0; i < 2; i++) {
		p->takes = nets[i].takes;
		visit(p, fd[i], &got, nets[i].takes);
	}
	events = abi.events[NQD_EVENT_PATH_MTU_CHANGED];
	since_us = now_us();
	deadline = since_us + TIMEOUT_MS * 1000ull;
	for (i = 0; i < 40 || abi.events[NQD_EVENT_PATH_MTU_CHANGED] == events; i++) {
		p->takes = nets[i % 2].takes;
		visit(p, fd[i % 2], &got, p->takes);
		assert_true(now_us() < deadline);
	}
	/* Just after one was told. */
	p->takes = nets[i % 2].takes;
	visit(p, fd[i % 2], &got, p->takes);
	while (abi.path_mtu != p->takes) {
		abi_path_mtu(&abi, FOLLOWED + 1);
		assert_true(now_us() < deadline);
	}
	expect_rare(NQD_EVENT_PATH_MTU_CHANGED, events, since_us);
	p->takes = 0;
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* STREAM 4 with a length of 900 bytes, all of them @fill. */
static u32 stream_frame(u8 *p, u8 fill)
{
	const u8 head[] = { 0x0a, 0x04, 0x43, 0x84 };

	memcpy(p, head, sizeof(head));
	memset(p + sizeof(head), fill, 900);
	return sizeof(head) + 900;
}

static void send_stream(struct peer *p, u8 fill)
{
	u8 frame[1000];
	u32 n = hand_peer_seal_frames(p->conn, p->buf, frame, stream_frame(frame, fill));

	assert_true(n > 0);
	send_wire(p->fd, p->buf, n);
}

/* The frames that came are these and no others, each once. */
static void expect_frames(const char *fills)
{
	u8 frame[1000];
	u32 at = 0, n;

	for (; *fills; fills++, at += n) {
		n = stream_frame(frame, *fills);
		assert_true(at + n <= abi.frames_len);
		assert_memory_equal(abi.frames + at, frame, n);
	}
	assert_int_equal(at, abi.frames_len);
}

/* Until @p knows what has become of everything it has sent: how many packets never came. */
static u64 count_lost(struct peer *p)
{
	u64 deadline = now_us() + TIMEOUT_MS * 1000ull;
	struct nq_stats st;

	do {
		serve(p, p->fd);
		nq_get_stats(p->conn, &st, now_us());
		assert_true(now_us() < deadline);
	} while (st.bytes_in_flight);
	return st.count.packets_lost;
}

/*
 * Frames for the owner: the first at once, others when its second is over. What has no room meanwhile is
 * not acknowledged, so that its sender says it again: none is told twice, none is lost.
 */
static void frames_for_the_owner_come_rarely(void **state)
{
	struct peer *p = &peers[PLAIN];
	u64 since_us, lost;
	unsigned int events;

	NEED_ROOT();
	lost = count_lost(p);
	events = abi.events[NQD_EVENT_FRAMES_PUNTED];
	since_us = now_us();
	send_stream(p, 'a');
	wait_event(NQD_EVENT_FRAMES_PUNTED, events + 1);
	expect_frames("a");
	send_stream(p, 'b');
	send_stream(p, 'c');
	send_stream(p, 'd');
	assert_int_equal(count_lost(p), lost + 1);
	wait_event(NQD_EVENT_FRAMES_PUNTED, events + 2);
	assert_true(now_us() - since_us >= 1000000);
	expect_frames("abc");
	send_stream(p, 'd');
	assert_int_equal(count_lost(p), lost + 1);
	wait_event(NQD_EVENT_FRAMES_PUNTED, events + 3);
	expect_frames("abcd");
	expect_rare(NQD_EVENT_FRAMES_PUNTED, events, since_us);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restless_client_is_told_of_rarely),
		cmocka_unit_test(restless_mtu_is_told_of_rarely),
		cmocka_unit_test(frames_for_the_owner_come_rarely),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-rare NEXUS_DP|module\n");
		return 1;
	}
	program = argv[1];
	module = abi_transport_for(program)->module;
	return cmocka_run_group_tests(tests, group_setup, traffic_teardown);
}
