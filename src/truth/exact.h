/* exact.h - the distance that both ground truth and scores use: summed directly in double
 * precision. Integers and codes are exact. */
#ifndef DRIFTLINE_TRUTH_EXACT_H
#define DRIFTLINE_TRUTH_EXACT_H

#include "src/core/index.h"

/* The distance that index.h defines for the metric. With COS, the rows need not have unit length,
   and a zero row has distance 2 to every row. a, b: one row each, aligned for their element. */
double exact_distance(enum metric, enum element, const void *a, const void *b, size_t dim);

/* How far rounding may move the distance d of a and b if it is computed in single precision. Rows
   whose distances differ by no more are tied. It is 1e-6 of the sum of the terms' magnitudes: under
   L2, of d, because differences of components lose nothing; under IP, of the sum of |a_i b_i|; under
   COS, of 2, whatever the element. Else 0: integers and codes are exact. */
double exact_rounding(enum metric, enum element, const void *a, const void *b, size_t dim,
                      double d);

#endif
