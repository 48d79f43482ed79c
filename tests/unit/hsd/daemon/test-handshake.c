// SPDX-License-Identifier: GPL-2.0-or-later
/* Two nexus-hsd processes shake hands over loopback and hand the same session over, mirrored. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <gnutls/gnutls.h>
#include "t-dp.h"
#include "t-hsd.h"

struct pair {
	struct t_hsd server, client;
	struct t_session ss, cs;
};

static void same(const struct nxa *a, const struct nxa *b)
{
	assert_true(a->present && b->present);
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

/* What one end sends with is what the other receives with. */
static void check_keys(const struct t_session *a, const struct t_session *b)
{
	same(&a->k[NQD_A_KEYS_TX_KEY], &b->k[NQD_A_KEYS_RX_KEY]);
	same(&a->k[NQD_A_KEYS_TX_IV], &b->k[NQD_A_KEYS_RX_IV]);
	same(&a->k[NQD_A_KEYS_TX_HP], &b->k[NQD_A_KEYS_RX_HP]);
	same(&a->k[NQD_A_KEYS_TX_NEXT_KEY], &b->k[NQD_A_KEYS_RX_NEXT_KEY]);
	same(&a->k[NQD_A_KEYS_TX_NEXT_IV], &b->k[NQD_A_KEYS_RX_NEXT_IV]);
	same(&a->k[NQD_A_KEYS_TX_SECRET], &b->k[NQD_A_KEYS_RX_SECRET]);
	assert_memory_not_equal(a->k[NQD_A_KEYS_TX_KEY].data, b->k[NQD_A_KEYS_TX_KEY].data, 16);
	assert_memory_not_equal(a->k[NQD_A_KEYS_TX_KEY].data, a->k[NQD_A_KEYS_TX_NEXT_KEY].data,
				16);
}

/* The n-th CID of a list: its attributes. False if there are fewer. */
static bool nth_cid(const struct nxa *list, unsigned int n, struct nxa tb[NQD_A_CID_MAX + 1])
{
	const uint8_t *pos = NULL;
	struct nxm_error e;
	struct nxa a;

	while (nxa_next(list->data, list->len, NQD_A_CIDS_CID, &pos, &a)) {
		if (n-- == 0) {
			assert_int_equal(nxa_parse_nest(&a, &nqd_cid_set, tb, list->data, &e), 0);
			return true;
		}
	}
	return false;
}

/* Each of the IDs one end knows of the other is one the other has, with the same token. */
static void check_cids(const struct t_session *a, const struct t_session *b)
{
	const struct nxa *remote = &a->s[NQD_A_SESSION_REMOTE_CIDS];
	const struct nxa *local = &b->s[NQD_A_SESSION_LOCAL_CIDS];
	struct nxa r[NQD_A_CID_MAX + 1], l[NQD_A_CID_MAX + 1];
	unsigned int i, j;

	for (i = 0; nth_cid(remote, i, r); i++) {
		for (j = 0; nth_cid(local, j, l); j++) {
			if (nxa_u64(&l[NQD_A_CID_SEQ]) == nxa_u64(&r[NQD_A_CID_SEQ]))
				break;
		}
		assert_true(nth_cid(local, j, l));
		assert_int_equal(r[NQD_A_CID_ID].len, 20);
		same(&r[NQD_A_CID_ID], &l[NQD_A_CID_ID]);
		if (l[NQD_A_CID_RESET_TOKEN].present)
			same(&r[NQD_A_CID_RESET_TOKEN], &l[NQD_A_CID_RESET_TOKEN]);
	}
	/* ngtcp2 offers one more on both sides. */
	assert_int_equal(i, 2);
}

static void check_numbers(const struct t_session *a, const struct t_session *b)
{
	const struct nxa *ranges = &a->s[NQD_A_SESSION_RX_RANGES];
	struct nqd_range r, above = { .first = UINT64_MAX };
	size_t i;

	assert_true(ranges->len > 0 && ranges->len % sizeof(r) == 0);
	for (i = 0; i < ranges->len; i += sizeof(r)) {
		memcpy(&r, ranges->data + i, sizeof(r));
		assert_true(r.first <= r.last && r.last < above.first);
		above = r;
		if (i == 0)
			assert_true(r.last < nxa_u64(&b->s[NQD_A_SESSION_NEXT_PN]));
	}
	if (a->s[NQD_A_SESSION_LARGEST_ACKED].present)
		assert_true(nxa_u64(&a->s[NQD_A_SESSION_LARGEST_ACKED]) <
			    nxa_u64(&a->s[NQD_A_SESSION_NEXT_PN]));
}

/* The TLS group that two GnuTLS of this kind agree on. */
static uint16_t best_group(void)
{
	gnutls_priority_t p;

	if (gnutls_priority_init(&p, "NORMAL:+GROUP-X25519-MLKEM768", NULL) < 0)
		return 0x001d;
	gnutls_priority_deinit(p);
	return 0x11ec;
}

static void check_fixed(const struct t_session *s, uint8_t role)
{
	const uint32_t flags = nxa_u32(&s->s[NQD_A_SESSION_FLAGS]);

	assert_int_equal(nxa_u8(&s->s[NQD_A_SESSION_ROLE]), role);
	assert_int_equal(nxa_u32(&s->s[NQD_A_SESSION_QUIC_VERSION]), 1);
	assert_int_equal(flags & ~NQD_SESSION_F_PRESHARED_KEY, NQD_SESSION_F_ACK_PENDING);
	assert_int_equal(nxa_u16(&s->s[NQD_A_SESSION_KEY_EXCHANGE]), best_group());
	assert_int_equal(nxa_u32(&s->s[NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS]), 120000);
	assert_int_equal(nxa_u32(&s->s[NQD_A_SESSION_PATH_MTU_BYTES]), 1200);
	assert_int_equal(nxa_u32(&s->s[NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES]), 65535);
	assert_true(nxa_u32(&s->s[NQD_A_SESSION_PEER_MAX_UDP_PAYLOAD_BYTES]) >= 1200);
	assert_true(nxa_u32(&s->s[NQD_A_SESSION_PEER_ACTIVE_CID_LIMIT]) >= 2);
	assert_int_equal(s->s[NQD_A_SESSION_CONTEXT_PREFIX].len, 1);
	assert_int_equal(s->s[NQD_A_SESSION_CONTEXT_PREFIX].data[0], 0);
	assert_int_equal(nxa_u64(&s->s[NQD_A_SESSION_USER]),
			 role == NQD_ROLE_SERVER ? T_SHORT_ID : 0);
	assert_int_equal(nxa_u32(&s->s[NQD_A_SESSION_KEEPALIVE_MS]),
			 role == NQD_ROLE_SERVER ? 0 : 25000);
	assert_true(nxa_u32(&s->s[NQD_A_SESSION_SRTT_US]) > 0);
	assert_int_equal(nxa_u32(&s->s[NQD_A_SESSION_ROUTE_EPOCH]), 7);
	assert_int_equal(nxa_u8(&s->k[NQD_A_KEYS_PHASE]), 0);
}

static unsigned int count(const struct nxa *nest, uint16_t type)
{
	const uint8_t *pos = NULL;
	unsigned int n = 0;
	struct nxa a;

	while (nxa_next(nest->data, nest->len, type, &pos, &a))
		n++;
	return n;
}

static void check_net(const struct t_session *s)
{
	static const uint8_t first_address[] = { 10, 66, 0, 2 };
	const struct nxa *net = &s->top[HS_A_NET];
	struct nxa prefix[HS_A_PREFIX_MAX + 1];
	struct nxm_error e;

	assert_int_equal(count(net, HS_A_NET_ADDRESS), 2);
	assert_int_equal(count(net, HS_A_NET_ROUTE), 2);
	assert_int_equal(count(net, HS_A_NET_DNS), 1);
	assert_string_equal(nxa_str(&s->net[HS_A_NET_DNS_DOMAIN]), "corp.example.org");
	assert_int_equal(nxa_u32(&s->net[HS_A_NET_KEEPALIVE_MS]), 25000);
	assert_int_equal(nxa_u32(&s->net[HS_A_NET_ROUTE_EPOCH]), 7);
	assert_int_equal(
		nxa_parse_nest(&s->net[HS_A_NET_ADDRESS], &hs_prefix_set, prefix, s->msg.data, &e),
		0);
	assert_int_equal(prefix[HS_A_PREFIX_ADDR].len, 4);
	assert_memory_equal(prefix[HS_A_PREFIX_ADDR].data, first_address, 4);
	assert_int_equal(nxa_u8(&prefix[HS_A_PREFIX_LEN]), 32);
}

static void check_mirrored(const struct t_session *server, const struct t_session *client)
{
	check_fixed(server, NQD_ROLE_SERVER);
	check_fixed(client, NQD_ROLE_CLIENT);
	check_keys(server, client);
	check_keys(client, server);
	check_cids(server, client);
	check_cids(client, server);
	check_numbers(server, client);
	check_numbers(client, server);
	check_net(server);
	check_net(client);
	same(&server->s[NQD_A_SESSION_LOCAL_ADDR], &client->s[NQD_A_SESSION_REMOTE_ADDR]);
	same(&client->s[NQD_A_SESSION_LOCAL_ADDR], &server->s[NQD_A_SESSION_REMOTE_ADDR]);
	same(&client->s[NQD_A_SESSION_CIPHER], &server->s[NQD_A_SESSION_CIPHER]);
	same(&client->s[NQD_A_SESSION_FLAGS], &server->s[NQD_A_SESSION_FLAGS]);
	/* Servers' attempts are told from clients' by the high bit. */
	assert_true(server->attempt >> 63);
	assert_int_equal(client->attempt, 42);
}

static void start(struct pair *p)
{
	t_hsd_start(&p->server, 0);
	t_hsd_start(&p->client, 0);
}

static void stop(struct pair *p)
{
	t_session_free(&p->ss);
	t_session_free(&p->cs);
	t_hsd_stop(&p->client);
	t_hsd_stop(&p->server);
}

static void shake_hands(struct pair *p, const struct t_config *sc, const struct t_config *cc,
			int family, bool wildcard)
{
	struct sockaddr_storage addr, ignored;
	int sock;

	sock = t_udp(family, wildcard, &addr);
	assert_int_equal(t_set_server(&p->server, sc, sock), 0);
	close(sock);
	sock = t_udp(family, wildcard, &ignored);
	assert_int_equal(t_set_client(&p->client, cc, sock), 0);
	t_loopback(&addr);
	assert_int_equal(t_connect(&p->client, 42, &addr), 0);
	t_wait_both(&p->client, &p->cs, sock, &p->server, &p->ss);
	close(sock);
}

static void handshake_of_cipher(const char *server, const char *client, uint16_t suite)
{
	struct t_config sc = t_default_config, cc = t_default_config;
	struct pair p;

	sc.ciphers = server;
	cc.ciphers = client;
	start(&p);
	shake_hands(&p, &sc, &cc, AF_INET, false);
	check_mirrored(&p.ss, &p.cs);
	assert_int_equal(nxa_u16(&p.ss.s[NQD_A_SESSION_CIPHER]), suite);
	assert_false(nxa_u32(&p.ss.s[NQD_A_SESSION_FLAGS]) & NQD_SESSION_F_PRESHARED_KEY);
	stop(&p);
}

static void handshake_default(void **state)
{
	handshake_of_cipher(NULL, NULL, NQD_CIPHER_AES_128_GCM);
}

static void handshake_aes256(void **state)
{
	handshake_of_cipher("aes-256-gcm", NULL, NQD_CIPHER_AES_256_GCM);
}

static void handshake_chacha(void **state)
{
	handshake_of_cipher(NULL, "chacha20-poly1305", NQD_CIPHER_CHACHA20_POLY1305);
}

/* A wildcard socket: the exported local address is the one that was talked to. */
static void handshake_wildcard(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct pair p;
	size_t i;

	for (i = 0; i < 2; i++) {
		start(&p);
		shake_hands(&p, &t_default_config, &t_default_config, families[i], true);
		check_mirrored(&p.ss, &p.cs);
		stop(&p);
	}
}

static void handshake_psk(void **state)
{
	static const uint8_t psk[32] = "a preshared key of 32 bytes, ok";
	struct t_config c = t_default_config;
	struct pair p;

	c.psk = psk;
	start(&p);
	shake_hands(&p, &c, &c, AF_INET, false);
	check_mirrored(&p.ss, &p.cs);
	assert_true(nxa_u32(&p.ss.s[NQD_A_SESSION_FLAGS]) & NQD_SESSION_F_PRESHARED_KEY);
	stop(&p);
}

static void handshake_mtu_is_the_smaller(void **state)
{
	struct t_config sc = t_default_config, cc = t_default_config;
	struct pair p;

	sc.mtu = 1300;
	cc.mtu = 1280;
	start(&p);
	shake_hands(&p, &sc, &cc, AF_INET, false);
	assert_int_equal(nxa_u32(&p.cs.net[HS_A_NET_MTU]), 1280);
	assert_int_equal(nxa_u32(&p.ss.net[HS_A_NET_MTU]), 1280);
	stop(&p);
}

/* The key log holds exactly the labels Wireshark needs, with the secrets that were handed over. */
static void keylog(void **state)
{
	struct t_config sc = t_default_config;
	const struct nxa *secret;
	char text[8192], hex[128];
	struct pair p;
	ssize_t n;
	size_t i;

	sc.keylog_fd = memfd_create("keylog", MFD_CLOEXEC);
	start(&p);
	shake_hands(&p, &sc, &t_default_config, AF_INET, false);
	n = pread(sc.keylog_fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "CLIENT_HANDSHAKE_TRAFFIC_SECRET "));
	assert_non_null(strstr(text, "SERVER_HANDSHAKE_TRAFFIC_SECRET "));
	assert_non_null(strstr(text, "CLIENT_TRAFFIC_SECRET_0 "));
	assert_non_null(strstr(text, "SERVER_TRAFFIC_SECRET_0 "));
	secret = &p.ss.k[NQD_A_KEYS_TX_SECRET];
	for (i = 0; i < secret->len; i++)
		sprintf(hex + 2 * i, "%02x", secret->data[i]);
	assert_non_null(strstr(text, hex));
	close(sc.keylog_fd);
	stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_default),
		cmocka_unit_test(handshake_aes256),
		cmocka_unit_test(handshake_chacha),
		cmocka_unit_test(handshake_wildcard),
		cmocka_unit_test(handshake_psk),
		cmocka_unit_test(handshake_mtu_is_the_smaller),
		cmocka_unit_test(keylog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
