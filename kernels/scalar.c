/* scalar.c - plain C: the reference for the tests of all other tables, and the fallback on
 * processors without them.
 *
 * Flags, so that it stays scalar: -fno-tree-vectorize -fno-tree-slp-vectorize (gcc), -fno-vectorize
 * -fno-slp-vectorize (clang; it accepts gcc's spelling), -ffp-contract=off, and no -m beyond the
 * baseline.
 *
 * Sums are in the order of the components: the error of a float sum grows with dim, up to dim *
 * 2^-24 * sum |terms|. Only the components themselves are read. */
#include "kernels/kernels.h"

#include <string.h>

#include "kernels/blocking.h"

static float l2sq_f32(const float *a, const float *b, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++) {
        float difference = a[d] - b[d];
        sum += difference * difference;
    }
    return sum;
}

static float ip_f32(const float *a, const float *b, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += a[d] * b[d];
    return sum;
}

static uint32_t l2sq_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    uint32_t sum = 0;
    for (size_t d = 0; d < dim; d++) {
        int difference = a[d] - b[d];
        sum += (uint32_t)(difference * difference);
    }
    return sum;
}

static uint32_t ip_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    uint32_t sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += (uint32_t)a[d] * b[d];
    return sum;
}

static float cos_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    return cosine_of_sums((double)ip_u8(a, b, dim), (double)ip_u8(a, a, dim),
                          (double)ip_u8(b, b, dim));
}

static float widened(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float l2sq_bf16(const uint16_t *a, const uint16_t *b, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++) {
        float difference = widened(a[d]) - widened(b[d]);
        sum += difference * difference;
    }
    return sum;
}

static float ip_bf16(const uint16_t *a, const uint16_t *b, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += widened(a[d]) * widened(b[d]);
    return sum;
}

/* The one-to-many and many-to-many forms of a pair's function. */
#define FORMS(name, element, result)                                                            \
    static void name##_1n(const element *query, const element *rows, size_t n, size_t dim,      \
                          result *out)                                                          \
    {                                                                                           \
        for (size_t i = 0; i < n; i++) {                                                        \
            out[i] = name(query, rows + i * dim, dim);                                          \
        }                                                                                       \
    }                                                                                           \
    static void name##_mn(const element *a, size_t na, const element *b, size_t nb, size_t dim, \
                          result *out, size_t ld)                                               \
    {                                                                                           \
        for (size_t i = 0; i < na; i++) {                                                       \
            name##_1n(a + i * dim, b, nb, dim, out + i * ld);                                   \
        }                                                                                       \
    }

FORMS(l2sq_f32, float, float)
FORMS(ip_f32, float, float)
FORMS(l2sq_u8, uint8_t, uint32_t)
FORMS(ip_u8, uint8_t, uint32_t)
FORMS(cos_u8, uint8_t, float)

static void cos_u8_each(const uint8_t *query, const uint8_t *const *rows, size_t n, size_t dim,
                        float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = cos_u8(query, rows[i], dim);
}

/* Bits are summed in pairs, nibbles, bytes; the product adds the bytes (Hacker's Delight, figure
   5-2). On a baseline processor the compiler's builtin calls a table lookup. */
static unsigned count_bits(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)(x * UINT64_C(0x0101010101010101) >> 56);
}

static void hamming_b64_1n(uint64_t query, const uint64_t *codes, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)count_bits(query ^ codes[i]);
}

static size_t hamming_b64_within(uint64_t query, const uint64_t *codes, size_t n, unsigned radius,
                                 uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (count_bits(query ^ codes[i]) <= radius)
            out[found++] = (uint32_t)i;
    }
    return found;
}

static unsigned count_words(const uint64_t *a, const uint64_t *b, size_t words)
{
    unsigned count = 0;
    for (size_t w = 0; w < words; w++)
        count += count_bits(a[w] ^ b[w]);
    return count;
}

static void hamming_words_1n(const uint64_t *query, const uint64_t *codes, size_t n, size_t words,
                             uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint16_t)count_words(query, codes + i * words, words);
}

static size_t hamming_words_within(const uint64_t *query, const uint64_t *codes, size_t n,
                                   size_t words, unsigned radius, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (count_words(query, codes + i * words, words) <= radius)
            out[found++] = (uint32_t)i;
    }
    return found;
}

static void hamming_b32_lines(const uint32_t *queries, const uint32_t *cares,
                              const uint32_t *const *lines, const uint32_t *limits, size_t n,
                              uint16_t *masks)
{
    for (size_t l = 0; l < n; l++) {
        unsigned mask = 0;
        for (unsigned i = 0; i < 16; i++)
            mask |= (unsigned)(count_bits((queries[l] ^ lines[l][i]) & cares[l]) <= limits[l]) << i;
        masks[l] = (uint16_t)mask;
    }
}

static size_t hamming_b32_runs(const struct line_run *runs, size_t n, struct line_hit *hits)
{
    size_t found = 0;
    for (size_t r = 0; r < n; r++) {
        for (uint32_t l = 0; l < runs[r].lines; l++) {
            const uint32_t *line = runs[r].codes + (size_t)16 * l;
            const uint8_t *more = (const uint8_t *)(line + 12);
            unsigned mask = 0;
            for (unsigned i = 0; i < (runs[r].wide ? 12U : 16U); i++) {
                unsigned distance = count_bits((runs[r].query ^ line[i]) & runs[r].care);
                if (runs[r].wide)
                    distance += count_bits(runs[r].query_more ^ more[i]);
                mask |= (unsigned)(distance <= runs[r].limit) << i;
            }
            if (mask)
                hits[found++] = (struct line_hit){ (uint16_t)r, (uint16_t)mask, l };
        }
    }
    return found;
}

static void hamming_b64_lines(uint64_t query, const uint64_t *const *lines, size_t n,
                              unsigned limit, uint8_t *masks)
{
    for (size_t l = 0; l < n; l++) {
        unsigned mask = 0;
        for (unsigned i = 0; i < 8; i++)
            mask |= (unsigned)(count_bits(query ^ lines[l][i]) <= limit) << i;
        masks[l] = (uint8_t)mask;
    }
}

static void hamming_b64_mn(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                           size_t ld)
{
    for (size_t i = 0; i < na; i++)
        hamming_b64_1n(a[i], b, nb, out + i * ld);
}

#define AT_MOST(suffix, type)                                                              \
    static size_t at_most_##suffix(const type *value, size_t n, type limit, uint32_t *out) \
    {                                                                                      \
        size_t found = 0;                                                                  \
        for (size_t i = 0; i < n; i++) {                                                   \
            if (value[i] <= limit)                                                         \
                out[found++] = (uint32_t)i;                                                \
        }                                                                                  \
        return found;                                                                      \
    }

AT_MOST(f32, float)
AT_MOST(u8, uint8_t)

static size_t argmin_f32(const float *value, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (value[i] < value[best] || (isnan(value[best]) && !isnan(value[i])))
            best = i;
    }
    return best;
}

static uint64_t scan_u8(const uint8_t *block, size_t groups, const struct code_weights *weights,
                        struct code_estimate form, float limit, float *estimate)
{
    const float *norm = (const float *)(const void *)(block + groups * 256);
    uint64_t within = 0;
    for (size_t i = 0; i < 64; i++) {
        int32_t sum = 0;
        for (size_t g = 0; g < groups; g++) {
            const uint8_t *code = block + g * 256 + i * 4;
            for (size_t j = 0; j < 4; j++) {
                int k = weights[g].high[j] * 256 + weights[g].low[j];
                sum = (int32_t)((uint32_t)sum + (uint32_t)(k * code[j]));
            }
        }
        float known = norm[i] + form.constant;
        float product = form.scale * (float)sum;
        estimate[i] = known - product;
        within |= (uint64_t) !(estimate[i] > limit) << i;
    }
    return within;
}

static void fastscan_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums)
{
    for (size_t v = 0; v < 64; v++) {
        const uint8_t *code = codes + 4 * (v % 16) + v / 16;
        uint32_t sum = 0;
        for (size_t j = 0; j < lines; j++) {
            sum += (uint32_t)lut[32 * j + (code[64 * j] & 15)];
            sum += (uint32_t)lut[32 * j + 16 + (code[64 * j] >> 4)];
        }
        sums[v] = sum;
    }
}

static void lookup_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums)
{
    for (size_t v = 0; v < 64; v++) {
        const uint8_t *code = codes + 4 * (v % 16) + v / 16;
        uint32_t sum = 0;
        for (size_t j = 0; j < lines; j++)
            sum += lut[256 * j + code[64 * j]];
        sums[v] = sum;
    }
}

static void nibbles_64(const uint8_t *codes, const int8_t *weights, size_t groups, uint32_t start,
                       uint32_t *sums)
{
    for (size_t v = 0; v < 64; v++) {
        const uint8_t *code = codes + 64 * (v / 16) + 4 * (v % 16);
        int32_t sum = (int32_t)start;
        for (size_t g = 0; g < groups; g++) {
            for (size_t i = 0; i < 4; i++) {
                const int both = code[256 * g + i];
                sum += weights[8 * g + i] * (both & 15) + weights[8 * g + 4 + i] * (both >> 4);
            }
        }
        sums[v] = (uint32_t)sum;
    }
}

static float lengthen(uint16_t shortened)
{
    const uint32_t bits = (uint32_t)shortened << CODE_TERM_SHIFT;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t bound_64(const struct code_terms *t, const uint32_t *sums, float limit,
                         float *estimate)
{
    uint64_t within = 0;
    for (size_t v = 0; v < 64; v++) {
        float scale = t->shortened ? -lengthen(t->shortened[v]) : t->scale ? t->scale[v] : 1.0f;
        float error = t->shortened ? lengthen(t->shortened[64 + v]) : t->error[v];
        estimate[v] = (t->add[v] + t->base) + scale * (t->slope * (float)sums[v] + t->offset);
        float margin = error * (t->linear + t->square * error);
        float lower = (estimate[v] + scale * t->slack) - margin;
        within |= (uint64_t) !(lower > limit) << v;
    }
    return within;
}

static uint32_t estimate_32(const uint8_t *codes, const uint8_t *lut, size_t lines,
                            const struct code_terms *t, float limit, float *estimate)
{
    uint32_t below = 0;
    for (size_t v = 0; v < 32; v++) {
        const uint8_t *code = codes + 4 * (v % 8) + v / 8;
        uint32_t sum = 0;
        for (size_t h = 0; h < 2 * lines; h++) {
            sum += (uint32_t)lut[32 * h + (code[32 * h] & 15)];
            sum += (uint32_t)lut[32 * h + 16 + (code[32 * h] >> 4)];
        }
        estimate[v] = (t->add[v] + t->base) + t->scale[v] * (t->slope * (float)sum + t->offset);
        below |= (uint32_t)(estimate[v] < limit) << v;
    }
    return below;
}

static float ip_f32_u1(const float *query, const uint8_t *code, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += code[d / 8] >> d % 8 & 1 ? query[d] : 0.0f;
    return sum;
}

static float ip_f32_u4(const float *query, const uint8_t *code, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++) {
        unsigned both = code[d / 32 * 16 + d % 16];
        sum += query[d] * (float)(d % 32 < 16 ? both & 15 : both >> 4);
    }
    return sum;
}

static float ip_f32_u8(const float *query, const uint8_t *code, size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += query[d] * (float)code[d];
    return sum;
}

static float ip_f32_u1u4(const float *query, const uint8_t *lines, float top, const uint8_t *code,
                         size_t dim)
{
    float sum = 0;
    for (size_t d = 0; d < dim; d++) {
        unsigned both = code[d / 32 * 16 + d % 16];
        float number = (float)(d % 32 < 16 ? both & 15 : both >> 4);
        sum += query[d] * (number + (lines[d / 8 * 64] >> d % 8 & 1 ? top : 0.0f));
    }
    return sum;
}

static int32_t ip_mixed(const struct mixed_weights *w, const uint8_t *code, size_t bytes,
                        size_t nibbles)
{
    const size_t half = nibbles / 2;
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += (uint32_t)(w->whole[i] * code[i]);
    for (size_t i = bytes; i < bytes + half; i++) {
        sum += (uint32_t)(w->whole[i] * (code[i] & 15));
        sum += (uint32_t)(w->whole[i + half] * (code[i] >> 4));
    }
    return (int32_t)sum;
}

static void ip_mixed_n(const struct mixed_weights *w, const uint8_t *const *codes, size_t n,
                       size_t bytes, size_t nibbles, int32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ip_mixed(w, codes[i], bytes, nibbles);
}

static float l2sq_mixed(const float *scale, const uint8_t *a, const uint8_t *b, size_t bytes,
                        size_t nibbles)
{
    const size_t half = nibbles / 2;
    float sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        const float x = scale[i] * (float)(a[i] - b[i]);
        sum += x * x;
    }
    for (size_t i = bytes; i < bytes + half; i++) {
        const float x = scale[i] * (float)((a[i] & 15) - (b[i] & 15));
        const float y = scale[i + half] * (float)((a[i] >> 4) - (b[i] >> 4));
        sum += x * x;
        sum += y * y;
    }
    return sum;
}

static float grid_f32(const float *a, size_t dim, float t, float most, float *norm_sq)
{
    float product = 0, sum = 0;
    for (size_t d = 0; d < dim; d++) {
        float v = t * a[d] < most ? t * a[d] : most;
        v = (float)(int)v + 0.5f;
        product += a[d] * v;
        sum += v * v;
    }
    *norm_sq = sum;
    return product;
}

static struct residual residual_f32(const float *row, const float *centroid, size_t dim,
                                    float *magnitudes, uint8_t *signs)
{
    struct residual sums = { 0, 0, 0 };
    for (size_t d = 0; d < dim; d++) {
        float r = row[d] - centroid[d];
        magnitudes[d] = fabsf(r);
        sums.norm_sq += r * r;
        sums.size += fabsf(r);
        sums.along += r > 0 ? centroid[d] : -centroid[d];
        signs[d / 8] = (uint8_t)((d % 8 ? signs[d / 8] : 0) | (r > 0) << d % 8);
    }
    return sums;
}

static void code_s8(const float *row, const float *middle, size_t dim, int8_t *codes,
                    struct code_row *to)
{
    float most = 0, norm = 0, error = 0;
    for (size_t d = 0; d < dim; d++) {
        float x = row[d] - middle[d];
        most = fmaxf(most, fabsf(x));
        norm += x * x;
    }
    code_row_begin(to, most, norm);
    int32_t sum = 0;
    for (size_t d = 0; d < dim; d++) {
        float x = row[d] - middle[d];
        float code = rintf(x * code_inverse(to));
        codes[d] = (int8_t)code;
        sum += codes[d];
        x = fmaf(-code, to->scale, x);
        error += x * x;
    }
    for (size_t d = dim; d % 4 != 0; d++)
        codes[d] = 0;
    code_row_end(to, sum, error);
}

static void bounds_s8(const int8_t *codes, const struct code_row *rows, size_t n, size_t dim,
                      const uint8_t *panels, const float *columns, size_t n_panels, float *out,
                      size_t ld)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_panels * 16; j++) {
            const uint8_t *bytes = panels + j / 16 * 16 * dim + j % 16 * 4;
            const float *column = columns + j / 16 * 64 + j % 16;
            int32_t sum = rows[i].start;
            for (size_t d = 0; d < dim; d++)
                sum += codes[i * dim + d] * bytes[d / 4 * 64 + d % 4];
            float b = fmaf((float)sum * rows[i].scale, column[16], column[0]);
            b = fmaf(-rows[i].error, column[32], b);
            out[i * ld + j] = fmaf(-rows[i].norm, column[48], b);
        }
    }
}

const struct kernels kernels_scalar = {
    .isa = ISA_SCALAR,
    .name = "scalar",
#define KERNEL(result, kernel, arguments) .kernel = kernel,
#include "kernels/kernels.def"
};
