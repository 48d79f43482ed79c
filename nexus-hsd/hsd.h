/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole state of a nexus-hsd process; one thread, one instance, passed down by pointer. main.c is
 * the process around it.
 */
#ifndef HS_HSD_H
#define HS_HSD_H

#include "cidtable.h"
#include "conn.h"
#include "flow.h"
#include "loop.h"
#include "relay.h"
#include "pending.h"
#include "timers.h"
#include "tombstone.h"
#include "tunnel.h"

struct hs_outbox_msg;

struct hsd {
	struct hs_loop loop;
	struct hs_source monitor, control, punt;
	TAILQ_HEAD(, hs_outbox_msg) outbox; /* control.c */
	unsigned int n_outbox;
	TAILQ_HEAD(, hs_tunnel) tunnels;
	struct hs_conns conns;
	unsigned int n_server_conns;
	struct hs_timers conn_timers;
	struct hs_pending pending; /* of server connections */
	uint64_t next_attempt;
	struct hs_cidtable cids;
	struct hs_flows flows;
	struct hs_tombs tombs;
	struct hs_relay_batch relay_batch;
	bool stop;
};

/* Initialise GnuTLS and the loop and watch the monitor's channel. 0 or negative errno. */
int hs_init(struct hsd *h, int monitor_fd);
/* Run what is due, wait, handle one event. 0 or negative errno. */
int hs_turn(struct hsd *h);
/* End everything and wipe every secret. */
void hs_finish(struct hsd *h);

#endif /* HS_HSD_H */
