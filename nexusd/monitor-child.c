// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting the children of the monitor, each with nothing but what it needs, and the confinement
 * of the monitor itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "monitor.h"

/* Living shorter than this is dying quickly. */
#define QUICK_DEATH_US 5000000
#define HSD_FDS_MAX 65536
/* nice(1): the weight of 335 to 1024. */
#define HSD_NICE 5
#define RESTART_FIRST_US 100000
#define RESTART_MAX_US 5000000
/* Exit statuses of a child that could not be started, as a shell has them. */
#define EXIT_NO_USER 126
#define EXIT_NO_EXEC 127

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 0111;
}

static int find_program(const char *dir, const char *name, const char *build_subdir, char *path)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	if (n > 0 && n < PATH_MAX && is_program(path))
		return 0;
	n = snprintf(path, PATH_MAX, "%s/%s/%s", dir, build_subdir, name);
	if (n > 0 && n < PATH_MAX && is_program(path))
		return 0;
	nx_err("no program %s in %s (--libexec-dir)", name, dir);
	return -ENOENT;
}

static int check_user(const char *user)
{
	if (getpwnam(user))
		return 0;
	nx_err("no user \"%s\": make the system users (systemd-sysusers), or name others with --users",
	       user);
	return -ENOENT;
}

int nx_child_find_programs(struct nx_monitor *m)
{
	const char *dir = m->options->libexec_dir;
	ssize_t n;
	int r;

	n = readlink("/proc/self/exe", m->children[MON_PEER_CONTROL].path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	m->children[MON_PEER_CONTROL].path[n] = '\0';
	r = find_program(dir, "nexus-hsd", "nexus-hsd", m->children[MON_PEER_HSD].path);
	if (!r)
		r = find_program(dir, "nexus-dp", "nexusd/dataplane",
				 m->children[MON_PEER_DP].path);
	for (size_t i = 0; !r && i < NX_CHILDREN; i++)
		r = check_user(m->children[i].user);
	return r;
}

/* ---- the child's side of fork ---- */

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors 0, 1, 2 as usual, 3 the channel, and no other. */
static int arrange_fds(int channel)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -errno;
	/* A closed stdout or stderr must not become something else. */
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && dup2(null, fd) < 0)
			return -errno;
	if (channel == NX_MONITOR_FD) {
		if (fcntl(channel, F_SETFD, 0) < 0)
			return -errno;
	} else if (dup2(channel, NX_MONITOR_FD) < 0) {
		return -errno;
	}
	return syscall(SYS_close_range, NX_MONITOR_FD + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* What a child may know of our environment. */
static char **clean_environment(void)
{
	static const char *const kept[] = {
		"DBUS_SYSTEM_BUS_ADDRESS",
		"JOURNAL_STREAM",
		"TZ",
		/* of sanitizer builds */
		"ASAN_OPTIONS",
		"UBSAN_OPTIONS",
		"LSAN_OPTIONS",
	};
	static char *env[sizeof(kept) / sizeof(kept[0]) + 1];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		const char *value = getenv(kept[i]);

		if (value && asprintf(&env[n], "%s=%s", kept[i], value) > 0)
			n++;
	}
	env[n] = NULL;
	return env;
}

/* A descriptor for every stranger in nexus-hsd's relay: more than the usual soft limit. */
static void allow_many_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max < HSD_FDS_MAX ? limit.rlim_max : HSD_FDS_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * A flood of handshakes must leave the data plane its core: a third of its weight for nexus-hsd. Where
 * the kernel groups processes by session it is the group's that counts.
 */
static void be_nice(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (setpriority(PRIO_PROCESS, 0, HSD_NICE) < 0)
		nx_warn("nexus-hsd weighs as much as the data plane: setpriority: %s",
			strerror(errno));
	if (fd < 0)
		return;
	(void)!dprintf(fd, "%d", HSD_NICE);
	close(fd);
}

static void exec_child(const struct nx_child *c, pid_t parent, int channel)
{
	const struct nx_options *o = c->monitor->options;
	char *argv[10], **env = clean_environment();
	size_t n = 0;
	int r;

	argv[n++] = (char *)(c->id == MON_PEER_CONTROL ? "nexusd" : c->name);
	if (c->id == MON_PEER_CONTROL) {
		argv[n++] = (char *)"--control";
		argv[n++] = (char *)"--config";
		argv[n++] = (char *)o->config_file;
		argv[n++] = (char *)"--state-dir";
		argv[n++] = (char *)o->state_dir;
		if (o->insecure & NX_INSECURE_KEYLOG)
			argv[n++] = (char *)"--insecure-keylog";
		if (o->insecure & NX_INSECURE_FIXED_RATE)
			argv[n++] = (char *)"--insecure-fixed-rate";
		if (o->debug)
			argv[n++] = (char *)"--debug";
	}
	argv[n] = NULL;
	reset_signals();
	(void)setsid();
	if (c->id == MON_PEER_HSD) {
		allow_many_fds();
		be_nice();
	}
	r = arrange_fds(channel);
	if (!r)
		r = nx_drop_to_user(c->user, c->caps);
	if (r) {
		nx_err("%s cannot become user %s: %s", c->name, c->user, strerror(-r));
		_exit(EXIT_NO_USER);
	}
	/* After the uid has changed, which clears it. The parent may be gone already. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(EXIT_NO_USER);
	execve(c->path, argv, env);
	nx_err("%s cannot be started: %s: %s", c->name, c->path, strerror(errno));
	_exit(EXIT_NO_EXEC);
}

int nx_child_spawn(struct nx_child *c, int *fd)
{
	pid_t parent = getpid();
	int sv[2], r;

	r = nx_ipc_pair(sv);
	if (r)
		return r;
	c->pid = fork();
	if (c->pid < 0) {
		r = -errno;
		c->pid = 0;
		nx_close_fds(sv, 2);
		return r;
	}
	if (c->pid == 0)
		exec_child(c, parent, sv[1]);
	close(sv[1]);
	*fd = sv[0];
	return 0;
}

uint64_t nx_child_restart_delay_us(struct nx_child *c, uint64_t now_us)
{
	uint64_t delay = RESTART_FIRST_US;

	if (now_us - c->started_us >= QUICK_DEATH_US)
		c->quick_deaths = 0;
	/* The first restart is immediate: users are waiting. */
	if (c->quick_deaths++ == 0)
		return 0;
	for (unsigned int i = 2; i < c->quick_deaths && delay < RESTART_MAX_US; i++)
		delay *= 2;
	return delay < RESTART_MAX_US ? delay : RESTART_MAX_US;
}

/* ---- the monitor itself ---- */

#define CAP_BIT(cap) (1ull << (cap))

static int limit_capabilities(void)
{
	const uint64_t keep = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP) |
			      CAP_BIT(CAP_KILL) | CAP_BIT(CAP_NET_ADMIN) |
			      CAP_BIT(CAP_NET_BIND_SERVICE);
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data) < 0)
		return -errno;
	for (unsigned int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

/*
 * The children inherit this filter and add lists of their own, so it can only name what none of
 * the four processes ever does.
 */
static int forbid_calls(void)
{
	static const char *const names[] = {
		"acct",
		"add_key",
		"bpf",
		"chroot",
		"clock_adjtime",
		"clock_settime",
		"delete_module",
		"finit_module",
		"fsconfig",
		"fsmount",
		"fsopen",
		"fspick",
		"init_module",
		"io_uring_enter",
		"io_uring_register",
		"io_uring_setup",
		"ioperm",
		"iopl",
		"kcmp",
		"kexec_file_load",
		"kexec_load",
		"keyctl",
		"lookup_dcookie",
		"mknod",
		"mknodat",
		"mount",
		"mount_setattr",
		"move_mount",
		"nfsservctl",
		"open_by_handle_at",
		"open_tree",
		"perf_event_open",
		"personality",
		"pivot_root",
		"process_madvise",
		"process_vm_readv",
		"process_vm_writev",
		"ptrace",
		"quotactl",
		"quotactl_fd",
		"reboot",
		"request_key",
		"sethostname",
		"setdomainname",
		"setns",
		"settimeofday",
		"swapoff",
		"swapon",
		"umount",
		"umount2",
		"unshare",
		"uselib",
		"userfaultfd",
		"vhangup",
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = 0;

	if (!ctx)
		return -ENOMEM;
	for (size_t i = 0; !r && i < sizeof(names) / sizeof(names[0]); i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);

		if (nr == __NR_SCMP_ERROR)
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
		if (r == -EDOM)
			r = 0;
	}
	if (!r)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

int nx_monitor_confine(void)
{
	struct rlimit none = {};
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	r = limit_capabilities();
	return r ? r : forbid_calls();
}
