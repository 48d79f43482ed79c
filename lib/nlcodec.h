/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one codec of every message between Nexus processes: netlink messages (nlmsghdr, genlmsghdr,
 * nested attributes) on plain buffers, with a policy table per attribute set. The data-plane ABI and
 * the internal protocols use it; libnl only carries the same bytes to the kernel.
 *
 * Building: errors stick (the first failure is returned by nxm_end()). Parsing: nlparse.h.
 */
#ifndef NX_NLCODEC_H
#define NX_NLCODEC_H

#include <sys/types.h>

#include "nlparse.h"

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
/* Parse an NLMSG_ERROR message: returns 0 for an ACK, the negative errno otherwise (text in @e);
 * -EBADMSG if it is none.
 */
int nxm_parse_ack(const void *buf, size_t len, uint32_t *seq, struct nxm_error *e);

/* nlmsg_type used on socketpairs, where there is no family lookup. */
#define NXM_FAMILY_DCO	0x20
#define NXM_FAMILY_HS	0x21
#define NXM_FAMILY_MON	0x22

#endif /* NX_NLCODEC_H */
