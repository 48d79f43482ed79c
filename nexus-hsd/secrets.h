/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The long-term keys the monitor hands to nexus-hsd by name ("secret:TUNNEL:private-key",
 * "secret:TUNNEL:old-private-key", "secret:TUNNEL:psk", "secret:TUNNEL:psk:USER"). They stay in memory
 * (the process is locked and not dumpable) until replaced or until the tunnel is deleted, a server's
 * former key until its time is over; they leave it never.
 */
#ifndef HS_SECRETS_H
#define HS_SECRETS_H

#include <stdint.h>

#define HS_SECRET_NAME_MAX 95
#define HS_SECRET_KEY "private-key"
#define HS_SECRET_OLD_KEY "old-private-key"

/* Read a key from @fd (not consumed) and keep it under @name. 0 or -errno. */
int hs_secret_store(const char *name, int fd);
/* "secret:TUNNEL:WHAT[:USER]" or NULL; @user may be NULL. */
const uint8_t *hs_secret_get(const char *tunnel, const char *what, const char *user);
/* Grows whenever a secret of the tunnel changes its value. */
uint64_t hs_secret_serial(const char *tunnel);
/* Wipe those of one tunnel, or all (NULL). */
void hs_secret_forget(const char *tunnel);
/* Wipe "secret:TUNNEL:WHAT". */
void hs_secret_forget_one(const char *tunnel, const char *what);

#endif /* HS_SECRETS_H */
