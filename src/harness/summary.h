/* summary.h - cells -> medians over repeats, with bootstrap intervals, by LABEL[point] and metric.
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
#include <stdint.h>

/* New array of { label, metric, median, low, high, repeats }; low and high are null below two
   repeats. */
json_t *summary_make(const json_t *cells, uint64_t seed);

#endif
