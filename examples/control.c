// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "report.h"

static int set_timeout(int fd, unsigned int seconds)
{
	struct timeval timeout = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)))
		return fail_errno(errno, "cannot set a timeout on the control connection");
	return 0;
}

/* A listening socket for IPv6 and IPv4, or for IPv4 on a kernel without IPv6. */
static int listen_on(unsigned int port)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr *any = (struct sockaddr *)&any6;
	socklen_t len = sizeof(any6);
	int fd, yes = 1, no = 0;

	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	} else {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		any = (struct sockaddr *)&any4;
		len = sizeof(any4);
	}
	if (fd < 0)
		return fail_errno(errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, any, len) || listen(fd, 1)) {
		fail_errno(errno, "cannot listen on TCP port %u", port);
		close(fd);
		return -1;
	}
	return fd;
}

int control_accept(unsigned int port, unsigned int timeout)
{
	struct pollfd ready = { .events = POLLIN };
	int fd = -1;

	ready.fd = listen_on(port);
	if (ready.fd < 0)
		return -1;
	printf("waiting for a client on TCP port %u\n", port);
	fflush(stdout);
	if (poll(&ready, 1, timeout * 1000) <= 0)
		fail("no client came in %u s", timeout);
	else
		fd = accept4(ready.fd, NULL, NULL, SOCK_CLOEXEC);
	close(ready.fd);
	if (fd >= 0 && set_timeout(fd, timeout)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One attempt at every address of the host. Returns a socket, or -1 and errno. */
static int connect_once(const struct addrinfo *addresses, unsigned int timeout)
{
	int err = EADDRNOTAVAIL;

	for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
		int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);

		/* The send timeout bounds connect() too. */
		if (fd >= 0 && !set_timeout(fd, timeout) &&
		    !connect(fd, at->ai_addr, at->ai_addrlen))
			return fd;
		err = errno;
		if (fd >= 0)
			close(fd);
	}
	errno = err;
	return -1;
}

int control_connect(const char *host, unsigned int port, unsigned int timeout)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *addresses;
	struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	time_t deadline = time(NULL) + timeout;
	char service[8];
	int fd, err;

	snprintf(service, sizeof(service), "%u", port);
	err = getaddrinfo(host, service, &hints, &addresses);
	if (err)
		return fail("cannot resolve %s: %s", host, gai_strerror(err));
	while ((fd = connect_once(addresses, timeout)) < 0 && errno == ECONNREFUSED &&
	       time(NULL) < deadline)
		nanosleep(&pause, NULL);
	if (fd < 0)
		fail_errno(errno, "cannot connect to %s port %u (is the peer's --server running?)",
			   host, port);
	freeaddrinfo(addresses);
	return fd;
}

static int lost(ssize_t n)
{
	if (n == 0)
		return fail("the other side closed the control connection (its output says why)");
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return fail("the other side was silent for too long (--timeout)");
	return fail_errno(errno, "the control connection broke");
}

int control_send(int fd, const void *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lost(n);
		buf = (const char *)buf + n;
		len -= n;
	}
	return 0;
}

int control_receive(int fd, void *buf, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, buf, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lost(n);
		buf = (char *)buf + n;
		len -= n;
	}
	return 0;
}

int control_say(int fd, const char *fmt, ...)
{
	char line[CONTROL_LINE];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (len < 0 || len >= (int)sizeof(line) - 1)
		return fail("a control line is too long");
	line[len++] = '\n';
	return control_send(fd, line, len);
}

int control_hear(int fd, char line[CONTROL_LINE])
{
	/* Byte by byte, so that nothing of what follows the line is taken; lines are few. */
	for (size_t len = 0; len < CONTROL_LINE; len++) {
		if (control_receive(fd, &line[len], 1))
			return -1;
		if (line[len] == '\n') {
			line[len] = '\0';
			return 0;
		}
	}
	return fail("the other side does not speak this protocol");
}
