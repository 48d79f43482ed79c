/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: one for drops, whose reason says which counter of NQD_A_STATS it went to, one for
 * what happens to a session. No address, connection ID or key is in them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nexus_quic_dco

#if !defined(NQD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NQD_TRACE_H

#include <linux/tracepoint.h>

#ifndef NQD_DROP_REASONS
#define NQD_DROP_REASONS(_)                   \
	_(NO_ROUTE, "no_route")               \
	_(SOURCE_PREFIX, "source_prefix")     \
	_(PEER_GROUP, "peer_group")           \
	_(ADDRESS, "address")                 \
	_(MTU, "mtu")                         \
	_(CONGESTION, "congestion")           \
	_(TX_QUEUE, "tx_queue")               \
	_(MALFORMED, "malformed")             \
	_(AEAD_SEAL, "aead_seal")             \
	_(AEAD_OPEN, "aead_open")             \
	_(HEADER_PROTECTION, "header_protection") \
	_(PN_DECODE, "pn_decode")             \
	_(FRAME, "frame")                     \
	_(DUPLICATE, "duplicate")             \
	_(REPLAY_WINDOW, "replay_window")     \
	_(UNKNOWN_CID, "unknown_cid")         \
	_(CLOSED, "closed")                   \
	_(NO_OUTER_ROUTE, "no_outer_route")   \
	_(NO_MEMORY, "no_memory")

#define NQD_DROP_ENUM(name, text) NQD_DROP_##name,
enum nqd_drop_reason { NQD_DROP_REASONS(NQD_DROP_ENUM) NQD_DROP_REASONS_COUNT };
#endif

#define NQD_DROP_DEFINE(name, text) TRACE_DEFINE_ENUM(NQD_DROP_##name);
NQD_DROP_REASONS(NQD_DROP_DEFINE)
#undef NQD_DROP_DEFINE

#define NQD_DROP_SYMBOL(name, text) { NQD_DROP_##name, text },

TRACE_EVENT(nqd_drop,
	TP_PROTO(int ifindex, u64 session, u8 reason),
	TP_ARGS(ifindex, session, reason),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(int, ifindex)
		__field(u8, reason)
	),
	TP_fast_assign(
		__entry->session = session;
		__entry->ifindex = ifindex;
		__entry->reason = reason;
	),
	TP_printk("ifindex=%d session=%llu reason=%s", __entry->ifindex, __entry->session,
		  __print_symbolic(__entry->reason, NQD_DROP_REASONS(NQD_DROP_SYMBOL) { -1, NULL }))
);

TRACE_EVENT(nqd_session,
	TP_PROTO(u64 session, u8 event),
	TP_ARGS(session, event),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u8, event)
	),
	TP_fast_assign(
		__entry->session = session;
		__entry->event = event;
	),
	TP_printk("session=%llu event=%u", __entry->session, __entry->event)
);

#endif /* NQD_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
