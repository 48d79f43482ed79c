// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two devices of the kernel's own ovpn with one peer each and keys made by hand, each in its network
 * namespace: without OpenVPN, for comparison by tests/bench/kernel.
 *
 * Usage: ovpn-pair DEVICE CIPHER NS_A ADDR_A NS_B ADDR_B
 * DEVICE, made by "ip link add DEVICE type ovpn", exists in both; CIPHER is aes-128-gcm, aes-256-gcm or
 * chacha20-poly1305. It prints "ready" and keeps the sockets, and thereby the peers, until the end of
 * its input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/netns.h"

/* What is used of linux/ovpn.h, which headers before 6.16 lack. */
enum { CMD_PEER_NEW = 1, CMD_KEY_NEW = 6 };
enum { A_IFINDEX = 1, A_PEER, A_KEYCONF };
enum { PEER_ID = 1, PEER_REMOTE_IPV4 = 2, PEER_REMOTE_PORT = 5, PEER_SOCKET = 6 };
enum { KEY_PEER_ID = 1, KEY_SLOT, KEY_ID, KEY_CIPHER, KEY_ENCRYPT, KEY_DECRYPT };
enum { DIR_KEY = 1, DIR_NONCE };
enum { CIPHER_AES_GCM = 1, CIPHER_CHACHA20_POLY1305 };

#define PORT 1194
#define NONCE_LEN 8

static const struct cipher {
	const char *name;
	uint32_t alg;
	int key_len;
} ciphers[] = {
	{ "aes-128-gcm", CIPHER_AES_GCM, 16 },
	{ "aes-256-gcm", CIPHER_AES_GCM, 32 },
	{ "chacha20-poly1305", CIPHER_CHACHA20_POLY1305, 32 },
};

struct end {
	const char *ns;
	struct in_addr addr;
	struct nl_sock *genl;
	int family, udp;
	unsigned int ifindex;
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "ovpn-pair: %s: %s\n", what, why);
	exit(1);
}

static void check_nl(int err, const char *what)
{
	if (err < 0)
		fail(what, nl_geterror(err));
}

/* A netlink and a UDP socket in its namespace. */
static void open_end(struct end *e, const char *device)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(PORT),
				   .sin_addr = e->addr };

	if (!netns_enter(e->ns))
		fail(e->ns, strerror(errno));
	e->ifindex = if_nametoindex(device);
	if (!e->ifindex)
		fail(device, strerror(errno));
	e->genl = nl_socket_alloc();
	if (!e->genl)
		fail("netlink", "no memory");
	check_nl(genl_connect(e->genl), "netlink");
	e->family = genl_ctrl_resolve(e->genl, "ovpn");
	check_nl(e->family, "family ovpn");
	e->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (e->udp < 0 || bind(e->udp, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		fail("UDP socket", strerror(errno));
}

static struct nl_msg *begin(const struct end *e, uint8_t cmd)
{
	struct nl_msg *m = nlmsg_alloc();

	if (!m || !genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, e->family, 0, 0, cmd, 1) ||
	    nla_put_u32(m, A_IFINDEX, e->ifindex))
		fail("message", "no memory");
	return m;
}

/* Send @m, whose attributes were put with @err, and wait for the answer. */
static void call(const struct end *e, struct nl_msg *m, int err, const char *what)
{
	check_nl(err, what);
	/* It frees the message. */
	check_nl(nl_send_sync(e->genl, m), what);
}

static void add_peer(const struct end *e, const struct end *other)
{
	struct nl_msg *m = begin(e, CMD_PEER_NEW);
	struct nlattr *nest = nla_nest_start(m, A_PEER);
	int err = 0;

	err |= nla_put_u32(m, PEER_ID, 1);
	err |= nla_put_u32(m, PEER_REMOTE_IPV4, other->addr.s_addr);
	err |= nla_put_u16(m, PEER_REMOTE_PORT, htons(PORT));
	err |= nla_put_u32(m, PEER_SOCKET, e->udp);
	nla_nest_end(m, nest);
	call(e, m, err ? -NLE_NOMEM : 0, "peer");
}

static int put_direction(struct nl_msg *m, int attr, uint8_t fill, int key_len)
{
	struct nlattr *nest = nla_nest_start(m, attr);
	uint8_t key[32], nonce[NONCE_LEN];
	int err;

	memset(key, fill, sizeof(key));
	memset(nonce, fill + 1, sizeof(nonce));
	err = nla_put(m, DIR_KEY, key_len, key) | nla_put(m, DIR_NONCE, sizeof(nonce), nonce);
	nla_nest_end(m, nest);
	return err;
}

static void add_key(const struct end *e, const struct cipher *c, bool first)
{
	struct nl_msg *m = begin(e, CMD_KEY_NEW);
	struct nlattr *nest = nla_nest_start(m, A_KEYCONF);
	int err = 0;

	err |= nla_put_u32(m, KEY_PEER_ID, 1);
	err |= nla_put_u32(m, KEY_SLOT, 0);
	err |= nla_put_u32(m, KEY_ID, 0);
	err |= nla_put_u32(m, KEY_CIPHER, c->alg);
	err |= put_direction(m, KEY_ENCRYPT, first ? 0xc0 : 0x50, c->key_len);
	err |= put_direction(m, KEY_DECRYPT, first ? 0x50 : 0xc0, c->key_len);
	nla_nest_end(m, nest);
	call(e, m, err ? -NLE_NOMEM : 0, "key");
}

int main(int argc, char **argv)
{
	const struct cipher *c = NULL;
	struct end ends[2] = {};
	size_t i;
	char byte;

	for (i = 0; argc == 7 && i < sizeof(ciphers) / sizeof(*ciphers); i++)
		if (!strcmp(argv[2], ciphers[i].name))
			c = &ciphers[i];
	if (!c)
		fail("usage", "DEVICE CIPHER NS_A ADDR_A NS_B ADDR_B");
	for (i = 0; i < 2; i++) {
		ends[i].ns = argv[3 + 2 * i];
		if (inet_pton(AF_INET, argv[4 + 2 * i], &ends[i].addr) != 1)
			fail("address", argv[4 + 2 * i]);
		open_end(&ends[i], argv[1]);
	}
	for (i = 0; i < 2; i++) {
		add_peer(&ends[i], &ends[!i]);
		add_key(&ends[i], c, !i);
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
