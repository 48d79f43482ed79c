// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager: makes the tunnels match the configuration, knows the data planes, keeps the list of
 * stored descriptors.
 */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/family.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "config-internal.h"
#include "lib/log.h"
#include "tunnel-internal.h"

enum { PLANE_USER, PLANE_KERNEL };

uint64_t nx_random_id(void)
{
	uint64_t id = 0;

	while (!id)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	return id;
}

uint64_t nx_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct nx_tunnel *nx_manager_find_tunnel(struct nx_manager *m, const char *name)
{
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry)
		if (!strcmp(t->config->name, name))
			return t;
	return NULL;
}

/* ---- descriptors kept by the monitor ---- */

int nx_manager_claim(struct nx_manager *m, const char *fmt, ...)
{
	struct nx_stored *s;
	char name[96];
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	TAILQ_FOREACH (s, &m->priv->stored, entry) {
		if (strcmp(s->name, name))
			continue;
		TAILQ_REMOVE(&m->priv->stored, s, entry);
		fd = s->fd;
		free(s);
		return fd;
	}
	return -1;
}

void nx_manager_store(struct nx_manager *m, int fd, const char *fmt, ...)
{
	char name[96];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	r = nx_mon_store(&m->priv->mon, name, fd);
	if (r)
		nx_warn("descriptor %s cannot be stored: %s", name, strerror(-r));
}

void nx_manager_unstore(struct nx_manager *m, const char *fmt, ...)
{
	char name[96];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	(void)nx_mon_unstore(&m->priv->mon, name);
}

/* ---- data planes ---- */

/* Is the kernel module's family there? Its version as a side effect. */
static bool kernel_module_loaded(struct nx_data_plane_info *info)
{
	struct nl_sock *sk = nl_socket_alloc();
	struct genl_family *family;
	struct nl_cache *cache;
	bool found = false;

	if (!sk)
		return false;
	if (genl_connect(sk) == 0 && genl_ctrl_alloc_cache(sk, &cache) == 0) {
		family = genl_ctrl_search_by_name(cache, NQD_GENL_NAME);
		if (family) {
			info->abi_version = genl_family_get_version(family);
			genl_family_put(family);
			found = true;
		}
		nl_cache_free(cache);
	}
	nl_socket_free(sk);
	return found;
}

static void probe_kernel(struct nx_data_plane_info *info)
{
	info->name = "nexus_quic_dco";
	info->available = false;
	if (kernel_module_loaded(info))
		snprintf(info->reason, sizeof(info->reason),
			 "kernel data plane not supported by this release (module ABI %u)",
			 info->abi_version);
	else
		snprintf(info->reason, sizeof(info->reason), "kernel module not loaded");
}

static void copy_text(char *out, size_t cap, const struct nxa *a)
{
	snprintf(out, cap, "%s", a->present ? nxa_str(a) : "");
}

static void on_caps(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_manager *m = userdata;
	struct nx_data_plane_info *info = &m->data_planes[PLANE_USER];
	struct nxa tb[NQD_A_MAX + 1], caps[NQD_A_CAPS_MAX + 1], a;
	const uint8_t *pos = NULL;
	struct nxm_error e;

	if (!msg) {
		if (err)
			snprintf(info->reason, sizeof(info->reason), "%s",
				 text[0] ? text : strerror(-err));
		return;
	}
	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) < 0 ||
	    !tb[NQD_A_CAPS].present ||
	    nxa_parse_nest(&tb[NQD_A_CAPS], &nqd_caps_set, caps, msg->buf, &e) < 0)
		return;
	info->abi_version =
		caps[NQD_A_CAPS_ABI_VERSION].present ? nxa_u32(&caps[NQD_A_CAPS_ABI_VERSION]) : 0;
	copy_text(info->release, sizeof(info->release), &caps[NQD_A_CAPS_RELEASE]);
	copy_text(info->provider, sizeof(info->provider), &caps[NQD_A_CAPS_CRYPTO_PROVIDER]);
	info->udp_gso = caps[NQD_A_CAPS_UDP_GSO].present;
	info->udp_gro = caps[NQD_A_CAPS_UDP_GRO].present;
	info->tun_tso = caps[NQD_A_CAPS_TUN_TSO].present;
	info->tun_uso = caps[NQD_A_CAPS_TUN_USO].present;
	info->n_ciphers = 0;
	while (info->n_ciphers < sizeof(info->ciphers) / sizeof(info->ciphers[0]) &&
	       nxa_next(tb[NQD_A_CAPS].data, tb[NQD_A_CAPS].len, NQD_A_CAPS_CIPHER, &pos, &a))
		info->ciphers[info->n_ciphers++] = nxa_u16(&a);
	info->available = true;
	info->reason[0] = '\0';
}

void nx_manager_probe_data_planes(struct nx_manager *m)
{
	struct nx_data_plane_info *user = &m->data_planes[PLANE_USER];

	m->n_data_planes = 2;
	user->name = "nexus-dp";
	user->available = false;
	snprintf(user->reason, sizeof(user->reason), "nexus-dp is not running");
	probe_kernel(&m->data_planes[PLANE_KERNEL]);
	if (nx_dp_connected(&m->priv->dp))
		(void)nx_dp_get_caps(&m->priv->dp, on_caps, m);
}

int nx_manager_choose_data_plane(struct nx_manager *m, struct nx_tunnel *t)
{
	const struct nx_data_plane_info *kernel = &m->data_planes[PLANE_KERNEL];

	t->data_plane = m->data_planes[PLANE_USER].name;
	switch (m->config->dco_mode) {
	case NX_DCO_DISABLED:
		snprintf(t->data_plane_reason, sizeof(t->data_plane_reason),
			 "dco_mode is \"disabled\"");
		return 0;
	case NX_DCO_PREFERRED:
		snprintf(t->data_plane_reason, sizeof(t->data_plane_reason), "%.120s",
			 kernel->reason);
		return 0;
	case NX_DCO_REQUIRED:
		break;
	}
	t->data_plane = "";
	snprintf(t->data_plane_reason, sizeof(t->data_plane_reason),
		 "dco_mode is \"required\", but: %.90s", kernel->reason);
	return -EOPNOTSUPP;
}

/* ---- configuration ---- */

static struct nx_tunnel_config *take_tunnel(struct nx_config *c, const char *name)
{
	for (size_t i = 0; i < c->n_tunnels; i++) {
		struct nx_tunnel_config *t = c->tunnels[i];

		if (t && !strcmp(t->name, name)) {
			c->tunnels[i] = NULL;
			return t;
		}
	}
	return NULL;
}

/* The mode concerns every tunnel that runs or failed because of it. */
static void apply_dco_mode(struct nx_manager *m, enum nx_dco_mode old)
{
	struct nx_tunnel *t;

	if (old == m->config->dco_mode)
		return;
	TAILQ_FOREACH (t, &m->tunnels, entry) {
		if (nx_manager_choose_data_plane(m, t) < 0 && t->priv->wanted)
			nx_tunnel_fail(t, NX_REASON_DATA_PLANE_LOST, t->data_plane_reason);
	}
}

void nx_manager_apply_config(struct nx_manager *m, struct nx_config *c)
{
	enum nx_dco_mode old_mode = m->config ? m->config->dco_mode : c->dco_mode;
	struct nx_tunnel *t, *next;

	nx_config_free(m->config);
	m->config = c;
	for (t = TAILQ_FIRST(&m->tunnels); t; t = next) {
		struct nx_tunnel_config *tc = take_tunnel(c, t->config->name);

		next = TAILQ_NEXT(t, entry);
		if (tc)
			nx_tunnel_reconfigure(t, tc);
		else
			nx_tunnel_remove(t);
	}
	for (size_t i = 0; i < c->n_tunnels; i++) {
		if (!c->tunnels[i])
			continue;
		t = nx_tunnel_new(m, c->tunnels[i]);
		c->tunnels[i] = NULL;
		if (!t)
			nx_err("out of memory");
		else if (m->priv->started &&
			 (t->config->role == NX_ROLE_SERVER || t->config->autoconnect))
			(void)nx_tunnel_connect(t);
	}
	/* The tunnels own their parts now. */
	free(c->tunnels);
	c->tunnels = NULL;
	c->n_tunnels = 0;
	apply_dco_mode(m, old_mode);
}

int nx_manager_reload(struct nx_manager *m, char *error, size_t error_len)
{
	struct nx_config *c;
	int r;

	if (m->priv->stopping || m->priv->adopting) {
		snprintf(error, error_len, "nexusd is %s; try again",
			 m->priv->stopping ? "stopping" : "starting");
		return -EBUSY;
	}
	r = nx_config_load(m->config_file, m->priv->insecure, &c, error, error_len);
	if (r)
		return -EINVAL;
	probe_kernel(&m->data_planes[PLANE_KERNEL]);
	nx_manager_apply_config(m, c);
	nx_log_full(LOG_NOTICE, "Reloaded", NULL, "configuration reloaded");
	return 0;
}
