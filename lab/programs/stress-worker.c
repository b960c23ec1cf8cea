// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmb.h"
#include "rdma.h"
#include "stress.h"
#include "stress-model.h"

/* Where the slots are: far below all that the C library maps. */
#define ARENA	((char *)0x100000000000)
#define QUOTA	1280 /* pages owned, so that all workers together leave room for any mapping */
#define BLOCKS	40  /* pages of the drive that are this worker's */
#define TIMEOUT 20  /* seconds that a transfer may take */
#define WORDS	(PAGE / sizeof(uint64_t))

struct worker {
	const struct stress *stress;
	unsigned int nth;
	uint64_t random;
	uint64_t last_tag;
	struct cmb cmb;
	struct pinner pinner;
	struct rdma rdma;
	int drive;
	int pagemap;
	int pipe[2];
	pid_t child;
	uint64_t (*host)[WORDS]; /* ordinary memory, MAX_RUN pages of it */
	struct ibv_mr *host_mr;
	uint64_t block[BLOCKS]; /* tags of what is on the drive; 0: not known */
	struct model model;
	struct account account;
	const char *doing;
};

/* Where an operation ends that the removal of the drive does not let succeed. */
static sigjmp_buf removed;

static void check(const struct worker *w, bool right, const char *what, struct run run)
{
	if (!right)
		errx(1, "worker %u, %s of %u pages at %u: %s (errno %s)", w->nth, w->doing, run.n,
		     run.first, what, strerrorname_np(errno));
}

/* As check(), but while the drive is being removed it may be wrong, if that @explains it. */
static void check_unless_removed(const struct worker *w, bool right, bool explains,
				 const char *what, struct run run)
{
	if (!right && explains && *removal)
		siglongjmp(removed, 1);
	check(w, right, what, run);
}

/* A number in [0, @n). */
static unsigned int random_below(struct worker *w, unsigned int n)
{
	return random_next(&w->random) % n;
}

static struct run random_long_run(struct worker *w)
{
	return (struct run){ LONG_RUN * random_below(w, SLOTS / LONG_RUN), LONG_RUN };
}

static struct run random_run(struct worker *w)
{
	unsigned int n = 1 + random_below(w, MAX_RUN);

	return (struct run){ random_below(w, SLOTS - n + 1), n };
}

/* Whether each of the run's pages is there and allows @prot. */
static bool usable(const struct worker *w, struct run run, int prot)
{
	return model_usable(&w->model, run, prot).n == run.n;
}

/*
 * Mostly a run that can be used as a whole, if a few tries find one; the rest is anything, of which
 * the model knows how the kernel has to refuse it.
 */
static struct run choose_run(struct worker *w)
{
	struct run run = random_run(w), some = run;

	if (!random_below(w, 4))
		return run;
	for (int i = 0; i < 8; i++) {
		some = model_usable(&w->model, random_run(w), PROT_READ | PROT_WRITE);
		if (some.n)
			return some;
	}
	return run;
}

static char *address(struct run run)
{
	return ARENA + run.first * PAGE;
}

static size_t length(struct run run)
{
	return run.n * PAGE;
}

/*
 * A page's tag is its first and its last word. The CPU writes and reads no more of it than that;
 * transfers move the whole. It is 0, not known, after a removal of the drive has broken off what
 * was to change it.
 */
static volatile uint64_t *words(unsigned int slot)
{
	return (volatile uint64_t *)(ARENA + slot * PAGE);
}

static void write_tag(struct worker *w, unsigned int slot)
{
	uint64_t tag = ++w->last_tag;

	words(slot)[0] = tag;
	words(slot)[WORDS - 1] = tag;
	w->model.slot[slot].page->tag = tag;
}

static void check_tag(struct worker *w, unsigned int slot)
{
	uint64_t tag = w->model.slot[slot].page->tag;
	struct run one = { slot, 1 };

	errno = 0;
	check(w, !tag || (words(slot)[0] == tag && words(slot)[WORDS - 1] == tag), "another tag",
	      one);
}

/* Operations */

static enum outcome unmap(struct worker *w, struct run run)
{
	check(w, !munmap(address(run), length(run)), "refused", run);
	model_unmap(&w->model, run);
	return DONE;
}

/* Whether the kernel has mapped one huge page there. */
static bool is_huge(const struct worker *w, struct run run)
{
	struct page_region region;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = (uintptr_t)address(run),
		.end = (uintptr_t)address(run) + length(run),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = PAGE_IS_HUGE,
		.return_mask = PAGE_IS_HUGE,
	};
	int regions = ioctl(w->pagemap, PAGEMAP_SCAN, &scan);

	check(w, regions >= 0, "PAGEMAP_SCAN refused", run);
	return regions && region.end - region.start == length(run);
}

static enum outcome map(struct worker *w, struct run run)
{
	bool huge;
	void *p;

	if (w->model.owned + run.n > QUOTA) {
		munmap(ARENA, SLOTS * PAGE);
		model_unmap(&w->model, (struct run){ 0, SLOTS });
	}
	if (w->model.owned + run.n > QUOTA)
		return IDLE;
	p = mmap(address(run), length(run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 w->cmb.allocate, 0);
	/* What was there is gone or not. */
	if (p == MAP_FAILED) {
		int error = errno;

		unmap(w, run);
		/* What is free may be in pieces. */
		if (error == ENOMEM && run.n > MAX_RUN)
			return REFUSED;
		errno = error;
	}
	check_unless_removed(w, p != MAP_FAILED, errno == ENODEV, "refused", run);
	huge = is_huge(w, run);
	model_map(&w->model, run, huge);
	w->account.huge += huge;
	for (unsigned int i = 0; i < run.n; i++)
		write_tag(w, run.first + i);
	return DONE;
}

static enum outcome protect(struct worker *w, struct run run)
{
	/* Mostly writable: the rest lives on that. */
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				     PROT_READ | PROT_WRITE };
	int prot = prots[random_below(w, 4)];

	run = model_mapped(&w->model, run);
	if (!run.n)
		return IDLE;
	check(w, !mprotect(address(run), length(run), prot), "refused", run);
	model_protect(&w->model, run, prot);
	return DONE;
}

static enum outcome discard(struct worker *w, struct run run)
{
	run = model_mapped(&w->model, run);
	if (!run.n)
		return IDLE;
	check(w, !madvise(address(run), length(run), MADV_DONTNEED), "refused", run);
	model_discard(&w->model, run);
	return DONE;
}

static enum outcome move(struct worker *w, struct run run)
{
	struct run to;

	run = model_vma(&w->model, run);
	to = (struct run){ random_below(w, SLOTS - run.n + 1), run.n };
	if (!run.n || (to.first < run.first + run.n && run.first < to.first + to.n))
		return IDLE;
	check(w, mremap(address(run), length(run), length(run), MREMAP_MAYMOVE | MREMAP_FIXED,
			address(to)) == address(to), "refused", run);
	model_move(&w->model, run, to.first);
	return DONE;
}

/* More than there is. */
static enum outcome greed(struct worker *w, struct run run)
{
	void *p = cmb_map(&w->cmb, 0, 1UL << 30);

	check_unless_removed(w, p == MAP_FAILED && errno == ENOMEM, errno == ENODEV, "not ENOMEM",
			     run);
	return REFUSED;
}

/* The kernel tries to read a word for us and says EFAULT where we could not. */
static enum outcome look(struct worker *w, struct run run)
{
	uint64_t word;
	struct run one = { run.first, 1 };
	ssize_t n = write(w->pipe[1], address(one), sizeof(word));

	if (usable(w, one, PROT_READ)) {
		check_unless_removed(w, n == sizeof(word), errno == EFAULT, "unreadable", one);
		check(w, read(w->pipe[0], &word, n) == n, "no word in the pipe", one);
		check_tag(w, run.first);
		return DONE;
	}
	check(w, n < 0 && errno == EFAULT, "not EFAULT", one);
	return REFUSED;
}

static enum outcome reap(struct worker *w, struct run run)
{
	if (!w->model.children)
		return IDLE;
	kill(w->child, SIGKILL);
	check(w, waitpid(w->child, NULL, 0) == w->child, "no child", run);
	model_reap(&w->model);
	return DONE;
}

static _Noreturn void be_child(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static enum outcome fork_child(struct worker *w, struct run run)
{
	pid_t self = getpid();

	if (w->model.children)
		return reap(w, run);
	w->child = fork();
	if (!w->child)
		be_child(self);
	check(w, w->child > 0, "refused", run);
	model_fork(&w->model);
	return DONE;
}

/* Long-term, for a moment; without the flag for peer memory not at all. */
static enum outcome pin(struct worker *w, struct run run)
{
	bool peer = random_below(w, 4);
	struct run may = model_usable(&w->model, run, PROT_READ | PROT_WRITE);
	long done = pinner_try(&w->pinner, address(run), length(run), peer);

	check_unless_removed(w, done == (peer ? (long)length(may) : 0), done < (long)length(may),
			     "too few or too many", run);
	return done ? DONE : REFUSED;
}

static enum outcome register_run(struct worker *w, struct run run)
{
	bool writable = random_below(w, 4);
	int access = writable ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
				IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_READ;
	struct ibv_mr *mr;

	if (w->model.regions == MAX_REGIONS)
		return IDLE;
	mr = ibv_reg_mr(w->rdma.pd, address(run), length(run), access);
	if (usable(w, run, writable ? PROT_READ | PROT_WRITE : PROT_READ)) {
		check_unless_removed(w, mr, errno == EFAULT || errno == ENODEV, "refused", run);
		model_register(&w->model, run, (uintptr_t)address(run), writable)->handle = mr;
		return DONE;
	}
	check_unless_removed(w, !mr && errno == EFAULT, !mr && errno == ENODEV, "not EFAULT", run);
	return REFUSED;
}

static enum outcome deregister(struct worker *w, struct run run)
{
	struct region *region;

	if (!w->model.regions)
		return IDLE;
	region = &w->model.region[run.first % w->model.regions];
	errno = ibv_dereg_mr(region->handle);
	check(w, !errno, "refused", run);
	model_deregister(&w->model, region);
	return DONE;
}

/* Part of a region. */
struct part {
	struct region *region;
	unsigned int first, n;
};

/* At most @max pages; n is 0 when there is no region. */
static struct part random_part(struct worker *w, unsigned int max)
{
	struct part part = {};

	if (!w->model.regions)
		return part;
	part.region = &w->model.region[random_below(w, w->model.regions)];
	part.first = random_below(w, part.region->pages);
	part.n = part.region->pages - part.first;
	if (part.n > max)
		part.n = max;
	return part;
}

/* Data go from @local to @remote if @write, else the other way. */
static enum ibv_wc_status transfer(struct worker *w, bool write, void *local, uint32_t lkey,
				   const struct part *remote)
{
	struct rdma_transfer transfer = {
		.opcode = write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
		.local = local,
		.lkey = lkey,
		.len = remote->n * PAGE,
		.remote = remote->region->addr + remote->first * PAGE,
	};
	struct ibv_mr *mr = remote->region->handle;
	struct run run = { remote->first, remote->n };
	struct ibv_wc wc;

	w->rdma.remote.rkey = mr->rkey;
	check(w, !rdma_post(&w->rdma, &transfer), "not posted", run);
	check(w, !rdma_completion(&w->rdma, TIMEOUT, &wc), "no completion", run);
	return wc.status;
}

static void check_transfer(const struct worker *w, enum ibv_wc_status status, struct run run)
{
	check_unless_removed(w, status == IBV_WC_SUCCESS, true, ibv_wc_status_str(status), run);
}

static bool overlap(const struct part *a, const struct part *b)
{
	for (unsigned int i = 0; i < a->n; i++)
		for (unsigned int j = 0; j < b->n; j++)
			if (a->region->page[a->first + i] == b->region->page[b->first + j])
				return true;
	return false;
}

/* The RDMA device copies from one region to another: by writing, or by reading. */
static enum outcome copy(struct worker *w, bool write)
{
	struct part from = random_part(w, MAX_RUN), to = random_part(w, from.n);
	const struct part *local = write ? &from : &to;
	enum ibv_wc_status status;

	from.n = to.n;
	if (!to.n || !to.region->writable || overlap(&from, &to))
		return IDLE;
	for (unsigned int i = 0; i < to.n; i++)
		to.region->page[to.first + i]->tag = 0;
	status = transfer(w, write, (void *)(uintptr_t)(local->region->addr + local->first * PAGE),
			  ((struct ibv_mr *)local->region->handle)->lkey, write ? &to : &from);
	check_transfer(w, status, (struct run){ to.first, to.n });
	for (unsigned int i = 0; i < to.n; i++)
		to.region->page[to.first + i]->tag = from.region->page[from.first + i]->tag;
	return DONE;
}

static enum outcome copy_by_write(struct worker *w, struct run run)
{
	(void)run;
	return copy(w, true);
}

static enum outcome copy_by_read(struct worker *w, struct run run)
{
	(void)run;
	return copy(w, false);
}

/* The RDMA device brings tags to ordinary memory, mapped or not as the pages are. */
static enum outcome inspect(struct worker *w, struct run run)
{
	struct part part = random_part(w, MAX_RUN);

	if (!part.n)
		return IDLE;
	run = (struct run){ part.first, part.n };
	check_transfer(w, transfer(w, false, w->host, w->host_mr->lkey, &part), run);
	for (unsigned int i = 0; i < part.n; i++) {
		uint64_t tag = part.region->page[part.first + i]->tag;

		check(w, !tag || (w->host[i][0] == tag && w->host[i][WORDS - 1] == tag),
		      "another tag", run);
	}
	return DONE;
}

/* Where on the drive this worker keeps its @block. */
static off_t drive_offset(const struct worker *w, unsigned int block)
{
	return (w->nth * BLOCKS + block) * PAGE;
}

static enum outcome save(struct worker *w, struct run run)
{
	unsigned int block = random_below(w, BLOCKS - run.n + 1);
	ssize_t n;

	if (!usable(w, run, PROT_READ))
		return IDLE;
	for (unsigned int i = 0; i < run.n; i++)
		w->block[block + i] = 0;
	n = pwrite(w->drive, address(run), length(run), drive_offset(w, block));
	check_unless_removed(w, n == (ssize_t)length(run), true, "not written", run);
	for (unsigned int i = 0; i < run.n; i++)
		w->block[block + i] = w->model.slot[run.first + i].page->tag;
	return DONE;
}

static enum outcome load(struct worker *w, struct run run)
{
	unsigned int block = random_below(w, BLOCKS - run.n + 1);
	ssize_t n;

	for (unsigned int i = 0; i < run.n; i++)
		if (!w->block[block + i])
			return IDLE;
	if (!usable(w, run, PROT_READ | PROT_WRITE))
		return IDLE;
	for (unsigned int i = 0; i < run.n; i++)
		w->model.slot[run.first + i].page->tag = 0;
	n = pread(w->drive, address(run), length(run), drive_offset(w, block));
	check_unless_removed(w, n == (ssize_t)length(run), true, "not read", run);
	for (unsigned int i = 0; i < run.n; i++)
		w->model.slot[run.first + i].page->tag = w->block[block + i];
	return DONE;
}

static enum outcome leave(struct worker *w, struct run run)
{
	(void)run;
	w->account.leaves = true;
	return DONE;
}

static const struct {
	enum outcome (*run)(struct worker *w, struct run run);
	unsigned int weight;
	bool long_runs;
} operations[OPERATIONS] = {
	[OP_MAP] = { map, 64, true },
	[OP_UNMAP] = { unmap, 24, true },
	[OP_PROTECT] = { protect, 24, true },
	[OP_DISCARD] = { discard, 16, true },
	[OP_MOVE] = { move, 24, true },
	[OP_GREED] = { greed, 4 },
	[OP_LOOK] = { look, 32 },
	[OP_FORK] = { fork_child, 8 },
	[OP_REAP] = { reap, 8 },
	[OP_PIN] = { pin, 24, true },
	[OP_REGISTER] = { register_run, 56, true },
	[OP_DEREGISTER] = { deregister, 32 },
	[OP_COPY] = { copy_by_write, 32 },
	[OP_FETCH] = { copy_by_read, 32 },
	[OP_INSPECT] = { inspect, 32 },
	[OP_SAVE] = { save, 20 },
	[OP_LOAD] = { load, 20 },
	[OP_EXIT] = { leave, 1 },
};

const char *const operation_names[OPERATIONS] = {
	[OP_MAP] = "mmap",
	[OP_UNMAP] = "munmap",
	[OP_PROTECT] = "mprotect",
	[OP_DISCARD] = "madvise(MADV_DONTNEED)",
	[OP_MOVE] = "mremap",
	[OP_GREED] = "mmap of more than there is",
	[OP_LOOK] = "access by the CPU",
	[OP_FORK] = "fork",
	[OP_REAP] = "end of the child",
	[OP_PIN] = "long-term pin",
	[OP_REGISTER] = "ibv_reg_mr",
	[OP_DEREGISTER] = "ibv_dereg_mr",
	[OP_COPY] = "RDMA write between regions",
	[OP_FETCH] = "RDMA read between regions",
	[OP_INSPECT] = "RDMA read to host memory",
	[OP_SAVE] = "write to the drive",
	[OP_LOAD] = "read from the drive",
	[OP_EXIT] = "exit without tidying up",
};

static enum operation choose_operation(struct worker *w)
{
	unsigned int sum = 0, at, op;

	for (op = 0; op < OPERATIONS; op++)
		sum += operations[op].weight;
	at = random_below(w, sum);
	for (op = 0; at >= operations[op].weight; op++)
		at -= operations[op].weight;
	return op;
}

static enum outcome operate(struct worker *w)
{
	enum operation op = choose_operation(w);
	enum outcome outcome;
	struct run run;

	/* A new mapping may be anywhere. */
	if (operations[op].long_runs && !random_below(w, 8))
		run = random_long_run(w);
	else
		run = op == OP_MAP ? random_run(w) : choose_run(w);
	w->doing = operation_names[op];
	outcome = operations[op].run(w, run);
	if (outcome != IDLE)
		w->account.count[op][outcome]++;
	return outcome;
}

/* Whether that was an operation; one that the removal of the drive broke off was. */
static bool operated(struct worker *w)
{
	return sigsetjmp(removed, 1) || operate(w) != IDLE;
}

/* The drive has been removed: all of its memory is gone, and its regions lead nowhere. */
static void lose(struct worker *w)
{
	struct run all = { 0, SLOTS };
	void *p;

	w->doing = "removal of the drive";
	for (struct run one = { 0, 1 }; one.first < SLOTS; one.first++)
		check(w, write(w->pipe[1], address(one), 1) < 0 && errno == EFAULT,
		      "memory is left", one);
	p = cmb_map(&w->cmb, 0, PAGE);
	check(w, p == MAP_FAILED && errno == ENODEV, "mmap does not say ENODEV", all);
	for (unsigned int i = 0; i < w->model.regions; i++) {
		struct part part = { &w->model.region[i], 0, 1 };

		check(w, transfer(w, false, w->host, w->host_mr->lkey, &part) != IBV_WC_SUCCESS,
		      "a region is left", all);
	}
	/* The rest waits until the drive is back. */
	while (w->model.regions && random_below(w, 4))
		deregister(w, (struct run){ random_below(w, MAX_REGIONS), 1 });
}

static void obey(struct worker *w, enum task task)
{
	unsigned int ops = ROUND;

	w->account = (struct account){};
	if (task == OPERATE)
		while (ops && !w->account.leaves)
			ops -= operated(w);
	w->account.pages = w->model.owned;
	w->account.regions = w->model.regions;
	if (task == LOSE)
		lose(w);
}

static void tidy_up(struct worker *w)
{
	struct run all = { 0, SLOTS };

	w->doing = "tidying up";
	unmap(w, all);
	reap(w, all);
	while (w->model.regions)
		deregister(w, (struct run){ 0, 1 });
	ibv_dereg_mr(w->host_mr);
	rdma_close(&w->rdma);
	check(w, !w->model.owned, "the model has pages left", all);
}

/* The CPU has touched memory that is not there. */
static void sigbus(int sig)
{
	if (*removal)
		siglongjmp(removed, 1);
	/* It does so again, and the worker ends. */
	signal(sig, SIG_DFL);
}

static void open_rdma(struct worker *w)
{
	if (rdma_open(&w->rdma, w->stress->device, -1) || rdma_create_qp(&w->rdma, 1))
		exit(1);
	/* The queue pair talks to itself. */
	w->rdma.remote = w->rdma.local;
	if (rdma_connect(&w->rdma))
		exit(1);
	w->host_mr = ibv_reg_mr(w->rdma.pd, w->host, MAX_RUN * PAGE, IBV_ACCESS_LOCAL_WRITE);
	if (!w->host_mr)
		err(1, "ibv_reg_mr of host memory");
}

static struct worker *worker_new(const struct stress *stress, unsigned int nth, unsigned int life)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		err(1, NULL);
	w->stress = stress;
	w->nth = nth;
	w->random = stress->seed ^ (uint64_t)nth << 32 ^ (uint64_t)life << 40;
	w->last_tag = (uint64_t)(nth + 1) << 56 | (uint64_t)life << 40;
	cmb_open(&w->cmb, stress->p2pmem);
	pinner_open(&w->pinner);
	w->host = mmap(NULL, MAX_RUN * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	w->drive = open(stress->drive, O_RDWR | O_DIRECT | O_CLOEXEC);
	w->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (w->host == MAP_FAILED || w->drive < 0 || w->pagemap < 0 || pipe(w->pipe))
		err(1, "%s", stress->drive);
	open_rdma(w);
	signal(SIGBUS, sigbus);
	return w;
}

_Noreturn void worker_run(const struct stress *stress, unsigned int nth, unsigned int life,
			  int socket)
{
	struct worker *w = worker_new(stress, nth, life);
	enum task task;

	while (recv(socket, &task, sizeof(task), 0) == sizeof(task) && task != END) {
		obey(w, task);
		if (send(socket, &w->account, sizeof(w->account), 0) != sizeof(w->account))
			err(1, "worker %u: the parent does not listen", nth);
		if (w->account.leaves)
			_exit(0);
	}
	/* The others leave that to the kernel. */
	if (nth % 2)
		tidy_up(w);
	_exit(0);
}
