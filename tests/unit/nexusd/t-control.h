/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process of this program, in a network namespace of its own, with the test in the parts
 * of the monitor, nexus-hsd and the data plane, on socketpairs. There is one tunnel, "office", on the
 * device nxtest0. Every call that waits has a limit and fails the test beyond it.
 *
 * Needs root and /dev/net/tun: without them the set-up leaves fake.m NULL, and T_NEED() skips.
 */
#ifndef T_CONTROL_H
#define T_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include "control.h"
#include "lib/hs_proto.h"
#include "lib/ipc.h"
#include "prefix.h"
#include "tunnel-internal.h"

#define T_KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define T_STEPS_MAX 200

struct fake {
	sd_event *event;
	struct nx_manager *m;
	int mon, hsd, dp; /* our ends */
	char config[64], state_dir[64]; /* paths; state_dir "": nothing is kept */
	/* of the sessions nexus-hsd reports; local NULL: not told */
	const char *remote, *local;
	bool inner_ipv6;
	uint32_t socket; /* the pair it was established on */
	uint64_t user; /* of a server's; 0: it is a client's */
	/* t-planes.c: others that answer by themselves whenever the loop has run */
	struct t_planes *planes;
	const struct nx_genl_io *genl;
	void (*pump)(struct fake *f);
	/* the last message taken from a peer */
	uint8_t buf[NX_IPC_MAX_LEN];
	struct nxm_hdr hdr;
	int fds[NX_IPC_MAX_FDS];
	unsigned int n_fds;
};

/* How often D-Bus was told of a change of the cover's profile. */
extern unsigned int t_cover_changes;

#define T_NEED(f)               \
	do {                    \
		if (!(f)->m)    \
			skip(); \
	} while (0)

/* Let the control process work until @condition holds. */
#define t_run_until(f, condition)                                          \
	do {                                                               \
		for (int i_ = 0; i_ < T_STEPS_MAX && !(condition); i_++)   \
			t_turn(f);                                         \
		assert_true(condition);                                    \
	} while (0)

/* The loop runs once. */
void t_turn(struct fake *f);

/* ---- set-up ---- */

/* A control process with @text as its configuration, and a state directory if @lasting. */
int t_setup_with(void **state, const char *text, bool lasting);
/* The same with what is set in @f already. */
int t_setup_fake(struct fake *f, const char *text, bool lasting);
int t_teardown(void **state);
int t_write_config(struct fake *f, const char *text);
/* The process ends and begins anew; what it keeps is in the files. */
int t_open_control(struct fake *f);
/* In the network namespace as it is. */
int t_open_control_here(struct fake *f);
void t_close_control(struct fake *f);
/* Both peers, and a client up to its first attempt, whose number is returned. */
uint64_t t_start(struct fake *f);

/* ---- messages ---- */

void t_begin(struct nxm *m, uint8_t *buf, size_t cap, uint16_t family, uint8_t cmd, uint32_t seq);
/* @pass: a descriptor, or NULL. */
void t_send_to(int fd, struct nxm *m, const int *pass);
/* Attributes that are negative or NULL are left out. */
void t_mon_send(struct fake *f, uint8_t cmd, int peer, const char *name, int err, int pass);
/* A fresh socket to a peer of the control process; returns our end. */
int t_connect_peer(struct fake *f, enum mon_peer peer);
/* Answer the last message taken, with @err 0 or a negative errno. */
void t_acknowledge(struct fake *f, int fd, int err);
/* Run the loop until @fd has message @cmd; others of nexus-hsd and data plane are answered kindly. */
void t_expect(struct fake *f, int fd, uint8_t cmd);
/* The same of the data plane's, about a session: what it says. Descriptors are the caller's. */
void t_expect_session(struct fake *f, uint8_t cmd, struct nxa tb[NQD_A_MAX + 1],
		      struct nxa ses[NQD_A_SESSION_MAX + 1]);
void t_expect_state(struct fake *f, enum nx_tunnel_state state);
/* HS_A_ATTEMPT of the last message taken. */
uint64_t t_attempt_of(struct fake *f);

/* ---- sessions ---- */

/* nexus-hsd has a session; @with_address: the server has given it one. */
void t_report_session(struct fake *f, uint64_t attempt, bool with_address);
/* ADD_SESSION as it must look, not answered yet; returns the session's number. */
uint64_t t_expect_add_session(struct fake *f);
void t_send_event(struct fake *f, uint64_t id, enum nqd_event type, enum nqd_down_reason reason);
void t_send_down(struct fake *f, uint64_t id, enum nqd_down_reason reason);

#endif /* T_CONTROL_H */
