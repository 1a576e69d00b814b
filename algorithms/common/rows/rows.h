/* rows.h - rows of either element, floats or bytes, for methods of squared L2: as floats, and
 * distances between them. */
#ifndef DRIFTLINE_COMMON_ROWS_ROWS_H
#define DRIFTLINE_COMMON_ROWS_ROWS_H

#include <string.h>

#include "kernels/kernels.h"
#include "src/core/index.h"

/* Converts n rows, at any alignment, to n * dim floats. */
static inline void rows_to_floats(const struct index_env *env, const void *rows, size_t n,
                                  float *out)
{
    const uint8_t *bytes = rows;

    if (env->element == INDEX_F32) {
        memcpy(out, rows, n * env->dim * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n * env->dim; i++)
        out[i] = bytes[i];
}

/* Squared L2 distance. */
static inline float rows_distance(const struct index_env *env, const void *a, const void *b)
{
    return env->element == INDEX_U8 ? (float)env->kernels->l2sq_u8(a, b, env->dim)
                                    : env->kernels->l2sq_f32(a, b, env->dim);
}

/* Those of n rows from one row. whole: n integers, for bytes. */
static inline void rows_distances(const struct index_env *env, const void *from, const void *rows,
                                  size_t n, uint32_t *whole, float *out)
{
    if (env->element == INDEX_F32) {
        env->kernels->l2sq_f32_1n(from, rows, n, env->dim, out);
        return;
    }
    env->kernels->l2sq_u8_1n(from, rows, n, env->dim, whole);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)whole[i];
}

#endif
