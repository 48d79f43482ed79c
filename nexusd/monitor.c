// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The monitor: starts, wires, watches and restarts the three other processes, keeps descriptors
 * and opens secret files for them (lib/mon_proto.h, docs/architecture.md). It runs as root and
 * parses nothing but the messages of its own children, against a fixed policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>
#include "lib/ipc.h"
#include "lib/log.h"
#include "monitor.h"
#include "replay-memory.h"
#include "secrets.h"

/* The control process closes its tunnels within 3 s. */
#define STOP_TIMEOUT_US 5000000
#define KILL_TIMEOUT_US 2000000
/* A control process that says nothing for so long hangs. */
#define ALIVE_TIMEOUT_US 15000000

#define CAP_BIT(cap) (1ull << (cap))

static void start_child(struct nx_child *c);

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- messages to children ---- */

struct message {
	enum mon_cmd cmd;
	int peer; /* -1 = none */
	const char *name, *text;
	int err; /* negative errno; 1 = no attribute */
};

static int send_message(struct nx_child *c, const struct message *msg, int fd)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_MON, .cmd = (uint8_t)msg->cmd };
	uint8_t buf[1024];
	struct nxm m;
	ssize_t len;
	int r;

	nxm_begin(&m, buf, sizeof(buf), &hdr);
	if (msg->peer >= 0)
		nxm_put_u8(&m, MON_A_PEER, (uint8_t)msg->peer);
	if (msg->name)
		nxm_put_str(&m, MON_A_NAME, msg->name);
	if (msg->err <= 0)
		nxm_put_u32(&m, MON_A_ERRNO, (uint32_t)-msg->err);
	if (msg->text && *msg->text)
		nxm_put_str(&m, MON_A_TEXT, msg->text);
	len = nxm_end(&m);
	r = len < 0 ? (int)len : nx_chan_send(c->chan, buf, (size_t)len, &fd, fd >= 0 ? 1 : 0);
	if (r)
		nx_err("message to %s lost: %s", c->name, strerror(-r));
	return r;
}

static int send_simple(struct nx_child *c, enum mon_cmd cmd)
{
	struct message msg = { .cmd = cmd, .peer = -1, .err = 1 };

	return send_message(c, &msg, -1);
}

static int send_named_fd(struct nx_child *c, enum mon_cmd cmd, const char *name, int fd)
{
	struct message msg = { .cmd = cmd, .peer = -1, .name = name, .err = 1 };

	return send_message(c, &msg, fd);
}

static void send_result(struct nx_child *c, const char *name, int err, const char *text)
{
	char cut[256];
	struct message msg = {
		.cmd = MON_CMD_SECRET_RESULT, .peer = -1, .name = name, .err = err, .text = cut
	};

	snprintf(cut, sizeof(cut), "%s", text);
	(void)send_message(c, &msg, -1);
}

/* A fresh socket between two running children. */
static void wire(struct nx_child *a, struct nx_child *b)
{
	struct message to_a = { .cmd = MON_CMD_PEER, .peer = (int)b->id, .err = 1 };
	struct message to_b = { .cmd = MON_CMD_PEER, .peer = (int)a->id, .err = 1 };
	int sv[2], r;

	if (!a->chan || !b->chan)
		return;
	r = nx_ipc_pair(sv);
	if (r) {
		nx_err("no socket between %s and %s: %s", a->name, b->name, strerror(-r));
		return;
	}
	(void)send_message(a, &to_a, sv[0]);
	(void)send_message(b, &to_b, sv[1]);
	nx_close_fds(sv, 2);
}

/* ---- requests of the control process ---- */

static void open_secret(struct nx_monitor *m, const char *name, const char *path)
{
	struct nx_child *control = &m->children[MON_PEER_CONTROL];
	struct nx_child *hsd = &m->children[MON_PEER_HSD];
	const struct nx_options *o = m->options;
	char text[320] = "";
	int fd, r;

	if (!strncmp(name, "keylog:", 7)) {
		if (!(o->insecure & NX_INSECURE_KEYLOG)) {
			send_result(
				control, name, -EPERM,
				"a key log is refused unless nexusd runs with --insecure-keylog");
			return;
		}
		fd = nx_keylog_open(o->secret_dir, path, text, sizeof(text));
		r = fd < 0 ? fd : send_named_fd(control, MON_CMD_STORED, name, fd);
	} else if (!strncmp(name, "secret:", 7)) {
		fd = nx_secret_open(o->secret_dir, path, text, sizeof(text));
		r = fd < 0	? fd
		    : hsd->chan ? send_named_fd(hsd, MON_CMD_SECRET, name, fd)
				: -ENOTCONN;
	} else {
		return;
	}
	if (fd >= 0)
		close(fd);
	send_result(control, name, r, text);
}

static void open_tun(struct nx_monitor *m, const char *name)
{
	struct nx_child *control = &m->children[MON_PEER_CONTROL];
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	char text[128];
	int r;

	if (fd < 0) {
		r = -errno;
		snprintf(text, sizeof(text),
			 "/dev/net/tun: %s (load the module with: modprobe tun)", strerror(-r));
		send_result(control, name, r, text);
		return;
	}
	(void)send_named_fd(control, MON_CMD_STORED, name, fd);
	r = nx_fd_store_put(&m->store, name, fd);
	if (r)
		nx_err("descriptor %s is not kept: %s", name, strerror(-r));
}

static void control_message(struct nx_monitor *m, const struct nx_chan_msg *msg,
			    const struct nxa *tb)
{
	const char *name = tb[MON_A_NAME].present ? nxa_str(&tb[MON_A_NAME]) : NULL;
	int r = 0;

	if (!name)
		return;
	switch (msg->hdr.cmd) {
	case MON_CMD_STORE:
		if (msg->n_fds != 1)
			return;
		r = nx_fd_store_put(&m->store, name, msg->fds[0]);
		msg->fds[0] = -1;
		if (r)
			nx_err("descriptor %s is not kept: %s", name, strerror(-r));
		break;
	case MON_CMD_UNSTORE:
		nx_fd_store_remove(&m->store, name);
		break;
	case MON_CMD_OPEN_SECRET:
		if (tb[MON_A_PATH].present)
			open_secret(m, name, nxa_str(&tb[MON_A_PATH]));
		break;
	case MON_CMD_OPEN_TUN:
		if (!strncmp(name, "tun:", 4))
			open_tun(m, name);
		break;
	default:
		break;
	}
}

static void on_message(void *userdata, const struct nx_chan_msg *msg)
{
	struct nx_child *c = userdata;
	struct nx_monitor *m = c->monitor;
	struct nxa tb[MON_A_MAX + 1];
	struct nxm_error e = {};

	if (msg->hdr.type != NXM_FAMILY_MON ||
	    nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &mon_set, tb, msg->buf, &e) < 0) {
		nx_err("message of %s refused: %s", c->name, e.text);
		return;
	}
	if (msg->hdr.cmd == MON_CMD_READY) {
		c->was_ready = true;
		if (c->id == MON_PEER_CONTROL && !m->stopping)
			(void)sd_notify(0, "READY=1");
	} else if (msg->hdr.cmd == MON_CMD_ALIVE && c->id == MON_PEER_CONTROL) {
		m->last_alive_us = now_us();
		(void)sd_notify(0, "WATCHDOG=1");
	} else if (c->id == MON_PEER_CONTROL) {
		control_message(m, msg, tb);
	}
}

/* The exit of the process follows. */
static void on_closed(void *userdata)
{
	struct nx_child *c = userdata;

	nx_chan_free(c->chan);
	c->chan = NULL;
}

/* ---- life of a child ---- */

static void end_child(struct nx_child *c, int sig)
{
	if (c->pid > 0)
		(void)kill(c->pid, sig);
}

static bool all_gone(const struct nx_monitor *m)
{
	for (size_t i = 0; i < NX_CHILDREN; i++)
		if (m->children[i].pid)
			return false;
	return true;
}

static int on_kill_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_monitor *m = userdata;

	for (size_t i = 0; i < NX_CHILDREN; i++)
		end_child(&m->children[i], SIGKILL);
	return 0;
}

/* The control process is through: nexus-hsd and nexus-dp end when their channel closes. */
static void stop_others(struct nx_monitor *m)
{
	m->stop_timer = sd_event_source_disable_unref(m->stop_timer);
	for (size_t i = 0; i < NX_CHILDREN; i++) {
		nx_chan_free(m->children[i].chan);
		m->children[i].chan = NULL;
		end_child(&m->children[i], SIGTERM);
	}
	if (all_gone(m))
		(void)sd_event_exit(m->event, m->exit_status);
	else
		(void)sd_event_add_time_relative(m->event, &m->stop_timer, CLOCK_MONOTONIC,
						 KILL_TIMEOUT_US, 0, on_kill_timeout, m);
}

static void stop(struct nx_monitor *m, int status)
{
	m->stopping = true;
	m->exit_status = status;
	(void)sd_notify(0, "STOPPING=1");
	for (size_t i = 0; i < NX_CHILDREN; i++)
		m->children[i].restart_timer =
			sd_event_source_disable_unref(m->children[i].restart_timer);
}

static int on_stop_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	nx_warn("the control process did not end in time");
	stop_others(userdata);
	return 0;
}

static int on_restart(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_child *c = userdata;

	c->restart_timer = sd_event_source_disable_unref(c->restart_timer);
	start_child(c);
	return 0;
}

static void schedule_restart(struct nx_child *c)
{
	uint64_t delay = nx_child_restart_delay_us(c, now_us());

	if (delay)
		nx_warn("%s is restarted in %" PRIu64 " ms", c->name, delay / 1000);
	if (sd_event_add_time_relative(c->monitor->event, &c->restart_timer, CLOCK_MONOTONIC, delay,
				       1000, on_restart, c) < 0)
		start_child(c);
}

static void log_exit(const struct nx_child *c, const siginfo_t *si)
{
	if (c->monitor->stopping)
		return;
	if (si->si_code == CLD_EXITED)
		nx_log_full(LOG_ERR, "ChildExited", NULL, "%s ended with status %d", c->name,
			    si->si_status);
	else
		nx_log_full(LOG_ERR, "ChildKilled", NULL, "%s was killed by signal %d", c->name,
			    si->si_status);
}

static int on_child_exit(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct nx_child *c = userdata;
	struct nx_monitor *m = c->monitor;
	bool bad_config = c->id == MON_PEER_CONTROL && !c->was_ready && si->si_code == CLD_EXITED &&
			  si->si_status == NX_EXIT_CONFIG;

	if (!bad_config)
		log_exit(c, si);
	c->exit_source = sd_event_source_disable_unref(c->exit_source);
	c->pid = 0;
	nx_chan_free(c->chan);
	c->chan = NULL;
	if (m->stopping) {
		if (c->id == MON_PEER_CONTROL)
			stop_others(m);
		else if (all_gone(m))
			(void)sd_event_exit(m->event, m->exit_status);
		return 0;
	}
	if (bad_config) {
		/* It has said what is wrong. */
		stop(m, 1);
		stop_others(m);
		return 0;
	}
	schedule_restart(c);
	return 0;
}

static int spawn(struct nx_child *c)
{
	static const struct nx_chan_ops ops = { on_message, on_closed };
	struct nx_monitor *m = c->monitor;
	int fd, r;

	c->started_us = now_us();
	r = nx_child_spawn(c, &fd);
	if (r)
		return r;
	r = sd_event_add_child(m->event, &c->exit_source, c->pid, WEXITED, on_child_exit, c);
	if (r >= 0)
		r = nx_chan_new(m->event, fd, &ops, c, &c->chan);
	else
		close(fd);
	if (c->id == MON_PEER_CONTROL)
		m->last_alive_us = now_us();
	return r;
}

/* After the wiring: what is stored for the control process, then START. */
static void release(struct nx_child *c)
{
	struct nx_fd_entry *e;

	if (c->id == MON_PEER_CONTROL)
		TAILQ_FOREACH (e, &c->monitor->store.entries, entry)
			(void)send_named_fd(c, MON_CMD_STORED, e->name, e->fd);
	(void)send_simple(c, MON_CMD_START);
}

static void start_child(struct nx_child *c)
{
	struct nx_monitor *m = c->monitor;
	int r = spawn(c);

	if (r < 0) {
		nx_err("%s cannot be started: %s", c->name, strerror(-r));
		schedule_restart(c);
		return;
	}
	for (size_t i = 0; i < NX_CHILDREN; i++)
		if (&m->children[i] != c)
			wire(c, &m->children[i]);
	release(c);
}

static int start_all(struct nx_monitor *m)
{
	for (size_t i = 0; i < NX_CHILDREN; i++) {
		int r = spawn(&m->children[i]);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < NX_CHILDREN; i++)
		for (size_t k = i + 1; k < NX_CHILDREN; k++)
			wire(&m->children[i], &m->children[k]);
	for (size_t i = NX_CHILDREN; i-- > 0;)
		release(&m->children[i]);
	return 0;
}

/* ---- signals and time ---- */

static int on_stop_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct nx_monitor *m = userdata;
	struct nx_child *control = &m->children[MON_PEER_CONTROL];

	if (m->stopping)
		return 0;
	stop(m, 0);
	if (!control->chan || send_simple(control, MON_CMD_STOP) < 0) {
		end_child(control, SIGKILL);
		stop_others(m);
		return 0;
	}
	(void)sd_event_add_time_relative(m->event, &m->stop_timer, CLOCK_MONOTONIC, STOP_TIMEOUT_US,
					 0, on_stop_timeout, m);
	return 0;
}

static int on_hup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct nx_monitor *m = userdata;
	struct nx_child *control = &m->children[MON_PEER_CONTROL];

	if (m->stopping || !control->chan)
		return 0;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_us());
	(void)send_simple(control, MON_CMD_RELOAD);
	return 0;
}

/* A control process that hangs is as good as dead; its successor takes over. */
static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_monitor *m = userdata;
	struct nx_child *control = &m->children[MON_PEER_CONTROL];

	if (control->pid && !m->stopping && now_us() - m->last_alive_us > ALIVE_TIMEOUT_US) {
		nx_log_full(LOG_ERR, "ChildHangs", NULL, "the control process hangs: killing it");
		end_child(control, SIGKILL);
		m->last_alive_us = now_us();
	}
	(void)sd_event_source_set_time_relative(s, ALIVE_TIMEOUT_US / 3);
	return sd_event_source_set_enabled(s, SD_EVENT_ON);
}

static int add_sources(struct nx_monitor *m)
{
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(m->event, NULL, SIGTERM, on_stop_signal, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGINT, on_stop_signal, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGHUP, on_hup, m);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, NULL, CLOCK_MONOTONIC,
					       ALIVE_TIMEOUT_US / 3, 0, on_tick, m);
	return r;
}

static void init_children(struct nx_monitor *m)
{
	const struct nx_options *o = m->options;

	m->children[MON_PEER_CONTROL] = (struct nx_child){
		.monitor = m,
		.id = MON_PEER_CONTROL,
		.name = "the control process",
		.user = o->user_control,
		.caps = CAP_BIT(CAP_NET_ADMIN) | CAP_BIT(CAP_NET_BIND_SERVICE),
	};
	m->children[MON_PEER_HSD] = (struct nx_child){
		.monitor = m, .id = MON_PEER_HSD, .name = "nexus-hsd", .user = o->user_hsd
	};
	m->children[MON_PEER_DP] = (struct nx_child){
		.monitor = m, .id = MON_PEER_DP, .name = "nexus-dp", .user = o->user_dp
	};
}

int nx_monitor_run(const struct nx_options *o)
{
	struct nx_monitor m = { .options = o };
	int r;

	if (geteuid() != 0) {
		nx_err("nexusd must be started as root; its processes then run as users of their own");
		return 1;
	}
	nx_fd_store_init(&m.store);
	init_children(&m);
	if (nx_child_find_programs(&m) < 0)
		return 1;
	r = nx_monitor_confine();
	if (r) {
		nx_err("the monitor cannot confine itself: %s", strerror(-r));
		return 1;
	}
	r = sd_event_new(&m.event);
	if (r >= 0)
		r = add_sources(&m);
	nx_replay_load(o->runtime_dir, &m.store);
	if (r >= 0)
		r = start_all(&m);
	if (r >= 0)
		r = sd_event_loop(m.event);
	else
		nx_err("nexusd cannot start: %s", strerror(-r));
	for (size_t i = 0; i < NX_CHILDREN; i++) {
		end_child(&m.children[i], SIGKILL);
		nx_chan_free(m.children[i].chan);
		sd_event_source_disable_unref(m.children[i].exit_source);
		sd_event_source_disable_unref(m.children[i].restart_timer);
	}
	sd_event_source_disable_unref(m.stop_timer);
	/* Nobody accepts anything any more, or what is saved would lack it. */
	if (all_gone(&m))
		nx_replay_save(o->runtime_dir, &m.store);
	nx_fd_store_clear(&m.store);
	sd_event_unref(m.event);
	return r < 0 ? 1 : r;
}
