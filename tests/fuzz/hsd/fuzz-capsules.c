// SPDX-License-Identifier: GPL-2.0-or-later
/* Capsules: what is accepted can be said again, and means the same. */
#include <string.h>

#include "capsule.h"
#include "fuzz-hsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[HS_CAPSULES_MAX];
	static struct hs_net a, b;
	const char *error = NULL;
	ssize_t n;

	if (hs_capsules_parse(data, size, &a, &error)) {
		promise(error != NULL);
		return 0;
	}
	promise(a.n_addresses <= HS_NET_PREFIXES_MAX && a.n_routes <= HS_NET_ROUTES_MAX);
	promise(a.n_dns <= HS_NET_DNS_MAX && a.n_domains <= HS_NET_DOMAINS_MAX);
	n = hs_capsules_encode_answer(&a, again, sizeof(again));
	promise(n > 0);
	promise(!hs_capsules_parse(again, (size_t)n, &b, &error));
	promise(!memcmp(&a, &b, sizeof(a)));
	return 0;
}
