// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * find-keys FILE: the names of the keys in FILE (masked-keys.h) that stand somewhere in the memory of
 * this machine, read through /proc/kcore; to be run as root in a guest. Processes are searched as
 * well as the kernel, for it is all the same memory.
 * find-keys --fill: overwrites the memory that is free, with what former processes left in it.
 *
 * The keys stay masked here, and what was read is wiped: a search must not find an earlier one.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "masked-keys.h"

#define CHUNK (1 << 20)
/* Left free by --fill, for everybody else. */
#define SPARE_KIB (24 << 10)

static struct masked_keys keys;
static bool found[MASKED_MAX];
/* By the first two bytes, unmasked: may a key begin so? That is no secret. */
static bool begins[1 << 16];
/* A key may lie across two reads: the end of one stands before the next. */
static uint8_t buf[MASKED_MAX_LEN + CHUNK];

static void look_at(const uint8_t *at, const uint8_t *end)
{
	const struct masked_key *k;
	unsigned int i, j;

	for (i = 0; i < keys.n; i++) {
		k = &keys.keys[i];
		if (found[i] || end - at < k->len)
			continue;
		for (j = 0; j < k->len && (at[j] ^ (uint8_t)(0xb3 + 7 * j)) == k->bytes[j]; j++)
			;
		found[i] = j == k->len;
	}
}

/* Most of a guest's memory is empty, and an emulated one is slow: what is zero is passed over. */
static void search(const uint8_t *from, const uint8_t *end)
{
	static const uint8_t zero[512];

	while (from + 1 < end) {
		if (end - from > sizeof(zero) && !memcmp(from, zero, sizeof(zero))) {
			/* A key may begin with zeros. */
			from += sizeof(zero) - MASKED_MAX_LEN;
			continue;
		}
		for (const uint8_t *stop = from + 256; from < stop && from + 1 < end; from++)
			if (begins[from[0] << 8 | from[1]])
				look_at(from, end);
	}
}

static void search_segment(int fd, const Elf64_Phdr *p)
{
	uint64_t at = 0;
	size_t kept = 0;
	ssize_t n;

	while (at < p->p_filesz) {
		size_t want = p->p_filesz - at < CHUNK ? p->p_filesz - at : CHUNK;

		n = pread(fd, buf + kept, want, p->p_offset + at);
		if (n <= 0) {
			/* A page that cannot be read; the keys are not there. */
			at = (at + 4096) & ~4095ull;
			kept = 0;
			continue;
		}
		search(buf, buf + kept + n);
		at += n;
		n += kept;
		kept = n < MASKED_MAX_LEN ? n : MASKED_MAX_LEN;
		memmove(buf, buf + n - kept, kept);
	}
}

/* All segments that are physical memory; the others show the same once more. */
static int search_memory(void)
{
	static Elf64_Phdr headers[256];
	int fd = open("/proc/kcore", O_RDONLY), i;
	unsigned long long bytes = 0;
	Elf64_Ehdr e;

	if (fd < 0 || pread(fd, &e, sizeof(e), 0) != sizeof(e) || e.e_phnum > 256 ||
	    pread(fd, headers, e.e_phnum * sizeof(*headers), e.e_phoff) <= 0) {
		perror("/proc/kcore");
		return 1;
	}
	for (i = 0; i < e.e_phnum; i++) {
		if (headers[i].p_type != PT_LOAD || headers[i].p_paddr == ~0ull)
			continue;
		search_segment(fd, &headers[i]);
		bytes += headers[i].p_filesz;
	}
	explicit_bzero(buf, sizeof(buf));
	/* What the kernel has read it with is its own: the headers are in it now. */
	i = pread(fd, &e, sizeof(e), 0) != sizeof(e);
	close(fd);
	fprintf(stderr, "%llu MiB searched\n", bytes >> 20);
	return i;
}

static unsigned long free_kib(void)
{
	unsigned long n = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %lu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static int fill(void)
{
	while (free_kib() > SPARE_KIB) {
		void *p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (p == MAP_FAILED)
			return errno != ENOMEM;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int i;
	FILE *f;

	if (argc != 2) {
		fprintf(stderr, "Usage: find-keys FILE|--fill\n");
		return 2;
	}
	if (!strcmp(argv[1], "--fill"))
		return fill();
	f = fopen(argv[1], "r");
	if (!f || fread(&keys, sizeof(keys), 1, f) != 1 || keys.n > MASKED_MAX) {
		perror(argv[1]);
		return 2;
	}
	fclose(f);
	for (i = 0; i < keys.n; i++)
		begins[(keys.keys[i].bytes[0] ^ 0xb3) << 8 | (keys.keys[i].bytes[1] ^ 0xba)] = true;
	if (search_memory())
		return 2;
	for (i = 0; i < keys.n; i++)
		if (found[i])
			puts(keys.keys[i].name);
	return 0;
}
