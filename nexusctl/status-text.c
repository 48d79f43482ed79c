// SPDX-License-Identifier: GPL-2.0-or-later
/* `nexusctl status` for people: a paragraph for each tunnel, what is empty is left out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "status.h"

static void label(const char *name)
{
	printf("  %-12s ", name);
}

static void line(const char *name, const char *value)
{
	if (!value[0])
		return;
	label(name);
	ctl_print_clean(value);
	putchar('\n');
}

static void line_strv(const char *name, char **values)
{
	if (!values || !*values)
		return;
	label(name);
	for (char **v = values; *v; v++) {
		if (v != values)
			fputs(", ", stdout);
		ctl_print_clean(*v);
	}
	putchar('\n');
}

static void in_parentheses(const char *text)
{
	if (!text[0])
		return;
	fputs(" (", stdout);
	ctl_print_clean(text);
	putchar(')');
}

/* "classical (X25519), preshared key" */
static void print_key_exchange(const char *key_exchange, bool preshared_key)
{
	fputs(model_is_post_quantum(key_exchange) ? "post-quantum" : "classical", stdout);
	in_parentheses(key_exchange);
	if (preshared_key)
		fputs(", preshared key", stdout);
}

static const char *key_age_str(uint64_t handshake)
{
	uint64_t now = (uint64_t)time(NULL);

	return ctl_duration_str(now > handshake ? now - handshake : 0);
}

static void print_since(uint64_t since)
{
	time_t then = since, now = time(NULL);
	char text[32];
	struct tm tm;

	if (!since || !localtime_r(&then, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf(" since %s", text);
	if (now >= then)
		printf(" (%s)", ctl_duration_str(now - then));
}

/* "office: client, reconnecting (timeout): no answer from ..." */
static void print_head(const struct model_tunnel *t)
{
	printf("%s: %s, %s", t->name, t->role, t->state);
	print_since(t->connected_since);
	if (strcmp(t->reason, "none") && strcmp(t->reason, "requested"))
		in_parentheses(t->reason);
	if (t->text[0]) {
		fputs(": ", stdout);
		ctl_print_clean(t->text);
	}
	putchar('\n');
}

static void print_traffic(const struct model_tunnel *t, const char *name, const char *direction)
{
	char bytes[32], packets[32];
	double rate;

	snprintf(bytes, sizeof(bytes), "l3-%s-bytes", direction);
	snprintf(packets, sizeof(packets), "l3-%s-packets", direction);
	label(name);
	printf("%s in %" PRIu64 " packets", ctl_bytes_str(model_stat(&t->stats, bytes)),
	       model_stat(&t->stats, packets));
	rate = status_rate(t, bytes);
	if (rate >= 0)
		printf(", now %s", ctl_rate_str(rate));
	putchar('\n');
}

/* What the tunnel's own queue had to do, if anything. */
static void print_queue(const struct model_stats *s)
{
	uint64_t marks = model_stat(s, "tx-queue-ce-marks");

	if (!model_stat(s, "tx-queue-delay-max-us"))
		return;
	label("queue");
	printf("longest wait %.1f ms", model_stat(s, "tx-queue-delay-max-us") / 1e3);
	if (marks)
		printf(", %" PRIu64 " packets marked", marks);
	putchar('\n');
}

/* A server's sum over its sessions has no round-trip time. */
static void print_path(const struct model_stats *s)
{
	uint64_t lost = model_stat(s, "packets-lost"), sent = model_stat(s, "quic-tx-packets");

	if (!model_stat(s, "srtt-us"))
		return;
	label("path");
	printf("RTT %.1f ms (min %.1f), cwnd %s, ", model_stat(s, "srtt-us") / 1e3,
	       model_stat(s, "min-rtt-us") / 1e3, ctl_bytes_str(model_stat(s, "cwnd-bytes")));
	printf("%s in flight, loss %.2f %%\n", ctl_bytes_str(model_stat(s, "bytes-in-flight")),
	       sent ? 100.0 * lost / sent : 0.0);
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), end_len = strlen(end);

	return len >= end_len && !strcmp(s + len - end_len, end);
}

/* What went wrong, if anything did. */
static void print_drops(const struct model_stats *s)
{
	const char *separator = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const char *name = s->stats[i].name;

		if (!s->stats[i].value ||
		    (!ends_with(name, "-drops") && !ends_with(name, "-failures") &&
		     !ends_with(name, "-errors")))
			continue;
		if (!separator)
			label("dropped");
		printf("%s%s %" PRIu64, separator ? separator : "", name, s->stats[i].value);
		separator = ", ";
	}
	if (separator)
		putchar('\n');
}

/* A server's door: who got in, who did not and why. */
static void print_handshakes(const struct model_stats *s)
{
	static const struct {
		const char *counter, *word;
	} refusals[] = {
		{ "hs-rejected-format", "format" }, { "hs-rejected-key", "key" },
		{ "hs-rejected-time", "clock" },    { "hs-rejected-short-id", "short id" },
		{ "hs-rejected-tag", "tag" },	    { "hs-rejected-replay", "replay" },
	};
	uint64_t failed = model_stat(s, "hs-handshakes-failed");

	if (!model_stat(s, "hs-initials"))
		return;
	label("handshakes");
	printf("%" PRIu64 " done", model_stat(s, "hs-handshakes-ok"));
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		uint64_t n = model_stat(s, refusals[i].counter);

		if (n)
			printf(", %" PRIu64 " refused (%s)", n, refusals[i].word);
	}
	if (failed)
		printf(", %" PRIu64 " broken off", failed);
	putchar('\n');
}

/* Who still uses the server's old key: when nobody does, it can go. */
static void print_old_key(const struct model_tunnel *t)
{
	uint64_t until = model_stat(&t->stats, "hs-old-key-until-s");
	time_t time_s = (time_t)until;
	char text[32];
	size_t n = 0;
	struct tm tm;

	if (!until || !localtime_r(&time_s, &tm))
		return;
	for (size_t i = 0; i < t->n_peers; i++)
		n += t->peers[i].old_server_key != 0;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	label("old key");
	printf("accepted until %s, %" PRIu64 " handshakes with it, %zu connected\n", text,
	       model_stat(&t->stats, "hs-authenticated-old-key"), n);
}

/* Where strangers are sent, and how many are there. */
static void print_cover(const struct model_tunnel *t)
{
	const struct model_stats *s = &t->stats;
	uint64_t refused = model_stat(s, "hs-relay-flows-refused");

	if (!t->cover_address[0])
		return;
	label("cover");
	ctl_print_clean(t->cover_address);
	in_parentheses(t->cover_state);
	if (s->valid) {
		printf(", %" PRIu64 " strangers", model_stat(s, "hs-relay-flows"));
		printf(", %s to it", ctl_bytes_str(model_stat(s, "hs-relay-to-cover-bytes")));
		printf(", %s from it", ctl_bytes_str(model_stat(s, "hs-relay-from-cover-bytes")));
		if (refused)
			printf(", %" PRIu64 " turned away", refused);
	}
	putchar('\n');
}

static void print_peer(const struct model_peer *p)
{
	fputs("    ", stdout);
	ctl_print_clean(p->user[0] ? p->user : "?");
	printf(" from %s,", p->endpoint);
	for (char **a = p->addresses; a && *a; a++)
		printf(" %s", *a);
	print_since(p->connected_since);
	if (p->key_exchange[0]) {
		fputs(", ", stdout);
		print_key_exchange(p->key_exchange, p->preshared_key);
		printf(", keys %s old", key_age_str(p->last_handshake));
	}
	if (p->old_server_key)
		fputs(", old server key", stdout);
	if (p->stats.valid) {
		printf(", %s to it", ctl_bytes_str(model_stat(&p->stats, "l3-tx-bytes")));
		printf(", %s from it", ctl_bytes_str(model_stat(&p->stats, "l3-rx-bytes")));
		if (model_stat(&p->stats, "srtt-us"))
			printf(", RTT %.1f ms", model_stat(&p->stats, "srtt-us") / 1e3);
	}
	putchar('\n');
}

static void print_tunnel(const struct model_tunnel *t)
{
	print_head(t);
	if (t->interface[0]) {
		label("interface");
		printf("%s, MTU %" PRIu32 "\n", t->interface, t->mtu);
	}
	line("endpoint", t->endpoint);
	line("local", t->local_endpoint);
	line_strv("addresses", t->addresses);
	line_strv("routes", t->routes);
	line_strv("dns", t->dns);
	line_strv("dns domains", t->dns_domains);
	line_strv("revoked", t->revoked_users);
	line("cipher", t->cipher);
	line("congestion", t->congestion);
	if (t->key_exchange[0]) {
		label("key exchange");
		print_key_exchange(t->key_exchange, t->preshared_key);
		putchar('\n');
		label("keys");
		printf("%s old\n", key_age_str(t->last_handshake));
	}
	if (t->data_plane[0] || t->data_plane_reason[0]) {
		label("data plane");
		ctl_print_clean(t->data_plane[0] ? t->data_plane : "none");
		in_parentheses(t->data_plane_reason);
		putchar('\n');
	}
	print_cover(t);
	if (t->stats.valid) {
		print_traffic(t, "sent", "tx");
		print_traffic(t, "received", "rx");
		print_path(&t->stats);
		print_queue(&t->stats);
		print_drops(&t->stats);
		print_handshakes(&t->stats);
		print_old_key(t);
	}
	if (!strcmp(t->role, "server")) {
		label("users");
		printf("%zu connected\n", t->n_peers);
		for (size_t i = 0; i < t->n_peers; i++)
			print_peer(&t->peers[i]);
	}
}

void status_print_text(const struct model *m, const char *name)
{
	bool first = true;

	if (m->n_tunnels == 0)
		printf("nexusd is running; no tunnel is configured.\n");
	for (size_t i = 0; i < m->n_tunnels; i++) {
		if (name && strcmp(m->tunnels[i].name, name))
			continue;
		if (!first)
			putchar('\n');
		first = false;
		print_tunnel(&m->tunnels[i]);
	}
}
