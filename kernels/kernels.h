/* kernels.h - the arithmetic everything else spends its time in.
 *
 * One table of functions for each instruction set (scalar.c avx2.c avx512.c), chosen once by
 * kernels_select() and handed on in struct index_env. Nothing here allocates, prints or keeps
 * state. Results are bit for bit the same within one table, whichever form (one to one, one to
 * many, many to many) computed them; float results differ in the last digits between tables because
 * the order of summation differs. Integer results are the same in all.
 *
 *   1 choosing a table   2 one to one   3 one to many   4 many to many   5 selection
 *   6 codes of bytes   7 codes of nibbles and bits   8 bounds
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

/* 7. Codes of nibbles and bits */

/* What bound_64() makes of a block's sums. Vector v:
 *   estimate  add[v] + base + scale[v] * (slope * sums[v] + offset)
 *   lower     estimate + scale[v] * slack - error[v] * (linear + square * error[v])
 * scale NULL: 1. shortened, where there is one, in place of scale and error: -scale of 64 vectors, then
 * error of 64, of each float the 16 bits below its sign. */
enum { CODE_TERM_SHIFT = 15 };
struct code_terms {
    const float *add, *scale, *error;
    const uint16_t *shortened;
    float base, slope, offset, slack, linear, square;
};

/* A query's integer weights k for codes of two widths, in the forms the tables want: k = 256 high + low
   = whole, -32512 .. 32512. sum |k| times the largest code below 2^31: so sums are exact. */
struct mixed_weights {
    const int8_t *high, *low;
    const int16_t *whole;
};

/* sum r_i^2, sum |r_i|, sum +-c_i with r_i's sign, 0 counting as negative. */
struct residual {
    float norm_sq, size, along;
};

/* 8. Bounds. A row, less a point in the middle, as bytes: component d is about scale * codes[d].
   Rounded up: error, the length of what the codes leave out, and norm, the row's own. */
struct code_row {
    float scale, error, norm;
    float norm_sq; /* |row - middle|^2, not rounded up */
    int32_t start; /* -128 times the sum of the codes */
};

/* Lines of sixteen 32-bit codes, side by side from a multiple of 64 on, and what is asked of them. */
struct line_run {
    const uint32_t *codes;
    uint32_t lines;
    uint32_t query, care, limit; /* at most `limit` bits unlike query's, of those set in care */
};

/* Bit i of `codes`: code i of a run's line is near enough. */
struct line_hit {
    uint16_t run, codes;
    uint32_t line;
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
    /* Of rows that are anywhere. */
    void (*cos_u8_each)(const uint8_t *query, const uint8_t *const *rows, size_t n, size_t dim,
                        float *out);
    /* 64-bit codes: out[i] = popcount(query ^ codes[i]) */
    void (*hamming_b64_1n)(uint64_t query, const uint64_t *codes, size_t n, uint8_t *out);
    /* Positions i, ascending, with popcount(query ^ codes[i]) <= radius go to out (room for n);
     * returns how many. */
    size_t (*hamming_b64_within)(uint64_t query, const uint64_t *codes, size_t n, unsigned radius,
                                 uint32_t *out);

    /* Lines of 64 bytes, at multiples of 64, that lie anywhere. Bit i of masks[l]: code i of line l
     * has at most limits[l], or limit, bits unlike queries[l], or query; of the bits set in
     * cares[l]. */
    void (*hamming_b32_lines)(const uint32_t *queries, const uint32_t *cares,
                              const uint32_t *const *lines, const uint32_t *limits, size_t n,
                              uint16_t *masks);
    void (*hamming_b64_lines)(uint64_t query, const uint64_t *const *lines, size_t n,
                              unsigned limit, uint8_t *masks);

    /* The lines of n runs, n < 65536, in which a code is near enough go to `hits`, in order, which
     * has room for all lines; returns how many. */
    size_t (*hamming_b32_runs)(const struct line_run *runs, size_t n, struct line_hit *hits);

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

    /* 7. Short codes (algorithms/common/quantizer.h). 64 vectors a block: of a line of 64 bytes,
       byte 4 (v % 16) + v / 16 is vector v's, so that sums come out in the vectors' order. Lines,
       and arrays of 64, begin at multiples of 64.
       sums[v] = sum over lines j of lut[32 j + low nibble] + lut[32 j + 16 + high nibble]. */
    void (*fastscan_64)(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums);
    /* Numbers of four bits times whole weights; eight dimensions make a group of four such lines.
       sums[v] = start + sum over groups g and i = 0 .. 7 of weights[8 g + i] times number i of v,
       which is in byte 256 g + 64 (v / 16) + 4 (v % 16) + i % 4, in its low half where i < 4. Every
       sum, and what it is made of in any order, within 0 .. 2^31; weights above -128. */
    void (*nibbles_64)(const uint8_t *codes, const int8_t *weights, size_t groups, uint32_t start,
                       uint32_t *sums);
    /* Writes the estimates from such sums; returns a bit for each vector that may be within the
       limit, NaN included. The same in all tables. */
    uint64_t (*bound_64)(const struct code_terms *, const uint32_t *sums, float limit,
                         float *estimate);
    /* Dot product of a query with dim numbers of 1, 4, 8 bits; dim a multiple of 32. Number i of
       one bit is bit i % 8 of byte i / 8; of 32 numbers of four bits in 16 bytes, i < 16 is the low
       half of byte i, i >= 16 the high half of byte i - 16. */
    float (*ip_f32_u1)(const float *query, const uint8_t *code, size_t dim);
    float (*ip_f32_u4)(const float *query, const uint8_t *code, size_t dim);
    float (*ip_f32_u8)(const float *query, const uint8_t *code, size_t dim);
    /* The same of numbers in two parts: `top` times bit i % 8 of lines[64 (i / 8)], and four bits as
       ip_f32_u4 has them. dim a multiple of 8; `query` and `code` go on, with zeros, to one of 32. */
    float (*ip_f32_u1u4)(const float *query, const uint8_t *lines, float top, const uint8_t *code,
                         size_t dim);
    /* sum k code of a code of `bytes` (a multiple of 8) bytes, and then `nibbles` (of 16) of four bits:
       number i < nibbles / 2 is the low half of byte i, the others are the high halves. Weights:
       bytes + nibbles, in the numbers' order. Modulo 2^32 and read as signed, the same in all tables. */
    int32_t (*ip_mixed)(const struct mixed_weights *, const uint8_t *code, size_t bytes,
                        size_t nibbles);
    /* The same of n codes that lie anywhere. */
    void (*ip_mixed_n)(const struct mixed_weights *, const uint8_t *const *codes, size_t n,
                       size_t bytes, size_t nibbles, int32_t *out);
    /* sum (scale_i (a_i - b_i))^2 of two such codes; as floats. */
    float (*l2sq_mixed)(const float *scale, const uint8_t *a, const uint8_t *b, size_t bytes,
                        size_t nibbles);
    /* Of v_i = floor(min(t a_i, most)) + 1/2: returns sum a_i v_i, and sum v_i^2. a_i >= 0, dim a
       multiple of 32. */
    float (*grid_f32)(const float *a, size_t dim, float t, float most, float *norm_sq);
    /* r = row - centroid, dim a multiple of 8: |r_i| to `magnitudes`, [r_i > 0] to `signs` as
       ip_f32_u1 reads them. */
    struct residual (*residual_f32)(const float *row, const float *centroid, size_t dim,
                                    float *magnitudes, uint8_t *signs);
    /* 8. Bounds. code_s8: writes dim rounded up to 4 codes, the last ones 0. The lengths are right
       where squares of components are neither too small nor too large for a float. */
    void (*code_s8)(const float *row, const float *middle, size_t dim, int8_t *codes,
                    struct code_row *);
    /* n rows of dim codes, dim a multiple of 4, against panels of 16 columns: bytes [dim / 4][16][4]
       with 128 added, and four times 16 floats: b, s, e and l. For row i and column j
       out[i * ld + j] = b + scale s (start + sum codes bytes) - error e - norm l,
       in this order with fused multiply-adds. dim at most 32768. */
    void (*bounds_s8)(const int8_t *codes, const struct code_row *rows, size_t n, size_t dim,
                      const uint8_t *panels, const float *columns, size_t n_panels, float *out,
                      size_t ld);
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
