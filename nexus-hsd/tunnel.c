// SPDX-License-Identifier: GPL-2.0-or-later
/* Tunnels of nexus-hsd: making, replacing and deleting them. See tunnel.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clock.h"
#include "control.h"
#include "hsd.h"
#include "learn.h"
#include "lib/log.h"
#include "replay.h"
#include "secrets.h"
#include "server.h"
#include "tls.h"

_Static_assert(HS_REPLAY_MEMORY_LEN == HS_REPLAY_RING_LEN(HS_REPLAY_ENTRIES),
	       "the control process makes the memory of the replay cache");

struct hs_tunnel *hs_tunnel_find(struct hsd *h, const char *name)
{
	struct hs_tunnel *t;

	TAILQ_FOREACH (t, &h->tunnels, entry) {
		if (strcmp(t->config->name, name) == 0)
			return t;
	}
	return NULL;
}

struct hs_sock *hs_tunnel_sock_by_port(struct hsd *h, int family, uint16_t port,
				       const union hs_addr *local)
{
	struct hs_sock *found = NULL, *sock;
	struct hs_tunnel *t;
	unsigned int i;

	TAILQ_FOREACH (t, &h->tunnels, entry) {
		for (i = 0; i < t->n_socks; i++) {
			sock = t->socks[i];
			if (sock->name.sa.sa_family != family || hs_addr_port(&sock->name) != port)
				continue;
			if (hs_addr_equal(&sock->name, local))
				return sock;
			if (!found)
				found = sock;
		}
	}
	return found;
}

static const struct hs_user *find_user(const struct hs_config *cfg, uint64_t short_id)
{
	size_t i;

	for (i = 0; i < cfg->n_users; i++) {
		if (cfg->users[i].short_id == short_id)
			return &cfg->users[i];
	}
	return NULL;
}

const struct hs_user *hs_tunnel_user(const struct hs_tunnel *t, uint64_t short_id)
{
	return find_user(t->config, short_id);
}

/* ---- the gate ---- */

static int add_user(struct hs_gate *g, const struct hs_config *cfg, const struct hs_user *u)
{
	struct hs_reality_user ru = { .short_id = u->short_id, .has_psk = u->has_psk };
	const uint8_t *psk = u->has_psk ? hs_secret_get(cfg->name, "psk", u->name) : NULL;
	int err;

	memcpy(ru.name, u->name, sizeof(ru.name));
	memcpy(ru.public_key, u->public_key, sizeof(ru.public_key));
	if (psk)
		memcpy(ru.psk, psk, sizeof(ru.psk));
	err = hs_gate_add_user(g, &ru);
	explicit_bzero(&ru, sizeof(ru));
	return err;
}

/* The parser has seen that the keys are there. */
static int make_gate(const struct hs_config *cfg, struct hs_gate **out, struct nxm_error *e)
{
	struct hs_gate *g;
	size_t i;
	int err;

	g = hs_gate_new(hs_secret_get(cfg->name, HS_SECRET_KEY, NULL), cfg->time_window_s,
			HS_REPLAY_ENTRIES);
	if (!g) {
		e->err = -ENOMEM;
		snprintf(e->text, sizeof(e->text), "out of memory");
		return -ENOMEM;
	}
	if (cfg->old_key_until_s) {
		err = hs_gate_set_old_key(g, hs_secret_get(cfg->name, HS_SECRET_OLD_KEY, NULL),
					  cfg->old_key_until_s);
		if (err < 0) {
			e->err = err;
			snprintf(e->text, sizeof(e->text), "the old private key is not usable");
			hs_gate_free(g);
			return err;
		}
	}
	for (i = 0; i < cfg->n_users; i++) {
		err = add_user(g, cfg, &cfg->users[i]);
		if (err < 0) {
			e->err = err;
			snprintf(e->text, sizeof(e->text), "user %.63s: %s", cfg->users[i].name,
				 err == -EEXIST	  ? "HS_A_USER_SHORT_ID is taken by another user"
				 : err == -EINVAL ? "HS_A_USER_SHORT_ID is 0 or "
						    "HS_A_USER_PUBLIC_KEY is no usable key"
						  : strerror(-err));
			hs_gate_free(g);
			return err;
		}
	}
	*out = g;
	return 0;
}

/*
 * The gate works without: its own memory then serves, until this process ends. Takes care before
 * the first datagram of a new tunnel, because its sockets are opened later.
 */
static void keep_replay(struct hs_tunnel *t, int fd)
{
	int r;

	if (!t->gate || fd < 0)
		return;
	r = hs_gate_keep_replay(t->gate, fd, hs_unix_time_s());
	if (r < 0)
		nx_err("tunnel %s: the replay cache will not survive a restart: %s",
		       t->config->name, strerror(-r));
	else if (r > 0)
		nx_log_full(LOG_ERR, "ReplayCacheDamaged", t->config->name,
			    "the replay cache is damaged: nobody is let in for %u s",
			    t->config->time_window_s);
}

/* ---- the former key ---- */

/* The wall clock may be set at any time, so it is looked at this often. */
#define OLD_KEY_LOOK_S 10

static uint64_t expire_old_key(struct hs_tunnel *t, uint64_t unix_time_s)
{
	uint64_t until_s = t->gate ? hs_gate_old_key_until(t->gate) : 0, left_s;

	if (!until_s)
		return UINT64_MAX;
	if (hs_gate_expire_old_key(t->gate, unix_time_s)) {
		hs_secret_forget_one(t->config->name, HS_SECRET_OLD_KEY);
		nx_log_full(LOG_NOTICE, "OldKeyExpired", t->config->name,
			    "the old server key is accepted no more");
		return UINT64_MAX;
	}
	left_s = until_s - unix_time_s;
	return hs_now_ns() + (left_s < OLD_KEY_LOOK_S ? left_s : OLD_KEY_LOOK_S) * HS_NS_PER_S;
}

uint64_t hs_tunnels_run_timers(struct hsd *h)
{
	uint64_t unix_time_s = hs_unix_time_s(), next = UINT64_MAX, t_next;
	struct hs_tunnel *t;

	TAILQ_FOREACH (t, &h->tunnels, entry) {
		t_next = expire_old_key(t, unix_time_s);
		if (t_next < next)
			next = t_next;
	}
	return next;
}

/* ---- sockets ---- */

static void deliver(void *arg, const struct hs_dgram *d)
{
	hs_server_datagram(arg, d);
}

void hs_sock_read(struct hs_sock *sock)
{
	struct hsd *h = sock->tunnel->hsd;

	/* A burst as large as the batch leaves nothing behind, and the next may come much later. */
	if (hs_udp_receive(sock->src.fd, sock, &sock->name, deliver, h) < HS_UDP_BATCH ||
	    hs_udp_is_empty(sock->src.fd))
		sock->full_since_ns = 0;
	else if (!sock->full_since_ns)
		sock->full_since_ns = hs_now_ns();
	hs_relay_flush(h);
}

static void on_readable(struct hs_source *s, uint32_t events)
{
	hs_sock_read(s->owner);
}

static void on_data_readable(struct hs_source *s, uint32_t events)
{
	struct hs_sock *sock = s->owner;
	struct hsd *h = sock->tunnel->hsd;

	(void)hs_udp_receive(s->fd, sock, &sock->name, deliver, h);
	hs_relay_flush(h);
}

static void end_conns_of(struct hsd *h, const struct hs_sock *sock)
{
	struct hs_conn *c, *next;

	for (c = TAILQ_FIRST(&h->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->sock == sock)
			hs_conn_fail(c, HS_REASON_CANCELLED, "the socket was replaced");
	}
}

/* Everything that answers through this socket. */
static void end_flows_of(struct hs_sock *sock)
{
	struct hs_tunnel *t = sock->tunnel;

	end_conns_of(t->hsd, sock);
	hs_flows_drop_sock(&t->hsd->flows, sock);
	if (t->relay)
		hs_relay_drop_sock(t->relay, sock);
}

static void drop_sock(struct hs_tunnel *t, unsigned int i)
{
	struct hs_sock *sock = t->socks[i];

	end_flows_of(sock);
	hs_source_close(&t->hsd->loop, &sock->src);
	hs_source_close(&t->hsd->loop, &sock->data);
	free(sock);
	t->socks[i] = NULL;
}

/*
 * Descriptor @i of a SET_TUNNEL. The same address as before is the same socket (or its successor):
 * the handshakes on it go on.
 */
static int set_sock(struct hs_tunnel *t, unsigned int i, int *fd)
{
	struct hs_sock *sock = t->socks[i];
	union hs_addr name;
	int err;

	err = hs_udp_prepare(*fd, &name);
	if (err < 0)
		return err;
	if (sock && !hs_addr_equal(&sock->name, &name))
		end_flows_of(sock);
	if (!sock) {
		sock = calloc(1, sizeof(*sock));
		if (!sock)
			return -ENOMEM;
		sock->src.fd = sock->data.fd = -1;
		sock->tunnel = t;
		sock->index = i;
		t->socks[i] = sock;
	}
	sock->name = name;
	err = hs_source_open(&t->hsd->loop, &sock->src, *fd, on_readable, sock);
	*fd = -1;
	return err;
}

/* The data socket of pair @i: @fd, or none if that is NULL. */
static int set_data_sock(struct hs_tunnel *t, unsigned int i, int *fd)
{
	struct hs_sock *sock = t->socks[i];
	union hs_addr name;
	int err;

	if (!fd) {
		hs_source_close(&t->hsd->loop, &sock->data);
		return 0;
	}
	err = hs_udp_prepare(*fd, &name);
	if (!err && !hs_addr_equal(&sock->name, &name))
		err = -EINVAL;
	if (err < 0)
		return err;
	err = hs_source_open(&t->hsd->loop, &sock->data, *fd, on_data_readable, sock);
	*fd = -1;
	return err;
}

static int set_data_socks(struct hs_tunnel *t, int *fds, unsigned int n)
{
	unsigned int i, used = 0;
	int err;

	for (i = 0; i < t->n_socks; i++) {
		bool ours = t->config->data_sockets >> i & 1;

		if (ours && used == n)
			return -EINVAL;
		err = set_data_sock(t, i, ours ? &fds[used++] : NULL);
		if (err < 0)
			return err;
	}
	return used == n ? 0 : -EINVAL;
}

static int set_socks(struct hs_tunnel *t, int *fds, unsigned int n)
{
	unsigned int i;
	int err;

	for (i = 0; i < n; i++) {
		err = set_sock(t, i, &fds[i]);
		if (t->socks[i] && t->n_socks <= i)
			t->n_socks = i + 1;
		if (err < 0)
			return err;
	}
	while (t->n_socks > n)
		drop_sock(t, --t->n_socks);
	return 0;
}

static void set_keylog(struct hs_tunnel *t, int fd)
{
	if (t->keylog_fd >= 0)
		close(t->keylog_fd);
	t->keylog_fd = fd;
}

/* ---- the object ---- */

static bool same_config(const struct hs_config *a, const struct hs_config *b)
{
	return a->attrs_len == b->attrs_len && memcmp(a->attrs, b->attrs, a->attrs_len) == 0 &&
	       a->secret_serial == b->secret_serial;
}

static bool same_credential(const struct hs_user *a, const struct hs_user *b)
{
	return memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0 &&
	       a->has_psk == b->has_psk;
}

/* Whoever is no longer a user, or was given another key, does not finish a handshake. */
static void end_removed_users(struct hs_tunnel *t, const struct hs_config *old)
{
	const struct hs_user *u;
	size_t i;

	for (i = 0; i < old->n_users; i++) {
		u = hs_tunnel_user(t, old->users[i].short_id);
		if (!u || !same_credential(u, &old->users[i]))
			hs_conns_end(t->hsd, t, old->users[i].short_id, "the user was removed");
	}
}

/* Put @cfg and @gate in the place of what there was. */
static void replace_config(struct hs_tunnel *t, struct hs_config *cfg, struct hs_gate *gate)
{
	struct hs_config *old = t->config;

	if (t->gate && gate)
		hs_gate_inherit(gate, t->gate);
	hs_gate_free(t->gate);
	t->gate = gate;
	if (t->budget)
		hs_budget_set_limits(t->budget, cfg->max_auth_per_s, cfg->max_auth_per_site_per_s);
	if (!cfg->server)
		hs_conns_end(t->hsd, t, 0, "the configuration was replaced");
	t->config = cfg;
	if (t->relay)
		hs_relay_set_limits(t->relay, &cfg->relay);
	if (!cfg->old_key_until_s)
		hs_secret_forget_one(cfg->name, HS_SECRET_OLD_KEY);
	if (old)
		end_removed_users(t, old);
	hs_config_free(old);
}

/* ---- the cover's profile ---- */

/* After every change of the configuration or the profile. */
static void choose_like_cover(struct hs_tunnel *t)
{
	char text[HS_PRIORITY_MAX];

	if (t->priority)
		gnutls_priority_deinit(t->priority);
	t->priority = NULL;
	if (!t->config->server || t->profile.learned_s == 0)
		return;
	hs_tls_prefer(t->config->priority_text, t->profile.cipher, t->profile.group, text,
		      sizeof(text));
	t->priority = hs_tls_priority_new(text);
}

void hs_tunnel_set_profile(struct hs_tunnel *t, const struct hs_profile *p)
{
	t->profile = *p;
	t->deviation[0] = '\0';
	t->server_cid_len = p->scid_len < HS_CID_MIN_LEN ? HS_CID_MIN_LEN : p->scid_len;
	choose_like_cover(t);
	nx_log_full(LOG_INFO, "CoverLearnt", t->config->name,
		    "handshakes follow the cover's profile, %u flights and %u repeats",
		    p->n_flights, p->n_repeats);
	hs_control_cover_profile(t->hsd, t);
}

/*
 * What the control process has kept. It serves until the cover has been asked again; a profile of
 * our own that is not older stays.
 */
static void take_cached_profile(struct hs_tunnel *t, const struct hs_profile *cached)
{
	uint8_t hash[HS_PROFILE_NAME_HASH_LEN];
	uint64_t now_s = hs_unix_time_s();

	hs_profile_hash_name(hash, t->config->server_names[0]);
	hs_learner_set_name(t->learner, hash);
	if (cached->learned_s > t->profile.learned_s && cached->learned_s <= now_s &&
	    memcmp(hash, cached->name_hash, sizeof(hash)) == 0) {
		hs_tunnel_set_profile(t, cached);
		hs_learner_postpone(t->learner, now_s - cached->learned_s);
		return;
	}
	if (t->profile.learned_s && memcmp(hash, t->profile.name_hash, sizeof(hash)) != 0) {
		memset(&t->profile, 0, sizeof(t->profile));
		t->server_cid_len = HS_CID_LEN;
	}
	choose_like_cover(t);
	hs_control_cover_profile(t->hsd, t);
}

void hs_tunnel_note_deviation(struct hs_tunnel *t, const struct hs_profile_flight *want,
			      const struct hs_profile_flight *got)
{
	char wanted[HS_PROFILE_TEXT_LEN] = "", made[HS_PROFILE_TEXT_LEN] = "";

	if (t->deviation[0])
		return;
	hs_profile_flight_text(want, wanted, sizeof(wanted));
	hs_profile_flight_text(got, made, sizeof(made));
	snprintf(t->deviation, sizeof(t->deviation), "first flight: %.110s instead of %.110s", made,
		 wanted);
	nx_log_full(LOG_NOTICE, "CoverNotFollowed", t->config->name, "%s", t->deviation);
	hs_control_cover_profile(t->hsd, t);
}

bool hs_tunnel_difference(const struct hs_tunnel *t, unsigned int i, char out[HS_PROFILE_TEXT_LEN])
{
	if (t->deviation[0] && i-- == 0) {
		snprintf(out, HS_PROFILE_TEXT_LEN, "%s", t->deviation);
		return true;
	}
	return hs_profile_difference(&t->profile, i, out);
}

static struct hs_tunnel *new_tunnel(struct hsd *h, bool server)
{
	struct hs_tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (server)
		t->budget = malloc(sizeof(*t->budget));
	if (server && (!t->budget || hs_budget_init(t->budget) < 0)) {
		free(t->budget);
		free(t);
		return NULL;
	}
	t->hsd = h;
	t->server_cid_len = HS_CID_LEN;
	t->relay = server ? hs_relay_new(t) : NULL;
	t->learner = server ? hs_learner_new(t) : NULL;
	if (server && (!t->relay || !t->learner)) {
		hs_learner_free(t->learner);
		hs_relay_free(t->relay);
		free(t->budget);
		free(t);
		return NULL;
	}
	t->keylog_fd = -1;
	TAILQ_INSERT_TAIL(&h->tunnels, t, entry);
	return t;
}

/* The descriptors of a SET_TUNNEL; -1 = none. */
struct passed_fds {
	int *socks;
	unsigned int n_socks, n_data; /* the data sockets follow the others */
	int keylog, replay;
};

static int apply(struct hsd *h, struct hs_config *cfg, struct passed_fds *fds, struct nxm_error *e)
{
	struct hs_tunnel *t = hs_tunnel_find(h, cfg->name);
	struct hs_profile cached = cfg->profile;
	struct hs_gate *gate = NULL;
	bool fresh = !t;
	int err;

	if (t && t->config->server != cfg->server) {
		hs_tunnel_delete(t);
		t = NULL;
		fresh = true;
	}
	if (t && same_config(t->config, cfg)) {
		hs_config_free(cfg);
	} else {
		err = cfg->server ? make_gate(cfg, &gate, e) : 0;
		if (err == 0 && !t)
			t = new_tunnel(h, cfg->server);
		if (err < 0 || !t) {
			hs_gate_free(gate);
			hs_config_free(cfg);
			return err ? err : -ENOMEM;
		}
		replace_config(t, cfg, gate);
	}
	set_keylog(t, fds->keylog);
	fds->keylog = -1;
	keep_replay(t, fds->replay);
	if (t->learner)
		take_cached_profile(t, &cached);
	err = set_socks(t, fds->socks, fds->n_socks);
	if (err >= 0)
		err = set_data_socks(t, fds->socks + fds->n_socks, fds->n_data);
	if (err < 0) {
		e->err = err;
		snprintf(e->text, sizeof(e->text), "a descriptor is no usable UDP socket: %s",
			 strerror(-err));
		if (fresh)
			hs_tunnel_delete(t);
	}
	return err;
}

static int take_last(struct passed_fds *f)
{
	int fd;

	if (f->n_socks == 0)
		return -1;
	fd = f->socks[--f->n_socks];
	f->socks[f->n_socks] = -1;
	return fd;
}

int hs_tunnel_set(struct hsd *h, struct hs_config *cfg, int *fds, unsigned int n_fds,
		  struct nxm_error *e)
{
	struct passed_fds passed = { .socks = fds, .n_socks = n_fds, .keylog = -1, .replay = -1 };
	int err;

	if (cfg->replay)
		passed.replay = take_last(&passed);
	if (cfg->keylog)
		passed.keylog = take_last(&passed);
	passed.n_data = (unsigned int)__builtin_popcount(cfg->data_sockets);
	passed.n_socks -= passed.n_data < passed.n_socks ? passed.n_data : passed.n_socks;
	if (passed.n_socks == 0) {
		hs_config_free(cfg);
		e->err = err = -EINVAL;
		snprintf(e->text, sizeof(e->text), "no socket came with HS_CMD_SET_TUNNEL");
	} else {
		err = apply(h, cfg, &passed, e);
	}
	nx_close_fds(fds, n_fds);
	if (passed.keylog >= 0)
		close(passed.keylog);
	if (passed.replay >= 0)
		close(passed.replay);
	return err;
}

void hs_tunnel_delete(struct hs_tunnel *t)
{
	struct hsd *h = t->hsd;

	hs_conns_end(h, t, 0, "the tunnel was deleted");
	while (t->n_socks > 0)
		drop_sock(t, --t->n_socks);
	hs_learner_free(t->learner);
	hs_relay_free(t->relay);
	set_keylog(t, -1);
	hs_gate_free(t->gate);
	hs_cert_private_put(t->cert_private);
	free(t->budget);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	hs_config_free(t->config);
	TAILQ_REMOVE(&h->tunnels, t, entry);
	free(t);
}
