// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the owner of a session hears without asking. Every event is remembered as the last of its
 * kind, then sent to the group of its namespace; who missed it asks with NQD_CMD_GET_EVENTS.
 *
 * The engine tells in softirq that something happened; this is the worker that acts on it.
 */
#include "nqd.h"
#include "trace.h"

/* Everything of an event but punted frames. */
#define EVENT_BYTES 512

static void send_event(struct nqd_session *s, u8 type, const struct nqd_last_event *info,
		       const u8 *frames, u32 frames_len)
{
	struct nqd_ended of = { .id = s->id, .user = s->user, .generation = s->generation };
	struct sk_buff *skb;
	void *hdr;

	if (!genl_has_listeners(&nqd_family, s->nn->net, 0))
		return;
	skb = genlmsg_new(EVENT_BYTES + frames_len, GFP_KERNEL);
	if (!skb)
		return;
	memcpy(of.tunnel, s->tunnel, sizeof(of.tunnel));
	hdr = genlmsg_put(skb, 0, 0, &nqd_family, 0, NQD_CMD_EVENT);
	if (!hdr || nqd_put_event(skb, type, info, &of, frames, frames_len)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&nqd_family, s->nn->net, skb, 0, 0, GFP_KERNEL);
}

static const struct nqd_last_event nothing;

static struct nqd_last_event *find_told(const struct nqd_session *s, u8 type)
{
	struct nqd_told *t;

	for (t = s->told; t; t = t->next)
		if (t->type == type)
			return &t->what;
	return NULL;
}

const struct nqd_last_event *nqd_last_event(const struct nqd_session *s, u8 type)
{
	return type == NQD_EVENT_SESSION_DOWN ? &s->told_down : find_told(s, type) ?: &nothing;
}

/*
 * The end has its place, for which there is memory. Most other kinds never happen in a session, so
 * what they say has none. Without memory for it the event is only sent.
 */
static struct nqd_last_event *place_for(struct nqd_session *s, u8 type)
{
	struct nqd_last_event *what = find_told(s, type);
	struct nqd_told *t;

	if (type == NQD_EVENT_SESSION_DOWN)
		return &s->told_down;
	if (what)
		return what;
	t = kmalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->type = type;
	t->next = s->told;
	s->told = t;
	return &t->what;
}

static void remember(struct nqd_session *s, u8 type, const struct nqd_last_event *info)
{
	struct nqd_last_event *place;

	if (info) {
		place = place_for(s, type);
		if (!place)
			return;
		*place = *info;
	}
	s->happened |= BIT(type);
}

void nqd_event(struct nqd_session *s, u8 type, const struct nqd_last_event *info, const u8 *frames,
	       u32 frames_len)
{
	lockdep_assert_held(&s->nn->lock);
	remember(s, type, info);
	trace_nqd_session(s->id, type);
	send_event(s, type, info ?: &nothing, frames, frames_len);
}

static void closed(struct nqd_session *s)
{
	struct nq_close_info info;

	spin_lock_bh(&s->lock);
	nq_close_info(s->conn, &info);
	spin_unlock_bh(&s->lock);
	nqd_session_down(s, nqd_down_reason(info.cause), info.code, info.reason);
}

/* Of what a peer can cause with every packet: is it to be told now? */
static bool may_tell(struct nqd_session *s, enum nqd_limited kind, bool happened)
{
	return nqd_limit_tell(&s->line.limits[kind], happened, nqd_now_us());
}

static bool is_due(const struct nqd_session *s, enum nqd_limited kind)
{
	return nqd_now_us() >= nqd_limit_due_us(&s->line.limits[kind]);
}

/*
 * Frames that the data plane does not own, in memory that packets have left to the session. While
 * they wait to be told it is the session's; what has no room in it is not acknowledged.
 */
static void punted(struct nqd_session *s)
{
	u8 *frames;
	u32 n;

	spin_lock_bh(&s->lock);
	frames = nq_take_punt(s->conn, &n);
	spin_unlock_bh(&s->lock);
	if (n)
		nqd_event(s, NQD_EVENT_FRAMES_PUNTED, NULL, frames, n);
	kfree_sensitive(frames);
}

static void congestion(struct nqd_session *s, const struct nq_stats *st)
{
	struct nqd_last_event info = { .congestion = nqd_congestion_state(st, s->path_mtu) };

	if (nqd_congestion_to_report(&s->line, info.congestion, nqd_now_us()))
		nqd_event(s, NQD_EVENT_CONGESTION_STATE, &info, NULL, 0);
}

/* At most one per second; the count says how many packets it stands for. */
static void duplicates(struct nqd_session *s, const struct nq_stats *st)
{
	struct nqd_last_event info = {
		.count = nqd_duplicates_to_report(&s->line, st, nqd_now_us()),
	};

	if (info.count)
		nqd_event(s, NQD_EVENT_REPLAY_OR_DUPLICATE_DROP, &info, NULL, 0);
}

/* Without them the next update, ours or the peer's, is the end: tried until there is memory. */
static void next_keys(struct nqd_session *s)
{
	int err = nqd_session_next_keys(s);

	/* Its owner may have given some. */
	s->keys_due = err && err != -EALREADY;
	if (s->keys_due)
		net_warn_ratelimited("nexusq: session %llu: no next keys yet: %d\n", s->id, err);
}

/* @happened: now. Or it is due. */
static void path_mtu_changed(struct nqd_session *s, bool happened)
{
	struct nqd_last_event info = {};

	spin_lock_bh(&s->lock);
	info.path_mtu = nq_max_payload_bytes(s->conn) + nq_tx_overhead_bytes(s->conn);
	s->path_mtu = info.path_mtu;
	spin_unlock_bh(&s->lock);
	if (may_tell(s, NQD_LIMITED_MTU, happened))
		nqd_event(s, NQD_EVENT_PATH_MTU_CHANGED, &info, NULL, 0);
}

/*
 * What the engine's statistics say of an event. They are large, and what take_events() goes on to
 * call sends packets.
 */
static noinline_for_stack void counted(struct nqd_session *s, u32 ev)
{
	struct nq_stats st;

	spin_lock_bh(&s->lock);
	nq_get_stats(s->conn, &st, nqd_now_us());
	spin_unlock_bh(&s->lock);
	if (ev & NQ_EV_CONGESTION)
		congestion(s, &st);
	if (ev & NQ_EV_DUPLICATE)
		duplicates(s, &st);
}

/* The events of the engine, each acted on once. */
static void take_events(struct nqd_session *s)
{
	u32 ev;

	spin_lock_bh(&s->lock);
	ev = nq_take_events(s->conn);
	spin_unlock_bh(&s->lock);
	if (ev & NQ_EV_KEY_UPDATED)
		s->keys_due = s->secrets.has_secrets;
	if (may_tell(s, NQD_LIMITED_KEYS, ev & NQ_EV_KEY_UPDATED))
		nqd_event(s, NQD_EVENT_KEY_UPDATE_DONE, NULL, NULL, 0);
	if (s->keys_due)
		next_keys(s);
	if (ev & NQ_EV_KEY_UPDATE_NEEDED)
		nqd_event(s, NQD_EVENT_KEY_UPDATE_NEEDED, NULL, NULL, 0);
	if (ev & (NQ_EV_CID_WANTED | NQ_EV_CID_RETIRED))
		nqd_session_refill_cids(s);
	if (ev & NQ_EV_PATH || is_due(s, NQD_LIMITED_PATH))
		nqd_session_paths(s);
	if (ev & (NQ_EV_CONGESTION | NQ_EV_DUPLICATE))
		counted(s, ev);
	if (ev & NQ_EV_MTU || is_due(s, NQD_LIMITED_MTU))
		path_mtu_changed(s, ev & NQ_EV_MTU);
	if (ev & NQ_EV_SILENT)
		nqd_event(s, NQD_EVENT_PEER_SILENT, NULL, NULL, 0);
	/* With the end they wait no longer. */
	if (may_tell(s, NQD_LIMITED_FRAMES, ev & NQ_EV_PUNT) || ev & NQ_EV_CLOSED)
		punted(s);
	if (ev & (NQ_EV_CLOSED | NQ_EV_GONE))
		closed(s);
	if (ev & NQ_EV_GONE)
		s->gone = true;
}

static u32 ring_wanted(struct nqd_session *s)
{
	u32 packets;

	spin_lock_bh(&s->lock);
	packets = nq_ring_wanted(s->conn);
	spin_unlock_bh(&s->lock);
	return packets;
}

void nqd_session_run(struct nqd_session *s)
{
	u32 packets;

	lockdep_assert_held(&s->nn->lock);
	if (s->line.unheard && READ_ONCE(s->heard))
		nqd_take_over(&s->nn->lines, &s->line);
	if (!s->nd)
		s->gone |= nqd_now_us() >= s->deadline_us;
	else if (s->conn && nqd_now_us() >= s->deadline_us)
		nqd_replace_timeout(&s->nn->lines, &s->line);
	if (s->conn) {
		packets = ring_wanted(s);
		if (packets)
			nqd_ring_grow(s, packets);
		take_events(s);
	}
	if (s->gone) {
		nqd_session_free(s);
		return;
	}
	if (s->conn) {
		nqd_reset_update(s);
		/* Reactions (new IDs, keys) may have something to say. */
		nqd_dp_session_wake(s);
	}
	nqd_session_set_deadline(s, s->deadline_us);
	if (s->keys_due)
		nqd_session_try_again(s);
}
