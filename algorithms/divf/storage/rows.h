/* rows.h - rows as they are stored, and the vectors of floats that stand for them.
 *
 * Rows are stored and compared as they came: floats, or bytes. Centroids and codes are made of
 * vectors. That of a row of floats is the row; of a row of bytes its floats; under INDEX_IP the
 * row *lifted*, which makes inner products distances (Bachrach et al. 2014):
 *
 *     row x    (x, sqrt(M^2 - |x|^2))        query q    (q, 0)
 *     |q' - x'|^2 = |q|^2 + M^2 - 2 <q, x>   where |x| <= M
 *
 * M is the greatest norm of the rows trained on (sqrt(FLT_MAX) / 4 at most). A longer row gets a 0,
 * and its distance is greater by |x|^2 - M^2: its lists keep the greatest such excess, by which
 * searches relax their limits. */
#ifndef DRIFTLINE_DIVF_STORAGE_ROWS_H
#define DRIFTLINE_DIVF_STORAGE_ROWS_H

#include "kernels/kernels.h"
#include "src/core/index.h"

struct rng;

enum divf_row_kind { DIVF_FLOATS, DIVF_BYTES, DIVF_LIFTED };

struct divf_space {
    enum divf_row_kind kind;
    size_t row_dim, row_bytes, dim; /* dim: of vectors */
    const struct kernels *kernels;
    float lift; /* M^2; set only in a codebook's: struct divf_lists */
};

struct divf_space divf_space_of(const struct index_env *);

/* Writes the vectors of n rows. */
void divf_widen(const struct divf_space *, const void *rows, size_t n, float *to);
/* The same of queries. */
void divf_widen_queries(const struct divf_space *, const void *rows, size_t n, float *to);
/* Whether two vectors, or rows, are equal; 0 and -0 are, as they are to a distance. */
bool divf_same_vector(const float *a, const float *b, size_t dim);
bool divf_same_row(const struct divf_space *, const void *a, const void *b);
/* Returns the vectors of a random sample of m of n rows, which the caller frees: the same sample as
   kmeans_sample()'s. NULL: out of memory. */
float *divf_sample_rows(const struct divf_space *, struct mem *, struct rng *, const void *rows,
                        size_t n, size_t m);
/* The greatest squared norm of n rows, if they are lifted; else 0. */
float divf_greatest_norm(const struct divf_space *, const void *rows, size_t n);

/* The vectors of n rows: `rows` itself, or `to`, which then has them. */
static inline const float *divf_floats(const struct divf_space *s, const void *rows, size_t n,
                                       float *to)
{
    if (s->kind == DIVF_FLOATS)
        return rows;
    divf_widen(s, rows, n, to);
    return to;
}

static inline const float *divf_query_floats(const struct divf_space *s, const void *rows, size_t n,
                                             float *to)
{
    if (s->kind == DIVF_FLOATS)
        return rows;
    divf_widen_queries(s, rows, n, to);
    return to;
}

/* The floats that these two need for n rows. */
static inline size_t divf_floats_needed(const struct divf_space *s, size_t n)
{
    return s->kind == DIVF_FLOATS ? 0 : n * s->dim;
}

/* The metric's distance of two rows. */
static inline float divf_distance(const struct divf_space *s, const void *a, const void *b)
{
    if (s->kind == DIVF_FLOATS)
        return s->kernels->l2sq_f32(a, b, s->row_dim);
    return s->kind == DIVF_BYTES ? (float)s->kernels->l2sq_u8(a, b, s->row_dim)
                                 : -s->kernels->ip_f32(a, b, s->row_dim);
}

#endif
