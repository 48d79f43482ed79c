// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `nexusctl status --json`. The schema is documented in nexusctl(1): fields are added, never
 * renamed or removed, while "schema" is 1.
 */
#include <string.h>

#include "json.h"
#include "status.h"

#define KEY_MAX 64

/* "abi-version" -> "abi_version": keys that scripts can use without quoting. */
static const char *key_of(const char *name, char key[KEY_MAX])
{
	size_t i;

	for (i = 0; name[i] && i + 1 < KEY_MAX; i++)
		key[i] = name[i] == '-' ? '_' : name[i];
	key[i] = '\0';
	return key;
}

/* A variant of a data plane's dictionary: b, u, t, s or as. */
static int print_variant(struct json *j, const char *key, sd_bus_message *m)
{
	const char *type, *s;
	uint64_t u64;
	uint32_t u32;
	char kind;
	int r, b;

	r = sd_bus_message_peek_type(m, &kind, &type);
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(m, 'v', type);
	if (r < 0)
		return r;
	if (!strcmp(type, "b") && (r = sd_bus_message_read(m, "b", &b)) >= 0) {
		json_bool(j, key, b);
	} else if (!strcmp(type, "u") && (r = sd_bus_message_read(m, "u", &u32)) >= 0) {
		json_u64(j, key, u32);
	} else if (!strcmp(type, "t") && (r = sd_bus_message_read(m, "t", &u64)) >= 0) {
		json_u64(j, key, u64);
	} else if (!strcmp(type, "s") && (r = sd_bus_message_read(m, "s", &s)) >= 0) {
		json_string(j, key, s);
	} else if (!strcmp(type, "as")) {
		json_open(j, key, '[');
		r = sd_bus_message_enter_container(m, 'a', "s");
		while (r >= 0 && (r = sd_bus_message_read(m, "s", &s)) > 0)
			json_string(j, NULL, s);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		json_close(j, ']');
	} else if (r >= 0) {
		r = sd_bus_message_skip(m, type);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Inside the variant of DataPlanes: a{sa{sv}}. */
static int print_data_planes(struct json *j, sd_bus_message *m)
{
	char key[KEY_MAX];
	const char *name;
	int r;

	json_open(j, "data_planes", '{');
	r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		r = sd_bus_message_read(m, "s", &name);
		if (r < 0)
			return r;
		json_open(j, name, '{');
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
		while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
			r = sd_bus_message_read(m, "s", &name);
			if (r >= 0)
				r = print_variant(j, key_of(name, key), m);
			if (r >= 0)
				r = sd_bus_message_exit_container(m);
		}
		json_close(j, '}');
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	json_close(j, '}');
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* GetAll of the manager. */
static int print_manager(struct json *j, sd_bus_message *m)
{
	static const struct {
		const char *property, *key;
	} strings[] = { { "Version", "version" },
			{ "ConfigFile", "config_file" },
			{ "DcoMode", "dco_mode" } };
	const char *name;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		const char *key = NULL;

		r = sd_bus_message_read(m, "s", &name);
		if (r < 0)
			return r;
		for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
			if (!strcmp(strings[i].property, name))
				key = strings[i].key;
		}
		if (!strcmp(name, "DataPlanes")) {
			r = sd_bus_message_enter_container(m, 'v', "a{sa{sv}}");
			if (r >= 0)
				r = print_data_planes(j, m);
			if (r >= 0)
				r = sd_bus_message_exit_container(m);
		} else {
			r = key ? print_variant(j, key, m) : sd_bus_message_skip(m, "v");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

static void print_fields(struct json *j, const struct model_field *f, const void *object)
{
	for (; f->property; f++) {
		const void *from = (const char *)object + f->offset;

		if (f->type == 's')
			json_string(j, f->key, *(char *const *)from);
		else if (f->type == 'a')
			json_strings(j, f->key, *(char **const *)from);
		else if (f->type == 'b')
			json_bool(j, f->key, *(const int *)from);
		else if (f->type == 'u')
			json_u64(j, f->key, *(const uint32_t *)from);
		else
			json_u64(j, f->key, *(const uint64_t *)from);
	}
}

static void print_post_quantum(struct json *j, const char *key_exchange)
{
	if (key_exchange[0])
		json_bool(j, "post_quantum", model_is_post_quantum(key_exchange));
	else
		json_null(j, "post_quantum");
}

static void print_stats(struct json *j, const struct model_stats *stats)
{
	char key[KEY_MAX];

	if (!stats->valid) {
		json_null(j, "statistics");
		return;
	}
	json_open(j, "statistics", '{');
	for (size_t i = 0; i < stats->n; i++)
		json_u64(j, key_of(stats->stats[i].name, key), stats->stats[i].value);
	json_close(j, '}');
}

static void print_rates(struct json *j, const struct model_tunnel *t)
{
	double tx = status_rate(t, "l3-tx-bytes"), rx = status_rate(t, "l3-rx-bytes");

	if (tx < 0 || rx < 0) {
		json_null(j, "rates");
		return;
	}
	json_open(j, "rates", '{');
	json_u64(j, "tx_bits_per_s", tx);
	json_u64(j, "rx_bits_per_s", rx);
	json_u64(j, "interval_us", t->stats.at_us - t->earlier.at_us);
	json_close(j, '}');
}

static void print_tunnel(struct json *j, const struct model_tunnel *t)
{
	json_open(j, NULL, '{');
	print_fields(j, model_tunnel_fields, t);
	print_post_quantum(j, t->key_exchange);
	print_stats(j, &t->stats);
	print_rates(j, t);
	json_open(j, "peers", '[');
	for (size_t i = 0; i < t->n_peers; i++) {
		json_open(j, NULL, '{');
		print_fields(j, model_peer_fields, &t->peers[i]);
		print_post_quantum(j, t->peers[i].key_exchange);
		print_stats(j, &t->peers[i].stats);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

int status_print_json(const struct model *m, const char *name, sd_bus_message *manager)
{
	struct json j;
	int end, r;

	r = json_begin(&j);
	if (r < 0)
		return r;
	json_open(&j, NULL, '{');
	json_u64(&j, "schema", 1);
	r = print_manager(&j, manager);
	json_open(&j, "tunnels", '[');
	for (size_t i = 0; i < m->n_tunnels; i++) {
		if (!name || !strcmp(m->tunnels[i].name, name))
			print_tunnel(&j, &m->tunnels[i]);
	}
	json_close(&j, ']');
	json_close(&j, '}');
	end = json_end(&j, r >= 0);
	return r < 0 ? r : end;
}
