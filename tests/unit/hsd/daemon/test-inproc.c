// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon's code inside the test, client and server tunnel in one instance that talks to itself:
 * outside the sandbox a leak checker (LeakSanitizer, valgrind) sees everything that two hundred
 * handshakes, refusals and cancelled attempts leave behind.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <gnutls/x509.h>
#include "hsd.h"
#include "control.h"
#include "elligator.h"
#include "lib/keytext.h"
#include "secrets.h"
#include "t-cert.h"
#include "t-hsd.h"
#include "tls.h"

#define HANDSHAKES 200

struct world {
	struct hsd hsd;
	int mon, ctl;
	struct sockaddr_storage server_addr;
	unsigned int sessions, failures, requests, acks;
	unsigned int reason; /* of the last failure */
	char text[256];
};

static struct world w;
static uint8_t buf[NX_IPC_MAX_LEN];

/* What the server shows in place of its proof: linked with --wrap=hs_tls_make_cert. */
static enum { GENUINE, WRONG_PROOF, ORDINARY } certificate;

int __real_hs_tls_make_cert(struct hs_conn *c, const char *name, uint64_t unix_time_s);
int __wrap_hs_tls_make_cert(struct hs_conn *c, const char *name, uint64_t unix_time_s);

/* As any web server has one: ECDSA, signed by itself. */
static void make_ordinary(struct hs_conn *c, const char *name)
{
	gnutls_datum_t der = { NULL, 0 };
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;

	t_make_certificate(name, &key, &crt);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
	assert_int_equal(gnutls_pcert_import_x509_raw(&c->cert, &der, GNUTLS_X509_FMT_DER, 0), 0);
	c->cert_private = calloc(1, sizeof(*c->cert_private));
	assert_non_null(c->cert_private);
	c->cert_private->refs = 1;
	assert_int_equal(gnutls_privkey_init(&c->cert_private->key), 0);
	assert_int_equal(
		gnutls_privkey_import_x509(c->cert_private->key, key, GNUTLS_PRIVKEY_IMPORT_COPY),
		0);
	c->has_cert = true;
	gnutls_free(der.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

int __wrap_hs_tls_make_cert(struct hs_conn *c, const char *name, uint64_t unix_time_s)
{
	if (certificate == ORDINARY) {
		make_ordinary(c, name);
		return 0;
	}
	if (certificate == WRONG_PROOF)
		c->cert_key[0] ^= 1;
	return __real_hs_tls_make_cert(c, name, unix_time_s);
}

static void store(const char *name, const uint8_t key[32])
{
	char text[NX_KEY_STRLEN];
	int fd;

	nx_key_encode(key, text);
	fd = memfd_create("secret", MFD_CLOEXEC);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(hs_secret_store(name, fd), 0);
	close(fd);
}

static void note_failure(const struct nxm_hdr *hdr)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;

	assert_int_equal(nxa_parse(hdr->attrs, hdr->attrs_len, &hs_set, tb, buf, &e), 0);
	w.reason = nxa_u8(&tb[HS_A_REASON]);
	snprintf(w.text, sizeof(w.text), "%s", nxa_str(&tb[HS_A_TEXT]));
	w.failures++;
}

/* Handle what the daemon has to do and say, without waiting longer than one event. */
static void step(void)
{
	struct nxm_error e;
	struct nxm_hdr hdr;
	ssize_t n;

	assert_int_equal(hs_turn(&w.hsd), 0);
	while ((n = nx_ipc_recv(w.ctl, buf, sizeof(buf), NULL, NULL)) > 0) {
		assert_int_equal(nxm_parse_hdr(buf, (size_t)n, &hdr, &e), 0);
		w.acks += hdr.type == NLMSG_ERROR;
		w.sessions += hdr.type != NLMSG_ERROR && hdr.cmd == HS_CMD_SESSION;
		if (hdr.type != NLMSG_ERROR && hdr.cmd == HS_CMD_FAILED)
			note_failure(&hdr);
	}
}

static void send_msg(struct nxm *m, const int *fds, unsigned int n_fds)
{
	ssize_t n = nxm_end(m);

	assert_true(n > 0);
	assert_int_equal(nx_ipc_send(w.ctl, m->buf, (size_t)n, fds, n_fds), 0);
	w.requests++;
}

static void begin(struct nxm *m, uint8_t cmd, const char *tunnel)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = cmd, .version = 1, .seq = 1 };

	nxm_begin(m, buf, sizeof(buf), &hdr);
	nxm_put_str(m, HS_A_TUNNEL, tunnel);
}

static void set_server(int sock)
{
	uint8_t secret[32], key[32], addr[4] = { 10, 0, 0, 2 };
	size_t nest, prefix;
	struct nxm m;

	t_key(1, secret, key);
	store("secret:s:private-key", secret);
	t_key(2, secret, key);
	begin(&m, HS_CMD_SET_TUNNEL, "s");
	nxm_put_u8(&m, HS_A_ROLE, NQD_ROLE_SERVER);
	nxm_put_str(&m, HS_A_SERVER_NAME, T_NAME);
	nxm_put_u32(&m, HS_A_HANDSHAKE_TIMEOUT_MS, 1000);
	nest = nxm_nest_begin(&m, HS_A_USER);
	nxm_put_str(&m, HS_A_USER_NAME, "alice");
	nxm_put_u64(&m, HS_A_USER_SHORT_ID, T_SHORT_ID);
	nxm_put(&m, HS_A_USER_PUBLIC_KEY, key, 32);
	prefix = nxm_nest_begin(&m, HS_A_USER_ADDRESS);
	nxm_put(&m, HS_A_PREFIX_ADDR, addr, 4);
	nxm_put_u8(&m, HS_A_PREFIX_LEN, 32);
	nxm_nest_end(&m, prefix);
	nxm_nest_end(&m, nest);
	send_msg(&m, &sock, 1);
	close(sock);
}

static void set_client(const char *tunnel, unsigned int key_number, int sock)
{
	uint8_t secret[32], key[32];
	char name[64];
	struct nxm m;

	t_key(key_number, secret, key);
	snprintf(name, sizeof(name), "secret:%s:private-key", tunnel);
	store(name, secret);
	t_key(1, secret, key);
	begin(&m, HS_CMD_SET_TUNNEL, tunnel);
	nxm_put_u8(&m, HS_A_ROLE, NQD_ROLE_CLIENT);
	nxm_put_str(&m, HS_A_SERVER_NAME, T_NAME);
	nxm_put(&m, HS_A_SERVER_PUBLIC_KEY, key, 32);
	nxm_put_u64(&m, HS_A_SHORT_ID, T_SHORT_ID);
	nxm_put_u32(&m, HS_A_HANDSHAKE_TIMEOUT_MS, 5000);
	send_msg(&m, &sock, 1);
	close(sock);
}

static void connect_client(const char *tunnel, uint64_t attempt)
{
	struct nxm m;

	begin(&m, HS_CMD_CONNECT, tunnel);
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put(&m, HS_A_REMOTE_ADDR, &w.server_addr, sizeof(struct sockaddr_in));
	nxm_put_u32(&m, HS_A_SOCKET, 0);
	send_msg(&m, NULL, 0);
}

/*
 * Until the request is taken and every handshake is over. There is no data plane here to acknowledge
 * what a server says last, so a server's half may also end by its (short) limit.
 */
static void run_to_end(void)
{
	uint64_t limit = t_now_ms() + 4 * T_WAIT_MS;

	while (w.acks < w.requests || !TAILQ_EMPTY(&w.hsd.conns)) {
		assert_true(t_now_ms() < limit);
		step();
	}
}

static void on_tick(int sig)
{
}

/*
 * The daemon may sleep for ever once its last timer has run; what that timer told us is read after
 * the turn. A tick ends the sleep (epoll_wait() is never restarted) and nothing else.
 */
static void start_ticks(void)
{
	const struct itimerval every = { { 0, 100000 }, { 0, 100000 } };
	struct sigaction sa = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static int set_up(void **state)
{
	struct sockaddr_storage ignored;
	int mon[2], ctl[2];

	start_ticks();

	assert_int_equal(nx_ipc_pair(mon), 0);
	assert_int_equal(nx_ipc_pair(ctl), 0);
	w.mon = mon[0];
	w.ctl = ctl[0];
	assert_int_equal(hs_init(&w.hsd, mon[1]), 0);
	hs_control_open(&w.hsd, ctl[1]);
	set_server(t_udp(AF_INET, false, &w.server_addr));
	step();
	set_client("good", 2, t_udp(AF_INET, false, &ignored));
	step();
	set_client("bad", 3, t_udp(AF_INET, false, &ignored));
	step();
	return 0;
}

static int tear_down(void **state)
{
	hs_finish(&w.hsd);
	close(w.mon);
	close(w.ctl);
	return 0;
}

static void many_handshakes(void **state)
{
	unsigned int i;

	for (i = 1; i <= HANDSHAKES; i++) {
		connect_client("good", i);
		run_to_end();
	}
	assert_int_equal(w.failures, 0);
	assert_true(w.sessions >= 2 * HANDSHAKES * 3 / 4);
	assert_int_equal(w.hsd.n_server_conns, 0);
}

/* A client accepts nobody who lacks the server's static key, and tells the two cases apart. */
static void server_without_the_key(void **state)
{
	unsigned int sessions = w.sessions, failures = w.failures;

	certificate = ORDINARY;
	connect_client("good", 500);
	run_to_end();
	assert_int_equal(w.failures, failures + 1);
	assert_int_equal(w.reason, HS_REASON_AUTH_REFUSED);
	assert_non_null(strstr(w.text, "authentication refused"));
	certificate = WRONG_PROOF;
	connect_client("good", 501);
	run_to_end();
	assert_int_equal(w.failures, failures + 2);
	assert_int_equal(w.reason, HS_REASON_SERVER_PROOF);
	assert_int_equal(w.sessions, sessions);
	certificate = GENUINE;
	connect_client("good", 502);
	run_to_end();
	assert_true(w.sessions > sessions);
}

/* It is replaced when it is old; a connection that began with the old one ends with it. */
static void certificate_key(void **state)
{
	unsigned int sessions = w.sessions, failures = w.failures;
	struct hs_tunnel *t = hs_tunnel_find(&w.hsd, "s");
	uint8_t first[32];

	connect_client("good", 600);
	while (w.hsd.n_server_conns == 0)
		step();
	memcpy(first, t->cert_private->public_key, sizeof(first));
	assert_int_equal(t->cert_private->refs, 2);
	t->cert_private->made_s -= HS_CERT_KEY_S;
	connect_client("good", 601);
	run_to_end();
	assert_memory_not_equal(t->cert_private->public_key, first, sizeof(first));
	assert_int_equal(t->cert_private->refs, 1);
	assert_int_equal(w.failures, failures);
	assert_true(w.sessions >= sessions + 2);
}

/* Refused attempts end by timeout, the last ones by the end of everything. */
static void mixed_with_refused(void **state)
{
	unsigned int i, sessions = w.sessions, failures = w.failures;

	for (i = 0; i < 20; i++) {
		connect_client("bad", 1000 + i);
		step();
		connect_client("good", 2000 + i);
		step();
	}
	run_to_end();
	assert_int_equal(w.failures, failures + 20);
	assert_true(w.sessions >= sessions + 20);
	connect_client("bad", 3000);
	while (TAILQ_EMPTY(&w.hsd.conns))
		step();
}

static void say(int fd, unsigned int n)
{
	while (n-- > 0)
		assert_int_equal(sendto(fd, "?", 1, 0, (struct sockaddr *)&w.server_addr,
					sizeof(struct sockaddr_in)),
				 1);
}

/* A server is behind with reading while there is more than it could read, and at no other time. */
static void behind_with_reading(void **state)
{
	struct hs_sock *sock = hs_tunnel_find(&w.hsd, "s")->socks[0];
	struct sockaddr_storage ignored;
	int fd = t_udp(AF_INET, false, &ignored);

	say(fd, HS_UDP_BATCH + 1);
	hs_sock_read(sock);
	assert_true(sock->full_since_ns != 0);
	hs_sock_read(sock);
	assert_int_equal(sock->full_since_ns, 0);
	say(fd, HS_UDP_BATCH);
	hs_sock_read(sock);
	assert_int_equal(sock->full_since_ns, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_handshakes),	  cmocka_unit_test(behind_with_reading),
		cmocka_unit_test(server_without_the_key), cmocka_unit_test(certificate_key),
		cmocka_unit_test(mixed_with_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
