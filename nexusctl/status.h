/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two ways to print a model; status.c fetches it. */
#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include "model.h"

/* Tunnels of @m, or only @name if it is not NULL, as aligned text. */
void status_print_text(const struct model *m, const char *name);
/*
 * The same as one JSON object, schema 1 of nexusctl(1). @manager is the reply to GetAll of the
 * manager's properties. A negative errno if that cannot be read.
 */
int status_print_json(const struct model *m, const char *name, sd_bus_message *manager);

/* Bits per second between two samples of a counter of bytes; negative if there were no two. */
double status_rate(const struct model_tunnel *t, const char *counter);

#endif /* CTL_STATUS_H */
