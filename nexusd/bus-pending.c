// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Method calls whose reply comes later: those that wait for the bus to say who the caller is, and
 * those that wait for the data plane's counters. Each is one nx_bus_pending on the list of the bus
 * face until its answer or the end of the connection, whichever comes first; there are at most
 * NX_BUS_PENDING_MAX. It holds the message and no tunnel: tunnels may vanish meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "lib/log.h"

struct nx_bus_pending {
	TAILQ_ENTRY(nx_bus_pending) entry;
	struct nx_manager_bus *face; /* NULL: cancelled, waits for its callback only */
	sd_bus_message *m;
	sd_bus_slot *slot; /* authorization: the question to the bus */
	const char *action;
	nx_bus_method_fn fn;
};

static int pending_new(struct nx_manager *manager, sd_bus_message *m, struct nx_bus_pending **out,
		       sd_bus_error *error)
{
	struct nx_manager_bus *face = manager->bus_face;
	struct nx_bus_pending *p;

	if (face->n_pending >= NX_BUS_PENDING_MAX)
		return sd_bus_error_set(error, NX_BUS_ERROR_BUSY,
					"Too many requests wait for an answer; try again.");
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->face = face;
	p->m = sd_bus_message_ref(m);
	TAILQ_INSERT_TAIL(&face->pending, p, entry);
	face->n_pending++;
	*out = p;
	return 0;
}

static void pending_detach(struct nx_bus_pending *p)
{
	if (!p->face)
		return;
	TAILQ_REMOVE(&p->face->pending, p, entry);
	p->face->n_pending--;
	p->face = NULL;
	p->slot = sd_bus_slot_unref(p->slot);
	p->m = sd_bus_message_unref(p->m);
}

static void pending_free(struct nx_bus_pending *p)
{
	pending_detach(p);
	free(p);
}

void nx_bus_pending_cancel(struct nx_manager_bus *face)
{
	struct nx_bus_pending *p;

	while ((p = TAILQ_FIRST(&face->pending)) != NULL) {
		/* Statistics are freed by nx_bus_statistics_done(), which still comes. */
		if (p->fn)
			pending_free(p);
		else
			pending_detach(p);
	}
}

/* ---- who is asking ---- */

/* UnixUserID and UnixGroupIDs out of GetConnectionCredentials' a{sv}; others are skipped. */
static int sender_may(sd_bus_message *credentials)
{
	gid_t our_gid = getegid();
	bool may = false;
	const char *key;
	int r;

	r = sd_bus_message_enter_container(credentials, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(credentials, 'e', "sv")) > 0) {
		r = sd_bus_message_read(credentials, "s", &key);
		if (r < 0)
			return r;
		if (!strcmp(key, "UnixUserID")) {
			uint32_t uid;

			r = sd_bus_message_read(credentials, "v", "u", &uid);
			may |= r >= 0 && (uid == 0 || uid == geteuid());
		} else if (!strcmp(key, "UnixGroupIDs")) {
			const uint32_t *gids;
			size_t size = 0;

			r = sd_bus_message_enter_container(credentials, 'v', "au");
			if (r >= 0)
				r = sd_bus_message_read_array(credentials, 'u',
							      (const void **)&gids, &size);
			/* Started as root without a group of its own, the daemon grants nothing to
			 * members of group 0.
			 */
			for (size_t i = 0; r >= 0 && i < size / sizeof(gids[0]); i++)
				may |= gids[i] == our_gid && our_gid != 0;
			if (r >= 0)
				r = sd_bus_message_exit_container(credentials);
		} else {
			r = sd_bus_message_skip(credentials, "v");
		}
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(credentials);
	}
	return r < 0 ? r : may;
}

static int deny(const struct nx_bus_pending *p, sd_bus_error *error)
{
	return sd_bus_error_setf(
		error, NX_BUS_ERROR_ACCESS_DENIED,
		"Access denied: %s is for root and the members of the daemon's group.", p->action);
}

static int on_credentials(sd_bus_message *credentials, void *userdata, sd_bus_error *ret_error)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct nx_bus_pending *p = userdata;
	sd_bus_message *m = sd_bus_message_ref(p->m);
	struct nx_manager *manager = p->face->manager;
	int r;

	/* A caller that is gone, or unknown to the bus, may nothing. */
	r = sd_bus_message_is_method_error(credentials, NULL) ? 0 : sender_may(credentials);
	if (r <= 0) {
		r = deny(p, &error);
		pending_free(p);
	} else {
		nx_bus_method_fn fn = p->fn;

		pending_free(p);
		r = fn(m, manager, &error);
	}
	if (r < 0 || sd_bus_error_is_set(&error))
		r = sd_bus_reply_method_errno(m, r, &error);
	if (r < 0)
		nx_debug("D-Bus: cannot reply: %s", strerror(-r));
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	return 0;
}

int nx_bus_authorize(struct nx_manager *manager, sd_bus_message *m, const char *action,
		     nx_bus_method_fn fn, sd_bus_error *error)
{
	struct nx_bus_pending *p = NULL;
	int r;

	r = pending_new(manager, m, &p, error);
	if (r < 0)
		return r;
	p->action = action;
	p->fn = fn;
	r = sd_bus_call_method_async(sd_bus_message_get_bus(m), &p->slot, "org.freedesktop.DBus",
				     "/org/freedesktop/DBus", "org.freedesktop.DBus",
				     "GetConnectionCredentials", on_credentials, p, "s",
				     sd_bus_message_get_sender(m));
	if (r < 0) {
		pending_free(p);
		return r;
	}
	return 1;
}

/* ---- statistics ---- */

int nx_bus_statistics_begin(struct nx_manager *manager, sd_bus_message *m,
			    struct nx_bus_pending **request, sd_bus_error *error)
{
	return pending_new(manager, m, request, error);
}

static int send_statistics(sd_bus_message *m, const struct nx_stat *stats, size_t n)
{
	sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(m, &reply);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_message_append(reply, "{sv}", stats[i].name, "t", stats[i].value);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

void nx_bus_statistics_done(void *userdata, int err, const struct nx_stat *stats, size_t n)
{
	struct nx_bus_pending *p = userdata;
	int r = 0;

	if (p->m && err < 0)
		r = sd_bus_reply_method_errorf(p->m, NX_BUS_ERROR_FAILED,
					       "The data plane gave no statistics: %s.",
					       strerror(-err));
	else if (p->m)
		r = send_statistics(p->m, stats, n);
	if (r < 0)
		nx_debug("D-Bus: cannot reply: %s", strerror(-r));
	pending_free(p);
}

void nx_bus_statistics_abort(struct nx_bus_pending *request)
{
	pending_free(request);
}
