/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the data-plane ABI for tests and benches: requests with their answers, and the
 * attributes of a session whose keys are made up by hand (the same on both ends, mirrored).
 */
#ifndef ABI_CLIENT_H
#define ABI_CLIENT_H

#include <netinet/in.h>

#include "abi-transport.h"

/* Secrets that are not made up: of client and server, as TLS names them; of each its reset tokens. */
struct abi_secrets {
	uint8_t secret[2][NQD_SECRET_MAX_LEN];
	uint8_t token[2][2][NQD_RESET_TOKEN_LEN];
};

struct abi_session {
	uint64_t id, user;
	bool server;
	uint16_t cipher, key_exchange;
	uint32_t flags, mtu, idle_ms, peer_group;
	const char *ifname;
	int socket;
	struct sockaddr_storage remote, local; /* local: family 0 = the socket's */
	uint8_t number; /* tells the CIDs of several sessions apart */
	uint32_t serial; /* the same for very many: not 0, it begins each ID */
	uint8_t server_cid_len; /* 0 = 20, as a client's are */
	bool no_keys, secrets, greeted; /* the peer's empty DATAGRAM came before */
	const struct abi_secrets *own; /* instead of secrets and tokens that are made up */
	const char *congestion;
	struct {
		int family;
		uint8_t addr[16], len;
	} routes[4];
	unsigned int n_routes;
};

/* Called for every message of an answer that is neither ACK nor end of dump. */
typedef void (*abi_answer_fn)(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr);

void abi_begin(struct abi *abi, struct nxm *m, uint8_t cmd, uint16_t flags);
void abi_put_fd(struct abi *abi, struct nxm *m, uint16_t attr, int fd);
/* Send what was built and wait for its end: 0, or the error with its text in @e. */
int abi_call(struct abi *abi, struct nxm *m, struct nxm_error *e, abi_answer_fn fn, void *arg);

/* @tun: its TUN device, unless the data plane makes its own. */
int abi_create_device(struct abi *abi, int tun, const char *ifname, struct nxm_error *e);
void abi_put_session(struct abi *abi, struct nxm *m, const struct abi_session *s);
void abi_put_keys(struct nxm *m, const struct abi_session *s);
int abi_add_session(struct abi *abi, const struct abi_session *s, struct nxm_error *e);
/* One counter of a session. */
uint64_t abi_stat(struct abi *abi, uint64_t session, uint16_t stat);
/* Bytes that packets on the path of a session may have; 0: there is no such session. */
uint32_t abi_path_mtu(struct abi *abi, uint64_t session);

/* CPU time that a data plane of a process has used, in ticks of 10 ms; 0 if it is gone. */
unsigned long abi_cpu_ticks(const struct abi *abi);

/* A TUN device for nexus-dp: its name is returned in @name (IFNAMSIZ). Descriptor or -errno. */
int abi_open_tun(char *name);
/* A UDP socket on an IPv4 or IPv6 address; port 0 = any. */
int abi_open_udp(const char *address, uint16_t port, struct sockaddr_storage *bound);

#endif /* ABI_CLIENT_H */
