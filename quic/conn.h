/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection's memory, and what its files call of each other. Nothing outside quic/ (and its
 * tests) includes this.
 *
 * One block holds struct nq_conn, the ring of sent packets and behind it what the congestion
 * controller needs beside struct nq_cc, the buffer of frames to be sent, then the key contexts. The
 * ring may stand elsewhere, and does when it grew (ring.c); so does the room for punted frames. A
 * packet number's record stands at ring[pn & ring_mask] and stays until the number that is
 * ring_packets higher takes its place.
 */
#ifndef NQ_CONN_H
#define NQ_CONN_H

#include "nq.h"
#include "congestion.h"
#include "frame.h"
#include "pacer.h"
#include "pn.h"
#include "ranges.h"
#include "window.h"

#define NQ_OUT_BYTES 256
/* RFC 9000 5.1.2: at least twice the IDs that may be active. */
#define NQ_RETIRE_MAX (2 * NQ_CIDS_MAX)
/* PATH_CHALLENGEs of the peer that wait for their answer; RFC 9000 8.2: tries of our own. */
#define NQ_RESPONSES_MAX 4
#define NQ_PATH_TRIES 3
/* Not a number of a path, and nothing a packet may carry. */
#define NQ_PATH_NONE 0xfd
/* With less credit towards an address that is not validated, nothing is sent there. */
#define NQ_PATH_ROOM_MIN 128
#define NQ_PACKET_THRESHOLD 3
#define NQ_PACKET_THRESHOLD_MAX 64
#define NQ_GRANULARITY_US 1000
/* RFC 9000 13.2.2 */
#define NQ_ACK_EVERY 2
#define NQ_DEFAULT_RTT_US 333000
/* The probe timeout is not backed off beyond this, unless it starts there. */
#define NQ_PTO_BACKOFF_US 1000000
/* No sample counts for more: four and more of them fit 32 bits. */
#define NQ_RTT_MAX_US 60000000
/* The peer is silent after three PTOs with backoff, but a path has some time to recover. */
#define NQ_SILENT_PTOS (1 + 2 + 4)
#define NQ_SILENT_US 500000

/* ---- a sent packet ---- */

enum nq_sent_state {
	NQ_SENT_UNUSED, /* reserved or skipped: no packet of this number left */
	NQ_SENT_OUT,
	NQ_SENT_ACKED,
	NQ_SENT_LOST,
};

enum nq_sent_flag {
	NQ_SENT_ELICITING = 1 << 0, /* asks for an ACK, counts as in flight */
	NQ_SENT_DATAGRAM = 1 << 1,
	NQ_SENT_HAS_ACK = 1 << 2, /* @mark: low 32 bits of the largest number it acknowledges */
	NQ_SENT_ECT0 = 1 << 3,
	NQ_SENT_RELIABLE = 1 << 4, /* carries frames that must be sent again if it is lost */
	NQ_SENT_SAMPLED = 1 << 5, /* @mark: the point of the delivery rate it was sent at */
	NQ_SENT_MTU_PROBE = 1 << 6, /* its loss is no sign of congestion */
};

struct nq_sent {
	u64 time_us;
	/*
	 * While out: see NQ_SENT_HAS_ACK and _SAMPLED, which exclude each other. Once acknowledged:
	 * how many records down from here are acknowledged too, so that the next ACK of the same
	 * range steps over all of them at once.
	 */
	u32 mark;
	u16 bytes;
	u8 state;
	u8 flags;
};

/* ---- parts of a connection ---- */

struct nq_rtt {
	u32 latest_us, srtt_us, rttvar_us, min_us;
	u64 first_sample_us;
	u32 initial_us; /* what is assumed without a sample */
	bool has_sample;
};

struct nq_loss {
	u64 base_pn; /* nothing below it is outstanding */
	u64 known_pn; /* the ring's place of every number below it was given to a later one */
	u64 largest_acked;
	u64 bytes_in_flight;
	u64 in_use_pn; /* packets below it were sent while the window was full */
	u64 loss_time_us; /* when the oldest becomes lost by time */
	u64 last_eliciting_us;
	u64 run_start_us; /* first of the losses with no acknowledged packet between */
	u32 out_packets;
	u32 packet_threshold;
	u32 pto_count;
	u32 probes;
	bool has_largest_acked;
	bool in_run;
	bool tx_limited; /* the caller could not send all it had, when it last tried */
};

enum nq_ecn_state {
	NQ_ECN_OFF,
	NQ_ECN_TESTING, /* marking, no verdict yet */
	NQ_ECN_CAPABLE,
	NQ_ECN_FAILED,
};

struct nq_ecn {
	u64 sent_ect0; /* packets */
	u64 peer_ect0, peer_ce; /* as last reported */
	u64 rx_counts[3]; /* ECT(0), ECT(1), CE: the order of the ACK frame */
	u32 testing_lost;
	u8 state;
};

struct nq_ack {
	struct nq_ranges ranges;
	struct nq_window window;
	u64 largest_us; /* when the largest number came */
	u64 deadline_us;
	u64 span_us; /* begin of the round trip in which packets are counted */
	u32 span_packets;
	u32 run; /* packets in order without a gap or a mark, as far as it matters */
	u32 every; /* this many that ask for an ACK get one */
	u32 quick; /* packets for which every second gets one */
	u32 eliciting; /* since the last ACK */
	u32 lonely; /* ACK-only packets in a row */
	bool now;
};

struct nq_keyset {
	struct nq_keys tx, tx_next, rx_prev, rx, rx_next;
	void *tx_hp, *rx_hp;
	u64 tx_first_pn; /* of this phase */
	u64 rx_first_pn; /* lowest received in this phase */
	u64 tx_sealed; /* with the present keys */
	u64 failed_opens; /* with any keys */
	u64 drop_prev_us; /* when the previous receive keys go */
	u32 rotations; /* of these keys, from one phase to the next */
	u16 cipher;
	u8 phase;
	bool rx_seen; /* a packet of this phase was received */
	bool rx_acked; /* and acknowledged: the peer may update again */
	bool wanted; /* NQ_EV_KEY_UPDATE_NEEDED was raised in this phase */
};

enum nq_frame_fate {
	NQ_FATE_NONE,
	NQ_FATE_WANTED,
	NQ_FATE_SENT,
};

/* A frame that is repeated until it is acknowledged. */
struct nq_pending {
	u64 seq;
	u64 pn : 62; /* of the packet that carries it */
	u64 fate : 2; /* enum nq_frame_fate */
};

enum nq_local_state {
	NQ_LOCAL_FREE,
	NQ_LOCAL_USED,
	NQ_LOCAL_RETIRED, /* by the peer: kept until the owner has taken notice */
};

struct nq_local_cid {
	struct nq_cid cid;
	u64 pn : 62; /* of the packet that carries its NEW_CONNECTION_ID */
	u64 fate : 2; /* of that frame, enum nq_frame_fate */
};

struct nq_cids {
	struct nq_cid remote[NQ_CIDS_MAX]; /* [0] is the active path's */
	u8 remote_paths[NQ_CIDS_MAX]; /* bit n: path n sends with it; 0: never used */
	struct nq_local_cid local[NQ_CIDS_MAX];
	u8 local_state[NQ_CIDS_MAX]; /* enum nq_local_state */
	struct nq_pending retire[NQ_RETIRE_MAX];
	u64 retire_prior_to; /* highest the peer asked for */
	u64 seen_end, seen; /* numbers that came: the end, and of the last 64 below it a bit each */
	u64 next_local_seq;
	u32 n_remote;
	u32 peer_limit;
	u32 n_wanted; /* frames that wait to be written */
	u8 local_len;
};

/* ---- paths ---- */

struct nq_path {
	u64 next_us; /* validation: when the next challenge is due */
	u64 end_us; /* and when it has failed */
	u64 sent_us; /* and when the latest challenge left */
	u64 release_us; /* NQ_TIME_NEVER, or when a path left behind is given up */
	u32 credit_bytes; /* may still be sent to an address that is not validated */
	u32 validation; /* its number: what the challenges are made from */
	u32 host; /* equal: the IP addresses are */
	u32 rtt_us; /* of the challenge that was answered, 0 = not known */
	u16 mtu; /* largest packet known to pass, 0 = none */
	u8 tries;
	u8 local; /* which of our IDs the peer sends to, or NQ_LOCAL_UNKNOWN */
	bool used : 1;
	bool valid : 1; /* the peer's address is its own */
	bool validating : 1;
	bool challenge_wanted : 1;
	bool small : 1; /* a challenge left unpadded, for want of credit */
};

struct nq_response {
	u8 path;
	u8 data[NQ_PATH_DATA_LEN];
};

struct nq_paths {
	struct nq_path p[NQ_PATHS_MAX];
	u64 secret[2];
	u32 validations; /* begun so far */
	u32 hosts;
	u8 active;
	u8 quiet; /* packets from this path need no look; NQ_PATH_NONE: all do */
	/* Where to return if the active path fails its validation; congestion, RTT and ECN state
	 * of the connection are this path's.
	 */
	u8 last_valid;
	u8 migrating; /* a client's next path, or NQ_PATH_NONE */
	u8 n_responses;
	u8 others; /* paths in use besides the active one */
	bool follow; /* a server that follows the peer's address */
	struct nq_response responses[NQ_RESPONSES_MAX];
};

/* ---- packet size ---- */

struct nq_pmtud {
	u64 raise_us; /* when larger sizes are tried again */
	u64 full_acked_pn; /* highest full packet that was acknowledged */
	u32 limit; /* what route and peer take */
	u32 low, high; /* known to pass; known not to, or limit + 1 */
	u32 size; /* being probed, 0 = none */
	u16 full; /* from this size on a packet tells about path_mtu */
	u8 full_lost; /* such packets lost in a row */
	u8 tries; /* probes of this size that were lost */
	bool wanted; /* one may leave now */
};

enum nq_conn_state {
	NQ_ACTIVE,
	NQ_CLOSING,
	NQ_DRAINING,
	NQ_GONE,
};

struct nq_conn {
	const struct nq_crypto_ops *crypto;
	struct nq_sent *ring;
	u64 next_pn, first_pn, skip_pn;
	u64 reserved_pn;
	u64 reserved_bytes;
	u32 ring_mask;
	u32 reserved_n;
	u32 hdr_len;
	u32 events;
	u8 state;
	bool is_server;
	bool ping_wanted;
	bool idle_restarted; /* an ack-eliciting packet was sent since the last receipt */
	bool close_wanted;
	u8 ack_delay_exponent, peer_ack_delay_exponent;
	u8 prefix_len;

	struct nq_keyset keys;
	struct nq_rtt rtt;
	struct nq_loss loss;
	struct nq_cc cc;
	struct nq_pacer pacer;
	struct nq_ecn ecn;
	struct nq_ack ack;
	struct nq_cids cids;
	struct nq_paths paths;
	struct nq_pmtud pmtud;

	u32 path_mtu, peer_max_udp, peer_max_datagram;
	u32 max_ack_delay_us, peer_max_ack_delay_us;
	u8 prefix[NQ_PREFIX_MAX_LEN];
	u32 punt_len;

	u64 idle_from_us, idle_us, keepalive_us;
	u64 silent_from_us; /* idle_from_us of which NQ_EV_SILENT was raised */
	u64 close_end_us, close_again_us;
	u64 close_rx,
		close_rx_next; /* packets received while closing: when the close is repeated */
	struct nq_close_info close;

	u64 out_pn; /* of the packet that carries out[0..out_sent) */
	u32 out_len, out_sent;
	u8 *punt; /* NQ_PUNT_BYTES of the owner's, or NULL */
	u8 *out; /* NQ_OUT_BYTES */
	struct nq_counters stats;
};

static inline struct nq_sent *nq_sent_at(struct nq_conn *c, u64 pn)
{
	return &c->ring[pn & c->ring_mask];
}

/* Packets of the burst between reserve and commit are not out yet: bookkeeping ends before them. */
static inline u64 nq_settled_end(const struct nq_conn *c)
{
	return c->reserved_n ? c->reserved_pn : c->next_pn;
}

/* The largest packet that may leave. */
static inline u32 nq_packet_max(const struct nq_conn *c)
{
	return c->path_mtu < c->peer_max_udp ? c->path_mtu : c->peer_max_udp;
}

/* ---- recovery.c ---- */
/* Returns the sample without what of the delay may be taken off it. */
u32 nq_rtt_update(struct nq_rtt *r, u32 latest_us, u32 ack_delay_us, u64 now_us);
u64 nq_loss_timeout_us(const struct nq_conn *c);
void nq_loss_on_timeout(struct nq_conn *c, u64 now_us);
/* 0, or -EPROTO if the peer acknowledges what was never sent. */
int nq_loss_on_ack(struct nq_conn *c, const struct nq_ack_frame *a, u64 now_us);
/* Record a packet as sent. */
void nq_loss_on_sent(struct nq_conn *c, u64 pn, u32 bytes, u8 flags, u32 mark, u64 now_us);
/* Called before the ring is full: there is room for a burst afterwards. */
void nq_loss_make_room(struct nq_conn *c, u64 now_us);
void nq_update_pacing(struct nq_conn *c, u64 now_us);
/* The path is another: nothing that is out tells about it, nothing learnt holds. */
void nq_loss_on_new_path(struct nq_conn *c, u32 initial_rtt_us, u64 now_us);

/* ---- ecn.c ---- */
/* Judge the counts of an ACK that newly acknowledged @newly_ect0 marked packets; true: new CE. */
bool nq_ecn_on_ack(struct nq_conn *c, const struct nq_ack_frame *a, u64 newly_ect0);
void nq_ecn_on_lost(struct nq_ecn *e);
/* Another path: whether it leaves the field alone is open again. */
void nq_ecn_restart(struct nq_ecn *e);

/* ---- ack.c ---- */
struct nq_rx_meta {
	u64 pn;
	u8 ecn;
	bool eliciting;
};

void nq_ack_on_received(struct nq_conn *c, const struct nq_rx_meta *m, u64 now_us);
bool nq_ack_due(const struct nq_conn *c, u64 now_us);
/* Write the ACK frame; returns its bytes, 0 if it does not fit or there is nothing to report. */
u32 nq_ack_write(struct nq_conn *c, u8 *p, u32 cap, u64 now_us);
void nq_ack_on_sent(struct nq_conn *c);
/* The peer acknowledged a packet that reported numbers up to one that ends in @mark. */
void nq_ack_on_acked(struct nq_conn *c, u32 mark);
/* Should an ACK-only packet carry a PING, so that the peer confirms and ranges can be forgotten? */
bool nq_ack_lonely(const struct nq_conn *c);

/* ---- keys.c ---- */
u64 nq_keys_bytes(const struct nq_crypto_ops *crypto);
int nq_keys_init(struct nq_conn *c, const struct nq_conn_params *p, u8 *mem);
void nq_keys_wipe(struct nq_conn *c);
/* Which key opens a packet of number @pn. */
static inline enum nq_rx_key nq_keys_select(const struct nq_opener *o, bool phase_bit, u64 pn)
{
	if (likely(phase_bit == o->phase))
		return NQ_RX_KEY_CURRENT;
	if (o->keys[NQ_RX_KEY_PREVIOUS]->valid && (!o->seen || pn < o->first_pn))
		return NQ_RX_KEY_PREVIOUS;
	return NQ_RX_KEY_NEXT;
}

/* What @key of @o is now; NQ_RX_KEYS: it is gone. */
static inline enum nq_rx_key nq_keys_now(const struct nq_conn *c, const struct nq_opener *o,
					 enum nq_rx_key key)
{
	u32 since = c->keys.rotations - o->rotations;

	if (likely(!since))
		return key;
	return since <= key ? key - since : NQ_RX_KEYS;
}

/* A packet of the next phase opened: the peer began a key update. False: too soon, the connection
 * is closed.
 */
bool nq_keys_follow(struct nq_conn *c, u64 now_us);
void nq_keys_on_ack_sent(struct nq_conn *c);
/* A packet opened with the current keys. */
void nq_keys_on_opened(struct nq_conn *c, u64 pn, u64 now_us);
void nq_keys_on_failed(struct nq_conn *c, u64 now_us);
/* May @n more packets be sealed? Starts an update in good time. */
bool nq_keys_allow(struct nq_conn *c, unsigned int n, u64 now_us);
/* The same for a packet of the engine's own. At the limit the connection ends (RFC 9001 6.6). */
void nq_keys_before_control(struct nq_conn *c, u64 now_us);
u64 nq_keys_timeout_us(const struct nq_conn *c);
void nq_keys_on_timeout(struct nq_conn *c, u64 now_us);
void nq_nonce(u8 *nonce, const u8 *iv, u64 pn);

/* ---- cid.c ---- */
int nq_cids_init(struct nq_conn *c, const struct nq_conn_params *p);
/* 0, or a transport error code. */
u64 nq_cid_on_new(struct nq_conn *c, const struct nq_frame *f);
u64 nq_cid_on_retire(struct nq_conn *c, u64 seq, const u8 *dcid);
static inline bool nq_cid_wanted(const struct nq_conn *c)
{
	return c->cids.n_wanted;
}

/* Write the frames that are wanted; they belong to packet @pn from then on. */
u32 nq_cid_write(struct nq_conn *c, u8 *p, u32 cap, u64 pn);
void nq_cid_on_acked(struct nq_conn *c, u64 pn);
void nq_cid_on_lost(struct nq_conn *c, u64 pn);
/* The peer's ID that @path sends with, NULL if it has none. */
const struct nq_cid *nq_cid_of_path(const struct nq_conn *c, u8 path);
/* Give @path an ID that no path has sent with. False: there is none. */
bool nq_cid_take(struct nq_conn *c, u8 path);
/* @path sends with the ID of @other. */
void nq_cid_share(struct nq_conn *c, u8 path, u8 other);
/* @path sends no more: an ID that was only its own is retired. */
void nq_cid_release(struct nq_conn *c, u8 path);
/* @path, which has an ID, is now the active one. */
void nq_cid_set_active(struct nq_conn *c, u8 path);
/* Which of our IDs @dcid is. */
#define NQ_LOCAL_UNKNOWN 0xff
u8 nq_cid_local(const struct nq_conn *c, const u8 *dcid);

/* ---- path.c ---- */
void nq_paths_init(struct nq_conn *c, const struct nq_conn_params *p);
/*
 * A packet opened that came from @pkt->path, not the quiet one: count it, and give a new tuple a
 * slot. False: such a packet is not accepted.
 */
bool nq_path_enter(struct nq_conn *c, struct nq_rx_pkt *pkt, const u8 *dcid, u64 now_us);
/* Its frames are worked off. @moved: more than probing frames, under the highest number so far. */
void nq_path_settle(struct nq_conn *c, u8 path, bool moved, u64 now_us);
void nq_path_on_challenge(struct nq_conn *c, u8 path, const u8 *data);
void nq_path_on_response(struct nq_conn *c, const u8 *data, u64 now_us);
/* New IDs of the peer may be what a path waited for. */
void nq_path_on_cids(struct nq_conn *c);
/* The peer retired our ID @local. */
void nq_path_on_local_retired(struct nq_conn *c, u8 local);
/* Bytes that may be sent to @path now (RFC 9000 8.1). */
u64 nq_path_room(const struct nq_conn *c, u8 path);
/* Has @path PATH_* frames to send? */
bool nq_path_wanted(const struct nq_conn *c, u8 path);
/* A challenge, which waits for no congestion window? */
static inline bool nq_path_challenges(const struct nq_conn *c, u8 path)
{
	return c->paths.p[path].challenge_wanted;
}
/* Write them; @padded tells whether the datagram will be full-sized. */
u32 nq_path_write(struct nq_conn *c, u8 path, u8 *at, u32 cap, bool padded, u64 now_us);
void nq_path_on_sent(struct nq_conn *c, u8 path, u32 bytes);
u64 nq_path_timeout_us(const struct nq_conn *c);
void nq_path_on_timeout(struct nq_conn *c, u64 now_us);

/* ---- pmtud.c ---- */
/* Begin with @mtu bytes, the most that route and path take, and ask whether they pass. */
void nq_mtu_start(struct nq_conn *c, u32 mtu);
/* The same on another path, of which @known bytes are known to pass (0: none). */
void nq_mtu_on_new_path(struct nq_conn *c, u32 known);
/* What @old has found out about the same path. */
void nq_mtu_continue(struct nq_conn *c, const struct nq_conn *old, u64 now_us);
/* Size of the probe that waits to be sent, 0 if none does. */
u32 nq_mtu_probe_bytes(const struct nq_conn *c);
void nq_mtu_on_sent(struct nq_conn *c);
/* A probe of @bytes was acknowledged or lost. */
void nq_mtu_on_acked(struct nq_conn *c, u32 bytes, u64 now_us);
void nq_mtu_on_lost(struct nq_conn *c, u32 bytes, u64 now_us);
/* The same of another packet, of pmtud.full bytes or more. */
void nq_mtu_on_full_acked(struct nq_conn *c, u64 pn);
void nq_mtu_on_full_lost(struct nq_conn *c, u64 pn);
void nq_mtu_on_pto(struct nq_conn *c);
void nq_mtu_on_timeout(struct nq_conn *c, u64 now_us);

/* ---- control.c ---- */
void nq_out_on_acked(struct nq_conn *c, u64 pn);
void nq_out_on_lost(struct nq_conn *c, u64 pn);
/* When a frame that waits for the pacer may leave. */
u64 nq_control_timeout_us(const struct nq_conn *c);

/* ---- close.c ---- */
void nq_conn_error(struct nq_conn *c, enum nq_close_cause cause, u64 code, const char *reason,
		   u64 now_us);
void nq_close_on_peer(struct nq_conn *c, const struct nq_frame *f, u64 now_us);
void nq_close_idle(struct nq_conn *c);
/* Datagrams that come while closing. */
void nq_close_on_received(struct nq_conn *c, unsigned int n);

/* ---- tx.c ---- */
/* The next packet number, one now and then left out (RFC 9000 21.4). */
u64 nq_next_pn(struct nq_conn *c, u64 now_us);
int nq_seal_at(struct nq_conn *c, const struct nq_cid *dcid, u64 first_pn, struct nq_tx_pkt *pkts,
	       unsigned int n);
bool nq_ring_has_room(const struct nq_conn *c, unsigned int n);
/* Take all numbers below @end, and their places in the ring. */
void nq_take_numbers(struct nq_conn *c, u64 end);

/* ---- rxframe.c ---- */
/* Act on the frames of an opened packet. 0, or a transport error code. */
struct nq_rx_sink {
	struct nq_rx_datagram *datagrams;
	unsigned int cap, n;
	unsigned int pkt;
	const u8 *dcid;
	u32 responses; /* PATH_RESPONSEs of the packet so far */
	u8 path;
	bool eliciting;
	bool non_probing; /* more than the probing frames of RFC 9000 9.1 */
	bool unreportable; /* a frame found no room: the packet must not be acknowledged */
};

u64 nq_rx_frames(struct nq_conn *c, u8 *p, u8 *end, struct nq_rx_sink *sink, u64 now_us);

#endif /* NQ_CONN_H */
