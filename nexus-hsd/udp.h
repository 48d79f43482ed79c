/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams in and out of the handshake sockets. The sockets are bound and unconnected, often to a
 * wildcard: the local address of each datagram is taken from its control message, and answers leave
 * from the address that was talked to.
 */
#ifndef HS_UDP_H
#define HS_UDP_H

#include "addr.h"

/* Largest UDP payload that can be ours; a longer one is a stranger's and goes to the cover whole. */
#define HS_DGRAM_MAX 2048
#define HS_UDP_PAYLOAD_MAX 65536
#define HS_UDP_BATCH 16

struct hs_sock;

/* One UDP payload; the pointers are valid during the call that got it. */
struct hs_dgram {
	struct hs_sock *sock;
	union hs_addr local, remote;
	const uint8_t *data;
	size_t len;
};

typedef void (*hs_dgram_fn)(void *arg, const struct hs_dgram *d);

/* Ask the kernel for the local address of every datagram; fills @name with the bound address. */
int hs_udp_prepare(int fd, union hs_addr *name);
/* Read one batch and call @fn for each datagram. */
void hs_udp_receive(int fd, struct hs_sock *sock, const union hs_addr *name, hs_dgram_fn fn,
		    void *arg);
/* The same for segments of @segment bytes (the last may be shorter), which the kernel cuts apart. */
int hs_udp_send_segments(int fd, const union hs_addr *local, const union hs_addr *remote,
			 const void *data, size_t len, size_t segment);
/* 0 or -errno; -EAGAIN and -ENOBUFS are losses, which QUIC repairs. */
int hs_udp_send(int fd, const union hs_addr *local, const union hs_addr *remote, const void *data,
		size_t len);

#endif /* HS_UDP_H */
