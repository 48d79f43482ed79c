// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions: from nexus-hsd's report to the data plane. Keys are only passed through: the report's
 * buffer is wiped by the channel, the request's by nx_request_send(). Also the record of what the
 * capsules agreed on, kept at the monitor so that a restarted control process knows it again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "lib/log.h"
#include "lib/texts.h"
#include "prefix.h"
#include "tunnel-internal.h"

struct nx_session *nx_session_new(struct nx_tunnel *t, uint64_t id)
{
	struct nx_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->tunnel = t;
	s->dp = t->priv->dp;
	s->id = s->peer_id = id;
	TAILQ_INSERT_TAIL(&t->priv->installing, s, entry);
	nx_id_add(&t->priv->by_id, &s->by_id, id);
	return s;
}

void nx_session_set_installed(struct nx_session *s)
{
	struct nx_tunnel *t = s->tunnel;

	TAILQ_REMOVE(&t->priv->installing, s, entry);
	TAILQ_INSERT_TAIL(&t->sessions, s, entry);
	nx_id_add(&t->priv->by_user, &s->by_user, s->user);
	s->installed = true;
}

void nx_session_free(struct nx_session *s)
{
	struct nx_tunnel *t = s->tunnel;

	nx_server_move_forget(s);
	nx_dp_forget(s->dp, s);
	nx_recount_leave(s);
	sd_event_source_disable_unref(s->age_timer);
	nx_id_remove(&t->priv->by_id, &s->by_id);
	if (s->installed) {
		nx_id_remove(&t->priv->by_user, &s->by_user);
		if (s == TAILQ_FIRST(&t->sessions))
			nx_roam_session_gone(t);
		TAILQ_REMOVE(&t->sessions, s, entry);
		if (t->config->role == NX_ROLE_SERVER && !s->waits)
			nx_session_bus_removed(s);
	} else {
		TAILQ_REMOVE(&t->priv->installing, s, entry);
	}
	free(s->addresses);
	free(s);
}

void nx_tunnel_drop_sessions(struct nx_tunnel *t)
{
	struct nx_session *s;

	while ((s = TAILQ_FIRST(&t->sessions))) {
		if (t->config->role == NX_ROLE_SERVER)
			nx_server_drop_session(t, s);
		else
			nx_session_free(s);
	}
	while ((s = TAILQ_FIRST(&t->priv->installing)))
		nx_session_free(s);
}

static struct nx_session *by_id(struct nx_id_node *node)
{
	return (void *)((char *)node - offsetof(struct nx_session, by_id));
}

static struct nx_session *by_user(struct nx_id_node *node)
{
	return (void *)((char *)node - offsetof(struct nx_session, by_user));
}

struct nx_session *nx_tunnel_find_session(struct nx_tunnel *t, uint64_t id)
{
	struct nx_id_node *node = nx_id_first(&t->priv->by_id, id);

	return node ? by_id(node) : NULL;
}

struct nx_session *nx_session_of_user(const struct nx_tunnel *t, uint64_t user)
{
	struct nx_id_node *node = nx_id_first(&t->priv->by_user, user);

	return node ? by_user(node) : NULL;
}

struct nx_session *nx_session_other(const struct nx_session *s)
{
	struct nx_id_node *node = nx_id_first(&s->tunnel->priv->by_user, s->user);

	if (node == &s->by_user)
		node = nx_id_next(node);
	return node ? by_user(node) : NULL;
}

bool nx_session_installing(const struct nx_tunnel *t, uint64_t user)
{
	const struct nx_session *s;

	TAILQ_FOREACH (s, &t->priv->installing, entry)
		if (s->user == user)
			return true;
	return false;
}

int nx_session_fill(struct nx_session *s, const struct nxa *ses)
{
	const struct nxa *remote = &ses[NQD_A_SESSION_REMOTE_ADDR];
	const struct nxa *local = &ses[NQD_A_SESSION_LOCAL_ADDR];

	if (!remote->present || nx_endpoint_from_bytes(remote->data, remote->len, &s->remote) < 0)
		return -EINVAL;
	if (local->present && nx_endpoint_from_bytes(local->data, local->len, &s->local) < 0)
		return -EINVAL;
	if (ses[NQD_A_SESSION_CIPHER].present)
		s->cipher = nxa_u16(&ses[NQD_A_SESSION_CIPHER]);
	if (ses[NQD_A_SESSION_KEY_EXCHANGE].present)
		s->key_exchange = nxa_u16(&ses[NQD_A_SESSION_KEY_EXCHANGE]);
	if (ses[NQD_A_SESSION_FLAGS].present)
		s->has_psk = nxa_u32(&ses[NQD_A_SESSION_FLAGS]) & NQD_SESSION_F_PRESHARED_KEY;
	s->overhead = nx_session_overhead(ses);
	if (ses[NQD_A_SESSION_PATH_MTU_BYTES].present)
		s->mtu = nxa_u32(&ses[NQD_A_SESSION_PATH_MTU_BYTES]) - s->overhead;
	if (ses[NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS].present)
		s->idle_timeout_ms = nxa_u32(&ses[NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS]);
	if (ses[NQD_A_SESSION_USER].present)
		s->user = nxa_u64(&ses[NQD_A_SESSION_USER]);
	return 0;
}

/* Length of the first remote connection ID, the one our packets carry. */
static uint32_t remote_cid_len(const struct nxa *ses)
{
	const struct nxa *cids = &ses[NQD_A_SESSION_REMOTE_CIDS];
	struct nxa cid, tb[NQD_A_CID_MAX + 1];
	const uint8_t *pos = NULL;
	struct nxm_error e;

	if (!cids->present || !nxa_next(cids->data, cids->len, NQD_A_CIDS_CID, &pos, &cid) ||
	    nxa_parse_nest(&cid, &nqd_cid_set, tb, cid.data, &e) < 0 || !tb[NQD_A_CID_ID].present)
		return NX_CLIENT_CID_LEN;
	return tb[NQD_A_CID_ID].len;
}

uint32_t nx_session_overhead(const struct nxa *ses)
{
	const struct nxa *prefix = &ses[NQD_A_SESSION_CONTEXT_PREFIX];

	return NX_OVERHEAD_FIXED + remote_cid_len(ses) +
	       (prefix->present ? prefix->len : NX_CONTEXT_PREFIX_LEN);
}

uint32_t nx_path_payload(const struct nx_endpoint *remote, uint32_t mark)
{
	uint32_t headers = remote->sa.sa_family == AF_INET6 ? 48 : 28;
	int mtu = nx_udp_path_mtu(remote, mark);

	if (mtu < 0 || mtu > NX_PATH_MTU_MAX)
		mtu = NX_PATH_MTU_MAX;
	if ((uint32_t)mtu < NX_UDP_PAYLOAD_MIN + headers)
		return NX_UDP_PAYLOAD_MIN;
	return (uint32_t)mtu - headers;
}

/* ---- what the capsules agreed on ---- */

static int parse_prefix(const struct nxa *nest, const void *base, struct nx_prefix *p)
{
	struct nxa tb[HS_A_PREFIX_MAX + 1];
	struct nxm_error e;

	if (nxa_parse_nest(nest, &hs_prefix_set, tb, base, &e) < 0 ||
	    !tb[HS_A_PREFIX_ADDR].present || !tb[HS_A_PREFIX_LEN].present)
		return -EINVAL;
	return nx_prefix_from_bytes(tb[HS_A_PREFIX_ADDR].data, tb[HS_A_PREFIX_ADDR].len,
				    nxa_u8(&tb[HS_A_PREFIX_LEN]), p);
}

/* All attributes of one number as prefixes. */
static int parse_prefixes(const void *data, size_t len, uint16_t type, struct nx_prefix **out,
			  size_t *n)
{
	const uint8_t *pos = NULL;
	size_t count = 0;
	struct nxa a;
	int r;

	while (nxa_next(data, len, type, &pos, &a))
		count++;
	*out = calloc(count + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (pos = NULL; nxa_next(data, len, type, &pos, &a);) {
		r = parse_prefix(&a, data, &(*out)[*n]);
		if (r)
			return r;
		(*n)++;
	}
	return 0;
}

/* All attributes of one number as text: addresses are formatted, strings copied. */
static int parse_texts(const void *data, size_t len, uint16_t type, bool address, char ***out)
{
	const uint8_t *pos = NULL;
	char buf[INET6_ADDRSTRLEN];
	size_t count = 0, n = 0;
	struct nxa a;

	while (nxa_next(data, len, type, &pos, &a))
		count++;
	*out = calloc(count + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (pos = NULL; nxa_next(data, len, type, &pos, &a);) {
		if (address && a.len != 4 && a.len != 16)
			return -EINVAL;
		if (address &&
		    !inet_ntop(a.len == 4 ? AF_INET : AF_INET6, a.data, buf, sizeof(buf)))
			return -EINVAL;
		(*out)[n] = strdup(address ? buf : nxa_str(&a));
		if (!(*out)[n++])
			return -ENOMEM;
	}
	return 0;
}

int nx_net_offer_parse(const void *data, size_t len, struct nx_net_offer *o)
{
	struct nxa tb[HS_A_NET_MAX + 1];
	struct nxm_error e;
	int r;

	memset(o, 0, sizeof(*o));
	r = nxa_parse(data, len, &hs_net_set, tb, data, &e);
	if (!r)
		r = parse_prefixes(data, len, HS_A_NET_ADDRESS, &o->addresses, &o->n_addresses);
	if (!r)
		r = parse_prefixes(data, len, HS_A_NET_ROUTE, &o->routes, &o->n_routes);
	if (!r)
		r = parse_texts(data, len, HS_A_NET_DNS, true, &o->dns);
	if (!r)
		r = parse_texts(data, len, HS_A_NET_DNS_DOMAIN, false, &o->dns_domains);
	if (!r && tb[HS_A_NET_MTU].present)
		o->mtu = nxa_u32(&tb[HS_A_NET_MTU]);
	if (!r && tb[HS_A_NET_MAX_AGE_S].present)
		o->max_age_s = nxa_u32(&tb[HS_A_NET_MAX_AGE_S]);
	if (r)
		nx_net_offer_free(o);
	return r;
}

void nx_net_offer_free(struct nx_net_offer *o)
{
	nx_texts_free(o->dns);
	nx_texts_free(o->dns_domains);
	free(o->addresses);
	free(o->routes);
	memset(o, 0, sizeof(*o));
}

int nx_state_store(struct nx_tunnel *t, const struct nx_endpoint *remote, const struct nxa *net)
{
	struct nx_tunnel_private *p = t->priv;
	int fd = memfd_create("nexus-state", MFD_CLOEXEC);
	struct iovec iov[2] = {
		{ .iov_base = (void *)remote, .iov_len = sizeof(*remote) },
		{ .iov_base = (void *)net->data, .iov_len = net->len },
	};

	if (fd < 0)
		return -errno;
	if (writev(fd, iov, 2) != (ssize_t)(sizeof(*remote) + net->len)) {
		close(fd);
		return -EIO;
	}
	nx_manager_store(t->manager, fd, "state:%s", t->config->name);
	if (p->state_fd >= 0)
		close(p->state_fd);
	p->state_fd = fd;
	return 0;
}

int nx_state_load(int fd, struct nx_endpoint *remote, struct nx_net_offer *offer)
{
	uint8_t buf[65536];
	ssize_t len = pread(fd, buf, sizeof(buf), 0);

	if (len < 0)
		return -errno;
	if ((size_t)len < sizeof(*remote))
		return -EINVAL;
	memcpy(remote, buf, sizeof(*remote));
	if (remote->sa.sa_family != AF_INET && remote->sa.sa_family != AF_INET6)
		return -EINVAL;
	return nx_net_offer_parse(buf + sizeof(*remote), (size_t)len - sizeof(*remote), offer);
}

/* ---- installation ---- */

static void on_installed(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_session *s = userdata, *other;
	struct nx_tunnel *t = s->tunnel;
	bool client = t->config->role == NX_ROLE_CLIENT;
	bool moving = s->dp == t->priv->coming.dp;
	uint64_t attempt = s->attempt;
	char why[192];

	if (msg)
		return;
	if (!err) {
		nx_session_set_installed(s);
		s->connected_since_s = s->last_handshake_s = (uint64_t)time(NULL);
		other = nx_session_other(s);
		s->waits = other;
		(void)nx_hsd_installed(&t->manager->priv->hsd, attempt);
		if (t->config->role == NX_ROLE_SERVER)
			nx_server_installed(t, s);
		else
			nx_client_installed(t, s);
		if (other && other->superseded)
			nx_tunnel_session_down(t, other, NQD_DOWN_REPLACED, "");
		return;
	}
	snprintf(why, sizeof(why), "the data plane refused the session: %s",
		 text[0] ? text : strerror(-err));
	nx_log_full(LOG_ERR, "SessionRefused", t->config->name, "%s", why);
	(void)nx_hsd_cancel(&t->manager->priv->hsd, t->config->name, attempt);
	/* If its answer was lost, it may be there. */
	if (err != -EPIPE)
		(void)nx_dp_delete_session(s->dp, s->id, NX_CLOSE_NO_ERROR, "", NULL, NULL);
	nx_session_free(s);
	if (!client || !t->priv->wanted)
		return;
	if (moving && err != -EPIPE && err != -ENOBUFS) {
		nx_move_refused(t, why);
		return;
	}
	if (!moving && err != -EPIPE && err != -ENOBUFS)
		(void)nx_tunnel_fall_back(t, why);
	nx_client_retry(t, NX_REASON_DATA_PLANE_LOST, why);
}

int nx_session_install(struct nx_session *s, uint64_t attempt, const struct nxa *hs,
		       struct nx_dp_session *args)
{
	struct nx_tunnel *t = s->tunnel;

	s->attempt = attempt;
	s->path_limit = args->path_mtu_bytes;
	s->mtu = args->path_mtu_bytes - s->overhead;
	args->id = s->id;
	args->tunnel = t->config->name;
	args->congestion = t->config->congestion;
	args->fixed_rate_bytes_per_s = t->config->fixed_rate_mbit * 125000ULL;
	return nx_dp_add_session(s->dp, args, hs, on_installed, s);
}
