/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A drive's controller memory as a program sees it. Whatever goes wrong here ends the program with
 * status 1 and a message, but for what says otherwise.
 */
#ifndef CMB_H
#define CMB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL

struct cmb {
	int allocate;  /* mapping it allocates */
	int available; /* the text file that says what is free */
};

/* @p2pmem is the folder in sysfs, such as /sys/bus/pci/devices/0000:03:00.0/p2pmem. */
void cmb_open(struct cmb *cmb, const char *p2pmem);

/* Bytes that are free now. */
size_t cmb_available(const struct cmb *cmb);

/* Maps @len bytes, which are writable. @addr is 0 for anywhere, or a free place in the address
 * space. Returns MAP_FAILED and errno as mmap() does.
 */
void *cmb_map(const struct cmb *cmb, uintptr_t addr, size_t len);

/* Pins pages as a long-term user of them would, and lets them go. */
struct pinner {
	int fd; /* mm/gup_test.c's file in debugfs */
};

void pinner_open(struct pinner *pinner);

/* Returns the bytes that could be pinned, from @addr on, or a negative errno. @peer: says that the
 * user can cope with peer memory.
 */
long pinner_try(const struct pinner *pinner, const void *addr, size_t len, bool peer);

#endif
