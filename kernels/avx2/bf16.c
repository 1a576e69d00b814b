/* bf16.c - distances of half-precision rows (bf16: the upper half of a float) with AVX2.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * A load reads 16 components as 8 words of 32 bits: the odd ones are floats once their lower half
 * is cleared, the even ones once shifted up. Accumulators: even and odd components of two chunks.
 * Tail: the last components are copied to a zeroed vector, because there are no masked loads of
 * 16-bit elements. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <immintrin.h>
#include <string.h>

#include "kernels/lanes.h"

enum { LANES = 16 };

INLINE __m256i load(const uint16_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

INLINE __m256i load_first(const uint16_t *from, size_t n)
{
    uint16_t words[LANES] = { 0 };
    memcpy(words, from, n * sizeof *words);
    return load(words);
}

INLINE __m256 step(enum distance_form form, __m256 a, __m256 b, __m256 sum)
{
    __m256 d = form == L2SQ ? _mm256_sub_ps(a, b) : a;
    return _mm256_fmadd_ps(d, form == L2SQ ? d : b, sum);
}

INLINE __m256 even(__m256i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}

INLINE __m256 odd(__m256i x)
{
    return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000)));
}

INLINE void chunk(enum distance_form form, __m256i a, __m256i b, __m256 sum[2])
{
    sum[0] = step(form, even(a), even(b), sum[0]);
    sum[1] = step(form, odd(a), odd(b), sum[1]);
}

INLINE float pair(enum distance_form form, const uint16_t *a, const uint16_t *b, size_t dim)
{
    __m256 x[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    __m256 y[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    size_t d = 0;
    for (; d + 2 * LANES <= dim; d += 2 * LANES) {
        chunk(form, load(a + d), load(b + d), x);
        chunk(form, load(a + d + LANES), load(b + d + LANES), y);
    }
    if (d + LANES <= dim) {
        chunk(form, load(a + d), load(b + d), x);
        d += LANES;
    }
    if (d < dim)
        chunk(form, load_first(a + d, dim - d), load_first(b + d, dim - d), y);
    __m256 sum = _mm256_add_ps(_mm256_add_ps(x[0], x[1]), _mm256_add_ps(y[0], y[1]));
    return sum_f32(sum);
}

float avx2_l2sq_bf16(const uint16_t *a, const uint16_t *b, size_t dim)
{
    return pair(L2SQ, a, b, dim);
}

float avx2_ip_bf16(const uint16_t *a, const uint16_t *b, size_t dim)
{
    return pair(IP, a, b, dim);
}

#endif
