/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic on prefixes and endpoints (net.h has the types and the text forms). Pure functions.
 */
#ifndef NX_PREFIX_H
#define NX_PREFIX_H

#include <stdbool.h>
#include "net.h"

/* Bits of an address of the family: 32 or 128. */
unsigned int nx_family_bits(int family);
/* Bytes of an address of the family: 4 or 16. */
unsigned int nx_family_bytes(int family);
bool nx_prefix_equal(const struct nx_prefix *a, const struct nx_prefix *b);
/* The same prefix without host bits. */
struct nx_prefix nx_prefix_network(const struct nx_prefix *p);
/* Does @outer contain all of @inner? Host bits do not matter. */
bool nx_prefix_contains(const struct nx_prefix *outer, const struct nx_prefix *inner);
/* The smaller of two prefixes that overlap; false if they do not. */
bool nx_prefix_intersect(const struct nx_prefix *a, const struct nx_prefix *b,
			 struct nx_prefix *out);
bool nx_prefix_list_has(const struct nx_prefix *list, size_t n, const struct nx_prefix *p);
/* The same prefixes in the same order? */
bool nx_prefix_list_equal(const struct nx_prefix *a, size_t n_a, const struct nx_prefix *b,
			  size_t n_b);
/* A prefix of full length from the address of an endpoint. */
struct nx_prefix nx_prefix_of_endpoint(const struct nx_endpoint *e);
/* From the bytes of an address: 4 or 16. -EINVAL for other lengths or a prefix that is too long. */
int nx_prefix_from_bytes(const void *addr, size_t addr_len, unsigned int prefix_len,
			 struct nx_prefix *p);

bool nx_endpoint_equal(const struct nx_endpoint *a, const struct nx_endpoint *b);
/* Same port, and the same address or one of them the wildcard of that family. */
bool nx_endpoint_collides(const struct nx_endpoint *a, const struct nx_endpoint *b);
bool nx_endpoint_is_wildcard(const struct nx_endpoint *e);
uint16_t nx_endpoint_port(const struct nx_endpoint *e);
void nx_endpoint_set_port(struct nx_endpoint *e, uint16_t port);
/* Another address of the same family; the port stays. */
void nx_endpoint_set_address(struct nx_endpoint *e, const struct nx_prefix *address);
socklen_t nx_endpoint_len(const struct nx_endpoint *e);
/* From bytes that a message holds: exactly a sockaddr_in or sockaddr_in6. 0 or -EINVAL. */
int nx_endpoint_from_bytes(const void *data, size_t len, struct nx_endpoint *e);

/*
 * Split "host:port" or "[v6]:port" into its parts; @host needs 254 bytes. 0 or -EINVAL. The host
 * is a name of letters, digits, '-', '.' and '_', or an address.
 */
int nx_hostport_split(const char *s, char host[254], uint16_t *port);

#endif /* NX_PREFIX_H */
