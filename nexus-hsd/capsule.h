/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capsules (RFC 9297) both ends exchange on stream 0 before hand-over: ADDRESS_REQUEST (0x02),
 * ADDRESS_ASSIGN (0x01), ROUTE_ADVERTISEMENT (0x03) of RFC 9484, and one private capsule
 * (HS_CAPSULE_SETTINGS) with DNS, MTU, keepalive, route epoch and data-plane capabilities.
 * Unknown capsules are skipped. The whole exchange is at most HS_CAPSULES_MAX bytes a side.
 */
#ifndef HS_CAPSULE_H
#define HS_CAPSULE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HS_CAPSULES_MAX		16384
#define HS_CAPSULE_SETTINGS	0x4e585631
#define HS_NET_PREFIXES_MAX	32
#define HS_NET_ROUTES_MAX	128
#define HS_NET_DNS_MAX		8
#define HS_NET_DOMAINS_MAX	16

struct hs_prefix {
	uint8_t family;			/* AF_INET, AF_INET6 */
	uint8_t len;
	uint8_t addr[16];
};

/* What one side says. On the wire routes are ranges (RFC 9484 4.7.3); ranges that are no single prefix
 * are split into prefixes on receipt. */
struct hs_net {
	struct hs_prefix addresses[HS_NET_PREFIXES_MAX];
	size_t n_addresses;
	struct hs_prefix routes[HS_NET_ROUTES_MAX];
	size_t n_routes;
	struct hs_prefix dns[HS_NET_DNS_MAX];
	size_t n_dns;
	char domains[HS_NET_DOMAINS_MAX][254];
	size_t n_domains;
	uint32_t mtu;			/* 0 = from the path */
	uint32_t keepalive_ms;
	uint32_t route_epoch;
	uint32_t dp_caps;		/* bit 0: understands key updates by secrets; others 0 */
	uint32_t max_age_s;		/* the server ends a session that old; 0 = never */
};

/* Encode a client's request (addresses may be empty: any) or a server's answer. Bytes or -EMSGSIZE. */
ssize_t hs_capsules_encode_request(const struct hs_net *n, uint8_t *buf, size_t cap);
ssize_t hs_capsules_encode_answer(const struct hs_net *n, uint8_t *buf, size_t cap);
/* Parse a complete stream (up to FIN). 0, or -EBADMSG / -E2BIG with @error set. */
int hs_capsules_parse(const uint8_t *data, size_t len, struct hs_net *out, const char **error);

#endif /* HS_CAPSULE_H */
