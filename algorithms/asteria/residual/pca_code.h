/* pca_code.h - what scanned codes are computed from: the first principal coordinates of a row and
 * the length of the rest.
 *
 * Codes of all dimensions spend most of their bits on directions in which rows hardly differ. The
 * PCA code of x is (y, e): y = A (x - mean), A the first `rank` principal axes of the sample, and e
 * the length of the rest t. A query has (y, 0) and a separate e_q. Then
 *
 *     |q - x|^2 = |PCA code(q) - PCA code(x)|^2 + e_q^2 - 2 <t_q, t_x>,   |<t_q, t_x>| <= e_q e_x.
 *
 * If the directions of t are as good as random, the product is of the order of e_q e_x / sqrt(dim -
 * rank). After a drift of the data to directions outside the axes they are not: then e_q is larger
 * than the e of the sample's rows.
 */
#ifndef DRIFTLINE_ASTERIA_RESIDUAL_PCA_CODE_H
#define DRIFTLINE_ASTERIA_RESIDUAL_PCA_CODE_H

#include "src/core/index.h"

struct store_fields;

struct asteria_pca_code {
    size_t dim, rank;
    /* One array, as in a file: */
    float *axes;    /* (rank + 1) x dim: orthonormal axes, then the mean */
    float *offsets; /* rank + 1: the axes' products with the mean, then |mean|^2 */
    float *rest;    /* mean e of the sample; used for centres */
    float *usual;   /* mean e plus three standard deviations */
};

/* Fits to n >= 1 unit rows; 1 <= rank < env->dim. ERR_NO_MEMORY. */
int asteria_pca_code_fit(struct asteria_pca_code **, const struct index_env *, size_t rank,
                         const float *rows, size_t n);
/* NULL is allowed. */
void asteria_pca_code_destroy(const struct index_env *, struct asteria_pca_code *);
size_t asteria_pca_code_bytes(const struct asteria_pca_code *); /* NULL: 0 */

/* Floats of a PCA code; o = NULL: rows of `dim` floats are scanned as they are. */
static inline size_t pca_code_floats(const struct asteria_pca_code *o, size_t dim)
{
    return o ? o->rank + 1 : dim;
}
/* Writes y of a unit row to `to`; to[rank] is e of a row, the mean e for a centre, 0 for a
   query. Returns e. */
enum asteria_pca_code_of { PCA_CODE_ROW, PCA_CODE_CENTRE, PCA_CODE_QUERY };
float asteria_pca_code_make(const struct asteria_pca_code *, const struct kernels *,
                            const float *unit, enum asteria_pca_code_of, float *to);

/* Section "outline" + suffix. Reading makes the PCA code, which the caller destroys, also on
   failure: ERR_CORRUPT, ERR_NO_MEMORY. */
int asteria_pca_code_field(struct store_fields *, const struct index_env *, size_t rank,
                           char suffix, struct asteria_pca_code **);

#endif
