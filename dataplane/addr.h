/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of UDP packets, as the data planes keep and compare them. */
#ifndef NQD_ADDR_H
#define NQD_ADDR_H

#ifdef __KERNEL__
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#else
#include <netinet/in.h>
#endif

#include "../lib/nlparse.h"
#include "../quic/nq_types.h"

union nqd_addr {
	struct sockaddr sa;	/* sa_family 0: none */
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static inline u32 nqd_addr_len(const union nqd_addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

/*
 * Address, port, and interface if both say: an owner may not know the interface of a link-local peer,
 * its packets tell it. So this is no equivalence, and no key of a table (nexus-hsd, whose addresses all
 * come from packets and are keys, has hs_addr_equal()).
 */
bool nqd_addr_equal(const union nqd_addr *a, const union nqd_addr *b);
/* The same but for the port; true also if both are none. */
bool nqd_addr_same_host(const union nqd_addr *a, const union nqd_addr *b);
/* A sockaddr attribute in the form a socket of @family uses (IPv4 as mapped on an IPv6 socket). 0 or
 * -EINVAL.
 */
int nqd_addr_parse(u16 family, const struct nxa *a, union nqd_addr *out);
/* Neither of another family nor the unspecified one. */
bool nqd_addr_is_set(const union nqd_addr *a);

#endif /* NQD_ADDR_H */
