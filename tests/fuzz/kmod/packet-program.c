// SPDX-License-Identifier: GPL-2.0-or-later
#include "packet-program.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <string.h>

#include "../../unit/dp/packets.h"
#include "harness.h"

#define MAX_STEPS 64
#define ROOM (STEP_PAYLOAD_MAX + 256)

struct item {
	struct step head;
	uint8_t payload[ROOM];
	size_t len;
};

static struct item items[MAX_STEPS];
static unsigned int n_items;

size_t step_parse(const uint8_t *data, size_t size, struct step *s, const uint8_t **payload,
		  size_t *len)
{
	if (size < sizeof(*s))
		return 0;
	memcpy(s, data, sizeof(*s));
	*payload = data + sizeof(*s);
	*len = s->len[0] << 8 | s->len[1];
	if (*len > size - sizeof(*s))
		*len = size - sizeof(*s);
	if (*len > STEP_PAYLOAD_MAX)
		*len = STEP_PAYLOAD_MAX;
	return sizeof(*s) + *len;
}

void step_fix(uint8_t *pkt, size_t len)
{
	bool v4 = len && pkt[0] >> 4 == 4;
	size_t l4, sum;

	if (len < (v4 ? 20 : 40) || l4_at(pkt) < 20)
		return;
	l4 = l4_at(pkt);
	if (v4)
		put16(pkt + 2, len);
	else
		put16(pkt + 4, len - 40);
	if (v4 && l4 <= len) {
		put16(pkt + 10, 0);
		put16(pkt + 10, ~naive_sum(0, pkt, l4));
	}
	switch (v4 ? pkt[9] : pkt[6]) {
	case 6:
		sum = l4 + 16;
		break;
	case 17:
		sum = l4 + 6;
		break;
	default:
		return;
	}
	if (sum + 2 > len)
		return;
	if (sum == l4 + 6)
		put16(pkt + l4 + 4, len - l4);
	put16(pkt + sum, 0);
	put16(pkt + sum, ~naive_l4_sum(pkt, len));
}

/* ---- what is in a packet ---- */

static uint8_t *put_varint(uint8_t *p)
{
	static const uint8_t few[] = { 0, 1, 2, 3, 9, 10, 11, 12, 20, 63 };
	unsigned int log = any(4) ? 0 : any(4), i;

	for (i = 0; i < 1u << log; i++)
		p[i] = any(3) ? 0 : any(256);
	if (!log || any(2))
		p[(1 << log) - 1] = few[any(sizeof(few))];
	p[0] = (p[0] & 0x3f) | log << 6;
	return p + i;
}

static uint8_t *put_bytes(uint8_t *p, size_t n)
{
	uint8_t value = any(256);

	memset(p, value, n);
	if (n && any(2))
		p[any(n)] = any(256);
	return p + n;
}

static size_t make_inner(uint8_t *p, unsigned int session, bool into_device);

/*
 * Frames and what is in them. v: a number. B: a length and bytes. T: bytes to the end. R: ranges.
 * C: a connection ID and its token. 8: so many bytes. D: an inner packet to the end. L: one with
 * its length.
 */
static const struct {
	uint8_t type;
	const char *fields;
} frames[] = {
	{ 0x00, "" },	 { 0x01, "" },	 { 0x02, "vvR" }, { 0x03, "vvRvvv" }, { 0x04, "vvv" },
	{ 0x05, "vv" },	 { 0x06, "vB" }, { 0x07, "B" },	  { 0x08, "vT" },     { 0x0a, "vB" },
	{ 0x0f, "vvB" }, { 0x10, "v" },	 { 0x11, "vv" },  { 0x12, "v" },      { 0x13, "v" },
	{ 0x14, "v" },	 { 0x15, "vv" }, { 0x16, "v" },	  { 0x17, "v" },      { 0x18, "vvC" },
	{ 0x19, "v" },	 { 0x1a, "8" },	 { 0x1b, "8" },	  { 0x1c, "vvB" },    { 0x1d, "vB" },
	{ 0x1e, "" },	 { 0x30, "D" },	 { 0x31, "L" },	  { 0x02, "vvR" },    { 0x18, "vvC" },
	{ 0x1a, "8" },	 { 0x21, "vv" },
};

static uint8_t *put_field(uint8_t *p, char field, unsigned int session)
{
	size_t n = any(4) ? any(32) : any(300);
	uint8_t *start = p;

	switch (field) {
	case 'v':
		return put_varint(p);
	case '8':
		return put_bytes(p, 8);
	case 'B':
		if (n > 63)
			*p++ = 0x40 | n >> 8;
		*p++ = n;
		return put_bytes(p, n);
	case 'T':
		return put_bytes(p, n);
	case 'R':
		n = any(5);
		*p++ = n;
		p = put_varint(p);
		for (n *= 2; n; n--)
			p = put_varint(p);
		return p;
	case 'C':
		n = any(4) ? session == 2 ? 4 : 20 : any(24);
		*p++ = n;
		return put_bytes(p, n + 16);
	case 'L':
		start = p += 2;
		/* fall through */
	default:
		*p++ = any(8) ? 0 : any(256);
		p += make_inner(p, session, false);
		if (field == 'L')
			put16(start - 2, 0x4000 | (p - start));
		return p;
	}
}

static size_t make_frames(uint8_t *p, unsigned int session)
{
	unsigned int n = 1 + any(5), i;
	uint8_t *at = p;
	const char *f;

	while (n-- && at - p < STEP_PAYLOAD_MAX / 2) {
		i = any(sizeof(frames) / sizeof(*frames));
		*at++ = frames[i].type;
		for (f = frames[i].fields; *f; f++)
			at = put_field(at, *f, session);
		if (frames[i].fields[0] == 'D')
			break;
	}
	return at - p;
}

/* An inner packet from behind the session to us, or from us to there; mostly a good one. */
static size_t make_inner(uint8_t *p, unsigned int session, bool into_device)
{
	struct flow f = { .v6 = !any(3), .udp = any(2), .seq = any(4), .flags = 0x10 };
	size_t len, n = any(3) ? any(64) : any(700), at;
	uint8_t there[16] = { 0xfd, 0x20 + session }, here[16] = { 0xfd, [15] = 2 };

	f.options = f.udp || any(2) ? 0 : 4 * any(11);
	f.tos = any(2) ? 0 : any(256);
	if (!any(4))
		f.flags = any(256);
	len = make_packet(&f, p, n);
	at = f.v6 ? 8 : 12;
	if (!f.v6) {
		memcpy(there, (uint8_t[]){ 10, 20 + session, 0, 1 }, 4);
		memcpy(here, (uint8_t[]){ 10, 1, 0, 2 }, 4);
		/* Others' clients. */
		if (!any(8))
			here[0] = 10, here[1] = 20 + any(STEP_SESSIONS);
	}
	n = f.v6 ? 16 : 4;
	memcpy(p + at, into_device ? here : there, n);
	memcpy(p + at + n, into_device ? there : here, n);
	step_fix(p, len);
	if (!any(8))
		p[any(len < 60 ? len : 60)] = any(256);
	return len;
}

static size_t make_into_device(uint8_t *p, unsigned int session)
{
	struct virtio_net_hdr vh = { 0 };
	uint8_t *pkt = p + sizeof(vh);
	size_t len = make_inner(pkt, session, true), l4 = l4_at(pkt);
	bool v4 = pkt[0] >> 4 == 4, tcp = (v4 ? pkt[9] : pkt[6]) == 6;

	if (any(3)) {
		vh.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vh.csum_start = l4;
		vh.csum_offset = tcp ? 16 : 6;
	}
	if (tcp && any(3)) {
		vh.gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		vh.gso_size = 1 + any(any(2) ? 64 : 600);
		vh.hdr_len = l4 + 20;
	}
	if (!any(8))
		((uint8_t *)&vh)[any(sizeof(vh))] = any(256);
	memcpy(p, &vh, sizeof(vh));
	return sizeof(vh) + len;
}

static size_t make_datagram(uint8_t *p, unsigned int session)
{
	size_t n = any(4) ? any(80) : any(1400);

	put_bytes(p, n);
	if (!n)
		return 0;
	p[0] = any(3) ? 0x40 | any(64) : any(256);
	/* The sessions' IDs, as abi_put_session() makes them, and tokens of their peers'. */
	if (n > 21)
		memset(p + 1, (session == 1 ? 0x10 : 0x80) + 4 * (session + 1) + any(2), 20);
	if (n > 40 && !any(4))
		memset(p + n - 16, (session == 1 ? 0x80 : 0x10) + 4 * (session + 1) + 8, 16);
	return n;
}

static void make_payload(struct item *i)
{
	unsigned int session = i->head.session % STEP_SESSIONS;

	switch (i->head.op % STEP_OPS) {
	case STEP_RAW:
		i->len = make_datagram(i->payload, session);
		break;
	case STEP_FRAMES:
		i->len = make_frames(i->payload, session);
		break;
	case STEP_INNER:
		i->len = make_inner(i->payload, session, false);
		break;
	case STEP_DEVICE:
		i->len = make_into_device(i->payload, session);
		break;
	case STEP_UDP:
		put16(i->payload, any(2) ? 1 + any(1400) : 0);
		put16(i->payload + 2, any(any(2) ? 1400 : 20000));
		i->len = 4;
		break;
	default:
		i->len = 0;
	}
}

static void make_head(struct step *s)
{
	static const uint8_t ops[] = { STEP_RAW,   STEP_FRAMES, STEP_FRAMES, STEP_FRAMES,
				       STEP_INNER, STEP_INNER,	STEP_DEVICE, STEP_DEVICE,
				       STEP_UDP,   STEP_ANSWER, STEP_ANSWER, STEP_KEY_UPDATE,
				       STEP_WAIT };

	memset(s, 0, sizeof(*s));
	s->op = ops[any(sizeof(ops))];
	/* Mostly one: to make a session costs more than all that it is sent. */
	s->session = n_items && any(4) ? items[0].head.session : any(STEP_SESSIONS);
	if (!any(3))
		s->flags = 1 << any(7);
	if ((s->op == STEP_INNER || s->op == STEP_DEVICE) && any(2))
		s->copies = any(16);
	if (!any(6))
		s->bits = any(2) ? any(4) : 1 << any(8);
	if (!any(6))
		s->pn = any(2) ? (int)any(16) - 8 : (int)any(256) - 128;
	if (!any(6))
		s->from = any(6) | any(4) << 4;
	s->where = any(256);
}

static void make_item(struct item *i)
{
	make_head(&i->head);
	make_payload(i);
}

/* ---- programs ---- */

static void parse_program(const uint8_t *data, size_t size)
{
	const uint8_t *payload;
	size_t n;

	for (n_items = 0; n_items < MAX_STEPS; n_items++) {
		struct item *i = &items[n_items];

		n = step_parse(data, size, &i->head, &payload, &i->len);
		if (!n)
			break;
		memcpy(i->payload, payload, i->len);
		data += n;
		size -= n;
	}
}

static void insert_item(const struct item *new)
{
	unsigned int at = any(n_items + 1);

	if (n_items == MAX_STEPS)
		return;
	memmove(&items[at + 1], &items[at], (n_items - at) * sizeof(*items));
	items[at] = *new;
	n_items++;
}

static void mutate_item(struct item *i, size_t (*mutate_bytes)(uint8_t *, size_t, size_t))
{
	struct step other;
	size_t n;

	switch (any(8)) {
	case 0:
		make_payload(i);
		break;
	case 1:
		/* One more frame, or whatever it is. */
		n = i->len;
		if (i->head.op % STEP_OPS == STEP_FRAMES && n < STEP_PAYLOAD_MAX / 2)
			i->len = n + make_frames(i->payload + n, i->head.session % STEP_SESSIONS);
		break;
	case 2:
		i->head.flags ^= 1 << any(7);
		break;
	case 3:
		make_head(&other);
		other.op = i->head.op;
		i->head = other;
		break;
	case 4:
		((uint8_t *)&i->head)[any(8)] = any(256);
		break;
	default:
		i->len = mutate_bytes(i->payload, i->len, STEP_PAYLOAD_MAX);
	}
}

static void mutate_program(size_t (*mutate_bytes)(uint8_t *, size_t, size_t))
{
	static struct item new;
	unsigned int a = any(n_items), b = any(n_items);

	switch (any(8)) {
	case 0:
	case 1:
		make_item(&new);
		insert_item(&new);
		break;
	case 2:
		new = items[a];
		insert_item(&new);
		break;
	case 3:
		if (n_items > 1) {
			n_items--;
			memmove(&items[a], &items[a + 1], (n_items - a) * sizeof(*items));
		}
		break;
	case 4:
		new = items[a];
		items[a] = items[b];
		items[b] = new;
		break;
	default:
		mutate_item(&items[a], mutate_bytes);
	}
}

size_t program_mutate(uint8_t *data, size_t size, size_t cap, uint32_t seed,
		      size_t (*mutate_bytes)(uint8_t *data, size_t size, size_t cap))
{
	unsigned int i;
	size_t at = 0;

	chance_seed(seed);
	parse_program(data, size);
	if (!n_items)
		make_item(&items[n_items++]);
	for (i = 1 + any(3); i; i--)
		mutate_program(mutate_bytes);
	for (i = 0; i < n_items; i++) {
		struct item *it = &items[i];

		if (at + sizeof(it->head) + it->len > cap)
			break;
		put16(it->head.len, it->len);
		memcpy(data + at, &it->head, sizeof(it->head));
		memcpy(data + at + sizeof(it->head), it->payload, it->len);
		at += sizeof(it->head) + it->len;
	}
	return at ? at : mutate_bytes(data, size, cap);
}
