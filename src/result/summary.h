/* summary.h - medians of cells over repeats, with intervals, by LABEL[point] and metric.
 *
 * METRIC/TAG names a metric of a step; TAG is the step's tag, or its operation's name. If several
 * steps of an operation share a tag, METRIC/TAG#i belongs to the i-th step, and METRIC/TAG is of all
 * these steps in one repeat, as metrics.def says. Cells that failed are left out. stats.NAME/TAG is
 * a statistic that the method reports. RATE@recall=R/TAG interpolates linearly between the two
 * measured points of a sweep around R, for query rates and work per query; where a point of more
 * recall is better than all of less, it is that point's. It is absent outside the measured range.
 */
#ifndef DRIFTLINE_RESULT_SUMMARY_H
#define DRIFTLINE_RESULT_SUMMARY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct result;
struct result_cell;
struct result_step;

/* What one repeat measured. */
struct summary_sample {
    const struct result_cell *cell; /* of a whole sweep, its first point */
    double value;
};

/* A metric of LABEL[point], or of a build if it is of a whole sweep.
 *
 * low, high  the 95 % interval of the median over this run's repeats by stats_median_interval()
 *            (stats.h); none below three
 * noisy      a time or rate that is not steady: this interval, or in one repeat that over the
 *            passes of the search, is wider than a tenth, or the passes waited for a processor more
 *            than a tenth of their time, or the threads of a load did */
struct summary_entry {
    const char *label;
    char *metric;             /* METRIC/TAG or METRIC/TAG#i */
    double median, low, high; /* NAN: not known */
    bool noisy;
    size_t repeats;
    struct summary_sample *samples; /* one per repeat; NULL: the entry is read from a file */
    size_t capacity;
    double sum, weight; /* of the last sample, over its steps */
};

struct summary {
    struct summary_entry **at; /* in the order in which they were measured */
    size_t n, capacity;
    void *tree; /* by label and metric, for tsearch() */
};

/* Computes the summary of the result's cells. The labels are the result's, which must outlive it.
   The caller calls summary_free(), also after an error. False: out of memory. */
bool summary_make(struct summary *, const struct result *);
/* Reads the array of result.json, which must outlive the summary. */
bool summary_read(struct summary *, const json_t *);
/* Returns a new array of { label, metric, median, low, high, repeats, noisy }. */
json_t *summary_json(const struct summary *);
void summary_free(struct summary *);

/* The entry of a label and "METRIC/TAG"; if there is none, one without values. */
const struct summary_entry *summary_find(const struct summary *, const char *label,
                                         const char *metric);
/* The same of METRIC and TAG. */
const struct summary_entry *summary_find_tag(const struct summary *, const char *label,
                                             const char *metric, const char *tag);
bool summary_has_label(const struct summary *, const char *label);
/* The entry, which is added if there is none; the label must outlive it. NULL: out of memory. */
struct summary_entry *summary_add(struct summary *, const char *label, const char *metric);
/* Adds what one more repeat measured. */
bool summary_add_sample(struct summary_entry *, const struct result_cell *, double value);

/* Sets the metrics of one step in an object: METRIC -> value, without a tag. */
void summary_of_step(const struct result_step *, json_t *to);

#endif
