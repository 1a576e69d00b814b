/* lrsq_fit.c - what estimates make of <y_q, yhat>: a line through pairs of the sample.
 *
 * Coordinates that were left out go with those that are kept: of a rotated row's 512 alike, 256 tell of half of the product
 * only, and alpha is about 2. Near pairs count for more, by 1 / distance^2: far ones are not to be told apart.
 */
#include <float.h>

#include "algorithms/asteria/lrsq_parts.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { PAIR_QUERIES = 64, PAIR_ROWS = 512 };

/* What is fitted: sums over pairs of x = <y_q, yhat> and t = what it stands for in the pair's distance. */
struct fit {
    double n, x, t, xx, xt;
};

static void add_pair(struct fit *f, const struct lrsq *l, const float *zq, const float *z,
                     const void *query, const void *code)
{
    const struct lrsq_query *q = query;
    const struct lrsq_head *head = code;
    double distance = 0;
    for (size_t j = 0; j < l->in_dim; j++)
        distance += ((double)zq[j] - (double)z[j]) * ((double)zq[j] - (double)z[j]);
    /* alpha is 1 yet, and beta 0 */
    const double z_sq = lrsq_norm_sq(l, zq);
    const double x = (z_sq - (double)q->whole + (double)q->unit * lrsq_sum(l, query, code)) / 2;
    const double t = (z_sq + (double)head->norm - distance) / 2;
    /* near pairs are those that are ranked */
    const double weight = 1 / (distance * distance + 1e-4 * z_sq * z_sq + DBL_MIN);
    f->n += weight, f->x += weight * x, f->t += weight * t;
    f->xx += weight * x * x, f->xt += weight * x * t;
}

int lrsq_fit(struct lrsq *l, const struct index_env *env, const float *z, size_t n, size_t stride,
             uint64_t seed)
{
    void *code = mem_zalloc(env->mem, l->code_bytes);
    void *queries = mem_zalloc(env->mem, PAIR_QUERIES * lrsq_query_bytes(l));
    struct rng rng = rng_at(seed, 0x6c727371);
    struct fit f = { 0, 0, 0, 0, 0 };
    size_t chosen[PAIR_QUERIES];
    for (size_t i = 0; code && queries && i < PAIR_QUERIES; i++) {
        chosen[i] = rng_below(&rng, n);
        lrsq_query(l, z + chosen[i] * stride, (char *)queries + i * lrsq_query_bytes(l));
    }
    for (size_t i = 0; code && queries && i < PAIR_ROWS; i++) {
        const size_t row = rng_below(&rng, n);
        lrsq_put(l, z + row * stride, code);
        for (size_t j = 0; j < PAIR_QUERIES; j++)
            if (row != chosen[j])
                add_pair(&f, l, z + chosen[j] * stride, z + row * stride,
                         (char *)queries + j * lrsq_query_bytes(l), code);
    }
    const bool enough = code && queries;
    mem_free(env->mem, code);
    mem_free(env->mem, queries);
    const double spread = f.xx * f.n - f.x * f.x;
    const double alpha = (f.xt * f.n - f.x * f.t) / spread;
    /* Of coordinates that are alike, alpha is in_dim / rank; more, or a negative one, is the noise of a few rows. */
    if (spread > 1e-9 * f.xx * f.n && alpha > 0.1 &&
        alpha * (double)l->rank < 2 * (double)l->in_dim) {
        l->alpha = (float)alpha;
        l->beta = (float)((f.t - alpha * f.x) / f.n);
    }
    return enough ? OK : fail(env->error, ERR_NO_MEMORY, "asteria: LRSQ's fit: out of memory");
}
