/* SPDX-License-Identifier: GPL-2.0-only */
/* The network between the devices: it loses nothing and takes no time. */
#ifndef EFA_FABRIC_H
#define EFA_FABRIC_H

#include "core.h"

struct efa_fabric {
	struct efa_device *devices;
	u32 last_id; /* of a device, never used again */
	/*
	 * Counts what may let a waiting send go on: receives posted, objects
	 * changed, devices come and gone.
	 */
	u64 changes;
	u8 bounce[EFA_DMA_SIZE]; /* every payload passes through here */
};

/* Gives the device its addresses and puts it on the fabric. */
void fabric_add(struct efa_fabric *fabric, struct efa_device *dev);
void fabric_remove(struct efa_fabric *fabric, struct efa_device *dev);
/* The device with this address, or NULL. */
struct efa_device *fabric_find(const struct efa_fabric *fabric, const u8 gid[EFA_GID_SIZE]);

#endif
