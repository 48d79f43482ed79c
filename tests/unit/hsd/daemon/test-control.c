// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The socket to the control process: every refusal says what is wrong, a lost socket costs no
 * handshake, an identical configuration changes nothing, a removed user does not get in.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../dir-entries.h"
#include "t-dp.h"
#include "t-hsd.h"
#include "t-net.h"

static void expect(struct t_hsd *h, const int *fds, unsigned int n_fds, int err, const char *text)
{
	assert_int_equal(t_request(h, fds, n_fds), err);
	if (!strstr(h->text, text))
		fail_msg("\"%s\" does not say \"%s\"", h->text, text);
}

/* A client's SET_TUNNEL with one thing left out or wrong. */
enum defect {
	NO_DEFECT,
	NO_NAME,
	NO_ROLE,
	NO_SERVER_NAME,
	NO_SERVER_KEY,
	NO_SHORT_ID,
	SHORT_KEY,
	BAD_CIPHER,
	BAD_TIMEOUT,
};

static void put_client(struct t_hsd *h, enum defect d, const char *tunnel)
{
	struct nxm *m = t_begin(h, HS_CMD_SET_TUNNEL);
	uint8_t secret[32], key[32];

	t_key(1, secret, key);
	if (d != NO_NAME)
		nxm_put_str(m, HS_A_TUNNEL, tunnel);
	if (d != NO_ROLE)
		nxm_put_u8(m, HS_A_ROLE, NQD_ROLE_CLIENT);
	if (d != NO_SERVER_NAME)
		nxm_put_str(m, HS_A_SERVER_NAME, T_NAME);
	if (d != NO_SERVER_KEY)
		nxm_put(m, HS_A_SERVER_PUBLIC_KEY, key, d == SHORT_KEY ? 31 : 32);
	if (d != NO_SHORT_ID)
		nxm_put_u64(m, HS_A_SHORT_ID, 1);
	if (d == BAD_CIPHER)
		nxm_put_str(m, HS_A_CIPHERS, "aes-128-gcm rc4");
	if (d == BAD_TIMEOUT)
		nxm_put_u32(m, HS_A_HANDSHAKE_TIMEOUT_MS, 1);
}

static void refusals_of_set_tunnel(void **state)
{
	struct sockaddr_storage ignored;
	struct t_hsd h;
	int sock, pipe_fds[2];

	t_hsd_start(&h, 0);
	sock = t_udp(AF_INET, false, &ignored);
	put_client(&h, NO_DEFECT, T_TUNNEL);
	expect(&h, &sock, 1, -ENOKEY, "no private key arrived for tunnel " T_TUNNEL);
	t_hsd_secret(&h, "secret:" T_TUNNEL ":private-key", (const uint8_t[32]){ 1 });
	put_client(&h, NO_NAME, T_TUNNEL);
	expect(&h, &sock, 1, -EINVAL, "HS_A_TUNNEL");
	put_client(&h, NO_ROLE, T_TUNNEL);
	expect(&h, &sock, 1, -EINVAL, "HS_A_ROLE");
	put_client(&h, NO_SERVER_NAME, T_TUNNEL);
	expect(&h, &sock, 1, -EINVAL, "HS_A_SERVER_NAME");
	put_client(&h, NO_SERVER_KEY, T_TUNNEL);
	expect(&h, &sock, 1, -EINVAL, "HS_A_SERVER_PUBLIC_KEY");
	put_client(&h, NO_SHORT_ID, T_TUNNEL);
	expect(&h, &sock, 1, -EINVAL, "HS_A_SHORT_ID");
	put_client(&h, BAD_CIPHER, T_TUNNEL);
	expect(&h, &sock, 1, -EINVAL, "HS_A_CIPHERS");
	put_client(&h, BAD_TIMEOUT, T_TUNNEL);
	expect(&h, &sock, 1, -ERANGE, "HS_A_HANDSHAKE_TIMEOUT_MS");
	put_client(&h, SHORT_KEY, T_TUNNEL);
	t_request(&h, &sock, 1);
	assert_true(h.err < 0);
	assert_non_null(strstr(h.text, "HS_A_SERVER_PUBLIC_KEY"));
	put_client(&h, NO_DEFECT, T_TUNNEL);
	expect(&h, NULL, 0, -EINVAL, "no socket");
	assert_int_equal(pipe(pipe_fds), 0);
	put_client(&h, NO_DEFECT, T_TUNNEL);
	expect(&h, pipe_fds, 1, -ENOTSOCK, "no usable UDP socket");
	/* Nothing of that left a tunnel behind. */
	nxm_put_str(t_begin(&h, HS_CMD_GET_STATS), HS_A_TUNNEL, T_TUNNEL);
	expect(&h, NULL, 0, -ENOENT, "no tunnel " T_TUNNEL);
	put_client(&h, NO_DEFECT, T_TUNNEL);
	assert_int_equal(t_request(&h, &sock, 1), 0);
	close(sock);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	t_hsd_stop(&h);
}

static void refusals_of_connect(void **state)
{
	struct sockaddr_storage client, v6 = { .ss_family = AF_INET6 };
	struct t_hsd h;
	struct nxm *m;
	int sock;

	t_hsd_start(&h, 0);
	sock = t_udp(AF_INET, false, &client);
	assert_int_equal(t_connect(&h, 1, &client), -ENOENT);
	assert_int_equal(t_set_client(&h, &t_default_config, sock), 0);
	m = t_begin(&h, HS_CMD_CONNECT);
	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	expect(&h, NULL, 0, -EINVAL, "HS_A_ATTEMPT");
	((struct sockaddr_in6 *)&v6)->sin6_port = htons(443);
	assert_int_equal(t_connect(&h, 1, &v6), -EAFNOSUPPORT);
	assert_non_null(strstr(h.text, "HS_A_REMOTE_ADDR"));
	((struct sockaddr_in *)&client)->sin_port = 0;
	assert_int_equal(t_connect(&h, 1, &client), -EINVAL);
	t_begin(&h, 200);
	expect(&h, NULL, 0, -EOPNOTSUPP, "unknown command");
	/* Deleting is idempotent. */
	nxm_put_str(t_begin(&h, HS_CMD_DEL_TUNNEL), HS_A_TUNNEL, "nobody");
	assert_int_equal(t_request(&h, NULL, 0), 0);
	close(sock);
	t_hsd_stop(&h);
}

/* Descriptors that come with refused or repeated messages do not pile up. */
static void no_descriptor_leak(void **state)
{
	struct sockaddr_storage ignored;
	struct t_hsd h;
	unsigned int i;
	int before;
	int sock;

	t_hsd_start(&h, 0);
	sock = t_udp(AF_INET, false, &ignored);
	assert_int_equal(t_set_client(&h, &t_default_config, sock), 0);
	before = t_open_fds(h.pid);
	assert_true(before > 0);
	for (i = 0; i < 50; i++) {
		assert_int_equal(t_set_client(&h, &t_default_config, sock), 0);
		put_client(&h, NO_ROLE, T_TUNNEL);
		assert_true(t_request(&h, (const int[]){ sock, sock, sock }, 3) < 0);
		t_begin(&h, 200);
		assert_true(t_request(&h, &sock, 1) < 0);
	}
	assert_int_equal(t_open_fds(h.pid), before);
	close(sock);
	t_hsd_stop(&h);
}

/* The value of a line of /proc/PID/status. */
static long status_of(pid_t pid, const char *key, int base)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			value = strtol(line + strlen(key) + 1, NULL, base);
	}
	fclose(f);
	return value;
}

static void sandboxed(void **state)
{
	struct t_hsd h;

	t_hsd_start(&h, 0);
	assert_int_equal(status_of(h.pid, "Seccomp", 10), 2);
	assert_int_equal(status_of(h.pid, "NoNewPrivs", 10), 1);
	t_hsd_stop(&h);
}

struct scene {
	struct t_hsd server, client;
	struct sockaddr_storage server_addr, client_addr;
	int server_sock, client_sock;
};

static void start(struct scene *s, const struct t_config *c)
{
	t_hsd_start(&s->server, 0);
	t_hsd_start(&s->client, 0);
	s->server_sock = t_udp(AF_INET, false, &s->server_addr);
	s->client_sock = t_udp(AF_INET, false, &s->client_addr);
	assert_int_equal(t_set_server(&s->server, c, s->server_sock), 0);
	assert_int_equal(t_set_client(&s->client, c, s->client_sock), 0);
}

static void stop(struct scene *s)
{
	t_hsd_stop(&s->client);
	t_hsd_stop(&s->server);
	close(s->server_sock);
	close(s->client_sock);
}

static void wait_stat(struct t_hsd *h, uint16_t attr, uint64_t value)
{
	uint64_t limit = t_now_ms() + T_WAIT_MS;

	while (t_stat(h, attr) != value)
		assert_true(t_now_ms() < limit);
}

/* Without a control process a session waits; the next one gets it, tunnels set again or not. */
static void lost_control(void **state)
{
	struct t_session ss, cs;
	struct scene s;

	start(&s, &t_default_config);
	close(s.server.ctl);
	s.server.ctl = -1;
	assert_int_equal(t_connect(&s.client, 5, &s.server_addr), 0);
	/* Wait with the client's end ready, then be the server's next control process. */
	assert_true(poll(&(struct pollfd){ .fd = s.client.ctl, .events = POLLIN }, 1, T_WAIT_MS) >
		    0);
	t_hsd_new_control(&s.server);
	assert_int_equal(t_set_server(&s.server, &t_default_config, s.server_sock), 0);
	t_wait_both(&s.client, &cs, s.client_sock, &s.server, &ss);
	assert_int_equal(ss.k[NQD_A_KEYS_RX_KEY].len, 16);
	assert_memory_equal(ss.k[NQD_A_KEYS_RX_KEY].data, cs.k[NQD_A_KEYS_TX_KEY].data, 16);
	t_session_free(&ss);
	t_session_free(&cs);
	stop(&s);
}

static void cancelled(struct scene *s, uint64_t attempt)
{
	struct nxm *m = t_begin(&s->client, HS_CMD_CANCEL);
	char text[256];

	nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
	nxm_put_u64(m, HS_A_ATTEMPT, attempt);
	assert_int_equal(t_request(&s->client, NULL, 0), 0);
	assert_int_equal(t_wait_failed(&s->client, text), HS_REASON_CANCELLED);
}

static void cancel_and_replace(void **state)
{
	struct t_config c = t_default_config;
	struct sockaddr_storage nobody;
	struct t_msg m;
	char text[256];
	struct scene s;
	int sock;

	start(&s, &c);
	/* A bound socket that nobody reads: the attempts stay pending. */
	sock = t_udp(AF_INET, false, &nobody);
	assert_int_equal(t_connect(&s.client, 1, &nobody), 0);
	assert_int_equal(t_connect(&s.client, 1, &nobody), -EEXIST);
	cancelled(&s, 1);
	/* The same configuration leaves an attempt alone, another one ends it. */
	assert_int_equal(t_connect(&s.client, 2, &nobody), 0);
	assert_int_equal(t_set_client(&s.client, &c, s.client_sock), 0);
	assert_false(t_next_msg(&s.client, &m, 50));
	c.mtu = 1400;
	assert_int_equal(t_set_client(&s.client, &c, s.client_sock), 0);
	assert_int_equal(t_wait_failed(&s.client, text), HS_REASON_CANCELLED);
	assert_int_equal(t_connect(&s.client, 3, &nobody), 0);
	nxm_put_str(t_begin(&s.client, HS_CMD_DEL_TUNNEL), HS_A_TUNNEL, T_TUNNEL);
	assert_int_equal(t_request(&s.client, NULL, 0), 0);
	assert_int_equal(t_wait_failed(&s.client, text), HS_REASON_CANCELLED);
	close(sock);
	stop(&s);
}

/* Remove the user between the first flight and the end of the handshake. */
static void removed_user(void **state)
{
	struct t_config c = t_default_config;
	struct t_net net;
	struct scene s;
	uint64_t limit;

	start(&s, &c);
	t_net_open(&net, &s.server_addr);
	assert_int_equal(t_connect(&s.client, 1, &net.front_name), 0);
	/* Let the first flight through and nothing after it. */
	for (limit = t_now_ms() + T_WAIT_MS; net.up == 0 && t_now_ms() < limit;)
		t_net_pump(&net);
	wait_stat(&s.server, HS_A_STATS_PENDING, 1);
	c.no_user = true;
	assert_int_equal(t_set_server(&s.server, &c, s.server_sock), 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_PENDING), 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_HANDSHAKES_FAILED), 1);
	/* And its next Initial is a stranger's. */
	cancelled(&s, 1);
	assert_int_equal(t_connect(&s.client, 2, &s.server_addr), 0);
	wait_stat(&s.server, HS_A_STATS_REJECTED_SHORT_ID, 1);
	t_net_close(&net);
	stop(&s);
}

/* What the two ends have told of the session that they establish. */
struct established {
	struct t_session client, server;
	struct t_dp dp; /* the client's */
	bool client_done, server_done;
};

/* Take what is told; from then on the client has a data plane, which answers. */
static void take_sessions(struct scene *s, struct established *e)
{
	struct t_msg m;

	if (!e->client_done && t_next_msg(&s->client, &m, 0)) {
		t_parse_session(&m, &e->client);
		e->client_done = true;
		t_dp_install(&e->dp, &s->client, &e->client, s->client_sock);
	}
	if (e->client_done)
		t_dp_pump(&e->dp);
	if (!e->server_done && t_next_msg(&s->server, &m, 0)) {
		t_parse_session(&m, &e->server);
		e->server_done = true;
	}
}

static void free_sessions(struct established *e)
{
	t_session_free(&e->server);
	t_session_free(&e->client);
	t_dp_free(&e->dp);
}

/* Short packets arrive at the data plane's socket and come over the punt socket instead. */
static void punted_with(uint16_t flags)
{
	struct established e = { 0 };
	struct hs_punt_hdr hdr;
	uint8_t buf[4096];
	struct pollfd p;
	struct scene s;
	struct t_net net;
	uint64_t limit = t_now_ms() + T_WAIT_MS;
	ssize_t n;

	start(&s, &t_default_config);
	t_net_open(&net, &s.server_addr);
	assert_int_equal(t_connect(&s.client, 1, &net.front_name), 0);
	while (!e.server_done || !e.client_done) {
		assert_true(t_now_ms() < limit);
		p = (struct pollfd){ .fd = net.front, .events = POLLIN };
		poll(&p, 1, 2);
		n = recvfrom(net.front, buf + sizeof(hdr), sizeof(buf) - sizeof(hdr), MSG_DONTWAIT,
			     (struct sockaddr *)&net.client, &(socklen_t){ sizeof(net.client) });
		if (n > 0 && buf[sizeof(hdr)] & 0x80) {
			net.has_client = true;
			send(net.back, buf + sizeof(hdr), (size_t)n, 0);
		} else if (n > 0) {
			/* As nexus-dp hands it over. */
			memset(&hdr, 0, sizeof(hdr));
			hdr.flags = flags;
			hdr.local_port = ((struct sockaddr_in *)&s.server_addr)->sin_port;
			hdr.len = (uint16_t)n;
			assert_int_equal(getsockname(net.back, &hdr.remote.sa,
						     &(socklen_t){ sizeof(hdr.remote) }),
					 0);
			memcpy(buf, &hdr, sizeof(hdr));
			assert_int_equal(
				nx_ipc_send(s.server.punt, buf, sizeof(hdr) + (size_t)n, NULL, 0),
				0);
		}
		t_net_pump(&net);
		take_sessions(&s, &e);
	}
	free_sessions(&e);
	t_net_close(&net);
	stop(&s);
}

static void punted_packets(void **state)
{
	punted_with(0);
}

/* The data plane has by chance a session of the same short ID and asks both. */
static void punted_copies(void **state)
{
	punted_with(HS_PUNT_F_IF_YOURS);
}

/* A second socket of the same address, which the kernel gives all short packets, as in nexusd. */
static int data_socket(int sock, const struct sockaddr *addr)
{
	static const int one = 1;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(sock, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, addr, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(
		setsockopt(sock, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)), 0);
	return fd;
}

/*
 * The kernel module has the data socket: what it leaves there is read by nexus-hsd itself, and a whole
 * handshake goes through. When nexus-dp has it again, nobody else reads it.
 */
static void data_sockets(void **state)
{
	struct t_config c = t_default_config, other = t_default_config;
	struct established e = { 0 };
	struct t_net net;
	struct scene s;
	uint8_t byte;
	uint64_t limit = t_now_ms() + T_WAIT_MS;

	start(&s, &c);
	c.data_sock = data_socket(s.server_sock, (struct sockaddr *)&s.server_addr);
	assert_int_equal(t_set_server(&s.server, &c, s.server_sock), 0);
	t_net_open(&net, &s.server_addr);
	assert_int_equal(t_connect(&s.client, 1, &net.front_name), 0);
	while (!e.server_done || !e.client_done) {
		struct pollfd p = { .fd = net.front, .events = POLLIN };

		assert_true(t_now_ms() < limit);
		poll(&p, 1, 2);
		t_net_pump(&net);
		take_sessions(&s, &e);
	}
	/* One of another address is no data socket of this pair. */
	other.data_sock = s.client_sock;
	assert_int_equal(t_set_server(&s.server, &other, s.server_sock), -EINVAL);

	assert_int_equal(t_set_server(&s.server, &t_default_config, s.server_sock), 0);
	assert_int_equal(sendto(net.back, "\x41 nobody's", 10, 0, NULL, 0), 10);
	while (recv(c.data_sock, &byte, 1, MSG_DONTWAIT) < 0)
		assert_true(t_now_ms() < limit);
	free_sessions(&e);
	t_net_close(&net);
	close(c.data_sock);
	stop(&s);
}

/* Malformed punts, and a monitor that ends: no crash, a clean exit (in t_hsd_stop()). */
static void bad_punts(void **state)
{
	uint8_t buf[256] = { 0 };
	struct scene s;
	size_t len;

	start(&s, &t_default_config);
	for (len = 1; len < sizeof(buf); len++) {
		memset(buf, (int)len, len);
		assert_int_equal(nx_ipc_send(s.server.punt, buf, len, NULL, 0), 0);
	}
	assert_int_equal(t_stat(&s.server, HS_A_STATS_PENDING), 0);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_of_set_tunnel),
		cmocka_unit_test(refusals_of_connect),
		cmocka_unit_test(no_descriptor_leak),
		cmocka_unit_test(lost_control),
		cmocka_unit_test(cancel_and_replace),
		cmocka_unit_test(removed_user),
		cmocka_unit_test(punted_packets),
		cmocka_unit_test(punted_copies),
		cmocka_unit_test(data_sockets),
		cmocka_unit_test(bad_punts),
		cmocka_unit_test(sandboxed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
