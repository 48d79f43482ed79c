/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the differential tester share. prober.c sends and compares, list.c makes
 * the datagrams of every probe, read.c turns an answer into words that can be compared.
 */
#ifndef PROBER_H
#define PROBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PR_MAX_SENT 8
#define PR_MAX_ANSWERS 64
#define PR_DATAGRAM 1500
#define PR_TEXT 240

struct pr_sent {
	unsigned int at_ms; /* since the probe's start */
	unsigned int from; /* which of the side's two sockets */
	int ecn; /* its ECN bits */
	size_t len;
	uint8_t data[PR_DATAGRAM];
};

struct pr_answer {
	double at_ms;
	unsigned int to;
	int ecn;
	size_t len;
	bool sealed; /* ends in a packet whose size depends on a signature or a delay */
	char text[PR_TEXT];
};

/* One probe at one of the two addresses. */
struct pr_side {
	int fds[2];
	uint8_t key_cid[20]; /* the DCID of the first Initial, from which its keys come */
	size_t key_cid_len;
	size_t n_sent, next, n_answers;
	struct pr_sent sent[PR_MAX_SENT];
	struct pr_answer answers[PR_MAX_ANSWERS];
};

/* A captured first flight of a client that has the keys. */
struct pr_flight {
	size_t len;
	uint8_t data[PR_DATAGRAM];
};

struct pr_probe {
	const char *name;
	/* @flight: NULL for an address that gets a flight of the same shape, made anew. */
	void (*make)(struct pr_side *s, const struct pr_probe *p, const struct pr_flight *flight);
	int arg;
	unsigned int listen_ms; /* 0: PR_LISTEN_MS */
	bool needs_flight;
};

#define PR_LISTEN_MS 1200

/* The first captured flight, whose shape those for the second address have. */
extern struct pr_flight pr_template;
extern const struct pr_probe pr_probes[];
extern const size_t pr_n_probes;

/* Fills text, sealed of @a from the datagram. */
void pr_describe(struct pr_answer *a, const struct pr_side *s, const uint8_t *data, size_t len);
/* Opens a server's Initial: the length of the payload in @out, or 0. */
size_t pr_open_initial(uint8_t *out, const struct pr_side *s, const uint8_t *packet,
		       size_t pn_offset, size_t packet_len);
void pr_random(void *out, size_t len);

#endif /* PROBER_H */
