/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the configuration reader: the list of complaints, the files it names, and the readers of
 * single values (config-value.c) that config.c's tables of settings point to.
 */
#ifndef NX_CONFIG_INTERNAL_H
#define NX_CONFIG_INTERNAL_H

#include <libconfig.h>
#include "config.h"

#define NX_CONFIG_MAX_BYTES (1u << 20)
#define NX_CONFIG_ERROR_LEN 512

/* A file that the configuration names, for --check-config. */
struct nx_config_file {
	char *setting;
	unsigned int line;
	char *path;
	bool keylog; /* may be absent: it is created */
	bool old_key; /* must not hold the key of its neighbour private_key_file */
	uint64_t until_s; /* not needed from this time on; 0 = always needed */
};

struct nx_config_report {
	const char *path; /* of the configuration, for messages */
	char **errors; /* complete lines */
	size_t n_errors;
	struct nx_config_file *files;
	size_t n_files;
};

/* While reading: where complaints go and what they call the setting. */
struct nx_reader {
	struct nx_config_report *report;
	unsigned int insecure; /* enum nx_insecure */
	bool no_memory;
};

/* A complaint about @s ("file:line: path.of.setting: text"). */
void nx_complain(struct nx_reader *rd, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same about the member @name of @group, which may be missing. */
void nx_complain_member(struct nx_reader *rd, const config_setting_t *group, const char *name,
			const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Bounds and meaning for a reader; each uses what it needs. */
struct nx_value_rule {
	uint32_t min, max;
	bool network; /* prefixes: no host bits */
	size_t count_offset; /* lists: where the number of elements goes */
};

/* Read @s into @field. Complains by itself. */
typedef void (*nx_value_fn)(struct nx_reader *rd, const config_setting_t *s,
			    const struct nx_value_rule *rule, void *field, size_t *count);

enum nx_value_role { NX_FOR_CLIENT = 1, NX_FOR_SERVER = 2, NX_FOR_BOTH = 3 };

struct nx_setting {
	const char *name;
	enum nx_value_role role;
	bool required;
	nx_value_fn read;
	size_t offset;
	struct nx_value_rule rule;
};

/* Read every member of @group by @table; complain about unknown and missing ones. */
void nx_read_group(struct nx_reader *rd, const config_setting_t *group,
		   const struct nx_setting *table, size_t n, enum nx_value_role role, void *base);

void nx_value_role(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_bool(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
/* A bool that knows whether it was set: enum nx_choice. */
void nx_value_choice(struct nx_reader *rd, const config_setting_t *s,
		     const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_u32(struct nx_reader *rd, const config_setting_t *s, const struct nx_value_rule *rule,
		  void *field, size_t *count);
void nx_value_u32_or_0(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_name(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_interface(struct nx_reader *rd, const config_setting_t *s,
			const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_key(struct nx_reader *rd, const config_setting_t *s, const struct nx_value_rule *rule,
		  void *field, size_t *count);
void nx_value_short_id(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_file(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_old_key_file(struct nx_reader *rd, const config_setting_t *s,
			   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_time(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_keylog(struct nx_reader *rd, const config_setting_t *s,
		     const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_hostport(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count);
/* nx_value_hostport(), and "own-site" for the place docs/cover.md gives one's own web server. */
void nx_value_cover(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_host(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_hosts(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_ciphers(struct nx_reader *rd, const config_setting_t *s,
		      const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_congestion(struct nx_reader *rd, const config_setting_t *s,
			 const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_addresses(struct nx_reader *rd, const config_setting_t *s,
			const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_dns(struct nx_reader *rd, const config_setting_t *s, const struct nx_value_rule *rule,
		  void *field, size_t *count);
void nx_value_prefixes(struct nx_reader *rd, const config_setting_t *s,
		       const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_endpoints(struct nx_reader *rd, const config_setting_t *s,
			const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_relay(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_gate(struct nx_reader *rd, const config_setting_t *s,
		   const struct nx_value_rule *rule, void *field, size_t *count);
void nx_value_users(struct nx_reader *rd, const config_setting_t *s,
		    const struct nx_value_rule *rule, void *field, size_t *count);

/*
 * Parse configuration text. @report collects everything that is wrong; *@out is set only when
 * nothing is. 0, -EINVAL, -ENOMEM. Touches no file unless the text says @include.
 */
int nx_config_parse(const char *text, struct nx_config_report *report, unsigned int insecure,
		    struct nx_config **out);
/* What one tunnel alone cannot tell: names, addresses and ports that two use (config-cross.c). */
void nx_config_check_tunnel(struct nx_reader *rd, const config_setting_t *s,
			    struct nx_tunnel_config *t);
void nx_config_check_all(struct nx_reader *rd, const config_setting_t *tunnels,
			 const struct nx_config *c);
/* A tunnel taken out of its nx_config belongs to the tunnel object. */
void nx_tunnel_config_free(struct nx_tunnel_config *t);
/*
 * Everything but a server's users, their default for roaming and its keys alike? Then a reload can keep
 * the sessions of users that stay.
 */
bool nx_tunnel_config_equal_but_users(const struct nx_tunnel_config *a,
				      const struct nx_tunnel_config *b);
bool nx_user_config_equal(const struct nx_user_config *a, const struct nx_user_config *b);
void nx_config_report_free(struct nx_config_report *report);

/* Read the file and parse it, with all complaints in @report. */
int nx_config_load_report(const char *path, unsigned int insecure, struct nx_config_report *report,
			  struct nx_config **out);
/* Look at the files the configuration names: there, regular, not readable by others, and a key inside.
 * Adds to the report's errors (config-check.c).
 */
void nx_config_check_files(struct nx_config_report *report, const char *secret_dir);

/*
 * "2026-12-24 12:00", local time, or RFC 3339 without fractions ("2026-12-24T12:00:00+01:00"), as seconds
 * since 1970. 0; -EINVAL: something else; -ERANGE: no such date or time of day, or before 1970
 * (config-time.c).
 */
int nx_time_parse(const char *text, uint64_t *unix_time_s);

/* May sessions of this user move to another outer address? */
bool nx_user_roams(const struct nx_tunnel_config *t, const struct nx_user_config *u);

/* The number that stands for a group's name in the data plane; 0 for no group. */
uint32_t nx_group_id(const char *name);

#endif /* NX_CONFIG_INTERNAL_H */
