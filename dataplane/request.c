// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands, sessions, routes and updates: see request.h. Keys are in keys.c.
 */
#include "request.h"

#define TOP(attr) (1u << (attr))
#define DEFAULT_ACK_DELAY_US 25000
#define ACK_DELAY_EXPONENT 3
#define FIXED_RATE "fixed_rate_test"

/* ---- commands ---- */

struct command {
	u32 allowed; /* top-level attributes that mean something here */
	u32 required;
};

static const struct command commands[NQD_CMD_MAX + 1] = {
	[NQD_CMD_CREATE_DEVICE] = { TOP(NQD_A_DEVICE), TOP(NQD_A_DEVICE) },
	[NQD_CMD_DELETE_DEVICE] = { TOP(NQD_A_DEVICE), TOP(NQD_A_DEVICE) },
	[NQD_CMD_ADD_SESSION] = { TOP(NQD_A_DEVICE) | TOP(NQD_A_SESSION) | TOP(NQD_A_KEYS) |
					  TOP(NQD_A_ROUTE),
				  TOP(NQD_A_DEVICE) | TOP(NQD_A_SESSION) },
	[NQD_CMD_UPDATE_SESSION] = { TOP(NQD_A_SESSION), TOP(NQD_A_SESSION) },
	[NQD_CMD_DELETE_SESSION] = { TOP(NQD_A_DEVICE) | TOP(NQD_A_SESSION), 0 },
	[NQD_CMD_ADD_ROUTE] = { TOP(NQD_A_SESSION) | TOP(NQD_A_ROUTE),
				TOP(NQD_A_SESSION) | TOP(NQD_A_ROUTE) },
	[NQD_CMD_DELETE_ROUTE] = { TOP(NQD_A_SESSION) | TOP(NQD_A_ROUTE),
				   TOP(NQD_A_SESSION) | TOP(NQD_A_ROUTE) },
	[NQD_CMD_SET_KEYS] = { TOP(NQD_A_SESSION) | TOP(NQD_A_KEYS),
			       TOP(NQD_A_SESSION) | TOP(NQD_A_KEYS) },
	[NQD_CMD_KEY_UPDATE] = { TOP(NQD_A_SESSION) | TOP(NQD_A_KEYS), TOP(NQD_A_SESSION) },
	[NQD_CMD_GET_STATS] = { TOP(NQD_A_SESSION), 0 },
	[NQD_CMD_FLUSH_STATS] = { TOP(NQD_A_SESSION), 0 },
	[NQD_CMD_SET_DEBUG] = { TOP(NQD_A_DEBUG), TOP(NQD_A_DEBUG) },
};

int nqd_check_command(u8 cmd, const struct nxa *top, struct nxm_error *e)
{
	int i, err;

	for (i = 1; i <= NQD_A_MAX; i++) {
		if (top[i].present && !(commands[cmd].allowed & TOP(i)))
			return nxm_fail(e, -EINVAL, 0, "%s: not part of this command",
					nqd_top_set.policy[i].name);
		if (!(commands[cmd].required & TOP(i)))
			continue;
		err = nxa_require(top, &nqd_top_set, i, e);
		if (err)
			return err;
	}
	return 0;
}

/* ---- routes ---- */

static int parse_route(const struct nxa *nest, const void *msg, struct nqd_prefix *p,
		       struct nxm_error *e)
{
	struct nxa a[NQD_A_ROUTE_MAX + 1];
	int err;

	err = nxa_parse_nest(nest, &nqd_route_set, a, msg, e);
	if (!err)
		err = nxa_require(a, &nqd_route_set, NQD_A_ROUTE_ADDR, e);
	if (!err)
		err = nxa_require(a, &nqd_route_set, NQD_A_ROUTE_PREFIX_LEN, e);
	if (err)
		return err;
	if (a[NQD_A_ROUTE_ADDR].len != 4 && a[NQD_A_ROUTE_ADDR].len != 16)
		return nxm_fail(e, -EINVAL, 0, "NQD_A_ROUTE_ADDR: length %u instead of 4 or 16",
				a[NQD_A_ROUTE_ADDR].len);
	*p = (struct nqd_prefix){ .family_bits = a[NQD_A_ROUTE_ADDR].len * 8,
				  .len = nxa_u8(&a[NQD_A_ROUTE_PREFIX_LEN]) };
	memcpy(p->addr, a[NQD_A_ROUTE_ADDR].data, a[NQD_A_ROUTE_ADDR].len);
	if (p->len > p->family_bits)
		return nxm_fail(e, -EINVAL, 0, "NQD_A_ROUTE_PREFIX_LEN: %u of %u bits", p->len,
				p->family_bits);
	return 0;
}

int nqd_parse_routes(const u8 *attrs, size_t len, const void *msg, struct nqd_prefix *p,
		     struct nxm_error *e)
{
	const u8 *pos = NULL;
	struct nxa nest;
	int n, err;

	for (n = 0; nxa_next(attrs, len, NQD_A_ROUTE, &pos, &nest); n++) {
		if (n == NQD_ROUTES_MAX)
			return nxm_fail(e, -E2BIG, 0, "NQD_A_ROUTE: more than %d", NQD_ROUTES_MAX);
		err = parse_route(&nest, msg, &p[n], e);
		if (err)
			return err;
	}
	return n;
}

/* ---- a session that is there ---- */

int nqd_parse_session_name(const struct nxa *nest, const void *msg, struct nxa *a, u64 *id,
			   struct nxm_error *e)
{
	int err = nxa_parse_nest(nest, &nqd_session_set, a, msg, e);

	if (!err)
		err = nxa_require(a, &nqd_session_set, NQD_A_SESSION_ID, e);
	if (!err)
		*id = nxa_u64(&a[NQD_A_SESSION_ID]);
	return err;
}

int nqd_check_generation(const struct nxa *a, u64 generation, struct nxm_error *e)
{
	const struct nxa *known = &a[NQD_A_SESSION_GENERATION];

	if (known->present && nxa_u64(known) != generation)
		return nxm_fail(e, -ESTALE, 0, "NQD_A_SESSION_GENERATION: the session is at %llu",
				(unsigned long long)generation);
	return 0;
}

int nqd_parse_deletion(const struct nxa *nest, const void *msg, bool has_device,
		       struct nqd_deletion *d, struct nxm_error *e)
{
	const struct nxa *a = d->a;
	int err;

	memset(d, 0, sizeof(*d));
	if (nest->present) {
		err = nxa_parse_nest(nest, &nqd_session_set, d->a, msg, e);
		if (err)
			return err;
	}
	if (a[NQD_A_SESSION_ID].present) {
		d->which = NQD_DELETE_ONE;
	} else if (a[NQD_A_SESSION_USER].present) {
		d->which = NQD_DELETE_USER;
		d->user = nxa_u64(&a[NQD_A_SESSION_USER]);
		if (!d->user)
			return nxm_fail(e, -EINVAL, 0, "NQD_A_SESSION_USER: 0 is nobody");
	} else if (has_device) {
		d->which = NQD_DELETE_ALL;
	} else {
		return nxm_fail(e, -EINVAL, 0, "missing NQD_A_SESSION_ID");
	}
	return 0;
}

/* ---- a new session ---- */

static u32 u32_or(const struct nxa *a, u32 fallback)
{
	return a->present ? nxa_u32(a) : fallback;
}

static int require_all(const struct nxa *a, struct nxm_error *e)
{
	static const u16 required[] = {
		NQD_A_SESSION_ID,
		NQD_A_SESSION_ROLE,
		NQD_A_SESSION_SOCKET_FD,
		NQD_A_SESSION_REMOTE_ADDR,
		NQD_A_SESSION_LOCAL_CIDS,
		NQD_A_SESSION_REMOTE_CIDS,
		NQD_A_SESSION_CIPHER,
		NQD_A_SESSION_NEXT_PN,
		NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES,
	};
	unsigned int i;

	for (i = 0; i < sizeof(required) / sizeof(*required); i++) {
		int err = nxa_require(a, &nqd_session_set, required[i], e);

		if (err)
			return err;
	}
	return 0;
}

/* What belongs to the session itself and not to the engine. */
static int parse_identity(struct nqd_new_session *ns, struct nxm_error *e)
{
	const struct nxa *a = ns->a;
	const struct nxa *tunnel = &a[NQD_A_SESSION_TUNNEL];
	struct nq_conn_params *p = &ns->params;

	ns->id = nxa_u64(&a[NQD_A_SESSION_ID]);
	if (!ns->id)
		return nxm_fail(e, -EINVAL, 0, "NQD_A_SESSION_ID: 0 is not an id");
	ns->user = a[NQD_A_SESSION_USER].present ? nxa_u64(&a[NQD_A_SESSION_USER]) : 0;
	/* The policy knows how long it may be. */
	if (tunnel->present && tunnel->len <= sizeof(ns->tunnel))
		memcpy(ns->tunnel, tunnel->data, tunnel->len);
	ns->role = nxa_u8(&a[NQD_A_SESSION_ROLE]);
	ns->flags = u32_or(&a[NQD_A_SESSION_FLAGS], 0);
	ns->route_epoch = u32_or(&a[NQD_A_SESSION_ROUTE_EPOCH], 0);
	ns->peer_group = u32_or(&a[NQD_A_SESSION_PEER_GROUP], 0);
	ns->cipher = nxa_u16(&a[NQD_A_SESSION_CIPHER]);
	if (a[NQD_A_SESSION_KEY_EXCHANGE].present)
		ns->key_exchange = nxa_u16(&a[NQD_A_SESSION_KEY_EXCHANGE]);
	if (!nq_key_len(ns->cipher))
		return nxm_fail(e, -EOPNOTSUPP, 0, "NQD_A_SESSION_CIPHER: unknown cipher %#x",
				ns->cipher);
	p->cipher = ns->cipher;
	p->is_server = ns->role == NQD_ROLE_SERVER;
	p->migration = nqd_follows(ns->role, ns->flags);
	p->ack_pending = ns->flags & NQD_SESSION_F_ACK_PENDING;
	p->ecn = ns->flags & NQD_SESSION_F_ECN;
	return 0;
}

static int parse_cid(const struct nxa *nest, const void *msg, bool local, struct nq_cid *cid,
		     struct nxm_error *e)
{
	struct nxa a[NQD_A_CID_MAX + 1];
	int err;

	err = nxa_parse_nest(nest, &nqd_cid_set, a, msg, e);
	if (!err)
		err = nxa_require(a, &nqd_cid_set, NQD_A_CID_SEQ, e);
	if (!err)
		err = nxa_require(a, &nqd_cid_set, NQD_A_CID_ID, e);
	if (err)
		return err;
	if (local && a[NQD_A_CID_ID].len < NQ_CID_LOOKUP_LEN)
		return nxm_fail(e, -EINVAL, 0, "NQD_A_CID_ID: a local one has at least %d bytes",
				NQ_CID_LOOKUP_LEN);
	*cid = (struct nq_cid){ .seq = nxa_u64(&a[NQD_A_CID_SEQ]),
				.len = a[NQD_A_CID_ID].len,
				.has_token = a[NQD_A_CID_RESET_TOKEN].present };
	memcpy(cid->id, a[NQD_A_CID_ID].data, cid->len);
	if (cid->has_token)
		memcpy(cid->token, a[NQD_A_CID_RESET_TOKEN].data, NQ_RESET_TOKEN_LEN);
	return 0;
}

/* Connection IDs of one side: at least one. */
static int parse_cids(const struct nxa *nest, const void *msg, bool local, struct nq_cid *cids,
		      u32 *n, struct nxm_error *e)
{
	const char *name = local ? "NQD_A_SESSION_LOCAL_CIDS" : "NQD_A_SESSION_REMOTE_CIDS";
	const u8 *pos = NULL;
	struct nxa each;
	int err;

	for (*n = 0; nxa_next(nest->data, nest->len, NQD_A_CIDS_CID, &pos, &each); ++*n) {
		if (*n == NQ_CIDS_MAX)
			return nxm_fail(e, -E2BIG, 0, "%s: more than %d", name, NQ_CIDS_MAX);
		err = parse_cid(&each, msg, local, &cids[*n], e);
		if (err)
			return err;
	}
	return *n ? 0 : nxm_fail(e, -EINVAL, 0, "%s: missing NQD_A_CIDS_CID", name);
}

static int parse_ranges(struct nqd_new_session *ns, struct nxm_error *e)
{
	const struct nxa *a = &ns->a[NQD_A_SESSION_RX_RANGES];
	unsigned int i, n = a->present ? a->len / sizeof(struct nqd_range) : 0;

	if (a->present && a->len % sizeof(struct nqd_range))
		return nxm_fail(e, -EINVAL, 0, "NQD_A_SESSION_RX_RANGES: not whole ranges");
	for (i = 0; i < n; i++) {
		struct nqd_range range;

		memcpy(&range, a->data + i * sizeof(range), sizeof(range));
		if (range.first > range.last || (i && range.last >= ns->ranges[i - 1].first))
			return nxm_fail(e, -EINVAL, 0,
					"NQD_A_SESSION_RX_RANGES: not descending at %u", i);
		ns->ranges[i] = (struct nq_range){ range.first, range.last };
	}
	ns->params.rx_ranges = ns->ranges;
	ns->params.n_rx_ranges = n;
	return 0;
}

static int parse_congestion(struct nqd_new_session *ns, u64 fixed_rate_bytes_per_s,
			    struct nxm_error *e)
{
	const struct nxa *a = &ns->a[NQD_A_SESSION_CONGESTION];
	struct nq_conn_params *p = &ns->params;

	p->congestion = nq_congestion_find(a->present ? nxa_str(a) : NULL);
	if (!p->congestion)
		return nxm_fail(e, -EOPNOTSUPP, 0, "NQD_A_SESSION_CONGESTION: unknown algorithm");
	p->ring_packets = nq_ring_first(p->congestion);
	if (strcmp(p->congestion, FIXED_RATE))
		return 0;
	p->fixed_rate_bytes_per_s = fixed_rate_bytes_per_s;
	if (!p->fixed_rate_bytes_per_s)
		return nxm_fail(e, -EPERM, 0,
				"NQD_A_SESSION_CONGESTION: %s is for tests: no rate was set",
				FIXED_RATE);
	return 0;
}

static void parse_transport(struct nqd_new_session *ns)
{
	struct nq_conn_params *p = &ns->params;
	const struct nxa *a = ns->a;
	const struct nxa *prefix = &a[NQD_A_SESSION_CONTEXT_PREFIX];

	p->next_pn = nxa_u64(&a[NQD_A_SESSION_NEXT_PN]);
	p->has_largest_acked = a[NQD_A_SESSION_LARGEST_ACKED].present;
	if (p->has_largest_acked)
		p->largest_acked = nxa_u64(&a[NQD_A_SESSION_LARGEST_ACKED]);
	p->max_idle_timeout_ms = u32_or(&a[NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS], 0);
	p->keepalive_ms = u32_or(&a[NQD_A_SESSION_KEEPALIVE_MS], 0);
	p->peer_ack_delay_exponent = a[NQD_A_SESSION_PEER_ACK_DELAY_EXPONENT].present
					     ? nxa_u8(&a[NQD_A_SESSION_PEER_ACK_DELAY_EXPONENT])
					     : ACK_DELAY_EXPONENT;
	p->peer_max_ack_delay_us =
		u32_or(&a[NQD_A_SESSION_PEER_MAX_ACK_DELAY_US], DEFAULT_ACK_DELAY_US);
	p->peer_max_datagram_frame_bytes = nxa_u32(&a[NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES]);
	p->peer_max_udp_payload_bytes = u32_or(&a[NQD_A_SESSION_PEER_MAX_UDP_PAYLOAD_BYTES], 65527);
	p->peer_active_cid_limit = u32_or(&a[NQD_A_SESSION_PEER_ACTIVE_CID_LIMIT], 2);
	p->max_ack_delay_us = DEFAULT_ACK_DELAY_US;
	p->ack_delay_exponent = ACK_DELAY_EXPONENT;
	p->srtt_us = u32_or(&a[NQD_A_SESSION_SRTT_US], 0);
	p->rttvar_us = u32_or(&a[NQD_A_SESSION_RTTVAR_US], 0);
	p->min_rtt_us = u32_or(&a[NQD_A_SESSION_MIN_RTT_US], 0);
	p->path_mtu_bytes = u32_or(&a[NQD_A_SESSION_PATH_MTU_BYTES], NQ_MIN_UDP_PAYLOAD);
	if (prefix->present) {
		p->prefix_len = prefix->len;
		memcpy(p->prefix, prefix->data, prefix->len);
	} else {
		p->prefix_len = 1;
	}
}

int nqd_parse_new_session(const struct nxa *nest, const void *msg, u64 fixed_rate_bytes_per_s,
			  struct nqd_new_session *ns, struct nxm_error *e)
{
	int err = nxa_parse_nest(nest, &nqd_session_set, ns->a, msg, e);

	if (!err)
		err = require_all(ns->a, e);
	if (!err)
		err = parse_identity(ns, e);
	if (!err)
		err = parse_cids(&ns->a[NQD_A_SESSION_LOCAL_CIDS], msg, true, ns->params.local_cids,
				 &ns->params.n_local_cids, e);
	if (!err)
		err = parse_cids(&ns->a[NQD_A_SESSION_REMOTE_CIDS], msg, false,
				 ns->params.remote_cids, &ns->params.n_remote_cids, e);
	if (err)
		return err;
	parse_transport(ns);
	err = parse_congestion(ns, fixed_rate_bytes_per_s, e);
	return err ?: parse_ranges(ns, e);
}

int nqd_parse_addrs(u16 family, const struct nxa *a, union nqd_addr *local, union nqd_addr *remote,
		    struct nxm_error *e)
{
	const struct nxa *from = &a[NQD_A_SESSION_LOCAL_ADDR], *to = &a[NQD_A_SESSION_REMOTE_ADDR];

	if (to->present ? nqd_addr_parse(family, to, remote) : remote->sa.sa_family != family)
		return nxm_fail(e, -EINVAL, 0,
				"NQD_A_SESSION_REMOTE_ADDR: not an address for this socket");
	if (from->present && nqd_addr_parse(family, from, local))
		return nxm_fail(e, -EINVAL, 0,
				"NQD_A_SESSION_LOCAL_ADDR: not an address for this socket");
	return 0;
}

bool nqd_next_early_datagram(const struct nxa *nest, const u8 *prefix, u8 prefix_len,
			     const u8 **pos, struct nxa *datagram)
{
	struct nxa *d = datagram;

	while (nxa_next(nest->data, nest->len, NQD_A_SESSION_RX_DATAGRAM, pos, d)) {
		if (d->len < prefix_len || memcmp(d->data, prefix, prefix_len))
			continue;
		d->data += prefix_len;
		d->len -= prefix_len;
		return true;
	}
	return false;
}

/* ---- updates ---- */

#define MOVES                                                                 \
	(1ull << NQD_A_SESSION_SOCKET_FD | 1ull << NQD_A_SESSION_LOCAL_ADDR | \
	 1ull << NQD_A_SESSION_REMOTE_ADDR)
#define MAY_CHANGE                                                                    \
	(1ull << NQD_A_SESSION_ID | 1ull << NQD_A_SESSION_GENERATION |                \
	 1ull << NQD_A_SESSION_KEEPALIVE_MS | 1ull << NQD_A_SESSION_PATH_MTU_BYTES |  \
	 1ull << NQD_A_SESSION_TX_FRAMES | 1ull << NQD_A_SESSION_PEER_GROUP | MOVES | \
	 1ull << NQD_A_SESSION_ROUTE_EPOCH)

bool nqd_update_moves(const struct nxa *a)
{
	return a[NQD_A_SESSION_SOCKET_FD].present || a[NQD_A_SESSION_LOCAL_ADDR].present ||
	       a[NQD_A_SESSION_REMOTE_ADDR].present;
}

int nqd_check_update(const struct nxa *a, const struct nqd_update_state *state, struct nxm_error *e)
{
	const struct nxa *epoch = &a[NQD_A_SESSION_ROUTE_EPOCH];
	bool moves = nqd_update_moves(a);
	int i;

	for (i = 1; i <= NQD_A_SESSION_MAX; i++)
		if (a[i].present && !(MAY_CHANGE >> i & 1))
			return nxm_fail(e, -EINVAL, 0, "%s: cannot be changed",
					nqd_session_set.policy[i].name);
	if (state->down)
		return nxm_fail(e, -ESHUTDOWN, 0, "NQD_A_SESSION_ID: the session is closing");
	if (moves && state->role == NQD_ROLE_SERVER)
		return nxm_fail(
			e, -EPERM, 0,
			"NQD_A_SESSION_ROLE: a server follows its client, it does not move");
	if (moves && a[NQD_A_SESSION_TX_FRAMES].present)
		return nxm_fail(e, -EINVAL, 0,
				"NQD_A_SESSION_TX_FRAMES: not together with new addresses");
	/* Epochs only move on; an owner with an old one has missed a change. */
	if (epoch->present && (s32)(nxa_u32(epoch) - state->route_epoch) < 0)
		return nxm_fail(e, -ESTALE, 0, "NQD_A_SESSION_ROUTE_EPOCH: the session is at %u",
				state->route_epoch);
	if (!state->has_conn &&
	    (moves || a[NQD_A_SESSION_TX_FRAMES].present || a[NQD_A_SESSION_KEEPALIVE_MS].present ||
	     a[NQD_A_SESSION_PATH_MTU_BYTES].present))
		return nxm_fail(e, -ENOKEY, 0, "NQD_A_SESSION_ID: the session has no keys");
	return 0;
}

/* ---- counters ---- */

void nqd_fill_counters(u64 *v, const struct nqd_counters *c, const struct nq_counters *q)
{
	v[NQD_A_STATS_L3_TX_PACKETS] = c->l3_tx_packets;
	v[NQD_A_STATS_L3_TX_BYTES] = c->l3_tx_bytes;
	v[NQD_A_STATS_L3_RX_PACKETS] = c->l3_rx_packets;
	v[NQD_A_STATS_L3_RX_BYTES] = c->l3_rx_bytes;
	v[NQD_A_STATS_QUIC_TX_PACKETS] = q->tx_packets;
	v[NQD_A_STATS_QUIC_TX_BYTES] = q->tx_bytes;
	v[NQD_A_STATS_QUIC_RX_PACKETS] = q->rx_packets;
	v[NQD_A_STATS_QUIC_RX_BYTES] = q->rx_bytes;
	v[NQD_A_STATS_DATAGRAM_TX_FRAMES] = q->datagram_tx;
	v[NQD_A_STATS_DATAGRAM_RX_FRAMES] = q->datagram_rx;
	v[NQD_A_STATS_DATAGRAM_LOST_FRAMES] = q->datagram_lost;
	v[NQD_A_STATS_ACK_TX_FRAMES] = q->ack_tx;
	v[NQD_A_STATS_ACK_RX_FRAMES] = q->ack_rx;
	v[NQD_A_STATS_AEAD_SEAL_FAILURES] = q->seal_failures;
	v[NQD_A_STATS_AEAD_OPEN_FAILURES] = q->open_failures;
	v[NQD_A_STATS_HEADER_PROTECTION_FAILURES] = q->header_failures;
	v[NQD_A_STATS_PN_DECODE_FAILURES] = q->pn_failures;
	v[NQD_A_STATS_FRAME_ERRORS] = q->frame_errors + c->malformed_drops;
	v[NQD_A_STATS_DUPLICATE_DROPS] = q->duplicates;
	v[NQD_A_STATS_REPLAY_WINDOW_DROPS] = q->replay_window_drops;
	v[NQD_A_STATS_SOURCE_PREFIX_DROPS] = c->source_prefix_drops;
	v[NQD_A_STATS_PEER_GROUP_DROPS] = c->peer_group_drops;
	v[NQD_A_STATS_ADDRESS_DROPS] = c->address_drops;
	v[NQD_A_STATS_MTU_DROPS] = c->mtu_drops;
	v[NQD_A_STATS_CONGESTION_DROPS] = c->congestion_drops;
	v[NQD_A_STATS_PACING_DELAYS] = q->pacing_delays;
	v[NQD_A_STATS_KEY_UPDATES] = q->key_updates;
	v[NQD_A_STATS_KEY_UPDATE_FAILURES] = q->key_update_failures;
	v[NQD_A_STATS_ROUTE_EPOCH_DROPS] = c->route_epoch_drops;
	v[NQD_A_STATS_TX_QUEUE_DROPS] = c->tx_queue_drops;
	v[NQD_A_STATS_RX_QUEUE_DROPS] = c->rx_queue_drops;
	v[NQD_A_STATS_NO_ROUTE_DROPS] = c->no_route_drops;
	v[NQD_A_STATS_GSO_TX_PACKETS] = c->gso_tx_packets;
	v[NQD_A_STATS_GSO_TX_SEGMENTS] = c->gso_tx_segments;
	v[NQD_A_STATS_GRO_RX_COALESCED] = c->gro_rx_coalesced;
	v[NQD_A_STATS_PACKETS_LOST] = q->packets_lost;
	v[NQD_A_STATS_PTOS] = q->ptos;
	v[NQD_A_STATS_SPURIOUS_LOSSES] = q->spurious_losses;
	v[NQD_A_STATS_CONGESTION_UNDOS] = q->congestion_undos;
	v[NQD_A_STATS_ECN_CE] = q->ecn_ce;
	v[NQD_A_STATS_PATH_VALIDATIONS] = q->path_validations;
	v[NQD_A_STATS_MIGRATIONS] = q->migrations;
	v[NQD_A_STATS_PMTU_PROBES] = q->pmtu_probes;
	v[NQD_A_STATS_CWND_DELAYS] = q->cwnd_delays;
	v[NQD_A_STATS_DATAGRAM_DROPS] = q->datagram_drops;
	v[NQD_A_STATS_TX_QUEUE_OVERFLOW_DROPS] = c->tx_queue_overflow_drops;
	v[NQD_A_STATS_TX_QUEUE_CE_MARKS] = c->tx_queue_ce_marks;
}

u8 nqd_down_reason(u8 close_cause)
{
	static const u8 reasons[] = {
		[NQ_CLOSE_NONE] = NQD_DOWN_DELETED,
		[NQ_CLOSE_LOCAL] = NQD_DOWN_DELETED,
		[NQ_CLOSE_PEER] = NQD_DOWN_PEER_CLOSED,
		[NQ_CLOSE_IDLE] = NQD_DOWN_IDLE_TIMEOUT,
		[NQ_CLOSE_RESET] = NQD_DOWN_STATELESS_RESET,
		[NQ_CLOSE_PROTOCOL] = NQD_DOWN_PROTOCOL_ERROR,
		[NQ_CLOSE_KEYS] = NQD_DOWN_KEY_LIMIT,
	};

	return close_cause < sizeof(reasons) ? reasons[close_cause] : NQD_DOWN_PROTOCOL_ERROR;
}
