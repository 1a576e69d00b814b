/* report_columns.h - which metrics a table of a result shows, for the screen and for the page. */
#ifndef DRIFTLINE_REPORT_COLUMNS_H
#define DRIFTLINE_REPORT_COLUMNS_H

#include <jansson.h>
#include <stdbool.h>

#include "harness/metric.h"

enum column_group {
    COLUMNS_QUERIES,     /* recall, throughput, work of each query set */
    COLUMNS_UPDATES,     /* time and memory of each change */
    COLUMNS_ALL_QUERIES, /* with latencies, for the page */
    COLUMNS_ALL_UPDATES,
    COLUMNS_AT_RECALL, /* throughput and work of a build's sweep at a recall, for the page */
};

/* "recall@10/mnist", "qps/mnist" ... of the metrics the result has, tag by tag. New array of
 * strings. */
json_t *report_columns(const json_t *result, enum column_group);
bool report_has_any(const struct summary_index *, const char *label, const json_t *columns);

#endif
