// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server's sessions move from nexus-dp to a module that is loaded while clients are connected: who is
 * where, which way packets take meanwhile, what keeps clients of different groups apart, and what happens
 * when anything ends in the middle. The module's devices are TUN devices of the test, so what is sent to
 * a client by way of the module can be read here, and what comes from one be written.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
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
#include "config-internal.h"
#include "t-planes.h"

#define USER(name, id, host)                                                          \
	"{ name = \"" name "\"; short_id = \"" id "\"; public_key = \"" T_KEY "\";\n" \
	"addresses = [ \"10.9.0." host "/32\", \"fd09::" host "/128\" ];\n"
#define SERVER(mode, more, bobs_group)                                                     \
	"dco_mode = \"" mode "\";\n"                                                       \
	"tunnel = { office = { role = \"server\"; listen = [ \"127.0.0.1:4433\" ];\n"      \
	"cover = \"127.0.0.1:8443\"; server_names = [ \"www.example.org\" ];\n"            \
	"interface = \"nxtest0\"; addresses = [ \"10.9.0.1/24\", \"fd09::1/64\" ];\n"      \
	"private_key_file = \"/k/server.key\"; users = (\n" USER(                          \
		"alice", "0123456789abcdef", "2") "group = \"a\"; " more                   \
						  "},\n" USER("bob", "00000000000000b0",   \
							      "3") "group = \"" bobs_group \
								   "\"; } ); }; };\n"
#define NETWORK "allowed_ips = [ \"10.20.0.0/16\", \"fd20::/48\" ];"
#define ALICE 0x0123456789abcdefull
#define BOB 0xb0ull

static int setup(void **state)
{
	return t_planes_setup(state, SERVER("preferred", NETWORK, "b"), T_ABSENT);
}

/* ---- packets ---- */

/* The module's device that is not gone. */
static struct t_plane_device *module_device(struct fake *f)
{
	for (size_t i = 0; i < T_DEVICES; i++)
		if (f->planes->devices[i].ifindex)
			return &f->planes->devices[i];
	fail_msg("the module has no device");
	return NULL;
}

/* One that nothing else is like. */
static unsigned int next_mark(void)
{
	static unsigned int mark = 0x6d000000;

	return ++mark;
}

static void send_mark(const char *to, unsigned int mark)
{
	bool ipv6 = strchr(to, ':');
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	if (ipv6)
		assert_int_equal(inet_pton(AF_INET6, to, &b.sin6_addr), 1);
	else
		assert_int_equal(inet_pton(AF_INET, to, &a.sin_addr), 1);
	assert_int_equal(sendto(fd, &mark, sizeof(mark), 0, ipv6 ? (void *)&b : (void *)&a,
				ipv6 ? sizeof(b) : sizeof(a)),
			 sizeof(mark));
	close(fd);
}

/* Is the packet among those that wait on @fd? A device has it when send() is over. */
static bool arrived(int fd, unsigned int mark)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned char buf[2048];
	unsigned int last;
	ssize_t n;

	while (poll(&p, 1, 0) == 1) {
		n = read(fd, buf, sizeof(buf));
		if (n < (ssize_t)sizeof(last))
			return false;
		memcpy(&last, buf + n - sizeof(last), sizeof(last));
		if (last == mark)
			return true;
	}
	return false;
}

/* Do packets to @address leave through the module's device? */
static bool goes_to_module(struct fake *f, const char *address)
{
	unsigned int mark = next_mark();

	send_mark(address, mark);
	return arrived(module_device(f)->fd, mark);
}

static uint16_t ip_checksum(const void *header)
{
	const uint16_t *w = header;
	uint32_t sum = 0;

	for (int i = 0; i < 10; i++)
		sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* The device on which a packet of @from to us comes in, which the module has put on its own. */
static int comes_in_on(struct fake *f, const char *from)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		uint32_t mark;
	} packet = {
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_UDP,
			.tot_len = htons(sizeof(packet)) },
		.udp = { .source = htons(9), .len = htons(sizeof(packet) - sizeof(struct iphdr)) },
		.mark = next_mark(),
	};
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	char control[64];
	uint32_t mark = 0;
	struct iovec iov = { &mark, sizeof(mark) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), one = 1, ifindex = 0;
	struct in_pktinfo info;

	inet_pton(AF_INET, "10.9.0.1", &a.sin_addr);
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &len), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)), 0);
	inet_pton(AF_INET, from, &packet.ip.saddr);
	packet.ip.daddr = a.sin_addr.s_addr;
	packet.ip.check = ip_checksum(&packet.ip);
	packet.udp.dest = a.sin_port;
	assert_int_equal(write(module_device(f)->fd, &packet, sizeof(packet)), sizeof(packet));
	if (recvmsg(fd, &msg, 0) == sizeof(mark) && mark == packet.mark) {
		memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(info));
		ifindex = info.ipi_ifindex;
	}
	close(fd);
	return ifindex;
}

/* ---- the way there ---- */

static void listen_with(struct fake *f, uint64_t user, uint64_t *id)
{
	t_planes_start(f);
	t_listen_on(f, "nexus-dp");
	*id = t_user_connects(f, &f->planes->user, user);
}

/* Alice is connected through nexus-dp, and the module is there, which knows of her. */
static struct nx_tunnel *begin_move(struct fake *f, uint64_t *alice)
{
	struct t_planes *k = f->planes;

	listen_with(f, ALICE, alice);
	t_module_load(f, NQD_GENL_VERSION);
	t_run_until(f, k->module.n_stand_ins == 1 && TAILQ_FIRST(&t_office(f)->sessions)->settled);
	return t_office(f);
}

static const struct nx_session *session_of(struct nx_tunnel *t, uint64_t id)
{
	return nx_tunnel_find_session(t, id);
}

/* A new session of @user that has no other; done when its packets go there. */
static uint64_t arrives(struct fake *f, uint64_t user)
{
	uint64_t id = t_user_connects(f, &f->planes->module, user);

	t_run_until(f, session_of(t_office(f), id)->settled);
	return id;
}

/* ---- tests ---- */

static void test_two_devices(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob;

	T_NEED(f);
	t = begin_move(f, &alice);
	assert_string_equal(t->data_plane, "nexus-dp");
	t_run_until(f, !strcmp(t->data_plane_reason,
			       "moving to the kernel module as clients shake hands: 1 left"));
	assert_int_equal(if_nametoindex("nxtest0"), t->ifindex);
	assert_int_equal(k->module.stand_ins[0].user, ALICE);
	assert_int_equal(k->module.stand_ins[0].group, nx_group_id("a"));
	assert_int_equal(k->module.stand_ins[0].ifindex, module_device(f)->ifindex);
	/* nexus-hsd is told nothing: nexus-dp reads the sockets as before. */
	assert_true(t_stored(f, "sock:office:0:dp"));
	assert_false(goes_to_module(f, "10.9.0.2"));

	bob = arrives(f, BOB);
	assert_int_equal(k->user.n_stand_ins, 1);
	assert_int_equal(k->user.stand_ins[0].user, BOB);
	assert_int_equal(k->user.stand_ins[0].group, nx_group_id("b"));
	assert_int_equal(k->user.stand_ins[0].ifindex, t->ifindex);
	assert_int_equal(k->module.local_port, 4433);
	assert_true(goes_to_module(f, "10.9.0.3"));
	assert_true(goes_to_module(f, "fd09::3"));
	assert_false(goes_to_module(f, "10.9.0.2"));
	assert_false(goes_to_module(f, "10.20.1.1"));
	assert_false(goes_to_module(f, "fd09::2"));
	assert_int_equal(comes_in_on(f, "10.9.0.3"), t->ifindex);
	/* He goes, and comes again. */
	k->module.n_sessions = 0;
	t_module_event(f, bob, NQD_EVENT_SESSION_DOWN, NQD_DOWN_PEER_CLOSED);
	t_run_until(f, k->user.n_stand_ins == 0);
	assert_null(session_of(t, bob));
	arrives(f, BOB);
	assert_int_equal(k->user.n_stand_ins, 1);
	assert_true(goes_to_module(f, "10.9.0.3"));
}

/* Nothing is left on nexus-dp, whose device stays in front. */
static void check_moved(struct fake *f, int front)
{
	struct nx_tunnel *t = t_office(f);

	t_run_until(f, !strcmp(t->data_plane, "nexus_quic_dco"));
	assert_string_equal(t->data_plane_reason,
			    "nxtest0 stays nexus-dp's until no client is connected");
	assert_int_equal(t->ifindex, front);
	assert_int_equal(if_nametoindex("nxtest0"), front);
	assert_true(t_stored(f, "sock:office:0:dp"));
	assert_int_equal(f->planes->user.asked[NQD_CMD_DELETE_DEVICE], 0);
}

/* Nobody is connected: there is one device, with the name, the addresses and the sockets. */
static void check_alone(struct fake *f, int front)
{
	struct nx_tunnel *t = t_office(f);

	t_expect_setup(f, 3);
	t_run_until(f, !strcmp(t->data_plane_reason, "") && t->n_addresses);
	assert_string_equal(t->data_plane, "nexus_quic_dco");
	assert_int_equal(t->ifindex, module_device(f)->ifindex);
	assert_int_equal(if_nametoindex("nxtest0"), t->ifindex);
	assert_true(t_has_address(f, t->ifindex, "10.9.0.1/24"));
	assert_true(t_has_address(f, t->ifindex, "fd09::1/64"));
	assert_null(if_indextoname((unsigned int)front, (char[IF_NAMESIZE]){ 0 }));
	t_run_until(f, !t_stored(f, "tun:office"));
	assert_true(t_stored(f, "nexusq:office"));
	assert_true(t_stored(f, "sock:office:0:ko"));
	assert_int_equal(t->state, NX_TUNNEL_LISTENING);
	/* The one that was behind is not left over. */
	for (size_t i = 0; i < T_DEVICES; i++)
		assert_true(!f->planes->devices[i].ifindex ||
			    f->planes->devices[i].ifindex == t->ifindex);
	assert_int_equal(f->planes->module.n_stand_ins, 0);
}

static void test_renewal(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	const struct nx_session *s;
	struct nx_tunnel *t;
	uint64_t alice, fresh, since;
	int old;

	T_NEED(f);
	t = begin_move(f, &alice);
	old = t->ifindex;
	since = session_of(t, alice)->connected_since_s;
	/* Not heard on it yet: all is as it was. */
	fresh = t_user_connects(f, &k->module, ALICE);
	t_run_until(f, k->module.asked[NQD_CMD_GET_STATS] > 3);
	assert_true(session_of(t, fresh)->waits);
	assert_int_equal(k->user.n_stand_ins, 0);
	assert_false(goes_to_module(f, "10.9.0.2"));

	k->module.heard = true;
	t_run_until(f, session_of(t, fresh)->settled);
	s = session_of(t, fresh);
	assert_null(session_of(t, alice));
	assert_false(s->waits);
	assert_int_equal(s->connected_since_s, since);
	assert_int_equal(s->peer_id, alice);
	/* In the place of the one that drains, so that there is always one that knows of her. */
	assert_int_equal(k->user.n_stand_ins, 1);
	assert_int_equal(k->user.n_sessions, 1);
	assert_int_equal(k->module.n_stand_ins, 0);
	assert_true(goes_to_module(f, "10.9.0.2"));
	assert_true(goes_to_module(f, "fd09::2"));
	assert_true(goes_to_module(f, "10.20.1.1"));
	assert_true(goes_to_module(f, "fd20::5"));
	assert_false(goes_to_module(f, "10.9.0.3"));
	assert_string_equal(t->data_plane, "nexus-dp");

	k->user.n_sessions = 0;
	t_send_down(f, alice, NQD_DOWN_PEER_CLOSED);
	check_moved(f, old);
	assert_true(goes_to_module(f, "10.20.1.1"));
	assert_int_equal(comes_in_on(f, "10.9.0.2"), old);
	/* Others still come to the module. */
	since = arrives(f, BOB);
	assert_true(goes_to_module(f, "10.9.0.3"));
	k->module.n_sessions = 0;
	t_module_event(f, since, NQD_EVENT_SESSION_DOWN, NQD_DOWN_PEER_CLOSED);
	t_module_event(f, fresh, NQD_EVENT_SESSION_DOWN, NQD_DOWN_PEER_CLOSED);
	check_alone(f, old);
	t_user_connects(f, &k->module, ALICE);
	assert_true(goes_to_module(f, "10.9.0.2"));
	assert_int_equal(comes_in_on(f, "10.9.0.2"), t->ifindex);
}

/* From another address, as of a client that moves itself: another connection of the same user. */
static void test_other_address(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, fresh;
	int old;

	T_NEED(f);
	t = begin_move(f, &alice);
	old = t->ifindex;
	f->remote = "127.0.0.1:444";
	k->module.heard = true;
	fresh = arrives(f, ALICE);
	assert_int_equal(session_of(t, fresh)->peer_id, fresh);
	assert_int_equal(k->user.asked[NQD_CMD_ADD_SESSION], 2);
	assert_true(goes_to_module(f, "10.9.0.2"));
	k->user.n_sessions = 0;
	t_send_down(f, alice, NQD_DOWN_PEER_CLOSED);
	check_moved(f, old);
	assert_non_null(session_of(t, fresh));
}

/* Another attempt before the first was heard; and the old session ends before either was. */
static void test_not_heard(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, first, second;
	int old;

	T_NEED(f);
	t = begin_move(f, &alice);
	old = t->ifindex;
	first = t_user_connects(f, &k->module, ALICE);
	f->user = ALICE;
	t_report_session(f, 1ull << 63 | 2, false);
	t_run_until(f, k->module.n_sessions == 1 && k->module.sessions[0].id != first);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	second = k->module.sessions[0].id;
	assert_null(session_of(t, first));
	assert_true(session_of(t, second)->waits);
	assert_non_null(session_of(t, alice));

	k->user.n_sessions = 0;
	t_send_down(f, alice, NQD_DOWN_IDLE_TIMEOUT);
	check_moved(f, old);
	assert_false(session_of(t, second)->waits);
	assert_true(goes_to_module(f, "10.9.0.2"));
}

/* Nobody is connected any more. */
static void test_left(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	uint64_t alice;
	int old;

	T_NEED(f);
	old = begin_move(f, &alice)->ifindex;
	k->user.n_sessions = 0;
	t_send_down(f, alice, NQD_DOWN_PEER_CLOSED);
	check_alone(f, old);
}

/* The module goes in the middle: who was on it has to connect again, others notice nothing. */
static void test_unloaded(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob;

	T_NEED(f);
	t = begin_move(f, &alice);
	bob = arrives(f, BOB);
	t_module_unload(f);
	t_run_until(f, !session_of(t, bob) && k->user.n_stand_ins == 0);
	assert_non_null(session_of(t, alice));
	assert_int_equal(k->user.n_sessions, 1);
	t_run_until(f, !strcmp(t->data_plane_reason, "kernel module was unloaded"));
	assert_false(t_stored(f, "nexusq:office"));
	t_user_connects(f, &k->user, BOB);
	assert_true(f->m->priv->nl && t->ifindex == (int)if_nametoindex("nxtest0"));
	/* It comes again. */
	t_module_load(f, NQD_GENL_VERSION);
	t_run_until(f, k->module.n_stand_ins == 2);
	assert_false(goes_to_module(f, "10.9.0.3"));
}

/* nexus-dp goes: who was on it has to connect again, others notice nothing. */
static void test_front_dies(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob;
	int old;

	T_NEED(f);
	t = begin_move(f, &alice);
	old = t->ifindex;
	bob = arrives(f, BOB);
	t_user_plane_dies(f);
	check_moved(f, old);
	assert_null(session_of(t, alice));
	assert_non_null(session_of(t, bob));
	assert_true(goes_to_module(f, "10.9.0.3"));
	/* It has its device again, where nobody will be whom others have to be kept apart from. */
	t_run_until(f, k->user.asked[NQD_CMD_CREATE_DEVICE] == 2);
	assert_int_equal(comes_in_on(f, "10.9.0.3"), old);
	arrives(f, ALICE);
	assert_true(goes_to_module(f, "10.9.0.2"));
}

/* The module has no room for the stand-ins: as if it were not there. */
static void test_refused(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice;

	T_NEED(f);
	listen_with(f, ALICE, &alice);
	t = t_office(f);
	k->module.refuse = NQD_CMD_ADD_SESSION;
	t_module_load(f, NQD_GENL_VERSION);
	t_run_until(f, strstr(t->data_plane_reason, "no room"));
	assert_string_equal(t->data_plane, "nexus-dp");
	assert_non_null(session_of(t, alice));
	t_run_until(f, k->module.asked[NQD_CMD_DELETE_DEVICE] == 1);
	assert_false(t_stored(f, "nexusq:office"));
	t_user_connects(f, &k->user, BOB);
	assert_int_equal(t->ifindex, if_nametoindex("nxtest0"));
}

/* It is given up while the module makes the device, whose number nobody knows yet. */
static void test_cancelled(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice;

	T_NEED(f);
	listen_with(f, ALICE, &alice);
	t = t_office(f);
	t_module_load(f, NQD_GENL_VERSION);
	t_run_until(f, t->priv->coming.phase == NX_DP_CREATING);
	assert_non_null(module_device(f));
	nx_move_cancel(t);
	t_run_until(f, k->module.asked[NQD_CMD_DELETE_DEVICE] == 1);
	for (size_t i = 0; i < T_DEVICES; i++)
		assert_int_equal(k->devices[i].ifindex, 0);
	assert_non_null(session_of(t, alice));
}

/* nexus-dp has none: the session on the module ends, closed, before a packet goes there. */
static void test_not_kept_apart(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob;

	T_NEED(f);
	t = begin_move(f, &alice);
	k->user.refuse = NQD_CMD_ADD_SESSION;
	bob = t_user_connects(f, &k->module, BOB);
	t_run_until(f, k->module.n_sessions == 0);
	assert_null(session_of(t, bob));
	assert_true(k->module.closes);
	assert_false(goes_to_module(f, "10.9.0.3"));
	assert_non_null(session_of(t, alice));
	k->user.refuse = 0;
	arrives(f, BOB);
	assert_true(goes_to_module(f, "10.9.0.3"));
}

/* The same before anybody could be asked: there is no socket to say it with. */
static void test_no_socket(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob;

	T_NEED(f);
	t = begin_move(f, &alice);
	t->priv->pairs[0].local.sa.sa_family = AF_INET6;
	bob = t_user_connects(f, &k->module, BOB);
	t_run_until(f, k->module.n_sessions == 0);
	assert_null(session_of(t, bob));
	assert_true(k->module.closes);
	assert_false(goes_to_module(f, "10.9.0.3"));
	/* In the place of another one. */
	k->module.heard = true;
	t_user_connects(f, &k->module, ALICE);
	t_run_until(f, k->module.n_sessions == 0);
	t->priv->pairs[0].local.sa.sa_family = AF_INET;
	arrives(f, BOB);
	assert_true(goes_to_module(f, "10.9.0.3"));
}

/* Users are thrown out, and put into other groups, on both. */
static void test_users(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob;

	T_NEED(f);
	t = begin_move(f, &alice);
	bob = arrives(f, BOB);
	assert_int_equal(t_write_config(f, SERVER("preferred", NETWORK, "a")), 0);
	assert_int_equal(nx_manager_reload(f->m, (char[256]){ 0 }, 256), 0);
	t_run_until(f, k->module.sessions[0].group == nx_group_id("a") &&
			       k->user.stand_ins[0].group == nx_group_id("a"));
	assert_non_null(session_of(t, bob));
	/* That it does not last is this test's, which has no state directory. */
	(void)nx_tunnel_revoke(t, "bob", true);
	t_run_until(f, k->module.n_sessions == 0 && k->user.n_stand_ins == 0);
	assert_null(session_of(t, bob));
	assert_int_equal(k->user.n_sessions, 1);
	(void)nx_tunnel_revoke(t, "alice", true);
	t_run_until(f, k->user.n_sessions == 0 && k->module.n_stand_ins == 0);
	assert_null(session_of(t, alice));
}

static void test_disconnect(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice;

	T_NEED(f);
	t = begin_move(f, &alice);
	arrives(f, BOB);
	assert_int_equal(nx_tunnel_disconnect(t), 0);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	t_acknowledge(f, f->hsd, 0);
	t_expect_state(f, NX_TUNNEL_DISCONNECTED);
	assert_true(k->user.closes && k->module.closes);
	assert_int_equal(k->user.n_sessions + k->module.n_sessions, 0);
	assert_int_equal(if_nametoindex("nxtest0"), 0);
	t_run_until(f, !t_stored(f, "nexusq:office") && !t_stored(f, "tun:office"));
}

/* "required": the tunnel starts anew, on the module. */
static void test_required(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	uint64_t alice;

	T_NEED(f);
	/* 127.0.0.1 is no address of a machine that has others, unless this is up. */
	assert_int_equal(nx_link_configure(f->m->priv->nl, (int)if_nametoindex("lo"), 65536), 0);
	begin_move(f, &alice);
	arrives(f, BOB);
	assert_int_equal(t_write_config(f, SERVER("required", NETWORK, "b")), 0);
	assert_int_equal(nx_manager_reload(f->m, (char[256]){ 0 }, 256), 0);
	t_expect(f, f->hsd, HS_CMD_DEL_TUNNEL);
	t_acknowledge(f, f->hsd, 0);
	t_run_until(f, k->user.n_sessions + k->module.n_sessions == 0);
	t_listen_on(f, "nexus_quic_dco");
	t_user_connects(f, &k->module, ALICE);
}

/* ---- the control process restarts in the middle ---- */

static void test_restart(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	struct nx_tunnel *t;
	uint64_t alice, bob, fresh;
	int old;

	T_NEED(f);
	old = begin_move(f, &alice)->ifindex;
	bob = arrives(f, BOB);
	t_planes_restart(f);
	t_listen_on(f, "nexus-dp");
	t = t_office(f);
	assert_non_null(session_of(t, alice));
	assert_non_null(session_of(t, bob));
	assert_int_equal(t->ifindex, old);
	/* Those that stand in for others stay, so that there was no moment without them. */
	assert_int_equal(k->user.n_stand_ins, 1);
	assert_int_equal(k->module.n_stand_ins, 1);
	assert_int_equal(k->user.asked[NQD_CMD_DELETE_SESSION], 0);
	assert_int_equal(k->module.asked[NQD_CMD_DELETE_SESSION], 0);
	assert_true(goes_to_module(f, "10.9.0.3"));
	assert_false(goes_to_module(f, "10.9.0.2"));

	/* While Alice's new session waits. */
	fresh = t_user_connects(f, &k->module, ALICE);
	t_planes_restart(f);
	t_listen_on(f, "nexus-dp");
	t = t_office(f);
	assert_true(session_of(t, fresh)->waits);
	assert_false(session_of(t, alice)->waits);
	assert_false(goes_to_module(f, "10.9.0.2"));
	/* She is heard before this process knows. */
	k->module.heard = true;
	t_planes_restart(f);
	t_listen_on(f, "nexus-dp");
	t = t_office(f);
	t_run_until(f, session_of(t, fresh)->settled);
	assert_null(session_of(t, alice));
	assert_int_equal(session_of(t, fresh)->left, alice);
	assert_true(goes_to_module(f, "10.9.0.2"));
	k->user.n_sessions = 0;
	t_send_down(f, alice, NQD_DOWN_PEER_CLOSED);
	check_moved(f, old);
	assert_true(goes_to_module(f, "10.9.0.2"));
	assert_true(goes_to_module(f, "10.9.0.3"));
}

/* Somebody left while it was away. */
static void test_restart_orphans(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	uint64_t alice, bob;

	T_NEED(f);
	begin_move(f, &alice);
	bob = arrives(f, BOB);
	k->module.n_sessions = 0;
	t_planes_restart(f);
	t_listen_on(f, "nexus-dp");
	t_run_until(f, k->user.n_stand_ins == 0);
	assert_int_equal(k->module.n_stand_ins, 1);
	assert_null(session_of(t_office(f), bob));
	assert_non_null(session_of(t_office(f), alice));
}

/* The module was unloaded while it was away. */
static void test_restart_unloaded(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	uint64_t alice;
	unsigned int mark = next_mark();

	T_NEED(f);
	begin_move(f, &alice);
	arrives(f, BOB);
	t_module_unload(f);
	t_planes_restart(f);
	t_listen_on(f, "nexus-dp");
	assert_non_null(session_of(t_office(f), alice));
	t_run_until(f, k->user.n_stand_ins == 0);
	/* Nothing is led to where nobody is. */
	send_mark("10.9.0.3", mark);
	assert_true(arrived(t_office(f)->priv->tun_fd, mark));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, t_planes_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_devices),
		TEST(test_renewal),
		TEST(test_other_address),
		TEST(test_not_heard),
		TEST(test_left),
		TEST(test_unloaded),
		TEST(test_front_dies),
		TEST(test_refused),
		TEST(test_cancelled),
		TEST(test_not_kept_apart),
		TEST(test_no_socket),
		TEST(test_users),
		TEST(test_disconnect),
		TEST(test_required),
		TEST(test_restart),
		TEST(test_restart_orphans),
		TEST(test_restart_unloaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
