/* fit.c - alpha and beta of LRSQ's estimates: a regression line through pairs of the sample.
 *
 * The coordinates left out correlate with those kept. If 256 of a rotated row's 512 similar
 * coordinates are kept, they account for half of the product, and alpha is about 2. Pairs have the
 * weight 1 / distance^4, because only near rows need to be ranked.
 */
#include <float.h>

#include "algorithms/asteria/residual/internal.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { PAIR_QUERIES = 64, PAIR_ROWS = 512 };

/* Weighted sums over pairs: x = <y_q, yhat>, t = the value that makes the estimate exact. */
struct fit {
    double n, x, t, xx, xt;
};

static void add_pair(struct fit *f, const struct asteria_lrsq *l, const float *zq, const float *z,
                     const void *query, const void *code)
{
    const struct asteria_lrsq_query *q = query;
    const struct asteria_lrsq_head *head = code;
    double distance = 0;
    for (size_t j = 0; j < l->in_dim; j++)
        distance += ((double)zq[j] - (double)z[j]) * ((double)zq[j] - (double)z[j]);
    /* alpha is 1 and beta 0 until the fit is done. */
    const double z_sq = asteria_lrsq_norm_sq(l, zq);
    const double x =
        (z_sq - (double)q->whole + (double)q->unit * asteria_lrsq_sum(l, query, code)) / 2;
    const double t = (z_sq + (double)head->norm - distance) / 2;
    const double weight = 1 / (distance * distance + 1e-4 * z_sq * z_sq + DBL_MIN);
    f->n += weight, f->x += weight * x, f->t += weight * t;
    f->xx += weight * x * x, f->xt += weight * x * t;
}

int asteria_lrsq_fit(struct asteria_lrsq *l, const struct index_env *env, const float *z, size_t n,
                     size_t stride, uint64_t seed)
{
    void *code = mem_zalloc(env->mem, l->code_bytes);
    void *queries = mem_zalloc(env->mem, PAIR_QUERIES * asteria_lrsq_query_bytes(l));
    struct rng rng = rng_at(seed, 0x6c727371);
    struct fit f = { 0, 0, 0, 0, 0 };
    size_t chosen[PAIR_QUERIES];
    for (size_t i = 0; code && queries && i < PAIR_QUERIES; i++) {
        chosen[i] = rng_below(&rng, n);
        asteria_lrsq_query(l, z + chosen[i] * stride,
                           (char *)queries + i * asteria_lrsq_query_bytes(l));
    }
    for (size_t i = 0; code && queries && i < PAIR_ROWS; i++) {
        const size_t row = rng_below(&rng, n);
        asteria_lrsq_put(l, z + row * stride, code);
        for (size_t j = 0; j < PAIR_QUERIES; j++)
            if (row != chosen[j])
                add_pair(&f, l, z + chosen[j] * stride, z + row * stride,
                         (char *)queries + j * asteria_lrsq_query_bytes(l), code);
    }
    const bool enough = code && queries;
    mem_free(env->mem, code);
    mem_free(env->mem, queries);
    const double spread = f.xx * f.n - f.x * f.x;
    const double alpha = (f.xt * f.n - f.x * f.t) / spread;
    /* Of similar coordinates, alpha is in_dim / rank. A much larger or a negative value is the
       noise of a small sample. */
    if (spread > 1e-9 * f.xx * f.n && alpha > 0.1 &&
        alpha * (double)l->rank < 2 * (double)l->in_dim) {
        l->alpha = (float)alpha;
        l->beta = (float)((f.t - alpha * f.x) / f.n);
    }
    return enough ? OK : fail(env->error, ERR_NO_MEMORY, "asteria: LRSQ's fit: out of memory");
}
