/* rabitq.c - the RaBitQ quantizer: training, storing, and scanning signs. */
#include "algorithms/common/quantizer/rabitq/internal.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* 1. Training and storing */

/* In a file: this, then the mean. LAYOUT increases when the meaning of a code's bytes changes. 2:
   codes of four bits are nibbles, not planes. */
enum { LAYOUT = 2 };
struct saved {
    uint64_t bits, seed;
    double eps0;
    uint64_t layout;
};

static void lay_out_planes(struct rabitq *q)
{
    struct quantizer *base = &q->base;
    q->terms_at = 64 * q->lines * q->bits;
    base->block_bytes = q->terms_at + QUANTIZER_BLOCK * (sizeof(float) + 2 * sizeof(uint16_t));
    base->query_bytes = (sizeof(struct rabitq_query) + 32 * q->lines + 63) / 64 * 64;
    base->code_bytes = (double)base->block_bytes / QUANTIZER_BLOCK;
}

/* Sizes that follow from dimension and bits. */
static void lay_out(struct rabitq *q)
{
    struct quantizer *base = &q->base;
    base->work_dim = q->rotation.out_dim;
    q->lines = base->work_dim / 8;
    q->padded_dim = (base->work_dim + 31) / 32 * 32;
    q->rounding = ldexpf(sqrtf((float)base->work_dim), (int)q->bits - 22);
    base->per_list = true;
    if (q->planes) {
        lay_out_planes(q);
        return;
    }
    q->terms_at = 64 * q->lines;
    q->rows_at = q->terms_at + 3 * QUANTIZER_BLOCK * sizeof(float);
    if (q->bits > 1)
        q->row_bytes = sizeof(struct rabitq_terms) + q->padded_dim / (q->bits > 5 ? 1 : 2);
    base->block_bytes = q->rows_at + QUANTIZER_BLOCK * q->row_bytes;
    base->query_bytes = sizeof(struct rabitq_query) + 32 * q->lines;
    if (q->bits > 1)
        base->query_bytes += q->padded_dim * sizeof(float);
    base->query_bytes = (base->query_bytes + 63) / 64 * 64;
    base->code_bytes = (double)q->rows_at / QUANTIZER_BLOCK;
    base->refines = q->bits > 1;
}

void rabitq_destroy(const struct index_env *env, struct quantizer *base)
{
    struct rabitq *q = (struct rabitq *)(void *)base;
    rotation_free(&q->rotation, env->mem);
    mem_free(env->mem, q);
}

static int make(bool planes, struct quantizer **out, const struct index_env *env,
                const struct saved *options, const float *mean)
{
    struct rabitq *q = mem_zalloc(env->mem, sizeof *q);
    if (!q || !rotation_init(&q->rotation, env->mem, mean, env->dim, options->seed)) {
        mem_free(env->mem, q);
        return fail(env->error, ERR_NO_MEMORY, "rabitq: dimension %zu: out of memory", env->dim);
    }
    q->kernels = env->kernels;
    q->planes = planes;
    q->bits = (unsigned)options->bits;
    q->eps0 = (float)options->eps0;
    lay_out(q);
    *out = &q->base;
    return OK;
}

static size_t bits_most(bool planes)
{
    return planes ? RABITQ_PLANES_MAX : 9;
}

int rabitq_train(struct quantizer **out, const struct index_env *env,
                 const struct quantizer_options *options, const float *rows, size_t n)
{
    const bool planes = options->kind == QUANTIZER_PLANES;
    if (options->bits < 1 || options->bits > bits_most(planes))
        return fail(env->error, ERR_ARGUMENT, "rabitq: %zu bits; 1 to %zu are possible",
                    options->bits, bits_most(planes));
    if (!(options->eps0 > 0) || !isfinite(options->eps0))
        return fail(env->error, ERR_ARGUMENT, "rabitq: eps0 is %g; it must be above 0",
                    options->eps0);
    if (env->dim > ROTATION_DIM_MAX)
        return fail(env->error, ERR_ARGUMENT, "rabitq: dimension %zu; at most %d are possible",
                    env->dim, ROTATION_DIM_MAX);
    float *mean = mem_array(env->mem, env->dim, sizeof *mean);
    if (!mean)
        return fail(env->error, ERR_NO_MEMORY, "rabitq: out of memory");
    axes_mean(rows, n, env->dim, mean);
    const struct saved made = { options->bits, options->seed, options->eps0, LAYOUT };
    const int rc = make(planes, out, env, &made, mean);
    mem_free(env->mem, mean);
    return rc;
}

uint64_t rabitq_bytes(const struct quantizer *base)
{
    return sizeof(struct rabitq) + rotation_bytes(&rabitq_of(base)->rotation);
}

size_t rabitq_save(const struct quantizer *base, void *bytes)
{
    const struct rabitq *q = rabitq_of(base);
    const struct saved saved = { q->bits, q->rotation.seed, (double)q->eps0, LAYOUT };
    const size_t mean_bytes = q->rotation.dim * sizeof *q->rotation.mean;
    if (bytes) {
        memcpy(bytes, &saved, sizeof saved);
        memcpy((uint8_t *)bytes + sizeof saved, q->rotation.mean, mean_bytes);
    }
    return sizeof saved + mean_bytes;
}

int rabitq_load_as(bool planes, struct quantizer **out, const struct index_env *env,
                   const void *bytes, size_t n)
{
    struct saved saved;
    if (n != sizeof saved + env->dim * sizeof(float) || env->dim > ROTATION_DIM_MAX)
        return fail(env->error, ERR_CORRUPT, "rabitq: %zu bytes do not fit dimension %zu", n,
                    env->dim);
    memcpy(&saved, bytes, sizeof saved);
    if (saved.layout != LAYOUT)
        return fail(
            env->error, ERR_CORRUPT,
            "rabitq: codes have layout %llu, this program reads layout %d; build the index again",
            (unsigned long long)saved.layout, LAYOUT);
    const float *mean = (const float *)(const void *)((const uint8_t *)bytes + sizeof saved);
    const bool sound = saved.bits >= 1 && saved.bits <= bits_most(planes) && saved.eps0 > 0 &&
                       isfinite(saved.eps0) && index_all_finite(mean, env->dim);
    if (!sound)
        return fail(env->error, ERR_CORRUPT, "rabitq: bits, eps0 or mean are invalid");
    return make(planes, out, env, &saved, mean);
}

static int rabitq_load(struct quantizer **out, const struct index_env *env, const void *bytes,
                       size_t n)
{
    return rabitq_load_as(false, out, env, bytes, n);
}

void rabitq_transform(const struct quantizer *base, const float *rows, size_t n, float *out)
{
    const struct rotation *rotation = &rabitq_of(base)->rotation;
    for (size_t i = 0; i < n; i++)
        rotation_apply(rotation, rows + i * rotation->dim, out + i * rotation->out_dim);
}

/* 2. Scanning */

/* Entry b is the sum of the x_i whose bit is set in b, less the smallest such sum, in units of
   the slope. */
static void fill_table(uint8_t *table, const float *x, float lowest, float slopes)
{
    static const float bit[4][16] = { { 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 },
                                      { 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1 },
                                      { 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1 },
                                      { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 } };
    const float x0 = slopes * x[0], x1 = slopes * x[1], x2 = slopes * x[2], x3 = slopes * x[3];
    const float first = 0.5f - slopes * lowest;
    for (unsigned b = 0; b < 16; b++) {
        const float entry =
            first + x0 * bit[0][b] + x1 * bit[1][b] + x2 * bit[2][b] + x3 * bit[3][b];
        table[b] = (uint8_t)(int)entry; /* below 256: widest * slopes is 255 up to rounding */
    }
}

/* Fills the tables of all groups of four; returns the slope. magnitudes: those of row. */
static float fill_tables(const struct rabitq *q, const float *row, const float *magnitudes,
                         uint8_t *tables)
{
    const size_t n = q->base.work_dim;
    float width[ROTATION_DIM_MAX / 4], widest = 0;
    for (size_t g = 0; g < n / 4; g++) {
        const float *m = magnitudes + 4 * g;
        width[g] = m[0] + m[1] + m[2] + m[3];
        widest = width[g] > widest ? width[g] : widest;
    }
    const float slopes = widest > 0 ? 255 / widest : 0;
    for (size_t g = 0; g < n / 4; g++) {
        const float *x = row + 4 * g; /* the sum of the negative ones is (sum x - sum |x|) / 2 */
        fill_table(tables + 16 * g, x, 0.5f * (x[0] + x[1] + x[2] + x[3] - width[g]), slopes);
    }
    return widest / 255;
}

void rabitq_query_prepare(const struct quantizer *base, const float *row, void *query)
{
    const struct rabitq *q = rabitq_of(base);
    struct rabitq_query *to = query;
    uint8_t *tables = (uint8_t *)(to + 1), signs[ROTATION_DIM_MAX / 8];
    const size_t n = base->work_dim;
    float x[ROTATION_DIM_MAX], magnitudes[ROTATION_DIM_MAX];
    memset(x, 0, n * sizeof *x);
    const struct residual r = q->kernels->residual_f32(row, x, n, magnitudes, signs);
    memcpy(x, row, n * sizeof *x);
    memset(x + n, 0, (q->padded_dim - n) * sizeof *x);
    const float sum = rabitq_sum(q, x), slope = fill_tables(q, row, magnitudes, tables);
    /* The error of a lookup is uniform, up to half a slope: `rounding` follows from the standard
       deviation of a sum. */
    /* Plane p counts 2^p times, so its variance counts 4^p times. */
    const float numbers = q->planes ? (float)(1u << q->bits) : 2, most = numbers - 1;
    const float times = sqrtf((numbers * numbers - 1) / 3);
    *to = (struct rabitq_query){ .slope = slope,
                                 .offset = most * -r.size / 2, /* (sum x - sum |x| - sum x) / 2 */
                                 .rounding = times * q->eps0 * slope * sqrtf((float)n / 48),
                                 .rounding_most = most * slope * (float)n / 8,
                                 .sure = 1,
                                 .sum = sum,
                                 .norm = sqrtf(r.norm_sq) };
    if (q->base.refines)
        memcpy(tables + 32 * q->lines, x, q->padded_dim * sizeof *x);
}

/* By Cauchy-Schwarz the error is at most 2 l |q - c| sqrt(l^2 |xb|^2 / s^2 - 1). */
void rabitq_query_certain(const struct quantizer *base, void *query)
{
    const struct rabitq *q = rabitq_of(base);
    struct rabitq_query *to = query;
    to->sure = 1.001f * sqrtf((float)base->work_dim) / q->eps0;
    to->sure = to->sure > 1 ? to->sure : 1;
    to->rounding = to->rounding_most;
}

void rabitq_query_list(const struct quantizer *base, void *query, const float *centroid,
                       float distance, float error)
{
    struct rabitq_query *to = query;
    (void)centroid;
    (void)error;
    to->distance = distance;
    to->root = to->sure * sqrtf(distance);
    /* Rounding of <xb, c>, as |c| <= |q| + |q - c|; that of the part in |q| is far
       below `rounding`. */
    to->slack = to->rounding + rabitq_of(base)->rounding * to->root;
}

static inline void fetch_row(const struct rabitq *q, const uint8_t *block, unsigned i)
{
    const uint8_t *row = block + q->rows_at + i * q->row_bytes;
    for (size_t at = 0; at < q->row_bytes; at += 64)
        __builtin_prefetch(row + at);
    __builtin_prefetch(row + q->row_bytes - 1);
}

/* quantizer_refine() will read these. */
static void fetch_rows(const struct rabitq *q, const uint8_t *block, uint64_t within)
{
    for (; within; within &= within - 1)
        fetch_row(q, block, (unsigned)__builtin_ctzll(within));
}

static void rabitq_refine_ahead(const struct quantizer *base, const void *block, unsigned i)
{
    fetch_row(rabitq_of(base), block, i);
}

static uint64_t rabitq_scan(const struct quantizer *base, const void *query, const void *block,
                            float limit, float *estimate)
{
    const struct rabitq *q = rabitq_of(base);
    const struct rabitq_query *at = query;
    const uint8_t *lines = block;
    const float *terms = (const float *)(const void *)(lines + q->terms_at);
    const struct code_terms code = { .add = terms,
                                     .scale = terms + 64,
                                     .error = terms + 128,
                                     .base = at->distance,
                                     .slope = at->slope,
                                     .offset = at->offset,
                                     .slack = at->slack,
                                     .linear = at->root,
                                     .square = 0 };
    _Alignas(64) uint32_t sums[QUANTIZER_BLOCK];
    q->kernels->fastscan_64(lines, (const uint8_t *)(at + 1), q->lines, sums);
    const uint64_t within = q->kernels->bound_64(&code, sums, rabitq_limit(at, limit), estimate);
    if (q->bits > 1 && limit < INFINITY)
        fetch_rows(q, lines, within);
    return within;
}

static float rabitq_scanned(const struct quantizer *base, const void *query, const void *block,
                            unsigned i, float estimate)
{
    const struct rabitq_query *at = query;
    const float *terms =
        (const float *)(const void *)((const uint8_t *)block + rabitq_of(base)->terms_at);
    const struct rabitq_terms t = { 0, terms[64 + i], terms[128 + i] };

    return rabitq_between(at, &t, at->slack, estimate).lower;
}

static struct quantizer_bounds rabitq_bounds(const struct quantizer *base, const void *query,
                                             const void *block, unsigned i, float estimate)
{
    const struct rabitq *q = rabitq_of(base);
    const struct rabitq_query *at = query;
    const float *terms = (const float *)(const void *)((const uint8_t *)block + q->terms_at);
    struct rabitq_terms t = { 0, terms[64 + i], terms[128 + i] };
    float slack = at->slack;
    if (base->refines) {
        memcpy(&t, (const uint8_t *)block + q->rows_at + i * q->row_bytes, sizeof t);
        slack = q->rounding * (2 * at->norm + at->root);
    }
    return rabitq_between(at, &t, slack, estimate);
}

const struct quantizer_ops rabitq_ops = {
    .train = rabitq_train,
    .destroy = rabitq_destroy,
    .bytes = rabitq_bytes,
    .save = rabitq_save,
    .load = rabitq_load,
    .transform = rabitq_transform,
    .put = rabitq_put,
    .copy = rabitq_copy,
    .query = rabitq_query_prepare,
    .query_certain = rabitq_query_certain,
    .query_list = rabitq_query_list,
    .scan = rabitq_scan,
    .refine = rabitq_refine,
    .refine_ahead = rabitq_refine_ahead,
    .scanned = rabitq_scanned,
    .bounds = rabitq_bounds,
};
