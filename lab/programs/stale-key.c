// SPDX-License-Identifier: GPL-2.0-only
/* stale-key: what the key of a revoked memory region reaches, once there is a new region. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmb.h"
#include "rdma.h"

static const char usage[] =
"usage: stale-key OWNER P2PMEM\n"
"Registers memory of the folder P2PMEM in sysfs with efa_0, lets efa_0 and a peer\n"
"on efa_1 use its key, and says 'holds'.  The drive's driver is to be unbound then,\n"
"after which standard input is to end.  Then OWNER registers RAM in the place of the\n"
"second half of that memory:\n"
"  same     in the same protection domain\n"
"  domain   in another one\n"
"  process  is another process\n"
"Says whether the new region was given the old key, and for each way to use the old\n"
"key, there and outside the new region, 'reached' or the error.  Fails if a byte\n"
"moved when it should not or did not when it should, on the drive, too.\n";

#define HALF (8 * PAGE)
#define SIZE (2 * HALF)
#define TIMEOUT 120 /* seconds, for all that comes after the unbind */

struct test {
	const char *owner;
	struct cmb cmb;
	struct rdma own, peer; /* on efa_0 and on efa_1 */
	struct ibv_mr *old, *new, *buffer_mr;
	char *memory;	  /* of the old region; the new one is its second half */
	char *buffer;	  /* HALF bytes, the peer's */
	uint64_t seed;	  /* of the last pattern */
	uint64_t address; /* where the old region was on the bus */
	uint32_t new_key;
	int child; /* who has the new region, till this pipe is closed */
};

/* A way to use a key: for the queue pair beside the memory (lkey) or for the peer (rkey). */
static const struct way {
	const char *name;
	bool peer;
	enum ibv_wr_opcode opcode;
} ways[] = {
	{ "lkey read", false, IBV_WR_RDMA_WRITE },
	{ "lkey write", false, IBV_WR_RDMA_READ },
	{ "rkey read", true, IBV_WR_RDMA_READ },
	{ "rkey write", true, IBV_WR_RDMA_WRITE },
};

#define WAYS (sizeof(ways) / sizeof(*ways))

/* Patterns of HALF bytes that differ in each word. */
static uint64_t word(uint64_t seed, size_t i)
{
	return seed << 32 | i;
}

static void fill(void *p, uint64_t seed)
{
	for (size_t i = 0; i < HALF / sizeof(seed); i++)
		((volatile uint64_t *)p)[i] = word(seed, i);
}

static void expect(const void *p, uint64_t seed, const char *where)
{
	for (size_t i = 0; i < HALF / sizeof(seed); i++)
		if (((const volatile uint64_t *)p)[i] != word(seed, i))
			errx(1, "%s: wrong at byte %zu", where, i * sizeof(seed));
}

static struct ibv_mr *reg(struct ibv_pd *pd, void *p, size_t len)
{
	struct ibv_mr *mr = ibv_reg_mr(pd, p, len, IBV_ACCESS_LOCAL_WRITE |
				       IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);

	if (!mr)
		err(1, "ibv_reg_mr");
	return mr;
}

static enum ibv_wc_status transfer(struct test *t, const struct way *way, void *addr,
				   uint32_t key)
{
	struct rdma *rdma = way->peer ? &t->peer : &t->own;
	const struct rdma_transfer transfer = {
		.opcode = way->opcode,
		.local = way->peer ? t->buffer : addr,
		.lkey = way->peer ? t->buffer_mr->lkey : key,
		.len = HALF,
		.remote = (uintptr_t)(way->peer ? addr : t->buffer),
	};
	struct ibv_wc wc;

	rdma->remote.rkey = way->peer ? key : t->buffer_mr->rkey;
	if (rdma_post(rdma, &transfer) || rdma_completion(rdma, TIMEOUT, &wc))
		exit(1);
	return wc.status;
}

/* Uses @key at @addr while @region is the memory that may be reached; compares all of it. */
static enum ibv_wc_status use(struct test *t, const struct way *way, void *addr, uint32_t key,
			      void *region)
{
	uint64_t in_region = ++t->seed, in_buffer = ++t->seed;
	bool reads = way->peer == (way->opcode == IBV_WR_RDMA_READ);
	enum ibv_wc_status status;

	fill(region, in_region);
	fill(t->buffer, in_buffer);
	status = transfer(t, way, addr, key);
	if (status == IBV_WC_SUCCESS && reads)
		in_buffer = in_region;
	else if (status == IBV_WC_SUCCESS)
		in_region = in_buffer;
	expect(region, in_region, way->name);
	expect(t->buffer, in_buffer, "the peer's buffer");
	return status;
}

static void must_reach(struct test *t, uint32_t key)
{
	for (size_t i = 0; i < WAYS; i++) {
		char *region = t->memory + HALF;
		enum ibv_wc_status status = use(t, &ways[i], region, key, region);

		if (status != IBV_WC_SUCCESS)
			errx(1, "%s of a region that is there: %s", ways[i].name,
			     ibv_wc_status_str(status));
	}
}

static void say(struct test *t, const char *where, void *addr)
{
	for (size_t i = 0; i < WAYS; i++) {
		enum ibv_wc_status status = use(t, &ways[i], addr, t->old->rkey,
						t->memory + HALF);

		printf("%s, %s: %s\n", where, ways[i].name,
		       status ? ibv_wc_status_str(status) : "reached");
	}
}

/* The physical address of a mapped page, which is that on the bus. */
static uint64_t bus_address(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)p / PAGE * sizeof(entry)) !=
	    sizeof(entry))
		err(1, "/proc/self/pagemap");
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static void set_up(struct test *t, const char *p2pmem)
{
	cmb_open(&t->cmb, p2pmem);
	if (rdma_open(&t->own, "efa_0", -1) || rdma_create_qp(&t->own, 1) ||
	    rdma_open(&t->peer, "efa_1", -1) || rdma_create_qp(&t->peer, 1))
		exit(1);
	t->own.remote = t->peer.local;
	t->peer.remote = t->own.local;
	if (rdma_connect(&t->own) || rdma_connect(&t->peer))
		exit(1);

	t->memory = cmb_map(&t->cmb, 0, SIZE);
	t->buffer = mmap(NULL, HALF, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->memory == MAP_FAILED || t->buffer == MAP_FAILED)
		err(1, "mmap");
	t->buffer_mr = reg(t->peer.pd, t->buffer, HALF);
	t->old = reg(t->own.pd, t->memory, SIZE);
	must_reach(t, t->old->rkey);
	fill(t->memory, 0);
	fill(t->memory + HALF, 0);
	t->address = bus_address(t->memory);
}

/* A process that registers the memory, tells the key, and ends when the pipe is closed. */
static void register_in_child(struct test *t)
{
	int key[2], end[2];
	struct rdma rdma;

	if (pipe(key) || pipe(end))
		err(1, "pipe");
	if (!fork()) {
		close(end[1]);
		if (rdma_open(&rdma, "efa_0", -1))
			_exit(1);
		t->new_key = reg(rdma.pd, t->memory + HALF, HALF)->rkey;
		if (write(key[1], &t->new_key, sizeof(t->new_key)) < 0)
			_exit(1);
		read(end[0], &t->child, 1);
		_exit(0);
	}
	close(key[1]);
	t->child = end[1];
	if (read(key[0], &t->new_key, sizeof(t->new_key)) != sizeof(t->new_key))
		errx(1, "the other process has no region");
}

static void register_new(struct test *t)
{
	struct ibv_pd *pd = t->own.pd;

	if (mmap(t->memory + HALF, HALF, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		err(1, "mmap");
	if (!strcmp(t->owner, "process")) {
		register_in_child(t);
		return;
	}
	if (!strcmp(t->owner, "domain"))
		pd = ibv_alloc_pd(t->own.context);
	if (!pd)
		err(1, "ibv_alloc_pd");
	t->new = reg(pd, t->memory + HALF, HALF);
	t->new_key = t->new->rkey;
}

/* Through the BAR, since the drive has no driver; the third line of resource is BAR 2. */
static void expect_untouched(const struct test *t, const char *p2pmem)
{
	int len = strrchr(p2pmem, '/') - p2pmem, fd;
	unsigned long long first;
	char path[PATH_MAX], *bar;
	FILE *file;

	snprintf(path, sizeof(path), "%.*s/resource", len, p2pmem);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*[^\n] %*[^\n] %llx", &first) != 1)
		err(1, "%s", path);
	fclose(file);

	snprintf(path, sizeof(path), "%.*s/resource2", len, p2pmem);
	fd = open(path, O_RDWR | O_CLOEXEC);
	bar = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, t->address - first);
	if (bar == MAP_FAILED)
		err(1, "%s", path);
	expect(bar, 0, "the revoked memory");
	expect(bar + HALF, 0, "the revoked memory");
	munmap(bar, SIZE);
	close(fd);
}

int main(int argc, char **argv)
{
	struct test t = {};

	if (argc != 3 || (strcmp(argv[1], "same") && strcmp(argv[1], "domain") &&
			  strcmp(argv[1], "process")))
		errx(2, "%s", usage);
	setlinebuf(stdout);
	t.owner = argv[1];
	set_up(&t, argv[2]);
	puts("holds");
	while (getchar() != EOF)
		;
	alarm(TIMEOUT);

	register_new(&t);
	printf("the key is %s\n", t.new_key == t.old->rkey ? "given out again" : "a new one");
	say(&t, "inside", t.memory + HALF);
	say(&t, "outside", t.memory);
	expect_untouched(&t, argv[2]);
	/* The revoked region has given its key back already: it must not do that again. */
	errno = ibv_dereg_mr(t.old);
	if (errno)
		err(1, "ibv_dereg_mr");
	if (!strcmp(t.owner, "same"))
		must_reach(&t, t.new_key);
	return 0;
}
