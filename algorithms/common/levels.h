/* levels.h - the grid point of nearest direction: RaBitQ's code beyond the signs.
 *
 * A vector's magnitudes a are coded by levels floor(t a_i), at most 2^bits - 1, which stand for
 * v_i = level + 1/2. Which t makes v nearest to a in direction is the search for the best rescaling
 * of Gao et al. (2025), who sweep all t at which a level changes, O(2^bits d log d). Here: a few t
 * about the largest that clips nothing are tried, then t := |v|^2 / <a, v> repeated from the best:
 * the v nearest to that t a is no farther in direction, for it minimises |v|^2 - 2 t <a, v>, which is
 * -|v|^2 already. docs/quantizers.md has time and loss beside the sweep's.
 */
#ifndef DRIFTLINE_LEVELS_H
#define DRIFTLINE_LEVELS_H

#include <stddef.h>

struct kernels;

/* The point at t: level i is floor(min(t a_i, most)). */
struct levels {
    float t, most;
    float product, norm_sq; /* <a, v>, |v|^2 */
};

/* a: n magnitudes, not all 0, and zeros from there to the next multiple of 32. 1 <= bits <= 8. */
struct levels levels_fit(const struct kernels *, const float *a, size_t n, unsigned bits);
struct levels levels_at(const struct kernels *, const float *a, size_t n, unsigned bits, float t);

#endif
