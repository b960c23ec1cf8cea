// SPDX-License-Identifier: GPL-2.0-only
#include "dma_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dma_log {
	FILE *file;
};

struct dma_log *dma_log_open(const char *path)
{
	struct dma_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->file = fopen(path, "we");
	if (!log->file) {
		free(log);
		return NULL;
	}
	setvbuf(log->file, NULL, _IOLBF, 0);
	fputs("# device kind read|write(by the device) ram|peer(by message) bus-address bytes"
	      " [failed errno]\n", log->file);
	return log;
}

static const char *kind_name(enum efa_dma_kind kind)
{
	switch (kind) {
	case EFA_DMA_PAYLOAD:
		return "payload";
	case EFA_DMA_QUEUE:
		return "queue";
	case EFA_DMA_ADMIN:
		return "admin";
	}
	return "unknown";
}

void dma_log_add(struct dma_log *log, const char *device, const struct dma_access *access)
{
	char failed[32] = "";
	const char *name;

	if (!log)
		return;
	if (access->err) {
		name = strerrorname_np(-access->err);
		if (name)
			snprintf(failed, sizeof(failed), " failed -%s", name);
		else
			snprintf(failed, sizeof(failed), " failed %d", access->err);
	}
	fprintf(log->file, "%s %s %s %s 0x%" PRIx64 " %zu%s\n", device, kind_name(access->kind),
		access->write ? "write" : "read", access->peer ? "peer" : "ram", access->addr,
		access->len, failed);
}

int dma_log_close(struct dma_log *log)
{
	int err = 0;

	if (!log)
		return 0;
	if (ferror(log->file))
		err = -EIO;
	if (fclose(log->file))
		err = -EIO;
	free(log);
	return err;
}
