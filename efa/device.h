/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The emulated EFA device, seen from its host: what the transport (or a test)
 * drives, and what the device needs of it.
 *
 * Threads: efa_mmio_read(), efa_mmio_write() and efa_device_config_*() are
 * short, never wait and never call dma_read() or dma_write() of the host; any
 * one thread per device may call them.  All work (admin commands, queues,
 * resets) happens in efa_fabric_work(), which one thread calls for all the
 * devices of a fabric and which may wait in a DMA.
 */
#ifndef EFA_DEVICE_H
#define EFA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* BAR sizes in bytes. */
#define EFA_BAR_REGS	 0
#define EFA_BAR_LLQ	 2
#define EFA_BAR_DB	 4
#define EFA_BAR_REGS_SIZE (16u << 10)
#define EFA_BAR_LLQ_SIZE  (16u << 20)
#define EFA_BAR_DB_SIZE	  (4u << 20)

#define EFA_MSIX_VECTORS 5

/* What a DMA is for: the log and its totals tell payload from the rest. */
enum efa_dma_kind {
	EFA_DMA_PAYLOAD, /* bytes of messages and RDMA */
	EFA_DMA_QUEUE,	 /* work requests, completions, events */
	EFA_DMA_ADMIN,	 /* admin queues, page lists, host information */
};

/*
 * What the device needs of its host.  Addresses are bus addresses, lengths are
 * bytes.  The DMA functions return 0 or a negative errno; after an error none,
 * some or all of the bytes have moved.
 */
struct efa_host {
	void *ctx;
	int (*dma_read)(void *ctx, enum efa_dma_kind kind, uint64_t addr, void *buf, size_t len);
	int (*dma_write)(void *ctx, enum efa_dma_kind kind, uint64_t addr, const void *buf,
			 size_t len);
	/*
	 * One aligned 8-byte store to memory that is mapped, from any thread
	 * and without waiting; -EAGAIN when it is not mapped, in which case
	 * the device does it later with dma_write().
	 */
	int (*store64)(void *ctx, uint64_t addr, uint64_t val);
	/* Raise MSI-X vector @vector; from any thread. */
	void (*irq)(void *ctx, unsigned int vector);
	/* There is work for efa_fabric_work(); from any thread. */
	void (*wake)(void *ctx);
	/* One line for a person, without the newline; dropped when not verbose. */
	void (*event)(void *ctx, const char *line);
};

struct efa_fabric;
struct efa_device;

/* A fabric without devices, owned by the caller; NULL when out of memory. */
struct efa_fabric *efa_fabric_new(void);
/* Frees the fabric and every device that is still on it. */
void efa_fabric_free(struct efa_fabric *fabric);
/*
 * Does all that is pending on every device.  Returns true when something was
 * left to be done at once (work is bounded for each call, so that devices take turns).
 */
bool efa_fabric_work(struct efa_fabric *fabric);

/*
 * A device named @name (for events) on @fabric, as after power-on.  @llq is its
 * LLQ memory, EFA_BAR_LLQ_SIZE bytes that the caller owns and may share with
 * the guest: every byte in it can change at any time.  @host is copied.
 * NULL when out of memory.  The caller keeps efa_fabric_work() out meanwhile.
 */
struct efa_device *efa_device_new(struct efa_fabric *fabric, const char *name,
				  const struct efa_host *host, void *llq);
/*
 * Takes the device off its fabric and frees it; peers see it vanish.  The caller
 * keeps efa_fabric_work() and the register functions out meanwhile.
 */
void efa_device_free(struct efa_device *dev);
/*
 * From now on a new memory region gets the lowest key that is free, at once
 * after it was another region's.  The caller keeps efa_fabric_work() out meanwhile.
 */
void efa_device_reuse_keys(struct efa_device *dev);
/*
 * About a second has gone by: the device tells its guest, in efa_fabric_work(),
 * that it lives.  May be called from any thread.
 */
void efa_device_keep_alive(struct efa_device *dev);
/* PCI reset: may be called from the register thread; takes effect in efa_fabric_work(). */
void efa_device_reset(struct efa_device *dev);

/* PCI configuration space, 4096 bytes. -EINVAL when off + len leaves it. */
int efa_device_config_read(struct efa_device *dev, uint64_t off, void *buf, size_t len);
int efa_device_config_write(struct efa_device *dev, uint64_t off, const void *buf, size_t len);
/*
 * BAR access. -EINVAL when @bar does not exist or off + len leaves it.
 * Writes that are not 4- or 8-byte aligned words to a register or doorbell are
 * dropped with an event line, as the hardware would.
 */
int efa_mmio_read(struct efa_device *dev, unsigned int bar, uint64_t off, void *buf, size_t len);
int efa_mmio_write(struct efa_device *dev, unsigned int bar, uint64_t off, const void *buf,
		   size_t len);

#endif
