// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "cq.h"
#include "fabric.h"
#include "mr.h"
#include "qp.h"

void device_event(const struct efa_device *dev, const char *format, ...)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "%s: ", dev->name);
	va_list args;

	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - len, format, args);
	va_end(args);
	dev->host.event(dev->host.ctx, line);
}

static void destroy_ah(struct efa_device *dev, u32 handle)
{
	free(table_remove(&dev->ahs, handle));
}

static void destroy_mr(struct efa_device *dev, u32 handle)
{
	mr_deregister(dev, handle);
}

static void destroy_cq(struct efa_device *dev, u32 handle)
{
	cq_destroy(dev, handle);
}

static void destroy_eq(struct efa_device *dev, u32 handle)
{
	eq_destroy(dev, handle);
}

static void destroy_qp(struct efa_device *dev, u32 handle)
{
	qp_destroy(dev, handle);
}

static void destroy_pd(struct efa_device *dev, u32 handle)
{
	table_remove(&dev->pds, handle);
}

static void destroy_uar(struct efa_device *dev, u32 handle)
{
	table_remove(&dev->uars, handle);
}

static void clear_table(struct efa_device *dev, struct table *table,
			void (*destroy)(struct efa_device *dev, u32 handle))
{
	for (u32 i = 0; table->used && i < table_size(table); i++)
		if (table_at(table, i))
			destroy(dev, table_handle(table, i));
}

/* Tables and generations stay, so that handles of before the reset find nothing, if not reused. */
void device_clear(struct efa_device *dev)
{
	clear_table(dev, &dev->qps, destroy_qp);
	clear_table(dev, &dev->cqs, destroy_cq);
	clear_table(dev, &dev->eqs, destroy_eq);
	clear_table(dev, &dev->mrs, destroy_mr);
	clear_table(dev, &dev->ahs, destroy_ah);
	clear_table(dev, &dev->pds, destroy_pd);
	clear_table(dev, &dev->uars, destroy_uar);
	memset(&dev->admin, 0, sizeof(dev->admin));
	dev->fabric->changes++;
}

static int init_tables(struct efa_device *dev)
{
	if (table_init(&dev->pds, EFA_PD_BITS, 16) || table_init(&dev->uars, EFA_UAR_BITS, 16) ||
	    table_init(&dev->ahs, EFA_AH_BITS, 16) || table_init(&dev->cqs, EFA_CQ_BITS, 16) ||
	    table_init(&dev->eqs, EFA_EQ_BITS, 16) || table_init(&dev->qps, EFA_QP_BITS, 16) ||
	    table_init(&dev->mrs, EFA_MR_BITS, EFA_KEY_BITS))
		return -ENOMEM;
	return 0;
}

static void fini_tables(struct efa_device *dev)
{
	table_fini(&dev->mrs);
	table_fini(&dev->qps);
	table_fini(&dev->eqs);
	table_fini(&dev->cqs);
	table_fini(&dev->ahs);
	table_fini(&dev->uars);
	table_fini(&dev->pds);
}

struct efa_device *efa_device_new(struct efa_fabric *fabric, const char *name,
				  const struct efa_host *host, void *llq)
{
	struct efa_device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	if (init_tables(dev)) {
		fini_tables(dev);
		free(dev);
		return NULL;
	}
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->host = *host;
	dev->llq = llq;
	pci_init(&dev->pci);
	regs_init(&dev->regs);
	fabric_add(fabric, dev);
	return dev;
}

void efa_device_free(struct efa_device *dev)
{
	device_clear(dev);
	fabric_remove(dev->fabric, dev);
	regs_fini(&dev->regs);
	fini_tables(dev);
	free(dev);
}

void efa_device_reuse_keys(struct efa_device *dev)
{
	dev->mrs.reuse = true;
}

void efa_device_reset(struct efa_device *dev)
{
	pthread_mutex_lock(&dev->regs.lock);
	pci_init(&dev->pci);
	pthread_mutex_unlock(&dev->regs.lock);
	regs_reset(dev);
}

void efa_device_keep_alive(struct efa_device *dev)
{
	pthread_mutex_lock(&dev->regs.lock);
	dev->regs.requests.keep_alive = true;
	pthread_mutex_unlock(&dev->regs.lock);
	dev->host.wake(dev->host.ctx);
}

int efa_device_config_read(struct efa_device *dev, uint64_t off, void *buf, size_t len)
{
	int err;

	pthread_mutex_lock(&dev->regs.lock);
	err = pci_read(&dev->pci, off, buf, len);
	pthread_mutex_unlock(&dev->regs.lock);
	return err;
}

int efa_device_config_write(struct efa_device *dev, uint64_t off, const void *buf, size_t len)
{
	bool reset = false;
	int err;

	pthread_mutex_lock(&dev->regs.lock);
	err = pci_write(&dev->pci, off, buf, len, &reset);
	pthread_mutex_unlock(&dev->regs.lock);
	if (reset)
		efa_device_reset(dev);
	return err;
}
