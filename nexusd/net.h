/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and what the control process does to the network: TUN device, addresses, routes, MTU,
 * policy rules (libnl-route), UDP socket pairs with their selector.
 */
#ifndef NX_NET_H
#define NX_NET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* An IP prefix. */
struct nx_prefix {
	uint8_t family;		/* AF_INET or AF_INET6 */
	uint8_t len;
	uint8_t addr[16];
};

struct nx_endpoint {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

/* "10.0.0.0/8", "fd00::1" (full length when absent); host bits kept. 0 or -EINVAL. */
int nx_prefix_parse(const char *s, struct nx_prefix *p);
/* Enough for any prefix or endpoint. */
#define NX_ADDR_STRLEN	64
const char *nx_prefix_format(const struct nx_prefix *p, char buf[NX_ADDR_STRLEN]);
/* "1.2.3.4:443", "[::1]:443". */
int nx_endpoint_parse(const char *s, struct nx_endpoint *e);
const char *nx_endpoint_format(const struct nx_endpoint *e, char buf[NX_ADDR_STRLEN]);

#endif /* NX_NET_H */
