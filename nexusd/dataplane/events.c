// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the owner of a session hears without asking. Every event is remembered as the last of its
 * kind, then sent if the control socket has room. Of those there was no room for the owner hears as a
 * netlink socket would tell: NLMSG_OVERRUN; then it asks with NQD_CMD_GET_EVENTS.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/log.h"
#include "control-internal.h"

bool dp_events_told(struct dp *dp)
{
	struct nxm_hdr hdr = { .type = NLMSG_OVERRUN };
	u8 buf[64];
	struct nxm m;

	if (!dp->events_lost || !dp_control_room(dp, DP_ROOM_OVERRUN))
		return !dp->events_lost;
	nxm_begin(&m, buf, sizeof(buf), &hdr);
	dp->events_lost = dp_reply(dp, buf, nxm_end(&m));
	return !dp->events_lost;
}

static int send_event(struct dp *dp, const struct dp_session *s, u8 type, const u8 *frames,
		      u32 frames_len)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_DCO,
			       .cmd = NQD_CMD_EVENT,
			       .version = NQD_GENL_VERSION };
	const struct dp_last_event *last = &s->last[type];
	struct nxm m;

	if (!dp_events_told(dp) || !dp_control_room(dp, DP_ROOM_EVENTS))
		return -EAGAIN;
	nxm_begin(&m, dp->reply, NQD_MSG_MAX_LEN, &hdr);
	dp_put_event(&m, type, last, frames, frames_len);
	dp_put_session_id(&m, s->id, s->user, s->generation, s->tunnel, last);
	return dp_reply(dp, dp->reply, nxm_end(&m));
}

void dp_event(struct dp *dp, struct dp_session *s, u8 type, const struct dp_last_event *info,
	      const u8 *frames, u32 frames_len)
{
	struct dp_last_event *last = &s->last[type];

	*last = info ? *info : (struct dp_last_event){ 0 };
	last->present = true;
	if (dp->control.fd < 0 || !send_event(dp, s, type, frames, frames_len))
		return;
	dp->events_lost = true;
	dp_control_watch(dp);
}

static void closed(struct dp *dp, struct dp_session *s)
{
	struct nq_close_info info;

	nq_close_info(s->conn, &info);
	dp_session_down(dp, s, nqd_down_reason(info.cause), info.code, info.reason);
}

/* While frames wait to be told, what has no room beside them is not acknowledged. */
static void punted(struct dp *dp, struct dp_session *s)
{
	u32 n;
	u8 *frames = nq_take_punt(s->conn, &n);

	if (n)
		dp_event(dp, s, NQD_EVENT_FRAMES_PUNTED, NULL, frames, n);
	free(frames);
}

static void congestion(struct dp *dp, struct dp_session *s, const struct nq_stats *st)
{
	struct dp_last_event info = { .congestion = nqd_congestion_state(st, s->path_mtu) };

	if (nqd_congestion_to_report(&s->line, info.congestion, dp->now_us))
		dp_event(dp, s, NQD_EVENT_CONGESTION_STATE, &info, NULL, 0);
}

/* At most one per second; the count says how many packets it stands for. */
static void duplicates(struct dp *dp, struct dp_session *s, const struct nq_stats *st)
{
	struct dp_last_event info = { .count = nqd_duplicates_to_report(&s->line, st, dp->now_us) };

	if (info.count)
		dp_event(dp, s, NQD_EVENT_REPLAY_OR_DUPLICATE_DROP, &info, NULL, 0);
}

/* Of what a peer can cause with every packet: is it to be told now? */
static bool may_tell(struct dp *dp, struct dp_session *s, enum nqd_limited kind, bool happened)
{
	return nqd_limit_tell(&s->line.limits[kind], happened, dp->now_us);
}

static bool is_due(const struct dp *dp, const struct dp_session *s, enum nqd_limited kind)
{
	return dp->now_us >= nqd_limit_due_us(&s->line.limits[kind]);
}

static void keys_changed(struct dp_session *s)
{
	if (!s->secrets.has_secrets)
		return;
	if (dp_session_next_keys(s))
		nx_warn("session %llu: next keys could not be installed",
			(unsigned long long)s->id);
}

/* @happened: now. Or it is due. */
static void path_mtu_changed(struct dp *dp, struct dp_session *s, bool happened)
{
	struct dp_last_event info = { 0 };

	info.path_mtu = nq_max_payload_bytes(s->conn) + nq_tx_overhead_bytes(s->conn);
	s->path_mtu = info.path_mtu;
	if (may_tell(dp, s, NQD_LIMITED_MTU, happened))
		dp_event(dp, s, NQD_EVENT_PATH_MTU_CHANGED, &info, NULL, 0);
}

void dp_session_events(struct dp *dp, struct dp_session *s)
{
	u32 ev = nq_take_events(s->conn);
	struct nq_stats st;

	if (!ev && dp->now_us < nqd_limits_due_us(&s->line))
		return;
	if (ev & (NQ_EV_CONGESTION | NQ_EV_DUPLICATE))
		nq_get_stats(s->conn, &st, dp->now_us);
	if (ev & NQ_EV_KEY_UPDATED)
		keys_changed(s);
	if (may_tell(dp, s, NQD_LIMITED_KEYS, ev & NQ_EV_KEY_UPDATED))
		dp_event(dp, s, NQD_EVENT_KEY_UPDATE_DONE, NULL, NULL, 0);
	if (ev & NQ_EV_KEY_UPDATE_NEEDED)
		dp_event(dp, s, NQD_EVENT_KEY_UPDATE_NEEDED, NULL, NULL, 0);
	if (ev & (NQ_EV_CID_WANTED | NQ_EV_CID_RETIRED))
		dp_session_cids(dp, s);
	if (ev & NQ_EV_PATH || is_due(dp, s, NQD_LIMITED_PATH))
		dp_session_paths(dp, s);
	if (ev & NQ_EV_CONGESTION)
		congestion(dp, s, &st);
	if (ev & NQ_EV_DUPLICATE)
		duplicates(dp, s, &st);
	if (ev & NQ_EV_MTU || is_due(dp, s, NQD_LIMITED_MTU))
		path_mtu_changed(dp, s, ev & NQ_EV_MTU);
	if (ev & NQ_EV_SILENT)
		dp_event(dp, s, NQD_EVENT_PEER_SILENT, NULL, NULL, 0);
	/* With the end they wait no longer. */
	if (may_tell(dp, s, NQD_LIMITED_FRAMES, ev & NQ_EV_PUNT) || ev & NQ_EV_CLOSED)
		punted(dp, s);
	if (ev & NQ_EV_CLOSED)
		closed(dp, s);
	if (ev & NQ_EV_GONE) {
		closed(dp, s);
		s->gone = true;
	}
}
