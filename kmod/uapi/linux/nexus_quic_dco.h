/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The control ABI of the Nexus data planes: generic netlink family "nexus_quic_dco".
 *
 * The kernel module answers on a generic netlink socket, nexus-dp answers the same messages on a
 * SOCK_SEQPACKET socketpair. Rules that hold for every message:
 *  - numbers are in host byte order, times and sizes carry their unit in the attribute's name;
 *  - an attribute number below NQD_ATTR_OPTIONAL_BASE that the receiver does not know is refused
 *    (-EOPNOTSUPP, extack names it), one at or above it is ignored;
 *  - secrets (NQD_A_KEYS_*) are accepted and never returned;
 *  - deletes are idempotent: deleting what is not there succeeds;
 *  - a session is changed only by a message that carries its current NQD_A_SESSION_GENERATION or
 *    none; any other generation is refused with -ESTALE;
 *  - a descriptor attribute holds a descriptor number of the caller (kernel) or an index into the
 *    SCM_RIGHTS array of the message (nexus-dp);
 *  - every request is answered; events are lost where there is no room for them, of which the
 *    receiver hears: -ENOBUFS of its socket (kernel), a message NLMSG_OVERRUN (nexus-dp). Then it
 *    asks with NQD_CMD_GET_EVENTS.
 * kmod/spec/nexus_quic_dco.yaml describes the same in YNL; a test keeps the two equal.
 */
#ifndef _UAPI_LINUX_NEXUS_QUIC_DCO_H
#define _UAPI_LINUX_NEXUS_QUIC_DCO_H

#include <linux/types.h>

#define NQD_GENL_NAME		"nexus_quic_dco"
#define NQD_GENL_VERSION	1
#define NQD_MCGRP_EVENTS	"events"

/* Attribute numbers from here on may be ignored by a receiver that does not know them. */
#define NQD_ATTR_OPTIONAL_BASE	0x1000

#define NQD_CID_MAX_LEN		20
#define NQD_RESET_TOKEN_LEN	16
#define NQD_PREFIX_MAX_LEN	16
#define NQD_KEY_MAX_LEN		32
#define NQD_IV_LEN		12
#define NQD_SECRET_MAX_LEN	48
#define NQD_LOCAL_CIDS_MAX	8
#define NQD_REMOTE_CIDS_MAX	8
#define NQD_RX_RANGES_MAX	64
#define NQD_FDS_MAX		8
/* Largest netlink message either side sends; a larger one is refused with -EMSGSIZE. */
#define NQD_MSG_MAX_LEN		65536

enum nqd_cmd {
	NQD_CMD_UNSPEC,
	NQD_CMD_GET_CAPS,	/* -> NQD_A_CAPS */
	NQD_CMD_CREATE_DEVICE,	/* NQD_A_DEVICE -> NQD_A_DEVICE (ifindex, name); of one that exists:
				 * its SOCKET_FDs are replaced (-EEXIST with NLM_F_EXCL)
				 */
	NQD_CMD_DELETE_DEVICE,	/* NQD_A_DEVICE (ifindex or name) */
	NQD_CMD_ADD_SESSION,	/* NQD_A_DEVICE, NQD_A_SESSION [, NQD_A_KEYS] [, NQD_A_ROUTE...] */
	NQD_CMD_UPDATE_SESSION,	/* NQD_A_SESSION: id, generation and what changes; SOCKET_FD,
				 * LOCAL_ADDR or REMOTE_ADDR: a client moves there, after the peer
				 * has answered (-EPERM: a server; -ENOBUFS: the peer gave no
				 * connection ID for it); to where it is: the peer is asked at once
				 * whether it is still there
				 */
	NQD_CMD_DELETE_SESSION,	/* NQD_A_SESSION: id, or user (all of it); neither: NQD_A_DEVICE */
	NQD_CMD_ADD_ROUTE,	/* NQD_A_SESSION (id), NQD_A_ROUTE...; -EBUSY: it waits to replace
				 * another (NQD_SESSION_F_REPLACE), or another waits to replace it
				 */
	NQD_CMD_DELETE_ROUTE,	/* NQD_A_SESSION (id), NQD_A_ROUTE...; -EBUSY as above */
	NQD_CMD_SET_KEYS,	/* NQD_A_SESSION (id), NQD_A_KEYS: of a session without any */
	NQD_CMD_KEY_UPDATE,	/* NQD_A_SESSION (id) [, NQD_A_KEYS next keys]: update now */
	NQD_CMD_GET_STATS,	/* NQD_A_SESSION (id) -> NQD_A_SESSION, NQD_A_STATS; dump: all */
	NQD_CMD_FLUSH_STATS,	/* [NQD_A_SESSION (id)]: zero the counters of one or of all */
	NQD_CMD_SET_DEBUG,	/* NQD_A_DEBUG */
	NQD_CMD_GET_EVENTS,	/* NLM_F_DUMP: the last event of each kind of each session */
	NQD_CMD_EVENT,		/* unsolicited: NQD_A_EVENT, NQD_A_SESSION (id, user ...) ... */
	__NQD_CMD_MAX,
	NQD_CMD_MAX = __NQD_CMD_MAX - 1,
};

enum nqd_event {
	NQD_EVENT_UNSPEC,
	NQD_EVENT_SESSION_UP,
	NQD_EVENT_SESSION_DOWN,		/* NQD_A_EVENT_REASON, _ERROR_CODE, _TEXT */
	NQD_EVENT_KEY_UPDATE_NEEDED,
	NQD_EVENT_KEY_UPDATE_DONE,	/* rate limited; the counter is exact */
	NQD_EVENT_PATH_MTU_CHANGED,	/* NQD_A_SESSION_PATH_MTU_BYTES; rate limited, the newest */
	NQD_EVENT_ROUTE_EPOCH_MISMATCH,
	NQD_EVENT_REPLAY_OR_DUPLICATE_DROP, /* rate limited; the counters are exact */
	NQD_EVENT_CONGESTION_STATE,	/* NQD_A_EVENT_CONGESTION; rate limited */
	NQD_EVENT_FATAL_ERROR,
	/*
	 * NQD_A_EVENT_FRAMES: frames the data plane does not own; once a second, all that have come
	 * until then. Packets with more of them than it keeps (2048 bytes) are not acknowledged, so
	 * the peer repeats these.
	 */
	NQD_EVENT_FRAMES_PUNTED,
	/*
	 * NQD_A_SESSION_LOCAL_ADDR, _REMOTE_ADDR: the path now; the one before if a move failed. A
	 * client that is followed: once a second, the newest; the end of a move of ours: at once.
	 */
	NQD_EVENT_PATH_CHANGED,
	NQD_EVENT_PEER_SILENT,		/* it was asked, nothing comes; once until it is heard */
	__NQD_EVENT_MAX,
	NQD_EVENT_MAX = __NQD_EVENT_MAX - 1,
};

/* Top level attributes. */
enum nqd_attr {
	NQD_A_UNSPEC,
	NQD_A_DEVICE,		/* nest, enum nqd_device_attr */
	NQD_A_SESSION,		/* nest, enum nqd_session_attr */
	NQD_A_KEYS,		/* nest, enum nqd_keys_attr; never returned */
	NQD_A_ROUTE,		/* nest, enum nqd_route_attr; may repeat */
	NQD_A_STATS,		/* nest, enum nqd_stats_attr */
	NQD_A_CAPS,		/* nest, enum nqd_caps_attr */
	NQD_A_EVENT,		/* nest, enum nqd_event_attr */
	NQD_A_DEBUG,		/* nest, enum nqd_debug_attr */
	__NQD_A_MAX,
	NQD_A_MAX = __NQD_A_MAX - 1,
};

enum nqd_device_attr {
	NQD_A_DEVICE_UNSPEC,
	NQD_A_DEVICE_IFINDEX,	/* u32 */
	NQD_A_DEVICE_IFNAME,	/* string, < IFNAMSIZ */
	NQD_A_DEVICE_TUN_FD,	/* u32, index into SCM_RIGHTS; one per queue; nexus-dp only */
	NQD_A_DEVICE_SESSIONS,	/* u32, out: sessions that may send; one that waits to replace
				 * another counts when it does, instead of it
				 */
	NQD_A_DEVICE_SOCKET_FD,	/* u32; repeats; what belongs to no session is punted */
	__NQD_A_DEVICE_MAX,
	NQD_A_DEVICE_MAX = __NQD_A_DEVICE_MAX - 1,
};

enum nqd_role {
	NQD_ROLE_CLIENT,
	NQD_ROLE_SERVER,
};

/* TLS cipher suite numbers (RFC 8446 B.4) of NQD_A_SESSION_CIPHER. */
enum nqd_cipher {
	NQD_CIPHER_AES_128_GCM = 0x1301,
	NQD_CIPHER_AES_256_GCM = 0x1302,
	NQD_CIPHER_CHACHA20_POLY1305 = 0x1303,
};

enum nqd_session_flags {
	NQD_SESSION_F_ACK_PENDING = 1 << 0,	/* an ACK is unsent: send it at once */
	NQD_SESSION_F_MIGRATION = 1 << 1,	/* follow the peer, once validated */
	NQD_SESSION_F_ECN = 1 << 2,		/* ECT(0), validated (RFC 9000 13.4.2) */
	NQD_SESSION_F_DEFAULT_ROUTE = 1 << 3,	/* packets that match no route go to this session */
	/*
	 * ADD_SESSION: this one takes the place of the sessions of the same user (user 0: of the
	 * device's default session). It greets the peer with an empty DATAGRAM and waits; when a
	 * DATAGRAM of the peer's comes, routes, queue and counters move here and those sessions are
	 * down with NQD_DOWN_REPLACED. What still comes on them is taken until they are silent, and
	 * they close. A peer not heard in 5 seconds: this one is down with NQD_DOWN_UNCONFIRMED.
	 */
	NQD_SESSION_F_REPLACE = 1 << 4,
	NQD_SESSION_F_PRESHARED_KEY = 1 << 5,	/* the handshake mixed one in: returned by dumps */
};

struct nqd_range {
	__u64 first;	/* smallest packet number of the range */
	__u64 last;	/* largest, inclusive */
};

enum nqd_session_attr {
	NQD_A_SESSION_UNSPEC,
	NQD_A_SESSION_ID,		/* u64, chosen by the owner, not 0 */
	NQD_A_SESSION_GENERATION,	/* u64, out: counts changes; in: must match when present */
	NQD_A_SESSION_USER,		/* u64, whose it is (the short id as a number), 0 = none */
	NQD_A_SESSION_TUNNEL,		/* string <= 31: the owner's name for it, in dumps */
	NQD_A_SESSION_ROLE,		/* u8, enum nqd_role */
	NQD_A_SESSION_FLAGS,		/* u32, enum nqd_session_flags */
	NQD_A_SESSION_QUIC_VERSION,	/* u32, 1 */
	NQD_A_SESSION_SOCKET_FD,	/* u32 */
	NQD_A_SESSION_LOCAL_ADDR,	/* struct sockaddr_in or sockaddr_in6 */
	NQD_A_SESSION_REMOTE_ADDR,	/* struct sockaddr_in or sockaddr_in6 */
	/* Nest of NQD_A_CIDS_CID, all of one length from 4 on. One shorter than 8 may be another
	 * session's as well, the remote address then tells whose a packet is.
	 */
	NQD_A_SESSION_LOCAL_CIDS,
	NQD_A_SESSION_REMOTE_CIDS,	/* nest of NQD_A_CIDS_CID; the first is the one in use */
	NQD_A_SESSION_CIPHER,		/* u16, enum nqd_cipher */
	NQD_A_SESSION_NEXT_PN,		/* u64, first packet number this side may use */
	NQD_A_SESSION_LARGEST_ACKED,	/* u64, optional: largest of ours the peer acknowledged */
	NQD_A_SESSION_RX_RANGES,	/* array of struct nqd_range, descending, received so far */
	NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS, /* u32, negotiated minimum; 0 = none */
	NQD_A_SESSION_KEEPALIVE_MS,	/* u32, 0 = none */
	NQD_A_SESSION_PEER_ACK_DELAY_EXPONENT,	/* u8, <= 20 */
	NQD_A_SESSION_PEER_MAX_ACK_DELAY_US,	/* u32, < 2^14 ms */
	NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES, /* u32 */
	NQD_A_SESSION_PEER_MAX_UDP_PAYLOAD_BYTES,	/* u32, >= 1200 */
	NQD_A_SESSION_PEER_ACTIVE_CID_LIMIT,	/* u32, >= 2 */
	NQD_A_SESSION_SRTT_US,		/* u32, 0 = no sample */
	NQD_A_SESSION_RTTVAR_US,	/* u32 */
	NQD_A_SESSION_MIN_RTT_US,	/* u32 */
	NQD_A_SESSION_CONTEXT_PREFIX,	/* binary, <= NQD_PREFIX_MAX_LEN; may be empty */
	NQD_A_SESSION_PATH_MTU_BYTES,	/* u32, UDP payload bytes, >= 1200 */
	NQD_A_SESSION_ROUTE_EPOCH,	/* u32 */
	NQD_A_SESSION_PEER_GROUP,	/* u32, those with the same one reach each other; 0: none */
	NQD_A_SESSION_CONGESTION,	/* string: "cubic", "newreno", "bbr"; "fixed_rate_test" only
					 * after SET_DEBUG gave a rate
					 */
	NQD_A_SESSION_RX_DATAGRAM,	/* binary: a DATAGRAM payload that came before; repeats */
	NQD_A_SESSION_TX_FRAMES,	/* binary, UPDATE_SESSION: frames to seal and send */
	NQD_A_SESSION_CLOSE_CODE,	/* u64, DELETE_SESSION: CONNECTION_CLOSE with this code */
	NQD_A_SESSION_CLOSE_REASON,	/* string <= 64 for that frame */
	NQD_A_SESSION_STATE,		/* u8, out: enum nqd_session_state */
	NQD_A_SESSION_KEY_EXCHANGE,	/* u16: TLS group of the handshake, returned by dumps */
	__NQD_A_SESSION_MAX,
	NQD_A_SESSION_MAX = __NQD_A_SESSION_MAX - 1,
};

enum nqd_session_state {
	NQD_SESSION_NO_KEYS,
	NQD_SESSION_ACTIVE,
	NQD_SESSION_CLOSING,
	NQD_SESSION_DRAINING,
};

enum nqd_cids_attr {
	NQD_A_CIDS_UNSPEC,
	NQD_A_CIDS_CID,		/* nest, enum nqd_cid_attr; repeats */
	__NQD_A_CIDS_MAX,
	NQD_A_CIDS_MAX = __NQD_A_CIDS_MAX - 1,
};

enum nqd_cid_attr {
	NQD_A_CID_UNSPEC,
	NQD_A_CID_SEQ,		/* u64 */
	NQD_A_CID_ID,		/* binary, 4..20 (local), 0..20 (remote) */
	NQD_A_CID_RESET_TOKEN,	/* binary, 16 */
	__NQD_A_CID_MAX,
	NQD_A_CID_MAX = __NQD_A_CID_MAX - 1,
};

/* Either the keys of one phase with the next receive keys, or the traffic secrets, or both. */
enum nqd_keys_attr {
	NQD_A_KEYS_UNSPEC,
	NQD_A_KEYS_PHASE,	/* u8, 0 or 1 */
	NQD_A_KEYS_TX_KEY,
	NQD_A_KEYS_TX_IV,
	NQD_A_KEYS_TX_HP,
	NQD_A_KEYS_RX_KEY,
	NQD_A_KEYS_RX_IV,
	NQD_A_KEYS_RX_HP,
	NQD_A_KEYS_TX_NEXT_KEY,
	NQD_A_KEYS_TX_NEXT_IV,
	NQD_A_KEYS_RX_NEXT_KEY,
	NQD_A_KEYS_RX_NEXT_IV,
	NQD_A_KEYS_TX_SECRET,	/* binary, 32 or 48: the data plane derives updates itself */
	NQD_A_KEYS_RX_SECRET,
	__NQD_A_KEYS_MAX,
	NQD_A_KEYS_MAX = __NQD_A_KEYS_MAX - 1,
};

enum nqd_route_attr {
	NQD_A_ROUTE_UNSPEC,
	NQD_A_ROUTE_ADDR,	/* binary, 4 or 16 bytes */
	NQD_A_ROUTE_PREFIX_LEN,	/* u8 */
	__NQD_A_ROUTE_MAX,
	NQD_A_ROUTE_MAX = __NQD_A_ROUTE_MAX - 1,
};

/* All u64 unless said otherwise. */
enum nqd_stats_attr {
	NQD_A_STATS_UNSPEC,
	NQD_A_STATS_L3_TX_PACKETS,
	NQD_A_STATS_L3_TX_BYTES,
	NQD_A_STATS_L3_RX_PACKETS,
	NQD_A_STATS_L3_RX_BYTES,
	NQD_A_STATS_QUIC_TX_PACKETS,
	NQD_A_STATS_QUIC_TX_BYTES,
	NQD_A_STATS_QUIC_RX_PACKETS,
	NQD_A_STATS_QUIC_RX_BYTES,
	NQD_A_STATS_DATAGRAM_TX_FRAMES,
	NQD_A_STATS_DATAGRAM_RX_FRAMES,
	NQD_A_STATS_DATAGRAM_LOST_FRAMES,
	NQD_A_STATS_ACK_TX_FRAMES,
	NQD_A_STATS_ACK_RX_FRAMES,
	NQD_A_STATS_AEAD_SEAL_FAILURES,
	NQD_A_STATS_AEAD_OPEN_FAILURES,
	NQD_A_STATS_HEADER_PROTECTION_FAILURES,
	NQD_A_STATS_PN_DECODE_FAILURES,
	NQD_A_STATS_FRAME_ERRORS,
	NQD_A_STATS_DUPLICATE_DROPS,
	NQD_A_STATS_REPLAY_WINDOW_DROPS,
	NQD_A_STATS_SOURCE_PREFIX_DROPS,
	NQD_A_STATS_PEER_GROUP_DROPS,
	NQD_A_STATS_ADDRESS_DROPS,	/* packets from an address the session does not have */
	NQD_A_STATS_MTU_DROPS,
	NQD_A_STATS_CONGESTION_DROPS,	/* of tx-queue-drops: had waited too long (CoDel) */
	NQD_A_STATS_PACING_DELAYS,
	NQD_A_STATS_KEY_UPDATES,
	NQD_A_STATS_KEY_UPDATE_FAILURES,
	NQD_A_STATS_ROUTE_EPOCH_DROPS,
	NQD_A_STATS_TX_QUEUE_DROPS,	/* by the session's own queue, for whatever reason */
	NQD_A_STATS_RX_QUEUE_DROPS,
	NQD_A_STATS_NO_ROUTE_DROPS,
	NQD_A_STATS_GSO_TX_PACKETS,
	NQD_A_STATS_GSO_TX_SEGMENTS,
	NQD_A_STATS_GRO_RX_COALESCED,
	NQD_A_STATS_PACKETS_LOST,
	NQD_A_STATS_PTOS,		/* probe timeouts */
	NQD_A_STATS_SPURIOUS_LOSSES,	/* counted in packets-lost, acknowledged later */
	NQD_A_STATS_CONGESTION_UNDOS,	/* reductions taken back: all their losses were spurious */
	NQD_A_STATS_ECN_CE,		/* CE marks the peer reported */
	NQD_A_STATS_PATH_VALIDATIONS,	/* addresses of the peer that answered a challenge */
	NQD_A_STATS_MIGRATIONS,		/* changes of the path that were confirmed */
	NQD_A_STATS_PMTU_PROBES,
	NQD_A_STATS_CWND_DELAYS,	/* bursts that the congestion window cut short */
	NQD_A_STATS_DATAGRAM_DROPS,	/* received, of an unknown context or too many at once */
	NQD_A_STATS_SRTT_US,		/* from here gauges; FLUSH_STATS leaves them */
	NQD_A_STATS_RTTVAR_US,
	NQD_A_STATS_MIN_RTT_US,
	NQD_A_STATS_CWND_BYTES,
	NQD_A_STATS_BYTES_IN_FLIGHT,
	NQD_A_STATS_PACING_RATE_BYTES_PER_S,
	NQD_A_STATS_LAST_RX_AGO_MS,
	NQD_A_STATS_UPTIME_MS,		/* of the line of sessions that replaced each other */
	NQD_A_STATS_HANDSHAKE_AGO_MS,	/* since the last of it was added; end of the gauges */
	NQD_A_STATS_TX_QUEUE_OVERFLOW_DROPS, /* of tx-queue-drops: a bound was reached */
	NQD_A_STATS_TX_QUEUE_CE_MARKS,	/* segments marked CE because they had waited too long */
	NQD_A_STATS_TX_QUEUE_DELAY_MAX_US, /* the longest wait since the last FLUSH_STATS */
	__NQD_A_STATS_MAX,
	NQD_A_STATS_MAX = __NQD_A_STATS_MAX - 1,
};

enum nqd_caps_attr {
	NQD_A_CAPS_UNSPEC,
	NQD_A_CAPS_ABI_VERSION,		/* u32, NQD_GENL_VERSION of the data plane */
	NQD_A_CAPS_IMPLEMENTATION,	/* string: "nexus-dp" or "nexus_quic_dco" */
	NQD_A_CAPS_RELEASE,		/* string */
	NQD_A_CAPS_CIPHER,		/* u16, repeats */
	NQD_A_CAPS_CRYPTO_PROVIDER,	/* string: "ipsec-mb", "gnutls", "kernel" */
	NQD_A_CAPS_UDP_GSO,		/* flag */
	NQD_A_CAPS_UDP_GRO,		/* flag */
	NQD_A_CAPS_TUN_TSO,		/* flag */
	NQD_A_CAPS_TUN_USO,		/* flag */
	NQD_A_CAPS_MAX_SESSIONS,	/* u32 */
	NQD_A_CAPS_MAX_DEVICES,		/* u32 */
	__NQD_A_CAPS_MAX,
	NQD_A_CAPS_MAX = __NQD_A_CAPS_MAX - 1,
};

enum nqd_down_reason {
	NQD_DOWN_DELETED,
	NQD_DOWN_IDLE_TIMEOUT,
	NQD_DOWN_PEER_CLOSED,
	NQD_DOWN_STATELESS_RESET,
	NQD_DOWN_PROTOCOL_ERROR,
	NQD_DOWN_KEY_LIMIT,
	NQD_DOWN_SOCKET_ERROR,
	NQD_DOWN_REPLACED,
	NQD_DOWN_UNCONFIRMED,	/* never took the place it was added for */
};

enum nqd_event_attr {
	NQD_A_EVENT_UNSPEC,
	NQD_A_EVENT_TYPE,	/* u8, enum nqd_event */
	NQD_A_EVENT_REASON,	/* u8, enum nqd_down_reason */
	NQD_A_EVENT_ERROR_CODE,	/* u64, QUIC error code */
	NQD_A_EVENT_TEXT,	/* string */
	NQD_A_EVENT_CONGESTION,	/* u8: 0 open, 1 recovery, 2 persistent congestion, 3 blocked */
	NQD_A_EVENT_FRAMES,	/* binary: QUIC frames, whole */
	NQD_A_EVENT_COUNT,	/* u64, how many since the last event of the kind */
	__NQD_A_EVENT_MAX,
	NQD_A_EVENT_MAX = __NQD_A_EVENT_MAX - 1,
};

enum nqd_debug_attr {
	NQD_A_DEBUG_UNSPEC,
	NQD_A_DEBUG_LEVEL,	/* u8, 0..3 */
	/* u64, tests only: of sessions added from now on with "fixed_rate_test"; 0: refuse them */
	NQD_A_DEBUG_FIXED_RATE_BYTES_PER_S,
	__NQD_A_DEBUG_MAX,
	NQD_A_DEBUG_MAX = __NQD_A_DEBUG_MAX - 1,
};

#endif /* _UAPI_LINUX_NEXUS_QUIC_DCO_H */
