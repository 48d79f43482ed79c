// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cover's profile and its file, see cover-profile.h. The file is a header in the machine's own
 * byte order and the message nexus-hsd has sent: what reads it is what reads that message. A check
 * sum tells a damaged one, for nexus-hsd believes the bytes it gets back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cover-profile.h"
#include "lib/hs_proto.h"
#include "lib/ipc.h"
#include "lib/texts.h"
#include "state-file.h"

#define MAGIC "NXCOVER1"
/* host:port with the longest host name, and its end */
#define COVER_NAME_LEN 264

struct file {
	char magic[8];
	uint64_t sum; /* of all that follows */
	uint64_t learnt_s;
	char cover[COVER_NAME_LEN];
	uint8_t message[NX_IPC_MAX_LEN];
};

#define HEADER_LEN offsetof(struct file, message)
#define SUMMED_FROM offsetof(struct file, learnt_s)

void nx_cover_profile_free(struct nx_cover_profile *p)
{
	nx_texts_free(p->lines);
	nx_texts_free(p->differences);
	memset(p, 0, sizeof(*p));
}

bool nx_cover_profile_equal(const struct nx_cover_profile *a, const struct nx_cover_profile *b)
{
	return a->blob_len == b->blob_len && !memcmp(a->blob, b->blob, a->blob_len) &&
	       nx_texts_equal(a->lines, b->lines) && nx_texts_equal(a->differences, b->differences);
}

static int parse_texts(const uint8_t *attrs, size_t len, uint16_t type, char ***out)
{
	const uint8_t *pos = NULL;
	size_t n = 0;
	struct nxa a;

	*out = calloc(NX_COVER_LINES_MAX + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	while (nxa_next(attrs, len, type, &pos, &a)) {
		if (n == NX_COVER_LINES_MAX)
			return -E2BIG;
		(*out)[n] = strdup(nxa_str(&a));
		if (!(*out)[n++])
			return -ENOMEM;
	}
	return 0;
}

int nx_cover_profile_parse(struct nx_cover_profile *p, const uint8_t *attrs, size_t len)
{
	const uint8_t *pos = NULL;
	struct nxa blob;
	int err;

	memset(p, 0, sizeof(*p));
	if (!nxa_next(attrs, len, HS_A_COVER_PROFILE, &pos, &blob))
		return 0;
	if (blob.len > sizeof(p->blob))
		return -E2BIG;
	memcpy(p->blob, blob.data, blob.len);
	p->blob_len = blob.len;
	err = parse_texts(attrs, len, HS_A_TEXT, &p->lines);
	if (!err)
		err = parse_texts(attrs, len, HS_A_DIFFERENCE, &p->differences);
	if (err)
		nx_cover_profile_free(p);
	return err;
}

/* ---- the file ---- */

static uint64_t sum(const struct file *f, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)f;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = SUMMED_FROM; i < len; i++)
		h = (h ^ bytes[i]) * 0x100000001b3;
	return h;
}

static void file_name(char name[64], const char *tunnel)
{
	snprintf(name, 64, "cover-%.31s", tunnel);
}

static ssize_t build(const struct nx_cover_profile *p, uint8_t *buf, size_t cap)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_COVER_PROFILE, .version = 1 };
	struct nxm m;

	nxm_begin(&m, buf, cap, &hdr);
	nxm_put(&m, HS_A_COVER_PROFILE, p->blob, p->blob_len);
	for (char **s = p->lines; s && *s; s++)
		nxm_put_str(&m, HS_A_TEXT, *s);
	for (char **s = p->differences; s && *s; s++)
		nxm_put_str(&m, HS_A_DIFFERENCE, *s);
	return nxm_end(&m);
}

int nx_cover_profile_save(const struct nx_cover_profile *p, const char *dir, const char *tunnel,
			  const char *cover)
{
	struct file f = { .magic = MAGIC, .learnt_s = p->learnt_s };
	char name[64];
	ssize_t len;

	if (strlen(cover) >= sizeof(f.cover))
		return -ENAMETOOLONG;
	strcpy(f.cover, cover);
	len = build(p, f.message, sizeof(f.message));
	if (len < 0)
		return (int)len;
	f.sum = sum(&f, HEADER_LEN + (size_t)len);
	file_name(name, tunnel);
	return nx_state_file_write(dir, name, &f, HEADER_LEN + (size_t)len);
}

static int parse(struct nx_cover_profile *p, const uint8_t *message, size_t len)
{
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;
	struct nxm_hdr hdr;

	if (nxm_parse_hdr(message, len, &hdr, &e) < 0 || hdr.cmd != HS_CMD_COVER_PROFILE ||
	    nxa_parse(hdr.attrs, hdr.attrs_len, &hs_set, tb, message, &e) < 0 ||
	    !tb[HS_A_COVER_PROFILE].present)
		return -EBADMSG;
	return nx_cover_profile_parse(p, hdr.attrs, hdr.attrs_len);
}

int nx_cover_profile_load(struct nx_cover_profile *p, const char *dir, const char *tunnel,
			  const char *cover)
{
	struct file f;
	char name[64];
	ssize_t len;
	int err;

	memset(p, 0, sizeof(*p));
	file_name(name, tunnel);
	len = nx_state_file_read(dir, name, &f, sizeof(f));
	if (len < 0)
		return len == -EFBIG ? -EBADMSG : (int)len;
	if ((size_t)len < HEADER_LEN || memcmp(f.magic, MAGIC, sizeof(f.magic)) ||
	    f.sum != sum(&f, (size_t)len) || !memchr(f.cover, '\0', sizeof(f.cover)))
		return -EBADMSG;
	if (strcmp(f.cover, cover))
		return -ENOENT;
	err = f.learnt_s ? parse(p, f.message, (size_t)len - HEADER_LEN) : -EBADMSG;
	if (!err)
		p->learnt_s = f.learnt_s;
	return err;
}

int nx_cover_profile_remove(const char *dir, const char *tunnel)
{
	char name[64];

	file_name(name, tunnel);
	return nx_state_file_remove(dir, name);
}
