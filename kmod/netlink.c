// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family "nexus_quic_dco": requests in, answers and errors out.
 *
 * Attributes are walked by lib/nlparse.c with the policies of lib/nqd_policy.c, as in nexus-dp: one
 * table, the same refusals, the same words. The family declares no policy of its own to the core,
 * and sends its error messages itself, because the core has room for 80 characters at most, and
 * none for formatted text before 6.2. A request is parsed and judged completely before anything
 * changes; its bytes are wiped before it is answered, whatever they were.
 */
#include <linux/module.h>

#include "nqd.h"

struct sk_buff *nqd_reply_begin(struct nqd_request *r, size_t payload, void **hdr)
{
	struct sk_buff *skb = genlmsg_new(payload, GFP_KERNEL);

	if (!skb)
		return NULL;
	*hdr = genlmsg_put_reply(skb, r->info, &nqd_family, 0, r->info->genlhdr->cmd);
	if (*hdr)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

int nqd_reply(struct nqd_request *r, struct sk_buff *skb, void *hdr)
{
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, r->info);
}

static int cmd_get_caps(struct nqd_request *r)
{
	static const u16 ciphers[] = {
		NQD_CIPHER_AES_128_GCM,
		NQD_CIPHER_AES_256_GCM,
		NQD_CIPHER_CHACHA20_POLY1305,
	};
	struct nlattr *nest;
	struct sk_buff *skb;
	unsigned int i;
	void *hdr;
	int err;

	skb = nqd_reply_begin(r, NLMSG_DEFAULT_SIZE, &hdr);
	if (!skb)
		return -ENOMEM;
	nest = nla_nest_start(skb, NQD_A_CAPS);
	err = nest ? 0 : -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(ciphers) && !err; i++)
		err = nla_put_u16(skb, NQD_A_CAPS_CIPHER, ciphers[i]);
	if (err || nla_put_u32(skb, NQD_A_CAPS_ABI_VERSION, NQD_GENL_VERSION) ||
	    nla_put_string(skb, NQD_A_CAPS_IMPLEMENTATION, NQD_GENL_NAME) ||
	    nla_put_string(skb, NQD_A_CAPS_RELEASE, NQD_RELEASE) ||
	    nla_put_string(skb, NQD_A_CAPS_CRYPTO_PROVIDER, "kernel") ||
	    nla_put_flag(skb, NQD_A_CAPS_UDP_GSO) || nla_put_flag(skb, NQD_A_CAPS_UDP_GRO) ||
	    nla_put_u32(skb, NQD_A_CAPS_MAX_SESSIONS, NQD_MAX_SESSIONS) ||
	    nla_put_u32(skb, NQD_A_CAPS_MAX_DEVICES, NQD_MAX_DEVICES)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return nqd_reply(r, skb, hdr);
}

/* Answer with the error in r->e. The core then sends nothing: that is what -EINTR tells it. */
static int refuse(struct nqd_request *r, int err)
{
	struct netlink_ext_ack extack = { ._msg = r->e.err ? r->e.text : NULL };

	if (READ_ONCE(r->nn->debug_level))
		net_info_ratelimited("nexusq: command %u refused: %d %s\n", r->info->genlhdr->cmd,
				     err, r->e.text);
	if (r->e.offset)
		extack.bad_attr = (const struct nlattr *)(r->msg + r->e.offset);
	netlink_ack(r->skb, (struct nlmsghdr *)r->info->nlhdr, err, &extack);
	return -EINTR;
}

struct nqd_command {
	int (*fn)(struct nqd_request *r);
	bool unlocked; /* takes what locks it needs itself */
};

static const struct nqd_command commands[NQD_CMD_MAX + 1] = {
	[NQD_CMD_GET_CAPS] = { cmd_get_caps, true },
	[NQD_CMD_CREATE_DEVICE] = { nqd_cmd_create_device, true },
	[NQD_CMD_DELETE_DEVICE] = { nqd_cmd_delete_device, true },
	[NQD_CMD_ADD_SESSION] = { nqd_cmd_add_session },
	[NQD_CMD_UPDATE_SESSION] = { nqd_cmd_update_session },
	[NQD_CMD_DELETE_SESSION] = { nqd_cmd_delete_session },
	[NQD_CMD_ADD_ROUTE] = { nqd_cmd_add_route },
	[NQD_CMD_DELETE_ROUTE] = { nqd_cmd_delete_route },
	[NQD_CMD_SET_KEYS] = { nqd_cmd_set_keys },
	[NQD_CMD_KEY_UPDATE] = { nqd_cmd_key_update },
	[NQD_CMD_GET_STATS] = { nqd_cmd_get_stats },
	[NQD_CMD_FLUSH_STATS] = { nqd_cmd_flush_stats },
	[NQD_CMD_SET_DEBUG] = { nqd_cmd_set_debug },
	[NQD_CMD_GET_EVENTS] = { nqd_cmd_get_events },
};

static int run(struct nqd_request *r, u8 cmd)
{
	const struct nqd_command *c = &commands[cmd];
	int err;

	if (c->unlocked)
		return c->fn(r);
	mutex_lock(&r->nn->lock);
	err = c->fn(r);
	mutex_unlock(&r->nn->lock);
	return err;
}

static int nqd_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nqd_request r = {
		.skb = skb,
		.info = info,
		.nn = nqd_net_of(genl_info_net(info)),
		.msg = (const u8 *)info->nlhdr,
		.attrs = (const u8 *)genlmsg_data(info->genlhdr),
		.attrs_len = genlmsg_len(info->genlhdr),
		.flags = info->nlhdr->nlmsg_flags,
	};
	u8 cmd = info->genlhdr->cmd;
	int err;

	err = nxa_parse(r.attrs, r.attrs_len, &nqd_top_set, r.top, r.msg, &r.e);
	if (!err)
		err = nqd_check_command(cmd, r.top, &r.e);
	if (!err)
		err = run(&r, cmd);
	memzero_explicit((void *)r.attrs, r.attrs_len);
	return err ? refuse(&r, err) : 0;
}

/* Every command, the reading ones too, is for the administrator of the network namespace. */
#define OP(c, ...)                                                                        \
	{                                                                                 \
		.cmd = (c), .flags = GENL_UNS_ADMIN_PERM, .doit = nqd_doit, ##__VA_ARGS__ \
	}

static const struct genl_ops nqd_ops[] = {
	OP(NQD_CMD_GET_CAPS),
	OP(NQD_CMD_CREATE_DEVICE),
	OP(NQD_CMD_DELETE_DEVICE),
	OP(NQD_CMD_ADD_SESSION),
	OP(NQD_CMD_UPDATE_SESSION),
	OP(NQD_CMD_DELETE_SESSION),
	OP(NQD_CMD_ADD_ROUTE),
	OP(NQD_CMD_DELETE_ROUTE),
	OP(NQD_CMD_SET_KEYS),
	OP(NQD_CMD_KEY_UPDATE),
	OP(NQD_CMD_GET_STATS, .dumpit = nqd_dump_stats),
	OP(NQD_CMD_FLUSH_STATS),
	OP(NQD_CMD_SET_DEBUG),
	OP(NQD_CMD_GET_EVENTS, .dumpit = nqd_dump_events),
};

static const struct genl_multicast_group nqd_groups[] = {
	{ .name = NQD_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

struct genl_family nqd_family __ro_after_init = {
	.name = NQD_GENL_NAME,
	.version = NQD_GENL_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = nqd_ops,
	.n_ops = ARRAY_SIZE(nqd_ops),
	/* From this number on the core refuses every attribute where a family has no policy. */
	.resv_start_op = NQD_CMD_MAX + 1,
	.mcgrps = nqd_groups,
	.n_mcgrps = ARRAY_SIZE(nqd_groups),
};

int __init nqd_netlink_init(void)
{
	return genl_register_family(&nqd_family);
}

void nqd_netlink_exit(void)
{
	genl_unregister_family(&nqd_family);
}
