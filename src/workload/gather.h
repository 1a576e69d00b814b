/* gather.h - prepares rows for a method: contiguous, with the method's element, and of unit length
 * under cosine. Runs outside the clock. */
#ifndef DRIFTLINE_WORKLOAD_GATHER_H
#define DRIFTLINE_WORKLOAD_GATHER_H

#include "src/workload/buffer.h"
#include "src/workload/view.h"

/* Rows [first, first + n) of a view with element `want`; scaled to unit length if `unit`, for F32
   only. *out points into the data if they need no change, else into the buffer. */
int gather_view(const struct view *, size_t first, size_t n, enum element want, bool unit,
                struct buffer *, struct vectors *out, struct error *);
/* The same for positions[0 .. n-1]; always copies. */
int gather_positions(const struct view *, const uint64_t *positions, size_t n, enum element want,
                     bool unit, struct buffer *, struct vectors *out, struct error *);
/* Scales n rows in place; does not change a zero row. */
void gather_scale_to_unit(float *rows, size_t n, size_t dim);

#endif
