/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one device sees of its guest's memory: bus addresses are looked up in
 * the ranges that the client mapped.  A range with a file is accessed in place
 * ("ram"); a range without one, and any address in no range at all, by message
 * ("peer"): memory inside another device, such as a controller memory buffer,
 * is never mapped, and the client knows what is there.  Ranges that QEMU maps
 * without a file are its ROMs, video memory and the BARs of other vfio devices.
 *
 * All functions may be called from any thread.  No lock is held during a
 * message, so mapping and unmapping never wait for one; unmapping waits for
 * the copy in progress only.  Lengths are bytes, errors negative errnos.
 */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dma_log.h"

/* How to reach what is not mapped: at most @max bytes a message. */
struct guest_memory_peer {
	void *ctx;
	size_t max;
	int (*dma)(void *ctx, bool write, uint64_t addr, void *buf, size_t len);
};

struct guest_memory;

/* @peer is copied; @log (may be NULL) and @device, its name there, must outlive the result. */
struct guest_memory *guest_memory_new(const struct guest_memory_peer *peer, struct dma_log *log,
				      const char *device);
void guest_memory_free(struct guest_memory *mem);

/*
 * Maps @size bytes at @addr to @fd (stays the caller's; -1 for none) from
 * @offset on, for the device to read, write or both.  -EEXIST when they overlap
 * a range, -EINVAL when they are empty, wrap or leave the file, -ENOSPC when
 * there are too many ranges.
 */
int guest_memory_map(struct guest_memory *mem, uint64_t addr, uint64_t size, bool readable,
		     bool writable, int fd, uint64_t offset);
/* Unmaps exactly one range; -ENOENT when there is none like it. */
int guest_memory_unmap(struct guest_memory *mem, uint64_t addr, uint64_t size);
void guest_memory_unmap_all(struct guest_memory *mem);

/*
 * 0, -EACCES where the range does not allow it, -EINVAL when addr + len wraps,
 * or what the peer says.  Each piece is in the log.  An aligned write of 4 or 8
 * bytes to mapped memory is one store and comes after all earlier writes.
 */
int guest_memory_read(struct guest_memory *mem, enum efa_dma_kind kind, uint64_t addr, void *buf,
		      size_t len);
int guest_memory_write(struct guest_memory *mem, enum efa_dma_kind kind, uint64_t addr,
		       const void *buf, size_t len);
/* One aligned store in mapped memory, without waiting; -EAGAIN where that cannot be. */
int guest_memory_store64(struct guest_memory *mem, uint64_t addr, uint64_t val);

#endif
