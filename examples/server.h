/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SERVER_H
#define SERVER_H

#include "options.h"

/* The peer: lends ordinary memory to one client and ends with it. */
enum status server_run(const struct options *options);

#endif
