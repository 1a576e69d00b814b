/* statements.h - claims and published values beside measured values, in HTML. */
#ifndef DRIFTLINE_REPORT_STATEMENTS_H
#define DRIFTLINE_REPORT_STATEMENTS_H

#include <jansson.h>
#include <stdio.h>

#include "src/result/read.h"

/* The opening comment of the config, in paragraphs. */
void html_about(FILE *, const json_t *result);
/* The publication's claims, then the config's own, each with its numbers. */
/* "5 of 7 claims hold, 1 does not, 1 is not measured", if there are claims. */
void html_verdicts(FILE *, const json_t *result);
void html_claims(FILE *, const struct result *);
/* A table of the published values beside the measured ones; nothing if there are none. */
void html_published(FILE *, const json_t *result);
/* One table of all claims of n results, with links to the results' sections (#result-1 ...). */
void html_overview(FILE *, const struct result *results, size_t n);

#endif
