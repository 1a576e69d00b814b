/* sketch_train.c - how many coordinates a sketch has: a scan of a sample shows how many pay.
 *
 * Some rows of the sample serve as queries. For each, the nearest rows stand in for the lists that
 * it would probe. The limit of the scan is the distance at rank k, with k reduced as the sample is
 * smaller than the data. A sketch of m coordinates then costs, in bytes per row scanned,
 *
 *     (m + 4) + 3/2 (share of rows that pass its bound) 4 dim
 *
 * against 4 dim without: the rows that pass are scattered in memory, hence the 3/2. */
#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/sketch_internal.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"

enum { CANDIDATES = 7, DIMS_MOST = 128, ROWS_LEAST = 256, ROWS_MOST = 4096 };
enum { QUERIES = 64, TOGETHER = 8 };

/* The rows of a query that stand in for its lists: one in NEAR_SHARE, at least NEAR_LEAST. */
enum { NEAR_SHARE = 16, NEAR_LEAST = 64 };

/* The usual error of a code, as a fraction of its maximum: the root of 1/3 on average, more for the
   worst of a list, and the query's own. */
static const double usual_error = 0.75;

/* Ascending; at most a tenth of a row's bytes, including the float beside each code. */
static size_t candidates(size_t dim, size_t dims[CANDIDATES])
{
    static const size_t usual[] = { 16, 32, 48, 64, 96, DIMS_MOST };
    size_t most = dim * 4 / 10 < 20 ? 0 : (dim * 4 / 10 - 4) / 4 * 4, n = 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual && usual[i] <= most; i++)
        dims[n++] = usual[i];
    if (n > 0 && most < DIMS_MOST && dims[n - 1] < most)
        dims[n++] = most;
    return n;
}

size_t sketch_most_dims(size_t dim)
{
    size_t dims[CANDIDATES], n = candidates(dim, dims);
    return n ? dims[n - 1] : 0;
}

struct trial {
    const struct sketch *fine;
    const float *rows;
    size_t n, dim, width;
    size_t dims[CANDIDATES], n_dims;
    float *work;              /* n x width */
    float *rest;              /* n x n_dims: norm of the remainder after dims[c] - 1 axes */
    float *queries;           /* TOGETHER x dim */
    float *distances, *order; /* TOGETHER x n; n */
    double error[CANDIDATES];
    uint64_t near, passed[CANDIDATES];
};

static void find_rests(struct trial *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const float *work = t->work + i * t->width;
        size_t a = t->fine->n_axes;
        double sum = (double)work[a] * (double)work[a];
        for (size_t c = t->n_dims; c-- > 0;) {
            for (; a > t->dims[c] - 1; a--)
                sum += (double)work[a - 1] * (double)work[a - 1];
            t->rest[i * t->n_dims + c] = (float)sqrt(sum);
        }
    }
}

static double step_of(const float *first, size_t n, size_t stride)
{
    float least = *first, most = *first;
    for (size_t i = 1; i < n; i++) {
        float v = first[i * stride];
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    return (double)(most - least) * 1.125 / 255;
}

static void find_errors(struct trial *t)
{
    double sum = 0;
    for (size_t c = 0, a = 0; c < t->n_dims; c++) {
        for (; a < t->dims[c] - 1; a++) {
            double step = step_of(t->work + a, t->n, t->width);
            sum += step * step / 4;
        }
        double step = step_of(t->rest + c, t->n, t->n_dims);
        t->error[c] = usual_error * sqrt(sum + step * step / 4);
    }
}

/* Counts the sketches whose bound row i passes, for query q and the root of the limit. */
static void try_pair(struct trial *t, size_t q, size_t i, double root)
{
    const float *x = t->work + q * t->width, *y = t->work + i * t->width;
    const float *rest_x = t->rest + q * t->n_dims, *rest_y = t->rest + i * t->n_dims;
    float sum = 0;
    t->near++;
    for (size_t c = 0, a = 0; c < t->n_dims; c++) {
        for (; a < t->dims[c] - 1; a++)
            sum += (x[a] - y[a]) * (x[a] - y[a]);
        double left = (double)(rest_x[c] - rest_y[c]), reach = root + t->error[c];
        t->passed[c] += (double)sum + left * left <= reach * reach;
    }
}

static void try_query(struct trial *t, size_t q, float *distances, size_t rank, size_t near)
{
    distances[q] = INFINITY; /* not its own neighbour */
    memcpy(t->order, distances, t->n * sizeof *t->order);
    float within = order_select_f32(t->order, t->n, near - 1);
    double root = sqrt((double)order_select_f32(t->order, t->n, rank));
    for (size_t i = 0; i < t->n; i++)
        if (distances[i] <= within)
            try_pair(t, q, i, root);
}

/* TOGETHER queries at a time share a pass over the rows. */
static void try_queries(struct trial *t, size_t rank, size_t near)
{
    for (size_t first = 0; first < QUERIES; first += TOGETHER) {
        for (size_t i = 0; i < TOGETHER; i++)
            memcpy(t->queries + i * t->dim, t->rows + (first + i) * t->n / QUERIES * t->dim,
                   t->dim * sizeof *t->rows);
        t->fine->code.kernels->l2sq_f32_mn(t->queries, TOGETHER, t->rows, t->n, t->dim,
                                           t->distances, t->n);
        for (size_t i = 0; i < TOGETHER; i++)
            try_query(t, (first + i) * t->n / QUERIES, t->distances + i * t->n, rank, near);
    }
}

static double cost_of(const struct trial *t, size_t c)
{
    double share = (double)t->passed[c] / (double)t->near;
    return (double)t->dims[c] + 4 + 1.5 * share * 4 * (double)t->dim;
}

/* The smallest within a tenth of the best, because each coordinate costs insertion time. */
static size_t least_cost(const struct trial *t)
{
    double best = INFINITY;
    for (size_t c = 0; c < t->n_dims; c++)
        best = fmin(best, cost_of(t, c));
    if (best > 0.8 * 4 * (double)t->dim) /* less than a fifth saved does not pay */
        return 0;
    size_t c = 0;
    while (cost_of(t, c) > 1.1 * best)
        c++;
    return t->dims[c];
}

int sketch_choose(const struct index_env *env, const struct sketch *fine, const float *sample,
                  size_t sampled, size_t n, size_t *dims)
{
    size_t k = env->k_hint ? env->k_hint : 10, most = 2400000 / env->dim;
    struct trial t = { .fine = fine, .rows = sample, .dim = env->dim };
    *dims = 0;
    most = most > ROWS_MOST ? ROWS_MOST : most < ROWS_LEAST ? ROWS_LEAST : most;
    t.n = sampled < most ? sampled : most;
    if (t.n < ROWS_LEAST)
        return OK;
    t.width = fine->base.work_dim;
    t.n_dims = candidates(env->dim, t.dims);
    size_t rank = k * t.n / n, near = t.n / NEAR_SHARE;
    near = near < NEAR_LEAST ? NEAR_LEAST : near;
    rank = rank < 1 ? 0 : rank - 1;
    near = near < rank + 1 ? rank + 1 : near;

    t.work = mem_array(env->mem, t.n * (t.width + t.n_dims + TOGETHER + 1) + TOGETHER * t.dim,
                       sizeof *t.work);
    if (!t.work)
        return fail(env->error, ERR_NO_MEMORY, "sketch: out of memory");
    t.rest = t.work + t.n * t.width;
    t.distances = t.rest + t.n * t.n_dims;
    t.order = t.distances + TOGETHER * t.n;
    t.queries = t.order + t.n;
    fine->base.ops->transform(&fine->base, sample, t.n, t.work);
    find_rests(&t);
    find_errors(&t);
    try_queries(&t, rank, near < t.n ? near : t.n - 1);
    *dims = least_cost(&t);
    mem_free(env->mem, t.work);
    return OK;
}
