// SPDX-License-Identifier: GPL-2.0-or-later
/* A real nexus-hsd process under test, see t-hsd.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/keytext.h"
#include "lib/mon_proto.h"
#include "elligator.h"
#include "t-hsd.h"

static uint8_t out_buf[NX_IPC_MAX_LEN];
static struct nxm out;

uint64_t t_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- process ---- */

/* What the child is: @run's, or the program @argv (NULL: the nexus-hsd of this build). */
struct launch {
	const char *const *argv;
	const char *preload;
	long clock_shift_s;
	void (*run)(int monitor_fd);
};

static void become_hsd(int channel, const struct launch *l)
{
	static const char *const own_program[] = { T_HSD_PATH, NULL };
	const char *const *argv = l->argv ? l->argv : own_program;
	char shift[32];

	snprintf(shift, sizeof(shift), "%ld", l->clock_shift_s);
	setenv("T_CLOCK_SHIFT_S", shift, 1);
	if (l->preload)
		setenv("LD_PRELOAD", l->preload, 1);
	if (channel == NX_MONITOR_FD)
		fcntl(channel, F_SETFD, 0);
	else
		dup2(channel, NX_MONITOR_FD);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static void send_mon(struct t_hsd *h, uint8_t cmd, int peer, const char *name, int fd)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_MON, .cmd = cmd, .version = 1 };
	uint8_t buf[512];
	struct nxm m;
	ssize_t n;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	if (peer >= 0)
		nxm_put_u8(&m, MON_A_PEER, (uint8_t)peer);
	if (name)
		nxm_put_str(&m, MON_A_NAME, name);
	n = nxm_end(&m);
	assert_true(n > 0);
	assert_int_equal(nx_ipc_send(h->mon, buf, (size_t)n, &fd, fd >= 0), 0);
	if (fd >= 0)
		close(fd);
}

static bool wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) > 0;
}

static void wait_ready(struct t_hsd *h)
{
	uint8_t buf[512];
	struct nxm_error e;
	struct nxm_hdr hdr;
	ssize_t n;

	assert_true(wait_readable(h->mon, T_WAIT_MS));
	n = nx_ipc_recv(h->mon, buf, sizeof(buf), NULL, NULL);
	assert_true(n > 0);
	assert_int_equal(nxm_parse_hdr(buf, (size_t)n, &hdr, &e), 0);
	assert_int_equal(hdr.cmd, MON_CMD_READY);
}

void t_hsd_new_control(struct t_hsd *h)
{
	int sv[2];

	if (h->ctl >= 0)
		close(h->ctl);
	assert_int_equal(nx_ipc_pair(sv), 0);
	h->ctl = sv[0];
	send_mon(h, MON_CMD_PEER, MON_PEER_CONTROL, NULL, sv[1]);
}

static void start(struct t_hsd *h, const struct launch *l)
{
	int mon[2], punt[2];

	memset(h, 0, sizeof(*h));
	h->ctl = -1;
	assert_int_equal(nx_ipc_pair(mon), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0) {
		close(mon[0]);
		if (l->run)
			l->run(mon[1]);
		become_hsd(mon[1], l);
	}
	close(mon[1]);
	h->mon = mon[0];
	t_hsd_new_control(h);
	assert_int_equal(nx_ipc_pair(punt), 0);
	h->punt = punt[0];
	send_mon(h, MON_CMD_PEER, MON_PEER_DP, NULL, punt[1]);
	send_mon(h, MON_CMD_START, -1, NULL, -1);
	wait_ready(h);
}

void t_hsd_start(struct t_hsd *h, long clock_shift_s)
{
	start(h, &(struct launch){ .preload = clock_shift_s ? T_CLOCK_SHIFT_LIB : NULL,
				   .clock_shift_s = clock_shift_s });
}

void t_hsd_start_long_hello(struct t_hsd *h)
{
	start(h, &(struct launch){ .preload = T_LONG_HELLO_LIB });
}

void t_hsd_start_with(struct t_hsd *h, void (*run)(int monitor_fd))
{
	start(h, &(struct launch){ .run = run });
}

void t_hsd_start_program(struct t_hsd *h, const char *const argv[])
{
	start(h, &(struct launch){ .argv = argv });
}

void t_hsd_stop(struct t_hsd *h)
{
	int status;

	while (h->n_queue > 0)
		free(h->queue[--h->n_queue].data);
	free(h->profile.data);
	h->profile.data = NULL;
	close(h->mon);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(h->ctl);
	close(h->punt);
}

void t_hsd_secret(struct t_hsd *h, const char *name, const uint8_t key[32])
{
	char text[NX_KEY_STRLEN];
	int fd;

	nx_key_encode(key, text);
	fd = memfd_create("secret", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	send_mon(h, MON_CMD_SECRET, -1, name, fd);
}

/* ---- messages ---- */

struct nxm *t_begin(struct t_hsd *h, uint8_t cmd)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = cmd, .version = 1, .seq = ++h->seq };

	nxm_begin(&out, out_buf, sizeof(out_buf), &hdr);
	return &out;
}

/* Any message of the socket, or false at the limit. */
static bool receive_any(struct t_hsd *h, struct t_msg *m, int timeout_ms)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	ssize_t n;

	if (!wait_readable(h->ctl, timeout_ms))
		return false;
	n = nx_ipc_recv(h->ctl, buf, sizeof(buf), NULL, NULL);
	assert_true(n > 0);
	m->data = malloc((size_t)n);
	assert_non_null(m->data);
	memcpy(m->data, buf, (size_t)n);
	explicit_bzero(buf, (size_t)n);
	m->len = (size_t)n;
	return true;
}

static bool is_profile(const struct t_msg *m)
{
	struct nxm_error e;
	struct nxm_hdr hdr;

	return nxm_parse_hdr(m->data, m->len, &hdr, &e) == 0 && hdr.type == NXM_FAMILY_HS &&
	       hdr.cmd == HS_CMD_COVER_PROFILE;
}

/* The next one that is no HS_CMD_COVER_PROFILE: those come when they like. */
static bool receive(struct t_hsd *h, struct t_msg *m, int timeout_ms)
{
	uint64_t until_ms = t_now_ms() + (unsigned int)timeout_ms, now_ms;

	for (;;) {
		now_ms = t_now_ms();
		if (!receive_any(h, m, now_ms < until_ms ? (int)(until_ms - now_ms) : 0))
			return false;
		if (!is_profile(m))
			return true;
		free(h->profile.data);
		h->profile = *m;
	}
}

int t_request(struct t_hsd *h, const int *fds, unsigned int n_fds)
{
	ssize_t n = nxm_end(&out);
	struct nxm_error e;
	struct t_msg m;
	uint32_t seq;
	int err;

	assert_true(n > 0);
	assert_int_equal(nx_ipc_send(h->ctl, out_buf, (size_t)n, fds, n_fds), 0);
	for (;;) {
		assert_true(receive(h, &m, T_WAIT_MS));
		memset(&e, 0, sizeof(e));
		err = nxm_parse_ack(m.data, m.len, &seq, &e);
		if (err != -EBADMSG && seq == h->seq)
			break;
		assert_true(h->n_queue < T_QUEUE_MAX);
		h->queue[h->n_queue++] = m;
	}
	free(m.data);
	h->err = err;
	snprintf(h->text, sizeof(h->text), "%s", e.text);
	return err;
}

bool t_next_msg(struct t_hsd *h, struct t_msg *m, int timeout_ms)
{
	if (h->n_queue > 0) {
		*m = h->queue[0];
		memmove(h->queue, h->queue + 1, --h->n_queue * sizeof(h->queue[0]));
		return true;
	}
	return receive(h, m, timeout_ms);
}

uint8_t t_msg_cmd(const struct t_msg *m)
{
	struct nxm_error e;
	struct nxm_hdr hdr;

	assert_int_equal(nxm_parse_hdr(m->data, m->len, &hdr, &e), 0);
	return hdr.cmd;
}

/* ---- configuration ---- */

const struct t_config t_default_config = {
	.server_key = 1,
	.client_key = 2,
	.short_id = T_SHORT_ID,
	.handshake_timeout_ms = 10000,
	.idle_timeout_ms = 120000,
	.keepalive_ms = 25000,
	.keylog_fd = -1,
	.data_sock = -1,
};

void t_key(unsigned int n, uint8_t secret[32], uint8_t public_key[32])
{
	memset(secret, 0, 32);
	memcpy(secret, "test key number ", 16);
	secret[16] = (uint8_t)n;
	hs_x25519_base(public_key, secret);
}

static void put_prefix(struct nxm *m, uint16_t type, const char *addr, uint8_t len)
{
	size_t nest = nxm_nest_begin(m, type);
	uint8_t bytes[16];

	if (inet_pton(AF_INET, addr, bytes) == 1) {
		nxm_put(m, HS_A_PREFIX_ADDR, bytes, 4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, addr, bytes), 1);
		nxm_put(m, HS_A_PREFIX_ADDR, bytes, 16);
	}
	nxm_put_u8(m, HS_A_PREFIX_LEN, len);
	nxm_nest_end(m, nest);
}

static void put_common(struct nxm *m, const struct t_config *c, uint8_t role)
{
	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	nxm_put_u8(m, HS_A_ROLE, role);
	nxm_put_str(m, HS_A_SERVER_NAME, c->server_name ? c->server_name : T_NAME);
	nxm_put_u32(m, HS_A_HANDSHAKE_TIMEOUT_MS, c->handshake_timeout_ms);
	nxm_put_u32(m, HS_A_IDLE_TIMEOUT_MS, c->idle_timeout_ms);
	nxm_put_u32(m, HS_A_KEEPALIVE_MS, c->keepalive_ms);
	nxm_put_u32(m, HS_A_MTU, c->mtu);
	if (c->ciphers)
		nxm_put_str(m, HS_A_CIPHERS, c->ciphers);
	if (c->data_sock >= 0)
		nxm_put_u32(m, HS_A_DATA_SOCKETS, 1);
	if (c->keylog_fd >= 0)
		nxm_put_flag(m, HS_A_KEYLOG);
}

static int send_set(struct t_hsd *h, const struct t_config *c, int sock)
{
	unsigned int n = 0;
	int fds[3];

	fds[n++] = sock;
	if (c->data_sock >= 0)
		fds[n++] = c->data_sock;
	if (c->keylog_fd >= 0)
		fds[n++] = c->keylog_fd;
	return t_request(h, fds, n);
}

int t_set_server(struct t_hsd *h, const struct t_config *c, int sock)
{
	uint8_t secret[32], public_key[32], dns[4] = { 10, 66, 0, 1 };
	struct nxm *m;
	size_t nest;

	t_key(c->server_key, secret, public_key);
	t_hsd_secret(h, "secret:" T_TUNNEL ":private-key", secret);
	if (c->psk)
		t_hsd_secret(h, "secret:" T_TUNNEL ":psk:alice", c->psk);
	m = t_begin(h, HS_CMD_SET_TUNNEL);
	put_common(m, c, NQD_ROLE_SERVER);
	put_prefix(m, HS_A_ROUTE, "10.66.0.0", 24);
	put_prefix(m, HS_A_ROUTE, "fd66::", 64);
	nxm_put(m, HS_A_DNS, dns, 4);
	nxm_put_str(m, HS_A_DNS_DOMAIN, "corp.example.org");
	nxm_put_u32(m, HS_A_ROUTE_EPOCH, 7);
	if (c->max_auth_per_s)
		nxm_put_u32(m, HS_A_GATE_MAX_AUTH_PER_S, c->max_auth_per_s);
	if (c->max_auth_per_site_per_s)
		nxm_put_u32(m, HS_A_GATE_MAX_AUTH_PER_SITE_PER_S, c->max_auth_per_site_per_s);
	if (c->profile)
		nxm_put(m, HS_A_COVER_PROFILE, c->profile, c->profile_len);
	if (!c->no_user) {
		t_key(c->client_key, secret, public_key);
		nest = nxm_nest_begin(m, HS_A_USER);
		nxm_put_str(m, HS_A_USER_NAME, "alice");
		nxm_put_u64(m, HS_A_USER_SHORT_ID, c->short_id);
		nxm_put(m, HS_A_USER_PUBLIC_KEY, public_key, 32);
		if (c->psk)
			nxm_put_flag(m, HS_A_USER_HAS_PSK);
		put_prefix(m, HS_A_USER_ADDRESS, "10.66.0.2", 32);
		put_prefix(m, HS_A_USER_ADDRESS, "fd66::2", 128);
		nxm_nest_end(m, nest);
	}
	return send_set(h, c, sock);
}

int t_set_client(struct t_hsd *h, const struct t_config *c, int sock)
{
	uint8_t secret[32], public_key[32];
	struct nxm *m;

	t_key(c->client_key, secret, public_key);
	t_hsd_secret(h, "secret:" T_TUNNEL ":private-key", secret);
	if (c->psk)
		t_hsd_secret(h, "secret:" T_TUNNEL ":psk", c->psk);
	m = t_begin(h, HS_CMD_SET_TUNNEL);
	put_common(m, c, NQD_ROLE_CLIENT);
	t_key(c->server_key, secret, public_key);
	nxm_put(m, HS_A_SERVER_PUBLIC_KEY, public_key, 32);
	nxm_put_u64(m, HS_A_SHORT_ID, c->short_id);
	return send_set(h, c, sock);
}

static size_t addr_size(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int t_connect(struct t_hsd *h, uint64_t attempt, const struct sockaddr_storage *remote)
{
	struct nxm *m = t_begin(h, HS_CMD_CONNECT);

	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	nxm_put_u64(m, HS_A_ATTEMPT, attempt);
	nxm_put(m, HS_A_REMOTE_ADDR, remote, addr_size(remote));
	nxm_put_u32(m, HS_A_SOCKET, 0);
	return t_request(h, NULL, 0);
}

static int about_attempt(struct t_hsd *h, uint8_t cmd, uint64_t attempt)
{
	struct nxm *m = t_begin(h, cmd);

	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	nxm_put_u64(m, HS_A_ATTEMPT, attempt);
	return t_request(h, NULL, 0);
}

int t_cancel(struct t_hsd *h, uint64_t attempt)
{
	return about_attempt(h, HS_CMD_CANCEL, attempt);
}

int t_installed(struct t_hsd *h, uint64_t attempt)
{
	return about_attempt(h, HS_CMD_INSTALLED, attempt);
}

uint64_t t_stat(struct t_hsd *h, uint16_t attr)
{
	struct nxa top[HS_A_MAX + 1], stats[HS_A_STATS_MAX + 1];
	struct nxm *m = t_begin(h, HS_CMD_GET_STATS);
	struct nxm_error e;
	struct nxm_hdr hdr;
	struct t_msg msg;
	uint64_t value;

	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	assert_int_equal(t_request(h, NULL, 0), 0);
	/* The answer came before the acknowledgement: it is the newest in the queue. */
	assert_true(h->n_queue > 0);
	msg = h->queue[--h->n_queue];
	assert_int_equal(nxm_parse_hdr(msg.data, msg.len, &hdr, &e), 0);
	assert_int_equal(hdr.cmd, HS_CMD_STATS);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, top, msg.data, &e), 0);
	assert_int_equal(nxa_parse_nest(&top[HS_A_STATS], &hs_stats_set, stats, msg.data, &e), 0);
	assert_true(stats[attr].present);
	value = nxa_u64(&stats[attr]);
	free(msg.data);
	return value;
}

/* Bound to @name, whose port the kernel chooses. */
static int bound_socket(struct sockaddr_storage *name)
{
	int fd = socket(name->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len;

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)name, addr_size(name)), 0);
	len = sizeof(*name);
	assert_int_equal(getsockname(fd, (struct sockaddr *)name, &len), 0);
	return fd;
}

int t_udp(int family, bool wildcard, struct sockaddr_storage *name)
{
	memset(name, 0, sizeof(*name));
	name->ss_family = (sa_family_t)family;
	if (!wildcard)
		t_loopback(name);
	return bound_socket(name);
}

int t_udp_site(uint8_t site, struct sockaddr_storage *name)
{
	struct sockaddr_in *in = (struct sockaddr_in *)name;

	memset(name, 0, sizeof(*name));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK | (uint32_t)site << 8);
	return bound_socket(name);
}

void t_loopback(struct sockaddr_storage *name)
{
	if (name->ss_family == AF_INET)
		((struct sockaddr_in *)name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)name)->sin6_addr = in6addr_loopback;
}

/* ---- sessions ---- */

void t_parse_session(const struct t_msg *m, struct t_session *s)
{
	struct nxm_error e = { 0 };
	struct nxm_hdr hdr;

	memset(s, 0, sizeof(*s));
	s->msg = *m;
	assert_int_equal(nxm_parse_hdr(m->data, m->len, &hdr, &e), 0);
	if (hdr.cmd == HS_CMD_FAILED) {
		assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, s->top, m->data, &e),
				 0);
		fail_msg("failed: %s", nxa_str(&s->top[HS_A_TEXT]));
	}
	assert_int_equal(hdr.cmd, HS_CMD_SESSION);
	if (nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, s->top, m->data, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(s->top[HS_A_ATTEMPT].present && s->top[HS_A_SOCKET].present);
	s->attempt = nxa_u64(&s->top[HS_A_ATTEMPT]);
	assert_int_equal(nxa_parse_nest(&s->top[HS_A_SESSION], &nqd_session_set, s->s, m->data, &e),
			 0);
	assert_int_equal(nxa_parse_nest(&s->top[HS_A_KEYS], &nqd_keys_set, s->k, m->data, &e), 0);
	assert_int_equal(nxa_parse_nest(&s->top[HS_A_NET], &hs_net_set, s->net, m->data, &e), 0);
}

void t_wait_session(struct t_hsd *h, struct t_session *s)
{
	struct t_msg m;

	if (!t_next_msg(h, &m, T_WAIT_MS))
		fail_msg("no session came");
	t_parse_session(&m, s);
}

void t_session_free(struct t_session *s)
{
	explicit_bzero(s->msg.data, s->msg.len);
	free(s->msg.data);
	memset(s, 0, sizeof(*s));
}

unsigned int t_wait_failed(struct t_hsd *h, char *text)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;
	struct nxm_hdr hdr;
	unsigned int reason;
	struct t_msg m;

	if (!t_next_msg(h, &m, T_WAIT_MS))
		fail_msg("no result came");
	assert_int_equal(nxm_parse_hdr(m.data, m.len, &hdr, &e), 0);
	assert_int_equal(hdr.cmd, HS_CMD_FAILED);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, tb, m.data, &e), 0);
	snprintf(text, 256, "%s", nxa_str(&tb[HS_A_TEXT]));
	reason = nxa_u8(&tb[HS_A_REASON]);
	free(m.data);
	return reason;
}
