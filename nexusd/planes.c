// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two data planes: what they can do, whether they are there, and which one dco_mode picks.
 *
 * The kernel module counts as available when its family is there, speaks our ABI version, and has told
 * its capabilities. One of another version, older or newer, is named and left alone.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "lib/log.h"
#include "tunnel-internal.h"

static struct nx_data_plane_info *info_of(struct nx_manager *m, const struct nx_dp *d)
{
	return &m->data_planes[d->kernel ? NX_PLANE_KERNEL : NX_PLANE_USER];
}

static __attribute__((format(printf, 2, 3))) void unavailable(struct nx_data_plane_info *info,
							      const char *fmt, ...)
{
	va_list ap;

	info->available = false;
	va_start(ap, fmt);
	vsnprintf(info->reason, sizeof(info->reason), fmt, ap);
	va_end(ap);
}

/* Whatever came of it. */
static void looked(struct nx_manager *m)
{
	m->priv->looking = false;
	if (m->priv->adopting)
		nx_adopt_looked(m);
	else if (m->priv->started)
		nx_tunnels_plane_changed(m);
}

static void foreign(struct nx_manager *m, uint32_t version)
{
	struct nx_data_plane_info *info = &m->data_planes[NX_PLANE_KERNEL];

	info->abi_version = version;
	unavailable(info,
		    "kernel module speaks ABI version %u, this nexusd %u: use those of one release",
		    version, NQD_GENL_VERSION);
	nx_log_full(LOG_WARNING, "KernelModuleRefused", NULL, "%s", info->reason);
}

/* ---- capabilities ---- */

static void copy_text(char *out, size_t cap, const struct nxa *a)
{
	snprintf(out, cap, "%s", a->present ? nxa_str(a) : "");
}

static void take_caps(struct nx_data_plane_info *info, const struct nxa *nest,
		      const struct nxa *caps)
{
	const uint8_t *pos = NULL;
	struct nxa a;

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
	       nxa_next(nest->data, nest->len, NQD_A_CAPS_CIPHER, &pos, &a))
		info->ciphers[info->n_ciphers++] = nxa_u16(&a);
	info->available = info->abi_version == NQD_GENL_VERSION;
	info->reason[0] = '\0';
}

static int parse_caps(struct nx_data_plane_info *info, const struct nx_chan_msg *msg)
{
	struct nxa tb[NQD_A_MAX + 1], caps[NQD_A_CAPS_MAX + 1];
	struct nxm_error e = {};
	int r;

	r = nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e);
	if (!r)
		r = nxa_require(tb, &nqd_top_set, NQD_A_CAPS, &e);
	if (!r)
		r = nxa_parse_nest(&tb[NQD_A_CAPS], &nqd_caps_set, caps, msg->buf, &e);
	if (!r)
		take_caps(info, &tb[NQD_A_CAPS], caps);
	else
		unavailable(info, "capabilities not understood: %.90s", e.text);
	return r;
}

static void on_user_caps(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_manager *m = userdata;
	struct nx_data_plane_info *info = &m->data_planes[NX_PLANE_USER];

	if (msg)
		(void)parse_caps(info, msg);
	else if (err)
		unavailable(info, "%.120s", text[0] ? text : strerror(-err));
}

/* The first answer decides whether it is used; tunnels hear of it then. */
static void on_kernel_caps(void *userdata, const struct nx_chan_msg *msg, int err, const char *text)
{
	struct nx_manager *m = userdata;
	struct nx_data_plane_info *info = &m->data_planes[NX_PLANE_KERNEL];
	struct nx_dp *d = &m->priv->planes[NX_PLANE_KERNEL];

	if (msg) {
		(void)parse_caps(info, msg);
		return;
	}
	if (err)
		unavailable(info, "kernel module does not answer: %.90s",
			    text[0] ? text : strerror(-err));
	else if (!info->available && !info->reason[0])
		foreign(m, info->abi_version);
	if (err == -EPIPE)
		return; /* gone: that is told elsewhere */
	if (info->available)
		nx_log_full(LOG_NOTICE, "KernelModuleFound", NULL,
			    "kernel module %s is there, ABI version %u", info->release,
			    info->abi_version);
	else
		nx_dp_close(d);
	looked(m);
}

/* ---- they come and go ---- */

void nx_planes_up(struct nx_manager *m, struct nx_dp *d)
{
	unavailable(info_of(m, d), "no answer yet");
	(void)nx_dp_get_caps(d, d->kernel ? on_kernel_caps : on_user_caps, m);
}

void nx_planes_down(struct nx_manager *m, struct nx_dp *d)
{
	unavailable(info_of(m, d),
		    d->kernel ? "kernel module was unloaded" : "nexus-dp is not running");
}

/* ---- the kernel module ---- */

static void on_found(void *userdata, uint32_t version)
{
	struct nx_manager *m = userdata;
	int r;

	m->data_planes[NX_PLANE_KERNEL].abi_version = version;
	if (version != NQD_GENL_VERSION) {
		foreign(m, version);
		looked(m);
		return;
	}
	/* Nobody asked; somebody has loaded it for another reason. */
	if (m->config && m->config->dco_mode == NX_DCO_DISABLED)
		return;
	r = nx_genl_use(m->priv->genl);
	if (r) {
		unavailable(&m->data_planes[NX_PLANE_KERNEL], "kernel module cannot be used: %s",
			    strerror(-r));
		looked(m);
	}
}

static void on_absent(void *userdata)
{
	struct nx_manager *m = userdata;

	unavailable(&m->data_planes[NX_PLANE_KERNEL], "kernel module not loaded");
	looked(m);
}

static void on_gone(void *userdata)
{
	struct nx_manager *m = userdata;

	unavailable(&m->data_planes[NX_PLANE_KERNEL], "kernel module was unloaded");
	/* Also one that nobody used. */
	looked(m);
}

bool nx_planes_look(struct nx_manager *m)
{
	struct nx_data_plane_info *info = &m->data_planes[NX_PLANE_KERNEL];
	struct nx_manager_private *p = m->priv;
	int r;

	if (m->config->dco_mode == NX_DCO_DISABLED)
		return false;
	if (p->looking || nx_dp_connected(&p->planes[NX_PLANE_KERNEL]))
		return p->looking;
	p->looking = true;
	r = nx_genl_find(p->genl);
	if (!r)
		return true;
	p->looking = false;
	/* One that was known and not used, because dco_mode was "disabled" or its version another. */
	if (r == -EALREADY && info->abi_version == NQD_GENL_VERSION && nx_genl_use(p->genl) == 0) {
		p->looking = true;
		return true;
	}
	if (r != -EALREADY)
		unavailable(info, "kernel module cannot be looked for: %s", strerror(-r));
	return false;
}

/* ---- choice ---- */

struct nx_dp *nx_planes_choose(struct nx_manager *m, char *reason, size_t cap)
{
	const struct nx_data_plane_info *kernel = &m->data_planes[NX_PLANE_KERNEL];

	reason[0] = '\0';
	switch (m->config->dco_mode) {
	case NX_DCO_DISABLED:
		snprintf(reason, cap, "dco_mode is \"disabled\"");
		return &m->priv->planes[NX_PLANE_USER];
	case NX_DCO_PREFERRED:
		if (kernel->available)
			break;
		snprintf(reason, cap, "%s", kernel->reason);
		return &m->priv->planes[NX_PLANE_USER];
	case NX_DCO_REQUIRED:
		if (kernel->available)
			break;
		snprintf(reason, cap, "dco_mode is \"required\", but: %s", kernel->reason);
		return NULL;
	}
	return &m->priv->planes[NX_PLANE_KERNEL];
}

void nx_planes_mode_changed(struct nx_manager *m)
{
	/* If it has to be looked for first, tunnels change when that is known. */
	if (!nx_planes_look(m))
		nx_tunnels_plane_changed(m);
}

/* ---- life ---- */

int nx_planes_init(struct nx_manager *m, const struct nx_genl_io *io)
{
	static const struct nx_genl_ops genl_ops = { on_found, on_absent, on_gone };
	struct nx_manager_private *p = m->priv;

	nx_dp_init(&p->planes[NX_PLANE_USER], m->event, "nexus-dp", false, &nx_control_dp_ops, m);
	nx_dp_init(&p->planes[NX_PLANE_KERNEL], m->event, NQD_GENL_NAME, true, &nx_control_dp_ops,
		   m);
	m->n_data_planes = NX_PLANES;
	for (unsigned int i = 0; i < NX_PLANES; i++)
		m->data_planes[i].name = p->planes[i].name;
	unavailable(&m->data_planes[NX_PLANE_USER], "nexus-dp is not running");
	unavailable(&m->data_planes[NX_PLANE_KERNEL], "kernel module not looked for");
	return nx_genl_new(&p->planes[NX_PLANE_KERNEL], io, &genl_ops, m, &p->genl);
}

void nx_planes_free(struct nx_manager *m)
{
	for (unsigned int i = 0; i < NX_PLANES; i++)
		nx_dp_close(&m->priv->planes[i]);
	nx_genl_free(m->priv->genl);
	m->priv->genl = NULL;
}
