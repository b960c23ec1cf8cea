// SPDX-License-Identifier: GPL-2.0-only
/* stress: starts the workers, kills some, and keeps the accounts. */
#include "stress.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmb.h"
#include "stress-drive.h"

static const char usage[] =
"usage: stress [OPTION...] P2PMEM DEVICE\n"
"Processes do random operations on the controller memory whose folder in sysfs is\n"
"P2PMEM, with the RDMA device DEVICE and the drive's namespace, which is\n"
"OVERWRITTEN.  Some are killed.  Again and again all of them stop, and what is\n"
"free must be what was free at first without the pages that they own.  Now and\n"
"then the drive is unbound or removed under them: that must end while they hold\n"
"on, and the drive come back with all of its memory free.\n"
"\n"
"  --seed=N           what is done (default: another each time); the same seed\n"
"                     gives each process the same operations, but not their order\n"
"                     in time\n"
"  --ops=N            operations of all processes (10000)\n"
"  --processes=N      (8)\n"
"  --killed-every=N   a worker is killed in one of N rounds, on average (6; 0: never)\n"
"  --removed-every=N  the drive is removed in one of N rounds, on average (3; 0:\n"
"                     never; not 1, for operations of such rounds do not count)\n"
"\n"
"Exit status: 0 all was right, 1 something was not, 2 usage.\n";

#define MAX_PROCESSES 64
#define PATIENCE      60 /* seconds that a worker may take for them */
#define REMOVAL_LIMIT 15 /* seconds that a removal of the drive may take */

struct child {
	pid_t pid; /* 0: there is none */
	int socket;
	unsigned int lives;
	unsigned int pages; /* owned after the last round */
	unsigned int regions;
};

atomic_bool *removal;

struct parent {
	struct stress stress;
	struct cmb cmb;
	struct drive drive;
	size_t size; /* bytes free before the first worker */
	uint64_t random;
	struct child child[MAX_PROCESSES];
	uint64_t ops;
	unsigned int audits, kills;
	unsigned int most; /* pages owned at an audit */
	unsigned int removals[REMOVALS];
	unsigned long lost_pages, lost_regions, huge;
	unsigned long count[OPERATIONS][OUTCOMES];
};

/* Public domain splitmix64, by Sebastiano Vigna. */
uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Something was not right: the children end, too. */
static _Noreturn void give_up(struct parent *p)
{
	const struct stress *s = &p->stress;

	warnx("after %" PRIu64 " operations; to repeat: stress --seed=%" PRIu64 " --ops=%" PRIu64
	      " --processes=%u --killed-every=%u --removed-every=%u %s %s", p->ops, s->seed, s->ops,
	      s->processes, s->killed_every, s->removed_every, s->p2pmem, s->device);
	for (unsigned int i = 0; i < s->processes; i++)
		if (p->child[i].pid)
			kill(-p->child[i].pid, SIGKILL);
	exit(1);
}

static void start(struct parent *p, unsigned int nth)
{
	struct child *child = &p->child[nth];
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	fflush(stdout);
	child->pid = fork();
	if (child->pid < 0)
		err(1, "fork");
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		close(sockets[0]);
		worker_run(&p->stress, nth, child->lives, sockets[1]);
	}
	setpgid(child->pid, child->pid);
	close(sockets[1]);
	child->socket = sockets[0];
	child->pages = 0;
	child->lives++;
}

/* Waits until nothing of the worker is left, its children included. Returns how it ended. */
static int bury(struct child *child)
{
	pid_t group = child->pid;
	int status;

	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			err(1, "waitpid");
	kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0)
		;
	close(child->socket);
	*child = (struct child){ .lives = child->lives };
	return status;
}

static void order(struct parent *p, enum task task)
{
	for (unsigned int i = 0; i < p->stress.processes; i++) {
		if (!p->child[i].pid)
			continue;
		if (send(p->child[i].socket, &task, sizeof(task), MSG_NOSIGNAL) == sizeof(task))
			continue;
		warnx("worker %u is not there", i);
		give_up(p);
	}
}

/* One worker, now and then, at a moment that only the clock decides. */
static int kill_one(struct parent *p)
{
	unsigned int victim = random_next(&p->random) % p->stress.processes;
	struct timespec pause = { .tv_nsec = random_next(&p->random) % 200000000 };

	if (!p->stress.killed_every || random_next(&p->random) % p->stress.killed_every)
		return -1;
	nanosleep(&pause, NULL);
	kill(p->child[victim].pid, SIGKILL);
	p->kills++;
	return victim;
}

static void add_up(struct parent *p, const struct account *account)
{
	p->huge += account->huge;
	for (unsigned int op = 0; op < OPERATIONS; op++)
		for (unsigned int i = 0; i < OUTCOMES; i++) {
			p->count[op][i] += account->count[op][i];
			p->ops += account->count[op][i];
		}
}

/* Whether the worker has answered; its account is then added up. */
static bool hear(struct parent *p, unsigned int nth, struct account *account)
{
	struct pollfd in = { .fd = p->child[nth].socket, .events = POLLIN };

	if (!poll(&in, 1, PATIENCE * 1000)) {
		warnx("worker %u does not answer for %u s", nth, PATIENCE);
		give_up(p);
	}
	if (recv(in.fd, account, sizeof(*account), 0) != sizeof(*account))
		return false;
	/* How far the workers came depends on when the drive was removed. */
	if (!*removal)
		add_up(p, account);
	p->child[nth].pages = account->pages;
	p->child[nth].regions = account->regions;
	return true;
}

static void collect(struct parent *p, unsigned int nth, bool killed)
{
	struct account account = {};
	bool heard = hear(p, nth, &account);
	int status;

	if (heard && !account.leaves && !killed)
		return;
	status = bury(&p->child[nth]);
	if (status && !(killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
		warnx("worker %u ended with status 0x%x", nth, status);
		give_up(p);
	}
	/* All are, once the drive is back. */
	if (!*removal)
		start(p, nth);
}

static void collect_all(struct parent *p, int victim)
{
	for (unsigned int i = 0; i < p->stress.processes; i++)
		if (p->child[i].pid)
			collect(p, i, (int)i == victim);
}

/* Nobody does anything now. */
static void audit(struct parent *p)
{
	size_t available = cmb_available(&p->cmb), owned = 0;

	for (unsigned int i = 0; i < p->stress.processes; i++)
		owned += p->child[i].pages;
	p->audits++;
	if (owned > p->most)
		p->most = owned;
	if (available + owned * PAGE == p->size)
		return;
	warnx("%zu bytes are available, which is %+ld pages from what there should be:", available,
	      (long)(available + owned * PAGE - p->size) / (long)PAGE);
	warnx("%zu at first, and now the workers own %zu pages", p->size, owned);
	for (unsigned int i = 0; i < p->stress.processes; i++)
		warnx("worker %u, life %u: %u pages", i, p->child[i].lives, p->child[i].pages);
	give_up(p);
}

static void start_all(struct parent *p)
{
	for (unsigned int i = 0; i < p->stress.processes; i++)
		start(p, i);
}

/* Its namespace may have another name each time. */
static void open_drive(struct parent *p)
{
	drive_namespace(&p->drive, p->stress.drive, sizeof(p->stress.drive));
	cmb_open(&p->cmb, p->stress.p2pmem);
}

static void play_round(struct parent *p)
{
	int victim;

	order(p, OPERATE);
	victim = kill_one(p);
	collect_all(p, victim);
	audit(p);
}

static void end(struct parent *p)
{
	order(p, END);
	for (unsigned int i = 0; i < p->stress.processes; i++) {
		int status = p->child[i].pid ? bury(&p->child[i]) : 0;

		if (status) {
			warnx("worker %u ended with status 0x%x", i, status);
			give_up(p);
		}
	}
	audit(p);
}

/* At a moment that only the clock decides; the workers are there until the drive is back. */
static void remove_drive(struct parent *p, enum removal how)
{
	struct timespec pause = { .tv_nsec = random_next(&p->random) % 200000000 };
	pid_t remover;
	int victim;

	nanosleep(&pause, NULL);
	*removal = true;
	remover = drive_remove(&p->drive, how);
	victim = kill_one(p);
	if (!drive_is_removed(remover, REMOVAL_LIMIT)) {
		warnx("removal of the drive waits for the workers for %u s", REMOVAL_LIMIT);
		give_up(p);
	}
	p->removals[how]++;
	collect_all(p, victim);
	order(p, LOSE);
	collect_all(p, -1);
	drive_bring_back(&p->drive, how);
	close(p->cmb.allocate);
	close(p->cmb.available);
	open_drive(p);
}

/* The memory that the workers hold then is none of the drive's that has come back. */
static void play_removal(struct parent *p)
{
	/* Who has not started fails without the drive. */
	order(p, START);
	collect_all(p, -1);
	order(p, OPERATE);
	remove_drive(p, random_next(&p->random) % REMOVALS);
	for (unsigned int i = 0; i < p->stress.processes; i++) {
		p->lost_pages += p->child[i].pages;
		p->lost_regions += p->child[i].regions;
		p->child[i].pages = 0;
	}
	audit(p);
	end(p);
	*removal = false;
	start_all(p);
}

static void report(const struct parent *p)
{
	struct utsname kernel;

	uname(&kernel);
	printf("%" PRIu64 " operations by %u processes on Linux %s, seed %" PRIu64 ":\n"
	       "%u audits agreed, at most %u pages were owned, %u workers were killed.\n"
	       "%lu huge pages were mapped.\n",
	       p->ops, p->stress.processes, kernel.release, p->stress.seed, p->audits, p->most,
	       p->kills, p->huge);
	printf("The drive was unbound %u times and removed %u times, from under %lu pages and %lu "
	       "regions.\n\n", p->removals[UNBIND], p->removals[REMOVE], p->lost_pages,
	       p->lost_regions);
	puts("| operation                    |     done |  refused |\n"
	     "|------------------------------|---------:|---------:|");
	for (unsigned int op = 0; op < OPERATIONS; op++)
		printf("| %-28s | %8lu | %8lu |\n", operation_names[op], p->count[op][DONE],
		       p->count[op][REFUSED]);
}

/* An operation that was never done tests nothing; the first few thousand have each. */
static void check_variety(struct parent *p)
{
	for (unsigned int op = 0; p->stress.ops >= 5000 && op < OPERATIONS; op++)
		if (!p->count[op][DONE] && !p->count[op][REFUSED]) {
			warnx("%s was never done", operation_names[op]);
			give_up(p);
		}
	if (p->stress.ops >= 5000 && p->stress.removed_every &&
	    (!p->removals[UNBIND] || !p->removals[REMOVE] || !p->lost_regions)) {
		warnx("the drive was never unbound, or removed, under a region");
		give_up(p);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (end == text || *end)
		errx(2, "%s: not a number", text);
	return n;
}

static void parse(struct stress *stress, int argc, char **argv)
{
	static const struct option known[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "processes", required_argument, NULL, 'p' },
		{ "killed-every", required_argument, NULL, 'k' },
		{ "removed-every", required_argument, NULL, 'r' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 's')
			stress->seed = number(optarg);
		else if (c == 'o')
			stress->ops = number(optarg);
		else if (c == 'p')
			stress->processes = number(optarg);
		else if (c == 'k')
			stress->killed_every = number(optarg);
		else if (c == 'r')
			stress->removed_every = number(optarg);
		else
			errx(2, "%s", usage);
	}
	if (argc != optind + 2 || !stress->processes || stress->processes > MAX_PROCESSES ||
	    stress->removed_every == 1)
		errx(2, "%s", usage);
	stress->p2pmem = argv[optind];
	stress->device = argv[optind + 1];
}

int main(int argc, char **argv)
{
	struct parent p = { .stress = { .seed = time(NULL), .ops = 10000, .processes = 8,
					.killed_every = 6, .removed_every = 3 } };

	parse(&p.stress, argc, argv);
	setlinebuf(stdout);
	printf("seed %" PRIu64 "\n", p.stress.seed);
	p.random = ~p.stress.seed;
	removal = mmap(NULL, sizeof(*removal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (removal == MAP_FAILED)
		err(1, NULL);
	drive_find(&p.drive, p.stress.p2pmem);
	open_drive(&p);
	p.size = cmb_available(&p.cmb);
	/* So that the children of killed workers are waited for, too. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	start_all(&p);
	while (p.ops < p.stress.ops) {
		if (p.stress.removed_every && !(random_next(&p.random) % p.stress.removed_every))
			play_removal(&p);
		else
			play_round(&p);
	}
	end(&p);
	check_variety(&p);
	report(&p);
	return 0;
}
