/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hand-over of an established session to the control process (HS_CMD_SESSION). */
#ifndef HS_EXPORT_H
#define HS_EXPORT_H

#include "conn.h"

/*
 * Export @c and end it without a word to the peer; a tombstone keeps its connection IDs. 0: done,
 * @c is gone. -EAGAIN: the control process cannot take it now, nothing has happened. Any other
 * negative errno: it cannot be exported.
 */
int hs_export(struct hs_conn *c);

#endif /* HS_EXPORT_H */
