/* SPDX-License-Identifier: GPL-2.0-only */
/* Access control services (ACS) of a PCI function: may it send a peer's request up to the root? */
#ifndef ACS_H
#define ACS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum acs_state {
	ACS_UNKNOWN, /* the configuration space could not be read, or only as much as anybody may */
	ACS_ABSENT,
	ACS_PRESENT,
};

struct acs {
	enum acs_state state;
	uint16_t control; /* the control register; PCI Express base specification, 7.7.11.3 */
};

/* Finds the capability in the first @len bytes of a configuration space. */
struct acs acs_parse(const uint8_t *config, size_t len);

/* It redirects: a request, or the answer to one, goes up and not straight to the peer. */
bool acs_redirects(const struct acs *acs);

/* Names as lspci has them: of bit @bit of the control register, NULL beyond the last. */
const char *acs_bit_name(unsigned int bit);

/* What is on, such as "ACS ReqRedir+ UpstreamFwd+", cut to @len bytes. */
void acs_text(const struct acs *acs, char *text, size_t len);

#endif
