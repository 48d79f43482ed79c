// SPDX-License-Identifier: GPL-2.0-or-later
/* Many handshakes at a time, see t-load.h. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "t-load.h"

/* Engines have timers, and nobody tells when the first one is due: look this often. */
#define TIMERS_MS 20

static void note_failure(struct t_load *l, const struct t_msg *m)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;
	struct nxm_hdr hdr;

	assert_int_equal(nxm_parse_hdr(m->data, m->len, &hdr, &e), 0);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, tb, m->data, &e), 0);
	l->reason = nxa_u8(&tb[HS_A_REASON]);
	snprintf(l->text, sizeof(l->text), "%s", nxa_str(&tb[HS_A_TEXT]));
	l->failures++;
}

/* Everything that an end says: sessions are installed, failures noted, the rest is none of ours. */
static void take_messages(struct t_load *l, struct t_load_end *e)
{
	struct t_session s;
	struct t_msg m;

	while (t_next_msg(e->hsd, &m, 0)) {
		switch (t_msg_cmd(&m)) {
		case HS_CMD_SESSION:
			t_parse_session(&m, &s);
			assert_true(e->n_dps < T_LOAD_MAX);
			t_dp_install(&e->dps[e->n_dps++], e->hsd, &s, e->sock);
			e->sessions++;
			t_session_free(&s);
			continue;
		case HS_CMD_FAILED:
			note_failure(l, &m);
			break;
		}
		free(m.data);
	}
}

static void run_engines(struct t_load_end *e)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	unsigned int i;
	uint8_t *data;
	size_t len;

	while ((data = t_dp_punted(e->hsd, buf, &len))) {
		for (i = 0; i < e->n_dps; i++) {
			if (t_dp_owns(&e->dps[i], data, len)) {
				t_dp_packet(&e->dps[i], data, len);
				break;
			}
		}
	}
	for (i = 0; i < e->n_dps; i++)
		t_dp_run(&e->dps[i]);
}

void t_load_step(struct t_load *l, int timeout_ms)
{
	struct pollfd p[4 + 2 * T_LOAD_NETS_MAX] = {
		{ .fd = l->server.hsd->ctl, .events = POLLIN },
		{ .fd = l->client.hsd->ctl, .events = POLLIN },
		{ .fd = l->server.hsd->punt, .events = POLLIN },
		{ .fd = l->client.hsd->punt, .events = POLLIN },
	};
	unsigned int n = 4, i;

	for (i = 0; i < l->n_nets; i++) {
		p[n++] = (struct pollfd){ .fd = l->nets[i].front, .events = POLLIN };
		if (!l->nets[i].hold_down)
			p[n++] = (struct pollfd){ .fd = l->nets[i].back, .events = POLLIN };
	}
	if (l->client.hsd->n_queue == 0 && l->server.hsd->n_queue == 0)
		poll(p, n, timeout_ms < TIMERS_MS ? timeout_ms : TIMERS_MS);
	for (i = 0; i < l->n_nets; i++)
		t_net_pump(&l->nets[i]);
	take_messages(l, &l->client);
	take_messages(l, &l->server);
	run_engines(&l->client);
	run_engines(&l->server);
}

static void stop_engines(struct t_load_end *e)
{
	while (e->n_dps > 0)
		t_dp_free(&e->dps[--e->n_dps]);
}

void t_load_settle(struct t_load *l, unsigned int sessions, unsigned int limit_ms)
{
	uint64_t limit = t_now_ms() + limit_ms;

	while (l->client.sessions < sessions || l->server.sessions < sessions) {
		if (t_now_ms() > limit)
			fail_msg("of %u sessions the client has %u, the server %u; %u failed (%s)",
				 sessions, l->client.sessions, l->server.sessions, l->failures,
				 l->text);
		t_load_step(l, TIMERS_MS);
	}
	stop_engines(&l->client);
	stop_engines(&l->server);
}
