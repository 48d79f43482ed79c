// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who has a socket that the module has as well: he reads what is left to him as from any other socket, whether he
 * waits for it or not, and whatever ends meanwhile. Runs where the module can be loaded: tests/vm/abi.test.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "t-abi.h"

#define PACKET "\x40 nobody's"

static struct sockaddr_storage bound, peer; /* of fd and from */
static int fd; /* the owner's, of the session's socket */
static int from;
static pid_t reader; /* who waits for something; 0: nobody */

static int add_session(void)
{
	struct abi_session s = t_session(1);
	struct nxm_error e;

	s.socket = fd;
	s.no_keys = true;
	memcpy(&s.remote, &peer, sizeof(s.remote));
	return abi_add_session(&t_abi, &s, &e);
}

static int begin(void **state, const char *address)
{
	if (t_setup(state))
		return -1;
	if (!t_ready)
		return 0;
	fd = abi_open_udp(address, 0, &bound);
	from = abi_open_udp(address, 0, &peer);
	return add_session();
}

static int begin_v4(void **state)
{
	return begin(state, "127.0.0.1");
}

static int begin_v6(void **state)
{
	return begin(state, "::1");
}

/* Also of a case that has failed, whose reader would wait for ever. */
static int end(void **state)
{
	if (reader > 0) {
		kill(reader, SIGKILL);
		waitpid(reader, NULL, 0);
		reader = 0;
	}
	if (t_ready) {
		close(fd);
		close(from);
	}
	return t_teardown(state);
}

static void send_packet(void)
{
	assert_int_equal(sendto(from, PACKET, sizeof(PACKET), 0, (void *)&bound, sizeof(bound)),
			 sizeof(PACKET));
}

static void may_block(void)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* ---- a reader who waits ---- */

static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	return state;
}

/* It has begun to wait; its status will be the length it reads, or 100 and errno. */
static void reader_waits(int flags)
{
	char buf[80];
	int ready[2];
	time_t deadline;
	ssize_t n;

	assert_int_equal(pipe(ready), 0);
	reader = fork();
	assert_true(reader >= 0);
	if (!reader) {
		n = write(ready[1], "", 1);
		n = n == 1 ? recv(fd, buf, sizeof(buf), flags) : -1;
		_exit(n < 0 ? 100 + errno : n);
	}
	assert_int_equal(read(ready[0], buf, 1), 1);
	close(ready[0]);
	close(ready[1]);
	for (deadline = time(NULL) + 10; state_of(reader) != 'S';)
		assert_true(time(NULL) < deadline);
}

static int reader_ends(void)
{
	int status = -1;

	assert_int_equal(waitpid(reader, &status, 0), reader);
	reader = 0;
	return status;
}

static void reader_ends_with(int want)
{
	int status = reader_ends();

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
}

static void reader_is_ended(void)
{
	int status;

	assert_int_equal(kill(reader, SIGTERM), 0);
	status = reader_ends();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* ---- cases ---- */

static void reads_what_is_left(void **state)
{
	struct sockaddr_storage who = { 0 };
	socklen_t len = sizeof(who);
	struct pollfd p = { .events = POLLIN };
	char buf[80];

	T_ONLY_MODULE();
	p.fd = fd;
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, EAGAIN);
	send_packet();
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_PEEK), sizeof(PACKET));
	assert_int_equal(recv(fd, buf, 3, MSG_TRUNC), sizeof(PACKET));
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_ERRQUEUE), -1);
	assert_int_equal(errno, EAGAIN);
	send_packet();
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0, (void *)&who, &len), sizeof(PACKET));
	assert_int_equal(who.ss_family, bound.ss_family);
	assert_int_equal(len, who.ss_family == AF_INET ? 16 : 28);
	assert_memory_equal(buf, PACKET, sizeof(PACKET));
}

static void waits_for_it(void **state)
{
	struct timeval soon = { .tv_usec = 50000 };
	char buf[80];

	T_ONLY_MODULE();
	may_block();
	reader_waits(0);
	send_packet();
	reader_ends_with(sizeof(PACKET));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void waits_in_vain(void **state)
{
	T_ONLY_MODULE();
	may_block();
	reader_waits(0);
	reader_is_ended();
	/* An unconnected socket is shut down all the same, and says that it is not connected. */
	reader_waits(0);
	assert_int_equal(shutdown(fd, SHUT_RD), -1);
	assert_int_equal(errno, ENOTCONN);
	reader_ends_with(0);
}

/* Who has seen what there is waits for more, and does so asleep: he can be ended. */
static void peeks_further(void **state)
{
	struct pollfd p = { .events = POLLIN };
	int offset = 0;
	char buf[80];

	T_ONLY_MODULE();
	p.fd = fd;
	send_packet();
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)), 0);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_PEEK), sizeof(PACKET));
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
	may_block();
	reader_waits(MSG_PEEK);
	send_packet();
	reader_ends_with(sizeof(PACKET));
	reader_waits(MSG_PEEK);
	reader_is_ended();
}

/* Packets of a buffer that has a session's as well, which nobody reads: the kernel counts what it had of the socket. */
static void leaves_them_unread(void **state)
{
	int segment = 100, off = 0;
	struct pollfd p = { .events = POLLIN };
	uint8_t buf[500] = { 0 };
	struct nxm_error e;
	int i;

	T_ONLY_MODULE();
	p.fd = fd;
	/* The third begins with an ID of the session's. */
	for (i = 0; i < 5; i++)
		memset(buf + 100 * i, i == 2 ? 0x84 : 0x70, 100);
	buf[200] = 0x40;
	assert_int_equal(setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(int)), 0);
	assert_int_equal(sendto(from, buf, sizeof(buf), 0, (void *)&bound, sizeof(bound)),
			 sizeof(buf));
	setsockopt(from, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(int));
	assert_int_equal(poll(&p, 1, ABI_TIMEOUT_MS), 1);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 100);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
}

/* He waits on, and reads as if nothing had been; who would wait for some time only is told. */
static void socket_is_given_back(void **state)
{
	struct timeval long_time = { .tv_sec = 600 };
	struct nxm_error e;

	T_ONLY_MODULE();
	may_block();
	reader_waits(0);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	send_packet();
	reader_ends_with(sizeof(PACKET));
	assert_int_equal(add_session(), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof(long_time));
	reader_waits(0);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	reader_ends_with(100 + EINTR);
}

/* ---- and while packets come from everywhere ---- */

#define SENDERS 8
#define TIMES 40

static struct {
	int fds[SENDERS];
	atomic_bool stop;
} crowd;

static void *crowd_sends(void *arg)
{
	unsigned int i;

	for (i = 0; !crowd.stop; i = (i + 1) % SENDERS)
		sendto(crowd.fds[i], PACKET, sizeof(PACKET), 0, (void *)&bound, sizeof(bound));
	return NULL;
}

static void *owner_reads(void *arg)
{
	char buf[80];

	while (!crowd.stop)
		recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	return NULL;
}

/* Each time all of them are left to one or the other, and the socket's account is right. */
static void comes_and_goes(void **state)
{
	struct sockaddr_storage unused;
	pthread_t sends, reads;
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);
	struct nxm_error e;
	char buf[80];
	int i;

	T_ONLY_MODULE();
	crowd.stop = false;
	for (i = 0; i < SENDERS; i++)
		crowd.fds[i] = abi_open_udp("127.0.0.1", 0, &unused);
	assert_int_equal(pthread_create(&sends, NULL, crowd_sends, NULL), 0);
	assert_int_equal(pthread_create(&reads, NULL, owner_reads, NULL), 0);
	for (i = 0; i < TIMES; i++) {
		t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
		if (add_session())
			break;
	}
	crowd.stop = true;
	assert_int_equal(pthread_join(sends, NULL), 0);
	assert_int_equal(pthread_join(reads, NULL), 0);
	assert_int_equal(i, TIMES);
	t_expect(t_simple(NQD_CMD_DELETE_SESSION, 1, 0, &e), 0, &e, NULL);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len), 0);
	assert_int_equal(info[SK_MEMINFO_RMEM_ALLOC], 0);
	for (i = 0; i < SENDERS; i++)
		close(crowd.fds[i]);
}

static void module_goes(void **state)
{
	T_ONLY_MODULE();
	may_block();
	reader_waits(0);
	assert_int_equal(system("rmmod nexus_quic_dco"), 0);
	send_packet();
	reader_ends_with(sizeof(PACKET));
	assert_int_equal(system("modprobe nexus_quic_dco"), 0);
}

int main(int argc, char **argv)
{
#define CASE(fn, setup) cmocka_unit_test_setup_teardown(fn, setup, end)
	const struct CMUnitTest tests[] = {
		CASE(reads_what_is_left, begin_v4), CASE(reads_what_is_left, begin_v6),
		CASE(waits_for_it, begin_v4),	    CASE(waits_for_it, begin_v6),
		CASE(waits_in_vain, begin_v4),	    CASE(peeks_further, begin_v4),
		CASE(leaves_them_unread, begin_v4), CASE(socket_is_given_back, begin_v6),
		CASE(comes_and_goes, begin_v4),	    CASE(module_goes, begin_v4),
	};

	(void)argc;
	(void)argv;
	t_program = "module";
	return cmocka_run_group_tests(tests, t_group_setup, NULL);
}
