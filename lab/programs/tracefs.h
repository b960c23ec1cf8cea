/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the efa driver tells its device, and how long it waits for the answer, by probes in
 * efa_com_cmd_exec(). Whatever goes wrong here ends the program with status 1 and a message.
 */
#ifndef TRACEFS_H
#define TRACEFS_H

#include <stdint.h>

struct tracefs {
	int pipe; /* the file */
};

struct command {
	uint64_t instructions; /* between its probes, by the TSC */
	uint32_t entries;      /* of the page list, if it registers memory */
	uint64_t entry_bytes;  /* that one of them stands for */
};

/* Mounts tracefs if need be and sets the probes. */
void tracefs_open(struct tracefs *trace);

/* Forgets the commands up to now. */
void tracefs_clear(const struct tracefs *trace);

/* The one command since then. */
void tracefs_command(const struct tracefs *trace, struct command *command);

#endif
