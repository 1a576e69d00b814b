/* report.h - a result for people: the tables on stdout after a run, and report.html. */
#ifndef DRIFTLINE_REPORT_REPORT_H
#define DRIFTLINE_REPORT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
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

/* How the run differs from a full run of the config, as sentences: "Not the run that the config
   describes: --quick.", "5 of 12 cells have run." Returns a new array, empty for a full run, of
   {"text": string, "bad": whether something that was promised is missing}. */
json_t *report_remarks(const json_t *result);
/* The config's file; one of the repository without the path before configs/. Belongs to the result. */
const char *report_config(const json_t *result);

/* ---- claims.c: a claim's verdict and numbers as text */

/* The values that the claim read, in that order, one line per label: "FAISS IVF[nprobe=4]:
 * recall@10/drift#1 = 0.9455, #2 = 0.9585, scanned/drift = 1.30k". A long series is shortened to
 * its range and length. Then a warning for each time or rate of two labels whose intervals over the
 * repeats overlap, if the claim is measured. Returns a new array of strings. */
json_t *claim_lines(const struct result *, const json_t *claim);

/* Whether the claim is from a publication; else the config's author made it. */
bool claim_is_published(const json_t *claim);
/* "not measured"; else, for a published claim, "reproduced" or "not reproduced", and for the
   config's own, "holds" or "does not hold". */
const char *claim_verdict(const json_t *claim);
/* Why the claim is not measured; "" if it is. */
const char *claim_why(const json_t *claim);
/* The claim's text without a leading "(ours)". */
const char *claim_text(const json_t *claim);

#endif
