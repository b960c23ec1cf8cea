// SPDX-License-Identifier: GPL-2.0-only
/*
 * cmb-rdma: moves data between an NVMe drive's controller memory buffer (CMB) and a remote RDMA
 * peer, with no copy in the memory of the host that has the drive. This file: the options.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client.h"
#include "drive.h"
#include "options.h"
#include "report.h"
#include "server.h"

static const char usage[] =
"usage: cmb-rdma --server [--device=NAME] [OPTION...]\n"
"       cmb-rdma --drive=DEV [--device=NAME] [--write-back] [OPTION...] PEER\n"
"       cmb-rdma --topology --device=NAME (--drive=DEV | --nvme=BDF)\n"
"\n"
"Moves data between an NVMe drive's controller memory buffer and a remote RDMA\n"
"peer, compares all of it, and says so. Start the server on the peer, which lends\n"
"ordinary memory; then the client, as root, on the machine with the drive.\n"
"\n"
"  --server          be the peer, for one client\n"
"  --topology        only draw how drive and RDMA device stand to each other\n"
"  --device=NAME     RDMA device (ibv_devices); needed if there are several\n"
"  --gid-index=N     its GID (default: RoCE v2 with an IPv4 address, or the first)\n"
"  --port=N          TCP port of the control connection (default 17301)\n"
"  --timeout=S       give up after S seconds without progress (default 60)\n"
"Client:\n"
"  --drive=DEV       block device, such as /dev/nvme0n1; only read unless\n"
"  --write-back      ... this also moves new bytes from the peer to the drive:\n"
"                    OVERWRITES --length bytes at --offset; not on a drive in use\n"
"  --nvme=BDF        PCI device whose memory to use (default: the drive's)\n"
"  --offset=BYTES    where on the drive (default 0)\n"
"  --length=BYTES    payload of one direction (default 16M)\n"
"  --buffer=BYTES    controller memory to use, over and over (default 16M, or less\n"
"                    if less is free)\n"
"  --seed=N          of the pseudo-random bytes for the way back (default: a new one)\n"
"  --memory=host     use ordinary memory in place of controller memory, to try the\n"
"                    rest; without --drive, memory also stands in for the drive\n"
"  --json=FILE       write the outcome there\n"
"BYTES take K, M or G and are multiples of 4096.\n"
"\n"
"Exit status: 0 all bytes compared equal; 1 an error, or they did not; 2 usage;\n"
"3 ibv_reg_mr() refused the memory.\n";

/* A whole number in [min, max]; with @units K, M or G may follow. */
static int parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
			const char *units, uint64_t *value)
{
	unsigned int shift = 0;
	const char *unit;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (errno || end == text || *end || text[0] == '-' || *value > UINT64_MAX >> shift)
		return fail("--%s=%s is not a number%s", option, text, *units ? " of bytes" : "");
	*value <<= shift;
	if (*value < min || *value > max)
		return fail("--%s=%s is not between %" PRIu64 " and %" PRIu64, option, text, min,
			    max);
	return 0;
}

static int parse_bytes(const char *option, const char *text, uint64_t min, uint64_t *value)
{
	if (parse_number(option, text, min, INT64_MAX, "KMG", value))
		return -1;
	return *value % DRIVE_ALIGN ? fail("--%s=%s is not a multiple of %u", option, text,
					   DRIVE_ALIGN) : 0;
}

static int parse_small(const char *option, const char *text, unsigned int min, unsigned int max,
		       unsigned int *value)
{
	uint64_t number;

	if (parse_number(option, text, min, max, "", &number))
		return -1;
	*value = number;
	return 0;
}

enum option_id {
	SERVER = 1, TOPOLOGY, DEVICE, GID_INDEX, PORT, TIMEOUT, DRIVE, WRITE_BACK, NVME, OFFSET,
	LENGTH, BUFFER, SEED, MEMORY, JSON, HELP,
};

static const struct option long_options[] = {
	{ "server", no_argument, NULL, SERVER },
	{ "topology", no_argument, NULL, TOPOLOGY },
	{ "device", required_argument, NULL, DEVICE },
	{ "gid-index", required_argument, NULL, GID_INDEX },
	{ "port", required_argument, NULL, PORT },
	{ "timeout", required_argument, NULL, TIMEOUT },
	{ "drive", required_argument, NULL, DRIVE },
	{ "write-back", no_argument, NULL, WRITE_BACK },
	{ "nvme", required_argument, NULL, NVME },
	{ "offset", required_argument, NULL, OFFSET },
	{ "length", required_argument, NULL, LENGTH },
	{ "buffer", required_argument, NULL, BUFFER },
	{ "seed", required_argument, NULL, SEED },
	{ "memory", required_argument, NULL, MEMORY },
	{ "json", required_argument, NULL, JSON },
	{ "help", no_argument, NULL, HELP },
	{ }
};

static int parse_memory(struct options *options, const char *text)
{
	options->host_memory = !strcmp(text, "host");
	return options->host_memory || !strcmp(text, "cmb") ? 0
	       : fail("--memory=%s is neither cmb nor host", text);
}

static int parse_gid_index(struct options *options, const char *text)
{
	unsigned int index;

	if (parse_small("gid-index", text, 0, UINT8_MAX, &index))
		return -1;
	options->gid_index = index;
	return 0;
}

static int parse_option(struct options *options, enum option_id id, const char *value)
{
	switch (id) {
	case SERVER:	 options->server = true; return 0;
	case TOPOLOGY:	 options->topology = true; return 0;
	case WRITE_BACK: options->write_back = true; return 0;
	case DEVICE:	 options->device = value; return 0;
	case DRIVE:	 options->drive = value; return 0;
	case NVME:	 options->nvme = value; return 0;
	case JSON:	 options->json = value; return 0;
	case MEMORY:	 return parse_memory(options, value);
	case GID_INDEX:	 return parse_gid_index(options, value);
	case PORT:	 return parse_small("port", value, 1, 65535, &options->port);
	case TIMEOUT:	 return parse_small("timeout", value, 1, 86400, &options->timeout);
	case OFFSET:	 return parse_bytes("offset", value, 0, &options->offset);
	case LENGTH:	 return parse_bytes("length", value, DRIVE_ALIGN, &options->length);
	case BUFFER:	 return parse_bytes("buffer", value, DRIVE_ALIGN, &options->buffer);
	case SEED:	 return parse_number("seed", value, 0, UINT64_MAX, "", &options->seed);
	case HELP:	 break;
	}
	return -1;
}

static int check_options(const struct options *options)
{
	bool client = !options->server && !options->topology;

	if (options->server && options->topology)
		return fail("--server and --topology are two things to do");
	if (options->server && (options->drive || options->nvme || options->write_back ||
				options->host_memory || options->json))
		return fail("the server has no drive: that option is the client's");
	if (client && !options->peer)
		return fail("name the PEER to connect to, or --server or --topology");
	if (!client && options->peer)
		return fail("'%s': only a client takes a PEER", options->peer);
	if (options->topology && (!options->device || (!options->drive && !options->nvme)))
		return fail("--topology needs --device, and --drive or --nvme");
	if (client && !options->drive && !options->host_memory)
		return fail("name the drive: --drive=/dev/nvme0n1 (it is only read without "
			    "--write-back)");
	return 0;
}

/* Returns 0 to go on, 1 when help was all that was asked for, -1 after an error message. */
static int parse_options(struct options *options, int argc, char **argv)
{
	int id;

	while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (id == HELP) {
			fputs(usage, stdout);
			return 1;
		}
		if (id == '?' || parse_option(options, id, optarg))
			return -1;
	}
	if (optind < argc)
		options->peer = argv[optind++];
	if (optind < argc)
		return fail("'%s' is one argument too many", argv[optind]);
	return check_options(options);
}

static int write_json(const char *path, const struct result *result)
{
	const char *symbol = strerrorname_np(result->reg_mr_errno);
	FILE *file = fopen(path, "we");
	int err;

	if (!file)
		return fail_errno(errno, "cannot write %s", path);
	fprintf(file, "{\"payload_bytes\": %" PRIu64 ", ", result->payload_bytes);
	if (result->reg_mr_errno)
		fprintf(file, "\"reg_mr_errno\": \"%s\", ", symbol ? symbol : "unknown");
	else
		fprintf(file, "\"reg_mr_errno\": null, ");
	fprintf(file, "\"verified\": %s}\n", result->verified ? "true" : "false");
	err = ferror(file);
	return fclose(file) || err ? fail("cannot write %s", path) : 0;
}

/*
 * A new seed each time: with a constant one the drive could hold the expected bytes from the last
 * run, and a way back that wrote nothing would compare equal.
 */
static uint64_t new_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
		perror("getrandom");
		exit(STATUS_ERROR);
	}
	return seed;
}

int main(int argc, char **argv)
{
	struct options options = {
		.length = 16 << 20, .buffer = 16 << 20, .port = 17301, .timeout = 60,
		.gid_index = -1, .seed = new_seed(),
	};
	struct result result = { };
	enum status status;
	int stop;

	setvbuf(stdout, NULL, _IOLBF, 0);
	stop = parse_options(&options, argc, argv);
	if (stop < 0)
		fputs("try: cmb-rdma --help\n", stderr);
	if (stop)
		return stop < 0 ? STATUS_USAGE : 0;
	if (options.server)
		return server_run(&options);
	if (options.topology)
		return client_topology(&options);
	status = client_run(&options, &result);
	if (options.json && write_json(options.json, &result) && status == STATUS_VERIFIED)
		status = STATUS_ERROR;
	if (status == STATUS_VERIFIED)
		printf("verified\n");
	return status;
}
