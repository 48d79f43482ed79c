/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing of a session's keys stays in nexus-hsd after hand-over. What our own code holds is wiped
 * by name; what GnuTLS, nettle and ngtcp2 leave behind lies in freed heap blocks (wipe-heap.c
 * replaces free() and realloc() of this executable, so every block is wiped as it is freed) and
 * below the stack pointer.
 */
#ifndef HS_WIPE_H
#define HS_WIPE_H

/* Overwrite the unused stack below the caller. */
void hs_wipe_stack(void);

#endif /* HS_WIPE_H */
