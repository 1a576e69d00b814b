/* grid_internal.h - the grid point of nearest direction: RaBitQ's code beyond the signs.
 *
 * A vector's magnitudes a are coded by levels floor(t a_i), at most 2^bits - 1, which represent v_i
 * = level + 1/2. The t that brings v nearest to a in direction is the best rescaling of Gao et al.
 * (2025), who sweep all t at which a level changes, O(2^bits d log d). Here a few t around the
 * largest one that clips nothing are tried, then t := |v|^2 / <a, v> is repeated from the best: the
 * v nearest to the new t a is no farther in direction, because it minimises |v|^2 - 2 t <a, v>,
 * which was -|v|^2. docs/quantizers.md compares time and loss with the sweep's. */
#ifndef DRIFTLINE_COMMON_QUANTIZER_RABITQ_GRID_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_RABITQ_GRID_INTERNAL_H

#include <stddef.h>

struct kernels;

/* The grid point at scale t: level i is floor(min(t a_i, most)). */
struct rabitq_grid {
    float t, most;
    float product, norm_sq; /* <a, v>, |v|^2 */
};

/* a: n magnitudes, not all 0, followed by zeros up to the next multiple of 32. 1 <= bits <= 8. */
struct rabitq_grid rabitq_grid_fit(const struct kernels *, const float *a, size_t n, unsigned bits);

#endif
