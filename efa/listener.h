/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LISTENER_H
#define LISTENER_H

/*
 * Listens on a unix socket at @path, which replaces a socket that nobody
 * listens on.  The descriptor, or -1 after saying why on standard error.
 */
int listener_open(const char *path);

#endif
