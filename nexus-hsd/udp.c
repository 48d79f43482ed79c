// SPDX-License-Identifier: GPL-2.0-or-later
/* Datagrams in and out of the handshake sockets, see udp.h. */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "udp.h"

#define ECN_MASK 3

/* Address, length of a segment (an int, received), mark. */
union control_buf {
	char v4[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)) +
		CMSG_SPACE(sizeof(int))];
	char v6[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)) +
		CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

void hs_udp_allow_fragments(int fd, int family, bool on)
{
	const int v4 = on ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE, dont = !on;
	const int v6 = on ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE;

	if (family == AF_INET) {
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4));
	} else {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof(v6));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &dont, sizeof(dont));
	}
}

int hs_udp_prepare(int fd, union hs_addr *name)
{
	socklen_t len = sizeof(*name);
	int one = 1, r;

	memset(name, 0, sizeof(*name));
	if (getsockname(fd, &name->sa, &len) < 0)
		return -errno;
	if (hs_addr_size(name) == 0)
		return -EAFNOSUPPORT;
	if (name->sa.sa_family == AF_INET) {
		r = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
		if (r == 0)
			r = setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	} else {
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
		if (r == 0)
			r = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one));
	}
	if (r < 0)
		return -errno;
	/* Who had it before may have been killed while he allowed them. */
	hs_udp_allow_fragments(fd, name->sa.sa_family, false);
	return 0;
}

/* The address the datagram was sent to, with the socket's port. */
static void local_of(struct msghdr *msg, const union hs_addr *name, union hs_addr *local)
{
	struct in6_pktinfo p6;
	struct in_pktinfo p4;
	struct cmsghdr *c;

	*local = *name;
	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
		    name->sa.sa_family == AF_INET) {
			memcpy(&p4, CMSG_DATA(c), sizeof(p4));
			local->in.sin_addr = p4.ipi_addr;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			   name->sa.sa_family == AF_INET6) {
			memcpy(&p6, CMSG_DATA(c), sizeof(p6));
			local->in6.sin6_addr = p6.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&p6.ipi6_addr))
				local->in6.sin6_scope_id = p6.ipi6_ifindex;
		}
	}
}

uint8_t hs_udp_ecn_of(struct msghdr *msg)
{
	struct cmsghdr *c;
	int v;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		/* One byte here, an int there. */
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			return *CMSG_DATA(c) & ECN_MASK;
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			return (uint8_t)(v & ECN_MASK);
		}
	}
	return 0;
}

size_t hs_udp_segment_of(struct msghdr *msg)
{
	struct cmsghdr *c;
	int v;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		return v > 0 ? (size_t)v : 0;
	}
	return 0;
}

/* Data sockets have UDP_GRO on. */
static void deliver_segments(const uint8_t *data, size_t len, size_t segment, struct hs_dgram *d,
			     hs_dgram_fn fn, void *arg)
{
	size_t at = 0;

	if (!segment)
		segment = len;
	do {
		d->data = data + at;
		d->len = len - at < segment ? len - at : segment;
		fn(arg, d);
		at += segment;
	} while (at < len);
}

int hs_udp_receive(int fd, struct hs_sock *sock, const union hs_addr *name, hs_dgram_fn fn,
		   void *arg)
{
	static uint8_t data[HS_UDP_BATCH][HS_UDP_PAYLOAD_MAX];
	union control_buf control[HS_UDP_BATCH];
	struct mmsghdr msgs[HS_UDP_BATCH];
	union hs_addr remote[HS_UDP_BATCH];
	struct iovec iov[HS_UDP_BATCH];
	struct hs_dgram d;
	int i, n = 0, more;

	memset(msgs, 0, sizeof(msgs));
	memset(remote, 0, sizeof(remote));
	for (i = 0; i < HS_UDP_BATCH; i++) {
		iov[i].iov_base = data[i];
		iov[i].iov_len = sizeof(data[i]);
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = &remote[i];
		msgs[i].msg_hdr.msg_namelen = sizeof(remote[i]);
		msgs[i].msg_hdr.msg_control = &control[i];
		msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	while (n < HS_UDP_BATCH) {
		more = recvmmsg(fd, msgs + n, (unsigned int)(HS_UDP_BATCH - n), MSG_DONTWAIT, NULL);
		if (more <= 0)
			return n ? n : more;
		for (i = n, n += more; i < n; i++) {
			if (hs_addr_set(&d.remote, &remote[i], msgs[i].msg_hdr.msg_namelen) < 0)
				continue;
			local_of(&msgs[i].msg_hdr, name, &d.local);
			d.sock = sock;
			d.ecn = hs_udp_ecn_of(&msgs[i].msg_hdr);
			deliver_segments(data[i], msgs[i].msg_len,
					 hs_udp_segment_of(&msgs[i].msg_hdr), &d, fn, arg);
		}
	}
	return n;
}

bool hs_udp_is_empty(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Append one ancillary datum to @msg, whose buffer has room for all. */
static void put_control(struct msghdr *msg, union control_buf *buf, int level, int type,
			const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(buf->v6 + msg->msg_controllen);

	msg->msg_control = buf;
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

/* Leave from @local; a wildcard leaves the choice to the kernel. */
static void set_source(struct msghdr *msg, union control_buf *buf, const union hs_addr *local)
{
	struct in6_pktinfo p6 = { .ipi6_ifindex = 0 };
	struct in_pktinfo p4 = { .ipi_ifindex = 0 };

	if (hs_addr_is_any(local))
		return;
	if (local->sa.sa_family == AF_INET) {
		p4.ipi_spec_dst = local->in.sin_addr;
		put_control(msg, buf, IPPROTO_IP, IP_PKTINFO, &p4, sizeof(p4));
		return;
	}
	p6.ipi6_addr = local->in6.sin6_addr;
	p6.ipi6_ifindex = local->in6.sin6_scope_id;
	put_control(msg, buf, IPPROTO_IPV6, IPV6_PKTINFO, &p6, sizeof(p6));
}

static void set_ecn(struct msghdr *msg, union control_buf *buf, int family, uint8_t ecn)
{
	int v = ecn;

	if (!ecn)
		return;
	if (family == AF_INET)
		put_control(msg, buf, IPPROTO_IP, IP_TOS, &v, sizeof(v));
	else
		put_control(msg, buf, IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v));
}

void hs_udp_mark(struct msghdr *msg, union hs_ecn_control *control, int family, uint8_t ecn)
{
	union control_buf buf;

	if (!ecn)
		return;
	memset(&buf, 0, sizeof(buf));
	set_ecn(msg, &buf, family, ecn);
	memcpy(control, &buf, sizeof(*control));
	msg->msg_control = control;
}

int hs_udp_send_segments(int fd, const union hs_addr *local, const union hs_addr *remote,
			 const void *data, size_t len, size_t segment, uint8_t ecn)
{
	const uint16_t cut = (uint16_t)segment;
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_name = (void *)remote,
		.msg_namelen = hs_addr_size(remote),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	union control_buf control;

	memset(&control, 0, sizeof(control));
	set_source(&msg, &control, local);
	if (cut)
		put_control(&msg, &control, SOL_UDP, UDP_SEGMENT, &cut, sizeof(cut));
	set_ecn(&msg, &control, remote->sa.sa_family, ecn);
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

int hs_udp_send(int fd, const union hs_addr *local, const union hs_addr *remote, const void *data,
		size_t len)
{
	return hs_udp_send_segments(fd, local, remote, data, len, 0, 0);
}
