// SPDX-License-Identifier: GPL-2.0-only
#include "emulator.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "guest_memory.h"
#include "listener.h"
#include "vfio_user.h"
#include "vfio_wire.h"

/* A device and all that is its own. */
struct node {
	struct emulator *emu;
	struct emulator_device config;
	int listener;
	int llq_fd;
	void *llq;
	struct guest_memory *mem;
	struct vfio_user *vu;
	struct efa_device *dev; /* freed with the fabric */
	pthread_t reader;
	bool has_reader;
};

struct emulator {
	struct emulator_config config;
	struct efa_fabric *fabric;
	struct node *nodes;
	pthread_t worker;
	bool has_worker;
	int changed_fd;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t wake;
	bool woken; /* there is work */
	bool stopping;
	enum emulator_state state;
	bool served; /* there was a client that negotiated */
	size_t clients; /* also those that negotiate yet */
};

/* What a device asks of its host: the functions of struct efa_host. */

static int host_read(void *ctx, enum efa_dma_kind kind, uint64_t addr, void *buf, size_t len)
{
	struct node *node = ctx;

	return guest_memory_read(node->mem, kind, addr, buf, len);
}

static int host_write(void *ctx, enum efa_dma_kind kind, uint64_t addr, const void *buf, size_t len)
{
	struct node *node = ctx;

	return guest_memory_write(node->mem, kind, addr, buf, len);
}

static int host_store64(void *ctx, uint64_t addr, uint64_t val)
{
	struct node *node = ctx;

	return guest_memory_store64(node->mem, addr, val);
}

static void host_irq(void *ctx, unsigned int vector)
{
	struct node *node = ctx;

	vfio_user_irq(node->vu, vector);
}

static void host_wake(void *ctx)
{
	struct node *node = ctx;

	pthread_mutex_lock(&node->emu->lock);
	node->emu->woken = true;
	pthread_cond_signal(&node->emu->wake);
	pthread_mutex_unlock(&node->emu->lock);
}

/* The device names itself. */
static void host_event(void *ctx, const char *line)
{
	struct node *node = ctx;

	if (node->emu->config.verbose)
		fprintf(stderr, "%s\n", line);
}

/* What happens to its connection. */
static void link_event(void *ctx, const char *line)
{
	struct node *node = ctx;

	if (node->emu->config.verbose)
		fprintf(stderr, "%s: %s\n", node->config.name, line);
}

/* Guest memory's way to what is not mapped. */
static int peer_dma(void *ctx, bool write, uint64_t addr, void *buf, size_t len)
{
	struct node *node = ctx;

	return vfio_user_dma(node->vu, write, addr, buf, len);
}

/* Threads */

/* Tells every device once a second that a second has gone by. */
static void keep_alive(struct emulator *emu, struct timespec *next)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < next->tv_sec)
		return;
	next->tv_sec = now.tv_sec + 1;
	for (size_t i = 0; i < emu->config.count; i++)
		efa_device_keep_alive(emu->nodes[i].dev);
}

static void *work(void *arg)
{
	struct emulator *emu = arg;
	struct timespec next = {};
	bool more;

	pthread_mutex_lock(&emu->lock);
	while (!emu->stopping) {
		if (!emu->woken)
			pthread_cond_timedwait(&emu->wake, &emu->lock, &next);
		emu->woken = false;
		pthread_mutex_unlock(&emu->lock);
		keep_alive(emu, &next);
		more = efa_fabric_work(emu->fabric);
		pthread_mutex_lock(&emu->lock);
		emu->woken |= more;
	}
	pthread_mutex_unlock(&emu->lock);
	return NULL;
}

static void count_clients(struct emulator *emu, int more, bool served)
{
	pthread_mutex_lock(&emu->lock);
	emu->clients += more;
	emu->served |= served;
	if (emu->served)
		emu->state = emu->clients ? EMULATOR_SERVING : EMULATOR_DONE;
	pthread_mutex_unlock(&emu->lock);
	eventfd_write(emu->changed_fd, 1);
}

/* One client after the other, until the listening socket is shut down. */
static void *serve(void *arg)
{
	struct node *node = arg;
	int sock;

	while ((sock = accept4(node->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		/* Before it has its answer, and relies on the others. */
		count_clients(node->emu, 1, false);
		if (!vfio_user_accept(node->vu, sock)) {
			count_clients(node->emu, 0, true);
			link_event(node, "a client came");
			vfio_user_serve(node->vu);
			link_event(node, "the client has gone");
		}
		count_clients(node->emu, -1, false);
	}
	return NULL;
}

/* Setting up and taking down */

/* Memory that the client can map but not make smaller under our feet. */
static int llq_open(struct node *node)
{
	node->llq_fd = memfd_create(node->config.name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (node->llq_fd < 0 || ftruncate(node->llq_fd, EFA_BAR_LLQ_SIZE) ||
	    fcntl(node->llq_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	node->llq = mmap(NULL, EFA_BAR_LLQ_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, node->llq_fd,
			 0);
	return node->llq == MAP_FAILED ? -errno : 0;
}

/* Everything of a node but its socket and thread; node_close() also after an error. */
static int node_open(struct node *node)
{
	const struct efa_host host = {
		.ctx = node,
		.dma_read = host_read,
		.dma_write = host_write,
		.store64 = host_store64,
		.irq = host_irq,
		.wake = host_wake,
		.event = host_event,
	};
	const struct guest_memory_peer peer = {
		.ctx = node,
		.max = VFIO_USER_MAX_XFER,
		.dma = peer_dma,
	};
	struct vfio_user_target target = { .event = link_event, .ctx = node };
	int err = llq_open(node);

	if (err)
		return err;
	node->mem = guest_memory_new(&peer, node->emu->config.log, node->config.name);
	node->dev = efa_device_new(node->emu->fabric, node->config.name, &host, node->llq);
	if (!node->mem || !node->dev)
		return -ENOMEM;
	if (node->emu->config.reuse_keys)
		efa_device_reuse_keys(node->dev);
	target.mem = node->mem;
	target.dev = node->dev;
	target.llq_fd = node->llq_fd;
	node->vu = vfio_user_new(&target);
	return node->vu ? 0 : -ENOMEM;
}

static void node_close(struct node *node)
{
	guest_memory_free(node->mem);
	vfio_user_free(node->vu);
	if (node->llq != MAP_FAILED)
		munmap(node->llq, EFA_BAR_LLQ_SIZE);
	if (node->llq_fd >= 0)
		close(node->llq_fd);
	if (node->listener >= 0) {
		close(node->listener);
		unlink(node->config.socket);
	}
}

static void stop_threads(struct emulator *emu)
{
	struct node *node;

	for (node = emu->nodes; node < emu->nodes + emu->config.count; node++) {
		if (!node->has_reader)
			continue;
		shutdown(node->listener, SHUT_RD);
		vfio_user_close(node->vu);
		pthread_join(node->reader, NULL);
	}
	pthread_mutex_lock(&emu->lock);
	emu->stopping = true;
	pthread_cond_signal(&emu->wake);
	pthread_mutex_unlock(&emu->lock);
	if (emu->has_worker)
		pthread_join(emu->worker, NULL);
}

void emulator_stop(struct emulator *emu)
{
	stop_threads(emu);
	efa_fabric_free(emu->fabric);
	for (size_t i = 0; i < emu->config.count; i++)
		node_close(&emu->nodes[i]);
	close(emu->changed_fd);
	pthread_cond_destroy(&emu->wake);
	pthread_mutex_destroy(&emu->lock);
	free(emu->nodes);
	free(emu);
}

/* Nothing but memory: an emulator that emulator_stop() can take down. */
static struct emulator *emulator_new(const struct emulator_config *config)
{
	struct emulator *emu = calloc(1, sizeof(*emu));
	struct node *nodes = calloc(config->count, sizeof(*nodes));
	pthread_condattr_t attr;

	if (!emu || !nodes) {
		free(emu);
		free(nodes);
		return NULL;
	}
	for (size_t i = 0; i < config->count; i++)
		nodes[i] = (struct node){
			.emu = emu,
			.config = config->devices[i],
			.listener = -1,
			.llq_fd = -1,
			.llq = MAP_FAILED,
		};
	*emu = (struct emulator){ .config = *config, .nodes = nodes, .changed_fd = -1 };
	pthread_mutex_init(&emu->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&emu->wake, &attr);
	pthread_condattr_destroy(&attr);
	return emu;
}

static int start_threads(struct emulator *emu)
{
	struct node *node;
	int err;

	err = pthread_create(&emu->worker, NULL, work, emu);
	emu->has_worker = !err;
	for (node = emu->nodes; !err && node < emu->nodes + emu->config.count; node++) {
		err = pthread_create(&node->reader, NULL, serve, node);
		node->has_reader = !err;
	}
	return -err;
}

static int emulator_open(struct emulator *emu)
{
	int err = 0;

	emu->fabric = efa_fabric_new();
	emu->changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!emu->fabric || emu->changed_fd < 0)
		return -ENOMEM;
	for (size_t i = 0; i < emu->config.count && !err; i++)
		err = node_open(&emu->nodes[i]);
	return err;
}

struct emulator *emulator_start(const struct emulator_config *config, int *status)
{
	struct emulator *emu = emulator_new(config);
	int err = emu ? emulator_open(emu) : -ENOMEM;

	*status = 1;
	for (size_t i = 0; !err && i < config->count; i++) {
		emu->nodes[i].listener = listener_open(config->devices[i].socket);
		if (emu->nodes[i].listener < 0) {
			*status = 2;
			goto stop;
		}
	}
	if (!err)
		err = start_threads(emu);
	if (!err)
		return emu;
	warnx("%s", strerror(-err));
stop:
	if (emu)
		emulator_stop(emu);
	return NULL;
}

enum emulator_state emulator_state(struct emulator *emu)
{
	enum emulator_state state;

	pthread_mutex_lock(&emu->lock);
	state = emu->state;
	pthread_mutex_unlock(&emu->lock);
	return state;
}

int emulator_changed_fd(const struct emulator *emu)
{
	return emu->changed_fd;
}
