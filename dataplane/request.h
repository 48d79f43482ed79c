/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of the data-plane ABI taken apart: what both data planes, nexus-dp and the kernel module,
 * understand of a message before they look at their own state. Freestanding.
 *
 * Every function reads attributes that nxa_parse() has accepted at the top level, writes only its
 * output, and on error fills @e with a text that names the attribute. @msg is the first byte of the
 * message (offsets in errors count from it). Outputs with keys in them are wiped by the caller.
 */
#ifndef NQD_REQUEST_H
#define NQD_REQUEST_H

#include "../lib/nlparse.h"
#include "../quic/nq.h"
#include "addr.h"
#include "route.h"
#include <linux/nexus_quic_dco.h>

/* Prefixes in one request. */
#define NQD_ROUTES_MAX		1024
/* So many bytes are nobody else's by chance; shorter IDs may need the address to tell whose. */
#define NQD_CID_CERTAIN_LEN	8

/* May command @cmd carry what is in @top, and has it what it needs? 0 or -EINVAL. */
int nqd_check_command(u8 cmd, const struct nxa *top, struct nxm_error *e);

/*
 * Every NQD_A_ROUTE of a request into @p, which has room for NQD_ROUTES_MAX. Their number, or
 * -errno.
 */
int nqd_parse_routes(const u8 *attrs, size_t len, const void *msg, struct nqd_prefix *p,
		     struct nxm_error *e);

/* Attributes of the session a request names, and its id. 0 or -errno. */
int nqd_parse_session_name(const struct nxa *nest, const void *msg, struct nxa *a, u64 *id,
			   struct nxm_error *e);
/* Is the session, now at @generation, still the one the owner knows? 0 or -ESTALE. */
int nqd_check_generation(const struct nxa *a, u64 generation, struct nxm_error *e);

/* NQD_A_SESSION of ADD_SESSION: all but its socket, its addresses and its keys. */
struct nqd_new_session {
	u64 id, user;
	char tunnel[32];
	u8 role;
	u16 cipher, key_exchange;
	u32 flags, route_epoch, peer_group;
	struct nq_conn_params params;	/* without crypto, keys and path_secret; points to @ranges */
	struct nq_range ranges[NQD_RX_RANGES_MAX];
	struct nxa a[NQD_A_SESSION_MAX + 1];
};

/*
 * @ns zeroed. @fixed_rate_bytes_per_s is what "fixed_rate_test" gets, 0: refuse it. -EINVAL,
 * -EOPNOTSUPP (cipher, congestion), -EPERM, -E2BIG.
 */
int nqd_parse_new_session(const struct nxa *nest, const void *msg, u64 fixed_rate_bytes_per_s,
			  struct nqd_new_session *ns, struct nxm_error *e);

/*
 * Addresses for a socket of @family into @local and @remote, which keep what is not named. 0 or
 * -EINVAL.
 */
int nqd_parse_addrs(u16 family, const struct nxa *a, union nqd_addr *local, union nqd_addr *remote,
		    struct nxm_error *e);
/*
 * The next DATAGRAM in NQD_A_SESSION that arrived before the hand-over: @datagram is its inner
 * packet. Those that do not begin with the session's @prefix are passed over. False: no more.
 */
bool nqd_next_early_datagram(const struct nxa *nest, const u8 *prefix, u8 prefix_len,
			     const u8 **pos, struct nxa *datagram);

/* Only the server's owner may allow it to follow; a client hears its server from one address. */
static inline bool nqd_follows(u8 role, u32 flags)
{
	return role == NQD_ROLE_SERVER && flags & NQD_SESSION_F_MIGRATION;
}

/* What UPDATE_SESSION is judged by. */
struct nqd_update_state {
	bool down, has_conn;
	u8 role;
	u32 route_epoch;
};

/* Does an update name an address or a socket? */
bool nqd_update_moves(const struct nxa *a);
/* 0, -EINVAL, -ESHUTDOWN, -EPERM, -ENOKEY, or -ESTALE: a route epoch of the past. */
int nqd_check_update(const struct nxa *a, const struct nqd_update_state *state,
		     struct nxm_error *e);

/* Which sessions DELETE_SESSION means. */
struct nqd_deletion {
	enum { NQD_DELETE_ONE, NQD_DELETE_USER, NQD_DELETE_ALL } which;
	u64 user;
	struct nxa a[NQD_A_SESSION_MAX + 1];
};

/* @has_device: the request names a device that exists. 0 or -EINVAL. */
int nqd_parse_deletion(const struct nxa *nest, const void *msg, bool has_device,
		       struct nqd_deletion *d, struct nxm_error *e);

/* ---- keys ---- */

/* RFC 9001 5.1 and 6.1, HKDF-Expand-Label: lib/crypto.h, kmod/crypto.h. */
typedef int (*nqd_derive_fn)(u16 cipher, const u8 *secret, u32 secret_len, const char *label,
			     u8 *out, u32 out_len);

struct nqd_secret {
	u8 bytes[NQD_SECRET_MAX_LEN];
	u8 len;
};

/* The traffic secrets of a phase. */
struct nqd_secrets {
	bool has_secrets;
	struct nqd_secret tx, rx;
};

/*
 * NQD_A_KEYS into @p, whose cipher is set; with traffic secrets everything is derived from them, and
 * @secrets are those of the next phase.
 */
int nqd_parse_keys(const struct nxa *nest, const void *msg, nqd_derive_fn derive,
		   struct nq_conn_params *p, struct nqd_secrets *secrets, struct nxm_error *e);
/* The next keys in NQD_A_KEYS of KEY_UPDATE. */
int nqd_parse_next_keys(const struct nxa *nest, const void *msg, u16 cipher,
			struct nq_key_material *tx, struct nq_key_material *rx,
			struct nxm_error *e);
/* Step @secrets to the next phase and give its keys. On error @secrets may be spent. */
int nqd_step_secrets(u16 cipher, nqd_derive_fn derive, struct nqd_secrets *secrets,
		     struct nq_key_material *tx, struct nq_key_material *rx);

/* ---- counters ---- */

/* What a data plane counts beside the engine, by session. */
struct nqd_counters {
	u64 l3_tx_packets, l3_tx_bytes, l3_rx_packets, l3_rx_bytes;
	u64 source_prefix_drops, peer_group_drops, address_drops, mtu_drops;
	u64 congestion_drops, route_epoch_drops, tx_queue_drops, rx_queue_drops, no_route_drops;
	u64 tx_queue_overflow_drops, tx_queue_ce_marks;
	u64 gso_tx_packets, gso_tx_segments, gro_rx_coalesced, malformed_drops;
};

/* The counters of NQD_A_STATS, in @v by attribute number; gauges are left alone. */
void nqd_fill_counters(u64 *v, const struct nqd_counters *c, const struct nq_counters *q);
/* NQD_DOWN_* of an NQ_CLOSE_*. */
u8 nqd_down_reason(u8 close_cause);

#endif /* NQD_REQUEST_H */
