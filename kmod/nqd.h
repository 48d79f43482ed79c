/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: its objects and functions. Which lock guards what, the order
 * of locks, who holds each object and what ends it: docs/kernel.md, "Locks and lifetimes".
 *
 * In short: rtnl, nqd_net.lock (mutex), lock_sock(), nqd_session_dp.turn and nqd_session.lock
 * (spinlocks, bottom halves off). Packets hold no lock but RCU when they find a session, which
 * may have ended: under its lock conn == NULL says so. No burst is sealed, opened, copied or given
 * to the stack under nqd_session.lock. Softirq never changes what the control side owns;
 * nqd_session_kick() has the session's worker do it.
 */
#ifndef NQD_H
#define NQD_H

#include <linux/completion.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "../dataplane/path.h"
#include "../dataplane/replace.h"
#include "../dataplane/request.h"
#include "../dataplane/route.h"
#include "../lib/nlparse.h"
#include "../quic/nq.h"
#include "datapath.h"
#include <linux/nexus_quic_dco.h>

#define NQD_RELEASE		"0.1.0"
/* Of one network namespace. */
#define NQD_MAX_SESSIONS	16384
#define NQD_MAX_DEVICES		64
/* Each has threads and buffers of its own. */
#define NQD_MAX_SOCKETS		256
/* Rings of packets in flight that grew, all sessions together. */
#define NQD_RINGS_MAX_BYTES	(512ULL << 20)

extern struct workqueue_struct *nqd_wq;
extern unsigned int nqd_net_id;
extern struct genl_family nqd_family;

/*
 * One network namespace. Made and freed with it (pernet). When it is freed no device is left,
 * because the core deletes them before; no session, because those that outlive their device are
 * ended then; and no socket, because a socket keeps its namespace alive.
 */
struct nqd_net {
	struct net *net;
	struct mutex lock;		/* docs/kernel.md */
	struct list_head devices;	/* struct nqd_device.entry */
	struct list_head sessions;	/* struct nqd_session.entry, by their serials */
	struct nqd_lines lines;		/* the same for replace.c */
	struct list_head sockets;	/* struct nqd_socket.entry */
	struct list_head ended;		/* struct nqd_ended.entry, oldest first */
	struct list_head ended_spare;	/* the same, for sessions that will have ended */
	unsigned int n_devices, n_sessions, n_sockets, n_ended, n_ended_made;
	u64 last_serial;		/* of sessions and of what is in @ended */
	u64 fixed_rate_bytes_per_s;	/* of "fixed_rate_test"; 0: nobody may ask for it */
	u64 ring_bytes;			/* of rings that grew, all sessions together */
	u8 debug_level;			/* from 1 on refusals are logged */
	struct rhashtable by_id;	/* struct nqd_session.by_id */
	struct rhltable cids;		/* struct nqd_cid.node; lookups under RCU */
	struct rhltable tokens;		/* struct nqd_token.node; lookups under RCU */
	struct work_struct reap;	/* ends the sessions of sockets that were closed */
	atomic_t workers;		/* of sessions, queued or running */
	struct dentry *debugfs;
};

static inline struct nqd_net *nqd_net_of(const struct net *net);

/*
 * A device, the private part of its net_device and gone with it. On nqd_net.devices from ndo_init()
 * to ndo_uninit(); who holds nqd_net.lock and found it there may use it until he lets go. Sessions
 * point to it (nqd_session.nd) until ndo_uninit(), which the core follows by a grace period.
 */
struct nqd_device {
	struct list_head entry;
	struct net_device *dev;
	struct nqd_net *nn;
	struct nqd_route_table routes;	/* values: struct nqd_session; lookups under RCU */
	struct nqd_session *default_session; /* read under RCU */
	struct nqd_socket *sockets[NQD_FDS_MAX];
	unsigned int n_sockets;
	unsigned int n_sessions;	/* that may send; packets look without a lock */
	struct nqd_device_dp dp;
};

/*
 * A UDP socket of user space that devices and sessions use. While it is here it is a socket of this
 * module (encap_type, sk_user_data). It does not keep the file open: when the last descriptor is
 * closed the sessions on it end (socket.c). Freed after a grace period.
 */
struct nqd_socket {
	struct list_head entry;
	struct nqd_net *nn;
	struct sock *sk;		/* a reference */
	unsigned int refs;		/* devices and paths */
	union nqd_addr bound;
	bool closed;			/* set by encap_destroy without a lock */
	bool reaped;			/* what used it when it was closed has let go */
	struct completion destroyed;	/* encap_destroy has been here */
	refcount_t kept;		/* its memory: attached, and by who reads it */
	struct mutex reading;		/* of what is left to its owner (owner.c) */
	struct rcu_head rcu;
	struct nqd_socket_dp dp;
};

/* A local connection ID in nqd_net.cids. */
struct nqd_cid {
	struct rhlist_head node;
	u8 id[NQ_CID_MAX_LEN];		/* the key: its first NQ_CID_LOOKUP_LEN bytes */
	u8 len;
	struct nqd_session *session;
	union {
		struct list_head of_session; /* nqd_session.cids; lookups do not read it */
		struct rcu_head rcu;
	};
};

static_assert(sizeof(struct nqd_cid) == 64, "a session has several");

/* The reset token of the remote ID that a session uses, in nqd_net.tokens. */
struct nqd_token {
	struct rhlist_head node;
	u8 token[NQ_RESET_TOKEN_LEN];
	struct nqd_session *session;
	u64 seq;
	struct rcu_head rcu;
};

/* What the last event of a kind said, kept for GET_EVENTS. */
struct nqd_last_event {
	union {
		struct {		/* SESSION_DOWN, FATAL_ERROR */
			u64 code;
			u8 reason;
			char text[65];
		};
		struct {		/* PATH_CHANGED */
			union nqd_addr local, remote;
		};
		u64 count;		/* REPLAY_OR_DUPLICATE_DROP */
		u32 path_mtu;		/* PATH_MTU_CHANGED */
		u8 congestion;		/* CONGESTION_STATE */
	};
};

struct nqd_told {
	struct nqd_told *next;
	u8 type;
	struct nqd_last_event what;
};

/*
 * A session that ended: what GET_EVENTS still tells about it. Made with the session, unless there
 * are as many as are kept: then the oldest makes room.
 */
#define NQD_ENDED_MAX	64
struct nqd_ended {
	struct list_head entry;
	u64 serial;
	u64 id, user, generation;
	char tunnel[32];
	struct nqd_last_event down;
};

/*
 * A session. The tables of its nqd_net hold one reference together (while @linked), its queued
 * worker another; packets hold none, RCU keeps it for them. Its life:
 *
 *   ADD_SESSION     built aside, found by nobody
 *   link            in list, tables, routes: packets and requests find it
 *   down            no more inner packets; the engine may say goodbye and wait
 *   nqd_session_free()  in no list or table; the data path has stopped; the engine and every secret
 *                   are gone. What still holds a pointer finds conn == NULL and !linked.
 */
struct nqd_session {
	struct kref ref;
	struct rcu_head rcu;

	/* Never changed while others see it. */
	struct nqd_net *nn;
	u64 id, user, serial;
	char tunnel[32];
	u8 role, cid_len;
	u16 cipher, key_exchange;
	u32 flags;

	/* nqd_net.lock */
	struct list_head entry;
	struct rhash_head by_id;
	struct list_head cids;		/* struct nqd_cid.of_session */
	struct nqd_token *token;
	u64 generation;
	u64 next_cid_seq;
	u32 route_epoch;
	bool linked, gone;
	bool sends;			/* counted in its device's n_sessions */
	struct nqd_path_report path_report;
	struct nqd_new_session *waiting; /* until SET_KEYS */
	struct nqd_secrets secrets;	/* of the phase whose keys are installed as "next" */
	bool keys_due;			/* the next ones, of our secrets */
	u8 key_seat;			/* nqd_keys_load() */
	struct mem_cgroup *memcg;	/* of who made it: rings that grow are charged to it */
	void *ring_mem;			/* the engine's ring */
	size_t ring_bytes;		/* of one that grew */
	u32 happened;			/* BIT() of the kinds of events that did */
	struct nqd_last_event told_down; /* SESSION_DOWN */
	struct nqd_told *told;		/* of every other kind that said more */
	struct nqd_line line;		/* its counters: also @lock */
	u64 deadline_us;		/* replace.c's, or of one that closes after its device */

	/* Written under nqd_net.lock and @lock, read under either, or with READ_ONCE under RCU. */
	struct nqd_device *nd;		/* NULL: it closes after its device */
	bool down;
	struct nqd_session *heir;	/* these three as in @line, for packets */
	bool unheard, replaced;
	u32 peer_group;

	/* @lock */
	spinlock_t lock;		/* docs/kernel.md */
	struct nq_conn *conn;		/* NULL without keys, and after the end */
	struct nqd_path paths[NQ_PATHS_MAX]; /* by the engine's numbers */
	struct nqd_socket *socks[NQ_PATHS_MAX]; /* references; also needs nqd_net.lock to change */
	u32 path_mtu;
	bool heard;			/* set by packets: a DATAGRAM came while @unheard */
	bool kicked;			/* without it: the worker was, and has not begun since */
	struct nqd_counters counters;

	struct delayed_work control;	/* nqd_session_kick(), and at @deadline_us */
	struct nqd_session_dp dp;
};

/* A request while it is handled. */
struct nqd_request {
	struct sk_buff *skb;		/* the message */
	struct genl_info *info;
	struct nqd_net *nn;
	const u8 *msg;			/* its first byte: offsets in errors count from here */
	const u8 *attrs;
	size_t attrs_len;
	u16 flags;			/* NLM_F_* */
	struct nxa top[NQD_A_MAX + 1];
	struct nxm_error e;
};

/* netlink.c */
int nqd_netlink_init(void);
void nqd_netlink_exit(void);
/* Fill r->e; the offset of an attribute is not known here. Returns @err. */
#define nqd_fail(r, err, ...) nxm_fail(&(r)->e, err, 0, __VA_ARGS__)
/* Open an answer to @r: NULL if there is no memory. nqd_reply() ends and sends, or frees it. */
struct sk_buff *nqd_reply_begin(struct nqd_request *r, size_t payload, void **hdr);
int nqd_reply(struct nqd_request *r, struct sk_buff *skb, void *hdr);

static inline int nqd_put_u64(struct sk_buff *skb, int attr, u64 v)
{
	/* nla_put_u64_64bit() pads, with an attribute that the ABI has not. */
	return nla_put(skb, attr, sizeof(v), &v);
}

/* main.c */
/* Microseconds, monotonic: the engine's time. */
static inline u64 nqd_now_us(void)
{
	return div_u64(ktime_get_ns(), NSEC_PER_USEC);
}

/* device.c */
int nqd_device_init(void);
void nqd_device_exit(void);
int nqd_cmd_create_device(struct nqd_request *r);
int nqd_cmd_delete_device(struct nqd_request *r);
/* The device of NQD_A_DEVICE by index or name, NULL with r->e filled (-ENODEV: not there). Under
 * nqd_net.lock.
 */
struct nqd_device *nqd_request_device(struct nqd_request *r);

/* socket.c: all under nqd_net.lock, and may sleep. */
/* The socket of descriptor @fd of the caller, with a reference; ERR_PTR with r->e filled, naming
 * @attr.
 */
struct nqd_socket *nqd_socket_get(struct nqd_request *r, int fd, const char *attr);
void nqd_socket_hold(struct nqd_socket *sock);
/* NULL is fine. The last reference gives the socket back to its owner. */
void nqd_socket_put(struct nqd_socket *sock);
/* Of nqd_socket.kept, which whoever reads the socket has. Any context. */
void nqd_socket_forget(struct nqd_socket *sock);
/* @sock is used from now on by something that was not there when nqd_net.lock was let go. */
void nqd_socket_check_closed(struct nqd_socket *sock);
void nqd_reap_sockets(struct work_struct *work);

/* session.c */
int nqd_session_init(void);
/* Is it so? For tests, which some kernels run before module init. */
bool nqd_session_is_up(void);
/* Every namespace has gone. */
void nqd_session_exit(void);
int nqd_sessions_init_net(struct nqd_net *nn);
/* Ends what is left of sessions. */
void nqd_sessions_exit_net(struct nqd_net *nn);
struct nqd_session *nqd_session_find(struct nqd_net *nn, u64 id);
struct nqd_session *nqd_session_alloc(struct nqd_net *nn);
/* Into the list and the table of IDs: 0 or -errno; out of both. */
int nqd_session_link(struct nqd_session *s);
/* Build the engine with @req's parameters, which hold raw keys that are wiped. 0 or -errno. */
int nqd_session_start(struct nqd_session *s, struct nqd_new_session *req,
		      const struct nqd_secrets *secrets);
/* A session that nobody else knows yet, or one that is linked: every secret is wiped. */
void nqd_session_free(struct nqd_session *s);
void nqd_session_release(struct kref *ref);
/* Its worker, at once. Any context, also under s->lock. */
void nqd_session_kick(struct nqd_session *s);
/* The same, a little later: what it had no memory for. */
void nqd_session_try_again(struct nqd_session *s);
/* Set the control side's next deadline, NQ_TIME_NEVER: none but those of its limits. */
void nqd_session_set_deadline(struct nqd_session *s, u64 at_us);
/* No more inner packets either way; its routes may belong to the next session. */
void nqd_session_down(struct nqd_session *s, u8 reason, u64 code, const char *text);
u8 nqd_session_state(struct nqd_session *s);
/* NQ_EV_CID_RETIRED and NQ_EV_CID_WANTED. */
void nqd_session_refill_cids(struct nqd_session *s);
/* 0 or -errno; the raw keys are wiped. */
int nqd_session_set_next_keys(struct nqd_session *s, struct nq_key_material *tx,
			      struct nq_key_material *rx);
int nqd_session_next_keys(struct nqd_session *s);
void nqd_ring_grow(struct nqd_session *s, u32 packets);

/* cid.c */
int nqd_cids_init(struct nqd_net *nn);
int nqd_cid_add(struct nqd_session *s, const struct nq_cid *cid);
void nqd_cid_free(struct nqd_cid *c);
/* Random, and unlike every other of the socket. */
bool nqd_cid_make(struct nqd_session *s, struct nq_cid *cid);
/*
 * Whose the @len bytes behind a short header's first are, for packets; under RCU. Of several short
 * IDs that fit: the one of the session that talks with @from, else the longest. *@id_len: its
 * length, 0 without a session.
 */
struct nqd_session *nqd_session_by_cid(const struct nqd_socket *sock, const u8 *id, u32 len,
				       const union nqd_addr *from, u32 *id_len);

/* reset.c */
int nqd_tokens_init(struct nqd_net *nn);
/* The session's active remote connection ID may be another now. Under nqd_net.lock. */
void nqd_reset_update(struct nqd_session *s);
void nqd_reset_forget(struct nqd_session *s);
/* A short-header datagram that is nobody's: true if it has ended a session. Under RCU. */
bool nqd_reset_received(struct nqd_net *nn, const union nqd_addr *from, const u8 *data, u32 len);

/* path.c: under s->lock, but for what says otherwise. */
static inline struct nqd_path *nqd_active_path(struct nqd_session *s)
{
	return &s->paths[s->conn ? nq_active_path(s->conn) : 0];
}

/* The address packets of the path leave from, as far as it is known. */
const union nqd_addr *nqd_path_local(const struct nqd_path *p);
/* The path of packets that arrive on @sock from @from: its number, or NQ_PATH_NEW*. */
u8 nqd_path_number(struct nqd_session *s, const struct nqd_socket *sock,
		   const union nqd_addr *from);
/* Is @sock one of the session's? Also without the lock, under RCU. */
bool nqd_session_on(const struct nqd_session *s, const struct nqd_socket *sock);
/*
 * For packets: the engine has given @number to these addresses (nq_rx_pkt.path). @sock is the one
 * the packet came on, and nqd_session_on() must have said under this lock, before the packet was
 * opened, that it is the session's.
 */
void nqd_path_learn(struct nqd_session *s, u8 number, struct nqd_socket *sock,
		    const union nqd_addr *local, const union nqd_addr *remote);
/* NQ_EV_PATH, or NQD_LIMITED_PATH is due. Under nqd_net.lock. */
void nqd_session_paths(struct nqd_session *s);
/* Under nqd_net.lock: make @sock one of the session's. 0 or -ENOBUFS. */
int nqd_session_add_socket(struct nqd_session *s, struct nqd_socket *sock);
/* Under nqd_net.lock: let go of sockets that no path uses. */
void nqd_session_prune_sockets(struct nqd_session *s);
void nqd_paths_free(struct nqd_session *s);
/*
 * A client's session moves to @path; if that is where it is already, it asks the peer whether it
 * still answers. 0 or -errno with r->e filled. Under nqd_net.lock.
 */
int nqd_session_migrate(struct nqd_request *r, struct nqd_session *s, const struct nqd_path *path);

/* events.c: under nqd_net.lock. */
/* What the last event of a kind that happened has said. */
const struct nqd_last_event *nqd_last_event(const struct nqd_session *s, u8 type);
void nqd_event(struct nqd_session *s, u8 type, const struct nqd_last_event *info, const u8 *frames,
	       u32 frames_len);
/* One round of the control side: events of the engine, what is due. May free @s. */
void nqd_session_run(struct nqd_session *s);

/* control.c: requests about sessions. */
int nqd_cmd_add_session(struct nqd_request *r);
int nqd_cmd_update_session(struct nqd_request *r);
int nqd_cmd_delete_session(struct nqd_request *r);
int nqd_cmd_add_route(struct nqd_request *r);
int nqd_cmd_delete_route(struct nqd_request *r);
int nqd_cmd_set_keys(struct nqd_request *r);
int nqd_cmd_key_update(struct nqd_request *r);
int nqd_cmd_flush_stats(struct nqd_request *r);
int nqd_cmd_set_debug(struct nqd_request *r);
/* The session a request names; checks its generation. NULL with r->e filled. */
struct nqd_session *nqd_request_session(struct nqd_request *r, struct nxa *attrs);
/* The sessions of a device that is deleted: those that say goodbye may go on for a second. */
void nqd_device_end_sessions(struct nqd_device *nd);

/* dump.c: answers to queries. No key, secret, connection ID or reset token is put in one. */
int nqd_cmd_get_stats(struct nqd_request *r);
int nqd_cmd_get_events(struct nqd_request *r);
int nqd_dump_stats(struct sk_buff *skb, struct netlink_callback *cb);
int nqd_dump_events(struct sk_buff *skb, struct netlink_callback *cb);
/* NQD_A_EVENT and what identifies the session. 0 or -EMSGSIZE. */
int nqd_put_event(struct sk_buff *skb, u8 type, const struct nqd_last_event *e,
		  const struct nqd_ended *of, const u8 *frames, u32 frames_len);

/* replace.c: under nqd_net.lock. */
extern const struct nqd_line_ops nqd_line_ops;
/* It sends from now on, and what it claims is its own. */
void nqd_session_begin(struct nqd_session *s);
/* Also under s->lock. */
struct nqd_account nqd_account_of(struct nqd_session *s);

/* ---- for packets, under RCU ---- */

static inline struct nqd_session *nqd_session_by_dst(const struct nqd_device *nd, const u8 *pkt)
{
	struct nqd_session *s = pkt[0] >> 4 == 4 ? nqd_route_lookup4(&nd->routes, pkt + 16) :
						   nqd_route_lookup6(&nd->routes, pkt + 24);

	return s ?: READ_ONCE(nd->default_session);
}

static inline struct nqd_session *nqd_session_by_src(const struct nqd_device *nd, const u8 *pkt)
{
	struct nqd_session *s = pkt[0] >> 4 == 4 ? nqd_route_lookup4(&nd->routes, pkt + 12) :
						   nqd_route_lookup6(&nd->routes, pkt + 8);

	return s ?: READ_ONCE(nd->default_session);
}

/* debugfs.c: failing to make its files is no failure of the module. */
void nqd_debugfs_init(void);
void nqd_debugfs_exit(void);
void nqd_debugfs_add_net(struct nqd_net *nn);
void nqd_debugfs_remove_net(struct nqd_net *nn);

#include <net/netns/generic.h>

static inline struct nqd_net *nqd_net_of(const struct net *net)
{
	return net_generic(net, nqd_net_id);
}

#endif /* NQD_H */
