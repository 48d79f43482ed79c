// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What only the kernel module can get wrong: sockets that are closed under it, processes that die,
 * namespaces, privileges, interfaces of other kinds, memory that is not there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../dir-entries.h"
#include "t-abi.h"

/* Ask until the event has come: answers and events share the socket. */
static void await_event(unsigned int type, unsigned int n)
{
	struct nxm m;

	while (t_abi.events[type] < n) {
		abi_begin(&t_abi, &m, NQD_CMD_GET_CAPS, 0);
		assert_int_equal(abi_call(&t_abi, &m, NULL, NULL, NULL), 0);
	}
}

static void await_held(int n)
{
	while (t_held() != n)
		sched_yield();
}

/* The last descriptor of a socket is closed under two sessions; a third uses another one. */
static void socket_is_closed(void **state)
{
	struct abi_session s = t_session(1);
	struct sockaddr_storage bound;
	struct nxm_error e;
	struct t_found f;
	int held, fd;

	T_ONLY_MODULE();
	held = t_held();
	fd = abi_open_udp("127.0.0.1", 0, &bound);
	s.socket = fd;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	s.id = s.number = 2;
	s.no_keys = true;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	s = t_session(3);
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_int_equal(t_held(), held + 2);
	close(fd);
	await_event(NQD_EVENT_SESSION_DOWN, 2);
	await_held(held + 1);
	f = t_dump(NQD_CMD_GET_STATS);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.id, 3);
	/* Its port is free. */
	fd = abi_open_udp("127.0.0.1", ntohs(((struct sockaddr_in *)&bound)->sin_port), &bound);
	assert_true(fd >= 0);
	close(fd);
}

/* A socket that only the device uses, and one that two devices share. */
static void socket_of_devices_is_closed(void **state)
{
	struct sockaddr_storage bound;
	struct nxm_error e;
	struct nxm m;
	int held, fd, i;
	size_t nest;

	T_ONLY_MODULE();
	held = t_held();
	fd = abi_open_udp("127.0.0.1", 0, &bound);
	for (i = 0; i < 2; i++) {
		abi_begin(&t_abi, &m, NQD_CMD_CREATE_DEVICE, 0);
		nest = nxm_nest_begin(&m, NQD_A_DEVICE);
		nxm_put_str(&m, NQD_A_DEVICE_IFNAME, i ? "nxt0" : "nxt1");
		abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, fd);
		/* The same twice is once more a use of it. */
		abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, fd);
		nxm_nest_end(&m, nest);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	}
	assert_int_equal(t_held(), held + 2);
	close(fd);
	await_held(held + 1);
}

static void process_dies(void **state)
{
	struct abi_session s = t_session(1);
	struct sockaddr_storage bound;
	struct nxm_error e;
	int held, status;
	pid_t pid;

	T_ONLY_MODULE();
	held = t_held();
	pid = fork();
	if (!pid) {
		struct abi own;

		s.socket = abi_open_udp("127.0.0.1", 0, &bound);
		if (abi_genl.open(&own, "module") || abi_add_session(&own, &s, &e))
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	await_event(NQD_EVENT_SESSION_DOWN, 1);
	await_held(held);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(t_dump(NQD_CMD_GET_EVENTS).reason, NQD_DOWN_SOCKET_ERROR);
}

/* Sockets that are not UDP, not bound, another tunnel's, or of another namespace. */
static void foreign_sockets(void **state)
{
	struct abi_session s = t_session(1);
	int held, encap = UDP_ENCAP_ESPINUDP, own;
	struct sockaddr_storage bound;
	struct nxm_error e;

	T_ONLY_MODULE();
	held = t_held();
	s.socket = -1;
	t_expect(abi_add_session(&t_abi, &s, &e), -EBADF, &e, "NQD_A_SESSION_SOCKET_FD");
	s.socket = socket(AF_INET, SOCK_STREAM, 0);
	t_expect(abi_add_session(&t_abi, &s, &e), -ENOTSOCK, &e, "NQD_A_SESSION_SOCKET_FD");
	close(s.socket);
	s.socket = socket(AF_UNIX, SOCK_DGRAM, 0);
	t_expect(abi_add_session(&t_abi, &s, &e), -ENOTSOCK, &e, "NQD_A_SESSION_SOCKET_FD");
	close(s.socket);
	s.socket = socket(AF_INET, SOCK_DGRAM, 0);
	t_expect(abi_add_session(&t_abi, &s, &e), -EDESTADDRREQ, &e, "NQD_A_SESSION_SOCKET_FD");
	close(s.socket);
	s.socket = abi_open_udp("127.0.0.1", 0, &bound);
	if (!setsockopt(s.socket, IPPROTO_UDP, UDP_ENCAP, &encap, sizeof(encap)))
		t_expect(abi_add_session(&t_abi, &s, &e), -EBUSY, &e, "another tunnel");
	close(s.socket);
	own = open("/proc/self/ns/net", O_RDONLY);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	s.socket = abi_open_udp("0.0.0.0", 0, &bound);
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	close(own);
	t_expect(abi_add_session(&t_abi, &s, &e), -EXDEV, &e, "another network namespace");
	close(s.socket);
	assert_int_equal(t_held(), held);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
}

/* How many datagrams its owner reads of 300 bytes that were sent as three of 100. */
static unsigned int datagrams_of_three(int fd, const struct sockaddr_storage *to)
{
	int from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), segment = 100;
	unsigned int n = 0, bytes = 0;
	uint8_t buf[300] = { 0 };
	ssize_t r;

	assert_int_equal(setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	assert_int_equal(sendto(from, buf, 300, 0, (void *)to, sizeof(struct sockaddr_in)), 300);
	close(from);
	while (bytes < 300) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
		r = recv(fd, buf, sizeof(buf), 0);
		assert_true(r > 0);
		bytes += r;
		n++;
	}
	return n;
}

static int gro_of(int fd)
{
	socklen_t len = sizeof(int);
	int on = -1;

	assert_int_equal(getsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, &len), 0);
	return on;
}

/* Whether it has asked for several datagrams at a time or not, its owner has what he had. */
static void socket_is_given_back(void **state)
{
	struct abi_session s = t_session(1);
	struct sockaddr_storage bound;
	int had, held, before;
	struct nxm_error e;

	T_ONLY_MODULE();
	held = t_held();
	s.no_keys = true;
	for (had = 0; had < 2; had++) {
		s.socket = abi_open_udp("127.0.0.1", 0, &bound);
		assert_int_equal(setsockopt(s.socket, IPPROTO_UDP, UDP_GRO, &had, sizeof(had)), 0);
		before = datagrams_of_three(s.socket, &bound);
		assert_int_equal(before, had ? 1 : 3);
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
		assert_int_equal(gro_of(s.socket), 1);
		t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
		await_held(held);
		assert_int_equal(gro_of(s.socket), had);
		assert_int_equal(datagrams_of_three(s.socket, &bound), before);
		close(s.socket);
	}
}

/* Sockets have threads and buffers: a namespace has a bounded number of them. */
static void too_many_sockets(void **state)
{
	struct abi_session s = t_session(0);
	struct sockaddr_storage bound;
	int fds[400], n = 0, err = 0;
	struct nxm_error e;

	T_ONLY_MODULE();
	s.no_keys = true;
	while (!err && n < 400) {
		s.id = ++s.serial;
		s.socket = fds[n++] = abi_open_udp("127.0.0.1", 0, &bound);
		err = abi_add_session(&t_abi, &s, &e);
	}
	t_expect(err, -ENOSPC, &e, "NQD_A_SESSION_SOCKET_FD: 256");
	assert_int_equal(s.id, 257);
	/* The one that is given back is another's. */
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	while (n)
		close(fds[--n]);
}

/* What one namespace has, another does not see, and cannot end. */
static void namespaces(void **state)
{
	struct abi_session s = t_session(1);
	struct abi here = t_abi;
	struct nxm_error e;
	int own, held;

	T_ONLY_MODULE();
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	held = t_held();
	own = open("/proc/self/ns/net", O_RDONLY);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(abi_genl.open(&t_abi, "module"), 0);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(t_dump(NQD_CMD_GET_EVENTS).n, 0);
	t_expect(t_simple(NQD_CMD_GET_STATS, 1, 0, &e), -ENOENT, &e, "NQD_A_SESSION_ID");
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &s, &e), -ENODEV, &e, "NQD_A_DEVICE");
	/* The same names here are other things. */
	t_expect(abi_create_device(&t_abi, 0, "nxt0", &e), 0, &e, NULL);
	t_expect(abi_add_session(&t_abi, &s, &e), -EXDEV, &e, "NQD_A_SESSION_SOCKET_FD");
	abi_genl.close(&t_abi);
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	close(own);
	t_abi = here;
	assert_int_equal(t_held(), held);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).id, 1);
}

static int drop_net_admin(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &hdr, caps))
		return -errno;
	caps[0].effective &= ~(1u << CAP_NET_ADMIN);
	return syscall(SYS_capset, &hdr, caps) ? -errno : 0;
}

static int restore_net_admin(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &hdr, caps))
		return -errno;
	caps[0].effective |= 1u << CAP_NET_ADMIN;
	return syscall(SYS_capset, &hdr, caps) ? -errno : 0;
}

/* No command, and no event, for who may not administer the network. */
static void not_an_administrator(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	struct abi other;
	struct nxm m;
	int i, err;

	T_ONLY_MODULE();
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_int_equal(drop_net_admin(), 0);
	for (i = NQD_CMD_GET_CAPS; i < NQD_CMD_EVENT; i++) {
		abi_begin(&t_abi, &m, i, 0);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EPERM, &e, NULL);
		abi_begin(&t_abi, &m, i, NLM_F_DUMP);
		err = abi_call(&t_abi, &m, &e, NULL, NULL);
		assert_true(err == -EPERM || err == -EOPNOTSUPP);
	}
	err = abi_genl.open(&other, "module");
	assert_int_equal(restore_net_admin(), 0);
	assert_int_equal(err, -EPERM);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 1);
}

static void delete_device(const char *name)
{
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	abi_begin(&t_abi, &m, NQD_CMD_DELETE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, name);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
}

/* By whatever means the device goes, its sessions go with it. */
static void device_goes(void **state)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;
	int held;

	T_ONLY_MODULE();
	held = t_held();
	t_add_route(&s, "10.7.0.5", 32);
	t_add_route(&s, "fd07::5", 128);
	s.flags = NQD_SESSION_F_DEFAULT_ROUTE;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	s.id = s.number = 2;
	s.flags = 0;
	s.no_keys = true;
	s.n_routes = 0;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	assert_int_equal(system("ip link delete nxt0"), 0);
	await_event(NQD_EVENT_SESSION_DOWN, 2);
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 0);
	assert_int_equal(t_held(), held - 1);
}

/* Interfaces of other kinds are not ours to make or delete. */
static void other_interfaces(void **state)
{
	struct nxm_error e;
	struct nxm m;
	size_t nest;

	T_ONLY_MODULE();
	t_expect(abi_create_device(&t_abi, 0, "lo", &e), -EEXIST, &e, "NQD_A_DEVICE_IFNAME");
	delete_device("lo");
	assert_true(if_nametoindex("lo"));
	abi_begin(&t_abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_u32(&m, NQD_A_DEVICE_IFINDEX, if_nametoindex("lo"));
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -ENODEV, &e, "NQD_A_DEVICE_IFINDEX");
	abi_begin(&t_abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, "no/good");
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EINVAL, &e, "NQD_A_DEVICE_IFNAME");
	abi_begin(&t_abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	abi_put_fd(&t_abi, &m, NQD_A_DEVICE_TUN_FD, 0);
	nxm_nest_end(&m, nest);
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), -EOPNOTSUPP, &e, "NQD_A_DEVICE_TUN_FD");
}

/* Network namespaces that the module knows. */
static int known_namespaces(void)
{
	int n = t_dir_entries("/sys/kernel/debug/nexus_quic_dco");

	assert_true(n > 0);
	return n;
}

/* Each with a device, sessions and sockets in use, and deleted with all of them. */
static void namespaces_come_and_go(void **state)
{
	int i, known, own, cycles = getenv("T_CYCLES") ? atoi(getenv("T_CYCLES")) : 1000;
	struct abi here = t_abi;

	T_ONLY_MODULE();
	known = known_namespaces();
	own = open("/proc/self/ns/net", O_RDONLY);
	for (i = 0; i < cycles; i++) {
		struct abi_session s = t_session(1);
		struct sockaddr_storage bound;
		struct nxm_error e;

		assert_int_equal(unshare(CLONE_NEWNET), 0);
		s.socket = abi_open_udp("0.0.0.0", 0, &bound);
		assert_int_equal(abi_genl.open(&t_abi, "module"), 0);
		t_expect(abi_create_device(&t_abi, 0, "nxt0", &e), 0, &e, NULL);
		t_add_route(&s, "10.7.0.5", 32);
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
		s.id = s.number = 2;
		s.n_routes = 0;
		s.no_keys = true;
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
		abi_genl.close(&t_abi);
		close(s.socket);
	}
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	close(own);
	t_abi = here;
	/* They are cleaned up behind us, and debugfs tells only who asks again: between two questions
	 * the one processor of a debug kernel is left to those who clean up.
	 */
	for (i = 0; known_namespaces() > known && i < 600; i++)
		usleep(100000);
	/* One of an earlier case may have gone as well. */
	assert_true(known_namespaces() <= known);
}

/* ---- tunnels through tunnels ---- */

#define NESTED 40

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* Device @i has 10.99.i.2, and the peer of its session is reached by the next one. */
static void add_nested(int i)
{
	struct abi_session s = t_session(1 + i);
	struct sockaddr_in *to = (void *)&s.remote;
	struct sockaddr_storage bound;
	struct nxm_error e;
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "nxn%d", i);
	s.ifname = name;
	s.flags = NQD_SESSION_F_DEFAULT_ROUTE;
	s.mtu = 8000;
	s.socket = abi_open_udp("0.0.0.0", 0, &bound);
	if (i + 1 < NESTED)
		to->sin_addr.s_addr = htonl(0x0a630001 + ((i + 1) << 8));
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	/* Kept open until the process ends. */
}

/* A packet that goes through many devices is sealed for each of them, whatever stack there is. */
static void tunnels_through_tunnels(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct nxm_error e;
	char name[IFNAMSIZ];
	time_t end;
	int i, fd;

	T_ONLY_MODULE();
	for (i = 0; i < NESTED; i++) {
		snprintf(name, sizeof(name), "nxn%d", i);
		t_expect(abi_create_device(&t_abi, 0, name, &e), 0, &e, NULL);
		run("ip address add 10.99.%d.2/24 dev %s && ip link set %s mtu 9000 up", i, name,
		    name);
	}
	for (i = 0; i < NESTED; i++)
		add_nested(i);
	to.sin_addr.s_addr = htonl(0x0a630001);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sendto(fd, "nested", 6, 0, (struct sockaddr *)&to, sizeof(to)), 6);
	close(fd);
	for (end = time(NULL) + 20; !abi_stat(&t_abi, NESTED, NQD_A_STATS_L3_TX_PACKETS);)
		assert_true(time(NULL) < end);
}

/* ---- allocations that fail ---- */

/*
 * The requests are answered while they are sent, by the sender's own task: so the fault is armed
 * for that long, and never strikes the test's own calls.
 */
static struct {
	int fd; /* /proc/thread-self/fail-nth: opening it takes memory */
	unsigned int nth; /* the allocation of the next request that fails */
	bool hit;
} fault;

static int faulty_send(struct abi *abi, const void *msg, size_t len)
{
	char text[16] = "";
	int err, n;

	n = snprintf(text, sizeof(text), "%u", fault.nth);
	if (pwrite(fault.fd, text, n, 0) != n)
		return -EIO;
	err = abi_genl.send(abi, msg, len);
	/* What is left of the count; copying it out may be what fails then. */
	memset(text, 0, sizeof(text));
	n = pread(fault.fd, text, sizeof(text) - 1, 0);
	fault.hit = n > 0 && !strtoul(text, NULL, 10);
	while (pwrite(fault.fd, "0", 1, 0) != 1)
		;
	return err;
}

/* Requests of every kind. */
static int try_device(struct nxm_error *e)
{
	return abi_create_device(&t_abi, 0, "nxt9", e);
}

static int try_session(struct nxm_error *e)
{
	struct abi_session s = t_session(7);

	s.secrets = true;
	t_add_route(&s, "10.7.0.5", 32);
	t_add_route(&s, "10.7.0.0", 16);
	t_add_route(&s, "fd07::5", 128);
	s.flags = NQD_SESSION_F_REPLACE;
	s.user = 9;
	return abi_add_session(&t_abi, &s, e);
}

static int try_keyless(struct nxm_error *e)
{
	struct abi_session s = t_session(7);

	s.no_keys = true;
	return abi_add_session(&t_abi, &s, e);
}

static int try_keys(struct nxm_error *e)
{
	struct abi_session s = t_session(8);
	struct nxm m;

	s.secrets = true;
	s.cipher = NQD_CIPHER_AES_256_GCM;
	nxm_nest_end(&m, t_begin_session(&m, NQD_CMD_SET_KEYS, 8));
	abi_put_keys(&m, &s);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

static int try_route(struct nxm_error *e)
{
	static const uint8_t net[] = { 10, 8, 1, 0 };

	return t_route_command(NQD_CMD_ADD_ROUTE, 6, net, 4, 24, e);
}

static int try_update(struct nxm_error *e)
{
	struct nxm m;
	size_t nest = t_begin_session(&m, NQD_CMD_UPDATE_SESSION, 6);

	nxm_put_u32(&m, NQD_A_SESSION_PEER_GROUP, 5);
	nxm_put(&m, NQD_A_SESSION_TX_FRAMES, "\x01", 1);
	nxm_nest_end(&m, nest);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

static int try_stats(struct nxm_error *e)
{
	return t_simple(NQD_CMD_GET_STATS, 6, 0, e);
}

static int try_dump(struct nxm_error *e)
{
	struct nxm m;

	abi_begin(&t_abi, &m, NQD_CMD_GET_EVENTS, NLM_F_DUMP);
	return abi_call(&t_abi, &m, e, NULL, NULL);
}

static int try_delete(struct nxm_error *e)
{
	return t_simple(NQD_CMD_DELETE_SESSION, 7, 0, e);
}

static int try_sockets(struct nxm_error *e)
{
	struct sockaddr_storage bound;
	int fd = abi_open_udp("127.0.0.1", 0, &bound), err;
	struct nxm m;
	size_t nest = t_begin_device(&m, NQD_CMD_CREATE_DEVICE);

	abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, t_udp);
	abi_put_fd(&t_abi, &m, NQD_A_DEVICE_SOCKET_FD, fd);
	nxm_nest_end(&m, nest);
	err = abi_call(&t_abi, &m, e, NULL, NULL);
	close(fd);
	return err;
}

/* What the requests are about: 6 is asked and changed, 8 waits for keys. */
static void add_eight(void)
{
	struct abi_session s = t_session(8);
	struct nxm_error e;

	s.cipher = NQD_CIPHER_AES_256_GCM;
	s.no_keys = true;
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
}

static void make_scene(void)
{
	struct abi_session s = t_session(6);
	struct nxm_error e;

	s.secrets = true;
	s.user = 9;
	t_add_route(&s, "10.8.0.0", 24);
	t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	add_eight();
}

/* ---- after each try the scene is as it was ---- */

static void undo_device(void)
{
	delete_device("nxt9");
}

static void undo_session(void)
{
	struct nxm_error e;

	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 7, 0, &e), 0, &e, NULL);
}

static void undo_keys(void)
{
	struct nxm_error e;

	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 8, 0, &e), 0, &e, NULL);
	add_eight();
}

static void undo_route(void)
{
	static const uint8_t net[] = { 10, 8, 1, 0 };
	struct nxm_error e;

	t_expect(t_route_command(NQD_CMD_DELETE_ROUTE, 6, net, 4, 24, &e), 0, &e, NULL);
}

static void undo_sockets(void)
{
	struct nxm_error e;
	struct nxm m;

	nxm_nest_end(&m, t_begin_device(&m, NQD_CMD_CREATE_DEVICE));
	t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
}

static void undo_nothing(void)
{
}

static const struct {
	const char *name;
	int (*fn)(struct nxm_error *e);
	void (*undo)(void);
	unsigned int step; /* most allocations of a device are the core's */
} requests[] = {
	{ "session", try_session, undo_session, 1 },
	{ "session without keys", try_keyless, undo_session, 1 },
	{ "keys", try_keys, undo_keys, 1 },
	{ "route", try_route, undo_route, 1 },
	{ "update", try_update, undo_nothing, 1 },
	{ "statistics", try_stats, undo_nothing, 1 },
	{ "events", try_dump, undo_nothing, 1 },
	{ "delete", try_delete, undo_nothing, 1 },
	{ "sockets", try_sockets, undo_sockets, 1 },
	{ "device", try_device, undo_device, 7 },
};

/* Every allocation of request @i fails once. Returns how many refusals that made. */
static unsigned int fail_each(const struct abi_transport *faulty, unsigned int i, int held)
{
	unsigned int failed = 0;
	struct nxm_error e;
	int err;

	for (fault.nth = 1, fault.hit = true; fault.hit; fault.nth += requests[i].step) {
		if (requests[i].fn == try_delete)
			t_expect(try_keyless(&e), 0, &e, NULL);
		t_abi.ops = faulty;
		err = requests[i].fn(&e);
		t_abi.ops = &abi_genl;
		failed += !!err;
		if (!fault.hit && err)
			fail_msg("%s: %d though no allocation failed: %s", requests[i].name, err,
				 e.text);
		if (requests[i].fn == try_delete)
			undo_session();
		requests[i].undo();
		await_held(held);
		assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, 2);
	}
	print_message("  %s: %u allocations, %u refusals\n", requests[i].name,
		      fault.nth - 1 - requests[i].step, failed);
	return failed;
}

static void allocation_failures(void **state)
{
	struct abi_transport faulty = abi_genl;
	unsigned int i;
	int held;

	T_ONLY_MODULE();
	fault.fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fault.fd < 0)
		skip();
	faulty.send = faulty_send;
	make_scene();
	held = t_held();
	/* Sending a request takes memory at least. */
	for (i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		assert_true(fail_each(&faulty, i, held) > 0);
	close(fault.fd);
}

/* ---- the module goes ---- */

#define CLOSING 60

/*
 * Sessions that say goodbye after their device is gone, each on a socket of its own, whose end
 * takes a grace period: so their time is over while the module, on its way out, ends them one by
 * one.
 */
static void unloaded_while_sessions_close(void **state)
{
	struct sockaddr_storage bound;
	struct nxm_error e;
	struct nxm m;
	size_t nest;
	int i;

	T_ONLY_MODULE();
	for (i = 1; i <= CLOSING; i++) {
		struct abi_session s = t_session(i);

		s.socket = abi_open_udp("127.0.0.1", 0, &bound);
		t_expect(abi_add_session(&t_abi, &s, &e), 0, &e, NULL);
	}
	for (i = 1; i <= CLOSING; i++) {
		nest = t_begin_session(&m, NQD_CMD_DELETE_SESSION, i);
		nxm_put_u64(&m, NQD_A_SESSION_CLOSE_CODE, 0);
		nxm_nest_end(&m, nest);
		t_expect(abi_call(&t_abi, &m, &e, NULL, NULL), 0, &e, NULL);
	}
	delete_device("nxt0");
	assert_int_equal(t_dump(NQD_CMD_GET_STATS).n, CLOSING);
	run("rmmod nexus_quic_dco");
	run("modprobe nexus_quic_dco");
}

int main(int argc, char **argv)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, t_setup, t_teardown)
	const struct CMUnitTest tests[] = {
		CASE(socket_is_closed),
		CASE(socket_of_devices_is_closed),
		CASE(process_dies),
		CASE(foreign_sockets),
		CASE(socket_is_given_back),
		CASE(too_many_sockets),
		CASE(namespaces),
		CASE(not_an_administrator),
		CASE(device_goes),
		CASE(other_interfaces),
		CASE(namespaces_come_and_go),
		CASE(tunnels_through_tunnels),
		CASE(allocation_failures),
		CASE(unloaded_while_sessions_close),
	};

	/* One case alone, by its name (or a pattern). */
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	t_program = "module";
	return cmocka_run_group_tests(tests, t_group_setup, NULL);
}
