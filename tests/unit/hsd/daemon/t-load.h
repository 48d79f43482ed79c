/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many handshakes at a time between one server process and one client process, with this process in
 * the parts of both control processes and both data planes: each session is installed at its end, and
 * its engine runs until all have handed over, for the other end's last words may want an
 * acknowledgement.
 */
#ifndef T_LOAD_H
#define T_LOAD_H

#include "t-dp.h"
#include "t-hsd.h"
#include "t-net.h"

#define T_LOAD_MAX 2048 /* sessions at a time */
#define T_LOAD_NETS_MAX 20

struct t_load_end {
	struct t_hsd *hsd;
	int sock; /* of its tunnel */
	struct t_dp dps[T_LOAD_MAX]; /* until the next t_load_settle() */
	unsigned int n_dps;
	unsigned int sessions; /* so far */
};

struct t_load {
	struct t_load_end server, client;
	struct t_net nets[T_LOAD_NETS_MAX]; /* between them, or none */
	unsigned int n_nets;
	unsigned int failures; /* of the client, so far */
	unsigned int reason; /* of the last one */
	char text[256];
};

/* Wait up to @timeout_ms for something to happen, and handle all that has. */
void t_load_step(struct t_load *l, int timeout_ms);
/* Step until that many sessions are there at both ends (in all), then forget the engines. */
void t_load_settle(struct t_load *l, unsigned int sessions, unsigned int limit_ms);

#endif /* T_LOAD_H */
