/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * key-update CONTROL-PID FD: starts a key update of every session of a data plane, which nobody
 * else does before a limit nears. FD is what the control process has to it. The control process
 * stands still meanwhile, and what is for it stays in its socket. "UPDATED REFUSED" is printed.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/nexus_quic_dco.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/ipc.h"
#include "lib/nlcodec.h"

#define TRIES 200
#define WAIT_MS 5000
#define SESSIONS_MAX 64
/* Far from those of the control process. */
#define FIRST_SEQ 0xf0000000u

static pid_t control;
static int chan;
static uint32_t seq = FIRST_SEQ;
static uint64_t ids[SESSIONS_MAX];
static unsigned int n_ids;
static uint8_t buf[NX_IPC_MAX_LEN];

static void fail(const char *what)
{
	int err = errno;

	kill(control, SIGCONT);
	fprintf(stderr, "%s: %s\n", what, strerror(err));
	exit(1);
}

/* The next message if it answers our request; -EBUSY, and it stays, if it is for another. */
static ssize_t answer(struct nxm_hdr *hdr)
{
	struct pollfd pfd = { .fd = chan, .events = POLLIN };
	struct nxm_error e;
	ssize_t len;

	if (poll(&pfd, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	len = recv(chan, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);
	if (len <= 0)
		return -EIO;
	if (nxm_parse_hdr(buf, len, hdr, &e) || hdr->seq != seq)
		return -EBUSY;
	return recv(chan, buf, sizeof(buf), MSG_DONTWAIT) == len ? len : -EIO;
}

static void begin(struct nxm *m, void *mem, size_t cap, uint8_t cmd, uint16_t flags)
{
	struct nxm_hdr hdr = {
		.type = NXM_FAMILY_DCO,
		.flags = NLM_F_REQUEST | flags,
		.seq = ++seq,
		.cmd = cmd,
		.version = NQD_GENL_VERSION,
	};

	nxm_begin(m, mem, cap, &hdr);
}

static int send_request(struct nxm *m)
{
	ssize_t len = nxm_end(m);

	return len < 0 ? (int)len : nx_ipc_send(chan, m->buf, len, NULL, 0);
}

static void note_session(const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], ses[NQD_A_SESSION_MAX + 1];
	struct nxm_error e;

	if (nxa_parse(hdr->attrs, hdr->attrs_len, &nqd_top_set, top, buf, &e) ||
	    !top[NQD_A_SESSION].present ||
	    nxa_parse_nest(&top[NQD_A_SESSION], &nqd_session_set, ses, buf, &e) ||
	    !ses[NQD_A_SESSION_ID].present || n_ids == SESSIONS_MAX)
		return;
	ids[n_ids++] = nxa_u64(&ses[NQD_A_SESSION_ID]);
}

static int list_sessions(void)
{
	uint8_t mem[128];
	struct nxm_hdr hdr;
	struct nxm m;
	ssize_t r;

	n_ids = 0;
	begin(&m, mem, sizeof(mem), NQD_CMD_GET_STATS, NLM_F_DUMP);
	r = send_request(&m);
	while (!r) {
		r = answer(&hdr);
		if (r < 0 || hdr.type == NLMSG_DONE || hdr.type == NLMSG_ERROR)
			break;
		note_session(&hdr);
		r = 0;
	}
	return r < 0 ? (int)r : 0;
}

/* 0, or what the data plane answers: 1 for a refusal. */
static int update(uint64_t id)
{
	uint8_t mem[128];
	struct nxm_hdr hdr;
	struct nxm_error e;
	struct nxm m;
	uint32_t of;
	size_t nest;
	ssize_t r;

	begin(&m, mem, sizeof(mem), NQD_CMD_KEY_UPDATE, NLM_F_ACK);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, id);
	nxm_nest_end(&m, nest);
	r = send_request(&m);
	if (r < 0)
		return (int)r;
	r = answer(&hdr);
	/* Behind an event, where the control process will ignore it: the request is served. */
	if (r == -EBUSY)
		return 0;
	if (r < 0)
		return (int)r;
	return nxm_parse_ack(buf, r, &of, &e) ? 1 : 0;
}

static int update_all(unsigned int *updated, unsigned int *refused)
{
	int r = list_sessions();

	for (unsigned int i = 0; !r && i < n_ids; i++) {
		r = update(ids[i]);
		*updated += r == 0;
		*refused += r == 1;
		r = r < 0 ? r : 0;
	}
	return r;
}

int main(int argc, char **argv)
{
	unsigned int updated = 0, refused = 0;
	int pidfd, r = -EBUSY;

	if (argc != 3) {
		fprintf(stderr, "usage: key-update CONTROL-PID FD\n");
		return 2;
	}
	control = atoi(argv[1]);
	pidfd = syscall(SYS_pidfd_open, control, 0);
	chan = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, atoi(argv[2]), 0);
	if (chan < 0)
		fail("the control process");
	for (int i = 0; i < TRIES && r == -EBUSY && !updated; i++) {
		kill(control, SIGSTOP);
		r = update_all(&updated, &refused);
		kill(control, SIGCONT);
		/* Time for it to read what is its. */
		if (r == -EBUSY)
			poll(NULL, 0, 5);
	}
	errno = -r;
	if (r && !updated)
		fail("the data plane does not answer");
	printf("%u %u\n", updated, refused);
	return 0;
}
