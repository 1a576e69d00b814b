/* code.c - encoding of residuals, and estimates from the whole code. */
#include "algorithms/common/quantizer/rabitq/internal.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

/* The grid point of nearest direction: the code beyond the signs.
 *
 * A vector's magnitudes a are coded by levels floor(t a_i), at most 2^bits - 1, which represent v_i
 * = level + 1/2. The t that brings v nearest to a in direction is the best rescaling of Gao et al.
 * (2025), who sweep all t at which a level changes, O(2^bits d log d). Here a few t around the
 * largest one that clips nothing are tried, then t := |v|^2 / <a, v> is repeated from the best: the
 * v nearest to the new t a is no farther in direction, because it minimises |v|^2 - 2 t <a, v>,
 * which was -|v|^2. docs/quantizers.md compares time and loss with the sweep's. */

/* TRIALS values t = (most + 2 - i / 4) / max a, then STEPS steps. For 128 normal components the
   error is then 0 to 0.3 % above the sweep's up to six bits, 2 to 3 % at seven and eight. */
enum { TRIALS = 12, STEPS = 2 };

static struct rabitq_grid grid_at(const struct kernels *kernels, const float *a, size_t n,
                                  unsigned bits, float t)
{
    struct rabitq_grid l = { .t = t, .most = (float)((1u << bits) - 1) };
    const size_t padded = (n + 31) / 32 * 32;
    l.product = kernels->grid_f32(a, padded, t, l.most, &l.norm_sq);
    l.norm_sq -= 0.25f * (float)(padded - n);
    return l;
}

/* Whether a point's cosine with the vector is greater. */
static int is_better(const struct rabitq_grid *a, const struct rabitq_grid *b)
{
    return a->product * a->product * b->norm_sq > b->product * b->product * a->norm_sq;
}

/* Eight independent chains of comparisons, so that they overlap. */
static float largest(const float *a, size_t n)
{
    float max[8] = { 0 };
    for (size_t i = 0; i < n; i += 8) /* zeros follow */
        for (size_t j = 0; j < 8; j++)
            max[j] = a[i + j] > max[j] ? a[i + j] : max[j];
    for (size_t j = 1; j < 8; j++)
        max[0] = max[j] > max[0] ? max[j] : max[0];
    return max[0];
}

struct rabitq_grid rabitq_grid_fit(const struct kernels *kernels, const float *a, size_t n,
                                   unsigned bits)
{
    const float max = largest(a, n);
    const float most = (float)((1u << bits) - 1);
    struct rabitq_grid best = grid_at(kernels, a, n, bits, (most + 2) / max);
    for (size_t i = 1; i < TRIALS; i++) {
        const struct rabitq_grid l =
            grid_at(kernels, a, n, bits, (most + 2 - 0.25f * (float)i) / max);
        best = is_better(&l, &best) ? l : best;
    }
    for (size_t i = 0; i < STEPS; i++) {
        const struct rabitq_grid l = grid_at(kernels, a, n, bits, best.norm_sq / best.product);
        if (!is_better(&l, &best))
            break;
        best = l;
    }
    return best;
}

/* The parts of a residual; the arrays end in zeros up to padded_dim. */
struct parts {
    _Alignas(64) float magnitudes[ROTATION_DIM_MAX];
    float centroid[ROTATION_DIM_MAX];
    uint8_t signs[ROTATION_DIM_MAX / 8];
    float norm_sq; /* of the residual */
};

struct rabitq_terms rabitq_terms_of(const struct rabitq *q, float norm_sq, float s, float along,
                                    float code_sq)
{
    struct rabitq_terms t = { .add = norm_sq };
    if (!(norm_sq > 0) || !(s > 0))
        return t;
    const float scale = norm_sq / s;
    const float off = fmaxf(scale / s * code_sq - 1, 0) / (float)(q->base.work_dim - 1);
    t.add += 2 * scale * along;
    t.scale = -2 * scale;
    t.error = 2 * q->eps0 * sqrtf(norm_sq * off);
    return t;
}

static void put_signs(const struct rabitq *q, const uint8_t *signs, uint8_t *block, unsigned i)
{
    uint8_t *at = block + 4 * (i % 16) + i / 16;
    for (size_t j = 0; j < q->lines; j++)
        at[64 * j] = signs[j];
}

static void put_terms(const struct rabitq *q, const struct rabitq_terms *t, uint8_t *block,
                      unsigned i)
{
    float *terms = (float *)(void *)(block + q->terms_at);
    terms[i] = t->add;
    terms[64 + i] = t->scale;
    terms[128 + i] = t->error;
}

/* The bits below the sign, in the kernels' layout. */
static void write_levels(const struct rabitq *q, const struct parts *p, const struct rabitq_grid *l,
                         uint8_t *code)
{
    uint8_t level[ROTATION_DIM_MAX];
    const int most = (int)l->most;
    const size_t n = q->base.work_dim;
    for (size_t d = 0; d < n; d += 8) {
        const unsigned signs = p->signs[d / 8];
        for (unsigned j = 0; j < 8; j++) {
            const float x = l->t * p->magnitudes[d + j];
            const int up = (int)(x < l->most ? x : l->most);
            level[d + j] = (uint8_t)(signs >> j & 1 ? up : most - up);
        }
    }
    memset(level + n, 0, q->padded_dim - n);
    if (q->bits > 5) {
        memcpy(code, level, q->padded_dim);
        return;
    }
    for (size_t d = 0; d < q->padded_dim; d += 32)
        for (size_t j = 0; j < 16; j++)
            code[d / 2 + j] = (uint8_t)(level[d + j] | level[d + 16 + j] << 4);
}

float rabitq_sum(const struct rabitq *q, const float *x)
{
    uint8_t all[ROTATION_DIM_MAX / 8];
    memset(all, 0xff, q->padded_dim / 8);
    return q->kernels->ip_f32_u1(x, all, q->padded_dim);
}

/* <x, xb> from the code. x is padded, x_sum is the sum of its components. */
static float product(const struct rabitq *q, const float *x, float x_sum, const uint8_t *signs,
                     const uint8_t *code)
{
    const float one = q->kernels->ip_f32_u1(x, signs, q->padded_dim);
    const float rest =
        (q->bits > 5 ? q->kernels->ip_f32_u8 : q->kernels->ip_f32_u4)(x, code, q->padded_dim);
    const float half = (float)(1u << (q->bits - 1));
    return half * one + rest - (half - 0.5f) * x_sum;
}

/* Encodes a residual that is not 0. */
static void put_row(const struct rabitq *q, const struct parts *p, uint8_t *row)
{
    const struct rabitq_grid l =
        rabitq_grid_fit(q->kernels, p->magnitudes, q->base.work_dim, q->bits - 1);
    uint8_t *code = row + sizeof(struct rabitq_terms);
    write_levels(q, p, &l, code);
    const float sum = rabitq_sum(q, p->centroid);
    const float along = product(q, p->centroid, sum, p->signs, code);
    const struct rabitq_terms t = rabitq_terms_of(q, p->norm_sq, l.product, along, l.norm_sq);
    memcpy(row, &t, sizeof t);
}

float rabitq_put(const struct quantizer *quantizer, const float *row, const float *centroid,
                 void *block, unsigned i)
{
    const struct rabitq *q = rabitq_of(quantizer);
    const size_t n = quantizer->work_dim;
    struct parts p;
    const struct residual r = q->kernels->residual_f32(row, centroid, n, p.magnitudes, p.signs);
    const struct rabitq_terms t =
        rabitq_terms_of(q, r.norm_sq, r.size / 2, r.along / 2, (float)n / 4);
    put_signs(q, p.signs, block, i);
    put_terms(q, &t, block, i);
    if (q->bits == 1)
        return 0;
    uint8_t *to = (uint8_t *)block + q->rows_at + i * q->row_bytes;
    if (t.scale < 0) {
        p.norm_sq = r.norm_sq;
        memset(p.magnitudes + n, 0, (q->padded_dim - n) * sizeof *p.magnitudes);
        memset(p.signs + n / 8, 0, (q->padded_dim - n) / 8);
        memcpy(p.centroid, centroid, n * sizeof *centroid);
        memset(p.centroid + n, 0, (q->padded_dim - n) * sizeof *centroid);
        put_row(q, &p, to);
    } else {
        memset(to, 0, q->row_bytes);
        memcpy(to, &t, sizeof t);
    }
    return 0;
}

void rabitq_copy(const struct quantizer *quantizer, const void *from, unsigned i, void *to,
                 unsigned j)
{
    const struct rabitq *q = rabitq_of(quantizer);
    const uint8_t *source = from;
    uint8_t *target = to, signs[ROTATION_DIM_MAX / 8];
    const float *terms = (const float *)(const void *)(source + q->terms_at);
    for (size_t l = 0; l < q->lines; l++)
        signs[l] = source[64 * l + 4 * (i % 16) + i / 16];
    put_signs(q, signs, target, j);
    put_terms(q, &(struct rabitq_terms){ terms[i], terms[64 + i], terms[128 + i] }, target, j);
    memcpy(target + q->rows_at + j * q->row_bytes, source + q->rows_at + i * q->row_bytes,
           q->row_bytes);
}

/* <x, xb> of vector i of a block. */
static float product_of(const struct rabitq *q, const float *x, float x_sum, const uint8_t *block,
                        unsigned i, const uint8_t *code)
{
    const uint8_t *line = block + 4 * (i % 16) + i / 16;
    const float half = (float)(1u << (q->bits - 1));
    uint8_t signs[ROTATION_DIM_MAX / 8];
    if (q->bits <= 5)
        return q->kernels->ip_f32_u1u4(x, line, half, code, q->base.work_dim) -
               (half - 0.5f) * x_sum;
    for (size_t j = 0; j < q->lines; j++)
        signs[j] = line[64 * j];
    memset(signs + q->lines, 0, q->padded_dim / 8 - q->lines);
    return product(q, x, x_sum, signs, code);
}

bool rabitq_refine(const struct quantizer *quantizer, const void *query, const void *block,
                   unsigned i, float limit, float *estimate)
{
    const struct rabitq *q = rabitq_of(quantizer);
    const struct rabitq_query *at = query;
    const float *x = (const float *)(const void *)((const uint8_t *)(at + 1) + 32 * q->lines);
    const uint8_t *row = (const uint8_t *)block + q->rows_at + i * q->row_bytes;
    struct rabitq_terms t;
    memcpy(&t, row, sizeof t);
    *estimate =
        t.add + at->distance + t.scale * product_of(q, x, at->sum, block, i, row + sizeof t);
    /* |c| <= |q| + |q - c| */
    const float slack = q->rounding * (2 * at->norm + at->root);
    const float lower = *estimate + t.scale * slack - t.error * at->root;
    return !(lower > rabitq_limit(at, limit));
}
