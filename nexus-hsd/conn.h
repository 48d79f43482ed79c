/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A handshake in progress, client or server: one ngtcp2 connection and one GnuTLS session, from the
 * first packet to the hand-over. conn.c moves datagrams, time and stream 0; quic.c holds ngtcp2's
 * callbacks and records what the export needs; tls.c is GnuTLS; client.c and server.c make
 * connections; export.c ends them well, hs_conn_fail() ends them otherwise.
 *
 * ngtcp2 must not be re-entered: callbacks only take notes, hs_conn_drive() acts on them.
 */
#ifndef HS_CONN_H
#define HS_CONN_H

#include <gnutls/gnutls.h>
#include <gnutls/abstract.h>
#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <linux/nexus_quic_dco.h>
#include "lib/hs_proto.h"
#include "capsule.h"
#include "cidtable.h"
#include "follow.h"
#include "initial.h"
#include "ranges.h"
#include "reality.h"
#include "shape.h"
#include "timers.h"
#include "udp.h"

#define HS_EARLY_DATAGRAMS_MAX 16
#define HS_UDP_PAYLOAD 1200
#define HS_TP_MAX 256

struct hsd;
struct hs_cert_private;
struct hs_pending_site;
struct hs_tunnel;
struct hs_dgram;
struct hs_visit;

/* Unidirectional streams of a server that a client reads over: HTTP/3 opens three. */
#define HS_PEER_STREAMS_MAX 8
#define HS_PEER_STREAM_BYTES_MAX 4096

/* A connection ID one side has issued, for the export. */
struct hs_conn_cid {
	uint64_t seq;
	uint8_t len, id[HS_CID_LEN];
	bool has_token;
	uint8_t token[NQD_RESET_TOKEN_LEN];
	struct hs_cid_entry entry; /* local ones: under which packets find us */
};

/* 1-RTT keys of one direction. */
struct hs_conn_keys {
	bool ready;
	size_t secret_len, key_len;
	uint8_t secret[NQD_SECRET_MAX_LEN];
	uint8_t key[NQD_KEY_MAX_LEN], iv[NQD_IV_LEN], hp[NQD_KEY_MAX_LEN];
};

/* Stream 0: what we say and what we heard. */
struct hs_conn_stream {
	bool opened, closed;
	uint8_t *tx; /* kept until acknowledged; NULL = nothing to say yet */
	size_t tx_len, tx_sent;
	bool fin_sent;
	uint8_t *rx;
	size_t rx_len;
	bool rx_fin;
};

struct hs_conn {
	TAILQ_ENTRY(hs_conn) entry;
	struct hsd *hsd;
	struct hs_tunnel *tunnel;
	struct hs_sock *sock;
	bool server;
	struct hs_pending_site *site; /* server */
	uint64_t attempt;
	union hs_addr local, remote;
	struct hs_timer timer; /* next time hs_conn_drive() must run, or the deadline */
	uint64_t deadline_ns; /* the handshake has failed by then */
	uint64_t clock_ahead_ns; /* ngtcp2's clock of this connection, see follow.h */

	ngtcp2_conn *quic;
	gnutls_session_t tls;
	struct hs_cid_entry original_dcid; /* server: of the client's first Initial */
	uint8_t cert_key[64];
	bool has_psk; /* mixed into cert_key */

	/* server */
	char user_name[64];
	uint64_t short_id;
	bool old_key; /* the client knows the server by its former key */
	gnutls_pcert_st cert;
	bool has_cert;
	struct hs_cert_private *cert_private;
	struct hs_follow *follow; /* NULL: ngtcp2 decides alone */
	struct hs_shape *shape; /* takes the packets that ngtcp2 seals, or NULL */
	uint8_t *held_tls; /* Handshake messages that wait for hs_tls_release_handshake() */
	size_t held_tls_len;
	size_t held_secret_len; /* of the 1-RTT secret that waits for hs_tls_release_1rtt() */
	uint8_t held_secret[NQD_SECRET_MAX_LEN];

	/* client */
	struct hs_visit *visit; /* to a cover; NULL otherwise */
	size_t peer_stream_bytes;
	uint8_t client_hello[HS_CH_MAX];
	size_t client_hello_len;
	bool quic_started; /* from here on TLS messages go to ngtcp2 */
	uint8_t tp[HS_TP_MAX];
	size_t tp_len;
	bool cert_checked;
	int cert_verdict; /* of hs_cert_verify() */

	/* notes of the callbacks */
	bool completed, confirmed, heard;
	bool validated; /* server: a Handshake packet came, so the address is the client's */
	struct hs_conn_keys tx_keys, rx_keys;
	bool sent_1rtt;
	uint64_t next_pn;
	struct hs_ranges rx_ranges;
	bool has_largest_acked;
	uint64_t largest_acked;
	struct hs_conn_cid local_cids[NQD_LOCAL_CIDS_MAX], remote_cids[NQD_REMOTE_CIDS_MAX];
	size_t n_local_cids, n_remote_cids;
	uint64_t next_local_seq;
	struct {
		uint8_t *data;
		size_t len;
	} early[HS_EARLY_DATAGRAMS_MAX];
	size_t n_early;
	struct hs_conn_stream stream;
	struct hs_net *net; /* what the capsules agreed on */

	/* failure noted by a callback, or 0 */
	enum hs_reason fail_reason;
	char fail_text[256];
};

TAILQ_HEAD(hs_conns, hs_conn);

/* An empty connection, registered with the process; or NULL. */
struct hs_conn *hs_conn_new(struct hs_sock *sock, const union hs_addr *local,
			    const union hs_addr *remote, bool server);
/* The time as ngtcp2 knows it. */
uint64_t hs_conn_now(const struct hs_conn *c);
/* End without a word: packets, keys and memory are gone after this. */
void hs_conn_free(struct hs_conn *c);

/* A datagram for this connection; then hs_conn_drive(). May free @c. */
void hs_conn_receive(struct hs_conn *c, const struct hs_dgram *d);
/* Give the bytes to ngtcp2 only. False: the connection has failed (and is gone). */
bool hs_conn_feed(struct hs_conn *c, const uint8_t *data, size_t len);
/* Send what there is to send, hand over when the moment has come, set the timer. May free @c. */
void hs_conn_drive(struct hs_conn *c);
/* hs_conn_drive() must run at @at_ns. */
void hs_conn_wake_at(struct hs_conn *c, uint64_t at_ns);
/* Timers of all connections; returns the earliest next time. */
uint64_t hs_conns_run_timers(struct hsd *h);
/* End with CONNECTION_CLOSE (if keys exist) and report: HS_CMD_FAILED on a client. Frees @c. */
void hs_conn_fail(struct hs_conn *c, enum hs_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A CONNECTION_CLOSE without an error, whatever comes of it. */
void hs_conn_say_goodbye(struct hs_conn *c);
/* From a callback: take a note of why, for hs_conn_fail(). */
void hs_conn_note_failure(struct hs_conn *c, enum hs_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Under the connection's own name: an ID peers may use to reach it. */
struct hs_conn_cid *hs_conn_add_local_cid(struct hs_conn *c, const uint8_t *id, size_t len,
					  const uint8_t *token);

/* Local handshakes of a tunnel end: with @user only that one's (0 = all). */
void hs_conns_end(struct hsd *h, struct hs_tunnel *t, uint64_t short_id, const char *why);
struct hs_conn *hs_conns_find_attempt(struct hsd *h, const struct hs_tunnel *t, uint64_t attempt);

/* ---- quic.c ---- */
/* Around every call into ngtcp2: its cipher callbacks carry no pointer of ours. */
struct hs_conn *hs_quic_enter(struct hs_conn *c);
void hs_quic_leave(struct hs_conn *previous);
/* 0 or negative errno. */
int hs_quic_new_client(struct hs_conn *c, const uint8_t dcid[HS_CID_LEN],
		       const uint8_t scid[HS_CID_LEN]);
int hs_quic_new_server(struct hs_conn *c, const uint8_t *dcid, size_t dcid_len, const uint8_t *scid,
		       size_t scid_len);
/* The transport parameters of our ClientHello, into c->tp. */
int hs_quic_client_params(struct hs_conn *c, const uint8_t scid[HS_CID_LEN]);

/* ---- capsules on stream 0, stream.c ---- */
/* Client, after the handshake: 0 or negative errno. */
int hs_stream_open(struct hs_conn *c);
/* The peer's bytes; 0, or -1 with the failure noted. */
int hs_stream_receive(struct hs_conn *c, const uint8_t *data, size_t len, bool fin);

#endif /* HS_CONN_H */
