// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Long headers, the Initial opener and the reassembly: the packet of RFC 9001 A.2, ClientHellos cut
 * into pieces of every kind, and each way in which a packet can be malformed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "clienthello.h"
#include "hsd-test.h"
#include "initial.h"

static const uint8_t dcid[20] = "destination-cid-0123", scid[20] = "source-cid-012345678";
static uint8_t hello[2048];
static size_t hello_len;

static int make_hello(void **state)
{
	uint8_t random[32];

	t_random(random, 32);
	hello_len = t_client_hello(hello, sizeof(hello), random, scid, 20, "www.example.org");
	return 0;
}

static const struct t_initial base = {
	.dcid = dcid,
	.dcid_len = 20,
	.scid = scid,
	.scid_len = 20,
	.pn_len = 1,
};

static enum hs_initial_result feed(struct hs_reassembly *r, const uint8_t *data, size_t len,
				   size_t *ch_len)
{
	return hs_initial_feed(r, data, len, dcid, sizeof(dcid), ch_len);
}

/* Seal @payload as one datagram and feed it. */
static enum hs_initial_result feed_frames(struct hs_reassembly *r, const uint8_t *payload,
					  size_t len, size_t *ch_len)
{
	uint8_t packet[2400];

	return feed(r, packet, t_seal_initial(packet, sizeof(packet), &base, payload, len), ch_len);
}

/* ---- long headers ---- */
static void test_header(void **state)
{
	struct t_initial p = base;
	struct hs_long_header h;
	uint8_t packet[1500], payload[100] = { 1 };
	size_t len;

	p.token = scid;
	p.token_len = 5;
	len = t_seal_initial(packet, sizeof(packet), &p, payload, sizeof(payload));
	memset(packet + len, 0xee, 30);
	assert_int_equal(hs_long_header_parse(packet, len + 30, &h), 0);
	assert_int_equal(h.type, 0);
	assert_int_equal(h.version, 1);
	assert_int_equal(h.dcid_len, 20);
	assert_memory_equal(h.dcid, dcid, 20);
	assert_int_equal(h.scid_len, 20);
	assert_memory_equal(h.scid, scid, 20);
	assert_int_equal(h.token_len, 5);
	assert_memory_equal(h.token, scid, 5);
	assert_int_equal(h.packet_len, len);
	assert_int_equal(h.pn_offset, len - 1 - sizeof(payload) - 16);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(hs_long_header_parse(packet, n, &h), -EBADMSG);
	/* Fixed bit clear; short header. */
	packet[0] ^= 0x40;
	assert_int_equal(hs_long_header_parse(packet, len, &h), -EBADMSG);
	packet[0] ^= 0xc0;
	assert_int_equal(hs_long_header_parse(packet, len, &h), -EBADMSG);
}

static void test_header_types(void **state)
{
	uint8_t packet[200] = { 0xe0, 0, 0, 0, 1, 2, 7, 7, 1, 9, 0x14 };
	struct hs_long_header h;

	/* Handshake: length 20 follows the CIDs. */
	assert_int_equal(hs_long_header_parse(packet, 31, &h), 0);
	assert_int_equal(h.type, 2);
	assert_int_equal(h.pn_offset, 11);
	assert_int_equal(h.packet_len, 31);
	assert_int_equal(hs_long_header_parse(packet, 30, &h), -EBADMSG);
	packet[0] = 0xd0;
	assert_int_equal(hs_long_header_parse(packet, 31, &h), 0);
	assert_int_equal(h.type, 1);
	/* Retry: token up to the tag of 16 bytes. */
	packet[0] = 0xf0;
	assert_int_equal(hs_long_header_parse(packet, 36, &h), 0);
	assert_int_equal(h.type, 3);
	assert_int_equal(h.token_len, 10);
	assert_int_equal(h.packet_len, 36);
	assert_int_equal(hs_long_header_parse(packet, 25, &h), -EBADMSG);
	/* CIDs beyond 20 bytes are malformed in version 1, legal elsewhere. */
	packet[0] = 0xc0;
	packet[5] = 21;
	assert_int_equal(hs_long_header_parse(packet, 200, &h), -EBADMSG);
	packet[1] = 0x6b;
	assert_int_equal(hs_long_header_parse(packet, 200, &h), -EPROTONOSUPPORT);
	assert_int_equal(h.version, 0x6b000001);
	assert_int_equal(h.dcid_len, 21);
	assert_ptr_equal(h.dcid, packet + 6);
	packet[5] = 200;
	assert_int_equal(hs_long_header_parse(packet, 200, &h), -EBADMSG);
	/* Version negotiation has version 0. */
	memset(packet + 1, 0, 4);
	packet[5] = 0;
	assert_int_equal(hs_long_header_parse(packet, 200, &h), -EPROTONOSUPPORT);
	assert_int_equal(h.version, 0);
}

static void test_header_lengths(void **state)
{
	/* Token length, then packet length, of eight bytes each: far beyond the datagram. */
	static const uint8_t token[] = { 0xc0, 0,    0,	   0,	 1, 0, 0, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,	0,    0 };
	static const uint8_t length[] = { 0xc0, 0,    0,    0,	  1,	0, 0, 0, 0xff, 0xff, 0xff,
					  0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,    0 };
	struct hs_long_header h;

	assert_int_equal(hs_long_header_parse(token, sizeof(token), &h), -EBADMSG);
	assert_int_equal(hs_long_header_parse(length, sizeof(length), &h), -EBADMSG);
}

/* ---- opening ---- */
static void test_rfc9001_a2(void **state)
{
	static const char crypto[] =
		"060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
		"04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
		"616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
		"04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
		"baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
		"0d0010000e0403050306030203080408050806002d00020101001c0002400100"
		"3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
		"75300901100f088394c8f03e51570806048000ffff";
	uint8_t cid[8], payload[1162] = { 0 }, packet[1300], head[54], tail[48];
	struct t_initial p = { .dcid = cid, .dcid_len = 8, .pn = 2, .pn_len = 4 };
	struct hs_reassembly r = { 0 };
	struct hs_client_hello ch;
	const uint8_t *tp_scid;
	size_t len, ch_len, n;

	t_unhex("8394c8f03e515708", cid, 8);
	t_unhex(crypto, payload, 245);
	len = t_seal_initial(packet, sizeof(packet), &p, payload, sizeof(payload));
	/* The published packet: 1200 bytes, its first and its last, with the tag over all of it. */
	assert_int_equal(len, 1200);
	t_unhex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"
		"d242b123dc9bd8bab936b47d92ec356c0bab7df5976d",
		head, sizeof(head));
	assert_memory_equal(packet, head, sizeof(head));
	t_unhex("7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241"
		"e221af44860018ab0856972e194cd934",
		tail, sizeof(tail));
	assert_memory_equal(packet + 1200 - sizeof(tail), tail, sizeof(tail));

	assert_int_equal(hs_initial_feed(&r, packet, len, cid, 8, &ch_len), HS_INITIAL_COMPLETE);
	assert_int_equal(ch_len, 241);
	assert_memory_equal(r.data, payload + 4, 241);
	assert_int_equal(hs_client_hello_parse(r.data, ch_len, &ch), 0);
	assert_true(ch.tls13 && ch.x25519_share && !ch.alpn_h3);
	assert_int_equal(ch.server_name_len, 11);
	assert_memory_equal(ch.server_name, "example.com", 11);
	assert_int_equal(
		hs_tp_initial_scid(ch.transport_params, ch.transport_params_len, &tp_scid, &n), 0);
	assert_int_equal(n, 8);
	assert_memory_equal(tp_scid, cid, 8);
}

static void test_packet_numbers(void **state)
{
	uint8_t payload[1200] = { 0 }, packet[1500];
	size_t n, len, ch_len;

	n = t_crypto_frame(payload, 0, hello, hello_len);
	for (unsigned int pn_len = 1; pn_len <= 4; pn_len++) {
		struct hs_reassembly r = { 0 };
		struct t_initial p = base;

		p.pn_len = pn_len;
		p.pn = 0x81828384u & (0xffffffffu >> (32 - 8 * pn_len));
		len = t_seal_initial(packet, sizeof(packet), &p, payload, n + 10);
		assert_int_equal(feed(&r, packet, len, &ch_len), HS_INITIAL_COMPLETE);
		assert_int_equal(ch_len, hello_len);
		assert_memory_equal(r.data, hello, hello_len);
	}
}

static void test_wrong_bytes(void **state)
{
	uint8_t payload[1200] = { 0 }, packet[1500];
	size_t n = t_crypto_frame(payload, 0, hello, hello_len);
	size_t len = t_seal_initial(packet, sizeof(packet), &base, payload, n);
	size_t ch_len;

	/* Truncated at each length. A cut packet is malformed; nothing at all is no Initial. */
	for (size_t i = 1; i < len; i++) {
		struct hs_reassembly r = { 0 };

		assert_int_equal(feed(&r, packet, i, &ch_len), HS_INITIAL_BAD);
	}
	/* Flipped at each position: it never opens. The form bit makes it another packet. */
	for (size_t i = 0; i < len; i++) {
		struct hs_reassembly r = { 0 };

		for (unsigned int bit = 0; bit < 8; bit++) {
			packet[i] ^= (uint8_t)(1U << bit);
			assert_int_not_equal(feed(&r, packet, len, &ch_len), HS_INITIAL_COMPLETE);
			packet[i] ^= (uint8_t)(1U << bit);
		}
		assert_int_equal(r.n_pieces, 0);
	}
}

static void test_reserved_bits(void **state)
{
	uint8_t payload[1200] = { 0 }, packet[1500];
	size_t n = t_crypto_frame(payload, 0, hello, hello_len), ch_len;
	struct hs_reassembly r = { 0 };
	struct t_initial p = base;

	for (uint8_t bits = 0x04; bits <= 0x0c; bits += 4) {
		p.first_bits = bits;
		assert_int_equal(feed(&r, packet,
				      t_seal_initial(packet, sizeof(packet), &p, payload, n),
				      &ch_len),
				 HS_INITIAL_BAD);
	}
}

static void test_sizes(void **state)
{
	static uint8_t payload[2100], packet[2400];
	struct hs_reassembly none = { 0 };
	struct t_initial p = base;
	size_t ch_len, len;

	/* Room for a sample, but not one frame. */
	p.pn_len = 4;
	len = t_seal_initial(packet, sizeof(packet), &p, payload, 0);
	assert_int_equal(feed(&none, packet, len, &ch_len), HS_INITIAL_BAD);
	len = t_seal_initial(packet, sizeof(packet), &p, payload, 1);
	assert_int_equal(feed(&none, packet, len, &ch_len), HS_INITIAL_MORE);
	/* The shortest packet with room for a sample, one byte less, and the longest. */
	for (size_t n = 0; n < 6; n++) {
		struct hs_reassembly r = { 0 };

		len = t_seal_initial(packet, sizeof(packet), &base, payload, n);
		assert_int_equal(feed(&r, packet, len, &ch_len),
				 n < 3 ? HS_INITIAL_BAD : HS_INITIAL_MORE);
	}
	for (size_t n = 1900; n < 2060; n++) {
		struct hs_reassembly r = { 0 };

		len = t_seal_initial(packet, sizeof(packet), &base, payload, n);
		assert_int_equal(feed(&r, packet, len, &ch_len),
				 len > 2048 ? HS_INITIAL_BAD : HS_INITIAL_MORE);
	}
}

/* ---- frames ---- */
static void test_frames(void **state)
{
	static const struct {
		const char *hex;
		bool good;
	} cases[] = {
		{ "00000000", true }, /* PADDING */
		{ "01010101", true }, /* PING */
		{ "0205000005", true }, /* ACK 0..5 */
		{ "0205000006", false }, /* first range below zero */
		{ "0209000101"
		  "0100",
		  true }, /* 8..9, gap 2, range 5..5 */
		{ "0209000101"
		  "0504",
		  false },
		{ "0209000101"
		  "0601",
		  false }, /* 8..9, gap to 0, range of two */
		{ "0209000101"
		  "0600",
		  true },
		{ "0209000101"
		  "0700",
		  false },
		{ "020900ffffffffffffffff00", false }, /* 2^62 - 1 ranges */
		{ "0305000005010203", true }, /* ACK_ECN */
		{ "03050000050102", false },
		{ "1c0000"
		  "00",
		  true }, /* CONNECTION_CLOSE without reason */
		{ "1c000004"
		  "61626364",
		  true },
		{ "1c000005"
		  "61626364",
		  false },
		{ "1d000461626364", false }, /* that of the application */
		{ "0404000000", false }, /* RESET_STREAM */
		{ "0701610000", false }, /* NEW_TOKEN */
		{ "0800610000", false }, /* STREAM */
		{ "1e000000", false }, /* HANDSHAKE_DONE */
		{ "3000000000", false }, /* DATAGRAM */
		{ "4001000000", false }, /* PING, not in its shortest form */
		{ "06000000000000", true }, /* CRYPTO of no bytes */
		{ "0600400b0102", false }, /* CRYPTO beyond the packet */
		{ "0600", false },
		{ "06", false },
		{ "06bfffffff0101", false }, /* offset beyond the bound */
		{ "06ffffffffffffffff0101", false },
		{ "0650000101", false }, /* offset 4096, one byte */
		{ "064fff0101", true }, /* offset 4095, one byte */
	};
	uint8_t payload[64];
	size_t ch_len, n;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hs_reassembly r = { 0 };

		/* PADDING in front, as a packet needs some bytes for the sample. */
		n = strlen(cases[i].hex) / 2;
		memset(payload, 0, 4);
		t_unhex(cases[i].hex, payload + 4, n);
		if (feed_frames(&r, payload, 4 + n, &ch_len) !=
		    (cases[i].good ? HS_INITIAL_MORE : HS_INITIAL_BAD))
			fail_msg("frames %s", cases[i].hex);
	}
}

/* The hello in pieces of @size, sent in the order of @order, with noise between. */
static void scatter(size_t size, bool shuffle, bool coalesce)
{
	size_t first[HS_CH_PIECES * 2], n = 0, at = 0, ch_len = 0;
	struct hs_reassembly r = { 0 };
	uint8_t packet[2048];

	for (size_t i = 0; i < hello_len; i += size)
		first[n++] = i;
	for (size_t i = n; shuffle && i > 1; i--) {
		const size_t j = t_random_below((uint32_t)i), swap = first[i - 1];

		first[i - 1] = first[j];
		first[j] = swap;
	}
	for (size_t i = 0; i < n; i++) {
		const size_t len = hello_len - first[i] < size ? hello_len - first[i] : size;
		const bool last = i == n - 1;
		uint8_t payload[600] = { 0, 1, 0, 0 };
		struct t_initial p = base;
		size_t fill = 4;

		fill += t_crypto_frame(payload + fill, (uint32_t)first[i], hello + first[i], len);
		payload[fill++] = 1;
		p.pn = (uint32_t)i;
		at += t_seal_initial(packet + at, sizeof(packet) - at, &p, payload, fill);
		if (coalesce && !last && at + 600 < sizeof(packet))
			continue;
		assert_int_equal(feed(&r, packet, at, &ch_len),
				 last ? HS_INITIAL_COMPLETE : HS_INITIAL_MORE);
		at = 0;
	}
	assert_int_equal(ch_len, hello_len);
	assert_memory_equal(r.data, hello, hello_len);
	assert_int_equal(r.n_pieces, 1);
}

static void test_scattered(void **state)
{
	for (size_t size = hello_len / 12; size < hello_len; size += 17) {
		scatter(size, false, false);
		scatter(size, true, false);
		scatter(size, true, true);
	}
}

/* Like ngtcp2 1.24: many fragments, out of order, in one packet. */
static void test_scattered_in_one_packet(void **state)
{
	struct hs_reassembly r = { 0 };
	uint8_t payload[1400] = { 0 };
	size_t n = 0, ch_len;

	for (size_t i = 0; i < hello_len; i += 40)
		n += t_crypto_frame(payload + n, (uint32_t)i, hello + i,
				    hello_len - i < 20 ? hello_len - i : 20);
	for (size_t i = 20; i < hello_len; i += 40) {
		payload[n++] = 0;
		n += t_crypto_frame(payload + n, (uint32_t)i, hello + i,
				    hello_len - i < 20 ? hello_len - i : 20);
		payload[n++] = 1;
	}
	assert_int_equal(feed_frames(&r, payload, n, &ch_len), HS_INITIAL_COMPLETE);
	assert_memory_equal(r.data, hello, hello_len);
}

/* A datagram with other packets around the Initial. */
static void test_coalesced(void **state)
{
	static const uint8_t zero_rtt[] = { 0xd0, 0, 0, 0, 1, 1, 7, 1, 9, 3, 1, 2, 3 };
	uint8_t payload[1000], datagram[1600];
	size_t n = t_crypto_frame(payload, 0, hello, hello_len), at, ch_len;
	struct hs_reassembly r = { 0 };

	memcpy(datagram, zero_rtt, sizeof(zero_rtt));
	at = sizeof(zero_rtt);
	assert_int_equal(feed(&r, datagram, at, &ch_len), HS_INITIAL_MORE);
	at += t_seal_initial(datagram + at, sizeof(datagram) - at, &base, payload, n);
	memcpy(datagram + at, zero_rtt, sizeof(zero_rtt));
	at += sizeof(zero_rtt);
	memset(datagram + at, 0x41, 50); /* a short header: the rest is not ours */
	at += 50;
	assert_int_equal(feed(&r, datagram, at, &ch_len), HS_INITIAL_COMPLETE);
	/* A second Initial that does not open spoils the datagram. */
	memset(&r, 0, sizeof(r));
	at = t_seal_initial(datagram, sizeof(datagram), &base, payload, n);
	at += t_seal_initial(datagram + at, sizeof(datagram) - at, &base, payload, 50);
	datagram[at - 1] ^= 1;
	assert_int_equal(feed(&r, datagram, at, &ch_len), HS_INITIAL_BAD);
	/* Other keys. */
	memset(&r, 0, sizeof(r));
	at = t_seal_initial(datagram, sizeof(datagram), &base, payload, n);
	assert_int_equal(hs_initial_feed(&r, datagram, at, dcid, 19, &ch_len), HS_INITIAL_BAD);
}

/* ---- reassembly ---- */
static enum hs_initial_result crypto(struct hs_reassembly *r, uint32_t offset, const void *data,
				     size_t len)
{
	static uint8_t payload[2000];
	size_t ch_len;

	memset(payload, 0, sizeof(payload));
	return feed_frames(r, payload, 4 + t_crypto_frame(payload + 4, offset, data, len), &ch_len);
}

static void test_overlap(void **state)
{
	struct hs_reassembly r = { 0 };
	uint8_t other[300];

	memcpy(other, hello, sizeof(other));
	other[150] ^= 1;
	assert_int_equal(crypto(&r, 100, hello + 100, 50), HS_INITIAL_MORE);
	assert_int_equal(crypto(&r, 100, hello + 100, 50), HS_INITIAL_MORE); /* again */
	assert_int_equal(crypto(&r, 120, hello + 120, 60), HS_INITIAL_MORE);
	assert_int_equal(crypto(&r, 90, hello + 90, 100), HS_INITIAL_MORE); /* around */
	assert_int_equal(r.n_pieces, 1);
	assert_int_equal(r.pieces[0].first, 90);
	assert_int_equal(r.pieces[0].end, 190);
	/* Other bytes: at a start, inside, at an end. What was there stays. */
	assert_int_equal(crypto(&r, 150, other + 150, 100), HS_INITIAL_BAD);
	assert_int_equal(crypto(&r, 80, other + 80, 200), HS_INITIAL_BAD);
	assert_int_equal(crypto(&r, 80, other + 80, 71), HS_INITIAL_BAD);
	assert_memory_equal(r.data + 90, hello + 90, 100);
	assert_int_equal(r.pieces[0].first, 90);
	assert_int_equal(r.pieces[0].end, 190);
	assert_int_equal(crypto(&r, 0, hello, hello_len), HS_INITIAL_COMPLETE);
}

static void test_pieces(void **state)
{
	static uint8_t zero[HS_CH_MAX];
	struct hs_reassembly r = { 0 };

	for (uint32_t i = 0; i < HS_CH_PIECES; i++)
		assert_int_equal(crypto(&r, 10 + 4 * i, zero, 2), HS_INITIAL_MORE);
	assert_int_equal(r.n_pieces, HS_CH_PIECES);
	assert_int_equal(crypto(&r, 10 + 4 * HS_CH_PIECES, zero, 2), HS_INITIAL_BAD);
	assert_int_equal(crypto(&r, 5, zero, 2), HS_INITIAL_BAD);
	/* Full, but what closes a gap or lies inside is welcome. */
	assert_int_equal(crypto(&r, 12, zero, 2), HS_INITIAL_MORE);
	assert_int_equal(r.n_pieces, HS_CH_PIECES - 1);
	assert_int_equal(crypto(&r, 10, zero, 1000), HS_INITIAL_MORE);
	assert_int_equal(r.n_pieces, 1);
	assert_int_equal(crypto(&r, HS_CH_MAX - 1, zero, 1), HS_INITIAL_MORE);
	assert_int_equal(crypto(&r, HS_CH_MAX, zero, 1), HS_INITIAL_BAD);
	assert_int_equal(crypto(&r, HS_CH_MAX - 1, zero, 2), HS_INITIAL_BAD);
}

static void test_message_header(void **state)
{
	static const uint8_t other[] = { 2, 0, 0, 10 }, huge[] = { 1, 0, 0x10, 0 };
	struct hs_reassembly r = { 0 };

	/* Not a ClientHello: known from the first byte. */
	assert_int_equal(crypto(&r, 0, other, 1), HS_INITIAL_BAD);
	memset(&r, 0, sizeof(r));
	assert_int_equal(crypto(&r, 0, hello, 1), HS_INITIAL_MORE);
	assert_int_equal(crypto(&r, 1, hello + 1, 2), HS_INITIAL_MORE);
	assert_int_equal(crypto(&r, 3, hello + 3, hello_len - 4), HS_INITIAL_MORE);
	assert_int_equal(crypto(&r, (uint32_t)hello_len - 1, hello + hello_len - 1, 1),
			 HS_INITIAL_COMPLETE);
	/* Bytes behind it. */
	assert_int_equal(crypto(&r, (uint32_t)hello_len, other, 1), HS_INITIAL_BAD);
	/* 4096 bytes and its header: one too long by four. */
	memset(&r, 0, sizeof(r));
	assert_int_equal(crypto(&r, 0, huge, 4), HS_INITIAL_BAD);
}

/* Against a plain bitmap: random pieces of random content, at random places. */
static void test_reassembly_model(void **state)
{
	enum { SPACE = 600, ROUNDS = 60 };

	for (int round = 0; round < 200; round++) {
		uint8_t truth[SPACE], known[SPACE] = { 0 };
		struct hs_reassembly r = { 0 };

		t_random(truth, sizeof(truth));
		truth[0] = 1;
		truth[1] = 0;
		truth[2] = 0x0f;
		for (int i = 0; i < ROUNDS; i++) {
			const uint32_t at = t_random_below(SPACE), max = SPACE - at;
			const uint32_t len = 1 + t_random_below(max < 40 ? max : 40);

			if (crypto(&r, at, truth + at, len) == HS_INITIAL_BAD) {
				assert_int_equal(r.n_pieces, HS_CH_PIECES);
				break;
			}
			memset(known + at, 1, len);
		}
		for (uint32_t i = 0, p = 0; i < SPACE; i++) {
			while (p < r.n_pieces && r.pieces[p].end <= i)
				p++;
			assert_int_equal(known[i], p < r.n_pieces && r.pieces[p].first <= i);
			if (known[i])
				assert_int_equal(r.data[i], truth[i]);
		}
		for (uint32_t p = 1; p < r.n_pieces; p++)
			assert_true(r.pieces[p - 1].end < r.pieces[p].first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_header_types),
		cmocka_unit_test(test_header_lengths),
		cmocka_unit_test(test_rfc9001_a2),
		cmocka_unit_test(test_packet_numbers),
		cmocka_unit_test(test_wrong_bytes),
		cmocka_unit_test(test_reserved_bits),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_scattered_in_one_packet),
		cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_message_header),
		cmocka_unit_test(test_reassembly_model),
	};

	return cmocka_run_group_tests(tests, make_hello, NULL);
}
