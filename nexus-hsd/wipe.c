// SPDX-License-Identifier: GPL-2.0-or-later
/* Wipe the stack that earlier calls have used, see wipe.h. */
#include <string.h>
#include "wipe.h"

/* Deeper than any call chain into GnuTLS measured (about 24 KiB), shallower than RLIMIT_STACK. */
#define DEPTH 131072

__attribute__((noinline)) void hs_wipe_stack(void)
{
	unsigned char below[DEPTH];

	explicit_bzero(below, sizeof(below));
}
