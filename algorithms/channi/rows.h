/* rows.h - conversion of rows to floats, and distances between rows. */
#ifndef DRIFTLINE_CHANNI_ROWS_H
#define DRIFTLINE_CHANNI_ROWS_H

#include <string.h>

#include "algorithms/channi/channi.h"
#include "kernels/kernels.h"

/* Converts a row to dim floats. */
static inline void channi_to_float(const struct channi *c, const void *row, float *out)
{
    const unsigned char *bytes = row;

    if (c->base.env.element != INDEX_U8) {
        memcpy(out, row, c->row_bytes);
        return;
    }
    for (size_t i = 0; i < c->base.env.dim; i++)
        out[i] = bytes[i];
}

/* Squared L2 distance. */
static inline float channi_distance(const struct channi *c, const void *a, const void *b)
{
    const struct index_env *env = &c->base.env;

    return env->element == INDEX_U8 ? (float)env->kernels->l2sq_u8(a, b, env->dim)
                                    : env->kernels->l2sq_f32(a, b, env->dim);
}

#endif
