// SPDX-License-Identifier: GPL-2.0-or-later
/* Beginning, one turn and end of nexus-hsd, see hsd.h. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <unistd.h>
#include "control.h"
#include "hsd.h"
#include "learn.h"
#include "monitor.h"
#include "secrets.h"
#include "server.h"
#include "tls.h"

int hs_init(struct hsd *h, int monitor_fd)
{
	uint64_t random;
	int err;

	h->monitor.fd = h->control.fd = h->punt.fd = -1;
	TAILQ_INIT(&h->outbox);
	TAILQ_INIT(&h->tunnels);
	TAILQ_INIT(&h->conns);
	hs_pending_init(&h->pending);
	hs_cidtable_init(&h->cids);
	hs_flows_init(&h->flows);
	hs_tombs_init(&h->tombs);
	err = hs_tls_global_init();
	if (err < 0)
		return err;
	if (gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof(random)) < 0)
		return -EIO;
	/*
	 * Attempts of a server have the high bit set; those of an earlier process do not come back.
	 */
	h->next_attempt = 1ULL << 63 | random >> 16;
	err = hs_loop_init(&h->loop);
	return err < 0 ? err : hs_monitor_open(h, monitor_fd);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int hs_turn(struct hsd *h)
{
	uint64_t next = hs_conns_run_timers(h);

	next = earlier(next, hs_server_run_timers(h));
	next = earlier(next, hs_tombs_run_timers(h));
	next = earlier(next, hs_relays_run_timers(h));
	next = earlier(next, hs_tunnels_run_timers(h));
	next = earlier(next, hs_learners_run_timers(h));
	return hs_loop_turn(&h->loop, next);
}

void hs_finish(struct hsd *h)
{
	struct hs_tunnel *t;

	while ((t = TAILQ_FIRST(&h->tunnels)))
		hs_tunnel_delete(t);
	hs_timers_free(&h->conn_timers);
	hs_flows_clear(&h->flows);
	hs_tombs_clear(h);
	hs_secret_forget(NULL);
	hs_control_close(h);
	hs_source_close(&h->loop, &h->punt);
	hs_source_close(&h->loop, &h->monitor);
	close(h->loop.epoll_fd);
	hs_tls_global_deinit();
}
