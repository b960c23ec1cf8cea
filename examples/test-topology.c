// SPDX-License-Identifier: GPL-2.0-only
/* What is made of PCI paths, from paths as sysfs has them. Prints KTAP. */
#include <stdio.h>
#include <string.h>

#include "topology.h"

#define SWITCH	"/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0"
#define NVME	SWITCH "/0000:02:00.0/0000:03:00.0"
#define RNIC	SWITCH "/0000:02:01.0/0000:04:00.0"
#define VMD	"/sys/devices/pci0000:00/0000:00:0e.0/pci10000:00"
#define NO_PATH -1

static const struct {
	const char *name, *a, *b;
	int route;
} tests[] = {
	{ "two ports of one switch share it", NVME, RNIC, P2P_SAME_PORT },
	{ "a namespace stands where its controller does",
	  NVME "/nvme/nvme0/nvme0n1/nvme0n1p1", RNIC, P2P_SAME_PORT },
	{ "two functions below one root port share it",
	  "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0",
	  "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.1", P2P_SAME_PORT },
	{ "different root ports of one host bridge",
	  NVME, "/sys/devices/pci0000:00/0000:00:03.0/0000:05:00.0", P2P_SAME_BRIDGE },
	{ "different host bridges",
	  NVME, "/sys/devices/pci0000:40/0000:40:02.0/0000:41:00.0", P2P_OTHER_BRIDGE },
	{ "equal names in two domains are different devices",
	  "/sys/devices/pci0001:00/0001:00:02.0/0001:01:00.0",
	  "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0", P2P_OTHER_BRIDGE },
	{ "a domain below a device is a root of its own",
	  VMD "/10000:00:01.0/10000:01:00.0",
	  "/sys/devices/pci0000:00/0000:00:0e.0", P2P_OTHER_BRIDGE },
	{ "two drives below one port of such a domain share it",
	  VMD "/10000:00:01.0/10000:01:00.0", VMD "/10000:00:01.0/10000:01:00.1", P2P_SAME_PORT },
	{ "a multipath namespace has no path",
	  "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", RNIC, NO_PATH },
	{ "a host bridge alone is no path", "/sys/devices/pci0000:00", RNIC, NO_PATH },
	{ "names that only begin like a device are none",
	  "/sys/devices/pci0000:00/0000:00:02.0x/0000:00:02.10", RNIC, NO_PATH },
	{ "an empty path is no path", "", RNIC, NO_PATH },
};

#define TESTS (sizeof(tests) / sizeof(tests[0]))

int main(void)
{
	struct pci_path a, b;
	unsigned int failed = 0;

	printf("KTAP version 1\n1..%zu\n", TESTS);
	for (unsigned int i = 0; i < TESTS; i++) {
		int route = NO_PATH;

		if (!pci_path_parse(&a, tests[i].a) && !pci_path_parse(&b, tests[i].b))
			route = p2p_route(&a, &b);
		if (route != tests[i].route) {
			printf("# route %d, expected %d\nnot ", route, tests[i].route);
			failed++;
		}
		printf("ok %u %s\n", i + 1, tests[i].name);
	}
	return failed ? 1 : 0;
}
