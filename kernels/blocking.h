/* blocking.h - the loops around the micro-kernels, and the arithmetic on their sums that is the
 * same for every instruction set. Private to kernels/; compiled into each file with that file's
 * flags.
 *
 * Many to many: a tile of `a` stays in L2, a tile of `b` in L1, and a micro-kernel keeps a block of
 * mi x mj sums in registers over the whole row. b is then read from memory once per tile of a. Rows
 * left over at the edges use the one-to-many form; a float result does not depend on the form,
 * because all three sum in the same order. */
#ifndef DRIFTLINE_BLOCKING_H
#define DRIFTLINE_BLOCKING_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* The callbacks of these loops are constants; only inlining turns them into direct code. */
#define INLINE static inline __attribute__((always_inline))

/* Sums kept in arrays are in registers only if the loops over them are unrolled. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* The result made from the sums; enum metric of src/core/index.h is about indexes. */
enum distance_form { L2SQ, IP, COS };

enum {
    A_TILE_BYTES =
        256 << 10, /* a quarter to an eighth of L2, which also holds b's tile and the output */
    A_TILE_ROWS = 512,
    B_TILE_BYTES = 16 << 10, /* half of L1 */
    B_TILE_ROWS = 256,
    MAX_BLOCK_ROWS = 8
};

typedef void one_to_many_f32(const float *query, const float *rows, size_t n, size_t dim,
                             float *out);
typedef void block_f32(const float *a, const float *b, size_t dim, float *out, size_t ld);
typedef void one_to_many_u8(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim,
                            uint32_t *out);
typedef void block_u8(const uint8_t *a, const uint8_t *b, size_t dim, uint32_t *out, size_t ld);
typedef uint32_t norm_u8(const uint8_t *row, size_t dim);

INLINE size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows in a tile: at least one block, a multiple of the block's rows. */
INLINE size_t tile_rows(size_t tile_bytes, size_t most, size_t row_bytes, size_t block_rows)
{
    size_t rows = least(tile_bytes / row_bytes, most);
    return rows < block_rows ? block_rows : rows - rows % block_rows;
}

/* 1 / |x| from |x|^2; 0 for a zero row, whose cosine distance is then 2. */
INLINE double inverse_norm(double norm_sq)
{
    return norm_sq > 0 ? 1.0 / sqrt(norm_sq) : 0.0;
}

/* In double, so that neither the product of the norms nor its root leaves the range of float.
   Rounding can put equal directions slightly below 0: their distance is 0. */
INLINE float cosine_distance(double ip, double inverse_a, double inverse_b)
{
    float distance = (float)(2.0 - 2.0 * ip * inverse_a * inverse_b);
    return distance < 0 ? 0 : distance;
}

INLINE float cosine_of_sums(double ip, double norm_sq_a, double norm_sq_b)
{
    return cosine_distance(ip, inverse_norm(norm_sq_a), inverse_norm(norm_sq_b));
}

/* One tile of a times one of b. */
INLINE void tile_f32(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                     size_t ld, size_t mi, size_t mj, block_f32 *block, one_to_many_f32 *one_n)
{
    size_t whole_a = na - na % mi, whole_b = nb - nb % mj;
    for (size_t i = 0; i < whole_a; i += mi) {
        for (size_t j = 0; j < whole_b; j += mj)
            block(a + i * dim, b + j * dim, dim, out + i * ld + j, ld);
        for (size_t r = i; whole_b < nb && r < i + mi; r++)
            one_n(a + r * dim, b + whole_b * dim, nb - whole_b, dim, out + r * ld + whole_b);
    }
    for (size_t i = whole_a; i < na; i++)
        one_n(a + i * dim, b, nb, dim, out + i * ld);
}

INLINE void many_f32(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                     size_t ld, size_t mi, size_t mj, block_f32 *block, one_to_many_f32 *one_n)
{
    size_t a_tile = tile_rows(A_TILE_BYTES, A_TILE_ROWS, dim * sizeof *a, mi);
    size_t b_tile = tile_rows(B_TILE_BYTES, B_TILE_ROWS, dim * sizeof *b, mj);
    for (size_t i0 = 0; i0 < na; i0 += a_tile) {
        size_t ni = least(a_tile, na - i0);
        for (size_t j0 = 0; j0 < nb; j0 += b_tile) {
            size_t nj = least(b_tile, nb - j0);
            tile_f32(a + i0 * dim, ni, b + j0 * dim, nj, dim, out + i0 * ld + j0, ld, mi, mj, block,
                     one_n);
        }
    }
}

/* Computes the results from the dot products of one row with a tile of b. Modulo 2^32, so exact. */
INLINE void finish_u8(enum distance_form form, const uint32_t *ip, size_t n, uint32_t norm_a,
                      const uint32_t *norm_b, const double *inverse_b, void *out, size_t at)
{
    double inverse_a = form == COS ? inverse_norm((double)norm_a) : 0.0;
    for (size_t j = 0; j < n; j++) {
        if (form == IP)
            ((uint32_t *)out)[at + j] = ip[j];
        if (form == L2SQ)
            ((uint32_t *)out)[at + j] = norm_a + norm_b[j] - 2 * ip[j];
        if (form == COS)
            ((float *)out)[at + j] = cosine_distance((double)ip[j], inverse_a, inverse_b[j]);
    }
}

/* u8 rows have exact sums, so squared distance and cosine both come from the dot product: the norms
   are computed once per row, whereas differences a - b would have to be widened for every pair.
   `out` is float for COS. */
INLINE void many_u8(enum distance_form form, const uint8_t *a, size_t na, const uint8_t *b,
                    size_t nb, size_t dim, void *out, size_t ld, size_t mi, size_t mj,
                    block_u8 *block, one_to_many_u8 *ip_n, norm_u8 *norm)
{
    size_t a_tile = tile_rows(A_TILE_BYTES, A_TILE_ROWS, dim, mi);
    size_t b_tile = tile_rows(B_TILE_BYTES, B_TILE_ROWS, dim, mj);
    uint32_t norm_a[A_TILE_ROWS], norm_b[B_TILE_ROWS], strip[MAX_BLOCK_ROWS * B_TILE_ROWS];
    double inverse_b[B_TILE_ROWS];
    for (size_t i0 = 0; i0 < na; i0 += a_tile) {
        size_t ni = least(a_tile, na - i0);
        for (size_t i = 0; i < ni; i++)
            norm_a[i] = form == IP ? 0 : norm(a + (i0 + i) * dim, dim);
        for (size_t j0 = 0; j0 < nb; j0 += b_tile) {
            size_t nj = least(b_tile, nb - j0);
            for (size_t j = 0; form != IP && j < nj; j++) {
                norm_b[j] = norm(b + (j0 + j) * dim, dim);
                inverse_b[j] = form == COS ? inverse_norm((double)norm_b[j]) : 0.0;
            }
            for (size_t i = 0; i < ni; i += mi) {
                size_t rows = least(mi, ni - i), whole = rows == mi ? nj - nj % mj : 0;
                const uint8_t *ai = a + (i0 + i) * dim, *bj = b + j0 * dim;
                for (size_t j = 0; j < whole; j += mj)
                    block(ai, bj + j * dim, dim, strip + j, B_TILE_ROWS);
                for (size_t r = 0; r < rows; r++) {
                    uint32_t *ip = strip + r * B_TILE_ROWS;
                    if (whole < nj)
                        ip_n(ai + r * dim, bj + whole * dim, nj - whole, dim, ip + whole);
                    finish_u8(form, ip, nj, norm_a[i + r], norm_b, inverse_b, out,
                              (i0 + i + r) * ld + j0);
                }
            }
        }
    }
}

/* Byte codes: the part that is done once per row, the same in all tables. Component x has the code
 * x * inverse, rounded: at most 127, because the largest is below 127.5. A row too small or too
 * large to divide by gets codes of 0, and all of it is error. */
INLINE void code_row_begin(struct code_row *to, float most, float norm_sq)
{
    to->scale = most > 0x1p-100f && most < 0x1p100f ? most / 127.0f : 0;
    to->norm_sq = norm_sq;
    to->norm = sqrtf(norm_sq) * 1.0001f;
}

INLINE float code_inverse(const struct code_row *row)
{
    return row->scale > 0 ? 1.0f / row->scale : 0;
}

INLINE void code_row_end(struct code_row *to, int32_t sum, float error_sq)
{
    to->error = sqrtf(error_sq) * 1.0001f;
    to->start = -128 * sum;
}

#endif
