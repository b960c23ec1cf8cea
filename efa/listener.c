// SPDX-License-Identifier: GPL-2.0-only
#include "listener.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int unix_socket(int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		warn("socket");
	return fd;
}

static bool somebody_listens(const struct sockaddr_un *addr)
{
	int fd = unix_socket(SOCK_NONBLOCK);
	bool yes;

	if (fd < 0)
		return false;
	/* EAGAIN: somebody does, and others wait there already. */
	yes = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN;
	close(fd);
	return yes;
}

/* Whether @addr can be bound now; removes a socket that was left there. */
static bool make_room(const struct sockaddr_un *addr)
{
	struct stat st;

	if (lstat(addr->sun_path, &st))
		return true; /* bind() knows what else is wrong with it */
	if (!S_ISSOCK(st.st_mode)) {
		warnx("%s: exists and is not a socket", addr->sun_path);
		return false;
	}
	if (somebody_listens(addr)) {
		warnx("%s: somebody listens on this socket", addr->sun_path);
		return false;
	}
	if (unlink(addr->sun_path)) {
		warn("%s", addr->sun_path);
		return false;
	}
	return true;
}

int listener_open(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		warnx("%s: too long, a socket's path has at most %zu characters", path,
		      sizeof(addr.sun_path) - 1);
		return -1;
	}
	strcpy(addr.sun_path, path);
	if (!make_room(&addr))
		return -1;
	fd = unix_socket(0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1)) {
		warn("%s", path);
		close(fd);
		return -1;
	}
	return fd;
}
