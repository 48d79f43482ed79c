// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --check-config beyond the text: are the files that the configuration names there, safe, and keys? Uses
 * the very checks the monitor applies when it opens them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "lib/keytext.h"
#include "config-internal.h"
#include "secrets.h"

static void add(struct nx_config_report *rep, const struct nx_config_file *f, const char *text)
{
	char **grown = reallocarray(rep->errors, rep->n_errors + 1, sizeof(*grown));
	char line[NX_CONFIG_ERROR_LEN];

	if (!grown)
		return;
	rep->errors = grown;
	snprintf(line, sizeof(line), "%s:%u: %s: %s", rep->path, f->line, f->setting, text);
	grown[rep->n_errors] = strdup(line);
	if (grown[rep->n_errors])
		rep->n_errors++;
}

/* The private_key_file of the tunnel whose old_private_key_file @f is. */
static const struct nx_config_file *present_key_of(const struct nx_config_report *rep,
						   const struct nx_config_file *f)
{
	const char *dot = strrchr(f->setting, '.');
	size_t n = dot ? (size_t)(dot + 1 - f->setting) : 0;

	for (size_t i = 0; i < rep->n_files; i++) {
		if (!strncmp(rep->files[i].setting, f->setting, n) &&
		    !strcmp(rep->files[i].setting + n, "private_key_file"))
			return &rep->files[i];
	}
	return NULL;
}

static bool holds_key(const struct nx_config_file *f, const char *secret_dir,
		      const uint8_t key[NX_KEY_LEN])
{
	uint8_t other[NX_KEY_LEN];
	char text[320];
	bool same;
	int fd = nx_secret_open(secret_dir, f->path, text, sizeof(text));

	if (fd < 0)
		return false;
	same = nx_key_read_fd(fd, other) == 0 && !memcmp(other, key, NX_KEY_LEN);
	explicit_bzero(other, sizeof(other));
	close(fd);
	return same;
}

/* Does the file hold a key, and not the wrong one? The key itself is wiped at once. */
static void check_key(struct nx_config_report *rep, const struct nx_config_file *f, int fd,
		      const char *secret_dir)
{
	const struct nx_config_file *present = f->old_key ? present_key_of(rep, f) : NULL;
	uint8_t key[NX_KEY_LEN];
	char text[320];

	if (nx_key_read_fd(fd, key) < 0) {
		snprintf(text, sizeof(text),
			 "%s: holds no key; right is one line as nexusctl genkey prints it",
			 f->path);
		add(rep, f, text);
	} else if (present && holds_key(present, secret_dir, key)) {
		add(rep, f,
		    "holds the same key as private_key_file; right is the key the server had before");
	}
	explicit_bzero(key, sizeof(key));
}

void nx_config_check_files(struct nx_config_report *rep, const char *secret_dir)
{
	size_t n = rep->n_files;
	char text[320];

	for (size_t i = 0; i < n; i++) {
		const struct nx_config_file *f = &rep->files[i];
		int fd;

		if (f->until_s && f->until_s <= (uint64_t)time(NULL))
			continue;
		fd = nx_secret_open(secret_dir, f->path, text, sizeof(text));
		if (fd == -ENOENT && f->keylog)
			continue;
		if (fd < 0) {
			add(rep, f, text);
			continue;
		}
		if (!f->keylog)
			check_key(rep, f, fd, secret_dir);
		close(fd);
	}
}
