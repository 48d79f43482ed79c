// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control messages of the kernel module, with its coverage as feedback. Runs as root in a guest of
 * tests/vm whose kernel has KCOV and a module built with it; a kernel that complains should panic, so
 * that the input which did it is the one in the file NETLINK_FUZZER_LAST.
 *
 * The device fuzz0 and two UDP sockets, descriptors 0 and 1, are there before every input, as the corpus
 * of fuzz-dp-control expects; all sessions and other devices are gone after it. Every input runs in the
 * order of its messages, in one task, so what KCOV counts is what they did.
 *
 * With NETLINK_FUZZER_FAULTS set an allocation fails in most messages; which one follows from the input.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "grammar.h"
#include "nlcodec.h"
#include <linux/kcov.h>
#include <linux/nexus_quic_dco.h>

#define COVER_WORDS (64 << 10)
#define COUNTERS (64 << 10)
#define DEVICE "fuzz0"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* libFuzzer reads these after each input, as if they were counters of its own coverage. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

static struct nl_sock *sock;
static int family, kcov, last_input = -1, fail_nth = -1;
static unsigned long *cover;

static void fatal(const char *what)
{
	perror(what);
	exit(2);
}

static void cover_start(void)
{
	__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
	if (ioctl(kcov, KCOV_ENABLE, KCOV_TRACE_PC))
		fatal("KCOV_ENABLE");
}

static void cover_stop(void)
{
	unsigned long i, n;

	if (ioctl(kcov, KCOV_DISABLE, 0))
		fatal("KCOV_DISABLE");
	n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n && i < COVER_WORDS; i++) {
		unsigned long pc = cover[i];
		uint8_t *counter = &counters[(pc ^ pc >> 16) % COUNTERS];

		if (*counter < UINT8_MAX)
			++*counter;
	}
}

/* Take all answers; a dump has more of them with each read. */
static void drain(void)
{
	static uint8_t buf[NQD_MSG_MAX_LEN];

	while (recv(nl_socket_get_fd(sock), buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		errno = 0;
}

/* Let allocation @n from now on fail, in this task; 0: none. */
static void fail_allocation(unsigned int n)
{
	char text[12];
	int len;

	if (fail_nth < 0)
		return;
	len = snprintf(text, sizeof(text), "%u", n);
	/* Reading @text may be what fails; it does only once. */
	if (pwrite(fail_nth, text, len, 0) != len && pwrite(fail_nth, text, len, 0) != len)
		fatal("fail-nth");
}

static void send_message(uint8_t *msg, size_t len)
{
	struct nlmsghdr *h = (struct nlmsghdr *)msg;

	if (len >= NLMSG_HDRLEN) {
		h->nlmsg_len = len;
		h->nlmsg_type = family;
		h->nlmsg_flags |= NLM_F_REQUEST;
		h->nlmsg_pid = 0;
	}
	send(nl_socket_get_fd(sock), msg, len, 0);
	drain();
}

/* A message of our own: @cmd for the device called @name. */
static void device_command(uint8_t cmd, const char *name)
{
	uint8_t buf[NLMSG_HDRLEN + GENL_HDRLEN + 2 * NLA_HDRLEN + IFNAMSIZ + NLA_ALIGNTO] = { 0 };
	size_t at = NLMSG_HDRLEN + GENL_HDRLEN, name_len = strlen(name) + 1;
	struct nlattr nest = { .nla_type = NQD_A_DEVICE | NLA_F_NESTED },
		      attr = { .nla_type = NQD_A_DEVICE_IFNAME };

	attr.nla_len = NLA_HDRLEN + name_len;
	nest.nla_len = NLA_HDRLEN + NLA_ALIGN(attr.nla_len);
	((struct nlmsghdr *)buf)->nlmsg_flags = NLM_F_ACK;
	buf[NLMSG_HDRLEN] = cmd;
	buf[NLMSG_HDRLEN + 1] = NQD_GENL_VERSION;
	memcpy(buf + at, &nest, sizeof(nest));
	memcpy(buf + at + NLA_HDRLEN, &attr, sizeof(attr));
	memcpy(buf + at + 2 * NLA_HDRLEN, name, name_len);
	send_message(buf, at + nest.nla_len);
}

static void tidy_up(bool devices)
{
	struct if_nameindex *list, *i;

	if (devices) {
		list = if_nameindex();
		for (i = list; i && i->if_index; i++)
			if (strcmp(i->if_name, "lo") && strcmp(i->if_name, DEVICE))
				device_command(NQD_CMD_DELETE_DEVICE, i->if_name);
		if_freenameindex(list);
		if (!if_nametoindex(DEVICE))
			device_command(NQD_CMD_CREATE_DEVICE, DEVICE);
	}
	device_command(NQD_CMD_DELETE_SESSION, DEVICE);
}

static void open_sockets(void)
{
	struct sockaddr_in local = { .sin_family = AF_INET };
	int fd;

	local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (fd = 0; fd < 2; fd++) {
		int s = socket(AF_INET, SOCK_DGRAM, 0);

		local.sin_port = htons(4433 + fd);
		if (s < 0 || bind(s, (struct sockaddr *)&local, sizeof(local)) || dup2(s, fd) < 0)
			fatal("UDP socket");
		if (s != fd)
			close(s);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("NETLINK_FUZZER_LAST");

	(void)argc;
	(void)argv;
	open_sockets();
	kcov = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (kcov < 0 || ioctl(kcov, KCOV_INIT_TRACE, COVER_WORDS))
		fatal("/sys/kernel/debug/kcov");
	cover = mmap(NULL, COVER_WORDS * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED, kcov,
		     0);
	if (cover == MAP_FAILED)
		fatal("coverage");
	sock = nl_socket_alloc();
	if (!sock || genl_connect(sock))
		fatal("netlink");
	family = genl_ctrl_resolve(sock, NQD_GENL_NAME);
	if (family < 0)
		fatal("the module's family");
	if (name)
		last_input = open(name, O_RDWR | O_CREAT | O_TRUNC | O_SYNC | O_CLOEXEC, 0600);
	if (getenv("NETLINK_FUZZER_FAULTS"))
		fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	device_command(NQD_CMD_CREATE_DEVICE, DEVICE);
	if (!if_nametoindex(DEVICE))
		fatal("no device " DEVICE);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return grammar_mutate(data, size, max_size, seed, LLVMFuzzerMutate);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t msg[1 << 16];
	bool devices = false;
	uint32_t hash = 2166136261u;

	if (last_input >= 0 &&
	    (ftruncate(last_input, 0) || pwrite(last_input, data, size, 0) != (ssize_t)size))
		fatal("NETLINK_FUZZER_LAST");
	cover_start();
	while (size >= 2) {
		size_t len = data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		memcpy(msg, data, len);
		if (len > NLMSG_HDRLEN && (msg[NLMSG_HDRLEN] == NQD_CMD_CREATE_DEVICE ||
					   msg[NLMSG_HDRLEN] == NQD_CMD_DELETE_DEVICE))
			devices = true;
		for (size_t i = 0; i < len; i++)
			hash = (hash ^ data[i]) * 16777619u;
		fail_allocation(hash % 4 ? 1 + hash / 4 % 64 : 0);
		send_message(msg, len);
		fail_allocation(0);
		data += len;
		size -= len;
	}
	cover_stop();
	tidy_up(devices);
	return 0;
}
