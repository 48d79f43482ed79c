// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nexus-hsd without its sandbox, in which no leak checker can work: linked with
 * --wrap=nx_harden_process,--wrap=nx_seccomp_allow. Everything else is the daemon.
 */
int __wrap_nx_harden_process(void);
int __wrap_nx_seccomp_allow(const char *const *names);

int __wrap_nx_harden_process(void)
{
	return 0;
}

int __wrap_nx_seccomp_allow(const char *const *names)
{
	return 0;
}
