/* byte_code.c - the codes of sketches and sq8; see sketch_internal.h for what is computed and why
   the bound holds. */
#include "algorithms/common/quantizer/sketch_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { LANES = BYTE_CODE_LANES, GROUP_BYTES = 4 * QUANTIZER_BLOCK, WEIGHT_MOST = 32512 };

/* A prepared query: this, then the weights. */
struct prepared {
    _Alignas(64) struct code_estimate form;
    double own_error;  /* of q' */
    double list_error; /* own_error and the list's */
    double slack;      /* rounding of estimates */
};

static struct code_weights *weights_of(void *query)
{
    return (struct code_weights *)(void *)((unsigned char *)query + sizeof(struct prepared));
}

int byte_code_open(struct sketch *s, const struct index_env *env, size_t m)
{
    struct byte_code *c = &s->code;
    struct quantizer *base = &s->base;
    size_t width = byte_code_width(m);
    *c = (struct byte_code){ .kernels = env->kernels,
                             .m = m,
                             .groups = (m + 3) / 4,
                             .width = width,
                             .limit_slack = ((double)env->dim + 8) * 0x1p-23 };
    c->low = mem_zalloc(env->mem, 3 * width * sizeof *c->low);
    if (!c->low)
        return fail(env->error, ERR_NO_MEMORY, "codes of %zu bytes: out of memory", m);
    c->step = c->low + width;
    c->per_step = c->step + width;
    base->work_dim = width;
    base->block_bytes = (c->groups + 1) * GROUP_BYTES;
    base->query_bytes =
        (sizeof(struct prepared) + c->groups * sizeof(struct code_weights) + 63) / 64 * 64;
    base->code_bytes = (double)base->block_bytes / QUANTIZER_BLOCK;
    return OK;
}

bool byte_code_derive(struct byte_code *c)
{
    double norm = 0, error = 0;
    for (size_t j = 0; j < c->width; j++) {
        double step = (double)c->step[j];
        if (!isfinite(c->low[j]) || !isfinite(step) || step < 0 || (j >= c->m && step > 0))
            return false;
        if (step < (double)FLT_MIN * 0x1p8) /* its inverse must be a number */
            c->step[j] = 0, step = 0;
        c->per_step[j] = step > 0 ? (float)(1 / step) : 0;
        norm += 127.5 * 127.5 * step * step;
        error += step * step / 4;
    }
    c->norm_max = norm;
    c->error_most = sqrt(error);
    return true;
}

/* The sample's range, widened by a sixteenth on each side. */
void byte_code_fit(struct byte_code *c, const float *work, size_t n)
{
    size_t width = c->width;
    for (size_t j = 0; j < c->m; j++) {
        double least = INFINITY, most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            least = fmin(least, (double)work[i * width + j]);
            most = fmax(most, (double)work[i * width + j]);
        }
        double margin = (most - least) / 16;
        c->low[j] = (float)(least - margin);
        c->step[j] = (float)((most - least + 2 * margin) / 255);
    }
}

/* Four independent chains of additions, so that they overlap. */
static double sum_of(const float lanes[LANES])
{
    double sum[4] = { 0 };
    for (size_t l = 0; l < LANES; l += 4)
        for (size_t c = 0; c < 4; c++)
            sum[c] += (double)lanes[l + c];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Clips to 0 .. 255. Compares the bits as integers, which order non-negative floats alike: gcc
   compiles float comparisons to jumps instead of vector instructions. NaN becomes either end; its
   error is then NaN, which sketch_put() detects. */
static inline float clip(float at)
{
    const int32_t most = 0x437f0000; /* 255 */
    int32_t bits;
    memcpy(&bits, &at, sizeof bits);
    bits = bits > 0 ? bits : 0;
    bits = bits < most ? bits : most;
    memcpy(&at, &bits, sizeof at);
    return at;
}

/* 16 coordinates: their codes, and what they add to |z|^2 and to the squared distance between the
   code and clip s. */
static void put_lanes(const struct byte_code *c, const float *restrict work, size_t j,
                      uint8_t *restrict code, float *restrict norm, float *restrict missed)
{
    const float *restrict low = c->low + j, *restrict step = c->step + j;
    const float *restrict per_step = c->per_step + j;
    int32_t whole[LANES];
    for (size_t l = 0; l < LANES; l++) {
        float at = clip((work[j + l] - low[l]) * per_step[l]);
        whole[l] = (int32_t)(at + 0.5f);
        float off = at - (float)whole[l], centred = (float)whole[l] - 127.5f;
        float square = step[l] * step[l];
        norm[l] += square * (centred * centred);
        missed[l] += square * (off * off);
    }
    for (size_t l = 0; l < LANES; l++) /* a loop of its own: the bytes written might
                                          alias anything */
        code[l] = (uint8_t)whole[l];
}

double sketch_rounding(const struct sketch *s, const float *work)
{
    float lanes[BYTE_CODE_LANES] = { 0 };
    double sums[4] = { 0 };
    for (size_t j = 0; j < s->base.work_dim; j += BYTE_CODE_LANES)
        for (size_t l = 0; l < BYTE_CODE_LANES; l++)
            lanes[l] += work[j + l] * work[j + l];
    for (size_t l = 0; l < BYTE_CODE_LANES; l++)
        sums[l % 4] += (double)lanes[l];
    double norm_sq = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    norm_sq = norm_sq * (1 + 4 * s->loss + 0x1p-10) + (double)FLT_MIN;
    double along_sq = s->along * s->along * norm_sq, rest_sq = s->loss * norm_sq;
    if (s->n_axes == 0 || s->code.step[s->n_axes] <= 0) /* the rest is not coded */
        return sqrt(along_sq);
    double rest = (double)work[s->n_axes] * (1 - 0x1p-22);
    rest = rest * rest > rest_sq ? rest_sq * rest_sq / (rest * rest) : rest_sq;
    return sqrt(along_sq + rest);
}

/* A coordinate's position between codes has 3 rounding errors, each 2^-24 of at most 255 steps:
   together less than 2^-12 of error_most. */
float sketch_put(const struct quantizer *q, const float *work, const float *centroid, void *block,
                 unsigned i)
{
    const struct byte_code *c = &((const struct sketch *)q)->code;
    (void)centroid;
    uint8_t *codes = (uint8_t *)block + (size_t)i * 4, code[LANES];
    float norm[LANES] = { 0 }, missed[LANES] = { 0 };
    for (size_t g = 0; g < c->groups; g += LANES / 4) {
        put_lanes(c, work, 4 * g, code, norm, missed);
        size_t groups = c->groups - g < LANES / 4 ? c->groups - g : LANES / 4;
        for (size_t a = 0; a < groups; a++)
            memcpy(codes + (g + a) * GROUP_BYTES, code + 4 * a, 4);
    }
    double error = sqrt(sum_of(missed)) * (1 + 0x1p-16) + 0x1p-12 * c->error_most +
                   sketch_rounding((const struct sketch *)q, work);
    float norm_sq = (float)sum_of(norm);
    if (!(error <= 2 * c->error_most)) {
        error = 0;
        norm_sq = -INFINITY;
    }
    memcpy(codes + c->groups * GROUP_BYTES, &norm_sq, sizeof norm_sq);
    return (float)(error * (1 + 0x1p-20));
}

void sketch_copy(const struct quantizer *q, const void *from, unsigned i, void *to, unsigned j)
{
    const struct byte_code *c = &((const struct sketch *)q)->code;
    const uint8_t *a = (const uint8_t *)from + (size_t)i * 4;
    uint8_t *b = (uint8_t *)to + (size_t)j * 4;
    for (size_t g = 0; g <= c->groups; g++) /* the last group is |z|^2 */
        memcpy(b + g * GROUP_BYTES, a + g * GROUP_BYTES, 4);
}

/* A coordinate of the query, clipped to the box and measured from its middle. */
static double centred(const struct byte_code *c, const float *work, size_t j)
{
    double half = 127.5 * (double)c->step[j];
    double at = (double)work[j] - (double)c->low[j] - half;
    at = at > -half ? at : -half;
    return at < half ? at : half;
}

/* The value of one unit of weight: as small as 16-bit weights and exact 32-bit sums allow. 0: all
   weights are 0. */
static float weight_unit(const struct byte_code *c, const float *work)
{
    double most[LANES] = { 0 }, sum[LANES] = { 0 };
    for (size_t j = 0; j < c->width; j += LANES)
        for (size_t l = 0; l < LANES; l++) {
            double w = fabs(centred(c, work, j + l) * (double)c->step[j + l]);
            most[l] = most[l] > w ? most[l] : w;
            sum[l] += w;
        }
    for (size_t l = 1; l < LANES; l++) {
        most[0] = fmax(most[0], most[l]);
        sum[0] += sum[l];
    }
    double headroom = 0x1p31 - 1 - 255.0 * (double)c->m;
    double unit = fmax(most[0] / WEIGHT_MOST, headroom > 0 ? 255 * sum[0] / headroom : INFINITY);
    unit *= 1 + 0x1p-22;
    return unit >= (double)FLT_MIN && unit <= (double)FLT_MAX / 4 ? (float)unit : 0;
}

static void set_weight(struct code_weights *w, size_t lane, int k)
{
    int low = (int8_t)(k & 0xff);
    w->low[lane] = (int8_t)low;
    w->high[lane] = (int8_t)((k - low) / 256);
    *(lane % 2 ? &w->odd[lane / 2] : &w->even[lane / 2]) = (int16_t)k;
}

/* Sums over a query's coordinates. */
struct query_sums {
    double missed[LANES], norm[LANES]; /* |q' - clip s|^2, |c|^2 */
    double weights[LANES], sizes[LANES];
};

static void query_lanes(const struct byte_code *c, const float *work, size_t j, double unit,
                        int k[LANES], struct query_sums *sums)
{
    double per_unit = unit > 0 ? 1 / unit : 0;
    for (size_t l = 0; l < LANES; l++) {
        double step = (double)c->step[j + l], at = centred(c, work, j + l);
        double weight = step * at * per_unit;
        k[l] = (int)(weight + (weight > 0 ? 0.5 : -0.5));
        double off = (step > 0 ? unit * (double)k[l] / step : 0);
        sums->norm[l] += off * off;
        sums->missed[l] += (off - at) * (off - at);
        sums->weights[l] += (double)k[l];
        sums->sizes[l] += fabs((double)k[l]);
    }
}

void sketch_query(const struct quantizer *q, const float *work, void *query)
{
    const struct byte_code *c = &((const struct sketch *)q)->code;
    struct prepared *p = query;
    struct code_weights *weights = weights_of(query);
    const double unit = (double)weight_unit(c, work);
    double missed = 0, norm = 0, sum = 0, size = 0;
    struct query_sums sums = { .missed = { 0 } };
    int k[LANES];
    for (size_t g = 0; g < c->groups; g += LANES / 4) {
        query_lanes(c, work, 4 * g, unit, k, &sums);
        for (size_t l = 0; l < LANES && g + l / 4 < c->groups; l++)
            set_weight(&weights[g + l / 4], l % 4, k[l]);
    }
    for (size_t l = 0; l < LANES; l++) {
        missed += sums.missed[l];
        norm += sums.norm[l];
        sum += sums.weights[l];
        size += sums.sizes[l];
    }
    double constant = norm + 255 * unit * sum;
    p->form = (struct code_estimate){ (float)(2 * unit), (float)constant };
    p->own_error = (sqrt(missed) + sketch_rounding((const struct sketch *)q, work)) * (1 + 0x1p-20);
    p->list_error = p->own_error;
    /* Each of the four operations rounds by at most 2^-24 of one of these; |z|^2 is a sum of
       c->width / 16 + 2 terms that were rounded before. */
    p->slack = 0x1p-21 * (c->norm_max + fabs(constant) + 510 * unit * size) +
               0x1p-24 * ((double)c->width / 16 + 4) * c->norm_max + (double)FLT_MIN;
}

void sketch_query_list(const struct quantizer *q, void *query, const float *centroid,
                       float distance, float error)
{
    (void)q, (void)centroid, (void)distance;
    struct prepared *p = query;
    p->list_error = p->own_error + (double)error;
}

uint64_t sketch_scan(const struct quantizer *q, const void *query, const void *block, float limit,
                     float *estimate)
{
    const struct byte_code *c = &((const struct sketch *)q)->code;
    const struct prepared *p = query;
    const struct code_weights *weights =
        (const void *)((const unsigned char *)query + sizeof(struct prepared));
    double reach = sqrt((double)limit * (1 + c->limit_slack)) + p->list_error;
    double most = (reach * reach + p->slack) * (1 + 0x1p-22);
    return c->kernels->scan_u8(block, c->groups, weights, p->form, (float)most, estimate);
}

struct quantizer_bounds sketch_bounds(const struct quantizer *q, const void *query,
                                      const void *block, unsigned i, float estimate)
{
    const struct byte_code *c = &((const struct sketch *)q)->code;
    const struct prepared *p = query;
    (void)block, (void)i;
    const double left = (double)estimate * (1 - 0x1p-21) - p->slack;
    const double near = left > 0 ? sqrt(left) - p->list_error : 0;
    const double lower = near > 0 ? near * near * (1 - c->limit_slack) * (1 - 0x1p-22) : 0;
    return (struct quantizer_bounds){ (float)lower, INFINITY };
}
