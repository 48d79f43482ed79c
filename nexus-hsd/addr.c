// SPDX-License-Identifier: GPL-2.0-or-later
/* Socket addresses of nexus-hsd, see addr.h. Pure functions. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "addr.h"

socklen_t hs_addr_size(const union hs_addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return sizeof(a->in);
	case AF_INET6:
		return sizeof(a->in6);
	default:
		return 0;
	}
}

int hs_addr_set(union hs_addr *a, const void *data, size_t len)
{
	memset(a, 0, sizeof(*a));
	if (len < sizeof(a->sa.sa_family) || len > sizeof(*a))
		return -EINVAL;
	memcpy(a, data, len);
	if (hs_addr_size(a) != len)
		return -EINVAL;
	/* Fields that say nothing about the path must not make equal addresses differ. */
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_flowinfo = 0;
	else
		memset(a->in.sin_zero, 0, sizeof(a->in.sin_zero));
	return 0;
}

bool hs_addr_equal(const union hs_addr *a, const union hs_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
}

bool hs_addr_is_any(const union hs_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

bool hs_addr_may_equal(const union hs_addr *a, const union hs_addr *b)
{
	return hs_addr_is_any(a) || hs_addr_is_any(b) || hs_addr_equal(a, b);
}

uint16_t hs_addr_port(const union hs_addr *a)
{
	return a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port;
}

uint64_t hs_addr_site(const union hs_addr *a)
{
	const bool v4 = a->sa.sa_family == AF_INET;
	const uint8_t *bytes = v4 ? (const uint8_t *)&a->in.sin_addr
				  : (const uint8_t *)&a->in6.sin6_addr;
	uint64_t site = v4 ? 4 : 6;

	for (size_t i = 0; i < 7; i++)
		site = site << 8 | (v4 && i >= 3 ? 0 : bytes[i]);
	return site;
}

bool hs_addr_same_site(const union hs_addr *a, const union hs_addr *b)
{
	return hs_addr_site(a) == hs_addr_site(b);
}

const char *hs_addr_str(const union hs_addr *a, char buf[HS_ADDR_STRLEN])
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip));
		snprintf(buf, HS_ADDR_STRLEN, "%s:%u", ip, ntohs(a->in.sin_port));
	} else {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip));
		snprintf(buf, HS_ADDR_STRLEN, "[%s]:%u", ip, ntohs(a->in6.sin6_port));
	}
	return buf;
}
