// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Prefixes and endpoints: text forms and arithmetic. Total functions on any input text; no I/O.
 * Called by the configuration, the tunnels and the D-Bus objects.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "prefix.h"

unsigned int nx_family_bits(int family)
{
	return family == AF_INET6 ? 128 : 32;
}

unsigned int nx_family_bytes(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

/* A decimal number of at most @max without sign, space or leading zeros. -1 if it is none. */
static long parse_decimal(const char *s, long max)
{
	long v = 0;

	if (!*s || (s[0] == '0' && s[1]))
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		v = v * 10 + (*s - '0');
		if (v > max)
			return -1;
	}
	return v;
}

int nx_prefix_parse(const char *s, struct nx_prefix *p)
{
	const char *slash = strchr(s, '/');
	char addr[INET6_ADDRSTRLEN];
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	long len;

	if (n == 0 || n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, s, n);
	addr[n] = '\0';
	memset(p, 0, sizeof(*p));
	p->family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(p->family, addr, p->addr) != 1)
		return -EINVAL;
	len = nx_family_bits(p->family);
	if (slash)
		len = parse_decimal(slash + 1, len);
	if (len < 0)
		return -EINVAL;
	p->len = (uint8_t)len;
	return 0;
}

const char *nx_prefix_format(const struct nx_prefix *p, char buf[NX_ADDR_STRLEN])
{
	char addr[INET6_ADDRSTRLEN];

	if (!inet_ntop(p->family, p->addr, addr, sizeof(addr)))
		snprintf(addr, sizeof(addr), "?");
	snprintf(buf, NX_ADDR_STRLEN, "%s/%u", addr, p->len);
	return buf;
}

int nx_hostport_split(const char *s, char host[254], uint16_t *port)
{
	const char *end, *colon;
	size_t n;
	long v;

	if (*s == '[') {
		s++;
		end = strchr(s, ']');
		if (!end || end[1] != ':')
			return -EINVAL;
		colon = end + 1;
	} else {
		colon = strchr(s, ':');
		if (!colon)
			return -EINVAL;
		end = colon;
	}
	n = (size_t)(end - s);
	if (n == 0 || n > 253)
		return -EINVAL;
	memcpy(host, s, n);
	host[n] = '\0';
	if (host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789.-_:")])
		return -EINVAL;
	if (strchr(host, ':')) {
		struct in6_addr a;

		if (inet_pton(AF_INET6, host, &a) != 1)
			return -EINVAL;
	}
	v = parse_decimal(colon + 1, 65535);
	if (v <= 0)
		return -EINVAL;
	*port = (uint16_t)v;
	return 0;
}

int nx_endpoint_parse(const char *s, struct nx_endpoint *e)
{
	char host[254];
	uint16_t port;

	if (nx_hostport_split(s, host, &port) < 0)
		return -EINVAL;
	memset(e, 0, sizeof(*e));
	if (*s == '[') {
		e->in6.sin6_family = AF_INET6;
		e->in6.sin6_port = htons(port);
		return inet_pton(AF_INET6, host, &e->in6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	e->in.sin_family = AF_INET;
	e->in.sin_port = htons(port);
	return inet_pton(AF_INET, host, &e->in.sin_addr) == 1 ? 0 : -EINVAL;
}

const char *nx_endpoint_format(const struct nx_endpoint *e, char buf[NX_ADDR_STRLEN])
{
	char addr[INET6_ADDRSTRLEN];

	buf[0] = '\0';
	if (e->sa.sa_family == AF_INET && inet_ntop(AF_INET, &e->in.sin_addr, addr, sizeof(addr)))
		snprintf(buf, NX_ADDR_STRLEN, "%s:%u", addr, ntohs(e->in.sin_port));
	else if (e->sa.sa_family == AF_INET6 &&
		 inet_ntop(AF_INET6, &e->in6.sin6_addr, addr, sizeof(addr)))
		snprintf(buf, NX_ADDR_STRLEN, "[%s]:%u", addr, ntohs(e->in6.sin6_port));
	return buf;
}

bool nx_prefix_equal(const struct nx_prefix *a, const struct nx_prefix *b)
{
	return a->family == b->family && a->len == b->len &&
	       !memcmp(a->addr, b->addr, nx_family_bytes(a->family));
}

struct nx_prefix nx_prefix_network(const struct nx_prefix *p)
{
	struct nx_prefix n = *p;
	unsigned int bytes = nx_family_bytes(p->family);

	for (unsigned int i = 0; i < bytes; i++) {
		if (n.len >= (i + 1) * 8)
			continue;
		if (n.len <= i * 8)
			n.addr[i] = 0;
		else
			n.addr[i] &= (uint8_t)(0xff << (8 - n.len % 8));
	}
	return n;
}

bool nx_prefix_contains(const struct nx_prefix *outer, const struct nx_prefix *inner)
{
	struct nx_prefix cut = *inner, o = nx_prefix_network(outer);

	if (outer->family != inner->family || outer->len > inner->len)
		return false;
	cut.len = outer->len;
	cut = nx_prefix_network(&cut);
	return nx_prefix_equal(&cut, &o);
}

bool nx_prefix_intersect(const struct nx_prefix *a, const struct nx_prefix *b,
			 struct nx_prefix *out)
{
	if (nx_prefix_contains(a, b))
		*out = *b;
	else if (nx_prefix_contains(b, a))
		*out = *a;
	else
		return false;
	return true;
}

bool nx_prefix_list_has(const struct nx_prefix *list, size_t n, const struct nx_prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (nx_prefix_equal(&list[i], p))
			return true;
	return false;
}

bool nx_prefix_list_equal(const struct nx_prefix *a, size_t n_a, const struct nx_prefix *b,
			  size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (!nx_prefix_equal(&a[i], &b[i]))
			return false;
	return true;
}

int nx_prefix_from_bytes(const void *addr, size_t addr_len, unsigned int prefix_len,
			 struct nx_prefix *p)
{
	if ((addr_len != 4 && addr_len != 16) || prefix_len > addr_len * 8)
		return -EINVAL;
	memset(p, 0, sizeof(*p));
	p->family = addr_len == 16 ? AF_INET6 : AF_INET;
	p->len = (uint8_t)prefix_len;
	memcpy(p->addr, addr, addr_len);
	return 0;
}

struct nx_prefix nx_prefix_of_endpoint(const struct nx_endpoint *e)
{
	struct nx_prefix p = { .family = (uint8_t)e->sa.sa_family };

	p.len = (uint8_t)nx_family_bits(p.family);
	if (p.family == AF_INET6)
		memcpy(p.addr, &e->in6.sin6_addr, 16);
	else
		memcpy(p.addr, &e->in.sin_addr, 4);
	return p;
}

uint16_t nx_endpoint_port(const struct nx_endpoint *e)
{
	return ntohs(e->sa.sa_family == AF_INET6 ? e->in6.sin6_port : e->in.sin_port);
}

void nx_endpoint_set_port(struct nx_endpoint *e, uint16_t port)
{
	if (e->sa.sa_family == AF_INET6)
		e->in6.sin6_port = htons(port);
	else
		e->in.sin_port = htons(port);
}

void nx_endpoint_set_address(struct nx_endpoint *e, const struct nx_prefix *address)
{
	e->sa.sa_family = address->family;
	if (address->family == AF_INET6)
		memcpy(&e->in6.sin6_addr, address->addr, 16);
	else
		memcpy(&e->in.sin_addr, address->addr, 4);
}

socklen_t nx_endpoint_len(const struct nx_endpoint *e)
{
	return e->sa.sa_family == AF_INET6 ? sizeof(e->in6) : sizeof(e->in);
}

bool nx_endpoint_equal(const struct nx_endpoint *a, const struct nx_endpoint *b)
{
	struct nx_prefix pa, pb;

	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	pa = nx_prefix_of_endpoint(a);
	pb = nx_prefix_of_endpoint(b);
	return nx_prefix_equal(&pa, &pb) && nx_endpoint_port(a) == nx_endpoint_port(b);
}

bool nx_endpoint_is_wildcard(const struct nx_endpoint *e)
{
	static const uint8_t zero[16];
	struct nx_prefix p = nx_prefix_of_endpoint(e);

	return !memcmp(p.addr, zero, nx_family_bytes(p.family));
}

bool nx_endpoint_collides(const struct nx_endpoint *a, const struct nx_endpoint *b)
{
	if (a->sa.sa_family != b->sa.sa_family || nx_endpoint_port(a) != nx_endpoint_port(b))
		return false;
	return nx_endpoint_equal(a, b) || nx_endpoint_is_wildcard(a) || nx_endpoint_is_wildcard(b);
}

int nx_endpoint_from_bytes(const void *data, size_t len, struct nx_endpoint *e)
{
	memset(e, 0, sizeof(*e));
	if (len > sizeof(*e) || len < sizeof(e->in))
		return -EINVAL;
	memcpy(e, data, len);
	if (e->sa.sa_family == AF_INET && len == sizeof(e->in))
		return 0;
	if (e->sa.sa_family == AF_INET6 && len == sizeof(e->in6))
		return 0;
	return -EINVAL;
}
