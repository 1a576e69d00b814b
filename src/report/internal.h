/* internal.h - what the tables on stdout and the page share; private to this folder. */
#ifndef DRIFTLINE_REPORT_INTERNAL_H
#define DRIFTLINE_REPORT_INTERNAL_H

#include "src/report/report.h"

/* ---- columns.c: the metrics that a table of a result shows, on the screen and on the page */

enum column_group {
    COLUMNS_QUERIES,     /* screen: recall, throughput and work of each query set */
    COLUMNS_UPDATES,     /* screen: time and memory of each change */
    COLUMNS_ALL_QUERIES, /* page: with latencies */
    COLUMNS_ALL_UPDATES,
    COLUMNS_AT_RECALL, /* page: throughput and work at fixed recalls, interpolated over a sweep */
};

/* The metrics that the result has, tag by tag: "recall@10/mnist", "qps/mnist". Returns a new array
 * of strings. */
json_t *report_columns(const struct result *, enum column_group);
/* Prints a line with the tags that have no column on the screen; nothing if all have. */
void report_tags_left_out(const struct result *, FILE *);
/* Whether the label has a value in any of these columns. */
bool report_has_any(const struct result *, const char *label, const json_t *columns);

/* ---- run.c: the run of a result */

/* The searches that a build does not support, which leave its fields of the tables empty: a new array
   of strings, "LABEL: \"thin\", \"both\" not supported: the reason". */
json_t *report_unsupported(const struct result *);
/* The opening of a page of n results: the kind of run, machine and program, and a table with one
   row per result. */
void html_runs(FILE *, const struct result *results, size_t n);

/* ---- statements.c: claims, published values and paired rounds */

/* The opening comment of the config, in paragraphs. */
void html_about(FILE *, const json_t *result);
/* "5 of 7 claims hold, 1 does not, 1 is not measured", if there are claims. */
void html_verdicts(FILE *, const json_t *result);
/* The publication's claims, then the config's own, each with its numbers. */
void html_claims(FILE *, const struct result *);
/* A table of the published values beside the measured ones; nothing if there are none. */
void html_published(FILE *, const json_t *result);
/* One table of all claims of n results, with links to the results' sections (#result-1 ...). */
void html_overview(FILE *, const struct result *results, size_t n);
/* Print result.json's "compare" as a table of text or HTML; nothing if it is absent. */
void report_rounds(const json_t *result, FILE *);
void html_rounds(FILE *, const json_t *result);

/* ---- html.c: the parts of a page that all its sections use */

/* The text before a page's content, and the text after it. */
void html_begin(FILE *, const char *title);
void html_end(FILE *);
/* The SVG file `name` of dir as an image, with links to its other forms beside the page; if it cannot
   be read, the reason as text. */
void html_figure(FILE *, const char *dir, const char *name);
/* The text, quoted, between markup. */
void html_text(FILE *, const char *before, const char *text, const char *after);
/* The first cell of a row: the result's name, which leads to section `number` of the page. */
void html_result_link(FILE *, const json_t *result, size_t number);
/* <td class="...">text</td> */
void html_cell(FILE *, const char *text, const char *class);

/* The text of the config, if the file is still the one that ran. */
void html_config(FILE *, const json_t *result);

#endif
