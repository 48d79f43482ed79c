// SPDX-License-Identifier: GPL-2.0-or-later
/* The attribute policies of the socket between the control process and nexus-hsd (hs_proto.h). */
#include "hs_proto.h"

#define A(attr, ...) [attr] = { .name = #attr, __VA_ARGS__ }
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define U8(...) .type = NXA_U8, __VA_ARGS__
#define U32(...) .type = NXA_U32, __VA_ARGS__
#define U64 .type = NXA_U64
#define FLAG .type = NXA_FLAG
#define STRING(lo, hi) .type = NXA_STRING, RANGE(lo, hi)
#define BINARY(lo, hi) .type = NXA_BINARY, RANGE(lo, hi)
#define NEST(set) .type = NXA_NEST, .nest = &(set)
#define REPEATS .repeats = true
#define SECRET .secret = true

static const struct nxa_policy prefix[] = {
	A(HS_A_PREFIX_ADDR, BINARY(4, 16)),
	A(HS_A_PREFIX_LEN, U8(RANGE(0, 128))),
};
const struct nxa_set hs_prefix_set = { .name = "hs_prefix_set",
				       .max = HS_A_PREFIX_MAX,
				       .policy = prefix };

static const struct nxa_policy user[] = {
	A(HS_A_USER_NAME, STRING(1, 63)),
	A(HS_A_USER_SHORT_ID, U64),
	A(HS_A_USER_PUBLIC_KEY, BINARY(32, 32)),
	A(HS_A_USER_HAS_PSK, FLAG),
	A(HS_A_USER_ADDRESS, NEST(hs_prefix_set), REPEATS),
};
const struct nxa_set hs_user_set = { .name = "hs_user_set", .max = HS_A_USER_MAX, .policy = user };

static const struct nxa_policy net[] = {
	A(HS_A_NET_ADDRESS, NEST(hs_prefix_set), REPEATS),
	A(HS_A_NET_ROUTE, NEST(hs_prefix_set), REPEATS),
	A(HS_A_NET_DNS, BINARY(4, 16), REPEATS),
	A(HS_A_NET_DNS_DOMAIN, STRING(1, 253), REPEATS),
	A(HS_A_NET_MTU, U32()),
	A(HS_A_NET_KEEPALIVE_MS, U32()),
	A(HS_A_NET_ROUTE_EPOCH, U32()),
	A(HS_A_NET_MAX_AGE_S, U32()),
};
const struct nxa_set hs_net_set = { .name = "hs_net_set", .max = HS_A_NET_MAX, .policy = net };

static const struct nxa_policy stats[] = {
	A(HS_A_STATS_INITIALS, U64),
	A(HS_A_STATS_AUTHENTICATED, U64),
	A(HS_A_STATS_REJECTED_FORMAT, U64),
	A(HS_A_STATS_REJECTED_KEY, U64),
	A(HS_A_STATS_REJECTED_TIME, U64),
	A(HS_A_STATS_REJECTED_SHORT_ID, U64),
	A(HS_A_STATS_REJECTED_TAG, U64),
	A(HS_A_STATS_REJECTED_REPLAY, U64),
	A(HS_A_STATS_HANDSHAKES_OK, U64),
	A(HS_A_STATS_HANDSHAKES_FAILED, U64),
	A(HS_A_STATS_PENDING, U64),
	A(HS_A_STATS_RELAY_FLOWS, U64),
	A(HS_A_STATS_RELAY_FLOWS_REFUSED, U64),
	A(HS_A_STATS_RELAY_TO_COVER_PACKETS, U64),
	A(HS_A_STATS_RELAY_TO_COVER_BYTES, U64),
	A(HS_A_STATS_RELAY_FROM_COVER_PACKETS, U64),
	A(HS_A_STATS_RELAY_FROM_COVER_BYTES, U64),
	A(HS_A_STATS_RELAY_RATE_DROPS, U64),
	A(HS_A_STATS_COVER_STATE, U64),
	A(HS_A_STATS_REJECTED_BUDGET, U64),
	A(HS_A_STATS_AUTHENTICATED_OLD_KEY, U64),
	A(HS_A_STATS_OLD_KEY_UNTIL_S, U64),
};
const struct nxa_set hs_stats_set = { .name = "hs_stats_set",
				      .max = HS_A_STATS_MAX,
				      .policy = stats };

static const struct nxa_policy hs[] = {
	A(HS_A_SESSION, NEST(nqd_session_set)),
	A(HS_A_KEYS, NEST(nqd_keys_set), SECRET),
	A(HS_A_TUNNEL, STRING(1, 31)),
	A(HS_A_ROLE, U8(RANGE(0, 1))),
	A(HS_A_ATTEMPT, U64),
	A(HS_A_SOCKET, U32()),
	A(HS_A_REMOTE_ADDR, BINARY(16, 28)),
	A(HS_A_SERVER_NAME, STRING(1, 253), REPEATS),
	A(HS_A_SERVER_PUBLIC_KEY, BINARY(32, 32)),
	A(HS_A_SHORT_ID, U64),
	A(HS_A_USER, NEST(hs_user_set), REPEATS),
	A(HS_A_TIME_WINDOW_S, U32()),
	A(HS_A_IDLE_TIMEOUT_MS, U32()),
	A(HS_A_KEEPALIVE_MS, U32()),
	A(HS_A_MTU, U32()),
	A(HS_A_ROUTE, NEST(hs_prefix_set), REPEATS),
	A(HS_A_DNS, BINARY(4, 16), REPEATS),
	A(HS_A_DNS_DOMAIN, STRING(1, 253), REPEATS),
	A(HS_A_ROUTE_EPOCH, U32()),
	A(HS_A_CIPHERS, STRING(0, 255)),
	A(HS_A_HANDSHAKE_TIMEOUT_MS, U32()),
	A(HS_A_KEYLOG, FLAG),
	A(HS_A_REASON, U8(RANGE(0, HS_REASON_CANCELLED))),
	A(HS_A_TEXT, STRING(0, 255), REPEATS),
	A(HS_A_NET, NEST(hs_net_set)),
	A(HS_A_STATS, NEST(hs_stats_set)),
	A(HS_A_REPLAY, FLAG),
	A(HS_A_REPLACE, FLAG),
	A(HS_A_COUNT, U32()),
	A(HS_A_COVER_STATE, U8(RANGE(0, HS_COVER_DEAD))),
	A(HS_A_RELAY_MAX_FLOWS, U32(RANGE(1, 8192))),
	A(HS_A_RELAY_MAX_FLOWS_PER_SITE, U32(RANGE(1, 8192))),
	A(HS_A_RELAY_IDLE_TIMEOUT_MS, U32(RANGE(1, 3600000))),
	A(HS_A_RELAY_MAX_RATE_MBIT, U32(RANGE(1, 100000))),
	A(HS_A_GATE_MAX_AUTH_PER_S, U32(RANGE(1, 1000000))),
	A(HS_A_GATE_MAX_AUTH_PER_SITE_PER_S, U32(RANGE(1, 1000000))),
	A(HS_A_COVER_PROFILE, BINARY(1, 1024)),
	A(HS_A_DIFFERENCE, STRING(0, 255), REPEATS),
	A(HS_A_OLD_KEY_UNTIL_S, U64),
	A(HS_A_OLD_KEY, FLAG),
	A(HS_A_MAX_AGE_S, U32()),
	A(HS_A_DATA_SOCKETS, U32(RANGE(1, 127))),
};
const struct nxa_set hs_set = { .name = "hs_set", .max = HS_A_MAX, .policy = hs };
