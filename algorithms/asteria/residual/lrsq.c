/* lrsq.c - training of LRSQ: chooses directions, bits and scales from a sample, then fits
 * estimates; LRSQ in a snapshot.
 *
 * The coordinates of y in the `rank` strongest directions are stored by column for the quantiles.
 *
 * alpha and beta of the estimates are a regression line through pairs of the sample. The
 * coordinates left out correlate with those kept. If 256 of a rotated row's 512 similar
 * coordinates are kept, they account for half of the product, and alpha is about 2. Pairs have the
 * weight 1 / distance^4, because only near rows need to be ranked.
 */
#include <float.h>
#include <math.h>

#include "algorithms/asteria/residual/internal.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Rows of a sample that are used. */
enum { ROWS_MOST = 16384, EXTREMES = ROWS_MOST / 100 + 2 };
/* Relative to the largest variance: float rounding alone gives a constant coordinate this much. */
static const double CONSTANT = 1e-12;

struct range {
    double low, high;
};

struct training {
    const struct index_env *env;
    const struct asteria_lrsq_options *options;
    const float *z;               /* m x in_dim */
    size_t m, in_dim, candidates; /* the strongest directions */
    float *centre, *axes;         /* in_dim; pca: candidates x in_dim */
    uint32_t *order;              /* coordinates by falling variance */
    double *variance;             /* of candidates, falling */
    float *columns;               /* candidates x m */
    struct range *ranges;         /* of candidates */
};

static int no_memory(const struct index_env *env, size_t in_dim)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: LRSQ of %zu coordinates: out of memory",
                in_dim);
}

/* Allocates all arrays for the shape's in_dim, n_bytes, n_nibbles and pca. ERR_NO_MEMORY. */
static int allocate(struct asteria_lrsq **to, const struct index_env *env,
                    const struct asteria_lrsq *shape)
{
    struct asteria_lrsq *l = mem_zalloc(env->mem, sizeof *l);
    if (!l)
        return no_memory(env, shape->in_dim);
    *l = *shape;
    struct mem_group *g = &l->memory;
    g->mem = env->mem;
    const size_t width = lrsq_width(l);
    l->code_bytes = sizeof(struct asteria_lrsq_head) + l->n_bytes + l->n_nibbles / 2;
    l->kernels = env->kernels;
    l->axis = l->pca ? NULL : mem_group_zalloc(g, width, sizeof *l->axis);
    l->rows = l->pca ? mem_group_zalloc(g, width * l->in_dim, sizeof *l->rows) : NULL;
    l->panels = l->pca ? mem_group_zalloc(g, width * lrsq_padded(l), sizeof *l->panels) : NULL;
    l->centre = mem_group_zalloc(g, l->in_dim, sizeof *l->centre);
    l->scale = mem_group_zalloc(g, width, sizeof *l->scale);
    l->zero = mem_group_zalloc(g, width, sizeof *l->zero);
    *to = l;
    if (!g->failed)
        return OK;
    asteria_lrsq_destroy(env, l);
    *to = NULL;
    return no_memory(env, shape->in_dim);
}

void asteria_lrsq_destroy(const struct index_env *env, struct asteria_lrsq *l)
{
    if (!l)
        return;
    mem_group_free(&l->memory);
    mem_free(env->mem, l);
}

size_t asteria_lrsq_bytes(const struct asteria_lrsq *l)
{
    const size_t width = lrsq_width(l);
    return sizeof *l + l->in_dim * sizeof *l->centre + 2 * width * sizeof *l->scale +
           width * (l->axis ? sizeof *l->axis : (l->in_dim + lrsq_padded(l)) * sizeof *l->rows);
}

/* Gain per bit of four more bits for a coordinate that has `width`. */
static double gain(double variance, uint8_t width)
{
    return variance * (exp2(-2.0 * width) - exp2(-2.0 * (width + 4))) / 4;
}

/* The mean variance of a block decides. If the budget ends inside a block, its first coordinates
   get the bits. A constant coordinate gets none. */
void asteria_lrsq_fill(const double *variance, size_t n, size_t block, double bits, uint8_t *widths)
{
    size_t alive = 0, steps = (size_t)(bits * (double)n / 4 + 1e-9);
    while (alive < n && variance[alive] > CONSTANT * variance[0])
        alive++;
    memset(widths, 0, n);
    block = block ? block : 1;
    while (steps > 0) {
        size_t best = alive;
        double most = 0;
        for (size_t first = 0; first < alive; first += block) {
            const size_t end = first + block < alive ? first + block : alive;
            double mean = 0;
            for (size_t i = first; i < end; i++)
                mean += variance[i] / (double)(end - first);
            if (widths[first] < 8 && gain(mean, widths[first]) > most) {
                most = gain(mean, widths[first]);
                best = first;
            }
        }
        if (best == alive)
            return;
        for (size_t i = best; i < alive && i < best + block && steps > 0; i++, steps--)
            widths[i] = (uint8_t)(widths[i] + 4);
    }
}

static const float *row_of(const struct training *t, size_t i)
{
    return t->z + i * t->in_dim;
}

/* Mean and variance of all coordinates, in two passes. */
static void measure(struct training *t, double *variance)
{
    double *sum = variance;
    memset(sum, 0, t->in_dim * sizeof *sum);
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->in_dim; j++)
            sum[j] += (double)row_of(t, i)[j];
    for (size_t j = 0; j < t->in_dim; j++)
        t->centre[j] = (float)(sum[j] / (double)t->m);
    memset(variance, 0, t->in_dim * sizeof *variance);
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->in_dim; j++) {
            const double x = (double)row_of(t, i)[j] - (double)t->centre[j];
            variance[j] += x * x / (double)t->m;
        }
}

static void column_variances(struct training *t)
{
    for (size_t c = 0; c < t->candidates; c++) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < t->m; i++)
            mean += (double)t->columns[c * t->m + i] / (double)t->m;
        for (size_t i = 0; i < t->m; i++) {
            const double x = (double)t->columns[c * t->m + i] - mean;
            square += x * x / (double)t->m;
        }
        /* Rounding must not make variances rise. */
        t->variance[c] = c && square > t->variance[c - 1] ? t->variance[c - 1] : square;
    }
}

static int use_coordinates(struct training *t)
{
    double *variance = mem_array(t->env->mem, t->in_dim, sizeof *variance);
    if (!variance)
        return no_memory(t->env, t->in_dim);
    measure(t, variance);
    /* Insertion sort keeps equal ones in order; it runs once, over a few thousand coordinates. */
    for (size_t j = 0; j < t->in_dim; j++) {
        size_t at = j;
        for (; at > 0 && variance[t->order[at - 1]] < variance[j]; at--)
            t->order[at] = t->order[at - 1];
        t->order[at] = (uint32_t)j;
    }
    mem_free(t->env->mem, variance);
    for (size_t i = 0; i < t->m; i++)
        for (size_t c = 0; c < t->candidates; c++)
            t->columns[c * t->m + i] = row_of(t, i)[t->order[c]] - t->centre[t->order[c]];
    column_variances(t);
    return OK;
}

/* Columns are the products of the axes with the rows minus the mean. */
static int use_axes(struct training *t)
{
    struct index_env env = *t->env;
    env.dim = t->in_dim;
    float *rows = mem_array(env.mem, t->m * t->in_dim, sizeof *rows);
    if (!rows)
        return no_memory(t->env, t->in_dim);
    const int rc = axes_find(&env, t->z, t->m, t->candidates, t->centre, t->axes, NULL);
    if (rc == OK) {
        for (size_t i = 0; i < t->m; i++)
            for (size_t j = 0; j < t->in_dim; j++)
                rows[i * t->in_dim + j] = row_of(t, i)[j] - t->centre[j];
        env.kernels->ip_f32_mn(t->axes, t->candidates, rows, t->m, t->in_dim, t->columns, t->m);
        column_variances(t);
    }
    mem_free(env.mem, rows);
    return rc;
}

/* The `keep` smallest of sign * values, ascending. */
static void smallest(const float *values, size_t n, float sign, size_t keep, float *to)
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        const float x = sign * values[i];
        if (have == keep && !(x < to[keep - 1]))
            continue;
        size_t at = have < keep ? have++ : keep - 1;
        for (; at > 0 && to[at - 1] > x; at--)
            to[at] = to[at - 1];
        to[at] = x;
    }
}

/* Cost, in the error of estimates, of clipping the first `beyond` values to the next one. */
static double clipped(const float *ends, size_t beyond, double variance)
{
    double cost = 0;
    for (size_t i = 0; i < beyond; i++) {
        const double x = (double)ends[i], left = x - (double)ends[beyond];
        cost += (x * x + variance) * left * left;
    }
    return cost;
}

/* The range of a coordinate's codes: the quantiles that minimise the mean of the estimates'
   error (y_q - y)^2 (y - yhat)^2, y_q being distributed as y. A clipped y is far from y_q and
   errs to one side, so at 8 bits it is best to clip almost nothing. Small samples get at least
   three deviations. */
static struct range range_of(const float *column, size_t m, double variance, unsigned width)
{
    static const size_t shares[] = { SIZE_MAX, 10000, 1000, 300, 100 };
    float least[EXTREMES] = { 0 }, greatest[EXTREMES] = { 0 };
    struct range best = { 0, 0 };
    double lowest = INFINITY;
    smallest(column, m, 1, m / 100 + 1, least);
    smallest(column, m, -1, m / 100 + 1, greatest);
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        const size_t beyond = m / shares[s];
        const struct range r = { (double)least[beyond], -(double)greatest[beyond] };
        const double step = (r.high - r.low) / (width == 8 ? 255 : 15);
        const double cost = clipped(least, beyond, variance) + clipped(greatest, beyond, variance) +
                            (double)m * variance * step * step / 6;
        if (cost < lowest && r.high > r.low) {
            lowest = cost;
            best = r;
        }
    }
    if (m < 1000) {
        best.low = fmin(best.low, -3 * sqrt(variance));
        best.high = fmax(best.high, 3 * sqrt(variance));
    }
    return best;
}

/* Gives the coordinates of each block the range that spans theirs. */
static void span_blocks(const struct training *t, const uint8_t *widths)
{
    for (size_t first = 0; first < t->candidates; first += t->options->block) {
        const size_t rest = t->candidates - first;
        const size_t end = first + (rest < t->options->block ? rest : t->options->block);
        struct range all = { INFINITY, -INFINITY };

        for (size_t c = first; c < end; c++)
            if (widths[c])
                all = (struct range){ fmin(all.low, t->ranges[c].low),
                                      fmax(all.high, t->ranges[c].high) };
        for (size_t c = first; c < end; c++)
            t->ranges[c] = all;
    }
}

static int build(const struct training *t, uint8_t *widths, struct asteria_lrsq **to)
{
    size_t bytes = 0, nibbles = 0;
    asteria_lrsq_fill(t->variance, t->candidates, t->options->block, t->options->bits, widths);
    for (size_t c = 0; c < t->candidates; c++) {
        struct range *r = &t->ranges[c];
        *r = range_of(t->columns + c * t->m, t->m, t->variance[c], widths[c]);
        /* A coordinate whose scale would underflow a float gets no bits. */
        widths[c] = (r->high - r->low) / 255 > (double)FLT_MIN * 4 ? widths[c] : 0;
        bytes += widths[c] == 8;
        nibbles += widths[c] == 4;
    }
    if (t->options->block_scale)
        span_blocks(t, widths);
    const struct asteria_lrsq shape = { .in_dim = t->in_dim,
                                        .rank = bytes + nibbles,
                                        .n_bytes = (bytes + 7) / 8 * 8,
                                        .n_nibbles = (nibbles + 15) / 16 * 16,
                                        .pca = t->options->pca,
                                        .alpha = 1 };
    const int rc = allocate(to, t->env, &shape);
    if (rc != OK)
        return rc;
    struct asteria_lrsq *l = *to;
    memcpy(l->centre, t->centre, t->in_dim * sizeof *l->centre);
    size_t at_byte = 0, at_nibble = l->n_bytes;
    for (size_t c = 0; c < t->candidates; c++) {
        if (!widths[c])
            continue;
        const size_t at = widths[c] == 8 ? at_byte++ : at_nibble++;
        const struct range r = t->ranges[c];
        l->zero[at] = (float)r.low;
        l->scale[at] = (float)((r.high - r.low) / (at < l->n_bytes ? 255 : 15));
        if (l->axis)
            l->axis[at] = t->order[c];
        else
            memcpy(l->rows + at * l->in_dim, t->axes + c * l->in_dim, l->in_dim * sizeof *l->rows);
    }
    asteria_lrsq_lay(l);
    if (t->options->pca)
        asteria_lrsq_measure(l, t->axes);
    return OK;
}

/* ---------------------------------------------------------------------------------- estimates */

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

/* Fits alpha and beta, which must be 1 and 0; z: n x in_dim. */
static int fit_line(struct asteria_lrsq *l, const struct index_env *env, const float *z, size_t n,
                    uint64_t seed)
{
    struct mem_group g = { .mem = env->mem };
    const size_t query_bytes = asteria_lrsq_query_bytes(l);
    void *code = mem_group_zalloc(&g, 1, l->code_bytes);
    char *queries = mem_group_zalloc(&g, PAIR_QUERIES, query_bytes);
    struct rng rng = rng_at(seed, 0x6c727371);
    struct fit f = { 0, 0, 0, 0, 0 };
    size_t chosen[PAIR_QUERIES];
    if (g.failed) {
        mem_group_free(&g);
        return fail(env->error, ERR_NO_MEMORY, "asteria: LRSQ's fit: out of memory");
    }
    for (size_t i = 0; i < PAIR_QUERIES; i++) {
        chosen[i] = rng_below(&rng, n);
        asteria_lrsq_query(l, z + chosen[i] * l->in_dim, queries + i * query_bytes);
    }
    for (size_t i = 0; i < PAIR_ROWS; i++) {
        const size_t row = rng_below(&rng, n);
        asteria_lrsq_put(l, z + row * l->in_dim, code);
        for (size_t j = 0; j < PAIR_QUERIES; j++)
            if (row != chosen[j])
                add_pair(&f, l, z + chosen[j] * l->in_dim, z + row * l->in_dim,
                         queries + j * query_bytes, code);
    }
    mem_group_free(&g);
    const double spread = f.xx * f.n - f.x * f.x;
    const double alpha = (f.xt * f.n - f.x * f.t) / spread;
    /* Of similar coordinates, alpha is in_dim / rank. A much larger or a negative value is the
       noise of a small sample. */
    if (spread > 1e-9 * f.xx * f.n && alpha > 0.1 &&
        alpha * (double)l->rank < 2 * (double)l->in_dim) {
        l->alpha = (float)alpha;
        l->beta = (float)((f.t - alpha * f.x) / f.n);
    }
    return OK;
}

int asteria_lrsq_train(struct asteria_lrsq **to, const struct index_env *env,
                       const struct asteria_lrsq_options *options, const float *z, size_t n,
                       size_t in_dim)
{
    const size_t candidates = options->rank < in_dim ? options->rank : in_dim;
    const size_t m = n < ROWS_MOST ? n : ROWS_MOST;
    struct mem_group g = { .mem = env->mem };
    struct training t = {
        .env = env,
        .options = options,
        .z = z,
        .m = m,
        .in_dim = in_dim,
        .candidates = candidates,
        .centre = mem_group_array(&g, in_dim, sizeof *t.centre),
        .axes = options->pca ? mem_group_array(&g, candidates * in_dim, sizeof *t.axes) : NULL,
        .order = mem_group_array(&g, in_dim, sizeof *t.order),
        .variance = mem_group_array(&g, candidates, sizeof *t.variance),
        .columns = mem_group_array(&g, candidates * m, sizeof *t.columns),
        .ranges = mem_group_array(&g, candidates, sizeof *t.ranges),
    };
    uint8_t *widths = mem_group_array(&g, candidates, sizeof *widths);
    int rc;

    *to = NULL;
    if (g.failed)
        rc = no_memory(env, in_dim);
    else
        rc = options->pca ? use_axes(&t) : use_coordinates(&t);
    if (rc == OK)
        rc = build(&t, widths, to);
    if (rc == OK)
        rc = fit_line(*to, env, z, m, options->seed);
    mem_group_free(&g);
    if (rc != OK) {
        asteria_lrsq_destroy(env, *to);
        *to = NULL;
    }
    return rc;
}

/* ----------------------------------------------------------------------------------- snapshots */

enum {
    HEAD_BYTES =
        offsetof(struct asteria_lrsq, beta) + sizeof(float) - offsetof(struct asteria_lrsq, rank)
};
_Static_assert(HEAD_BYTES == 40, "the file's layout");

static bool is_shape(const struct asteria_lrsq *s)
{
    return s->n_bytes <= s->in_dim + 7 && s->n_nibbles <= s->in_dim + 15 && s->n_bytes % 8 == 0 &&
           s->n_nibbles % 16 == 0 && s->rank <= s->in_dim && s->rank <= s->n_bytes + s->n_nibbles &&
           s->pca <= 1 && isfinite(s->alpha) && isfinite(s->beta);
}

/* Each coordinate of z is used at most once; unused ones have scale and zero 0. `seen`:
   in_dim zeros. */
static bool are_axes(const struct asteria_lrsq *l, unsigned char *seen)
{
    size_t rank = 0;
    for (size_t i = 0; i < lrsq_width(l); i++) {
        if (!(l->scale[i] >= 0) || (l->scale[i] == 0 && l->zero[i] != 0))
            return false;
        if (!(l->scale[i] > 0))
            continue;
        rank++;
        if (l->axis && (l->axis[i] >= l->in_dim || seen[l->axis[i]]++))
            return false;
        for (size_t j = 0; j < l->in_dim && !l->axis; j++)
            if (!(fabsf(l->rows[i * l->in_dim + j]) < 2))
                return false;
    }
    return rank == l->rank;
}

static int finish_reading(struct asteria_lrsq *l, const struct index_env *env,
                          const struct store_reader *r)
{
    const size_t each = l->axis ? 1 : sizeof *l->rows * (l->rank ? l->rank : 1);
    void *scratch = mem_zalloc(env->mem, l->in_dim * each);
    if (!scratch)
        return fail(env->error, ERR_NO_MEMORY, "asteria: reading LRSQ: out of memory");
    const size_t width = lrsq_width(l);
    bool good = index_all_finite(l->centre, l->in_dim) && index_all_finite(l->scale, width) &&
                index_all_finite(l->zero, width) && are_axes(l, scratch);
    if (good && l->rows) {
        asteria_lrsq_measure(l, scratch);
        good = l->defect < 1e-3F;
        asteria_lrsq_lay(l);
    }
    mem_free(env->mem, scratch);
    return good ? OK : store_corrupt(r, "LRSQ's axes and scales are invalid");
}

int asteria_lrsq_field(struct store_fields *f, const struct index_env *env, size_t in_dim,
                       char suffix, struct asteria_lrsq **to)
{
    struct asteria_lrsq shape = { .in_dim = in_dim };
    char *const head = (char *)(f->w ? *to : &shape) + offsetof(struct asteria_lrsq, rank);
    if (store_copy(f, store_tag("lrsq", suffix).text, head, 1, HEAD_BYTES) != OK)
        return f->code;
    if (f->r && !is_shape(&shape))
        return f->code = store_corrupt(f->r, "LRSQ's shape is invalid");
    if (f->r && (f->code = allocate(to, env, &shape)) != OK)
        return f->code;
    struct asteria_lrsq *l = *to;
    const size_t width = lrsq_width(l);
    store_copy(f, store_tag("lrsq_centre", suffix).text, l->centre, in_dim, sizeof *l->centre);
    store_copy(f, store_tag("lrsq_scale", suffix).text, l->scale, width, sizeof *l->scale);
    store_copy(f, store_tag("lrsq_zero", suffix).text, l->zero, width, sizeof *l->zero);
    if (l->axis)
        store_copy(f, store_tag("lrsq_axis", suffix).text, l->axis, width, sizeof *l->axis);
    else
        store_copy(f, store_tag("lrsq_rows", suffix).text, l->rows, width,
                   in_dim * sizeof *l->rows);
    return f->w || f->code != OK ? f->code : (f->code = finish_reading(l, env, f->r));
}
