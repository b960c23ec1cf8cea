// SPDX-License-Identifier: GPL-2.0-only
/*
 * An io_uring fixed buffer in anonymous memory or in an NVMe controller memory
 * buffer: transfers between it and the drive, compared, and every way in which
 * its owner can go.
 *
 * Exit status: 0 as it should be, 1 not so, 2 usage, 3 the kernel refused the
 * buffer; the name of its errno is on stdout then.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER (1 << 20) /* bytes, the one fixed buffer */
#define PART (64 << 10) /* bytes of one request */
#define PARTS (BUFFER / PART)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

enum { REFUSED = 3 };

/* What a check that failed says, with the errno of what it looked at. */
#define need(condition) ((condition) ? (void)0 : failed(#condition, __LINE__))

static struct io_uring ring;
static unsigned char *buffer;
static int drive;

static void failed(const char *condition, int line)
{
	fprintf(stderr, "line %d: %s does not hold, errno %s\n", line, condition,
		strerrorname_np(errno));
	exit(1);
}

static void fill(unsigned char *bytes, unsigned int seed)
{
	for (unsigned int i = 0; i < BUFFER; i++)
		bytes[i] = (seed + i + (i >> 8) * 7) % 251;
}

/* Queues a request for each part of the buffer; the kernel has them when it returns. */
static void submit(void (*prep)(struct io_uring_sqe *sqe, int part))
{
	for (int part = 0; part < PARTS; part++)
		prep(io_uring_get_sqe(&ring), part);
	need(io_uring_submit(&ring) == PARTS);
}

static void prep_read(struct io_uring_sqe *sqe, int part)
{
	io_uring_prep_read_fixed(sqe, drive, buffer + part * PART, PART, part * PART, 0);
}

static void prep_write(struct io_uring_sqe *sqe, int part)
{
	io_uring_prep_write_fixed(sqe, drive, buffer + part * PART, PART, part * PART, 0);
}

static void complete(void)
{
	struct io_uring_cqe *cqe;

	for (int part = 0; part < PARTS; part++) {
		need(io_uring_wait_cqe(&ring, &cqe) == 0);
		errno = cqe->res < 0 ? -cqe->res : 0;
		need(cqe->res == PART);
		io_uring_cqe_seen(&ring, cqe);
	}
}

/* The drive's first bytes are those of this seed, as a read past the buffer tells. */
static void drive_has(unsigned int seed)
{
	unsigned char *want = malloc(BUFFER), *have = aligned_alloc(4096, BUFFER);

	fill(want, seed);
	need(pread(drive, have, BUFFER, 0) == BUFFER);
	need(memcmp(have, want, BUFFER) == 0);
	free(want);
	free(have);
}

/* Buffer to drive and drive to buffer. */
static void transfers(unsigned int seed)
{
	unsigned char *want = malloc(BUFFER);

	fill(want, seed);
	memcpy(buffer, want, BUFFER);
	submit(prep_write);
	complete();
	drive_has(seed);
	memset(buffer, 0, BUFFER);
	submit(prep_read);
	complete();
	need(memcmp(buffer, want, BUFFER) == 0);
	free(want);
}

/* Half of them at once, the rest one after the other: a slow kernel comes too late else. */
static void prep_read_in_turn(struct io_uring_sqe *sqe, int part)
{
	prep_read(sqe, part);
	if (part >= PARTS / 2 && part < PARTS - 1)
		sqe->flags |= IOSQE_IO_LINK;
}

/* Requests that the drive is still working on, else the test shows nothing. */
static void in_flight(void)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		submit(prep_read_in_turn);
		if (io_uring_cq_ready(&ring) < PARTS)
			return;
		complete();
	}
	need(!"a request in flight");
}

static void go_orderly(void)
{
	need(io_uring_unregister_buffers(&ring) == 0);
	io_uring_queue_exit(&ring);
	need(munmap(buffer, BUFFER) == 0);
}

static void go_exit(void)
{
	in_flight();
}

static void go_kill(void)
{
	in_flight();
	kill(getpid(), SIGKILL);
}

/* The buffer outlives the mapping: the ring's reference is enough for transfers. */
static void go_munmap(void)
{
	fill(buffer, 2);
	need(munmap(buffer, BUFFER) == 0);
	submit(prep_write);
	complete();
	drive_has(2);
	in_flight();
}

static void go_close(void)
{
	in_flight();
	close(ring.ring_fd);
}

/* A request that nothing ever completes. */
static void go_waiting(void)
{
	int ends[2];

	need(pipe(ends) == 0);
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), ends[0], buffer, PART, 0, 0);
	need(io_uring_submit(&ring) == 1);
	need(io_uring_cq_ready(&ring) == 0);
}

/* Lives a second longer than its parent, with the ring and the mapping. */
static void go_fork(void)
{
	in_flight();
	if (fork() == 0) {
		sleep(1);
		need(buffer[0] == buffer[0]);
		exit(0);
	}
}

static void go_exec(void)
{
	in_flight();
	execl("/bin/true", "true", NULL);
	need(!"exec");
}

static void go_exec_with_ring(void)
{
	in_flight();
	need(fcntl(ring.ring_fd, F_SETFD, 0) == 0);
	execl("/bin/sleep", "sleep", "1", NULL);
	need(!"exec");
}

/* The kernel lets no ring through a socket: a cycle would never be collected. */
static void go_socket(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	struct iovec byte = { .iov_base = "", .iov_len = 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int ends[2];

	memcpy(CMSG_DATA(&control.header), &ring.ring_fd, sizeof(int));
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	need(sendmsg(ends[0], &message, 0) == -1 && errno == EINVAL);
	in_flight();
}

/* Another process, which shares nothing, takes the ring and outlives its owner. */
static void go_stolen(void)
{
	int owner = pidfd_open(getpid(), 0), taken[2];
	char byte;

	need(owner >= 0 && pipe(taken) == 0);
	if (fork() == 0) {
		io_uring_queue_exit(&ring);
		need(munmap(buffer, BUFFER) == 0);
		need(pidfd_getfd(owner, ring.ring_fd, 0) >= 0);
		need(write(taken[1], "", 1) == 1);
		sleep(1);
		exit(0);
	}
	need(read(taken[0], &byte, 1) == 1);
	in_flight();
}

/* Says that it holds the buffer, and does. */
static void go_hold(void)
{
	puts("holding");
	fflush(stdout);
	pause();
}

static const struct {
	const char *name;
	void (*go)(void);
	bool late; /* the mapping is made writable after it was read */
} WAYS[] = {
	{ "orderly", go_orderly },
	{ "exit", go_exit },
	{ "kill", go_kill },
	{ "munmap", go_munmap },
	{ "close", go_close },
	{ "waiting", go_waiting },
	{ "fork", go_fork },
	{ "exec", go_exec },
	{ "exec-with-ring", go_exec_with_ring },
	{ "socket", go_socket },
	{ "stolen", go_stolen },
	{ "hold", go_hold },
	{ "written-late", go_orderly, .late = true },
};

static int usage(void)
{
	fprintf(stderr, "usage: fixed-buffers DRIVE MEMORY WAY\n"
		"DRIVE   block device whose first MiB is overwritten\n"
		"MEMORY  'anonymous' or .../p2pmem/allocate\n"
		"WAY     how it ends:");
	for (size_t i = 0; i < ARRAY_SIZE(WAYS); i++)
		fprintf(stderr, " %s", WAYS[i].name);
	fputc('\n', stderr);
	return 2;
}

static void map(const char *name, bool late)
{
	int memory = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	if (strcmp(name, "anonymous") != 0) {
		memory = open(name, O_RDWR);
		need(memory >= 0);
		flags = MAP_SHARED;
	}
	buffer = mmap(NULL, BUFFER, PROT_READ | (late ? 0 : PROT_WRITE), flags, memory, 0);
	need(buffer != MAP_FAILED);
	for (int i = 0; late && i < BUFFER; i += 4096)
		(void)*(volatile unsigned char *)(buffer + i);
	need(!late || mprotect(buffer, BUFFER, PROT_READ | PROT_WRITE) == 0);
}

int main(int argc, char **argv)
{
	size_t way = 0;
	int rc;

	while (argc == 4 && way < ARRAY_SIZE(WAYS) && strcmp(argv[3], WAYS[way].name) != 0)
		way++;
	if (argc != 4 || way == ARRAY_SIZE(WAYS))
		return usage();
	drive = open(argv[1], O_RDWR | O_DIRECT);
	need(drive >= 0);
	map(argv[2], WAYS[way].late);
	need(io_uring_queue_init(PARTS, &ring, 0) == 0);
	rc = io_uring_register_buffers(&ring, &(struct iovec){ buffer, BUFFER }, 1);
	if (rc < 0) {
		puts(strerrorname_np(-rc));
		return REFUSED;
	}
	transfers(1);
	WAYS[way].go();
	return 0;
}
