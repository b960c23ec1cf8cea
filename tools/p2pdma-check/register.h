/* SPDX-License-Identifier: GPL-2.0-only */
/* The question itself: does the kernel register a page of this memory with this RDMA device? */
#ifndef REGISTER_H
#define REGISTER_H

#include "survey.h"

/*
 * Maps one page of the provider's memory, registers it with the device, lets go of both, and fills
 * in how far that came. The page is not touched. The kernel's log gets lines when a pair is refused
 * for its path, the first time.
 */
void pair_register(struct pair *pair);

#endif
