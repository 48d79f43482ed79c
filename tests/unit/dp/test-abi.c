// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The data-plane ABI, request by request: what is taken, what is refused and how that is named,
 * and what never comes out again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/netlink.h>

#include "t-abi.h"

static void take_caps(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], c[NQD_A_CAPS_MAX + 1];
	struct t_found *f = arg;
	struct nxm_error e;

	assert_int_equal(nxa_parse(hdr->attrs, hdr->attrs_len, &nqd_top_set, top, msg, &e), 0);
	assert_int_equal(nxa_parse_nest(&top[NQD_A_CAPS], &nqd_caps_set, c, msg, &e), 0);
	assert_int_equal(nxa_u32(&c[NQD_A_CAPS_ABI_VERSION]), NQD_GENL_VERSION);
	assert_true(nxa_u32(&c[NQD_A_CAPS_MAX_SESSIONS]) > 0);
	snprintf(f->text, sizeof(f->text), "%s", nxa_str(&c[NQD_A_CAPS_IMPLEMENTATION]));
	f->n++;
}

static void caps(void **state)
{
	struct t_found f = { 0 };
	struct nxm m;

	T_NEED_ROOT();
	abi_begin(&t_abi, &m, NQD_CMD_GET_CAPS, 0);
	assert_int_equal(abi_call(&t_abi, &m, NULL, take_caps, &f), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.text, t_abi.ops->name);
}

static void session_life(void **state)
{
	struct abi_session s = t_session(5);
	struct nxm_error e;
	struct t_found f;
	int held;

	T_NEED_ROOT();
	held = t_held();
	s.key_exchange = 0x11ec;
	s.flags = NQD_SESSION_F_PRESHARED_KEY;
	t_add_route(&s, "10.7.0.5", 32);
	t_add_route(&s, "fd07::5", 128);
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_UP], 1);
	assert_int_equal(t_held(), held + 1);
	f = t_dump(NQD_CMD_GET_STATS);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.id, 5);
	assert_int_equal(f.state, NQD_SESSION_ACTIVE);
	assert_int_equal(f.cipher, NQD_CIPHER_AES_128_GCM);
	/* What only its owner wants to know again. */
	assert_int_equal(f.key_exchange, 0x11ec);
	assert_int_equal(f.flags, NQD_SESSION_F_PRESHARED_KEY);
	assert_int_equal(abi_stat(&t_abi, 5, NQD_A_STATS_L3_TX_PACKETS), 0);
	t_expect(abi_add_session(&t_abi, &s, &e), -EEXIST, &e, "NQD_A_SESSION_ID");
	assert_int_equal(t_held(), held + 1);
	/* The same prefixes, the same CIDs. */
	s.id = 6;
	t_expect(abi_add_session(&t_abi, &s, &e), -EEXIST, &e, "NQD_A_ROUTE");
	s.n_routes = 0;
	t_expect(abi_add_session(&t_abi, &s, &e), -EEXIST, &e, "NQD_A_SESSION_LOCAL_CIDS");
	s.number = 6;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* Two sessions share one socket: one descriptor. */
	assert_int_equal(t_held(), held + 1);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 2);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 5, 0, &e), 0, &e, NULL);
	assert_int_equal(t_abi.events[NQD_EVENT_SESSION_DOWN], 1);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 5, 0, &e), 0, &e, NULL);
	t_expect(t_simple(NQD_CMD_GET_STATS, 5, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 6, 0, &e), 0, &e, NULL);
	assert_int_equal(t_held(), held);
}

static void generations(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	uint64_t g;

	T_NEED_ROOT();
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	g = t_dump(NQD_CMD_GET_STATS).generation;
	assert_true(g > 0);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 1, g + 1, &e), -ESTALE, &e,
		 "NQD_A_SESSION_GENERATION");
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, g + 1, &e), -ESTALE, &e,
		 "NQD_A_SESSION_GENERATION");
	t_expect(t_simple(NQD_CMD_KEY_UPDATE, 1, g - 1, &e), -ESTALE, &e,
		 "NQD_A_SESSION_GENERATION");
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 1, g, &e), 0, &e, NULL);
	assert_true(t_dump(NQD_CMD_GET_STATS).generation > g);
	t_expect(t_simple(NQD_CMD_UPDATE_SESSION, 1, g, &e), -ESTALE, &e,
		 "NQD_A_SESSION_GENERATION");
	t_expect(t_simple(NQD_CMD_FLUSH_STATS, 1, 0, &e), 0, &e, NULL);
	t_expect(t_simple(NQD_CMD_FLUSH_STATS, 99, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
}

/* ADD_SESSION with one attribute left out, or replaced by @len zero bytes. */
static int broken_add(uint16_t attr, int len, struct nxm_error *e)
{
	static uint8_t copy[NQD_MSG_MAX_LEN], zero[65536];
	struct abi_session s = t_session(1);
	struct nxa top[NQD_A_MAX + 1], a;
	const uint8_t *pos;
	struct nxm m, original;
	struct nxm_hdr hdr;
	size_t nest;
	ssize_t n;
	int i;

	abi_begin(&t_abi, &original, NQD_CMD_ADD_SESSION, 0);
	abi_put_session(&t_abi, &original, &s);
	n = nxm_end(&original);
	memcpy(copy, t_abi.out, n);
	assert_int_equal(nxm_parse_hdr(copy, n, &hdr, e), 0);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &nqd_top_set, top, copy, e), 0);

	nest = t_begin_device(&m, NQD_CMD_ADD_SESSION);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	for (i = 1; i <= NQD_A_SESSION_MAX; i++) {
		pos = NULL;
		if (i == attr ||
		    !nxa_next(top[NQD_A_SESSION].data, top[NQD_A_SESSION].len, i, &pos, &a))
			continue;
		nxm_put(&m, i | (nqd_session_set.policy[i].type == NXA_NEST ? NLA_F_NESTED : 0),
			a.data, a.len);
	}
	if (len >= 0)
		nxm_put(&m, attr, zero, len);
	nxm_nest_end(&m, nest);
	abi_put_keys(&m, &s);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

static void malformed_sessions(void **state)
{
	static const uint16_t required[] = {
		NQD_A_SESSION_ID,	   NQD_A_SESSION_ROLE,	     NQD_A_SESSION_SOCKET_FD,
		NQD_A_SESSION_REMOTE_ADDR, NQD_A_SESSION_LOCAL_CIDS, NQD_A_SESSION_REMOTE_CIDS,
		NQD_A_SESSION_CIPHER,	   NQD_A_SESSION_NEXT_PN,
	};
	struct nxm_error e;
	unsigned int i;
	int held;

	T_NEED_ROOT();
	held = t_held();
	for (i = 0; i < sizeof(required) / sizeof(*required); i++)
		t_expect(broken_add(required[i], -1, &e), -EINVAL, &e,
			 nqd_session_set.policy[required[i]].name);
	/* A length no attribute has: each is refused by name. */
	for (i = 1; i <= NQD_A_SESSION_MAX; i++) {
		int err = broken_add(i, 3001, &e);

		if (i == NQD_A_SESSION_RX_DATAGRAM) {
			t_expect(err, 0, &e, NULL);
			t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
			continue;
		}
		assert_true(err < 0);
		t_expect(err, err, &e, nqd_session_set.policy[i].name);
	}
	t_expect(broken_add(NQD_A_SESSION_MAX + 1, 4, &e), -EOPNOTSUPP, &e, "unknown attribute");
	t_expect(broken_add(NQD_A_SESSION_ID, 8, &e), -EINVAL, &e, "NQD_A_SESSION_ID");
	t_expect(broken_add(NQD_A_SESSION_REMOTE_ADDR, 16, &e), -EINVAL, &e, "REMOTE_ADDR");
	t_expect(broken_add(NQD_A_SESSION_RX_RANGES, 15, &e), -EINVAL, &e, "RX_RANGES");
	t_expect(broken_add(NQD_A_SESSION_RX_RANGES, 32, &e), -EINVAL, &e, "RX_RANGES");
	/* An optional attribute from the future is ignored. */
	t_expect(broken_add(NQD_ATTR_OPTIONAL_BASE + 7, 9, &e), 0, &e, NULL);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(t_held(), held);
}

static void malformed_keys(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	T_NEED_ROOT();
	s.no_keys = true;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).state, NQD_SESSION_NO_KEYS);
	t_expect(t_simple(NQD_CMD_KEY_UPDATE, 1, 0, &e), -ENOKEY, &e, NULL);
	t_expect(t_simple(NQD_CMD_SET_KEYS, 1, 0, &e), -EINVAL, &e, "NQD_A_KEYS");
	/* Each key left out, then each of a wrong length. */
	for (i = 0; i < 12; i++) {
		uint8_t v[32] = { 1 };
		int k;

		nest = t_begin_session(&m, NQD_CMD_SET_KEYS, 1);
		nxm_nest_end(&m, nest);
		nest = nxm_nest_begin(&m, NQD_A_KEYS);
		for (k = 0; k < 6; k++)
			if (k != i)
				nxm_put(&m, NQD_A_KEYS_TX_KEY + k, v,
					(k % 3 == 1 ? 12 : 16) + (k == i - 6));
		nxm_nest_end(&m, nest);
		assert_true(abi_call(&t_abi, &m, &e, NULL, NULL) < 0);
		t_expect(e.err, e.err, &e, nqd_keys_set.policy[NQD_A_KEYS_TX_KEY + i % 6].name);
	}
	nest = t_begin_session(&m, NQD_CMD_SET_KEYS, 1);
	nxm_nest_end(&m, nest);
	abi_put_keys(&m, &s);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).state, NQD_SESSION_ACTIVE);
	nest = t_begin_session(&m, NQD_CMD_SET_KEYS, 1);
	nxm_nest_end(&m, nest);
	abi_put_keys(&m, &s);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EALREADY, &e, "NQD_A_KEYS");
}

static void malformed_messages(void **state)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_DCO, .flags = NLM_F_ACK, .seq = 1 };
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	T_NEED_ROOT();
	for (i = 0; i < 256; i += i < 20 ? 1 : 47) {
		if (i && i < NQD_CMD_EVENT)
			continue;
		abi_begin(&t_abi, &m, i, 0);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EOPNOTSUPP, &e,
			 t_abi.ops->module ? NULL : "unknown command");
	}
	/* Nothing in it where something is needed; something where nothing is. */
	for (i = NQD_CMD_CREATE_DEVICE; i < NQD_CMD_EVENT; i++) {
		if (i == NQD_CMD_FLUSH_STATS || i == NQD_CMD_GET_EVENTS)
			continue;
		abi_begin(&t_abi, &m, i, 0);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EINVAL, &e, "missing NQD_A_");
	}
	for (i = NQD_CMD_GET_CAPS; i < NQD_CMD_EVENT; i++) {
		abi_begin(&t_abi, &m, i, 0);
		nxm_nest_end(&m, nxm_nest_begin(&m, NQD_A_STATS));
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EINVAL, &e, NULL);
	}
	/* In a dump that takes none, and one that nobody knows. */
	abi_begin(&t_abi, &m, NQD_CMD_GET_EVENTS, NLM_F_DUMP);
	nxm_nest_end(&m, nxm_nest_begin(&m, NQD_A_STATS));
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EINVAL, &e, NULL);
	abi_begin(&t_abi, &m, NQD_CMD_GET_STATS, NLM_F_DUMP);
	nxm_put_u32(&m, NQD_A_MAX + 1, 0);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EOPNOTSUPP, &e, NULL);
	abi_begin(&t_abi, &m, NQD_CMD_SET_DEBUG, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEBUG);
	nxm_put_u8(&m, NQD_A_DEBUG_LEVEL, 4);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -ERANGE, &e, "NQD_A_DEBUG_LEVEL");
	/* Not even a header; another family; a lie about the length. */
	assert_int_equal(t_abi.ops->send(&t_abi, "xx", 2), 0);
	hdr.type = NXM_FAMILY_HS;
	nxm_begin(&m, t_abi.out, sizeof(t_abi.out), &hdr);
	assert_int_equal(t_abi.ops->send(&t_abi, t_abi.out, nxm_end(&m)), 0);
	nxm_begin(&m, t_abi.out, sizeof(t_abi.out), &hdr);
	nxm_end(&m);
	assert_int_equal(t_abi.ops->send(&t_abi, t_abi.out, 400), 0);
	abi_begin(&t_abi, &m, NQD_CMD_GET_CAPS, 0);
	assert_int_equal(abi_call(&t_abi, &m, &e, NULL, NULL), 0);
}

static void descriptors(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	int held, p[2];
	struct nxm m;
	size_t nest;

	T_NEED_ROOT();
	held = t_held();
	assert_int_equal(pipe(p), 0);
	s.socket = p[0];
	t_expect(abi_add_session(&t_abi, &s, &e), -ENOTSOCK, &e, "NQD_A_SESSION_SOCKET_FD");
	/* A good socket in a message that fails later, and one socket of several bad. */
	s = t_session(1);
	s.congestion = "reno-2000";
	t_expect(abi_add_session(&t_abi, &s, &e), -EOPNOTSUPP, &e, "NQD_A_SESSION_CONGESTION");
	s = t_session(1);
	s.remote.ss_family = AF_INET6;
	t_expect(abi_add_session(&t_abi, &s, &e), -EINVAL, &e, "NQD_A_SESSION_REMOTE_ADDR");
	nest = t_begin_device(&m, NQD_CMD_CREATE_DEVICE);
	abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, t_udp);
	abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, p[0]);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -ENOTSOCK, &e, "NQD_A_DEVICE_SOCKET_FD");
	assert_int_equal(t_held(), held);
	close(p[0]);
	close(p[1]);
}

/* Descriptors that travel with a message: TUN devices, and those nobody asked for. */
static void sent_descriptors(void **state)
{
	struct nxm_error e;
	int held, p[2], i;
	struct nxm m;
	size_t nest;

	T_ONLY_DP();
	held = t_held();
	assert_int_equal(pipe(p), 0);
	t_expect(abi_create_device(&t_abi, p[0], "other", &e), -ENOTTY, &e, "NQD_A_DEVICE_TUN_FD");
	t_expect(abi_create_device(&t_abi, t_tun, "other", &e), -EINVAL, &e, "NQD_A_DEVICE_IFNAME");
	/* Descriptors nobody asked for, and an index without one. */
	abi_begin(&t_abi, &m, NQD_CMD_GET_CAPS, 0);
	for (i = 0; i < NQD_FDS_MAX; i++)
		t_abi.ops->attach_fd(&t_abi, p[1]);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	abi_begin(&t_abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, "other");
	nxm_put_u32(&m, NQD_A_DEVICE_TUN_FD, 3);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EBADF, &e, "NQD_A_DEVICE_TUN_FD");
	assert_int_equal(t_held(), held);
	close(p[0]);
	close(p[1]);
}

static void routes(void **state)
{
	struct abi_session a = t_session(1), b = t_session(2);
	uint8_t net[16] = { 10, 7 };
	struct nxm_error e;

	T_NEED_ROOT();
	t_expect(abi_add_session(&t_abi, &a, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &b, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 16, &e), -EEXIST, &e, "NQD_A_ROUTE");
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 24, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 33, &e), -EINVAL, &e, "PREFIX_LEN");
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 5, 8, &e), -EINVAL, &e, "ROUTE_ADDR");
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 16, 129, &e), -ERANGE, &e,
		 "PREFIX_LEN");
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 9, net, 4, 8, &e), -ENOENT, &e, "SESSION_ID");
	/* Somebody else's stays; one's own goes, twice if need be. */
	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 2, net, 4, 16, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 16, &e), -EEXIST, &e, "NQD_A_ROUTE");
	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 9, net, 4, 16, &e), 0, &e, NULL);
	t_expect(t_route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 16, &e), 0, &e, NULL);
}

static int set_rate(uint64_t bytes_per_s, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(&t_abi, &m, NQD_CMD_SET_DEBUG, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEBUG);
	nxm_put_u64(&m, NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S, bytes_per_s);
	nxm_nest_end(&m, nest);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

/* Every controller by its name; the one for tests only after a rate was set, with that rate. */
static void congestion(void **state)
{
	static const char *const names[] = { "cubic", "newreno", "bbr" };
	struct abi_session s;
	struct nxm_error e;
	unsigned int i;

	T_NEED_ROOT();
	for (i = 0; i < 3; i++) {
		s = t_session(i + 1);
		s.congestion = names[i];
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
		assert_string_equal(t_dump_one(i + 1).congestion, names[i]);
	}
	s = t_session(5);
	s.congestion = "fixed_rate_test";
	t_expect(abi_add_session(&t_abi, &s, &e), -EPERM, &e, "NQD_A_SESSION_CONGESTION");
	t_expect(set_rate(100000000001, &e), -ERANGE, &e, "NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S");
	t_expect(abi_add_session(&t_abi, &s, &e), -EPERM, &e, "NQD_A_SESSION_CONGESTION");
	t_expect(set_rate(1250000, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	t_expect(set_rate(2500000, &e), 0, &e, NULL);
	s = t_session(6);
	s.congestion = "fixed_rate_test";
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_string_equal(t_dump_one(6).congestion, "fixed_rate_test");
	assert_int_equal(abi_stat(&t_abi, 5, NQD_A_STATS_PACING_RATE_BYTES_PER_S), 1250000);
	assert_int_equal(abi_stat(&t_abi, 6, NQD_A_STATS_PACING_RATE_BYTES_PER_S), 2500000);
	/* The others are not touched by it. */
	assert_string_equal(t_dump_one(1).congestion, "cubic");
	/* And taken back. */
	t_expect(set_rate(0, &e), 0, &e, NULL);
	s = t_session(7);
	s.congestion = "fixed_rate_test";
	t_expect(abi_add_session(&t_abi, &s, &e), -EPERM, &e, "NQD_A_SESSION_CONGESTION");
}

/* Server IDs of any length from 4 up, several at once; what two short ones may have in common. */
static void id_lengths(void **state)
{
	static const uint8_t lengths[] = { 4, 5, 8, 20 };
	struct abi_session s;
	struct nxm_error e;
	unsigned int i;

	T_NEED_ROOT();
	for (i = 0; i < sizeof(lengths); i++) {
		s = t_session(i + 1);
		s.server_cid_len = lengths[i];
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	}
	s = t_session(10);
	s.server_cid_len = 3;
	t_expect(abi_add_session(&t_abi, &s, &e), -EINVAL, &e, "NQD_A_CID_ID");
	/* The IDs of session 1 once more, of session 4 their beginning, from another address. */
	s.server_cid_len = 4;
	((struct sockaddr_in *)&s.remote)->sin_port = htons(10);
	s.number = 1;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	s.id = 11;
	s.number = 4;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* And longer ones that begin with those of session 1. */
	s.id = 12;
	s.number = 1;
	s.server_cid_len = 20;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* Long ones are not met by chance. */
	s.id = 13;
	s.number = 3;
	s.server_cid_len = 8;
	t_expect(abi_add_session(&t_abi, &s, &e), -EEXIST, &e, "NQD_A_SESSION_LOCAL_CIDS");
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 7);
}

static void key_updates(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	int err;

	T_NEED_ROOT();
	s.secrets = true;
	s.cipher = NQD_CIPHER_AES_256_GCM;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* Allowed or too early, but never for want of keys. */
	err = t_simple(NQD_CMD_KEY_UPDATE, 1, 0, &e);
	assert_true(!err || err == -EAGAIN);
	s = t_session(2);
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	err = t_simple(NQD_CMD_KEY_UPDATE, 2, 0, &e);
	assert_true(err == -ENOKEY || err == -EAGAIN);
}

static void updates(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	T_NEED_ROOT();
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	nest = t_begin_session(&m, NQD_CMD_UPDATE_SESSION, 1);
	nxm_put_u32(&m, NQD_A_SESSION_KEEPALIVE_MS, 20000);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, 1300);
	nxm_put_u32(&m, NQD_A_SESSION_PEER_GROUP, 4);
	nxm_put_u32(&m, NQD_A_SESSION_ROUTE_EPOCH, 9);
	nxm_put(&m, NQD_A_SESSION_TX_FRAMES, "\x01", 1);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	for (i = 0; i < 2; i++) {
		nest = t_begin_session(&m, NQD_CMD_UPDATE_SESSION, 1);
		if (i)
			nxm_put_u16(&m, NQD_A_SESSION_CIPHER, NQD_CIPHER_AES_256_GCM);
		else
			nxm_put_u32(&m, NQD_A_SESSION_ROUTE_EPOCH, 8);
		nxm_nest_end(&m, nest);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), i ? -EINVAL : -ESTALE, &e,
			 i ? "NQD_A_SESSION_CIPHER" : "NQD_A_SESSION_ROUTE_EPOCH");
	}
	assert_int_equal(t_abi.events[NQD_EVENT_ROUTE_EPOCH_MISMATCH], 1);
}

/* No answer and no event contains a byte run of a key, IV, HP key or secret. */
static void secrets_stay_inside(void **state)
{
	static const uint8_t fills[] = { 0x50, 0x51, 0x52, 0xc0, 0xc1, 0xc2 };
	static const uint8_t queries[] = { NQD_CMD_GET_STATS, NQD_CMD_GET_EVENTS };
	unsigned int i, k, round, messages = 0;
	struct nxm_error e;
	struct nxm_hdr hdr;
	struct nxm m;

	T_NEED_ROOT();
	for (round = 0; round < 2; round++) {
		struct abi_session s = t_session(round + 1);

		s.secrets = round;
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	}
	for (k = 0; k < 2; k++) {
		abi_begin(&t_abi, &m, queries[k], NLM_F_DUMP);
		assert_int_equal(t_abi.ops->send(&t_abi, t_abi.out, nxm_end(&m)), 0);
		do {
			ssize_t n =
				t_abi.ops->recv(&t_abi, t_abi.in, sizeof(t_abi.in), ABI_TIMEOUT_MS);

			assert_true(n > 0);
			assert_int_equal(nxm_parse_hdr(t_abi.in, n, &hdr, &e), 0);
			messages++;
			for (i = 0; i < sizeof(fills); i++) {
				uint8_t run[12];

				memset(run, fills[i], sizeof(run));
				assert_null(memmem(t_abi.in, n, run, sizeof(run)));
			}
		} while (hdr.type != NLMSG_DONE);
	}
	assert_true(messages >= 6);
}

static void sandboxed(void **state)
{
	char path[64], line[256];
	bool seccomp = false, privs = false;
	FILE *f;

	T_ONLY_DP();
	/* Answered: so it has started. */
	caps(state);
	snprintf(path, sizeof(path), "/proc/%d/status", t_abi.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		seccomp |= !strcmp(line, "Seccomp:\t2\n");
		privs |= !strcmp(line, "NoNewPrivs:\t1\n");
	}
	fclose(f);
	assert_true(seccomp);
	assert_true(privs);
}

int main(int argc, char **argv)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, t_setup, t_teardown)
	const struct CMUnitTest tests[] = {
		CASE(caps),	      CASE(session_life),
		CASE(generations),    CASE(malformed_sessions),
		CASE(malformed_keys), CASE(malformed_messages),
		CASE(descriptors),    CASE(sent_descriptors),
		CASE(routes),	      CASE(id_lengths),
		CASE(congestion),     CASE(key_updates),
		CASE(updates),	      CASE(secrets_stay_inside),
		CASE(sandboxed),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: %s NEXUS_DP|module\n", argv[0]);
		return 1;
	}
	t_program = argv[1];
	return cmocka_run_group_tests(tests, t_group_setup, NULL);
}
