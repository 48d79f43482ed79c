// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replay cache (replay.h): a ring of entries in order of arrival, indexed by chains in a hash
 * table. Only the ring's head is ever dropped, once its time has left the window; an entry outlives
 * its use by at most one window (those that arrived early from a fast clock hold up the rest).
 *
 * The ring may be shared memory that outlives the process, so it is right after every single store:
 * an entry is written before the counter that makes it part of the ring, what is forgotten is noted
 * before the entry goes. The index is never in it, and what the ring says is used for nothing but
 * comparisons: whatever is in there, no access leaves the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <gnutls/crypto.h>

#include "kdf.h"
#include "replay.h"

#define CAPACITY_MAX (1U << 24)
#define NONE UINT32_MAX
#define MAGIC 0x3159414c50455258ULL
/* The gate knows times to 32 bits: no entry is further from its clock. */
#define TIME_RANGE_S (1LL << 32)

struct entry {
	uint8_t random[32];
	int64_t made_s;
	uint64_t check; /* of the above and the entry's number */
};

/* Zeros are an empty ring that nobody has used yet. */
struct ring {
	uint64_t magic;
	uint64_t first, next; /* numbers of the oldest entry and of the one to come */
	int64_t forgotten_s; /* latest made_s that was ever dropped, 0 = none */
	uint64_t id; /* random, tells one ring from another */
	int64_t born_s; /* when it was first used: it knows nothing of what was before, 0 = not noted */
	uint64_t reserved[2];
	struct entry entries[];
};

_Static_assert(sizeof(struct ring) == HS_REPLAY_RING_LEN(0), "others make the memory");
_Static_assert(sizeof(struct entry) == HS_REPLAY_RING_LEN(1) - HS_REPLAY_RING_LEN(0),
	       "others make the memory");

/* Of an entry in the ring, by place. */
struct link {
	uint32_t next; /* in the chain of its bucket, or NONE */
	uint32_t bucket;
};

struct hs_replay {
	struct ring *ring;
	size_t mapped_len; /* 0: private memory */
	struct link *links;
	uint32_t *buckets;
	uint32_t capacity, n_buckets; /* n_buckets: a power of two */
	uint64_t first, next; /* the ring's are copies of these */
	uint8_t key[32];
};

static struct hs_replay *new_index(size_t capacity)
{
	struct hs_replay *c;

	if (!capacity || capacity > CAPACITY_MAX)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->capacity = (uint32_t)capacity;
	for (c->n_buckets = 16; c->n_buckets < c->capacity;)
		c->n_buckets *= 2;
	c->links = calloc(c->capacity, sizeof(*c->links));
	c->buckets = malloc(c->n_buckets * sizeof(*c->buckets));
	if (!c->links || !c->buckets || gnutls_rnd(GNUTLS_RND_KEY, c->key, sizeof(c->key)) < 0) {
		hs_replay_free(c);
		return NULL;
	}
	for (uint32_t i = 0; i < c->n_buckets; i++)
		c->buckets[i] = NONE;
	return c;
}

struct hs_replay *hs_replay_new(size_t capacity)
{
	struct hs_replay *c = new_index(capacity);

	if (!c)
		return NULL;
	c->ring = calloc(1, sizeof(*c->ring) + c->capacity * sizeof(c->ring->entries[0]));
	if (!c->ring) {
		hs_replay_free(c);
		return NULL;
	}
	c->ring->magic = MAGIC;
	return c;
}

void hs_replay_free(struct hs_replay *c)
{
	if (!c)
		return;
	if (c->mapped_len)
		munmap(c->ring, c->mapped_len);
	else
		free(c->ring);
	free(c->links);
	free(c->buckets);
	explicit_bzero(c->key, sizeof(c->key));
	free(c);
}

static uint32_t bucket_of(const struct hs_replay *c, const uint8_t random[32])
{
	const struct hs_bytes part = { random, 32 };
	uint8_t mac[HS_SHA256_LEN];
	uint32_t h;

	hs_hmac_sha256(mac, c->key, sizeof(c->key), &part, 1);
	memcpy(&h, mac, sizeof(h));
	return h & (c->n_buckets - 1);
}

/* FNV-1a: finds damage and entries of another lap, not forgery. */
static uint64_t check_of(const struct entry *e, uint64_t number)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ number;

	for (size_t i = 0; i < sizeof(e->random); i++)
		h = (h ^ e->random[i]) * 0x100000001b3ULL;
	return (h ^ (uint64_t)e->made_s) * 0x100000001b3ULL;
}

static uint32_t place_of(const struct hs_replay *c, uint64_t number)
{
	return (uint32_t)(number % c->capacity);
}

static struct entry *entry_at(const struct hs_replay *c, uint64_t number)
{
	return &c->ring->entries[place_of(c, number)];
}

/* Everything before is in the ring when this is. */
static void publish(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static void forget_until(struct hs_replay *c, int64_t made_s)
{
	if (made_s > c->ring->forgotten_s)
		publish((uint64_t *)&c->ring->forgotten_s, (uint64_t)made_s);
}

static void drop_head(struct hs_replay *c)
{
	const uint32_t place = place_of(c, c->first);
	uint32_t *link = &c->buckets[c->links[place].bucket];

	while (*link != place)
		link = &c->links[*link].next;
	*link = c->links[place].next;
	forget_until(c, entry_at(c, c->first)->made_s);
	publish(&c->ring->first, ++c->first);
}

static void link_entry(struct hs_replay *c, uint64_t number)
{
	const uint32_t place = place_of(c, number);
	const uint32_t bucket = bucket_of(c, c->ring->entries[place].random);

	c->links[place] = (struct link){ .next = c->buckets[bucket], .bucket = bucket };
	c->buckets[bucket] = place;
}

/* There must be room. */
static void append(struct hs_replay *c, const uint8_t random[32], int64_t made_s)
{
	struct entry *e = entry_at(c, c->next);

	memcpy(e->random, random, 32);
	e->made_s = made_s;
	e->check = check_of(e, c->next);
	link_entry(c, c->next);
	publish(&c->ring->next, ++c->next);
}

/* ---- a ring that was there before ---- */

/* The calls are those that the sandbox allows. */
static int map_ring(int fd, struct ring **ring, size_t *len)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	const off_t end = lseek(fd, 0, SEEK_END);
	void *p;

	if (seals < 0 || end < 0)
		return -errno;
	/* Else somebody could cut the memory away under us. */
	if (!(seals & F_SEAL_SHRINK) || !(seals & F_SEAL_GROW))
		return -EPERM;
	*len = (size_t)end;
	if (*len < HS_REPLAY_RING_LEN(1UL) || *len > HS_REPLAY_RING_LEN((size_t)CAPACITY_MAX))
		return -EINVAL;
	p = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ring = p;
	return 0;
}

static bool is_unused(const struct ring *r)
{
	return !r->magic && !r->first && !r->next && !r->forgotten_s;
}

/* Believe nothing but what every check agrees with. */
static bool is_valid(const struct hs_replay *c, int64_t now_s)
{
	const struct ring *r = c->ring;
	uint64_t n;

	if (r->magic != MAGIC || r->next - r->first > c->capacity || r->first > INT64_MAX ||
	    r->forgotten_s < 0 || r->forgotten_s > now_s + TIME_RANGE_S || r->born_s < 0)
		return false;
	for (n = r->first; n != r->next; n++)
		if (entry_at(c, n)->check != check_of(entry_at(c, n), n))
			return false;
	return true;
}

/* What was in it may have been anything up to now: no credential that old is accepted any more. */
static void start_over(struct hs_replay *c, int64_t now_s, uint32_t window_s)
{
	struct ring *r = c->ring;

	publish((uint64_t *)&r->forgotten_s, (uint64_t)(now_s + window_s));
	publish((uint64_t *)&r->born_s, (uint64_t)now_s);
	publish(&r->first, 0);
	publish(&r->next, 0);
	publish(&r->magic, MAGIC);
}

int hs_replay_attach(int fd, int64_t now_s, uint32_t window_s, struct hs_replay **out)
{
	struct hs_replay *c;
	struct ring *ring = NULL;
	size_t len = 0;
	int err;

	err = map_ring(fd, &ring, &len);
	if (err < 0)
		return err;
	c = new_index((len - sizeof(*ring)) / sizeof(ring->entries[0]));
	if (!c) {
		munmap(ring, len);
		return -ENOMEM;
	}
	c->ring = ring;
	c->mapped_len = len;
	if (!ring->id && gnutls_rnd(GNUTLS_RND_NONCE, &ring->id, sizeof(ring->id)) < 0) {
		hs_replay_free(c);
		return -EIO;
	}
	*out = c;
	if (is_unused(ring)) {
		publish((uint64_t *)&ring->born_s, (uint64_t)now_s);
		publish(&ring->magic, MAGIC);
	} else if (!is_valid(c, now_s)) {
		start_over(c, now_s, window_s);
		return 1;
	}
	c->first = c->next = ring->first;
	for (; c->next != ring->next; c->next++)
		link_entry(c, c->next);
	return 0;
}

bool hs_replay_is_at(const struct hs_replay *c, int fd)
{
	struct ring r;

	return c->mapped_len && pread(fd, &r, sizeof(r), 0) == sizeof(r) && r.id == c->ring->id;
}

/* ---- use ---- */

/*
 * Made before there was this memory, and so perhaps accepted already. A clock that was set back by more
 * than a window since then was wrong at the start: nobody need wait until it gets there again.
 */
static bool is_from_before(const struct hs_replay *c, int64_t made_s, int64_t now_s,
			   uint32_t window_s)
{
	return made_s < c->ring->born_s && now_s >= c->ring->born_s - (int64_t)window_s;
}

bool hs_replay_enter(struct hs_replay *c, const uint8_t random[32], int64_t made_s, int64_t now_s,
		     uint32_t window_s)
{
	const uint32_t bucket = bucket_of(c, random);

	while (c->first != c->next && entry_at(c, c->first)->made_s < now_s - (int64_t)window_s)
		drop_head(c);
	if (made_s <= c->ring->forgotten_s || is_from_before(c, made_s, now_s, window_s) ||
	    hs_replay_count(c) == c->capacity)
		return false;
	for (uint32_t i = c->buckets[bucket]; i != NONE; i = c->links[i].next) {
		if (!memcmp(c->ring->entries[i].random, random, 32))
			return false;
	}
	append(c, random, made_s);
	return true;
}

static void forget_all(struct hs_replay *c)
{
	publish(&c->ring->first, c->next);
	c->first = c->next;
	for (uint32_t i = 0; i < c->n_buckets; i++)
		c->buckets[i] = NONE;
}

static void exchange(struct hs_replay **a, struct hs_replay **b)
{
	struct hs_replay *t = *a;

	*a = *b;
	*b = t;
}

void hs_replay_inherit(struct hs_replay **c, struct hs_replay **old)
{
	struct hs_replay *to, *from;

	/* What outlives the process serves on. */
	if ((*old)->mapped_len && !(*c)->mapped_len)
		exchange(c, old);
	if (hs_replay_count(*old) > (*c)->capacity - hs_replay_count(*c)) {
		exchange(c, old);
		return;
	}
	to = *c;
	from = *old;
	forget_until(to, from->ring->forgotten_s);
	if (from->ring->born_s > to->ring->born_s)
		publish((uint64_t *)&to->ring->born_s, (uint64_t)from->ring->born_s);
	for (uint64_t n = from->first; n != from->next; n++)
		append(to, entry_at(from, n)->random, entry_at(from, n)->made_s);
	forget_all(from);
}

size_t hs_replay_count(const struct hs_replay *c)
{
	return (size_t)(c->next - c->first);
}
