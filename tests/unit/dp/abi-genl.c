// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel module, over a generic netlink socket of the calling process's network namespace. The
 * socket is in the group of events: they come in between, as they do from nexus-dp.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi-transport.h"

#define STATE_DIR "/sys/kernel/debug/nexus_quic_dco"

static int genl_send(struct abi *abi, const void *msg, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n = sendto(abi->fd, msg, len, 0, (void *)&kernel, sizeof(kernel));

	return n < 0 ? -errno : n == (ssize_t)len ? 0 : -EIO;
}

/* The next datagram of the kernel into the batch. */
static ssize_t fill(struct abi *abi, int timeout_ms)
{
	struct pollfd p = { .fd = abi->fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, timeout_ms);

	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	n = recv(abi->fd, abi->batch, sizeof(abi->batch), MSG_TRUNC);
	if (n > (ssize_t)sizeof(abi->batch))
		return -EMSGSIZE;
	abi->batch_at = 0;
	abi->batch_len = n > 0 ? n : 0;
	return n < 0 ? -errno : n;
}

static ssize_t genl_recv(struct abi *abi, void *buf, size_t cap, int timeout_ms)
{
	struct nlmsghdr hdr;
	size_t left, step;

	if (abi->batch_at == abi->batch_len) {
		ssize_t n = fill(abi, timeout_ms);

		if (n <= 0)
			return n;
	}
	left = abi->batch_len - abi->batch_at;
	if (left < sizeof(hdr))
		return -EBADMSG;
	memcpy(&hdr, abi->batch + abi->batch_at, sizeof(hdr));
	if (hdr.nlmsg_len < sizeof(hdr) || hdr.nlmsg_len > left || hdr.nlmsg_len > cap)
		return -EBADMSG;
	memcpy(buf, abi->batch + abi->batch_at, hdr.nlmsg_len);
	step = NLMSG_ALIGN(hdr.nlmsg_len);
	abi->batch_at += step < left ? step : left;
	return hdr.nlmsg_len;
}

/* The attribute @type of [at, at + len): its payload and length, NULL if there is none. */
static const uint8_t *find(const uint8_t *at, size_t len, uint16_t type, size_t *n)
{
	struct nlattr nla;
	struct nxa a;

	while (nxa_step(&at, &len, &nla, &a) > 0) {
		if ((nla.nla_type & NLA_TYPE_MASK) != type)
			continue;
		*n = a.len;
		return a.data;
	}
	return NULL;
}

/* The number of the one group that the family has. */
static int group_of(const uint8_t *groups, size_t len)
{
	const uint8_t *group, *id;
	size_t n;
	int v;

	group = find(groups, len, 1, &n);
	id = group ? find(group, n, CTRL_ATTR_MCAST_GRP_ID, &n) : NULL;
	if (!id || n != sizeof(v))
		return -EBADMSG;
	memcpy(&v, id, sizeof(v));
	return v;
}

/* What number the family has; joins its group. -ENOENT: the module is not loaded. */
static int resolve(struct abi *abi)
{
	struct nxm_hdr req = { .type = GENL_ID_CTRL,
			       .flags = NLM_F_REQUEST,
			       .cmd = CTRL_CMD_GETFAMILY,
			       .version = 1 };
	const uint8_t *id, *groups;
	struct nxm_error e;
	struct nxm_hdr hdr;
	uint32_t seq;
	struct nxm m;
	ssize_t n;
	size_t len;
	int group;

	nxm_begin(&m, abi->out, sizeof(abi->out), &req);
	nxm_put_str(&m, CTRL_ATTR_FAMILY_NAME, NQD_GENL_NAME);
	n = genl_send(abi, abi->out, nxm_end(&m));
	if (!n)
		n = genl_recv(abi, abi->in, sizeof(abi->in), ABI_TIMEOUT_MS);
	if (n < 0)
		return n;
	if (nxm_parse_ack(abi->in, n, &seq, &e) != -EBADMSG)
		return e.err;
	if (nxm_parse_hdr(abi->in, n, &hdr, &e))
		return -EBADMSG;
	id = find(hdr.attrs, hdr.attrs_len, CTRL_ATTR_FAMILY_ID, &len);
	if (!id || len != sizeof(abi->genl_family))
		return -EBADMSG;
	memcpy(&abi->genl_family, id, len);
	groups = find(hdr.attrs, hdr.attrs_len, CTRL_ATTR_MCAST_GROUPS, &len);
	group = groups ? group_of(groups, len) : -EBADMSG;
	if (group < 0)
		return group;
	return setsockopt(abi->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group))
		       ? -errno
		       : 0;
}

static int genl_open(struct abi *abi, const char *program)
{
	int on = 1, size = 8 << 20, err;

	memset(abi, 0, sizeof(*abi));
	abi->ops = &abi_genl;
	abi->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (abi->fd < 0)
		return -errno;
	if (setsockopt(abi->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) ||
	    setsockopt(abi->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) ||
	    setsockopt(abi->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		err = -errno;
	else
		err = resolve(abi);
	if (err)
		close(abi->fd);
	return err;
}

static void genl_close(struct abi *abi)
{
	close(abi->fd);
}

static uint16_t genl_family(struct abi *abi)
{
	return abi->genl_family;
}

static uint32_t genl_attach_fd(struct abi *abi, int fd)
{
	return fd;
}

/* "@name N" of the module's own account of this namespace. */
static long state(const char *name)
{
	char path[128], word[32];
	long v = -ENOENT, n;
	struct stat ns;
	FILE *f;

	if (stat("/proc/self/ns/net", &ns) < 0)
		return -errno;
	snprintf(path, sizeof(path), STATE_DIR "/net-%lu/state", (unsigned long)ns.st_ino);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	while (v == -ENOENT && fscanf(f, "%31s %ld", word, &n) == 2)
		if (!strcmp(word, name))
			v = n;
	fclose(f);
	return v;
}

static int genl_held(struct abi *abi)
{
	return state("devices") + state("sockets");
}

static unsigned long genl_memory_kib(struct abi *abi)
{
	unsigned long kib = 0, total = 0, free_kib = 0, cached = 0;
	char word[64];
	FILE *f = fopen("/proc/meminfo", "r");

	if (!f)
		return 0;
	while (fscanf(f, "%63s %lu%*[^\n]", word, &kib) == 2) {
		if (!strcmp(word, "MemTotal:"))
			total = kib;
		else if (!strcmp(word, "MemFree:"))
			free_kib = kib;
		else if (!strcmp(word, "Cached:"))
			cached = kib;
	}
	fclose(f);
	return total - free_kib - cached;
}

static ssize_t genl_punted(struct abi *abi, int udp, void *buf, size_t cap,
			   struct sockaddr_storage *from, int timeout_ms)
{
	struct pollfd p = { .fd = udp, .events = POLLIN };
	socklen_t len = sizeof(*from);
	ssize_t n;

	if (poll(&p, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	n = recvfrom(udp, buf, cap, 0, (void *)from, &len);
	return n < 0 ? -errno : n;
}

const struct abi_transport abi_genl = {
	.name = NQD_GENL_NAME,
	.module = true,
	.open = genl_open,
	.close = genl_close,
	.family = genl_family,
	.attach_fd = genl_attach_fd,
	.send = genl_send,
	.recv = genl_recv,
	.held = genl_held,
	.memory_kib = genl_memory_kib,
	.punted = genl_punted,
};
