/* SPDX-License-Identifier: GPL-2.0-only */
/* Moving bytes between what two work requests name. */
#ifndef EFA_TRANSFER_H
#define EFA_TRANSFER_H

#include "core.h"
#include "mr.h"
#include "wire.h"

/*
 * Memory as one side of a transfer: segments of regions, or the bytes of an
 * inline request.  Borrows everything.
 */
struct memory {
	struct efa_device *dev;
	u16 pd;
	u8 access; /* what the regions have to grant */
	const struct segment *segments;
	unsigned int count;
	const u8 *inline_data; /* instead of segments, or NULL */
};

/* Do the regions exist, belong to the domain, hold the ranges and grant the access? */
bool memory_is_valid(const struct memory *memory);
/*
 * Copies @len bytes from @offset on.  The range lies in the memory, which is
 * valid.  0 or the DMA's error; -EFAULT when it is not valid after all.
 */
int memory_read(const struct memory *memory, u64 offset, void *buf, size_t len);
int memory_write(const struct memory *memory, u64 offset, const void *buf, size_t len);

#endif
