// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tracefs.h"

#define TRACEFS "/sys/kernel/tracing"

/* In struct efa_admin_reg_mr_cmd, drivers/infiniband/hw/efa/efa_admin_cmds_defs.h. */
#define LENGTH	   36
#define FLAGS	   44
#define IOVA	   52
#define PAGE_SHIFT 0x1f /* in FLAGS */

/* Where efa_com_cmd_exec() gets it; in 6.12 with the queue's header in front of it. */
#define ARGUMENT   4
#define ARGUMENT_6 2
#define HEADER_6   4

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		err(1, "%s: %s", path, value);
	close(fd);
}

void tracefs_open(struct tracefs *trace)
{
	int argument = ARGUMENT, header = 0;
	struct utsname kernel;
	char probes[256];

	if (uname(&kernel))
		err(1, "uname");
	if (!strncmp(kernel.release, "6.", 2)) {
		argument = ARGUMENT_6;
		header = HEADER_6;
	}
	snprintf(probes, sizeof(probes),
		 "p:bench/start efa_com_cmd_exec len=+%d($arg%d):u64 flags=+%d($arg%d):u8 "
		 "iova=+%d($arg%d):u64\nr:bench/end efa_com_cmd_exec\n",
		 header + LENGTH, argument, header + FLAGS, argument, header + IOVA, argument);
	if (access(TRACEFS "/trace", F_OK) && mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		err(1, "%s", TRACEFS);
	/* A probe that becomes a jump after a while would be another one. */
	set("/proc/sys/debug/kprobes-optimization", "0");
	set(TRACEFS "/trace_clock", "x86-tsc");
	set(TRACEFS "/kprobe_events", probes);
	set(TRACEFS "/events/bench/enable", "1");
	/* Unlike "trace", which is cleared between grace periods of RCU, it is empty once read. */
	trace->pipe = open(TRACEFS "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (trace->pipe < 0)
		err(1, TRACEFS "/trace_pipe");
}

static void read_all(const struct tracefs *trace, char *text, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while ((n = read(trace->pipe, text + done, size - 1 - done)) > 0)
		done += n;
	if (n == 0 || errno != EAGAIN)
		err(1, TRACEFS "/trace_pipe: after %zu bytes", done);
	text[done] = '\0';
}

void tracefs_clear(const struct tracefs *trace)
{
	char text[4096];

	read_all(trace, text, sizeof(text));
}

/* The time stamp of the only event of that name, and what follows the name. */
static uint64_t event(const char *text, const char *name, const char **args)
{
	char pattern[32];
	const char *found, *digits;

	snprintf(pattern, sizeof(pattern), ": %s: ", name);
	found = strstr(text, pattern);
	if (!found || strstr(found + 1, pattern))
		errx(1, "not one command of the RDMA device:\n%s", text);
	*args = found + strlen(pattern);
	for (digits = found; digits > text && strchr("0123456789", digits[-1]); digits--)
		;
	return strtoull(digits, NULL, 10);
}

void tracefs_command(const struct tracefs *trace, struct command *command)
{
	uint64_t start, len, iova, page;
	unsigned int flags;
	char text[4096];
	const char *args;

	read_all(trace, text, sizeof(text));
	command->instructions = event(text, "end", &args);
	start = event(text, "start", &args);
	command->instructions -= start;
	args = strstr(args, "len=");
	if (!args || sscanf(args, "len=%" SCNu64 " flags=%u iova=%" SCNu64, &len, &flags,
			    &iova) != 3)
		errx(1, "what is that event?\n%s", text);
	page = 1ULL << (flags & PAGE_SHIFT);
	command->entry_bytes = page;
	command->entries = (iova + len + page - 1) / page - iova / page;
}
