/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between the ABI tests and a data plane. The cases (test-abi*.c) and the helpers
 * (abi-client.c) speak in messages; how a message and its descriptors reach the data plane is the
 * transport's: abi-dp.c spawns nexus-dp and uses a socketpair, abi-genl.c sends the same bytes to the
 * kernel module over generic netlink.
 */
#ifndef ABI_TRANSPORT_H
#define ABI_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "nlcodec.h"
#include <linux/nexus_quic_dco.h>

#define ABI_TIMEOUT_MS 10000

struct abi;

struct abi_transport {
	const char *name;
	/* The kernel module: it makes its devices itself (the other is given a TUN device), and the
	 * kernel's core, which names none, tells its commands apart.
	 */
	bool module;
	/* Start a data plane (@program where there is one) and connect. 0 or -errno. */
	int (*open)(struct abi *abi, const char *program);
	void (*close)(struct abi *abi);
	/* nlmsg_type of requests. */
	uint16_t (*family)(struct abi *abi);
	/* Value of a descriptor attribute for @fd, which travels with the next send(). */
	uint32_t (*attach_fd)(struct abi *abi, int fd);
	int (*send)(struct abi *abi, const void *msg, size_t len);
	/* One message or event: its length, 0 = the data plane is gone, -ETIMEDOUT. */
	ssize_t (*recv)(struct abi *abi, void *buf, size_t cap, int timeout_ms);
	/* How many sockets and devices it holds beside those it had from the beginning. */
	int (*held)(struct abi *abi);
	/* Memory it uses, in KiB. */
	unsigned long (*memory_kib)(struct abi *abi);
	/* What came to data socket @udp and is nobody's, with its sender: as recv(). */
	ssize_t (*punted)(struct abi *abi, int udp, void *buf, size_t cap,
			  struct sockaddr_storage *from, int timeout_ms);
};

struct abi {
	const struct abi_transport *ops;
	int fd, punt_fd;
	pid_t pid;
	uint32_t seq;
	int fds[NQD_FDS_MAX];
	unsigned int n_fds;
	uint16_t genl_family;
	/* Messages of a datagram that have not been asked for yet: batch[batch_at..batch_len). */
	uint8_t batch[NQD_MSG_MAX_LEN];
	size_t batch_at, batch_len;
	uint8_t out[NQD_MSG_MAX_LEN], in[NQD_MSG_MAX_LEN];
	/* Events that came while an answer was awaited, by kind; */
	unsigned int events[NQD_EVENT_MAX + 1];
	/* what the last PATH_CHANGED and PATH_MTU_CHANGED said; and what FRAMES_PUNTED brought, in order. */
	struct sockaddr_storage path_remote;
	uint32_t path_mtu;
	uint8_t frames[8192];
	size_t frames_len;
};

extern const struct abi_transport abi_dp, abi_genl;

/* "module", or the path of nexus-dp. */
const struct abi_transport *abi_transport_for(const char *program);

#endif /* ABI_TRANSPORT_H */
