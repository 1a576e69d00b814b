/* report.h - a result for people: the tables on stdout after a run, and report.html. */
#ifndef DRIFTLINE_REPORT_REPORT_H
#define DRIFTLINE_REPORT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "src/core/error.h"
#include "src/result/read.h"

/* Prints the tables after a run: queries and updates with one row per label, paired rounds,
 * published values beside measured ones, claims, and cells that failed. */
void report_summary(const struct result *, FILE *out);
/* Writes dir/report.html from dir/result.json and the SVGs in dir: one file that loads nothing from
 * the network. */
int report_write(const char *dir, struct error *);
/* Writes one page for the results in n folders, for `reproduce`. failed: configs without a result,
 * which the page names; NULL after the last. */
int report_write_many(const char *const *dirs, size_t n, const char *const *failed,
                      const char *title, const char *path, struct error *);

#endif
