/* exact.h - the distance that both ground truth and scores use: summed directly in double
 * precision. Integers and codes are exact. */
#ifndef DRIFTLINE_TRUTH_EXACT_H
#define DRIFTLINE_TRUTH_EXACT_H

#include "src/core/index.h"

/* The distance that index.h defines for the metric. With COS, the rows need not have unit length,
   and a zero row has distance 2 to every row. a, b: one row each, aligned for their element. */
double exact_distance(enum metric, enum element, const void *a, const void *b, size_t dim);

#endif
