// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's side of vfio-user with a client that sends the fuzzer's bytes.
 * It negotiates first: few inputs would get any further.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"
#include "guest_memory.h"
#include "vfio_user.h"
#include "vfio_wire.h"

static int peer_dma(void *ctx, bool write, uint64_t addr, void *buf, size_t len)
{
	(void)ctx, (void)write, (void)addr, (void)buf, (void)len;
	return -ENODEV;
}

static int dma_read(void *ctx, enum efa_dma_kind kind, uint64_t addr, void *buf, size_t len)
{
	return guest_memory_read(ctx, kind, addr, buf, len);
}

static int dma_write(void *ctx, enum efa_dma_kind kind, uint64_t addr, const void *buf, size_t len)
{
	return guest_memory_write(ctx, kind, addr, buf, len);
}

static int store64(void *ctx, uint64_t addr, uint64_t val)
{
	return guest_memory_store64(ctx, addr, val);
}

static void irq(void *ctx, unsigned int vector)
{
	(void)ctx, (void)vector;
}

static void wake(void *ctx)
{
	(void)ctx;
}

static void event(void *ctx, const char *line)
{
	(void)ctx, (void)line;
}

/* The server's end of a connection on which all of the client's messages are under way. */
static int send_all(int pair[2], const uint8_t *data, size_t size)
{
	const struct {
		struct vfio_user_header hdr;
		struct vfio_user_version version;
	} hello = { .hdr = { .command = VFIO_USER_VERSION, .size = sizeof(hello) } };

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	if (write(pair[0], &hello, sizeof(hello)) != (ssize_t)sizeof(hello) ||
	    write(pair[0], data, size) != (ssize_t)size)
		return -1;
	return shutdown(pair[0], SHUT_WR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct guest_memory_peer peer = { .max = VFIO_USER_MAX_XFER, .dma = peer_dma };
	struct guest_memory *mem = guest_memory_new(&peer, NULL, "fuzz");
	const struct efa_host host = { mem, dma_read, dma_write, store64, irq, wake, event };
	struct efa_fabric *fabric = efa_fabric_new();
	static uint8_t llq[EFA_BAR_LLQ_SIZE];
	const struct vfio_user_target target = {
		.dev = efa_device_new(fabric, "fuzz", &host, llq),
		.mem = mem,
		.llq_fd = STDERR_FILENO,
		.event = event,
	};
	struct vfio_user *vu = vfio_user_new(&target);
	int pair[2];

	if (send_all(pair, data, size))
		abort();
	if (!vfio_user_accept(vu, pair[1]))
		vfio_user_serve(vu);
	while (efa_fabric_work(fabric))
		;
	close(pair[0]);
	efa_fabric_free(fabric);
	vfio_user_free(vu);
	guest_memory_free(mem);
	return 0;
}
