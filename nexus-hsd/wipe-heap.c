// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * free() and realloc() of this executable: as the C library's, but a block is wiped before it goes
 * back. The dynamic linker resolves these names to the executable first, so the libraries use them
 * as well. Not built with a sanitizer, which brings an allocator of its own.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* The C library's own, exported by glibc for replacements like this one. */
extern void __libc_free(void *p);

void free(void *p)
{
	int saved = errno;

	if (!p)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	__libc_free(p);
	errno = saved;
}

/* Never in place when shrinking much: the cut-off end would be left unwiped in a free block. */
void *realloc(void *p, size_t size)
{
	size_t usable;
	void *q;

	if (!p)
		return malloc(size);
	if (size == 0) {
		free(p);
		return NULL;
	}
	usable = malloc_usable_size(p);
	if (size <= usable && size >= usable / 2)
		return p;
	q = malloc(size);
	if (!q)
		return NULL;
	memcpy(q, p, size < usable ? size : usable);
	free(p);
	return q;
}
