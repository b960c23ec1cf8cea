/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring of entries in host memory.  A phase bit in each entry tells the
 * consumer whether it is new: 1 in the first round, and changing every round.
 */
#ifndef EFA_RING_H
#define EFA_RING_H

#include "defs.h"
#include "device.h"

struct ring {
	u64 base;    /* bus address */
	u32 entries; /* a power of two */
	u32 size;    /* of an entry, bytes, a multiple of 8 */
	u32 next;    /* counts without end */
};

static inline bool ring_phase(const struct ring *ring)
{
	return !(ring->next & ring->entries);
}

static inline u64 ring_address(const struct ring *ring, u32 index)
{
	return ring->base + (u64)(index & (ring->entries - 1)) * ring->size;
}

/*
 * Writes the next entry, which holds the phase of ring_phase() in its first 8
 * bytes: these go last and in one store, so that the consumer never sees a
 * phase bit before the rest.  Returns what the host's dma_write does.
 */
int ring_push(struct efa_device *dev, enum efa_dma_kind kind, struct ring *ring,
	      const void *entry);

#endif
