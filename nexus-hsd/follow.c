// SPDX-License-Identifier: GPL-2.0-or-later
/* An authenticated flight in the cover's shape, see follow.h. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "certproof.h"
#include "clock.h"
#include "follow.h"
#include "hsd.h"
#include "lib/log.h"
#include "shape.h"
#include "tls.h"

/*
 * What a packet of ours has beside CRYPTO data. Handshake: first byte, version, two connection IDs
 * with their lengths, Length, packet number, CRYPTO type, offset and length, tag.
 */
#define HANDSHAKE_OVERHEAD(cid_len) (1 + 4 + 1 + HS_CID_LEN + 1 + (cid_len) + 4 + 4 + 5 + 16)
/* ngtcp2 puts an Initial that asks for an answer into no smaller room (RFC 9000 14.1). */
#define INITIAL_ROOM 1200

/* A short header with NEW_CONNECTION_ID. */
#define NEW_CID_ROOM(cid_len) (1 + HS_CID_LEN + 4 + 4 + (cid_len) + 16 + 16)

/* TLS messages beside the certificate's DER (RFC 8446 4.3.1, 4.4). */
#define EE_BYTES (4 + 2 + 9 + 4) /* header, list, ALPN, header of the transport parameters */
#define CERTIFICATE_BYTES (4 + 1 + 3 + 3 + 2)
#define CERT_VERIFY_BYTES (4 + 2 + 2 + 64)
#define FINISHED_BYTES(cipher) (4 + ((cipher) == NQD_CIPHER_AES_256_GCM ? 48 : 32))
/* Bytes of an ACK Delay, and of ECN counts. */
#define ACK_JITTER 4
/* DER lengths come in steps, an Initial has its own size: PADDING frames fill what is missing. */
#define CERT_SLACK 8

/* Turns of ngtcp2's timers until it probes; others than the probe timeout may be due before. */
#define PROBE_TRIES 4

/* Unidirectional streams of an HTTP/3 server: control with empty SETTINGS, QPACK encoder, decoder. */
static const struct {
	size_t len;
	uint8_t data[3];
} streams[HS_FOLLOW_STREAMS_MAX] = {
	{ 3, { 0x00, 0x04, 0x00 } },
	{ 1, { 0x02 } },
	{ 1, { 0x03 } },
};

/* Of one call at a time: it is empty whenever hs_follow_drive() is not running. */
static struct hs_shape shape;

int hs_follow_start(struct hs_conn *c)
{
	const struct hs_profile *p = &c->tunnel->profile;
	struct hs_follow *f;
	uint8_t random;

	if (p->n_flights == 0)
		return 0;
	if (gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof(random)) < 0)
		return -EIO;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->flight = p->flights[random % p->n_flights];
	memcpy(f->repeats, p->repeats, sizeof(f->repeats));
	f->n_repeats = p->n_repeats;
	f->handshake_bytes = p->handshake_bytes;
	f->style = p->style;
	c->follow = f;
	return 0;
}

/* TLS bytes that the Handshake packets of the flight have room for. */
static size_t handshake_room(const struct hs_follow *f, size_t cid_len)
{
	size_t room = 0, bytes;
	unsigned int i, k;

	for (i = 0; i < f->flight.n_dgrams; i++) {
		for (k = 0; k < f->flight.dgrams[i].n_packets; k++) {
			bytes = f->flight.dgrams[i].packets[k].bytes;
			if (f->flight.dgrams[i].packets[k].type == HS_PACKET_HANDSHAKE &&
			    bytes > HANDSHAKE_OVERHEAD(cid_len))
				room += bytes - HANDSHAKE_OVERHEAD(cid_len);
		}
	}
	return room;
}

size_t hs_follow_cert_len(const struct hs_conn *c)
{
	const struct hs_follow *f = c->follow;
	size_t room, other, slack = CERT_SLACK;
	uint8_t params[HS_TP_MAX];
	ngtcp2_ssize n;

	if (!f)
		return 0;
	n = ngtcp2_conn_encode_local_transport_params(c->quic, params, sizeof(params));
	if (n < 0)
		return 0;
	room = handshake_room(f, c->local_cids[0].len);
	/* What did not fit into three times the client's first flight comes after its answer. */
	if (f->handshake_bytes > room + HANDSHAKE_OVERHEAD(HS_CID_LEN)) {
		room = f->handshake_bytes;
		slack = 0;
	}
	other = EE_BYTES + (size_t)n + CERTIFICATE_BYTES + CERT_VERIFY_BYTES +
		FINISHED_BYTES(c->tunnel->profile.cipher);
	if (room <= other + slack)
		return 0;
	room -= other + slack;
	return room < HS_CERT_MAX ? room : HS_CERT_MAX;
}

bool hs_follow_may_send(const struct hs_conn *c, size_t bytes)
{
	const struct hs_follow *f = c->follow;

	return !f || c->validated ||
	       f->sent_bytes + bytes <= HS_FOLLOW_AMPLIFICATION * f->received_bytes;
}

void hs_follow_sent(struct hs_conn *c, size_t bytes)
{
	if (c->follow)
		c->follow->sent_bytes += bytes;
}

bool hs_follow_rules(const struct hs_conn *c)
{
	return c->follow && !c->follow->answered;
}

void hs_follow_heard(struct hs_conn *c, size_t bytes)
{
	if (c->follow)
		c->follow->received_bytes += bytes;
}

void hs_follow_opened(struct hs_conn *c)
{
	if (c->follow)
		c->follow->answered |= c->follow->begun;
}

/* ---- packets ---- */

/*
 * ngtcp2 counts what it makes against three times what came in, but most of that is thrown away. What
 * really leaves is counted here and in conn.c; ngtcp2 gets a datagram that it will ignore, a Retry to a
 * server, for its books.
 */
static void credit(struct hs_conn *c)
{
	static const uint8_t retry[INITIAL_ROOM] = { 0xf0, 0, 0, 0, 1 };
	ngtcp2_pkt_info pi = { 0 };

	ngtcp2_conn_read_pkt(c->quic, ngtcp2_conn_get_path(c->quic), &pi, retry, sizeof(retry),
			     hs_conn_now(c));
}

/* Let ngtcp2 make packets of together @room bytes at most, with stream data if there is one. */
static ngtcp2_ssize produce(struct hs_conn *c, size_t room, const ngtcp2_vec *data, int64_t stream)
{
	uint8_t scratch[HS_PROFILE_DGRAM_BYTES_MAX];
	ngtcp2_ssize n, accepted;
	ngtcp2_pkt_info pi;

	if (room > sizeof(scratch))
		room = sizeof(scratch);
	c->shape = &shape;
	if (data)
		n = ngtcp2_conn_writev_stream(c->quic, NULL, &pi, scratch, room, &accepted,
					      NGTCP2_WRITE_STREAM_FLAG_NONE, stream, data, 1,
					      hs_conn_now(c));
	else
		n = ngtcp2_conn_write_pkt(c->quic, NULL, &pi, scratch, room, hs_conn_now(c));
	c->shape = NULL;
	return n;
}

static ngtcp2_ssize produce_stream(struct hs_conn *c, size_t room)
{
	ngtcp2_vec vec = {
		.base = (uint8_t *)streams[c->follow->n_streams].data,
		.len = streams[c->follow->n_streams].len,
	};
	int64_t id;

	if (ngtcp2_conn_open_uni_stream(c->quic, &id, NULL) != 0)
		return 0;
	c->follow->n_streams++;
	return produce(c, room, &vec, id);
}

/*
 * First comes what ngtcp2 has to say, NEW_CONNECTION_ID. Where the cover's packet has no room for one,
 * all count as lost, and ngtcp2 says them again when the client has answered. Then there are HTTP/3
 * streams to open.
 */
static void produce_1rtt(struct hs_conn *c, size_t room)
{
	bool enough = room >= NEW_CID_ROOM(c->local_cids[0].len);

	if (produce(c, enough ? room : INITIAL_ROOM, NULL, -1) != 0) {
		if (enough)
			return;
		hs_shape_take(&shape, HS_PACKET_1RTT);
	}
	if (c->follow->n_streams < HS_FOLLOW_STREAMS_MAX)
		produce_stream(c, room);
}

/* One of that type that was made already, or can be made now. */
static struct hs_shape_packet *packet_for(struct hs_conn *c, uint8_t type, size_t bytes)
{
	struct hs_shape_packet *p;

	p = hs_shape_take(&shape, type);
	if (p)
		return p;
	if (type != HS_PACKET_INITIAL)
		hs_tls_release_handshake(c);
	if (type == HS_PACKET_1RTT) {
		hs_tls_release_1rtt(c);
		produce_1rtt(c, bytes);
	} else {
		produce(c, type == HS_PACKET_INITIAL ? INITIAL_ROOM : bytes, NULL, -1);
	}
	return hs_shape_take(&shape, type);
}

static void send_dgram(struct hs_conn *c, const uint8_t *data, size_t len)
{
	struct hs_follow *f = c->follow;

	if (len == 0 || f->sent_bytes >= HS_FOLLOW_AMPLIFICATION * f->received_bytes)
		return;
	f->sent_bytes += len;
	hs_udp_send(c->sock->src.fd, &c->local, &c->remote, data, len);
}

/*
 * How large packet @i of a datagram like @want is to be when @len bytes of it are made. An Initial
 * without PADDING is as large as what it says; the last packet makes up for that.
 */
static size_t room_for(const struct hs_follow *f, const struct hs_profile_dgram *want,
		       unsigned int i, size_t len)
{
	size_t whole = hs_profile_dgram_bytes(want);

	if (want->packets[i].type == HS_PACKET_INITIAL && !f->style.initial_padded)
		return 0;
	if (i > 0 && i + 1 == want->n_packets && len < whole)
		return whole - len;
	return want->packets[i].bytes;
}

/* One datagram like @want; what was made of it is noted in @got. */
static void follow_dgram(struct hs_conn *c, const struct hs_profile_dgram *want,
			 struct hs_profile_dgram *got)
{
	uint8_t buf[HS_PROFILE_DGRAM_BYTES_MAX];
	struct hs_shape_packet *p;
	size_t len = 0, room;
	unsigned int i;
	ssize_t n;

	got->n_packets = 0;
	credit(c);
	for (i = 0; i < want->n_packets; i++) {
		room = room_for(c->follow, want, i, len);
		p = packet_for(c, want->packets[i].type, room);
		if (!p)
			continue;
		n = hs_shape_build(p, room, &c->follow->style, buf + len, sizeof(buf) - len);
		if (n < 0)
			continue;
		len += (size_t)n;
		got->packets[got->n_packets].type = p->type;
		got->packets[got->n_packets++].bytes = (uint16_t)n;
	}
	send_dgram(c, buf, len);
}

/* As an observer compares them: an ACK frame in an Initial has a byte more or less as it happens. */
static bool same_dgram(const struct hs_profile_dgram *a, const struct hs_profile_dgram *b)
{
	unsigned int i;
	int more;

	if (a->n_packets != b->n_packets || hs_profile_dgram_bytes(a) != hs_profile_dgram_bytes(b))
		return false;
	for (i = 0; i < a->n_packets; i++) {
		more = a->packets[i].bytes - b->packets[i].bytes;
		if (a->packets[i].type != b->packets[i].type || more > ACK_JITTER ||
		    more < -ACK_JITTER)
			return false;
	}
	return true;
}

/* ---- flights ---- */

static void first_flight(struct hs_conn *c)
{
	struct hs_follow *f = c->follow;
	struct hs_profile_flight sent = { .n_dgrams = f->flight.n_dgrams };
	bool deviated = false;
	unsigned int i;

	for (i = 0; i < f->flight.n_dgrams; i++) {
		follow_dgram(c, &f->flight.dgrams[i], &sent.dgrams[i]);
		deviated |= !same_dgram(&f->flight.dgrams[i], &sent.dgrams[i]);
	}
	hs_tls_release_handshake(c);
	hs_tls_release_1rtt(c);
	f->begun_ns = hs_now_ns();
	f->begun = true;
	/* Nothing that we can make, as a Retry: ngtcp2 goes on at once. */
	f->answered = f->sent_bytes == 0;
	if (deviated)
		hs_tunnel_note_deviation(c->tunnel, &f->flight, &sent);
}

/*
 * Make ngtcp2 probe now, wherever its clock has to be for that. 0 or an ngtcp2 error. Where its idle
 * timeout comes first there is no probe, and no end either: that much time has not passed, and the
 * first packet of the client that is opened begins it anew.
 */
static int probe(struct hs_conn *c)
{
	uint64_t expiry = ngtcp2_conn_get_expiry(c->quic), now = hs_conn_now(c);
	int rv;

	if (expiry == UINT64_MAX)
		return 0;
	if (expiry > now)
		c->clock_ahead_ns += expiry - now;
	rv = ngtcp2_conn_handle_expiry(c->quic, hs_conn_now(c));
	return rv == NGTCP2_ERR_IDLE_CLOSE ? 0 : rv;
}

static int repeat(struct hs_conn *c, const struct hs_profile_dgram *want)
{
	struct hs_profile_dgram got = { .n_packets = 0 };
	unsigned int i;
	int rv;

	for (i = 0; i < PROBE_TRIES && got.n_packets == 0; i++) {
		rv = probe(c);
		if (rv != 0)
			return rv;
		follow_dgram(c, want, &got);
	}
	return 0;
}

int hs_follow_drive(struct hs_conn *c)
{
	struct hs_follow *f = c->follow;
	int rv = 0;

	if (!f->begun)
		first_flight(c);
	while (rv == 0 && !f->answered && hs_follow_expiry(c) <= hs_now_ns())
		rv = repeat(c, &f->repeats[f->next_repeat++].dgram);
	hs_shape_wipe(&shape);
	return rv;
}

uint64_t hs_follow_expiry(const struct hs_conn *c)
{
	const struct hs_follow *f = c->follow;

	if (!f->begun)
		return 0;
	if (f->next_repeat == f->n_repeats)
		return UINT64_MAX;
	return f->begun_ns + f->repeats[f->next_repeat].after_ms * HS_NS_PER_MS;
}
