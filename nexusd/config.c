// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration file: tables of settings, and the walk from the text to plain structures. All
 * complaints are collected; nothing is returned unless there is none. config-value.c reads the
 * single values, config-cross.c checks what concerns several of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/texts.h"
#include "config-internal.h"
#include "prefix.h"

#define DEFAULT_IDLE_TIMEOUT_S 120
#define DEFAULT_TIME_WINDOW_S 90
#define DEFAULT_REKEY_INTERVAL_S 7200
#define DEFAULT_RELAY                                                               \
	{                                                                           \
		.max_flows = 1024, .max_flows_per_site = 256, .idle_timeout_s = 60, \
		.max_rate_mbit = 100,                                               \
	}
#define DEFAULT_MAX_AUTH_PER_S 4000
#define DEFAULT_MAX_AUTH_PER_SITE_PER_S 200

#define T(member) offsetof(struct nx_tunnel_config, member)
#define U(member) offsetof(struct nx_user_config, member)
#define G(member) offsetof(struct nx_gate_config, member)

static const struct nx_setting tunnel_settings[] = {
	{ "role", NX_FOR_BOTH, true, nx_value_role, T(role), {} },
	{ "interface", NX_FOR_BOTH, true, nx_value_interface, T(interface), {} },
	{ "private_key_file", NX_FOR_BOTH, true, nx_value_file, T(private_key_file), {} },
	{ "mtu", NX_FOR_BOTH, false, nx_value_u32_or_0, T(mtu), { .min = 576, .max = 65000 } },
	{ "keepalive_s", NX_FOR_BOTH, false, nx_value_u32, T(keepalive_s), { .max = 3600 } },
	{ "idle_timeout_s",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  T(idle_timeout_s),
	  { .min = 5, .max = 86400 } },
	{ "ciphers", NX_FOR_BOTH, false, nx_value_ciphers, T(ciphers), {} },
	{ "congestion", NX_FOR_BOTH, false, nx_value_congestion, T(congestion), {} },
	{ "fixed_rate_mbit",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  T(fixed_rate_mbit),
	  { .min = 1, .max = 100000 } },
	{ "fwmark", NX_FOR_BOTH, false, nx_value_u32, T(fwmark), { .min = 1, .max = UINT32_MAX } },
	{ "insecure_keylog_file",
	  NX_FOR_BOTH,
	  false,
	  nx_value_keylog,
	  T(insecure_keylog_file),
	  {} },

	{ "endpoint", NX_FOR_CLIENT, true, nx_value_hostport, T(endpoint), {} },
	{ "server_name", NX_FOR_CLIENT, true, nx_value_host, T(server_name), {} },
	{ "server_public_key", NX_FOR_CLIENT, true, nx_value_key, T(server_public_key), {} },
	{ "short_id", NX_FOR_CLIENT, true, nx_value_short_id, T(short_id), {} },
	{ "preshared_key_file", NX_FOR_CLIENT, false, nx_value_file, T(preshared_key_file), {} },
	{ "autoconnect", NX_FOR_CLIENT, false, nx_value_bool, T(autoconnect), {} },
	{ "rekey_interval_s",
	  NX_FOR_CLIENT,
	  false,
	  nx_value_u32_or_0,
	  T(rekey_interval_s),
	  { .min = 5, .max = 604800 } },
	{ "allowed_ips",
	  NX_FOR_CLIENT,
	  false,
	  nx_value_prefixes,
	  T(allowed_ips),
	  { .network = true, .count_offset = T(n_allowed_ips) } },

	{ "listen",
	  NX_FOR_SERVER,
	  true,
	  nx_value_endpoints,
	  T(listen),
	  { .max = 7, .count_offset = T(n_listen) } },
	{ "old_private_key_file",
	  NX_FOR_SERVER,
	  false,
	  nx_value_old_key_file,
	  T(old_private_key_file),
	  {} },
	{ "old_key_until", NX_FOR_SERVER, false, nx_value_time, T(old_key_until_s), {} },
	{ "cover", NX_FOR_SERVER, true, nx_value_cover, T(cover), {} },
	{ "server_names", NX_FOR_SERVER, true, nx_value_hosts, T(server_names), {} },
	{ "addresses",
	  NX_FOR_SERVER,
	  true,
	  nx_value_addresses,
	  T(addresses),
	  { .count_offset = T(n_addresses) } },
	{ "routes",
	  NX_FOR_SERVER,
	  false,
	  nx_value_prefixes,
	  T(routes),
	  { .network = true, .count_offset = T(n_routes) } },
	{ "dns", NX_FOR_SERVER, false, nx_value_dns, T(dns), {} },
	{ "dns_domains", NX_FOR_SERVER, false, nx_value_hosts, T(dns_domains), {} },
	{ "time_window_s",
	  NX_FOR_SERVER,
	  false,
	  nx_value_u32,
	  T(time_window_s),
	  { .min = 5, .max = 3600 } },
	{ "roaming", NX_FOR_SERVER, false, nx_value_bool, T(roaming), {} },
	{ "max_session_age_s",
	  NX_FOR_SERVER,
	  false,
	  nx_value_u32_or_0,
	  T(max_session_age_s),
	  { .min = 10, .max = 2592000 } },
	{ "relay", NX_FOR_SERVER, false, nx_value_relay, T(relay), {} },
	{ "gate", NX_FOR_SERVER, false, nx_value_gate, T(gate), {} },
	{ "users", NX_FOR_SERVER, false, nx_value_users, T(users), { .count_offset = T(n_users) } },
};

#define R(member) offsetof(struct nx_relay_config, member)

static const struct nx_setting relay_settings[] = {
	{ "max_flows", NX_FOR_BOTH, false, nx_value_u32, R(max_flows), { .min = 1, .max = 8192 } },
	{ "max_flows_per_site",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  R(max_flows_per_site),
	  { .min = 1, .max = 8192 } },
	{ "idle_timeout_s",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  R(idle_timeout_s),
	  { .min = 1, .max = 3600 } },
	{ "max_rate_mbit",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  R(max_rate_mbit),
	  { .min = 1, .max = 100000 } },
};

static const struct nx_setting gate_settings[] = {
	{ "max_auth_per_s",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  G(max_auth_per_s),
	  { .min = 1, .max = 1000000 } },
	{ "max_auth_per_site_per_s",
	  NX_FOR_BOTH,
	  false,
	  nx_value_u32,
	  G(max_auth_per_site_per_s),
	  { .min = 1, .max = 1000000 } },
};

static const struct nx_setting user_settings[] = {
	{ "name", NX_FOR_BOTH, true, nx_value_name, U(name), { .max = 63 } },
	{ "public_key", NX_FOR_BOTH, true, nx_value_key, U(public_key), {} },
	{ "short_id", NX_FOR_BOTH, true, nx_value_short_id, U(short_id), {} },
	{ "addresses",
	  NX_FOR_BOTH,
	  true,
	  nx_value_prefixes,
	  U(addresses),
	  { .network = true, .count_offset = U(n_addresses) } },
	{ "allowed_ips",
	  NX_FOR_BOTH,
	  false,
	  nx_value_prefixes,
	  U(allowed_ips),
	  { .network = true, .count_offset = U(n_allowed_ips) } },
	{ "group", NX_FOR_BOTH, false, nx_value_name, U(group), { .max = 63 } },
	{ "roaming", NX_FOR_BOTH, false, nx_value_choice, U(roaming), {} },
	{ "preshared_key_file", NX_FOR_BOTH, false, nx_value_file, U(preshared_key_file), {} },
};

#define N(table) (sizeof(table) / sizeof((table)[0]))

void nx_value_relay(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count)
{
	if (!config_setting_is_group(s))
		nx_complain(rd, s, "must be a group: relay = { max_flows = 1024; };");
	else
		nx_read_group(rd, s, relay_settings, N(relay_settings), NX_FOR_BOTH, field);
}

void nx_value_gate(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	if (!config_setting_is_group(s))
		nx_complain(rd, s, "must be a group: gate = { max_auth_per_s = 2000; };");
	else
		nx_read_group(rd, s, gate_settings, N(gate_settings), NX_FOR_BOTH, field);
}

/* More than this is no configuration but a mistake; the data plane has a limit of its own. */
#define USERS_MAX 10000

void nx_value_users(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count)
{
	struct nx_user_config *users;
	int n;

	if (!config_setting_is_list(s)) {
		nx_complain(rd, s, "must be a list of users: ( { name = ...; }, { ... } )");
		return;
	}
	n = config_setting_length(s);
	if (n > USERS_MAX) {
		nx_complain(rd, s, "has %d users; at most %d are possible", n, USERS_MAX);
		return;
	}
	if (n == 0)
		return;
	users = calloc((size_t)n, sizeof(*users));
	if (!users) {
		rd->no_memory = true;
		return;
	}
	*(struct nx_user_config **)field = users;
	*count = (size_t)n;
	for (int i = 0; i < n; i++) {
		const config_setting_t *u = config_setting_get_elem(s, (unsigned int)i);

		if (!config_setting_is_group(u))
			nx_complain(rd, u, "must be a group: { name = ...; public_key = ...; }");
		else
			nx_read_group(rd, u, user_settings, N(user_settings), NX_FOR_BOTH,
				      &users[i]);
	}
}

static bool valid_tunnel_name(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= 31 &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_-")];
}

/* The role decides which settings belong. Returns 0 after a complaint. */
static enum nx_value_role read_role(struct nx_reader *rd, const config_setting_t *s,
				    struct nx_tunnel_config *t)
{
	const char *role;

	if (!config_setting_get_member(s, "role")) {
		nx_complain_member(rd, s, "role", "is missing; right is \"client\" or \"server\"");
		return 0;
	}
	if (!config_setting_lookup_string(s, "role", &role))
		role = "";
	if (!strcmp(role, "client")) {
		t->role = NX_ROLE_CLIENT;
		return NX_FOR_CLIENT;
	}
	if (!strcmp(role, "server")) {
		t->role = NX_ROLE_SERVER;
		return NX_FOR_SERVER;
	}
	nx_complain_member(rd, s, "role", "must be \"client\" or \"server\"");
	return 0;
}

static void read_tunnel(struct nx_reader *rd, const config_setting_t *s, struct nx_tunnel_config *t)
{
	enum nx_value_role role;
	size_t before = rd->report->n_errors;

	if (!valid_tunnel_name(s->name))
		nx_complain(rd, s, "is not a tunnel name; right is 1 to 31 of a-z A-Z 0-9 _ -");
	t->name = strdup(s->name);
	t->congestion = strdup("cubic");
	if (!t->name || !t->congestion)
		rd->no_memory = true;
	t->line = config_setting_source_line(s);
	t->idle_timeout_s = DEFAULT_IDLE_TIMEOUT_S;
	t->time_window_s = DEFAULT_TIME_WINDOW_S;
	t->roaming = true;
	t->rekey_interval_s = DEFAULT_REKEY_INTERVAL_S;
	t->relay = (struct nx_relay_config)DEFAULT_RELAY;
	t->gate.max_auth_per_s = DEFAULT_MAX_AUTH_PER_S;
	t->gate.max_auth_per_site_per_s = DEFAULT_MAX_AUTH_PER_SITE_PER_S;
	if (!config_setting_is_group(s)) {
		nx_complain(rd, s, "must be a group: %s = { role = ...; };", s->name);
		return;
	}
	role = read_role(rd, s, t);
	if (!role)
		return;
	nx_read_group(rd, s, tunnel_settings, N(tunnel_settings), role, t);
	/* Checks across settings need settings that are right by themselves. */
	if (rd->report->n_errors == before && !rd->no_memory)
		nx_config_check_tunnel(rd, s, t);
}

static void read_dco_mode(struct nx_reader *rd, const config_setting_t *s, struct nx_config *c)
{
	static const char *const names[] = {
		[NX_DCO_DISABLED] = "disabled",
		[NX_DCO_PREFERRED] = "preferred",
		[NX_DCO_REQUIRED] = "required",
	};
	const char *v = config_setting_get_string(s);

	for (size_t i = 0; v && i < N(names); i++) {
		if (!strcmp(v, names[i])) {
			c->dco_mode = (enum nx_dco_mode)i;
			return;
		}
	}
	nx_complain(rd, s, "must be \"disabled\", \"preferred\" or \"required\"");
}

static void read_tunnels(struct nx_reader *rd, const config_setting_t *s, struct nx_config *c)
{
	int n;

	if (!config_setting_is_group(s)) {
		nx_complain(rd, s, "must be a group of tunnels: tunnel = { office = { ... }; };");
		return;
	}
	n = config_setting_length(s);
	c->tunnels = calloc((size_t)n + 1, sizeof(struct nx_tunnel_config *));
	if (!c->tunnels) {
		rd->no_memory = true;
		return;
	}
	for (int i = 0; i < n; i++) {
		struct nx_tunnel_config *t = calloc(1, sizeof(*t));

		if (!t) {
			rd->no_memory = true;
			return;
		}
		c->tunnels[c->n_tunnels++] = t;
		read_tunnel(rd, config_setting_get_elem(s, (unsigned int)i), t);
	}
	if (rd->report->n_errors == 0 && !rd->no_memory)
		nx_config_check_all(rd, s, c);
}

static void read_root(struct nx_reader *rd, const config_setting_t *root, struct nx_config *c)
{
	const config_setting_t *tunnels = NULL;
	int n = config_setting_length(root);

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(root, (unsigned int)i);

		if (!strcmp(s->name, "dco_mode"))
			read_dco_mode(rd, s, c);
		else if (!strcmp(s->name, "tunnel"))
			tunnels = s;
		else
			nx_complain(rd, s, "unknown setting; right are dco_mode and tunnel");
	}
	if (tunnels)
		read_tunnels(rd, tunnels, c);
	else
		nx_complain_member(rd, root, "tunnel",
				   "is missing; right is tunnel = { NAME = { role = ...; }; };");
}

static void syntax_error(struct nx_config_report *report, const config_t *cfg)
{
	const char *file = config_error_file(cfg);
	char line[NX_CONFIG_ERROR_LEN];

	snprintf(line, sizeof(line), "%s:%d: %s", file ? file : report->path,
		 config_error_line(cfg), config_error_text(cfg));
	report->errors = calloc(1, sizeof(char *));
	if (report->errors)
		report->errors[0] = strdup(line);
	report->n_errors = report->errors && report->errors[0];
}

int nx_config_parse(const char *text, struct nx_config_report *report, unsigned int insecure,
		    struct nx_config **out)
{
	struct nx_reader rd = { .report = report, .insecure = insecure };
	struct nx_config *c = calloc(1, sizeof(*c));
	char *dir = strdup(report->path);
	config_t cfg;
	int r = -EINVAL;

	*out = NULL;
	config_init(&cfg);
	if (!c || !dir) {
		r = -ENOMEM;
		goto out;
	}
	c->dco_mode = NX_DCO_PREFERRED;
	config_set_include_dir(&cfg, dirname(dir));
	if (!config_read_string(&cfg, text)) {
		syntax_error(report, &cfg);
		goto out;
	}
	read_root(&rd, config_root_setting(&cfg), c);
	if (rd.no_memory)
		r = -ENOMEM;
	else if (report->n_errors == 0)
		r = 0;
out:
	config_destroy(&cfg);
	free(dir);
	if (r)
		nx_config_free(c);
	else
		*out = c;
	return r;
}

/* The whole file as a string, at most NX_CONFIG_MAX_BYTES. */
static int read_text(const char *path, char **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t len = 0;
	struct stat st;
	char *buf;
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return -errno;
	buf = malloc(NX_CONFIG_MAX_BYTES + 1);
	if (!buf)
		r = -ENOMEM;
	else if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	while (!r && len <= NX_CONFIG_MAX_BYTES) {
		n = read(fd, buf + len, NX_CONFIG_MAX_BYTES + 1 - len);
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (!r && len > NX_CONFIG_MAX_BYTES)
		r = -EFBIG;
	if (!r && memchr(buf, 0, len))
		r = -EINVAL;
	if (r) {
		free(buf);
		return r;
	}
	buf[len] = '\0';
	*text = buf;
	return 0;
}

int nx_config_load_report(const char *path, unsigned int insecure, struct nx_config_report *report,
			  struct nx_config **out)
{
	char line[NX_CONFIG_ERROR_LEN];
	char *text = NULL;
	int r;

	*out = NULL;
	report->path = path;
	r = read_text(path, &text);
	if (r == 0) {
		r = nx_config_parse(text, report, insecure, out);
		free(text);
		return r;
	}
	snprintf(line, sizeof(line), "%s: %s", path,
		 r == -EINVAL ? "is not a text file" : strerror(-r));
	report->errors = calloc(1, sizeof(char *));
	if (report->errors)
		report->errors[0] = strdup(line);
	report->n_errors = report->errors && report->errors[0];
	return r;
}

int nx_config_load(const char *path, unsigned int insecure, struct nx_config **out, char *error,
		   size_t error_len)
{
	struct nx_config_report report = {};
	int r = nx_config_load_report(path, insecure, &report, out);

	if (r)
		snprintf(error, error_len, "%s", report.n_errors ? report.errors[0] : strerror(-r));
	nx_config_report_free(&report);
	return r;
}

void nx_config_report_free(struct nx_config_report *report)
{
	for (size_t i = 0; i < report->n_errors; i++)
		free(report->errors[i]);
	free(report->errors);
	for (size_t i = 0; i < report->n_files; i++) {
		free(report->files[i].setting);
		free(report->files[i].path);
	}
	free(report->files);
	memset(report, 0, sizeof(*report));
}

static void free_user(struct nx_user_config *u)
{
	free(u->name);
	free(u->preshared_key_file);
	free(u->addresses);
	free(u->allowed_ips);
	free(u->group);
}

void nx_tunnel_config_free(struct nx_tunnel_config *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_users; i++) {
		if (t->by_short_id.n)
			nx_id_remove(&t->by_short_id, &t->users[i].by_short_id);
		free_user(&t->users[i]);
	}
	free(t->users);
	free(t->name);
	free(t->interface);
	free(t->private_key_file);
	free(t->old_private_key_file);
	nx_texts_free(t->ciphers);
	free(t->congestion);
	free(t->insecure_keylog_file);
	free(t->endpoint);
	free(t->server_name);
	free(t->preshared_key_file);
	free(t->allowed_ips);
	free(t->listen);
	free(t->cover);
	nx_texts_free(t->server_names);
	free(t->addresses);
	free(t->routes);
	nx_texts_free(t->dns);
	nx_texts_free(t->dns_domains);
	free(t);
}

const struct nx_user_config *nx_config_user(const struct nx_tunnel_config *t, uint64_t short_id)
{
	struct nx_id_node *node = nx_id_first(&t->by_short_id, short_id);

	return node ? (void *)((char *)node - offsetof(struct nx_user_config, by_short_id)) : NULL;
}

void nx_config_free(struct nx_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_tunnels; i++)
		nx_tunnel_config_free(c->tunnels[i]);
	free(c->tunnels);
	free(c);
}
