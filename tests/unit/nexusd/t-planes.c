// SPDX-License-Identifier: GPL-2.0-or-later
/* Both data planes, the kernel's controller and the monitor, played by a test: see t-planes.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>
#include "t-planes.h"

#define EVENTS_GROUP 77

/* ---- sockets ---- */

static int open_end(void *ctx, bool events)
{
	struct t_planes *k = ctx;
	int *ours = events ? &k->ev : &k->req;
	int sv[2];

	if (*ours >= 0)
		close(*ours);
	assert_int_equal(nx_ipc_pair(sv), 0);
	*ours = sv[0];
	if (events)
		k->theirs = sv[1];
	return sv[1];
}

static int join(void *ctx, int fd, uint32_t group)
{
	struct t_planes *k = ctx;

	if (group != GENL_ID_CTRL)
		k->joined = group;
	return 0;
}

static ssize_t receive(void *ctx, int fd, struct msghdr *msg)
{
	struct t_planes *k = ctx;
	bool *overrun = fd == k->theirs ? &k->overrun_ev : &k->overrun_req;

	if (*overrun) {
		*overrun = false;
		/* It is told of in place of what did not fit. */
		(void)recvmsg(fd, msg, MSG_DONTWAIT);
		errno = ENOBUFS;
		return -1;
	}
	return recvmsg(fd, msg, MSG_DONTWAIT);
}

static void send_raw(int fd, const void *buf, ssize_t len)
{
	assert_true(len > 0);
	assert_int_equal(nx_ipc_send(fd, buf, (size_t)len, NULL, 0), 0);
}

/* ---- the controller ---- */

static void put_family(struct t_planes *k, struct nxm *m)
{
	size_t groups, group;

	nxm_put_u16(m, CTRL_ATTR_FAMILY_ID, k->family);
	nxm_put_str(m, CTRL_ATTR_FAMILY_NAME, NQD_GENL_NAME);
	nxm_put_u32(m, CTRL_ATTR_VERSION, k->version);
	groups = nxm_nest_begin(m, CTRL_ATTR_MCAST_GROUPS);
	group = nxm_nest_begin(m, 1);
	nxm_put_u32(m, CTRL_ATTR_MCAST_GRP_ID, EVENTS_GROUP);
	nxm_put_str(m, CTRL_ATTR_MCAST_GRP_NAME, NQD_MCGRP_EVENTS);
	nxm_nest_end(m, group);
	nxm_nest_end(m, groups);
}

static void tell_family(struct t_planes *k, int fd, uint8_t cmd, uint32_t seq)
{
	uint8_t buf[512];
	struct nxm m;

	t_begin(&m, buf, sizeof(buf), GENL_ID_CTRL, cmd, seq);
	put_family(k, &m);
	send_raw(fd, buf, nxm_end(&m));
}

static void acknowledge(int fd, const struct nxm_hdr *req, int err, const char *text)
{
	struct nxm_error e = { .err = err };
	uint8_t buf[512];

	snprintf(e.text, sizeof(e.text), "%s", text);
	send_raw(fd, buf, nxm_build_ack(buf, sizeof(buf), req, &e));
}

static void answer_controller(struct t_planes *k, const struct nxm_hdr *hdr)
{
	assert_int_equal(hdr->cmd, CTRL_CMD_GETFAMILY);
	k->looked++;
	if (k->version != T_ABSENT)
		tell_family(k, k->req, CTRL_CMD_NEWFAMILY, hdr->seq);
	else
		acknowledge(k->req, hdr, -ENOENT, "");
}

void t_module_load(struct fake *f, uint32_t version)
{
	struct t_planes *k = f->planes;

	k->version = k->caps_version = version;
	k->family++;
	tell_family(k, k->ev, CTRL_CMD_NEWFAMILY, 0);
}

void t_module_unload(struct fake *f)
{
	struct t_planes *k = f->planes;

	for (size_t i = 0; i < T_DEVICES; i++) {
		if (k->devices[i].ifindex)
			close(k->devices[i].fd);
		k->devices[i] = (struct t_plane_device){ 0 };
	}
	k->module.n_sessions = k->module.n_stand_ins = 0;
	tell_family(k, k->ev, CTRL_CMD_DELFAMILY, 0);
	k->version = T_ABSENT;
	k->joined = 0;
}

/* ---- a data plane ---- */

struct request {
	struct t_planes *k;
	struct t_plane *p;
	int fd;
	struct nxm_hdr hdr;
	struct nxa top[NQD_A_MAX + 1], dev[NQD_A_DEVICE_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	const int *fds;
	unsigned int n_fds;
};

static void reply_begin(struct request *r, struct nxm *m, uint8_t *buf, size_t cap)
{
	t_begin(m, buf, cap, r->p->kernel ? r->k->family : NXM_FAMILY_DCO, r->hdr.cmd, r->hdr.seq);
}

static void reply_caps(struct request *r)
{
	uint8_t buf[512];
	struct nxm m;
	size_t nest;

	reply_begin(r, &m, buf, sizeof(buf));
	nest = nxm_nest_begin(&m, NQD_A_CAPS);
	nxm_put_u32(&m, NQD_A_CAPS_ABI_VERSION,
		    r->p->kernel ? r->k->caps_version : NQD_GENL_VERSION);
	nxm_put_str(&m, NQD_A_CAPS_RELEASE, "0.1.0");
	nxm_nest_end(&m, nest);
	send_raw(r->fd, buf, nxm_end(&m));
}

/* Make a device as the module does, or find the one that is meant. */
static struct t_plane_device *module_device(struct request *r)
{
	struct t_plane_device *d, *spare = NULL;
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	for (size_t i = 0; i < T_DEVICES; i++) {
		d = &r->k->devices[i];
		if (d->ifindex && r->dev[NQD_A_DEVICE_IFINDEX].present &&
		    nxa_u32(&r->dev[NQD_A_DEVICE_IFINDEX]) == (uint32_t)d->ifindex)
			return d;
		if (!d->ifindex)
			spare = d;
	}
	assert_false(r->dev[NQD_A_DEVICE_IFINDEX].present);
	assert_non_null(spare);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s",
		 r->dev[NQD_A_DEVICE_IFNAME].present ? nxa_str(&r->dev[NQD_A_DEVICE_IFNAME])
						     : "nexusq%d");
	spare->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(spare->fd >= 0);
	assert_int_equal(ioctl(spare->fd, TUNSETIFF, &ifr), 0);
	spare->ifindex = (int)if_nametoindex(ifr.ifr_name);
	memcpy(spare->name, ifr.ifr_name, sizeof(spare->name));
	return spare;
}

static void create_device(struct request *r)
{
	const struct t_plane_device *d;
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	if (!r->p->kernel) {
		assert_true(r->dev[NQD_A_DEVICE_TUN_FD].present);
		acknowledge(r->fd, &r->hdr, 0, "");
		return;
	}
	assert_false(r->dev[NQD_A_DEVICE_TUN_FD].present);
	d = module_device(r);
	reply_begin(r, &m, buf, sizeof(buf));
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_u32(&m, NQD_A_DEVICE_IFINDEX, (uint32_t)d->ifindex);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, d->name);
	nxm_nest_end(&m, nest);
	send_raw(r->fd, buf, nxm_end(&m));
}

static void delete_device(struct request *r)
{
	for (size_t i = 0; i < T_DEVICES && r->p->kernel; i++) {
		struct t_plane_device *d = &r->k->devices[i];

		if (!d->ifindex || nxa_u32(&r->dev[NQD_A_DEVICE_IFINDEX]) != (uint32_t)d->ifindex)
			continue;
		close(d->fd);
		*d = (struct t_plane_device){ 0 };
	}
	acknowledge(r->fd, &r->hdr, 0, "");
}

/* The socket that the request means: a number of the caller, who is us, or a descriptor beside it. */
static int port_of(struct request *r)
{
	uint32_t n = nxa_u32(&r->ses[NQD_A_SESSION_SOCKET_FD]);
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);

	if (!r->p->kernel)
		assert_true(n < r->n_fds);
	assert_int_equal(
		getsockname(r->p->kernel ? (int)n : r->fds[n], (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

/* The sessions of @list that @r means: by their number, or by their user. */
static bool is_meant(const struct request *r, const struct t_plane_session *s)
{
	const struct nxa *id = &r->ses[NQD_A_SESSION_ID], *user = &r->ses[NQD_A_SESSION_USER];

	return id->present ? s->id == nxa_u64(id) : user->present && s->user == nxa_u64(user);
}

static void remove_meant(const struct request *r, struct t_plane_session *list, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		if (is_meant(r, &list[i]))
			list[i--] = list[--*n];
}

/* One that comes with keys takes the place of those of its user that have none. */
static void remove_stand_ins(struct t_plane *p, uint64_t user)
{
	for (size_t i = 0; i < p->n_stand_ins; i++)
		if (user && p->stand_ins[i].user == user)
			p->stand_ins[i--] = p->stand_ins[--p->n_stand_ins];
}

static void add_session(struct request *r)
{
	const struct nxa *user = &r->ses[NQD_A_SESSION_USER];
	const struct nxa *group = &r->ses[NQD_A_SESSION_PEER_GROUP];
	struct t_plane *p = r->p;
	struct t_plane_session s = {
		.id = nxa_u64(&r->ses[NQD_A_SESSION_ID]),
		.ifindex = (int)nxa_u32(&r->dev[NQD_A_DEVICE_IFINDEX]),
		.flags = nxa_u32(&r->ses[NQD_A_SESSION_FLAGS]),
		.user = user->present ? nxa_u64(user) : 0,
		.group = group->present ? nxa_u32(group) : 0,
	};

	assert_true(p->n_sessions < T_SESSIONS && p->n_stand_ins < T_SESSIONS);
	remove_stand_ins(p, s.user);
	if (r->top[NQD_A_KEYS].present) {
		p->local_port = port_of(r);
		p->sessions[p->n_sessions++] = s;
	} else {
		assert_true(r->top[NQD_A_ROUTE].present);
		p->stand_ins[p->n_stand_ins++] = s;
	}
	acknowledge(r->fd, &r->hdr, 0, "");
}

static void delete_session(struct request *r)
{
	struct t_plane *p = r->p;

	p->closes = r->ses[NQD_A_SESSION_CLOSE_REASON].present;
	remove_meant(r, p->sessions, &p->n_sessions);
	remove_meant(r, p->stand_ins, &p->n_stand_ins);
	acknowledge(r->fd, &r->hdr, 0, "");
}

static void set_group(const struct request *r, struct t_plane_session *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_meant(r, &list[i]))
			list[i].group = nxa_u32(&r->ses[NQD_A_SESSION_PEER_GROUP]);
}

static void update_session(struct request *r)
{
	if (r->ses[NQD_A_SESSION_PEER_GROUP].present) {
		set_group(r, r->p->sessions, r->p->n_sessions);
		set_group(r, r->p->stand_ins, r->p->n_stand_ins);
	}
	acknowledge(r->fd, &r->hdr, 0, "");
}

/* One session as GET_STATS tells of it. */
static ssize_t put_session(struct request *r, uint8_t *buf, size_t cap,
			   const struct t_plane_session *s, enum nqd_session_state state)
{
	struct nx_endpoint remote;
	struct nxm m;
	size_t nest;

	assert_int_equal(nx_endpoint_parse(r->k->f->remote, &remote), 0);
	reply_begin(r, &m, buf, cap);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, s->id);
	nxm_put_u64(&m, NQD_A_SESSION_USER, s->user);
	nxm_put_str(&m, NQD_A_SESSION_TUNNEL, "office");
	nxm_put(&m, NQD_A_SESSION_REMOTE_ADDR, &remote, sizeof(remote.in));
	nxm_put_u32(&m, NQD_A_SESSION_FLAGS, s->flags);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, 1343);
	nxm_put_u8(&m, NQD_A_SESSION_STATE, (uint8_t)state);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_STATS);
	nxm_put_u64(&m, NQD_A_STATS_DATAGRAM_RX_FRAMES, r->p->heard);
	nxm_nest_end(&m, nest);
	return nxm_end(&m);
}

/*
 * A message of @n bytes of a dump stands behind @len others in @buf. The kernel packs what fits into one
 * datagram, the end of the dump as well; the other data plane sends each one. How many wait now.
 */
static size_t add_to_dump(struct request *r, const uint8_t *buf, size_t len, ssize_t n)
{
	assert_true(n > 0);
	if (r->p->kernel)
		return len + NLMSG_ALIGN((size_t)n);
	send_raw(r->fd, buf, n);
	return 0;
}

static void dump_sessions(struct request *r)
{
	static uint8_t buf[8192];
	size_t len = 0;

	for (size_t i = 0; i < r->p->n_sessions; i++)
		len = add_to_dump(r, buf, len,
				  put_session(r, buf + len, sizeof(buf) - len, &r->p->sessions[i],
					      NQD_SESSION_ACTIVE));
	for (size_t i = 0; i < r->p->n_stand_ins; i++)
		len = add_to_dump(r, buf, len,
				  put_session(r, buf + len, sizeof(buf) - len, &r->p->stand_ins[i],
					      NQD_SESSION_NO_KEYS));
	len += (size_t)nxm_build_done(buf + len, sizeof(buf) - len, &r->hdr);
	send_raw(r->fd, buf, (ssize_t)len);
}

static void get_stats(struct request *r)
{
	uint8_t buf[512];

	if ((r->hdr.flags & NLM_F_DUMP) == NLM_F_DUMP) {
		dump_sessions(r);
		return;
	}
	for (size_t i = 0; i < r->p->n_sessions; i++) {
		if (r->p->sessions[i].id != nxa_u64(&r->ses[NQD_A_SESSION_ID]))
			continue;
		send_raw(r->fd, buf,
			 put_session(r, buf, sizeof(buf), &r->p->sessions[i], NQD_SESSION_ACTIVE));
		return;
	}
	acknowledge(r->fd, &r->hdr, -ENOENT, "no such session");
}

/* The last events: of sessions that are not there any more, that they have ended. */
static void get_events(struct request *r)
{
	uint8_t buf[1024];
	size_t len = 0, nest;
	struct nxm m;

	for (size_t i = 0; i < T_SESSIONS && r->k->ended[i]; i++) {
		reply_begin(r, &m, buf + len, sizeof(buf) - len);
		nest = nxm_nest_begin(&m, NQD_A_EVENT);
		nxm_put_u8(&m, NQD_A_EVENT_TYPE, NQD_EVENT_SESSION_DOWN);
		nxm_put_u8(&m, NQD_A_EVENT_REASON, NQD_DOWN_IDLE_TIMEOUT);
		nxm_nest_end(&m, nest);
		nest = nxm_nest_begin(&m, NQD_A_SESSION);
		nxm_put_u64(&m, NQD_A_SESSION_ID, r->k->ended[i]);
		nxm_nest_end(&m, nest);
		len = add_to_dump(r, buf, len, nxm_end(&m));
	}
	len += (size_t)nxm_build_done(buf + len, sizeof(buf) - len, &r->hdr);
	send_raw(r->fd, buf, (ssize_t)len);
}

static void serve(struct request *r)
{
	struct t_plane *p = r->p;

	p->asked[r->hdr.cmd]++;
	if (p->swallow == r->hdr.cmd)
		r->k->overrun_req = true;
	if (p->vanish_at == r->hdr.cmd) {
		p->vanish_at = 0;
		t_module_unload(r->k->f);
	} else if (p->kernel && r->hdr.type != r->k->family) {
		acknowledge(r->fd, &r->hdr, -ENOENT, "");
	} else if (p->refuse == r->hdr.cmd) {
		acknowledge(r->fd, &r->hdr, -ENOMEM, "no room");
	} else if (r->hdr.cmd == NQD_CMD_GET_CAPS) {
		reply_caps(r);
	} else if (r->hdr.cmd == NQD_CMD_CREATE_DEVICE) {
		create_device(r);
	} else if (r->hdr.cmd == NQD_CMD_DELETE_DEVICE) {
		delete_device(r);
	} else if (r->hdr.cmd == NQD_CMD_ADD_SESSION) {
		add_session(r);
	} else if (r->hdr.cmd == NQD_CMD_DELETE_SESSION) {
		delete_session(r);
	} else if (r->hdr.cmd == NQD_CMD_UPDATE_SESSION) {
		update_session(r);
	} else if (r->hdr.cmd == NQD_CMD_GET_STATS) {
		get_stats(r);
	} else if (r->hdr.cmd == NQD_CMD_GET_EVENTS) {
		get_events(r);
	} else {
		acknowledge(r->fd, &r->hdr, 0, "");
	}
}

static void take_request(struct t_planes *k, struct t_plane *p, int fd, const uint8_t *buf,
			 size_t len, const int *fds, unsigned int n_fds)
{
	struct request r = { .k = k, .p = p, .fd = fd, .fds = fds, .n_fds = n_fds };
	struct nxm_error e;

	assert_int_equal(nxm_parse_hdr(buf, len, &r.hdr, &e), 0);
	if (r.hdr.type == GENL_ID_CTRL) {
		answer_controller(k, &r.hdr);
		return;
	}
	assert_int_equal(nxa_parse(r.hdr.attrs, r.hdr.attrs_len, &nqd_top_set, r.top, buf, &e), 0);
	if (r.top[NQD_A_DEVICE].present)
		assert_int_equal(
			nxa_parse_nest(&r.top[NQD_A_DEVICE], &nqd_device_set, r.dev, buf, &e), 0);
	if (r.top[NQD_A_SESSION].present)
		assert_int_equal(
			nxa_parse_nest(&r.top[NQD_A_SESSION], &nqd_session_set, r.ses, buf, &e), 0);
	serve(&r);
}

static void pump_plane(struct t_planes *k, struct t_plane *p, int fd)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	int fds[NX_IPC_MAX_FDS];
	unsigned int n_fds;
	ssize_t n;

	while (fd >= 0 && (n = nx_ipc_recv(fd, buf, sizeof(buf), fds, &n_fds)) > 0) {
		take_request(k, p, fd, buf, (size_t)n, fds, n_fds);
		nx_close_fds(fds, n_fds);
	}
}

void t_module_event(struct fake *f, uint64_t id, enum nqd_event type, enum nqd_down_reason reason)
{
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	assert_int_equal(f->planes->joined, EVENTS_GROUP);
	t_begin(&m, buf, sizeof(buf), f->planes->family, NQD_CMD_EVENT, 0);
	nest = nxm_nest_begin(&m, NQD_A_EVENT);
	nxm_put_u8(&m, NQD_A_EVENT_TYPE, (uint8_t)type);
	nxm_put_u8(&m, NQD_A_EVENT_REASON, reason);
	nxm_nest_end(&m, nest);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	send_raw(f->planes->ev, buf, nxm_end(&m));
}

void t_events_lost(struct fake *f, struct t_plane *p)
{
	struct nxm_hdr hdr = { .type = NLMSG_OVERRUN };
	uint8_t buf[64];
	struct nxm m;

	if (p->kernel) {
		f->planes->overrun_ev = true;
		t_module_event(f, 1, NQD_EVENT_CONGESTION_STATE, 0);
		return;
	}
	nxm_begin(&m, buf, sizeof(buf), &hdr);
	send_raw(f->dp, buf, nxm_end(&m));
}

/* ---- the monitor ---- */

static void store(struct t_planes *k, const char *name, int fd)
{
	size_t spare = T_STORED;

	for (size_t i = 0; i < T_STORED; i++) {
		if (!strcmp(k->stored[i].name, name)) {
			close(k->stored[i].fd);
			spare = i;
			break;
		}
		if (!k->stored[i].name[0])
			spare = i;
	}
	assert_true(spare < T_STORED);
	snprintf(k->stored[spare].name, sizeof(k->stored[spare].name), "%s", name);
	k->stored[spare].fd = fd;
}

static void unstore(struct t_planes *k, const char *name)
{
	for (size_t i = 0; i < T_STORED; i++) {
		if (strcmp(k->stored[i].name, name))
			continue;
		close(k->stored[i].fd);
		k->stored[i].name[0] = '\0';
	}
}

bool t_stored(const struct fake *f, const char *name)
{
	for (size_t i = 0; i < T_STORED; i++)
		if (!strcmp(f->planes->stored[i].name, name))
			return true;
	return false;
}

static void serve_monitor(struct t_planes *k, const struct nxm_hdr *hdr, const char *name, int *fd)
{
	if (hdr->cmd == MON_CMD_STORE) {
		store(k, name, *fd);
		*fd = -1;
	} else if (hdr->cmd == MON_CMD_UNSTORE) {
		unstore(k, name);
	} else if (hdr->cmd == MON_CMD_OPEN_TUN) {
		int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

		assert_true(tun >= 0);
		t_mon_send(k->f, MON_CMD_STORED, -1, name, 0, tun);
		store(k, name, tun);
	} else if (hdr->cmd == MON_CMD_OPEN_SECRET) {
		t_mon_send(k->f, MON_CMD_SECRET_RESULT, -1, name, 0, -1);
	}
}

static void pump_monitor(struct t_planes *k)
{
	struct nxa tb[MON_A_MAX + 1];
	int fds[NX_IPC_MAX_FDS];
	unsigned int n_fds;
	struct nxm_error e;
	struct nxm_hdr hdr;
	uint8_t buf[2048];
	ssize_t n;

	while ((n = nx_ipc_recv(k->f->mon, buf, sizeof(buf), fds, &n_fds)) > 0) {
		assert_int_equal(nxm_parse_hdr(buf, (size_t)n, &hdr, &e), 0);
		assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &mon_set, tb, buf, &e), 0);
		if (tb[MON_A_NAME].present)
			serve_monitor(k, &hdr, nxa_str(&tb[MON_A_NAME]), fds);
		nx_close_fds(fds, n_fds);
	}
}

/* ---- set-up ---- */

static void pump(struct fake *f)
{
	struct t_planes *k = f->planes;

	pump_monitor(k);
	if (!k->module_first || f->m->priv->adopting < NX_PLANES)
		pump_plane(k, &k->user, f->dp);
	pump_plane(k, &k->module, k->req);
}

int t_planes_setup(void **state, const char *text, uint32_t version)
{
	struct t_planes *k = calloc(1, sizeof(*k));
	struct fake *f = calloc(1, sizeof(*f));

	if (!k || !f) {
		free(k);
		free(f);
		return -1;
	}
	k->f = f;
	k->req = k->ev = -1;
	k->family = 0x40;
	k->version = k->caps_version = version;
	k->module.kernel = true;
	k->io = (struct nx_genl_io){
		.open = open_end, .join = join, .receive = receive, .kind = "tun", .ctx = k
	};
	f->planes = k;
	f->genl = &k->io;
	f->pump = pump;
	*state = f;
	return t_setup_fake(f, text, false);
}

int t_planes_teardown(void **state)
{
	struct fake *f = *state;
	struct t_planes *k = f->planes;
	int r = t_teardown(state);

	for (size_t i = 0; i < T_STORED; i++)
		if (k->stored[i].name[0])
			close(k->stored[i].fd);
	for (size_t i = 0; i < T_DEVICES; i++)
		if (k->devices[i].ifindex)
			close(k->devices[i].fd);
	if (k->req >= 0)
		close(k->req);
	if (k->ev >= 0)
		close(k->ev);
	free(k);
	return r;
}

void t_planes_start(struct fake *f)
{
	struct t_planes *k = f->planes;

	f->hsd = t_connect_peer(f, MON_PEER_HSD);
	f->dp = t_connect_peer(f, MON_PEER_DP);
	for (size_t i = 0; i < T_STORED; i++)
		if (k->stored[i].name[0])
			t_mon_send(f, MON_CMD_STORED, -1, k->stored[i].name, 0, k->stored[i].fd);
	t_mon_send(f, MON_CMD_START, -1, NULL, 0, -1);
	t_run_until(f, f->m->priv->started && !f->m->priv->adopting);
}

void t_user_plane_dies(struct fake *f)
{
	f->planes->user.n_sessions = f->planes->user.n_stand_ins = 0;
	close(f->dp);
	f->dp = t_connect_peer(f, MON_PEER_DP);
}

void t_planes_restart(struct fake *f)
{
	pump(f);
	t_close_control(f);
	assert_int_equal(t_open_control_here(f), 0);
	t_planes_start(f);
}

uint64_t t_planes_attempt(struct fake *f)
{
	t_expect(f, f->hsd, HS_CMD_CONNECT);
	t_acknowledge(f, f->hsd, 0);
	return t_attempt_of(f);
}

struct nx_tunnel *t_office(struct fake *f)
{
	return nx_manager_find_tunnel(f->m, "office");
}

bool t_has_address(struct fake *f, int ifindex, const char *text)
{
	struct nx_prefix want, *list;
	size_t n;
	bool has;

	assert_int_equal(nx_prefix_parse(text, &want), 0);
	assert_int_equal(nx_address_list(f->m->priv->nl, ifindex, &list, &n), 0);
	has = nx_prefix_list_has(list, n, &want);
	free(list);
	return has;
}

/* ---- a server ---- */

void t_expect_setup(struct fake *f, unsigned int n_fds)
{
	t_expect(f, f->hsd, HS_CMD_SET_TUNNEL);
	assert_int_equal(f->n_fds, n_fds);
	nx_close_fds(f->fds, f->n_fds);
	t_acknowledge(f, f->hsd, 0);
}

void t_listen_on(struct fake *f, const char *plane)
{
	t_expect_setup(f, strcmp(plane, "nexus-dp") ? 3 : 2);
	t_expect_state(f, NX_TUNNEL_LISTENING);
	assert_string_equal(t_office(f)->data_plane, plane);
}

uint64_t t_user_connects(struct fake *f, struct t_plane *plane, uint64_t user)
{
	size_t before = plane->n_sessions;

	f->user = user;
	t_report_session(f, 1ull << 63 | 1, false);
	t_run_until(f, plane->n_sessions == before + 1);
	t_expect(f, f->hsd, HS_CMD_INSTALLED);
	return plane->sessions[before].id;
}
