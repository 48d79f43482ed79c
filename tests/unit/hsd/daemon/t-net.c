// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets, and a UDP forwarder with faults, see t-net.h. */
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-hsd.h"
#include "t-net.h"

static bool chance(struct t_net *n, unsigned int percent)
{
	n->seed = n->seed * 1103515245 + 12345;
	return (n->seed >> 16) % 100 < percent;
}

socklen_t t_addr_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void t_ask_for_marks(int fd, int family)
{
	int on = 1, r;

	r = family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on))
			      : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
	assert_int_equal(r, 0);
}

int t_cover_socket(const struct sockaddr_storage *to)
{
	int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)), 0);
	t_ask_for_marks(fd, to->ss_family);
	assert_int_equal(connect(fd, (const struct sockaddr *)to, t_addr_len(to)), 0);
	return fd;
}

static void open_with(struct t_net *n, const struct sockaddr_storage *server, int back)
{
	const int room = 1 << 20;

	memset(n, 0, sizeof(*n));
	n->seed = 1;
	/* As much as the system lets it be: what is held down waits here. */
	setsockopt(back, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	n->front = t_udp(server->ss_family, false, &n->front_name);
	n->back = back;
	assert_int_equal(connect(n->back, (const struct sockaddr *)server, t_addr_len(server)), 0);
}

void t_net_open(struct t_net *n, const struct sockaddr_storage *server)
{
	struct sockaddr_storage ignored;

	open_with(n, server, t_udp(server->ss_family, false, &ignored));
}

void t_net_open_site(struct t_net *n, const struct sockaddr_storage *server, uint8_t site)
{
	struct sockaddr_storage ignored;

	open_with(n, server, t_udp_site(site, &ignored));
}

void t_net_close(struct t_net *n)
{
	close(n->front);
	close(n->back);
}

static void put(struct t_net *n, const uint8_t *data, size_t len, bool to_client)
{
	if (!to_client)
		send(n->back, data, len, 0);
	else if (n->has_client)
		sendto(n->front, data, len, 0, (struct sockaddr *)&n->client,
		       t_addr_len(&n->client));
}

static void hold(struct t_net *n, const uint8_t *data, size_t len, bool to_client)
{
	if (n->n_held == T_NET_HELD)
		return;
	memcpy(n->held[n->n_held].data, data, len);
	n->held[n->n_held].len = len;
	n->held[n->n_held].to_client = to_client;
	n->held[n->n_held++].due_ms = t_now_ms() + n->fault.delay_ms;
}

static void forward(struct t_net *n, uint8_t *data, size_t len, bool to_client)
{
	if (chance(n, n->fault.drop_percent))
		return;
	if (len > 0 && chance(n, n->fault.damage_percent))
		data[n->seed % len] ^= 1 << n->seed % 8;
	if (chance(n, n->fault.duplicate_percent))
		put(n, data, len, to_client);
	if (chance(n, n->fault.delay_percent))
		hold(n, data, len, to_client);
	else
		put(n, data, len, to_client);
}

static void release_due(struct t_net *n)
{
	uint64_t now = t_now_ms();
	unsigned int i = 0;

	while (i < n->n_held) {
		if (n->held[i].due_ms > now) {
			i++;
			continue;
		}
		put(n, n->held[i].data, n->held[i].len, n->held[i].to_client);
		n->held[i] = n->held[--n->n_held];
	}
}

void t_net_pump(struct t_net *n)
{
	socklen_t len = sizeof(n->client);
	uint8_t buf[2048];
	ssize_t got;

	release_due(n);
	while ((got = recvfrom(n->front, buf, sizeof(buf), MSG_DONTWAIT,
			       (struct sockaddr *)&n->client, &len)) >= 0) {
		n->has_client = true;
		n->up++;
		forward(n, buf, (size_t)got, false);
	}
	while (!n->hold_down && (got = recv(n->back, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
		n->down++;
		forward(n, buf, (size_t)got, true);
	}
}
