/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CLIENT_H
#define CLIENT_H

#include "options.h"

/* The side with the drive: moves the payload, compares it, fills @result in any case. */
enum status client_run(const struct options *options, struct result *result);

/* Draws how the drive and the RDMA device stand to each other, and moves nothing. */
enum status client_topology(const struct options *options);

#endif
