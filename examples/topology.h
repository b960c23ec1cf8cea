/* SPDX-License-Identifier: GPL-2.0-only */
/* Where two PCI devices stand to each other, and what that means for peer-to-peer DMA. */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdio.h>

#define PCI_NAME  16 /* "0000:03:00.0" or "pci0000:00", and room for 32-bit domains */
#define PCI_DEPTH 24 /* bridges between a host bridge and a device: a bus has 256 at most */
#define PCI_NOTE  96

/* A device and all that is above it, from the root down; the device is the last. */
struct pci_path {
	char host_bridge[PCI_NAME];
	unsigned int depth;
	char bdf[PCI_DEPTH][PCI_NAME];
	char note[PCI_DEPTH][PCI_NOTE]; /* what else to say of a bridge; parsing leaves it empty */
};

/* How requests travel between two devices, as far as their paths tell. */
enum p2p_route {
	P2P_SAME_PORT,	  /* below one switch or root port */
	P2P_SAME_BRIDGE,  /* behind different root ports of one host bridge */
	P2P_OTHER_BRIDGE, /* behind different host bridges */
};

/*
 * Takes the resolved sysfs path of a PCI device, or of anything below one (a block device, say).
 * Returns 0, or -1 (silently) when there is no PCI device in it.
 */
int pci_path_parse(struct pci_path *path, const char *sysfs);

/* The same for a link in sysfs, which it resolves first. */
int pci_path_resolve(struct pci_path *path, const char *link);

/* The device's own name, such as "0000:03:00.0". */
const char *pci_path_name(const struct pci_path *path);

/* How many devices, counted from the root, the paths have in common. */
unsigned int pci_path_shared(const struct pci_path *a, const struct pci_path *b);

/* A function of the two paths and nothing else. */
enum p2p_route p2p_route(const struct pci_path *a, const struct pci_path *b);

/* One sentence: what the kernel is expected to do, and what cannot be known from here. */
const char *p2p_route_text(enum p2p_route route);

/* Draws both paths as one tree (or two), each device with its label. */
void topology_draw(FILE *out, const struct pci_path *a, const char *a_label,
		   const struct pci_path *b, const char *b_label);

#endif
