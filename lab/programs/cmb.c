// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmb.h"
#include "gup_test.h"

/* Internal to the kernel; include/linux/mm_types.h. */
#define FOLL_WRITE	(1 << 0)
#define FOLL_PCI_P2PDMA (1 << 10)

static int open_in(const char *folder, const char *name, int flags)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

void cmb_open(struct cmb *cmb, const char *p2pmem)
{
	cmb->allocate = open_in(p2pmem, "allocate", O_RDWR);
	cmb->available = open_in(p2pmem, "available", O_RDONLY);
}

size_t cmb_available(const struct cmb *cmb)
{
	char text[32] = "";

	if (pread(cmb->available, text, sizeof(text) - 1, 0) <= 0)
		err(1, "p2pmem/available");
	return strtoul(text, NULL, 10);
}

void *cmb_map(const struct cmb *cmb, uintptr_t addr, size_t len)
{
	return mmap((void *)addr, len, PROT_READ | PROT_WRITE,
		    MAP_SHARED | (addr ? MAP_FIXED_NOREPLACE : 0), cmb->allocate, 0);
}

void pinner_open(struct pinner *pinner)
{
	pinner->fd = open_in("/sys/kernel/debug", "gup_test", O_RDWR);
}

long pinner_try(const struct pinner *pinner, const void *addr, size_t len, bool peer)
{
	struct gup_test test = {
		.addr = (uintptr_t)addr,
		.size = len,
		.nr_pages_per_call = 1, /* so that it ends at the first page that cannot */
		.gup_flags = FOLL_WRITE | (peer ? FOLL_PCI_P2PDMA : 0),
	};

	return ioctl(pinner->fd, PIN_LONGTERM_BENCHMARK, &test) ? -errno : (long)test.size;
}
