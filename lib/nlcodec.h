/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one codec of every message between Nexus processes: netlink messages (nlmsghdr, genlmsghdr,
 * nested attributes) on plain buffers, with a policy table per attribute set. The data-plane ABI and
 * the internal protocols use it; libnl only carries the same bytes to the kernel.
 *
 * Building: errors stick (the first failure is returned by nxm_end()). Parsing is total: bounded,
 * without recursion deeper than NXM_MAX_DEPTH, and every refusal names the attribute.
 */
#ifndef NX_NLCODEC_H
#define NX_NLCODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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

struct nxm_hdr {
	uint16_t type;		/* nlmsg_type: the family */
	uint16_t flags;		/* NLM_F_* */
	uint32_t seq;
	uint32_t portid;
	uint8_t cmd;
	uint8_t version;
	const uint8_t *attrs;
	size_t attrs_len;
};

/* ---- building ---- */
struct nxm {
	uint8_t *buf;
	size_t cap, len;
	int err;
};

void nxm_begin(struct nxm *m, void *buf, size_t cap, const struct nxm_hdr *hdr);
void nxm_put(struct nxm *m, uint16_t type, const void *data, size_t len);
void nxm_put_u8(struct nxm *m, uint16_t type, uint8_t v);
void nxm_put_u16(struct nxm *m, uint16_t type, uint16_t v);
void nxm_put_u32(struct nxm *m, uint16_t type, uint32_t v);
void nxm_put_u64(struct nxm *m, uint16_t type, uint64_t v);
void nxm_put_flag(struct nxm *m, uint16_t type);
void nxm_put_str(struct nxm *m, uint16_t type, const char *s);
/* Copy a parsed nest (its payload) as a nest of another message. */
void nxm_put_nest(struct nxm *m, uint16_t type, const struct nxa *nest);
size_t nxm_nest_begin(struct nxm *m, uint16_t type);
void nxm_nest_end(struct nxm *m, size_t nest);
/* Finish: the message's length, or the first error (-EMSGSIZE). */
ssize_t nxm_end(struct nxm *m);
/* NLMSG_ERROR answer to @req: err 0 is an ACK; otherwise carries NLMSGERR_ATTR_MSG and _OFFS. */
ssize_t nxm_build_ack(void *buf, size_t cap, const struct nxm_hdr *req, const struct nxm_error *e);
ssize_t nxm_build_done(void *buf, size_t cap, const struct nxm_hdr *req);

/* ---- parsing ---- */
/* Split a buffer of one message into its header. 0 or -EBADMSG (with @e filled). */
int nxm_parse_hdr(const void *buf, size_t len, struct nxm_hdr *hdr, struct nxm_error *e);
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
/* Parse an NLMSG_ERROR message: returns 0 for an ACK, the negative errno otherwise (text in @e);
 * -EBADMSG if it is none.
 */
int nxm_parse_ack(const void *buf, size_t len, uint32_t *seq, struct nxm_error *e);

/* The policies of the data-plane ABI (lib/nqd_policy.c). */
extern const struct nxa_set nqd_top_set, nqd_device_set, nqd_session_set, nqd_cids_set, nqd_cid_set,
	nqd_keys_set, nqd_route_set, nqd_stats_set, nqd_caps_set, nqd_event_set, nqd_debug_set;
/* nlmsg_type used on socketpairs, where there is no family lookup. */
#define NXM_FAMILY_DCO	0x20
#define NXM_FAMILY_HS	0x21
#define NXM_FAMILY_MON	0x22

#endif /* NX_NLCODEC_H */
