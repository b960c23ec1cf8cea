// SPDX-License-Identifier: GPL-2.0-only
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>

#include "advice.h"
#include "output.h"

#define COLUMNS 80

const char *step_name(enum step step)
{
	static const char *const names[] = {
		[STEP_ALLOCATE] = "open p2pmem/allocate",
		[STEP_MAP] = "mmap",
		[STEP_DEVICE] = "ibv_open_device",
		[STEP_DOMAIN] = "ibv_alloc_pd",
		[STEP_REGISTER] = "ibv_reg_mr",
	};

	return names[step];
}

static const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[ACCEPTED] = "accepted",
		[REFUSED] = "refused",
		[NOT_KNOWN] = "not known",
	};

	return names[verdict];
}

/* Breaks @text between words; every line is indented by @indent. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
	int at = 0;

	while (*text) {
		int len = strcspn(text, " ");

		if (at && at + 1 + len > COLUMNS) {
			fputc('\n', out);
			at = 0;
		}
		at += fprintf(out, "%*s%.*s", at ? 1 : indent, "", len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_kernel(FILE *out, const struct survey *survey)
{
	static const char *const series[] = {
		"not known whether it registers peer-to-peer memory",
		"cannot register peer-to-peer memory: it is without the series",
		"can register peer-to-peer memory: it has the series",
	};

	fprintf(out, "kernel %s\n  %s\n", survey->kernel, series[survey_series(survey) + 1]);
	if (survey->memlock_exempt)
		fprintf(out, "locked memory\n  no limit for this process (CAP_IPC_LOCK)\n");
	else if (survey->memlock == RLIM_INFINITY)
		fprintf(out, "locked memory\n  unlimited\n");
	else
		fprintf(out, "locked memory\n  %" PRIu64 " KiB at most (ulimit -l)\n",
			(uint64_t)survey->memlock >> 10);
}

/* "root:rdma", with numbers for who has no name. */
static void print_owner(FILE *out, uid_t uid, gid_t gid)
{
	const struct passwd *user = getpwuid(uid);
	const struct group *group = getgrgid(gid);

	if (user)
		fprintf(out, "%s:", user->pw_name);
	else
		fprintf(out, "%u:", uid);
	if (group)
		fprintf(out, "%s", group->gr_name);
	else
		fprintf(out, "%u", gid);
}

static void print_provider(FILE *out, const struct provider *provider)
{
	fprintf(out, "provider %s%s%s\n", pci_path_name(&provider->pci.path),
		provider->nvme[0] ? ", " : "", provider->nvme);
	fprintf(out, "  %" PRIu64 " KiB, of which %" PRIu64 " KiB are free\n", provider->size >> 10,
		provider->available >> 10);
	if (!provider->published)
		fprintf(out, "  its driver does not offer it for data (p2pmem/published is 0)\n");
	if (!provider->mode) {
		fprintf(out, "  no p2pmem/allocate\n");
		return;
	}
	fprintf(out, "  allocate is %04o, ", provider->mode);
	print_owner(out, provider->uid, provider->gid);
	fprintf(out, ": this process may%s map it\n", provider->allowed ? "" : " not");
}

static void print_device(FILE *out, const struct rdma_device *device)
{
	if (device->is_pci)
		fprintf(out, "RDMA device %s\n  %s, driver %s\n", device->name,
			pci_path_name(&device->pci.path), device->pci.driver);
	else
		fprintf(out, "RDMA device %s\n  not on PCI\n", device->name);
}

static void print_path(FILE *out, const struct pair *pair)
{
	const struct provider *provider = pair->provider;

	if (pair->device->is_pci)
		topology_draw(out, &provider->pci.path,
			      provider->nvme[0] ? provider->nvme : "the provider",
			      &pair->device->pci.path, pair->device->name);
}

static void print_pair(FILE *out, const struct survey *survey, const struct pair *pair)
{
	const char *symbol = strerrorname_np(pair->err);
	char text[ADVICE_SIZE];

	fprintf(out, "memory of %s with %s: %s", pci_path_name(&pair->provider->pci.path),
		pair->device->name, verdict_name(pair_verdict(pair)));
	if (pair->err)
		fprintf(out, ", %s says %s", step_name(pair->step), symbol ? symbol : "?");
	fputc('\n', out);
	print_path(out, pair);
	pair_advice(survey, pair, text);
	if (text[0])
		print_wrapped(out, text, 2);
}

void print_text(FILE *out, const struct survey *survey)
{
	char text[ADVICE_SIZE];

	print_kernel(out, survey);
	for (unsigned int i = 0; i < survey->provider_count; i++)
		print_provider(out, &survey->providers[i]);
	for (unsigned int i = 0; i < survey->device_count; i++)
		print_device(out, &survey->devices[i]);
	for (unsigned int i = 0; i < survey->pair_count; i++) {
		fputc('\n', out);
		print_pair(out, survey, &survey->pairs[i]);
	}
	survey_advice(survey, text);
	if (text[0])
		print_wrapped(out, text, 0);
}
