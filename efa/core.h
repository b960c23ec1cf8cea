/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device, for the modules that make it up.  Everything here but @regs and
 * @pci, which have their own lock, belongs to the thread in efa_fabric_work().
 */
#ifndef EFA_CORE_H
#define EFA_CORE_H

#include "admin.h"
#include "defs.h"
#include "device.h"
#include "pci.h"
#include "regs.h"
#include "table.h"

/* Limits, as GET_FEATURE tells them; those in bits are powers of two. */
#define EFA_PD_BITS	   8
#define EFA_UAR_BITS	   8
#define EFA_AH_BITS	   10
#define EFA_MR_BITS	   12
#define EFA_CQ_BITS	   9
#define EFA_QP_BITS	   8
#define EFA_EQ_BITS	   2
#define EFA_KEY_BITS	   24 /* what a work request has room for */
#define EFA_SUB_CQS	   2  /* 0 for sends, 1 for receives */
#define EFA_MAX_CQ_DEPTH   (1u << 15)
#define EFA_MAX_EQ_DEPTH   (1u << 10)
#define EFA_MAX_RQ_DEPTH   (1u << 13) /* descriptors */
#define EFA_MAX_RECV_SGES  4
#define EFA_MAX_MR_PAGES   (1u << 20)
#define EFA_ALL_MR_PAGES   (1u << 22) /* of all regions of a device */
#define EFA_PAGE_SHIFT_MIN 12
#define EFA_PAGE_SHIFT_MAX 30
#define EFA_MTU		   8928u      /* bytes of a message */
#define EFA_GRH_SIZE	   40	      /* bytes before a datagram in its receive buffer */
#define EFA_MAX_RDMA_SIZE  (1u << 30) /* bytes */
#define EFA_ADDRESS_BITS   48
#define EFA_DMA_SIZE	   (64u << 10) /* most bytes of one DMA */

#define EFA_GID_SIZE 16

/* Doorbell pages: two for each queue pair, then one for each completion queue. */
#define EFA_DB_PAGE_SIZE    4096u
#define EFA_DB_CQ_PAGES	    (2u << EFA_QP_BITS)
#define EFA_LLQ_SIZE	    (EFA_BAR_LLQ_SIZE >> EFA_QP_BITS) /* of one queue pair, bytes */

static_assert((EFA_DB_CQ_PAGES + (1u << EFA_CQ_BITS)) * EFA_DB_PAGE_SIZE == EFA_BAR_DB_SIZE,
	      "every queue has its doorbell page");
static_assert((1u << EFA_EQ_BITS) + 1 == EFA_MSIX_VECTORS, "one vector is for the admin queue");

struct stats {
	struct efa_admin_basic_stats basic;
	struct efa_admin_messages_stats messages;
	struct efa_admin_rdma_read_stats reads;
	struct efa_admin_rdma_write_stats writes;
};

struct address_handle {
	u16 pd;
	u8 gid[EFA_GID_SIZE];
	bool reached; /* somebody once answered there */
};

struct efa_device {
	struct efa_fabric *fabric;
	struct efa_device *next;
	char name[32];
	struct efa_host host;
	u8 *llq;
	u8 guid[8], gid[EFA_GID_SIZE];

	struct pci pci;
	struct regs regs;
	struct admin admin;
	struct table pds, uars, ahs, mrs, cqs, eqs, qps;
	u64 mr_pages; /* sum over mrs */
	u32 next_qp;  /* whose turn it is */
	struct stats stats;
};

static inline bool is_power_of_two(u32 n)
{
	return n && !(n & (n - 1));
}

static inline u64 bus_address(struct efa_common_mem_addr addr)
{
	return (u64)addr.mem_addr_high << 32 | addr.mem_addr_low;
}

/* Tells a person, through the host. */
void device_event(const struct efa_device *dev, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Destroys every object that the guest made and forgets the queues. */
void device_clear(struct efa_device *dev);

static inline int device_read(struct efa_device *dev, enum efa_dma_kind kind, u64 addr, void *buf,
			      size_t len)
{
	return dev->host.dma_read(dev->host.ctx, kind, addr, buf, len);
}

static inline int device_write(struct efa_device *dev, enum efa_dma_kind kind, u64 addr,
			       const void *buf, size_t len)
{
	return dev->host.dma_write(dev->host.ctx, kind, addr, buf, len);
}

static inline void device_irq(struct efa_device *dev, unsigned int vector)
{
	dev->host.irq(dev->host.ctx, vector);
}

#endif
