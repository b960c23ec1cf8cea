// SPDX-License-Identifier: GPL-2.0-only
#include "core.h"
#include "ring.h"

int ring_push(struct efa_device *dev, enum efa_dma_kind kind, struct ring *ring,
	      const void *entry)
{
	u64 addr = ring_address(ring, ring->next++);
	int err = device_write(dev, kind, addr + 8, (const u8 *)entry + 8, ring->size - 8);

	return err ? err : device_write(dev, kind, addr, entry, 8);
}
