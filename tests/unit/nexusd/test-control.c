// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control process against a fake monitor, nexus-hsd and data plane on socketpairs, in a network
 * namespace of its own: the order of its requests, what it makes of a session, of failures, of restarts of
 * the others, and of messages that are no such thing. Needs root and /dev/net/tun; skipped without.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "backoff.h"
#include "control.h"
#include "lib/ipc.h"
#include "prefix.h"
#include "state-file.h"
#include "tunnel-internal.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define STEPS_MAX 200

struct fake {
	sd_event *event;
	struct nx_manager *m;
	int mon, hsd, dp;
	char config[64], state_dir[64];
	/* of the sessions nexus-hsd reports; local NULL: not told */
	const char *remote, *local;
	bool inner_ipv6;
	/* the last message taken from a peer */
	uint8_t buf[NX_IPC_MAX_LEN];
	struct nxm_hdr hdr;
	int fds[NX_IPC_MAX_FDS];
	unsigned int n_fds;
};

/* ---- the D-Bus face is not under test ---- */
void nx_tunnel_bus_added(struct nx_tunnel *t)
{
}
void nx_tunnel_bus_removed(struct nx_tunnel *t)
{
}
void nx_tunnel_bus_state_changed(struct nx_tunnel *t, enum nx_tunnel_state old)
{
}
static unsigned int cover_changes;
void nx_tunnel_bus_properties_changed(struct nx_tunnel *t, char **names)
{
	cover_changes += !strcmp(names[0], "CoverLearnt");
}
void nx_session_bus_added(struct nx_session *s)
{
}
void nx_session_bus_removed(struct nx_session *s)
{
}
void nx_session_bus_moved(struct nx_session *s)
{
}
void nx_session_bus_changed(struct nx_session *s)
{
}
int nx_manager_bus_start(struct nx_manager *m)
{
	return 0;
}
void nx_manager_bus_stop(struct nx_manager *m)
{
}

/* ---- messages ---- */

static void send_to(int fd, struct nxm *m, const int *pass)
{
	ssize_t len = nxm_end(m);

	assert_true(len > 0);
	assert_int_equal(nx_ipc_send(fd, m->buf, (size_t)len, pass, pass ? 1 : 0), 0);
}

static void begin(struct nxm *m, uint8_t *buf, size_t cap, uint16_t family, uint8_t cmd,
		  uint32_t seq)
{
	struct nxm_hdr hdr = { .type = family, .cmd = cmd, .seq = seq };

	nxm_begin(m, buf, cap, &hdr);
}

static void mon_send(struct fake *f, uint8_t cmd, int peer, const char *name, int err, int pass)
{
	uint8_t buf[512];
	struct nxm m;

	begin(&m, buf, sizeof(buf), NXM_FAMILY_MON, cmd, 0);
	if (peer >= 0)
		nxm_put_u8(&m, MON_A_PEER, (uint8_t)peer);
	if (name)
		nxm_put_str(&m, MON_A_NAME, name);
	if (cmd == MON_CMD_SECRET_RESULT)
		nxm_put_u32(&m, MON_A_ERRNO, (uint32_t)err);
	send_to(f->mon, &m, pass >= 0 ? &pass : NULL);
}

/* A fresh socket to a peer of the control process; returns the fake's end. */
static int connect_peer(struct fake *f, enum mon_peer peer)
{
	int sv[2];

	assert_int_equal(nx_ipc_pair(sv), 0);
	mon_send(f, MON_CMD_PEER, (int)peer, NULL, 0, sv[0]);
	close(sv[0]);
	return sv[1];
}

static void acknowledge(struct fake *f, int fd, int err)
{
	struct nxm_error e = { .err = err, .text = "no" };
	uint8_t buf[512];
	ssize_t n;

	if (!f->hdr.seq)
		return;
	n = (f->hdr.flags & NLM_F_DUMP) == NLM_F_DUMP
		    ? nxm_build_done(buf, sizeof(buf), &f->hdr)
		    : nxm_build_ack(buf, sizeof(buf), &f->hdr, &e);
	assert_true(n > 0);
	assert_int_equal(nx_ipc_send(fd, buf, (size_t)n, NULL, 0), 0);
}

/* Run the loop until @fd has message @cmd; others of monitor and data plane are answered kindly. */
static void expect(struct fake *f, int fd, uint8_t cmd)
{
	struct nxm_error e;
	ssize_t n;

	for (int i = 0; i < STEPS_MAX; i++) {
		assert_true(sd_event_run(f->event, 20000) >= 0);
		while ((n = nx_ipc_recv(fd, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			if (f->hdr.cmd == cmd)
				return;
			nx_close_fds(f->fds, f->n_fds);
			if (fd == f->dp || fd == f->hsd)
				acknowledge(f, fd, 0);
		}
	}
	fail_msg("message %u did not come", cmd);
}

/* Let the loop work until the tunnel is in @state. */
static void expect_state(struct fake *f, enum nx_tunnel_state state)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");

	assert_non_null(t);
	for (int i = 0; i < STEPS_MAX && t->state != state; i++)
		assert_true(sd_event_run(f->event, 20000) >= 0);
	assert_string_equal(nx_tunnel_state_str(t->state), nx_tunnel_state_str(state));
}

/* ---- a client up to its attempt ---- */

static const char config_text[] =
	"tunnel = { office = { role = \"client\"; endpoint = \"127.0.0.1:443\";\n"
	"server_name = \"www.example.org\"; server_public_key = \"" KEY "\";\n"
	"short_id = \"0123456789abcdef\"; private_key_file = \"/k/office.key\";\n"
	"interface = \"nxtest0\"; autoconnect = true; }; };\n";

static int write_config(struct fake *f, const char *text)
{
	FILE *out = fopen(f->config, "w");

	if (!out)
		return -1;
	fputs(text, out);
	return fclose(out);
}

/*
 * The control process itself; what it keeps is in the files. In a network namespace of its own: one
 * before it ended without closing its sockets, as a process may.
 */
static int open_control(struct fake *f)
{
	struct nx_options o = { .config_file = f->config,
				.state_dir = f->state_dir[0] ? f->state_dir : NULL };
	int sv[2];

	if (unshare(CLONE_NEWNET) < 0 || sd_event_new(&f->event) < 0 || nx_ipc_pair(sv) < 0)
		return -1;
	f->mon = sv[0];
	f->hsd = f->dp = -1;
	f->m = nx_control_new(f->event, sv[1], &o);
	return f->m ? 0 : -1;
}

static void close_control(struct fake *f)
{
	nx_control_free(f->m);
	f->m = NULL;
	sd_event_unref(f->event);
	close(f->mon);
	close(f->hsd);
	close(f->dp);
}

static int setup_with(void **state, const char *text, bool lasting)
{
	struct fake *f = calloc(1, sizeof(*f));
	int fd;

	*state = f;
	if (f)
		f->remote = "127.0.0.1:443";
	if (!f || geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) < 0 ||
	    unshare(CLONE_NEWNET) < 0)
		return 0;
	snprintf(f->config, sizeof(f->config), "/tmp/nexus-test-XXXXXX");
	fd = mkstemp(f->config);
	if (fd < 0 || close(fd) < 0 || write_config(f, text))
		return -1;
	if (lasting) {
		snprintf(f->state_dir, sizeof(f->state_dir), "/tmp/nexus-test-XXXXXX");
		if (!mkdtemp(f->state_dir))
			return -1;
	}
	return open_control(f);
}

static int setup(void **state)
{
	return setup_with(state, config_text, false);
}

static int teardown(void **state)
{
	struct fake *f = *state;

	if (f->m) {
		close_control(f);
		unlink(f->config);
		if (f->state_dir[0])
			rmdir(f->state_dir);
	}
	free(f);
	return 0;
}

static void answer_tun(struct fake *f)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	expect(f, f->mon, MON_CMD_OPEN_TUN);
	mon_send(f, MON_CMD_STORED, -1, "tun:office", 0, fd);
	close(fd);
}

static uint64_t attempt_of(struct fake *f)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;

	assert_int_equal(nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &hs_set, tb, f->buf, &e), 0);
	assert_true(tb[HS_A_ATTEMPT].present);
	return nxa_u64(&tb[HS_A_ATTEMPT]);
}

/* Secrets, SET_TUNNEL with the handshake socket, CONNECT. Returns the attempt. */
static uint64_t configure_hsd(struct fake *f)
{
	expect(f, f->mon, MON_CMD_OPEN_SECRET);
	mon_send(f, MON_CMD_SECRET_RESULT, -1, "secret:office:private-key", 0, -1);
	expect(f, f->hsd, HS_CMD_SET_TUNNEL);
	assert_int_equal(f->n_fds, 1);
	nx_close_fds(f->fds, f->n_fds);
	acknowledge(f, f->hsd, 0);
	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	return attempt_of(f);
}

static uint64_t start(struct fake *f)
{
	f->hsd = connect_peer(f, MON_PEER_HSD);
	f->dp = connect_peer(f, MON_PEER_DP);
	mon_send(f, MON_CMD_START, -1, NULL, 0, -1);
	expect(f, f->dp, NQD_CMD_GET_STATS);
	acknowledge(f, f->dp, 0);
	answer_tun(f);
	expect(f, f->dp, NQD_CMD_CREATE_DEVICE);
	assert_int_equal(f->n_fds, 2);
	nx_close_fds(f->fds, f->n_fds);
	acknowledge(f, f->dp, 0);
	return configure_hsd(f);
}

static void put_prefix(struct nxm *m, uint16_t type, const void *addr, size_t len, uint8_t bits)
{
	size_t nest = nxm_nest_begin(m, type);

	nxm_put(m, HS_A_PREFIX_ADDR, addr, len);
	nxm_put_u8(m, HS_A_PREFIX_LEN, bits);
	nxm_nest_end(m, nest);
}

static void report_session(struct fake *f, uint64_t attempt, bool with_address)
{
	struct nx_endpoint remote, local;
	uint8_t buf[2048], key[16] = { 0xaa };
	struct nxm m;
	size_t nest;

	assert_int_equal(nx_endpoint_parse(f->remote, &remote), 0);
	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_SESSION, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u32(&m, HS_A_SOCKET, 0);
	nest = nxm_nest_begin(&m, HS_A_SESSION);
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, &remote, sizeof(remote.in));
	if (f->local) {
		assert_int_equal(nx_endpoint_parse(f->local, &local), 0);
		nxm_put(&m, NQD_A_SESSION_LOCAL_ADDR, &local, sizeof(local.in));
	}
	nxm_put_u16(&m, NQD_A_SESSION_CIPHER, NQD_CIPHER_AES_128_GCM);
	nxm_put_u32(&m, NQD_A_SESSION_FLAGS, NQD_SESSION_F_ACK_PENDING);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, HS_A_KEYS);
	nxm_put(&m, NQD_A_KEYS_TX_KEY, key, sizeof(key));
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, HS_A_NET);
	if (with_address)
		put_prefix(&m, HS_A_NET_ADDRESS, "\x0a\x42\x00\x02", 4, 32);
	if (f->inner_ipv6)
		put_prefix(&m, HS_A_NET_ADDRESS, "\xfd\x66\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16, 128);
	put_prefix(&m, HS_A_NET_ROUTE, "\x0a\x42\x00\x00", 4, 24);
	nxm_put_u32(&m, HS_A_NET_MTU, 1300);
	nxm_nest_end(&m, nest);
	send_to(f->hsd, &m, NULL);
}

/* ADD_SESSION as it must look; returns the session's number. */
static uint64_t expect_add_session(struct fake *f)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nxm_error e;

	expect(f, f->dp, NQD_CMD_ADD_SESSION);
	assert_int_equal(f->n_fds, 1);
	nx_close_fds(f->fds, f->n_fds);
	assert_int_equal(nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &nqd_top_set, tb, f->buf, &e),
			 0);
	assert_true(tb[NQD_A_KEYS].present);
	assert_int_equal(nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, f->buf, &e), 0);
	assert_int_equal(nxa_u32(&ses[NQD_A_SESSION_FLAGS]), NQD_SESSION_F_ACK_PENDING |
								     NQD_SESSION_F_DEFAULT_ROUTE |
								     NQD_SESSION_F_REPLACE);
	assert_string_equal(nxa_str(&ses[NQD_A_SESSION_TUNNEL]), "office");
	assert_int_equal(nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]), 1300 + 43);
	return nxa_u64(&ses[NQD_A_SESSION_ID]);
}

static void send_event(struct fake *f, uint64_t id, enum nqd_event type,
		       enum nqd_down_reason reason)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	begin(&m, buf, sizeof(buf), NXM_FAMILY_DCO, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, (uint8_t)type);
	nxm_put_u8(&m, NQD_A_EVENT_REASON, reason);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	send_to(f->dp, &m, NULL);
}

static void send_down(struct fake *f, uint64_t id, enum nqd_down_reason reason)
{
	send_event(f, id, NQD_EVENT_SESSION_DOWN, reason);
}

/* ---- tests ---- */

#define NEED(f)                 \
	do {                    \
		if (!(f)->m)    \
			skip(); \
	} while (0)

static void test_session(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t attempt, id;

	NEED(f);
	attempt = start(f);
	report_session(f, attempt, true);
	id = expect_add_session(f);
	acknowledge(f, f->dp, 0);
	expect(f, f->hsd, HS_CMD_INSTALLED);
	assert_true(attempt_of(f) == attempt);
	expect_state(f, NX_TUNNEL_CONNECTED);
	t = nx_manager_find_tunnel(f->m, "office");
	assert_int_equal(t->mtu, 1300);
	assert_int_equal(t->n_addresses, 1);
	assert_int_equal(t->n_routes, 1);
	assert_true(if_nametoindex("nxtest0") == (unsigned int)t->ifindex);

	/* It ends: device and addresses stay, a new attempt follows by itself. */
	send_down(f, id, NQD_DOWN_IDLE_TIMEOUT);
	expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_IDLE_TIMEOUT);
	assert_int_equal(t->n_addresses, 1);
	expect(f, f->hsd, HS_CMD_CONNECT);
	assert_true(attempt_of(f) != attempt);
	acknowledge(f, f->hsd, 0);

	/* A late report of the old attempt is cancelled, not installed. */
	report_session(f, attempt, true);
	expect(f, f->hsd, HS_CMD_CANCEL);
	assert_true(attempt_of(f) == attempt);
	assert_true(TAILQ_EMPTY(&t->sessions) && TAILQ_EMPTY(&t->priv->installing));

	assert_int_equal(nx_tunnel_disconnect(t), 0);
	assert_int_equal(nx_tunnel_disconnect(t), -EALREADY);
	expect(f, f->hsd, HS_CMD_DEL_TUNNEL);

	/* Up and down again while it says goodbye: the last word counts. */
	assert_int_equal(nx_tunnel_connect(t), 0);
	assert_int_equal(nx_tunnel_connect(t), -EALREADY);
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	acknowledge(f, f->hsd, 0);
	expect(f, f->dp, NQD_CMD_DELETE_DEVICE);
	acknowledge(f, f->dp, 0);
	expect_state(f, NX_TUNNEL_DISCONNECTED);
	assert_int_equal(if_nametoindex("nxtest0"), 0);
}

static void test_refusals(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint8_t buf[256];
	uint64_t attempt;
	struct nxm m;

	NEED(f);
	attempt = start(f);
	t = nx_manager_find_tunnel(f->m, "office");

	/* No address: the attempt is cancelled and counts as a configuration error. */
	report_session(f, attempt, false);
	expect(f, f->hsd, HS_CMD_CANCEL);
	expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_CONFIGURATION);
	assert_true(TAILQ_EMPTY(&t->priv->installing));

	/* Reports about nobody, and bytes that are no message, change nothing. */
	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_FAILED, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "nobody");
	send_to(f->hsd, &m, NULL);
	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_SESSION, 0);
	nxm_put_u64(&m, HS_A_ATTEMPT, 1);
	send_to(f->hsd, &m, NULL);
	assert_int_equal(nx_ipc_send(f->hsd, "garbage", 7, NULL, 0), 0);
	assert_int_equal(nx_ipc_send(f->dp, "garbage", 7, NULL, 0), 0);
	send_down(f, 12345, NQD_DOWN_PEER_CLOSED);
	assert_true(sd_event_run(f->event, 20000) >= 0);
	assert_int_equal(t->state, NX_TUNNEL_RECONNECTING);
}

static void report_refusal(struct fake *f, uint64_t attempt)
{
	uint8_t buf[256];
	struct nxm m;

	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_FAILED, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u8(&m, HS_A_REASON, HS_REASON_AUTH_REFUSED);
	send_to(f->hsd, &m, NULL);
}

/* The tunnel tries again by itself, without a word to anybody; the number of the attempt. */
static uint64_t expect_another(struct fake *f, uint64_t attempt)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	uint64_t next;

	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	next = attempt_of(f);
	assert_true(next != attempt);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTING);
	assert_int_equal(t->reason, NX_REASON_NONE);
	return next;
}

/* A refusal is believed the third time; then the pause is long. */
static void test_refused(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t attempt, next, began;

	NEED(f);
	attempt = start(f);
	t = nx_manager_find_tunnel(f->m, "office");
	began = nx_now_us();
	report_refusal(f, attempt);
	next = expect_another(f, attempt);
	assert_true(nx_now_us() - began >= 50000);
	report_refusal(f, next);
	began = nx_now_us();
	attempt = expect_another(f, next);
	assert_true(nx_now_us() - began >= 900000);
	report_refusal(f, attempt);
	expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_AUTH_REFUSED);
	assert_int_equal(t->priv->attempt, 0);

	/* Whoever asks again is not answered from memory. */
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	acknowledge(f, f->hsd, 0);
	expect(f, f->dp, NQD_CMD_DELETE_DEVICE);
	acknowledge(f, f->dp, 0);
	expect_state(f, NX_TUNNEL_DISCONNECTED);
	assert_int_equal(t->priv->refusals, NX_REFUSALS_BELIEVED);
	assert_int_equal(nx_tunnel_connect(t), 0);
	assert_int_equal(t->priv->refusals, 0);
}

/* The second attempt is let in: nobody has heard of the refusal. */
static void test_refused_once(void **state)
{
	struct fake *f = *state;
	uint64_t attempt;

	NEED(f);
	attempt = start(f);
	report_refusal(f, attempt);
	report_session(f, expect_another(f, attempt), true);
	expect_add_session(f);
	acknowledge(f, f->dp, 0);
	expect_state(f, NX_TUNNEL_CONNECTED);
	assert_int_equal(nx_manager_find_tunnel(f->m, "office")->priv->refusals, 0);
}

/* Installed after @attempt; its number. */
static uint64_t install(struct fake *f, uint64_t attempt)
{
	uint64_t id;

	report_session(f, attempt, true);
	id = expect_add_session(f);
	acknowledge(f, f->dp, 0);
	expect(f, f->hsd, HS_CMD_INSTALLED);
	return id;
}

static void expect_sessions(struct fake *f, unsigned int want)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	struct nx_session *s;
	unsigned int n = 0;

	for (int i = 0; i < STEPS_MAX; i++) {
		n = 0;
		TAILQ_FOREACH (s, &t->sessions, entry)
			n++;
		if (n == want)
			return;
		assert_true(sd_event_run(f->event, 20000) >= 0);
	}
	fail_msg("%u sessions instead of %u", n, want);
}

/* The server is silent: a new attempt, and the state does not change. */
static uint64_t expect_renewal(struct fake *f, uint64_t id)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");

	send_event(f, id, NQD_EVENT_PEER_SILENT, 0);
	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_true(t->priv->renewing);
	return attempt_of(f);
}

static void report_timeout(struct fake *f, uint64_t attempt)
{
	uint8_t buf[256];
	struct nxm m;

	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_FAILED, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u8(&m, HS_A_REASON, HS_REASON_TIMEOUT);
	send_to(f->hsd, &m, NULL);
}

/* A session takes the place of another; an attempt or a session that fails leaves the old one. */
static void test_renewal(void **state)
{
	struct fake *f = *state;
	struct nx_session *s;
	uint64_t id, next, attempt, began;
	struct nx_tunnel *t;

	NEED(f);
	id = install(f, start(f));
	expect_state(f, NX_TUNNEL_CONNECTED);
	t = nx_manager_find_tunnel(f->m, "office");
	assert_non_null(t->priv->renew_timer);
	TAILQ_FIRST(&t->sessions)->connected_since_s = 1000;
	TAILQ_FIRST(&t->sessions)->last_handshake_s = 1000;

	/* No answer: again after about a second, all the while connected. */
	began = nx_now_us();
	report_timeout(f, expect_renewal(f, id));
	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	assert_true(nx_now_us() - began >= 700000);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_int_equal(t->reason, NX_REASON_NONE);

	/* Both ends have it; until the data plane says so, the old one counts. */
	next = install(f, attempt_of(f));
	expect_sessions(f, 2);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	send_down(f, id, NQD_DOWN_REPLACED);
	expect_sessions(f, 1);
	s = TAILQ_FIRST(&t->sessions);
	assert_true(s->id == next && !s->waits);
	assert_int_equal(s->connected_since_s, 1000);
	assert_true(s->last_handshake_s > 1000);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_non_null(t->priv->renew_timer);
	assert_int_equal(t->priv->renew_failures, 0);
	id = next;

	/* The data plane moves over before it answers. */
	report_session(f, expect_renewal(f, id), true);
	next = expect_add_session(f);
	send_down(f, id, NQD_DOWN_REPLACED);
	acknowledge(f, f->dp, 0);
	expect(f, f->hsd, HS_CMD_INSTALLED);
	expect_sessions(f, 1);
	s = TAILQ_FIRST(&t->sessions);
	assert_true(s->id == next && !s->waits);
	assert_int_equal(s->connected_since_s, 1000);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	id = next;

	/* The server's data plane never took it. */
	next = install(f, expect_renewal(f, id));
	send_down(f, next, NQD_DOWN_UNCONFIRMED);
	expect_sessions(f, 1);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_int_equal(t->priv->renew_failures, 1);

	/* The old one ends before the attempt does: that one connects. */
	attempt = expect_renewal(f, id);
	send_down(f, id, NQD_DOWN_PEER_CLOSED);
	expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_PEER_CLOSED);
	assert_true(t->priv->attempt == attempt);
	id = install(f, attempt);
	expect_state(f, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->connected_since_s > 1000);

	/* Down in the middle of it. */
	expect_renewal(f, id);
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	assert_null(t->priv->renew_timer);
	assert_false(t->priv->renewing);
	expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
}

static void test_renew_times(void **state)
{
	assert_int_equal(nx_renew_due_us(8000, 0), 8000);
	assert_int_equal(nx_renew_due_us(8000, 0xffff), 7000);
	assert_int_equal(nx_renew_due_us(604800000000ull, 0xffffffff), 529200000000ull);
}

static void test_restarts(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t attempt;

	NEED(f);
	attempt = start(f);
	t = nx_manager_find_tunnel(f->m, "office");
	report_session(f, attempt, true);
	expect_add_session(f);
	acknowledge(f, f->dp, 0);
	expect_state(f, NX_TUNNEL_CONNECTED);

	/* nexus-hsd: the session goes on, the new process is configured at once. */
	close(f->hsd);
	f->hsd = connect_peer(f, MON_PEER_HSD);
	expect(f, f->mon, MON_CMD_OPEN_SECRET);
	mon_send(f, MON_CMD_SECRET_RESULT, -1, "secret:office:private-key", 0, -1);
	expect(f, f->hsd, HS_CMD_SET_TUNNEL);
	nx_close_fds(f->fds, f->n_fds);
	acknowledge(f, f->hsd, 0);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);

	/* nexus-dp: the device is made again and the client reconnects. */
	close(f->dp);
	f->dp = connect_peer(f, MON_PEER_DP);
	expect(f, f->dp, NQD_CMD_CREATE_DEVICE);
	nx_close_fds(f->fds, f->n_fds);
	assert_int_equal(t->state, NX_TUNNEL_RECONNECTING);
	assert_int_equal(t->reason, NX_REASON_DATA_PLANE_LOST);
	acknowledge(f, f->dp, 0);
	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	attempt = attempt_of(f);

	/* The data plane refuses: nothing is installed, nexus-hsd is told, the next attempt waits. */
	report_session(f, attempt, true);
	expect_add_session(f);
	acknowledge(f, f->dp, -EINVAL);
	expect(f, f->hsd, HS_CMD_CANCEL);
	expect_state(f, NX_TUNNEL_RECONNECTING);
	assert_true(TAILQ_EMPTY(&t->sessions) && TAILQ_EMPTY(&t->priv->installing));
}

/* ---- a client and the network below it ---- */

static const char roaming_text[] =
	"tunnel = { office = { role = \"client\"; endpoint = \"198.51.100.1:443\";\n"
	"server_name = \"www.example.org\"; server_public_key = \"" KEY "\";\n"
	"short_id = \"0123456789abcdef\"; private_key_file = \"/k/office.key\";\n"
	"interface = \"nxtest0\"; autoconnect = true; }; };\n";

static void ip(const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "ip %s", arguments);
	assert_int_equal(system(command), 0);
}

static int setup_roaming(void **state)
{
	struct fake *f;
	int r = setup_with(state, roaming_text, false);

	f = *state;
	if (!r && f->m) {
		f->remote = "198.51.100.1:443";
		f->local = "192.0.2.10:4000";
		ip("link add up1 type veth peer name far1");
		ip("link add up2 type veth peer name far2");
		ip("address add 192.0.2.10/24 dev up1");
		ip("address add 203.0.113.5/24 dev up2");
		for (int i = 1; i <= 2; i++) {
			ip(i == 1 ? "link set up1 up" : "link set up2 up");
			ip(i == 1 ? "link set far1 up" : "link set far2 up");
		}
		ip("route add default via 192.0.2.1");
	}
	return r;
}

static struct nx_tunnel *connect_roaming(struct fake *f, uint64_t *id)
{
	report_session(f, start(f), true);
	*id = expect_add_session(f);
	acknowledge(f, f->dp, 0);
	expect_state(f, NX_TUNNEL_CONNECTED);
	return nx_manager_find_tunnel(f->m, "office");
}

/* The data plane is told to be somewhere with session @id, with a socket. Not answered yet. */
static void take_told(struct fake *f, uint64_t id, char text[NX_ADDR_STRLEN])
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nx_endpoint e;
	struct nxm_error err;

	expect(f, f->dp, NQD_CMD_UPDATE_SESSION);
	assert_int_equal(f->n_fds, 1);
	nx_close_fds(f->fds, f->n_fds);
	assert_int_equal(nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &nqd_top_set, tb, f->buf, &err),
			 0);
	assert_int_equal(nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, f->buf, &err),
			 0);
	assert_true(nxa_u64(&ses[NQD_A_SESSION_ID]) == id);
	assert_true(ses[NQD_A_SESSION_SOCKET_FD].present);
	assert_int_equal(nx_endpoint_from_bytes(ses[NQD_A_SESSION_REMOTE_ADDR].data,
						ses[NQD_A_SESSION_REMOTE_ADDR].len, &e),
			 0);
	assert_string_equal(nx_endpoint_format(&e, text), f->remote);
	assert_int_equal(nx_endpoint_from_bytes(ses[NQD_A_SESSION_LOCAL_ADDR].data,
						ses[NQD_A_SESSION_LOCAL_ADDR].len, &e),
			 0);
	assert_int_equal(
		nx_endpoint_port(&e),
		nx_endpoint_port(&nx_manager_find_tunnel(f->m, "office")->priv->pairs[0].local));
	nx_endpoint_set_port(&e, 4000);
	nx_endpoint_format(&e, text);
}

/* At @local, after what was said before of another address. */
static void expect_told(struct fake *f, uint64_t id, const char *local)
{
	char text[NX_ADDR_STRLEN], first[NX_ADDR_STRLEN];

	take_told(f, id, first);
	memcpy(text, first, sizeof(text));
	while (strcmp(text, local)) {
		assert_string_equal(text, first);
		acknowledge(f, f->dp, 0);
		take_told(f, id, text);
	}
}

static void send_path_changed(struct fake *f, uint64_t id, const char *local, const char *remote)
{
	struct nx_endpoint l, r;
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	assert_int_equal(nx_endpoint_parse(local, &l), 0);
	assert_int_equal(nx_endpoint_parse(remote, &r), 0);
	begin(&m, buf, sizeof(buf), NXM_FAMILY_DCO, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, NQD_EVENT_PATH_CHANGED);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_put(&m, NQD_A_SESSION_LOCAL_ADDR, &l, sizeof(l.in));
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, &r, sizeof(r.in));
	nxm_nest_end(&m, nest);
	send_to(f->dp, &m, NULL);
}

/* The next question for statistics: the last packet came so long ago. */
static void answer_stats(struct fake *f, uint64_t ago_ms)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_DCO };
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	expect(f, f->dp, NQD_CMD_GET_STATS);
	hdr.cmd = f->hdr.cmd;
	hdr.seq = f->hdr.seq;
	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nest = nxm_nest_begin(&m, NQD_A_STATS);
	nxm_put_u64(&m, NQD_A_STATS_LAST_RX_AGO_MS, ago_ms);
	nxm_nest_end(&m, nest);
	send_to(f->dp, &m, NULL);
}

#define run_until(f, condition)                                            \
	do {                                                               \
		for (int i_ = 0; i_ < STEPS_MAX && !(condition); i_++)     \
			assert_true(sd_event_run((f)->event, 20000) >= 0); \
		assert_true(condition);                                    \
	} while (0)

/* The route to the server changes: the session moves, and is asked there. */
static void test_move(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	char text[NX_ADDR_STRLEN];
	uint64_t id;

	NEED(f);
	t = connect_roaming(f, &id);
	run_until(f, t->priv->roam.ifindex);
	assert_false(t->priv->roam.moving);
	ip("route replace default via 203.0.113.1");
	expect_told(f, id, "203.0.113.5:4000");
	acknowledge(f, f->dp, 0);
	send_path_changed(f, id, "203.0.113.5:4000", f->remote);
	expect_told(f, id, "203.0.113.5:4000");
	acknowledge(f, f->dp, 0);
	assert_string_equal(nx_endpoint_format(&TAILQ_FIRST(&t->sessions)->local, text),
			    "203.0.113.5:4000");
	assert_true(t->priv->roam.asked_us);
	/* What came before the question is no answer. */
	answer_stats(f, 100000);
	answer_stats(f, 0);
	run_until(f, !t->priv->roam.asked_us);
	assert_false(t->priv->renewing);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);

	/* Back within the time that a session stays where it is: later, not never. */
	t->priv->roam.moved_us = nx_now_us();
	ip("route replace default via 192.0.2.1");
	expect_told(f, id, "192.0.2.10:4000");
	assert_true(nx_now_us() - t->priv->roam.moved_us < 400000);
	acknowledge(f, f->dp, 0);
	send_path_changed(f, id, "192.0.2.10:4000", f->remote);
	run_until(f, !t->priv->roam.moving);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
}

/* Somebody gives the tunnel's packets, by their mark, a way of their own. */
static void test_policy_route(void **state)
{
	struct fake *f = *state;
	char command[64];
	uint64_t id;

	NEED(f);
	snprintf(command, sizeof(command), "rule add fwmark %u table 77",
		 connect_roaming(f, &id)->priv->mark);
	ip("route add default via 203.0.113.1 table 77");
	ip(command);
	expect_told(f, id, "203.0.113.5:4000");
}

/* The new session takes the place of the old one, and nobody sees a moment without. */
static void expect_replaced(struct fake *f, uint64_t old)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	uint64_t attempt, id;

	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	attempt = attempt_of(f);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_true(TAILQ_FIRST(&t->sessions)->id == old);
	report_session(f, attempt, true);
	id = expect_add_session(f);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	acknowledge(f, f->dp, 0);
	run_until(f, TAILQ_EMPTY(&t->priv->installing));
	assert_true(TAILQ_FIRST(&t->sessions)->id == old);
	send_down(f, old, NQD_DOWN_REPLACED);
	run_until(f, TAILQ_FIRST(&t->sessions)->id != old);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id && id != old);
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&t->sessions), entry));
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
	assert_false(t->priv->renewing);
}

/* The network goes and comes back; the server does not answer any more. */
static void test_return(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id, began;

	NEED(f);
	t = connect_roaming(f, &id);
	run_until(f, t->priv->roam.ifindex);
	ip("link set far1 down");
	run_until(f, t->priv->roam.absent);
	assert_true(t->text[0]);
	ip("link set far1 up");
	expect_told(f, id, "192.0.2.10:4000");
	assert_false(t->priv->roam.absent || t->text[0]);
	acknowledge(f, f->dp, 0);
	began = nx_now_us();
	answer_stats(f, 20000);
	assert_false(t->priv->renewing);
	expect_replaced(f, id);
	assert_true(nx_now_us() - began > 500000);
}

/* The old session answers while a new one is being made: it is kept. */
static void test_late_answer(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id, attempt;

	NEED(f);
	t = connect_roaming(f, &id);
	run_until(f, t->priv->roam.ifindex);
	nx_manager_resumed(f->m);
	expect_told(f, id, "192.0.2.10:4000");
	acknowledge(f, f->dp, 0);
	expect(f, f->hsd, HS_CMD_CONNECT);
	acknowledge(f, f->hsd, 0);
	attempt = attempt_of(f);
	while (t->priv->renewing) {
		answer_stats(f, 0);
		run_until(f, !t->priv->roam.query_us);
	}
	expect(f, f->hsd, HS_CMD_CANCEL);
	assert_true(attempt_of(f) == attempt);
	assert_true(TAILQ_FIRST(&t->sessions)->id == id);
	assert_int_equal(t->state, NX_TUNNEL_CONNECTED);
}

/* The data plane cannot move the session: no time is lost. */
static void test_move_refused(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	NEED(f);
	t = connect_roaming(f, &id);
	run_until(f, t->priv->roam.ifindex);
	ip("route replace default via 203.0.113.1");
	expect_told(f, id, "203.0.113.5:4000");
	f->local = "203.0.113.5:4000";
	acknowledge(f, f->dp, -ENOBUFS);
	run_until(f, t->priv->renewing);
	assert_true(nx_now_us() - t->priv->roam.moved_us < 900000);
	expect_replaced(f, id);
}

/* It has tried, and the path does not carry: no time is lost either. */
static void test_move_failed(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	NEED(f);
	t = connect_roaming(f, &id);
	run_until(f, t->priv->roam.ifindex);
	ip("route replace default via 203.0.113.1");
	expect_told(f, id, "203.0.113.5:4000");
	acknowledge(f, f->dp, 0);
	assert_false(t->priv->renewing);
	send_path_changed(f, id, f->local, f->remote);
	run_until(f, t->priv->renewing);
	assert_true(nx_now_us() - t->priv->roam.moved_us < 900000);
	f->local = "203.0.113.5:4000";
	expect_replaced(f, id);
}

static uint64_t slept_s;

static int sleeping_clock(clockid_t id, struct timespec *ts)
{
	int r = clock_gettime(id, ts);

	if (id == CLOCK_BOOTTIME)
		ts->tv_sec += (time_t)slept_s;
	return r;
}

/* The clocks tell of a sleep. After a long one the session is not worth a question alone. */
static void test_sleep(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	NEED(f);
	f->m->priv->sleep_clock.gettime = sleeping_clock;
	slept_s = 0;
	t = connect_roaming(f, &id);
	run_until(f, t->priv->roam.ifindex);
	slept_s = 60;
	expect_told(f, id, "192.0.2.10:4000");
	acknowledge(f, f->dp, 0);
	while (t->priv->roam.asked_us) {
		answer_stats(f, 0);
		run_until(f, !t->priv->roam.query_us);
	}
	assert_false(t->priv->renewing);
	slept_s = 61 + t->config->idle_timeout_s;
	run_until(f, t->priv->renewing);
	assert_true(nx_now_us() - t->priv->roam.asked_us < 900000);
	expect_replaced(f, id);
}

/* Without a session: the pause before the next attempt ends when the network returns. */
static void test_return_without_session(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	NEED(f);
	t = connect_roaming(f, &id);
	t->priv->failures = 7;
	ip("link set far1 down");
	run_until(f, t->priv->roam.absent);
	nx_session_free(TAILQ_FIRST(&t->sessions));
	nx_client_retry(t, NX_REASON_IDLE_TIMEOUT, "");
	assert_int_equal(t->state, NX_TUNNEL_RECONNECTING);
	ip("link set far1 up");
	expect(f, f->hsd, HS_CMD_CONNECT);
}

/* ---- the MTU of the device ---- */

static void send_path_mtu(struct fake *f, uint64_t id, uint32_t bytes)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	begin(&m, buf, sizeof(buf), NXM_FAMILY_DCO, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, NQD_EVENT_PATH_MTU_CHANGED);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, bytes);
	nxm_nest_end(&m, nest);
	send_to(f->dp, &m, NULL);
}

/* The path carries @bytes: then the device has @mtu, in the kernel too. */
static void expect_mtu(struct fake *f, uint64_t id, uint32_t bytes, uint32_t mtu)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");

	send_path_mtu(f, id, bytes);
	run_until(f, t->mtu == mtu);
	assert_int_equal(nx_link_mtu(f->m->priv->nl, t->ifindex), mtu);
}

/* It follows the path down and up, not above what the server offered (1300) or below what IPv6 needs. */
static void test_device_mtu(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	NEED(f);
	t = connect_roaming(f, &id);
	assert_int_equal(t->mtu, 1300);
	expect_mtu(f, id, 1200, 1157);
	assert_null(t->priv->mtu_timer);
	expect_mtu(f, id, 1300, 1257);
	expect_mtu(f, id, 1472, 1300);
	assert_int_equal(nx_device_mtu(NULL, 0, 1100, 1000), 1000);
	assert_int_equal(nx_device_mtu(NULL, 0, 1100, 0), 1100);
}

static void test_device_mtu_ipv6(void **state)
{
	struct fake *f = *state;
	struct nx_tunnel *t;
	uint64_t id;

	NEED(f);
	f->inner_ipv6 = true;
	t = connect_roaming(f, &id);
	expect_mtu(f, id, 1200, 1280);
	assert_non_null(t->priv->mtu_timer);
	assert_int_equal(t->n_addresses, 2);
	expect_mtu(f, id, 1333, 1290);
	assert_null(t->priv->mtu_timer);
	/* A smaller one that was configured is kept. */
	assert_int_equal(nx_device_mtu(t->addresses, 2, 1400, 1000), 1000);
	assert_int_equal(nx_device_mtu(t->addresses, 2, 1100, 1200), 1200);
	assert_int_equal(nx_device_mtu(t->addresses, 2, 1100, 1400), 1280);
}

/* The uplink takes smaller packets now: the data plane must not try larger ones. */
static void test_path_limit(void **state)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct fake *f = *state;
	struct nxm_error e;
	uint64_t id;

	NEED(f);
	connect_roaming(f, &id);
	ip("link set up1 mtu 1300");
	expect(f, f->dp, NQD_CMD_UPDATE_SESSION);
	assert_int_equal(nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &nqd_top_set, tb, f->buf, &e),
			 0);
	assert_int_equal(nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, f->buf, &e), 0);
	assert_int_equal(nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]), 1272);
}

/* ---- a server and its cover's profile ---- */

#define COVER "127.0.0.1:8443"

static const char server_text[] =
	"tunnel = { office = { role = \"server\"; listen = [ \"0.0.0.0:443\" ];\n"
	"cover = \"%s\"; server_names = [ \"www.example.org\" ];\n"
	"private_key_file = \"/k/server.key\"; addresses = [ \"10.66.0.1/24\" ];\n"
	"interface = \"nxtest0\"; users = ( ); }; };\n";

static int setup_server(void **state)
{
	char text[1024];

	snprintf(text, sizeof(text), server_text, COVER);
	return setup_with(state, text, true);
}

/* Be monitor and data plane until nexus-hsd is told of the tunnel; its attributes into @tb. */
static void expect_set_tunnel(struct fake *f, struct nxa *tb)
{
	struct nxm_error e;
	ssize_t n;
	int fd;

	for (int i = 0; i < STEPS_MAX; i++) {
		assert_true(sd_event_run(f->event, 20000) >= 0);
		while ((n = nx_ipc_recv(f->mon, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			nx_close_fds(f->fds, f->n_fds);
			if (f->hdr.cmd == MON_CMD_OPEN_SECRET)
				mon_send(f, MON_CMD_SECRET_RESULT, -1, "secret:office:private-key",
					 0, -1);
			if (f->hdr.cmd != MON_CMD_OPEN_TUN)
				continue;
			fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
			mon_send(f, MON_CMD_STORED, -1, "tun:office", 0, fd);
			close(fd);
		}
		while ((n = nx_ipc_recv(f->dp, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			nx_close_fds(f->fds, f->n_fds);
			acknowledge(f, f->dp, 0);
		}
		while ((n = nx_ipc_recv(f->hsd, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			nx_close_fds(f->fds, f->n_fds);
			acknowledge(f, f->hsd, 0);
			if (f->hdr.cmd != HS_CMD_SET_TUNNEL)
				continue;
			assert_int_equal(
				nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &hs_set, tb, f->buf, &e),
				0);
			return;
		}
	}
	fail_msg("the tunnel was not set");
}

static void start_server(struct fake *f, struct nxa *tb)
{
	f->hsd = connect_peer(f, MON_PEER_HSD);
	f->dp = connect_peer(f, MON_PEER_DP);
	mon_send(f, MON_CMD_START, -1, NULL, 0, -1);
	expect_set_tunnel(f, tb);
}

static void restart_hsd(struct fake *f, struct nxa *tb)
{
	close(f->hsd);
	f->hsd = connect_peer(f, MON_PEER_HSD);
	expect_set_tunnel(f, tb);
}

static void restart_control(struct fake *f, struct nxa *tb)
{
	close_control(f);
	assert_int_equal(open_control(f), 0);
	start_server(f, tb);
}

static void expect_blob(const struct nxa *tb, const char *blob)
{
	const struct nxa *a = &tb[HS_A_COVER_PROFILE];

	assert_int_equal(a->present, blob != NULL);
	if (blob) {
		assert_int_equal(a->len, strlen(blob));
		assert_memory_equal(a->data, blob, a->len);
	}
}

/* nexus-hsd has learnt @blob, or (NULL) knows nothing; until the control process knows it too. */
static void report_profile(struct fake *f, const char *blob, const char *difference)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	const struct nx_cover_profile *p = &t->cover_profile;
	uint8_t buf[4096];
	struct nxm m;

	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	if (blob)
		nxm_put(&m, HS_A_COVER_PROFILE, blob, strlen(blob));
	nxm_put_str(&m, HS_A_TEXT, "a line");
	if (difference)
		nxm_put_str(&m, HS_A_DIFFERENCE, difference);
	send_to(f->hsd, &m, NULL);
	for (int i = 0; i < STEPS_MAX; i++) {
		bool differs = p->differences && p->differences[0];

		if (p->blob_len == (blob ? strlen(blob) : 0) && differs == (blob && difference))
			return;
		assert_true(sd_event_run(f->event, 20000) >= 0);
	}
	fail_msg("the profile was not taken");
}

static void test_cover_profile(void **state)
{
	struct fake *f = *state;
	struct nxa tb[HS_A_MAX + 1];
	struct nx_cover_profile *p;
	char path[128], text[1024];
	uint64_t learnt;

	NEED(f);
	start_server(f, tb);
	expect_blob(tb, NULL);
	p = &nx_manager_find_tunnel(f->m, "office")->cover_profile;
	assert_int_equal(p->learnt_s, 0);
	cover_changes = 0;
	report_profile(f, "blob 1", NULL);
	assert_int_equal(cover_changes, 1);
	assert_true(p->learnt_s > 0);
	assert_string_equal(p->lines[0], "a line");

	/* A difference makes the profile no younger. */
	p->learnt_s = learnt = 1700000000;
	report_profile(f, "blob 1", "a difference");
	assert_int_equal(cover_changes, 2);
	assert_int_equal(p->learnt_s, learnt);

	/* Restarts of nexus-hsd, of the control process, of all. */
	restart_hsd(f, tb);
	expect_blob(tb, "blob 1");
	restart_control(f, tb);
	expect_blob(tb, "blob 1");
	p = &nx_manager_find_tunnel(f->m, "office")->cover_profile;
	assert_int_equal(p->learnt_s, learnt);
	assert_string_equal(p->lines[0], "a line");
	assert_string_equal(p->differences[0], "a difference");
	report_profile(f, "another blob", NULL);
	assert_true(p->learnt_s > learnt);

	/* A damaged file is not used, and replaced by the next profile. */
	snprintf(path, sizeof(path), "%s/cover-office", f->state_dir);
	assert_int_equal(truncate(path, 400), 0);
	restart_control(f, tb);
	expect_blob(tb, NULL);
	report_profile(f, "blob 3", NULL);
	restart_control(f, tb);
	expect_blob(tb, "blob 3");

	/* nexus-hsd did not believe it. */
	report_profile(f, NULL, NULL);
	assert_int_equal(access(path, F_OK), -1);
	report_profile(f, "blob 4", NULL);

	/* Another cover has another profile; then the tunnel goes, and with it the file. */
	close_control(f);
	snprintf(text, sizeof(text), server_text, "127.0.0.1:9443");
	assert_int_equal(write_config(f, text), 0);
	assert_int_equal(open_control(f), 0);
	start_server(f, tb);
	expect_blob(tb, NULL);
	report_profile(f, "blob 5", NULL);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(write_config(f, "tunnel = { };\n"), 0);
	assert_int_equal(nx_manager_reload(f->m, text, sizeof(text)), 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* A profile of a client, of nobody, and more lines than can be: nothing happens. */
static void test_bad_profiles(void **state)
{
	struct fake *f = *state;
	struct nxa tb[HS_A_MAX + 1];
	uint8_t buf[4096];
	struct nxm m;

	NEED(f);
	start_server(f, tb);
	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "nobody");
	nxm_put(&m, HS_A_COVER_PROFILE, "b", 1);
	send_to(f->hsd, &m, NULL);
	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put(&m, HS_A_COVER_PROFILE, "b", 1);
	send_to(f->hsd, &m, NULL);
	begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put(&m, HS_A_COVER_PROFILE, "b", 1);
	for (int i = 0; i <= NX_COVER_LINES_MAX; i++)
		nxm_put_str(&m, HS_A_TEXT, "line");
	send_to(f->hsd, &m, NULL);
	report_profile(f, "good", NULL);
	assert_null(nx_manager_find_tunnel(f->m, "office")->cover_profile.lines[1]);
	nx_state_file_remove(f->state_dir, "cover-office");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renewal, setup, teardown),
		cmocka_unit_test(test_renew_times),
		cmocka_unit_test_setup_teardown(test_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_policy_route, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_return, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_late_answer, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_move_refused, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_move_failed, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_sleep, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_return_without_session, setup_roaming,
						teardown),
		cmocka_unit_test_setup_teardown(test_device_mtu, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_device_mtu_ipv6, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_path_limit, setup_roaming, teardown),
		cmocka_unit_test_setup_teardown(test_cover_profile, setup_server, teardown),
		cmocka_unit_test_setup_teardown(test_bad_profiles, setup_server, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
