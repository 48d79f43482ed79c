// SPDX-License-Identifier: GPL-2.0-or-later
/* The others of the control process, played by a test: see t-control.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-control.h"

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
unsigned int t_cover_changes;
void nx_tunnel_bus_properties_changed(struct nx_tunnel *t, char **names)
{
	t_cover_changes += !strcmp(names[0], "CoverLearnt");
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

void t_send_to(int fd, struct nxm *m, const int *pass)
{
	ssize_t len = nxm_end(m);

	assert_true(len > 0);
	assert_int_equal(nx_ipc_send(fd, m->buf, (size_t)len, pass, pass ? 1 : 0), 0);
}

void t_begin(struct nxm *m, uint8_t *buf, size_t cap, uint16_t family, uint8_t cmd, uint32_t seq)
{
	struct nxm_hdr hdr = { .type = family, .cmd = cmd, .seq = seq };

	nxm_begin(m, buf, cap, &hdr);
}

void t_mon_send(struct fake *f, uint8_t cmd, int peer, const char *name, int err, int pass)
{
	uint8_t buf[512];
	struct nxm m;

	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_MON, cmd, 0);
	if (peer >= 0)
		nxm_put_u8(&m, MON_A_PEER, (uint8_t)peer);
	if (name)
		nxm_put_str(&m, MON_A_NAME, name);
	if (cmd == MON_CMD_SECRET_RESULT)
		nxm_put_u32(&m, MON_A_ERRNO, (uint32_t)err);
	t_send_to(f->mon, &m, pass >= 0 ? &pass : NULL);
}

/* A fresh socket to a peer of the control process; returns the fake's end. */
int t_connect_peer(struct fake *f, enum mon_peer peer)
{
	int sv[2];

	assert_int_equal(nx_ipc_pair(sv), 0);
	t_mon_send(f, MON_CMD_PEER, (int)peer, NULL, 0, sv[0]);
	close(sv[0]);
	return sv[1];
}

void t_acknowledge(struct fake *f, int fd, int err)
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

void t_turn(struct fake *f)
{
	assert_true(sd_event_run(f->event, 20000) >= 0);
	if (f->pump)
		f->pump(f);
}

/* Run the loop until @fd has message @cmd; others of monitor and data plane are answered kindly. */
void t_expect(struct fake *f, int fd, uint8_t cmd)
{
	struct nxm_error e;
	ssize_t n;

	for (int i = 0; i < T_STEPS_MAX; i++) {
		t_turn(f);
		while ((n = nx_ipc_recv(fd, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			if (f->hdr.cmd == cmd)
				return;
			nx_close_fds(f->fds, f->n_fds);
			if (fd == f->dp || fd == f->hsd)
				t_acknowledge(f, fd, 0);
		}
	}
	fail_msg("message %u did not come", cmd);
}

/* Let the loop work until the tunnel is in @state. */
void t_expect_state(struct fake *f, enum nx_tunnel_state state)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");

	assert_non_null(t);
	for (int i = 0; i < T_STEPS_MAX && t->state != state; i++)
		t_turn(f);
	assert_string_equal(nx_tunnel_state_str(t->state), nx_tunnel_state_str(state));
}

/* ---- a client up to its attempt ---- */

int t_write_config(struct fake *f, const char *text)
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
int t_open_control(struct fake *f)
{
	return unshare(CLONE_NEWNET) < 0 ? -1 : t_open_control_here(f);
}

int t_open_control_here(struct fake *f)
{
	struct nx_options o = { .config_file = f->config,
				.state_dir = f->state_dir[0] ? f->state_dir : NULL,
				.genl = f->genl };
	int sv[2];

	if (sd_event_new(&f->event) < 0 || nx_ipc_pair(sv) < 0)
		return -1;
	f->mon = sv[0];
	f->hsd = f->dp = -1;
	f->m = nx_control_new(f->event, sv[1], &o);
	return f->m ? 0 : -1;
}

void t_close_control(struct fake *f)
{
	nx_control_free(f->m);
	f->m = NULL;
	sd_event_unref(f->event);
	close(f->mon);
	close(f->hsd);
	close(f->dp);
}

int t_setup_with(void **state, const char *text, bool lasting)
{
	struct fake *f = calloc(1, sizeof(*f));

	*state = f;
	return f ? t_setup_fake(f, text, lasting) : -1;
}

int t_setup_fake(struct fake *f, const char *text, bool lasting)
{
	int fd;

	f->remote = "127.0.0.1:443";
	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) < 0 || unshare(CLONE_NEWNET) < 0)
		return 0;
	snprintf(f->config, sizeof(f->config), "/tmp/nexus-test-XXXXXX");
	fd = mkstemp(f->config);
	if (fd < 0 || close(fd) < 0 || t_write_config(f, text))
		return -1;
	if (lasting) {
		snprintf(f->state_dir, sizeof(f->state_dir), "/tmp/nexus-test-XXXXXX");
		if (!mkdtemp(f->state_dir))
			return -1;
	}
	return t_open_control(f);
}

int t_teardown(void **state)
{
	struct fake *f = *state;

	if (f->m) {
		t_close_control(f);
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
	t_expect(f, f->mon, MON_CMD_OPEN_TUN);
	t_mon_send(f, MON_CMD_STORED, -1, "tun:office", 0, fd);
	close(fd);
}

uint64_t t_attempt_of(struct fake *f)
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
	t_expect(f, f->mon, MON_CMD_OPEN_SECRET);
	t_mon_send(f, MON_CMD_SECRET_RESULT, -1, "secret:office:private-key", 0, -1);
	t_expect(f, f->hsd, HS_CMD_SET_TUNNEL);
	assert_int_equal(f->n_fds, 1);
	nx_close_fds(f->fds, f->n_fds);
	t_acknowledge(f, f->hsd, 0);
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	return t_attempt_of(f);
}

uint64_t t_start(struct fake *f)
{
	f->hsd = t_connect_peer(f, MON_PEER_HSD);
	f->dp = t_connect_peer(f, MON_PEER_DP);
	t_mon_send(f, MON_CMD_START, -1, NULL, 0, -1);
	t_expect(f, f->dp, NQD_CMD_GET_STATS);
	t_acknowledge(f, f->dp, 0);
	answer_tun(f);
	t_expect(f, f->dp, NQD_CMD_CREATE_DEVICE);
	assert_int_equal(f->n_fds, 2);
	nx_close_fds(f->fds, f->n_fds);
	t_acknowledge(f, f->dp, 0);
	return configure_hsd(f);
}

static void put_prefix(struct nxm *m, uint16_t type, const void *addr, size_t len, uint8_t bits)
{
	size_t nest = nxm_nest_begin(m, type);

	nxm_put(m, HS_A_PREFIX_ADDR, addr, len);
	nxm_put_u8(m, HS_A_PREFIX_LEN, bits);
	nxm_nest_end(m, nest);
}

void t_report_session(struct fake *f, uint64_t attempt, bool with_address)
{
	struct nx_endpoint remote, local;
	uint8_t buf[2048], key[16] = { 0xaa };
	struct nxm m;
	size_t nest;

	assert_int_equal(nx_endpoint_parse(f->remote, &remote), 0);
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_SESSION, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put_u32(&m, HS_A_SOCKET, f->socket);
	nest = nxm_nest_begin(&m, HS_A_SESSION);
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, &remote, sizeof(remote.in));
	if (f->local) {
		assert_int_equal(nx_endpoint_parse(f->local, &local), 0);
		nxm_put(&m, NQD_A_SESSION_LOCAL_ADDR, &local, sizeof(local.in));
	}
	nxm_put_u16(&m, NQD_A_SESSION_CIPHER, NQD_CIPHER_AES_128_GCM);
	nxm_put_u32(&m, NQD_A_SESSION_FLAGS, NQD_SESSION_F_ACK_PENDING);
	if (f->user)
		nxm_put_u64(&m, NQD_A_SESSION_USER, f->user);
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
	t_send_to(f->hsd, &m, NULL);
}

void t_expect_session(struct fake *f, uint8_t cmd, struct nxa tb[NQD_A_MAX + 1],
		      struct nxa ses[NQD_A_SESSION_MAX + 1])
{
	struct nxm_error e;

	t_expect(f, f->dp, cmd);
	assert_int_equal(nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &nqd_top_set, tb, f->buf, &e),
			 0);
	assert_int_equal(nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, ses, f->buf, &e), 0);
}

/* ADD_SESSION as it must look; returns the session's number. */
uint64_t t_expect_add_session(struct fake *f)
{
	struct nxa tb[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];

	t_expect_session(f, NQD_CMD_ADD_SESSION, tb, ses);
	assert_int_equal(f->n_fds, 1);
	nx_close_fds(f->fds, f->n_fds);
	assert_true(tb[NQD_A_KEYS].present);
	assert_int_equal(nxa_u32(&ses[NQD_A_SESSION_FLAGS]), NQD_SESSION_F_ACK_PENDING |
								     NQD_SESSION_F_DEFAULT_ROUTE |
								     NQD_SESSION_F_REPLACE);
	assert_string_equal(nxa_str(&ses[NQD_A_SESSION_TUNNEL]), "office");
	assert_int_equal(nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]), 1300 + 43);
	return nxa_u64(&ses[NQD_A_SESSION_ID]);
}

void t_send_event(struct fake *f, uint64_t id, enum nqd_event type, enum nqd_down_reason reason)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_DCO, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, (uint8_t)type);
	nxm_put_u8(&m, NQD_A_EVENT_REASON, reason);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	t_send_to(f->dp, &m, NULL);
}

void t_send_down(struct fake *f, uint64_t id, enum nqd_down_reason reason)
{
	t_send_event(f, id, NQD_EVENT_SESSION_DOWN, reason);
}
