/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread for a call that may take its time. All state stays with the event loop. */
#ifndef NX_THREAD_H
#define NX_THREAD_H

/* Run @fn(@arg) beside the event loop; nobody waits for its end. It gets no signals. 0 or -errno. */
int nx_thread_start(void *(*fn)(void *arg), void *arg);

#endif /* NX_THREAD_H */
