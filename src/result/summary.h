/* summary.h - medians of cells over repeats, with intervals, by LABEL[point] and metric.
 *
 * METRIC/TAG names a metric of a step; TAG is the step's tag, or its operation's name. If several
 * steps of an operation share a tag, METRIC/TAG#i belongs to the i-th step, and METRIC/TAG is of all
 * these steps in one repeat: a rate is the sum of their counts over the sum of their seconds, what is
 * measured for each query or row is weighted by their number, anything else is the mean. Cells that failed are left out. stats.NAME/TAG is a
 * statistic that the method reports. RATE@recall=R/TAG interpolates linearly between the two
 * measured points of a sweep around R, for query rates and work per query. It is absent outside the
 * measured range.
 */
#ifndef DRIFTLINE_RESULT_SUMMARY_H
#define DRIFTLINE_RESULT_SUMMARY_H

#include <jansson.h>

/* Returns a new array of { label, metric, median, low, high, repeats, noisy }. low and high are the 95 %
   interval of the median over this run's repeats by stats_median_interval() (stats.h); null below
   three repeats. noisy: a time or rate that is not steady: this interval, or in one repeat that over the
   passes of the search, is wider than a tenth, or the passes waited for a processor more than a
   tenth of their time. NULL: out of memory. */
json_t *summary_make(const json_t *cells);

/* Returns the metrics of one step in a new object: METRIC -> value, without a tag. NULL: out of
   memory. */
json_t *summary_of_step(const json_t *step);

/* Returns the values behind the medians in a new object: "LABEL\nMETRIC" -> { label, metric, noisy,
   values: one per repeat }. NULL: out of memory. */
json_t *summary_samples(const json_t *cells);

#endif
