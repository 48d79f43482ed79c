// SPDX-License-Identifier: GPL-2.0-or-later
/* The attribute policy of the monitor's channels (mon_proto.h), used at both ends. */
#include "mon_proto.h"

static const struct nxa_policy mon[] = {
	[MON_A_PEER] = { .name = "MON_A_PEER", .type = NXA_U8, .max = MON_PEER_DP },
	[MON_A_NAME] = { .name = "MON_A_NAME", .type = NXA_STRING, .min = 1, .max = 95 },
	[MON_A_PATH] = { .name = "MON_A_PATH", .type = NXA_STRING, .min = 1, .max = 255 },
	[MON_A_ERRNO] = { .name = "MON_A_ERRNO", .type = NXA_U32, .max = 4095 },
	[MON_A_TEXT] = { .name = "MON_A_TEXT", .type = NXA_STRING, .max = 255 },
};

const struct nxa_set mon_set = { .name = "mon_set", .max = MON_A_MAX, .policy = mon };
