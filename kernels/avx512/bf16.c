/* bf16.c - distances of half-precision rows (bf16: the upper half of a float) with AVX-512.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * A load reads 32 components as 16 words of 32 bits: the odd ones are floats once their lower half
 * is cleared, the even ones once shifted up. So nothing is shuffled, and the sum is of the same
 * floats as if both rows had been widened first. vdpbf16ps is not used: it rounds differently,
 * flushes denormals, has no differences for L2, and is missing on some processors that run this
 * table. Accumulators: even and odd components of two chunks. Tail: masked loads, which touch no
 * byte past the row. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

#include <immintrin.h>

#include "kernels/blocking.h"

enum { LANES = 32 };

INLINE __m512 even(__m512i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}

INLINE __m512 odd(__m512i x)
{
    return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
}

INLINE __m512 step(enum distance_form form, __m512 a, __m512 b, __m512 sum)
{
    __m512 d = form == L2SQ ? _mm512_sub_ps(a, b) : a;
    return _mm512_fmadd_ps(d, form == L2SQ ? d : b, sum);
}

INLINE void chunk(enum distance_form form, __m512i a, __m512i b, __m512 sum[2])
{
    sum[0] = step(form, even(a), even(b), sum[0]);
    sum[1] = step(form, odd(a), odd(b), sum[1]);
}

INLINE __m512i load_first(const uint16_t *from, size_t n)
{
    return _mm512_maskz_loadu_epi16((__mmask32)((UINT64_C(1) << n) - 1), from);
}

INLINE float pair(enum distance_form form, const uint16_t *a, const uint16_t *b, size_t dim)
{
    __m512 x[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
    __m512 y[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
    size_t d = 0;
    for (; d + 2 * LANES <= dim; d += 2 * LANES) {
        chunk(form, _mm512_loadu_si512(a + d), _mm512_loadu_si512(b + d), x);
        chunk(form, _mm512_loadu_si512(a + d + LANES), _mm512_loadu_si512(b + d + LANES), y);
    }
    if (d + LANES <= dim) {
        chunk(form, _mm512_loadu_si512(a + d), _mm512_loadu_si512(b + d), x);
        d += LANES;
    }
    if (d < dim)
        chunk(form, load_first(a + d, dim - d), load_first(b + d, dim - d), y);
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(x[0], x[1]), _mm512_add_ps(y[0], y[1])));
}

float avx512_l2sq_bf16(const uint16_t *a, const uint16_t *b, size_t dim)
{
    return pair(L2SQ, a, b, dim);
}

float avx512_ip_bf16(const uint16_t *a, const uint16_t *b, size_t dim)
{
    return pair(IP, a, b, dim);
}

#endif
