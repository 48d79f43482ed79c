/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink attributes taken apart: a walker over plain bytes with a policy table per attribute set.
 * Freestanding: the same file serves every process (nlcodec.h) and the kernel module, so that both
 * data planes take and refuse the same messages with the same words.
 *
 * Parsing is total: bounded, without recursion deeper than NXM_MAX_DEPTH, and every refusal names
 * the attribute. What is parsed points into the message, which the caller keeps.
 */
#ifndef NX_NLPARSE_H
#define NX_NLPARSE_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/if.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/netlink.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#endif

#define NXM_MAX_DEPTH	6

enum nxa_type {
	NXA_INVALID,	/* not allowed here */
	NXA_U8,
	NXA_U16,
	NXA_U32,
	NXA_U64,
	NXA_FLAG,
	NXA_STRING,	/* NUL-terminated, no embedded NUL; max counts without it */
	NXA_BINARY,
	NXA_NEST,
};

struct nxa_set;

/* One attribute: what it is called, what it may hold. */
struct nxa_policy {
	const char *name;	/* as in the header, e.g. "NQD_A_SESSION_ID" */
	enum nxa_type type;
	bool repeats;
	bool secret;		/* receivers wipe the message after use */
	uint32_t min, max;	/* length for STRING and BINARY (0,0 = any), value for u8..u32 */
	const struct nxa_set *nest;
};

struct nxa_set {
	const char *name;
	uint16_t max;		/* highest attribute number in @policy */
	const struct nxa_policy *policy; /* indexed by attribute number */
};

/* A parsed attribute: points into the message. */
struct nxa {
	const uint8_t *data;
	uint16_t len;
	bool present;
};

/* Why a message was refused; text is ready for a log or an extack. */
struct nxm_error {
	int err;		/* negative errno */
	uint32_t offset;	/* of the attribute in the message, 0 = whole message */
	char text[160];
};

/* Fill @e (NULL: nobody asks) with @err, the attribute's @offset and a text. Returns @err. */
__attribute__((format(printf, 4, 5))) int nxm_fail(struct nxm_error *e, int err, uint32_t offset,
						   const char *fmt, ...);

/* The next attribute of [*at, *at + *left): 1, 0 at the end, -EINVAL if it does not fit. */
int nxa_step(const uint8_t **at, size_t *left, struct nlattr *nla, struct nxa *out);

/*
 * Check @len bytes of attributes against @set, recursively, and index the first occurrence of each
 * in @tb[0..set->max]. @base is the start of the whole message for offsets. Unknown numbers: see
 * nexus_quic_dco.h. 0 or negative errno with @e filled.
 */
int nxa_parse(const uint8_t *attrs, size_t len, const struct nxa_set *set, struct nxa *tb,
	      const void *base, struct nxm_error *e);
int nxa_parse_nest(const struct nxa *nest, const struct nxa_set *set, struct nxa *tb,
		   const void *base, struct nxm_error *e);
/* Walk all attributes of one number: *pos starts at NULL. Returns false at the end. Only for bytes
 * that nxa_parse() has accepted.
 */
bool nxa_next(const uint8_t *attrs, size_t len, uint16_t type, const uint8_t **pos, struct nxa *out);
/* -EINVAL with "missing NAME" if absent. */
int nxa_require(const struct nxa *tb, const struct nxa_set *set, uint16_t type,
		struct nxm_error *e);
uint8_t nxa_u8(const struct nxa *a);
uint16_t nxa_u16(const struct nxa *a);
uint32_t nxa_u32(const struct nxa *a);
uint64_t nxa_u64(const struct nxa *a);
const char *nxa_str(const struct nxa *a);

/* The policies of the data-plane ABI (lib/nqd_policy.c). */
extern const struct nxa_set nqd_top_set, nqd_device_set, nqd_session_set, nqd_cids_set, nqd_cid_set,
	nqd_keys_set, nqd_route_set, nqd_stats_set, nqd_caps_set, nqd_event_set, nqd_debug_set;

#endif /* NX_NLPARSE_H */
