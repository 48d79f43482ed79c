/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel to the monitor (lib/mon_proto.h): wiring and secrets. Without it the process ends. */
#ifndef HS_MONITOR_H
#define HS_MONITOR_H

struct hsd;

/* Watch the channel (NX_MONITOR_FD). 0 or -errno. */
int hs_monitor_open(struct hsd *h, int fd);
/* Act on everything that has arrived. */
void hs_monitor_drain(struct hsd *h);

#endif /* HS_MONITOR_H */
