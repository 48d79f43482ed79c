// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Netlink messages on plain buffers: see nlcodec.h for the contract.
 *
 * Promises: no byte outside the given buffer is read or written; parsing keeps its own stack of
 * NXM_MAX_DEPTH levels instead of recursing, and visits every byte at most once per level. Called
 * by every process on messages of its peers, so the parser trusts nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "nlcodec.h"
#include <linux/nexus_quic_dco.h>

#define NXM_HDR_LEN (NLMSG_HDRLEN + GENL_HDRLEN)
#define NXA_MAX_PAYLOAD (UINT16_MAX - NLA_HDRLEN)
#define NXA_SEEN_WORDS 4
#define NXA_SET_MAX (NXA_SEEN_WORDS * 64 - 1)
#define NXA_FLAGS (NLA_F_NESTED | NLA_F_NET_BYTEORDER)

/* ---- building ---- */

void nxm_begin(struct nxm *m, void *buf, size_t cap, const struct nxm_hdr *hdr)
{
	struct nlmsghdr nlh = { .nlmsg_type = hdr->type,
				.nlmsg_flags = hdr->flags,
				.nlmsg_seq = hdr->seq,
				.nlmsg_pid = hdr->portid };
	struct genlmsghdr genl = { .cmd = hdr->cmd, .version = hdr->version };

	*m = (struct nxm){ .buf = buf, .cap = cap };
	if (cap < NXM_HDR_LEN) {
		m->err = -EMSGSIZE;
		return;
	}
	memcpy(m->buf, &nlh, sizeof(nlh));
	memcpy(m->buf + NLMSG_HDRLEN, &genl, sizeof(genl));
	m->len = NXM_HDR_LEN;
}

/* Room for an attribute of @len payload bytes, header written; NULL if there is none. */
static uint8_t *nxm_reserve(struct nxm *m, uint16_t type, size_t len)
{
	struct nlattr nla = { .nla_type = type };
	uint8_t *at;

	if (m->err)
		return NULL;
	if (len > NXA_MAX_PAYLOAD || NLA_HDRLEN + NLA_ALIGN(len) > m->cap - m->len) {
		m->err = -EMSGSIZE;
		return NULL;
	}
	nla.nla_len = NLA_HDRLEN + len;
	at = m->buf + m->len;
	memcpy(at, &nla, sizeof(nla));
	memset(at + NLA_HDRLEN + len, 0, NLA_ALIGN(len) - len);
	m->len += NLA_HDRLEN + NLA_ALIGN(len);
	return at + NLA_HDRLEN;
}

void nxm_put(struct nxm *m, uint16_t type, const void *data, size_t len)
{
	uint8_t *at = nxm_reserve(m, type, len);

	if (at && len)
		memcpy(at, data, len);
}

void nxm_put_u8(struct nxm *m, uint16_t type, uint8_t v)
{
	nxm_put(m, type, &v, sizeof(v));
}

void nxm_put_u16(struct nxm *m, uint16_t type, uint16_t v)
{
	nxm_put(m, type, &v, sizeof(v));
}

void nxm_put_u32(struct nxm *m, uint16_t type, uint32_t v)
{
	nxm_put(m, type, &v, sizeof(v));
}

void nxm_put_u64(struct nxm *m, uint16_t type, uint64_t v)
{
	nxm_put(m, type, &v, sizeof(v));
}

void nxm_put_flag(struct nxm *m, uint16_t type)
{
	nxm_put(m, type, NULL, 0);
}

void nxm_put_str(struct nxm *m, uint16_t type, const char *s)
{
	nxm_put(m, type, s, strlen(s) + 1);
}

void nxm_put_nest(struct nxm *m, uint16_t type, const struct nxa *nest)
{
	nxm_put(m, type | NLA_F_NESTED, nest->data, nest->len);
}

size_t nxm_nest_begin(struct nxm *m, uint16_t type)
{
	size_t at = m->len;

	nxm_reserve(m, type | NLA_F_NESTED, 0);
	return at;
}

void nxm_nest_end(struct nxm *m, size_t nest)
{
	struct nlattr nla;

	if (m->err)
		return;
	if (m->len - nest > UINT16_MAX) {
		m->err = -EMSGSIZE;
		return;
	}
	memcpy(&nla, m->buf + nest, sizeof(nla));
	nla.nla_len = m->len - nest;
	memcpy(m->buf + nest, &nla, sizeof(nla));
}

ssize_t nxm_end(struct nxm *m)
{
	uint32_t len = m->len;

	if (m->err)
		return m->err;
	memcpy(m->buf + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	return len;
}

ssize_t nxm_build_ack(void *buf, size_t cap, const struct nxm_hdr *req, const struct nxm_error *e)
{
	int err = e ? e->err : 0;
	bool tlvs = err && (e->text[0] || e->offset);
	struct nlmsghdr nlh = { .nlmsg_type = NLMSG_ERROR,
				.nlmsg_flags = NLM_F_CAPPED | (tlvs ? NLM_F_ACK_TLVS : 0),
				.nlmsg_seq = req->seq,
				.nlmsg_pid = req->portid };
	struct nlmsgerr ne = { .error = err,
			       .msg = { .nlmsg_len = NXM_HDR_LEN + req->attrs_len,
					.nlmsg_type = req->type,
					.nlmsg_flags = req->flags,
					.nlmsg_seq = req->seq,
					.nlmsg_pid = req->portid } };
	struct nxm m = { .buf = buf, .cap = cap };

	if (cap < NLMSG_HDRLEN + sizeof(ne))
		return -EMSGSIZE;
	memcpy(m.buf, &nlh, sizeof(nlh));
	memcpy(m.buf + NLMSG_HDRLEN, &ne, sizeof(ne));
	m.len = NLMSG_HDRLEN + sizeof(ne);
	if (tlvs && e->text[0])
		nxm_put_str(&m, NLMSGERR_ATTR_MSG, e->text);
	if (tlvs && e->offset)
		nxm_put_u32(&m, NLMSGERR_ATTR_OFFS, e->offset);
	return nxm_end(&m);
}

ssize_t nxm_build_done(void *buf, size_t cap, const struct nxm_hdr *req)
{
	struct nlmsghdr nlh = { .nlmsg_type = NLMSG_DONE,
				.nlmsg_flags = NLM_F_MULTI,
				.nlmsg_seq = req->seq,
				.nlmsg_pid = req->portid,
				.nlmsg_len = NLMSG_HDRLEN + sizeof(int) };
	int err = 0;

	if (cap < nlh.nlmsg_len)
		return -EMSGSIZE;
	memcpy(buf, &nlh, sizeof(nlh));
	memcpy((uint8_t *)buf + NLMSG_HDRLEN, &err, sizeof(err));
	return nlh.nlmsg_len;
}

/* ---- parsing ---- */

static __attribute__((format(printf, 4, 5))) int nxm_fail(struct nxm_error *e, int err,
							  uint32_t offset, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return err;
	e->err = err;
	e->offset = offset;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return err;
}

int nxm_parse_hdr(const void *buf, size_t len, struct nxm_hdr *hdr, struct nxm_error *e)
{
	struct nlmsghdr nlh;
	struct genlmsghdr genl;

	*hdr = (struct nxm_hdr){ 0 };
	if (len < NXM_HDR_LEN)
		return nxm_fail(e, -EBADMSG, 0, "message of %zu bytes is shorter than its header",
				len);
	memcpy(&nlh, buf, sizeof(nlh));
	hdr->type = nlh.nlmsg_type;
	hdr->flags = nlh.nlmsg_flags;
	hdr->seq = nlh.nlmsg_seq;
	hdr->portid = nlh.nlmsg_pid;
	if (nlh.nlmsg_len != len)
		return nxm_fail(e, -EBADMSG, 0, "message says %u bytes and has %zu", nlh.nlmsg_len,
				len);
	if (nlh.nlmsg_type < NLMSG_MIN_TYPE)
		return 0;
	memcpy(&genl, (const uint8_t *)buf + NLMSG_HDRLEN, sizeof(genl));
	hdr->cmd = genl.cmd;
	hdr->version = genl.version;
	hdr->attrs = (const uint8_t *)buf + NXM_HDR_LEN;
	hdr->attrs_len = len - NXM_HDR_LEN;
	return 0;
}

/* The next attribute of [*at, *at + *left): 1, 0 at the end, -EINVAL if it does not fit. */
static int nxa_step(const uint8_t **at, size_t *left, struct nlattr *nla, struct nxa *out)
{
	size_t step;

	if (!*left)
		return 0;
	if (*left < NLA_HDRLEN)
		return -EINVAL;
	memcpy(nla, *at, sizeof(*nla));
	if (nla->nla_len < NLA_HDRLEN || nla->nla_len > *left)
		return -EINVAL;
	*out = (struct nxa){ .data = *at + NLA_HDRLEN,
			     .len = nla->nla_len - NLA_HDRLEN,
			     .present = true };
	step = NLA_ALIGN(nla->nla_len);
	if (step > *left)
		step = *left;
	*at += step;
	*left -= step;
	return 1;
}

static int check_number(const struct nxa_policy *p, const struct nxa *a, uint32_t offset,
			struct nxm_error *e)
{
	uint32_t v = p->type == NXA_U8 ? nxa_u8(a) : p->type == NXA_U16 ? nxa_u16(a) : nxa_u32(a);

	if ((p->min || p->max) && (v < p->min || v > p->max))
		return nxm_fail(e, -ERANGE, offset, "%s: %u is not between %u and %u", p->name, v,
				p->min, p->max);
	return 0;
}

static int check_bytes(const struct nxa_policy *p, const struct nxa *a, uint32_t offset,
		       struct nxm_error *e)
{
	uint32_t len = a->len;

	if (p->type == NXA_STRING) {
		if (!len || a->data[len - 1])
			return nxm_fail(e, -EINVAL, offset, "%s: no NUL at the end", p->name);
		if (memchr(a->data, 0, len - 1))
			return nxm_fail(e, -EINVAL, offset, "%s: NUL inside", p->name);
		len--;
	}
	if ((p->min || p->max) && (len < p->min || len > p->max))
		return nxm_fail(e, -ERANGE, offset, "%s: length %u is not between %u and %u",
				p->name, len, p->min, p->max);
	return 0;
}

static int check_value(const struct nxa_policy *p, const struct nxa *a, bool nested,
		       uint32_t offset, struct nxm_error *e)
{
	static const uint8_t sizes[] = {
		[NXA_U8] = 1, [NXA_U16] = 2, [NXA_U32] = 4, [NXA_U64] = 8, [NXA_FLAG] = 0
	};

	if (nested != (p->type == NXA_NEST))
		return nxm_fail(e, -EINVAL, offset, "%s: %s", p->name,
				nested ? "not a nest" : "must be a nest");
	switch (p->type) {
	case NXA_U8:
	case NXA_U16:
	case NXA_U32:
	case NXA_U64:
	case NXA_FLAG:
		if (a->len != sizes[p->type])
			return nxm_fail(e, -ERANGE, offset, "%s: length %u instead of %u", p->name,
					a->len, sizes[p->type]);
		if (p->type == NXA_U64 || p->type == NXA_FLAG)
			return 0;
		return check_number(p, a, offset, e);
	case NXA_STRING:
	case NXA_BINARY:
		return check_bytes(p, a, offset, e);
	default:
		return 0;
	}
}

struct nxa_level {
	const uint8_t *at;
	size_t left;
	const struct nxa_set *set;
	uint64_t seen[NXA_SEEN_WORDS];
};

/* Check one attribute of @l. 1: known and good, 0: unknown and optional, or negative errno. */
static int check_attr(struct nxa_level *l, const struct nlattr *nla, const struct nxa *a,
		      uint32_t offset, struct nxm_error *e)
{
	uint16_t type = nla->nla_type & ~NXA_FLAGS;
	const struct nxa_policy *p;
	uint64_t bit;

	if (type >= NQD_ATTR_OPTIONAL_BASE)
		return 0;
	if (type > l->set->max || type > NXA_SET_MAX || !l->set->policy[type].name)
		return nxm_fail(e, -EOPNOTSUPP, offset, "%s: unknown attribute %u", l->set->name,
				type);
	p = &l->set->policy[type];
	if (p->type == NXA_INVALID)
		return nxm_fail(e, -EINVAL, offset, "%s: not allowed here", p->name);
	bit = 1ull << (type % 64);
	if (l->seen[type / 64] & bit && !p->repeats)
		return nxm_fail(e, -EINVAL, offset, "%s: given twice", p->name);
	l->seen[type / 64] |= bit;
	return check_value(p, a, nla->nla_type & NLA_F_NESTED, offset, e) ?: 1;
}

/* All of @l[0] and what is nested in it; the first of each top-level attribute goes to @tb. */
static int check_levels(struct nxa_level *l, struct nxa *tb, const uint8_t *base,
			struct nxm_error *e)
{
	unsigned int depth = 0;

	for (;;) {
		const struct nxa_policy *p;
		struct nlattr nla;
		struct nxa a;
		uint32_t offset = l[depth].at - base;
		int r = nxa_step(&l[depth].at, &l[depth].left, &nla, &a);

		if (r < 0)
			return nxm_fail(e, r, offset, "%s: attribute runs past the end",
					l[depth].set->name);
		if (!r) {
			if (!depth)
				return 0;
			depth--;
			continue;
		}
		r = check_attr(&l[depth], &nla, &a, offset, e);
		if (r < 0)
			return r;
		if (!r)
			continue;
		p = &l[depth].set->policy[nla.nla_type & ~NXA_FLAGS];
		if (!depth && !tb[nla.nla_type & ~NXA_FLAGS].present)
			tb[nla.nla_type & ~NXA_FLAGS] = a;
		if (p->type != NXA_NEST || !p->nest)
			continue;
		if (depth + 1 == NXM_MAX_DEPTH)
			return nxm_fail(e, -EINVAL, offset, "%s: nested too deep", p->name);
		l[++depth] = (struct nxa_level){ .at = a.data, .left = a.len, .set = p->nest };
	}
}

int nxa_parse(const uint8_t *attrs, size_t len, const struct nxa_set *set, struct nxa *tb,
	      const void *base, struct nxm_error *e)
{
	struct nxa_level levels[NXM_MAX_DEPTH];

	memset(tb, 0, sizeof(*tb) * (set->max + 1u));
	levels[0] = (struct nxa_level){ .at = attrs, .left = len, .set = set };
	return check_levels(levels, tb, base, e);
}

int nxa_parse_nest(const struct nxa *nest, const struct nxa_set *set, struct nxa *tb,
		   const void *base, struct nxm_error *e)
{
	return nxa_parse(nest->data, nest->len, set, tb, base, e);
}

bool nxa_next(const uint8_t *attrs, size_t len, uint16_t type, const uint8_t **pos, struct nxa *out)
{
	const uint8_t *at = *pos ? *pos : attrs;
	size_t left = len - (at - attrs);
	struct nlattr nla;

	while (nxa_step(&at, &left, &nla, out) > 0) {
		if ((nla.nla_type & ~NXA_FLAGS) != type)
			continue;
		*pos = at;
		return true;
	}
	*out = (struct nxa){ 0 };
	return false;
}

int nxa_require(const struct nxa *tb, const struct nxa_set *set, uint16_t type, struct nxm_error *e)
{
	if (tb[type].present)
		return 0;
	return nxm_fail(e, -EINVAL, 0, "missing %s", set->policy[type].name);
}

uint8_t nxa_u8(const struct nxa *a)
{
	return a->data[0];
}

uint16_t nxa_u16(const struct nxa *a)
{
	uint16_t v;

	memcpy(&v, a->data, sizeof(v));
	return v;
}

uint32_t nxa_u32(const struct nxa *a)
{
	uint32_t v;

	memcpy(&v, a->data, sizeof(v));
	return v;
}

uint64_t nxa_u64(const struct nxa *a)
{
	uint64_t v;

	memcpy(&v, a->data, sizeof(v));
	return v;
}

const char *nxa_str(const struct nxa *a)
{
	return (const char *)a->data;
}

/* Extended ACK attributes: unknown ones are skipped, a damaged rest is ignored. */
static void parse_ack_tlvs(const uint8_t *at, size_t left, struct nxm_error *e)
{
	struct nlattr nla;
	struct nxa a;

	while (nxa_step(&at, &left, &nla, &a) > 0) {
		if (nla.nla_type == NLMSGERR_ATTR_MSG)
			snprintf(e->text, sizeof(e->text), "%.*s", (int)a.len,
				 (const char *)a.data);
		else if (nla.nla_type == NLMSGERR_ATTR_OFFS && a.len == sizeof(uint32_t))
			e->offset = nxa_u32(&a);
	}
}

int nxm_parse_ack(const void *buf, size_t len, uint32_t *seq, struct nxm_error *e)
{
	size_t tlvs = NLMSG_HDRLEN + sizeof(struct nlmsgerr);
	struct nlmsghdr nlh;
	struct nlmsgerr ne;
	size_t payload;

	*e = (struct nxm_error){ 0 };
	if (len < tlvs)
		return -EBADMSG;
	memcpy(&nlh, buf, sizeof(nlh));
	memcpy(&ne, (const uint8_t *)buf + NLMSG_HDRLEN, sizeof(ne));
	if (nlh.nlmsg_type != NLMSG_ERROR || nlh.nlmsg_len != len || ne.error > 0 ||
	    ne.error < -4095)
		return -EBADMSG;
	*seq = nlh.nlmsg_seq;
	e->err = ne.error;
	if (!ne.error || !(nlh.nlmsg_flags & NLM_F_ACK_TLVS))
		return ne.error;
	if (!(nlh.nlmsg_flags & NLM_F_CAPPED) && ne.msg.nlmsg_len > NLMSG_HDRLEN) {
		payload = (size_t)ne.msg.nlmsg_len - NLMSG_HDRLEN;
		if (payload > len - tlvs)
			return ne.error;
		tlvs += NLMSG_ALIGN(payload);
	}
	if (tlvs < len)
		parse_ack_tlvs((const uint8_t *)buf + tlvs, len - tlvs, e);
	return ne.error;
}
