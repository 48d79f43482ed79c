/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The QUIC 1-RTT engine (RFC 9000, 9001, 9002, 9221): what a data plane calls.
 *
 * It promises: no packet leaves beyond what congestion control and pacing allow (packets that RFC
 * 9002 exempts: probes, ACK-only, close); a packet number is never used twice; a packet is never
 * delivered twice; DATAGRAM payload is never retransmitted; every input byte is length-checked. It
 * does not allocate, lock, sleep, do I/O or read a clock: memory and time (@now_us, monotonic
 * microseconds) are arguments. One connection is used by one thread at a time; the caller sees to
 * it.
 *
 * A burst out:  n = nq_tx_reserve() -> lay the frames behind hdr_len in each buffer -> nq_tx_seal()
 *               -> nq_tx_control() for what the engine itself has to say -> send -> nq_tx_commit().
 * A burst in:   nq_rx_open() -> datagrams point into the buffers that were given.
 * Both are cut where ciphers work, which need not keep others from the connection: nq_tx_take() ->
 * commit -> nq_seal() out, nq_rx_lend() -> nq_open() -> nq_rx_accept() in. nq_seal() and nq_open()
 * touch no connection.
 * Time:         nq_next_timeout_us() / nq_on_timeout(); after any call check nq_tx_control_wanted()
 *               and nq_take_events().
 *
 * Paths: a path is a pair of addresses. The engine knows paths by number, the caller keeps the
 * addresses of each number. Path 0 is what the connection starts on; nq_active_path() is where
 * bursts go. A packet from a known pair carries its number, one from an unknown pair NQ_PATH_NEW:
 * once it has opened, the engine names the number that the pair has from then on.
 */
#ifndef NQ_H
#define NQ_H

#include "nq_types.h"
#include "nq_crypto.h"

#define NQ_CID_MAX_LEN		20
#define NQ_RESET_TOKEN_LEN	16
#define NQ_PREFIX_MAX_LEN	16
#define NQ_CIDS_MAX		8
/* Packet numbers in short headers of our bursts always take 4 bytes: equal sizes for GSO. */
#define NQ_PN_LEN		4
#define NQ_MIN_UDP_PAYLOAD	1200
#define NQ_TIME_NEVER		(~(u64)0)
/* 100 GB/s: keeps rate * time within 64 bits. */
#define NQ_RATE_MAX_BYTES_PER_S	100000000000ULL
#define NQ_PATHS_MAX		4
/* Instead of a number: a pair of addresses that has none, or one that has none and differs from the
 * active path's only in the ports.
 */
#define NQ_PATH_NEW		0xff
#define NQ_PATH_NEW_PORT	0xfe
#define NQ_RING_MIN		512
#define NQ_RING_MAX		65536

struct nq_conn;

struct nq_cid {
	u64 seq;
	u8 len;
	u8 id[NQ_CID_MAX_LEN];
	bool has_token;
	u8 token[NQ_RESET_TOKEN_LEN];
};

struct nq_range {
	u64 first;
	u64 last;
};

struct nq_key_material {
	u8 key[NQ_KEY_MAX_LEN];
	u8 iv[NQ_IV_LEN];
};

/* Everything a session starts from; the caller keeps ownership and wipes the key members. */
struct nq_conn_params {
	const struct nq_crypto_ops *crypto;
	u16 cipher;
	bool is_server;
	u8 key_phase;			/* 0 or 1 */
	struct nq_key_material tx, rx;
	u8 tx_hp[NQ_KEY_MAX_LEN], rx_hp[NQ_KEY_MAX_LEN];
	bool has_next;			/* keys of the next phase are below */
	struct nq_key_material tx_next, rx_next;

	struct nq_cid local_cids[NQ_CIDS_MAX], remote_cids[NQ_CIDS_MAX];
	u32 n_local_cids, n_remote_cids; /* >= 1; remote_cids[0] is in use */
	u32 peer_active_cid_limit;

	u64 next_pn;
	bool has_largest_acked;
	u64 largest_acked;
	const struct nq_range *rx_ranges; /* descending */
	u32 n_rx_ranges;
	bool ack_pending;

	u32 max_idle_timeout_ms;	/* 0 = none */
	u32 keepalive_ms;		/* 0 = none */
	u8 peer_ack_delay_exponent;
	u32 peer_max_ack_delay_us;
	u32 peer_max_datagram_frame_bytes;
	u32 peer_max_udp_payload_bytes;
	u32 max_ack_delay_us;		/* ours, as advertised (25000 by default) */
	u8 ack_delay_exponent;		/* ours (3) */
	u32 srtt_us, rttvar_us, min_rtt_us; /* 0 = no sample */
	u32 path_mtu_bytes;		/* UDP payload: what the route takes */
	u8 prefix[NQ_PREFIX_MAX_LEN];	/* context prefix of every DATAGRAM payload */
	u8 prefix_len;
	const char *congestion;		/* "cubic" (default), "newreno", "bbr", "fixed_rate_test" */
	u64 fixed_rate_bytes_per_s;	/* of "fixed_rate_test" alone, and then not 0 */
	bool ecn;
	bool migration;			/* server: follow the peer to another address */
	u64 path_secret[2];		/* random; what PATH_CHALLENGEs are made from */
	u32 ring_packets;		/* in-flight ring, power of two, NQ_RING_MIN..NQ_RING_MAX */
	void *ring;			/* where: nq_first_ring_bytes(); NULL: with the connection */
};

/*
 * Bytes of a connection with these parameters, 64-byte aligned: with its key contexts, and with the
 * ring unless that is apart.
 */
size_t nq_conn_bytes(const struct nq_conn_params *p);
/* Of a ring that is apart, zeroed and 64-byte aligned, with what the controller needs for each. */
size_t nq_first_ring_bytes(const struct nq_conn_params *p);

/*
 * Build a connection in @mem (zeroed, nq_conn_bytes(), 64-byte aligned). Returns it or NULL with a
 * negative errno in *@err: -EINVAL (a parameter out of its range), -EOPNOTSUPP (cipher,
 * congestion).
 */
struct nq_conn *nq_conn_init(void *mem, const struct nq_conn_params *p, u64 now_us, int *err);

/*
 * The ring of sent packets bounds the window, so it may start small and grow. nq_ring_wanted(): the
 * number of packets of a ring that would let more leave than the present one; 0: it suffices.
 * nq_conn_grow(): use the ring of @packets in @mem (zeroed, nq_ring_bytes(), aligned for 64-bit
 * numbers) from now on: 0, or -EINVAL (not larger, no size of a ring, or a controller whose
 * memory is sized by the first ring). The caller may then free what it gave before, also the first
 * ring if that was apart.
 */
/* The ring a connection with that controller begins with. */
u32 nq_ring_first(const char *congestion);
u32 nq_ring_packets(const struct nq_conn *c);
u32 nq_ring_wanted(const struct nq_conn *c);
size_t nq_ring_bytes(u32 packets);
int nq_conn_grow(struct nq_conn *c, void *mem, u32 packets);

/* Wipe every secret; the memory may then be freed. */
void nq_conn_fini(struct nq_conn *c);

/* ---- sending ------------------------------------------------------------------------------- */

/* Why nq_tx_reserve() gave less than asked. */
enum nq_tx_limit {
	NQ_TX_FREE,
	NQ_TX_CWND,
	NQ_TX_PACED,		/* try again at nq_tx_burst.retry_us */
	NQ_TX_RING_FULL,
	NQ_TX_CLOSED,
	NQ_TX_KEYS,		/* confidentiality limit reached and no next keys */
	NQ_TX_PATH,		/* the peer's new address is not validated: three times what came */
};

struct nq_tx_burst {
	u64 first_pn;
	unsigned int n;		/* reserved */
	unsigned int used;	/* sealed so far */
	u32 hdr_len;		/* 1 + DCID + 4: where the first frame goes */
	enum nq_tx_limit limit;
	u64 retry_us;
};

/* @buf: the whole packet; frames stand from hdr_len to @len; NQ_TAG_LEN bytes of room behind. */
struct nq_tx_pkt {
	u8 *buf;
	u32 len;		/* in: header and frames; out: with the tag: bytes on the wire */
};

/* All overhead of one IP packet in a DATAGRAM. */
u32 nq_tx_overhead_bytes(const struct nq_conn *c);
/* Largest IP packet one QUIC packet carries now: the device's MTU. */
u32 nq_max_payload_bytes(const struct nq_conn *c);

/*
 * Reserve up to @n packets of at most @pkt_bytes on the wire each. Returns how many (also in
 * @b->n); with fewer than asked, @b->limit says why. A reservation must be committed before the
 * next one.
 */
unsigned int nq_tx_reserve(struct nq_conn *c, struct nq_tx_burst *b, unsigned int n, u32 pkt_bytes,
			   u64 now_us);

/* Write DATAGRAM type and context prefix at @at; returns the bytes written. The payload follows
 * and ends the packet (RFC 9221, type 0x30).
 */
u32 nq_tx_datagram_header(const struct nq_conn *c, u8 *at);

/* Seal the next @n packets of the burst in place: header, AEAD, header protection. 0 or -errno; on
 * error no packet of the burst may be sent and the burst must be committed with 0 sent. -EAGAIN:
 * the header changed its length since nq_tx_reserve(); -EMSGSIZE: more than path or peer take.
 */
int nq_tx_seal(struct nq_conn *c, struct nq_tx_burst *b, struct nq_tx_pkt *pkts, unsigned int n);

/* The key of one direction and phase. */
struct nq_keys {
	void *ctx;		/* of the provider */
	u8 iv[NQ_IV_LEN];
	bool valid;
};

/* Headers and keys of a burst: what nq_seal() needs. */
struct nq_sealer {
	const struct nq_crypto_ops *crypto;
	const struct nq_keys *keys;
	const struct nq_cid *dcid;
	void *hp;
	u64 first_pn;		/* of pkts[0] */
	bool phase;
	/* Of one that was taken: what the pointers point to. */
	struct nq_keys own_keys;
	struct nq_cid own_dcid;
};

/*
 * nq_tx_seal() in two parts, for a provider that lends its contexts. nq_tx_take() checks the first
 * @n packets of the burst, which count as sealed from then on (their len is with the tag), and
 * fills @sealer: the same errors, and -ENOTCONN if the connection has ended since nq_tx_reserve().
 * nq_seal() seals pkts[@from .. @from + @n) of them, several calls may do so at a time: 0 or
 * -errno, and then no packet of the burst may be sent and nq_tx_seal_failed() is to be told; to the
 * connection they are lost. nq_sealer_wipe() ends it.
 */
int nq_tx_take(struct nq_conn *c, struct nq_tx_burst *b, struct nq_tx_pkt *pkts, unsigned int n,
	       struct nq_sealer *sealer);
int nq_seal(const struct nq_sealer *sealer, const struct nq_tx_pkt *pkts, unsigned int from,
	    unsigned int n);
void nq_sealer_wipe(struct nq_sealer *sealer);
void nq_tx_seal_failed(struct nq_conn *c);

/* Account the burst: the first @n_sent sealed packets left. Packet numbers of the other sealed ones
 * stay unused for ever; those never sealed are given out again. Each sent packet carried one
 * DATAGRAM of an IP packet of pkt length - overhead.
 */
void nq_tx_commit(struct nq_conn *c, struct nq_tx_burst *b, const struct nq_tx_pkt *pkts,
		  unsigned int n_sent, u64 now_us);

/* Has the engine something to send on its own (ACK due, PTO probe, PING, PATH_*, CID, CLOSE)? */
bool nq_tx_control_wanted(const struct nq_conn *c, u64 now_us);

/*
 * Build and seal one such packet of at most @cap bytes (>= NQ_MIN_UDP_PAYLOAD) in @buf and account
 * it as sent. May be called while a burst is sealed but not yet committed, so that the packet can
 * ride behind the burst. Returns its bytes on the wire, 0 if there is nothing to say, or -errno.
 */
int nq_tx_control(struct nq_conn *c, u8 *buf, u32 cap, u64 now_us);

/*
 * The same for packets that must leave as datagrams of their own, unfragmented and without an ECN
 * mark: what is said on another path than the active one, and probes of the packet size, so @cap is
 * at least what nq_set_path_mtu() was told. *@path: where it goes. They are to be asked for before
 * every burst as well: data that always waits would leave a probe neither window nor credit of the
 * pacer, and a path that swallows full packets would be sent more of them for ever.
 */
bool nq_tx_alone_wanted(const struct nq_conn *c, u64 now_us);
int nq_tx_alone(struct nq_conn *c, u8 *buf, u32 cap, u64 now_us, u8 *path);

/* Does it want packets marked ECT(0) now (RFC 9000 13.4.2)? */
bool nq_tx_ecn(const struct nq_conn *c);

/* Queue whole frames (punt replies, at most 256 bytes) for the next control packet; they are
 * repeated until acknowledged. 0, -ENOBUFS (later), -EMSGSIZE, -EINVAL (not whole frames, or one
 * without a length).
 */
int nq_tx_queue_frames(struct nq_conn *c, const u8 *frames, u32 len);
/* The same with a DATAGRAM that holds the context prefix and no IP packet. */
int nq_tx_queue_empty_datagram(struct nq_conn *c);
/* Are queued frames still unacknowledged? */
bool nq_tx_frames_pending(const struct nq_conn *c);

/* ---- receiving ----------------------------------------------------------------------------- */

enum nq_rx_status {
	NQ_RX_OK,
	NQ_RX_TOO_SHORT,	/* cannot hold a sample, or not a short header */
	NQ_RX_BAD_HEADER,	/* fixed bit 0; or it opened, but has reserved bits set or a phase
				 * that may not follow yet: connection error */
	NQ_RX_DUPLICATE,
	NQ_RX_OLD,		/* older than the window can judge */
	NQ_RX_AEAD,		/* does not open: forged, corrupted, or a stateless reset */
	NQ_RX_FRAME,		/* opened, but a frame is malformed: connection error */
	NQ_RX_CLOSED,
	NQ_RX_PATH,		/* opened, but from addresses that are not followed: ignored */
};

struct nq_rx_pkt {
	u8 *data;		/* one QUIC packet, opened in place */
	u32 len;
	u8 ecn;			/* the two ECN bits of the outer IP header */
	u8 status;		/* out, enum nq_rx_status */
	u8 path;		/* in: number or NQ_PATH_NEW*; out: the number, if it was given one */
	u64 pn;			/* out */
};

/* One IP packet: points into the packet's buffer; the context prefix is taken off. */
struct nq_rx_datagram {
	u8 *data;
	u32 len;
	u32 pkt;		/* index into the pkts of the call */
};

/*
 * Open @n (<= NQ_BURST_MAX) packets that arrived for this connection and act on their frames.
 * Writes at most @cap (>= NQ_BURST_MAX) datagrams, sets *@n_datagrams; returns how many packets
 * were consumed: fewer than @n only when @cap ran out: call again with the rest. A peer may put
 * several DATAGRAMs into a packet: those beyond @cap are dropped and counted. A packet from a new
 * pair of addresses comes in a call of its own: the next one may come from a pair with a number.
 */
unsigned int nq_rx_open(struct nq_conn *c, struct nq_rx_pkt *pkts, unsigned int n,
			struct nq_rx_datagram *datagrams, unsigned int cap,
			unsigned int *n_datagrams, u64 now_us);

/* Which of the receive keys (RFC 9001 6). */
enum nq_rx_key {
	NQ_RX_KEY_PREVIOUS,
	NQ_RX_KEY_CURRENT,
	NQ_RX_KEY_NEXT,
	NQ_RX_KEYS,
};

/* The receive keys of one moment, and what packet numbers are decoded with. */
struct nq_opener {
	const struct nq_crypto_ops *crypto;
	const struct nq_keys *keys[NQ_RX_KEYS];
	void *hp;
	u64 window_end;
	u64 first_pn;		/* lowest of the current key, if @seen */
	u32 rotations;		/* key updates before that moment */
	u8 cid_len;
	bool phase, seen;
	struct nq_keys own[NQ_RX_KEYS]; /* of what was lent: what @keys points to */
};

/*
 * nq_rx_open() in three parts, for a provider that lends its contexts. nq_open() opens @n
 * (<= NQ_BURST_MAX) packets in place, without the connection; what was lent is good for several
 * calls, also at a time. nq_rx_accept() does what nq_rx_open() says, with packets that nq_open() is
 * through with. The order of packets is that of the calls of nq_rx_accept(); a key update between
 * lending and accepting costs none of them. nq_opener_wipe() ends it.
 */
void nq_rx_lend(struct nq_conn *c, struct nq_opener *o);
void nq_open(const struct nq_opener *o, struct nq_rx_pkt *pkts, unsigned int n);
unsigned int nq_rx_accept(struct nq_conn *c, const struct nq_opener *o, struct nq_rx_pkt *pkts,
			  unsigned int n, struct nq_rx_datagram *datagrams, unsigned int cap,
			  unsigned int *n_datagrams, u64 now_us);
void nq_opener_wipe(struct nq_opener *o);

/* The DCID of a short-header packet is not self-delimiting: bytes to look at for a lookup key. */
#define NQ_CID_LOOKUP_LEN	4

/* ---- time, events, state -------------------------------------------------------------------- */

/* When nq_on_timeout() is due; NQ_TIME_NEVER if nothing is armed. */
u64 nq_next_timeout_us(const struct nq_conn *c);
void nq_on_timeout(struct nq_conn *c, u64 now_us);

enum nq_event {
	NQ_EV_CLOSED = 1 << 0,		/* ended: nq_close_info(); drain period is the engine's */
	NQ_EV_GONE = 1 << 1,		/* drain period over: free it */
	NQ_EV_KEY_UPDATED = 1 << 2,	/* a new phase is in use: install the next keys */
	NQ_EV_KEY_UPDATE_NEEDED = 1 << 3, /* a limit nears and no next keys are installed */
	NQ_EV_CONGESTION = 1 << 4,	/* congestion state changed */
	NQ_EV_MTU = 1 << 5,		/* nq_max_payload_bytes() changed */
	NQ_EV_PUNT = 1 << 6,		/* nq_take_punt() has frames */
	NQ_EV_CID_WANTED = 1 << 7,	/* the peer retired one of ours: nq_add_local_cid() */
	NQ_EV_CID_RETIRED = 1 << 8,	/* nq_take_retired_cid() has ids to unhash */
	NQ_EV_DUPLICATE = 1 << 9,
	/* nq_active_path(), nq_confirmed_path() or nq_path_used() may have changed */
	NQ_EV_PATH = 1 << 10,
	NQ_EV_SILENT = 1 << 11,		/* not a packet of the peer for PTOs: once until one comes */
};

/* Are there any, that nq_take_events() would return? */
bool nq_has_events(const struct nq_conn *c);
/* The events since the last call, cleared. */
u32 nq_take_events(struct nq_conn *c);

/*
 * Frames that are not the engine's are punted: they wait, whole, STREAM always with a length, in
 * memory of the caller's. It needs to be there only while packets are accepted, and as long as
 * frames wait in it. Without room for a frame its packet is not acknowledged, so that the peer sends
 * it again.
 */
#define NQ_PUNT_BYTES		2048	/* a frame that fills a packet must fit */
/* Use @mem, NQ_PUNT_BYTES; false: it has some already. */
bool nq_lend_punt(struct nq_conn *c, void *mem);
/* Take the memory back, with the frames that wait in its first *@len bytes; NULL: it has none. */
void *nq_take_punt(struct nq_conn *c, u32 *len);
/* The same if no frame waits, else NULL. */
void *nq_take_unused_punt(struct nq_conn *c);

enum nq_close_cause {
	NQ_CLOSE_NONE,
	NQ_CLOSE_LOCAL,
	NQ_CLOSE_PEER,
	NQ_CLOSE_IDLE,
	NQ_CLOSE_RESET,
	NQ_CLOSE_PROTOCOL,
	NQ_CLOSE_KEYS,
};

struct nq_close_info {
	u64 code;
	enum nq_close_cause cause;
	bool application;		/* CONNECTION_CLOSE of type 0x1d */
	char reason[65];		/* printable, truncated */
};

/* Start closing: CONNECTION_CLOSE (0x1d if @application) is the next control packet. */
void nq_close(struct nq_conn *c, bool application, u64 code, const char *reason, u64 now_us);
void nq_close_info(const struct nq_conn *c, struct nq_close_info *info);

/* Install the keys of the phase after the current one: 0, -EALREADY, or what aead_init() returns. */
int nq_set_next_keys(struct nq_conn *c, const struct nq_key_material *tx,
		     const struct nq_key_material *rx);
/* How many there have been, either side's. None can be while the next keys are missing. */
u32 nq_key_updates(const struct nq_conn *c);
/* Start a key update (RFC 9001 6.1): 0, -EAGAIN (not allowed yet), -ENOKEY (no next keys). */
int nq_key_update(struct nq_conn *c, u64 now_us);

/* Give the engine a fresh local CID (id and token; the engine numbers it) to issue with
 * NEW_CONNECTION_ID: 0, -ENOBUFS (the peer's limit), -EINVAL (other length than the first).
 */
int nq_add_local_cid(struct nq_conn *c, const struct nq_cid *cid);
/* Local CIDs the peer retired; returns 1 and fills @cid, or 0. */
int nq_take_retired_cid(struct nq_conn *c, struct nq_cid *cid);

/* Is @token (the last 16 bytes of an undecryptable datagram) a reset token of the peer? If so the
 * connection is closed with NQ_CLOSE_RESET. nq_rx_open() calls it itself.
 */
bool nq_check_stateless_reset(struct nq_conn *c, const u8 *token, u64 now_us);
/* The reset token of the remote ID in use, with its number; NULL: none, or the end has come. */
const u8 *nq_active_reset_token(const struct nq_conn *c, u64 *seq);

/* More local CIDs that the peer would take now; NQ_EV_CID_WANTED says when to ask. */
u32 nq_local_cids_wanted(const struct nq_conn *c);

/* ---- paths ---------------------------------------------------------------------------------- */

u8 nq_active_path(const struct nq_conn *c);
/*
 * Where the peer is beyond doubt. It differs from the active path as long as that is an address of
 * the peer's that has not answered a challenge yet; who copies packets can make it any address.
 */
u8 nq_confirmed_path(const struct nq_conn *c);
/* May packets still go to or come from it? If not, its addresses can be forgotten. */
bool nq_path_used(const struct nq_conn *c, u8 path);

/* What a client knows of the path it migrates to. */
#define NQ_MIGRATE_SAME_LOCAL	(1 << 0) /* our IP address stays: the peer's ID may stay too */
#define NQ_MIGRATE_SAME_HOSTS	(1 << 1) /* only ports change: it is the same way through the network */
#define NQ_MIGRATE_AT_ONCE	(1 << 2) /* the active path is known to be dead */

/*
 * Client: move to new addresses (RFC 9000 9.2), after they are validated, or at once if the active
 * path is dead or has let a probe timeout pass. Returns the number of the new path, or -EPERM
 * (server), -ENOTCONN (closing), -ENOBUFS (the peer has given no ID for another address).
 * NQ_EV_PATH tells the end: nq_active_path() is the new path, or it is no longer used: it failed.
 */
int nq_path_migrate(struct nq_conn *c, unsigned int how, u64 now_us);
/* The network is back, the addresses are the same: ask the peer now, whatever the backoff. */
void nq_path_recheck(struct nq_conn *c);

/* ---- packet size ---------------------------------------------------------------------------- */

/* The route takes packets of this size now: it is used, and probes find out whether it passes. */
void nq_set_path_mtu(struct nq_conn *c, u32 udp_payload_bytes);
/* The local system refused to send so much to the active path (EMSGSIZE). */
void nq_mtu_refused(struct nq_conn *c, u32 udp_payload_bytes, u64 now_us);

/*
 * @c goes on where @old stops sending, on the same path: round-trip time, window and packet size are
 * @old's. What @old still has in flight leaves the path while @c, paced, begins to fill it.
 */
void nq_continue_path(struct nq_conn *c, const struct nq_conn *old, u64 now_us);
/* Probe timeout (RFC 9002 6.2.1) without backoff. */
u64 nq_pto_us(const struct nq_conn *c);
void nq_set_keepalive(struct nq_conn *c, u32 keepalive_ms, u64 now_us);

struct nq_counters {
	u64 tx_packets, tx_bytes, rx_packets, rx_bytes;
	u64 datagram_tx, datagram_rx, datagram_lost;
	u64 ack_tx, ack_rx;
	u64 seal_failures, open_failures, header_failures, pn_failures, frame_errors;
	u64 duplicates, replay_window_drops;
	u64 cwnd_delays, pacing_delays;
	u64 key_updates, key_update_failures;
	u64 packets_lost, ptos;
	u64 spurious_losses;	/* counted in packets_lost, but acknowledged later */
	u64 congestion_undos;	/* reductions taken back: all their losses were spurious */
	u64 ecn_ce;		/* CE marks the peer reported */
	u64 datagram_drops;	/* received, but of another context or beyond the caller's room */
	u64 path_validations;	/* addresses of the peer that answered a challenge */
	u64 migrations;		/* changes of the active path that were confirmed */
	u64 pmtu_probes;	/* sent */
	u64 last_rx_us;		/* time of the last authenticated packet; no counter, not flushed */
};

struct nq_stats {
	struct nq_counters count;
	u64 srtt_us, rttvar_us, min_rtt_us, cwnd_bytes, bytes_in_flight, pacing_rate_bytes_per_s;
	u64 congestion_state;	/* 0 open, 1 recovery, 2 persistent congestion */
};

/* Name of the congestion controller. */
const char *nq_congestion_name(const struct nq_conn *c);
/* The engine's own string that equals @name; NULL and "" mean the default. NULL: none such. */
const char *nq_congestion_find(const char *name);

void nq_get_stats(const struct nq_conn *c, struct nq_stats *s, u64 now_us);
void nq_flush_stats(struct nq_conn *c);

#endif /* NQ_H */
