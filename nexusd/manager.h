/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control process: one event loop, the configuration, the tunnels, and the clients of the
 * monitor, of nexus-hsd and of the data plane. manager-bus.c is its D-Bus face.
 */
#ifndef NX_MANAGER_H
#define NX_MANAGER_H

#include "tunnel.h"

struct nx_data_plane_info {
	const char *name;	/* "nexus-dp", "nexus_quic_dco" */
	bool available;
	char reason[160];	/* why not */
	uint32_t abi_version;	/* 0 = not known; may be known of one that is not available */
	char release[32], provider[32];
	uint16_t ciphers[8];
	size_t n_ciphers;
	bool udp_gso, udp_gro, tun_tso, tun_uso;
};

struct nx_manager {
	sd_event *event;
	sd_bus *bus;		/* NULL until connected; comes back by itself if the bus restarts */
	char *config_file;
	struct nx_config *config;
	TAILQ_HEAD(, nx_tunnel) tunnels;
	struct nx_data_plane_info data_planes[2];
	size_t n_data_planes;
	struct nx_manager_private *priv;
	struct nx_manager_bus *bus_face; /* manager-bus.c: NULL before nx_manager_bus_start() */
};

struct nx_tunnel *nx_manager_find_tunnel(struct nx_manager *m, const char *name);
/* Read and apply the configuration again. 0 or -EINVAL with @error ("file:line: setting: text"). */
int nx_manager_reload(struct nx_manager *m, char *error, size_t error_len);

/* The machine has slept: logind says so. */
void nx_manager_resumed(struct nx_manager *m);

/* ---- manager-bus.c ---- */
/* Connect to the system bus (or DBUS_SYSTEM_BUS_ADDRESS), own the name, export the objects. Without
 * a bus it keeps trying in the background and the tunnels work regardless. 0 or -errno.
 */
int nx_manager_bus_start(struct nx_manager *m);
void nx_manager_bus_stop(struct nx_manager *m);

#endif /* NX_MANAGER_H */
