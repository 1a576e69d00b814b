/* report_rounds.h - methods measured in paired rounds, as people read it. */
#ifndef DRIFTLINE_REPORT_ROUNDS_H
#define DRIFTLINE_REPORT_ROUNDS_H

#include <jansson.h>
#include <stdio.h>

/* A table of result.json's "compare"; nothing where it has none. */
void report_rounds(const json_t *result, FILE *);
void html_rounds(FILE *, const json_t *result);

#endif
