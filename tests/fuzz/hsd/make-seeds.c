// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes the seed corpora of the REALITY fuzz targets anew: make-hsd-seeds DIR writes
 * DIR/TARGET/NAME. The folders must exist, and the recorded flights be in DIR/fuzz-initial.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "capsule.h"
#include "certproof.h"
#include "clienthello.h"
#include "elligator.h"
#include "fuzz-hsd.h"
#include "hsd-test.h"
#include "initial.h"
#include "profile.h"
#include "reality.h"

static const char *folder;

static void save(const char *target, const char *name, const void *data, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
}

/* A length of two bytes and the data. */
static size_t item(uint8_t *out, const uint8_t *data, size_t len)
{
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	memcpy(out + 2, data, len);
	return 2 + len;
}

static void flights(void)
{
	static uint8_t hello[2048], buf[4096], packet[2048], frames[2048];
	struct hs_reality_client c = { .short_id = FUZZ_SHORT_ID };
	struct t_initial p = { .pn_len = 1, .dcid_len = 20, .scid_len = 20 };
	struct hs_reality_attempt a;
	struct hs_client_hello ch;
	size_t len, n, at;

	hs_x25519_base(c.server_public, fuzz_server_secret);
	memcpy(c.secret, fuzz_client_secret, 32);
	promise(!hs_reality_attempt_init(&a, &c, FUZZ_NOW));
	len = t_client_hello(hello, sizeof(hello), a.random, a.scid, 20, "www.example.org");
	promise(!hs_reality_attempt_dcid(&a, 1, hello, len, buf));
	memcpy(buf + 20, a.scid, 20);
	memcpy(buf + 40, hello, len);
	save("fuzz-gate", "good", buf, 40 + len);
	save("fuzz-clienthello", "gnutls", hello, len);
	promise(!hs_client_hello_parse(hello, len, &ch));
	save("fuzz-transport-params", "client", ch.transport_params, ch.transport_params_len);

	/* One packet; then two, out of order, with PING between. */
	p.dcid = buf;
	p.scid = a.scid;
	n = t_crypto_frame(frames, 0, hello, len);
	at = item(buf + 64, packet, t_seal_initial(packet, sizeof(packet), &p, frames, n));
	save("fuzz-initial", "one", buf + 64, at);
	save("fuzz-crypto-frames", "one", buf + 64, item(buf + 64, frames, n));
	n = t_crypto_frame(frames, 100, hello + 100, len - 100);
	frames[n++] = 1;
	at = item(buf + 64, packet, t_seal_initial(packet, sizeof(packet), &p, frames, n));
	n = t_crypto_frame(frames, 0, hello, 130);
	at += item(buf + 64 + at, packet, t_seal_initial(packet, sizeof(packet), &p, frames, n));
	save("fuzz-initial", "two", buf + 64, at);
	n = t_crypto_frame(frames, 100, hello + 100, len - 100);
	memcpy(frames + n, "\2\5\0\0\5\1\0", 7); /* ACK, PING, PADDING */
	at = item(buf + 64, frames, n + 7);
	at += item(buf + 64 + at, frames, t_crypto_frame(frames, 0, hello, 130));
	save("fuzz-crypto-frames", "two", buf + 64, at);
}

/* The ClientHello of a recorded flight, which is a seed itself and stays as it is. */
static void recorded(const char *name)
{
	struct hs_reassembly r = { 0 };
	struct hs_client_hello ch;
	struct hs_long_header h;
	struct t_flight f;
	char path[512];
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/fuzz-initial/%s", folder, name);
	t_read_flight(path, &f);
	promise(!hs_long_header_parse(f.dgrams[0], f.lens[0], &h));
	for (unsigned int i = 0; i < f.n_dgrams; i++)
		hs_initial_feed(&r, f.dgrams[i], f.lens[i], h.dcid, h.dcid_len, &len);
	promise(len && !hs_client_hello_parse(r.data, len, &ch));
	save("fuzz-clienthello", name, r.data, len);
	save("fuzz-transport-params", name, ch.transport_params, ch.transport_params_len);
}

static void capsules(void)
{
	static struct hs_net net = {
		.addresses = { { AF_INET, 32, { 10, 66, 0, 2 } }, { AF_INET6, 64, { 0xfd } } },
		.n_addresses = 2,
		.routes = { { AF_INET, 24, { 10, 66 } }, { AF_INET6, 8, { 0xfd } } },
		.n_routes = 2,
		.dns = { { AF_INET, 32, { 10, 66, 0, 1 } } },
		.n_dns = 1,
		.domains = { "corp.example.org" },
		.n_domains = 1,
		.mtu = 1400,
		.keepalive_ms = 25000,
	};
	/* 10.0.0.1 - 10.0.0.6: four prefixes. */
	static const uint8_t range[] = { 3, 10, 4, 10, 0, 0, 1, 10, 0, 0, 6, 0 };
	static uint8_t buf[HS_CAPSULES_MAX];

	save("fuzz-capsules", "answer", buf,
	     (size_t)hs_capsules_encode_answer(&net, buf, sizeof(buf)));
	save("fuzz-capsules", "request", buf,
	     (size_t)hs_capsules_encode_request(&net, buf, sizeof(buf)));
	save("fuzz-capsules", "range", range, sizeof(range));
}

static void certificates(void)
{
	static const uint8_t public_key[32] = { 9 };
	static uint8_t der[HS_CERT_MAX];

	save("fuzz-certproof", "plain", der,
	     (size_t)hs_cert_build(der, sizeof(der), public_key, "www.example.org", fuzz_cert_key,
				   FUZZ_NOW, 0));
	save("fuzz-certproof", "padded", der,
	     (size_t)hs_cert_build(der, sizeof(der), public_key, "www.example.org", fuzz_cert_key,
				   FUZZ_NOW, 700));
}

/* As of Caddy, and the least there can be. */
static void profiles(void)
{
	static const struct hs_profile_dgram initial = { 1, { { HS_PACKET_INITIAL, 1252 } } };
	static const struct hs_profile_dgram stream = { 1, { { HS_PACKET_1RTT, 44 } } };
	static const struct hs_profile_dgram hello = {
		2, { { HS_PACKET_INITIAL, 512 }, { HS_PACKET_HANDSHAKE, 740 } }
	};
	struct hs_profile p = {
		.learned_s = FUZZ_NOW,
		.cipher = 0x1301,
		.group = 29,
		.scid_len = 4,
		.style = { .initial_padded = true, .padding_first = true },
		.handshake_bytes = 690,
		.n_flights = 1,
		.flights = { { 2, { hello, stream } } },
		.n_repeats = 2,
		.repeats = { { 200, initial }, { 200, initial } },
		.finished = { 1, { stream } },
	};
	uint8_t buf[HS_PROFILE_BLOB_MAX];

	save("fuzz-cover-profile", "caddy", buf, (size_t)hs_profile_encode(&p, buf, sizeof(buf)));
	p.flights[0].n_dgrams = 1;
	p.n_repeats = p.finished.n_dgrams = 0;
	save("fuzz-cover-profile", "small", buf, (size_t)hs_profile_encode(&p, buf, sizeof(buf)));
}

int main(int argc, char **argv)
{
	static const char key[] = " aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU=\n";

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	flights();
	recorded("chromium");
	recorded("curl-openssl");
	recorded("gtlsclient");
	recorded("libcurl-gnutls");
	capsules();
	certificates();
	profiles();
	save("fuzz-keytext", "key", key, sizeof(key) - 1);
	save("fuzz-keytext", "short-id", "0123456789abcdef", 16);
	return 0;
}
