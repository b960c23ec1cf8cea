/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stress program: workers do random operations on controller memory, each with a model of what
 * they own; the parent compares what they own together with what the kernel says is free. Now and
 * then it takes the drive away under them, and brings it back.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum operation {
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_DISCARD,
	OP_MOVE,
	OP_GREED,
	OP_LOOK,
	OP_FORK,
	OP_REAP,
	OP_PIN,
	OP_REGISTER,
	OP_DEREGISTER,
	OP_COPY,
	OP_FETCH,
	OP_INSPECT,
	OP_SAVE,
	OP_LOAD,
	OP_EXIT,
	OPERATIONS,
};

enum outcome {
	DONE,
	REFUSED, /* by the kernel, as it should */
	OUTCOMES,
	IDLE = OUTCOMES, /* there was nothing to do it with: it does not count */
};

extern const char *const operation_names[OPERATIONS];

/* What is the same for all workers. */
struct stress {
	const char *p2pmem; /* folder in sysfs */
	const char *device; /* RDMA */
	char drive[32];	    /* block device, which is overwritten */
	uint64_t seed;
	uint64_t ops;
	unsigned int processes;
	unsigned int killed_every; /* rounds, on average, for one worker; 0: never */
	unsigned int removed_every; /* rounds, on average; 0: never */
};

/* Shared: the drive is being removed, or has been, and is not yet whole again. */
extern atomic_bool *removal;

/* The parent's order. */
enum task {
	START,	 /* answer when that is done */
	OPERATE, /* ROUND times */
	LOSE,	 /* see that all of the drive's memory is gone */
	END,
};

#define ROUND 25 /* operations of a worker from one audit to the next */

/* The worker's account of an order. */
struct account {
	unsigned int pages; /* owned now, or when they were lost */
	unsigned int regions;
	unsigned int huge; /* pages mapped */
	unsigned int count[OPERATIONS][OUTCOMES];
	bool leaves; /* the worker exits as it is */
};

/* A sequence of numbers that depends on the @state alone. */
uint64_t random_next(uint64_t *state);

/* Obeys orders on @socket until the end; @nth worker, started for the @life time. */
_Noreturn void worker_run(const struct stress *stress, unsigned int nth, unsigned int life,
			  int socket);

#endif
