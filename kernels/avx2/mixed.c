/* mixed.c - dot products of integer weights with codes of bytes and nibbles, with AVX2.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * vpmaddubsw would saturate: two products of 255 and 127 exceed 16 bits. So codes are widened to
 * 16-bit words and multiplied by the whole weights with vpmaddwd, whose pairs of products fit an
 * int32. 16 codes take a load, a product and an addition, as many as bytes in two halves would. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <immintrin.h>

#include "kernels/blocking.h"
#include "kernels/kernels.h"

enum { LANES = 16 };

INLINE __m128i sixteen(const uint8_t *code)
{
    return _mm_loadu_si128((const __m128i *)(const void *)code);
}

INLINE __m128i eight(const uint8_t *code)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)code);
}

INLINE __m256i add(__m256i sum, __m128i codes, const int16_t *weights)
{
    const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)weights);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(codes), w));
}

INLINE __m256i add_8(__m256i sum, __m128i codes, const int16_t *weights)
{
    const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)weights);
    const __m128i products = _mm_madd_epi16(_mm_cvtepu8_epi16(codes), w);
    return _mm256_add_epi32(sum, _mm256_zextsi128_si256(products));
}

INLINE __m128i low_halves(__m128i both)
{
    return _mm_and_si128(both, _mm_set1_epi8(15));
}

INLINE __m128i high_halves(__m128i both)
{
    return _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
}

int32_t avx2_ip_mixed(const struct mixed_weights *w, const uint8_t *code, size_t bytes,
                      size_t nibbles)
{
    const size_t half = nibbles / 2, end = bytes + half;
    const int16_t *k = w->whole;
    __m256i a = _mm256_setzero_si256(), b = a;
    size_t at = 0;
    for (; at + 2 * LANES <= bytes; at += 2 * LANES) {
        a = add(a, sixteen(code + at), k + at);
        b = add(b, sixteen(code + at + LANES), k + at + LANES);
    }
    for (; at + LANES <= bytes; at += LANES)
        a = add(a, sixteen(code + at), k + at);
    if (at < bytes)
        b = add_8(b, eight(code + at), k + at);
    for (at = bytes; at + LANES <= end; at += LANES) {
        const __m128i both = sixteen(code + at);
        a = add(a, low_halves(both), k + at);
        b = add(b, high_halves(both), k + at + half);
    }
    if (at < end) {
        const __m128i both = eight(code + at);
        a = add_8(a, low_halves(both), k + at);
        b = add_8(b, high_halves(both), k + at + half);
    }
    a = _mm256_add_epi32(a, b);
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    x = _mm_add_epi32(x, _mm_unpackhi_epi64(x, x));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0x55)));
}

void avx2_ip_mixed_n(const struct mixed_weights *w, const uint8_t *const *codes, size_t n,
                     size_t bytes, size_t nibbles, int32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = avx2_ip_mixed(w, codes[i], bytes, nibbles);
}

/* sum + the squares of the scaled differences of eight codes. */
INLINE __m256 add_square(__m256 sum, __m128i a, __m128i b, const float *scale)
{
    const __m256i difference = _mm256_sub_epi32(_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(b));
    const __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(difference), _mm256_loadu_ps(scale));
    return _mm256_fmadd_ps(x, x, sum);
}

float avx2_l2sq_mixed(const float *scale, const uint8_t *a, const uint8_t *b, size_t bytes,
                      size_t nibbles)
{
    const size_t half = nibbles / 2, end = bytes + half;
    __m256 x = _mm256_setzero_ps(), y = x;
    size_t at = 0;
    for (; at + LANES <= bytes; at += LANES) {
        x = add_square(x, eight(a + at), eight(b + at), scale + at);
        y = add_square(y, eight(a + at + 8), eight(b + at + 8), scale + at + 8);
    }
    if (at < bytes)
        x = add_square(x, eight(a + at), eight(b + at), scale + at);
    for (at = bytes; at < end; at += 8) {
        const __m128i p = eight(a + at), q = eight(b + at);
        x = add_square(x, low_halves(p), low_halves(q), scale + at);
        y = add_square(y, high_halves(p), high_halves(q), scale + at + half);
    }
    x = _mm256_add_ps(x, y);
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

#endif
