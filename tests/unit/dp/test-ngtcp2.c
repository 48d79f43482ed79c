// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A data plane against a live ngtcp2 endpoint: after a handshake between two of them one side's session is
 * handed to the data plane, secrets and all, and the other goes on over a UDP socket. DATAGRAMs both
 * ways, key updates from either side, a path that loses, doubles and reorders, and every way a session
 * can end: closed from either side, and a stateless reset.
 *
 * Usage: test-dp-ngtcp2 NEXUS_DP|module
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../lib/crypto.h"
#include "../../../quic/varint.h"
#include "../../vectors/ngtcp2-peer.h"
#include "hand-peer.h"
#include "packets.h"
#include "t-abi.h"

#define DATAGRAMS 1500
#define INNER_BYTES 1000
#define UPDATES 4
#define MTU 1400
/* On the way in one direction, where nothing is lost. */
#define WINDOW 64
#define DEADLINE_US 120000000ull
#define HEADERS 28

struct run {
	struct peer_pair pp;
	struct peer *live;
	struct peer *from; /* whose session the data plane has */
	struct sockaddr_storage addr; /* of the live end */
	int fd, inner;
	u64 base_us, start_us; /* ngtcp2's time and ours when it began */
	bool lossy;
	u64 sent_by_live, sent_by_dp, received, duplicates;
	u64 updates_by_live, updates_by_dp;
	u8 seen[DATAGRAMS];
};

static void tick(struct run *r)
{
	r->pp.now_us = r->base_us + hand_peer_now_us() - r->start_us;
	assert_true(r->pp.now_us - r->base_us < DEADLINE_US);
}

static u64 stat(u16 which)
{
	return abi_stat(&t_abi, 1, which);
}

/* Either side has sent so much before the next key update, for which packets are left. */
static u64 quota(const struct run *r)
{
	return DATAGRAMS * (r->updates_by_dp + r->updates_by_live + 1) / (UPDATES + 1);
}

/* ---- the hand-over ---- */

static void put_cids(struct nxm *m, u16 attr, const struct nq_cid *cids, u32 n)
{
	size_t nest = nxm_nest_begin(m, attr), one;
	u32 i;

	for (i = 0; i < n; i++) {
		one = nxm_nest_begin(m, NQD_A_CIDS_CID);
		nxm_put_u64(m, NQD_A_CID_SEQ, cids[i].seq);
		nxm_put(m, NQD_A_CID_ID, cids[i].id, cids[i].len);
		if (cids[i].has_token)
			nxm_put(m, NQD_A_CID_RESET_TOKEN, cids[i].token, NQ_RESET_TOKEN_LEN);
		nxm_nest_end(m, one);
	}
	nxm_nest_end(m, nest);
}

static void put_session(struct nxm *m, const struct run *r, const struct nq_conn_params *p)
{
	size_t nest = nxm_nest_begin(m, NQD_A_SESSION);

	nxm_put_u64(m, NQD_A_SESSION_ID, 1);
	nxm_put_str(m, NQD_A_SESSION_TUNNEL, "ngtcp2");
	nxm_put_u8(m, NQD_A_SESSION_ROLE, p->is_server ? NQD_ROLE_SERVER : NQD_ROLE_CLIENT);
	nxm_put_u32(m, NQD_A_SESSION_FLAGS,
		    NQD_SESSION_F_ACK_PENDING | NQD_SESSION_F_DEFAULT_ROUTE);
	abi_put_fd(&t_abi, m, NQD_A_SESSION_SOCKET_FD, t_udp);
	nxm_put(m, NQD_A_SESSION_REMOTE_ADDR, &r->addr, sizeof(struct sockaddr_in));
	put_cids(m, NQD_A_SESSION_LOCAL_CIDS, p->local_cids, p->n_local_cids);
	put_cids(m, NQD_A_SESSION_REMOTE_CIDS, p->remote_cids, p->n_remote_cids);
	nxm_put_u16(m, NQD_A_SESSION_CIPHER, p->cipher);
	nxm_put_u64(m, NQD_A_SESSION_NEXT_PN, p->next_pn);
	nxm_put(m, NQD_A_SESSION_RX_RANGES, p->rx_ranges,
		p->n_rx_ranges * sizeof(struct nqd_range));
	nxm_put_u32(m, NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS, p->max_idle_timeout_ms);
	nxm_put_u8(m, NQD_A_SESSION_PEER_ACK_DELAY_EXPONENT, p->peer_ack_delay_exponent);
	nxm_put_u32(m, NQD_A_SESSION_PEER_MAX_ACK_DELAY_US, p->peer_max_ack_delay_us);
	nxm_put_u32(m, NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES,
		    p->peer_max_datagram_frame_bytes);
	nxm_put_u32(m, NQD_A_SESSION_PEER_ACTIVE_CID_LIMIT, p->peer_active_cid_limit);
	nxm_put_u32(m, NQD_A_SESSION_SRTT_US, p->srtt_us);
	nxm_put_u32(m, NQD_A_SESSION_RTTVAR_US, p->rttvar_us);
	nxm_put_u32(m, NQD_A_SESSION_MIN_RTT_US, p->min_rtt_us);
	nxm_put_u32(m, NQD_A_SESSION_PATH_MTU_BYTES, MTU);
	nxm_nest_end(m, nest);
}

/* The ID that the data plane sends to, as the live end has issued it. */
static const struct nq_cid *issued(const struct run *r, const struct nq_cid *cid)
{
	u32 i;

	for (i = 0; i < r->live->n_local; i++)
		if (!memcmp(r->live->local[i].id, cid->id, PEER_CID_LEN))
			return &r->live->local[i];
	fail_msg("an ID that nobody has issued");
	return NULL;
}

static void hand_over(struct run *r)
{
	struct nq_range ranges[64];
	struct nq_conn_params p;
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	assert_int_equal(peer_export(r->from, nx_crypto_provider(NULL), &p, ranges, 64), 0);
	p.remote_cids[0] = *issued(r, &p.remote_cids[0]);
	/* A client's first has none. */
	p.remote_cids[0].has_token = r->live->server || p.remote_cids[0].seq;
	nxm_nest_end(&m, t_begin_device(&m, NQD_CMD_ADD_SESSION));
	put_session(&m, r, &p);
	nest = nxm_nest_begin(&m, NQD_A_KEYS);
	nxm_put(&m, NQD_A_KEYS_TX_SECRET, r->from->tx_secret, r->from->secret_len);
	nxm_put(&m, NQD_A_KEYS_RX_SECRET, r->from->rx_secret, r->from->secret_len);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
}

static int open_inner(void)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(2000) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = 8 << 20;
	char command[256];

	/* The kernel itself would have things to say in IPv6. */
	snprintf(
		command, sizeof(command),
		"sysctl -qw net.ipv6.conf.%s.disable_ipv6=1 && ip address replace 10.7.0.1/24 dev %s",
		t_ifname, t_ifname);
	assert_int_equal(system(command), 0);
	inet_pton(AF_INET, "10.7.0.1", &local.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

static struct run *begin(u16 cipher, bool dp_is_server)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(peer_pair_start(&r->pp, cipher, false), 0);
	r->live = dp_is_server ? &r->pp.client : &r->pp.server;
	r->from = dp_is_server ? &r->pp.server : &r->pp.client;
	r->live->seen = calloc(1, DATAGRAMS);
	assert_non_null(r->live->seen);
	r->live->seen_size = DATAGRAMS;
	r->live->index_at = 1 + HEADERS;
	r->fd = abi_open_udp("127.0.0.1", 0, &r->addr);
	r->inner = open_inner();
	r->base_us = r->pp.now_us;
	r->start_us = hand_peer_now_us();
	hand_over(r);
	return r;
}

static void end(struct run *r)
{
	close(r->fd);
	close(r->inner);
	peer_pair_stop(&r->pp);
	free(r);
}

/* ---- the live end ---- */

static void live_put(struct run *r, const u8 *pkt, long len)
{
	sendto(r->fd, pkt, len, 0, (struct sockaddr *)&t_bound, sizeof(struct sockaddr_in));
}

static void live_talk(struct run *r)
{
	u8 buf[MTU];
	long n;

	if (ngtcp2_conn_get_expiry(r->live->conn) <= r->pp.now_us * 1000)
		assert_int_equal(ngtcp2_conn_handle_expiry(r->live->conn, r->pp.now_us * 1000), 0);
	while ((n = peer_write(r->live, buf, sizeof(buf))) > 0)
		live_put(r, buf, n);
	assert_int_equal(n, 0);
}

static void live_send(struct run *r)
{
	u8 payload[1 + HEADERS + INNER_BYTES] = { 0 }, buf[MTU];
	int accepted = 1;
	long n = 1;

	while (n > 0 && r->sent_by_live < quota(r) &&
	       (r->lossy || r->sent_by_live - r->received < WINDOW)) {
		udp_packet(payload + 1, 5, 1, INNER_BYTES);
		nq_put_be64(payload + 1 + HEADERS, r->sent_by_live);
		/* It has no checksum. */
		memset(payload + 1 + 26, 0, 2);
		n = peer_write_datagram(r->live, buf, sizeof(buf), r->sent_by_live, payload,
					sizeof(payload), &accepted);
		assert_true(n >= 0);
		r->sent_by_live += accepted;
		if (n)
			live_put(r, buf, n);
	}
}

/* 0, or what ngtcp2 says of the last packet. */
static int live_receive(struct run *r)
{
	u8 buf[2048];
	ssize_t n;
	int err = 0;

	while (!err && (n = recv(r->fd, buf, sizeof(buf), 0)) > 0)
		err = peer_read(r->live, buf, n, 0);
	return err;
}

/* ---- the inner side ---- */

static void dp_send(struct run *r)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	/* What is lost on the way is not waited for. */
	u64 most = r->lossy ? r->sent_by_dp + 8 : r->live->received + WINDOW;
	u8 payload[INNER_BYTES] = { 0 };

	inet_pton(AF_INET, "10.7.0.5", &to.sin_addr);
	while (r->sent_by_dp < quota(r) && r->sent_by_dp < most) {
		nq_put_be64(payload, r->sent_by_dp);
		if (sendto(r->inner, payload, sizeof(payload), 0, (void *)&to, sizeof(to)) < 0)
			return;
		r->sent_by_dp++;
	}
}

static void dp_received(struct run *r)
{
	u8 buf[2048];
	u64 index;

	while (recv(r->inner, buf, sizeof(buf), 0) == INNER_BYTES) {
		index = nq_get_be64(buf);
		assert_true(index < DATAGRAMS);
		r->duplicates += r->seen[index];
		r->seen[index] = 1;
		r->received++;
	}
}

/* ---- the exchange ---- */

static int command(u8 cmd, bool closing)
{
	struct nxm m;
	size_t nest = t_begin_session(&m, cmd, 1);

	if (closing)
		nxm_put_u64(&m, NQD_A_SESSION_CLOSE_CODE, 7);
	nxm_nest_end(&m, nest);
	return abi_call(&t_abi, &m, NULL, NULL, NULL);
}

/* From either side in turn; one has to wait until the other's is through. */
static void update_keys(struct run *r)
{
	u64 done = r->updates_by_dp + r->updates_by_live;

	if (done == UPDATES || r->sent_by_dp < quota(r) || r->sent_by_live < quota(r))
		return;
	if (done % 2)
		r->updates_by_live +=
			!ngtcp2_conn_initiate_key_update(r->live->conn, r->pp.now_us * 1000);
	else
		r->updates_by_dp += !command(NQD_CMD_KEY_UPDATE, false);
}

static bool in_flight(struct run *r)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(r->live->conn, &info);
	return info.bytes_in_flight || stat(NQD_A_STATS_BYTES_IN_FLIGHT);
}

static bool finished(struct run *r)
{
	if (r->sent_by_dp < DATAGRAMS || r->sent_by_live < DATAGRAMS)
		return false;
	if (!r->lossy && (r->live->received < DATAGRAMS || r->received < DATAGRAMS))
		return false;
	return stat(NQD_A_STATS_KEY_UPDATES) == UPDATES && !in_flight(r);
}

static void exchange(struct run *r)
{
	struct pollfd p[] = { { .fd = r->fd, .events = POLLIN },
			      { .fd = r->inner, .events = POLLIN } };

	do {
		tick(r);
		update_keys(r);
		live_send(r);
		live_talk(r);
		dp_send(r);
		poll(p, 2, 1);
		tick(r);
		assert_int_equal(live_receive(r), 0);
		dp_received(r);
	} while (!finished(r));
}

static void check_counters(const struct run *r)
{
	static const u16 never[] = {
		NQD_A_STATS_AEAD_OPEN_FAILURES,
		NQD_A_STATS_AEAD_SEAL_FAILURES,
		NQD_A_STATS_HEADER_PROTECTION_FAILURES,
		NQD_A_STATS_PN_DECODE_FAILURES,
		NQD_A_STATS_FRAME_ERRORS,
		NQD_A_STATS_SOURCE_PREFIX_DROPS,
		NQD_A_STATS_ADDRESS_DROPS,
		NQD_A_STATS_REPLAY_WINDOW_DROPS,
		NQD_A_STATS_KEY_UPDATE_FAILURES,
		NQD_A_STATS_DATAGRAM_DROPS,
	};
	unsigned int i;

	for (i = 0; i < sizeof(never) / sizeof(*never); i++)
		if (stat(never[i]))
			fail_msg("%s: %llu", nqd_stats_set.policy[never[i]].name,
				 (unsigned long long)stat(never[i]));
	assert_int_equal(stat(NQD_A_STATS_KEY_UPDATES), UPDATES);
	/* However often a peer updates, its owner hears of it once a second. */
	assert_in_range(t_abi.events[NQD_EVENT_KEY_UPDATE_DONE], 1,
			1 + (r->pp.now_us - r->base_us) / 1000000);
	/* One frame for each packet of the inner side, lost or not. */
	assert_int_equal(stat(NQD_A_STATS_DATAGRAM_TX_FRAMES), stat(NQD_A_STATS_L3_TX_PACKETS));
	assert_true(stat(NQD_A_STATS_L3_TX_PACKETS) <= r->sent_by_dp);
	assert_true(stat(NQD_A_STATS_ACK_RX_FRAMES) > 0 && stat(NQD_A_STATS_ACK_TX_FRAMES) > 0);
}

static void check(const struct run *r)
{
	assert_int_equal(r->duplicates, 0);
	assert_int_equal(r->live->duplicates, 0);
	assert_int_equal(ngtcp2_conn_in_draining_period(r->live->conn), 0);
	check_counters(r);
	if (r->lossy) {
		assert_in_range(r->received, DATAGRAMS / 2, DATAGRAMS - 1);
		assert_in_range(r->live->received, DATAGRAMS / 4, DATAGRAMS - 1);
		assert_true(stat(NQD_A_STATS_DATAGRAM_LOST_FRAMES) > 0);
		assert_true(stat(NQD_A_STATS_DUPLICATE_DROPS) > 0);
		return;
	}
	assert_int_equal(stat(NQD_A_STATS_L3_RX_PACKETS), DATAGRAMS);
	assert_int_equal(stat(NQD_A_STATS_L3_TX_PACKETS), DATAGRAMS);
}

/* ---- ends ---- */

static void await_down(struct run *r, u8 reason)
{
	while (!t_abi.events[NQD_EVENT_SESSION_DOWN]) {
		tick(r);
		abi_stat(&t_abi, 1, NQD_A_STATS_UPTIME_MS);
	}
	assert_int_equal(t_dump(NQD_CMD_GET_EVENTS).reason, reason);
}

static void dp_closes(struct run *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	int err = 0;

	assert_int_equal(command(NQD_CMD_DELETE_SESSION, true), 0);
	while (!err) {
		tick(r);
		poll(&p, 1, 10);
		err = live_receive(r);
	}
	assert_int_equal(err, NGTCP2_ERR_DRAINING);
	assert_int_equal(ngtcp2_conn_get_ccerr(r->live->conn)->error_code, 7);
}

static void live_closes(struct run *r)
{
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	ngtcp2_ccerr why;
	u8 buf[MTU];
	long n;

	ngtcp2_ccerr_default(&why);
	ngtcp2_ccerr_set_application_error(&why, 9, NULL, 0);
	ngtcp2_path_storage_zero(&ps);
	tick(r);
	n = ngtcp2_conn_write_connection_close(r->live->conn, &ps.path, &pi, buf, sizeof(buf), &why,
					       r->pp.now_us * 1000);
	assert_true(n > 0);
	live_put(r, buf, n);
	await_down(r, NQD_DOWN_PEER_CLOSED);
}

/* It has lost its state, and answers with what it had given for that. */
static void live_forgets(struct run *r)
{
	u8 buf[64], noise[24] = { 0x55, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct nq_conn_params p;
	struct nq_range ranges[64];
	long n;

	assert_int_equal(peer_export(r->from, nx_crypto_provider(NULL), &p, ranges, 64), 0);
	/* A token that is nobody's first. */
	n = ngtcp2_pkt_write_stateless_reset(buf, sizeof(buf), noise, noise, sizeof(noise));
	assert_true(n > 0);
	live_put(r, buf, n);
	n = ngtcp2_pkt_write_stateless_reset(buf, sizeof(buf), issued(r, &p.remote_cids[0])->token,
					     noise, sizeof(noise));
	assert_true(n > 0);
	live_put(r, buf, n);
	await_down(r, NQD_DOWN_STATELESS_RESET);
}

/* ---- cases ---- */

static void run_one(u16 cipher, bool dp_is_server, void (*end_fn)(struct run *r))
{
	struct run *r = begin(cipher, dp_is_server);

	exchange(r);
	check(r);
	end_fn(r);
	end(r);
}

static void aes128_client(void **state)
{
	T_NEED_ROOT();
	run_one(NQ_AES_128_GCM, false, dp_closes);
}

static void aes128_server(void **state)
{
	T_NEED_ROOT();
	run_one(NQ_AES_128_GCM, true, live_closes);
}

static void aes256_client(void **state)
{
	T_NEED_ROOT();
	run_one(NQ_AES_256_GCM, false, live_forgets);
}

static void aes256_server(void **state)
{
	T_NEED_ROOT();
	run_one(NQ_AES_256_GCM, true, dp_closes);
}

static void chacha_client(void **state)
{
	T_NEED_ROOT();
	run_one(NQ_CHACHA20_POLY1305, false, live_closes);
}

static void chacha_server(void **state)
{
	T_NEED_ROOT();
	run_one(NQ_CHACHA20_POLY1305, true, live_closes);
}

static void rough_path(u16 cipher, bool dp_is_server)
{
	struct run *r;

	if (!t_ready || system("tc qdisc add dev lo root netem delay 2ms 1ms loss 3% duplicate 2% "
			       "limit 10000 2>/dev/null"))
		skip();
	r = begin(cipher, dp_is_server);
	r->lossy = true;
	exchange(r);
	check(r);
	end(r);
	assert_int_equal(system("tc qdisc del dev lo root"), 0);
}

static void rough_path_client(void **state)
{
	rough_path(NQ_AES_128_GCM, false);
}

static void rough_path_server(void **state)
{
	rough_path(NQ_CHACHA20_POLY1305, true);
}

int main(int argc, char **argv)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, t_setup, t_teardown)
	const struct CMUnitTest tests[] = {
		CASE(aes128_client),	 CASE(aes128_server),	  CASE(aes256_client),
		CASE(aes256_server),	 CASE(chacha_client),	  CASE(chacha_server),
		CASE(rough_path_client), CASE(rough_path_server),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-dp-ngtcp2 NEXUS_DP|module\n");
		return 1;
	}
	t_program = argv[1];
	return cmocka_run_group_tests(tests, t_group_setup, NULL);
}
