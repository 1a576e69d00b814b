/* f32.c - float distances with AVX2 and FMA.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * Accumulators: every pair of rows has two, for even and odd chunks of 8 components. Two FMAs start
 * per cycle and each takes 4 cycles, but each pair also loads. One to many: the next rows fill the
 * gaps. Many to many: 2 x 3 pairs are 12 sums, and with the chunks of a and b and a difference they
 * use all 16 registers. Order of summation, in all three forms: even + odd, then halves, (0 + 2) +
 * (1 + 3). One to many reads row after row, as in avx512/f32.c; the query comes from L1 each time.
 * Tail: vmaskmovps, which touches no byte past the row; a zero adds nothing to a sum. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <stdbool.h>

enum { ROWS = 4, BLOCK_A = 2, BLOCK_B = 3 };

INLINE __m256i first_lanes(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

INLINE __m128 sum_4(const __m256 v[4])
{
    __m128 a = halves_f32(v[0]), b = halves_f32(v[1]), c = halves_f32(v[2]), d = halves_f32(v[3]);
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

/* na x nb pairs of rows over one chunk; `half` is 0 for an even chunk. Of a chunk that is not
   whole, these lanes count. */
INLINE void chunk(enum distance_form form, const float *a, size_t na, const float *b, size_t nb,
                  size_t dim, size_t at, bool whole, v_lanes lanes, __m256 sum[][2], size_t half)
{
    __m256 x[BLOCK_A];
    UNROLL
    for (size_t i = 0; i < na; i++) {
        const float *from = a + i * dim + at;
        x[i] = whole ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, lanes);
    }
    UNROLL
    for (size_t j = 0; j < nb; j++) {
        const float *from = b + j * dim + at;
        __m256 y = whole ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, lanes);
        UNROLL
        for (size_t i = 0; i < na; i++)
            sum[i * nb + j][half] = step_f32(form, x[i], y, sum[i * nb + j][half]);
    }
}

INLINE float total_of(__m256 total)
{
    return sum_f32(total);
}

#include "kernels/both_f32.h"

INLINE void one_to_many(enum distance_form form, const float *query, const float *rows, size_t n,
                        size_t dim, float *out)
{
    size_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        __m256 total[ROWS];
        for (size_t r = 0; r < ROWS; r++) {
            const float *row = rows + (i + r) * dim;
            accumulate(form, query, 1, row, 1, dim, &total[r]);
            IN_ORDER;
        }
        _mm_storeu_ps(out + i, sum_4(total));
    }
    for (; i < n; i++)
        out[i] = one_to_one(form, query, rows + i * dim, dim);
}

INLINE void block(enum distance_form form, const float *a, const float *b, size_t dim, float *out,
                  size_t ld)
{
    __m256 total[BLOCK_A * BLOCK_B];
    accumulate(form, a, BLOCK_A, b, BLOCK_B, dim, total);
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        const __m256 *t = total + i * BLOCK_B;
        __m256 four[4] = { t[0], t[1], t[2], _mm256_setzero_ps() };
        const __m128i three = _mm_setr_epi32(-1, -1, -1, 0);
        _mm_maskstore_ps(out + i * ld, three, sum_4(four));
    }
}

#include "kernels/both_f32_forms.h"

#endif
