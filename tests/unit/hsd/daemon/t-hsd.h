/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real nexus-hsd process under test, with this process in the parts of the monitor, the control
 * process and nexus-dp. Every call that waits has a limit and aborts the test beyond it.
 */
#ifndef T_HSD_H
#define T_HSD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/nexus_quic_dco.h>
#include "lib/hs_proto.h"
#include "lib/ipc.h"

#define T_WAIT_MS 15000
#define T_SHORT_ID 0x1122334455667788ULL
#define T_TUNNEL "t"
#define T_NAME "www.example.org"
#define T_QUEUE_MAX 2048

struct t_msg {
	uint8_t *data;
	size_t len;
};

struct t_hsd {
	pid_t pid;
	int mon, ctl, punt; /* our ends */
	uint32_t seq;
	struct t_msg queue[T_QUEUE_MAX]; /* unsolicited messages not yet taken */
	unsigned int n_queue;
	struct t_msg profile; /* the last HS_CMD_COVER_PROFILE; data NULL = none since it was taken */
	/* answer to the last request */
	int err;
	char text[256];
};

/* Start the process, wired, and wait for MON_CMD_READY. @clock_shift_s moves its wall clock. */
void t_hsd_start(struct t_hsd *h, long clock_shift_s);
/* The same, but as a client it sends a ClientHello of two datagrams (long-hello.c). */
void t_hsd_start_long_hello(struct t_hsd *h);
/* The same with a child of this program that @run serves, and @run ends it. */
void t_hsd_start_with(struct t_hsd *h, void (*run)(int monitor_fd));
/* The same with another program in its place: @argv as for execvp(). */
void t_hsd_start_program(struct t_hsd *h, const char *const argv[]);
/* Close its channel and wait for its clean end. */
void t_hsd_stop(struct t_hsd *h);
/* A fresh socket pair of the control process; the old one is closed first. */
void t_hsd_new_control(struct t_hsd *h);
void t_hsd_secret(struct t_hsd *h, const char *name, const uint8_t key[32]);

/* Messages: t_begin(), nxm_put...(), t_request() returns the answer's error (text in h->text). */
struct nxm *t_begin(struct t_hsd *h, uint8_t cmd);
int t_request(struct t_hsd *h, const int *fds, unsigned int n_fds);
/* Take the next unsolicited message; false after @timeout_ms without one. The caller frees it. */
bool t_next_msg(struct t_hsd *h, struct t_msg *m, int timeout_ms);

/* Keys of both ends, by a counter: equal arguments make equal keys. */
void t_key(unsigned int n, uint8_t secret[32], uint8_t public_key[32]);

struct t_config {
	unsigned int server_key; /* numbers for t_key() */
	unsigned int client_key;
	uint64_t short_id;
	const char *server_name; /* NULL = T_NAME */
	const char *ciphers; /* NULL = default */
	const uint8_t *psk; /* NULL = none */
	uint32_t handshake_timeout_ms;
	uint32_t idle_timeout_ms, keepalive_ms, mtu;
	int keylog_fd; /* -1 = none */
	int data_sock; /* of the kernel module; -1 = none, nexus-dp has it */
	bool no_user; /* server: without any user */
	uint32_t max_auth_per_s, max_auth_per_site_per_s; /* server; 0 = default */
	const uint8_t *profile; /* server: of its cover; NULL = none */
	size_t profile_len;
};

/* What goes with everything else equal. */
extern const struct t_config t_default_config;
/* HS_CMD_SET_TUNNEL on either side, with the secrets. Returns the answer. */
int t_set_server(struct t_hsd *h, const struct t_config *c, int sock);
int t_set_client(struct t_hsd *h, const struct t_config *c, int sock);
int t_connect(struct t_hsd *h, uint64_t attempt, const struct sockaddr_storage *remote);
int t_cancel(struct t_hsd *h, uint64_t attempt);
/* HS_CMD_INSTALLED; a later request of the same process comes after it. */
int t_installed(struct t_hsd *h, uint64_t attempt);
uint64_t t_stat(struct t_hsd *h, uint16_t attr);

/* A bound UDP socket on 127.0.0.1 or ::1 (@wildcard: on any address), its address in @name. */
int t_udp(int family, bool wildcard, struct sockaddr_storage *name);
/* One on 127.0.@site.1: another /24, so another site. */
int t_udp_site(uint8_t site, struct sockaddr_storage *name);
/* Connect to the loopback address of the same port. */
void t_loopback(struct sockaddr_storage *name);

/* A parsed HS_CMD_SESSION; points into the message. */
struct t_session {
	struct t_msg msg;
	struct nxa top[HS_A_MAX + 1];
	struct nxa s[NQD_A_SESSION_MAX + 1];
	struct nxa k[NQD_A_KEYS_MAX + 1];
	struct nxa net[HS_A_NET_MAX + 1];
	uint64_t attempt;
};

/* Wait for it; any other message fails the test. */
void t_wait_session(struct t_hsd *h, struct t_session *s);
void t_parse_session(const struct t_msg *m, struct t_session *s);
void t_session_free(struct t_session *s);
/* Wait for HS_CMD_FAILED: its reason; @text of 256 bytes. */
unsigned int t_wait_failed(struct t_hsd *h, char *text);
uint8_t t_msg_cmd(const struct t_msg *m);

uint64_t t_now_ms(void);

#endif /* T_HSD_H */
