/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The DMA log: a text file with one line for each access of a device to
 * memory, as it was made: an access that crosses mappings, or the size limit
 * of a message, is several lines.
 *
 * A line is in the file before the device goes on: whoever sees a completion
 * finds the lines of all that was moved for it.
 */
#ifndef DMA_LOG_H
#define DMA_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"

struct dma_log;

struct dma_access {
	enum efa_dma_kind kind;
	bool write; /* the device writes to memory */
	bool peer;  /* by message to the client, not in memory shared with it */
	uint64_t addr;
	size_t len;
	int err; /* 0 or a negative errno */
};

/* Makes or empties the file at @path.  NULL with errno set when that fails. */
struct dma_log *dma_log_open(const char *path);
/* Adds a line for @device; from any thread.  Does nothing when @log is NULL. */
void dma_log_add(struct dma_log *log, const char *device, const struct dma_access *access);
/* Closes the file and frees @log, which may be NULL; -EIO when any line is missing in it. */
int dma_log_close(struct dma_log *log);

#endif
