/* result_metrics.h - descriptions of the metrics of a result: metrics.def as a table.
 *
 * A metric in a summary is named NAME/TAG, NAME/TAG#i in a series, or RATE@recall=R/TAG for a whole
 * sweep. The distance between vectors, also called a metric, is defined in src/core/index.h.
 */
#ifndef DRIFTLINE_BASE_RESULT_METRICS_H
#define DRIFTLINE_BASE_RESULT_METRICS_H

#include <stdbool.h>
#include <stddef.h>

struct table;

enum result_unit { UNIT_NONE, UNIT_PER_SECOND, UNIT_SHARE, UNIT_SECONDS, UNIT_NS, UNIT_BYTES };
enum result_over { OVER_MEAN, OVER_EACH, OVER_RATE, OVER_LEAST };
/* A row of metrics.def, which describes the fields. */
struct result_metric {
    const char *name, *object, *field, *title;
    enum result_unit unit;
    enum result_over over;
    bool logarithmic;
    int better;
    unsigned queries, updates;
};
/* A column with at least this number is also printed after a run. */
enum { RESULT_METRIC_SCREEN = 1000 };

/* The description of a metric, with or without its tag; never NULL. A statistic (stats.NAME) and an
   unknown metric have the name "". */
const struct result_metric *result_metric(const char *name);
/* The i-th metric of metrics.def; NULL past the end. */
const struct result_metric *result_metric_at(size_t i);
/* The rates and costs that are interpolated at a recall, as RATE@recall=R. */
struct result_rate_at {
    const char *name;
    int better;         /* as in struct result_metric */
    const char *recall; /* the metric of the recall of the same answers */
};
enum { RESULT_RATES = 6, RESULT_RECALLS = 4 };
extern const struct result_rate_at result_metric_rates[RESULT_RATES];
extern const char *const result_metric_recalls[RESULT_RECALLS]; /* R, as text */
/* True for RATE@recall=R with one of these rates and recalls. */
bool result_metric_is_rate(const char *name);
/* True for RATE@recall=R. A build has this metric; the points of its sweep do not. */
bool result_metric_is_at_recall(const char *name);
/* True for a time or a rate; a repeat measures another value of it. */
bool result_metric_is_timed(const char *name);
/* Formats a value for a table, in a form that suits the metric's unit. */
void result_metric_text(const struct result_metric *, double value, char *text, size_t bytes);
/* Adds a cell with a value of this unit. */
void result_metric_add(struct table *, enum result_unit, double value);
/* Splits a name such as "recall@10/fashion#2" at its first slash. The tag may be empty. */
void result_metric_split(const char *metric, char *name, size_t name_bytes, char *tag,
                         size_t tag_bytes);

#endif
