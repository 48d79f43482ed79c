// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers to queries: capabilities, statistics, last events. No key, secret, connection ID or reset
 * token is ever put into a message by this file or any other of this process.
 */
#include <errno.h>
#include <linux/netlink.h>

#include "nx-config.h"
#include "control-internal.h"

void dp_put_session_id(struct nxm *m, u64 id, u64 user, u64 generation, const char *tunnel,
		       const struct dp_last_event *e)
{
	size_t nest = nxm_nest_begin(m, NQD_A_SESSION);

	nxm_put_u64(m, NQD_A_SESSION_ID, id);
	nxm_put_u64(m, NQD_A_SESSION_GENERATION, generation);
	nxm_put_u64(m, NQD_A_SESSION_USER, user);
	nxm_put_str(m, NQD_A_SESSION_TUNNEL, tunnel);
	if (e->remote.sa.sa_family) {
		nxm_put(m, NQD_A_SESSION_LOCAL_ADDR, &e->local, nqd_addr_len(&e->local));
		nxm_put(m, NQD_A_SESSION_REMOTE_ADDR, &e->remote, nqd_addr_len(&e->remote));
	}
	if (e->path_mtu)
		nxm_put_u32(m, NQD_A_SESSION_PATH_MTU_BYTES, e->path_mtu);
	nxm_nest_end(m, nest);
}

void dp_put_event(struct nxm *m, u8 type, const struct dp_last_event *e, const u8 *frames,
		  u32 frames_len)
{
	size_t nest = nxm_nest_begin(m, NQD_A_EVENT);

	nxm_put_u8(m, NQD_A_EVENT_TYPE, type);
	if (type == NQD_EVENT_SESSION_DOWN)
		nxm_put_u8(m, NQD_A_EVENT_REASON, e->reason);
	if (type == NQD_EVENT_SESSION_DOWN || type == NQD_EVENT_FATAL_ERROR) {
		nxm_put_u64(m, NQD_A_EVENT_ERROR_CODE, e->code);
		nxm_put_str(m, NQD_A_EVENT_TEXT, e->text);
	}
	if (type == NQD_EVENT_CONGESTION_STATE)
		nxm_put_u8(m, NQD_A_EVENT_CONGESTION, e->congestion);
	if (type == NQD_EVENT_REPLAY_OR_DUPLICATE_DROP)
		nxm_put_u64(m, NQD_A_EVENT_COUNT, e->count);
	if (frames_len)
		nxm_put(m, NQD_A_EVENT_FRAMES, frames, frames_len);
	nxm_nest_end(m, nest);
}

int dp_cmd_get_caps(struct dp *dp, struct dp_request *r)
{
	struct nxm_hdr hdr = r->hdr;
	struct nxm m;
	size_t nest;

	hdr.flags = 0;
	nxm_begin(&m, dp->reply, NQD_MSG_MAX_LEN, &hdr);
	nest = nxm_nest_begin(&m, NQD_A_CAPS);
	nxm_put_u32(&m, NQD_A_CAPS_ABI_VERSION, NQD_GENL_VERSION);
	nxm_put_str(&m, NQD_A_CAPS_IMPLEMENTATION, "nexus-dp");
	nxm_put_str(&m, NQD_A_CAPS_RELEASE, NX_VERSION);
	nxm_put_u16(&m, NQD_A_CAPS_CIPHER, NQD_CIPHER_AES_128_GCM);
	nxm_put_u16(&m, NQD_A_CAPS_CIPHER, NQD_CIPHER_AES_256_GCM);
	nxm_put_u16(&m, NQD_A_CAPS_CIPHER, NQD_CIPHER_CHACHA20_POLY1305);
	nxm_put_str(&m, NQD_A_CAPS_CRYPTO_PROVIDER, dp->crypto ? dp->crypto->name : "");
	if (dp->udp_gso)
		nxm_put_flag(&m, NQD_A_CAPS_UDP_GSO);
	if (dp->udp_gro)
		nxm_put_flag(&m, NQD_A_CAPS_UDP_GRO);
	nxm_put_flag(&m, NQD_A_CAPS_TUN_TSO);
	if (dp->tun_uso)
		nxm_put_flag(&m, NQD_A_CAPS_TUN_USO);
	nxm_put_u32(&m, NQD_A_CAPS_MAX_SESSIONS, DP_MAX_SESSIONS);
	nxm_put_u32(&m, NQD_A_CAPS_MAX_DEVICES, DP_MAX_DEVICES);
	nxm_nest_end(&m, nest);
	dp_reply(dp, dp->reply, nxm_end(&m));
	return 0;
}

/* What a session's owner may know about it: configuration and state, no CID, no key. */
static void put_session(struct nxm *m, struct dp_session *s)
{
	const struct nqd_path *path = dp_active_path(s);
	const union nqd_addr *local = dp_path_local(path);
	size_t nest = nxm_nest_begin(m, NQD_A_SESSION);

	nxm_put_u64(m, NQD_A_SESSION_ID, s->id);
	nxm_put_u64(m, NQD_A_SESSION_GENERATION, s->generation);
	nxm_put_u64(m, NQD_A_SESSION_USER, s->user);
	nxm_put_str(m, NQD_A_SESSION_TUNNEL, s->tunnel);
	nxm_put_u8(m, NQD_A_SESSION_ROLE, s->role);
	nxm_put_u32(m, NQD_A_SESSION_FLAGS, s->flags);
	nxm_put(m, NQD_A_SESSION_LOCAL_ADDR, local, nqd_addr_len(local));
	nxm_put(m, NQD_A_SESSION_REMOTE_ADDR, &path->remote, nqd_addr_len(&path->remote));
	nxm_put_u16(m, NQD_A_SESSION_CIPHER, s->cipher);
	nxm_put_u16(m, NQD_A_SESSION_KEY_EXCHANGE, s->key_exchange);
	nxm_put_u32(m, NQD_A_SESSION_PATH_MTU_BYTES, s->path_mtu);
	nxm_put_u32(m, NQD_A_SESSION_ROUTE_EPOCH, s->route_epoch);
	nxm_put_u32(m, NQD_A_SESSION_PEER_GROUP, s->peer_group);
	if (s->conn)
		nxm_put_str(m, NQD_A_SESSION_CONGESTION, nq_congestion_name(s->conn));
	nxm_put_u8(m, NQD_A_SESSION_STATE, nqd_session_state_of(s->conn, s->down));
	nxm_nest_end(m, nest);
}

/* One message of a dump, which leaves the room that others count on. */
static int dump_reply(struct dp *dp, ssize_t len)
{
	return dp_control_room(dp, DP_ROOM_ANSWERS) ? dp_reply(dp, dp->reply, len) : -EAGAIN;
}

static int send_stats(struct dp *dp, const struct nxm_hdr *req, struct dp_session *s, u16 flags)
{
	struct nxm_hdr hdr = *req;
	u64 v[NQD_A_STATS_MAX + 1] = { 0 };
	struct nqd_account account = dp_account_of(s);
	struct nxm m;
	size_t nest;
	int i;

	nqd_account_stats(&account, v, dp->now_us);
	v[NQD_A_STATS_TX_QUEUE_DELAY_MAX_US] = dp_fq_delay_max_us(s->fq);
	hdr.flags = flags;
	nxm_begin(&m, dp->reply, NQD_MSG_MAX_LEN, &hdr);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	if (s->dev->ifindex)
		nxm_put_u32(&m, NQD_A_DEVICE_IFINDEX, s->dev->ifindex);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, s->dev->ifname);
	nxm_nest_end(&m, nest);
	put_session(&m, s);
	nest = nxm_nest_begin(&m, NQD_A_STATS);
	for (i = 1; i <= NQD_A_STATS_MAX; i++)
		nxm_put_u64(&m, i, v[i]);
	nxm_nest_end(&m, nest);
	return flags & NLM_F_MULTI ? dump_reply(dp, nxm_end(&m))
				   : dp_reply(dp, dp->reply, nxm_end(&m));
}

static int send_event(struct dp *dp, u8 type, const struct dp_last_event *e,
		      const struct dp_ended *of)
{
	struct nxm_hdr hdr = dp->dump.hdr;
	struct nxm m;

	if (!e->present)
		return 0;
	hdr.cmd = NQD_CMD_EVENT;
	hdr.flags = NLM_F_MULTI;
	nxm_begin(&m, dp->reply, NQD_MSG_MAX_LEN, &hdr);
	dp_put_event(&m, type, e, NULL, 0);
	dp_put_session_id(&m, of->id, of->user, of->generation, of->tunnel, e);
	return dump_reply(dp, nxm_end(&m));
}

/* ---- dumps ---- */

static int dump_ended(struct dp *dp)
{
	struct dp_dump *d = &dp->dump;
	int err;

	for (; d->ended_next < dp->n_ended && d->ended_next < DP_ENDED_MAX; d->ended_next++) {
		err = send_event(dp, NQD_EVENT_SESSION_DOWN, &dp->ended[d->ended_next].down,
				 &dp->ended[d->ended_next]);
		if (err)
			return err;
	}
	return 0;
}

static int dump_events_of(struct dp *dp, const struct dp_session *s)
{
	struct dp_ended of = { .id = s->id, .user = s->user, .generation = s->generation };
	struct dp_dump *d = &dp->dump;
	int err;

	memcpy(of.tunnel, s->tunnel, sizeof(of.tunnel));
	for (; d->event_next <= NQD_EVENT_MAX; d->event_next++) {
		err = send_event(dp, d->event_next, &s->last[d->event_next], &of);
		if (err)
			return err;
	}
	d->event_next = 0;
	return 0;
}

/* As far as the socket takes it: 0 when the dump is complete. */
static int dump_some(struct dp *dp)
{
	struct dp_dump *d = &dp->dump;
	u8 done[64];
	int err = 0;

	if (d->hdr.cmd == NQD_CMD_GET_EVENTS)
		err = dump_ended(dp);
	while (!err && d->next) {
		err = d->hdr.cmd == NQD_CMD_GET_EVENTS
			      ? dump_events_of(dp, d->next)
			      : send_stats(dp, &d->hdr, d->next, NLM_F_MULTI);
		if (!err)
			d->next = TAILQ_NEXT(d->next, entry);
	}
	return err ?: dp_reply(dp, done, nxm_build_done(done, sizeof(done), &d->hdr));
}

bool dp_dump_active(const struct dp *dp)
{
	return dp->dump.hdr.cmd;
}

void dp_dump_stop(struct dp *dp)
{
	dp->dump = (struct dp_dump){ 0 };
}

/* Requests wait while a dump is in progress, so that answers never mix. */
void dp_dump_continue(struct dp *dp)
{
	if (dp_dump_active(dp) && dump_some(dp) != -EAGAIN)
		dp_dump_stop(dp);
}

static void dump_start(struct dp *dp, const struct dp_request *r)
{
	dp->dump = (struct dp_dump){ .hdr = r->hdr, .next = TAILQ_FIRST(&dp->sessions) };
	/* They point into the request. */
	dp->dump.hdr.attrs = NULL;
	dp->dump.hdr.attrs_len = 0;
	dp_dump_continue(dp);
}

int dp_cmd_get_stats(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s;
	int err;

	if (r->hdr.flags & NLM_F_DUMP) {
		dump_start(dp, r);
		return 0;
	}
	err = nxa_require(r->top, &nqd_top_set, NQD_A_SESSION, &r->e);
	if (err)
		return err;
	s = dp_request_session(dp, r, attrs);
	if (!s)
		return r->e.err;
	/* An owner that has not heard of it yet: its counters are the heir's. */
	send_stats(dp, &r->hdr, s->line.replaced && s->line.heir ? dp_heir(s) : s, 0);
	return 0;
}

int dp_cmd_get_events(struct dp *dp, struct dp_request *r)
{
	if (!(r->hdr.flags & NLM_F_DUMP))
		return dp_fail(&r->e, -EINVAL, "events are only dumped (NLM_F_DUMP)");
	dump_start(dp, r);
	return 0;
}
