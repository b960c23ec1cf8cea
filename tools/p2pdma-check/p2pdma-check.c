// SPDX-License-Identifier: GPL-2.0-only
/*
 * p2pdma-check: which RDMA devices of this machine may have which PCI devices' memory, and what has
 * to change for the others. This file: the options.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "output.h"
#include "register.h"
#include "report.h"
#include "survey.h"

static const char usage[] =
"usage: p2pdma-check [--provider=ADDRESS] [--device=NAME] [--json]\n"
"\n"
"Tells of each PCI device with peer-to-peer memory and each RDMA device whether\n"
"the kernel lets an application register that memory there, how the two are\n"
"connected, and what to change. It asks the kernel: it maps one page of\n"
"/sys/bus/pci/devices/ADDRESS/p2pmem/allocate and gives it to ibv_reg_mr(). It\n"
"does not touch the page, and leaves nothing behind but a line of the kernel's\n"
"log for a pair that is refused.\n"
"\n"
"  --provider=ADDRESS  only the memory of that PCI device, such as 0000:03:00.0\n"
"  --device=NAME       only that RDMA device (ibv_devices)\n"
"  --json              print JSON\n"
"\n"
"Only root may read the ports' ACS bits.\n"
"\n"
"Exit status: 0 at least one pair was accepted; 1 none was; 2 usage; 3 none was,\n"
"but not all could be asked about: no permission, no free page, no memory that\n"
"may be locked.\n";

enum status {
	STATUS_ACCEPTED,
	STATUS_REFUSED,
	STATUS_USAGE,
	STATUS_NOT_KNOWN,
};

struct options {
	const char *provider, *device; /* NULL: all */
	bool json;
};

/* Returns 0 to go on, 1 when help was all that was asked for, -1 after an error message. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "provider", required_argument, NULL, 'p' },
		{ "device", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ },
	};
	int id;

	while ((id = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (id) {
		case 'p':
			options->provider = optarg;
			break;
		case 'd':
			options->device = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			return -1;
		}
	}
	return optind < argc ? fail("'%s' is one argument too many", argv[optind]) : 0;
}

static enum status judge(const struct survey *survey)
{
	enum status status = STATUS_REFUSED;

	for (unsigned int i = 0; i < survey->pair_count; i++) {
		enum verdict verdict = pair_verdict(&survey->pairs[i]);

		if (verdict == ACCEPTED)
			return STATUS_ACCEPTED;
		if (verdict == NOT_KNOWN)
			status = STATUS_NOT_KNOWN;
	}
	return status;
}

static enum status check(const struct options *options)
{
	enum status status = STATUS_NOT_KNOWN;
	struct survey survey;

	if (!survey_read(&survey, "/sys", options->provider, options->device)) {
		for (unsigned int i = 0; i < survey.pair_count; i++)
			pair_register(&survey.pairs[i]);
		(options->json ? print_json : print_text)(stdout, &survey);
		status = judge(&survey);
	}
	survey_free(&survey);
	return fflush(stdout) ? fail("cannot write the report"), STATUS_NOT_KNOWN : status;
}

int main(int argc, char **argv)
{
	struct options options = {};
	int stop = parse_options(&options, argc, argv);

	if (stop < 0)
		fputs("try: p2pdma-check --help\n", stderr);
	if (stop)
		return stop < 0 ? STATUS_USAGE : 0;
	return check(&options);
}
