// SPDX-License-Identifier: GPL-2.0-only
/*
 * No Debian package has a library for the server side of vfio-user, so the
 * part of the protocol that a PCI device without migration needs is here.
 */
#include "vfio_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vfio_link.h"

struct vfio_user {
	struct vfio_user_target target;
	struct vfio_link link;
	struct vfio_message msg; /* the reader's: what it answers now */
	pthread_mutex_t irq_lock; /* protects what follows */
	int irq_fds[EFA_MSIX_VECTORS]; /* eventfds, owned; -1 where the client set none */
};

/*
 * Handles the command in @msg and makes its reply in place: 0 or a negative
 * errno.  No handler waits for anything.
 */
typedef int (*command_handler)(struct vfio_user *vu, struct vfio_message *msg);

struct vfio_user *vfio_user_new(const struct vfio_user_target *target)
{
	struct vfio_user *vu = calloc(1, sizeof(*vu));

	if (!vu)
		return NULL;
	vu->target = *target;
	vfio_link_init(&vu->link);
	pthread_mutex_init(&vu->irq_lock, NULL);
	for (unsigned int i = 0; i < EFA_MSIX_VECTORS; i++)
		vu->irq_fds[i] = -1;
	return vu;
}

void vfio_user_free(struct vfio_user *vu)
{
	if (!vu)
		return;
	pthread_mutex_destroy(&vu->irq_lock);
	vfio_link_destroy(&vu->link);
	free(vu);
}

int vfio_user_dma(struct vfio_user *vu, bool write, uint64_t addr, void *buf, size_t len)
{
	return vfio_link_dma(&vu->link, write, addr, buf, len);
}

void vfio_user_close(struct vfio_user *vu)
{
	vfio_link_close(&vu->link);
}

static void event(struct vfio_user *vu, const char *line)
{
	vu->target.event(vu->target.ctx, line);
}

/* Interrupts */

void vfio_user_irq(struct vfio_user *vu, unsigned int vector)
{
	if (vector >= EFA_MSIX_VECTORS)
		return;
	pthread_mutex_lock(&vu->irq_lock);
	/* A counter that is full has been signalled already. */
	if (vu->irq_fds[vector] >= 0)
		(void)eventfd_write(vu->irq_fds[vector], 1);
	pthread_mutex_unlock(&vu->irq_lock);
}

/* Owns @fd from here on; -1 takes away what was there. */
static void set_irq_fd(struct vfio_user *vu, unsigned int vector, int fd)
{
	int old;

	/* Whatever the client sent, raising an interrupt must not wait. */
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	pthread_mutex_lock(&vu->irq_lock);
	old = vu->irq_fds[vector];
	vu->irq_fds[vector] = fd;
	pthread_mutex_unlock(&vu->irq_lock);
	if (old >= 0)
		close(old);
}

static void clear_irqs(struct vfio_user *vu)
{
	for (unsigned int i = 0; i < EFA_MSIX_VECTORS; i++)
		set_irq_fd(vu, i, -1);
}

static uint32_t irq_count(uint32_t index)
{
	return index == VFIO_PCI_MSIX_IRQ_INDEX ? EFA_MSIX_VECTORS : 0;
}

/* Neither maskable (the client masks MSI-X itself) nor fixed in number once it is on. */
static int get_irq_info(struct vfio_user *vu, struct vfio_message *msg)
{
	struct vfio_irq_info *info = (void *)msg->payload;

	(void)vu;
	if (info->argsz < sizeof(*info) || info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info->argsz = sizeof(*info);
	info->count = irq_count(info->index);
	info->flags = info->count ? VFIO_IRQ_INFO_EVENTFD : 0;
	return 0;
}

/* As many eventfds as vectors, or none to take them away. */
static int set_irq_fds(struct vfio_user *vu, const struct vfio_irq_set *set,
		       struct vfio_message *msg)
{
	if (msg->nfds && msg->nfds != set->count)
		return -EINVAL;
	for (uint32_t i = 0; i < set->count; i++) {
		set_irq_fd(vu, set->start + i, msg->nfds ? msg->fds[i] : -1);
		if (msg->nfds)
			msg->fds[i] = -1;
	}
	return 0;
}

static int set_irqs(struct vfio_user *vu, struct vfio_message *msg)
{
	const struct vfio_irq_set *set = (void *)msg->payload;
	uint32_t count;

	if (set->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	count = irq_count(set->index);
	if (set->start > count || set->count > count - set->start)
		return -EINVAL;
	if ((set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (count && !set->count)
			clear_irqs(vu);
		for (uint32_t i = 0; i < set->count; i++)
			vfio_user_irq(vu, set->start + i);
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (msg->len != sizeof(*set) + set->count)
			return -EINVAL;
		for (uint32_t i = 0; i < set->count; i++)
			if (set->data[i])
				vfio_user_irq(vu, set->start + i);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		if (set_irq_fds(vu, set, msg))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	msg->len = 0;
	return 0;
}

/* The device and its regions */

static int get_device_info(struct vfio_user *vu, struct vfio_message *msg)
{
	struct vfio_user_device_info *info = (void *)msg->payload;

	(void)vu;
	if (info->argsz < sizeof(*info))
		return -EINVAL;
	*info = (struct vfio_user_device_info){
		.argsz = sizeof(*info),
		.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
		.num_regions = VFIO_PCI_NUM_REGIONS,
		.num_irqs = VFIO_PCI_NUM_IRQS,
	};
	return 0;
}

static uint64_t region_size(uint32_t index)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX + EFA_BAR_REGS:
		return EFA_BAR_REGS_SIZE;
	case VFIO_PCI_BAR0_REGION_INDEX + EFA_BAR_LLQ:
		return EFA_BAR_LLQ_SIZE;
	case VFIO_PCI_BAR0_REGION_INDEX + EFA_BAR_DB:
		return EFA_BAR_DB_SIZE;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return 4096;
	}
	return 0;
}

static int get_region_info(struct vfio_user *vu, struct vfio_message *msg)
{
	struct vfio_region_info *info = (void *)msg->payload;

	if (info->argsz < sizeof(*info) || info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	*info = (struct vfio_region_info){
		.argsz = sizeof(*info),
		.index = info->index,
		.size = region_size(info->index),
	};
	if (info->size)
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (info->index == VFIO_PCI_BAR0_REGION_INDEX + EFA_BAR_LLQ) {
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		msg->reply_fd = vu->target.llq_fd;
	}
	return 0;
}

/* Faster ways to the doorbells exist only for KVM. */
static int get_region_io_fds(struct vfio_user *vu, struct vfio_message *msg)
{
	(void)vu, (void)msg;
	return -EOPNOTSUPP;
}

static int region_read(struct vfio_user *vu, struct vfio_message *msg)
{
	struct vfio_user_region_rw *rw = (void *)msg->payload;

	if (rw->count > VFIO_USER_MAX_XFER)
		return -EINVAL;
	msg->len = sizeof(*rw) + rw->count;
	if (rw->region == VFIO_PCI_CONFIG_REGION_INDEX)
		return efa_device_config_read(vu->target.dev, rw->offset, rw + 1, rw->count);
	return efa_mmio_read(vu->target.dev, rw->region, rw->offset, rw + 1, rw->count);
}

static int region_write(struct vfio_user *vu, struct vfio_message *msg)
{
	struct vfio_user_region_rw *rw = (void *)msg->payload;

	if (rw->count != msg->len - sizeof(*rw))
		return -EINVAL;
	msg->len = sizeof(*rw);
	if (rw->region == VFIO_PCI_CONFIG_REGION_INDEX)
		return efa_device_config_write(vu->target.dev, rw->offset, rw + 1, rw->count);
	return efa_mmio_write(vu->target.dev, rw->region, rw->offset, rw + 1, rw->count);
}

static int reset(struct vfio_user *vu, struct vfio_message *msg)
{
	(void)msg;
	efa_device_reset(vu->target.dev);
	return 0;
}

/* Memory */

static int dma_map(struct vfio_user *vu, struct vfio_message *msg)
{
	const struct vfio_user_dma_map *map = (void *)msg->payload;
	const uint32_t known = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	if (msg->nfds > 1 || (map->flags & ~known))
		return -EINVAL;
	msg->len = 0;
	return guest_memory_map(vu->target.mem, map->addr, map->size,
				map->flags & VFIO_DMA_MAP_FLAG_READ,
				map->flags & VFIO_DMA_MAP_FLAG_WRITE,
				msg->nfds ? msg->fds[0] : -1, map->offset);
}

static int dma_unmap(struct vfio_user *vu, struct vfio_message *msg)
{
	const struct vfio_user_dma_unmap *unmap = (void *)msg->payload;

	switch (unmap->flags) {
	case 0:
		return guest_memory_unmap(vu->target.mem, unmap->addr, unmap->size);
	case VFIO_DMA_UNMAP_FLAG_ALL:
		guest_memory_unmap_all(vu->target.mem);
		return 0;
	}
	return -EINVAL;
}

/* Negotiation */

/*
 * Whether the client takes as much data in one message as we send.  A number
 * is all that is looked for, so this is no JSON parser; a client that says
 * nothing takes more.
 */
static bool takes_our_messages(const char *json)
{
	static const char key[] = "\"max_data_xfer_size\"";
	const char *p = strstr(json, key);

	if (!p)
		return true;
	p += strlen(key);
	p += strspn(p, " \t\r\n:");
	return strtoull(p, NULL, 10) >= VFIO_USER_MAX_XFER;
}

static int negotiate(struct vfio_message *msg)
{
	struct vfio_user_version *version = (void *)msg->payload;
	char *json = (char *)(version + 1);
	size_t len = msg->len - sizeof(*version);

	if (msg->hdr.command != VFIO_USER_VERSION || msg->len < sizeof(*version))
		return -EPROTO;
	if (version->major != 0)
		return -EPROTONOSUPPORT;
	if (len && (json[len - 1] || !takes_our_messages(json)))
		return -EINVAL;
	version->minor = 0;
	len = sprintf(json,
		      "{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%u,"
		      "\"max_dma_maps\":%d}}",
		      VFIO_USER_MAX_FDS, VFIO_USER_MAX_XFER, VFIO_USER_MAX_DMA_MAPS);
	msg->len = sizeof(*version) + len + 1;
	return 0;
}

int vfio_user_accept(struct vfio_user *vu, int sock)
{
	int err;

	vfio_link_attach(&vu->link, sock);
	err = vfio_link_receive(&vu->link, &vu->msg);
	if (!err) {
		err = negotiate(&vu->msg);
		vfio_link_answer(&vu->link, &vu->msg, err);
	}
	if (err) {
		vfio_link_detach(&vu->link);
		event(vu, "not a client that is understood");
	}
	return err;
}

#define EXACTLY(size) (size), (size)

static const struct {
	command_handler handler;
	size_t min; /* bytes of payload */
	size_t max;
} commands[] = {
	[VFIO_USER_DMA_MAP] = { dma_map, EXACTLY(sizeof(struct vfio_user_dma_map)) },
	[VFIO_USER_DMA_UNMAP] = { dma_unmap, EXACTLY(sizeof(struct vfio_user_dma_unmap)) },
	[VFIO_USER_DEVICE_GET_INFO] = { get_device_info,
					EXACTLY(sizeof(struct vfio_user_device_info)) },
	[VFIO_USER_DEVICE_GET_REGION_INFO] = { get_region_info,
					       EXACTLY(sizeof(struct vfio_region_info)) },
	[VFIO_USER_DEVICE_GET_REGION_IO_FDS] = { get_region_io_fds, 0, VFIO_USER_MAX_PAYLOAD },
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = { get_irq_info, EXACTLY(sizeof(struct vfio_irq_info)) },
	[VFIO_USER_DEVICE_SET_IRQS] = { set_irqs, sizeof(struct vfio_irq_set),
					sizeof(struct vfio_irq_set) + EFA_MSIX_VECTORS },
	[VFIO_USER_REGION_READ] = { region_read, EXACTLY(sizeof(struct vfio_user_region_rw)) },
	[VFIO_USER_REGION_WRITE] = { region_write, sizeof(struct vfio_user_region_rw),
				     VFIO_USER_MAX_PAYLOAD },
	[VFIO_USER_DEVICE_RESET] = { reset, EXACTLY(0) },
};

static int handle(struct vfio_user *vu, struct vfio_message *msg)
{
	unsigned int command = msg->hdr.command;

	if (command >= sizeof(commands) / sizeof(commands[0]) || !commands[command].handler)
		return -EOPNOTSUPP;
	if (msg->len < commands[command].min || msg->len > commands[command].max)
		return -EINVAL;
	return commands[command].handler(vu, msg);
}

void vfio_user_serve(struct vfio_user *vu)
{
	struct vfio_message *msg = &vu->msg;
	char line[80];
	int err;

	while (!(err = vfio_link_receive(&vu->link, msg))) {
		err = handle(vu, msg);
		if (err) {
			snprintf(line, sizeof(line), "refused command %u: %s", msg->hdr.command,
				 strerror(-err));
			event(vu, line);
		}
		vfio_link_answer(&vu->link, msg, err);
	}
	if (err == -EPROTO)
		event(vu, "malformed message");
	vfio_link_detach(&vu->link);
	efa_device_reset(vu->target.dev);
	clear_irqs(vu);
	guest_memory_unmap_all(vu->target.mem);
}
