/* rounds.h - tables of methods measured in paired rounds. */
#ifndef DRIFTLINE_REPORT_ROUNDS_H
#define DRIFTLINE_REPORT_ROUNDS_H

#include <jansson.h>
#include <stdio.h>

/* Print result.json's "compare" as a table of text or HTML; nothing if it is absent. */
void report_rounds(const json_t *result, FILE *);
void html_rounds(FILE *, const json_t *result);

#endif
