/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A data plane for the tests: the engine of quic/ started from an exported session, fed from the
 * punt socket, sending from the tunnel's own port.
 */
#ifndef T_DP_H
#define T_DP_H

#include "quic/nq.h"
#include "t-hsd.h"

struct t_dp {
	struct t_hsd *hsd;
	struct nq_conn *conn;
	void *mem;
	int sock;
	struct sockaddr_storage remote;
	unsigned int datagrams; /* received */
	uint8_t last[64];
	size_t last_len;
	bool closed;
	struct nq_cid cids[NQD_LOCAL_CIDS_MAX]; /* under which packets come */
	unsigned int n_cids;
};

/* Install @s as nexus-dp would and tell nexus-hsd. @sock: bound to the session's local port. */
void t_dp_install(struct t_dp *dp, struct t_hsd *h, const struct t_session *s, int sock);
void t_dp_free(struct t_dp *dp);
/* The next packet that nexus-hsd has punted, into @buf of NX_IPC_MAX_LEN: its data; NULL = none. */
uint8_t *t_dp_punted(struct t_hsd *h, uint8_t *buf, size_t *len);
/* A packet for this session. */
void t_dp_packet(struct t_dp *dp, uint8_t *data, size_t len);
bool t_dp_owns(const struct t_dp *dp, const uint8_t *data, size_t len);
/* Run timers, send what the engine has to say. */
void t_dp_run(struct t_dp *dp);
/* Read the punt socket, where nobody else has packets, and t_dp_run(). */
void t_dp_pump(struct t_dp *dp);
/*
 * Wait for a client's session and then for the server's, with a data plane at the client meanwhile
 * (@sock: its socket): a server's last words may come after the client's hand-over.
 */
void t_wait_both(struct t_hsd *client, struct t_session *cs, int sock, struct t_hsd *server,
		 struct t_session *ss);
/* One DATAGRAM. */
void t_dp_send(struct t_dp *dp, const void *data, size_t len);

#endif /* T_DP_H */
