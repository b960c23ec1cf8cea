/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices of one fabric, each with its socket, guest memory and reader
 * thread, and the worker thread that does the work of all.
 */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "dma_log.h"

struct emulator_device {
	const char *name;
	const char *socket; /* path */
};

/* All of it stays the caller's and must outlive the emulator. */
struct emulator_config {
	const struct emulator_device *devices;
	size_t count;
	struct dma_log *log; /* may be NULL */
	bool verbose;
	bool reuse_keys; /* efa_device_reuse_keys() for all */
};

enum emulator_state {
	EMULATOR_WAITING, /* no client has come yet */
	EMULATOR_SERVING,
	EMULATOR_DONE, /* the last client has gone */
};

struct emulator;

/*
 * Makes the sockets and starts the threads, which inherit the caller's signal
 * mask.  NULL after saying why on standard error; *@status is then the
 * program's exit status, 1 or 2.
 */
struct emulator *emulator_start(const struct emulator_config *config, int *status);
/* Ends all connections and threads, removes the sockets and frees everything. */
void emulator_stop(struct emulator *emu);

enum emulator_state emulator_state(struct emulator *emu);
/* An eventfd that gets readable when the state changes; the emulator's. */
int emulator_changed_fd(const struct emulator *emu);

#endif
