/* SPDX-License-Identifier: GPL-2.0-only */
/* What the user asked for, and what both roles hand back. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum status {
	STATUS_VERIFIED = 0,
	STATUS_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_REFUSED = 3, /* ibv_reg_mr() did not take the memory */
};

struct options {
	bool server;
	bool topology;	    /* draw it and stop */
	bool host_memory;   /* ordinary memory instead of controller memory */
	bool write_back;    /* overwrite the drive */
	const char *peer;   /* host name or address; client only */
	const char *device; /* RDMA device; NULL: the only one */
	const char *drive;  /* block device; NULL: a stand-in, with host memory only */
	const char *nvme;   /* BDF of the controller; NULL: the one below the drive */
	const char *json;   /* file to write; NULL: none */
	uint64_t offset;    /* on the drive, bytes */
	uint64_t length;    /* payload of one direction, bytes */
	uint64_t buffer;    /* memory that the payload passes through, bytes */
	uint64_t seed;	    /* of the bytes for the way back */
	unsigned int port;
	unsigned int timeout; /* seconds without progress */
	int gid_index;	      /* -1: choose */
};

/* What a client run came to. */
struct result {
	uint64_t payload_bytes; /* moved and compared, in one direction */
	int reg_mr_errno;	/* 0: the memory was registered */
	bool verified;		/* every direction asked for compared equal */
};

#endif
