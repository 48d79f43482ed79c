/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * First flights that take more than one datagram: until the ClientHello is complete nobody knows
 * whether it carries a credential, so the datagrams wait here. Everything is bounded, because
 * everybody can make us do this: datagrams and bytes of a flow, flows of a source site (IPv4 /24,
 * IPv6 /56), flows in total, time.
 */
#ifndef HS_FLOW_H
#define HS_FLOW_H

#include <stdint.h>
#include <sys/queue.h>
#include "cidtable.h"
#include "initial.h"
#include "udp.h"

#define HS_FLOWS_MAX 512
#define HS_FLOWS_SITE_MAX 16
#define HS_FLOW_DGRAMS_MAX 4
#define HS_FLOW_BYTES_MAX 6144
#define HS_FLOW_TIMEOUT_MS 3000

struct hs_flow {
	TAILQ_ENTRY(hs_flow) entry;
	uint64_t gone_ns;
	union hs_addr remote;
	uint16_t local_port;
	uint8_t dcid[HS_CID_LEN], scid[HS_CID_LEN];
	struct hs_reassembly reassembly;
	unsigned int n_dgrams;
	size_t used;
	uint16_t lens[HS_FLOW_DGRAMS_MAX];
	uint8_t data[HS_FLOW_BYTES_MAX];
};

struct hs_flows {
	TAILQ_HEAD(, hs_flow) list; /* oldest first */
	unsigned int n;
};

void hs_flows_init(struct hs_flows *f);
/* The flow of this source, port and pair of IDs, or NULL. */
struct hs_flow *hs_flow_find(struct hs_flows *f, const struct hs_dgram *d,
			     const struct hs_long_header *h);
/* A new one, or NULL if a bound is reached. */
struct hs_flow *hs_flow_new(struct hs_flows *f, const struct hs_dgram *d,
			    const struct hs_long_header *h);
/* Keep a copy of the datagram; false if the flow is full. */
bool hs_flow_keep(struct hs_flow *fl, const uint8_t *data, size_t len);
void hs_flow_free(struct hs_flows *f, struct hs_flow *fl);
uint64_t hs_flows_run_timers(struct hs_flows *f);
void hs_flows_clear(struct hs_flows *f);

#endif /* HS_FLOW_H */
