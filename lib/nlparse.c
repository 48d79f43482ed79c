// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The attribute walker: see nlparse.h for the contract.
 *
 * Parsing keeps its own stack of NXM_MAX_DEPTH levels instead of recursing, and visits every byte at
 * most once per level. It runs in every process on messages of its peers, and in the kernel on
 * messages of user space, so it trusts nothing.
 */
#include "nlparse.h"
#include <linux/nexus_quic_dco.h>

#define NXA_SEEN_WORDS 4
#define NXA_SET_MAX (NXA_SEEN_WORDS * 64 - 1)
#define NXA_FLAGS (NLA_F_NESTED | NLA_F_NET_BYTEORDER)

int nxm_fail(struct nxm_error *e, int err, uint32_t offset, const char *fmt, ...)
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

int nxa_step(const uint8_t **at, size_t *left, struct nlattr *nla, struct nxa *out)
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
