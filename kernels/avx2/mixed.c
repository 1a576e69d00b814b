/* mixed.c - dot products of integer weights with codes of bytes and nibbles, with AVX2.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * vpmaddubsw would saturate: two products of 255 and 127 exceed 16 bits. So codes are widened to
 * 16-bit words and multiplied by the whole weights with vpmaddwd, whose pairs of products fit an
 * int32. 16 codes take a load, a product and an addition, as many as bytes in two halves would. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

enum { LANES = 16 };

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

int32_t avx2_ip_mixed(const struct mixed_weights *w, const uint8_t *code, size_t bytes,
                      size_t nibbles)
{
    const size_t half = nibbles / 2, end = bytes + half;
    const int16_t *k = w->whole;
    __m256i a = _mm256_setzero_si256(), b = a;
    size_t at = 0;
    for (; at + 2 * LANES <= bytes; at += 2 * LANES) {
        a = add(a, bytes_16(code + at), k + at);
        b = add(b, bytes_16(code + at + LANES), k + at + LANES);
    }
    for (; at + LANES <= bytes; at += LANES)
        a = add(a, bytes_16(code + at), k + at);
    if (at < bytes)
        b = add_8(b, bytes_8(code + at), k + at);
    for (at = bytes; at + LANES <= end; at += LANES) {
        const __m128i both = bytes_16(code + at);
        a = add(a, low_nibbles(both), k + at);
        b = add(b, high_nibbles(both), k + at + half);
    }
    if (at < end) {
        const __m128i both = bytes_8(code + at);
        a = add_8(a, low_nibbles(both), k + at);
        b = add_8(b, high_nibbles(both), k + at + half);
    }
    return (int32_t)sum_of_4(halves_i32(_mm256_add_epi32(a, b)));
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
        x = add_square(x, bytes_8(a + at), bytes_8(b + at), scale + at);
        y = add_square(y, bytes_8(a + at + 8), bytes_8(b + at + 8), scale + at + 8);
    }
    if (at < bytes)
        x = add_square(x, bytes_8(a + at), bytes_8(b + at), scale + at);
    for (at = bytes; at < end; at += 8) {
        const __m128i p = bytes_8(a + at), q = bytes_8(b + at);
        x = add_square(x, low_nibbles(p), low_nibbles(q), scale + at);
        y = add_square(y, high_nibbles(p), high_nibbles(q), scale + at + half);
    }
    return sum_f32(_mm256_add_ps(x, y));
}

#endif
