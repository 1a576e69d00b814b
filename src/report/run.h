/* run.h - describes the run of a result: changes to the config, unfinished cells, cells kept from
 * an earlier run, machine and program. */
#ifndef DRIFTLINE_REPORT_RUN_H
#define DRIFTLINE_REPORT_RUN_H

#include <jansson.h>
#include <stdio.h>

#include "src/result/read.h"

/* How the run differs from a full run of the config, as sentences: "Not the run that the config
   describes: --quick.", "5 of 12 cells have run." Returns a new array, empty for a full run, of
   {"text": string, "bad": whether something that was promised is missing}. */
json_t *report_remarks(const json_t *result);
/* The searches that a build does not support, which leave its fields of the tables empty: a new array
   of strings, "LABEL: \"thin\", \"both\" not supported: the reason". */
json_t *report_unsupported(const struct result *);
/* The config's file; one of the repository without the path before configs/. Belongs to the result. */
const char *report_config(const json_t *result);
/* The opening of a page of n results: the kind of run, machine and program, and a table with one
   row per result. */
void html_runs(FILE *, const struct result *results, size_t n);

#endif
