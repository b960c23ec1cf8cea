// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's side of vfio-user against a client that is made here: QEMU's
 * part, well behaved or not, over a socket pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "device.h"
#include "guest_memory.h"
#include "vfio_user.h"
#include "vfio_wire.h"

#define PAGE	 4096ul
#define RAM_SIZE (16 * PAGE)
#define CAPS	 "{\"capabilities\":{\"max_data_xfer_size\":1048576}}"

struct fixture {
	struct efa_fabric *fabric;
	struct efa_device *dev;
	struct guest_memory *mem;
	struct vfio_user *vu;
	struct vfio_user_target target;
	uint8_t *llq;
	pthread_t server;
	bool serving;
	int sock; /* the client's end */
	int accepted; /* what vfio_user_accept() said */
	int ram_fd;
	uint8_t *ram;
};

/* A message the client got. */
struct received {
	struct vfio_user_header hdr;
	_Alignas(8) uint8_t payload[VFIO_USER_MAX_PAYLOAD];
	size_t len;
	int fd; /* -1 when none came */
};

/* The server */

static int peer_dma(void *ctx, bool write, uint64_t addr, void *buf, size_t len)
{
	struct fixture *f = ctx;

	return vfio_user_dma(f->vu, write, addr, buf, len);
}

static int no_store64(void *ctx, uint64_t addr, uint64_t val)
{
	(void)ctx, (void)addr, (void)val;
	return -EAGAIN;
}

static int no_read(void *ctx, enum efa_dma_kind kind, uint64_t addr, void *buf, size_t len)
{
	(void)ctx, (void)kind, (void)addr, (void)buf, (void)len;
	return -ENODEV;
}

static int no_write(void *ctx, enum efa_dma_kind kind, uint64_t addr, const void *buf, size_t len)
{
	(void)ctx, (void)kind, (void)addr, (void)buf, (void)len;
	return -ENODEV;
}

static void no_irq(void *ctx, unsigned int vector)
{
	(void)ctx, (void)vector;
}

static void no_wake(void *ctx)
{
	(void)ctx;
}

static void no_event(void *ctx, const char *line)
{
	(void)ctx, (void)line;
}

struct connection {
	struct fixture *f;
	int sock;
};

static void *serve(void *arg)
{
	struct connection *c = arg;
	struct fixture *f = c->f;

	f->accepted = vfio_user_accept(f->vu, c->sock);
	if (!f->accepted)
		vfio_user_serve(f->vu);
	free(c);
	return NULL;
}

static void connect_client(struct fixture *f)
{
	struct connection *c = malloc(sizeof(*c));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*c = (struct connection){ .f = f, .sock = pair[1] };
	f->sock = pair[0];
	assert_int_equal(pthread_create(&f->server, NULL, serve, c), 0);
	f->serving = true;
}

/* Waits for the server to notice. */
static void disconnect_client(struct fixture *f)
{
	if (f->sock >= 0)
		close(f->sock);
	f->sock = -1;
	if (f->serving)
		pthread_join(f->server, NULL);
	f->serving = false;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct guest_memory_peer peer = { .ctx = f, .max = VFIO_USER_MAX_XFER,
						.dma = peer_dma };
	const struct efa_host host = { .ctx = f, .dma_read = no_read, .dma_write = no_write,
				       .store64 = no_store64, .irq = no_irq, .wake = no_wake,
				       .event = no_event };

	f->target.llq_fd = memfd_create("llq", MFD_CLOEXEC);
	f->ram_fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(f->target.llq_fd, EFA_BAR_LLQ_SIZE) || ftruncate(f->ram_fd, RAM_SIZE) ||
	    fcntl(f->ram_fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	f->llq = mmap(NULL, EFA_BAR_LLQ_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      f->target.llq_fd, 0);
	f->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->ram_fd, 0);
	f->fabric = efa_fabric_new();
	f->dev = efa_device_new(f->fabric, "efa_0", &host, f->llq);
	f->mem = guest_memory_new(&peer, NULL, "efa_0");
	f->target.dev = f->dev;
	f->target.mem = f->mem;
	f->target.event = no_event;
	f->vu = vfio_user_new(&f->target);
	connect_client(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	disconnect_client(f);
	vfio_user_free(f->vu);
	guest_memory_free(f->mem);
	efa_fabric_free(f->fabric);
	munmap(f->llq, EFA_BAR_LLQ_SIZE);
	munmap(f->ram, RAM_SIZE);
	close(f->target.llq_fd);
	close(f->ram_fd);
	free(f);
	return 0;
}

/* The client's messages */

static void send_bytes(struct fixture *f, const void *buf, size_t len, const int *fds,
		       unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(32 * sizeof(int))];
	} control = {};
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr out = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		out.msg_control = control.buf;
		out.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		CMSG_FIRSTHDR(&out)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&out)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&out)->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&out)), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(f->sock, &out, MSG_NOSIGNAL), len);
}

static void send_message(struct fixture *f, struct vfio_user_header hdr, const void *payload,
			 size_t len, const int *fds, unsigned int nfds)
{
	uint8_t *buf = malloc(sizeof(hdr) + len);

	if (!hdr.size)
		hdr.size = sizeof(hdr) + len;
	memcpy(buf, &hdr, sizeof(hdr));
	if (len)
		memcpy(buf + sizeof(hdr), payload, len);
	send_bytes(f, buf, sizeof(hdr) + len, fds, nfds);
	free(buf);
}

/* False when the server closed the connection. */
static bool receive(struct fixture *f, struct received *r)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = &r->hdr, .iov_len = sizeof(r->hdr) };
	struct msghdr in = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };

	if (recvmsg(f->sock, &in, MSG_WAITALL) != sizeof(r->hdr))
		return false;
	r->fd = -1;
	if (CMSG_FIRSTHDR(&in))
		memcpy(&r->fd, CMSG_DATA(CMSG_FIRSTHDR(&in)), sizeof(int));
	r->len = r->hdr.size - sizeof(r->hdr);
	assert_in_range(r->len, 0, sizeof(r->payload));
	if (r->len)
		assert_int_equal(recv(f->sock, r->payload, r->len, MSG_WAITALL), r->len);
	return true;
}

static void assert_hung_up(struct fixture *f)
{
	char c;

	assert_true(recv(f->sock, &c, 1, 0) <= 0);
}

/* A command and its reply, which is @r's from the next call on; the error it has. */
static int call_fds(struct fixture *f, struct received *r, unsigned int command,
		    const void *payload, size_t len, const int *fds, unsigned int nfds)
{
	send_message(f, (struct vfio_user_header){ .id = 77, .command = command }, payload, len,
		     fds, nfds);
	assert_true(receive(f, r));
	assert_int_equal(r->hdr.id, 77);
	assert_int_equal(r->hdr.command, command);
	if (r->hdr.flags == (VFIO_USER_TYPE_REPLY | VFIO_USER_FLAG_ERROR)) {
		assert_int_equal(r->len, 0);
		return r->hdr.error;
	}
	assert_int_equal(r->hdr.flags, VFIO_USER_TYPE_REPLY);
	return 0;
}

static int call(struct fixture *f, struct received *r, unsigned int command, const void *payload,
		size_t len)
{
	return call_fds(f, r, command, payload, len, NULL, 0);
}

static int version(struct fixture *f, struct received *r, unsigned int major, const char *caps,
		   size_t len)
{
	struct {
		struct vfio_user_version version;
		char caps[128];
	} msg = { .version.major = major };

	memcpy(msg.caps, caps, len);
	return call(f, r, VFIO_USER_VERSION, &msg, sizeof(msg.version) + len);
}

static void negotiate(struct fixture *f)
{
	struct received r;

	assert_int_equal(version(f, &r, 0, CAPS, sizeof(CAPS)), 0);
}

static int region_read(struct fixture *f, struct received *r, uint32_t region, uint64_t offset,
		       uint32_t count)
{
	const struct vfio_user_region_rw rw = { .offset = offset, .region = region,
						.count = count };

	return call(f, r, VFIO_USER_REGION_READ, &rw, sizeof(rw));
}

static int region_write(struct fixture *f, uint32_t region, uint64_t offset, const void *data,
			uint32_t count)
{
	struct {
		struct vfio_user_region_rw rw;
		uint8_t data[64];
	} msg = { .rw = { .offset = offset, .region = region, .count = count } };
	struct received r;

	memcpy(msg.data, data, count);
	return call(f, &r, VFIO_USER_REGION_WRITE, &msg, sizeof(msg.rw) + count);
}

static int map_ram(struct fixture *f, uint64_t addr, uint64_t size, uint32_t flags)
{
	const struct vfio_user_dma_map map = { .argsz = sizeof(map), .flags = flags, .addr = addr,
					       .size = size };
	struct received r;

	return call_fds(f, &r, VFIO_USER_DMA_MAP, &map, sizeof(map), &f->ram_fd, 1);
}

static int unmap(struct fixture *f, uint64_t addr, uint64_t size, uint32_t flags)
{
	const struct vfio_user_dma_unmap req = { .argsz = sizeof(req), .flags = flags,
						 .addr = addr, .size = size };
	struct received r;
	int err = call(f, &r, VFIO_USER_DMA_UNMAP, &req, sizeof(req));

	if (!err) {
		assert_int_equal(r.len, sizeof(req));
		assert_memory_equal(r.payload, &req, sizeof(req));
	}
	return err;
}

static int set_irqs(struct fixture *f, uint32_t flags, uint32_t start, uint32_t count,
		    const int *fds, unsigned int nfds)
{
	const struct vfio_irq_set set = { .argsz = sizeof(set), .flags = flags,
					  .index = VFIO_PCI_MSIX_IRQ_INDEX, .start = start,
					  .count = count };
	struct received r;

	return call_fds(f, &r, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), fds, nfds);
}

/* Negotiation */

static void the_version_tells_the_limits(void **state)
{
	struct received r;

	assert_int_equal(version(*state, &r, 0, CAPS, sizeof(CAPS)), 0);
	assert_memory_equal(r.payload, "\0\0\0\0", 4);
	assert_string_equal((char *)r.payload + 4,
			    "{\"capabilities\":{\"max_msg_fds\":8,"
			    "\"max_data_xfer_size\":65536,\"max_dma_maps\":1024}}");
}

static void a_version_without_capabilities_will_do(void **state)
{
	struct received r;

	assert_int_equal(version(*state, &r, 0, "", 0), 0);
}

static void clients_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		unsigned int major;
		const char *caps;
		size_t len;
		int err;
	} cases[] = {
		{ 1, CAPS, sizeof(CAPS), EPROTONOSUPPORT },
		{ 0, CAPS, sizeof(CAPS) - 1, EINVAL },
		{ 0, "{\"max_data_xfer_size\": 4096}", 29, EINVAL },
		{ 0, "{\"max_data_xfer_size\"", 22, EINVAL },
	};
	struct fixture *f = *state;
	struct received r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(version(f, &r, cases[i].major, cases[i].caps, cases[i].len),
				 cases[i].err);
		assert_hung_up(f);
		disconnect_client(f);
		connect_client(f);
	}
}

static void the_first_message_is_the_version(void **state)
{
	struct fixture *f = *state;
	struct received r;

	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_RESET, NULL, 0), EPROTO);
	assert_hung_up(f);
}

/* The device */

static void the_device_is_described(void **state)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), 0);
	memcpy(&info, r.payload, sizeof(info));
	assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	assert_int_equal(info.num_regions, VFIO_PCI_NUM_REGIONS);
	assert_int_equal(info.num_irqs, VFIO_PCI_NUM_IRQS);
	for (irq.index = 0; irq.index < VFIO_PCI_NUM_IRQS; irq.index++) {
		assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), 0);
		assert_int_equal(((struct vfio_irq_info *)(void *)r.payload)->count,
				 irq.index == VFIO_PCI_MSIX_IRQ_INDEX ? EFA_MSIX_VECTORS : 0);
	}
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), EINVAL);
	info.argsz = 8;
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), EINVAL);
}

static void regions_are_described(void **state)
{
	static const uint64_t sizes[] = { 16 << 10, 0, 16 << 20, 0, 4 << 20, 0, 0, 4096, 0 };
	struct vfio_region_info info = { .argsz = sizeof(info) };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	for (info.index = 0; info.index < VFIO_PCI_NUM_REGIONS; info.index++) {
		const struct vfio_region_info *got = (void *)r.payload;

		assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)),
				 0);
		assert_int_equal(got->size, sizes[info.index]);
		assert_int_equal(got->flags, info.index == 2 ? 7 : got->size ? 3 : 0);
		assert_true((r.fd >= 0) == (info.index == 2));
		if (r.fd >= 0)
			close(r.fd);
	}
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)),
			 EINVAL);
}

static void the_llq_is_shared_memory(void **state)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = EFA_BAR_LLQ };
	struct fixture *f = *state;
	struct received r;
	uint8_t *llq;

	negotiate(f);
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), 0);
	llq = mmap(NULL, EFA_BAR_LLQ_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
	assert_ptr_not_equal(llq, MAP_FAILED);
	llq[EFA_BAR_LLQ_SIZE - 1] = 42;
	assert_int_equal(f->llq[EFA_BAR_LLQ_SIZE - 1], 42);
	munmap(llq, EFA_BAR_LLQ_SIZE);
	close(r.fd);
}

static void configuration_space_is_a_region(void **state)
{
	struct fixture *f = *state;
	const uint16_t command = 0x6;
	struct received r;

	negotiate(f);
	assert_int_equal(region_read(f, &r, VFIO_PCI_CONFIG_REGION_INDEX, 0, 4), 0);
	assert_int_equal(r.len, sizeof(struct vfio_user_region_rw) + 4);
	assert_memory_equal(r.payload + 16, "\x0f\x1d\xa1\xef", 4);
	assert_int_equal(region_write(f, VFIO_PCI_CONFIG_REGION_INDEX, 4, &command, 2), 0);
	assert_int_equal(region_read(f, &r, VFIO_PCI_CONFIG_REGION_INDEX, 4, 2), 0);
	assert_memory_equal(r.payload + 16, &command, 2);
	assert_int_equal(region_read(f, &r, VFIO_PCI_CONFIG_REGION_INDEX, 4094, 4), EINVAL);
	assert_int_equal(region_write(f, VFIO_PCI_CONFIG_REGION_INDEX, -2ull, &command, 2), EINVAL);
}

static void accesses_outside_of_a_bar_are_refused(void **state)
{
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	assert_int_equal(region_read(f, &r, 0, 0, 4), 0);
	assert_int_equal(region_read(f, &r, 0, EFA_BAR_REGS_SIZE, 4), EINVAL);
	assert_int_equal(region_read(f, &r, 0, 0, VFIO_USER_MAX_XFER + 1), EINVAL);
	assert_int_equal(region_read(f, &r, 1, 0, 4), EINVAL);
	assert_int_equal(region_read(f, &r, UINT32_MAX, 0, 4), EINVAL);
	assert_int_equal(region_write(f, 4, EFA_BAR_DB_SIZE - 2, "abcd", 4), EINVAL);
}

static void a_write_must_have_its_data(void **state)
{
	const struct vfio_user_region_rw rw = { .count = 4 };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	assert_int_equal(call(f, &r, VFIO_USER_REGION_WRITE, &rw, sizeof(rw)), EINVAL);
}

static void commands_of_the_wrong_size_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t zeros[256] = { };
	struct received r;

	negotiate(f);
	for (unsigned int command = 2; command <= 10; command++) {
		if (command == VFIO_USER_DEVICE_GET_REGION_IO_FDS)
			continue;
		assert_int_equal(call(f, &r, command, zeros, 8), EINVAL);
		if (command != VFIO_USER_REGION_WRITE)
			assert_int_equal(call(f, &r, command, zeros, sizeof(zeros)), EINVAL);
	}
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_RESET, zeros, 1), EINVAL);
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
}

static void commands_that_are_not_offered_are_refused(void **state)
{
	static const unsigned int commands[] = { 0, VFIO_USER_VERSION,
		VFIO_USER_DEVICE_GET_REGION_IO_FDS, VFIO_USER_DMA_READ, VFIO_USER_DMA_WRITE, 14, 15,
		16, UINT16_MAX };
	uint8_t zeros[32] = { };
	struct received r;

	negotiate(*state);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(call(*state, &r, commands[i], zeros, 32), EOPNOTSUPP);
}

static void a_posted_write_has_no_reply(void **state)
{
	const struct vfio_user_region_rw rw = { .region = 99 };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	send_message(f, (struct vfio_user_header){ .id = 5, .command = VFIO_USER_REGION_WRITE,
						   .flags = VFIO_USER_FLAG_NO_REPLY },
		     &rw, sizeof(rw), NULL, 0);
	assert_int_equal(region_read(f, &r, 0, 0, 4), 0); /* asserts the id of the reply */
}

/* Interrupts */

#define SET_EVENTFD (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)

/* How often @fd was signalled since it was last asked. */
static uint64_t signals(int fd)
{
	eventfd_t n = 0;

	return eventfd_read(fd, &n) ? 0 : n;
}

static void irqs_signal_eventfds(void **state)
{
	struct fixture *f = *state;
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };

	negotiate(f);
	vfio_user_irq(f->vu, 1); /* nobody asked */
	assert_int_equal(set_irqs(f, SET_EVENTFD, 1, 2, fds, 2), 0);
	vfio_user_irq(f->vu, 0);
	vfio_user_irq(f->vu, 1);
	vfio_user_irq(f->vu, 2);
	vfio_user_irq(f->vu, 2);
	vfio_user_irq(f->vu, EFA_MSIX_VECTORS);
	assert_int_equal(signals(fds[0]), 1);
	assert_int_equal(signals(fds[1]), 2);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 1, 1, NULL, 0), 0);
	vfio_user_irq(f->vu, 1);
	vfio_user_irq(f->vu, 2);
	assert_int_equal(signals(fds[0]), 0);
	assert_int_equal(signals(fds[1]), 1);
	close(fds[0]);
	close(fds[1]);
}

static void the_client_can_trigger_and_disable(void **state)
{
	const uint32_t none = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	const struct vfio_irq_set some = { .argsz = sizeof(some) + 2,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 3, .count = 2,
		.flags = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER };
	uint8_t buf[sizeof(some) + 2] = { };
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 3, 2, fds, 2), 0);
	assert_int_equal(set_irqs(f, none, 3, 1, NULL, 0), 0);
	assert_int_equal(signals(fds[0]), 1);
	memcpy(buf, &some, sizeof(some));
	buf[sizeof(some) + 1] = true;
	assert_int_equal(call(f, &r, VFIO_USER_DEVICE_SET_IRQS, buf, sizeof(buf)), 0);
	assert_int_equal(signals(fds[0]), 0);
	assert_int_equal(signals(fds[1]), 1);
	assert_int_equal(set_irqs(f, none, 0, 0, NULL, 0), 0);
	vfio_user_irq(f->vu, 3);
	assert_int_equal(signals(fds[0]), 0);
	close(fds[0]);
	close(fds[1]);
}

static void irqs_that_do_not_exist_are_refused(void **state)
{
	const uint32_t mask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
	int fds[3] = { eventfd(0, 0), eventfd(0, 0), eventfd(0, 0) };
	struct fixture *f = *state;

	negotiate(f);
	assert_int_equal(set_irqs(f, SET_EVENTFD, EFA_MSIX_VECTORS - 1, 2, fds, 2), EINVAL);
	assert_int_equal(set_irqs(f, SET_EVENTFD, UINT32_MAX, 2, fds, 2), EINVAL);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 1, UINT32_MAX, fds, 2), EINVAL);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 0, 2, fds, 3), EINVAL);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 0, 3, fds, 2), EINVAL);
	assert_int_equal(set_irqs(f, mask, 0, 1, NULL, 0), ENOTTY);
	assert_int_equal(set_irqs(f, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, NULL, 0), EINVAL);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void a_pipe_that_is_full_does_not_stop_us(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	negotiate(f);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 0, 1, &fds[1], 1), 0);
	for (int i = 0; i < 10000; i++)
		vfio_user_irq(f->vu, 0);
	close(fds[0]);
	close(fds[1]);
}

/* Memory */

#define READ_WRITE (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static void a_mapped_file_is_accessed_in_place(void **state)
{
	struct fixture *f = *state;

	negotiate(f);
	assert_int_equal(map_ram(f, 0x1000, RAM_SIZE, READ_WRITE), 0);
	assert_int_equal(guest_memory_write(f->mem, EFA_DMA_QUEUE, 0x1010, "hello", 6), 0);
	assert_memory_equal(f->ram + 0x10, "hello", 6);
	assert_int_equal(map_ram(f, 0x2000, PAGE, READ_WRITE), EEXIST);
	assert_int_equal(map_ram(f, 0x100000, PAGE, 4), EINVAL);
	assert_int_equal(unmap(f, 0x1000, PAGE, 0), ENOENT);
	assert_int_equal(unmap(f, 0x1000, RAM_SIZE, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP), EINVAL);
	assert_int_equal(unmap(f, 0x1000, RAM_SIZE, 0), 0);
	assert_int_equal(map_ram(f, 0x2000, PAGE, VFIO_DMA_MAP_FLAG_READ), 0);
	assert_int_equal(guest_memory_write(f->mem, EFA_DMA_QUEUE, 0x2000, "x", 1), -EACCES);
	assert_int_equal(unmap(f, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0);
	assert_int_equal(unmap(f, 0x2000, PAGE, 0), ENOENT);
}

static void a_map_has_at_most_one_file(void **state)
{
	const struct vfio_user_dma_map map = { .argsz = sizeof(map), .flags = READ_WRITE,
					       .size = PAGE };
	struct fixture *f = *state;
	int fds[2] = { f->ram_fd, f->ram_fd };
	struct received r;

	negotiate(f);
	assert_int_equal(call_fds(f, &r, VFIO_USER_DMA_MAP, &map, sizeof(map), fds, 2), EINVAL);
	assert_int_equal(call(f, &r, VFIO_USER_DMA_MAP, &map, sizeof(map)), 0);
}

/* A DMA of the device that runs while the test plays the client. */
struct dma {
	struct fixture *f;
	bool write;
	uint64_t addr;
	uint8_t buf[100];
	int status;
	pthread_t thread;
};

static void *run_dma(void *arg)
{
	struct dma *d = arg;

	d->status = peer_dma(d->f, d->write, d->addr, d->buf, sizeof(d->buf));
	return NULL;
}

/* Starts it and receives its message. */
static void start_dma(struct fixture *f, struct dma *d, struct received *r)
{
	const struct vfio_user_dma_rw *rw = (void *)r->payload;

	d->f = f;
	assert_int_equal(pthread_create(&d->thread, NULL, run_dma, d), 0);
	assert_true(receive(f, r));
	assert_int_equal(r->hdr.command, d->write ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ);
	assert_int_equal(r->hdr.flags, VFIO_USER_TYPE_COMMAND);
	assert_int_equal(r->len, sizeof(*rw) + (d->write ? sizeof(d->buf) : 0));
	assert_int_equal(rw->addr, d->addr);
	assert_int_equal(rw->count, sizeof(d->buf));
}

static int end_dma(struct dma *d)
{
	pthread_join(d->thread, NULL);
	return d->status;
}

/* Sends the message back as its reply, with @len bytes of payload. */
static void reply(struct fixture *f, struct received *r, size_t len)
{
	r->hdr.flags |= VFIO_USER_TYPE_REPLY;
	r->hdr.size = 0;
	send_message(f, r->hdr, r->payload, len, NULL, 0);
}

static void what_is_not_mapped_is_read_by_message(void **state)
{
	struct dma d = { .addr = 0xfe000000 };
	struct received r;

	negotiate(*state);
	start_dma(*state, &d, &r);
	memset(r.payload + sizeof(struct vfio_user_dma_rw), 0xab, sizeof(d.buf));
	reply(*state, &r, sizeof(struct vfio_user_dma_rw) + sizeof(d.buf));
	assert_int_equal(end_dma(&d), 0);
	assert_int_equal(d.buf[0], 0xab);
	assert_int_equal(d.buf[99], 0xab);
}

static void what_is_not_mapped_is_written_by_message(void **state)
{
	struct dma d = { .addr = 0xfe000000, .write = true, .buf = "payload" };
	struct received r;

	negotiate(*state);
	start_dma(*state, &d, &r);
	assert_memory_equal(r.payload + sizeof(struct vfio_user_dma_rw), d.buf, sizeof(d.buf));
	reply(*state, &r, 0);
	assert_int_equal(end_dma(&d), 0);
}

static void the_clients_error_is_that_of_the_dma(void **state)
{
	static const struct {
		uint32_t sent;
		int got;
	} errors[] = { { ENODEV, -ENODEV }, { 0, -EIO }, { UINT32_MAX, -EIO } };
	struct dma d = { .addr = 1 };
	struct received r;

	negotiate(*state);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		start_dma(*state, &d, &r);
		r.hdr.flags = VFIO_USER_FLAG_ERROR;
		r.hdr.error = errors[i].sent;
		reply(*state, &r, 0);
		assert_int_equal(end_dma(&d), errors[i].got);
	}
}

static void a_reply_must_fit_its_command(void **state)
{
	const size_t right = sizeof(struct vfio_user_dma_rw) + 100;
	struct vfio_user_dma_rw *rw;
	struct dma d = { .addr = 1 };
	struct received r;

	negotiate(*state);
	rw = (void *)r.payload;
	start_dma(*state, &d, &r);
	reply(*state, &r, right - 1);
	assert_int_equal(end_dma(&d), -EPROTO);
	start_dma(*state, &d, &r);
	rw->count = 1000;
	reply(*state, &r, right);
	assert_int_equal(end_dma(&d), -EPROTO);
	start_dma(*state, &d, &r);
	r.hdr.command = VFIO_USER_DMA_WRITE;
	reply(*state, &r, right);
	assert_int_equal(end_dma(&d), -EPROTO);
}

static void replies_to_nothing_are_dropped(void **state)
{
	struct dma d = { .addr = 1 };
	struct received r;

	negotiate(*state);
	start_dma(*state, &d, &r);
	r.hdr.id++;
	r.hdr.flags |= VFIO_USER_FLAG_ERROR;
	reply(*state, &r, 0);
	r.hdr.id--;
	r.hdr.flags = 0;
	reply(*state, &r, sizeof(struct vfio_user_dma_rw) + sizeof(d.buf));
	assert_int_equal(end_dma(&d), 0);
}

static void commands_are_answered_during_a_dma(void **state)
{
	struct dma d = { .addr = 0xfe000000, .write = true };
	struct fixture *f = *state;
	struct received r, other;

	negotiate(f);
	assert_int_equal(map_ram(f, 0x1000, PAGE, READ_WRITE), 0);
	start_dma(f, &d, &r);
	assert_int_equal(region_read(f, &other, 0, 0, 4), 0);
	assert_int_equal(unmap(f, 0x1000, PAGE, 0), 0);
	assert_int_equal(map_ram(f, 0x2000, PAGE, READ_WRITE), 0);
	reply(f, &r, 0);
	assert_int_equal(end_dma(&d), 0);
}

static void a_client_that_goes_ends_its_dma(void **state)
{
	struct dma d = { .addr = 1 };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	start_dma(f, &d, &r);
	disconnect_client(f);
	assert_int_equal(end_dma(&d), -ENOTCONN);
	assert_int_equal(peer_dma(f, false, 0, d.buf, 1), -ENOTCONN);
}

/* Connections */

static void a_new_client_starts_from_nothing(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);

	negotiate(f);
	assert_int_equal(map_ram(f, 0x1000, PAGE, READ_WRITE), 0);
	assert_int_equal(set_irqs(f, SET_EVENTFD, 0, 1, &fd, 1), 0);
	disconnect_client(f);
	connect_client(f);
	negotiate(f);
	assert_int_equal(unmap(f, 0x1000, PAGE, 0), ENOENT);
	vfio_user_irq(f->vu, 0);
	assert_int_equal(signals(fd), 0);
	close(fd);
}

static void closing_ends_this_client_and_the_next(void **state)
{
	struct fixture *f = *state;

	negotiate(f);
	vfio_user_close(f->vu);
	assert_hung_up(f);
	disconnect_client(f);
	connect_client(f);
	assert_hung_up(f);
	disconnect_client(f);
	assert_int_equal(f->accepted, -ENOTCONN);
}

static void malformed_messages_end_the_connection(void **state)
{
	static const struct vfio_user_header headers[] = {
		{ .command = VFIO_USER_DEVICE_RESET, .size = 15 },
		{ .command = VFIO_USER_DEVICE_RESET, .size = UINT32_MAX },
		{ .command = VFIO_USER_REGION_WRITE, .size = 16 + VFIO_USER_MAX_PAYLOAD + 1 },
		{ .command = VFIO_USER_DEVICE_RESET, .size = 16, .flags = 2 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		negotiate(f);
		send_bytes(f, &headers[i], sizeof(headers[i]), NULL, 0);
		assert_hung_up(f);
		disconnect_client(f);
		connect_client(f);
	}
}

static void a_client_may_go_within_a_message(void **state)
{
	const struct vfio_user_header hdr = { .command = VFIO_USER_REGION_WRITE, .size = 100 };
	struct fixture *f = *state;

	for (size_t len = 1; len <= sizeof(hdr); len++) {
		negotiate(f);
		send_bytes(f, &hdr, len, NULL, 0);
		disconnect_client(f);
		connect_client(f);
	}
}

static void a_message_may_come_in_pieces(void **state)
{
	const struct vfio_user_header hdr = { .command = VFIO_USER_DEVICE_RESET, .size = 16 };
	struct fixture *f = *state;
	struct received r;

	negotiate(f);
	for (size_t i = 0; i < sizeof(hdr); i++)
		send_bytes(f, (const char *)&hdr + i, 1, &f->ram_fd, i == 3);
	assert_true(receive(f, &r));
	assert_int_equal(r.hdr.flags, VFIO_USER_TYPE_REPLY);
}

static void too_many_descriptors_end_the_connection(void **state)
{
	const struct vfio_user_header hdr = { .command = VFIO_USER_DEVICE_RESET, .size = 17 };
	struct fixture *f = *state;
	int fds[VFIO_USER_MAX_FDS + 1];

	for (size_t i = 0; i <= VFIO_USER_MAX_FDS; i++)
		fds[i] = f->ram_fd;
	negotiate(f);
	send_bytes(f, &hdr, sizeof(hdr), fds, VFIO_USER_MAX_FDS + 1);
	assert_hung_up(f);
	disconnect_client(f);
	connect_client(f);
	negotiate(f);
	send_bytes(f, &hdr, sizeof(hdr), fds, VFIO_USER_MAX_FDS);
	send_bytes(f, "x", 1, fds, 1);
	assert_hung_up(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_version_tells_the_limits),
		TEST(a_version_without_capabilities_will_do),
		TEST(clients_that_do_not_fit_are_refused),
		TEST(the_first_message_is_the_version),
		TEST(the_device_is_described),
		TEST(regions_are_described),
		TEST(the_llq_is_shared_memory),
		TEST(configuration_space_is_a_region),
		TEST(accesses_outside_of_a_bar_are_refused),
		TEST(a_write_must_have_its_data),
		TEST(commands_of_the_wrong_size_are_refused),
		TEST(commands_that_are_not_offered_are_refused),
		TEST(a_posted_write_has_no_reply),
		TEST(irqs_signal_eventfds),
		TEST(the_client_can_trigger_and_disable),
		TEST(irqs_that_do_not_exist_are_refused),
		TEST(a_pipe_that_is_full_does_not_stop_us),
		TEST(a_mapped_file_is_accessed_in_place),
		TEST(a_map_has_at_most_one_file),
		TEST(what_is_not_mapped_is_read_by_message),
		TEST(what_is_not_mapped_is_written_by_message),
		TEST(the_clients_error_is_that_of_the_dma),
		TEST(a_reply_must_fit_its_command),
		TEST(replies_to_nothing_are_dropped),
		TEST(commands_are_answered_during_a_dma),
		TEST(a_client_that_goes_ends_its_dma),
		TEST(a_new_client_starts_from_nothing),
		TEST(closing_ends_this_client_and_the_next),
		TEST(malformed_messages_end_the_connection),
		TEST(a_client_may_go_within_a_message),
		TEST(a_message_may_come_in_pieces),
		TEST(too_many_descriptors_end_the_connection),
	};

	return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
