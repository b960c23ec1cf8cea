// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tracefs.h"

#define TRACEFS "/sys/kernel/tracing"

/* In struct efa_admin_reg_mr_cmd, drivers/infiniband/hw/efa/efa_admin_cmds_defs.h. */
#define LENGTH	   36
#define FLAGS	   44
#define IOVA	   52
#define PAGE_SHIFT 0x1f /* in FLAGS */

#define TEXT(x)	 #x
#define VALUE(x) TEXT(x)

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		err(1, "%s: %s", path, value);
	close(fd);
}

void tracefs_open(struct tracefs *trace)
{
	if (access(TRACEFS "/trace", F_OK) && mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		err(1, "%s", TRACEFS);
	/* A probe that becomes a jump after a while would be another one. */
	set("/proc/sys/debug/kprobes-optimization", "0");
	set(TRACEFS "/trace_clock", "x86-tsc");
	set(TRACEFS "/kprobe_events",
	    "p:bench/start efa_com_cmd_exec len=+" VALUE(LENGTH) "($arg4):u64 "
	    "flags=+" VALUE(FLAGS) "($arg4):u8 iova=+" VALUE(IOVA) "($arg4):u64\n"
	    "r:bench/end efa_com_cmd_exec\n");
	set(TRACEFS "/events/bench/enable", "1");
	trace->trace = open(TRACEFS "/trace", O_RDONLY | O_CLOEXEC);
	if (trace->trace < 0)
		err(1, TRACEFS "/trace");
}

void tracefs_clear(void)
{
	int fd = open(TRACEFS "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		err(1, TRACEFS "/trace");
	close(fd);
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
	ssize_t n;

	if (lseek(trace->trace, 0, SEEK_SET))
		err(1, TRACEFS "/trace");
	for (size_t done = 0; (n = read(trace->trace, text + done, sizeof(text) - 1 - done)) > 0;)
		text[done += n] = '\0';
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
