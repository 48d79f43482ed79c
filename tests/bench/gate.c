// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an Initial costs nexus-hsd before any TLS object exists: microseconds of one core for each step,
 * and for each verdict of the gate. Medians of several rounds. bench-gate [SECONDS PER LINE, default 0.2]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "certproof.h"
#include "clienthello.h"
#include "elligator.h"
#include "hsd-test.h"
#include "initial.h"
#include "reality.h"

#define NOW 1763600000ULL
#define ROUNDS 5

static struct {
	struct hs_gate *gate;
	struct hs_reality_client client;
	struct hs_reality_attempt attempt;
	struct hs_first_flight flight;
	uint8_t hello[2048], dcid[20], datagram[1400], server_secret[32];
	size_t hello_len, datagram_len;
} b;

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *c)
{
	const double d = *(const double *)a - *(const double *)c;

	return d < 0 ? -1 : d > 0;
}

static void measure(const char *what, void (*f)(void), double line_s)
{
	double us[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		const double start = seconds();
		unsigned int n = 0;

		do {
			for (int j = 0; j < 16; j++)
				f();
			n += 16;
		} while (seconds() - start < line_s / ROUNDS);
		us[i] = (seconds() - start) / n * 1e6;
	}
	qsort(us, ROUNDS, sizeof(us[0]), compare);
	printf("%-44s %9.2f us\n", what, us[ROUNDS / 2]);
}

static void expect(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench-gate: %s\n", what);
	exit(1);
}

static void prepare(void)
{
	struct hs_reality_user u = { .name = "bench", .short_id = 1 };
	struct t_initial p = { .pn_len = 1, .dcid_len = 20, .scid_len = 20 };
	uint8_t payload[1200] = { 0 };
	size_t n;

	t_random(b.server_secret, 32);
	t_random(b.client.secret, 32);
	b.client.short_id = 1;
	hs_x25519_base(b.client.server_public, b.server_secret);
	hs_x25519_base(u.public_key, b.client.secret);
	b.gate = hs_gate_new(b.server_secret, 90, 65536);
	expect(b.gate && !hs_gate_add_user(b.gate, &u), "gate");
	expect(!hs_reality_attempt_init(&b.attempt, &b.client, NOW), "attempt");
	b.hello_len = t_client_hello(b.hello, sizeof(b.hello), b.attempt.random, b.attempt.scid, 20,
				     "www.example.org");
	expect(!hs_reality_attempt_dcid(&b.attempt, 1, b.hello, b.hello_len, b.dcid), "tag");
	b.flight = (struct hs_first_flight){ 1,	 b.dcid,  b.attempt.scid, 20,
					     20, b.hello, b.hello_len,	  b.hello + 6 };
	p.dcid = b.dcid;
	p.scid = b.attempt.scid;
	n = t_crypto_frame(payload, 0, b.hello, b.hello_len);
	expect(n < 1130, "hello size");
	b.datagram_len = t_seal_initial(b.datagram, sizeof(b.datagram), &p, payload, 1134);
}

static void step_header(void)
{
	struct hs_long_header h;

	expect(!hs_long_header_parse(b.datagram, b.datagram_len, &h), "header");
}

static void step_open(void)
{
	static struct hs_reassembly r;
	size_t len;

	r.n_pieces = 0;
	expect(hs_initial_feed(&r, b.datagram, b.datagram_len, b.dcid, 20, &len) ==
		       HS_INITIAL_COMPLETE,
	       "open");
}

static void step_bad_tag(void)
{
	static struct hs_reassembly r;
	size_t len;

	b.datagram[b.datagram_len - 1] ^= 1;
	expect(hs_initial_feed(&r, b.datagram, b.datagram_len, b.dcid, 20, &len) == HS_INITIAL_BAD,
	       "forged packet");
	b.datagram[b.datagram_len - 1] ^= 1;
}

static void step_parse(void)
{
	struct hs_client_hello ch;
	const uint8_t *scid;
	size_t n;

	expect(!hs_client_hello_parse(b.hello, b.hello_len, &ch), "hello");
	expect(!hs_tp_initial_scid(ch.transport_params, ch.transport_params_len, &scid, &n), "tp");
}

static void check(enum hs_verdict want, uint64_t now)
{
	struct hs_gate_result r;

	expect(hs_gate_check(b.gate, &b.flight, now, &r) == want, "verdict");
}

static void gate_format(void)
{
	b.flight.dcid_len = 8;
	check(HS_REJECT_FORMAT, NOW);
	b.flight.dcid_len = 20;
}

static void gate_key(void)
{
	b.attempt.scid[19] ^= 1;
	check(HS_REJECT_KEY, NOW);
	b.attempt.scid[19] ^= 1;
}

static void gate_time(void)
{
	check(HS_REJECT_TIME, NOW + 3600);
}

static void gate_short_id(void)
{
	b.attempt.scid[13] ^= 2;
	check(HS_REJECT_SHORT_ID, NOW);
	b.attempt.scid[13] ^= 2;
}

static void gate_tag(void)
{
	b.dcid[0] ^= 1;
	check(HS_REJECT_TAG, NOW);
	b.dcid[0] ^= 1;
}

static void gate_replay(void)
{
	check(HS_REJECT_REPLAY, NOW);
}

static void client_attempt(void)
{
	struct hs_reality_attempt a;

	expect(!hs_reality_attempt_init(&a, &b.client, NOW), "attempt");
}

static void map_only(void)
{
	uint8_t u[32];

	hs_elligator_map(u, b.attempt.random);
}

static void x25519_only(void)
{
	uint8_t out[32];

	expect(!hs_x25519(out, b.server_secret, b.client.server_public), "X25519");
}

static void cert_build(void)
{
	static const uint8_t key[64];
	uint8_t der[4096];

	expect(hs_cert_build(der, sizeof(der), b.attempt.random, "www.example.org", key, NOW,
			     2500) > 0,
	       "certificate");
}

/* Accepted flights cannot be repeated: judge a prepared set, each once, in a fresh gate. */
static void accepted(void)
{
	enum { N = 200 };
	static struct hs_reality_attempt a[N];
	static uint8_t hello[N][512], dcid[N][20];
	struct hs_gate_result r;
	double start;

	for (int i = 0; i < N; i++) {
		expect(!hs_reality_attempt_init(&a[i], &b.client, NOW), "attempt");
		expect(b.hello_len <= sizeof(hello[i]), "hello size");
		memcpy(hello[i], b.hello, b.hello_len);
		memcpy(hello[i] + 6, a[i].random, 32);
		expect(!hs_reality_attempt_dcid(&a[i], 1, hello[i], b.hello_len, dcid[i]), "tag");
	}
	start = seconds();
	for (int i = 0; i < N; i++) {
		const struct hs_first_flight f = { 1,  dcid[i],	 a[i].scid,   20,
						   20, hello[i], b.hello_len, hello[i] + 6 };

		expect(hs_gate_check(b.gate, &f, NOW, &r) == HS_ACCEPT, "accepted");
	}
	printf("%-44s %9.2f us\n", "gate: accepted", (seconds() - start) / N * 1e6);
}

int main(int argc, char **argv)
{
	const double line_s = argc > 1 ? atof(argv[1]) : 0.2;

	prepare();
	measure("long header", step_header, line_s);
	measure("open Initial of 1200 bytes, reassemble", step_open, line_s);
	measure("refuse forged Initial", step_bad_tag, line_s);
	measure("parse ClientHello and parameters", step_parse, line_s);
	measure("Elligator2 map", map_only, line_s);
	measure("X25519", x25519_only, line_s);
	measure("gate: format (no scalar multiplication)", gate_format, line_s);
	measure("gate: other server key", gate_key, line_s);
	measure("gate: time", gate_time, line_s);
	measure("gate: unknown short id", gate_short_id, line_s);
	measure("gate: tag", gate_tag, line_s);
	accepted();
	check(HS_ACCEPT, NOW);
	measure("gate: replay", gate_replay, line_s);
	measure("server: certificate proof of 2500 bytes", cert_build, line_s);
	measure("client: new attempt (Elligator2 key)", client_attempt, line_s);
	hs_gate_free(b.gate);
	return 0;
}
