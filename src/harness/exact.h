/* exact.h - the one formula that both the truth and the scores use: a distance in double precision,
 * summed directly. Integers and codes are exact.
 */
#ifndef DRIFTLINE_EXACT_H
#define DRIFTLINE_EXACT_H

#include "core/index.h"

/* `distance` as index.h defines it for the metric. Under COS neither side need be of unit
   length, and a zero row is at 2 from everything. a, b: one row each, aligned for their element. */
double exact_distance(enum metric, enum element, const void *a, const void *b, size_t dim);

#endif
