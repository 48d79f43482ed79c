// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server whose connection IDs are of another length than usual: the session that is handed over
 * has them, packets find their connection and later its tombstone, and the length may change while
 * sessions of the old one live on. The server is the daemon's code in a child of this program, so
 * that the length can be set and randomness be made to repeat itself.
 */
#include <gnutls/crypto.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "hsd.h"
#include "t-dp.h"
#include "t-hsd.h"

/* Shared with the server. */
static struct {
	uint8_t cid_len;
	unsigned int repeats; /* so many random IDs of four bytes are one and the same */
} * knobs;

/* Linked with --wrap. */
int __real_hs_quic_new_server(struct hs_conn *c, const uint8_t *dcid, size_t dcid_len,
			      const uint8_t *scid, size_t scid_len);
int __wrap_hs_quic_new_server(struct hs_conn *c, const uint8_t *dcid, size_t dcid_len,
			      const uint8_t *scid, size_t scid_len);
int __real_gnutls_rnd(gnutls_rnd_level_t level, void *data, size_t len);
int __wrap_gnutls_rnd(gnutls_rnd_level_t level, void *data, size_t len);

int __wrap_hs_quic_new_server(struct hs_conn *c, const uint8_t *dcid, size_t dcid_len,
			      const uint8_t *scid, size_t scid_len)
{
	c->tunnel->server_cid_len = knobs->cid_len;
	return __real_hs_quic_new_server(c, dcid, dcid_len, scid, scid_len);
}

int __wrap_gnutls_rnd(gnutls_rnd_level_t level, void *data, size_t len)
{
	if (len == 4 && level == GNUTLS_RND_RANDOM && knobs->repeats > 0) {
		knobs->repeats--;
		memset(data, 0x5a, len);
		return 0;
	}
	return __real_gnutls_rnd(level, data, len);
}

static void serve(int monitor_fd)
{
	static struct hsd h;
	int err = hs_init(&h, monitor_fd);

	while (!h.stop && err == 0)
		err = hs_turn(&h);
	hs_finish(&h);
	_exit(err < 0);
}

/* ---- a client with its session at both ends ---- */

struct client {
	struct t_hsd hsd;
	int sock;
	struct t_session own, servers;
	struct t_dp dp, servers_dp;
};

static struct t_hsd server;
static struct sockaddr_storage server_addr;
static int server_sock;

/* The @n-th connection ID of a list, or NULL. */
static const struct nxa *nth_id(const struct nxa *cids, unsigned int n)
{
	static struct nxa tb[NQD_A_CID_MAX + 1];
	const uint8_t *pos = NULL;
	struct nxm_error e;
	struct nxa a;

	while (nxa_next(cids->data, cids->len, NQD_A_CIDS_CID, &pos, &a)) {
		if (n-- > 0)
			continue;
		assert_int_equal(nxa_parse_nest(&a, &nqd_cid_set, tb, cids->data, &e), 0);
		return &tb[NQD_A_CID_ID];
	}
	return NULL;
}

static void check_lengths(const struct nxa *cids, unsigned int len)
{
	assert_int_equal(nth_id(cids, 0)->len, len);
	assert_int_equal(nth_id(cids, 1)->len, len);
	assert_null(nth_id(cids, 2));
}

static void connect_client(struct client *c, uint8_t cid_len)
{
	struct sockaddr_storage ignored;

	memset(c, 0, sizeof(*c));
	knobs->cid_len = cid_len;
	t_hsd_start(&c->hsd, 0);
	c->sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&c->hsd, &t_default_config, c->sock), 0);
	assert_int_equal(t_connect(&c->hsd, 42, &server_addr), 0);
	t_wait_both(&c->hsd, &c->own, c->sock, &server, &c->servers);
	check_lengths(&c->servers.s[NQD_A_SESSION_LOCAL_CIDS], cid_len);
	check_lengths(&c->servers.s[NQD_A_SESSION_REMOTE_CIDS], 20);
	check_lengths(&c->own.s[NQD_A_SESSION_REMOTE_CIDS], cid_len);
	check_lengths(&c->own.s[NQD_A_SESSION_LOCAL_CIDS], 20);
}

static void disconnect(struct client *c)
{
	t_dp_free(&c->dp);
	t_dp_free(&c->servers_dp);
	t_session_free(&c->own);
	t_session_free(&c->servers);
	t_hsd_stop(&c->hsd);
	close(c->sock);
}

/* One DATAGRAM each way: both nexus-hsd hand the packets on by their tombstones. */
static void talk(struct client *c)
{
	static const char ping[] = "from the client", pong[] = "from the server";
	struct pollfd p[] = { { .fd = c->hsd.punt, .events = POLLIN },
			      { .fd = server.punt, .events = POLLIN } };
	uint64_t limit = t_now_ms() + T_WAIT_MS;

	t_dp_install(&c->servers_dp, &server, &c->servers, server_sock);
	t_dp_install(&c->dp, &c->hsd, &c->own, c->sock);
	while (c->dp.datagrams == 0 || c->servers_dp.datagrams == 0) {
		assert_true(t_now_ms() < limit);
		if (c->servers_dp.datagrams == 0)
			t_dp_send(&c->dp, ping, sizeof(ping));
		if (c->dp.datagrams == 0)
			t_dp_send(&c->servers_dp, pong, sizeof(pong));
		poll(p, 2, 5);
		t_dp_pump(&c->dp);
		t_dp_pump(&c->servers_dp);
	}
	assert_string_equal((char *)c->servers_dp.last, ping);
	assert_string_equal((char *)c->dp.last, pong);
}

static int set_up(void **state)
{
	t_hsd_start_with(&server, serve);
	server_sock = t_udp(AF_INET, false, &server_addr);
	assert_int_equal(t_set_server(&server, &t_default_config, server_sock), 0);
	return 0;
}

static int tear_down(void **state)
{
	t_hsd_stop(&server);
	close(server_sock);
	return 0;
}

static void handshake_and_traffic(void **state)
{
	static const uint8_t lengths[] = { 4, 5, 8, 19, 20 };
	struct client c;
	size_t i;

	for (i = 0; i < sizeof(lengths); i++) {
		connect_client(&c, lengths[i]);
		talk(&c);
		disconnect(&c);
	}
}

static void length_changes_between(void **state)
{
	struct client old, new;

	connect_client(&old, 20);
	connect_client(&new, 4);
	talk(&old);
	talk(&new);
	disconnect(&old);
	disconnect(&new);
}

/* The second ID would be the first one again: another is made. */
static void taken_id_is_made_again(void **state)
{
	static const uint8_t repeated[4] = { 0x5a, 0x5a, 0x5a, 0x5a };
	const struct nxa *cids;
	struct client c;

	knobs->repeats = 3;
	connect_client(&c, 4);
	assert_int_equal(knobs->repeats, 0);
	cids = &c.servers.s[NQD_A_SESSION_LOCAL_CIDS];
	assert_memory_equal(nth_id(cids, 0)->data, repeated, 4);
	assert_memory_not_equal(nth_id(cids, 1)->data, repeated, 4);
	talk(&c);
	disconnect(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(handshake_and_traffic, set_up, tear_down),
		cmocka_unit_test_setup_teardown(length_changes_between, set_up, tear_down),
		cmocka_unit_test_setup_teardown(taken_id_is_made_again, set_up, tear_down),
	};

	knobs = mmap(NULL, sizeof(*knobs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	return knobs == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
