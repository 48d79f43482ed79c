/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitor <-> children, over NX_MONITOR_FD, family NXM_FAMILY_MON.
 *
 * The monitor wires the children: whenever one of a pair is (re)started it makes a new socketpair and
 * sends each side its end (MON_CMD_PEER). It keeps descriptors for the control process by name (like
 * systemd's descriptor store) so that a restarted control process finds its sockets and devices, and
 * opens secret files for nexus-hsd; it parses nothing that a network peer wrote.
 */
#ifndef NX_MON_PROTO_H
#define NX_MON_PROTO_H

#include "nlcodec.h"

enum mon_cmd {
	MON_CMD_UNSPEC,
	/* monitor -> child */
	MON_CMD_PEER,		/* MON_A_PEER + 1 fd: your end of a fresh socket to that peer */
	MON_CMD_STORED,		/* MON_A_NAME + 1 fd, one per stored descriptor, after (re)start */
	MON_CMD_START,		/* all wiring of a fresh child was sent: begin (after PEERs, STOREDs) */
	MON_CMD_SECRET,		/* -> hsd: MON_A_NAME + 1 fd, an opened secret file */
	MON_CMD_SECRET_RESULT,	/* -> control: MON_A_NAME, MON_A_ERRNO [, MON_A_TEXT] */
	MON_CMD_RELOAD,		/* -> control: SIGHUP arrived */
	MON_CMD_STOP,		/* -> control: SIGTERM arrived: close sessions, then exit 0 */
	/* control -> monitor */
	MON_CMD_STORE,		/* MON_A_NAME + 1 fd */
	MON_CMD_UNSTORE,	/* MON_A_NAME */
	MON_CMD_OPEN_SECRET,	/* MON_A_NAME, MON_A_PATH */
	/* MON_A_NAME "tun:TUNNEL": the monitor opens /dev/net/tun, which may be root's alone, stores
	 * the descriptor and answers MON_CMD_STORED, or MON_CMD_SECRET_RESULT with an error.
	 */
	MON_CMD_OPEN_TUN,
	/* any child -> monitor */
	MON_CMD_READY,		/* sandboxed and serving; from control: READY=1 for systemd */
	MON_CMD_ALIVE,		/* control, at least every second: feeds the watchdog */
	__MON_CMD_MAX,
};

enum mon_peer { MON_PEER_CONTROL, MON_PEER_HSD, MON_PEER_DP };

enum mon_attr {
	MON_A_UNSPEC,
	MON_A_PEER,	/* u8, enum mon_peer */
	MON_A_NAME,	/* string <= 95, e.g. "secret:office:private-key", "sock:public:0:hs" */
	MON_A_PATH,	/* string <= 255 */
	MON_A_ERRNO,	/* u32, positive errno, 0 = done */
	MON_A_TEXT,	/* string <= 255, what was wrong with the file */
	__MON_A_MAX,
	MON_A_MAX = __MON_A_MAX - 1,
};

extern const struct nxa_set mon_set; /* lib/mon_proto.c */

#endif /* NX_MON_PROTO_H */
