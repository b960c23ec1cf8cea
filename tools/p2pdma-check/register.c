// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "register.h"

/* Each tries a step, leaves its error in @pair and goes on if there was none. */

static void try_register(struct pair *pair, struct ibv_pd *pd, void *page, size_t len)
{
	/* Writable: to a read-only region a kernel without the series says what a bad path gets. */
	struct ibv_mr *mr = ibv_reg_mr(pd, page, len, IBV_ACCESS_LOCAL_WRITE);

	pair->step = STEP_REGISTER;
	pair->err = mr ? 0 : errno;
	if (mr)
		ibv_dereg_mr(mr);
}

static void try_domain(struct pair *pair, struct ibv_context *context, void *page, size_t len)
{
	struct ibv_pd *pd = ibv_alloc_pd(context);

	pair->step = STEP_DOMAIN;
	pair->err = pd ? 0 : errno;
	if (!pd)
		return;
	try_register(pair, pd, page, len);
	ibv_dealloc_pd(pd);
}

static void try_device(struct pair *pair, void *page, size_t len)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	int i = 0;

	pair->step = STEP_DEVICE;
	pair->err = list ? ENODEV : errno;
	if (!list)
		return;
	while (list[i] && strcmp(ibv_get_device_name(list[i]), pair->device->name))
		i++;
	if (list[i]) {
		errno = 0;
		context = ibv_open_device(list[i]);
		pair->err = context ? 0 : errno ? errno : EIO;
	}
	ibv_free_device_list(list);
	if (!context)
		return;
	try_domain(pair, context, page, len);
	ibv_close_device(context);
}

static void try_map(struct pair *pair, int fd)
{
	size_t len = sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	pair->step = STEP_MAP;
	pair->err = page == MAP_FAILED ? errno : 0;
	if (page == MAP_FAILED)
		return;
	try_device(pair, page, len);
	munmap(page, len);
}

void pair_register(struct pair *pair)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/p2pmem/allocate",
		 pci_path_name(&pair->provider->pci.path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	pair->step = STEP_ALLOCATE;
	pair->err = fd < 0 ? errno : 0;
	if (fd < 0)
		return;
	try_map(pair, fd);
	close(fd);
}
