/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The server side of the vfio-user protocol for one device: what turns a
 * client's messages into calls of the device and of its guest memory.  QEMU's
 * vfio-user-pci is the client it is made for.
 *
 * One thread at a time, the reader, calls vfio_user_accept() and
 * vfio_user_serve(); the other functions may be called from any thread.
 */
#ifndef VFIO_USER_H
#define VFIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"
#include "guest_memory.h"

/* What the server works on; all of it stays the caller's and must outlive the clients. */
struct vfio_user_target {
	struct efa_device *dev;
	struct guest_memory *mem;
	int llq_fd; /* the file behind the LLQ BAR, for the client to map */
	/* One line for a person about something unexpected, without the newline. */
	void (*event)(void *ctx, const char *line);
	void *ctx;
};

struct vfio_user;

/* @target is copied.  NULL when out of memory. */
struct vfio_user *vfio_user_new(const struct vfio_user_target *target);
/* There must be no client and nobody in any other function. */
void vfio_user_free(struct vfio_user *vu);

/*
 * Negotiates with the client at the other end of @sock, which the server now
 * owns.  0 when it is one, after which the caller must call vfio_user_serve();
 * otherwise a negative errno, and the socket is closed.
 */
int vfio_user_accept(struct vfio_user *vu, int sock);
/*
 * Serves the client until it goes or breaks the protocol; then forgets its
 * interrupts and memory and resets the device.
 */
void vfio_user_serve(struct vfio_user *vu);
/* Ends the connection, if there is one, and refuses all others. */
void vfio_user_close(struct vfio_user *vu);

/*
 * Accesses the client's memory by message, at most VFIO_USER_MAX_XFER bytes.
 * 0, the client's error or one of the connection: see vfio_link_dma().
 */
int vfio_user_dma(struct vfio_user *vu, bool write, uint64_t addr, void *buf, size_t len);
/* Raises an MSI-X vector; lost when the client did not ask for it. */
void vfio_user_irq(struct vfio_user *vu, unsigned int vector);

#endif
