/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every child does to itself: drop the uid and capabilities, forbid new privileges, refuse core
 * dumps and ptrace by its own uid, lock its memory, and at last admit only a list of system calls.
 */
#ifndef NX_SANDBOX_H
#define NX_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

/* Become @user (empty supplementary groups) keeping @caps (bit set of CAP_*) as permitted, effective,
 * inheritable and ambient, so that they survive exec; bounding set reduced to them. 0 or -errno.
 */
int nx_drop_to_user(const char *user, uint64_t caps);
/* NO_NEW_PRIVS, PR_SET_DUMPABLE 0, RLIMIT_CORE 0, mlockall where RLIMIT_MEMLOCK permits. */
int nx_harden_process(void);
/* Allow the listed system calls (names, NULL-terminated), and the few every process needs (exit,
 * sigreturn, brk, futex, clock_gettime...); anything else fails with EPERM. Names unknown to this
 * machine's libseccomp are skipped. 0 or -errno.
 */
int nx_seccomp_allow(const char *const *names);

#endif /* NX_SANDBOX_H */
