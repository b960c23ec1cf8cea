// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"

static void say(char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends to @text. */
static void say(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + len, ADVICE_SIZE - len, fmt, args);
	va_end(args);
}

static void advise_allocate(const struct pair *pair, char *text)
{
	const char *bdf = pci_path_name(&pair->provider->pci.path);

	if (pair->err == EACCES || pair->err == EPERM)
		say(text, "You may not map this memory. Root can let your group have it: chgrp "
		    "GROUP /sys/bus/pci/devices/%s/p2pmem/allocate, or a udev rule that does so "
		    "whenever the drive appears.", bdf);
	else
		say(text, "There is no p2pmem/allocate: the kernel is older than 6.2, or the drive "
		    "is being removed.");
}

static void advise_map(const struct pair *pair, char *text)
{
	const char *bdf = pci_path_name(&pair->provider->pci.path);

	if (pair->err == ENOMEM)
		say(text, "All of this memory is in use, and a page was needed to ask. Who has it: "
		    "/sys/kernel/debug/pci_p2pdma/%s (regions), grep -l %s/p2pmem "
		    "/proc/[0-9]*/maps (mappings).", bdf, bdf);
	else
		say(text, "The memory cannot be mapped: the drive is being removed, or the "
		    "kernel's log says more.");
}

static void advise_device(const struct pair *pair, char *text)
{
	if (pair->err == EACCES || pair->err == EPERM)
		say(text, "You may not open the RDMA device: look at /dev/infiniband/uverbs*.");
	else if (pair->err == ENODEV)
		say(text, "libibverbs has no provider library for %s (Debian: ibverbs-providers; "
		    "Fedora: libibverbs).", pair->device->name);
	else
		say(text, "%s cannot be opened: its own tools (ibv_devinfo) may say more.",
		    pair->device->name);
}

static void advise_memlock(const struct survey *survey, char *text)
{
	if (survey->memlock_exempt || survey->memlock == RLIM_INFINITY)
		say(text, "The kernel or the RDMA device has no resources left.");
	else
		say(text, "You may lock %" PRIu64 " bytes, less than this page takes beside what "
		    "is locked already. Raise it: memlock in /etc/security/limits.conf, or "
		    "LimitMEMLOCK= of a service.", (uint64_t)survey->memlock);
}

/* Appends "A;B", the hops that redirect. Returns whether the ACS of every hop is known. */
static bool say_redirecting(const struct pair *pair, char *text)
{
	struct hop hops[2 * PCI_DEPTH];
	unsigned int count = pair_hops(pair, hops);
	bool known = true;

	for (unsigned int i = 0; i < count; i++) {
		known &= hops[i].acs->state != ACS_UNKNOWN;
		if (acs_redirects(hops[i].acs))
			say(text, "%s%s", text[0] ? ";" : "", hops[i].bdf);
	}
	return known;
}

static void advise_path(const struct pair *pair, char *text)
{
	char list[ADVICE_SIZE] = "";
	bool known = say_redirecting(pair, list);

	if (!pair->device->is_pci) {
		say(text, "The CPU moves the data of %s, so it gets no device's memory. Take an "
		    "RDMA card.", pair->device->name);
	} else if (!pair_common_port(pair)) {
		say(text, "The two have no port in common, and the kernel does not know that this "
		    "host bridge passes peer traffic on. Move one of them below the switch or root "
		    "port of the other, or use a CPU that the kernel knows (AMD Zen, some Xeons).");
	} else if (!known) {
		say(text, "Whether a port between the two redirects their traffic (ACS) only root can "
		    "see: run this as root, or look at the kernel's log.");
	} else if (list[0]) {
		say(text, "Ports between the two redirect their traffic up to the host bridge "
		    "(ACS), which the kernel does not know to pass it on. Boot with "
		    "pci=disable_acs_redir=%s, if the isolation that this ends is not needed.",
		    list);
	} else {
		say(text, "The path is no obstacle as far as can be seen. Either the driver (%s) "
		    "cannot take memory back from its device: efa, irdma and mlx5 can. Or the "
		    "kernel's log names another reason.", pair->device->pci.driver);
	}
}

static void advise_register(const struct survey *survey, const struct pair *pair, char *text)
{
	switch (pair->err) {
	case 0:
		break;
	case EREMOTEIO:
		advise_path(pair, text);
		break;
	case EFAULT:
		say(text, "The kernel lacks the series that lets it register this memory (or the "
		    "driver is ocrdma or qedr, which say so of any refusal).");
		break;
	case ENOMEM:
	case EPERM:
		if (pair_verdict(pair) == NOT_KNOWN)
			advise_memlock(survey, text);
		else
			say(text, "This driver cannot take memory back from its device: efa, irdma "
			    "and mlx5 can.");
		break;
	case EOPNOTSUPP:
		say(text, "A confidential guest bounces all DMA, and so does a device that is not "
		    "cache coherent: no peer-to-peer traffic there.");
		break;
	default:
		say(text, "The kernel's log may say more.");
	}
}

void pair_advice(const struct survey *survey, const struct pair *pair, char *text)
{
	text[0] = '\0';
	switch (pair->step) {
	case STEP_ALLOCATE:
		advise_allocate(pair, text);
		break;
	case STEP_MAP:
		advise_map(pair, text);
		break;
	case STEP_DEVICE:
	case STEP_DOMAIN:
		advise_device(pair, text);
		break;
	case STEP_REGISTER:
		advise_register(survey, pair, text);
		break;
	}
}

void survey_advice(const struct survey *survey, char *text)
{
	text[0] = '\0';
	if (!survey->provider_count)
		say(text, "No such PCI device offers peer-to-peer memory: the drive has no "
		    "controller memory buffer (no /sys/class/nvme/nvme0/cmb), its driver is not "
		    "bound, or the kernel has no CONFIG_PCI_P2PDMA.");
	if (!survey->device_count)
		say(text, "%sThere is no such RDMA device: its driver is not loaded (ibv_devices).",
		    text[0] ? " " : "");
}
