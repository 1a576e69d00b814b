/* summary.h - cells -> medians over repeats, with intervals, by LABEL[point] and metric.
 *
 * A step's metrics carry its tag, or its operation's name. Where an operation's tag repeats,
 * METRIC/TAG#i is the i-th and METRIC/TAG the mean over all of them in one repeat. Only cells that
 * ended well count. A step's own statistics are stats.NAME/TAG. Of a sweep, RATE@recall=R/TAG
 * interpolates between the two measured points around R, for the rates of queries and their work;
 * past the measured ends there is none.
 */
#ifndef DRIFTLINE_SUMMARY_H
#define DRIFTLINE_SUMMARY_H

#include <jansson.h>

/* New array of { label, metric, median, low, high, repeats }. low and high: a 95 % interval of the
   median from what the repeats of this run show, as median_interval() (student.h); null below three
   repeats. */
json_t *summary_make(const json_t *cells);

/* What the medians are of: new object "LABEL\nMETRIC" -> { label, metric, values: one per repeat }. */
json_t *summary_samples(const json_t *cells);

#endif
