// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses: see addr.h. */
#include "addr.h"

bool nqd_addr_equal(const union nqd_addr *a, const union nqd_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) &&
	       (!a->in6.sin6_scope_id || !b->in6.sin6_scope_id ||
		a->in6.sin6_scope_id == b->in6.sin6_scope_id);
}

bool nqd_addr_same_host(const union nqd_addr *a, const union nqd_addr *b)
{
	union nqd_addr other = *b;

	/* The port stands at the same place in both. */
	other.in.sin_port = a->in.sin_port;
	return (!a->sa.sa_family && !b->sa.sa_family) || nqd_addr_equal(a, &other);
}

int nqd_addr_parse(u16 family, const struct nxa *a, union nqd_addr *out)
{
	union nqd_addr in = { 0 };

	memset(out, 0, sizeof(*out));
	if (a->len > sizeof(in))
		return -EINVAL;
	memcpy(&in, a->data, a->len);
	if (in.sa.sa_family == AF_INET && a->len == sizeof(in.in)) {
		if (family == AF_INET) {
			out->in.sin_family = AF_INET;
			out->in.sin_port = in.in.sin_port;
			out->in.sin_addr = in.in.sin_addr;
			return 0;
		}
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = in.in.sin_port;
		memset(out->in6.sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(out->in6.sin6_addr.s6_addr + 12, &in.in.sin_addr, 4);
		return 0;
	}
	if (in.sa.sa_family != AF_INET6 || a->len != sizeof(in.in6) || family != AF_INET6)
		return -EINVAL;
	out->in6 = in.in6;
	out->in6.sin6_flowinfo = 0;
	return 0;
}

bool nqd_addr_is_set(const union nqd_addr *a)
{
	static const u8 any6[16];

	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr;
	return a->sa.sa_family == AF_INET6 && memcmp(&a->in6.sin6_addr, any6, 16);
}
