/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses of nexus-hsd: one union for IPv4 and IPv6, and what is asked about them. */
#ifndef HS_ADDR_H
#define HS_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union hs_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

#define HS_ADDR_STRLEN 64

/* sizeof the family's structure, 0 for any other family. */
socklen_t hs_addr_size(const union hs_addr *a);
/* Take a sockaddr_in or _in6 of exactly its size. 0 or -EINVAL. */
int hs_addr_set(union hs_addr *a, const void *data, size_t len);
/*
 * Of the same bytes but for what hs_addr_set() takes out: tables have addresses as keys. The data
 * planes' nqd_addr_equal() is more lenient about interfaces, and says why.
 */
bool hs_addr_equal(const union hs_addr *a, const union hs_addr *b);
bool hs_addr_is_any(const union hs_addr *a);
/* Local addresses of one socket: equal, or one is the wildcard, as where it is not known. */
bool hs_addr_may_equal(const union hs_addr *a, const union hs_addr *b);
/* Network order. */
uint16_t hs_addr_port(const union hs_addr *a);
/* The site an address belongs to, an IPv4 /24 or IPv6 /56, as a number; not 0. */
uint64_t hs_addr_site(const union hs_addr *a);
/* Do both come from one site? */
bool hs_addr_same_site(const union hs_addr *a, const union hs_addr *b);
/* "192.0.2.1:443", "[2001:db8::1]:443" */
const char *hs_addr_str(const union hs_addr *a, char buf[HS_ADDR_STRLEN]);

#endif /* HS_ADDR_H */
