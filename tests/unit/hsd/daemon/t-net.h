/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UDP path between one client and one server: a forwarder that counts, and can drop, delay (so
 * reorder), duplicate and damage. Deterministic for a seed, apart from scheduling. And what tests do
 * with sockets of their own.
 */
#ifndef T_NET_H
#define T_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define T_NET_HELD 64

struct t_net_fault {
	unsigned int drop_percent, delay_percent, duplicate_percent, damage_percent;
	unsigned int delay_ms;
};

struct t_net {
	int front, back; /* towards the client, towards the server */
	struct sockaddr_storage front_name, client;
	bool has_client;
	struct t_net_fault fault;
	bool hold_down; /* what the server sends waits in the socket */
	uint32_t seed;
	unsigned int up, down; /* datagrams seen from client and server */
	struct {
		uint8_t data[2048];
		size_t len;
		uint64_t due_ms;
		bool to_client;
	} held[T_NET_HELD];
	unsigned int n_held;
};

void t_net_open(struct t_net *n, const struct sockaddr_storage *server);
/* The server sees the client at 127.0.@site.1. */
void t_net_open_site(struct t_net *n, const struct sockaddr_storage *server, uint8_t site);
void t_net_close(struct t_net *n);
/* Move what is there and what is due. */
void t_net_pump(struct t_net *n);

socklen_t t_addr_len(const struct sockaddr_storage *a);
/* ECN bits come with every datagram. */
void t_ask_for_marks(int fd, int family);
/* A socket to the cover as the control process makes them. */
int t_cover_socket(const struct sockaddr_storage *to);

#endif /* T_NET_H */
