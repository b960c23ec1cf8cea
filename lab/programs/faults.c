// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults: lets every allocation that an operation on controller memory makes fail, one after the
 * other, and looks after each whether the operation said so and left nothing behind.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmb.h"
#include "rdma.h"

static const char usage[] =
"usage: faults OPERATION P2PMEM DEVICE DRIVE\n"
"Runs the operation again and again, with the first memory allocation that the\n"
"kernel makes for it failing, then the second, until one run needs no more; then\n"
"once with all of them failing.  P2PMEM is the folder of the controller memory in\n"
"sysfs, DEVICE an RDMA device, DRIVE a block device, which is only read.\n"
"Operations that can fail then: mmap, pin, register, munmap, mprotect, mremap,\n"
"fork.  Operations that cannot: deregister, read.  And with no such fault:\n"
"  memlock  registers up to RLIMIT_MEMLOCK and beyond it\n"
"  hoard    maps pages far apart, until the page tables are too much for somebody\n";

/* Enough for a page list of the RDMA device that is no longer contiguous. */
#define PAGES	  1024UL
#define SIZE	  (PAGES * PAGE)
#define MAX_NTH	  2000

/*
 * Far from any other mapping, so that it needs page tables of its own each time, and across the
 * end of one.
 */
#define PLACE	  (0x100000000000UL - 4 * PAGE)
#define ELSEWHERE 0x200000000000UL

struct subject {
	struct cmb cmb;
	struct pinner pinner;
	struct rdma rdma;
	int drive;
	int fail_nth;
	int make_it_fail;
	char *map;
	struct ibv_mr *mr;
};

/* Operations: 0 or an errno, after which nothing may have changed. */

static int map(struct subject *s)
{
	s->map = cmb_map(&s->cmb, PLACE, SIZE);
	return s->map == MAP_FAILED ? errno : 0;
}

/* Of so many pages, whose list is still one page: a longer one tries again with vmalloc(). */
static int pin(struct subject *s)
{
	const long size = PAGE / sizeof(void *) * PAGE;
	long done = pinner_try(&s->pinner, s->map, size, true);

	if (done < 0)
		return -done;
	return done == size ? 0 : EIO;
}

static int register_region(struct subject *s)
{
	s->mr = ibv_reg_mr(s->rdma.pd, s->map, SIZE, IBV_ACCESS_LOCAL_WRITE);
	return s->mr ? 0 : errno;
}

static int deregister(struct subject *s)
{
	int err = ibv_dereg_mr(s->mr);

	if (!err)
		s->mr = NULL;
	return err;
}

/* A piece of the middle, which makes two mappings of one. */
static int unmap_middle(struct subject *s)
{
	return munmap(s->map + PAGE, PAGE) ? errno : 0;
}

static int protect_middle(struct subject *s)
{
	return mprotect(s->map + PAGE, PAGE, PROT_READ) ? errno : 0;
}

/* There and back, each of which may fail. */
static int move(struct subject *s)
{
	void *to = s->map == (void *)PLACE ? (void *)ELSEWHERE : (void *)PLACE;
	void *moved = mremap(s->map, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);

	if (moved == MAP_FAILED)
		return errno;
	s->map = moved;
	return 0;
}

/* The child lets go of its share itself. */
static int fork_and_unmap(struct subject *s)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return errno;
	if (!pid)
		_exit(munmap(s->map, SIZE) ? errno : 0);
	if (waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int read_drive(struct subject *s)
{
	ssize_t n = pread(s->drive, s->map, SIZE, 0);

	if (n < 0)
		return errno;
	return n == SIZE ? 0 : EIO;
}

/* What they need before, and undo after. */

static void need(int error, const char *what)
{
	if (error) {
		errno = error;
		err(1, "cannot %s with no fault", what);
	}
}

static void nothing(struct subject *s)
{
	(void)s;
}

static void mapped(struct subject *s)
{
	need(map(s), "map");
}

static void unmapped(struct subject *s)
{
	need(munmap(s->map, SIZE) ? errno : 0, "unmap");
}

static void registered(struct subject *s)
{
	mapped(s);
	need(register_region(s), "register");
}

static void deregistered(struct subject *s)
{
	need(deregister(s), "deregister");
	unmapped(s);
}

static const struct operation {
	const char *name;
	void (*before)(struct subject *s);
	int (*run)(struct subject *s);
	void (*after)(struct subject *s);
	bool can_fail; /* with ENOMEM */
} operations[] = {
	{ "mmap", nothing, map, unmapped, true },
	{ "pin", mapped, pin, unmapped, true },
	{ "register", mapped, register_region, deregistered, true },
	{ "deregister", registered, deregister, unmapped, false },
	{ "munmap", mapped, unmap_middle, unmapped, true },
	{ "mprotect", mapped, protect_middle, unmapped, true },
	{ "mremap", mapped, move, unmapped, true },
	{ "fork", mapped, fork_and_unmap, unmapped, true },
	{ "read", mapped, read_drive, unmapped, false },
};

/* What of this process's memory is pinned, in KiB: nothing else tells of a forgotten pin. */
static unsigned long pinned(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long kib = 0;
	char line[128];

	if (!status)
		err(1, "/proc/self/status");
	while (fgets(line, sizeof(line), status) && sscanf(line, "VmPin: %lu", &kib) != 1)
		;
	fclose(status);
	return kib;
}

struct state {
	size_t available;
	unsigned long pinned;
};

static struct state look(const struct subject *s)
{
	return (struct state){ cmb_available(&s->cmb), pinned() };
}

/* @nth: the allocation that failed; 0: all. */
static void compare(struct state was, struct state is, const char *name, unsigned int nth)
{
	if (was.available != is.available || was.pinned != is.pinned)
		errx(1, "%s, allocation %u failed: %zu bytes available instead of %zu, %lu KiB pinned instead of %lu",
		     name, nth, is.available, was.available, is.pinned, was.pinned);
}

/* The @nth allocation from now on in this thread fails; 0: none. */
static void let_fail(const struct subject *s, unsigned int nth)
{
	char text[16];
	int len = sprintf(text, "%u", nth);

	if (pwrite(s->fail_nth, text, len, 0) != len)
		err(1, "fail-nth");
}

/* Whether there were enough allocations for one to fail. */
static bool has_failed(const struct subject *s)
{
	char text[16] = "";

	if (pread(s->fail_nth, text, sizeof(text) - 1, 0) < 0)
		err(1, "fail-nth");
	let_fail(s, 0);
	return strtoul(text, NULL, 10) == 0;
}

/* From now on all of them fail, or none. */
static void let_all_fail(const struct subject *s, bool yes)
{
	if (pwrite(s->make_it_fail, yes ? "1" : "0", 1, 0) != 1)
		err(1, "make-it-fail");
}

struct tally {
	unsigned int refused; /* the operation failed */
	unsigned int managed; /* it went well without that allocation */
};

/* What has to be so after a run that began in the state @before. */
static void judge(struct subject *s, const struct operation *op, unsigned int nth, bool failed,
		  struct state before, int error, struct tally *tally)
{
	if (error) {
		if (!failed || !op->can_fail || error != ENOMEM)
			errx(1, "%s, allocation %u%s: %s", op->name, nth,
			     failed ? "" : ", which did not fail", strerror(error));
		compare(before, look(s), op->name, nth);
		need(op->run(s), op->name);
	}
	if (failed)
		*(error ? &tally->refused : &tally->managed) += 1;
}

/* One run with the @nth allocation failing, or all. Returns whether there was such an allocation. */
static bool try(struct subject *s, const struct operation *op, unsigned int nth,
		struct tally *tally)
{
	struct state start = look(s), before;
	bool failed = true;
	int error;

	op->before(s);
	before = look(s);
	if (nth)
		let_fail(s, nth);
	else
		let_all_fail(s, true);
	error = op->run(s);
	if (nth)
		failed = has_failed(s);
	else
		let_all_fail(s, false);
	judge(s, op, nth, failed, before, error, tally);
	op->after(s);
	compare(start, look(s), op->name, nth);
	return failed;
}

static void try_all(struct subject *s, const struct operation *op)
{
	struct tally tally = {};
	unsigned int nth = 1;

	while (try(s, op, nth, &tally))
		if (++nth > MAX_NTH)
			errx(1, "%s makes no end of allocations", op->name);
	printf("%s: %u allocations failed, %u were told as ENOMEM, %u made no difference\n",
	       op->name, nth - 1, tally.refused, tally.managed);
	/* An operation that never fails is no evidence that anything was tried. */
	if (op->can_fail && !tally.refused)
		errx(1, "no failure reached %s", op->name);
	tally.refused = 0;
	try(s, op, 0, &tally);
	if (op->can_fail && !tally.refused)
		errx(1, "%s without any memory went well", op->name);
}

/* A region is within the limit or ENOMEM, and one that is refused is not counted. */
static void memlock(struct subject *s)
{
	struct rlimit limit = { .rlim_cur = SIZE - PAGE, .rlim_max = RLIM_INFINITY };
	struct state before;

	mapped(s);
	before = look(s);
	for (int i = 0; i < 3; i++) {
		if (setrlimit(RLIMIT_MEMLOCK, &limit))
			err(1, "setrlimit");
		if (register_region(s) != ENOMEM)
			errx(1, "a region beyond the limit: %s", s->mr ? "done" : strerror(errno));
		compare(before, look(s), "memlock", 0);
		limit.rlim_cur = SIZE;
		if (setrlimit(RLIMIT_MEMLOCK, &limit))
			err(1, "setrlimit");
		need(register_region(s), "register within the limit");
		need(deregister(s), "deregister");
		compare(before, look(s), "memlock", 0);
		limit.rlim_cur = SIZE - PAGE;
	}
	unmapped(s);
	puts("memlock: 3 regions refused with ENOMEM, 3 registered");
}

/* Each page needs a page table of its own, which counts as this process's memory. */
static void hoard(struct subject *s)
{
	unsigned long i = 0;

	while (cmb_map(&s->cmb, PLACE + (i << 21), PAGE) != MAP_FAILED)
		i++;
	printf("hoard: %lu pages, then %s\n", i, strerror(errno));
}

static void set_up(struct subject *s, char **argv)
{
	cmb_open(&s->cmb, argv[0]);
	pinner_open(&s->pinner);
	if (rdma_open(&s->rdma, argv[1], -1))
		exit(1);
	s->drive = open(argv[2], O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (s->drive < 0)
		err(1, "%s", argv[2]);
	s->fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	s->make_it_fail = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);
	if (s->fail_nth < 0 || s->make_it_fail < 0)
		err(1, "the kernel injects no faults");
}

int main(int argc, char **argv)
{
	const struct operation *op = operations, *end = op + sizeof(operations) / sizeof(*op);
	struct subject s = {};

	if (argc != 5)
		errx(2, "%s", usage);
	while (op < end && strcmp(op->name, argv[1]))
		op++;
	if (op == end && strcmp(argv[1], "memlock") && strcmp(argv[1], "hoard"))
		errx(2, "%s", usage);
	set_up(&s, argv + 2);
	if (op < end)
		try_all(&s, op);
	else if (!strcmp(argv[1], "memlock"))
		memlock(&s);
	else
		hoard(&s);
	rdma_close(&s.rdma);
	return 0;
}
