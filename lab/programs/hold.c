// SPDX-License-Identifier: GPL-2.0-only
/* hold: holds controller memory, registered or not, until it is told to let go. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <infiniband/verbs.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmb.h"
#include "rdma.h"

static const char usage[] =
"usage: hold [OPTION...] [P2PMEM]\n"
"Maps memory of the folder P2PMEM in sysfs, or else host memory, says 'holds', and\n"
"obeys lines of standard input, each answered with 'done': deregister, close (that,\n"
"and the RDMA device), unmap, unbind FOLDER (a PCI device's in sysfs), fork (a child\n"
"that has all that it has), park (a child that has a socket, in which the descriptor\n"
"of the RDMA device waits to be received, and nothing else).\n"
"Says 'stopped' when a copy fails, and copies no more.  Exits at its end.\n"
"\n"
"  --device=NAME  registers each region with this RDMA device\n"
"  --regions=N    so many (1)\n"
"  --pages=N      of so many pages each (16)\n"
"  --traffic      lets the device copy between regions all the time\n"
"  --churn=SEED   registers, copies and deregisters at random all the time\n"
"  --fork         while it does, leaves one child, as the command does\n";

#define MAX_REGIONS 4096

struct holder {
	struct cmb cmb;
	bool host_memory;
	struct rdma rdma;
	const char *device;
	unsigned int regions;
	size_t size; /* bytes of a region */
	bool traffic, churn, fork;
	unsigned int seed;
	char *map[MAX_REGIONS];
	struct ibv_mr *mr[MAX_REGIONS];
};

static void register_one(struct holder *h, unsigned int i)
{
	h->mr[i] = ibv_reg_mr(h->rdma.pd, h->map[i], h->size, IBV_ACCESS_LOCAL_WRITE |
			      IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
	if (!h->mr[i])
		err(1, "ibv_reg_mr");
}

static void deregister_one(struct holder *h, unsigned int i)
{
	errno = h->mr[i] ? ibv_dereg_mr(h->mr[i]) : 0;
	if (errno)
		err(1, "ibv_dereg_mr");
	h->mr[i] = NULL;
}

/* Writes region @from to region @to through the queue pair, which is connected to itself. */
static void copy(struct holder *h, unsigned int from, unsigned int to)
{
	struct rdma_transfer transfer = {
		.opcode = IBV_WR_RDMA_WRITE,
		.local = h->map[from],
		.lkey = h->mr[from]->lkey,
		.len = h->size,
		.remote = (uintptr_t)h->map[to],
	};
	uint64_t id;

	h->rdma.remote.rkey = h->mr[to]->rkey;
	if (rdma_post(&h->rdma, &transfer) || rdma_wait(&h->rdma, 10, &id)) {
		h->traffic = h->churn = false;
		puts("stopped");
	}
}

static void let_go(struct holder *h)
{
	h->traffic = false;
	for (unsigned int i = 0; i < h->regions; i++)
		deregister_one(h, i);
}

static void close_device(struct holder *h)
{
	let_go(h);
	rdma_close(&h->rdma);
}

static void unmap(struct holder *h)
{
	for (unsigned int i = 0; i < h->regions; i++)
		if (munmap(h->map[i], h->size))
			err(1, "munmap");
}

/*
 * Leaves a child that lives until it is killed.  If @sock is not -1, that is all it keeps of
 * descriptors and mappings.
 */
static void leave_child(struct holder *h, int sock)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child && sock >= 0) {
		unmap(h);
		if (dup2(sock, 0) < 0 || close_range(1, ~0U, 0))
			_exit(1);
	}
	while (!child)
		pause();
}

/* One step of what goes on between commands. */
static void work(struct holder *h)
{
	unsigned int i = rand_r(&h->seed) % h->regions, j = rand_r(&h->seed) % h->regions;

	if (h->churn && rand_r(&h->seed) % 2) {
		if (h->mr[i])
			deregister_one(h, i);
		else
			register_one(h, i);
	} else if (h->mr[i] && h->mr[j]) {
		copy(h, i, j);
	} else if (h->fork && h->mr[i]) {
		h->fork = false;
		leave_child(h, -1);
	}
}

static void unbind(const char *folder)
{
	const char *name = strrchr(folder, '/') + 1;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/driver/unbind", folder);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, name, strlen(name)) < 0)
		err(1, "%s", path);
	close(fd);
}

/* Sends the RDMA device's descriptor, which nobody is going to receive. */
static void park(struct holder *h)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int ends[2];

	*cmsg = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(cmsg), &h->rdma.context->cmd_fd, sizeof(int));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || sendmsg(ends[0], &msg, 0) != 1)
		err(1, "socketpair");
	leave_child(h, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

static void obey(struct holder *h, char *line)
{
	if (!strncmp(line, "unbind /", 8))
		unbind(strtok(line + 7, "\n"));
	else if (!strcmp(line, "deregister\n"))
		let_go(h);
	else if (!strcmp(line, "close\n"))
		close_device(h);
	else if (!strcmp(line, "unmap\n"))
		unmap(h);
	else if (!strcmp(line, "fork\n"))
		leave_child(h, -1);
	else if (!strcmp(line, "park\n"))
		park(h);
	else
		errx(2, "not a command: %s", line);
	puts("done");
}

static void set_up(struct holder *h)
{
	if (h->device) {
		if (rdma_open(&h->rdma, h->device, -1) || rdma_create_qp(&h->rdma, 1))
			exit(1);
		h->rdma.remote = h->rdma.local;
		if (rdma_connect(&h->rdma))
			exit(1);
	}
	for (unsigned int i = 0; i < h->regions; i++) {
		h->map[i] = h->host_memory ? mmap(NULL, h->size, PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) :
					     cmb_map(&h->cmb, 0, h->size);
		if (h->map[i] == MAP_FAILED)
			err(1, "mmap");
		if (h->device)
			register_one(h, i);
	}
}

static void parse(struct holder *h, int argc, char **argv)
{
	static const struct option known[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "regions", required_argument, NULL, 'r' },
		{ "pages", required_argument, NULL, 'p' },
		{ "traffic", no_argument, NULL, 't' },
		{ "churn", required_argument, NULL, 'c' },
		{ "fork", no_argument, NULL, 'f' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'd':
			h->device = optarg;
			break;
		case 'r':
			h->regions = atoi(optarg);
			break;
		case 'p':
			h->size = atoi(optarg) * PAGE;
			break;
		case 'c':
			h->churn = true;
			h->seed = atoi(optarg);
			break;
		case 't':
			h->traffic = true;
			break;
		case 'f':
			h->fork = true;
			break;
		default:
			errx(2, "%s", usage);
		}
	}
	if (argc > optind + 1 || !h->regions || h->regions > MAX_REGIONS || !h->size)
		errx(2, "%s", usage);
	h->host_memory = argc == optind;
	if (!h->host_memory)
		cmb_open(&h->cmb, argv[optind]);
}

int main(int argc, char **argv)
{
	struct holder h = { .regions = 1, .size = 16 * PAGE };
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char line[PATH_MAX];

	parse(&h, argc, argv);
	set_up(&h);
	setlinebuf(stdout);
	setvbuf(stdin, NULL, _IONBF, 0);
	puts("holds");
	for (;;) {
		if (h.traffic || h.churn)
			work(&h);
		if (!poll(&in, 1, h.traffic || h.churn ? 0 : -1))
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		obey(&h, line);
	}
}
