// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "report.h"
#include "survey.h"

/* The last component of @path, cut to NAME_SIZE. */
static void copy_name(char *name, const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(name, NAME_SIZE, "%.*s", NAME_SIZE - 1, slash ? slash + 1 : path);
}

static uint64_t read_number(const char *folder, const char *file)
{
	char path[PATH_MAX];
	uint64_t value = 0;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	stream = fopen(path, "re");
	if (!stream)
		return 0;
	/* 0 is what is to be said of a number that cannot be read, too. */
	if (fscanf(stream, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(stream);
	return value;
}

static struct acs read_acs(const char *sysfs, const char *bdf)
{
	uint8_t config[PCI_CFG_SPACE_EXP_SIZE];
	char path[PATH_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/config", sysfs, bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (struct acs){ .state = ACS_UNKNOWN };
	len = read(fd, config, sizeof(config));
	close(fd);
	return acs_parse(config, len < 0 ? 0 : len);
}

/* @folder is the device's in sysfs, or a link to it. Returns 0, or -1 (silently) if not on PCI. */
static int read_place(struct pci_place *pci, const char *sysfs, const char *folder)
{
	char path[PATH_MAX], target[PATH_MAX];

	if (pci_path_resolve(&pci->path, folder))
		return -1;
	for (unsigned int i = 0; i < pci->path.depth; i++) {
		pci->acs[i] = read_acs(sysfs, pci->path.bdf[i]);
		acs_text(&pci->acs[i], pci->path.note[i], PCI_NOTE);
	}
	snprintf(path, sizeof(path), "%s/driver", folder);
	if (realpath(path, target))
		copy_name(pci->driver, target);
	return 0;
}

static void read_allocate(struct provider *provider, const char *p2pmem)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/allocate", p2pmem);
	if (stat(path, &st))
		return;
	provider->mode = st.st_mode & ALLPERMS;
	provider->uid = st.st_uid;
	provider->gid = st.st_gid;
	provider->allowed = !faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS);
}

/* Both return 0, or -1 (silently) if there is nothing there any more. */
static int read_provider(void *item, const char *sysfs, const char *p2pmem)
{
	struct provider *provider = item;
	char path[PATH_MAX];
	glob_t nvme;

	snprintf(path, sizeof(path), "%s/..", p2pmem);
	if (read_place(&provider->pci, sysfs, path))
		return -1;
	provider->size = read_number(p2pmem, "size");
	provider->available = read_number(p2pmem, "available");
	provider->published = read_number(p2pmem, "published");
	read_allocate(provider, p2pmem);
	snprintf(path, sizeof(path), "%s/../nvme/nvme*", p2pmem);
	if (!glob(path, 0, NULL, &nvme)) {
		copy_name(provider->nvme, nvme.gl_pathv[0]);
		globfree(&nvme);
	}
	return 0;
}

static int read_device(void *item, const char *sysfs, const char *folder)
{
	struct rdma_device *device = item;
	char path[PATH_MAX];

	copy_name(device->name, folder);
	snprintf(path, sizeof(path), "%s/device", folder);
	device->is_pci = !read_place(&device->pci, sysfs, path);
	return access(folder, F_OK);
}

/* Items of @size bytes, one of each folder that matches @pattern. Returns NULL without memory. */
static void *read_all(const char *sysfs, const char *pattern, size_t size,
		      int (*read_one)(void *item, const char *sysfs, const char *folder),
		      unsigned int *count)
{
	char path[PATH_MAX];
	glob_t found = {};
	char *items;

	snprintf(path, sizeof(path), "%s/%s", sysfs, pattern);
	glob(path, 0, NULL, &found);
	items = calloc(found.gl_pathc + 1, size);
	for (size_t i = 0; items && i < found.gl_pathc; i++)
		*count += !read_one(items + *count * size, sysfs, found.gl_pathv[i]);
	globfree(&found);
	return items;
}

static bool may_lock_any(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK);
}

static int read_limits(struct survey *survey)
{
	struct rlimit memlock;
	struct utsname name;

	if (getrlimit(RLIMIT_MEMLOCK, &memlock) || uname(&name))
		return fail_errno(errno, "cannot read limits and the kernel's release");
	survey->memlock = memlock.rlim_cur;
	survey->memlock_exempt = may_lock_any();
	copy_name(survey->kernel, name.release);
	return 0;
}

int survey_read(struct survey *survey, const char *sysfs, const char *provider, const char *device)
{
	char pattern[PATH_MAX];

	memset(survey, 0, sizeof(*survey));
	snprintf(pattern, sizeof(pattern), "bus/pci/devices/%s/p2pmem", provider ? provider : "*");
	survey->providers = read_all(sysfs, pattern, sizeof(*survey->providers), read_provider,
				     &survey->provider_count);
	snprintf(pattern, sizeof(pattern), "class/infiniband/%s", device ? device : "*");
	survey->devices = read_all(sysfs, pattern, sizeof(*survey->devices), read_device,
				   &survey->device_count);
	survey->pairs = calloc(survey->provider_count * survey->device_count + 1,
			       sizeof(*survey->pairs));
	if (!survey->providers || !survey->devices || !survey->pairs)
		return fail("out of memory");
	for (unsigned int i = 0; i < survey->provider_count; i++)
		for (unsigned int j = 0; j < survey->device_count; j++)
			survey->pairs[survey->pair_count++] = (struct pair){
				.provider = &survey->providers[i],
				.device = &survey->devices[j],
			};
	return read_limits(survey);
}

void survey_free(struct survey *survey)
{
	free(survey->providers);
	free(survey->devices);
	free(survey->pairs);
	memset(survey, 0, sizeof(*survey));
}

unsigned int pair_hops(const struct pair *pair, struct hop hops[2 * PCI_DEPTH])
{
	const struct pci_place *a = &pair->provider->pci, *b = &pair->device->pci;
	unsigned int shared = pci_path_shared(&a->path, &b->path), n = 0;

	for (unsigned int i = a->path.depth; i > 0 && i >= shared; i--)
		hops[n++] = (struct hop){ a->path.bdf[i - 1], &a->acs[i - 1] };
	for (unsigned int i = shared; i < b->path.depth; i++)
		hops[n++] = (struct hop){ b->path.bdf[i], &b->acs[i] };
	return n;
}

const char *pair_common_port(const struct pair *pair)
{
	const struct pci_path *a = &pair->provider->pci.path;
	unsigned int shared = pci_path_shared(a, &pair->device->pci.path);

	return shared ? a->bdf[shared - 1] : NULL;
}

/* Drivers that give one error for every refusal, by the names that they have on the PCI bus. */
static bool says_nothing(const struct pair *pair)
{
	static const struct {
		const char *driver;
		int err;
	} silent[] = {
		{ "be2net", EFAULT }, /* ocrdma */
		{ "qede", EFAULT },   /* qedr */
		{ "cxgb4", ENOMEM },
		{ "hns3", ENOMEM },
	};

	for (unsigned int i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		if (pair->err == silent[i].err &&
		    !strcmp(pair->device->pci.driver, silent[i].driver))
			return true;
	return false;
}

enum verdict pair_verdict(const struct pair *pair)
{
	if (pair->step != STEP_REGISTER)
		return NOT_KNOWN;
	if (!pair->err)
		return ACCEPTED;
	/* The limit of locked memory comes before any look at the memory. */
	if ((pair->err == ENOMEM || pair->err == EPERM) && !says_nothing(pair))
		return NOT_KNOWN;
	return REFUSED;
}

/*
 * A kernel without the series says EFAULT to any writable region of such memory, before it looks at
 * the device; one that has it says EREMOTEIO to a pair that does not go together.
 */
int survey_series(const struct survey *survey)
{
	int series = -1;

	for (unsigned int i = 0; i < survey->pair_count; i++) {
		const struct pair *pair = &survey->pairs[i];

		if (pair->step != STEP_REGISTER || says_nothing(pair))
			continue;
		if (!pair->err || pair->err == EREMOTEIO)
			return 1;
		if (pair->err == EFAULT)
			series = 0;
	}
	return series;
}
