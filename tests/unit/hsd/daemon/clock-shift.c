// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into a nexus-hsd under test: its wall clock is off by T_CLOCK_SHIFT_S seconds. The
 * daemon itself has no way to shift its clock.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *ts)
{
	const char *shift = getenv("T_CLOCK_SHIFT_S");
	long r = syscall(SYS_clock_gettime, id, ts);

	if (r == 0 && id == CLOCK_REALTIME && shift)
		ts->tv_sec += atol(shift);
	return (int)r;
}
