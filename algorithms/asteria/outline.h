/* outline.h - what scans' codes are made of: a row's first principal coordinates, and the length of the rest.
 *
 * Codes of all dimensions spend most of their bits on directions in which rows hardly differ. The outline of x is
 * (y, e): y = A (x - mean), A the sample's first `rank` principal axes, and e the length of what is left. A query's is
 * (y, 0), and its own e_q apart; then with t what is left of either,
 *
 *     |q - x|^2 = |outline(q) - outline(x)|^2 + e_q^2 - 2 <t_q, t_x>,       |<t_q, t_x>| <= e_q e_x,
 *
 * and where t's directions are as good as random, the product is of the order of e_q e_x / sqrt(dim - rank). They are not
 * where data have drifted to directions that the axes do not know: then e_q is more than the sample's rows had.
 */
#ifndef DRIFTLINE_ASTERIA_OUTLINE_H
#define DRIFTLINE_ASTERIA_OUTLINE_H

#include "src/core/index.h"

struct store_reader;
struct store_writer;

struct outline {
    size_t dim, rank;
    float *axes;    /* (rank + 1) x dim: orthonormal axes, then the mean */
    float *offsets; /* rank + 1: the axes' products with the mean, then |mean|^2 */
    float rest;     /* mean e of the sample: a centre's */
    float usual;    /* the mean and three standard deviations of it */
};

/* n >= 1 unit rows; 1 <= rank < env->dim. ERR_NO_MEMORY. */
int outline_fit(struct outline **, const struct index_env *, size_t rank, const float *rows,
                size_t n);
void outline_destroy(const struct index_env *, struct outline *); /* NULL is allowed */
size_t outline_bytes(const struct outline *);                     /* NULL: 0 */

/* Floats of an outline; NULL: rows of `dim` are scanned as they are. */
static inline size_t outline_floats(const struct outline *o, size_t dim)
{
    return o ? o->rank + 1 : dim;
}
/* y of a unit row, and at to[rank] what it is told to be there. Returns e. */
enum outline_of { OUTLINE_ROW, OUTLINE_CENTRE, OUTLINE_QUERY };
float outline_make(const struct outline *, const struct kernels *, const float *unit,
                   enum outline_of, float *to);

/* Section "outline" + suffix. Reading: ERR_CORRUPT; *out is the caller's even then. */
void outline_write(const struct outline *, struct store_writer *, char suffix);
int outline_read(struct outline **, const struct index_env *, const struct store_reader *,
                 size_t rank, char suffix);

#endif
