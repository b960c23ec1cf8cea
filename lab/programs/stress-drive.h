/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The drive whose controller memory it is, taken away and brought back. What goes wrong ends the
 * program with status 1 and a message, but for what says otherwise.
 */
#ifndef STRESS_DRIVE_H
#define STRESS_DRIVE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct drive {
	char device[PATH_MAX]; /* folder in sysfs, of the PCI device */
	char driver[PATH_MAX];
};

enum removal {
	UNBIND,
	REMOVE, /* the device itself */
	REMOVALS,
};

void drive_find(struct drive *drive, const char *p2pmem);

/* Waits for the drive's namespace and gives the @size bytes of its block device's @path. */
void drive_namespace(const struct drive *drive, char *path, size_t size);

/* Returns the process that does it, which ends when that is done. */
pid_t drive_remove(const struct drive *drive, enum removal how);
/* Whether it ends within so many seconds. */
bool drive_is_removed(pid_t remover, unsigned int seconds);
void drive_bring_back(const struct drive *drive, enum removal how);

#endif
