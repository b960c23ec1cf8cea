/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TCP connection between client and peer: lines of text, and bytes in bulk where a line said
 * so. Every call gives up after the connection's timeout.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stddef.h>

#define CONTROL_LINE 256 /* the longest line, with its newline and NUL */

/* Waits at most @timeout seconds for one client. Returns a socket, or -1 after an error message. */
int control_accept(unsigned int port, unsigned int timeout);

/* Tries for @timeout seconds, since the peer may still be starting. Returns as above. */
int control_connect(const char *host, unsigned int port, unsigned int timeout);

/* All of these return 0, or -1 after an error message. */
int control_say(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int control_hear(int fd, char line[CONTROL_LINE]); /* without the newline */
int control_send(int fd, const void *buf, size_t len);
int control_receive(int fd, void *buf, size_t len);

#endif
