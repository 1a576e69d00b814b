/* byte_code.c - see byte_code.h for what is computed and why the bound holds. */
#include "algorithms/common/byte_code.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { GROUP_BYTES = 4 * QUANTIZER_BLOCK, WEIGHT_MOST = 32512 };

/* Before the weights of a prepared query. */
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

int byte_code_open(struct byte_code *c, const struct index_env *env, size_t m)
{
    size_t width = byte_code_width(m);
    *c = (struct byte_code){ .kernels = env->kernels,
                             .m = m,
                             .groups = width / 4,
                             .limit_slack = ((double)env->dim + 8) * 0x1p-23 };
    c->low = mem_zalloc(env->mem, 3 * width * sizeof *c->low);
    if (!c->low)
        return fail(env->error, ERR_NO_MEMORY, "codes of %zu bytes: out of memory", m);
    c->step = c->low + width;
    c->per_step = c->step + width;
    return OK;
}

void byte_code_close(struct byte_code *c, const struct index_env *env)
{
    mem_free(env->mem, c->low);
}

uint64_t byte_code_bytes(const struct byte_code *c)
{
    return 12 * c->groups * sizeof *c->low;
}

bool byte_code_settle(struct byte_code *c)
{
    double norm = 0, error = 0;
    for (size_t j = 0; j < 4 * c->groups; j++) {
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

/* An eighth of the range of the sample on each side. */
void byte_code_fit(struct byte_code *c, const float *work, size_t n)
{
    size_t width = 4 * c->groups;
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

size_t byte_code_block_bytes(const struct byte_code *c)
{
    return (c->groups + 1) * GROUP_BYTES;
}

size_t byte_code_query_bytes(const struct byte_code *c)
{
    size_t bytes = sizeof(struct prepared) + c->groups * sizeof(struct code_weights);
    return (bytes + 63) / 64 * 64;
}

/* In double: floats' products and sums of a few of them are exact there but for 2^-53, and errors
   are rounded up at the end. */
float byte_code_put(const struct byte_code *c, const float *work, double rounding, void *block,
                    unsigned i)
{
    uint8_t *codes = (uint8_t *)block + (size_t)i * 4;
    double norm[4] = { 0 }, missed[4] = { 0 };
    for (size_t g = 0; g < c->groups; g++)
        for (size_t l = 0; l < 4; l++) {
            size_t j = 4 * g + l;
            float at = (work[j] - c->low[j]) * c->per_step[j];
            at = at > 0 ? at : 0; /* NaN becomes 0, and is found out by its rounding */
            at = at < 255 ? at : 255;
            int code = (int)(at + 0.5f);
            double step = (double)c->step[j], low = (double)c->low[j], u = (double)code;
            double s = (double)work[j] - low;
            s = s > 0 ? s : 0;
            s = s < 255 * step ? s : 255 * step;
            s -= step * u;
            missed[l] += s * s;
            u = step * (u - 127.5);
            norm[l] += u * u;
            codes[g * GROUP_BYTES + l] = (uint8_t)code;
        }
    double error = sqrt((missed[0] + missed[1]) + (missed[2] + missed[3])) + rounding;
    float norm_sq = (float)((norm[0] + norm[1]) + (norm[2] + norm[3]));
    if (!(error <= 2 * c->error_most)) {
        error = 0;
        norm_sq = -INFINITY;
    }
    memcpy((uint8_t *)block + c->groups * GROUP_BYTES + i * sizeof norm_sq, &norm_sq,
           sizeof norm_sq);
    return (float)(error * (1 + 0x1p-20));
}

void byte_code_copy(const struct byte_code *c, const void *from, unsigned i, void *to, unsigned j)
{
    const uint8_t *a = (const uint8_t *)from + (size_t)i * 4;
    uint8_t *b = (uint8_t *)to + (size_t)j * 4;
    for (size_t g = 0; g <= c->groups; g++) /* the float as well */
        memcpy(b + g * GROUP_BYTES, a + g * GROUP_BYTES, 4);
}

/* The query in the box, from its middle. */
static double centred(const struct byte_code *c, const float *work, size_t j)
{
    double half = 127.5 * (double)c->step[j];
    double at = (double)work[j] - (double)c->low[j] - half;
    at = at > -half ? at : -half;
    return at < half ? at : half;
}

/* What one weight stands for: as small as 16 bits and exact sums in 32 allow. 0: all weights are. */
static float weight_unit(const struct byte_code *c, const float *work)
{
    double most = 0, sum = 0;
    for (size_t j = 0; j < c->m; j++) {
        double w = fabs(centred(c, work, j)) * (double)c->step[j];
        most = fmax(most, w);
        sum += w;
    }
    double room = 0x1p31 - 1 - 255.0 * (double)c->m;
    double unit = fmax(most / WEIGHT_MOST, room > 0 ? 255 * sum / room : INFINITY);
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

void byte_code_query(const struct byte_code *c, const float *work, double rounding, void *query)
{
    struct prepared *p = query;
    struct code_weights *weights = weights_of(query);
    const float unit = weight_unit(c, work);
    double missed = 0, norm = 0, sum = 0, size = 0;
    for (size_t j = 0; j < 4 * c->groups; j++) {
        double step = (double)c->step[j], at = centred(c, work, j);
        long k = unit > 0 ? lrint(step * at / (double)unit) : 0;
        double stands_for = step > 0 ? (double)unit * (double)k / step : 0;
        missed += (stands_for - at) * (stands_for - at);
        norm += stands_for * stands_for;
        sum += (double)k;
        size += fabs((double)k);
        set_weight(&weights[j / 4], j % 4, (int)k);
    }
    double constant = norm + 255 * (double)unit * sum;
    p->form = (struct code_estimate){ 2 * unit, (float)constant };
    p->own_error = (sqrt(missed) + rounding) * (1 + 0x1p-20);
    p->list_error = p->own_error;
    /* Each of the four operations rounds by at most 2^-24 of one of these. */
    p->slack =
        0x1p-21 * (c->norm_max + fabs(constant) + 510 * (double)unit * size) + (double)FLT_MIN;
}

void byte_code_query_list(void *query, float error)
{
    struct prepared *p = query;
    p->list_error = p->own_error + (double)error;
}

uint64_t byte_code_scan(const struct byte_code *c, const void *query, const void *block,
                        float limit, float *estimate)
{
    const struct prepared *p = query;
    const struct code_weights *weights =
        (const void *)((const unsigned char *)query + sizeof(struct prepared));
    double reach = sqrt((double)limit * (1 + c->limit_slack)) + p->list_error;
    double most = (reach * reach + p->slack) * (1 + 0x1p-22);
    return c->kernels->scan_u8(block, c->groups, weights, p->form, (float)most, estimate);
}
