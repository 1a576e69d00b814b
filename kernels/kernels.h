/* kernels.h - the arithmetic everything else spends its time in.
 *
 * One table of functions for each instruction set (scalar.c avx2.c avx512.c), chosen once by
 * kernels_select() and handed on in struct index_env. Nothing here allocates, prints or keeps
 * state. Results are bit for bit the same within one table, whichever form (one to one, one to
 * many, many to many) computed them; float results differ in the last digits between tables because
 * the order of summation differs. Integer results are the same in all.
 *
 *   1 choosing a table   2 one to one   3 one to many   4 many to many   5 selection   6 codes
 *
 * Shapes: `dim` components a row, rows contiguous (row i starts at rows + i * dim), no alignment
 * needed, dim >= 1, n may be 0. Distances: squared L2; `ip` is the plain dot product, not negated;
 * `cos` is 2 - 2 cos(a, b), the squared L2 distance of the normalised rows, and 2 where a row is
 * zero. u8 sums are exact for dim up to 65535.
 */
#ifndef DRIFTLINE_KERNELS_H
#define DRIFTLINE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1. Choosing a table */

enum isa {
    ISA_SCALAR = 0, /* plain C, never auto-vectorised: the oracle */
    ISA_AVX2 = 1,   /* AVX2, FMA, F16C, POPCNT */
    ISA_AVX512 = 2, /* F, BW, DQ, VL, VBMI, VNNI, VPOPCNTDQ: Ice Lake, Zen 4 and later */
};

/* 6. Codes of a byte a dimension, 64 vectors a block: four dimensions (a group) of vector i are bytes
   256 group + 4 i .., and after the groups come 64 floats, one a vector. */

/* A query's integer weights k of a group, -32512 .. 32512, in the forms the tables want. */
struct code_weights {
    int8_t high[4], low[4];  /* k = 256 high + low */
    int16_t even[2], odd[2]; /* k of dimensions 0 and 2, 1 and 3 */
};

/* What makes an estimate of a vector's float a and sum = sum k code, modulo 2^32 and read as
   signed: (a + constant) - scale (float)sum, each operation rounded. */
struct code_estimate {
    float scale, constant;
};

struct kernels {
    enum isa isa;
    const char *name; /* "scalar", "avx2", "avx512": goes into every result */

    /* 2. One to one */
    float (*l2sq_f32)(const float *a, const float *b, size_t dim);
    float (*ip_f32)(const float *a, const float *b, size_t dim);
    float (*cos_f32)(const float *a, const float *b, size_t dim);
    uint32_t (*l2sq_u8)(const uint8_t *a, const uint8_t *b, size_t dim);
    uint32_t (*ip_u8)(const uint8_t *a, const uint8_t *b, size_t dim);
    float (*cos_u8)(const uint8_t *a, const uint8_t *b, size_t dim);
    /* bf16: the upper 16 bits of a float; summed as floats */
    float (*l2sq_bf16)(const uint16_t *a, const uint16_t *b, size_t dim);
    float (*ip_bf16)(const uint16_t *a, const uint16_t *b, size_t dim);

    /* 3. One to many: out[i] = distance of query to row i, i < n */
    void (*l2sq_f32_1n)(const float *query, const float *rows, size_t n, size_t dim, float *out);
    void (*ip_f32_1n)(const float *query, const float *rows, size_t n, size_t dim, float *out);
    void (*cos_f32_1n)(const float *query, const float *rows, size_t n, size_t dim, float *out);
    void (*l2sq_u8_1n)(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim,
                       uint32_t *out);
    void (*ip_u8_1n)(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim,
                     uint32_t *out);
    void (*cos_u8_1n)(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim, float *out);
    /* 64-bit codes: out[i] = popcount(query ^ codes[i]) */
    void (*hamming_b64_1n)(uint64_t query, const uint64_t *codes, size_t n, uint8_t *out);
    /* Positions i, ascending, with popcount(query ^ codes[i]) <= radius go to out (room for n);
     * returns how many. */
    size_t (*hamming_b64_within)(uint64_t query, const uint64_t *codes, size_t n, unsigned radius,
                                 uint32_t *out);

    /* 4. Many to many, blocked for the caches: out[i * ld + j] = distance of a's row i to b's row j
     */
    void (*l2sq_f32_mn)(const float *a, size_t na, const float *b, size_t nb, size_t dim,
                        float *out, size_t ld);
    void (*ip_f32_mn)(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                      size_t ld);
    void (*cos_f32_mn)(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                       size_t ld);
    void (*l2sq_u8_mn)(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                       uint32_t *out, size_t ld);
    void (*ip_u8_mn)(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                     uint32_t *out, size_t ld);
    void (*cos_u8_mn)(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                      float *out, size_t ld);
    void (*hamming_b64_mn)(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                           size_t ld);

    /* 5. Selection. Positions i, ascending, with value[i] <= limit go to out (room for n); returns
       how many. NaN is never selected. The first half of bounded top-k: src/core/topk.h keeps the
       heap. */
    size_t (*at_most_f32)(const float *value, size_t n, float limit, uint32_t *out);
    size_t (*at_most_u32)(const uint32_t *value, size_t n, uint32_t limit, uint32_t *out);
    size_t (*at_most_u8)(const uint8_t *value, size_t n, uint8_t limit, uint32_t *out);
    /* Position of the smallest value, the first of equals; NaN is larger than all. 0 if all are
     * NaN; n >= 1. */
    size_t (*argmin_f32)(const float *value, size_t n);

    /* 6. Codes. Estimates of the 64 vectors of a block go to `estimate`; returns a bit for each that
       is not above the limit (NaN is not). Block, weights and estimates at multiples of 64, 16
       and 4. The same in all tables, bit for bit. */
    uint64_t (*scan_u8)(const uint8_t *block, size_t groups, const struct code_weights *weights,
                        struct code_estimate form, float limit, float *estimate);
};

/* The widest set this processor has. */
enum isa kernels_best_isa(void);

/* The best table not wider than `at_most` that this processor can run; never NULL. A pure function.
 */
const struct kernels *kernels_select(enum isa at_most);

/* "scalar" | "avx2" | "avx512" -> *isa; returns 0, or -1 for any other name. */
int kernels_isa_named(const char *name, enum isa *isa);

extern const struct kernels kernels_scalar, kernels_avx2, kernels_avx512;

#ifdef __cplusplus
}
#endif
#endif
