// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control messages of the kernel module, with its coverage as feedback (see harness.h).
 *
 * The device fuzz0 and two UDP sockets, descriptors 0 and 1, are there before every input, as the corpus
 * of fuzz-dp-control expects; all sessions and other devices are gone after it. Every input runs in the
 * order of its messages, in one task, and what that executes is what is counted.
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
#include <sys/socket.h>
#include <unistd.h>

#include "grammar.h"
#include "harness.h"
#include "nlcodec.h"
#include <linux/nexus_quic_dco.h>

#define DEVICE "fuzz0"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static struct nl_sock *sock;
static int family, fail_nth = -1;

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
	(void)argc;
	(void)argv;
	open_sockets();
	harness_open();
	sock = nl_socket_alloc();
	if (!sock || genl_connect(sock))
		fatal("netlink");
	family = genl_ctrl_resolve(sock, NQD_GENL_NAME);
	if (family < 0)
		fatal("the module's family");
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

	harness_note(data, size);
	coverage_start(COVERAGE_TASK);
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
	coverage_stop();
	tidy_up(devices);
	return 0;
}
