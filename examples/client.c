// SPDX-License-Identifier: GPL-2.0-only
/*
 * The side with the drive. The payload goes drive -> controller memory -> peer, and back. Both hops
 * are DMA by a device: the drive's for pread() and pwrite() with O_DIRECT, the RDMA device's for
 * the rest.
 *
 * The CPU never loads from or stores to the controller memory, here or in a library below: no
 * memcpy, no memset, no printing. It is device memory behind a PCI BAR; on some architectures
 * a CPU access to it needs a mapping that user space does not get, a read after the drive was
 * pulled can take the machine down, and a copy by CPU is what all this is meant to avoid. So bytes
 * are only ever compared in host memory, after an ordinary read of the drive.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "control.h"
#include "drive.h"
#include "pattern.h"
#include "rdma.h"
#include "report.h"

#define MAX_SLOTS 16 /* the buffer is cut into so many, each the place of one chunk in flight */

struct chunk {
	uint64_t at; /* in the payload */
	uint32_t len;
};

struct client {
	const struct options *options;
	struct rdma rdma;
	struct ibv_mr *mr;
	char *buffer; /* controller memory, unless --memory=host; not for the CPU */
	size_t buffer_len;
	uint32_t slot_len;
	unsigned int slots;
	struct chunk slot[MAX_SLOTS];
	unsigned int idle[MAX_SLOTS], idle_count; /* the slots with nothing in flight */
	int drive;
	int control;
	time_t spoken;	     /* when the peer last heard from us */
	char *got, *wanted;  /* host memory for comparing, slot_len bytes each */
};

static int controller_path(const struct options *options, struct pci_path *path)
{
	char link[PATH_MAX];

	if (!options->nvme)
		return drive_pci_path(options->drive, path);
	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s", options->nvme);
	if (pci_path_resolve(path, link))
		return fail("there is no PCI device %s (write it like 0000:03:00.0)",
			    options->nvme);
	return 0;
}

static int draw_topology(const struct options *options, const char *device,
			 struct pci_path *controller)
{
	/* With --nvme the memory need not be the drive's. */
	const char *owner = options->nvme ? "NVMe controller" : options->drive;
	uint64_t size, available;
	struct pci_path rdma;
	char label[128];

	if (controller_path(options, controller))
		return -1;
	if (p2pmem_sizes(pci_path_name(controller), &size, &available))
		snprintf(label, sizeof(label), "%s, no controller memory", owner);
	else
		snprintf(label, sizeof(label), "%s, controller memory %" PRIu64 " KiB (%" PRIu64
			 " free)", owner, size >> 10, available >> 10);
	if (rdma_pci_path(device, &rdma))
		return fail("%s is not a PCI device, so it cannot reach controller memory", device);
	printf("topology\n");
	topology_draw(stdout, controller, label, &rdma, device);
	printf("%s\n", p2p_route_text(p2p_route(controller, &rdma)));
	return 0;
}

enum status client_topology(const struct options *options)
{
	struct pci_path controller;

	return draw_topology(options, options->device, &controller) ? STATUS_ERROR
								    : STATUS_VERIFIED;
}

static int open_drive(struct client *client)
{
	const struct options *options = client->options;
	uint64_t size;

	if (!options->drive) {
		client->drive = drive_stand_in(options->offset + options->length, ~options->seed);
		return client->drive < 0 ? -1 : 0;
	}
	client->drive = drive_open(options->drive, options->write_back, &size);
	if (client->drive < 0)
		return -1;
	if (options->offset > size || options->length > size - options->offset)
		return fail("%s has %" PRIu64 " bytes: --offset and --length reach beyond its end",
			    options->drive, size);
	return 0;
}

static int cut_buffer(struct client *client)
{
	uint32_t limit = client->rdma.max_message;

	if (limit > client->buffer_len / MAX_SLOTS)
		limit = client->buffer_len / MAX_SLOTS;
	client->slot_len = limit < DRIVE_ALIGN ? DRIVE_ALIGN : limit - limit % DRIVE_ALIGN;
	client->slots = client->buffer_len / client->slot_len;
	if (client->slots > MAX_SLOTS)
		client->slots = MAX_SLOTS;
	while (client->idle_count < client->slots) {
		client->idle[client->idle_count] = client->idle_count;
		client->idle_count++;
	}
	client->got = host_map(client->slot_len);
	client->wanted = host_map(client->slot_len);
	return client->got && client->wanted ? 0 : -1;
}

static int get_buffer(struct client *client)
{
	const struct options *options = client->options;
	struct pci_path controller;

	client->buffer_len = options->buffer < options->length ? options->buffer : options->length;
	if (options->host_memory) {
		client->buffer = host_map(client->buffer_len);
	} else {
		const char *device = ibv_get_device_name(client->rdma.context->device);

		if (draw_topology(options, device, &controller))
			return -1;
		client->buffer = p2pmem_map(pci_path_name(&controller), &client->buffer_len);
	}
	if (!client->buffer)
		return -1;
	return cut_buffer(client);
}

static const char *refusal_hint(int err)
{
	switch (err) {
	case EFAULT:
		return "this kernel cannot register controller memory: it lacks the patch series";
	case EREMOTEIO:
		return "this RDMA device cannot reach this controller's memory: see the topology above "
		       "and\nthe kernel log; or its driver does not do peer-to-peer DMA";
	case ENOMEM:
		return "locked memory is limited: raise it (ulimit -l unlimited) or take less "
		       "(--buffer)";
	case EOPNOTSUPP:
		return "a confidential guest bounces all DMA through shared memory, so there is no "
		       "peer-to-peer\nDMA in it; or the device does not support this access";
	case EPERM:
	case EACCES:
		return "run as root";
	default:
		return "the kernel log may say more";
	}
}

/*
 * Always with local write access, even if nothing is going to be read into it: a kernel that cannot
 * do this at all answers EFAULT then, while a read-only region would get the same EREMOTEIO as on
 * a bad topology.
 */
static int register_buffer(struct client *client, struct result *result)
{
	client->mr = ibv_reg_mr(client->rdma.pd, client->buffer, client->buffer_len,
				IBV_ACCESS_LOCAL_WRITE);
	if (!client->mr) {
		result->reg_mr_errno = errno;
		fail_errno(errno, "ibv_reg_mr of %zu bytes", client->buffer_len);
		fprintf(stderr, "%s\n", refusal_hint(result->reg_mr_errno));
		return -1;
	}
	printf("registered      %12zu bytes of %s memory\n", client->buffer_len,
	       client->options->host_memory ? "host" : "controller");
	return 0;
}

static int connect_peer(struct client *client)
{
	const struct options *options = client->options;
	struct rdma *rdma = &client->rdma;

	if (rdma_create_qp(rdma, MAX_SLOTS))
		return -1;
	client->control = control_connect(options->peer, options->port, options->timeout);
	if (client->control < 0 ||
	    control_say(client->control, "cmb-rdma 1 length %" PRIu64, options->length) ||
	    rdma_endpoint_say(client->control, &rdma->local) ||
	    rdma_endpoint_hear(client->control, &rdma->remote) || rdma_connect(rdma))
		return -1;
	printf("connected       %s queue pair %u to %u at %s\n", rdma->local.srd ? "SRD" : "RC",
	       rdma->local.qpn, rdma->remote.qpn, options->peer);
	return 0;
}

/* The peer must not take a long transfer for a dead client. */
static int keep_alive(struct client *client)
{
	if (client->spoken == time(NULL))
		return 0;
	client->spoken = time(NULL);
	return control_say(client->control, "alive");
}

static int fill_peer(struct client *client, uint64_t seed)
{
	char line[CONTROL_LINE];

	if (control_say(client->control, "fill %" PRIu64, seed) ||
	    control_hear(client->control, line))
		return -1;
	return strcmp(line, "filled") ? fail("the peer said '%s'", line) : 0;
}

static char *slot_memory(const struct client *client, unsigned int slot)
{
	return client->buffer + (size_t)slot * client->slot_len;
}

/* An idle slot, for the chunk of the payload at @at. */
static unsigned int take_slot(struct client *client, uint64_t at)
{
	unsigned int slot = client->idle[--client->idle_count];
	uint64_t left = client->options->length - at;

	client->slot[slot].at = at;
	client->slot[slot].len = left < client->slot_len ? left : client->slot_len;
	return slot;
}

static int post_slot(struct client *client, enum ibv_wr_opcode opcode, unsigned int slot)
{
	struct rdma_transfer transfer = {
		.opcode = opcode,
		.id = slot,
		.local = slot_memory(client, slot),
		.lkey = client->mr->lkey,
		.len = client->slot[slot].len,
		.remote = client->rdma.remote.addr + client->slot[slot].at,
	};

	return rdma_post(&client->rdma, &transfer);
}

/* Any one slot whose transfer is complete, now idle again. Returns -1 after an error message. */
static int wait_slot(struct client *client)
{
	uint64_t slot;

	if (rdma_wait(&client->rdma, client->options->timeout, &slot) || keep_alive(client))
		return -1;
	client->idle[client->idle_count++] = slot;
	return slot;
}

/*
 * When may the peer look? A completion here says on SRD that the data was placed in the peer's
 * memory. On RC it only says that the peer's device has it; but that device does a later read on
 * the same queue pair after the writes, and on PCI a read pushes the writes before it. So on RC one
 * small read, into a slot that is idle, comes last.
 */
static int settle_writes(struct client *client)
{
	unsigned int slot;

	if (client->rdma.local.srd)
		return 0;
	slot = take_slot(client, 0);
	client->slot[slot].len = 8;
	return post_slot(client, IBV_WR_RDMA_READ, slot) || wait_slot(client) < 0 ? -1 : 0;
}

/* While one chunk is on the wire, the drive reads the next. */
static int drive_to_peer(struct client *client)
{
	const struct options *options = client->options;
	uint64_t next = 0;

	while (next < options->length || client->idle_count < client->slots) {
		unsigned int slot;

		if (next == options->length || !client->idle_count) {
			if (wait_slot(client) < 0)
				return -1;
			continue;
		}
		slot = take_slot(client, next);
		if (drive_read(client->drive, slot_memory(client, slot), client->slot[slot].len,
			       options->offset + next) ||
		    post_slot(client, IBV_WR_RDMA_WRITE, slot))
			return -1;
		next += client->slot[slot].len;
	}
	return settle_writes(client);
}

/*
 * As many reads as there are slots; each chunk goes to the drive when it is there, in any order.
 *
 * "There" is the completion, which the RDMA device writes to host memory after it wrote the data to
 * the controller's. PCI keeps no order between writes to two places, so in theory the drive could
 * look too early; in practice it hears of the chunk much later, through a doorbell. A program that
 * must be sure lets the RDMA device read some of the chunk first, as that pushes its own writes.
 */
static int peer_to_drive(struct client *client)
{
	const struct options *options = client->options;
	uint64_t next = 0;

	while (next < options->length || client->idle_count < client->slots) {
		int slot;

		if (next < options->length && client->idle_count) {
			slot = take_slot(client, next);
			if (post_slot(client, IBV_WR_RDMA_READ, slot))
				return -1;
			next += client->slot[slot].len;
			continue;
		}
		slot = wait_slot(client);
		if (slot < 0 ||
		    drive_write(client->drive, slot_memory(client, slot), client->slot[slot].len,
				options->offset + client->slot[slot].at))
			return -1;
	}
	if (fdatasync(client->drive))
		return fail_errno(errno, "flushing the drive");
	return 0;
}

static int compare(const struct client *client, uint64_t at, size_t len, const char *what)
{
	for (size_t i = 0; i < len; i++)
		if (client->got[i] != client->wanted[i])
			return fail("%s differs at byte %" PRIu64 ": 0x%02x instead of 0x%02x",
				    what, at + i, (uint8_t)client->got[i],
				    (uint8_t)client->wanted[i]);
	return 0;
}

/* The peer's bytes come over TCP, the drive's by ordinary reads into host memory. */
static int compare_peer(struct client *client)
{
	const struct options *options = client->options;
	uint64_t at;
	size_t len;

	if (control_say(client->control, "dump"))
		return -1;
	for (at = 0; at < options->length; at += len) {
		len = options->length - at < client->slot_len ? options->length - at
							      : client->slot_len;
		if (control_receive(client->control, client->got, len) ||
		    drive_read(client->drive, client->wanted, len, options->offset + at) ||
		    compare(client, at, len, "the peer's memory"))
			return -1;
	}
	return 0;
}

static int compare_drive(struct client *client)
{
	const struct options *options = client->options;
	uint64_t at;
	size_t len;

	for (at = 0; at < options->length; at += len) {
		len = options->length - at < client->slot_len ? options->length - at
							      : client->slot_len;
		pattern_fill(client->wanted, len, options->seed, at);
		if (drive_read(client->drive, client->got, len, options->offset + at) ||
		    compare(client, at, len, "the drive") || keep_alive(client))
			return -1;
	}
	return 0;
}

typedef int (*step_fn)(struct client *client);

/* One line when a step over the whole payload is done. */
static int step(struct client *client, const char *what, step_fn fn)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (fn(client))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%-15s %12" PRIu64 " bytes in %.1f s\n", what, client->options->length,
	       to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) / 1e9);
	return 0;
}

/*
 * The peer's memory first gets bytes that are neither the drive's nor those of the way back, so
 * that a transfer which did nothing does not compare equal.
 */
static int move_payload(struct client *client)
{
	const struct options *options = client->options;

	if (fill_peer(client, options->seed + 1) ||
	    step(client, "drive to peer", drive_to_peer) ||
	    step(client, "compared equal", compare_peer))
		return -1;
	if (options->write_back &&
	    (fill_peer(client, options->seed) ||
	     step(client, "peer to drive", peer_to_drive) ||
	     step(client, "compared equal", compare_drive)))
		return -1;
	return control_say(client->control, "bye");
}

static void close_all(struct client *client)
{
	/* The queue pair goes first: nothing may be in flight when the memory goes. */
	if (client->rdma.qp) {
		ibv_destroy_qp(client->rdma.qp);
		client->rdma.qp = NULL;
	}
	if (client->mr)
		ibv_dereg_mr(client->mr);
	rdma_close(&client->rdma);
	if (client->buffer)
		munmap(client->buffer, client->buffer_len);
	if (client->got)
		munmap(client->got, client->slot_len);
	if (client->wanted)
		munmap(client->wanted, client->slot_len);
	if (client->drive >= 0)
		close(client->drive);
	if (client->control >= 0)
		close(client->control);
}

enum status client_run(const struct options *options, struct result *result)
{
	struct client client = { .options = options, .drive = -1, .control = -1 };

	result->verified = !open_drive(&client) &&
			   !rdma_open(&client.rdma, options->device, options->gid_index) &&
			   !get_buffer(&client) && !register_buffer(&client, result) &&
			   !connect_peer(&client) && !move_payload(&client);
	result->payload_bytes = result->verified ? options->length : 0;
	close_all(&client);
	if (result->reg_mr_errno)
		return STATUS_REFUSED;
	return result->verified ? STATUS_VERIFIED : STATUS_ERROR;
}
