/* report.h - result.json -> what people read: the summary table on stdout, and report.html. */
#ifndef DRIFTLINE_REPORT_H
#define DRIFTLINE_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "core/error.h"

/* The tables printed after a run: a row a label, the search metrics, then updates; claims;
 * published beside measured. */
void report_summary(const json_t *result, FILE *out);
/* dir/report.html out of dir/result.json and the SVGs beside it: one file, no network. */
int report_write(const char *dir, struct error *);
/* One page for several results, as `reproduce` makes. failed: configs that gave no result, named on
 * the page; NULL after the last. */
int report_write_many(const char *const *dirs, size_t n, const char *const *failed,
                      const char *title, const char *path, struct error *);

#endif
