// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "device.h"
#include "pci.h"

#define PCI_VENDOR_ID_AMAZON 0x1d0f
#define PCI_DEVICE_ID_EFA1   0xefa1
#define PCI_CLASS_ETHERNET   0x0200

/* Where the capabilities are, and in BAR 0 what the MSI-X one points to. */
#define CAP_EXP		0x40
#define CAP_MSIX	0x80
#define MSIX_TABLE	0x2000
#define MSIX_PBA	0x3000

#define EXP_FLAGS  (2 | PCI_EXP_TYPE_ENDPOINT << 4) /* version 2 */
#define EXP_DEVCAP (PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR)
#define EXP_LINK   (PCI_EXP_LNKCAP_SLS_8_0GB | 16 << 4) /* 8 GT/s, 16 lanes */

static void set16(u8 *bytes, unsigned int off, u16 value)
{
	memcpy(bytes + off, &value, sizeof(value));
}

static void set32(u8 *bytes, unsigned int off, u32 value)
{
	memcpy(bytes + off, &value, sizeof(value));
}

/* A 64-bit memory BAR.  Its size shows as the bits that cannot be written. */
static void init_bar(struct pci *pci, unsigned int bar, u32 size, u32 flags)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

	set32(pci->config, off, flags | PCI_BASE_ADDRESS_MEM_TYPE_64);
	set32(pci->writable, off, ~(size - 1));
	set32(pci->writable, off + 4, ~0u);
}

static void init_express(struct pci *pci)
{
	pci->config[CAP_EXP] = PCI_CAP_ID_EXP;
	pci->config[CAP_EXP + PCI_CAP_LIST_NEXT] = CAP_MSIX;
	set16(pci->config, CAP_EXP + PCI_EXP_FLAGS, EXP_FLAGS);
	set32(pci->config, CAP_EXP + PCI_EXP_DEVCAP, EXP_DEVCAP);
	set32(pci->config, CAP_EXP + PCI_EXP_LNKCAP, EXP_LINK);
	set16(pci->config, CAP_EXP + PCI_EXP_LNKSTA, EXP_LINK);
	set16(pci->writable, CAP_EXP + PCI_EXP_DEVCTL, (u16)~PCI_EXP_DEVCTL_BCR_FLR);
	set16(pci->writable, CAP_EXP + PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC);
	set16(pci->writable, CAP_EXP + PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_COMP_TIMEOUT);
}

static void init_msix(struct pci *pci)
{
	pci->config[CAP_MSIX] = PCI_CAP_ID_MSIX;
	set16(pci->config, CAP_MSIX + PCI_MSIX_FLAGS, EFA_MSIX_VECTORS - 1);
	set32(pci->config, CAP_MSIX + PCI_MSIX_TABLE, MSIX_TABLE | EFA_BAR_REGS);
	set32(pci->config, CAP_MSIX + PCI_MSIX_PBA, MSIX_PBA | EFA_BAR_REGS);
	set16(pci->writable, CAP_MSIX + PCI_MSIX_FLAGS,
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
}

void pci_init(struct pci *pci)
{
	memset(pci, 0, sizeof(*pci));
	set16(pci->config, PCI_VENDOR_ID, PCI_VENDOR_ID_AMAZON);
	set16(pci->config, PCI_DEVICE_ID, PCI_DEVICE_ID_EFA1);
	set16(pci->config, PCI_STATUS, PCI_STATUS_CAP_LIST);
	set16(pci->config, PCI_CLASS_DEVICE, PCI_CLASS_ETHERNET);
	set16(pci->config, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID_AMAZON);
	set16(pci->config, PCI_SUBSYSTEM_ID, PCI_DEVICE_ID_EFA1);
	pci->config[PCI_CAPABILITY_LIST] = CAP_EXP;
	set16(pci->writable, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
	      PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	pci->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	pci->writable[PCI_INTERRUPT_LINE] = 0xff;

	init_bar(pci, EFA_BAR_REGS, EFA_BAR_REGS_SIZE, 0);
	init_bar(pci, EFA_BAR_LLQ, EFA_BAR_LLQ_SIZE, PCI_BASE_ADDRESS_MEM_PREFETCH);
	init_bar(pci, EFA_BAR_DB, EFA_BAR_DB_SIZE, 0);
	init_express(pci);
	init_msix(pci);
}

static bool is_inside(u64 off, size_t len)
{
	return off <= PCI_CONFIG_SIZE && len <= PCI_CONFIG_SIZE - off;
}

int pci_read(const struct pci *pci, u64 off, void *buf, size_t len)
{
	if (!is_inside(off, len))
		return -EINVAL;
	memcpy(buf, pci->config + off, len);
	return 0;
}

int pci_write(struct pci *pci, u64 off, const void *buf, size_t len, bool *reset)
{
	const unsigned int flr = CAP_EXP + PCI_EXP_DEVCTL + 1;
	const u8 *bytes = buf;

	if (!is_inside(off, len))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		u8 mask = pci->writable[off + i];

		pci->config[off + i] = (pci->config[off + i] & ~mask) | (bytes[i] & mask);
	}
	*reset = off <= flr && flr - off < len &&
		 (bytes[flr - off] & (PCI_EXP_DEVCTL_BCR_FLR >> 8));
	return 0;
}
