// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench: counts the instructions of what an application does with memory before and after an RDMA
 * device uses it, kind of memory by kind of memory.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <linux/udmabuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "cmb.h"
#include "gup_test.h"
#include "rdma.h"
#include "tracefs.h"

static const char usage[] =
"usage: bench KERNEL P2PMEM [KIND]\n"
"Registers ordinary memory and memory of the folder P2PMEM in sysfs with efa_0, 64 KiB to\n"
"64 MiB, or 1 GiB of KIND, and writes lines 'KERNEL,KIND,BYTES,OPERATION,NUMBER':\n"
"instructions, or for the operation 'entries' addresses handed to the device, of\n"
"'entry_bytes' each.  Is right in a machine of lab/machine/run --count only, and with KIND\n"
"in one that has done nothing else.  What the kernel refuses to do with controller memory\n"
"has no line.\n";

#define MIB	     (1UL << 20)
#define HUGE	     (2 * MIB)
#define BIG	     (1024 * MIB) /* takes long */

enum operation {
	MAP, TOUCH, PIN_FAST, PIN_SLOW, UNPIN, REG_MR, DEREG_MR, ENTRIES, ENTRY_BYTES, UNMAP,
	OPERATIONS
};

static const char *const operation_names[OPERATIONS] = {
	"mmap", "touch", "pin_fast", "pin_slow", "unpin", "reg_mr", "dereg_mr", "entries",
	"entry_bytes", "munmap",
};

#define NONE UINT64_MAX /* did not happen */

struct figures {
	uint64_t of[OPERATIONS];
};

struct bench {
	const char *kernel;
	struct cmb cmb;
	struct rdma rdma;
	struct tracefs trace;
	int pins;    /* mm/gup_test.c's file in debugfs */
	int udmabuf; /* /dev/udmabuf */
};

struct kind {
	const char *name;
	size_t multiple; /* of which its sizes are */
	bool peer;	 /* the CPU must not touch it */
	bool dmabuf;	 /* registered by descriptor, not by address */
	int flags;	 /* for mmap() */
	int advice;	 /* for madvise(), or -1 */
	int (*open)(struct bench *bench, size_t len); /* what is mapped; NULL: nothing */
};

/* The TSC of that machine goes up by one with every instruction. */
static uint64_t now(void)
{
	return __rdtsc();
}

static int open_cmb(struct bench *b, size_t len)
{
	(void)len;
	return dup(b->cmb.allocate);
}

static int open_memfd(struct bench *b, size_t len)
{
	int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)b;
	/* A udmabuf wants to know that its memory stays. */
	if (fd < 0 || ftruncate(fd, len) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		err(1, "memfd");
	return fd;
}

static const struct kind kinds[] = {
	{ "anonymous", PAGE, .flags = MAP_PRIVATE | MAP_ANONYMOUS, .advice = MADV_NOHUGEPAGE },
	{ "shmem", PAGE, .flags = MAP_SHARED, .advice = -1, .open = open_memfd },
	{ "thp", HUGE, .flags = MAP_PRIVATE | MAP_ANONYMOUS, .advice = MADV_HUGEPAGE },
	{ "hugetlb", HUGE, .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, .advice = -1 },
	{ "udmabuf", PAGE, .dmabuf = true, .flags = MAP_SHARED, .advice = -1, .open = open_memfd },
	{ "cmb", PAGE, .peer = true, .flags = MAP_SHARED, .advice = -1, .open = open_cmb },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static void touch(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += PAGE)
		*(volatile char *)(p + i) = 1;
}

/* Long-term pins of all of it, as those of memory regions are, with the array for them. */
static void pin(struct bench *b, const struct kind *kind, void *p, size_t len, bool fast,
		struct figures *f)
{
	struct pin_longterm_test test = {
		.addr = (uintptr_t)p,
		.size = len,
		.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE |
			 (fast ? PIN_LONGTERM_TEST_FLAG_USE_FAST : 0) |
			 (kind->peer ? PIN_LONGTERM_TEST_FLAG_USE_P2PDMA : 0),
	};
	uint64_t start = now(), middle;

	if (ioctl(b->pins, PIN_LONGTERM_TEST_START, &test)) {
		/* The flag is not known there. */
		if (kind->peer && errno == EINVAL)
			return;
		err(1, "pin %s", kind->name);
	}
	f->of[fast ? PIN_FAST : PIN_SLOW] = now() - start;
	middle = now();
	if (ioctl(b->pins, PIN_LONGTERM_TEST_STOP))
		err(1, "unpin %s", kind->name);
	f->of[UNPIN] = now() - middle;
}

/* Without what the device takes to carry the commands out, which is no instruction of ours. */
static void register_and_back(struct bench *b, const struct kind *kind, void *p, size_t len,
			      int dmabuf, struct figures *f)
{
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	struct command command;
	struct ibv_mr *mr;
	uint64_t start;

	tracefs_clear(&b->trace);
	start = now();
	mr = dmabuf < 0 ? ibv_reg_mr(b->rdma.pd, p, len, access) :
			  ibv_reg_dmabuf_mr(b->rdma.pd, 0, len, 0, dmabuf, access);
	f->of[REG_MR] = now() - start;
	if (!mr) {
		f->of[REG_MR] = NONE;
		if (kind->peer && errno == EFAULT)
			return;
		err(1, "ibv_reg_mr %s", kind->name);
	}
	tracefs_command(&b->trace, &command);
	f->of[REG_MR] -= command.instructions;
	if (command.entries * command.entry_bytes < len)
		errx(1, "%s: %zu bytes, but the device was told of %u times %lu", kind->name, len,
		     command.entries, command.entry_bytes);
	f->of[ENTRIES] = command.entries;
	f->of[ENTRY_BYTES] = command.entry_bytes;
	if (kind->multiple == HUGE && command.entry_bytes < HUGE)
		errx(1, "%s is not of huge pages", kind->name);

	tracefs_clear(&b->trace);
	start = now();
	errno = ibv_dereg_mr(mr);
	f->of[DEREG_MR] = now() - start;
	if (errno)
		err(1, "ibv_dereg_mr %s", kind->name);
	tracefs_command(&b->trace, &command);
	f->of[DEREG_MR] -= command.instructions;
}

/* A dma-buf of the memory of @memfd; what its making and its end take are 'mmap' and 'munmap'. */
static void dmabuf_once(struct bench *b, const struct kind *kind, int memfd, size_t len,
			struct figures *f)
{
	struct udmabuf_create create = { .memfd = memfd, .flags = UDMABUF_FLAGS_CLOEXEC,
					 .size = len };
	uint64_t start = now();
	int fd = ioctl(b->udmabuf, UDMABUF_CREATE, &create);

	f->of[MAP] = now() - start;
	if (fd < 0)
		err(1, "UDMABUF_CREATE");
	register_and_back(b, kind, NULL, len, fd, f);
	start = now();
	close(fd);
	f->of[UNMAP] = now() - start;
}

/*
 * Sees to it that the next mapping of @len bytes begins at an odd page, as half of them do where
 * addresses are random, unless the kernel aligns it. Returns what to unmap afterwards, or NULL.
 */
static void *misalign(size_t len)
{
	/* Longer by a page, for which nobody has huge pages in mind. */
	char *p = mmap(NULL, len + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	if ((uintptr_t)p / PAGE % 2) {
		/* From the top downwards: the page there stays, and the next one begins here. */
		munmap(p, len);
		return p + len;
	}
	munmap(p, len + PAGE);
	return NULL;
}

static void once(struct bench *b, const struct kind *kind, size_t len, struct figures *f)
{
	int fd = kind->open ? kind->open(b, len) : -1;
	void *odd = misalign(len);
	uint64_t start = now();
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, kind->flags, fd, 0);

	f->of[MAP] = now() - start;
	if (p == MAP_FAILED)
		err(1, "mmap %s", kind->name);
	if (kind->advice >= 0 && madvise(p, len, kind->advice))
		err(1, "madvise %s", kind->name);
	if (!kind->peer) {
		start = now();
		touch(p, len);
		f->of[TOUCH] = now() - start;
	}
	if (kind->dmabuf) {
		f->of[TOUCH] = NONE;
		dmabuf_once(b, kind, fd, len, f);
		munmap(p, len);
	} else {
		pin(b, kind, p, len, true, f);
		pin(b, kind, p, len, false, f);
		register_and_back(b, kind, p, len, -1, f);
		start = now();
		munmap(p, len);
		f->of[UNMAP] = now() - start;
	}
	if (fd >= 0)
		close(fd);
	if (odd)
		munmap(odd, PAGE);
}

/* The smaller the more: that is where something in between shows. */
static int repetitions(size_t len)
{
	return len == BIG ? 3 : len > 16 * MIB ? 8 : len > MIB ? 16 : 32;
}

/* Of several times the least: what else the kernel does now and then only adds. */
static void measure(struct bench *b, const struct kind *kind, size_t len)
{
	struct figures least;
	uint64_t longest = 0;

	memset(&least, 0xff, sizeof(least));
	for (int i = 0; i < repetitions(len); i++) {
		struct figures f;

		memset(&f, 0xff, sizeof(f));
		once(b, kind, len, &f);
		for (int o = 0; o < OPERATIONS; o++)
			if (f.of[o] < least.of[o])
				least.of[o] = f.of[o];
		/* But the longest page list: pages that lie in a row by chance make a shorter. */
		if (f.of[ENTRIES] != NONE && f.of[ENTRIES] > longest)
			longest = f.of[ENTRIES];
	}
	if (longest)
		least.of[ENTRIES] = longest;
	for (int o = 0; o < OPERATIONS; o++)
		if (least.of[o] != NONE)
			printf("%s,%s,%zu,%s,%lu\n", b->kernel, kind->name, len, operation_names[o],
			       least.of[o]);
}

static void set_up(struct bench *b, const char *p2pmem)
{
	const struct sched_param first = { .sched_priority = 1 };

	cmb_open(&b->cmb, p2pmem);
	b->pins = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);
	b->udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (b->pins < 0 || b->udmabuf < 0)
		err(1, "the kernel is not configured for this: gup_test, udmabuf");
	if (rdma_open(&b->rdma, "efa_0", -1))
		exit(1);
	tracefs_open(&b->trace);
	/* No other process is counted. */
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		err(1, "sched_setscheduler");
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 64 * 1024, MIB, 16 * MIB, 64 * MIB };
	const struct kind *only = NULL;
	struct bench b = {};

	for (size_t k = 0; argc == 4 && k < KINDS; k++)
		if (!strcmp(argv[3], kinds[k].name))
			only = &kinds[k];
	if (argc != 3 && !only)
		errx(2, "%s", usage);
	b.kernel = argv[1];
	set_up(&b, argv[2]);
	if (only)
		measure(&b, only, BIG);
	for (size_t i = 0; !only && i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t k = 0; k < KINDS; k++)
			if (sizes[i] % kinds[k].multiple == 0)
				measure(&b, &kinds[k], sizes[i]);
	return 0;
}
