/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vfio-user messages as they are on the wire, in the host's byte order:
 * QEMU's docs/interop/vfio-user.rst, version 0.0.  What the protocol takes from
 * the ioctls of VFIO (flags, region and interrupt numbers, some structures) is
 * in <linux/vfio.h>.
 */
#ifndef VFIO_WIRE_H
#define VFIO_WIRE_H

#include <stdint.h>

/*
 * What this server announces.  A client that answers with more data in one
 * message than its socket's send buffer takes may lose the rest (QEMU does), so
 * stay well below the usual wmem_default of 208 KiB.
 */
#define VFIO_USER_MAX_XFER     (64u << 10) /* bytes of data in one message */
#define VFIO_USER_MAX_FDS      8	   /* file descriptors with one message */
#define VFIO_USER_MAX_DMA_MAPS 1024

enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11,
	VFIO_USER_DMA_WRITE = 12,
	VFIO_USER_DEVICE_RESET = 13,
};

#define VFIO_USER_TYPE_MASK	0x0f
#define VFIO_USER_TYPE_COMMAND	0x00
#define VFIO_USER_TYPE_REPLY	0x01
#define VFIO_USER_FLAG_NO_REPLY 0x10
#define VFIO_USER_FLAG_ERROR	0x20

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* of the whole message */
	uint32_t flags;
	uint32_t error; /* a positive errno, in a reply with the error flag */
};

/* JSON with its NUL follows, or nothing. */
struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
};

struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DMA_MAP_FLAG_READ, _WRITE */
	uint64_t offset;
	uint64_t addr;
	uint64_t size;
};

struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DMA_UNMAP_FLAG_ALL */
	uint64_t addr;
	uint64_t size;
};

/* The data follows in a write and in the reply to a read. */
struct vfio_user_region_rw {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

/* The same. */
struct vfio_user_dma_rw {
	uint64_t addr;
	uint64_t count;
};

/* The longest payload: data behind the header of a region or DMA access. */
#define VFIO_USER_MAX_PAYLOAD (sizeof(struct vfio_user_dma_rw) + VFIO_USER_MAX_XFER)

#endif
