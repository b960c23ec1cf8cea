// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress-drive.h"

#define PATIENCE 30 /* seconds that the drive may take to come back */

static void resolve(char *to, const char *folder, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
	    !realpath(path, to))
		err(1, "%s/%s", folder, name);
}

static void write_to(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

void drive_find(struct drive *drive, const char *p2pmem)
{
	resolve(drive->device, p2pmem, "..");
	resolve(drive->driver, drive->device, "driver");
}

/* sysfs has its namespace a moment before it can be opened. */
static bool has_namespace(const struct drive *drive, char *path, size_t size)
{
	char pattern[PATH_MAX + 32];
	glob_t found;
	int fd;

	snprintf(pattern, sizeof(pattern), "%s/nvme/nvme*/nvme*n*", drive->device);
	if (glob(pattern, 0, NULL, &found))
		return false;
	snprintf(path, size, "/dev/%s", basename(found.gl_pathv[0]));
	globfree(&found);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void drive_namespace(const struct drive *drive, char *path, size_t size)
{
	for (int i = 0; !has_namespace(drive, path, size); i++) {
		if (i == PATIENCE * 100)
			errx(1, "%s has no namespace for %u s", drive->device, PATIENCE);
		usleep(10000);
	}
}

pid_t drive_remove(const struct drive *drive, enum removal how)
{
	pid_t remover = fork();

	if (remover < 0)
		err(1, "fork");
	if (remover)
		return remover;
	if (how == UNBIND)
		write_to(drive->driver, "unbind", basename(drive->device));
	else
		write_to(drive->device, "remove", "1");
	_exit(0);
}

bool drive_is_removed(pid_t remover, unsigned int seconds)
{
	struct pollfd ended = { .fd = pidfd_open(remover, 0), .events = POLLIN };
	int status, ready = poll(&ended, 1, seconds * 1000);

	close(ended.fd);
	if (ready != 1)
		return false;
	if (waitpid(remover, &status, 0) != remover || status)
		errx(1, "the drive could not be removed");
	return true;
}

void drive_bring_back(const struct drive *drive, enum removal how)
{
	if (how == UNBIND)
		write_to(drive->driver, "bind", basename(drive->device));
	else
		write_to("/sys/bus/pci", "rescan", "1");
}
