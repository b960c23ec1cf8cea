/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What there is: devices that provide peer-to-peer memory, RDMA devices, their places in the PCI
 * tree, and what this process may do. Read from sysfs; nothing is changed and nobody is asked.
 */
#ifndef SURVEY_H
#define SURVEY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "acs.h"
#include "topology.h"

#define NAME_SIZE 64 /* bytes of a device's or driver's name, the 0 included */

/* A PCI device with its place, and the ACS of each device in path.bdf. */
struct pci_place {
	struct pci_path path; /* its notes say what the ACS of a bridge is */
	struct acs acs[PCI_DEPTH];
	char driver[NAME_SIZE]; /* empty: none */
};

struct provider {
	struct pci_place pci;
	char nvme[NAME_SIZE]; /* such as "nvme0"; empty: no NVMe drive */
	uint64_t size;	      /* bytes */
	uint64_t available;   /* bytes of it that nobody uses */
	bool published;	      /* its driver offers it to others for data */
	mode_t mode;	      /* of p2pmem/allocate, permissions only; 0: there is no such file */
	uid_t uid;
	gid_t gid;
	bool allowed; /* this process may open it for reading and writing */
};

struct rdma_device {
	char name[NAME_SIZE];
	bool is_pci; /* else pci is empty */
	struct pci_place pci;
};

/* How far the question came; the kernel's answer is that to STEP_REGISTER. */
enum step {
	STEP_ALLOCATE, /* open p2pmem/allocate */
	STEP_MAP,
	STEP_DEVICE, /* open the RDMA device */
	STEP_DOMAIN, /* allocate a protection domain */
	STEP_REGISTER,
};

struct pair {
	const struct provider *provider;
	const struct rdma_device *device;
	enum step step; /* the last that was tried */
	int err;	/* what it said, an errno value or 0 */
};

struct survey {
	char kernel[NAME_SIZE]; /* its release */
	rlim_t memlock;		/* bytes that this process may lock */
	bool memlock_exempt;	/* it has CAP_IPC_LOCK, so that the limit does not hold for it */
	struct provider *providers;
	unsigned int provider_count;
	struct rdma_device *devices;
	unsigned int device_count;
	struct pair *pairs; /* each with each; of none has the kernel been asked yet */
	unsigned int pair_count;
};

/*
 * Fills @survey, with @sysfs as the place of sysfs. @provider (a PCI address) and @device (a name)
 * choose; NULL takes all. Returns 0, or -1 after an error message; survey_free() is right after
 * either.
 */
int survey_read(struct survey *survey, const char *sysfs, const char *provider, const char *device);
void survey_free(struct survey *survey);

/* One device on the way of a pair. */
struct hop {
	const char *bdf;
	const struct acs *acs;
};

/*
 * The way from the provider to the RDMA device, both included: by their lowest common port, or, if
 * there is none, by their host bridges, which are no hops. Returns the number of @hops.
 */
unsigned int pair_hops(const struct pair *pair, struct hop hops[2 * PCI_DEPTH]);

/* The address of the lowest common port, or NULL. */
const char *pair_common_port(const struct pair *pair);

enum verdict {
	ACCEPTED,
	REFUSED,
	NOT_KNOWN, /* this process did not come far enough to hear */
};

enum verdict pair_verdict(const struct pair *pair);

/* What the answers say of the kernel: 1 it has the series, 0 it has not, -1 nothing. */
int survey_series(const struct survey *survey);

#endif
