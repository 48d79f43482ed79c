// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cover's address and its sockets, see cover.h. A literal address is taken as it is; a name is
 * resolved in the background, again every five minutes and soon after the relay reports the cover
 * dead. An address that the name still has is kept: sockets in use need no change then.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "lib/ipc.h"
#include "lib/log.h"
#include "prefix.h"
#include "tunnel-internal.h"

#define RESOLVE_INTERVAL_US (300 * UINT64_C(1000000))
#define RESOLVE_RETRY_US (10 * UINT64_C(1000000))
/* How many sockets nexus-hsd may use up in a second. */
#define SOCKETS_PER_S 1024
#define PER_MESSAGE 8
/* What nexus-hsd learns is written no more often. */
#define SAVE_PAUSE_US (5 * UINT64_C(1000000))
/* Room for a web server's burst. */
#define RECEIVE_BUFFER_BYTES (1 << 20)

static void set_optional(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

int nx_cover_socket(const struct nx_endpoint *to, uint32_t mark)
{
	int family = to->sa.sa_family, value = (int)mark, err;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &value, sizeof(value)) < 0)
		goto err;
	/* A stranger's datagram came unfragmented and goes on so. */
	if (family == AF_INET) {
		set_optional(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
		set_optional(fd, IPPROTO_IP, IP_RECVTOS, 1);
	} else {
		set_optional(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
		set_optional(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
		set_optional(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	}
	set_optional(fd, IPPROTO_UDP, UDP_GRO, 1);
	set_optional(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
	if (connect(fd, &to->sa, nx_endpoint_len(to)) < 0)
		goto err;
	return fd;
err:
	err = -errno;
	close(fd);
	return err;
}

/* Into what the bus shows. */
static void set_state(struct nx_tunnel *t, enum hs_cover_state state)
{
	static char *changed[] = { (char *)"CoverAddress", (char *)"CoverState", NULL };
	static const char *const names[] = {
		[HS_COVER_NONE] = NULL,
		[HS_COVER_UNKNOWN] = "unknown",
		[HS_COVER_ALIVE] = "alive",
		[HS_COVER_DEAD] = "dead",
	};

	t->priv->cover.state = state;
	t->cover_state = names[state];
	nx_tunnel_bus_properties_changed(t, changed);
}

/* ---- sockets for nexus-hsd ---- */

/* Up to PER_MESSAGE sockets in one message; how many went, or -errno. */
static int send_some(struct nx_tunnel *t, unsigned int n, bool replace)
{
	struct nx_cover *c = &t->priv->cover;
	int fds[PER_MESSAGE], r = 0;
	unsigned int made = 0;

	while (made < n && made < PER_MESSAGE) {
		r = nx_cover_socket(&c->address, t->priv->mark);
		if (r < 0)
			break;
		fds[made++] = r;
	}
	if (made > 0)
		r = nx_hsd_relay_sockets(&t->manager->priv->hsd, t->config->name, fds, made,
					 replace);
	nx_close_fds(fds, made);
	return r < 0 ? r : (int)made;
}

static int send_sockets(struct nx_tunnel *t, unsigned int n, bool replace)
{
	int sent;

	while (n > 0) {
		sent = send_some(t, n, replace);
		if (sent < 0)
			return sent;
		replace = false;
		n -= (unsigned int)sent;
	}
	return 0;
}

static void log_failure(struct nx_tunnel *t, const char *text)
{
	struct nx_cover *c = &t->priv->cover;

	if (!c->failure_logged)
		nx_log_full(LOG_WARNING, "CoverUnreachable", t->config->name, "cover %s: %s",
			    t->config->cover, text);
	c->failure_logged = true;
}

static bool hsd_ready(const struct nx_tunnel *t)
{
	return t->priv->hsd_phase == NX_HSD_READY && nx_hsd_connected(&t->manager->priv->hsd);
}

/* A full pool of sockets to the present address. */
static int fill_pool(struct nx_tunnel *t)
{
	uint32_t max_flows = t->config->relay.max_flows;
	struct nx_cover *c = &t->priv->cover;
	int r;

	if (!hsd_ready(t))
		return 0;
	set_state(t, HS_COVER_UNKNOWN);
	c->allowance = SOCKETS_PER_S;
	c->allowance_us = nx_now_us();
	r = send_sockets(t, max_flows < HS_RELAY_POOL ? max_flows : HS_RELAY_POOL, true);
	if (r < 0)
		log_failure(t, strerror(-r));
	return r;
}

void nx_cover_wanted(struct nx_tunnel *t, uint32_t n)
{
	struct nx_cover *c = &t->priv->cover;
	uint64_t now = nx_now_us();
	int r;

	if (!c->running || !c->known || !hsd_ready(t))
		return;
	if (now - c->allowance_us >= 1000000) {
		c->allowance = SOCKETS_PER_S;
		c->allowance_us = now;
	}
	if (n > HS_RELAY_POOL)
		n = HS_RELAY_POOL;
	if (n > c->allowance)
		n = c->allowance;
	c->allowance -= n;
	r = send_sockets(t, n, false);
	if (r < 0)
		log_failure(t, strerror(-r));
}

/* ---- the address ---- */

static void resolve(struct nx_tunnel *t);

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct nx_tunnel *t = userdata;

	t->priv->cover.timer = sd_event_source_disable_unref(t->priv->cover.timer);
	resolve(t);
	return 0;
}

static void resolve_later(struct nx_tunnel *t, uint64_t delay_us)
{
	struct nx_cover *c = &t->priv->cover;

	c->timer = sd_event_source_disable_unref(c->timer);
	(void)sd_event_add_time_relative(t->manager->event, &c->timer, CLOCK_MONOTONIC, delay_us, 0,
					 on_timer, t);
}

/* One can bind to an address of this machine, and to no other. */
static bool is_local(const struct nx_endpoint *e)
{
	int fd = socket(e->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct nx_endpoint any_port = *e;
	bool local;

	if (fd < 0)
		return false;
	nx_endpoint_set_port(&any_port, 0);
	local = bind(fd, &any_port.sa, nx_endpoint_len(&any_port)) == 0;
	close(fd);
	return local;
}

/* Does it lead to a socket of this tunnel? Then strangers would go round in circles. */
static bool is_ourselves(const struct nx_tunnel *t, const struct nx_endpoint *e)
{
	for (size_t i = 0; i < t->config->n_listen; i++)
		if (nx_endpoint_collides(&t->config->listen[i], e))
			return is_local(e);
	return false;
}

/* Is there a route, and to somebody else? */
static bool is_usable(struct nx_tunnel *t, const struct nx_endpoint *e)
{
	int fd = is_ourselves(t, e) ? -1 : nx_cover_socket(e, t->priv->mark);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * The address in use, if the name still has it and it is not known to be dead; else the one after
 * it, so that a dead one of several is left.
 */
static const struct nx_endpoint *choose(struct nx_tunnel *t, const struct nx_endpoint *list,
					size_t n)
{
	struct nx_cover *c = &t->priv->cover;
	size_t first = 0;

	for (size_t i = 0; c->known && i < n; i++) {
		if (!nx_endpoint_equal(&list[i], &c->address))
			continue;
		first = c->state == HS_COVER_DEAD ? i + 1 : i;
		break;
	}
	for (size_t i = 0; i < n; i++)
		if (is_usable(t, &list[(first + i) % n]))
			return &list[(first + i) % n];
	return NULL;
}

static void use_address(struct nx_tunnel *t, const struct nx_endpoint *e)
{
	struct nx_cover *c = &t->priv->cover;

	if (c->known && nx_endpoint_equal(&c->address, e))
		return;
	c->address = *e;
	c->known = true;
	c->failure_logged = false;
	nx_log_full(LOG_INFO, "CoverResolved", t->config->name, "cover %s is at %s",
		    t->config->cover, nx_endpoint_format(e, t->cover_address));
	(void)fill_pool(t);
}

static void on_resolved(void *userdata, int err, const char *text, const struct nx_endpoint *list,
			size_t n)
{
	struct nx_tunnel *t = userdata;
	const struct nx_endpoint *e;

	t->priv->cover.resolve = NULL;
	if (err) {
		log_failure(t, text);
		resolve_later(t, RESOLVE_RETRY_US);
		return;
	}
	e = choose(t, list, n);
	if (!e) {
		log_failure(t, "no address that has a route and is not this server");
		resolve_later(t, RESOLVE_RETRY_US);
		return;
	}
	use_address(t, e);
	resolve_later(t, RESOLVE_INTERVAL_US);
}

static void resolve(struct nx_tunnel *t)
{
	struct nx_cover *c = &t->priv->cover;
	struct nx_endpoint e;

	if (!c->running || c->resolve)
		return;
	c->resolved_us = nx_now_us();
	if (nx_resolve_literal(t->config->cover, &e) == 0) {
		on_resolved(t, 0, "", &e, 1);
		return;
	}
	if (nx_resolve_start(t->manager->event, t->config->cover, on_resolved, t, &c->resolve) < 0)
		resolve_later(t, RESOLVE_RETRY_US);
}

/* ---- its profile ---- */

static int write_profile(struct nx_tunnel *t)
{
	const struct nx_cover_profile *p = &t->cover_profile;
	const char *dir = t->manager->priv->state_dir;

	if (!p->learnt_s)
		return nx_cover_profile_remove(dir, t->config->name);
	return nx_cover_profile_save(p, dir, t->config->name, t->config->cover);
}

static void save_profile(struct nx_tunnel *t)
{
	struct nx_cover *c = &t->priv->cover;
	int r;

	c->save_timer = sd_event_source_disable_unref(c->save_timer);
	c->saved_us = nx_now_us();
	r = write_profile(t);
	if (r < 0)
		nx_log_full(LOG_WARNING, "CoverProfileUnwritten", t->config->name,
			    "what was learnt of the cover will not survive a restart: %s",
			    strerror(-r));
}

static int on_save(sd_event_source *s, uint64_t usec, void *userdata)
{
	save_profile(userdata);
	return 0;
}

/* Soon: each time costs this process the time of the disk, and nexus-hsd says when. */
static void save_profile_later(struct nx_tunnel *t)
{
	struct nx_cover *c = &t->priv->cover;
	uint64_t since_us = nx_now_us() - c->saved_us;

	if (c->save_timer)
		return;
	if (since_us >= SAVE_PAUSE_US ||
	    sd_event_add_time_relative(t->manager->event, &c->save_timer, CLOCK_MONOTONIC,
				       SAVE_PAUSE_US - since_us, 0, on_save, t) < 0)
		save_profile(t);
}

/* ---- life ---- */

void nx_cover_start(struct nx_tunnel *t)
{
	struct nx_cover *c = &t->priv->cover;

	if (!t->config->cover)
		return;
	c->running = true;
	if (c->known)
		(void)fill_pool(t);
	else
		resolve(t);
}

void nx_cover_stop(struct nx_tunnel *t)
{
	struct nx_cover *c = &t->priv->cover;

	if (c->save_timer)
		save_profile(t);
	nx_resolve_cancel(c->resolve);
	sd_event_source_disable_unref(c->timer);
	memset(c, 0, sizeof(*c));
	t->cover_address[0] = '\0';
	t->cover_state = NULL;
}

void nx_cover_report(struct nx_tunnel *t, enum hs_cover_state state)
{
	struct nx_cover *c = &t->priv->cover;
	char addr[NX_ADDR_STRLEN];
	uint64_t since;

	if (!c->running || !c->known || state == c->state)
		return;
	if (state == HS_COVER_DEAD)
		nx_log_full(LOG_WARNING, "CoverDead", t->config->name,
			    "the cover %s does not answer at %s", t->config->cover,
			    nx_endpoint_format(&c->address, addr));
	else if (state == HS_COVER_ALIVE && c->state == HS_COVER_DEAD)
		nx_log_full(LOG_NOTICE, "CoverAlive", t->config->name,
			    "the cover %s answers again at %s", t->config->cover,
			    nx_endpoint_format(&c->address, addr));
	set_state(t, state);
	if (state != HS_COVER_DEAD)
		return;
	/* Perhaps it has moved; but no more often than this. */
	since = nx_now_us() - c->resolved_us;
	resolve_later(t, since >= RESOLVE_RETRY_US ? 0 : RESOLVE_RETRY_US - since);
}

void nx_cover_load_profile(struct nx_tunnel *t)
{
	const char *dir = t->manager->priv->state_dir;
	int r;

	nx_cover_profile_free(&t->cover_profile);
	if (t->config->role != NX_ROLE_SERVER || !t->config->cover)
		return;
	r = nx_cover_profile_load(&t->cover_profile, dir, t->config->name, t->config->cover);
	if (r < 0 && r != -ENOENT)
		nx_log_full(LOG_WARNING, "CoverProfileUnread", t->config->name,
			    "%s/cover-%s: %s; the cover is asked again", dir, t->config->name,
			    r == -EBADMSG ? "it is damaged" : strerror(-r));
}

void nx_cover_forget_profile(struct nx_tunnel *t)
{
	struct nx_cover *c = &t->priv->cover;

	c->save_timer = sd_event_source_disable_unref(c->save_timer);
	if (t->config->role == NX_ROLE_SERVER)
		(void)nx_cover_profile_remove(t->manager->priv->state_dir, t->config->name);
}

void nx_cover_learnt(struct nx_tunnel *t, const uint8_t *attrs, size_t len)
{
	static char *changed[] = { (char *)"CoverLearnt", NULL };
	struct nx_cover_profile *old = &t->cover_profile, p;
	bool same_blob;
	int r;

	if (t->config->role != NX_ROLE_SERVER || !t->config->cover || t->priv->removing)
		return;
	r = nx_cover_profile_parse(&p, attrs, len);
	if (r < 0) {
		nx_log_full(LOG_ERR, NULL, t->config->name, "a profile of the cover: %s",
			    strerror(-r));
		return;
	}
	if (nx_cover_profile_equal(&p, old)) {
		nx_cover_profile_free(&p);
		return;
	}
	/* Only differences may be new: then the profile is as old as it was. */
	same_blob = p.blob_len == old->blob_len && !memcmp(p.blob, old->blob, p.blob_len);
	if (p.blob_len)
		p.learnt_s = same_blob ? old->learnt_s : (uint64_t)time(NULL);
	nx_cover_profile_free(old);
	*old = p;
	if (t->manager->priv->state_dir)
		save_profile_later(t);
	nx_tunnel_bus_properties_changed(t, changed);
}
