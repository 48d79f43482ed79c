/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers on the wire that capsule.c writes and capsule-parse.c reads; docs/wire-format.md. */
#ifndef HS_CAPSULE_TYPES_H
#define HS_CAPSULE_TYPES_H

#include <stdbool.h>

#include "capsule.h"

/* RFC 9484 */
#define HS_CAPSULE_ADDRESS_ASSIGN 1
#define HS_CAPSULE_ADDRESS_REQUEST 2
#define HS_CAPSULE_ROUTE_ADVERTISEMENT 3

/* Our requests number their entries so that an answer is possible without remembering them. */
#define HS_REQUEST_ID_IPV4 1
#define HS_REQUEST_ID_IPV6 2
#define HS_REQUEST_ID_FREE 3

/* Of HS_CAPSULE_SETTINGS: type, length, value; unknown types are skipped. */
enum hs_setting {
	HS_SETTING_DNS = 1, /* IP version 1 byte, address; repeats */
	HS_SETTING_DOMAIN, /* 1..253 bytes; repeats */
	HS_SETTING_MTU, /* varint; this and the following once at most */
	HS_SETTING_KEEPALIVE,
	HS_SETTING_ROUTE_EPOCH,
	HS_SETTING_DP_CAPS,
	HS_SETTING_MAX_AGE,
};

#endif /* HS_CAPSULE_TYPES_H */
