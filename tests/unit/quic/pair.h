/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two engines joined by an in-memory link, on a virtual clock: what most engine tests start from.
 *
 * The link delays, drops, duplicates and swaps datagrams as told, from a seeded generator, so every
 * run is the same; it may have a rate, a queue and a threshold for CE marks. After
 * each step pair_check() asserts what must always hold.
 *
 * Addresses: the server has one, a client's is a number, host << 16 | port. Between them stands a
 * NAT that adds nat_shift to it; when that changes, what is on the way to the former one is lost.
 */
#ifndef TEST_PAIR_H
#define TEST_PAIR_H

#include "../../../lib/crypto.h"
#include "../../../quic/conn.h"

#define PAIR_MTU 1400
#define PAIR_QUEUE 8192
#define PAIR_HOME 0x10001

struct pair_packet {
	u64 at_us;
	u32 len;
	u32 addr; /* the client's, as the server sees it */
	u8 ecn;
	u8 data[1500];
};

/* One direction of the link. */
struct pair_link {
	struct pair_packet *q;
	u32 n;
	u64 delay_us;
	u32 loss_permille, dup_permille, swap_permille;
	u32 bleach_ecn; /* 1: clear the field, 2: mark CE */
	/* A bottleneck: what waits before it beyond queue_us is dropped, beyond mark_us marked. */
	u64 bytes_per_s, queue_us, mark_us; /* 0: none */
	u64 busy_us; /* until then it sends what waits */
	u64 rest;
	u64 sent, dropped, marked;
	u32 mtu; /* larger ones are dropped; 0: all fit */
	u32 dead_host; /* what comes from or goes to it is dropped */
	u64 alone; /* of them: sent by nq_tx_alone() */
};

struct pair_end {
	struct nq_conn *conn;
	void *mem;
	u8 punt[NQ_PUNT_BYTES];
	u64 delivered; /* datagrams */
	u64 next_index; /* of the datagrams this end sends */
	u8 *seen; /* by index: delivered here */
	u64 seen_size;
	u64 duplicates;
	u32 events;
	u64 last_pn; /* highest seen leaving */
	u32 addr[NQ_PATHS_MAX]; /* of each path: a client's own, a server's peer */
	u64 refused; /* packets from addresses that are not followed */
};

struct pair {
	struct pair_end end[2]; /* 0: client */
	struct pair_link link[2]; /* [i]: away from end i */
	u64 now_us;
	u64 random;
	bool probe_mtu; /* else no probe of the packet size leaves */
	u32 nat_shift;
	u32 copy_from; /* what the client sends comes from here as well, and first: a forger */
	struct nq_conn_params params[2];
};

u64 pair_random(struct pair *p);
/* Parameters of both ends, to be changed before pair_start(). */
void pair_params(struct pair *p, const struct nq_crypto_ops *crypto, u16 cipher);
void pair_start(struct pair *p);
void pair_stop(struct pair *p);

/* Send up to @n datagrams of @bytes from end @i now; returns how many left. */
unsigned int pair_send(struct pair *p, int i, unsigned int n, u32 bytes);
/* Let the engine of end @i say what it wants. */
void pair_control(struct pair *p, int i);
/* The client moves to @addr: what nq_path_migrate() returned. */
int pair_migrate(struct pair *p, u32 addr, unsigned int how);
/* Give the peer all the local IDs it takes. */
void pair_issue_cids(struct pair *p, int i);
/* Go to the next arrival or timer, at most @until_us, and work it off. False: nothing was due. */
bool pair_step(struct pair *p, u64 until_us);
/* pair_step() until @until_us. */
void pair_run(struct pair *p, u64 until_us);
/* The invariants of one connection. */
void pair_check(const struct nq_conn *c);
/* What end @i has counted until now. */
struct nq_counters pair_counters(const struct pair *p, int i);

/* Key material of direction @i in phase @phase. */
void pair_keys(struct nq_key_material *m, int i, unsigned int phase);

extern const struct nq_crypto_ops null_crypto;

#endif /* TEST_PAIR_H */
