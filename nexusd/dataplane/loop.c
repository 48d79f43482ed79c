// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop and the three channels: monitor, control, nexus-hsd.
 *
 * Losing control or nexus-hsd disturbs nothing: the session traffic goes on, events are kept, and a
 * new socket comes with MON_CMD_PEER. Losing the monitor ends the process. Messages of the channels
 * are handled after the data events of a round, because only they destroy objects.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "../../lib/mon_proto.h"
#include "dp.h"

#define EVENTS_MAX 64
#define US_PER_SECOND 1000000
/* Messages of one channel per round. */
#define MESSAGES_MAX 32
/* Kernels from 6.2 on take UDP super-packets on a TUN. */
#define USO_MAJOR 6
#define USO_MINOR 2

u64 dp_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * US_PER_SECOND + ts.tv_nsec / 1000;
}

void dp_tick(struct dp *dp)
{
	dp->now_us = dp_clock_us();
}

/* ---- epoll ---- */

int dp_watch_add(struct dp *dp, struct dp_watch *w, u32 events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(dp->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) < 0 ? -errno : 0;
}

void dp_watch_mod(struct dp *dp, struct dp_watch *w, u32 events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	epoll_ctl(dp->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
}

void dp_watch_del(struct dp *dp, struct dp_watch *w)
{
	epoll_ctl(dp->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
}

void dp_watch_close(struct dp *dp, struct dp_watch *w)
{
	if (w->fd < 0)
		return;
	dp_watch_del(dp, w);
	close(w->fd);
	w->fd = -1;
}

/* ---- channels: the watch only notes that there is something ---- */

static void channel_ready(struct dp *dp, struct dp_watch *w, u32 events)
{
	dp->channels_ready |= w == &dp->monitor	  ? DP_MONITOR_READY
			      : w == &dp->control ? DP_CONTROL_READY
						  : DP_HSD_READY;
}

static void set_channel(struct dp *dp, struct dp_watch *w, int fd)
{
	dp_watch_close(dp, w);
	w->fn = channel_ready;
	w->fd = fd;
	if (fd >= 0 && dp_watch_add(dp, w, EPOLLIN)) {
		close(fd);
		w->fd = -1;
	}
}

void dp_set_control(struct dp *dp, int fd)
{
	socklen_t len = sizeof(dp->control_bytes);

	dp_dump_stop(dp);
	set_channel(dp, &dp->control, fd);
	dp->control_events = EPOLLIN;
	dp->control_full = false;
	/* Who is new asks for everything. */
	dp->events_lost = false;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &dp->control_bytes, &len) < 0)
		dp->control_bytes = 0;
}

/* Without an owner there is nobody who might not take it. */
bool dp_control_room(const struct dp *dp, int quarters)
{
	int used;

	return dp->control.fd < 0 || (!ioctl(dp->control.fd, SIOCOUTQ, &used) &&
				      used <= dp->control_bytes / 4 * quarters);
}

void dp_control_watch(struct dp *dp)
{
	u32 events = EPOLLIN;

	if (dp_dump_active(dp) || dp->control_full)
		events = EPOLLOUT;
	else if (dp->events_lost)
		events = EPOLLIN | EPOLLOUT;
	if (dp->control.fd < 0 || events == dp->control_events)
		return;
	dp_watch_mod(dp, &dp->control, events);
	dp->control_events = events;
}

void dp_set_hsd(struct dp *dp, int fd)
{
	set_channel(dp, &dp->hsd, fd);
}

static void read_control(struct dp *dp)
{
	int fds[NX_IPC_MAX_FDS], i;
	unsigned int n_fds;

	for (i = 0; i < MESSAGES_MAX && dp->control.fd >= 0 && !dp_dump_active(dp); i++) {
		ssize_t n;

		dp->control_full = !dp_control_room(dp, DP_ROOM_ANSWERS);
		if (dp->control_full)
			return;
		n = nx_ipc_recv(dp->control.fd, dp->msg, NQD_MSG_MAX_LEN, fds, &n_fds);
		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE) {
			nx_warn("control message too large or with too many descriptors");
			continue;
		}
		if (n <= 0) {
			nx_info("control process is gone, traffic goes on");
			dp_set_control(dp, -1);
			dp->stop = dp->test_mode;
			return;
		}
		dp_control_message(dp, dp->msg, n, fds, n_fds);
	}
}

static void read_hsd(struct dp *dp)
{
	struct hs_punt_hdr hdr;
	int i;

	for (i = 0; i < MESSAGES_MAX && dp->hsd.fd >= 0; i++) {
		ssize_t n = nx_ipc_recv(dp->hsd.fd, dp->msg, NQD_MSG_MAX_LEN, NULL, NULL);

		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE)
			continue;
		if (n <= 0) {
			dp_set_hsd(dp, -1);
			return;
		}
		if ((size_t)n < sizeof(hdr))
			continue;
		memcpy(&hdr, dp->msg, sizeof(hdr));
		if (hdr.to_dp == 1 && hdr.len == n - sizeof(hdr))
			dp_rx_punted(dp, &hdr, dp->msg + sizeof(hdr), hdr.len);
	}
}

static void send_ready(struct dp *dp)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_MON, .cmd = MON_CMD_READY, .version = 1 };
	u8 buf[64];
	struct nxm m;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	nx_ipc_send(dp->monitor.fd, buf, nxm_end(&m), NULL, 0);
}

static void monitor_message(struct dp *dp, u8 *msg, size_t len, int *fds, unsigned int n_fds)
{
	struct nxa tb[MON_A_MAX + 1];
	struct nxm_error e = { 0 };
	struct nxm_hdr hdr;

	if (nxm_parse_hdr(msg, len, &hdr, &e) || hdr.type != NXM_FAMILY_MON ||
	    nxa_parse(hdr.attrs, hdr.attrs_len, &mon_set, tb, msg, &e)) {
		nx_warn("monitor message refused: %s", e.text);
		return;
	}
	if (hdr.cmd == MON_CMD_START) {
		send_ready(dp);
	} else if (hdr.cmd == MON_CMD_PEER && tb[MON_A_PEER].present && n_fds == 1) {
		if (nxa_u8(&tb[MON_A_PEER]) == MON_PEER_CONTROL)
			dp_set_control(dp, fds[0]);
		else if (nxa_u8(&tb[MON_A_PEER]) == MON_PEER_HSD)
			dp_set_hsd(dp, fds[0]);
		else
			return;
		fds[0] = -1;
	}
}

static void read_monitor(struct dp *dp)
{
	int fds[NX_IPC_MAX_FDS], i;
	unsigned int n_fds;

	for (i = 0; i < MESSAGES_MAX; i++) {
		ssize_t n = nx_ipc_recv(dp->monitor.fd, dp->msg, NQD_MSG_MAX_LEN, fds, &n_fds);

		if (n == -EAGAIN)
			return;
		if (n == -EMSGSIZE)
			continue;
		if (n <= 0) {
			set_channel(dp, &dp->monitor, -1);
			dp->stop = true;
			return;
		}
		monitor_message(dp, dp->msg, n, fds, n_fds);
		nx_close_fds(fds, n_fds);
	}
}

int dp_monitor_start(struct dp *dp, int fd)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return -ENOTSOCK;
	set_channel(dp, &dp->monitor, fd);
	return dp->monitor.fd < 0 ? -EBADF : 0;
}

static void run_channels(struct dp *dp)
{
	unsigned int ready = dp->channels_ready;

	dp->channels_ready = 0;
	if (ready & DP_MONITOR_READY)
		read_monitor(dp);
	if (ready & DP_CONTROL_READY) {
		dp_dump_continue(dp);
		dp_events_told(dp);
		read_control(dp);
		dp_control_watch(dp);
	}
	if (ready & DP_HSD_READY)
		read_hsd(dp);
}

/* ---- the loop ---- */

static int wait_events(struct dp *dp, struct epoll_event *ev, u64 max_wait_us)
{
	u64 next = dp_timer_next(dp), wait = max_wait_us;
	struct timespec ts;

	if (next != NQ_TIME_NEVER) {
		dp_tick(dp);
		if (next <= dp->now_us)
			wait = 0;
		else if (next - dp->now_us < wait)
			wait = next - dp->now_us;
	}
	if (wait == DP_WAIT_FOREVER)
		return epoll_pwait2(dp->epoll_fd, ev, EVENTS_MAX, NULL, NULL);
	ts = (struct timespec){ wait / US_PER_SECOND, wait % US_PER_SECOND * 1000 };
	return epoll_pwait2(dp->epoll_fd, ev, EVENTS_MAX, &ts, NULL);
}

void dp_round(struct dp *dp, u64 max_wait_us)
{
	struct epoll_event ev[EVENTS_MAX];
	struct dp_session *s;
	int n, i;

	n = wait_events(dp, ev, max_wait_us);
	for (i = 0; i < n; i++) {
		struct dp_watch *w = ev[i].data.ptr;

		dp_tick(dp);
		w->fn(dp, w, ev[i].events);
	}
	dp_tick(dp);
	dp_tx_answers(dp);
	while ((s = dp_timer_due(dp, dp->now_us))) {
		if (nq_next_timeout_us(s->conn) <= dp->now_us)
			nq_on_timeout(s->conn, dp->now_us);
		dp_mark_dirty(dp, s);
	}
	if (dp->channels_ready)
		run_channels(dp);
	dp_run_dirty(dp);
}

/* What the kernel can do: asked once, before the sandbox. */
static void probe(struct dp *dp)
{
	int on = 1, segment = 1200, major = 0, minor = 0;
	struct utsname u;

	dp->spare_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (dp->spare_socket >= 0) {
		dp->udp_gso = !setsockopt(dp->spare_socket, IPPROTO_UDP, UDP_SEGMENT, &segment,
					  sizeof(segment));
		dp->udp_gro = !setsockopt(dp->spare_socket, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	}
	if (!uname(&u) && sscanf(u.release, "%d.%d", &major, &minor) == 2)
		dp->tun_uso = major > USO_MAJOR || (major == USO_MAJOR && minor >= USO_MINOR);
}

int dp_init(struct dp *dp)
{
	/* Random IDs touch the tables page by page; all of them now, so that what is used later is
	 * what sessions use.
	 */
	memset(dp->cids, 0, sizeof(dp->cids));
	memset(dp->tokens, 0, sizeof(dp->tokens));
	TAILQ_INIT(&dp->devices);
	TAILQ_INIT(&dp->sockets);
	TAILQ_INIT(&dp->sessions);
	dp->lines.ops = &dp_line_ops;
	TAILQ_INIT(&dp->dirty);
	dp->fq_pool.store = &dp->store;
	snprintf(dp->limbo.ifname, sizeof(dp->limbo.ifname), "closing");
	dp->monitor.fd = -1;
	dp->control.fd = -1;
	dp->hsd.fd = -1;
	dp_tick(dp);
	dp->heap = calloc(DP_MAX_SESSIONS, sizeof(*dp->heap));
	dp->msg = malloc(NQD_MSG_MAX_LEN);
	dp->reply = malloc(NQD_MSG_MAX_LEN);
	if (!dp->heap || !dp->msg || !dp->reply || dp_rx_init() || dp_pool_init(dp) ||
	    dp_store_init(&dp->store))
		return -ENOMEM;
	if (dp_reset_init(dp) || getrandom(&dp->flow_key, sizeof(dp->flow_key), 0) < 0)
		return -EIO;
	dp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (dp->epoll_fd < 0)
		return -errno;
	probe(dp);
	return 0;
}

void dp_fini(struct dp *dp)
{
	struct dp_device *dev;
	struct dp_session *s;

	while ((dev = TAILQ_FIRST(&dp->devices)))
		dp_device_destroy(dp, dev);
	while ((s = TAILQ_FIRST(&dp->sessions)))
		dp_session_free(dp, s);
	dp_sockets_reap(dp);
	dp_watch_close(dp, &dp->control);
	dp_watch_close(dp, &dp->hsd);
	dp_watch_close(dp, &dp->monitor);
	dp_pool_fini(dp);
	dp_store_fini(&dp->store);
	if (dp->spare_socket >= 0)
		close(dp->spare_socket);
	close(dp->epoll_fd);
	free(dp->heap);
	free(dp->msg);
	free(dp->reply);
}
