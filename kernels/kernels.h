/* kernels.h - distance, selection and code kernels, one table of them per instruction set.
 * kernels.def describes each kernel.
 *
 * There is one table of functions per instruction set (scalar.c avx2/ avx512/); kernels_select()
 * chooses one once, and struct index_env passes it on. Nothing here allocates, prints or keeps
 * state. Within one table results are the same bit for bit, whichever form (one to one, one to
 * many, many to many) computed them. Between tables float results differ in the last digits,
 * because the order of summation differs; integer results are the same in all.
 *
 *   1 instruction sets   2 types of distance kernels   3 types of code kernels
 *   4 the table   5 choosing a table
 *
 * Shapes: `dim` components per row, rows contiguous (row i starts at rows + i * dim), no alignment
 * needed, dim >= 1, n may be 0. Distances: squared L2; `ip` is the plain dot product, not negated;
 * `cos` is 2 - 2 cos(a, b), the squared L2 distance of the normalised rows, and 2 if a row is zero.
 * u8 sums are exact for dim up to 65535. */
#ifndef DRIFTLINE_KERNELS_H
#define DRIFTLINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1. Instruction sets */

enum isa {
    ISA_SCALAR = 0, /* plain C, never auto-vectorised: the reference for the other tables */
    ISA_AVX2 = 1,   /* AVX2, FMA, F16C, POPCNT */
    ISA_AVX512 = 2, /* F, BW, DQ, VL, VBMI, VNNI, VPOPCNTDQ: Ice Lake, Zen 4 and later, not
                       Skylake-X or Cascade Lake */
};

/* 2. Types of distance kernels */

/* A run of lines of sixteen 32-bit codes each, contiguous from a multiple of 64 on, and
   its query. If wide, a line has twelve codes of 40 bits: the first 32, then bytes 48 + i with
   eight more of code i. */
struct line_run {
    const uint32_t *codes;
    uint32_t lines;
    uint32_t query, care, limit; /* a code matches if it differs from query in at most `limit` of
                                    the bits set in care and, if wide, of query_more */
    bool wide;
    uint8_t query_more;
};

/* Bit i of `codes`: code i of the run's line matches. */
struct line_hit {
    uint16_t run, codes;
    uint32_t line;
};

/* 3. Types of code kernels

   Codes of a byte per dimension, 64 vectors per block: four dimensions (a group) of vector i are
   bytes 256 group + 4 i .., and after the groups come 64 floats, one per vector. */

/* A query's integer weights k for a group, -32512 .. 32512, in the forms that the tables use. */
struct code_weights {
    int8_t high[4], low[4];  /* k = 256 high + low */
    int16_t even[2], odd[2]; /* k of dimensions 0 and 2, 1 and 3 */
};

/* An estimate from a vector's float a and sum = sum k code, modulo 2^32 and read as signed: (a +
   constant) - scale (float)sum, each operation rounded. */
struct code_estimate {
    float scale, constant;
};

/* Codes of nibbles and bits. */

/* The inputs of bound_64() besides a block's sums. For vector v:
 *   estimate  add[v] + base + scale[v] * (slope * sums[v] + offset)
 *   lower     estimate + scale[v] * slack - error[v] * (linear + square * error[v])
 *
 * scale NULL: 1. `shortened`, if not NULL, replaces scale and error: -scale of 64 vectors, then
 * error of 64, each as the 16 bits below a float's sign. */
enum { CODE_TERM_SHIFT = 15 };
struct code_terms {
    const float *add, *scale, *error;
    const uint16_t *shortened;
    float base, slope, offset, slack, linear, square;
};

/* A query's integer weights k for codes of two widths, in the forms that the tables use: k =
   256 high + low = whole, -32512 .. 32512. sum |k| times the largest code is below 2^31, so
   sums are exact. */
struct mixed_weights {
    const int8_t *high, *low;
    const int16_t *whole;
};

/* sum r_i^2, sum |r_i|, and sum of c_i with r_i's sign, where 0 counts as negative. */
struct residual {
    float norm_sq, size, along;
};

/* Bounds. A row, less a middle point, as bytes: component d is about scale * codes[d]. error is the
   norm of what the codes leave out, norm that of the row; both are rounded up. */
struct code_row {
    float scale, error, norm;
    float norm_sq; /* |row - middle|^2, not rounded up */
    int32_t start; /* -128 times the sum of the codes */
};

/* 4. The table */

struct kernels {
    enum isa isa;
    const char *name; /* "scalar", "avx2", "avx512": reported in every result */
#define KERNEL(result, kernel, arguments) result(*kernel) arguments;
#include "kernels/kernels.def"
};

/* 5. Choosing a table */

/* The widest set that this processor supports. */
enum isa kernels_best_isa(void);

/* The best table not wider than `at_most` that this processor can run; never NULL. */
const struct kernels *kernels_select(enum isa at_most);

/* Parses "scalar" | "avx2" | "avx512"; returns 0, or -1 for any other name. */
int kernels_isa_named(const char *name, enum isa *isa);

extern const struct kernels kernels_scalar, kernels_avx2, kernels_avx512;

#ifdef __cplusplus
}
#endif
#endif
