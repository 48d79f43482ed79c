/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel inside: tunnel.c drives the state machine, tunnel-client.c and tunnel-server.c are what
 * the roles do differently, tunnel-net.c is the device with its addresses and routes,
 * tunnel-session.c makes sessions out of nexus-hsd's reports, tunnel-renew.c replaces a client's in
 * time, tunnel-roam.c lets a client follow the network, tunnel-plane.c puts a tunnel on a data plane,
 * tunnel-move.c takes a client's session from one to the other, tunnel-server-move.c those of a server,
 * tunnel-stats.c counts.
 *
 * The machine is level-triggered: nx_tunnel_step() looks at what is there and does the next thing
 * that is missing; every event ends in it. So a restart of nexus-hsd or of nexus-dp needs no path
 * of its own.
 */
#ifndef NX_TUNNEL_INTERNAL_H
#define NX_TUNNEL_INTERNAL_H

#include "cover.h"
#include "manager-internal.h"
#include "net-link.h"
#include "net-steer.h"
#include "resolve.h"
#include "route-plan.h"
#include "udp-pair.h"

#define NX_PAIRS_MAX 7
/* HTTP/3's "no error": what a browser says when it leaves. */
#define NX_CLOSE_NO_ERROR 0x100
/* What a packet of ours costs: 1 + DCID + packet number 4 + DATAGRAM type 1 + prefix + tag 16. */
#define NX_OVERHEAD_FIXED 22
/*
 * Of a client's IDs, which the server's packets carry. A server's may be shorter, but a tunnel has one
 * MTU for both directions: larger packets from the client would only have answers that do not fit.
 */
#define NX_CLIENT_CID_LEN 20
#define NX_CONTEXT_PREFIX_LEN 1
#define NX_UDP_PAYLOAD_MIN 1200
/* What IPv6 needs of a link (RFC 8200 5); the kernel takes it off a device with less. */
#define NX_IPV6_MTU_MIN 1280
/*
 * Of outer packets. The route knows the first link only, and a session begins with the size that it
 * takes: with jumbo frames there that would be one that hardly a path carries.
 */
#define NX_PATH_MTU_MAX 1500

enum nx_hsd_phase {
	NX_HSD_NONE,
	NX_HSD_SECRETS, /* asked the monitor for the files */
	NX_HSD_HAVE_SECRETS,
	NX_HSD_SETTING, /* SET_TUNNEL sent */
	NX_HSD_READY,
};

enum nx_dp_phase {
	NX_DP_NONE,
	NX_DP_CREATING,
	NX_DP_READY,
};

/*
 * A device beside the one in use, while sessions move from one data plane to the other: first the one
 * to move to (coming), then the one that was moved from (leaving).
 */
struct nx_device {
	struct nx_dp *dp; /* NULL: there is none */
	enum nx_dp_phase phase;
	int ifindex; /* 0: not made yet */
	char ifname[16];
	int tun_fd; /* of nexus-dp's; -1 = none */
	uint64_t serial; /* coming: of the request it comes from */
	uint64_t session; /* leaving: drains; 0 = ended */
	bool loosened; /* its reverse path filter */
};

/* One of a server that moves, found by a restarted control process: tunnel-server-move.c. */
struct nx_stand_in {
	struct nx_dp *dp;
	uint64_t id; /* that of the session it stands in for, which is on the other data plane */
};

/* What a session that is to be moved to will bring. */
struct nx_move_net {
	struct nx_prefix *addresses;
	size_t n_addresses;
	uint32_t mtu;
	struct nx_planned_route *routes;
	size_t n_routes;
	char **dns, **dns_domains;
};

struct nx_rate {
	uint64_t at_us; /* 0 = no sample yet */
	uint64_t tx_bytes, rx_bytes;
	uint64_t tx_per_s, rx_per_s;
};

/* What a client knows of the network below it: tunnel-roam.c. Times by nx_now_us() unless said. */
struct nx_roam {
	sd_event_source *look, *check;
	struct nx_endpoint remote; /* the server as last known; AF_UNSPEC: not yet */
	int ifindex; /* packets to it left there at the last look */
	bool absent; /* no way led to the server at the last look */
	bool unsure; /* the session is to be asked at the next look */
	uint64_t absent_since_us; /* CLOCK_BOOTTIME */
	uint64_t slept_us; /* since the last look */
	uint64_t asked_us; /* 0: the session is taken for alive */
	uint64_t query_us; /* 0: no question to the data plane is open */
	bool moving;
	struct nx_prefix to;
	uint64_t moved_us; /* 0: this session has not */
};

/* What the capsules agreed on, for this client. */
struct nx_net_offer {
	struct nx_prefix *addresses, *routes;
	size_t n_addresses, n_routes;
	char **dns, **dns_domains;
	uint32_t mtu;
	uint32_t max_age_s; /* the server ends a session that old; 0 = never */
};

struct nx_tunnel_private {
	bool wanted;
	bool draining; /* stopping, nexus-hsd may still report sessions */
	bool removing; /* destroy when stopped */
	struct nx_tunnel_config *next_config; /* restart with it when stopped */
	bool restart;

	struct nx_udp_pair pairs[NX_PAIRS_MAX];
	struct nx_dp *pair_dp[NX_PAIRS_MAX]; /* who reads the data socket */
	size_t n_pairs;
	uint32_t mark; /* of the sockets; 0 = none */
	uint64_t open_deadline_us; /* server: until then a busy port is tried again */

	enum nx_hsd_phase hsd_phase;
	unsigned int secrets_pending, secrets_stale;
	bool secret_failed;
	uint32_t hsd_mtu; /* as in the last SET_TUNNEL */

	int keylog_fd; /* of the monitor, for nexus-hsd; -1 = none */
	int replay_fd; /* server: memory of the replay cache, stored at the monitor; -1 = none */
	/* The device in use; its name and number are in struct nx_tunnel. */
	struct nx_dp *dp; /* NULL: none chosen yet */
	int tun_fd; /* nexus-dp's alone; -1 = none */
	bool tun_requested;
	enum nx_dp_phase dp_phase;
	bool net_lost; /* it went with the module: make another with the same addresses and routes */
	sd_event_source *recheck;
	bool waits_for_plane; /* failed for want of the module */
	bool plane_refused; /* the module does not take this tunnel; until it is loaded anew */
	char refusal[120];
	struct nx_device coming, leaving;
	struct nx_move_net move_net;
	struct nx_steer steer; /* server: coming is behind the device in use */
	struct nx_stand_in *found;
	size_t n_found;
	sd_event_source *move_timer; /* of either */
	uint64_t move_deadline_us;
	struct nx_planned_route *planned;
	size_t n_planned;
	bool rules4, rules6;
	sd_event_source *mtu_due; /* server: sessions have come, gone, or found another path MTU */
	sd_event_source *mtu_timer; /* a path that is too small for IPv6: is it still? */
	bool mtu_warned;

	TAILQ_HEAD(, nx_session) installing; /* ADD_SESSION sent */
	struct nx_id_index by_id; /* all sessions: there may be thousands, and all end at once */
	struct nx_id_index by_user; /* those that are installed, as in struct nx_tunnel */
	struct nx_id_index by_left; /* server that moves: by what is left on the data plane in use */
	struct nx_rate rate;

	/* client */
	struct nx_resolve *resolve;
	struct nx_endpoint remotes[NX_RESOLVE_MAX];
	size_t n_remotes, next_remote;
	uint64_t attempt; /* running, 0 = none */
	unsigned int failures;
	unsigned int refusals; /* in a row, nothing else between them */
	uint32_t mtu_limit; /* of server and configuration, 0 = none */
	uint32_t max_age_s; /* of the server, for its sessions */
	bool renewing; /* an attempt is wanted or running though there is a session */
	unsigned int renew_failures;
	sd_event_source *renew_timer;
	struct nx_roam roam;
	sd_event_source *timer; /* retry, guard of an attempt, or end of a disconnect */
	struct nx_cover cover; /* server */
	int state_fd; /* memfd with the net offer, stored at the monitor */
};

/* ---- tunnel.c ---- */
/* @c is consumed. Listed, but not started. */
struct nx_tunnel *nx_tunnel_new(struct nx_manager *m, struct nx_tunnel_config *c);
/* Frees a tunnel that is at rest. */
void nx_tunnel_free(struct nx_tunnel *t);
/* Down and up again. */
void nx_tunnel_restart(struct nx_tunnel *t);
/* New configuration for a running tunnel; keeps what can be kept. @c is consumed. */
void nx_tunnel_reconfigure(struct nx_tunnel *t, struct nx_tunnel_config *c);
/* Stop, then free. */
void nx_tunnel_remove(struct nx_tunnel *t);
bool nx_tunnel_at_rest(const struct nx_tunnel *t);
void nx_tunnel_step(struct nx_tunnel *t);
void nx_tunnel_set_state(struct nx_tunnel *t, enum nx_tunnel_state state, enum nx_reason reason,
			 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void nx_tunnel_net_changed(struct nx_tunnel *t);
/* Give up for good (until the user or a reload says otherwise): everything is taken down. */
void nx_tunnel_fail(struct nx_tunnel *t, enum nx_reason reason, const char *text);
int nx_tunnel_arm_timer(struct nx_tunnel *t, uint64_t delay_us, sd_event_time_handler_t fn);
void nx_tunnel_disarm_timer(struct nx_tunnel *t);
void nx_tunnel_store_pairs(struct nx_tunnel *t);
/* Close those whose data socket @dp reads; the next step tells nexus-hsd of the others. */
void nx_tunnel_close_pairs_of(struct nx_tunnel *t, struct nx_dp *dp);
void nx_tunnel_socket_failed(struct nx_tunnel *t, const struct nx_endpoint *e, int err);

/* Events from the manager. */
void nx_tunnel_hsd_up(struct nx_tunnel *t);
void nx_tunnel_hsd_down(struct nx_tunnel *t);
void nx_tunnel_dp_up(struct nx_tunnel *t, struct nx_dp *d);
void nx_tunnel_dp_down(struct nx_tunnel *t, struct nx_dp *d);
void nx_tunnel_secret_result(struct nx_tunnel *t, const char *name, int err, const char *text);
void nx_tunnel_tun_opened(struct nx_tunnel *t, int fd);
void nx_tunnel_keylog_opened(struct nx_tunnel *t, int fd);
void nx_tunnel_attempt_failed(struct nx_tunnel *t, uint64_t attempt, enum hs_reason reason,
			      const char *text);
/* The data plane ended a session of this tunnel. */
void nx_tunnel_session_down(struct nx_tunnel *t, struct nx_session *s, enum nqd_down_reason reason,
			    const char *text);

/* The data plane sends @s between other addresses now. */
void nx_tunnel_path_changed(struct nx_tunnel *t, struct nx_session *s,
			    const struct nx_endpoint *local, const struct nx_endpoint *remote);

/* ---- tunnel-client.c ---- */
void nx_client_step(struct nx_tunnel *t);
void nx_client_reset(struct nx_tunnel *t);
uint32_t nx_client_wanted_mtu(struct nx_tunnel *t);
void nx_client_session(struct nx_tunnel *t, const struct nx_chan_msg *msg, const struct nxa *tb);
void nx_client_installed(struct nx_tunnel *t, struct nx_session *s);
void nx_client_session_down(struct nx_tunnel *t, struct nx_session *s, enum nqd_down_reason reason,
			    const char *text);
void nx_client_retry(struct nx_tunnel *t, enum nx_reason reason, const char *text);
/* What the server's @o and the configuration bound: MTU and age. */
void nx_client_take_limits(struct nx_tunnel *t, const struct nx_net_offer *o);
/* The route to the server may have another MTU: tell the data plane how far to search. */
void nx_client_limit_path(struct nx_tunnel *t, struct nx_session *s);
/* The next attempt goes to @remote first. */
void nx_client_prefer(struct nx_tunnel *t, const struct nx_endpoint *remote);
/* The old session will do until its time is over. */
void nx_client_stop_renewal(struct nx_tunnel *t);
enum nx_reason nx_reason_of_down(enum nqd_down_reason r);
/* Only jitter: without randomness all clients of a server come back at the same moment. */
uint32_t nx_jitter(void);

/* ---- tunnel-renew.c ---- */
/* The session in use was established @age_s ago: renew it in time. */
void nx_client_renew_arm(struct nx_tunnel *t, uint64_t age_s);
void nx_client_renew_stop(struct nx_tunnel *t);
/* In a moment: an attempt that was given up had a purpose. */
void nx_client_renew_soon(struct nx_tunnel *t);
/* Now, unless it is being done; @why is for people. */
void nx_client_renew(struct nx_tunnel *t, const char *why);
/* Try again later; the session stays. */
void nx_client_renew_failed(struct nx_tunnel *t, const char *text);

/* ---- tunnel-plane.c ---- */
/* The data plane for this tunnel now, by dco_mode and what has refused it; NULL: none will do. */
struct nx_dp *nx_tunnel_wanted_plane(struct nx_tunnel *t, char *reason, size_t cap);
/* At the start of a tunnel: put it on one. 0, or -EOPNOTSUPP with data_plane_reason set. */
int nx_tunnel_choose_plane(struct nx_tunnel *t);
/* It is on @d from now on; says so. */
void nx_tunnel_set_plane(struct nx_tunnel *t, struct nx_dp *d, const char *reason);
/* That sessions are on @d, wholly or @reason says how. */
void nx_tunnel_show_plane(struct nx_tunnel *t, const struct nx_dp *d, const char *reason);
/* Another may be the wanted one now: move, restart, fail, or start if it waited for that. */
void nx_tunnel_plane_changed(struct nx_tunnel *t);
/* The same, when there is nothing else to do: the caller is in the middle of something. */
void nx_tunnel_recheck_plane(struct nx_tunnel *t);
/* The device in use is gone with its data plane. False: the tunnel has failed. */
bool nx_tunnel_plane_lost(struct nx_tunnel *t, const char *why);
/* The module refused: go on with nexus-dp if dco_mode allows. False: it does not. */
bool nx_tunnel_fall_back(struct nx_tunnel *t, const char *why);
/* Tell all data planes' requests that @t is not there to answer to. */
void nx_tunnel_forget_requests(struct nx_tunnel *t);
/* Ask @dp for its device @dev, with the sockets that are read by it. 0 or -errno. */
int nx_tunnel_ask_device(struct nx_tunnel *t, struct nx_dp *dp, const char *ifname, int ifindex,
			 int tun_fd, nx_reply_fn fn, void *userdata);
/* The device of an answer to that; others are left alone. */
void nx_tunnel_take_device(const struct nx_chan_msg *msg, int *ifindex, char ifname[16]);
/* The record "nexusq:TUNNEL" at the monitor: the module's device, which is no descriptor. */
void nx_device_record_store(struct nx_tunnel *t);
void nx_device_record_forget(struct nx_tunnel *t);
/* The device of a record, if it is still that. */
int nx_device_record_load(struct nx_manager *m, int fd, int *ifindex, char ifname[16]);

/* ---- tunnel-move.c ---- */
/* A session will be established on @to, and what is in use changes over to it. */
void nx_move_begin(struct nx_tunnel *t, struct nx_dp *to);
/* The data plane that the next session is for. */
struct nx_dp *nx_move_target(const struct nx_tunnel *t);
/* Ask for the device to move to: 0 or -errno. */
int nx_move_ask(struct nx_tunnel *t);
/* Make the device to move to ready; true when it is. */
bool nx_move_ready(struct nx_tunnel *t);
/* Set it up as @o says, to be used when the session is heard. 0 or -errno. */
int nx_move_prepare(struct nx_tunnel *t, struct nx_net_offer *o, const struct nx_endpoint *remote,
		    uint32_t mtu);
/* @s is on the device to move to: change over when the server is heard there. */
void nx_move_installed(struct nx_tunnel *t, struct nx_session *s);
/* A session of a tunnel that is moving ended. True: that was it, nothing more to do. */
bool nx_move_took_over(struct nx_tunnel *t, struct nx_session *s);
/* Session @id of nobody has ended: perhaps it is one that was left. */
void nx_move_session_down(struct nx_manager *m, uint64_t id);
/* The module has refused a session that was to be moved. */
void nx_move_refused(struct nx_tunnel *t, const char *text);
/* Do not wait any longer for what is leaving. */
void nx_move_finish(struct nx_tunnel *t);
/* Give up what is coming, end what is leaving. */
void nx_move_cancel(struct nx_tunnel *t);
/* The same as far as it concerns @d, which is gone. True: the tunnel goes on, on another. */
bool nx_move_plane_lost(struct nx_tunnel *t, struct nx_dp *d);
/* The tunnel is freed: memory and timer, nothing else. */
void nx_move_free(struct nx_tunnel *t);
/* After a restart of this process: the device to move to has the session, or not. */
void nx_move_adopt(struct nx_tunnel *t, bool has_session);

/* ---- tunnel-server-move.c ---- */
/* Clients are connected, and @to is the wanted data plane: new sessions go there. */
void nx_server_move_begin(struct nx_tunnel *t, struct nx_dp *to);
/* The device that was asked for is there, or (@text) it will not be. */
void nx_server_move_made(struct nx_tunnel *t, const char *text);
/* There are two devices, and new sessions go to nx_move_target(). */
bool nx_server_moving(const struct nx_tunnel *t);
/* Something has changed: say how far it is. */
void nx_server_move_step(struct nx_tunnel *t);
/* A session of @user comes: one that still waits for the same place makes room. */
void nx_server_move_expect(struct nx_tunnel *t, uint64_t user);
/* @s is installed; and, of one that waits, when it carries packets. */
void nx_server_move_installed(struct nx_tunnel *t, struct nx_session *s);
void nx_server_move_carries(struct nx_tunnel *t, struct nx_session *s);
/* @s is being freed. */
void nx_server_move_forget(struct nx_session *s);
/* The user of @s is in another group. */
void nx_server_move_group(struct nx_tunnel *t, struct nx_session *s, uint32_t group);
/* Session @id is gone, one that was left for another on the other data plane; false: it was not. */
bool nx_server_move_left(struct nx_tunnel *t, uint64_t id);
/* The data plane moved from is gone: true if the tunnel goes on without it. */
bool nx_server_move_front_lost(struct nx_tunnel *t);
/* Nothing is steered any more. */
void nx_server_move_stop(struct nx_tunnel *t);
/* After a restart of this process: a stand-in of the dump, then all of it. */
void nx_server_move_found(struct nx_tunnel *t, struct nx_dp *dp, uint64_t id);
void nx_server_move_adopt(struct nx_tunnel *t);

/* ---- tunnel-roam.c ---- */
/* Something in this network namespace has changed. */
void nx_roam_network_changed(struct nx_tunnel *t);
/* The machine has slept, for @slept_us if that is known. */
void nx_roam_resumed(struct nx_tunnel *t, uint64_t slept_us);
/* Session @s has another active path: its addresses are the new ones. */
void nx_roam_path_changed(struct nx_tunnel *t, struct nx_session *s);
void nx_roam_session_gone(struct nx_tunnel *t);
void nx_roam_stop(struct nx_tunnel *t);

/* ---- tunnel-server.c ---- */
/* 0 when open; -EAGAIN: tried again later; other errors have failed the tunnel. */
int nx_server_open_sockets(struct nx_tunnel *t);
void nx_server_step(struct nx_tunnel *t);
/* The memory of the replay cache, made if it is not there; -1 without memory. */
int nx_server_replay_fd(struct nx_tunnel *t);
uint32_t nx_server_mtu(struct nx_tunnel *t);
void nx_server_session(struct nx_tunnel *t, const struct nx_chan_msg *msg, const struct nxa *tb);
void nx_server_installed(struct nx_tunnel *t, struct nx_session *s);
void nx_server_change_users(struct nx_tunnel *t, struct nx_tunnel_config *c);
/* Note in @c who of its users is revoked. */
void nx_server_mark_revoked(const struct nx_manager *m, struct nx_tunnel_config *c);
const struct nx_user_config *nx_server_user(const struct nx_tunnel *t, uint64_t short_id);
/* What the data plane accepts from this user and sends to it: to be freed; NULL without memory. */
struct nx_prefix *nx_server_user_prefixes(const struct nx_user_config *u, size_t *n);
void nx_server_user_routes(struct nx_tunnel *t, const struct nx_user_config *u, bool add);
void nx_server_drop_session(struct nx_tunnel *t, struct nx_session *s);
/* An installed session whose handshake was @age_s ago: end it when it is too old. */
void nx_server_limit_age(struct nx_session *s, uint64_t age_s);
void nx_server_session_down(struct nx_tunnel *t, struct nx_session *s, enum nqd_down_reason reason,
			    const char *text);

/* ---- tunnel-net.c ---- */
/* Make the TUN device if it is not there: 0 or -errno with the tunnel failed. */
int nx_tunnel_attach_device(struct nx_tunnel *t);
int nx_tunnel_configure_device(struct nx_tunnel *t, const struct nx_prefix *addresses, size_t n,
			       uint32_t mtu);
/* The same for a device beside it, which changes nothing of the tunnel. 0 or -errno. */
int nx_device_configure(struct nx_manager *m, int ifindex, const struct nx_prefix *addresses,
			size_t n, uint32_t mtu);
/* Consumes @routes. */
void nx_tunnel_set_routes(struct nx_tunnel *t, struct nx_planned_route *routes, size_t n);
/*
 * The device in use is another from now on: @routes (consumed) replace those through the old one, each in
 * one step, before the old one's addresses are taken away.
 */
void nx_tunnel_change_device(struct nx_tunnel *t, int ifindex, const char *ifname,
			     struct nx_planned_route *routes, size_t n);
/* The device is gone without our doing: keep what it had for another one, and forget it. */
void nx_tunnel_device_lost(struct nx_tunnel *t);
/* Give a new device what a lost one had. */
void nx_tunnel_restore_net(struct nx_tunnel *t);
/* Routes, rules, addresses and the device itself. */
void nx_tunnel_remove_device(struct nx_tunnel *t);
/*
 * MTU of a device with these addresses when inner packets of @carried bytes get through: not above @limit
 * (0 = none), and otherwise not below what IPv6 needs.
 */
uint32_t nx_device_mtu(const struct nx_prefix *addresses, size_t n, uint32_t carried,
		       uint32_t limit);
/*
 * Sessions have come, gone, or found another path MTU: the device gets what the best of them carries, a
 * server's when there is nothing else to do.
 */
void nx_tunnel_follow_mtu(struct nx_tunnel *t);
/* The path of @s carries UDP payloads of so many bytes. */
void nx_tunnel_path_mtu(struct nx_tunnel *t, struct nx_session *s, uint32_t payload_bytes);
uint32_t nx_tunnel_default_mark(const char *name);
void nx_tunnel_create_dp_device(struct nx_tunnel *t);

/* ---- tunnel-session.c ---- */
struct nx_session *nx_session_new(struct nx_tunnel *t, uint64_t id);
/* The data plane has it. What nx_session_fill() tells of it does not change any more. */
void nx_session_set_installed(struct nx_session *s);
void nx_session_free(struct nx_session *s);
/* Fill what parsed NQD_A_SESSION attributes tell: of a report, or of a dump. */
int nx_session_fill(struct nx_session *s, const struct nxa *ses);
/* Overhead of one IP packet with the connection IDs and the prefix of this session. */
uint32_t nx_session_overhead(const struct nxa *ses);
/* UDP payload that fits the path to @remote: at least 1200. */
uint32_t nx_path_payload(const struct nx_endpoint *remote, uint32_t mark);
int nx_net_offer_parse(const void *data, size_t len, struct nx_net_offer *o);
void nx_net_offer_free(struct nx_net_offer *o);
/* The record "state:TUNNEL" at the monitor: the server's address and what it assigned. */
int nx_state_store(struct nx_tunnel *t, const struct nx_endpoint *remote, const struct nxa *net);
int nx_state_load(int fd, struct nx_endpoint *remote, struct nx_net_offer *offer);
/* Send ADD_SESSION; on the answer nx_client_installed() or nx_server_installed(). */
int nx_session_install(struct nx_session *s, uint64_t attempt, const struct nxa *hs,
		       struct nx_dp_session *args);
/* recount.c: it is gone, or the data plane has named it. */
void nx_recount_leave(struct nx_session *s);
struct nx_session *nx_tunnel_find_session(struct nx_tunnel *t, uint64_t id);
/* The first installed session of a user; or NULL. */
struct nx_session *nx_session_of_user(const struct nx_tunnel *t, uint64_t user);
/* Another installed session of the same user, whose place @s takes or that takes its; or NULL. */
struct nx_session *nx_session_other(const struct nx_session *s);
/* Is one of that user being installed? */
bool nx_session_installing(const struct nx_tunnel *t, uint64_t user);
void nx_tunnel_drop_sessions(struct nx_tunnel *t);

#endif /* NX_TUNNEL_INTERNAL_H */
