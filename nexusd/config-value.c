// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Readers of single configuration values: each checks the type and the meaning of one setting,
 * stores it, and otherwise complains with what would be right. Called through the tables in
 * config.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/keytext.h"
#include "config-internal.h"
#include "prefix.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
/* One's own web server on the same machine, as docs/cover.md sets it up. */
#define OWN_SITE "own-site"
#define OWN_SITE_ADDRESS "127.0.0.1:8443"
/* Elements of one list: what the handshake's capsules and the data plane can carry. */
#define LIST_MAX 128

/* ---- complaints ---- */

/* "tunnel.office.users[2].name": from the root down, without recursion. */
static void setting_path(const config_setting_t *s, char *buf, size_t cap)
{
	const config_setting_t *chain[16];
	size_t n = 0, len = 0;

	buf[0] = '\0';
	for (; s && s->parent && n < 16; s = s->parent)
		chain[n++] = s;
	while (n--) {
		const config_setting_t *e = chain[n];

		if (len >= cap)
			return;
		if (e->name)
			len += (size_t)snprintf(buf + len, cap - len, "%s%s", len ? "." : "",
						e->name);
		else
			len += (size_t)snprintf(buf + len, cap - len, "[%d]",
						config_setting_index(e));
	}
}

__attribute__((format(printf, 4, 0))) static void add_error(struct nx_reader *rd,
							    const config_setting_t *at,
							    const char *setting, const char *fmt,
							    va_list ap)
{
	struct nx_config_report *rep = rd->report;
	const char *file = config_setting_source_file(at);
	char line[NX_CONFIG_ERROR_LEN];
	char **grown;
	int n;

	n = snprintf(line, sizeof(line), "%s:%u: %s%s", file ? file : rep->path,
		     config_setting_source_line(at), setting, *setting ? ": " : "");
	if (n >= 0 && (size_t)n < sizeof(line))
		vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	/* One complaint is one line, whatever the file quotes. */
	for (char *s = line; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	grown = reallocarray(rep->errors, rep->n_errors + 1, sizeof(*grown));
	if (!grown) {
		rd->no_memory = true;
		return;
	}
	rep->errors = grown;
	grown[rep->n_errors] = strdup(line);
	if (grown[rep->n_errors])
		rep->n_errors++;
	else
		rd->no_memory = true;
}

void nx_complain(struct nx_reader *rd, const config_setting_t *s, const char *fmt, ...)
{
	char setting[256];
	va_list ap;

	setting_path(s, setting, sizeof(setting));
	va_start(ap, fmt);
	add_error(rd, s, setting, fmt, ap);
	va_end(ap);
}

void nx_complain_member(struct nx_reader *rd, const config_setting_t *group, const char *name,
			const char *fmt, ...)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	char setting[256];
	size_t len;
	va_list ap;

	setting_path(group, setting, sizeof(setting));
	len = strlen(setting);
	snprintf(setting + len, sizeof(setting) - len, "%s%s", len ? "." : "", name);
	va_start(ap, fmt);
	add_error(rd, s ? s : group, setting, fmt, ap);
	va_end(ap);
}

/* ---- groups ---- */

static const struct nx_setting *find_setting(const struct nx_setting *table, size_t n,
					     const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

void nx_read_group(struct nx_reader *rd, const config_setting_t *group,
		   const struct nx_setting *table, size_t n, enum nx_value_role role, void *base)
{
	int members = config_setting_length(group);

	for (int i = 0; i < members; i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned int)i);
		const struct nx_setting *d = find_setting(table, n, s->name);

		if (!d)
			nx_complain(rd, s, "unknown setting; nexus.conf(5) lists all settings");
		else if (!(d->role & role))
			nx_complain(rd, s, "belongs to a tunnel with role = \"%s\"",
				    d->role == NX_FOR_CLIENT ? "client" : "server");
		else
			d->read(rd, s, &d->rule, (char *)base + d->offset,
				(size_t *)((char *)base + d->rule.count_offset));
	}
	for (size_t i = 0; i < n; i++)
		if (table[i].required && (table[i].role & role) &&
		    !config_setting_get_member(group, table[i].name))
			nx_complain_member(rd, group, table[i].name, "is missing");
}

/* ---- scalars ---- */

static const char *need_string(struct nx_reader *rd, const config_setting_t *s, const char *example)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return config_setting_get_string(s);
	nx_complain(rd, s, "must be a string in double quotes, such as %s", example);
	return NULL;
}

static void store_string(struct nx_reader *rd, void *field, const char *v)
{
	char **f = field;

	free(*f);
	*f = strdup(v);
	if (!*f)
		rd->no_memory = true;
}

void nx_value_role(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	/* Read by config.c before everything else, because the other settings depend on it. */
}

void nx_value_bool(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		nx_complain(rd, s, "must be true or false, without quotes");
	else
		*(bool *)field = config_setting_get_bool(s);
}

void nx_value_choice(struct nx_reader *rd, const config_setting_t *s,
		     const struct nx_value_rule *rule, void *field, size_t *count)
{
	bool value = false;

	nx_value_bool(rd, s, rule, &value, count);
	*(enum nx_choice *)field = value ? NX_CHOICE_YES : NX_CHOICE_NO;
}

void nx_value_u32(struct nx_reader *rd, const config_setting_t *s, const struct nx_value_rule *rule,
		  void *field, size_t *count)
{
	int type = config_setting_type(s);
	long long v;

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
		nx_complain(rd, s, "must be a number from %u to %u, without quotes", rule->min,
			    rule->max);
		return;
	}
	v = type == CONFIG_TYPE_INT ? config_setting_get_int(s) : config_setting_get_int64(s);
	/* A hexadecimal mark above 0x7fffffff comes back negative from an int. */
	if (type == CONFIG_TYPE_INT && v < 0 && config_setting_get_format(s) == CONFIG_FORMAT_HEX)
		v &= 0xffffffff;
	if (v < rule->min || v > rule->max)
		nx_complain(rd, s, "%lld is out of range; right is %u to %u", v, rule->min,
			    rule->max);
	else
		*(uint32_t *)field = (uint32_t)v;
}

void nx_value_name(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"alice\"");
	size_t len = v ? strlen(v) : 0;

	if (!v)
		return;
	if (len < 1 || len > rule->max || v[strspn(v, NAME_CHARS ".@")])
		nx_complain(rd, s,
			    "\"%.64s\" is not a name; right is 1 to %u of a-z A-Z 0-9 _ - . @", v,
			    rule->max);
	else
		store_string(rd, field, v);
}

void nx_value_interface(struct nx_reader *rd, const config_setting_t *s,
			const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"nexus0\"");
	size_t len = v ? strlen(v) : 0;

	if (!v)
		return;
	if (len < 1 || len >= IFNAMSIZ || v[strspn(v, NAME_CHARS ".")] || !strcmp(v, ".") ||
	    !strcmp(v, "..") || !strcmp(v, "all") || !strcmp(v, "default"))
		nx_complain(
			rd, s,
			"\"%.64s\" is not an interface name; right is 1 to %d of a-z A-Z 0-9 _ - .",
			v, IFNAMSIZ - 1);
	else
		store_string(rd, field, v);
}

void nx_value_key(struct nx_reader *rd, const config_setting_t *s, const struct nx_value_rule *rule,
		  void *field, size_t *count)
{
	const char *v = need_string(rd, s, "the output of nexusctl pubkey");

	if (v && nx_key_decode(v, field) < 0)
		nx_complain(
			rd, s,
			"is not a public key; right are 44 characters of base64 as nexusctl pubkey prints them");
}

void nx_value_short_id(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"0123456789abcdef\"");

	if (v && nx_short_id_decode(v, field) < 0)
		nx_complain(
			rd, s,
			"\"%.64s\" is not a short id; right are 16 hexadecimal digits, not all zero",
			v);
}

static void remember_file(struct nx_reader *rd, const config_setting_t *s,
			  const struct nx_config_file *f)
{
	struct nx_config_report *rep = rd->report;
	struct nx_config_file *grown;
	char setting[256];

	setting_path(s, setting, sizeof(setting));
	grown = reallocarray(rep->files, rep->n_files + 1, sizeof(*grown));
	if (!grown) {
		rd->no_memory = true;
		return;
	}
	rep->files = grown;
	grown[rep->n_files] = *f;
	grown[rep->n_files].setting = strdup(setting);
	grown[rep->n_files].line = config_setting_source_line(s);
	grown[rep->n_files].path = strdup(f->path);
	rep->n_files++;
}

/* The monitor opens it; the longest path its protocol carries is 255 bytes. */
static bool read_path(struct nx_reader *rd, const config_setting_t *s, void *field,
		      struct nx_config_file f)
{
	const char *v = need_string(rd, s, "\"/etc/nexus/office.key\"");

	if (!v)
		return false;
	if (v[0] != '/' || strlen(v) > 255) {
		nx_complain(rd, s, "\"%.64s\" is not an absolute path of at most 255 bytes", v);
		return false;
	}
	store_string(rd, field, v);
	f.path = (char *)v;
	remember_file(rd, s, &f);
	return true;
}

void nx_value_file(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	read_path(rd, s, field, (struct nx_config_file){});
}

void nx_value_old_key_file(struct nx_reader *rd, const config_setting_t *s,
			   const struct nx_value_rule *rule, void *field, size_t *count)
{
	read_path(rd, s, field, (struct nx_config_file){ .old_key = true });
}

void nx_value_time(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"2026-12-24 12:00\"");
	int r;

	if (!v)
		return;
	r = nx_time_parse(v, field);
	if (r == -ERANGE)
		nx_complain(rd, s, "\"%.64s\" does not exist: look at month, day, hour and minute",
			    v);
	else if (r)
		nx_complain(
			rd, s,
			"\"%.64s\" is no date and time; right is \"2026-12-24 12:00\" (local time) or \"2026-12-24T12:00:00+01:00\"",
			v);
}

void nx_value_keylog(struct nx_reader *rd, const config_setting_t *s,
		     const struct nx_value_rule *rule, void *field, size_t *count)
{
	if (!(rd->insecure & NX_INSECURE_KEYLOG))
		nx_complain(
			rd, s,
			"writes the keys of every session to a file; refused unless nexusd runs with --insecure-keylog");
	else
		read_path(rd, s, field, (struct nx_config_file){ .keylog = true });
}

static void store_hostport(struct nx_reader *rd, const config_setting_t *s, const char *v,
			   const char *right, void *field)
{
	char host[254];
	uint16_t port;

	if (nx_hostport_split(v, host, &port) < 0)
		nx_complain(rd, s, "\"%.64s\" is not host:port; right is %s", v, right);
	else
		store_string(rd, field, v);
}

void nx_value_hostport(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"vpn.example.org:443\"");

	if (v)
		store_hostport(rd, s, v,
			       "\"vpn.example.org:443\", \"192.0.2.1:443\" or "
			       "\"[2001:db8::1]:443\"",
			       field);
}

void nx_value_cover(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"own-site\" or \"www.example.org:443\"");

	if (!v)
		return;
	store_hostport(rd, s, strcmp(v, OWN_SITE) ? v : OWN_SITE_ADDRESS,
		       "\"own-site\", \"www.example.org:443\", \"192.0.2.1:443\" or "
		       "\"[2001:db8::1]:443\"",
		       field);
}

/* A DNS name: what a TLS server name may be. */
static bool is_host_name(const char *v)
{
	size_t len = strlen(v);
	struct in_addr a;

	if (len < 1 || len > 253 || v[0] == '.' || v[0] == '-' || v[len - 1] == '.')
		return false;
	if (v[strspn(v, NAME_CHARS ".")] || strstr(v, ".."))
		return false;
	return inet_pton(AF_INET, v, &a) != 1;
}

void nx_value_host(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"www.example.org\"");

	if (!v)
		return;
	if (!is_host_name(v))
		nx_complain(rd, s, "\"%.64s\" is not a host name; right is \"www.example.org\"", v);
	else
		store_string(rd, field, v);
}

void nx_value_congestion(struct nx_reader *rd, const config_setting_t *s,
			 const struct nx_value_rule *rule, void *field, size_t *count)
{
	const char *v = need_string(rd, s, "\"cubic\"");

	if (!v)
		return;
	if (!strcmp(v, NX_FIXED_RATE) && !(rd->insecure & NX_INSECURE_FIXED_RATE))
		nx_complain(
			rd, s,
			"\"%s\" sends at a set rate whatever is lost: a test only, refused in public mode, which is whenever nexusd runs without --insecure-fixed-rate",
			v);
	else if (strcmp(v, "cubic") && strcmp(v, "newreno") && strcmp(v, "bbr") &&
		 strcmp(v, NX_FIXED_RATE))
		nx_complain(rd, s,
			    "\"%.64s\" is unknown; right is \"cubic\", \"newreno\" or \"bbr\"", v);
	else
		store_string(rd, field, v);
}

/* 0 stands for "from the path" or "never". */
void nx_value_u32_or_0(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count)
{
	if (config_setting_type(s) == CONFIG_TYPE_INT && config_setting_get_int(s) == 0)
		*(uint32_t *)field = 0;
	else
		nx_value_u32(rd, s, rule, field, count);
}

/* ---- lists ---- */

/* Number of elements, or -1 after a complaint. */
static int list_length(struct nx_reader *rd, const config_setting_t *s, const char *example)
{
	int n;

	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		nx_complain(rd, s, "must be a list, such as %s", example);
		return -1;
	}
	n = config_setting_length(s);
	if (n > LIST_MAX) {
		nx_complain(rd, s, "has %d elements; at most %d are possible", n, LIST_MAX);
		return -1;
	}
	return n;
}

static const char *list_string(struct nx_reader *rd, const config_setting_t *s, int i,
			       const char *example)
{
	const config_setting_t *e = config_setting_get_elem(s, (unsigned int)i);

	if (config_setting_type(e) == CONFIG_TYPE_STRING)
		return config_setting_get_string(e);
	nx_complain(rd, s, "element %d must be a string in double quotes; right is %s", i + 1,
		    example);
	return NULL;
}

/* A NULL-terminated array of strings, each accepted by @ok. */
static void read_strings(struct nx_reader *rd, const config_setting_t *s, void *field,
			 bool (*ok)(const char *), const char *what, const char *example)
{
	int n = list_length(rd, s, example);
	char **v;

	if (n < 0)
		return;
	v = calloc((size_t)n + 1, sizeof(*v));
	if (!v) {
		rd->no_memory = true;
		return;
	}
	for (int i = 0, used = 0; i < n; i++) {
		const char *e = list_string(rd, s, i, example);

		if (!e)
			continue;
		if (!ok(e)) {
			nx_complain(rd, s, "\"%.64s\" is not %s; right is %s", e, what, example);
			continue;
		}
		v[used] = strdup(e);
		if (!v[used])
			rd->no_memory = true;
		else
			used++;
	}
	*(char ***)field = v;
}

void nx_value_hosts(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count)
{
	read_strings(rd, s, field, is_host_name, "a host name", "[ \"www.example.org\" ]");
}

static bool is_cipher(const char *v)
{
	return !strcmp(v, "aes-128-gcm") || !strcmp(v, "aes-256-gcm") ||
	       !strcmp(v, "chacha20-poly1305");
}

void nx_value_ciphers(struct nx_reader *rd, const config_setting_t *s,
		      const struct nx_value_rule *rule, void *field, size_t *count)
{
	read_strings(rd, s, field, is_cipher, "a cipher",
		     "\"aes-128-gcm\", \"aes-256-gcm\" or \"chacha20-poly1305\"");
}

static bool is_address(const char *v)
{
	uint8_t a[16];

	return inet_pton(AF_INET, v, a) == 1 || inet_pton(AF_INET6, v, a) == 1;
}

void nx_value_dns(struct nx_reader *rd, const config_setting_t *s, const struct nx_value_rule *rule,
		  void *field, size_t *count)
{
	read_strings(rd, s, field, is_address, "an address", "[ \"10.66.0.1\" ]");
}

static void read_prefixes(struct nx_reader *rd, const config_setting_t *s,
			  const struct nx_value_rule *rule, void *field, size_t *count,
			  const char *example)
{
	int n = list_length(rd, s, example);
	struct nx_prefix *v, net;
	char buf[NX_ADDR_STRLEN];
	size_t used = 0;

	if (n <= 0)
		return;
	v = calloc((size_t)n, sizeof(*v));
	if (!v) {
		rd->no_memory = true;
		return;
	}
	for (int i = 0; i < n; i++) {
		const char *e = list_string(rd, s, i, example);

		if (!e)
			continue;
		if (nx_prefix_parse(e, &v[used]) < 0) {
			nx_complain(rd, s, "\"%.64s\" is not an address or network; right is %s", e,
				    example);
			continue;
		}
		net = nx_prefix_network(&v[used]);
		if (rule->network && !nx_prefix_equal(&net, &v[used])) {
			nx_complain(rd, s,
				    "\"%.64s\" has bits behind its prefix length; right is \"%s\"",
				    e, nx_prefix_format(&net, buf));
			continue;
		}
		if (nx_prefix_list_has(v, used, &v[used]))
			nx_complain(rd, s, "\"%.64s\" stands there twice", e);
		else
			used++;
	}
	*(struct nx_prefix **)field = v;
	*count = used;
}

void nx_value_prefixes(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count)
{
	read_prefixes(rd, s, rule, field, count, "[ \"10.66.0.0/24\", \"fd66::/64\" ]");
}

void nx_value_addresses(struct nx_reader *rd, const config_setting_t *s,
			const struct nx_value_rule *rule, void *field, size_t *count)
{
	read_prefixes(rd, s, rule, field, count, "[ \"10.66.0.1/24\", \"fd66::1/64\" ]");
}

void nx_value_endpoints(struct nx_reader *rd, const config_setting_t *s,
			const struct nx_value_rule *rule, void *field, size_t *count)
{
	static const char example[] = "[ \"0.0.0.0:443\", \"[::]:443\" ]";
	int n = list_length(rd, s, example);
	struct nx_endpoint *v;
	size_t used = 0;

	if (n < 0)
		return;
	if (n == 0 || n > (int)rule->max) {
		nx_complain(rd, s, "has %d addresses; right are 1 to %u", n, rule->max);
		return;
	}
	v = calloc((size_t)n, sizeof(*v));
	if (!v) {
		rd->no_memory = true;
		return;
	}
	for (int i = 0; i < n; i++) {
		const char *e = list_string(rd, s, i, example);

		if (!e)
			continue;
		if (nx_endpoint_parse(e, &v[used]) < 0) {
			nx_complain(rd, s, "\"%.64s\" is not address:port; right is %s", e,
				    example);
			continue;
		}
		for (size_t k = 0; k < used; k++)
			if (nx_endpoint_collides(&v[k], &v[used]))
				nx_complain(rd, s, "\"%.64s\" overlaps another address of the list",
					    e);
		used++;
	}
	*(struct nx_endpoint **)field = v;
	*count = used;
}
