// SPDX-License-Identifier: GPL-2.0-only
/*
 * efa-emu: emulated EFA devices on one fabric, each behind a vfio-user socket.
 */
#include <err.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "emulator.h"

#define MAX_WAIT_S (24 * 3600)

static const char usage[] =
"usage: efa-emu [OPTION...] NAME=SOCKET...\n"
"Emulates an EFA device for each NAME, all on one fabric.  Each waits on its\n"
"unix socket SOCKET for one client at a time, QEMU's vfio-user-pci:\n"
"  -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"path\":\"SOCKET\",\"type\":\"unix\"}}'\n"
"Prints 'ready' once all sockets exist.  Ends when the last client has gone, and\n"
"on SIGINT and SIGTERM.\n"
"\n"
"  -v, --verbose     one line for each event on standard error\n"
"  --dma-log=FILE    one line for each access of a device to memory\n"
"  --reuse-keys      the key of a memory region that is gone is the next region's\n"
"  --wait=SECONDS    how long to wait for the first client (60; 0 is for ever)\n"
"  -h, --help        this text\n"
"\n"
"Exit status: 0 when the last client has gone or on a signal, 1 when no client\n"
"came or something failed, 2 for a wrong command line or socket.\n";

struct options {
	bool verbose, reuse_keys;
	const char *dma_log;
	unsigned int wait; /* seconds */
	struct emulator_device *devices;
	size_t count;
};

/* Nonsense on the command line. */
static _Noreturn void wrong(const char *what, const char *why)
{
	errx(2, "%s: %s; --help tells more", what, why);
}

static unsigned int parse_seconds(const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (*arg < '0' || *arg > '9' || *end || n > MAX_WAIT_S)
		wrong(arg, "not a number of seconds");
	return n;
}

/* Names are a column of the DMA log. */
static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return *name && !name[strspn(name, allowed)];
}

/* Splits @arg in place. */
static void parse_device(struct options *opts, char *arg)
{
	struct emulator_device *dev = &opts->devices[opts->count];
	char *equals = strchr(arg, '=');

	if (!equals || !equals[1])
		wrong(arg, "not NAME=SOCKET");
	*equals = '\0';
	*dev = (struct emulator_device){ .name = arg, .socket = equals + 1 };
	if (!is_name(dev->name))
		wrong(dev->name, "a name has letters, digits, '_', '-' and '.' only");
	for (size_t i = 0; i < opts->count; i++) {
		if (!strcmp(opts->devices[i].name, dev->name))
			wrong(dev->name, "two devices of this name");
		if (!strcmp(opts->devices[i].socket, dev->socket))
			wrong(dev->socket, "two devices on this socket");
	}
	opts->count++;
}

static void parse(struct options *opts, int argc, char **argv)
{
	static const struct option known[] = {
		{ "verbose", no_argument, NULL, 'v' },
		{ "dma-log", required_argument, NULL, 'd' },
		{ "reuse-keys", no_argument, NULL, 'r' },
		{ "wait", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "vh", known, NULL)) != -1) {
		switch (c) {
		case 'v':
			opts->verbose = true;
			break;
		case 'd':
			opts->dma_log = optarg;
			break;
		case 'r':
			opts->reuse_keys = true;
			break;
		case 'w':
			opts->wait = parse_seconds(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			exit(2); /* getopt_long() has said why */
		}
	}
	if (optind == argc)
		errx(2, "no device given; --help tells more");
	opts->devices = calloc(argc - optind, sizeof(*opts->devices));
	if (!opts->devices)
		err(1, NULL);
	for (; optind < argc; optind++)
		parse_device(opts, argv[optind]);
}

/* Blocks the signals that end the program, for all threads; a descriptor that tells of them. */
static int block_signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN); /* a client may pass a pipe as its eventfd */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

/* Waits until it is time to end; the exit status. */
static int wait_for_end(struct emulator *emu, int signals, unsigned int wait)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = emulator_changed_fd(emu), .events = POLLIN },
	};
	enum emulator_state state;
	eventfd_t n;

	while ((state = emulator_state(emu)) != EMULATOR_DONE) {
		bool bounded = wait && state == EMULATOR_WAITING;

		if (!poll(fds, 2, bounded ? (int)wait * 1000 : -1)) {
			warnx("no client came within %u seconds", wait);
			return 1;
		}
		if (fds[0].revents)
			break;
		eventfd_read(emulator_changed_fd(emu), &n);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options opts = { .wait = 60 };
	struct emulator_config config;
	struct dma_log *log = NULL;
	struct emulator *emu;
	int signals, status;

	parse(&opts, argc, argv);
	signals = block_signals();
	if (opts.dma_log) {
		log = dma_log_open(opts.dma_log);
		if (!log)
			err(2, "%s", opts.dma_log);
	}
	config = (struct emulator_config){
		.devices = opts.devices,
		.count = opts.count,
		.log = log,
		.verbose = opts.verbose,
		.reuse_keys = opts.reuse_keys,
	};
	emu = emulator_start(&config, &status);
	if (emu) {
		puts("ready");
		fflush(stdout);
		status = wait_for_end(emu, signals, opts.wait);
		emulator_stop(emu);
	}
	if (dma_log_close(log)) {
		warnx("%s: lines are missing", opts.dma_log);
		status = 1;
	}
	close(signals);
	free(opts.devices);
	return status;
}
