/* SPDX-License-Identifier: GPL-2.0-only */
/* How the program speaks of errors: one line on stderr, then -1 to the caller. */
#ifndef REPORT_H
#define REPORT_H

/* Prints the message. Returns -1. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints the message and @err, an errno value, as symbol and text. Returns -1. */
int fail_errno(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
