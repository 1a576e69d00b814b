/* report_run.h - what kind of run a result is of: whole or smaller, finished or not, with cells of an
 * earlier run or without, on which machine and by which program. */
#ifndef DRIFTLINE_REPORT_RUN_H
#define DRIFTLINE_REPORT_RUN_H

#include <jansson.h>
#include <stdio.h>

/* Sentences that a reader must know first, as plain text: "Not the run that the config describes:
   --quick.", "5 of 12 cells have run.", "3 of 12 cells were kept from an earlier run of this program."
   New array of strings; empty for a whole run. */
json_t *run_remarks(const json_t *result);
/* How a page of several results opens: the kind of run, machine and program, then a row each. */
void html_runs(FILE *, json_t *const *results, size_t n);

#endif
