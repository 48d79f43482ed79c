// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * prober [-v] [-f FLIGHTS] [-n NAMES] ADDRESS PORT ADDRESS PORT: is there any difference between two
 * QUIC servers that somebody without keys can provoke? Sends the probes of list.c to both and
 * compares the answers: how many, at which of the sender's addresses, packets and open frames
 * (read.c), sizes, ECN bits, times. The first address may be ours, the second its cover.
 *
 * FLIGHTS holds captured first flights of a client that has the keys, one UDP payload in hexadecimal
 * digits per line; each is used up by one probe. -n picks the probes whose name contains NAMES.
 * A probe that shows a difference is repeated, see judge().
 *
 * Prints every difference with its first run, or with -v all probes and runs, and ends with
 * "N probes, D differences" and status 0 only if D is 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "prober.h"

#define STAGGER_MS 40.0
#define ATTEMPTS 12
#define MAX_PROBES 128
#define MAX_FLIGHTS 32
/* Sizes of packets with a signature or an acknowledgement delay in them. */
#define SIZE_SLACK 4
/* Answers of one class of time: this far apart and a share of the later one's time. */
#define TIME_SLACK_MS 60.0
#define TIME_SLACK_SHARE 0.25
/* Beyond this share of the time we listen, an answer may be missing on one side. */
#define LATE_SHARE 0.75

struct run {
	const struct pr_probe *probe;
	double start_ms;
	bool started, done;
	struct pr_side sides[2];
};

struct result {
	bool wanted, same;
	const char *what; /* the difference, if not the same */
	size_t at, n_runs;
	struct run *runs[ATTEMPTS];
};

struct pr_flight pr_template;
static struct pr_flight flights[MAX_FLIGHTS];
static size_t n_flights, used_flights, n_reserved;
static struct sockaddr_in targets[2];
static const char *const side_names[2] = { "first", "second" };
static bool verbose;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fatal(const char *what)
{
	fprintf(stderr, "prober: %s: %s\n", what, strerror(errno));
	exit(2);
}

static unsigned int listen_ms(const struct run *r)
{
	return r->probe->listen_ms ? r->probe->listen_ms : PR_LISTEN_MS;
}

static void open_side(struct pr_side *s, const struct sockaddr_in *target)
{
	const int on = 1;

	for (int i = 0; i < 2; i++) {
		s->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (s->fds[i] < 0 ||
		    setsockopt(s->fds[i], IPPROTO_IP, IP_RECVTOS, &on, sizeof(on)) ||
		    connect(s->fds[i], (const struct sockaddr *)target, sizeof(*target)))
			fatal("socket");
	}
}

static void start(struct run *r)
{
	const struct pr_flight *flight = NULL;

	if (r->probe->needs_flight) {
		flight = &flights[used_flights++];
		n_reserved--;
	}
	for (int i = 0; i < 2; i++) {
		open_side(&r->sides[i], &targets[i]);
		r->probe->make(&r->sides[i], r->probe, i == 0 ? flight : NULL);
	}
	r->started = true;
	r->start_ms = now_ms();
}

static void send_due(struct run *r, struct pr_side *s)
{
	const double passed = now_ms() - r->start_ms;
	const struct pr_sent *d;

	while (s->next < s->n_sent && s->sent[s->next].at_ms <= passed) {
		d = &s->sent[s->next++];
		setsockopt(s->fds[d->from], IPPROTO_IP, IP_TOS, &d->ecn, sizeof(d->ecn));
		/* A refused port shows itself here or in recv(): an answer of its own kind. */
		if (send(s->fds[d->from], d->data, d->len, 0) < 0 && errno != ECONNREFUSED)
			fatal("send");
	}
}

/* recv(), and the ECN bits of what came. */
static ssize_t receive_one(int fd, uint8_t *data, size_t cap, int *ecn)
{
	struct iovec iov = { data, cap };
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	const ssize_t n = recvmsg(fd, &msg, 0);
	const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	*ecn = 0;
	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
		*ecn = *CMSG_DATA(c) & 3;
	return n;
}

static void receive(struct run *r, struct pr_side *s, unsigned int which)
{
	uint8_t data[65536];
	struct pr_answer *a;
	ssize_t n;
	int ecn;

	for (;;) {
		n = receive_one(s->fds[which], data, sizeof(data), &ecn);
		if (n < 0 && errno != ECONNREFUSED)
			return;
		if (s->n_answers == PR_MAX_ANSWERS)
			return;
		a = &s->answers[s->n_answers++];
		a->at_ms = now_ms() - r->start_ms;
		a->to = which;
		a->ecn = ecn;
		if (n < 0)
			snprintf(a->text, sizeof(a->text), "ICMP port unreachable");
		else
			pr_describe(a, s, data, (size_t)n);
	}
}

static void finish(struct run *r)
{
	for (int i = 0; i < 4; i++)
		close(r->sides[i / 2].fds[i % 2]);
	r->done = true;
}

/* Starts, sends, listens and finishes whatever is due; returns how many runs are not done. */
static size_t step(struct run **runs, size_t n, double began_ms)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		struct run *r = runs[i];

		if (r->done)
			continue;
		left++;
		if (!r->started && now_ms() - began_ms >= STAGGER_MS * (double)i)
			start(r);
		if (!r->started)
			continue;
		for (int k = 0; k < 4; k++) {
			send_due(r, &r->sides[k / 2]);
			receive(r, &r->sides[k / 2], k % 2);
		}
		if (now_ms() - r->start_ms > listen_ms(r))
			finish(r);
	}
	return left;
}

/* Runs all at once, each a little later than the one before. */
static void run_all(struct run **runs, size_t n)
{
	struct pollfd *fds = calloc(4 * n, sizeof(*fds));
	const double began_ms = now_ms();
	nfds_t n_fds;

	if (!fds)
		fatal("memory");
	while (step(runs, n, began_ms)) {
		n_fds = 0;
		for (size_t i = 0; i < n; i++)
			for (int k = 0; runs[i]->started && !runs[i]->done && k < 4; k++)
				fds[n_fds++] =
					(struct pollfd){ .fd = runs[i]->sides[k / 2].fds[k % 2],
							 .events = POLLIN };
		poll(fds, n_fds, 1);
	}
	free(fds);
}

/* ---- comparison ---- */
static const char *compare_answers(const struct pr_answer *a, const struct pr_answer *b)
{
	const size_t slack = a->sealed && b->sealed ? SIZE_SLACK : 0;
	const double apart = fabs(a->at_ms - b->at_ms);

	if (strcmp(a->text, b->text))
		return "content";
	if (a->ecn != b->ecn)
		return "ECN bits";
	if (a->to != b->to)
		return "address";
	if ((a->len > b->len ? a->len - b->len : b->len - a->len) > slack)
		return "size";
	if (apart > TIME_SLACK_MS + TIME_SLACK_SHARE * fmax(a->at_ms, b->at_ms))
		return "time";
	return NULL;
}

/* What differs first, or NULL; @at is the answer's number. */
static const char *compare(const struct run *r, const struct run *other, size_t *at)
{
	const struct pr_side *a = &r->sides[0], *b = &other->sides[1];
	const struct pr_side *longer = a->n_answers > b->n_answers ? a : b;
	const double late = LATE_SHARE * listen_ms(r);
	const char *what;
	size_t i;

	for (i = 0; i < a->n_answers && i < b->n_answers; i++) {
		/* Times grow apart: what one side has answered late, the other may not yet have. */
		if (a->answers[i].at_ms > late || b->answers[i].at_ms > late)
			return NULL;
		what = compare_answers(&a->answers[i], &b->answers[i]);
		*at = i;
		if (what)
			return what;
	}
	*at = i;
	if (i < longer->n_answers && longer->answers[i].at_ms <= late)
		return "count";
	return NULL;
}

/*
 * A server is not the same from one time to the next: with Caddy it is a matter of luck in which
 * datagram its first 1-RTT packet travels. So what the first address did in any run may equal what the
 * second did in any; only what one does and the other never does is a difference.
 */
static void judge(struct result *res)
{
	size_t at = 0;

	for (size_t i = 0; i < res->n_runs; i++) {
		for (size_t k = 0; k < res->n_runs && !res->same; k++) {
			res->what = compare(res->runs[i], res->runs[k], &at);
			res->at = at;
			res->same = !res->what;
		}
	}
}

static void print_side(const struct run *r, int i)
{
	const struct pr_side *s = &r->sides[i];
	size_t bytes = 0;

	for (size_t k = 0; k < s->n_answers; k++)
		bytes += s->answers[k].len;
	printf("    %s: %zu answers, %zu bytes in %u ms\n", side_names[i], s->n_answers, bytes,
	       listen_ms(r));
	for (size_t k = 0; k < s->n_answers; k++)
		printf("      %7.1f ms %5zu bytes ECN %d%s  %s\n", s->answers[k].at_ms,
		       s->answers[k].len, s->answers[k].ecn,
		       s->answers[k].to ? " (second address)" : "", s->answers[k].text);
}

/* One more run of every probe that is not yet known to be the same. */
static void attempt(struct result *results)
{
	struct run *runs[MAX_PROBES];
	size_t n = 0;

	for (size_t i = 0; i < pr_n_probes; i++) {
		struct result *res = &results[i];

		if (!res->wanted || res->same ||
		    (pr_probes[i].needs_flight && used_flights + n_reserved == n_flights))
			continue;
		n_reserved += pr_probes[i].needs_flight;
		runs[n] = calloc(1, sizeof(struct run));
		if (!runs[n])
			fatal("memory");
		runs[n]->probe = &pr_probes[i];
		res->runs[res->n_runs++] = runs[n++];
	}
	run_all(runs, n);
	for (size_t i = 0; i < pr_n_probes; i++)
		judge(&results[i]);
}

static void print_result(const struct result *res)
{
	const struct run *r = res->runs[0];
	const size_t shown = verbose ? res->n_runs : res->same ? 0 : 1;

	if (res->same)
		printf("same %s: %zu answers, %zu runs\n", r->probe->name, r->sides[0].n_answers,
		       res->n_runs);
	else
		printf("DIFF %s: %s of answer %zu, in each of %zu runs\n", r->probe->name,
		       res->what, res->at + 1, res->n_runs);
	for (size_t k = 0; k < shown; k++)
		for (int i = 0; i < 2; i++)
			print_side(res->runs[k], i);
}

/* ---- command line ---- */
static void read_flights(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[2 * PR_DATAGRAM + 3];
	unsigned int byte;

	if (!f)
		fatal(path);
	while (n_flights < MAX_FLIGHTS && fgets(line, sizeof(line), f)) {
		struct pr_flight *fl = &flights[n_flights];

		while (fl->len < PR_DATAGRAM && sscanf(line + 2 * fl->len, "%2x", &byte) == 1)
			fl->data[fl->len++] = (uint8_t)byte;
		n_flights += fl->len > 0;
	}
	fclose(f);
	pr_template = flights[0];
}

static void read_target(struct sockaddr_in *t, const char *address, const char *port)
{
	t->sin_family = AF_INET;
	t->sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, address, &t->sin_addr) != 1 || !t->sin_port) {
		fprintf(stderr, "prober: '%s' '%s' is no IPv4 address and port\n", address, port);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct result results[MAX_PROBES];
	size_t probes = 0, differences = 0, captured = 0;
	const char *names = "";
	int opt;

	while ((opt = getopt(argc, argv, "vf:n:")) != -1) {
		if (opt == 'v')
			verbose = true;
		else if (opt == 'f')
			read_flights(optarg);
		else if (opt == 'n')
			names = optarg;
		else
			return 2;
	}
	if (argc - optind != 4) {
		fprintf(stderr, "usage: prober [-v] [-f FLIGHTS] [-n NAMES] "
				"ADDRESS PORT ADDRESS PORT\n");
		return 2;
	}
	read_target(&targets[0], argv[optind], argv[optind + 1]);
	read_target(&targets[1], argv[optind + 2], argv[optind + 3]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < pr_n_probes && i < MAX_PROBES; i++) {
		if (!strstr(pr_probes[i].name, names))
			continue;
		if (pr_probes[i].needs_flight && ++captured > n_flights)
			continue;
		results[i].wanted = true;
		probes++;
	}
	for (int i = 0; i < ATTEMPTS; i++)
		attempt(results);
	/* What differs comes last, where the end of a log shows it. */
	for (size_t i = 0; i < 2 * pr_n_probes; i++) {
		const struct result *res = &results[i % pr_n_probes];

		if (!res->wanted || res->same != (i < pr_n_probes))
			continue;
		print_result(res);
		differences += !res->same;
		for (size_t k = 0; k < res->n_runs; k++)
			free(res->runs[k]);
	}
	printf("%zu probes, %zu differences\n", probes, differences);
	return differences || !probes;
}
