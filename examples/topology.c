// SPDX-License-Identifier: GPL-2.0-only
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology.h"

static bool is_host_bridge(const char *name)
{
	unsigned int domain, bus;
	int end = 0;

	return sscanf(name, "pci%8x:%2x%n", &domain, &bus, &end) == 2 && !name[end];
}

static bool is_device(const char *name)
{
	unsigned int domain, bus, slot, function;
	int end = 0;

	return sscanf(name, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) == 4 &&
	       !name[end];
}

int pci_path_parse(struct pci_path *path, const char *sysfs)
{
	char name[PCI_NAME];

	memset(path, 0, sizeof(*path));
	while (*sysfs) {
		size_t len = strcspn(sysfs, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, sysfs);
		if (len >= sizeof(name)) {
			name[0] = '\0';
		} else if (is_host_bridge(name)) {
			/* A host bridge below a device (Intel VMD) is a root of its own. */
			path->depth = 0;
			strcpy(path->host_bridge, name);
		} else if (path->host_bridge[0] && is_device(name)) {
			if (path->depth == PCI_DEPTH)
				return -1;
			strcpy(path->bdf[path->depth++], name);
		}
		sysfs += len;
		sysfs += *sysfs == '/';
	}
	return path->depth ? 0 : -1;
}

int pci_path_resolve(struct pci_path *path, const char *link)
{
	char sysfs[PATH_MAX];

	return realpath(link, sysfs) ? pci_path_parse(path, sysfs) : -1;
}

const char *pci_path_name(const struct pci_path *path)
{
	return path->bdf[path->depth - 1];
}

unsigned int pci_path_shared(const struct pci_path *a, const struct pci_path *b)
{
	unsigned int i = 0;

	if (strcmp(a->host_bridge, b->host_bridge))
		return 0;
	while (i < a->depth && i < b->depth && !strcmp(a->bdf[i], b->bdf[i]))
		i++;
	return i;
}

enum p2p_route p2p_route(const struct pci_path *a, const struct pci_path *b)
{
	if (strcmp(a->host_bridge, b->host_bridge))
		return P2P_OTHER_BRIDGE;
	return pci_path_shared(a, b) ? P2P_SAME_PORT : P2P_SAME_BRIDGE;
}

const char *p2p_route_text(enum p2p_route route)
{
	switch (route) {
	case P2P_SAME_PORT:
		return "below one switch or root port: by bus address; but if a bridge between\n"
		       "them has ACS request redirect on (lspci -vvv as root: ReqRedir+), requests go\n"
		       "through the host bridge, and only if the kernel knows that it passes them on";
	case P2P_SAME_BRIDGE:
		return "behind different root ports: through the host bridge, if the kernel knows that\n"
		       "this host bridge or CPU passes peer-to-peer requests on, which sysfs does not\n"
		       "tell; if not, ibv_reg_mr() gives EREMOTEIO and the kernel log says why";
	case P2P_OTHER_BRIDGE:
		return "behind different host bridges: through both, if the kernel knows that they pass\n"
		       "peer-to-peer requests on to each other, which sysfs does not tell and few do;\n"
		       "if not, ibv_reg_mr() gives EREMOTEIO and the kernel log says why";
	}
	return "unknown";
}

/* On PCI Express the levels alternate: a switch is an upstream port and its downstream ports. */
static const char *level_text(unsigned int level)
{
	if (level == 0)
		return "root port";
	return level % 2 ? "switch upstream port" : "switch downstream port";
}

/*
 * Draws the levels of @path from @from to before @to. With @sibling another branch follows below,
 * at the same level.
 */
static void draw_branch(FILE *out, const struct pci_path *path, unsigned int from, unsigned int to,
			bool sibling, const char *label)
{
	for (unsigned int i = from; i < to; i++) {
		bool fork = sibling && i == from, beside = sibling && i > from;
		bool bridge = i + 1 < path->depth;

		fprintf(out, "  %*s%s", 3 * (beside ? from : i), "", beside ? "│  " : "");
		fprintf(out, "%*s%s %s  %s%s%s\n", beside ? 3 * (i - from - 1) : 0, "",
			fork ? "├─" : "└─", path->bdf[i], bridge ? level_text(i) : label,
			bridge && path->note[i][0] ? ", " : "", bridge ? path->note[i] : "");
	}
}

void topology_draw(FILE *out, const struct pci_path *a, const char *a_label,
		   const struct pci_path *b, const char *b_label)
{
	unsigned int shared = pci_path_shared(a, b);

	fprintf(out, "  %s  host bridge\n", a->host_bridge);
	if (strcmp(a->host_bridge, b->host_bridge)) {
		draw_branch(out, a, 0, a->depth, false, a_label);
		fprintf(out, "  %s  host bridge\n", b->host_bridge);
		draw_branch(out, b, 0, b->depth, false, b_label);
		return;
	}
	draw_branch(out, a, 0, shared, false, a_label);
	draw_branch(out, a, shared, a->depth, true, a_label);
	draw_branch(out, b, shared, b->depth, false, b_label);
}
