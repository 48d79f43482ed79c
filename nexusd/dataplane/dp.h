/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nexus-dp: what its files share. One thread, one epoll loop; nothing here is locked.
 *
 * Ownership: struct dp owns devices, sockets and sessions. A session holds a reference on its
 * socket and points to its device; a device ends after its sessions. Objects that epoll knows are
 * destroyed only between two rounds of the loop (control messages and the dirty list are handled
 * there), so an event never names a dead object.
 *
 * A round: events -> answers of the stack -> due timers -> dp_run_dirty(): every session touched is
 * flushed, its events are reported and its timer is set once. The time is read again for every event
 * and burst (dp_tick()).
 */
#ifndef DP_H
#define DP_H

#include <net/if.h>
#include <netinet/in.h>
#include <sys/queue.h>

#include "../../dataplane/addr.h"
#include "../../dataplane/coalesce.h"
#include "../../dataplane/path.h"
#include "../../dataplane/replace.h"
#include "../../dataplane/request.h"
#include "../../dataplane/segment.h"
#include "../../lib/crypto.h"
#include "../../lib/hs_proto.h"
#include "../../lib/ipc.h"
#include "../../lib/nlcodec.h"
#include "../../quic/nq.h"
#include "icmp.h"
#include "queue.h"
#include <linux/nexus_quic_dco.h>

#define DP_MAX_SESSIONS		16384
#define DP_MAX_DEVICES		64
#define DP_CID_BUCKETS		65536
#define DP_ID_BUCKETS		16384
#define DP_TOKEN_BUCKETS	4096
#define DP_DEVICE_QUEUES_MAX	NX_IPC_MAX_FDS
/* UDP payload bytes of one GSO send, and segments in it (older kernels take 64). */
#define DP_GSO_MAX_BYTES	65000
#define DP_GSO_MAX_SEGS		64
/* Packets of one burst: the engine's, and control packets behind them. */
#define DP_OUT_PACKETS		(NQ_BURST_MAX + 8)
#define DP_OUT_BYTES		(DP_GSO_MAX_BYTES + 2048)
/* Sealed bursts that wait for a full UDP socket. */
#define DP_SOCKET_PENDING_MAX	64
/* Rings of packets in flight that grew, all sessions together. */
#define DP_RINGS_MAX_BYTES	(512ull << 20)

struct dp;

/* What epoll points to; embedded as the first member. */
struct dp_watch {
	void (*fn)(struct dp *dp, struct dp_watch *w, u32 events);
	int fd;
};

/* A sealed burst: packets back to back. */
struct dp_out {
	TAILQ_ENTRY(dp_out) entry;
	union nqd_addr dest, source;	/* source: family 0 = the socket's */
	u32 n, next;			/* packets, first unsent */
	u32 len, next_off;
	bool ecn;
	bool unreachable;		/* the local network could not take some of it */
	u16 size[DP_OUT_PACKETS];
	u8 data[DP_OUT_BYTES];
};
TAILQ_HEAD(dp_out_list, dp_out);
LIST_HEAD(dp_blocked_list, dp_session);

struct nqd_socket {
	struct dp_watch watch;
	TAILQ_ENTRY(nqd_socket) entry;
	u64 cookie;
	unsigned int refs;
	union nqd_addr bound;
	u16 port;			/* network order */
	bool gso;
	bool wants_out;
	struct dp_out_list pending;
	unsigned int n_pending;
	struct dp_blocked_list blocked;	/* sessions that wait for it to take data again */
};
TAILQ_HEAD(dp_socket_list, nqd_socket);

struct dp_queue {
	struct dp_watch watch;
	struct dp_device *dev;
};

struct dp_device {
	TAILQ_ENTRY(dp_device) entry;
	char ifname[IFNAMSIZ];
	u32 ifindex;
	struct dp_queue queues[DP_DEVICE_QUEUES_MAX];
	unsigned int n_queues;
	struct nqd_socket *sockets[NQD_FDS_MAX];
	unsigned int n_sockets;
	struct nqd_route_table routes;
	struct dp_session *default_session;
	unsigned int n_sessions;	/* that may send */
	bool uso;
	bool dead;			/* the interface is gone */
	u64 icmp_window_us;
	unsigned int icmp_sent;
	u64 no_route_drops;
	u64 read_us;			/* when it was last read */
	bool answers;			/* something was written since: there may be answers to read */
	struct dp_coalesce co;
};
TAILQ_HEAD(dp_device_list, dp_device);

struct dp_cid {
	SLIST_ENTRY(dp_cid) hash;
	SLIST_ENTRY(dp_cid) of_session;
	struct dp_session *session;
	struct nq_cid cid;
};
SLIST_HEAD(dp_cid_list, dp_cid);

/* The last event of a kind, kept for GET_EVENTS. */
struct dp_last_event {
	bool present;
	u8 reason, congestion;
	u64 code, count;
	u32 path_mtu;
	union nqd_addr local, remote;	/* PATH_CHANGED */
	char text[65];
};

SLIST_HEAD(dp_token_list, dp_session);

struct dp_session {
	TAILQ_ENTRY(dp_session) entry;
	/* reset.c: of the ID the peer is known by; NULL = in no list */
	SLIST_ENTRY(dp_session) token_entry;
	struct dp_token_list *token_list;
	u64 token_seq;
	LIST_ENTRY(dp_session) by_id;
	TAILQ_ENTRY(dp_session) dirty_entry;
	u64 id, generation, user;
	char tunnel[32];
	struct dp_device *dev;
	struct nqd_path paths[NQ_PATHS_MAX]; /* by the engine's numbers */
	struct nqd_path_report path_report;
	struct nq_conn *conn;		/* NULL without keys */
	void *conn_mem;
	size_t conn_bytes;
	void *ring_mem;			/* a ring that grew */
	size_t ring_bytes;
	struct nq_conn_params *waiting;	/* until SET_KEYS */
	struct nq_range *waiting_ranges;
	u32 flags, route_epoch, peer_group, path_mtu;
	u8 role, cid_len;
	bool dirty, down, gone;
	/* udp.c: the full socket it waits for, whose list it is in; NULL: none */
	struct nqd_socket *blocked_on;
	LIST_ENTRY(dp_session) blocked_entry;
	bool sends;			/* counted in its device's n_sessions */
	struct nqd_line line;
	u64 deadline_us;		/* replace.c's, or of the limbo */
	struct dp_cid_list cids;
	u64 next_cid_seq;
	struct dp_pkt_list fresh;	/* just read; empty between two events */
	struct dp_fq *fq;		/* what waits; NULL: nothing has yet */
	u64 retry_us;			/* paced until */
	size_t timer_slot;		/* position in the heap plus 1, 0 = not in it */
	u64 timer_us;
	/* Traffic secrets of the phase whose keys are installed as "next". */
	struct nqd_secrets secrets;
	u16 cipher, key_exchange;
	struct nqd_counters counters;
	struct dp_last_event last[NQD_EVENT_MAX + 1];
};
TAILQ_HEAD(dp_session_list, dp_session);
LIST_HEAD(dp_session_bucket, dp_session);

/* A session that ended: what GET_EVENTS still tells about it. */
#define DP_ENDED_MAX	64
struct dp_ended {
	u64 id, user, generation;
	char tunnel[32];
	struct dp_last_event down;
};

/* A dump in progress: it pauses when the control socket is full. */
struct dp_dump {
	struct nxm_hdr hdr;		/* of the request; cmd 0 = none */
	struct dp_session *next;	/* adjusted when a session goes */
	unsigned int ended_next;
	u8 event_next;
};

struct dp {
	int epoll_fd;
	struct dp_watch monitor, control, hsd;
	int spare_socket;		/* for SIOCGIFINDEX, from before the sandbox */
	const struct nq_crypto_ops *crypto;
	bool udp_gso, udp_gro, tun_uso, stop, test_mode;
	u64 fixed_rate_bytes_per_s;	/* of "fixed_rate_test"; 0: nobody may ask for it */
	u64 now_us;
	struct dp_device_list devices;
	unsigned int n_devices;
	struct dp_socket_list sockets;
	bool idle_sockets;		/* some have lost their last user in this round */
	struct dp_session_list sessions, dirty;
	struct nqd_lines lines;
	unsigned int n_sessions;
	struct dp_session_bucket by_id[DP_ID_BUCKETS];
	size_t ring_bytes;
	struct dp_cid_list cids[DP_CID_BUCKETS];
	struct dp_token_list tokens[DP_TOKEN_BUCKETS];
	u64 token_key[4];
	struct dp_device limbo;		/* of sessions that close after their device */
	struct dp_session **heap;
	size_t heap_len;
	struct dp_out_list free_out;
	unsigned int n_free_out;
	struct dp_store store;		/* of what is read from the devices */
	struct dp_fq_pool fq_pool;
	u64 flow_key;			/* of dp_flow_hash(), random */
	struct dp_ended ended[DP_ENDED_MAX];
	unsigned int n_ended;
	u64 punt_drops, unknown_drops;
	unsigned int channels_ready;
	u32 control_events;		/* the control socket is watched for them */
	int control_bytes;		/* it takes that much */
	bool control_full;		/* requests wait for room for their answers */
	bool events_lost;		/* and the owner does not know yet */
	struct dp_dump dump;
	u8 *msg;			/* control message in, NQD_MSG_MAX_LEN */
	u8 *reply;
};

/*
 * How full the control socket may be, in quarters, for what is to be sent: answers fit whatever happened
 * before, because requests are read and dumps continued only below half, and events leave the rest. (A
 * quarter is many times what is sent at once.) Lost events are told of when epoll has room again, not
 * in between, or every second message would say so.
 */
#define DP_ROOM_OVERRUN		1
#define DP_ROOM_ANSWERS		2
#define DP_ROOM_EVENTS		3

#define DP_WAIT_FOREVER		(~(u64)0)
#define DP_MONITOR_READY	1
#define DP_CONTROL_READY	2
#define DP_HSD_READY		4

/* loop.c */
u64 dp_clock_us(void);
/*
 * Read the clock into dp->now_us, which is what all of nexus-dp and its engines go by. Called before
 * each event is handled and each burst is sent or opened: a round may take milliseconds, and an engine
 * that is told the time of its beginning paces a burst by credit it had then and measures round trips
 * of no time at all. It never goes back; a timer that falls due within a round is the next round's.
 */
void dp_tick(struct dp *dp);
int dp_watch_add(struct dp *dp, struct dp_watch *w, u32 events);
void dp_watch_mod(struct dp *dp, struct dp_watch *w, u32 events);
/* Forget the descriptor; closing it is not enough while another process has the file open. */
void dp_watch_del(struct dp *dp, struct dp_watch *w);
void dp_watch_close(struct dp *dp, struct dp_watch *w);
int dp_init(struct dp *dp);
int dp_monitor_start(struct dp *dp, int fd);
void dp_fini(struct dp *dp);
void dp_set_control(struct dp *dp, int fd);
bool dp_control_room(const struct dp *dp, int quarters);
/* Wait for what can be gone on with: requests, or room. */
void dp_control_watch(struct dp *dp);
void dp_set_hsd(struct dp *dp, int fd);
/* One round; waits at most @max_wait_us. */
void dp_round(struct dp *dp, u64 max_wait_us);

/* control.c: one message with its descriptors (consumed, the array is closed). */
void dp_control_message(struct dp *dp, u8 *msg, size_t len, int *fds, unsigned int n_fds);
int dp_reply(struct dp *dp, const void *buf, ssize_t len);
int dp_fail(struct nxm_error *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A request while it is handled. */
struct dp_request {
	const u8 *msg;
	struct nxm_hdr hdr;
	struct nxa top[NQD_A_MAX + 1];
	int *fds;
	unsigned int n_fds;
	struct nxm_error e;
};

/* Take descriptor number @a of the request out of its array, or -EBADF naming @name. */
int dp_take_fd(struct dp_request *r, const struct nxa *a, const char *name);

/* control-session.c, control-keys.c, control-dump.c */
int dp_cmd_add_session(struct dp *dp, struct dp_request *r);
int dp_cmd_update_session(struct dp *dp, struct dp_request *r);
int dp_cmd_delete_session(struct dp *dp, struct dp_request *r);
int dp_cmd_add_route(struct dp *dp, struct dp_request *r);
int dp_cmd_delete_route(struct dp *dp, struct dp_request *r);
int dp_cmd_set_keys(struct dp *dp, struct dp_request *r);
int dp_cmd_key_update(struct dp *dp, struct dp_request *r);
int dp_cmd_get_stats(struct dp *dp, struct dp_request *r);
int dp_cmd_get_events(struct dp *dp, struct dp_request *r);
bool dp_dump_active(const struct dp *dp);
void dp_dump_continue(struct dp *dp);
void dp_dump_stop(struct dp *dp);
int dp_cmd_get_caps(struct dp *dp, struct dp_request *r);
int dp_cmd_create_device(struct dp *dp, struct dp_request *r);
int dp_cmd_delete_device(struct dp *dp, struct dp_request *r);
/* The session a request names; checks its generation. NULL with r->e filled. */
struct dp_session *dp_request_session(struct dp *dp, struct dp_request *r, struct nxa *attrs);
struct dp_device *dp_request_device(struct dp *dp, struct dp_request *r);

/* events.c */
/* False: events were lost, and there is no room yet to say so. */
bool dp_events_told(struct dp *dp);
void dp_event(struct dp *dp, struct dp_session *s, u8 type, const struct dp_last_event *info,
	      const u8 *frames, u32 frames_len);
void dp_session_events(struct dp *dp, struct dp_session *s);
void dp_session_down(struct dp *dp, struct dp_session *s, u8 reason, u64 code, const char *text);

/* device.c */
int dp_device_create(struct dp *dp, const int *fds, unsigned int n_fds, const char *ifname,
		     u32 ifindex, struct dp_device **out, struct nxm_error *e);
/* Sessions that are saying goodbye go on doing so, for a second at most. */
void dp_device_destroy(struct dp *dp, struct dp_device *dev);
/* Is a session there that would like to say goodbye? */
bool dp_in_limbo(const struct dp *dp);
/* False: the kernel did not take it. */
bool dp_device_write(struct dp_device *dev, const struct iovec *iov, unsigned int n);
struct dp_device *dp_device_find(struct dp *dp, u32 ifindex, const char *ifname);

/* path.c */
static inline struct nqd_path *dp_active_path(struct dp_session *s)
{
	return &s->paths[s->conn ? nq_active_path(s->conn) : 0];
}
/* The address packets of the path leave from, as far as it is known. */
const union nqd_addr *dp_path_local(const struct nqd_path *p);
/* The path of packets that arrive on @sock from @from: its number, or NQ_PATH_NEW*. */
u8 dp_path_number(struct dp_session *s, const struct nqd_socket *sock, const union nqd_addr *from);
/* Does a path of the session use @sock? */
bool dp_session_on(const struct dp_session *s, const struct nqd_socket *sock);
/* The engine has given @number to these addresses. */
void dp_path_set(struct dp *dp, struct dp_session *s, u8 number, const struct nqd_path *path);
void dp_paths_free(struct dp *dp, struct dp_session *s);
/* NQ_EV_PATH, or NQD_LIMITED_PATH is due. */
void dp_session_paths(struct dp *dp, struct dp_session *s);
/*
 * A client's session moves to @path; if that is where it is already, it asks the peer whether it
 * still answers. 0 or -errno with @e filled.
 */
int dp_session_migrate(struct dp *dp, struct dp_session *s, const struct nqd_path *path,
		       struct nxm_error *e);

/* session.c */
struct dp_session *dp_session_find(struct dp *dp, u64 id);
/* Into the list and the table of IDs, and out of both. */
void dp_session_link(struct dp *dp, struct dp_session *s);
void dp_session_unlink(struct dp *dp, struct dp_session *s);
int dp_session_start(struct dp *dp, struct dp_session *s, struct nq_conn_params *p,
		     const struct nqd_secrets *secrets);
void dp_session_free(struct dp *dp, struct dp_session *s);
void dp_mark_dirty(struct dp *dp, struct dp_session *s);
void dp_run_dirty(struct dp *dp);
void dp_cid_free(struct dp *dp, struct dp_cid *c);
int dp_cid_add(struct dp *dp, struct dp_session *s, const struct nq_cid *cid);
/*
 * Whose the @len bytes behind a short header's first are. Of several short IDs that fit: the one of
 * the session that talks with @from, else the longest.
 */
struct dp_session *dp_cid_find(struct dp *dp, const struct nqd_socket *sock, const u8 *id, u32 len,
			       const union nqd_addr *from);
int dp_session_next_keys(struct dp_session *s);
struct dp_session *dp_route_dst(const struct dp_device *dev, const u8 *pkt);
struct dp_session *dp_route_src(const struct dp_device *dev, const u8 *pkt);
/* NQ_EV_CID_RETIRED and NQ_EV_CID_WANTED. */
void dp_session_cids(struct dp *dp, struct dp_session *s);

/* reset.c */
int dp_reset_init(struct dp *dp);
/* The session's active remote connection ID may be another now. */
void dp_reset_update(struct dp *dp, struct dp_session *s);
void dp_reset_forget(struct dp_session *s);
/* A short-header datagram that is nobody's: true if it has ended a session. */
bool dp_reset_received(struct dp *dp, const union nqd_addr *from, const u8 *data, u32 len);

/* replace.c */
extern const struct nqd_line_ops dp_line_ops;
/* It sends from now on, and what it claims is its own. */
void dp_session_begin(struct dp_session *s);

static inline struct dp_session *dp_session_of(struct nqd_line *l)
{
	return (struct dp_session *)((char *)l - offsetof(struct dp_session, line));
}

/* Whose is what still comes on @s, which was replaced? NULL: nobody's any more. */
static inline struct dp_session *dp_heir(const struct dp_session *s)
{
	return s->line.heir ? dp_session_of(s->line.heir) : NULL;
}

static inline struct nqd_account dp_account_of(struct dp_session *s)
{
	return (struct nqd_account){ &s->line, s->conn, &s->counters, &s->path_mtu };
}

/* ring.c */
void dp_ring_grow(struct dp *dp, struct dp_session *s, u32 packets);
void dp_ring_free(struct dp *dp, struct dp_session *s);

/* tx-read.c */
void dp_tx_readable(struct dp *dp, struct dp_queue *q);
/*
 * Read what the stack has said to what was just written to it, TCP's acknowledgements above all: then
 * that and the session's own acknowledgements leave in one burst instead of two.
 */
void dp_tx_answers(struct dp *dp);

/* tx.c */
/* Send what may leave now; if more may than one session's turn, its retry_us is now. */
void dp_tx_flush(struct dp *dp, struct dp_session *s);
void dp_tx_drop_queue(struct dp *dp, struct dp_session *s);

/* rx.c */
int dp_rx_init(void);
void dp_rx_socket(struct dp *dp, struct nqd_socket *sock);
void dp_rx_punted(struct dp *dp, const struct hs_punt_hdr *hdr, u8 *data, u32 len);
/* One inner packet from before the session was installed. */
void dp_rx_inner(struct dp *dp, struct dp_session *s, u8 *pkt, u32 len);

/* udp.c */
struct nqd_socket *dp_socket_get(struct dp *dp, int fd, int *err); /* consumes fd */
void dp_socket_put(struct dp *dp, struct nqd_socket *sock);
/* The same while epoll events are worked off: a socket without users goes at the round's end. */
void dp_socket_put_later(struct dp *dp, struct nqd_socket *sock);
void dp_sockets_reap(struct dp *dp);
/* @s has something to do as soon as @sock, which is full, takes data again: then it is marked. */
void dp_socket_wait(struct dp_session *s, struct nqd_socket *sock);
void dp_socket_wait_no_more(struct dp_session *s);
/* Send a sealed burst; consumes it. -EMSGSIZE: the path takes no such packets. */
int dp_udp_send(struct dp *dp, struct nqd_path *path, struct dp_out *out);

/* punt.c */
void dp_punt_to_hsd(struct dp *dp, const struct nqd_socket *sock, const union nqd_addr *from,
		    const union nqd_addr *local, u8 ecn, u16 flags, const u8 *data, u32 len);

/* timer.c */
void dp_timer_set(struct dp *dp, struct dp_session *s, u64 at_us);
/* The session whose timer is due, taken off; NULL if none. */
struct dp_session *dp_timer_due(struct dp *dp, u64 now_us);
u64 dp_timer_next(const struct dp *dp);

/* pool.c. dp_pool_init() touches what it begins with, see dp_store_init(); 0 or -ENOMEM. */
int dp_pool_init(struct dp *dp);
struct dp_out *dp_out_get(struct dp *dp);
void dp_out_put(struct dp *dp, struct dp_out *out);
void dp_pool_fini(struct dp *dp);

#endif /* DP_H */
