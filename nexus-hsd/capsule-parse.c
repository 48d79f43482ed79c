// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parsing of the capsules (capsule.h): every rule of RFC 9484 4.7 that a receiver must enforce, and
 * our bounds. The peer is authenticated by now, but its bytes are parsed as if it were not.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "capsule-types.h"
#include "iprange.h"
#include "reader.h"

#define MTU_MIN 576
#define MTU_MAX 65535

struct parser {
	struct hs_net *out;
	const char *error;
	bool have_settings;
	uint64_t address_type; /* which of ADDRESS_REQUEST and ADDRESS_ASSIGN was seen, or 0 */
};

static int fail(struct parser *p, int err, const char *text)
{
	p->error = text;
	return err;
}

static uint8_t read_family(struct hs_reader *r)
{
	const uint64_t version = hs_read_be(r, 1);

	return version == 4 ? AF_INET : version == 6 ? AF_INET6 : 0;
}

/* An address with its prefix length. NULL, or what is wrong. */
static const char *read_prefix(struct hs_reader *r, struct hs_prefix *p)
{
	struct hs_prefix clean;
	const uint8_t *addr;
	size_t len;

	memset(p, 0, sizeof(*p));
	p->family = read_family(r);
	len = hs_addr_len(p->family);
	if (!len)
		return "address of an unknown IP version";
	addr = hs_read(r, len);
	p->len = (uint8_t)hs_read_be(r, 1);
	if (r->bad)
		return "truncated address";
	memcpy(p->addr, addr, len);
	clean = *p;
	if (!hs_prefix_normalize(&clean))
		return "prefix length beyond the address";
	if (memcmp(&clean, p, sizeof(clean)))
		return "address bits behind the prefix length";
	return NULL;
}

static bool is_zero(const struct hs_prefix *p)
{
	static const uint8_t zero[16];

	return !memcmp(p->addr, zero, sizeof(zero));
}

/* Each capsule holds the full list: the last one counts. */
static int parse_addresses(struct parser *ps, uint64_t type, struct hs_reader *r)
{
	const bool request = type == HS_CAPSULE_ADDRESS_REQUEST;
	uint64_t ids[HS_NET_PREFIXES_MAX];
	size_t n_ids = 0;

	if (ps->address_type && ps->address_type != type)
		return fail(ps, -EBADMSG, "both ADDRESS_REQUEST and ADDRESS_ASSIGN");
	if (request && !r->left)
		return fail(ps, -EBADMSG, "empty ADDRESS_REQUEST");
	ps->address_type = type;
	ps->out->n_addresses = 0;
	memset(ps->out->addresses, 0, sizeof(ps->out->addresses));
	while (r->left) {
		const uint64_t id = hs_read_varint(r);
		struct hs_prefix p;
		const char *wrong = read_prefix(r, &p);

		if (wrong)
			return fail(ps, -EBADMSG, wrong);
		if (n_ids == HS_NET_PREFIXES_MAX)
			return fail(ps, -E2BIG, "too many addresses");
		for (size_t i = 0; i < n_ids; i++) {
			if (id && ids[i] == id)
				return fail(ps, -EBADMSG, "repeated request ID");
		}
		ids[n_ids++] = id;
		if (request && !id)
			return fail(ps, -EBADMSG, "request ID 0");
		/* All zero: any address asked for, or none given. */
		if (is_zero(&p) && (request || p.len == 8 * hs_addr_len(p.family)))
			continue;
		ps->out->addresses[ps->out->n_addresses++] = p;
	}
	return 0;
}

struct range {
	uint8_t family, protocol;
	const uint8_t *first, *last;
};

static const char *read_range(struct hs_reader *r, struct range *range)
{
	size_t len;

	range->family = read_family(r);
	len = hs_addr_len(range->family);
	if (!len)
		return "route of an unknown IP version";
	range->first = hs_read(r, len);
	range->last = hs_read(r, len);
	range->protocol = (uint8_t)hs_read_be(r, 1);
	if (r->bad)
		return "truncated route";
	return memcmp(range->first, range->last, len) > 0 ? "route ends before it starts" : NULL;
}

/* RFC 9484 4.7.3: may @b follow @a? */
static bool in_order(const struct range *a, const struct range *b)
{
	if (a->family != b->family)
		return a->family == AF_INET;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol;
	return memcmp(a->last, b->first, hs_addr_len(a->family)) < 0;
}

static int parse_routes(struct parser *ps, struct hs_reader *r)
{
	struct range range, previous = { 0 };
	struct hs_net *out = ps->out;
	const char *wrong;
	int n;

	out->n_routes = 0;
	memset(out->routes, 0, sizeof(out->routes));
	for (; r->left; previous = range) {
		wrong = read_range(r, &range);
		if (wrong)
			return fail(ps, -EBADMSG, wrong);
		if (previous.family && !in_order(&previous, &range))
			return fail(ps, -EBADMSG, "routes overlap or are out of order");
		/* A route for one IP protocol alone is none that a routing table could hold. */
		if (range.protocol)
			continue;
		n = hs_range_split(range.family, range.first, range.last,
				   out->routes + out->n_routes, HS_NET_ROUTES_MAX - out->n_routes);
		if (n < 0)
			return fail(ps, n, "too many routes");
		out->n_routes += (size_t)n;
	}
	return 0;
}

static int parse_dns(struct parser *ps, struct hs_reader *r)
{
	struct hs_net *out = ps->out;
	struct hs_prefix p = { 0 };
	const uint8_t *addr;
	size_t len;

	p.family = read_family(r);
	len = hs_addr_len(p.family);
	addr = len ? hs_read(r, len) : NULL;
	if (!addr || !hs_read_done(r))
		return fail(ps, -EBADMSG, "malformed DNS server");
	if (out->n_dns == HS_NET_DNS_MAX)
		return fail(ps, -E2BIG, "too many DNS servers");
	memcpy(p.addr, addr, len);
	p.len = (uint8_t)(8 * len);
	out->dns[out->n_dns++] = p;
	return 0;
}

static bool is_label_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Labels of 1..63 letters, digits, '-', '_', separated by single dots: safe in any file or command. */
static int parse_domain(struct parser *ps, struct hs_reader *r)
{
	struct hs_net *out = ps->out;
	size_t label = 0;

	if (!r->left || r->left >= sizeof(out->domains[0]))
		return fail(ps, -EBADMSG, "malformed domain");
	for (size_t i = 0; i < r->left; i++) {
		const bool dot = r->at[i] == '.';

		if ((dot && !label) || (!dot && !is_label_char(r->at[i])) || label > 63)
			return fail(ps, -EBADMSG, "malformed domain");
		label = dot ? 0 : label + 1;
	}
	if (!label || label > 63 || r->at[0] == '-')
		return fail(ps, -EBADMSG, "malformed domain");
	if (out->n_domains == HS_NET_DOMAINS_MAX)
		return fail(ps, -E2BIG, "too many domains");
	memcpy(out->domains[out->n_domains], r->at, r->left);
	out->domains[out->n_domains++][r->left] = '\0';
	return 0;
}

static int parse_number(struct parser *ps, uint64_t type, struct hs_reader *r, uint32_t *seen)
{
	const uint64_t v = hs_read_varint(r);
	const uint32_t bit = 1U << type;

	if (!hs_read_done(r) || v > UINT32_MAX)
		return fail(ps, -EBADMSG, "malformed number");
	if (*seen & bit)
		return fail(ps, -EBADMSG, "repeated setting");
	*seen |= bit;
	switch (type) {
	case HS_SETTING_MTU:
		if (v && (v < MTU_MIN || v > MTU_MAX))
			return fail(ps, -EBADMSG, "MTU out of range");
		ps->out->mtu = (uint32_t)v;
		break;
	case HS_SETTING_KEEPALIVE:
		ps->out->keepalive_ms = (uint32_t)v;
		break;
	case HS_SETTING_ROUTE_EPOCH:
		ps->out->route_epoch = (uint32_t)v;
		break;
	case HS_SETTING_DP_CAPS:
		ps->out->dp_caps = (uint32_t)v;
		break;
	case HS_SETTING_MAX_AGE:
		ps->out->max_age_s = (uint32_t)v;
		break;
	}
	return 0;
}

static int parse_settings(struct parser *ps, struct hs_reader *r)
{
	uint32_t seen = 0;
	int err = 0;

	if (ps->have_settings)
		return fail(ps, -EBADMSG, "repeated settings capsule");
	ps->have_settings = true;
	while (r->left && !err) {
		const uint64_t type = hs_read_varint(r), len = hs_read_varint(r);
		struct hs_reader value = hs_read_sub(r, len);

		if (value.bad)
			return fail(ps, -EBADMSG, "truncated setting");
		if (type == HS_SETTING_DNS)
			err = parse_dns(ps, &value);
		else if (type == HS_SETTING_DOMAIN)
			err = parse_domain(ps, &value);
		else if (type >= HS_SETTING_MTU && type <= HS_SETTING_MAX_AGE)
			err = parse_number(ps, type, &value, &seen);
	}
	if (!err && r->bad)
		err = fail(ps, -EBADMSG, "truncated setting");
	return err;
}

static int parse_capsule(struct parser *ps, struct hs_reader *r)
{
	const uint64_t type = hs_read_varint(r), len = hs_read_varint(r);
	struct hs_reader value = hs_read_sub(r, len);

	if (value.bad)
		return fail(ps, -EBADMSG, "truncated capsule");
	switch (type) {
	case HS_CAPSULE_ADDRESS_ASSIGN:
	case HS_CAPSULE_ADDRESS_REQUEST:
		return parse_addresses(ps, type, &value);
	case HS_CAPSULE_ROUTE_ADVERTISEMENT:
		return parse_routes(ps, &value);
	case HS_CAPSULE_SETTINGS:
		return parse_settings(ps, &value);
	default:
		return 0;
	}
}

int hs_capsules_parse(const uint8_t *data, size_t len, struct hs_net *out, const char **error)
{
	struct hs_reader r = hs_reader(data, len);
	struct parser ps = { .out = out };
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (len > HS_CAPSULES_MAX)
		err = fail(&ps, -E2BIG, "too many bytes of capsules");
	while (!err && r.left)
		err = parse_capsule(&ps, &r);
	if (err) {
		memset(out, 0, sizeof(*out));
		*error = ps.error;
	}
	return err;
}
