// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which data plane a tunnel is on, and what happens when that changes.
 *
 *   the module comes     a client that is connected moves its session (tunnel-move.c); one that is not
 *                        connects first. A server changes over when nobody is connected; with
 *                        dco_mode = "preferred" nobody is thrown out for it, and since its clients cannot
 *                        be told to shake hands anew, each moves when it does (tunnel-server-move.c)
 *   the module goes      its device and its sessions are gone with it. "preferred": the same addresses
 *                        and routes on nexus-dp's device at once, then a new handshake; "required": the
 *                        tunnel fails, and starts when the module is back
 *   the module refuses   a device or session: as if it were not there, for this tunnel, until it is
 *                        loaded anew
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/log.h"
#include "net-link.h"
#include "tunnel-internal.h"

struct nx_dp *nx_tunnel_wanted_plane(struct nx_tunnel *t, char *reason, size_t cap)
{
	struct nx_manager *m = t->manager;
	struct nx_dp *d = nx_planes_choose(m, reason, cap);

	if (!d || !d->kernel || !t->priv->plane_refused || m->config->dco_mode == NX_DCO_REQUIRED)
		return d;
	snprintf(reason, cap, "kernel module: %s", t->priv->refusal);
	return &m->priv->planes[NX_PLANE_USER];
}

void nx_tunnel_show_plane(struct nx_tunnel *t, const struct nx_dp *d, const char *reason)
{
	static char *names[] = { "DataPlane", "DataPlaneReason", NULL };
	const char *name = d ? d->name : "";

	if (!strcmp(t->data_plane, name) && !strcmp(t->data_plane_reason, reason))
		return;
	if (d && strcmp(t->data_plane, name))
		nx_log_plane(LOG_NOTICE, "DataPlane", t->config->name, name,
			     "the data plane is %s%s%s", name, reason[0] ? ": " : "", reason);
	t->data_plane = name;
	snprintf(t->data_plane_reason, sizeof(t->data_plane_reason), "%s", reason);
	nx_tunnel_bus_properties_changed(t, names);
}

void nx_tunnel_set_plane(struct nx_tunnel *t, struct nx_dp *d, const char *reason)
{
	t->priv->dp = d;
	nx_tunnel_show_plane(t, d, reason);
}

int nx_tunnel_choose_plane(struct nx_tunnel *t)
{
	char reason[sizeof(t->data_plane_reason)];
	struct nx_dp *d = nx_tunnel_wanted_plane(t, reason, sizeof(reason));

	nx_tunnel_set_plane(t, d, reason);
	t->priv->waits_for_plane = !d;
	return d ? 0 : -EOPNOTSUPP;
}

static void fail(struct nx_tunnel *t, const char *reason)
{
	nx_tunnel_fail(t, NX_REASON_DATA_PLANE_LOST, reason);
	nx_tunnel_set_plane(t, NULL, reason);
	t->priv->waits_for_plane = true;
}

/* All data sockets are @d's from now on: nexus-hsd reads those of the module. */
static void give_pairs(struct nx_tunnel *t, struct nx_dp *d)
{
	struct nx_tunnel_private *p = t->priv;

	for (size_t i = 0; i < p->n_pairs; i++)
		p->pair_dp[i] = d;
	nx_tunnel_store_pairs(t);
	if (p->hsd_phase == NX_HSD_SETTING || p->hsd_phase == NX_HSD_READY)
		p->hsd_phase = NX_HSD_HAVE_SECRETS;
}

/* ---- another one is wanted ---- */

/* Nobody is connected: make another device on @d. */
static void change_idle_server(struct nx_tunnel *t, struct nx_dp *d, const char *reason)
{
	struct nx_tunnel_private *p = t->priv;

	nx_move_cancel(t);
	nx_requests_forget(&p->dp->requests, t);
	nx_tunnel_remove_device(t);
	nx_tunnel_set_plane(t, d, reason);
	give_pairs(t, d);
	nx_tunnel_step(t);
	nx_tunnel_net_changed(t);
}

static void change_server(struct nx_tunnel *t, struct nx_dp *d, const char *reason)
{
	bool idle = TAILQ_EMPTY(&t->sessions) && TAILQ_EMPTY(&t->priv->installing);
	bool preferred = t->manager->config->dco_mode == NX_DCO_PREFERRED;

	/* A device that is being made has no number yet to take it down by. */
	if (idle && t->state == NX_TUNNEL_LISTENING && t->priv->coming.phase != NX_DP_CREATING)
		change_idle_server(t, d, reason);
	else if (t->priv->coming.dp && preferred)
		nx_server_move_step(t);
	else if (d->kernel && preferred)
		nx_server_move_begin(t, d);
	else
		nx_tunnel_restart(t);
}

static void change_client(struct nx_tunnel *t, struct nx_dp *d)
{
	/* Away from a module that is still there: an administrator wants it so. */
	if (!d->kernel)
		nx_tunnel_restart(t);
	else if (t->state == NX_TUNNEL_CONNECTED)
		nx_move_begin(t, d);
	else if (t->manager->config->dco_mode == NX_DCO_REQUIRED)
		nx_tunnel_restart(t);
}

void nx_tunnel_plane_changed(struct nx_tunnel *t)
{
	char reason[sizeof(t->data_plane_reason)];
	struct nx_tunnel_private *p = t->priv;
	struct nx_dp *d;

	if (t->manager->priv->adopting || t->manager->priv->stopping)
		return;
	if (!nx_dp_connected(&t->manager->priv->planes[NX_PLANE_KERNEL]))
		p->plane_refused = false;
	d = nx_tunnel_wanted_plane(t, reason, sizeof(reason));
	if (!p->wanted) {
		if (d && p->waits_for_plane && t->state == NX_TUNNEL_FAILED)
			(void)nx_tunnel_connect(t);
		return;
	}
	if (!d)
		fail(t, reason);
	else if (d == p->dp) {
		if (p->coming.dp)
			nx_move_cancel(t);
		nx_tunnel_set_plane(t, d, reason);
	} else if (t->config->role == NX_ROLE_SERVER)
		change_server(t, d, reason);
	else
		change_client(t, d);
}

static int on_recheck(sd_event_source *s, void *userdata)
{
	struct nx_tunnel *t = userdata;

	t->priv->recheck = sd_event_source_disable_unref(t->priv->recheck);
	nx_tunnel_plane_changed(t);
	return 0;
}

void nx_tunnel_recheck_plane(struct nx_tunnel *t)
{
	sd_event_source **s = &t->priv->recheck;

	if (*s || sd_event_add_defer(t->manager->event, s, on_recheck, t) < 0)
		return;
	/* A server that moves looks at all its sessions. */
	(void)sd_event_source_set_priority(*s, SD_EVENT_PRIORITY_IDLE);
}

/* ---- the one in use is gone, or will not do ---- */

static bool go_to(struct nx_tunnel *t, const char *why)
{
	char reason[sizeof(t->data_plane_reason)];
	struct nx_dp *d = nx_tunnel_wanted_plane(t, reason, sizeof(reason));

	if (!d) {
		fail(t, reason);
		return false;
	}
	nx_log_full(LOG_WARNING, "DataPlaneLost", t->config->name, "%s; going on with %s", why,
		    d->name);
	nx_tunnel_device_lost(t);
	nx_tunnel_set_plane(t, d, reason);
	give_pairs(t, d);
	return true;
}

bool nx_tunnel_plane_lost(struct nx_tunnel *t, const char *why)
{
	return go_to(t, why);
}

bool nx_tunnel_fall_back(struct nx_tunnel *t, const char *why)
{
	struct nx_tunnel_private *p = t->priv;

	if (!p->dp->kernel || t->manager->config->dco_mode != NX_DCO_PREFERRED)
		return false;
	p->plane_refused = true;
	snprintf(p->refusal, sizeof(p->refusal), "%s", why);
	if (t->ifindex) {
		(void)nx_dp_delete_device(p->dp, t->ifindex, NULL, NULL);
		(void)nx_link_delete(t->manager->priv->nl, t->ifindex);
	}
	return go_to(t, why);
}

/* ---- requests ---- */

void nx_tunnel_forget_requests(struct nx_tunnel *t)
{
	for (unsigned int i = 0; i < NX_PLANES; i++)
		nx_dp_forget(&t->manager->priv->planes[i], t);
}

int nx_tunnel_ask_device(struct nx_tunnel *t, struct nx_dp *dp, const char *ifname, int ifindex,
			 int tun_fd, nx_reply_fn fn, void *userdata)
{
	struct nx_tunnel_private *p = t->priv;
	int socks[NX_PAIRS_MAX];
	unsigned int n = 0;

	/* Those of a server that moves are read by both: the module leaves what is not its own. */
	for (size_t i = 0; i < p->n_pairs; i++)
		if (p->pair_dp[i] == dp || t->config->role == NX_ROLE_SERVER)
			socks[n++] = p->pairs[i].dp_fd;
	return nx_dp_create_device(dp, ifname, ifindex, tun_fd, socks, n, fn, userdata);
}

void nx_tunnel_take_device(const struct nx_chan_msg *msg, int *ifindex, char ifname[16])
{
	struct nxa tb[NQD_A_MAX + 1], dev[NQD_A_DEVICE_MAX + 1];
	struct nxm_error e;

	if (nxa_parse(msg->hdr.attrs, msg->hdr.attrs_len, &nqd_top_set, tb, msg->buf, &e) < 0 ||
	    !tb[NQD_A_DEVICE].present ||
	    nxa_parse_nest(&tb[NQD_A_DEVICE], &nqd_device_set, dev, msg->buf, &e) < 0 ||
	    !dev[NQD_A_DEVICE_IFINDEX].present || !dev[NQD_A_DEVICE_IFNAME].present)
		return;
	*ifindex = (int)nxa_u32(&dev[NQD_A_DEVICE_IFINDEX]);
	snprintf(ifname, 16, "%s", nxa_str(&dev[NQD_A_DEVICE_IFNAME]));
}

/* ---- the record of the module's device ---- */

struct record {
	int32_t ifindex;
	char ifname[16];
};

void nx_device_record_store(struct nx_tunnel *t)
{
	const struct nx_device *coming = &t->priv->coming;
	struct record rec = { .ifindex = coming->dp ? coming->ifindex : t->ifindex };
	int fd = memfd_create("nexus-device", MFD_CLOEXEC);

	memcpy(rec.ifname, coming->dp ? coming->ifname : t->ifname, sizeof(rec.ifname));
	if (fd >= 0 && write(fd, &rec, sizeof(rec)) == sizeof(rec))
		nx_manager_store(t->manager, fd, "nexusq:%s", t->config->name);
	else
		nx_warn("the device %s is not kept over a restart: %s", rec.ifname,
			strerror(errno));
	if (fd >= 0)
		close(fd);
}

void nx_device_record_forget(struct nx_tunnel *t)
{
	nx_manager_unstore(t->manager, "nexusq:%s", t->config->name);
}

int nx_device_record_load(struct nx_manager *m, int fd, int *ifindex, char ifname[16])
{
	struct record rec;

	if (pread(fd, &rec, sizeof(rec), 0) != sizeof(rec) || rec.ifindex <= 0)
		return -EINVAL;
	*ifindex = rec.ifindex;
	return nx_link_identify(m->priv->nl, rec.ifindex, nx_genl_device_kind(m->priv->genl),
				ifname);
}
