// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a child gives up what it does not need: see sandbox.h. Every step either happened or the call
 * fails; the caller ends the process then.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps,
		  .permitted = (uint32_t)caps,
		  .inheritable = (uint32_t)caps },
		{ .effective = (uint32_t)(caps >> 32),
		  .permitted = (uint32_t)(caps >> 32),
		  .inheritable = (uint32_t)(caps >> 32) },
	};

	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

/* Needs CAP_SETPCAP, so it comes before the uid changes. The kernel tells where the set ends. */
static int limit_bounding_set(uint64_t caps)
{
	int cap;

	for (cap = 0; cap < 64; cap++) {
		int present = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (present < 0)
			return 0;
		if (present && !(caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

static int raise_ambient(uint64_t caps)
{
	int cap;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	for (cap = 0; cap < 64; cap++)
		if (caps >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return 0;
}

int nx_drop_to_user(const char *user, uint64_t caps)
{
	struct passwd *pw;
	int err;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errno ? -errno : -ENOENT;
	err = limit_bounding_set(caps);
	if (err)
		return err;
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0)
		return -errno;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return -errno;
	err = set_caps(caps);
	if (err)
		return err;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	return raise_ambient(caps);
}

int nx_harden_process(void)
{
	struct rlimit none = { 0, 0 }, memlock;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	/*
	 * With a finite limit MCL_FUTURE would let a later allocation fail instead of merely not
	 * being locked, so memory is locked only where that cannot happen.
	 */
	if (!getrlimit(RLIMIT_MEMLOCK, &memlock) && memlock.rlim_cur == RLIM_INFINITY &&
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 && errno != EPERM &&
	    errno != ENOMEM)
		return -errno;
	return 0;
}

static int allow_all(scmp_filter_ctx ctx, const char *const *names)
{
	for (; *names; names++) {
		int nr = seccomp_syscall_resolve_name(*names);
		int err;

		if (nr == __NR_SCMP_ERROR)
			continue;
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		/* -EDOM: a pseudo number, this architecture has no such call. */
		if (err && err != -EDOM && err != -EEXIST)
			return err;
	}
	return 0;
}

int nx_seccomp_allow(const char *const *names)
{
	/* What libc itself needs to run, allocate, log, abort and leave. */
	static const char *const base[] = {
		"brk",
		"clock_gettime",
		"clock_nanosleep",
		"close",
		"exit",
		"exit_group",
		"fstat",
		"futex",
		"getpid",
		"getrandom",
		"gettid",
		"gettimeofday",
		"madvise",
		"mmap",
		"mprotect",
		"mremap",
		"munmap",
		"read",
		"restart_syscall",
		"rseq",
		"rt_sigaction",
		"rt_sigprocmask",
		"rt_sigreturn",
		"sched_yield",
		"sendmsg",
		"sigaltstack",
		"sigreturn",
		"tgkill",
		"write",
		"writev",
		NULL,
	};
	scmp_filter_ctx ctx;
	int err;

	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return -ENOMEM;
	err = allow_all(ctx, base);
	if (!err)
		err = allow_all(ctx, names);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
