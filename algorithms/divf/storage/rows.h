/* rows.h - rows in env's element. Bytes are stored and compared as bytes; centroids and codes are made
 * of floats, so for these a row of bytes is widened. */
#ifndef DRIFTLINE_DIVF_STORAGE_ROWS_H
#define DRIFTLINE_DIVF_STORAGE_ROWS_H

#include "kernels/kernels.h"
#include "src/core/index.h"

/* Writes n rows as floats. */
void divf_widen(const struct index_env *, const void *rows, size_t n, float *to);
/* Whether two vectors, or rows, are equal; 0 and -0 are, as they are to a distance. */
bool divf_same_vector(const float *a, const float *b, size_t dim);
bool divf_same_row(const struct index_env *, const void *a, const void *b);
/* Returns a random sample of m of n rows as floats, which the caller frees. The same sample as
   kmeans_sample()'s. NULL: out of memory. */
struct rng;
float *divf_sample_rows(const struct index_env *, struct rng *, const void *rows, size_t n,
                        size_t m);

static inline bool divf_rows_are_bytes(const struct index_env *env)
{
    return env->element == ELEMENT_U8;
}

/* n rows as floats: `rows` itself, or `to`, which then has them. */
static inline const float *divf_floats(const struct index_env *env, const void *rows, size_t n,
                                       float *to)
{
    if (!divf_rows_are_bytes(env))
        return rows;
    divf_widen(env, rows, n, to);
    return to;
}

/* The floats that divf_floats() needs for n rows. */
static inline size_t divf_floats_needed(const struct index_env *env, size_t n)
{
    return divf_rows_are_bytes(env) ? n * env->dim : 0;
}

static inline float divf_distance(const struct index_env *env, const void *a, const void *b)
{
    return divf_rows_are_bytes(env) ? (float)env->kernels->l2sq_u8(a, b, env->dim)
                                    : env->kernels->l2sq_f32(a, b, env->dim);
}

#endif
