/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI configuration space: a PCIe endpoint with three memory BARs and MSI-X.
 * The MSI-X table and pending bits lie in the register BAR, but whoever maps the
 * device for the guest handles accesses to them.
 */
#ifndef EFA_PCI_H
#define EFA_PCI_H

#include <stdbool.h>
#include <stddef.h>

#include "defs.h"

#define PCI_CONFIG_SIZE 4096u

struct pci {
	u8 config[PCI_CONFIG_SIZE];
	u8 writable[PCI_CONFIG_SIZE]; /* a mask for each byte */
};

/* As after power-on. */
void pci_init(struct pci *pci);
/* -EINVAL when off + len leaves the space. */
int pci_read(const struct pci *pci, u64 off, void *buf, size_t len);
/* Tells in @reset whether the guest asked for a function-level reset. */
int pci_write(struct pci *pci, u64 off, const void *buf, size_t len, bool *reset);

#endif
