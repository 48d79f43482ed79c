// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The data-plane ABI, case by case, against a running data plane behind abi-transport.h. Needs root
 * for TUN devices: they are made in a network namespace of this process.
 *
 * Usage: test-abi NEXUS_DP
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <net/if.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/netlink.h>

#include "abi-client.h"
#include "hs_proto.h"
#include "ipc.h"

#define MANY 10000
/* 20 of them are the connection with its keys and its ring, 6 its queue. */
#define MANY_KIB 30

static const char *program;
static struct abi abi;
static int tun, udp;
static char ifname[IFNAMSIZ];
static struct sockaddr_storage bound;

static void bring_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static int group_setup(void **state)
{
	if (geteuid() || unshare(CLONE_NEWNET))
		return 0;
	strcpy(ifname, "lo");
	bring_up(ifname);
	strcpy(ifname, "nxt%d");
	tun = abi_open_tun(ifname);
	if (tun < 0)
		return 0;
	bring_up(ifname);
	udp = abi_open_udp("127.0.0.1", 0, &bound);
	return udp < 0;
}

static int setup(void **state)
{
	struct nxm_error e;

	if (geteuid() || tun <= 0)
		return 0;
	assert_int_equal(abi_dp.open(&abi, program), 0);
	assert_int_equal(abi_create_device(&abi, tun, ifname, &e), 0);
	return 0;
}

static int teardown(void **state)
{
	if (geteuid() || tun <= 0)
		return 0;
	abi_dp.close(&abi);
	return 0;
}

#define NEED_ROOT()                        \
	do {                               \
		if (geteuid() || tun <= 0) \
			skip();            \
	} while (0)

static struct abi_session session(uint64_t id)
{
	struct abi_session s = { .id = id,
				 .server = true,
				 .number = id,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = 1400,
				 .ifname = ifname,
				 .socket = udp,
				 .remote = bound };

	/* Somebody who does not answer. */
	((struct sockaddr_in *)&s.remote)->sin_port = htons(9);
	return s;
}

static void add_route(struct abi_session *s, const char *addr, uint8_t len)
{
	int family = strchr(addr, ':') ? AF_INET6 : AF_INET;

	s->routes[s->n_routes].family = family;
	s->routes[s->n_routes].len = len;
	assert_int_equal(inet_pton(family, addr, s->routes[s->n_routes++].addr), 1);
}

static int simple(uint8_t cmd, uint64_t id, uint64_t generation, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, cmd, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	if (generation)
		nxm_put_u64(&m, NQD_A_SESSION_GENERATION, generation);
	nxm_nest_end(&m, nest);
	return abi_call(&abi, &m, e, NULL, NULL);
}

static int data_plane_fds(void)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", abi.pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void expect(int err, int want, const struct nxm_error *e, const char *name)
{
	if (err != want)
		fail_msg("%d instead of %d: %s", err, want, e->text);
	if (name && !strstr(e->text, name))
		fail_msg("\"%s\" does not name %s", e->text, name);
}

/* ---- queries ---- */

struct found {
	unsigned int n;
	uint64_t id, generation;
	uint8_t state, type, reason;
	uint16_t cipher, key_exchange;
	uint32_t flags;
	char congestion[16];
	char text[64];
};

static void take_caps(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], c[NQD_A_CAPS_MAX + 1];
	struct found *f = arg;
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
	struct found f = { 0 };
	struct nxm m;

	NEED_ROOT();
	abi_begin(&abi, &m, NQD_CMD_GET_CAPS, 0);
	assert_int_equal(abi_call(&abi, &m, NULL, take_caps, &f), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.text, abi.ops->name);
}

static void take_session(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], s[NQD_A_SESSION_MAX + 1], ev[NQD_A_EVENT_MAX + 1];
	struct found *f = arg;
	struct nxm_error e;

	assert_int_equal(nxa_parse(hdr->attrs, hdr->attrs_len, &nqd_top_set, top, msg, &e), 0);
	assert_int_equal(nxa_parse_nest(&top[NQD_A_SESSION], &nqd_session_set, s, msg, &e), 0);
	assert_false(top[NQD_A_KEYS].present);
	assert_false(s[NQD_A_SESSION_LOCAL_CIDS].present || s[NQD_A_SESSION_REMOTE_CIDS].present);
	f->n++;
	f->id = nxa_u64(&s[NQD_A_SESSION_ID]);
	f->generation = nxa_u64(&s[NQD_A_SESSION_GENERATION]);
	if (s[NQD_A_SESSION_STATE].present)
		f->state = nxa_u8(&s[NQD_A_SESSION_STATE]);
	if (s[NQD_A_SESSION_CIPHER].present)
		f->cipher = nxa_u16(&s[NQD_A_SESSION_CIPHER]);
	if (s[NQD_A_SESSION_KEY_EXCHANGE].present)
		f->key_exchange = nxa_u16(&s[NQD_A_SESSION_KEY_EXCHANGE]);
	if (s[NQD_A_SESSION_FLAGS].present)
		f->flags = nxa_u32(&s[NQD_A_SESSION_FLAGS]);
	if (s[NQD_A_SESSION_CONGESTION].present)
		snprintf(f->congestion, sizeof(f->congestion), "%s",
			 nxa_str(&s[NQD_A_SESSION_CONGESTION]));
	if (!top[NQD_A_EVENT].present)
		return;
	assert_int_equal(nxa_parse_nest(&top[NQD_A_EVENT], &nqd_event_set, ev, msg, &e), 0);
	f->type = nxa_u8(&ev[NQD_A_EVENT_TYPE]);
	if (ev[NQD_A_EVENT_REASON].present)
		f->reason = nxa_u8(&ev[NQD_A_EVENT_REASON]);
}

static struct found dump(uint8_t cmd)
{
	struct found f = { 0 };
	struct nxm m;

	abi_begin(&abi, &m, cmd, NLM_F_DUMP);
	assert_int_equal(abi_call(&abi, &m, NULL, take_session, &f), 0);
	return f;
}

static struct found dump_one(uint64_t id)
{
	struct found f = { 0 };
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, NQD_CMD_GET_STATS, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	assert_int_equal(abi_call(&abi, &m, NULL, take_session, &f), 0);
	assert_int_equal(f.id, id);
	return f;
}

/* ---- cases ---- */

static void session_life(void **state)
{
	struct abi_session s = session(5);
	struct nxm_error e;
	struct found f;
	int fds;

	NEED_ROOT();
	fds = data_plane_fds();
	s.key_exchange = 0x11ec;
	s.flags = NQD_SESSION_F_PRESHARED_KEY;
	add_route(&s, "10.7.0.5", 32);
	add_route(&s, "fd07::5", 128);
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_UP], 1);
	assert_int_equal(data_plane_fds(), fds + 1);
	f = dump(NQD_CMD_GET_STATS);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.id, 5);
	assert_int_equal(f.state, NQD_SESSION_ACTIVE);
	assert_int_equal(f.cipher, NQD_CIPHER_AES_128_GCM);
	/* What only its owner wants to know again. */
	assert_int_equal(f.key_exchange, 0x11ec);
	assert_int_equal(f.flags, NQD_SESSION_F_PRESHARED_KEY);
	assert_int_equal(abi_stat(&abi, 5, NQD_A_STATS_L3_TX_PACKETS), 0);
	expect(abi_add_session(&abi, &s, &e), -EEXIST, &e, "NQD_A_SESSION_ID");
	assert_int_equal(data_plane_fds(), fds + 1);
	/* The same prefixes, the same CIDs. */
	s.id = 6;
	expect(abi_add_session(&abi, &s, &e), -EEXIST, &e, "NQD_A_ROUTE");
	s.n_routes = 0;
	expect(abi_add_session(&abi, &s, &e), -EEXIST, &e, "NQD_A_SESSION_LOCAL_CIDS");
	s.number = 6;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	/* Two sessions share one socket: one descriptor. */
	assert_int_equal(data_plane_fds(), fds + 1);
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 2);
	expect(simple(NQD_CMD_DELETE_SESSION, 5, 0, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 1);
	expect(simple(NQD_CMD_DELETE_SESSION, 5, 0, &e), 0, &e, NULL);
	expect(simple(NQD_CMD_GET_STATS, 5, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
	expect(simple(NQD_CMD_DELETE_SESSION, 6, 0, &e), 0, &e, NULL);
	assert_int_equal(data_plane_fds(), fds);
}

static void generations(void **state)
{
	struct abi_session s = session(1);
	struct nxm_error e;
	uint64_t g;

	NEED_ROOT();
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	g = dump(NQD_CMD_GET_STATS).generation;
	assert_true(g > 0);
	expect(simple(NQD_CMD_UPDATE_SESSION, 1, g + 1, &e), -ESTALE, &e,
	       "NQD_A_SESSION_GENERATION");
	expect(simple(NQD_CMD_DELETE_SESSION, 1, g + 1, &e), -ESTALE, &e,
	       "NQD_A_SESSION_GENERATION");
	expect(simple(NQD_CMD_KEY_UPDATE, 1, g - 1, &e), -ESTALE, &e, "NQD_A_SESSION_GENERATION");
	expect(simple(NQD_CMD_UPDATE_SESSION, 1, g, &e), 0, &e, NULL);
	assert_true(dump(NQD_CMD_GET_STATS).generation > g);
	expect(simple(NQD_CMD_UPDATE_SESSION, 1, g, &e), -ESTALE, &e, "NQD_A_SESSION_GENERATION");
	expect(simple(NQD_CMD_FLUSH_STATS, 1, 0, &e), 0, &e, NULL);
	expect(simple(NQD_CMD_FLUSH_STATS, 99, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
}

/* ADD_SESSION with one attribute left out, or replaced by @len zero bytes. */
static int broken_add(uint16_t attr, int len, struct nxm_error *e)
{
	static uint8_t copy[NQD_MSG_MAX_LEN], zero[65536];
	struct abi_session s = session(1);
	struct nxa top[NQD_A_MAX + 1], a;
	const uint8_t *pos;
	struct nxm m, original;
	struct nxm_hdr hdr;
	size_t nest;
	ssize_t n;
	int i;

	abi_begin(&abi, &original, NQD_CMD_ADD_SESSION, 0);
	abi_put_session(&abi, &original, &s);
	n = nxm_end(&original);
	memcpy(copy, abi.out, n);
	assert_int_equal(nxm_parse_hdr(copy, n, &hdr, e), 0);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &nqd_top_set, top, copy, e), 0);

	abi_begin(&abi, &m, NQD_CMD_ADD_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
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
	return abi_call(&abi, &m, e, NULL, NULL);
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
	int fds;

	NEED_ROOT();
	fds = data_plane_fds();
	for (i = 0; i < sizeof(required) / sizeof(*required); i++)
		expect(broken_add(required[i], -1, &e), -EINVAL, &e,
		       nqd_session_set.policy[required[i]].name);
	/* A length no attribute has: each is refused by name. */
	for (i = 1; i <= NQD_A_SESSION_MAX; i++) {
		int err = broken_add(i, 3001, &e);

		if (i == NQD_A_SESSION_RX_DATAGRAM) {
			expect(err, 0, &e, NULL);
			expect(simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
			continue;
		}
		assert_true(err < 0);
		expect(err, err, &e, nqd_session_set.policy[i].name);
	}
	expect(broken_add(NQD_A_SESSION_MAX + 1, 4, &e), -EOPNOTSUPP, &e, "unknown attribute");
	expect(broken_add(NQD_A_SESSION_ID, 8, &e), -EINVAL, &e, "NQD_A_SESSION_ID");
	expect(broken_add(NQD_A_SESSION_REMOTE_ADDR, 16, &e), -EINVAL, &e, "REMOTE_ADDR");
	expect(broken_add(NQD_A_SESSION_RX_RANGES, 15, &e), -EINVAL, &e, "RX_RANGES");
	expect(broken_add(NQD_A_SESSION_RX_RANGES, 32, &e), -EINVAL, &e, "RX_RANGES");
	/* An optional attribute from the future is ignored. */
	expect(broken_add(NQD_ATTR_OPTIONAL_BASE + 7, 9, &e), 0, &e, NULL);
	expect(simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(data_plane_fds(), fds);
}

static void malformed_keys(void **state)
{
	struct abi_session s = session(1);
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	NEED_ROOT();
	s.no_keys = true;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	assert_int_equal(dump(NQD_CMD_GET_STATS).state, NQD_SESSION_NO_KEYS);
	expect(simple(NQD_CMD_KEY_UPDATE, 1, 0, &e), -ENOKEY, &e, NULL);
	expect(simple(NQD_CMD_SET_KEYS, 1, 0, &e), -EINVAL, &e, "NQD_A_KEYS");
	/* Each key left out, then each of a wrong length. */
	for (i = 0; i < 12; i++) {
		uint8_t v[32] = { 1 };
		int k;

		abi_begin(&abi, &m, NQD_CMD_SET_KEYS, 0);
		nest = nxm_nest_begin(&m, NQD_A_SESSION);
		nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
		nxm_nest_end(&m, nest);
		nest = nxm_nest_begin(&m, NQD_A_KEYS);
		for (k = 0; k < 6; k++)
			if (k != i)
				nxm_put(&m, NQD_A_KEYS_TX_KEY + k, v,
					(k % 3 == 1 ? 12 : 16) + (k == i - 6));
		nxm_nest_end(&m, nest);
		assert_true(abi_call(&abi, &m, &e, NULL, NULL) < 0);
		expect(e.err, e.err, &e, nqd_keys_set.policy[NQD_A_KEYS_TX_KEY + i % 6].name);
	}
	abi_begin(&abi, &m, NQD_CMD_SET_KEYS, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	nxm_nest_end(&m, nest);
	abi_put_keys(&m, &s);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	assert_int_equal(dump(NQD_CMD_GET_STATS).state, NQD_SESSION_ACTIVE);
	abi_begin(&abi, &m, NQD_CMD_SET_KEYS, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	nxm_nest_end(&m, nest);
	abi_put_keys(&m, &s);
	expect(abi_call(&abi, &m, &e, NULL, NULL), -EALREADY, &e, "NQD_A_KEYS");
}

static void malformed_messages(void **state)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_DCO, .flags = NLM_F_ACK, .seq = 1 };
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	NEED_ROOT();
	for (i = 0; i < 256; i += i < 20 ? 1 : 47) {
		if (i && i < NQD_CMD_EVENT)
			continue;
		abi_begin(&abi, &m, i, 0);
		expect(abi_call(&abi, &m, &e, NULL, NULL), -EOPNOTSUPP, &e, "unknown command");
	}
	/* Nothing in it where something is needed; something where nothing is. */
	for (i = NQD_CMD_CREATE_DEVICE; i < NQD_CMD_EVENT; i++) {
		if (i == NQD_CMD_FLUSH_STATS || i == NQD_CMD_GET_EVENTS)
			continue;
		abi_begin(&abi, &m, i, 0);
		expect(abi_call(&abi, &m, &e, NULL, NULL), -EINVAL, &e, "missing NQD_A_");
	}
	for (i = NQD_CMD_GET_CAPS; i < NQD_CMD_EVENT; i++) {
		abi_begin(&abi, &m, i, 0);
		nxm_nest_end(&m, nxm_nest_begin(&m, NQD_A_STATS));
		expect(abi_call(&abi, &m, &e, NULL, NULL), -EINVAL, &e, NULL);
	}
	abi_begin(&abi, &m, NQD_CMD_SET_DEBUG, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEBUG);
	nxm_put_u8(&m, NQD_A_DEBUG_LEVEL, 4);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), -ERANGE, &e, "NQD_A_DEBUG_LEVEL");
	/* Not even a header; another family; a lie about the length. */
	assert_int_equal(nx_ipc_send(abi.fd, "xx", 2, NULL, 0), 0);
	hdr.type = NXM_FAMILY_HS;
	nxm_begin(&m, abi.out, sizeof(abi.out), &hdr);
	assert_int_equal(nx_ipc_send(abi.fd, abi.out, nxm_end(&m), NULL, 0), 0);
	nxm_begin(&m, abi.out, sizeof(abi.out), &hdr);
	nxm_end(&m);
	assert_int_equal(nx_ipc_send(abi.fd, abi.out, 400, NULL, 0), 0);
	abi_begin(&abi, &m, NQD_CMD_GET_CAPS, 0);
	assert_int_equal(abi_call(&abi, &m, &e, NULL, NULL), 0);
}

static void descriptors(void **state)
{
	struct abi_session s = session(1);
	struct nxm_error e;
	int fds, p[2], i;
	struct nxm m;
	size_t nest;

	NEED_ROOT();
	fds = data_plane_fds();
	assert_int_equal(pipe(p), 0);
	/* Not a socket; not a TUN. */
	s.socket = p[0];
	expect(abi_add_session(&abi, &s, &e), -ENOTSOCK, &e, "NQD_A_SESSION_SOCKET_FD");
	expect(abi_create_device(&abi, p[0], "other", &e), -ENOTTY, &e, "NQD_A_DEVICE_TUN_FD");
	expect(abi_create_device(&abi, tun, "other", &e), -EINVAL, &e, "NQD_A_DEVICE_IFNAME");
	/* Descriptors nobody asked for, and an index without one. */
	abi_begin(&abi, &m, NQD_CMD_GET_CAPS, 0);
	for (i = 0; i < NQD_FDS_MAX; i++)
		abi.ops->attach_fd(&abi, p[1]);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	abi_begin(&abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, "other");
	nxm_put_u32(&m, NQD_A_DEVICE_TUN_FD, 3);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), -EBADF, &e, "NQD_A_DEVICE_TUN_FD");
	/* A good socket in a message that fails later, and one socket of several bad. */
	s = session(1);
	s.congestion = "reno-2000";
	expect(abi_add_session(&abi, &s, &e), -EOPNOTSUPP, &e, "NQD_A_SESSION_CONGESTION");
	abi_begin(&abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
	abi_put_fd(&abi, &m, NQD_A_DEVICE_SOCKET_FD, udp);
	abi_put_fd(&abi, &m, NQD_A_DEVICE_SOCKET_FD, p[0]);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), -ENOTSOCK, &e, "NQD_A_DEVICE_SOCKET_FD");
	assert_int_equal(data_plane_fds(), fds);
	close(p[0]);
	close(p[1]);
}

static int route_command(uint8_t cmd, uint64_t id, const uint8_t *addr, size_t len, uint8_t bits,
			 struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, cmd, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_ROUTE);
	nxm_put(&m, NQD_A_ROUTE_ADDR, addr, len);
	nxm_put_u8(&m, NQD_A_ROUTE_PREFIX_LEN, bits);
	nxm_nest_end(&m, nest);
	return abi_call(&abi, &m, e, NULL, NULL);
}

static void routes(void **state)
{
	struct abi_session a = session(1), b = session(2);
	uint8_t net[16] = { 10, 7 };
	struct nxm_error e;

	NEED_ROOT();
	expect(abi_add_session(&abi, &a, &e), 0, &e, NULL);
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_ADD_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_ADD_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 16, &e), -EEXIST, &e, "NQD_A_ROUTE");
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 24, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 33, &e), -EINVAL, &e, "PREFIX_LEN");
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 5, 8, &e), -EINVAL, &e, "ROUTE_ADDR");
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 16, 129, &e), -ERANGE, &e, "PREFIX_LEN");
	expect(route_command(NQD_CMD_ADD_ROUTE, 9, net, 4, 8, &e), -ENOENT, &e, "SESSION_ID");
	/* Somebody else's stays; one's own goes, twice if need be. */
	expect(route_command(NQD_CMD_DELETE_ROUTE, 2, net, 4, 16, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 16, &e), -EEXIST, &e, "NQD_A_ROUTE");
	expect(route_command(NQD_CMD_DELETE_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_DELETE_ROUTE, 1, net, 4, 16, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_DELETE_ROUTE, 9, net, 4, 16, &e), 0, &e, NULL);
	expect(route_command(NQD_CMD_ADD_ROUTE, 2, net, 4, 16, &e), 0, &e, NULL);
}

static int delete_user(uint64_t user, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_USER, user);
	nxm_nest_end(&m, nest);
	return abi_call(&abi, &m, e, NULL, NULL);
}

/*
 * Who may take whose place. The peers here never answer, so that it does not come to that: the older
 * session stays. (With peers that do: test-traffic.c.)
 */
static void replacement(void **state)
{
	struct abi_session a = session(1), b = session(2), c = session(3);
	struct nxm_error e;
	struct found f;

	NEED_ROOT();
	a.user = b.user = 77;
	c.user = 78;
	add_route(&a, "10.7.0.5", 32);
	add_route(&b, "10.7.0.5", 32);
	add_route(&c, "10.7.0.5", 32);
	expect(abi_add_session(&abi, &a, &e), 0, &e, NULL);
	expect(abi_add_session(&abi, &b, &e), -EEXIST, &e, "NQD_A_ROUTE");
	b.flags = c.flags = NQD_SESSION_F_REPLACE;
	expect(abi_add_session(&abi, &c, &e), -EEXIST, &e, "NQD_A_ROUTE");
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 0);
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 2);
	/* A second one in waiting makes the first give up. */
	c.user = 77;
	expect(abi_add_session(&abi, &c, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 1);
	expect(simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	/* The older one ends: its place is taken at once. */
	expect(simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	f = dump(NQD_CMD_GET_EVENTS);
	assert_true(f.n >= 3);
	assert_int_equal(dump(NQD_CMD_GET_STATS).id, 3);
	/* By user: all of them go. */
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	expect(delete_user(77, &e), 0, &e, NULL);
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 0);
	/* The peer's data plane was heard before the hand-over: at once. */
	abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	expect(abi_add_session(&abi, &a, &e), 0, &e, NULL);
	b.greeted = true;
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 1);
	assert_int_equal(abi_stat(&abi, 2, NQD_A_STATS_FRAME_ERRORS), 0);
	expect(simple(NQD_CMD_UPDATE_SESSION, 1, 0, &e), -ESHUTDOWN, &e, NULL);
	expect(delete_user(77, &e), 0, &e, NULL);
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 0);
	b.greeted = false;
	/* The default session of nobody in particular. */
	a.user = b.user = 0;
	a.n_routes = b.n_routes = 0;
	a.flags = b.flags = NQD_SESSION_F_DEFAULT_ROUTE;
	expect(abi_add_session(&abi, &a, &e), 0, &e, NULL);
	expect(abi_add_session(&abi, &b, &e), -EEXIST, &e, "NQD_A_SESSION_FLAGS");
	b.flags |= NQD_SESSION_F_REPLACE;
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	/* Of two in waiting the newer one remains. */
	abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	c.user = 0;
	c.n_routes = 0;
	c.flags = b.flags;
	expect(abi_add_session(&abi, &c, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 1);
	expect(simple(NQD_CMD_UPDATE_SESSION, 2, 0, &e), -ESHUTDOWN, &e, NULL);
	expect(simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	expect(simple(NQD_CMD_DELETE_SESSION, 3, 0, &e), 0, &e, NULL);
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	/* Not heard of: the older one stays, and has not noticed. */
	abi.events[NQD_EVENT_SESSION_DOWN] = 0;
	while (!abi.events[NQD_EVENT_SESSION_DOWN])
		abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
	assert_true(dump(NQD_CMD_GET_STATS).n >= 1);
	expect(simple(NQD_CMD_UPDATE_SESSION, 1, 0, &e), 0, &e, NULL);
	expect(simple(NQD_CMD_UPDATE_SESSION, 2, 0, &e), -ESHUTDOWN, &e, NULL);
}

/* Without keys nothing is under way: it is replaced at once, and can wait itself. */
static void replacement_without_keys(void **state)
{
	struct abi_session a = session(1), b = session(2), c = session(3);
	struct nxm_error e;

	NEED_ROOT();
	a.user = b.user = 77;
	add_route(&a, "10.7.0.5", 32);
	add_route(&b, "10.7.0.5", 32);
	add_route(&c, "10.7.0.5", 32);
	b.flags = NQD_SESSION_F_REPLACE;
	a.no_keys = true;
	expect(abi_add_session(&abi, &a, &e), 0, &e, NULL);
	expect(abi_add_session(&abi, &b, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 1);
	assert_int_equal(dump(NQD_CMD_GET_STATS).id, 2);
	expect(abi_add_session(&abi, &c, &e), -EEXIST, &e, "NQD_A_ROUTE");
	a.flags = NQD_SESSION_F_REPLACE;
	expect(abi_add_session(&abi, &a, &e), 0, &e, NULL);
	c.user = 77;
	c.flags = NQD_SESSION_F_REPLACE;
	expect(abi_add_session(&abi, &c, &e), 0, &e, NULL);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 2);
	expect(simple(NQD_CMD_DELETE_SESSION, 2, 0, &e), 0, &e, NULL);
	/* The one that gave up goes with the next round. */
	while (abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS) != UINT64_MAX)
		;
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 1);
	assert_int_equal(dump(NQD_CMD_GET_STATS).id, 3);
}

static int set_rate(uint64_t bytes_per_s, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, NQD_CMD_SET_DEBUG, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEBUG);
	nxm_put_u64(&m, NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S, bytes_per_s);
	nxm_nest_end(&m, nest);
	return abi_call(&abi, &m, e, NULL, NULL);
}

/* Every controller by its name; the one for tests only after a rate was set, with that rate. */
static void congestion(void **state)
{
	static const char *const names[] = { "cubic", "newreno", "bbr" };
	struct abi_session s;
	struct nxm_error e;
	unsigned int i;

	NEED_ROOT();
	for (i = 0; i < 3; i++) {
		s = session(i + 1);
		s.congestion = names[i];
		expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
		assert_string_equal(dump_one(i + 1).congestion, names[i]);
	}
	s = session(5);
	s.congestion = "fixed_rate_test";
	expect(abi_add_session(&abi, &s, &e), -EPERM, &e, "NQD_A_SESSION_CONGESTION");
	expect(set_rate(100000000001, &e), -ERANGE, &e, "NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S");
	expect(abi_add_session(&abi, &s, &e), -EPERM, &e, "NQD_A_SESSION_CONGESTION");
	expect(set_rate(1250000, &e), 0, &e, NULL);
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	expect(set_rate(2500000, &e), 0, &e, NULL);
	s = session(6);
	s.congestion = "fixed_rate_test";
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	assert_string_equal(dump_one(6).congestion, "fixed_rate_test");
	assert_int_equal(abi_stat(&abi, 5, NQD_A_STATS_PACING_RATE_BYTES_PER_S), 1250000);
	assert_int_equal(abi_stat(&abi, 6, NQD_A_STATS_PACING_RATE_BYTES_PER_S), 2500000);
	/* The others are not touched by it. */
	assert_string_equal(dump_one(1).congestion, "cubic");
	/* And taken back. */
	expect(set_rate(0, &e), 0, &e, NULL);
	s = session(7);
	s.congestion = "fixed_rate_test";
	expect(abi_add_session(&abi, &s, &e), -EPERM, &e, "NQD_A_SESSION_CONGESTION");
}

/* Server IDs of any length from 4 up, several at once; what two short ones may have in common. */
static void id_lengths(void **state)
{
	static const uint8_t lengths[] = { 4, 5, 8, 20 };
	struct abi_session s;
	struct nxm_error e;
	unsigned int i;

	NEED_ROOT();
	for (i = 0; i < sizeof(lengths); i++) {
		s = session(i + 1);
		s.server_cid_len = lengths[i];
		expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	}
	s = session(10);
	s.server_cid_len = 3;
	expect(abi_add_session(&abi, &s, &e), -EINVAL, &e, "NQD_A_CID_ID");
	/* The IDs of session 1 once more, of session 4 their beginning, from another address. */
	s.server_cid_len = 4;
	((struct sockaddr_in *)&s.remote)->sin_port = htons(10);
	s.number = 1;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	s.id = 11;
	s.number = 4;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	/* And longer ones that begin with those of session 1. */
	s.id = 12;
	s.number = 1;
	s.server_cid_len = 20;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	/* Long ones are not met by chance. */
	s.id = 13;
	s.number = 3;
	s.server_cid_len = 8;
	expect(abi_add_session(&abi, &s, &e), -EEXIST, &e, "NQD_A_SESSION_LOCAL_CIDS");
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 7);
}

static void closing(void **state)
{
	struct abi_session s = session(1);
	uint8_t packet[2048];
	struct sockaddr_storage peer;
	int sink = abi_open_udp("127.0.0.1", 0, &peer);
	struct pollfd p = { .fd = sink, .events = POLLIN };
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	NEED_ROOT();
	s.remote = peer;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	abi_begin(&abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	nxm_put_u64(&m, NQD_A_SESSION_CLOSE_CODE, 0x100);
	nxm_put_str(&m, NQD_A_SESSION_CLOSE_REASON, "bye");
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	/* A short-header packet to the peer's CID. */
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_true(recv(sink, packet, sizeof(packet), 0) > 21 + 4 + 16);
	assert_int_equal(packet[0] & 0xc0, 0x40);
	assert_int_equal(packet[1], 0x10 + 4);
	close(sink);
}

static void key_updates(void **state)
{
	struct abi_session s = session(1);
	struct nxm_error e;
	int err;

	NEED_ROOT();
	s.secrets = true;
	s.cipher = NQD_CIPHER_AES_256_GCM;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	/* Allowed or too early, but never for want of keys. */
	err = simple(NQD_CMD_KEY_UPDATE, 1, 0, &e);
	assert_true(!err || err == -EAGAIN);
	s = session(2);
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	err = simple(NQD_CMD_KEY_UPDATE, 2, 0, &e);
	assert_true(err == -ENOKEY || err == -EAGAIN);
}

static void updates(void **state)
{
	struct abi_session s = session(1);
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	NEED_ROOT();
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	abi_begin(&abi, &m, NQD_CMD_UPDATE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	nxm_put_u32(&m, NQD_A_SESSION_KEEPALIVE_MS, 20000);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, 1300);
	nxm_put_u32(&m, NQD_A_SESSION_PEER_GROUP, 4);
	nxm_put_u32(&m, NQD_A_SESSION_ROUTE_EPOCH, 9);
	nxm_put(&m, NQD_A_SESSION_TX_FRAMES, "\x01", 1);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	for (i = 0; i < 2; i++) {
		abi_begin(&abi, &m, NQD_CMD_UPDATE_SESSION, 0);
		nest = nxm_nest_begin(&m, NQD_A_SESSION);
		nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
		if (i)
			nxm_put_u16(&m, NQD_A_SESSION_CIPHER, NQD_CIPHER_AES_256_GCM);
		else
			nxm_put_u32(&m, NQD_A_SESSION_ROUTE_EPOCH, 8);
		nxm_nest_end(&m, nest);
		expect(abi_call(&abi, &m, &e, NULL, NULL), i ? -EINVAL : -ESTALE, &e,
		       i ? "NQD_A_SESSION_CIPHER" : "NQD_A_SESSION_ROUTE_EPOCH");
	}
	assert_int_equal(abi.events[NQD_EVENT_ROUTE_EPOCH_MISMATCH], 1);
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

	NEED_ROOT();
	for (round = 0; round < 2; round++) {
		struct abi_session s = session(round + 1);

		s.secrets = round;
		expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	}
	for (k = 0; k < 2; k++) {
		abi_begin(&abi, &m, queries[k], NLM_F_DUMP);
		assert_int_equal(abi.ops->send(&abi, abi.out, nxm_end(&m)), 0);
		do {
			ssize_t n = abi.ops->recv(&abi, abi.in, sizeof(abi.in), ABI_TIMEOUT_MS);

			assert_true(n > 0);
			assert_int_equal(nxm_parse_hdr(abi.in, n, &hdr, &e), 0);
			messages++;
			for (i = 0; i < sizeof(fills); i++) {
				uint8_t run[12];

				memset(run, fills[i], sizeof(run));
				assert_null(memmem(abi.in, n, run, sizeof(run)));
			}
		} while (hdr.type != NLMSG_DONE);
	}
	assert_true(messages >= 6);
}

static void devices(void **state)
{
	struct abi_session s = session(1);
	struct nxm_error e;
	int fds, before, i;
	struct nxm m;
	size_t nest;

	NEED_ROOT();
	before = data_plane_fds();
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	/* Sockets are replaced, not added to. */
	for (i = 0; i < 3; i++) {
		abi_begin(&abi, &m, NQD_CMD_CREATE_DEVICE, 0);
		nest = nxm_nest_begin(&m, NQD_A_DEVICE);
		nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
		abi_put_fd(&abi, &m, NQD_A_DEVICE_SOCKET_FD, udp);
		nxm_nest_end(&m, nest);
		expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	}
	assert_int_equal(data_plane_fds(), before + 1);
	abi_begin(&abi, &m, NQD_CMD_CREATE_DEVICE, NLM_F_EXCL);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
	abi_put_fd(&abi, &m, NQD_A_DEVICE_TUN_FD, tun);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), -EEXIST, &e, "NQD_A_DEVICE");
	for (i = 0; i < 2; i++) {
		abi_begin(&abi, &m, NQD_CMD_DELETE_DEVICE, 0);
		nest = nxm_nest_begin(&m, NQD_A_DEVICE);
		nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
		nxm_nest_end(&m, nest);
		expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	}
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 0);
	fds = data_plane_fds();
	assert_int_equal(fds, before - 1);
	expect(abi_add_session(&abi, &s, &e), -ENODEV, &e, "NQD_A_DEVICE");
	assert_int_equal(data_plane_fds(), fds);
}

static unsigned long cpu_ticks(void)
{
	unsigned long user = 0, sys = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", abi.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &sys),
			 2);
	fclose(f);
	return user + sys;
}

/* The interface disappears under a session: reported once, and no busy loop. */
static void device_is_deleted(void **state)
{
	struct abi_session s = session(1);
	char name[IFNAMSIZ] = "nxgone";
	unsigned long ticks;
	struct nxm_error e;
	struct pollfd none;
	int fd;

	NEED_ROOT();
	fd = abi_open_tun(name);
	assert_true(fd >= 0);
	expect(abi_create_device(&abi, fd, name, &e), 0, &e, NULL);
	s.ifname = name;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	assert_int_equal(system("ip link delete nxgone"), 0);
	while (!abi.events[NQD_EVENT_FATAL_ERROR])
		abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
	ticks = cpu_ticks();
	/* Time has to pass to see that nothing happens in it. */
	poll(&none, 0, 300);
	assert_true(cpu_ticks() - ticks < 10);
	assert_int_equal(abi.events[NQD_EVENT_FATAL_ERROR], 1);
	expect(simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	close(fd);
}

static unsigned long resident_kib(void)
{
	unsigned long pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", abi.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE) / 1024;
}

/* Every one is found, and together they fit into the memory of a small server. */
static void many_sessions(void **state)
{
	unsigned long before, each_kib;
	struct nxm_error e;
	uint32_t i;

	NEED_ROOT();
	before = resident_kib();
	for (i = 1; i <= MANY; i++) {
		struct abi_session s = session(i);

		s.number = 0;
		s.serial = i;
		s.user = i;
		s.n_routes = 1;
		s.routes[0].family = AF_INET;
		s.routes[0].len = 32;
		memcpy(s.routes[0].addr, (uint8_t[]){ 10, i >> 16, i >> 8, i }, 4);
		expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	}
	each_kib = (resident_kib() - before) / MANY;
	print_message("  %lu KiB each\n", each_kib);
#ifndef __SANITIZE_ADDRESS__
	assert_true(each_kib <= MANY_KIB);
#endif
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, MANY);
	for (i = 1; i <= MANY; i++) {
		expect(simple(NQD_CMD_UPDATE_SESSION, i, 2, &e), 0, &e, NULL);
		if (i % 2)
			expect(simple(NQD_CMD_DELETE_SESSION, i, 3, &e), 0, &e, NULL);
	}
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, MANY / 2);
	expect(simple(NQD_CMD_UPDATE_SESSION, 1, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
}

/* What belongs to no session goes to the punt socket, with where it came from. */
static void punting(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct sockaddr_storage from;
	struct hs_punt_hdr hdr;
	struct nxm_error e;
	uint8_t in[2048];
	struct nxm m;
	size_t nest;
	int peer;

	NEED_ROOT();
	abi_begin(&abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
	abi_put_fd(&abi, &m, NQD_A_DEVICE_SOCKET_FD, udp);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	peer = abi_open_udp("127.0.0.1", 0, &from);
	assert_int_equal(sendto(peer, "\x40 0123456789 unknown", 20, 0, (void *)&bound,
				sizeof(struct sockaddr_in)),
			 20);
	p.fd = abi.punt_fd;
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_int_equal(nx_ipc_recv(abi.punt_fd, in, sizeof(in), NULL, NULL), sizeof(hdr) + 20);
	memcpy(&hdr, in, sizeof(hdr));
	assert_int_equal(hdr.to_dp, 0);
	assert_int_equal(hdr.len, 20);
	assert_int_equal(hdr.local_port, ((struct sockaddr_in *)&bound)->sin_port);
	assert_int_equal(hdr.remote.in.sin_port, ((struct sockaddr_in *)&from)->sin_port);
	assert_memory_equal(in + sizeof(hdr), "\x40 0123456789 unknown", 20);
	close(peer);
}

/* A datagram of random bytes that ends with @token, from @fd to the session's socket. */
static void send_reset(int fd, uint8_t token, uint32_t len)
{
	uint8_t buf[64];
	uint32_t i;

	for (i = 0; i < len; i++)
		buf[i] = 0x40 + (i * 7) % 0x30;
	memset(buf + len - 16, token, 16);
	assert_int_equal(sendto(fd, buf, len, 0, (void *)&bound, sizeof(struct sockaddr_in)), len);
}

static bool is_punted(void)
{
	struct pollfd p = { .fd = abi.punt_fd, .events = POLLIN };
	uint8_t in[2048];

	return poll(&p, 1, ABI_TIMEOUT_MS) == 1 &&
	       nx_ipc_recv(abi.punt_fd, in, sizeof(in), NULL, NULL) > 0;
}

/*
 * The token that the peer gave with the ID in use ends the session, from the peer's address only.
 * Everything else is somebody else's, and goes to the handshake daemon.
 */
static void stateless_resets(void **state)
{
	struct sockaddr_storage from, elsewhere;
	struct abi_session s = session(1);
	struct nxm_error e;
	struct found f;
	uint8_t token;
	int peer, other;

	NEED_ROOT();
	peer = abi_open_udp("127.0.0.1", 0, &from);
	other = abi_open_udp("127.0.0.1", 0, &elsewhere);
	s.remote = from;
	s.server = false;
	/* As abi-client.c makes it. */
	token = 0x80 + 4 * s.number + 8;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	send_reset(other, token, 40);
	assert_true(is_punted());
	send_reset(peer, token + 1, 40);
	assert_true(is_punted());
	send_reset(peer, token, 20);
	assert_true(is_punted());
	assert_int_equal(abi_stat(&abi, 1, NQD_A_STATS_L3_RX_PACKETS), 0);
	assert_int_equal(abi.events[NQD_EVENT_SESSION_DOWN], 0);
	send_reset(peer, token, 21);
	while (!abi.events[NQD_EVENT_SESSION_DOWN])
		abi_stat(&abi, 1, NQD_A_STATS_UPTIME_MS);
	f = dump(NQD_CMD_GET_EVENTS);
	assert_int_equal(f.type, NQD_EVENT_SESSION_DOWN);
	assert_int_equal(f.reason, NQD_DOWN_STATELESS_RESET);
	/* Once ended, it is nobody's. */
	send_reset(peer, token, 40);
	assert_true(is_punted());
	close(peer);
	close(other);
}

/* CONNECTION_CLOSE packets that come to @fd within @timeout_ms. */
static unsigned int packets_to(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t packet[2048];
	unsigned int n = 0;

	while (poll(&p, 1, timeout_ms) == 1 && recv(fd, packet, sizeof(packet), 0) > 0)
		n++;
	return n;
}

/* The device goes at once, the goodbye is said a second time all the same; then nothing is left. */
static void goodbye_without_device(void **state)
{
	struct abi_session s = session(1);
	struct sockaddr_storage peer;
	int sink = abi_open_udp("127.0.0.1", 0, &peer), fds;
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	NEED_ROOT();
	fds = data_plane_fds();
	s.remote = peer;
	expect(abi_add_session(&abi, &s, &e), 0, &e, NULL);
	/* The IDs it gives its peer at once. */
	packets_to(sink, 200);
	abi_begin(&abi, &m, NQD_CMD_DELETE_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	nxm_put_u64(&m, NQD_A_SESSION_CLOSE_CODE, 0x100);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	abi_begin(&abi, &m, NQD_CMD_DELETE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
	nxm_nest_end(&m, nest);
	expect(abi_call(&abi, &m, &e, NULL, NULL), 0, &e, NULL);
	assert_int_equal(packets_to(sink, 1500), 2);
	assert_int_equal(dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(data_plane_fds(), fds - 1);
	close(sink);
}

static void sandboxed(void **state)
{
	char path[64], line[256];
	bool seccomp = false, privs = false;
	FILE *f;

	NEED_ROOT();
	/* Answered: so it has started. */
	caps(state);
	snprintf(path, sizeof(path), "/proc/%d/status", abi.pid);
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
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(caps),
		CASE(session_life),
		CASE(generations),
		CASE(malformed_sessions),
		CASE(malformed_keys),
		CASE(malformed_messages),
		CASE(descriptors),
		CASE(routes),
		CASE(replacement),
		CASE(id_lengths),
		CASE(congestion),
		CASE(closing),
		CASE(key_updates),
		CASE(updates),
		CASE(secrets_stay_inside),
		CASE(devices),
		CASE(device_is_deleted),
		CASE(many_sessions),
		CASE(punting),
		CASE(replacement_without_keys),
		CASE(stateless_resets),
		CASE(sandboxed),
		CASE(goodbye_without_device),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: test-abi NEXUS_DP\n");
		return 1;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, group_setup, NULL);
}
