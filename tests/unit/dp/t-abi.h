/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the data-plane ABI share: a running data plane behind abi-transport.h with one
 * device and one UDP socket, sessions for it, and its answers taken apart.
 *
 * A test program takes the data plane as its argument: the path of nexus-dp, or "module". It needs
 * root for devices, which are made in a network namespace of the process: without, T_NEED_ROOT()
 * skips. What only one of the two can have or do, a case says with T_ONLY_DP() or T_ONLY_MODULE().
 */
#ifndef T_ABI_H
#define T_ABI_H

#include <net/if.h>
#include <unistd.h>

#include "abi-client.h"

extern const char *t_program; /* set before the tests begin */
extern struct abi t_abi;
extern bool t_ready;
extern int t_tun, t_udp; /* t_tun: nexus-dp only */
extern char t_ifname[IFNAMSIZ]; /* of the device */
extern struct sockaddr_storage t_bound; /* of t_udp */

#define T_NEED_ROOT()           \
	do {                    \
		if (!t_ready)   \
			skip(); \
	} while (0)
#define T_ONLY_DP()                                 \
	do {                                        \
		if (!t_ready || t_abi.ops->module)  \
			skip();                     \
	} while (0)
#define T_ONLY_MODULE()                             \
	do {                                        \
		if (!t_ready || !t_abi.ops->module) \
			skip();                     \
	} while (0)

int t_group_setup(void **state);
/* A fresh data plane with the device for every test. */
int t_setup(void **state);
int t_teardown(void **state);

/* A session with number @id, whose peer does not answer. */
struct abi_session t_session(uint64_t id);
void t_add_route(struct abi_session *s, const char *addr, uint8_t len);

/* Begin a request about a session, or about the device; its nest is open, the caller ends it. */
size_t t_begin_session(struct nxm *m, uint8_t cmd, uint64_t id);
size_t t_begin_device(struct nxm *m, uint8_t cmd);
/* A request with nothing but the session's number, and its generation if that is not 0. */
int t_simple(uint8_t cmd, uint64_t id, uint64_t generation, struct nxm_error *e);
/* ADD_ROUTE or DELETE_ROUTE of one prefix; @len: bytes of @addr. */
int t_route_command(uint8_t cmd, uint64_t id, const uint8_t *addr, size_t len, uint8_t bits,
		    struct nxm_error *e);
/* The answer was @want, and its text contains @name (NULL: whatever it says). */
void t_expect(int err, int want, const struct nxm_error *e, const char *name);
/* What the data plane holds: see abi_transport.held(). */
int t_held(void);

/* Of an answer: how many messages it had, and what the last one said. */
struct t_found {
	unsigned int n;
	uint64_t id, generation;
	uint8_t state, type, reason;
	uint16_t cipher, key_exchange;
	uint32_t flags;
	char congestion[16];
	char text[64];
};

/* All of @cmd, or the statistics of one session; no key and no connection ID is in them. */
struct t_found t_dump(uint8_t cmd);
struct t_found t_dump_one(uint64_t id);

#endif /* T_ABI_H */
