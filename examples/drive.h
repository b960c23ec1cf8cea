/* SPDX-License-Identifier: GPL-2.0-only */
/* The drive and the memory that data passes through on its way. */
#ifndef DRIVE_H
#define DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topology.h"

#define DRIVE_ALIGN 4096u /* O_DIRECT and p2pmem both work in pages of this size */

/*
 * Opens a block device for direct I/O; with @writable also for itself alone. Returns a file
 * descriptor and its @size in bytes, or -1 after an error message.
 */
int drive_open(const char *path, bool writable, uint64_t *size);

/* A file in memory that stands in for a drive: @size bytes, filled from @seed. Returns as above. */
int drive_stand_in(uint64_t size, uint64_t seed);

/* All @len bytes or an error. Return 0, or -1 after an error message. */
int drive_read(int fd, void *buf, size_t len, uint64_t offset);
int drive_write(int fd, const void *buf, size_t len, uint64_t offset);

/* The PCI device that a block device is on. Returns 0, or -1 after an error message. */
int drive_pci_path(const char *path, struct pci_path *pci);

/*
 * Maps controller memory of the PCI device @bdf: *@len bytes, or as much as there is in one piece,
 * which *@len then says. The CPU must not touch it. Returns NULL after an error message.
 */
void *p2pmem_map(const char *bdf, size_t *len);

/* Reads the pool's size and what of it is free, in bytes. Returns 0, or -1 (silently) without. */
int p2pmem_sizes(const char *bdf, uint64_t *size, uint64_t *available);

/* Ordinary memory. Returns NULL after an error message. */
void *host_map(size_t len);

#endif
