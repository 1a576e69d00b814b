/* balanced_means.c - k-means with a penalty on full clusters. */
#include "algorithms/common/clustering/balanced_means_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { STARTS = 3, STALE_PASSES = 5 };

/* Converged: the centres move by less than this share of the rows' distance from them. */
static const double converged = 1e-3;

bool balanced_means_create(struct balanced_means *m, const struct index_env *env, size_t dim,
                           size_t rows_max, size_t k_max)
{
    struct mem_group *g = &m->memory;

    *m = (struct balanced_means){ .kernels = env->kernels, .dim = dim, .memory.mem = env->mem };
    rows_max = rows_max > BALANCED_BLOCK ? rows_max : BALANCED_BLOCK;
    m->rows = mem_group_array(g, rows_max * dim, sizeof *m->rows);
    m->centres = mem_group_array(g, k_max * dim, sizeof *m->centres);
    m->start = mem_group_array(g, k_max * dim, sizeof *m->start);
    m->distances = mem_group_array(g, BALANCED_BLOCK * k_max, sizeof *m->distances);
    m->penalty = mem_group_array(g, k_max, sizeof *m->penalty);
    m->sums = mem_group_array(g, k_max * dim, sizeof *m->sums);
    m->label = mem_group_array(g, rows_max, sizeof *m->label);
    m->count = mem_group_array(g, k_max, sizeof *m->count);
    m->picks = mem_group_array(g, rows_max, sizeof *m->picks);
    return !g->failed;
}

void balanced_means_destroy(struct balanced_means *m)
{
    mem_group_free(&m->memory);
}

void balanced_gather(struct vectors rows, const uint32_t *numbers, size_t first, size_t n,
                     float *out)
{
    const size_t dim = rows.dim;

    for (size_t i = 0; i < n; i++) {
        const size_t row = numbers ? numbers[i] : first + i;
        float *to = out + i * dim;
        if (rows.element == INDEX_F32) {
            memcpy(to, (const unsigned char *)rows.rows + row * dim * sizeof(float),
                   dim * sizeof(float));
        } else {
            const uint8_t *from = (const uint8_t *)rows.rows + row * dim;
            for (size_t j = 0; j < dim; j++)
                to[j] = (float)from[j];
        }
    }
}

/* Distances of a block of rows from `first` on to all centres; returns the number of rows. */
static size_t block_distances(struct balanced_means *m, size_t first, size_t n, size_t k)
{
    const size_t width = n - first < BALANCED_BLOCK ? n - first : BALANCED_BLOCK;

    m->kernels->l2sq_f32_mn(m->rows + first * m->dim, width, m->centres, k, m->dim, m->distances,
                            k);
    return width;
}

/* Labels and counts by distance alone; returns the sum of distances. */
static double assign_nearest(struct balanced_means *m, size_t n, size_t k)
{
    double cost = 0;
    size_t width;

    memset(m->count, 0, k * sizeof *m->count);
    for (size_t first = 0; first < n; first += width) {
        width = block_distances(m, first, n, k);
        for (size_t i = 0; i < width; i++) {
            const size_t best = m->kernels->argmin_f32(m->distances + i * k, k);
            m->label[first + i] = (uint32_t)best;
            m->count[best]++;
            cost += (double)m->distances[i * k + best];
        }
    }
    return cost;
}

static void seed(struct balanced_means *m, size_t n, size_t k, struct rng *rng)
{
    rng_sample(rng, n, k, m->picks);
    for (size_t c = 0; c < k; c++)
        memcpy(m->centres + c * m->dim, m->rows + m->picks[c] * m->dim, m->dim * sizeof(float));
}

/* Keeps the best of several starts, with its labels. */
static void start(struct balanced_means *m, size_t n, size_t k, struct rng *rng)
{
    const size_t bytes = k * m->dim * sizeof(float);
    double best = INFINITY, last = 0;

    for (size_t i = 0; i < STARTS; i++) {
        seed(m, n, k, rng);
        last = assign_nearest(m, n, k);
        if (i == 0 || last < best) {
            best = last;
            memcpy(m->start, m->centres, bytes);
        }
    }
    if (last > best) {
        memcpy(m->centres, m->start, bytes);
        assign_nearest(m, n, k);
    }
    m->mean_sq = best / (double)n;
}

/* The cluster of least distance plus penalty; the row itself is not counted in any cluster. */
static size_t choose(struct balanced_means *m, float *distances, size_t k)
{
    for (size_t c = 0; c < k; c++)
        distances[c] += m->penalty[c];
    return m->kernels->argmin_f32(distances, k);
}

/* Moves one row after another to its best cluster; returns the sum of distances. */
static double assign_balanced(struct balanced_means *m, size_t n, size_t k, double lambda)
{
    double cost = 0;
    size_t width;

    for (size_t c = 0; c < k; c++)
        m->penalty[c] = (float)(lambda * m->count[c]);
    for (size_t first = 0; first < n; first += width) {
        width = block_distances(m, first, n, k);
        for (size_t i = 0; i < width; i++) {
            uint32_t *label = &m->label[first + i];
            m->penalty[*label] = (float)(lambda * --m->count[*label]);
            const size_t best = choose(m, m->distances + i * k, k);
            cost += (double)(m->distances[i * k + best] - m->penalty[best]);
            m->penalty[best] = (float)(lambda * ++m->count[best]);
            *label = (uint32_t)best;
        }
    }
    return cost;
}

/* Moves centres to the means of their rows; a centre without rows stays. Returns the mean squared
   distance moved. */
static double update(struct balanced_means *m, size_t n, size_t k)
{
    double moved = 0;

    memset(m->sums, 0, k * m->dim * sizeof *m->sums);
    for (size_t i = 0; i < n; i++) {
        double *restrict sums = m->sums + m->label[i] * m->dim;
        const float *restrict row = m->rows + i * m->dim;
        for (size_t j = 0; j < m->dim; j++)
            sums[j] += (double)row[j];
    }
    for (size_t c = 0; c < k; c++) {
        if (m->count[c] == 0)
            continue;
        float *restrict centre = m->centres + c * m->dim;
        const double *restrict sums = m->sums + c * m->dim, each = 1.0 / m->count[c];
        for (size_t j = 0; j < m->dim; j++) {
            const double step = sums[j] * each - (double)centre[j];
            moved += step * step;
            centre[j] = (float)(sums[j] * each);
        }
    }
    return moved / (double)k;
}

static double sum_of_squares(const uint32_t *count, size_t k)
{
    double sum = 0;
    for (size_t c = 0; c < k; c++)
        sum += (double)count[c] * count[c];
    return sum;
}

void balanced_means_run(struct balanced_means *m, size_t n, size_t k, size_t iterations,
                        double balance, struct rng *rng)
{
    double best = INFINITY;
    size_t stale = 0;

    start(m, n, k, rng);
    const double lambda = balance > 0 ? balance * m->mean_sq / ((double)n / (double)k) : 0;
    for (size_t pass = 0; pass < iterations && stale < STALE_PASSES; pass++) {
        if (update(m, n, k) <= converged * converged * m->mean_sq)
            break;
        double cost = lambda > 0 ? assign_balanced(m, n, k, lambda) : assign_nearest(m, n, k);
        cost += lambda / 2 * sum_of_squares(m->count, k);
        stale = cost < best ? 0 : stale + 1;
        best = fmin(best, cost);
    }
}

double balanced_means_unevenness(struct balanced_means *m, size_t n, size_t k)
{
    assign_nearest(m, n, k);
    const double mean = (double)n / (double)k;
    return sqrt(fmax(0, sum_of_squares(m->count, k) / (double)k - mean * mean)) / mean;
}

/* Two halves of a posting: 2-means of a sample, then every row goes to the nearer centre; the
   border moves where a side would be too small. */

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
