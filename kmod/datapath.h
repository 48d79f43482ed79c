/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data path's part of the module's objects, and what the control side calls of it.
 *
 * Out:  nqd_dp_xmit() -> the session's queue -> run.c: CoDel -> reserve -> segments written into a
 *       burst (burst.c) -> seal -> one outer skb per run of equal sizes -> udp.c
 * In:   data_ready() -> NAPI poll (rx.c) -> runs of packets of one session opened in place ->
 *       checked, joined -> netif_receive_skb_list()
 *
 * Gathering. What costs most of a small packet is the round, the outer skb and its way: so a packet
 * that comes right behind a burst waits for others, 50 us at most or until there is a burst of them
 * (tx.c, gathers()). The first one after a pause leaves at once.
 *
 * Rounds. Whatever gives a session something to do (a packet from the stack, received ones, its
 * timer, the control side) asks for a round: nqd_dp_session_wake(). One CPU at a time has the turn
 * to send for a session, nqd_session_dp.turn, and runs it; who finds the turn taken leaves the
 * round to that one (run.c). Where vector registers may not be used, a worker of the CPU does it
 * (nqd_crypto_usable()).
 *
 * CPUs. The session's lock is held for the engine's bookkeeping only; copying, ciphers and the
 * stack's functions run without it. So a session sends on one CPU while it receives on another, and
 * packets keep their order: out, because bursts leave in the turn they were numbered in; in,
 * because a peer's address belongs to one lane of the socket (rx.c), whose batches are accepted one
 * after the other.
 */
#ifndef NQD_DATAPATH_H
#define NQD_DATAPATH_H

#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/codel.h>
#include <net/dst_cache.h>

#include "../dataplane/segment.h"
#include "../quic/nq.h"

struct nqd_device;
struct nqd_session;
struct nqd_socket;

/* No outer packet is larger, whatever its path takes: so much stands in one piece of memory. */
#define NQD_PACKET_MAX		16384
/* Waiting inner packets of one session: what congestion control does not admit yet. */
#define NQD_QUEUE_MAX_BYTES	(1024 * 1024)
/* What waits beyond this, of one of several sessions, is no longer charged to its sender: or a peer
 * that is slow would hold up what a socket has to send to the others.
 */
#define NQD_QUEUE_ORPHAN_BYTES	(64 * 1024)
/* A device with one session stops its transmit queue from here on, and starts it below half. */
#define NQD_QUEUE_STOP_BYTES	(256 * 1024)
/* Inner super-packets: their segments with our headers stay below 64 KiB. */
#define NQD_TSO_MAX_BYTES	60000

/* Bits of nqd_session_dp.state. */
enum nqd_dp_state {
	NQD_DP_WANTED,		/* a round is wanted */
	NQD_DP_STOPPED,		/* no round any more; set with the turn, under queue.lock */
	NQD_DP_LEFT,		/* its packets are another's; set under queue.lock */
};

/* What a session's rounds have counted and not yet added to its counters. */
struct nqd_tx_tally {
	u32 packets, bytes;		/* inner */
	u32 super_packets, super_segments;
	u32 congestion_drops, queue_drops, mtu_drops, ce_marks;
};

struct nqd_session_dp {
	/* From the stack to the rounds; its own lock. */
	struct sk_buff_head queue;
	u32 queue_bytes, queue_segs;	/* of it */
	bool gathering;			/* @gather will ask for a round */
	struct hrtimer gather;
	atomic_t held_bytes;		/* of queue, waiting and staged */
	atomic64_t queue_drops, mtu_drops; /* packets; counted in the next round */
	unsigned long state;		/* enum nqd_dp_state */
	struct hrtimer timer;
	struct work_struct work;

	/* The rest is a round's: under the turn. */
	spinlock_t turn;
	struct nqd_tx_tally tally;
	struct sk_buff_head waiting;	/* taken from the queue, CoDel decides */
	u32 waiting_bytes;
	struct sk_buff_head staged;	/* will leave; the first may have left in part */
	unsigned int staged_segs;
	struct dp_segs segs;		/* what is left of the first; left == 0: not begun */
	struct codel_vars codel;
	struct codel_stats codel_stats;
	codel_time_t delay_max;		/* of a packet that waited, since FLUSH_STATS; WRITE_ONCE */
	codel_time_t sent_at;		/* the last burst of inner packets; WRITE_ONCE */
	struct dst_cache dst;		/* of the active path */
	u8 dst_path;			/* whose it is, */
	u32 dst_mark;			/* and what its socket had when it was looked up */
	int dst_oif;
	u32 overhead;			/* of an inner packet */
	u64 retry_us;			/* paced until */
	u32 mtu;			/* largest inner packet; 0: not known yet. Read by all */
	u64 timer_us;			/* what the timer is set to, or NQ_TIME_NEVER */
	u32 ring_asked;			/* a ring of so many packets was asked for */
	u64 allowed_bytes;		/* CONFIG_DEBUG_NET: the window when a burst was reserved */
};

struct nqd_device_dp {
	u64 icmp_window;		/* jiffies */
	unsigned int icmp_sent;
};

struct nqd_rx_lanes;

struct nqd_socket_dp {
	struct nqd_rx_lanes *rx;
	/* As they were before. */
	void (*data_ready)(struct sock *sk);
	bool gro_enabled, accept_l4;
};

/* ---- module ---- */
int nqd_dp_init(void);
void nqd_dp_exit(void);

/* ---- devices ---- */
/* From the link's setup(): features and queue. */
void nqd_dp_setup_link(struct net_device *dev);
netdev_tx_t nqd_dp_xmit(struct sk_buff *skb, struct net_device *dev);

/* ---- sessions: process context where nothing else is said ---- */
/* A new one, which has no engine yet. */
void nqd_dp_session_init(struct nqd_session *s);
/* Before s->conn is set and packets may use it. 0 or -ENOMEM. */
int nqd_dp_session_start(struct nqd_session *s);
/* Nobody finds it any more; when it returns, nothing of the data path touches it. May sleep. */
void nqd_dp_session_stop(struct nqd_session *s);
/* The engine has something to say or its timeout changed. Any context, not under s->lock. */
void nqd_dp_session_wake(struct nqd_session *s);
/* The same, done before it returns. */
void nqd_dp_session_flush(struct nqd_session *s);
/* The packets that wait in @from are @to's, which replaces it. */
void nqd_dp_session_move_queue(struct nqd_session *to, struct nqd_session *from);
void nqd_dp_session_drop_queue(struct nqd_session *s);
/* One inner packet from before the session was installed. */
void nqd_dp_rx_inner(struct nqd_session *s, const u8 *data, u32 len);

/* ---- sockets: the caller holds lock_sock ---- */
/* Take over what arrives: 0, -ENOMEM, or -EBUSY. sk_user_data is set already. */
int nqd_dp_socket_attach(struct nqd_socket *sock);
/* Give it back; may sleep. Afterwards nothing of the data path touches the socket. */
void nqd_dp_socket_detach(struct nqd_socket *sock);

#endif /* NQD_DATAPATH_H */
