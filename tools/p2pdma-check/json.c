// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <string.h>

#include "advice.h"
#include "output.h"

/* A string, or null for one that is NULL or empty. */
static void print_string(FILE *out, const char *text)
{
	if (!text || !*text) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", *text);
		else
			fprintf(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	}
	fputc('"', out);
}

static void print_member(FILE *out, const char *name, const char *value)
{
	fprintf(out, ", \"%s\": ", name);
	print_string(out, value);
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static void print_kernel(FILE *out, const struct survey *survey)
{
	static const char *const series[] = { "null", "false", "true" };

	fprintf(out, "\"kernel\": {\"series\": %s", series[survey_series(survey) + 1]);
	print_member(out, "release", survey->kernel);
	fprintf(out, "},\n\"memlock\": {\"exempt\": %s, \"limit\": ",
		truth(survey->memlock_exempt));
	if (survey->memlock == RLIM_INFINITY)
		fputs("null}", out);
	else
		fprintf(out, "%" PRIu64 "}", (uint64_t)survey->memlock);
}

static void print_provider(FILE *out, const struct provider *provider)
{
	fprintf(out, "{\"size\": %" PRIu64 ", \"available\": %" PRIu64 ", \"published\": %s",
		provider->size, provider->available, truth(provider->published));
	print_member(out, "pci", pci_path_name(&provider->pci.path));
	print_member(out, "driver", provider->pci.driver);
	print_member(out, "nvme", provider->nvme);
	fputs(", \"allocate\": ", out);
	if (provider->mode)
		fprintf(out, "{\"mode\": \"%04o\", \"uid\": %u, \"gid\": %u, \"allowed\": %s}}",
			provider->mode, provider->uid, provider->gid, truth(provider->allowed));
	else
		fputs("null}", out);
}

static void print_device(FILE *out, const struct rdma_device *device)
{
	fputs("{\"name\": ", out);
	print_string(out, device->name);
	print_member(out, "pci", device->is_pci ? pci_path_name(&device->pci.path) : NULL);
	print_member(out, "driver", device->pci.driver);
	fputc('}', out);
}

/* The bits that are on, [] without the capability, null if that could not be read. */
static void print_acs(FILE *out, const struct acs *acs)
{
	const char *before = "";

	if (acs->state == ACS_UNKNOWN) {
		fputs("null", out);
		return;
	}
	fputc('[', out);
	for (unsigned int bit = 0; acs_bit_name(bit); bit++) {
		if (!(acs->control & 1 << bit))
			continue;
		fputs(before, out);
		print_string(out, acs_bit_name(bit));
		before = ", ";
	}
	fputc(']', out);
}

static void print_path(FILE *out, const struct pair *pair)
{
	struct hop hops[2 * PCI_DEPTH];
	unsigned int count;

	if (!pair->device->is_pci) {
		fputs(", \"common_port\": null, \"path\": null", out);
		return;
	}
	print_member(out, "common_port", pair_common_port(pair));
	fputs(", \"path\": [", out);
	count = pair_hops(pair, hops);
	for (unsigned int i = 0; i < count; i++) {
		fprintf(out, "%s{\"pci\": ", i ? ", " : "");
		print_string(out, hops[i].bdf);
		fputs(", \"acs\": ", out);
		print_acs(out, hops[i].acs);
		fprintf(out, ", \"redirects\": %s}", truth(acs_redirects(hops[i].acs)));
	}
	fputc(']', out);
}

static void print_pair(FILE *out, const struct survey *survey, const struct pair *pair)
{
	enum verdict verdict = pair_verdict(pair);
	char text[ADVICE_SIZE];

	fputs("{\"provider\": ", out);
	print_string(out, pci_path_name(&pair->provider->pci.path));
	print_member(out, "device", pair->device->name);
	fprintf(out, ", \"accepted\": %s", verdict == NOT_KNOWN ? "null" : truth(!pair->err));
	print_member(out, "call", step_name(pair->step));
	print_member(out, "errno", pair->err ? strerrorname_np(pair->err) : NULL);
	print_path(out, pair);
	pair_advice(survey, pair, text);
	print_member(out, "change", text);
	fputc('}', out);
}

void print_json(FILE *out, const struct survey *survey)
{
	char text[ADVICE_SIZE];

	fputc('{', out);
	print_kernel(out, survey);
	fputs(",\n\"providers\": [", out);
	for (unsigned int i = 0; i < survey->provider_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		print_provider(out, &survey->providers[i]);
	}
	fputs("],\n\"devices\": [", out);
	for (unsigned int i = 0; i < survey->device_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		print_device(out, &survey->devices[i]);
	}
	fputs("],\n\"pairs\": [", out);
	for (unsigned int i = 0; i < survey->pair_count; i++) {
		fputs(i ? ",\n" : "\n", out);
		print_pair(out, survey, &survey->pairs[i]);
	}
	fputc(']', out);
	survey_advice(survey, text);
	print_member(out, "change", text);
	fputs("}\n", out);
}
