// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Encoding of the capsules (capsule.h). capsule-parse.c reads them; capsule-types.h is common to both.
 * What is written here is always accepted there: routes are put in the order that RFC 9484 4.7.3
 * demands and those inside another one are left out; address bits behind a prefix are cleared.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "capsule-types.h"
#include "iprange.h"

struct writer {
	uint8_t *buf;
	size_t len, cap;
	bool full;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->full || len > w->cap - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->len, data, len);
	w->len += len;
}

static void put_u8(struct writer *w, uint8_t v)
{
	put(w, &v, 1);
}

static void put_varint(struct writer *w, uint64_t v)
{
	const unsigned int log = v < 1 << 6 ? 0 : v < 1 << 14 ? 1 : v < 1 << 30 ? 2 : 3;
	const unsigned int n = 1U << log;
	uint8_t b[8];

	for (unsigned int i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	b[0] |= (uint8_t)(log << 6);
	put(w, b, n);
}

/* Capsules are written with a length of four bytes, filled in by end_capsule(). */
static size_t begin_capsule(struct writer *w, uint64_t type)
{
	static const uint8_t later[4];

	put_varint(w, type);
	put(w, later, sizeof(later));
	return w->len;
}

static void end_capsule(struct writer *w, size_t start)
{
	const size_t len = w->len - start;

	if (w->full)
		return;
	w->buf[start - 4] = (uint8_t)(0x80 | len >> 24);
	w->buf[start - 3] = (uint8_t)(len >> 16);
	w->buf[start - 2] = (uint8_t)(len >> 8);
	w->buf[start - 1] = (uint8_t)len;
}

static uint8_t ip_version(uint8_t family)
{
	return family == AF_INET ? 4 : 6;
}

static void put_address(struct writer *w, uint64_t request_id, const struct hs_prefix *p)
{
	put_varint(w, request_id);
	put_u8(w, ip_version(p->family));
	put(w, p->addr, hs_addr_len(p->family));
	put_u8(w, p->len);
}

/*
 * One ADDRESS_REQUEST or ADDRESS_ASSIGN. The first entry of each family has the family's request ID;
 * a family without entry is all zero: "any" in a request, "none" in an answer.
 */
static void put_addresses(struct writer *w, uint64_t type, const struct hs_net *n)
{
	const size_t start = begin_capsule(w, type);
	uint64_t next_id = HS_REQUEST_ID_FREE;
	bool have4 = false, have6 = false;

	for (size_t i = 0; i < n->n_addresses; i++) {
		struct hs_prefix p = n->addresses[i];
		bool *have = p.family == AF_INET ? &have4 : &have6;
		uint64_t id = p.family == AF_INET ? HS_REQUEST_ID_IPV4 : HS_REQUEST_ID_IPV6;

		if (!hs_prefix_normalize(&p)) {
			w->full = true;
			return;
		}
		if (*have)
			id = type == HS_CAPSULE_ADDRESS_REQUEST ? next_id++ : 0;
		*have = true;
		put_address(w, id, &p);
	}
	if (!have4)
		put_address(w, HS_REQUEST_ID_IPV4,
			    &(struct hs_prefix){ .family = AF_INET, .len = 32 });
	if (!have6)
		put_address(w, HS_REQUEST_ID_IPV6,
			    &(struct hs_prefix){ .family = AF_INET6, .len = 128 });
	end_capsule(w, start);
}

/* By IP version, then address, wider prefixes first. */
static int compare(const struct hs_prefix *a, const struct hs_prefix *b)
{
	int d = ip_version(a->family) - ip_version(b->family);

	if (!d)
		d = memcmp(a->addr, b->addr, sizeof(a->addr));
	return d ? d : a->len - b->len;
}

/* Copy @n's routes in order. False: a route is no prefix. */
static bool sort_routes(const struct hs_net *n, struct hs_prefix out[HS_NET_ROUTES_MAX])
{
	for (size_t i = 0; i < n->n_routes; i++) {
		struct hs_prefix p = n->routes[i];
		size_t at = i;

		if (!hs_prefix_normalize(&p))
			return false;
		for (; at > 0 && compare(&out[at - 1], &p) > 0; at--)
			out[at] = out[at - 1];
		out[at] = p;
	}
	return true;
}

static void put_routes(struct writer *w, const struct hs_net *n)
{
	const size_t start = begin_capsule(w, HS_CAPSULE_ROUTE_ADVERTISEMENT);
	uint8_t first[16], last[16], covered[16] = { 0 };
	struct hs_prefix routes[HS_NET_ROUTES_MAX];
	uint8_t family = 0;

	if (!sort_routes(n, routes)) {
		w->full = true;
		return;
	}
	for (size_t i = 0; i < n->n_routes; i++) {
		const size_t len = hs_addr_len(routes[i].family);

		/* Two prefixes are disjoint or nested: this one lies in an earlier one or after it. */
		hs_prefix_bounds(&routes[i], first, last);
		if (family == routes[i].family && memcmp(first, covered, len) <= 0)
			continue;
		family = routes[i].family;
		memcpy(covered, last, len);
		put_u8(w, ip_version(family));
		put(w, first, len);
		put(w, last, len);
		put_u8(w, 0); /* every IP protocol */
	}
	end_capsule(w, start);
}

static void put_number(struct writer *w, uint64_t type, uint32_t v)
{
	put_varint(w, type);
	put_varint(w, v < 1 << 6 ? 1 : v < 1 << 14 ? 2 : v < 1 << 30 ? 4 : 8);
	put_varint(w, v);
}

static void put_settings(struct writer *w, const struct hs_net *n)
{
	const size_t start = begin_capsule(w, HS_CAPSULE_SETTINGS);

	put_number(w, HS_SETTING_MTU, n->mtu);
	put_number(w, HS_SETTING_KEEPALIVE, n->keepalive_ms);
	put_number(w, HS_SETTING_ROUTE_EPOCH, n->route_epoch);
	put_number(w, HS_SETTING_DP_CAPS, n->dp_caps);
	if (n->max_age_s)
		put_number(w, HS_SETTING_MAX_AGE, n->max_age_s);
	for (size_t i = 0; i < n->n_dns; i++) {
		const size_t len = hs_addr_len(n->dns[i].family);

		put_varint(w, HS_SETTING_DNS);
		put_varint(w, 1 + len);
		put_u8(w, ip_version(n->dns[i].family));
		put(w, n->dns[i].addr, len);
	}
	for (size_t i = 0; i < n->n_domains; i++) {
		const size_t len = strnlen(n->domains[i], sizeof(n->domains[i]));

		put_varint(w, HS_SETTING_DOMAIN);
		put_varint(w, len);
		put(w, n->domains[i], len);
	}
	end_capsule(w, start);
}

static ssize_t encode(const struct hs_net *n, uint64_t address_type, uint8_t *buf, size_t cap)
{
	struct writer w = { .buf = buf, .cap = cap < HS_CAPSULES_MAX ? cap : HS_CAPSULES_MAX };

	if (n->n_addresses > HS_NET_PREFIXES_MAX || n->n_routes > HS_NET_ROUTES_MAX ||
	    n->n_dns > HS_NET_DNS_MAX || n->n_domains > HS_NET_DOMAINS_MAX)
		return -EMSGSIZE;
	put_addresses(&w, address_type, n);
	if (n->n_routes || address_type == HS_CAPSULE_ADDRESS_ASSIGN)
		put_routes(&w, n);
	put_settings(&w, n);
	return w.full ? -EMSGSIZE : (ssize_t)w.len;
}

ssize_t hs_capsules_encode_request(const struct hs_net *n, uint8_t *buf, size_t cap)
{
	return encode(n, HS_CAPSULE_ADDRESS_REQUEST, buf, cap);
}

ssize_t hs_capsules_encode_answer(const struct hs_net *n, uint8_t *buf, size_t cap)
{
	return encode(n, HS_CAPSULE_ADDRESS_ASSIGN, buf, cap);
}
