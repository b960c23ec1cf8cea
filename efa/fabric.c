// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "cq.h"
#include "fabric.h"
#include "qp.h"

#define STEPS_AT_ONCE 32 /* requests or DMAs of one device */

struct efa_fabric *efa_fabric_new(void)
{
	return calloc(1, sizeof(struct efa_fabric));
}

void efa_fabric_free(struct efa_fabric *fabric)
{
	while (fabric->devices)
		efa_device_free(fabric->devices);
	free(fabric);
}

/* An address of the link-local kind, made of a locally administered EUI-64. */
void fabric_add(struct efa_fabric *fabric, struct efa_device *dev)
{
	u32 id = ++fabric->last_id;
	struct efa_device **end = &fabric->devices;

	for (int i = 0; i < 4; i++)
		dev->guid[7 - i] = id >> 8 * i;
	dev->guid[0] = 0x02;
	dev->gid[0] = 0xfe;
	dev->gid[1] = 0x80;
	memcpy(dev->gid + 8, dev->guid, sizeof(dev->guid));
	dev->gid[8] ^= 0x02;

	while (*end)
		end = &(*end)->next;
	*end = dev;
	dev->fabric = fabric;
	fabric->changes++;
}

void fabric_remove(struct efa_fabric *fabric, struct efa_device *dev)
{
	struct efa_device **link = &fabric->devices;

	while (*link != dev)
		link = &(*link)->next;
	*link = dev->next;
	fabric->changes++;
}

struct efa_device *fabric_find(const struct efa_fabric *fabric, const u8 gid[EFA_GID_SIZE])
{
	struct efa_device *dev = fabric->devices;

	while (dev && memcmp(dev->gid, gid, EFA_GID_SIZE))
		dev = dev->next;
	return dev;
}

static void ring(struct efa_device *dev, u32 page, u32 value)
{
	if (page >= EFA_DB_CQ_PAGES)
		cq_doorbell(dev, page - EFA_DB_CQ_PAGES, value);
	else if (page % 2)
		qp_recv_doorbell(dev, page / 2, value);
	else
		qp_send_doorbell(dev, page / 2, value);
}

static void answer_requests(struct efa_device *dev)
{
	struct regs_requests requests;

	regs_collect(dev, &requests);
	if (requests.response &&
	    device_write(dev, EFA_DMA_ADMIN, requests.response_addr, &requests.response_value,
			 sizeof(requests.response_value)))
		device_event(dev, "cannot answer a register read");
	admin_configure(dev, &requests);
	for (u32 i = 0; i < REGS_EQS; i++)
		if (requests.eq_armed[i])
			eq_arm(dev, requests.eqn[i]);
	if (requests.keep_alive)
		admin_keep_alive(dev);
}

/* What the guest asked for by register and doorbell.  Returns whether commands are left. */
static bool work_on_control(struct efa_device *dev)
{
	u32 page, value;

	if (atomic_load(&dev->regs.reset)) {
		device_clear(dev);
		regs_reset_done(dev);
	}
	answer_requests(dev);
	while (regs_next_doorbell(dev, &page, &value))
		ring(dev, page, value);
	return admin_work(dev);
}

/* The next queue pair, in turn, that can do something; NULL when there is none. */
static struct qp *next_runnable(struct efa_device *dev)
{
	for (u32 i = 0; i < table_size(&dev->qps); i++) {
		struct qp *qp = table_at(&dev->qps, table_index(&dev->qps, dev->next_qp++));

		if (qp && qp_is_runnable(dev, qp))
			return qp;
	}
	return NULL;
}

static void work_on_queues(struct efa_device *dev)
{
	struct qp *qp;

	for (int i = 0; i < STEPS_AT_ONCE && !atomic_load(&dev->regs.reset); i++) {
		qp = next_runnable(dev);
		if (!qp)
			return;
		qp_run(dev, qp);
	}
}

bool efa_fabric_work(struct efa_fabric *fabric)
{
	bool more = false;

	for (struct efa_device *dev = fabric->devices; dev; dev = dev->next)
		more |= work_on_control(dev);
	for (struct efa_device *dev = fabric->devices; dev; dev = dev->next)
		work_on_queues(dev);
	/* What one device did may let another go on. */
	for (struct efa_device *dev = fabric->devices; dev; dev = dev->next)
		more |= next_runnable(dev) || regs_are_pending(dev);
	return more;
}
