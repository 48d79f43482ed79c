// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Netlink messages on plain buffers: see nlcodec.h for the contract.
 *
 * Promises: no byte outside the given buffer is read or written. Attributes are walked and checked
 * by nlparse.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "nlcodec.h"
#include <linux/nexus_quic_dco.h>

#define NXM_HDR_LEN (NLMSG_HDRLEN + GENL_HDRLEN)
#define NXA_MAX_PAYLOAD (UINT16_MAX - NLA_HDRLEN)

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
