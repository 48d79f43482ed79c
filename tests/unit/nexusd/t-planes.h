/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process between two data planes, with the test in the parts of both, of the kernel's
 * generic netlink controller and of the monitor. These answer by themselves, as the real ones would,
 * and keep count; nexus-hsd is left to the test (t-control.h). The module's devices are TUN devices
 * that exist as long as it is loaded.
 */
#ifndef T_PLANES_H
#define T_PLANES_H

#include "dp-client-genl.h"
#include "t-control.h"

#define T_SESSIONS 8
#define T_DEVICES 4
#define T_STORED 24
#define T_ABSENT UINT32_MAX

struct t_plane_session {
	uint64_t id, user;
	int ifindex;
	uint32_t flags, group;
};

struct t_plane_device {
	int fd, ifindex;
	char name[16];
};

/* What one data plane has, was asked, and how it is to behave. */
struct t_plane {
	bool kernel;
	struct t_plane_session sessions[T_SESSIONS];
	size_t n_sessions;
	struct t_plane_session stand_ins[T_SESSIONS]; /* those without keys */
	size_t n_stand_ins;
	unsigned int asked[NQD_CMD_MAX + 1];
	uint8_t refuse; /* this command, with ENOMEM and "no room" */
	uint8_t vanish_at; /* the module is unloaded instead of an answer to this command */
	uint8_t swallow; /* this command is done, but the answer is lost with ENOBUFS */
	bool heard; /* a DATAGRAM has come on every session */
	bool closes; /* the last DELETE_SESSION was with CONNECTION_CLOSE */
	int local_port; /* of the data socket of the last ADD_SESSION, by its number */
};

struct t_planes {
	struct fake *f;
	struct t_plane user, module;
	/* the module */
	uint32_t version, caps_version; /* of the ABI; T_ABSENT: not loaded */
	uint16_t family; /* a new one each time it is loaded */
	uint32_t joined; /* multicast group of the events */
	unsigned int looked; /* how often somebody asked for it by name */
	uint64_t ended[T_SESSIONS]; /* what GET_EVENTS tells of: the first that are not 0 */
	bool overrun_req, overrun_ev; /* the next thing read is ENOBUFS */
	bool module_first; /* after a restart nexus-dp says nothing until the module's sessions are known */
	int req, ev; /* our ends */
	int theirs; /* the control process's end of ev */
	struct t_plane_device devices[T_DEVICES];
	struct nx_genl_io io;
	/* the monitor */
	struct {
		char name[96];
		int fd;
	} stored[T_STORED];
};

/* As t_setup_with(), with a module of ABI @version or T_ABSENT. fake.planes is set. */
int t_planes_setup(void **state, const char *text, uint32_t version);
int t_planes_teardown(void **state);
/* Wire nexus-hsd and nexus-dp and let the control process go. */
void t_planes_start(struct fake *f);
/* The control process ends without a word and begins anew. */
void t_planes_restart(struct fake *f);
void t_module_load(struct fake *f, uint32_t version);
void t_module_unload(struct fake *f);
void t_module_event(struct fake *f, uint64_t id, enum nqd_event type, enum nqd_down_reason reason);
/* nexus-dp dies, with its sessions, and is started again. */
void t_user_plane_dies(struct fake *f);
/* The data plane could not send some events, and says so in its way. */
void t_events_lost(struct fake *f, struct t_plane *p);
/* nexus-hsd is configured and asked to connect; the attempt. */
uint64_t t_planes_attempt(struct fake *f);
bool t_stored(const struct fake *f, const char *name);
struct nx_tunnel *t_office(struct fake *f);
bool t_has_address(struct fake *f, int ifindex, const char *text);

/* ---- a server ---- */

/* nexus-hsd gets the handshake socket, the replay cache, and the data socket if the module has that. */
void t_expect_setup(struct fake *f, unsigned int n_fds);
/* It is configured and listens, on this data plane. */
void t_listen_on(struct fake *f, const char *plane);
/* @user shakes hands: the number of the session that is installed on @plane. */
uint64_t t_user_connects(struct fake *f, struct t_plane *plane, uint64_t user);

#endif /* T_PLANES_H */
