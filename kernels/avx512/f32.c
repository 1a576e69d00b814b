/* f32.c - float distances with AVX-512.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * Accumulators: every pair of rows has two, for even and odd chunks of 16 components. An FMA takes
 * 4 cycles and Zen 4 starts one 512-bit FMA and one 512-bit subtraction per cycle, so other rows in
 * flight hide the latency (12 pairs many to many; one to many, the next rows). Two accumulators
 * still fit a 3 x 4 block into 32 registers, and for a single pair they are twice as fast as one.
 *
 * Order of summation, in all three forms: even + odd, then halves, quarters, (0 + 2) + (1 + 3).
 *
 * One to many reads row after row, never eight rows in parallel: from memory that took 50 ns per
 * row of 128 components, where reading in order takes 17. Up to 256 components the query stays in
 * registers. In cache, a row then costs its loads for IP and its arithmetic for L2SQ: 16 operations
 * for 128 components, half of them additions, and the folding of the sums, which is therefore done
 * for eight rows at once.
 *
 * Differences are computed, not |a|^2 + |b|^2 - 2ab: subtraction has its own pipes, and it does not
 * cancel. Tail: masked loads, which touch no byte past the row; a zero adds nothing to a sum. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

#include <stdbool.h>

enum { LANES = 16, ROWS = 8, FOLD_AT = 6, SHORT_CHUNKS = 16, FAR_APART = 2048 };
enum { BLOCK_A = 3, BLOCK_B = 4 };

/* Keeps the compiler from reloading v at each use after every IN_ORDER. */
#define IN_REGISTER(v) __asm__("" : "+v"(v))

INLINE __mmask16 first_lanes(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

/* Folds four vectors into one, in which each 128-bit lane holds the partial sums of one: halves and
   quarters are added. */
INLINE __m512 fold_to_lanes(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}

INLINE __m128 sum_4(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 x = fold_to_lanes(a, b, c, d);
    x = _mm512_add_ps(x, _mm512_permute_ps(x, 0x4e));
    x = _mm512_add_ps(x, _mm512_permute_ps(x, 0xb1));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, x));
}

/* The last steps of folding one, two and eight rows' sums, in 256 bits: these use half as many
 * pipes as the same steps in 512 bits. */
INLINE __m256 sum_halves(__m512 v)
{
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

INLINE __m256 sum_quarters(__m256 a, __m256 b)
{
    return _mm256_add_ps(_mm256_blend_ps(a, b, 0xf0), _mm256_permute2f128_ps(a, b, 0x21));
}

INLINE __m256 sum_8(const __m256 half[ROWS])
{
    __m256 v[ROWS / 2];
    UNROLL
    for (size_t r = 0; r < ROWS / 2; r++)
        v[r] = sum_quarters(half[r], half[r + ROWS / 2]);
    __m256 x = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
    __m256 y = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
    return _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x44), _mm256_shuffle_ps(x, y, 0xee));
}

/* na x nb pairs of rows over one chunk; `half` is 0 for an even chunk. Of a chunk that is not
   whole, these lanes count. */
INLINE void chunk(enum distance_form form, const float *a, size_t na, const float *b, size_t nb,
                  size_t dim, size_t at, bool whole, v_lanes lanes, __m512 sum[][2], size_t half)
{
    (void)whole;
    __m512 rows[ROWS];
    UNROLL
    for (size_t j = 0; j < nb; j++)
        rows[j] = _mm512_maskz_loadu_ps(lanes, b + j * dim + at);
    UNROLL
    for (size_t i = 0; i < na; i++) {
        __m512 x = _mm512_maskz_loadu_ps(lanes, a + i * dim + at);
        UNROLL
        for (size_t j = 0; j < nb; j++)
            sum[i * nb + j][half] = step_f32(form, x, rows[j], sum[i * nb + j][half]);
    }
}

INLINE float total_of(__m512 total)
{
    return sum_f32(sum_halves(total));
}

#include "kernels/both_f32.h"

/* Even + odd, then halves. Multiplying by one is exact and moves work from the adders to the
 * multipliers, which have less to do. */
INLINE __m256 sum_chunks(__m512 even, __m512 odd)
{
    return sum_halves(_mm512_fmadd_ps(even, _mm512_set1_ps(1.0f), odd));
}

/* One row against a query in registers. `chunks` and `whole` are constants; if the last chunk is
 * not whole, `mask` selects its components. */
INLINE void short_row(enum distance_form form, const __m512 *query, const float *row, size_t chunks,
                      bool whole, __mmask16 mask, __m256 *half)
{
    __m512 sum[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
    UNROLL
    for (size_t c = 0; c < chunks; c++) {
        const float *at = row + c * LANES;
        bool full = whole || c + 1 < chunks;
        __m512 x = full ? _mm512_loadu_ps(at) : _mm512_maskz_loadu_ps(mask, at);
        sum[c % 2] = step_f32(form, query[c], x, sum[c % 2]);
    }
    *half = sum_chunks(sum[0], sum[1]);
}

/* Eight rows are folded before row FOLD_AT of the next eight: by then their sums are complete, and
 * the loads and products around the fold fill the pipes during its latency. */
INLINE void short_to_many(enum distance_form form, const float *query, const float *rows, size_t n,
                          size_t dim, size_t chunks, bool whole, float *out)
{
    __mmask16 mask = first_lanes(dim - (chunks - 1) * LANES);
    __m512 q[SHORT_CHUNKS];
    UNROLL
    for (size_t c = 0; c < chunks; c++) {
        q[c] = _mm512_maskz_loadu_ps(c + 1 < chunks ? 0xffff : mask, query + c * LANES);
        IN_REGISTER(q[c]);
    }
    __m256 half[ROWS] = { 0 }, next[ROWS];
    size_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        UNROLL
        for (size_t r = 0; r < ROWS; r++) {
            if (r == FOLD_AT && i > 0)
                _mm256_storeu_ps(out + i - ROWS, sum_8(half));
            short_row(form, q, rows + (i + r) * dim, chunks, whole, mask, &next[r]);
            IN_ORDER;
        }
        UNROLL
        for (size_t r = 0; r < ROWS; r++)
            half[r] = next[r];
    }
    if (i > 0)
        _mm256_storeu_ps(out + i - ROWS, sum_8(half));
    for (; i < n; i++)
        out[i] = one_to_one(form, query, rows + i * dim, dim);
}

/* A masked load is a separate operation, a whole one part of the subtraction: the common dimensions
 * get code without masks. */
INLINE void chunks_to_many(enum distance_form form, const float *query, const float *rows, size_t n,
                           size_t dim, size_t chunks, float *out)
{
    if (dim == chunks * LANES)
        short_to_many(form, query, rows, n, dim, chunks, true, out);
    else
        short_to_many(form, query, rows, n, dim, chunks, false, out);
}

/* Rows that are pages apart are read faster four at once, shorter ones one after the other. */
INLINE void long_to_many(enum distance_form form, const float *query, const float *rows, size_t n,
                         size_t dim, size_t together, float *out)
{
    size_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        __m256 half[ROWS];
        for (size_t r = 0; r < ROWS; r += together) {
            const float *row = rows + (i + r) * dim;
            __m512 total[ROWS];
            accumulate(form, query, 1, row, together, dim, total);
            for (size_t j = 0; j < together; j++)
                half[r + j] = sum_halves(total[j]);
        }
        _mm256_storeu_ps(out + i, sum_8(half));
    }
    for (; i < n; i++)
        out[i] = one_to_one(form, query, rows + i * dim, dim);
}

#define SHORT(chunks) \
    case chunks: chunks_to_many(form, query, rows, n, dim, chunks, out); return

INLINE void one_to_many(enum distance_form form, const float *query, const float *rows, size_t n,
                        size_t dim, float *out)
{
    switch ((dim + LANES - 1) / LANES) {
        SHORT(1);
        SHORT(2);
        SHORT(3);
        SHORT(4);
        SHORT(5);
        SHORT(6);
        SHORT(7);
        SHORT(8);
        SHORT(9);
        SHORT(10);
        SHORT(11);
        SHORT(12);
        SHORT(13);
        SHORT(14);
        SHORT(15);
        SHORT(16);
        default: break;
    }
    if (dim < FAR_APART)
        long_to_many(form, query, rows, n, dim, 1, out);
    else
        long_to_many(form, query, rows, n, dim, 4, out);
}

INLINE void block(enum distance_form form, const float *a, const float *b, size_t dim, float *out,
                  size_t ld)
{
    __m512 total[BLOCK_A * BLOCK_B];
    accumulate(form, a, BLOCK_A, b, BLOCK_B, dim, total);
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        const __m512 *t = total + i * BLOCK_B;
        _mm_storeu_ps(out + i * ld, sum_4(t[0], t[1], t[2], t[3]));
    }
}

#include "kernels/both_f32_forms.h"

#endif
