/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An independent QUIC implementation as test partner: two ngtcp2 + GnuTLS endpoints that shake hands
 * in memory on a virtual clock. Either can go on in 1-RTT against the engine, whose parameters are
 * exported from the other. Used by the live peer test and by the generator of golden packets.
 */
#ifndef TEST_NGTCP2_PEER_H
#define TEST_NGTCP2_PEER_H

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "../../quic/nq.h"

#define PEER_CID_LEN 20
#define PEER_RANGES 32
#define PEER_SECRET_MAX 48

/* What is not as most tests want it; zeroed: as they want it. */
struct peer_options {
	u64 delay_us; /* one way, of the handshake; 0: 5000 */
	ngtcp2_cc_algo congestion; /* used if has_congestion */
	bool has_congestion;
	u32 idle_s; /* 0: 30 */
	u64 stream_window; /* a stream may have this much in flight; 0: no streams */
};

struct peer {
	ngtcp2_conn *conn;
	gnutls_session_t tls;
	ngtcp2_crypto_conn_ref ref;
	bool server;
	u16 cipher;
	bool fixed_secrets; /* 1-RTT secrets are constants, not those of the handshake */
	u64 *now_us;
	const struct peer_options *options;
	u32 addr; /* the client's address of the last packet written: host << 16 | port */

	u8 tx_secret[PEER_SECRET_MAX], rx_secret[PEER_SECRET_MAX];
	u32 secret_len;
	u8 tx_iv[NQ_IV_LEN], rx_iv[NQ_IV_LEN];
	u64 next_pn;
	bool sent_any;
	u8 plain[1500], header[64]; /* of the last 1-RTT packet it sealed */
	u32 plain_len, header_len;
	u64 rx_seen[PEER_RANGES]; /* bitmap of received packet numbers */
	struct nq_cid local[NQ_CIDS_MAX];
	u32 n_local;

	/* filled in 1-RTT */
	u64 received, duplicates, acked, lost;
	u64 stream_bytes;
	u8 *seen;
	u64 seen_size;
	u32 index_at; /* where a DATAGRAM has its index; 0: behind one byte of context prefix */
};

struct peer_pair {
	struct peer_options options;
	struct peer client, server;
	gnutls_certificate_credentials_t server_cred, client_cred;
	u64 now_us;
};

/* Both endpoints, shaken hands and quiet: confirmed, nothing to write, nothing in flight. */
int peer_pair_start(struct peer_pair *pp, u16 cipher, bool fixed_secrets);
int peer_pair_start_with(struct peer_pair *pp, u16 cipher, bool fixed_secrets,
			 const struct peer_options *options);
void peer_pair_stop(struct peer_pair *pp);

/* One packet at most: bytes, 0 if it has nothing to say, or a negative ngtcp2 error. */
long peer_write(struct peer *p, u8 *buf, u32 cap);
/* The same with one DATAGRAM of @len bytes; *@accepted tells whether it went. */
long peer_write_datagram(struct peer *p, u8 *buf, u32 cap, u64 id, const u8 *data, u32 len,
			 int *accepted);
/* The same with as much of @data as fits, on stream @id; *@taken: bytes of it, -1: none. */
long peer_write_stream(struct peer *p, u8 *buf, u32 cap, s64 id, const u8 *data, u32 len,
		       ngtcp2_ssize *taken);
int peer_read(struct peer *p, const u8 *pkt, u32 len, u8 ecn);
/* The same of a packet that the client has sent from or gets at @addr; 0 is where it began. */
int peer_read_at(struct peer *p, const u8 *pkt, u32 len, u8 ecn, u32 addr);
/* Let a client migrate to @addr. */
int peer_migrate(struct peer *p, u32 addr);

/* The engine parameters that take over @p. @ranges: PEER_RANGES * 64 entries at most are used. */
int peer_export(struct peer *p, const struct nq_crypto_ops *crypto, struct nq_conn_params *out,
		struct nq_range *ranges, u32 cap);

#endif /* TEST_NGTCP2_PEER_H */
