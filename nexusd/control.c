// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control process: one event loop between the monitor, nexus-hsd, the data plane and D-Bus. It
 * starts when the monitor has wired it (MON_CMD_START), refuses a bad configuration before it has
 * changed anything, and ends when the monitor says so or goes away.
 */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config-internal.h"
#include "control.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "net-link.h"
#include "net-watch.h"
#include "prefix.h"
#include "tunnel-internal.h"

#define ALIVE_INTERVAL_US 500000
/* Longer than tunnels take to say goodbye. */
#define STOP_TIMEOUT_US 3000000

/* Everything libc, libsystemd, libnl and the resolver use; no exec, no mount, no ptrace, no modules. */
static const char *const allowed_calls[] = {
	"accept4",
	"access",
	"bind",
	"capget",
	"clock_getres",
	"clone",
	"clone3",
	"close_range",
	"connect",
	"dup",
	"dup2",
	"dup3",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"eventfd2",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fchmod",
	"fcntl",
	"fstatfs",
	"fsync",
	"ftruncate",
	"get_robust_list",
	"getcwd",
	"getdents64",
	"getegid",
	"geteuid",
	"getgid",
	"getgroups",
	"getpeername",
	"getpgrp",
	"getppid",
	"getresgid",
	"getresuid",
	"getsid",
	"getsockname",
	"getsockopt",
	"getuid",
	"inotify_add_watch",
	"inotify_init1",
	"inotify_rm_watch",
	"ioctl",
	"kcmp",
	"lseek",
	"lstat",
	"memfd_create",
	"membarrier",
	"mlock",
	"mlock2",
	"munlock",
	"name_to_handle_at",
	"nanosleep",
	"newfstatat",
	"open",
	"openat",
	"pidfd_open",
	"pipe2",
	"poll",
	"ppoll",
	"prctl",
	"pread64",
	"prlimit64",
	"pselect6",
	"pwrite64",
	"readlink",
	"readlinkat",
	"readv",
	"rename",
	"renameat",
	"renameat2",
	"recvfrom",
	"recvmmsg",
	"recvmsg",
	"rt_sigpending",
	"rt_sigtimedwait",
	"sched_getaffinity",
	"sendmmsg",
	"sendto",
	"set_robust_list",
	"set_tid_address",
	"setsockopt",
	"shutdown",
	"signalfd4",
	"socket",
	"socketpair",
	"stat",
	"statfs",
	"statx",
	"sysinfo",
	"time",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"uname",
	"unlink",
	NULL,
};

/* ---- reports of nexus-hsd ---- */

static struct nx_tunnel *tunnel_of(struct nx_manager *m, const struct nxa *tb)
{
	return tb[HS_A_TUNNEL].present ? nx_manager_find_tunnel(m, nxa_str(&tb[HS_A_TUNNEL]))
				       : NULL;
}

static void on_hsd_session(void *userdata, const struct nx_chan_msg *msg, const struct nxa *tb)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t = tunnel_of(m, tb);

	if (!tb[HS_A_ATTEMPT].present)
		return;
	if (!t || !tb[HS_A_SOCKET].present || !tb[HS_A_SESSION].present || !tb[HS_A_KEYS].present) {
		nx_err("incomplete session report of nexus-hsd");
		if (tb[HS_A_TUNNEL].present)
			(void)nx_hsd_cancel(&m->priv->hsd, nxa_str(&tb[HS_A_TUNNEL]),
					    nxa_u64(&tb[HS_A_ATTEMPT]));
		return;
	}
	if (t->config->role == NX_ROLE_SERVER)
		nx_server_session(t, msg, tb);
	else
		nx_client_session(t, msg, tb);
}

static void on_hsd_failed(void *userdata, const struct nxa *tb)
{
	struct nx_tunnel *t = tunnel_of(userdata, tb);

	if (t && t->config->role == NX_ROLE_CLIENT && tb[HS_A_ATTEMPT].present)
		nx_tunnel_attempt_failed(t, nxa_u64(&tb[HS_A_ATTEMPT]),
					 tb[HS_A_REASON].present ? nxa_u8(&tb[HS_A_REASON])
								 : HS_REASON_NONE,
					 tb[HS_A_TEXT].present ? nxa_str(&tb[HS_A_TEXT]) : "");
}

static void on_hsd_relay_wanted(void *userdata, const struct nxa *tb)
{
	struct nx_tunnel *t = tunnel_of(userdata, tb);

	if (t && tb[HS_A_COUNT].present)
		nx_cover_wanted(t, nxa_u32(&tb[HS_A_COUNT]));
}

static void on_hsd_cover_state(void *userdata, const struct nxa *tb)
{
	struct nx_tunnel *t = tunnel_of(userdata, tb);

	if (t && tb[HS_A_COVER_STATE].present)
		nx_cover_report(t, nxa_u8(&tb[HS_A_COVER_STATE]));
}

static void on_hsd_cover_profile(void *userdata, const struct nx_chan_msg *msg,
				 const struct nxa *tb)
{
	struct nx_tunnel *t = tunnel_of(userdata, tb);

	if (t)
		nx_cover_learnt(t, msg->hdr.attrs, msg->hdr.attrs_len);
}

/* A step may remove the tunnel it is called for. */
#define FOR_EACH_TUNNEL(m, t, next)                                                          \
	for ((t) = TAILQ_FIRST(&(m)->tunnels); (t) && ((next) = TAILQ_NEXT(t, entry), true); \
	     (t) = (next))

static void on_hsd_up(void *userdata)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t, *next;

	FOR_EACH_TUNNEL(m, t, next)
	nx_tunnel_hsd_up(t);
}

static void on_hsd_down(void *userdata)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t, *next;

	nx_log_full(LOG_WARNING, "PeerLost", NULL,
		    "nexus-hsd went away; established sessions go on");
	FOR_EACH_TUNNEL(m, t, next)
	nx_tunnel_hsd_down(t);
}

/* ---- events of the data plane ---- */

static void on_path_changed(struct nx_tunnel *t, struct nx_session *s, const struct nxa *ses)
{
	const struct nxa *local = &ses[NQD_A_SESSION_LOCAL_ADDR];
	const struct nxa *remote = &ses[NQD_A_SESSION_REMOTE_ADDR];
	struct nx_endpoint to = s->local, from;

	if (!remote->present || nx_endpoint_from_bytes(remote->data, remote->len, &from) < 0 ||
	    (local->present && nx_endpoint_from_bytes(local->data, local->len, &to) < 0))
		nx_err("event of the data plane refused: addresses of a path");
	else
		nx_tunnel_path_changed(t, s, &to, &from);
}

static void on_dp_event(void *userdata, struct nx_dp *d, const struct nxa *ev,
			const struct nxa *ses)
{
	struct nx_manager *m = userdata;
	struct nx_session *s = NULL;
	struct nx_tunnel *t, *next;
	uint8_t type = nxa_u8(&ev[NQD_A_EVENT_TYPE]);
	const char *text = ev[NQD_A_EVENT_TEXT].present ? nxa_str(&ev[NQD_A_EVENT_TEXT]) : "";

	if (!ses[NQD_A_SESSION_ID].present)
		return;
	FOR_EACH_TUNNEL(m, t, next)
	{
		s = nx_tunnel_find_session(t, nxa_u64(&ses[NQD_A_SESSION_ID]));
		if (s && s->dp == d)
			break;
		s = NULL;
	}
	if (!s && type == NQD_EVENT_SESSION_DOWN)
		nx_move_session_down(m, nxa_u64(&ses[NQD_A_SESSION_ID]));
	if (!s)
		return;
	switch (type) {
	case NQD_EVENT_SESSION_DOWN:
		nx_tunnel_session_down(t, s,
				       ev[NQD_A_EVENT_REASON].present
					       ? nxa_u8(&ev[NQD_A_EVENT_REASON])
					       : NQD_DOWN_DELETED,
				       text);
		break;
	case NQD_EVENT_PATH_MTU_CHANGED:
		if (ses[NQD_A_SESSION_PATH_MTU_BYTES].present)
			nx_tunnel_path_mtu(t, s, nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]));
		break;
	case NQD_EVENT_PATH_CHANGED:
		on_path_changed(t, s, ses);
		break;
	case NQD_EVENT_PEER_SILENT:
		if (t->config->role == NX_ROLE_CLIENT)
			nx_client_renew(t, "the server does not answer");
		break;
	case NQD_EVENT_FATAL_ERROR:
		nx_log_full(LOG_ERR, "DataPlaneError", t->config->name, "data plane: %s", text);
		break;
	default:
		nx_log_full(LOG_DEBUG, "DataPlaneEvent", t->config->name, "event %u of session",
			    type);
	}
}

static void on_dp_up(void *userdata, struct nx_dp *d)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t, *next;

	nx_planes_up(m, d);
	/* Of the module they hear when its capabilities are known. */
	if (!m->priv->started || d->kernel)
		return;
	FOR_EACH_TUNNEL(m, t, next)
	nx_tunnel_dp_up(t, d);
}

static void on_dp_down(void *userdata, struct nx_dp *d)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t, *next;

	nx_log_full(LOG_WARNING, "PeerLost", NULL, "%s went away, and its sessions with it",
		    d->name);
	nx_planes_down(m, d);
	FOR_EACH_TUNNEL(m, t, next)
	nx_tunnel_dp_down(t, d);
}

const struct nx_dp_ops nx_control_dp_ops = {
	.event = on_dp_event,
	.up = on_dp_up,
	.down = on_dp_down,
	.again = nx_sessions_recount,
};

void nx_tunnels_plane_changed(struct nx_manager *m)
{
	struct nx_tunnel *t, *next;

	FOR_EACH_TUNNEL(m, t, next)
	nx_tunnel_plane_changed(t);
}

/* ---- the monitor ---- */

static void on_peer(void *userdata, enum mon_peer peer, int fd)
{
	struct nx_manager *m = userdata;
	int r;

	if (peer == MON_PEER_HSD)
		r = nx_hsd_attach(&m->priv->hsd, fd);
	else if (peer == MON_PEER_DP)
		r = nx_dp_attach(&m->priv->planes[NX_PLANE_USER], fd);
	else
		r = close(fd);
	if (r < 0)
		nx_err("wiring failed: %s", strerror(-r));
}

/* "tun:NAME", "keylog:NAME", "secret:NAME:...": the tunnel in the middle. */
static struct nx_tunnel *tunnel_in_name(struct nx_manager *m, const char *name)
{
	const char *start = strchr(name, ':');
	char tunnel[32];
	size_t len;

	if (!start)
		return NULL;
	start++;
	len = strcspn(start, ":");
	if (len >= sizeof(tunnel))
		return NULL;
	memcpy(tunnel, start, len);
	tunnel[len] = '\0';
	return nx_manager_find_tunnel(m, tunnel);
}

static void on_stored(void *userdata, const char *name, int fd)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t = m->priv->started ? tunnel_in_name(m, name) : NULL;
	struct nx_stored *s;

	if (t && !strncmp(name, "tun:", 4)) {
		nx_tunnel_tun_opened(t, fd);
		return;
	}
	if (t && !strncmp(name, "keylog:", 7)) {
		nx_tunnel_keylog_opened(t, fd);
		return;
	}
	s = m->priv->started ? NULL : calloc(1, sizeof(*s));
	if (!s) {
		close(fd);
		return;
	}
	s->fd = fd;
	snprintf(s->name, sizeof(s->name), "%s", name);
	TAILQ_INSERT_TAIL(&m->priv->stored, s, entry);
}

static void on_secret_result(void *userdata, const char *name, int err, const char *text)
{
	struct nx_tunnel *t = tunnel_in_name(userdata, name);

	if (!t)
		return;
	if (!strncmp(name, "tun:", 4)) {
		t->priv->tun_requested = false;
		nx_tunnel_fail(t, NX_REASON_CONFIGURATION, text);
		return;
	}
	nx_tunnel_secret_result(t, name, err, text);
}

/* ---- the machine ---- */

static void on_network_changed(void *userdata)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry)
		nx_roam_network_changed(t);
}

static void resumed(struct nx_manager *m, uint64_t slept_us)
{
	struct nx_tunnel *t;

	nx_log_full(LOG_NOTICE, "Resumed", NULL, "the machine is awake again");
	TAILQ_FOREACH (t, &m->tunnels, entry)
		nx_roam_resumed(t, slept_us);
}

void nx_manager_resumed(struct nx_manager *m)
{
	resumed(m, nx_sleep_clock_slept(&m->priv->sleep_clock));
}

/* On a clock that goes on during sleep: after it the timer is overdue, and this runs first. */
static int on_alive(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_manager *m = userdata;
	uint64_t slept_us = nx_sleep_clock_slept(&m->priv->sleep_clock);

	(void)nx_mon_notify(&m->priv->mon, MON_CMD_ALIVE);
	if (slept_us)
		resumed(m, slept_us);
	(void)sd_event_source_set_time_relative(s, ALIVE_INTERVAL_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ON);
}

/* A list that is not understood as a whole would let somebody in who was locked out. */
static int load_revoked(struct nx_revoked *r)
{
	const char *dir = r->dir;
	int err = nx_revoked_load(r, dir);

	if (err < 0)
		nx_log_full(
			LOG_ERR, "RevokedUsersUnread", NULL,
			"%s/revoked: %s; a line must be a tunnel and a user, or remove the file "
			"to let all users in",
			dir, strerror(-err));
	return err;
}

static void on_start(void *userdata)
{
	struct nx_manager *m = userdata;
	struct nx_config *c;
	char error[NX_CONFIG_ERROR_LEN];
	int r;

	if (load_revoked(&m->priv->revoked) < 0) {
		(void)sd_event_exit(m->event, NX_EXIT_CONFIG);
		return;
	}
	r = nx_config_load(m->config_file, m->priv->insecure, &c, error, sizeof(error));
	if (r) {
		nx_err("%s", error);
		(void)sd_event_exit(m->event, NX_EXIT_CONFIG);
		return;
	}
	nx_manager_apply_config(m, c);
	m->priv->started = true;
	nx_manager_adopt(m);
	r = nx_manager_bus_start(m);
	if (r < 0)
		nx_warn("D-Bus: %s", strerror(-r));
	(void)nx_mon_notify(&m->priv->mon, MON_CMD_READY);
}

static void on_reload(void *userdata)
{
	struct nx_manager *m = userdata;
	char error[NX_CONFIG_ERROR_LEN];

	if (nx_manager_reload(m, error, sizeof(error)) < 0)
		nx_log_full(LOG_ERR, "ReloadFailed", NULL, "%s; the running configuration stays",
			    error);
	(void)nx_mon_notify(&m->priv->mon, MON_CMD_READY);
}

void nx_manager_tunnel_stopped(struct nx_manager *m)
{
	struct nx_tunnel *t;

	if (!m->priv->stopping)
		return;
	TAILQ_FOREACH (t, &m->tunnels, entry)
		if (!nx_tunnel_at_rest(t))
			return;
	(void)sd_event_exit(m->event, 0);
}

static int on_stop_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_manager *m = userdata;

	nx_warn("some tunnels did not end in time");
	return sd_event_exit(m->event, 0);
}

static void on_stop(void *userdata)
{
	struct nx_manager *m = userdata;
	struct nx_tunnel *t, *next;

	if (m->priv->stopping)
		return;
	m->priv->stopping = true;
	(void)sd_event_add_time_relative(m->event, NULL, CLOCK_MONOTONIC, STOP_TIMEOUT_US, 0,
					 on_stop_timeout, m);
	FOR_EACH_TUNNEL(m, t, next)
	{
		if (!nx_tunnel_at_rest(t))
			(void)nx_tunnel_disconnect(t);
	}
	nx_manager_tunnel_stopped(m);
}

/* Without the monitor nobody would restart or store anything; the kernel ends us anyway. */
static void on_gone(void *userdata)
{
	struct nx_manager *m = userdata;

	(void)sd_event_exit(m->event, 1);
}

/* ---- life ---- */

static const struct nx_mon_ops mon_ops = {
	.peer = on_peer,
	.stored = on_stored,
	.start = on_start,
	.secret_result = on_secret_result,
	.reload = on_reload,
	.stop = on_stop,
	.gone = on_gone,
};
static const struct nx_hsd_ops hsd_ops = {
	.session = on_hsd_session,
	.failed = on_hsd_failed,
	.relay_wanted = on_hsd_relay_wanted,
	.cover_state = on_hsd_cover_state,
	.cover_profile = on_hsd_cover_profile,
	.up = on_hsd_up,
	.down = on_hsd_down,
};

struct nx_manager *nx_control_new(sd_event *event, int monitor_fd, const struct nx_options *o)
{
	struct nx_manager *m = calloc(1, sizeof(*m));
	struct nx_manager_private *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (!m || !p)
		goto err;
	m->priv = p;
	m->event = event;
	TAILQ_INIT(&m->tunnels);
	TAILQ_INIT(&p->stored);
	p->insecure = o->insecure;
	p->state_dir = p->revoked.dir = o->state_dir;
	/* The high bit marks attempts of a server's nexus-hsd. */
	p->last_attempt = nx_random_id() >> 2;
	m->config_file = strdup(o->config_file);
	if (!m->config_file)
		goto err;
	nx_hsd_init(&p->hsd, event, &hsd_ops, m);
	r = nx_planes_init(m, o->genl);
	if (!r)
		r = nx_netlink_open(&p->nl);
	if (!r)
		r = nx_mon_open(&p->mon, event, monitor_fd, &mon_ops, m);
	if (r >= 0)
		r = nx_net_watch_start(&p->net_watch, event, on_network_changed, m);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &p->alive, CLOCK_BOOTTIME, 0, 0, on_alive, m);
	if (r >= 0)
		return m;
err:
	nx_err("the control process cannot start: %s", strerror(-r));
	if (m && m->priv)
		nx_control_free(m);
	else
		free(m);
	if (!m || !m->priv)
		free(p);
	return NULL;
}

void nx_control_free(struct nx_manager *m)
{
	struct nx_manager_private *p = m->priv;
	struct nx_tunnel *t;
	struct nx_stored *s;

	nx_manager_bus_stop(m);
	nx_revoked_free(&p->revoked);
	p->alive = sd_event_source_disable_unref(p->alive);
	nx_net_watch_stop(&p->net_watch);
	nx_hsd_close(&p->hsd);
	nx_planes_free(m);
	while ((t = TAILQ_FIRST(&m->tunnels))) {
		struct nx_session *ses;

		while ((ses = TAILQ_FIRST(&t->sessions)))
			nx_session_free(ses);
		while ((ses = TAILQ_FIRST(&t->priv->installing)))
			nx_session_free(ses);
		nx_tunnel_free(t);
	}
	while ((s = TAILQ_FIRST(&p->stored))) {
		TAILQ_REMOVE(&p->stored, s, entry);
		close(s->fd);
		free(s);
	}
	nx_mon_close(&p->mon);
	nx_netlink_close(p->nl);
	nx_config_free(m->config);
	free(m->config_file);
	free(p);
	free(m);
}

static void ignore_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGTERM };

	/* The monitor passes on what concerns us. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
}

int nx_control_run(const struct nx_options *o)
{
	struct nx_manager *m;
	sd_event *event;
	int r;

	ignore_signals();
	r = nx_harden_process();
	if (!r)
		r = nx_seccomp_allow(allowed_calls);
	if (r) {
		nx_err("the control process cannot confine itself: %s", strerror(-r));
		return 1;
	}
	r = sd_event_new(&event);
	if (r < 0) {
		nx_err("no event loop: %s", strerror(-r));
		return 1;
	}
	m = nx_control_new(event, NX_MONITOR_FD, o);
	r = m ? sd_event_loop(event) : 1;
	if (m)
		nx_control_free(m);
	sd_event_unref(event);
	return r < 0 ? 1 : r;
}
