/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection's memory, and what its files call of each other. Nothing outside quic/ (and its
 * tests) includes this.
 *
 * One block holds it all: struct nq_conn, the ring of sent packets, the buffers of punted frames
 * and of those to be sent, then the key contexts; only a ring that grew stands elsewhere (ring.c). A packet number's record
 * stands at ring[pn & ring_mask] and stays until the number that is ring_packets higher takes its
 * place.
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

/* A frame that fills a packet must fit, or it could never be taken. */
#define NQ_PUNT_BYTES 2048
#define NQ_OUT_BYTES 256
/* RFC 9000 5.1.2: at least twice the IDs that may be active. */
#define NQ_RETIRE_MAX (2 * NQ_CIDS_MAX)
#define NQ_PATH_MAX 4
#define NQ_PACKET_THRESHOLD 3
#define NQ_PACKET_THRESHOLD_MAX 64
#define NQ_GRANULARITY_US 1000
#define NQ_DEFAULT_RTT_US 333000
/* No sample counts for more: four and more of them fit 32 bits. */
#define NQ_RTT_MAX_US 60000000

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
};

struct nq_sent {
	u64 time_us;
	/*
	 * While out: see NQ_SENT_HAS_ACK. Once acknowledged: how many records down from here are
	 * acknowledged too, so that the next ACK of the same range steps over all of them at once.
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
	u32 eliciting; /* since the last ACK */
	u32 lonely; /* ACK-only packets in a row */
	bool now;
};

struct nq_keys {
	void *ctx;
	u8 iv[NQ_IV_LEN];
	bool valid;
};

struct nq_keyset {
	struct nq_keys tx, tx_next, rx_prev, rx, rx_next;
	void *tx_hp, *rx_hp;
	u64 tx_first_pn; /* of this phase */
	u64 rx_first_pn; /* lowest received in this phase */
	u64 tx_sealed; /* with the present keys */
	u64 failed_opens; /* with any keys */
	u64 drop_prev_us; /* when the previous receive keys go */
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
	u64 pn; /* of the packet that carries it */
	u8 fate;
};

struct nq_local_cid {
	struct nq_cid cid;
	u64 pn;
	u8 fate; /* of its NEW_CONNECTION_ID */
	bool used;
	bool retired; /* by the peer: kept until the owner has taken notice */
};

struct nq_cids {
	struct nq_cid remote[NQ_CIDS_MAX]; /* [0] is in use */
	struct nq_local_cid local[NQ_CIDS_MAX];
	struct nq_pending retire[NQ_RETIRE_MAX];
	u64 retire_prior_to; /* highest the peer asked for */
	u64 next_local_seq;
	u32 n_remote;
	u32 peer_limit;
	u8 local_len;
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

	struct nq_keyset keys;
	struct nq_rtt rtt;
	struct nq_loss loss;
	struct nq_cc cc;
	struct nq_pacer pacer;
	struct nq_ecn ecn;
	struct nq_ack ack;
	struct nq_cids cids;

	u32 path_mtu, peer_max_udp, peer_max_datagram;
	u32 max_ack_delay_us, peer_max_ack_delay_us;
	u8 ack_delay_exponent, peer_ack_delay_exponent;
	u8 prefix_len;
	u8 n_path;
	u8 prefix[NQ_PREFIX_MAX_LEN];
	u8 path_data[NQ_PATH_MAX][NQ_PATH_DATA_LEN];

	u64 idle_from_us, idle_us, keepalive_us;
	u64 close_end_us;
	u64 close_rx,
		close_rx_next; /* packets received while closing: when the close is repeated */
	bool close_wanted;
	struct nq_close_info close;

	u64 out_pn; /* of the packet that carries out[0..out_sent) */
	u32 out_len, out_sent;
	u32 punt_len;
	u8 *punt; /* NQ_PUNT_BYTES behind the ring */
	u8 *out; /* NQ_OUT_BYTES behind it */
	struct nq_stats stats;
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

static inline u64 nq_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 nq_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* ---- recovery.c ---- */
void nq_rtt_update(struct nq_rtt *r, u32 latest_us, u32 ack_delay_us, u64 now_us);
u64 nq_pto_us(const struct nq_conn *c);
u64 nq_loss_timeout_us(const struct nq_conn *c);
void nq_loss_on_timeout(struct nq_conn *c, u64 now_us);
/* 0, or -EPROTO if the peer acknowledges what was never sent. */
int nq_loss_on_ack(struct nq_conn *c, const struct nq_ack_frame *a, u64 now_us);
/* Record a packet as sent. */
void nq_loss_on_sent(struct nq_conn *c, u64 pn, u32 bytes, u8 flags, u32 mark, u64 now_us);
/* Called before the ring is full: there is room for a burst afterwards. */
void nq_loss_make_room(struct nq_conn *c, u64 now_us);
void nq_update_pacing(struct nq_conn *c, u64 now_us);

/* ---- ecn.c ---- */
/* Judge the counts of an ACK that newly acknowledged @newly_ect0 marked packets; true: new CE. */
bool nq_ecn_on_ack(struct nq_conn *c, const struct nq_ack_frame *a, u64 newly_ect0);
void nq_ecn_on_lost(struct nq_ecn *e);

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
enum nq_rx_key {
	NQ_RX_KEY_CURRENT,
	NQ_RX_KEY_PREVIOUS,
	NQ_RX_KEY_NEXT,
};

u64 nq_keys_bytes(const struct nq_crypto_ops *crypto);
int nq_keys_init(struct nq_conn *c, const struct nq_conn_params *p, u8 *mem);
void nq_keys_wipe(struct nq_conn *c);
enum nq_rx_key nq_keys_select(const struct nq_conn *c, bool phase_bit, u64 pn);
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
bool nq_cid_wanted(const struct nq_conn *c);
/* Write the frames that are wanted; they belong to packet @pn from then on. */
u32 nq_cid_write(struct nq_conn *c, u8 *p, u32 cap, u64 pn);
void nq_cid_on_acked(struct nq_conn *c, u64 pn);
void nq_cid_on_lost(struct nq_conn *c, u64 pn);

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
int nq_seal_at(struct nq_conn *c, u64 first_pn, struct nq_tx_pkt *pkts, unsigned int n);
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
	bool eliciting;
	bool unreportable; /* a frame found no room: the packet must not be acknowledged */
};

u64 nq_rx_frames(struct nq_conn *c, u8 *p, u8 *end, struct nq_rx_sink *sink, u64 now_us);

#endif /* NQ_CONN_H */
