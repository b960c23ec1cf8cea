// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <errno.h>
#include <stdarg.h>

#include "report.h"

int fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vwarnx(fmt, args);
	va_end(args);
	return -1;
}

int fail_errno(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	errno = err;
	vwarn(fmt, args);
	va_end(args);
	return -1;
}
