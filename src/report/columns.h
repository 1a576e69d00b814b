/* columns.h - selects the metrics that a table of a result shows, on the screen and on the page. */
#ifndef DRIFTLINE_REPORT_COLUMNS_H
#define DRIFTLINE_REPORT_COLUMNS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "src/result/read.h"

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

#endif
