// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probe list. Every function makes the datagrams of one probe for one address. Both addresses
 * get the same shape with fresh connection IDs, randoms and key shares: they may well be the same
 * server in the end, to which equal connection IDs would be one connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "hsd-test.h"
#include "initial.h"
#include "kdf.h"
#include "prober.h"

#define NAME "www.example.org"
#define FULL 1200
#define OVERHEAD 16
/* Two datagrams this far apart: the server works on the first, a relay may still wait for the second. */
#define CLOSE_MS 4

enum {
	AS_IT_IS,
	OTHER_ADDRESS,
	OTHER_SHARE,
	FIRST_HALF,
	IN_HALVES,
	MARKED = 16, /* times the ECN bits */
};

void pr_random(void *out, size_t len)
{
	if (getrandom(out, len, 0) != (ssize_t)len) {
		perror("getrandom");
		exit(2);
	}
}

static struct pr_sent *add(struct pr_side *s, unsigned int at_ms, unsigned int from)
{
	struct pr_sent *d = &s->sent[s->n_sent++];

	memset(d, 0, sizeof(*d));
	d->at_ms = at_ms;
	d->from = from;
	return d;
}

/* An Initial in the making. */
struct shape {
	size_t dcid_len, scid_len, token_len;
	const char *name;
	struct t_initial p;
	uint8_t dcid[20], scid[20], token[60], hello[2048];
	size_t hello_len;
};

/* Chooses connection IDs, and makes the ClientHello for them. */
static void shape_init(struct shape *h, struct pr_side *s)
{
	uint8_t random[32];

	pr_random(h->dcid, sizeof(h->dcid));
	pr_random(h->scid, sizeof(h->scid));
	pr_random(h->token, sizeof(h->token));
	pr_random(random, sizeof(random));
	memcpy(s->key_cid, h->dcid, h->dcid_len);
	s->key_cid_len = h->dcid_len;
	h->p = (struct t_initial){
		.dcid = h->dcid,
		.scid = h->scid,
		.token = h->token,
		.dcid_len = h->dcid_len,
		.scid_len = h->scid_len,
		.token_len = h->token_len,
		.pn_len = 1,
	};
	h->hello_len = t_client_hello(h->hello, sizeof(h->hello), random, h->scid, h->scid_len,
				      h->name ? h->name : NAME);
}

/* Seals @frames so that the packet has exactly @size bytes. */
static size_t seal(uint8_t *out, const struct t_initial *p, const uint8_t *frames, size_t len,
		   size_t size)
{
	const size_t head =
		5 + 1 + p->dcid_len + 1 + p->scid_len + 1 + p->token_len + 2 + p->pn_len;
	uint8_t payload[PR_DATAGRAM] = { 0 };
	size_t room = size - head - OVERHEAD;

	memcpy(payload, frames, len);
	return t_seal_initial(out, PR_DATAGRAM + 200, p, payload, room < len ? len : room);
}

static void put_initial(struct pr_sent *d, const struct t_initial *p, const uint8_t *frames,
			size_t len, size_t size)
{
	uint8_t packet[PR_DATAGRAM + 200];
	const size_t n = seal(packet, p, frames, len, size);

	memcpy(d->data + d->len, packet, n);
	d->len += n;
}

/* The usual first flight: the whole ClientHello in one datagram of @size bytes. */
static struct pr_sent *put_hello(struct pr_side *s, struct shape *h, size_t size)
{
	struct pr_sent *d = add(s, 0, 0);
	uint8_t frames[PR_DATAGRAM];

	put_initial(d, &h->p, frames, t_crypto_frame(frames, 0, h->hello, h->hello_len), size);
	return d;
}

static struct pr_sent *usual(struct pr_side *s, struct shape *h)
{
	*h = (struct shape){ .dcid_len = 20, .scid_len = 20 };
	shape_init(h, s);
	return put_hello(s, h, FULL);
}

/* arg: DCID length * 100 + SCID length. */
static void make_cids(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = p->arg / 100, .scid_len = p->arg % 100 };

	shape_init(&h, s);
	put_hello(s, &h, FULL);
}

/* arg: ECN bits. */
static void make_ecn(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h;

	usual(s, &h)->ecn = p->arg;
}

/* arg: ECN bits of the first in the upper digit, of a second one, 300 ms later, in the lower. */
static void make_ecn_twice(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h;
	struct pr_sent *d = usual(s, &h), *again = add(s, 300, 0);
	uint8_t frames[] = { 0x01 };

	d->ecn = p->arg >> 4;
	h.p.pn = 1;
	put_initial(again, &h.p, frames, sizeof(frames), FULL);
	again->ecn = p->arg & 15;
}

static void make_version_ecn(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h;
	struct pr_sent *d = usual(s, &h);

	memcpy(d->data + 1, "\x1a\x2a\x3a\x4a", 4);
	d->ecn = p->arg;
}

static void make_short_ecn(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct pr_sent *d = add(s, 0, 0);

	d->len = 100;
	pr_random(d->data, d->len);
	d->data[0] = (uint8_t)(0x40 | (d->data[0] & 0x3f));
	d->ecn = p->arg;
}

static void make_wrong_name(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20, .name = "other.example.net" };

	shape_init(&h, s);
	put_hello(s, &h, FULL);
}

/* arg: size of the datagram. */
static void make_size(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20 };

	shape_init(&h, s);
	put_hello(s, &h, p->arg);
}

static void make_token(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20, .token_len = p->arg };

	shape_init(&h, s);
	put_hello(s, &h, FULL);
}

/* arg: which byte of the datagram is changed, from the end if negative. */
static void make_flipped(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h;
	struct pr_sent *d = usual(s, &h);

	d->data[p->arg < 0 ? (int)d->len + p->arg : p->arg] ^= 0x40;
}

/* arg: bytes that are left of the datagram. */
static void make_truncated(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h;

	usual(s, &h)->len = p->arg;
}

static void make_reserved(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20 };

	shape_init(&h, s);
	h.p.first_bits = 0x0c;
	put_hello(s, &h, FULL);
}

/* An Initial of ~700 bytes and, in the same datagram, a packet of type arg with random content. */
static void make_coalesced(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20 };
	struct pr_sent *d;
	uint8_t *at;

	shape_init(&h, s);
	d = put_hello(s, &h, 700);
	at = d->data + d->len;
	pr_random(at, FULL - d->len);
	if (p->arg) {
		*at = (uint8_t)p->arg;
		memcpy(at + 1, "\0\0\0\1\x14", 6);
		memcpy(at + 6, h.dcid, 20);
		at[26] = 20;
		memcpy(at + 27, h.scid, 20);
		at[47] = (uint8_t)(0x40 | (FULL - 700 - 49) >> 8);
		at[48] = (uint8_t)(FULL - 700 - 49);
	}
	d->len = FULL;
}

/*
 * The ClientHello in two Initials: arg 0 one datagram, 1 two, 2 two in reverse order, 3 the first half
 * only, 4 the second half only, 5 two at once, 6 two at once in reverse order, 7 two that come close
 * together, 8 these in reverse order.
 */
static void make_halves(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20 };
	uint8_t first[PR_DATAGRAM], second[PR_DATAGRAM];
	struct pr_sent *d[2];
	const bool one = p->arg == 0 || p->arg == 3 || p->arg == 4;
	const bool reversed = p->arg == 2 || p->arg == 6 || p->arg == 8;
	const unsigned int gap_ms = p->arg >= 7 ? CLOSE_MS : p->arg >= 5 ? 0 : 20;
	size_t n, m, half;

	shape_init(&h, s);
	half = h.hello_len / 2;
	n = t_crypto_frame(first, 0, h.hello, half);
	m = t_crypto_frame(second, (uint32_t)half, h.hello + half, h.hello_len - half);
	d[0] = add(s, reversed ? gap_ms : 0, 0);
	d[1] = one ? d[0] : add(s, reversed ? 0 : gap_ms, 0);
	if (p->arg != 4)
		put_initial(d[0], &h.p, first, n, p->arg ? FULL : 400);
	h.p.pn = 1;
	if (p->arg != 3)
		put_initial(d[1], &h.p, second, m, p->arg ? FULL : 800);
	if (reversed) {
		struct pr_sent later = *d[0];

		*d[0] = *d[1];
		*d[1] = later;
	}
}

/* An Initial with other frames than a ClientHello; arg: the first byte. */
static void make_frames(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	static const uint8_t closing[] = { 0x1c, 0x00, 0x00, 0x00 };
	struct shape h = { .dcid_len = 20, .scid_len = 20 };
	uint8_t frames[200] = { (uint8_t)p->arg };
	size_t len = 1;

	shape_init(&h, s);
	if (p->arg == 0x1c)
		memcpy(frames, closing, len = sizeof(closing));
	if (p->arg == 0x06) {
		uint8_t junk[150] = { 0x01, 0x00, 0x00, 146, 0x03, 0x03 };

		pr_random(junk + 6, sizeof(junk) - 6);
		len = t_crypto_frame(frames, 0, junk, sizeof(junk));
	}
	put_initial(add(s, 0, 0), &h.p, frames, len, FULL);
}

/* A damaged ClientHello; arg: offset of the byte that is changed. */
static void make_damaged_hello(struct pr_side *s, const struct pr_probe *p,
			       const struct pr_flight *f)
{
	struct shape h = { .dcid_len = 20, .scid_len = 20 };

	shape_init(&h, s);
	h.hello[p->arg] ^= 0x55;
	put_hello(s, &h, FULL);
}

/* A usual flight under another version; arg: the version. */
static void make_version(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	const uint32_t version = (uint32_t)p->arg;
	struct shape h;
	struct pr_sent *d = usual(s, &h);

	for (int i = 0; i < 4; i++)
		d->data[1 + i] = (uint8_t)(version >> (24 - 8 * i));
}

/* An unknown version in a datagram of arg bytes. */
static void make_version_size(struct pr_side *s, const struct pr_probe *p,
			      const struct pr_flight *f)
{
	struct shape h;
	struct pr_sent *d = usual(s, &h);

	memcpy(d->data + 1, "\x1a\x2a\x3a\x4a", 4);
	d->len = p->arg;
}

/* An unknown version with connection IDs longer than version 1 has; arg: their length. */
static void make_version_cids(struct pr_side *s, const struct pr_probe *p,
			      const struct pr_flight *f)
{
	struct pr_sent *d = add(s, 0, 0);

	d->len = FULL;
	pr_random(d->data, d->len);
	memcpy(d->data, "\xc0\x1a\x2a\x3a\x4a", 5);
	d->data[5] = (uint8_t)p->arg;
	d->data[6 + p->arg] = (uint8_t)p->arg;
}

/* A short header with random content; arg: size of the datagram. */
static void make_short(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct pr_sent *d = add(s, 0, 0);

	d->len = p->arg;
	pr_random(d->data, d->len);
	if (d->len)
		d->data[0] = (uint8_t)(0x40 | (d->data[0] & 0x3f));
}

/* A long header with random content; arg: first byte * 10000 + size. */
static void make_long(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct pr_sent *d = add(s, 0, 0);

	d->len = p->arg % 10000;
	pr_random(d->data, d->len);
	d->data[0] = (uint8_t)(p->arg / 10000);
	memcpy(d->data + 1, "\0\0\0\1\x14", 5);
	d->data[26] = 20;
	d->data[47] = (uint8_t)(0x40 | (d->len - 49) >> 8);
	d->data[48] = (uint8_t)(d->len - 49);
}

/* The usual flight twice; arg: whether the second comes from another address, after 300 ms. */
static void make_twice(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct shape h;
	struct pr_sent *d = usual(s, &h), *again = add(s, 300, p->arg);

	memcpy(again->data, d->data, d->len);
	again->len = d->len;
}

/* After a usual flight, something else for the same connection ID; arg: first byte of the packet. */
static void make_then(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	struct pr_probe other = { .arg = p->arg * 10000 + FULL };
	struct shape h;

	usual(s, &h);
	make_long(s, &other, NULL);
	s->sent[1].at_ms = 300;
	memcpy(s->sent[1].data + 6, h.dcid, 20);
	memcpy(s->sent[1].data + 27, h.scid, 20);
}

/* The ClientHello of a captured flight. */
static size_t captured_hello(const struct pr_flight *f, struct hs_long_header *head, uint8_t *hello)
{
	static struct hs_reassembly r;
	size_t len = 0;

	memset(&r, 0, sizeof(r));
	if (hs_long_header_parse(f->data, f->len, head) ||
	    hs_initial_feed(&r, f->data, f->len, head->dcid, head->dcid_len, &len) !=
		    HS_INITIAL_COMPLETE) {
		fprintf(stderr, "prober: a flight is not a whole ClientHello\n");
		exit(2);
	}
	memcpy(hello, r.data, len);
	return len;
}

/* Replaces the last byte of the X25519 share (group 29, 32 bytes). */
static void change_share(uint8_t *hello, size_t len)
{
	uint8_t *at = memmem(hello, len, "\0\x1d\0\x20", 4);

	if (!at || at + 36 > hello + len) {
		fprintf(stderr, "prober: a flight has no X25519 share\n");
		exit(2);
	}
	at[4] ^= 0x01;
}

/*
 * Captured flights. The address that stands for the cover gets, in place of a flight that the cover
 * has never seen, one of the same shape: same ClientHello with a fresh random and fresh connection IDs.
 */
static void make_captured(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *f)
{
	const struct pr_flight *from = f ? f : &pr_template;
	struct shape h = { .dcid_len = 20, .scid_len = 20 };
	uint8_t hello[HS_CH_MAX], frames[PR_DATAGRAM], *at;
	struct hs_long_header head;
	struct pr_sent *d;
	const int how = p->arg % MARKED;
	size_t len;

	shape_init(&h, s);
	len = captured_hello(from, &head, hello);
	d = add(s, 0, 0);
	d->ecn = p->arg / MARKED;
	if (f) {
		memcpy(s->key_cid, head.dcid, 20);
		memcpy(h.dcid, head.dcid, 20);
		memcpy(h.scid, head.scid, 20);
	} else {
		pr_random(hello + 6, 32);
		at = memmem(hello, len, head.scid, head.scid_len);
		if (at)
			memcpy(at, h.scid, 20);
	}
	if (how == OTHER_SHARE)
		change_share(hello, len);
	if (how == FIRST_HALF || how == IN_HALVES) {
		put_initial(d, &h.p, frames, t_crypto_frame(frames, 0, hello, len / 2), FULL);
		if (how == IN_HALVES) {
			h.p.pn = 1;
			put_initial(add(s, CLOSE_MS, 0), &h.p, frames,
				    t_crypto_frame(frames, (uint32_t)(len / 2), hello + len / 2,
						   len - len / 2),
				    FULL);
		}
	} else if (f && how != OTHER_SHARE) {
		memcpy(d->data, f->data, f->len);
		d->len = f->len;
	} else {
		put_initial(d, &h.p, frames, t_crypto_frame(frames, 0, hello, len), FULL);
	}
	if (how == OTHER_ADDRESS) {
		struct pr_sent *again = add(s, 300, 1);

		memcpy(again->data, d->data, d->len);
		again->len = d->len;
	}
}

#define SECONDS_6 6000

const struct pr_probe pr_probes[] = {
	{ "first flight, then silence, 20/20", make_cids, 2020, SECONDS_6 },
	{ "first flight, then silence, 8/0", make_cids, 800, SECONDS_6 },
	{ "first flight, wrong name", make_wrong_name },
	{ "first flight, not marked for ECN", make_ecn, 0 },
	{ "first flight marked ECT(0)", make_ecn, 2 },
	{ "first flight marked ECT(1)", make_ecn, 1 },
	{ "first flight marked CE", make_ecn, 3 },
	{ "flight marked ECT(0), again marked CE", make_ecn_twice, 0x23 },
	{ "flight not marked, again marked ECT(1)", make_ecn_twice, 0x01 },
	{ "unknown version marked ECT(0)", make_version_ecn, 2 },
	{ "short header marked ECT(0)", make_short_ecn, 2 },
	{ "short header marked ECT(1)", make_short_ecn, 1 },
	{ "short header marked CE", make_short_ecn, 3 },
	{ "8/8 connection IDs", make_cids, 808 },
	{ "18/5 connection IDs", make_cids, 1805 },
	{ "20/0 connection IDs", make_cids, 2000 },
	{ "DCID of 7 bytes", make_cids, 720 },
	{ "DCID of 0 bytes", make_cids, 20 },
	{ "Initial in 1199 bytes", make_size, 1199 },
	{ "Initial in 600 bytes", make_size, 600 },
	{ "Initial in 1400 bytes", make_size, 1400 },
	{ "token of 20 bytes", make_token, 20 },
	{ "token of 60 bytes", make_token, 60 },
	{ "first byte flipped (fixed bit)", make_flipped, 0 },
	{ "DCID byte flipped", make_flipped, 10 },
	{ "tag flipped", make_flipped, -1 },
	{ "packet number flipped", make_flipped, 50 },
	{ "reserved bits set", make_reserved },
	{ "cut to 1100 bytes", make_truncated, 1100 },
	{ "cut to 40 bytes", make_truncated, 40 },
	{ "cut to 6 bytes", make_truncated, 6 },
	{ "cut to 1 byte", make_truncated, 1 },
	{ "empty datagram", make_truncated, 0 },
	{ "Initial | garbage", make_coalesced, 0 },
	{ "Initial | 0-RTT", make_coalesced, 0xd0 },
	{ "Initial | Handshake", make_coalesced, 0xe0 },
	{ "ClientHello in two packets", make_halves, 0 },
	{ "ClientHello in two datagrams", make_halves, 1 },
	{ "ClientHello in two datagrams, reversed", make_halves, 2 },
	{ "ClientHello in two datagrams at once", make_halves, 5 },
	{ "ClientHello in two datagrams at once, reversed", make_halves, 6 },
	{ "ClientHello in two datagrams, close", make_halves, 7 },
	{ "ClientHello in two datagrams, close, reversed", make_halves, 8 },
	{ "half a ClientHello", make_halves, 3, 3000 },
	{ "second half of a ClientHello", make_halves, 4 },
	{ "Initial with PING", make_frames, 0x01 },
	{ "Initial with CONNECTION_CLOSE", make_frames, 0x1c },
	{ "Initial with a STREAM frame", make_frames, 0x08 },
	{ "Initial with an unknown frame", make_frames, 0x3f },
	{ "Initial with padding only", make_frames, 0x00 },
	{ "ClientHello of garbage", make_frames, 0x06 },
	{ "ClientHello with a wrong type", make_damaged_hello, 0 },
	{ "ClientHello with a wrong length", make_damaged_hello, 3 },
	{ "ClientHello with another legacy version", make_damaged_hello, 4 },
	{ "ClientHello with a session ID", make_damaged_hello, 38 },
	{ "version 0", make_version, 0 },
	{ "version 2", make_version, 0x6b3343cf },
	{ "version draft-29", make_version, (int)0xff00001d },
	{ "version reserved", make_version, 0x0a0a0a0a },
	{ "unknown version in 1199 bytes", make_version_size, 1199 },
	{ "unknown version in 100 bytes", make_version_size, 100 },
	{ "unknown version, 0/0", make_version_cids, 0 },
	{ "unknown version, 21/21", make_version_cids, 21 },
	{ "unknown version, 100/100", make_version_cids, 100 },
	{ "short header, 10 bytes", make_short, 10 },
	{ "short header, 21 bytes", make_short, 21 },
	{ "short header, 22 bytes", make_short, 22 },
	{ "short header, 39 bytes", make_short, 39 },
	{ "short header, 43 bytes", make_short, 43 },
	{ "short header, 100 bytes", make_short, 100 },
	{ "short header, 1200 bytes", make_short, 1200 },
	{ "0-RTT out of the blue", make_long, 0xd0 * 10000 + 1200 },
	{ "Handshake out of the blue", make_long, 0xe0 * 10000 + 1200 },
	{ "Handshake out of the blue, 100 bytes", make_long, 0xe0 * 10000 + 100 },
	{ "Retry out of the blue", make_long, 0xf0 * 10000 + 120 },
	{ "Initial that does not open", make_long, 0xc0 * 10000 + 1200 },
	{ "flight, again from the same address", make_twice, 0 },
	{ "flight, again from another address", make_twice, 1 },
	{ "flight, then 0-RTT", make_then, 0xd0 },
	{ "flight, then a wrong Handshake", make_then, 0xe0 },
	{ "captured flight, replayed", make_captured, AS_IT_IS, 3000, true },
	{ "captured flight, from two addresses", make_captured, OTHER_ADDRESS, 3000, true },
	{ "captured flight, its first half", make_captured, FIRST_HALF, 3000, true },
	{ "captured flight in two datagrams, close", make_captured, IN_HALVES, 1200, true },
	{ "captured random, another key share", make_captured, OTHER_SHARE, 3000, true },
	{ "captured flight marked ECT(0)", make_captured, 2 * MARKED, 1200, true },
	{ "captured flight marked ECT(1)", make_captured, 1 * MARKED, 1200, true },
	{ "captured flight marked CE", make_captured, 3 * MARKED, 1200, true },
};
const size_t pr_n_probes = sizeof(pr_probes) / sizeof(pr_probes[0]);
