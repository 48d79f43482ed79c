/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of the servers' replay caches (lib/hs_proto.h) from its beginning to its end. While nexusd runs
 * it is the descriptor "replay:TUNNEL" of the store; when all its processes have ended the monitor writes
 * it to a folder of root's own, and takes it from there at the next start. Only the bytes are moved: nexus-hsd
 * judges what they are worth.
 *
 * A file is removed before what was in it is used: after a sudden end there is none, rather than one that
 * lacks what was accepted last, and new memory knows that it is new.
 */
#ifndef NX_REPLAY_MEMORY_H
#define NX_REPLAY_MEMORY_H

#include "fd-store.h"

/* Sealed against changes of its size, all zero. A descriptor or -errno. */
int nx_replay_memory_new(void);
/* From the files in @dir into the store, and away with the files. What cannot be used is logged. */
void nx_replay_load(const char *dir, struct nx_fd_store *store);
/* Every "replay:" of the store into @dir, which is made if it is not there. Logs what fails. */
void nx_replay_save(const char *dir, const struct nx_fd_store *store);

#endif /* NX_REPLAY_MEMORY_H */
