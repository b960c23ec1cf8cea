/* SPDX-License-Identifier: GPL-2.0-only */
/* The report, as text for people and as JSON for programs. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>

#include "survey.h"

void print_text(FILE *out, const struct survey *survey);

/*
 * One object: kernel, memlock, providers, devices, pairs, change. Sizes are in bytes; what is not
 * known or not there is null.
 */
void print_json(FILE *out, const struct survey *survey);

/* The call, in words that both use. */
const char *step_name(enum step step);

#endif
