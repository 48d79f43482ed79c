// SPDX-License-Identifier: GPL-2.0-or-later
/* Fetching the model: one GetManagedObjects, then GetStatistics of what is up. See model.h. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/texts.h"
#include "model.h"

#define TUNNEL(property, key, type, member)                                \
	{                                                                  \
		property, key, type, offsetof(struct model_tunnel, member) \
	}
#define PEER(property, key, type, member)                                \
	{                                                                \
		property, key, type, offsetof(struct model_peer, member) \
	}

const struct model_field model_tunnel_fields[] = {
	TUNNEL("Name", "name", 's', name),
	TUNNEL("Role", "role", 's', role),
	TUNNEL("State", "state", 's', state),
	TUNNEL("StateReason", "state_reason", 's', reason),
	TUNNEL("StateText", "state_text", 's', text),
	TUNNEL("DataPlane", "data_plane", 's', data_plane),
	TUNNEL("DataPlaneReason", "data_plane_reason", 's', data_plane_reason),
	TUNNEL("Interface", "interface", 's', interface),
	TUNNEL("Endpoint", "endpoint", 's', endpoint),
	TUNNEL("LocalEndpoint", "local_endpoint", 's', local_endpoint),
	TUNNEL("Addresses", "addresses", 'a', addresses),
	TUNNEL("Routes", "routes", 'a', routes),
	TUNNEL("Dns", "dns", 'a', dns),
	TUNNEL("DnsDomains", "dns_domains", 'a', dns_domains),
	TUNNEL("RevokedUsers", "revoked_users", 'a', revoked_users),
	TUNNEL("Mtu", "mtu", 'u', mtu),
	TUNNEL("Cipher", "cipher", 's', cipher),
	TUNNEL("Congestion", "congestion", 's', congestion),
	TUNNEL("KeyExchange", "key_exchange", 's', key_exchange),
	TUNNEL("PresharedKey", "preshared_key", 'b', preshared_key),
	TUNNEL("ConnectedSince", "connected_since", 't', connected_since),
	TUNNEL("LastHandshake", "last_handshake", 't', last_handshake),
	TUNNEL("CoverAddress", "cover_address", 's', cover_address),
	TUNNEL("CoverState", "cover_state", 's', cover_state),
	TUNNEL("CoverLearnt", "cover_learnt", 't', cover_learnt),
	{ NULL },
};

const struct model_field model_peer_fields[] = {
	PEER("User", "user", 's', user),
	PEER("Endpoint", "endpoint", 's', endpoint),
	PEER("Addresses", "addresses", 'a', addresses),
	PEER("Cipher", "cipher", 's', cipher),
	PEER("KeyExchange", "key_exchange", 's', key_exchange),
	PEER("PresharedKey", "preshared_key", 'b', preshared_key),
	PEER("ConnectedSince", "connected_since", 't', connected_since),
	PEER("OldServerKey", "old_server_key", 'b', old_server_key),
	PEER("LastHandshake", "last_handshake", 't', last_handshake),
	{ NULL },
};

/* ---- structures ---- */

static void *field(const struct model_field *f, void *object)
{
	return (char *)object + f->offset;
}

static void fields_free(const struct model_field *f, void *object)
{
	for (; f->property; f++) {
		if (f->type == 's')
			free(*(char **)field(f, object));
		else if (f->type == 'a')
			nx_texts_free(*(char ***)field(f, object));
	}
}

/* No string is NULL once an object is read. */
static int fields_fill(const struct model_field *f, void *object)
{
	for (; f->property; f++) {
		char **s = field(f, object);

		if (f->type != 's' || *s)
			continue;
		*s = strdup("");
		if (!*s)
			return -ENOMEM;
	}
	return 0;
}

void model_stats_free(struct model_stats *stats)
{
	for (size_t i = 0; i < stats->n; i++)
		free(stats->stats[i].name);
	free(stats->stats);
	memset(stats, 0, sizeof(*stats));
}

static void peer_free(struct model_peer *p)
{
	fields_free(model_peer_fields, p);
	model_stats_free(&p->stats);
	free(p->path);
}

static void tunnel_free(struct model_tunnel *t)
{
	for (size_t i = 0; i < t->n_peers; i++)
		peer_free(&t->peers[i]);
	free(t->peers);
	fields_free(model_tunnel_fields, t);
	model_stats_free(&t->stats);
	model_stats_free(&t->earlier);
	free(t->path);
}

void model_free(struct model *m)
{
	for (size_t i = 0; i < m->n_tunnels; i++)
		tunnel_free(&m->tunnels[i]);
	free(m->tunnels);
	memset(m, 0, sizeof(*m));
}

/* ---- reading properties ---- */

static int read_field(sd_bus_message *m, const struct model_field *f, void *object)
{
	void *to = field(f, object);
	const char *s;
	char *copy;
	int r;

	switch (f->type) {
	case 's':
		r = sd_bus_message_read(m, "v", "s", &s);
		if (r < 0)
			return r;
		copy = strdup(s);
		if (!copy)
			return -ENOMEM;
		free(*(char **)to);
		*(char **)to = copy;
		return 0;
	case 'a':
		r = sd_bus_message_enter_container(m, 'v', "as");
		if (r < 0)
			return r;
		nx_texts_free(*(char ***)to);
		*(char ***)to = NULL;
		r = sd_bus_message_read_strv(m, to);
		return r < 0 ? r : sd_bus_message_exit_container(m);
	case 'b':
		return sd_bus_message_read(m, "v", "b", to);
	case 'u':
		return sd_bus_message_read(m, "v", "u", to);
	default:
		return sd_bus_message_read(m, "v", "t", to);
	}
}

/* An a{sv}; properties that are not in @fields are skipped. */
static int read_fields(sd_bus_message *m, const struct model_field *fields, void *object)
{
	const struct model_field *f;
	const char *name;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &name);
		if (r < 0)
			return r;
		for (f = fields; f->property && strcmp(f->property, name); f++)
			;
		r = f->property ? read_field(m, f, object) : sd_bus_message_skip(m, "v");
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(m);
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(m);
	return r < 0 ? r : fields_fill(fields, object);
}

/* ---- reading objects ---- */

/* Room for one more element, zeroed. NULL if out of memory. */
static void *append(void *array, size_t *n, size_t size)
{
	char **p = array, *grown = reallocarray(*p, *n + 1, size);

	if (!grown)
		return NULL;
	*p = grown;
	grown += *n * size;
	memset(grown, 0, size);
	(*n)++;
	return grown;
}

static int read_tunnel(sd_bus_message *m, const char *path, struct model *model)
{
	struct model_tunnel *t = append(&model->tunnels, &model->n_tunnels, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->path = strdup(path);
	if (!t->path)
		return -ENOMEM;
	return read_fields(m, model_tunnel_fields, t);
}

struct peer_list {
	struct model_peer *peers;
	size_t n;
};

static int read_peer(sd_bus_message *m, const char *path, struct peer_list *list)
{
	struct model_peer *p = append(&list->peers, &list->n, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->path = strdup(path);
	if (!p->path)
		return -ENOMEM;
	return read_fields(m, model_peer_fields, p);
}

/* The interfaces of one object: a{sa{sv}}. */
static int read_object(sd_bus_message *m, const char *path, struct model *model,
		       struct peer_list *peers)
{
	const char *interface;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		r = sd_bus_message_read(m, "s", &interface);
		if (r < 0)
			return r;
		if (!strcmp(interface, CTL_IFACE_TUNNEL))
			r = read_tunnel(m, path, model);
		else if (!strcmp(interface, CTL_IFACE_PEER))
			r = read_peer(m, path, peers);
		else
			r = sd_bus_message_skip(m, "a{sv}");
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_objects(sd_bus_message *m, struct model *model, struct peer_list *peers)
{
	const char *path;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
		r = sd_bus_message_read(m, "o", &path);
		if (r >= 0)
			r = read_object(m, path, model, peers);
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(m);
	}
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct model_tunnel *)a)->name,
		      ((const struct model_tunnel *)b)->name);
}

static int by_user(const void *a, const void *b)
{
	const struct model_peer *p = a, *q = b;
	int c = strcmp(p->user, q->user);

	return c ? c : strcmp(p->path, q->path);
}

/* Give every peer to the tunnel whose path its own begins with; the list is empty afterwards. */
static int adopt_peers(struct model *model, struct peer_list *list)
{
	for (size_t i = 0; i < model->n_tunnels; i++) {
		struct model_tunnel *t = &model->tunnels[i];
		size_t len = strlen(t->path), left = 0;

		for (size_t k = 0; k < list->n; k++) {
			struct model_peer *to, p = list->peers[k];

			if (strncmp(p.path, t->path, len) || strncmp(p.path + len, "/peer/", 6)) {
				to = &list->peers[left++];
			} else {
				to = append(&t->peers, &t->n_peers, sizeof(*to));
				if (!to)
					return -ENOMEM;
			}
			/* Moved, so that whoever frees what is left frees it once. */
			memset(&list->peers[k], 0, sizeof(p));
			*to = p;
		}
		list->n = left;
		if (t->n_peers)
			qsort(t->peers, t->n_peers, sizeof(*t->peers), by_user);
	}
	return 0;
}

int model_fetch(sd_bus *bus, struct model *model)
{
	struct peer_list peers = { NULL };
	sd_bus_message *reply = NULL;
	int r, code;

	memset(model, 0, sizeof(*model));
	code = ctl_bus_call(bus, CTL_PATH, "org.freedesktop.DBus.ObjectManager",
			    "GetManagedObjects", NULL, &reply, NULL);
	if (code != CTL_OK)
		return code;
	r = read_objects(reply, model, &peers);
	if (r >= 0)
		r = adopt_peers(model, &peers);
	if (r >= 0 && model->n_tunnels)
		qsort(model->tunnels, model->n_tunnels, sizeof(*model->tunnels), by_name);
	for (size_t i = 0; i < peers.n; i++)
		peer_free(&peers.peers[i]);
	free(peers.peers);
	sd_bus_message_unref(reply);
	if (r < 0) {
		model_free(model);
		return ctl_bus_bad_reply(r);
	}
	return CTL_OK;
}

/* ---- statistics ---- */

static int read_stats(sd_bus_message *m, struct model_stats *stats)
{
	const char *name;
	uint64_t value;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		struct model_stat *s;

		r = sd_bus_message_read(m, "s", &name);
		if (r >= 0)
			r = sd_bus_message_read(m, "v", "t", &value);
		if (r < 0)
			return r;
		s = append(&stats->stats, &stats->n, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->name = strdup(name);
		if (!s->name)
			return -ENOMEM;
		s->value = value;
		r = sd_bus_message_exit_container(m);
	}
	return r;
}

int model_fetch_stats(sd_bus *bus, const char *path, const char *interface,
		      struct model_stats *stats)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	struct timespec now;
	int r;

	model_stats_free(stats);
	if (ctl_bus_call(bus, path, interface, "GetStatistics", NULL, &reply, &error) != CTL_OK) {
		/* It may have gone down, or away, since the list was fetched. */
		bool gone = sd_bus_error_has_name(&error, CTL_BUS_NAME ".Error.NotConnected") ||
			    sd_bus_error_has_name(&error, CTL_BUS_NAME ".Error.Failed") ||
			    sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT);

		r = gone ? CTL_OK : ctl_bus_report(&error, -sd_bus_error_get_errno(&error));
		sd_bus_error_free(&error);
		return r;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	r = read_stats(reply, stats);
	sd_bus_message_unref(reply);
	if (r < 0) {
		model_stats_free(stats);
		return ctl_bus_bad_reply(r);
	}
	stats->valid = true;
	stats->at_us = now.tv_sec * UINT64_C(1000000) + now.tv_nsec / 1000;
	return CTL_OK;
}

bool model_is_post_quantum(const char *key_exchange)
{
	return strstr(key_exchange, "MLKEM") != NULL;
}

uint64_t model_stat(const struct model_stats *stats, const char *name)
{
	for (size_t i = 0; i < stats->n; i++) {
		if (!strcmp(stats->stats[i].name, name))
			return stats->stats[i].value;
	}
	return 0;
}
