// SPDX-License-Identifier: GPL-2.0-or-later
/* What the tests of the data-plane ABI share: see t-abi.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/netlink.h>

#include "t-abi.h"

const char *t_program;
struct abi t_abi;
bool t_ready;
int t_tun, t_udp;
char t_ifname[IFNAMSIZ];
struct sockaddr_storage t_bound;

static void bring_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

/* A network namespace of our own, with a loopback interface and a socket on it. */
static int new_namespace(void)
{
	if (geteuid() || unshare(CLONE_NEWNET))
		return -EPERM;
	strcpy(t_ifname, "lo");
	bring_up(t_ifname);
	if (t_udp > 0)
		close(t_udp);
	t_udp = abi_open_udp("127.0.0.1", 0, &t_bound);
	return t_udp < 0 ? t_udp : 0;
}

int t_group_setup(void **state)
{
	if (abi_transport_for(t_program)->module || new_namespace())
		return 0;
	strcpy(t_ifname, "nxt%d");
	t_tun = abi_open_tun(t_ifname);
	if (t_tun < 0)
		return 0;
	bring_up(t_ifname);
	t_ready = true;
	return 0;
}

int t_setup(void **state)
{
	const struct abi_transport *t = abi_transport_for(t_program);
	struct nxm_error e;

	if (t->module) {
		/* The module's state is its namespace's: so that it is fresh. */
		assert_int_equal(new_namespace(), 0);
		strcpy(t_ifname, "nxt0");
		t_ready = true;
	}
	if (!t_ready)
		return 0;
	assert_int_equal(t->open(&t_abi, t_program), 0);
	t_expect(abi_create_device(&t_abi, t_tun, t_ifname, &e), 0, &e, NULL);
	if (t->module)
		bring_up(t_ifname);
	return 0;
}

int t_teardown(void **state)
{
	if (t_ready)
		t_abi.ops->close(&t_abi);
	return 0;
}

struct abi_session t_session(uint64_t id)
{
	struct abi_session s = { .id = id,
				 .server = true,
				 .number = id,
				 .cipher = NQD_CIPHER_AES_128_GCM,
				 .mtu = 1400,
				 .ifname = t_ifname,
				 .socket = t_udp,
				 .remote = t_bound };

	/* Somebody who does not answer. */
	((struct sockaddr_in *)&s.remote)->sin_port = htons(9);
	return s;
}

void t_add_route(struct abi_session *s, const char *addr, uint8_t len)
{
	int family = strchr(addr, ':') ? AF_INET6 : AF_INET;

	s->routes[s->n_routes].family = family;
	s->routes[s->n_routes].len = len;
	assert_int_equal(inet_pton(family, addr, s->routes[s->n_routes++].addr), 1);
}

size_t t_begin_session(struct nxm *m, uint8_t cmd, uint64_t id)
{
	size_t nest;

	abi_begin(&t_abi, m, cmd, 0);
	nest = nxm_nest_begin(m, NQD_A_SESSION);
	nxm_put_u64(m, NQD_A_SESSION_ID, id);
	return nest;
}

size_t t_begin_device(struct nxm *m, uint8_t cmd)
{
	size_t nest;

	abi_begin(&t_abi, m, cmd, 0);
	nest = nxm_nest_begin(m, NQD_A_DEVICE);
	nxm_put_str(m, NQD_A_DEVICE_IFNAME, t_ifname);
	return nest;
}

int t_simple(uint8_t cmd, uint64_t id, uint64_t generation, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	nest = t_begin_session(&m, cmd, id);
	if (generation)
		nxm_put_u64(&m, NQD_A_SESSION_GENERATION, generation);
	nxm_nest_end(&m, nest);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

int t_route_command(uint8_t cmd, uint64_t id, const uint8_t *addr, size_t len, uint8_t bits,
		    struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	nest = t_begin_session(&m, cmd, id);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_ROUTE);
	nxm_put(&m, NQD_A_ROUTE_ADDR, addr, len);
	nxm_put_u8(&m, NQD_A_ROUTE_PREFIX_LEN, bits);
	nxm_nest_end(&m, nest);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

int t_held(void)
{
	int n = t_abi.ops->held(&t_abi);

	assert_true(n >= 0);
	return n;
}

void t_expect(int err, int want, const struct nxm_error *e, const char *name)
{
	if (err != want)
		fail_msg("%d instead of %d: %s", err, want, e->text);
	if (name && !strstr(e->text, name))
		fail_msg("\"%s\" does not name %s", e->text, name);
}

static void take_session(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], s[NQD_A_SESSION_MAX + 1], ev[NQD_A_EVENT_MAX + 1];
	struct t_found *f = arg;
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

struct t_found t_dump(uint8_t cmd)
{
	struct t_found f = { 0 };
	struct nxm m;

	abi_begin(&t_abi, &m, cmd, NLM_F_DUMP);
	assert_int_equal(abi_call(&t_abi, &m, NULL, take_session, &f), 0);
	return f;
}

struct t_found t_dump_one(uint64_t id)
{
	struct t_found f = { 0 };
	struct nxm m;
	size_t nest;

	nest = t_begin_session(&m, NQD_CMD_GET_STATS, id);
	nxm_nest_end(&m, nest);
	assert_int_equal(abi_call(&t_abi, &m, NULL, take_session, &f), 0);
	assert_int_equal(f.id, id);
	return f;
}
