/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both sides of a running data plane in one process: the kernel's user on one (a socket behind the device),
 * the QUIC peers on the other (the engine itself, with mirrored keys). The device is made in a network
 * namespace of this process, for which it needs root: without, NEED_ROOT() skips.
 */
#ifndef T_TRAFFIC_H
#define T_TRAFFIC_H

#include <net/if.h>

#include "abi-client.h"
#include "hand-peer.h"

#define MTU 1400
#define TIMEOUT_MS 10000
#define PEERS_MAX 8

struct peer {
	struct nq_conn *conn;
	void *mem;
	int fd;
	struct sockaddr_storage addr;
	struct sockaddr_in paths[NQ_PATHS_MAX]; /* where nexus-dp is, by the peer's numbers */
	u32 takes; /* what is longer does not reach it while it serves; 0: everything does */
	u8 buf[70000];
};

/* What the session of one has. */
struct peer_kind {
	u8 number, cid_len;
	u32 flags;
	bool server; /* the peer is */
};

extern const char *program; /* set before the tests begin, as is @module: is it the module? */
extern bool module;
extern struct abi abi;
extern char ifname[IFNAMSIZ]; /* of the device */
extern int udp; /* the data plane's socket, bound to @bound */
extern struct sockaddr_storage bound;
extern int inner; /* behind the device */
extern struct peer peers[PEERS_MAX];

#define NEED_ROOT()                 \
	do {                        \
		if (!peers[0].conn) \
			skip();     \
	} while (0)

/* What only a process with a channel to nexus-hsd, or with sockets that fill, can do. */
#define NEED_PROCESS()                        \
	do {                                  \
		if (!peers[0].conn || module) \
			skip();               \
	} while (0)

/*
 * A data plane with one device, 10.7.0.1, and sessions 1 to @n <= PEERS_MAX with their peers 10.7.0.5,
 * 10.7.0.6 and so on. 0, also if it is not root.
 */
int traffic_setup(const struct peer_kind *kinds, unsigned int n);
int traffic_teardown(void **state);

u64 now_us(void);
/* The other end of a session of @number, the server's IDs of @cid_len. */
void make_peer(struct peer *p, unsigned int number, u8 cid_len, bool server);
/* 10.7.0.@host is behind @s, or a prefix of it. */
void add_route(struct abi_session *s, u8 host, u8 len);

/* Seal @pkt as a DATAGRAM of @p; the wire bytes are left in p->buf, their number returned. */
u32 seal_context(struct peer *p, u8 context, const u8 *pkt, u32 len);
u32 seal(struct peer *p, const u8 *pkt, u32 len);
/* To where the data plane is. */
void send_wire(int fd, const u8 *wire, u32 len);
/* Both. */
void send_inner(struct peer *p, const u8 *pkt, u32 len);

/* Until a counter of a session is @want, and not more. */
void expect_stat(uint64_t session, uint16_t stat, uint64_t want);
/* Until there were @want events of a kind: an answer may overtake the event of the same round. */
void wait_event(u8 type, int want);

/* ---- peers that answer ---- */

/* The number of @from, or NQ_PATH_NEW. */
u8 path_of(const struct peer *p, const struct sockaddr_in *from);
void send_path(struct peer *p, int fd, u8 path, const u8 *wire, u32 len);
/* Receive on @fd what is there, and answer from there. Returns the DATAGRAMs among it. */
unsigned int serve(struct peer *p, int fd);
/* Until a counter of a session is @want. */
void serve_until(struct peer *p, int fd, uint64_t session, uint16_t stat, uint64_t want);

#endif /* T_TRAFFIC_H */
