// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UDP sockets: taken over from the control process, shared by the sessions that use them, and sent
 * on in bursts. Runs of packets of equal size leave as one message with UDP_SEGMENT, several runs
 * as one sendmmsg(). A socket that takes no more keeps the rest of the burst until EPOLLOUT.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "dp.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

static void set_options(int fd, bool v6)
{
	int on = 1, mtu = IPV6_PMTUDISC_PROBE;

	/* PROBE: never fragment, and believe no ICMP about the path: the engine finds out itself.
	 * Each is an improvement that the data path can do without. */
	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	if (v6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &mtu, sizeof(mtu));
	}
	mtu = IP_PMTUDISC_PROBE;
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &mtu, sizeof(mtu));
}

static void socket_events(struct dp *dp, struct dp_watch *w, u32 events);

/* Is it a bound UDP socket over IP? Its address and cookie. */
static int inspect(int fd, struct nqd_socket *sock)
{
	socklen_t len = sizeof(sock->bound), int_len = sizeof(int),
		  cookie_len = sizeof(sock->cookie);
	int type, proto;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) < 0 || type != SOCK_DGRAM ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &int_len) < 0 || proto != IPPROTO_UDP ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &sock->cookie, &cookie_len) < 0)
		return -ENOTSOCK;
	if (getsockname(fd, &sock->bound.sa, &len) < 0)
		return -errno;
	if (sock->bound.sa.sa_family == AF_INET)
		sock->port = sock->bound.in.sin_port;
	else if (sock->bound.sa.sa_family == AF_INET6)
		sock->port = sock->bound.in6.sin6_port;
	else
		return -EAFNOSUPPORT;
	return sock->port ? 0 : -EDESTADDRREQ;
}

struct nqd_socket *dp_socket_get(struct dp *dp, int fd, int *err)
{
	struct nqd_socket *sock = calloc(1, sizeof(*sock)), *known;

	*err = sock ? inspect(fd, sock) : -ENOMEM;
	if (*err)
		goto refuse;
	TAILQ_FOREACH (known, &dp->sockets, entry) {
		if (known->cookie != sock->cookie)
			continue;
		/* Another descriptor of a socket we have. */
		known->refs++;
		free(sock);
		close(fd);
		return known;
	}
	sock->watch.fn = socket_events;
	sock->watch.fd = fd;
	sock->refs = 1;
	sock->gso = dp->udp_gso;
	TAILQ_INIT(&sock->pending);
	LIST_INIT(&sock->blocked);
	set_options(fd, sock->bound.sa.sa_family == AF_INET6);
	*err = dp_watch_add(dp, &sock->watch, EPOLLIN);
	if (*err)
		goto refuse;
	TAILQ_INSERT_TAIL(&dp->sockets, sock, entry);
	return sock;

refuse:
	free(sock);
	close(fd);
	return NULL;
}

static void destroy(struct dp *dp, struct nqd_socket *sock)
{
	struct dp_out *out;

	while ((out = TAILQ_FIRST(&sock->pending))) {
		TAILQ_REMOVE(&sock->pending, out, entry);
		dp_out_put(dp, out);
	}
	while (!LIST_EMPTY(&sock->blocked))
		dp_socket_wait_no_more(LIST_FIRST(&sock->blocked));
	dp_watch_close(dp, &sock->watch);
	TAILQ_REMOVE(&dp->sockets, sock, entry);
	free(sock);
}

void dp_socket_put(struct dp *dp, struct nqd_socket *sock)
{
	if (sock && !--sock->refs)
		destroy(dp, sock);
}

void dp_socket_put_later(struct dp *dp, struct nqd_socket *sock)
{
	if (sock && !--sock->refs)
		dp->idle_sockets = true;
}

void dp_sockets_reap(struct dp *dp)
{
	struct nqd_socket *sock, *next;

	dp->idle_sockets = false;
	for (sock = TAILQ_FIRST(&dp->sockets); sock; sock = next) {
		next = TAILQ_NEXT(sock, entry);
		if (!sock->refs)
			destroy(dp, sock);
	}
}

/* Room for UDP_SEGMENT, ECN and source address. */
struct control {
	_Alignas(struct cmsghdr) u8 bytes[CMSG_SPACE(2) + CMSG_SPACE(sizeof(int)) +
					  CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static void put_cmsg(struct msghdr *msg, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *cm = (struct cmsghdr *)((u8 *)msg->msg_control + msg->msg_controllen);

	cm->cmsg_level = level;
	cm->cmsg_type = type;
	cm->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cm), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

static bool is_v4(const union nqd_addr *a)
{
	return a->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
}

static void put_source(struct msghdr *msg, const struct dp_out *out)
{
	struct in6_pktinfo info6 = { .ipi6_addr = out->source.in6.sin6_addr };
	struct in_pktinfo info4 = { .ipi_spec_dst = out->source.in.sin_addr };

	if (out->source.sa.sa_family == AF_INET)
		put_cmsg(msg, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));
	else if (out->source.sa.sa_family == AF_INET6)
		put_cmsg(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
}

/* The run of packets that may leave as one message from packet @at: its end. */
static u32 run_end(bool gso, const struct dp_out *out, u32 at)
{
	u32 bytes = out->size[at], size = bytes, end = at + 1;

	if (!gso)
		return end;
	while (end < out->n && end - at < DP_GSO_MAX_SEGS && out->size[end] <= size &&
	       bytes + out->size[end] <= DP_GSO_MAX_BYTES) {
		bytes += out->size[end++];
		if (out->size[end - 1] < size)
			break;
	}
	return end;
}

#define RUNS_MAX 32
struct batch {
	struct mmsghdr msgs[RUNS_MAX];
	struct iovec iov[RUNS_MAX];
	struct control control[RUNS_MAX];
	u32 end[RUNS_MAX], end_off[RUNS_MAX];
	unsigned int n;
};

static void build_batch(bool gso, struct dp_out *out, struct batch *b)
{
	u32 at = out->next, off = out->next_off;
	int tos = 2;

	for (b->n = 0; at < out->n && b->n < RUNS_MAX; b->n++) {
		struct msghdr *msg = &b->msgs[b->n].msg_hdr;
		u32 end = run_end(gso, out, at), bytes = 0, i;

		for (i = at; i < end; i++)
			bytes += out->size[i];
		b->iov[b->n] = (struct iovec){ out->data + off, bytes };
		*msg = (struct msghdr){ .msg_name = &out->dest,
					.msg_namelen = nqd_addr_len(&out->dest),
					.msg_iov = &b->iov[b->n],
					.msg_iovlen = 1,
					.msg_control = b->control[b->n].bytes };
		if (end - at > 1)
			put_cmsg(msg, IPPROTO_UDP, UDP_SEGMENT, &out->size[at], 2);
		if (out->ecn)
			put_cmsg(msg, is_v4(&out->dest) ? IPPROTO_IP : IPPROTO_IPV6,
				 is_v4(&out->dest) ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos));
		put_source(msg, out);
		if (!msg->msg_controllen)
			msg->msg_control = NULL;
		at = end;
		off += bytes;
		b->end[b->n] = end;
		b->end_off[b->n] = off;
	}
}

static int send_batch(int fd, struct batch *b)
{
	if (b->n == 1)
		return sendmsg(fd, &b->msgs[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 1;
	return sendmmsg(fd, b->msgs, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Send what can be sent now: 0 when all left or was lost, -EAGAIN, -EMSGSIZE. */
static int push(struct nqd_socket *sock, struct dp_out *out)
{
	bool gso = sock->gso;
	struct batch b;

	while (out->next < out->n) {
		int sent;

		build_batch(gso, out, &b);
		sent = send_batch(sock->watch.fd, &b);
		if (sent > 0) {
			if (gso != sock->gso)
				nx_info("UDP_SEGMENT refused: sending packets one by one");
			sock->gso = gso;
			out->next = b.end[sent - 1];
			out->next_off = b.end_off[sent - 1];
			continue;
		}
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			return -EAGAIN;
		case EMSGSIZE:
			return -EMSGSIZE;
		case EIO:
		case EINVAL:
			/* The device under the route cannot checksum or segment: then a packet
			 * alone gets out. With a source that is not ours any more it does not.
			 */
			if (gso && b.end[0] - out->next > 1) {
				gso = false;
				continue;
			}
			out->unreachable = out->source.sa.sa_family;
			break;
		case ENETUNREACH:
		case EHOSTUNREACH:
		case ENETDOWN:
		case ENODEV:
		case EADDRNOTAVAIL:
			out->unreachable = true;
			break;
		default:
			break;
		}
		/* Lost like on the wire: unreachable, filtered, no memory. Recovery notices. */
		out->next = b.end[0];
		out->next_off = b.end_off[0];
	}
	return 0;
}

int dp_udp_send(struct dp *dp, struct nqd_path *path, struct dp_out *out)
{
	struct nqd_socket *sock = path->sock;
	int err = 0;

	out->dest = path->remote;
	out->source = path->local;
	out->unreachable = false;
	if (!sock->n_pending) {
		err = push(sock, out);
		path->unreachable = out->unreachable;
	} else {
		err = -EAGAIN;
	}
	if (err != -EAGAIN || sock->n_pending >= DP_SOCKET_PENDING_MAX) {
		dp_out_put(dp, out);
		return err == -EMSGSIZE ? err : 0;
	}
	TAILQ_INSERT_TAIL(&sock->pending, out, entry);
	sock->n_pending++;
	if (!sock->wants_out) {
		sock->wants_out = true;
		dp_watch_mod(dp, &sock->watch, EPOLLIN | EPOLLOUT);
	}
	return 0;
}

void dp_socket_wait_no_more(struct dp_session *s)
{
	if (s->blocked_on)
		LIST_REMOVE(s, blocked_entry);
	s->blocked_on = NULL;
}

void dp_socket_wait(struct dp_session *s, struct nqd_socket *sock)
{
	if (s->blocked_on == sock)
		return;
	dp_socket_wait_no_more(s);
	s->blocked_on = sock;
	LIST_INSERT_HEAD(&sock->blocked, s, blocked_entry);
}

/* The socket takes data again: first what waited, then the sessions it held up. */
static void drain(struct dp *dp, struct nqd_socket *sock)
{
	struct dp_session *s;
	struct dp_out *out;

	while ((out = TAILQ_FIRST(&sock->pending))) {
		if (push(sock, out) == -EAGAIN)
			return;
		TAILQ_REMOVE(&sock->pending, out, entry);
		sock->n_pending--;
		dp_out_put(dp, out);
	}
	sock->wants_out = false;
	dp_watch_mod(dp, &sock->watch, EPOLLIN);
	while ((s = LIST_FIRST(&sock->blocked))) {
		dp_socket_wait_no_more(s);
		dp_mark_dirty(dp, s);
	}
}

static void socket_events(struct dp *dp, struct dp_watch *w, u32 events)
{
	struct nqd_socket *sock = (struct nqd_socket *)w;

	if (events & EPOLLOUT)
		drain(dp, sock);
	if (events & (EPOLLIN | EPOLLERR))
		dp_rx_socket(dp, sock);
}
