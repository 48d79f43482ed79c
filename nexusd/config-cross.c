// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks that concern several settings, users or tunnels, and the comparison of two configurations
 * that a reload needs. Called by config.c once the single values are right.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/texts.h"
#include "config-internal.h"
#include "prefix.h"

/* Compare by one key through sorting: a server may have thousands of users. */
struct user_key {
	const char *text;
	uint64_t number;
	size_t index;
};

static int by_text(const void *a, const void *b)
{
	const struct user_key *x = a, *y = b;
	int d = strcmp(x->text, y->text);

	return d ? d : (x->index > y->index) - (x->index < y->index);
}

static int by_number(const void *a, const void *b)
{
	const struct user_key *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static const config_setting_t *user_setting(const config_setting_t *tunnel, size_t i)
{
	return config_setting_get_elem(config_setting_get_member(tunnel, "users"), (unsigned int)i);
}

static void check_user_names(struct nx_reader *rd, const config_setting_t *s,
			     const struct nx_tunnel_config *t, struct user_key *keys)
{
	for (size_t i = 0; i < t->n_users; i++)
		keys[i] = (struct user_key){ .text = t->users[i].name, .index = i };
	qsort(keys, t->n_users, sizeof(*keys), by_text);
	for (size_t i = 1; i < t->n_users; i++)
		if (!strcmp(keys[i].text, keys[i - 1].text))
			nx_complain_member(rd, user_setting(s, keys[i].index), "name",
					   "\"%s\" is also the name of users[%zu]", keys[i].text,
					   keys[i - 1].index);

	for (size_t i = 0; i < t->n_users; i++)
		keys[i] = (struct user_key){ .number = t->users[i].short_id, .index = i };
	qsort(keys, t->n_users, sizeof(*keys), by_number);
	for (size_t i = 1; i < t->n_users; i++)
		if (keys[i].number == keys[i - 1].number)
			nx_complain_member(rd, user_setting(s, keys[i].index), "short_id",
					   "is also the short id of users[%zu] (\"%s\")",
					   keys[i - 1].index, t->users[keys[i - 1].index].name);
}

/* FNV-1a: the same number for the same name in every process and after every restart. */
uint32_t nx_group_id(const char *name)
{
	uint32_t h = 2166136261u;

	if (!name)
		return 0;
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ? h : 1;
}

static void check_groups(struct nx_reader *rd, const config_setting_t *s,
			 const struct nx_tunnel_config *t, struct user_key *keys)
{
	for (size_t i = 0; i < t->n_users; i++)
		keys[i] = (struct user_key){ .number = nx_group_id(t->users[i].group), .index = i };
	qsort(keys, t->n_users, sizeof(*keys), by_number);
	for (size_t i = 1; i < t->n_users; i++) {
		const char *a = t->users[keys[i - 1].index].group;
		const char *b = t->users[keys[i].index].group;

		if (keys[i].number && keys[i].number == keys[i - 1].number && strcmp(a, b))
			nx_complain_member(
				rd, user_setting(s, keys[i].index), "group",
				"cannot be told from \"%s\" by the data plane; choose another name",
				a);
	}
}

/* One prefix of one user, for finding overlaps. */
struct owned_prefix {
	struct nx_prefix p; /* without host bits */
	size_t user;
	const char *member;
};

/* Networks before what they contain: family, address, length. */
static int by_prefix(const void *a, const void *b)
{
	const struct owned_prefix *x = a, *y = b;
	int d;

	if (x->p.family != y->p.family)
		return x->p.family - y->p.family;
	d = memcmp(x->p.addr, y->p.addr, sizeof(x->p.addr));
	if (d)
		return d;
	if (x->p.len != y->p.len)
		return x->p.len - y->p.len;
	return (x->user > y->user) - (x->user < y->user);
}

static size_t collect_prefixes(const struct nx_tunnel_config *t, struct owned_prefix *out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_users; i++) {
		const struct nx_user_config *u = &t->users[i];

		for (size_t k = 0; k < u->n_addresses; k++)
			out[n++] = (struct owned_prefix){ u->addresses[k], i, "addresses" };
		for (size_t k = 0; k < u->n_allowed_ips; k++)
			out[n++] = (struct owned_prefix){ u->allowed_ips[k], i, "allowed_ips" };
	}
	qsort(out, n, sizeof(*out), by_prefix);
	return n;
}

/*
 * No address may belong to two users. In the sorted list whatever overlaps a prefix follows it
 * directly, or follows something inside it; so comparing with the last prefix that reaches
 * furthest is enough.
 */
static void check_overlaps(struct nx_reader *rd, const config_setting_t *s,
			   const struct nx_tunnel_config *t)
{
	size_t total = 0, n, outer = 0;
	char a[NX_ADDR_STRLEN], b[NX_ADDR_STRLEN];
	struct owned_prefix *v;

	for (size_t i = 0; i < t->n_users; i++)
		total += t->users[i].n_addresses + t->users[i].n_allowed_ips;
	v = calloc(total + 1, sizeof(*v));
	if (!v) {
		rd->no_memory = true;
		return;
	}
	n = collect_prefixes(t, v);
	for (size_t i = 1; i < n; i++) {
		if (!nx_prefix_contains(&v[outer].p, &v[i].p)) {
			outer = i;
			continue;
		}
		if (v[outer].user != v[i].user)
			nx_complain_member(rd, user_setting(s, v[i].user), v[i].member,
					   "%s overlaps %s of users[%zu] (\"%s\")",
					   nx_prefix_format(&v[i].p, a),
					   nx_prefix_format(&v[outer].p, b), v[outer].user,
					   t->users[v[outer].user].name);
	}
	free(v);
}

/* A client's own address is what others send to: a whole network of them makes no sense. */
static void check_user_addresses(struct nx_reader *rd, const config_setting_t *s,
				 const struct nx_tunnel_config *t)
{
	char buf[NX_ADDR_STRLEN];

	for (size_t i = 0; i < t->n_users; i++) {
		const struct nx_user_config *u = &t->users[i];

		if (u->n_addresses == 0)
			nx_complain_member(rd, user_setting(s, i), "addresses",
					   "is empty; the client needs at least one address");
		for (size_t k = 0; k < u->n_addresses; k++) {
			const struct nx_prefix *p = &u->addresses[k];

			if (p->len != nx_family_bits(p->family))
				nx_complain_member(
					rd, user_setting(s, i), "addresses",
					"%s is a network; right is one address (/%u), and allowed_ips for networks",
					nx_prefix_format(p, buf), nx_family_bits(p->family));
			for (size_t a = 0; a < t->n_addresses; a++)
				if (!memcmp(t->addresses[a].addr, p->addr, sizeof(p->addr)) &&
				    t->addresses[a].family == p->family)
					nx_complain_member(rd, user_setting(s, i), "addresses",
							   "%s is the server's own address",
							   nx_prefix_format(p, buf));
		}
	}
}

/* The file is needed while the key is accepted, and may be gone after that. */
static void check_old_key(struct nx_reader *rd, const config_setting_t *s,
			  const struct nx_tunnel_config *t)
{
	struct nx_config_report *rep = rd->report;

	if (!t->old_private_key_file && !t->old_key_until_s)
		return;
	if (!t->old_private_key_file) {
		nx_complain_member(rd, s, "old_private_key_file",
				   "is missing: old_key_until says how long its key is accepted");
		return;
	}
	if (!t->old_key_until_s) {
		nx_complain_member(
			rd, s, "old_key_until",
			"is missing: until when is the old key accepted? right is \"2026-12-24 12:00\"");
		return;
	}
	if (!strcmp(t->old_private_key_file, t->private_key_file))
		nx_complain_member(
			rd, s, "old_private_key_file",
			"is the file of private_key_file; right is the file of the key the server had before");
	for (size_t i = rep->n_files; i-- > 0;) {
		if (rep->files[i].old_key) {
			rep->files[i].until_s = t->old_key_until_s;
			break;
		}
	}
}

static void check_server(struct nx_reader *rd, const config_setting_t *s,
			 struct nx_tunnel_config *t)
{
	struct user_key *keys = calloc(t->n_users + 1, sizeof(*keys));

	if (!keys) {
		rd->no_memory = true;
		return;
	}
	if (t->n_addresses == 0)
		nx_complain_member(rd, s, "addresses",
				   "is empty; the interface needs at least one address");
	if (!t->server_names || !t->server_names[0])
		nx_complain_member(rd, s, "server_names",
				   "is empty; right is at least one name of the cover site");
	check_old_key(rd, s, t);
	check_user_names(rd, s, t, keys);
	check_groups(rd, s, t, keys);
	check_user_addresses(rd, s, t);
	check_overlaps(rd, s, t);
	for (size_t i = 0; i < t->n_users; i++)
		nx_id_add(&t->by_short_id, &t->users[i].by_short_id, t->users[i].short_id);
	free(keys);
}

void nx_config_check_tunnel(struct nx_reader *rd, const config_setting_t *s,
			    struct nx_tunnel_config *t)
{
	if (t->keepalive_s >= t->idle_timeout_s)
		nx_complain_member(
			rd, s, "keepalive_s",
			"%u is not below idle_timeout_s (%u): the tunnel would idle out first",
			t->keepalive_s, t->idle_timeout_s);
	if (!strcmp(t->congestion, NX_FIXED_RATE) && !t->fixed_rate_mbit)
		nx_complain_member(rd, s, "congestion",
				   "\"%s\" needs a rate: fixed_rate_mbit = 100;", NX_FIXED_RATE);
	if (strcmp(t->congestion, NX_FIXED_RATE) && t->fixed_rate_mbit)
		nx_complain_member(rd, s, "fixed_rate_mbit",
				   "is for congestion = \"%s\" alone, not for \"%s\"",
				   NX_FIXED_RATE, t->congestion);
	if (t->role == NX_ROLE_SERVER)
		check_server(rd, s, t);
}

static void check_listen(struct nx_reader *rd, const config_setting_t *s,
			 const struct nx_tunnel_config *a, const struct nx_tunnel_config *b)
{
	char buf[NX_ADDR_STRLEN];

	for (size_t i = 0; i < a->n_listen; i++)
		for (size_t k = 0; k < b->n_listen; k++)
			if (nx_endpoint_collides(&a->listen[i], &b->listen[k]))
				nx_complain_member(rd, s, "listen",
						   "%s is also listened on by tunnel.%s",
						   nx_endpoint_format(&b->listen[k], buf), a->name);
}

void nx_config_check_all(struct nx_reader *rd, const config_setting_t *tunnels,
			 const struct nx_config *c)
{
	for (size_t i = 0; i < c->n_tunnels; i++) {
		const config_setting_t *s = config_setting_get_elem(tunnels, (unsigned int)i);
		const struct nx_tunnel_config *t = c->tunnels[i];

		for (size_t k = 0; k < i; k++) {
			if (!strcmp(c->tunnels[k]->interface, t->interface))
				nx_complain_member(rd, s, "interface",
						   "\"%s\" is also the interface of tunnel.%s",
						   t->interface, c->tunnels[k]->name);
			check_listen(rd, s, c->tunnels[k], t);
		}
	}
}

/* ---- comparison ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool nx_user_roams(const struct nx_tunnel_config *t, const struct nx_user_config *u)
{
	return u->roaming == NX_CHOICE_NONE ? t->roaming : u->roaming == NX_CHOICE_YES;
}

bool nx_user_config_equal(const struct nx_user_config *a, const struct nx_user_config *b)
{
	return same_text(a->name, b->name) && !memcmp(a->public_key, b->public_key, 32) &&
	       a->short_id == b->short_id &&
	       same_text(a->preshared_key_file, b->preshared_key_file) &&
	       same_text(a->group, b->group) && a->roaming == b->roaming &&
	       nx_prefix_list_equal(a->addresses, a->n_addresses, b->addresses, b->n_addresses) &&
	       nx_prefix_list_equal(a->allowed_ips, a->n_allowed_ips, b->allowed_ips,
				    b->n_allowed_ips);
}

static bool same_endpoints(const struct nx_tunnel_config *a, const struct nx_tunnel_config *b)
{
	if (a->n_listen != b->n_listen)
		return false;
	for (size_t i = 0; i < a->n_listen; i++)
		if (!nx_endpoint_equal(&a->listen[i], &b->listen[i]))
			return false;
	return true;
}

static bool same_keys(const struct nx_tunnel_config *a, const struct nx_tunnel_config *b)
{
	return same_text(a->private_key_file, b->private_key_file) &&
	       same_text(a->old_private_key_file, b->old_private_key_file) &&
	       a->old_key_until_s == b->old_key_until_s;
}

bool nx_tunnel_config_equal_but_users(const struct nx_tunnel_config *a,
				      const struct nx_tunnel_config *b)
{
	return same_text(a->name, b->name) && a->role == b->role &&
	       same_text(a->interface, b->interface) &&
	       (a->role == NX_ROLE_SERVER || same_keys(a, b)) && a->mtu == b->mtu &&
	       a->keepalive_s == b->keepalive_s && a->idle_timeout_s == b->idle_timeout_s &&
	       nx_texts_equal(a->ciphers, b->ciphers) && same_text(a->congestion, b->congestion) &&
	       a->fixed_rate_mbit == b->fixed_rate_mbit && a->fwmark == b->fwmark &&
	       same_text(a->insecure_keylog_file, b->insecure_keylog_file) &&
	       same_text(a->endpoint, b->endpoint) && same_text(a->server_name, b->server_name) &&
	       !memcmp(a->server_public_key, b->server_public_key, 32) &&
	       a->short_id == b->short_id &&
	       same_text(a->preshared_key_file, b->preshared_key_file) &&
	       a->autoconnect == b->autoconnect && a->rekey_interval_s == b->rekey_interval_s &&
	       nx_prefix_list_equal(a->allowed_ips, a->n_allowed_ips, b->allowed_ips,
				    b->n_allowed_ips) &&
	       same_endpoints(a, b) && same_text(a->cover, b->cover) &&
	       nx_texts_equal(a->server_names, b->server_names) &&
	       nx_prefix_list_equal(a->addresses, a->n_addresses, b->addresses, b->n_addresses) &&
	       nx_prefix_list_equal(a->routes, a->n_routes, b->routes, b->n_routes) &&
	       nx_texts_equal(a->dns, b->dns) && nx_texts_equal(a->dns_domains, b->dns_domains) &&
	       a->time_window_s == b->time_window_s &&
	       a->max_session_age_s == b->max_session_age_s &&
	       !memcmp(&a->relay, &b->relay, sizeof(a->relay)) &&
	       !memcmp(&a->gate, &b->gate, sizeof(a->gate));
}

bool nx_tunnel_config_equal(const struct nx_tunnel_config *a, const struct nx_tunnel_config *b)
{
	if (!nx_tunnel_config_equal_but_users(a, b) || !same_keys(a, b) ||
	    a->roaming != b->roaming || a->n_users != b->n_users)
		return false;
	for (size_t i = 0; i < a->n_users; i++)
		if (!nx_user_config_equal(&a->users[i], &b->users[i]))
			return false;
	return true;
}
