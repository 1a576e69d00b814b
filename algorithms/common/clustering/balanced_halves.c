/* balanced_halves.c - two halves of a posting: 2-means of a sample, then every row goes to the
 * nearer centre; the border moves where a side would be too small. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "algorithms/common/clustering/balanced_means_internal.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* With a balance, no side has less than 1 / SHARE_LEAST of the rows: splitting off a few outliers
   again and again would take quadratic time. */
enum { SHARE_LEAST = 4 };

struct lean { /* of a row: how much nearer it is to centre 1 than to centre 0 */
    float by;
    uint32_t row;
};

struct halving {
    struct balanced_means means;
    struct vectors rows;
    struct lean *leans; /* n */
};

/* Orders rows from side 0 to side 1, ties in the rows' order. */
static int lean_order(const void *a, const void *b)
{
    const struct lean *x = a, *y = b;
    if (x->by != y->by)
        return x->by < y->by ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* A sample of m rows at equal steps. */
static void take_sample(struct halving *h, size_t m)
{
    for (size_t i = 0; i < m; i++)
        balanced_gather(h->rows, NULL, i * h->rows.n / m, 1, h->means.rows + i * h->means.dim);
}

/* Converts a block of rows from `first` on to floats in means.rows; returns their number. */
static size_t next_block(struct halving *h, size_t first)
{
    const size_t left = h->rows.n - first, n = left < BALANCED_BLOCK ? left : BALANCED_BLOCK;

    balanced_gather(h->rows, NULL, first, n, h->means.rows);
    return n;
}

/* Returns whether the rows' leans differ. */
static bool lean(struct halving *h)
{
    struct balanced_means *m = &h->means;
    bool differ = false;
    size_t n;

    for (size_t first = 0; first < h->rows.n; first += n) {
        n = next_block(h, first);
        m->kernels->l2sq_f32_mn(m->rows, n, m->centres, 2, m->dim, m->distances, 2);
        for (size_t i = 0; i < n; i++) {
            const float by = m->distances[2 * i] - m->distances[2 * i + 1];
            h->leans[first + i] = (struct lean){ by, (uint32_t)(first + i) };
            differ |= by != h->leans[0].by;
        }
    }
    return differ;
}

/* Used where k-means found no difference: the centres are the first row and the row farthest from
   it. false: all rows equal the first. */
static bool lean_to_farthest(struct halving *h)
{
    struct balanced_means *m = &h->means;
    size_t far = 0, n;
    float most = 0;

    balanced_gather(h->rows, NULL, 0, 1, m->centres);
    for (size_t first = 0; first < h->rows.n; first += n) {
        n = next_block(h, first);
        m->kernels->l2sq_f32_1n(m->centres, m->rows, n, m->dim, m->distances);
        for (size_t i = 0; i < n; i++) {
            if (m->distances[i] > most) {
                most = m->distances[i];
                far = first + i;
            }
        }
    }
    balanced_gather(h->rows, NULL, far, 1, m->centres + m->dim);
    return most > 0 && lean(h);
}

/* Assigns rows to the nearer centre; a side with fewer than `least` gets those that lean to
   it most. */
static void take_sides(struct halving *h, size_t least, uint8_t *sides)
{
    const size_t n = h->rows.n;
    size_t ones = 0;

    for (size_t i = 0; i < n; i++)
        ones += sides[i] = h->leans[i].by > 0;
    if (ones >= least && n - ones >= least)
        return;
    ones = ones < least ? least : n - least;
    qsort(h->leans, n, sizeof *h->leans, lean_order);
    for (size_t i = 0; i < n; i++)
        sides[h->leans[i].row] = i >= n - ones;
}

static void side_means(struct halving *h, const uint8_t *sides, float *centres)
{
    struct balanced_means *m = &h->means;
    const size_t dim = m->dim;
    size_t count[2] = { 0 }, n;

    memset(m->sums, 0, 2 * dim * sizeof *m->sums);
    for (size_t first = 0; first < h->rows.n; first += n) {
        n = next_block(h, first);
        for (size_t i = 0; i < n; i++) {
            double *restrict sums = m->sums + sides[first + i] * dim;
            const float *restrict row = m->rows + i * dim;
            count[sides[first + i]]++;
            for (size_t j = 0; j < dim; j++)
                sums[j] += (double)row[j];
        }
    }
    for (size_t j = 0; j < 2 * dim; j++)
        centres[j] = (float)(m->sums[j] / (double)count[j / dim]);
}

static void halve(struct halving *h, const struct balanced_options *o, uint8_t *sides,
                  float *centres, bool *even)
{
    const size_t n = h->rows.n, m = n < o->samples ? n : o->samples;
    struct rng rng = rng_at(o->seed, 0);

    take_sample(h, m);
    balanced_means_run(&h->means, m, 2, o->iterations, o->balance < 0 ? 1 : o->balance, &rng);
    *even = !lean(h) && !lean_to_farthest(h);
    if (*even)
        for (size_t i = 0; i < n; i++)
            sides[i] = i >= n / 2;
    else
        take_sides(h, o->balance == 0 || n < SHARE_LEAST ? 1 : n / SHARE_LEAST, sides);
    side_means(h, sides, centres);
}

int balanced_halves(const struct index_env *env, const struct balanced_options *options,
                    struct vectors rows, uint8_t *sides, float *centres, bool *even)
{
    struct balanced_options o = *options;
    struct halving h = { .rows = rows };

    o.samples = o.samples < 2 ? 2 : o.samples;
    h.leans = mem_array(env->mem, rows.n, sizeof *h.leans);
    const bool ready = h.leans && balanced_means_create(&h.means, env, rows.dim,
                                                        rows.n < o.samples ? rows.n : o.samples, 2);
    if (ready)
        halve(&h, &o, sides, centres, even);
    balanced_means_destroy(&h.means);
    mem_free(env->mem, h.leans);
    return ready ? OK
                 : fail(env->error, ERR_NO_MEMORY, "two halves of %zu rows: out of memory", rows.n);
}
