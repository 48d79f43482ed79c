/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control process <-> nexus-hsd, family NXM_FAMILY_HS. Requests carry a sequence number and are
 * answered by NLMSG_ERROR (ACK or refusal with text). A session comes up as the very attributes that
 * NQD_CMD_ADD_SESSION wants (nests NQD_A_SESSION without fd, tunnel, id, and NQD_A_KEYS), so that the control process
 * passes them on without interpreting a key.
 *
 * nexus-hsd <-> nexus-dp, the punt socket: no attributes; struct hs_punt_hdr and one UDP payload.
 */
#ifndef NX_HS_PROTO_H
#define NX_HS_PROTO_H

#include <netinet/in.h>
#include "nlcodec.h"

enum hs_cmd {
	HS_CMD_UNSPEC,
	/* control -> hsd */
	/* whole configuration of one tunnel, replaces an earlier one; fds: handshake sockets, data sockets
	 * (HS_A_DATA_SOCKETS), key log, replay cache
	 */
	HS_CMD_SET_TUNNEL,
	HS_CMD_DEL_TUNNEL,	/* HS_A_TUNNEL: pending handshakes end, secrets are wiped */
	HS_CMD_CONNECT,		/* client: HS_A_TUNNEL, HS_A_ATTEMPT, HS_A_REMOTE_ADDR, HS_A_SOCKET */
	HS_CMD_CANCEL,		/* HS_A_TUNNEL, HS_A_ATTEMPT */
	HS_CMD_INSTALLED,	/* HS_A_ATTEMPT: the data plane carries it: hand back what arrived meanwhile */
	HS_CMD_GET_STATS,	/* HS_A_TUNNEL -> HS_CMD_STATS */
	/* hsd -> control */
	HS_CMD_SESSION,		/* established: HS_A_TUNNEL, HS_A_ATTEMPT, HS_A_SOCKET, HS_A_NET, NQD nests */
	HS_CMD_FAILED,		/* client: HS_A_TUNNEL, HS_A_ATTEMPT, HS_A_REASON, HS_A_TEXT */
	HS_CMD_STATS,
	/* control -> hsd */
	HS_CMD_RELAY_SOCKETS,	/* HS_A_TUNNEL; fds: sockets connected to the cover; HS_A_REPLACE: the
				 * unused ones of before lead to an older address, drop them */
	/* hsd -> control */
	HS_CMD_RELAY_WANTED,	/* HS_A_TUNNEL, HS_A_COUNT: so many more sockets */
	HS_CMD_COVER_STATE,	/* HS_A_TUNNEL, HS_A_COVER_STATE: it has changed */
	HS_CMD_COVER_PROFILE,	/* HS_A_TUNNEL, HS_A_COVER_PROFILE (none: not learnt), HS_A_TEXT: a line of
				 * it, repeats; HS_A_DIFFERENCE, repeats */
	__HS_CMD_MAX,
};

/* Why a client's attempt failed. */
enum hs_reason {
	HS_REASON_NONE,
	HS_REASON_TIMEOUT,		/* no answer at all: network, or a server that drops us */
	HS_REASON_AUTH_REFUSED,		/* the cover answered: wrong key, clock or short id */
	HS_REASON_SERVER_PROOF,		/* an answer that does not prove the server's static key */
	HS_REASON_PROTOCOL,		/* TLS or QUIC error */
	HS_REASON_REFUSED_CONFIG,	/* capsules: no address, bad MTU ... */
	HS_REASON_SOCKET,		/* sendmsg failed */
	HS_REASON_CANCELLED,
};

/* What a server's relay knows of the cover. */
enum hs_cover_state {
	HS_COVER_NONE,			/* no socket has come: strangers are dropped */
	HS_COVER_UNKNOWN,		/* nobody has talked to it yet */
	HS_COVER_ALIVE,			/* it has answered */
	HS_COVER_DEAD,			/* unreachable, or many asked and nobody got an answer */
};

enum hs_attr {
	HS_A_UNSPEC,
	/* Same numbers and meaning as the ABI, so that the nests can be passed through. */
	HS_A_SESSION = 2,		/* nest NQD_A_SESSION */
	HS_A_KEYS = 3,			/* nest NQD_A_KEYS, secret */

	HS_A_TUNNEL = 16,		/* string <= 31 */
	HS_A_ROLE,			/* u8, enum nqd_role */
	HS_A_ATTEMPT,			/* u64: client: chosen by control; server: by hsd, high bit set */
	HS_A_SOCKET,			/* u32: index of the socket in SET_TUNNEL's descriptors */
	HS_A_REMOTE_ADDR,		/* sockaddr_in / _in6 */
	HS_A_SERVER_NAME,		/* string <= 253: SNI; server: repeats, accepted names */
	HS_A_SERVER_PUBLIC_KEY,		/* binary 32; client */
	HS_A_SHORT_ID,			/* u64; client */
	HS_A_USER,			/* nest HS_A_USER_*, repeats; server */
	HS_A_TIME_WINDOW_S,		/* u32; server */
	HS_A_IDLE_TIMEOUT_MS,		/* u32 */
	HS_A_KEEPALIVE_MS,		/* u32; server: offered to clients */
	HS_A_MTU,			/* u32: inner MTU offered (server), wanted (client), 0 = from path */
	HS_A_ROUTE,			/* nest, enum hs_prefix_attr, repeats; server: advertised */
	HS_A_DNS,			/* binary 4 or 16, repeats; server: offered */
	HS_A_DNS_DOMAIN,		/* string <= 253, repeats */
	HS_A_ROUTE_EPOCH,		/* u32 */
	HS_A_CIPHERS,			/* string: GnuTLS priority suffix is derived; "aes-128-gcm" ... */
	HS_A_HANDSHAKE_TIMEOUT_MS,	/* u32 */
	HS_A_KEYLOG,			/* flag: write key log to the descriptor that follows the sockets */
	HS_A_REASON,			/* u8, enum hs_reason */
	HS_A_TEXT,			/* string <= 255, repeats */
	HS_A_NET,			/* nest, enum hs_net_attr: what the capsules agreed on */
	HS_A_STATS,			/* nest, enum hs_stats_attr */
	HS_A_REPLAY,			/* flag; server: the last descriptor is the replay cache's memory */
	HS_A_REPLACE,			/* flag */
	HS_A_COUNT,			/* u32 */
	HS_A_COVER_STATE,		/* u8, enum hs_cover_state */
	HS_A_RELAY_MAX_FLOWS,		/* u32; server: bounds of the relay */
	HS_A_RELAY_MAX_FLOWS_PER_SITE,	/* u32 */
	HS_A_RELAY_IDLE_TIMEOUT_MS,	/* u32 */
	HS_A_RELAY_MAX_RATE_MBIT,	/* u32: of one flow, both directions together */
	HS_A_GATE_MAX_AUTH_PER_S,	/* u32; server: strangers judged per second, in all */
	HS_A_GATE_MAX_AUTH_PER_SITE_PER_S, /* u32; server: of one site */
	HS_A_COVER_PROFILE,		/* binary <= 1024: of nexus-hsd, for the cache */
	HS_A_DIFFERENCE,		/* string <= 255, repeats: what tells our flights from the cover's */
	HS_A_OLD_KEY_UNTIL_S,		/* u64; server: until this time (seconds since 1970) its former key,
					 * "secret:TUNNEL:old-private-key", is accepted as well */
	HS_A_OLD_KEY,			/* flag; session: the client knows the server by its former key */
	HS_A_MAX_AGE_S,			/* u32; server: what clients are told of it, 0 = never */
	HS_A_DATA_SOCKETS,		/* u32: bit i set: the data socket of pair i is among the descriptors,
					 * because the kernel module leaves there what is not its own
					 */
	__HS_A_MAX,
	HS_A_MAX = __HS_A_MAX - 1,
};

/* A server's user. Preshared keys come through the monitor as "secret:TUNNEL:psk:NAME"; private keys
 * as "secret:TUNNEL:private-key", a server's former one as "secret:TUNNEL:old-private-key"; a client's
 * preshared key as "secret:TUNNEL:psk".
 */
enum hs_user_attr {
	HS_A_USER_UNSPEC,
	HS_A_USER_NAME,			/* string <= 63 */
	HS_A_USER_SHORT_ID,		/* u64, not 0 */
	HS_A_USER_PUBLIC_KEY,		/* binary 32 */
	HS_A_USER_HAS_PSK,		/* flag */
	HS_A_USER_ADDRESS,		/* nest hs_prefix_attr, repeats: assigned to the client */
	__HS_A_USER_MAX,
	HS_A_USER_MAX = __HS_A_USER_MAX - 1,
};

enum hs_prefix_attr {
	HS_A_PREFIX_UNSPEC,
	HS_A_PREFIX_ADDR,		/* binary 4 or 16 */
	HS_A_PREFIX_LEN,		/* u8 */
	__HS_A_PREFIX_MAX,
	HS_A_PREFIX_MAX = __HS_A_PREFIX_MAX - 1,
};

enum hs_net_attr {
	HS_A_NET_UNSPEC,
	HS_A_NET_ADDRESS,		/* nest hs_prefix_attr, repeats: the client's */
	HS_A_NET_ROUTE,			/* nest hs_prefix_attr, repeats: behind the server */
	HS_A_NET_DNS,			/* binary 4 or 16, repeats */
	HS_A_NET_DNS_DOMAIN,		/* string, repeats */
	HS_A_NET_MTU,			/* u32, 0 = from path */
	HS_A_NET_KEEPALIVE_MS,		/* u32 */
	HS_A_NET_ROUTE_EPOCH,		/* u32 */
	HS_A_NET_MAX_AGE_S,		/* u32: the server ends a session that old; 0 = never */
	__HS_A_NET_MAX,
	HS_A_NET_MAX = __HS_A_NET_MAX - 1,
};

enum hs_stats_attr {			/* u64 each; server */
	HS_A_STATS_UNSPEC,
	HS_A_STATS_INITIALS,		/* datagrams with an Initial seen */
	HS_A_STATS_AUTHENTICATED,
	HS_A_STATS_REJECTED_FORMAT,
	HS_A_STATS_REJECTED_KEY,	/* version byte or zero pad wrong: not for us */
	HS_A_STATS_REJECTED_TIME,
	HS_A_STATS_REJECTED_SHORT_ID,
	HS_A_STATS_REJECTED_TAG,
	HS_A_STATS_REJECTED_REPLAY,
	HS_A_STATS_HANDSHAKES_OK,
	HS_A_STATS_HANDSHAKES_FAILED,
	HS_A_STATS_PENDING,
	HS_A_STATS_RELAY_FLOWS,
	HS_A_STATS_RELAY_FLOWS_REFUSED,
	HS_A_STATS_RELAY_TO_COVER_PACKETS,
	HS_A_STATS_RELAY_TO_COVER_BYTES,
	HS_A_STATS_RELAY_FROM_COVER_PACKETS,
	HS_A_STATS_RELAY_FROM_COVER_BYTES,
	HS_A_STATS_RELAY_RATE_DROPS,	/* packets */
	HS_A_STATS_COVER_STATE,		/* enum hs_cover_state */
	HS_A_STATS_REJECTED_BUDGET,	/* not judged: too many at that moment */
	HS_A_STATS_AUTHENTICATED_OLD_KEY, /* of AUTHENTICATED: for the server's former key */
	HS_A_STATS_OLD_KEY_UNTIL_S,	/* seconds since 1970; 0: no former key is accepted */
	__HS_A_STATS_MAX,
	HS_A_STATS_MAX = __HS_A_STATS_MAX - 1,
};

extern const struct nxa_set hs_set, hs_user_set, hs_prefix_set, hs_net_set, hs_stats_set;

/*
 * The memory of a server's replay cache: sealed against changes of its size, zeros at first, made by
 * the control process and kept by the monitor so that it outlives nexus-hsd, which alone reads and
 * writes it.
 */
#define HS_REPLAY_ENTRIES	65536
#define HS_REPLAY_MEMORY_LEN	(64 + HS_REPLAY_ENTRIES * 48)

/*
 * dp -> hsd: a copy. The data plane has a session of that connection ID, but the sender has another
 * address; drop it unless the ID is that of a handshake of yours.
 */
#define HS_PUNT_F_IF_YOURS	1

/*
 * Sockets to the cover that nexus-hsd keeps ready: a burst of so many strangers less those that are on their
 * way from the control process meets no bound.
 */
#define HS_RELAY_POOL		768

/* One UDP payload that landed on the other's socket. */
struct hs_punt_hdr {
	uint8_t to_dp;			/* 1: hsd -> dp, 0: dp -> hsd */
	uint8_t ecn;
	uint16_t flags;			/* HS_PUNT_F_*, 0 for hsd -> dp */
	uint16_t local_port;		/* network order: tells the tunnel's socket pair */
	uint16_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} remote, local; /* local, dp -> hsd: what the datagram was sent to; AF_UNSPEC = not known */
};

#endif /* NX_HS_PROTO_H */
