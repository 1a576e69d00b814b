/* drift.h - how far the rows of one set are from those of another. */
#ifndef DRIFTLINE_DATA_DRIFT_H
#define DRIFTLINE_DATA_DRIFT_H

#include <stddef.h>

#include "src/core/error.h"

struct data_drift {
    double means;
    double projections;
    double contrast[2]; /* of a, of b */
};

/* a and b: n >= 1 rows of dim floats each. Let s be the root mean square distance of a's rows from their mean, and 1 if that
 * is 0.
 *
 *   means        |mean(a) - mean(b)| / s
 *   projections  the mean over 64 random directions, the same ones at each call, of the Wasserstein-1 distance of the
 *                projected rows, times sqrt(dim) / s: the unit is the deviation of a's rows in one direction. Two random
 *                halves of one set do not give 0 but about 1 / sqrt(n). Source: Rabin et al. (2012), "Wasserstein
 *                Barycenter and its Application to Texture Mixing", for the squared distance
 *   contrast     how easy the search in each set is: the mean distance of two rows over the mean distance of a row to the
 *                nearest other one, of at most 200 evenly spaced rows to all. Near 1 no row is nearer than the others. 0:
 *                it has no value, since there is one row, or each has a copy. It grows with n. Source: the relative contrast
 *                of He, Kumar and Chang (2012), "On the Difficulty of Nearest Neighbor Search"
 *
 * ERR_NO_MEMORY, without a result. */
int data_drift(const float *a, const float *b, size_t n, size_t dim, struct data_drift *,
               struct error *);

#endif
