// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client of nexus-hsd: builds its requests from the configuration and hands its reports to the
 * tunnels. The process is trusted no further than its messages are well formed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/nexus_quic_dco.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "lib/ipc.h"
#include "lib/log.h"
#include "hsd-client.h"
#include "prefix.h"

static int transport_send(void *ctx, const void *buf, size_t len, const int *fds,
			  unsigned int n_fds)
{
	struct nx_hsd *h = ctx;

	return nx_chan_send(h->chan, buf, len, fds, n_fds);
}

void nx_hsd_init(struct nx_hsd *h, sd_event *event, const struct nx_hsd_ops *ops, void *userdata)
{
	memset(h, 0, sizeof(*h));
	h->event = event;
	h->ops = ops;
	h->userdata = userdata;
	nx_requests_init(&h->requests, NXM_FAMILY_HS);
	h->requests.transport = (struct nx_transport){ transport_send, h };
}

static void on_message(void *userdata, const struct nx_chan_msg *msg)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nx_hsd *h = userdata;
	struct nxm_error e = {};

	if (nx_requests_handle(&h->requests, msg))
		return;
	if (msg->hdr.type != NXM_FAMILY_HS)
		return;
	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &hs_set, tb, msg->buf, &e) < 0) {
		nx_err("message of nexus-hsd refused: %s", e.text);
		return;
	}
	if (msg->hdr.cmd == HS_CMD_SESSION)
		h->ops->session(h->userdata, msg, tb);
	else if (msg->hdr.cmd == HS_CMD_FAILED)
		h->ops->failed(h->userdata, tb);
	else if (msg->hdr.cmd == HS_CMD_RELAY_WANTED && h->ops->relay_wanted)
		h->ops->relay_wanted(h->userdata, tb);
	else if (msg->hdr.cmd == HS_CMD_COVER_STATE && h->ops->cover_state)
		h->ops->cover_state(h->userdata, tb);
	else if (msg->hdr.cmd == HS_CMD_COVER_PROFILE && h->ops->cover_profile)
		h->ops->cover_profile(h->userdata, msg, tb);
}

static void on_closed(void *userdata)
{
	struct nx_hsd *h = userdata;

	nx_hsd_close(h);
	h->ops->down(h->userdata);
}

int nx_hsd_attach(struct nx_hsd *h, int fd)
{
	static const struct nx_chan_ops chan_ops = { on_message, on_closed };
	int r;

	if (h->chan)
		on_closed(h);
	r = nx_chan_new(h->event, fd, &chan_ops, h, &h->chan);
	if (!r)
		h->ops->up(h->userdata);
	return r;
}

void nx_hsd_close(struct nx_hsd *h)
{
	nx_chan_free(h->chan);
	h->chan = NULL;
	nx_requests_fail_all(&h->requests, -EPIPE, "the process went away");
}

bool nx_hsd_connected(const struct nx_hsd *h)
{
	return h->chan != NULL;
}

/* ---- requests ---- */

static void put_prefix(struct nxm *m, uint16_t type, const struct nx_prefix *p)
{
	size_t nest = nxm_nest_begin(m, type);

	nxm_put(m, HS_A_PREFIX_ADDR, p->addr, nx_family_bytes(p->family));
	nxm_put_u8(m, HS_A_PREFIX_LEN, p->len);
	nxm_nest_end(m, nest);
}

static void put_user(struct nxm *m, const struct nx_user_config *u)
{
	size_t nest = nxm_nest_begin(m, HS_A_USER);

	nxm_put_str(m, HS_A_USER_NAME, u->name);
	nxm_put_u64(m, HS_A_USER_SHORT_ID, u->short_id);
	nxm_put(m, HS_A_USER_PUBLIC_KEY, u->public_key, sizeof(u->public_key));
	if (u->preshared_key_file)
		nxm_put_flag(m, HS_A_USER_HAS_PSK);
	for (size_t i = 0; i < u->n_addresses; i++)
		put_prefix(m, HS_A_USER_ADDRESS, &u->addresses[i]);
	nxm_nest_end(m, nest);
}

bool nx_old_key_wanted(const struct nx_tunnel_config *c)
{
	return c->old_private_key_file && (uint64_t)time(NULL) < c->old_key_until_s;
}

static void put_server(struct nxm *m, const struct nx_tunnel_config *c)
{
	uint8_t addr[16];

	for (char **s = c->server_names; s && *s; s++)
		nxm_put_str(m, HS_A_SERVER_NAME, *s);
	for (size_t i = 0; i < c->n_users; i++)
		if (!c->users[i].revoked)
			put_user(m, &c->users[i]);
	for (size_t i = 0; i < c->n_routes; i++)
		put_prefix(m, HS_A_ROUTE, &c->routes[i]);
	for (char **s = c->dns; s && *s; s++) {
		if (inet_pton(AF_INET, *s, addr) == 1)
			nxm_put(m, HS_A_DNS, addr, 4);
		else if (inet_pton(AF_INET6, *s, addr) == 1)
			nxm_put(m, HS_A_DNS, addr, 16);
	}
	for (char **s = c->dns_domains; s && *s; s++)
		nxm_put_str(m, HS_A_DNS_DOMAIN, *s);
	nxm_put_u32(m, HS_A_TIME_WINDOW_S, c->time_window_s);
	nxm_put_u32(m, HS_A_MAX_AGE_S, c->max_session_age_s);
	if (nx_old_key_wanted(c))
		nxm_put_u64(m, HS_A_OLD_KEY_UNTIL_S, c->old_key_until_s);
	nxm_put_u32(m, HS_A_RELAY_MAX_FLOWS, c->relay.max_flows);
	nxm_put_u32(m, HS_A_RELAY_MAX_FLOWS_PER_SITE, c->relay.max_flows_per_site);
	nxm_put_u32(m, HS_A_RELAY_IDLE_TIMEOUT_MS, c->relay.idle_timeout_s * 1000);
	nxm_put_u32(m, HS_A_RELAY_MAX_RATE_MBIT, c->relay.max_rate_mbit);
	nxm_put_u32(m, HS_A_GATE_MAX_AUTH_PER_S, c->gate.max_auth_per_s);
	nxm_put_u32(m, HS_A_GATE_MAX_AUTH_PER_SITE_PER_S, c->gate.max_auth_per_site_per_s);
}

static void put_client(struct nxm *m, const struct nx_tunnel_config *c)
{
	nxm_put_str(m, HS_A_SERVER_NAME, c->server_name);
	nxm_put(m, HS_A_SERVER_PUBLIC_KEY, c->server_public_key, sizeof(c->server_public_key));
	nxm_put_u64(m, HS_A_SHORT_ID, c->short_id);
}

static void put_ciphers(struct nxm *m, char **ciphers)
{
	char text[256] = "";
	size_t len = 0;

	for (; ciphers && *ciphers && len < sizeof(text); ciphers++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? ":" : "",
					*ciphers);
	if (len)
		nxm_put_str(m, HS_A_CIPHERS, text);
}

/* Last, and left out where the users have left no room: it is learnt again, they are not. */
static void put_profile(struct nxm *m, const struct nx_cover_profile *p)
{
	if (p && p->blob_len && m->len + p->blob_len + 8 <= m->cap)
		nxm_put(m, HS_A_COVER_PROFILE, p->blob, p->blob_len);
}

int nx_hsd_set_tunnel(struct nx_hsd *h, const struct nx_tunnel_config *c,
		      const struct nx_hsd_setup *s, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[NX_IPC_MAX_LEN];
	bool server = c->role == NX_ROLE_SERVER;
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_SET_TUNNEL, NLM_F_ACK);
	nxm_put_str(&m, HS_A_TUNNEL, c->name);
	nxm_put_u8(&m, HS_A_ROLE, server ? NQD_ROLE_SERVER : NQD_ROLE_CLIENT);
	nxm_put_u32(&m, HS_A_IDLE_TIMEOUT_MS, c->idle_timeout_s * 1000);
	nxm_put_u32(&m, HS_A_KEEPALIVE_MS, c->keepalive_s * 1000);
	nxm_put_u32(&m, HS_A_MTU, s->mtu);
	put_ciphers(&m, c->ciphers);
	if (s->data_sockets)
		nxm_put_u32(&m, HS_A_DATA_SOCKETS, s->data_sockets);
	if (c->insecure_keylog_file)
		nxm_put_flag(&m, HS_A_KEYLOG);
	if (s->replay)
		nxm_put_flag(&m, HS_A_REPLAY);
	if (server)
		put_server(&m, c);
	else
		put_client(&m, c);
	put_profile(&m, s->profile);
	return nx_request_send(&h->requests, &m, s->fds, s->n_fds, fn, userdata);
}

int nx_hsd_del_tunnel(struct nx_hsd *h, const char *tunnel, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[128];
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_DEL_TUNNEL, NLM_F_ACK);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	return nx_request_send(&h->requests, &m, NULL, 0, fn, userdata);
}

int nx_hsd_connect(struct nx_hsd *h, const char *tunnel, uint64_t attempt,
		   const struct nx_endpoint *remote, uint32_t socket, nx_reply_fn fn,
		   void *userdata)
{
	uint8_t buf[256];
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_CONNECT, NLM_F_ACK);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	nxm_put(&m, HS_A_REMOTE_ADDR, remote, nx_endpoint_len(remote));
	nxm_put_u32(&m, HS_A_SOCKET, socket);
	return nx_request_send(&h->requests, &m, NULL, 0, fn, userdata);
}

int nx_hsd_cancel(struct nx_hsd *h, const char *tunnel, uint64_t attempt)
{
	uint8_t buf[128];
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_CANCEL, NLM_F_ACK);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	return nx_request_send(&h->requests, &m, NULL, 0, NULL, NULL);
}

int nx_hsd_installed(struct nx_hsd *h, uint64_t attempt)
{
	uint8_t buf[64];
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_INSTALLED, NLM_F_ACK);
	nxm_put_u64(&m, HS_A_ATTEMPT, attempt);
	return nx_request_send(&h->requests, &m, NULL, 0, NULL, NULL);
}

int nx_hsd_relay_sockets(struct nx_hsd *h, const char *tunnel, const int *fds, unsigned int n_fds,
			 bool replace)
{
	uint8_t buf[128];
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_RELAY_SOCKETS, NLM_F_ACK);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	if (replace)
		nxm_put_flag(&m, HS_A_REPLACE);
	return nx_request_send(&h->requests, &m, fds, n_fds, NULL, NULL);
}

int nx_hsd_get_stats(struct nx_hsd *h, const char *tunnel, nx_reply_fn fn, void *userdata)
{
	uint8_t buf[128];
	struct nxm m;

	nx_request_begin(&h->requests, &m, buf, sizeof(buf), HS_CMD_GET_STATS, 0);
	nxm_put_str(&m, HS_A_TUNNEL, tunnel);
	return nx_request_send(&h->requests, &m, NULL, 0, fn, userdata);
}
