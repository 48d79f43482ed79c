/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams in and out of the handshake sockets. The sockets are bound and unconnected, often to a
 * wildcard: the local address of each datagram is taken from its control message, and answers leave
 * from the address that was talked to. The two ECN bits (RFC 3168) come with every datagram and go
 * with what is relayed; the rest of that byte of the IP header, the DSCP, is the kernel's.
 */
#ifndef HS_UDP_H
#define HS_UDP_H

#include <sys/socket.h>
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
	uint8_t ecn;
};

/* Room for the ECN bits of one message. */
union hs_ecn_control {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

typedef void (*hs_dgram_fn)(void *arg, const struct hs_dgram *d);

/*
 * Ask the kernel for the local address and the mark of every datagram, and have what is sent carry DF; fills
 * @name with the bound address.
 */
int hs_udp_prepare(int fd, union hs_addr *name);
/*
 * Read one batch, what comes while it is worked off included, and call @fn, which leaves @fd open, for each
 * datagram; how many came, or -1 if none could be read. Their bytes stay until the next call.
 */
int hs_udp_receive(int fd, struct hs_sock *sock, const union hs_addr *name, hs_dgram_fn fn,
		   void *arg);
/* There is nothing to read now. */
bool hs_udp_is_empty(int fd);
/* 0 or -errno; -EAGAIN and -ENOBUFS are losses, which QUIC repairs. Not marked. */
int hs_udp_send(int fd, const union hs_addr *local, const union hs_addr *remote, const void *data,
		size_t len);
/*
 * The same with a mark, for segments of @segment bytes (the last may be shorter), which the kernel cuts
 * apart; 0: one datagram.
 */
int hs_udp_send_segments(int fd, const union hs_addr *local, const union hs_addr *remote,
			 const void *data, size_t len, size_t segment, uint8_t ecn);

/*
 * May what is sent be fragmented from now on? IPv4 has no way to say it of one datagram. But the kernel
 * decides while it is being sent, and nobody sends on these sockets but this process, which has one thread:
 * turned on and off around one call it holds for that datagram alone.
 */
void hs_udp_allow_fragments(int fd, int family, bool on);

/* Of a received message, whose control data must have been asked for: the mark; */
uint8_t hs_udp_ecn_of(struct msghdr *msg);
/* and the bytes of each datagram of a buffer in which the kernel has joined several; 0: it is one. */
size_t hs_udp_segment_of(struct msghdr *msg);
/* Mark a message that has no other control data; 0 needs none. @control must live until it is sent. */
void hs_udp_mark(struct msghdr *msg, union hs_ecn_control *control, int family, uint8_t ecn);

#endif /* HS_UDP_H */
