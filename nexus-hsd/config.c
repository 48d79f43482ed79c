// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HS_CMD_SET_TUNNEL as a configuration object. Every refusal names the attribute or says what is
 * missing; the secrets must have come from the monitor before (secrets.h).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/gnutls.h>
#include "clock.h"
#include "lib/keytext.h"
#include "lib/log.h"
#include "secrets.h"
#include "tls.h"
#include "tunnel.h"

struct parse {
	const uint8_t *attrs;
	size_t len;
	struct nxa tb[HS_A_MAX + 1];
	struct hs_config *cfg;
	struct nxm_error *e;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct nxm_error *e, int err,
							const char *fmt, ...)
{
	va_list ap;

	e->err = err;
	e->offset = 0;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return err;
}

/* Family and host bits of an address of 4 or 16 bytes with a prefix length. */
static int set_prefix(struct hs_prefix *p, const uint8_t *addr, size_t addr_len, unsigned int len)
{
	memset(p, 0, sizeof(*p));
	if ((addr_len != 4 && addr_len != 16) || len > addr_len * 8)
		return -EINVAL;
	p->family = addr_len == 4 ? AF_INET : AF_INET6;
	p->len = (uint8_t)len;
	memcpy(p->addr, addr, addr_len);
	return 0;
}

static int parse_prefix(struct parse *ps, const struct nxa *nest, const char *what,
			struct hs_prefix *p)
{
	struct nxa tb[HS_A_PREFIX_MAX + 1];
	int err;

	err = nxa_parse_nest(nest, &hs_prefix_set, tb, ps->attrs, ps->e);
	if (err == 0)
		err = nxa_require(tb, &hs_prefix_set, HS_A_PREFIX_ADDR, ps->e);
	if (err == 0)
		err = nxa_require(tb, &hs_prefix_set, HS_A_PREFIX_LEN, ps->e);
	if (err < 0)
		return err;
	if (set_prefix(p, tb[HS_A_PREFIX_ADDR].data, tb[HS_A_PREFIX_ADDR].len,
		       nxa_u8(&tb[HS_A_PREFIX_LEN])) < 0)
		return refuse(ps->e, -EINVAL, "%s: no IPv4 or IPv6 prefix", what);
	return 0;
}

static int parse_server_names(struct parse *ps)
{
	struct hs_config *cfg = ps->cfg;
	const uint8_t *pos = NULL;
	struct nxa a;

	cfg->server_names = calloc(HS_SERVER_NAMES_MAX, sizeof(cfg->server_names[0]));
	if (!cfg->server_names)
		return refuse(ps->e, -ENOMEM, "out of memory");
	while (nxa_next(ps->attrs, ps->len, HS_A_SERVER_NAME, &pos, &a)) {
		if (cfg->n_server_names == HS_SERVER_NAMES_MAX)
			return refuse(ps->e, -E2BIG, "more than %d HS_A_SERVER_NAME",
				      HS_SERVER_NAMES_MAX);
		snprintf(cfg->server_names[cfg->n_server_names++], sizeof(cfg->server_names[0]),
			 "%s", nxa_str(&a));
	}
	if (cfg->n_server_names == 0)
		return refuse(ps->e, -EINVAL, "missing HS_A_SERVER_NAME");
	return 0;
}

static int parse_offer(struct parse *ps)
{
	struct hs_net *net = &ps->cfg->net;
	const uint8_t *pos;
	struct nxa a;
	int err;

	for (pos = NULL; nxa_next(ps->attrs, ps->len, HS_A_ROUTE, &pos, &a);) {
		if (net->n_routes == HS_NET_ROUTES_MAX)
			return refuse(ps->e, -E2BIG, "more than %d HS_A_ROUTE", HS_NET_ROUTES_MAX);
		err = parse_prefix(ps, &a, "HS_A_ROUTE", &net->routes[net->n_routes++]);
		if (err < 0)
			return err;
	}
	for (pos = NULL; nxa_next(ps->attrs, ps->len, HS_A_DNS, &pos, &a);) {
		if (net->n_dns == HS_NET_DNS_MAX)
			return refuse(ps->e, -E2BIG, "more than %d HS_A_DNS", HS_NET_DNS_MAX);
		if (set_prefix(&net->dns[net->n_dns++], a.data, a.len, a.len * 8) < 0)
			return refuse(ps->e, -EINVAL, "HS_A_DNS: no IPv4 or IPv6 address");
	}
	for (pos = NULL; nxa_next(ps->attrs, ps->len, HS_A_DNS_DOMAIN, &pos, &a);) {
		if (net->n_domains == HS_NET_DOMAINS_MAX)
			return refuse(ps->e, -E2BIG, "more than %d HS_A_DNS_DOMAIN",
				      HS_NET_DOMAINS_MAX);
		snprintf(net->domains[net->n_domains++], sizeof(net->domains[0]), "%s",
			 nxa_str(&a));
	}
	net->mtu = ps->tb[HS_A_MTU].present ? nxa_u32(&ps->tb[HS_A_MTU]) : 0;
	net->keepalive_ms = ps->cfg->keepalive_ms;
	if (ps->tb[HS_A_ROUTE_EPOCH].present)
		net->route_epoch = nxa_u32(&ps->tb[HS_A_ROUTE_EPOCH]);
	if (ps->tb[HS_A_MAX_AGE_S].present)
		net->max_age_s = nxa_u32(&ps->tb[HS_A_MAX_AGE_S]);
	net->dp_caps = 1;
	return 0;
}

static int parse_user(struct parse *ps, const struct nxa *nest, struct hs_user *u)
{
	struct nxa tb[HS_A_USER_MAX + 1], a;
	const uint8_t *pos = NULL;
	int err;

	err = nxa_parse_nest(nest, &hs_user_set, tb, ps->attrs, ps->e);
	if (err == 0)
		err = nxa_require(tb, &hs_user_set, HS_A_USER_NAME, ps->e);
	if (err == 0)
		err = nxa_require(tb, &hs_user_set, HS_A_USER_SHORT_ID, ps->e);
	if (err == 0)
		err = nxa_require(tb, &hs_user_set, HS_A_USER_PUBLIC_KEY, ps->e);
	if (err < 0)
		return err;
	snprintf(u->name, sizeof(u->name), "%s", nxa_str(&tb[HS_A_USER_NAME]));
	u->short_id = nxa_u64(&tb[HS_A_USER_SHORT_ID]);
	memcpy(u->public_key, tb[HS_A_USER_PUBLIC_KEY].data, sizeof(u->public_key));
	u->has_psk = tb[HS_A_USER_HAS_PSK].present;
	if (u->has_psk && !hs_secret_get(ps->cfg->name, "psk", u->name))
		return refuse(ps->e, -ENOKEY,
			      "no preshared key arrived for user %.63s of tunnel %s", u->name,
			      ps->cfg->name);
	while (nxa_next(nest->data, nest->len, HS_A_USER_ADDRESS, &pos, &a)) {
		if (u->n_addresses == HS_USER_ADDRESSES_MAX)
			return refuse(ps->e, -E2BIG,
				      "more than %d HS_A_USER_ADDRESS for user %.63s",
				      HS_USER_ADDRESSES_MAX, u->name);
		err = parse_prefix(ps, &a, "HS_A_USER_ADDRESS", &u->addresses[u->n_addresses++]);
		if (err < 0)
			return err;
	}
	if (u->n_addresses == 0)
		return refuse(ps->e, -EINVAL, "missing HS_A_USER_ADDRESS for user %.63s", u->name);
	return 0;
}

static void parse_relay(struct parse *ps)
{
	struct hs_relay_limits *l = &ps->cfg->relay;
	const struct nxa *tb = ps->tb;

	*l = (struct hs_relay_limits){ HS_RELAY_MAX_FLOWS, HS_RELAY_MAX_FLOWS_PER_SITE,
				       HS_RELAY_IDLE_TIMEOUT_MS, HS_RELAY_MAX_RATE_MBIT };
	if (tb[HS_A_RELAY_MAX_FLOWS].present)
		l->max_flows = nxa_u32(&tb[HS_A_RELAY_MAX_FLOWS]);
	if (tb[HS_A_RELAY_MAX_FLOWS_PER_SITE].present)
		l->max_flows_per_site = nxa_u32(&tb[HS_A_RELAY_MAX_FLOWS_PER_SITE]);
	if (tb[HS_A_RELAY_IDLE_TIMEOUT_MS].present)
		l->idle_timeout_ms = nxa_u32(&tb[HS_A_RELAY_IDLE_TIMEOUT_MS]);
	if (tb[HS_A_RELAY_MAX_RATE_MBIT].present)
		l->max_rate_mbit = nxa_u32(&tb[HS_A_RELAY_MAX_RATE_MBIT]);
}

static void parse_gate(struct parse *ps)
{
	const struct nxa *all = &ps->tb[HS_A_GATE_MAX_AUTH_PER_S];
	const struct nxa *site = &ps->tb[HS_A_GATE_MAX_AUTH_PER_SITE_PER_S];

	ps->cfg->max_auth_per_s = all->present ? nxa_u32(all) : HS_BUDGET_MAX_PER_S;
	ps->cfg->max_auth_per_site_per_s = site->present ? nxa_u32(site)
							 : HS_BUDGET_MAX_PER_SITE_PER_S;
}

/* A time that is over is no mistake: the secret need not have come then. */
static int parse_old_key(struct parse *ps, const uint8_t present[NX_KEY_LEN])
{
	const struct nxa *until = &ps->tb[HS_A_OLD_KEY_UNTIL_S];
	struct hs_config *cfg = ps->cfg;
	const uint8_t *key;

	if (!until->present || nxa_u64(until) <= hs_unix_time_s())
		return 0;
	key = hs_secret_get(cfg->name, HS_SECRET_OLD_KEY, NULL);
	if (!key)
		return refuse(ps->e, -ENOKEY, "no old private key arrived for tunnel %s",
			      cfg->name);
	if (gnutls_memcmp(key, present, NX_KEY_LEN) == 0)
		return refuse(ps->e, -EINVAL,
			      "old_private_key_file: holds the same key as private_key_file; "
			      "right is the key the server had before");
	cfg->old_key_until_s = nxa_u64(until);
	return 0;
}

static int parse_server(struct parse *ps)
{
	struct hs_config *cfg = ps->cfg;
	const uint8_t *pos = NULL, *key;
	struct nxa a;
	size_t n = 0;
	int err;

	cfg->time_window_s = ps->tb[HS_A_TIME_WINDOW_S].present
				     ? nxa_u32(&ps->tb[HS_A_TIME_WINDOW_S])
				     : HS_TIME_WINDOW_S;
	parse_relay(ps);
	parse_gate(ps);
	key = hs_secret_get(cfg->name, HS_SECRET_KEY, NULL);
	if (!key)
		return refuse(ps->e, -ENOKEY, "no private key arrived for tunnel %s", cfg->name);
	err = parse_old_key(ps, key);
	if (err < 0)
		return err;
	while (nxa_next(ps->attrs, ps->len, HS_A_USER, &pos, &a))
		n++;
	if (n > HS_USERS_MAX)
		return refuse(ps->e, -E2BIG, "more than %d HS_A_USER", HS_USERS_MAX);
	cfg->users = calloc(n ? n : 1, sizeof(*cfg->users));
	if (!cfg->users)
		return refuse(ps->e, -ENOMEM, "out of memory");
	for (pos = NULL; nxa_next(ps->attrs, ps->len, HS_A_USER, &pos, &a);) {
		err = parse_user(ps, &a, &cfg->users[cfg->n_users]);
		if (err < 0)
			return err;
		cfg->n_users++;
	}
	return 0;
}

static int parse_client(struct parse *ps)
{
	struct hs_reality_client *c = &ps->cfg->credential;
	const char *name = ps->cfg->name;
	const uint8_t *key, *psk;
	int err;

	err = nxa_require(ps->tb, &hs_set, HS_A_SERVER_PUBLIC_KEY, ps->e);
	if (err == 0)
		err = nxa_require(ps->tb, &hs_set, HS_A_SHORT_ID, ps->e);
	if (err < 0)
		return err;
	if (ps->cfg->n_server_names != 1)
		return refuse(ps->e, -EINVAL, "HS_A_SERVER_NAME: a client tunnel has exactly one");
	key = hs_secret_get(name, HS_SECRET_KEY, NULL);
	if (!key)
		return refuse(ps->e, -ENOKEY, "no private key arrived for tunnel %s", name);
	memcpy(c->server_public, ps->tb[HS_A_SERVER_PUBLIC_KEY].data, sizeof(c->server_public));
	memcpy(c->secret, key, sizeof(c->secret));
	c->short_id = nxa_u64(&ps->tb[HS_A_SHORT_ID]);
	if (c->short_id == 0)
		return refuse(ps->e, -EINVAL, "HS_A_SHORT_ID: 0 is no short id");
	psk = hs_secret_get(name, "psk", NULL);
	c->has_psk = psk != NULL;
	if (psk)
		memcpy(c->psk, psk, sizeof(c->psk));
	return 0;
}

static int parse_common(struct parse *ps)
{
	struct hs_config *cfg = ps->cfg;
	struct nxa *tb = ps->tb;
	const char *bad;

	if (tb[HS_A_IDLE_TIMEOUT_MS].present)
		cfg->idle_timeout_ms = nxa_u32(&tb[HS_A_IDLE_TIMEOUT_MS]);
	if (tb[HS_A_KEEPALIVE_MS].present)
		cfg->keepalive_ms = nxa_u32(&tb[HS_A_KEEPALIVE_MS]);
	cfg->handshake_timeout_ms = tb[HS_A_HANDSHAKE_TIMEOUT_MS].present
					    ? nxa_u32(&tb[HS_A_HANDSHAKE_TIMEOUT_MS])
					    : HS_HANDSHAKE_TIMEOUT_MS;
	if (cfg->handshake_timeout_ms < 100 || cfg->handshake_timeout_ms > 120000)
		return refuse(ps->e, -ERANGE, "HS_A_HANDSHAKE_TIMEOUT_MS: 100 to 120000");
	cfg->keylog = tb[HS_A_KEYLOG].present;
	cfg->replay = tb[HS_A_REPLAY].present && cfg->server;
	if (tb[HS_A_DATA_SOCKETS].present)
		cfg->data_sockets = nxa_u32(&tb[HS_A_DATA_SOCKETS]);
	/* A cache that is damaged is no reason to refuse: the cover can be asked again. */
	if (cfg->server && tb[HS_A_COVER_PROFILE].present &&
	    hs_profile_decode(tb[HS_A_COVER_PROFILE].data, tb[HS_A_COVER_PROFILE].len,
			      &cfg->profile) < 0)
		nx_warn("tunnel %s: the cached profile of the cover is damaged", cfg->name);
	bad = hs_tls_priority(tb[HS_A_CIPHERS].present ? nxa_str(&tb[HS_A_CIPHERS]) : "",
			      cfg->server, HS_TLS_HYBRID_GROUP, cfg->priority_text,
			      sizeof(cfg->priority_text));
	if (bad)
		return refuse(ps->e, -EINVAL, "HS_A_CIPHERS: %s", bad);
	cfg->priority = hs_tls_priority_new(cfg->priority_text);
	if (!cfg->priority)
		return refuse(ps->e, -EINVAL, "HS_A_CIPHERS: GnuTLS does not take the list");
	return 0;
}

static int parse_all(struct parse *ps)
{
	struct hs_config *cfg = ps->cfg;
	int err;

	err = nxa_parse(ps->attrs, ps->len, &hs_set, ps->tb, ps->attrs, ps->e);
	if (err == 0)
		err = nxa_require(ps->tb, &hs_set, HS_A_TUNNEL, ps->e);
	if (err == 0)
		err = nxa_require(ps->tb, &hs_set, HS_A_ROLE, ps->e);
	if (err < 0)
		return err;
	snprintf(cfg->name, sizeof(cfg->name), "%s", nxa_str(&ps->tb[HS_A_TUNNEL]));
	cfg->server = nxa_u8(&ps->tb[HS_A_ROLE]) == NQD_ROLE_SERVER;
	cfg->secret_serial = hs_secret_serial(cfg->name);
	err = parse_common(ps);
	if (err == 0)
		err = parse_server_names(ps);
	if (err == 0)
		err = parse_offer(ps);
	if (err == 0)
		err = cfg->server ? parse_server(ps) : parse_client(ps);
	return err;
}

int hs_config_parse(const uint8_t *attrs, size_t len, struct hs_config **out, struct nxm_error *e)
{
	struct hs_config *cfg = calloc(1, sizeof(*cfg));
	struct parse ps = { .attrs = attrs, .len = len, .cfg = cfg, .e = e };
	int err;

	if (!cfg)
		return refuse(e, -ENOMEM, "out of memory");
	cfg->attrs = malloc(len ? len : 1);
	if (!cfg->attrs) {
		err = refuse(e, -ENOMEM, "out of memory");
		goto fail;
	}
	memcpy(cfg->attrs, attrs, len);
	cfg->attrs_len = len;
	err = parse_all(&ps);
	if (err < 0)
		goto fail;
	*out = cfg;
	return 0;
fail:
	hs_config_free(cfg);
	return err;
}

void hs_config_free(struct hs_config *cfg)
{
	if (!cfg)
		return;
	free(cfg->attrs);
	free(cfg->server_names);
	free(cfg->users);
	if (cfg->priority)
		gnutls_priority_deinit(cfg->priority);
	explicit_bzero(cfg, sizeof(*cfg));
	free(cfg);
}
