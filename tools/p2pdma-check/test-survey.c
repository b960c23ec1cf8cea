// SPDX-License-Identifier: GPL-2.0-only
/*
 * What p2pdma-check makes of a tree like sysfs, and of answers of a kernel, all of it made up.
 * Prints KTAP; leaves the JSON of the tree in a file, for other programs to read.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "advice.h"
#include "output.h"

#define SWITCH "devices/pci0000:00/0000:00:03.0/0000:01:00.0"
#define NEAR   SWITCH "/0000:02:00.0/0000:03:00.0"
#define RNIC   SWITCH "/0000:02:01.0/0000:04:00.0"
#define FAR    "devices/pci0000:00/0000:00:04.0/0000:05:00.0"

static const char *failed; /* what did not hold in the test that runs */

#define EXPECT(condition) \
	do { \
		if (!(condition) && !failed) \
			failed = #condition; \
	} while (0)

/* The tree. All of these end the program when they fail. */

static char root[] = "/tmp/test-survey.XXXXXX";

static char *in_root(const char *path)
{
	char *full;

	if (asprintf(&full, "%s/%s", root, path) < 0)
		err(1, "asprintf");
	return full;
}

/* All folders above @path, too. */
static char *make_folders(const char *path)
{
	char *full = in_root(path);

	for (char *slash = full + sizeof(root); (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (mkdir(full, 0755) && errno != EEXIST)
			err(1, "%s", full);
	}
	return full;
}

static void make_file(const char *folder, const char *name, const void *bytes, size_t len)
{
	char *relative, *path;
	int fd;

	if (asprintf(&relative, "%s/%s", folder, name) < 0)
		err(1, "asprintf");
	path = make_folders(relative);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0660);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fchmod(fd, 0660))
		err(1, "%s", path);
	close(fd);
	free(path);
	free(relative);
}

static void make_text(const char *folder, const char *name, const char *text)
{
	make_file(folder, name, text, strlen(text));
}

static void make_link(const char *from, const char *to)
{
	char *path = make_folders(from), *target = in_root(to);

	if (symlink(target, path))
		err(1, "%s", path);
	free(path);
	free(target);
}

static void write_dword(uint8_t *config, size_t at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		config[at + i] = value >> 8 * i;
}

/* A configuration space with an error reporting and an ACS capability. */
static void fill_config(uint8_t config[PCI_CFG_SPACE_EXP_SIZE], uint16_t control)
{
	memset(config, 0, PCI_CFG_SPACE_EXP_SIZE);
	write_dword(config, 0x100, 0x148u << 20 | 2 << 16 | PCI_EXT_CAP_ID_ERR);
	write_dword(config, 0x148, 1 << 16 | PCI_EXT_CAP_ID_ACS);
	write_dword(config, 0x148 + PCI_ACS_CAP, (uint32_t)control << 16 | 0x5f);
}

/* @control: -1 for a device without ACS, -2 for one of which only 64 bytes can be read. */
static void make_device(const char *folder, int control)
{
	uint8_t config[PCI_CFG_SPACE_EXP_SIZE] = {};
	char link[64];

	if (control >= 0)
		fill_config(config, control);
	make_file(folder, "config", config, control == -2 ? 64 : sizeof(config));
	snprintf(link, sizeof(link), "bus/pci/devices/%s", strrchr(folder, '/') + 1);
	make_link(link, folder);
}

static void make_provider(const char *folder, const char *nvme, const char *available)
{
	char nvme_folder[256];

	make_device(folder, -1);
	make_text(folder, "p2pmem/size", "67108864\n");
	make_text(folder, "p2pmem/available", available);
	make_text(folder, "p2pmem/published", "1\n");
	make_text(folder, "p2pmem/allocate", "");
	snprintf(nvme_folder, sizeof(nvme_folder), "%s/nvme/%s", folder, nvme);
	make_text(nvme_folder, "serial", "1");
}

/* As the laboratory's machine, with ACS on one port of the switch and a second RDMA device. */
static void make_tree(void)
{
	if (!mkdtemp(root))
		err(1, "%s", root);
	make_device("devices/pci0000:00/0000:00:03.0", 0);
	make_device("devices/pci0000:00/0000:00:04.0", -2);
	make_device(SWITCH, -1);
	make_device(SWITCH "/0000:02:00.0", PCI_ACS_SV | PCI_ACS_RR);
	make_device(SWITCH "/0000:02:01.0", 0);
	make_device(RNIC, -1);
	make_provider(NEAR, "nvme0", "66977792\n");
	make_provider(FAR, "nvme1", "0\n");
	make_text("bus/pci/drivers/efa", "module", "");
	make_link(RNIC "/driver", "bus/pci/drivers/efa");
	make_text(RNIC "/infiniband/efa_0", "node_type", "");
	make_link("class/infiniband/efa_0", RNIC "/infiniband/efa_0");
	make_link(RNIC "/infiniband/efa_0/device", RNIC);
	/* Software, with a name that JSON has to escape. */
	make_text("devices/virtual/infiniband/rxe\"\\", "node_type", "");
	make_link("class/infiniband/rxe\"\\", "devices/virtual/infiniband/rxe\"\\");
}

static void remove_tree(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		warnx("%s is left", root);
}

/* The pairs are NEAR with efa_0, NEAR with rxe, FAR with efa_0, FAR with rxe. */
static void read_tree(struct survey *survey)
{
	if (survey_read(survey, root, NULL, NULL))
		exit(1);
}

static void answer(struct pair *pair, enum step step, int error)
{
	pair->step = step;
	pair->err = error;
}

/* Tests of ACS */

static uint8_t config[PCI_CFG_SPACE_EXP_SIZE];

static void test_acs_is_found_behind_another_capability(void)
{
	struct acs acs;

	fill_config(config, PCI_ACS_SV | PCI_ACS_UF);
	acs = acs_parse(config, sizeof(config));
	EXPECT(acs.state == ACS_PRESENT);
	EXPECT(acs.control == (PCI_ACS_SV | PCI_ACS_UF));
	EXPECT(!acs_redirects(&acs));
}

static void test_each_redirection_counts(void)
{
	static const uint16_t bits[] = { PCI_ACS_RR, PCI_ACS_CR, PCI_ACS_EC };

	for (unsigned int i = 0; i < 3; i++) {
		struct acs acs = { ACS_PRESENT, bits[i] };

		EXPECT(acs_redirects(&acs));
	}
}

static void test_64_bytes_tell_nothing(void)
{
	fill_config(config, PCI_ACS_RR);
	EXPECT(acs_parse(config, 64).state == ACS_UNKNOWN);
	EXPECT(acs_parse(config, 0).state == ACS_UNKNOWN);
}

static void test_a_space_of_256_bytes_has_no_acs(void)
{
	fill_config(config, PCI_ACS_RR);
	EXPECT(acs_parse(config, 256).state == ACS_ABSENT);
}

static void test_capabilities_that_point_back_end(void)
{
	fill_config(config, PCI_ACS_RR);
	write_dword(config, 0x100, 0x100u << 20 | PCI_EXT_CAP_ID_ERR);
	EXPECT(acs_parse(config, sizeof(config)).state == ACS_ABSENT);
}

static void test_a_capability_that_is_cut_off_is_none(void)
{
	fill_config(config, 0);
	write_dword(config, 0x100, 0xffcu << 20 | PCI_EXT_CAP_ID_ERR);
	write_dword(config, 0xffc, PCI_EXT_CAP_ID_ACS);
	EXPECT(acs_parse(config, sizeof(config)).state == ACS_ABSENT);
	memset(config, 0xff, sizeof(config));
	EXPECT(acs_parse(config, sizeof(config)).state == ACS_ABSENT);
}

static void test_acs_is_told_in_the_words_of_lspci(void)
{
	struct acs acs = { ACS_PRESENT, PCI_ACS_RR | PCI_ACS_UF };
	char text[PCI_NOTE];

	acs_text(&acs, text, sizeof(text));
	EXPECT(!strcmp(text, "ACS ReqRedir+ UpstreamFwd+"));
	acs.control = 0x7f;
	acs_text(&acs, text, sizeof(text));
	EXPECT(strstr(text, "DirectTrans+"));
	acs_text(&acs, text, 8);
	EXPECT(strlen(text) < 8);
}

/* Tests of the tree */

static void test_what_there_is_is_found(void)
{
	struct survey survey;
	const struct provider *near;

	read_tree(&survey);
	near = &survey.providers[0];
	EXPECT(survey.provider_count == 2);
	EXPECT(survey.device_count == 2);
	EXPECT(survey.pair_count == 4);
	EXPECT(!strcmp(pci_path_name(&near->pci.path), "0000:03:00.0"));
	EXPECT(!strcmp(near->nvme, "nvme0"));
	EXPECT(near->size == 64 << 20);
	EXPECT(near->available == 66977792);
	EXPECT(near->published);
	EXPECT(near->mode == 0660);
	EXPECT(near->uid == getuid());
	EXPECT(near->allowed);
	EXPECT(survey.devices[0].is_pci);
	EXPECT(!strcmp(survey.devices[0].pci.driver, "efa"));
	EXPECT(!survey.devices[1].is_pci);
	survey_free(&survey);
}

static void test_names_choose(void)
{
	struct survey survey;

	EXPECT(!survey_read(&survey, root, "0000:05:00.0", "efa_0"));
	EXPECT(survey.pair_count == 1);
	EXPECT(!strcmp(pci_path_name(&survey.providers[0].pci.path), "0000:05:00.0"));
	survey_free(&survey);
	EXPECT(!survey_read(&survey, root, "0000:04:00.0", NULL));
	EXPECT(survey.provider_count == 0);
	EXPECT(survey.device_count == 2);
	EXPECT(survey.pair_count == 0);
	survey_free(&survey);
}

static void test_hops_lead_by_the_common_port(void)
{
	static const char *const way[] = {
		"0000:03:00.0", "0000:02:00.0", "0000:01:00.0", "0000:02:01.0", "0000:04:00.0",
	};
	struct hop hops[2 * PCI_DEPTH];
	struct survey survey;

	read_tree(&survey);
	EXPECT(pair_hops(&survey.pairs[0], hops) == 5);
	for (unsigned int i = 0; i < 5; i++)
		EXPECT(!strcmp(hops[i].bdf, way[i]));
	EXPECT(acs_redirects(hops[1].acs));
	EXPECT(!strcmp(pair_common_port(&survey.pairs[0]), "0000:01:00.0"));
	EXPECT(pair_hops(&survey.pairs[2], hops) == 6);
	EXPECT(!strcmp(hops[1].bdf, "0000:00:04.0"));
	EXPECT(hops[1].acs->state == ACS_UNKNOWN);
	EXPECT(!pair_common_port(&survey.pairs[2]));
	survey_free(&survey);
}

/* Tests of answers */

static void test_answers_make_verdicts(void)
{
	static const struct {
		const char *driver;
		enum step step;
		int err, verdict, series;
	} answers[] = {
		{ "efa", STEP_ALLOCATE, 0, NOT_KNOWN, -1 }, /* before anybody was asked */
		{ "efa", STEP_ALLOCATE, EACCES, NOT_KNOWN, -1 },
		{ "efa", STEP_MAP, ENOMEM, NOT_KNOWN, -1 },
		{ "efa", STEP_DEVICE, ENODEV, NOT_KNOWN, -1 },
		{ "efa", STEP_DOMAIN, ENOMEM, NOT_KNOWN, -1 },
		{ "efa", STEP_REGISTER, 0, ACCEPTED, 1 },
		{ "efa", STEP_REGISTER, EREMOTEIO, REFUSED, 1 },
		{ "efa", STEP_REGISTER, EFAULT, REFUSED, 0 },
		{ "efa", STEP_REGISTER, EPERM, NOT_KNOWN, -1 },
		{ "efa", STEP_REGISTER, ENOMEM, NOT_KNOWN, -1 },
		{ "efa", STEP_REGISTER, EOPNOTSUPP, REFUSED, -1 },
		{ "qede", STEP_REGISTER, EFAULT, REFUSED, -1 },
		{ "cxgb4", STEP_REGISTER, ENOMEM, REFUSED, -1 },
	};
	struct survey survey;

	EXPECT(!survey_read(&survey, root, "0000:03:00.0", "efa_0"));
	for (unsigned int i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		strcpy(survey.devices[0].pci.driver, answers[i].driver);
		answer(&survey.pairs[0], answers[i].step, answers[i].err);
		EXPECT((int)pair_verdict(&survey.pairs[0]) == answers[i].verdict);
		EXPECT(survey_series(&survey) == answers[i].series);
	}
	survey_free(&survey);
}

static bool advises(const struct survey *survey, unsigned int pair, enum step step, int error,
		    const char *words)
{
	char text[ADVICE_SIZE];

	answer(&survey->pairs[pair], step, error);
	pair_advice(survey, &survey->pairs[pair], text);
	return strstr(text, words);
}

static void test_advice_fits_the_answer(void)
{
	char text[ADVICE_SIZE];
	struct survey survey;

	read_tree(&survey);
	EXPECT(advises(&survey, 0, STEP_REGISTER, EREMOTEIO,
		       "pci=disable_acs_redir=0000:02:00.0,"));
	EXPECT(advises(&survey, 1, STEP_REGISTER, EREMOTEIO, "The CPU moves the data"));
	EXPECT(advises(&survey, 2, STEP_REGISTER, EREMOTEIO, "no port in common"));
	EXPECT(advises(&survey, 0, STEP_REGISTER, EFAULT, "lacks the series"));
	survey.memlock_exempt = false;
	survey.memlock = 4095;
	EXPECT(advises(&survey, 0, STEP_REGISTER, ENOMEM, "You may lock 4095 bytes"));
	EXPECT(advises(&survey, 0, STEP_ALLOCATE, EACCES,
		       "chgrp GROUP /sys/bus/pci/devices/0000:03:00.0/p2pmem/allocate"));
	EXPECT(advises(&survey, 2, STEP_MAP, ENOMEM, "/sys/kernel/debug/pci_p2pdma/0000:05:00.0"));
	answer(&survey.pairs[0], STEP_REGISTER, 0);
	pair_advice(&survey, &survey.pairs[0], text);
	EXPECT(!text[0]);
	survey_advice(&survey, text);
	EXPECT(!text[0]);
	survey_free(&survey);
}

/* What is printed of the tree after an answer of each kind. */
static char *printed(void (*print)(FILE *, const struct survey *))
{
	struct survey survey;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		err(1, "open_memstream");
	read_tree(&survey);
	strcpy(survey.kernel, "7.3.4");
	survey.memlock = RLIM_INFINITY;
	answer(&survey.pairs[0], STEP_REGISTER, 0);
	answer(&survey.pairs[1], STEP_REGISTER, EREMOTEIO);
	answer(&survey.pairs[2], STEP_MAP, ENOMEM);
	answer(&survey.pairs[3], STEP_MAP, ENOMEM);
	print(out, &survey);
	fclose(out);
	survey_free(&survey);
	return text;
}

static void test_text_draws_the_ports(void)
{
	char *text = printed(print_text), *line = text;

	EXPECT(strstr(text, "can register peer-to-peer memory"));
	EXPECT(strstr(text, "65536 KiB, of which 65408 KiB are free"));
	EXPECT(strstr(text, "memory of 0000:03:00.0 with efa_0: accepted\n"));
	EXPECT(strstr(text, "refused, ibv_reg_mr says EREMOTEIO\n"));
	EXPECT(strstr(text, "not known, mmap says ENOMEM\n"));
	EXPECT(strstr(text, "0000:00:03.0  root port, ACS off\n"));
	EXPECT(strstr(text, "0000:02:00.0  switch downstream port, ACS SrcValid+ ReqRedir+\n"));
	EXPECT(strstr(text, "0000:00:04.0  root port, ACS unknown\n"));
	/* The trees have longer lines of characters that take more than a byte. */
	for (; *line; line += strcspn(line, "\n") + 1)
		EXPECT(strcspn(line, "\n") <= 80 || strstr(line, "ACS"));
	free(text);
}

static const char *json_file;

static void test_json_has_it_all(void)
{
	char *text = printed(print_json);
	FILE *out = fopen(json_file, "w");

	EXPECT(strstr(text, "\"kernel\": {\"series\": true, \"release\": \"7.3.4\"}"));
	EXPECT(strstr(text, "\"limit\": null"));
	EXPECT(strstr(text, "\"device\": \"rxe\\\"\\\\\""));
	EXPECT(strstr(text, "\"acs\": [\"SrcValid\", \"ReqRedir\"], \"redirects\": true"));
	EXPECT(strstr(text, "\"accepted\": true, \"call\": \"ibv_reg_mr\", \"errno\": null"));
	EXPECT(strstr(text, "\"accepted\": null, \"call\": \"mmap\", \"errno\": \"ENOMEM\""));
	if (!out || fputs(text, out) < 0 || fclose(out))
		err(1, "%s", json_file);
	free(text);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "ACS is found behind another capability", test_acs_is_found_behind_another_capability },
	{ "each kind of redirection counts", test_each_redirection_counts },
	{ "64 bytes of a configuration space tell nothing", test_64_bytes_tell_nothing },
	{ "a configuration space of 256 bytes has no ACS", test_a_space_of_256_bytes_has_no_acs },
	{ "capabilities that point back end", test_capabilities_that_point_back_end },
	{ "a capability that is cut off is none", test_a_capability_that_is_cut_off_is_none },
	{ "ACS is told in the words of lspci", test_acs_is_told_in_the_words_of_lspci },
	{ "what there is is found", test_what_there_is_is_found },
	{ "names choose", test_names_choose },
	{ "hops lead by the common port, or by none", test_hops_lead_by_the_common_port },
	{ "answers make verdicts", test_answers_make_verdicts },
	{ "advice fits the answer", test_advice_fits_the_answer },
	{ "text draws the ports", test_text_draws_the_ports },
	{ "JSON has it all", test_json_has_it_all },
};

#define TESTS (sizeof(tests) / sizeof(tests[0]))

int main(int argc, char **argv)
{
	int status = 0;

	if (argc != 2)
		errx(2, "usage: test-survey FILE, to which the JSON goes");
	json_file = argv[1];
	make_tree();
	printf("KTAP version 1\n1..%zu\n", TESTS);
	for (unsigned int i = 0; i < TESTS; i++) {
		failed = NULL;
		tests[i].run();
		if (failed) {
			printf("# not true: %s\nnot ", failed);
			status = 1;
		}
		printf("ok %u %s\n", i + 1, tests[i].name);
	}
	remove_tree();
	return status;
}
