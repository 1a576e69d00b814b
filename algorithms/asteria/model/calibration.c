/* calibration.c - bounds of the angle for words h bits apart, by split conformal prediction.
 *
 * Pairs are taken from rows that the model was not fitted to (fit.c): an anchor with one of its ten
 * nearest, and the same anchor with a random row. Each anchor has one pair of each kind, so the
 * pairs of a kind are exchangeable with a new one made in the same way. For the N pairs with h
 * different bits,
 *
 *     P(theta <= the ceil((N + 1)(1 - alpha))-th smallest of their angles) >= 1 - alpha
 *
 * holds for a new pair with h different bits (Vovk 2003: the guarantee holds for each h). If that
 * rank is above N there are too few pairs, and the quantile is pi.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/rotation/bor.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/rng.h"

static const double PI = 3.14159265358979323846;

struct pairing {
    const struct index_env *env;
    const float *rows;
    uint64_t *words; /* n */
    uint64_t *pairs; /* 32 bits of h, 32 of the angle as a float; sorted later */
    size_t n_pairs;
};

/* Angles are not negative, so their floats sort like their bits. */
static void add_pair(struct pairing *p, size_t a, size_t b)
{
    const size_t dim = p->env->dim;
    const float distance = p->env->kernels->l2sq_f32(p->rows + a * dim, p->rows + b * dim, dim);
    const float angle = (float)(2 * asin(fmin(1, sqrt((double)distance) / 2)));
    const unsigned h = (unsigned)__builtin_popcountll(p->words[a] ^ p->words[b]);
    uint32_t bits = 0;

    memcpy(&bits, &angle, sizeof bits);
    p->pairs[p->n_pairs++] = (uint64_t)h << 32 | bits;
}

static void take_quantiles(struct asteria_calibration *c, struct pairing *p)
{
    qsort(p->pairs, p->n_pairs, sizeof *p->pairs, order_u64);
    for (size_t first = 0, end = 0; first < p->n_pairs; first = end) {
        const size_t h = (size_t)(p->pairs[first] >> 32);

        while (end < p->n_pairs && p->pairs[end] >> 32 == h)
            end++;
        const size_t count = end - first;
        const double rank = ceil((double)(count + 1) * (1 - c->alpha));

        c->pairs[h] = (uint32_t)count;
        if (rank >= 1 && rank <= (double)count) {
            const uint32_t bits = (uint32_t)p->pairs[first + (size_t)rank - 1];
            float angle = 0;

            memcpy(&angle, &bits, sizeof angle);
            c->quantile[h] = (double)angle;
        }
    }
}

int asteria_calibrate(struct asteria_calibration *c, const struct index_env *env,
                      const struct asteria_model *model, const float *rows, size_t n, uint64_t seed)
{
    struct asteria_bor_neighbours near = { 0 };
    struct mem_group g = { .mem = env->mem };
    struct rng rng = rng_at(seed, 1);

    for (size_t h = 0; h < CALIBRATION_LEVELS; h++) {
        c->quantile[h] = PI;
        c->pairs[h] = 0;
    }
    if (n < 2)
        return OK;
    int rc = asteria_bor_neighbours_find(&near, env, rows, n, rng_mix(seed, 2));
    struct pairing p = { .env = env,
                         .rows = rows,
                         .words = mem_group_array(&g, n, sizeof *p.words),
                         .pairs = mem_group_array(&g, 2 * near.n_anchors, sizeof *p.pairs) };
    if (rc == OK)
        rc = g.failed ? fail(env->error, ERR_NO_MEMORY,
                             "asteria: train: out of memory for a calibration by %zu rows", n)
                      : asteria_model_encode(model, env, rows, n, p.words, NULL);
    for (size_t i = 0; rc == OK && i < near.n_anchors; i++) {
        const size_t a = (size_t)near.anchors[i], other = (size_t)rng_below(&rng, n - 1);

        add_pair(&p, a, near.near[i * near.k + rng_below(&rng, near.k)]);
        add_pair(&p, a, other < a ? other : other + 1);
    }
    if (rc == OK)
        take_quantiles(c, &p);
    mem_group_free(&g);
    mem_group_free(&near.memory);
    return rc;
}
