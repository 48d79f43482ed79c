/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which object a connection ID belongs to. The owner embeds the entries; a table holds at most one
 * entry per ID. IDs are ours (random) or a client's that passed the gate, so a plain hash will do.
 * Ours are of several lengths at once (a client's of HS_CID_LEN, a server's like its cover's), so an
 * ID that we make must not be the beginning of another (hs_cidtable_ambiguous()): a short header
 * tells no length.
 */
#ifndef HS_CIDTABLE_H
#define HS_CIDTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define HS_CID_BUCKETS 1024
/* Those of a client, and a server's unless its cover's are of another length. */
#define HS_CID_LEN 20
/* The shortest; also what the hash is made of (as NQ_CID_LOOKUP_LEN of the data plane). */
#define HS_CID_MIN_LEN 4

enum hs_cid_kind {
	HS_CID_CONN,
	HS_CID_TOMB,
};

struct hs_cid_entry {
	LIST_ENTRY(hs_cid_entry) entry;
	bool linked;
	enum hs_cid_kind kind;
	void *owner;
	uint8_t len;
	uint8_t id[HS_CID_LEN];
};

struct hs_cidtable {
	LIST_HEAD(, hs_cid_entry) buckets[HS_CID_BUCKETS];
};

void hs_cidtable_init(struct hs_cidtable *t);
/* 0, -EINVAL (length), -EEXIST. */
int hs_cidtable_add(struct hs_cidtable *t, struct hs_cid_entry *e, enum hs_cid_kind kind,
		    void *owner, const uint8_t *id, size_t len);
void hs_cidtable_del(struct hs_cid_entry *e);
/* Exactly this ID: of a long header. */
struct hs_cid_entry *hs_cidtable_find(struct hs_cidtable *t, const uint8_t *id, size_t len);
/* The longest one that the @len bytes at @bytes begin with: of a short header. */
struct hs_cid_entry *hs_cidtable_find_prefix(struct hs_cidtable *t, const uint8_t *bytes,
					     size_t len);
/* Does an ID of the table begin with this one, or this one with an ID of the table? */
bool hs_cidtable_ambiguous(struct hs_cidtable *t, const uint8_t *id, size_t len);

#endif /* HS_CIDTABLE_H */
