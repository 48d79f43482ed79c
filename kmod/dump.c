// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers to queries: statistics, last events. No key, secret, connection ID or reset token is ever
 * put into a message by this file or any other of the module.
 *
 * A dump goes by serial numbers: what ends or begins between two messages of it is left out or
 * told, and nothing is told twice.
 */
#include <net/sock.h>

#include "nqd.h"

static int put_addr(struct sk_buff *skb, int attr, const union nqd_addr *a)
{
	return nla_put(skb, attr, nqd_addr_len(a), a);
}

static int put_event(struct sk_buff *skb, u8 type, const struct nqd_last_event *e, const u8 *frames,
		     u32 frames_len)
{
	struct nlattr *nest = nla_nest_start(skb, NQD_A_EVENT);
	bool down = type == NQD_EVENT_SESSION_DOWN;

	if (!nest || nla_put_u8(skb, NQD_A_EVENT_TYPE, type) ||
	    (down && nla_put_u8(skb, NQD_A_EVENT_REASON, e->reason)) ||
	    ((down || type == NQD_EVENT_FATAL_ERROR) &&
	     (nqd_put_u64(skb, NQD_A_EVENT_ERROR_CODE, e->code) ||
	      nla_put_string(skb, NQD_A_EVENT_TEXT, e->text))) ||
	    (type == NQD_EVENT_CONGESTION_STATE &&
	     nla_put_u8(skb, NQD_A_EVENT_CONGESTION, e->congestion)) ||
	    (type == NQD_EVENT_REPLAY_OR_DUPLICATE_DROP &&
	     nqd_put_u64(skb, NQD_A_EVENT_COUNT, e->count)) ||
	    (frames_len && nla_put(skb, NQD_A_EVENT_FRAMES, frames_len, frames)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

int nqd_put_event(struct sk_buff *skb, u8 type, const struct nqd_last_event *e,
		  const struct nqd_ended *of, const u8 *frames, u32 frames_len)
{
	struct nlattr *nest;

	if (put_event(skb, type, e, frames, frames_len))
		return -EMSGSIZE;
	nest = nla_nest_start(skb, NQD_A_SESSION);
	if (!nest || nqd_put_u64(skb, NQD_A_SESSION_ID, of->id) ||
	    nqd_put_u64(skb, NQD_A_SESSION_GENERATION, of->generation) ||
	    nqd_put_u64(skb, NQD_A_SESSION_USER, of->user) ||
	    nla_put_string(skb, NQD_A_SESSION_TUNNEL, of->tunnel) ||
	    (type == NQD_EVENT_PATH_CHANGED &&
	     (put_addr(skb, NQD_A_SESSION_LOCAL_ADDR, &e->local) ||
	      put_addr(skb, NQD_A_SESSION_REMOTE_ADDR, &e->remote))) ||
	    (type == NQD_EVENT_PATH_MTU_CHANGED &&
	     nla_put_u32(skb, NQD_A_SESSION_PATH_MTU_BYTES, e->path_mtu)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* ---- statistics ---- */

/* What of a session belongs to its lock, taken at one moment. */
struct snapshot {
	u64 stats[NQD_A_STATS_MAX + 1];
	union nqd_addr local, remote;
	const char *congestion;
	u32 path_mtu;
};

static void take_snapshot(struct nqd_session *s, struct snapshot *snap)
{
	struct nqd_account account = nqd_account_of(s);
	struct nqd_path *path;

	memset(snap, 0, sizeof(*snap));
	spin_lock_bh(&s->lock);
	path = nqd_active_path(s);
	snap->local = *nqd_path_local(path);
	snap->remote = path->remote;
	snap->path_mtu = s->path_mtu;
	if (s->conn)
		snap->congestion = nq_congestion_name(s->conn);
	nqd_account_stats(&account, snap->stats, nqd_now_us());
	spin_unlock_bh(&s->lock);
	snap->stats[NQD_A_STATS_TX_QUEUE_DELAY_MAX_US] =
		codel_time_to_us(READ_ONCE(s->dp.delay_max));
}

/* What a session's owner may know about it: configuration and state, no CID, no key. */
static int put_session(struct sk_buff *skb, struct nqd_session *s, const struct snapshot *snap)
{
	struct nlattr *nest = nla_nest_start(skb, NQD_A_SESSION);

	if (!nest || nqd_put_u64(skb, NQD_A_SESSION_ID, s->id) ||
	    nqd_put_u64(skb, NQD_A_SESSION_GENERATION, s->generation) ||
	    nqd_put_u64(skb, NQD_A_SESSION_USER, s->user) ||
	    nla_put_string(skb, NQD_A_SESSION_TUNNEL, s->tunnel) ||
	    nla_put_u8(skb, NQD_A_SESSION_ROLE, s->role) ||
	    nla_put_u32(skb, NQD_A_SESSION_FLAGS, s->flags) ||
	    put_addr(skb, NQD_A_SESSION_LOCAL_ADDR, &snap->local) ||
	    put_addr(skb, NQD_A_SESSION_REMOTE_ADDR, &snap->remote) ||
	    nla_put_u16(skb, NQD_A_SESSION_CIPHER, s->cipher) ||
	    nla_put_u16(skb, NQD_A_SESSION_KEY_EXCHANGE, s->key_exchange) ||
	    nla_put_u32(skb, NQD_A_SESSION_PATH_MTU_BYTES, snap->path_mtu) ||
	    nla_put_u32(skb, NQD_A_SESSION_ROUTE_EPOCH, s->route_epoch) ||
	    nla_put_u32(skb, NQD_A_SESSION_PEER_GROUP, s->peer_group) ||
	    (snap->congestion && nla_put_string(skb, NQD_A_SESSION_CONGESTION, snap->congestion)) ||
	    nla_put_u8(skb, NQD_A_SESSION_STATE, nqd_session_state(s)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_interface(struct sk_buff *skb, const struct nqd_session *s)
{
	struct nlattr *nest;

	if (!s->nd)
		return 0;
	nest = nla_nest_start(skb, NQD_A_DEVICE);
	if (!nest || nla_put_u32(skb, NQD_A_DEVICE_IFINDEX, s->nd->dev->ifindex) ||
	    nla_put_string(skb, NQD_A_DEVICE_IFNAME, s->nd->dev->name))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_stats(struct sk_buff *skb, struct nqd_session *s)
{
	struct snapshot snap;
	struct nlattr *nest;
	int i;

	take_snapshot(s, &snap);
	if (put_interface(skb, s) || put_session(skb, s, &snap))
		return -EMSGSIZE;
	nest = nla_nest_start(skb, NQD_A_STATS);
	if (!nest)
		return -EMSGSIZE;
	for (i = 1; i <= NQD_A_STATS_MAX; i++)
		if (nqd_put_u64(skb, i, snap.stats[i]))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

int nqd_cmd_get_stats(struct nqd_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct nqd_session *s;
	struct sk_buff *skb;
	void *hdr;
	int err;

	err = nxa_require(r->top, &nqd_top_set, NQD_A_SESSION, &r->e);
	if (err)
		return err;
	s = nqd_request_session(r, attrs);
	if (!s)
		return r->e.err;
	/* An owner that has not heard of it yet: its counters are the heir's. */
	if (s->line.replaced && s->line.heir)
		s = container_of(s->line.heir, struct nqd_session, line);
	skb = nqd_reply_begin(r, NLMSG_GOODSIZE, &hdr);
	if (!skb)
		return -ENOMEM;
	err = put_stats(skb, s);
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	return nqd_reply(r, skb, hdr);
}

int nqd_cmd_get_events(struct nqd_request *r)
{
	return nqd_fail(r, -EINVAL, "events are only dumped (NLM_F_DUMP)");
}

/* ---- dumps ---- */

static void *begin_message(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &nqd_family,
			   NLM_F_MULTI, cmd);
}

/* How far it is: the serials of what was told last, and the next event of the session after it. */
struct cursor {
	u64 serial;
	u64 ended_serial;
	u8 event;
};

static struct cursor *cursor_of(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct cursor) > sizeof(cb->ctx));
	return (struct cursor *)cb->ctx;
}

int nqd_dump_stats(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nqd_net *nn = nqd_net_of(sock_net(skb->sk));
	struct cursor *cur = cursor_of(cb);
	struct nqd_session *s;
	void *hdr;

	mutex_lock(&nn->lock);
	list_for_each_entry(s, &nn->sessions, entry) {
		if (s->serial <= cur->serial)
			continue;
		hdr = begin_message(skb, cb, NQD_CMD_GET_STATS);
		if (!hdr)
			break;
		if (put_stats(skb, s)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cur->serial = s->serial;
	}
	mutex_unlock(&nn->lock);
	return skb->len;
}

static int dump_event(struct sk_buff *skb, struct netlink_callback *cb, u8 type,
		      const struct nqd_last_event *e, const struct nqd_ended *of)
{
	void *hdr;

	hdr = begin_message(skb, cb, NQD_CMD_EVENT);
	if (!hdr)
		return -EMSGSIZE;
	if (nqd_put_event(skb, type, e, of, NULL, 0)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

static int dump_ended(struct nqd_net *nn, struct sk_buff *skb, struct netlink_callback *cb)
{
	struct cursor *cur = cursor_of(cb);
	struct nqd_ended *e;

	list_for_each_entry(e, &nn->ended, entry) {
		if (e->serial <= cur->ended_serial)
			continue;
		if (dump_event(skb, cb, NQD_EVENT_SESSION_DOWN, &e->down, e))
			return -EMSGSIZE;
		cur->ended_serial = e->serial;
	}
	return 0;
}

static int dump_events_of(struct nqd_session *s, struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nqd_ended of = { .id = s->id, .user = s->user, .generation = s->generation };
	struct cursor *cur = cursor_of(cb);

	memcpy(of.tunnel, s->tunnel, sizeof(of.tunnel));
	for (; cur->event <= NQD_EVENT_MAX; cur->event++)
		if (s->happened & BIT(cur->event) &&
		    dump_event(skb, cb, cur->event, nqd_last_event(s, cur->event), &of))
			return -EMSGSIZE;
	cur->event = 0;
	cur->serial = s->serial;
	return 0;
}

/* Sessions that ended first. One that ends meanwhile and begins the list anew is told there. */
int nqd_dump_events(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nqd_net *nn = nqd_net_of(sock_net(skb->sk));
	struct cursor *cur = cursor_of(cb);
	struct nqd_session *s;

	mutex_lock(&nn->lock);
	if (!dump_ended(nn, skb, cb))
		list_for_each_entry(s, &nn->sessions, entry)
			if (s->serial > cur->serial && dump_events_of(s, skb, cb))
				break;
	mutex_unlock(&nn->lock);
	return skb->len;
}
