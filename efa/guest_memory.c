// SPDX-License-Identifier: GPL-2.0-only
#include "guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vfio_wire.h"

struct range {
	uint64_t addr;
	uint64_t last; /* the address of the last byte: a range may end at 2^64 */
	bool readable;
	bool writable;
	uint8_t *host; /* NULL when there is no file */
};

struct guest_memory {
	struct guest_memory_peer peer;
	struct dma_log *log;
	const char *device;
	pthread_rwlock_t lock; /* readers use the mappings; protects what follows */
	size_t count;
	struct range ranges[VFIO_USER_MAX_DMA_MAPS]; /* by address */
};

struct guest_memory *guest_memory_new(const struct guest_memory_peer *peer, struct dma_log *log,
				      const char *device)
{
	struct guest_memory *mem = calloc(1, sizeof(*mem));
	pthread_rwlockattr_t attr;

	if (!mem)
		return NULL;
	mem->peer = *peer;
	mem->log = log;
	mem->device = device;
	/* A device that copies all the time must not keep an unmap waiting. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&mem->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return mem;
}

void guest_memory_free(struct guest_memory *mem)
{
	if (!mem)
		return;
	guest_memory_unmap_all(mem);
	pthread_rwlock_destroy(&mem->lock);
	free(mem);
}

/* The index of the first range that ends at or behind @addr; count when there is none. */
static size_t find(const struct guest_memory *mem, uint64_t addr)
{
	size_t i = 0;

	while (i < mem->count && mem->ranges[i].last < addr)
		i++;
	return i;
}

/*
 * Maps the file of @r.  A file that may shrink later is not mapped, for
 * touching what is no longer there would be the end of this process; the range
 * is then reached by message.
 */
static int map_file(struct range *r, int fd, uint64_t offset)
{
	int prot = (r->readable ? PROT_READ : 0) | (r->writable ? PROT_WRITE : 0);
	uint64_t size = r->last - r->addr + 1;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *host;

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return 0;
	if (fstat(fd, &st))
		return -errno;
	if (offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return -EINVAL;
	host = mmap(NULL, size, prot, MAP_SHARED | MAP_NORESERVE, fd, offset);
	if (host == MAP_FAILED)
		return -errno;
	r->host = host;
	return 0;
}

static void unmap_file(struct range *r)
{
	if (r->host)
		munmap(r->host, r->last - r->addr + 1);
}

static int insert(struct guest_memory *mem, const struct range *r)
{
	size_t i = find(mem, r->addr);

	if (i < mem->count && mem->ranges[i].addr <= r->last)
		return -EEXIST;
	if (mem->count == VFIO_USER_MAX_DMA_MAPS)
		return -ENOSPC;
	memmove(&mem->ranges[i + 1], &mem->ranges[i], (mem->count - i) * sizeof(*r));
	mem->ranges[i] = *r;
	mem->count++;
	return 0;
}

int guest_memory_map(struct guest_memory *mem, uint64_t addr, uint64_t size, bool readable,
		     bool writable, int fd, uint64_t offset)
{
	struct range r = {
		.addr = addr,
		.last = addr + size - 1,
		.readable = readable,
		.writable = writable,
	};
	int err = 0;

	if (!size || r.last < addr)
		return -EINVAL;
	if (fd >= 0)
		err = map_file(&r, fd, offset);
	if (err)
		return err;
	pthread_rwlock_wrlock(&mem->lock);
	err = insert(mem, &r);
	pthread_rwlock_unlock(&mem->lock);
	if (err)
		unmap_file(&r);
	return err;
}

int guest_memory_unmap(struct guest_memory *mem, uint64_t addr, uint64_t size)
{
	struct range *r;
	int err = -ENOENT;
	size_t i;

	pthread_rwlock_wrlock(&mem->lock);
	i = find(mem, addr);
	r = &mem->ranges[i];
	if (size && i < mem->count && r->addr == addr && r->last == addr + size - 1) {
		unmap_file(r);
		mem->count--;
		memmove(r, r + 1, (mem->count - i) * sizeof(*r));
		err = 0;
	}
	pthread_rwlock_unlock(&mem->lock);
	return err;
}

void guest_memory_unmap_all(struct guest_memory *mem)
{
	pthread_rwlock_wrlock(&mem->lock);
	for (size_t i = 0; i < mem->count; i++)
		unmap_file(&mem->ranges[i]);
	mem->count = 0;
	pthread_rwlock_unlock(&mem->lock);
}


/* The guest may poll what the device writes last: a word goes in one store, in order. */
static void copy_to(uint8_t *host, const uint8_t *buf, size_t len)
{
	uint64_t v64;
	uint32_t v32;

	if (len == sizeof(v64) && !((uintptr_t)host % sizeof(v64))) {
		memcpy(&v64, buf, sizeof(v64));
		__atomic_store_n((uint64_t *)(void *)host, v64, __ATOMIC_RELEASE);
	} else if (len == sizeof(v32) && !((uintptr_t)host % sizeof(v32))) {
		memcpy(&v32, buf, sizeof(v32));
		__atomic_store_n((uint32_t *)(void *)host, v32, __ATOMIC_RELEASE);
	} else {
		memcpy(host, buf, len);
	}
}

/*
 * Cuts @piece to what one range (or the gap before the next) holds and copies
 * it if that range is mapped; sets its @peer if it has to go by message.
 */
static void access_ranges(struct guest_memory *mem, struct dma_access *piece, uint8_t *buf)
{
	size_t i = find(mem, piece->addr);
	const struct range *r = &mem->ranges[i];
	uint64_t rest = piece->len - 1;

	piece->peer = true;
	if (i == mem->count)
		return;
	if (r->addr > piece->addr) {
		if (rest >= r->addr - piece->addr)
			piece->len = r->addr - piece->addr;
		return;
	}
	if (rest > r->last - piece->addr)
		piece->len = r->last - piece->addr + 1;
	piece->peer = !r->host;
	if (piece->write ? !r->writable : !r->readable)
		piece->err = -EACCES;
	else if (r->host && piece->write)
		copy_to(r->host + (piece->addr - r->addr), buf, piece->len);
	else if (r->host)
		memcpy(buf, r->host + (piece->addr - r->addr), piece->len);
}

static int transfer(struct guest_memory *mem, enum efa_dma_kind kind, bool write, uint64_t addr,
		    uint8_t *buf, size_t len)
{
	struct dma_access piece;

	if (len && addr + (len - 1) < addr)
		return -EINVAL;
	for (; len; addr += piece.len, buf += piece.len, len -= piece.len) {
		piece = (struct dma_access){
			.kind = kind, .write = write, .addr = addr, .len = len,
		};
		pthread_rwlock_rdlock(&mem->lock);
		access_ranges(mem, &piece, buf);
		pthread_rwlock_unlock(&mem->lock);
		if (piece.peer && !piece.err) {
			if (piece.len > mem->peer.max)
				piece.len = mem->peer.max;
			piece.err = mem->peer.dma(mem->peer.ctx, write, addr, buf, piece.len);
		}
		dma_log_add(mem->log, mem->device, &piece);
		if (piece.err)
			return piece.err;
	}
	return 0;
}

int guest_memory_read(struct guest_memory *mem, enum efa_dma_kind kind, uint64_t addr, void *buf,
		      size_t len)
{
	return transfer(mem, kind, false, addr, buf, len);
}

int guest_memory_write(struct guest_memory *mem, enum efa_dma_kind kind, uint64_t addr,
		       const void *buf, size_t len)
{
	/* Only a read changes the buffer. */
	return transfer(mem, kind, true, addr, (uint8_t *)buf, len);
}

int guest_memory_store64(struct guest_memory *mem, uint64_t addr, uint64_t val)
{
	struct dma_access access = {
		.kind = EFA_DMA_ADMIN, .write = true, .addr = addr, .len = sizeof(val),
	};
	const struct range *r;
	int err = -EAGAIN;
	size_t i;

	pthread_rwlock_rdlock(&mem->lock);
	i = find(mem, addr);
	r = &mem->ranges[i];
	if (i < mem->count && r->addr <= addr && r->host && r->writable &&
	    r->last - addr >= sizeof(val) - 1 && !(addr % sizeof(val))) {
		copy_to(r->host + (addr - r->addr), (const uint8_t *)&val, sizeof(val));
		err = 0;
	}
	pthread_rwlock_unlock(&mem->lock);
	if (!err)
		dma_log_add(mem->log, mem->device, &access);
	return err;
}
