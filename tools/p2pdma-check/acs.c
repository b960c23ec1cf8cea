// SPDX-License-Identifier: GPL-2.0-only
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "acs.h"

#define CONFIG_FOR_ALL 64 /* bytes that the kernel lets everybody read */

static uint32_t read_dword(const uint8_t *config, size_t at)
{
	return config[at] | config[at + 1] << 8 | config[at + 2] << 16 |
	       (uint32_t)config[at + 3] << 24;
}

struct acs acs_parse(const uint8_t *config, size_t len)
{
	/* What is broken may point back: no more steps than capabilities have place. */
	unsigned int steps = (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8;
	size_t at = PCI_CFG_SPACE_SIZE;

	if (len <= CONFIG_FOR_ALL)
		return (struct acs){ .state = ACS_UNKNOWN };
	while (steps-- && at >= PCI_CFG_SPACE_SIZE && at + PCI_ACS_CTRL + 2 <= len) {
		uint32_t header = read_dword(config, at);
		uint32_t acs = read_dword(config, at + PCI_ACS_CAP);

		/* The upper half is the control register, at PCI_ACS_CTRL. */
		if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_ACS)
			return (struct acs){ .state = ACS_PRESENT, .control = acs >> 16 };
		at = PCI_EXT_CAP_NEXT(header);
	}
	return (struct acs){ .state = ACS_ABSENT };
}

bool acs_redirects(const struct acs *acs)
{
	return acs->state == ACS_PRESENT &&
	       acs->control & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

const char *acs_bit_name(unsigned int bit)
{
	static const char *const names[] = {
		"SrcValid", "TransBlk", "ReqRedir", "CmpltRedir",
		"UpstreamFwd", "EgressCtrl", "DirectTrans",
	};

	return bit < sizeof(names) / sizeof(names[0]) ? names[bit] : NULL;
}

void acs_text(const struct acs *acs, char *text, size_t len)
{
	static const char *const states[] = { "ACS unknown", "no ACS", "ACS" };
	int n = snprintf(text, len, "%s", states[acs->state]);

	for (unsigned int bit = 0; acs_bit_name(bit) && n < (int)len; bit++)
		if (acs->control & 1 << bit)
			n += snprintf(text + n, len - n, " %s+", acs_bit_name(bit));
	if (acs->state == ACS_PRESENT && !acs->control && n < (int)len)
		snprintf(text + n, len - n, " off");
}
