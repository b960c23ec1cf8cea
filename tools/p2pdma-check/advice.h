/* SPDX-License-Identifier: GPL-2.0-only */
/* What to change, for a pair or a machine to work. */
#ifndef ADVICE_H
#define ADVICE_H

#include "survey.h"

#define ADVICE_SIZE 1024 /* bytes; as much as there ever is */

/* Sentences on one line, cut to ADVICE_SIZE. Empty when nothing has to change. */
void pair_advice(const struct survey *survey, const struct pair *pair, char *text);

/* Why there is no pair; empty if there is one. */
void survey_advice(const struct survey *survey, char *text);

#endif
