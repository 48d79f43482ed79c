// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cover profiles: their bytes, whatever they are; a server that follows one, seen from the path between
 * real nexus-hsd processes; and learning, from ngtcp2's own server and from covers that are none.
 */
#include <errno.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "hsd-test.h"
#include "learn.h"
#include "profile.h"
#include "shape.h"
#include "t-cert.h"
#include "t-hsd.h"

#define SEEN_MAX 32

static const struct hs_profile_dgram initial_alone = { 1, { { HS_PACKET_INITIAL, 1252 } } };
static const struct hs_profile_dgram hello = {
	2, { { HS_PACKET_INITIAL, 512 }, { HS_PACKET_HANDSHAKE, 740 } }
};
static const struct hs_profile_dgram stream = { 1, { { HS_PACKET_1RTT, 44 } } };

/* As Caddy answers. */
static struct hs_profile caddy(void)
{
	struct hs_profile p = {
		.learned_s = 1763600000,
		.cipher = 0x1301,
		.group = 29,
		.scid_len = 4,
		.style = { .initial_padded = true, .padding_first = true },
		.handshake_bytes = 690,
		.n_flights = 1,
		.flights = { { 2, { hello, stream } } },
		.n_repeats = 2,
		.repeats = { { 200, initial_alone }, { 200, initial_alone } },
		.finished = { 1, { stream } },
	};

	hs_profile_hash_name(p.name_hash, T_NAME);
	return p;
}

/* A large chain: three datagrams, and another cipher and group. */
static struct hs_profile chain(void)
{
	struct hs_profile p = caddy();

	p.cipher = 0x1302;
	p.group = 23;
	p.scid_len = 8;
	p.style = (struct hs_profile_style){ .long_length = true, .random_pn = true };
	p.handshake_bytes = 2900;
	p.flights[0] = (struct hs_profile_flight){
		3,
		{ { 2, { { HS_PACKET_INITIAL, 196 }, { HS_PACKET_HANDSHAKE, 1004 } } },
		  { 1, { { HS_PACKET_HANDSHAKE, 1200 } } },
		  { 2, { { HS_PACKET_HANDSHAKE, 800 }, { HS_PACKET_1RTT, 400 } } } },
	};
	p.n_repeats = 1;
	p.repeats[0] = (struct hs_profile_repeat){ 300, initial_alone };
	return p;
}

/* Initial and Handshake in datagrams of their own, nothing with a short header. */
static struct hs_profile apart(void)
{
	struct hs_profile p = caddy();

	p.scid_len = 20;
	p.flights[0] = (struct hs_profile_flight){
		2, { initial_alone, { 1, { { HS_PACKET_HANDSHAKE, 900 } } } }
	};
	p.n_repeats = 0;
	return p;
}

/* Within the bounds, but nobody can answer like that. */
static struct hs_profile nonsense(void)
{
	struct hs_profile p = caddy();

	p.flights[0] = (struct hs_profile_flight){
		4,
		{ { 1, { { HS_PACKET_RETRY, 90 } } },
		  { 2, { { HS_PACKET_0RTT, 700 }, { HS_PACKET_INITIAL, 1 } } },
		  { 3,
		    { { HS_PACKET_1RTT, 1 }, { HS_PACKET_HANDSHAKE, 2 }, { HS_PACKET_1RTT, 9 } } },
		  { 1, { { HS_PACKET_HANDSHAKE, 60 } } } },
	};
	p.repeats[0].dgram = p.flights[0].dgrams[1];
	p.repeats[1].dgram = p.flights[0].dgrams[2];
	return p;
}

/* A Retry and nothing else. */
static struct hs_profile retry(void)
{
	struct hs_profile p = caddy();

	p.flights[0].n_dgrams = 1;
	p.flights[0].dgrams[0] = (struct hs_profile_dgram){ 1, { { HS_PACKET_RETRY, 90 } } };
	return p;
}

/* ---- bytes ---- */

static void round_trip(void **state)
{
	struct hs_profile p = chain(), q;
	uint8_t blob[HS_PROFILE_BLOB_MAX + 1];
	ssize_t n, i;

	n = hs_profile_encode(&p, blob, sizeof(blob));
	assert_in_range(n, 1, HS_PROFILE_BLOB_MAX);
	assert_int_equal(hs_profile_decode(blob, (size_t)n, &q), 0);
	assert_int_equal(hs_profile_encode(&q, blob, sizeof(blob)), n);
	for (i = 0; i < n; i++) {
		assert_int_equal(hs_profile_decode(blob, (size_t)i, &q), -EBADMSG);
		assert_int_equal(q.n_flights, 0);
		assert_int_equal(hs_profile_encode(&p, blob, (size_t)i), -EMSGSIZE);
	}
	assert_int_equal(hs_profile_encode(&p, blob, sizeof(blob)), n);
	blob[n] = 0;
	assert_int_equal(hs_profile_decode(blob, (size_t)n + 1, &q), -EBADMSG);
}

/* Every bound is kept: the largest profile fits, one more of anything is refused. */
static void bounds(void **state)
{
	struct hs_profile p = caddy(), q;
	uint8_t blob[HS_PROFILE_BLOB_MAX];
	struct hs_profile_dgram full = { HS_PROFILE_PACKETS_MAX,
					 { { 0, 300 }, { 2, 300 }, { 2, 300 }, { 4, 600 } } };
	unsigned int i, k;
	ssize_t n;

	p.n_flights = HS_PROFILE_FLIGHTS_MAX;
	p.n_repeats = HS_PROFILE_REPEATS_MAX;
	for (i = 0; i < HS_PROFILE_FLIGHTS_MAX; i++) {
		p.flights[i].n_dgrams = HS_PROFILE_DGRAMS_MAX;
		for (k = 0; k < HS_PROFILE_DGRAMS_MAX; k++)
			p.flights[i].dgrams[k] = full;
	}
	for (i = 0; i < HS_PROFILE_REPEATS_MAX; i++)
		p.repeats[i].dgram = full;
	p.finished = p.flights[0];
	for (i = 2; i < HS_PROFILE_REPEATS_MAX; i++)
		p.repeats[i].after_ms = 300;
	n = hs_profile_encode(&p, blob, sizeof(blob));
	assert_true(n > 0);
	assert_int_equal(hs_profile_decode(blob, (size_t)n, &q), 0);
	p.repeats[7].after_ms = 299;
	n = hs_profile_encode(&p, blob, sizeof(blob));
	assert_int_equal(hs_profile_decode(blob, (size_t)n, &q), -EBADMSG);
	p.repeats[7].after_ms = 300;
	p.flights[3].dgrams[5].packets[3].bytes = 601;
	n = hs_profile_encode(&p, blob, sizeof(blob));
	assert_int_equal(hs_profile_decode(blob, (size_t)n, &q), -EBADMSG);
}

static void cut(void **state)
{
	static uint8_t data[1600] = { 0xc0, 0, 0, 0, 1, 2, 1, 2, 1, 3, 0, 0x40, 30 };
	struct hs_profile_dgram d;
	size_t at = 13 + 30;

	data[at] = 0x40;
	assert_true(hs_profile_cut(data, 100, &d));
	assert_int_equal(d.n_packets, 2);
	assert_int_equal(d.packets[0].type, HS_PACKET_INITIAL);
	assert_int_equal(d.packets[0].bytes, at);
	assert_int_equal(d.packets[1].type, HS_PACKET_1RTT);
	assert_int_equal(d.packets[1].bytes, 100 - at);
	assert_false(hs_profile_cut(data, 0, &d));
	assert_false(hs_profile_cut(data, at - 1, &d));
	assert_false(hs_profile_cut(data, HS_PROFILE_DGRAM_BYTES_MAX + 1, &d));
	data[4] = 2; /* another version */
	assert_false(hs_profile_cut(data, 100, &d));
}

static void padding(void **state)
{
	static const uint8_t first[] = { 2, 0, 0, 0, 0, 0, 0, 6, 0, 2, 'a', 'b' };
	static const uint8_t behind[] = { 6, 0, 2, 0, 0, 0, 0 }, none[] = { 6, 0, 2, 0, 0 };
	struct hs_profile_style s;
	uint8_t out[16];

	hs_shape_find_padding(first, sizeof(first), &s);
	assert_true(s.initial_padded && s.padding_first);
	hs_shape_find_padding(behind, sizeof(behind), &s);
	assert_true(s.initial_padded && !s.padding_first);
	hs_shape_find_padding(none, sizeof(none), &s);
	assert_false(s.initial_padded || s.padding_first);
	assert_int_equal(hs_shape_strip_padding(first, sizeof(first), out), 10);
	assert_memory_equal(out, "\2\0\0\0\0\6\0\2ab", 10);
	assert_int_equal(hs_shape_strip_padding(behind, sizeof(behind), out), 5);
	assert_int_equal(hs_shape_strip_padding((const uint8_t *)"\6\0\3ab", 5, out), -EBADMSG);
	assert_int_equal(hs_shape_strip_padding((const uint8_t *)"\x1f", 1, out), -EBADMSG);
}

/* ---- following ---- */

/* A path between client and server that notes what the server sends, in a thread of its own. */
struct path {
	int front, back;
	struct sockaddr_storage name, client;
	bool stop, mute; /* mute: of the client only the first datagram passes */
	unsigned int up, n, lose; /* lose: so many of the server's first datagrams */
	size_t up_bytes, down_bytes;
	size_t first_len; /* of the client */
	uint8_t first[2048];
	struct {
		uint64_t at_ms;
		uint8_t scid_len;
		struct hs_profile_dgram dgram;
	} seen[SEEN_MAX];
	pthread_t thread;
};

static socklen_t size_of(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* @at_ms: when the server sent it, by the wall clock, however late this thread runs. */
static ssize_t receive_stamped(int fd, uint8_t *buf, size_t cap, uint64_t *at_ms)
{
	struct iovec iov = { buf, cap };
	char control[CMSG_SPACE(sizeof(struct timespec))];
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	struct timespec ts;

	if (n <= 0)
		return n;
	if (!CMSG_FIRSTHDR(&msg))
		abort(); /* not in the thread of the tests */
	memcpy(&ts, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(ts));
	*at_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	return n;
}

static void note(struct path *p, const uint8_t *data, size_t len, uint64_t at_ms)
{
	unsigned int n = p->n;

	if (n == SEEN_MAX || !hs_profile_cut(data, len, &p->seen[n].dgram))
		return;
	p->seen[n].at_ms = at_ms;
	p->seen[n].scid_len = data[6 + data[5]];
	__atomic_store_n(&p->n, n + 1, __ATOMIC_RELEASE);
}

static void *run_path(void *arg)
{
	struct path *p = arg;
	struct pollfd fds[2] = { { .fd = p->front, .events = POLLIN },
				 { .fd = p->back, .events = POLLIN } };
	socklen_t len = sizeof(p->client);
	uint8_t buf[2048];
	uint64_t at_ms;
	ssize_t n;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		poll(fds, 2, 20);
		n = recvfrom(p->front, buf, sizeof(buf), MSG_DONTWAIT,
			     (struct sockaddr *)&p->client, &len);
		if (n > 0 && (!__atomic_load_n(&p->mute, __ATOMIC_ACQUIRE) || p->up == 0)) {
			if (p->up++ == 0) {
				memcpy(p->first, buf, (size_t)n);
				p->first_len = (size_t)n;
			}
			p->up_bytes += (size_t)n;
			send(p->back, buf, (size_t)n, 0);
		}
		n = receive_stamped(p->back, buf, sizeof(buf), &at_ms);
		if (n <= 0)
			continue;
		p->down_bytes += (size_t)n;
		note(p, buf, (size_t)n, at_ms);
		if (!__atomic_load_n(&p->mute, __ATOMIC_ACQUIRE) && p->n > p->lose)
			sendto(p->front, buf, (size_t)n, 0, (struct sockaddr *)&p->client,
			       size_of(&p->client));
	}
	return NULL;
}

static void open_path(struct path *p, const struct sockaddr_storage *server, bool mute,
		      unsigned int lose)
{
	const int on = 1;

	memset(p, 0, sizeof(*p));
	p->mute = mute;
	p->lose = lose;
	p->front = t_udp(AF_INET, false, &p->name);
	p->back = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(p->back, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
	assert_int_equal(connect(p->back, (const struct sockaddr *)server, size_of(server)), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, run_path, p), 0);
}

static void stop_path(struct path *p)
{
	if (!p->stop) {
		__atomic_store_n(&p->stop, true, __ATOMIC_RELEASE);
		pthread_join(p->thread, NULL);
	}
}

static void close_path(struct path *p)
{
	stop_path(p);
	close(p->front);
	close(p->back);
}

static unsigned int seen(const struct path *p)
{
	return __atomic_load_n(&p->n, __ATOMIC_ACQUIRE);
}

static void expect_dgram(const struct hs_profile_dgram *got, const struct hs_profile_dgram *want,
			 bool natural_initial)
{
	unsigned int i;

	assert_int_equal(hs_profile_dgram_bytes(got), hs_profile_dgram_bytes(want));
	assert_int_equal(got->n_packets, want->n_packets);
	for (i = 0; i < want->n_packets; i++) {
		assert_int_equal(got->packets[i].type, want->packets[i].type);
		if (!natural_initial)
			assert_int_equal(got->packets[i].bytes, want->packets[i].bytes);
	}
}

struct pair {
	struct t_hsd server, client;
	struct path path;
	int sock, client_sock; /* sock: the server's */
};

/* @server: without the profile. */
static void start_pair_as(struct pair *s, const struct t_config *server, const struct hs_profile *p,
			  bool mute, unsigned int lose)
{
	struct sockaddr_storage name, client_name;
	struct t_config c = *server;
	uint8_t blob[HS_PROFILE_BLOB_MAX];

	c.profile = blob;
	c.profile_len = (size_t)hs_profile_encode(p, blob, sizeof(blob));
	t_hsd_start(&s->server, 0);
	t_hsd_start(&s->client, 0);
	s->sock = t_udp(AF_INET, false, &name);
	assert_int_equal(t_set_server(&s->server, &c, s->sock), 0);
	s->client_sock = t_udp(AF_INET, false, &client_name);
	assert_int_equal(t_set_client(&s->client, &t_default_config, s->client_sock), 0);
	open_path(&s->path, &name, mute, lose);
	assert_int_equal(t_connect(&s->client, 1, &s->path.name), 0);
}

static void start_pair(struct pair *s, const struct hs_profile *p, bool mute, unsigned int lose)
{
	start_pair_as(s, &t_default_config, p, mute, lose);
}

static void stop_pair(struct pair *s)
{
	close_path(&s->path);
	close(s->sock);
	close(s->client_sock);
	t_hsd_stop(&s->client);
	t_hsd_stop(&s->server);
}

/* The flight is the profile's to the byte, and the handshake comes to its end. */
static void follows(const struct hs_profile *p)
{
	const struct hs_profile_flight *f = &p->flights[0];
	struct t_session cs;
	unsigned int i;
	struct pair s;

	start_pair(&s, p, false, 0);
	t_wait_session(&s.client, &cs);
	assert_true(seen(&s.path) >= f->n_dgrams);
	for (i = 0; i < f->n_dgrams; i++)
		expect_dgram(&s.path.seen[i].dgram, &f->dgrams[i], !p->style.initial_padded);
	assert_int_equal(s.path.seen[0].scid_len, p->scid_len);
	assert_int_equal(nxa_u16(&cs.s[NQD_A_SESSION_CIPHER]), p->cipher);
	t_session_free(&cs);
	stop_pair(&s);
}

static void follow_caddy(void **state)
{
	struct hs_profile p = caddy();

	follows(&p);
}

static void follow_chain(void **state)
{
	struct hs_profile p = chain();

	follows(&p);
}

static void follow_apart(void **state)
{
	struct hs_profile p = apart();

	follows(&p);
}

/* A flight that is lost, and with it what was made as if it were: the client asks again and gets in. */
static void lost_flight(const struct hs_profile *p, unsigned int lose)
{
	struct t_session cs;
	struct pair s;

	start_pair(&s, p, false, lose);
	t_wait_session(&s.client, &cs);
	assert_true(seen(&s.path) > lose);
	t_session_free(&cs);
	stop_pair(&s);
}

static void lost_without_repeats(void **state)
{
	struct hs_profile p = apart();

	lost_flight(&p, 2);
}

static void lost_with_repeats(void **state)
{
	struct hs_profile p = caddy();

	lost_flight(&p, 4);
}

static void lost_in_part(void **state)
{
	struct hs_profile p = chain();

	lost_flight(&p, 1);
}

/* What cannot be followed does not keep anybody out. */
static void nonsense_profiles(void **state)
{
	struct hs_profile p = nonsense();

	lost_flight(&p, 0);
	lost_flight(&p, 1);
	p = retry();
	lost_flight(&p, 0);
}

/* More TLS than a certificate of ours can have: it has as much as it can. */
static void huge_handshake(void **state)
{
	struct hs_profile p = chain();

	p.handshake_bytes = UINT16_MAX;
	lost_flight(&p, 0);
}

static bool wait_seen(const struct path *p, unsigned int n)
{
	uint64_t until_ms = t_now_ms() + T_WAIT_MS;

	while (seen(p) < n && t_now_ms() < until_ms)
		poll(NULL, 0, 10);
	return seen(p) >= n;
}

/* As many probes as the repeats need pass ngtcp2's idle timeout; the client is heard after that. */
static void repeats_beyond_idle_timeout(void **state)
{
	struct t_config server = t_default_config;
	struct hs_profile p = caddy();
	struct t_session cs;
	uint64_t until_ms;
	unsigned int i;
	struct pair s;

	p.n_repeats = HS_PROFILE_REPEATS_MAX;
	for (i = 0; i < HS_PROFILE_REPEATS_MAX; i++)
		p.repeats[i] = (struct hs_profile_repeat){ (uint16_t)(100 + i), initial_alone };
	server.idle_timeout_ms = 1000;
	start_pair_as(&s, &server, &p, true, 0);
	assert_true(wait_seen(&s.path, p.flights[0].n_dgrams));
	for (until_ms = t_now_ms() + 100 + i; t_now_ms() <= until_ms;)
		poll(NULL, 0, 10);
	/* A turn of the server, so that it has done what was due. */
	t_stat(&s.server, HS_A_STATS_PENDING);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_HANDSHAKES_FAILED), 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_PENDING), 1);
	__atomic_store_n(&s.path.mute, false, __ATOMIC_RELEASE);
	t_wait_session(&s.client, &cs);
	t_session_free(&cs);
	stop_pair(&s);
}

static void say(struct pair *s, const uint8_t *data, size_t len)
{
	assert_int_equal(send(s->path.back, data, len, 0), len);
}

/* What everybody on the path can send in the client's name without being the client. */
static void meddle(struct pair *s)
{
	uint8_t data[sizeof(s->path.first)];
	const uint8_t *first = s->path.first;
	size_t len = s->path.first_len;

	/* The first flight again. */
	say(s, first, len);
	/* An Initial that does not open. */
	memcpy(data, first, len);
	data[len - 1] ^= 1;
	say(s, data, len);
	/* Garbage with the header of a Handshake packet. */
	memset(data, 0xa5, sizeof(data));
	memcpy(data, "\xe0\0\0\0\1\x14", 6);
	memcpy(data + 6, first + 6, 20);
	memcpy(data + 26, "\0\x40\x40", 3);
	say(s, data, 29 + 64);
	/* A short header. */
	memcpy(data + 1, first + 6, 20);
	data[0] = 0x40;
	say(s, data, 60);
}

/* Nobody answers: repeats like the cover's, at its times, and not a byte more. */
static void repeats(const struct hs_profile *p, void (*meanwhile)(struct pair *s))
{
	unsigned int n = p->flights[0].n_dgrams, i, after_ms;
	char text[256];
	struct pair s;

	start_pair(&s, p, true, 0);
	assert_true(wait_seen(&s.path, n));
	if (meanwhile)
		meanwhile(&s);
	assert_true(wait_seen(&s.path, n + p->n_repeats));
	for (i = 0; i < p->n_repeats; i++) {
		expect_dgram(&s.path.seen[n + i].dgram, &p->repeats[i].dgram, false);
		after_ms = (unsigned int)(s.path.seen[n + i].at_ms - s.path.seen[0].at_ms);
		assert_in_range(after_ms, p->repeats[i].after_ms - 2,
				p->repeats[i].after_ms + 2000);
	}
	/* Also when both ends have given up. */
	t_wait_failed(&s.client, text);
	assert_int_equal(seen(&s.path), n + p->n_repeats);
	stop_pair(&s);
}

static void repeat_caddy(void **state)
{
	struct hs_profile p = caddy();

	repeats(&p, NULL);
}

static void repeat_to_meddler(void **state)
{
	struct hs_profile p = caddy();

	repeats(&p, meddle);
	p.n_repeats = 0;
	repeats(&p, meddle);
}

/* An Initial with a PING, which needs no key that is not in the client's first datagram. */
static void forge_initial(struct pair *s)
{
	const uint8_t *first = s->path.first;
	const struct t_initial p = { .dcid = first + 6,
				     .dcid_len = 20,
				     .scid = first + 27,
				     .scid_len = 20,
				     .pn = 1000,
				     .pn_len = 2 };
	uint8_t frames[1140] = { 1 }, packet[1500];

	say(s, packet, t_seal_initial(packet, sizeof(packet), &p, frames, sizeof(frames)));
}

/*
 * An Initial shows nobody: the server's own reasons to end, here that the user goes, are not told, as
 * the cover has none. The forger is sent what may be sent to him; then there is silence.
 */
static void no_close_to_forger(void **state)
{
	struct t_config without_user = t_default_config;
	struct hs_profile p = chain();
	uint64_t until_ms;
	struct pair s;
	uint8_t byte;

	p.repeats[0].after_ms = 30;
	start_pair(&s, &p, true, 0);
	assert_true(wait_seen(&s.path, p.flights[0].n_dgrams));
	forge_initial(&s);
	for (until_ms = t_now_ms() + T_WAIT_MS; t_now_ms() < until_ms; poll(NULL, 0, 10)) {
		if (__atomic_load_n(&s.path.down_bytes, __ATOMIC_ACQUIRE) + 1200 >
		    3 * (s.path.first_len + 1200))
			break;
	}
	assert_true(t_now_ms() < until_ms);
	stop_path(&s.path);
	assert_true(recv(s.path.back, &byte, 1, MSG_DONTWAIT) < 0);
	without_user.no_user = true;
	assert_int_equal(t_set_server(&s.server, &without_user, s.sock), 0);
	assert_int_equal(t_stat(&s.server, HS_A_STATS_HANDSHAKES_FAILED), 1);
	assert_true(recv(s.path.back, &byte, 1, MSG_DONTWAIT) < 0);
	stop_pair(&s);
}

/* Three times what came in is enough: what the profile asks for beyond that stays unsent. */
static void amplification(void **state)
{
	struct hs_profile p = caddy();
	char text[256];
	struct pair s;
	unsigned int i;

	p.n_repeats = HS_PROFILE_REPEATS_MAX;
	for (i = 0; i < HS_PROFILE_REPEATS_MAX; i++)
		p.repeats[i] = (struct hs_profile_repeat){ (uint16_t)(100 + i), initial_alone };
	start_pair(&s, &p, true, 0);
	t_wait_failed(&s.client, text);
	assert_in_range(s.path.down_bytes, 3 * s.path.up_bytes, 3 * s.path.up_bytes + 1252);
	stop_pair(&s);
}

/* ---- learning ---- */

struct scene {
	struct t_hsd h;
	struct sockaddr_storage server, cover;
	char dir[64];
	pid_t pid;
};

/* A pool's beginning; @replace as the control process does it at a start, a reload and a move. */
static void give_pool(struct scene *s, bool replace)
{
	int fds[8], i, k;
	struct nxm *m;

	for (k = 0; k < 5; k++) {
		for (i = 0; i < 8; i++) {
			fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
			assert_int_equal(
				connect(fds[i], (struct sockaddr *)&s->cover, size_of(&s->cover)),
				0);
		}
		m = t_begin(&s->h, HS_CMD_RELAY_SOCKETS);
		nxm_put_str(m, HS_A_TUNNEL, T_TUNNEL);
		if (replace && k == 0)
			nxm_put_flag(m, HS_A_REPLACE);
		assert_int_equal(t_request(&s->h, fds, 8), 0);
		nx_close_fds(fds, 8);
	}
}

static void give_sockets(struct scene *s)
{
	give_pool(s, false);
}

static void start_server_as(struct scene *s, const struct t_config *c)
{
	int sock;

	t_hsd_start(&s->h, 0);
	sock = t_udp(AF_INET, false, &s->server);
	assert_int_equal(t_set_server(&s->h, c, sock), 0);
	close(sock);
}

static void start_server(struct scene *s)
{
	start_server_as(s, &t_default_config);
}

static void write_file(const char *dir, const char *name, const gnutls_datum_t *d)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(d->data, 1, d->size, f), d->size);
	assert_int_equal(fclose(f), 0);
}

static void make_identity(const char *dir)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t d;

	t_make_certificate(T_NAME, &key, &crt);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d), 0);
	write_file(dir, "cert.pem", &d);
	gnutls_free(d.data);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &d), 0);
	write_file(dir, "key.pem", &d);
	gnutls_free(d.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

/* ngtcp2's server at s->cover, which is a free address. */
static void start_gtlsserver(struct scene *s)
{
	char port[8], key[80], cert[80];

	strcpy(s->dir, "/tmp/nexus-cover-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	make_identity(s->dir);
	snprintf(key, sizeof(key), "%s/key.pem", s->dir);
	snprintf(cert, sizeof(cert), "%s/cert.pem", s->dir);
	snprintf(port, sizeof(port), "%u", ntohs(((struct sockaddr_in *)&s->cover)->sin_port));
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		/* Also when the test ends by a failure. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("gtlsserver", "gtlsserver", "-q", "-d", s->dir, "127.0.0.1", port, key, cert,
		       NULL);
		_exit(127);
	}
}

static void stop_gtlsserver(struct scene *s)
{
	char path[80];

	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/key.pem", s->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/cert.pem", s->dir);
	unlink(path);
	rmdir(s->dir);
}

/* The profile of the last HS_CMD_COVER_PROFILE, if it has one. */
static bool take_profile(struct t_hsd *h, struct hs_profile *p)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;
	struct nxm_hdr hdr;
	bool got;

	if (!h->profile.data)
		return false;
	assert_int_equal(nxm_parse_hdr(h->profile.data, h->profile.len, &hdr, &e), 0);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, tb, h->profile.data, &e), 0);
	got = tb[HS_A_COVER_PROFILE].present;
	if (got)
		assert_int_equal(hs_profile_decode(tb[HS_A_COVER_PROFILE].data,
						   tb[HS_A_COVER_PROFILE].len, p),
				 0);
	assert_true(tb[HS_A_DIFFERENCE].present);
	free(h->profile.data);
	h->profile.data = NULL;
	return got;
}

/* Nothing comes from the server in that time but the wish for more sockets. */
static void expect_quiet(struct t_hsd *h, int timeout_ms)
{
	struct t_msg m;

	while (t_next_msg(h, &m, timeout_ms)) {
		assert_int_equal(t_msg_cmd(&m), HS_CMD_RELAY_WANTED);
		free(m.data);
	}
}

/* A long way to a cover: a forwarder with a socket for each client, and a line that all wait in. */
#define FAR_WAYS 8
#define FAR_LINE 256

struct far {
	int front;
	unsigned int delay_ms, n_ways;
	uint64_t first, next; /* of the line */
	struct {
		struct sockaddr_storage client;
		int back;
	} ways[FAR_WAYS];
	struct {
		unsigned int way;
		bool up;
		uint64_t due_ms;
		size_t len;
		uint8_t data[2048];
	} line[FAR_LINE];
};

static unsigned int way_of(struct far *f, const struct sockaddr_storage *client,
			   const struct sockaddr_storage *server)
{
	unsigned int i;

	for (i = 0; i < f->n_ways; i++) {
		if (memcmp(&f->ways[i].client, client, size_of(client)) == 0)
			return i;
	}
	assert_true(i < FAR_WAYS);
	f->ways[i].client = *client;
	f->ways[i].back = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f->ways[i].back, (const struct sockaddr *)server, size_of(server)),
			 0);
	f->n_ways++;
	return i;
}

/* What comes from @fd joins the line. @client: of it, filled by the way up. */
static bool join_line(struct far *f, int fd, struct sockaddr_storage *client)
{
	socklen_t len = sizeof(*client);
	uint64_t n = f->next % FAR_LINE;
	ssize_t got = recvfrom(fd, f->line[n].data, sizeof(f->line[n].data), MSG_DONTWAIT,
			       (struct sockaddr *)client, &len);

	if (got < 0)
		return false;
	f->line[n].len = (size_t)got;
	f->line[n].due_ms = t_now_ms() + f->delay_ms;
	f->next++;
	assert_true(f->next - f->first < FAR_LINE);
	return true;
}

static void leave_line(struct far *f)
{
	uint64_t n;

	for (; f->first < f->next; f->first++) {
		n = f->first % FAR_LINE;
		if (f->line[n].due_ms > t_now_ms())
			return;
		if (f->line[n].up)
			send(f->ways[f->line[n].way].back, f->line[n].data, f->line[n].len, 0);
		else
			sendto(f->front, f->line[n].data, f->line[n].len, 0,
			       (struct sockaddr *)&f->ways[f->line[n].way].client,
			       size_of(&f->ways[f->line[n].way].client));
	}
}

static void run_far(struct far *f, const struct sockaddr_storage *server)
{
	struct sockaddr_storage from;
	unsigned int i;

	while (join_line(f, f->front, &from)) {
		f->line[(f->next - 1) % FAR_LINE].up = true;
		f->line[(f->next - 1) % FAR_LINE].way = way_of(f, &from, server);
	}
	for (i = 0; i < f->n_ways; i++) {
		while (join_line(f, f->ways[i].back, &from)) {
			f->line[(f->next - 1) % FAR_LINE].up = false;
			f->line[(f->next - 1) % FAR_LINE].way = i;
		}
	}
	leave_line(f);
}

/* What is learnt from ngtcp2's server at the end of a way of that length. */
static void learn_from_gtlsserver(unsigned int way_ms)
{
	struct sockaddr_storage server;
	static struct far far;
	uint64_t until_ms;
	struct hs_profile p;
	struct scene s;
	bool got = false;
	unsigned int i;

	if (system("command -v gtlsserver >/dev/null") != 0)
		skip();
	memset(&s, 0, sizeof(s));
	memset(&far, 0, sizeof(far));
	close(t_udp(AF_INET, false, &s.cover));
	start_gtlsserver(&s);
	server = s.cover;
	far.delay_ms = way_ms;
	far.front = t_udp(AF_INET, false, &s.cover);
	start_server(&s);
	assert_false(take_profile(&s.h, &p));
	give_sockets(&s);
	for (until_ms = t_now_ms() + 60000; !got && t_now_ms() < until_ms;) {
		expect_quiet(&s.h, 2);
		run_far(&far, &server);
		got = take_profile(&s.h, &p);
	}
	assert_true(got);
	assert_int_equal(p.scid_len, 18);
	assert_int_equal(p.cipher, 0x1301);
	assert_int_equal(p.group, 23);
	assert_true(p.style.random_pn && p.style.long_length && !p.style.initial_padded);
	assert_int_equal(p.n_flights, HS_PROFILE_FLIGHTS_MAX);
	assert_int_equal(p.flights[0].dgrams[0].packets[0].type, HS_PACKET_INITIAL);
	assert_int_equal(p.flights[0].dgrams[0].packets[1].type, HS_PACKET_HANDSHAKE);
	assert_in_range(p.handshake_bytes, 400, 1200);
	assert_true(p.n_repeats >= 1);
	assert_in_range(p.repeats[0].after_ms, 900, 3000);
	assert_true(p.finished.n_dgrams >= 1);
	t_hsd_stop(&s.h);
	stop_gtlsserver(&s);
	for (i = 0; i < far.n_ways; i++)
		close(far.ways[i].back);
	close(far.front);
}

static void learn_from_ngtcp2(void **state)
{
	learn_from_gtlsserver(0);
}

/* A round trip is longer than the pause that ends a flight. */
static void learn_from_afar(void **state)
{
	learn_from_gtlsserver(2 * HS_LEARN_PAUSE_MS);
}

/* What is no web server teaches nothing, is asked once and then left alone, and does no harm. */
static void hostile_cover(const uint8_t *answer, size_t len)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	uint64_t until_ms;
	uint8_t buf[2048];
	struct hs_profile p;
	struct scene s;
	unsigned int asked = 0;
	ssize_t n;
	int cover;

	memset(&s, 0, sizeof(s));
	cover = t_udp(AF_INET, false, &s.cover);
	start_server(&s);
	give_sockets(&s);
	for (until_ms = t_now_ms() + 4000; t_now_ms() < until_ms;) {
		expect_quiet(&s.h, 50);
		n = recvfrom(cover, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_len);
		if (n <= 0)
			continue;
		assert_int_equal(n, 1200);
		asked++;
		if (answer)
			sendto(cover, answer, len, 0, (struct sockaddr *)&from, size_of(&from));
		else
			sendto(cover, buf, (size_t)n, 0, (struct sockaddr *)&from, size_of(&from));
	}
	assert_int_equal(asked, 1);
	assert_false(take_profile(&s.h, &p));
	t_hsd_stop(&s.h);
	close(cover);
}

static void echo_for_cover(void **state)
{
	hostile_cover(NULL, 0);
}

static void garbage_for_cover(void **state)
{
	static uint8_t garbage[1500];

	memset(garbage, 0xff, sizeof(garbage));
	hostile_cover(garbage, sizeof(garbage));
}

static void short_headers_for_cover(void **state)
{
	static const uint8_t one[60] = { 0x40 };

	hostile_cover(one, sizeof(one));
}

/* A cover that does not stop does not keep the visit: there is another one after the pause. */
static void endless_cover(void **state)
{
	static const uint8_t one[60] = { 0x40 };
	struct sockaddr_storage first, from;
	uint64_t until_ms = t_now_ms() + T_WAIT_MS;
	socklen_t from_len = sizeof(from);
	unsigned int asked = 0;
	uint8_t buf[2048];
	struct scene s;
	int cover;

	memset(&s, 0, sizeof(s));
	cover = t_udp(AF_INET, false, &s.cover);
	start_server(&s);
	give_sockets(&s);
	while (asked < 2) {
		assert_true(t_now_ms() < until_ms);
		poll(NULL, 0, HS_LEARN_PAUSE_MS / 4);
		if (recvfrom(cover, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_len) > 0 &&
		    asked++ == 0)
			first = from;
		if (asked > 0)
			sendto(cover, one, sizeof(one), 0, (struct sockaddr *)&first,
			       size_of(&first));
	}
	t_hsd_stop(&s.h);
	close(cover);
}

/* How many visits have come to a cover by now, all of them answered by nothing. */
static unsigned int count_visits(struct t_hsd *h, int cover)
{
	unsigned int n = 0;
	uint8_t buf[2048];

	/* Two turns: what was due has been done. */
	t_stat(h, HS_A_STATS_PENDING);
	t_stat(h, HS_A_STATS_PENDING);
	while (recv(cover, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* The cover is visited again when it has moved, and not because somebody says where it is. */
static void moved_cover(void **state)
{
	struct t_config c = t_default_config;
	struct hs_profile p = caddy();
	uint8_t blob[HS_PROFILE_BLOB_MAX];
	struct scene s;
	int here, there;

	memset(&s, 0, sizeof(s));
	p.learned_s = (uint64_t)time(NULL) - 2 * HS_LEARN_MOVED_S;
	c.profile = blob;
	c.profile_len = (size_t)hs_profile_encode(&p, blob, sizeof(blob));
	here = t_udp(AF_INET, false, &s.cover);
	start_server_as(&s, &c);
	give_pool(&s, true);
	give_pool(&s, true);
	assert_int_equal(count_visits(&s.h, here), 0);
	there = t_udp(AF_INET, false, &s.cover);
	give_pool(&s, true);
	assert_int_equal(count_visits(&s.h, there), 1);
	give_pool(&s, true);
	assert_int_equal(count_visits(&s.h, there), 0);
	assert_int_equal(count_visits(&s.h, here), 0);
	t_hsd_stop(&s.h);
	close(here);
	close(there);
}

/* After visits that failed a reload does not wait until the next one is due. */
static void failed_cover(void **state)
{
	uint64_t until_ms;
	struct scene s;
	int cover;

	memset(&s, 0, sizeof(s));
	cover = t_udp(AF_INET, false, &s.cover);
	start_server_as(&s, &t_default_config);
	give_pool(&s, true);
	until_ms = t_now_ms() + HS_LEARN_ANSWER_MS + HS_LEARN_RETRY_MIN_MS;
	assert_int_equal(count_visits(&s.h, cover), 1);
	do {
		poll(NULL, 0, HS_LEARN_ANSWER_MS / 10);
		give_pool(&s, true);
	} while (count_visits(&s.h, cover) == 0);
	assert_true(t_now_ms() < until_ms);
	t_hsd_stop(&s.h);
	close(cover);
}

/* Another name, another cover: what is under way for the former one counts no more. */
static void other_name(void **state)
{
	struct t_config c = t_default_config;
	struct scene s;
	int cover, sock;

	memset(&s, 0, sizeof(s));
	cover = t_udp(AF_INET, false, &s.cover);
	t_hsd_start(&s.h, 0);
	sock = t_udp(AF_INET, false, &s.server);
	assert_int_equal(t_set_server(&s.h, &c, sock), 0);
	give_sockets(&s);
	assert_int_equal(count_visits(&s.h, cover), 1);
	/* A reload that changes something else. */
	c.max_auth_per_s = 77;
	assert_int_equal(t_set_server(&s.h, &c, sock), 0);
	assert_int_equal(count_visits(&s.h, cover), 0);
	c.server_name = "other.example.org";
	assert_int_equal(t_set_server(&s.h, &c, sock), 0);
	assert_int_equal(count_visits(&s.h, cover), 1);
	t_hsd_stop(&s.h);
	close(cover);
	close(sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(bounds),
		cmocka_unit_test(cut),
		cmocka_unit_test(padding),
		cmocka_unit_test(follow_caddy),
		cmocka_unit_test(follow_chain),
		cmocka_unit_test(follow_apart),
		cmocka_unit_test(lost_without_repeats),
		cmocka_unit_test(lost_with_repeats),
		cmocka_unit_test(lost_in_part),
		cmocka_unit_test(nonsense_profiles),
		cmocka_unit_test(huge_handshake),
		cmocka_unit_test(repeat_caddy),
		cmocka_unit_test(repeats_beyond_idle_timeout),
		cmocka_unit_test(repeat_to_meddler),
		cmocka_unit_test(no_close_to_forger),
		cmocka_unit_test(amplification),
		cmocka_unit_test(learn_from_ngtcp2),
		cmocka_unit_test(learn_from_afar),
		cmocka_unit_test(echo_for_cover),
		cmocka_unit_test(garbage_for_cover),
		cmocka_unit_test(short_headers_for_cover),
		cmocka_unit_test(endless_cover),
		cmocka_unit_test(moved_cover),
		cmocka_unit_test(failed_cover),
		cmocka_unit_test(other_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
