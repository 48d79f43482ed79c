// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests and hand-made sessions: see abi-client.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi-client.h"

#define CID_LEN 20

void abi_begin(struct abi *abi, struct nxm *m, uint8_t cmd, uint16_t flags)
{
	struct nxm_hdr hdr = { .type = abi->ops->family(abi),
			       .flags = NLM_F_REQUEST | NLM_F_ACK | flags,
			       .seq = ++abi->seq,
			       .cmd = cmd,
			       .version = NQD_GENL_VERSION };

	nxm_begin(m, abi->out, sizeof(abi->out), &hdr);
}

void abi_put_fd(struct abi *abi, struct nxm *m, uint16_t attr, int fd)
{
	nxm_put_u32(m, attr, abi->ops->attach_fd(abi, fd));
}

static void note_event(struct abi *abi, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], ev[NQD_A_EVENT_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	const struct nxa *frames = &ev[NQD_A_EVENT_FRAMES];
	const struct nxa *remote = &ses[NQD_A_SESSION_REMOTE_ADDR];
	struct nxm_error e;

	if (nxa_parse(hdr->attrs, hdr->attrs_len, &nqd_top_set, top, msg, &e) ||
	    nxa_parse_nest(&top[NQD_A_EVENT], &nqd_event_set, ev, msg, &e) ||
	    nxa_parse_nest(&top[NQD_A_SESSION], &nqd_session_set, ses, msg, &e))
		abort();
	abi->events[nxa_u8(&ev[NQD_A_EVENT_TYPE])]++;
	if (remote->present)
		memcpy(&abi->path_remote, remote->data, remote->len);
	if (ses[NQD_A_SESSION_PATH_MTU_BYTES].present)
		abi->path_mtu = nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]);
	if (!frames->present)
		return;
	if (frames->len > sizeof(abi->frames) - abi->frames_len)
		abort();
	memcpy(abi->frames + abi->frames_len, frames->data, frames->len);
	abi->frames_len += frames->len;
}

int abi_call(struct abi *abi, struct nxm *m, struct nxm_error *e, abi_answer_fn fn, void *arg)
{
	ssize_t len = nxm_end(m);
	struct nxm_error ignored;
	struct nxm_hdr hdr;
	uint32_t seq;
	int err;

	if (!e)
		e = &ignored;
	memset(e, 0, sizeof(*e));
	err = len < 0 ? len : abi->ops->send(abi, abi->out, len);
	while (!err) {
		ssize_t n = abi->ops->recv(abi, abi->in, sizeof(abi->in), ABI_TIMEOUT_MS);

		if (n <= 0)
			return n ? n : -EPIPE;
		err = nxm_parse_ack(abi->in, n, &seq, e);
		if (err != -EBADMSG) {
			if (seq == abi->seq)
				return err;
			err = 0;
			continue;
		}
		err = nxm_parse_hdr(abi->in, n, &hdr, e);
		if (err)
			return err;
		if (hdr.type != NLMSG_DONE && hdr.cmd == NQD_CMD_EVENT &&
		    !(hdr.flags & NLM_F_MULTI))
			note_event(abi, abi->in, &hdr);
		else if (hdr.seq != abi->seq)
			continue; /* the answer to a request that was given up */
		else if (hdr.type == NLMSG_DONE)
			return 0;
		else if (fn)
			fn(arg, abi->in, &hdr);
	}
	return err;
}

int abi_create_device(struct abi *abi, int tun, const char *ifname, struct nxm_error *e)
{
	struct nxm m;
	size_t nest;

	abi_begin(abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, ifname);
	if (!abi->ops->module)
		abi_put_fd(abi, &m, NQD_A_DEVICE_TUN_FD, tun);
	nxm_nest_end(&m, nest);
	return abi_call(abi, &m, e, NULL, NULL);
}

/* @tokens: NULL = made up like the IDs. */
static void put_cids(struct nxm *m, uint16_t attr, uint8_t seed, uint32_t serial, size_t len,
		     const uint8_t (*tokens)[NQD_RESET_TOKEN_LEN])
{
	size_t nest = nxm_nest_begin(m, attr);
	uint8_t id[CID_LEN], token[NQD_RESET_TOKEN_LEN];
	int i;

	for (i = 0; i < 2; i++) {
		size_t one = nxm_nest_begin(m, NQD_A_CIDS_CID);

		memset(id, seed + i, sizeof(id));
		memset(token, seed + i + 8, sizeof(token));
		if (serial)
			memcpy(id, (uint32_t[]){ 2 * serial + i }, sizeof(serial));
		nxm_put_u64(m, NQD_A_CID_SEQ, i);
		nxm_put(m, NQD_A_CID_ID, id, len);
		nxm_put(m, NQD_A_CID_RESET_TOKEN, tokens ? tokens[i] : token, sizeof(token));
		nxm_nest_end(m, one);
	}
	nxm_nest_end(m, nest);
}

static void put_addr(struct nxm *m, uint16_t attr, const struct sockaddr_storage *a)
{
	nxm_put(m, attr, a,
		a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

void abi_put_session(struct abi *abi, struct nxm *m, const struct abi_session *s)
{
	size_t server_len = s->server_cid_len ? s->server_cid_len : CID_LEN;
	uint8_t server_seed = 0x80 + 4 * s->number, client_seed = 0x10 + 4 * s->number;
	uint16_t servers = s->server ? NQD_A_SESSION_LOCAL_CIDS : NQD_A_SESSION_REMOTE_CIDS;
	uint16_t clients = s->server ? NQD_A_SESSION_REMOTE_CIDS : NQD_A_SESSION_LOCAL_CIDS;
	struct nqd_range range = { 0, 9 };
	size_t nest = nxm_nest_begin(m, NQD_A_SESSION);

	nxm_put_u64(m, NQD_A_SESSION_ID, s->id);
	if (s->user)
		nxm_put_u64(m, NQD_A_SESSION_USER, s->user);
	nxm_put_str(m, NQD_A_SESSION_TUNNEL, "test");
	nxm_put_u8(m, NQD_A_SESSION_ROLE, s->server ? NQD_ROLE_SERVER : NQD_ROLE_CLIENT);
	nxm_put_u32(m, NQD_A_SESSION_FLAGS, s->flags);
	abi_put_fd(abi, m, NQD_A_SESSION_SOCKET_FD, s->socket);
	put_addr(m, NQD_A_SESSION_REMOTE_ADDR, &s->remote);
	if (s->local.ss_family)
		put_addr(m, NQD_A_SESSION_LOCAL_ADDR, &s->local);
	put_cids(m, servers, server_seed, s->serial, server_len, s->own ? s->own->token[1] : NULL);
	put_cids(m, clients, client_seed, s->serial, CID_LEN, s->own ? s->own->token[0] : NULL);
	nxm_put_u16(m, NQD_A_SESSION_CIPHER, s->cipher);
	if (s->key_exchange)
		nxm_put_u16(m, NQD_A_SESSION_KEY_EXCHANGE, s->key_exchange);
	nxm_put_u64(m, NQD_A_SESSION_NEXT_PN, 10);
	nxm_put(m, NQD_A_SESSION_RX_RANGES, &range, sizeof(range));
	nxm_put_u32(m, NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS, s->idle_ms);
	nxm_put_u32(m, NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES, 65535);
	nxm_put_u32(m, NQD_A_SESSION_PATH_MTU_BYTES, s->mtu);
	if (s->peer_group)
		nxm_put_u32(m, NQD_A_SESSION_PEER_GROUP, s->peer_group);
	if (s->greeted)
		nxm_put(m, NQD_A_SESSION_RX_DATAGRAM, "", 1);
	if (s->congestion)
		nxm_put_str(m, NQD_A_SESSION_CONGESTION, s->congestion);
	nxm_nest_end(m, nest);
}

/* Client to server is filled with 0xc0.., the other way with 0x50..: easy to find in a dump. */
void abi_put_keys(struct nxm *m, const struct abi_session *s)
{
	uint8_t out = s->server ? 0x50 : 0xc0, in = s->server ? 0xc0 : 0x50;
	size_t len = s->cipher == NQD_CIPHER_AES_128_GCM ? 16 : 32;
	size_t secret_len = s->cipher == NQD_CIPHER_AES_256_GCM ? 48 : 32;
	size_t nest = nxm_nest_begin(m, NQD_A_KEYS);
	uint8_t v[NQD_SECRET_MAX_LEN];
	int i;

	if (s->own) {
		nxm_put(m, NQD_A_KEYS_TX_SECRET, s->own->secret[s->server], secret_len);
		nxm_put(m, NQD_A_KEYS_RX_SECRET, s->own->secret[!s->server], secret_len);
	} else if (s->secrets) {
		nxm_put(m, NQD_A_KEYS_TX_SECRET, memset(v, out, sizeof(v)), secret_len);
		nxm_put(m, NQD_A_KEYS_RX_SECRET, memset(v, in, sizeof(v)), secret_len);
	} else {
		nxm_put_u8(m, NQD_A_KEYS_PHASE, 0);
		for (i = 0; i < 6; i++) {
			size_t n = i % 3 == 1 ? NQD_IV_LEN : len;

			memset(v, (i < 3 ? out : in) + i % 3, sizeof(v));
			nxm_put(m, NQD_A_KEYS_TX_KEY + i, v, n);
		}
	}
	nxm_nest_end(m, nest);
}

int abi_add_session(struct abi *abi, const struct abi_session *s, struct nxm_error *e)
{
	unsigned int i;
	struct nxm m;
	size_t nest;

	abi_begin(abi, &m, NQD_CMD_ADD_SESSION, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, s->ifname);
	nxm_nest_end(&m, nest);
	abi_put_session(abi, &m, s);
	if (!s->no_keys)
		abi_put_keys(&m, s);
	for (i = 0; i < s->n_routes; i++) {
		nest = nxm_nest_begin(&m, NQD_A_ROUTE);
		nxm_put(&m, NQD_A_ROUTE_ADDR, s->routes[i].addr,
			s->routes[i].family == AF_INET ? 4 : 16);
		nxm_put_u8(&m, NQD_A_ROUTE_PREFIX_LEN, s->routes[i].len);
		nxm_nest_end(&m, nest);
	}
	return abi_call(abi, &m, e, NULL, NULL);
}

/* What is asked of a session: one of its counters, and what its path takes. */
struct stat_query {
	uint16_t stat;
	uint64_t value;
	uint32_t path_mtu;
};

static void take_stat(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], st[NQD_A_STATS_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct stat_query *q = arg;
	struct nxm_error e;

	if (nxa_parse(hdr->attrs, hdr->attrs_len, &nqd_top_set, top, msg, &e) ||
	    !top[NQD_A_STATS].present || !top[NQD_A_SESSION].present ||
	    nxa_parse_nest(&top[NQD_A_STATS], &nqd_stats_set, st, msg, &e) ||
	    nxa_parse_nest(&top[NQD_A_SESSION], &nqd_session_set, ses, msg, &e))
		abort();
	q->value = nxa_u64(&st[q->stat]);
	q->path_mtu = nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]);
}

static struct stat_query ask(struct abi *abi, uint64_t session, uint16_t stat)
{
	struct stat_query q = { .stat = stat, .value = UINT64_MAX };
	struct nxm m;
	size_t nest;

	abi_begin(abi, &m, NQD_CMD_GET_STATS, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, session);
	nxm_nest_end(&m, nest);
	abi_call(abi, &m, NULL, take_stat, &q);
	return q;
}

uint64_t abi_stat(struct abi *abi, uint64_t session, uint16_t stat)
{
	return ask(abi, session, stat).value;
}

uint32_t abi_path_mtu(struct abi *abi, uint64_t session)
{
	return ask(abi, session, NQD_A_STATS_UPTIME_MS).path_mtu;
}

unsigned long abi_cpu_ticks(const struct abi *abi)
{
	unsigned long user = 0, sys = 0;
	char path[64];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/stat", abi->pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	n = fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
	fclose(f);
	return n == 2 ? user + sys : 0;
}

int abi_open_tun(char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		close(fd);
		return -errno;
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

int abi_open_udp(const char *address, uint16_t port, struct sockaddr_storage *bound)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)bound;
	struct sockaddr_in *in = (struct sockaddr_in *)bound;
	bool v6 = strchr(address, ':');
	socklen_t len = sizeof(*bound);
	int size = 4 << 20, fd;

	memset(bound, 0, sizeof(*bound));
	bound->ss_family = v6 ? AF_INET6 : AF_INET;
	in->sin_port = htons(port); /* at the same place in both */
	if (inet_pton(bound->ss_family, address, v6 ? (void *)&in6->sin6_addr : &in->sin_addr) != 1)
		return -EINVAL;
	fd = socket(bound->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)bound, v6 ? sizeof(*in6) : sizeof(*in)) < 0 ||
	    getsockname(fd, (struct sockaddr *)bound, &len) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}
